//! Plain counts of each worker, merged when somebody looks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts of one worker.
#[derive(Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
    connections: AtomicUsize,
}

/// Counts of a proxy since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that were taken.
    pub requests: u64,
    /// Requests that ended with a failure of the upstream.
    pub failures: u64,
    /// Messages that were refused on their head.
    pub refused: u64,
    /// Client connections open now.
    pub connections: usize,
}

impl Counters {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn add_to(&self, counts: &mut Counts) {
        counts.requests += self.requests.load(Ordering::Relaxed);
        counts.failures += self.failures.load(Ordering::Relaxed);
        counts.refused += self.refused.load(Ordering::Relaxed);
        counts.connections += self.connections.load(Ordering::Relaxed);
    }
}
