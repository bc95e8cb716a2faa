//! The built `omnigraph` program: what it prints, what it leaves behind, how it exits.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const SCHEMA: &str = "
node Person { name: String @key  age: I32? }
edge Knows: Person -> Person { since: Date? }
";

const PEOPLE: &str = r#"{"type":"Person","data":{"name":"ada","age":36}}
{"edge":"Knows","from":"ada","to":"bob","data":{"id":"1"}}
{"type":"Person","data":{"name":"bob"}}
"#;

/// A directory with a schema, and the program.
struct Tool {
    directory: TempDir,
}

impl Tool {
    fn new() -> Tool {
        let directory = TempDir::new().expect("a temporary directory");
        let tool = Tool { directory };
        tool.file("people.pg", SCHEMA.as_bytes());
        tool.file("people.jsonl", PEOPLE.as_bytes());
        tool
    }

    /// With a graph `g.omni`.
    fn with_graph() -> Tool {
        let tool = Tool::new();
        tool.done(&["init", "--schema", "people.pg", "g.omni"]);
        tool
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a writable directory");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("OMNIGRAPH_ACTOR", "tester")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs what must succeed; its output.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(arguments)).expect("one JSON document")
    }

    /// Runs what must fail with this exit code; what it says.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stderr)
    }
}

/// The program lies beside the folder of the test programs; `make test` builds it first.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("target/<profile>/deps/<test>");
    let program = folder.join("omnigraph");
    assert!(
        program.exists(),
        "{} is not built: run `make build`",
        program.display()
    );
    program
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn what_is_exported_loads_to_the_same() {
    let tool = Tool::with_graph();
    let loaded = tool.done(&[
        "load",
        "--data",
        "people.jsonl",
        "--mode",
        "append",
        "g.omni",
    ]);
    assert!(
        loaded.starts_with("loaded 2 nodes and 1 edges into main"),
        "{loaded}"
    );
    let exported = tool.done(&["export", "g.omni"]);
    assert_eq!(exported.lines().count(), 3);
    assert!(
        exported
            .lines()
            .take(2)
            .all(|line| line.contains("\"type\":\"Person\"")),
        "nodes first: {exported}"
    );
    tool.file("again.jsonl", exported.as_bytes());
    tool.done(&["init", "--schema", "people.pg", "again.omni"]);
    tool.done(&[
        "load",
        "--data",
        "again.jsonl",
        "--mode",
        "overwrite",
        "again.omni",
    ]);
    assert_eq!(tool.done(&["export", "again.omni"]), exported);
}

