//! A server's settings: flags before environment variables before a file.
//!
//! The file is YAML; its keys are the flags' names:
//!
//! ```yaml
//! cluster: s3://bucket/prefix
//! bind: [0.0.0.0:5432]
//! http-bind: off
//! require-all-graphs: true
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, Parser};
use omnigraph_catalog::yaml::{self, Findings, Node, Value};

use super::Args;

/// Settings that stand for each other: a flag for one of them is one against the file's others.
const ALTERNATIVES: [[&str; 2]; 2] = [["store", "cluster"], ["credentials", "unauthenticated"]];

/// Reads a command line with the file that it, or the environment, names. What is wrong with the
/// file comes beside the settings, so that all mistakes are told together.
pub fn read(given: Vec<OsString>) -> Result<(Args, Vec<String>), clap::Error> {
    let lenient = Args::command().ignore_errors(true);
    let matches = lenient.try_get_matches_from(&given)?;
    let Some(path) = matches.get_one::<PathBuf>("config").cloned() else {
        return Ok((Args::try_parse_from(given)?, Vec::new()));
    };
    let (added, mistakes) = of_file(&path, &matches);
    let mut all = given.into_iter();
    let program: Vec<OsString> = all.by_ref().take(1).collect();
    let arguments = program.into_iter().chain(added).chain(all);
    Ok((Args::try_parse_from(arguments)?, mistakes))
}

/// The file's settings as flags, without those that were given, and what is wrong with it.
fn of_file(path: &Path, given: &ArgMatches) -> (Vec<OsString>, Vec<String>) {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return (Vec::new(), vec![format!("--config {file}: {error}")]),
    };
    let node = match yaml::parse(&file, &text) {
        Ok(node) => node,
        Err(found) => return (Vec::new(), vec![found.to_string()]),
    };
    let command = Args::command();
    let mut findings = Findings::new(&file);
    let mut added = Vec::new();
    for (name, key, node) in findings.mapping(&node, "the settings").rest() {
        let long = name.replace('_', "-");
        let known = command
            .get_arguments()
            .find(|known| known.get_long() == Some(&long))
            .filter(|known| !matches!(known.get_id().as_str(), "config" | "help" | "version"));
        let Some(known) = known else {
            findings.report(
                key,
                "unknown_key",
                format!("there is no setting \"{name}\""),
            );
            continue;
        };
        if is_given(known.get_id().as_str(), given) {
            continue;
        }
        if matches!(known.get_action(), ArgAction::SetTrue) {
            match findings.bool(node, name) {
                Some(true) => added.push(format!("--{long}").into()),
                Some(false) | None => {}
            }
            continue;
        }
        for value in values(node, name, &mut findings) {
            added.push(format!("--{long}={value}").into());
        }
    }
    let mistakes = findings.found.iter().map(ToString::to_string);
    (added, mistakes.collect())
}

fn values(node: &Node, name: &str, findings: &mut Findings<'_>) -> Vec<String> {
    match &node.value {
        Value::Sequence(_) => {
            let texts = findings.texts(node, name).into_iter();
            texts.map(|(text, _)| text).collect()
        }
        _ => findings.text(node, name).into_iter().collect(),
    }
}

/// Was it, or what excludes it, said by a flag or the environment?
fn is_given(id: &str, given: &ArgMatches) -> bool {
    let said = |id: &str| {
        matches!(
            given.value_source(id),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    };
    let others = ALTERNATIVES.iter().filter(|pair| pair.contains(&id));
    said(id) || others.flatten().any(|other| said(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str, flags: &[&str]) -> (Args, Vec<String>) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("server.yaml");
        std::fs::write(&path, text).expect("a file");
        let path = path.to_str().expect("a path");
        let given = ["omnigraph-server", "--config", path];
        let given = given.iter().chain(flags).map(OsString::from).collect();
        read(given).expect("known flags")
    }

    #[test]
    fn flags_come_before_the_file() {
        let text = "store: /here\nunauthenticated: true\nbind: [127.0.0.1:1, 127.0.0.1:2]\ndrain: 5s\nmax_connections: 7\n";
        let (args, mistakes) = settings(text, &["--max-connections", "9"]);
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(args.store.as_deref(), Some("/here"));
        assert_eq!(args.bind, ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!((args.max_connections, args.unauthenticated), (9, true));
        assert_eq!(args.drain, std::time::Duration::from_secs(5));
        let (args, _) = settings(text, &["--cluster", "/there", "--credentials", "/c"]);
        assert_eq!((args.store, args.unauthenticated), (None, false));
        assert_eq!(args.cluster.as_deref(), Some("/there"));
    }

    #[test]
    fn every_mistake_of_the_file_is_told_with_its_place() {
        let (args, mistakes) = settings("stores: /here\nunauthenticated: perhaps\nbind: {}\n", &[]);
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[0].contains("server.yaml:1"), "{mistakes:?}");
        assert!(args.check().is_err());
    }
}
