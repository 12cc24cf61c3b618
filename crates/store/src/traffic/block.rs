//! Blocks as bytes: little-endian, checksummed (CRC-32 of ISO-HDLC).
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | `MBLK` |
//! | 4 | 1 | codec: 1 is zstd (RFC 8878) |
//! | 5 | 3 | zero |
//! | 8 | 4 | length of the records |
//! | 12 | 4 | length of the payload, which is the compressed records |
//! | 16 | 8 | sequence number of the first exchange that begins here, or of the next one to begin |
//! | 24 | 4 | number of exchanges that begin here |
//! | 28 | 4 | number of records |
//! | 32 | 4 | checksum of the payload |
//! | 36 | 4 | checksum of the 36 bytes before |
//! | 40 | | payload |
//!
//! The two checksums let a reader tell a payload that is damaged, whose end is known, from a header that is,
//! after which the next block must be searched; and let a search trust what it finds without reading it.
//! A record is its length in four bytes, and a protobuf message.

use std::io::Read;

/// First bytes of a block.
pub(crate) const BLOCK_MAGIC: [u8; 4] = *b"MBLK";
/// Length of a block's header.
pub(crate) const BLOCK_HEADER: usize = 40;
/// Longest block before and after compression; a longer one is damage, not a block.
pub(crate) const MAX_BLOCK: usize = 128 << 20;
/// Records above this length are unpacked piece by piece, so that memory follows what is really there.
const TRUSTED: usize = 4 << 20;
const ZSTD: u8 = 1;
/// Level of zstd. On exchanges of 1.5 KiB the levels -1 to -10 took longer than level 1 and more room; level 3
/// took twice the time for no gain.
const LEVEL: i32 = 1;

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    /// Length of the records in bytes.
    pub(crate) raw: usize,
    /// Length of the payload in bytes.
    pub(crate) stored: usize,
    /// Sequence number of the first exchange that begins here, or of the next one to begin.
    pub(crate) first_sequence: u64,
    /// Number of exchanges that begin here.
    pub(crate) begun: u32,
    /// Number of records.
    pub(crate) records: u32,
    checksum: u32,
}

impl BlockHeader {
    /// Length of header and payload.
    pub(crate) fn extent(&self) -> u64 {
        (BLOCK_HEADER + self.stored) as u64
    }

    /// Sequence number of the first exchange that begins after this block.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.begun))
    }
}

/// What the header of a block says of its records.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Contents {
    pub(crate) first_sequence: u64,
    pub(crate) begun: u32,
    pub(crate) records: u32,
}

/// Compresses records into a complete block, which replaces what `block` held.
pub(crate) fn seal(
    compressor: &mut zstd::bulk::Compressor<'_>,
    records: &[u8],
    contents: Contents,
    block: &mut Vec<u8>,
) -> std::io::Result<()> {
    // The compressor writes behind the header, so nothing is copied afterwards.
    block.clear();
    block.resize(BLOCK_HEADER + zstd::zstd_safe::compress_bound(records.len()), 0);
    let stored = compressor.compress_to_buffer(records, &mut block[BLOCK_HEADER..])?;
    block.truncate(BLOCK_HEADER + stored);
    let (header, payload) = block.split_at_mut(BLOCK_HEADER);
    header[..4].copy_from_slice(&BLOCK_MAGIC);
    header[4..8].copy_from_slice(&[ZSTD, 0, 0, 0]);
    header[8..12].copy_from_slice(&(records.len() as u32).to_le_bytes());
    header[12..16].copy_from_slice(&(stored as u32).to_le_bytes());
    header[16..24].copy_from_slice(&contents.first_sequence.to_le_bytes());
    header[24..28].copy_from_slice(&contents.begun.to_le_bytes());
    header[28..32].copy_from_slice(&contents.records.to_le_bytes());
    header[32..36].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let checksum = crc32fast::hash(&header[..36]);
    header[36..].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

pub(crate) fn compressor() -> std::io::Result<zstd::bulk::Compressor<'static>> {
    zstd::bulk::Compressor::new(LEVEL)
}

/// Reads the header of a block; `None` when these bytes begin none that this version knows.
pub(crate) fn header(bytes: &[u8; BLOCK_HEADER]) -> Option<BlockHeader> {
    let header = BlockHeader {
        raw: u32_at(bytes, 8) as usize,
        stored: u32_at(bytes, 12) as usize,
        first_sequence: u64::from(u32_at(bytes, 16)) | u64::from(u32_at(bytes, 20)) << 32,
        begun: u32_at(bytes, 24),
        records: u32_at(bytes, 28),
        checksum: u32_at(bytes, 32),
    };
    let valid = bytes[..4] == BLOCK_MAGIC
        && u32_at(bytes, 36) == crc32fast::hash(&bytes[..36])
        && bytes[4] == ZSTD
        && header.raw <= MAX_BLOCK
        && header.stored <= MAX_BLOCK;
    valid.then_some(header)
}

/// Checks and unpacks a payload; `None` when it is damaged.
pub(crate) fn open(
    decompressor: &mut zstd::bulk::Decompressor<'_>,
    header: &BlockHeader,
    payload: &[u8],
) -> Option<Vec<u8>> {
    if crc32fast::hash(payload) != header.checksum {
        return None;
    }
    let raw = if header.raw <= TRUSTED {
        decompressor.decompress(payload, header.raw).ok()?
    } else {
        unpack(payload, header.raw)?
    };
    (raw.len() == header.raw).then_some(raw)
}

/// Unpacks piece by piece, and no more than one byte beyond what was said.
fn unpack(payload: &[u8], said: usize) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(payload).ok()?;
    decoder.take(said as u64 + 1).read_to_end(&mut raw).ok()?;
    Some(raw)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(records: &[u8]) -> Vec<u8> {
        let mut block = Vec::new();
        let contents = Contents { first_sequence: 7, begun: 2, records: 3 };
        seal(&mut compressor().expect("zstd"), records, contents, &mut block).expect("sealed");
        block
    }

    fn opened(block: &[u8]) -> Option<Vec<u8>> {
        let (bytes, payload) = block.split_first_chunk()?;
        open(&mut zstd::bulk::Decompressor::new().expect("zstd"), &header(bytes)?, payload)
    }

    #[test]
    fn a_block_of_any_length_is_read_as_it_was_written() {
        for length in [0, 1, 1_000, TRUSTED, TRUSTED + 1] {
            let records: Vec<_> = (0..length).map(|at| (at * at / 7) as u8).collect();
            let block = sealed(&records);
            assert!(opened(&block) == Some(records), "{length}");
            let header = header(block.first_chunk().expect("a header")).expect("a header");
            assert_eq!((header.next_sequence(), header.records), (9, 3));
            assert_eq!(header.extent(), block.len() as u64);
        }
    }

    #[test]
    fn a_payload_that_unpacks_to_more_than_was_said_takes_no_more_memory() {
        let block = sealed(&vec![0; 100 << 20]);
        let payload = &block[BLOCK_HEADER..];
        assert!(payload.len() < 64 << 10);
        assert_eq!(unpack(payload, 5 << 20).map(|raw| raw.len()), Some((5 << 20) + 1));
    }
}
