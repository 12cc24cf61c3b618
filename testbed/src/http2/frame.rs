//! One frame of HTTP/2 (RFC 9113, section 4), and header fields as literals (RFC 7541, section 6.2.2).

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is, such as [`Frame::DATA`].
    pub kind: u8,
    /// Its flags, such as [`Frame::END_STREAM`].
    pub flags: u8,
    /// The stream it belongs to; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// # Kinds and flags
impl Frame {
    /// Bytes of a body.
    pub const DATA: u8 = 0;
    /// The beginning of a head.
    pub const HEADERS: u8 = 1;
    /// The end of a stream before its time.
    pub const RESET: u8 = 3;
    /// Settings.
    pub const SETTINGS: u8 = 4;
    /// A ping.
    pub const PING: u8 = 6;
    /// The end of the connection.
    pub const GO_AWAY: u8 = 7;
    /// Room for more bytes.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;

    /// The last frame of a stream.
    pub const END_STREAM: u8 = 1;
    /// An answer to settings or a ping.
    pub const ACK: u8 = 1;
    /// The last frame of a head.
    pub const END_HEADERS: u8 = 4;
}

/// # Making
impl Frame {
    /// A frame without flags.
    pub fn new(kind: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags: 0, stream, payload: payload.into() }
    }

    /// Bytes of a body.
    pub fn data(stream: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Self::DATA, stream, bytes)
    }

    /// The beginning of a head.
    pub fn headers(stream: u32, block: impl Into<Vec<u8>>) -> Self {
        Self::new(Self::HEADERS, stream, block)
    }

    /// More of a head.
    pub fn continuation(stream: u32, block: impl Into<Vec<u8>>) -> Self {
        Self::new(Self::CONTINUATION, stream, block)
    }

    /// The end of a stream with an error code.
    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(Self::RESET, stream, code.to_be_bytes())
    }

    /// Settings by their numbers.
    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let of = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        Self::new(Self::SETTINGS, 0, settings.iter().flat_map(of).collect::<Vec<_>>())
    }

    /// A ping with 8 bytes.
    pub fn ping(payload: &[u8]) -> Self {
        Self::new(Self::PING, 0, payload)
    }

    /// Room for more bytes on a stream, or on the connection.
    pub fn window(stream: u32, more: u32) -> Self {
        Self::new(Self::WINDOW_UPDATE, stream, more.to_be_bytes())
    }

    /// Is the last of its head.
    #[must_use]
    pub fn ending_headers(self) -> Self {
        self.with(Self::END_HEADERS)
    }

    /// Is the last of its stream.
    #[must_use]
    pub fn ending_stream(self) -> Self {
        self.with(Self::END_STREAM)
    }

    /// Answers settings or a ping.
    #[must_use]
    pub fn acknowledging(self) -> Self {
        self.with(Self::ACK)
    }

    fn with(mut self, flag: u8) -> Self {
        self.flags |= flag;
        self
    }

    /// The frame as it travels.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame is short").to_be_bytes();
        let head = [length[1], length[2], length[3], self.kind, self.flags];
        [&head[..], &self.stream.to_be_bytes(), &self.payload].concat()
    }
}

/// # Reading
impl Frame {
    /// The frame that bytes begin with, and its length.
    pub(super) fn first_of(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = bytes.get(9..9 + length)?.to_vec();
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some((Self { kind: head[3], flags: head[4], stream, payload }, 9 + length))
    }

    /// The error code of a `RST_STREAM` or a `GOAWAY`.
    pub fn code(&self) -> Option<u32> {
        let at = if self.kind == Self::GO_AWAY { 4 } else { 0 };
        self.payload.get(at..)?.first_chunk().map(|code| u32::from_be_bytes(*code))
    }

    /// The status in a head, where it stands first and does not come from the dynamic table.
    pub fn status(&self) -> Option<u16> {
        const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        match self.payload.first()? {
            indexed @ 0x88..=0x8e => Some(INDEXED[usize::from(indexed - 0x88)]),
            0x08 | 0x18 | 0x48 => {
                let length = *self.payload.get(1)?;
                let text = self.payload.get(2..2 + usize::from(length & 0x7f))?;
                let digits = if length & 0x80 == 0 { text.to_vec() } else { digits_of_huffman(text) };
                std::str::from_utf8(&digits).ok()?.parse().ok()
            }
            _ => None,
        }
    }
}

/// Decodes digits (RFC 7541, appendix B): `0`, `1` and `2` have five bits, the others six.
fn digits_of_huffman(text: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = text.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let value = |bits: &[u8]| bits.iter().fold(0, |value, bit| value << 1 | bit);
    let (mut digits, mut rest) = (Vec::new(), &bits[..]);
    while rest.len() >= 5 {
        let (digit, length) = match value(&rest[..5]) {
            short @ 0..=2 => (short, 5),
            _ if rest.len() < 6 => break,
            _ => (value(&rest[..6]).wrapping_sub(0b01_1001 - 3), 6),
        };
        if digit > 9 {
            break;
        }
        digits.push(b'0' + digit);
        rest = &rest[length..];
    }
    digits
}

/// Header fields as literals that are not kept in a table.
pub fn header_block<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(length as u8);
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(rest as u8 | 128);
        rest >>= 7;
    }
    block.push(rest as u8);
}
