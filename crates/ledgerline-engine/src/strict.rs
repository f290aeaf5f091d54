//! Strict producers: what violates a token's lifecycle is refused instead of recorded.
//!
//! ```text
//! offered ──▶ life of its token: committed, planned, and the parts before it ──▶ recorded, or 409
//!                       └── revocations of wider things that cover it
//! ```
//!
//! Promises: an event of a strict producer is judged by everything that stands before it in the
//! ledger's order, whoever wrote it and however far it is on its way to the disk: the sequencer
//! asks when it is the event's turn, and nothing can come between. The parts of an act are judged
//! one behind the other, and refused together. Memory is bounded; what is forgotten is read again.
//!
//! Assumes: one sequencer owns it and tells it of every event it records.
//!
//! Refuses: events on a token whose life is longer than [`MAX_LIFE`], which cannot be judged in the
//! time that the others would wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::entry::{Entry, Handle};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{Fact, Revocation, TokenFacts, TokenState, Violation};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{Outcome, TargetKind};

use crate::findings::caches::Lately;
use crate::found_by::{chain_term, is_birth};
use crate::index::{ReadBudget, Term};
use crate::intake::{EventError, PendingEvent};
use crate::lineage::wide_chains_of;
use crate::overlay::Overlay;
use crate::sequencer::{PlanError, SequencerRooms};

/// Tokens, and wider targets, of a generation of the memory.
const REMEMBERED: usize = 1 << 14;
/// Entries of a chain that are read.
const MAX_LIFE: usize = 100_000;
/// Index blocks that one chain may cost.
const INDEX_READS: u32 = 50_000;

/// What a statement says, and the handles beside it.
#[derive(Debug, Clone)]
struct Told {
    statement: Arc<[u8]>,
    handles: Arc<[Handle]>,
}

impl Told {
    fn of(event: &PendingEvent) -> Self {
        Self { statement: event.statement.as_slice().into(), handles: event.handles[..].into() }
    }

    fn read<T>(&self, read: impl FnOnce(&Statement<'_>, &[Handle]) -> T) -> Option<T> {
        let statement: Statement<'_> = decode_object(Kind::Statement, &self.statement).ok()?;
        Some(read(&statement, &self.handles))
    }
}

/// A token's life so far.
#[derive(Debug, Clone, Default)]
struct Life {
    state: TokenState,
    birth: Option<Told>,
}

impl Life {
    fn take(&mut self, fact: &Fact<'_>, born: impl FnOnce() -> Option<Told>) -> Option<Violation> {
        let violation = self.state.apply(fact).violation;
        if self.birth.is_none() {
            self.birth = born();
        }
        violation
    }
}

/// What the judge asks.
pub struct Asked<'s> {
    /// What is committed.
    pub rooms: &'s SequencerRooms,
    /// What is on its way.
    pub overlay: &'s Overlay,
}

/// The judge. Owned by the sequencer.
pub struct Strict {
    lives: Lately<Life>,
    /// Revocations by the chain they stand on.
    wide: Lately<Vec<Told>>,
    is_used: bool,
}

impl Default for Strict {
    fn default() -> Self {
        Self { lives: Lately::new(REMEMBERED), wide: Lately::new(REMEMBERED), is_used: false }
    }
}

