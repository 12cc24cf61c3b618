//! What the library reads of a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::head_tap::{HeadTap, Role, State};
use crate::protocol::head::{self, Rejection};

/// Most bytes read ahead while it is undecided whether the connection becomes a tunnel.
const MAX_READ_AHEAD: usize = 64 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin> HeadTap<S> {
    /// Bytes of a body with nothing pending go straight into the reader's buffer.
    fn poll_read_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending => return self.poll_patience(cx),
            Poll::Ready(outcome) => outcome?,
        }
        let came = buf.filled().len() - before;
        if came == 0 {
            return Poll::Ready(Ok(()));
        }
        self.progress = Instant::now();
        let taken = match &mut self.state {
            State::Length(left) => {
                let taken = (came as u64).min(*left);
                *left -= taken;
                taken as usize
            }
            State::Chunked(walker) => match walker.walk(&buf.filled()[before..]) {
                Ok(taken) => taken,
                Err(rejection) => {
                    buf.set_filled(before);
                    self.refuse(rejection);
                    return Poll::Ready(Err(refused_mid_body()));
                }
            },
            State::Head | State::Undecided | State::UntilClose | State::Opaque | State::Refused => came,
        };
        if taken < came {
            self.pending.extend_from_slice(&buf.filled()[before + taken..]);
            buf.set_filled(before + taken);
        }
        let ended = match &self.state {
            State::Length(left) => (*left == 0).then_some(None),
            State::Chunked(walker) if walker.is_done() => {
                match head::trailers(&Bytes::copy_from_slice(walker.trailers())) {
                    Ok(fields) => Some((!fields.is_empty()).then_some(fields)),
                    Err(rejection) => {
                        buf.set_filled(before);
                        self.refuse(rejection);
                        return Poll::Ready(Err(refused_mid_body()));
                    }
                }
            }
            _ => None,
        };
        if let Some(trailers) = ended {
            self.message_ended(trailers);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the wait of a client that takes too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Role::Server { patience, .. } = &self.role else { return Poll::Pending };
        let limit = match &self.state {
            State::Head if self.pending.is_empty() => {
                if self.shared.lock().in_flight > 0 {
                    return Poll::Pending;
                }
                patience.idle
            }
            State::Head => patience.head,
            State::Length(_) | State::Chunked(_) => patience.body,
            State::Undecided | State::UntilClose | State::Opaque | State::Refused => return Poll::Pending,
        };
        let due = tokio::time::Instant::from_std(self.progress_or_start() + limit);
        ready!(self.timer.poll_due(due, cx));
        match &self.state {
            State::Head if self.pending.is_empty() => Poll::Ready(Ok(())),
            State::Head => {
                self.refuse(Rejection::new(408, "head.timeout", "the head did not arrive in time"));
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the body did not arrive in time"))),
        }
    }

    /// A head is timed from its first byte, all else from the last progress.
    fn progress_or_start(&self) -> Instant {
        match (&self.state, self.started) {
            (State::Head, Some(started)) => started,
            _ => self.progress,
        }
    }
}

fn refused_mid_body() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the body's framing is malformed")
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for HeadTap<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        loop {
            if !tap.shown.is_empty() || tap.released > 0 {
                tap.give(buf);
                return Poll::Ready(Ok(()));
            }
            if std::mem::take(&mut tap.broken) {
                return Poll::Ready(Err(refused_mid_body()));
            }
            if matches!(tap.state, State::Refused) {
                let mut shared = tap.shared.lock();
                // What was answered before is written first.
                if shared.in_flight == 0 && !shared.unflushed || matches!(tap.role, Role::Client) {
                    return match tap.role {
                        Role::Client => Poll::Ready(Err(refused_mid_body())),
                        Role::Server { .. } => Poll::Ready(Ok(())),
                    };
                }
                shared.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let was_body = matches!(tap.state, State::Length(_) | State::Chunked(_));
            if !tap.pending.is_empty() || matches!(tap.state, State::Undecided) {
                if tap.advance() {
                    tap.broken |= was_body && matches!(tap.state, State::Refused);
                    continue;
                }
            } else if !matches!(tap.state, State::Head) {
                return tap.poll_read_body(cx, buf);
            }
            if matches!(tap.state, State::Undecided) {
                tap.shared.lock().reader = Some(cx.waker().clone());
                if tap.pending.len() >= MAX_READ_AHEAD {
                    return Poll::Pending;
                }
            }
            match poll_read_pending(&mut tap.io, &mut tap.pending, cx) {
                Poll::Pending => return tap.poll_patience(cx),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(0)) => {
                    // A head cut short by the end of the stream is nobody's message.
                    if !tap.pending.is_empty() && matches!(tap.state, State::Head) {
                        let detail = "the connection ended within a head";
                        tap.refuse(Rejection::new(400, "head.incomplete", detail));
                        continue;
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => tap.progress = Instant::now(),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> HeadTap<S> {
    /// Gives the library what may pass; the beginning of a body goes along with its head.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let shown = self.shown.len().min(buf.remaining());
        buf.put_slice(&self.shown[..shown]);
        self.shown.advance(shown);
        let is_body = matches!(self.state, State::Length(_) | State::Chunked(_) | State::UntilClose);
        if shown > 0 && is_body && self.released == 0 && !self.pending.is_empty() && self.advance() {
            self.broken |= matches!(self.state, State::Refused);
        }
        if self.shown.is_empty() {
            let taken = self.released.min(buf.remaining());
            buf.put_slice(&self.pending[..taken]);
            self.pending.advance(taken);
            self.released -= taken;
        }
    }
}

/// Reads into spare room of `pending`, which stays small between messages.
fn poll_read_pending<S: AsyncRead + Unpin>(
    io: &mut S,
    pending: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = [std::mem::MaybeUninit::<u8>::uninit(); 8 << 10];
    let mut buf = ReadBuf::uninit(&mut room);
    ready!(Pin::new(io).poll_read(cx, &mut buf))?;
    pending.extend_from_slice(buf.filled());
    Poll::Ready(Ok(buf.filled().len()))
}
