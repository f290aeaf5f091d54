//! The proleptic Gregorian calendar: days since 1970-01-01 as dates, and back.
//!
//! Promises: what [`civil`] gives, [`days_of`] takes back to the same day.
//!
//! Assumes: days within some million years of 1970. Refuses nothing: a date that is none is taken
//! as the day that it would be; whoever reads dates compares with [`civil`] of it.

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, `civil_from_days`).
#[must_use]
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date (Howard Hinnant, `days_from_civil`).
#[must_use]
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9).rem_euclid(12);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries_is_one_date() {
        let mut before = civil(days_of(1599, 12, 31));
        for day in days_of(1600, 1, 1)..days_of(2401, 1, 1) {
            let date = civil(day);
            assert!(date > before && days_of(date.0, date.1, date.2) == day, "{date:?}");
            before = date;
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!((civil(11_016), days_of(2000, 2, 29)), ((2000, 2, 29), 11_016));
        assert_eq!(civil(days_of(2026, 2, 30)), (2026, 3, 2), "no such date");
    }
}
