//! Sessions: naming, finding, listing, removing, and completing their index.

use std::time::Duration;

use mimeo_model::{Body, Content, Exchange, Gap, Session, SessionId, SessionState, Timestamp};
use mimeo_store::catalog::{CatalogError, Endpoint, ExchangeFilter, ExchangeRow, SessionUpdate};
use mimeo_store::traffic::{BodyFiles, Found, LogReader, TrafficError};

use crate::error::Error;
use crate::workspace::Workspace;

/// Rows written at once when an index is completed.
const BATCH: usize = 1_000;

/// Something in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// An exchange with its number, its bodies in memory.
    Exchange {
        /// Its number within the session, from 1.
        sequence: u64,
        /// The exchange.
        exchange: Box<Exchange>,
    },
    /// Something that was lost.
    Gap(Gap),
}

impl Workspace {
    /// All sessions, newest first.
    pub async fn sessions(&self) -> Result<Vec<Session>, Error> {
        let mut sessions = self.catalog.sessions().await?;
        for session in &mut sessions {
            self.note_interrupted(session).await?;
        }
        Ok(sessions)
    }

    /// Finds a session by name, identifier, unique beginning of an identifier, or `@last`.
    pub async fn find_session(&self, reference: &str) -> Result<Session, Error> {
        let mut session = self.catalog.find_session(reference).await?;
        self.note_interrupted(&mut session).await?;
        Ok(session)
    }

    /// Removes a session with its traffic.
    pub async fn remove_session(&self, session: &Session) -> Result<(), Error> {
        if session.state == SessionState::Running {
            return Err(Error::Running(session.name.clone()));
        }
        self.catalog.remove_session(session.id).await?;
        let path = self.data.session(session.id);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::File { action: "remove", path, source: error })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes the sessions that ended longer ago than `age`; gives them.
    pub async fn prune_sessions(&self, age: Duration) -> Result<Vec<Session>, Error> {
        let now = self.now();
        let mut removed = Vec::new();
        for session in self.sessions().await? {
            let ended = session.stopped_at.unwrap_or(session.created_at);
            if session.state != SessionState::Running && now.since(ended) >= age {
                self.remove_session(&session).await?;
                removed.push(session);
            }
        }
        Ok(removed)
    }

