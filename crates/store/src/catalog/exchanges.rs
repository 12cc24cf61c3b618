//! The table of exchanges: a row for each, completed from the traffic log when it lags behind.

use std::sync::LazyLock;

use mimeo_model::{AnsweredBy, Exchange, ExchangeId, Scheme, SessionId, Timestamp};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, QueryBuilder, Row, Sqlite};

use crate::catalog::{Catalog, CatalogError, engine};
use crate::traffic::Location;

const COLUMNS: [&str; 22] = [
    "session",
    "sequence",
    "id",
    "started_at",
    "connection",
    "method",
    "scheme",
    "host",
    "path",
    "query",
    "status",
    "kind",
    "duration_us",
    "request_bytes",
    "response_bytes",
    "media_type",
    "failure",
    "answered_by",
    "graphql",
    "segment",
    "block",
    "place",
];

/// Rows that one statement has room for: few numbers, so that the statements stay prepared. A statement is a trip
/// to the database's thread and back, which costs more than dozens of rows, so a batch is one statement whose
/// spare rows are empty.
const ROOMS: [usize; 6] = [16, 32, 64, 128, 256, 512];
const LARGEST: usize = 512;
static INSERTS: LazyLock<[String; ROOMS.len()]> =
    LazyLock::new(|| ROOMS.map(|rows| engine::insert_rows("exchanges", &COLUMNS, rows)));

/// Longest media type that is kept, in bytes; a longer one is none.
const MEDIA_TYPE: usize = 127;
/// Kinds of exchange as they are stored.
const KINDS: [&str; 3] = ["http", "websocket", "sse"];

/// What is known of an exchange without reading the traffic log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeRow {
    /// Its session.
    pub session: SessionId,
    /// Its number within the session, from 1.
    pub sequence: u64,
    /// Its identifier.
    pub id: ExchangeId,
    /// When it began.
    pub started_at: Timestamp,
    /// Number of the client connection within the session.
    pub connection: u64,
    /// Its method.
    pub method: String,
    /// Its scheme.
    pub scheme: Scheme,
    /// Its authority.
    pub host: String,
    /// Its path and query; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Status of the response.
    pub status: Option<u16>,
    /// `http`, `websocket` or `sse`.
    pub kind: &'static str,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Length of the request body in bytes.
    pub request_bytes: u64,
    /// Length of the response body in bytes.
    pub response_bytes: u64,
    /// Media type of the response in lower case and without parameters.
    pub media_type: Option<String>,
    /// Code of the failure.
    pub failure: Option<String>,
    /// Who answered.
    pub answered_by: AnsweredBy,
    /// Name of its first named GraphQL operation.
    pub graphql: Option<String>,
    /// Where its last record lies.
    pub location: Location,
}

/// Which exchanges to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExchangeFilter {
    /// Only this method.
    pub method: Option<String>,
    /// Only this authority.
    pub host: Option<String>,
    /// Only paths, with their query, that contain this.
    pub path: Option<String>,
    /// Only paths that begin with this.
    pub path_prefix: Option<String>,
    /// Only statuses from here.
    pub status_from: Option<u16>,
    /// Only statuses to here.
    pub status_to: Option<u16>,
    /// Only exchanges with a failure.
    pub failed: bool,
}

/// A method and path with what was seen there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: String,
    /// The path without query.
    pub path: String,
    /// Number of exchanges.
    pub count: u64,
    /// Those that failed or were answered with 500 or more.
    pub errors: u64,
    /// Mean duration in microseconds.
    pub mean_us: u64,
}

impl ExchangeRow {
    /// The row for an exchange.
    pub fn new(session: SessionId, sequence: u64, location: Location, exchange: &Exchange) -> Self {
        let kind = if exchange.is_websocket() {
            KINDS[1]
        } else if exchange.is_event_stream() {
            KINDS[2]
        } else {
            KINDS[0]
        };
        let response = exchange.response.as_ref();
        let media_type = response.and_then(|response| response.headers.get_str("content-type"));
        Self {
            session,
            sequence,
            id: exchange.id,
            started_at: exchange.started_at,
            connection: exchange.connection,
            method: exchange.request.method.as_str().to_owned(),
            scheme: exchange.request.scheme,
            host: exchange.request.authority.clone(),
            path: String::from_utf8_lossy(&exchange.request.target).into_owned(),
            status: exchange.status(),
            kind,
            duration_us: u64::try_from(exchange.timings.total.as_micros()).unwrap_or(u64::MAX),
            request_bytes: exchange.request.body.length,
            response_bytes: response.map_or(0, |response| response.body.length),
            media_type: media_type.and_then(media_type_of),
            failure: exchange.failure.as_ref().map(|failure| failure.kind.code().to_owned()),
            answered_by: exchange.answered_by,
            graphql: exchange.graphql.iter().find_map(|operation| operation.name.clone()),
            location,
        }
    }

