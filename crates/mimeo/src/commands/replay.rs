//! `mimeo replay` and `mimeo validate`: judge new code by recorded traffic.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mimeo_engine::recording::UpstreamOptions;
use mimeo_engine::runs::{self, CLOUD_API_NOISE, ReplayOptions, ReportKind};
use mimeo_engine::{IgnoreRule, Outcome, Problem, ProblemKind, ReplaySpeed, Run};
use tokio::sync::watch;

use crate::commands::{Context, Interrupts};
use crate::exit::Exit;
use crate::terminal::style::{BOLD, DIM};

/// Send recorded requests to a target and compare what comes with what was recorded
#[derive(Args)]
#[command(after_help = "\
Examples:
  mimeo replay checkout --target http://localhost:3000
  mimeo replay rec.har --target http://localhost:3000 --speed max --concurrency 8
  mimeo replay @last --target http://localhost:3000 --ignore '$.items[*].id' --ignore header:etag
  mimeo replay checkout --target http://localhost:3000 --report json=run.json,junit=run.xml,html=run.html")]
pub(crate) struct Arguments {
    /// Session (name, identifier, unique beginning of one, @last) or file
    #[arg(default_value = "@last", conflicts_with = "input")]
    recording: String,
    /// File or session to replay; the same as giving it without a flag
    #[arg(long, value_name = "FILE")]
    input: Option<String>,
    /// URL that the requests go to
    #[arg(long, visible_alias = "endpoint", value_name = "URL")]
    target: String,
    /// How fast requests follow each other: 1x, 10x, 0.5x, max
    #[arg(long, visible_alias = "time-scale", default_value = "1x", value_parser = parse_speed)]
    speed: ReplaySpeed,
    /// Longest pause between two requests, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    max_gap: u64,
    /// Most requests in flight at once; those of one client connection keep their order
    #[arg(long, short = 'j', default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    #[command(flatten)]
    judging: Judging,
    /// Compare nothing but statuses
    #[arg(long)]
    status_only: bool,
}

/// Replay a cloud-API recording against an endpoint and fail when it is not compatible
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mimeo validate --input recording.json --endpoint http://localhost:4566 --strict"
)]
pub(crate) struct ValidateArguments {
    /// File or session to replay
    #[arg(long, value_name = "FILE")]
    input: String,
    /// URL that the requests go to
    #[arg(long, visible_alias = "target", value_name = "URL")]
    endpoint: String,
    /// Compare headers and bodies too, not statuses alone
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    judging: Judging,
}

