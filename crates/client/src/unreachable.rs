//! Why a server could not be reached, in words that say what to do, and whether to try again.
//!
//! Promises: nothing of a request is in the words. What no second try can change (a certificate, a
//! protocol, a name that does not exist) is not tried again.

use std::io;

use rustls::CertificateError;

/// Why a call was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// For people.
    pub words: String,
    /// Whether it may be better in a moment.
    pub passes: bool,
}

impl Lost {
    fn for_good(words: impl Into<String>) -> Self {
        Self { words: words.into(), passes: false }
    }

    fn for_now(words: impl Into<String>) -> Self {
        Self { words: words.into(), passes: true }
    }

    /// What an error of a call means.
    #[must_use]
    pub fn of(error: &ureq::Error) -> Self {
        match error {
            ureq::Error::Rustls(error) => Self::of_tls(error),
            ureq::Error::Tls(why) => Self::for_good(format!("TLS: {why}")),
            ureq::Error::HostNotFound => Self::for_good("no host has this name; look at --url"),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Self::for_good("the URL is none"),
            ureq::Error::Protocol(_) => Self::for_good(
                "it does not answer in HTTP; if it speaks TLS, the URL begins with https://",
            ),
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Self::for_now(
                "no connection within 3 seconds; is it running, and may it be reached?",
            ),
            ureq::Error::Timeout(_) => Self::for_now("no answer in time (--timeout-ms)"),
            ureq::Error::Io(error) => Self::of_io(error),
            ureq::Error::BodyExceedsLimit(_) => Self::for_good("the answer is longer than 64 MiB"),
            other => Self::for_now(other.to_string()),
        }
    }

    fn of_io(error: &io::Error) -> Self {
        let mut inner = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
        while let Some(one) = inner {
            if let Some(tls) = one.downcast_ref::<rustls::Error>() {
                return Self::of_tls(tls);
            }
            inner = one.source();
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Self::for_now("nothing listens there; is the server running, and is --url right?")
            }
            io::ErrorKind::TimedOut => Self::for_now(
                "no connection within 3 seconds; is it running, and may it be reached?",
            ),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::for_now(
                "the connection broke; if the server speaks TLS, the URL begins with https://",
            ),
            _ => Self::for_now(error.to_string()),
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use rustls::Error as Tls;
        match error {
            Tls::InvalidMessage(_) => Self::for_good(
                "it does not speak TLS; for a server without a certificate the URL begins with \
                 http://",
            ),
            Tls::InvalidCertificate(why) => Self::for_good(certificate(why)),
            Tls::AlertReceived(alert) => {
                Self::for_good(format!("the server refused TLS: {alert:?}"))
            }
            Tls::PeerIncompatible(_) => Self::for_good("the server speaks no TLS 1.2 or 1.3"),
            other => Self::for_good(format!("TLS: {other}")),
        }
    }
}

/// What is wrong with the server's certificate.
fn certificate(why: &CertificateError) -> String {
    let (what, cure) = match why {
        CertificateError::UnknownIssuer => (
            "is not signed by a certificate authority that is trusted here",
            "give its authority's certificate with --ca-file",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("has expired", "renew it on the server, and look at the clock of this machine")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet", "look at the clocks of this machine and of the server")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ("is for another name", "use the name that it is for in --url")
        }
        CertificateError::Revoked => ("was revoked", "the server needs a new one"),
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            "is that of a certificate authority (self-signed), which cannot be a server's own",
            "make a server certificate signed by it, and give the authority's with --ca-file",
        ),
        other => return format!("the server's certificate cannot be used ({other:?})"),
    };
    format!("the server's certificate {what}: {cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let tls = |error: rustls::Error| ureq::Error::Io(io::Error::other(error));
        let check = |error: ureq::Error, passes: bool, part: &str| {
            let lost = Lost::of(&error);
            assert_eq!(lost.passes, passes, "{error:?}");
            assert!(lost.words.contains(part), "{}", lost.words);
        };
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        check(tls(unknown.clone()), false, "--ca-file");
        check(ureq::Error::Rustls(unknown), false, "--ca-file");
        let message = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        check(tls(message), false, "http://");
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        check(tls(expired), false, "has expired");
        check(ureq::Error::HostNotFound, false, "no host");
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        check(ureq::Error::Io(refused), true, "nothing listens");
    }
}
