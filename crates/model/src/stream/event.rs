//! Server-sent events (WHATWG HTML, section 9.2.6), read out of a captured body.
//!
//! Nothing is kept beside the bytes: an event's instant is that of the chunk which brought its last byte.

use std::time::Duration;

use crate::stream::Chunk;

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Time from the start of the exchange to the arrival of the event's last byte.
    pub at: Duration,
    /// The `id` field when the event has one.
    pub id: Option<String>,
    /// The `event` field when the event has one.
    pub event: Option<String>,
    /// The `data` lines joined by line feeds.
    pub data: String,
    /// The `retry` field in milliseconds.
    pub retry: Option<u64>,
}

/// Reads the events of a decoded event stream; a tail without a blank line is no event and is left out.
///
/// `chunks` tell when the bytes came; with none every event is at zero.
pub fn events(body: &[u8], chunks: &[Chunk]) -> Vec<Event> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").map_or((body, 0), |rest| (rest, 3));
    let (text, mut offset) = (body.0, body.1);
    let mut chunk = chunks.iter();
    let mut current = chunk.next();
    let mut found = Vec::new();
    let mut open = Event::default();
    let mut has_data = false;
    let mut touched = false;
    for (line, length) in lines(text) {
        offset += length;
        if !line.is_empty() {
            touched |= field(line, &mut open, &mut has_data);
            continue;
        }
        if touched {
            while let Some(piece) = current {
                if piece.end >= offset as u64 {
                    break;
                }
                current = chunk.next();
            }
            open.at = current.or(chunks.last()).map_or(Duration::ZERO, |piece| piece.at);
            found.push(std::mem::take(&mut open));
        }
        (has_data, touched) = (false, false);
    }
    found
}

/// Applies one line; tells whether it was a field that makes an event.
fn field(line: &[u8], open: &mut Event, has_data: &mut bool) -> bool {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = match colon {
        Some(0) => return false,
        Some(at) => (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..])),
        None => (line, &line[..0]),
    };
    let text = || String::from_utf8_lossy(value).into_owned();
    match name {
        b"data" => {
            if std::mem::replace(has_data, true) {
                open.data.push('\n');
            }
            open.data.push_str(&String::from_utf8_lossy(value));
        }
        b"event" => open.event = Some(text()),
        b"id" if !value.contains(&0) => open.id = Some(text()),
        b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
            open.retry = text().parse().ok();
        }
        _ => return false,
    }
    true
}

/// Lines ended by LF, CR or CRLF, each with its length including the end.
fn lines(mut text: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    std::iter::from_fn(move || {
        let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
        let length = end + if text[end..].starts_with(b"\r\n") { 2 } else { 1 };
        let line = &text[..end];
        text = &text[length..];
        Some((line, length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64, end: u64) -> Chunk {
        Chunk { at: Duration::from_millis(ms), end }
    }

    #[test]
    fn events_carry_the_time_of_their_last_byte() {
        let body = b"id: 1\ndata: a\n\nevent: tick\ndata: b\ndata: c\n\n";
        let found = events(body, &[at(5, 10), at(9, 15), at(30, body.len() as u64)]);
        assert_eq!(
            found,
            [
                Event {
                    at: Duration::from_millis(9),
                    id: Some("1".into()),
                    data: "a".into(),
                    ..Event::default()
                },
                Event {
                    at: Duration::from_millis(30),
                    event: Some("tick".into()),
                    data: "b\nc".into(),
                    ..Event::default()
                },
            ]
        );
    }

    #[test]
    fn odd_streams_are_read_as_the_standard_says() {
        let body =
            b"\xef\xbb\xbfdata:x\r\rdata\r\n\r\n: comment\n\nretry: 10\nretry: no\n\ndata: unfinished\n";
        let found = events(body, &[]);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].data, "x");
        assert_eq!(found[1].data, "");
        assert_eq!(found[2].retry, Some(10));
    }
}
