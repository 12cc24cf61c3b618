//! Logs that are continued, and logs that are read while they grow.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mimeo_model::{Gap, GapReason, SessionId, Timestamp};
use mimeo_store::DataDir;
use mimeo_store::traffic::{
    BodyFiles, Discarded, Found, LogReader, LogWriter, Record, Repaired, Settings, TrafficError,
};

use crate::exchanges::exchange;
use crate::log::{read, session, write, writer};

fn append(log: &mut LogWriter, number: u64) -> u64 {
    log.append(&Record::Exchange(Box::new(exchange(number)))).0
}

fn open(folder: &Path) -> LogWriter {
    LogWriter::open(folder, session(), Settings::default()).expect("a log")
}

#[test]
fn a_log_goes_on_behind_a_torn_tail() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 3, 2);
    let segment = folder.path().join("00000001.mseg");
    let bytes = fs::read(&segment).expect("there");
    fs::write(&segment, &bytes[..bytes.len() - 5]).expect("written");
    fs::write(folder.path().join("00000002.mseg"), b"MIMEO").expect("written");
    let bodies = BodyFiles::of_session(folder.path());
    std::mem::forget(bodies.create().expect("a body"));

    let mut log = open(folder.path());
    let Repaired { cut, bodies } = log.repaired();
    assert!(cut > 40 && bodies == 1);
    assert_eq!(fs::read_dir(folder.path().join("bodies")).expect("there").count(), 0);
    assert!(!folder.path().join("00000002.mseg").exists());
    assert_eq!(append(&mut log, 5), 5);
    log.flush().expect("written");
    drop(log);
    assert_eq!(read(folder.path()), ((1..=5).collect(), 0));
    assert_eq!(open(folder.path()).repaired(), Repaired::default());
}

#[test]
fn damage_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 2, 2);
    let segment = folder.path().join("00000001.mseg");
    let mut bytes = fs::read(&segment).expect("there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    let mut log = open(folder.path());
    assert_eq!(append(&mut log, 5), 5);
    log.flush().expect("written");
    assert_eq!(fs::read(&segment).expect("there"), bytes);
    let gap = |found: &Found| match found {
        Found::Gap(gap) => Some((gap.exchanges, gap.reason)),
        Found::Exchange { .. } => None,
    };
    let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
    assert_eq!(found.iter().filter_map(gap).collect::<Vec<_>>(), [(2, GapReason::Damage)]);
}

#[test]
fn a_log_belongs_to_its_session_and_is_not_begun_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 1, 1);
    let other = SessionId::new(Timestamp::from_unix_micros(7), [7; 10]);
    let opened = LogWriter::open(folder.path(), other, Settings::default());
    assert!(matches!(opened, Err(TrafficError::OtherSession { found, .. }) if found == session()));
    let created = LogWriter::create(folder.path(), session(), Settings::default());
    assert!(matches!(created, Err(TrafficError::Exists { .. })));
    assert_eq!(read(folder.path()), (vec![1], 0));
}

#[test]
fn what_is_given_up_leaves_no_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings::default());
    append(&mut log, 1);
    let at = Timestamp::from_unix_micros(5);
    let gap = Gap { from: at, to: at, exchanges: 1, bodies: 0, reason: GapReason::Overflow };
    log.append(&Record::Gap(gap));
    assert_eq!(log.discard(), Discarded { exchanges: 1, others: 1, written: None });
    assert_eq!((append(&mut log, 1), log.pending_bytes() > 0), (1, true));
    log.flush().expect("written");
    assert_eq!(log.pending_bytes(), 0);
    assert_eq!(log.flush().expect("nothing to do"), None);
    log.skip_to(6);
    assert_eq!(append(&mut log, 7), 7);
    log.flush().expect("written");
    drop(log);
    // Numbers that an index knows and the log does not are exchanges that are missing.
    assert_eq!(read(folder.path()), (vec![1, 7], 1));
}

#[test]
fn a_growing_log_is_followed_without_a_slip() {
    const EXCHANGES: u64 = 3_000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    let mut log = writer(&path, Settings { segment: 4_000, ..Settings::default() });
    let writing = std::thread::spawn(move || {
        for number in 1..=EXCHANGES {
            append(&mut log, number);
            if number % 3 == 0 {
                log.flush().expect("written");
            }
        }
    });
    let mut reader = LogReader::open(folder.path());
    let mut expected = 1;
    while expected <= EXCHANGES {
        match reader.read().expect("readable") {
            Some(Found::Exchange { sequence, .. }) => {
                assert_eq!(sequence, expected);
                expected += 1;
            }
            Some(Found::Gap(gap)) => panic!("{gap:?} before {expected}"),
            None => std::thread::yield_now(),
        }
    }
    writing.join().expect("written");
    assert_eq!(reader.damage_count(), 0);
}

#[test]
fn bodies_are_checked_bounded_and_read_bit_by_bit() {
    use std::io::Read;
    let folder = tempfile::tempdir().expect("a folder");
    let files = BodyFiles::of_session(folder.path());
    let mut body = files.create().expect("a body");
    body.write(b"large body").expect("written");
    let (digest, length) = body.finish().expect("named");
    let too_long = files.read_at_most(digest, length - 1);
    assert!(matches!(too_long, Err(TrafficError::TooLong { length: 10, limit: 9, .. })));
    assert_eq!(&files.read_at_most(digest, length).expect("short enough")[..], b"large body");
    let mut beginning = [0; 5];
    files.reader(digest).expect("open").read_exact(&mut beginning).expect("readable");
    assert_eq!(&beginning, b"large");
    let name = digest.to_string();
    let path = folder.path().join("bodies").join(&name[..2]).join(&name);
    fs::write(&path, b"other body").expect("written");
    assert!(matches!(files.read(digest), Err(TrafficError::DamagedBody { .. })));
}

#[test]
fn a_body_that_no_block_could_hold_goes_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings::default());
    let mut large = exchange(1);
    let bytes = vec![b'x'; 40 << 20];
    large.response.as_mut().expect("answered").body = mimeo_model::Body::from_bytes(bytes.clone());
    log.append(&Record::Exchange(Box::new(large)));
    log.flush().expect("written");
    let found = LogReader::open(folder.path()).next().expect("one").expect("readable");
    let Found::Exchange { exchange, .. } = found else { panic!("{found:?}") };
    let body = &exchange.response.as_ref().expect("answered").body;
    let mimeo_model::Content::Stored { digest, .. } = body.content else { panic!("{body:?}") };
    assert!(!body.is_truncated());
    assert!(BodyFiles::of_session(folder.path()).read(digest).expect("there") == bytes);
}

#[test]
fn everything_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = DataDir::open(folder.path().join("data")).expect("a data directory");
    let path = data.session(session());
    write(&path, 1, 1);
    let files = BodyFiles::of_session(&path);
    let mut body = files.create().expect("a body");
    body.write(b"secret").expect("written");
    body.finish().expect("named");
    let mut waiting = vec![data.root().to_owned()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        seen += 1;
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("listed").map(|entry| entry.expect("listed").path()));
        }
    }
    assert_eq!(seen, 8);
}
