//! A bounded file that takes captures when memory is full, and gives them back in order.
//!
//! Credentials are hidden before anything is written here, as before any other disk. The file has no name: it is
//! gone with the process, whose unannounced captures are gone as well.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use mimeo_store::traffic::{self, Part as StoredPart, Record};
use mimeo_transport::protocol::assembly::{Captured, Part, Piece};

/// Most bytes that wait in the file.
pub(crate) const SPOOL_LIMIT: u64 = 1 << 30;
/// Bytes that are taken back at once.
const BATCH: u64 = 4 << 20;

const WHOLE: u8 = 0;
const OPEN: u8 = 1;
const OPEN_LIVE: u8 = 2;
const PART: u8 = 3;
const END: u8 = 4;

/// Captures waiting in a file.
pub(crate) struct Spool {
    file: File,
    read_at: u64,
    write_at: u64,
    limit: u64,
}

impl Spool {
    /// An empty spool beside the traffic in `folder`.
    pub(crate) fn create(folder: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(folder)?, read_at: 0, write_at: 0, limit })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.read_at == self.write_at
    }

    /// Takes a capture in; gives it back when the file is full or cannot be written.
    pub(crate) fn push(&mut self, captured: Captured) -> Result<(), Captured> {
        let bytes = encode(&captured);
        if self.write_at - self.read_at + bytes.len() as u64 > self.limit {
            return Err(captured);
        }
        let written =
            self.file.seek(SeekFrom::Start(self.write_at)).and_then(|_| self.file.write_all(&bytes));
        if written.is_err() {
            return Err(captured);
        }
        self.write_at += bytes.len() as u64;
        Ok(())
    }

    /// Takes out what comes next, some megabytes at a time.
    pub(crate) fn take(&mut self) -> io::Result<Vec<Captured>> {
        let mut taken = Vec::new();
        self.file.seek(SeekFrom::Start(self.read_at))?;
        let mut reader = io::BufReader::new(&self.file);
        let began = self.read_at;
        while self.read_at < self.write_at && self.read_at - began < BATCH {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
            reader.read_exact(&mut bytes)?;
            self.read_at += 4 + bytes.len() as u64;
            taken.extend(decode(&bytes));
        }
        if self.is_empty() {
            (self.read_at, self.write_at) = (0, 0);
            self.file.set_len(0)?;
        }
        Ok(taken)
    }
}

fn encode(captured: &Captured) -> Vec<u8> {
    let (tag, record) = match captured {
        Captured::Whole(exchange) => (WHOLE, Record::Exchange(exchange.clone())),
        Captured::Open { exchange, live: false } => (OPEN, Record::Open(exchange.clone())),
        Captured::Open { exchange, live: true } => (OPEN_LIVE, Record::Open(exchange.clone())),
        Captured::Part { id, part } => {
            let part = match part {
                Part::RequestBody(piece) => StoredPart::RequestBody(piece.bytes.clone()),
                Part::ResponseBody(piece) => StoredPart::ResponseBody(piece.bytes.clone()),
                Part::Frame(frame) => StoredPart::Frame(frame.clone()),
            };
            (PART, Record::Part { id: *id, part })
        }
        Captured::End(exchange) => (END, Record::End(exchange.clone())),
    };
    let record = traffic::encode(&record);
    let mut bytes = Vec::with_capacity(record.len() + 5);
    bytes.extend_from_slice(&(record.len() as u32 + 1).to_le_bytes());
    bytes.push(tag);
    bytes.extend_from_slice(&record);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Captured> {
    let (tag, record) = bytes.split_first()?;
    // Offsets and instants of pieces were noted by the assembly; the writer needs the bytes alone.
    let piece = |bytes| Piece { offset: 0, bytes, at: Duration::ZERO };
    Some(match (*tag, traffic::decode(record)?) {
        (WHOLE, Record::Exchange(exchange)) => Captured::Whole(exchange),
        (OPEN, Record::Open(exchange)) => Captured::Open { exchange, live: false },
        (OPEN_LIVE, Record::Open(exchange)) => Captured::Open { exchange, live: true },
        (PART, Record::Part { id, part }) => Captured::Part {
            id,
            part: match part {
                StoredPart::RequestBody(bytes) => Part::RequestBody(piece(bytes)),
                StoredPart::ResponseBody(bytes) => Part::ResponseBody(piece(bytes)),
                StoredPart::Frame(frame) => Part::Frame(frame),
            },
        },
        (END, Record::End(exchange)) => Captured::End(exchange),
        _ => return None,
    })
}
