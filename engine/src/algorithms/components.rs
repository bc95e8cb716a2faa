//! Which nodes hang together. Components are numbered from 0, by the first node in each.

use crate::algorithms::{Cancel, Links, NONE};
use crate::error::Result;

impl Links {
    /// By edges in either direction.
    pub fn connected_components(&self, cancel: &Cancel) -> Result<Vec<i64>> {
        let mut parents: Vec<u32> = (0..self.len() as u32).collect();
        fn root(parents: &mut [u32], mut node: u32) -> u32 {
            while parents[node as usize] != node {
                parents[node as usize] = parents[parents[node as usize] as usize];
                node = parents[node as usize];
            }
            node
        }
        for node in 0..self.len() {
            cancel.check_at(node)?;
            for target in self.of_node(node) {
                let (left, right) = (root(&mut parents, node as u32), root(&mut parents, *target));
                // The smaller one stays, so a root is its component's first node.
                parents[left.max(right) as usize] = left.min(right);
            }
        }
        let roots: Vec<u32> = (0..self.len() as u32)
            .map(|node| root(&mut parents, node))
            .collect();
        Ok(numbered(&roots))
    }

    /// By paths there and back.
    pub fn strongly_connected_components(&self, cancel: &Cancel) -> Result<Vec<i64>> {
        let mut search = Search {
            order: vec![NONE; self.len()],
            low: vec![0; self.len()],
            component: vec![NONE; self.len()],
            open: Vec::new(),
            visited: 0,
        };
        // A node and how many of its edges were followed: no recursion, paths are long.
        let mut path: Vec<(u32, usize)> = Vec::new();
        let mut steps = 0;
        for start in 0..self.len() as u32 {
            if search.order[start as usize] != NONE {
                continue;
            }
            search.enter(start);
            path.push((start, 0));
            while let Some((node, followed)) = path.last_mut() {
                steps += 1;
                cancel.check_at(steps)?;
                let at = *node;
                match self.of_node(at as usize).get(*followed) {
                    Some(&target) => {
                        *followed += 1;
                        if search.order[target as usize] == NONE {
                            search.enter(target);
                            path.push((target, 0));
                        } else if search.component[target as usize] == NONE {
                            search.reach(at, search.order[target as usize]);
                        }
                    }
                    None => {
                        path.pop();
                        search.leave(at);
                        if let Some((before, _)) = path.last() {
                            search.reach(*before, search.low[at as usize]);
                        }
                    }
                }
            }
        }
        Ok(numbered(&search.component))
    }
}

struct Search {
    order: Vec<u32>,
    /// The earliest node on the path that can be reached.
    low: Vec<u32>,
    component: Vec<u32>,
    open: Vec<u32>,
    visited: u32,
}

impl Search {
    fn enter(&mut self, node: u32) {
        self.order[node as usize] = self.visited;
        self.low[node as usize] = self.visited;
        self.visited += 1;
        self.open.push(node);
    }

    fn reach(&mut self, node: u32, order: u32) {
        let low = &mut self.low[node as usize];
        *low = order.min(*low);
    }

    /// Its component is complete if nothing before it can be reached.
    fn leave(&mut self, node: u32) {
        if self.low[node as usize] != self.order[node as usize] {
            return;
        }
        while let Some(member) = self.open.pop() {
            self.component[member as usize] = node;
            if member == node {
                return;
            }
        }
    }
}

/// Names as numbers, in the order in which they come first.
pub(super) fn numbered(names: &[u32]) -> Vec<i64> {
    let mut numbers = vec![-1; names.len()];
    let mut next = 0;
    names
        .iter()
        .map(|name| {
            let number = &mut numbers[*name as usize];
            if *number < 0 {
                *number = next;
                next += 1;
            }
            *number
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Who can be reached from whom, by trying.
    fn reachable(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<bool>> {
        let mut reach = vec![vec![false; nodes]; nodes];
        for (node, row) in reach.iter_mut().enumerate() {
            row[node] = true;
        }
        for &(from, to) in edges {
            reach[from as usize][to as usize] = true;
        }
        for via in 0..nodes {
            for from in 0..nodes {
                for to in 0..nodes {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        reach
    }

    proptest! {
        #[test]
        fn components_are_who_reaches_whom(edges in prop::collection::vec((0u32..8, 0u32..8), 0..20)) {
            let links = Links::of(8, &edges);
            let strong = links.strongly_connected_components(&Cancel::never()).unwrap();
            let weak = links.connected_components(&Cancel::never()).unwrap();
            let there = reachable(8, &edges);
            let mut both = edges.clone();
            both.extend(edges.iter().map(|(from, to)| (*to, *from)));
            let either = reachable(8, &both);
            for a in 0..8 {
                for b in 0..8 {
                    prop_assert_eq!(strong[a] == strong[b], there[a][b] && there[b][a]);
                    prop_assert_eq!(weak[a] == weak[b], either[a][b]);
                }
            }
            prop_assert_eq!((strong[0], weak[0]), (0, 0));
        }
    }
}
