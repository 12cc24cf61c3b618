//! What a head says reaches the other side as it was said: order, case and number of its fields, and the words
//! of its first line.

use testbed::Gate;
use testbed::client::{PATIENCE, RawClient, exchange_bytes};
use testbed::raw::{RawUpstream, Script};

use crate::context::TestContext;

const REQUEST: &str = "GET /things?b=2&a=1 HTTP/1.1\r\nX-Second: 1\r\nHOST: example.test\r\nx-first: 2\r\n\
    Connection: keep-alive, X-Hop\r\nX-Hop: for this connection alone\r\nX-Second: 3\r\nAccept: */*\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 203 Non-Authoritative, But Fine\r\nZulu: 1\r\nserver: Box\r\nContent-length: 2\r\n\
    X-Twice: a\r\nConnection: keep-alive\r\nALPHA: 2\r\nX-Twice: b\r\n\r\nok";

/// The same without the fields of the upstream's connection.
const ANSWER: &str = "HTTP/1.1 203 Non-Authoritative, But Fine\r\nZulu: 1\r\nserver: Box\r\nContent-length: 2\r\n\
    X-Twice: a\r\nALPHA: 2\r\nX-Twice: b\r\n";

#[test]
fn fields_keep_their_order_case_and_number_on_every_way() {
    let context = TestContext::new();
    let script = || Script::new().reads_through("\r\n\r\n").sends(RESPONSE).and_again();
    let upstream = RawUpstream::start(script());
    let recorder = context.start(&["record", &upstream.url(), "--name", "heads"]);
    let mut client = RawClient::connect(recorder.address());
    let whole = format!("{ANSWER}\r\nok");
    for _ in 0..2 {
        let answer = client.send(REQUEST).read_until(|bytes| bytes.ends_with(b"\r\n\r\nok"));
        assert_eq!(String::from_utf8_lossy(&answer), whole);
    }
    let forwarded = format!(
        "GET /things?b=2&a=1 HTTP/1.1\r\nX-Second: 1\r\nHOST: {}\r\nx-first: 2\r\nX-Second: 3\r\nAccept: */*\r\n\r\n",
        upstream.address()
    );
    assert_eq!(String::from_utf8_lossy(&upstream.received_in_all()), forwarded.repeat(2));
    assert_eq!(recorder.stop().code, Some(0));

    let mock = context.start(&["mock", "heads", "--quiet"]);
    let played = RawClient::connect(mock.address()).send(REQUEST).read_until(|bytes| bytes.ends_with(b"ok"));
    assert_eq!(String::from_utf8_lossy(&played), format!("{ANSWER}X-Mimeo-Mock: exact\r\n\r\nok"));

    let target = RawUpstream::start(script());
    context.succeed(&["replay", "heads", "--target", &target.url(), "--speed", "max"]);
    let replayed = forwarded.replace(&upstream.address().to_string(), &target.address().to_string());
    assert_eq!(String::from_utf8_lossy(&target.received_in_all()), replayed.repeat(2));
}

#[test]
fn hints_arrive_before_the_response_they_hint_at() {
    let context = TestContext::new();
    let gate = Gate::closed();
    let upstream = RawUpstream::start(
        Script::new()
            .reads_through("\r\n\r\n")
            .sends("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
            .waits_at(&gate)
            .sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    );
    let recorder = context.start(&["record", &upstream.url(), "--name", "hints"]);
    let mut client = RawClient::connect(recorder.address());
    let hint =
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").read_until(|bytes| bytes.ends_with(b"\r\n\r\n"));
    assert_eq!(
        String::from_utf8_lossy(&hint),
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    );
    gate.open();
    let response = client.read_until(|bytes| bytes.ends_with(b"ok"));
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&response));
    assert_eq!(recorder.stop().code, Some(0));
}

#[test]
fn a_client_of_http_1_0_gets_no_hints_and_no_chunks() {
    let context = TestContext::new();
    let upstream = RawUpstream::start(Script::new().reads_through("\r\n\r\n").sends(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ));
    let recorder = context.start(&["record", &upstream.url(), "--name", "old"]);
    let heard = exchange_bytes(recorder.address(), "GET / HTTP/1.0\r\n\r\n", PATIENCE);
    assert_eq!(String::from_utf8_lossy(&heard.bytes), "HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nok");
    assert_eq!(recorder.stop().code, Some(0));
}

