//! HTTP/2 clients that mean harm, in clear and through interception: others are served, memory is bounded.

use std::iter::{once, repeat_n};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::certificates::Authority;
use testbed::client::{Ended, PATIENCE};
use testbed::http2::{Frame, Http2Client, header_block};
use testbed::upstream::Upstream;
use testbed::{eventually, pattern};

use crate::context::{Running, TestContext};

/// Peak of the program's memory, in KiB.
const MEMORY: u64 = 64 << 10;
/// Codes of RFC 9113, section 7.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
/// A kind of frame that only servers send.
const PUSH_PROMISE: u8 = 5;
/// A setting: bytes that a stream may bring before it is given more room.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A recorder that speaks HTTP/2 with its clients.
struct Listener {
    upstream: Upstream,
    recorder: Running,
    door: Door,
    _context: TestContext,
}

/// How clients come to it.
struct Door {
    address: SocketAddr,
    /// The authority to ask for and the certificates to trust, through interception.
    intercepted: Option<(String, String)>,
}

impl Door {
    fn connect(&self, settings: &[(u16, u32)]) -> Http2Client {
        match &self.intercepted {
            None => Http2Client::connect_with(self.address, settings),
            Some((name, ca)) => Http2Client::intercepted(self.address, name, ca, settings),
        }
    }

    /// A client that behaves asks on one connection and on new ones, until told that it is over.
    fn serves(&self, over: &AtomicBool) {
        let expected = pattern::bytes(2_000);
        let mut lasting = self.connect(&[]);
        let mut last = false;
        while !last {
            last = over.load(Ordering::SeqCst);
            for client in [&mut lasting, &mut self.connect(&[])] {
                let answer = client.get("/bytes/2000");
                assert_eq!((answer.status, answer.reset), (Some(200), None));
                assert!(answer.body == expected, "the body is another");
            }
        }
    }
}

impl Listener {
    fn plain() -> Self {
        let context = TestContext::new();
        let upstream = Upstream::http1().start();
        let recorder = context.start(&["record", &upstream.url(), "--quiet"]);
        let door = Door { address: recorder.address(), intercepted: None };
        Self { upstream, recorder, door, _context: context }
    }

    fn intercepting() -> Self {
        let context = TestContext::new();
        let authority = Authority::new();
        let upstream = Upstream::http1().with_tls(&authority).start();
        let trusted = context.path("upstream.pem");
        std::fs::write(&trusted, authority.pem()).expect("written");
        let recorder = context.start(&[
            "record",
            "--forward",
            "--mitm",
            "--quiet",
            "--upstream-ca",
            &trusted.display().to_string(),
        ]);
        let ca = std::fs::read_to_string(context.succeed(&["ca", "path"]).trim()).expect("a certificate");
        let name = format!("localhost:{}", upstream.address().port());
        let door = Door { address: recorder.address(), intercepted: Some((name, ca)) };
        Self { upstream, recorder, door, _context: context }
    }

    /// Lets an attack have its way while a client that behaves asks again and again. That one must be answered to the
    /// last, and memory must stay bounded.
    fn stands<T>(&self, attack: impl FnOnce(&mut Http2Client) -> T) -> T {
        let mut attacker = self.door.connect(&[]);
        let over = AtomicBool::new(false);
        let came = std::thread::scope(|scope| {
            let door = &self.door;
            let others = scope.spawn(|| door.serves(&over));
            let came = attack(&mut attacker);
            over.store(true, Ordering::SeqCst);
            others.join().expect("a client that behaves is served");
            came
        });
        let peak = self.recorder.peak_memory();
        assert!(peak < MEMORY, "{peak} KiB at the peak");
        came
    }
}