#[derive(Args)]
struct Judging {
    /// Ignore differences there: a JSONPath, a header, or a bare name at any depth; repeatable
    #[arg(long, value_name = "PLACE")]
    ignore: Vec<IgnoreRule>,
    /// Count values that are known to vary, such as instants and request identifiers
    #[arg(long)]
    strict_values: bool,
    /// Header that every request gets, in place of a recorded one; repeatable
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// Reports to write: json=FILE,junit=FILE,html=FILE,md=FILE
    #[arg(long, value_name = "KIND=FILE", value_delimiter = ',', value_parser = parse_report)]
    report: Vec<Report>,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Trust the certificates in this PEM file beside the system's
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Trust any certificate of the target
    #[arg(long)]
    insecure: bool,
    /// Exit with 0 whatever was found
    #[arg(long)]
    exit_zero: bool,
    /// Print nothing but the counts
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone)]
struct Report {
    kind: ReportKind,
    path: PathBuf,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<Exit, Problem> {
    let options = ReplayOptions {
        target: arguments.target,
        upstreams: arguments.judging.upstreams(),
        speed: arguments.speed,
        max_gap: Duration::from_millis(arguments.max_gap),
        concurrency: usize::from(arguments.concurrency),
        ignore: arguments.judging.ignore.clone(),
        status_only: arguments.status_only,
        strict_values: arguments.judging.strict_values,
        headers: arguments.judging.headers.clone(),
    };
    replay(&arguments.input.unwrap_or(arguments.recording), options, &arguments.judging, context).await
}

pub(crate) async fn validate(arguments: ValidateArguments, context: &Context) -> Result<Exit, Problem> {
    let mut ignore = arguments.judging.ignore.clone();
    ignore.extend(CLOUD_API_NOISE.iter().filter_map(|name| name.parse::<IgnoreRule>().ok()));
    let options = ReplayOptions {
        target: arguments.endpoint,
        upstreams: arguments.judging.upstreams(),
        speed: ReplaySpeed::Max,
        max_gap: Duration::ZERO,
        concurrency: 1,
        ignore,
        status_only: !arguments.strict,
        strict_values: arguments.judging.strict_values,
        headers: arguments.judging.headers.clone(),
    };
    replay(&arguments.input, options, &arguments.judging, context).await
}

async fn replay(
    reference: &str,
    options: ReplayOptions,
    judging: &Judging,
    context: &Context,
) -> Result<Exit, Problem> {
    let told = |error: mimeo_engine::Error| error.problem();
    let workspace = context.workspace().await?;
    let source = workspace.find_source(reference).await.map_err(told)?;
    let mut interrupts = Interrupts::listen()?;
    let (stop, stopping) = watch::channel(false);
    let bar = progress_bar(judging.quiet);
    let running = workspace.replay(
        &source,
        options,
        stopping,
        |requests| bar.set_length(requests as u64),
        |_| bar.inc(1),
    );
    tokio::pin!(running);
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome,
            // The first interrupt ends the run and still reports; a second one ends the program.
            () = interrupts.next() => {
                if stop.send_replace(true) {
                    return Ok(Exit::Interrupted);
                }
            }
        }
    };
    bar.finish_and_clear();
    let run = outcome.map_err(told)?;
    let mut out = anstream::stdout().lock();
    if judging.quiet {
        let totals = run.totals();
        let _ = writeln!(
            out,
            "{} matched, {} mismatched, {} errors",
            totals.matched, totals.mismatched, totals.errors
        );
    } else if let Err(error) = crate::terminal::run::show(&mut out, &run)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(Problem::new(ProblemKind::Unavailable, format!("cannot print: {error}")));
    }
    for report in &judging.report {
        runs::write_report(&run, report.kind, &report.path).map_err(told)?;
        let _ = writeln!(anstream::stderr(), "  {DIM}report:{DIM:#} {BOLD}{}{BOLD:#}", report.path.display());
    }
    Ok(if judging.exit_zero { Exit::Ok } else { exit(&run) })
}

fn exit(run: &Run) -> Exit {
    let totals = run.totals();
    if run.interrupted {
        return Exit::Interrupted;
    }
    let unreachable = run.judged.iter().filter_map(|judged| match &judged.outcome {
        Outcome::Failed(failure) => Some(failure.phase),
        Outcome::Answered { .. } | Outcome::Skipped(_) => None,
    });
    let unreachable = unreachable.filter(|phase| matches!(phase.code(), "dns" | "connect" | "tls")).count();
    if totals.sent > 0 && unreachable == totals.sent {
        Exit::CouldNotRun
    } else if totals.matched == totals.sent {
        Exit::Ok
    } else {
        Exit::Judged
    }
}

fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is fixed, so it is one that can be read.
    if let Ok(style) = ProgressStyle::with_template("  {bar:20} {pos}/{len}  {elapsed}  eta {eta}") {
        bar.set_style(style.progress_chars("█▌ "));
    }
    bar
}

impl Judging {
    fn upstreams(&self) -> UpstreamOptions {
        UpstreamOptions {
            ca: self.upstream_ca.clone(),
            insecure: self.insecure,
            http2_prior_knowledge: false,
            timeout: Duration::from_secs(self.timeout),
        }
    }
}

fn parse_speed(text: &str) -> Result<ReplaySpeed, String> {
    super::mock::parse_speed(text).map(|speed| match speed {
        mimeo_engine::Speed::Times(times) => ReplaySpeed::Times(times),
        mimeo_engine::Speed::Max => ReplaySpeed::Max,
    })
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("accepted: `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn parse_report(text: &str) -> Result<Report, String> {
    let accepted = "accepted: json=FILE, junit=FILE, html=FILE, md=FILE";
    let (kind, path) = text.split_once('=').ok_or(accepted)?;
    let kind = match kind {
        "json" => ReportKind::Json,
        "junit" => ReportKind::Junit,
        "html" => ReportKind::Html,
        "md" => ReportKind::Markdown,
        _ => return Err(accepted.to_owned()),
    };
    if path.is_empty() {
        return Err(accepted.to_owned());
    }
    Ok(Report { kind, path: path.into() })
}
