//! Recording: a session, its recorder and the proxy that feeds it, started and stopped together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mimeo_model::{ProxyMode, Session, SessionId, SessionState};
use mimeo_proxy::{Counts, Mode, Proxy, ProxyConfig};
use mimeo_rules::host_glob::HostGlobs;
use mimeo_transport::certificates::LeafCertificates;
use mimeo_transport::connect::{ConnectConfig, OwnListeners, UpstreamTls};
use mimeo_transport::head_tap::Patience;
use mimeo_transport::listen;
use mimeo_transport::protocol::assembly::Limits;
use mimeo_transport::protocol::target::{self, UpstreamUrl};

use crate::error::Error;
use crate::recorder::queue::Overflow;
use crate::recorder::{Announce, Recorder, RecorderConfig, Tally};
use crate::workspace::Workspace;

/// Ports from which a free one is chosen.
pub const PORTS: std::ops::RangeInclusive<u16> = 8081..=8999;
/// How long a stop waits for exchanges in flight.
pub const DRAIN: Duration = Duration::from_secs(10);

/// What to record and how.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Name of the session; made up when there is none.
    pub name: Option<String>,
    /// How to stand in the traffic.
    pub way: Way,
    /// Port to listen on; chosen from [`PORTS`] when there is none.
    pub port: Option<u16>,
    /// How upstreams are reached.
    pub upstreams: UpstreamOptions,
    /// Most bytes kept of each body.
    pub max_body: u64,
    /// What to do when captures come faster than they can be kept.
    pub overflow: Overflow,
    /// Whether credentials are kept in clear.
    pub keep_credentials: bool,
    /// Longest time between writing and synchronising; zero synchronises each block.
    pub sync_interval: Duration,
    /// Whether upstreams are told of the proxy.
    pub announce_proxy: bool,
    /// Whether exchanges are kept at all.
    pub capture: bool,
}

/// The ways of standing in the traffic.
#[derive(Debug, Clone)]
pub enum Way {
    /// In front of one upstream.
    Reverse {
        /// Its URL.
        target: String,
        /// Whether the client's `Host` is sent on.
        preserve_host: bool,
    },
    /// As the client's proxy.
    Forward {
        /// Whether HTTPS is intercepted.
        intercept: bool,
        /// Host patterns that are tunnelled untouched all the same.
        passthrough: Vec<String>,
    },
}

/// How upstreams are reached.
#[derive(Debug, Clone, Default)]
pub struct UpstreamOptions {
    /// Certificates to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// Whether any certificate is trusted.
    pub insecure: bool,
    /// Whether plain upstreams speak HTTP/2 with prior knowledge.
    pub http2_prior_knowledge: bool,
    /// Most time to wait for a response.
    pub timeout: Duration,
}

impl UpstreamOptions {
    pub(crate) fn connect_config(&self) -> Result<ConnectConfig, Error> {
        let tls =
            if self.insecure { UpstreamTls::insecure() } else { UpstreamTls::verified(self.ca.as_deref()) }?;
        Ok(ConnectConfig {
            tls,
            timeout: Duration::from_secs(10),
            http2_prior_knowledge: self.http2_prior_knowledge,
            own: OwnListeners::default(),
        })
    }
}

/// A recording at work.
pub struct Recording {
    workspace: Workspace,
    session: Session,
    proxy: Proxy,
    recorder: Option<Recorder>,
}

/// What a recording came to.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The session as it ended.
    pub session: Session,
    /// What the recorder counted.
    pub tally: Tally,
    /// What the proxy counted.
    pub counts: Counts,
}

