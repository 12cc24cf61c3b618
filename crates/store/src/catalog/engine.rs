//! What is particular to SQLite.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};

use crate::catalog::CatalogError;

/// Each migration once and in order; a published one is never changed.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_sessions_and_exchanges.sql")];

pub(crate) async fn connect(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What a crash of the machine takes from the index is completed from the traffic log.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(true);
    SqlitePoolOptions::new().max_connections(4).connect_with(options).await
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
