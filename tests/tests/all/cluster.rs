//! A cluster from its files to its clients: the tool applies, the server serves, policy decides.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use omnigraph_tests::{PEOPLE, Server, code, one, rows, run};
use serde_json::Value;
use tempfile::TempDir;

use crate::tool::program;

const CLUSTER: &str = "
version: 1
metadata: { name: brain }
graphs:
  people: { schema: people.pg }
  notes: { schema: people.pg }
  plain: { schema: people.pg }
policies:
  base: { file: base.yaml, applies_to: [people, notes] }
  server: { file: server.yaml, applies_to: [cluster] }
";

const BASE: &str = "
version: 1
groups: { readers: [ada, bob, cyd], writers: [bob, cyd], leads: [cyd] }
protected_branches: [main]
rules:
  - id: read
    allow: { actors: { group: readers }, actions: [read], branch_scope: any }
  - id: draft
    allow: { actors: { group: writers }, actions: [change], branch_scope: unprotected }
  - id: branch
    allow: { actors: { group: writers }, actions: [branch_create, branch_delete], target_branch_scope: unprotected }
  - id: lead
    allow: { actors: { group: leads }, actions: [change, export], branch_scope: any }
  - id: migrate
    allow: { actors: { group: leads }, actions: [schema_apply], target_branch_scope: any }
";

const SERVER: &str = "
version: 1
kind: server
groups: { listers: [bob] }
rules:
  - id: list
    allow: { actors: { group: listers }, actions: [graph_list] }
";

pub(crate) fn tool(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program())
        .arg("cluster")
        .args(arguments)
        .current_dir(directory)
        .env_remove("OMNIGRAPH_ACTOR")
        .output()
        .expect("the program runs")
}

pub(crate) fn done(directory: &Path, arguments: &[&str]) -> String {
    let output = tool(directory, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn config() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    for (name, text) in [
        ("cluster.yaml", CLUSTER),
        ("people.pg", PEOPLE),
        ("base.yaml", BASE),
        ("server.yaml", SERVER),
    ] {
        std::fs::write(directory.path().join(name), text).expect("a file");
    }
    directory
}

pub(crate) fn edit(directory: &Path, name: &str, from: &str, to: &str) {
    let path = directory.join(name);
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replacen(from, to, 1)).expect("a file");
}

fn applied() -> TempDir {
    let directory = config();
    done(directory.path(), &["import"]);
    done(directory.path(), &["apply", "--as", "andrew"]);
    directory
}

