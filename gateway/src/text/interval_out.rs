//! Writing intervals, in the four styles of PostgreSQL.

use arrow::datatypes::IntervalMonthDayNano;

use crate::text::IntervalStyle;
use crate::text::calendar::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::text::datetime_out::put_fraction;
use crate::text::number::{put_i64, put_padded, put_u64};

/// The fields that output shows.
struct Fields {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

pub fn put_interval(out: &mut Vec<u8>, value: IntervalMonthDayNano, style: IntervalStyle) {
    let micros = value.nanoseconds / 1000;
    let fields = Fields {
        years: i64::from(value.months / 12),
        months: i64::from(value.months % 12),
        days: i64::from(value.days),
        hours: micros / MICROS_PER_HOUR,
        minutes: micros % MICROS_PER_HOUR / MICROS_PER_MINUTE,
        seconds: micros % MICROS_PER_MINUTE / MICROS_PER_SECOND,
        micros: micros % MICROS_PER_SECOND,
    };
    match style {
        IntervalStyle::Postgres => fields.put_postgres(out),
        IntervalStyle::PostgresVerbose => fields.put_verbose(out),
        IntervalStyle::SqlStandard => fields.put_sql(out),
        IntervalStyle::Iso8601 => fields.put_iso(out),
    }
}

impl Fields {
    fn all(&self) -> [i64; 7] {
        [
            self.years,
            self.months,
            self.days,
            self.hours,
            self.minutes,
            self.seconds,
            self.micros,
        ]
    }

    fn time(&self) -> &'static str {
        let time = [self.hours, self.minutes, self.seconds, self.micros];
        match (
            time.iter().any(|&part| part < 0),
            time.iter().any(|&part| part > 0),
        ) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        }
    }

    /// `1 year 2 mons -3 days +04:05:06.7`: a field after a negative one shows its plus.
    fn put_postgres(&self, out: &mut Vec<u8>) {
        let mut first = true;
        let mut after_negative = false;
        for (value, unit) in [
            (self.years, "year"),
            (self.months, "mon"),
            (self.days, "day"),
        ] {
            if value == 0 {
                continue;
            }
            if !first {
                out.push(b' ');
            }
            if after_negative && value > 0 {
                out.push(b'+');
            }
            put_i64(out, value);
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            if value != 1 {
                out.push(b's');
            }
            first = false;
            after_negative = value < 0;
        }
        let sign = self.time();
        if first || !sign.is_empty() {
            if !first {
                out.push(b' ');
            }
            if sign == "-" {
                out.push(b'-');
            } else if after_negative {
                out.push(b'+');
            }
            self.put_clock(out, 2);
        }
    }

    /// `@ 1 year 2 mons -3 days ago`: the sign of the first field is that of the whole.
    fn put_verbose(&self, out: &mut Vec<u8>) {
        out.push(b'@');
        let mut ago = false;
        let mut first = true;
        let units = [
            (self.years, "year"),
            (self.months, "mon"),
            (self.days, "day"),
            (self.hours, "hour"),
            (self.minutes, "min"),
        ];
        for (value, unit) in units {
            if value == 0 {
                continue;
            }
            if first {
                ago = value < 0;
                first = false;
            }
            let shown = if ago { -value } else { value };
            out.push(b' ');
            put_i64(out, shown);
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            if shown != 1 {
                out.push(b's');
            }
        }
        if self.seconds != 0 || self.micros != 0 {
            let negative = self.seconds < 0 || self.micros < 0;
            out.push(b' ');
            if first {
                ago = negative;
                first = false;
            } else if negative != ago {
                out.push(b'-');
            }
            put_u64(out, self.seconds.unsigned_abs());
            put_fraction(out, self.micros);
            out.extend_from_slice(b" sec");
            if self.seconds.abs() != 1 || self.micros != 0 {
                out.push(b's');
            }
        }
        if first {
            out.extend_from_slice(b" 0");
        }
        if ago {
            out.extend_from_slice(b" ago");
        }
    }

    fn put_sql(&self, out: &mut Vec<u8>) {
        let negative = self.all().iter().any(|&part| part < 0);
        let positive = self.all().iter().any(|&part| part > 0);
        let year_month = self.years != 0 || self.months != 0;
        let day_time = self.days != 0 || !self.time().is_empty();
        if !negative && !positive {
            out.push(b'0');
        } else if (negative && positive) || (year_month && day_time) {
            // Not an interval of the standard: every part with its sign.
            let sign = |negative: bool| if negative { b'-' } else { b'+' };
            out.push(sign(self.years < 0 || self.months < 0));
            put_u64(out, self.years.unsigned_abs());
            out.push(b'-');
            put_u64(out, self.months.unsigned_abs());
            out.push(b' ');
            out.push(sign(self.days < 0));
            put_u64(out, self.days.unsigned_abs());
            out.push(b' ');
            out.push(sign(self.time() == "-"));
            self.put_clock(out, 1);
        } else {
            if negative {
                out.push(b'-');
            }
            if year_month {
                put_u64(out, self.years.unsigned_abs());
                out.push(b'-');
                put_u64(out, self.months.unsigned_abs());
            } else {
                if self.days != 0 {
                    put_u64(out, self.days.unsigned_abs());
                    out.push(b' ');
                }
                self.put_clock(out, 1);
            }
        }
    }

    fn put_iso(&self, out: &mut Vec<u8>) {
        if self.all().iter().all(|&part| part == 0) {
            return out.extend_from_slice(b"PT0S");
        }
        let part = |out: &mut Vec<u8>, value: i64, letter: u8| {
            if value != 0 {
                put_i64(out, value);
                out.push(letter);
            }
        };
        out.push(b'P');
        part(out, self.years, b'Y');
        part(out, self.months, b'M');
        part(out, self.days, b'D');
        if !self.time().is_empty() {
            out.push(b'T');
        }
        part(out, self.hours, b'H');
        part(out, self.minutes, b'M');
        if self.seconds != 0 || self.micros != 0 {
            if self.seconds < 0 || self.micros < 0 {
                out.push(b'-');
            }
            put_u64(out, self.seconds.unsigned_abs());
            put_fraction(out, self.micros);
            out.push(b'S');
        }
    }

    /// `04:05:06.7` without its sign.
    fn put_clock(&self, out: &mut Vec<u8>, hour_width: usize) {
        put_padded(out, self.hours.unsigned_abs(), hour_width);
        out.push(b':');
        put_padded(out, self.minutes.unsigned_abs(), 2);
        out.push(b':');
        put_padded(out, self.seconds.unsigned_abs(), 2);
        put_fraction(out, self.micros);
    }
}
