//! Files that are wrong as a whole or in part: each gets a place and a reason, and what is good is kept.

use std::io::Write;
use std::ops::ControlFlow;

use mimeo_formats::registry::{self, by_name};
use mimeo_formats::{Error, Limits};
use mimeo_model::{Problem, ProblemKind};
use proptest::prelude::*;

use crate::arbitrary;
use crate::drive::{export, import, import_from, numbered_ids};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).and_then(|()| out.finish()).expect("a vector takes every byte")
}

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    mark.then_some(0xfeff).into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

const ENTRY: &str = r#"{"startedDateTime": "2026-03-02T10:00:00Z", "time": 1,
    "request": {"method": "GET", "url": "http://a.example/", "httpVersion": "HTTP/1.1", "headers": []},
    "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "content": {}},
    "timings": {"send": 0, "wait": 1, "receive": 0}}"#;

fn har(entries: &str) -> String {
    format!("{{\"log\": {{\"version\": \"1.2\", \"entries\": [{entries}]}}}}")
}

#[test]
fn files_that_cannot_be_read_say_why_and_where() {
    let good = har(ENTRY);
    for (file, expected) in [
        (Vec::new(), "the file is empty"),
        (b" \n\t".to_vec(), "the file is empty"),
        (gzip(b""), "the file is empty"),
        (
            good.as_bytes()[..good.len() - 3].to_vec(),
            "$.log.entries[0] (line 4, column 53): the file ends here, in the middle of a value",
        ),
        (
            good.as_bytes()[..150].to_vec(),
            "$.log.entries[0] (line 2, column 57): the file ends here, in the middle of a value",
        ),
        (b"{\"log\":".to_vec(), "$.log (line 1, column 8): the file ends here, in the middle of a value"),
        (b"{\"log\": 3}".to_vec(), "$.log (line 1, column 9): `log` is a number"),
        (b"{\"log\": {}}".to_vec(), "$.log (line 1, column 11): `log` has no `entries`"),
        (
            b"{\"log\": {\n \"entries\": \"none\"}}".to_vec(),
            "$.log.entries (line 2, column 13): the entries are a string",
        ),
        (
            b"{\"log\": {\"entries\": []}} {}".to_vec(),
            "the file is a file of JSON lines, not a HAR file or an AWS recording",
        ),
        (
            b"{\"log\": {\"entries\": []}} x".to_vec(),
            "$ (line 1, column 26): something follows the end of the document",
        ),
        (b"{log: {}}".to_vec(), "$[\"\"] (line 1, column 2): a key in double quotes is expected"),
        (
            b"{\"info\": {}, \"item\": []}".to_vec(),
            "the file is a Postman collection, not a HAR file or an AWS recording",
        ),
        (
            b"openapi: 3.0.0\n".to_vec(),
            "the file is an OpenAPI description, not a HAR file or an AWS recording",
        ),
        (
            b"{\"request\": {}, \"response\": {}}".to_vec(),
            "the file is a WireMock mapping, not a HAR file or an AWS recording",
        ),
        (b"{\"a\": 1}".to_vec(), "the file is JSON with the keys `a`, not a HAR file or an AWS recording"),
        (b"PK\x03\x04".to_vec(), "the file is a ZIP archive, not a HAR file or an AWS recording"),
        (b"\x7fELF\x00\x01".to_vec(), "the file is a binary file, not a HAR file or an AWS recording"),
        (
            utf16(&good, false),
            "the file is UTF-16 or UTF-32 text without a byte order mark, not a HAR file or an AWS recording",
        ),
        (b"\x1f\x8b\x08\x00broken".to_vec(), "the gzip stream is damaged: incomplete deflate stream"),
        (
            har("3, {\"request\": {}}").into_bytes(),
            "none of the 2 entries can be used; the first: $.log.entries[0]: the entry is a number; an object is needed",
        ),
    ] {
        let error = import(&file).1.expect_err("the file is broken");
        assert_eq!(error.to_string(), expected, "{}", String::from_utf8_lossy(&file));
        assert_ne!(Problem::from(&error).kind, ProblemKind::Internal);
    }
}

