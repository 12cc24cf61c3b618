//! Exchanges and recordings as files, one room a format.
//!
//! [`registry`] holds the one list of formats and the way in: [`registry::import`] opens whatever it is
//! given, recognises it and hands over one exchange at a time. Every format streams both ways, so that
//! neither a file nor a recording is ever held whole. This crate knows readers and writers; it knows no
//! paths and no store.

#![warn(missing_docs)]

mod coding;
mod detect;
mod error;
mod failure;
mod gaps;
mod headers;
mod import;
mod instant;
mod json;
mod octets;
mod source;
mod target;

pub mod har;
pub mod recording;

pub mod registry;

pub use detect::Kind;
pub use error::Error;
pub use import::{Import, ImportReport, Imported, Limits, Note, Skipped};
pub use registry::{AwsCall, Creator, ExchangeWriter, ExportReport, Exporter, FORMATS, Format, Importer};
pub use source::Source;
