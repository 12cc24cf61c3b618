//! The exact tier: the same request was recorded. Several recordings of it answer in recorded order, and then
//! the last one again and again.

use crate::compile::Library;
use crate::derive::Mock;
use crate::index::exact::Keyed;
use crate::state::Sequences;

pub(super) fn answer<'a>(library: &'a Library, asked: &Keyed<'_>, sequences: &Sequences) -> Option<&'a Mock> {
    let group = library.exact.find(asked, |number| library.mocks[number as usize].keyed())?;
    let number = library.groups.take(group, &asked.request, &library.mocks, sequences)?;
    library.mocks.get(number as usize)
}
