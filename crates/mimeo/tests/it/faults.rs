//! What goes wrong in the world: clients and upstreams that leave, kills, large bodies.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use testbed::client::{Client, Ended, PATIENCE, RawClient, exchange_bytes};
use testbed::eventually;
use testbed::raw::{RawUpstream, Script};
use testbed::upstream::{Reply, Upstream};

use crate::context::{Running, TestContext};

#[test]
fn an_upstream_that_breaks_off_is_recorded_with_its_kind_and_the_client_sees_it() {
    let context = TestContext::new();
    let upstream = RawUpstream::start(Script::closes_after(4));
    let recorder = context.start(&["record", &upstream.url(), "--name", "cut", "--json"]);
    let answer = exchange_bytes(recorder.address(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", PATIENCE);
    assert!(answer.bytes.ends_with(b"\r\n\r\nxxxx"), "what came is passed on");
    assert_ne!(answer.ended, Ended::NotYet, "and the connection ends");
    let line: Value = serde_json::from_str(&recorder.wait_for("\"error\"")).expect("JSON");
    assert_eq!(line["error"]["kind"], "upstream.closed");
    assert_eq!(recorder.stop().code, Some(0));
    assert_eq!(context.session("cut")["errorCount"], 1);
}

#[test]
fn an_upstream_that_is_not_there_gives_a_problem_document() {
    let context = TestContext::new();
    let recorder = context.start(&["record", "http://127.0.0.1:1", "--json"]);
    let answer = Client::new().get(&recorder.url("/"));
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("application/problem+json")));
    assert!(answer.text().contains("upstream.refused"), "{}", answer.text());
    recorder.wait_for("upstream.refused");
}

#[test]
fn a_client_that_leaves_within_the_answer_is_recorded_and_the_upstream_is_let_go() {
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let recorder = context.start(&["record", &upstream.url(), "--json"]);
    let mut client = RawClient::connect(recorder.address());
    client.send("GET /bytes/100000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until(|bytes| bytes.len() >= 4096);
    drop(client);
    eventually(PATIENCE, "the upstream's connection ends", || upstream.open_connections() == 0);
    let line: Value = serde_json::from_str(&recorder.wait_for("/bytes/100000000000")).expect("JSON");
    assert_eq!(line["error"]["kind"], "client.aborted");
    assert_eq!(recorder.stop().code, Some(0));
}

#[test]
fn a_body_of_a_gibibyte_passes_in_bounded_memory() {
    const LENGTH: u64 = 1 << 30;
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "large"]);
    let mut client = RawClient::connect(recorder.address());
    client.send(format!("GET /bytes/{LENGTH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let check = client.check_pattern();
    assert_eq!((check.length(), check.is_intact()), (LENGTH, true));
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
    let upstream = Upstream::http1().answering_everything(Reply::json(BODY)).start();
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
