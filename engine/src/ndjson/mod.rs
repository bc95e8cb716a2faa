//! Rows as lines of JSON: what loads read and exports write.
//!
//! `{"type":"Person","data":{…}}` is a node, `{"edge":"Knows","from":"…","to":"…","data":{…}}`
//! an edge. What is exported loads again as exactly the same rows: ids of edges and of nodes
//! without a key stand in `data`, numbers keep every digit, and what JSON has no number for is
//! a string.

mod cell;
mod columns;
mod decode;
mod encode;
mod json;
mod lines;
mod row;
#[cfg(test)]
mod tests;

pub(crate) use cell::{Cell, Refusal};
pub(crate) use columns::ColumnBuilder;
pub use decode::{Decoded, Decoder, LineError, Mistakes, TypeBatch};
pub use encode::Encoder;
pub(crate) use json::{Kind as JsonKind, Scanner};
pub(crate) use lines::MAX_LINE_BYTES;
pub use lines::{LineChunk, LineSplitter, split_lines};
