//! The exchange: one request with the response or failure that ended it.

pub mod failure;
pub mod request;
pub mod response;
pub mod timings;

use crate::id::ExchangeId;
use crate::instant::Timestamp;
use crate::stream::Frame;

pub use failure::{Failure, FailureKind, Phase};
pub use request::{Method, Request, Scheme};
pub use response::{Interim, Response};
pub use timings::Timings;

/// One captured request and its response or failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Names it for ever.
    pub id: ExchangeId,
    /// When the first byte of the request head was read.
    pub started_at: Timestamp,
    /// Number of the client connection within its session; requests of one connection keep their order.
    pub connection: u64,
    /// What was asked.
    pub request: Request,
    /// What was answered, when anything was.
    pub response: Option<Response>,
    /// What went wrong, when something did; a response cut short has both.
    pub failure: Option<Failure>,
    /// How long each step took.
    pub timings: Timings,
    /// WebSocket frames of both directions in the order in which they were observed.
    pub frames: Vec<Frame>,
    /// Who answered.
    pub answered_by: AnsweredBy,
    /// The GraphQL operations found in the request; more than one when batched.
    pub graphql: Vec<GraphqlOperation>,
}

/// Who gave the response of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AnsweredBy {
    /// The upstream.
    #[default]
    Upstream,
    /// A mock of the library.
    Mock,
    /// Mimeo itself: a refusal or a report of a failure.
    Proxy,
}

/// A GraphQL operation carried by a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphqlOperation {
    /// The operation's name when it has one.
    pub name: Option<String>,
    /// What it does.
    pub kind: GraphqlKind,
}

/// The three operation types of GraphQL (October 2021, section 2.3), and a query known by its hash only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GraphqlKind {
    /// Reads.
    Query,
    /// Writes.
    Mutation,
    /// Listens.
    Subscription,
    /// A persisted query: the text is on the server, so its type is not in the request.
    Persisted,
}

/// Version of HTTP in which a message travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

impl Exchange {
    /// Status of the response, when there is one.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status)
    }

    /// Whether the exchange became a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.status() == Some(101)
            && self
                .request
                .headers
                .get("upgrade")
                .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
            || !self.frames.is_empty()
    }

    /// Whether the response is a stream of server-sent events.
    pub fn is_event_stream(&self) -> bool {
        use crate::body::media_type::MediaType;
        self.response.as_ref().is_some_and(|response| {
            MediaType::of(response.headers.get("content-type")) == MediaType::EventStream
        })
    }
}
