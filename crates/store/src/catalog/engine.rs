//! What is particular to SQLite.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqlitePool};

use crate::catalog::CatalogError;

/// Each migration once and in order; a published one is never changed.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_sessions_and_exchanges.sql")];

/// How long the first opening waits for another process's.
const FIRST_OPENING: Duration = Duration::from_secs(10);
/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// Connections that read.
const READERS: u32 = 3;

/// Begins a transaction that writes. It takes its turn at once: one that reads first would be turned away when
/// another process wrote in between.
pub(crate) const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";

/// Opens the database: one connection that writes, since the engine lets one write at a time, and some that
/// read.
pub(crate) async fn connect(path: &Path) -> Result<(SqlitePool, SqlitePool), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What a crash of the machine takes from the index is completed from the traffic log.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        // How long a query took is nothing that a user asked for.
        .disable_statement_logging();
    // Switching a new database to its write-ahead log needs it alone and does not wait for its turn, so of two
    // processes that open it for the first time one is turned away.
    let deadline = tokio::time::Instant::now() + FIRST_OPENING;
    let writer = loop {
        match SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await {
            Err(error) if is_locked(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => break opened?,
        }
    };
    let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options);
    Ok((writer, readers))
}

/// Brings the schema up to date, or says that it is newer than this program.
pub(crate) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), CatalogError> {
    let known = MIGRATIONS.len() as i64;
    let found = sqlx::query("PRAGMA user_version").fetch_one(pool).await?.get::<i64, _>(0);
    if found > known {
        return Err(CatalogError::Newer { path: path.to_owned(), found, known });
    }
    if found == known {
        return Ok(());
    }
    // The write lock is taken first, so that of two processes one migrates and the other finds it done.
    let mut transaction = pool.begin_with(BEGIN_WRITING).await?;
    let found = sqlx::query("PRAGMA user_version").fetch_one(&mut *transaction).await?.get::<i64, _>(0);
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or(0)) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        // A pragma takes no parameters; the number is ours.
        let set = AssertSqlSafe(format!("PRAGMA user_version = {number}"));
        sqlx::raw_sql(set).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Adds up to `rows` rows to a table whose first column names a session by its number; rows that are there
/// already stay. Its parameters are the session's identifier and the other columns of each row in turn; rows
/// whose parameters are not bound are left out. Parameters have no numbers, since SQLite looks each numbered one
/// up by its name.
pub(crate) fn insert_rows(table: &str, columns: &[&str], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len() - 1].join(","));
    let values = vec![row; rows].join(",");
    let taken: Vec<_> = (1..columns.len()).map(|column| format!("column{column}")).collect();
    format!(
        "INSERT INTO {table} ({}) SELECT (SELECT number FROM sessions WHERE id = ?), {} FROM (VALUES {values}) \
         WHERE column1 IS NOT NULL ON CONFLICT DO NOTHING",
        columns.join(", "),
        taken.join(", ")
    )
}

/// Whether the fault is that a value that must be there is not.
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.kind() == sqlx::error::ErrorKind::NotNullViolation)
}

/// A condition that holds when the text `haystack`, which is SQL, contains the parameter that follows it and
/// `)`, case kept.
pub(crate) fn contains(haystack: &str) -> String {
    format!("0 < instr({haystack}, ")
}

/// Whether the fault is that a unique value exists already.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Whether another process holds the database.
fn is_locked(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and its extended codes, of which the low byte is 5.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}
