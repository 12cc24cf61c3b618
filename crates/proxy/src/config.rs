//! What a proxy is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mimeo_library::Library;
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
        passthrough: Arc<HostGlobs>,
    },
    /// A library answers, whether clients take it for the upstream or for their proxy.
    Mock(Arc<Mocking>),
}

/// How a library answers.
pub struct Mocking {
    /// The mocks.
    pub library: Arc<Library>,
    /// How streams are played back.
    pub speed: Speed,
    /// What happens to a request that nothing answers.
    pub on_miss: OnMiss,
    /// Certificates for hosts that are asked for by CONNECT; without them CONNECT is refused.
    pub intercept: Option<Arc<LeafCertificates>>,
}

/// How fast a recorded stream is played back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// This many times as fast as it was recorded.
    Times(f64),
    /// Without waiting.
    Max,
}

impl Speed {
    /// How long to wait for what was recorded with this distance.
    pub fn scale(self, distance: Duration) -> Duration {
        match self {
            Self::Times(times) => {
                Duration::try_from_secs_f64(distance.as_secs_f64() / times).unwrap_or(Duration::ZERO)
            }
            Self::Max => Duration::ZERO,
        }
    }
}

/// What happens to a request that nothing answers.
#[derive(Clone)]
pub enum OnMiss {
    /// It is answered with 404 and what comes closest.
    Fail,
    /// It goes to the upstream.
    Forward {
        /// The upstream of requests that name none.
        upstream: UpstreamUrl,
        /// What went there.
        departures: Arc<Departures>,
    },
}

/// The requests that left the machine.
#[derive(Default)]
pub struct Departures(Mutex<BTreeMap<String, u64>>);

impl Departures {
    /// Most different requests that are kept apart; the rest is counted together.
    const MOST: usize = 1_000;

    pub(crate) fn note(&self, request: String) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let request = if seen.len() < Self::MOST || seen.contains_key(&request) {
            request
        } else {
            "others".to_owned()
        };
        *seen.entry(request).or_default() += 1;
    }

    /// Each request with how often it left.
    pub fn list(&self) -> Vec<(String, u64)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(request, count)| (request.clone(), *count))
            .collect()
    }
}
