//! Bytes that no client sends: none of them panics, hangs, or hurts another connection.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{
    Client, V3_0, bind, describe, execute, message, parse, pipe, query, startup_packet, sync,
};
use super::fake::{registry, shared};
use crate::auth::Authenticator;

#[tokio::test]
async fn messages_arrive_byte_by_byte() {
    let shared = shared(Authenticator::Trust, None);
    let mut client = Client {
        stream: pipe(&shared),
        shared: Arc::clone(&shared),
    };
    let bytes = [
        startup_packet(V3_0, &[("user", "ada")]),
        query("rows 2"),
        parse("", "rows 1", &[]),
        bind("", "", &[], &[]),
        execute("", 0),
        sync(),
    ];
    for byte in bytes.concat() {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    client.until("Z(I)").await;
    assert_eq!(
        client.until("Z(I)").await,
        "T(n:23) D(0) D(1) C(SELECT 2) Z(I)"
    );
    assert_eq!(client.until("Z(I)").await, "1 2 D(0) C(SELECT 1) Z(I)");
}

#[tokio::test]
async fn impossible_lengths_and_types_end_the_connection() {
    for (bytes, expected) in [
        (vec![b'Q', 0, 0, 0, 3], "E(08P01) EOF"),
        (vec![b'Q', 0, 0, 0, 0], "E(08P01) EOF"),
        (vec![b'Q', 0xff, 0xff, 0xff, 0xff], "E(08P01) EOF"),
        (vec![b'Q', 0x04, 0, 0, 1], "E(08P01) EOF"),
        (vec![b'?', 0, 0, 0, 4], "E(08P01) EOF"),
        (vec![0], "E(08P01) EOF"),
        (message(b'p', b"secret\0"), "E(08P01) EOF"),
        (message(b'X', b""), "EOF"),
    ] {
        let mut client = Client::connect().await;
        client.send(&bytes).await;
        assert_eq!(client.until("Z(").await, expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_malformed_body_is_an_error_and_the_connection_goes_on() {
    let mut client = Client::connect().await;
    for (bytes, code) in [
        (message(b'P', b""), "08P01"),
        (message(b'P', b"a\0b"), "08P01"),
        (message(b'P', b"a\0b\0\xff\xff"), "08P01"),
        (message(b'B', b"\0\0\0\x01"), "08P01"),
        (
            message(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            "08P01",
        ),
        (
            message(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            "08P01",
        ),
        (message(b'D', b"Z\0"), "08P01"),
        (message(b'E', b"\0\0"), "08P01"),
        (message(b'P', b"\xff\0ok\0\0\0"), "22021"),
        (message(b'P', b"\0ok\0\0\0extra"), "08P01"),
    ] {
        let answer = client
            .ask(&[bytes.clone(), describe(b'S', "x"), sync()].concat())
            .await;
        assert_eq!(answer, format!("E({code}) Z(I)"), "{bytes:?}");
    }
    assert_eq!(
        client.ask(&message(b'Q', b"no zero byte")).await,
        "E(08P01) Z(I)"
    );
    assert_eq!(
        client.ask(&message(b'Q', b"rows \xc3\x28\0")).await,
        "E(22021) Z(I)"
    );
    assert_eq!(
        client.ask(&query("rows 1")).await,
        "T(n:23) D(0) C(SELECT 1) Z(I)"
    );
}

/// Random bytes before and after login, and valid conversations with bytes changed.
#[tokio::test]
async fn random_bytes_neither_panic_nor_hang() {
    let seed = 20_260_131;
    let mut rng = StdRng::seed_from_u64(seed);
    let conversation = [
        query("rows 3; ok"),
        parse("a", "echo", &[23, 1007, 1700, 1184, 16001, 3802]),
        bind(
            "",
            "a",
            &[
                (0, Some(b"1")),
                (0, Some(b"{1,2}")),
                (1, Some(b"\0\x01\0\0\0\0\0\0\0\x01")),
                (0, None),
                (0, Some(b"[1]")),
                (0, Some(b"{}")),
            ],
            &[1],
        ),
        describe(b'P', ""),
        execute("", 1),
        sync(),
        query("copyin"),
        message(b'd', b"1\n"),
        message(b'c', b""),
        sync(),
    ]
    .concat();
    let shared = shared(Authenticator::Trust, None);
    for round in 0..400 {
        let mut bytes = if round % 4 == 0 {
            Vec::new()
        } else {
            startup_packet(V3_0, &[("user", "ada")])
        };
        if round % 4 == 1 {
            bytes.extend((0..rng.random_range(1..200)).map(|_| rng.random::<u8>()));
        } else {
            bytes.extend_from_slice(&conversation);
        }
        for _ in 0..rng.random_range(0..8) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        bytes.truncate(rng.random_range(1..=bytes.len()));

        let (mut reader, mut writer) = tokio::io::split(pipe(&shared));
        let talk = async {
            // The server may have hung up already.
            let _ = writer.write_all(&bytes).await;
            let _ = writer.shutdown().await;
        };
        let mut answer = Vec::new();
        let both = async { tokio::join!(talk, reader.read_to_end(&mut answer)) };
        let ended = tokio::time::timeout(Duration::from_secs(5), both).await;
        assert!(ended.is_ok(), "seed {seed}, round {round} hangs: {bytes:?}");
        assert!(
            !contains(&answer, b"XX000"),
            "seed {seed}, round {round} is an internal error: {bytes:?}"
        );
    }
    while !registry(&shared).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut client = Client::to(shared).await;
    assert_eq!(
        client.ask(&query("rows 1")).await,
        "T(n:23) D(0) C(SELECT 1) Z(I)"
    );
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
