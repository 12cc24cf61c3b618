//! The table of exchanges: a row for each, completed from the traffic log when it lags behind.

use mimeo_model::{Exchange, ExchangeId, SessionId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::catalog::{Catalog, CatalogError};
use crate::traffic::Location;

/// Rows written with one statement; sixteen values each, and engines take at most 32,766.
const CHUNK: usize = 200;

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
    /// Its method.
    pub method: String,
    /// Its authority.
    pub host: String,
    /// Its path and query; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Status of the response.
    pub status: Option<u16>,
    /// `http`, `websocket` or `sse`.
    pub kind: String,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Length of the request body.
    pub request_bytes: u64,
    /// Length of the response body.
    pub response_bytes: u64,
    /// Code of the failure.
    pub failure: Option<String>,
    /// Where its last record lies.
    pub location: Location,
}

/// Which exchanges to list.
#[derive(Debug, Clone, Default)]
pub struct ExchangeFilter {
    /// Only this method.
    pub method: Option<String>,
    /// Only paths that contain this.
    pub path: Option<String>,
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
            "websocket"
        } else if exchange.is_event_stream() {
            "sse"
        } else {
            "http"
        };
        Self {
            session,
            sequence,
            id: exchange.id,
            started_at: exchange.started_at,
            method: exchange.request.method.as_str().to_owned(),
            host: exchange.request.authority.clone(),
            path: String::from_utf8_lossy(&exchange.request.target).into_owned(),
            status: exchange.status(),
            kind: kind.to_owned(),
            duration_us: exchange.timings.total.as_micros() as u64,
            request_bytes: exchange.request.body.length,
            response_bytes: exchange.response.as_ref().map_or(0, |response| response.body.length),
            failure: exchange.failure.as_ref().map(|failure| failure.kind.code().to_owned()),
            location,
        }
    }
}

impl Catalog {
    /// Adds rows; those that are there already stay as they are.
    pub async fn add_exchanges(&self, rows: &[ExchangeRow]) -> Result<(), CatalogError> {
        let mut transaction = self.pool.begin().await?;
        for chunk in rows.chunks(CHUNK) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO exchanges (session, sequence, id, started_at, method, host, path, status, kind, \
                 duration_us, request_bytes, response_bytes, failure, segment, block, place) ",
            );
            query.push_values(chunk, |mut values, row| {
                values
                    .push_bind(row.session.to_string())
                    .push_bind(row.sequence as i64)
                    .push_bind(row.id.to_string())
                    .push_bind(row.started_at.unix_micros())
                    .push_bind(&row.method)
                    .push_bind(&row.host)
                    .push_bind(&row.path)
                    .push_bind(row.status.map(i64::from))
                    .push_bind(&row.kind)
                    .push_bind(row.duration_us as i64)
                    .push_bind(row.request_bytes as i64)
                    .push_bind(row.response_bytes as i64)
                    .push_bind(&row.failure)
                    .push_bind(i64::from(row.location.segment))
                    .push_bind(row.location.block as i64)
                    .push_bind(i64::from(row.location.index));
            });
            query.push(" ON CONFLICT DO NOTHING");
            query.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Number of rows of a session and the greatest sequence number among them.
    pub async fn indexed(&self, session: SessionId) -> Result<(u64, u64), CatalogError> {
        let row =
            sqlx::query("SELECT count(*), coalesce(max(sequence), 0) FROM exchanges WHERE session = $1")
                .bind(session.to_string())
                .fetch_one(&self.pool)
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
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM exchanges WHERE session = ");
        query.push_bind(session.to_string());
        if let Some(method) = &filter.method {
            query.push(" AND method = ").push_bind(method);
        }
        if let Some(path) = &filter.path {
            query.push(" AND instr(path, ").push_bind(path).push(") > 0");
        }
        if let Some(from) = filter.status_from {
            query.push(" AND status >= ").push_bind(i64::from(from));
        }
        if let Some(to) = filter.status_to {
            query.push(" AND status <= ").push_bind(i64::from(to));
        }
        if filter.failed {
            query.push(" AND failure IS NOT NULL");
        }
        query.push(" ORDER BY sequence LIMIT ").push_bind(limit as i64);
        query.push(" OFFSET ").push_bind(offset as i64);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(row_of).collect()
    }

