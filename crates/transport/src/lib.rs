//! Bytes to messages and back: listening, serving, connecting, TLS and the assembly of exchanges.
//!
//! The proxy and the replay both stand on this crate, so that connecting, timing, framing and the making of
//! an exchange exist once. It knows nothing of sessions, rules or mocks.

#![warn(missing_docs)]

pub mod certificates;
pub mod connect;
pub mod head_tap;
mod lazy_timer;
pub mod listen;
pub mod protocol;
pub mod serve;
