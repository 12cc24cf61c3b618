//! The client side: reaching an upstream, each step timed.

pub mod io;
pub mod open;
pub mod own;
pub mod pool;
pub mod tls;

pub use io::UpstreamIo;
pub use open::{ConnectConfig, Connector, HttpVersions, Opened};
pub use own::OwnListeners;
pub use pool::{Expected, Lease, Pool, SendError};
pub use tls::{TlsError, UpstreamTls};
