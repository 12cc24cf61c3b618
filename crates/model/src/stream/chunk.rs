//! A piece of a body with the instant it arrived.

use std::time::Duration;

/// One piece of a body: where it ends and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Time from the start of the exchange to the arrival of the piece.
    pub at: Duration,
    /// Offset in the encoded body of the first byte after the piece.
    pub end: u64,
}
