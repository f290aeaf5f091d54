//! The API key of a request: as a bearer token, or as key id and secret (RFC 6749 section 2.3.1).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode;

/// Scheme and rest of the header `Authorization`; empty when there is none.
#[must_use]
pub fn scheme(headers: &HeaderMap) -> (&str, &str) {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split_once(' ')).unwrap_or_default()
}

/// The API key of a credential in either form, and the key id that a Basic one names beside it.
#[must_use]
pub fn credential(headers: &HeaderMap) -> Option<(Option<String>, String)> {
    match scheme(headers) {
        (basic_word, rest) if basic_word.eq_ignore_ascii_case("basic") => {
            basic(rest.trim()).map(|(key_id, key)| (Some(key_id), key))
        }
        (bearer, rest) if bearer.eq_ignore_ascii_case("bearer") => {
            Some((None, rest.trim().to_owned()))
        }
        _ => None,
    }
}

/// Key id and API key of a Basic credential.
fn basic(text: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(text).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let part = |bytes: &[u8]| String::from_utf8(unescape(bytes)).ok();
    let (key_id, secret) = (part(&decoded[..colon])?, part(&decoded[colon + 1..])?);
    let whole = secret.starts_with("llk_");
    let key = if whole { secret } else { format!("llk_{key_id}_{secret}") };
    Some((key_id, key))
}

/// The bytes of a part of a form (application/x-www-form-urlencoded).
#[must_use]
pub fn unescape(bytes: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> =
        bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_credential_is_an_api_key_in_two_parts() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = basic(&STANDARD.encode(text));
            let expected = expected.map(|(id, key)| (id.to_owned(), key.to_owned()));
            assert_eq!(found, expected, "{text}");
        };
        check("k1:c2VjcmV0", Some(("k1", "llk_k1_c2VjcmV0")));
        check("k1:llk_k1_c2VjcmV0", Some(("k1", "llk_k1_c2VjcmV0")));
        check("k%31:llk%5Fk2_a", Some(("k1", "llk_k2_a")));
        check("k1", None);
        assert_eq!(basic("not base64!"), None);
    }
}
