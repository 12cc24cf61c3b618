//! The table of sessions.

use mimeo_model::{ProxyMode, Session, SessionId, SessionState, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::catalog::{Catalog, CatalogError, engine};

/// Shortest beginning of an identifier that is taken for one; a shorter text can only be a name.
const SHORTEST_BEGINNING: usize = 4;

/// What changes in a session while it runs.
#[derive(Debug, Clone, Copy)]
pub struct SessionUpdate {
    /// Where it stands.
    pub state: SessionState,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// Announced exchanges.
    pub entries: u64,
    /// Those that carry a failure.
    pub errors: u64,
    /// Bytes of bodies that travelled.
    pub bytes: u64,
    /// Exchanges that were not kept whole.
    pub lost: u64,
}

impl Catalog {
    /// Adds a session.
    pub async fn add_session(&self, session: &Session) -> Result<(), CatalogError> {
        let added = sqlx::query(
            "INSERT INTO sessions (id, name, mode, target, port, state, created_at, stopped_at, entries, errors, \
             bytes, lost, keeps_credentials) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(session.id.to_string())
        .bind(&session.name)
        .bind(session.mode.code())
        .bind(&session.target)
        .bind(session.port.map(i64::from))
        .bind(session.state.code())
        .bind(session.created_at.unix_micros())
        .bind(session.stopped_at.map(Timestamp::unix_micros))
        .bind(session.entries as i64)
        .bind(session.errors as i64)
        .bind(session.bytes as i64)
        .bind(session.lost as i64)
        .bind(i64::from(session.keeps_credentials))
        .execute(&self.writer)
        .await;
        match added {
            Ok(_) => Ok(()),
            Err(error) if engine::is_duplicate(&error) => Err(CatalogError::NameTaken(session.name.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes what changes while a session runs.
    pub async fn update_session(&self, id: SessionId, update: &SessionUpdate) -> Result<(), CatalogError> {
        let updated = sqlx::query(
            "UPDATE sessions SET state = $2, stopped_at = $3, entries = $4, errors = $5, bytes = $6, lost = $7 \
             WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(update.state.code())
        .bind(update.stopped_at.map(Timestamp::unix_micros))
        .bind(update.entries as i64)
        .bind(update.errors as i64)
        .bind(update.bytes as i64)
        .bind(update.lost as i64)
        .execute(&self.writer)
        .await?;
        match updated.rows_affected() {
            0 => Err(CatalogError::Unknown { what: "session", reference: id.to_string() }),
            _ => Ok(()),
        }
    }

    /// All sessions, newest first.
    pub async fn sessions(&self) -> Result<Vec<Session>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM sessions ORDER BY created_at DESC, id DESC")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(session_of).collect()
    }

    /// Finds a session by name, identifier, unique beginning of an identifier, or `@last` for the newest.
    pub async fn find_session(&self, reference: &str) -> Result<Session, CatalogError> {
        let unknown = || CatalogError::Unknown { what: "session", reference: reference.to_owned() };
        if reference == "@last" {
            let row = sqlx::query("SELECT * FROM sessions ORDER BY created_at DESC, id DESC LIMIT 1")
                .fetch_optional(&self.readers)
                .await?;
            return row.as_ref().map_or_else(|| Err(unknown()), session_of);
        }
        // An index serves a range, which a beginning is: `0` to `~` spans every digit that may follow.
        let beginning = reference.to_ascii_lowercase();
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE name = $1 OR (id >= $2 AND id <= $3 AND $4 >= $5) \
             ORDER BY CASE WHEN name = $1 THEN 0 ELSE 1 END, created_at DESC LIMIT 6",
        )
        .bind(reference)
        .bind(&beginning)
        .bind(format!("{beginning}~"))
        .bind(beginning.len() as i64)
        .bind(SHORTEST_BEGINNING as i64)
        .fetch_all(&self.readers)
        .await?;
        let found = rows.iter().map(session_of).collect::<Result<Vec<_>, _>>()?;
        if let Some(named) = found.iter().find(|session| session.name == reference) {
            return Ok(named.clone());
        }
        match &found[..] {
            [] => Err(unknown()),
            [one] => Ok(one.clone()),
            several => Err(CatalogError::Ambiguous {
                reference: reference.to_owned(),
                candidates: several.iter().map(|session| session.name.clone()).collect(),
            }),
        }
    }

    /// Removes a session and its index rows, both or neither; one that is not there is no fault.
    pub async fn remove_session(&self, id: SessionId) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.to_string()).execute(&self.writer).await?;
        Ok(())
    }
}

fn session_of(row: &SqliteRow) -> Result<Session, CatalogError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<i64, _>(column).map(|number| number as u64);
    let decode = |column: &str| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "the value is not one this program knows".into(),
    };
    Ok(Session {
        id: text("id")?.parse().map_err(|_| decode("id"))?,
        name: text("name")?,
        mode: ProxyMode::from_code(&text("mode")?).ok_or_else(|| decode("mode"))?,
        target: row.try_get("target")?,
        port: row.try_get::<Option<i64>, _>("port")?.and_then(|port| u16::try_from(port).ok()),
        state: SessionState::from_code(&text("state")?).ok_or_else(|| decode("state"))?,
        created_at: Timestamp::from_unix_micros(row.try_get("created_at")?),
        stopped_at: row.try_get::<Option<i64>, _>("stopped_at")?.map(Timestamp::from_unix_micros),
        entries: number("entries")?,
        errors: number("errors")?,
        bytes: number("bytes")?,
        lost: number("lost")?,
        keeps_credentials: row.try_get::<i64, _>("keeps_credentials")? != 0,
    })
}
