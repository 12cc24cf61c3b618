//! The stored shape of a record, version 1. Fields are never renumbered; readers pass over unknown ones.

use std::time::Duration;

use bytes::Bytes;
use mimeo_model::headers::HeadersBuilder;
use mimeo_model::{
    AnsweredBy, Body, Chunk, Content, Digest, Direction, Exchange, ExchangeId, Failure, FailureKind, Frame,
    Gap, GapReason, GraphqlKind, GraphqlOperation, Headers, Interim, Method, Opcode, Phase, Request,
    Response, Scheme, Timestamp, Timings, Version,
};
use prost::{Message, Oneof};

use crate::traffic::{Part, Record};

/// One record with the sequence number of its exchange; zero for gaps.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RecordFrame {
    #[prost(uint64, tag = "1")]
    pub(crate) sequence: u64,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6")]
    pub(crate) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Kind {
    #[prost(message, tag = "2")]
    Exchange(Box<ExchangeFrame>),
    #[prost(message, tag = "3")]
    Open(Box<ExchangeFrame>),
    #[prost(message, tag = "4")]
    Part(PartFrame),
    #[prost(message, tag = "5")]
    End(Box<ExchangeFrame>),
    #[prost(message, tag = "6")]
    Gap(GapFrame),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExchangeFrame {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(sint64, tag = "2")]
    started_at: i64,
    #[prost(uint64, tag = "3")]
    connection: u64,
    #[prost(string, tag = "4")]
    method: String,
    #[prost(bool, tag = "5")]
    https: bool,
    #[prost(string, tag = "6")]
    authority: String,
    #[prost(bytes = "bytes", tag = "7")]
    target: Bytes,
    #[prost(uint32, tag = "8")]
    version: u32,
    #[prost(message, tag = "9")]
    headers: Option<HeadersFrame>,
    #[prost(message, tag = "10")]
    body: Option<BodyFrame>,
    #[prost(message, tag = "11")]
    trailers: Option<HeadersFrame>,
    #[prost(message, tag = "12")]
    response: Option<ResponseFrame>,
    #[prost(message, tag = "13")]
    failure: Option<FailureFrame>,
    #[prost(message, tag = "14")]
    timings: Option<TimingsFrame>,
    #[prost(message, repeated, tag = "15")]
    frames: Vec<WebSocketFrame>,
    #[prost(uint32, tag = "16")]
    answered_by: u32,
    #[prost(message, repeated, tag = "17")]
    graphql: Vec<GraphqlFrame>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseFrame {
    #[prost(uint32, tag = "1")]
    status: u32,
    #[prost(bytes = "bytes", optional, tag = "2")]
    reason: Option<Bytes>,
    #[prost(uint32, tag = "3")]
    version: u32,
    #[prost(message, tag = "4")]
    headers: Option<HeadersFrame>,
    #[prost(message, tag = "5")]
    body: Option<BodyFrame>,
    #[prost(message, tag = "6")]
    trailers: Option<HeadersFrame>,
    #[prost(message, repeated, tag = "7")]
    interim: Vec<InterimFrame>,
}

#[derive(Clone, PartialEq, Message)]
struct InterimFrame {
    #[prost(uint32, tag = "1")]
    status: u32,
    #[prost(message, tag = "2")]
    headers: Option<HeadersFrame>,
}

/// Names and values one after the other, and their lengths in turn.
#[derive(Clone, PartialEq, Message)]
struct HeadersFrame {
    #[prost(bytes = "bytes", tag = "1")]
    text: Bytes,
    #[prost(uint32, repeated, tag = "2")]
    lengths: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct BodyFrame {
    #[prost(bytes = "bytes", tag = "1")]
    inline: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    digest: Bytes,
    #[prost(uint64, tag = "3")]
    stored: u64,
    #[prost(uint64, tag = "4")]
    length: u64,
    /// Microseconds and end offsets in turn.
    #[prost(uint64, repeated, tag = "5")]
    chunks: Vec<u64>,
}

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
pub(crate) struct WebSocketFrame {
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
pub(crate) struct PartFrame {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(oneof = "PartKind", tags = "2, 3, 4")]
    part: Option<PartKind>,
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

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GapFrame {
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

/// Turns a record into its stored shape.
pub(crate) fn of_record(record: &Record, sequence: u64) -> RecordFrame {
    let kind = match record {
        Record::Exchange(exchange) => Kind::Exchange(Box::new(of_exchange(exchange))),
        Record::Open(exchange) => Kind::Open(Box::new(of_exchange(exchange))),
        Record::End(exchange) => Kind::End(Box::new(of_exchange(exchange))),
        Record::Part { id, part } => Kind::Part(PartFrame {
            id: of_id(*id),
            part: Some(match part {
                Part::RequestBody(bytes) => PartKind::RequestBody(bytes.clone()),
                Part::ResponseBody(bytes) => PartKind::ResponseBody(bytes.clone()),
                Part::Frame(frame) => PartKind::Frame(of_frame(frame)),
            }),
        }),
        Record::Gap(gap) => Kind::Gap(GapFrame {
            from: gap.from.unix_micros(),
            to: gap.to.unix_micros(),
            exchanges: gap.exchanges,
            bodies: gap.bodies,
            reason: gap.reason.code().to_owned(),
        }),
    };
    RecordFrame { sequence, kind: Some(kind) }
}

/// Reads a record; `None` when it is of a kind or shape that this version does not know.
pub(crate) fn to_record(frame: RecordFrame) -> Option<Record> {
    Some(match frame.kind? {
        Kind::Exchange(exchange) => Record::Exchange(Box::new(to_exchange(*exchange)?)),
        Kind::Open(exchange) => Record::Open(Box::new(to_exchange(*exchange)?)),
        Kind::End(exchange) => Record::End(Box::new(to_exchange(*exchange)?)),
        Kind::Part(part) => Record::Part {
            id: to_id(&part.id)?,
            part: match part.part? {
                PartKind::RequestBody(bytes) => Part::RequestBody(bytes),
                PartKind::ResponseBody(bytes) => Part::ResponseBody(bytes),
                PartKind::Frame(frame) => Part::Frame(to_frame(frame)),
            },
        },
        Kind::Gap(gap) => Record::Gap(Gap {
            from: Timestamp::from_unix_micros(gap.from),
            to: Timestamp::from_unix_micros(gap.to),
            exchanges: gap.exchanges,
            bodies: gap.bodies,
            reason: GapReason::from_code(&gap.reason)?,
        }),
    })
}

fn of_exchange(exchange: &Exchange) -> ExchangeFrame {
    let request = &exchange.request;
    ExchangeFrame {
        id: of_id(exchange.id),
        started_at: exchange.started_at.unix_micros(),
        connection: exchange.connection,
        method: request.method.as_str().to_owned(),
        https: request.scheme == Scheme::Https,
        authority: request.authority.clone(),
        target: request.target.clone(),
        version: of_version(request.version),
        headers: of_headers(&request.headers),
        body: of_body(&request.body),
        trailers: of_headers(&request.trailers),
        response: exchange.response.as_ref().map(|response| ResponseFrame {
            status: u32::from(response.status),
            reason: response.reason.clone(),
            version: of_version(response.version),
            headers: of_headers(&response.headers),
            body: of_body(&response.body),
            trailers: of_headers(&response.trailers),
            interim: response
                .interim
                .iter()
                .map(|interim| InterimFrame {
                    status: u32::from(interim.status),
                    headers: of_headers(&interim.headers),
                })
                .collect(),
        }),
        failure: exchange.failure.as_ref().map(|failure| FailureFrame {
            kind: failure.kind.code().to_owned(),
            phase: failure.phase.code().to_owned(),
            detail: failure.detail.clone(),
        }),
        timings: Some(of_timings(&exchange.timings)),
        frames: exchange.frames.iter().map(of_frame).collect(),
        answered_by: match exchange.answered_by {
            AnsweredBy::Upstream => 0,
            AnsweredBy::Mock => 1,
            AnsweredBy::Proxy => 2,
        },
        graphql: exchange
            .graphql
            .iter()
            .map(|operation| GraphqlFrame {
                name: operation.name.clone(),
                kind: match operation.kind {
                    GraphqlKind::Query => 0,
                    GraphqlKind::Mutation => 1,
                    GraphqlKind::Subscription => 2,
                    GraphqlKind::Persisted => 3,
                },
            })
            .collect(),
    }
}

fn to_exchange(frame: ExchangeFrame) -> Option<Exchange> {
    let response = match frame.response {
        None => None,
        Some(response) => Some(Response {
            status: u16::try_from(response.status).ok()?,
            reason: response.reason,
            version: to_version(response.version),
            headers: to_headers(response.headers)?,
            body: to_body(response.body)?,
            trailers: to_headers(response.trailers)?,
            interim: response
                .interim
                .into_iter()
                .map(|interim| {
                    Some(Interim {
                        status: u16::try_from(interim.status).ok()?,
                        headers: to_headers(interim.headers)?,
                    })
                })
                .collect::<Option<_>>()?,
        }),
    };
    Some(Exchange {
        id: to_id(&frame.id)?,
        started_at: Timestamp::from_unix_micros(frame.started_at),
        connection: frame.connection,
        request: Request {
            method: Method::new(frame.method.as_bytes())?,
            scheme: if frame.https { Scheme::Https } else { Scheme::Http },
            authority: frame.authority,
            target: frame.target,
            version: to_version(frame.version),
            headers: to_headers(frame.headers)?,
            body: to_body(frame.body)?,
            trailers: to_headers(frame.trailers)?,
        },
        response,
        failure: match frame.failure {
            None => None,
            Some(failure) => Some(Failure {
                kind: FailureKind::from_code(&failure.kind)?,
                phase: Phase::from_code(&failure.phase)?,
                detail: failure.detail,
            }),
        },
        timings: to_timings(&frame.timings.unwrap_or_default()),
        frames: frame.frames.into_iter().map(to_frame).collect(),
        answered_by: match frame.answered_by {
            0 => AnsweredBy::Upstream,
            1 => AnsweredBy::Mock,
            _ => AnsweredBy::Proxy,
        },
        graphql: frame
            .graphql
            .into_iter()
            .map(|operation| GraphqlOperation {
                name: operation.name,
                kind: match operation.kind {
                    0 => GraphqlKind::Query,
                    1 => GraphqlKind::Mutation,
                    2 => GraphqlKind::Subscription,
                    _ => GraphqlKind::Persisted,
                },
            })
            .collect(),
    })
}

fn of_id(id: ExchangeId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn to_id(bytes: &[u8]) -> Option<ExchangeId> {
    Some(ExchangeId::from_bytes(bytes.try_into().ok()?))
}

fn of_version(version: Version) -> u32 {
    match version {
        Version::Http10 => 10,
        Version::Http11 => 11,
        Version::Http2 => 20,
    }
}

fn to_version(version: u32) -> Version {
    match version {
        10 => Version::Http10,
        20 => Version::Http2,
        _ => Version::Http11,
    }
}

fn of_headers(headers: &Headers) -> Option<HeadersFrame> {
    if headers.is_empty() {
        return None;
    }
    let mut text = Vec::with_capacity(headers.len() * 32);
    let mut lengths = Vec::with_capacity(headers.len() * 2);
    for (name, value) in headers.iter() {
        text.extend_from_slice(name);
        text.extend_from_slice(value);
        lengths.extend([name.len() as u32, value.len() as u32]);
    }
    Some(HeadersFrame { text: text.into(), lengths })
}

fn to_headers(frame: Option<HeadersFrame>) -> Option<Headers> {
    let Some(frame) = frame else { return Some(Headers::new()) };
    let mut headers = HeadersBuilder::with_capacity(frame.lengths.len() / 2, frame.text.len());
    let mut rest = &frame.text[..];
    for pair in frame.lengths.chunks_exact(2) {
        let (name, after) = rest.split_at_checked(pair[0] as usize)?;
        let (value, after) = after.split_at_checked(pair[1] as usize)?;
        headers.push(name, value);
        rest = after;
    }
    Some(headers.finish())
}

fn of_body(body: &Body) -> Option<BodyFrame> {
    if body.is_empty() && body.captured_length() == 0 {
        return None;
    }
    let (inline, digest, stored) = match &body.content {
        Content::Inline(bytes) => (bytes.clone(), Bytes::new(), 0),
        Content::Stored { digest, length } => (Bytes::new(), Bytes::copy_from_slice(&digest.0), *length),
    };
    let chunks = body.chunks.iter().flat_map(|chunk| [chunk.at.as_micros() as u64, chunk.end]).collect();
    Some(BodyFrame { inline, digest, stored, length: body.length, chunks })
}

fn to_body(frame: Option<BodyFrame>) -> Option<Body> {
    let Some(frame) = frame else { return Some(Body::empty()) };
    let content = if frame.digest.is_empty() {
        Content::Inline(frame.inline)
    } else {
        Content::Stored { digest: Digest(frame.digest[..].try_into().ok()?), length: frame.stored }
    };
    let chunks = frame
        .chunks
        .chunks_exact(2)
        .map(|pair| Chunk { at: Duration::from_micros(pair[0]), end: pair[1] })
        .collect();
    Some(Body { content, length: frame.length, chunks })
}

fn of_timings(timings: &Timings) -> TimingsFrame {
    let nanos = |duration: Option<Duration>| duration.map(|duration| duration.as_nanos() as u64);
    TimingsFrame {
        blocked: nanos(timings.blocked),
        dns: nanos(timings.dns),
        connect: nanos(timings.connect),
        tls: nanos(timings.tls),
        send: nanos(timings.send),
        wait: nanos(timings.wait),
        receive: nanos(timings.receive),
        total: timings.total.as_nanos() as u64,
        reused: timings.reused,
    }
}

fn to_timings(frame: &TimingsFrame) -> Timings {
    let duration = |nanos: Option<u64>| nanos.map(Duration::from_nanos);
    Timings {
        blocked: duration(frame.blocked),
        dns: duration(frame.dns),
        connect: duration(frame.connect),
        tls: duration(frame.tls),
        send: duration(frame.send),
        wait: duration(frame.wait),
        receive: duration(frame.receive),
        total: Duration::from_nanos(frame.total),
        reused: frame.reused,
    }
}

fn of_frame(frame: &Frame) -> WebSocketFrame {
    WebSocketFrame {
        at_nanos: frame.at.as_nanos() as u64,
        sent: frame.direction == Direction::Send,
        opcode: u32::from(frame.opcode.bits()),
        fin: frame.fin,
        compressed: frame.compressed,
        payload: frame.payload.clone(),
        length: frame.length,
    }
}

fn to_frame(frame: WebSocketFrame) -> Frame {
    Frame {
        at: Duration::from_nanos(frame.at_nanos),
        direction: if frame.sent { Direction::Send } else { Direction::Receive },
        opcode: Opcode::from_bits(frame.opcode as u8),
        fin: frame.fin,
        compressed: frame.compressed,
        payload: frame.payload,
        length: frame.length,
    }
}
