//! What a written HAR file looks like, and that it keeps to the specification.

use std::time::Duration;

use bytes::Bytes;
use mimeo_model::{
    AnsweredBy, Body, Chunk, Direction, Exchange, ExchangeId, Failure, FailureKind, Frame, Gap, GapReason,
    GraphqlKind, GraphqlOperation, Headers, Interim, Method, Opcode, Phase, Request, Response, Scheme,
    Timestamp, Timings, Version,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::arbitrary;
use crate::drive::export;

fn exchange(number: u8, request: Request, response: Option<Response>) -> Exchange {
    let started_at = Timestamp::from_unix_micros(1_772_445_600_000_000 + i64::from(number) * 1_000_250);
    let ms = |ms| Some(Duration::from_micros(ms));
    Exchange {
        id: ExchangeId::new(started_at, [number; 10]),
        started_at,
        connection: 4,
        request,
        response,
        failure: None,
        timings: Timings {
            blocked: None,
            dns: ms(1500),
            connect: ms(2000),
            tls: ms(8000),
            send: ms(125),
            wait: ms(20_000),
            receive: ms(3000),
            total: Duration::from_millis(35),
            reused: false,
        },
        frames: Vec::new(),
        answered_by: AnsweredBy::Upstream,
        graphql: Vec::new(),
    }
}

fn get(target: &'static [u8]) -> Request {
    Request {
        method: Method::GET,
        scheme: Scheme::Https,
        authority: "shop.example".into(),
        target: Bytes::from_static(target),
        version: Version::Http11,
        headers: [("Host", "shop.example"), ("Cookie", "basket=7; theme=dark")].into_iter().collect(),
        body: Body::empty(),
        trailers: Headers::new(),
    }
}

fn ok(headers: &[(&str, &[u8])], body: Body) -> Response {
    Response {
        status: 200,
        reason: Some(Bytes::from_static(b"OK")),
        version: Version::Http11,
        headers: headers.iter().copied().collect(),
        body,
        trailers: Headers::new(),
        interim: Vec::new(),
    }
}

/// One exchange of each sort, small enough to read.
fn samples() -> Vec<Exchange> {
    // The deflate stream is a stored block, so that no compressor's taste is in the snapshot.
    let gzip =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x02\x00\xfd\xff{}\x43\xbf\xa6\xa3\x02\x00\x00\x00";
    let json = exchange(
        1,
        Request {
            method: Method::POST,
            headers: [("Content-Type", "application/json")].into_iter().collect(),
            body: Body::from_bytes("{\"query\":\"query Cups { cups }\"}"),
            ..get(b"/graphql?tag=a%20b")
        },
        Some(Response {
            interim: vec![Interim { status: 103, headers: [("Link", "</a.css>")].into_iter().collect() }],
            trailers: [("Checksum", "77")].into_iter().collect(),
            ..ok(
                &[
                    ("Content-Type", b"application/json"),
                    ("Content-Encoding", b"gzip"),
                    ("Set-Cookie", b"seen=1; Path=/; Secure"),
                    ("X-Latin", b"caf\xe9"),
                ],
                Body::from_bytes(&gzip[..]),
            )
        }),
    );
    let events = "data: a\n\nid: 2\nevent: price\ndata: b\n\n";
    let at = |ms, end| Chunk { at: Duration::from_millis(ms), end };
    let stream = exchange(
        2,
        get(b"/events"),
        Some(ok(
            &[("Content-Type", b"text/event-stream")],
            Body { chunks: vec![at(20, 9), at(31, 38)], ..Body::from_bytes(events) },
        )),
    );
    let frame = |at, direction, opcode, payload: &'static [u8]| Frame {
        at: Duration::from_millis(at),
        direction,
        opcode,
        fin: true,
        compressed: false,
        payload: Bytes::from_static(payload),
        length: payload.len() as u64,
    };
    let websocket = Exchange {
        frames: vec![
            frame(10, Direction::Send, Opcode::Text, b"hello"),
            frame(12, Direction::Receive, Opcode::Binary, b"\x00\x01"),
            frame(15, Direction::Receive, Opcode::Close, b"\x03\xe8"),
        ],
        ..exchange(
            3,
            Request { headers: [("Upgrade", "websocket")].into_iter().collect(), ..get(b"/live") },
            Some(Response { status: 101, reason: None, ..ok(&[("Upgrade", b"websocket")], Body::empty()) }),
        )
    };
    let image = exchange(
        4,
        Request { version: Version::Http2, ..get(b"/caf\xe9.png") },
        Some(Response {
            reason: None,
            version: Version::Http2,
            ..ok(
                &[("content-type", b"image/png")],
                Body { length: 4096, ..Body::from_bytes(&b"\x89PNG\r\n"[..]) },
            )
        }),
    );
    let failed = Exchange {
        failure: Some(Failure {
            kind: FailureKind::Refused,
            phase: Phase::Connect,
            detail: "shop.example:443 refused the connection".into(),
        }),
        timings: Timings { total: Duration::from_millis(3), ..Timings::default() },
        answered_by: AnsweredBy::Proxy,
        graphql: vec![GraphqlOperation { name: Some("Cups".into()), kind: GraphqlKind::Query }],
        ..exchange(5, get(b"*"), None)
    };
    vec![json, stream, websocket, image, failed]
}

