use clap::Args;
use omnigraph_engine::VacuumOptions;
use serde_json::json;

use crate::cli::address::{Address, Durable};
use crate::cli::output::{Output, grouped};
use crate::cli::{Actor, Failure, Format};

/// Compact tables and remove files that nothing needs any more: VACUUM.
///
/// What branches and tags name is always kept. Other states are kept for as long as
/// --older-than says after they were superseded. Without --confirm it says what it would do.
#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// How long superseded states stay readable: 7d, 12h, 30m, 0s
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
    older_than: i64,
    /// How long a transaction may have been open: less costs it its work, never data
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    grace: i64,
    /// Do it
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    pub format: Format,
}

impl Cleanup {
    pub async fn run(self) -> Result<Output, Failure> {
        let graph = self.address.open_to_write(self.durable).await?;
        let options = VacuumOptions {
            actor: self.actor.name(),
            retain: self.older_than,
            grace: self.grace,
            dry_run: !self.confirm,
        };
        let report = graph.vacuum(options).await?;
        let verb = if self.confirm {
            "removed"
        } else {
            "would remove"
        };
        let text = format!(
            "{verb} {} files of {} bytes, kept {} files of {} bytes",
            grouped(report.removed.files),
            grouped(report.removed.bytes),
            grouped(report.kept.files),
            grouped(report.kept.bytes),
        );
        let hint = if self.confirm {
            ""
        } else {
            "\nGive --confirm to do it."
        };
        Ok(Output::new(
            format!("{text}{hint}"),
            json!({
                "confirmed": self.confirm,
                "compacted_tables": report.compacted,
                "expired_entries": report.expired,
                "removed": { "files": report.removed.files, "bytes": report.removed.bytes },
                "kept": { "files": report.kept.files, "bytes": report.kept.bytes },
            }),
        ))
    }
}

/// `90s`, `30m`, `12h` or `7d` in microseconds.
fn duration(text: &str) -> Result<i64, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err("give a number with s, m, h or d: 7d".to_owned()),
    };
    text[..text.len() - 1]
        .parse::<u32>()
        .map(|number| i64::from(number) * unit * 1_000_000)
        .map_err(|_| "give a number with s, m, h or d: 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        assert_eq!(duration("7d"), Ok(7 * 86_400_000_000));
        assert_eq!(duration("0s"), Ok(0));
        for bad in ["", "7", "d", "-1d", "1w", "1.5h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
