//! Why nothing answered: the closest recordings and what differs in each.

use std::collections::HashMap;

use mimeo_model::ExchangeId;
use mimeo_model::body::media_type::MediaType;
use serde_json::Value;

use crate::compile::Library;
use crate::derive::Mock;
use crate::request::RequestView;

/// Recordings that are told.
const TOLD: usize = 3;
/// Recordings that are looked at closely, however large the library.
const LOOKED_AT: usize = 200;
/// Differences that are told of one recording.
const DIFFERENCES: usize = 8;
/// Most characters of a value that are told.
const VALUE: usize = 80;

/// A request that nothing answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The closest recordings, closest first.
    pub candidates: Vec<Candidate>,
    /// Number of exchanges that the recording is known to have lost.
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
    /// What differs, one sentence each.
    pub differences: Vec<String>,
}

/// Mocks by the shape of their path: number of segments and the first of them. It keeps the search for what
/// comes close small.
pub(crate) struct Shapes {
    paths: HashMap<Vec<u8>, Vec<u32>>,
    starts: HashMap<(usize, Vec<u8>), Vec<u32>>,
    lengths: HashMap<usize, Vec<u32>>,
}

impl Shapes {
    pub(crate) fn new(mocks: &[Mock]) -> Self {
        let mut shapes = Self { paths: HashMap::new(), starts: HashMap::new(), lengths: HashMap::new() };
        for (number, mock) in (0_u32..).zip(mocks) {
            let path = mock.request.path();
            let (length, start) = shape(path);
            for list in [
                shapes.paths.entry(path.to_vec()).or_default(),
                shapes.starts.entry((length, start)).or_default(),
                shapes.lengths.entry(length).or_default(),
            ] {
                if list.len() < LOOKED_AT {
                    list.push(number);
                }
            }
        }
        shapes
    }

