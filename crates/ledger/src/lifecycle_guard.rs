//! The lifecycle guard: what violates a token's lifecycle is refused instead of recorded, for
//! strict producers.
//!
//! ```text
//! offered ──▶ life of its token: committed, planned, and the parts before it ──▶ recorded, or 409
//!                       └── revocations of wider things that cover it
//! ```
//!
//! Promises: an event of a strict producer is judged by everything that stands before it in the
//! ledger's order, whoever wrote it and however far it is on its way to the disk: the sequencer
//! asks when it is the event's turn, and nothing can come between. The parts of an act are judged
//! one behind the other, and refused together. Lives and revocations are cached, bounded by count;
//! what is evicted is read again.
//!
//! Assumes: one sequencer owns it and tells it of every event it records.
//!
//! Of a token with very many events only those are read that decide where it stands. Refuses:
//! events on one that cannot be judged by them in the time that the others would wait, a code or
//! one with more such events than are looked at. Not looked at: other ids of the same token.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_index::terms::{OfLife, chain_term};
use ledgerline_index::{IndexError, Term, TermCache, Usage};
use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::entry::{Entry, Handle};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{
    self, Birth, Fact, Revocation, TokenState, Violation, WideChain, is_permitted_birth,
};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{TargetKind, TokenKind};
use ledgerline_view::chains::{self, Reach};
use ledgerline_view::committed::SequencerRooms;

use crate::in_flight::InFlight;
use crate::intake::{EventError, PendingEvent};
use crate::plan_error::PlanError;

/// Tokens, and wider targets, of a generation of the caches.
const REMEMBERED: usize = 1 << 14;
/// Of a chain with more entries only what decides is read; of a code, whose uses all count, of one
/// with more than `CODE`.
const REACH: Reach = Reach::STATE;
const CODE: Reach = Reach { long: 8192, newest: 1 };
/// Revocations of one wider thing that are read.
const MAX_WIDE: usize = 100_000;
/// Births of one token that are kept.
const MAX_BIRTHS: usize = 64;

/// An event that the guard has read or been told of: its statement, and the handles beside it.
#[derive(Debug, Clone)]
struct RecentEvent {
    statement: Arc<[u8]>,
    handles: Arc<[Handle]>,
}

impl RecentEvent {
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
    /// What it was permitted to be born by: each says what it belongs to.
    births: Vec<RecentEvent>,
}

impl Life {
    fn take(
        &mut self,
        fact: &Fact<'_>,
        born: impl FnOnce() -> Option<RecentEvent>,
    ) -> Option<Violation> {
        let violation = self.state.apply(fact).violation;
        if self.births.len() < MAX_BIRTHS {
            self.births.extend(born());
        }
        violation
    }

    fn is_code(&self) -> bool {
        self.state.token_kind.is_some_and(TokenKind::is_code)
    }
}

/// What became of the wider revocations of a token.
struct Covered {
    violation: Option<Violation>,
    /// Whether all of them were seen.
    whole: bool,
}

/// Where the guard reads a token's history.
pub struct HistorySources<'s> {
    /// What is committed.
    pub rooms: &'s SequencerRooms,
    /// What is planned and not yet published.
    pub in_flight: &'s InFlight,
}

/// The revocations on a chain.
#[derive(Debug, Default)]
struct Known {
    revocations: Vec<RecentEvent>,
    whole: bool,
}

/// The guard. Owned by the sequencer.
pub struct LifecycleGuard {
    lives: TermCache<Life>,
    /// Revocations by the chain they stand on.
    wide: TermCache<Known>,
    is_used: bool,
}

impl Default for LifecycleGuard {
    fn default() -> Self {
        Self { lives: TermCache::new(REMEMBERED), wide: TermCache::new(REMEMBERED), is_used: false }
    }
}

