//! The log on a disk that fails: at the Nth operation, for a while, for good, or by losing its power.
//!
//! Each scenario is run again and again with the fault one operation later, until it is no longer reached.

mod disk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mimeo_model::exchange::Version;
use mimeo_model::{
    AnsweredBy, Body, Content, Exchange, ExchangeId, Headers, Method, Request, Response, Scheme, SessionId,
    Timestamp, Timings,
};

use disk::{Fault, FaultyDisk};

use crate::traffic::{
    BodyFiles, Found, Location, LogReader, LogWriter, Part, Record, Settings, TrafficError,
};

/// How often a caller tries again.
const TRIES: usize = 4;
const SMALL: Settings = Settings { segment: 700, block: 300 };

fn session() -> SessionId {
    SessionId::new(Timestamp::from_unix_micros(1_000), [9; 10])
}

fn exchange(number: u64) -> Exchange {
    let started_at = Timestamp::from_unix_micros(number as i64 * 1_000);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    Exchange {
        id: ExchangeId::new(started_at, random),
        started_at,
        connection: 1,
        request: Request {
            method: Method::GET,
            scheme: Scheme::Http,
            authority: "a.example".into(),
            target: Bytes::from(format!("/{number}")),
            version: Version::Http11,
            headers: Headers::new(),
            body: Body::empty(),
            trailers: Headers::new(),
        },
        response: Some(Response {
            status: 200,
            body: Body::from_bytes(format!("body {number} {:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            ..Response::default()
        }),
        failure: None,
        timings: Timings::default(),
        frames: Vec::new(),
        answered_by: AnsweredBy::Upstream,
        graphql: Vec::new(),
    }
}

fn body_of(exchange: &mut Exchange) -> &mut Body {
    &mut exchange.response.as_mut().expect("answered").body
}

/// What a caller was told.
#[derive(Debug, Default)]
struct Told {
    /// Exchanges that were announced, by number of their kind, and where they lie.
    announced: BTreeMap<ExchangeId, (u64, Location, Exchange)>,
    /// Those of them that were announced before a successful synchronisation.
    synced: Vec<ExchangeId>,
    appended: u64,
    discarded: u64,
    full: usize,
    sync_failed: bool,
}

/// Writes whole exchanges, a stream and a large body in groups, as a recorder does. Gives up a group after
/// some tries.
fn record(disk: &Arc<FaultyDisk>, folder: &Path, first: u64) -> Result<Told, TrafficError> {
    let mut told = Told::default();
    let mut log = LogWriter::open_on(disk.clone(), folder, session(), SMALL)?;
    let bodies = BodyFiles::on(disk.clone(), folder);
    for group in 0..5 {
        let number = first + group * 10;
        let mut waiting = Vec::new();
        let mut put = |log: &mut LogWriter, record: Record, whole: Option<Exchange>| {
            told.appended += u64::from(matches!(record, Record::Exchange(_) | Record::Open(_)));
            let (sequence, index) = log.append(&record);
            waiting.extend(whole.map(|whole| (sequence, index, whole)));
        };
        for more in 0..4 {
            let whole = exchange(number + more);
            put(&mut log, Record::Exchange(Box::new(whole.clone())), Some(whole));
        }
        let whole = exchange(number + 4);
        let mut head = whole.clone();
        *body_of(&mut head) = Body::empty();
        put(&mut log, Record::Open(Box::new(head)), None);
        let bytes = whole.response.as_ref().and_then(|response| response.body.inline()).cloned();
        let part = Part::ResponseBody(bytes.unwrap_or_default());
        put(&mut log, Record::Part { id: whole.id, part }, None);
        let mut end = whole.clone();
        body_of(&mut end).content = Content::default();
        put(&mut log, Record::End(Box::new(end)), Some(whole));
        let mut large = exchange(number + 5);
        if let Ok((digest, length)) = keep(&bodies, number) {
            *body_of(&mut large) =
                Body { content: Content::Stored { digest, length }, length, chunks: vec![] };
        }
        put(&mut log, Record::Exchange(Box::new(large.clone())), Some(large));

        let mut place = None;
        for _ in 0..TRIES {
            match log.flush() {
                Ok(found) => {
                    place = found;
                    break;
                }
                Err(error) => told.full += usize::from(matches!(error, TrafficError::Full { .. })),
            }
        }
        let written = match place {
            Some(place) => Some((place, u32::MAX)),
            None => {
                let discarded = log.discard();
                told.discarded += discarded.exchanges;
                discarded.written
            }
        };
        if let Some((place, records)) = written {
            let written = waiting.into_iter().filter(|(_, index, _)| *index < records);
            told.announced.extend(
                written.map(|(sequence, index, whole)| {
                    (whole.id, (sequence, Location { index, ..place }, whole))
                }),
            );
        }
        match log.sync() {
            Ok(()) if !told.sync_failed => told.synced = told.announced.keys().copied().collect(),
            Ok(()) => {}
            Err(_) => told.sync_failed = true,
        }
        if disk.is_down() {
            break;
        }
    }
    Ok(told)
}

fn keep(bodies: &BodyFiles, number: u64) -> Result<(mimeo_model::Digest, u64), TrafficError> {
    let mut body = bodies.create()?;
    body.write(format!("large body {number}").as_bytes())?;
    body.finish()
}

/// Reads everything; asserts that it is what was written, each once, and in order of number within groups.
fn contents(folder: &Path) -> BTreeMap<ExchangeId, u64> {
    let bodies = BodyFiles::of_session(folder);
    let mut seen = BTreeMap::new();
    for found in LogReader::open(folder) {
        let Found::Exchange { sequence, exchange: read, live, .. } = found.expect("readable") else {
            continue;
        };
        assert!(!live);
        if let Some(body) = read.response.as_ref().map(|response| &response.body)
            && let Content::Stored { digest, .. } = body.content
        {
            let bytes = bodies.read(digest).expect("the body that a record names is there");
            assert!(bytes.starts_with(b"large body "));
        } else if read.failure.is_none() {
            let number = u64::from_be_bytes(read.id.as_bytes()[8..].try_into().expect("eight bytes"));
            // The variant bits of the identifier take the top of the number.
            assert_eq!(*read, exchange(number & 0xffff_ffff));
        }
        assert_eq!(seen.insert(read.id, sequence), None, "an exchange is there once");
    }
    let mut sequences: Vec<_> = seen.values().collect();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), seen.len(), "a number is given once");
    seen
}

