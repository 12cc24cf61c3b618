//! A disk that is full. A quota on the size of files stands for it: it needs no rights and no mounts.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::client::RawClient;
use testbed::pattern;
use testbed::upstream::Upstream;

use crate::context::{Ended, Running, TestContext};

/// A mebibyte: enough to begin with.
const BLOCKS: u32 = 2048;
/// Length of a body that is written into the log, not into a file of its own.
const BODY: usize = 60_000;
/// Requests whose bodies are more than the disk holds, however well they compress, and less than the memory.
const MANY: usize = 400;
/// Requests whose bodies are more than the memory holds while nothing is written.
const TOO_MANY: usize = 700;

/// A client that counts what it asked for, on one connection.
struct Client {
    connection: RawClient,
    asked: usize,
}

impl Client {
    fn of(recorder: &Running) -> Self {
        Self { connection: RawClient::connect(recorder.address()), asked: 0 }
    }

    /// Asks `count` times for a body, with so many bytes of header; every one must come as the upstream made it.
    /// Gives the longest time that one took.
    fn asks(&mut self, what: &str, count: usize, length: usize, header: usize) -> Duration {
        let expected = pattern::bytes(length);
        let mut longest = Duration::ZERO;
        for number in 0..count {
            let request = format!(
                "GET /bytes/{length}?{what}={number} HTTP/1.1\r\nHost: a\r\nX-Padding: {}\r\n\r\n",
                "p".repeat(header)
            );
            let began = Instant::now();
            let answer = self.connection.send(request).read_response();
            longest = longest.max(began.elapsed());
            assert_eq!(answer.status, 200, "{what} {number}: {}", answer.text());
            assert!(answer.complete && answer.body == expected, "{what} {number} has another body");
            self.asked += 1;
        }
        longest
    }
}

/// The line of JSON that sums a recording up.
fn summary(ended: &Ended) -> Value {
    let line = ended.told.lines().find(|line| line.starts_with("{\"session\""));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no summary: {}", ended.told))).expect("JSON")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_full_disk_costs_captures_but_no_traffic_and_recording_goes_on_by_itself() {
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let url = upstream.url();
    let arguments = ["record", &url, "--name", "full", "--json", "--capture-overflow", "drop"];
    let mut recorder = context.start_on_a_small_disk(&arguments, BLOCKS);
    let mut client = Client::of(&recorder);

    client.asks("before", 3, BODY, 0);
    let mut lines = recorder.lines_until("before=2");
    client.asks("large", 1, 3 << 20, 0);
    lines.extend(recorder.lines_until("large=0"));
    client.asks("more", MANY, BODY, 0);
    recorder.wait_to_be_told("the recording cannot be written");
    client.asks("bodies", TOO_MANY, BODY, 0);
    client.asks("heads", TOO_MANY, BODY, 12 << 10);
    recorder.make_room_on_disk();
    lines.extend(recorder.lines_until("heads="));
    client.asks("after", 3, BODY, 0);
    lines.extend(recorder.lines_until("after=2"));
    let asked = client.asked;
    drop(client);
    let ended = recorder.stop();

    assert_eq!(ended.code, Some(4), "{}", ended.told);
    let summary = summary(&ended);
    let (exchanges, bodies) = (number(&summary["lostExchanges"]), number(&summary["lostBodies"]));
    assert!(exchanges > 0 && bodies > 0, "{summary}");
    assert_eq!(number(&summary["requests"]), asked as u64);
    assert_eq!(number(&summary["entryCount"]) + exchanges, asked as u64, "every request is accounted for");

    let announced: HashSet<String> = lines
        .iter()
        .chain(&ended.lines)
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("text").to_owned()
        })
        .collect();
    let session = context.session("full");
    assert_eq!(session["status"], "stopped");
    assert_eq!(session["lost"], exchanges + bodies);
    assert_eq!(session["entryCount"], announced.len());
    let kept: HashSet<String> = session["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["id"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(kept, announced);

    let recording = context.path("full.json");
    context.succeed(&["export", "full", "--output", &recording.display().to_string()]);
    let written: Value = serde_json::from_slice(&fs::read(&recording).expect("written")).expect("JSON");
    let gaps = written["gaps"].as_array().expect("a list");
    let missing = |what: &str| gaps.iter().map(|gap| number(&gap[what])).sum::<u64>();
    assert_eq!((missing("exchanges"), missing("bodies")), (exchanges, bodies), "{gaps:?}");

    // What was kept whole answers, and the mock says what it lacks.
    let mock = context.start(&["mock", "full", "--quiet"]);
    let mut client = Client::of(&mock);
    client.asks("before", 3, BODY, 0);
    client.asks("after", 3, BODY, 0);
    drop(client);
    let told = mock.stop().told;
    assert!(
        told.contains(&format!("{} exchanges are missing or lack their body", exchanges + bodies)),
        "{told}"
    );

    let again = context.start(&["record", &upstream.url(), "--name", "again"]);
    Client::of(&again).asks("again", 1, BODY, 0);
    assert_eq!(again.stop().code, Some(0));
}

