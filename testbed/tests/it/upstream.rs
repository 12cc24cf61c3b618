use std::time::Duration;

use testbed::certificates::Authority;
use testbed::client::{Client, Ended, PATIENCE, RawClient};
use testbed::eventually;
use testbed::upstream::{Reply, Upstream};

#[test]
fn the_echo_shows_the_request_as_it_came() {
    let upstream = Upstream::http1().start();
    let response = Client::new()
        .request(
            "POST",
            &upstream.url_of("/echo/x?a=1"),
            &[("x-MiXed", "1"), ("X-Two", "a"), ("X-Two", "b")],
            b"body",
        )
        .expect("a response comes");
    let echo = response.json();
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["target"], "/echo/x?a=1");
    assert_eq!(echo["body"], "body");
    assert_eq!(echo["bodyLength"], 4);
    let head = echo["rawHead"].as_str().expect("a text");
    assert!(head.contains("x-MiXed: 1\r\nX-Two: a\r\nX-Two: b\r\nContent-Length: 4\r\n"), "{head}");
    let received = upstream.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].complete);
    assert_eq!(received[0].header("x-mixed"), Some("1"));
    assert!(upstream.received_bytes().ends_with(b"\r\n\r\nbody"));
}

#[test]
fn large_bodies_come_and_go_byte_for_byte() {
    let upstream = Upstream::http1().start();
    let client = Client::new();
    for path in ["/bytes/1000000", "/bytes/1000000?chunked"] {
        let response = client.get(&upstream.url_of(path));
        assert!(response.body == testbed::pattern::bytes(1_000_000));
        assert_eq!(response.header("content-length").is_some(), path == "/bytes/1000000");
    }
    let mut raw = RawClient::connect(upstream.address());
    let check =
        raw.send("GET /bytes/200001 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").check_pattern();
    assert_eq!((check.length(), check.is_intact()), (200_001, true));
    let uploaded = client.post(&upstream.url_of("/upload"), &testbed::pattern::bytes(6_000_000)).json();
    assert_eq!(uploaded, serde_json::json!({ "length": 6_000_000, "intact": true }));
}

