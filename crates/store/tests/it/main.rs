//! The store as its callers use it.

mod catalog;
mod exchanges;
mod log;
