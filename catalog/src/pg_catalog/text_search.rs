//! pg_ts_config: the ways in which texts become words.

use omnigraph_engine::Result;
use omnigraph_engine::search::Analyzer;

use super::oid::{OWNER, PG_CATALOG};
use super::value::{Rows, row};

/// PostgreSQL has no fixed number for any but the first.
const CONFIGURATIONS: [(u32, Analyzer); 3] = [
    (3748, Analyzer::Simple),
    (13_156, Analyzer::English),
    (13_157, Analyzer::Keyword),
];

/// The parser named "default".
const PARSER: u32 = 3722;

pub fn configuration(name: &str) -> Option<u32> {
    let analyzer = Analyzer::named(name)?;
    let mut known = CONFIGURATIONS.iter();
    let (oid, _) = known.find(|(_, known)| *known == analyzer)?;
    Some(*oid)
}

pub fn analyzer(configuration: u32) -> Option<Analyzer> {
    let mut known = CONFIGURATIONS.iter();
    let (_, analyzer) = known.find(|(oid, _)| *oid == configuration)?;
    Some(*analyzer)
}

pub(super) fn configurations(rows: &mut Rows) -> Result<()> {
    for (oid, analyzer) in CONFIGURATIONS {
        rows.push(row![
            "oid" => oid,
            "cfgname" => analyzer.name(),
            "cfgnamespace" => PG_CATALOG,
            "cfgowner" => OWNER,
            "cfgparser" => PARSER,
        ])?;
    }
    Ok(())
}
