//! Clients: raw connections that send what no library would, and a small HTTP client that hides nothing.
//!
//! All of it blocks, with deadlines.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::SockRef;

use crate::message::{Fields, field, find, latin1, split_head};
use crate::pattern::Check;

/// How long a client waits for anything before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A connection whose every byte the test decides.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
}

/// What came until the peer ended the connection.
#[derive(Debug)]
pub struct Heard {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How it ended.
    pub ended: Ended,
}

/// How a peer ended a connection, as far as we waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It closed.
    Closed,
    /// It reset.
    Reset,
    /// It was still open when we stopped waiting.
    NotYet,
}

impl RawClient {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("nothing listens on {address}: {error}"));
        stream.set_nodelay(true).expect("a socket takes options");
        Self { stream }
    }

    /// Sends bytes. That the peer stopped listening is no fault: many tests are about that.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.try_send(bytes);
        self
    }

    /// Sends bytes, or says that the peer stopped listening.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.set_write_timeout(Some(PATIENCE))?;
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes one by one, `pause` apart, until all are sent or the peer has had enough. Gives how many.
    pub fn dribble(&mut self, bytes: &[u8], pause: Duration) -> usize {
        for (sent, byte) in bytes.iter().enumerate() {
            if self.stream.write_all(&[*byte]).is_err() {
                return sent;
            }
            std::thread::sleep(pause);
        }
        bytes.len()
    }

    /// Closes the sending side.
    pub fn finish_sending(&mut self) -> &mut Self {
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    /// Resets the connection.
    pub fn abort(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket takes options");
    }

    /// Reads until the peer ends the connection, at most for `deadline`.
    pub fn read_all(&mut self, deadline: Duration) -> Heard {
        let mut bytes = Vec::new();
        let ended = self.read_while(deadline, &mut bytes, |_| true);
        Heard { bytes, ended }
    }

    /// Reads until `enough` says so of what was read. Panics when the peer ends before.
    #[track_caller]
    pub fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ended = self.read_while(PATIENCE, &mut bytes, |bytes| !enough(bytes));
        assert!(enough(&bytes), "the peer ended ({ended:?}) after {:?}", latin1(&bytes));
        bytes
    }

    /// Reads one response with a `Content-Length` or a chunked body, or until the close.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
        read_response(&mut self.stream, false).expect("a whole response comes")
    }

    /// Reads a response until the peer ends the connection, and checks that its body is [`crate::pattern`] without
    /// holding it.
    #[track_caller]
    pub fn check_pattern(&mut self) -> Check {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
        read_head(&mut self.stream).expect("a head comes");
        let (mut check, mut piece) = (Check::default(), vec![0; 256 << 10]);
        loop {
            match self.stream.read(&mut piece).expect("a body comes") {
                0 => return check,
                count => check.take(&piece[..count]),
            }
        }
    }

    /// The address of this end.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// The connection itself.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn read_while(&mut self, deadline: Duration, bytes: &mut Vec<u8>, more: impl Fn(&[u8]) -> bool) -> Ended {
        let until = Instant::now() + deadline;
        let mut piece = vec![0; 64 << 10];
        while more(bytes) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ended::NotYet;
            }
            self.stream.set_read_timeout(Some(left)).expect("a socket takes options");
            match self.stream.read(&mut piece) {
                Ok(0) => return Ended::Closed,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ended::NotYet;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ended::Reset,
            }
        }
        Ended::NotYet
    }
}

/// Sends bytes on a new connection and reads until the peer ends it, at most for `deadline`.
pub fn exchange_bytes(address: SocketAddr, bytes: impl AsRef<[u8]>, deadline: Duration) -> Heard {
    let mut client = RawClient::connect(address);
    client.send(bytes);
    client.read_all(deadline)
}

impl Heard {
    /// The status of the first response; `None` when what came is no HTTP/1 response.
    pub fn status(&self) -> Option<u16> {
        status_of(&self.bytes)
    }

    /// The first value of a header field of the first response.
    pub fn header(&self, name: &str) -> Option<String> {
        let end = find(&self.bytes, b"\r\n\r\n")?;
        let (_, fields) = split_head(&self.bytes[..end + 2]);
        field(&fields, name).map(str::to_owned)
    }

    /// The statuses of all responses, read by their status lines.
    pub fn statuses(&self) -> Vec<u16> {
        latin1(&self.bytes)
            .match_indices("HTTP/1.")
            .filter_map(|(at, _)| status_of(&self.bytes[at..]))
            .collect()
    }
}

fn status_of(bytes: &[u8]) -> Option<u16> {
    if !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()
}

/// A response as it came.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head's bytes, the empty line included.
    pub raw_head: Vec<u8>,
    /// Header fields in their order.
    pub headers: Fields,
    /// The body, without its chunks and still encoded.
    pub body: Vec<u8>,
    /// Trailer fields.
    pub trailers: Fields,
    /// Heads of the interim responses before it.
    pub interim: Vec<Vec<u8>>,
    /// Whether the body ended as it was declared to.
    pub complete: bool,
}

