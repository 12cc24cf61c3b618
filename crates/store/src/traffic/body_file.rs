//! Large bodies: files named by the digest of their bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mimeo_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::data_dir::create_private;
use crate::traffic::{TrafficError, io_error};

/// The large bodies of one session.
#[derive(Debug, Clone)]
pub struct BodyFiles {
    folder: PathBuf,
}

/// A body on its way to disk. Dropped before [`BodyWriter::finish`], it leaves nothing.
pub struct BodyWriter {
    files: BodyFiles,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
    finished: bool,
}

impl BodyFiles {
    /// The bodies that lie in a session's folder.
    pub fn of_session(folder: &Path) -> Self {
        Self { folder: folder.join("bodies") }
    }

    /// Begins a body.
    pub fn create(&self) -> Result<BodyWriter, TrafficError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        create_private(&self.folder).map_err(io_error("create", &self.folder))?;
        let name = format!("{}-{}.part", std::process::id(), NUMBERS.fetch_add(1, Ordering::Relaxed));
        let path = self.folder.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("create", &path))?;
        Ok(BodyWriter { files: self.clone(), path, file, hasher: Sha256::new(), length: 0, finished: false })
    }

    /// Reads a body whole.
    pub fn read(&self, digest: Digest) -> Result<Bytes, TrafficError> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(io_error("read", &path))?;
        Ok(bytes.into())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

impl BodyWriter {
    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), TrafficError> {
        self.file.write_all(bytes).map_err(io_error("write", &self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives the body its name. Gives its digest and length.
    pub fn finish(mut self) -> Result<(Digest, u64), TrafficError> {
        let digest = Digest(self.hasher.clone().finalize().into());
        let path = self.files.path(digest);
        if let Some(folder) = path.parent() {
            create_private(folder).map_err(io_error("create", folder))?;
        }
        fs::rename(&self.path, &path).map_err(io_error("rename to", &path))?;
        self.finished = true;
        Ok((digest, self.length))
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing refers to the file; left behind it would only take room.
            let _ = fs::remove_file(&self.path);
        }
    }
}
