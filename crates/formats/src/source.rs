//! The bytes of a file on their way to a parser: unpacked when gzipped, turned into UTF-8 when a byte
//! order mark says UTF-16 or UTF-32.
//!
//! Nothing is read ahead beyond the head that tells formats apart; memory is one buffer.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use crate::error::Error;
use crate::import::Limits;

/// Most bytes looked at to tell what a file is.
pub(crate) const HEAD: usize = 256 << 10;

/// Bytes of a fill; also what a shrunken buffer keeps.
const STEP: usize = 64 << 10;

/// An opened file whose head can be looked at before anything is consumed.
pub struct Source<'r> {
    reader: Box<dyn Read + 'r>,
    /// Bytes read and not yet consumed; consumption is the scanner's affair.
    pub(crate) buffer: Vec<u8>,
    step: Box<[u8]>,
    pub(crate) ended: bool,
}

impl<'r> Source<'r> {
    /// Opens a file: looks at its first bytes, unpacks gzip and transcodes UTF-16 and UTF-32 that
    /// announce themselves with a byte order mark.
    pub fn open(reader: &'r mut dyn Read, limits: &Limits) -> Result<Self, Error> {
        let mut source = Self::plain(Box::new(reader));
        source.fill_to(4)?;
        if source.buffer.starts_with(&[0x1f, 0x8b]) {
            source = Self::plain(Box::new(Gunzip {
                inner: MultiGzDecoder::new(source.into_reader()),
                out: 0,
                limit: limits.unpacked,
            }));
            source.fill_to(4)?;
        }
        if let Some((width, big_endian, mark)) = byte_order_mark(&source.buffer) {
            source.buffer.drain(..mark);
            if width > 1 {
                source = Self::plain(Box::new(Widened {
                    inner: source.into_reader(),
                    width,
                    big_endian,
                    held: None,
                    ready: Vec::new(),
                    at: 0,
                }));
            }
        }
        source.fill_to(HEAD)?;
        Ok(source)
    }

    fn plain(reader: Box<dyn Read + 'r>) -> Self {
        Self { reader, buffer: Vec::new(), step: vec![0; STEP].into(), ended: false }
    }

    /// The first bytes of the file, at most 256 KiB, before anything was consumed; whether that is all.
    pub fn head(&self) -> (&[u8], bool) {
        (&self.buffer[..self.buffer.len().min(HEAD)], self.ended && self.buffer.len() <= HEAD)
    }

    fn into_reader(self) -> Box<dyn Read + 'r> {
        Box::new(io::Cursor::new(self.buffer).chain(self.reader))
    }

    fn fill_to(&mut self, bytes: usize) -> Result<(), Error> {
        while !self.ended && self.buffer.len() < bytes {
            self.fill()?;
        }
        Ok(())
    }

    /// Reads once, behind what is in the buffer.
    pub(crate) fn fill(&mut self) -> Result<(), Error> {
        loop {
            match self.reader.read(&mut self.step) {
                Ok(count) => {
                    self.buffer.extend_from_slice(&self.step[..count]);
                    self.ended = count == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unpacking_fault(error)),
            }
        }
    }

    /// Forgets the first `bytes` bytes of the buffer.
    pub(crate) fn discard(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        if self.buffer.capacity() > 16 * STEP && self.buffer.len() <= STEP {
            self.buffer.shrink_to(STEP);
        }
    }
}

/// Marks an [`io::Error`] as one of ours, so that it can be told from the reader's own.
#[derive(Debug, thiserror::Error)]
enum Unpacking {
    #[error("more than {0} bytes")]
    Bomb(u64),
    #[error("{0}")]
    Damaged(String),
}

fn unpacking_fault(error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Unpacking>()) {
        Some(Unpacking::Bomb(limit)) => Error::Bomb { limit: *limit },
        Some(Unpacking::Damaged(detail)) => Error::Gzip(detail.clone()),
        None => Error::Read(error),
    }
}

