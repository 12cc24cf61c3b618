//! Requests to the group of recordings that mean the same.
//!
//! Two tables: one of requests byte for byte, which is asked first and allocates nothing, and one of their normal
//! forms. Both hold hashes and numbers of recordings only; what a hash finds is compared with the recording
//! itself, so that no two requests are ever taken for one.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use mimeo_model::{Headers, Request};

use crate::index::canonical::{self, Form};
use crate::request::RequestView;

/// Most lengths at which recorded request bodies were cut that a longer body is tried at. There is one for each
/// capture limit that was in force, so there are few.
const MAX_CUTS: usize = 8;
/// Shortest beginning of a body that stands for the whole.
const SHORTEST_CUT: usize = 1024;

/// A request as the tables see it.
#[derive(Clone, Copy)]
pub(crate) struct Keyed<'a> {
    pub(crate) request: RequestView<'a>,
    /// True length of the body in bytes; more than there is of it where it was cut.
    length: u64,
    /// Whether it asks for a WebSocket: the same path may also be asked for without.
    websocket: bool,
}

/// The index; it knows recordings by number, and is told where to find them.
pub(crate) struct ExactIndex {
    hashing: RandomState,
    verbatim: HashTable<Entry>,
    canonical: HashTable<Entry>,
    cuts: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    /// The first recording with that hash and that request.
    recorded: u32,
    group: u32,
}

impl<'a> Keyed<'a> {
    /// A request that wants an answer.
    pub(crate) fn asked(request: RequestView<'a>) -> Self {
        let websocket = asks_for_websocket(request.headers);
        Self { request, length: request.body.len() as u64, websocket }
    }

    /// A recorded request; `websocket` says that the exchange became one, whatever its headers tell.
    pub(crate) fn recorded(request: &'a Request, websocket: bool) -> Self {
        let view = RequestView::of_recorded(request);
        let websocket = websocket || asks_for_websocket(&request.headers);
        Self { request: view, length: request.body.length, websocket }
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.websocket
    }

    fn is_cut(&self) -> bool {
        self.request.body.len() as u64 != self.length
    }

    fn is_verbatim(&self, other: &Self) -> bool {
        self.is_alike(other)
            && self.request.target == other.request.target
            && self.request.body == other.request.body
    }

    /// Equal in what has no normal form.
    fn is_alike(&self, other: &Self) -> bool {
        self.request.method == other.request.method
            && self.websocket == other.websocket
            && self.is_cut() == other.is_cut()
            && (!self.is_cut() || self.length == other.length)
    }

    fn form(&self) -> Form<'a> {
        canonical::form(&self.request, self.is_cut())
    }
}

