//! Method, path, query and body to the mocks that were recorded for them.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use crate::index::canonical;
use crate::request::RequestView;

/// A request's fingerprint. 128 bits of two keyed hashes: two different requests of one library never meet by
/// chance, and the keys are drawn anew by each process, so nobody makes them meet.
pub type Key = u128;

/// Mocks by the fingerprint of their request, in recorded order.
#[derive(Default)]
pub struct ExactIndex {
    verbatim: HashMap<Key, u32, BuildHasherDefault<Folded>>,
    canonical: HashMap<Key, u32, BuildHasherDefault<Folded>>,
    groups: Vec<Vec<u32>>,
    hashing: Keys,
}

/// The keys of the two hashes.
#[derive(Default)]
struct Keys(std::hash::RandomState, std::hash::RandomState);

impl ExactIndex {
    /// Adds a mock under its request.
    pub fn add(&mut self, request: &RequestView<'_>, mock: u32) {
        let verbatim = self.hashing.verbatim(request);
        let canonical = self.hashing.canonical(request);
        let next = self.groups.len() as u32;
        let group = *self.canonical.entry(canonical).or_insert(next);
        if group == next {
            self.groups.push(Vec::new());
        }
        self.groups[group as usize].push(mock);
        self.verbatim.insert(verbatim, group);
    }

    /// The mocks recorded for a request: for the same bytes, or else for what means the same.
    pub fn find(&self, request: &RequestView<'_>) -> Option<&[u32]> {
        let group = match self.verbatim.get(&self.hashing.verbatim(request)) {
            Some(group) => group,
            None => self.canonical.get(&self.hashing.canonical(request))?,
        };
        self.groups.get(*group as usize).map(Vec::as_slice)
    }

    /// Number of different requests.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Keys {
    fn verbatim(&self, request: &RequestView<'_>) -> Key {
        self.key(request, request.query(), request.body)
    }

    fn canonical(&self, request: &RequestView<'_>) -> Key {
        self.key(request, &canonical::query(request.query()), &canonical::body(request))
    }

    fn key(&self, request: &RequestView<'_>, query: &[u8], body: &[u8]) -> Key {
        let half = |state: &std::hash::RandomState| {
            let mut hasher = state.build_hasher();
            for part in [request.method.as_str().as_bytes(), request.path(), query, body] {
                // Lengths keep the parts apart.
                hasher.write_usize(part.len());
                hasher.write(part);
            }
            hasher.finish()
        };
        Key::from(half(&self.0)) << 64 | Key::from(half(&self.1))
    }
}

/// Keys are hashes already; folding them is hashing enough.
#[derive(Default)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key >> 64) as u64 ^ key as u64;
    }
}