impl Recording {
    /// Makes the session and starts recording.
    pub async fn start(
        workspace: &Workspace,
        options: RecordOptions,
        announce: Announce,
    ) -> Result<Self, Error> {
        let now = workspace.now();
        let (mode, proxy_mode, stem) = way(workspace, &options.way)?;
        let listener = bind(options.port)?;
        let port = listener.local_addr().ok().map(|address| address.port());
        let connect = options.upstreams.connect_config()?;
        let mut session = Session {
            name: options.name.unwrap_or_default(),
            target: match &options.way {
                Way::Reverse { target, .. } => Some(target.clone()),
                Way::Forward { .. } => None,
            },
            port,
            keeps_credentials: options.keep_credentials,
            ..Session::begin(new_session_id(now)?, proxy_mode, now)
        };
        let redactor = if options.keep_credentials { None } else { Some(workspace.redactor()?) };
        workspace.add_session(&mut session, &stem).await?;
        let recorder = if options.capture {
            Some(Recorder::start(RecorderConfig {
                folder: workspace.data.session(session.id),
                session: session.clone(),
                catalog: workspace.catalog.clone(),
                overflow: options.overflow,
                redactor,
                sync_interval: options.sync_interval,
                clock: workspace.clock.clone(),
                announce,
            })?)
        } else {
            None
        };
        let config = ProxyConfig {
            mode,
            connect,
            patience: Patience::default(),
            response_timeout: options.upstreams.timeout,
            sink: recorder.as_ref().map(Recorder::sink),
            limits: Limits { body: options.max_body, ..Limits::default() },
            announce: options.announce_proxy,
            clock: workspace.clock.clone(),
            workers: workers(),
        };
        let proxy = Proxy::start(listener, &config, DRAIN)?;
        Ok(Self { workspace: workspace.clone(), session, proxy, recorder })
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where clients go.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Ends the recording: no new requests, those in flight end or are cut off, everything is written.
    pub async fn stop(self) -> Result<Recorded, Error> {
        let Self { workspace, mut session, proxy, recorder } = self;
        let stopped = tokio::task::spawn_blocking(move || {
            let counts = proxy.stop();
            let tally = recorder.map(Recorder::stop).transpose()?.unwrap_or_default();
            Ok::<_, Error>((counts, tally))
        });
        let (counts, tally) =
            stopped.await.map_err(|_| Error::Panicked { what: "the end of the recording" })??;
        // The catalog may have failed while the traffic was kept.
        if workspace.catalog.indexed(session.id).await?.0 < tally.entries {
            workspace.complete_index(&session).await?;
        }
        let update = tally.update(SessionState::Stopped, Some(workspace.now()));
        workspace.catalog.update_session(session.id, &update).await?;
        session.state = update.state;
        session.stopped_at = update.stopped_at;
        (session.entries, session.errors, session.bytes, session.lost) =
            (update.entries, update.errors, update.bytes, update.lost);
        Ok(Recorded { session, tally, counts })
    }
}

fn way(workspace: &Workspace, way: &Way) -> Result<(Mode, ProxyMode, String), Error> {
    match way {
        Way::Reverse { target, preserve_host } => {
            let upstream = upstream(target)?;
            let stem = upstream.origin.host.split('.').find(|label| *label != "www" && *label != "api");
            let stem = if upstream.origin.host.parse::<IpAddr>().is_ok() { None } else { stem };
            let stem = stem.unwrap_or("session").to_owned();
            Ok((Mode::Reverse { upstream, preserve_host: *preserve_host }, ProxyMode::Reverse, stem))
        }
        Way::Forward { intercept, passthrough } => {
            let globs = HostGlobs::new(passthrough).map_err(|error| {
                mimeo_model::Problem::new(mimeo_model::ProblemKind::Invalid, error.to_string())
                    .in_field("--passthrough-host")
                    .accepting(
                        "a host, `*` for any part of it, and a port where it matters: `*.example.com:8443`",
                    )
            })?;
            let leaves = if *intercept {
                Some(Arc::new(LeafCertificates::new(workspace.authority()?)?))
            } else {
                None
            };
            Ok((
                Mode::Forward { intercept: leaves, passthrough: Arc::new(globs) },
                ProxyMode::Forward,
                "forward".to_owned(),
            ))
        }
    }
}

/// Reads the URL of an upstream.
pub(crate) fn upstream(url: &str) -> Result<UpstreamUrl, Error> {
    target::upstream_url(url).map_err(|source| {
        let shown = match url.split_once('@') {
            Some((_, rest)) => format!("…@{rest}"),
            None => url.to_owned(),
        };
        Error::Target { url: shown, source }
    })
}

/// Binds the port, or the first free one of [`PORTS`].
pub(crate) fn bind(port: Option<u16>) -> Result<std::net::TcpListener, Error> {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match port {
        Some(port) => {
            let address = SocketAddr::new(host, port);
            listen::bind(address).map_err(|source| Error::Listen { address, source })
        }
        None => listen::bind_first(host, PORTS)
            .map_err(|source| Error::Listen { address: SocketAddr::new(host, *PORTS.end()), source }),
    }
}

pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

pub(crate) fn new_session_id(now: mimeo_model::Timestamp) -> Result<SessionId, Error> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| {
        mimeo_model::Problem::new(
            mimeo_model::ProblemKind::Unavailable,
            format!("the system gives no randomness: {error}"),
        )
    })?;
    Ok(SessionId::new(now, random))
}