    fn bind(&self, values: &mut SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path.as_str(), None),
        };
        values.add(stored(self.sequence))?;
        values.add(&self.id.as_bytes()[..])?;
        values.add(self.started_at.unix_micros())?;
        values.add(stored(self.connection))?;
        values.add(&self.method)?;
        values.add(match self.scheme {
            Scheme::Http => 0_i64,
            Scheme::Https => 1,
        })?;
        values.add(&self.host)?;
        values.add(path)?;
        values.add(query)?;
        values.add(self.status.map(i64::from))?;
        values.add(KINDS.iter().position(|kind| *kind == self.kind).map_or(0, |kind| kind as i64))?;
        values.add(stored(self.duration_us))?;
        values.add(stored(self.request_bytes))?;
        values.add(stored(self.response_bytes))?;
        values.add(&self.media_type)?;
        values.add(&self.failure)?;
        values.add(match self.answered_by {
            AnsweredBy::Upstream => 0_i64,
            AnsweredBy::Mock => 1,
            AnsweredBy::Proxy => 2,
        })?;
        values.add(&self.graphql)?;
        values.add(i64::from(self.location.segment))?;
        values.add(stored(self.location.block))?;
        values.add(i64::from(self.location.index))
    }
}

impl ExchangeFilter {
    fn push(&self, query: &mut QueryBuilder<Sqlite>) {
        if let Some(method) = &self.method {
            query.push(" AND method = ").push_bind(method.clone());
        }
        if let Some(host) = &self.host {
            query.push(" AND host = ").push_bind(host.clone());
        }
        if let Some(path) = &self.path {
            query.push(" AND ").push(engine::contains("path || coalesce('?' || query, '')"));
            query.push_bind(path.clone()).push(")");
        }
        if let Some(prefix) = &self.path_prefix {
            query.push(" AND substr(path, 1, ").push_bind(prefix.chars().count() as i64).push(") = ");
            query.push_bind(prefix.clone());
        }
        if let Some(from) = self.status_from {
            query.push(" AND status >= ").push_bind(i64::from(from));
        }
        if let Some(to) = self.status_to {
            query.push(" AND status <= ").push_bind(i64::from(to));
        }
        if self.failed {
            query.push(" AND failure IS NOT NULL");
        }
    }
}

