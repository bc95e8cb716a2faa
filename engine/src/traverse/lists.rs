//! Neighbours of nodes as compressed sparse rows.

use crate::error::Result;
use crate::traverse::bits::Bits;
use crate::traverse::cancel::Cancel;

/// No node: the row is deleted.
pub(super) const NONE: u32 = u32::MAX;

/// For each node, its neighbours and the positions of the edges to them, by position.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Where a node's list begins; one more at the end.
    offsets: Vec<u32>,
    neighbours: Vec<u32>,
    positions: Vec<u32>,
}

/// Lists for few of the nodes.
#[derive(Debug, Default)]
pub(super) struct SparseLists {
    /// The nodes that have a list.
    pub(super) has: Bits,
    nodes: Vec<u32>,
    lists: Lists,
}

impl Lists {
    /// A counting sort: `from[i]` → `to[i]` is the edge at position `i`.
    pub(super) fn build(nodes: usize, from: &[u32], to: &[u32], cancel: &Cancel) -> Result<Self> {
        let mut offsets = vec![0u32; nodes + 1];
        for &node in from {
            if node != NONE {
                offsets[node as usize + 1] += 1;
            }
        }
        let mut total = 0;
        for offset in &mut offsets {
            total += *offset;
            *offset = total;
        }
        let mut neighbours = vec![0; total as usize];
        let mut positions = vec![0; total as usize];
        let mut next = offsets.clone();
        for (position, (&node, &neighbour)) in from.iter().zip(to).enumerate() {
            cancel.check_at(position)?;
            if node == NONE {
                continue;
            }
            let slot = &mut next[node as usize];
            neighbours[*slot as usize] = neighbour;
            positions[*slot as usize] = position as u32;
            *slot += 1;
        }
        Ok(Lists {
            offsets,
            neighbours,
            positions,
        })
    }

    /// The same edges listed at their other end.
    pub(super) fn transposed(&self, nodes: usize, rows: usize) -> Lists {
        let mut from = vec![NONE; rows];
        let mut to = vec![NONE; rows];
        for node in 0..self.nodes() {
            let (neighbours, positions) = self.of(node);
            for (&neighbour, &position) in neighbours.iter().zip(positions) {
                from[position as usize] = neighbour;
                to[position as usize] = node as u32;
            }
        }
        Lists::build(nodes, &from, &to, &Cancel::never()).unwrap_or_default()
    }

    /// Is each list in the order of neighbours, and among equal ones of positions?
    pub(super) fn are_by_neighbour(&self) -> bool {
        (0..self.nodes()).all(|node| self.of(node).0.is_sorted())
    }

    /// The same edges, each list in the order of neighbours. `turned` lists them at their
    /// other end: whoever goes through it from its first node to its last meets the neighbours
    /// of every node in order.
    pub(super) fn by_neighbour(&self, turned: &Lists) -> Lists {
        let mut next = self.offsets.clone();
        let mut neighbours = vec![0; self.neighbours.len()];
        let mut positions = vec![0; self.positions.len()];
        for other in 0..turned.nodes() {
            let (nodes, at) = turned.of(other);
            for (&node, &position) in nodes.iter().zip(at) {
                let slot = &mut next[node as usize];
                neighbours[*slot as usize] = other as u32;
                positions[*slot as usize] = position;
                *slot += 1;
            }
        }
        Lists {
            offsets: self.offsets.clone(),
            neighbours,
            positions,
        }
    }

    fn nodes(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    #[inline]
    pub(super) fn of(&self, node: usize) -> (&[u32], &[u32]) {
        match (self.offsets.get(node), self.offsets.get(node + 1)) {
            (Some(&begin), Some(&end)) => {
                let range = begin as usize..end as usize;
                (&self.neighbours[range.clone()], &self.positions[range])
            }
            // A node that is newer than the base.
            _ => (&[], &[]),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        4 * (self.offsets.capacity() + self.neighbours.capacity() + self.positions.capacity())
    }
}

impl SparseLists {
    pub(super) fn build(count: usize, from: &[u32], to: &[u32], at: &[u32]) -> Self {
        if from.is_empty() {
            return SparseLists::default();
        }
        let mut order: Vec<u32> = (0..from.len() as u32).collect();
        order.sort_unstable_by_key(|&i| (from[i as usize], at[i as usize]));
        let mut sparse = SparseLists {
            has: Bits::new(count),
            ..SparseLists::default()
        };
        for i in order {
            let i = i as usize;
            if sparse.has.insert(from[i]) {
                sparse.nodes.push(from[i]);
                sparse
                    .lists
                    .offsets
                    .push(sparse.lists.neighbours.len() as u32);
            }
            sparse.lists.neighbours.push(to[i]);
            sparse.lists.positions.push(at[i]);
        }
        sparse
            .lists
            .offsets
            .push(sparse.lists.neighbours.len() as u32);
        sparse
    }

    #[inline]
    pub(super) fn of(&self, node: u32) -> (&[u32], &[u32]) {
        if !self.has.contains(node) {
            return (&[], &[]);
        }
        match self.nodes.binary_search(&node) {
            Ok(at) => self.lists.of(at),
            Err(_) => (&[], &[]),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.has.bytes() + 4 * self.nodes.capacity() + self.lists.bytes()
    }
}
