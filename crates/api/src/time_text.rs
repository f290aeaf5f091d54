//! Times as text: written as RFC 3339 in UTC, read with any offset.
//!
//! Promises: there is one reader of times for bodies, queries, files and flags, the engine's; what
//! [`rfc3339`] writes, [`parse`] reads back to the same nanosecond. The kernel's calendar, no leap
//! seconds.

use ledgerline_proof::calendar::civil;

use crate::moment::{Moment, moment};

const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOS: i64 = 1_000_000_000;
/// Length of the longest text.
const LONGEST: usize = "2026-11-22T10:10:00.123456789Z".len();
/// Length without a fraction and the Z.
const WHOLE: usize = "2026-11-22T10:10:00".len();

/// `2026-11-22T10:10:00.123456789Z`; the fraction is cut to 0, 3, 6 or 9 digits without loss.
#[must_use]
pub fn rfc3339(nanos: i64) -> String {
    let mut text = [0; LONGEST];
    let length = put(nanos, &mut text);
    // Digits and signs only.
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// Writes the same at the begin of `out`, which has room for it; how many bytes these are. Answers
/// are full of times, and the formatting of the standard library takes several times as long.
pub(crate) fn put(nanos: i64, out: &mut [u8]) -> usize {
    let seconds = nanos.div_euclid(SECOND_NANOS);
    let fraction = nanos.rem_euclid(SECOND_NANOS).unsigned_abs();
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let parts = [(0, year / 100), (2, year % 100), (5, month), (8, day)];
    let clock = [(11, hour), (14, minute), (17, second)];
    for (at, value) in parts.into_iter().chain(clock) {
        put_digits(&mut text[at..at + 2], value.unsigned_abs());
    }
    let end = match fraction {
        0 => WHOLE,
        f if f.is_multiple_of(1_000_000) => put_digits(&mut text[20..23], f / 1_000_000) + 20,
        f if f.is_multiple_of(1_000) => put_digits(&mut text[20..26], f / 1_000) + 20,
        f => put_digits(&mut text[20..29], f) + 20,
    };
    text[end] = b'Z';
    out[..=end].copy_from_slice(&text[..=end]);
    end + 1
}

/// Writes the last digits of a number, as many as there is room for; how many these are.
fn put_digits(room: &mut [u8], mut value: u64) -> usize {
    for place in room.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    room.len()
}

/// Unix nanoseconds of an RFC 3339 time with any offset, as every body and file is read; `None` for
/// what is no time, or lies outside the ledger's range.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    match moment(text)? {
        Moment::At(nanos) => Some(nanos),
        Moment::Before | Moment::Beyond => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_alike() {
        let check = |nanos: i64, text: &str| {
            assert_eq!(rfc3339(nanos), text);
            assert_eq!(parse(text), Some(nanos), "{text}");
        };
        check(0, "1970-01-01T00:00:00Z");
        check(-1, "1969-12-31T23:59:59.999999999Z");
        check(951_782_400 * SECOND_NANOS, "2000-02-29T00:00:00Z");
        check(1_795_342_200_123_456_789, "2026-11-22T10:10:00.123456789Z");
        check(1_795_342_200_120_000_000, "2026-11-22T10:10:00.120Z");
        check(4_107_542_399 * SECOND_NANOS, "2100-02-28T23:59:59Z");
    }

    #[test]
    fn an_offset_was_no_time() {
        for text in [
            "2027-01-01T00:00:00+00:00",
            "2027-01-01T01:00:00+01:00",
            "2026-12-31T14:30:00-09:30",
            "2027-01-01 00:00:00+00",
        ] {
            assert_eq!(parse(text), parse("2027-01-01T00:00:00Z"), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:10:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:10:00.Z",
            "+026-11-22T10:10:00Z",
            "2026-11-22T10:10:00 01:00",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
