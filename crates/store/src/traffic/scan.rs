//! Walks through the blocks of a log, and takes note of what is not one.
//!
//! Nothing here knows what a record means.

use std::path::{Path, PathBuf};

use crate::traffic::block::BlockHeader;
use crate::traffic::error::io_error;
use crate::traffic::segment::{self, Heading, Place, SEGMENT_HEADER, Segment};
use crate::traffic::{Location, TrafficError};

/// Damaged places that are remembered; further ones are counted.
const REMEMBERED: usize = 1_000;

/// A place in a log that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment, from 1.
    pub segment: u32,
    /// Offset of the first damaged byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// The beginning of a block at the end of a log: a write that a crash, or a full disk, cut short, or that is
/// under way. Nothing of it was ever announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// Number of the segment, from 1.
    pub segment: u32,
    /// Offset of the block.
    pub offset: u64,
    /// Bytes of it that are there.
    pub length: u64,
}

/// A walk through the blocks of a log.
pub(crate) struct Scan {
    folder: PathBuf,
    decompressor: zstd::bulk::Decompressor<'static>,
    segment: Option<Segment>,
    /// Number of the segment that is open, or of the last one that was.
    number: u32,
    at: u64,
    pub(crate) damages: Vec<Damage>,
    pub(crate) damage_count: u64,
    pub(crate) torn: Option<TornTail>,
    /// What a writer does between two looks at the same place.
    #[cfg(test)]
    meanwhile: Option<Box<dyn FnOnce() + Send>>,
}

/// What a step of the walk leads to.
pub(crate) enum Step {
    /// A block: where it lies, what its header says, and its records.
    Block(Location, BlockHeader, Vec<u8>),
    /// A damaged place, with the header of the block when that could be read.
    Damaged(Option<BlockHeader>),
    /// The present end of the log.
    End,
}

impl Scan {
    pub(crate) fn new(folder: &Path) -> Result<Self, TrafficError> {
        Ok(Self {
            folder: folder.to_owned(),
            decompressor: zstd::bulk::Decompressor::new().map_err(io_error("unpack from", folder))?,
            segment: None,
            number: 0,
            at: 0,
            damages: Vec::new(),
            damage_count: 0,
            torn: None,
            #[cfg(test)]
            meanwhile: None,
        })
    }

    /// A walk that begins at a block; `None` when its segment is not there.
    pub(crate) fn from(folder: &Path, segment: u32, block: u64) -> Result<Option<Self>, TrafficError> {
        let Some(open) = Segment::open(folder, segment)? else { return Ok(None) };
        open.heading()?;
        let mut scan = Self::new(folder)?;
        (scan.segment, scan.number, scan.at) = (Some(open), segment, block);
        Ok(Some(scan))
    }

    /// The next block or damaged place. At the end it may be called again.
    pub(crate) fn step(&mut self) -> Result<Step, TrafficError> {
        loop {
            let Some(segment) = &self.segment else {
                match self.open_next()? {
                    Opening::Segment => continue,
                    Opening::Damaged => return Ok(Step::Damaged(None)),
                    Opening::None => return Ok(Step::End),
                }
            };
            let at = self.at;
            let mut place = segment.read(at, &mut self.decompressor)?;
            if let Place::Block(header, records) = place {
                return Ok(self.pass(header, records));
            }
            #[cfg(test)]
            if let Some(meanwhile) = self.meanwhile.take() {
                meanwhile();
            }
            // A writer may be at work. What looks torn or damaged may have become whole by the time at which
            // something is seen to follow it, since blocks and segments are written one after the other; so it
            // is looked at again then.
            let found = match place {
                Place::BadHeader => segment.find(at + 1)?,
                Place::Block(..) | Place::BadPayload(_) | Place::Torn | Place::End => None,
            };
            let sealed = self.next_number()?.is_some();
            if found.is_some() || sealed {
                place = segment.read(at, &mut self.decompressor)?;
            }
            let length = segment.length()?;
            match place {
                Place::Block(header, records) => return Ok(self.pass(header, records)),
                Place::BadPayload(header) => {
                    self.note_damage(header.extent());
                    return Ok(Step::Damaged(Some(header)));
                }
                Place::BadHeader => {
                    self.note_damage(found.unwrap_or(length).saturating_sub(at));
                    return Ok(Step::Damaged(None));
                }
                Place::Torn => {
                    self.torn = Some(TornTail {
                        segment: self.number,
                        offset: at,
                        length: length.saturating_sub(at),
                    });
                    if !sealed {
                        return Ok(Step::End);
                    }
                    self.segment = None;
                }
                Place::End => {
                    self.torn = None;
                    if !sealed {
                        return Ok(Step::End);
                    }
                    self.segment = None;
                }
            }
        }
    }

