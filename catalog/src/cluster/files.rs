//! Where a cluster keeps what, relative to its storage root.

use omnigraph_engine::Store;

use super::address::Address;

pub const STATE: &str = "__cluster/state.json";
pub const LOCK: &str = "__cluster/lock.json";
pub const REVISIONS: &str = "__cluster/revisions";
pub const INTENTS: &str = "__cluster/intents";
pub const APPROVALS: &str = "__cluster/approvals";
pub const RESOURCES: &str = "__cluster/resources";
const GRAPHS: &str = "graphs";
const SUFFIX: &str = ".omni";

pub fn revision(number: u64) -> String {
    format!("{REVISIONS}/{number}.json")
}

pub fn intent(id: &str) -> String {
    format!("{INTENTS}/{id}.json")
}

pub fn approval(id: &str) -> String {
    format!("{APPROVALS}/{id}.json")
}

/// Where the payload of a resource lies; its name is its content's.
pub fn payload(address: &Address, digest: &str, extension: &str) -> Option<String> {
    let folder = match address {
        Address::Schema(graph) => format!("schema/{graph}"),
        Address::Query { graph, name } => format!("query/{graph}/{name}"),
        Address::Policy(name) => format!("policy/{name}"),
        Address::Graph(_) | Address::Provider(_) => return None,
    };
    Some(format!("{RESOURCES}/{folder}/{digest}.{extension}"))
}

/// The root of a graph.
pub fn graph(store: &Store, id: &str) -> Store {
    store.child(GRAPHS).child(&format!("{id}{SUFFIX}"))
}

/// The graphs that have a root, whatever is in it.
pub async fn graph_roots(store: &Store) -> omnigraph_engine::Result<Vec<String>> {
    let mut names: Vec<String> = store
        .child(GRAPHS)
        .list_folders("")
        .await?
        .iter()
        .filter_map(|name| {
            name.trim_end_matches('/')
                .strip_suffix(SUFFIX)
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}
