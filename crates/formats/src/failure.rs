//! Failures as both formats write them.

use mimeo_model::{Failure, FailureKind, Phase};
use serde::Serialize;

use crate::import::Import;
use crate::json::Json;

/// A failure, ready to be written.
#[derive(Serialize)]
pub(crate) struct FailureOut<'e> {
    kind: &'static str,
    phase: &'static str,
    detail: &'e str,
}

impl<'e> From<&'e Failure> for FailureOut<'e> {
    fn from(failure: &'e Failure) -> Self {
        Self { kind: failure.kind.code(), phase: failure.phase.code(), detail: &failure.detail }
    }
}

/// Reads a failure. A kind or step that this version does not know, as a later one may write it, is told
/// in the detail.
pub(crate) fn read(failure: &Json, field: &str, import: &mut Import<'_>) -> Failure {
    let code = |key| failure.get(key).and_then(Json::text).unwrap_or_default();
    let mut detail = code("detail").to_owned();
    let kind = FailureKind::from_code(code("kind")).unwrap_or_else(|| {
        import.note("the kind of a failure is not known: kept as `interrupted`", field);
        detail = format!("{}: {detail}", code("kind"));
        FailureKind::Interrupted
    });
    Failure { kind, phase: Phase::from_code(code("phase")).unwrap_or(Phase::Wait), detail }
}
