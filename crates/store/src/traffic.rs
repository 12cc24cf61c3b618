//! The traffic log of one session: append-only segments of checksummed, compressed blocks, and large bodies
//! beside them.
//!
//! A segment is a header and blocks; a block is a header and the zstd-compressed records of many exchanges. A
//! block is written with one call, so a crash leaves whole blocks and at most one torn tail, which readers
//! leave out. A block with a bad checksum is left out and told; the blocks after it are found by their magic.

mod block;
mod body_file;
mod frame;
mod reader;
mod writer;

use std::io;
use std::path::PathBuf;

use mimeo_model::{Exchange, ExchangeId, Frame, Gap};

pub use body_file::{BodyFiles, BodyWriter};
pub use reader::{Found, LogReader};
pub use writer::{LogWriter, Settings};

/// Version of the segment format that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// What a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A complete exchange.
    Exchange(Box<Exchange>),
    /// The beginning of an exchange whose parts follow.
    Open(Box<Exchange>),
    /// A part of an opened exchange.
    Part {
        /// The exchange it belongs to.
        id: ExchangeId,
        /// The part.
        part: Part,
    },
    /// The end of an opened exchange, without the bytes and frames that came as parts.
    End(Box<Exchange>),
    /// Something that was lost.
    Gap(Gap),
}

/// A part of an opened exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the request body.
    RequestBody(bytes::Bytes),
    /// Bytes of the response body.
    ResponseBody(bytes::Bytes),
    /// A WebSocket frame.
    Frame(Frame),
}

/// A record as bytes, for a file that one process writes and reads again.
pub fn encode(record: &Record) -> Vec<u8> {
    use prost::Message;
    frame::of_record(record, 0).encode_to_vec()
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    use prost::Message;
    frame::to_record(frame::RecordFrame::decode(bytes).ok()?)
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Number of the segment, from 1.
    pub segment: u32,
    /// Offset of its block in the segment.
    pub block: u64,
    /// Its place among the records of the block.
    pub index: u32,
}

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The disk is full; what was to be written is still in memory.
    #[error("the disk that holds `{path}` is full")]
    Full {
        /// The segment.
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
    /// The file is not a segment.
    #[error("`{path}` is not a segment of a traffic log")]
    NotASegment {
        /// The file.
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
}

pub(crate) fn io_error(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> TrafficError + use<> {
    let path = path.to_owned();
    move |source| {
        if source.kind() == io::ErrorKind::StorageFull || source.kind() == io::ErrorKind::QuotaExceeded {
            TrafficError::Full { path }
        } else {
            TrafficError::Io { action, path, source }
        }
    }
}
