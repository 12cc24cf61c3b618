//! `mimeo mock`: serve what was recorded.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use mimeo_engine::mocking::{self, Missing, MockOptions, MockServer};
use mimeo_engine::recorder::Announce;
use mimeo_engine::recording::UpstreamOptions;
use mimeo_engine::{Fidelity, Problem, ProblemKind, Speed};
use serde_json::json;

use crate::commands::{Context, Interrupts, child};
use crate::exit::Exit;
use crate::terminal::exchange_line;
use crate::terminal::format::cut;
use crate::terminal::style::{BAD, BOLD, DIM, GOOD, WARNING};

/// Serve a recording: the same requests get the same answers, with the upstream gone
#[derive(Args)]
#[command(after_help = "\
Examples:
  mimeo mock checkout --port 9090
  mimeo mock rec.har
  mimeo mock checkout --on-miss record --target https://api.example.com
  mimeo mock packages -- pip download six
  mimeo mock checkout --verify")]
pub(crate) struct Arguments {
    /// Session (name, identifier, unique beginning of one, @last) or file
    #[arg(default_value = "@last")]
    recording: String,
    /// Port to listen on; 0 is any free one [default: the first free one of 8081-8999]
    #[arg(long, short)]
    port: Option<u16>,
    /// What happens to a request that was not recorded
    #[arg(long, value_enum, default_value_t = OnMiss::Fail)]
    on_miss: OnMiss,
    /// URL of the upstream that such requests go to
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// How fast streams are played back: 1x, 10x, 0.5x, max
    #[arg(long, default_value = "1x", value_parser = parse_speed)]
    speed: Speed,
    /// Answer clients that name the mock as their HTTPS proxy, with this installation's CA
    #[arg(long)]
    mitm: bool,
    /// Trust the certificates in this PEM file beside the system's
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Trust any certificate of the upstream
    #[arg(long)]
    insecure: bool,
    /// Put every recorded request to the mock and report what it reproduces; serves nothing
    #[arg(long)]
    verify: bool,
    /// Print nothing for each request
    #[arg(long, short)]
    quiet: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Command to run with the mock as its proxy; serving ends with it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnMiss {
    /// 404 that names the closest recordings
    Fail,
    /// Ask the upstream
    Passthrough,
    /// Ask the upstream and record the answer
    Record,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Exit, Problem> {
    if arguments.on_miss != OnMiss::Fail && arguments.target.is_none() {
        return Err(Problem::new(ProblemKind::Invalid, "requests that were not recorded have nowhere to go")
            .in_field("--on-miss")
            .with_hint("name the upstream with `--target URL`"));
    }
    let workspace = context.workspace().await?;
    let told = |error: mimeo_engine::Error| error.problem();
    let source = workspace.find_source(&arguments.recording).await.map_err(told)?;
    let loaded = workspace.load_library(&source).map_err(told)?;
    let mut err = anstream::stderr();
    for skipped in loaded.report.skipped.iter().take(5) {
        let _ = writeln!(err, "{WARNING}skipped:{WARNING:#} {}", cut(skipped, 160));
    }
    let lost: u64 = loaded.report.gaps.iter().map(|gap| gap.exchanges + gap.bodies).sum();
    if lost > 0 || !loaded.report.gaps.is_empty() {
        let _ = writeln!(
            err,
            "{WARNING}warning:{WARNING:#} the recording has {} gaps: {lost} exchanges are missing or lack their body",
            loaded.report.gaps.len()
        );
    }
    if arguments.verify {
        return Ok(verify(&mocking::fidelity(&loaded.library), arguments.json));
    }
    if loaded.library.mocks().is_empty() {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!("`{}` has no answers to serve", source.name()),
        )
        .with_hint("`mimeo sessions show` shows what was recorded"));
    }
    let options = MockOptions {
        port: arguments.port,
        speed: arguments.speed,
        on_miss: match arguments.on_miss {
            OnMiss::Fail => Missing::Fail,
            OnMiss::Passthrough => Missing::Passthrough,
            OnMiss::Record => Missing::Record,
        },
        target: arguments.target.clone(),
        upstreams: UpstreamOptions {
            ca: arguments.upstream_ca.clone(),
            insecure: arguments.insecure,
            http2_prior_knowledge: false,
            timeout: Duration::from_mins(2),
        },
        intercept: arguments.mitm || !arguments.command.is_empty(),
    };
    let mut interrupts = Interrupts::listen()?;
    let announce = (!arguments.quiet).then(|| printer(&arguments, context));
    let (requests, mocks) = (loaded.library.requests(), loaded.library.mocks().len());
    let server = MockServer::start(&workspace, loaded.library, options, announce).await.map_err(told)?;
    let _ = writeln!(
        err,
        "  mocking    {BOLD}{}{BOLD:#}   {mocks} answers to {requests} requests",
        cut(&source.name(), 60)
    );
    if arguments.command.is_empty() {
        let address = server.address();
        let _ = writeln!(
            err,
            "  point your app at  {BOLD}http://{address}{BOLD:#}        {DIM}(Ctrl-C to stop){DIM:#}\n"
        );
    }
    let ended = if arguments.command.is_empty() {
        interrupts.next().await;
        Ok(Exit::Ok)
    } else {
        let authority = workspace.authority().map_err(told)?;
        child::run(&arguments.command, server.address(), &authority, workspace.root(), &mut interrupts).await
    };
    let stopping = server.stop();
    let mocked = tokio::select! {
        mocked = stopping => mocked.map_err(told)?,
        () = interrupts.next() => return Ok(Exit::Interrupted),
    };
    let _ = writeln!(err, "\n  {} requests", mocked.counts.requests);
    if !mocked.departures.is_empty() {
        let _ = writeln!(err, "  {WARNING}left the machine{WARNING:#}");
        for (request, count) in &mocked.departures {
            let _ = writeln!(err, "  {count:>7}  {}", cut(request, 100));
        }
    }
    if let Some(session) = &mocked.recorded {
        let _ = writeln!(err, "  recorded as {BOLD}{}{BOLD:#} ({} exchanges)", session.name, session.entries);
    }
    ended
}

