//! What every statement asks of the settings, worked out once for each version of them.

use std::sync::Arc;

use omnigraph_catalog::lookup::SearchPath;
use omnigraph_engine::names::BranchName;
use parking_lot::Mutex;

use super::path;
use super::protocol::Timeouts;
use super::settings::Settings;
use crate::error::PgResult;
use crate::statement::bind::text_search::DEFAULT;
use crate::text::{ByteaOutput, IntervalStyle, TextFormat, Zone};

#[derive(Debug)]
pub(crate) struct Derived {
    version: u64,
    /// How values are read and written as text.
    pub(crate) format: Arc<TextFormat>,
    /// The settings that the meaning of a text depends on, one a line.
    pub(crate) formats: Arc<str>,
    pub(crate) timeouts: Timeouts,
    pub(crate) application: Arc<str>,
    /// The reference that `SET snapshot` made the session read, if any.
    pub(crate) pinned: Option<Arc<str>>,
    /// The entries of `search_path`, and which of them could be branches.
    path: PgResult<(Vec<String>, Vec<BranchName>)>,
    /// Where unqualified names are sought on the branch that was asked for last.
    sought: Mutex<Option<(BranchName, SearchPath)>>,
}

impl Derived {
    pub(crate) fn of(settings: &Settings) -> Self {
        let formats = [
            "DateStyle",
            "IntervalStyle",
            "TimeZone",
            "bytea_output",
            "extra_float_digits",
            DEFAULT,
        ];
        let formats = formats.map(|name| settings.get(name)).join("\n");
        let pinned = Some(settings.get("snapshot")).filter(|name| !name.is_empty());
        let path = path::entries(settings.get("search_path")).map(|entries| {
            let candidates = path::candidates(&entries).collect();
            (entries, candidates)
        });
        Derived {
            version: settings.version(),
            format: Arc::new(text_format(settings)),
            formats: formats.into(),
            timeouts: Timeouts {
                statement: settings.limit("statement_timeout"),
                idle_in_transaction: settings.limit("idle_in_transaction_session_timeout"),
                idle_session: settings.limit("idle_session_timeout"),
            },
            application: settings.get("application_name").into(),
            pinned: pinned.map(Into::into),
            path,
            sought: Mutex::default(),
        }
    }

    pub(crate) fn is_of(&self, settings: &Settings) -> bool {
        self.version == settings.version()
    }

    /// The entries of the path that could be branches, in order.
    pub(crate) fn candidates(&self) -> PgResult<&[BranchName]> {
        let (_, candidates) = self.path.as_ref().map_err(Clone::clone)?;
        Ok(candidates)
    }

    /// Where unqualified names are sought by a session on `branch`.
    pub(crate) fn search_path(&self, branch: &BranchName) -> PgResult<SearchPath> {
        let mut sought = self.sought.lock();
        if let Some((of, path)) = &*sought
            && of == branch
        {
            return Ok(path.clone());
        }
        let (entries, _) = self.path.as_ref().map_err(Clone::clone)?;
        let path = effective(entries, branch);
        *sought = Some((branch.clone(), path.clone()));
        Ok(path)
    }
}

/// The path with what it implies.
fn effective(entries: &[String], branch: &BranchName) -> SearchPath {
    let mut schemas = vec!["pg_catalog".to_owned()];
    for entry in entries {
        let schema = match entry.as_str() {
            "public" => branch.as_str(),
            entry => entry,
        };
        if schema != "$user" && !schemas.iter().any(|known| known == schema) {
            schemas.push(schema.to_owned());
        }
    }
    for implied in [branch.as_str(), "omnigraph"] {
        if !schemas.iter().any(|schema| schema == implied) {
            schemas.push(implied.to_owned());
        }
    }
    SearchPath {
        schemas: schemas.into(),
        branch: branch.to_string(),
    }
}

/// How values are read and written as text under these settings.
fn text_format(settings: &Settings) -> TextFormat {
    let base = TextFormat::default();
    let mut format = base
        .with_date_style(settings.get("DateStyle"))
        .unwrap_or(base);
    if let Some(style) = IntervalStyle::parse(settings.get("IntervalStyle")) {
        format.interval_style = style;
    }
    if let Some(zone) = Zone::parse(settings.get("TimeZone")) {
        format.zone = zone;
    }
    if let Some(output) = ByteaOutput::parse(settings.get("bytea_output")) {
        format.bytea_output = output;
    }
    if let Ok(digits) = settings.get("extra_float_digits").parse() {
        format.extra_float_digits = digits;
    }
    format
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::Scope;

    #[test]
    fn paths_follow_the_branch_and_end_with_what_they_imply() {
        let mut settings = Settings::new();
        let sought = |derived: &Derived, branch: &str| {
            let branch = BranchName::parse(branch).expect("a name");
            let path = derived.search_path(&branch).expect("a path");
            assert_eq!(path.branch, branch.as_str());
            path.schemas.join(" ")
        };
        let derived = Derived::of(&settings);
        assert_eq!(sought(&derived, "main"), "pg_catalog main omnigraph");
        assert_eq!(sought(&derived, "dev"), "pg_catalog dev omnigraph");
        assert_eq!(sought(&derived, "main"), "pg_catalog main omnigraph");
        settings
            .set(
                "search_path",
                "omnigraph, \"$user\", dev, public, dev",
                Scope::Session,
            )
            .expect("a path");
        assert!(!derived.is_of(&settings));
        let derived = Derived::of(&settings);
        assert_eq!(sought(&derived, "main"), "pg_catalog omnigraph dev main");
        let dev = BranchName::parse("dev").expect("a name");
        assert_eq!(derived.candidates().expect("a path"), [dev.clone(), dev]);
    }

    #[test]
    fn what_a_text_means_changes_with_the_settings_it_depends_on() {
        let mut settings = Settings::new();
        let before = Derived::of(&settings);
        settings
            .set("application_name", "me", Scope::Session)
            .expect("set");
        let after = Derived::of(&settings);
        assert_eq!(
            (&*before.formats, &*after.application),
            (&*after.formats, "me")
        );
        settings
            .set("DateStyle", "German", Scope::Session)
            .expect("set");
        assert_ne!(before.formats, Derived::of(&settings).formats);
    }
}
