//! The stored shape of a record, version 1: protobuf messages. Fields are never renumbered, and readers pass
//! over those that they do not know.
//!
//! Text is stored as bytes, which on the wire is the same and is taken over without a copy.

mod decode;
mod encode;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use prost::{Message, Oneof};

pub(crate) use decode::{Malformed, decode};
pub(crate) use encode::Encoder;

use crate::traffic::Record;

/// Bytes of the length before a record.
pub(crate) const LENGTH: usize = 4;

/// A record as it was found.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Sequence number of its exchange; zero for gaps.
    pub(crate) sequence: u64,
    /// For the end of an opened exchange: where that began.
    pub(crate) opened: Option<Opened>,
    /// For a part: offset of a body's first byte, or the number of a frame.
    pub(crate) offset: u64,
    /// The record.
    pub(crate) record: Record,
}

/// What the end of an opened exchange tells of its beginning and its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Where it began.
    pub(crate) at: OpenedAt,
    /// What was handed over before the end.
    pub(crate) handed: Handed,
}

/// Where an opened exchange began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenedAt {
    /// In the block that holds its end.
    SameBlock,
    /// In an earlier block.
    Earlier {
        /// Number of the segment.
        segment: u32,
        /// Offset of the block.
        block: u64,
    },
    /// In an earlier block that was not written yet when the end was put into words.
    Unknown,
}

/// How much of an exchange was handed over in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Handed {
    /// Bytes of the request body.
    pub(crate) request: u64,
    /// Bytes of the response body.
    pub(crate) response: u64,
    /// WebSocket frames.
    pub(crate) frames: u64,
}

/// One record with the sequence number of its exchange; zero for gaps.
#[derive(Clone, PartialEq, Message)]
struct RecordFrame {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6")]
    kind: Option<Kind>,
    #[prost(message, optional, tag = "7")]
    opened: Option<OpenedFrame>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(message, tag = "2")]
    Exchange(ExchangeFrame),
    #[prost(message, tag = "3")]
    Open(ExchangeFrame),
    #[prost(message, tag = "4")]
    Part(PartFrame),
    #[prost(message, tag = "5")]
    End(ExchangeFrame),
    #[prost(message, tag = "6")]
    Gap(GapFrame),
}

