//! A hundred thousand entries, and single huge ones, pass through in bounded memory.

use std::io::{BufReader, BufWriter, Read};
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use mimeo_formats::Limits;
use mimeo_formats::registry::{self, by_name};
use mimeo_model::{
    Body, Exchange, ExchangeId, Headers, Method, Request, Response, Scheme, Timestamp, Timings,
};

use crate::drive::{creator, import_from, numbered_ids};

const ENTRIES: u64 = 100_000;

fn exchange(number: u64) -> Exchange {
    let started_at = Timestamp::from_unix_micros(1_772_445_600_000_000 + number as i64 * 1000);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    Exchange {
        id: ExchangeId::new(started_at, random),
        started_at,
        connection: number % 8,
        request: Request {
            method: Method::GET,
            scheme: Scheme::Https,
            authority: "shop.example".into(),
            target: Bytes::from(format!("/cups/{number}")),
            version: mimeo_model::exchange::Version::Http11,
            headers: [("Host", "shop.example"), ("Accept", "*/*")].into_iter().collect(),
            body: Body::empty(),
            trailers: Headers::new(),
        },
        response: Some(Response {
            status: 200,
            headers: [("Content-Type", "application/json")].into_iter().collect(),
            body: Body::from_bytes(format!("{{\"id\":{number},\"pad\":\"{}\"}}", "x".repeat(100))),
            ..Response::default()
        }),
        failure: None,
        timings: Timings { total: Duration::from_millis(3), ..Timings::default() },
        frames: Vec::new(),
        answered_by: mimeo_model::AnsweredBy::Upstream,
        graphql: Vec::new(),
    }
}

/// Most memory this process ever held, in MiB, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

fn convert(format: &'static str) {
    let (reader, writer) = std::io::pipe().expect("the system has pipes");
    #[expect(clippy::disallowed_methods, reason = "the other end of a pipe needs a thread of its own")]
    let written = std::thread::spawn(move || {
        let exporter = by_name(format).expect("the format exists").exporter;
        let out = Box::new(BufWriter::new(writer));
        let mut file = exporter.begin(out, &creator()).expect("the pipe takes it");
        for number in 0..ENTRIES {
            file.write(&exchange(number), None).expect("the pipe takes it");
        }
        file.finish().expect("the pipe takes it")
    });
    let mut next = 0;
    let report = registry::import(
        &mut BufReader::new(reader),
        None,
        Limits::default(),
        &mut numbered_ids(),
        &mut |one| {
            assert_eq!(one.index, next);
            assert_eq!(one.exchange.connection, next % 8);
            next += 1;
            ControlFlow::Continue(())
        },
    )
    .expect("the file is importable");
    assert_eq!((report.imported, report.skipped_total), (ENTRIES, 0));
    assert_eq!(written.join().expect("the writer ends").written, ENTRIES);
    assert!(peak().is_none_or(|peak| peak < 64), "{:?} MiB", peak());
}

#[test]
fn a_hundred_thousand_entries_of_har_convert_in_bounded_memory() {
    convert("har");
}

#[test]
fn a_hundred_thousand_entries_of_a_recording_convert_in_bounded_memory() {
    convert("recording");
}

#[test]
fn a_body_of_half_a_gigabyte_is_passed_over_in_bounded_memory() {
    let start = &b"{\"log\":{\"entries\":[{\"response\":{\"content\":{\"text\":\""[..];
    let end = &b"\"}}},{\"startedDateTime\":\"2026-03-02T10:00:00Z\",\"request\":{\"method\":\"GET\",\
        \"url\":\"http://a.example/\"},\"response\":{\"status\":200}}]}}"[..];
    let mut file = start.chain(std::io::repeat(b'x').take(500 << 20)).chain(end);
    let limits = Limits { entry: 16 << 20, ..Limits::default() };
    let (imported, outcome) = import_from(&mut file, Some("har"), limits);
    let report = outcome.expect("one entry is good");
    assert_eq!((imported.len(), report.skipped_total), (1, 1));
    assert_eq!(report.skipped[0].why, "the entry is larger than 16777216 bytes");
    assert!(peak().is_none_or(|peak| peak < 64), "{:?} MiB", peak());
}
