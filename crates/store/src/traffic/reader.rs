//! Reads the log of one session, also while it is being written.
//!
//! Exchanges come in the order in which they ended, which is the only one that needs no more memory than a
//! block and the exchanges that are open; of those, parts beyond a bound are let go and read again at the end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use mimeo_model::{Exchange, ExchangeId, Gap, GapReason, Timestamp};

use crate::traffic::block::BlockHeader;
use crate::traffic::frame::{self, Handed, Malformed, Opened, OpenedAt, Stored};
use crate::traffic::lock::Lock;
use crate::traffic::opened::{Assembled, OpenExchange, OpenExchanges};
use crate::traffic::scan::{Damage, Scan, Step, TornTail};
use crate::traffic::{Location, Record, TrafficError};

/// Bytes of parts of open exchanges that are kept in memory.
const PARTS: usize = 64 << 20;

/// Something found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An exchange.
    Exchange {
        /// Its number within the session, from 1.
        sequence: u64,
        /// Where its last record lies; for one that did not end, its first.
        location: Location,
        /// The exchange.
        exchange: Box<Exchange>,
        /// Whether it is still going on.
        live: bool,
    },
    /// Something that was lost; also what damage took, with [`GapReason::Damage`].
    Gap(Gap),
}

/// Reads a log from its beginning.
pub struct LogReader {
    folder: PathBuf,
    scan: Option<Scan>,
    block: Option<OpenBlock>,
    open: OpenExchanges,
    ready: VecDeque<Found>,
    /// Sequence number of the next exchange to begin.
    expected: u64,
    /// What damage took since the last exchange.
    lost: Option<Gap>,
    last_seen: Option<Timestamp>,
    ending: Ending,
}

/// How far the iteration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Reading,
    WriterGone,
    Over,
}

struct OpenBlock {
    rest: Bytes,
    location: Location,
}

