//! Token ids: stable references to tokens that are never the tokens themselves.
//!
//! ```text
//! <region>:<issuer alias>:<form>:<value>      printable ASCII, at most 256 bytes
//! region, alias   [a-z0-9._-]{1,32}
//! form  jti   value = the token's jti, where the source's rule says that it is no bearer value
//!       jh    value = base64url SHA-256("ledgerline/jti/v1\0" ‖ jti), for an over-long or odd jti
//!       acc   value = accessor or key id
//!       t1    value = base64url SHA-256("ledgerline/token/v1\0" ‖ presented bytes)
//!       h<k>  value = HMAC under key generation k of that digest, for weak tokens
//! value           bytes 0x21..=0x7E, may contain ':'
//! ```
//!
//! For a compact JWS the presented bytes of `t1` are the signing input `header.payload` only:
//! signature bytes are malleable, and one token must have one id.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::hash::{DomainHasher, domain};

/// Longest token id in bytes.
pub const MAX_TOKEN_ID_BYTES: usize = 256;
/// Shortest opaque token that `t1` may hash: 128 bits in base64 or 16 raw bytes hold at least this
/// many characters. Shorter ones could be found by trying.
pub const MIN_TOKEN_BYTES: usize = 22;

/// How a token id names its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By its `jti`.
    Jti,
    /// By the digest of its `jti`.
    JtiHash,
    /// By accessor or key id.
    Accessor,
    /// By the digest of what was presented.
    T1,
    /// By HMAC under a key generation.
    Keyed(u32),
}

/// A parsed token id, borrowing its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenId<'a> {
    text: &'a str,
    region_end: usize,
    alias_end: usize,
    value_start: usize,
    form: Form,
}

/// Why text is not a token id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenIdError {
    /// Longer than 256 bytes.
    #[error("a token id has at most {MAX_TOKEN_ID_BYTES} bytes")]
    TooLong,
    /// Not four parts.
    #[error("a token id is region:issuer:form:value")]
    Shape,
    /// Region or alias outside `[a-z0-9._-]{1,32}`.
    #[error("region and issuer alias match [a-z0-9._-]{{1,32}}")]
    Name,
    /// Unknown form.
    #[error("the form is one of jti, jh, acc, t1, h<k>")]
    Form,
    /// A value outside its form.
    #[error("the value does not fit its form")]
    Value,
    /// The token is too short to be named by a plain digest.
    #[error("weak_token: tokens below 128 bits are refused, their digest could be guessed")]
    WeakToken,
}

impl<'a> TokenId<'a> {
    /// Parses and checks a token id.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, TokenIdError> {
        if text.len() > MAX_TOKEN_ID_BYTES {
            return Err(TokenIdError::TooLong);
        }
        // All three marks are ASCII, so slices at them are text.
        let mut marks =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b':').map(|(at, _)| at);
        let (Some(region_end), Some(alias_end), Some(form_end)) =
            (marks.next(), marks.next(), marks.next())
        else {
            return Err(TokenIdError::Shape);
        };
        if !is_name(&text[..region_end]) || !is_name(&text[region_end + 1..alias_end]) {
            return Err(TokenIdError::Name);
        }
        let value = &text[form_end + 1..];
        let form = parse_form(&text[alias_end + 1..form_end])?;
        // No early end: the loop is as long as a branch would be, and takes many bytes at a time.
        let plain = value.bytes().fold(true, |plain, byte| plain & (0x21..=0x7e).contains(&byte));
        let plain = plain && !value.is_empty();
        let digest = matches!(form, Form::JtiHash | Form::T1 | Form::Keyed(_));
        if !plain || (digest && !is_digest(value)) {
            return Err(TokenIdError::Value);
        }
        Ok(Self { text, region_end, alias_end, value_start: form_end + 1, form })
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The issuer's home region.
    #[must_use]
    pub fn region(&self) -> &'a str {
        &self.text[..self.region_end]
    }

    /// The issuer's alias.
    #[must_use]
    pub fn issuer(&self) -> &'a str {
        &self.text[self.region_end + 1..self.alias_end]
    }

    /// The form.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &'a str {
        &self.text[self.value_start..]
    }
}

