//! The queue between the traffic and the writer: bounded in bytes, with a policy for when it is full.
//!
//! Worker threads push, the writer's one thread takes everything at once. The writer is not woken for each
//! push: it sleeps for two milliseconds while there is traffic, which measured a fifth cheaper, and is woken
//! only when it went idle.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mimeo_model::{Body, Content, ExchangeId, Gap, GapReason, Timestamp};
use mimeo_transport::protocol::assembly::{Captured, Part};
use tokio::sync::Notify;

/// What happens to captures when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The traffic waits, at most [`STALL_LIMIT`]; after that, captures are dropped until the queue is half
    /// empty.
    Block,
    /// Captures are dropped, bodies before whole exchanges; the traffic never waits.
    Drop,
}

/// Longest time for which [`Overflow::Block`] lets traffic wait without progress.
pub const STALL_LIMIT: Duration = Duration::from_secs(5);
/// Most bytes of captures that wait in memory.
pub const QUEUE_LIMIT: usize = 32 << 20;

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
}

/// What the writer takes.
pub(crate) struct Taken {
    pub(crate) captures: VecDeque<Captured>,
    pub(crate) gap: Option<Gap>,
    pub(crate) closed: bool,
}

impl Queue {
    pub(crate) fn new(overflow: Overflow, limit: usize) -> Self {
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
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), room: Notify::new(), overflow, limit }
    }

    /// Takes a capture in, gives it back when the traffic should wait, or drops it and counts that.
    pub(crate) fn offer(&self, captured: Captured, now: impl Fn() -> Timestamp) -> Result<(), Captured> {
        let weight = captured.weight();
        let mut state = self.lock();
        if let Some(whole) = captured.opened_id().and_then(|id| state.cut.get(&id).copied()) {
            state.after_a_cut(captured, whole, weight, &self.filled);
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
                if state.bytes < self.limit || state.degraded {
                    return;
                }
                STALL_LIMIT
                    .saturating_sub(state.stalled_since.map_or(Duration::ZERO, |since| since.elapsed()))
            };
            // Whoever waits looks again when the limit has passed, so that a dead writer stops nobody.
            let _ = tokio::time::timeout(patience.max(Duration::from_millis(1)), changed).await;
        })
    }

    /// Takes all there is; waits until there is something, the queue is closed or `patience` has passed.
    pub(crate) fn take(&self, patience: Duration) -> Taken {
        let mut state = self.lock();
        if state.waiting.is_empty() && !state.closed && !patience.is_zero() {
            state.writer_sleeps = true;
            state = self
                .filled
                .wait_timeout_while(state, patience, |state| state.waiting.is_empty() && !state.closed)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.writer_sleeps = false;
        }
        let captures = std::mem::take(&mut state.waiting);
        let was_full = state.stalled_since.take().is_some() || state.degraded;
        state.bytes = 0;
        state.degraded = false;
        let taken = Taken { captures, gap: state.untold.take(), closed: state.closed };
        drop(state);
        if was_full {
            self.room.notify_waiters();
        }
        taken
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