fn printer(arguments: &Arguments, context: &Context) -> Announce {
    let (json, offset) = (arguments.json, context.offset);
    let closed = AtomicBool::new(false);
    Box::new(move |announced| {
        if closed.load(Ordering::Relaxed) {
            return;
        }
        let line = if json {
            exchange_line::machine(announced.exchange, announced.sequence, announced.frames)
        } else {
            exchange_line::human(&announced, false, offset)
        };
        // Whoever reads the lines may leave; the mock serves on.
        closed.store(writeln!(anstream::stdout(), "{line}").is_err(), Ordering::Relaxed);
    })
}

fn verify(endpoints: &[Fidelity], as_json: bool) -> Exit {
    let mut out = anstream::stdout().lock();
    let (recorded, reproduced) = endpoints.iter().fold((0, 0), |(recorded, reproduced), endpoint| {
        (recorded + endpoint.recorded, reproduced + endpoint.reproduced)
    });
    let exit = if recorded == reproduced { Exit::Ok } else { Exit::Judged };
    if as_json {
        let listed: Vec<_> = endpoints
            .iter()
            .map(|endpoint| {
                let failed: Vec<_> = endpoint
                    .failed
                    .iter()
                    .map(|(id, why)| json!({"id": id.to_string(), "why": why}))
                    .collect();
                json!({
                    "method": endpoint.method,
                    "path": endpoint.path,
                    "recorded": endpoint.recorded,
                    "reproduced": endpoint.reproduced,
                    "failed": failed,
                })
            })
            .collect();
        let report = json!({"recorded": recorded, "reproduced": reproduced, "endpoints": listed});
        let _ = writeln!(out, "{report:#}");
        return exit;
    }
    for endpoint in endpoints {
        let colour = if endpoint.recorded == endpoint.reproduced { GOOD } else { BAD };
        let _ = writeln!(
            out,
            "  {colour}{:>6} of {:<6}{colour:#} {:<7} {}",
            endpoint.reproduced,
            endpoint.recorded,
            cut(&endpoint.method, 7),
            cut(&endpoint.path, 70)
        );
        for (id, why) in endpoint.failed.iter().take(3) {
            let _ = writeln!(out, "                   {DIM}{id}{DIM:#}  {why}");
        }
    }
    let colour = if exit == Exit::Ok { GOOD } else { BAD };
    let _ = writeln!(out, "\n  {colour}{reproduced} of {recorded} reproduced{colour:#}");
    exit
}

/// Reads `1x`, `10x`, `0.5x` or `max`.
pub(crate) fn parse_speed(text: &str) -> Result<Speed, String> {
    let accepted = || "accepted: a factor such as 1x, 10x or 0.5x, or max".to_owned();
    if text == "max" || text == "0" {
        return Ok(Speed::Max);
    }
    let times: f64 = text.strip_suffix('x').unwrap_or(text).parse().map_err(|_| accepted())?;
    if times.is_finite() && times > 0.0 { Ok(Speed::Times(times)) } else { Err(accepted()) }
}
