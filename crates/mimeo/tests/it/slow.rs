//! Clients that take their time: a head that never ends costs its sender the connection, and others nothing.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testbed::client::{Client, Ended, Heard, PATIENCE, RawClient};
use testbed::eventually;
use testbed::upstream::Upstream;

use crate::context::{Running, TestContext};

/// Connections that stop in the middle of a head.
const HALF_HEADS: usize = 500;
/// Time from the first byte of a head in which its last must come.
const HEAD: Duration = Duration::from_secs(10);

/// Sends a head byte by byte, for as long as nothing is answered; gives what was.
fn dribbles_a_head(address: SocketAddr) -> Heard {
    let mut client = RawClient::connect(address);
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let deadline = Instant::now() + 2 * HEAD;
    loop {
        let heard = client.send("y").read_all(Duration::from_millis(50));
        if !heard.bytes.is_empty() || heard.ended != Ended::NotYet {
            let rest = client.read_all(PATIENCE);
            return Heard { bytes: [heard.bytes, rest.bytes].concat(), ended: rest.ended };
        }
        assert!(Instant::now() < deadline, "each byte buys more time");
    }
}

fn open_sockets(recorder: &Running) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", recorder.pid())).expect("a process");
    // What was closed since it was listed names nothing.
    let names = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    names.filter(|name| name.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn a_head_that_never_ends_is_answered_with_408_while_others_are_served() {
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "slow", "--quiet"]);
    let before = open_sockets(&recorder);

    let began = Instant::now();
    let mut half_heads: Vec<RawClient> = (0..HALF_HEADS)
        .map(|number| {
            let mut client = RawClient::connect(recorder.address());
            client.send(format!("GET /half/{number} HTTP/1.1\r\nHost: a\r\nX-"));
            client
        })
        .collect();
    eventually(PATIENCE, "all of them are taken", || open_sockets(&recorder) >= before + HALF_HEADS);
    assert!(began.elapsed() < HEAD, "none has left yet");
    let client = Client::new();
    let (mut served, mut longest) = (0, Duration::ZERO);
    let address = recorder.address();
    let (heard, waited) = std::thread::scope(|scope| {
        let began = Instant::now();
        let slow = scope.spawn(move || (dribbles_a_head(address), began.elapsed()));
        while !slow.is_finished() {
            let asked = Instant::now();
            assert_eq!(client.get(&recorder.url("/json/1")).json()["id"], "1");
            longest = longest.max(asked.elapsed());
            served += 1;
        }
        slow.join().expect("the slow client")
    });
    assert_eq!((heard.status(), heard.ended), (Some(408), Ended::Closed));
    assert_eq!(heard.header("mimeo-error").as_deref(), Some("head.timeout"));
    assert!(waited >= HEAD, "a client has {HEAD:?} for its head, this one had {waited:?}");
    assert!(served > 100 && longest < HEAD / 5, "{served} were served meanwhile, one in {longest:?}");
    for client in &mut half_heads {
        let heard = client.read_all(PATIENCE);
        assert_eq!((heard.status(), heard.ended), (Some(408), Ended::Closed));
    }
    eventually(PATIENCE, "their connections are closed", || {
        open_sockets(&recorder) <= before + upstream.open_connections()
    });

    assert_eq!(upstream.received().len(), served, "no half head was forwarded");
    assert_eq!(recorder.stop().code, Some(0));
    let session = context.session("slow");
    assert_eq!(session["errorCount"], HALF_HEADS + 1, "each is recorded as what it was");
}