    /// Finds an exchange of any session by its identifier or a unique beginning of it.
    pub async fn find_exchange(&self, reference: &str) -> Result<ExchangeRow, CatalogError> {
        // The index serves a range, which a prefix is: `0` to `~` spans every digit that may follow.
        let rows = sqlx::query("SELECT * FROM exchanges WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 4")
            .bind(reference)
            .bind(format!("{reference}~"))
            .fetch_all(&self.pool)
            .await?;
        let found = rows.iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
        match &found[..] {
            [one] => Ok(one.clone()),
            several if several.iter().any(|row| row.id.to_string() == reference) => Ok(several[0].clone()),
            [] => Err(CatalogError::Unknown { what: "exchange", reference: reference.to_owned() }),
            several => Err(CatalogError::Ambiguous {
                reference: reference.to_owned(),
                candidates: several.iter().map(|row| row.id.to_string()).collect(),
            }),
        }
    }

    /// Finds an exchange of a session by its sequence number.
    pub async fn exchange_at(&self, session: SessionId, sequence: u64) -> Result<ExchangeRow, CatalogError> {
        let row = sqlx::query("SELECT * FROM exchanges WHERE session = $1 AND sequence = $2")
            .bind(session.to_string())
            .bind(sequence as i64)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map_or_else(
            || Err(CatalogError::Unknown { what: "exchange", reference: format!("#{sequence}") }),
            row_of,
        )
    }

    /// The busiest endpoints of a session.
    pub async fn endpoints(&self, session: SessionId, limit: u64) -> Result<Vec<Endpoint>, CatalogError> {
        let rows = sqlx::query(
            "SELECT method, endpoint, count(*) AS seen, \
             sum(CASE WHEN failure IS NOT NULL OR status >= 500 THEN 1 ELSE 0 END) AS errors, \
             CAST(avg(duration_us) AS BIGINT) AS mean FROM \
             (SELECT method, status, failure, duration_us, CASE WHEN instr(path, '?') > 0 \
             THEN substr(path, 1, instr(path, '?') - 1) ELSE path END AS endpoint \
             FROM exchanges WHERE session = $1) AS split \
             GROUP BY method, endpoint ORDER BY seen DESC, endpoint, method LIMIT $2",
        )
        .bind(session.to_string())
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Endpoint {
                    method: row.try_get("method")?,
                    path: row.try_get("endpoint")?,
                    count: row.try_get::<i64, _>("seen")? as u64,
                    errors: row.try_get::<i64, _>("errors")? as u64,
                    mean_us: row.try_get::<i64, _>("mean")? as u64,
                })
            })
            .collect()
    }
}

fn row_of(row: &SqliteRow) -> Result<ExchangeRow, CatalogError> {
    let number = |column: &str| row.try_get::<i64, _>(column);
    let decode = |column: &str| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "the value is not an identifier".into(),
    };
    Ok(ExchangeRow {
        session: row.try_get::<String, _>("session")?.parse().map_err(|_| decode("session"))?,
        sequence: number("sequence")? as u64,
        id: row.try_get::<String, _>("id")?.parse().map_err(|_| decode("id"))?,
        started_at: Timestamp::from_unix_micros(number("started_at")?),
        method: row.try_get("method")?,
        host: row.try_get("host")?,
        path: row.try_get("path")?,
        status: row.try_get::<Option<i64>, _>("status")?.and_then(|status| u16::try_from(status).ok()),
        kind: row.try_get("kind")?,
        duration_us: number("duration_us")? as u64,
        request_bytes: number("request_bytes")? as u64,
        response_bytes: number("response_bytes")? as u64,
        failure: row.try_get("failure")?,
        location: Location {
            segment: number("segment")? as u32,
            block: number("block")? as u64,
            index: number("place")? as u32,
        },
    })
}
