//! Appends records to the log of one session, which has one writer.
//!
//! Records gather in memory until they are flushed. A flush that fails leaves them there and the file as it
//! was, so the caller may try again or give them up. What cannot be cut off a segment, or not be synchronised,
//! stays behind in it, and the log goes on in a new one.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mimeo_model::{Content, Digest, Exchange, ExchangeId, SessionId};

use crate::data_dir::create_private;
use crate::traffic::body_file::BodyFiles;
use crate::traffic::disk::{Disk, DiskFile, RealDisk};
use crate::traffic::error::io_error;
use crate::traffic::frame::{Encoder, Handed, Opened, OpenedAt};
use crate::traffic::lock::Lock;
use crate::traffic::pending::Pending;
use crate::traffic::repair::{Repaired, repair};
use crate::traffic::segment::SEGMENT_HEADER;
use crate::traffic::{Location, Part, Record, Side, TrafficError, block, segment};

/// Bytes of bodies and frames that one record holds at most; beyond, bodies go to files.
const RECORD: usize = 32 << 20;

/// Bounds of a log.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Length in bytes at which a segment is sealed and the next one begun.
    pub segment: u64,
    /// Length in bytes of uncompressed records from which a block takes no more: what damage to one place can
    /// cost.
    pub block: usize,
}

impl Default for Settings {
    /// 64 MiB a segment, 1 MiB a block.
    fn default() -> Self {
        Self { segment: 64 << 20, block: 1 << 20 }
    }
}

/// What was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discarded {
    /// Exchanges that began, whose numbers are used again.
    pub exchanges: u64,
    /// Other records: parts and ends of opened exchanges, and gaps.
    pub others: u64,
    /// The beginning of the group, when it was written before the disk failed: its place, and the number of
    /// records that are there. Those with a smaller index are on disk and may be announced.
    pub written: Option<(Location, u32)>,
}

/// The one writer of a session's log.
pub struct LogWriter {
    folder: PathBuf,
    session: SessionId,
    settings: Settings,
    disk: Arc<dyn Disk>,
    bodies: BodyFiles,
    _lock: Lock,
    repaired: Repaired,

    number: u32,
    segment: Option<OpenSegment>,
    /// Segments that no longer grow and are not synchronised yet.
    left_behind: Vec<OpenSegment>,
    names_unsynced: bool,
    bodies_unsynced: BTreeSet<Digest>,
    /// Why a segment that was sealed could not be synchronised.
    sync_fault: Option<TrafficError>,

    next_sequence: u64,
    opened: HashMap<ExchangeId, OpenedExchange>,
    pending: Pending,
    /// The first pending block as it is to be written, once it was tried.
    sealed: Vec<u8>,
    /// Where the first written block of the present group lies.
    group: Option<Location>,
    encoder: Encoder,
    compressor: zstd::bulk::Compressor<'static>,
}

struct OpenSegment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    unsynced: bool,
}

struct OpenedExchange {
    sequence: u64,
    place: OpenedPlace,
    handed: Handed,
}

#[derive(Clone, Copy)]
enum OpenedPlace {
    Pending(u64),
    Written { segment: u32, block: u64 },
}

impl LogWriter {
    /// Begins the log of a session in `folder`, which is made when it is not there.
    pub fn create(folder: &Path, session: SessionId, settings: Settings) -> Result<Self, TrafficError> {
        create_private(folder).map_err(io_error("create", folder))?;
        let lock = Lock::take(folder)?;
        if !segment::numbers(folder)?.is_empty() {
            return Err(TrafficError::Exists { path: folder.to_owned() });
        }
        Self::begin(Arc::new(RealDisk), folder, session, settings, lock)
    }

    /// Continues the log of a session in `folder`, or begins it: cuts a torn tail, removes unfinished bodies,
    /// and goes on in a new segment. A log that holds anything of a newer version is left untouched.
    pub fn open(folder: &Path, session: SessionId, settings: Settings) -> Result<Self, TrafficError> {
        Self::open_on(Arc::new(RealDisk), folder, session, settings)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        session: SessionId,
        settings: Settings,
    ) -> Result<Self, TrafficError> {
        create_private(folder).map_err(io_error("create", folder))?;
        let lock = Lock::take(folder)?;
        let resumption = repair(&disk, folder, session)?;
        let mut log = Self::begin(disk, folder, session, settings, lock)?;
        log.repaired = resumption.repaired;
        log.number = resumption.last_segment;
        log.next_sequence = resumption.next_sequence;
        Ok(log)
    }

