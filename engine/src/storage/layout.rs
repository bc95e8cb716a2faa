//! Every object key of a graph, one function each. Keys are relative to the graph's root.
//!
//! Sequence numbers are written inverted, so that an ordered listing shows the newest
//! first, in folders of 1,000 entries, so that no listing grows without bound.

use xxhash_rust::xxh3::xxh3_128;

use crate::names::CommitId;

/// Entries in a folder, and in a checkpoint.
pub const ENTRIES_PER_FOLDER: u64 = 1000;

/// Format and random identity of the graph; written last when a graph is made.
pub fn graph() -> String {
    "_graph/graph.json".to_owned()
}

/// All logs of branches.
pub const BRANCHES: &str = "_graph/branches/";

pub fn branch_folder(branch_id: &str) -> String {
    format!("{BRANCHES}{branch_id}")
}

pub fn log_folder(branch_id: &str, seq: u64) -> String {
    format!(
        "{}/{}",
        branch_folder(branch_id),
        inverted(seq / ENTRIES_PER_FOLDER)
    )
}

pub fn log_entry(branch_id: &str, seq: u64) -> String {
    format!("{}/{}.json", log_folder(branch_id, seq), inverted(seq))
}

pub fn refs_folder(graph_id: &str) -> String {
    format!("_graph/refs/{graph_id}")
}

pub fn ref_group(graph_id: &str, number: u64) -> String {
    format!(
        "{}/{}",
        refs_folder(graph_id),
        inverted(number / ENTRIES_PER_FOLDER)
    )
}

pub fn ref_entry(graph_id: &str, number: u64) -> String {
    format!("{}/{}.json", ref_group(graph_id, number), inverted(number))
}

/// Where to look for a commit. A hint: it may name a commit that was never published.
pub fn commit(id: CommitId) -> String {
    format!("_graph/commits/{id}.json")
}

/// Says that a commit will not be.
pub fn abandoned(id: CommitId) -> String {
    format!("_graph/abandoned/{id}.json")
}

/// Where to look for an actor's commit with an idempotency key. A hint like [`commit`].
pub fn key(branch_id: &str, actor: &str, key: &str) -> String {
    let hash = xxh3_128(format!("{actor}\0{key}").as_bytes());
    format!("_graph/keys/{branch_id}/{hash:032x}.json")
}

/// A thousand entries of a log without their tables.
pub fn checkpoint(branch_id: &str, number: u64) -> String {
    format!("_graph/checkpoints/{branch_id}/{}.json", inverted(number))
}

pub fn schema(digest: &str) -> String {
    format!("_graph/schemas/{digest}.pg")
}

/// The ids that a commit wrote, where the log entry has no room for them.
pub fn changes(id: CommitId) -> String {
    format!("_graph/changes/{id}.json")
}

/// Bytes of blobs.
pub const BLOBS: &str = "_graph/blobs";

/// An object with the bytes of one blob or of several.
pub fn blob(object: u128) -> String {
    format!("{BLOBS}/{}", ulid::Ulid(object))
}

pub fn probe(nonce: &str) -> String {
    format!("_graph/probe/{nonce}")
}

/// A new directory for every creation of a table, so that aborts, drop-and-recreate and
/// divergent branches can never meet in one.
pub fn table(edge: bool, type_name: &str, unique: &str) -> String {
    let kind = if edge { "edges" } else { "nodes" };
    format!("{kind}/{type_name}-{unique}")
}

/// The stored index over some columns of a table's file, which caches know by `chunk`.
pub fn lookup(chunk: &str, columns: &str) -> String {
    format!("{}.{columns}", chunk.replacen("/data/", "/lookup/", 1))
}

/// The (first) file that a stored index was made of.
pub fn looked_up(key: &str) -> Option<String> {
    let (file, _) = key.split_once(".lance")?;
    Some(format!("{}.lance", file.replacen("/lookup/", "/data/", 1)))
}

/// The number that an inverted name stands for.
pub fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json").unwrap_or(name);
    (digits.len() == 20)
        .then(|| digits.parse::<u64>().ok())
        .flatten()
        .map(|inverted| u64::MAX - inverted)
}

fn inverted(number: u64) -> String {
    format!("{:020}", u64::MAX - number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_entries_sort_first() {
        assert!(log_entry("b", 7) < log_entry("b", 6));
        assert!(log_entry("b", 1000) < log_entry("b", 999));
        assert_eq!(number_of(&format!("{}.json", inverted(17))), Some(17));
        assert_eq!(number_of("17.json"), None);
    }
}
