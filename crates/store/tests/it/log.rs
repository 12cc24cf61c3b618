//! The traffic log: what is written is read, and damage costs what it hit and nothing else.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use mimeo_model::{Body, Content, FailureKind, Gap, GapReason, SessionId, Timestamp};
use mimeo_store::traffic::{BodyFiles, Found, LogReader, LogWriter, Part, Record, Settings, TrafficError};

use crate::exchanges::exchange;

pub(crate) fn session() -> SessionId {
    SessionId::new(Timestamp::from_unix_micros(1_795_000_000_000_000), [1; 10])
}

pub(crate) fn writer(folder: &Path, settings: Settings) -> LogWriter {
    LogWriter::create(folder, session(), settings).expect("a log")
}

/// Writes `blocks` blocks of `each` exchanges.
pub(crate) fn write(folder: &Path, blocks: u64, each: u64) {
    let mut log = writer(folder, Settings::default());
    for block in 0..blocks {
        for place in 0..each {
            log.append(&Record::Exchange(Box::new(exchange(block * each + place + 1))));
        }
        log.flush().expect("written");
    }
    log.sync().expect("synchronised");
}

pub(crate) fn read(folder: &Path) -> (Vec<u64>, usize) {
    let (mut sequences, mut gaps) = (Vec::new(), 0);
    for found in LogReader::open(folder) {
        match found.expect("readable") {
            Found::Exchange { sequence, exchange: read, .. } => {
                assert_eq!(*read, exchange(sequence));
                sequences.push(sequence);
            }
            Found::Gap(_) => gaps += 1,
        }
    }
    (sequences, gaps)
}

#[test]
fn what_is_written_is_read_across_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings { segment: 2_000, ..Settings::default() });
    let mut locations = Vec::new();
    for number in 1..=50 {
        let (sequence, index) = log.append(&Record::Exchange(Box::new(exchange(number))));
        assert_eq!((sequence, index), (number, 0));
        locations.push(log.flush().expect("written").expect("a block"));
    }
    assert!(locations.last().expect("many").segment > 5);
    assert_eq!(read(folder.path()), ((1..=50).collect(), 0));
    for (number, location) in (1..).zip(locations) {
        assert_eq!(LogReader::read_at(folder.path(), location).expect("readable"), Some(exchange(number)));
    }
}

#[test]
fn a_log_is_read_while_it_is_written_and_has_one_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings::default());
    let mut reader = LogReader::open(folder.path());
    for number in 1..=3 {
        assert_eq!(reader.read().expect("readable"), None);
        log.append(&Record::Exchange(Box::new(exchange(number))));
        assert_eq!(reader.read().expect("readable"), None);
        log.flush().expect("written");
        assert!(matches!(reader.read(), Ok(Some(Found::Exchange { sequence, .. })) if sequence == number));
    }
    assert!(matches!(
        LogWriter::create(folder.path(), session(), Settings::default()),
        Err(TrafficError::Locked { pid, .. }) if pid == std::process::id().to_string()
    ));
}

#[test]
fn an_opened_exchange_is_put_together_and_an_unfinished_one_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings::default());
    let whole = exchange(1);
    let mut head = whole.clone();
    let mut end = whole.clone();
    head.request.body = Body::empty();
    head.response = None;
    (head.frames, end.frames) = (Vec::new(), Vec::new());
    end.request.body.content = Content::default();
    if let Some(response) = &mut end.response {
        response.body.content = Content::default();
    }
    let id = whole.id;
    log.append(&Record::Open(Box::new(head.clone())));
    log.append(&Record::Part { id, part: Part::RequestBody(Bytes::from_static(b"in")) });
    log.flush().expect("written");

    let mut reader = LogReader::open(folder.path());
    assert_eq!(reader.read().expect("readable"), None);
    assert!(matches!(&reader.unfinished()[..], [Found::Exchange { live: true, .. }]));

    log.append(&Record::Part { id, part: Part::ResponseBody(Bytes::from_static(b"{\"order\"")) });
    log.append(&Record::Part { id, part: Part::ResponseBody(Bytes::from_static(b":1}")) });
    log.append(&Record::Part { id, part: Part::Frame(whole.frames[0].clone()) });
    log.append(&Record::End(Box::new(end)));
    let mut second = exchange(2);
    second.failure = None;
    log.append(&Record::Open(Box::new(second)));
    log.flush().expect("written");
    drop(log);

    let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
    let [
        Found::Exchange { exchange: first, sequence: 1, .. },
        Found::Exchange { exchange: last, sequence: 2, live: false, .. },
    ] = &found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(**first, whole);
    assert_eq!(last.failure.as_ref().map(|failure| failure.kind), Some(FailureKind::Interrupted));
}

#[test]
fn gaps_and_large_bodies_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = BodyFiles::of_session(folder.path());
    let mut body = files.create().expect("a body");
    body.write(b"large ").expect("written");
    body.write(b"body").expect("written");
    let (digest, length) = body.finish().expect("named");
    assert_eq!(&files.read(digest).expect("readable")[..], b"large body");
    drop(files.create().expect("another"));
    let left = fs::read_dir(folder.path().join("bodies")).expect("there").count();
    assert_eq!(left, 1, "an unfinished body leaves nothing");

    let mut stored = exchange(1);
    stored.request.body =
        Body { content: Content::Stored { digest, length }, length: 50, chunks: Vec::new() };
    let at = Timestamp::from_unix_micros(5);
    let gap = Gap {
        from: at,
        to: at.plus(Duration::from_secs(1)),
        exchanges: 3,
        bodies: 1,
        reason: GapReason::Overflow,
    };
    let mut log = writer(&folder.path().join("log"), Settings::default());
    log.append(&Record::Exchange(Box::new(stored.clone())));
    log.append(&Record::Gap(gap));
    log.flush().expect("written");
    let found: Vec<_> =
        LogReader::open(&folder.path().join("log")).collect::<Result<_, _>>().expect("readable");
    assert!(
        matches!(&found[..], [Found::Exchange { exchange, .. }, Found::Gap(read)] if **exchange == stored && *read == gap)
    );
}

#[test]
fn version_1_is_read_as_it_was_written() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version-1");
    if std::env::var_os("UPDATE").is_some() {
        let _ = fs::remove_dir_all(&golden);
        write(&golden, 2, 2);
        fs::remove_file(golden.join("writer.lock")).expect("there");
    }
    assert_eq!(read(&golden), (vec![1, 2, 3, 4], 0));
}
