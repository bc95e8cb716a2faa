//! The best of many rows, by score and then by id.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::table::RowPosition;

/// A row and how well it fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub position: RowPosition,
    pub score: f64,
}

/// At most so many rows, the best of those that were offered.
#[derive(Debug)]
pub struct Best {
    most: usize,
    /// The worst first.
    heap: BinaryHeap<Entry>,
}

#[derive(Debug)]
struct Entry {
    hit: Hit,
    id: Box<str>,
}

impl Best {
    pub fn new(most: usize) -> Self {
        Best {
            most,
            heap: BinaryHeap::new(),
        }
    }

    /// Would a row of this score and id be kept?
    pub fn takes(&self, score: f64, id: &str) -> bool {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.most => {
                rank(score, id, worst.hit.score, &worst.id).is_lt()
            }
            _ => self.most > 0,
        }
    }

    pub fn offer(&mut self, hit: Hit, id: &str) {
        if !self.takes(hit.score, id) {
            return;
        }
        if self.heap.len() >= self.most {
            self.heap.pop();
        }
        self.heap.push(Entry { hit, id: id.into() });
    }

    /// The best first.
    pub fn into_hits(self) -> Vec<Hit> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|entry| entry.hit).collect()
    }
}

/// `Less`: the first is the better one.
fn rank(score: f64, id: &str, other_score: f64, other_id: &str) -> Ordering {
    other_score.total_cmp(&score).then_with(|| id.cmp(other_id))
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        rank(self.hit.score, &self.id, other.hit.score, &other.id)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_by_id() {
        let offered = [(1.0, "d"), (2.0, "c"), (1.0, "b"), (3.0, "e"), (1.0, "a")];
        for most in 0..6 {
            let mut best = Best::new(most);
            for (offset, (score, id)) in (0..).zip(offered) {
                let position = RowPosition { chunk: 0, offset };
                best.offer(Hit { position, score }, id);
            }
            let kept: Vec<u32> = best
                .into_hits()
                .iter()
                .map(|hit| hit.position.offset)
                .collect();
            let expected = [3, 1, 4, 2, 0];
            assert_eq!(kept, expected[..most.min(5)]);
        }
    }
}
