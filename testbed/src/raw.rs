//! An upstream that follows a script of bytes instead of HTTP, and keeps exactly what it received.
//!
//! Each connection has a task that reads all there is to read, and one that follows the script. Connections take
//! the scripts in turn; the last script serves all further ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::Gate;
use crate::message::find;
use crate::server::Server;

/// What a raw upstream does with one connection, step by step. After the last step it keeps the connection open
/// until the peer closes it.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    ReadHead,
    ReadBytes(usize),
    ReadThrough(Vec<u8>),
    Send(Vec<u8>),
    SendRepeatedly(Vec<u8>, u64),
    Dribble { bytes: Vec<u8>, piece: usize, pause: Duration },
    Wait(Gate),
    HalfClose,
    Close,
    Reset,
    Again,
}

/// # Steps
impl Script {
    /// Does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a request head.
    #[must_use]
    pub fn reads_a_head(self) -> Self {
        self.with(Step::ReadHead)
    }

    /// Waits for `count` more bytes.
    #[must_use]
    pub fn reads(self, count: usize) -> Self {
        self.with(Step::ReadBytes(count))
    }

    /// Waits until `end` was received.
    #[must_use]
    pub fn reads_through(self, end: impl Into<Vec<u8>>) -> Self {
        self.with(Step::ReadThrough(end.into()))
    }

    /// Sends bytes.
    #[must_use]
    pub fn sends(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(Step::Send(bytes.into()))
    }

    /// Sends the same bytes `count` times.
    #[must_use]
    pub fn sends_repeatedly(self, bytes: impl Into<Vec<u8>>, count: u64) -> Self {
        self.with(Step::SendRepeatedly(bytes.into(), count))
    }

    /// Sends bytes a few at a time.
    #[must_use]
    pub fn dribbles(self, bytes: impl Into<Vec<u8>>, piece: usize, pause: Duration) -> Self {
        self.with(Step::Dribble { bytes: bytes.into(), piece: piece.max(1), pause })
    }

    /// Waits until the test opens the gate.
    #[must_use]
    pub fn waits_at(self, gate: &Gate) -> Self {
        self.with(Step::Wait(gate.clone()))
    }

    /// Closes its sending side and goes on reading.
    #[must_use]
    pub fn closes_its_side(self) -> Self {
        self.with(Step::HalfClose)
    }

    /// Closes the connection.
    #[must_use]
    pub fn closes(self) -> Self {
        self.with(Step::Close)
    }

    /// Resets the connection.
    #[must_use]
    pub fn resets(self) -> Self {
        self.with(Step::Reset)
    }

