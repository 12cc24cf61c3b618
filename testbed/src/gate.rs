//! A gate in a stream: the server waits at it until the test lets something through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Stops a server at a point until the test says go. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), waiting: Arc::new(AtomicUsize::new(0)) }
    }

    /// Lets `count` more pieces through.
    pub fn let_through(&self, count: usize) {
        self.permits.add_permits(count);
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.permits.close();
    }

    /// How many pieces wait at the gate now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(crate) async fn pass(&self) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        // An error means that the gate is open for good.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}
