//! Pure protocol knowledge: heads, framing, targets and the assembly of exchanges.
//!
//! Nothing here reads a socket, a clock or a file; state machines are fed with bytes and instants.

pub mod assembly;
pub mod chunked;
pub mod framing;
pub mod head;
pub mod hop_by_hop;
pub mod outgoing_head;
pub(crate) mod reduced_head;
pub mod target;
pub mod websocket;