#[test]
fn a_file_of_another_format_than_asked_for_is_called_by_its_name() {
    let (_, outcome) = import_from(&mut &b"[{\"status_code\": 200}]"[..], Some("har"), Limits::default());
    let problem = Problem::from(&outcome.expect_err("it is no HAR"));
    assert_eq!(problem.to_string(), "the file is an AWS recording, not a HAR file; accepted: a HAR file");

    let (_, outcome) = import_from(&mut &b"{\"a\": 1}"[..], Some("har"), Limits::default());
    let problem = Problem::from(&outcome.expect_err("it is no HAR"));
    assert_eq!(
        problem.to_string(),
        "$ (line 1, column 9): there is no `log`; accepted: an object with `log`"
    );
}

#[test]
fn the_same_file_is_read_in_every_wrapping() {
    let good = har(ENTRY);
    let expected = import(good.as_bytes()).0;
    assert_eq!(expected.len(), 1);
    for file in [
        [b"\xef\xbb\xbf", good.as_bytes()].concat(),
        utf16(&good, true),
        gzip(good.as_bytes()),
        gzip(&utf16(&good, true)),
        format!("{{\"junk\": [{{}}], \"log\": {{\"entries\": [{ENTRY}], \"creator\": null}}, \"x\": 1}}\n\n")
            .into_bytes(),
    ] {
        assert_eq!(import(&file).0, expected);
    }
}

#[test]
fn entries_that_cannot_be_used_are_skipped_with_their_place() {
    let deep = format!("{{\"request\": {}1{}}}", "[".repeat(300), "]".repeat(300));
    let large = format!("{{\"request\": \"{}\"}}", "x".repeat(5000));
    let entries = [
        ENTRY,
        "{\"request\": {\"method\": \"GET\\q\"}}",
        "{}",
        "null",
        &deep,
        &large,
        &ENTRY.replace("GET", "G T"),
        &ENTRY.replace("200", "20"),
        &ENTRY.replace("\"http://a.example/\"", "null"),
        &ENTRY.replace("http:", "ftp:"),
        &ENTRY.replace("\"request\": {", "\"request\": {\"_target\": \"/a\\r\\nX: y\","),
        ENTRY,
    ]
    .join(",\n");
    let file = har(&entries);
    let limits = Limits { entry: 4096, ..Limits::default() };
    let (imported, outcome) = import_from(&mut file.as_bytes(), None, limits);
    let report = outcome.expect("two entries are good");
    assert_eq!(imported.iter().map(|one| one.index).collect::<Vec<_>>(), [0, 11]);
    let skipped: Vec<_> = report
        .skipped
        .iter()
        .map(|skipped| format!("line {} {}: {}", skipped.line, skipped.pointer, skipped.why))
        .collect();
    let expected = [
        "line 5 $.log.entries[1]: line 5, column 29: the escape is not one of JSON",
        "line 6 $.log.entries[2].request: the entry has no request",
        "line 7 $.log.entries[3]: the entry is null; an object is needed",
        "line 8 $.log.entries[4]: the entry is nested deeper than 128 levels",
        "line 9 $.log.entries[5]: the entry is larger than 4096 bytes",
        "line 10 $.log.entries[6].request.method: the request has no valid method",
        "line 14 $.log.entries[7].response.status: it is not a status; 100 to 999 is needed",
        "line 18 $.log.entries[8].request.url: the request has no URL",
        "line 22 $.log.entries[9].request.url: a `ftp:` URL is no HTTP request",
        "line 26 $.log.entries[10].request._target: it is no valid request target",
    ];
    assert_eq!(skipped, expected);
    assert_eq!((report.imported, report.skipped_total), (2, 10));
    assert_eq!(report.notes, []);
}

