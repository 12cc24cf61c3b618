//! The tiers in their order: the first that has an answer gives it.

mod exact;

use crate::compile::Library;
use crate::derive::Mock;
use crate::explain::{self, Miss};
use crate::request::RequestView;

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

type Step = for<'a> fn(&'a Library, &RequestView<'_>) -> Option<&'a Mock>;

/// The tiers, cheapest and most certain first.
const TIERS: [(Tier, Step); 1] = [(Tier::Exact, exact::answer)];

pub(crate) fn cascade<'a>(library: &'a Library, request: &RequestView<'_>) -> Decision<'a> {
    for (tier, step) in TIERS {
        if let Some(mock) = step(library, request) {
            return Decision::Hit { tier, mock };
        }
    }
    Decision::Miss(Box::new(explain::miss(library, request)))
}
