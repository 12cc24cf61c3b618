//! Which recordings are worth a close look for a request that nothing answers.
//!
//! Recordings lie in two orders, by the beginning and by the end of their path. What is like a request lies beside
//! the place where it would lie itself, so that a look costs the same however large the library is.

use std::cmp::Ordering;

use crate::derive::Mock;
use crate::index::groups::Groups;
use crate::request::RequestView;

/// Recordings that are taken to each side of a place in an order.
const BESIDE: usize = 64;

pub(crate) struct Neighbours {
    /// By path, query and body.
    by_beginning: Vec<u32>,
    /// By path, read from its end.
    by_end: Vec<u32>,
}

impl Neighbours {
    pub(crate) fn new(mocks: &[Mock], groups: &Groups) -> Self {
        let view = |number: u32| RequestView::of_recorded(&mocks[number as usize].request);
        let mut by_beginning: Vec<u32> = groups.representatives().collect();
        // The number of a recording decides last, so that the order does not depend on how it was made.
        by_beginning.sort_unstable_by(|one, other| {
            compare_beginnings(&view(*one), &view(*other)).then(one.cmp(other))
        });
        let mut by_end: Vec<u32> = groups.representatives().collect();
        by_end.sort_unstable_by(|one, other| compare_ends(&view(*one), &view(*other)).then(one.cmp(other)));
        Self { by_beginning, by_end }
    }

    /// The recordings that may be like `request`, in recorded order.
    pub(crate) fn near(&self, request: &RequestView<'_>, mocks: &[Mock]) -> Vec<u32> {
        let view = |number: &u32| RequestView::of_recorded(&mocks[*number as usize].request);
        let place =
            self.by_beginning.partition_point(|number| compare_beginnings(&view(number), request).is_lt());
        let same_path = self.by_beginning.partition_point(|number| view(number).path() < request.path());
        let end = self.by_end.partition_point(|number| compare_ends(&view(number), request).is_lt());
        let mut near = Vec::with_capacity(5 * BESIDE);
        for (order, place) in
            [(&self.by_beginning, place), (&self.by_beginning, same_path), (&self.by_end, end)]
        {
            let window = place.saturating_sub(BESIDE)..order.len().min(place + BESIDE);
            near.extend_from_slice(&order[window]);
        }
        near.sort_unstable();
        near.dedup();
        near
    }
}

fn compare_beginnings(one: &RequestView<'_>, other: &RequestView<'_>) -> Ordering {
    one.path()
        .cmp(other.path())
        .then_with(|| one.query().cmp(other.query()))
        .then_with(|| one.body.cmp(other.body))
}

fn compare_ends(one: &RequestView<'_>, other: &RequestView<'_>) -> Ordering {
    one.path().iter().rev().cmp(other.path().iter().rev())
}
