//! What a person sees in the terminal.

pub(crate) mod exchange_line;
pub(crate) mod format;
pub(crate) mod run;
pub(crate) mod style;