impl LifecycleGuard {
    /// Why events that are to be recorded one behind the other are refused, if they are.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn refusal(
        &mut self,
        events: &[Box<PendingEvent>],
        sources: &HistorySources<'_>,
        wall_nanos: i64,
    ) -> Result<Option<EventError>, PlanError> {
        if !events.iter().any(|event| event.strict) {
            return Ok(None);
        }
        self.is_used = true;
        let mut lives: BTreeMap<Term, Life> = BTreeMap::new();
        // Revocations among the events themselves.
        let mut recent: Vec<(Term, RecentEvent)> = Vec::new();
        for event in events {
            let Ok(statement) = decode_object::<Statement<'_>>(Kind::Statement, &event.statement)
            else {
                continue;
            };
            if Revocation::of(&statement, &event.handles, 0, Hlc::at(wall_nanos)).is_some() {
                recent.push((event.chain_term, RecentEvent::of(event)));
            }
            if statement.target.kind != TargetKind::Token {
                continue;
            }
            let mut life = match lives.remove(&event.chain_term) {
                Some(life) => life,
                None => match self.life(event.chain_term, &statement, sources)? {
                    Some(life) => life,
                    None => return Ok(Some(too_long())),
                },
            };
            let is_born = is_permitted_birth(&statement);
            let before = self.cover(&mut life, &recent, sources, wall_nanos)?;
            let fact = Fact::of(&statement, u64::MAX, Hlc::at(wall_nanos));
            let own = RecentEvent::of(event);
            let mut violation = life.take(&fact, || is_born.then(|| own.clone()));
            let mut whole = before.whole;
            if is_born {
                let late = self.cover(&mut life, &recent, sources, wall_nanos)?;
                violation = violation.or(late.violation);
                whole = late.whole;
            }
            if event.strict && !whole {
                return Ok(Some(too_long()));
            }
            if let Some(violation) = violation.filter(|_| event.strict) {
                return Ok(Some(refused(violation)));
            }
            lives.insert(event.chain_term, life);
        }
        Ok(None)
    }

    /// Its caches: lives, and revocations of wider things.
    #[must_use]
    pub fn caches(&self) -> [Usage; 2] {
        [self.lives.usage(), self.wide.usage()]
    }

    /// Takes notice of an event that got its place.
    pub fn recorded(&mut self, event: &PendingEvent, index: u64, recorded_at: Hlc) {
        if !self.is_used {
            return;
        }
        if let Some(life) = self.lives.get_mut(&event.chain_term) {
            take_entry(life, &RecentEvent::of(event), index, recorded_at);
        }
        if let Some(known) = self.wide.get_mut(&event.chain_term) {
            let event = RecentEvent::of(event);
            if is_revocation(&event) {
                known.revocations.push(event);
            }
        }
    }

    /// The life of the token that a statement is about; `None` when it is too long.
    fn life(
        &mut self,
        chain: Term,
        statement: &Statement<'_>,
        sources: &HistorySources<'_>,
    ) -> Result<Option<Life>, PlanError> {
        if let Some(life) = self.lives.get(&chain) {
            return Ok(Some(life));
        }
        let key = ChainKey {
            kind: TargetKind::Token,
            tenant: statement.tenant,
            id: statement.target.id.as_bytes(),
        };
        let read_life = |reach: Reach| -> Result<(Life, Read), PlanError> {
            let mut life = Life::default();
            let read = sources.life(&key, &chain, reach, |event, place, recorded_at| {
                take_entry(&mut life, &event, place, recorded_at);
            })?;
            Ok((life, read))
        };
        let (mut life, mut read) = read_life(REACH)?;
        // What nobody issued yet may become a code, which its uses have spent then.
        if !read.whole && (life.is_code() || life.state.birth != Birth::Issued) {
            (life, read) = read_life(CODE)?;
        }
        let known = read.whole || !(read.cut || life.is_code());
        if known {
            self.lives.put(chain, life.clone());
        }
        Ok(known.then_some(life))
    }

    /// Applies the revocations in force that cover the token, by any of its births.
    fn cover(
        &mut self,
        life: &mut Life,
        recent: &[(Term, RecentEvent)],
        sources: &HistorySources<'_>,
        wall_nanos: i64,
    ) -> Result<Covered, PlanError> {
        let mut covered = Covered { violation: None, whole: true };
        let mut chains: Vec<(String, WideChain)> = Vec::new();
        for birth in &life.births {
            let named = birth.read(|one, handles| {
                let chains = lifecycle::chains_of(one, handles).into_iter();
                chains.map(|chain| (one.tenant.to_owned(), chain)).collect::<Vec<_>>()
            });
            for chain in named.unwrap_or_default() {
                if !chains.contains(&chain) {
                    chains.push(chain);
                }
            }
        }
        for (tenant, (kind, id)) in chains {
            let key = ChainKey { kind, tenant: &tenant, id: &id };
            let chain = chain_term(&sources.rooms.terms, &key);
            if !self.wide.touch(&chain) {
                let mut found = Known::default();
                found.whole =
                    sources.revocations(&key, &chain, |event| found.revocations.push(event))?;
                self.wide.put(chain, found);
            }
            let Some(known) = self.wide.peek(&chain) else { continue };
            covered.whole &= known.whole;
            let planned = recent.iter().filter(|(term, _)| *term == chain).map(|(_, event)| event);
            for one in known.revocations.iter().chain(planned) {
                let late = apply(&mut life.state, one, &life.births, wall_nanos);
                covered.violation = covered.violation.or(late);
            }
        }
        Ok(covered)
    }
}

