//! Interception: what looks like a tunnel to the client ends here, and its requests are proxied.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mimeo_model::{Failure, FailureKind, Phase};
use mimeo_transport::certificates::LeafCertificates;
use mimeo_transport::protocol::head::RequestHead;
use mimeo_transport::protocol::target::Origin;
use mimeo_transport::serve::{self, ServeConfig, Speaks};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use crate::pipeline::ProxyHandler;
use crate::{rescue, tunnel};

/// First byte of a TLS record that carries a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// Serves a client that asked for a tunnel to `origin`.
pub(crate) fn serve<C>(
    handler: ProxyHandler,
    mut client: C,
    origin: Arc<Origin>,
    leaves: Arc<LeafCertificates>,
    head: RequestHead,
    started: Instant,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(async move {
        let patience = handler.worker.config.patience;
        let mut first = [0];
        match tokio::time::timeout(patience.idle, client.read(&mut first)).await {
            Ok(Ok(1)) => {}
            // The client opened a tunnel and said nothing.
            _ => return,
        }
        let client = Prefixed { first: Some(first[0]), io: client };
        if first[0] != HANDSHAKE {
            pass_through(&handler, client, &origin, &head, started).await;
            return;
        }
        match accept(&handler, client, &origin, &leaves, patience.head).await {
            Ok(stream) => {
                let speaks = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Speaks::Http2,
                    _ => Speaks::Unknown,
                };
                let config = ServeConfig {
                    patience,
                    render: rescue::render_refusal,
                    stop: handler.worker.stop.clone(),
                };
                let inner = ProxyHandler { intercepted: Some(origin), ..handler };
                serve::serve(stream, speaks, inner, config).await;
            }
            Err(detail) => {
                let Some(capture) = handler.capture(&head, &origin, &head.target, started) else { return };
                tunnel::note_established(&capture);
                capture.quietly(|assembly| {
                    assembly.fail(Failure { kind: FailureKind::ClientTls, phase: Phase::Tls, detail });
                });
                capture.carrier().finish().await;
            }
        }
    })
}

/// Carries what is not TLS untouched.
async fn pass_through<C>(
    handler: &ProxyHandler,
    client: Prefixed<C>,
    origin: &Origin,
    head: &RequestHead,
    started: Instant,
) where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let capture = handler.capture(head, origin, &head.target, started);
    match handler.worker.pool.connector().open_tcp(&origin.host, origin.port).await {
        Ok((upstream, connected)) => {
            let carrier = capture.map(|capture| {
                let at = capture.at();
                capture.quietly(|assembly| assembly.connected(at, connected));
                tunnel::note_established(&capture);
                capture.carrier()
            });
            tunnel::opaque(client, upstream, carrier, Bytes::new()).await;
        }
        Err(failure) => {
            if let Some(capture) = capture {
                tunnel::note_established(&capture);
                capture.quietly(|assembly| assembly.fail(failure));
                capture.carrier().finish().await;
            }
        }
    }
}

/// Completes the client's handshake under a certificate for the host it named.
async fn accept<C>(
    handler: &ProxyHandler,
    client: C,
    origin: &Origin,
    leaves: &Arc<LeafCertificates>,
    patience: Duration,
) -> Result<tokio_rustls::server::TlsStream<C>, String>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), client)
            .await
            .map_err(|error| format!("the client's TLS greeting cannot be read: {error}"))?;
        let named = hello.client_hello().server_name().map(str::to_ascii_lowercase);
        let host = named.clone().unwrap_or_else(|| origin.host.clone());
        let leaf = match leaves.kept(&host) {
            Some(leaf) => leaf,
            None => {
                let (leaves, now) = (leaves.clone(), handler.worker.config.clock.now());
                let made = tokio::task::spawn_blocking(move || leaves.make(&host, now)).await;
                made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?
            }
        };
        let config = if named.is_some() { leaves.server_config() } else { leaves.server_config_for(leaf) };
        hello.into_stream(config).await.map_err(|error| {
            let text = error.to_string();
            let trust = ["UnknownCA", "BadCertificate", "CertificateUnknown", "AccessDenied"];
            if trust.iter().any(|alert| text.contains(alert))
                || error.kind() == std::io::ErrorKind::UnexpectedEof
            {
                format!("the client does not trust the CA (`mimeo ca install-help` shows how to): {text}")
            } else {
                format!("the TLS handshake with the client failed: {text}")
            }
        })
    };
    match tokio::time::timeout(patience, handshake).await {
        Ok(outcome) => outcome,
        Err(_) => Err("the client did not complete the TLS handshake in time".to_owned()),
    }
}

/// An I/O object whose first byte was already read.
struct Prefixed<C> {
    first: Option<u8>,
    io: C,
}

impl<C: AsyncRead + Unpin> AsyncRead for Prefixed<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() > 0
            && let Some(first) = this.first.take()
        {
            buf.put_slice(&[first]);
            return std::task::Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Prefixed<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        data: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, data)
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