    fn begin(
        disk: Arc<dyn Disk>,
        folder: &Path,
        session: SessionId,
        settings: Settings,
        lock: Lock,
    ) -> Result<Self, TrafficError> {
        Ok(Self {
            folder: folder.to_owned(),
            session,
            settings,
            bodies: BodyFiles::on(disk.clone(), folder),
            disk,
            _lock: lock,
            repaired: Repaired::default(),
            number: 0,
            segment: None,
            left_behind: Vec::new(),
            names_unsynced: true,
            bodies_unsynced: BTreeSet::new(),
            sync_fault: None,
            next_sequence: 1,
            opened: HashMap::new(),
            pending: Pending::default(),
            sealed: Vec::new(),
            group: None,
            encoder: Encoder::default(),
            compressor: block::compressor().map_err(io_error("compress into", folder))?,
        })
    }

    /// What was repaired when the log was opened.
    pub fn repaired(&self) -> Repaired {
        self.repaired
    }

    /// Uses no sequence number up to `sequence`: an index may know of exchanges that a loss of power took from
    /// the log.
    pub fn skip_to(&mut self, sequence: u64) {
        self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
    }

    /// Adds a record to the group in memory. Gives the sequence number of its exchange, which is new for
    /// [`Record::Exchange`] and [`Record::Open`] and 0 for gaps, and its place within the group, which is
    /// [`Location::index`].
    ///
    /// Opening an exchange once more keeps its number and tells readers more of it. Bodies that are too large
    /// for a record go to files; on a disk that does not take them they are cut, which shows as truncation.
    pub fn append(&mut self, record: &Record) -> (u64, u32) {
        match record {
            Record::Exchange(exchange) => match self.fit(exchange) {
                Some(fitting) => self.put(&Record::Exchange(Box::new(fitting))),
                None => self.put(record),
            },
            Record::Open(exchange) => match self.fit(exchange) {
                Some(fitting) => self.put(&Record::Open(Box::new(fitting))),
                None => self.put(record),
            },
            Record::End(exchange) => match self.fit(exchange) {
                Some(fitting) => self.put(&Record::End(Box::new(fitting))),
                None => self.put(record),
            },
            Record::Part { id, part: Part::RequestBody(bytes) } if bytes.len() > RECORD => {
                self.put_pieces(bytes, |bytes| Record::Part { id: *id, part: Part::RequestBody(bytes) })
            }
            Record::Part { id, part: Part::ResponseBody(bytes) } if bytes.len() > RECORD => {
                self.put_pieces(bytes, |bytes| Record::Part { id: *id, part: Part::ResponseBody(bytes) })
            }
            Record::Piece { id, side, at, bytes } if bytes.len() > RECORD => {
                self.put_pieces(bytes, |bytes| Record::Piece { id: *id, side: *side, at: *at, bytes })
            }
            Record::Part { id, part: Part::Frame(frame) } if frame.payload.len() > RECORD => {
                let mut cut = frame.clone();
                cut.payload.truncate(RECORD);
                self.put(&Record::Part { id: *id, part: Part::Frame(cut) })
            }
            Record::Part { .. } | Record::Piece { .. } | Record::Gap(_) => self.put(record),
        }
    }

    /// Bytes of the records in memory.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Writes the group. When that fails, what is not written stays in memory and the file is as it was before;
    /// call again, or [`Self::discard`]. Gives the place of the group, to which the index of a record is to be
    /// added; `None` when there was nothing to write.
    pub fn flush(&mut self) -> Result<Option<Location>, TrafficError> {
        while let Some((contents, records)) = self.pending.front() {
            if self.sealed.is_empty() {
                block::seal(&mut self.compressor, records, contents, &mut self.sealed)
                    .map_err(io_error("compress into", &self.folder))?;
            }
            let place = self.write_sealed()?;
            self.sealed.clear();
            let number = self.pending.pop();
            for opened in self.opened.values_mut() {
                if matches!(opened.place, OpenedPlace::Pending(block) if block == number) {
                    opened.place = OpenedPlace::Written { segment: place.segment, block: place.block };
                }
            }
            self.group.get_or_insert(place);
        }
        Ok(self.group.take())
    }

