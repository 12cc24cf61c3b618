//! The fixed routes.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;

use super::{Received, Reply};
use crate::message::latin1;
use crate::pattern;

pub(super) fn answer(request: &Received) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            (found == name).then(|| value.to_owned())
        })
    };
    let count = |name: &str, otherwise: u64| {
        parameter(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    };
    let gate = parameter("gate");
    let gated = |reply: Reply, bytes: String| match &gate {
        Some(gate) => reply.piece_behind(gate, bytes),
        None => reply.piece(bytes),
    };
    let mut segments = path.trim_start_matches('/').split('/');
    let (first, second) = (segments.next().unwrap_or_default(), segments.next());
    let number: Option<u64> = second.and_then(|number| number.parse().ok());
    match (first, number) {
        ("", _) => Reply::text("hello"),
        ("echo", _) => echo(request),
        ("bytes", Some(length)) => {
            let reply = Reply::pattern(length);
            if parameter("chunked").is_some() { reply.chunked() } else { reply }
        }
        ("upload", _) => Reply::json(
            json!({ "length": request.body_length, "intact": request.body_is_pattern }).to_string(),
        ),
        ("gzip", _) => compressed("gzip", request),
        ("deflate", _) => compressed("deflate", request),
        ("sse", _) => {
            let reply = Reply::status(200)
                .header("Content-Type", "text/event-stream")
                .header("Cache-Control", "no-store")
                .chunked();
            (0..count("events", 3)).fold(reply, |reply, number| {
                gated(reply, format!("id: {number}\nevent: tick\ndata: {{\"number\":{number}}}\n\n"))
            })
        }
        ("ndjson", _) => {
            let reply = Reply::status(200).header("Content-Type", "application/x-ndjson").chunked();
            (0..count("lines", 3))
                .fold(reply, |reply, number| gated(reply, format!("{{\"number\":{number}}}\n")))
        }
        ("chunked", _) => {
            let reply =
                Reply::status(200).header("Content-Type", "text/plain").header("Trailer", "X-Checksum");
            (0..count("chunks", 3))
                .fold(reply, |reply, number| gated(reply, format!("chunk {number}\n")))
                .trailer("X-Checksum", "42")
        }
        ("status", Some(status @ 200..=999)) => Reply::status(status as u16),
        ("slow", _) => Reply::text("at last").behind(gate.as_deref().unwrap_or("slow")),
        ("json", _) => Reply::json(
            json!({ "id": second, "name": format!("thing {}", second.unwrap_or_default()) }).to_string(),
        ),
        ("cookies", _) => {
            Reply::text("two").header("Set-Cookie", "a=1; Path=/").header("Set-Cookie", "b=2; HttpOnly")
        }
        ("hints", _) => Reply::text("hinted").after_interim(103, &[("Link", "</style.css>; rel=preload")]),
        ("redirect", _) => {
            Reply::status(302).header("Location", &parameter("to").unwrap_or_else(|| "/".to_owned()))
        }
        ("close", _) => Reply::text("until the end").until_close(),
        _ => Reply::json(json!({ "error": "no such route", "target": request.target }).to_string())
            .with_status(404),
    }
}

fn echo(request: &Received) -> Reply {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
    let trailers: Vec<_> = request.trailers.iter().map(|(name, value)| json!([name, value])).collect();
    Reply::json(
        json!({
            "connection": request.connection,
            "method": request.method,
            "target": request.target,
            "version": request.version,
            "headers": headers,
            "rawHead": latin1(&request.raw_head),
            "body": String::from_utf8_lossy(&request.body),
            "bodyLength": request.body_length,
            "bodySha256": pattern::sha256_of(&request.body),
            "trailers": trailers,
        })
        .to_string(),
    )
}

fn compressed(coding: &str, request: &Received) -> Reply {
    let text =
        json!({ "coding": coding, "target": request.target, "filler": "mimosa ".repeat(200) }).to_string();
    let whole = "writing to memory does not fail";
    let bytes = if coding == "gzip" {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect(whole);
        encoder.finish().expect(whole)
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect(whole);
        encoder.finish().expect(whole)
    };
    Reply::bytes("application/json", bytes)
        .header("Content-Encoding", coding)
        .header("Vary", "Accept-Encoding")
}
