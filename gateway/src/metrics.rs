//! Every figure that this server tells of itself, under its name.
//!
//! Counters live here; what can be looked up (sessions, memory, requests to the store) is looked
//! up when somebody asks. Labels come from these enums, never from what users write.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::PgError;
use crate::sqlstate;

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The statement cannot be run as it is written.
    Rejected,
    /// A constraint, or a value that is none of its type.
    Invalid,
    Denied,
    /// Somebody else was quicker.
    Conflict,
    Cancelled,
    /// A limit of ours, or no memory.
    Limit,
    /// The store, or the connection.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Outcome {
    pub const ALL: [Outcome; 9] = [
        Outcome::Done,
        Outcome::Rejected,
        Outcome::Invalid,
        Outcome::Denied,
        Outcome::Conflict,
        Outcome::Cancelled,
        Outcome::Limit,
        Outcome::Unavailable,
        Outcome::Internal,
    ];

    pub fn of(error: Option<&PgError>) -> Self {
        let Some(error) = error else {
            return Outcome::Done;
        };
        match error.code {
            sqlstate::INSUFFICIENT_PRIVILEGE => Outcome::Denied,
            sqlstate::SERIALIZATION_FAILURE
            | sqlstate::DEADLOCK_DETECTED
            | sqlstate::MERGE_CONFLICT => Outcome::Conflict,
            sqlstate::QUERY_CANCELED => Outcome::Cancelled,
            code => match &code[..2] {
                "22" | "23" => Outcome::Invalid,
                "53" | "54" => Outcome::Limit,
                "08" | "57" | "58" => Outcome::Unavailable,
                "XX" => Outcome::Internal,
                _ => Outcome::Rejected,
            },
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Rejected => "rejected",
            Outcome::Invalid => "invalid",
            Outcome::Denied => "denied",
            Outcome::Conflict => "conflict",
            Outcome::Cancelled => "cancelled",
            Outcome::Limit => "limit",
            Outcome::Unavailable => "unavailable",
            Outcome::Internal => "internal",
        }
    }
}

/// The upper ends of the buckets of statement times, in microseconds.
const BUCKETS: [u64; 14] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
];

/// The counters of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    connections: AtomicU64,
    failed_logins: AtomicU64,
    statements: [AtomicU64; Outcome::ALL.len()],
    /// Those within each bucket alone; they are summed up when they are told.
    times: [AtomicU64; BUCKETS.len()],
    times_sum_micros: AtomicU64,
    commits: AtomicU64,
    conflicts: AtomicU64,
}

impl Metrics {
    pub fn connected(&self) {
        add(&self.connections, 1);
    }

    pub fn login_failed(&self) {
        add(&self.failed_logins, 1);
    }

    pub fn statement(&self, took: Duration, error: Option<&PgError>) {
        let outcome = Outcome::of(error);
        if let Some(at) = Outcome::ALL.iter().position(|known| *known == outcome) {
            add(&self.statements[at], 1);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = BUCKETS.iter().position(|most| micros <= *most) {
            add(&self.times[at], 1);
        }
        add(&self.times_sum_micros, micros);
        if outcome == Outcome::Conflict {
            self.conflict();
        }
    }

    pub fn commit(&self) {
        add(&self.commits, 1);
    }

    /// A write lost against another one, whether it is tried again or not.
    pub fn conflict(&self) {
        add(&self.conflicts, 1);
    }

    /// Writes the counters in Prometheus' text format.
    pub fn write(&self, page: &mut Page) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.head(
            "omnigraph_gateway_connections_total",
            "counter",
            "Sessions that were begun.",
        );
        page.value(&[], read(&self.connections));
        page.head(
            "omnigraph_gateway_failed_logins_total",
            "counter",
            "Connections that did not become a session.",
        );
        page.value(&[], read(&self.failed_logins));
        page.head(
            "omnigraph_gateway_statements_total",
            "counter",
            "Statements that were run, by what became of them.",
        );
        for (outcome, count) in Outcome::ALL.iter().zip(&self.statements) {
            page.value(&[("outcome", outcome.name())], read(count));
        }
        page.head(
            "omnigraph_gateway_statement_seconds",
            "histogram",
            "How long statements took, their rows included.",
        );
        let mut sofar = 0;
        for (most, count) in BUCKETS.iter().zip(&self.times) {
            sofar += read(count);
            page.part(
                "_bucket",
                &[("le", seconds(*most).as_str())],
                &sofar.to_string(),
            );
        }
        let all: u64 = self.statements.iter().map(read).sum();
        page.part("_bucket", &[("le", "+Inf")], &all.max(sofar).to_string());
        page.part("_sum", &[], &seconds(read(&self.times_sum_micros)));
        page.part("_count", &[], &all.max(sofar).to_string());
        page.head(
            "omnigraph_gateway_commits_total",
            "counter",
            "Commits that sessions made.",
        );
        page.value(&[], read(&self.commits));
        page.head(
            "omnigraph_gateway_conflicts_total",
            "counter",
            "Writes that lost against another one, tried again or not.",
        );
        page.value(&[], read(&self.conflicts));
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

/// Microseconds as seconds, without a float's noise.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A page of figures in Prometheus' text format, version 0.0.4.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// What follows is this metric.
    pub fn head(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub fn value(&mut self, labels: &[(&str, &str)], value: u64) {
        self.part("", labels, &value.to_string());
    }

    fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.text, "{}{suffix}{labels} {value}", self.name);
    }

    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.connected();
        for micros in [400, 1_000, 1_001, 400_000_000] {
            metrics.statement(Duration::from_micros(micros), None);
        }
        let lost = PgError::new(sqlstate::SERIALIZATION_FAILURE, "lost");
        metrics.statement(Duration::from_micros(10), Some(&lost));
        let mut page = Page::default();
        metrics.write(&mut page);
        let text = page.finish();
        for line in [
            "# TYPE omnigraph_gateway_connections_total counter",
            "omnigraph_gateway_connections_total 1",
            "omnigraph_gateway_statements_total{outcome=\"done\"} 4",
            "omnigraph_gateway_statements_total{outcome=\"conflict\"} 1",
            "omnigraph_gateway_statement_seconds_bucket{le=\"0.0005\"} 2",
            "omnigraph_gateway_statement_seconds_bucket{le=\"0.001\"} 3",
            "omnigraph_gateway_statement_seconds_bucket{le=\"0.0025\"} 4",
            "omnigraph_gateway_statement_seconds_bucket{le=\"300\"} 4",
            "omnigraph_gateway_statement_seconds_bucket{le=\"+Inf\"} 5",
            "omnigraph_gateway_statement_seconds_sum 400.002411",
            "omnigraph_gateway_statement_seconds_count 5",
            "omnigraph_gateway_conflicts_total 1",
        ] {
            assert!(
                text.lines().any(|told| told == line),
                "{line} is not in\n{text}"
            );
        }
        for line in text.lines() {
            let plain = line.starts_with("# ")
                || line
                    .rsplit_once(' ')
                    .is_some_and(|(_, value)| value.parse::<f64>().is_ok());
            assert!(plain, "{line}");
        }
    }

    #[test]
    fn every_code_has_an_outcome() {
        for (name, code) in sqlstate::ALL {
            let outcome = Outcome::of(Some(&PgError::new(code, "")));
            let expected = match *code {
                "42501" => Outcome::Denied,
                "40001" | "40P01" | "MG001" => Outcome::Conflict,
                "57014" => Outcome::Cancelled,
                code if code.starts_with("XX") => Outcome::Internal,
                _ => continue,
            };
            assert_eq!(outcome, expected, "{name}");
        }
    }
}
