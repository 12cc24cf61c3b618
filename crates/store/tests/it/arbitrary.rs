//! Exchanges of any kind.

use std::time::Duration;

use bytes::Bytes;
use mimeo_model::exchange::Version;
use mimeo_model::{
    AnsweredBy, Body, Chunk, Content, Digest, Direction, Exchange, ExchangeId, Failure, FailureKind, Frame,
    Gap, GapReason, GraphqlKind, GraphqlOperation, Headers, Interim, Method, Opcode, Phase, Request,
    Response, Scheme, Timestamp, Timings,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 0..u64::from(u32::MAX), any::<u64>()].prop_map(Duration::from_nanos)
}

fn headers() -> impl Strategy<Value = Headers> {
    let field =
        (vec(any::<u8>(), 0..20), prop_oneof![9 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 200)]);
    vec(field, 0..6).prop_map(|fields| fields.into_iter().collect())
}

fn body() -> impl Strategy<Value = Body> {
    let stored = option::of((any::<[u8; 32]>(), any::<u64>()));
    let chunk = (duration(), any::<u64>()).prop_map(|(at, end)| Chunk { at, end });
    let length = prop_oneof![Just(0), any::<u64>()];
    (bytes(), stored, length, vec(chunk, 0..4)).prop_map(|(inline, stored, length, chunks)| Body {
        content: match stored {
            Some((digest, length)) => Content::Stored { digest: Digest(digest), length },
            None => Content::Inline(inline),
        },
        length,
        chunks,
    })
}

fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::Http10, Version::Http11, Version::Http2])
}

fn request() -> impl Strategy<Value = Request> {
    let scheme = select(vec![Scheme::Http, Scheme::Https]);
    let parts = ("[!#A-Za-z~]{1,9}", scheme, ".{0,20}", bytes(), version(), headers(), body(), headers());
    parts.prop_map(|(method, scheme, authority, target, version, headers, body, trailers)| Request {
        method: Method::new(method.as_bytes()).expect("a token"),
        scheme,
        authority,
        target,
        version,
        headers,
        body,
        trailers,
    })
}

fn response() -> impl Strategy<Value = Response> {
    let interim = (any::<u16>(), headers()).prop_map(|(status, headers)| Interim { status, headers });
    let parts =
        (any::<u16>(), option::of(bytes()), version(), headers(), body(), headers(), vec(interim, 0..3));
    parts.prop_map(|(status, reason, version, headers, body, trailers, interim)| Response {
        status,
        reason,
        version,
        headers,
        body,
        trailers,
        interim,
    })
}

fn timings() -> impl Strategy<Value = Timings> {
    let step = || option::of(duration());
    let steps = (step(), step(), step(), step(), step(), step(), step());
    (steps, duration(), any::<bool>()).prop_map(
        |((blocked, dns, connect, tls, send, wait, receive), total, reused)| Timings {
            blocked,
            dns,
            connect,
            tls,
            send,
            wait,
            receive,
            total,
            reused,
        },
    )
}

pub(crate) fn frame() -> impl Strategy<Value = Frame> {
    let parts = (duration(), any::<bool>(), 0_u8..16, any::<bool>(), any::<bool>(), bytes(), any::<u64>());
    parts.prop_map(|(at, sent, opcode, fin, compressed, payload, length)| Frame {
        at,
        direction: if sent { Direction::Send } else { Direction::Receive },
        opcode: Opcode::from_bits(opcode),
        fin,
        compressed,
        payload,
        length,
    })
}

/// Any exchange.
pub(crate) fn exchange() -> impl Strategy<Value = Exchange> {
    let failure = (select(FailureKind::ALL), select(Phase::ALL), ".{0,30}")
        .prop_map(|(kind, phase, detail)| Failure { kind, phase, detail });
    let kinds =
        vec![GraphqlKind::Query, GraphqlKind::Mutation, GraphqlKind::Subscription, GraphqlKind::Persisted];
    let operation =
        (option::of(".{0,20}"), select(kinds)).prop_map(|(name, kind)| GraphqlOperation { name, kind });
    let answered_by = select(vec![AnsweredBy::Upstream, AnsweredBy::Mock, AnsweredBy::Proxy]);
    let parts = (
        (any::<[u8; 16]>(), any::<i64>(), any::<u64>()),
        request(),
        option::of(response()),
        option::of(failure),
        timings(),
        vec(frame(), 0..3),
        answered_by,
        vec(operation, 0..3),
    );
    parts.prop_map(
        |((id, at, connection), request, response, failure, timings, frames, answered_by, graphql)| {
            Exchange {
                id: ExchangeId::from_bytes(id),
                started_at: Timestamp::from_unix_micros(at),
                connection,
                request,
                response,
                failure,
                timings,
                frames,
                answered_by,
                graphql,
            }
        },
    )
}

/// Any gap.
pub(crate) fn gap() -> impl Strategy<Value = Gap> {
    let reason = select(vec![GapReason::Overflow, GapReason::Storage, GapReason::Damage]);
    let parts = (any::<i64>(), any::<i64>(), any::<u64>(), any::<u64>(), reason);
    parts.prop_map(|(from, to, exchanges, bodies, reason)| Gap {
        from: Timestamp::from_unix_micros(from),
        to: Timestamp::from_unix_micros(to),
        exchanges,
        bodies,
        reason,
    })
}
