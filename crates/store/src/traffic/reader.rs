//! Reads the log of one session, also while it is being written.
//!
//! Exchanges come in the order in which they ended. Memory holds one block and the exchanges that are open.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use mimeo_model::{
    Body, Content, Exchange, ExchangeId, Failure, FailureKind, Gap, GapReason, Phase, Timestamp,
};
use prost::Message;

use crate::traffic::block::{self, BLOCK_HEADER, BLOCK_MAGIC, SEGMENT_HEADER};
use crate::traffic::frame::{self, RecordFrame};
use crate::traffic::writer::{is_being_written, segment_path};
use crate::traffic::{FORMAT_VERSION, Location, Part, Record, TrafficError, io_error};

/// Something found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An exchange.
    Exchange {
        /// Its number within the session, from 1.
        sequence: u64,
        /// Where its last record lies.
        location: Location,
        /// The exchange.
        exchange: Box<Exchange>,
        /// Whether it is still going on.
        live: bool,
    },
    /// Something that was lost.
    Gap(Gap),
}

/// Reads a log from its beginning.
pub struct LogReader {
    folder: PathBuf,
    segment: Option<OpenSegment>,
    number: u32,
    block: Option<OpenBlock>,
    open: HashMap<ExchangeId, OpenExchange>,
    rest: Option<std::vec::IntoIter<Found>>,
}

struct OpenSegment {
    file: File,
    path: PathBuf,
    at: u64,
}

struct OpenBlock {
    raw: Vec<u8>,
    at: usize,
    location: Location,
}

struct OpenExchange {
    sequence: u64,
    location: Location,
    head: Exchange,
    request_body: BytesMut,
    response_body: BytesMut,
    frames: Vec<mimeo_model::Frame>,
}

