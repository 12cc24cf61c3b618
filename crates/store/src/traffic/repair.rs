//! What is done to a log before it is continued.
//!
//! A torn tail is cut and what a writer left half made is removed; a damaged block stays where it is, since
//! somebody may still want to look at it. Sealed segments are not written to again, so the log goes on in a
//! new one. Every step may be the last one before a crash: doing all of it again gives the same log.

use std::path::Path;
use std::sync::Arc;

use mimeo_model::SessionId;

use crate::traffic::TrafficError;
use crate::traffic::body_file::BodyFiles;
use crate::traffic::disk::Disk;
use crate::traffic::error::io_error;
use crate::traffic::segment::{self, Heading, Place, SEGMENT_HEADER, Segment};

/// What was found and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repaired {
    /// Bytes of torn blocks that were cut.
    pub cut: u64,
    /// Unfinished bodies that were removed.
    pub bodies: u64,
}

/// Where a log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resumption {
    pub(crate) repaired: Repaired,
    /// Number of the last segment; zero when there is none.
    pub(crate) last_segment: u32,
    /// Sequence number of the next exchange.
    pub(crate) next_sequence: u64,
}

/// Repairs the log in `folder`. The caller holds its lock.
pub(crate) fn repair(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    session: SessionId,
) -> Result<Resumption, TrafficError> {
    let numbers = segment::numbers(folder)?;
    let mut stubs = Vec::new();
    // Nothing is touched before every segment is known to be ours.
    for number in &numbers {
        let Some(segment) = Segment::open(folder, *number)? else { continue };
        match segment.heading()? {
            Heading::Session(found) if found != session => {
                let path = segment.path().to_owned();
                return Err(TrafficError::OtherSession { path, found, expected: session });
            }
            Heading::Session(_) | Heading::Damaged => {}
            Heading::Stub => stubs.push(*number),
        }
    }
    let mut repaired = Repaired::default();
    for number in &stubs {
        let path = segment::path(folder, *number);
        disk.remove(&path).map_err(io_error("remove", &path))?;
    }
    let mut next_sequence = 1;
    for number in numbers.iter().filter(|number| !stubs.contains(number)) {
        let Some(segment) = Segment::open(folder, *number)? else { continue };
        let end = walk(&segment, &mut next_sequence)?;
        let length = segment.length()?;
        if end < length {
            let mut file = disk.open(segment.path()).map_err(io_error("open", segment.path()))?;
            file.truncate(end)
                .and_then(|()| file.sync())
                .map_err(io_error("cut the torn end of", segment.path()))?;
            repaired.cut += length - end;
        }
    }
    repaired.bodies = BodyFiles::on(disk.clone(), folder).remove_unfinished()?;
    Ok(Resumption { repaired, last_segment: numbers.last().copied().unwrap_or(0), next_sequence })
}

/// Follows the headers of a segment's blocks; gives the place where a torn tail begins, or the end.
fn walk(segment: &Segment, next_sequence: &mut u64) -> Result<u64, TrafficError> {
    let mut at = SEGMENT_HEADER as u64;
    loop {
        match segment.look(at)? {
            Ok(header) => {
                *next_sequence = (*next_sequence).max(header.next_sequence());
                at += header.extent();
            }
            Err(Place::BadHeader) => match segment.find(at + 1)? {
                Some(next) => at = next,
                // Damage, not a tear: a torn block begins as a whole one does.
                None => return segment.length(),
            },
            Err(Place::Torn | Place::End | Place::Block(..) | Place::BadPayload(_)) => return Ok(at),
        }
    }
}
