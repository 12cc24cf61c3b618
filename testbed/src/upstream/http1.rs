//! One connection of HTTP/1.1, with the raw heads kept.

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::reply::{Ending, Reply};
use super::{Received, State, take_body};
use crate::message::{Incoming, field, framing, split_head};
use crate::pattern::Check;

pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    connection: usize,
    state: Arc<State>,
) {
    let mut incoming = Incoming::new(stream, state.log());
    // What goes wrong on the wire shows in what the client and `Received::complete` say.
    while let Ok(true) = one(&mut incoming, connection, &state).await {}
    let _ = incoming.stream.shutdown().await;
}

/// Serves one request; gives whether another may follow.
async fn one<S>(incoming: &mut Incoming<S>, connection: usize, state: &State) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(raw_head) = incoming.head().await? else { return Ok(false) };
    let (line, headers) = split_head(&raw_head);
    let mut parts = line.splitn(3, ' ').map(str::to_owned);
    let mut request = Received {
        connection,
        method: parts.next().unwrap_or_default(),
        target: parts.next().unwrap_or_default(),
        version: parts.next().unwrap_or_default(),
        headers,
        raw_head,
        body: Vec::new(),
        body_length: 0,
        body_is_pattern: true,
        trailers: Vec::new(),
        complete: false,
    };
    if request.header("expect").is_some_and(|expected| expected.eq_ignore_ascii_case("100-continue")) {
        incoming.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        incoming.stream.flush().await?;
    }
    let mut check = Check::default();
    let body = framing(&request.headers);
    match incoming.body(body, |piece| take_body(&mut request, &mut check, piece)).await {
        Ok(trailers) => {
            request.trailers = trailers;
            request.complete = true;
        }
        Err(error) => {
            state.keep_broken(request);
            return Err(error);
        }
    }
    let reply = state.answer(&request);
    let wants_close = field(&request.headers, "connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"))
        || request.version == "HTTP/1.0"
        || reply.ending == Ending::Close;
    send(incoming, &request, reply, wants_close, state).await?;
    Ok(!wants_close)
}

async fn send<S>(
    incoming: &mut Incoming<S>,
    request: &Received,
    reply: Reply,
    wants_close: bool,
    state: &State,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = &mut incoming.stream;
    if let Some(gate) = &reply.gate {
        state.gate(gate).pass().await;
    }
    let mut head = String::new();
    for (status, headers) in &reply.interim {
        push_head(&mut head, *status, headers);
        head.push_str("\r\n");
    }
    push_head(&mut head, reply.status, &reply.headers);
    let has_body = reply.has_body();
    match reply.ending {
        Ending::Length if has_body => {
            let _ = write!(head, "Content-Length: {}\r\n", reply.body.length());
        }
        Ending::Chunked if has_body => head.push_str("Transfer-Encoding: chunked\r\n"),
        Ending::Length | Ending::Chunked | Ending::Close => {}
    }
    if wants_close {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    if !has_body || request.method == "HEAD" {
        return Ok(());
    }
    let chunked = reply.ending == Ending::Chunked;
    for piece in reply.body.pieces() {
        if let Some(gate) = &piece.gate {
            state.gate(gate).pass().await;
        }
        if chunked {
            // One write a chunk, so that it arrives as one.
            let mut chunk = format!("{:x}\r\n", piece.bytes.len()).into_bytes();
            chunk.extend_from_slice(&piece.bytes);
            chunk.extend_from_slice(b"\r\n");
            stream.write_all(&chunk).await?;
        } else {
            stream.write_all(&piece.bytes).await?;
        }
        stream.flush().await?;
    }
    if chunked {
        let mut end = "0\r\n".to_owned();
        for (name, value) in &reply.trailers {
            let _ = write!(end, "{name}: {value}\r\n");
        }
        end.push_str("\r\n");
        stream.write_all(end.as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

fn push_head(head: &mut String, status: u16, headers: &[(String, String)]) {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let _ = write!(head, "HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Status"));
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
}
