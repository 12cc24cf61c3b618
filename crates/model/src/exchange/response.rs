//! What was answered.

use bytes::Bytes;

use crate::body::Body;
use crate::exchange::Version;
use crate::headers::Headers;

/// A response as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase as it travelled; `None` in HTTP/2, which has none.
    pub reason: Option<Bytes>,
    /// Version of HTTP the upstream spoke.
    pub version: Version,
    /// Header fields in their order.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// Trailer fields (RFC 9110, section 6.5).
    pub trailers: Headers,
    /// Interim responses (1xx) that came before this one.
    pub interim: Vec<Interim>,
}

/// An interim response (RFC 9110, section 15.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interim {
    /// The status code, 100 to 199.
    pub status: u16,
    /// Header fields in their order.
    pub headers: Headers,
}
