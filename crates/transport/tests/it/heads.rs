//! The exact head of each response goes over the wire, however slowly the client reads.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use mimeo_model::{Headers, Interim};
use mimeo_transport::head_tap::{Patience, Refused};
use mimeo_transport::protocol::outgoing_head::OutgoingHead;
use mimeo_transport::serve::{Handler, Inbound, ServeConfig, Speaks, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// Pieces of a body whose length is told or not.
struct Pieces {
    left: VecDeque<Bytes>,
    declared: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.left.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.declared {
            SizeHint::with_exact(self.left.iter().map(|piece| piece.len() as u64).sum())
        } else {
            SizeHint::default()
        }
    }
}

/// Answers with the target and the request body, under fields that only an exact head can have.
#[derive(Clone)]
struct Echo;

impl Handler for Echo {
    type Body = Pieces;

    async fn handle(&self, inbound: Inbound) -> http::Response<Pieces> {
        let tap = inbound.tap.expect("an HTTP/1 connection");
        let target = String::from_utf8_lossy(&inbound.head.target).into_owned();
        let body = inbound.request.into_body().collect().await.expect("a body").to_bytes();
        let number: usize = target.trim_start_matches('/').parse().expect("a number");
        if number % 5 == 4 {
            let headers = [("Link", "</style.css>")].into_iter().collect();
            tap.send_interim(&Interim { status: 103, headers });
        }
        let fields: Headers =
            [("X-B", target.as_str()), ("x-a", "1"), ("X-B", "again")].into_iter().collect();
        tap.send_response(OutgoingHead::response(Some(Bytes::from_static(b"Fine")), fields));
        // An empty line ends a head, but not when it stands in a body.
        let piece = Bytes::from(format!("{target} {}\r\n\r\n", String::from_utf8_lossy(&body)));
        http::Response::new(Pieces {
            left: vec![piece; number % 4].into(),
            declared: number.is_multiple_of(2),
        })
    }

    fn refused(&self, refused: Refused) {
        panic!("{refused:?}");
    }
}

/// What [`Echo`] answers.
fn expected(number: usize, body: &str) -> String {
    let piece = format!("/{number} {body}\r\n\r\n");
    let (framing, body) = if number.is_multiple_of(2) {
        (format!("content-length: {}", piece.len() * (number % 4)), piece.repeat(number % 4))
    } else {
        let chunk = format!("{:X}\r\n{piece}\r\n", piece.len());
        ("transfer-encoding: chunked".to_owned(), format!("{}0\r\n\r\n", chunk.repeat(number % 4)))
    };
    let hint = if number % 5 == 4 { "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" } else { "" };
    format!("{hint}HTTP/1.1 200 Fine\r\nX-B: /{number}\r\nx-a: 1\r\nX-B: again\r\n{framing}\r\n\r\n{body}")
}

/// Serves a client that sends everything at once and reads through a pipe with this much room; gives back the
/// first `length` bytes of the answer.
async fn answers(room: usize, sent: &str, length: usize) -> String {
    let (requests, mut sender) = tokio::io::simplex(1 << 20);
    let (mut reader, responses) = tokio::io::simplex(room);
    sender.write_all(sent.as_bytes()).await.expect("room for all requests");
    let (_stop, stopped) = watch::channel(false);
    let config = ServeConfig { patience: Patience::default(), render: |_| Bytes::new(), stop: stopped };
    tokio::spawn(serve(tokio::io::join(requests, responses), Speaks::Http1, Echo, config));
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer).await.expect("an answer");
    String::from_utf8(answer).expect("ASCII")
}

#[tokio::test]
async fn pipelined_requests_get_their_own_heads_in_order() {
    for room in [1, 16, 100, 1 << 20] {
        let (mut sent, mut wanted) = (String::new(), String::new());
        for number in 0..40 {
            let body = "b".repeat(number % 3 * 30);
            let request = match number % 3 {
                0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
                1 => format!(
                    "POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                ),
                _ => format!(
                    "POST /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ),
            };
            sent.push_str(&request);
            wanted.push_str(&expected(number, &body));
        }
        assert_eq!(answers(room, &sent, wanted.len()).await, wanted, "room for {room} bytes");
    }
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_continue_before_it_gets_the_head() {
    let sent = "POST /2 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab";
    let wanted = format!("HTTP/1.1 100 Continue\r\n\r\n{}", expected(2, "ab"));
    assert_eq!(answers(1 << 10, sent, wanted.len()).await, wanted);
}
