//! Waiting for a condition, with a deadline. A test that sleeps for a fixed time is either slow or wrong.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until `condition` holds.
///
/// Panics when it does not within `deadline`.
#[track_caller]
pub fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(deadline, what, || condition().then_some(()));
}

/// Waits until `find` finds something, and gives it.
///
/// Panics when it does not within `deadline`.
#[track_caller]
pub fn eventually_some<T>(deadline: Duration, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(began.elapsed() < deadline, "not within {deadline:?}: {what}");
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}
