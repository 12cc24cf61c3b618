//! Each side speaks its own version of HTTP, and what travels between them is the same.

use testbed::certificates::Authority;
use testbed::upstream::{Builder, Reply, Upstream};

use crate::context::{TestContext, curl};

fn answering(upstream: Builder) -> Builder {
    let reply = Reply::text("pong")
        .header("Trailer", "X-Sum")
        .header("X-Up", "1")
        .header("X-Other", "2")
        .header("X-Up", "3");
    upstream.answering_everything(reply.chunked().trailer("X-Sum", "9"))
}

#[test]
fn every_pair_of_versions_carries_the_same_message() {
    let context = TestContext::new();
    let authority = Authority::new();
    let trusted = authority.write_pem(&context.path("")).display().to_string();
    let upstreams = [
        ("1.1 in clear", answering(Upstream::http1()).start(), "HTTP/1.1", vec![]),
        ("2 in clear", answering(Upstream::http2()).start(), "HTTP/2.0", vec!["--upstream-http2"]),
        (
            "2 over TLS",
            answering(Upstream::http1_and_http2()).with_tls(&authority).start(),
            "HTTP/2.0",
            vec!["--upstream-ca", &trusted],
        ),
        (
            "1.1 over TLS",
            answering(Upstream::http1()).with_tls(&authority).start(),
            "HTTP/1.1",
            vec!["--upstream-ca", &trusted],
        ),
    ];
    for (number, (what, upstream, spoken, switches)) in upstreams.iter().enumerate() {
        let (name, url) = (format!("pair-{number}"), upstream.url());
        let arguments = [&["record", &url, "--name", &name][..], switches].concat();
        let recorder = context.start(&arguments);
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let told = curl(&[
                version,
                "--dump-header",
                "-",
                "--header",
                "X-Twice: 1",
                "--header",
                "X-Between: 2",
                "--header",
                "X-Twice: 3",
                "--header",
                "TE: trailers",
                "--data-binary",
                "ping",
                &recorder.url("/path?q=1"),
            ]);
            let told = String::from_utf8_lossy(&told).to_lowercase();
            let at = |text: &str| {
                told.find(text).unwrap_or_else(|| panic!("{what}, {version}: no {text:?} in {told}"))
            };
            assert!(at("x-up: 1\r\n") < at("x-up: 3\r\n"), "{told}");
            at("x-other: 2\r\n");
            at("x-sum: 9\r\n");
            at("pong");
            for connection in ["\r\nconnection: ", "\r\nkeep-alive: "] {
                assert!(!told.contains(connection), "{what}, {version}: {told}");
            }
        }
        let received = upstream.received();
        assert_eq!(received.len(), 2, "{what}");
        for request in &received {
            assert_eq!((request.version.as_str(), &request.body[..]), (*spoken, &b"ping"[..]), "{what}");
            assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/path?q=1"), "{what}");
            let twice: Vec<_> =
                request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-twice")).collect();
            assert_eq!(
                twice.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(),
                ["1", "3"],
                "{what}"
            );
            let host = request.header("host").or(request.header(":authority"));
            assert_eq!(host, url.split("://").nth(1), "{what}");
            assert_eq!(request.header("content-length"), Some("4"), "{what}");
        }
        assert_eq!(recorder.stop().code, Some(0), "{what}");
        let export = context.succeed(&["export", &name, "--output", "-", "--format", "har"]);
        assert_eq!(export.matches("\"pong\"").count(), 2, "{what}: both are recorded");
    }
}

#[test]
fn what_http_2_words_otherwise_is_worded_for_http_1() {
    let context = TestContext::new();
    let upstream = answering(Upstream::http1()).start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "worded", "--preserve-host"]);
    curl(&[
        "--http2-prior-knowledge",
        "--header",
        "Cookie: a=1",
        "--header",
        "Cookie: b=2",
        "--header",
        "X-After: 3",
        &recorder.url("/"),
    ]);
    let received = upstream.received();
    let values = |name: &str| {
        let fields = received[0].headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(values("cookie"), ["a=1; b=2"]);
    assert_eq!(values("host"), [recorder.address().to_string()]);
    assert_eq!(recorder.stop().code, Some(0));
}
