//! One import: what the caller gives to it, what it hands over and what it reports.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::ControlFlow;

use mimeo_model::{Exchange, ExchangeId, Gap, Timestamp};

use crate::error::Error;
use crate::json::scan::Refused;
use crate::json::{Json, Oddities, Place, Scanner, tree};
use crate::registry::AwsCall;

/// Most skipped entries that are listed one by one.
const LISTED: usize = 1000;

/// Bounds of one import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text of one entry, in bytes; a longer one is skipped. An import needs about three times
    /// this much memory for the largest entry it meets.
    pub entry: usize,
    /// Most bytes that a gzipped file may unpack to. They are never held, so this bounds time alone.
    pub unpacked: u64,
}

impl Default for Limits {
    /// 64 MiB an entry, which holds two bodies at the default capture limit in their longest form, and
    /// 8 GiB unpacked.
    fn default() -> Self {
        Self { entry: 64 << 20, unpacked: 8 << 30 }
    }
}

/// An exchange out of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Number of its entry within the file, counted from 0.
    pub index: u64,
    /// The exchange.
    pub exchange: Exchange,
    /// The AWS call it is, when the file says so.
    pub call: Option<AwsCall>,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Name of the format that was read.
    pub format: &'static str,
    /// The program that wrote the file, with its version, when the file says so.
    pub creator: Option<String>,
    /// Number of exchanges handed over.
    pub imported: u64,
    /// The entries that could not be used, at most the first thousand of them.
    pub skipped: Vec<Skipped>,
    /// Number of entries that could not be used.
    pub skipped_total: u64,
    /// What was odd about the entries that were used.
    pub notes: Vec<Note>,
    /// What the file says is missing from it.
    pub gaps: Vec<Gap>,
    /// Whether the caller stopped the import before the end of the file.
    pub stopped: bool,
}

/// An entry that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Number of the entry within the file, counted from 0.
    pub index: u64,
    /// JSONPath (RFC 9535) of what is wrong.
    pub pointer: String,
    /// Line on which the entry begins, counted from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

/// Something odd that was read nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What was odd and what was made of it.
    pub what: String,
    /// How often.
    pub count: u64,
    /// JSONPath (RFC 9535) of the first.
    pub first: String,
}

/// An entry cannot be used.
pub(crate) struct Unusable {
    /// JSONPath below the entry, such as `request.url`; empty for the entry itself.
    pub(crate) field: &'static str,
    pub(crate) why: String,
}

impl Unusable {
    pub(crate) fn new(field: &'static str, why: impl Into<String>) -> Self {
        Self { field, why: why.into() }
    }
}

/// The state of a running import, which every format reports to.
pub struct Import<'a> {
    limits: Limits,
    make_id: &'a mut dyn FnMut(Timestamp) -> ExchangeId,
    each: &'a mut dyn FnMut(Imported) -> ControlFlow<()>,
    pub(crate) report: ImportReport,
    /// JSONPath of the entry being read.
    path: String,
    index: u64,
    line: u64,
    /// Notes on the entry being read; they count once it is handed over.
    pending: Vec<Note>,
    carried: HashSet<ExchangeId>,
    latest: Timestamp,
}

impl<'a> Import<'a> {
    /// Begins an import of `format`. `make_id` gives an identifier to what the file has none for; `each`
    /// takes the exchanges in the order of the file and may stop the import.
    pub fn new(
        format: &'static str,
        limits: Limits,
        make_id: &'a mut dyn FnMut(Timestamp) -> ExchangeId,
        each: &'a mut dyn FnMut(Imported) -> ControlFlow<()>,
    ) -> Self {
        Self {
            limits,
            make_id,
            each,
            report: ImportReport { format, ..ImportReport::default() },
            path: "$".into(),
            index: 0,
            line: 1,
            pending: Vec::new(),
            carried: HashSet::new(),
            latest: Timestamp::default(),
        }
    }

    /// Ends the import; a file with entries of which none could be used is a fault.
    pub fn finish(self) -> Result<ImportReport, Error> {
        match self.report.skipped.first() {
            Some(first) if self.report.imported == 0 && !self.report.stopped => Err(Error::NothingUsable {
                skipped: self.report.skipped_total,
                path: first.pointer.clone(),
                why: first.why.clone(),
            }),
            _ => Ok(self.report),
        }
    }