    fn near(&self, path: &[u8]) -> Vec<u32> {
        let (length, start) = shape(path);
        let mut found: Vec<u32> = Vec::new();
        for list in [
            self.paths.get(path),
            self.starts.get(&(length, start)),
            self.lengths.get(&length),
            self.lengths.get(&(length + 1)),
            self.lengths.get(&length.saturating_sub(1)),
        ] {
            found.extend(list.into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            let mut nearest: Vec<_> = self.lengths.iter().collect();
            nearest.sort_by_key(|(other, _)| other.abs_diff(length));
            found.extend(nearest.first().into_iter().flat_map(|(_, list)| list.iter()));
        }
        found
    }
}

fn shape(path: &[u8]) -> (usize, Vec<u8>) {
    let mut segments = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
    let start = segments.next().unwrap_or_default().to_vec();
    (segments.count() + usize::from(!start.is_empty()), start)
}

pub(crate) fn miss(library: &Library, request: &RequestView<'_>) -> Miss {
    let mut ranked: Vec<(u32, u32)> = library
        .shapes
        .near(request.path())
        .into_iter()
        .map(|number| (distance(request, &library.mocks[number as usize]), number))
        .collect();
    ranked.sort_unstable();
    let mut candidates: Vec<Candidate> = Vec::new();
    for (_, number) in ranked {
        let mock = &library.mocks[number as usize];
        let differences = differences(library, request, mock);
        let same =
            |told: &Candidate| told.method == mock.request.method.as_str() && told.differences == differences;
        // The same request recorded again says nothing new.
        if candidates.iter().any(|told| same(told) && told.url == mock.request.url()) {
            continue;
        }
        candidates.push(Candidate {
            id: mock.id,
            method: mock.request.method.to_string(),
            url: mock.request.url(),
            status: mock.response.status,
            differences,
        });
        if candidates.len() == TOLD {
            break;
        }
    }
    Miss { candidates, lost: library.gaps().iter().map(|gap| gap.exchanges + gap.bodies).sum() }
}

/// How far a request is from a recorded one; segments weigh most, then the method, then parameters and body.
fn distance(request: &RequestView<'_>, mock: &Mock) -> u32 {
    let recorded = RequestView::of_recorded(&mock.request);
    let segments = |path: &[u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (asked, kept) = (segments(request.path()), segments(recorded.path()));
    let mut sum = asked.len().abs_diff(kept.len()) as u32 * 12;
    sum += asked.iter().zip(&kept).filter(|(one, other)| one != other).count() as u32 * 10;
    sum += u32::from(request.method != recorded.method) * 9;
    let (asked, kept) = (parameters(request.query()), parameters(recorded.query()));
    sum += asked.iter().filter(|parameter| !kept.contains(parameter)).count() as u32 * 3;
    sum += kept.iter().filter(|parameter| !asked.contains(parameter)).count() as u32 * 3;
    sum += u32::from(request.body != recorded.body) * 4;
    sum + u32::from(request.authority.is_some_and(|authority| authority != mock.request.authority)) * 2
}

fn differences(library: &Library, request: &RequestView<'_>, mock: &Mock) -> Vec<String> {
    let recorded = RequestView::of_recorded(&mock.request);
    let mut found = Vec::new();
    if request.method != recorded.method {
        found.push(format!("method: asked {}, recorded {}", request.method, recorded.method));
    }
    if let Some(authority) = request.authority
        && authority != mock.request.authority
        && !library.has_one_authority()
    {
        found.push(format!("host: asked {}, recorded {}", cut(authority), cut(&mock.request.authority)));
    }
    if request.path() != recorded.path() {
        found.push(format!("path: asked {}, recorded {}", text(request.path()), text(recorded.path())));
    }
    let (asked, kept) = (parameters(request.query()), parameters(recorded.query()));
    for (name, value) in &asked {
        match kept.iter().find(|(other, _)| other == name) {
            None => found.push(format!("query {}: asked {}, not in the recording", text(name), text(value))),
            Some((_, other)) if other != value && !kept.contains(&(name.clone(), value.clone())) => {
                found.push(format!("query {}: asked {}, recorded {}", text(name), text(value), text(other)));
            }
            Some(_) => {}
        }
    }
    for (name, value) in &kept {
        if !asked.iter().any(|(other, _)| other == name) {
            found.push(format!("query {}: missing, recorded {}", text(name), text(value)));
        }
    }
    if request.body != recorded.body {
        body_differences(request, &recorded, &mut found);
    }
    if found.len() > DIFFERENCES {
        let more = found.len() - DIFFERENCES + 1;
        found.truncate(DIFFERENCES - 1);
        found.push(format!("and {more} more"));
    }
    if found.is_empty() {
        found.push("host: the recording is of several hosts and this one is not asked for".to_owned());
    }
    found
}

fn body_differences(request: &RequestView<'_>, recorded: &RequestView<'_>, found: &mut Vec<String>) {
    let parsed = |view: &RequestView<'_>| {
        let json = MediaType::of(view.headers.get("content-type")) == MediaType::Json;
        json.then(|| serde_json::from_slice::<Value>(view.body).ok()).flatten()
    };
    if let (Some(asked), Some(kept)) = (parsed(request), parsed(recorded)) {
        json_differences("$", &asked, &kept, found, 0);
        return;
    }
    found.push(match (request.body.len(), recorded.body.len()) {
        (0, kept) => format!("body: none, recorded {kept} bytes"),
        (asked, 0) => format!("body: asked {asked} bytes, none recorded"),
        (asked, kept) => {
            let at = request.body.iter().zip(recorded.body).take_while(|(one, other)| one == other).count();
            format!("body: differs from byte {at} on (asked {asked} bytes, recorded {kept})")
        }
    });
}

fn json_differences(path: &str, asked: &Value, kept: &Value, found: &mut Vec<String>, depth: usize) {
    if asked == kept || found.len() > DIFFERENCES * 2 {
        return;
    }
    match (asked, kept) {
        (Value::Object(one), Value::Object(other)) if depth < 32 => {
            for (key, value) in one {
                match other.get(key) {
                    Some(kept) => json_differences(&format!("{path}.{key}"), value, kept, found, depth + 1),
                    None => found.push(format!(
                        "body {path}.{key}: asked {}, not in the recording",
                        cut(&value.to_string())
                    )),
                }
            }
            for (key, value) in other {
                if !one.contains_key(key) {
                    found.push(format!("body {path}.{key}: missing, recorded {}", cut(&value.to_string())));
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() && depth < 32 => {
            for (index, (asked, kept)) in one.iter().zip(other).enumerate() {
                json_differences(&format!("{path}[{index}]"), asked, kept, found, depth + 1);
            }
        }
        _ => found.push(format!(
            "body {path}: asked {}, recorded {}",
            cut(&asked.to_string()),
            cut(&kept.to_string())
        )),
    }
}

fn parameters(query: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    query
        .split(|byte| *byte == b'&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| match parameter.iter().position(|byte| *byte == b'=') {
            Some(at) => (parameter[..at].to_vec(), parameter[at + 1..].to_vec()),
            None => (parameter.to_vec(), Vec::new()),
        })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    cut(&String::from_utf8_lossy(bytes))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= VALUE {
        text.to_owned()
    } else {
        text.chars().take(VALUE).chain(['…']).collect()
    }
}
