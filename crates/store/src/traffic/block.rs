//! Segments' headers and blocks as bytes: little-endian, checksummed (CRC-32 of ISO-HDLC).

use mimeo_model::SessionId;

use crate::traffic::FORMAT_VERSION;

/// First bytes of a segment.
const SEGMENT_MAGIC: &[u8; 8] = b"MIMEOSEG";
/// First bytes of a block.
pub(crate) const BLOCK_MAGIC: [u8; 4] = *b"MBLK";
/// Length of a segment's header: magic, version, session, number, checksum.
pub(crate) const SEGMENT_HEADER: usize = 8 + 4 + 16 + 4 + 4;
/// Length of a block's header: magic, raw length, stored length, first sequence, records, checksum.
pub(crate) const BLOCK_HEADER: usize = 4 + 4 + 4 + 8 + 4 + 4;
/// Longest block before and after compression; a longer length is damage, not a block.
pub(crate) const MAX_BLOCK: usize = 256 << 20;
/// zstd level: the fastest of the ordinary ones, since blocks are compressed while traffic flows.
const LEVEL: i32 = 1;

pub(crate) fn segment_header(session: SessionId, number: u32) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..28].copy_from_slice(session.as_bytes());
    header[28..32].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32fast::hash(&header[..32]);
    header[32..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Reads the version of a segment; `None` when the bytes do not begin one.
pub(crate) fn segment_version(header: &[u8; SEGMENT_HEADER]) -> Option<u32> {
    if &header[..8] != SEGMENT_MAGIC {
        return None;
    }
    Some(u32_at(header, 8))
}

/// The header of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockHeader {
    pub(crate) raw: usize,
    pub(crate) stored: usize,
    checksum: u32,
}

/// Compresses records into a complete block.
pub(crate) fn seal(
    compressor: &mut zstd::bulk::Compressor<'_>,
    records: &[u8],
    count: u32,
    first_sequence: u64,
) -> std::io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK_HEADER + zstd::zstd_safe::compress_bound(records.len()));
    block.extend_from_slice(&[0; BLOCK_HEADER]);
    let stored = compressor.compress(records)?;
    block.extend_from_slice(&stored);
    block[..4].copy_from_slice(&BLOCK_MAGIC);
    block[4..8].copy_from_slice(&(records.len() as u32).to_le_bytes());
    block[8..12].copy_from_slice(&(stored.len() as u32).to_le_bytes());
    block[12..20].copy_from_slice(&first_sequence.to_le_bytes());
    block[20..24].copy_from_slice(&count.to_le_bytes());
    let checksum = checksum(&block[..24], &block[BLOCK_HEADER..]);
    block[24..28].copy_from_slice(&checksum.to_le_bytes());
    Ok(block)
}

pub(crate) fn compressor() -> std::io::Result<zstd::bulk::Compressor<'static>> {
    zstd::bulk::Compressor::new(LEVEL)
}

/// Reads the header of a block; `None` when these bytes begin none.
pub(crate) fn header(bytes: &[u8; BLOCK_HEADER]) -> Option<BlockHeader> {
    let header = BlockHeader {
        raw: u32_at(bytes, 4) as usize,
        stored: u32_at(bytes, 8) as usize,
        checksum: u32_at(bytes, 24),
    };
    (bytes[..4] == BLOCK_MAGIC && header.raw <= MAX_BLOCK && header.stored <= MAX_BLOCK).then_some(header)
}

/// Checks and decompresses a block; `None` when it is damaged.
pub(crate) fn open(header_bytes: &[u8; BLOCK_HEADER], header: BlockHeader, stored: &[u8]) -> Option<Vec<u8>> {
    if checksum(&header_bytes[..24], stored) != header.checksum {
        return None;
    }
    let raw = zstd::bulk::decompress(stored, header.raw).ok()?;
    (raw.len() == header.raw).then_some(raw)
}

fn checksum(header: &[u8], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(stored);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
