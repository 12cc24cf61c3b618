//! WebSocket framing (RFC 6455, section 5) observed from beside: bytes pass untouched, frames are noted.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use mimeo_model::{Direction, Frame, Headers, Opcode};

/// What the handshake agreed on about compression (RFC 7692, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compression {
    /// The client's messages may be compressed and this keeps its window between messages.
    pub client: Option<Takeover>,
    /// The same for the server's messages.
    pub server: Option<Takeover>,
}

/// Whether the compression window lives from one message to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// It does.
    Kept,
    /// Each message begins with an empty window.
    Fresh,
}

impl Compression {
    /// Reads what the server accepted from the headers of its `101` response.
    pub fn of_response(headers: &Headers) -> Self {
        let mut agreed = Self::default();
        for value in headers.get_all("sec-websocket-extensions") {
            for extension in String::from_utf8_lossy(value).split(',') {
                let mut parts = extension.split(';').map(str::trim);
                if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate")) {
                    continue;
                }
                let parameters: Vec<&str> = parts.collect();
                let takeover = |name: &str| {
                    if parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(name)) {
                        Takeover::Fresh
                    } else {
                        Takeover::Kept
                    }
                };
                agreed.client = Some(takeover("client_no_context_takeover"));
                agreed.server = Some(takeover("server_no_context_takeover"));
            }
        }
        agreed
    }
}

/// Notes the frames of one direction.
pub struct FrameObserver {
    direction: Direction,
    limit: usize,
    header: BytesMut,
    open: Option<OpenFrame>,
    inflater: Option<Inflater>,
    message_compressed: bool,
    lost: bool,
}

struct OpenFrame {
    opcode: Opcode,
    fin: bool,
    compressed: bool,
    mask: Option<[u8; 4]>,
    length: u64,
    seen: u64,
    payload: BytesMut,
}

struct Inflater {
    stream: Decompress,
    takeover: Takeover,
}

impl FrameObserver {
    /// Observes one direction; payloads are kept up to `limit` bytes.
    pub fn new(direction: Direction, compression: Compression, limit: usize) -> Self {
        let takeover = match direction {
            Direction::Send => compression.client,
            Direction::Receive => compression.server,
        };
        Self {
            direction,
            limit,
            header: BytesMut::new(),
            open: None,
            inflater: takeover.map(|takeover| Inflater { stream: Decompress::new(false), takeover }),
            message_compressed: false,
            lost: false,
        }
    }

    /// Whether the bytes stopped being WebSocket frames; nothing more is noted then.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Feeds bytes that went by `at` after the start of the exchange; `found` gets each frame that ended.
    pub fn feed(&mut self, at: Duration, mut bytes: &[u8], mut found: impl FnMut(Frame)) {
        while !self.lost {
            if let Some(open) = &mut self.open {
                let taken = usize::try_from(open.length - open.seen).unwrap_or(usize::MAX).min(bytes.len());
                let (piece, rest) = bytes.split_at(taken);
                let kept = taken.min(self.limit.saturating_sub(open.payload.len()));
                let from = open.payload.len();
                open.payload.extend_from_slice(&piece[..kept]);
                if let Some(mask) = open.mask {
                    for (index, byte) in open.payload[from..].iter_mut().enumerate() {
                        *byte ^= mask[(open.seen as usize + index) % 4];
                    }
                }
                open.seen += taken as u64;
                bytes = rest;
                if open.seen < open.length {
                    return;
                }
                if let Some(open) = self.open.take() {
                    found(self.finish(at, open));
                }
                continue;
            }
            let Some(byte) = bytes.first() else { return };
            self.header.extend_from_slice(&[*byte]);
            bytes = &bytes[1..];
            if let Some(open) = self.read_header() {
                self.header.clear();
                self.open = Some(open);
            }
        }
    }