impl LogReader {
    /// Opens the log in a session's folder; one that is not there is empty.
    pub fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            scan: None,
            block: None,
            open: OpenExchanges::new(PARTS),
            ready: VecDeque::new(),
            expected: 1,
            lost: None,
            last_seen: None,
            ending: Ending::Reading,
        }
    }

    /// Keeps at most about this many bytes of the parts of open exchanges in memory, instead of 64 MiB.
    #[must_use]
    pub fn with_budget(mut self, bytes: usize) -> Self {
        self.open = OpenExchanges::new(bytes);
        self
    }

    /// The next thing in the log; `None` at its present end, after which it may be called again.
    pub fn read(&mut self) -> Result<Option<Found>, TrafficError> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Ok(Some(found));
            }
            if let Some(block) = &mut self.block {
                match block.record() {
                    Some((location, Ok(Some(stored)))) => self.take(location, stored)?,
                    Some((_, Ok(None))) => {}
                    // The checksum holds, so this was written so; whatever it was, it is not told silently.
                    Some((_, Err(Malformed))) => self.lose(0, 1),
                    None => self.block = None,
                }
                continue;
            }
            match self.scan()?.step()? {
                Step::Block(location, header, records) => {
                    self.compare(&header);
                    self.block = Some(OpenBlock { rest: records.into(), location });
                }
                Step::Damaged(header) => {
                    self.lose(0, 0);
                    if let Some(header) = header {
                        self.compare(&header);
                        self.lose(u64::from(header.begun), 0);
                    }
                }
                Step::End => match self.lost.take() {
                    Some(gap) => return Ok(Some(Found::Gap(gap))),
                    None => return Ok(None),
                },
            }
        }
    }

    /// The exchanges that were begun and not ended, as of what was read: live ones while a writer is at work,
    /// interrupted ones otherwise. Reading may go on afterwards.
    pub fn unfinished(&mut self) -> Vec<Found> {
        let live = Lock::is_held(&self.folder);
        self.open
            .in_order()
            .into_iter()
            .map(|open| {
                let (sequence, location) = (open.sequence, open.location);
                let assembled = self.whole(open, live);
                Found::Exchange { sequence, location, exchange: assembled.exchange, live }
            })
            .collect()
    }

    /// The damaged places that were passed; of very many, the first thousand.
    pub fn damages(&self) -> &[Damage] {
        self.scan.as_ref().map_or(&[], |scan| &scan.damages)
    }

    /// Number of damaged places that were passed.
    pub fn damage_count(&self) -> u64 {
        self.scan.as_ref().map_or(0, |scan| scan.damage_count)
    }

    /// The torn tail, when the end of the log was reached and there is one.
    pub fn torn_tail(&self) -> Option<TornTail> {
        self.scan.as_ref().and_then(|scan| scan.torn)
    }

    /// Reads one exchange; `None` when there is none at that place. An exchange that did not end is given as
    /// far as it is there.
    pub fn read_at(folder: &Path, location: Location) -> Result<Option<Exchange>, TrafficError> {
        let Some(mut scan) = Scan::from(folder, location.segment, location.block)? else { return Ok(None) };
        let mut passed = 0;
        while let Step::Block(place, header, records) = scan.step()? {
            // Several blocks that were written together are counted through.
            if location.index - passed >= header.records {
                passed += header.records;
                continue;
            }
            let mut block = OpenBlock { rest: records.into(), location: place };
            while let Some((at, stored)) = block.record() {
                if passed + at.index == location.index {
                    let Ok(Some(stored)) = stored else { return Ok(None) };
                    return exchange_of(folder, place, stored);
                }
            }
            break;
        }
        Ok(None)
    }

    /// Whether a writer is at work on the log in `folder`.
    pub fn is_being_written(folder: &Path) -> bool {
        Lock::is_held(folder)
    }

    fn scan(&mut self) -> Result<&mut Scan, TrafficError> {
        match self.scan {
            Some(ref mut scan) => Ok(scan),
            None => Ok(self.scan.insert(Scan::new(&self.folder)?)),
        }
    }

    fn take(&mut self, location: Location, stored: Stored) -> Result<(), TrafficError> {
        let Stored { sequence, opened, offset, record } = stored;
        match record {
            Record::Exchange(exchange) => {
                self.find(sequence, location, Assembled { exchange, torn: false });
            }
            Record::Open(head) => self.open.begin(sequence, location, head),
            Record::Part { id, part } => self.open.part(id, offset, part),
            Record::Piece { id, side, at, bytes } => self.open.piece(id, side, offset, Some(at), &bytes),
            Record::End(end) => {
                let handed = opened.map(|opened| opened.handed);
                let assembled = match self.open.remove(end.id) {
                    Some(open) if open.is_deferred() => {
                        let from = Some((open.location.segment, open.location.block));
                        let (again, _) = collect(&self.folder, from, end.id, Some(location))?;
                        again.unwrap_or(open).ended(end, handed)
                    }
                    Some(open) => open.ended(end, handed),
                    None => without_beginning(end, opened),
                };
                self.find(sequence, location, assembled);
            }
            Record::Gap(gap) => self.ready.push_back(Found::Gap(gap)),
        }
        Ok(())
    }

    fn find(&mut self, sequence: u64, location: Location, assembled: Assembled) {
        let Assembled { exchange, torn } = assembled;
        if torn {
            self.lose(0, 1);
        }
        if let Some(mut gap) = self.lost.take() {
            gap.to = gap.to.max(exchange.started_at);
            self.ready.push_back(Found::Gap(gap));
        }
        self.last_seen = self.last_seen.max(Some(exchange.started_at));
        self.ready.push_back(Found::Exchange { sequence, location, exchange, live: false });
    }

    /// Notices exchanges that are missing before a block.
    fn compare(&mut self, header: &BlockHeader) {
        if header.first_sequence > self.expected {
            self.lose(header.first_sequence - self.expected, 0);
        }
        self.expected = self.expected.max(header.next_sequence());
    }

    fn lose(&mut self, exchanges: u64, bodies: u64) {
        let at = self.last_seen.unwrap_or_default();
        let gap = self.lost.get_or_insert(Gap {
            from: at,
            to: at,
            exchanges: 0,
            bodies: 0,
            reason: GapReason::Damage,
        });
        gap.exchanges = gap.exchanges.saturating_add(exchanges);
        gap.bodies = gap.bodies.saturating_add(bodies);
    }

    /// An open exchange as it stands, its parts read again when they were let go.
    fn whole(&self, open: &OpenExchange, live: bool) -> Assembled {
        let from = Some((open.location.segment, open.location.block));
        if open.is_deferred()
            && let Ok((Some(open), _)) = collect(&self.folder, from, open.id(), None)
        {
            return open.unfinished(live);
        }
        open.clone().unfinished(live)
    }
}