#[test]
fn a_written_file_is_small_and_readable() {
    let gap = Gap {
        from: Timestamp::from_unix_micros(1_772_445_600_000_000),
        to: Timestamp::from_unix_micros(1_772_445_601_000_000),
        exchanges: 3,
        bodies: 1,
        reason: GapReason::Overflow,
    };
    let file = export("har", &samples(), &[gap], None);
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("written_har", String::from_utf8_lossy(&file));
    });
}

#[test]
fn a_file_without_entries_is_complete() {
    let file = export("har", &[], &[], None);
    let log: Value = serde_json::from_slice(&file).expect("it is JSON");
    assert_eq!(log["log"]["entries"], Value::Array(Vec::new()));
}

/// What HAR 1.2 obliges a writer to give, and of which type.
fn assert_keeps_to_the_specification(file: &[u8]) {
    let file: Value = serde_json::from_slice(file).expect("it is JSON");
    let log = &file["log"];
    assert_eq!(log["version"], "1.2");
    assert_eq!(log["creator"]["name"], "Mimeo");
    assert!(log["creator"]["version"].is_string());
    let texts = |object: &Value, keys: &[&str]| {
        for key in keys {
            assert!(object[key].is_string(), "{key} of {object}");
        }
    };
    let whole = |object: &Value, keys: &[&str]| {
        for key in keys {
            assert!(object[key].as_i64().is_some_and(|number| number >= -1), "{key} of {object}");
        }
    };
    let named = |list: &Value| {
        for pair in list.as_array().expect("a list") {
            texts(pair, &["name", "value"]);
        }
    };
    for entry in log["entries"].as_array().expect("a list") {
        texts(entry, &["startedDateTime", "connection"]);
        let (request, response, timings) = (&entry["request"], &entry["response"], &entry["timings"]);
        assert!(entry["cache"].is_object());
        texts(request, &["method", "url", "httpVersion"]);
        whole(request, &["headersSize", "bodySize"]);
        named(&request["headers"]);
        named(&request["cookies"]);
        named(&request["queryString"]);
        if let Some(post_data) = request.get("postData") {
            texts(post_data, &["mimeType", "text"]);
            named(&post_data["params"]);
        }
        texts(response, &["statusText", "httpVersion", "redirectURL"]);
        whole(response, &["status", "headersSize", "bodySize"]);
        named(&response["headers"]);
        named(&response["cookies"]);
        texts(&response["content"], &["mimeType"]);
        whole(&response["content"], &["size"]);
        let number = |key: &str| timings[key].as_f64().expect("a number");
        for key in ["send", "wait", "receive"] {
            assert!(number(key) >= 0.0, "{key} of {timings}");
        }
        for key in ["blocked", "dns", "connect", "ssl"] {
            assert!(number(key) >= 0.0 || timings[key].as_i64() == Some(-1), "{key} of {timings}");
        }
        let steps = ["blocked", "dns", "connect", "send", "wait", "receive"];
        let sum: f64 = steps.iter().map(|key| number(key).max(0.0)).sum();
        let time = entry["time"].as_f64().expect("a number");
        assert!((time - sum).abs() < 0.001, "{time} is not {sum}");
    }
}

#[test]
fn the_samples_keep_to_the_specification() {
    assert_keeps_to_the_specification(&export("har", &samples(), &[], None));
}

proptest! {
    #[test]
    fn every_written_file_keeps_to_the_specification(exchange in arbitrary::exchange()) {
        assert_keeps_to_the_specification(&export("har", [&exchange], &[], None));
    }
}
