//! Connections that nobody uses end.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mimeo_transport::head_tap::{Patience, Refused};
use mimeo_transport::serve::{Handler, Inbound, ServeConfig, Speaks, serve};
use tokio::sync::watch;
use tokio::time::Instant;

/// Answers after a while.
#[derive(Clone)]
struct Slow;

impl Handler for Slow {
    type Body = Empty<Bytes>;

    async fn handle(&self, _: Inbound) -> http::Response<Self::Body> {
        tokio::time::sleep(Duration::from_mins(12)).await;
        http::Response::new(Empty::new())
    }

    fn refused(&self, refused: Refused) {
        panic!("{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_2_connection_ends_five_minutes_after_its_last_request() {
    let (client, server) = tokio::io::duplex(1 << 16);
    let (_stop, stopped) = watch::channel(false);
    let config = ServeConfig { patience: Patience::default(), render: |_| Bytes::new(), stop: stopped };
    tokio::spawn(serve(server, Speaks::Http2, Slow, config));
    let began = Instant::now();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake::<_, Empty<Bytes>>(TokioIo::new(client))
        .await
        .expect("a handshake");
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://a/").body(Empty::new()).expect("valid");
    let response = sender.send_request(request).await.expect("an answer, however long it takes");
    assert_eq!(response.status(), 200);
    connection.await.expect("no panic").expect("a graceful end");
    let lived = began.elapsed();
    assert!(lived >= Duration::from_mins(17) && lived < Duration::from_mins(23), "{lived:?}");
}
