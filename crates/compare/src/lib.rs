//! How two responses differ, and how much that matters.
//!
//! Pure: where the two came from is unknown here. [`compare`] is the one way to compare; replays, probes and
//! single sends differ only in their [`Rules`].

#![warn(missing_docs)]

mod body;
mod headers;
mod json;
mod noise;
mod text;

pub mod ignore;
pub mod severity;

use mimeo_model::Response;

pub use ignore::{IgnoreError, IgnoreRule};
pub use severity::Severity;

/// What counts as a difference.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Places whose differences are ignored.
    pub ignore: Vec<IgnoreRule>,
    /// Whether nothing but the status is compared.
    pub status_only: bool,
    /// Whether values that are known to vary (instants, random identifiers) count as well.
    pub strict_values: bool,
}

/// A place in which two responses differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `status`, `header content-type`, `$.items[2].price`, `body`.
    pub place: String,
    /// How.
    pub kind: Kind,
    /// What was expected, as a person reads it; cut when it is long.
    pub expected: Option<String>,
    /// What came, likewise.
    pub actual: Option<String>,
}

/// How a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The value is another one.
    Changed,
    /// It is not there any more.
    Missing,
    /// It was not there before.
    Extra,
    /// It is of another type.
    Type,
    /// The array has another length.
    Length,
}

/// A difference that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The difference.
    pub difference: Difference,
    /// The rule that ignored it.
    pub by: String,
}

/// What comparing two responses came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// The differences that count; at most [`MAX_DIFFERENCES`].
    pub differences: Vec<Difference>,
    /// Differences beyond those.
    pub more: usize,
    /// The differences that do not count.
    pub ignored: Vec<Ignored>,
}

/// Most differences that are listed of one comparison.
pub const MAX_DIFFERENCES: usize = 100;

impl Comparison {
    /// Whether nothing that counts differs.
    pub fn is_match(&self) -> bool {
        self.differences.is_empty()
    }

    /// The gravest severity among the differences.
    pub fn severity(&self) -> Option<Severity> {
        self.differences.iter().map(Severity::of).max()
    }
}

impl Kind {
    /// One word for a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Length => "length",
        }
    }
}

/// Compares what was expected with what came; bodies must be in memory.
pub fn compare(expected: &Response, actual: &Response, rules: &Rules) -> Comparison {
    let mut found = Vec::new();
    if expected.status != actual.status {
        found.push(Difference {
            place: "status".to_owned(),
            kind: Kind::Changed,
            expected: Some(expected.status.to_string()),
            actual: Some(actual.status.to_string()),
        });
    }
    if !rules.status_only {
        headers::differences(&expected.headers, &actual.headers, &mut found);
        body::differences(expected, actual, &mut found);
    }
    let mut comparison = Comparison::default();
    for difference in found {
        let by = rules
            .ignore
            .iter()
            .find(|rule| rule.covers(&difference.place))
            .map(|rule| rule.text().to_owned())
            .or_else(
                || if rules.strict_values { None } else { noise::reason(&difference).map(str::to_owned) },
            );
        match by {
            Some(by) => comparison.ignored.push(Ignored { difference, by }),
            None if comparison.differences.len() == MAX_DIFFERENCES => comparison.more += 1,
            None => comparison.differences.push(difference),
        }
    }
    comparison
}

