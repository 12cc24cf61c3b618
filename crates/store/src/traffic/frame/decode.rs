//! Stored shape to model. What a newer Mimeo wrote is read as far as it is understood.

use std::time::Duration;

use bytes::Bytes;
use mimeo_model::exchange::Version;
use mimeo_model::headers::FieldRanges;
use mimeo_model::{
    AnsweredBy, Body, Chunk, Content, Digest, Direction, Exchange, ExchangeId, Failure, FailureKind, Frame,
    Gap, GapReason, GraphqlKind, GraphqlOperation, Headers, Interim, Method, Opcode, Phase, Request,
    Response, Scheme, Timestamp, Timings,
};
use prost::Message;

use super::{
    BodyFrame, ExchangeFrame, FailureFrame, GapFrame, Handed, Kind, Opened, OpenedAt, PartFrame, PartKind,
    RecordFrame, Stored, TimingsFrame, WebSocketFrame,
};
use crate::traffic::{Part, Record, Side};

/// Reads a record, whose bytes stay where they are. `Ok(None)` is a kind of record that this version does not
/// know; `Err` is no record at all.
pub(crate) fn decode(bytes: Bytes) -> Result<Option<Stored>, Malformed> {
    let frame = RecordFrame::decode(bytes).map_err(|_| Malformed)?;
    let Some(kind) = frame.kind else { return Ok(None) };
    let mut offset = 0;
    let record = match kind {
        Kind::Exchange(exchange) => Record::Exchange(Box::new(to_exchange(exchange).ok_or(Malformed)?)),
        Kind::Open(exchange) => Record::Open(Box::new(to_exchange(exchange).ok_or(Malformed)?)),
        Kind::End(exchange) => Record::End(Box::new(to_exchange(exchange).ok_or(Malformed)?)),
        Kind::Part(part) => {
            offset = part.offset;
            let id = to_id(&part.id).ok_or(Malformed)?;
            let Some(record) = to_part(id, part) else { return Ok(None) };
            record
        }
        Kind::Gap(gap) => Record::Gap(to_gap(&gap)),
    };
    let opened = frame.opened.map(|opened| Opened {
        at: match (opened.segment, opened.same_block) {
            (0, true) => OpenedAt::SameBlock,
            (0, false) => OpenedAt::Unknown,
            (segment, _) => OpenedAt::Earlier { segment, block: opened.block },
        },
        handed: Handed { request: opened.request, response: opened.response, frames: opened.frames },
    });
    Ok(Some(Stored { sequence: frame.sequence, opened, offset, record }))
}

/// The bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

fn to_part(id: ExchangeId, frame: PartFrame) -> Option<Record> {
    let at = frame.at_nanos.map(Duration::from_nanos);
    let part = match (frame.part?, at) {
        (PartKind::RequestBody(bytes), Some(at)) => {
            return Some(Record::Piece { id, side: Side::Request, at, bytes });
        }
        (PartKind::ResponseBody(bytes), Some(at)) => {
            return Some(Record::Piece { id, side: Side::Response, at, bytes });
        }
        (PartKind::RequestBody(bytes), None) => Part::RequestBody(bytes),
        (PartKind::ResponseBody(bytes), None) => Part::ResponseBody(bytes),
        (PartKind::Frame(frame), _) => Part::Frame(to_frame(frame)),
    };
    Some(Record::Part { id, part })
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
            method: Method::new(&frame.method)?,
            scheme: if frame.https { Scheme::Https } else { Scheme::Http },
            authority: String::from_utf8(frame.authority.into()).ok()?,
            target: frame.target,
            version: to_version(frame.version),
            headers: to_headers(frame.headers)?,
            body: to_body(frame.body)?,
            trailers: to_headers(frame.trailers)?,
        },
        response,
        failure: frame.failure.map(to_failure),
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

fn to_id(bytes: &[u8]) -> Option<ExchangeId> {
    Some(ExchangeId::from_bytes(bytes.try_into().ok()?))
}

fn to_version(version: u32) -> Version {
    match version {
        10 => Version::Http10,
        20 => Version::Http2,
        _ => Version::Http11,
    }
}

/// A kind that this version does not know keeps its code in the detail.
fn to_failure(frame: FailureFrame) -> Failure {
    let phase = Phase::from_code(&frame.phase).unwrap_or(Phase::Receive);
    match FailureKind::from_code(&frame.kind) {
        Some(kind) => Failure { kind, phase, detail: frame.detail },
        None => Failure {
            kind: match frame.kind.split_once('.') {
                Some(("upstream", _)) => FailureKind::Unreachable,
                Some(("client", _)) => FailureKind::ClientAborted,
                Some(_) | None => FailureKind::Refusal,
            },
            phase,
            detail: format!("{}: {}", frame.kind, frame.detail),
        },
    }
}

fn to_headers(text: Bytes) -> Option<Headers> {
    let mut fields = FieldRanges::default();
    let mut at = 0;
    while at < text.len() {
        let name = take_varint(&text, &mut at)?;
        let value = take_varint(&text, &mut at)?;
        let middle = at.checked_add(name)?;
        let end = middle.checked_add(value)?;
        if end > text.len() {
            return None;
        }
        fields.push(at..middle, middle..end);
        at = end;
    }
    // A block is shorter than 4 GiB, and every range was checked.
    Some(Headers::from_ranges(text, fields))
}

fn take_varint(text: &[u8], at: &mut usize) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..32).step_by(7) {
        let byte = *text.get(*at)?;
        *at += 1;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn to_body(frame: Option<BodyFrame>) -> Option<Body> {
    let Some(frame) = frame else { return Some(Body::empty()) };
    let content = if frame.digest.is_empty() {
        Content::Inline(frame.inline)
    } else {
        Content::Stored { digest: Digest(frame.digest[..].try_into().ok()?), length: frame.stored }
    };
    let (mut at, mut end) = (0_u64, 0_u64);
    let chunks = frame
        .chunks
        .chunks_exact(2)
        .map(|pair| {
            at = at.wrapping_add(pair[0]);
            end = end.wrapping_add(pair[1]);
            Chunk { at: Duration::from_nanos(at), end }
        })
        .collect();
    Some(Body { content, length: frame.length, chunks })
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

fn to_gap(frame: &GapFrame) -> Gap {
    Gap {
        from: Timestamp::from_unix_micros(frame.from),
        to: Timestamp::from_unix_micros(frame.to),
        exchanges: frame.exchanges,
        bodies: frame.bodies,
        // A loss stays a loss when its reason is of a newer version.
        reason: GapReason::from_code(&frame.reason).unwrap_or(GapReason::Storage),
    }
}
