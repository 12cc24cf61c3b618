//! The report for programs. Field names are those of the compatibility report that cloud-API tests know.

use serde_json::{Value, json};

use crate::report::{lines, target};
use crate::verdict::{Judged, Outcome, Run};

/// Renders the report.
pub fn render(run: &Run) -> String {
    let totals = run.totals();
    let millis = |share| run.percentile(share).map(|took| took.as_secs_f64() * 1000.0);
    let report = json!({
        "recording": run.recording,
        "endpoint": run.target,
        "total_requests": totals.sent,
        "matched": totals.matched,
        "mismatched": totals.mismatched,
        "errors": totals.errors,
        "skipped": totals.skipped,
        "compatibility_pct": run.compatibility_pct(),
        "interrupted": run.interrupted,
        "duration_ms": run.took.as_secs_f64() * 1000.0,
        "latency_ms": {"p50": millis(0.5), "p95": millis(0.95), "p99": millis(0.99)},
        "headers_left_out": run.without,
        "recording_gaps": run.gaps.len(),
        "mismatches": run.faults().map(mismatch).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn mismatch(judged: &Judged) -> Value {
    let status = match &judged.outcome {
        Outcome::Answered { actual, .. } => actual.status(),
        Outcome::Failed(_) | Outcome::Skipped(_) => None,
    };
    let call = judged.call.as_ref();
    json!({
        "entry_id": judged.recorded.id.to_string(),
        "service": call.map_or("", |call| &call.service),
        "action": call.and_then(|call| call.action.as_deref()).unwrap_or_default(),
        "method": judged.recorded.request.method.as_str(),
        "path": target(judged),
        "original_status": judged.recorded.status(),
        "replay_status": status.unwrap_or(0),
        "diffs": lines(judged),
        "severity": judged.severity().map_or("error", |severity| severity.as_str()),
    })
}
