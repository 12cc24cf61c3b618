//! Takes what the proxy captures and makes it last.
//!
//! Who owns what: the proxy's workers push into [`queue::Queue`], bounded in bytes. One writer thread takes
//! everything, redacts, appends to the traffic log and announces what it wrote; it owns the log and the large
//! bodies. One index thread owns the connection to the catalog and is fed through a channel of
//! [`INDEX_BACKLOG`] batches; when it lags, the writer waits for it, and the queue's policy applies. Both
//! threads end after [`Recorder::stop`], which joins them.

pub mod queue;

mod prepare;
mod spool;
mod writer;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mimeo_model::{Clock, Exchange, Session, SessionState, Timestamp};
use mimeo_proxy::ExchangeSink;
use mimeo_rules::redaction::Redactor;
use mimeo_store::Catalog;
use mimeo_store::catalog::{CatalogError, ExchangeRow, SessionUpdate};
use mimeo_store::traffic::{BodyFiles, LogWriter, Settings};
use mimeo_transport::protocol::assembly::Captured;

use crate::error::Error;
use prepare::Prepare;
use queue::{Overflow, QUEUE_LIMIT, Queue};
use spool::{SPOOL_LIMIT, Spool};
use writer::Writer;

/// Batches of index rows that may wait for the catalog.
const INDEX_BACKLOG: usize = 16;

/// Rows that are written with one statement while there is traffic.
const ROWS_TOGETHER: usize = 512;
/// Longest time for which a row waits for others.
const INDEX_TIME: Duration = Duration::from_millis(100);

/// An exchange that is on disk.
pub struct Announced<'a> {
    /// Its number within the session, from 1.
    pub sequence: u64,
    /// The exchange as it was written; large bodies are in files, and what came as parts is in the log.
    pub exchange: &'a Exchange,
    /// Number of its WebSocket frames, those in the log included.
    pub frames: u64,
}

/// Is told of every exchange after it was written, by the writer thread.
pub type Announce = Box<dyn FnMut(Announced<'_>) + Send>;

/// How a recorder keeps what it gets.
pub struct RecorderConfig {
    /// Folder of the session's traffic.
    pub folder: PathBuf,
    /// The session, which is in the catalog already.
    pub session: Session,
    /// The catalog.
    pub catalog: Catalog,
    /// What to do when the queue is full.
    pub overflow: Overflow,
    /// Hides credentials; `None` keeps them in clear.
    pub redactor: Option<Redactor>,
    /// Longest time between writing and synchronising; zero synchronises each block.
    pub sync_interval: Duration,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Is told of every exchange after it was written.
    pub announce: Announce,
}

/// A recorder at work.
pub struct Recorder {
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    writer: JoinHandle<Tally>,
    index: JoinHandle<Result<(), Error>>,
}

/// What a recorder counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Exchanges that were announced.
    pub entries: u64,
    /// Those that carry a failure.
    pub errors: u64,
    /// Bytes of bodies that travelled.
    pub bytes: u64,
    /// Exchanges that are missing altogether.
    pub lost_exchanges: u64,
    /// Exchanges that are kept without some of their bytes.
    pub lost_bodies: u64,
}

impl Tally {
    /// Exchanges that were not kept whole.
    pub fn lost(&self) -> u64 {
        self.lost_exchanges + self.lost_bodies
    }

    pub(crate) fn update(&self, state: SessionState, stopped_at: Option<Timestamp>) -> SessionUpdate {
        SessionUpdate {
            state,
            stopped_at,
            entries: self.entries,
            errors: self.errors,
            bytes: self.bytes,
            lost: self.lost(),
        }
    }
}

