//! Exchanges that are handed over in parts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use mimeo_model::{Body, Chunk, Content, Exchange, FailureKind, Frame, Gap, GapReason, Phase};
use mimeo_store::traffic::{Found, Location, LogReader, LogWriter, Part, Record, Settings, Side};

use crate::damage::blocks;
use crate::exchanges::exchange;
use crate::log::writer;

const MS: Duration = Duration::from_millis(1);

/// An exchange whose response body has `pieces` pieces, a frame after each.
fn whole(number: u64, pieces: u64) -> Exchange {
    let mut whole = exchange(number);
    let lines: Vec<String> = (0..pieces).map(|piece| format!("piece {piece} of {number}\n")).collect();
    let body = lines.concat();
    whole.response.as_mut().expect("answered").body = Body::from_bytes(body);
    whole.frames = (0..pieces).map(|piece| frame(piece as u32)).collect();
    whole
}

fn frame(number: u32) -> Frame {
    let payload = Bytes::from(format!("frame {number}"));
    Frame { at: MS * number, length: payload.len() as u64, payload, ..exchange(1).frames[0].clone() }
}

/// The records that hand it over: its beginning, its parts, its end.
fn handed_over(whole: &Exchange, pieces: u64) -> (Record, Vec<Record>, Record) {
    let (mut head, mut end) = (whole.clone(), whole.clone());
    (head.frames, end.frames) = (Vec::new(), Vec::new());
    let body = &whole.response.as_ref().expect("answered").body;
    head.response.as_mut().expect("answered").body = Body::empty();
    end.response.as_mut().expect("answered").body.content = Content::default();
    let bytes = body.inline().expect("in memory");
    let each = bytes.len() / pieces as usize;
    let parts = (0..pieces as usize).flat_map(|piece| {
        let to = if piece + 1 == pieces as usize { bytes.len() } else { (piece + 1) * each };
        let bytes = bytes.slice(piece * each..to);
        [
            Record::Part { id: whole.id, part: Part::ResponseBody(bytes) },
            Record::Part { id: whole.id, part: Part::Frame(whole.frames[piece].clone()) },
        ]
    });
    (Record::Open(Box::new(head)), parts.collect(), Record::End(Box::new(end)))
}

/// Writes each record in a block of its own, others in between; gives where the end lies.
fn write_apart(log: &mut LogWriter, whole: &Exchange, pieces: u64, others: u64) -> Location {
    let (open, parts, end) = handed_over(whole, pieces);
    let mut place = None;
    for (number, record) in std::iter::once(open).chain(parts).chain([end]).enumerate() {
        if others > 0 {
            log.append(&Record::Exchange(Box::new(exchange(others + number as u64))));
        }
        let (_, index) = log.append(&record);
        place = log.flush().expect("written").map(|place| Location { index, ..place });
    }
    place.expect("written")
}

fn read_streamed(folder: &Path, budget: usize) -> Vec<Exchange> {
    let reader = LogReader::open(folder).with_budget(budget);
    let found = reader.map(|found| match found.expect("readable") {
        Found::Exchange { exchange, .. } => Some(*exchange),
        Found::Gap(gap) => panic!("{gap:?}"),
    });
    found.flatten().filter(|exchange| exchange.frames.len() > 1).collect()
}

#[test]
fn parts_are_put_together_whatever_memory_there_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings { segment: 3_000, ..Settings::default() });
    let streams: Vec<_> = (1..=6).map(|number| whole(number, 8)).collect();
    let handed: Vec<_> = streams.iter().map(|stream| handed_over(stream, 8)).collect();
    for (open, ..) in &handed {
        log.append(open);
    }
    for piece in 0..16 {
        for (_, parts, _) in &handed {
            log.append(&parts[piece]);
        }
        log.flush().expect("written");
    }
    for (.., end) in &handed {
        log.append(end);
    }
    log.flush().expect("written");
    for budget in [0, 300, 2_000, usize::MAX] {
        assert_eq!(read_streamed(folder.path(), budget), streams, "{budget}");
    }
}

#[test]
fn a_stream_is_found_at_the_place_of_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings { segment: 4_000, ..Settings::default() });
    let stream = whole(1, 5);
    let place = write_apart(&mut log, &stream, 5, 100);
    assert!(place.segment > 1);
    assert_eq!(LogReader::read_at(folder.path(), place).expect("readable"), Some(stream));
    // All of it in one block, and all of it in one group of several blocks.
    for (number, settings) in [(2, Settings::default()), (3, Settings { block: 200, ..Settings::default() })]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = writer(folder.path(), settings);
        let stream = whole(number, 5);
        let (open, parts, end) = handed_over(&stream, 5);
        for record in std::iter::once(&open).chain(&parts) {
            log.append(record);
        }
        let (_, index) = log.append(&end);
        let (_, after) = log.append(&Record::Exchange(Box::new(exchange(9))));
        let place = log.flush().expect("written").expect("a block");
        let read = |index| LogReader::read_at(folder.path(), Location { index, ..place }).expect("readable");
        assert_eq!(read(index), Some(stream), "{number}");
        assert_eq!(read(after), Some(exchange(9)));
        assert_eq!(read(after + 1), None);
        assert_eq!(read(1), None, "a part alone is no exchange");
    }
    let nowhere = Location { segment: 9, ..place };
    assert_eq!(LogReader::read_at(folder.path(), nowhere).expect("readable"), None);
}

