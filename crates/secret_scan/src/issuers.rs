//! What stands around the marks of single issuers, where a run of one alphabet does not say it.
//!
//! Assumes nothing of the text, as [`super::shapes`].

use crate::alphabets::{alnum, base64, dotted, hex, upper, url};
use crate::shapes::{Mark, has_cases, run, run_back};

/// At least so many letters of both cases.
fn both_cases(value: &[u8], least: usize) -> bool {
    value.len() >= least
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_uppercase)
}

/// Base64 of some length that begins with the mark, and not somewhere in the base64 of other bytes.
fn begins_base64(mark: Mark<'_>, least: usize) -> bool {
    let before = mark.before().last().filter(|_| mark.alone);
    before.is_none_or(|byte| !base64(*byte) || *byte == b'=') && run(mark.rest(), base64) >= least
}

/// Macaroons of both versions, COSE messages.
pub(crate) fn macaroon(mark: Mark<'_>) -> bool {
    begins_base64(mark, 100)
}

/// The tickets of Microsoft accounts.
pub(crate) fn ticket(mark: Mark<'_>) -> bool {
    begins_base64(mark, 200)
}

/// `pi_…_secret_…`, `seti_…_secret_…`: what lets a browser pay.
pub(crate) fn stripe_client(mark: Mark<'_>) -> bool {
    let before = mark.before();
    let front = &before[..before.len() - run_back(before, alnum)];
    let of = |name: &[u8]| front.to_ascii_lowercase().ends_with(name);
    (before.len() - front.len() >= 14 || !mark.alone)
        && [&b"pi_"[..], b"seti_", b"src_", b"cs_test_", b"cs_live_"].iter().any(|name| of(name))
        && run(mark.rest(), alnum) >= 16
}

/// `live_` and 30 letters and digits, 35 hex digits, or 40 of base64url.
pub(crate) fn live(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let value = run(rest, url);
    let fits = |least: usize| if mark.alone { value == least } else { value >= least };
    let cases = both_cases(&rest[..value], 30);
    (fits(30) && run(rest, alnum) >= 30 && cases)
        || (fits(35) && run(rest, hex) >= 35)
        || (fits(40) && cases)
}

/// `sess-` and 40 letters and digits; hex digits are a session's id.
pub(crate) fn sess(mark: Mark<'_>) -> bool {
    let value = run(mark.rest(), alnum);
    (if mark.alone { value == 40 } else { value >= 40 }) && both_cases(&mark.rest()[..value], 40)
}

/// Twenty-one of `A`, and what no row of zero bytes is.
pub(crate) fn twitter(mark: Mark<'_>) -> bool {
    let value = run(mark.rest(), |byte| url(byte) || byte == b'%');
    (60..=120).contains(&value) && has_cases(&mark.rest()[..value], 60)
}

/// `re_`, eight characters, `_`, and 24.
pub(crate) fn resend(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let value = |rest: &[u8]| run(rest, alnum);
    value(rest) == 8
        && rest.get(8) == Some(&b'_')
        && (value(&rest[9..]) == 24 || (!mark.alone && value(&rest[9..]) > 24))
        && both_cases(&rest[..33], 33)
}

/// `pat-na1-` and a UUID.
pub(crate) fn hubspot(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let digits = run(rest, |byte| byte.is_ascii_digit());
    let uuid = |byte: u8| hex(byte) || byte == b'-';
    (1..=2).contains(&digits)
        && rest.get(digits) == Some(&b'-')
        && run(&rest[digits + 1..], hex) == 8
        && run(&rest[digits + 1..], uuid) >= 36
}

/// `pk_`, a user's number, `_`, and 32 capitals and digits.
pub(crate) fn clickup(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let digits = run(rest, |byte| byte.is_ascii_digit());
    (5..=10).contains(&digits)
        && rest.get(digits) == Some(&b'_')
        && run(&rest[digits + 1..], upper) >= 30
}

/// The id of an organization, `!`, and the token.
pub(crate) fn salesforce(mark: Mark<'_>) -> bool {
    let before = mark.before();
    let id = &before[before.len() - run_back(before, alnum).min(18)..];
    id.windows(3).any(|part| part == b"00D") && run(mark.rest(), dotted) >= 60
}

/// Ten to 24 characters, `msh`, 15, `jsn`, twelve.
pub(crate) fn rapidapi(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    rest.get(15..18) == Some(b"jsn")
        && run_back(mark.before(), alnum) >= 10
        && run(rest, alnum) >= 30
}

/// `oy2` and 43 small letters and digits.
pub(crate) fn nuget(mark: Mark<'_>) -> bool {
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let value = run(mark.rest(), small);
    (value == 43 && run(mark.rest(), url) == 43) || (!mark.alone && value >= 43)
}

/// `t1.`, what is said, a dot, and a signature of 64 bytes.
pub(crate) fn yandex_iam(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let said = run(rest, url);
    let sign = run(&rest[said..], |byte| byte == b'=');
    let behind = &rest[said + sign..];
    said >= 40 && behind.first() == Some(&b'.') && run(&behind[1..], url) >= 86
}

/// The marks that Azure puts behind the random part of its keys.
pub(crate) fn azure(mark: Mark<'_>) -> bool {
    run_back(mark.before(), url) >= 44 && run(mark.rest(), alnum) >= 8
}

/// The key of a function: padded, and so long.
pub(crate) fn azure_function(mark: Mark<'_>) -> bool {
    let behind = run(mark.rest(), alnum);
    let before = run_back(mark.before(), url);
    (40..=56).contains(&before)
        && (8..=14).contains(&behind)
        && mark.rest().get(behind) == Some(&b'=')
}

/// `0.AX….AgAB…`.
pub(crate) fn entra_refresh(mark: Mark<'_>) -> bool {
    run_back(mark.before(), url) >= 20 && run(mark.rest(), url) >= 100
}

/// `st.` and three parts of hex digits.
pub(crate) fn infisical(mark: Mark<'_>) -> bool {
    let mut parts = mark.rest().splitn(3, |byte| *byte == b'.');
    [24, 32, 32].iter().all(|least| parts.next().is_some_and(|part| run(part, hex) >= *least))
}

/// `A3-`, six capitals and digits, and five groups more.
pub(crate) fn one_password(mark: Mark<'_>) -> bool {
    let all = run(mark.rest(), |byte| upper(byte) || byte == b'-');
    run(mark.rest(), upper) == 6 && (31..=40).contains(&all)
}

/// A ticket: a number, `-`, and a value.
pub(crate) fn cas(mark: Mark<'_>) -> bool {
    let rest = mark.rest();
    let digits = run(rest, |byte| byte.is_ascii_digit());
    let Some(value) = rest[digits..].strip_prefix(b"-") else { return false };
    let value = &value[..run(value, alnum)];
    (1..=9).contains(&digits) && both_cases(value, 20)
}

/// A license key ends with its mark.
pub(crate) fn new_relic(mark: Mark<'_>) -> bool {
    let digits = run_back(mark.before(), hex);
    (digits == 36 || (!mark.alone && digits > 36)) && (!mark.alone || run(mark.rest(), url) == 0)
}