    /// A page of a session's exchanges.
    pub async fn list_exchanges(
        &self,
        session: SessionId,
        filter: &ExchangeFilter,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<ExchangeRow>, Error> {
        Ok(self.catalog.list_exchanges(session, filter, offset, limit).await?)
    }

    /// The busiest endpoints of a session.
    pub async fn endpoints(&self, session: SessionId, limit: u64) -> Result<Vec<Endpoint>, Error> {
        Ok(self.catalog.endpoints(session, limit).await?)
    }

    /// Finds one exchange: by identifier or a unique beginning of it, or by `SESSION#NUMBER`.
    pub async fn find_exchange(&self, reference: &str) -> Result<(Session, ExchangeRow, Exchange), Error> {
        let row = match reference.rsplit_once('#') {
            Some((session, number)) if number.parse::<u64>().is_ok() => {
                let session = self.find_session(if session.is_empty() { "@last" } else { session }).await?;
                self.catalog.exchange_at(session.id, number.parse().unwrap_or(0)).await?
            }
            Some(_) | None => {
                // An exchange that is on disk but not in the index yet is found all the same.
                for mut session in self.catalog.sessions().await? {
                    if session.state == SessionState::Running {
                        self.note_interrupted(&mut session).await?;
                    }
                }
                self.catalog.find_exchange(reference).await?
            }
        };
        let session = self.find_session(&row.session.to_string()).await?;
        let folder = self.data.session(session.id);
        let whole = LogReader::read_at(&folder, row.location)?;
        let mut exchange = match whole {
            Some(exchange) => exchange,
            None => self.scan_for(&session, row.sequence)?,
        };
        load(&BodyFiles::of_session(&folder), &mut exchange)?;
        Ok((session, row, exchange))
    }

    /// Reads a session's traffic from its beginning, bodies loaded.
    pub fn read_session(&self, session: SessionId) -> impl Iterator<Item = Result<Recorded, Error>> + use<> {
        let folder = self.data.session(session);
        let bodies = BodyFiles::of_session(&folder);
        LogReader::open(&folder).map(move |found| {
            Ok(match found? {
                Found::Exchange { sequence, mut exchange, .. } => {
                    load(&bodies, &mut exchange)?;
                    Recorded::Exchange { sequence, exchange }
                }
                Found::Gap(gap) => Recorded::Gap(gap),
            })
        })
    }

    fn scan_for(&self, session: &Session, wanted: u64) -> Result<Exchange, Error> {
        for found in LogReader::open(&self.data.session(session.id)) {
            if let Found::Exchange { sequence, exchange, .. } = found?
                && sequence == wanted
            {
                return Ok(*exchange);
            }
        }
        Err(CatalogError::Unknown { what: "exchange", reference: format!("{}#{wanted}", session.name) }
            .into())
    }

    /// A running session whose recorder is gone was interrupted; its index and counts are completed from what
    /// is on disk.
    async fn note_interrupted(&self, session: &mut Session) -> Result<(), Error> {
        let folder = self.data.session(session.id);
        if session.state != SessionState::Running || LogReader::is_being_written(&folder) {
            return Ok(());
        }
        let (mut update, last) = self.complete_index(session).await?;
        (update.state, update.stopped_at) = (SessionState::Interrupted, Some(last));
        self.catalog.update_session(session.id, &update).await?;
        (session.state, session.stopped_at) = (update.state, update.stopped_at);
        (session.entries, session.errors, session.bytes) = (update.entries, update.errors, update.bytes);
        Ok(())
    }

    /// Adds the rows that the index lacks. Gives what the log holds, and when the last exchange ended.
    pub(crate) async fn complete_index(
        &self,
        session: &Session,
    ) -> Result<(SessionUpdate, Timestamp), Error> {
        let mut update = SessionUpdate {
            state: session.state,
            stopped_at: session.stopped_at,
            entries: 0,
            errors: 0,
            bytes: 0,
            lost: session.lost,
        };
        let mut rows = Vec::new();
        let mut last = session.created_at;
        for found in LogReader::open(&self.data.session(session.id)) {
            let Found::Exchange { sequence, location, exchange, .. } = found? else { continue };
            update.entries += 1;
            update.errors += u64::from(exchange.failure.is_some());
            update.bytes += exchange.request.body.length
                + exchange.response.as_ref().map_or(0, |response| response.body.length);
            last = last.max(exchange.started_at.plus(exchange.timings.total));
            rows.push(ExchangeRow::new(session.id, sequence, location, &exchange));
            if rows.len() == BATCH {
                self.catalog.add_exchanges(&rows).await?;
                rows.clear();
            }
        }
        self.catalog.add_exchanges(&rows).await?;
        Ok((update, last))
    }

    /// Adds a session under the name it has, or under a free one made of `stem` when it has none.
    pub(crate) async fn add_session(&self, session: &mut Session, stem: &str) -> Result<(), Error> {
        if !session.name.is_empty() {
            return Ok(self.catalog.add_session(session).await?);
        }
        loop {
            session.name = self.free_name(stem, session.created_at).await?;
            match self.catalog.add_session(session).await {
                // Another process took the name in between.
                Err(CatalogError::NameTaken(_)) => {}
                added => return Ok(added?),
            }
        }
    }

    /// A name for a session that was given none: the host or `session`, the date, and a number when that is
    /// taken.
    async fn free_name(&self, stem: &str, at: Timestamp) -> Result<String, Error> {
        let (year, month, day, ..) = at.civil();
        let taken: Vec<String> =
            self.catalog.sessions().await?.into_iter().map(|session| session.name).collect();
        for number in 1_u32.. {
            let name = format!("{stem}-{year:04}{month:02}{day:02}-{number}");
            if !taken.contains(&name) {
                return Ok(name);
            }
        }
        Ok(format!("{stem}-{}", at.unix_micros()))
    }
}

/// Brings the bodies of an exchange into memory.
fn load(bodies: &BodyFiles, exchange: &mut Exchange) -> Result<(), TrafficError> {
    let load = |body: &mut Body| {
        if let Content::Stored { digest, .. } = &body.content {
            body.content = Content::Inline(bodies.read(*digest)?);
        }
        Ok(())
    };
    load(&mut exchange.request.body)?;
    if let Some(response) = &mut exchange.response {
        load(&mut response.body)?;
    }
    Ok(())
}