/// Segment 0 is none: the exchange was opened in this block, or it is not known where.
#[derive(Clone, Copy, PartialEq, Message)]
struct OpenedFrame {
    #[prost(uint32, tag = "1")]
    segment: u32,
    #[prost(uint64, tag = "2")]
    block: u64,
    #[prost(bool, tag = "3")]
    same_block: bool,
    #[prost(uint64, tag = "4")]
    request: u64,
    #[prost(uint64, tag = "5")]
    response: u64,
    #[prost(uint64, tag = "6")]
    frames: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ExchangeFrame {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    /// Microseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    started_at: i64,
    #[prost(uint64, tag = "3")]
    connection: u64,
    #[prost(bytes = "bytes", tag = "4")]
    method: Bytes,
    #[prost(bool, tag = "5")]
    https: bool,
    #[prost(bytes = "bytes", tag = "6")]
    authority: Bytes,
    #[prost(bytes = "bytes", tag = "7")]
    target: Bytes,
    #[prost(uint32, tag = "8")]
    version: u32,
    #[prost(bytes = "bytes", tag = "9")]
    headers: Bytes,
    #[prost(message, optional, tag = "10")]
    body: Option<BodyFrame>,
    #[prost(bytes = "bytes", tag = "11")]
    trailers: Bytes,
    #[prost(message, optional, tag = "12")]
    response: Option<ResponseFrame>,
    #[prost(message, optional, tag = "13")]
    failure: Option<FailureFrame>,
    #[prost(message, optional, tag = "14")]
    timings: Option<TimingsFrame>,
    #[prost(message, repeated, tag = "15")]
    frames: Vec<WebSocketFrame>,
    #[prost(uint32, tag = "16")]
    answered_by: u32,
    #[prost(message, repeated, tag = "17")]
    graphql: Vec<GraphqlFrame>,
}

/// Header fields, here and elsewhere, are one after the other: length of the name and length of the value as
/// base-128 varints, name, value.
#[derive(Clone, PartialEq, Message)]
struct ResponseFrame {
    #[prost(uint32, tag = "1")]
    status: u32,
    #[prost(bytes = "bytes", optional, tag = "2")]
    reason: Option<Bytes>,
    #[prost(uint32, tag = "3")]
    version: u32,
    #[prost(bytes = "bytes", tag = "4")]
    headers: Bytes,
    #[prost(message, optional, tag = "5")]
    body: Option<BodyFrame>,
    #[prost(bytes = "bytes", tag = "6")]
    trailers: Bytes,
    #[prost(message, repeated, tag = "7")]
    interim: Vec<InterimFrame>,
}

#[derive(Clone, PartialEq, Message)]
struct InterimFrame {
    #[prost(uint32, tag = "1")]
    status: u32,
    #[prost(bytes = "bytes", tag = "2")]
    headers: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct BodyFrame {
    #[prost(bytes = "bytes", tag = "1")]
    inline: Bytes,
    /// SHA-256 of a body that lies in a file.
    #[prost(bytes = "bytes", tag = "2")]
    digest: Bytes,
    /// Captured bytes of a body that lies in a file.
    #[prost(uint64, tag = "3")]
    stored: u64,
    /// True length.
    #[prost(uint64, tag = "4")]
    length: u64,
    /// Nanoseconds and end offsets in turn, each as the distance from the one before.
    #[prost(uint64, repeated, tag = "5")]
    chunks: Vec<u64>,
}

/// Codes as [`mimeo_model`] has them.
#[derive(Clone, PartialEq, Message)]
struct FailureFrame {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    phase: String,
    #[prost(string, tag = "3")]
    detail: String,
}

/// Nanoseconds.
#[derive(Clone, Copy, PartialEq, Message)]
struct TimingsFrame {
    #[prost(uint64, optional, tag = "1")]
    blocked: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    dns: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    connect: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    tls: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    send: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    wait: Option<u64>,
    #[prost(uint64, optional, tag = "7")]
    receive: Option<u64>,
    #[prost(uint64, tag = "8")]
    total: u64,
    #[prost(bool, tag = "9")]
    reused: bool,
}

#[derive(Clone, PartialEq, Message)]
struct WebSocketFrame {
    #[prost(uint64, tag = "1")]
    at_nanos: u64,
    #[prost(bool, tag = "2")]
    sent: bool,
    #[prost(uint32, tag = "3")]
    opcode: u32,
    #[prost(bool, tag = "4")]
    fin: bool,
    #[prost(bool, tag = "5")]
    compressed: bool,
    #[prost(bytes = "bytes", tag = "6")]
    payload: Bytes,
    #[prost(uint64, tag = "7")]
    length: u64,
}

#[derive(Clone, PartialEq, Message)]
struct GraphqlFrame {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(uint32, tag = "2")]
    kind: u32,
}

#[derive(Clone, PartialEq, Message)]
struct PartFrame {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(oneof = "PartKind", tags = "2, 3, 4")]
    part: Option<PartKind>,
    /// Offset of a piece of a body, or the number of a frame, from 0.
    #[prost(uint64, tag = "5")]
    offset: u64,
    /// Nanoseconds from the start of the exchange to the arrival of a piece of a body.
    #[prost(uint64, optional, tag = "6")]
    at_nanos: Option<u64>,
}

#[derive(Clone, PartialEq, Oneof)]
enum PartKind {
    #[prost(bytes = "bytes", tag = "2")]
    RequestBody(Bytes),
    #[prost(bytes = "bytes", tag = "3")]
    ResponseBody(Bytes),
    #[prost(message, tag = "4")]
    Frame(WebSocketFrame),
}

/// Microseconds since the Unix epoch.
#[derive(Clone, PartialEq, Message)]
struct GapFrame {
    #[prost(sint64, tag = "1")]
    from: i64,
    #[prost(sint64, tag = "2")]
    to: i64,
    #[prost(uint64, tag = "3")]
    exchanges: u64,
    #[prost(uint64, tag = "4")]
    bodies: u64,
    #[prost(string, tag = "5")]
    reason: String,
}
