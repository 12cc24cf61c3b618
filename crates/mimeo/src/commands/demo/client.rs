//! The shop's client: it asks for everything once and checks what it gets.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Message;

/// What the client proves itself with.
pub(super) const SECRET: &str = "the-demo's-secret";

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Asks for everything once; gives the number of requests.
pub(super) async fn visit(address: SocketAddr) -> io::Result<u64> {
    let mut asked = 0;
    for (method, path, body, status) in [
        ("GET", "/v1/products?page=1", "", 200),
        ("GET", "/v1/products?page=2", "", 200),
        ("GET", "/v1/products/1", "", 200),
        ("GET", "/v1/products/1/image", "", 200),
        ("GET", "/v1/account", "", 200),
        ("POST", "/v1/orders", "{\"items\":[{\"product\":1,\"count\":10}]}", 201),
        ("GET", "/v1/orders/o_91/events", "", 200),
        ("GET", "/v1/broken", "", 500),
        ("GET", "/v1/nothing", "", 404),
    ] {
        let answer = ask(address, method, path, body).await?;
        if answer.status != status || answer.body.is_empty() {
            return Err(io::Error::other(format!("{method} {path} was answered with {}", answer.status)));
        }
        asked += 1;
    }
    stock(address).await?;
    Ok(asked + 1)
}

/// Asks for a path.
pub(super) async fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    ask(address, "GET", path, "").await
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: &'static str) -> io::Result<Answer> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("accept-encoding", "gzip")
        .header("authorization", format!("Bearer {SECRET}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Answer { status, body })
}

/// Asks the WebSocket about two products.
async fn stock(address: SocketAddr) -> io::Result<()> {
    let socket = TcpStream::connect(address).await?;
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/v1/stock"), socket)
        .await
        .map_err(io::Error::other)?;
    for product in ["1", "2"] {
        socket.send(Message::text(product)).await.map_err(io::Error::other)?;
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains("\"stock\":7") => {}
            other => return Err(io::Error::other(format!("the WebSocket said {other:?}"))),
        }
    }
    socket.close(None).await.map_err(io::Error::other)?;
    while let Some(Ok(_)) = socket.next().await {}
    Ok(())
}
