//! What stands around a mark, where a run of one alphabet does not say it; and the few formats
//! without a mark that their form gives away.
//!
//! Assumes nothing of the text: it may be cut, encoded twice or no text at all.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use memchr::memmem::Finder;

use crate::alphabets::{alnum, base64 as is_base64, dotted, hex, url};

/// Reads what others wrote: with padding or without, with stray bits at the end.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    NO_PAD.with_decode_allow_trailing_bits(true).with_decode_padding_mode(Indifferent),
);
/// What a JOSE header's or a token's first member is called (RFC 7515, 7516, 7518, 7519, 7797).
const MEMBERS: [&str; 26] = [
    "alg", "typ", "kid", "enc", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit",
    "zip", "epk", "apu", "apv", "p2s", "p2c", "b64", "iss", "sub", "aud", "iat", "exp", "nbf",
    "jti",
];
/// So much of a header is looked at.
const HEADER_CHARS: usize = 2048;
/// So far behind a name its value begins.
const NAME_CHARS: usize = 40;
/// So far a URL's authority reaches.
const AUTHORITY_CHARS: usize = 512;

/// Marks of two bytes.
static PAIRS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"SK"), Finder::new(b"Q~")]);

/// A mark in a text.
#[derive(Clone, Copy)]
pub(crate) struct Mark<'t> {
    /// The whole text.
    pub(crate) text: &'t [u8],
    /// Where the mark begins.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
    /// Whether the text is one by itself. Else it is an encoded record, in which anything may stand
    /// beside a text: then nothing is ruled out for what stands before it or behind it.
    pub(crate) alone: bool,
}

impl<'t> Mark<'t> {
    /// What stands before it.
    pub(crate) fn before(self) -> &'t [u8] {
        &self.text[..self.start]
    }
    fn from(self) -> &'t [u8] {
        &self.text[self.start..]
    }
    /// What follows.
    pub(crate) fn rest(self) -> &'t [u8] {
        &self.text[self.end..]
    }
}

/// How many bytes of an alphabet begin here.
pub(crate) fn run(bytes: &[u8], is: fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is(**byte)).count()
}

/// How many bytes of an alphabet end here.
pub(crate) fn run_back(bytes: &[u8], is: fn(u8) -> bool) -> usize {
    bytes.iter().rev().take_while(|byte| is(**byte)).count()
}

fn white(bytes: &[u8]) -> usize {
    run(bytes, |byte| byte.is_ascii_whitespace())
}

/// Decodes the base64, of either alphabet, that begins here.
fn decoded(bytes: &[u8], most: usize) -> Vec<u8> {
    let length = run(bytes, |byte| url(byte) || matches!(byte, b'+' | b'/')).min(most);
    let standard = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    // A last character by itself is of no byte.
    let whole = if length % 4 == 1 { length - 1 } else { length };
    let text: Vec<u8> = bytes[..whole].iter().map(standard).collect();
    LENIENT.decode(text).unwrap_or_default()
}

