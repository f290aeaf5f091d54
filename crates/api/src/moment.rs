//! Times as people and programs write them: RFC 3339 with any offset, and its near relations.
//!
//! Promises: `T` or `t` or a space between date and time, `Z`, `z`, `+01:00`, `+0100` or `+00` (as
//! PostgreSQL writes it) behind; the instant is the one written, to the nanosecond: digits behind
//! the ninth say nothing here. What lies
//! outside the ledger's range (1677-09-21 to 2262-04-11, Unix nanoseconds in 64 bits) is told apart
//! from what is no time at all: 9999-12-31 is how .NET, Java and SQL say "never".
//!
//! Refuses: times without an offset, which name no instant; offsets of a day and more or with
//! seconds, and names of zones behind them, which RFC 3339 does not have and which may contradict.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;

/// An instant, or on which side of the ledger's range it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before 1677-09-21.
    Before,
    /// Unix nanoseconds.
    At(i64),
    /// After 2262-04-11.
    Beyond,
}

/// Reads a time; `None` when the text is none.
#[must_use]
pub fn moment(text: &str) -> Option<Moment> {
    let text = &*plain(text)?;
    if let Ok(stamp) = text.parse::<Timestamp>() {
        let nanos = stamp.as_nanosecond();
        return Some(i64::try_from(nanos).map_or_else(|_| side(nanos < 0), Moment::At));
    }
    // The last two days of 9999 are beyond the range of the parser's instants, not of its dates.
    let pieces = Pieces::parse(text).ok()?;
    pieces.time()?;
    pieces.offset()?;
    match pieces.date().year() {
        9999 => Some(Moment::Beyond),
        -9999 => Some(Moment::Before),
        _ => None,
    }
}

/// The text without digits behind the ninth of a second; `None` for an offset or a zone that RFC
/// 3339 does not have. What else is wrong the parser says.
fn plain(text: &str) -> Option<Cow<'_, str>> {
    // `2027-01-01T00:00:00`: what may follow is a fraction and an offset.
    let Some((_, behind)) = text.split_at_checked(19) else { return Some(text.into()) };
    let offset = behind.find(['+', '-']).map_or("", |at| &behind[at + 1..]);
    let hours = offset.get(..2).map(|hours| hours < "24");
    let rest = offset.get(2..).map(|rest| rest.trim_start_matches(':').len() <= 2);
    if behind.contains('[') || hours == Some(false) || rest == Some(false) {
        return None;
    }
    let digits = behind
        .strip_prefix('.')
        .map_or(0, |fraction| fraction.bytes().take_while(u8::is_ascii_digit).count());
    if digits <= 9 {
        return Some(text.into());
    }
    let (kept, cut) = (19 + 1 + 9, 19 + 1 + digits);
    Some(format!("{}{}", &text[..kept], &text[cut..]).into())
}

fn side(is_before: bool) -> Moment {
    if is_before { Moment::Before } else { Moment::Beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn an_offset_a_space_and_small_letters_were_no_time() {
        let at = Some(Moment::At(1_798_761_600 * SECOND));
        for text in [
            "2027-01-01T00:00:00Z",
            "2027-01-01t00:00:00z",
            "2027-01-01 00:00:00Z",
            "2027-01-01T00:00:00+00:00",
            "2027-01-01T00:00:00-00:00",
            "2027-01-01T01:00:00+01:00",
            "2026-12-31T19:00:00-0500",
            "2027-01-01 00:00:00+00",
            "2027-01-01 05:30:00.000000+05:30",
        ] {
            assert_eq!(moment(text), at, "{text}");
        }
        assert_eq!(moment("1969-12-31T23:59:59.999999999Z"), Some(Moment::At(-1)));
        // RFC 3339 allows any number of digits; we keep nine.
        assert_eq!(moment("1969-12-31T23:59:59.9999999999999+00:00"), Some(Moment::At(-1)));
        assert_eq!(moment("1970-01-01T00:00:00.000000000999-00:00"), Some(Moment::At(0)));
    }

    #[test]
    fn never_is_beyond_the_range_and_not_no_time() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.9999999Z",
            "9999-12-31 23:59:59+00",
            "9999-12-31T23:59:59-12:00",
            "4321-01-01T00:00:00Z",
            "2262-04-11T23:47:16.854775808Z",
        ] {
            assert_eq!(moment(text), Some(Moment::Beyond), "{text}");
        }
        assert_eq!(moment("0001-01-01T00:00:00Z"), Some(Moment::Before));
        assert_eq!(moment("2262-04-11T23:47:16.854775807Z"), Some(Moment::At(i64::MAX)));
    }

    #[test]
    fn what_names_no_instant_is_no_time() {
        for text in [
            "",
            "never",
            "2027-01-01",
            "2027-01-01T00:00:00",
            "9999-12-31T23:59:59",
            "9999-12-31",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:10:00.Z",
            "2026-11-22T10:10:00+24:00",
            "2026-11-22T10:10:00+25:59",
            "2026-11-22T10:10:00+01:00:30",
            "2026-11-22T10:10:00+00:00[Europe/Berlin]",
            "99999-01-01T00:00:00Z",
            "1763000000",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
