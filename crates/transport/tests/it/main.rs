//! Connections served in memory.

mod heads;
mod idle;
