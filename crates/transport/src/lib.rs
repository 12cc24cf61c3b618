//! Bytes to messages and back.
#![warn(missing_docs)]
pub mod head_tap;
pub mod protocol;
