//! Recordings as files: reading, writing, and telling a session from a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mimeo_formats::registry::{self, AwsCall, Creator};
use mimeo_formats::{ExportReport, ImportReport, Limits};
use mimeo_model::{Exchange, ExchangeId, Gap, Problem, ProblemKind, ProxyMode, Session, SessionState};
use mimeo_rules::detect::aws;
use mimeo_store::catalog::ExchangeRow;
use mimeo_store::traffic::{LogWriter, Record, Settings};

use crate::error::Error;
use crate::recorder::Tally;
use crate::recording::new_session_id;
use crate::sessions::Recorded;
use crate::workspace::Workspace;

/// Bytes of records that are written at once on import.
const GROUP: usize = 256 << 10;

/// Where exchanges come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A session of the data directory.
    Session(Box<Session>),
    /// A file.
    File(PathBuf),
}

impl Source {
    /// The session's name or the file's path.
    pub fn name(&self) -> String {
        match self {
            Self::Session(session) => session.name.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// What was read of a source.
#[derive(Debug, Clone, Default)]
pub struct ReadReport {
    /// Number of exchanges.
    pub exchanges: u64,
    /// What the recording lost.
    pub gaps: Vec<Gap>,
    /// Entries of a file that could not be used, each with its place and why.
    pub skipped: Vec<String>,
    /// Number of such entries.
    pub skipped_total: u64,
}

impl Workspace {
    /// Tells what a reference names: a file that exists, or else a session.
    pub async fn find_source(&self, reference: &str) -> Result<Source, Error> {
        let path = Path::new(reference);
        if path.is_file() {
            return Ok(Source::File(path.to_owned()));
        }
        match self.find_session(reference).await {
            Ok(session) => Ok(Source::Session(Box::new(session))),
            Err(error) => {
                let mut problem = error.problem();
                if problem.kind == ProblemKind::NotFound && reference != "@last" {
                    problem.detail = format!("there is no session and no file `{reference}`");
                }
                if reference == "@last" {
                    problem.detail = "nothing was recorded yet".to_owned();
                    problem.hint = Some("begin with `mimeo record https://api.example.com`".to_owned());
                }
                Err(problem.into())
            }
        }
    }

    /// Hands every exchange of a source to `each`, bodies in memory, until that says stop.
    pub fn read_source(
        &self,
        source: &Source,
        mut each: impl FnMut(Exchange) -> Result<ControlFlow<()>, Error>,
    ) -> Result<ReadReport, Error> {
        let mut report = ReadReport::default();
        match source {
            Source::Session(session) => {
                for recorded in self.read_session(session.id) {
                    match recorded? {
                        Recorded::Exchange { exchange, .. } => {
                            report.exchanges += 1;
                            if each(*exchange)?.is_break() {
                                break;
                            }
                        }
                        Recorded::Gap(gap) => report.gaps.push(gap),
                    }
                }
            }
            Source::File(path) => {
                let mut fault = None;
                let read = Self::import_file(path, &mut |exchange| match each(exchange) {
                    Ok(flow) => flow,
                    Err(error) => {
                        fault = Some(error);
                        ControlFlow::Break(())
                    }
                });
                if let Some(fault) = fault {
                    return Err(fault);
                }
                let read = read?;
                report.exchanges = read.imported;
                report.skipped_total = read.skipped_total;
                report.skipped = read
                    .skipped
                    .iter()
                    .map(|skipped| format!("{} (line {}): {}", skipped.pointer, skipped.line, skipped.why))
                    .collect();
                report.gaps = read.gaps;
            }
        }
        Ok(report)
    }

    /// Writes a source to a file of the format that its name asks for; `-` is standard output in `format`.
    pub fn export(&self, source: &Source, path: &Path, format: Option<&str>) -> Result<ExportReport, Error> {
        let told = |error: &mimeo_formats::Error| file_problem(error, "--output");
        let format = match format {
            Some(name) => registry::by_name(name),
            None if path == Path::new("-") => registry::by_name("har"),
            None => registry::by_file_name(&path.display().to_string()),
        }
        .map_err(|error| told(&error))?;
        let (session_id, session_name) = match source {
            Source::Session(session) => (Some(session.id.to_string()), Some(session.name.clone())),
            Source::File(_) => (None, None),
        };
        let creator = Creator { version: env!("CARGO_PKG_VERSION").to_owned(), session_id, session_name };
        let to_stdout = path == Path::new("-");
        // The file appears whole or not at all.
        let aside = path.with_file_name(format!(
            ".{}.{}.part",
            path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default(),
            std::process::id()
        ));
        let out: Box<dyn Write + Send> = if to_stdout {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            let file = File::create(&aside).map_err(|source| Error::File {
                action: "write",
                path: path.to_owned(),
                source,
            })?;
            Box::new(BufWriter::with_capacity(256 << 10, file))
        };
        let written = self.write_to(source, out, format, &creator);
        if to_stdout {
            return written;
        }
        let placed = match &written {
            Ok(_) => std::fs::rename(&aside, path),
            Err(_) => std::fs::remove_file(&aside),
        };
        let report = written?;
        placed.map_err(|source| Error::File { action: "write", path: path.to_owned(), source })?;
        Ok(report)
    }

    fn write_to(
        &self,
        source: &Source,
        out: Box<dyn Write + Send>,
        format: &registry::Format,
        creator: &Creator,
    ) -> Result<ExportReport, Error> {
        let told = |error: &mimeo_formats::Error| file_problem(error, "--output");
        let mut writer = format.exporter.begin(out, creator).map_err(|error| told(&error))?;
        let report = self.read_source(source, |exchange| {
            let call = aws::call(&exchange.request)
                .map(|call| AwsCall { service: call.service, action: call.action.unwrap_or_default() });
            writer.write(&exchange, call.as_ref()).map_err(|error| told(&error))?;
            Ok(ControlFlow::Continue(()))
        })?;
        for gap in &report.gaps {
            writer.gap(gap).map_err(|error| told(&error))?;
        }
        Ok(writer.finish().map_err(|error| told(&error))?)
    }

    /// Brings a file into the data directory as a session.
    pub async fn import(
        &self,
        path: &Path,
        name: Option<String>,
        keep_credentials: bool,
    ) -> Result<(Session, ReadReport), Error> {
        let now = self.now();
        let stem =
            path.file_stem().map_or_else(|| "import".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let mut session = Session {
            name: name.unwrap_or_default(),
            keeps_credentials: keep_credentials,
            ..Session::begin(new_session_id(now)?, ProxyMode::Import, now)
        };
        let redactor = if keep_credentials { None } else { Some(self.redactor()?) };
        self.add_session(&mut session, &stem).await?;
        let folder = self.data.session(session.id);
        let mut rows = Vec::new();
        let outcome = (|| {
            let mut log = LogWriter::create(&folder, session.id, Settings::default())?;
            let mut waiting: Vec<(u64, u32, Box<Exchange>)> = Vec::new();
            let mut tally = Tally::default();
            let mut flush = |log: &mut LogWriter, waiting: &mut Vec<(u64, u32, Box<Exchange>)>| {
                let Some(place) = log.flush()? else { return Ok::<_, Error>(()) };
                for (sequence, index, exchange) in waiting.drain(..) {
                    let location = mimeo_store::traffic::Location { index, ..place };
                    rows.push(ExchangeRow::new(session.id, sequence, location, &exchange));
                }
                Ok(())
            };
            let report = self.read_source(&Source::File(path.to_owned()), |mut exchange| {
                if let Some(redactor) = &redactor {
                    redactor.redact(&mut exchange);
                }
                tally.entries += 1;
                tally.errors += u64::from(exchange.failure.is_some());
                tally.bytes += exchange.request.body.length
                    + exchange.response.as_ref().map_or(0, |response| response.body.length);
                let record = Record::Exchange(Box::new(exchange));
                let (sequence, index) = log.append(&record);
                if let Record::Exchange(mut exchange) = record {
                    // The row needs the heads alone.
                    exchange.request.body.content = mimeo_model::Content::default();
                    if let Some(response) = &mut exchange.response {
                        response.body.content = mimeo_model::Content::default();
                    }
                    waiting.push((sequence, index, exchange));
                }
                if log.pending_bytes() >= GROUP {
                    flush(&mut log, &mut waiting)?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
            for gap in &report.gaps {
                tally.lost_exchanges += gap.exchanges;
                tally.lost_bodies += gap.bodies;
                log.append(&Record::Gap(*gap));
            }
            flush(&mut log, &mut waiting)?;
            log.sync()?;
            Ok::<_, Error>((report, tally))
        })();
        let (report, tally) = match outcome {
            Ok(done) => done,
            Err(error) => {
                // An import is there whole or not at all.
                session.state = SessionState::Stopped;
                self.remove_session(&session).await?;
                return Err(error);
            }
        };
        self.catalog.add_exchanges(&rows).await?;
        let update = tally.update(SessionState::Stopped, Some(self.now()));
        self.catalog.update_session(session.id, &update).await?;
        (session.state, session.stopped_at) = (update.state, update.stopped_at);
        (session.entries, session.errors, session.bytes, session.lost) =
            (update.entries, update.errors, update.bytes, update.lost);
        Ok((session, report))
    }

    fn import_file(
        path: &Path,
        each: &mut dyn FnMut(Exchange) -> ControlFlow<()>,
    ) -> Result<ImportReport, Error> {
        let mut file = File::open(path).map_err(|source| Error::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let mut make_id = |at| {
            let mut random = [0; 10];
            for byte in &mut random {
                *byte = fastrand::u8(..);
            }
            ExchangeId::new(at, random)
        };
        registry::import(&mut file, None, Limits::default(), &mut make_id, &mut |imported| {
            each(imported.exchange)
        })
        .map_err(|error| file_problem(&error, &path.display().to_string()).into())
    }
}

fn file_problem(error: &mimeo_formats::Error, field: &str) -> Problem {
    let mut problem = Problem::new(ProblemKind::Invalid, error.to_string()).in_field(field);
    problem.accepted = error.accepted();
    problem.hint = error.hint();
    problem
}
