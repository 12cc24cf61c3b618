//! Damage costs what it hit and nothing else, and is told.

use std::fs;
use std::path::Path;

use mimeo_model::{Gap, GapReason};
use mimeo_store::traffic::{
    Damage, FORMAT_VERSION, Found, LogReader, LogWriter, Record, Settings, TornTail, TrafficError,
};

use crate::exchanges::exchange;
use crate::log::{read, session, write, writer};

const SEGMENT_HEADER: usize = 36;
const BLOCK_HEADER: usize = 40;

/// The offsets of the blocks of a segment, and its end.
pub(crate) fn blocks(bytes: &[u8]) -> Vec<usize> {
    let mut at = SEGMENT_HEADER;
    let mut blocks = vec![at];
    while at < bytes.len() {
        let stored = u32::from_le_bytes(bytes[at + 12..at + 16].try_into().expect("four bytes"));
        at += BLOCK_HEADER + stored as usize;
        blocks.push(at);
    }
    blocks
}

/// The sequence numbers and the sum of what the gaps say is lost.
fn survivors(folder: &Path) -> (Vec<u64>, Option<u64>) {
    let (mut sequences, mut lost) = (Vec::new(), None);
    for found in LogReader::open(folder) {
        match found.expect("readable") {
            Found::Exchange { sequence, exchange: read, .. } => {
                assert_eq!(*read, exchange(sequence));
                sequences.push(sequence);
            }
            Found::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::Damage);
                *lost.get_or_insert(0) += gap.exchanges;
            }
        }
    }
    (sequences, lost)
}

fn damages(folder: &Path) -> (Vec<Damage>, Option<TornTail>) {
    let mut reader = LogReader::open(folder);
    while reader.read().expect("readable").is_some() {}
    (reader.damages().to_vec(), reader.torn_tail())
}

#[test]
fn a_torn_tail_costs_the_block_it_tore_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 4, 3);
    let segment = folder.path().join("00000001.mseg");
    let bytes = fs::read(&segment).expect("there");
    let blocks = blocks(&bytes);
    for length in 0..bytes.len() {
        fs::write(&segment, &bytes[..length]).expect("written");
        let whole = blocks.iter().skip(1).filter(|end| **end <= length).count() as u64;
        assert_eq!(read(folder.path()), ((1..=whole * 3).collect(), 0), "cut at {length}");
        let tail = blocks.iter().rev().find(|at| **at <= length).map(|at| length - at);
        let torn = damages(folder.path()).1.map_or(0, |torn| torn.length as usize);
        assert_eq!(torn, tail.unwrap_or(0), "cut at {length}");
    }
}

#[test]
fn a_flipped_bit_costs_its_block_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 4, 3);
    let segment = folder.path().join("00000001.mseg");
    let bytes = fs::read(&segment).expect("there");
    let blocks = blocks(&bytes);
    for at in (0..bytes.len()).step_by(7).chain(0..SEGMENT_HEADER).chain(blocks[3]..blocks[3] + BLOCK_HEADER)
    {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&segment, &damaged).expect("written");
        let hit = blocks.iter().rposition(|block| *block <= at).map(|block| block as u64 * 3);
        let expected: Vec<_> = (1..=12).filter(|n| hit.is_none_or(|hit| *n <= hit || *n > hit + 3)).collect();
        let (sequences, lost) = survivors(folder.path());
        assert_eq!(sequences, expected, "flipped at {at}");
        // Of the last block nothing says how much it held when its header is hit.
        let unknown = at >= blocks[3] && at < blocks[3] + BLOCK_HEADER;
        let told = if hit.is_none() || unknown { 0 } else { 3 };
        assert_eq!(lost, Some(told), "flipped at {at}");
        let place = hit.map_or((0, SEGMENT_HEADER), |hit| {
            let block = hit as usize / 3;
            (blocks[block], blocks[block + 1] - blocks[block])
        });
        let damage = Damage { segment: 1, offset: place.0 as u64, length: place.1 as u64 };
        assert_eq!(damages(folder.path()), (vec![damage], None), "flipped at {at}");
    }
}

#[test]
fn a_missing_segment_is_told_and_one_that_was_never_filled_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = writer(folder.path(), Settings { segment: 1, ..Settings::default() });
    for number in 1..=4 {
        log.append(&Record::Exchange(Box::new(exchange(number))));
        log.flush().expect("written");
    }
    drop(log);
    fs::remove_file(folder.path().join("00000002.mseg")).expect("removed");
    assert_eq!(survivors(folder.path()), (vec![1, 3, 4], Some(1)));
    fs::rename(folder.path().join("00000004.mseg"), folder.path().join("00000007.mseg")).expect("renamed");
    fs::write(folder.path().join("00000005.mseg"), b"MIMEO").expect("written");
    assert_eq!(survivors(folder.path()), (vec![1, 3, 4], Some(1)));
}

#[test]
fn a_gap_of_damage_lies_between_the_exchanges_around_it() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 3, 2);
    let segment = folder.path().join("00000001.mseg");
    let mut bytes = fs::read(&segment).expect("there");
    let second = blocks(&bytes)[1];
    bytes[second + BLOCK_HEADER + 5] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
    let gap = Gap {
        from: exchange(2).started_at,
        to: exchange(5).started_at,
        exchanges: 2,
        bodies: 0,
        reason: GapReason::Damage,
    };
    assert_eq!(found[2], Found::Gap(gap));
    assert_eq!(found.len(), 5);
}

#[test]
fn a_segment_of_a_newer_version_is_refused_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 1, 1);
    let segment = folder.path().join("00000001.mseg");
    let mut bytes = fs::read(&segment).expect("there");
    bytes[8] = FORMAT_VERSION as u8 + 8;
    let checksum = crc32fast::hash(&bytes[..32]);
    bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
    bytes.truncate(bytes.len() - 3);
    fs::write(&segment, &bytes).expect("written");
    let found = LogReader::open(folder.path()).next();
    assert!(matches!(found, Some(Err(TrafficError::Newer { version: 9, .. }))));
    let opened = LogWriter::open(folder.path(), session(), Settings::default());
    assert!(matches!(opened, Err(TrafficError::Newer { version: 9, .. })));
    assert_eq!(fs::read(&segment).expect("there"), bytes);
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), 1, 1);
    let segment = folder.path().join("00000001.mseg");
    let mut bytes = fs::read(&segment).expect("there");
    // The header says 128 MiB of records and its checksum holds; the payload holds a few hundred bytes.
    bytes[SEGMENT_HEADER + 8..SEGMENT_HEADER + 12].copy_from_slice(&(128_u32 << 20).to_le_bytes());
    let header = &mut bytes[SEGMENT_HEADER..SEGMENT_HEADER + BLOCK_HEADER];
    let checksum = crc32fast::hash(&header[..36]);
    header[36..].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&segment, &bytes).expect("written");
    assert_eq!(survivors(folder.path()), (vec![], Some(1)));
}