#[test]
fn a_hole_in_a_stream_cuts_it_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings::default());
    let stream = whole(1, 4);
    write_apart(&mut log, &stream, 4, 0);
    drop(log);
    let segment = folder.path().join("00000001.mseg");
    let bytes = fs::read(&segment).expect("there");
    let blocks = blocks(&bytes);
    // Blocks: the beginning, then body and frame in turn, then the end.
    for (hit, whole_body) in [(3, false), (4, true), (7, false), (8, true)] {
        let mut damaged = bytes.clone();
        damaged[blocks[hit] + 41] ^= 1;
        fs::write(&segment, &damaged).expect("written");
        let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
        let [Found::Gap(gap), Found::Exchange { exchange, .. }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((gap.exchanges, gap.bodies, gap.reason), (0, 1, GapReason::Damage), "{hit}");
        let (read, kept) = (
            &exchange.response.as_ref().expect("answered").body,
            &stream.response.as_ref().expect("answered").body,
        );
        assert_eq!(read == kept, whole_body, "{hit}");
        assert_eq!(read.is_truncated(), !whole_body, "{hit}");
        assert!(kept.inline().expect("in memory").starts_with(read.inline().expect("in memory")), "{hit}");
        assert_eq!(exchange.frames.len(), if whole_body { 3 } else { 4 }, "{hit}");
    }
    // Without its beginning the end tells what it knows.
    let mut damaged = bytes.clone();
    damaged[blocks[0] + 41] ^= 1;
    fs::write(&segment, &damaged).expect("written");
    let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
    let [Found::Gap(Gap { bodies: 1, .. }), Found::Exchange { exchange, sequence: 1, .. }] = &found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(exchange.response.as_ref().expect("answered").body.captured_length(), 0);
}

#[test]
fn an_interrupted_stream_keeps_its_pieces_and_their_instants() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings::default());
    let mut head = exchange(1);
    (head.failure, head.frames, head.timings) = (None, Vec::new(), mimeo_model::Timings::default());
    let id = head.id;
    let response = head.response.take();
    log.append(&Record::Open(Box::new(head.clone())));
    let bytes = Bytes::from_static(b"asked");
    log.append(&Record::Piece { id, side: Side::Request, at: MS, bytes });
    // The answer began later: the exchange is opened once more, with its head.
    head.response = response.map(|mut response| {
        response.body = Body::empty();
        response
    });
    let (sequence, _) = log.append(&Record::Open(Box::new(head)));
    assert_eq!(sequence, 1);
    for (piece, at) in [(&b"data: 1\n\n"[..], 5 * MS), (b"data: 2\n\n", 9 * MS)] {
        log.append(&Record::Piece { id, side: Side::Response, at, bytes: Bytes::from_static(piece) });
    }
    let place = log.flush().expect("written").expect("a block");

    let check = |found: &[Found], live: bool| {
        let [Found::Exchange { exchange, live: found_live, sequence: 1, location }] = found else {
            panic!("{found:?}")
        };
        assert_eq!((*found_live, *location), (live, place));
        let body = &exchange.response.as_ref().expect("answered").body;
        assert_eq!(&body.inline().expect("in memory")[..], b"data: 1\n\ndata: 2\n\n");
        assert_eq!(body.chunks, [Chunk { at: 5 * MS, end: 9 }, Chunk { at: 9 * MS, end: 18 }]);
        assert_eq!(&exchange.request.body.inline().expect("in memory")[..], b"asked");
        assert_eq!(exchange.timings.total, 9 * MS);
        let failure = exchange.failure.as_ref().map(|failure| (failure.kind, failure.phase));
        assert_eq!(failure, (!live).then_some((FailureKind::Interrupted, Phase::Receive)));
        assert_eq!(LogReader::read_at(folder.path(), place).expect("readable").as_ref(), Some(&**exchange));
    };
    for budget in [0, usize::MAX] {
        let mut reader = LogReader::open(folder.path()).with_budget(budget);
        assert_eq!(reader.read().expect("readable"), None);
        check(&reader.unfinished(), true);
        check(&reader.unfinished(), true);
    }
    drop(log);
    let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
    check(&found, false);
}

#[test]
fn parts_of_an_exchange_that_was_given_up_are_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings::default());
    let stream = whole(1, 2);
    let (open, parts, end) = handed_over(&stream, 2);
    log.append(&open);
    assert_eq!(log.discard().exchanges, 1);
    for part in &parts {
        log.append(part);
    }
    assert_eq!(log.append(&end).0, 1);
    log.flush().expect("written");
    drop(log);
    let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
    let [Found::Exchange { exchange, sequence: 1, .. }] = &found[..] else { panic!("{found:?}") };
    assert!(exchange.response.as_ref().expect("answered").body.is_truncated());
}
