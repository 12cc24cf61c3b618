//! What Mimeo does, without a terminal or an HTTP framework: recording, mocking, replaying, and the sessions
//! they work on.

#![warn(missing_docs)]

pub mod clock;
pub mod error;
pub mod files;
pub mod mocking;
pub mod recorder;
pub mod recording;
pub mod runs;
pub mod sessions;
pub mod workspace;

pub use error::Error;
pub use mimeo_compare::{self as comparison, IgnoreError, IgnoreRule};
pub use mimeo_library::verify::Fidelity;
pub use mimeo_model::{
    AnsweredBy, Body, Exchange, Failure, FailureKind, Gap, Headers, Problem, ProblemKind, ProxyMode, Session,
    SessionState, Timestamp, body, stream,
};
pub use mimeo_proxy::Speed;
pub use mimeo_replay::{Judged, Outcome, Run, Speed as ReplaySpeed};
pub use mimeo_store::catalog::{Endpoint, ExchangeFilter, ExchangeRow};
pub use mimeo_transport::certificates::Authority;
pub use workspace::Workspace;
