//! Blobs: where their bytes are, who reads them, and that nothing loses them.

use std::io::Cursor;

use arrow::array::{Array, BinaryArray, LargeBinaryArray};
use bytes::Bytes;

use super::*;
use crate::blob::{self, BlobUri, ExternalBlobs};
use crate::dataset::Fragment;
use crate::error::Error;
use crate::load::{ExportOptions, LoadMode, LoadOptions, LoadSummary, export, load};
use crate::maintain::compact;
use crate::merge::MergeOptions;
use crate::storage::layout;

const SCHEMA: &str = "
node Document {
    slug: String @key
    title: String?
    content: Blob?
    pages: [Blob]?
}
";
const SLUG: usize = 1;
const TITLE: usize = 2;
const CONTENT: usize = 3;

struct Library {
    graph: Graph,
    store: Store,
    folder: tempfile::TempDir,
}

async fn library() -> Library {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder.path().join("g.omni")).await;
    let graph = Graph::create(store.clone(), SCHEMA, "tester", resources())
        .await
        .unwrap();
    Library {
        graph,
        store,
        folder,
    }
}

async fn store_in(path: &std::path::Path) -> Store {
    let url = path.display().to_string();
    Store::connect(&url, &StoreOptions::default())
        .await
        .unwrap()
}

impl Library {
    async fn reopened(&self) -> Graph {
        Graph::open(self.store.clone(), resources()).await.unwrap()
    }

    /// Names and lengths of the objects that hold blobs.
    async fn objects(&self) -> Vec<(String, u64)> {
        self.store.list_all(layout::BLOBS).await.unwrap()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let folder = self.folder.path().canonicalize().unwrap().join("files");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
        format!("file://{}/{name}", folder.display())
    }

    fn allow_files(&self, graph: &Graph) {
        let folder = self.folder.path().canonicalize().unwrap();
        let base = format!("file://{}/files/", folder.display());
        let base = BlobUri::parse_base(&base).unwrap();
        graph.blobs().allow(ExternalBlobs::new(vec![base]));
    }
}

/// Bytes that repeat nowhere.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn documents(def: &TypeDef, rows: &[(&str, Option<&str>, Option<&[u8]>)]) -> RecordBatch {
    let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let columns = vec![
        text(vec![None; rows.len()]),
        text(rows.iter().map(|row| Some(row.0)).collect()),
        text(rows.iter().map(|row| row.1).collect()),
        Arc::new(rows.iter().map(|row| row.2).collect::<BinaryArray>()),
        arrow::array::new_null_array(&def.columns()[4].data_type, rows.len()),
    ];
    RecordBatch::try_new(def.row_schema(), columns).unwrap()
}

async fn put(graph: &Graph, branch: &str, rows: &[(&str, Option<&str>, Option<&[u8]>)]) {
    let mut transaction = begin(graph, branch).await;
    let def = transaction
        .snapshot()
        .schema()
        .table("document")
        .unwrap()
        .clone();
    transaction
        .upsert(def.id, documents(&def, rows))
        .await
        .unwrap();
    commit(transaction).await.unwrap();
}

/// The value of a document's content, as a table's files hold it.
async fn cell(graph: &Graph, reference: &str, slug: &str) -> Option<Vec<u8>> {
    let snapshot = graph.snapshot(reference).await.unwrap();
    let table = snapshot.table_named("document").unwrap();
    let found = table.lookup(&[slug], &[CONTENT]).await.unwrap();
    let row = found.index[0].expect("the document") as usize;
    let cells = found.batch.column(0).as_binary::<i32>();
    cells.is_valid(row).then(|| cells.value(row).to_vec())
}

async fn content(graph: &Graph, reference: &str, slug: &str) -> Option<Bytes> {
    let cell = cell(graph, reference, slug).await?;
    Some(graph.blobs().read(&cell).await.unwrap())
}

async fn load_text(graph: &Graph, mode: LoadMode, text: &str) -> Result<LoadSummary> {
    let input = Cursor::new(text.to_owned());
    load(graph, &main(), mode, input, LoadOptions::default()).await
}

