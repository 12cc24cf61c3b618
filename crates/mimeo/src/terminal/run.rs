//! A replay run in the terminal: a line of counts and a structural diff for each mismatch.

use std::io::Write;

use mimeo_engine::comparison::Kind;
use mimeo_engine::{Judged, Outcome, Run};

use crate::terminal::format::{cut, duration};
use crate::terminal::style::{BAD, BOLD, DIM, GOOD, WARNING};

/// Differences that are shown of one exchange.
const SHOWN: usize = 12;

/// Shows a run that ended.
pub(crate) fn show(out: &mut impl Write, run: &Run) -> std::io::Result<()> {
    for judged in run.faults() {
        fault(out, judged)?;
    }
    let totals = run.totals();
    let p95 = run.percentile(0.95).map_or_else(String::new, |took| format!(" · p95 {}", duration(took)));
    let part = |number: usize, what: &str, style: anstyle::Style| {
        if number == 0 { String::new() } else { format!(" · {style}{number} {what}{style:#}") }
    };
    writeln!(
        out,
        "\n  {GOOD}{} matched{GOOD:#}{}{}{}{p95} · {} · {} % compatible",
        totals.matched,
        part(totals.mismatched, "mismatched", BAD),
        part(totals.errors, "errors", BAD),
        part(totals.skipped, "not sent", WARNING),
        duration(run.took),
        run.compatibility_pct(),
    )?;
    if run.interrupted {
        writeln!(out, "  {WARNING}interrupted before the end{WARNING:#}")?;
    }
    if !run.gaps.is_empty() {
        writeln!(
            out,
            "  {WARNING}the recording has {} gaps: what was lost was not replayed{WARNING:#}",
            run.gaps.len()
        )?;
    }
    if !run.without.is_empty() {
        writeln!(
            out,
            "  {DIM}sent without {}, hidden when recorded; `--header 'Name: value'` gives them{DIM:#}",
            cut(&run.without.join(", "), 60)
        )?;
    }
    let skipped: Vec<&Judged> =
        run.judged.iter().filter(|judged| matches!(judged.outcome, Outcome::Skipped(_))).collect();
    for judged in skipped.iter().take(5) {
        if let Outcome::Skipped(reason) = &judged.outcome {
            let target = String::from_utf8_lossy(&judged.recorded.request.target);
            writeln!(
                out,
                "  {DIM}not sent  {} {}: {reason}{DIM:#}",
                judged.recorded.request.method,
                cut(&target, 60)
            )?;
        }
    }
    Ok(())
}

fn fault(out: &mut impl Write, judged: &Judged) -> std::io::Result<()> {
    let target = String::from_utf8_lossy(&judged.recorded.request.target);
    let severity = judged.severity().map_or("error", |severity| severity.as_str());
    writeln!(
        out,
        "\n  {BOLD}{:<7} {}{BOLD:#}   {BAD}{severity}{BAD:#}",
        cut(judged.recorded.request.method.as_str(), 7),
        cut(&target, 80)
    )?;
    match &judged.outcome {
        Outcome::Answered { comparison, .. } => {
            for difference in comparison.differences.iter().take(SHOWN) {
                writeln!(out, "    {} {DIM}{}{DIM:#}", cut(&difference.place, 80), difference.kind.as_str())?;
                if let Some(expected) = &difference.expected {
                    let note = if difference.kind == Kind::Missing { "   (recorded)" } else { "" };
                    writeln!(out, "      {BAD}- {}{BAD:#}{DIM}{note}{DIM:#}", cut(expected, 120))?;
                }
                if let Some(actual) = &difference.actual {
                    writeln!(out, "      {GOOD}+ {}{GOOD:#}", cut(actual, 120))?;
                }
            }
            let more = comparison.differences.len().saturating_sub(SHOWN) + comparison.more;
            if more > 0 {
                writeln!(out, "    {DIM}and {more} more{DIM:#}")?;
            }
        }
        Outcome::Failed(failure) => writeln!(out, "    {} {}", failure.kind, cut(&failure.detail, 120))?,
        Outcome::Skipped(_) => {}
    }
    Ok(())
}
