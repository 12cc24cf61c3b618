//! A walker over chunked bodies (RFC 9112, section 7.1) that finds their end and refuses every leniency.
//!
//! It accepts a subset on which all readers agree, so that the end it finds is the end that the HTTP
//! library finds; nothing is decoded here.

use crate::protocol::head::Rejection;

/// Most bytes of chunk extensions in one body.
const MAX_EXTENSIONS: usize = 16 << 10;
/// Most bytes of trailer fields.
const MAX_TRAILERS: usize = 16 << 10;

/// Where in a chunked body the walker stands.
#[derive(Debug, Clone)]
pub struct ChunkWalker {
    state: State,
    size: u64,
    digits: u8,
    extensions: usize,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

impl Default for ChunkWalker {
    fn default() -> Self {
        Self { state: State::Size, size: 0, digits: 0, extensions: 0, trailers: Vec::new() }
    }
}

impl ChunkWalker {
    /// Walks over `bytes`; returns how many belong to this body. Fewer than given means that it ended.
    pub fn walk(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        let bad = |code, detail: &str| Err(Rejection::new(400, code, detail));
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            let byte = bytes[at];
            match self.state {
                State::Size => match (byte as char).to_digit(16) {
                    Some(_) if self.digits == 15 => {
                        return bad("framing.chunk_size", "a chunk size has more than 15 digits");
                    }
                    Some(digit) => {
                        self.size = self.size << 4 | u64::from(digit);
                        self.digits += 1;
                    }
                    None if self.digits > 0 && byte == b'\r' => self.state = State::SizeLf,
                    None if self.digits > 0 && byte == b';' => self.state = State::Extension,
                    None => return bad("framing.chunk_size", "a chunk size is not a hexadecimal number"),
                },
                State::Extension => {
                    self.extensions += 1;
                    if self.extensions > MAX_EXTENSIONS {
                        return bad("framing.chunk_extension", "chunk extensions are longer than 16 KiB");
                    }
                    match byte {
                        b'\r' => self.state = State::SizeLf,
                        b'\t' | b' '..=b'~' | 0x80.. => {}
                        _ => {
                            return bad(
                                "framing.chunk_extension",
                                "a chunk extension has a control character",
                            );
                        }
                    }
                }
                State::SizeLf if byte == b'\n' => {
                    self.digits = 0;
                    self.state = if self.size == 0 { State::Trailers } else { State::Data };
                }
                State::Data => {
                    let taken = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - at);
                    self.size -= taken as u64;
                    at += taken;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    continue;
                }
                State::DataCr if byte == b'\r' => self.state = State::DataLf,
                State::DataLf if byte == b'\n' => self.state = State::Size,
                State::Trailers => {
                    self.trailers.push(byte);
                    if self.trailers.len() > MAX_TRAILERS {
                        return bad("framing.trailers", "the trailers are longer than 16 KiB");
                    }
                    if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
                        self.state = State::Done;
                    } else if byte == b'\n' && !self.trailers.ends_with(b"\r\n") {
                        return bad("framing.bare_lf", "a trailer line ends with a bare line feed");
                    }
                }
                State::SizeLf | State::DataCr | State::DataLf => {
                    return bad("framing.chunk_end", "a chunk or its size is not followed by CRLF");
                }
                State::Done => {}
            }
            at += 1;
        }
        Ok(at)
    }

    /// Whether the whole body went by.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The raw trailer section, the empty line included; what has come of it so far.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lenient_forms_are_refused() {
        for text in [
            "ZZ\r\n",
            "\r\n",
            "0x5\r\n",
            "+5\r\n",
            "5_0\r\n",
            "FFFFFFFFFFFFFFFFF\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\nhello\r\n",
            "5\r\nhelloo\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\n\r\n",
            "5;a\nb\r\n",
            "0\r\nA: b\n\r\n",
        ] {
            let mut walker = ChunkWalker::default();
            assert!(walker.walk(text.as_bytes()).is_err(), "{text:?}");
        }
        let mut walker = ChunkWalker::default();
        assert!(walker.walk(format!("5;{}", "x".repeat(1 << 20)).as_bytes()).is_err());
    }

    #[test]
    fn trailers_are_kept_and_the_end_is_exact() {
        let mut walker = ChunkWalker::default();
        let body = b"5;q=1\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET /";
        assert_eq!(walker.walk(body), Ok(body.len() - 5));
        assert!(walker.is_done());
        assert_eq!(walker.trailers(), b"X-Sum: 1\r\n\r\n");
    }

    proptest! {
        #[test]
        fn the_end_does_not_depend_on_how_the_bytes_arrive(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let mut walker = ChunkWalker::default();
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            while at < body.len() {
                let end = (at + cuts.next().expect("cycles")).min(body.len());
                prop_assert!(!walker.is_done());
                prop_assert_eq!(walker.walk(&body[at..end]), Ok(end - at));
                at = end;
            }
            prop_assert!(walker.is_done());
            prop_assert_eq!(walker.walk(b"next"), Ok(0));
        }
    }
}
