//! The rows that may fit a condition on words, as far as an inverted index can tell.

use roaring::RoaringBitmap;

use super::analyzer::Analyzer;
use super::text_index::TextIndex;
use super::text_query::{TextQuery, Word};
use crate::error::Result;
use crate::table::{RowPosition, Table};

/// What has to be in a text, whatever else has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    Word(Word),
    All(Vec<Candidates>),
    Any(Vec<Candidates>),
}

impl Candidates {
    /// What a text has to have for a query to fit it.
    pub fn of(query: &TextQuery) -> Candidates {
        let words = query.words.iter().cloned().map(Candidates::Word).collect();
        match query.all && !query.words.is_empty() {
            true => Candidates::All(words),
            false => Candidates::Any(words),
        }
    }

    fn rows(&self, index: &TextIndex) -> RoaringBitmap {
        match self {
            Candidates::Word(word) => index.postings(word).rows.iter().copied().collect(),
            Candidates::All(parts) => parts
                .iter()
                .map(|part| part.rows(index))
                .reduce(|left, right| left & right)
                .unwrap_or_default(),
            Candidates::Any(parts) => parts
                .iter()
                .map(|part| part.rows(index))
                .fold(RoaringBitmap::new(), |left, right| left | right),
        }
    }
}

impl Table {
    /// The rows whose text in a column has what is wanted, in the table's order.
    pub async fn rows_with_words(
        &self,
        column: usize,
        analyzer: Analyzer,
        wanted: &Candidates,
    ) -> Result<Vec<RowPosition>> {
        let chunks = self.chunks().await?;
        let mut positions = Vec::new();
        for (number, chunk) in (0..).zip(chunks.iter()) {
            let index = self.text_index(chunk, column, analyzer).await?;
            let mut rows = wanted.rows(&index);
            if let Some(deleted) = &chunk.deleted {
                rows -= &**deleted;
            }
            positions.extend(rows.into_iter().map(|offset| RowPosition {
                chunk: number,
                offset,
            }));
            tokio::task::consume_budget().await;
        }
        Ok(positions)
    }
}
