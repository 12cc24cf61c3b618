//! Where things lie in a data directory.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mimeo_model::SessionId;

/// A data directory, readable by its owner alone.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// The folder cannot hold a data directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{path}` as the data directory: {source}")]
pub struct DataDirError {
    path: PathBuf,
    source: io::Error,
}

impl DataDir {
    /// Opens the directory, which is made with mode 0700 when it is not there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let root = root.into();
        let fault = |source| DataDirError { path: root.clone(), source };
        create_private(&root).map_err(fault)?;
        create_private(&root.join("sessions")).map_err(fault)?;
        Ok(Self { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database of the catalog.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog.db")
    }

    /// The folder of the certificate authority.
    pub fn authority(&self) -> PathBuf {
        self.root.join("ca")
    }

    /// The key of redaction fingerprints.
    pub fn redaction_key(&self) -> PathBuf {
        self.root.join("redaction.key")
    }

    /// The folder of one session's traffic.
    pub fn session(&self, id: SessionId) -> PathBuf {
        self.root.join("sessions").join(id.to_string())
    }
}

/// Makes a folder that only its owner may enter; an existing one is left as it is.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        // A folder that others may write to could be swapped under us.
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "others may write to it; run `chmod go-w` on it",
            ));
        }
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
