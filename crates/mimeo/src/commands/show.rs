//! `mimeo show`: one exchange, as people read it.

use std::io::Write;

use clap::Args;
use mimeo_engine::body::decoded::{self, DecodeLimits};
use mimeo_engine::body::media_type::MediaType;
use mimeo_engine::stream::{Direction, event};
use mimeo_engine::{Body, Exchange, Headers, Problem, ProblemKind};

use crate::commands::Context;
use crate::exit::Exit;
use crate::terminal::exchange_line;
use crate::terminal::format::{cut, duration, harmless, size};
use crate::terminal::style::{self, BAD, BOLD, DIM, NOTABLE};

/// Most characters of a body that are shown.
const SHOWN: usize = 64 << 10;
/// Most bytes of a binary body that are shown.
const DUMPED: usize = 256;

/// Show one exchange: headers, decoded bodies, frames, events, timings
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mimeo show 0199a1b2\n  mimeo show checkout#3\n  mimeo show '#3' --body response > answer.bin"
)]
pub(crate) struct Arguments {
    /// Identifier, unique beginning of one, SESSION#NUMBER, or #NUMBER of the last session
    #[arg(value_name = "ID")]
    exchange: String,
    /// Print one JSON object
    #[arg(long, conflicts_with = "body")]
    json: bool,
    /// Print nothing but this body, decoded
    #[arg(long, value_enum)]
    body: Option<Side>,
    /// With --body: print the bytes as they travelled, still encoded
    #[arg(long, requires = "body")]
    raw: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Side {
    Request,
    Response,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Exit, Problem> {
    let workspace = context.workspace().await?;
    let (session, row, exchange) =
        workspace.find_exchange(&arguments.exchange).await.map_err(|error| error.problem())?;
    let mut out = anstream::stdout().lock();
    let printed = match arguments.body {
        Some(side) => {
            let (headers, body) = match (side, &exchange.response) {
                (Side::Request, _) => (&exchange.request.headers, &exchange.request.body),
                (Side::Response, Some(response)) => (&response.headers, &response.body),
                (Side::Response, None) => {
                    return Err(Problem::new(ProblemKind::NotFound, "the exchange has no response"));
                }
            };
            let bytes = body.inline().cloned().unwrap_or_default();
            let bytes = if arguments.raw {
                bytes
            } else {
                decoded::decode(&bytes, headers.get("content-encoding"), DecodeLimits::default()).map_err(
                    |error| {
                        Problem::new(ProblemKind::Invalid, error.to_string())
                            .with_hint("`--raw` prints the encoded bytes")
                    },
                )?
            };
            std::io::stdout().lock().write_all(&bytes)
        }
        None if arguments.json => {
            writeln!(out, "{}", exchange_line::machine(&exchange, row.sequence, exchange.frames.len() as u64))
        }
        None => show(&mut out, &session.name, row.sequence, &exchange),
    };
    match printed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Problem::new(ProblemKind::Unavailable, format!("cannot print: {error}")))
        }
        Ok(()) | Err(_) => Ok(Exit::Ok),
    }
}

fn show(out: &mut impl Write, session: &str, sequence: u64, exchange: &Exchange) -> std::io::Result<()> {
    let request = &exchange.request;
    writeln!(out, "{DIM}{} · {session}#{sequence} · {}{DIM:#}", exchange.id, exchange.started_at)?;
    writeln!(
        out,
        "{BOLD}{} {}{BOLD:#} {DIM}{}{DIM:#}",
        harmless(request.method.as_str()),
        harmless(&request.url()),
        request.version.as_str()
    )?;
    fields(out, &request.headers)?;
    body(out, &request.headers, &request.body)?;
    fields(out, &request.trailers)?;
    for operation in &exchange.graphql {
        writeln!(
            out,
            "{NOTABLE}graphql{NOTABLE:#} {:?} {}",
            operation.kind,
            operation.name.as_deref().unwrap_or("(unnamed)")
        )?;
    }
    writeln!(out)?;
    if let Some(response) = &exchange.response {
        for interim in &response.interim {
            writeln!(out, "{DIM}{} (interim){DIM:#}", interim.status)?;
            fields(out, &interim.headers)?;
        }
        let colour = style::of_status(Some(response.status));
        let reason = response.reason.as_ref().map(|reason| String::from_utf8_lossy(reason).into_owned());
        writeln!(
            out,
            "{colour}{} {}{colour:#} {DIM}{}{DIM:#}",
            response.status,
            harmless(reason.as_deref().unwrap_or_default()),
            response.version.as_str()
        )?;
        fields(out, &response.headers)?;
        if exchange.is_event_stream() {
            events(out, &response.headers, &response.body)?;
        } else {
            body(out, &response.headers, &response.body)?;
        }
        fields(out, &response.trailers)?;
    }
    for frame in &exchange.frames {
        let arrow = if frame.direction == Direction::Send { "→" } else { "←" };
        let text = match std::str::from_utf8(&frame.payload) {
            Ok(text) => cut(text, 120),
            Err(_) => format!("{} bytes", frame.length),
        };
        let code = frame.close_code().map_or_else(String::new, |code| format!(" {code}"));
        writeln!(out, "{DIM}{:>9}{DIM:#} {arrow} {:?}{code} {text}", duration(frame.at), frame.opcode)?;
    }
    if let Some(failure) = &exchange.failure {
        writeln!(out, "{BAD}{}{BAD:#} while {}: {}", failure.kind, failure.phase, harmless(&failure.detail))?;
    }
    let timings = &exchange.timings;
    let steps = [
        ("blocked", timings.blocked),
        ("dns", timings.dns),
        ("connect", timings.connect),
        ("tls", timings.tls),
        ("send", timings.send),
        ("wait", timings.wait),
        ("receive", timings.receive),
    ];
    let mut line = String::new();
    for (name, took) in steps {
        if let Some(took) = took {
            line.extend([name, " ", &duration(took), " · "]);
        }
    }
    let reused = if timings.reused { " · reused connection" } else { "" };
    writeln!(out, "\n{DIM}{line}total {}{reused}{DIM:#}", duration(timings.total))
}

