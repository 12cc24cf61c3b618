//! A message body as it came over the wire: encoded, possibly cut at the capture limit.

pub mod decoded;
pub mod media_type;

use std::fmt;

use bytes::Bytes;

use crate::stream::Chunk;

/// The captured bytes of a body with what is known of the whole.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// The captured bytes, still in their content encoding.
    pub content: Content,
    /// True length in bytes of the encoded body on the wire, after removal of the transfer coding.
    pub length: u64,
    /// When the bytes arrived: where each piece ends and how long after the exchange began. Empty when
    /// the body came in one piece or its pieces were not worth telling apart.
    pub chunks: Vec<Chunk>,
}

/// Where the captured bytes of a body are.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// In memory.
    Inline(Bytes),
    /// In the store's body files, under the digest of the captured bytes.
    Stored {
        /// Names the file.
        digest: Digest,
        /// Number of captured bytes.
        length: u64,
    },
}

/// The SHA-256 digest (FIPS 180-4) of captured bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Body {
    /// A body without bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A complete body held in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { length: bytes.len() as u64, content: Content::Inline(bytes), chunks: Vec::new() }
    }

    /// Number of bytes that were captured.
    pub fn captured_length(&self) -> u64 {
        match &self.content {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Stored { length, .. } => *length,
        }
    }

    /// Whether the record holds less than what travelled.
    pub fn is_truncated(&self) -> bool {
        self.captured_length() < self.length
    }

    /// Whether no byte travelled.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The captured bytes when they are in memory.
    pub fn inline(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Inline(bytes) => Some(bytes),
            Content::Stored { .. } => None,
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Inline(Bytes::new())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.content {
            Content::Inline(_) => "inline",
            Content::Stored { .. } => "stored",
        };
        write!(f, "Body({place}, {} of {} bytes)", self.captured_length(), self.length)
    }
}

impl Digest {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let digit = |byte: u8| (byte as char).to_digit(16);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(Self(bytes))
    }
}

/// Sixty-four lower-case hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_cut_at_the_capture_limit_says_so() {
        let mut body = Body::from_bytes("abc");
        assert!(!body.is_truncated());
        body.length = 10;
        assert!(body.is_truncated());
    }

    #[test]
    fn digests_print_and_parse_as_hexadecimal() {
        let digest = Digest(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex("zz"), None);
    }
}