#[test]
fn traffic_waits_for_a_full_disk_at_most_five_seconds() {
    const STALL: Duration = Duration::from_secs(5);
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let url = upstream.url();
    let mut recorder = context.start_on_a_small_disk(&["record", &url, "--name", "waits", "--json"], BLOCKS);
    let mut client = Client::of(&recorder);
    client.asks("more", MANY, BODY, 0);
    recorder.wait_to_be_told("the recording cannot be written");
    let longest = client.asks("bodies", TOO_MANY, BODY, 0);
    assert!(longest > STALL / 2 && longest < 2 * STALL, "one request took {longest:?}");
    recorder.wait_to_be_told("capture stalled for too long");
    let longest = client.asks("after", 100, BODY, 0);
    assert!(longest < STALL / 2, "after the wait, one request took {longest:?}");
    recorder.make_room_on_disk();
    let asked = client.asked as u64;
    drop(client);
    let ended = recorder.stop();
    assert_eq!(ended.code, Some(4), "{}", ended.told);
    let summary = summary(&ended);
    let lost = number(&summary["lostExchanges"]) + number(&summary["lostBodies"]);
    assert_eq!(number(&summary["entryCount"]) + number(&summary["lostExchanges"]), asked);
    let session = context.session("waits");
    assert_eq!(
        (number(&session["lost"]), number(&session["entryCount"])),
        (lost, number(&summary["entryCount"]))
    );
}

#[test]
fn a_disk_that_stays_full_ends_with_what_was_lost() {
    let context = TestContext::new();
    let upstream = Upstream::http1().start();
    let url = upstream.url();
    let mut recorder = context.start_on_a_small_disk(&["record", &url, "--name", "stays", "--json"], BLOCKS);
    let mut client = Client::of(&recorder);
    client.asks("before", 3, BODY, 0);
    recorder.wait_for("before=2");
    client.asks("more", MANY, BODY, 0);
    recorder.wait_to_be_told("the recording cannot be written");
    let asked = client.asked as u64;
    drop(client);
    let ended = recorder.stop();
    assert_eq!(ended.code, Some(4), "{}", ended.told);
    let summary = summary(&ended);
    assert!(number(&summary["lostExchanges"]) > 0, "{summary}");
    assert_eq!(number(&summary["entryCount"]) + number(&summary["lostExchanges"]), asked);
    let session = context.session("stays");
    assert_eq!(session["entryCount"], summary["entryCount"]);
    assert_eq!(session["entries"].as_array().expect("a list").len() as u64, number(&summary["entryCount"]));
    let mock = context.start(&["mock", "stays", "--quiet"]);
    Client::of(&mock).asks("before", 3, BODY, 0);
}
