//! Mocks that answer: recorded exchanges compiled into an immutable index, and the cascade that asks it.
//!
//! Pure: no socket, no store, no clock. What changes while answering (how often a sequence was asked) lives
//! beside the index in [`state`].

#![warn(missing_docs)]

pub mod cascade;
pub mod compile;
pub mod derive;
pub mod explain;
pub mod index;
pub mod request;
pub mod state;
pub mod verify;

pub use cascade::{Decision, Tier};
pub use compile::Library;
pub use derive::Mock;
pub use explain::{Candidate, Miss};
pub use request::RequestView;
