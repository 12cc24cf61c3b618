//! Segments: files of blocks, numbered from 1, and their header.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `MIMEOSEG` |
//! | 8 | 4 | format version |
//! | 12 | 16 | session |
//! | 28 | 4 | number of the segment |
//! | 32 | 4 | checksum of the 32 bytes before |
//!
//! This header is the same in every version, so that an older Mimeo can name what it does not read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use mimeo_model::SessionId;

use crate::traffic::block::{self, BLOCK_HEADER, BLOCK_MAGIC, BlockHeader, u32_at};
use crate::traffic::error::io_error;
use crate::traffic::{FORMAT_VERSION, TrafficError};

/// First bytes of a segment.
const SEGMENT_MAGIC: &[u8; 8] = b"MIMEOSEG";
/// Length of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 36;
/// Bytes that a search looks through at once.
const WINDOW: usize = 64 << 10;

/// The header of a segment.
pub(crate) fn header(session: SessionId, number: u32) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..28].copy_from_slice(session.as_bytes());
    header[28..32].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32fast::hash(&header[..32]);
    header[32..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// The file of a segment.
pub(crate) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.mseg"))
}

/// The numbers of the segments in a folder, ascending; none when the folder is not there.
pub(crate) fn numbers(folder: &Path) -> Result<Vec<u32>, TrafficError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", folder)(error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(io_error("list", folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".mseg")).map(str::parse::<u32>);
        if let Some(Ok(number)) = number
            && path(folder, number).file_name() == Some(&name)
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A segment that is read.
pub(crate) struct Segment {
    file: File,
    path: PathBuf,
}

/// What stands at the beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heading {
    /// The segment of a session.
    Session(SessionId),
    /// Less than a header: the writer is, or died, between making the file and writing to it.
    Stub,
    /// A header with wrong bytes; blocks may follow all the same.
    Damaged,
}

/// What stands at a place in a segment.
pub(crate) enum Place {
    /// A block with its records.
    Block(BlockHeader, Vec<u8>),
    /// A block whose payload is damaged.
    BadPayload(BlockHeader),
    /// Something that is no block.
    BadHeader,
    /// The beginning of a block whose rest is not there, or not yet.
    Torn,
    /// Nothing.
    End,
}

