//! Large bodies: files named by the digest of their bytes, `bodies/aa/aa…`, and unfinished ones beside them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mimeo_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::data_dir::create_private;
use crate::traffic::TrafficError;
use crate::traffic::disk::{Disk, DiskFile, RealDisk};
use crate::traffic::error::io_error;

/// Ending of a body that is not finished.
const UNFINISHED: &str = "part";

/// The large bodies of one session.
#[derive(Debug, Clone)]
pub struct BodyFiles {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
}

/// A body on its way to disk. Dropped before [`BodyWriter::finish`], it leaves nothing.
pub struct BodyWriter {
    files: BodyFiles,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    hasher: Sha256,
    length: u64,
    finished: bool,
}

impl BodyFiles {
    /// The bodies that lie in a session's folder.
    pub fn of_session(folder: &Path) -> Self {
        Self::on(Arc::new(RealDisk), folder)
    }

    pub(crate) fn on(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self { folder: folder.join("bodies"), disk }
    }

    /// Begins a body.
    pub fn create(&self) -> Result<BodyWriter, TrafficError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        create_private(&self.folder).map_err(io_error("create", &self.folder))?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{}-{number}.{UNFINISHED}", std::process::id()));
        let file = self.disk.create(&path).map_err(io_error("create", &path))?;
        Ok(BodyWriter { files: self.clone(), path, file, hasher: Sha256::new(), length: 0, finished: false })
    }

    /// Reads a body whole and checks that its bytes are those that were written.
    pub fn read(&self, digest: Digest) -> Result<Bytes, TrafficError> {
        self.read_at_most(digest, u64::MAX)
    }

    /// Reads a body whole unless it is longer than `limit` bytes, and checks that its bytes are those that were
    /// written.
    pub fn read_at_most(&self, digest: Digest, limit: u64) -> Result<Bytes, TrafficError> {
        let path = self.path(digest);
        let mut file = File::open(&path).map_err(io_error("read", &path))?;
        let length = file.metadata().map_err(io_error("read", &path))?.len();
        if length > limit {
            return Err(TrafficError::TooLong { path, length, limit });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != digest.0 {
            return Err(TrafficError::DamagedBody { path, digest });
        }
        Ok(bytes.into())
    }

    /// Opens a body for reading bit by bit; its bytes are not checked.
    pub fn reader(&self, digest: Digest) -> Result<impl Read + use<>, TrafficError> {
        let path = self.path(digest);
        File::open(&path).map_err(io_error("read", &path))
    }

    /// Removes the bodies that a writer which is gone did not finish; gives their number. Only the holder of
    /// the session's lock may do so.
    pub(crate) fn remove_unfinished(&self) -> Result<u64, TrafficError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(io_error("list", &self.folder)(error)),
        };
        let mut removed = 0;
        for entry in entries {
            let path = entry.map_err(io_error("list", &self.folder))?.path();
            if path.extension().is_some_and(|ending| ending == UNFINISHED) {
                self.disk.remove(&path).map_err(io_error("remove", &path))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Makes bodies and their names survive a loss of power; the folder of bodies itself is the caller's. Goes
    /// through all of them and tells the first fault.
    pub(crate) fn sync(&self, digests: &BTreeSet<Digest>) -> Result<(), TrafficError> {
        let mut outcome = Ok(());
        let mut folders = BTreeSet::from([self.folder.clone()]);
        for digest in digests {
            let path = self.path(*digest);
            let synced = self.disk.open(&path).and_then(|mut file| file.sync());
            outcome = outcome.and(synced.map_err(io_error("synchronise", &path)));
            folders.extend(path.parent().map(Path::to_owned));
        }
        for folder in folders {
            outcome = outcome.and(self.disk.sync_folder(&folder).map_err(io_error("synchronise", &folder)));
        }
        outcome
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

impl BodyWriter {
    /// Adds bytes. After an error the body is of no use and should be dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), TrafficError> {
        self.file.write(self.length, bytes).map_err(io_error("write", &self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Number of bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Gives the body its name. Gives its digest and length.
    ///
    /// It survives a loss of power after the next [`LogWriter::sync`](crate::traffic::LogWriter::sync) that
    /// follows the record which names it.
    pub fn finish(mut self) -> Result<(Digest, u64), TrafficError> {
        let digest = Digest(self.hasher.clone().finalize().into());
        let path = self.files.path(digest);
        if let Some(folder) = path.parent() {
            create_private(folder).map_err(io_error("create", folder))?;
        }
        self.files.disk.rename(&self.path, &path).map_err(io_error("rename to", &path))?;
        self.finished = true;
        Ok((digest, self.length))
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing refers to the file, and the next writer of the session removes what is left behind.
            let _ = self.files.disk.remove(&self.path);
        }
    }
}
