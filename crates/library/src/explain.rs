//! Why nothing answered: the closest recordings and what differs in each, and what was recorded of the same
//! request without an answer that could be given again.

mod differences;
pub(crate) mod neighbours;

use mimeo_model::ExchangeId;

use crate::compile::Library;
use crate::derive::{Mock, Unanswerable};
use crate::explain::differences::{Asked, parameters};
use crate::index::exact::Keyed;
use crate::request::RequestView;

/// Recordings that are told.
const TOLD: usize = 3;
/// Recordings whose bodies are compared.
const COMPARED: usize = 16;
/// Longest body that is compared to find what is closest.
const MAX_BODY: usize = 32 << 10;

/// A request that nothing answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The closest recordings, closest first.
    pub candidates: Vec<Candidate>,
    /// Recordings of the same request that have no answer to give, in recorded order; at most three.
    pub unanswered: Vec<Unanswered>,
    /// Number of exchanges that the recording is known to have lost, whole or in part.
    pub lost: u64,
}

/// A recording that comes close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The recorded exchange.
    pub id: ExchangeId,
    /// Its method.
    pub method: String,
    /// Its URL.
    pub url: String,
    /// Its status.
    pub status: u16,
    /// What differs, one sentence each: `method`, `host`, `path`, `upgrade`, `query NAME`, `header NAME`, `body`
    /// or `body PATH`, then what was asked and what was recorded.
    pub differences: Vec<String>,
}

/// A recording of the same request that has no answer to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The recorded exchange.
    pub id: ExchangeId,
    /// Why it has none.
    pub why: Unanswerable,
    /// What failed when it was recorded, in one sentence.
    pub failure: Option<String>,
}

/// Explains why `asked` has no answer. The time it takes is bounded, whatever the size of the library.
pub(crate) fn miss(library: &Library, asked: &Keyed<'_>) -> Miss {
    let unanswered = library.unanswered.find(asked).take(TOLD).map(|(exchange, why)| Unanswered {
        id: exchange.id,
        why: *why,
        failure: exchange.failure.as_ref().map(|failure| failure.detail.clone()),
    });
    Miss {
        candidates: candidates(library, asked),
        unanswered: unanswered.collect(),
        lost: library
            .gaps()
            .iter()
            .fold(0, |sum: u64, gap| sum.saturating_add(gap.exchanges).saturating_add(gap.bodies)),
    }
}

fn candidates(library: &Library, asked: &Keyed<'_>) -> Vec<Candidate> {
    let recorded = |number: u32| &library.mocks[number as usize];
    let mut ranked: Vec<(u32, u32, u32)> = library
        .neighbours
        .near(&asked.request, &library.mocks)
        .into_iter()
        .map(|number| {
            let mock = recorded(number);
            let body = RequestView::of_recorded(&mock.request).body;
            (distance(asked, mock), unlikeness(asked.request.body, body), number)
        })
        .collect();
    // Of recordings that are as close as each other the first comes first.
    ranked.sort_unstable();
    ranked.truncate(COMPARED);
    let asked = Asked::new(asked);
    for (distance, _, number) in &mut ranked {
        let view = RequestView::of_recorded(&recorded(*number).request);
        if view.body.len().max(asked.keyed.request.body.len()) <= MAX_BODY {
            *distance += asked.body_distance(&view).min(8);
        }
    }
    ranked.sort_unstable();
    let closest = ranked.into_iter().take(TOLD).map(|(_, _, number)| {
        let mock = recorded(number);
        Candidate {
            id: mock.id,
            method: mock.request.method.to_string(),
            url: mock.request.url(),
            status: mock.response.status,
            differences: differences::tell(library, &asked, mock),
        }
    });
    closest.collect()
}

/// How far a request is from a recorded one, without looking into bodies: segments of the path weigh most, then
/// the method, then parameters of the query.
fn distance(asked: &Keyed<'_>, mock: &Mock) -> u32 {
    let (request, recorded) = (&asked.request, RequestView::of_recorded(&mock.request));
    let mut sum = paths(request.path(), recorded.path());
    sum += u32::from(request.method != recorded.method) * 9;
    sum += u32::from(asked.is_websocket() != mock.is_websocket()) * 9;
    let (one, other) = (parameters(request.query()), parameters(recorded.query()));
    let missing = one.clone().filter(|parameter| !other.clone().any(|kept| kept == *parameter)).count();
    let added = other.filter(|kept| !one.clone().any(|parameter| parameter == *kept)).count();
    sum += (missing + added).min(16) as u32 * 3;
    sum += u32::from(unlikeness(request.body, recorded.body) > 0) * 4;
    let elsewhere =
        request.authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(&mock.request.authority));
    sum + u32::from(elsewhere) * 2
}

fn paths(asked: &[u8], kept: &[u8]) -> u32 {
    if asked == kept {
        return 0;
    }
    let (mut asked, mut kept) = (asked.split(|byte| *byte == b'/'), kept.split(|byte| *byte == b'/'));
    let mut sum = 0_u32;
    loop {
        sum = sum.saturating_add(match (asked.next(), kept.next()) {
            (Some(one), Some(other)) => segments(one, other),
            (Some(_), None) | (None, Some(_)) => 14,
            (None, None) => return sum.min(1 << 16),
        });
    }
}

/// Zero for equal segments, and otherwise less the more of their ends they share.
fn segments(asked: &[u8], kept: &[u8]) -> u32 {
    if asked == kept { 0 } else { 10 + unlikeness(asked, kept) * 3 / ALL }
}

/// What two texts are that have nothing in common at their ends.
const ALL: u32 = 256;
/// Bytes at each end that are looked at.
const ENDS: usize = 4096;

/// How little of their ends two texts share, from 0 for equal ones to [`ALL`]. What lies between the ends of long
/// texts is not looked at.
fn unlikeness(one: &[u8], other: &[u8]) -> u32 {
    let (shorter, longer) = (one.len().min(other.len()), one.len().max(other.len()).min(2 * ENDS));
    if longer == 0 {
        return 0;
    }
    let same = |(one, other): &(&u8, &u8)| one == other;
    let prefix = one.iter().zip(other).take(ENDS).take_while(same).count();
    let suffix = one.iter().rev().zip(other.iter().rev()).take(ENDS).take_while(same).count();
    let shared = (prefix + suffix).min(shorter).min(longer) as u32;
    let unlikeness = ALL - shared * ALL / longer as u32;
    // Length alone tells apart what differs between the ends.
    unlikeness.max(u32::from(one.len() != other.len()))
}
