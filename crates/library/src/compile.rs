//! A library: mocks compiled for answering.

use std::fmt;

use mimeo_model::{Exchange, Gap};

use crate::cascade::{self, Decision};
use crate::derive::{self, Mock, Unanswerable};
use crate::explain;
use crate::explain::neighbours::Neighbours;
use crate::index::exact::{ExactIndex, Keyed};
use crate::index::groups::Groups;
use crate::request::RequestView;
use crate::state::Sequences;

/// Mocks, compiled for answering. The index never changes; only the sequences do, and any number of threads may
/// ask at once.
pub struct Library {
    pub(crate) mocks: Vec<Mock>,
    pub(crate) exact: ExactIndex,
    pub(crate) groups: Groups,
    pub(crate) neighbours: Neighbours,
    pub(crate) unanswered: SilentExchanges,
    sequences: Sequences,
    gaps: Vec<Gap>,
}

/// The exchanges that answer nothing, found by their requests.
pub(crate) struct SilentExchanges {
    pub(crate) exchanges: Vec<(Box<Exchange>, Unanswerable)>,
    pub(crate) exact: ExactIndex,
    /// By group, in recorded order.
    pub(crate) groups: Vec<Vec<u32>>,
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
        let (exact, group_of) =
            ExactIndex::build(mocks.len() as u32, |number| mocks[number as usize].keyed());
        let groups = Groups::new(&mocks, &group_of);
        let neighbours = Neighbours::new(&mocks, &groups);
        let sequences = Sequences::new(groups.slots());
        let unanswered = SilentExchanges::new(unanswerable);
        Self { mocks, exact, groups, neighbours, unanswered, sequences, gaps }
    }

    /// Answers a request, or says what comes closest. A request that is found byte for byte costs no allocation.
    pub fn answer(&self, request: &RequestView<'_>) -> Decision<'_> {
        let asked = Keyed::asked(*request);
        match cascade::hit(self, &asked, &self.sequences) {
            Some((tier, mock)) => Decision::Hit { tier, mock },
            None => Decision::Miss(Box::new(explain::miss(self, &asked))),
        }
    }

    /// The mocks in recorded order.
    pub fn mocks(&self) -> &[Mock] {
        &self.mocks
    }

    /// Number of different requests that are answered.
    pub fn requests(&self) -> usize {
        self.groups.len()
    }

    /// The exchanges that answer nothing, and why.
    pub fn unanswerable(&self) -> &[(Box<Exchange>, Unanswerable)] {
        &self.unanswered.exchanges
    }

    /// What the recording lost.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Begins every sequence anew.
    pub fn reset(&self) {
        self.sequences.reset();
    }
}

/// Counts only: what was recorded may be large and secret.
impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Library({} mocks of {} requests)", self.mocks.len(), self.groups.len())
    }
}

impl SilentExchanges {
    fn new(exchanges: Vec<(Box<Exchange>, Unanswerable)>) -> Self {
        let keyed = |number: u32| {
            let exchange = &exchanges[number as usize].0;
            Keyed::recorded(&exchange.request, exchange.is_websocket())
        };
        let (exact, group_of) = ExactIndex::build(exchanges.len() as u32, keyed);
        let count = group_of.iter().max().map_or(0, |last| *last as usize + 1);
        let mut groups = vec![Vec::new(); count];
        for (number, group) in (0_u32..).zip(group_of) {
            groups[group as usize].push(number);
        }
        Self { exchanges, exact, groups }
    }

    /// The exchanges whose request was the same.
    pub(crate) fn find(&self, asked: &Keyed<'_>) -> impl Iterator<Item = &(Box<Exchange>, Unanswerable)> {
        let keyed = |number: u32| {
            let exchange = &self.exchanges[number as usize].0;
            Keyed::recorded(&exchange.request, exchange.is_websocket())
        };
        let group = self.exact.find(asked, keyed).and_then(|group| self.groups.get(group as usize));
        group.into_iter().flatten().map(|number| &self.exchanges[*number as usize])
    }
}
