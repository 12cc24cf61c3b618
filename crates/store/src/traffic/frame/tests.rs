//! Records of other versions, and bytes that are no records. That what is written is read is a property of the
//! whole crate and tested there.

use mimeo_model::{FailureKind, GapReason, Phase};
use prost::{Message, Oneof};

use super::*;

/// A record as a later version might write it.
#[derive(Clone, PartialEq, Message)]
struct LaterRecord {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(oneof = "LaterKind", tags = "2, 900")]
    kind: Option<LaterKind>,
    #[prost(string, tag = "901")]
    note: String,
}

#[derive(Clone, PartialEq, Oneof)]
enum LaterKind {
    #[prost(message, tag = "2")]
    Exchange(LaterExchange),
    #[prost(string, tag = "900")]
    Unheard(String),
}

#[derive(Clone, PartialEq, Message)]
struct LaterExchange {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    method: Bytes,
    #[prost(message, optional, tag = "13")]
    failure: Option<FailureFrame>,
    #[prost(uint32, tag = "16")]
    answered_by: u32,
    #[prost(string, repeated, tag = "300")]
    tags: Vec<String>,
}

fn later(kind: Option<LaterKind>) -> Bytes {
    LaterRecord { sequence: 7, kind, note: "new".into() }.encode_to_vec().into()
}

fn failed(kind: &str, phase: &str) -> Bytes {
    let failure = FailureFrame { kind: kind.into(), phase: phase.into(), detail: "why".into() };
    later(Some(LaterKind::Exchange(LaterExchange {
        id: Bytes::from_static(&[1; 16]),
        method: Bytes::from_static(b"GET"),
        failure: Some(failure),
        answered_by: 9,
        tags: vec!["a".into()],
    })))
}

#[test]
fn fields_of_a_later_version_are_passed_over() {
    let stored = decode(failed("upstream.reset", "wait")).expect("a record").expect("known");
    let Record::Exchange(exchange) = stored.record else { panic!("an exchange") };
    assert_eq!(stored.sequence, 7);
    let failure = exchange.failure.expect("failed");
    assert_eq!((failure.kind, failure.phase), (FailureKind::Reset, Phase::Wait));
}

#[test]
fn a_failure_of_a_later_version_stays_a_failure_and_keeps_its_code() {
    for (code, kind) in [
        ("upstream.quic", FailureKind::Unreachable),
        ("client.bored", FailureKind::ClientAborted),
        ("eclipse", FailureKind::Refusal),
    ] {
        let stored = decode(failed(code, "dreaming")).expect("a record").expect("known");
        let Record::Exchange(exchange) = stored.record else { panic!("an exchange") };
        let failure = exchange.failure.expect("failed");
        assert_eq!((failure.kind, failure.detail), (kind, format!("{code}: why")));
    }
}

#[test]
fn a_loss_of_a_later_kind_stays_a_loss() {
    let gap = GapFrame { from: 1, to: 2, exchanges: 3, bodies: 4, reason: "moths".into() };
    let frame = RecordFrame { sequence: 0, kind: Some(Kind::Gap(gap)), opened: None };
    let stored = decode(frame.encode_to_vec().into()).expect("a record").expect("known");
    let Record::Gap(gap) = stored.record else { panic!("a gap") };
    assert_eq!((gap.exchanges, gap.bodies, gap.reason), (3, 4, GapReason::Storage));
}

#[test]
fn a_kind_of_record_that_is_not_known_is_none_and_nonsense_is_an_error() {
    assert!(decode(later(Some(LaterKind::Unheard("?".into())))).expect("a record").is_none());
    assert!(decode(later(None)).expect("a record").is_none());
    assert!(decode(Bytes::from_static(b"\xff\xff\xff")).is_err());
    let nameless = LaterExchange { id: Bytes::from_static(b"short"), ..LaterExchange::default() };
    assert!(decode(later(Some(LaterKind::Exchange(nameless)))).is_err());
}