#[test]
fn the_tool_says_what_it_does_and_how_it_ended() {
    let directory = config();
    let here = directory.path();
    assert_eq!(
        done(here, &["validate"]),
        "valid: 3 graphs, 0 queries, 2 policies\n"
    );
    let plan = "Create graph.notes\nCreate graph.people\nCreate graph.plain\nCreate schema.notes\nCreate schema.people\nCreate schema.plain\nCreate policy.base\nCreate policy.server\n";
    assert_eq!(done(here, &["plan"]), plan);
    assert_eq!(
        tool(here, &["plan", "--detailed-exitcode"]).status.code(),
        Some(2)
    );
    let refused = tool(here, &["apply"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("error[state_missing]"));
    done(here, &["import"]);
    let text = done(here, &["apply", "--as", "andrew"]);
    assert!(
        text.contains("Create graph.people [Applied]\n") && text.ends_with("converged: true\n"),
        "{text}"
    );
    let again: Value =
        serde_json::from_str(&done(here, &["apply", "--json"])).expect("one JSON document");
    assert_eq!(
        (&again["converged"], &again["state_written"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        tool(here, &["plan", "--detailed-exitcode"]).status.code(),
        Some(0)
    );
    edit(here, "cluster.yaml", "  plain: { schema: people.pg }\n", "");
    let text = done(here, &["apply", "--as", "andrew"]);
    assert!(
        text.contains("Delete graph.plain [Blocked: approval_required]\n"),
        "{text}"
    );
    assert!(text.ends_with("converged: false\n"), "{text}");
    assert_eq!(
        tool(here, &["approve", "graph.plain"]).status.code(),
        Some(2),
        "an approval needs an actor"
    );
    let text = done(here, &["approve", "graph.plain", "--as", "andrew"]);
    assert!(
        text.starts_with("cluster approve: delete graph.plain approved by andrew (approval 01"),
        "{text}"
    );
    let text = done(here, &["apply", "--as", "andrew"]);
    assert!(
        text.contains("Delete graph.plain [Applied]\n") && text.ends_with("converged: true\n"),
        "{text}"
    );
    assert!(!here.join("graphs/plain.omni/_graph/graph.json").exists());
    done(here, &["status"]);
    assert!(here.join("__cluster/state.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_actor_may_do_what_the_policy_says() {
    let server = Server::of_cluster(applied(), &["ada", "bob", "cyd", "eve"]).await;
    let ada = server.client_of("people", "ada").await;
    let bob = server.client_of("people", "bob").await;
    let cyd = server.client_of("people", "cyd").await;
    // Whom no rule names does not even get in.
    assert_eq!(code(server.try_client("people", "eve").await), "42501");
    assert_eq!(code(server.try_client("nowhere", "ada").await), "3D000");
    run(&cyd, "INSERT INTO person (slug, name) VALUES ('x', 'X')").await;
    run(&bob, "CREATE SCHEMA draft").await;
    let insert = "INSERT INTO person (slug, name) VALUES ('y', 'Y')";
    let on_draft = "INSERT INTO draft.person (slug, name) VALUES ('z', 'Z')";
    let apply = format!("SELECT * FROM schema_apply($${PEOPLE}$$)");
    for (statement, expected) in [
        (
            "SELECT count(*) FROM person",
            ["no error", "no error", "no error"],
        ),
        (
            "SELECT count(*) FROM draft.person",
            ["no error", "no error", "no error"],
        ),
        (
            "SELECT * FROM commits() LIMIT 1",
            ["no error", "no error", "no error"],
        ),
        (insert, ["42501", "42501", "no error"]),
        (
            "UPDATE person SET name = 'N'",
            ["42501", "42501", "no error"],
        ),
        (
            "DELETE FROM person WHERE slug = 'y'",
            ["42501", "42501", "no error"],
        ),
        ("TRUNCATE person CASCADE", ["42501", "42501", "no error"]),
        (on_draft, ["42501", "no error", "23505"]),
        (apply.as_str(), ["42501", "42501", "no error"]),
        ("CREATE TABLE t (n int)", ["42501", "42501", "42501"]),
        ("CREATE DATABASE t", ["42501", "42501", "42501"]),
        ("DROP DATABASE notes", ["42501", "42501", "42501"]),
        ("CREATE SCHEMA another", ["42501", "no error", "42P06"]),
        ("DROP SCHEMA another", ["42501", "no error", "3F000"]),
        (
            "SELECT count(*) FROM person FOR SYSTEM_TIME AS OF now()",
            ["no error", "no error", "no error"],
        ),
        ("SELECT tag_create('t')", ["42501", "no error", "42710"]),
        (
            "SELECT count(*) FROM person FOR SYSTEM_TIME AS OF 't'",
            ["no error", "no error", "no error"],
        ),
        ("SELECT tag_delete('t')", ["42501", "no error", "42704"]),
        (
            "SELECT branch_reset('main', 'main~1')",
            ["42501", "42501", "42501"],
        ),
        ("SELECT revert('main')", ["42501", "42501", "no error"]),
        ("VACUUM", ["42501", "42501", "42501"]),
        (
            "COPY (SELECT 1) TO STDOUT",
            ["no error", "no error", "no error"],
        ),
        ("COPY person TO STDOUT", ["42501", "42501", "no error"]),
        (
            "COPY omnigraph.ndjson TO STDOUT",
            ["42501", "42501", "no error"],
        ),
    ] {
        for ((name, client), expected) in [("ada", &ada), ("bob", &bob), ("cyd", &cyd)]
            .iter()
            .zip(expected)
        {
            let outcome = if statement.starts_with("COPY") {
                match client.copy_out(statement).await {
                    Ok(stream) => {
                        let mut stream = std::pin::pin!(stream);
                        while let Some(chunk) = futures::StreamExt::next(&mut stream).await {
                            chunk.expect("data");
                        }
                        "no error".to_owned()
                    }
                    Err(error) => code::<()>(Err(error)),
                }
            } else {
                code(client.simple_query(statement).await)
            };
            assert_eq!(outcome, expected, "{name}: {statement}");
        }
    }
    let error = ada.simple_query(insert).await.expect_err("denied");
    let message = error.as_db_error().expect("an answer").message().to_owned();
    assert_eq!(
        message,
        "permission denied: \"ada\" may not change on \"main\" of graph \"people\""
    );
    let text = rows(&ada, "SELECT name, protected FROM branches() ORDER BY 1").await;
    assert_eq!(text, [["draft", "f"], ["main", "t"]]);
    // Graphs are listed to those who may list them; to the others, the one they are in.
    let listed = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE datname <> 'postgres'";
    assert_eq!(one(&bob, listed).await, "notes,people,plain");
    assert_eq!(one(&ada, listed).await, "people");
    // A graph without a policy can be read.
    let plain = server.client_of("plain", "eve").await;
    assert_eq!(one(&plain, "SELECT count(*) FROM person").await, "0");
    assert_eq!(code(plain.simple_query(insert).await), "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_are_told_as_the_policy_has_them() {
    let server = Server::of_cluster(applied(), &["ada", "bob", "cyd"]).await;
    let [ada, bob, cyd] = [
        server.client_of("people", "ada").await,
        server.client_of("people", "bob").await,
        server.client_of("people", "cyd").await,
    ];
    run(&bob, "CREATE SCHEMA draft").await;
    for (question, expected) in [
        ("has_table_privilege('person', 'SELECT')", ["t", "t", "t"]),
        (
            "has_table_privilege('person', 'INSERT, DELETE')",
            ["f", "f", "t"],
        ),
        (
            "has_table_privilege('draft.person', 'UPDATE')",
            ["f", "t", "t"],
        ),
        (
            "has_column_privilege('draft.person', 'name', 'UPDATE')",
            ["f", "t", "t"],
        ),
        ("has_table_privilege('person', 'TRIGGER')", ["f", "f", "f"]),
        ("has_table_privilege('pg_class', 'SELECT')", ["t", "t", "t"]),
        ("has_table_privilege('pg_class', 'DELETE')", ["f", "f", "f"]),
        ("has_schema_privilege('draft', 'USAGE')", ["t", "t", "t"]),
        ("has_schema_privilege('main', 'CREATE')", ["f", "f", "t"]),
        (
            "has_schema_privilege('main', 'CREATE WITH GRANT OPTION')",
            ["f", "f", "f"],
        ),
    ] {
        for (client, expected) in [&ada, &bob, &cyd].into_iter().zip(expected) {
            let told = one(client, &format!("SELECT {question}")).await;
            assert_eq!(told, expected, "{question}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_revision_is_served_without_a_restart() {
    let server = Server::of_cluster(applied(), &["ada", "bob"]).await;
    let here = server.store().to_owned();
    let ada = server.client_of("people", "ada").await;
    let insert = "INSERT INTO person (slug, name) VALUES ('x', 'X')";
    assert_eq!(code(ada.simple_query(insert).await), "42501");
    edit(&here, "base.yaml", "leads: [cyd]", "leads: [cyd, ada]");
    edit(
        &here,
        "people.pg",
        "age: I32?",
        "age: I32?\n    nick: String?",
    );
    edit(
        &here,
        "cluster.yaml",
        "  plain:",
        "  fresh: { schema: people.pg }\n  plain:",
    );
    done(&here, &["apply", "--as", "andrew"]);
    for attempt in 0.. {
        if code(ada.simple_query(insert).await) == "no error" {
            break;
        }
        assert!(attempt < 100, "the new policy is not served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(one(&ada, "SELECT count(nick) FROM person").await, "0");
    let fresh = server.client_of("fresh", "ada").await;
    assert_eq!(one(&fresh, "SELECT count(*) FROM person").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_cannot_be_served_is_set_aside_and_the_others_serve() {
    let directory = applied();
    std::fs::write(
        directory.path().join("graphs/notes.omni/_graph/graph.json"),
        "damaged",
    )
    .expect("a file");
    let server = Server::of_cluster(directory, &["ada", "bob"]).await;
    let people = server.client_of("people", "ada").await;
    assert_eq!(one(&people, "SELECT count(*) FROM person").await, "0");
    for (actor, told) in [("bob", true), ("ada", false)] {
        let error = server
            .try_client("notes", actor)
            .await
            .expect_err("it is not served");
        let error = error.as_db_error().expect("an answer");
        assert_eq!(error.code().code(), "3D000");
        assert_eq!(
            error
                .detail()
                .is_some_and(|detail| detail.contains("graph_unopenable")),
            told,
            "{actor}"
        );
    }
}

/// What `external_blobs` allows the tool on the graph's root; a server reads no files.
#[tokio::test(flavor = "multi_thread")]
async fn blobs_outside_are_read_where_the_cluster_allows_it() {
    let directory = config();
    let here = directory.path().canonicalize().expect("a path");
    let files = here.join("files");
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("a"), "bytes").expect("a file");
    std::fs::write(here.join("secret"), "secret").expect("a file");
    let allow = format!(
        "people: {{ schema: people.pg, external_blobs: {{ allow: [{{ base: \"file://{}/\", scope: embedded_only }}] }} }}",
        files.display()
    );
    edit(
        &here,
        "cluster.yaml",
        "people: { schema: people.pg }",
        &allow,
    );
    done(&here, &["import"]);
    done(&here, &["apply", "--as", "andrew"]);
    let load = |name: &str, file: &str| {
        let line = format!(r#"{{"type":"Note","data":{{"text":"{name}","raw":"file://{file}"}}}}"#);
        std::fs::write(here.join("note.jsonl"), line).expect("a file");
        Command::new(program())
            .args(["load", "--mode", "append", "--data", "note.jsonl"])
            .arg(here.join("graphs/people.omni"))
            .current_dir(&here)
            .output()
            .expect("the program runs")
    };
    let allowed = load("a", &files.join("a").display().to_string());
    assert!(
        allowed.status.success(),
        "{}",
        String::from_utf8_lossy(&allowed.stderr)
    );
    let refused = load("b", &here.join("secret").display().to_string());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("blobs may not be read from file://"),
        "{said}"
    );
    let server = Server::of_cluster(directory, &["cyd"]).await;
    let client = server.client_of("people", "cyd").await;
    assert_eq!(
        one(&client, "SELECT encode(raw, 'escape') FROM note").await,
        "bytes"
    );
    let uri = format!("file://{}/a", files.display());
    let read = client.query("SELECT blob_from_uri($1)", &[&uri]).await;
    assert_eq!(code(read), "42501");
}

/// What a graph made at run time is to its makers, to others, and to the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn graphs_are_made_and_dropped_while_servers_run() {
    let directory = config();
    let here = directory.path();
    edit(
        here,
        "server.yaml",
        "groups: { listers: [bob] }",
        "groups: { listers: [bob], makers: [cyd] }",
    );
    edit(
        here,
        "server.yaml",
        "rules:\n",
        "rules:\n  - id: make\n    allow: { actors: { group: makers }, actions: [graph_create, graph_delete] }\n",
    );
    done(here, &["import"]);
    done(here, &["apply", "--as", "andrew"]);
    let server = Server::of_cluster(directory, &["ada", "bob", "cyd"]).await;
    let here = server.store();
    let cyd = server.client_of("people", "cyd").await;
    let bob = server.client_of("people", "bob").await;
    let make = format!(
        "CREATE DATABASE lab WITH (schema => $$node Tube {{ name: String @key }}$$, policy => $${}$$)",
        "version: 1\ngroups: { all: [cyd], look: [bob] }\nrules:\n  - { id: all, allow: { actors: { group: all }, actions: [read, change], branch_scope: any } }\n  - { id: define, allow: { actors: { group: all }, actions: [schema_apply], target_branch_scope: any } }\n  - { id: look, allow: { actors: { group: look }, actions: [read], branch_scope: any } }\n"
    );
    assert_eq!(code(bob.simple_query(&make).await), "42501");
    run(&cyd, &make).await;
    assert_eq!(code(cyd.simple_query(&make).await), "42P04");
    for (sql, expected) in [
        (
            "CREATE DATABASE LAB2 WITH (policy => 'version: 2')",
            "22023",
        ),
        ("CREATE DATABASE \"Lab\"", "42P04"),
        ("CREATE DATABASE template1", "42602"),
        ("DROP DATABASE plain", "42501"),
        ("DROP DATABASE people", "55006"),
    ] {
        assert_eq!(code(cyd.simple_query(sql).await), expected, "{sql}");
    }
    let lab = server.client_of("lab", "cyd").await;
    run(&lab, "INSERT INTO tube (name) VALUES ('t1')").await;
    // Its schema is nobody's file.
    run(&lab, "CREATE TABLE rack (label text PRIMARY KEY)").await;
    let look = server.client_of("lab", "bob").await;
    assert_eq!(one(&look, "SELECT name FROM tube").await, "t1");
    assert_eq!(code(look.simple_query("DELETE FROM tube").await), "42501");
    assert_eq!(code(server.try_client("lab", "ada").await), "42501");
    assert!(
        done(here, &["plan"]).contains("graph.lab is unmanaged: made at run time, not declared\n")
    );
    assert!(done(here, &["apply", "--as", "andrew"]).ends_with("converged: true\n"));
    assert_eq!(code(cyd.simple_query("DROP DATABASE lab").await), "55006");
    drop((lab, look));
    for attempt in 0.. {
        match code(cyd.simple_query("DROP DATABASE lab").await).as_str() {
            "no error" => break,
            "55006" if attempt < 200 => tokio::time::sleep(Duration::from_millis(25)).await,
            other => panic!("{other}"),
        }
    }
    assert_eq!(code(server.try_client("lab", "cyd").await), "3D000");
    // A declared one goes with an approval of just that.
    edit(here, "cluster.yaml", "  plain: { schema: people.pg }\n", "");
    done(here, &["approve", "graph.plain", "--as", "andrew"]);
    run(&cyd, "DROP DATABASE plain").await;
    assert_eq!(code(server.try_client("plain", "cyd").await), "3D000");
    assert!(done(here, &["apply", "--as", "andrew"]).ends_with("converged: true\n"));
}

#[test]
fn policies_are_checked_tested_and_explained() {
    let directory = config();
    let here = directory.path();
    let policy = |arguments: &[&str]| {
        let output = Command::new(program())
            .arg("policy")
            .args(arguments)
            .current_dir(here)
            .output()
            .expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    assert_eq!(
        policy(&["validate", "base.yaml", "server.yaml"]),
        (
            Some(0),
            "base.yaml: a graph policy, 5 rules\nserver.yaml: a server policy, 1 rules\n"
                .to_owned()
        )
    );
    let (_, text) = policy(&["explain", "base.yaml"]);
    assert!(
        text.contains("draft: writers may change on unprotected branches\n")
            && text.contains("    principal in Group::\"writers\",\n")
            && text.contains("unless { resource in Branches::\"protected\" };"),
        "{text}"
    );
    let ask = |actor, action, branch| {
        let (code, text) = policy(&[
            "explain",
            "base.yaml",
            "--actor",
            actor,
            "--action",
            action,
            "--branch",
            branch,
        ]);
        assert_eq!(code, Some(0));
        text
    };
    assert!(
        ask("bob", "change", "draft").starts_with("allow: bob may change on draft\n  by draft\n")
    );
    assert!(ask("bob", "change", "main").starts_with("deny: bob may not change on main\n"));
    std::fs::write(
        here.join("cases.yaml"),
        "cases:\n  - { actor: bob, action: change, branch: draft, expect: allow }\n  - { actor: eve, action: read, expect: deny }\n  - { actor: ada, action: change, branch: main, expect: allow }\n",
    )
    .expect("a file");
    let (code, text) = policy(&["test", "base.yaml", "--cases", "cases.yaml"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("cases.yaml:4: ada change on main: expected allow, decided deny\n")
            && text.ends_with("2 as expected, 1 not\n"),
        "{text}"
    );
    edit(here, "base.yaml", "leads: [cyd]", "leeds: [cyd]");
    let (code, text) = policy(&["validate", "base.yaml"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("error[unknown_group] base.yaml:"), "{text}");
}
