//! The queue between the traffic and the writer: bounded in bytes, with a policy for when it is full.
//!
//! Worker threads push, the writer's one thread takes what came. The writer is not woken for each
//! push: it sleeps for two milliseconds while there is traffic, which measured a fifth cheaper, and is woken
//! only when it went idle.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mimeo_model::{Body, Content, ExchangeId, Gap, GapReason, Timestamp};
use mimeo_transport::protocol::assembly::{Captured, Part};
use tokio::sync::Notify;

use crate::recorder::prepare::Prepare;
use crate::recorder::spool::Spool;

/// What happens to captures when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The traffic waits, at most [`STALL_LIMIT`]; after that, captures are dropped until the queue is half
    /// empty.
    Block,
    /// Captures are dropped, bodies before whole exchanges; the traffic never waits.
    Drop,
    /// Captures go to a bounded file and come back from it; when that is full they are dropped.
    Spill,
}

/// Longest time for which [`Overflow::Block`] lets traffic wait without progress.
pub const STALL_LIMIT: Duration = Duration::from_secs(5);
/// Most bytes of captures that wait in memory.
pub const QUEUE_LIMIT: usize = 32 << 20;
/// Bytes of captures after which the writer takes no more at once.
const TAKEN: usize = 4 << 20;

/// What was lost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Exchanges that are missing altogether.
    pub exchanges: u64,
    /// Exchanges that are kept without some of their bytes.
    pub bodies: u64,
}

/// A queue of captures.
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    room: Notify,
    overflow: Overflow,
    limit: usize,
    prepare: Arc<Prepare>,
}

struct State {
    waiting: VecDeque<Captured>,
    bytes: usize,
    closed: bool,
    writer_sleeps: bool,
    stalled_since: Option<Instant>,
    degraded: bool,
    /// Opened exchanges of which something was dropped; true when nothing of them is kept.
    cut: HashMap<ExchangeId, bool>,
    losses: Losses,
    untold: Option<Gap>,
    spool: Option<Spool>,
}

/// What the writer takes.
pub(crate) struct Taken {
    pub(crate) captures: VecDeque<Captured>,
    pub(crate) gap: Option<Gap>,
    pub(crate) closed: bool,
}

