//! A well-behaved upstream: HTTP/1.1 and HTTP/2, plain or TLS, with fixed routes and with those a test adds.
//!
//! | path | answer |
//! |---|---|
//! | `/` | `hello` |
//! | `/echo`, `/echo/…` | the request as JSON: method, target, version, headers, raw head, body and its digest |
//! | `/bytes/N` | N bytes of [`crate::pattern`], with their length; with `?chunked` without |
//! | `/upload` | length of the request body and whether it is [`crate::pattern`]; the body is not kept |
//! | `/gzip`, `/deflate` | compressed JSON |
//! | `/sse?events=N&gate=G` | N server-sent events, each after gate G let it through |
//! | `/ndjson?lines=N&gate=G` | N lines of JSON, one chunk a line |
//! | `/chunked?chunks=N&gate=G` | N chunks and a trailer |
//! | `/status/N` | an empty answer with that status |
//! | `/slow?gate=G` | nothing until gate G lets it through |
//! | `/json/ID` | a small JSON object |
//! | `/cookies` | two `Set-Cookie` fields |
//! | `/hints` | a `103` before the answer |
//! | `/redirect?to=PATH` | a `302` |
//! | `/close` | an answer that ends with the connection |

mod http1;
mod http2;
mod reply;
mod routes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::Gate;
use crate::certificates::{Authority, Certificate};
use crate::message::{Fields, field};
use crate::server::Server;

pub use reply::Reply;

/// Bytes of a request body that are kept; the rest is only counted.
const KEPT: usize = 4 << 20;

/// A request as the upstream received it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Number of the connection it came on, from 0.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The target, as it was sent; over HTTP/2 the path.
    pub target: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Header fields in their order; over HTTP/2 with `:authority` and `:scheme`.
    pub headers: Fields,
    /// The head's bytes; empty over HTTP/2.
    pub raw_head: Vec<u8>,
    /// The body's first 4 MiB.
    pub body: Vec<u8>,
    /// How many bytes the body had.
    pub body_length: u64,
    /// Whether the body is what [`crate::pattern`] makes of that length.
    pub body_is_pattern: bool,
    /// Trailer fields.
    pub trailers: Fields,
    /// Whether the body ended as it was declared to.
    pub complete: bool,
}

impl Received {
    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.headers, name)
    }
}

/// What an upstream will be, until it is started.
#[derive(Debug, Default)]
pub struct Builder {
    http1: bool,
    http2: bool,
    tls: Option<Certificate>,
    address: Option<SocketAddr>,
    routes: HashMap<String, Vec<Reply>>,
    everything_else: Option<Reply>,
}

impl Builder {
    /// Speaks TLS with a certificate for `localhost` and `127.0.0.1`.
    #[must_use]
    pub fn with_tls(self, authority: &Authority) -> Self {
        self.with_certificate(authority.certificate_for(&["localhost", "127.0.0.1"]))
    }

    /// Speaks TLS with this certificate.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.tls = Some(certificate);
        self
    }

    /// Answers a path, or a method and a path (`POST /orders`), with this. The query does not count.
    #[must_use]
    pub fn answering(self, what: &str, reply: Reply) -> Self {
        self.answering_in_turn(what, vec![reply])
    }

    /// Answers a path with these in turn; the last one answers all further requests.
    #[must_use]
    pub fn answering_in_turn(mut self, what: &str, replies: Vec<Reply>) -> Self {
        self.routes.insert(what.to_owned(), replies);
        self
    }

    /// Answers with this whatever has no answer of its own, instead of by the fixed routes.
    #[must_use]
    pub fn answering_everything(mut self, reply: Reply) -> Self {
        self.everything_else = Some(reply);
        self
    }

    /// Listens on this address, such as that of an upstream that was stopped.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Starts it.
    pub fn start(self) -> Upstream {
        let alpn: Vec<&str> = [(self.http2, "h2"), (self.http1, "http/1.1")]
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| *name)
            .collect();
        let tls = self.tls.as_ref().map(|certificate| certificate.server_config(&alpn));
        let is_tls = tls.is_some();
        let state = Arc::new(State {
            routes: self
                .routes
                .into_iter()
                .map(|(what, replies)| (what, Turns { replies, taken: 0 }))
                .collect::<HashMap<_, _>>()
                .into(),
            everything_else: self.everything_else,
            received: Mutex::default(),
            gates: Mutex::default(),
            logs: Mutex::default(),
        });
        let shared = state.clone();
        let (http1, http2) = (self.http1, self.http2);
        let address = self.address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::start(address, move |stream, number| {
            serve(stream, number, shared.clone(), tls.clone(), http1, http2)
        });
        Upstream { server, state, is_tls }
    }
}

