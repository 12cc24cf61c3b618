//! The report for people: one file, without script and without anything from elsewhere.

use std::fmt::Write;

use mimeo_compare::Kind;

use crate::report::target;
use crate::verdict::{Judged, Outcome, Run};

/// Matched exchanges that are listed.
const LISTED: usize = 2_000;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--dim:#777;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700;--del:#cf222e1c;--ins:#1a7f371c}
@media(prefers-color-scheme:dark){:root{--dim:#999;--good:#3fb950;--bad:#ff7b72;--warn:#d29922}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
h1{font-size:1.3rem}h1 b{font-weight:650}
.cards{display:flex;gap:1rem;flex-wrap:wrap;margin:1rem 0}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;min-width:7rem}
.card b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.card span{color:var(--dim)}
.good b{color:var(--good)}.bad b{color:var(--bad)}.warn b{color:var(--warn)}
section{border:1px solid var(--line);border-radius:.5rem;margin:1rem 0;overflow:hidden}
section h2{font:600 .95rem ui-monospace,monospace;margin:0;padding:.6rem 1rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
section h2 i{font-style:normal;float:right;color:var(--bad)}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem 1rem;text-align:left;vertical-align:top;border-top:1px solid var(--line);overflow-wrap:anywhere}
td,.mono{font-family:ui-monospace,monospace;font-size:.85rem}.del{background:var(--del)}.ins{background:var(--ins)}
td.dim,p.dim{color:var(--dim)}pre{white-space:pre-wrap;margin:0;font:inherit}summary{cursor:pointer;padding:.6rem 1rem}
";

/// Renders the report.
pub fn render(run: &Run) -> String {
    let totals = run.totals();
    let mut out = String::new();
    // Writing into a string cannot fail, here and below.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Replay of {name}</title>\n<style>{STYLE}</style>\n\
         <h1>Replay of <b>{name}</b> against <b>{target}</b></h1>\n<div class=\"cards\">\n",
        name = escape(&run.recording),
        target = escape(&run.target),
    );
    let p95 = run.percentile(0.95).map_or_else(|| "–".to_owned(), |took| format!("{} ms", took.as_millis()));
    for (class, number, label) in [
        ("good", totals.matched.to_string(), "matched"),
        (if totals.mismatched > 0 { "bad" } else { "" }, totals.mismatched.to_string(), "mismatched"),
        (if totals.errors > 0 { "bad" } else { "" }, totals.errors.to_string(), "errors"),
        (if totals.skipped > 0 { "warn" } else { "" }, totals.skipped.to_string(), "not sent"),
        ("", format!("{} %", run.compatibility_pct()), "compatibility"),
        ("", p95, "p95"),
        ("", format!("{:.1} s", run.took.as_secs_f64()), "took"),
    ] {
        let _ = writeln!(out, "<div class=\"card {class}\"><b>{number}</b><span>{label}</span></div>");
    }
    out.push_str("</div>\n");
    let mut note = |text: String| {
        let _ = writeln!(out, "<p class=\"dim\">{}</p>", escape(&text));
    };
    if run.interrupted {
        note("The run was interrupted before its end.".to_owned());
    }
    if !run.gaps.is_empty() {
        note(format!("The recording has {} gaps: what was lost could not be replayed.", run.gaps.len()));
    }
    if !run.without.is_empty() {
        note(format!(
            "Sent without headers whose values were hidden when recorded: {}.",
            run.without.join(", ")
        ));
    }
    for judged in run.faults() {
        fault(&mut out, judged);
    }
    others(&mut out, run);
    out
}

fn fault(out: &mut String, judged: &Judged) {
    let severity = judged.severity().map_or("error", |severity| severity.as_str());
    let _ = writeln!(
        out,
        "<section><h2>{} {} <i>{severity}</i></h2>\n<table>",
        escape(judged.recorded.request.method.as_str()),
        escape(&target(judged))
    );
    match &judged.outcome {
        Outcome::Answered { comparison, .. } => {
            out.push_str("<tr><th>where<th>recorded<th>came</tr>\n");
            for difference in &comparison.differences {
                let cell = |class: &str, value: Option<&String>, absent: &str| match value {
                    Some(value) => format!("<td class=\"{class}\"><pre>{}</pre></td>", escape(value)),
                    None => format!("<td class=\"dim\">{absent}</td>"),
                };
                let absent = |kind| if difference.kind == kind { "missing" } else { "" };
                let _ = writeln!(
                    out,
                    "<tr><td>{}</td>{}{}</tr>",
                    escape(&difference.place),
                    cell("del", difference.expected.as_ref(), absent(Kind::Extra)),
                    cell("ins", difference.actual.as_ref(), absent(Kind::Missing)),
                );
            }
            if comparison.more > 0 {
                let _ = writeln!(
                    out,
                    "<tr><td class=\"dim\" colspan=\"3\">and {} more</td></tr>",
                    comparison.more
                );
            }
            for ignored in &comparison.ignored {
                let _ = writeln!(
                    out,
                    "<tr><td class=\"dim\">{}</td><td class=\"dim\" colspan=\"2\">ignored: {}</td></tr>",
                    escape(&ignored.difference.place),
                    escape(&ignored.by)
                );
            }
        }
        Outcome::Failed(failure) => {
            let _ = writeln!(out, "<tr><td>{}</td><td>{}</td></tr>", failure.kind, escape(&failure.detail));
        }
        Outcome::Skipped(_) => {}
    }
    out.push_str("</table></section>\n");
}

fn others(out: &mut String, run: &Run) {
    let others: Vec<&Judged> = run
        .judged
        .iter()
        .filter(|judged| judged.is_match() || matches!(judged.outcome, Outcome::Skipped(_)))
        .collect();
    if others.is_empty() {
        return;
    }
    let _ = writeln!(out, "<section><details><summary>{} matched or not sent</summary><table>", others.len());
    for judged in others.iter().take(LISTED) {
        let what = match &judged.outcome {
            Outcome::Answered { actual, .. } => format!("matched, {} ms", actual.timings.total.as_millis()),
            Outcome::Failed(_) => String::new(),
            Outcome::Skipped(reason) => format!("not sent: {reason}"),
        };
        let _ = writeln!(
            out,
            "<tr><td>{} {}</td><td>{}</td><td class=\"dim\">{}</td></tr>",
            escape(judged.recorded.request.method.as_str()),
            escape(&target(judged)),
            judged.recorded.status().unwrap_or(0),
            escape(&what)
        );
    }
    out.push_str("</table></details></section>\n");
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}
