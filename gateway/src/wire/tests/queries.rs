//! Simple and extended queries, COPY, cancel and clocks.

use std::time::Duration;

use tokio::time::Instant;

use super::client::{Client, bind, close, describe, execute, flush, message, parse, query, sync};
use super::fake::{registry, shared};
use crate::auth::Authenticator;
use crate::session::protocol::{Notification, Timeouts, terminated};

#[tokio::test]
async fn a_string_of_statements_is_one_transaction() {
    let mut client = Client::connect().await;
    let answer = client.ask(&query("rows 2; set x; rows 1")).await;
    assert_eq!(
        answer,
        "T(n:23) D(0) D(1) C(SELECT 2) S(application_name=x) C(SET) T(n:23) D(0) C(SELECT 1) Z(I)"
    );
    assert_eq!(
        client.journal(),
        ["rows 2 first", "set x within", "rows 1 last", "commit"]
    );
    assert_eq!(client.ask(&query("")).await, "I Z(I)");
    assert_eq!(client.ask(&query(" ; ")).await, "I Z(I)");
    client.journal();
    assert_eq!(
        client.ask(&query("rows 0")).await,
        "T(n:23) C(SELECT 0) Z(I)"
    );
    assert_eq!(client.journal(), ["rows 0 alone", "commit"]);
}

#[tokio::test]
async fn a_syntax_error_anywhere_runs_nothing_and_an_error_stops_the_string() {
    let mut client = Client::connect().await;
    assert_eq!(client.ask(&query("rows 1; oops")).await, "E(42601) Z(I)");
    assert_eq!(client.journal(), ["fail", "commit"]);
    assert_eq!(
        client.ask(&query("set a; fail; set b")).await,
        "S(application_name=a) C(SET) E(22012) Z(I)"
    );
    assert_eq!(
        client.journal(),
        ["set a first", "fail within", "fail", "commit"]
    );
    assert_eq!(
        client.ask(&query("late")).await,
        "T(n:23) D(1) E(22012) Z(I)"
    );
}