    fn read_header(&mut self) -> Option<OpenFrame> {
        let [first, second, rest @ ..] = &self.header[..] else { return None };
        let (extended, masked) = (second & 0x7f, second & 0x80 != 0);
        let length_bytes = match extended {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if rest.len() < length_bytes + if masked { 4 } else { 0 } {
            return None;
        }
        let length = if length_bytes == 0 {
            u64::from(extended)
        } else {
            rest[..length_bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let mask = masked.then(|| {
            [rest[length_bytes], rest[length_bytes + 1], rest[length_bytes + 2], rest[length_bytes + 3]]
        });
        let opcode = Opcode::from_bits(*first);
        let fin = first & 0x80 != 0;
        // Control frames of more than 125 bytes or in fragments, or a length of 2^63 and more, mean that
        // this is not the framing of RFC 6455.
        if opcode.is_control() && (extended > 125 || !fin) || length >> 63 != 0 {
            self.lost = true;
            return None;
        }
        let compressed = if opcode.is_control() {
            false
        } else {
            if opcode != Opcode::Continuation {
                self.message_compressed = first & 0x40 != 0;
            }
            self.message_compressed
        };
        Some(OpenFrame { opcode, fin, compressed, mask, length, seen: 0, payload: BytesMut::new() })
    }

    fn finish(&mut self, at: Duration, open: OpenFrame) -> Frame {
        let mut frame = Frame {
            at,
            direction: self.direction,
            opcode: open.opcode,
            fin: open.fin,
            compressed: open.compressed,
            length: open.length,
            payload: open.payload.freeze(),
        };
        if open.compressed {
            let complete = frame.payload.len() as u64 == frame.length;
            let inflated = match &mut self.inflater {
                Some(inflater) if complete => inflater.inflate(&frame.payload, open.fin, self.limit),
                _ => None,
            };
            match inflated {
                Some((payload, length)) => (frame.payload, frame.length) = (payload, length),
                // Once bytes are missing from the window, later messages cannot be inflated either.
                None => self.inflater = None,
            }
        }
        frame
    }
}

impl Inflater {
    /// Inflates the payload of one frame; `None` when it is broken or passes the limit.
    fn inflate(&mut self, payload: &[u8], fin: bool, limit: usize) -> Option<(Bytes, u64)> {
        const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
        let mut out = Vec::new();
        for part in [payload, if fin { TAIL } else { &[] }] {
            let mut input = part;
            loop {
                if out.len() > limit {
                    return None;
                }
                out.reserve((input.len() * 4).clamp(256, 64 << 10));
                let (before_in, before_out) = (self.stream.total_in(), out.len());
                let status = self.stream.decompress_vec(input, &mut out, FlushDecompress::Sync).ok()?;
                input = &input[(self.stream.total_in() - before_in) as usize..];
                if status == Status::StreamEnd {
                    self.stream.reset(false);
                }
                if input.is_empty() && out.len() < out.capacity()
                    || before_out == out.len() && input.len() == part.len()
                {
                    break;
                }
            }
        }
        if fin && self.takeover == Takeover::Fresh {
            self.stream.reset(false);
        }
        let length = out.len() as u64;
        Some((out.into(), length))
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, FlushCompress};
    use proptest::prelude::*;

    use super::*;

    fn encode(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![first];
        match payload.len() {
            length @ 0..=125 => out.push(bit | length as u8),
            length @ 126..=65535 => {
                out.push(bit | 0x7e);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(bit | 0x7f);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask.unwrap_or_default()[..if mask.is_some() { 4 } else { 0 }]);
        out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask.map_or(0, |mask| mask[at % 4])));
        out
    }

    fn observe(direction: Direction, compression: Compression, bytes: &[u8], step: usize) -> Vec<Frame> {
        let mut observer = FrameObserver::new(direction, compression, 1 << 20);
        let mut found = Vec::new();
        for piece in bytes.chunks(step) {
            observer.feed(Duration::ZERO, piece, |frame| found.push(frame));
        }
        found
    }

    #[test]
    fn fragments_control_frames_and_close_codes_are_told_apart() {
        let mut bytes = encode(0x01, b"hel", Some([1, 2, 3, 4]));
        bytes.extend(encode(0x89, b"?", Some([9, 9, 9, 9])));
        bytes.extend(encode(0x80, b"lo", Some([5, 6, 7, 8])));
        bytes.extend(encode(0x88, &[3, 232, b'b'], Some([0, 1, 0, 1])));
        let found = observe(Direction::Send, Compression::default(), &bytes, 3);
        let seen: Vec<_> = found.iter().map(|frame| (frame.opcode, frame.fin, &frame.payload[..])).collect();
        assert_eq!(
            seen,
            [
                (Opcode::Text, false, &b"hel"[..]),
                (Opcode::Ping, true, b"?"),
                (Opcode::Continuation, true, b"lo"),
                (Opcode::Close, true, &[3, 232, b'b']),
            ]
        );
        assert_eq!(found[3].close_code(), Some(1000));
    }

    #[test]
    fn compressed_messages_are_inflated_across_messages() {
        let headers: Headers =
            [("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover")]
                .into_iter()
                .collect();
        let compression = Compression::of_response(&headers);
        assert_eq!(compression.client, Some(Takeover::Fresh));
        assert_eq!(compression.server, Some(Takeover::Kept));
        let mut deflate = Compress::new(flate2::Compression::fast(), false);
        let mut bytes = Vec::new();
        for _ in 0..3 {
            let mut out = Vec::with_capacity(1024);
            deflate.compress_vec(b"the same words again", &mut out, FlushCompress::Sync).expect("compresses");
            out.truncate(out.len() - 4);
            bytes.extend(encode(0xc1, &out, None));
        }
        for step in [1, 7, 4096] {
            let found = observe(Direction::Receive, compression, &bytes, step);
            assert_eq!(found.len(), 3);
            assert!(
                found.iter().all(|frame| frame.compressed && &frame.payload[..] == b"the same words again")
            );
        }
    }

    #[test]
    fn bytes_that_are_no_frames_stop_the_observation() {
        let mut observer = FrameObserver::new(Direction::Send, Compression::default(), 1024);
        observer.feed(Duration::ZERO, &[0x09, 126, 1, 0], |_| {});
        assert!(observer.is_lost());
    }

    #[test]
    fn payloads_are_cut_at_the_limit_with_their_true_length() {
        let mut observer = FrameObserver::new(Direction::Receive, Compression::default(), 10);
        let mut found = Vec::new();
        observer.feed(Duration::ZERO, &encode(0x82, &vec![7; 70_000], None), |frame| found.push(frame));
        assert_eq!((found[0].payload.len(), found[0].length), (10, 70_000));
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_how_the_bytes_arrive(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            step in 1_usize..50,
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| encode(0x82, payload, Some([1, 2, 3, 4]))).collect();
            let found = observe(Direction::Send, Compression::default(), &bytes, step);
            let seen: Vec<_> = found.iter().map(|frame| frame.payload.to_vec()).collect();
            prop_assert_eq!(seen, payloads);
        }
    }
}
