//! The result: medians over the rounds, and ratios to the first row of each group.

use std::fmt::Write;

use crate::bench::Row;
use crate::bench::load::Measured;

pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut group = "";
    let mut anchor = 1.0;
    for row in rows {
        let cpu = median(&row.rounds, |round| round.cpu_us);
        if row.group != group {
            group = row.group;
            anchor = cpu;
            // Writing into a string cannot fail, here and below.
            let _ = write!(
                out,
                "\n{group}\n{:<28} {:>10} {:>9} {:>9} {:>12} {:>7} {:>10}\n",
                "", "req/s", "p50 ms", "p99 ms", "CPU µs/req", "ratio", "peak MiB"
            );
        }
        let _ = writeln!(
            out,
            "{:<28} {:>10.0} {:>9.2} {:>9.2} {:>12.1} {:>6.2}x {:>10.1}",
            row.name,
            median(&row.rounds, |round| round.requests_per_second),
            median(&row.rounds, |round| round.p50_ms),
            median(&row.rounds, |round| round.p99_ms),
            cpu,
            cpu / anchor,
            row.peak_kib as f64 / 1024.0,
        );
    }
    out
}

pub(crate) fn json(rows: &[Row]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "  {{\"group\": \"{}\", \"name\": \"{}\", \"requestsPerSecond\": {:.1}, \"p50Ms\": {:.3}, \"p99Ms\": {:.3}, \
                 \"cpuUsPerRequest\": {:.2}, \"peakKiB\": {}}}",
                row.group,
                row.name,
                median(&row.rounds, |round| round.requests_per_second),
                median(&row.rounds, |round| round.p50_ms),
                median(&row.rounds, |round| round.p99_ms),
                median(&row.rounds, |round| round.cpu_us),
                row.peak_kib
            )
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn median(rounds: &[Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
