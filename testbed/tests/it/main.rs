//! The testbed does what it says, or no test with it proves anything.

mod clients;
mod http2;
mod raw;
mod upstream;
mod websocket;
