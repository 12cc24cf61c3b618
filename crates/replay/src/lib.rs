//! A run: recorded requests sent to a target in their order and pace, and what came held against what was
//! recorded.
//!
//! [`plan`] and [`schedule`] are pure; [`drive`] is the only sender; [`verdict`] judges; [`report`] tells.

#![warn(missing_docs)]

pub mod drive;
pub mod plan;
pub mod report;
pub mod schedule;
pub mod verdict;

pub use drive::{RunOptions, run};
pub use plan::{Plan, PlanOptions, Planned, Skip, Speed};
pub use verdict::{Judged, Outcome, Run};
