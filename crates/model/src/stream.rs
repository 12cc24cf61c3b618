//! What travels piece by piece: chunks of a streamed body, WebSocket frames and server-sent events.

pub mod chunk;
pub mod event;
pub mod frame;

pub use chunk::Chunk;
pub use event::Event;
pub use frame::{Direction, Frame, Opcode};