/// Width in bytes, byte order and length of a byte order mark.
fn byte_order_mark(head: &[u8]) -> Option<(usize, bool, usize)> {
    // UTF-32 little-endian begins like UTF-16 little-endian and must be asked for first.
    [
        (&[0xff, 0xfe, 0, 0][..], 4, false),
        (&[0, 0, 0xfe, 0xff], 4, true),
        (&[0xff, 0xfe], 2, false),
        (&[0xfe, 0xff], 2, true),
        (&[0xef, 0xbb, 0xbf], 1, false),
    ]
    .into_iter()
    .find(|(mark, ..)| head.starts_with(mark))
    .map(|(mark, width, big_endian)| (width, big_endian, mark.len()))
}

struct Gunzip<R> {
    inner: MultiGzDecoder<R>,
    out: u64,
    limit: u64,
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                io::Error::other(Unpacking::Damaged(error.to_string()))
            }
            _ => error,
        })?;
        self.out += count as u64;
        if self.out > self.limit {
            return Err(io::Error::other(Unpacking::Bomb(self.limit)));
        }
        Ok(count)
    }
}

/// UTF-16 or UTF-32 as UTF-8; a unit that stands for no character becomes U+FFFD.
struct Widened<R> {
    inner: R,
    width: usize,
    big_endian: bool,
    /// A high surrogate that waits for its other half.
    held: Option<u16>,
    ready: Vec<u8>,
    at: usize,
}

impl<R: Read> Widened<R> {
    fn push(&mut self, character: char) {
        self.ready.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn unit16(&mut self, unit: u16) {
        let high = self.held.take();
        match (high, unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + (u32::from(high - 0xd800) << 10) + u32::from(unit - 0xdc00);
                self.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                return;
            }
            (Some(_), _) => self.push(char::REPLACEMENT_CHARACTER),
            (None, _) => {}
        }
        match unit {
            0xd800..=0xdbff => self.held = Some(unit),
            _ => self.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.at = 0;
        let mut raw = Vec::with_capacity(STEP);
        (&mut self.inner).take(STEP as u64).read_to_end(&mut raw)?;
        let whole = raw.len() - raw.len() % self.width;
        for unit in raw[..whole].chunks_exact(self.width) {
            let code = unit.iter().enumerate().fold(0, |code, (index, byte)| {
                let place = if self.big_endian { self.width - 1 - index } else { index };
                code | u32::from(*byte) << (8 * place)
            });
            if self.width == 2 {
                self.unit16(code as u16);
            } else {
                self.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        if raw.len() < STEP && (self.held.take().is_some() || whole < raw.len()) {
            self.push(char::REPLACEMENT_CHARACTER);
        }
        Ok(())
    }
}

impl<R: Read> Read for Widened<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() {
            self.refill()?;
        }
        let count = (self.ready.len() - self.at).min(buffer.len());
        buffer[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(mut bytes: &[u8]) -> Result<String, Error> {
        let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
        let mut source = Source::open(&mut bytes, &limits)?;
        while !source.ended {
            source.fill()?;
        }
        Ok(String::from_utf8_lossy(&source.buffer).into_owned())
    }

    fn wide16(text: &str, big_endian: bool) -> Vec<u8> {
        std::iter::once(0xfeff)
            .chain(text.encode_utf16())
            .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).and_then(|()| out.finish()).expect("a vector takes every byte")
    }

    #[test]
    fn every_announced_encoding_becomes_utf_8() {
        let text = "{\"log\": \"åß∂ 🙂\"}";
        let wide32: Vec<u8> =
            std::iter::once('\u{feff}').chain(text.chars()).flat_map(|c| (c as u32).to_le_bytes()).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            wide16(text, false),
            wide16(text, true),
            wide32,
            gzip(text.as_bytes()),
            gzip(&wide16(text, false)),
        ] {
            assert_eq!(read(&bytes).expect("it is readable"), text);
        }
    }

    #[test]
    fn long_wide_text_survives_the_edges_of_its_buffer() {
        let text = "x🙂".repeat(40_000);
        assert_eq!(read(&wide16(&text, true)).expect("it is readable"), text);
    }

    #[test]
    fn damaged_and_endless_gzip_is_refused() {
        let packed = gzip(&b"0123456789abcdef".repeat(100));
        assert!(matches!(read(&packed[..packed.len() / 2]), Err(Error::Gzip(_))));
        let bomb = gzip(&vec![b' '; 2 << 20]);
        assert!(matches!(read(&bomb), Err(Error::Bomb { limit: 0x10_0000 })));
    }
}
