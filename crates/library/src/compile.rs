//! A library: mocks compiled for answering.

use mimeo_model::{Exchange, Gap};

use crate::cascade::{Decision, cascade};
use crate::derive::{self, Mock, Unanswerable};
use crate::explain::Shapes;
use crate::index::exact::ExactIndex;
use crate::request::RequestView;
use crate::state::Sequences;

/// Headers that tell recordings of one request apart, where their values differ in the recording.
const SELECTING: [&str; 9] = [
    "range",
    "x-amz-target",
    "soapaction",
    "accept",
    "accept-language",
    "content-type",
    "if-none-match",
    "if-modified-since",
    "depth",
];

/// Mocks, compiled for answering.
pub struct Library {
    pub(crate) mocks: Vec<Mock>,
    pub(crate) exact: ExactIndex,
    pub(crate) slots: Vec<Slot>,
    pub(crate) slot_of: Vec<u32>,
    pub(crate) sequences: Sequences,
    pub(crate) shapes: Shapes,
    unanswerable: Vec<(Box<Exchange>, Unanswerable)>,
    gaps: Vec<Gap>,
    authorities: usize,
}

/// The recorded answers to one request from one authority with one choice of selecting headers.
pub(crate) struct Slot {
    pub(crate) mocks: Vec<u32>,
}

impl Library {
    /// Compiles recorded exchanges, in recorded order, with their bodies in memory.
    pub fn compile(exchanges: impl IntoIterator<Item = Exchange>, gaps: Vec<Gap>) -> Self {
        let mut mocks = Vec::new();
        let mut unanswerable = Vec::new();
        for exchange in exchanges {
            match derive::mock(exchange) {
                Ok(mock) => mocks.push(mock),
                Err(fault) => unanswerable.push(fault),
            }
        }
        let mut exact = ExactIndex::default();
        for (number, mock) in (0_u32..).zip(&mocks) {
            exact.add(&RequestView::of_recorded(&mock.request), number);
        }
        let mut authorities: Vec<&str> = mocks.iter().map(|mock| mock.request.authority.as_str()).collect();
        authorities.sort_unstable();
        authorities.dedup();
        let authorities = authorities.len();
        let (slots, slot_of) = slots(&mocks, &exact);
        let sequences = Sequences::new(slots.len());
        let shapes = Shapes::new(&mocks);
        Self { mocks, exact, slots, slot_of, sequences, shapes, unanswerable, gaps, authorities }
    }

    /// Answers a request, or says what comes closest.
    pub fn answer(&self, request: &RequestView<'_>) -> Decision<'_> {
        cascade(self, request)
    }

    /// The mocks in recorded order.
    pub fn mocks(&self) -> &[Mock] {
        &self.mocks
    }

    /// Number of different requests that are answered.
    pub fn requests(&self) -> usize {
        self.exact.len()
    }

    /// The exchanges that answer nothing, and why.
    pub fn unanswerable(&self) -> &[(Box<Exchange>, Unanswerable)] {
        &self.unanswerable
    }

    /// What the recording lost.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Begins every sequence anew.
    pub fn reset(&self) {
        self.sequences.reset();
    }

    /// Whether the recording has one authority, so that a request need not name it.
    pub(crate) fn has_one_authority(&self) -> bool {
        self.authorities <= 1
    }

    /// The mocks recorded for the same request that fit best: same authority, then most equal selecting headers.
    pub(crate) fn select(&self, request: &RequestView<'_>, group: &[u32]) -> Option<(usize, &Slot)> {
        let mut best: Option<(usize, u32)> = None;
        for number in group {
            let slot = self.slot_of[*number as usize];
            let mock = &self.mocks[*number as usize];
            let same_authority = request
                .authority
                .is_none_or(|authority| authority.eq_ignore_ascii_case(&mock.request.authority));
            if !same_authority && !self.has_one_authority() {
                continue;
            }
            let equal = if self.slots.len() == self.exact.len() || group.len() == 1 {
                0
            } else {
                // An earlier header in the list decides before a later one.
                SELECTING.iter().fold(0, |sum, name| {
                    sum << 1 | usize::from(request.headers.get(name) == mock.request.headers.get(name))
                })
            };
            if best.is_none_or(|(score, _)| equal > score) {
                best = Some((equal, slot));
            }
        }
        let (_, slot) = best?;
        Some((slot as usize, &self.slots[slot as usize]))
    }
}

/// Splits the mocks of each request by authority and by the selecting headers that differ among them.
fn slots(mocks: &[Mock], exact: &ExactIndex) -> (Vec<Slot>, Vec<u32>) {
    let mut slots: Vec<Slot> = Vec::with_capacity(exact.len());
    let mut slot_of = vec![u32::MAX; mocks.len()];
    for number in 0..mocks.len() {
        if slot_of[number] != u32::MAX {
            continue;
        }
        let Some(group) = exact.find(&RequestView::of_recorded(&mocks[number].request)) else { continue };
        let mut found: Vec<u32> = Vec::new();
        for member in group {
            let same = |slot: &&u32| {
                let (one, other) =
                    (&mocks[slots[**slot as usize].mocks[0] as usize], &mocks[*member as usize]);
                one.request.authority == other.request.authority
                    && SELECTING
                        .iter()
                        .all(|name| one.request.headers.get(name) == other.request.headers.get(name))
            };
            let slot = found.iter().find(same).copied();
            let slot = slot.unwrap_or_else(|| {
                slots.push(Slot { mocks: Vec::new() });
                found.push(slots.len() as u32 - 1);
                slots.len() as u32 - 1
            });
            slots[slot as usize].mocks.push(*member);
            slot_of[*member as usize] = slot;
        }
    }
    (slots, slot_of)
}
