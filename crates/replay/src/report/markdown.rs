//! The report for pull requests: Markdown.

use std::fmt::Write;

use crate::report::{lines, target};
use crate::verdict::Run;

/// Mismatches that are told in full.
const TOLD: usize = 100;

/// Renders the report.
pub fn render(run: &Run) -> String {
    let totals = run.totals();
    let mut out = String::new();
    // Writing into a string cannot fail, here and below.
    let _ = writeln!(out, "# Replay of {} against {}\n", code(&run.recording), code(&run.target));
    let _ = writeln!(
        out,
        "| matched | mismatched | errors | not sent | compatibility |\n|---:|---:|---:|---:|---:|"
    );
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} % |\n",
        totals.matched,
        totals.mismatched,
        totals.errors,
        totals.skipped,
        run.compatibility_pct()
    );
    if !run.gaps.is_empty() {
        let _ = writeln!(out, "The recording has {} gaps.\n", run.gaps.len());
    }
    if !run.without.is_empty() {
        let _ = writeln!(out, "Sent without hidden headers: {}.\n", code(&run.without.join(", ")));
    }
    for judged in run.faults().take(TOLD) {
        let severity = judged.severity().map_or("error", |severity| severity.as_str());
        let request = format!("{} {}", judged.recorded.request.method, target(judged));
        let _ = writeln!(out, "## {} {severity}\n", code(&request));
        for line in lines(judged) {
            let _ = writeln!(out, "- {}", code(&line));
        }
        out.push('\n');
    }
    let more = run.faults().count().saturating_sub(TOLD);
    if more > 0 {
        let _ = writeln!(out, "And {more} more.");
    }
    out
}

/// Text as inline code, whatever is in it (CommonMark, section 6.1).
fn code(text: &str) -> String {
    let text: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}