fn has(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// Whether JSON of a JOSE header or of a token's claims begins here.
fn is_header(json: &[u8]) -> bool {
    let Some(inner) = json[white(json)..].strip_prefix(b"{") else { return false };
    let inner = &inner[white(inner)..];
    let Some(name) = inner.strip_prefix(b"\"") else { return false };
    let Some(end) = name.iter().position(|byte| *byte == b'"') else { return false };
    let behind = &name[end + 1..];
    let known = MEMBERS.iter().any(|known| known.as_bytes() == &name[..end]);
    (known && behind[white(behind)..].first() == Some(&b':'))
        || [&b"\"alg\":"[..], b"\"enc\":", b"\"alg\" :"].iter().any(|member| has(json, member))
}

/// A JOSE header: of a compact serialization, of a JSON one, or alone where the rest stands
/// elsewhere.
pub(crate) fn jose(mark: Mark<'_>) -> bool {
    is_header(&decoded(mark.from(), HEADER_CHARS))
}

/// base64 of a JWT.
pub(crate) fn base64_of_jose(mark: Mark<'_>) -> bool {
    let inner = decoded(mark.from(), HEADER_CHARS);
    is_header(&decoded(&inner, HEADER_CHARS))
}

/// A JWT that was put into base64 twice.
pub(crate) fn twice_base64_of_jose(mark: Mark<'_>) -> bool {
    let inner = decoded(&decoded(mark.from(), HEADER_CHARS), HEADER_CHARS);
    is_header(&decoded(&inner, HEADER_CHARS))
}

/// A JWT in hex digits.
pub(crate) fn hex_of_jose(mark: Mark<'_>) -> bool {
    let digits = &mark.from()[..run(mark.from(), hex).min(HEADER_CHARS)];
    let digit = |byte: u8| {
        u8::try_from(char::from(byte).to_digit(16).unwrap_or_default()).unwrap_or_default()
    };
    let inner: Vec<u8> = digits.chunks_exact(2).map(|d| digit(d[0]) << 4 | digit(d[1])).collect();
    is_header(&decoded(&inner, HEADER_CHARS))
}

/// DER in base64: a sequence of some length stands before its first member, which is the mark.
pub(crate) fn der_key(mark: Mark<'_>) -> bool {
    let before = mark.before();
    let front = before.len().checked_sub(6).map(|at| &before[at..at + 3]);
    front == Some(b"MII") && run(mark.rest(), is_base64) >= 40
}

/// A macaroon of the second version: a location of some length, then its identifier.
pub(crate) fn second_macaroon(mark: Mark<'_>) -> bool {
    let bytes = decoded(mark.from(), 128);
    let place = bytes.get(3..3 + usize::from(bytes.get(2).copied().unwrap_or_default()));
    let is_place = place.is_some_and(|text| {
        (4..=64).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
    });
    is_place && run(mark.rest(), is_base64) >= 60
}

/// A JWK with its private part: `"d"`, or `"k"` of a symmetric one.
pub(crate) fn private_jwk(mark: Mark<'_>) -> bool {
    ["\"d\"", "\"k\""].iter().any(|member| has(mark.text, member.as_bytes()))
}

/// `v4.local.…`, `k4.secret.…`: the mark is the word in the middle. A public key is none.
pub(crate) fn paseto(mark: Mark<'_>) -> bool {
    let [front @ .., kind, version] = mark.before() else { return false };
    let apart = !mark.alone || front.last().is_none_or(|byte| !alnum(*byte));
    let is_public_key = matches!(kind, b'k' | b'K') && has(mark.from(), b".public.");
    let token = matches!(kind, b'v' | b'V' | b'k' | b'K') && version.is_ascii_digit();
    apart && token && !is_public_key && run(mark.rest(), url) >= 32
}

/// `-----BEGIN … PRIVATE KEY`.
pub(crate) fn pem(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    has(&rest[..rest.len().min(64)], b"private key")
}

/// base64 of a PEM file.
pub(crate) fn base64_of_pem(mark: Mark<'_>) -> bool {
    has(&decoded(mark.from(), 128), b"private key")
}

/// HTTP Basic (RFC 7617) with a password that is not empty.
pub(crate) fn basic(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let blank = white(rest);
    let rest = &rest[blank..];
    let pair = decoded(rest, HEADER_CHARS);
    let Some(colon) = pair.iter().position(|byte| *byte == b':') else { return false };
    let plain = std::str::from_utf8(&pair).is_ok_and(|text| !text.chars().any(char::is_control));
    let pair = (plain || !mark.alone) && colon + 1 < pair.len();
    blank > 0 && run(rest, is_base64) >= 6 && pair
}

/// A scheme with what looks like no word: `Bearer …` (RFC 6750), `DPoP …`, `SSWS …`.
pub(crate) fn bearer(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let blank = run(rest, |byte| byte.is_ascii_whitespace() || byte == b':' || byte == b'+');
    blank > 0 && is_opaque(&rest[blank..], 16)
}

/// Whether a value begins here that no word is: letters and digits of some length, or letters of
/// both cases of more.
fn is_opaque(bytes: &[u8], least: usize) -> bool {
    let token = |byte: u8| dotted(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=');
    let value = &bytes[..run(bytes, token)];
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let digits = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let cases = value.len() >= 24 && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    value.len() >= least && (digits || cases)
}

/// `access_token=…`, `"client_secret": "…"`, `aws_secret_access_key = …`. Passwords are shorter
/// than tokens, and short ones are told from words by a digit.
pub(crate) fn assigned(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let whole = mark.text[..mark.end].ends_with(b"=");
    let name = if whole { 0 } else { run(rest, url).min(NAME_CHARS) };
    let behind = &rest[name..];
    let is_sign = |byte: u8| matches!(byte, b'"' | b'\'' | b'=' | b':' | b' ' | b'>' | b'\\');
    let signs = &behind[..run(behind, is_sign).min(8)];
    let name_is = mark.text[mark.start..mark.end].to_ascii_lowercase();
    let is_password = name_is.starts_with(b"passw") || name_is.starts_with(b"pwd");
    let value = &behind[signs.len()..];
    let set =
        whole || signs.contains(&b'=') || [&b"\":"[..], b"':"].iter().any(|sign| has(signs, sign));
    // A colon and a blank stand in headers, and in sentences.
    let header = has(signs, b": ") && !is_password && is_random(value);
    header || (set && is_opaque(value, if is_password { 6 } else { 16 }))
}

/// Whether a value begins here that no words joined together are: letters of both cases, or hex.
fn is_random(bytes: &[u8]) -> bool {
    let value = &bytes[..run(bytes, is_base64)];
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let cases = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    is_opaque(bytes, 16) && (cases || (value.len() >= 32 && run(value, hex) == value.len()))
}

/// Whether a value begins here that is both long and of letters of both cases: what stands behind
/// `token=`, `code=` or `secret: ` may be an id, or words.
pub(crate) fn set_to(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let rest = &rest[run(rest, |byte| matches!(byte, b' ' | b'"' | b'\'')).min(2)..];
    has_cases(&rest[..run(rest, is_base64)], 32)
}

/// At least so many letters of both cases, with digits, or with capitals side by side as no words
/// joined together have them.
pub(crate) fn has_cases(value: &[u8], least: usize) -> bool {
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let capitals = value.windows(2).filter(|two| two.iter().all(u8::is_ascii_uppercase)).count();
    value.len() >= least
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && (has(u8::is_ascii_digit) || capitals >= 3)
}

/// A cookie, or a header of them: one has a value that no word is.
pub(crate) fn cookies(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let rest = &rest[..rest.len().min(HEADER_CHARS)];
    let value = |byte: u8| dotted(byte) || matches!(byte, b'~' | b'+' | b'/' | b'%' | b':');
    let is_long = |text: &[u8]| {
        let mut parts = text[..run(text, value)].split(|byte| !alnum(*byte));
        parts.any(|part| is_opaque(part, 20))
    };
    if mark.text[mark.start..mark.end].ends_with(b"=") {
        return is_long(rest);
    }
    let mut parts = rest.split(|byte| *byte == b';');
    parts.any(|part| {
        let name = part.iter().position(|byte| *byte == b'=');
        name.is_some_and(|at| is_long(&part[at + 1..]))
    })
}

/// `api_key=…` in all its spellings without a sign; `ApiKey` as a scheme with a pair in base64.
pub(crate) fn api_key(mark: Mark<'_>) -> bool {
    assigned(mark) || basic(mark)
}

/// A URL's `user:password@host`, or a user that is no name; what stands for a password, such as
/// `***`, is none.
pub(crate) fn userinfo(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let rest = &rest[..rest.len().min(AUTHORITY_CHARS)];
    let end = run(rest, |byte| byte.is_ascii_graphic() && !b"/?#\"<>\\".contains(&byte));
    let Some(at) = rest[..end].iter().rposition(|byte| *byte == b'@') else { return false };
    let Some(colon) = rest[..at].iter().position(|byte| *byte == b':') else {
        return run(rest, url) == at && is_opaque(&rest[..at], 20);
    };
    rest[colon + 1..at].iter().any(u8::is_ascii_alphanumeric)
}

/// `xoxb-…`, `xoxe.xoxp-…`, `xoxd-…`.
pub(crate) fn slack(mark: Mark<'_>) -> bool {
    let [kind, sign, rest @ ..] = mark.rest() else { return false };
    let value = |byte: u8| dotted(byte) || matches!(byte, b'%' | b'+' | b'/');
    kind.is_ascii_alphabetic() && matches!(sign, b'-' | b'.') && run(rest, value) >= 10
}

/// `xapp-1-…`.
pub(crate) fn slack_app(mark: Mark<'_>) -> bool {
    let [digit, b'-', rest @ ..] = mark.rest() else { return false };
    digit.is_ascii_digit() && run(rest, url) >= 16
}

/// The path of a webhook, which is all that guards it.
pub(crate) fn webhook(mark: Mark<'_>) -> bool {
    run(mark.rest(), |byte| url(byte) || byte == b'/') >= 24
}

/// `ory_at_…`: a short word, and then the value.
pub(crate) fn ory(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let kind = run(rest, |byte| byte.is_ascii_alphabetic());
    (1..=12).contains(&kind)
        && rest.get(kind) == Some(&b'_')
        && run(&rest[kind + 1..], dotted) >= 16
}

/// `ghp_` and `npm_` with 36 characters or what is left of them; longer ones have grown. Behind
/// four characters, a value as long as a digest may be one.
pub(crate) fn github(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let length = run(rest, alnum);
    if !mark.alone {
        return length >= 16;
    }
    let is_cut = rest.get(length).is_some_and(|byte| url(*byte));
    length >= 16 && !is_digest_length(4 + run(rest, url)) && (length >= 36 || !is_cut)
}

/// Lengths of base64url of 16, 20, 28 and 32 bytes: marked secrets are longer.
pub(crate) fn is_digest_length(chars: usize) -> bool {
    matches!(chars, 22 | 27 | 38 | 43)
}

/// `llk_`, a key's id, `_`, and 43 characters; or a part of it that is no digest.
pub(crate) fn own_key(mark: Mark<'_>) -> bool {
    let length = run(mark.rest(), dotted);
    length >= 16 && !(mark.alone && is_digest_length(4 + length))
}

/// `dckr_pat_…`, `dckr_oat_…`.
pub(crate) fn docker(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let kind = run(rest, |byte| byte.is_ascii_alphabetic());
    rest.get(kind) == Some(&b'_') && run(&rest[kind + 1..], url) >= 16
}

/// Google's refresh tokens begin `1//0`.
pub(crate) fn google_refresh(mark: Mark<'_>) -> bool {
    let length = run(mark.rest(), url);
    // In the base64 of other bytes it stands by chance.
    let chance = mark.alone && mark.before().last().is_some_and(|byte| b"+/".contains(byte));
    !chance && ((mark.rest().first() == Some(&b'0') && length >= 30) || length >= 60)
}

/// `sq0atp-…`, `sq0csp-…`.
pub(crate) fn square(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let kind = run(rest, |byte| byte.is_ascii_alphabetic());
    kind == 3 && rest.get(kind) == Some(&b'-') && run(&rest[4..], url) >= 20
}

/// `sk-…` of those who sell models: named ones, and the nameless of their known lengths.
pub(crate) fn sk(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let named = ["proj-", "svcacct-", "admin-", "none-", "ant-", "or-", "lf-", "live-"];
    let names = |name: &&str| {
        let (name, length) = (name.as_bytes(), name.len());
        rest.get(..length).is_some_and(|front| front.eq_ignore_ascii_case(name))
    };
    let value = run(rest, url);
    if let Some(name) = named.iter().find(|name| names(name)) {
        return value >= name.len() + 16;
    }
    let length = run(rest, alnum);
    (!mark.alone && length >= 32)
        || (length == value && matches!(length, 32 | 48))
        || has(&rest[..value], b"T3BlbkFJ")
}

/// `SG.` and two parts.
pub(crate) fn sendgrid(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let first = run(rest, url);
    (16..=32).contains(&first)
        && rest.get(first) == Some(&b'.')
        && run(&rest[first + 1..], url) >= 32
}

/// 32 hex digits, `-us`, and the number of a data centre.
pub(crate) fn mailchimp(mark: Mark<'_>) -> bool {
    let before = mark.before();
    let length = run_back(before, hex);
    (if mark.alone { length == 32 && run_back(before, alnum) == 32 } else { length >= 32 })
        && mark.rest().first().is_some_and(u8::is_ascii_digit)
}

/// Eight to ten digits, a colon, and 35 characters that begin `AA`.
pub(crate) fn telegram(mark: Mark<'_>) -> bool {
    let digits = run_back(mark.before(), |byte| byte.is_ascii_digit());
    let value = run(mark.rest(), url);
    if !mark.alone {
        return digits >= 8 && value >= 32;
    }
    (8..=10).contains(&digits)
        && run_back(mark.before(), url) == digits
        && (32..=34).contains(&value)
}

/// `sbp_` with 40 hex digits, or a kind and more of them.
pub(crate) fn supabase(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let kind = if run(rest, |byte| byte.is_ascii_alphabetic()) == 5 { 6 } else { 0 };
    rest.get(kind..).is_some_and(|value| run(value, hex) >= 32)
}

/// Cloudflare's origin CA keys: 24 hex digits, a dash, and 146 of them.
pub(crate) fn cloudflare(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    run(rest, hex) == 24 && rest.get(24) == Some(&b'-') && run(&rest[25..], hex) >= 100
}

/// `dp.pt.…`, `dp.st.dev.…`.
pub(crate) fn doppler(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let kinds = ["pt.", "st.", "ct.", "sa.", "scim.", "audit."];
    let kind = kinds.iter().find(|kind| {
        rest.get(..kind.len()).is_some_and(|front| front.eq_ignore_ascii_case(kind.as_bytes()))
    });
    let Some(kind) = kind else { return false };
    let value = &rest[kind.len()..run(rest, dotted)];
    value.split(|byte| *byte == b'.').any(|part| run(part, alnum) >= 32)
}

/// Dynatrace's OAuth clients, beside its tokens.
pub(crate) fn dynatrace(mark: Mark<'_>) -> bool {
    run(mark.rest(), dotted) >= 40
}

/// `lin_api_…`, `lin_oauth_…`.
pub(crate) fn linear(mark: Mark<'_>) -> bool {
    ory(mark)
}

/// `pat` and 14 characters, a dot, and 64 hex digits.
pub(crate) fn airtable(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    run(rest, alnum) == 14 && rest.get(14) == Some(&b'.') && run(&rest[15..], hex) >= 64
}

/// Whether a secret without a mark stands here, that its form gives away. `alone` as in [`Mark`].
pub(crate) fn unmarked(text: &[u8], alone: bool) -> bool {
    let free = |start: usize| !alone || start == 0 || !url(text[start - 1]);
    let ends = |length: usize, wanted: usize| length == wanted || (!alone && length > wanted);
    let dotted_form = |dot: usize| {
        let (kind, rest) = (dot.checked_sub(1).map(|at| text[at]), &text[dot + 1..]);
        // Vault's first form: `s.` and 24 characters; batch tokens are longer.
        let service = matches!(kind, Some(b's' | b'r')) && ends(run(rest, alnum), 24);
        let batch = kind == Some(b'b') && run(rest, url) >= 90;
        ((service || batch) && free(dot - 1)) || is_discord(text, dot, alone)
    };
    let twilio = |at: usize| {
        free(at) && ends(run(&text[at + 2..], url), 32) && run(&text[at + 2..], hex) >= 32
    };
    // Entra ID: three characters, a digit, `Q~`, and 31 to 34.
    let entra = |at: usize| {
        let tilde = |byte: u8| dotted(byte) || byte == b'~';
        let front = at.checked_sub(1).is_some_and(|digit| text[digit].is_ascii_digit());
        front && run_back(&text[..at], tilde) >= 4 && run(&text[at + 2..], tilde) >= 31
    };
    let [twilios, entras] = &*PAIRS;
    memchr::memchr_iter(b'.', text).any(dotted_form)
        || twilios.find_iter(text).any(twilio)
        || entras.find_iter(text).any(entra)
}

/// base64 of a number of 17 to 20 digits, a dot, six characters, a dot, 27 or more.
fn is_discord(text: &[u8], dot: usize, alone: bool) -> bool {
    let rest = &text[dot + 1..];
    if rest.get(6) != Some(&b'.') || run(rest, url) != 6 || run(&rest[7..], url) < 27 {
        return false;
    }
    let length = run_back(&text[..dot], url);
    let lengths = if alone { length..=length } else { 23..=length.min(28) };
    lengths.filter(|length| (23..=28).contains(length)).any(|length| {
        let number = decoded(&text[dot - length..dot], 28);
        (17..=20).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
    })
}
