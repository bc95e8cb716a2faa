//! What a partial match has passed, for modes in which nothing may come twice.

use std::sync::Arc;

use crate::pattern::Mode;
use crate::pattern::frame::{Element, Frame, Step};

/// What a row has passed.
#[derive(Default)]
pub(super) struct Past {
    /// Of the match, if no edge may come twice in it; else of the path.
    pub edges: Vec<Element>,
    path_edges: usize,
    /// Of the path, the newest first.
    vertices: Vec<Element>,
    different_edges: bool,
}

impl Past {
    pub(super) fn read(
        &mut self,
        frame: &Arc<Frame>,
        row: usize,
        start: u32,
        different_edges: bool,
    ) {
        self.edges.clear();
        self.vertices.clear();
        self.different_edges = different_edges;
        self.path_edges = 0;
        let (mut frame, mut row) = (frame.as_ref(), row);
        loop {
            let in_path = frame.level > start;
            match &frame.step {
                Step::Edges(edges) => {
                    self.edges.push(edges[row]);
                    if in_path {
                        self.path_edges += 1;
                        self.vertices.push(frame.vertices[row]);
                    }
                }
                Step::Paths(paths) => self.edges.extend(&paths[row].edges),
                Step::None => {}
            }
            if frame.level == start {
                self.vertices.push(frame.vertices[row]);
            }
            if !in_path && !different_edges {
                return;
            }
            let Some(parent) = &frame.parent else { return };
            row = frame.rows[row] as usize;
            frame = parent;
        }
    }

    /// Has a simple path come back to its first node?
    pub(super) fn is_closed(&self, mode: Mode) -> bool {
        mode == Mode::Simple
            && self.vertices.len() > 1
            && self.vertices.first() == self.vertices.last()
    }

    pub(super) fn allows(&self, mode: Mode, edge: Element, vertex: Element) -> bool {
        if self.different_edges && self.edges.contains(&edge) {
            return false;
        }
        match mode {
            Mode::Walk => true,
            Mode::Trail => !self.edges[..self.path_edges].contains(&edge),
            Mode::Acyclic => !self.vertices.contains(&vertex),
            Mode::Simple => {
                let others = self.vertices.len().saturating_sub(1);
                !self.vertices[..others].contains(&vertex)
            }
        }
    }
}
