//! `mimeo sessions`: what was recorded.

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use mimeo_engine::{ExchangeFilter, ExchangeRow, Problem, ProblemKind, ProxyMode, Session, SessionState};
use serde_json::{Value, json};

use crate::commands::Context;
use crate::exit::Exit;
use crate::terminal::format::{cut, date_and_time, duration, size, time_of_day};
use crate::terminal::style::{self, BAD, BOLD, DIM, GOOD};

/// List, look into and remove recorded sessions
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List all sessions, newest first
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a session and its exchanges
    Show {
        /// Name, identifier, unique beginning of one, or @last
        #[arg(default_value = "@last")]
        session: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Exchanges to show at most
        #[arg(long, default_value_t = 50)]
        limit: u64,
        /// Exchanges to pass over
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Only exchanges that failed
        #[arg(long)]
        failed: bool,
        /// Only this method
        #[arg(long)]
        method: Option<String>,
        /// Only URLs whose path contains this
        #[arg(long)]
        path: Option<String>,
    },
    /// Remove sessions with their traffic
    Rm {
        /// Names, identifiers, unique beginnings of them, or @last
        #[arg(required = true)]
        sessions: Vec<String>,
    },
    /// Remove the sessions that ended some time ago
    Prune {
        /// How long ago, such as 12h, 5d or 2w
        #[arg(long, default_value = "5d", value_parser = parse_age)]
        older_than: Duration,
    },
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Exit, Problem> {
    let workspace = context.workspace().await?;
    let mut out = anstream::stdout().lock();
    let told = |error: mimeo_engine::Error| error.problem();
    let printed = match arguments.action {
        Action::Ls { json: true } => {
            let all: Vec<Value> = workspace.sessions().await.map_err(told)?.iter().map(as_json).collect();
            writeln!(out, "{}", json!({"sessions": all, "total": all.len()}))
        }
        Action::Ls { json: false } => {
            let all = workspace.sessions().await.map_err(told)?;
            if all.is_empty() {
                writeln!(out, "  nothing recorded yet; begin with  mimeo record https://api.example.com")
            } else {
                all.iter().try_for_each(|session| list_line(&mut out, session, context))
            }
        }
        Action::Show { session, json, limit, offset, failed, method, path } => {
            let session = workspace.find_session(&session).await.map_err(told)?;
            let filter = ExchangeFilter { method, path, failed, ..ExchangeFilter::default() };
            let rows = workspace.list_exchanges(session.id, &filter, offset, limit).await.map_err(told)?;
            if json {
                let mut shown = as_json(&session);
                shown["entries"] = rows.iter().map(row_as_json).collect();
                writeln!(out, "{shown:#}")
            } else {
                show(&mut out, &session, &rows, context)
            }
        }
        Action::Rm { sessions } => {
            for reference in sessions {
                let session = workspace.find_session(&reference).await.map_err(told)?;
                workspace.remove_session(&session).await.map_err(told)?;
                let _ = writeln!(
                    anstream::stderr(),
                    "  removed {} ({} exchanges)",
                    session.name,
                    session.entries
                );
            }
            Ok(())
        }
        Action::Prune { older_than } => {
            let removed = workspace.prune_sessions(older_than).await.map_err(told)?;
            for session in &removed {
                let _ = writeln!(
                    anstream::stderr(),
                    "  removed {} ({} exchanges)",
                    session.name,
                    session.entries
                );
            }
            let _ = writeln!(anstream::stderr(), "  {} removed", removed.len());
            Ok(())
        }
    };
    // A reader that left, as `head` does, has seen what it wanted.
    match printed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Problem::new(ProblemKind::Unavailable, format!("cannot print: {error}")))
        }
        Ok(()) | Err(_) => Ok(Exit::Ok),
    }
}

fn list_line(out: &mut impl Write, session: &Session, context: &Context) -> std::io::Result<()> {
    let colour = state_style(session.state);
    let lost = if session.lost > 0 { format!("  {BAD}{} lost{BAD:#}", session.lost) } else { String::new() };
    writeln!(
        out,
        "  {BOLD}{:<28}{BOLD:#} {colour}{:<11}{colour:#} {:>8} exchanges  {:>10}  {DIM}{}{DIM:#}  {}{lost}",
        cut(&session.name, 28),
        session.state.code(),
        session.entries,
        size(session.bytes),
        date_and_time(session.created_at, context.offset),
        cut(session.target.as_deref().unwrap_or(session.mode.code()), 60),
    )
}

fn show(
    out: &mut impl Write,
    session: &Session,
    rows: &[ExchangeRow],
    context: &Context,
) -> std::io::Result<()> {
    list_line(out, session, context)?;
    writeln!(out, "  {DIM}{}{DIM:#}\n", session.id)?;
    let with_host = session.mode != ProxyMode::Reverse;
    for row in rows {
        let colour = style::of_status(row.status);
        let shown = if with_host { format!("{}{}", row.host, row.path) } else { row.path.clone() };
        writeln!(
            out,
            "  {DIM}{:>6}  {}{DIM:#}  {:<7} {:<44} {colour}{}{colour:#}  {:>9}  {:>8}{}",
            row.sequence,
            time_of_day(row.started_at, context.offset),
            cut(&row.method, 7),
            cut(&shown, 44),
            row.status.map_or_else(|| "---".to_owned(), |status| status.to_string()),
            size(row.response_bytes),
            duration(Duration::from_micros(row.duration_us)),
            row.failure.as_ref().map_or_else(String::new, |failure| format!("  {BAD}{failure}{BAD:#}")),
        )?;
    }
    let shown = rows.len() as u64;
    if shown < session.entries {
        writeln!(
            out,
            "\n  {DIM}{shown} of {} shown; `--offset`, `--limit` and filters show others{DIM:#}",
            session.entries
        )?;
    }
    Ok(())
}

fn state_style(state: SessionState) -> anstyle::Style {
    match state {
        SessionState::Running => GOOD,
        SessionState::Stopped => DIM,
        SessionState::Interrupted => style::WARNING,
    }
}

pub(crate) fn as_json(session: &Session) -> Value {
    json!({
        "id": session.id.to_string(),
        "name": session.name,
        "mode": session.mode.code(),
        "targetUrl": session.target,
        "listenPort": session.port,
        "status": session.state.code(),
        "entryCount": session.entries,
        "errorCount": session.errors,
        "bytes": session.bytes,
        "lost": session.lost,
        "createdAt": session.created_at.to_string(),
        "stoppedAt": session.stopped_at.map(|at| at.to_string()),
    })
}

fn row_as_json(row: &ExchangeRow) -> Value {
    json!({
        "id": row.id.to_string(),
        "sequence": row.sequence,
        "entryType": row.kind,
        "startedAt": row.started_at.to_string(),
        "method": row.method,
        "host": row.host,
        "path": row.path,
        "status": row.status,
        "durationMs": row.duration_us as f64 / 1000.0,
        "requestBytes": row.request_bytes,
        "responseBytes": row.response_bytes,
        "error": row.failure,
    })
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let accepted = || "accepted: a number with m, h, d or w, such as 5d".to_owned();
    let unit = text.chars().next_back().ok_or_else(accepted)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| accepted())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(accepted()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(accepted)
}
