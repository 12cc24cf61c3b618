//! JSON by its structure: keys in any order, numbers by value.

use serde_json::Value;

use crate::{Difference, Kind, shown};

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 128;
/// Most differences that are collected.
const MAX_FOUND: usize = 10_000;

/// Compares two documents; false when one of them is not JSON.
pub(crate) fn differences(root: &str, one: &[u8], other: &[u8], found: &mut Vec<Difference>) -> bool {
    let (Ok(one), Ok(other)) = (serde_json::from_slice::<Value>(one), serde_json::from_slice::<Value>(other))
    else {
        return false;
    };
    walk(root, &one, &other, found, 0);
    true
}

fn walk(path: &str, one: &Value, other: &Value, found: &mut Vec<Difference>, depth: usize) {
    if one == other || found.len() >= MAX_FOUND {
        return;
    }
    let mut push = |place: String, kind, one: Option<&Value>, other: Option<&Value>| {
        let text = |value: &Value| shown(&value.to_string());
        found.push(Difference { place, kind, expected: one.map(text), actual: other.map(text) });
    };
    match (one, other) {
        (Value::Object(members), Value::Object(others)) if depth < MAX_DEPTH => {
            for (key, value) in members {
                let place = member(path, key);
                match others.get(key) {
                    Some(other) => walk(&place, value, other, found, depth + 1),
                    None => found.push(Difference {
                        place,
                        kind: Kind::Missing,
                        expected: Some(shown(&value.to_string())),
                        actual: None,
                    }),
                }
            }
            for (key, value) in others {
                if !members.contains_key(key) {
                    found.push(Difference {
                        place: member(path, key),
                        kind: Kind::Extra,
                        expected: None,
                        actual: Some(shown(&value.to_string())),
                    });
                }
            }
        }
        (Value::Array(items), Value::Array(others)) if depth < MAX_DEPTH => {
            if items.len() != others.len() {
                let length = |items: &[Value]| Some(format!("{} items", items.len()));
                found.push(Difference {
                    place: path.to_owned(),
                    kind: Kind::Length,
                    expected: length(items),
                    actual: length(others),
                });
            }
            for (index, (one, other)) in items.iter().zip(others).enumerate() {
                walk(&format!("{path}[{index}]"), one, other, found, depth + 1);
            }
        }
        (Value::Number(left), Value::Number(right)) => {
            // 1 and 1.0 are one number (RFC 8259, section 6, leaves it to the reader; JavaScript reads one).
            if left.as_f64() != right.as_f64() || left.is_f64() == right.is_f64() {
                push(path.to_owned(), Kind::Changed, Some(one), Some(other));
            }
        }
        _ => {
            let kind = if kind_of(one) == kind_of(other) { Kind::Changed } else { Kind::Type };
            push(path.to_owned(), kind, Some(one), Some(other));
        }
    }
}

fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$' | b'@'));
    if plain { format!("{path}.{key}") } else { format!("{path}['{key}']") }
}

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}