#[test]
fn streams_wait_for_the_test() {
    let upstream = Upstream::http1().start();
    let gate = upstream.gate("orders");
    let mut client = RawClient::connect(upstream.address());
    client.send("GET /sse?events=2&gate=orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let head = client.read_until(|bytes| bytes.ends_with(b"\r\n\r\n"));
    assert!(!String::from_utf8_lossy(&head).contains("data:"));
    gate.let_through(1);
    let first = client.read_until(|bytes| bytes.windows(4).any(|window| window == b"\n\n\r\n"));
    assert!(String::from_utf8_lossy(&first).contains("id: 0\n"));
    eventually(PATIENCE, "the second event waits", || gate.waiting() == 1);
    gate.open();
    assert!(client.read_all(PATIENCE).bytes.ends_with(b"0\r\n\r\n"));
}

#[test]
fn the_routes_answer() {
    let upstream = Upstream::http1().start();
    let client = Client::new();
    let get = |path: &str| client.get(&upstream.url_of(path));
    assert_eq!(get("/").text(), "hello");
    assert_eq!(get("/gzip").header("content-encoding"), Some("gzip"));
    assert_eq!(get("/gzip").body[..2], [0x1f, 0x8b]);
    assert_eq!(get("/ndjson?lines=2").text(), "{\"number\":0}\n{\"number\":1}\n");
    let chunked = get("/chunked");
    assert_eq!(chunked.text(), "chunk 0\nchunk 1\nchunk 2\n");
    assert_eq!(chunked.trailers, [("X-Checksum".to_owned(), "42".to_owned())]);
    assert_eq!(get("/status/503").status, 503);
    assert_eq!(get("/status/204").status, 204);
    assert_eq!(get("/hints").interim.len(), 1);
    assert_eq!(get("/json/7").json()["id"], "7");
    assert_eq!(get("/close").text(), "until the end");
    assert_eq!(get("/nowhere").status, 404);
    let head = client.request("HEAD", &upstream.url_of("/bytes/10"), &[], b"").expect("a response comes");
    assert_eq!((head.header("content-length"), head.body.len()), (Some("10"), 0));
    let cookies = get("/cookies").headers.iter().filter(|(name, _)| name == "Set-Cookie").count();
    assert_eq!(cookies, 2);
}

#[test]
fn a_test_adds_its_own_answers() {
    let upstream = Upstream::http1()
        .answering("POST /orders", Reply::json(r#"{"id":1}"#).with_status(201))
        .answering_in_turn("/turns", vec![Reply::text("one"), Reply::text("two")])
        .start();
    let client = Client::new();
    assert_eq!(client.post(&upstream.url_of("/orders?x=1"), b"{}").status, 201);
    assert_eq!(client.get(&upstream.url_of("/orders")).status, 404);
    let turns: Vec<_> = (0..3).map(|_| client.get(&upstream.url_of("/turns")).text()).collect();
    assert_eq!(turns, ["one", "two", "two"]);
    let same = Upstream::http1()
        .answering("/", Reply::text("here"))
        .answering_everything(Reply::text("there"))
        .start();
    let answers = ["/", "/json/7", "/nowhere"].map(|path| client.get(&same.url_of(path)).text());
    assert_eq!(answers, ["here", "there", "there"]);
    let address = upstream.address();
    drop(upstream);
    let again = Upstream::http1().at(address).start();
    assert_eq!(client.get(&again.url()).text(), "hello");
}

#[test]
fn broken_requests_are_kept_as_broken() {
    let upstream = Upstream::http1().start();
    let mut client = RawClient::connect(upstream.address());
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").finish_sending();
    let heard = client.read_all(PATIENCE);
    assert_eq!((heard.bytes.len(), heard.ended), (0, Ended::Closed));
    let received = upstream.received();
    assert_eq!((received.len(), received[0].complete, &received[0].body[..]), (1, false, &b"abc"[..]));
}

#[test]
fn tls_is_trusted_only_by_who_knows_the_authority() {
    let authority = Authority::new();
    let upstream = Upstream::http1().with_tls(&authority).start();
    let url = upstream.url_of("/");
    assert_eq!(Client::new().trusting(authority.pem()).get(&url).text(), "hello");
    assert!(Client::new().trusting(Authority::new().pem()).request("GET", &url, &[], b"").is_err());
    let expired = authority.expired_certificate_for(&["localhost"]);
    let upstream = Upstream::http1().with_certificate(expired).start();
    assert!(Client::new().trusting(authority.pem()).request("GET", &upstream.url(), &[], b"").is_err());
}

#[test]
fn http2_is_spoken_with_prior_knowledge_and_over_tls() {
    let authority = Authority::new();
    let plain = Upstream::http2().start();
    let both = Upstream::http1_and_http2().start();
    let secure = Upstream::http1_and_http2().with_tls(&authority).start();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        for upstream in [&plain, &both] {
            let stream = tokio::net::TcpStream::connect(upstream.address()).await.expect("it listens");
            assert_eq!(
                get_over_http2(stream, &upstream.url_of("/chunked")).await,
                "chunk 0\nchunk 1\nchunk 2\n42"
            );
        }
        let stream = tokio::net::TcpStream::connect(secure.address()).await.expect("it listens");
        let config = std::sync::Arc::new(authority.client_config(&["h2", "http/1.1"]));
        let stream = tokio_rustls::TlsConnector::from(config)
            .connect("localhost".try_into().expect("a name"), stream)
            .await
            .expect("the certificate is trusted");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(get_over_http2(stream, &secure.url_of("/chunked")).await, "chunk 0\nchunk 1\nchunk 2\n42");
    });
    assert_eq!(Client::new().get(&both.url()).text(), "hello");
    assert_eq!(plain.received()[0].version, "HTTP/2.0");
    eventually(Duration::from_secs(5), "the connections are gone", || plain.open_connections() == 0);
}

/// Body and trailer of an answer.
async fn get_over_http2<S>(stream: S, url: &str) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    use http_body_util::{BodyExt, Empty};
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::get(url).body(Empty::<bytes::Bytes>::new()).expect("a request");
    let body = sender.send_request(request).await.expect("a response comes").into_body();
    let whole = body.collect().await.expect("a whole body comes");
    let trailer = whole.trailers().and_then(|trailers| trailers.get("x-checksum")).cloned();
    let text = String::from_utf8_lossy(&whole.to_bytes()).into_owned();
    text + trailer.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default()
}
