//! Globs over hosts: `*` stands for any number of any characters, labels and dots included; case does not
//! matter; the port matters only where the pattern names one.

/// A list of host patterns.
#[derive(Debug, Clone, Default)]
pub struct HostGlobs {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    pieces: Vec<String>,
    port: Option<u16>,
}

/// A text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a host pattern: {why} at character {position}")]
pub struct HostGlobError {
    /// The text.
    pub pattern: String,
    /// What is wrong.
    pub why: &'static str,
    /// Where, counted from 1.
    pub position: usize,
}

impl HostGlobs {
    /// Reads patterns such as `*.example.com` or `api.example.com:8443`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, HostGlobError> {
        let patterns =
            patterns.into_iter().map(|pattern| read(pattern.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Whether any pattern matches.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        // A name that ends with a dot is the same name, fully qualified.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.patterns.iter().any(|pattern| {
            pattern.port.is_none_or(|wanted| wanted == port) && matches_pieces(&pattern.pieces, &host)
        })
    }
}

fn read(pattern: &str) -> Result<Pattern, HostGlobError> {
    let fault = |why, position| HostGlobError { pattern: pattern.to_owned(), why, position };
    if pattern.is_empty() {
        return Err(fault("it is empty", 1));
    }
    let allowed = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | '*' | ':' | '[' | ']')
    };
    if let Some((at, _)) = pattern.char_indices().find(|(_, character)| !allowed(*character)) {
        return Err(fault("a host has no such character", at + 1));
    }
    let (host, port) = match (pattern.strip_prefix('['), pattern.rsplit_once(':')) {
        (Some(inner), _) => {
            let Some((host, rest)) = inner.split_once(']') else {
                return Err(fault("the bracket is not closed", 1));
            };
            match rest.strip_prefix(':') {
                Some(port) => (host, Some((port, host.len() + 4))),
                None if rest.is_empty() => (host, None),
                None => return Err(fault("only a port follows the bracket", host.len() + 3)),
            }
        }
        // More than one colon is an IPv6 address without brackets, which has no port.
        (None, Some((host, port))) if !host.contains(':') => (host, Some((port, host.len() + 2))),
        (None, _) => (pattern, None),
    };
    if host.is_empty() {
        return Err(fault("there is no host", 1));
    }
    if let Some(at) = host.find(['[', ']']) {
        return Err(fault("a bracket stands only around an address", at + 1));
    }
    let port = match port {
        Some((text, position)) => {
            Some(text.parse().map_err(|_| fault("the port is not a number up to 65535", position))?)
        }
        None => None,
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Ok(Pattern { pieces: host.split('*').map(str::to_owned).collect(), port })
}

/// Whether the pieces stand in `text` in order, the first at its start and the last at its end.
fn matches_pieces(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        match rest.find(piece.as_str()) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_documented() {
        for (pattern, host, port, matches) in [
            ("*.example.com", "api.example.com", 443, true),
            ("*.example.com", "a.b.example.com", 443, true),
            ("*.example.com", "example.com", 443, false),
            ("*.EXAMPLE.com", "api.Example.COM", 443, true),
            ("api.example.com:8443", "api.example.com", 443, false),
            ("api.example.com:8443", "api.example.com", 8443, true),
            ("*", "anything", 1, true),
            ("a*b*c", "a-x-b-y-c", 1, true),
            ("a*b*c", "acb", 1, false),
            ("ab*ba", "aba", 1, false),
            ("[::1]:8080", "::1", 8080, true),
            ("[::1]", "::1", 9, true),
            ("::1", "::1", 9, true),
            ("fe80::*", "fe80::7", 9, true),
            ("**.example.com", "a.example.com", 9, true),
            ("*.example.com.", "a.example.com", 9, true),
            ("*.example.com", "a.example.com.", 9, true),
        ] {
            let globs = HostGlobs::new([pattern]).expect("a pattern");
            assert_eq!(globs.matches(host, port), matches, "{pattern} {host}:{port}");
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_trying_every_split(pattern in "[ab*]{1,8}", host in "[ab]{0,8}") {
            let globs = HostGlobs::new([&pattern]).expect("a pattern");
            prop_assert_eq!(globs.matches(&host, 1), tried(pattern.as_bytes(), host.as_bytes()));
        }
    }

    fn tried(pattern: &[u8], host: &[u8]) -> bool {
        match pattern.split_first() {
            None => host.is_empty(),
            Some((b'*', rest)) => (0..=host.len()).any(|at| tried(rest, &host[at..])),
            Some((byte, rest)) => {
                host.split_first().is_some_and(|(one, host)| one == byte && tried(rest, host))
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_place() {
        for (pattern, position) in [
            ("", 1),
            ("a b", 2),
            ("http://x", 6),
            ("x:99999", 3),
            (":80", 1),
            ("[::1", 1),
            ("[::1]x", 6),
            ("[::1]:x", 7),
            ("a[b]", 2),
        ] {
            let error = HostGlobs::new([pattern]).expect_err("refused");
            assert_eq!(error.position, position, "{pattern}");
        }
    }
}