impl LogReader {
    /// Opens the log in a session's folder.
    pub fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            segment: None,
            number: 0,
            block: None,
            open: HashMap::new(),
            rest: None,
        }
    }

    /// The next thing in the log; `None` at its present end, after which it may be called again.
    pub fn read(&mut self) -> Result<Option<Found>, TrafficError> {
        loop {
            if let Some(block) = &mut self.block {
                match next_record(block) {
                    Some((sequence, location, record)) => {
                        if let Some(found) = self.take(sequence, location, record) {
                            return Ok(Some(found));
                        }
                        continue;
                    }
                    None => self.block = None,
                }
            }
            match self.next_block()? {
                Next::Block(block) => self.block = Some(block),
                Next::Damage(gap) => return Ok(Some(Found::Gap(gap))),
                Next::End => return Ok(None),
            }
        }
    }

    /// The exchanges that were begun and not ended, when the log is at its end: live ones while a writer is at
    /// work, interrupted ones otherwise.
    pub fn unfinished(&mut self) -> Vec<Found> {
        let live = is_being_written(&self.folder);
        let mut found: Vec<_> = self.open.drain().map(|(_, open)| open).collect();
        found.sort_by_key(|open| open.sequence);
        found
            .into_iter()
            .map(|open| {
                let (sequence, location) = (open.sequence, open.location);
                let mut exchange = open.assemble(None);
                if !live {
                    exchange.failure.get_or_insert(Failure {
                        kind: FailureKind::Interrupted,
                        phase: Phase::Receive,
                        detail: "the recorder was killed before the exchange was complete".to_owned(),
                    });
                }
                Found::Exchange { sequence, location, exchange: Box::new(exchange), live }
            })
            .collect()
    }

    /// Reads one exchange that was handed over whole; `None` when there is another kind of record.
    pub fn read_at(folder: &Path, location: Location) -> Result<Option<Exchange>, TrafficError> {
        let mut segment = open_segment(folder, location.segment)?;
        let Some(segment) = &mut segment else { return Ok(None) };
        segment.at = location.block;
        let Some(Ok(raw)) = read_block(segment)? else { return Ok(None) };
        let mut block = OpenBlock { raw, at: 0, location: Location { index: 0, ..location } };
        while let Some((_, found, record)) = next_record(&mut block) {
            if found.index == location.index {
                return Ok(match record {
                    Record::Exchange(exchange) => Some(*exchange),
                    Record::Open(_) | Record::Part { .. } | Record::End(_) | Record::Gap(_) => None,
                });
            }
        }
        Ok(None)
    }

    /// Whether a writer is at work on the log in `folder`.
    pub fn is_being_written(folder: &Path) -> bool {
        is_being_written(folder)
    }

    fn take(&mut self, sequence: u64, location: Location, record: Record) -> Option<Found> {
        match record {
            Record::Exchange(exchange) => Some(Found::Exchange { sequence, location, exchange, live: false }),
            Record::Open(head) => {
                let open = OpenExchange {
                    sequence,
                    location,
                    head: *head,
                    request_body: BytesMut::new(),
                    response_body: BytesMut::new(),
                    frames: Vec::new(),
                };
                self.open.insert(open.head.id, open);
                None
            }
            Record::Part { id, part } => {
                if let Some(open) = self.open.get_mut(&id) {
                    match part {
                        Part::RequestBody(bytes) => open.request_body.extend_from_slice(&bytes),
                        Part::ResponseBody(bytes) => open.response_body.extend_from_slice(&bytes),
                        Part::Frame(frame) => open.frames.push(frame),
                    }
                }
                None
            }
            Record::End(end) => {
                let exchange = match self.open.remove(&end.id) {
                    Some(open) => open.assemble(Some(*end)),
                    // Its beginning was in a damaged block; the end knows all but the bytes.
                    None => *end,
                };
                Some(Found::Exchange { sequence, location, exchange: Box::new(exchange), live: false })
            }
            Record::Gap(gap) => Some(Found::Gap(gap)),
        }
    }

    fn next_block(&mut self) -> Result<Next, TrafficError> {
        loop {
            if self.segment.is_none() {
                let Some(segment) = open_segment(&self.folder, self.number + 1)? else {
                    return Ok(Next::End);
                };
                self.number += 1;
                self.segment = Some(segment);
            }
            let Some(segment) = &mut self.segment else { return Ok(Next::End) };
            let at = segment.at;
            match read_block(segment)? {
                Some(Ok(raw)) => {
                    let location = Location { segment: self.number, block: at, index: 0 };
                    return Ok(Next::Block(OpenBlock { raw, at: 0, location }));
                }
                Some(Err(())) => {
                    if find_block(segment, at + 1)? {
                        return Ok(Next::Damage(damage()));
                    }
                    // Nothing readable follows here: a torn tail, or damage up to the end of a sealed segment.
                    segment.at = at;
                    if segment_path(&self.folder, self.number + 1).exists() {
                        self.segment = None;
                        return Ok(Next::Damage(damage()));
                    }
                    return Ok(Next::End);
                }
                None => {
                    if !segment_path(&self.folder, self.number + 1).exists() {
                        return Ok(Next::End);
                    }
                    self.segment = None;
                }
            }
        }
    }
}

/// The exchanges and gaps of a log up to its present end, unfinished exchanges last. A fault ends the
/// iteration.
impl Iterator for LogReader {
    type Item = Result<Found, TrafficError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_none() {
            match self.read() {
                Ok(Some(found)) => return Some(Ok(found)),
                Ok(None) => self.rest = Some(self.unfinished().into_iter()),
                Err(error) => {
                    self.rest = Some(Vec::new().into_iter());
                    return Some(Err(error));
                }
            }
        }
        self.rest.as_mut()?.next().map(Ok)
    }
}

enum Next {
    Block(OpenBlock),
    Damage(Gap),
    End,
}

impl OpenExchange {
    fn assemble(self, end: Option<Exchange>) -> Exchange {
        let ended = end.is_some();
        let mut exchange = end.unwrap_or(self.head);
        let fill = |body: &mut Body, bytes: BytesMut| {
            if !bytes.is_empty() && matches!(&body.content, Content::Inline(inline) if inline.is_empty()) {
                if !ended {
                    body.length = bytes.len() as u64;
                }
                body.content = Content::Inline(bytes.freeze());
            }
        };
        fill(&mut exchange.request.body, self.request_body);
        if let Some(response) = &mut exchange.response {
            fill(&mut response.body, self.response_body);
        }
        exchange.frames.splice(..0, self.frames);
        exchange
    }
}

