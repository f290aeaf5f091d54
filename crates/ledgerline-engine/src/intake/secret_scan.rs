//! Notices bearer values where none may stand.
//!
//! Promises: a statement that carries what is recognisably a credential is refused, so that it
//! never reaches the journal. Assumes nothing beyond shape: a JOSE compact serialisation, or the
//! prefix that an issuer gives its secrets for exactly this purpose. An opaque value without a mark
//! cannot be told from an id; adapters keep those out.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Prefixes that issuers put before secrets so that scanners can find them.
const MARKED: [&str; 14] = [
    "ory_at_",
    "ory_rt_",
    "ory_ac_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "hvs.",
    "llk_",
];

/// Whether `text` holds something that is recognisably a bearer value.
#[must_use]
pub fn holds_secret(text: &str) -> bool {
    if text.len() < 20 {
        return false;
    }
    MARKED.iter().any(|mark| {
        text.find(mark).is_some_and(|at| {
            let rest = &text[at + mark.len()..];
            rest.bytes().take_while(u8::is_ascii_alphanumeric).count() >= 16
        })
    }) || text.match_indices("eyJ").any(|(at, _)| is_jose(&text[at..]))
}

/// Finds every mark in one pass.
static MARKS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let marks = MARKED.iter().copied().chain(["eyJ"]);
    // Of all kinds of match only this one lets the crate look at sixteen bytes at a time.
    let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(marks);
    builder.expect("a few short patterns")
});

/// Whether encoded bytes hold something that is recognisably a bearer value. Looks at every byte
/// once and reads text only where a mark begins.
#[must_use]
pub fn bytes_hold_secret(bytes: &[u8]) -> bool {
    MARKS.find_iter(bytes).any(|mark| holds_secret(&ascii_run(&bytes[mark.start()..])))
}

/// The printable text at the start of `bytes`.
fn ascii_run(bytes: &[u8]) -> String {
    bytes.iter().take_while(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect()
}

/// Whether a compact JWS or JWE begins here.
fn is_jose(text: &str) -> bool {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    let mut parts = text[..end.unwrap_or(text.len())].split('.');
    let (Some(header), Some(payload)) = (parts.next(), parts.next()) else { return false };
    let header = URL_SAFE_NO_PAD.decode(header).ok();
    let header = header.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    header.is_some_and(|header| header.get("alg").is_some()) && payload.len() >= 4
}

#[cfg(test)]
mod tests {
    use super::holds_secret;

    #[test]
    fn secrets_are_told_from_ids() {
        let check = |text: &str, expected| assert_eq!(holds_secret(text), expected, "{text}");
        check("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", true);
        check("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", true);
        check("ory_at_abcdefghijklmnopqrstuvwxyz", true);
        check("see ghp_0123456789abcdefghij0123456789abcdef", true);
        check("eyJsaWJyYXJ5IjoianMifQ.not-a-token", false);
        check("eu-west-1:idp:jti:4f0c2a9e-0000-4000-8000-000000000000", false);
        check("read:finance", false);
    }
}
