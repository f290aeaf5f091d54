//! Network addresses as logs write them, and the one spelling of each.
//!
//! ```text
//! 203.0.113.7   ::ffff:203.0.113.7   ::ffff:cb00:7107   203.0.113.7:51234   "203.0.113.7"
//! 2001:db8::1   2001:DB8:0::1   [2001:db8::1]   [2001:db8::1]:443   "[2001:db8::1]:443"
//! fe80::1       fe80::1%eth0   [fe80::1%25eth0]:443
//! ```
//!
//! Promises: spellings of one line above are one address, and lie in one network. Dual-stack
//! listeners write IPv4 callers as IPv4-mapped IPv6; proxies add ports and brackets (RFC 7239
//! section 6); a zone names an interface of the machine that wrote the log, not the caller.
//!
//! Refuses: lists, host names, leading zeros (octal to some readers, decimal to others): such a
//! text is no address and stays as it was written.

use std::net::{IpAddr, Ipv4Addr};

/// The address that a text names, IPv4-mapped ones as IPv4.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if let Ok(plain) = text.parse::<IpAddr>() {
        return Some(plain.to_canonical());
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    if let Some((bare, port)) = text.split_once(':')
        && let Ok(v4) = bare.parse::<Ipv4Addr>()
    {
        return is_port(port).then_some(IpAddr::V4(v4));
    }
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            if !behind.is_empty() && !behind.strip_prefix(':').is_some_and(is_port) {
                return None;
            }
            inside
        }
        None => text,
    };
    let (bare, zone) = bare.split_once('%').unwrap_or((bare, "zone"));
    let of_zone =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b'%');
    if zone.is_empty() || zone.len() > 64 || !zone.bytes().all(of_zone) {
        return None;
    }
    let address = bare.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)?;
    Some(address.to_canonical())
}

/// The network an address lies in: /24 for IPv4, /64 for IPv6.
pub(super) fn network(text: &str) -> Option<String> {
    Some(match address(text)? {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_in_two_spellings_was_two_networks() {
        let lines = [
            (
                "203.0.113.7",
                "203.0.113.0/24",
                "203.0.113.7 ::ffff:203.0.113.7 ::FFFF:CB00:7107 0:0:0:0:0:ffff:203.0.113.7 \
                 203.0.113.7:51234 \"203.0.113.7\" \"203.0.113.7:1\" [::ffff:203.0.113.7]:443 \
                 ::ffff:203.0.113.7%eth0",
            ),
            (
                "2001:db8::1",
                "2001:db8:0:0::/64",
                "2001:db8::1 2001:DB8:0::1 2001:0db8:0000:0000:0000:0000:0000:0001 [2001:db8::1] \
                 [2001:db8::1]:443 \"[2001:db8::1]:443\"",
            ),
            ("fe80::1", "fe80:0:0:0::/64", "fe80::1 fe80::1%eth0 fe80::1%3 [fe80::1%25eth0]:443"),
        ];
        for (one, net, spellings) in lines {
            for text in spellings.split_whitespace() {
                assert_eq!(address(text).map(|it| it.to_string()).as_deref(), Some(one), "{text}");
                assert_eq!(network(text).as_deref(), Some(net), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_address_stays_as_it_is() {
        for text in [
            "",
            "unknown",
            "_hidden",
            "localhost",
            "1.2.3.4, 5.6.7.8",
            "203.0.113.07",
            "203.0.113.7:99999",
            "203.0.113.7%eth0",
            "[203.0.113.7]",
            "[2001:db8::1",
            "[2001:db8::1]443",
            "[2001:db8::1]:+443",
            "[2001:db8::1]:",
            "fe80::1%",
            "2001:db8::1/64",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
