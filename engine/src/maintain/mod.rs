//! Keeping a graph in shape: the same rows in better files.

pub(crate) mod tail;