fn asks_for_websocket(headers: &Headers) -> bool {
    headers.get("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
}

impl ExactIndex {
    /// Indexes `count` recordings; gives the number of each one's group. Groups are numbered in the order of
    /// their first recording.
    pub(crate) fn build<'a>(count: u32, recorded: impl Fn(u32) -> Keyed<'a>) -> (Self, Vec<u32>) {
        let mut index = Self {
            hashing: RandomState::default(),
            verbatim: HashTable::with_capacity(count as usize),
            canonical: HashTable::new(),
            cuts: Vec::new(),
        };
        let mut sets = Sets::new(count);
        for number in 0..count {
            let keyed = recorded(number);
            if keyed.is_cut() {
                index.learn_cut(keyed.request.body.len());
            }
            let hash = index.verbatim_hash(&keyed);
            let same = |entry: &Entry| entry.hash == hash && keyed.is_verbatim(&recorded(entry.recorded));
            if let Some(entry) = index.verbatim.find(hash, same) {
                sets.join(entry.recorded, number);
                let first = recorded(entry.recorded).request.headers;
                let read_alike = |name: &str| first.get(name) == keyed.request.headers.get(name);
                if read_alike("content-type") && read_alike("content-encoding") {
                    continue;
                }
            } else {
                let entry = Entry { hash, recorded: number, group: 0 };
                index.verbatim.insert_unique(hash, entry, |entry| entry.hash);
            }
            let form = keyed.form();
            let hash = index.canonical_hash(&keyed, &form);
            let same = |entry: &Entry| is_form(entry, hash, &keyed, &form, &recorded);
            match index.canonical.find(hash, same) {
                Some(entry) => sets.join(entry.recorded, number),
                None => {
                    let entry = Entry { hash, recorded: number, group: 0 };
                    index.canonical.insert_unique(hash, entry, |entry| entry.hash);
                }
            }
        }
        let group_of = sets.numbered();
        for entry in index.verbatim.iter_mut().chain(index.canonical.iter_mut()) {
            entry.group = group_of[entry.recorded as usize];
        }
        (index, group_of)
    }

    /// The group of recordings of the same request: the same bytes, or else what means the same, or else one
    /// whose body begins the same and was cut when it was recorded.
    pub(crate) fn find<'a>(&self, asked: &Keyed<'_>, recorded: impl Fn(u32) -> Keyed<'a>) -> Option<u32> {
        if let Some(group) = self.find_verbatim(asked, &recorded) {
            return Some(group);
        }
        if let Some(group) = self.find_canonical(asked, &recorded) {
            return Some(group);
        }
        self.cuts.iter().filter(|cut| asked.request.body.len() > **cut).find_map(|cut| {
            let beginning = RequestView { body: &asked.request.body[..*cut], ..asked.request };
            let asked = Keyed { request: beginning, ..*asked };
            self.find_verbatim(&asked, &recorded).or_else(|| self.find_canonical(&asked, &recorded))
        })
    }

    fn find_verbatim<'a>(&self, asked: &Keyed<'_>, recorded: &impl Fn(u32) -> Keyed<'a>) -> Option<u32> {
        let hash = self.verbatim_hash(asked);
        let same = |entry: &Entry| entry.hash == hash && asked.is_verbatim(&recorded(entry.recorded));
        self.verbatim.find(hash, same).map(|entry| entry.group)
    }

    fn find_canonical<'a>(&self, asked: &Keyed<'_>, recorded: &impl Fn(u32) -> Keyed<'a>) -> Option<u32> {
        let form = asked.form();
        let hash = self.canonical_hash(asked, &form);
        let same = |entry: &Entry| is_form(entry, hash, asked, &form, recorded);
        self.canonical.find(hash, same).map(|entry| entry.group)
    }

    fn learn_cut(&mut self, length: usize) {
        if length >= SHORTEST_CUT && self.cuts.len() < MAX_CUTS && !self.cuts.contains(&length) {
            self.cuts.push(length);
        }
    }

    fn verbatim_hash(&self, keyed: &Keyed<'_>) -> u64 {
        self.hash(keyed, &[keyed.request.target, keyed.request.body])
    }

    fn canonical_hash(&self, keyed: &Keyed<'_>, form: &Form<'_>) -> u64 {
        self.hash(keyed, &[&form.path, &form.query, &form.body])
    }

    fn hash(&self, keyed: &Keyed<'_>, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        hasher.write(keyed.request.method.as_str().as_bytes());
        hasher.write_u8(u8::from(keyed.websocket));
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }
}

fn is_form<'a>(
    entry: &Entry,
    hash: u64,
    asked: &Keyed<'_>,
    form: &Form<'_>,
    recorded: &impl Fn(u32) -> Keyed<'a>,
) -> bool {
    if entry.hash != hash {
        return false;
    }
    let recorded = recorded(entry.recorded);
    asked.is_alike(&recorded) && *form == recorded.form()
}

/// Numbers in sets that grow together (union–find): two recordings may mean the same only by way of a third.
struct Sets {
    parents: Vec<u32>,
}

impl Sets {
    fn new(count: u32) -> Self {
        Self { parents: (0..count).collect() }
    }

    fn root(&mut self, mut number: u32) -> u32 {
        while self.parents[number as usize] != number {
            let parent = self.parents[number as usize];
            self.parents[number as usize] = self.parents[parent as usize];
            number = parent;
        }
        number
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        // The smaller number leads, so that sets are led by what was recorded first.
        self.parents[one.max(other) as usize] = one.min(other);
    }

    fn numbered(mut self) -> Vec<u32> {
        let mut numbers: Vec<u32> = Vec::with_capacity(self.parents.len());
        let mut next = 0;
        for number in 0..self.parents.len() as u32 {
            let root = self.root(number);
            if root == number {
                numbers.push(next);
                next += 1;
            } else {
                numbers.push(numbers[root as usize]);
            }
        }
        numbers
    }
}
