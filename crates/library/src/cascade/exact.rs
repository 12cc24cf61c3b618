//! The exact tier: the same request was recorded. Several recordings of it answer in recorded order, and then
//! the last one again and again.

use crate::compile::Library;
use crate::derive::Mock;
use crate::request::RequestView;

pub(super) fn answer<'a>(library: &'a Library, request: &RequestView<'_>) -> Option<&'a Mock> {
    let group = library.exact.find(request)?;
    let (number, slot) = library.select(request, group)?;
    let turn = library.sequences.next(number, slot.mocks.len());
    library.mocks.get(*slot.mocks.get(turn)? as usize)
}
