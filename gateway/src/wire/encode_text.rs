//! A result value in text format, with its length in front.

use crate::text::{Formatter, View};
use crate::wire::rows::patch_value;

/// Appends length and text of a value that is not NULL.
pub fn put(formatter: &Formatter, view: &View, row: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    formatter.put(view, row, out);
    patch_value(out, start);
}