impl Segment {
    /// Opens a segment; `None` when there is no such file.
    pub(crate) fn open(folder: &Path, number: u32) -> Result<Option<Self>, TrafficError> {
        let path = path(folder, number);
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { file, path })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("open", &path)(error)),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    pub(crate) fn length(&self) -> Result<u64, TrafficError> {
        Ok(self.file.metadata().map_err(io_error("read", &self.path))?.len())
    }

    /// Reads the header. A newer version is an error.
    pub(crate) fn heading(&self) -> Result<Heading, TrafficError> {
        let mut header = [0; SEGMENT_HEADER];
        if !self.fill(0, &mut header)? {
            return Ok(Heading::Stub);
        }
        if &header[..8] != SEGMENT_MAGIC || u32_at(&header, 32) != crc32fast::hash(&header[..32]) {
            return Ok(Heading::Damaged);
        }
        let version = u32_at(&header, 8);
        if version > FORMAT_VERSION {
            return Err(TrafficError::Newer { path: self.path.clone(), version });
        }
        let mut session = [0; 16];
        session.copy_from_slice(&header[12..28]);
        Ok(Heading::Session(SessionId::from_bytes(session)))
    }

    /// Reads what stands at `at`, payload and all.
    pub(crate) fn read(
        &self,
        at: u64,
        decompressor: &mut zstd::bulk::Decompressor<'_>,
    ) -> Result<Place, TrafficError> {
        let header = match self.look(at)? {
            Ok(header) => header,
            Err(place) => return Ok(place),
        };
        // The file is known to hold this many bytes, so the length is no claim.
        let mut payload = vec![0; header.stored];
        if !self.fill(at + BLOCK_HEADER as u64, &mut payload)? {
            return Ok(Place::Torn);
        }
        Ok(match block::open(decompressor, &header, &payload) {
            Some(records) => Place::Block(header, records),
            None => Place::BadPayload(header),
        })
    }

    /// Reads the header of the block at `at`, whose payload is there but not looked at.
    pub(crate) fn look(&self, at: u64) -> Result<Result<BlockHeader, Place>, TrafficError> {
        let length = self.length()?;
        if at >= length {
            return Ok(Err(Place::End));
        }
        let mut bytes = [0; BLOCK_HEADER];
        if !self.fill(at, &mut bytes)? {
            // A torn block begins as a whole one does.
            let mut begun = [0; BLOCK_MAGIC.len()];
            let there = ((length - at) as usize).min(begun.len());
            let torn = self.fill(at, &mut begun[..there])? && begun[..there] == BLOCK_MAGIC[..there];
            return Ok(Err(if torn { Place::Torn } else { Place::BadHeader }));
        }
        let Some(header) = block::header(&bytes) else { return Ok(Err(Place::BadHeader)) };
        if at + header.extent() > length {
            return Ok(Err(Place::Torn));
        }
        Ok(Ok(header))
    }

    /// The place of the first block header at or after `from`.
    pub(crate) fn find(&self, from: u64) -> Result<Option<u64>, TrafficError> {
        let finder = memmem::Finder::new(&BLOCK_MAGIC);
        let mut at = from;
        let mut buffer = vec![0; WINDOW];
        loop {
            let window = self.fill_from(at, &mut buffer)?;
            if window.len() < BLOCK_HEADER {
                return Ok(None);
            }
            for candidate in finder.find_iter(window) {
                if let Some(bytes) = window[candidate..].first_chunk::<BLOCK_HEADER>()
                    && block::header(bytes).is_some()
                {
                    return Ok(Some(at + candidate as u64));
                }
            }
            // A header that begins in the last bytes of this window is whole in the next one.
            at += (window.len() - (BLOCK_HEADER - 1)) as u64;
        }
    }

    /// Fills the buffer from `at`; false when the file ends before.
    fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<bool, TrafficError> {
        match self.file.read_exact_at(buffer, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(io_error("read", &self.path)(error)),
        }
    }

    /// Reads from `at` what the buffer holds or the file has left.
    fn fill_from<'a>(&self, at: u64, buffer: &'a mut [u8]) -> Result<&'a [u8], TrafficError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error("read", &self.path)(error)),
            }
        }
        Ok(&buffer[..filled])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::block::Contents;

    #[test]
    fn a_block_is_found_wherever_it_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut found = Vec::new();
        block::seal(&mut block::compressor().expect("zstd"), b"records", Contents::default(), &mut found)
            .expect("sealed");
        for at in (WINDOW - BLOCK_HEADER - 2..WINDOW + 3).chain([0, 1, 2 * WINDOW - 20]) {
            // Magic without a header, of which there may be any number in compressed bytes.
            let mut bytes = BLOCK_MAGIC.repeat(at / 4 + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&found);
            fs::write(path(folder.path(), 1), bytes).expect("written");
            let segment = Segment::open(folder.path(), 1).expect("readable").expect("there");
            assert_eq!(segment.find(0).expect("readable"), Some(at as u64));
            assert_eq!(segment.find(at as u64 + 1).expect("readable"), None);
        }
    }

    #[test]
    fn only_files_with_the_name_of_a_segment_are_segments() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in
            ["00000010.mseg", "00000002.mseg", "2.mseg", "00000003.mseg.bak", "x.mseg", "123456789.mseg"]
        {
            fs::write(folder.path().join(name), b"").expect("written");
        }
        assert_eq!(numbers(folder.path()).expect("listed"), [2, 10, 123_456_789]);
        assert_eq!(numbers(&folder.path().join("nowhere")).expect("nothing"), []);
    }
}
