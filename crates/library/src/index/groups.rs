//! Which of the recordings of one request answers.
//!
//! The recordings of a group are split into slots by authority and by the selecting headers. A slot is a sequence
//! of its own: its recordings answer one after the other.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::derive::Mock;
use crate::index::selecting::{Promise, Selecting};
use crate::request::RequestView;
use crate::state::Sequences;

/// Most slots of one group that are looked at for the best when none fits in everything.
const LOOKED_AT: usize = 1024;
/// Longest authority that is compared: a host name has at most 253 characters (RFC 1035, section 2.3.4).
const MAX_AUTHORITY: usize = 262;

/// The groups of a library, each with its slots.
pub(crate) struct Groups {
    hashing: RandomState,
    /// The slots of each group.
    slots_of: Vec<Range<u32>>,
    slots: Vec<Slot>,
    /// Mocks in order of their slots, within one in recorded order.
    order: Vec<u32>,
    /// Slots of groups that have several, by group, authority and selecting headers.
    by_selection: HashTable<(u64, u32)>,
    authorities: Authorities,
}

struct Slot {
    group: u32,
    /// Where its mocks are in [`Groups::order`].
    mocks: Range<u32>,
    authority: u32,
    promise: Promise,
}

/// What a request says about the authority.
#[derive(Clone, Copy)]
enum Wanted {
    /// It must be this one.
    Only(u32),
    /// Any will do, this one best.
    Rather(Option<u32>),
}

impl Groups {
    pub(crate) fn new(mocks: &[Mock], group_of: &[u32]) -> Self {
        let hashing = RandomState::default();
        let mut authorities = Authorities::default();
        let count = group_of.iter().max().map_or(0, |last| *last as usize + 1);
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); count];
        for (number, group) in (0_u32..).zip(group_of) {
            members[*group as usize].push(number);
        }
        let mut all = Self {
            hashing,
            slots_of: Vec::with_capacity(count),
            slots: Vec::with_capacity(count),
            order: Vec::with_capacity(mocks.len()),
            by_selection: HashTable::new(),
            authorities: Authorities::default(),
        };
        for (group, members) in (0_u32..).zip(members) {
            let begin = all.slots.len() as u32;
            let mut by_slot: HashMap<(u32, Selecting<'_>), usize> = HashMap::new();
            let mut slots: Vec<(u32, Promise, Vec<u32>)> = Vec::new();
            for member in members {
                let mock = &mocks[member as usize];
                let authority = authorities.learn(&mock.request.authority);
                let key = (authority, Selecting::of(&mock.request.headers));
                let at = *by_slot.entry(key).or_insert_with(|| {
                    slots.push((authority, Promise::default(), Vec::new()));
                    slots.len() - 1
                });
                let (_, promise, mocks) = &mut slots[at];
                *promise = promise.or(Promise::of_status(mock.response.status));
                mocks.push(member);
            }
            let several = slots.len() > 1;
            for (authority, promise, members) in slots {
                let from = all.order.len() as u32;
                all.order.extend_from_slice(&members);
                let slot = Slot { group, mocks: from..all.order.len() as u32, authority, promise };
                if several {
                    let headers = &mocks[members[0] as usize].request.headers;
                    let hash = all.selection_hash(group, authority, &Selecting::of(headers));
                    let number = all.slots.len() as u32;
                    all.by_selection.insert_unique(hash, (hash, number), |(hash, _)| *hash);
                }
                all.slots.push(slot);
            }
            all.slots_of.push(begin..all.slots.len() as u32);
        }
        all.authorities = authorities;
        all
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.slots_of.len()
    }

    /// Number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The first mock of each slot: every request with its authority and selecting headers once.
    pub(crate) fn representatives(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().map(|slot| self.order[slot.mocks.start as usize])
    }

    /// Whether the recording has one authority, so that a request need not name it.
    pub(crate) fn has_one_authority(&self) -> bool {
        self.authorities.names.len() <= 1
    }

    /// Takes the next answer of the slot of `group` that fits best: its authority, then its selecting headers.
    pub(crate) fn take(
        &self,
        group: u32,
        request: &RequestView<'_>,
        mocks: &[Mock],
        sequences: &Sequences,
    ) -> Option<u32> {
        let asked = Selecting::of(request.headers);
        let wanted = self.wanted(request)?;
        let slots = self.slots_of[group as usize].clone();
        let chosen = if slots.len() == 1 {
            self.may_answer(slots.start, &asked, wanted, mocks).then_some(slots.start)
        } else {
            let equal = self.equal_in_everything(group, &asked, wanted, mocks);
            equal.or_else(|| self.best(slots, &asked, wanted, mocks, sequences))
        }?;
        let slot = &self.slots[chosen as usize];
        let turn = sequences.next(chosen as usize, slot.mocks.len());
        self.order.get(slot.mocks.start as usize + turn).copied()
    }

    /// `None` when the request names an authority of which nothing was recorded.
    fn wanted(&self, request: &RequestView<'_>) -> Option<Wanted> {
        if self.has_one_authority() {
            return Some(Wanted::Rather(Some(0)));
        }
        match request.authority {
            Some(authority) => self.authorities.find(authority.as_bytes()).map(Wanted::Only),
            None => {
                let host = request.headers.get("host");
                Some(Wanted::Rather(host.and_then(|host| self.authorities.find(host))))
            }
        }
    }

    fn equal_in_everything(
        &self,
        group: u32,
        asked: &Selecting<'_>,
        wanted: Wanted,
        mocks: &[Mock],
    ) -> Option<u32> {
        let (Wanted::Only(authority) | Wanted::Rather(Some(authority))) = wanted else { return None };
        let hash = self.selection_hash(group, authority, asked);
        let same = |(other, number): &(u64, u32)| {
            let slot = &self.slots[*number as usize];
            *other == hash
                && slot.group == group
                && slot.authority == authority
                && self.selecting(*number, mocks) == *asked
        };
        self.by_selection.find(hash, same).map(|(_, number)| *number)
    }

    /// The slot that is most alike. Among slots that are alike in the same the first that has not given all its
    /// answers comes first: a header that is new in every request, such as a date, must not stop a sequence.
    fn best(
        &self,
        slots: Range<u32>,
        asked: &Selecting<'_>,
        wanted: Wanted,
        mocks: &[Mock],
        sequences: &Sequences,
    ) -> Option<u32> {
        let mut best: Option<(u32, u32, bool)> = None;
        for number in slots.take(LOOKED_AT) {
            if !self.may_answer(number, asked, wanted, mocks) {
                continue;
            }
            let slot = &self.slots[number as usize];
            let hosted = matches!(wanted, Wanted::Rather(Some(host)) if host == slot.authority);
            let likeness = u32::from(hosted) << 16 | asked.likeness(&self.selecting(number, mocks));
            let spent = sequences.is_spent(number as usize, slot.mocks.len());
            let better = best
                .is_none_or(|(most, _, best_is_spent)| likeness > most || likeness == most && best_is_spent);
            if better {
                best = Some((likeness, number, spent));
            }
        }
        best.map(|(_, number, _)| number)
    }

    fn may_answer(&self, number: u32, asked: &Selecting<'_>, wanted: Wanted, mocks: &[Mock]) -> bool {
        let slot = &self.slots[number as usize];
        let here = match wanted {
            Wanted::Only(authority) => slot.authority == authority,
            Wanted::Rather(_) => true,
        };
        here && asked.forbidden_by(&self.selecting(number, mocks), slot.promise).is_none()
    }

    fn selecting<'a>(&self, slot: u32, mocks: &'a [Mock]) -> Selecting<'a> {
        let first = self.order[self.slots[slot as usize].mocks.start as usize];
        Selecting::of(&mocks[first as usize].request.headers)
    }

    fn selection_hash(&self, group: u32, authority: u32, selecting: &Selecting<'_>) -> u64 {
        self.hashing.hash_one((group, authority, selecting))
    }
}

