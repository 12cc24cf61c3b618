//! What is written is read, whatever it is; what is damaged is told, however it is.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use mimeo_model::ExchangeId;
use mimeo_store::traffic::{Found, LogReader, LogWriter, Part, Record, Settings, Side, decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary;
use crate::log::session;

fn record() -> impl Strategy<Value = Record> {
    // Boxed, since strategies of this size side by side do not fit the stack of a test.
    let exchange = || arbitrary::exchange().prop_map(Box::new).boxed();
    let id = || any::<[u8; 16]>().prop_map(ExchangeId::from_bytes);
    let bytes = || vec(any::<u8>(), 0..50).prop_map(Bytes::from);
    let part = prop_oneof![
        bytes().prop_map(Part::RequestBody),
        bytes().prop_map(Part::ResponseBody),
        arbitrary::frame().prop_map(Part::Frame),
    ];
    let side = prop_oneof![Just(Side::Request), Just(Side::Response)];
    prop_oneof![
        exchange().prop_map(Record::Exchange),
        exchange().prop_map(Record::Open),
        exchange().prop_map(Record::End),
        arbitrary::gap().prop_map(Record::Gap),
        (id(), part.boxed()).prop_map(|(id, part)| Record::Part { id, part }),
        (id(), side, any::<u64>(), bytes()).prop_map(|(id, side, at, bytes)| {
            Record::Piece { id, side, at: Duration::from_nanos(at), bytes }
        }),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_record_is_its_bytes(record in record()) {
        prop_assert_eq!(decode(&encode(&record)), Some(record));
    }

    #[test]
    fn a_record_that_was_tampered_with_is_another_or_none(
        record in record(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&record);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode(&bytes);
    }

    #[test]
    fn what_is_written_is_read(
        exchanges in vec(arbitrary::exchange(), 1..12), segment in 100_u64..5_000, block in 1_usize..3_000, group in 1_usize..5,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogWriter::create(folder.path(), session(), Settings { segment, block }).expect("a log");
        let mut places = Vec::new();
        for group in exchanges.chunks(group) {
            let indices: Vec<_> =
                group.iter().map(|exchange| log.append(&Record::Exchange(Box::new(exchange.clone()))).1).collect();
            let place = log.flush().expect("written").expect("a block");
            places.extend(indices.into_iter().map(|index| mimeo_store::traffic::Location { index, ..place }));
        }
        drop(log);
        let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
        prop_assert_eq!(found.len(), exchanges.len());
        for (number, (found, (written, place))) in found.iter().zip(exchanges.iter().zip(places)).enumerate() {
            let Found::Exchange { sequence, exchange, live: false, .. } = found else { panic!("{found:?}") };
            prop_assert_eq!((*sequence, &**exchange), (number as u64 + 1, written));
            let at = LogReader::read_at(folder.path(), place).expect("readable");
            prop_assert_eq!(at.as_ref(), Some(written));
        }
    }

    #[test]
    fn what_is_damaged_is_told_and_the_rest_is_as_it_was(
        exchanges in vec(arbitrary::exchange(), 2..10),
        cut in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        insert in proptest::option::of((any::<prop::sample::Index>(), vec(any::<u8>(), 1..60))),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogWriter::create(folder.path(), session(), Settings::default()).expect("a log");
        for exchange in &exchanges {
            log.append(&Record::Exchange(Box::new(exchange.clone())));
            log.flush().expect("written");
        }
        drop(log);
        let segment = folder.path().join("00000001.mseg");
        let mut bytes = fs::read(&segment).expect("there");
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        if let Some((at, more)) = insert {
            let at = at.index(bytes.len());
            bytes.splice(at..at, more);
        }
        bytes.truncate(cut.index(bytes.len() * 2));
        fs::write(&segment, &bytes).expect("written");
        // A version that is newer by damage would need a checksum that holds.
        let found: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
        let mut last = 0;
        for found in &found {
            if let Found::Exchange { sequence, exchange, .. } = found {
                prop_assert!(*sequence > last);
                last = *sequence;
                prop_assert_eq!(&**exchange, &exchanges[*sequence as usize - 1]);
            }
        }
        let again = LogWriter::open(folder.path(), session(), Settings::default()).expect("recovered");
        drop(again);
        let after: Vec<_> = LogReader::open(folder.path()).collect::<Result<_, _>>().expect("readable");
        prop_assert_eq!(after, found, "recovery changes nothing that can be read");
    }

    #[test]
    fn any_file_is_read_without_a_slip(bytes in vec(any::<u8>(), 0..400), begun in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogWriter::create(folder.path(), session(), Settings::default()).expect("a log");
        log.append(&Record::Exchange(Box::new(crate::exchanges::exchange(1))));
        log.flush().expect("written");
        drop(log);
        let segment = folder.path().join("00000001.mseg");
        let whole = if begun { fs::read(&segment).expect("there") } else { Vec::new() };
        fs::write(&segment, [whole, bytes].concat()).expect("written");
        for found in LogReader::open(folder.path()) {
            found.expect("readable");
        }
    }
}
