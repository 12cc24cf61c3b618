//! The library as a mock server uses it.

mod answers;
mod fidelity;
mod misses;
mod oracle;
mod recordings;
