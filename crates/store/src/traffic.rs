//! The traffic log of one session: append-only segments of checksummed, compressed blocks, and large bodies
//! beside them.
//!
//! A segment is a header and blocks; a block is a header and the zstd-compressed records of many exchanges. A
//! block is written with one call, so a crash leaves whole blocks and at most one torn tail, which readers
//! leave out and the next writer cuts. A damaged block is left out and told; the blocks after it are found.

mod block;
mod body_file;
mod disk;
mod error;
mod frame;
mod lock;
mod opened;
mod pending;
mod reader;
mod repair;
mod scan;
mod segment;
mod writer;

#[cfg(test)]
mod faults;

use std::time::Duration;

use bytes::Bytes;
use mimeo_model::{Exchange, ExchangeId, Frame, Gap};

pub use body_file::{BodyFiles, BodyWriter};
pub use error::TrafficError;
pub use reader::{Found, LogReader};
pub use repair::Repaired;
pub use scan::{Damage, TornTail};
pub use writer::{Discarded, LogWriter, Settings};

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
    /// Bytes of a body of an opened exchange and when they came. Told this way, instants survive a crash; told as
    /// a [`Part`], they are known from the end of the exchange on.
    Piece {
        /// The exchange it belongs to.
        id: ExchangeId,
        /// Which body it belongs to.
        side: Side,
        /// Time from the start of the exchange to their arrival.
        at: Duration,
        /// The bytes.
        bytes: Bytes,
    },
    /// The end of an opened exchange, without the bytes and frames that came as parts.
    End(Box<Exchange>),
    /// Something that was lost.
    Gap(Gap),
}

/// One of the two messages of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The request.
    Request,
    /// The response.
    Response,
}

/// A part of an opened exchange. Where it lies in its body follows from the parts before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the request body.
    RequestBody(Bytes),
    /// Bytes of the response body.
    ResponseBody(Bytes),
    /// A WebSocket frame.
    Frame(Frame),
}

/// A record as bytes, for a file that one process writes and reads again.
pub fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::Encoder::default().encode(record, 0, 0, None, &mut bytes);
    // A file of one's own has its own lengths.
    bytes.drain(..frame::LENGTH);
    bytes
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    Some(frame::decode(Bytes::copy_from_slice(bytes)).ok()??.record)
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Number of the segment, from 1.
    pub segment: u32,
    /// Offset of its block in the segment, or of the first of several blocks that were written together.
    pub block: u64,
    /// Its place among the records from the beginning of that block on.
    pub index: u32,
}
