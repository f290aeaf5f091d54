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
//! checked in some pass. Hashes are those of index terms: two chains whose 96 bits collide would
//! look broken; nothing broken looks whole.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::lifecycle::{TokenState, Violation};

use super::event_ids::{EventIds, Repeats, low, place};
use super::facts::EventFacts;

/// Tokens of one piece of their list: it grows without being moved.
const PIECE: usize = 1024;
/// A tip of something that is no token.
const NO_TOKEN: u32 = u32::MAX;

/// The newest entry of a chain.
struct Tip {
    chain: [u32; 3],
    /// Position among the tokens.
    token: u32,
    index: u64,
    sequence: u64,
    hash: Hash,
}

fn pack(chain: u128) -> [u32; 3] {
    [0, 32, 64].map(|shift| u32::try_from((chain >> shift) & 0xffff_ffff).expect("masked"))
}

fn unpack([low, middle, high]: [u32; 3]) -> u128 {
    u128::from(low) | u128::from(middle) << 32 | u128::from(high) << 64
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
    /// Positions of tips, by chain.
    places: HashTable<u32>,
    tips: Vec<Tip>,
    tokens: Vec<Vec<Token>>,
    events: EventIds,
    notes_event_ids: bool,
    violations: u64,
    /// Index ranges that could not be read.
    gaps: Vec<(u64, u64)>,
}

impl Chains {
    /// The pass that begins at `lo`, with about `budget` bytes. At the end ids are sorted on so
    /// many threads.
    pub fn new(lo: u64, budget: usize, threads: usize) -> Self {
        Self {
            lo,
            hi: u64::MAX,
            budget,
            places: HashTable::new(),
            tips: Vec::new(),
            tokens: Vec::new(),
            events: EventIds::new(threads),
            notes_event_ids: true,
            violations: 0,
            gaps: Vec::new(),
        }
    }

    /// One pass that goes on for ever and leaves event ids to others.
    pub fn without_event_ids(budget: usize) -> Self {
        Self { notes_event_ids: false, ..Self::new(0, budget, 1) }
    }

    /// The pass behind this one, with the same gaps and what is suspected of event ids.
    pub fn following(&mut self, lo: u64, budget: usize) -> Self {
        let mut following = Self::new(lo, budget, 1);
        following.gaps = std::mem::take(&mut self.gaps);
        following.events = self.take_events().following();
        following
    }

    /// Where the next pass begins, if one is needed.
    pub fn next_pass(&self) -> Option<u64> {
        self.hi.checked_add(1)
    }

    /// What the event ids of all passes are suspected of.
    pub fn repeats(&mut self) -> Option<Repeats> {
        self.take_events().repeats()
    }

    fn take_events(&mut self) -> EventIds {
        std::mem::replace(&mut self.events, EventIds::new(1))
    }

    /// Chains and chains of tokens in this pass.
    pub fn counts(&self) -> (u64, u64) {
        (self.tips.len() as u64, self.token_count() as u64)
    }

    fn token_count(&self) -> usize {
        self.tokens.iter().map(Vec::len).sum()
    }

    /// Lifecycle violations of the chains in this pass, by code.
    pub fn violations(&self) -> BTreeMap<&'static str, u64> {
        let mut by_code = BTreeMap::new();
        for violation in self.tokens.iter().flatten().flat_map(|token| &token.violations) {
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

    /// Takes an event. `hash` is what the tree commits to at `index`.
    pub fn take(&mut self, index: u64, hash: Hash, facts: &EventFacts) -> Result<(), Broken> {
        if self.notes_event_ids && self.is_mine(facts.event) {
            self.events.note(facts.event);
        }
        if !self.is_mine(facts.chain) {
            return Ok(());
        }
        let chain = pack(facts.chain);
        let at = self.places.find(low(facts.chain), |at| self.tips[*at as usize].chain == chain);
        let at = at.map(|at| *at as usize);
        let verdict = self.judge(at.map(|at| &self.tips[at]), facts);
        let sequence = u64::try_from(facts.sequence).unwrap_or(0);
        let at = if let Some(at) = at {
            let tip = &mut self.tips[at];
            (tip.index, tip.sequence, tip.hash) = (index, sequence, hash);
            at
        } else {
            self.begin(Tip { chain, token: NO_TOKEN, index, sequence, hash })
        };
        if let Some(fact) = &facts.fact {
            let tip = &mut self.tips[at];
            if tip.token == NO_TOKEN {
                tip.token = push(&mut self.tokens);
            }
            let number = tip.token as usize;
            let token = &mut self.tokens[number / PIECE][number % PIECE];
            if let Some(violation) = token.state.apply(fact).violation {
                self.violations += 1;
                token.violations.push(violation);
            }
        }
        verdict
    }

    /// Adds a chain and gives its position.
    fn begin(&mut self, tip: Tip) -> usize {
        let at = self.tips.len();
        let place = u32::try_from(at).expect("the budget is spent long before");
        let chain = tip.chain;
        self.tips.push(tip);
        let tips = &self.tips;
        let hash_of = |at: &u32| low(unpack(tips[*at as usize].chain));
        self.places.insert_unique(low(unpack(chain)), place, hash_of);
        at
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
            self.events.keep(&(lo..=hi));
            let mut tokens: Vec<_> =
                std::mem::take(&mut self.tokens).into_iter().flatten().map(Some).collect();
            let tips = std::mem::take(&mut self.tips);
            self.places = HashTable::new();
            self.violations = 0;
            for mut tip in tips {
                if !(lo..=hi).contains(&place(unpack(tip.chain))) {
                    continue;
                }
                if let Some(token) = tokens.get_mut(tip.token as usize).and_then(Option::take) {
                    self.violations += token.violations.len() as u64;
                    tip.token = push(&mut self.tokens);
                    *self.tokens.last_mut().and_then(|piece| piece.last_mut()).expect("pushed") =
                        token;
                }
                self.begin(tip);
            }
        }
    }

    fn bytes(&self) -> usize {
        let violations = usize::try_from(self.violations).unwrap_or(usize::MAX);
        self.places.capacity() * 8 / 7 * (size_of::<u32>() + 1)
            + self.tips.capacity() * size_of::<Tip>()
            + self.tokens.len() * PIECE * size_of::<Token>()
            + self.events.bytes()
            + violations.saturating_mul(4 * size_of::<Violation>())
    }
}

/// Adds a token of which nothing is known, and gives its position.
fn push(tokens: &mut Vec<Vec<Token>>) -> u32 {
    if tokens.last().is_none_or(|piece| piece.len() == PIECE) {
        tokens.push(Vec::with_capacity(PIECE));
    }
    let number = (tokens.len() - 1) * PIECE + tokens.last().map_or(0, Vec::len);
    let piece = tokens.last_mut().expect("pushed above");
    piece.push(Token { state: TokenState::UNKNOWN, violations: Vec::new() });
    u32::try_from(number).expect("the budget is spent long before")
}