/// The exchanges and gaps of a log up to its present end, unfinished exchanges last. A fault ends the
/// iteration.
impl Iterator for LogReader {
    type Item = Result<Found, TrafficError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ending == Ending::Over {
                return self.ready.pop_front().map(Ok);
            }
            match self.read() {
                Ok(Some(found)) => return Some(Ok(found)),
                // A writer that is gone now may have written since the end was seen.
                Ok(None) if self.ending == Ending::Reading && !Lock::is_held(&self.folder) => {
                    self.ending = Ending::WriterGone;
                }
                Ok(None) => {
                    self.ending = Ending::Over;
                    let unfinished = self.unfinished();
                    self.ready.extend(unfinished);
                }
                Err(error) => {
                    self.ending = Ending::Over;
                    self.ready.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl OpenBlock {
    /// The next record and its place, as far as it is one.
    fn record(&mut self) -> Option<(Location, Result<Option<Stored>, Malformed>)> {
        if !self.rest.has_remaining() {
            return None;
        }
        let location = self.location;
        self.location.index += 1;
        let length = match self.rest.first_chunk::<4>() {
            Some(length) => u32::from_le_bytes(*length) as usize,
            None => usize::MAX,
        };
        if self.rest.len().saturating_sub(4) < length {
            self.rest.clear();
            return Some((location, Err(Malformed)));
        }
        self.rest.advance(4);
        Some((location, frame::decode(self.rest.split_to(length))))
    }
}

/// An end whose beginning was in a damaged block: it knows all but the bytes and frames.
fn without_beginning(end: Box<Exchange>, opened: Option<Opened>) -> Assembled {
    let torn = opened.is_some_and(|opened| opened.handed != Handed::default());
    Assembled { exchange: end, torn }
}

/// The exchange that a record leads to.
fn exchange_of(folder: &Path, place: Location, stored: Stored) -> Result<Option<Exchange>, TrafficError> {
    let Stored { record, opened, .. } = stored;
    let here = Some((place.segment, place.block));
    Ok(match record {
        Record::Exchange(exchange) => Some(*exchange),
        Record::End(end) => {
            let from = match opened.map(|opened| opened.at) {
                Some(OpenedAt::SameBlock) => here,
                Some(OpenedAt::Earlier { segment, block }) => Some((segment, block)),
                Some(OpenedAt::Unknown) | None => None,
            };
            let assembled = match collect(folder, from, end.id, Some(place))? {
                (Some(open), _) => open.ended(end, opened.map(|opened| opened.handed)),
                (None, _) => without_beginning(end, opened),
            };
            Some(*assembled.exchange)
        }
        Record::Open(head) => {
            let live = Lock::is_held(folder);
            let (open, end) = collect(folder, here, head.id, None)?;
            open.map(|open| match end {
                Some((end, handed)) => *open.ended(end, handed).exchange,
                None => *open.unfinished(live).exchange,
            })
        }
        Record::Part { .. } | Record::Piece { .. } | Record::Gap(_) => None,
    })
}

/// Gathers the parts of one exchange from a block, or the beginning of the log, on: to its end, which is given
/// with what it tells was handed over, to the block of `until`, or to the end of the log.
#[expect(clippy::type_complexity, reason = "two results that are used in two places")]
fn collect(
    folder: &Path,
    from: Option<(u32, u64)>,
    id: ExchangeId,
    until: Option<Location>,
) -> Result<(Option<OpenExchange>, Option<(Box<Exchange>, Option<Handed>)>), TrafficError> {
    let scan = match from {
        Some((segment, block)) => Scan::from(folder, segment, block)?,
        None => Some(Scan::new(folder)?),
    };
    let mut open = OpenExchanges::new(usize::MAX);
    let Some(mut scan) = scan else { return Ok((None, None)) };
    loop {
        let (location, records) = match scan.step()? {
            Step::Block(location, _, records) => (location, records),
            Step::Damaged(_) => continue,
            Step::End => break,
        };
        if until.is_some_and(|until| (location.segment, location.block) > (until.segment, until.block)) {
            break;
        }
        let mut block = OpenBlock { rest: records.into(), location };
        while let Some((location, stored)) = block.record() {
            let Ok(Some(Stored { sequence, opened, offset, record })) = stored else { continue };
            match record {
                Record::Open(head) if head.id == id => open.begin(sequence, location, head),
                Record::Part { id: owner, part } if owner == id => open.part(id, offset, part),
                Record::Piece { id: owner, side, at, bytes } if owner == id => {
                    open.piece(id, side, offset, Some(at), &bytes);
                }
                Record::End(end) if end.id == id => {
                    return Ok((open.remove(id), Some((end, opened.map(|opened| opened.handed)))));
                }
                Record::Exchange(_)
                | Record::Open(_)
                | Record::Part { .. }
                | Record::Piece { .. }
                | Record::End(_)
                | Record::Gap(_) => {}
            }
        }
    }
    Ok((open.remove(id), None))
}