#[tokio::test]
async fn success_is_not_told_before_the_commit() {
    let mut client = Client::connect().await;
    assert_eq!(client.ask(&query("commitfails")).await, "E(40001) Z(I)");
    let pipeline = [
        parse("", "commitfails", &[]),
        bind("", "", &[], &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    assert_eq!(client.ask(&pipeline).await, "1 2 E(40001) Z(I)");
    assert_eq!(
        client.ask(&query("ok")).await,
        "C(OK) Z(I)",
        "the session goes on"
    );
}

#[tokio::test]
async fn blocks_show_their_status() {
    let mut client = Client::connect().await;
    assert_eq!(client.ask(&query("begin")).await, "C(BEGIN) Z(T)");
    assert_eq!(client.ask(&query("fail")).await, "E(22012) Z(E)");
    assert_eq!(client.ask(&query("rows 1")).await, "E(25P02) Z(E)");
    assert_eq!(client.ask(&query("rollback")).await, "C(COMMIT) Z(I)");
    assert_eq!(client.ask(&query("warn")).await, "N(25P01) C(WARN) Z(I)");
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order_with_one_ready_for_each_sync() {
    let mut client = Client::connect().await;
    let one = [
        parse("a", "rows 1", &[]),
        bind("", "a", &[], &[]),
        describe(b'P', ""),
        execute("", 0),
    ]
    .concat();
    let two = [bind("", "a", &[], &[1]), describe(b'P', ""), execute("", 0)].concat();
    client
        .send(&[one, two.clone(), sync(), two, sync()].concat())
        .await;
    assert_eq!(
        client.ready().await,
        "1 2 T(n:23) D(0) C(SELECT 1) 2 T(n:23:b) D(\\x00\\x00\\x00\\x00) C(SELECT 1) Z(I)"
    );
    assert_eq!(
        client.ready().await,
        "2 T(n:23:b) D(\\x00\\x00\\x00\\x00) C(SELECT 1) Z(I)"
    );
    let journal = client.journal();
    assert_eq!(
        journal.iter().filter(|entry| *entry == "commit").count(),
        2,
        "{journal:?}"
    );
}

#[tokio::test]
async fn after_an_error_everything_up_to_sync_is_skipped() {
    let mut client = Client::connect().await;
    let messages = [
        parse("", "rows 1", &[]),
        bind("", "nope", &[], &[]),
        execute("", 0),
        parse("x", "set y", &[]),
        query("rows 1"),
        sync(),
        describe(b'S', "x"),
        sync(),
        parse("", "ok", &[]),
        bind("", "", &[], &[]),
        execute("", 0),
        sync(),
    ];
    client.send(&messages.concat()).await;
    assert_eq!(client.ready().await, "1 E(26000) Z(I)");
    assert_eq!(client.ready().await, "E(26000) Z(I)", "x was skipped");
    assert_eq!(client.ready().await, "1 2 C(OK) Z(I)");
}

#[tokio::test]
async fn names_live_as_long_as_postgresqls() {
    let mut client = Client::connect().await;
    assert_eq!(
        client
            .ask(&[parse("a", "ok", &[]), parse("a", "ok", &[]), sync()].concat())
            .await,
        "1 E(42P05) Z(I)"
    );
    assert_eq!(
        client
            .ask(&[parse("", "rows 1", &[]), parse("", "ok", &[]), sync()].concat())
            .await,
        "1 1 Z(I)"
    );
    assert_eq!(
        client
            .ask(
                &[
                    close(b'S', "a"),
                    close(b'S', "none"),
                    close(b'P', "none"),
                    parse("a", "rows 3", &[]),
                    sync()
                ]
                .concat()
            )
            .await,
        "3 3 3 1 Z(I)"
    );
    assert_eq!(
        client
            .ask(&[parse("", "ok; ok", &[]), sync()].concat())
            .await,
        "E(42601) Z(I)"
    );
    assert_eq!(
        client
            .ask(&[parse("", "unknown", &[]), sync()].concat())
            .await,
        "E(42P01) Z(I)"
    );
    assert_eq!(
        client.ask(&[execute("gone", 0), sync()].concat()).await,
        "E(34000) Z(I)"
    );
    // A portal ends with its transaction.
    assert_eq!(
        client
            .ask(&[bind("p", "a", &[], &[]), sync()].concat())
            .await,
        "2 Z(I)"
    );
    assert_eq!(
        client.ask(&[execute("p", 0), sync()].concat()).await,
        "E(34000) Z(I)"
    );
    client.ask(&query("begin")).await;
    assert_eq!(
        client
            .ask(&[bind("p", "a", &[], &[]), execute("p", 1), sync()].concat())
            .await,
        "2 D(0) s Z(T)"
    );
    assert_eq!(
        client.ask(&[execute("p", 0), sync()].concat()).await,
        "D(1) D(2) C(SELECT 2) Z(T)"
    );
    assert_eq!(
        client.ask(&[execute("p", 0), sync()].concat()).await,
        "E(55000) Z(E)"
    );
    client.ask(&query("rollback")).await;
    // The unnamed statement ends with a simple query.
    client.ask(&[parse("", "ok", &[]), sync()].concat()).await;
    client.ask(&query("ok")).await;
    assert_eq!(
        client.ask(&[describe(b'S', ""), sync()].concat()).await,
        "E(26000) Z(I)"
    );
    for i in 0..4 {
        assert_eq!(
            client
                .ask(&[parse(&format!("s{i}"), "ok", &[]), sync()].concat())
                .await,
            "1 Z(I)"
        );
    }
    assert_eq!(
        client.ask(&[parse("s9", "ok", &[]), sync()].concat()).await,
        "E(53400) Z(I)"
    );
}

#[tokio::test]
async fn a_portal_is_suspended_at_the_limit_even_inside_a_batch() {
    let mut client = Client::connect().await;
    let messages = [
        parse("", "rows 5 2", &[]),
        bind("", "", &[], &[]),
        execute("", 3),
        execute("", 2),
        execute("", 2),
        sync(),
    ];
    assert_eq!(
        client.ask(&messages.concat()).await,
        "1 2 D(0) D(1) D(2) s D(3) D(4) s C(SELECT 0) Z(I)"
    );
}

#[tokio::test]
async fn describe_tells_types_before_bind_and_no_data() {
    let mut client = Client::connect().await;
    let messages = [
        parse("e", "echo", &[23, 25]),
        describe(b'S', "e"),
        parse("s", "set z", &[]),
        describe(b'S', "s"),
        sync(),
    ];
    assert_eq!(
        client.ask(&messages.concat()).await,
        "1 t(23,25) T(p1:23,p2:25) 1 t() n Z(I)"
    );
    let empty = [
        parse("", "", &[]),
        bind("", "", &[], &[]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    assert_eq!(client.ask(&empty.concat()).await, "1 2 n I Z(I)");
}

#[tokio::test]
async fn flush_shows_what_is_there_without_a_commit() {
    let mut client = Client::connect().await;
    client
        .send(
            &[
                parse("", "ok", &[]),
                bind("", "", &[], &[]),
                execute("", 0),
                flush(),
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.until("C(").await, "1 2 C(OK)");
    assert_eq!(client.journal(), ["ok first"]);
    assert_eq!(client.ask(&sync()).await, "Z(I)");
    assert_eq!(client.journal(), ["commit"]);
}

#[tokio::test]
async fn bind_checks_counts_and_formats() {
    let mut client = Client::connect().await;
    client
        .ask(&[parse("e", "echo", &[23, 23]), sync()].concat())
        .await;
    let one: &[(i16, Option<&[u8]>)] = &[(0, Some(b"1"))];
    let two: &[(i16, Option<&[u8]>)] = &[(0, Some(b"1")), (0, Some(b"2"))];
    for (bytes, code) in [
        (bind("", "e", one, &[]), "08P01"),
        (bind("", "e", two, &[0, 0, 0]), "08P01"),
        (bind("", "e", two, &[2]), "22023"),
        (bind("", "e", &[(7, Some(b"1")), (0, None)], &[]), "22023"),
        (bind("", "e", &[(0, Some(b"x")), (0, None)], &[]), "22P02"),
        (
            bind("", "e", &[(0, Some(b"\xff")), (0, None)], &[]),
            "22021",
        ),
        (bind("", "e", &[(1, Some(b"123")), (0, None)], &[]), "22P03"),
    ] {
        assert_eq!(
            client.ask(&[bytes, sync()].concat()).await,
            format!("E({code}) Z(I)")
        );
    }
    let good = [
        bind("", "e", &[(1, Some(&[0, 0, 0, 7])), (0, None)], &[0, 1]),
        execute("", 0),
        sync(),
    ];
    assert_eq!(
        client.ask(&good.concat()).await,
        "2 D(7,NULL) C(SELECT 1) Z(I)"
    );
}

#[tokio::test]
async fn copy_in_both_modes() {
    let mut client = Client::connect().await;
    let data = [
        message(b'd', b"1\ta\n2"),
        message(b'd', b"\tb\n"),
        message(b'c', b""),
    ]
    .concat();
    assert_eq!(
        client.ask(&[query("copyin"), data.clone()].concat()).await,
        "G(7 bytes) C(COPY 2) Z(I)"
    );
    let extended = [
        parse("", "copyin", &[]),
        bind("", "", &[], &[]),
        execute("", 0),
        sync(),
        data,
        sync(),
    ];
    assert_eq!(
        client.ask(&extended.concat()).await,
        "1 2 G(7 bytes) C(COPY 2) Z(I)"
    );
    let fail = [
        query("copyin"),
        message(b'd', b"1\n"),
        message(b'f', b"no more\0"),
    ];
    assert_eq!(client.ask(&fail.concat()).await, "G(7 bytes) E(57014) Z(I)");
    // What the client had sent already does no harm, in either mode.
    let bad = [
        query("copyin"),
        message(b'd', b"bad"),
        message(b'd', b"rest"),
        message(b'c', b""),
    ];
    assert_eq!(client.ask(&bad.concat()).await, "G(7 bytes) E(22P04) Z(I)");
    let bad = [
        parse("", "copyin", &[]),
        bind("", "", &[], &[]),
        execute("", 0),
        message(b'd', b"bad"),
        message(b'c', b""),
        sync(),
    ];
    assert_eq!(
        client.ask(&bad.concat()).await,
        "1 2 G(7 bytes) E(22P04) Z(I)"
    );
    let strange = [query("copyin"), query("rows 1")];
    assert_eq!(
        client.ask(&strange.concat()).await,
        "G(7 bytes) E(08P01) Z(I)"
    );
    // Inside a block the block fails.
    client.ask(&query("begin")).await;
    assert_eq!(client.ask(&fail.concat()).await, "G(7 bytes) E(57014) Z(E)");
    client.ask(&query("rollback")).await;
    assert_eq!(
        client.ask(&query("copyout; ok")).await,
        "H(5 bytes) d(a\\x0a) d(bb\\x0a) c C(COPY 2) C(OK) Z(I)"
    );
}

#[tokio::test]
async fn a_cancel_request_stops_execution_streaming_and_work_that_does_not_await() {
    for statement in ["hang", "endless"] {
        let mut client = Client::connect().await;
        client.send(&query(statement)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let start = Instant::now();
        for handle in registry(&client.shared).handles() {
            handle.cancel();
        }
        let answer = client.ready().await;
        assert!(
            answer.ends_with("E(57014) Z(I)"),
            "{statement}: {}",
            &answer[answer.len().saturating_sub(50)..]
        );
        assert!(start.elapsed() < Duration::from_secs(2), "{statement}");
        assert_eq!(client.ask(&query("ok")).await, "C(OK) Z(I)");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_request_reaches_a_busy_thread() {
    let mut client = Client::connect().await;
    client.send(&query("busy")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for handle in registry(&client.shared).handles() {
        handle.cancel();
    }
    assert_eq!(client.ready().await, "E(57014) Z(I)");
}

async fn with_timeouts(timeouts: Timeouts) -> Client {
    let shared = shared(Authenticator::Trust, None);
    *shared.backends.timeouts.lock() = timeouts;
    Client::to(shared).await
}

#[tokio::test]
async fn statements_have_their_time_even_when_nobody_reads_them() {
    let mut client = with_timeouts(Timeouts {
        statement: Some(Duration::from_millis(100)),
        ..Timeouts::default()
    })
    .await;
    assert_eq!(client.ask(&query("hang")).await, "E(57014) Z(I)");
    let extended = [
        parse("", "hang", &[]),
        bind("", "", &[], &[]),
        execute("", 0),
        sync(),
    ];
    assert_eq!(client.ask(&extended.concat()).await, "1 2 E(57014) Z(I)");
    // The pipe is full long before the rows end.
    client.send(&query("endless")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(client.ready().await.ends_with("E(57014) Z(I)"));
    assert_eq!(
        client.ask(&query("rows 1")).await,
        "T(n:23) D(0) C(SELECT 1) Z(I)"
    );
}

#[tokio::test]
async fn an_idle_transaction_is_ended_and_an_idle_session_is_not() {
    let mut client = with_timeouts(Timeouts {
        idle_in_transaction: Some(Duration::from_millis(100)),
        ..Timeouts::default()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(client.ask(&query("begin")).await, "C(BEGIN) Z(T)");
    assert_eq!(client.until("EOF").await, "E(25P03) EOF");
}

#[tokio::test]
async fn shutdown_ends_idle_sessions_and_lets_statements_finish() {
    let mut client = Client::connect().await;
    client.send(&query("late")).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    registry(&client.shared).drain(&terminated());
    assert_eq!(
        client.until("EOF").await,
        "T(n:23) D(1) E(22012) Z(I) E(57P01) EOF"
    );
    let mut idle = Client::connect().await;
    registry(&idle.shared).drain(&terminated());
    assert_eq!(idle.until("EOF").await, "E(57P01) EOF");
    let mut running = Client::connect().await;
    running.send(&query("hang")).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    registry(&running.shared).terminate(&terminated());
    assert_eq!(running.until("EOF").await, "E(57P01) EOF");
}

#[tokio::test]
async fn a_client_that_goes_away_stops_its_statement() {
    let client = Client::connect().await;
    let shared = client.shared.clone();
    let mut stream = client.stream;
    tokio::io::AsyncWriteExt::write_all(&mut stream, &query("hang"))
        .await
        .expect("sent");
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    let start = Instant::now();
    while !registry(&shared).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(1), "still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(shared.backends.journal.lock().contains(&"fail".to_owned()));
}

#[tokio::test]
async fn notifications_arrive_between_transactions_only() {
    let mut client = Client::connect().await;
    let notification = Notification {
        pid: 7,
        channel: "commits".to_owned(),
        payload: "x".to_owned(),
    };
    client.ask(&query("begin")).await;
    for handle in registry(&client.shared).handles() {
        handle.notify(notification.clone());
    }
    assert_eq!(client.ask(&query("ok")).await, "C(OK) Z(T)");
    assert_eq!(
        client.ask(&query("commit")).await,
        "C(COMMIT) A(commits\\x00x\\x00) Z(I)"
    );
    for handle in registry(&client.shared).handles() {
        handle.notify(notification.clone());
    }
    assert_eq!(client.until("A").await, "A(commits\\x00x\\x00)");
}

#[tokio::test]
async fn function_calls_are_refused_politely() {
    let mut client = Client::connect().await;
    assert_eq!(client.ask(&message(b'F', &[0; 14])).await, "E(0A000) Z(I)");
    assert_eq!(client.ask(&query("ok")).await, "C(OK) Z(I)");
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_one_statement() {
    let mut client = Client::connect().await;
    for statement in ["panic", "explode"] {
        assert_eq!(client.ask(&query(statement)).await, "E(XX000) Z(I)");
        let extended = [
            parse("", statement, &[]),
            bind("", "", &[], &[]),
            execute("", 0),
            sync(),
        ];
        assert!(
            client
                .ask(&extended.concat())
                .await
                .ends_with("E(XX000) Z(I)")
        );
        assert_eq!(client.ask(&query("ok")).await, "C(OK) Z(I)");
    }
    // A commit that panicked leaves nothing to go on with.
    assert_eq!(client.ask(&query("commitpanics")).await, "E(XX000) EOF");
}
