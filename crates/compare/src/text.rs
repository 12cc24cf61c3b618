//! Text, line by line.

use similar::{ChangeTag, TextDiff};

use crate::{Difference, Kind, shown};

/// Longest text that is compared line by line, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Most lines that are told.
const TOLD: usize = 10;

/// Compares two texts; the first lines that differ are told.
pub(crate) fn differences(one: &[u8], other: &[u8], found: &mut Vec<Difference>) {
    let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
    if one.len().max(other.len()) > MAX_TEXT {
        whole("body", &one, &other, found);
        return;
    }
    let diff = TextDiff::from_lines(&*one, &*other);
    let lines = |tag: ChangeTag| {
        let lines: Vec<String> = diff
            .iter_all_changes()
            .filter(|change| change.tag() == tag)
            .take(TOLD)
            .map(|change| change.value().trim_end_matches(['\r', '\n']).to_owned())
            .collect();
        shown(&lines.join("\n"))
    };
    found.push(Difference {
        place: "body".to_owned(),
        kind: Kind::Changed,
        expected: Some(lines(ChangeTag::Delete)),
        actual: Some(lines(ChangeTag::Insert)),
    });
}

/// Tells two texts as they are.
pub(crate) fn whole(place: &str, one: &str, other: &str, found: &mut Vec<Difference>) {
    found.push(Difference {
        place: place.to_owned(),
        kind: Kind::Changed,
        expected: Some(shown(one)),
        actual: Some(shown(other)),
    });
}
