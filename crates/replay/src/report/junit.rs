//! The report for CI servers: JUnit XML, one test case for each exchange.

use std::fmt::Write;

use crate::report::{lines, target};
use crate::verdict::{Outcome, Run};

/// Renders the report.
pub fn render(run: &Run) -> String {
    let totals = run.totals();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing into a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        escape(&format!("replay of {} against {}", run.recording, run.target)),
        run.judged.len(),
        totals.mismatched,
        totals.errors,
        totals.skipped,
        run.took.as_secs_f64(),
    );
    for judged in &run.judged {
        let time = match &judged.outcome {
            Outcome::Answered { actual, .. } => actual.timings.total.as_secs_f64(),
            Outcome::Failed(_) | Outcome::Skipped(_) => 0.0,
        };
        let name = format!("{} {} {}", judged.number, judged.recorded.request.method, target(judged));
        let _ = write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{time:.3}\"",
            escape(&run.recording),
            escape(&name)
        );
        let text = lines(judged).join("\n");
        let _ = match &judged.outcome {
            Outcome::Answered { comparison, .. } if comparison.is_match() => writeln!(out, "/>"),
            Outcome::Answered { .. } => {
                let severity = judged.severity().map_or("data", |severity| severity.as_str());
                writeln!(
                    out,
                    ">\n      <failure type=\"{severity}\" message=\"{}\">{}</failure>\n    </testcase>",
                    escape(text.lines().next().unwrap_or_default()),
                    escape(&text)
                )
            }
            Outcome::Failed(failure) => writeln!(
                out,
                ">\n      <error type=\"{}\" message=\"{}\"/>\n    </testcase>",
                failure.kind,
                escape(&failure.detail)
            ),
            Outcome::Skipped(reason) => {
                writeln!(out, ">\n      <skipped message=\"{}\"/>\n    </testcase>", escape(reason))
            }
        };
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Escapes text for XML and replaces what XML 1.0 cannot hold.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push('\t'),
            character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            character => out.push(character),
        }
    }
    out
}