    fn pass(&mut self, header: BlockHeader, records: Vec<u8>) -> Step {
        let location = Location { segment: self.number, block: self.at, index: 0 };
        self.at += header.extent();
        self.torn = None;
        Step::Block(location, header, records)
    }

    fn note_damage(&mut self, length: u64) {
        if self.damages.len() < REMEMBERED {
            self.damages.push(Damage { segment: self.number, offset: self.at, length });
        }
        self.damage_count += 1;
        self.at += length;
    }

    fn open_next(&mut self) -> Result<Opening, TrafficError> {
        let Some(number) = self.next_number()? else { return Ok(Opening::None) };
        let Some(segment) = Segment::open(&self.folder, number)? else { return Ok(Opening::None) };
        let heading = segment.heading()?;
        if heading == Heading::Stub && segment::numbers(&self.folder)?.last() == Some(&number) {
            // The writer is about to fill it.
            return Ok(Opening::None);
        }
        (self.number, self.at) = (number, 0);
        match heading {
            Heading::Stub => Ok(Opening::Segment),
            Heading::Session(_) => {
                (self.segment, self.at) = (Some(segment), SEGMENT_HEADER as u64);
                Ok(Opening::Segment)
            }
            Heading::Damaged => {
                self.segment = Some(segment);
                self.note_damage(SEGMENT_HEADER as u64);
                Ok(Opening::Damaged)
            }
        }
    }

    /// The number of the segment after the present one. Numbers may be missing: segments that were evicted, or
    /// could not be begun.
    fn next_number(&self) -> Result<Option<u32>, TrafficError> {
        let next = self.number + 1;
        if segment::path(&self.folder, next).exists() {
            return Ok(Some(next));
        }
        Ok(segment::numbers(&self.folder)?.into_iter().find(|number| *number > self.number))
    }
}

enum Opening {
    Segment,
    Damaged,
    None,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::traffic::block::{self, Contents};
    use mimeo_model::SessionId;

    fn a_block(first_sequence: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let contents = Contents { first_sequence, begun: 1, records: 1 };
        block::seal(&mut block::compressor().expect("zstd"), b"records", contents, &mut bytes)
            .expect("sealed");
        bytes
    }

    fn sequences(scan: &mut Scan) -> Vec<u64> {
        let mut sequences = Vec::new();
        loop {
            match scan.step().expect("readable") {
                Step::Block(_, header, _) => sequences.push(header.first_sequence),
                Step::Damaged(_) => panic!("nothing is damaged"),
                Step::End => return sequences,
            }
        }
    }

    /// A writer completes what it was writing, and more, after it was seen incomplete.
    #[test]
    fn what_becomes_whole_while_it_is_looked_at_is_neither_damaged_nor_passed_over() {
        let begun = [&segment::header(SessionId::from_bytes([1; 16]), 1)[..], &a_block(1)].concat();
        let whole = [&begun[..], &a_block(2), &a_block(3)].concat();
        let next = [&segment::header(SessionId::from_bytes([1; 16]), 2)[..], &a_block(4)].concat();
        for seen in begun.len()..whole.len() {
            for sealed in [false, true] {
                let folder = tempfile::tempdir().expect("a folder");
                let first = segment::path(folder.path(), 1);
                fs::write(&first, &whole[..seen]).expect("written");
                let mut scan = Scan::new(folder.path()).expect("a scan");
                let (whole, next) = (whole.clone(), next.clone());
                let second = segment::path(folder.path(), 2);
                scan.meanwhile = Some(Box::new(move || {
                    fs::write(&first, whole).expect("written");
                    if sealed {
                        fs::write(&second, next).expect("written");
                    }
                }));
                let mut found = sequences(&mut scan);
                found.extend(sequences(&mut scan));
                assert_eq!(found, if sealed { vec![1, 2, 3, 4] } else { vec![1, 2, 3] }, "{seen}, {sealed}");
                assert_eq!((scan.damage_count, scan.torn), (0, None));
            }
        }
    }
}
