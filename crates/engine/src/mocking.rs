//! Mocking: a library made of a session or a file, and the server that answers from it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mimeo_library::Library;
use mimeo_library::verify::{self, Fidelity};
use mimeo_model::{AnsweredBy, Exchange, ProxyMode, Session, SessionState};
use mimeo_proxy::{Counts, Departures, ExchangeSink, Mocking, Mode, OnMiss, Proxy, ProxyConfig, Speed};
use mimeo_transport::certificates::LeafCertificates;
use mimeo_transport::head_tap::Patience;
use mimeo_transport::protocol::assembly::{Captured, Limits};

use crate::error::Error;
use crate::files::{ReadReport, Source};
use crate::recorder::queue::Overflow;
use crate::recorder::{Announce, Announced, Recorder, RecorderConfig, Tally};
use crate::recording::{DRAIN, UpstreamOptions, bind, new_session_id, upstream, workers};
use crate::workspace::Workspace;

/// How to mock.
#[derive(Debug, Clone)]
pub struct MockOptions {
    /// Port to listen on; chosen when there is none.
    pub port: Option<u16>,
    /// How streams are played back.
    pub speed: Speed,
    /// What happens to a request that nothing answers.
    pub on_miss: Missing,
    /// URL of the upstream that such requests go to.
    pub target: Option<String>,
    /// How that upstream is reached.
    pub upstreams: UpstreamOptions,
    /// Whether CONNECT is intercepted, for clients that name the mock as their proxy.
    pub intercept: bool,
}

/// What happens to a request that nothing answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// 404 with what comes closest.
    Fail,
    /// It goes to the upstream.
    Passthrough,
    /// It goes to the upstream and is recorded.
    Record,
}

/// A library and what it was made of.
pub struct Loaded {
    /// The library.
    pub library: Arc<Library>,
    /// What was read.
    pub report: ReadReport,
}