impl Catalog {
    /// Adds rows, all or none; those that are there already stay as they are.
    pub async fn add_exchanges(&self, rows: &[ExchangeRow]) -> Result<(), CatalogError> {
        let mut statements = rows
            .chunk_by(|row, next| row.session == next.session)
            .flat_map(|rows| rows.chunks(LARGEST))
            .peekable();
        let Some(first) = statements.next() else { return Ok(()) };
        if statements.peek().is_none() {
            // A statement is all or nothing by itself.
            return insert(&self.writer, first).await;
        }
        let mut transaction = self.writer.begin_with(engine::BEGIN_WRITING).await?;
        for rows in std::iter::once(first).chain(statements) {
            insert(&mut *transaction, rows).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Number of rows of a session and the greatest sequence number among them.
    pub async fn indexed(&self, session: SessionId) -> Result<(u64, u64), CatalogError> {
        let row = sqlx::query(
            "SELECT count(*), coalesce(max(sequence), 0) FROM exchanges \
             WHERE session = (SELECT number FROM sessions WHERE id = $1)",
        )
        .bind(session.to_string())
        .fetch_one(&self.readers)
        .await?;
        Ok((row.try_get::<i64, _>(0)? as u64, row.try_get::<i64, _>(1)? as u64))
    }

    /// A page of a session's exchanges in their order.
    pub async fn list_exchanges(
        &self,
        session: SessionId,
        filter: &ExchangeFilter,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<ExchangeRow>, CatalogError> {
        self.page(session, filter, 0, offset, limit).await
    }

    /// The exchanges of a session that come after the one numbered `sequence`, in their order. Unlike an offset
    /// this costs the same wherever in the session it is.
    pub async fn list_exchanges_after(
        &self,
        session: SessionId,
        filter: &ExchangeFilter,
        sequence: u64,
        limit: u64,
    ) -> Result<Vec<ExchangeRow>, CatalogError> {
        self.page(session, filter, sequence, 0, limit).await
    }

    /// Number of a session's exchanges that a filter leaves.
    pub async fn count_exchanges(
        &self,
        session: SessionId,
        filter: &ExchangeFilter,
    ) -> Result<u64, CatalogError> {
        let mut query = QueryBuilder::new(
            "SELECT count(*) FROM exchanges WHERE session = (SELECT number FROM sessions WHERE id = ",
        );
        query.push_bind(session.to_string()).push(")");
        filter.push(&mut query);
        Ok(query.build().fetch_one(&self.readers).await?.try_get::<i64, _>(0)? as u64)
    }

    async fn page(
        &self,
        session: SessionId,
        filter: &ExchangeFilter,
        after: u64,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<ExchangeRow>, CatalogError> {
        let mut query = QueryBuilder::new(
            "SELECT exchanges.*, sessions.id AS session_id FROM exchanges \
             JOIN sessions ON sessions.number = exchanges.session \
             WHERE exchanges.session = (SELECT number FROM sessions WHERE id = ",
        );
        query.push_bind(session.to_string()).push(") AND sequence > ").push_bind(stored(after));
        filter.push(&mut query);
        query.push(" ORDER BY exchanges.session, sequence LIMIT ").push_bind(stored(limit));
        query.push(" OFFSET ").push_bind(stored(offset));
        query.build().fetch_all(&self.readers).await?.iter().map(row_of).collect()
    }

    /// Finds an exchange of any session by its identifier or a unique beginning of it, in either case and with
    /// or without hyphens.
    pub async fn find_exchange(&self, reference: &str) -> Result<ExchangeRow, CatalogError> {
        let unknown = || CatalogError::Unknown { what: "exchange", reference: reference.to_owned() };
        let (least, greatest) = identifiers_beginning(reference).ok_or_else(unknown)?;
        let rows = sqlx::query(
            "SELECT exchanges.*, sessions.id AS session_id FROM exchanges \
             JOIN sessions ON sessions.number = exchanges.session \
             WHERE exchanges.id >= $1 AND exchanges.id <= $2 ORDER BY exchanges.id LIMIT 4",
        )
        .bind(&least[..])
        .bind(&greatest[..])
        .fetch_all(&self.readers)
        .await?;
        let mut found = rows.iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
        match found.len() {
            0 => Err(unknown()),
            1 => Ok(found.swap_remove(0)),
            _ => Err(CatalogError::Ambiguous {
                reference: reference.to_owned(),
                candidates: found.iter().map(|row| row.id.to_string()).collect(),
            }),
        }
    }

    /// Finds an exchange of a session by its sequence number.
    pub async fn exchange_at(&self, session: SessionId, sequence: u64) -> Result<ExchangeRow, CatalogError> {
        let row = sqlx::query(
            "SELECT exchanges.*, sessions.id AS session_id FROM exchanges \
             JOIN sessions ON sessions.number = exchanges.session \
             WHERE sessions.id = $1 AND sequence = $2",
        )
        .bind(session.to_string())
        .bind(stored(sequence))
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map_or_else(
            || Err(CatalogError::Unknown { what: "exchange", reference: format!("#{sequence}") }),
            row_of,
        )
    }

    /// The busiest endpoints of a session.
    pub async fn endpoints(&self, session: SessionId, limit: u64) -> Result<Vec<Endpoint>, CatalogError> {
        let rows = sqlx::query(
            "SELECT method, path, count(*) AS seen, \
             sum(CASE WHEN failure IS NOT NULL OR status >= 500 THEN 1 ELSE 0 END) AS errors, \
             CAST(avg(duration_us) AS BIGINT) AS mean FROM exchanges \
             WHERE session = (SELECT number FROM sessions WHERE id = $1) \
             GROUP BY method, path ORDER BY seen DESC, path, method LIMIT $2",
        )
        .bind(session.to_string())
        .bind(stored(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Endpoint {
                    method: row.try_get("method")?,
                    path: row.try_get("path")?,
                    count: row.try_get::<i64, _>("seen")? as u64,
                    errors: row.try_get::<i64, _>("errors")? as u64,
                    mean_us: row.try_get::<i64, _>("mean")? as u64,
                })
            })
            .collect()
    }
}

/// Adds rows of one session, at most as many as a statement has room for.
async fn insert(
    database: impl sqlx::Executor<'_, Database = Sqlite>,
    rows: &[ExchangeRow],
) -> Result<(), CatalogError> {
    let Some(session) = rows.first().map(|row| row.session.to_string()) else { return Ok(()) };
    let room = ROOMS.iter().position(|room| rows.len() <= *room).unwrap_or(ROOMS.len() - 1);
    let mut values = SqliteArguments::default();
    values.reserve(1 + ROOMS[room] * (COLUMNS.len() - 1), 0);
    let bound = values.add(&session).and_then(|()| rows.iter().try_for_each(|row| row.bind(&mut values)));
    bound.map_err(sqlx::Error::Encode)?;
    match sqlx::query_with(INSERTS[room].as_str(), values).execute(database).await {
        Ok(_) => Ok(()),
        Err(error) if engine::is_missing(&error) => {
            Err(CatalogError::Unknown { what: "session", reference: session })
        }
        Err(error) => Err(error.into()),
    }
}

/// Databases have no unsigned numbers; none of ours that is real is beyond theirs.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn media_type_of(content_type: &str) -> Option<String> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    (!media_type.is_empty() && media_type.len() <= MEDIA_TYPE).then(|| media_type.to_ascii_lowercase())
}

/// The least and the greatest identifier that begin with these hexadecimal digits.
fn identifiers_beginning(reference: &str) -> Option<([u8; 16], [u8; 16])> {
    let (mut least, mut greatest) = ([0; 16], [0xff; 16]);
    let mut digits = 0;
    for digit in reference.chars().filter(|character| *character != '-') {
        let digit = digit.to_digit(16)? as u8;
        let (byte, shift) = (digits / 2, if digits % 2 == 0 { 4 } else { 0 });
        *least.get_mut(byte)? |= digit << shift;
        greatest[byte] &= digit << shift | 0x0f << (4 - shift);
        digits += 1;
    }
    (digits > 0).then_some((least, greatest))
}

fn row_of(row: &SqliteRow) -> Result<ExchangeRow, CatalogError> {
    let number = |column: &str| row.try_get::<i64, _>(column);
    let decode = |column: &str| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "the value is not one this program knows".into(),
    };
    let mut path: String = row.try_get("path")?;
    if let Some(query) = row.try_get::<Option<&str>, _>("query")? {
        path.push('?');
        path.push_str(query);
    }
    let id = row.try_get::<&[u8], _>("id")?.try_into().map_err(|_| decode("id"))?;
    Ok(ExchangeRow {
        session: row.try_get::<&str, _>("session_id")?.parse().map_err(|_| decode("session_id"))?,
        sequence: number("sequence")? as u64,
        id: ExchangeId::from_bytes(id),
        started_at: Timestamp::from_unix_micros(number("started_at")?),
        connection: number("connection")? as u64,
        method: row.try_get("method")?,
        scheme: match number("scheme")? {
            0 => Scheme::Http,
            1 => Scheme::Https,
            _ => return Err(decode("scheme").into()),
        },
        host: row.try_get("host")?,
        path,
        status: row.try_get::<Option<i64>, _>("status")?.and_then(|status| u16::try_from(status).ok()),
        kind: KINDS.get(number("kind")? as usize).ok_or_else(|| decode("kind"))?,
        duration_us: number("duration_us")? as u64,
        request_bytes: number("request_bytes")? as u64,
        response_bytes: number("response_bytes")? as u64,
        media_type: row.try_get("media_type")?,
        failure: row.try_get("failure")?,
        answered_by: match number("answered_by")? {
            0 => AnsweredBy::Upstream,
            1 => AnsweredBy::Mock,
            2 => AnsweredBy::Proxy,
            _ => return Err(decode("answered_by").into()),
        },
        graphql: row.try_get("graphql")?,
        location: Location {
            segment: number("segment")? as u32,
            block: number("block")? as u64,
            index: number("place")? as u32,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_stands_for_the_identifiers_from_its_least_to_its_greatest() {
        let beginning = |text: &str| {
            let (least, greatest) = identifiers_beginning(text)?;
            Some((ExchangeId::from_bytes(least).to_string(), ExchangeId::from_bytes(greatest).to_string()))
        };
        let range = |least: &str, greatest: &str| Some((least.to_owned(), greatest.to_owned()));
        let whole = "019a1234-5678-7abc-8def-0123456789ab";
        assert_eq!(beginning(whole), range(whole, whole));
        assert_eq!(beginning(&whole.replace('-', "").to_uppercase()), range(whole, whole));
        assert_eq!(
            beginning("019"),
            range("01900000-0000-0000-0000-000000000000", "019fffff-ffff-ffff-ffff-ffffffffffff")
        );
        assert_eq!(
            beginning("019a-"),
            range("019a0000-0000-0000-0000-000000000000", "019affff-ffff-ffff-ffff-ffffffffffff")
        );
        for text in ["", "-", "checkout", "019x", "%", &format!("{whole}0")] {
            assert_eq!(beginning(text), None, "{text}");
        }
    }

    #[test]
    fn media_types_are_kept_without_parameters_and_in_lower_case() {
        for (given, kept) in [
            ("application/json", Some("application/json")),
            ("Text/HTML; charset=utf-8", Some("text/html")),
            (" ; x", None),
            ("", None),
        ] {
            assert_eq!(media_type_of(given).as_deref(), kept);
        }
        assert_eq!(media_type_of(&"x".repeat(MEDIA_TYPE + 1)), None);
    }
}
