//! A steady load over kept connections, closed (each answer is followed by the next request) or open (requests
//! leave on a schedule whether or not earlier ones are answered in time).
//!
//! One thread, one task a connection. It is made to be cheap, because on a small machine it shares the processor
//! with what it measures.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::client_config_trusting_pem;
use crate::message::{find, latin1};

/// Pause before connecting again to a server that refused.
const RECONNECT: Duration = Duration::from_millis(10);

/// What to load, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// Scheme and authority, such as `http://127.0.0.1:8080`.
    pub origin: String,
    /// Address of a proxy to reach it through by CONNECT.
    pub through: Option<String>,
    /// Certificates to trust, as PEM.
    pub trusted: Option<String>,
    /// Paths that are requested in turn; at least one.
    pub paths: Vec<String>,
    /// Connections.
    pub connections: usize,
    /// How long.
    pub duration: Duration,
    /// Requests per second in all; `None` for as many as are answered.
    pub rate: Option<f64>,
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Latency of each answered request, in microseconds, ascending.
    ///
    /// With a rate, a request that could not leave on time because the one before was not answered counts from
    /// the time it should have left.
    pub latencies: Vec<u32>,
    /// Requests that got no answer, or one that is no success.
    pub errors: u64,
    /// One error, as an example.
    pub example: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// The latency that this share of the requests did not exceed, in microseconds.
    pub fn percentile(&self, share: f64) -> u32 {
        let at = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl Load {
    /// Loads, and gives what came of it.
    pub fn run(&self) -> io::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let plan = Rc::new(Plan::new(self)?);
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async {
            let began = Instant::now();
            let connections: Vec<_> = (0..self.connections)
                .map(|number| tokio::task::spawn_local(connection(plan.clone(), number, began)))
                .collect();
            let mut whole = Outcome::default();
            for connection in connections {
                let part = connection.await.map_err(io::Error::other)?;
                whole.latencies.extend(part.latencies);
                whole.errors += part.errors;
                whole.example = whole.example.or(part.example);
            }
            whole.elapsed = began.elapsed();
            whole.latencies.sort_unstable();
            Ok(whole)
        })
    }
}

struct Plan {
    load: Load,
    /// Host and port to connect to.
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    requests: Vec<Vec<u8>>,
}

impl Plan {
    fn new(load: &Load) -> io::Result<Self> {
        let (scheme, authority) =
            load.origin.split_once("://").ok_or_else(|| io::Error::other("the origin has no scheme"))?;
        let tls = if scheme == "https" {
            let trusted = load.trusted.as_deref().unwrap_or_default();
            let config = client_config_trusting_pem(trusted, &["http/1.1"])
                .ok_or_else(|| io::Error::other("no certificate is trusted"))?;
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        let requests = load
            .paths
            .iter()
            .map(|path| format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes())
            .collect();
        Ok(Self { authority: authority.to_owned(), load: load.clone(), tls, requests })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let address = self.load.through.as_ref().unwrap_or(&self.authority);
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        if self.load.through.is_some() {
            let authority = &self.authority;
            let ask = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
            stream.write_all(ask.as_bytes()).await?;
            let mut answer = Vec::new();
            while find(&answer, b"\r\n\r\n").is_none() {
                if stream.read_buf(&mut answer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            if answer.get(9..12) != Some(b"200") {
                return Err(io::Error::other(latin1(&answer)));
            }
        }
        match &self.tls {
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
            None => Ok(Box::new(stream)),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

async fn connection(plan: Rc<Plan>, number: usize, began: Instant) -> Outcome {
    let load = &plan.load;
    let end = began + load.duration;
    let interval = load.rate.map(|rate| Duration::from_secs_f64(load.connections as f64 / rate));
    let first =
        interval.map_or(began, |interval| began + interval.mul_f64(number as f64 / load.connections as f64));
    let mut due = first;
    let mut outcome = Outcome::default();
    let mut stream = None;
    let mut buffer = Vec::with_capacity(64 << 10);
    // Connections begin at different places, so that no path is asked for by all at once.
    let mut next = number * plan.requests.len() / load.connections.max(1);
    loop {
        let free = Instant::now();
        if free >= end || interval.is_some() && due >= end {
            break;
        }
        let mut from = free;
        if let Some(interval) = interval {
            if due > free {
                tokio::time::sleep_until(due.into()).await;
                from = Instant::now();
            } else {
                from = due;
            }
            due += interval;
        }
        let request = &plan.requests[next % plan.requests.len()];
        next += 1;
        let answered = one(&plan, &mut stream, request, &mut buffer).await;
        match answered {
            Ok(()) => outcome.latencies.push(from.elapsed().as_micros().try_into().unwrap_or(u32::MAX)),
            Err(error) => {
                stream = None;
                outcome.errors += 1;
                outcome.example.get_or_insert_with(|| error.to_string());
                tokio::time::sleep(RECONNECT).await;
            }
        }
    }
    outcome
}

async fn one(
    plan: &Plan,
    kept: &mut Option<Box<dyn Stream>>,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    if kept.is_none() {
        *kept = Some(plan.connect().await?);
    }
    let Some(stream) = kept else { return Err(io::ErrorKind::NotConnected.into()) };
    stream.write_all(request).await?;
    stream.flush().await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = find(buffer, b"\r\n\r\n") else { continue };
        let (head, body) = buffer.split_at(end + 4);
        if head.get(9) != Some(&b'2') {
            return Err(io::Error::other(latin1(&head[..head.len().min(200)])));
        }
        // One answer at a time is under way, so what ends like one is one.
        let done = match length(head) {
            Some(length) => body.len() >= length,
            None => body.ends_with(b"0\r\n\r\n"),
        };
        if done {
            if has_close(head) {
                *kept = None;
            }
            return Ok(());
        }
    }
}

fn length(head: &[u8]) -> Option<usize> {
    std::str::from_utf8(value(head, b"content-length:")?).ok()?.trim().parse().ok()
}

fn has_close(head: &[u8]) -> bool {
    value(head, b"connection:").is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let found = line.get(..name.len())?.eq_ignore_ascii_case(name);
        found.then(|| &line[name.len()..])
    })
}