#[test]
fn a_final_answer_in_place_of_continue_ends_the_request() {
    let context = TestContext::new();
    let upstream = RawUpstream::start(
        Script::new()
            .reads_through("\r\n\r\n")
            .sends("HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno")
            .and_again(),
    );
    let recorder = context.start(&["record", &upstream.url(), "--name", "declined", "--json"]);
    for framing in ["Content-Length: 3", "Transfer-Encoding: chunked"] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
        let mut client = RawClient::connect(recorder.address());
        let answer = client.send(head).read_all(PATIENCE);
        assert_eq!(answer.status(), Some(417), "{framing}");
        assert!(recorder.wait_for("\"status\"").contains("417"), "recorded once it was answered");
    }
    let sent = String::from_utf8_lossy(&upstream.received_in_all()).into_owned();
    assert!(!sent.contains("100 Continue") && sent.matches("POST / ").count() == 2, "{sent}");
    assert_eq!(recorder.stop().code, Some(0));
}

#[test]
fn a_body_in_chunks_is_sent_with_any_method() {
    let context = TestContext::new();
    let upstream = RawUpstream::start(
        Script::new()
            .reads_through("0\r\n\r\n")
            .sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .and_again(),
    );
    let recorder = context.start(&["record", &upstream.url(), "--name", "chunks"]);
    let mut client = RawClient::connect(recorder.address());
    for method in ["GET", "DELETE", "POST"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        client.send(request).read_until(|bytes| bytes.ends_with(b"ok"));
    }
    let sent = String::from_utf8_lossy(&upstream.received_in_all()).into_owned();
    assert_eq!(sent.matches("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").count(), 3, "{sent}");
    assert_eq!(recorder.stop().code, Some(0));
}

#[test]
fn a_connection_of_http_1_0_is_not_used_again() {
    let context = TestContext::new();
    let upstream = RawUpstream::start(
        Script::new()
            .reads_through("\r\n\r\n")
            .sends("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
            .and_again(),
    );
    let recorder = context.start(&["record", &upstream.url(), "--name", "old-upstream"]);
    let mut client = RawClient::connect(recorder.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").read_until(|bytes| bytes.ends_with(b"ok"));
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.send(chunked).read_until(|bytes| bytes.ends_with(b"ok"));
    let sent = upstream.received();
    assert_eq!(sent.len(), 2, "a connection each");
    assert!(sent.iter().all(|sent| String::from_utf8_lossy(sent).contains(" HTTP/1.1\r\n")));
    assert_eq!(recorder.stop().code, Some(0));
}

#[test]
fn a_refused_head_behind_any_answer_is_answered_and_ends_the_connection() {
    let context = TestContext::new();
    let upstream = RawUpstream::start(
        Script::new()
            .reads_through("\r\n\r\n")
            .sends(format!("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n{}", "x".repeat(3_000_000)))
            .and_again(),
    );
    let recorder = context.start(&["record", &upstream.url(), "--name", "large"]);
    let bad = "GET / HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n";
    let first = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n{bad}");
    let answer = exchange_bytes(recorder.address(), first("/large"), PATIENCE);
    assert_eq!(answer.statuses(), [200, 400], "behind a response");
    let refused = exchange_bytes(recorder.address(), first("http://a/"), PATIENCE);
    assert_eq!(refused.statuses(), [400, 400], "behind a refusal");
    assert_eq!(recorder.stop().code, Some(0));
    let mock = context.start(&["mock", "large", "--quiet"]);
    let played = exchange_bytes(mock.address(), first("/large"), PATIENCE);
    assert!(played.bytes.len() > 3_000_000, "{} bytes", played.bytes.len());
    assert_eq!(played.statuses(), [200, 400], "behind a mock");
    let missed = exchange_bytes(mock.address(), first("/missing"), PATIENCE);
    assert_eq!(missed.statuses(), [404, 400], "behind a miss");
}
