//! What each exchange, and the run as a whole, came to.

use std::time::Duration;

use mimeo_compare::{Comparison, Severity};
use mimeo_model::{Exchange, Failure, Gap};
use mimeo_rules::detect::aws::AwsCall;

/// One exchange of a run.
#[derive(Debug)]
pub struct Judged {
    /// Its place in the run, from 1.
    pub number: usize,
    /// What was recorded.
    pub recorded: Exchange,
    /// Which AWS call it is, where it is one.
    pub call: Option<AwsCall>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of one exchange.
#[derive(Debug)]
pub enum Outcome {
    /// The target answered.
    Answered {
        /// What came.
        actual: Box<Exchange>,
        /// How it compares.
        comparison: Comparison,
    },
    /// The target did not answer.
    Failed(Failure),
    /// It was not sent.
    Skipped(&'static str),
}

/// A run.
#[derive(Debug, Default)]
pub struct Run {
    /// Name of what was replayed.
    pub recording: String,
    /// The target's URL.
    pub target: String,
    /// Every exchange.
    pub judged: Vec<Judged>,
    /// What the recording had lost.
    pub gaps: Vec<Gap>,
    /// Names of headers that were left out, because their value was hidden when it was recorded.
    pub without: Vec<String>,
    /// How long the run took.
    pub took: Duration,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// The counts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Exchanges that were sent.
    pub sent: usize,
    /// Those that matched.
    pub matched: usize,
    /// Those that did not.
    pub mismatched: usize,
    /// Those that got no answer.
    pub errors: usize,
    /// Exchanges that were not sent.
    pub skipped: usize,
}

impl Judged {
    /// Whether the answer matched.
    pub fn is_match(&self) -> bool {
        matches!(&self.outcome, Outcome::Answered { comparison, .. } if comparison.is_match())
    }

    /// The gravest severity of a mismatch.
    pub fn severity(&self) -> Option<Severity> {
        match &self.outcome {
            Outcome::Answered { comparison, .. } => comparison.severity(),
            Outcome::Failed(_) | Outcome::Skipped(_) => None,
        }
    }
}

impl Run {
    /// The counts.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for judged in &self.judged {
            match &judged.outcome {
                Outcome::Answered { comparison, .. } if comparison.is_match() => totals.matched += 1,
                Outcome::Answered { .. } => totals.mismatched += 1,
                Outcome::Failed(_) => totals.errors += 1,
                Outcome::Skipped(_) => totals.skipped += 1,
            }
        }
        totals.sent = totals.matched + totals.mismatched + totals.errors;
        totals
    }

    /// Share of the exchanges sent that matched, in percent with two decimals; 100 when none was sent.
    pub fn compatibility_pct(&self) -> f64 {
        let totals = self.totals();
        if totals.sent == 0 {
            return 100.0;
        }
        (totals.matched as f64 / totals.sent as f64 * 10_000.0).round() / 100.0
    }

    /// The mismatches and errors.
    pub fn faults(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| match &judged.outcome {
            Outcome::Answered { comparison, .. } => !comparison.is_match(),
            Outcome::Failed(_) => true,
            Outcome::Skipped(_) => false,
        })
    }

    /// The duration that this share of the answers did not exceed, such as 0.95.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let mut durations: Vec<Duration> = self
            .judged
            .iter()
            .filter_map(|judged| match &judged.outcome {
                Outcome::Answered { actual, .. } => Some(actual.timings.total),
                Outcome::Failed(_) | Outcome::Skipped(_) => None,
            })
            .collect();
        durations.sort_unstable();
        let rank = (share * durations.len() as f64).ceil() as usize;
        durations.get(rank.saturating_sub(1)).copied()
    }
}
