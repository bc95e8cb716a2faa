//! Batches of partial matches. Each is the continuation of an earlier one, so what several
//! matches have in common is kept once; and all rows of a batch came about by the same
//! instructions, so one trace tells what every column of them means.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pattern::VariableId;
use crate::pattern::search::FoundPath;

/// A node or an edge: its table's number in the match, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Element(u64);

impl Element {
    pub(super) fn new(table: u32, number: u32) -> Self {
        Element(u64::from(table) << 32 | u64::from(number))
    }

    pub(super) fn table(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn number(self) -> u32 {
        self.0 as u32
    }
}

#[derive(Debug)]
pub(super) struct Frame {
    pub parent: Option<Arc<Frame>>,
    /// How many frames are above it.
    pub level: u32,
    /// For each row, the row of the parent that it continues.
    pub rows: Vec<u32>,
    /// Where each row has come to.
    pub vertices: Vec<Element>,
    pub step: Step,
    _held: Held,
}

/// How a frame's rows came there from their parents'.
#[derive(Debug)]
pub(super) enum Step {
    /// They stay where they were, or went back to a node that they had passed.
    None,
    /// By these edges.
    Edges(Vec<Element>),
    /// By whole paths.
    Paths(Vec<Arc<FoundPath>>),
}

/// Counts the bytes of all frames of a match.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<AtomicUsize>);

/// Bytes that are given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    meter: Meter,
    bytes: usize,
}

impl Meter {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn hold(&self, bytes: usize) -> Held {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Held {
            meter: self.clone(),
            bytes,
        }
    }
}

impl Held {
    pub(super) fn grow(&mut self, bytes: usize) {
        self.meter.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    pub(super) fn resize(&mut self, bytes: usize) {
        self.meter.0.fetch_add(bytes, Ordering::Relaxed);
        self.meter.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Frame {
    /// Matches that begin at these nodes.
    pub(super) fn start(vertices: Vec<Element>, meter: &Meter) -> Arc<Frame> {
        Arc::new(Frame {
            parent: None,
            level: 0,
            rows: Vec::new(),
            _held: meter.hold(8 * vertices.capacity()),
            vertices,
            step: Step::None,
        })
    }

    pub(super) fn after(
        parent: &Arc<Frame>,
        rows: Vec<u32>,
        vertices: Vec<Element>,
        step: Step,
        meter: &Meter,
    ) -> Arc<Frame> {
        let bytes = match &step {
            Step::None => 0,
            Step::Edges(edges) => 8 * edges.capacity(),
            Step::Paths(paths) => paths.iter().map(|path| path.bytes() + 16).sum(),
        };
        Arc::new(Frame {
            level: parent.level + 1,
            parent: Some(Arc::clone(parent)),
            _held: meter.hold(bytes + 4 * rows.capacity() + 8 * vertices.capacity() + 100),
            rows,
            vertices,
            step,
        })
    }

    /// The rows for which `keep` is true.
    pub(super) fn selected(
        self: &Arc<Frame>,
        keep: impl Fn(usize) -> bool,
        meter: &Meter,
    ) -> Arc<Frame> {
        let rows: Vec<u32> = (0..self.len())
            .filter(|&row| keep(row))
            .map(|row| row as u32)
            .collect();
        if rows.len() == self.len() {
            return Arc::clone(self);
        }
        let vertices = rows
            .iter()
            .map(|&row| self.vertices[row as usize])
            .collect();
        Frame::after(self, rows, vertices, Step::None, meter)
    }

    pub(super) fn len(&self) -> usize {
        self.vertices.len()
    }

    /// The frame at a level at or above this one, and for each of `rows` the row of it that
    /// they continue.
    pub(super) fn ancestor(
        self: &Arc<Frame>,
        level: u32,
        mut rows: Vec<u32>,
    ) -> (&Arc<Frame>, Vec<u32>) {
        let mut frame = self;
        while frame.level > level {
            for row in &mut rows {
                *row = frame.rows[*row as usize];
            }
            let Some(parent) = &frame.parent else { break };
            frame = parent;
        }
        (frame, rows)
    }
}

/// What was bound on the way to a frame, newest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace(Option<Arc<Entry>>);

#[derive(Debug)]
struct Entry {
    event: Event,
    level: u32,
    before: Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A path begins at the node where the match is.
    Start { path: usize },
    /// The variable is the node where the match is.
    Vertex(VariableId),
    /// An edge of a path was taken; `backward`: from its right to its left.
    Edge {
        variable: VariableId,
        path: usize,
        backward: bool,
    },
    /// A whole path was found.
    Found { path: usize },
}

impl Trace {
    pub(super) fn with(&self, event: Event, level: u32) -> Trace {
        Trace(Some(Arc::new(Entry {
            event,
            level,
            before: self.clone(),
        })))
    }

    /// Newest first.
    pub(super) fn events(&self) -> impl Iterator<Item = (Event, u32)> + '_ {
        let mut next = self.0.as_deref();
        std::iter::from_fn(move || {
            let entry = next?;
            next = entry.before.0.as_deref();
            Some((entry.event, entry.level))
        })
    }
}

/// A long path is a long chain, which must not be taken down by recursion.
impl Drop for Frame {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(frame) = next {
            next = Arc::into_inner(frame).and_then(|mut frame| frame.parent.take());
        }
    }
}

/// As for [`Frame`].
impl Drop for Entry {
    fn drop(&mut self) {
        let mut next = self.before.0.take();
        while let Some(entry) = next {
            next = Arc::into_inner(entry).and_then(|mut entry| entry.before.0.take());
        }
    }
}
