//! The index against a reading of the rules that looks at every recording.

use std::collections::BTreeMap;

use mimeo_library::verify::verify;
use mimeo_model::Exchange;
use proptest::prelude::*;
use serde_json::Value;

use crate::recordings::{Ask, library, with_status};

/// One request out of a small world, so that recordings often meet.
#[derive(Debug, Clone)]
struct Drawn {
    method: &'static str,
    authority: &'static str,
    path: &'static str,
    parameters: Vec<&'static str>,
    body: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    status: u16,
}

const BODIES: [&str; 6] =
    ["", "{\"a\":1,\"b\":2}", "{ \"b\": 2, \"a\": 1 }", "{\"a\":1,\"b\":3}", "[1,2]", "not json"];

fn drawn() -> impl Strategy<Value = Drawn> {
    let accept = prop::sample::select(vec![None, Some(("Accept", "text/html")), Some(("accept", "*/*"))]);
    let range =
        prop::sample::select(vec![None, None, Some(("Range", "bytes=0-1")), Some(("Range", "bytes=2-3"))]);
    (
        prop::sample::select(vec!["GET", "POST"]),
        prop::sample::select(vec!["one", "two"]),
        prop::sample::select(vec!["/a", "/b", "/a/b"]),
        prop::collection::vec(prop::sample::select(vec!["x=1", "x=2", "y=1"]), 0..3),
        prop::sample::select(BODIES.to_vec()),
        (accept, range),
        prop::sample::select(vec![200, 200, 206]),
    )
        .prop_map(|(method, authority, path, parameters, body, (accept, range), status)| Drawn {
            method,
            authority,
            path,
            parameters,
            body,
            fields: [("Content-Type", "application/json")].into_iter().chain(accept).chain(range).collect(),
            status,
        })
}

impl Drawn {
    fn target(&self) -> String {
        format!("{}?{}", self.path, self.parameters.join("&"))
    }

    fn ask<'a>(&'a self, target: &'a str) -> Ask<'a> {
        Ask {
            method: self.method,
            authority: Some(self.authority),
            target,
            fields: &self.fields,
            body: self.body.as_bytes(),
        }
    }

    fn recorded(&self, number: u64) -> Exchange {
        with_status(self.ask(&self.target()).recorded(number, &number.to_string()), self.status)
    }

    /// Equal for requests that mean the same.
    fn meaning(&self) -> impl Ord + Clone + use<> {
        let mut parameters = self.parameters.clone();
        parameters.sort_by_key(|parameter| parameter.split('=').next());
        let body = serde_json::from_str::<BTreeMap<String, Value>>(self.body)
            .map_or_else(|_| self.body.to_owned(), |members| format!("{members:?}"));
        (self.method, self.path, parameters, body)
    }

    fn field(&self, name: &str) -> Option<&'static str> {
        self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// Answers by walking through everything that was recorded.
struct Oracle<'a> {
    recorded: &'a [Drawn],
    /// How often each slot, named by its first recording, was asked.
    given: BTreeMap<usize, usize>,
}

impl Oracle<'_> {
    fn slot_of(&self, number: usize) -> usize {
        let one = &self.recorded[number];
        self.recorded
            .iter()
            .position(|other| {
                other.meaning() == one.meaning()
                    && other.authority == one.authority
                    && other.field("accept") == one.field("accept")
                    && other.field("range") == one.field("range")
            })
            .unwrap_or(number)
    }

    fn answer(&mut self, asked: &Drawn) -> Option<usize> {
        let several = self.recorded.iter().any(|one| one.authority != self.recorded[0].authority);
        let mut slots: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, one) in self.recorded.iter().enumerate() {
            if one.meaning() == asked.meaning() && (!several || one.authority == asked.authority) {
                slots.entry(self.slot_of(number)).or_default().push(number);
            }
        }
        let partial = |members: &[usize]| members.iter().any(|number| self.recorded[*number].status == 206);
        slots.retain(|first, members| {
            let range = self.recorded[*first].field("range");
            !partial(members) || range.is_none() || range == asked.field("range")
        });
        let likeness = |first: &usize| {
            let equal = |name: &str| self.recorded[*first].field(name) == asked.field(name);
            (equal("range"), equal("accept"))
        };
        let most = slots.keys().map(likeness).max()?;
        let best: Vec<usize> = slots.keys().copied().filter(|first| likeness(first) == most).collect();
        let spent = |first: &usize| self.given.get(first).copied().unwrap_or(0) >= slots[first].len();
        let chosen = best.iter().find(|first| !spent(first)).or(best.last()).copied()?;
        let given = self.given.entry(chosen).or_default();
        let members = &slots[&chosen];
        let answer = members[(*given).min(members.len() - 1)];
        *given += 1;
        Some(answer)
    }
}

proptest! {
    #[test]
    fn the_index_answers_as_a_walk_through_everything_does(
        recorded in prop::collection::vec(drawn(), 0..30),
        asked in prop::collection::vec(drawn(), 0..30),
    ) {
        let library = library((0..).zip(&recorded).map(|(number, one)| one.recorded(number)));
        let mut oracle = Oracle { recorded: &recorded, given: BTreeMap::new() };
        for ask in recorded.iter().chain(&asked) {
            let expected = oracle.answer(ask).map(|number| number.to_string());
            prop_assert_eq!(ask.ask(&ask.target()).of(&library), expected, "{:?}", ask);
        }
    }

    #[test]
    fn the_order_of_recordings_matters_only_among_those_of_one_request(
        recorded in prop::collection::vec(drawn(), 0..30),
        asked in prop::collection::vec(drawn(), 0..30),
    ) {
        let numbered: Vec<(u64, &Drawn)> = (0..).zip(&recorded).collect();
        let mut sorted = numbered.clone();
        sorted.sort_by_key(|(_, one)| one.meaning());
        let [one, other] =
            [&numbered, &sorted].map(|order| library(order.iter().map(|(number, one)| one.recorded(*number))));
        for ask in recorded.iter().chain(&asked) {
            prop_assert_eq!(ask.ask(&ask.target()).of(&one), ask.ask(&ask.target()).of(&other));
        }
    }

    #[test]
    fn a_library_reproduces_its_recording(recorded in prop::collection::vec(drawn(), 0..30)) {
        // A part that answers who asked for none is no recording that a server would give.
        let sound = recorded.iter().filter(|one| one.status == 200 || one.field("range").is_some());
        let library = library((0..).zip(sound).map(|(number, one)| one.recorded(number)));
        for endpoint in verify(&library) {
            prop_assert_eq!(&endpoint.failed, &[], "{}", endpoint.path);
        }
    }

    #[test]
    fn a_miss_tells_the_same_every_time(
        recorded in prop::collection::vec(drawn(), 1..30),
        target in "/[a-c]{0,2}(/[a-c])?(\\?[xyz=&12]{0,6})?",
        body in "[\\[\\]{}\":,a-c12]{0,8}",
    ) {
        let recorded = || library((0..).zip(&recorded).map(|(number, one)| one.recorded(number)));
        let ask = Ask { method: "PATCH", ..crate::recordings::post(&target, &body) };
        let (one, other) = (ask.missed(&recorded()), ask.missed(&recorded()));
        prop_assert_eq!(&one, &other);
        prop_assert!(!one.candidates.is_empty() && one.candidates.len() <= 3);
        for candidate in &one.candidates {
            prop_assert!(!candidate.differences.is_empty() && candidate.differences.len() <= 8);
        }
    }
}