async fn exported(graph: &Graph, options: &ExportOptions) -> Result<String> {
    let mut text = String::new();
    let snapshot = graph.snapshot("main").await?;
    export(&snapshot, options, |lines| {
        text.push_str(lines);
        Ok(())
    })
    .await?;
    Ok(text)
}

async fn compact(graph: &Graph) {
    let (branch, state) = graph.shared.resolve(&main(), false).await.unwrap();
    let all = |files: &[Fragment]| vec![(0..files.len()).collect()];
    let tables = compact::rewrite(&branch, &state, all, "t").await.unwrap();
    assert!(tables > 0);
}

#[tokio::test]
async fn bytes_of_every_length_come_back_and_empty_is_not_null() {
    let library = library().await;
    let graph = &library.graph;
    let mark = b"\0omnigraph.blob\0\x01 as a reference begins".as_slice();
    let lengths = [0, 1, 2048, 2049, 1 << 20, (1 << 20) + 1, 9 << 20];
    let all: Vec<Vec<u8>> = lengths.iter().map(|length| noise(*length, 7)).collect();
    let names: Vec<String> = lengths.iter().map(|length| format!("n{length}")).collect();
    let mut rows: Vec<(&str, Option<&str>, Option<&[u8]>)> = names
        .iter()
        .zip(&all)
        .map(|(name, bytes)| (name.as_str(), None, Some(bytes.as_slice())))
        .collect();
    rows.push(("mark", None, Some(mark)));
    rows.push(("null", None, None));
    put(graph, "main", &rows).await;
    for graph in [graph, &library.reopened().await] {
        for (name, bytes) in names.iter().zip(&all) {
            let read = content(graph, "main", name).await.expect("not NULL");
            assert!(read == bytes, "{name}");
            let value = cell(graph, "main", name).await.unwrap();
            assert_eq!(blob::length(&value).unwrap(), Some(bytes.len() as u64));
        }
        assert_eq!(content(graph, "main", "mark").await.unwrap(), mark);
        assert_eq!(content(graph, "main", "null").await, None);
    }
    // 2,049 bytes and a MiB lie together; the two longer ones alone.
    assert_eq!(library.objects().await.len(), 3);
}

#[tokio::test]
async fn parts_and_streams_are_of_the_bytes_that_were_written() {
    let library = library().await;
    let graph = &library.graph;
    let (short, packed, large) = (noise(100, 1), noise(5_000, 2), noise(20 << 20, 3));
    put(
        graph,
        "main",
        &[
            ("a", None, Some(&noise(4_000, 9))),
            ("short", None, Some(&short)),
            ("packed", None, Some(&packed)),
            ("large", None, Some(&large)),
        ],
    )
    .await;
    for (name, bytes) in [("short", &short), ("packed", &packed), ("large", &large)] {
        let value = cell(graph, "main", name).await.unwrap();
        let length = bytes.len() as u64;
        for range in [
            0..0,
            0..10,
            5..length,
            length - 1..length + 5,
            length..length + 1,
            7..7,
        ] {
            let read = graph
                .blobs()
                .read_range(&value, range.clone())
                .await
                .unwrap();
            let (from, to) = (
                range.start.min(length) as usize,
                range.end.min(length) as usize,
            );
            assert!(read == bytes[from..to], "{name} {range:?}");
        }
        let pieces: Vec<Bytes> = graph.blobs().stream(&value).try_collect().await.unwrap();
        assert!(pieces.iter().all(|piece| piece.len() <= 8 << 20));
        assert!(pieces.concat() == *bytes, "{name}");
    }
}

