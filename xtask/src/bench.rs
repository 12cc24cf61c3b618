//! `cargo xtask bench`: Mimeo beside its peers, on one machine, in one run, over the loopback.
//!
//! The figure to trust is CPU per request: user and system time of the server's processes, read from the
//! system before and after each load. Load, server and upstream share the same cores, so throughput says how
//! dear the server is to all of them. Rounds are interleaved, so that a busy machine shifts all alike. A second
//! load at half of each server's own throughput, on a schedule, gives its latency. Peers that are not installed
//! are named.

mod load;
mod measure;
mod peers;
mod replay;
mod report;
mod stage;

use std::path::Path;
use std::process::ExitCode;

use crate::say;
use load::{HalfLoad, Measured};
use peers::Peer;
use stage::{Group, Stage};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Seconds of one load.
    seconds: u32,
    /// Loads of each server that count; one more warms it up.
    rounds: u32,
}

/// One line of the result.
pub(crate) struct Row {
    group: &'static str,
    name: String,
    rounds: Vec<Measured>,
    half: Option<HalfLoad>,
    peak_kib: u64,
    /// What went wrong, when something did.
    fault: Option<String>,
}

pub(crate) fn run(root: &Path, arguments: &[String]) -> ExitCode {
    let effort = match arguments {
        [] => Effort { seconds: 4, rounds: 3 },
        [quick] if quick == "--quick" => Effort { seconds: 1, rounds: 1 },
        _ => {
            say("usage: cargo xtask bench [--quick]");
            return ExitCode::from(2);
        }
    };
    match everything(root, effort) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("the benchmark did not run: {error}"));
            ExitCode::from(2)
        }
    }
}

fn everything(root: &Path, effort: Effort) -> Result<(), String> {
    let stage = Stage::prepare(root)?;
    let mut rows = Vec::new();
    let mut absent = stage.absent_tools();
    for name in stage::GROUPS {
        say(&format!("── {name}"));
        let group = stage.group(name)?;
        absent.extend(group.absent.clone());
        rows.extend(measure_group(&stage, name, group, effort));
    }
    rows.extend(replay::rows(&stage, effort));
    absent.dedup();
    say(&report::table(&rows, &absent));
    let path = stage.folder().join("report.json");
    std::fs::write(&path, report::json(&rows, &absent))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    say(&format!("also as {}", path.strip_prefix(root).unwrap_or(&path).display()));
    Ok(())
}

fn measure_group(stage: &Stage, group: &'static str, peers: Group, effort: Effort) -> Vec<Row> {
    let mut measured: Vec<(Peer, Row)> = peers
        .peers
        .into_iter()
        .map(|peer| {
            let name = peer.name.clone();
            (peer, Row { group, name, rounds: Vec::new(), half: None, peak_kib: 0, fault: None })
        })
        .collect();
    for round in 0..=effort.rounds {
        for (peer, row) in measured.iter_mut().filter(|(_, row)| row.fault.is_none()) {
            match load::full(stage, peer, effort.seconds) {
                // The first round warms up.
                Ok(figures) if round > 0 => row.rounds.push(figures),
                Ok(_) => {}
                Err(fault) => {
                    say(&format!("{}: {fault}", row.name));
                    row.fault = Some(fault);
                }
            }
        }
    }
    for (peer, row) in measured.iter_mut().filter(|(_, row)| row.fault.is_none()) {
        let own = report::median(&row.rounds, |round| round.requests_per_second);
        match load::half(stage, peer, own / 2.0, effort.seconds) {
            Ok(half) => row.half = Some(half),
            Err(fault) => row.fault = Some(fault),
        }
    }
    measured
        .into_iter()
        .map(|(peer, mut row)| {
            row.peak_kib = peer.peak_kib();
            row
        })
        .collect()
}