#[test]
fn standard_input_and_gzip_are_read() {
    let tool = Tool::with_graph();
    let mut child = tool
        .command(&["load", "--data", "-", "--mode", "append", "g.omni"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut input = child.stdin.take().expect("it was piped");
    input.write_all(PEOPLE.as_bytes()).expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success());
    let status = Command::new("gzip")
        .arg("-k")
        .arg(tool.path("people.jsonl"))
        .status()
        .expect("gzip is part of every system");
    assert!(status.success());
    tool.done(&[
        "load",
        "--data",
        "people.jsonl.gz",
        "--mode",
        "merge",
        "g.omni",
    ]);
    assert_eq!(tool.done(&["export", "g.omni"]).lines().count(), 3);
}

#[test]
fn init_leaves_a_graph_that_is_there_as_it_is() {
    let tool = Tool::with_graph();
    tool.done(&[
        "load",
        "--data",
        "people.jsonl",
        "--mode",
        "append",
        "g.omni",
    ]);
    let before = tool.done(&["commits", "--json", "g.omni"]);
    let error = tool.fails(1, &["init", "--schema", "people.pg", "g.omni"]);
    assert!(error.contains("already exists"), "{error}");
    assert_eq!(tool.done(&["commits", "--json", "g.omni"]), before);
}

#[test]
fn of_racing_inits_one_wins_and_no_trace_of_the_others_stays() {
    let tool = Tool::new();
    let racers: Vec<_> = (0..4)
        .map(|_| {
            tool.command(&["init", "--schema", "people.pg", "race.omni"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program runs")
        })
        .collect();
    let codes: Vec<_> = racers
        .into_iter()
        .map(|mut racer| racer.wait().expect("it ends").code())
        .collect();
    assert_eq!(
        codes.iter().filter(|code| **code == Some(0)).count(),
        1,
        "{codes:?}"
    );
    assert_eq!(
        codes.iter().filter(|code| **code == Some(1)).count(),
        3,
        "{codes:?}"
    );
    let mut left: Vec<String> = std::fs::read_dir(tool.directory.path())
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("a directory")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    left.sort();
    assert_eq!(left, ["people.jsonl", "people.pg", "race.omni"]);
    tool.done(&[
        "load",
        "--data",
        "people.jsonl",
        "--mode",
        "append",
        "race.omni",
    ]);
}

#[test]
fn a_bad_schema_is_shown_with_a_caret_and_makes_nothing() {
    let tool = Tool::new();
    tool.file("bad.pg", b"node Person { name: Strin @key }\n");
    let error = tool.fails(1, &["init", "--schema", "bad.pg", "g.omni"]);
    assert!(error.contains("bad.pg:1:21"), "{error}");
    assert!(error.contains("^^^^^"), "{error}");
    assert!(!tool.path("g.omni").exists());
}

#[test]
fn a_bad_file_is_told_by_line_and_changes_nothing() {
    let tool = Tool::with_graph();
    let bad = format!(
        "{PEOPLE}{{\"type\":\"Person\",\"data\":{{\"name\":\"cyd\",\"age\":\"old\"}}}}\n{{\"edge\":\"Knows\",\"from\":\"ada\",\"to\":\"eve\"}}\n"
    );
    tool.file("bad.jsonl", bad.as_bytes());
    let output = tool.run(&[
        "load",
        "--data",
        "bad.jsonl",
        "--mode",
        "append",
        "--json",
        "g.omni",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("line 4") && error.contains("age"), "{error}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["exit"], 1);
    assert!(
        document["error"]["mistakes"][0]["line"] == 4
            && document["error"]["mistakes"][1]["line"] == 5
            && document["error"]["total"] == 2,
        "{document}"
    );
    assert_eq!(tool.done(&["export", "g.omni"]), "");
    assert_eq!(
        tool.json(&["commits", "--json", "g.omni"])["commits"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn modes_refuse_replace_or_overwrite() {
    let tool = Tool::with_graph();
    tool.done(&[
        "load",
        "--data",
        "people.jsonl",
        "--mode",
        "append",
        "g.omni",
    ]);
    let error = tool.fails(
        1,
        &[
            "load",
            "--data",
            "people.jsonl",
            "--mode",
            "append",
            "g.omni",
        ],
    );
    assert!(error.contains("line 1"), "{error}");
    tool.file("more.jsonl", b"{\"type\":\"Person\",\"data\":{\"name\":\"bob\",\"age\":7}}\n{\"type\":\"Person\",\"data\":{\"name\":\"cyd\"}}\n");
    let merged = tool.json(&[
        "load",
        "--data",
        "more.jsonl",
        "--mode",
        "merge",
        "--json",
        "g.omni",
    ]);
    assert_eq!(
        (merged["nodes"].as_u64(), merged["edges"].as_u64()),
        (Some(2), Some(0))
    );
    assert_eq!(tool.done(&["export", "g.omni"]).lines().count(), 4);
    tool.done(&[
        "load",
        "--data",
        "more.jsonl",
        "--mode",
        "overwrite",
        "g.omni",
    ]);
    assert_eq!(
        tool.done(&["export", "g.omni"]).lines().count(),
        2,
        "edges went with the rest"
    );
}

#[test]
fn a_refused_load_tells_each_line_and_what_an_edge_looks_for() {
    let tool = Tool::with_graph();
    let mut lines = String::from("{\"type\":\"Person\",\"data\":{\"name\":\"ada\"}}\n");
    for number in 0..1100 {
        lines += &format!("{{\"edge\":\"Knows\",\"from\":\"ada\",\"to\":\"nobody{number}\"}}\n");
    }
    tool.file("bad.jsonl", lines.as_bytes());
    let load = ["load", "--mode", "append", "--data", "bad.jsonl", "g.omni"];
    let told = tool.fails(1, &load);
    assert!(
        told.starts_with("error: the load was refused for 1100 mistakes; nothing was written\n")
    );
    assert_eq!(told.matches("nobody17\"").count(), 1, "{told}");
    assert!(
        told.contains(
            "\n  line 2: Knows.to: \"nobody0\" names no Person of this file or the graph\n"
        ),
        "{told}"
    );
    assert!(told.contains("\n  and 100 more\n"), "{told}");
    let output = tool.run(&[&load[..], &["--json"]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let error = &document["error"];
    assert_eq!(error["total"], 1100);
    assert_eq!(error["mistakes"].as_array().map(Vec::len), Some(1000));
    assert_eq!(
        error["mistakes"][999],
        serde_json::json!({
            "line": 1001,
            "type": "Knows",
            "property": "to",
            "reason": "\"nobody999\" names no Person of this file or the graph",
        })
    );
}

#[test]
fn a_load_makes_its_branch_only_if_asked_and_only_if_it_succeeds() {
    let tool = Tool::with_graph();
    let load = |more: &[&'static str]| {
        [
            &["load", "--mode", "append", "--branch", "review/1", "g.omni"],
            more,
        ]
        .concat()
    };
    let error = tool.fails(1, &load(&["--data", "people.jsonl"]));
    assert!(error.contains("--from main"), "{error}");
    tool.file("bad.jsonl", b"{\"type\":\"Nobody\",\"data\":{}}\n");
    tool.fails(1, &load(&["--data", "bad.jsonl", "--from", "main"]));
    let branches = |tool: &Tool| {
        tool.json(&["branch", "list", "--json", "g.omni"])["branches"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(branches(&tool), Some(1));
    let loaded = tool.json(&load(&[
        "--data",
        "people.jsonl",
        "--from",
        "main",
        "--json",
    ]));
    assert_eq!(loaded["branch_made"], true);
    assert_eq!(branches(&tool), Some(2));
    assert_eq!(tool.done(&["export", "g.omni"]), "", "main is as it was");
    assert_eq!(
        tool.done(&["export", "--branch", "review/1", "g.omni"])
            .lines()
            .count(),
        3
    );
    tool.done(&[
        "ingest",
        "--data",
        "people.jsonl",
        "--branch",
        "old/way",
        "g.omni",
    ]);
    assert_eq!(branches(&tool), Some(3));
}

#[test]
fn branches_with_commits_of_their_own_are_kept() {
    let tool = Tool::with_graph();
    tool.done(&["branch", "create", "empty", "g.omni"]);
    tool.done(&["branch", "delete", "empty", "g.omni"]);
    tool.done(&[
        "load",
        "--data",
        "people.jsonl",
        "--mode",
        "append",
        "--branch",
        "work",
        "--from",
        "main",
        "g.omni",
    ]);
    let error = tool.fails(1, &["branch", "delete", "work", "g.omni"]);
    assert!(error.contains("--cascade"), "{error}");
    tool.done(&["branch", "delete", "work", "--cascade", "g.omni"]);
    tool.fails(1, &["branch", "delete", "work", "g.omni"]);
    tool.fails(1, &["branch", "delete", "main", "g.omni"]);
}

#[test]
fn commits_say_who_and_why() {
    let tool = Tool::with_graph();
    let load = [
        "load",
        "--data",
        "people.jsonl",
        "--mode",
        "append",
        "--as",
        "ada",
        "--message",
        "first people",
        "g.omni",
    ];
    tool.done(&load);
    let commits = tool.json(&["commits", "--json", "g.omni"]);
    let newest = &commits["commits"][0];
    assert_eq!(newest["actor"], "ada");
    assert_eq!(newest["message"], "first people");
    assert_eq!(newest["inserted"], 3);
    assert_eq!(newest["parents"][0], commits["commits"][1]["commit"]);
    assert_eq!(commits["commits"][1]["actor"], "tester");
    let one = tool.done(&["commits", "--limit", "1", "g.omni"]);
    assert_eq!(one.lines().count(), 2, "a heading and a commit: {one}");
}

#[test]
fn tags_reverts_and_cleanups_are_at_hand() {
    let tool = Tool::with_graph();
    let load = [
        "load",
        "--data",
        "people.jsonl",
        "--mode",
        "merge",
        "g.omni",
    ];
    tool.done(&load);
    let made = tool.json(&["tag", "create", "v1", "-m", "first", "--json", "g.omni"]);
    assert_eq!(
        (&made["tag"], &made["message"]),
        (&"v1".into(), &"first".into())
    );
    let listed = tool.json(&["tag", "list", "--json", "g.omni"]);
    assert_eq!(listed["tags"][0]["commit"], made["commit"]);
    tool.fails(1, &["tag", "create", "v1", "g.omni"]);
    let reverted = tool.json(&["revert", "v1", "--json", "g.omni"]);
    assert_eq!(reverted["reverted"], made["commit"]);
    assert_eq!(tool.done(&["export", "g.omni"]).lines().count(), 0);
    tool.done(&load);
    let clean = [
        "cleanup",
        "--older-than",
        "0s",
        "--grace",
        "0s",
        "--json",
        "g.omni",
    ];
    let told = tool.json(&clean);
    assert!(told["removed"]["files"].as_u64() > Some(0), "{told}");
    assert_eq!(told["confirmed"], false);
    let done = tool.json(&[&clean[..], &["--confirm"]].concat());
    assert!(done["removed"]["files"].as_u64() > Some(0), "{done}");
    assert_eq!(tool.done(&["export", "g.omni"]).lines().count(), 3);
    // What reverting would bring back is no longer kept.
    tool.fails(1, &["revert", "main", "g.omni"]);
    tool.done(&["tag", "delete", "v1", "g.omni"]);
    tool.fails(1, &["tag", "delete", "v1", "g.omni"]);
}

#[test]
fn schemas_are_shown_and_planned() {
    let tool = Tool::with_graph();
    assert_eq!(
        tool.done(&["schema", "show", "g.omni"]).trim(),
        SCHEMA.trim()
    );
    let unchanged = tool.json(&[
        "schema",
        "plan",
        "--schema",
        "people.pg",
        "--json",
        "g.omni",
    ]);
    assert_eq!(unchanged["steps"].as_array().map(Vec::len), Some(0));
    tool.file(
        "next.pg",
        SCHEMA
            .replace("age: I32?", "age: I32?  nick: String?")
            .as_bytes(),
    );
    let plan = tool.done(&["schema", "plan", "--schema", "next.pg", "g.omni"]);
    assert!(plan.contains("add property Person.nick: String?"), "{plan}");
    assert_eq!(
        tool.done(&["schema", "show", "g.omni"]).trim(),
        SCHEMA.trim(),
        "a plan changes nothing"
    );
}

#[test]
fn wrong_usage_and_missing_graphs_have_their_exit_codes() {
    let tool = Tool::new();
    tool.fails(2, &["load", "--mode", "append", "g.omni"]);
    tool.fails(
        2,
        &[
            "load",
            "--data",
            "people.jsonl",
            "--mode",
            "replace",
            "g.omni",
        ],
    );
    tool.fails(2, &["commits", "--as", "ada", "g.omni"]);
    let error = tool.fails(1, &["commits", "nowhere.omni"]);
    assert!(error.contains("omnigraph init"), "{error}");
    assert!(!tool.path("nowhere.omni").exists(), "looking makes nothing");
    let output = tool.run(&["cluster", "plan", "--config", "."]);
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output.stdout);
    assert!(found.contains("error[config_missing]"), "{found}");
    assert!(tool.done(&["version"]).starts_with("omnigraph "));
}

#[test]
fn branches_are_merged_and_conflicts_have_their_exit_code() {
    let tool = Tool::with_graph();
    let load = |branch: &str, mode: &str, lines: &str| {
        tool.file("more.jsonl", lines.as_bytes());
        tool.done(&[
            "load",
            "--data",
            "more.jsonl",
            "--mode",
            mode,
            "--branch",
            branch,
            "g.omni",
        ]);
    };
    load("main", "append", PEOPLE);
    tool.done(&["branch", "create", "b", "g.omni"]);
    load(
        "b",
        "merge",
        r#"{"type":"Person","data":{"name":"ada","age":37}}"#,
    );
    load(
        "main",
        "append",
        r#"{"type":"Person","data":{"name":"cyd"}}"#,
    );
    let merged = tool.json(&["branch", "merge", "b", "--json", "g.omni"]);
    assert_eq!(merged["outcome"], "merged");
    assert_eq!(merged["tables"]["person"]["updated"], 1);
    load(
        "b",
        "merge",
        r#"{"type":"Person","data":{"name":"ada","age":1}}"#,
    );
    load(
        "main",
        "merge",
        r#"{"type":"Person","data":{"name":"ada","age":2}}"#,
    );
    let told = tool.fails(3, &["branch", "merge", "b", "g.omni"]);
    assert!(told.contains("DivergentUpdate"), "{told}");
    let merged = tool.done(&[
        "branch",
        "merge",
        "b",
        "--on-conflict",
        "theirs",
        "--delete-branch",
        "g.omni",
    ]);
    assert!(merged.contains("deleted branch b"), "{merged}");
    let exported = tool.done(&["export", "g.omni"]);
    assert!(exported.contains(r#""age":1"#), "{exported}");
}

#[test]
fn a_blob_is_put_in_one_commit() {
    let tool = Tool::new();
    tool.file(
        "docs.pg",
        b"node Document { slug: String @key  title: String?  content: Blob? }",
    );
    tool.done(&["init", "--schema", "docs.pg", "d.omni"]);
    tool.file(
        "d.jsonl",
        br#"{"type":"Document","data":{"slug":"a","title":"one"}}"#,
    );
    tool.done(&["load", "--data", "d.jsonl", "--mode", "append", "d.omni"]);
    let commits = || {
        let told = tool.json(&["commits", "--json", "--limit", "0", "d.omni"]);
        told["commits"].as_array().expect("commits").len()
    };
    let put = ["blob", "put", "Document.content", "a", "--json", "d.omni"];
    let long: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    for bytes in [&b""[..], b"short", &long] {
        let before = commits();
        let input = tool.file("input", bytes);
        let told = tool.json(&[&put[..], &["--input", "input"]].concat());
        assert_eq!(told["length"], bytes.len());
        assert_eq!(commits(), before + 1);
        let written = tool.run(&["blob", "get", "Document.content", "a", "d.omni"]);
        assert!(written.stdout == bytes);
        // The same from standard input.
        let mut again = tool.command(&put);
        let file = std::fs::File::open(input).expect("the file");
        let again = again.stdin(file).output().expect("the program runs");
        assert!(again.status.success(), "{}", text(&again.stderr));
    }
    let shown = tool.done(&["export", "d.omni"]);
    assert!(shown.contains(r#""title":"one""#), "{shown}");
    let before = commits();
    for (property, id, told) in [
        ("Document.content", "b", "does not exist"),
        ("Document.title", "a", "is not a Blob"),
        ("Document.nothing", "a", "Document.nothing"),
    ] {
        let said = tool.fails(1, &["blob", "put", property, id, "d.omni"]);
        assert!(said.contains(told), "{said}");
    }
    tool.fails(
        1,
        &[
            "blob",
            "put",
            "Document.content",
            "a",
            "--input",
            "nowhere",
            "d.omni",
        ],
    );
    assert_eq!(commits(), before);
}
