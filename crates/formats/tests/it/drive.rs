//! Imports and exports in one call each.

use std::io::Read;
use std::ops::ControlFlow;

use mimeo_formats::registry::{self, by_name};
use mimeo_formats::{AwsCall, Creator, Error, ImportReport, Imported, Limits};
use mimeo_model::{Exchange, ExchangeId, Gap, Timestamp};

/// Identifiers that tell how many were asked for.
pub(crate) fn numbered_ids() -> impl FnMut(Timestamp) -> ExchangeId {
    let mut count = 0u8;
    move |at| {
        count = count.wrapping_add(1);
        ExchangeId::new(at, [count; 10])
    }
}

pub(crate) fn import_from(
    reader: &mut dyn Read,
    format: Option<&str>,
    limits: Limits,
) -> (Vec<Imported>, Result<ImportReport, Error>) {
    let mut imported = Vec::new();
    let format = format.map(|name| by_name(name).expect("the format exists"));
    let outcome = registry::import(reader, format, limits, &mut numbered_ids(), &mut |one| {
        imported.push(one);
        ControlFlow::Continue(())
    });
    (imported, outcome)
}

pub(crate) fn import(mut file: &[u8]) -> (Vec<Imported>, Result<ImportReport, Error>) {
    import_from(&mut file, None, Limits::default())
}

pub(crate) fn exchanges(file: &[u8]) -> Vec<Exchange> {
    let (imported, outcome) = import(file);
    outcome.expect("the file is importable");
    imported.into_iter().map(|one| one.exchange).collect()
}

pub(crate) fn creator() -> Creator {
    Creator {
        version: "1.2.3".into(),
        session_id: Some("0192f0a0-0000-7000-8000-000000000000".into()),
        session_name: Some("checkout".into()),
    }
}

pub(crate) fn export<'e>(
    format: &str,
    exchanges: impl IntoIterator<Item = &'e Exchange>,
    gaps: &[Gap],
    call: Option<&AwsCall>,
) -> Vec<u8> {
    let mut file = Vec::new();
    let exporter = by_name(format).expect("the format exists").exporter;
    let mut writer = exporter.begin(Box::new(&mut file), &creator()).expect("memory takes every byte");
    for exchange in exchanges {
        writer.write(exchange, call).expect("memory takes every byte");
    }
    for gap in gaps {
        writer.gap(gap).expect("memory takes every byte");
    }
    writer.finish().expect("memory takes every byte");
    file
}
