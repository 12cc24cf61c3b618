//! What is to be done next: a state machine fed with the time and with what ended.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Decides which request goes next.
#[derive(Debug)]
pub struct Schedule {
    waiting: VecDeque<(usize, u64, Duration)>,
    busy: HashMap<u64, usize>,
    in_flight: usize,
    concurrency: usize,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send this request now.
    Send(usize),
    /// Nothing until then, unless something ends before.
    WaitUntil(Duration),
    /// Nothing until something ends.
    WaitForEnd,
    /// All was sent and has ended.
    Done,
}

/// Requests that are looked past when the first ones must wait for their conversation.
const LOOKED_AT: usize = 1_000;

impl Schedule {
    /// A schedule over requests as (lane, due), of which at most `concurrency` are in flight at once.
    pub fn new(requests: impl IntoIterator<Item = (u64, Duration)>, concurrency: usize) -> Self {
        let waiting =
            requests.into_iter().enumerate().map(|(index, (lane, due))| (index, lane, due)).collect();
        Self { waiting, busy: HashMap::new(), in_flight: 0, concurrency: concurrency.max(1) }
    }

    /// What is to be done at `now`; a request that is to be sent counts as in flight from then on.
    pub fn next(&mut self, now: Duration) -> Next {
        if self.waiting.is_empty() {
            return if self.in_flight == 0 { Next::Done } else { Next::WaitForEnd };
        }
        if self.in_flight >= self.concurrency {
            return Next::WaitForEnd;
        }
        let found =
            self.waiting.iter().take(LOOKED_AT).position(|(_, lane, _)| !self.busy.contains_key(lane));
        let Some(place) = found else { return Next::WaitForEnd };
        let (index, lane, due) = self.waiting[place];
        if due > now {
            return Next::WaitUntil(due);
        }
        self.waiting.remove(place);
        self.busy.insert(lane, index);
        self.in_flight += 1;
        Next::Send(index)
    }

    /// A request of this lane ended.
    pub fn ended(&mut self, lane: u64) {
        if self.busy.remove(&lane).is_some() {
            self.in_flight -= 1;
        }
    }

    /// Drops what was not sent yet; gives it.
    pub fn abandon(&mut self) -> Vec<usize> {
        self.waiting.drain(..).map(|(index, ..)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_at_a_time_keeps_the_recorded_order() {
        let mut schedule = Schedule::new([(1, Duration::ZERO), (2, Duration::ZERO), (1, Duration::ZERO)], 1);
        for (index, lane) in [(0, 1), (1, 2), (2, 1)] {
            assert_eq!(schedule.next(MS), Next::Send(index));
            assert_eq!(schedule.next(MS), Next::WaitForEnd);
            schedule.ended(lane);
        }
        assert_eq!(schedule.next(MS), Next::Done);
    }

    #[test]
    fn conversations_go_side_by_side_and_each_keeps_its_order() {
        let mut schedule = Schedule::new([(1, Duration::ZERO), (1, MS), (2, MS * 2), (3, MS * 900)], 4);
        assert_eq!(schedule.next(MS * 5), Next::Send(0));
        assert_eq!(schedule.next(MS * 5), Next::Send(2));
        assert_eq!(schedule.next(MS * 5), Next::WaitUntil(MS * 900));
        schedule.ended(1);
        assert_eq!(schedule.next(MS * 5), Next::Send(1));
        assert_eq!(schedule.abandon(), [3]);
        schedule.ended(1);
        schedule.ended(2);
        assert_eq!(schedule.next(MS * 5), Next::Done);
    }
}
