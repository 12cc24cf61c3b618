//! Upstreams and clients that misbehave on demand, for tests.
//!
//! Every server runs on its own thread, listens on a free port of the loopback and stops when it is dropped, so
//! tests with and without a runtime use it alike. Nothing here knows Mimeo: what is proven with it is proven from
//! outside.
//!
//! - [`upstream`]: a well-behaved HTTP/1.1 and HTTP/2 server with routes, TLS and gates that the test opens
//! - [`raw`]: an upstream that follows a script of bytes: it resets, dribbles, lies about lengths
//! - [`websocket`]: a WebSocket server that echoes
//! - [`client`]: raw connections, and a small HTTP client that hides nothing
//! - [`http2`]: an HTTP/2 client that sends frame by frame what no library would
//! - [`load`]: a steady load with a set rate, for the benchmark
//! - [`certificates`]: a certificate authority made on the spot
//! - [`pattern`]: large bodies that are generated and checked byte for byte without being held
//! - [`corpus`]: malformed requests as data, with what must become of them
//! - [`eventually`]: waiting for a condition instead of for a time
#![warn(missing_docs)]
#![expect(clippy::missing_panics_doc, reason = "a testbed that cannot do its part fails the test by a panic")]

pub mod certificates;
pub mod client;
pub mod corpus;
mod eventually;
mod gate;
pub mod http2;
pub mod load;
mod message;
pub mod pattern;
pub mod raw;
mod server;
pub mod upstream;
pub mod websocket;

pub use eventually::{eventually, eventually_some};
pub use gate::Gate;
