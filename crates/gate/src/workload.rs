//! Workloads: callers that prove who they are without an API key.
//!
//! ```text
//! certificate of the connection ─▶ names ─▶ credential ─┐
//! Authorization: Bearer <JWT>   ─▶ checked ▶ credential ─┴▶ Authorization: Bearer <pass>
//! ```
//!
//! Promises: a pass is good in this process alone, for it holds 256 random bits that never leave
//! it: what stands behind this door takes it for the credential it names, and nobody can bring one.
//! An `Authorization` header wins over a certificate. What does not prove anything is left as it
//! came, and refused behind this door as any unknown key is.
//!
//! Assumes: TLS has verified the certificate, chain and times. Refuses: to know issuers and
//! settings.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use ledgerline_api::uuid_text;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::CertificateDer;

use crate::credential::scheme;

const PREFIX: &str = "llw_";
/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Names of a certificate that are looked at.
const NAMES_MAX: usize = 64;

/// Finds the credential of who is called so, or of who presents such a token. May block.
pub type Finds = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Which workloads there are.
pub struct Workloads {
    /// By a name of a certificate: a URI as it is, a DNS name behind `dns:`.
    pub by_name: Finds,
    /// By a token.
    pub by_token: Finds,
}

/// Makes passes, and knows them.
pub struct Passes(String);

impl Passes {
    /// New ones.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).expect("the system has randomness");
        Self(format!("{PREFIX}{}_", uuid_text::hex(&secret)))
    }

    /// The credential that a pass names; `None` for what is no pass of this process.
    #[must_use]
    pub fn key_id<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (mark, key_id) = text.split_at_checked(self.0.len())?;
        let same = mark.bytes().zip(self.0.bytes()).fold(0, |all, (one, two)| all | (one ^ two));
        (same == 0).then_some(key_id)
    }

    /// Puts a pass for a credential into the headers of a request.
    pub fn give(&self, key_id: &str, headers: &mut HeaderMap) {
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}{key_id}", self.0)) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
}

impl Default for Passes {
    fn default() -> Self {
        Self::new()
    }
}

/// The token of a request that may be of a workload: a bearer value in three parts.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let (word, token) = scheme(headers);
    let is_token = word.eq_ignore_ascii_case("bearer")
        && token.len() <= TOKEN_BYTES_MAX
        && token.bytes().filter(|byte| *byte == b'.').count() == 2;
    is_token.then(|| token.trim())
}

/// The names of a certificate: its URIs, and its DNS names behind `dns:`. Its subject is none: that
/// is a text for people.
#[must_use]
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(read) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let uris = read.valid_uri_names().map(str::to_owned);
    let names = read.valid_dns_names().map(|name| format!("dns:{name}"));
    uris.chain(names).take(NAMES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_good_where_it_was_made_alone() {
        let (passes, others) = (Passes::new(), Passes::new());
        let mut headers = HeaderMap::new();
        passes.give("gw-1", &mut headers);
        let (_, text) = scheme(&headers);
        assert_eq!(passes.key_id(text), Some("gw-1"));
        assert_eq!(others.key_id(text), None);
        for altered in [&text[1..], "", "llw_", "llk_gw-1_x", &text.replacen('_', "-", 1)] {
            assert_eq!(passes.key_id(altered), None, "{altered}");
        }
        assert_eq!(token(&headers), None, "a pass is no token");
    }
}
