//! Bodies, by what they are: JSON by structure, streams by event or line, text by line, the rest by bytes.

use bytes::Bytes;
use mimeo_model::Response;
use mimeo_model::body::decoded::{DecodeLimits, decode};
use mimeo_model::body::media_type::MediaType;
use mimeo_model::stream::event;

use crate::{Difference, Kind, json, text};

pub(crate) fn differences(expected: &Response, actual: &Response, found: &mut Vec<Difference>) {
    if expected.body.is_truncated() {
        prefix(expected, actual, found);
        return;
    }
    let (one, other) = (plain(expected), plain(actual));
    if one == other {
        return;
    }
    match MediaType::of(expected.headers.get("content-type")) {
        MediaType::Json => {
            if !json::differences("$", &one, &other, found) {
                text::differences(&one, &other, found);
            }
        }
        MediaType::EventStream => events(&one, &other, found),
        MediaType::JsonLines => lines(&one, &other, found),
        MediaType::Form | MediaType::Xml | MediaType::Html | MediaType::Text => {
            text::differences(&one, &other, found);
        }
        MediaType::Binary => {
            let textual = |bytes: &Bytes| std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
            if textual(&one) && textual(&other) && !one.is_empty() {
                if !json::differences("$", &one, &other, found) {
                    text::differences(&one, &other, found);
                }
            } else {
                bytes(&one, &other, found);
            }
        }
    }
}

/// The decoded body; what cannot be decoded is compared as it came.
fn plain(response: &Response) -> Bytes {
    let bytes = response.body.inline().cloned().unwrap_or_default();
    decode(&bytes, response.headers.get("content-encoding"), DecodeLimits::default()).unwrap_or(bytes)
}

/// Of a body that was cut at the capture limit, what was kept is compared, and the length.
fn prefix(expected: &Response, actual: &Response, found: &mut Vec<Difference>) {
    let (kept, came) = (
        expected.body.inline().cloned().unwrap_or_default(),
        actual.body.inline().cloned().unwrap_or_default(),
    );
    let common = kept.len().min(came.len());
    if expected.body.length != actual.body.length {
        found.push(Difference {
            place: "body".to_owned(),
            kind: Kind::Changed,
            expected: Some(format!("{} bytes", expected.body.length)),
            actual: Some(format!("{} bytes", actual.body.length)),
        });
    } else if kept[..common] != came[..common] {
        bytes(&kept[..common], &came[..common], found);
    }
}

fn events(one: &[u8], other: &[u8], found: &mut Vec<Difference>) {
    let (one, other) = (event::events(one, &[]), event::events(other, &[]));
    length("events", one.len(), other.len(), found);
    for (index, (one, other)) in one.iter().zip(&other).enumerate() {
        if one.event != other.event {
            found.push(Difference {
                place: format!("event[{index}].event"),
                kind: Kind::Changed,
                expected: one.event.clone(),
                actual: other.event.clone(),
            });
        }
        if one.data != other.data {
            let place = format!("event[{index}].data");
            if !json::differences(&place, one.data.as_bytes(), other.data.as_bytes(), found) {
                text::whole(&place, &one.data, &other.data, found);
            }
        }
    }
}

fn lines(one: &[u8], other: &[u8], found: &mut Vec<Difference>) {
    let split = |bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (one, other) = (split(one), split(other));
    length("lines", one.len(), other.len(), found);
    for (index, (one, other)) in one.iter().zip(&other).enumerate() {
        if one != other && !json::differences(&format!("line[{index}]"), one, other, found) {
            text::whole(
                &format!("line[{index}]"),
                &String::from_utf8_lossy(one),
                &String::from_utf8_lossy(other),
                found,
            );
        }
    }
}

fn length(place: &str, one: usize, other: usize, found: &mut Vec<Difference>) {
    if one != other {
        found.push(Difference {
            place: place.to_owned(),
            kind: Kind::Length,
            expected: Some(one.to_string()),
            actual: Some(other.to_string()),
        });
    }
}

fn bytes(one: &[u8], other: &[u8], found: &mut Vec<Difference>) {
    let at = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    found.push(Difference {
        place: "body".to_owned(),
        kind: Kind::Changed,
        expected: Some(format!("{} bytes", one.len())),
        actual: Some(format!("{} bytes, different from byte {at} on", other.len())),
    });
}
