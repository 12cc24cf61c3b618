//! One load on one server.

use std::process::Command;

use crate::bench::peers::Peer;

/// What one load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// User and system time of the server for each request, in microseconds.
    pub(crate) cpu_us: f64,
}

/// Connections of the load.
const CONNECTIONS: u32 = 64;

pub(crate) fn run(peer: &Peer, seconds: u32) -> Result<Measured, String> {
    let before = peer.cpu_ticks();
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency", &peer.url])
        .output()
        .map_err(|error| format!("wrk: {error}"))?;
    let after = peer.cpu_ticks();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("{} answered with errors:\n{text}", peer.name));
    }
    let line = |start: &str| text.lines().map(str::trim).find_map(|line| line.strip_prefix(start));
    let requests_per_second: f64 = line("Requests/sec:")
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| format!("wrk said {text}"))?;
    let requests: f64 = text
        .lines()
        .find_map(|line| {
            line.split(" requests in").next().filter(|_| line.contains(" requests in"))?.trim().parse().ok()
        })
        .ok_or_else(|| format!("wrk said {text}"))?;
    let millis = |value: Option<&str>| -> f64 {
        let value = value.unwrap_or_default().trim();
        let (number, factor) = match value {
            value if value.ends_with("us") => (value.trim_end_matches("us"), 0.001),
            value if value.ends_with("ms") => (value.trim_end_matches("ms"), 1.0),
            value => (value.trim_end_matches('s'), 1000.0),
        };
        number.parse::<f64>().unwrap_or(f64::NAN) * factor
    };
    // Clock ticks are hundredths of a second on every Linux that is alive.
    let cpu_us = after.saturating_sub(before) as f64 * 10_000.0 / requests;
    Ok(Measured { requests_per_second, p50_ms: millis(line("50%")), p99_ms: millis(line("99%")), cpu_us })
}
