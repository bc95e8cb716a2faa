//! VACUUM.

use arrow::datatypes::IntervalMonthDayNano;
use omnigraph_engine::{VacuumOptions, VacuumReport};

use super::done;
use super::parse::Vacuum;
use crate::error::{PgError, PgResult, Severity};
use crate::session::Session;
use crate::session::protocol::{Execution, Place};
use crate::sqlstate;
use crate::text::interval_in::{Unit, parse_interval_in};

const MICROS_PER_DAY: i64 = 24 * 3_600_000_000;
const DAYS_PER_MONTH: i64 = 30;

impl Session {
    pub(crate) async fn vacuum(&mut self, vacuum: &Vacuum, place: Place) -> PgResult<Execution> {
        let access = self.attached()?.access.clone();
        self.refuse_block("VACUUM", place)?;
        if !vacuum.dry_run {
            self.refuse_read_only()?;
        }
        let mut options = VacuumOptions {
            dry_run: vacuum.dry_run,
            ..VacuumOptions::default()
        };
        if let Some(retain) = &vacuum.retain {
            options.retain = self.duration("retain", retain)?;
        }
        if let Some(grace) = &vacuum.grace {
            options.grace = self.duration("grace", grace)?;
        }
        self.check_tables(vacuum).await?;
        let report = access.vacuum(options).await?;
        if vacuum.verbose || vacuum.dry_run {
            self.report(vacuum.dry_run, &report);
        }
        Ok(done("VACUUM"))
    }

    /// 42P01 for a table that is not there.
    async fn check_tables(&mut self, vacuum: &Vacuum) -> PgResult<()> {
        if vacuum.tables.is_empty() {
            return Ok(());
        }
        let lookup = self.catalogs(true).await?.lookup();
        let path = self.search_path().await?;
        for table in &vacuum.tables {
            let mut name: Vec<String> = table.schema.iter().cloned().collect();
            name.push(table.name.clone());
            if lookup.resolve_class(&name, &path).is_none() {
                return Err(PgError::new(
                    sqlstate::UNDEFINED_TABLE,
                    format!("relation \"{}\" does not exist", name.join(".")),
                )
                .at(table.position));
            }
        }
        Ok(())
    }

    /// An interval in microseconds.
    fn duration(&self, option: &str, text: &str) -> PgResult<i64> {
        let style = self.current_format().interval_style;
        let interval = parse_interval_in(text, Unit::Second, style)?;
        micros(interval)
            .filter(|micros| *micros >= 0)
            .ok_or_else(|| {
                PgError::new(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    format!("\"{option}\" must be a length of time, not '{text}'"),
                )
            })
    }

    fn report(&mut self, dry_run: bool, report: &VacuumReport) {
        let (removed, expired) = match dry_run {
            true => ("would remove", "would expire"),
            false => ("removed", "expired"),
        };
        let message = format!(
            "vacuum: {removed} {} files of {} bytes, kept {} files of {} bytes",
            report.removed.files, report.removed.bytes, report.kept.files, report.kept.bytes,
        );
        let detail = format!(
            "{} tables were compacted; {expired} the states of {} log entries.",
            report.compacted, report.expired,
        );
        self.notice(PgError {
            severity: Severity::Notice,
            ..PgError::new(sqlstate::SUCCESSFUL_COMPLETION, message).detail(detail)
        });
    }
}

fn micros(interval: IntervalMonthDayNano) -> Option<i64> {
    let days = i64::from(interval.months) * DAYS_PER_MONTH + i64::from(interval.days);
    days.checked_mul(MICROS_PER_DAY)?
        .checked_add(interval.nanoseconds / 1000)
}
