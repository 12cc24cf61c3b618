//! What changes while a library answers.

use std::sync::atomic::{AtomicU32, Ordering};

/// How often each recorded request was asked.
#[derive(Debug, Default)]
pub struct Sequences {
    asked: Vec<AtomicU32>,
}

impl Sequences {
    /// Room for `groups` requests, none asked yet.
    pub fn new(groups: usize) -> Self {
        Self { asked: (0..groups).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Takes the next turn of a request with `length` recorded answers: each once, in order, then the last.
    pub fn next(&self, group: usize, length: usize) -> usize {
        let last = length.saturating_sub(1);
        let Some(asked) = self.asked.get(group) else { return last };
        // Saturating at the last keeps a long-lived mock from starting over when the counter overflows.
        let turn = asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |turn| {
            ((turn as usize) < last).then(|| turn + 1)
        });
        turn.map_or(last, |turn| turn as usize)
    }

    /// Begins every sequence anew.
    pub fn reset(&self) {
        self.asked.iter().for_each(|asked| asked.store(0, Ordering::Relaxed));
    }
}
