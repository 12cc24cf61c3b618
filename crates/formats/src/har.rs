//! HAR 1.2 in and out (<http://www.softwareishard.com/blog/har-12-spec/>).
//!
//! What is written satisfies the specification and opens in browsers; what the specification has no place
//! for is in fields that begin with `_`, so that an exchange which goes out comes in again equal:
//!
//! | field | holds |
//! |---|---|
//! | entry `_id`, `_connection` | identifier; number of the client connection |
//! | entry `_answered`, `_answeredBy` | `false` when there was no response; `mock` or `proxy` when the upstream did not give it |
//! | entry `_failure` | `{kind, phase, detail}` |
//! | entry `_webSocketMessages` | Chrome's list, with `_at` (ms from the start), `_fin`, `_compressed`, `_length`, `_base64` where they say more |
//! | entry `_events` | server-sent events, for reading; the body is what counts |
//! | entry `_graphql` | `[{name, kind}]` |
//! | `timings._unknown` | the obligatory steps that did not happen, written as 0 |
//! | `timings._total`, `timings._reused` | the whole exchange when it is not the sum of its steps; a connection used before |
//! | request `_target`, `_targetBase64`, `_scheme`, `_authority` | what `url` cannot carry exactly |
//! | response `_statusTextBase64` | a reason phrase that is empty or not UTF-8 |
//! | header `_base64` | a value that is not UTF-8 |
//! | request and response `_trailers`; response `_interim` | trailer fields; 1xx responses |
//! | `content` and `postData` `_encoded` | the body as it travelled, base64, when `text` shows it decoded |
//! | … `_raw` | `true` when `text` is the body as it travelled although it has a content coding |
//! | … `_truncated` | true length when fewer bytes were captured |
//! | … `_chunks` | `[[ms from the start, offset of the end], …]` |
//! | `postData._encoding` | `base64`, which `postData` has no field for |
//! | log `_gaps` | what is missing from the recording |
//!
//! Reading takes what Chrome, Firefox, Charles and Fiddler write, with their liberties.

mod body;
mod cookies;
mod entry_read;
mod entry_written;
mod frames;
mod read;
mod timings;
mod url;
mod write;

pub use read::Reader;
pub use write::Writer;

use crate::registry::Format;

/// The format as the registry lists it.
pub const FORMAT: Format = Format {
    name: "har",
    title: "a HAR file",
    extensions: &["har"],
    importer: &Reader,
    exporter: &write::Exporter,
};
