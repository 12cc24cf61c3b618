//! Exchanges to put into a store.

use std::time::Duration;

use bytes::Bytes;
use mimeo_model::{
    AnsweredBy, Body, Chunk, Direction, Exchange, ExchangeId, Failure, FailureKind, Frame, GraphqlKind,
    GraphqlOperation, Headers, Interim, Method, Opcode, Phase, Request, Response, Scheme, Timestamp, Timings,
    Version,
};

/// An exchange in which every field says something, told apart by `number`.
pub(crate) fn exchange(number: u64) -> Exchange {
    let started_at = Timestamp::from_unix_micros(1_795_000_000_000_000 + number as i64);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let mut body = Body::from_bytes(format!("{{\"order\":{number}}}"));
    body.chunks = vec![
        Chunk { at: Duration::from_micros(7), end: 3 },
        Chunk { at: Duration::from_micros(9), end: body.length },
    ];
    Exchange {
        id: ExchangeId::new(started_at, random),
        started_at,
        connection: number % 5,
        request: Request {
            method: Method::new(b"BREW").expect("a token"),
            scheme: Scheme::Https,
            authority: "api.example:8443".into(),
            target: Bytes::from(format!("/orders/{number}?q=\u{e9}")),
            version: Version::Http2,
            headers: [(&b"X-A"[..], &b"1"[..]), (b"x-a", b"\xff")].into_iter().collect(),
            body: Body::from_bytes("in"),
            trailers: [("x-sum", "1")].into_iter().collect(),
        },
        response: Some(Response {
            status: 299,
            reason: Some(Bytes::from_static(b"Fine")),
            version: Version::Http10,
            headers: [("Content-Type", "application/json")].into_iter().collect(),
            body,
            trailers: Headers::new(),
            interim: vec![Interim { status: 103, headers: [("link", "</a>")].into_iter().collect() }],
        }),
        failure: Some(Failure { kind: FailureKind::Reset, phase: Phase::Receive, detail: "cut".into() }),
        timings: Timings {
            dns: Some(Duration::from_nanos(11)),
            wait: Some(Duration::from_millis(3)),
            total: Duration::from_millis(5),
            reused: true,
            ..Timings::default()
        },
        frames: vec![Frame {
            at: Duration::from_micros(5),
            direction: Direction::Receive,
            opcode: Opcode::Binary,
            fin: true,
            compressed: true,
            payload: Bytes::from_static(b"frame"),
            length: 9,
        }],
        answered_by: AnsweredBy::Mock,
        graphql: vec![GraphqlOperation { name: Some("Order".into()), kind: GraphqlKind::Mutation }],
    }
}
