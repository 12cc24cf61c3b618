use futures_util::{SinkExt, StreamExt};
use testbed::websocket::WebSocketUpstream;
use tokio_tungstenite::tungstenite::Message;

#[test]
fn it_echoes_and_obeys() {
    let upstream = WebSocketUpstream::start();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(upstream.address()).await.expect("it listens");
        let (mut socket, _) =
            tokio_tungstenite::client_async(upstream.url() + "/", stream).await.expect("it upgrades");
        socket.send(Message::text("hello")).await.expect("it listens");
        assert_eq!(socket.next().await.expect("a frame").expect("valid"), Message::text("hello"));
        socket.send(Message::text("!send 2")).await.expect("it listens");
        assert_eq!(socket.next().await.expect("a frame").expect("valid"), Message::text("message 0"));
        assert_eq!(socket.next().await.expect("a frame").expect("valid"), Message::text("message 1"));
        socket.send(Message::text("!close 4000 enough")).await.expect("it listens");
        let Message::Close(Some(close)) = socket.next().await.expect("a frame").expect("valid") else {
            panic!("not a close frame");
        };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (4000, "enough"));
    });
    assert_eq!(upstream.received()[0], b"hello");
}
