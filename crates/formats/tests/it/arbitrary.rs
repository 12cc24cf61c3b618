//! Exchanges of every shape that the recorder can produce.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use mimeo_model::{
    AnsweredBy, Body, Chunk, Content, Digest, Direction, Exchange, ExchangeId, Failure, FailureKind, Frame,
    Gap, GapReason, GraphqlKind, GraphqlOperation, Headers, Interim, Method, Opcode, Phase, Request,
    Response, Scheme, Timestamp, Timings, Version,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0u64..5_000).prop_map(Duration::from_millis),
        (0u64..600_000_000_000_000).prop_map(Duration::from_nanos),
    ]
}

/// Values as they pass the judgement of framing: anything but CR, LF and NUL.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ -~]{0,20}".prop_map(String::into_bytes),
        "[ -~é∂🙂]{0,8}".prop_map(String::into_bytes),
        vec(any::<u8>().prop_filter("no line ends", |byte| !b"\r\n\0".contains(byte)), 0..12),
    ]
}

fn headers() -> impl Strategy<Value = Headers> {
    let name = prop_oneof![
        select(vec![
            "Host",
            "content-type",
            "Content-Type",
            "Content-Length",
            "Set-Cookie",
            "cookie",
            "Location",
            "Upgrade",
        ])
        .prop_map(str::to_owned),
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}",
    ];
    vec((name, value()), 0..6).prop_map(|fields| fields.into_iter().collect())
}

fn chunks() -> impl Strategy<Value = Vec<Chunk>> {
    prop_oneof![
        3 => Just(Vec::new()),
        1 => vec((duration(), 0u64..1_000_000), 1..4)
            .prop_map(|chunks| chunks.into_iter().map(|(at, end)| Chunk { at, end }).collect()),
    ]
}

fn plain() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => Just(Vec::new()),
        4 => "[ -~\n\r\té∂🙂]{0,60}".prop_map(String::into_bytes),
        1 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => Just(b"data: a\n\nid: 1\nevent: x\ndata: b\n\n".to_vec()),
        2 => vec(any::<u8>(), 0..60),
    ]
}

/// A body with the header fields that describe it.
fn body() -> impl Strategy<Value = (Body, Vec<(String, String)>)> {
    let media_type = option::of(select(vec![
        "application/json",
        "text/plain; charset=utf-8",
        "text/html; charset=ISO-8859-1",
        "text/html; charset=shift_jis",
        "text/event-stream",
        "image/png",
        "application/x-www-form-urlencoded",
    ]));
    let coding =
        option::of(select(vec!["gzip", "br", "zstd", "deflate", "identity", "aws-chunked", "gzip, br"]));
    (plain(), chunks(), media_type, coding, any::<bool>(), option::weighted(0.2, 1u64..1 << 40), 0u8..20)
        .prop_map(|(plain, chunks, media_type, coding, lies, more, stored)| {
            let mut fields = Vec::new();
            fields.extend(media_type.map(|value| ("Content-Type".to_owned(), value.to_owned())));
            fields.extend(coding.map(|value| ("Content-Encoding".to_owned(), value.to_owned())));
            let bytes = match coding {
                Some("gzip") if !lies => {
                    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                    out.write_all(&plain).and_then(|()| out.finish()).expect("a vector takes every byte")
                }
                Some("deflate") if !lies => {
                    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                    out.write_all(&plain).and_then(|()| out.finish()).expect("a vector takes every byte")
                }
                _ => plain,
            };
            let captured = bytes.len() as u64;
            let length = captured + more.unwrap_or(0);
            let content = if stored == 0 {
                Content::Stored { digest: Digest([7; 32]), length: captured }
            } else {
                Content::Inline(Bytes::from(bytes))
            };
            (Body { content, length, chunks }, fields)
        })
}

fn with_fields(headers: &Headers, fields: &[(String, String)]) -> Headers {
    headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .chain(fields.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())))
        .collect()
}

fn target() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        "/[!-~]{0,20}(\\?[!-~]{0,20})?".prop_map(Bytes::from),
        "/[!-~é🙂]{0,10}".prop_map(Bytes::from),
        vec(prop_oneof![0x21u8..0x7f, 0x80u8..=0xff], 1..12).prop_map(Bytes::from),
        Just(Bytes::from_static(b"*")),
        Just(Bytes::from_static(b"shop.example:443")),
    ]
}

