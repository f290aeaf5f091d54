//! Times of parameters: RFC 3339 in UTC, from and to Unix nanoseconds. No leap seconds, years 0000
//! to 9999.

use crate::calendar::{civil, days_of};

const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOS: i64 = 1_000_000_000;

/// Unix nanoseconds of an RFC 3339 time in UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix(['Z', 'z'])?;
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let bytes = clock.as_bytes();
    let marks = [(4, &b"-"[..]), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if bytes.len() != 19 || marks.iter().any(|(at, marks)| !marks.contains(&bytes[*at])) {
        return None;
    }
    let part = |from: usize, to: usize| digits(clock.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let days = days_of(year, month, day);
    if civil(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanos = match fraction {
        None => 0,
        Some(fraction) if (1..=9).contains(&fraction.len()) => digits(&format!("{fraction:0<9}"))?,
        Some(_) => return None,
    };
    let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(SECOND_NANOS)?.checked_add(nanos)
}

/// The text of a time, without a fraction when it has none.
#[must_use]
pub fn rfc3339(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(SECOND_NANOS), nanos.rem_euclid(SECOND_NANOS));
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = match fraction {
        0 => String::new(),
        fraction => format!(".{fraction:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

fn digits(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-22T10:10:00.5Z", 1_795_342_200_500_000_000),
            ("1969-12-31T23:59:59.999999999Z", -1),
        ] {
            assert_eq!(parse(text), Some(nanos), "{text}");
            assert_eq!(rfc3339(nanos), text);
        }
        for text in ["", "Z", "2026-02-30T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T10:10Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
