//! A request as the library looks at it.

use mimeo_model::{Headers, Method, Request};

/// A request that wants an answer.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The authority it names; `None` where the client does not know the recorded one, as behind a reverse
    /// proxy.
    pub authority: Option<&'a str>,
    /// Path and query as they travelled.
    pub target: &'a [u8],
    /// Its header fields.
    pub headers: &'a Headers,
    /// Its body as it travelled.
    pub body: &'a [u8],
}

impl<'a> RequestView<'a> {
    /// A recorded request, seen as the request of a client that knows the authority.
    pub fn of_recorded(request: &'a Request) -> Self {
        Self {
            method: &request.method,
            authority: Some(&request.authority),
            target: &request.target,
            headers: &request.headers,
            body: request.body.inline().map_or(&[], |bytes| &bytes[..]),
        }
    }

    /// The path without the query.
    pub fn path(&self) -> &'a [u8] {
        self.target.split(|byte| *byte == b'?').next().unwrap_or_default()
    }

    /// The query without its question mark.
    pub fn query(&self) -> &'a [u8] {
        let at = self.target.iter().position(|byte| *byte == b'?');
        at.map_or(&[], |at| &self.target[at + 1..])
    }
}
