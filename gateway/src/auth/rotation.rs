//! Credentials that are replaced while the server runs: their file is looked at now and then.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tracing::{info, warn};

use crate::auth::credentials::Credentials;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// The credentials as they are now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Current(Arc<RwLock<Arc<Credentials>>>);

impl Current {
    pub fn new(credentials: Credentials) -> Self {
        Current(Arc::new(RwLock::new(Arc::new(credentials))))
    }

    pub fn now(&self) -> Arc<Credentials> {
        Arc::clone(&self.0.read())
    }
}

/// A file that the credentials follow.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    current: Current,
    /// When it was changed last, and its length.
    seen: Option<(SystemTime, u64)>,
}

impl Watched {
    pub fn new(path: &Path, current: Current) -> Self {
        Watched {
            seen: stamp(path),
            path: path.to_owned(),
            current,
        }
    }

    /// New credentials hold for new connections; broken ones are reported and the old ones stay.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let stamp = stamp(&self.path);
        if std::mem::replace(&mut self.seen, stamp) == stamp {
            return;
        }
        match Credentials::read(&self.path) {
            Ok(credentials) => {
                info!(actors = credentials.actors(), "credentials reloaded");
                *self.current.0.write() = Arc::new(credentials);
            }
            Err(error) => {
                warn!(%error, "the changed credentials cannot be used, the old ones stay");
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_holds_and_what_it_says_wrongly_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("credentials.json");
        let write = |text: &str| std::fs::write(&path, text).expect("a file");
        write(r#"{"ada": "old"}"#);
        let current = Current::new(Credentials::read(&path).expect("credentials"));
        let mut watched = Watched::new(&path, current.clone());
        let first = current.now();
        watched.look();
        assert!(Arc::ptr_eq(&first, &current.now()), "nothing has changed");
        write(r#"{"ada": ["old", "new"], "bob": "token"}"#);
        watched.look();
        assert_eq!(current.now().names(), ["ada", "bob"]);
        write(r#"{"ada": "#);
        watched.look();
        assert_eq!(current.now().names(), ["ada", "bob"]);
        std::fs::remove_file(&path).expect("it is there");
        watched.look();
        assert_eq!(current.now().names(), ["ada", "bob"]);
        write(r#"{"ada": "new"}"#);
        watched.look();
        assert_eq!(current.now().names(), ["ada"]);
    }
}