/// A value as a person reads it.
fn shown(text: &str) -> String {
    const SHOWN: usize = 200;
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use mimeo_model::{Body, Headers};
    use proptest::prelude::*;

    use super::*;

    fn response(status: u16, fields: &[(&str, &str)], body: &str) -> Response {
        Response {
            status,
            headers: fields.iter().copied().collect::<Headers>(),
            body: Body::from_bytes(body.to_owned()),
            ..Response::default()
        }
    }

    fn json(body: &str) -> Response {
        response(200, &[("Content-Type", "application/json")], body)
    }

    fn told(expected: &str, actual: &str, rules: &Rules) -> Vec<String> {
        compare(&json(expected), &json(actual), rules)
            .differences
            .iter()
            .map(|difference| format!("{} {}", difference.place, difference.kind.as_str()))
            .collect()
    }

    #[test]
    fn structural_differences_are_named_by_path() {
        let none = Rules::default();
        for (expected, actual, differences) in [
            ("{\"a\":1}", "{\"a\":2}", vec!["$.a changed"]),
            ("{\"a\":1}", "{\"a\":1.0}", vec![]),
            ("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", vec![]),
            ("{\"total\":42.5}", "{}", vec!["$.total missing"]),
            ("{}", "{\"new key\":1}", vec!["$['new key'] extra"]),
            ("{\"a\":\"1\"}", "{\"a\":1}", vec!["$.a type"]),
            ("[1,2,3]", "[1,2]", vec!["$ length"]),
            ("[{\"x\":1},{\"x\":2}]", "[{\"x\":1},{\"x\":3}]", vec!["$[1].x changed"]),
            ("not json", "{}", vec!["body changed"]),
        ] {
            assert_eq!(told(expected, actual, &none), differences, "{expected} {actual}");
        }
    }

    #[test]
    fn rules_and_noise_ignore_and_say_so() {
        let rules = Rules {
            ignore: ["$.items[*].id", "$..etag", "header:x-version", "RequestId"]
                .map(|rule| rule.parse().expect("a rule"))
                .into(),
            ..Rules::default()
        };
        let (one, other) = (
            "{\"items\":[{\"id\":1,\"n\":1}],\"deep\":{\"etag\":\"a\"},\"RequestId\":\"x\"}",
            "{\"items\":[{\"id\":2,\"n\":2}],\"deep\":{\"etag\":\"b\"},\"RequestId\":\"y\"}",
        );
        assert_eq!(told(one, other, &rules), ["$.items[0].n changed"]);
        let (one, other) = (
            "{\"createdAt\":\"2026-01-01T00:00:00Z\",\"requestId\":\"0190b5a8-0000-7000-8000-000000000001\",\"name\":\"a\"}",
            "{\"createdAt\":\"2026-01-02T00:00:00Z\",\"requestId\":\"0190b5a8-0000-7000-8000-000000000002\",\"name\":\"b\"}",
        );
        assert_eq!(told(one, other, &Rules::default()), ["$.name changed"]);
        let strict = Rules { strict_values: true, ..Rules::default() };
        assert_eq!(told(one, other, &strict).len(), 3);
    }

    #[test]
    fn headers_that_matter_are_compared_and_those_that_vary_are_not() {
        let one = response(
            200,
            &[("Content-Type", "text/plain; charset=utf-8"), ("Date", "a"), ("Location", "/a")],
            "x",
        );
        let other = response(201, &[("content-type", "text/html"), ("Date", "b"), ("Location", "/b")], "x");
        let comparison = compare(&one, &other, &Rules::default());
        let places: Vec<_> = comparison.differences.iter().map(|difference| &difference.place[..]).collect();
        assert_eq!(places, ["status", "header content-type", "header location"]);
        assert_eq!(comparison.severity(), Some(Severity::Status));
        let status_only = Rules { status_only: true, ..Rules::default() };
        assert_eq!(compare(&one, &other, &status_only).differences.len(), 1);
    }

    #[test]
    fn encoded_and_streamed_bodies_are_compared_by_what_they_say() {
        let events = |text: &str| response(200, &[("Content-Type", "text/event-stream")], text);
        let comparison = compare(
            &events("data: {\"a\":1}\n\ndata: b\n\n"),
            &events("data: {\"a\":2}\n\ndata: b\n\n"),
            &Rules::default(),
        );
        assert_eq!(comparison.differences[0].place, "event[0].data.a");
        let lines = |text: &str| response(200, &[("Content-Type", "application/x-ndjson")], text);
        let comparison = compare(&lines("{\"a\":1}\n{\"a\":2}\n"), &lines("{\"a\":1}\n"), &Rules::default());
        assert_eq!(comparison.differences[0].kind, Kind::Length);
    }

    proptest! {
        #[test]
        fn a_response_equals_itself_and_differences_mirror(
            one in "\\{\"a\":[0-9]{1,3},\"b\":\\[(1|2)?\\]\\}",
            other in "\\{\"[ac]\":\"?[0-9]{1,3}\"?\\}|\\[\\]|x",
        ) {
            let rules = Rules { strict_values: true, ..Rules::default() };
            prop_assert!(compare(&json(&one), &json(&one), &rules).is_match());
            let there = compare(&json(&one), &json(&other), &rules);
            let back = compare(&json(&other), &json(&one), &rules);
            prop_assert_eq!(there.differences.len(), back.differences.len());
        }
    }
}