/// A running upstream. It stops when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    server: Server,
    state: Arc<State>,
    is_tls: bool,
}

impl Upstream {
    /// An upstream that speaks HTTP/1.1.
    pub fn http1() -> Builder {
        Builder { http1: true, ..Builder::default() }
    }

    /// An upstream that speaks HTTP/2: with prior knowledge, or by ALPN over TLS.
    pub fn http2() -> Builder {
        Builder { http2: true, ..Builder::default() }
    }

    /// An upstream that speaks what the client prefers.
    pub fn http1_and_http2() -> Builder {
        Builder { http1: true, http2: true, ..Builder::default() }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its URL without a path: `http://127.0.0.1:…`, or `https://localhost:…`.
    pub fn url(&self) -> String {
        if self.is_tls {
            format!("https://localhost:{}", self.address().port())
        } else {
            format!("http://{}", self.address())
        }
    }

    /// The URL of a path.
    pub fn url_of(&self, path: &str) -> String {
        self.url() + path
    }

    /// The gate of that name, as the query parameter `gate` or a [`Reply`] names it.
    pub fn gate(&self, name: &str) -> Gate {
        self.state.gate(name)
    }

    /// The requests received so far, whole or broken, in the order in which they ended.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// The exact bytes that came over HTTP/1.1, connection after connection, up to 4 MiB of each.
    pub fn received_bytes(&self) -> Vec<u8> {
        lock(&self.state.logs).iter().flat_map(|log| lock(log).clone()).collect()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.server.connections().accepted()
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.server.connections().open()
    }
}

#[derive(Debug)]
struct State {
    routes: Mutex<HashMap<String, Turns>>,
    everything_else: Option<Reply>,
    received: Mutex<Vec<Received>>,
    gates: Mutex<HashMap<String, Gate>>,
    logs: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
}

#[derive(Debug)]
struct Turns {
    replies: Vec<Reply>,
    taken: usize,
}

impl State {
    fn gate(&self, name: &str) -> Gate {
        lock(&self.gates).entry(name.to_owned()).or_insert_with(Gate::closed).clone()
    }

    /// A place for the bytes of one more connection.
    fn log(&self) -> Arc<Mutex<Vec<u8>>> {
        let log = Arc::default();
        lock(&self.logs).push(Arc::clone(&log));
        log
    }

    /// Keeps a request and says what answers it.
    fn answer(&self, request: &Received) -> Reply {
        lock(&self.received).push(request.clone());
        let path = request.target.split('?').next().unwrap_or_default();
        let mut routes = lock(&self.routes);
        let with_method = format!("{} {path}", request.method);
        let key = if routes.contains_key(&with_method) { with_method.as_str() } else { path };
        if let Some(turns) = routes.get_mut(key) {
            let reply = turns.replies.get(turns.taken).or(turns.replies.last()).cloned();
            turns.taken += 1;
            return reply.unwrap_or_else(|| Reply::status(404));
        }
        drop(routes);
        self.everything_else.clone().unwrap_or_else(|| routes::answer(request))
    }

    /// Keeps a request whose body broke off.
    fn keep_broken(&self, request: Received) {
        lock(&self.received).push(request);
    }
}

/// Takes the pieces of a request body into `request`.
fn take_body(request: &mut Received, check: &mut crate::pattern::Check, piece: &[u8]) {
    let room = KEPT.saturating_sub(request.body.len());
    request.body.extend_from_slice(&piece[..piece.len().min(room)]);
    check.take(piece);
    request.body_length = check.length();
    request.body_is_pattern = check.is_intact();
}

async fn serve(
    stream: TcpStream,
    connection: usize,
    state: Arc<State>,
    tls: Option<Arc<ServerConfig>>,
    http1: bool,
    http2: bool,
) {
    let Some(tls) = tls else {
        // The preface of HTTP/2 begins like no request that a test sends.
        let mut start = [0; 4];
        let is_http2 = http2 && (!http1 || stream.peek(&mut start).await.is_ok_and(|_| &start == b"PRI "));
        if is_http2 {
            http2::serve(stream, connection, state).await;
        } else {
            http1::serve(stream, connection, state).await;
        }
        return;
    };
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
    let chosen_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if chosen_http2 || !http1 {
        http2::serve(stream, connection, state).await;
    } else {
        http1::serve(stream, connection, state).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
