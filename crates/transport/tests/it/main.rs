//! Connections served in memory.

mod heads;
