//! Values as PostgreSQL writes and reads them: what the wire sends in text format, what casts
//! to and from text do, what literals mean. No SQL and no protocol in here.

pub mod bits;
pub mod bytes;
pub mod calendar;
pub mod datetime_in;
pub mod datetime_out;
pub mod interval_in;
pub mod interval_out;
pub mod json;
pub mod number;
pub mod numeric;
pub mod read;
pub mod snapshot;
pub mod view;
pub mod write;
pub mod zone;

use std::fmt;
use std::sync::Arc;

use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::sqlstate;

pub use read::parse;
pub use view::View;
pub use write::Formatter;
pub use zone::Zone;

/// The settings that decide how values are written and how ambiguous input is read.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFormat {
    pub date_style: DateStyle,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    /// Setting `TimeZone`.
    pub zone: Zone,
    pub bytea_output: ByteaOutput,
    /// 1 to 3: the shortest text that reads back the same; 0 and below: as many digits fewer
    /// than 6 (float4) or 15 (float8).
    pub extra_float_digits: i32,
}

impl Default for TextFormat {
    fn default() -> Self {
        TextFormat {
            date_style: DateStyle::Iso,
            date_order: DateOrder::Mdy,
            interval_style: IntervalStyle::Postgres,
            zone: Zone::utc(),
            bytea_output: ByteaOutput::Hex,
            extra_float_digits: 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateStyle {
    Iso,
    Sql,
    Postgres,
    German,
}

/// Which of `01/02/2003` is the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalStyle {
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteaOutput {
    Hex,
    Escape,
}

impl TextFormat {
    /// Applies `SET DateStyle = value`: one style and one order, each optional, in any order.
    /// `None` if the value is not one.
    pub fn with_date_style(&self, value: &str) -> Option<TextFormat> {
        let mut format = self.clone();
        let mut order = None;
        let mut style = None;
        for word in value.split(',') {
            let word = word.trim().to_ascii_lowercase();
            match word.as_str() {
                "iso" => style = Some(DateStyle::Iso),
                "sql" => style = Some(DateStyle::Sql),
                "postgres" => style = Some(DateStyle::Postgres),
                "german" => {
                    style = Some(DateStyle::German);
                    order = order.or(Some(DateOrder::Dmy));
                }
                "ymd" => order = Some(DateOrder::Ymd),
                "dmy" => order = Some(DateOrder::Dmy),
                "mdy" => order = Some(DateOrder::Mdy),
                // The European and US conventions by PostgreSQL's older names.
                _ if word.starts_with("euro") => order = Some(DateOrder::Dmy),
                "us" => order = Some(DateOrder::Mdy),
                _ if word.starts_with("noneuro") => order = Some(DateOrder::Mdy),
                "default" => {
                    style = style.or(Some(DateStyle::Iso));
                    order = order.or(Some(DateOrder::Mdy));
                }
                _ => return None,
            }
        }
        format.date_style = style.unwrap_or(self.date_style);
        format.date_order = order.unwrap_or(self.date_order);
        Some(format)
    }

    /// As `SHOW DateStyle` prints it: `ISO, MDY`.
    pub fn date_style_text(&self) -> String {
        format!("{}, {}", self.date_style, self.date_order)
    }
}

impl fmt::Display for DateStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DateStyle::Iso => "ISO",
            DateStyle::Sql => "SQL",
            DateStyle::Postgres => "Postgres",
            DateStyle::German => "German",
        })
    }
}

impl fmt::Display for DateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DateOrder::Mdy => "MDY",
            DateOrder::Dmy => "DMY",
            DateOrder::Ymd => "YMD",
        })
    }
}

impl IntervalStyle {
    pub fn parse(value: &str) -> Option<IntervalStyle> {
        match value.to_ascii_lowercase().as_str() {
            "postgres" => Some(IntervalStyle::Postgres),
            "postgres_verbose" => Some(IntervalStyle::PostgresVerbose),
            "sql_standard" => Some(IntervalStyle::SqlStandard),
            "iso_8601" => Some(IntervalStyle::Iso8601),
            _ => None,
        }
    }
}

impl fmt::Display for IntervalStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IntervalStyle::Postgres => "postgres",
            IntervalStyle::PostgresVerbose => "postgres_verbose",
            IntervalStyle::SqlStandard => "sql_standard",
            IntervalStyle::Iso8601 => "iso_8601",
        })
    }
}

impl ByteaOutput {
    pub fn parse(value: &str) -> Option<ByteaOutput> {
        match value.to_ascii_lowercase().as_str() {
            "hex" => Some(ByteaOutput::Hex),
            "escape" => Some(ByteaOutput::Escape),
            _ => None,
        }
    }
}

impl fmt::Display for ByteaOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ByteaOutput::Hex => "hex",
            ByteaOutput::Escape => "escape",
        })
    }
}

/// What reading a value may depend on besides its text.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub format: &'a TextFormat,
    pub names: &'a dyn ObjectNames,
    /// What `now`, `today` and `tomorrow` count from: the start of the transaction, in
    /// microseconds since 1970 UTC.
    pub now: i64,
}

/// The names behind the reg* types, in the catalog a statement sees.
pub trait ObjectNames: Send + Sync {
    /// The name as the type prints it: quoted where needed, qualified unless on the search
    /// path. `None`: the number is printed.
    fn name(&self, ty: PgType, oid: u32) -> Option<String>;

    /// The object of this name; fails with the type's own error (42P01, 42883, 42704, 3F000).
    fn oid(&self, ty: PgType, name: &str) -> PgResult<u32>;
}

/// A catalog that knows no object: reg* values read and print as numbers.
#[derive(Debug, Clone, Copy)]
pub struct NoNames;

impl NoNames {
    pub fn shared() -> Arc<dyn ObjectNames> {
        Arc::new(NoNames)
    }
}

impl ObjectNames for NoNames {
    fn name(&self, _ty: PgType, _oid: u32) -> Option<String> {
        None
    }

    fn oid(&self, ty: PgType, name: &str) -> PgResult<u32> {
        Err(PgError::new(
            sqlstate::UNDEFINED_OBJECT,
            format!(
                "{} \"{name}\" does not exist",
                ty.info().map_or("object", |info| info.sql_name)
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_style_takes_a_style_an_order_or_both() {
        let base = TextFormat::default();
        let check = |value: &str, expected: &str| {
            let text = base
                .with_date_style(value)
                .map(|format| format.date_style_text());
            assert_eq!(text.as_deref(), Some(expected), "{value}");
        };
        check("ISO, MDY", "ISO, MDY");
        check("dmy", "ISO, DMY");
        check("German", "German, DMY");
        check("sql , european", "SQL, DMY");
        check("Postgres, YMD", "Postgres, YMD");
        assert_eq!(base.with_date_style("ISO, nonsense"), None);
    }
}