impl Response {
    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics when it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

/// A small HTTP/1.1 client with one connection per request.
#[derive(Debug, Clone, Default)]
pub struct Client {
    proxy: Option<SocketAddr>,
    trusted: Option<String>,
}

impl Client {
    /// A client that goes straight to the server and trusts no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes through a proxy: in absolute form for `http`, by CONNECT for `https`.
    #[must_use]
    pub fn through(mut self, proxy: SocketAddr) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Trusts the certificates in a PEM text.
    #[must_use]
    pub fn trusting(mut self, pem: &str) -> Self {
        self.trusted = Some(pem.to_owned());
        self
    }

    /// Gets a URL. Panics when no response comes.
    #[track_caller]
    pub fn get(&self, url: &str) -> Response {
        self.request("GET", url, &[], b"").unwrap_or_else(|error| panic!("GET {url}: {error}"))
    }

    /// Posts a body to a URL. Panics when no response comes.
    #[track_caller]
    pub fn post(&self, url: &str, body: &[u8]) -> Response {
        self.request("POST", url, &[], body).unwrap_or_else(|error| panic!("POST {url}: {error}"))
    }

    /// Sends a request and reads its response.
    ///
    /// `Host`, `Content-Length` (for a body) and `Connection: close` are added unless they are among `headers`.
    pub fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let is_tls = scheme == "https";
        let target = if self.proxy.is_some() && !is_tls { url } else { path };
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if !has("host") {
            let _ = write!(head, "Host: {authority}\r\n");
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        if !has("connection") {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        message.extend_from_slice(body);

        let with_port = if authority.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            authority.to_owned()
        } else {
            format!("{authority}:{}", if is_tls { 443 } else { 80 })
        };
        let mut stream = match self.proxy {
            Some(proxy) => TcpStream::connect_timeout(&proxy, PATIENCE)?,
            None => TcpStream::connect(&with_port)?,
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let is_head = method == "HEAD";
        if !is_tls {
            // A server may answer and close before it has read everything; its answer is what counts.
            let _ = stream.write_all(&message);
            return read_response(&mut stream, is_head);
        }
        let mut stream = self.secure(stream, &with_port, &["http/1.1"])?;
        stream.write_all(&message)?;
        read_response(&mut stream, is_head)
    }

    /// A TLS connection through the proxy to `authority`, which has a port.
    pub(crate) fn tunnel(
        &self,
        authority: &str,
        alpn: &[&str],
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let proxy = self.proxy.ok_or_else(|| io::Error::other("there is no proxy"))?;
        let stream = TcpStream::connect_timeout(&proxy, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.secure(stream, authority, alpn)
    }

    /// Asks the proxy, if there is one, for a tunnel, and speaks TLS.
    fn secure(
        &self,
        mut stream: TcpStream,
        authority: &str,
        alpn: &[&str],
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        if self.proxy.is_some() {
            write!(stream, "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")?;
            let answer = read_head(&mut stream)?;
            if status_of(&answer) != Some(200) {
                return Err(io::Error::other(format!("CONNECT was answered with {:?}", latin1(&answer))));
            }
        }
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        Ok(StreamOwned::new(self.tls(host.trim_matches(['[', ']']), alpn)?, stream))
    }

    fn tls(&self, host: &str, alpn: &[&str]) -> io::Result<ClientConnection> {
        let config: ClientConfig = crate::certificates::client_config_trusting_pem(
            self.trusted.as_deref().unwrap_or_default(),
            alpn,
        )
        .ok_or_else(|| io::Error::other("the client trusts no certificate"))?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
    }
}

fn read_response(stream: &mut impl Read, is_head: bool) -> io::Result<Response> {
    let mut interim = Vec::new();
    let raw_head = loop {
        let head = read_head(stream)?;
        match status_of(&head) {
            Some(100 | 102..=199) => interim.push(head),
            _ => break head,
        }
    };
    let status = status_of(&raw_head).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("not a response: {:?}", latin1(&raw_head)))
    })?;
    let (_, headers) = split_head(&raw_head);
    let mut response = Response {
        status,
        raw_head,
        headers,
        body: Vec::new(),
        trailers: Vec::new(),
        interim,
        complete: true,
    };
    if is_head || matches!(status, 101 | 204 | 304) {
        return Ok(response);
    }
    let chunked = response.header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"));
    let length: Option<u64> = response.header("content-length").and_then(|length| length.parse().ok());
    let read = if chunked {
        read_chunks(stream, &mut response)
    } else if let Some(length) = length {
        stream.take(length).read_to_end(&mut response.body).and_then(|count| {
            if count as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        })
    } else {
        stream.read_to_end(&mut response.body).map(|_| ())
    };
    response.complete = read.is_ok();
    Ok(response)
}

fn read_chunks(stream: &mut impl Read, response: &mut Response) -> io::Result<()> {
    loop {
        let line = latin1(&read_through(stream, b"\r\n")?);
        let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "chunk size"))?;
        if size == 0 {
            let mut section = b"trailers\r\n".to_vec();
            while !section.ends_with(b"\r\n\r\n") {
                let line = read_through(stream, b"\r\n")?;
                section.extend_from_slice(&line);
                if line == b"\r\n" {
                    break;
                }
            }
            response.trailers = split_head(&section).1;
            return Ok(());
        }
        if stream.take(size).read_to_end(&mut response.body)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read_through(stream, b"\r\n")? != b"\r\n" {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "chunk end"));
        }
    }
}

fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    read_through(stream, b"\r\n\r\n")
}

/// Reads byte by byte, so that nothing after the end is taken.
fn read_through(stream: &mut impl Read, end: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    Ok(bytes)
}
