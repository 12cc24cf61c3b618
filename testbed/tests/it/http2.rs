use testbed::client::{Ended, PATIENCE};
use testbed::http2::{Frame, Http2Client};
use testbed::pattern;
use testbed::upstream::{Reply, Upstream};

#[test]
fn it_gets_what_any_client_gets() {
    let long = "v".repeat(300);
    let upstream = Upstream::http2().answering("/teapot", Reply::status(418)).start();
    let mut client = Http2Client::connect(upstream.address());
    let large = client.get("/bytes/200000");
    assert_eq!((large.status, large.reset), (Some(200), None));
    assert!(large.body == pattern::bytes(200_000));
    assert_eq!(client.get("/nowhere").status, Some(404));
    assert_eq!(client.get("/teapot").status, Some(418));

    let stream = client.new_stream();
    let head = client.request("POST", "/echo", &[("x-long", &long)]);
    let (first, second) = head.split_at(20);
    client
        .send(Frame::headers(stream, first).bytes())
        .send(Frame::continuation(stream, second).ending_headers().bytes())
        .send(Frame::data(stream, "body").ending_stream().bytes());
    assert_eq!(client.answer_on(stream).status, Some(200));
    let received = upstream.received().pop().expect("a request");
    assert_eq!((received.header("x-long"), &received.body[..]), (Some(long.as_str()), &b"body"[..]));
}

#[test]
fn it_says_how_a_server_ends() {
    let upstream = Upstream::http2().start();
    let mut client = Http2Client::connect(upstream.address());
    client.send(Frame::data(0, "of no stream").bytes());
    let end = client.read_to_the_end(PATIENCE);
    assert_eq!((end.code, end.ended), (Some(1), Ended::Closed));
}

#[test]
fn a_flood_ends_where_the_server_does() {
    let upstream = Upstream::http2().start();
    let mut client = Http2Client::connect(upstream.address());
    assert_eq!(client.flood((0..100).map(|_| Frame::ping(&[7; 8]))), 100);
    let stream = client.ask("/");
    assert_eq!(client.answer_on(stream).body, b"hello");
    assert!(client.flood((0..100_000_000).map(|_| Frame::data(0, "of no stream"))) < 1_000_000);
}
