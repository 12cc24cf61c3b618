//! Sizes, durations and texts as people read them.

use std::borrow::Cow;
use std::time::Duration;

use mimeo_engine::Timestamp;
use time::UtcOffset;

/// `612 B`, `4.1 KiB`, `1.0 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `38 ms`, `1.4 s`, `2 min 05 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => format!("{} µs", duration.as_micros()),
        1..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

/// `12:04:31.882` in the local time zone.
pub(crate) fn time_of_day(at: Timestamp, offset: UtcOffset) -> String {
    let shifted =
        Timestamp::from_unix_micros(at.unix_micros() + i64::from(offset.whole_seconds()) * 1_000_000);
    let (_, _, _, hour, minute, second, micros) = shifted.civil();
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", micros / 1000)
}

/// `2026-11-20 12:04` in the local time zone.
pub(crate) fn date_and_time(at: Timestamp, offset: UtcOffset) -> String {
    let shifted =
        Timestamp::from_unix_micros(at.unix_micros() + i64::from(offset.whole_seconds()) * 1_000_000);
    let (year, month, day, hour, minute, ..) = shifted.civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// Recorded text with everything a terminal might act on made visible: control characters, and the marks that
/// turn the direction of text.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let acts = |character: char| {
        character.is_control() && character != '\n' && character != '\t'
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .flat_map(|character| {
                let escaped: Vec<char> =
                    if acts(character) { character.escape_unicode().collect() } else { vec![character] };
                escaped
            })
            .collect(),
    )
}

/// One line, cut to `width` characters with an ellipsis.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let text = harmless(text).replace(['\n', '\t'], " ");
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (4198, "4.1 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (1 << 30, "1.0 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (micros, text) in
            [(12, "12 µs"), (38_400, "38 ms"), (1_440_000, "1.4 s"), (125_000_000, "2 min 05 s")]
        {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn recorded_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("/a\u{1b}[2J\u{202e}b"), "/a\\u{1b}[2J\\u{202e}b");
        assert_eq!(cut("/very/long/path", 6), "/very…");
    }
}
