//! Startup packets, version negotiation, SCRAM, TLS, limits.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Client, PATIENCE, V3_0, V3_2, pipe, query, show, startup_packet};
use super::fake::{Fakes, registry, shared, unshared};
use crate::auth::Authenticator;
use crate::auth::credentials::Credentials;
use crate::wire::startup::{Shared, options};

fn guarded() -> Arc<Shared<Fakes>> {
    let credentials =
        Credentials::parse(br#"{"ada": ["old token", "new token"]}"#).expect("credentials");
    shared(Authenticator::scram(credentials), None)
}

/// Sends a startup packet and shows everything up to ReadyForQuery or the end.
async fn greet(shared: &Arc<Shared<Fakes>>, packet: &[u8]) -> String {
    let mut client = Client {
        stream: pipe(shared),
        shared: Arc::clone(shared),
    };
    client.send(packet).await;
    client.until("Z(").await
}

#[tokio::test]
async fn the_greeting_has_parameters_and_a_key_as_long_as_the_version_allows() {
    let shared = shared(Authenticator::Trust, None);
    let pairs: &[(&str, &str)] = &[("user", "ada")];
    assert_eq!(
        greet(&shared, &startup_packet(V3_0, pairs)).await,
        "R(0) S(server_version=16.6) S(client_encoding=UTF8) K(8 bytes) Z(I)"
    );
    assert_eq!(
        greet(&shared, &startup_packet(V3_2, pairs)).await,
        "R(0) S(server_version=16.6) S(client_encoding=UTF8) K(36 bytes) Z(I)"
    );
}

#[tokio::test]
async fn newer_versions_and_unknown_options_are_negotiated() {
    let shared = shared(Authenticator::Trust, None);
    for (version, pairs, minor, unknown) in [
        (3 << 16 | 9999, vec![("user", "ada")], 2, ""),
        (
            V3_0,
            vec![("user", "ada"), ("_pq_.foo", "1")],
            0,
            "_pq_.foo",
        ),
        (
            V3_2,
            vec![("_pq_.bar", "1"), ("user", "ada")],
            2,
            "_pq_.bar",
        ),
        (3 << 16 | 1, vec![("user", "ada")], 0, ""),
    ] {
        let mut client = Client {
            stream: pipe(&shared),
            shared: Arc::clone(&shared),
        };
        client.send(&startup_packet(version, &pairs)).await;
        let (tag, body) = client.read().await.expect("a message");
        assert_eq!(tag, b'v');
        assert_eq!(body[..4], (3_u32 << 16 | minor).to_be_bytes());
        assert_eq!(body[4..8], u32::from(!unknown.is_empty()).to_be_bytes());
        assert_eq!(
            String::from_utf8_lossy(&body[8..]).trim_end_matches('\0'),
            unknown
        );
        client.until("Z(I)").await;
    }
}

#[tokio::test]
async fn bad_startup_packets_are_refused() {
    let shared = shared(Authenticator::Trust, None);
    for (packet, expected) in [
        (startup_packet(V3_0, &[("database", "x")]), "E(28000) EOF"),
        (startup_packet(2 << 16, &[("user", "ada")]), "E(0A000) EOF"),
        (
            startup_packet(V3_0, &[("user", "ada"), ("database", "nowhere")]),
            "R(0) E(3D000) EOF",
        ),
        (
            startup_packet(V3_0, &[("user", "ada"), ("options", "-x")]),
            "E(42601) EOF",
        ),
        (
            startup_packet(V3_0, &[("user", "ada"), ("replication", "true")]),
            "E(0A000) EOF",
        ),
        (vec![0, 0, 0, 4, 0, 0, 0, 0], "E(08P01) EOF"),
        (vec![0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0], "E(08P01) EOF"),
        (vec![0, 0, 0x27, 0x11, 0, 3, 0, 0], "E(08P01) EOF"),
        (
            vec![0, 0, 0, 12, 0, 3, 0, 0, b'u', b's', b'e', b'r'],
            "E(08P01) EOF",
        ),
    ] {
        assert_eq!(greet(&shared, &packet).await, expected, "{packet:?}");
    }
    assert!(registry(&shared).is_empty());
}

#[tokio::test]
async fn options_are_settings_before_the_packets_own() {
    let shared = shared(Authenticator::Trust, None);
    let packet = startup_packet(
        V3_0,
        &[
            ("user", "ada"),
            ("application_name", "app"),
            ("options", "-c branch=review/1 --search-path=a\\ b -cx=1"),
        ],
    );
    let mut client = Client {
        stream: pipe(&shared),
        shared: Arc::clone(&shared),
    };
    client.send(&packet).await;
    client.until("Z(I)").await;
    assert_eq!(
        client.ask(&query("settings")).await,
        "C(branch=review/1,search_path=a b,x=1,application_name=app) Z(I)"
    );
    assert_eq!(options("  ").expect("nothing"), []);
    for bad in ["-c", "-c x", "--x", "x=1", "-c =1"] {
        assert!(options(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn encryption_may_be_asked_for_in_any_order_and_is_refused_without_a_certificate() {
    let shared = shared(Authenticator::Trust, None);
    let ssl = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let gss = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
    for requests in [[gss, ssl], [ssl, gss]] {
        let mut stream = pipe(&shared);
        for request in requests {
            stream.write_all(&request).await.expect("sent");
            assert_eq!(stream.read_u8().await.expect("an answer"), b'N');
        }
        let mut client = Client {
            stream,
            shared: Arc::clone(&shared),
        };
        client.send(&startup_packet(V3_0, &[("user", "ada")])).await;
        assert!(client.until("Z(").await.ends_with("Z(I)"));
    }
    let mut twice = pipe(&shared);
    twice.write_all(&[ssl, ssl].concat()).await.expect("sent");
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, twice.read_to_end(&mut answer))
        .await
        .expect("closed")
        .expect("read");
    assert_eq!(answer[..2], [b'N', b'E']);
}

#[tokio::test]
async fn who_does_not_log_in_is_dropped_in_time_and_when_the_server_stops() {
    let (stop, closing) = tokio::sync::watch::channel(false);
    for half in [&[][..], &[0, 0, 0, 50, 0, 3][..]] {
        let shared = Arc::new(Shared {
            login_timeout: std::time::Duration::from_millis(50),
            ..unshared(Authenticator::Trust, None)
        });
        assert_eq!(greet(&shared, half).await, "EOF");
    }
    let shared = Arc::new(Shared {
        closing,
        ..unshared(Authenticator::Trust, None)
    });
    let mut session = Client::to(Arc::clone(&shared)).await;
    let waiting = greet(&shared, &[]);
    let stopping = async { stop.send(true) };
    let (waiting, stopped) = tokio::join!(waiting, stopping);
    assert!(stopped.is_ok());
    assert_eq!(waiting, "EOF");
    assert_eq!(
        session.ask(&query("ok")).await,
        "C(OK) Z(I)",
        "sessions have their own end"
    );
}

#[tokio::test]
async fn one_session_too_many_is_told() {
    let shared = shared(Authenticator::Trust, None);
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::to(Arc::clone(&shared)).await);
    }
    let packet = startup_packet(V3_0, &[("user", "ada")]);
    assert_eq!(greet(&shared, &packet).await, "E(53300) EOF");
    clients.pop();
    for _ in 0..100 {
        if shared.sessions.available_permits() > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(greet(&shared, &packet).await.ends_with("Z(I)"));
}

#[tokio::test]
async fn a_cancel_request_needs_the_secret() {
    let shared = shared(Authenticator::Trust, None);
    let mut client = Client {
        stream: pipe(&shared),
        shared: Arc::clone(&shared),
    };
    client.send(&startup_packet(V3_2, &[("user", "ada")])).await;
    let key = loop {
        let (tag, body) = client.read().await.expect("a message");
        if tag == b'K' {
            break body;
        }
    };
    client.until("Z(").await;
    client.send(&query("hang")).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let cancel = |key: &[u8]| {
        let mut packet = ((key.len() + 8) as u32).to_be_bytes().to_vec();
        packet.extend_from_slice(&80_877_102_u32.to_be_bytes());
        packet.extend_from_slice(key);
        packet
    };
    let mut wrong = key.clone();
    wrong[20] ^= 1;
    for (key, cancelled) in [(&wrong, false), (&key, true)] {
        let mut stream = pipe(&shared);
        stream.write_all(&cancel(key)).await.expect("sent");
        let mut nothing = Vec::new();
        stream.read_to_end(&mut nothing).await.expect("closed");
        assert!(nothing.is_empty());
        let interrupt = registry(&shared).handles()[0].interrupt();
        assert_eq!(interrupt.reason().is_some(), cancelled);
    }
    assert_eq!(client.ready().await, "E(57014) Z(I)");
}

/// An independent client does the exchange.
async fn log_in(
    shared: &Arc<Shared<Fakes>>,
    user: &str,
    token: &str,
) -> Result<String, tokio_postgres::Error> {
    let stream = pipe(shared);
    let (client, connection) = tokio_postgres::Config::new()
        .user(user)
        .password(token)
        .dbname("company")
        .connect_raw(stream, tokio_postgres::NoTls)
        .await?;
    tokio::spawn(connection);
    let messages = client.simple_query("rows 1").await?;
    Ok(format!("{} messages", messages.len()))
}

#[tokio::test]
async fn scram_lets_in_who_knows_a_token() {
    let shared = guarded();
    for token in ["old token", "new token"] {
        assert_eq!(
            log_in(&shared, "ada", token).await.expect("logged in"),
            "3 messages"
        );
    }
    let mut texts = Vec::new();
    for (user, token) in [("ada", "wrong"), ("eve", "old token")] {
        let error = log_in(&shared, user, token).await.expect_err("refused");
        let error = error.as_db_error().expect("an ErrorResponse");
        assert_eq!((error.code().code(), error.severity()), ("28P01", "FATAL"));
        texts.push(error.message().replace(user, "?"));
    }
    assert_eq!(
        texts[0], texts[1],
        "an unknown actor reads what a wrong token reads"
    );
}

#[tokio::test]
async fn a_long_or_strange_password_message_is_refused() {
    let shared = guarded();
    for (bytes, code) in [
        (super::client::message(b'p', &[0; 600]), "08P01"),
        (super::client::message(b'p', b"MD5\0\0\0\0\0"), "08P01"),
        (
            super::client::message(b'p', b"SCRAM-SHA-256\0\xff\xff\xff\xff"),
            "08P01",
        ),
        (query("rows 1"), "08P01"),
    ] {
        let mut client = Client {
            stream: pipe(&shared),
            shared: Arc::clone(&shared),
        };
        client.send(&startup_packet(V3_0, &[("user", "ada")])).await;
        let (tag, body) = client.read().await.expect("a message");
        assert_eq!(show(tag, &body), "R(10)");
        client.send(&bytes).await;
        assert_eq!(client.until("Z(").await, format!("E({code}) EOF"));
    }
}
