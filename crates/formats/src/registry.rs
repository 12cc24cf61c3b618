//! The one list of formats, what each can do, and the way in.
//!
//! A new format is one folder and one line in [`FORMATS`].

use std::io::{Read, Write};
use std::ops::ControlFlow;

use mimeo_model::{Exchange, ExchangeId, Gap, Timestamp};

use crate::detect::{self, Kind};
use crate::error::Error;
use crate::har;
use crate::import::{Import, ImportReport, Imported, Limits, Note};

use crate::recording;
use crate::source::Source;

/// A file format.
pub struct Format {
    /// The name a user types.
    pub name: &'static str,
    /// What a person calls it, with its article.
    pub title: &'static str,
    /// File endings, without the dot, that mean this format and no other.
    pub extensions: &'static [&'static str],
    /// Reads it.
    pub importer: &'static dyn Importer,
    /// Writes it.
    pub exporter: &'static dyn Exporter,
}

/// Every format.
pub static FORMATS: &[Format] = &[har::FORMAT, recording::FORMAT];

/// Reads a format.
pub trait Importer: Sync {
    /// Whether files of that kind are this format.
    fn reads(&self, kind: &Kind) -> bool;

    /// Hands every exchange of the file to `import`; stops when that says so.
    fn read(&self, source: Source<'_>, import: &mut Import<'_>) -> Result<(), Error>;
}

/// Writes a format.
pub trait Exporter: Sync {
    /// Begins a file.
    fn begin<'w>(
        &self,
        out: Box<dyn Write + Send + 'w>,
        creator: &Creator,
    ) -> Result<Box<dyn ExchangeWriter + Send + 'w>, Error>;
}

/// A file being written, one exchange at a time; nothing of it is held.
pub trait ExchangeWriter {
    /// Appends an exchange, whose bodies the caller has loaded. `call` is the AWS call it is, for the
    /// formats that name it.
    fn write(&mut self, exchange: &Exchange, call: Option<&AwsCall>) -> Result<(), Error>;

    /// Records that something is missing.
    fn gap(&mut self, gap: &Gap) -> Result<(), Error>;

    /// Completes the file and flushes it; without this call it is cut short.
    fn finish(self: Box<Self>) -> Result<ExportReport, Error>;
}

/// Who writes a file, and what it is a record of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Creator {
    /// Version of Mimeo.
    pub version: String,
    /// Identifier of the session, where the exchanges are one session's.
    pub session_id: Option<String>,
    /// Name of the session.
    pub session_name: Option<String>,
}

/// The AWS call that an exchange is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AwsCall {
    /// Name of the service as in a credential scope, such as `s3`.
    pub service: String,
    /// Name of the operation, such as `GetObject`; empty when it is not known.
    pub action: String,
}

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportReport {
    /// Number of exchanges written.
    pub written: u64,
    /// What the format could not carry, each with the number of exchanges that have it; `first` is the
    /// identifier of the first of them.
    pub left_out: Vec<Note>,
}

impl ExportReport {
    pub(crate) fn left_out(&mut self, what: &'static str, exchange: &Exchange) {
        if let Some(note) = self.left_out.iter_mut().find(|note| note.what == what) {
            note.count += 1;
            return;
        }
        self.left_out.push(Note { what: what.into(), count: 1, first: exchange.id.to_string() });
    }
}

/// The format of that name.
pub fn by_name(name: &str) -> Result<&'static Format, Error> {
    FORMATS.iter().find(|format| format.name.eq_ignore_ascii_case(name)).ok_or_else(|| Error::UnknownFormat {
        name: name.to_owned(),
        accepted: FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", "),
    })
}

/// The format that a file's ending asks for: `rec.har`, `rec.har.gz`, `rec.json`.
pub fn by_file_name(file: &str) -> Result<&'static Format, Error> {
    let lower = file.to_ascii_lowercase();
    let stem = lower.strip_suffix(".gz").unwrap_or(&lower);
    let ending = stem.rsplit_once('.').map_or("", |(_, ending)| ending);
    FORMATS.iter().find(|format| format.extensions.contains(&ending)).ok_or_else(|| Error::UnknownFormat {
        name: file.rsplit(['/', '\\']).next().unwrap_or(file).to_owned(),
        accepted: FORMATS
            .iter()
            .flat_map(|format| format.extensions)
            .map(|ending| format!(".{ending}"))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// Reads a file of the given format, or of the one it is recognised as. Gzip is unpacked on the way and
/// UTF-16 understood; exchanges go to `each` one by one, which may stop the import. Entries that cannot be
/// used are in the report; a fault ends the import, and what was handed over before stays handed over.
pub fn import(
    reader: &mut dyn Read,
    format: Option<&Format>,
    limits: Limits,
    make_id: &mut dyn FnMut(Timestamp) -> ExchangeId,
    each: &mut dyn FnMut(Imported) -> ControlFlow<()>,
) -> Result<ImportReport, Error> {
    let source = Source::open(reader, &limits)?;
    let (head, whole) = source.head();
    let kind = detect::detect(head, whole);
    let format = choose(format, &kind)?;
    let mut import = Import::new(format.name, limits, make_id, each);
    match format.importer.read(source, &mut import) {
        Ok(()) => import.finish(),
        Err(Error::Truncated { path, line, column, .. }) => {
            Err(Error::Truncated { path, line, column, imported: import.report.imported })
        }
        Err(error) => Err(error),
    }
}

fn choose<'f>(format: Option<&'f Format>, kind: &Kind) -> Result<&'f Format, Error> {
    let wrong = |expected: String| Err(Error::WrongFormat { expected, found: kind.clone() });
    match (format, kind) {
        (_, Kind::Empty) => Err(Error::Empty),
        (Some(format), kind) if format.importer.reads(kind) || kind.may_be_any_json() => Ok(format),
        (Some(format), _) => wrong(format.title.to_owned()),
        (None, kind) => match FORMATS.iter().find(|format| format.importer.reads(kind)) {
            Some(format) => Ok(format),
            // Its importer says where it breaks.
            None if *kind == Kind::BrokenJson => Ok(&FORMATS[0]),
            None => wrong(FORMATS.iter().map(|format| format.title).collect::<Vec<_>>().join(" or ")),
        },
    }
}