    /// Gives up the records in memory; tells what that was, and what of their group is on disk. Exchanges that
    /// were opened by them are forgotten, so their parts are too.
    pub fn discard(&mut self) -> Discarded {
        let written = self.group.take().map(|place| (place, self.pending.written()));
        let mut discarded = Discarded { written, ..Discarded::default() };
        for block in self.pending.clear() {
            let begun = u64::from(block.contents.begun);
            discarded.exchanges += begun;
            discarded.others += u64::from(block.contents.records) - begun;
            self.next_sequence = self.next_sequence.min(block.contents.first_sequence);
        }
        self.sealed.clear();
        self.opened.retain(|_, opened| matches!(opened.place, OpenedPlace::Written { .. }));
        discarded
    }

    /// Makes what was written survive a loss of power: bodies first, then the blocks that name them, then the
    /// names of the segments.
    ///
    /// A file whose synchronisation failed is not tried again, since the system may have dropped its data
    /// already: the fault is told once, and the next block goes to a new segment.
    pub fn sync(&mut self) -> Result<(), TrafficError> {
        let mut outcome = self.sync_fault.take().map_or(Ok(()), Err);
        let bodies = std::mem::take(&mut self.bodies_unsynced);
        if !bodies.is_empty() {
            outcome = outcome.and(self.bodies.sync(&bodies));
            // Their folder may be new in the session's.
            self.names_unsynced = true;
        }
        for mut segment in std::mem::take(&mut self.left_behind) {
            outcome = outcome.and(segment.sync());
        }
        if let Some(segment) = &mut self.segment {
            let synced = segment.sync();
            if synced.is_err() {
                self.segment = None;
            }
            outcome = outcome.and(synced);
        }
        if std::mem::take(&mut self.names_unsynced) {
            let parent = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            for folder in parent.into_iter().chain([self.folder.as_path()]) {
                let synced = self.disk.sync_folder(folder).map_err(io_error("synchronise", folder));
                self.names_unsynced |= synced.is_err();
                outcome = outcome.and(synced);
            }
        }
        outcome
    }

    fn put_pieces(&mut self, whole: &Bytes, record: impl Fn(Bytes) -> Record) -> (u64, u32) {
        let mut place = (0, 0);
        for from in (0..whole.len()).step_by(RECORD) {
            place = self.put(&record(whole.slice(from..whole.len().min(from + RECORD))));
        }
        place
    }

    fn put(&mut self, record: &Record) -> (u64, u32) {
        let block = self.pending.block_for_next(self.next_sequence, self.settings.block);
        let (mut offset, mut opened, mut begun) = (0, None, false);
        let sequence = match record {
            Record::Exchange(exchange) => {
                begun = true;
                self.note_bodies(exchange);
                self.take_sequence()
            }
            Record::Open(exchange) => match self.opened.get(&exchange.id) {
                Some(known) => known.sequence,
                None => {
                    begun = true;
                    let sequence = self.take_sequence();
                    let place = OpenedPlace::Pending(block);
                    let handed = Handed::default();
                    self.opened.insert(exchange.id, OpenedExchange { sequence, place, handed });
                    sequence
                }
            },
            Record::Part { id, part } => {
                let (side, more) = match part {
                    Part::RequestBody(bytes) => (Some(Side::Request), bytes.len() as u64),
                    Part::ResponseBody(bytes) => (Some(Side::Response), bytes.len() as u64),
                    Part::Frame(_) => (None, 1),
                };
                let (sequence, so_far) = self.hand_over(*id, side, more);
                offset = so_far;
                sequence
            }
            Record::Piece { id, side, bytes, .. } => {
                let (sequence, so_far) = self.hand_over(*id, Some(*side), bytes.len() as u64);
                offset = so_far;
                sequence
            }
            Record::End(exchange) => {
                self.note_bodies(exchange);
                match self.opened.remove(&exchange.id) {
                    Some(known) => {
                        let at = match known.place {
                            OpenedPlace::Pending(number) if number == block => OpenedAt::SameBlock,
                            OpenedPlace::Pending(_) => OpenedAt::Unknown,
                            OpenedPlace::Written { segment, block } => OpenedAt::Earlier { segment, block },
                        };
                        opened = Some(Opened { at, handed: known.handed });
                        known.sequence
                    }
                    None => {
                        begun = true;
                        self.take_sequence()
                    }
                }
            }
            Record::Gap(_) => 0,
        };
        self.encoder.encode(record, sequence, offset, opened, self.pending.bytes());
        (sequence, self.pending.note(begun))
    }

