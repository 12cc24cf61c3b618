//! Recordings of AWS calls: the documented shape, the bare array, and what other spellings become.

use mimeo_formats::AwsCall;
use mimeo_model::{Body, Exchange, Scheme};
use serde_json::Value;

use crate::drive::{export, import};

/// A file in the documented shape, with no field that only Mimeo writes.
const DOCUMENTED: &str = r#"{
  "id": "rec-1", "name": "nightly", "status": "completed", "filter": {"service": "s3"},
  "duration_sec": 60, "started_at": "2026-03-02T10:00:00Z", "stopped_at": null, "entry_count": 3,
  "entries": [
    {"id": "proxy-1", "timestamp": "2026-03-02T10:00:01.5Z", "service": "dynamodb", "action": "GetItem",
     "method": "POST", "path": "/", "status_code": 200, "latency_ms": 12.5,
     "request_headers": {
       "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260302/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x",
       "X-Amz-Target": "DynamoDB_20120810.GetItem"},
     "request_body": "{\"TableName\":\"cups\"}", "response_body": "{\"Item\":{}}", "offset_ms": 1500},
    {"id": "proxy-2", "service": "s3", "action": "PutObject", "method": "PUT", "path": "/bucket/a b",
     "status_code": 200, "latency_ms": 3, "request_headers": {"Host": "bucket.s3.amazonaws.com"},
     "request_body": "x", "response_body": "", "offset_ms": 2000, "annotations": {"unknown": true}},
    {"id": "proxy-3", "service": "s3", "action": "GetObject", "method": "GET", "path": "/bucket/gone",
     "status_code": 0, "latency_ms": 3, "offset_ms": 2100}
  ]
}"#;

fn only(file: &str) -> (Exchange, Option<AwsCall>) {
    let (mut imported, outcome) = import(file.as_bytes());
    outcome.expect("the file is importable");
    assert_eq!(imported.len(), 1);
    let one = imported.remove(0);
    (one.exchange, one.call)
}

#[test]
fn the_documented_shape_is_read() {
    let (imported, outcome) = import(DOCUMENTED.as_bytes());
    let report = outcome.expect("the file is importable");
    assert_eq!((report.format, report.imported, report.skipped_total), ("recording", 2, 1));
    assert_eq!(report.skipped[0].pointer, "$.entries[2].status_code");

    let first = &imported[0].exchange;
    assert_eq!(imported[0].call, Some(AwsCall { service: "dynamodb".into(), action: "GetItem".into() }));
    assert_eq!(first.request.url(), "https://dynamodb.eu-west-1.amazonaws.com/");
    assert_eq!(first.started_at.to_string(), "2026-03-02T10:00:01.500000Z");
    assert_eq!(first.timings.total.as_micros(), 12_500);
    assert_eq!(first.request.body, Body::from_bytes("{\"TableName\":\"cups\"}"));
    assert_eq!(first.request.headers.len(), 2);

    let second = &imported[1].exchange;
    assert_eq!(second.request.url(), "https://bucket.s3.amazonaws.com/bucket/a%20b");
    assert_eq!(second.started_at.to_string(), "2026-03-02T10:00:02.000000Z");
}

#[test]
fn the_smallest_entries_in_a_bare_array_are_read() {
    let (exchange, call) = only(
        r#"[{"id":"test-1","service":"s3","action":"GetObject","method":"GET","path":"/my-bucket/key","status_code":200}]"#,
    );
    assert_eq!(call, Some(AwsCall { service: "s3".into(), action: "GetObject".into() }));
    assert_eq!(exchange.request.url(), "https://s3.amazonaws.com/my-bucket/key");
    assert_eq!(exchange.request.scheme, Scheme::Https);
    assert_eq!(exchange.status(), Some(200));
}

#[test]
fn camel_case_and_unknown_services_are_read_and_noted() {
    let (imported, outcome) = import(
        br#"[{"method":"GET","path":"v1?x=1","statusCode":"200","service":"../x","requestHeaders":{"A":["1","2"]},
            "responseBody":"ok","response_headers":{"Content-Encoding":"gzip","Content-Length":"22"}}]"#,
    );
    let report = outcome.expect("the file is importable");
    let exchange = &imported[0].exchange;
    assert_eq!(exchange.request.url(), "https://amazonaws.com/v1?x=1");
    assert_eq!(exchange.request.headers.get_all("a").count(), 2);
    let response = exchange.response.as_ref().expect("it has a response");
    assert_eq!(response.headers, [("Content-Length", "2")].into_iter().collect());
    assert_eq!(response.body, Body::from_bytes("ok"));
    assert_eq!(report.notes.len(), 3, "{:?}", report.notes);
}

#[test]
fn entries_that_cannot_be_used_say_why() {
    for (entry, expected) in [
        ("{\"status_code\": 200, \"path\": \"/\"}", "$[0].method: the entry has no valid method"),
        ("{\"method\": \"GET\", \"status_code\": 200}", "$[0].path: the entry has no path"),
        (
            "{\"method\": \"GET\", \"path\": \"/\", \"service\": \"s3\", \"action\": \"\"}",
            "$[0]: the entry has no `status_code`",
        ),
        (
            "{\"method\": \"GET\", \"path\": \"/\", \"status_code\": -1}",
            "$[0].status_code: it is not a status; 100 to 999 is needed",
        ),
        (
            "{\"method\": \"GET\", \"path\": \"/\", \"status_code\": 200, \"host\": \"a b\"}",
            "$[0].host: it is no valid host",
        ),
    ] {
        let error = import(format!("[{entry}]").as_bytes()).1.expect_err("nothing is usable");
        let expected = format!("none of the 1 entries can be used; the first: {expected}");
        assert_eq!(error.to_string(), expected);
    }
    let error = import(br#"{"entries": {}}"#).1.expect_err("the entries are no array");
    assert_eq!(error.to_string(), "$.entries (line 1, column 13): the entries are an object");
    assert_eq!(import(br#"{"entries": null}"#).1.expect("no entries").imported, 0);
}

#[test]
fn a_written_recording_has_the_documented_fields() {
    let (imported, _) = import(DOCUMENTED.as_bytes());
    let exchanges: Vec<_> = imported.into_iter().map(|one| one.exchange).collect();
    let call = AwsCall { service: "s3".into(), action: "PutObject".into() };
    let file = export("recording", &exchanges, &[], Some(&call));
    let recording: Value = serde_json::from_slice(&file).expect("it is JSON");
    assert_eq!(recording["entry_count"], 2);
    assert_eq!(recording["status"], "completed");
    assert_eq!(recording["name"], "checkout");
    assert_eq!(recording["duration_sec"], 1);
    assert_eq!(recording["started_at"], "2026-03-02T10:00:01.500000Z");
    let entry = &recording["entries"][1];
    for (key, value) in [
        ("service", "s3"),
        ("action", "PutObject"),
        ("method", "PUT"),
        ("path", "/bucket/a%20b"),
        ("request_body", "x"),
        ("response_body", ""),
    ] {
        assert_eq!(entry[key], value, "{key}");
    }
    assert_eq!(entry["status_code"], 200);
    assert_eq!(entry["latency_ms"], 3);
    assert_eq!(entry["offset_ms"], 500);
    assert_eq!(entry["request_headers"]["Host"], "bucket.s3.amazonaws.com");
    assert_eq!(String::from_utf8_lossy(&file).lines().count(), 4);
}
