//! `mimeo export` and `mimeo import`: recordings as files.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use mimeo_engine::Problem;

use crate::commands::Context;
use crate::exit::Exit;
use crate::terminal::format::cut;
use crate::terminal::style::{BOLD, WARNING};

/// Write a recording to a file: HAR, or the recording JSON of cloud-API tests
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mimeo export checkout --output rec.har\n  mimeo export @last --output - --format har | jq .log.entries[0]"
)]
pub(crate) struct ExportArguments {
    /// Session (name, identifier, unique beginning of one, @last) or file
    #[arg(default_value = "@last")]
    recording: String,
    /// File to write; its ending says the format; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Format, where the ending does not say it: har, recording
    #[arg(long)]
    format: Option<String>,
}

/// Bring a file into the data directory as a session
#[derive(Args)]
#[command(after_help = "Examples:\n  mimeo import rec.har --name checkout")]
pub(crate) struct ImportArguments {
    /// File: HAR from a browser or proxy, or a recording JSON; gzip is unpacked
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the session [default: made from the file's name and the date]
    #[arg(long, short)]
    name: Option<String>,
    /// Keep credentials in clear instead of hiding them
    #[arg(long)]
    keep_credentials: bool,
}

pub(crate) async fn export(arguments: ExportArguments, context: &Context) -> Result<Exit, Problem> {
    let workspace = context.workspace().await?;
    let source = workspace.find_source(&arguments.recording).await.map_err(|error| error.problem())?;
    let report = workspace
        .export(&source, &arguments.output, arguments.format.as_deref())
        .map_err(|error| error.problem())?;
    let mut err = anstream::stderr();
    for note in &report.left_out {
        let _ = writeln!(
            err,
            "{WARNING}left out:{WARNING:#} {} ({} exchanges, first {})",
            note.what, note.count, note.first
        );
    }
    let _ = writeln!(err, "  {} exchanges written to {}", report.written, arguments.output.display());
    Ok(Exit::Ok)
}

pub(crate) async fn import(arguments: ImportArguments, context: &Context) -> Result<Exit, Problem> {
    let workspace = context.workspace().await?;
    let (session, report) = workspace
        .import(&arguments.file, arguments.name, arguments.keep_credentials)
        .await
        .map_err(|error| error.problem())?;
    let mut err = anstream::stderr();
    for skipped in report.skipped.iter().take(10) {
        let _ = writeln!(err, "{WARNING}skipped:{WARNING:#} {}", cut(skipped, 160));
    }
    if report.skipped_total > 10 {
        let _ = writeln!(err, "{WARNING}skipped:{WARNING:#} and {} more", report.skipped_total - 10);
    }
    let _ = writeln!(
        err,
        "  {} exchanges imported, {} skipped; stored as {BOLD}{}{BOLD:#}",
        report.exchanges, report.skipped_total, session.name
    );
    Ok(Exit::Ok)
}
