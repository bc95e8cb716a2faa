//! COPY in both directions.

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use omnigraph_tests::{Server, code, one, run};

async fn copy_in(
    client: &tokio_postgres::Client,
    sql: &str,
    data: &'static str,
) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(sql).await?;
    let mut sink = std::pin::pin!(sink);
    // In pieces that end anywhere.
    for piece in data.as_bytes().chunks(7) {
        sink.send(Bytes::from_static(piece)).await?;
    }
    sink.as_mut().finish().await
}

async fn copy_out(client: &tokio_postgres::Client, sql: &str) -> String {
    let stream = client.copy_out(sql).await.expect(sql);
    let pieces: Vec<Bytes> = stream.try_collect().await.expect(sql);
    String::from_utf8(pieces.concat()).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_in_and_come_out() {
    let server = Server::start().await;
    let client = server.client().await;
    let copied = copy_in(
        &client,
        "COPY person (slug, name, age) FROM STDIN",
        "ada\tAda\t36\nbob\tB\\tob\t\\N\n",
    )
    .await
    .expect("copied");
    assert_eq!(copied, 2);
    assert_eq!(
        copy_out(
            &client,
            "COPY (SELECT slug, name, age FROM person ORDER BY slug) TO STDOUT"
        )
        .await,
        "ada\tAda\t36\nbob\tB\\tob\t\\N\n"
    );
    copy_in(
        &client,
        "COPY person (slug, name) FROM STDIN WITH (FORMAT csv, HEADER)",
        "slug,name\ncyd,\"C, yd\"\n",
    )
    .await
    .expect("copied");
    assert_eq!(
        copy_out(
            &client,
            "COPY (SELECT slug, name FROM person WHERE slug = 'cyd') TO STDOUT CSV HEADER"
        )
        .await,
        "slug,name\ncyd,\"C, yd\"\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_leaves_nothing() {
    let server = Server::start().await;
    let client = server.client().await;
    assert_eq!(
        code(
            copy_in(
                &client,
                "COPY person (slug, name, age) FROM STDIN",
                "a\tA\t1\nb\tB\tx\n"
            )
            .await
        ),
        "22P02"
    );
    assert_eq!(
        code(
            copy_in(
                &client,
                "COPY person (slug, name) FROM STDIN",
                "a\tA\textra\n"
            )
            .await
        ),
        "22P04"
    );
    assert_eq!(one(&client, "SELECT count(*) FROM person").await, "0");
    assert_eq!(
        code(client.simple_query("COPY person FROM '/etc/passwd'").await),
        "42501"
    );
    run(&client, "SELECT 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_data_goes_in_and_comes_out() {
    use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
    use tokio_postgres::types::Type;

    let server = Server::start().await;
    let client = server.client().await;
    let types = [Type::TEXT, Type::TEXT, Type::INT4];
    let sink = client
        .copy_in("COPY person (slug, name, age) FROM STDIN (FORMAT binary)")
        .await
        .expect("a sink");
    let writer = BinaryCopyInWriter::new(sink, &types);
    let mut writer = std::pin::pin!(writer);
    writer
        .as_mut()
        .write(&[&"ada", &"Ada", &36i32])
        .await
        .expect("written");
    writer
        .as_mut()
        .write(&[&"bob", &"Bob", &None::<i32>])
        .await
        .expect("written");
    assert_eq!(writer.finish().await.expect("finished"), 2);
    let stream = client
        .copy_out(
            "COPY (SELECT slug, name, age FROM person ORDER BY slug) TO STDOUT (FORMAT binary)",
        )
        .await
        .expect("a stream");
    let rows: Vec<_> = BinaryCopyOutStream::new(stream, &types)
        .try_collect()
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get::<&str>(1), "Ada");
    assert_eq!(rows[1].get::<Option<i32>>(2), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_goes_in_and_comes_out_as_ndjson() {
    let server = Server::start().await;
    let client = server.client().await;
    let data = "{\"type\":\"Person\",\"data\":{\"slug\":\"ada\",\"name\":\"Ada\"}}\n\
                {\"type\":\"Person\",\"data\":{\"slug\":\"bob\",\"name\":\"Bob\"}}\n\
                {\"edge\":\"Knows\",\"from\":\"ada\",\"to\":\"bob\"}\n";
    assert_eq!(
        copy_in(&client, "COPY omnigraph.ndjson FROM STDIN", data)
            .await
            .expect("loaded"),
        3
    );
    assert_eq!(
        one(&client, "SHOW last_commit").await,
        one(&client, "SHOW snapshot_commit").await
    );
    let out = copy_out(&client, "COPY omnigraph.ndjson TO STDOUT").await;
    assert_eq!(out.lines().count(), 3, "{out}");
    let again = copy_in(
        &client,
        "COPY omnigraph.ndjson FROM STDIN WITH (MODE append)",
        data,
    )
    .await;
    assert_eq!(code(again), "22P04");
    assert_eq!(
        copy_in(
            &client,
            "COPY omnigraph.ndjson FROM STDIN WITH (MODE merge)",
            data
        )
        .await
        .expect("merged"),
        3
    );
    assert_eq!(
        code(copy_in(&client, "COPY omnigraph.ndjson FROM STDIN", "{\n").await),
        "22P04"
    );
    run(&client, "BEGIN").await;
    assert_eq!(
        code(copy_in(&client, "COPY omnigraph.ndjson FROM STDIN", data).await),
        "25001"
    );
}
