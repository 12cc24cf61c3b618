//! Model to stored shape, on the recorder's hot path.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use mimeo_model::exchange::Version;
use mimeo_model::{
    AnsweredBy, Body, Content, Direction, Exchange, ExchangeId, Frame, Gap, GraphqlKind, Headers, Scheme,
    Timings,
};
use prost::Message;

use super::{
    BodyFrame, ExchangeFrame, FailureFrame, GapFrame, GraphqlFrame, Handed, InterimFrame, Kind, LENGTH,
    Opened, OpenedAt, OpenedFrame, PartFrame, PartKind, RecordFrame, ResponseFrame, TimingsFrame,
    WebSocketFrame,
};
use crate::traffic::{Part, Record, Side};

/// Bytes of scratch memory taken at once.
const SCRATCH: usize = 64 << 10;

/// Turns records into bytes. What a frame needs beside the buffers of its exchange is carved out of one piece
/// of memory, which is used again when the frame is gone.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    scratch: BytesMut,
}

impl Encoder {
    /// Appends a record to `out`: its length in four bytes, and itself.
    pub(crate) fn encode(
        &mut self,
        record: &Record,
        sequence: u64,
        offset: u64,
        opened: Option<Opened>,
        out: &mut Vec<u8>,
    ) {
        if self.scratch.capacity() < SCRATCH / 4 {
            self.scratch.reserve(SCRATCH);
        }
        let kind = match record {
            Record::Exchange(exchange) => Kind::Exchange(self.exchange(exchange)),
            Record::Open(exchange) => Kind::Open(self.exchange(exchange)),
            Record::End(exchange) => Kind::End(self.exchange(exchange)),
            Record::Part { id, part } => {
                let part = match part {
                    Part::RequestBody(bytes) => PartKind::RequestBody(bytes.clone()),
                    Part::ResponseBody(bytes) => PartKind::ResponseBody(bytes.clone()),
                    Part::Frame(frame) => PartKind::Frame(of_frame(frame)),
                };
                Kind::Part(self.part(*id, part, offset, None))
            }
            Record::Piece { id, side, at, bytes } => {
                let part = match side {
                    Side::Request => PartKind::RequestBody(bytes.clone()),
                    Side::Response => PartKind::ResponseBody(bytes.clone()),
                };
                Kind::Part(self.part(*id, part, offset, Some(nanos(*at))))
            }
            Record::Gap(gap) => Kind::Gap(of_gap(gap)),
        };
        let opened = opened.map(|Opened { at, handed: Handed { request, response, frames } }| {
            let (segment, block) = match at {
                OpenedAt::Earlier { segment, block } => (segment, block),
                OpenedAt::SameBlock | OpenedAt::Unknown => (0, 0),
            };
            OpenedFrame { segment, block, same_block: at == OpenedAt::SameBlock, request, response, frames }
        });
        let frame = RecordFrame { sequence, kind: Some(kind), opened };
        // The length is filled in afterwards: asking for it first would walk the whole message once more.
        let at = out.len();
        out.extend_from_slice(&[0; LENGTH]);
        frame.encode_raw(out);
        let length = (out.len() - at - LENGTH) as u32;
        out[at..at + LENGTH].copy_from_slice(&length.to_le_bytes());
    }

    fn part(&mut self, id: ExchangeId, part: PartKind, offset: u64, at_nanos: Option<u64>) -> PartFrame {
        PartFrame { id: self.keep(id.as_bytes()), part: Some(part), offset, at_nanos }
    }

    fn exchange(&mut self, exchange: &Exchange) -> ExchangeFrame {
        let request = &exchange.request;
        ExchangeFrame {
            id: self.keep(exchange.id.as_bytes()),
            started_at: exchange.started_at.unix_micros(),
            connection: exchange.connection,
            method: self.keep(request.method.as_str().as_bytes()),
            https: request.scheme == Scheme::Https,
            authority: self.keep(request.authority.as_bytes()),
            target: request.target.clone(),
            version: of_version(request.version),
            headers: self.headers(&request.headers),
            body: self.body(&request.body),
            trailers: self.headers(&request.trailers),
            response: exchange.response.as_ref().map(|response| ResponseFrame {
                status: u32::from(response.status),
                reason: response.reason.clone(),
                version: of_version(response.version),
                headers: self.headers(&response.headers),
                body: self.body(&response.body),
                trailers: self.headers(&response.trailers),
                interim: response
                    .interim
                    .iter()
                    .map(|interim| InterimFrame {
                        status: u32::from(interim.status),
                        headers: self.headers(&interim.headers),
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

    fn headers(&mut self, headers: &Headers) -> Bytes {
        for (name, value) in headers.iter() {
            put_varint(&mut self.scratch, name.len());
            put_varint(&mut self.scratch, value.len());
            self.scratch.extend_from_slice(name);
            self.scratch.extend_from_slice(value);
        }
        self.carve()
    }

    fn body(&mut self, body: &Body) -> Option<BodyFrame> {
        let (inline, digest, stored) = match &body.content {
            Content::Inline(bytes) if bytes.is_empty() && body.length == 0 && body.chunks.is_empty() => {
                return None;
            }
            Content::Inline(bytes) => (bytes.clone(), Bytes::new(), 0),
            Content::Stored { digest, length } => (Bytes::new(), self.keep(&digest.0), *length),
        };
        let mut chunks = Vec::with_capacity(body.chunks.len() * 2);
        let (mut last_at, mut last_end) = (0, 0);
        for chunk in &body.chunks {
            let at = nanos(chunk.at);
            chunks.extend([at.wrapping_sub(last_at), chunk.end.wrapping_sub(last_end)]);
            (last_at, last_end) = (at, chunk.end);
        }
        Some(BodyFrame { inline, digest, stored, length: body.length, chunks })
    }

    fn keep(&mut self, bytes: &[u8]) -> Bytes {
        self.scratch.extend_from_slice(bytes);
        self.carve()
    }

    fn carve(&mut self) -> Bytes {
        if self.scratch.is_empty() { Bytes::new() } else { self.scratch.split().freeze() }
    }
}

fn put_varint(out: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn of_version(version: Version) -> u32 {
    match version {
        Version::Http10 => 10,
        Version::Http11 => 11,
        Version::Http2 => 20,
    }
}

fn of_timings(timings: &Timings) -> TimingsFrame {
    TimingsFrame {
        blocked: timings.blocked.map(nanos),
        dns: timings.dns.map(nanos),
        connect: timings.connect.map(nanos),
        tls: timings.tls.map(nanos),
        send: timings.send.map(nanos),
        wait: timings.wait.map(nanos),
        receive: timings.receive.map(nanos),
        total: nanos(timings.total),
        reused: timings.reused,
    }
}

fn of_frame(frame: &Frame) -> WebSocketFrame {
    WebSocketFrame {
        at_nanos: nanos(frame.at),
        sent: frame.direction == Direction::Send,
        opcode: u32::from(frame.opcode.bits()),
        fin: frame.fin,
        compressed: frame.compressed,
        payload: frame.payload.clone(),
        length: frame.length,
    }
}

fn of_gap(gap: &Gap) -> GapFrame {
    GapFrame {
        from: gap.from.unix_micros(),
        to: gap.to.unix_micros(),
        exchanges: gap.exchanges,
        bodies: gap.bodies,
        reason: gap.reason.code().to_owned(),
    }
}

/// Five hundred years are enough for an exchange.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
