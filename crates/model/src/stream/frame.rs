//! WebSocket frames (RFC 6455, section 5).

use std::time::Duration;

use bytes::Bytes;

/// Who sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client sent it.
    Send,
    /// The server sent it.
    Receive,
}

/// What a frame is for (RFC 6455, section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// Continues a fragmented message.
    Continuation,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// Ends the connection.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// A code that the RFC reserves.
    Reserved(u8),
}

impl Opcode {
    /// The opcode behind the four bits of a frame header.
    pub fn from_bits(bits: u8) -> Self {
        match bits & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => Self::Reserved(other),
        }
    }

    /// The four bits of the frame header.
    pub fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
            Self::Reserved(bits) => bits,
        }
    }

    /// Whether the frame controls the connection rather than carrying a message.
    pub fn is_control(self) -> bool {
        self.bits() >= 8
    }
}

/// One frame as it was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Time from the start of the exchange to the end of the frame.
    pub at: Duration,
    /// Who sent it.
    pub direction: Direction,
    /// What it is for.
    pub opcode: Opcode,
    /// Whether it ends its message.
    pub fin: bool,
    /// Whether the message travelled compressed (RFC 7692); the payload here is already inflated, unless
    /// it could not be.
    pub compressed: bool,
    /// The unmasked payload, cut at the capture limit.
    pub payload: Bytes,
    /// True length of the payload in bytes, after unmasking and inflation.
    pub length: u64,
}

impl Frame {
    /// The close code of a close frame that has one (RFC 6455, section 7.4).
    pub fn close_code(&self) -> Option<u16> {
        match (self.opcode, self.payload.first_chunk::<2>()) {
            (Opcode::Close, Some(code)) => Some(u16::from_be_bytes(*code)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_keeps_its_bits() {
        for bits in 0..16 {
            assert_eq!(Opcode::from_bits(bits).bits(), bits);
        }
    }
}
