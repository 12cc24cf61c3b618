//! Where captured exchanges go.

use std::future::Future;
use std::pin::Pin;

use mimeo_transport::protocol::assembly::Captured;

/// Takes what the proxy captures. Calls come once for each exchange, or once for each part of a large or
/// lasting one, from any worker thread.
pub trait ExchangeSink: Send + Sync + 'static {
    /// Takes `captured`, or gives it back when there is no room and the traffic should wait for room. What to
    /// do when there is no room, and counting what is lost, is the sink's policy.
    fn offer(&self, captured: Captured) -> Result<(), Captured>;

    /// Completes when it is worth offering again.
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
