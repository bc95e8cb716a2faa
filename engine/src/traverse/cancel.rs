//! Ends long loops that nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Asked by a loop that runs on another thread than whoever waits for it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// Sets its flag when it is dropped: a future that is given up takes its work with it.
#[derive(Debug)]
pub struct CancelOnDrop(Cancel);

/// How many steps of a loop pass between two looks at the flag.
const STRIDE: usize = 1 << 16;

impl Cancel {
    pub fn never() -> Self {
        Cancel::default()
    }

    pub fn on_drop() -> (Self, CancelOnDrop) {
        let cancel = Cancel::default();
        (cancel.clone(), CancelOnDrop(cancel))
    }

    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// For the top of a loop over `step`.
    #[inline]
    pub fn check_at(&self, step: usize) -> Result<()> {
        if step.is_multiple_of(STRIDE) {
            self.check()
        } else {
            Ok(())
        }
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_guard_cancels() {
        let (cancel, guard) = Cancel::on_drop();
        assert!(cancel.check().is_ok());
        drop(guard);
        assert!(matches!(cancel.check_at(0), Err(Error::Cancelled)));
        assert!(cancel.check_at(1).is_ok());
    }
}
