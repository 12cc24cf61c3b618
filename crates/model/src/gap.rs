//! A hole in a recording: what was lost is part of the record.

use std::fmt;

use crate::instant::Timestamp;

/// Exchanges or parts of them that travelled but were not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the first of them was lost.
    pub from: Timestamp,
    /// When the last of them was lost.
    pub to: Timestamp,
    /// Number of exchanges that are missing altogether.
    pub exchanges: u64,
    /// Number of exchanges that are kept but miss bytes which the capture limit would have allowed.
    pub bodies: u64,
    /// Why they were lost.
    pub reason: GapReason,
}

/// Why something was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The capture queue was full.
    Overflow,
    /// The disk could not take more.
    Storage,
    /// A block of the traffic log is damaged.
    Damage,
}

impl GapReason {
    /// The stable code that files and APIs carry.
    pub fn code(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Storage => "storage",
            Self::Damage => "damage",
        }
    }

    /// The value behind a stable code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Overflow, Self::Storage, Self::Damage].into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
