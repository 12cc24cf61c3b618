use std::time::Duration;

use testbed::corpus::{self, Answer};
use testbed::load::Load;
use testbed::pattern;
use testbed::upstream::{Reply, Upstream};

#[test]
fn the_corpus_can_be_read_and_names_each_case_once() {
    let cases = corpus::framing();
    let mut names: Vec<_> = cases.iter().map(|case| (&case.rule, &case.name)).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    assert!(cases.iter().all(|case| !case.answers.is_empty()));
    let smuggled = cases.iter().find(|case| case.name.starts_with("a vertical tab")).expect("in the corpus");
    assert!(smuggled.bytes.windows(8).any(|window| window == b"\x0bchunked"));
    assert!(cases.iter().any(|case| case.bytes.len() > 1 << 20));
    assert!(cases.iter().any(|case| case.answers == [Answer::Status(431)]));
}

#[test]
fn the_pattern_is_the_same_in_any_pieces_and_shows_every_change() {
    let whole = pattern::bytes(200_000);
    let mut pieces = vec![0; 200_000];
    let mut offset = 0;
    for size in [1, 7, 8, 9, 65_535, 65_537].iter().cycle() {
        let end = (offset + size).min(pieces.len());
        pattern::fill(offset as u64, &mut pieces[offset..end]);
        offset = end;
        if offset == pieces.len() {
            break;
        }
    }
    assert!(whole == pieces);
    assert_eq!(pattern::sha256(200_000), pattern::sha256_of(&whole));

    let mut check = pattern::Check::default();
    whole.chunks(1_000).for_each(|piece| check.take(piece));
    assert!(check.is_intact());
    assert_eq!(check.length(), 200_000);

    let mut swapped = whole.clone();
    swapped[..131_072].rotate_left(65_536);
    let mut check = pattern::Check::default();
    check.take(&swapped);
    assert_eq!(check.wrong_from(), Some(7), "blocks begin with their number");
}

#[test]
fn a_load_counts_what_it_does_and_keeps_its_rate() {
    let upstream = Upstream::http1().answering("/broken", Reply::status(500)).start();
    let load = Load {
        origin: upstream.url(),
        through: None,
        trusted: None,
        paths: vec!["/".to_owned(), "/json/1".to_owned(), "/ndjson".to_owned()],
        connections: 4,
        duration: Duration::from_millis(200),
        rate: Some(200.0),
    };
    let outcome = load.run().expect("the upstream listens");
    assert_eq!(outcome.errors, 0, "{:?}", outcome.example);
    assert_eq!(outcome.latencies.len(), upstream.received().len());
    assert!((4..=40).contains(&outcome.latencies.len()), "{}", outcome.latencies.len());
    assert!(outcome.percentile(0.5) <= outcome.percentile(0.99));
    assert_eq!(upstream.connections(), 4);

    let broken = Load { paths: vec!["/broken".to_owned()], rate: None, ..load }.run().expect("it listens");
    assert!(broken.errors > 0 && broken.latencies.is_empty());
}
