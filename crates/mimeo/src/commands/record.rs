//! `mimeo record`: stand in the traffic and keep it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use mimeo_engine::recorder::Announce;
use mimeo_engine::recorder::queue::Overflow;
use mimeo_engine::recording::{RecordOptions, Recorded, Recording, UpstreamOptions, Way};
use mimeo_engine::{Problem, ProblemKind, Workspace};
use serde_json::json;

use crate::commands::{Context, Interrupts, child};
use crate::exit::Exit;
use crate::terminal::exchange_line;
use crate::terminal::format::{cut, duration, size};
use crate::terminal::style::{BAD, BOLD, DIM, WARNING};

/// Record traffic: in front of one upstream, or as the client's proxy
///
/// Give a URL to stand in front of that upstream, `--forward` to be a client's proxy, or a command after `--`
/// to run it with the proxy in its environment.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// URL of the upstream to stand in front of
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// URL of the upstream; the same as giving it without a flag
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    target: Option<String>,
    /// Be a forward proxy: clients name it in HTTP_PROXY
    #[arg(long, conflicts_with_all = ["url", "target"])]
    forward: bool,
    /// Intercept HTTPS with this installation's CA
    #[arg(long, conflicts_with_all = ["url", "target"])]
    mitm: bool,
    /// Tunnel these hosts untouched in spite of --mitm; `*` stands for any part, repeatable
    #[arg(long, value_name = "GLOB")]
    passthrough_host: Vec<String>,
    /// Port to listen on; 0 is any free one [default: the first free one of 8081-8999]
    #[arg(long, short)]
    port: Option<u16>,
    /// Name of the session [default: made from the upstream and the date]
    #[arg(long, short)]
    name: Option<String>,
    /// Send the client's Host to the upstream instead of the upstream's own
    #[arg(long)]
    preserve_host: bool,
    /// Tell the upstream of the proxy: Via, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host
    #[arg(long)]
    forwarded_headers: bool,
    /// Trust the certificates in this PEM file beside the system's
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Trust any certificate of the upstream
    #[arg(long)]
    insecure: bool,
    /// Speak HTTP/2 to plain http upstreams without asking (h2c with prior knowledge)
    #[arg(long)]
    upstream_http2: bool,
    /// Seconds to wait for an upstream's response
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Most bytes kept of each body, such as 64KiB, 10MiB or 2GiB
    #[arg(long, value_name = "SIZE", default_value = "10MiB", value_parser = parse_size)]
    max_body: u64,
    /// What happens when exchanges come faster than they can be kept: traffic waits, or exchanges are lost
    #[arg(long, value_enum, default_value_t = OverflowArgument::Block)]
    capture_overflow: OverflowArgument,
    /// `off` passes traffic through without keeping it
    #[arg(long, value_enum, default_value_t = Capture::On)]
    capture: Capture,
    /// Keep credentials in clear instead of hiding them before they reach the disk
    #[arg(long)]
    keep_credentials: bool,
    /// `always` makes every block survive a loss of power; otherwise the longest delay in milliseconds
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = parse_sync)]
    sync: Duration,
    /// File to write when recording ends: rec.har, or rec.json for the recording JSON
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print nothing for each exchange
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON object for each exchange
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Command to run with the proxy in its environment; recording ends with it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  mimeo record https://api.example.com
  mimeo record --target https://api.example.com --port 8081 --name checkout
  mimeo record --forward --mitm --port 8085
  mimeo record -- pytest tests/
