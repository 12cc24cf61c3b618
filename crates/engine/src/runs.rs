//! Replay runs: a recording sent to a target and judged.

use std::path::Path;
use std::time::Duration;

use mimeo_compare::{IgnoreRule, Rules};
use mimeo_model::{Problem, ProblemKind};
use mimeo_replay::{Judged, Plan, PlanOptions, Run, RunOptions, Speed, report};
use mimeo_transport::connect::Connector;
use tokio::sync::watch;

use crate::error::Error;
use crate::files::Source;
use crate::recording::{UpstreamOptions, upstream};
use crate::workspace::Workspace;

/// Names that vary between calls of cloud APIs, beside what varies everywhere.
pub const CLOUD_API_NOISE: [&str; 7] = [
    "RequestId",
    "requestId",
    "ResponseMetadata",
    "HostId",
    "x-amzn-RequestId",
    "x-amz-request-id",
    "x-amz-id-2",
];

/// How to replay.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// URL of the target.
    pub target: String,
    /// How the target is reached; its timeout also bounds each piece of a body.
    pub upstreams: UpstreamOptions,
    /// How fast requests follow each other.
    pub speed: Speed,
    /// Longest pause between two requests.
    pub max_gap: Duration,
    /// Most requests in flight at once.
    pub concurrency: usize,
    /// Places whose differences are ignored.
    pub ignore: Vec<IgnoreRule>,
    /// Whether nothing but the status is compared.
    pub status_only: bool,
    /// Whether values that are known to vary count as well.
    pub strict_values: bool,
    /// Headers that every request gets.
    pub headers: Vec<(String, String)>,
}

/// The kinds of report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// The compatibility report.
    Json,
    /// JUnit XML.
    Junit,
    /// One HTML file.
    Html,
    /// Markdown.
    Markdown,
}

impl Workspace {
    /// Replays a source. `planned` is told the number of requests, `progress` of each as it is judged; `stop`
    /// ends the run early.
    pub async fn replay(
        &self,
        source: &Source,
        options: ReplayOptions,
        stop: watch::Receiver<bool>,
        planned: impl FnOnce(usize),
        progress: impl FnMut(&Judged),
    ) -> Result<Run, Error> {
        let target = upstream(&options.target)?;
        let headers = options
            .headers
            .iter()
            .map(|(name, value)| mimeo_replay::drive::header(name, value))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|header| {
                Problem::new(ProblemKind::Invalid, format!("`{header}` is not a header"))
                    .in_field("--header")
                    .accepting("`Name: value`")
            })?;
        let connector = Connector::new(options.upstreams.connect_config()?);
        connector.open_tcp(&target.origin.host, target.origin.port).await.map_err(|failure| {
            Problem::new(ProblemKind::Unavailable, format!("the target does not answer: {}", failure.detail))
                .in_field("--target")
                .with_hint("start the target before the replay")
        })?;
        let mut exchanges = Vec::new();
        let report = self.read_source(source, |exchange| {
            exchanges.push(exchange);
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        let plan = Plan::new(exchanges, PlanOptions { speed: options.speed, max_gap: options.max_gap });
        planned(plan.items.len());
        let driven = RunOptions {
            target,
            concurrency: options.concurrency,
            timeout: options.upstreams.timeout,
            rules: Rules {
                ignore: options.ignore,
                status_only: options.status_only,
                strict_values: options.strict_values,
            },
            headers,
            clock: self.clock.clone(),
            stop,
        };
        let mut run = mimeo_replay::run(plan, connector, driven, progress).await;
        run.recording = source.name();
        run.gaps = report.gaps;
        Ok(run)
    }
}

/// Writes a report.
pub fn write_report(run: &Run, kind: ReportKind, path: &Path) -> Result<(), Error> {
    let text = match kind {
        ReportKind::Json => report::json::render(run),
        ReportKind::Junit => report::junit::render(run),
        ReportKind::Html => report::html::render(run),
        ReportKind::Markdown => report::markdown::render(run),
    };
    std::fs::write(path, text).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}