fn authority() -> impl Strategy<Value = String> {
    select(vec!["shop.example", "shop.example:8080", "[::1]:3000", "shop.example:443", "bücher.example", ""])
        .prop_map(str::to_owned)
}

fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::Http10, Version::Http11, Version::Http2])
}

fn request() -> impl Strategy<Value = Request> {
    let method = select(vec!["GET", "POST", "HEAD", "get", "BREW", "M-SEARCH"]);
    let scheme = select(vec![Scheme::Http, Scheme::Https]);
    (method, scheme, authority(), target(), version(), headers(), body(), headers()).prop_map(
        |(method, scheme, authority, target, version, headers, (body, fields), trailers)| Request {
            method: Method::new(method.as_bytes()).expect("it is a token"),
            scheme,
            authority,
            target,
            version,
            headers: with_fields(&headers, &fields),
            body,
            trailers,
        },
    )
}

fn response() -> impl Strategy<Value = Response> {
    let status = prop_oneof![select(vec![101u16, 200, 204, 304, 404, 500]), 100u16..1000];
    let interim = vec((100u16..200, headers()), 0..3).prop_map(|list| {
        list.into_iter().map(|(status, headers)| Interim { status, headers }).collect::<Vec<_>>()
    });
    let reason = option::of(value().prop_map(Bytes::from));
    (status, reason, version(), headers(), body(), headers(), interim).prop_map(
        |(status, reason, version, headers, (body, fields), trailers, interim)| Response {
            status,
            reason,
            version,
            headers: with_fields(&headers, &fields),
            body,
            trailers,
            interim,
        },
    )
}

fn timings() -> impl Strategy<Value = Timings> {
    let step = || option::of(duration());
    ((step(), step(), step(), step()), (step(), step(), step()), duration(), any::<bool>()).prop_map(
        |((blocked, dns, connect, tls), (send, wait, receive), total, reused)| Timings {
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

fn frame() -> impl Strategy<Value = Frame> {
    let direction = select(vec![Direction::Send, Direction::Receive]);
    (duration(), direction, 0u8..16, any::<bool>(), any::<bool>(), plain(), option::of(1u64..1000)).prop_map(
        |(at, direction, opcode, fin, compressed, payload, more)| Frame {
            at,
            direction,
            opcode: Opcode::from_bits(opcode),
            fin,
            compressed,
            length: payload.len() as u64 + more.unwrap_or(0),
            payload: payload.into(),
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    let (kind, phase) = (select(FailureKind::ALL), select(Phase::ALL));
    (kind, phase, "\\PC{0,20}").prop_map(|(kind, phase, detail)| Failure { kind, phase, detail })
}

fn graphql() -> impl Strategy<Value = GraphqlOperation> {
    let kinds =
        [GraphqlKind::Query, GraphqlKind::Mutation, GraphqlKind::Subscription, GraphqlKind::Persisted];
    (option::of("[A-Za-z_]{1,8}"), select(kinds.to_vec()))
        .prop_map(|(name, kind)| GraphqlOperation { name, kind })
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0i64..4_102_444_800_000_000).prop_map(Timestamp::from_unix_micros)
}

pub(crate) fn gap() -> impl Strategy<Value = Gap> {
    let reason = select(vec![GapReason::Overflow, GapReason::Storage, GapReason::Damage]);
    (instant(), instant(), any::<u64>(), any::<u64>(), reason)
        .prop_map(|(from, to, exchanges, bodies, reason)| Gap { from, to, exchanges, bodies, reason })
}

pub(crate) fn exchange() -> impl Strategy<Value = Exchange> {
    let answered_by = select(vec![AnsweredBy::Upstream, AnsweredBy::Mock, AnsweredBy::Proxy]);
    let end = prop_oneof![
        4 => response().prop_map(|response| (Some(response), None)),
        1 => failure().prop_map(|failure| (None, Some(failure))),
        1 => (response(), failure()).prop_map(|(response, failure)| (Some(response), Some(failure))),
        1 => Just((None, None)),
    ];
    let frames = prop_oneof![3 => Just(Vec::new()), 1 => vec(frame(), 1..4)];
    let at = (instant(), any::<[u8; 10]>(), any::<u64>());
    (at, request(), end, timings(), frames, answered_by, vec(graphql(), 0..3)).prop_map(
        |(
            (started_at, random, connection),
            request,
            (response, failure),
            timings,
            frames,
            answered_by,
            graphql,
        )| {
            Exchange {
                id: ExchangeId::new(started_at, random),
                started_at,
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
