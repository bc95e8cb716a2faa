//! Which objects of blobs the rows of tables refer to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use roaring::RoaringBitmap;

use crate::blob::cell::Cell;
use crate::dataset::{Fragment, TableVersion};
use crate::error::Result;

/// Rows that are read at once.
const PAGE: u32 = 16_384;

/// Names of objects.
pub(super) type Objects = HashSet<u128>;

/// A file and what versions of its table show of it.
struct File {
    /// Columns that may hold references, each with a version that has it.
    columns: BTreeMap<String, usize>,
    fragment: Fragment,
    /// The rows that are gone in all versions.
    dead: Option<RoaringBitmap>,
}

/// Adds the objects that rows of any of the versions, which are of one table, refer to. A file
/// is read once, however many versions have it.
pub(super) async fn collect(versions: &[TableVersion], into: &mut Objects) -> Result<()> {
    let mut files: HashMap<Arc<str>, File> = HashMap::new();
    for (number, version) in versions.iter().enumerate() {
        let columns = blob_columns(version);
        if columns.is_empty() {
            continue;
        }
        for fragment in version.fragments() {
            add(&mut files, version, number, fragment, &columns).await?;
        }
    }
    for file in files.values() {
        read(versions, file, into).await?;
    }
    Ok(())
}

/// The objects that rows refer to which are in files of `next` that `before` does not have.
pub(super) async fn added(next: &TableVersion, before: Option<&TableVersion>) -> Result<Objects> {
    let mut objects = Objects::new();
    let columns = blob_columns(next);
    let known: HashSet<&str> = before
        .map(|before| {
            before
                .fragments()
                .iter()
                .map(|fragment| &*fragment.key)
                .collect()
        })
        .unwrap_or_default();
    let mut files = HashMap::new();
    for fragment in next.fragments() {
        if !columns.is_empty() && !known.contains(&*fragment.key) {
            add(&mut files, next, 0, fragment, &columns).await?;
        }
    }
    for file in files.values() {
        read(std::slice::from_ref(next), file, &mut objects).await?;
    }
    Ok(objects)
}

fn blob_columns(version: &TableVersion) -> Vec<String> {
    let schema = version.schema();
    let fields = schema.fields().iter();
    fields
        .filter(|field| *field.data_type() == DataType::Binary)
        .map(|field| field.name().clone())
        .collect()
}

async fn add(
    files: &mut HashMap<Arc<str>, File>,
    version: &TableVersion,
    number: usize,
    fragment: &Fragment,
    columns: &[String],
) -> Result<()> {
    let gone = version.deletions(fragment).await?;
    let gone = gone.map_or_else(RoaringBitmap::new, |gone| (*gone).clone());
    let file = files.entry(fragment.key.clone()).or_insert_with(|| File {
        columns: BTreeMap::new(),
        fragment: fragment.clone(),
        dead: None,
    });
    for column in columns {
        file.columns.entry(column.clone()).or_insert(number);
    }
    file.dead = Some(match file.dead.take() {
        Some(dead) => dead & gone,
        None => gone,
    });
    Ok(())
}

async fn read(versions: &[TableVersion], file: &File, into: &mut Objects) -> Result<()> {
    let rows = file.fragment.rows;
    let is_dead = |row: u32| file.dead.as_ref().is_some_and(|dead| dead.contains(row));
    for (column, version) in &file.columns {
        // Another version may number the same file differently.
        let version = &versions[*version];
        let fragments = version.fragments().iter();
        let mut fragments = fragments.filter(|fragment| fragment.key == file.fragment.key);
        let Some(fragment) = fragments.next() else {
            continue;
        };
        for start in (0..rows).step_by(PAGE as usize) {
            let page = start..rows.min(start + PAGE);
            let read = version.page(fragment, &[column], page).await?;
            let cells = read[0].as_binary::<i32>();
            for (row, cell) in cells.iter().enumerate() {
                if let Some(cell) = cell
                    && let Cell::Object(part) = Cell::read(cell)?
                    && !is_dead(start + row as u32)
                {
                    into.insert(part.object);
                }
            }
        }
    }
    Ok(())
}
