//! Upstreams that do as they are told, and keep every byte they received.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An upstream whose connections are handled by a function.
pub(crate) struct Upstream {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

/// A connection of an upstream.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    received: Arc<Mutex<Vec<u8>>>,
    pending: Vec<u8>,
}

impl Upstream {
    /// Handles each connection on a thread of its own.
    pub(crate) fn start(handle: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, handle) = (received.clone(), Arc::new(handle));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (received, handle) = (kept.clone(), handle.clone());
                stream.set_nodelay(true).expect("a socket");
                std::thread::spawn(move || handle(Connection { stream, received, pending: Vec::new() }));
            }
        });
        Self { address, received }
    }

    /// Answers every request with 200 and this JSON, and the path in a header.
    pub(crate) fn json(body: &'static str) -> Self {
        Self::start(move |mut connection| {
            while let Some((head, _)) = connection.request() {
                let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Target: {target}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                if connection.stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers every connection with these bytes after one request, then closes it.
    pub(crate) fn raw(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut connection| {
            if connection.request().is_some() {
                // The proxy may have left already.
                let _ = connection.stream.write_all(&answer);
                let _ = connection.stream.shutdown(Shutdown::Write);
                connection.drain();
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every byte received so far, of all connections.
    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().expect("unpoisoned")).into_owned()
    }
}

impl Connection {
    /// Reads the next request: its head, and its body when it has a length.
    pub(crate) fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap_or(0);
        while self.pending.len() < end + length {
            self.more()?;
        }
        let body = self.pending[end..end + length].to_vec();
        self.pending.drain(..end + length);
        Some((head, body))
    }

    /// Reads until the other side closes.
    pub(crate) fn drain(&mut self) {
        while self.more().is_some() {}
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        self.pending.extend_from_slice(&buffer[..read]);
        self.received.lock().expect("unpoisoned").extend_from_slice(&buffer[..read]);
        Some(())
    }
}

/// Sends bytes and reads until the other side closes, at most for the given time.
pub(crate) fn exchange_raw(address: SocketAddr, bytes: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(patience)).expect("a socket");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    answer
}
