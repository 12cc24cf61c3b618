//! The writer thread: redacts, appends in groups, announces what is written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use mimeo_model::{Body, Clock, Content, Exchange, ExchangeId, GapReason, SessionId, SessionState};
use mimeo_store::catalog::ExchangeRow;
use mimeo_store::traffic::{
    BodyFiles, BodyWriter, Location, LogWriter, Part as StoredPart, Record, TrafficError,
};
use mimeo_transport::protocol::assembly::{Captured, Part};

use crate::recorder::prepare::Prepare;
use crate::recorder::queue::{Losses, Queue};
use crate::recorder::{Announce, Announced, Indexed, Tally};

/// Longest time for which what was captured waits to be written.
const GROUP_TIME: Duration = Duration::from_millis(50);
/// Bytes of records that are written at once.
const GROUP_BYTES: usize = 256 << 10;
/// How long the writer sleeps between two looks at a busy queue.
const PAUSE: Duration = Duration::from_millis(2);
/// How long the writer waits on an idle queue before it looks after synchronisation and counts.
const IDLE: Duration = Duration::from_secs(1);
/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How long a stop tries to write what is left before that is counted as lost.
const LAST_TRIES: Duration = Duration::from_secs(2);
/// Shortest time between two complaints about the disk.
const COMPLAINTS: Duration = Duration::from_secs(10);

pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) log: LogWriter,
    pub(crate) bodies: BodyFiles,
    pub(crate) session: SessionId,
    pub(crate) prepare: Arc<Prepare>,
    pub(crate) sync_interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) announce: Announce,
    pub(crate) rows: SyncSender<Indexed>,
    /// When the disk was last complained about.
    pub(crate) complained: Option<Instant>,
}

/// What is in the block that is not written yet.
#[derive(Default)]
struct Group {
    since: Option<Instant>,
    announcements: Vec<Announcement>,
}

struct Announcement {
    sequence: u64,
    index: u32,
    exchange: Box<Exchange>,
    frames: u64,
}

/// The bodies of an opened exchange on their way to files.
#[derive(Default)]
struct OpenBodies {
    live: bool,
    frames: u64,
    request: Option<BodyWriter>,
    response: Option<BodyWriter>,
    broken: bool,
}

impl Writer {
    pub(crate) fn run(mut self) -> Tally {
        let mut tally = Tally::default();
        let mut group = Group::default();
        let mut open: HashMap<ExchangeId, OpenBodies> = HashMap::new();
        let mut synced = Instant::now();
        let mut told = Instant::now();
        let mut closing: Option<Instant> = None;
        let mut blocked = false;
        loop {
            // While a write fails nothing is taken, so that the queue's policy says what happens.
            let patience = if group.since.is_some() || closing.is_some() { Duration::ZERO } else { IDLE };
            let (mut took, mut drained) = (false, false);
            if !blocked {
                let taken = self.queue.take(patience);
                took = !taken.captures.is_empty();
                for captured in taken.captures {
                    self.take(captured, &mut group, &mut open);
                    if self.log.pending_bytes() >= GROUP_BYTES {
                        blocked = !self.write(&mut group, &mut tally);
                    }
                }
                if let Some(gap) = taken.gap {
                    self.log.append(&Record::Gap(gap));
                    group.since.get_or_insert_with(Instant::now);
                }
                drained = taken.closed;
            }
            if closing.is_none() && self.queue.is_closed() {
                closing = Some(Instant::now());
            }
            let due = group.since.is_some_and(|since| since.elapsed() >= GROUP_TIME);
            if blocked || due || closing.is_some() {
                blocked = !self.write(&mut group, &mut tally);
            }
            if !blocked && synced.elapsed() >= self.sync_interval {
                self.sync();
                synced = Instant::now();
            }
            if told.elapsed() >= IDLE {
                self.tell_progress(&mut tally);
                told = Instant::now();
            }
            match closing {
                Some(_) if drained && !blocked && !took => break,
                Some(since) if blocked && since.elapsed() >= LAST_TRIES => {
                    self.give_up(&mut group, &mut tally);
                    break;
                }
                Some(_) | None => {}
            }
            if blocked {
                std::thread::sleep(RETRY);
            } else if took || group.since.is_some() {
                std::thread::sleep(PAUSE);
            }
        }
        self.sync();
        self.tell_progress(&mut tally);
        tally
    }