/// A flood as its name and what makes it.
type Flood = (&'static str, fn(&mut Http2Client) -> usize);

/// Floods that a server ends.
const ENDED: [Flood; 5] = [
    ("requests that are taken back", |client| {
        let head = client.request("GET", "/reset", &[]);
        client.flood((0..20_000).flat_map(|number| {
            let stream = 2 * number + 1;
            let asked = Frame::headers(stream, head.clone()).ending_headers().ending_stream();
            [asked, Frame::reset(stream, CANCEL)]
        }))
    }),
    ("a head that goes on", |client| {
        let begun = Frame::headers(1, client.request("GET", "/endless", &[]));
        let more = Frame::continuation(1, header_block([("x-more", "m".repeat(16_000).as_str())]));
        client.flood(once(begun).chain(repeat_n(more, 10_000)))
    }),
    ("a head that goes on with nothing", |client| {
        let begun = Frame::headers(1, client.request("GET", "/endless", &[]));
        client.flood(once(begun).chain(repeat_n(Frame::continuation(1, []), 1_000_000)))
    }),
    ("a body of nothing", |client| {
        let begun = Frame::headers(1, client.request("POST", "/upload", &[])).ending_headers();
        client.flood(once(begun).chain(repeat_n(Frame::data(1, []), 1_000_000)))
    }),
    ("a field that is kept once and named again and again", |client| {
        let mut block = client.request("GET", "/bomb", &[]);
        // A literal that the table keeps, 4,000 bytes long, and then its number.
        block.extend([0x40, 1, b'x']);
        block.extend([0x7f, 0xa1, 0x1e]);
        block.extend(repeat_n(b'b', 4_000));
        block.extend(repeat_n(0xbe, 12_000));
        client.flood(once(Frame::headers(1, block).ending_headers().ending_stream()))
    }),
];

#[test]
fn a_flood_ends_its_own_connection_and_no_other() {
    for listener in [Listener::plain(), Listener::intercepting()] {
        for (name, flood) in ENDED {
            let end = listener.stands(|client| {
                flood(client);
                client.read_to_the_end(PATIENCE)
            });
            assert_eq!(end.code, Some(ENHANCE_YOUR_CALM), "{name}");
            assert_ne!(end.ended, Ended::NotYet, "{name}");
        }
        let received = listener.upstream.received();
        let reset = received.iter().filter(|request| request.target == "/reset").count();
        assert!(reset < 1_000, "{reset} requests that were taken back reached the upstream");
        let unfinished = received.iter().filter(|request| matches!(&*request.target, "/endless" | "/bomb"));
        assert_eq!(unfinished.count(), 0);
    }
}

#[test]
fn who_asks_for_answers_and_reads_none_is_not_read_either() {
    const MANY: usize = 5_000_000;
    let listener = Listener::plain();
    for (name, frame) in [("settings", Frame::settings(&[(3, 100)])), ("pings", Frame::ping(&[7; 8]))] {
        let taken = listener.stands(|client| client.flood(repeat_n(frame, MANY)));
        assert!(taken < MANY, "{taken} {name} were taken without an answer being read");
    }
}

#[test]
fn a_head_that_is_too_large_is_answered_with_431_and_not_forwarded() {
    for listener in [Listener::plain(), Listener::intercepting()] {
        let field = "f".repeat(16_000);
        let answer = listener.stands(|client| {
            let stream = client.new_stream();
            let begun = Frame::headers(stream, client.request("GET", "/huge", &[])).ending_stream();
            let more = Frame::continuation(stream, header_block([("x-huge", field.as_str())]));
            client.flood(once(begun).chain(repeat_n(more.clone(), 4)).chain(once(more.ending_headers())));
            let answer = client.answer_on(stream);
            assert_eq!(client.get("/json/1").status, Some(200), "the connection goes on");
            answer
        });
        assert_eq!(answer.status, Some(431));
        assert!(listener.upstream.received().iter().all(|request| request.target != "/huge"));
    }
}

#[test]
fn windows_that_stay_closed_hold_back_their_own_streams_only() {
    const STREAMS: usize = 90;
    const LENGTH: usize = 5_000_000;
    for listener in [Listener::plain(), Listener::intercepting()] {
        let upstream = &listener.upstream;
        let mut holding = listener.door.connect(&[(INITIAL_WINDOW_SIZE, 0)]);
        let streams: Vec<u32> = (0..STREAMS).map(|_| holding.ask(&format!("/bytes/{LENGTH}"))).collect();
        listener.stands(|_| {
            eventually(PATIENCE, "all are on their way", || upstream.open_connections() >= STREAMS);
        });
        // One of them is let go, and comes whole.
        holding.send(Frame::window(0, LENGTH as u32).bytes());
        holding.send(Frame::window(streams[7], LENGTH as u32).bytes());
        let answer = holding.answer_on(streams[7]);
        assert_eq!(answer.status, Some(200));
        assert!(answer.body == pattern::bytes(LENGTH), "the body is another");
        drop(holding);
        eventually(PATIENCE, "the upstream is let go", || upstream.open_connections() < STREAMS / 2);
        listener.stands(|client| assert_eq!(client.get("/json/1").status, Some(200)));
    }
}

#[test]
fn what_breaks_the_protocol_ends_the_connection_with_its_code() {
    let listener = Listener::plain();
    let cases = [
        ("a body of no stream", Frame::data(0, "x"), PROTOCOL_ERROR),
        ("a frame that is too long", Frame::data(1, vec![0; 16_385]), FRAME_SIZE_ERROR),
        ("more room than there can be", Frame::window(0, u32::MAX >> 1), FLOW_CONTROL_ERROR),
        ("no more room", Frame::window(0, 0), PROTOCOL_ERROR),
        ("the end of what never began", Frame::reset(1, CANCEL), PROTOCOL_ERROR),
        ("more of a head that never began", Frame::continuation(1, []), PROTOCOL_ERROR),
        ("a stream that is the server's", Frame::headers(2, []).ending_headers(), PROTOCOL_ERROR),
        ("a promise", Frame::new(PUSH_PROMISE, 1, [0, 0, 0, 2]).ending_headers(), PROTOCOL_ERROR),
        ("settings of a stream", Frame::new(Frame::SETTINGS, 1, []), PROTOCOL_ERROR),
        // RFC 9113 has a finer code for these (4.3, 6.5, 6.7); the library has not.
        ("a head that cannot be decoded", Frame::headers(1, [0xff; 8]).ending_headers(), PROTOCOL_ERROR),
        ("half a setting", Frame::new(Frame::SETTINGS, 0, [0; 5]), PROTOCOL_ERROR),
        ("a ping that is too short", Frame::ping(&[7; 7]), PROTOCOL_ERROR),
    ];
    for (name, frame, code) in cases {
        let end = listener.stands(|client| client.send(frame.bytes()).read_to_the_end(PATIENCE));
        assert_eq!(end.code, Some(code), "{name}");
        assert_ne!(end.ended, Ended::NotYet, "{name}");
    }
    assert!(listener.upstream.received().iter().all(|request| request.target == "/bytes/2000"));
}
