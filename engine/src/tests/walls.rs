//! What the engine rests on behind the wall around tables, asked of both walls alike.

use arrow::datatypes::{DataType, Field};
use roaring::RoaringBitmap;

use super::model_wall::ModelWall;
use super::*;
use crate::clock;
use crate::dataset::{TableChange, TableVersion};

/// Two processes with the same wall.
fn walls() -> Vec<[Arc<Resources>; 2]> {
    let model = ModelWall::new(clock::system());
    let limits = ResourceLimits::default();
    let modelled = || Resources::behind(model.clone(), &limits);
    vec![[resources(), resources()], [modelled(), modelled()]]
}

fn numbers(numbers: &[&str]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from(numbers.to_vec()));
    let schema = ArrowSchema::new(vec![Field::new("id", DataType::Utf8, false)]);
    RecordBatch::try_new(Arc::new(schema), vec![ids]).unwrap()
}

async fn live(version: &TableVersion) -> Vec<String> {
    let mut found = Vec::new();
    for fragment in version.fragments() {
        let gone = version.deletions(fragment).await.unwrap();
        let columns = version.columns(fragment, &["id"]).await.unwrap();
        let ids = columns[0].as_string::<i32>();
        let live =
            (0..fragment.rows).filter(|row| !gone.as_ref().is_some_and(|gone| gone.contains(*row)));
        found.extend(live.map(|row| ids.value(row as usize).to_owned()));
    }
    assert_eq!(found.len() as u64, version.location().rows);
    found
}

fn newest(version: &TableVersion) -> u64 {
    version.fragments().last().unwrap().id
}

/// `version` with these rows more, and without those at these offsets of its fragments.
async fn changed(version: &TableVersion, add: &[&str], delete: &[(usize, u32)]) -> TableVersion {
    let mut change = TableChange::default();
    if !add.is_empty() {
        change.added = version.stage(vec![numbers(add)]).await.unwrap();
    }
    for (fragment, offset) in delete {
        let id = version.fragments()[*fragment].id;
        change
            .deletions
            .entry(id)
            .or_insert_with(RoaringBitmap::new)
            .insert(*offset);
    }
    let next = version.commit(change).await.unwrap();
    next.settle(Some(version)).await.unwrap();
    next
}

#[tokio::test]
async fn versions_are_what_was_done_to_the_version_they_were_made_of() {
    for [here, there] in walls() {
        let store = Store::connect("memory:", &StoreOptions::default())
            .await
            .unwrap();
        let schema = numbers(&[]).schema();
        let empty = TableVersion::create(&here, &store, "nodes/t", schema)
            .await
            .unwrap();
        empty.settle(None).await.unwrap();
        let first = changed(&empty, &["a", "b", "c"], &[]).await;
        let second = changed(&first, &["d"], &[(0, 1)]).await;
        // Siblings know nothing of each other, though they give the same numbers.
        let [left, right] = [
            changed(&second, &["l"], &[(0, 0)]).await,
            changed(&second, &["r", "s"], &[(1, 0)]).await,
        ];
        assert_eq!(newest(&left), newest(&right));
        // A change that was prepared for an older version is applied as it is told: nobody asks
        // what is between.
        let stale = changed(&first, &["x"], &[(0, 2)]).await;
        // All rows of a file gone: the file is.
        let gone = changed(&second, &[], &[(0, 0), (0, 2)]).await;
        assert_eq!(gone.fragments().len(), 1);
        for (version, expected) in [
            (&empty, vec![]),
            (&first, vec!["a", "b", "c"]),
            (&second, vec!["a", "c", "d"]),
            (&left, vec!["c", "d", "l"]),
            (&right, vec!["a", "c", "r", "s"]),
            (&stale, vec!["a", "b", "x"]),
            (&gone, vec!["d"]),
        ] {
            assert_eq!(live(version).await, expected);
            let location = version.location();
            let opened = TableVersion::open(&there, &store, location).await.unwrap();
            assert_eq!(live(&opened).await, expected);
            assert_eq!(opened.location(), location);
            assert_eq!(opened.files(), version.files());
            assert!(location.version >> 63 == 1);
            for file in opened.files() {
                assert!(store.read(&file).await.unwrap().is_some(), "{file}");
            }
        }
        let fragment = &right.fragments()[0];
        let some = right.take(fragment, &["id"], &[0, 2]).await.unwrap();
        assert_eq!(
            some[0]
                .as_string::<i32>()
                .iter()
                .flatten()
                .collect::<Vec<_>>(),
            ["a", "c"]
        );
        let page = right.page(fragment, &["id"], 1..3).await.unwrap();
        assert_eq!(
            page[0]
                .as_string::<i32>()
                .iter()
                .flatten()
                .collect::<Vec<_>>(),
            ["b", "c"]
        );
    }
}

#[tokio::test]
async fn what_is_missing_is_told_as_missing() {
    for [here, there] in walls() {
        let store = Store::connect("memory:", &StoreOptions::default())
            .await
            .unwrap();
        let schema = numbers(&[]).schema();
        let empty = TableVersion::create(&here, &store, "nodes/t", schema)
            .await
            .unwrap();
        empty.settle(None).await.unwrap();
        let full = changed(&empty, &["a", "b", "c"], &[]).await;
        let full = changed(&full, &[], &[(0, 0)]).await;
        let opened = TableVersion::open(&there, &store, full.location())
            .await
            .unwrap();
        for file in full.files() {
            store.delete(&file).await.unwrap();
        }
        let fragment = &opened.fragments()[0];
        for error in [
            opened.columns(fragment, &["id"]).await.unwrap_err(),
            opened.deletions(fragment).await.unwrap_err(),
            TableVersion::open(&resources(), &store, full.location())
                .await
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, crate::error::Error::Missing { .. }),
                "{error:?}"
            );
        }
    }
}
