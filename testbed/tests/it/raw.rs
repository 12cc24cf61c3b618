use std::time::Duration;

use testbed::client::{Client, Ended, PATIENCE, RawClient, exchange_bytes};
use testbed::raw::{End, RawUpstream, Script};
use testbed::{Gate, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: testbed\r\n\r\n";

#[test]
fn it_keeps_exactly_what_it_received() {
    let upstream = RawUpstream::start(Script::answers_ok("ok"));
    let sent = "GET /a  b HTTP/9.9\nodd\r\n\r\n";
    let mut client = RawClient::connect(upstream.address());
    assert_eq!(client.send(sent).read_response().text(), "ok");
    assert_eq!(client.send(GET).read_response().text(), "ok");
    assert_eq!(upstream.received_in_all(), [sent, GET].concat().into_bytes());
    assert_eq!(upstream.open_connections(), 1);
    drop(client);
    eventually(PATIENCE, "the connection is gone", || upstream.open_connections() == 0);
    assert_eq!(upstream.end_of(0), Some(End::Closed));
}

#[test]
fn it_resets_after_some_bytes() {
    let upstream = RawUpstream::start(Script::resets_after(100));
    let heard = exchange_bytes(upstream.address(), GET, PATIENCE);
    assert_eq!(heard.ended, Ended::Reset);
    assert_eq!(heard.status(), Some(200));
}

#[test]
fn it_closes_early_and_lies_about_lengths() {
    let upstream = RawUpstream::start_in_turn(vec![
        Script::closes_without_an_answer(),
        Script::lies_about_its_length(10, 4),
        Script::lies_about_its_length(4, 10),
        Script::resets_without_an_answer(),
    ]);
    let heard = exchange_bytes(upstream.address(), GET, PATIENCE);
    assert_eq!((heard.ended, heard.bytes.len()), (Ended::Closed, 0));
    let short = Client::new().get(&upstream.url());
    assert_eq!((short.text().as_str(), short.complete), ("xxxx", false));
    let long = exchange_bytes(upstream.address(), GET, PATIENCE);
    assert!(long.bytes.ends_with(b"\r\n\r\nxxxxxxxxxx"));
    assert_eq!(exchange_bytes(upstream.address(), GET, PATIENCE).ended, Ended::Reset);
    assert_eq!(upstream.connections(), 4);
}

#[test]
fn it_pushes_headers_storms_and_dribbles() {
    let upstream = RawUpstream::start_in_turn(vec![
        Script::pushes_headers(10_000),
        Script::storms_with_interim_responses(33),
        Script::new().reads_a_head().dribbles(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            5,
            Duration::from_micros(10),
        ),
        Script::answers_early(413),
    ]);
    let client = Client::new();
    assert_eq!(client.get(&upstream.url()).headers.len(), 10_001);
    assert_eq!(client.get(&upstream.url()).interim.len(), 33);
    assert_eq!(client.get(&upstream.url()).text(), "ok");
    assert_eq!(client.post(&upstream.url(), &vec![0; 100_000]).status, 413);
}

#[test]
fn it_waits_for_bodies_and_gates() {
    let gate = Gate::closed();
    let script = Script::new()
        .reads_a_head()
        .reads(3)
        .reads_through("0\r\n\r\n")
        .waits_at(&gate)
        .sends("HTTP/1.1 204 No Content\r\n\r\n");
    let upstream = RawUpstream::start(script);
    let mut client = RawClient::connect(upstream.address());
    client.send(GET).send("abc").send("0\r\n").send("\r\n");
    eventually(PATIENCE, "it waits at the gate", || gate.waiting() == 1);
    gate.let_through(1);
    assert_eq!(client.read_response().status, 204);
}

#[test]
fn it_sees_how_clients_end() {
    let upstream = RawUpstream::start(Script::never_answers());
    let mut client = RawClient::connect(upstream.address());
    client.send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    eventually(PATIENCE, "the bytes are there", || upstream.received_in_all().ends_with(b"abc"));
    client.abort();
    eventually(PATIENCE, "the reset is seen", || upstream.end_of(0) == Some(End::Reset));
}
