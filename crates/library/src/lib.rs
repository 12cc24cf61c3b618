//! Mocks that answer: recorded exchanges compiled into an immutable index, and the cascade that asks it.
//!
//! Pure: no socket, no store, no clock. What changes while answering (how many answers a sequence has given)
//! lives beside the index.

#![warn(missing_docs)]

pub mod cascade;
pub mod compile;
pub mod derive;
pub mod explain;
mod index;
pub mod request;
mod state;
pub mod verify;

pub use cascade::{Decision, Tier};
pub use compile::Library;
pub use derive::{Mock, Unanswerable};
pub use explain::{Candidate, Miss, Unanswered};
pub use request::RequestView;