/// The authorities of a recording. Case does not matter, and neither does the port that a scheme has anyway.
#[derive(Default)]
struct Authorities {
    hashing: RandomState,
    names: Vec<Vec<u8>>,
    numbers: HashTable<u32>,
}

impl Authorities {
    fn learn(&mut self, authority: &str) -> u32 {
        if let Some(number) = self.find(authority.as_bytes()) {
            return number;
        }
        let number = self.names.len() as u32;
        let name = without_port(authority.as_bytes()).to_ascii_lowercase();
        let (hashing, names) = (&self.hashing, &mut self.names);
        let hash = hashing.hash_one(name.as_slice());
        names.push(name);
        self.numbers
            .insert_unique(hash, number, |number| hashing.hash_one(names[*number as usize].as_slice()));
        number
    }

    fn find(&self, authority: &[u8]) -> Option<u32> {
        let authority = without_port(authority);
        let mut room = [0; MAX_AUTHORITY];
        let lower = room.get_mut(..authority.len())?;
        lower.copy_from_slice(authority);
        lower.make_ascii_lowercase();
        let lower = &*lower;
        let same = |number: &u32| self.names[*number as usize] == lower;
        self.numbers.find(self.hashing.hash_one(lower), same).copied()
    }
}

fn without_port(authority: &[u8]) -> &[u8] {
    [&b":443"[..], b":80"].iter().find_map(|port| authority.strip_suffix(*port)).unwrap_or(authority)
}
