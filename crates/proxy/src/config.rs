//! What a proxy is told.

use std::sync::Arc;
use std::time::Duration;

use mimeo_model::Clock;
use mimeo_rules::host_glob::HostGlobs;
use mimeo_transport::certificates::LeafCertificates;
use mimeo_transport::connect::ConnectConfig;
use mimeo_transport::head_tap::Patience;
use mimeo_transport::protocol::assembly::Limits;
use mimeo_transport::protocol::target::UpstreamUrl;

use crate::sink::ExchangeSink;

/// How a proxy stands in the traffic and what it does with it.
#[derive(Clone)]
pub struct ProxyConfig {
    /// The way of standing in the traffic.
    pub mode: Mode,
    /// How upstreams are reached.
    pub connect: ConnectConfig,
    /// Patience with clients.
    pub patience: Patience,
    /// Most time from the end of a request to the head of its response.
    pub response_timeout: Duration,
    /// Where exchanges go; `None` passes traffic through without looking at bodies.
    pub sink: Option<Arc<dyn ExchangeSink>>,
    /// Bounds of what is kept of one exchange.
    pub limits: Limits,
    /// Whether upstreams are told of the proxy by `Via` and `X-Forwarded-*`.
    pub announce: bool,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Number of worker threads.
    pub workers: usize,
}

/// The ways of standing in the traffic.
#[derive(Clone)]
pub enum Mode {
    /// Clients talk to the proxy as if it were this upstream.
    Reverse {
        /// The upstream.
        upstream: UpstreamUrl,
        /// Whether the client's `Host` is sent on instead of the upstream's.
        preserve_host: bool,
    },
    /// Clients name the proxy as their proxy.
    Forward {
        /// Certificates for intercepted hosts; without them CONNECT is an opaque tunnel.
        intercept: Option<Arc<LeafCertificates>>,
        /// Hosts that are tunnelled even when there is interception.
        passthrough: HostGlobs,
    },
}
