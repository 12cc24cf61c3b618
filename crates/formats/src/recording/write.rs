//! Writes a recording, one entry a line. The totals stand after the entries, because they are known then.

use std::io::Write;

use mimeo_model::{Exchange, Gap, Timestamp};
use serde::Serialize;

use crate::error::Error;
use crate::gaps::GapOut;
use crate::recording::entry_written;
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

/// A recording being written; memory is one entry.
pub struct Writer<W: Write> {
    out: W,
    /// The entry being written; kept for its room.
    line: Vec<u8>,
    began: Option<Timestamp>,
    ended: Timestamp,
    gaps: Vec<Gap>,
    report: ExportReport,
}

#[derive(Serialize)]
struct HeadOut<'c> {
    id: &'c str,
    name: &'c str,
    creator: String,
}

#[derive(Serialize)]
struct TailOut {
    status: &'static str,
    started_at: String,
    stopped_at: String,
    /// Whole seconds, rounded up.
    duration_sec: u64,
    entry_count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<GapOut>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn new(mut out: W, creator: &Creator) -> Result<Self, Error> {
        let mut line = Vec::new();
        let head = HeadOut {
            id: creator.session_id.as_deref().unwrap_or("recording"),
            name: creator.session_name.as_deref().unwrap_or("recording"),
            creator: format!("Mimeo {}", creator.version),
        };
        json(&mut line, &head)?;
        // The object goes on.
        line.pop();
        line.extend_from_slice(b",\"entries\":[");
        out.write_all(&line).map_err(Error::Write)?;
        Ok(Self {
            out,
            line,
            began: None,
            ended: Timestamp::default(),
            gaps: Vec::new(),
            report: ExportReport::default(),
        })
    }

    /// Appends an exchange, whose bodies are in memory; one whose body is stored elsewhere is written
    /// without it.
    pub fn write(&mut self, exchange: &Exchange, call: Option<&AwsCall>) -> Result<(), Error> {
        let began = *self.began.get_or_insert(exchange.started_at);
        self.ended = self.ended.max(exchange.started_at.plus(exchange.timings.total));
        self.line.clear();
        self.line.extend_from_slice(if self.report.written == 0 { b"\n" } else { b",\n" });
        entry_written::write(exchange, call, began, &mut self.line)
            .map_err(|error| Error::Write(error.into()))?;
        self.out.write_all(&self.line).map_err(Error::Write)?;
        self.report.written += 1;
        for what in entry_written::left_out(exchange) {
            self.report.left_out(what, exchange);
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
        let began = self.began.unwrap_or_default();
        let ended = self.ended.max(began);
        let tail = TailOut {
            status: "completed",
            started_at: began.to_string(),
            stopped_at: ended.to_string(),
            duration_sec: ended.since(began).as_micros().div_ceil(1_000_000) as u64,
            entry_count: self.report.written,
            gaps: self.gaps.iter().map(GapOut::from).collect(),
        };
        self.line.clear();
        json(&mut self.line, &tail)?;
        // The tail's brace gives way to the comma that joins it to what was begun.
        self.line.splice(..1, *b"\n],");
        self.line.push(b'\n');
        self.out.write_all(&self.line).and_then(|()| self.out.flush()).map_err(Error::Write)?;
        Ok(self.report)
    }
}

impl<W: Write> ExchangeWriter for Writer<W> {
    fn write(&mut self, exchange: &Exchange, call: Option<&AwsCall>) -> Result<(), Error> {
        Self::write(self, exchange, call)
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
