//! HTTP/1.1 messages read from a stream by the plainest possible reader, which keeps what it read.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a stream that were read and not yet used.
#[derive(Debug)]
pub(crate) struct Incoming<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
    log: Arc<Mutex<Vec<u8>>>,
}

/// Bytes that a log keeps.
const LOGGED: usize = 4 << 20;

/// How a body's end is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// Header fields in their order, decoded as ISO 8859-1.
pub(crate) type Fields = Vec<(String, String)>;

impl<S: AsyncRead + Unpin> Incoming<S> {
    /// Reads from `stream` and keeps what it reads in `log`, up to 4 MiB.
    pub(crate) fn new(stream: S, log: Arc<Mutex<Vec<u8>>>) -> Self {
        Self { stream, buffer: Vec::new(), log }
    }

    /// Reads a head, the empty line included. `None` when the stream ends before its first byte.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(self.buffer.drain(..end + 4).collect()));
            }
            if !self.more().await? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads a body piece by piece; gives the trailers.
    pub(crate) async fn body(&mut self, framing: Framing, mut take: impl FnMut(&[u8])) -> io::Result<Fields> {
        match framing {
            Framing::Length(length) => {
                self.exactly(length, &mut take).await?;
                Ok(Vec::new())
            }
            Framing::Chunked => loop {
                let line = self.line().await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "chunk size"))?;
                if size == 0 {
                    let mut section = String::new();
                    loop {
                        let line = self.line().await?;
                        if line.is_empty() {
                            return Ok(fields(&section));
                        }
                        section.push_str(&line);
                        section.push_str("\r\n");
                    }
                }
                self.exactly(size, &mut take).await?;
                if !self.line().await?.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "chunk end"));
                }
            },
        }
    }

    async fn exactly(&mut self, mut length: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while length > 0 {
            if self.buffer.is_empty() && !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let now = length.min(self.buffer.len() as u64) as usize;
            take(&self.buffer[..now]);
            self.buffer.drain(..now);
            length -= now as u64;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return Ok(latin1(&line));
            }
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(64 << 10);
        let before = self.buffer.len();
        let count = self.stream.read_buf(&mut self.buffer).await?;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let room = LOGGED.saturating_sub(log.len()).min(count);
        log.extend_from_slice(&self.buffer[before..before + room]);
        Ok(count > 0)
    }
}

/// Start line and header fields of a head.
pub(crate) fn split_head(head: &[u8]) -> (String, Fields) {
    let text = latin1(head);
    let (start, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    (start.to_owned(), fields(rest))
}

fn fields(section: &str) -> Fields {
    section
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// The first value of a field.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The framing of a request's body.
pub(crate) fn framing(fields: &Fields) -> Framing {
    if field(fields, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Framing::Chunked;
    }
    let length = field(fields, "content-length").and_then(|length| length.parse().ok());
    Framing::Length(length.unwrap_or(0))
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
