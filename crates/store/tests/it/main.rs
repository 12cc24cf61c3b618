//! The store as its callers use it.

mod catalog;
mod damage;
mod exchanges;
mod log;
