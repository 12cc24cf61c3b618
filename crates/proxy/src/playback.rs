//! Plays a recorded stream: each piece at its recorded distance from the one before.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use mimeo_model::{Body, Chunk};
use tokio::time::{Instant, Sleep};

use crate::config::Speed;

/// A body that is played.
pub(crate) struct Playback {
    bytes: Bytes,
    chunks: std::vec::IntoIter<Chunk>,
    at: usize,
    began: Instant,
    from: Duration,
    speed: Speed,
    next: Option<(Chunk, Pin<Box<Sleep>>)>,
}

impl Playback {
    /// Plays `body`, whose response head was recorded `head` after the exchange began.
    pub(crate) fn new(body: &Body, head: Duration, speed: Speed) -> Option<Self> {
        let bytes = body.inline()?.clone();
        let began = Instant::now();
        let chunks = body.chunks.clone().into_iter();
        Some(Self { bytes, chunks, at: 0, began, from: head, speed, next: None })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_over() {
            return Poll::Ready(None);
        }
        let (chunk, wait) = match &mut self.next {
            Some(next) => next,
            None => {
                let rest = Chunk { at: self.from, end: self.bytes.len() as u64 };
                let chunk = self.chunks.next().unwrap_or(rest);
                let due = self.began + self.speed.scale(chunk.at.saturating_sub(self.from));
                self.next.insert((chunk, Box::pin(tokio::time::sleep_until(due))))
            }
        };
        ready!(wait.as_mut().poll(cx));
        let end = usize::try_from(chunk.end).unwrap_or(usize::MAX).clamp(self.at, self.bytes.len());
        let piece = self.bytes.slice(self.at..end);
        self.at = end;
        self.next = None;
        if piece.is_empty() { self.poll_next(cx) } else { Poll::Ready(Some(piece)) }
    }
}