impl Strict {
    /// Why events that are to be recorded one behind the other are refused, if they are.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn refusal(
        &mut self,
        events: &[Box<PendingEvent>],
        asked: &Asked<'_>,
        wall_nanos: i64,
    ) -> Result<Option<EventError>, PlanError> {
        if !events.iter().any(|event| event.strict) {
            return Ok(None);
        }
        self.is_used = true;
        let mut lives: BTreeMap<Term, Life> = BTreeMap::new();
        // Revocations among the events themselves.
        let mut told: Vec<(Term, Told)> = Vec::new();
        for event in events {
            let Ok(statement) = decode_object::<Statement<'_>>(Kind::Statement, &event.statement)
            else {
                continue;
            };
            if Revocation::of(&statement, &event.handles, 0).is_some() {
                told.push((event.chain_term, Told::of(event)));
            }
            if statement.target.kind != TargetKind::Token {
                continue;
            }
            let mut life = match lives.remove(&event.chain_term) {
                Some(life) => life,
                None => match self.life(event.chain_term, &statement, asked)? {
                    Some(life) => life,
                    None => return Ok(Some(too_long())),
                },
            };
            let is_born = is_birth(&statement) && statement.outcome == Outcome::Allow;
            if let Some(birth) = life.birth.clone() {
                self.cover(&mut life.state, &birth, &told, asked, wall_nanos)?;
            }
            let fact = Fact::of(&statement, u64::MAX, Hlc::at(wall_nanos));
            let own = Told::of(event);
            let mut violation = life.take(&fact, || is_born.then(|| own.clone()));
            if is_born {
                // The first birth says what the token belongs to.
                let birth = life.birth.clone().unwrap_or(own);
                let late = self.cover(&mut life.state, &birth, &told, asked, wall_nanos)?;
                violation = violation.or(late);
            }
            if let Some(violation) = violation.filter(|_| event.strict) {
                return Ok(Some(refused(violation)));
            }
            lives.insert(event.chain_term, life);
        }
        Ok(None)
    }

    /// Takes notice of an event that got its place.
    pub fn recorded(&mut self, event: &PendingEvent, index: u64, recorded_at: Hlc) {
        if !self.is_used {
            return;
        }
        if let Some(life) = self.lives.get_mut(&event.chain_term) {
            take_entry(life, &Told::of(event), index, recorded_at);
        }
        if let Some(known) = self.wide.get_mut(&event.chain_term) {
            let told = Told::of(event);
            if is_revocation(&told) {
                known.push(told);
            }
        }
    }

    /// The life of the token that a statement is about; `None` when it is too long.
    fn life(
        &mut self,
        chain: Term,
        statement: &Statement<'_>,
        asked: &Asked<'_>,
    ) -> Result<Option<Life>, PlanError> {
        if let Some(life) = self.lives.get_mut(&chain) {
            return Ok(Some(life.clone()));
        }
        let key = ChainKey {
            kind: TargetKind::Token,
            tenant: statement.tenant,
            id: statement.target.id.as_bytes(),
        };
        let mut life = Life::default();
        let whole = asked.each(&key, &chain, |told, place, recorded_at| {
            take_entry(&mut life, &told, place, recorded_at);
        })?;
        if whole {
            self.lives.put(chain, life.clone());
        }
        Ok(whole.then_some(life))
    }

    /// Applies the revocations in force that cover the token.
    fn cover(
        &mut self,
        state: &mut TokenState,
        birth: &Told,
        told: &[(Term, Told)],
        asked: &Asked<'_>,
        wall_nanos: i64,
    ) -> Result<Option<Violation>, PlanError> {
        let chains =
            birth.read(|one, handles| (one.tenant.to_owned(), wide_chains_of(handles, one)));
        let Some((tenant, chains)) = chains else { return Ok(None) };
        let mut violation = None;
        for (kind, id) in chains {
            let key = ChainKey { kind, tenant: &tenant, id: &id };
            let chain = chain_term(&asked.rooms.terms, &key);
            if self.wide.get_mut(&chain).is_none() {
                let mut found = Vec::new();
                // Of a chain that is too long the rest is not seen.
                asked.each(&key, &chain, |told, _, _| {
                    found.extend(is_revocation(&told).then_some(told));
                })?;
                self.wide.put(chain, found);
            }
            let known = self.wide.get_mut(&chain).into_iter().flat_map(|known| known.iter());
            let planned = told.iter().filter(|(term, _)| *term == chain).map(|(_, told)| told);
            for one in known.chain(planned) {
                violation = violation.or(apply(state, one, birth, wall_nanos));
            }
        }
        Ok(violation)
    }
}

impl Asked<'_> {
    /// Calls `each` with every entry of a chain, in ledger order; false when there were too many.
    fn each(
        &self,
        key: &ChainKey<'_>,
        chain: &Term,
        mut each: impl FnMut(Told, u64, Hlc),
    ) -> Result<bool, PlanError> {
        let mut budget = ReadBudget::new(INDEX_READS);
        let mut base = 0;
        let older = self.rooms.predecessors.iter().map(|one| (&one.asked, one.size()));
        let (mut whole, mut end) = (true, 0);
        for (rooms, size) in older.chain([(self.rooms, 0)]) {
            end = 0;
            let found = rooms.index.postings(chain, 0..u64::MAX, MAX_LIFE, &mut budget)?;
            whole &= found.cut_by.is_none();
            for index in found.indexes {
                end = index + 1;
                let leaf = rooms.reader.leaf(index)?;
                let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, &leaf) else { continue };
                let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement);
                let same = statement.is_ok_and(|one| chain_key(&one, &entry.handles) == Some(*key));
                if same {
                    let handles = entry.handles[..].into();
                    let told = Told { statement: entry.statement.into(), handles };
                    each(told, base + index, entry.recorded_at);
                }
            }
            base += size;
        }
        for planned in self.overlay.events_of(chain) {
            // The index may know the newest batches already.
            if planned.index >= end {
                let statement = planned.statement.as_slice().into();
                let told = Told { statement, handles: planned.handles[..].into() };
                each(told, base + planned.index, planned.recorded_at);
            }
        }
        Ok(whole)
    }
}

fn take_entry(life: &mut Life, told: &Told, place: u64, recorded_at: Hlc) {
    told.read(|statement, _| {
        let is_born = is_birth(statement) && statement.outcome == Outcome::Allow;
        let fact = Fact::of(statement, place, recorded_at);
        life.take(&fact, || is_born.then(|| told.clone()));
    });
}

fn is_revocation(told: &Told) -> bool {
    told.read(|one, handles| Revocation::of(one, handles, 0).is_some()) == Some(true)
}

/// Applies one revocation, if it is in force and covers the token born by `birth`.
fn apply(
    state: &mut TokenState,
    revocation: &Told,
    birth: &Told,
    wall_nanos: i64,
) -> Option<Violation> {
    let applied = revocation.read(|one, handles| {
        let revocation = Revocation::of(one, handles, 0)?;
        let covers = birth.read(|one, handles| {
            TokenFacts::of(one, handles).is_some_and(|facts| revocation.covers(&facts))
        });
        let applies = covers == Some(true) && revocation.is_in_force(wall_nanos);
        applies.then(|| state.cover(&revocation).violation)?
    });
    applied.flatten()
}

fn refused(violation: Violation) -> EventError {
    let detail = format!("the event violates the lifecycle of its token: {}", violation.code());
    EventError::new("lifecycle_violation", detail)
}

fn too_long() -> EventError {
    let detail = "the token has too many events to judge another of a strict producer".to_owned();
    EventError::new("lifecycle_violation", detail)
}
