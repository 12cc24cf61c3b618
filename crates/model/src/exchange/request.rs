//! What was asked.

use std::fmt;

use bytes::Bytes;

use crate::body::Body;
use crate::exchange::Version;
use crate::headers::Headers;

/// A request as it was received.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, case kept.
    pub method: Method,
    /// Scheme of the URL that was asked for.
    pub scheme: Scheme,
    /// Authority of the URL that was asked for: host, and port where it is not the scheme's own. In
    /// reverse mode the upstream's.
    pub authority: String,
    /// Path and query byte for byte as they travelled, beginning with `/` (or `*`).
    pub target: Bytes,
    /// Version of HTTP the client spoke.
    pub version: Version,
    /// Header fields in their order.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// Trailer fields (RFC 9110, section 6.5).
    pub trailers: Headers,
}

/// Scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// `http`.
    #[default]
    Http,
    /// `https`.
    Https,
}

/// A request method; any token is accepted and its case kept (RFC 9110, section 9.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Method(Bytes);

impl Method {
    /// `GET`.
    pub const GET: Self = Self(Bytes::from_static(b"GET"));
    /// `HEAD`.
    pub const HEAD: Self = Self(Bytes::from_static(b"HEAD"));
    /// `POST`.
    pub const POST: Self = Self(Bytes::from_static(b"POST"));
    /// `PUT`.
    pub const PUT: Self = Self(Bytes::from_static(b"PUT"));
    /// `PATCH`.
    pub const PATCH: Self = Self(Bytes::from_static(b"PATCH"));
    /// `DELETE`.
    pub const DELETE: Self = Self(Bytes::from_static(b"DELETE"));
    /// `OPTIONS`.
    pub const OPTIONS: Self = Self(Bytes::from_static(b"OPTIONS"));
    /// `TRACE`.
    pub const TRACE: Self = Self(Bytes::from_static(b"TRACE"));
    /// `CONNECT`.
    pub const CONNECT: Self = Self(Bytes::from_static(b"CONNECT"));

    /// Takes a token (RFC 9110, section 5.6.2); anything else is not a method.
    pub fn new(token: &[u8]) -> Option<Self> {
        let known = [
            Self::GET,
            Self::POST,
            Self::PUT,
            Self::DELETE,
            Self::PATCH,
            Self::HEAD,
            Self::OPTIONS,
            Self::CONNECT,
            Self::TRACE,
        ];
        if let Some(method) = known.into_iter().find(|method| method.0 == token) {
            return Some(method);
        }
        let valid = !token.is_empty()
            && token.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
        valid.then(|| Self(Bytes::copy_from_slice(token)))
    }

    /// The method's text.
    pub fn as_str(&self) -> &str {
        // A token is ASCII, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether the method promises not to change state (RFC 9110, section 9.2.1).
    pub fn is_safe(&self) -> bool {
        [Self::GET, Self::HEAD, Self::OPTIONS, Self::TRACE].contains(self)
    }

    /// Whether sending the request twice has the effect of sending it once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || [Self::PUT, Self::DELETE].contains(self)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port used when a URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Request {
    /// The absolute URL; bytes that are not UTF-8 are shown as U+FFFD.
    pub fn url(&self) -> String {
        // The target of CONNECT is an authority, that of OPTIONS may be `*`; neither continues a URL.
        let path =
            if self.target.starts_with(b"/") { String::from_utf8_lossy(&self.target) } else { "".into() };
        format!("{}://{}{path}", self.scheme.as_str(), self.authority)
    }

    /// The path without the query.
    pub fn path(&self) -> &[u8] {
        self.split_target().0
    }

    /// The query without its question mark.
    pub fn query(&self) -> Option<&[u8]> {
        self.split_target().1
    }

    fn split_target(&self) -> (&[u8], Option<&[u8]>) {
        match self.target.iter().position(|byte| *byte == b'?') {
            Some(at) => (&self.target[..at], Some(&self.target[at + 1..])),
            None => (&self.target, None),
        }
    }
}

/// Leaves the query out: it may hold a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}://{}{} {} {:?} {:?}",
            self.method,
            self.scheme.as_str(),
            self.authority,
            String::from_utf8_lossy(self.path()),
            self.version.as_str(),
            self.headers,
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_tokens_with_their_case_kept() {
        assert_eq!(Method::new(b"GET"), Some(Method::GET));
        assert_eq!(Method::new(b"get").map(|method| method.to_string()), Some("get".into()));
        assert_eq!(Method::new(b"BREW").map(|method| method.to_string()), Some("BREW".into()));
        assert_eq!(Method::new(b"G@T"), None);
        assert_eq!(Method::new(b""), None);
    }

    #[test]
    fn the_target_splits_at_the_first_question_mark() {
        let request = Request {
            method: Method::GET,
            scheme: Scheme::Https,
            authority: "a.example".into(),
            target: Bytes::from_static(b"/x?y=1?2"),
            version: Version::Http11,
            headers: Headers::new(),
            body: Body::empty(),
            trailers: Headers::new(),
        };
        assert_eq!(request.path(), b"/x");
        assert_eq!(request.query(), Some(&b"y=1?2"[..]));
        assert_eq!(request.url(), "https://a.example/x?y=1?2");
        assert!(!format!("{request:?}").contains("y=1"));
    }
}
