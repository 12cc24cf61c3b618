//! Loads on one server: as much as it answers, and half of that on a schedule.
//!
//! `wrk` gives the first where it can: it is the cheapest there is. Where a proxy is reached by CONNECT, and for
//! a set rate, it is the testbed's own load.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::peers::Peer;
use crate::bench::stage::Stage;

/// Connections of every load.
pub(crate) const CONNECTIONS: u32 = 64;

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// User and system time of the server for each request.
    pub(crate) cpu_us: f64,
}

/// Latency at half of a server's own throughput.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HalfLoad {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

struct Counted {
    requests: f64,
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

/// As many requests as the server answers.
pub(crate) fn full(stage: &Stage, peer: &Peer, seconds: u32) -> Result<Measured, String> {
    let before = peer.cpu_us();
    let counted = if stage.has_wrk() && !peer.origin.starts_with("https") {
        wrk(stage, peer, seconds)?
    } else {
        own(stage, peer, seconds, None)?
    };
    let cpu_us = peer.cpu_us().saturating_sub(before) as f64 / counted.requests;
    Ok(Measured {
        requests_per_second: counted.requests_per_second,
        p50_us: counted.p50_us,
        p99_us: counted.p99_us,
        cpu_us,
    })
}

/// So many requests a second, whether or not the server keeps up.
pub(crate) fn half(stage: &Stage, peer: &Peer, rate: f64, seconds: u32) -> Result<HalfLoad, String> {
    let counted = own(stage, peer, seconds, Some(rate))?;
    Ok(HalfLoad {
        requests_per_second: counted.requests_per_second,
        p50_us: counted.p50_us,
        p99_us: counted.p99_us,
    })
}

fn own(stage: &Stage, peer: &Peer, seconds: u32, rate: Option<f64>) -> Result<Counted, String> {
    let mut command = Command::new(stage.testbed());
    command.args(["load", &peer.origin, "--connections", &CONNECTIONS.to_string()]);
    command.args(["--seconds", &seconds.to_string(), "--paths"]).arg(&peer.paths);
    if let Some(rate) = rate {
        command.args(["--rate", &format!("{rate:.1}")]);
    }
    if let Some(through) = &peer.through {
        command.args(["--through", through]);
    }
    if let Some(trust) = &peer.trust {
        command.arg("--trust").arg(trust);
    }
    let output = command.output().map_err(|error| format!("the testbed's load: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let figure = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    };
    let requests = figure("requests");
    if figure("errors") > 0.0 || requests < 1.0 {
        return Err(format!("not every request was answered: {}", text.replace('\n', ", ")));
    }
    Ok(Counted {
        requests,
        requests_per_second: requests / figure("seconds"),
        p50_us: figure("p50_us"),
        p99_us: figure("p99_us"),
    })
}

fn wrk(stage: &Stage, peer: &Peer, seconds: u32) -> Result<Counted, String> {
    let script = stage.folder().join("paths.lua");
    fs::write(&script, lua(&peer.paths)).map_err(|error| error.to_string())?;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency", "--timeout", "20s"])
        .arg("-s")
        .arg(&script)
        .arg(&peer.origin)
        .output()
        .map_err(|error| format!("wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        |start: &str| text.lines().map(str::trim).find_map(|line| line.strip_prefix(start)).map(str::trim);
    let counted = (|| {
        Some(Counted {
            requests: text.lines().find_map(|line| line.split_once(" requests in")?.0.trim().parse().ok())?,
            requests_per_second: line("Requests/sec:")?.parse().ok()?,
            p50_us: microseconds(line("50%")?)?,
            p99_us: microseconds(line("99%")?)?,
        })
    })();
    let failed = text.contains("Non-2xx") || text.contains("Socket errors");
    counted
        .filter(|counted| !failed && counted.requests >= 1.0)
        .ok_or_else(|| format!("not every request was answered: {}", text.replace('\n', ", ")))
}

/// A script with the requests made once, so that asking for many paths costs no more than asking for one.
fn lua(paths: &Path) -> String {
    format!(
        "local requests, at = {{}}, 0\n\
         init = function(arguments)\n\
           for path in io.lines({:?}) do requests[#requests + 1] = wrk.format('GET', path) end\n\
         end\n\
         request = function() at = at % #requests + 1; return requests[at] end\n",
        paths.display().to_string()
    )
}

fn microseconds(text: &str) -> Option<f64> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 6e7,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * factor)
}
