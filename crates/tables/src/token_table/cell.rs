//! One cell: what programs and people put around a value is taken off, and what stands where a
//! value should be is told from one.
//!
//! ```text
//!  tok   'tok   ="tok"   "tok"   “tok”   Authorization: Bearer tok      the value is tok
//! #REF!  NULL  nan  1.23457E+17  eyJhbG…  tok..  ab***yz  [REDACTED]    no value: refused
//! ```
//!
//! Promises: a name or a token is never taken with its wrapping, under which it would be another
//! one; what is not whole makes no token. Errors say why and repeat nothing.

use ledgerline_proof::token_id::TokenId;

use crate::token_table::RowError;

/// Words that programs write for nothing, in small letters.
const NOTHING: [&str; 16] = [
    "null",
    "(null)",
    "<null>",
    "[null]",
    "nil",
    "none",
    "nan",
    "n/a",
    "na",
    "<na>",
    "undefined",
    "\\n",
    "-",
    "--",
    "?",
    "[object object]",
];
/// Words in what stands for a token that is not shown, and the longest value in which they do.
const MASKS: [&str; 9] = [
    "masked",
    "hidden",
    "removed",
    "placeholder",
    "omitted",
    "withheld",
    "censored",
    "filtered",
    "changeme",
];
const WORDS_IN: usize = 128;
/// What a hash is announced by.
const HASHES: [&str; 9] =
    ["sha1", "sha256", "sha384", "sha512", "sha-1", "sha-256", "sha-384", "sha-512", "md5"];
/// Digits that a spreadsheet keeps of a number.
const DIGITS_KEPT: usize = 15;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// The token itself.
    Token,
    /// What names a token.
    Id,
    /// Another name.
    Name,
    /// A person, who may have any name.
    Person,
    /// A time or a word, which is read strictly.
    Word,
}

fn holds(column: &str) -> Holds {
    match column {
        "token" => Holds::Token,
        "token_id" | "jti" | "digest" => Holds::Id,
        "region" | "issuer" | "client" | "session" | "scopes" => Holds::Name,
        "subject" => Holds::Person,
        _ => Holds::Word,
    }
}

/// The value of a cell; `None` for an empty one.
///
/// # Errors
/// For what stands there in place of a value.
pub(super) fn value(column: &'static str, cell: &str) -> Result<Option<String>, RowError> {
    let holds = holds(column);
    let value = unwrapped(cell, holds);
    if value.is_empty() {
        return Ok(None);
    }
    match wrong(value, holds) {
        Some(why) => Err(RowError::Bad(column, why)),
        None => Ok(Some(value.to_owned())),
    }
}

/// White space, or nothing that anybody sees.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_hidden(c)
}

fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{ad}')
}

fn unwrapped(cell: &str, holds: Holds) -> &str {
    let mut value = cell.trim_matches(is_blank);
    loop {
        let inner = peeled(value, holds).trim_matches(is_blank);
        if inner.len() == value.len() {
            return value;
        }
        value = inner;
    }
}

/// One layer less, or the same.
fn peeled(value: &str, holds: Holds) -> &str {
    const PAIRS: [(char, char); 6] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{201e}', '\u{201c}'),
        ('\u{2018}', '\u{2019}'),
    ];
    let quoted = |text: &'_ str, (open, close): (char, char)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        Some(inner.len())
    };
    // A formula that gives a text: how tables keep spreadsheets from reading it as a number.
    if let Some(rest) = value.strip_prefix('=')
        && quoted(rest, ('"', '"')).is_some()
    {
        return rest;
    }
    if holds == Holds::Person {
        return value;
    }
    if let Some((pair, length)) = PAIRS.iter().find_map(|p| Some((p, quoted(value, *p)?))) {
        let from = pair.0.len_utf8();
        return &value[from..from + length];
    }
    // A spreadsheet's own mark of a text.
    let value = value.strip_prefix(['\'', '\u{2019}']).unwrap_or(value);
    if holds != Holds::Token {
        return value;
    }
    let header = value.split_once(':').filter(|(name, _)| {
        ["authorization", "proxy-authorization"].iter().any(|one| name.eq_ignore_ascii_case(one))
    });
    if let Some((_, rest)) = header {
        return rest;
    }
    match value.split_once(is_blank) {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => value,
    }
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "dpop", "token"].iter().any(|one| word.eq_ignore_ascii_case(one))
}

