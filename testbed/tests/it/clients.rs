use testbed::corpus::{self, Answer};
use testbed::pattern;

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
