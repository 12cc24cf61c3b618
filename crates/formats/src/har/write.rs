//! Writes a HAR file, one entry a line, so that it streams and two of them can be compared line by line.

use std::io::Write;

use mimeo_model::{Exchange, Gap};
use serde::Serialize;

use crate::error::Error;
use crate::gaps::GapOut;
use crate::har::entry_written;
use crate::registry::{AwsCall, Creator, ExchangeWriter, ExportReport};

/// The exporter as the registry lists it.
pub(super) struct Exporter;

impl crate::registry::Exporter for Exporter {
    fn begin<'w>(
        &self,
        out: Box<dyn Write + Send + 'w>,
        creator: &Creator,
    ) -> Result<Box<dyn ExchangeWriter + Send + 'w>, Error> {
        Ok(Box::new(Writer::new(out, creator)?))
    }
}

/// A HAR file being written; memory is one entry.
pub struct Writer<W: Write> {
    out: W,
    /// The entry being written; kept for its room.
    line: Vec<u8>,
    gaps: Vec<Gap>,
    report: ExportReport,
}

#[derive(Serialize)]
struct CreatorOut<'c> {
    name: &'static str,
    version: &'c str,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn new(mut out: W, creator: &Creator) -> Result<Self, Error> {
        let mut line = Vec::new();
        line.extend_from_slice(b"{\"log\":{\"version\":\"1.2\",\"creator\":");
        json(&mut line, &CreatorOut { name: "Mimeo", version: &creator.version })?;
        line.extend_from_slice(b",\"pages\":[]");
        if let Some(name) = &creator.session_name {
            line.extend_from_slice(b",\"comment\":");
            json(&mut line, &format!("session {name}"))?;
        }
        line.extend_from_slice(b",\"entries\":[");
        out.write_all(&line).map_err(Error::Write)?;
        Ok(Self { out, line, gaps: Vec::new(), report: ExportReport::default() })
    }

    /// Appends an exchange, whose bodies are in memory; one whose body is stored elsewhere is written
    /// without it and says so.
    pub fn write(&mut self, exchange: &Exchange) -> Result<(), Error> {
        self.line.clear();
        self.line.extend_from_slice(if self.report.written == 0 { b"\n" } else { b",\n" });
        entry_written::write(exchange, &mut self.line).map_err(|error| Error::Write(error.into()))?;
        self.out.write_all(&self.line).map_err(Error::Write)?;
        self.report.written += 1;
        let stored = |body: &mimeo_model::Body| body.inline().is_none();
        if stored(&exchange.request.body)
            || exchange.response.as_ref().is_some_and(|response| stored(&response.body))
        {
            self.report.left_out("a body that is kept elsewhere", exchange);
        }
        // One large body must not keep its room for the rest of the file.
        if self.line.capacity() > 1 << 20 {
            self.line = Vec::new();
        }
        Ok(())
    }

    /// Records that something is missing; it is written at the end.
    pub fn gap(&mut self, gap: &Gap) {
        self.gaps.push(*gap);
    }

    /// Completes the file and flushes it.
    pub fn finish(mut self) -> Result<ExportReport, Error> {
        self.line.clear();
        self.line.extend_from_slice(b"\n]");
        if !self.gaps.is_empty() {
            self.line.extend_from_slice(b",\"_gaps\":");
            json(&mut self.line, &self.gaps.iter().map(GapOut::from).collect::<Vec<_>>())?;
        }
        self.line.extend_from_slice(b"}}\n");
        self.out.write_all(&self.line).and_then(|()| self.out.flush()).map_err(Error::Write)?;
        Ok(self.report)
    }
}

impl<W: Write> ExchangeWriter for Writer<W> {
    fn write(&mut self, exchange: &Exchange, _call: Option<&AwsCall>) -> Result<(), Error> {
        Self::write(self, exchange)
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), Error> {
        Self::gap(self, gap);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<ExportReport, Error> {
        Self::finish(*self)
    }
}

fn json(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(out, value).map_err(|error| Error::Write(error.into()))
}
