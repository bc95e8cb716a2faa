//! Nodes that have more to do with each other than with others.

use std::collections::BTreeMap;

use crate::algorithms::components::numbered;
use crate::algorithms::{Cancel, Links};
use crate::error::Result;

impl Links {
    /// Each node takes the label that most of its neighbours have, one node after the other,
    /// until none changes; among equals the label of the latest node. Directions do not count.
    pub fn label_propagation(&self, iterations: u32, cancel: &Cancel) -> Result<Vec<i64>> {
        let neighbours = self.neighbours();
        let mut labels: Vec<u32> = (0..self.len() as u32).collect();
        for _ in 0..iterations {
            let mut changed = false;
            for node in 0..self.len() {
                cancel.check_at(node)?;
                let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
                for other in neighbours.of_node(node) {
                    *counts.entry(labels[*other as usize]).or_default() += 1;
                }
                let most = counts.values().max().copied().unwrap_or_default();
                let own = counts.get(&labels[node]).copied().unwrap_or_default();
                // What it has stays while nothing is better, or two nodes would swap for ever.
                if own < most
                    && let Some((label, _)) = counts.iter().rev().find(|(_, count)| **count == most)
                {
                    labels[node] = *label;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        Ok(numbered(&labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cliques_with_a_bridge_are_two_communities() {
        let clique =
            |from: u32| (from..from + 4).flat_map(move |a| (a + 1..from + 4).map(move |b| (a, b)));
        let mut edges: Vec<(u32, u32)> = clique(0).chain(clique(4)).collect();
        edges.push((3, 4));
        let labels = Links::of(9, &edges)
            .label_propagation(20, &Cancel::never())
            .expect("not cancelled");
        assert_eq!(labels, [0, 0, 0, 0, 1, 1, 1, 1, 2]);
    }
}
