//! Keeping a graph in shape: the same rows in better files, and no more files than needed.

pub(crate) mod background;
mod blobs;
pub(crate) mod compact;
pub(crate) mod examine;
mod mark;
pub(crate) mod tail;
pub(crate) mod vacuum;