impl Recorder {
    /// Starts the writer and the index.
    pub fn start(config: RecorderConfig) -> Result<Self, Error> {
        let log = LogWriter::create(&config.folder, config.session.id, Settings::default())?;
        let bodies = BodyFiles::of_session(&config.folder);
        let prepare = Arc::new(Prepare::new(config.redactor));
        let spool = match config.overflow {
            Overflow::Spill => Some(Spool::create(&config.folder, SPOOL_LIMIT).map_err(|source| {
                Error::File { action: "make a spool in", path: config.folder.clone(), source }
            })?),
            Overflow::Block | Overflow::Drop => None,
        };
        let queue = Arc::new(Queue::new(config.overflow, QUEUE_LIMIT, spool, prepare.clone()));
        let (rows, indexed) = mpsc::sync_channel(INDEX_BACKLOG);
        let writer = Writer {
            queue: queue.clone(),
            log,
            bodies,
            session: config.session.id,
            prepare,
            sync_interval: config.sync_interval,
            clock: config.clock.clone(),
            announce: config.announce,
            rows,
            complained: None,
        };
        let (catalog, session) = (config.catalog, config.session.id);
        let clock = config.clock.clone();
        let spawn = std::thread::Builder::new();
        let writer = spawn
            .name("recorder-write".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| Error::Thread { source })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Thread { source })?;
        let index = std::thread::Builder::new()
            .name("recorder-index".to_owned())
            .spawn(move || runtime.block_on(index(&catalog, session, &indexed)))
            .map_err(|source| Error::Thread { source })?;
        Ok(Self { queue, clock, writer, index })
    }

    /// The end at which captures go in.
    pub fn sink(&self) -> Arc<dyn ExchangeSink> {
        Arc::new(Sink { queue: self.queue.clone(), clock: self.clock.clone() })
    }

    /// Writes what is left, synchronises, completes the index, and tells what was recorded. Call it after the
    /// proxy has stopped.
    pub fn stop(self) -> Result<Tally, Error> {
        self.queue.close();
        let tally =
            self.writer.join().map_err(|_| Error::Panicked { what: "the writer of the recording" })?;
        self.index.join().map_err(|_| Error::Panicked { what: "the index of the recording" })??;
        Ok(tally)
    }
}

struct Sink {
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
}

impl ExchangeSink for Sink {
    fn offer(&self, captured: Captured) -> Result<(), Captured> {
        self.queue.offer(captured, || self.clock.now())
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.queue.room()
    }
}

/// What the writer tells the index.
pub(crate) enum Indexed {
    Rows(Vec<ExchangeRow>),
    Progress(SessionUpdate),
}

/// Writes rows until the writer is gone. A fault of the catalog loses nothing: the index is completed from the
/// traffic log when the recording ends, or when the session is read after a crash.
async fn index(
    catalog: &Catalog,
    session: mimeo_model::SessionId,
    indexed: &mpsc::Receiver<Indexed>,
) -> Result<(), Error> {
    let mut failed = false;
    let mut waiting: Vec<ExchangeRow> = Vec::new();
    let mut due: Option<Instant> = None;
    loop {
        let next = match due {
            None => indexed.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            Some(due) => indexed.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        let (mut progress, mut together, mut closed) = (None, ROWS_TOGETHER, false);
        match next {
            Ok(Indexed::Rows(rows)) => {
                waiting.extend(rows);
                due.get_or_insert_with(|| Instant::now() + INDEX_TIME);
            }
            Ok(Indexed::Progress(update)) => progress = Some(update),
            Err(ended) => (together, closed) = (1, ended == mpsc::RecvTimeoutError::Disconnected),
        }
        while waiting.len() >= together && !failed {
            let rest = waiting.split_off(waiting.len().min(ROWS_TOGETHER));
            failed = lags(&catalog.add_exchanges(&waiting).await, failed);
            waiting = rest;
        }
        if failed {
            waiting.clear();
        }
        if waiting.is_empty() {
            due = None;
        }
        if let Some(update) = progress {
            failed |= lags(&catalog.update_session(session, &update).await, failed);
        }
        if closed {
            return Ok(());
        }
    }
}

/// Whether the index could not be written; says so the first time.
fn lags(outcome: &Result<(), CatalogError>, told: bool) -> bool {
    if let (Err(error), false) = (outcome, told) {
        tracing::warn!(%error, "the index lags behind; it is completed when the recording ends");
    }
    outcome.is_err()
}
