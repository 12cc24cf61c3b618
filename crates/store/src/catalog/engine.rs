//! What is particular to SQLite.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};

use crate::catalog::CatalogError;

/// Each migration once and in order; a published one is never changed.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_sessions_and_exchanges.sql")];

/// How long the first opening waits for another process's.
const FIRST_OPENING: Duration = Duration::from_secs(10);

pub(crate) async fn connect(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What a crash of the machine takes from the index is completed from the traffic log.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(true);
    // Switching a new database to its write-ahead log needs it alone and does not wait for its turn, so of two
    // processes that open it for the first time one is turned away.
    let deadline = tokio::time::Instant::now() + FIRST_OPENING;
    loop {
        match SqlitePoolOptions::new().max_connections(4).connect_with(options.clone()).await {
            Err(error) if is_locked(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened,
        }
    }
}

/// Whether another process holds the database.
fn is_locked(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and its extended codes, of which the low byte is 5.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

pub(crate) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), CatalogError> {
    let known = MIGRATIONS.len() as i64;
    let found = version(pool).await?;
    if found > known {
        return Err(CatalogError::Newer { path: path.to_owned(), found, known });
    }
    if found == known {
        return Ok(());
    }
    // The write lock is taken first, so that of two processes one migrates and the other finds it done.
    let mut connection = pool.acquire().await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let applied = async {
        let row = sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await?;
        let found: i64 = row.get(0);
        for (number, migration) in (1..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or(0)) {
            sqlx::raw_sql(*migration).execute(&mut *connection).await?;
            let set = match number {
                1 => "PRAGMA user_version = 1",
                _ => continue,
            };
            sqlx::raw_sql(set).execute(&mut *connection).await?;
        }
        Ok::<_, sqlx::Error>(())
    }
    .await;
    let end = if applied.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::query(end).execute(&mut *connection).await?;
    Ok(applied?)
}

async fn version(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    Ok(sqlx::query("PRAGMA user_version").fetch_one(pool).await?.get(0))
}

/// Whether the fault is that a unique value exists already.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
