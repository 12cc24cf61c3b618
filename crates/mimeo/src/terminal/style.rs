//! Colours. Meaning never rests on them alone, and `anstream` drops them where nobody would see them.

use anstyle::{AnsiColor, Color, Style};

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// For what is of less interest.
pub(crate) const DIM: Style = Style::new().dimmed();
/// For names and results.
pub(crate) const BOLD: Style = Style::new().bold();
/// For what went well.
pub(crate) const GOOD: Style = colour(AnsiColor::Green);
/// For what deserves a look.
pub(crate) const NOTABLE: Style = colour(AnsiColor::Cyan);
/// For what may be wrong.
pub(crate) const WARNING: Style = colour(AnsiColor::Yellow);
/// For what is wrong.
pub(crate) const BAD: Style = colour(AnsiColor::Red);

/// The colour of a status by its class.
pub(crate) fn of_status(status: Option<u16>) -> Style {
    match status {
        Some(100..=299) => GOOD,
        Some(300..=399) => NOTABLE,
        Some(400..=499) => WARNING,
        Some(_) | None => BAD,
    }
}