fn assert_announced(folder: &Path, told: &Told) {
    let seen = contents(folder);
    for (id, (sequence, location, whole)) in &told.announced {
        assert_eq!(seen.get(id), Some(sequence), "announced and there under its number");
        let read = LogReader::read_at(folder, *location).expect("readable").expect("at its place");
        assert_eq!(read, *whole);
    }
}

#[test]
fn one_failing_operation_loses_nothing() {
    for fault in [Fault::Full, Fault::Broken] {
        let mut reached = 0;
        for nth in 1.. {
            let folder = tempfile::tempdir().expect("a folder");
            let disk = FaultyDisk::new(nth, 1, fault);
            let Ok(told) = record(&disk, folder.path(), 1) else { continue };
            assert_eq!(told.discarded, 0, "{fault:?} {nth}");
            assert_eq!(told.announced.len() as u64, told.appended);
            assert_announced(folder.path(), &told);
            let gaps = LogReader::open(folder.path()).filter(|found| matches!(found, Ok(Found::Gap(_))));
            assert_eq!(gaps.count(), 0, "{fault:?} {nth}: what was written again is not called lost");
            reached = nth;
            if !disk.was_reached() {
                break;
            }
        }
        assert!(reached > 40, "the scenario has {reached} operations");
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_what_was_given_up() {
    let mut given_up = 0;
    for nth in 1.. {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = FaultyDisk::new(nth, 30, Fault::Full);
        let Ok(told) = record(&disk, folder.path(), 1) else { continue };
        assert_eq!(told.announced.len() as u64 + told.discarded, told.appended, "{nth}");
        assert_announced(folder.path(), &told);
        given_up += told.discarded;
        if !disk.was_reached() {
            break;
        }
        assert!(told.full > 0 || told.sync_failed || told.discarded == 0);
    }
    assert!(given_up > 0);
}

#[test]
fn a_crash_loses_nothing_that_was_announced_also_when_recovery_crashes() {
    for nth in 1.. {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = FaultyDisk::new(nth, u64::MAX, Fault::Broken);
        let told = record(&disk, folder.path(), 1).unwrap_or_default();
        assert_announced(folder.path(), &told);
        let before = contents(folder.path());

        for recovery in (1..).take_while(|_| nth % 3 == 0) {
            let disk = FaultyDisk::new(recovery, u64::MAX, Fault::Broken);
            drop(LogWriter::open_on(disk.clone(), folder.path(), session(), SMALL));
            assert_eq!(contents(folder.path()), before, "{nth}, {recovery}");
            if !disk.was_reached() {
                break;
            }
        }
        let again = record(&FaultyDisk::sound(), folder.path(), 1_000).expect("recorded");
        assert_announced(folder.path(), &again);
        assert_announced(folder.path(), &told);
        let parts = std::fs::read_dir(folder.path().join("bodies")).expect("there");
        assert_eq!(
            parts.filter(|file| file.as_ref().is_ok_and(|file| file.path().is_file())).count(),
            0,
            "no unfinished body is left"
        );
        if !disk.was_reached() {
            break;
        }
    }
}

#[test]
fn a_loss_of_power_takes_nothing_that_was_synchronised() {
    let mut kept = 0;
    for seed in 0..400 {
        let folder = tempfile::tempdir().expect("a folder");
        let nth = seed % 120 + 1;
        let fault = if seed % 3 == 0 { Fault::Full } else { Fault::Broken };
        let lasts = [u64::MAX, 1, 2, 3][seed as usize % 4];
        let disk = FaultyDisk::new(nth, lasts, fault);
        let told = record(&disk, folder.path(), 1).unwrap_or_default();
        disk.lose_power(seed);
        let mut recovered = LogWriter::open(folder.path(), session(), SMALL).expect("recovered");
        recovered.skip_to(told.announced.values().map(|(sequence, ..)| *sequence).max().unwrap_or(0));
        recovered.append(&Record::Exchange(Box::new(exchange(5_000))));
        recovered.flush().expect("written");
        drop(recovered);
        let mut seen = BTreeMap::new();
        for found in LogReader::open(folder.path()) {
            if let Found::Exchange { sequence, exchange, .. } = found.expect("readable") {
                seen.insert(exchange.id, (sequence, exchange));
            }
        }
        for id in &told.synced {
            let (sequence, _, whole) = &told.announced[id];
            let (found, read) = seen.get(id).expect("what was synchronised is there");
            assert_eq!((found, &**read), (sequence, whole), "seed {seed}");
            if let Content::Stored { digest, .. } = whole.response.as_ref().expect("answered").body.content {
                BodyFiles::of_session(folder.path()).read(digest).expect("so is its body");
            }
            kept += 1;
        }
        assert!(seen.contains_key(&exchange(5_000).id));
    }
    assert!(kept > 1_000);
}

#[test]
fn a_write_that_failed_leaves_nothing_in_the_way_of_a_shorter_one() {
    let folder = tempfile::tempdir().expect("a folder");
    // The fourth operation writes the second block, the third the first: the first two begin the segment.
    let disk = FaultyDisk::new(4, 1, Fault::Full);
    let mut log =
        LogWriter::open_on(disk.clone(), folder.path(), session(), Settings::default()).expect("a log");
    log.append(&Record::Exchange(Box::new(exchange(1))));
    log.flush().expect("written");
    for number in 2..40 {
        log.append(&Record::Exchange(Box::new(exchange(number))));
    }
    assert!(matches!(log.flush(), Err(TrafficError::Full { .. })));
    assert_eq!(log.discard().exchanges, 38);
    log.append(&Record::Exchange(Box::new(exchange(2))));
    log.flush().expect("written");
    let mut reader = LogReader::open(folder.path());
    while reader.read().expect("readable").is_some() {}
    assert_eq!((reader.damage_count(), reader.torn_tail()), (0, None));
    assert_eq!(contents(folder.path()).len(), 2);
}

#[test]
fn a_file_whose_synchronisation_failed_is_not_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultyDisk::failing_syncs();
    let mut log =
        LogWriter::open_on(disk.clone(), folder.path(), session(), Settings::default()).expect("a log");
    let mut segments = Vec::new();
    for number in 1..=3 {
        log.append(&Record::Exchange(Box::new(exchange(number))));
        segments.push(log.flush().expect("written").expect("a block").segment);
        assert!(matches!(log.sync(), Err(TrafficError::Io { action: "synchronise", .. })));
    }
    assert_eq!(segments, [1, 2, 3]);
    assert_eq!(disk.most_syncs_of_a_file(), 1);
    assert_eq!(contents(folder.path()).len(), 3);
}
