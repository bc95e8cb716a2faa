//! Days, dates and times of day of the proleptic Gregorian calendar, and the two values that
//! stand for "infinity". Counting starts at 1970-01-01, as in Arrow.

use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::sqlstate;

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// `infinity` and `-infinity` as timestamps.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_MINUS_INFINITY: i64 = i64::MIN;
/// `infinity` and `-infinity` as dates.
pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_MINUS_INFINITY: i32 = i32::MIN;

/// From 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
pub const POSTGRES_EPOCH_DAYS: i32 = 10_957;
pub const POSTGRES_EPOCH_MICROS: i64 = POSTGRES_EPOCH_DAYS as i64 * MICROS_PER_DAY;

/// 4714-11-24 BC, where PostgreSQL's timestamps and dates begin.
const FIRST_DAY: i64 = -2_440_588;
/// 294277-01-01, the first day after PostgreSQL's timestamps. (Ours end with the 64 bits, in 294247.)
const TIMESTAMP_END_DAY: i64 = 106_762_940;
/// 5874898-01-01, the first day after PostgreSQL's dates.
const DATE_END_DAY: i64 = 2_145_042_906;

/// A date; the year counts as astronomers do (0 is 1 BC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
}

impl Civil {
    /// Days since 1970-01-01; the date must be one.
    pub fn days(self) -> i64 {
        // Years begin in March, so that the leap day is the last.
        let year = if self.month <= 2 {
            self.year - 1
        } else {
            self.year
        };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = i64::from((self.month + 9) % 12);
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    pub fn from_days(days: i64) -> Civil {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        } as u32;
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day,
        }
    }

    pub fn is_leap(year: i64) -> bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    pub fn days_in_month(year: i64, month: u32) -> u32 {
        match month {
            2 if Civil::is_leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

/// 0 is Sunday.
pub fn weekday(days: i64) -> usize {
    (days + 4).rem_euclid(7) as usize
}

/// Splits microseconds into the day and the microsecond of the day.
pub fn split_day(micros: i64) -> (i64, i64) {
    (
        micros.div_euclid(MICROS_PER_DAY),
        micros.rem_euclid(MICROS_PER_DAY),
    )
}

/// A day and the microseconds into it as a timestamp, if PostgreSQL's range has it.
pub fn join_day(days: i64, micros: i64) -> Option<i64> {
    let timestamp = days.checked_mul(MICROS_PER_DAY)?.checked_add(micros)?;
    is_timestamp(timestamp).then_some(timestamp)
}

pub fn is_timestamp(micros: i64) -> bool {
    let day = micros.div_euclid(MICROS_PER_DAY);
    (FIRST_DAY..TIMESTAMP_END_DAY).contains(&day)
}

/// Days as a date, if PostgreSQL's range has it.
pub fn date_from_days(days: i64) -> Option<i32> {
    (FIRST_DAY..DATE_END_DAY)
        .contains(&days)
        .then_some(days as i32)
}

pub fn timestamp_out_of_range() -> PgError {
    PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// The timestamp at midnight of a date, infinities kept.
pub fn date_to_timestamp(days: i32) -> PgResult<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_MINUS_INFINITY => Ok(TIMESTAMP_MINUS_INFINITY),
        days => join_day(i64::from(days), 0).ok_or_else(|| {
            PgError::new(
                sqlstate::DATETIME_FIELD_OVERFLOW,
                "date out of range for timestamp",
            )
        }),
    }
}

/// The date of a timestamp, infinities kept.
pub fn timestamp_to_date(micros: i64) -> i32 {
    match micros {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_MINUS_INFINITY => DATE_MINUS_INFINITY,
        // 64 bits of microseconds are fewer than 2^31 days.
        micros => micros.div_euclid(MICROS_PER_DAY) as i32,
    }
}

/// Rounds to the digits that the modifier of time, timestamp or timestamptz keeps (-1: all six).
pub fn round_to_modifier(micros: i64, ty: PgType) -> i64 {
    if !(0..6).contains(&ty.typmod)
        || micros == TIMESTAMP_INFINITY
        || micros == TIMESTAMP_MINUS_INFINITY
    {
        return micros;
    }
    let unit = 10_i64.pow(6 - ty.typmod as u32);
    let half = if micros < 0 { -(unit / 2) } else { unit / 2 };
    micros.saturating_add(half) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(year: i64, month: u32, day: u32) -> i64 {
        Civil { year, month, day }.days()
    }

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 1, 1), i64::from(POSTGRES_EPOCH_DAYS));
        for day in (-3_000_000..3_000_000).step_by(97) {
            let civil = Civil::from_days(day);
            assert_eq!(civil.days(), day);
            assert!((1..=12).contains(&civil.month));
            assert!((1..=Civil::days_in_month(civil.year, civil.month)).contains(&civil.day));
        }
    }

    #[test]
    fn the_range_is_postgresqls() {
        assert_eq!(FIRST_DAY, days(-4713, 11, 24));
        assert_eq!(TIMESTAMP_END_DAY, days(294_277, 1, 1));
        assert_eq!(DATE_END_DAY, days(5_874_898, 1, 1));
        // Microseconds since 1970 in 64 bits end thirty years before those since 2000.
        assert!(join_day(days(294_246, 12, 31), MICROS_PER_DAY - 1).is_some());
        assert!(join_day(days(294_277, 1, 1), 0).is_none());
        assert!(date_from_days(FIRST_DAY - 1).is_none());
    }

    #[test]
    fn weekdays_and_rounding() {
        assert_eq!(weekday(days(2024, 2, 29)), 4);
        assert_eq!(weekday(days(1969, 12, 28)), 0);
        let ty = PgType::TIMESTAMP.with_typmod(3);
        assert_eq!(round_to_modifier(1_500, ty), 2_000);
        assert_eq!(round_to_modifier(-1_500, ty), -2_000);
        assert_eq!(round_to_modifier(i64::MAX, ty), i64::MAX);
    }
}
