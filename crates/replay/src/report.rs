//! A run told: to programs as JSON and JUnit, to people as text, Markdown and HTML.

pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;

use crate::verdict::{Judged, Outcome};

/// The differences of an exchange, one line each, as the reports list them.
pub fn lines(judged: &Judged) -> Vec<String> {
    match &judged.outcome {
        Outcome::Answered { comparison, .. } => {
            let mut lines: Vec<String> = comparison
                .differences
                .iter()
                .map(|difference| {
                    let value = |value: &Option<String>| value.clone().unwrap_or_default();
                    match difference.kind {
                        mimeo_compare::Kind::Missing => {
                            format!(
                                "{}: missing (recorded {})",
                                difference.place,
                                value(&difference.expected)
                            )
                        }
                        mimeo_compare::Kind::Extra => {
                            format!("{}: extra (came {})", difference.place, value(&difference.actual))
                        }
                        mimeo_compare::Kind::Changed
                        | mimeo_compare::Kind::Type
                        | mimeo_compare::Kind::Length => {
                            format!(
                                "{}: {} -> {}",
                                difference.place,
                                value(&difference.expected),
                                value(&difference.actual)
                            )
                        }
                    }
                })
                .collect();
            if comparison.more > 0 {
                lines.push(format!("and {} more", comparison.more));
            }
            lines
        }
        Outcome::Failed(failure) => vec![format!("no answer: {}", failure.detail)],
        Outcome::Skipped(reason) => vec![format!("not sent: {reason}")],
    }
}

/// Path and query of an exchange for a person.
pub fn target(judged: &Judged) -> String {
    String::from_utf8_lossy(&judged.recorded.request.target).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mimeo_compare::{Rules, compare};
    use mimeo_model::{Failure, FailureKind, Phase};

    use super::*;
    use crate::plan::tests::recorded;
    use crate::verdict::Run;

    /// A run with one of everything, and hostile text in it.
    pub(super) fn run() -> Run {
        let judged = |number: usize, target: &str, expected: &str, actual: &str| {
            let recorded = recorded(number as u8, number as i64, 1, target, expected);
            let mut came = recorded.clone();
            if let Some(response) = &mut came.response {
                response.body = mimeo_model::Body::from_bytes(actual.to_owned());
            }
            came.timings.total = Duration::from_millis(10 * number as u64);
            let comparison = compare(
                recorded.response.as_ref().expect("recorded"),
                came.response.as_ref().expect("came"),
                &Rules::default(),
            );
            Judged {
                number,
                recorded,
                call: None,
                outcome: Outcome::Answered { actual: Box::new(came), comparison },
            }
        };
        let mut failed = judged(3, "/down", "{}", "{}");
        failed.outcome = Outcome::Failed(Failure {
            kind: FailureKind::Refused,
            phase: Phase::Connect,
            detail: "cannot connect".into(),
        });
        let mut skipped = judged(4, "/socket", "{}", "{}");
        skipped.outcome = Outcome::Skipped("it is a WebSocket");
        Run {
            recording: "checkout".into(),
            target: "http://localhost:3000".into(),
            judged: vec![
                judged(1, "/ok", "{\"a\":1}", "{\"a\":1}"),
                judged(
                    2,
                    "/<script>alert(1)</script>?q=]]>&\u{1b}[2J",
                    "{\"total\":42.5,\"n\":\"a|b\"}",
                    "{\"n\":\"<b>\"}",
                ),
                failed,
                skipped,
            ],
            without: vec!["Authorization".into()],
            took: Duration::from_millis(1_234),
            ..Run::default()
        }
    }

    #[test]
    fn every_report_tells_the_same_run() {
        let run = run();
        insta::assert_snapshot!("json", json::render(&run));
        insta::assert_snapshot!("junit", junit::render(&run));
        insta::assert_snapshot!("markdown", markdown::render(&run));
        let page = html::render(&run);
        assert!(!page.contains("<script>alert"), "recorded text is never markup");
        assert!(!page.contains('\u{1b}'));
        insta::assert_snapshot!("html", page);
    }
}
