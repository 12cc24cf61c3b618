//! A WebSocket server that echoes, and does what the messages that begin with `!` say.
//!
//! | message | what it does |
//! |---|---|
//! | `!close 4000 reason` | closes with that code and reason |
//! | `!send N` | sends N text messages, `message 0` and so on |
//! | `!ping text` | sends a ping |
//! | `!drop` | drops the connection without a close frame |
//! | anything else | comes back as it is |

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::certificates::Authority;
use crate::server::Server;

/// A running WebSocket server.
#[derive(Debug)]
pub struct WebSocketUpstream {
    server: Server,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    is_tls: bool,
}

impl WebSocketUpstream {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts a server that speaks TLS as `localhost`.
    pub fn start_with_tls(authority: &Authority) -> Self {
        let certificate = authority.certificate_for(&["localhost", "127.0.0.1"]);
        Self::start_with(Some(certificate.server_config(&["http/1.1"])))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let is_tls = tls.is_some();
        let received = Arc::new(Mutex::default());
        let kept = received.clone();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(address, move |stream, _| {
            let (tls, kept) = (tls.clone(), kept.clone());
            async move {
                // How a conversation ends is for the test to judge from the other side.
                let _ = serve(stream, tls, kept).await;
            }
        });
        Self { server, received, is_tls }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its URL for a WebSocket client, without a path.
    pub fn url(&self) -> String {
        self.with_scheme("ws", "wss")
    }

    /// Its URL for a proxy's target, without a path.
    pub fn http_url(&self) -> String {
        self.with_scheme("http", "https")
    }

    fn with_scheme(&self, plain: &str, secure: &str) -> String {
        if self.is_tls {
            format!("{secure}://localhost:{}", self.address().port())
        } else {
            format!("{plain}://{}", self.address())
        }
    }

    /// Payloads of the text and binary messages received so far.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Outcome = Result<(), tokio_tungstenite::tungstenite::Error>;

async fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>, kept: Arc<Mutex<Vec<Vec<u8>>>>) -> Outcome {
    match tls {
        Some(tls) => converse(TlsAcceptor::from(tls).accept(stream).await?, &kept).await,
        None => converse(stream, &kept).await,
    }
}

async fn converse<S>(stream: S, kept: &Mutex<Vec<Vec<u8>>>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    #[expect(clippy::result_large_err, reason = "the callback's type is given")]
    let choose = |request: &Request, mut response: Response| {
        let offered = request.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        if let Some(first) = offered.and_then(|offered| offered.split(',').next())
            && let Ok(value) = first.trim().parse()
        {
            response.headers_mut().insert("sec-websocket-protocol", value);
        }
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone().into_data().to_vec());
        }
        let Message::Text(text) = &message else {
            if message.is_binary() {
                socket.send(message).await?;
            }
            continue;
        };
        let mut words = text.splitn(3, ' ');
        let (command, first, rest) = (words.next(), words.next(), words.next());
        match command {
            Some("!close") => {
                let code: u16 = first.and_then(|code| code.parse().ok()).unwrap_or(1000);
                let reason = rest.unwrap_or_default().to_owned().into();
                socket.close(Some(CloseFrame { code: code.into(), reason })).await?;
            }
            Some("!send") => {
                for number in 0..first.and_then(|count| count.parse().ok()).unwrap_or(1_u32) {
                    socket.send(Message::text(format!("message {number}"))).await?;
                }
            }
            Some("!ping") => {
                socket.send(Message::Ping(first.unwrap_or_default().to_owned().into())).await?;
            }
            Some("!drop") => return Ok(()),
            _ => socket.send(message).await?,
        }
    }
    Ok(())
}
