//! What the user wants done with one message: hidden, matched, annotated.
//!
//! Pure: no socket, no file, no clock. One room for each kind of rule.

#![warn(missing_docs)]

pub mod detect;
pub mod host_glob;
pub mod redaction;
