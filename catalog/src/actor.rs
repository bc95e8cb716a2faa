//! Who acts.

use std::fmt;
use std::sync::Arc;

/// The name of somebody who was let in. Cheap to clone; it goes into every commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Actor(Arc<str>);

impl Actor {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Actor(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
