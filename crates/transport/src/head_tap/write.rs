//! What the library writes to a connection: its heads give way to the exact ones.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::head_tap::{HeadTap, Role};
use crate::protocol::outgoing_head::{self, OutgoingHead};

/// How long and how much is read after a refusal, so that its text is not lost to a reset.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 256 << 10);
/// Most pieces written with one call.
const PIECES: usize = 16;

/// The end of a connection on which a message was refused.
pub(super) enum Goodbye {
    Write(Bytes),
    Shut,
    Drain(Pin<Box<Sleep>>, usize),
}

impl<S: AsyncRead + AsyncWrite + Unpin> HeadTap<S> {
    fn poll_write_pieces(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let exact = {
            let mut shared = self.shared.lock();
            shared.unflushed = true;
            shared.exact.take()
        };
        if let Some(exact) = exact {
            return self.poll_write_head(cx, pieces, exact);
        }
        ready!(self.poll_write_outgoing(cx))?;
        let written = ready!(write_pieces(&mut self.io, cx, pieces))?;
        self.note_write();
        Poll::Ready(Ok(written))
    }

    /// Writes the exact head in place of the one that `pieces` begin with.
    fn poll_write_head(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
        exact: OutgoingHead,
    ) -> Poll<io::Result<usize>> {
        let first = pieces.iter().position(|piece| !piece.is_empty()).unwrap_or(0);
        let text = pieces.get(first).map_or(&[][..], |piece| &**piece);
        let Some(head) = outgoing_head::library_head(text) else {
            self.shared.lock().exact = Some(exact);
            ready!(self.poll_write_outgoing(cx))?;
            return write_pieces(&mut self.io, cx, pieces);
        };
        self.outgoing.extend_from_slice(&text[..head.start]);
        exact.write(&text[head.clone()], &mut self.outgoing);
        // Head and body leave with one call.
        let mut all = [IoSlice::new(&[]); PIECES];
        let following =
            std::iter::once(&text[head.end..]).chain(pieces[first + 1..].iter().map(|piece| &**piece));
        let parts = std::iter::once(&self.outgoing[..]).chain(following.filter(|part| !part.is_empty()));
        let mut count = 0;
        for (place, part) in all.iter_mut().zip(parts) {
            *place = IoSlice::new(part);
            count += 1;
        }
        let written = match write_pieces(&mut self.io, cx, &all[..count]) {
            Poll::Ready(written) => written?,
            // It is written before anything else; the library may forget it.
            Poll::Pending => 0,
        };
        self.note_write();
        let of_head = written.min(self.outgoing.len());
        self.outgoing.advance(of_head);
        Poll::Ready(Ok(head.end + written - of_head))
    }

    fn poll_write_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn note_write(&self) {
        if matches!(self.role, Role::Client) {
            self.shared.lock().last_write = Some(Instant::now());
        }
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.goodbye {
                None => return Pin::new(&mut self.io).poll_shutdown(cx),
                Some(Goodbye::Write(text)) if text.is_empty() => self.goodbye = Some(Goodbye::Shut),
                Some(Goodbye::Write(text)) => {
                    let written = ready!(Pin::new(&mut self.io).poll_write(cx, text))?;
                    text.advance(written);
                }
                Some(Goodbye::Shut) => {
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    self.goodbye = Some(Goodbye::Drain(Box::pin(tokio::time::sleep(LINGER.0)), 0));
                }
                Some(Goodbye::Drain(timer, drained)) => {
                    let mut sink = [std::mem::MaybeUninit::<u8>::uninit(); 8 << 10];
                    let mut buf = ReadBuf::uninit(&mut sink);
                    let over = match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) => {
                            *drained += buf.filled().len();
                            buf.filled().is_empty() || *drained > LINGER.1
                        }
                        Poll::Ready(Err(_)) => true,
                        Poll::Pending => {
                            ready!(timer.as_mut().poll(cx));
                            true
                        }
                    };
                    if over {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

/// Writes what it can of the pieces, with the cheapest call for their number.
fn write_pieces<S: AsyncWrite + Unpin>(
    io: &mut S,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match pieces {
        [one] => Pin::new(io).poll_write(cx, one),
        several => Pin::new(io).poll_write_vectored(cx, several),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadTap<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_pieces(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_pieces(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        // The library asks for this once it holds nothing, so that no message is torn apart here.
        {
            let mut shared = tap.shared.lock();
            if !shared.announced.is_empty() {
                tap.outgoing.extend_from_slice(&shared.announced.split());
            }
        }
        ready!(tap.poll_write_outgoing(cx))?;
        ready!(Pin::new(&mut tap.io).poll_flush(cx))?;
        let mut shared = tap.shared.lock();
        shared.unflushed = false;
        if let Some(waiter) = shared.flush_waiter.take() {
            waiter.wake();
        }
        if let (true, Some(reader)) = (shared.rejection.is_some(), shared.reader.take()) {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_goodbye(cx)
    }
}
