//! Token ids from what a log shows of a token (DESIGN 4.2).
//!
//! ```text
//! <region>:<alias>:jti:<jti>                       a jti that is not the bearer value
//! <region>:<alias>:jh:<43>   base64url SHA-256("ledgerline/jti/v1\0" ‖ jti), an odd or long jti
//! <region>:<alias>:t1:<43>   base64url SHA-256("ledgerline/token/v1\0" ‖ presented bytes)
//! <region>:<alias>:<id>      sessions, grants, clients
//! ```
//!
//! The presented bytes of a compact JWS are its signing input `header.payload` only; what is one,
//! the kernel says, as it does wherever a token is presented: one token has one id. A value under
//! 128 bits gets no id: its plain digest could be found by search.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ledgerline_api::uuid_text;
use ledgerline_proof::event_id::derived_event_id;
use ledgerline_proof::hash::{DomainHasher, domain, sha256};
use ledgerline_proof::token_id::{self as kernel, jti_hash_value, t1_value};
use serde::Deserialize;

/// Longest id of a token or a wide target, in bytes.
const ID_BYTES_MAX: usize = 256;

/// Under which region and issuer alias the ids of a log stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    region: String,
    alias: String,
}

impl Naming {
    /// Both are `[a-z0-9._-]{1,32}`; `None` if one is not.
    #[must_use]
    pub fn new(region: &str, alias: &str) -> Option<Self> {
        let sound = |text: &str| (1..=32).contains(&text.len()) && is_lower_name(text);
        (sound(region) && sound(alias))
            .then(|| Self { region: region.to_owned(), alias: alias.to_owned() })
    }

    /// The issuer's alias.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The id of a token known by its jti. Never for a jti that is the bearer value.
    #[must_use]
    pub fn jti(&self, jti: &str) -> Option<String> {
        if jti.is_empty() {
            return None;
        }
        self.wide(&format!("jti:{jti}")).or_else(|| Some(self.jti_digest(jti)))
    }

    /// The `jh` id: what may be said of a jti that nobody has vouched for.
    #[must_use]
    pub fn jti_digest(&self, jti: &str) -> String {
        format!("{}:{}:jh:{}", self.region, self.alias, jti_hash_value(jti))
    }

    /// The `t1` id of a bearer value; `None` if it is weaker than 128 bits.
    #[must_use]
    pub fn bearer(&self, value: &str) -> Option<String> {
        let digest = t1_value(value.as_bytes()).ok()?;
        Some(format!("{}:{}:t1:{digest}", self.region, self.alias))
    }

    /// The id of a session, grant or client; `None` unless printable ASCII and short enough.
    #[must_use]
    pub fn wide(&self, id: &str) -> Option<String> {
        let whole = format!("{}:{}:{id}", self.region, self.alias);
        let printable = id.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        (!id.is_empty() && printable && whole.len() <= ID_BYTES_MAX).then_some(whole)
    }
}

/// `header.payload` of a compact JWS, without a look at whether it is a sound one.
fn signing_input(value: &str) -> Option<&str> {
    let length = kernel::signing_input(value.as_bytes()).len();
    (length < value.len()).then(|| value.get(..length)).flatten()
}

/// Whether a presented value is a compact JWS.
pub fn is_jws(value: &str) -> bool {
    signing_input(value).is_some()
}

/// The jti that a compact JWS claims. Believe it only where the log says that the signature held.
pub fn claimed_jti(jws: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        jti: String,
    }
    let (_, payload) = signing_input(jws)?.split_once('.')?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Claims>(&bytes).ok().map(|claims| claims.jti)
}

/// `[a-z0-9._-]+`.
pub fn is_lower_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        })
}

/// `sha256:` and the hex SHA-256 of `bytes`, as attachments are named.
pub fn content_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes).to_hex())
}

/// Names a line of a log that has no id of its own: base64url SHA-256("ledgerline/log-line/v1\0" ‖
/// lp(part)*). The parts say nothing of a person: a digest of such values could be searched for.
/// `None` when a part is longer than `lp` can say.
pub fn line_digest<'p>(parts: impl IntoIterator<Item = &'p str>) -> Option<String> {
    let mut hasher = DomainHasher::new(domain::LOG_LINE);
    for part in parts {
        if !fits(part) {
            return None;
        }
        hasher = hasher.lp(part.as_bytes());
    }
    Some(URL_SAFE_NO_PAD.encode(hasher.finish().as_bytes()))
}