/// Whether two ids can be of one token: a token has one issuer, and an id names it. What says
/// otherwise joins nothing, whoever says it.
#[must_use]
pub fn can_be_one_token(one: &str, other: &str) -> bool {
    let front = |id| TokenId::parse(id).ok().map(|id| (id.region(), id.issuer()));
    let (one, other) = (front(one), front(other));
    one.is_some() && one == other
}

/// The bytes of source names, regions and issuer aliases.
#[must_use]
pub const fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[byte as usize]
}

/// One look instead of four comparisons: names are short, so they are judged byte by byte.
static NAME_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut at = 0;
    while at < 128 {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let byte = at as u8;
        bytes[at] = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        at += 1;
    }
    bytes
};

fn parse_form(form: &str) -> Result<Form, TokenIdError> {
    match form {
        "jti" => Ok(Form::Jti),
        "jh" => Ok(Form::JtiHash),
        "acc" => Ok(Form::Accessor),
        "t1" => Ok(Form::T1),
        _ => {
            let digits = form.strip_prefix('h').ok_or(TokenIdError::Form)?;
            let generation = digits.parse::<u32>().map_err(|_| TokenIdError::Form)?;
            let canonical = generation.to_string() == digits;
            if canonical { Ok(Form::Keyed(generation)) } else { Err(TokenIdError::Form) }
        }
    }
}

/// Whether `name` can be a region or an issuer alias.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().fold(true, |all, byte| all & is_name_byte(byte))
}

fn is_digest(value: &str) -> bool {
    // 43 characters carry 258 bits: the last two, which are of no byte, are zero in the one
    // encoding of 32 bytes.
    let Some((last, front)) = value.as_bytes().split_last() else { return false };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_');
    let is_text = front.iter().fold(true, |all, byte| all & is_digit(*byte));
    front.len() == 42 && is_text && b"AEIMQUYcgkosw048".contains(last)
}

/// The `t1` value of a token as it was presented.
///
/// # Errors
/// `WeakToken` for tokens shorter than [`MIN_TOKEN_BYTES`].
pub fn t1_value(presented: &[u8]) -> Result<String, TokenIdError> {
    if presented.len() < MIN_TOKEN_BYTES {
        return Err(TokenIdError::WeakToken);
    }
    let digest = DomainHasher::new(domain::TOKEN).bytes(signing_input(presented)).finish();
    Ok(URL_SAFE_NO_PAD.encode(digest.as_bytes()))
}

/// The `jh` value of a jti that is too long or odd to stand in an id.
#[must_use]
pub fn jti_hash_value(jti: &str) -> String {
    let digest = DomainHasher::new(domain::JTI).bytes(jti.as_bytes()).finish();
    URL_SAFE_NO_PAD.encode(digest.as_bytes())
}

/// The id of a token with a known, safe `jti`: form `jti`, or `jh` where the jti does not fit.
///
/// # Errors
/// When region or alias are not names.
pub fn from_jti(region: &str, alias: &str, jti: &str) -> Result<String, TokenIdError> {
    if !is_name(region) || !is_name(alias) {
        return Err(TokenIdError::Name);
    }
    let plain = format!("{region}:{alias}:jti:{jti}");
    if TokenId::parse(&plain).is_ok() {
        return Ok(plain);
    }
    Ok(format!("{region}:{alias}:jh:{}", jti_hash_value(jti)))
}

/// The other id under which a token of form `jti` may stand: a source that hashes every jti gives
/// it the form `jh`. `None` for every other id; no jti is told from its digest.
#[must_use]
pub fn hashed_jti(id: &str) -> Option<String> {
    let id = TokenId::parse(id).ok().filter(|id| id.form() == Form::Jti)?;
    Some(format!("{}:{}:jh:{}", id.region(), id.issuer(), jti_hash_value(id.value())))
}

/// The id of a token known only by its value.
///
/// # Errors
/// `WeakToken`, or `Name` when region or alias are not names.
pub fn from_presented(region: &str, alias: &str, token: &[u8]) -> Result<String, TokenIdError> {
    if !is_name(region) || !is_name(alias) {
        return Err(TokenIdError::Name);
    }
    Ok(format!("{region}:{alias}:t1:{}", t1_value(token)?))
}

