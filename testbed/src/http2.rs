//! An HTTP/2 client made of frames: it sends what no library would.
//!
//! Header fields go out as literals that no table keeps, and of the fields that come back only the status is decoded.
//! All of it blocks, with deadlines.

mod frame;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::client::{Client, Ended, PATIENCE};

pub use frame::{Frame, header_block};

/// What a connection of HTTP/2 begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a flood waits for a peer that takes nothing more.
const STALL: Duration = Duration::from_secs(1);
/// Bytes of a flood that are written at once.
const BURST: usize = 32 << 10;

/// What frames travel over.
trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// TLS that reads without writing first: what a peer said before it left is heard even when it takes nothing more.
struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let StreamOwned { conn, sock } = &mut self.0;
        loop {
            match conn.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if conn.read_tls(sock)? == 0 {
                return Ok(0);
            }
            conn.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A connection whose every frame the test decides.
pub struct Http2Client {
    stream: Box<dyn Duplex>,
    socket: TcpStream,
    pending: Vec<u8>,
    scheme: &'static str,
    authority: String,
    next_stream: u32,
}

/// What came on one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status, when it is one.
    pub status: Option<u16>,
    /// The body.
    pub body: Vec<u8>,
    /// The code with which the peer ended the stream before its time.
    pub reset: Option<u32>,
}

/// How a peer ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The code of its `GOAWAY`.
    pub code: Option<u32>,
    /// What became of the connection.
    pub ended: Ended,
}

/// # Beginning
impl Http2Client {
    /// Connects with prior knowledge, and sends the preface with empty settings.
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// Connects with prior knowledge, and sends the preface with these settings.
    pub fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("nothing listens on {address}: {error}"));
        let stream = socket.try_clone().expect("a socket has two ends");
        Self::begin(Box::new(stream), socket, "http", &address.to_string(), settings)
    }

    /// Goes through an intercepting proxy by CONNECT, with HTTP/2 agreed on by ALPN, and sends the preface with
    /// these settings. `authority` has a port, and `pem` is what the client trusts.
    pub fn intercepted(proxy: SocketAddr, authority: &str, pem: &str, settings: &[(u16, u32)]) -> Self {
        let tunnel = Client::new()
            .through(proxy)
            .trusting(pem)
            .tunnel(authority, &["h2"])
            .unwrap_or_else(|error| panic!("no tunnel to {authority}: {error}"));
        let socket = tunnel.sock.try_clone().expect("a socket has two ends");
        Self::begin(Box::new(Tls(tunnel)), socket, "https", authority, settings)
    }

    fn begin(
        stream: Box<dyn Duplex>,
        socket: TcpStream,
        scheme: &'static str,
        authority: &str,
        settings: &[(u16, u32)],
    ) -> Self {
        socket.set_nodelay(true).expect("a socket takes options");
        let mut client = Self {
            stream,
            socket,
            pending: Vec::new(),
            scheme,
            authority: authority.to_owned(),
            next_stream: 1,
        };
        client.send([PREFACE, &Frame::settings(settings).bytes()].concat());
        client
    }
}

/// # Sending
impl Http2Client {
    /// Sends bytes. That the peer stopped listening is no fault: many tests are about that.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.write(bytes.as_ref(), PATIENCE);
        self
    }

    /// Sends many frames, and gives how many, which is fewer when the peer ended the connection or took nothing
    /// more for a second. Nothing is read meanwhile.
    pub fn flood(&mut self, frames: impl IntoIterator<Item = Frame>) -> usize {
        let (mut burst, mut waiting, mut sent) = (Vec::new(), 0, 0);
        for frame in frames {
            burst.extend_from_slice(&frame.bytes());
            waiting += 1;
            if burst.len() >= BURST {
                if self.write(&burst, STALL).is_err() {
                    return sent;
                }
                (sent, waiting) = (sent + waiting, 0);
                burst.clear();
            }
        }
        if self.write(&burst, STALL).is_ok() { sent + waiting } else { sent }
    }

    /// The number of the next stream.
    pub fn new_stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    /// The encoded head of a request.
    pub fn request(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let pseudo =
            [(":method", method), (":scheme", self.scheme), (":authority", &self.authority), (":path", path)];
        header_block(pseudo.iter().chain(fields).copied())
    }

    /// Asks for a path on a new stream, and gives its number.
    pub fn ask(&mut self, path: &str) -> u32 {
        let stream = self.new_stream();
        let head = Frame::headers(stream, self.request("GET", path, &[])).ending_headers().ending_stream();
        self.send(head.bytes());
        stream
    }

    fn write(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        self.socket.set_write_timeout(Some(patience))?;
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }
}

/// # Receiving
impl Http2Client {
    /// The next frame, or how the connection ended; [`Ended::NotYet`] when neither comes within `deadline`.
    pub fn next_frame(&mut self, deadline: Duration) -> Result<Frame, Ended> {
        let until = Instant::now() + deadline;
        let mut piece = vec![0; 64 << 10];
        loop {
            if let Some((frame, length)) = Frame::first_of(&self.pending) {
                self.pending.drain(..length);
                return Ok(frame);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Ended::NotYet);
            }
            self.socket.set_read_timeout(Some(left)).expect("a socket takes options");
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Ended::Closed),
                Ok(count) => self.pending.extend_from_slice(&piece[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(Ended::NotYet);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // TLS whose end was not said.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Ended::Closed),
                Err(_) => return Err(Ended::Reset),
            }
        }
    }

    /// Gets a path as a client does that behaves: it acknowledges and opens windows. Panics when the peer ends the
    /// connection.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        let stream = self.ask(path);
        self.answer_on(stream)
    }

    /// Waits for the end of a stream, as a client does that behaves. Panics when the peer ends the connection.
    #[track_caller]
    pub fn answer_on(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        loop {
            let frame = self
                .next_frame(PATIENCE)
                .unwrap_or_else(|ended| panic!("the connection ended ({ended:?}) after {answer:?}"));
            match frame.kind {
                Frame::SETTINGS if frame.flags & Frame::ACK == 0 => {
                    self.send(Frame::settings(&[]).acknowledging().bytes());
                }
                Frame::PING if frame.flags & Frame::ACK == 0 => {
                    self.send(Frame::ping(&frame.payload).acknowledging().bytes());
                }
                Frame::DATA if !frame.payload.is_empty() => {
                    let length = u32::try_from(frame.payload.len()).expect("a frame is short");
                    self.send(Frame::window(0, length).bytes());
                    if frame.stream == stream {
                        self.send(Frame::window(stream, length).bytes());
                        answer.body.extend_from_slice(&frame.payload);
                    }
                }
                Frame::HEADERS if frame.stream == stream && answer.status.is_none() => {
                    answer.status = frame.status();
                }
                Frame::RESET if frame.stream == stream => {
                    answer.reset = frame.code();
                    return answer;
                }
                _ => {}
            }
            let ends = matches!(frame.kind, Frame::DATA | Frame::HEADERS);
            if ends && frame.stream == stream && frame.flags & Frame::END_STREAM != 0 {
                return answer;
            }
        }
    }

    /// Reads until the peer ends the connection, and says how it did.
    pub fn read_to_the_end(&mut self, deadline: Duration) -> End {
        let until = Instant::now() + deadline;
        let mut code = None;
        loop {
            match self.next_frame(until.saturating_duration_since(Instant::now())) {
                Ok(frame) if frame.kind == Frame::GO_AWAY => code = frame.code(),
                Ok(_) => {}
                Err(ended) => return End { code, ended },
            }
        }
    }
}