#[tokio::test]
async fn damage_is_told_and_not_given() {
    let library = library().await;
    let graph = &library.graph;
    put(graph, "main", &[("a", None, Some(&noise(5_000, 1)))]).await;
    let (key, length) = library.objects().await.remove(0);
    library
        .store
        .write(&key, vec![0; length as usize].into())
        .await
        .unwrap();
    let value = cell(graph, "main", "a").await.unwrap();
    let read = graph.blobs().read(&value).await;
    assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
    let streamed: Result<Vec<Bytes>> = graph.blobs().stream(&value).try_collect().await;
    assert!(matches!(streamed, Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn other_columns_are_read_and_updated_without_the_bytes() {
    let library = library().await;
    let bytes = noise(3 << 20, 1);
    put(
        &library.graph,
        "main",
        &[("a", Some("old"), Some(&bytes)), ("b", None, Some(&bytes))],
    )
    .await;
    let graph = library.reopened().await;
    let before = library.store.counts();
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(
        column(&snapshot, "document", "title").await,
        ["NULL", "old"]
    );
    // A row is changed by its values, of which the blob's is a reference.
    let table = snapshot.table_named("document").unwrap();
    let all: Vec<usize> = (0..table.def().columns().len()).collect();
    let held = table.lookup(&["a"], &all).await.unwrap().batch;
    let mut columns = held.columns().to_vec();
    columns[TITLE] = Arc::new(StringArray::from(vec!["new"]));
    columns[CONTENT] = blob::stored_values(&columns[CONTENT]).unwrap();
    let fields: Vec<Field> = held
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect();
    let changed = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap();
    let mut transaction = begin(&graph, "main").await;
    transaction.update(table.def().id, changed).await.unwrap();
    commit(transaction).await.unwrap();
    let used = library.store.counts().since(&before);
    assert!(used.bytes_read < 100_000, "{used:?}");
    assert!(used.bytes_written < 100_000, "{used:?}");
    assert!(content(&graph, "main", "a").await.unwrap() == bytes);
    assert_eq!(library.objects().await.len(), 2);
}

#[tokio::test]
async fn every_state_keeps_its_blobs_until_vacuum_gives_it_up() {
    let library = library().await;
    let graph = &library.graph;
    let versions: Vec<Vec<u8>> = (0..3).map(|seed| noise(2 << 20, seed)).collect();
    put(
        graph,
        "main",
        &[
            ("a", None, Some(&versions[0])),
            ("b", None, Some(&versions[0])),
        ],
    )
    .await;
    put(graph, "main", &[("a", None, Some(&versions[1]))]).await;
    let at = graph.snapshot("main").await.unwrap();
    graph
        .create_tag(&branch("v1"), &at, None, "t")
        .await
        .unwrap();
    put(graph, "main", &[("a", None, Some(&versions[2]))]).await;
    for (reference, version) in [("main~2", 0), ("main~1", 1), ("v1", 1), ("main", 2)] {
        let read = content(graph, reference, "a").await.unwrap();
        assert!(read == versions[version], "{reference}");
    }
    compact(graph).await;
    // A transaction that was given up has written, too.
    let mut transaction = begin(graph, "main").await;
    let def = transaction
        .snapshot()
        .schema()
        .table("document")
        .unwrap()
        .clone();
    let lost = noise(2 << 20, 9);
    transaction
        .insert(def.id, documents(&def, &[("x", None, Some(&lost))]))
        .await
        .unwrap();
    drop(transaction);
    assert_eq!(library.objects().await.len(), 5);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    vacuum(graph).await;
    // What went: the first content of `a`, and that of `x`.
    assert_eq!(library.objects().await.len(), 3);
    for graph in [graph, &library.reopened().await] {
        assert!(content(graph, "main", "a").await.unwrap() == versions[2]);
        assert!(content(graph, "main", "b").await.unwrap() == versions[0]);
        assert!(content(graph, "v1", "a").await.unwrap() == versions[1]);
    }
}

#[tokio::test]
async fn a_merge_takes_blobs_over_and_equal_bytes_do_not_clash() {
    let library = library().await;
    let graph = &library.graph;
    let (first, second, third) = (noise(9_000, 1), noise(9_000, 2), noise(9_000, 3));
    put(
        graph,
        "main",
        &[
            ("a", None, Some(&first)),
            ("b", None, Some(&first)),
            ("c", None, Some(&first)),
        ],
    )
    .await;
    graph
        .create_branch(&branch("x"), "main", "t")
        .await
        .unwrap();
    put(
        graph,
        "x",
        &[
            ("a", None, Some(&second)),
            ("b", None, Some(&second)),
            ("d", None, Some(&third)),
        ],
    )
    .await;
    // The same bytes, in another object.
    put(
        graph,
        "main",
        &[
            ("b", None, Some(&second)),
            ("c", Some("titled"), Some(&first)),
        ],
    )
    .await;
    let written = library.objects().await.len();
    let from = graph.snapshot("x").await.unwrap();
    graph
        .merge("x", &main(), MergeOptions::default())
        .await
        .unwrap();
    assert_eq!(
        library.objects().await.len(),
        written,
        "a merge copies no bytes"
    );
    for (slug, bytes) in [("a", &second), ("b", &second), ("c", &first), ("d", &third)] {
        assert!(
            content(graph, "main", slug).await.unwrap() == *bytes,
            "{slug}"
        );
    }
    // Different bytes do clash.
    put(graph, "x", &[("c", None, Some(&second))]).await;
    put(graph, "main", &[("c", None, Some(&third))]).await;
    let clash = graph.merge("x", &main(), MergeOptions::default()).await;
    assert!(
        matches!(clash, Err(Error::MergeConflicts { .. })),
        "{clash:?}"
    );
    // What lies between two states is told by bytes, not by where they are.
    put(graph, "x", &[("a", None, Some(&second))]).await;
    let to = graph.snapshot("x").await.unwrap();
    let id = table(&to, "document");
    let pages: Vec<_> = crate::diff::diff(&from, &to, id)
        .try_collect()
        .await
        .unwrap();
    let ids: Vec<&str> = pages
        .iter()
        .flat_map(|page| page.rows.iter().map(|row| row.id.as_str()))
        .collect();
    assert_eq!(ids, ["c"]);
}

#[tokio::test]
async fn lines_bring_bytes_and_allowed_files_and_export_brings_them_back() {
    let library = library().await;
    let graph = &library.graph;
    let large = noise(3 << 20, 5);
    let file = library.file("large", &large);
    let small = library.file("small", b"few");
    let text = format!(
        "{}\n{}\n{}\n{}\n",
        format_args!(r#"{{"type":"Document","data":{{"slug":"a","content":"{file}"}}}}"#),
        format_args!(r#"{{"type":"Document","data":{{"slug":"b","content":"{small}"}}}}"#),
        r#"{"type":"Document","data":{"slug":"c","content":"base64:"}}"#,
        r#"{"type":"Document","data":{"slug":"d","pages":["base64:AP8="]}}"#,
    );
    let refused = load_text(graph, LoadMode::Append, &text).await.unwrap_err();
    let detail = told_lines(refused);
    assert!(
        detail.contains("line 1: Document.content: blobs may not be read from file:///"),
        "{detail}"
    );
    assert!(detail.contains("line 2: Document.content"), "{detail}");
    assert_eq!(library.objects().await.len(), 0);
    library.allow_files(graph);
    load_text(graph, LoadMode::Append, &text).await.unwrap();
    std::fs::remove_file(file.strip_prefix("file://").unwrap()).unwrap();
    assert!(content(graph, "main", "a").await.unwrap() == large);
    assert_eq!(
        content(graph, "main", "b").await.unwrap(),
        b"few".as_slice()
    );
    assert_eq!(content(graph, "main", "c").await.unwrap(), b"".as_slice());
    // As lines, and as lines and files.
    let lines = exported(graph, &ExportOptions::default()).await.unwrap();
    let aside = library.folder.path().join("files/aside");
    let options = ExportOptions {
        blobs: Some(store_in(&aside).await),
    };
    let referring = exported(graph, &options).await.unwrap();
    assert!(referring.len() < 2_000, "{referring}");
    for text in [lines.clone(), referring] {
        let other = self::library().await;
        library.allow_files(&other.graph);
        load_text(&other.graph, LoadMode::Append, &text)
            .await
            .unwrap();
        let again = exported(&other.graph, &ExportOptions::default())
            .await
            .unwrap();
        assert!(again == lines);
    }
}

#[tokio::test]
async fn a_uri_that_is_overwritten_with_stays_where_it_is() {
    let library = library().await;
    let graph = &library.graph;
    library.allow_files(graph);
    let bytes = noise(10_000, 5);
    let file = library.file("a", &bytes);
    let line = format!(r#"{{"type":"Document","data":{{"slug":"a","content":"{file}"}}}}"#);
    load_text(graph, LoadMode::Overwrite, &line).await.unwrap();
    assert_eq!(library.objects().await.len(), 0);
    let value = cell(graph, "main", "a").await.unwrap();
    assert_eq!(blob::uri(&value).unwrap(), Some(file.as_str()));
    assert_eq!(blob::length(&value).unwrap(), Some(10_000));
    assert!(graph.blobs().read(&value).await.unwrap() == bytes);
    let text = exported(graph, &ExportOptions::default()).await.unwrap();
    assert_eq!(text.trim_end(), line);
    // Who may not read there may read the row, and not the bytes.
    let other = library.reopened().await;
    let read = other.blobs().read(&value).await;
    assert!(matches!(read, Err(Error::NotAllowed { .. })), "{read:?}");
    // Other bytes under the same name are not what was loaded.
    std::fs::write(file.strip_prefix("file://").unwrap(), b"other").unwrap();
    let read = graph.blobs().read(&value).await.unwrap_err();
    assert!(read.to_string().contains("has changed"), "{read}");
}

#[tokio::test]
async fn a_missing_file_and_one_of_a_list_are_told_by_their_line() {
    let library = library().await;
    let graph = &library.graph;
    library.allow_files(graph);
    let missing = library.file("gone", b"");
    std::fs::remove_file(missing.strip_prefix("file://").unwrap()).unwrap();
    let text = format!(r#"{{"type":"Document","data":{{"slug":"a","content":"{missing}"}}}}"#);
    let refused = load_text(graph, LoadMode::Append, &text).await.unwrap_err();
    let detail = told_lines(refused);
    assert!(detail.starts_with("line 1: Document.content: there is nothing at file:///"));
    let text = r#"{"type":"Document","data":{"slug":"a","pages":["s3://x/y"]}}"#;
    let refused = load_text(graph, LoadMode::Append, text).await.unwrap_err();
    let detail = told_lines(refused);
    assert!(detail.contains("lies outside the graph"));
}

/// Long bytes stood in the rows before there were references.
#[tokio::test]
async fn long_bytes_in_rows_read_as_before() {
    let library = library().await;
    let graph = &library.graph;
    let bytes = noise(100_000, 4);
    let mut transaction = begin(graph, "main").await;
    let def = transaction
        .snapshot()
        .schema()
        .table("document")
        .unwrap()
        .clone();
    let rows = documents(&def, &[("a", None, Some(&bytes)), ("b", Some("x"), None)]);
    let put = crate::write::transaction::TableRows {
        table: def.id,
        put: crate::write::identity::fill_ids(&def, &rows, &**graph.environment()).unwrap(),
        delete: Vec::new(),
    };
    transaction.apply_rows(vec![put]).await.unwrap();
    commit(transaction).await.unwrap();
    assert_eq!(library.objects().await.len(), 0);
    assert!(content(graph, "main", "a").await.unwrap() == bytes);
    // The same bytes in an object are no change.
    let before = graph.snapshot("main").await.unwrap();
    self::put(graph, "main", &[("a", None, Some(&bytes))]).await;
    assert_eq!(library.objects().await.len(), 1);
    let after = graph.snapshot("main").await.unwrap();
    let pages: Vec<_> = crate::diff::diff(&before, &after, def.id)
        .try_collect()
        .await
        .unwrap();
    assert!(pages.is_empty());
    assert_eq!(def.columns()[SLUG].name, "slug");
}

#[test]
fn a_value_type_is_no_type_of_a_table() {
    let schema = crate::schema::Schema::parse(SCHEMA, &mut crate::schema::SeededIds(1)).unwrap();
    let def = schema.table("document").unwrap();
    assert_eq!(def.blob_columns().collect::<Vec<_>>(), [CONTENT]);
    let values: ArrayRef = Arc::new(LargeBinaryArray::from_vec(vec![b"x"]));
    assert_eq!(
        def.value_schema().field(CONTENT).data_type(),
        values.data_type()
    );
    assert_ne!(
        def.arrow_schema().field(CONTENT).data_type(),
        values.data_type()
    );
}