fn fields(out: &mut impl Write, headers: &Headers) -> std::io::Result<()> {
    headers.iter().try_for_each(|(name, value)| {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        writeln!(out, "{NOTABLE}{}{NOTABLE:#}: {}", harmless(&name), harmless(&value))
    })
}

fn body(out: &mut impl Write, headers: &Headers, body: &Body) -> std::io::Result<()> {
    if body.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let bytes = body.inline().cloned().unwrap_or_default();
    let media = MediaType::of(headers.get("content-type"));
    match decoded::decode(&bytes, headers.get("content-encoding"), DecodeLimits::default()) {
        Err(error) => writeln!(out, "{DIM}({} encoded: {error}){DIM:#}", size(body.length))?,
        Ok(plain) => match std::str::from_utf8(&plain) {
            Ok(text) if media.is_text() || !text.contains('\0') => {
                let pretty = match media {
                    MediaType::Json => {
                        serde_json::from_str::<serde_json::Value>(text).ok().map(|value| format!("{value:#}"))
                    }
                    _ => None,
                };
                let text = pretty.as_deref().unwrap_or(text);
                let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
                writeln!(out, "{}", harmless(&text[..end].replace("\r\n", "\n")))?;
                if end < text.len() {
                    writeln!(
                        out,
                        "{DIM}(… {} in all; `--body` prints everything){DIM:#}",
                        size(text.len() as u64)
                    )?;
                }
            }
            Ok(_) | Err(_) => dump(out, &plain)?,
        },
    }
    if body.is_truncated() {
        writeln!(out, "{DIM}({} of {} captured){DIM:#}", size(body.captured_length()), size(body.length))?;
    }
    Ok(())
}

fn events(out: &mut impl Write, headers: &Headers, body: &Body) -> std::io::Result<()> {
    writeln!(out)?;
    let bytes = body.inline().cloned().unwrap_or_default();
    let encoding = headers.get("content-encoding");
    let Ok(plain) = decoded::decode(&bytes, encoding, DecodeLimits::default()) else {
        return self::body(out, headers, body);
    };
    // Arrival times belong to encoded bytes and say nothing of decoded ones.
    let chunks = if encoding.is_none() { &body.chunks[..] } else { &[] };
    for event in event::events(&plain, chunks) {
        let kind = event.event.as_deref().unwrap_or("message");
        let id = event.id.as_deref().map_or_else(String::new, |id| format!(" #{}", cut(id, 40)));
        writeln!(
            out,
            "{DIM}{:>9}{DIM:#} {BOLD}{}{BOLD:#}{id} {}",
            duration(event.at),
            cut(kind, 40),
            cut(&event.data, 160)
        )?;
    }
    Ok(())
}

fn dump(out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    for (line, chunk) in bytes[..bytes.len().min(DUMPED)].chunks(16).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            chunk.iter().map(|byte| if byte.is_ascii_graphic() { *byte as char } else { '.' }).collect();
        writeln!(out, "{DIM}{:06x}{DIM:#}  {:<47}  {text}", line * 16, hex.join(" "))?;
    }
    if bytes.len() > DUMPED {
        writeln!(out, "{DIM}(… {} in all; `--body` prints everything){DIM:#}", size(bytes.len() as u64))?;
    }
    Ok(())
}
