//! Reads a HAR file: the entries one by one, whatever stands around them.

use std::ops::ControlFlow;

use crate::detect::Kind;
use crate::error::Error;
use crate::gaps;
use crate::har::entry_read;
use crate::import::Import;
use crate::json::{Json, Oddities, Scanner, tree};
use crate::registry::Importer;
use crate::source::Source;

/// Most bytes of what stands beside the entries that are read.
const ASIDE: usize = 8 << 20;

/// The importer as the registry lists it.
pub struct Reader;

impl Importer for Reader {
    fn reads(&self, kind: &Kind) -> bool {
        *kind == Kind::Har
    }

    fn read(&self, source: Source<'_>, import: &mut Import<'_>) -> Result<(), Error> {
        let mut scanner = Scanner::new(source);
        if !scanner.enter_object()? {
            let found = scanner.sort()?;
            return Err(scanner.shape(format!("the file holds {found}"), "an object with `log`"));
        }
        let mut found = false;
        while let Some(key) = scanner.next_key()? {
            if key != "log" {
                scanner.skip()?;
                continue;
            }
            found = true;
            if log(&mut scanner, import)?.is_break() {
                return Ok(());
            }
        }
        if !found {
            return Err(scanner.shape("there is no `log`", "an object with `log`"));
        }
        scanner.finish()
    }
}

fn log(scanner: &mut Scanner<'_>, import: &mut Import<'_>) -> Result<ControlFlow<()>, Error> {
    if !scanner.enter_object()? {
        let found = scanner.sort()?;
        return Err(scanner.shape(format!("`log` is {found}"), "an object with `entries`"));
    }
    let mut found = false;
    let mut creator = None;
    while let Some(key) = scanner.next_key()? {
        match key.as_str() {
            "entries" => {
                found = true;
                if import.entries(scanner, entry_read::read)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            "creator" | "browser" | "_gaps" => {
                let taken = scanner.take(ASIDE)?;
                let value = tree::parse(scanner.text(&taken), &mut Oddities::default());
                let value = value.unwrap_or(Json::Null);
                match key.as_str() {
                    "creator" => creator = Some(value),
                    "_gaps" => import.report.gaps.extend(gaps::read(&value)),
                    // Firefox and Chrome name themselves in both; the creator is enough.
                    _ => creator = creator.or(Some(value)),
                }
            }
            _ => scanner.skip()?,
        }
    }
    if !found {
        return Err(scanner.shape("`log` has no `entries`", "an object with `entries`"));
    }
    let part = |key| Some(creator.as_ref()?.get(key)?.text()?.chars().take(80).collect::<String>());
    import.report.creator = match (part("name"), part("version")) {
        (Some(name), Some(version)) if !version.is_empty() => Some(format!("{name} {version}")),
        (name, _) => name,
    };
    Ok(ControlFlow::Continue(()))
}
