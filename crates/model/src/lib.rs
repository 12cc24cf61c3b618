//! The nouns of Mimeo: what an exchange, a session, a body or a problem *is*.
//!
//! Everything else in the workspace speaks these types. They carry no serde shape of any file or API
//! (each border has its own wire types), read no clock and draw no randomness: instants and random
//! bytes are arguments. This crate must stay small and slow-moving, since every other crate is rebuilt
//! when it changes.

#![warn(missing_docs)]

pub mod body;
pub mod exchange;
pub mod gap;
pub mod headers;
pub mod id;
pub mod instant;
pub mod problem;
pub mod session;
pub mod stream;

pub use body::{Body, Content, Digest};
pub use exchange::{
    AnsweredBy, Exchange, Failure, FailureKind, GraphqlKind, GraphqlOperation, Interim, Method, Phase,
    Request, Response, Scheme, Timings, Version,
};
pub use gap::{Gap, GapReason};
pub use headers::Headers;
pub use id::{ExchangeId, SessionId};
pub use instant::{Clock, Timestamp};
pub use problem::{Problem, ProblemKind};
pub use session::{ProxyMode, Session, SessionState};
pub use stream::{Chunk, Direction, Frame, Opcode};
