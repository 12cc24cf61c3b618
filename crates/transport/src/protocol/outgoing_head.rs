//! The head of a message as it is sent: its fields in their order, case and number.
//!
//! The HTTP library decides how a message is framed and whether its connection stays, and writes a head that
//! says so and little else. What goes over an HTTP/1 connection is that head with the message's own fields in
//! their places; over HTTP/2 it is a map of the fields that HTTP/2 can carry.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use mimeo_model::Headers;
use mimeo_model::headers::FieldChange;

use crate::protocol::head;
use crate::protocol::hop_by_hop::HopByHop;

const CONTENT_LENGTH: &[u8] = b"content-length";
/// Most fields of the library's head that are looked up; it writes half as many.
const LIBRARY_FIELDS: usize = 8;

/// A head to send.
#[derive(Debug, Clone)]
pub struct OutgoingHead {
    start: Start,
    fields: Headers,
    host: Option<Host>,
    added: Vec<(Bytes, Bytes)>,
}

#[derive(Debug, Clone)]
enum Start {
    Request { target: Bytes },
    Response { reason: Option<Bytes> },
}

/// What becomes of the `Host` of a request.
#[derive(Debug, Clone)]
pub enum Host {
    /// It is this one.
    Replace(Bytes),
    /// It stays; a request without any gets this one.
    Keep(Bytes),
}

impl OutgoingHead {
    /// The head of a request for `target`, byte for byte, with these fields but the connection's own.
    pub fn request(target: Bytes, fields: Headers) -> Self {
        Self { start: Start::Request { target }, fields, host: None, added: Vec::new() }
    }

    /// The head of a response with these fields but the connection's own; without a reason phrase it gets the
    /// usual one.
    pub fn response(reason: Option<Bytes>, fields: Headers) -> Self {
        Self { start: Start::Response { reason }, fields, host: None, added: Vec::new() }
    }

