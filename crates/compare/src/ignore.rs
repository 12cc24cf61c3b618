//! Rules that a user writes to ignore differences.
//!
//! `$.a.b` and all below it, `$.items[*].id`, `$..etag` at any depth, `header:Date`, and a bare name for a
//! member of that name at any depth or a header of that name.

use std::str::FromStr;

/// A place whose differences are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreRule {
    text: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Header(String),
    Name(String),
    Path(Vec<Step>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
    Any,
    Deep,
}

/// A text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is not a place to ignore: {why} at character {position}")]
pub struct IgnoreError {
    /// The text.
    pub rule: String,
    /// What is wrong.
    pub why: &'static str,
    /// Where, counted from 1.
    pub position: usize,
}

impl IgnoreRule {
    /// The rule as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the rule ignores differences at a place.
    pub(crate) fn covers(&self, place: &str) -> bool {
        match &self.place {
            Place::Header(name) => {
                place.strip_prefix("header ").is_some_and(|header| header.eq_ignore_ascii_case(name))
            }
            Place::Name(name) => {
                place.strip_prefix("header ").is_some_and(|header| header.eq_ignore_ascii_case(name))
                    || steps_of(place)
                        .iter()
                        .any(|step| matches!(step, Step::Member(member) if member == name))
            }
            Place::Path(steps) => covers(steps, &steps_of(place)),
        }
    }
}

/// Whether the rule's steps lead to the place or above it.
fn covers(rule: &[Step], place: &[Step]) -> bool {
    match (rule, place) {
        ([], _) => true,
        ([Step::Deep, rest @ ..], _) => (0..=place.len()).any(|skipped| covers(rest, &place[skipped..])),
        ([Step::Any, rest @ ..], [_, after @ ..]) => covers(rest, after),
        ([step, rest @ ..], [found, after @ ..]) => step == found && covers(rest, after),
        ([_, ..], []) => false,
    }
}

/// The steps of a place; none for what is no JSON path.
fn steps_of(place: &str) -> Vec<Step> {
    // Events and lines of a stream have paths of their own below `event[0].data` and `line[0]`.
    let path = match place.strip_prefix('$') {
        Some(path) => path,
        None => match place.split_once("].data").or_else(|| place.split_once(']')) {
            Some((_, path)) => path,
            None => return Vec::new(),
        },
    };
    read_steps(path, place).unwrap_or_default()
}

impl FromStr for IgnoreRule {
    type Err = IgnoreError;

    fn from_str(text: &str) -> Result<Self, IgnoreError> {
        let fault = |why, position| IgnoreError { rule: text.to_owned(), why, position };
        let trimmed = text.trim();
        let place = if let Some(path) = trimmed.strip_prefix('$') {
            Place::Path(read_steps(path, text)?)
        } else if let Some(name) = trimmed.strip_prefix("header:") {
            Place::Header(name.trim().to_owned())
        } else {
            Place::Name(trimmed.to_owned())
        };
        let empty = match &place {
            Place::Header(name) | Place::Name(name) => name.is_empty(),
            Place::Path(_) => false,
        };
        if empty {
            return Err(fault("there is no name", trimmed.len() + 1));
        }
        Ok(Self { text: text.to_owned(), place })
    }
}

fn read_steps(path: &str, whole: &str) -> Result<Vec<Step>, IgnoreError> {
    let offset = whole.len() - path.len();
    let fault = |why, rest: &str| IgnoreError {
        rule: whole.to_owned(),
        why,
        position: offset + path.len() - rest.len() + 1,
    };
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Deep);
            rest = after;
            if rest.starts_with('[') {
                continue;
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let quote = after.chars().next().filter(|quote| matches!(quote, '\'' | '"'));
            let close = match quote {
                Some(quote) => format!("{quote}]"),
                None => "]".to_owned(),
            };
            let inside = &after[quote.map_or(0, char::len_utf8)..];
            let end = inside.find(&close).ok_or_else(|| fault("a bracket is not closed", rest))?;
            steps.push(match (&inside[..end], quote) {
                (name, Some(_)) => Step::Member(name.to_owned()),
                ("*", None) => Step::Any,
                (number, None) => {
                    Step::Index(number.parse().map_err(|_| fault("an index is not a number or `*`", rest))?)
                }
            });
            rest = &inside[end + close.len()..];
            continue;
        } else {
            return Err(fault("expected `.`, `..` or `[`", rest));
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        if end == 0 {
            return Err(fault("a name is missing", rest));
        }
        steps.push(if &rest[..end] == "*" { Step::Any } else { Step::Member(rest[..end].to_owned()) });
        rest = &rest[end..];
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_cover_their_place_and_what_is_below() {
        for (rule, place, covers) in [
            ("$.a.b", "$.a.b", true),
            ("$.a.b", "$.a.b.c[0]", true),
            ("$.a.b", "$.a", false),
            ("$.items[*].id", "$.items[12].id", true),
            ("$.items[1].id", "$.items[2].id", false),
            ("$..id", "$.a[0].b.id", true),
            ("$['odd key']", "$['odd key']", true),
            ("$", "$.anything", true),
            ("header:Date", "header date", true),
            ("date", "header date", true),
            ("RequestId", "$.Meta.RequestId", true),
            ("RequestId", "$.Meta.RequestIds", false),
            ("$.a", "event[3].data.a", true),
        ] {
            let parsed: IgnoreRule = rule.parse().expect("a rule");
            assert_eq!(parsed.covers(place), covers, "{rule} {place}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_place() {
        for (rule, position) in [("$.a[", 4), ("$.a[x]", 4), ("$a", 2), ("$.", 3), ("header:", 8), ("", 1)] {
            let error = rule.parse::<IgnoreRule>().expect_err("refused");
            assert_eq!(error.position, position, "{rule}");
        }
    }
}