impl Queue {
    pub(crate) fn new(overflow: Overflow, limit: usize, spool: Option<Spool>, prepare: Arc<Prepare>) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            closed: false,
            writer_sleeps: false,
            stalled_since: None,
            degraded: false,
            cut: HashMap::new(),
            losses: Losses::default(),
            untold: None,
            spool,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            room: Notify::new(),
            overflow,
            limit,
            prepare,
        }
    }

    /// Takes a capture in, gives it back when the traffic should wait, or drops it and counts that.
    pub(crate) fn offer(&self, captured: Captured, now: impl Fn() -> Timestamp) -> Result<(), Captured> {
        let weight = captured.weight();
        let mut state = self.lock();
        if let Some(whole) = captured.opened_id().and_then(|id| state.cut.get(&id).copied()) {
            state.after_a_cut(captured, whole, weight, &self.filled);
            return Ok(());
        }
        // What was spilled came before, so what follows queues up behind it.
        let mut captured = captured;
        let spilling = state.spool.as_ref().is_some_and(|spool| {
            !spool.is_empty() || state.bytes + weight > self.limit && !state.waiting.is_empty()
        });
        if spilling && let Some(spool) = &mut state.spool {
            match &mut captured {
                Captured::Whole(exchange) | Captured::End(exchange) | Captured::Open { exchange, .. } => {
                    self.prepare.apply(exchange);
                }
                Captured::Part { .. } => {}
            }
            match spool.push(captured) {
                Ok(()) => return Ok(()),
                Err(back) => captured = back,
            }
            state.lose(captured, 0, now(), &self.filled);
            return Ok(());
        }
        // A capture larger than the queue passes when the queue is empty, or it never would.
        if state.bytes + weight <= self.limit || state.waiting.is_empty() {
            state.push(captured, weight, &self.filled);
            return Ok(());
        }
        if self.overflow == Overflow::Block && !state.degraded {
            let since = *state.stalled_since.get_or_insert_with(Instant::now);
            if since.elapsed() < STALL_LIMIT {
                return Err(captured);
            }
            state.degraded = true;
            tracing::warn!(limit = ?STALL_LIMIT, "capture stalled for too long; exchanges are being lost");
            self.room.notify_waiters();
        }
        state.lose(captured, self.limit, now(), &self.filled);
        Ok(())
    }

    /// Completes when the queue has room again, or when waiting is over.
    pub(crate) fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let changed = self.room.notified();
            let patience = {
                let state = self.lock();
                // Since the capture was given back, the writer took something or the policy changed.
                if state.stalled_since.is_none() || state.degraded {
                    return;
                }
                STALL_LIMIT
                    .saturating_sub(state.stalled_since.map_or(Duration::ZERO, |since| since.elapsed()))
            };
            // Whoever waits looks again when the limit has passed, so that a dead writer stops nobody.
            let _ = tokio::time::timeout(patience.max(Duration::from_millis(1)), changed).await;
        })
    }

    /// Takes what there is, up to a few megabytes; waits until there is something, the queue is closed or
    /// `patience` has passed.
    pub(crate) fn take(&self, patience: Duration) -> Taken {
        let mut state = self.lock();
        let spilled = state.spool.as_ref().is_some_and(|spool| !spool.is_empty());
        if state.waiting.is_empty() && !spilled && !state.closed && !patience.is_zero() {
            state.writer_sleeps = true;
            state = self
                .filled
                .wait_timeout_while(state, patience, |state| state.waiting.is_empty() && !state.closed)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.writer_sleeps = false;
        }
        let mut captures = VecDeque::new();
        let mut bytes = 0;
        // What the writer holds is no longer counted here, so it takes little at a time.
        while bytes < TAKEN
            && let Some(captured) = state.waiting.pop_front()
        {
            bytes += captured.weight();
            captures.push_back(captured);
        }
        state.bytes = if state.waiting.is_empty() { 0 } else { state.bytes.saturating_sub(bytes) };
        if captures.is_empty()
            && let Some(spool) = state.spool.as_mut().filter(|spool| !spool.is_empty())
        {
            match spool.take() {
                Ok(taken) => captures.extend(taken),
                Err(error) => tracing::error!(%error, "captures that were spilled cannot be read back"),
            }
        }
        let was_full = state.stalled_since.take().is_some() || state.degraded;
        if state.bytes <= self.limit / 2 {
            state.degraded = false;
        }
        let taken = Taken { captures, gap: state.untold.take(), closed: state.closed };
        drop(state);
        if was_full {
            self.room.notify_waiters();
        }
        taken
    }

    /// Whether no more comes.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Says that no more comes, and wakes the writer.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Counts what the writer could not keep.
    pub(crate) fn add_losses(&self, losses: Losses, reason: GapReason, at: Timestamp) {
        let mut state = self.lock();
        state.losses.exchanges += losses.exchanges;
        state.losses.bodies += losses.bodies;
        state.note_gap(losses, reason, at);
    }

    /// What was lost so far.
    pub(crate) fn losses(&self) -> Losses {
        self.lock().losses
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A push that panicked left the queue without its capture, but whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, captured: Captured, weight: usize, filled: &Condvar) {
        self.waiting.push_back(captured);
        self.bytes += weight;
        if self.writer_sleeps {
            self.writer_sleeps = false;
            filled.notify_one();
        }
    }

    /// Drops a capture, but keeps the head of an exchange when there is a little room for it.
    fn lose(&mut self, mut captured: Captured, limit: usize, at: Timestamp, filled: &Condvar) {
        let spare = limit / 8;
        match &mut captured {
            Captured::Whole(exchange) => {
                let mut cut = empty(&mut exchange.request.body);
                if let Some(response) = &mut exchange.response {
                    cut |= empty(&mut response.body);
                }
                let weight = captured.weight();
                if self.bytes + weight <= limit + spare {
                    if cut {
                        self.count(Losses { exchanges: 0, bodies: 1 }, at);
                    }
                    self.push(captured, weight, filled);
                } else {
                    self.count(Losses { exchanges: 1, bodies: 0 }, at);
                }
            }
            Captured::Open { exchange, .. } => {
                let id = exchange.id;
                let weight = captured.weight();
                if self.bytes + weight <= limit + spare {
                    self.push(captured, weight, filled);
                } else {
                    self.cut.insert(id, true);
                    self.count(Losses { exchanges: 1, bodies: 0 }, at);
                }
            }
            Captured::Part { id, part } => {
                let id = *id;
                let body = matches!(part, Part::RequestBody(_) | Part::ResponseBody(_) | Part::Frame(_));
                if body && self.cut.insert(id, false).is_none() {
                    self.count(Losses { exchanges: 0, bodies: 1 }, at);
                }
            }
            // The end of what was opened is small and completes what is on disk already.
            Captured::End(_) => {
                let weight = captured.weight();
                self.push(captured, weight, filled);
            }
        }
    }

    /// Later parts of an exchange that lost one are not kept: a body with a hole would read as whole.
    fn after_a_cut(&mut self, captured: Captured, whole: bool, weight: usize, filled: &Condvar) {
        if let Captured::End(exchange) = &captured {
            self.cut.remove(&exchange.id);
            if !whole {
                self.push(captured, weight, filled);
            }
        }
    }

    fn count(&mut self, losses: Losses, at: Timestamp) {
        self.losses.exchanges += losses.exchanges;
        self.losses.bodies += losses.bodies;
        self.note_gap(losses, GapReason::Overflow, at);
    }

    fn note_gap(&mut self, losses: Losses, reason: GapReason, at: Timestamp) {
        let gap = self.untold.get_or_insert(Gap { from: at, to: at, exchanges: 0, bodies: 0, reason });
        gap.to = at;
        gap.exchanges += losses.exchanges;
        gap.bodies += losses.bodies;
    }
}

