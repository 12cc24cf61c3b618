//! The formats as their callers use them: whole files in, whole files out.

mod arbitrary;
mod broken_files;
mod drive;
mod from_tools;
mod har_written;
mod recordings;
mod round_trips;
mod streaming;
