//! Indices over mocks.

pub mod canonical;
pub mod exact;
