//! Timings: HAR counts TLS into `connect`, needs `send`, `wait` and `receive`, and says -1 for a step
//! that did not happen.

use std::time::Duration;

use mimeo_model::Timings;
use serde::{Serialize, Serializer};

use crate::import::Import;
use crate::instant::{self, Millis};
use crate::json::Json;

struct Span(Option<Duration>);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(duration) => Millis(duration).serialize(out),
            None => out.serialize_i8(-1),
        }
    }
}

/// An exchange's timings, ready to be written.
#[derive(Serialize)]
pub(super) struct TimingsOut {
    blocked: Span,
    dns: Span,
    connect: Span,
    ssl: Span,
    send: Span,
    wait: Span,
    receive: Span,
    #[serde(rename = "_unknown", skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<&'static str>,
    #[serde(rename = "_total", skip_serializing_if = "Option::is_none")]
    total: Option<Millis>,
    #[serde(rename = "_reused", skip_serializing_if = "std::ops::Not::not")]
    reused: bool,
}

/// The sum of the steps, which HAR wants as the time of an entry.
pub(super) fn sum(timings: &Timings) -> Duration {
    [timings.blocked, timings.dns, timings.connect, timings.tls, timings.send, timings.wait, timings.receive]
        .into_iter()
        .flatten()
        .fold(Duration::ZERO, Duration::saturating_add)
}

impl From<&Timings> for TimingsOut {
    fn from(timings: &Timings) -> Self {
        let zeroed = [
            ("connect", timings.connect.is_none() && timings.tls.is_some()),
            ("send", timings.send.is_none()),
            ("wait", timings.wait.is_none()),
            ("receive", timings.receive.is_none()),
        ];
        let connect = match (timings.connect, timings.tls) {
            (connect, None) => connect,
            (connect, Some(tls)) => Some(connect.unwrap_or_default().saturating_add(tls)),
        };
        let needed = |step: Option<Duration>| Span(Some(step.unwrap_or_default()));
        Self {
            blocked: Span(timings.blocked),
            dns: Span(timings.dns),
            connect: Span(connect),
            ssl: Span(timings.tls),
            send: needed(timings.send),
            wait: needed(timings.wait),
            receive: needed(timings.receive),
            unknown: zeroed.into_iter().filter(|(_, zeroed)| *zeroed).map(|(name, _)| name).collect(),
            total: (sum(timings) != timings.total).then_some(Millis(timings.total)),
            reused: timings.reused,
        }
    }
}

/// Reads the timings of an entry; `ours` says that Mimeo wrote them.
pub(super) fn read(entry: &Json, ours: bool, import: &mut Import<'_>) -> Timings {
    let empty = Json::Null;
    let object = entry.some("timings").unwrap_or(&empty);
    if !matches!(object, Json::Object(_)) {
        import.note("the entry has no timings", "timings");
    }
    let unknown = object.get("_unknown").and_then(Json::list).unwrap_or_default();
    let is_unknown = |name: &str| unknown.iter().any(|step| step.text() == Some(name));
    let raw = |name: &str| object.get(name).and_then(Json::number);
    let step = |name: &str| raw(name).and_then(instant::millis).filter(|_| !is_unknown(name));
    let odd = ["blocked", "dns", "connect", "ssl", "send", "wait", "receive"]
        .into_iter()
        .any(|name| raw(name).is_some_and(|millis| millis < 0.0 && (millis + 1.0).abs() > 1e-9));
    if odd {
        import.note("a step takes negative time: taken as unknown", "timings");
    }
    let tls = step("ssl");
    let mut timings = Timings {
        blocked: step("blocked"),
        dns: step("dns"),
        // Firefox does not count TLS into connect; where that shows, it is not taken off.
        connect: step("connect")
            .map(|connect| connect.checked_sub(tls.unwrap_or_default()).unwrap_or(connect)),
        tls,
        send: step("send"),
        wait: step("wait"),
        receive: step("receive"),
        total: Duration::ZERO,
        reused: object.get("_reused").is_some_and(Json::is_true)
            || !ours && raw("connect").is_some_and(|millis| millis < 0.0),
    };
    let told = object.get("_total").and_then(Json::number).and_then(instant::millis);
    let time = entry.get("time").and_then(Json::number).and_then(instant::millis).filter(|_| !ours);
    timings.total = told.or(time).unwrap_or_else(|| sum(&timings));
    timings
}
