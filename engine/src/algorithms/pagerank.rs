//! How likely somebody who follows edges at random is found at each node.

use crate::algorithms::{Cancel, Links};
use crate::error::Result;

#[derive(Debug, Clone, Copy)]
pub struct PageRank {
    /// How likely one edge more is followed; else a node is chosen among all.
    pub damping: f64,
    pub iterations: u32,
    /// Ends when all ranks together change by less.
    pub tolerance: f64,
}

impl Links {
    /// The ranks, which add up to 1. What lies at nodes without edges is spread over all.
    pub fn pagerank(&self, options: &PageRank, cancel: &Cancel) -> Result<Vec<f64>> {
        let count = self.len() as f64;
        let mut ranks = vec![1.0 / count; self.len()];
        for _ in 0..options.iterations {
            cancel.check()?;
            let mut next = vec![0.0; self.len()];
            let mut lost = 0.0;
            for (node, rank) in ranks.iter().enumerate() {
                cancel.check_at(node)?;
                let targets = self.of_node(node);
                if targets.is_empty() {
                    lost += rank;
                }
                for target in targets {
                    next[*target as usize] += rank / targets.len() as f64;
                }
            }
            let mut change = 0.0;
            for (rank, next) in ranks.iter().zip(&mut next) {
                *next = (1.0 - options.damping) / count + options.damping * (*next + lost / count);
                change += (*next - rank).abs();
            }
            ranks = next;
            if change < options.tolerance {
                break;
            }
        }
        Ok(ranks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(links: &Links) -> Vec<f64> {
        let options = PageRank {
            damping: 0.85,
            iterations: 200,
            tolerance: 1e-12,
        };
        links
            .pagerank(&options, &Cancel::never())
            .expect("not cancelled")
    }

    #[test]
    fn a_ring_is_even_and_a_sink_collects() {
        let ring = ranks(&Links::of(3, &[(0, 1), (1, 2), (2, 0)]));
        assert!(
            ring.iter().all(|rank| (rank - 1.0 / 3.0).abs() < 1e-9),
            "{ring:?}"
        );
        // Checked by hand: x = (0.15 + 0.85 y) / 2 where y is the sink's, and x + y = 1.
        let sink = ranks(&Links::of(2, &[(0, 1)]));
        assert!((sink[0] - 0.5 / 1.425).abs() < 1e-9, "{sink:?}");
        assert!((sink.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(ranks(&Links::of(0, &[])).is_empty());
    }
}
