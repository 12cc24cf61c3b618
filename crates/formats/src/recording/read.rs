//! Reads a recording, or a bare array of its entries.

use std::ops::ControlFlow;

use crate::detect::Kind;
use crate::error::Error;
use crate::gaps;
use crate::import::Import;
use crate::json::{Json, Oddities, Scanner, tree};
use crate::recording::entry_read::Entries;
use crate::registry::Importer;
use crate::source::Source;

/// Most bytes of what stands beside the entries that are read.
const ASIDE: usize = 8 << 20;

/// The importer as the registry lists it.
pub struct Reader;

impl Importer for Reader {
    fn reads(&self, kind: &Kind) -> bool {
        *kind == Kind::Recording
    }

    fn read(&self, source: Source<'_>, import: &mut Import<'_>) -> Result<(), Error> {
        const ACCEPTED: &str = "a recording with `entries`, or an array of entries";
        let mut scanner = Scanner::new(source);
        let mut entries = Entries::default();
        match scanner.sort()? {
            "an array" => {
                if entries_at(&mut scanner, &mut entries, import)?.is_break() {
                    return Ok(());
                }
            }
            "an object" => {
                scanner.enter_object()?;
                let mut found = false;
                while let Some(key) = scanner.next_key()? {
                    match key.as_str() {
                        "entries" => {
                            found = true;
                            if entries_at(&mut scanner, &mut entries, import)?.is_break() {
                                return Ok(());
                            }
                        }
                        "gaps" | "creator" | "started_at" | "startedAt" => {
                            let taken = scanner.take(ASIDE)?;
                            let value = tree::parse(scanner.text(&taken), &mut Oddities::default());
                            aside(&key, &value.unwrap_or(Json::Null), &mut entries, import);
                        }
                        _ => scanner.skip()?,
                    }
                }
                if !found {
                    return Err(scanner.shape("there are no `entries`", ACCEPTED));
                }
            }
            found => return Err(scanner.shape(format!("the file holds {found}"), ACCEPTED)),
        }
        scanner.finish()
    }
}

fn entries_at(
    scanner: &mut Scanner<'_>,
    entries: &mut Entries,
    import: &mut Import<'_>,
) -> Result<ControlFlow<()>, Error> {
    // Other writers say `null` for a list without entries.
    if scanner.sort()? == "null" {
        scanner.skip()?;
        return Ok(ControlFlow::Continue(()));
    }
    import.entries(scanner, |import, entry| entries.read(import, entry))
}

fn aside(key: &str, value: &Json, entries: &mut Entries, import: &mut Import<'_>) {
    match key {
        "gaps" => import.report.gaps.extend(gaps::read(value)),
        "creator" => {
            import.report.creator = value.text().map(|name| name.chars().take(160).collect());
        }
        _ => entries.began_at(value.text()),
    }
}
