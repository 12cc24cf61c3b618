//! Large bodies that need no memory: every byte follows from its offset.
//!
//! The bytes are blocks of 64 KiB that do not compress; each begins with its number, so a lost, doubled or swapped
//! block is seen. Comparing blocks is a memory comparison, so that a gibibyte is checked in seconds even unoptimised.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// Bytes of one block.
pub const BLOCK: usize = 64 << 10;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(BLOCK);
    while noise.len() < BLOCK {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise
});

/// Fills `buffer` with the bytes that begin at `offset`.
pub fn fill(mut offset: u64, mut buffer: &mut [u8]) {
    while !buffer.is_empty() {
        let within = (offset % BLOCK as u64) as usize;
        let length = buffer.len().min(BLOCK - within);
        let (now, rest) = buffer.split_at_mut(length);
        now.copy_from_slice(&NOISE[within..within + length]);
        if within < 8 {
            let number = (offset / BLOCK as u64).to_be_bytes();
            let stamped = length.min(8 - within);
            now[..stamped].copy_from_slice(&number[within..within + stamped]);
        }
        offset += length as u64;
        buffer = rest;
    }
}

/// The first `length` bytes.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(0, &mut bytes);
    bytes
}

/// SHA-256 of the first `length` bytes, in lower-case hexadecimal.
pub fn sha256(length: u64) -> String {
    let mut digest = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    while offset < length {
        let take = (length - offset).min(BLOCK as u64) as usize;
        fill(offset, &mut block[..take]);
        digest.update(&block[..take]);
        offset += take as u64;
    }
    hexadecimal(&digest.finalize())
}

/// SHA-256 of `bytes`, in lower-case hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares bytes that arrive in pieces with what they should be.
#[derive(Debug, Default)]
pub struct Check {
    offset: u64,
    wrong_from: Option<u64>,
    expected: Vec<u8>,
}

impl Check {
    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        self.expected.resize(piece.len(), 0);
        fill(self.offset, &mut self.expected);
        if self.wrong_from.is_none() && self.expected != piece {
            let within = self.expected.iter().zip(piece).take_while(|(left, right)| left == right).count();
            self.wrong_from = Some(self.offset + within as u64);
        }
        self.offset += piece.len() as u64;
    }

    /// How many bytes came.
    pub fn length(&self) -> u64 {
        self.offset
    }

    /// Whether every byte so far is as it should be.
    pub fn is_intact(&self) -> bool {
        self.wrong_from.is_none()
    }

    /// Offset of the first byte that is not as it should be.
    pub fn wrong_from(&self) -> Option<u64> {
        self.wrong_from
    }
}