fn empty(body: &mut Body) -> bool {
    let had = body.captured_length() > 0;
    body.content = Content::default();
    had
}

/// The opened exchange a capture continues.
trait Opened {
    fn opened_id(&self) -> Option<ExchangeId>;
}

impl Opened for Captured {
    fn opened_id(&self) -> Option<ExchangeId> {
        match self {
            Self::Whole(_) | Self::Open { .. } => None,
            Self::Part { id, .. } => Some(*id),
            Self::End(exchange) => Some(exchange.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mimeo_model::{AnsweredBy, Exchange, Headers, Method, Request, Response, Scheme, Timings, Version};

    use super::*;

    fn capture(number: u8, length: usize) -> Captured {
        let at = Timestamp::from_unix_micros(i64::from(number));
        Captured::Whole(Box::new(Exchange {
            id: ExchangeId::new(at, [number; 10]),
            started_at: at,
            connection: 1,
            request: Request {
                method: Method::GET,
                scheme: Scheme::Http,
                authority: "a".into(),
                target: Bytes::from_static(b"/"),
                version: Version::Http11,
                headers: [("authorization", "secret")].into_iter().collect::<Headers>(),
                body: Body::empty(),
                trailers: Headers::new(),
            },
            response: Some(Response { body: Body::from_bytes(vec![0; length]), ..Response::default() }),
            failure: None,
            timings: Timings::default(),
            frames: Vec::new(),
            answered_by: AnsweredBy::Upstream,
            graphql: Vec::new(),
        }))
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_micros(7)
    }

    fn queue(overflow: Overflow, spool: Option<Spool>) -> Queue {
        let redactor = mimeo_rules::redaction::Redactor::new([1; 32]);
        Queue::new(overflow, 10_000, spool, Arc::new(Prepare::new(Some(redactor))))
    }

    fn ids(taken: &Taken) -> Vec<i64> {
        taken
            .captures
            .iter()
            .map(|captured| match captured {
                Captured::Whole(exchange) => exchange.started_at.unix_micros(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn block_gives_back_what_does_not_fit_and_loses_nothing() {
        let queue = queue(Overflow::Block, None);
        for number in 0..3 {
            queue.offer(capture(number, 2_000), now).expect("room");
        }
        let back = queue.offer(capture(3, 6_000), now).expect_err("full");
        assert_eq!(ids(&queue.take(Duration::ZERO)), [0, 1, 2]);
        queue.offer(back, now).expect("room again");
        assert_eq!(queue.losses(), Losses::default());
        queue.offer(capture(4, 1_000_000), now).expect_err("it waits for what came before");
        queue.take(Duration::ZERO);
        queue.offer(capture(4, 1_000_000), now).expect("alone, anything passes");
    }

    #[test]
    fn drop_loses_bodies_before_exchanges_and_counts_both() {
        let queue = queue(Overflow::Drop, None);
        for number in 0..9 {
            queue.offer(capture(number, 4_000), now).expect("never given back");
        }
        let taken = queue.take(Duration::ZERO);
        let losses = queue.losses();
        assert_eq!(taken.captures.len() as u64 + losses.exchanges, 9);
        assert!(losses.bodies > 0 && losses.exchanges > 0, "{losses:?}");
        let gap = taken.gap.expect("a gap is told");
        assert_eq!((gap.exchanges, gap.bodies), (losses.exchanges, losses.bodies));
        assert!(queue.take(Duration::ZERO).gap.is_none(), "once");
    }

    #[test]
    fn spill_keeps_everything_in_order_and_no_credential_in_clear() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::create(folder.path(), 1 << 20).expect("a spool");
        let queue = queue(Overflow::Spill, Some(spool));
        for number in 0..20 {
            queue.offer(capture(number, 4_000), now).expect("never given back");
        }
        let mut seen = Vec::new();
        loop {
            let taken = queue.take(Duration::ZERO);
            if taken.captures.is_empty() {
                break;
            }
            for captured in taken.captures.iter().skip(if seen.is_empty() { 2 } else { 0 }) {
                let Captured::Whole(exchange) = captured else { panic!("whole") };
                let value = exchange.request.headers.get_str("authorization").expect("kept");
                assert!(value.starts_with("[REDACTED:"), "{value}");
            }
            seen.extend(ids(&taken));
        }
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
        assert_eq!(queue.losses(), Losses::default());
    }

    #[test]
    fn a_full_spool_drops_and_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::create(folder.path(), 9_000).expect("a spool");
        let queue = queue(Overflow::Spill, Some(spool));
        for number in 0..20 {
            queue.offer(capture(number, 4_000), now).expect("never given back");
        }
        let mut kept = 0;
        loop {
            let taken = queue.take(Duration::ZERO);
            if taken.captures.is_empty() {
                break;
            }
            kept += taken.captures.len() as u64;
        }
        let losses = queue.losses();
        assert_eq!(kept + losses.exchanges, 20);
        assert!(losses.exchanges > 0);
    }
}
