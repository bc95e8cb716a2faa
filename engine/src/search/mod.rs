//! Finding rows by likeness: how near their vectors are, and which words their texts have.
//!
//! | file | what is in it |
//! |---|---|
//! | metric | distances between vectors |
//! | nearest | the rows nearest to a vector |
//! | ivf | the vectors of an immutable chunk of rows, in lists |
//! | vector_indexes | those that a process has |
//! | analyzer | the words of a text |
//! | text_query | what is looked for: words, prefixes, phrases |
//! | text_index | the words of an immutable chunk of rows |
//! | bm25 | the rows of a table, ranked |
//! | best | the first of a ranking |
//! | candidates | the rows that may fit a condition |

mod analyzer;
mod best;
mod bm25;
mod candidates;
mod ivf;
mod metric;
mod nearest;
mod text_index;
mod text_query;
mod vector_indexes;

pub use analyzer::Analyzer;
pub use best::Hit;
pub use candidates::Candidates;
pub use metric::Metric;
pub use nearest::{Nearest, NearestRequest};
pub(crate) use text_index::TextIndex;
pub use text_query::{Phrase, TextQuery, Word};
pub(crate) use vector_indexes::VectorIndexes;
