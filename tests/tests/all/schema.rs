//! The schema as SQL sees it, and its change.

use omnigraph_tests::{PEOPLE, Server, code, one, rows, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_planned_applied_and_seen_at_once() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    run(
        &client,
        "INSERT INTO person (slug, name, age) VALUES ('ada', 'Ada', 36)",
    )
    .await;
    // What was prepared before is planned anew after.
    let prepared = other
        .prepare("SELECT * FROM person")
        .await
        .expect("a statement");
    assert_eq!(prepared.columns().len(), 7);
    let wanted = PEOPLE
        .replacen(
            "age: I32?",
            "years: I32? @rename_from(\"age\")\n nick: String?\n rank: I32 @default(1)",
            1,
        )
        .replacen("@range(age,", "@range(years,", 1);
    let steps = rows(
        &client,
        &format!("SELECT kind, step, validates, fills FROM schema_plan($${wanted}$$)"),
    )
    .await;
    assert_eq!(
        steps,
        [
            [
                "rename_property",
                "rename property Person.age to years",
                "f",
                "f"
            ],
            [
                "add_property",
                "add property Person.nick: String?",
                "f",
                "f"
            ],
            [
                "add_property",
                "add property Person.rank: I32 @default(1)",
                "f",
                "t"
            ],
        ]
    );
    let commit = one(
        &client,
        &format!("SELECT * FROM schema_apply($${wanted}$$)"),
    )
    .await;
    assert_eq!(commit.len(), 26);
    assert_eq!(
        one(
            &client,
            &format!("SELECT * FROM schema_apply($${wanted}$$)")
        )
        .await,
        "∅"
    );
    for client in [&client, &other] {
        assert_eq!(
            rows(client, "SELECT years, nick, rank FROM person").await,
            [["36", "∅", "1"]]
        );
        assert_eq!(one(client, "SELECT * FROM schema_source()").await, wanted);
        assert_eq!(
            one(client, "SELECT * FROM schema_source('main~1')").await,
            PEOPLE
        );
        assert_eq!(
            one(
                client,
                "SELECT count(*) FROM information_schema.columns WHERE table_name = 'person'"
            )
            .await,
            "9"
        );
        assert_eq!(
            code(client.simple_query("SELECT age FROM person").await),
            "42703"
        );
    }
    run(
        &other,
        "INSERT INTO person (slug, name, nick, rank) VALUES ('bob', 'Bob', 'b', 2)",
    )
    .await;
    assert_eq!(
        one(&client, "SELECT string_agg(nick, ',') FROM person").await,
        "b"
    );
    assert_eq!(
        one(
            &client,
            "SELECT kind FROM commits() WHERE kind = 'schema' LIMIT 1"
        )
        .await,
        "schema"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_the_way_and_impossible_steps_are_told_with_their_code() {
    let server = Server::start().await;
    let client = server.client().await;
    run(
        &client,
        "INSERT INTO person (slug, name, age) VALUES ('ada', 'Ada', 36), ('bob', 'Bob', 36)",
    )
    .await;
    for (from, to, expected) in [
        ("age: I32?", "age: I32? @unique", "23505"),
        ("email: String?", "email: String", "23502"),
        ("0..150", "40..150", "23514"),
        ("age: I32?", "age: I64?", "22023"),
        ("age: I32?", "age: I32? extra", "22023"),
    ] {
        let wanted = PEOPLE.replacen(from, to, 1);
        let outcome = client
            .simple_query(&format!("SELECT * FROM schema_apply($${wanted}$$)"))
            .await;
        assert_eq!(code(outcome), expected, "{to}");
    }
    run(&client, "BEGIN").await;
    assert_eq!(
        code(
            client
                .simple_query(&format!("SELECT * FROM schema_apply($${PEOPLE}$$)"))
                .await
        ),
        "25001"
    );
    run(&client, "ROLLBACK").await;
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "2");
}

/// A transaction that wrote rows of the old shape is told to run again.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_a_migration_is_40001() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    run(
        &client,
        "BEGIN; INSERT INTO person (slug, name) VALUES ('ada', 'Ada')",
    )
    .await;
    let wanted = PEOPLE.replacen("age: I32?", "age: I32?\n nick: String?", 1);
    run(&other, &format!("SELECT * FROM schema_apply($${wanted}$$)")).await;
    assert_eq!(code(client.simple_query("COMMIT").await), "40001");
    run(
        &client,
        "INSERT INTO person (slug, name, nick) VALUES ('ada', 'Ada', 'a')",
    )
    .await;
    assert_eq!(one(&other, "SELECT nick FROM person").await, "a");
}