";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OverflowArgument {
    /// Traffic waits, at most 5 s
    Block,
    /// Traffic never waits
    Drop,
    /// Traffic never waits while a file of at most 1 GiB takes what is too much
    Spill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Capture {
    On,
    Off,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Exit, Problem> {
    let way = way(&arguments)?;
    let workspace = context.workspace().await?;
    let mut err = anstream::stderr();
    for (set, warning) in [
        (arguments.insecure, "certificates of upstreams are not checked"),
        (arguments.keep_credentials, "credentials are kept in clear on disk"),
    ] {
        if set {
            let _ = writeln!(err, "{WARNING}warning:{WARNING:#} {warning}");
        }
    }
    let mut interrupts = Interrupts::listen()?;
    let lines = Arc::new(Lines::default());
    let options = RecordOptions {
        name: arguments.name.clone(),
        way: way.clone(),
        port: arguments.port,
        upstreams: UpstreamOptions {
            ca: arguments.upstream_ca.clone(),
            insecure: arguments.insecure,
            http2_prior_knowledge: arguments.upstream_http2,
            timeout: Duration::from_secs(arguments.timeout),
        },
        max_body: arguments.max_body,
        overflow: match arguments.capture_overflow {
            OverflowArgument::Block => Overflow::Block,
            OverflowArgument::Drop => Overflow::Drop,
            OverflowArgument::Spill => Overflow::Spill,
        },
        keep_credentials: arguments.keep_credentials,
        sync_interval: arguments.sync,
        announce_proxy: arguments.forwarded_headers,
        capture: arguments.capture == Capture::On,
    };
    let with_host = matches!(way, Way::Forward { .. });
    let announce = printer(&arguments, with_host, context, lines.clone());
    let recording = Recording::start(&workspace, options, announce).await.map_err(|error| error.problem())?;
    head(&recording, &way, &arguments);
    let ended = if arguments.command.is_empty() {
        interrupts.next().await;
        Ok(Exit::Ok)
    } else {
        let authority = workspace.authority().map_err(|error| error.problem())?;
        child::run(&arguments.command, recording.address(), &authority, workspace.root(), &mut interrupts)
            .await
    };
    // A second interrupt does not wait for what is in flight.
    let stopping = recording.stop();
    let recorded = tokio::select! {
        recorded = stopping => recorded.map_err(|error| error.problem())?,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    if let Some(output) = &arguments.output {
        let source = mimeo_engine::files::Source::Session(Box::new(recorded.session.clone()));
        workspace.export(&source, output, None).map_err(|error| error.problem())?;
    }
    summary(&workspace, &recorded, &arguments).await?;
    let exit = ended?;
    Ok(if recorded.tally.lost() > 0 && exit == Exit::Ok { Exit::Lost } else { exit })
}

fn way(arguments: &Arguments) -> Result<Way, Problem> {
    match arguments.url.as_ref().or(arguments.target.as_ref()) {
        Some(_) if !arguments.command.is_empty() => Err(Problem::new(
            ProblemKind::Invalid,
            "a command is recorded through a forward proxy, which has no upstream of its own",
        )
        .in_field("URL")
        .with_hint("leave the URL out: `mimeo record -- COMMAND`")),
        Some(target) => Ok(Way::Reverse { target: target.clone(), preserve_host: arguments.preserve_host }),
        None if arguments.forward || arguments.mitm || !arguments.command.is_empty() => Ok(Way::Forward {
            intercept: arguments.mitm || !arguments.command.is_empty(),
            passthrough: arguments.passthrough_host.clone(),
        }),
        None => Err(Problem::new(ProblemKind::Invalid, "there is nothing to record yet")
            .accepting("a URL, `--forward`, or a command after `--`")
            .with_hint("`mimeo record https://api.example.com` stands in front of that upstream")),
    }
}

/// Whether standard output still takes lines.
#[derive(Default)]
struct Lines {
    closed: AtomicBool,
}

fn printer(arguments: &Arguments, with_host: bool, context: &Context, lines: Arc<Lines>) -> Announce {
    if arguments.quiet {
        return Box::new(|_| {});
    }
    let (json, offset) = (arguments.json, context.offset);
    let out = Mutex::new(());
    Box::new(move |announced| {
        if lines.closed.load(Ordering::Relaxed) {
            return;
        }
        let line = if json {
            exchange_line::machine(announced.exchange, announced.sequence, announced.frames)
        } else {
            exchange_line::human(&announced, with_host, offset)
        };
        let _turn = out.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever reads the lines may leave; the recording goes on.
        if writeln!(anstream::stdout(), "{line}").is_err() {
            lines.closed.store(true, Ordering::Relaxed);
        }
    })
}

fn head(recording: &Recording, way: &Way, arguments: &Arguments) {
    let mut err = anstream::stderr();
    let address = recording.address();
    let session = recording.session();
    let what = match way {
        Way::Reverse { target, .. } => cut(target, 80),
        Way::Forward { intercept: true, .. } => "forward proxy, HTTPS intercepted".to_owned(),
        Way::Forward { intercept: false, .. } => "forward proxy, HTTPS tunnelled".to_owned(),
    };
    let _ = writeln!(err, "  recording  {BOLD}{}{BOLD:#}   {what}", session.name);
    let place = match way {
        Way::Reverse { .. } => format!("point your app at  {BOLD}http://{address}{BOLD:#}"),
        Way::Forward { .. } => {
            format!(
                "point your app at  {BOLD}HTTP_PROXY=http://{address} HTTPS_PROXY=http://{address}{BOLD:#}"
            )
        }
    };
    if arguments.command.is_empty() {
        let _ = writeln!(err, "  {place}        {DIM}(Ctrl-C to stop){DIM:#}");
    }
    if let Way::Forward { intercept: true, .. } = way
        && arguments.command.is_empty()
    {
        let _ = writeln!(err, "  {DIM}clients must trust the CA: `mimeo ca install-help`{DIM:#}");
    }
    let _ = writeln!(err);
}

async fn summary(workspace: &Workspace, recorded: &Recorded, arguments: &Arguments) -> Result<(), Problem> {
    let Recorded { session, tally, counts } = recorded;
    let endpoints = workspace.endpoints(session.id, 5).await.map_err(|error| error.problem())?;
    if arguments.json {
        let line = json!({
            "session": session.name,
            "id": session.id.to_string(),
            "entryCount": tally.entries,
            "errors": tally.errors,
            "bytes": tally.bytes,
            "lostExchanges": tally.lost_exchanges,
            "lostBodies": tally.lost_bodies,
            "requests": counts.requests,
            "refused": counts.refused,
        });
        let _ = writeln!(anstream::stderr(), "{line}");
        return Ok(());
    }
    let mut err = anstream::stderr();
    if let Some(output) = &arguments.output {
        let _ = writeln!(err, "\n  written to {}", output.display());
    }
    let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let _ = writeln!(
        err,
        "\n  {} · {} · {} · stored as {BOLD}{}{BOLD:#} {DIM}in {}{DIM:#}",
        count(tally.entries, "exchange"),
        count(tally.errors, "error"),
        size(tally.bytes),
        session.name,
        workspace.root().display(),
    );
    for endpoint in &endpoints {
        let errors = if endpoint.errors > 0 {
            format!("  {BAD}{} failed{BAD:#}", endpoint.errors)
        } else {
            String::new()
        };
        let _ = writeln!(
            err,
            "  {:>7}  {:<7} {:<44} {DIM}mean {}{DIM:#}{errors}",
            endpoint.count,
            cut(&endpoint.method, 7),
            cut(&endpoint.path, 44),
            duration(Duration::from_micros(endpoint.mean_us)),
        );
    }
    if tally.lost() > 0 {
        let _ = writeln!(
            err,
            "  {BAD}lost{BAD:#}  {} missing, {} without their body; the recording says where",
            count(tally.lost_exchanges, "exchange"),
            tally.lost_bodies,
        );
    }
    if tally.entries > 0 {
        let _ = writeln!(
            err,
            "  next:  mimeo mock {name}      mimeo replay {name} --target http://localhost:3000",
            name = session.name,
        );
    }
    Ok(())
}

pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let accepted = "a number with B, KiB, MiB or GiB, such as 10MiB";
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("accepted: {accepted}"))?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("accepted: {accepted}")),
    };
    number.checked_mul(unit).ok_or_else(|| "the size is too large".to_owned())
}

fn parse_sync(text: &str) -> Result<Duration, String> {
    if text == "always" {
        return Ok(Duration::ZERO);
    }
    text.parse()
        .map(Duration::from_millis)
        .map_err(|_| "accepted: `always` or a number of milliseconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(parse_size("10MiB"), Ok(10 << 20));
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("2 GiB"), Ok(2 << 30));
        assert!(parse_size("10 apples").is_err());
        assert!(parse_size("99999999999999999GiB").is_err());
        assert!(parse_size("").is_err());
    }
}
