//! What goes wrong in the world: clients and upstreams that leave, kills, large bodies.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::context::{Running, TestContext, curl, eventually};
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

/// Kills the program three times, each time after another number of exchanges, while four clients ask without a
/// pause. `MIMEO_TEST_KILLS` gives another number of rounds, and what came of them is printed:
///
/// ```sh
/// MIMEO_TEST_KILLS=100 cargo nextest run -p mimeo a_kill_takes_nothing --no-capture
/// ```
#[test]
fn a_kill_takes_nothing_that_was_announced() {
    const BODY: &str = "{\"padding\":\"0123456789012345678901234567890123456789\"}";
    let rounds = std::env::var("MIMEO_TEST_KILLS").ok().map(|rounds| rounds.parse().expect("a number"));
    let context = TestContext::new();
    let upstream = Upstream::json(BODY);
    let (mut announced, mut kept) = (0, 0);
    for round in 0..rounds.unwrap_or(3) {
        let name = format!("killed-{round}");
        let recorder = context.start(&["record", &upstream.url(), "--name", &name, "--json"]);
        let told = told_until_killed(recorder, 200 + round % 7 * 150);
        assert_eq!(context.session(&name)["status"], "interrupted");
        let recording = context.path(&format!("{name}.json"));
        context.succeed(&["export", &name, "--output", &recording.display().to_string()]);
        let written: Value = serde_json::from_slice(&fs::read(&recording).expect("written")).expect("JSON");
        let entries = written["entries"].as_array().expect("a list");
        let whole = entries.iter().filter(|entry| entry["response_body"] == BODY);
        let found: HashSet<String> = whole.map(id_of).collect();
        assert!(told.is_subset(&found), "round {round}: {} announced, {} kept", told.len(), found.len());
        announced += told.len();
        kept += found.len();
    }
    if let Some(rounds) = rounds {
        let outcome = format!("{rounds} kills, {announced} exchanges announced, {kept} kept, none lost\n");
        std::io::stderr().write_all(outcome.as_bytes()).expect("it can be told");
    }
}

/// Has the program record without a pause and kills it after `count` exchanges; gives all it announced.
fn told_until_killed(recorder: Running, count: usize) -> HashSet<String> {
    let address = recorder.address();
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let running = &running;
            scope.spawn(move || {
                let mut number = 0;
                while running.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(address) else { return };
                    number += 1;
                    let request =
                        format!("GET /{client}/{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                    let mut answer = Vec::new();
                    let _ =
                        stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
                }
            });
        }
        let mut lines: Vec<String> = (0..count).map(|_| recorder.wait_for("\"id\"")).collect();
        recorder.signal("KILL");
        running.store(false, Ordering::Relaxed);
        lines.extend(recorder.end().lines);
        // The last line may be cut by the kill.
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).map(|line| id_of(&line)).collect()
    })
}

fn id_of(entry: &Value) -> String {
    entry["id"].as_str().expect("text").to_owned()
}