/// What was read of a token's chain.
struct Read {
    /// Whether that is all of it.
    whole: bool,
    /// Whether even of what decides something was left out.
    cut: bool,
}

/// What a chain has in an origin below an index.
type Find<'f> = dyn FnMut(&SequencerRooms, u64) -> Result<Vec<u64>, IndexError> + 'f;

impl HistorySources<'_> {
    /// Calls `each` with the entries of a token's chain that decide where it stands, in ledger
    /// order; those in flight are among them, whatever they are.
    fn life(
        &self,
        key: &ChainKey<'_>,
        chain: &Term,
        reach: Reach,
        mut each: impl FnMut(RecentEvent, u64, Hlc),
    ) -> Result<Read, PlanError> {
        let mut read = Read { whole: true, cut: false };
        self.each(key, chain, &mut each, &mut |rooms, below| {
            let found = chains::deciding(&*rooms.index, chain, below, reach)?;
            read.whole &= found.whole;
            read.cut |= found.cut;
            Ok(found.indexes)
        })?;
        Ok(read)
    }

    /// Calls `each` with the revocations on the chain of something wider, in ledger order; false
    /// when there were too many.
    fn revocations(
        &self,
        key: &ChainKey<'_>,
        chain: &Term,
        mut each: impl FnMut(RecentEvent),
    ) -> Result<bool, PlanError> {
        let term = OfLife::Acts.term(chain);
        let mut whole = true;
        let mut each = |event: RecentEvent, _, _| {
            if is_revocation(&event) {
                each(event);
            }
        };
        self.each(key, chain, &mut each, &mut |rooms, below| {
            let (found, cut) = chains::postings(&*rooms.index, &term, 0..below, MAX_WIDE)?;
            whole &= !cut;
            Ok(found)
        })?;
        Ok(whole)
    }

    /// Calls `each` with the entries of a chain at the indexes that `find` has of each origin below
    /// those in flight, and with these. The sync thread adds them to the index meanwhile: without
    /// that bound one list would end before an entry and the next one behind it.
    fn each(
        &self,
        key: &ChainKey<'_>,
        chain: &Term,
        each: &mut dyn FnMut(RecentEvent, u64, Hlc),
        find: &mut Find<'_>,
    ) -> Result<(), PlanError> {
        let mut base = 0;
        let in_flight = self.in_flight.events_of(chain);
        let below = in_flight.iter().map(|planned| planned.index).min().unwrap_or(u64::MAX);
        let older = self.rooms.predecessors.iter().map(|one| (&one.asked, one.size(), u64::MAX));
        for (rooms, size, below) in older.chain([(self.rooms, 0, below)]) {
            for index in find(rooms, below)? {
                let leaf = rooms.reader.leaf(index)?;
                let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, &leaf) else { continue };
                let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement);
                let same = statement.is_ok_and(|one| chain_key(&one, &entry.handles) == Some(*key));
                if same {
                    let handles = entry.handles[..].into();
                    let event = RecentEvent { statement: entry.statement.into(), handles };
                    each(event, base + index, entry.recorded_at);
                }
            }
            base += size;
        }
        for planned in in_flight {
            let statement = planned.statement.as_slice().into();
            let event = RecentEvent { statement, handles: planned.handles[..].into() };
            each(event, base + planned.index, planned.recorded_at);
        }
        Ok(())
    }
}

fn take_entry(life: &mut Life, event: &RecentEvent, place: u64, recorded_at: Hlc) {
    event.read(|statement, _| {
        let is_born = is_permitted_birth(statement);
        let fact = Fact::of(statement, place, recorded_at);
        life.take(&fact, || is_born.then(|| event.clone()));
    });
}

fn is_revocation(event: &RecentEvent) -> bool {
    event.read(|one, handles| Revocation::of(one, handles, 0, Hlc::at(i64::MAX)).is_some())
        == Some(true)
}

/// Applies one revocation, if it is in force and covers the token by any of its births.
fn apply(
    state: &mut TokenState,
    revocation: &RecentEvent,
    births: &[RecentEvent],
    wall_nanos: i64,
) -> Option<Violation> {
    let applied = revocation.read(|one, handles| {
        let revocation = Revocation::of(one, handles, 0, Hlc::at(wall_nanos))?;
        let covers = |birth: &RecentEvent| {
            birth.read(|one, handles| lifecycle::covers(&revocation, one, handles)) == Some(true)
        };
        let applies = revocation.is_in_force(wall_nanos) && births.iter().any(covers);
        applies.then(|| lifecycle::end_by(state, revocation.effective_at))?
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
