//! What other programs write, as they write it: each file becomes exchanges, notes and skipped entries.
//!
//! The files under `tests/fixtures` are made by hand in the shape of each program's exports.

use std::fmt::Write;

use mimeo_model::{Body, Exchange, Headers};

use crate::drive::{exchanges, export, import};

fn fields(out: &mut String, headers: &Headers) {
    for (name, value) in headers.iter() {
        let _ = writeln!(
            out,
            "    {}: {}",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value).escape_debug()
        );
    }
}

fn body(out: &mut String, name: &str, body: &Body) {
    if body.is_empty() {
        return;
    }
    let bytes = body.inline().map_or(&[][..], |bytes| bytes);
    let _ = writeln!(out, "    {name} of {} bytes: {}", body.length, bytes.escape_ascii());
    for chunk in &body.chunks {
        let _ = writeln!(out, "      until {} at {:?}", chunk.end, chunk.at);
    }
}

fn describe(exchange: &Exchange) -> String {
    let mut out = String::new();
    let request = &exchange.request;
    let _ = writeln!(
        out,
        "{} {} {} on {}, {}",
        request.method,
        request.url(),
        request.version.as_str(),
        exchange.connection,
        exchange.started_at
    );
    fields(&mut out, &request.headers);
    body(&mut out, "body", &request.body);
    if let Some(response) = &exchange.response {
        let reason = response.reason.as_deref().map(String::from_utf8_lossy);
        let _ = writeln!(out, "  {} {} {reason:?}", response.version.as_str(), response.status);
        fields(&mut out, &response.headers);
        body(&mut out, "body", &response.body);
    }
    let _ = writeln!(out, "  {:?}", exchange.timings);
    for frame in &exchange.frames {
        let _ = writeln!(
            out,
            "  {:?} {:?} at {:?}: {}",
            frame.direction,
            frame.opcode,
            frame.at,
            frame.payload.escape_ascii()
        );
    }
    out
}

fn check(name: &str, file: &[u8]) {
    let (imported, outcome) = import(file);
    let report = outcome.expect("the file is importable");
    let mut out = format!("creator {:?}, imported {}\n\n", report.creator, report.imported);
    for one in &imported {
        let _ = writeln!(out, "{}: {}", one.index, describe(&one.exchange));
    }
    for skipped in &report.skipped {
        let _ = writeln!(
            out,
            "skipped {} (line {}): {}: {}",
            skipped.index, skipped.line, skipped.pointer, skipped.why
        );
    }
    for note in &report.notes {
        let _ = writeln!(out, "noted {} times: {} (first {})", note.count, note.what, note.first);
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, out);
    });

    // What was imported is a fixed point of export and import.
    let exchanges_of_tool: Vec<_> = imported.into_iter().map(|one| one.exchange).collect();
    assert_eq!(exchanges(&export("har", &exchanges_of_tool, &[], None)), exchanges_of_tool);
}

#[test]
fn chrome_files_import() {
    check("chrome", include_bytes!("../fixtures/chrome.har"));
}

#[test]
fn firefox_files_import() {
    check("firefox", include_bytes!("../fixtures/firefox.har"));
}

#[test]
fn charles_files_import() {
    check("charles", include_bytes!("../fixtures/charles.har"));
}

#[test]
fn fiddler_files_import() {
    check("fiddler", &[b"\xef\xbb\xbf", &include_bytes!("../fixtures/fiddler.har")[..]].concat());
}
