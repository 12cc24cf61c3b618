//! What can go wrong with a traffic log.

use std::io;
use std::path::{Path, PathBuf};

use mimeo_model::{Digest, SessionId};

use crate::traffic::FORMAT_VERSION;

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The disk is full; what was to be written is still in memory.
    #[error("the disk that holds `{path}` is full")]
    Full {
        /// The segment or body.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes this log.
    #[error("`{path}` is being written by process {pid}")]
    Locked {
        /// The session's folder.
        path: PathBuf,
        /// The other process.
        pid: String,
    },
    /// The folder holds a log already, which [`LogWriter::open`](crate::traffic::LogWriter::open) continues.
    #[error("`{path}` holds a traffic log already")]
    Exists {
        /// The session's folder.
        path: PathBuf,
    },
    /// The segment was written by a newer Mimeo; it is left untouched.
    #[error("`{path}` has format version {version}; this Mimeo reads up to version {FORMAT_VERSION}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The segment belongs to another session.
    #[error("`{path}` belongs to session {found}, not to {expected}")]
    OtherSession {
        /// The segment.
        path: PathBuf,
        /// The session that it names.
        found: SessionId,
        /// The session that was asked for.
        expected: SessionId,
    },
    /// A large body is longer than the caller takes.
    #[error("`{path}` is {length} bytes long; at most {limit} are taken")]
    TooLong {
        /// The body.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// What the caller takes, in bytes.
        limit: u64,
    },
    /// The bytes of a large body are not those that were written.
    #[error("`{path}` is damaged: its bytes do not have the digest {digest}")]
    DamagedBody {
        /// The body.
        path: PathBuf,
        /// The digest that names it.
        digest: Digest,
    },
}

/// Tells a full disk from other faults, which callers answer differently.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TrafficError + use<> {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => TrafficError::Full { path },
        _ => TrafficError::Io { action, path, source },
    }
}
