//! The API key of a request: as a bearer token, or as key id and secret (RFC 6749 section 2.3.1).

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_answers::problem::Problem;
use ledgerline_view::registry::{AuthError, Caller};
use percent_encoding::percent_decode;

/// The caller by its bearer API key alone (RFC 6750 section 2.1): no key in the query, no cookie.
/// All failures look alike to whoever does not have the secret.
///
/// # Errors
/// 401 without a valid key.
pub fn caller(
    headers: &HeaderMap,
    authenticate: impl FnOnce(&str) -> Result<Caller, AuthError>,
) -> Result<Caller, Problem> {
    let refuse = || {
        let detail = "send `Authorization: Bearer <API key>` with a key that is valid";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    };
    let (scheme, key) = scheme(headers);
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refuse());
    }
    authenticate(key.trim()).map_err(|error| {
        tracing::debug!(code = "unauthenticated", %error, "a caller was refused");
        // Said only to whoever has the secret: nobody else learns that there was such a key.
        let detail = match error {
            AuthError::Unknown => return refuse(),
            AuthError::Expired => "this API key has expired: ask an administrator for another",
            AuthError::Retired => "this API key was ended: ask an administrator for another",
        };
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    })
}

/// The refusal of a query that holds a key, as RFC 6750 section 2.3 and CloudEvents webhooks allow
/// senders.
#[must_use]
pub fn in_query(query: &str) -> Option<Problem> {
    query.split('&').any(|pair| pair.starts_with("access_token=")).then(|| {
        let detail = "a key in the URL ends in logs of servers and proxies, and this one may have \
                      by now: send `Authorization: Bearer <API key>`, and replace the key";
        Problem::bad_request("token_in_query", detail).about("access_token")
    })
}

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
