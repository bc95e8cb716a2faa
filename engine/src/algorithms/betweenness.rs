//! On how many shortest paths between others a node lies.

use crate::algorithms::{Cancel, Links, NONE};
use crate::error::Result;

impl Links {
    /// Along edges, from every node, or from so many of them at equal distances in the order
    /// of nodes, scaled up to all. Where several paths are equally short, each counts in part.
    pub fn betweenness(&self, samples: Option<usize>, cancel: &Cancel) -> Result<Vec<f64>> {
        let nodes = self.len();
        let samples = samples.unwrap_or(nodes).clamp(1, nodes.max(1));
        let mut between = vec![0.0; nodes];
        let mut depth = vec![NONE; nodes];
        let mut paths = vec![0.0; nodes];
        let mut share = vec![0.0; nodes];
        let mut order: Vec<u32> = Vec::with_capacity(nodes);
        let mut steps = 0;
        for sample in 0..samples.min(nodes) {
            let source = sample * nodes / samples;
            order.clear();
            order.push(source as u32);
            (depth[source], paths[source]) = (0, 1.0);
            let mut next = 0;
            while let Some(&node) = order.get(next) {
                next += 1;
                let node = node as usize;
                for &target in self.of_node(node) {
                    steps += 1;
                    cancel.check_at(steps)?;
                    let target = target as usize;
                    if depth[target] == NONE {
                        depth[target] = depth[node] + 1;
                        order.push(target as u32);
                    }
                    if depth[target] == depth[node] + 1 {
                        paths[target] += paths[node];
                    }
                }
            }
            for &node in order.iter().rev() {
                let node = node as usize;
                for &target in self.of_node(node) {
                    let target = target as usize;
                    if depth[target] == depth[node] + 1 {
                        share[node] += paths[node] / paths[target] * (1.0 + share[target]);
                    }
                }
                if node != source {
                    between[node] += share[node];
                }
            }
            for &node in &order {
                let node = node as usize;
                (depth[node], paths[node], share[node]) = (NONE, 0.0, 0.0);
            }
            cancel.check()?;
        }
        let scale = nodes as f64 / samples as f64;
        between.iter_mut().for_each(|value| *value *= scale);
        Ok(between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_line_and_two_ways_around() {
        let line = Links::of(3, &[(0, 1), (1, 2)]);
        assert_eq!(
            line.betweenness(None, &Cancel::never()).expect("done"),
            [0.0, 1.0, 0.0]
        );
        let around = Links::of(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]);
        assert_eq!(
            around.betweenness(None, &Cancel::never()).expect("done"),
            [0.0, 0.5, 0.5, 0.0]
        );
        let sampled = line.betweenness(Some(1), &Cancel::never()).expect("done");
        assert_eq!(sampled, [0.0, 3.0, 0.0]);
        assert!(
            Links::of(0, &[])
                .betweenness(None, &Cancel::never())
                .expect("done")
                .is_empty()
        );
    }
}