fn damage() -> Gap {
    let at = Timestamp::from_unix_micros(0);
    Gap { from: at, to: at, exchanges: 0, bodies: 0, reason: GapReason::Damage }
}

fn open_segment(folder: &Path, number: u32) -> Result<Option<OpenSegment>, TrafficError> {
    let path = segment_path(folder, number);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", &path)(error)),
    };
    let mut header = [0; SEGMENT_HEADER];
    if !read_whole(&mut file, &mut header).map_err(io_error("read", &path))? {
        // The writer died, or is, between making the file and writing its header.
        return Ok(None);
    }
    match block::segment_version(&header) {
        None => Err(TrafficError::NotASegment { path }),
        Some(version) if version > FORMAT_VERSION => Err(TrafficError::Newer { path, version }),
        Some(_) => Ok(Some(OpenSegment { file, path, at: SEGMENT_HEADER as u64 })),
    }
}

/// Reads the block at the segment's place and moves on. `None` at the end, `Err` for what is no whole block.
fn read_block(segment: &mut OpenSegment) -> Result<Option<Result<Vec<u8>, ()>>, TrafficError> {
    let fault = |path: &Path| io_error("read", path);
    let length = segment.file.metadata().map_err(fault(&segment.path))?.len();
    if segment.at >= length {
        return Ok(None);
    }
    let mut bytes = [0; BLOCK_HEADER];
    segment.file.seek(SeekFrom::Start(segment.at)).map_err(fault(&segment.path))?;
    if !read_whole(&mut segment.file, &mut bytes).map_err(fault(&segment.path))? {
        return Ok(Some(Err(())));
    }
    let Some(header) = block::header(&bytes) else { return Ok(Some(Err(()))) };
    if segment.at + (BLOCK_HEADER + header.stored) as u64 > length {
        return Ok(Some(Err(())));
    }
    let mut stored = vec![0; header.stored];
    if !read_whole(&mut segment.file, &mut stored).map_err(fault(&segment.path))? {
        return Ok(Some(Err(())));
    }
    Ok(Some(match block::open(&bytes, header, &stored) {
        Some(raw) => {
            segment.at += (BLOCK_HEADER + header.stored) as u64;
            Ok(raw)
        }
        None => Err(()),
    }))
}

/// Moves to the next whole block at or after `from`; false when there is none.
fn find_block(segment: &mut OpenSegment, from: u64) -> Result<bool, TrafficError> {
    const WINDOW: usize = 64 << 10;
    let mut at = from;
    loop {
        segment.file.seek(SeekFrom::Start(at)).map_err(io_error("read", &segment.path))?;
        let mut window = Vec::with_capacity(WINDOW);
        Read::by_ref(&mut segment.file)
            .take(WINDOW as u64)
            .read_to_end(&mut window)
            .map_err(io_error("read", &segment.path))?;
        if window.len() < BLOCK_HEADER {
            return Ok(false);
        }
        for candidate in
            window.windows(4).enumerate().filter(|(_, bytes)| **bytes == BLOCK_MAGIC).map(|(at, _)| at)
        {
            segment.at = at + candidate as u64;
            if let Some(Ok(_)) = read_block(segment)? {
                segment.at = at + candidate as u64;
                return Ok(true);
            }
        }
        at += (window.len() - 3) as u64;
    }
}

fn next_record(block: &mut OpenBlock) -> Option<(u64, Location, Record)> {
    loop {
        let length = block.raw.get(block.at..block.at + 4)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let bytes = block.raw.get(block.at + 4..block.at + 4 + length)?;
        let frame = RecordFrame::decode(bytes);
        block.at += 4 + length;
        let location = block.location;
        block.location.index += 1;
        // The checksum held, so a record that does not decode is of a kind this version does not know.
        if let Ok(frame) = frame {
            let sequence = frame.sequence;
            if let Some(record) = frame::to_record(frame) {
                return Some((sequence, location, record));
            }
        }
    }
}

/// Fills the buffer; false when the file ends before.
fn read_whole(file: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
