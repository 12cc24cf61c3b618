//! JSON (RFC 8259) as other programs write it: read piece by piece, and leniently.
//!
//! [`scan`] walks a file of any size and cuts out one value at a time; [`tree`] reads such a value
//! without giving up over what a browser or a careless tool wrote: lone surrogates, numbers out of any
//! range, the same key twice, bytes that are not UTF-8. What was odd is reported, not refused.

pub(crate) mod scan;
pub(crate) mod tree;

pub(crate) use scan::{Place, Scanner};
pub(crate) use tree::{Json, Oddities};

/// Deepest nesting of arrays and objects that is read.
pub(crate) const DEPTH: usize = 128;
