//! Puts every recorded request to its own library: can it reproduce what it was made of?

use std::collections::BTreeMap;

use mimeo_model::ExchangeId;
use mimeo_rules::detect::path_template::path_template;

use crate::cascade;
use crate::compile::Library;
use crate::derive::Unanswerable;
use crate::state::Sequences;

/// How well an endpoint is reproduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fidelity {
    /// Method of the endpoint.
    pub method: String,
    /// Path of the endpoint without query, with `{id}` for segments that look like identifiers.
    pub path: String,
    /// Exchanges that were recorded.
    pub recorded: u64,
    /// Those that the library answers with what was recorded.
    pub reproduced: u64,
    /// The others, and why.
    pub failed: Vec<(ExchangeId, String)>,
}

/// Puts every recorded request to the library, in recorded order. What the library is answering meanwhile is
/// neither counted nor disturbed.
pub fn verify(library: &Library) -> Vec<Fidelity> {
    let sequences = Sequences::new(library.groups.slots());
    let mut endpoints: BTreeMap<(String, String), Fidelity> = BTreeMap::new();
    for mock in library.mocks() {
        let endpoint = endpoint(&mut endpoints, mock.request.method.as_str(), mock.request.path());
        endpoint.recorded += 1;
        match cascade::hit(library, &mock.keyed(), &sequences) {
            Some((_, found))
                if found.id == mock.id || found.response == mock.response && found.frames == mock.frames =>
            {
                endpoint.reproduced += 1;
            }
            Some((_, found)) => {
                endpoint.failed.push((mock.id, format!("answered with {} instead", found.id)));
            }
            None => endpoint.failed.push((mock.id, "nothing answers".to_owned())),
        }
    }
    for (exchange, why) in library.unanswerable() {
        // Tunnels and local refusals were never the upstream's answers.
        if matches!(why, Unanswerable::Tunnel | Unanswerable::Local) {
            continue;
        }
        let endpoint = endpoint(&mut endpoints, exchange.request.method.as_str(), exchange.request.path());
        endpoint.recorded += 1;
        endpoint.failed.push((exchange.id, why.as_str().to_owned()));
    }
    endpoints.into_values().collect()
}

fn endpoint<'a>(
    endpoints: &'a mut BTreeMap<(String, String), Fidelity>,
    method: &str,
    path: &[u8],
) -> &'a mut Fidelity {
    let path = path_template(path);
    endpoints.entry((path.clone(), method.to_owned())).or_insert_with(|| Fidelity {
        method: method.to_owned(),
        path,
        recorded: 0,
        reproduced: 0,
        failed: Vec::new(),
    })
}
