//! `omnigraph sql`, profiles and logins, with the real program against a server.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use omnigraph_tests::{Server, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tool::program;

/// An operator: a home of their own, and no other configuration.
struct Operator {
    home: TempDir,
}

impl Operator {
    fn new() -> Operator {
        let home = TempDir::new().expect("a temporary directory");
        Operator { home }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env("OMNIGRAPH_HOME", self.home.path())
            .stdin(Stdio::null());
        for name in ["OMNIGRAPH_SERVER", "OMNIGRAPH_PROFILE", "PGPASSWORD"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        told(&self.command(arguments).output().expect("the program runs"))
    }

    fn given(&self, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdin = child.stdin.take().expect("it was asked for");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        told(&child.wait_with_output().expect("it ends"))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_answered_in_every_shape() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO person (slug, name, age) VALUES ('a', 'A, b', 30), ('b', 'B', NULL)",
    )
    .await;
    let operator = Operator::new();
    let dsn = format!("postgresql://ada@{}/people", server.address());
    let ask = |shape: &str, sql: &str| {
        let (code, text, error) =
            operator.run(&["sql", "--server", &dsn, "--output", shape, "-c", sql]);
        assert_eq!(code, Some(0), "{error}");
        text
    };
    let rows = "SELECT slug, name, age FROM person ORDER BY slug";
    assert_eq!(
        ask("table", rows),
        "slug  name  age\na     A, b  30\nb     B\n(2 rows)\n"
    );
    let both = json!([{ "slug": "a", "name": "A, b", "age": "30" }, { "slug": "b", "name": "B", "age": null }]);
    let document: Value = serde_json::from_str(&ask("json", rows)).expect("one document");
    assert_eq!(document, both);
    let lines = ask("jsonl", rows);
    let each: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    assert_eq!(Value::Array(each), both);
    assert_eq!(ask("csv", rows), "slug,name,age\na,\"A, b\",30\nb,B,\n");
    // More rows than are laid out together.
    let many = ask("table", "SELECT g FROM generate_series(1, 2500) g");
    assert!(many.ends_with("2500\n(2500 rows)\n"), "{many}");
    assert_eq!(ask("json", "SELECT 1 WHERE false"), "[]\n");
    // Several statements, from the command line and from standard input.
    let (code, text, _) = operator.run(&[
        "sql",
        "--server",
        &dsn,
        "-c",
        "SELECT 1 AS one",
        "-c",
        "SELECT 2 AS two",
    ]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "one\n  1\n(1 row)\ntwo\n  2\n(1 row)\n")
    );
    let (code, text, error) = operator.given(
        &["sql", "--server", &dsn],
        "INSERT INTO note (text) VALUES ('n'); SELECT count(*) AS notes FROM note",
    );
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "done (1)\nnotes\n    1\n(1 row)\n"),
        "{error}"
    );
    assert!(error.contains(&format!("written to {dsn}")), "{error}");
    let (code, text, error) = operator.run(&["sql", "--server", &dsn, "-c", "SELECT nowhere"]);
    assert_eq!((code, text.as_str()), (Some(1), ""));
    assert!(
        error.starts_with("error: column \"nowhere\" does not exist [42703]"),
        "{error}"
    );
    let (code, _, error) = operator.run(&["sql", "-c", "SELECT 1"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("no server is named"), "{error}");
    let (code, _, error) = operator.run(&[
        "sql",
        "--server",
        "postgresql://ada:secret@127.0.0.1:1/x?y=z",
        "-c",
        "SELECT 1",
    ]);
    assert_eq!(code, Some(2));
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn what_deletes_elsewhere_is_not_run_unasked() {
    let operator = Operator::new();
    // Nobody is there: only what is not asked about goes as far as finding that out.
    let elsewhere = "host=192.0.2.1 hostaddr=127.0.0.1 port=1 user=ada dbname=people";
    let run = |sql: &str, yes: bool| {
        let mut arguments = vec!["sql", "--server", elsewhere, "-c", sql];
        arguments.extend(yes.then_some("--yes"));
        operator.run(&arguments)
    };
    for (sql, yes, asked) in [
        ("DELETE FROM person", false, true),
        ("DROP SCHEMA draft", false, true),
        ("SELECT 1", false, false),
        ("DELETE FROM person", true, false),
    ] {
        let (code, _, error) = run(sql, yes);
        assert_eq!(error.contains("Give --yes"), asked, "{sql}: {error}");
        assert_eq!(code, Some(if asked { 2 } else { 1 }), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_name_servers_and_logins_keep_their_passwords() {
    let directory = TempDir::new().expect("a temporary directory");
    let here = directory.path();
    std::fs::write(
        here.join("cluster.yaml"),
        "version: 1\ngraphs:\n  people: { schema: people.pg }\n",
    )
    .expect("a file");
    std::fs::write(here.join("people.pg"), omnigraph_tests::PEOPLE).expect("a file");
    crate::cluster::done(here, &["import"]);
    crate::cluster::done(here, &["apply", "--as", "andrew"]);
    let server = Server::of_cluster(directory, &["ada"]).await;
    let operator = Operator::new();
    let dsn = format!("postgresql://ada@{}/people", server.address());
    let config = format!(
        "profiles:\n  work: {{ server: \"{dsn}\" }}\n  other: {{ server: \"host=h user=x password=hush\" }}\ndefaults: {{ profile: work }}\n"
    );
    std::fs::write(operator.file("config.yaml"), config).expect("a file");
    let (code, text, _) = operator.run(&["profile", "list"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("work") && text.contains("default") && !text.contains("hush"),
        "{text}"
    );
    let ask = || operator.run(&["sql", "-c", "SELECT current_user AS me"]);
    let (code, _, error) = ask();
    assert_eq!(code, Some(1), "{error}");
    let (code, _, error) = operator.given(&["login", "work"], "wrong\n");
    assert_eq!(code, Some(1), "{error}");
    assert!(!operator.file("credentials.json").exists());
    let (code, text, error) = operator.given(&["login", "work"], "ada\n");
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("profile \"work\""), "{text}");
    assert_eq!(mode(&operator.file("credentials.json")), 0o600);
    let (code, text, error) = ask();
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "me\nada\n(1 row)\n"),
        "{error}"
    );
    let (_, text, _) = operator.run(&["profile", "show", "work", "--json"]);
    let document: Value = serde_json::from_str(&text).expect("one document");
    assert_eq!(
        (&document["login"], &document["default"]),
        (&json!(true), &json!(true))
    );
    // What others can read is not believed.
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(operator.file("credentials.json"), loose).expect("it is ours");
    let (code, _, error) = ask();
    assert_eq!(code, Some(1));
    assert!(error.contains("chmod 600"), "{error}");
    let tight = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(operator.file("credentials.json"), tight).expect("it is ours");
    // Policy has its own exit code.
    let (code, _, error) = operator.run(&["sql", "-c", "INSERT INTO note (text) VALUES ('n')"]);
    assert_eq!(code, Some(5), "{error}");
    let (code, ..) = operator.run(&["logout", "work"]);
    assert_eq!(code, Some(0));
    assert_eq!(ask().0, Some(1));
    let (code, _, error) = operator.run(&["sql", "--profile", "nobody", "-c", "SELECT 1"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("there is no profile"), "{error}");
}