    /// Says what becomes of `Host`.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.host = Some(host);
        self
    }

    /// Leaves out what cannot stand in a head: a field or reason phrase that came from a file, where a line break
    /// would begin another field or another message.
    #[must_use]
    pub fn sendable(mut self) -> Self {
        if !self.fields.iter().all(|(name, value)| head::is_field(name, value)) {
            self.fields = self.fields.map_values(|name, value| {
                if head::is_field(name, value) { FieldChange::Keep } else { FieldChange::Drop }
            });
        }
        if let Start::Response { reason } = &mut self.start
            && !reason.as_deref().is_none_or(head::is_text)
        {
            *reason = None;
        }
        self
    }

    /// Puts a field after the others.
    pub fn add(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.added.push((name.into(), value.into()));
    }

    /// The fields that it was made of.
    pub fn fields(&self) -> &Headers {
        &self.fields
    }

    /// The `Host` that the request names.
    pub fn named_host(&self) -> Option<&[u8]> {
        match &self.host {
            Some(Host::Replace(host)) => Some(host),
            Some(Host::Keep(host)) => Some(self.fields.get("host").unwrap_or(host)),
            None => self.fields.get("host"),
        }
    }

    /// The fields as HTTP/2 carries them (RFC 9113, section 8.2.2): without `Host`, which is `:authority`, and
    /// without `Expect`, which the library does not wait for.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.fields.len() + self.added.len());
        self.visit(|name, value| {
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
                return;
            };
            let left_out = [
                http::header::HOST,
                http::header::EXPECT,
                http::header::CONNECTION,
                http::header::TRANSFER_ENCODING,
                http::header::UPGRADE,
            ];
            if !left_out.contains(&name) {
                map.append(name, value);
            }
        });
        map
    }

    /// The fields as they are sent, those of the connection left out.
    pub fn to_headers(&self) -> Headers {
        let mut fields = Vec::with_capacity(self.fields.len() + self.added.len());
        self.visit(|name, value| {
            if name.eq_ignore_ascii_case(CONTENT_LENGTH) || !is_decided_by_library(name) {
                fields.push((name.to_vec(), value.to_vec()));
            }
        });
        fields.into_iter().collect()
    }

    /// Appends the head to `out`; `library` is the one that the library wrote, its empty line included.
    pub(crate) fn write(&self, library: &[u8], out: &mut BytesMut) {
        out.reserve(library.len() + self.fields.text_len() + 4 * self.fields.len() + 64);
        let mut lines = library.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let line = lines.next().unwrap_or_default();
        self.write_start(line, out);
        let mut decided: [(&[u8], &[u8], bool); LIBRARY_FIELDS] = [(b"", b"", true); LIBRARY_FIELDS];
        let library_fields = lines.filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        });
        for (place, (name, value)) in
            decided.iter_mut().zip(library_fields.filter(|(name, _)| !is_ours(name)))
        {
            *place = (name, value, false);
        }
        // The length of what was not sent is allowed here (RFC 9110, section 8.6), and the library leaves it out.
        let not_modified = line.get(9..12) == Some(b"304") && matches!(self.start, Start::Response { .. });
        self.visit(|name, value| {
            if !is_decided_by_library(name) {
                return push_field(name, value, out);
            }
            let same = decided.iter_mut().find(|(other, _, used)| !used && other.eq_ignore_ascii_case(name));
            if let Some((_, value, used)) = same {
                *used = true;
                push_field(name, value, out);
            } else if not_modified && name.len() == CONTENT_LENGTH.len() {
                push_field(name, value, out);
            }
        });
        for (name, value, _) in decided.iter().filter(|(_, _, used)| !used) {
            push_field(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_start(&self, line: &[u8], out: &mut BytesMut) {
        match &self.start {
            Start::Request { target } => {
                let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
                let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
                for part in [method, b" ", target, b" ", version] {
                    out.extend_from_slice(part);
                }
            }
            Start::Response { reason: Some(reason) } => {
                out.extend_from_slice(line.get(..12).unwrap_or(line));
                out.extend_from_slice(b" ");
                out.extend_from_slice(reason);
            }
            Start::Response { reason: None } => out.extend_from_slice(line),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn is_for_this_proxy(&self, name: &[u8]) -> bool {
        matches!(self.start, Start::Request { .. }) && name.eq_ignore_ascii_case(b"proxy-authorization")
    }

    /// Shows every field in its place, those that the library decides about as they were received.
    fn visit(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        let hops = HopByHop::of(&self.fields);
        if let Some(Host::Replace(host) | Host::Keep(host)) = &self.host
            && !self.fields.contains("host")
        {
            visit(b"Host", host);
        }
        for (name, value) in self.fields.iter() {
            if is_decided_by_library(name) {
                visit(name, value);
            } else if let Some(Host::Replace(host)) = &self.host
                && name.eq_ignore_ascii_case(b"host")
            {
                visit(name, host);
            } else if !hops.stays(name, value) && !self.is_for_this_proxy(name) {
                visit(name, value);
            }
        }
        for (name, value) in &self.added {
            visit(name, value);
        }
    }
}

/// An interim response (RFC 9110, section 15.2) as it is sent.
pub(crate) fn interim(interim: &mimeo_model::Interim, out: &mut BytesMut) {
    let usual = http::StatusCode::from_u16(interim.status).ok().and_then(|status| status.canonical_reason());
    let line = format!("HTTP/1.1 {} {}\r\n", interim.status, usual.unwrap_or_default());
    out.extend_from_slice(line.as_bytes());
    let hops = HopByHop::of(&interim.headers);
    for (name, value) in interim.headers.iter() {
        if !hops.stays(name, value) && !is_decided_by_library(name) {
            push_field(name, value, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Where the head ends that the library wrote at the start of `written`, and where it begins: after what the
/// library says of its own accord, `100 Continue`.
pub(crate) fn library_head(written: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    loop {
        let end = start + head::find_end(&written[start..], 0)?;
        if !written[start..].starts_with(b"HTTP/1.1 100 ") {
            return Some(start..end);
        }
        start = end;
    }
}

fn is_decided_by_library(name: &[u8]) -> bool {
    let candidates: &[&[u8]] = match name.len() {
        7 => &[b"upgrade"],
        10 => &[b"connection"],
        14 => &[CONTENT_LENGTH],
        17 => &[b"transfer-encoding"],
        _ => return false,
    };
    candidates.iter().any(|candidate| name.eq_ignore_ascii_case(candidate))
}

/// The field that the library is told of so that it sends trailers stands among the message's own.
fn is_ours(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"trailer")
}

fn push_field(name: &[u8], value: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(head: &OutgoingHead, library: &str) -> String {
        let mut out = BytesMut::new();
        head.write(library.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_request_keeps_order_case_and_number_of_its_fields() {
        let fields: Headers = [
            ("X-B", "1"),
            ("HOST", "client"),
            ("Connection", "keep-alive, X-Hop"),
            ("x-hop", "gone"),
            ("x-a", "2"),
            ("Content-length", "03"),
            ("X-B", "3"),
        ]
        .into_iter()
        .collect();
        let mut head = OutgoingHead::request(Bytes::from_static(b"/\xc3\xbf<x>"), fields)
            .host(Host::Replace("up:1".into()));
        head.add("Via", "1.1 mimeo");
        assert_eq!(
            written(&head, "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n"),
            "POST /\u{ff}<x> HTTP/1.1\r\nX-B: 1\r\nHOST: up:1\r\nx-a: 2\r\nContent-length: 3\r\nX-B: 3\r\n\
             Via: 1.1 mimeo\r\n\r\n"
        );
        let map = head.to_map();
        assert_eq!(
            map.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-b", "x-a", "content-length", "via"]
        );
        assert_eq!(head.named_host(), Some(&b"up:1"[..]));
    }

    #[test]
    fn what_the_library_decides_replaces_what_was_received() {
        let fields: Headers =
            [("Transfer-Encoding", "chunked"), ("Server", "b"), ("Connection", "keep-alive")]
                .into_iter()
                .collect();
        let head = OutgoingHead::response(Some(Bytes::from_static(b"Fine")), fields);
        assert_eq!(
            written(&head, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n"),
            "HTTP/1.0 200 Fine\r\nServer: b\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            written(&head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: a\r\n\r\n"),
            "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nServer: b\r\n\r\n"
        );
        assert_eq!(
            written(&head, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            "HTTP/1.1 200 Fine\r\nServer: b\r\ncontent-length: 0\r\n\r\n"
        );
    }

    #[test]
    fn what_a_file_says_does_not_become_another_message() {
        let fields: Headers = [("A", "1\r\nEvil: 1"), ("B\r\nEvil", "2"), ("C:", "3"), ("", "4"), ("D", "5")]
            .into_iter()
            .collect();
        let reason = Bytes::from_static(b"OK\r\nEvil: 1");
        let head = OutgoingHead::response(Some(reason), fields).sendable();
        assert_eq!(written(&head, "HTTP/1.1 200 OK\r\n\r\n"), "HTTP/1.1 200 OK\r\nD: 5\r\n\r\n");
    }

    #[test]
    fn what_was_not_modified_keeps_its_length() {
        let fields: Headers = [("Content-Length", "1234"), ("ETag", "x")].into_iter().collect();
        let head = OutgoingHead::response(Some(Bytes::from_static(b"Not Modified")), fields);
        assert_eq!(
            written(&head, "HTTP/1.1 304 Not Modified\r\n\r\n"),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: x\r\n\r\n"
        );
        assert_eq!(
            written(&head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            "HTTP/1.1 200 Not Modified\r\nETag: x\r\ntransfer-encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn a_request_without_a_host_gets_one_first() {
        let head = OutgoingHead::request("/".into(), [("a", "1")].into_iter().collect())
            .host(Host::Keep("up".into()));
        assert_eq!(written(&head, "GET / HTTP/1.1\r\n\r\n"), "GET / HTTP/1.1\r\nHost: up\r\na: 1\r\n\r\n");
    }

    #[test]
    fn the_library_s_own_continue_is_not_the_head() {
        let written = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody";
        assert_eq!(library_head(written), Some(25..44));
        assert_eq!(library_head(b"HTTP/1.1 100 Continue\r\n\r\n"), None);
    }
}