impl Workspace {
    /// Makes the library of a source.
    pub fn load_library(&self, source: &Source) -> Result<Loaded, Error> {
        let mut exchanges = Vec::new();
        let report = self.read_source(source, |exchange| {
            exchanges.push(exchange);
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        let library = Arc::new(Library::compile(exchanges, report.gaps.clone()));
        Ok(Loaded { library, report })
    }
}

/// Puts every recorded request to its own library.
pub fn fidelity(library: &Library) -> Vec<Fidelity> {
    verify::verify(library)
}

/// A mock server at work.
pub struct MockServer {
    workspace: Workspace,
    proxy: Proxy,
    departures: Arc<Departures>,
    recorder: Option<(Recorder, Session)>,
}

/// What a mock server did.
pub struct Mocked {
    /// What was counted.
    pub counts: Counts,
    /// The requests that left the machine, with how often each did.
    pub departures: Vec<(String, u64)>,
    /// The session that misses were recorded in.
    pub recorded: Option<Session>,
}

impl MockServer {
    /// Starts answering. `announce` is told of every exchange; none is told when it is absent, which is faster.
    pub async fn start(
        workspace: &Workspace,
        library: Arc<Library>,
        options: MockOptions,
        announce: Option<Announce>,
    ) -> Result<Self, Error> {
        let listener = bind(options.port)?;
        let departures = Arc::<Departures>::default();
        let connect = options.upstreams.connect_config()?;
        let now = workspace.now();
        let on_miss = match (options.on_miss, &options.target) {
            (Missing::Passthrough | Missing::Record, Some(target)) => {
                OnMiss::Forward { upstream: upstream(target)?, departures: departures.clone() }
            }
            (Missing::Fail, _) | (_, None) => OnMiss::Fail,
        };
        let intercept = if options.intercept {
            Some(Arc::new(LeafCertificates::new(workspace.authority()?)?))
        } else {
            None
        };
        let announce = announce.map(|announce| Arc::new(Mutex::new(announce)));
        let recorder = if options.on_miss == Missing::Record {
            let mut session = Session {
                target: options.target.clone(),
                ..Session::begin(new_session_id(now)?, ProxyMode::Reverse, now)
            };
            workspace.add_session(&mut session, "misses").await?;
            let told = announce.clone();
            let config = RecorderConfig {
                folder: workspace.data.session(session.id),
                session: session.clone(),
                catalog: workspace.catalog.clone(),
                overflow: Overflow::Block,
                redactor: Some(workspace.redactor()?),
                sync_interval: Duration::from_secs(1),
                clock: workspace.clock.clone(),
                announce: Box::new(move |announced| {
                    if let Some(announce) = &told {
                        announce.lock().unwrap_or_else(PoisonError::into_inner)(announced);
                    }
                }),
            };
            Some((Recorder::start(config)?, session))
        } else {
            None
        };
        let sink: Option<Arc<dyn ExchangeSink>> = match (&recorder, &announce) {
            (None, None) => None,
            (recorder, announce) => Some(Arc::new(MockSink {
                recorder: recorder.as_ref().map(|(recorder, _)| recorder.sink()),
                announce: announce.clone(),
            })),
        };
        let config = ProxyConfig {
            mode: Mode::Mock(Arc::new(Mocking { library, speed: options.speed, on_miss, intercept })),
            connect,
            patience: Patience::default(),
            response_timeout: options.upstreams.timeout,
            sink,
            limits: Limits::default(),
            announce: false,
            clock: workspace.clock.clone(),
            workers: workers(),
        };
        let proxy = Proxy::start(listener, &config, DRAIN)?;
        Ok(Self { workspace: workspace.clone(), proxy, departures, recorder })
    }

    /// Where clients go.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Stops answering.
    pub async fn stop(self) -> Result<Mocked, Error> {
        let Self { workspace, proxy, departures, recorder } = self;
        let stopped = tokio::task::spawn_blocking(move || {
            let counts = proxy.stop();
            let recorded = match recorder {
                Some((recorder, session)) => Some((recorder.stop()?, session)),
                None => None,
            };
            Ok::<_, Error>((counts, recorded))
        });
        let (counts, recorded): (Counts, Option<(Tally, Session)>) =
            stopped.await.map_err(|_| Error::Panicked { what: "the end of the mock server" })??;
        let recorded = match recorded {
            Some((tally, mut session)) => {
                let update = tally.update(SessionState::Stopped, Some(workspace.now()));
                workspace.catalog.update_session(session.id, &update).await?;
                (session.state, session.entries) = (update.state, update.entries);
                Some(session)
            }
            None => None,
        };
        Ok(Mocked { counts, departures: departures.list(), recorded })
    }
}

/// Tells of what the library answered and records what it did not.
struct MockSink {
    recorder: Option<Arc<dyn ExchangeSink>>,
    announce: Option<Arc<Mutex<Announce>>>,
}

impl MockSink {
    fn tell(&self, exchange: &Exchange) {
        if let Some(announce) = &self.announce {
            let announced = Announced { sequence: 0, exchange, frames: exchange.frames.len() as u64 };
            announce.lock().unwrap_or_else(PoisonError::into_inner)(announced);
        }
    }
}

impl ExchangeSink for MockSink {
    fn offer(&self, captured: Captured) -> Result<(), Captured> {
        let local = |exchange: &Exchange| exchange.answered_by == AnsweredBy::Mock;
        match (&captured, &self.recorder) {
            (Captured::Whole(exchange) | Captured::End(exchange), _) if local(exchange) => {
                self.tell(exchange);
                Ok(())
            }
            (Captured::Open { exchange, .. }, _) if local(exchange) => Ok(()),
            (_, Some(recorder)) => recorder.offer(captured),
            (Captured::Whole(exchange) | Captured::End(exchange), None) => {
                self.tell(exchange);
                Ok(())
            }
            (Captured::Open { .. } | Captured::Part { .. }, None) => Ok(()),
        }
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        match &self.recorder {
            Some(recorder) => recorder.room(),
            None => Box::pin(std::future::ready(())),
        }
    }
}
