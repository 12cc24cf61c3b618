//! What changes while a library answers: one counter for each sequence, and nothing else, so it is bounded by
//! the library.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many answers each sequence of recorded answers has given.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    given: Vec<AtomicU32>,
}

impl Sequences {
    /// As many sequences, none begun.
    pub(crate) fn new(count: usize) -> Self {
        Self { given: (0..count).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Takes the next turn of a sequence of `length` answers: each once, in order, then the last.
    pub(crate) fn next(&self, sequence: usize, length: usize) -> usize {
        let last = length.saturating_sub(1);
        let Some(given) = self.given.get(sequence) else { return last };
        // A sequence that is spent is only read, so that threads do not contend for its counter, and a mock that
        // lives long never starts over.
        let turn = given.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |given| {
            ((given as usize) < length).then(|| given + 1)
        });
        turn.map_or(last, |turn| turn as usize)
    }

    /// Whether a sequence of `length` answers has given each of them.
    pub(crate) fn is_spent(&self, sequence: usize, length: usize) -> bool {
        self.given.get(sequence).is_none_or(|given| given.load(Ordering::Relaxed) as usize >= length)
    }

    /// Begins every sequence anew.
    pub(crate) fn reset(&self) {
        self.given.iter().for_each(|given| given.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_gives_each_answer_once_and_then_the_last() {
        let sequences = Sequences::new(2);
        let turns: Vec<_> = (0..5).map(|_| sequences.next(0, 3)).collect();
        assert_eq!(turns, [0, 1, 2, 2, 2]);
        assert!(sequences.is_spent(0, 3) && !sequences.is_spent(1, 3));
        sequences.reset();
        assert_eq!(sequences.next(0, 3), 0);
        assert_eq!(sequences.next(7, 3), 2, "what is not there repeats the last");
    }

    #[test]
    fn threads_share_a_sequence_without_giving_a_turn_twice() {
        let sequences = Sequences::new(1);
        let mut turns: Vec<usize> = std::thread::scope(|scope| {
            let take = || (0..100).map(|_| sequences.next(0, 350)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        turns.sort_unstable();
        let expected: Vec<usize> = (0..400).map(|turn| turn.min(349)).collect();
        assert_eq!(turns, expected);
    }
}