    /// Counts what is handed over of an opened exchange: bytes of a body, or frames. Gives the exchange's number
    /// and how much was handed over before.
    fn hand_over(&mut self, id: ExchangeId, side: Option<Side>, more: u64) -> (u64, u64) {
        let Some(known) = self.opened.get_mut(&id) else { return (0, 0) };
        let so_far = match side {
            Some(Side::Request) => &mut known.handed.request,
            Some(Side::Response) => &mut known.handed.response,
            None => &mut known.handed.frames,
        };
        *so_far += more;
        (known.sequence, *so_far - more)
    }

    fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }

    fn note_bodies(&mut self, exchange: &Exchange) {
        let response = exchange.response.as_ref().map(|response| &response.body);
        for body in [Some(&exchange.request.body), response].into_iter().flatten() {
            if let Content::Stored { digest, .. } = &body.content {
                self.bodies_unsynced.insert(*digest);
            }
        }
    }

    /// A copy that a block can hold, when the exchange itself is too large.
    fn fit(&self, exchange: &Exchange) -> Option<Exchange> {
        let inline = |content: &Content| match content {
            Content::Inline(bytes) => bytes.len(),
            Content::Stored { .. } => 0,
        };
        let response = exchange.response.as_ref().map_or(0, |response| inline(&response.body.content));
        let frames = exchange.frames.iter().map(|frame| frame.payload.len()).sum::<usize>();
        if inline(&exchange.request.body.content) + response + frames <= RECORD {
            return None;
        }
        let mut fitting = exchange.clone();
        let set_aside = |content: &mut Content| {
            let Content::Inline(bytes) = content else { return };
            if bytes.len() <= RECORD / 4 {
                return;
            }
            let kept = self.bodies.create().and_then(|mut body| {
                body.write(bytes)?;
                body.finish()
            });
            *content = match kept {
                Ok((digest, length)) => Content::Stored { digest, length },
                Err(_) => Content::Inline(bytes.slice(..RECORD / 4)),
            };
        };
        set_aside(&mut fitting.request.body.content);
        if let Some(response) = &mut fitting.response {
            set_aside(&mut response.body.content);
        }
        let mut room = RECORD / 2;
        for frame in &mut fitting.frames {
            frame.payload.truncate(room);
            room -= frame.payload.len();
        }
        Some(fitting)
    }

    /// Writes the sealed block behind the last one.
    fn write_sealed(&mut self) -> Result<Location, TrafficError> {
        if self.segment.as_ref().is_some_and(|segment| segment.length >= self.settings.segment)
            && let Some(mut full) = self.segment.take()
            && let Err(fault) = full.sync()
        {
            // Told by the next synchronisation, which would otherwise claim what is not so.
            self.sync_fault.get_or_insert(fault);
        }
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.begin_segment()?,
        };
        let at = segment.length;
        match segment.file.write(at, &self.sealed) {
            Ok(()) => {
                segment.length += self.sealed.len() as u64;
                segment.unsynced = true;
                self.segment = Some(segment);
                Ok(Location { segment: self.number, block: at, index: 0 })
            }
            Err(error) => {
                let fault = io_error("write", &segment.path)(error);
                // What was written of the block is cut off again; where that fails, readers know it as torn.
                if segment.file.truncate(at).is_ok() {
                    self.segment = Some(segment);
                } else {
                    self.left_behind.push(segment);
                }
                Err(fault)
            }
        }
    }

    fn begin_segment(&mut self) -> Result<OpenSegment, TrafficError> {
        let number = self.number + 1;
        let path = segment::path(&self.folder, number);
        let mut file = self.disk.create(&path).map_err(io_error("create", &path))?;
        if let Err(error) = file.write(0, &segment::header(self.session, number)) {
            // A stub would only be in the way; one that cannot be removed is passed over by readers.
            if self.disk.remove(&path).is_err() {
                self.number = number;
            }
            return Err(io_error("write", &path)(error));
        }
        self.number = number;
        self.names_unsynced = true;
        Ok(OpenSegment { file, path, length: SEGMENT_HEADER as u64, unsynced: true })
    }
}

impl OpenSegment {
    fn sync(&mut self) -> Result<(), TrafficError> {
        if !std::mem::take(&mut self.unsynced) {
            return Ok(());
        }
        self.file.sync().map_err(io_error("synchronise", &self.path))
    }
}
