//! What the HTTP library is shown of a head: the fields that frame the message and keep its connection.
//!
//! Every head was read and judged before, whole. Showing the library the rest as well would only have it read
//! twice, and there are targets that it cannot hold (bytes that are not UTF-8, `<`).

use bytes::BytesMut;
use mimeo_model::Headers;

use crate::protocol::head::{RequestHead, ResponseHead};

/// What the library sees in place of every target.
const PLACEHOLDER: &[u8] = b" / ";

/// Appends the reduced head of a request.
pub(crate) fn request(head: &RequestHead, out: &mut BytesMut) {
    out.reserve(128);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.extend_from_slice(PLACEHOLDER);
    out.extend_from_slice(head.version.as_str().as_bytes());
    rest(&head.headers, out);
}

/// Appends the reduced head of a response.
pub(crate) fn response(head: &ResponseHead, out: &mut BytesMut) {
    out.reserve(128);
    out.extend_from_slice(head.version.as_str().as_bytes());
    let digit = |number: u16| b'0' + (number % 10) as u8;
    out.extend_from_slice(&[b' ', digit(head.status / 100), digit(head.status / 10), digit(head.status)]);
    // Without a reason phrase the library would keep an empty one; it knows the usual ones by heart.
    out.extend_from_slice(b" ");
    let usual = http::StatusCode::from_u16(head.status).ok().and_then(|status| status.canonical_reason());
    out.extend_from_slice(usual.unwrap_or("-").as_bytes());
    rest(&head.headers, out);
}

fn rest(headers: &Headers, out: &mut BytesMut) {
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| is_shown(name)) {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn is_shown(name: &[u8]) -> bool {
    let candidates: &[&[u8]] = match name.len() {
        2 => &[b"te"],
        6 => &[b"expect"],
        7 => &[b"upgrade", b"trailer"],
        10 => &[b"connection"],
        14 => &[b"content-length"],
        17 => &[b"transfer-encoding"],
        _ => return false,
    };
    candidates.iter().any(|candidate| name.eq_ignore_ascii_case(candidate))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::head;

    #[test]
    fn only_what_frames_the_message_is_shown() {
        let raw = Bytes::from_static(
            b"POST /\xff<x> HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nCookie: a=b\r\nConnection: close\r\n\r\n",
        );
        let mut shown = BytesMut::new();
        request(&head::request(&raw).expect("valid"), &mut shown);
        assert_eq!(shown, "POST / HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");

        let raw = Bytes::from_static(b"HTTP/1.1 299 Odd\r\nServer: b\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut shown = BytesMut::new();
        response(&head::response(&raw).expect("valid"), &mut shown);
        assert_eq!(shown, "HTTP/1.1 299 -\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
}
