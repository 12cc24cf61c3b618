//! Gaps as both formats write them.

use mimeo_model::{Gap, GapReason};
use serde::Serialize;

use crate::instant;
use crate::json::Json;

/// Most gaps that are read.
const MOST: usize = 100_000;

/// A gap, ready to be written.
#[derive(Serialize)]
pub(crate) struct GapOut {
    from: String,
    to: String,
    exchanges: u64,
    bodies: u64,
    reason: &'static str,
}

impl From<&Gap> for GapOut {
    fn from(gap: &Gap) -> Self {
        Self {
            from: gap.from.to_string(),
            to: gap.to.to_string(),
            exchanges: gap.exchanges,
            bodies: gap.bodies,
            reason: gap.reason.code(),
        }
    }
}

/// Reads a list of gaps; what is not one is left out.
pub(crate) fn read(list: &Json) -> Vec<Gap> {
    let read = |gap: &Json| {
        let instant = |key| gap.get(key)?.text().and_then(instant::parse).map(|(at, _)| at);
        Some(Gap {
            from: instant("from")?,
            to: instant("to")?,
            exchanges: gap.get("exchanges").and_then(Json::whole).unwrap_or(0),
            bodies: gap.get("bodies").and_then(Json::whole).unwrap_or(0),
            reason: GapReason::from_code(gap.get("reason")?.text()?)?,
        })
    };
    list.list().unwrap_or_default().iter().take(MOST).filter_map(read).collect()
}
