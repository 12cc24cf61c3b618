//! Requests whose framing is ambiguous or malformed: answered, never forwarded, and the listener lives on.

use std::time::Duration;

use testbed::client::{Client, PATIENCE, RawClient, exchange_bytes};
use testbed::corpus::{self, Case, Then};
use testbed::raw::{RawUpstream, Script};
use testbed::upstream::{Reply, Upstream};

use crate::context::{TestContext, curl};

/// What is sent, and the status it gets.
const CASES: &[(&str, u16)] = &[
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.32\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ("GET /\r\n\r\n", 400),
    ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: nonsense\r\n\r\n", 417),
    ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n", 405),
    ("\u{16}\u{3}\u{1}\u{2}", 400),
    ("\u{1}\u{2}\u{3}", 400),
];

#[test]
fn ambiguous_requests_are_refused_and_never_forwarded() {
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "corpus"]);
    for (request, status) in CASES {
        let answer = exchange_bytes(recorder.address(), request, PATIENCE);
        assert_eq!(answer.status(), Some(*status), "{request:?}");
        assert!(answer.header("mimeo-error").is_some(), "{request:?}");
        assert!(upstream.received_bytes().is_empty(), "{request:?} reached the upstream");
    }
    Client::new().get(&recorder.url("/alive"));
    assert!(upstream.received_bytes().starts_with(b"GET /alive "));
    let ended = recorder.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.told);
}

#[test]
fn a_body_whose_framing_breaks_is_refused_and_never_ends_for_the_upstream() {
    let context = TestContext::new();
    let upstream = RawUpstream::start(Script::never_answers());
    let recorder = context.start(&["record", &upstream.url(), "--name", "bodies", "--json"]);
    let bodies =
        ["ZZ\r\n", "+5\r\nhello\r\n", "5\nhello\r\n", "5\r\nhello\n0\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n"];
    for body in bodies {
        let request =
            format!("POST /{} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}", body.len());
        let answer = exchange_bytes(recorder.address(), request, PATIENCE);
        assert_eq!(answer.status(), Some(400), "{body:?}");
        assert!(answer.header("mimeo-error").is_some_and(|code| code.starts_with("framing")), "{body:?}");
        assert!(recorder.wait_for("\"error\"").contains("\"framing\""));
    }
    let received = upstream.received_in_all();
    assert!(!received.windows(7).any(|window| window == b"\r\n0\r\n\r\n"), "the upstream saw no end");
    assert_eq!(recorder.stop().code, Some(0));
    assert_eq!(context.session("bodies")["entryCount"], bodies.len(), "one entry each");
}

#[test]
fn odd_targets_travel_byte_for_byte_and_are_answered_from_the_recording() {
    let context = TestContext::new();
    let upstream = Upstream::http1().answering_everything(Reply::json("{}")).start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "odd"]);
    let targets: [&[u8]; 5] =
        [b"/\xff\xfe", b"/a<b>?c=`d`", b"/%zz//../%2f", b"/{x}|^\\\"", "/\u{e9}".as_bytes()];
    let ask = |address, target: &[u8]| {
        let request = [&b"GET "[..], target, b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat();
        exchange_bytes(address, request, PATIENCE).status()
    };
    for target in targets {
        assert_eq!(ask(recorder.address(), target), Some(200));
        let received = upstream.received().pop().expect("a request");
        let sent = [&b"GET "[..], target, b" HTTP/1.1\r\n"].concat();
        assert!(
            received.raw_head.starts_with(&sent),
            "{} became {}",
            String::from_utf8_lossy(target),
            received.target
        );
    }
    assert_eq!(recorder.stop().code, Some(0));
    let mock = context.start(&["mock", "odd", "--quiet"]);
    for target in targets {
        assert_eq!(ask(mock.address(), target), Some(200), "{}", String::from_utf8_lossy(target));
    }
    context.succeed(&["replay", "odd", "--target", &upstream.url(), "--speed", "max"]);
}

#[test]
fn every_malformed_request_of_the_corpus_is_met_as_it_says() {
    let cases = corpus::framing();
    let faults: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(cases.len().div_ceil(4))
            .map(|cases| {
                scope.spawn(move || {
                    let context = TestContext::new();
                    cases.iter().filter_map(|case| meet(&context, case).err()).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

fn meet(context: &TestContext, case: &Case) -> Result<(), String> {
    let upstream = Upstream::http1().start();
    let recorder = context.start(&["record", &upstream.url(), "--quiet"]);
    let mut client = RawClient::connect(recorder.address());
    client.send(&case.bytes);
    if case.then == Then::Finish {
        client.finish_sending();
    }
    let heard = client.read_all(Duration::from_secs(15));
    let judged = case.judge(&heard, &upstream.received_bytes(), "Mimeo-Error");
    // Whoever was refused is heard out for a while, unless it leaves.
    drop(client);
    let ended = recorder.stop();
    if ended.code != Some(0) {
        return Err(format!("{}: the recorder ended with {:?}", case.name, ended.code));
    }
    judged
}

#[test]
fn heads_have_limits() {
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let recorder = context.start(&["record", &upstream.url()]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(17 << 10));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(101));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "b".repeat(65 << 10));
    for (request, status) in [(long, 414), (many, 431), (large, 431)] {
        assert_eq!(exchange_bytes(recorder.address(), request, PATIENCE).status(), Some(status));
    }
    assert!(upstream.received_bytes().is_empty());
}

#[test]
fn a_request_hidden_behind_an_upgrade_or_a_body_is_not_tunnelled() {
    let context = TestContext::new();
    let upstream = Upstream::http1().answering_everything(Reply::json("{}")).start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "hidden"]);
    let hidden = "GET /one HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
                  GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = exchange_bytes(recorder.address(), hidden, PATIENCE).statuses();
    assert_eq!(answers, [200, 200], "both were answered");
    let ended = recorder.stop();
    assert_eq!(ended.code, Some(0));
    assert_eq!(context.session("hidden")["entryCount"], 2, "both were recorded");
    let mock = context.start(&["mock", "hidden"]);
    let body = "POST /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = format!(
        "POST /miss HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answers = exchange_bytes(mock.address(), request, PATIENCE).statuses();
    assert_eq!(answers.len(), 1, "the body is no request");
}

#[test]
fn malformed_answers_become_502_and_never_poison_the_next_one() {
    let context = TestContext::new();
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        "nonsense\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "",
    ] {
        let upstream = RawUpstream::start(Script::answers(answer).closes_its_side());
        let recorder = context.start(&["record", &upstream.url(), "--json"]);
        let told = curl(&["--output", "-", "--write-out", "\n%{http_code}", &recorder.url("/")]);
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(told.ends_with("502"), "{answer:?} became {told}");
        let line = recorder.wait_for("\"error\"");
        assert!(line.contains("upstream."), "{line}");
        assert_eq!(recorder.stop().code, Some(0));
    }
}
