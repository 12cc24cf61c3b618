//! A replay is no server: it sends a recording as fast as it can, and what it takes in all is measured.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::load::Measured;
use crate::bench::stage::{Stage, har};
use crate::bench::{Effort, Row, measure};
use crate::say;

/// Exchanges of the recording for each second of a load.
const EXCHANGES: usize = 5_000;

pub(crate) fn rows(stage: &Stage, effort: Effort) -> Vec<Row> {
    let group = "replaying a 1 KiB answer at full speed";
    say(&format!("── {group}"));
    [1, 16]
        .into_iter()
        .map(|concurrency| {
            let name = format!("mimeo replay, concurrency {concurrency}");
            let mut row = Row { group, name, rounds: Vec::new(), half: None, peak_kib: 0, fault: None };
            for round in 0..=effort.rounds {
                match once(stage, concurrency, EXCHANGES * effort.seconds as usize) {
                    Ok((figures, peak_kib)) => {
                        row.peak_kib = row.peak_kib.max(peak_kib);
                        if round > 0 {
                            row.rounds.push(figures);
                        }
                    }
                    Err(fault) => {
                        say(&format!("{}: {fault}", row.name));
                        row.fault = Some(fault);
                        break;
                    }
                }
            }
            row
        })
        .collect()
}

fn once(stage: &Stage, concurrency: usize, exchanges: usize) -> Result<(Measured, u64), String> {
    let recording = stage.folder().join("replayed.har");
    let body = fs::read_to_string(stage.folder().join("www/1k")).map_err(|error| error.to_string())?;
    let entries = (0..exchanges).map(|_| ("/1k".to_owned(), body.clone()));
    fs::write(&recording, har("http://api.example", entries)).map_err(|error| error.to_string())?;
    let before = measure::cpu_us_of_ended_children();
    let began = Instant::now();
    let mut child = Command::new(stage.program())
        .arg("replay")
        .arg(&recording)
        .args(["--target", stage.upstream(), "--speed", "max", "--quiet"])
        .args(["--concurrency", &concurrency.to_string()])
        .env("MIMEO_DATA_DIR", stage.folder().join("data/replay"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        peak_kib = peak_kib.max(measure::peak_kib(&[child.id()]));
        std::thread::sleep(Duration::from_millis(5));
    };
    if !status.success() {
        return Err(format!("the replay ended with {status}"));
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_us = measure::cpu_us_of_ended_children().saturating_sub(before) as f64 / exchanges as f64;
    let figures = Measured {
        requests_per_second: exchanges as f64 / seconds,
        p50_us: f64::NAN,
        p99_us: f64::NAN,
        cpu_us,
    };
    Ok((figures, peak_kib))
}
