//! `mimeo demo`: the whole story in one go, offline: record a shop, mock it, replay it against a second version
//! and find the regression.

mod client;
mod shop;

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use mimeo_engine::files::Source;
use mimeo_engine::mocking::{Missing, MockOptions, MockServer};
use mimeo_engine::recorder::Announce;
use mimeo_engine::recorder::queue::Overflow;
use mimeo_engine::recording::{RecordOptions, Recording, UpstreamOptions, Way};
use mimeo_engine::runs::{self, ReplayOptions, ReportKind};
use mimeo_engine::{Problem, ProblemKind, ReplaySpeed, Session, Speed, Workspace};
use tokio::sync::watch;

use crate::commands::Context;
use crate::exit::Exit;
use crate::terminal::style::{BAD, BOLD, DIM, GOOD};
use crate::terminal::{exchange_line, run};

/// Show the whole story: record a small shop, mock it, replay it against a version with a regression
#[derive(Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: Arguments, context: &Context) -> Result<Exit, Problem> {
    let began = Instant::now();
    let workspace = context.workspace().await?;
    let failed = |error: std::io::Error| {
        Problem::new(ProblemKind::Unavailable, format!("the demo could not go on: {error}"))
    };

    say(&format!(
        "{BOLD}1. Record{BOLD:#}  A small shop starts on this machine, and a client uses it through Mimeo."
    ));
    let shop = shop::Shop::start(shop::Edition::First).await.map_err(failed)?;
    let session = record(&workspace, &shop, context).await?;
    shop.stop();

    say(&format!(
        "\n{BOLD}2. Mock{BOLD:#}  The shop is gone. The same client gets the same answers from the recording."
    ));
    let equal = mock(&workspace, &session).await?;

    say(&format!(
        "\n{BOLD}3. Replay{BOLD:#}  The shop's second version starts. Its authors broke something; what was recorded finds it."
    ));
    let second = shop::Shop::start(shop::Edition::Second).await.map_err(failed)?;
    let found = replay(&workspace, &session, second.address()).await?;
    second.stop();

    let folder = workspace.root().join("demo");
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let (har, page) = (folder.join("shop.har"), folder.join("replay.html"));
    let source = Source::Session(Box::new(session.clone()));
    workspace.export(&source, &har, None).map_err(|error| error.problem())?;
    runs::write_report(&found, ReportKind::Html, &page).map_err(|error| error.problem())?;

    say(&format!("\n{BOLD}Left for you{BOLD:#}  after {:.1} s", began.elapsed().as_secs_f64()));
    say(&format!("  recording   {}       mimeo sessions show {}", session.name, session.name));
    say(&format!("  as HAR      {}", har.display()));
    say(&format!("  report      {}", page.display()));
    say("\n  Next, with a service of your own:  mimeo record https://api.example.com");
    // The demo shows a regression being found; not finding it would be the failure.
    let totals = found.totals();
    Ok(if equal && totals.mismatched == 1 && totals.errors == 0 { Exit::Ok } else { Exit::Judged })
}

async fn record(workspace: &Workspace, shop: &shop::Shop, context: &Context) -> Result<Session, Problem> {
    let offset = context.offset;
    let announce: Announce = Box::new(move |announced| {
        say(&exchange_line::human(&announced, false, offset));
    });
    let options = RecordOptions {
        name: None,
        way: Way::Reverse { target: format!("http://{}", shop.address()), preserve_host: false },
        port: None,
        upstreams: upstreams(),
        max_body: 10 << 20,
        overflow: Overflow::Block,
        keep_credentials: false,
        sync_interval: Duration::from_secs(1),
        announce_proxy: false,
        capture: true,
    };
    let recording = Recording::start(workspace, options, announce).await.map_err(|error| error.problem())?;
    let visited = client::visit(recording.address()).await;
    let recorded = recording.stop().await.map_err(|error| error.problem())?;
    visited.map_err(|error| {
        Problem::new(ProblemKind::Unavailable, format!("the demo's client failed: {error}"))
    })?;
    say(&format!(
        "  {GOOD}{} exchanges{GOOD:#} recorded; the credential that the client sent is {BOLD}not{BOLD:#} on disk",
        recorded.tally.entries
    ));
    Ok(recorded.session)
}

async fn mock(workspace: &Workspace, session: &Session) -> Result<bool, Problem> {
    let source = Source::Session(Box::new(session.clone()));
    let loaded = workspace.load_library(&source).map_err(|error| error.problem())?;
    let options = MockOptions {
        port: None,
        speed: Speed::Times(4.0),
        on_miss: Missing::Fail,
        target: None,
        upstreams: upstreams(),
        intercept: false,
    };
    let server =
        MockServer::start(workspace, loaded.library, options, None).await.map_err(|error| error.problem())?;
    let address: SocketAddr = server.address();
    let visited = client::visit(address).await;
    let miss = client::get(address, "/v1/products?page=99").await;
    let mocked = server.stop().await.map_err(|error| error.problem())?;
    let fault =
        |error: std::io::Error| Problem::new(ProblemKind::Unavailable, format!("the mock failed: {error}"));
    let (steps, miss) = (visited.map_err(fault)?, miss.map_err(fault)?);
    say(&format!(
        "  {GOOD}{} of {} answers{GOOD:#} came from the recording; a request that was not recorded gets {}",
        steps,
        mocked.counts.requests - 1,
        miss.status
    ));
    Ok(miss.status == 404)
}

async fn replay(
    workspace: &Workspace,
    session: &Session,
    target: SocketAddr,
) -> Result<mimeo_engine::Run, Problem> {
    let options = ReplayOptions {
        target: format!("http://{target}"),
        upstreams: upstreams(),
        speed: ReplaySpeed::Times(4.0),
        max_gap: Duration::from_secs(1),
        concurrency: 1,
        ignore: Vec::new(),
        status_only: false,
        strict_values: false,
        // What was hidden when it was recorded is given anew.
        headers: vec![("Authorization".to_owned(), format!("Bearer {}", client::SECRET))],
    };
    let source = Source::Session(Box::new(session.clone()));
    let (_stop, stopping) = watch::channel(false);
    let found = workspace
        .replay(&source, options, stopping, |_| {}, |_| {})
        .await
        .map_err(|error| error.problem())?;
    // A terminal that is gone takes nothing away from the result.
    let _ = run::show(&mut anstream::stdout().lock(), &found);
    if found.totals().mismatched != 1 {
        say(&format!(
            "  {BAD}the regression was not found as expected{BAD:#} {DIM}(please report this){DIM:#}"
        ));
    }
    Ok(found)
}

fn upstreams() -> UpstreamOptions {
    UpstreamOptions { timeout: Duration::from_secs(10), ..UpstreamOptions::default() }
}

fn say(text: &str) {
    // A reader that left has seen what it wanted.
    let _ = writeln!(anstream::stdout(), "{text}");
}