/// Base64 with padding, as attachments are written.
pub fn attachment_data(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The id the ledger gives to part `part` of a native id (DESIGN 4.1): UUIDv8 from
/// SHA-256("ledgerline/event-id/v1\0" ‖ lp(tenant) ‖ lp(source) ‖ lp(native_id) ‖ u16 part).
/// `None` when a part is longer than `lp` can say.
pub fn event_id(tenant: &str, source: &str, native_id: &str, part: u16) -> Option<String> {
    let is_short = [tenant, source, native_id].into_iter().all(fits);
    is_short.then(|| uuid_text::text(&derived_event_id(tenant, source, native_id, part.into())))
}

/// Whether `lp` can say how long a text is.
fn fits(text: &str) -> bool {
    u16::try_from(text.len()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> Naming {
        Naming::new("eu-west-1", "idp").expect("sound names")
    }

    #[test]
    fn names_are_checked() {
        for (region, alias) in [("", "idp"), ("EU", "idp"), ("eu:1", "idp"), ("eu", "a b")] {
            assert_eq!(Naming::new(region, alias), None, "{region} {alias}");
        }
        assert_eq!(Naming::new(&"a".repeat(33), "idp"), None);
    }

    #[test]
    fn forms() {
        let naming = naming();
        assert_eq!(naming.jti("a:b").as_deref(), Some("eu-west-1:idp:jti:a:b"));
        assert_eq!(naming.jti(""), None);
        for odd in ["with space", "ü", &"x".repeat(300)] {
            let id = naming.jti(odd).expect("an odd jti has a digest");
            assert!(id.starts_with("eu-west-1:idp:jh:"), "{id}");
            assert_eq!(id.len(), "eu-west-1:idp:jh:".len() + 43);
        }
        assert_eq!(naming.bearer("short"), None);
        // printf 'ledgerline/token/v1\0AAAAAAAAAAAAAAAAAAAAAA' | sha256sum
        assert_eq!(
            naming.bearer(&"A".repeat(22)).as_deref(),
            Some(concat!("eu-west-1:idp:t1:", "HEzONQ-LnJgfgE3weHzsjOk5xCgj80G6__IMY6CilWQ"))
        );
    }

    #[test]
    fn a_jws_is_named_by_its_signing_input() {
        let payload = URL_SAFE_NO_PAD.encode(br#"{"jti":"j-1","sub":"someone"}"#);
        let jws = |signature: &str| format!("eyJhbGciOiJFUzI1NiJ9.{payload}.{signature}");
        assert_eq!(naming().bearer(&jws("AAAA")), naming().bearer(&jws("BBBB")));
        // Whatever its signature is: the same that whoever presents it to the ledger sees.
        for odd in ["AA$A", "", "a b", "é"] {
            assert_eq!(naming().bearer(&jws("AAAA")), naming().bearer(&jws(odd)), "{odd}");
            assert_eq!(claimed_jti(&jws(odd)).as_deref(), Some("j-1"), "{odd}");
        }
        assert_eq!(claimed_jti(&jws("AAAA")).as_deref(), Some("j-1"));
        assert_eq!(claimed_jti("eyJ.!!.x"), None);
        assert!(is_jws(&jws("AAAA")) && !is_jws("opaque-value"));
    }

    #[test]
    fn a_token_with_an_odd_part_had_another_id_here_than_at_the_ledger() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let (header, claims) = (part(r#"{"alg":"ES256"}"#), part(r#"{"jti":"j-1"}"#));
        let padded = part(r#" {"typ":"JWT","alg":"ES256"}"#);
        for odd in [
            format!("{header}.{claims}.si$n"),
            format!("{header}.{claims}."),
            format!("{header}.cla ms.sig"),
            format!("{padded}.{claims}.sig"),
            format!("eyNoHeader.{claims}.signature"),
            format!("{}.{claims}.signature", part(r#"{"kid":"no alg"}"#)),
            format!("{header}.{claims}.four.parts"),
            "opaque.with.dots-of-a-token".to_owned(),
            "ö".repeat(11),
        ] {
            let kernel = kernel::from_presented("eu-west-1", "idp", odd.as_bytes()).ok();
            assert!(kernel.is_some(), "{odd}");
            assert_eq!(naming().bearer(&odd), kernel, "{odd}");
        }
    }

    #[test]
    fn event_ids_are_uuid_v8_and_differ_by_part() {
        let first = event_id("", "idp-log", "provider/x", 0).expect("short");
        let second = event_id("", "idp-log", "provider/x", 1).expect("short");
        assert_ne!(first, second);
        assert_eq!(first.len(), 36);
        assert_eq!(&first[14..15], "8");
        assert!(matches!(&first[19..20], "8" | "9" | "a" | "b"));
        assert_eq!(event_id("", "idp-log", &"x".repeat(70_000), 0), None);
    }
}
