//! The recording file of AWS calls in and out: a `Recording` with `entries`, each a `CapturedEntry`, in
//! snake case.
//!
//! The documented fields have one value a header, text bodies and no response headers. They are read as
//! they are, and written for whoever knows only them; beside them stand the fields that lose nothing:
//!
//! | field | holds |
//! |---|---|
//! | `scheme`, `host` | of the URL; the documented fields begin at the path |
//! | `query` | the query without its question mark; absent when there is none |
//! | `target_base64` | path and query when they are not UTF-8 |
//! | `request_headers_list`, `response_headers` | `[{name, value}]` in order, with `_base64` for a value that is not UTF-8 |
//! | `request_body_base64`, `response_body_base64` | the bytes as they travelled, where text cannot carry them |
//! | `encoding` | content coding of the response body, in which `response_body_base64` still is |
//! | `request_body_length`, `response_body_length` | true length when fewer bytes were captured |
//! | `connection` | number of the client connection |
//! | `http_version`, `request_http_version`, `status_text` | as they travelled |
//! | `failure` | `{kind, phase, detail}`; with `status_code` 0 there was no response |
//! | recording `gaps` | what is missing |
//!
//! The file does not carry the timings of single steps, the instants of chunks, WebSocket frames, interim
//! responses, trailers and annotations; a HAR file does. The writer counts what it leaves out.

mod entry_read;
mod entry_written;
mod read;
mod write;

pub use read::Reader;
pub use write::Writer;

use crate::registry::Format;

/// The format as the registry lists it.
pub const FORMAT: Format = Format {
    name: "recording",
    title: "an AWS recording",
    extensions: &["json"],
    importer: &Reader,
    exporter: &write::Exporter,
};
