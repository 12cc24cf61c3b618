//! Appends records to the log of one session, which has one writer.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mimeo_model::{ExchangeId, SessionId};
use prost::Message;
use rustix::fs::{FlockOperation, flock};

use crate::data_dir::create_private;
use crate::traffic::{Location, Record, TrafficError, block, frame, io_error};

/// Bounds of a log.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Length at which a segment is sealed and the next one begun.
    pub segment: u64,
}

impl Default for Settings {
    /// 64 MiB a segment.
    fn default() -> Self {
        Self { segment: 64 << 20 }
    }
}

/// The one writer of a session's log.
pub struct LogWriter {
    folder: PathBuf,
    session: SessionId,
    settings: Settings,
    _lock: File,
    segment: Option<Segment>,
    number: u32,
    next_sequence: u64,
    opened: HashMap<ExchangeId, u64>,
    pending: Vec<u8>,
    pending_records: u32,
    pending_sequence: u64,
    compressor: zstd::bulk::Compressor<'static>,
    dirty: bool,
}

struct Segment {
    file: File,
    path: PathBuf,
    length: u64,
}

impl LogWriter {
    /// Begins the log of a session in `folder`, which is made when it is not there.
    pub fn create(folder: &Path, session: SessionId, settings: Settings) -> Result<Self, TrafficError> {
        create_private(folder).map_err(io_error("create", folder))?;
        let lock = lock(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            session,
            settings,
            _lock: lock,
            segment: None,
            number: 0,
            next_sequence: 1,
            opened: HashMap::new(),
            pending: Vec::new(),
            pending_records: 0,
            pending_sequence: 0,
            compressor: block::compressor().map_err(io_error("compress into", folder))?,
            dirty: false,
        })
    }

    /// Adds a record to the block in memory. Gives the sequence number of its exchange, which is new for
    /// [`Record::Exchange`] and [`Record::Open`] and 0 for gaps, and its place within the block.
    pub fn append(&mut self, record: &Record) -> (u64, u32) {
        let sequence = match record {
            Record::Exchange(_) => self.take_sequence(),
            Record::Open(exchange) => {
                let sequence = self.take_sequence();
                self.opened.insert(exchange.id, sequence);
                sequence
            }
            Record::Part { id, .. } => self.opened.get(id).copied().unwrap_or(0),
            Record::End(exchange) => self.opened.remove(&exchange.id).unwrap_or_else(|| self.take_sequence()),
            Record::Gap(_) => 0,
        };
        if self.pending_records == 0 {
            self.pending_sequence = sequence;
        }
        let frame = frame::of_record(record, sequence);
        let length = frame.encoded_len();
        self.pending.reserve(4 + length);
        self.pending.extend_from_slice(&(length as u32).to_le_bytes());
        frame.encode_raw(&mut self.pending);
        let index = self.pending_records;
        self.pending_records += 1;
        (sequence, index)
    }

    /// Bytes of the block in memory.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Writes the block. When that fails, the block stays in memory and the file is as it was before; call
    /// again, or [`Self::discard`]. Gives the place of the block; `None` when there was nothing to write.
    pub fn flush(&mut self) -> Result<Option<Location>, TrafficError> {
        if self.pending_records == 0 {
            return Ok(None);
        }
        if self.segment.as_ref().is_some_and(|segment| segment.length >= self.settings.segment) {
            self.seal()?;
        }
        let sealed =
            block::seal(&mut self.compressor, &self.pending, self.pending_records, self.pending_sequence)
                .map_err(io_error("compress into", &self.folder))?;
        if self.segment.is_none() {
            self.segment = Some(self.begin_segment()?);
        }
        let Some(segment) = &mut self.segment else { return Ok(None) };
        let at = segment.length;
        if let Err(error) = segment.file.write_all(&sealed) {
            // What was written of the block is cut off again, so that the next try begins where this one did.
            let cut = segment.file.set_len(at).and_then(|()| {
                use std::io::Seek;
                segment.file.seek(io::SeekFrom::Start(at)).map(|_| ())
            });
            let fault = io_error("write", &segment.path)(error);
            if cut.is_err() {
                self.segment = None;
            }
            return Err(fault);
        }
        segment.length += sealed.len() as u64;
        self.dirty = true;
        self.pending.clear();
        self.pending_records = 0;
        Ok(Some(Location { segment: self.number, block: at, index: 0 }))
    }

    /// Drops the block in memory.
    pub fn discard(&mut self) {
        self.pending.clear();
        self.pending_records = 0;
    }

    /// Makes what was written survive a loss of power. A file whose synchronisation failed is not tried again:
    /// the system may have dropped the data already, so the next block goes to a new segment.
    pub fn sync(&mut self) -> Result<(), TrafficError> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        let Some(segment) = &self.segment else { return Ok(()) };
        if let Err(error) = segment.file.sync_data() {
            let fault = io_error("synchronise", &segment.path)(error);
            self.segment = None;
            return Err(fault);
        }
        Ok(())
    }

    fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }

    fn seal(&mut self) -> Result<(), TrafficError> {
        self.dirty = true;
        self.sync()?;
        self.segment = None;
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<Segment, TrafficError> {
        let number = self.number + 1;
        let path = segment_path(&self.folder, number);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("create", &path))?;
        let header = block::segment_header(self.session, number);
        let begun = file.write_all(&header).and_then(|()| File::open(&self.folder)?.sync_all());
        if let Err(error) = begun {
            // An empty segment would only be in the way of the next try.
            std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
            return Err(io_error("write", &path)(error));
        }
        self.number = number;
        Ok(Segment { file, path, length: header.len() as u64 })
    }
}

/// The file of a segment.
pub(crate) fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.mseg"))
}

/// The file whose lock says that a writer is at work.
fn lock_path(folder: &Path) -> PathBuf {
    folder.join("writer.lock")
}

fn lock(folder: &Path) -> Result<File, TrafficError> {
    let path = lock_path(folder);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("open", &path))?;
    // The system lets go of the lock of a process that is gone, so a stale file is no obstacle.
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let pid = std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
        return Err(TrafficError::Locked { path: folder.to_owned(), pid });
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(io_error("write", &path))?;
    Ok(file)
}

/// Whether a writer is at work on the log in `folder`.
pub(crate) fn is_being_written(folder: &Path) -> bool {
    let Ok(file) = File::open(lock_path(folder)) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}
