//! Records that are appended and not written yet, cut into blocks of bounded length.

use std::collections::VecDeque;

use crate::traffic::block::Contents;

/// The records of one group, which becomes one block or, when it grew while the disk took nothing, several.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    blocks: VecDeque<PendingBlock>,
    /// Where the first of `blocks` begins in `bytes`.
    start: usize,
    /// Number of the first of `blocks`, counted since the log was opened.
    first: u64,
    /// Number of records since the group began, written ones included.
    records: u32,
}

/// A block to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingBlock {
    end: usize,
    closed: bool,
    pub(crate) contents: Contents,
}

impl Pending {
    /// The block that takes the next record, begun when there is none or the last one is long enough.
    pub(crate) fn block_for_next(&mut self, next_sequence: u64, longest: usize) -> u64 {
        let start = match self.blocks.len() {
            0 | 1 => self.start,
            blocks => self.blocks[blocks - 2].end,
        };
        if self.blocks.back().is_none_or(|block| block.closed || block.end - start >= longest) {
            let contents = Contents { first_sequence: next_sequence, ..Contents::default() };
            self.blocks.push_back(PendingBlock { end: self.bytes.len(), closed: false, contents });
        }
        self.first + self.blocks.len() as u64 - 1
    }

    /// Where the next record goes.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes note of a record that was put behind [`Self::bytes`]; gives its place in the group.
    pub(crate) fn note(&mut self, begun: bool) -> u32 {
        if let Some(block) = self.blocks.back_mut() {
            block.end = self.bytes.len();
            block.contents.records += 1;
            block.contents.begun += u32::from(begun);
        }
        self.records += 1;
        self.records - 1
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Number of records of the group that are written.
    pub(crate) fn written(&self) -> u32 {
        let waiting: u32 = self.blocks.iter().map(|block| block.contents.records).sum();
        self.records - waiting
    }

    /// The first block with its records; it takes no more of them.
    pub(crate) fn front(&mut self) -> Option<(Contents, &[u8])> {
        let block = self.blocks.front_mut()?;
        block.closed = true;
        Some((block.contents, &self.bytes[self.start..block.end]))
    }

    /// Forgets the first block, which is written; gives its number.
    pub(crate) fn pop(&mut self) -> u64 {
        if let Some(block) = self.blocks.pop_front() {
            self.start = block.end;
            self.first += 1;
        }
        if self.blocks.is_empty() {
            self.clear();
        }
        self.first - 1
    }

    /// Forgets everything; gives what that was.
    pub(crate) fn clear(&mut self) -> Vec<PendingBlock> {
        let blocks: Vec<_> = self.blocks.drain(..).collect();
        self.first += blocks.len() as u64;
        self.bytes.clear();
        (self.start, self.records) = (0, 0);
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(pending: &mut Pending, bytes: &[u8], longest: usize) -> (u64, u32) {
        let block = pending.block_for_next(1, longest);
        pending.bytes().extend_from_slice(bytes);
        (block, pending.note(true))
    }

    #[test]
    fn a_group_becomes_blocks_of_bounded_length() {
        let mut pending = Pending::default();
        let places: Vec<_> = (0..5).map(|_| append(&mut pending, b"abc", 6)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4)]);
        assert_eq!(pending.front().map(|(contents, bytes)| (contents.records, bytes.len())), Some((2, 6)));
        assert_eq!((pending.written(), pending.pop(), pending.written()), (0, 0, 2));
        assert_eq!(pending.len(), 9);
        assert_eq!((pending.pop(), pending.pop()), (1, 2));
        assert_eq!((pending.len(), append(&mut pending, b"abc", 6)), (0, (3, 0)));
    }

    #[test]
    fn a_block_that_is_being_written_takes_no_more() {
        let mut pending = Pending::default();
        append(&mut pending, b"abc", 6);
        assert!(pending.front().is_some());
        assert_eq!(append(&mut pending, b"abc", 6), (1, 1));
        assert_eq!(pending.front().map(|(_, bytes)| bytes.len()), Some(3));
        assert_eq!(pending.clear().len(), 2);
        assert_eq!(append(&mut pending, b"abc", 6), (2, 0));
    }
}
