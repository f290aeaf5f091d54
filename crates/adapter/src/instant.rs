//! Instants of logs: whole milliseconds since 1970-01-01T00:00:00Z, read and written as RFC 3339.
//!
//! Any offset is read ([`time_text`]); the order of a log is that of its lines. Years 1970 to 2262,
//! written up to 9999.

use ledgerline_api::time_text;
use ledgerline_proof::calendar::civil;

/// Milliseconds since the Unix epoch, without leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(i64);

const DAY_MILLIS: i64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z.
const LAST: i64 = 253_402_300_799_999;

impl Millis {
    /// Reads a time with any offset, as the rest of the program does; what is finer than a
    /// millisecond is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let nanos = time_text::parse(text)?;
        (nanos >= 0).then_some(Self(nanos / 1_000_000))
    }

    /// From milliseconds; `None` outside the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        (0..=LAST).contains(&millis).then_some(Self(millis))
    }

    /// From whole seconds, as JWT claims have them; `None` outside the years 1970 to 9999.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        let millis = seconds.checked_mul(1000)?;
        (0..=LAST).contains(&millis).then_some(Self(millis))
    }

    /// The end that a claim in seconds means: one before 1970 has long passed and is not "never".
    #[must_use]
    pub fn end_from_seconds(seconds: i64) -> Option<Self> {
        Self::from_seconds(seconds.max(0))
    }

    /// `self` later by `millis`.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis).clamp(0, LAST))
    }

    /// The second in which it lies.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1000))
    }

    /// RFC 3339 with three digits of fraction.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let (days, rest) = (self.0.div_euclid(DAY_MILLIS), self.0.rem_euclid(DAY_MILLIS));
        let (year, month, day) = civil(days);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, millis) = (rest / 1000 % 60, rest % 1000);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let cases: &[(&str, Option<i64>)] = &[
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T05:31:35.751Z", Some(1_795_325_495_751)),
            ("2026-11-22T05:31:35.7519999Z", Some(1_795_325_495_751)),
            ("2024-02-29T23:59:59.9Z", Some(1_709_251_199_900)),
            ("2026-11-22T05:31:35+00:00", Some(1_795_325_495_000)),
            ("2026-11-22T11:01:35.751+05:30", Some(1_795_325_495_751)),
            ("2026-11-22 05:31:35Z", Some(1_795_325_495_000)),
            ("9999-12-31T23:59:59.999Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2023-04-31T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T05:31:35.Z", None),
            ("2026-11-22T05:31:3\u{661}Z", None),
            ("", None),
        ];
        for &(text, expected) in cases {
            assert_eq!(Millis::parse(text), expected.map(Millis), "{text}");
            if let Some(millis) = expected {
                assert_eq!(
                    Millis::parse(&Millis(millis).rfc3339()),
                    Some(Millis(millis)),
                    "{text}"
                );
            }
        }
        assert_eq!(
            Millis::from_seconds(1_795_325_505).map(Millis::rfc3339).as_deref(),
            Some("2026-11-22T05:31:45.000Z")
        );
        assert_eq!(Millis(LAST).rfc3339(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Millis::from_seconds(-1), None);
        assert_eq!(Millis::end_from_seconds(-1), Some(Millis(0)), "an end long ago");
        assert_eq!(Millis::from_seconds(i64::MAX), None);
    }
}
