//! The tiers in their order: the first that has an answer gives it.

mod exact;

use crate::compile::Library;
use crate::derive::Mock;
use crate::explain::Miss;
use crate::index::exact::Keyed;
use crate::state::Sequences;

/// One step of the cascade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Method, path, query and body equal those of a recorded request.
    Exact,
}

impl Tier {
    /// The name that `X-Mimeo-Mock` carries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
        }
    }
}

/// What the library says to a request.
#[derive(Debug)]
pub enum Decision<'a> {
    /// A mock answers.
    Hit {
        /// The tier that found it.
        tier: Tier,
        /// The mock.
        mock: &'a Mock,
    },
    /// Nothing answers.
    Miss(Box<Miss>),
}

type Step = for<'a> fn(&'a Library, &Keyed<'_>, &Sequences) -> Option<&'a Mock>;

/// The tiers, cheapest and most certain first.
const TIERS: [(Tier, Step); 1] = [(Tier::Exact, exact::answer)];

/// Asks the tiers in turn; what a sequence has given is counted in `sequences`.
pub(crate) fn hit<'a>(
    library: &'a Library,
    asked: &Keyed<'_>,
    sequences: &Sequences,
) -> Option<(Tier, &'a Mock)> {
    TIERS.into_iter().find_map(|(tier, step)| Some((tier, step(library, asked, sequences)?)))
}