/// Why a value is none.
fn wrong(value: &str, holds: Holds) -> Option<&'static str> {
    if holds == Holds::Word {
        return None;
    }
    if is_error(value) {
        return Some("holds an error of a spreadsheet, and no value");
    }
    if holds == Holds::Person {
        return None;
    }
    if NOTHING.contains(&value.to_ascii_lowercase().as_str()) {
        return Some("holds a word for nothing: leave the cell empty");
    }
    if holds == Holds::Name {
        return None;
    }
    if is_rounded(value) {
        return Some("holds a number that a spreadsheet has rounded: export the column as text");
    }
    let cut = value.contains(['\u{2026}', '\u{2025}'])
        || value.contains("...")
        || value.starts_with("..")
        || value.ends_with("..");
    if cut {
        return Some("is cut off (`..`): give all of it");
    }
    if value.contains("***") || value.to_ascii_lowercase().contains("redacted") {
        return Some("is masked: give all of it, or its digest");
    }
    if value.contains(|c: char| c.is_control() || is_hidden(c)) {
        return Some("holds a character that nobody sees");
    }
    let scheme = value.split_once(' ').is_some_and(|(front, _)| is_scheme(front));
    if holds == Holds::Id && scheme {
        return Some("holds a scheme of HTTP: the bearer value belongs into the column `token`");
    }
    if holds == Holds::Token
        && let Some(why) = no_bearer_value(value)
    {
        return Some(why);
    }
    let astray = |c: char| c.is_whitespace() || "\"`\u{201c}\u{201d}\u{201e}".contains(c);
    (holds == Holds::Token && value.contains(astray))
        .then_some("holds blanks or quotes: one token, and nothing else, belongs there")
}

/// Why a text in the column `token` is another thing than a token: recorded as one, it would name
/// nothing that anybody ever presents, and the token itself would be unknown.
fn no_bearer_value(value: &str) -> Option<&'static str> {
    const MASKED: &str = "is masked: give all of it, or its digest";
    if !value.is_ascii() {
        return Some("holds a character that no token has: it is masked, or no token");
    }
    if TokenId::parse(value).is_ok() {
        return Some("holds a token id: it belongs into the column `token_id`");
    }
    let is_of_one = |text: &str, most: usize| {
        let mut seen: Vec<u8> = text.bytes().collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len() <= most
    };
    // A mark of the issuer may stand before the mask, and lines in it.
    let body = value.rsplit(['_', '-']).next().unwrap_or_default();
    if is_of_one(value, 2) || body.len() >= 8 && is_of_one(body, 1) {
        return Some(MASKED);
    }
    let small = value.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| small.contains(word));
    // In long values letters come together by chance.
    if value.len() <= WORDS_IN && has(&MASKS) || has(&["{{", "${", "[]", "<"]) {
        return Some(MASKED);
    }
    let is_hash = small.split_once(':').is_some_and(|(front, _)| HASHES.contains(&front));
    (is_hash || value.starts_with('$') && value.matches('$').count() >= 3)
        .then_some("is a hash of a token, and nobody presents that: give the token or its digest")
}

/// `#REF!`, `#N/A`, `#NAME?`, `#DIV/0!`, `#####`.
fn is_error(value: &str) -> bool {
    let Some(word) = value.strip_prefix('#') else { return false };
    let word = word.trim_end_matches(['!', '?']);
    let sign = |b: u8| b.is_ascii_uppercase() || matches!(b, b'/' | b'0' | b'_' | b'#');
    word.len() >= 2 && word.bytes().all(sign)
}

