//! Finding rows by likeness: how near their vectors are, and which words their texts have.
//!
//! | file | what is in it |
//! |---|---|
//! | metric | distances between vectors |
//! | tokens | the words of a text |
//! | text_query | what is looked for: words, prefixes, phrases |
//! | text_index | the words of an immutable chunk of rows |
//! | bm25 | the rows of a table, ranked |
//! | best | the first of a ranking |

mod best;
mod bm25;
mod metric;
mod text_index;
mod text_query;
mod tokens;

pub use best::Hit;
pub use metric::Metric;
pub(crate) use text_index::TextIndex;
pub use text_query::{TextQuery, Word};
