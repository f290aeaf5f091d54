//! Whether bytes hold a secret.
//!
//! Two steps, since nearly all events hold none: [`may_hold_secret`] looks at encoded records as
//! they are, all texts at once, and forgets nothing; where it finds a mark with enough behind it,
//! the texts are looked at one by one, with what stands before the mark.

use ledgerline_proof::token_id::{Form, TokenId};

use crate::alphabets::url;
use crate::formats::{Format, Left, Rest};
use crate::marks::MARKS;
use crate::shapes::{Mark, is_digest_length, run, unmarked};

/// Layers of encoding that are taken off.
const LAYERS: usize = 3;
/// Characters of a SHA-256 in base64url.
const DIGEST_CHARS: usize = 43;

/// Whether encoded records may hold a secret: false is certain.
#[must_use]
pub fn may_hold_secret(bytes: &[u8]) -> bool {
    let encoded = memchr::memchr_iter(b'%', bytes).any(|at| escaped(&bytes[at + 1..], 2));
    encoded
        || hidden(bytes).next().is_some()
        || memchr::memmem::find(bytes, b"\\u").is_some()
        || MARKS.any(bytes, |format, at| format.is_at(bytes, at, false))
        || unmarked(bytes, false)
}

/// Whether a text holds a secret.
#[must_use]
pub fn holds_secret(text: &[u8]) -> bool {
    if !may_hold_secret(text) {
        return false;
    }
    let seen = visible(text);
    seen.is_some_and(in_layers) || in_layers(text.to_vec())
}

/// Whether a text holds a secret, in any of its layers.
fn in_layers(mut text: Vec<u8>) -> bool {
    for _ in 0..=LAYERS {
        if MARKS.any(&text, |format, at| format.is_at(&text, at, true)) || unmarked(&text, true) {
            return true;
        }
        match decoded(&text) {
            Some(inner) => text = inner,
            None => return false,
        }
    }
    // Nobody encodes an id so often.
    true
}

/// Where characters stand that nobody sees, and how long each is.
fn hidden(text: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    memchr::memchr3_iter(0xc2, 0xe2, 0xef, text).filter_map(|at| {
        let length = match text[at..] {
            [0xc2, 0xad, ..] => 2,
            [0xe2, 0x80, 0x8b..=0x8f | 0xa8..=0xae, ..]
            | [0xe2, 0x81, 0xa0..=0xa9, ..]
            | [0xef, 0xbb, 0xbf, ..] => 3,
            _ => return None,
        };
        Some((at, length))
    })
}

/// The text without those; `None` when it has none.
fn visible(text: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut from) = (Vec::new(), 0);
    for (at, length) in hidden(text) {
        out.extend_from_slice(&text[from..at]);
        from = at + length;
    }
    out.extend_from_slice(&text[from..]);
    (from > 0).then_some(out)
}

impl Format {
    /// Whether a secret of this format stands at `start`, where its mark was found.
    fn is_at(&self, text: &[u8], start: usize, alone: bool) -> bool {
        let mark = Mark { text, start, end: start + self.mark.len(), alone };
        let found = &text[start..mark.end];
        // In other letters it stands in an id by chance: in one of a hundred thousand.
        let chance = || {
            let mixed = self.mark.len() <= 5
                && self.mark.ends_with(['_', '-', '.'])
                && found.iter().any(u8::is_ascii_lowercase)
                && found.iter().any(u8::is_ascii_uppercase);
            alone && self.left != Left::Any && (mixed || is_digest_length(run(&text[start..], url)))
        };
        let written = found == self.mark.as_bytes() || (!self.exact && !chance());
        let before = start.checked_sub(1).map(|at| text[at]).filter(|_| alone);
        let free = match self.left {
            Left::Any => true,
            Left::Joined => before.is_none_or(|byte| !byte.is_ascii_alphanumeric()),
            Left::Apart => before.is_none_or(|byte| !url(byte)),
        };
        written
            && free
            && self.has_rest(mark)
            && !(alone && (is_in_digest(text, start) || self.is_key_id(text, start)))
    }

    /// Whether this is the id of an AWS access key in a token id of the form that names keys:
    /// no secret by itself, and the only name that such a token has.
    fn is_key_id(&self, text: &[u8], start: usize) -> bool {
        let of_keys = ["AKIA", "ASIA", "ABIA", "ACCA"].contains(&self.mark);
        of_keys && text[..start].ends_with(b":acc:")
    }

    fn has_rest(&self, mark: Mark<'_>) -> bool {
        let rest = mark.rest();
        match self.rest {
            // Within a word as long as a digest, a mark this short may be chance.
            Rest::Run(is, least) => {
                let short = self.mark.len() <= 4 && least < 40 && self.mark.bytes().all(url);
                let chance = short && is_digest_length(self.mark.len() + run(rest, url));
                run(rest, is) >= least && !(mark.alone && chance)
            }
            Rest::Between(is, least, most) => {
                let length = run(rest, is);
                length >= least && (length <= most || !mark.alone)
            }
            Rest::Shape(is) => is(mark),
        }
    }
}

/// Whether this is a place in the digest of a token id (`:t1:`, `:jh:`, `:h7:`), whose characters
/// are random.
fn is_in_digest(text: &[u8], at: usize) -> bool {
    let word = text[..at].iter().rev().take_while(|byte| url(**byte)).count();
    let start = at - word;
    let Some(head) = text[..start].strip_suffix(b":") else { return false };
    let form = head.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    let is_form = match form {
        b"t1" | b"jh" => true,
        [b'h', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_form && word < DIGEST_CHARS && run(&text[start..], url) == DIGEST_CHARS
}

/// Whether a text that is to be a token's id is one. What it holds is not looked at.
pub fn is_token_id(text: &str) -> bool {
    TokenId::parse(text).is_ok()
}

/// What of a token's id can hold a secret: all of it, or what stands before the digest.
pub fn chosen_part(text: &str) -> &str {
    match TokenId::parse(text) {
        Ok(id) if !matches!(id.form(), Form::Jti | Form::Accessor) => {
            &text[..text.len() - id.value().len()]
        }
        _ => text,
    }
}

/// Whether `count` hex digits begin here.
fn escaped(bytes: &[u8], count: usize) -> bool {
    bytes.get(..count).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// The text with one layer of percent-encoding and of JSON's escapes taken off; `None` when it has
/// none.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digits = |at: usize, count: usize| {
        let digits = text.get(at..at + count).filter(|_| escaped(&text[at..], count))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut changed) = (0, false);
    while at < text.len() {
        let found = match text[at..] {
            [b'%', ..] => digits(at + 1, 2).map(|value| (value, 3)),
            [b'\\', b'u' | b'U', ..] => digits(at + 2, 4).map(|value| (value, 6)),
            _ => None,
        };
        match found.and_then(|(value, length)| Some((u8::try_from(value).ok()?, length))) {
            Some((byte, length)) => {
                out.push(byte);
                (at, changed) = (at + length, true);
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    changed.then_some(out)
}