/// `1.23457E+17`, or more digits than are kept, with noughts in place of the others.
fn is_rounded(value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((front, power)) = value.split_once(['E', 'e']) {
        let power = power.strip_prefix(['+', '-']).unwrap_or_default();
        let (whole, rest) = front.split_once(['.', ',']).unwrap_or((front, "0"));
        return digits(whole) && whole.len() == 1 && digits(rest) && digits(power);
    }
    let lost = value.get(DIGITS_KEPT..).unwrap_or_default();
    digits(value) && lost.len() >= 3 && lost.bytes().all(|b| b == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_was_taken_with_its_wrapping() {
        let token = "AAAAAAAAAAAAAAAAAAAAAA'a";
        for wrapped in [
            format!(" {token}\t"),
            format!("\u{a0}{token}\u{200b}"),
            format!("{token}\0"),
            format!("'{token}"),
            format!("=\"{token}\""),
            format!("\"{token}\""),
            format!("\u{201c}{token}\u{201d}"),
            format!("Bearer {token}"),
            format!("'Authorization: bearer  {token} "),
            format!("=\"DPoP {token}\""),
        ] {
            assert_eq!(value("token", &wrapped), Ok(Some(token.to_owned())), "{wrapped:?}");
        }
        for wrapped in [" j-1 ", "'j-1", "=\"j-1\"", "\u{feff}j-1", "\u{2018}j-1\u{2019}"] {
            assert_eq!(value("jti", wrapped), Ok(Some("j-1".to_owned())), "{wrapped:?}");
        }
        assert_eq!(value("subject", "'t Hooft"), Ok(Some("'t Hooft".to_owned())));
        assert_eq!(value("jti", " \u{200b}"), Ok(None));
    }

    #[test]
    fn masks_ids_and_hashes_were_recorded_as_tokens() {
        let id = "eu:idp:t1:HEzONQ-LnJgfgE3weHzsjOk5xCgj80G6__IMY6CilWQ";
        let sha = format!("sha256:{}", "0123456789abcdef".repeat(4));
        for other in [
            "x".repeat(24),
            "X".repeat(32),
            format!("ghp_{}", "x".repeat(36)),
            format!("sk-{}", "0".repeat(20)),
            "xxxx-xxxx-xxxx-xxxx-xxxx".to_owned(),
            "\u{2022}".repeat(20),
            "hidden-hidden-hidden-hidden".to_owned(),
            "SECRET_REMOVED_BY_EXPORT".to_owned(),
            "{{token_placeholder_1}}".to_owned(),
            "<access token of the user>".to_owned(),
            format!("0x{}", "0".repeat(40)),
            "a".repeat(64),
            "-".repeat(43),
            "System.Byte[]System.Byte[]".to_owned(),
            id.to_owned(),
            format!("Bearer {id}"),
            sha,
            "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234".to_owned(),
        ] {
            assert!(value("token", &other).is_err(), "{other}");
        }
        for token in [
            "Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6Ty3Lp8Qa6Rf1Zx5",
            "gho_16C7e42F292c6912E7710c838347Ae178B4a",
            "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAq8Zr2Wm5",
            "0123456789abcdef0123456789abcdef",
            "ya29.a0AfH6SMBx-2Q$k",
        ] {
            assert_eq!(value("token", token), Ok(Some(token.to_owned())));
        }
        assert_eq!(value("jti", "xxxx"), Ok(Some("xxxx".to_owned())));
    }

    #[test]
    fn what_stood_in_place_of_a_value_was_recorded() {
        for word in [
            "#REF!",
            "#N/A",
            "#NAME?",
            "#DIV/0!",
            "######",
            "NULL",
            "null",
            "\\N",
            "nan",
            "None",
            "1.23457E+17",
            "1,23457E+17",
            "1E+17",
            "123456789012345000",
            "eyJhbGciOiJF..",
            "eyJhbGciOiJF\u{2026}",
            "abcdef...uvwxyz",
            "abc***xyz",
            "[REDACTED]",
            "'NULL",
            "=\"#N/A\"",
        ] {
            for column in ["token", "jti", "digest", "token_id"] {
                assert!(value(column, word).is_err(), "{column} {word}");
            }
        }
        for (column, word) in [
            ("client", "NULL"),
            ("session", "#REF!"),
            ("subject", "#N/A"),
            ("jti", "Bearer abc"),
            ("jti", "a\u{200b}b"),
            ("token", "two tokens"),
        ] {
            assert!(value(column, word).is_err(), "{column} {word}");
        }
        for jti in ["#1", "nobody", "12e5f", "7e12", "1e8b-1", "123456789012345678", "a b", "a.b"] {
            assert_eq!(value("jti", jti), Ok(Some(jti.to_owned())));
        }
    }
}