    /// Begins the script again, for the next request on the connection.
    #[must_use]
    pub fn and_again(self) -> Self {
        self.with(Step::Again)
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// # Ways to misbehave
impl Script {
    /// Reads a head and answers with these bytes.
    pub fn answers(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new().reads_a_head().sends(bytes)
    }

    /// Answers every request on the connection with `200` and this body.
    pub fn answers_ok(body: &str) -> Self {
        Self::answers(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).and_again()
    }

    /// Promises 1,000,000 bytes, sends `count` of them and resets.
    pub fn resets_after(count: usize) -> Self {
        Self::answers("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").sends(vec![b'x'; count]).resets()
    }

    /// Promises 1,000,000 bytes, sends `count` of them and closes.
    pub fn closes_after(count: usize) -> Self {
        Self::answers("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").sends(vec![b'x'; count]).closes()
    }

    /// Closes as soon as it has read a head.
    pub fn closes_without_an_answer() -> Self {
        Self::new().reads_a_head().closes()
    }

    /// Resets as soon as it has read a head.
    pub fn resets_without_an_answer() -> Self {
        Self::new().reads_a_head().resets()
    }

    /// Reads a head and never answers.
    pub fn never_answers() -> Self {
        Self::new().reads_a_head()
    }

    /// Declares `declared` bytes and sends `sent`, then closes.
    pub fn lies_about_its_length(declared: usize, sent: usize) -> Self {
        Self::answers(format!("HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n\r\n"))
            .sends(vec![b'x'; sent])
            .closes()
    }

    /// Sends `count` header fields.
    pub fn pushes_headers(count: usize) -> Self {
        use std::fmt::Write;
        let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
        for number in 0..count {
            let _ = write!(head, "X-Field-{number}: {number}\r\n");
        }
        head.push_str("Content-Length: 2\r\n\r\nok");
        Self::answers(head)
    }

    /// Sends `count` interim responses before the final one.
    pub fn storms_with_interim_responses(count: u64) -> Self {
        Self::new()
            .reads_a_head()
            .sends_repeatedly("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", count)
            .sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// Answers before it has read the request's body, and reads nothing more of it.
    pub fn answers_early(status: u16) -> Self {
        Self::answers(format!("HTTP/1.1 {status} Early\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
            .closes_its_side()
    }

    /// Sends a chunked body whose trailers never end: `count` fields, then nothing.
    pub fn sends_endless_trailers(count: u64) -> Self {
        Self::answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
            .sends_repeatedly("X-Trailer: more\r\n", count)
    }
}

/// A running raw upstream.
#[derive(Debug)]
pub struct RawUpstream {
    server: Server,
    received: Received,
}

/// What each connection sent, in the order of the connections.
type Received = Arc<Mutex<Vec<Arc<Inbox>>>>;

#[derive(Debug, Default)]
struct Inbox {
    bytes: Mutex<Vec<u8>>,
    ended: Mutex<Option<End>>,
    news: Notify,
}

/// How a peer ended its side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It closed.
    Closed,
    /// It reset.
    Reset,
}

impl RawUpstream {
    /// Starts an upstream on a free port.
    pub fn start(script: Script) -> Self {
        Self::start_in_turn(vec![script])
    }

    /// Starts an upstream whose connections take these scripts in turn.
    pub fn start_in_turn(scripts: Vec<Script>) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), scripts)
    }

    /// Starts an upstream on an address, such as that of one that was stopped.
    pub fn start_at(address: SocketAddr, scripts: Vec<Script>) -> Self {
        let received = Received::default();
        let inboxes = received.clone();
        let server = Server::start(address, move |stream, number| {
            let inbox = Arc::new(Inbox::default());
            lock(&inboxes).push(inbox.clone());
            let script = scripts.get(number).or(scripts.last()).cloned().unwrap_or_default();
            follow(script, stream, inbox)
        });
        Self { server, received }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// What each connection sent so far.
    pub fn received(&self) -> Vec<Vec<u8>> {
        lock(&self.received).iter().map(|inbox| lock(&inbox.bytes).clone()).collect()
    }

    /// What all connections sent so far, one after the other.
    pub fn received_in_all(&self) -> Vec<u8> {
        self.received().concat()
    }

    /// How the peer ended a connection; `None` while it lasts or when we ended it.
    pub fn end_of(&self, connection: usize) -> Option<End> {
        lock(&self.received).get(connection).and_then(|inbox| *lock(&inbox.ended))
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

async fn follow(script: Script, stream: TcpStream, inbox: Arc<Inbox>) {
    let (mut reading, mut writing) = stream.into_split();
    let filled = inbox.clone();
    let reader = tokio::spawn(async move {
        let mut piece = vec![0; 64 << 10];
        let end = loop {
            match reading.read(&mut piece).await {
                Ok(0) => break End::Closed,
                Ok(count) => lock(&filled.bytes).extend_from_slice(&piece[..count]),
                Err(_) => break End::Reset,
            }
            filled.news.notify_one();
        };
        *lock(&filled.ended) = Some(end);
        filled.news.notify_one();
    });
    let mut used = 0;
    let mut at = 0;
    while let Some(step) = script.steps.get(at) {
        at += 1;
        let done = match step {
            Step::ReadHead => {
                until(&inbox, &mut used, |bytes| find(bytes, b"\r\n\r\n").map(|end| end + 4)).await
            }
            Step::ReadBytes(count) => {
                until(&inbox, &mut used, |bytes| (bytes.len() >= *count).then_some(*count)).await
            }
            Step::ReadThrough(wanted) => {
                until(&inbox, &mut used, |bytes| find(bytes, wanted).map(|start| start + wanted.len())).await
            }
            Step::Send(bytes) => writing.write_all(bytes).await.is_ok(),
            Step::SendRepeatedly(bytes, count) => {
                let mut sent = true;
                for _ in 0..*count {
                    sent = sent && writing.write_all(bytes).await.is_ok();
                }
                sent
            }
            Step::Dribble { bytes, piece, pause } => {
                let mut sent = true;
                for piece in bytes.chunks(*piece) {
                    sent = sent && writing.write_all(piece).await.is_ok();
                    tokio::time::sleep(*pause).await;
                }
                sent
            }
            Step::Wait(gate) => {
                gate.pass().await;
                true
            }
            Step::HalfClose => writing.shutdown().await.is_ok(),
            Step::Close => {
                reader.abort();
                let _ = reader.await;
                return;
            }
            Step::Reset => {
                let _ = SockRef::from(writing.as_ref()).set_linger(Some(Duration::ZERO));
                reader.abort();
                let _ = reader.await;
                // Dropping the half would shut it down first, and the peer would see a close before the reset.
                writing.forget();
                return;
            }
            Step::Again => {
                at = 0;
                true
            }
        };
        if !done {
            break;
        }
    }
    let _ = reader.await;
}

/// Waits until `end` finds the end of something in the bytes not used yet; false when the peer ended before.
async fn until(inbox: &Inbox, used: &mut usize, end: impl Fn(&[u8]) -> Option<usize>) -> bool {
    loop {
        // Asked before the bytes are, so that the last of them are seen.
        let ended = lock(&inbox.ended).is_some();
        if let Some(count) = end(&lock(&inbox.bytes)[*used..]) {
            *used += count;
            return true;
        }
        if ended {
            return false;
        }
        inbox.news.notified().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
