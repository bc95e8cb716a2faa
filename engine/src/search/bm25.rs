//! Ranking the rows of a table by the words of a text, with BM25 over the rows that a snapshot
//! shows: neither deleted rows nor those of other branches have any part in a score.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::analyzer::Analyzer;
use super::best::{Best, Hit};
use super::text_index::{Sizes, TextIndex, texts};
use super::text_query::TextQuery;
use crate::error::{Error, Result};
use crate::schema::ID_COLUMN;
use crate::table::{Chunk, RowPosition, Table};
use crate::traverse::on_a_thread;

/// How soon repetitions of a word stop to count.
const K1: f64 = 1.2;
/// How much long texts have to make up for.
const B: f64 = 0.75;
/// Files whose indexes are made side by side.
const BUILDS: usize = 2;

/// What a score rests on: all rows of the snapshot that have a text.
#[derive(Debug)]
struct Corpus {
    sizes: Sizes,
    /// How many texts have each word of the query.
    with: Vec<u64>,
}

impl Table {
    /// The best `most` rows for a query over a column of texts, the best first, then by id.
    ///
    /// A row's score is the sum, over the query's words, of `ln(1 + (N - n + 0.5) / (n + 0.5))
    /// · f (k1 + 1) / (f + k1 (1 - b + b · length / average))`.
    pub async fn search_text(
        &self,
        column: usize,
        query: &TextQuery,
        most: usize,
    ) -> Result<Vec<Hit>> {
        if query.words.is_empty() {
            return Ok(Vec::new());
        }
        let chunks = self.chunks().await?;
        let corpus = self.corpus(&chunks, column, query).await?;
        let mut best = Best::new(most);
        for (number, chunk) in (0..).zip(chunks.iter()) {
            let index = self.text_index(chunk, column, query.analyzer).await?;
            let scores = scores(&index, chunk, query, &corpus);
            if scores.is_empty() {
                continue;
            }
            let columns = self.chunk_columns(chunk, &[ID_COLUMN, column]).await?;
            let (ids, texts) = (texts(&columns[0])?, texts(&columns[1])?);
            for (offset, score) in scores {
                let id = ids.value(offset as usize);
                if !best.takes(score, id)
                    || query.has_phrases() && !query.phrases_fit(texts.value(offset as usize))
                {
                    continue;
                }
                let position = RowPosition {
                    chunk: number,
                    offset,
                };
                best.offer(Hit { position, score }, id);
            }
            tokio::task::consume_budget().await;
        }
        Ok(best.into_hits())
    }

    async fn corpus(&self, chunks: &[Chunk], column: usize, query: &TextQuery) -> Result<Corpus> {
        let mut corpus = Corpus {
            sizes: Sizes::default(),
            with: vec![0; query.words.len()],
        };
        let mut indexes = stream::iter(0..chunks.len())
            .map(|at| {
                self.numbered_index(chunks, at, column, query.analyzer)
                    .boxed()
            })
            .buffered(BUILDS);
        while let Some((at, index)) = indexes.try_next().await? {
            let chunk = &chunks[at];
            let sizes = index.sizes(chunk.deleted.as_deref());
            corpus.sizes.texts += sizes.texts;
            corpus.sizes.words += sizes.words;
            for (with, word) in corpus.with.iter_mut().zip(&query.words) {
                let postings = index.postings(word);
                let live = postings.rows.iter().filter(|row| chunk.is_live(**row));
                *with += match chunk.deleted {
                    None => postings.rows.len() as u64,
                    Some(_) => live.count() as u64,
                };
            }
        }
        Ok(corpus)
    }

    async fn numbered_index(
        &self,
        chunks: &[Chunk],
        at: usize,
        column: usize,
        analyzer: Analyzer,
    ) -> Result<(usize, Arc<TextIndex>)> {
        Ok((at, self.text_index(&chunks[at], column, analyzer).await?))
    }

    /// The index of a chunk's texts, made at first use. It is made once for all that wait for
    /// it, and given up when nobody does.
    pub(super) async fn text_index(
        &self,
        chunk: &Chunk,
        column: usize,
        analyzer: Analyzer,
    ) -> Result<Arc<TextIndex>> {
        let build = async {
            let columns = self.chunk_columns(chunk, &[column]).await?;
            let index =
                on_a_thread(move |cancel| TextIndex::build(analyzer, texts(&columns[0])?, &cancel));
            Ok(Arc::new(index.await?))
        };
        let name = format!("{} {}", analyzer.name(), self.cached_as(&[column]));
        self.resources()
            .text_indexes()
            .try_get_with((chunk.key.clone(), name), build)
            .await
            .map_err(|error: Arc<Error>| (*error).clone())
    }
}

/// The rows of a chunk that have the words they must, and what each scores. Phrases are not
/// looked at.
fn scores(index: &TextIndex, chunk: &Chunk, query: &TextQuery, corpus: &Corpus) -> Vec<(u32, f64)> {
    let rows = chunk.rows as usize;
    let average = corpus.sizes.words as f64 / (corpus.sizes.texts as f64).max(1.0);
    let mut sums = vec![0.0; rows];
    // How many of the words each row has.
    let mut has = vec![0u32; rows];
    let mut touched = Vec::new();
    for (word, with) in query.words.iter().zip(&corpus.with) {
        let (texts, with) = (corpus.sizes.texts as f64, *with as f64);
        let rarity = ((texts - with + 0.5) / (with + 0.5)).ln_1p();
        let postings = index.postings(word);
        for (row, count) in postings.rows.iter().zip(postings.counts.iter()) {
            let at = *row as usize;
            let length = f64::from(index.length(*row).unwrap_or(0));
            let count = f64::from(*count);
            let damped = count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / average));
            sums[at] += rarity * damped;
            if has[at] == 0 {
                touched.push(*row);
            }
            has[at] += 1;
        }
    }
    for word in &query.without {
        for row in index.postings(word).rows.iter() {
            has[*row as usize] = 0;
        }
    }
    let least = match query.all {
        true => query.words.len() as u32,
        false => 1,
    };
    touched
        .into_iter()
        .filter(|row| has[*row as usize] >= least && chunk.is_live(*row))
        .map(|row| (row, sums[row as usize]))
        .collect()
}