    /// Start of the exchange that was handed over last; the epoch before the first.
    pub(crate) fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Reads the entries of the array at the cursor: each is cut out, read as a tree and given to
    /// `convert`. An entry that cannot be used is reported and the next one is read.
    pub(crate) fn entries(
        &mut self,
        scanner: &mut Scanner<'_>,
        mut convert: impl FnMut(&mut Self, Json) -> Result<(Exchange, Option<AwsCall>), Unusable>,
    ) -> Result<ControlFlow<()>, Error> {
        if !scanner.enter_list()? {
            let found = scanner.sort()?;
            return Err(scanner.shape(format!("the entries are {found}"), "an array of entries"));
        }
        while let Some(index) = scanner.next_element()? {
            self.index = index;
            self.path = scanner.path();
            let taken = scanner.take(self.limits.entry)?;
            self.line = taken.place.line;
            match taken.refused {
                Some(Refused::TooLarge) => {
                    let limit = self.limits.entry;
                    self.skip(&Unusable::new("", format!("the entry is larger than {limit} bytes")));
                    continue;
                }
                Some(Refused::TooDeep) => {
                    self.skip(&Unusable::new("", "the entry is nested deeper than 128 levels"));
                    continue;
                }
                None => {}
            }
            let mut oddities = Oddities::default();
            let entry = match tree::parse(scanner.text(&taken), &mut oddities) {
                Ok(entry) => entry,
                Err(fault) => {
                    let Place { line, column } = taken.place.within(scanner.text(&taken), fault.offset);
                    let why = format!("line {line}, column {column}: {}", fault.what);
                    self.skip(&Unusable::new("", why));
                    continue;
                }
            };
            self.note_oddities(oddities);
            match convert(self, entry) {
                Err(unusable) => self.skip(&unusable),
                Ok((exchange, call)) => {
                    if self.deliver(exchange, call).is_break() {
                        self.report.stopped = true;
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn deliver(&mut self, exchange: Exchange, call: Option<AwsCall>) -> ControlFlow<()> {
        if exchange.started_at < self.latest {
            self.note("the entries are not in the order of time", "");
        } else {
            self.latest = exchange.started_at;
        }
        for note in self.pending.drain(..) {
            add(&mut self.report.notes, note);
        }
        self.report.imported += 1;
        (self.each)(Imported { index: self.index, exchange, call })
    }

    fn note_oddities(&mut self, oddities: Oddities) {
        for (found, what) in [
            (oddities.repeated_key, "an object has the same key twice: the last one counts"),
            (oddities.lone_surrogate, "half of a surrogate pair stands alone: read as U+FFFD"),
            (oddities.not_utf8, "a string is not UTF-8: the broken bytes are read as U+FFFD"),
            (oddities.bare_control, "a string holds an unescaped control character: kept"),
        ] {
            if found {
                self.note(what, "");
            }
        }
    }

    fn place(&self, field: &str) -> String {
        if field.is_empty() { self.path.clone() } else { format!("{}.{field}", self.path) }
    }

    fn skip(&mut self, unusable: &Unusable) {
        self.pending.clear();
        self.report.skipped_total += 1;
        if self.report.skipped.len() < LISTED {
            self.report.skipped.push(Skipped {
                index: self.index,
                pointer: self.place(unusable.field),
                line: self.line,
                why: unusable.why.clone(),
            });
        }
    }

    /// Reports something odd at `field`, a JSONPath below the entry. Equal notes are counted, not listed;
    /// `what` must not hold values of the file that could be many.
    pub(crate) fn note(&mut self, what: impl Into<Cow<'static, str>>, field: &str) {
        let what = what.into();
        if let Some(note) = self.pending.iter_mut().find(|note| note.what == what) {
            note.count += 1;
            return;
        }
        let first = self.place(field);
        self.pending.push(Note { what: what.into_owned(), count: 1, first });
    }

    /// The identifier of an exchange that began at `at`: the one the file carries, unless an earlier entry
    /// had it too.
    pub(crate) fn id(&mut self, carried: Option<ExchangeId>, at: Timestamp) -> ExchangeId {
        match carried {
            Some(id) if self.carried.insert(id) => id,
            Some(_) => {
                self.note("an earlier entry has the same identifier: a new one is given", "_id");
                (self.make_id)(at)
            }
            None => (self.make_id)(at),
        }
    }
}

fn add(notes: &mut Vec<Note>, note: Note) {
    match notes.iter_mut().find(|known| known.what == note.what) {
        Some(known) => known.count += note.count,
        None => notes.push(note),
    }
}
