//! Links and sequences of all chains, event ids, and the lifecycle of every token, in bounded
//! memory.
//!
//! ```text
//! hash of a chain or event id   0 ─────────────── hi ─────────────── 2^64
//!                               └ this pass ┘└ a later pass over the journal ┘
//! ```
//!
//! Promises: the maps stay within the given bytes (while one grows, half as much again). When they
//! would not, the upper half of the hashes is forgotten and left to a later pass; every hash is
//! checked in some pass. Two chains whose 128-bit hashes collide would look broken; nothing broken
//! looks whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use ledgerline_proof::hash::Hash;
use ledgerline_proof::lifecycle::{TokenState, Violation};

use super::facts::EventFacts;

/// Keys are keyed hashes already: their low half serves as the map's hash.
#[derive(Default)]
struct TakeAsIs(u64);

impl Hasher for TakeAsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u128(&mut self, value: u128) {
        self.0 = low(value);
    }
}

type Build = BuildHasherDefault<TakeAsIs>;

fn low(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).expect("masked")
}

/// Where a hash lies among the passes.
fn place(value: u128) -> u64 {
    u64::try_from(value >> 64).expect("shifted")
}

struct Tip {
    index: u64,
    sequence: u64,
    hash: Hash,
    token: Option<Box<Token>>,
}

struct Token {
    state: TokenState,
    /// Kept here and not in one sum, because a chain may be forgotten and read again in a later
    /// pass.
    violations: Vec<Violation>,
}

/// How an event breaks its chain, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Its chain goes on from an entry that is lost.
    BehindGap,
    /// The link does not hold.
    Link(&'static str),
}

/// The chains of one pass.
pub(super) struct Chains {
    lo: u64,
    hi: u64,
    budget: usize,
    tips: HashMap<u128, Tip, Build>,
    events: HashSet<u128, Build>,
    tokens: u64,
    violations: u64,
    /// Index ranges that could not be read.
    gaps: Vec<(u64, u64)>,
}

impl Chains {
    /// The pass that begins at `lo`, with about `budget` bytes.
    pub fn new(lo: u64, budget: usize) -> Self {
        Self {
            lo,
            hi: u64::MAX,
            budget,
            tips: HashMap::default(),
            events: HashSet::default(),
            tokens: 0,
            violations: 0,
            gaps: Vec::new(),
        }
    }

    /// The pass behind this one, with the same gaps.
    pub fn following(&self, lo: u64, budget: usize) -> Self {
        Self { gaps: self.gaps.clone(), ..Self::new(lo, budget) }
    }

    /// Where the next pass begins, if one is needed.
    pub fn next_pass(&self) -> Option<u64> {
        self.hi.checked_add(1)
    }

    /// Chains and chains of tokens in this pass.
    pub fn counts(&self) -> (u64, u64) {
        (self.tips.len() as u64, self.tokens)
    }

    /// Lifecycle violations of the chains in this pass, by code.
    pub fn violations(&self) -> BTreeMap<&'static str, u64> {
        let mut by_code = BTreeMap::new();
        let tokens = self.tips.values().filter_map(|tip| tip.token.as_ref());
        for violation in tokens.flat_map(|token| &token.violations) {
            *by_code.entry(violation.code()).or_default() += 1;
        }
        by_code
    }

    /// Entries that could not be read: links into them are not judged.
    pub fn gap(&mut self, from: u64, to: u64) {
        self.gaps.push((from, to));
    }

    fn in_gap(&self, index: u64) -> bool {
        self.gaps.iter().any(|(from, to)| (*from..*to).contains(&index))
    }

    fn is_mine(&self, value: u128) -> bool {
        (self.lo..=self.hi).contains(&place(value))
    }

    /// Whether the event's id was there before.
    pub fn is_repeated(&mut self, facts: &EventFacts) -> bool {
        self.is_mine(facts.event) && !self.events.insert(facts.event)
    }

    /// Takes an event. `hash` is what the tree commits to at `index`.
    pub fn take(&mut self, index: u64, hash: Hash, facts: &EventFacts) -> Result<(), Broken> {
        if !self.is_mine(facts.chain) {
            return Ok(());
        }
        let before = self.tips.get(&facts.chain);
        let verdict = self.judge(before, facts);
        let tip = self.tips.entry(facts.chain).or_insert_with(|| Tip {
            index,
            sequence: 0,
            hash,
            token: None,
        });
        tip.index = index;
        tip.sequence = u64::try_from(facts.sequence).unwrap_or(0);
        tip.hash = hash;
        if let Some(fact) = &facts.fact {
            let token = tip.token.get_or_insert_with(|| {
                self.tokens += 1;
                Box::new(Token { state: TokenState::UNKNOWN, violations: Vec::new() })
            });
            if let Some(violation) = token.state.apply(fact).violation {
                self.violations += 1;
                token.violations.push(violation);
            }
        }
        verdict
    }

    fn judge(&self, before: Option<&Tip>, facts: &EventFacts) -> Result<(), Broken> {
        let named = facts.prev_index.map(u64::try_from);
        if let Some(Ok(named)) = named
            && before.is_none_or(|tip| tip.index < named)
            && self.in_gap(named)
        {
            return Err(Broken::BehindGap);
        }
        let due = before.map_or(0, |tip| tip.sequence + 1);
        if u64::try_from(facts.sequence) != Ok(due) {
            return Err(Broken::Link("its sequence is not the next of its chain"));
        }
        if named != before.map(|tip| Ok(tip.index)) {
            return Err(Broken::Link("it names another index as its predecessor"));
        }
        let holds = match before {
            Some(tip) => facts.prev_event_hash == tip.hash,
            None => facts.starts_chain,
        };
        if holds {
            Ok(())
        } else {
            Err(Broken::Link("it does not carry the event hash of its predecessor"))
        }
    }

    /// Keeps within the budget. Call it now and then.
    pub fn shrink(&mut self) {
        while self.bytes() > self.budget && self.hi > self.lo {
            self.hi = self.lo + (self.hi - self.lo) / 2;
            let (lo, hi) = (self.lo, self.hi);
            let mine = |value: &u128| (lo..=hi).contains(&place(*value));
            self.tips.retain(|chain, _| mine(chain));
            self.events.retain(mine);
            self.tips.shrink_to_fit();
            self.events.shrink_to_fit();
            let tokens = || self.tips.values().filter_map(|tip| tip.token.as_ref());
            self.violations = tokens().map(|token| token.violations.len() as u64).sum();
            self.tokens = tokens().count() as u64;
        }
    }

    fn bytes(&self) -> usize {
        let tip = size_of::<(u128, Tip)>() + 1;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        self.tips.capacity() * 8 / 7 * tip
            + self.events.capacity() * 8 / 7 * (size_of::<u128>() + 1)
            + count(self.tokens).saturating_mul(size_of::<Token>())
            + count(self.violations).saturating_mul(4 * size_of::<Violation>())
    }
}
