//! Communities by the Louvain method.

use std::collections::BTreeMap;

use crate::algorithms::components::numbered;
use crate::algorithms::{Cancel, Links};
use crate::error::Result;

/// Nodes, or the communities that they became, with how strongly they are joined.
struct Level {
    /// For each node its neighbours, with weights, without itself.
    neighbours: Vec<Vec<(u32, f64)>>,
    /// The weight of all edges at each node; those from it to itself count twice.
    strengths: Vec<f64>,
    total: f64,
}

/// Passes over the nodes of one level, and levels: real graphs need a handful of each.
const PASSES: usize = 64;
const LEVELS: usize = 64;

impl Links {
    /// Directions do not count. Communities are numbered in the order of their first nodes.
    pub fn louvain(&self, resolution: f64, cancel: &Cancel) -> Result<Vec<i64>> {
        let mut level = self.undirected(cancel)?;
        let mut communities: Vec<u32> = (0..self.len() as u32).collect();
        for _ in 0..LEVELS {
            let (of, count) = level.moved(resolution, cancel)?;
            for community in &mut communities {
                *community = of[*community as usize];
            }
            if count == of.len() {
                break;
            }
            level = level.joined(&of, count);
        }
        Ok(numbered(&communities))
    }

    fn undirected(&self, cancel: &Cancel) -> Result<Level> {
        let mut level = Level {
            neighbours: vec![Vec::new(); self.len()],
            strengths: vec![0.0; self.len()],
            total: 0.0,
        };
        for node in 0..self.len() {
            cancel.check_at(node)?;
            for &other in self.of_node(node) {
                level.strengths[node] += 1.0;
                level.strengths[other as usize] += 1.0;
                level.total += 2.0;
                if other as usize != node {
                    level.neighbours[node].push((other, 1.0));
                    level.neighbours[other as usize].push((node as u32, 1.0));
                }
            }
        }
        level.neighbours.iter_mut().for_each(merge);
        Ok(level)
    }
}

/// One entry for each neighbour, ascending.
fn merge(neighbours: &mut Vec<(u32, f64)>) {
    neighbours.sort_unstable_by_key(|(other, _)| *other);
    neighbours.dedup_by(|(other, weight), (kept, sum)| {
        let same = other == kept;
        if same {
            *sum += *weight;
        }
        same
    });
}

impl Level {
    /// The community of each node, numbered from 0, and how many there are.
    fn moved(&self, resolution: f64, cancel: &Cancel) -> Result<(Vec<u32>, usize)> {
        let count = self.neighbours.len();
        let mut of: Vec<u32> = (0..count as u32).collect();
        let mut strength = self.strengths.clone();
        let mut toward: BTreeMap<u32, f64> = BTreeMap::new();
        for _ in 0..PASSES {
            let mut moved = false;
            for node in 0..count {
                cancel.check_at(node)?;
                let own = of[node];
                strength[own as usize] -= self.strengths[node];
                toward.clear();
                toward.insert(own, 0.0);
                for &(other, weight) in &self.neighbours[node] {
                    *toward.entry(of[other as usize]).or_default() += weight;
                }
                // What joining a community adds to the modularity, but for a common factor.
                let gain = |community: u32, weight: f64| {
                    let expected = self.strengths[node] * strength[community as usize];
                    weight - resolution * expected / self.total
                };
                let mut best = (own, gain(own, toward[&own]));
                for (&community, &weight) in &toward {
                    let gained = gain(community, weight);
                    if gained > best.1 + 1e-12 {
                        best = (community, gained);
                    }
                }
                strength[best.0 as usize] += self.strengths[node];
                if best.0 != own {
                    of[node] = best.0;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        for community in &mut of {
            let next = numbers.len() as u32;
            *community = *numbers.entry(*community).or_insert(next);
        }
        Ok((of, numbers.len()))
    }

    /// The communities as nodes.
    fn joined(&self, of: &[u32], count: usize) -> Level {
        let mut joined = Level {
            neighbours: vec![Vec::new(); count],
            strengths: vec![0.0; count],
            total: self.total,
        };
        for (node, neighbours) in self.neighbours.iter().enumerate() {
            let own = of[node];
            joined.strengths[own as usize] += self.strengths[node];
            let outward = neighbours
                .iter()
                .map(|(other, weight)| (of[*other as usize], *weight))
                .filter(|(other, _)| *other != own);
            joined.neighbours[own as usize].extend(outward);
        }
        joined.neighbours.iter_mut().for_each(merge);
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clique(from: u32, size: u32) -> Vec<(u32, u32)> {
        (from..from + size)
            .flat_map(|a| (a + 1..from + size).map(move |b| (a, b)))
            .collect()
    }

    #[test]
    fn a_ring_of_cliques_is_as_many_communities() {
        let mut edges = Vec::new();
        for ring in 0..6 {
            edges.extend(clique(ring * 5, 5));
            edges.push((ring * 5, (ring * 5 + 9) % 30));
        }
        let found = Links::of(31, &edges).louvain(1.0, &Cancel::never());
        let mut expected: Vec<i64> = (0..30).map(|node| node / 5).collect();
        expected.push(6);
        assert_eq!(found.expect("not cancelled"), expected);
    }

    #[test]
    fn resolution_splits_and_joins() {
        let mut edges = clique(0, 4);
        edges.extend(clique(4, 4));
        edges.extend([(0, 4), (1, 5)]);
        let links = Links::of(8, &edges);
        let count = |resolution: f64| {
            let found = links.louvain(resolution, &Cancel::never());
            found.expect("not cancelled").into_iter().max()
        };
        assert_eq!(count(0.1), Some(0));
        assert_eq!(count(1.0), Some(1));
        assert_eq!(count(9.0), Some(7));
    }

    #[test]
    fn nothing_is_no_community() {
        let none = Links::of(0, &[]).louvain(1.0, &Cancel::never());
        assert_eq!(none.expect("not cancelled"), Vec::<i64>::new());
        let apart = Links::of(2, &[]).louvain(1.0, &Cancel::never());
        assert_eq!(apart.expect("not cancelled"), [0, 1]);
    }
}
