//! Opens one connection: name, TCP, TLS, each timed and each failure named.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mimeo_model::{Failure, FailureKind, Phase, Scheme};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connect::{OwnListeners, UpstreamIo, UpstreamTls};
use crate::protocol::assembly::Connected;
use crate::protocol::target::Origin;

/// How upstreams are reached.
#[derive(Clone)]
pub struct ConnectConfig {
    /// Trust in their certificates.
    pub tls: UpstreamTls,
    /// Most time for name, TCP and TLS together.
    pub timeout: Duration,
    /// Whether plain upstreams speak HTTP/2 with prior knowledge (RFC 9113, section 3.3).
    pub http2_prior_knowledge: bool,
    /// Addresses that are refused because they are our own.
    pub own: OwnListeners,
}

/// Versions that a connection may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersions {
    /// Whatever the upstream prefers.
    Any,
    /// HTTP/1.1, because the request asks for an upgrade.
    Http1,
}

/// A fresh connection.
pub struct Opened {
    /// The connection.
    pub io: UpstreamIo,
    /// Whether it speaks HTTP/2.
    pub http2: bool,
    /// How long each step took.
    pub connected: Connected,
}

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    config: ConnectConfig,
}

impl Connector {
    /// A connector with this configuration.
    pub fn new(config: ConnectConfig) -> Self {
        Self { config }
    }

    /// Opens a connection that can carry HTTP.
    pub async fn open(&self, origin: &Origin, versions: HttpVersions) -> Result<Opened, Failure> {
        let deadline = tokio::time::Instant::now() + self.config.timeout;
        let (tcp, mut connected) = self.tcp(&origin.host, origin.port, deadline).await?;
        if origin.scheme == Scheme::Http {
            let http2 = self.config.http2_prior_knowledge && versions == HttpVersions::Any;
            return Ok(Opened { io: UpstreamIo::Plain(tcp), http2, connected });
        }
        let began = Instant::now();
        let name = ServerName::try_from(origin.host.clone()).map_err(|_| Failure {
            kind: FailureKind::UpstreamTls,
            phase: Phase::Tls,
            detail: format!("`{}` cannot stand in a certificate", origin.host),
        })?;
        let config = match versions {
            HttpVersions::Any => &self.config.tls.any,
            HttpVersions::Http1 => &self.config.tls.http1,
        };
        let handshake = TlsConnector::from(config.clone()).connect(name, tcp);
        let stream = match tokio::time::timeout_at(deadline, handshake).await {
            Err(_) => return Err(timeout(Phase::Tls, origin)),
            Ok(Err(error)) => {
                return Err(Failure {
                    kind: FailureKind::UpstreamTls,
                    phase: Phase::Tls,
                    detail: format!("the TLS handshake with {} failed: {error}", origin.authority()),
                });
            }
            Ok(Ok(stream)) => stream,
        };
        connected.tls = Some(began.elapsed());
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Opened { io: UpstreamIo::Tls(Box::new(stream)), http2, connected })
    }

    /// Opens a plain TCP connection, as a tunnel needs it.
    pub async fn open_tcp(&self, host: &str, port: u16) -> Result<(TcpStream, Connected), Failure> {
        self.tcp(host, port, tokio::time::Instant::now() + self.config.timeout).await
    }

    async fn tcp(
        &self,
        host: &str,
        port: u16,
        deadline: tokio::time::Instant,
    ) -> Result<(TcpStream, Connected), Failure> {
        let origin = || Origin { scheme: Scheme::Http, host: host.to_owned(), port };
        let began = Instant::now();
        let addresses: Vec<SocketAddr> =
            match tokio::time::timeout_at(deadline, tokio::net::lookup_host((host, port))).await {
                Err(_) => return Err(timeout(Phase::Dns, &origin())),
                Ok(Err(error)) => {
                    return Err(Failure {
                        kind: FailureKind::Dns,
                        phase: Phase::Dns,
                        detail: format!("`{host}` does not resolve: {error}"),
                    });
                }
                Ok(Ok(found)) => found.collect(),
            };
        let resolved = Instant::now();
        let mut last = None;
        for address in &addresses {
            match tokio::time::timeout_at(deadline, TcpStream::connect(address)).await {
                Err(_) => return Err(timeout(Phase::Connect, &origin())),
                Ok(Err(error)) => last = Some((address, error)),
                Ok(Ok(tcp)) => {
                    self.refuse_own(&tcp)?;
                    // Delayed small writes would show up as latency that the upstream does not have.
                    let _ = tcp.set_nodelay(true);
                    let connected = Connected {
                        dns: Some(resolved - began),
                        connect: Some(resolved.elapsed()),
                        ..Connected::default()
                    };
                    return Ok((tcp, connected));
                }
            }
        }
        let Some((address, error)) = last else {
            return Err(Failure {
                kind: FailureKind::Dns,
                phase: Phase::Dns,
                detail: format!("`{host}` has no address"),
            });
        };
        let kind = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => FailureKind::Refused,
            std::io::ErrorKind::TimedOut => FailureKind::Timeout,
            _ => FailureKind::Unreachable,
        };
        let detail = format!("cannot connect to {address}: {error}");
        Err(Failure { kind, phase: Phase::Connect, detail })
    }

    fn refuse_own(&self, tcp: &TcpStream) -> Result<(), Failure> {
        let (Ok(local), Ok(peer)) = (tcp.local_addr(), tcp.peer_addr()) else { return Ok(()) };
        if self.config.own.is_own(local, peer) {
            return Err(Failure {
                kind: FailureKind::Loop,
                phase: Phase::Connect,
                detail: format!("{peer} is a listener of Mimeo itself"),
            });
        }
        Ok(())
    }
}

fn timeout(phase: Phase, origin: &Origin) -> Failure {
    Failure {
        kind: FailureKind::Timeout,
        phase,
        detail: format!("no connection to {} in time", origin.authority()),
    }
}
