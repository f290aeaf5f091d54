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

/// Characters of a SHA-256 in base64url.
const DIGEST_CHARS: usize = 43;

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
    MARKS.find_iter(bytes).any(|mark| {
        let at = mark.start();
        (begins_string(bytes, at) || !is_of_word(bytes[at - 1])) && begins_secret(bytes, at)
    })
}

/// What secrets, ids and digests are written in. A mark inside such a word is chance: one in some
/// hundred thousand random values of 43 characters has one.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether an encoded string may begin here: its length, which stands before it, may look like a
/// letter (Avro writes lengths below 64 as one byte, doubled).
fn begins_string(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| bytes[before]) else { return true };
    let length = usize::from(before / 2);
    before.is_multiple_of(2)
        && bytes.get(at..at + length).is_some_and(|text| text.iter().all(u8::is_ascii_graphic))
}

/// Whether the mark at `at` begins a secret.
fn begins_secret(bytes: &[u8], at: usize) -> bool {
    if is_in_digest(bytes, at) {
        return false;
    }
    let text = ascii_run(&bytes[at..]);
    let marked = MARKED
        .iter()
        .filter_map(|mark| text.strip_prefix(mark))
        .any(|rest| rest.bytes().take_while(u8::is_ascii_alphanumeric).count() >= 16);
    marked || (text.starts_with("eyJ") && is_jose(&text))
}

/// Whether this is a place in the digest of a token id (`:t1:`, `:jh:`), whose characters are
/// random.
fn is_in_digest(bytes: &[u8], at: usize) -> bool {
    let word = bytes[..at].iter().rev().take_while(|byte| is_of_word(**byte)).count();
    let head = &bytes[..at - word];
    word < DIGEST_CHARS
        && (head.ends_with(b":t1:") || head.ends_with(b":jh:"))
        && bytes[at..].iter().take_while(|byte| is_of_word(**byte)).count() + word >= DIGEST_CHARS
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
    use super::bytes_hold_secret;

    fn holds_secret(text: &str) -> bool {
        bytes_hold_secret(text.as_bytes())
    }

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
        check("client-0ghp_0123456789abcdef", false);
        check("key=llk_0123456789abcdef0123", true);
    }

    /// Four of a million tokens had ids that were refused as secrets.
    #[test]
    fn a_digest_that_reads_like_a_mark_is_none() {
        for digest in [
            "Gghp_WnW0Xy3mJk2bq9TtQe7cVhR5sLzPaD8fUo1Ni4",
            "ghp_0WnW0Xy3mJk2bq9TtQe7cVhR5sLzPaD8fUo1Ni4",
        ] {
            assert_eq!(digest.len(), 43);
            for form in ["t1", "jh"] {
                let id = format!("eu-west-1:idp:{form}:{digest}");
                assert!(!holds_secret(&id), "{id}");
                for behind in ["", "a", "H", "\u{2}"] {
                    let encoded = format!("{}{id}{behind}", '\u{7e}');
                    assert!(!bytes_hold_secret(encoded.as_bytes()), "{encoded:?}");
                }
            }
        }
        assert!(holds_secret("eu-west-1:idp:t1:ghp_0123456789abcdef"));
    }

    /// An encoded string follows its length, which may be a letter.
    #[test]
    fn a_mark_behind_a_length_is_found() {
        let secret = format!("ghp_{}", "0123456789abcdef".repeat(3));
        for length in 20..secret.len() {
            let mut bytes = vec![b'x', u8::try_from(2 * length).unwrap()];
            bytes.extend_from_slice(&secret.as_bytes()[..length]);
            bytes.push(2);
            assert!(bytes_hold_secret(&bytes), "length {length}");
        }
    }
}