    fn take(&mut self, captured: Captured, group: &mut Group, open: &mut HashMap<ExchangeId, OpenBodies>) {
        group.since.get_or_insert_with(Instant::now);
        match captured {
            Captured::Whole(mut exchange) => {
                self.prepare.apply(&mut exchange);
                let record = Record::Exchange(exchange);
                let (sequence, index) = self.log.append(&record);
                let Record::Exchange(exchange) = record else { return };
                let frames = exchange.frames.len() as u64;
                group.announcements.push(Announcement { sequence, index, exchange, frames });
            }
            Captured::Open { mut exchange, live } => {
                self.prepare.apply(&mut exchange);
                open.insert(exchange.id, OpenBodies { live, ..OpenBodies::default() });
                self.log.append(&Record::Open(exchange));
            }
            Captured::Part { id, part } => {
                let Some(bodies) = open.get_mut(&id) else { return };
                let part = match part {
                    Part::RequestBody(piece) if bodies.live => StoredPart::RequestBody(piece.bytes),
                    Part::ResponseBody(piece) if bodies.live => StoredPart::ResponseBody(piece.bytes),
                    Part::RequestBody(piece) => return self.spill(bodies, true, &piece.bytes),
                    Part::ResponseBody(piece) => return self.spill(bodies, false, &piece.bytes),
                    Part::Frame(frame) => {
                        bodies.frames += 1;
                        StoredPart::Frame(frame)
                    }
                };
                self.log.append(&Record::Part { id, part });
            }
            Captured::End(mut exchange) => {
                self.prepare.apply(&mut exchange);
                let mut frames = exchange.frames.len() as u64;
                if let Some(bodies) = open.remove(&exchange.id) {
                    frames += bodies.frames;
                    self.settle(bodies, &mut exchange);
                }
                let record = Record::End(exchange);
                let (sequence, index) = self.log.append(&record);
                let Record::End(exchange) = record else { return };
                group.announcements.push(Announcement { sequence, index, exchange, frames });
            }
        }
    }

    fn spill(&mut self, bodies: &mut OpenBodies, request: bool, bytes: &[u8]) {
        if bodies.broken {
            return;
        }
        let place = if request { &mut bodies.request } else { &mut bodies.response };
        let written = match place {
            Some(file) => file.write(bytes),
            None => self.bodies.create().and_then(|mut file| {
                file.write(bytes)?;
                *place = Some(file);
                Ok(())
            }),
        };
        if let Err(error) = written {
            self.lose_body(&error);
            bodies.broken = true;
            (bodies.request, bodies.response) = (None, None);
        }
    }

    /// Gives finished bodies their names.
    fn settle(&self, bodies: OpenBodies, exchange: &mut Exchange) {
        let settle = |file: Option<BodyWriter>, body: &mut Body| {
            let Some(file) = file else { return };
            match file.finish() {
                Ok((digest, length)) => body.content = Content::Stored { digest, length },
                Err(error) => self.lose_body(&error),
            }
        };
        settle(bodies.request, &mut exchange.request.body);
        if let Some(response) = &mut exchange.response {
            settle(bodies.response, &mut response.body);
        }
    }

    fn lose_body(&self, error: &TrafficError) {
        tracing::debug!(%error, "a body could not be kept");
        self.queue.add_losses(Losses { exchanges: 0, bodies: 1 }, GapReason::Storage, self.clock.now());
    }

    /// Writes the group and announces it; false when the disk does not take it.
    fn write(&mut self, group: &mut Group, tally: &mut Tally) -> bool {
        let place = match self.log.flush() {
            Ok(Some(place)) => place,
            Ok(None) => {
                group.since = None;
                return true;
            }
            Err(error) => {
                if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINTS) {
                    self.complained = Some(Instant::now());
                    tracing::warn!(%error, "the recording cannot be written; trying again");
                }
                return false;
            }
        };
        if self.sync_interval.is_zero() {
            self.sync();
        }
        group.since = None;
        self.announce(place, &mut group.announcements, tally);
        true
    }

    /// Announces what is on disk and has it indexed. `place` is where the group begins.
    fn announce(&mut self, place: Location, written: &mut Vec<Announcement>, tally: &mut Tally) {
        let mut rows = Vec::with_capacity(written.len());
        for Announcement { sequence, index, exchange, frames } in written.drain(..) {
            tally.entries += 1;
            tally.errors += u64::from(exchange.failure.is_some());
            tally.bytes += exchange.request.body.length
                + exchange.response.as_ref().map_or(0, |response| response.body.length);
            let location = Location { index, ..place };
            rows.push(ExchangeRow::new(self.session, sequence, location, &exchange));
            (self.announce)(Announced { sequence, exchange: &exchange, frames });
        }
        if !rows.is_empty() && self.rows.send(Indexed::Rows(rows)).is_err() {
            tracing::warn!("the index has ended; it is completed when the session is read");
        }
    }

    fn sync(&mut self) {
        if let Err(error) = self.log.sync() {
            tracing::warn!(%error, "the recording could not be synchronised with the disk");
        }
    }

    fn tell_progress(&self, tally: &mut Tally) {
        let losses = self.queue.losses();
        (tally.lost_exchanges, tally.lost_bodies) = (losses.exchanges, losses.bodies);
        // The final state is set by whoever stops the recorder.
        let update = tally.update(SessionState::Running, None);
        let _ = self.rows.send(Indexed::Progress(update));
    }

    /// Counts what cannot be written as lost, and announces what could.
    fn give_up(&mut self, group: &mut Group, tally: &mut Tally) {
        if let Some((place, records)) = self.log.discard().written {
            let mut written: Vec<_> =
                group.announcements.extract_if(.., |announcement| announcement.index < records).collect();
            self.announce(place, &mut written, tally);
        }
        let mut exchanges = group.announcements.len() as u64;
        loop {
            let taken = self.queue.take(Duration::ZERO).captures;
            if taken.is_empty() {
                break;
            }
            let whole =
                taken.iter().filter(|capture| matches!(capture, Captured::Whole(_) | Captured::End(_)));
            exchanges += whole.count() as u64;
        }
        self.queue.add_losses(Losses { exchanges, bodies: 0 }, GapReason::Storage, self.clock.now());
        tracing::error!(exchanges, "the disk did not take the end of the recording");
    }
}
