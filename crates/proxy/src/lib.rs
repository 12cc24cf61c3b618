//! Listeners that carry user traffic: reverse and forward proxy, tunnel, interception.
//!
//! A listener's thread hands accepted sockets to the least loaded worker; each worker is one thread with its
//! own runtime and upstream connections, so that a request stays on one core. Captured exchanges leave through
//! [`sink::ExchangeSink`]; the store, sessions and redaction are unknown here.

#![warn(missing_docs)]

pub mod config;
pub mod counters;
pub mod listener;
pub mod sink;

mod answer;
mod body;
mod forward;
mod intercept;
mod outgoing;
mod pipeline;
mod playback;
mod playback_websocket;
mod rescue;
mod reverse;
mod tap;
mod tunnel;
mod worker;

pub use config::{Departures, Mocking, Mode, OnMiss, ProxyConfig, Speed};
pub use counters::Counts;
pub use listener::{Proxy, StartError};
pub use sink::ExchangeSink;
