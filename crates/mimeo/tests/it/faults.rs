//! What goes wrong in the world: clients and upstreams that leave, kills, large bodies.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::context::{TestContext, curl, eventually};
use crate::upstream::{Upstream, exchange_raw};

#[test]
fn an_upstream_that_breaks_off_is_recorded_with_its_kind_and_the_client_sees_it() {
    let context = TestContext::new();
    let upstream = Upstream::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    let recorder = context.start(&["record", &upstream.url(), "--name", "cut", "--json"]);
    let answer = exchange_raw(
        recorder.address(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        std::time::Duration::from_secs(20),
    );
    assert!(answer.ends_with(b"half"), "what came is passed on, and the connection ends");
    let line: Value = serde_json::from_str(&recorder.wait_for("\"error\"")).expect("JSON");
    assert_eq!(line["error"]["kind"], "upstream.closed");
    assert_eq!(recorder.stop().code, Some(0));
    assert_eq!(context.session("cut")["errorCount"], 1);
}

#[test]
fn an_upstream_that_is_not_there_gives_a_problem_document() {
    let context = TestContext::new();
    let recorder = context.start(&["record", "http://127.0.0.1:1", "--json"]);
    let told = curl(&["--include", &recorder.url("/")]);
    let told = String::from_utf8_lossy(&told);
    assert!(told.starts_with("HTTP/1.1 502") && told.contains("application/problem+json"), "{told}");
    assert!(told.contains("upstream.refused"), "{told}");
    recorder.wait_for("upstream.refused");
}

#[test]
fn a_client_that_leaves_within_the_answer_is_recorded_and_the_upstream_is_let_go() {
    let context = TestContext::new();
    let gone = Arc::new(AtomicBool::new(false));
    let told = gone.clone();
    let upstream = Upstream::start(move |mut connection| {
        if connection.request().is_none() {
            return;
        }
        let mut sent =
            connection.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
        let piece = vec![7; 64 << 10];
        while sent.is_ok() {
            sent = connection.stream.write_all(&piece);
        }
        told.store(true, Ordering::SeqCst);
    });
    let recorder = context.start(&["record", &upstream.url(), "--json"]);
    let mut client = TcpStream::connect(recorder.address()).expect("connected");
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let mut some = [0; 4096];
    client.read_exact(&mut some).expect("some bytes");
    drop(client);
    eventually("the end of the upstream's connection", || gone.load(Ordering::SeqCst));
    let line: Value = serde_json::from_str(&recorder.wait_for("/endless")).expect("JSON");
    assert_eq!(line["error"]["kind"], "client.aborted");
    assert_eq!(recorder.stop().code, Some(0));
}

#[test]
fn a_body_of_a_gibibyte_passes_in_bounded_memory() {
    const LENGTH: u64 = 1 << 30;
    let context = TestContext::new();
    let upstream = Upstream::start(|mut connection| {
        if connection.request().is_none() {
            return;
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {LENGTH}\r\n\r\n"
        );
        let mut sent = connection.stream.write_all(head.as_bytes());
        let piece: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
        for _ in 0..LENGTH >> 20 {
            sent = sent.and_then(|()| connection.stream.write_all(&piece));
        }
        assert!(sent.is_ok(), "the whole body was taken");
    });
    let recorder = context.start(&["record", &upstream.url(), "--name", "large"]);
    let told = curl(&["--output", "/dev/null", "--write-out", "%{size_download}", &recorder.url("/large")]);
    assert_eq!(String::from_utf8_lossy(&told), LENGTH.to_string());
    let peak = recorder.peak_memory();
    assert!(peak < 64 << 10, "{peak} KiB at the peak");
    assert_eq!(recorder.stop().code, Some(0));
    let session = context.session("large");
    assert_eq!(session["entries"][0]["responseBytes"], LENGTH);
    let shown = context.succeed(&["show", "large#1"]);
    assert!(shown.contains("10.0 MiB of 1.0 GiB captured"), "{shown}");
}

#[test]
fn a_kill_takes_nothing_that_was_announced() {
    let context = TestContext::new();
    let upstream = Upstream::json("{\"padding\":\"0123456789012345678901234567890123456789\"}");
    for round in 0..3 {
        let name = format!("killed-{round}");
        let recorder = context.start(&["record", &upstream.url(), "--name", &name, "--json"]);
        let address = recorder.address();
        let running = Arc::new(AtomicBool::new(true));
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let running = running.clone();
                std::thread::spawn(move || {
                    let mut number = 0;
                    while running.load(Ordering::Relaxed) {
                        let Ok(mut stream) = TcpStream::connect(address) else { return };
                        number += 1;
                        let request = format!(
                            "GET /{client}/{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                        );
                        let mut answer = Vec::new();
                        let _ = stream
                            .write_all(request.as_bytes())
                            .and_then(|()| stream.read_to_end(&mut answer));
                    }
                })
            })
            .collect();
        let mut announced = HashSet::new();
        for _ in 0..200 + round * 150 {
            let line: Value = serde_json::from_str(&recorder.wait_for("\"id\"")).expect("JSON");
            announced.insert(line["id"].as_str().expect("text").to_owned());
        }
        recorder.signal("KILL");
        running.store(false, Ordering::Relaxed);
        let ended = recorder.end();
        for client in clients {
            client.join().expect("ended");
        }
        for line in ended.lines {
            // The last line may be cut by the kill.
            if let Ok(line) = serde_json::from_str::<Value>(&line) {
                announced.insert(line["id"].as_str().expect("text").to_owned());
            }
        }
        let session = context.session(&name);
        assert_eq!(session["status"], "interrupted");
        let kept: HashSet<String> = session["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| entry["id"].as_str().expect("text").to_owned())
            .collect();
        assert!(announced.is_subset(&kept), "{} announced, {} kept", announced.len(), kept.len());
        let one = announced.iter().next().expect("some");
        assert!(context.succeed(&["show", one]).contains("padding"));
    }
}
