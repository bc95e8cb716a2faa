//! Three nodes that are all neighbours.

use crate::algorithms::{Cancel, Links};
use crate::error::Result;

impl Links {
    /// In how many triangles each node is. Directions, parallel edges and loops do not count.
    pub fn triangles(&self, cancel: &Cancel) -> Result<Vec<i64>> {
        let neighbours = self.neighbours();
        let rank = |node: u32| (neighbours.of_node(node as usize).len(), node);
        // From nodes with few neighbours to those with more, so that no list is long.
        let up: Vec<Vec<u32>> = (0..self.len() as u32)
            .map(|node| {
                let others = neighbours.of_node(node as usize).iter();
                others
                    .filter(|other| rank(**other) > rank(node))
                    .copied()
                    .collect()
            })
            .collect();
        let mut triangles = vec![0; self.len()];
        let mut marked = vec![false; self.len()];
        for node in 0..self.len() {
            cancel.check_at(node)?;
            for other in &up[node] {
                marked[*other as usize] = true;
            }
            for (at, second) in up[node].iter().enumerate() {
                cancel.check_at(at)?;
                for third in &up[*second as usize] {
                    if marked[*third as usize] {
                        triangles[node] += 1;
                        triangles[*second as usize] += 1;
                        triangles[*third as usize] += 1;
                    }
                }
            }
            for other in &up[node] {
                marked[*other as usize] = false;
            }
        }
        Ok(triangles)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_triangle_counts_at_its_three_nodes(edges in prop::collection::vec((0u32..7, 0u32..7), 0..25)) {
            let joined = |a: u32, b: u32| edges.contains(&(a, b)) || edges.contains(&(b, a));
            let mut expected = vec![0; 7];
            for a in 0..7 {
                for b in a + 1..7 {
                    for c in b + 1..7 {
                        if joined(a, b) && joined(b, c) && joined(a, c) {
                            [a, b, c].iter().for_each(|node| expected[*node as usize] += 1);
                        }
                    }
                }
            }
            prop_assert_eq!(Links::of(7, &edges).triangles(&Cancel::never()).unwrap(), expected);
        }
    }
}
