//! The result: medians over the rounds, and ratios to the first row of each group.

use std::fmt::Write;

use crate::bench::load::{CONNECTIONS, Measured};
use crate::bench::{Row, measure};

pub(crate) fn table(rows: &[Row], absent: &[String]) -> String {
    let mut out = format!("\n{}, {CONNECTIONS} connections, medians\n", measure::machine());
    let mut group = "";
    let mut anchor = f64::NAN;
    for row in rows {
        let cpu = median(&row.rounds, |round| round.cpu_us);
        if row.group != group {
            group = row.group;
            anchor = cpu;
            // Writing into a string cannot fail, here and below.
            let _ = write!(
                out,
                "\n{group}\n{:<28} {:>9} {:>9} {:>9} {:>11} {:>8} {:>12} {:>9} {:>9}\n",
                "", "req/s", "p50 ms", "p99 ms", "CPU µs/req", "ratio", "at half load", "p99 ms", "peak MiB"
            );
        }
        if let Some(fault) = &row.fault {
            let _ = writeln!(out, "{:<28} failed: {}", row.name, fault.lines().next().unwrap_or_default());
            continue;
        }
        let half = row.half;
        let _ = writeln!(
            out,
            "{:<28} {:>9} {:>9} {:>9} {:>11} {:>8} {:>12} {:>9} {:>9}",
            row.name,
            number(median(&row.rounds, |round| round.requests_per_second), 0),
            number(median(&row.rounds, |round| round.p50_us) / 1e3, 2),
            number(median(&row.rounds, |round| round.p99_us) / 1e3, 2),
            number(cpu, 1),
            number(cpu / anchor, 2),
            number(half.map_or(f64::NAN, |half| half.requests_per_second), 0),
            number(half.map_or(f64::NAN, |half| half.p99_us) / 1e3, 2),
            number(row.peak_kib as f64 / 1024.0, 1),
        );
    }
    for absent in absent {
        let _ = writeln!(out, "\nnot measured: {absent}");
    }
    out
}

/// A figure, or a dash where there is none: the direct row has no server whose time counts.
fn number(value: f64, digits: usize) -> String {
    if value.is_finite() && value > 0.0 { format!("{value:.digits$}") } else { "–".to_owned() }
}

pub(crate) fn json(rows: &[Row], absent: &[String]) -> String {
    let value = |value: f64| if value.is_finite() { format!("{value:.2}") } else { "null".to_owned() };
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let rounds: Vec<String> = row
                .rounds
                .iter()
                .map(|round| {
                    format!(
                        "{{\"requestsPerSecond\": {}, \"p50Us\": {}, \"p99Us\": {}, \"cpuUsPerRequest\": {}}}",
                        value(round.requests_per_second),
                        value(round.p50_us),
                        value(round.p99_us),
                        value(round.cpu_us)
                    )
                })
                .collect();
            let half = row.half.map_or("null".to_owned(), |half| {
                format!(
                    "{{\"requestsPerSecond\": {}, \"p50Us\": {}, \"p99Us\": {}}}",
                    value(half.requests_per_second),
                    value(half.p50_us),
                    value(half.p99_us)
                )
            });
            format!(
                "    {{\"group\": {}, \"name\": {}, \"fault\": {}, \"peakKiB\": {}, \"halfLoad\": {half}, \"rounds\": [{}]}}",
                text(row.group),
                text(&row.name),
                row.fault.as_deref().map_or("null".to_owned(), text),
                row.peak_kib,
                rounds.join(", ")
            )
        })
        .collect();
    let absent: Vec<String> = absent.iter().map(|absent| text(absent)).collect();
    format!(
        "{{\n  \"machine\": {},\n  \"connections\": {CONNECTIONS},\n  \"notMeasured\": [{}],\n  \"rows\": [\n{}\n  ]\n}}\n",
        text(&measure::machine()),
        absent.join(", "),
        rows.join(",\n")
    )
}

/// A JSON string.
fn text(value: &str) -> String {
    let mut out = String::from('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

pub(crate) fn median(rounds: &[Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