/// What `t1` hashes: `header.payload` of a compact JWS, everything of any other token. A JWS here
/// is what has three parts of which the first is JSON, in base64url, with an `alg`.
#[must_use]
pub fn signing_input(presented: &[u8]) -> &[u8] {
    let dots: Vec<usize> =
        presented.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at).collect();
    let [first, second] = dots[..] else { return presented };
    let is_jose = URL_SAFE_NO_PAD
        .decode(&presented[..first])
        .ok()
        .and_then(|header| serde_json::from_slice::<serde_json::Value>(&header).ok())
        .is_some_and(|header| header.get("alg").is_some());
    if is_jose { &presented[..second] } else { presented }
}

/// Whether text looks like a bearer value rather than an id. Such text is refused as a command line
/// argument or URL part: it would stay in a shell history or an access log.
#[must_use]
pub fn looks_like_token(text: &str) -> bool {
    TokenId::parse(text).is_err()
        && text.len() >= MIN_TOKEN_BYTES
        && !text.contains(['/', ' ', ':', '@'])
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_what_decodes_to_32_bytes() {
        let check = |text: &str| {
            let decodes = URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
            assert_eq!(is_digest(text), decodes, "{text}");
            decodes
        };
        let digest = jti_hash_value("x");
        let mut count = 0;
        for at in 0..digest.len() {
            for byte in 0..=127u8 {
                let other = [&digest[..at], &char::from(byte).to_string(), &digest[at + 1..]];
                count += usize::from(check(&other.concat()));
            }
        }
        assert_eq!(count, 42 * 64 + 16);
        for length in 0..=48 {
            check(&"A".repeat(length));
        }
        check(&"\u{e9}".repeat(22));
    }

    #[test]
    fn ids_parse_exactly_by_the_rules() {
        let check = |text: &str, expected: Result<Form, TokenIdError>| {
            assert_eq!(TokenId::parse(text).map(|id| id.form()), expected, "{text}");
        };
        let digest = jti_hash_value("x");
        check("eu-west-1:idp:jti:4f0c", Ok(Form::Jti));
        check("eu:idp:jti:urn:uuid:1", Ok(Form::Jti));
        check("eu:idp:acc:hmac-sha256:ab", Ok(Form::Accessor));
        check(&format!("eu:idp:t1:{digest}"), Ok(Form::T1));
        check(&format!("eu:idp:jh:{digest}"), Ok(Form::JtiHash));
        check(&format!("eu:idp:h12:{digest}"), Ok(Form::Keyed(12)));
        check(&format!("eu:idp:h012:{digest}"), Err(TokenIdError::Form));
        check(&format!("eu:idp:t1:{digest}="), Err(TokenIdError::Value));
        check("eu:idp:t1:short", Err(TokenIdError::Value));
        check("eu:idp:jti:", Err(TokenIdError::Value));
        check("eu:idp:jti:a b", Err(TokenIdError::Value));
        check("EU:idp:jti:a", Err(TokenIdError::Name));
        check(":idp:jti:a", Err(TokenIdError::Name));
        check("eu:idp:jti", Err(TokenIdError::Shape));
        check("eu:idp:sha:a", Err(TokenIdError::Form));
        check(&format!("eu:idp:jti:{}", "a".repeat(256)), Err(TokenIdError::TooLong));
    }

    #[test]
    fn a_jws_has_one_id_whatever_its_signature_bytes() {
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"ES256"}"#);
        let first = format!("{header}.eyJqdGkiOiJhIn0.AAAA");
        let second = format!("{header}.eyJqdGkiOiJhIn0.BBBB");
        assert_eq!(t1_value(first.as_bytes()), t1_value(second.as_bytes()));
        let opaque = "not-a-jws-header.but.has-two-dots";
        assert_ne!(t1_value(opaque.as_bytes()), t1_value(b"not-a-jws-header.but.has-two-dotz"));
        assert_eq!(t1_value(b"short"), Err(TokenIdError::WeakToken));
    }

    #[test]
    fn an_odd_jti_becomes_its_digest() {
        assert_eq!(from_jti("eu", "idp", "4f0c"), Ok("eu:idp:jti:4f0c".into()));
        assert!(from_jti("eu", "idp", "with space").unwrap().starts_with("eu:idp:jh:"));
        assert!(from_jti("eu", "idp", &"x".repeat(300)).unwrap().starts_with("eu:idp:jh:"));
        let hashed = format!("eu:idp:jh:{}", jti_hash_value("4f0c"));
        assert_eq!(hashed_jti("eu:idp:jti:4f0c").as_ref(), Some(&hashed));
        assert_eq!(hashed_jti(&hashed), None);
    }
}
