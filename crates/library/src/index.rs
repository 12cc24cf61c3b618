//! Indices over mocks.

pub(crate) mod canonical;
pub(crate) mod exact;
pub(crate) mod groups;
pub(crate) mod selecting;