#[test]
fn header_fields_cannot_break_out_of_their_line() {
    let entry = ENTRY.replace(
        "\"headers\": []},\n    \"response\"",
        "\"headers\": [{\"name\": \"A\", \"value\": \"1\\r\\nB: 2\"}, {\"name\": \"C\\nD\", \"value\": \"3\"},
        {\"name\": \"E\", \"value\": \"4\", \"_base64\": \"NQ0KRjogNg==\"}]},\n    \"response\"",
    );
    let (imported, outcome) = import(har(&entry).as_bytes());
    assert_eq!(outcome.expect("it is importable").notes.len(), 2);
    let fields: Vec<_> = imported[0]
        .exchange
        .request
        .headers
        .iter()
        .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
        .collect();
    assert_eq!(fields, ["A=1", "A=B: 2", "E=4"]);
}

#[test]
fn identifiers_that_come_twice_are_given_anew() {
    let entry = ENTRY.replace("\"time\"", "\"_id\": \"0192f0a0-0000-7000-8000-000000000001\", \"time\"");
    let (imported, outcome) = import(har(&format!("{entry},{entry}")).as_bytes());
    let report = outcome.expect("both entries are good");
    assert_eq!(imported[0].exchange.id.to_string(), "0192f0a0-0000-7000-8000-000000000001");
    assert_ne!(imported[0].exchange.id, imported[1].exchange.id);
    assert_eq!(report.notes.len(), 1);
}

#[test]
fn the_caller_can_stop_an_import() {
    let file = har(&[ENTRY; 5].join(","));
    let mut seen = 0;
    let report = registry::import(
        &mut file.as_bytes(),
        Some(by_name("HAR").expect("the format exists")),
        Limits::default(),
        &mut numbered_ids(),
        &mut |_| {
            seen += 1;
            if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    )
    .expect("stopping is no fault");
    assert!(report.stopped);
    assert_eq!((seen, report.imported), (2, 2));
}

#[test]
fn a_file_cut_anywhere_gives_what_came_before_and_a_place() {
    let recorded = [(); 3].map(|()| import(har(ENTRY).as_bytes()).0.remove(0).exchange);
    for format in ["har", "recording"] {
        let whole = export(format, &recorded, &[], None);
        let ends: Vec<usize> = (0..whole.len())
            .filter(|at| {
                (whole[..*at].ends_with(b"}") && whole[*at..].starts_with(b",\n{"))
                    || whole[..*at].ends_with(b"}\n")
            })
            .collect();
        for cut in 0..whole.len() - 2 {
            let (imported, outcome) = import(&whole[..cut]);
            let complete = ends.iter().filter(|end| **end <= cut).count();
            match outcome {
                Err(Error::Truncated { line, column, path, imported: counted }) => {
                    assert!(path.starts_with('$'));
                    assert_eq!(counted, imported.len() as u64);
                    let lines = whole[..cut].split(|byte| *byte == b'\n').count() as u64;
                    assert_eq!(line, lines, "cut at {cut}");
                    assert!(column >= 1);
                }
                Err(Error::Empty | Error::WrongFormat { .. }) => assert!(imported.is_empty()),
                other => panic!("cut at {cut}: {other:?}"),
            }
            assert!(imported.len() >= complete.min(2), "cut at {cut}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_an_import_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = import(&bytes);
    }

    #[test]
    fn no_damage_to_a_file_makes_an_import_panic(
        exchange in arbitrary::exchange(),
        format in proptest::sample::select(vec!["har", "recording"]),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = export(format, [&exchange], &[], None);
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = import(&file);
        for name in ["har", "recording"] {
            let _ = import_from(&mut &file[..], Some(name), Limits { entry: 500, unpacked: 1 << 20 });
        }
    }

    #[test]
    fn no_value_in_any_place_makes_an_import_panic(
        at in any::<proptest::sample::Index>(),
        value in proptest::sample::select(vec![
            "null", "-1", "1e400", "18446744073709551616", "-0", "\"\"", "\"\\u0000\"", "\"\\ud800\"", "[]",
            "{}", "[[]]", "true", "\"\u{1f642}\"", "[null]", "{\"name\": 3}", "1.5",
        ]),
    ) {
        let fixture = include_str!("../fixtures/chrome.har");
        // Every value that follows a key or stands in a list begins after `: ` or `[ `.
        let places: Vec<usize> =
            (2..fixture.len()).filter(|at| [": ", "[ "].contains(&fixture.get(at - 2..*at).unwrap_or(""))).collect();
        let at = places[at.index(places.len())];
        let rest = &fixture[at..];
        let end = match rest.as_bytes()[0] {
            b'"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            b'{' | b'[' => 0,
            _ => rest.find([',', ' ', '\n', '}']).unwrap_or(rest.len()),
        };
        let comma = if end == 0 { "," } else { "" };
        let file = format!("{}{value}{comma}{}", &fixture[..at], &rest[end..]);
        let _ = import(file.as_bytes());
    }
}
