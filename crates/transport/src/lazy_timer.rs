//! A timer for waits that nearly always end before their time.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// One timer for many waits after another. A wait that ends early leaves it running; it is set anew only when it
/// fires before its time has come, so that most waits cost a comparison.
#[derive(Debug, Default)]
pub(crate) struct LazyTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Ready once `due` has passed.
    pub(crate) fn poll_due(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_at_its_own_time_whatever_was_given_up_before() {
        let mut timer = LazyTimer::default();
        for (given_up, waited) in [(0, 30), (10, 50), (100, 20), (5, 5)] {
            let abandoned = Instant::now() + Duration::from_millis(given_up);
            poll_fn(|cx| {
                let _ = timer.poll_due(abandoned, cx);
                Poll::Ready(())
            })
            .await;
            let due = Instant::now() + Duration::from_millis(waited);
            poll_fn(|cx| timer.poll_due(due, cx)).await;
            assert_eq!(Instant::now(), due);
        }
    }
}
