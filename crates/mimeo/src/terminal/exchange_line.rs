//! One line for each exchange: time, method, URL, status, size, duration.

use mimeo_engine::recorder::Announced;
use mimeo_engine::{AnsweredBy, Exchange};
use serde_json::json;
use time::UtcOffset;

use crate::terminal::format::{cut, duration, size, time_of_day};
use crate::terminal::style;

/// Columns given to the URL.
const URL_WIDTH: usize = 44;

/// The line a person reads. `with_host` shows the whole URL rather than the path.
pub(crate) fn human(announced: &Announced<'_>, with_host: bool, offset: UtcOffset) -> String {
    let exchange = announced.exchange;
    let target = String::from_utf8_lossy(&exchange.request.target);
    let tunnel = exchange.request.method.as_str() == "CONNECT";
    let shown = if with_host && !tunnel { exchange.request.url() } else { target.into_owned() };
    let colour = style::of_status(exchange.status());
    let status = exchange.status().map_or_else(|| "---".to_owned(), |status| status.to_string());
    let bytes = exchange.response.as_ref().map_or(0, |response| response.body.length);
    let mut line = format!(
        "  {dim}{}{dim:#}  {:<7} {:<URL_WIDTH$} {colour}{status}{colour:#}  {:>9}  {:>8}",
        time_of_day(exchange.started_at, offset),
        cut(exchange.request.method.as_str(), 7),
        cut(&shown, URL_WIDTH),
        size(bytes),
        duration(exchange.timings.total),
        dim = style::DIM,
    );
    for note in notes(exchange, announced.frames) {
        line.push_str("  ");
        line.push_str(&note);
    }
    line
}

fn notes(exchange: &Exchange, frames: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if exchange.is_websocket() {
        notes.push(format!("websocket {frames} frames"));
    } else if exchange.is_event_stream() {
        let pieces = exchange.response.as_ref().map_or(0, |response| response.body.chunks.len().max(1));
        notes.push(format!("sse {pieces} pieces"));
    } else if exchange.request.method.as_str() == "CONNECT" && exchange.failure.is_none() {
        notes.push("tunnel".to_owned());
    }
    for operation in &exchange.graphql {
        notes.push(format!("graphql {}", cut(operation.name.as_deref().unwrap_or("(unnamed)"), 30)));
    }
    if exchange.answered_by == AnsweredBy::Mock {
        notes.push("mock".to_owned());
    }
    if let Some(failure) = &exchange.failure {
        let bad = style::BAD;
        notes.push(format!("{bad}{}{bad:#} {}", failure.kind, cut(&failure.detail, 100)));
    }
    notes
}

/// The line a program reads: one JSON object.
pub(crate) fn machine(exchange: &Exchange, sequence: u64, frames: u64) -> String {
    let response = exchange.response.as_ref();
    let entry_type = if exchange.is_websocket() {
        "websocket"
    } else if exchange.is_event_stream() {
        "sse"
    } else {
        "http"
    };
    let mut line = json!({
        "id": exchange.id.to_string(),
        "sequence": sequence,
        "entryType": entry_type,
        "startedAt": exchange.started_at.to_string(),
        "method": exchange.request.method.as_str(),
        "url": exchange.request.url(),
        "status": exchange.status(),
        "requestBytes": exchange.request.body.length,
        "responseBytes": response.map(|response| response.body.length),
        "durationMs": exchange.timings.total.as_secs_f64() * 1000.0,
    });
    if let Some(failure) = &exchange.failure {
        line["error"] =
            json!({"kind": failure.kind.code(), "phase": failure.phase.code(), "detail": failure.detail});
    }
    if frames > 0 {
        line["frames"] = json!(frames);
    }
    line.to_string()
}
