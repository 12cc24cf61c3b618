//! The store as its callers use it.

mod arbitrary;
mod catalog;
mod damage;
mod exchanges;
mod log;
mod properties;
mod resume;
mod streams;
