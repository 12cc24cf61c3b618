//! What lasts: the traffic log of each session and the catalog that finds things in it.
//!
//! The store spawns nothing, queues nothing and decides nothing; redaction, queues and policies belong to
//! whoever calls it.

#![warn(missing_docs)]

pub mod catalog;
pub mod data_dir;
pub mod traffic;

pub use catalog::Catalog;
pub use data_dir::DataDir;
