//! Expiry: the ledger states EXPIRED for every token whose expiry has passed.
//!
//! ```text
//! entries with an expiry ──follow──▶ schedule: (expires_at, entry), soonest ──due──▶ life read
//!                                      ▲                                                │
//! expiry-hour runs ───────refill───────┘                         EXPIRED, unless it is in there
//!
//! EXPIRED       target the token; source `ledger`; occurred_at = the expiry
//!   native_id   token id ‖ 0x00 ‖ decimal Unix nanoseconds of the expiry
//!
//! followers/expiry   the state is i64 through, big-endian
//!   of before        u32 CRC-32C ‖ u64 position ‖ i64 through ‖ origin; the CRC of what follows it
//! ```
//!
//! Promises: one EXPIRED for each token and expiry, however often a schedule begins anew; none
//! before the expiry has passed by the ledger's clock; none for an expiry that REFRESHED moved
//! later, and none for a token that was revoked before it expired. Memory is bounded: of more
//! tokens than the schedule holds it keeps the soonest, and reads the others again from the index
//! when their time comes. No answer waits for this: whether a token is active follows from its
//! `expires_at`.
//!
//! Assumes: one schedule is stepped at a time, and what a step gave is recorded before its place is
//! saved.
//!
//! Refuses: expiries before 1970. Not looked at: other ids of the same token, each of which expires
//! by itself, and revocations of something wider, which outrank EXPIRED whenever they came.

mod follower;

use std::collections::BTreeSet;

use ledgerline_index::terms::{self, By, expires};
use ledgerline_index::{Ask, ReadBudget, Term};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::lifecycle::{self, Fact, State};
use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};
use ledgerline_view::address::{AsOf, Begin, EntryRef};
use ledgerline_view::chains::Reach;
use ledgerline_view::view::{QueryError, View};

pub use self::follower::ExpiryFollower;

/// Tokens that a usual schedule holds at most: some 9 MB.
pub const SCHEDULE_TOKENS: usize = 1 << 18;
/// Entries and look-ups of a usual step.
pub const STEP_READS: usize = 1024;
/// Tokens looked at in a step because they are due.
const STEP_DUE: usize = 256;
/// Index blocks that one look-up may read.
const INDEX_READS: u32 = 4096;
/// Nanoseconds of an hour.
const HOUR_NANOS: i64 = 3_600_000_000_000;

/// A token whose EXPIRED is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// Its tenant.
    pub tenant: String,
    /// Its id.
    pub token: String,
    /// Its expiry, Unix nanoseconds.
    pub at: i64,
}

impl Due {
    /// The native id of its EXPIRED.
    #[must_use]
    pub fn native_id(&self) -> String {
        format!("{}\0{}", self.token, self.at)
    }

    /// Its EXPIRED.
    #[must_use]
    pub fn statement(&self) -> OwnStatement {
        let target = Some((TargetKind::Token, self.token.clone()));
        let own = OwnStatement::new(&self.tenant, self.native_id(), EventType::Expired);
        OwnStatement { target, at: Some(self.at), ..own }
    }
}

/// When something expires, and the entry that says so.
type Slot = (i64, EntryRef);

/// How far a schedule has come: every expiry up to `through` of the entries seen was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Entries read, of each log.
    pub seen: AsOf,
    /// Unix nanoseconds.
    pub through: i64,
}

impl Place {
    /// Before everything.
    #[must_use]
    pub fn begin() -> Self {
        Self { seen: AsOf::new([]), through: i64::MIN }
    }
}

/// How far a refill has come.
#[derive(Debug, Clone)]
struct Refill {
    /// Only slots from here on: what comes before was handled.
    above: Slot,
    hour: i64,
    /// Where to go on.
    from: EntryRef,
    /// What lies behind is followed.
    end: AsOf,
}

/// The schedule: tokens that expire next, soonest first. Owned by one thread.
#[derive(Debug)]
pub struct Schedule {
    most: usize,
    /// Entries that were read, of each log.
    seen: AsOf,
    /// Every expiry up to here, of the entries seen, was handled.
    through: i64,
    waiting: BTreeSet<Slot>,
    /// All slots below this one, of the entries seen, are waiting or were handled.
    horizon: Slot,
    refill: Option<Refill>,
}

impl Schedule {
    /// Goes on at a place, holding at most `most` tokens.
    #[must_use]
    pub fn new(place: Place, most: usize) -> Self {
        let above = (place.through.saturating_add(1), EntryRef::FIRST);
        Self {
            most: most.max(2),
            seen: place.seen,
            through: place.through,
            waiting: BTreeSet::new(),
            horizon: above,
            refill: None,
        }
    }

    /// Entries read so far, of each log.
    #[must_use]
    pub const fn seen(&self) -> &AsOf {
        &self.seen
    }

    /// Tokens held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.waiting.len()
    }

    /// The place to save, once what all steps gave is recorded; `None` while something is due, and
    /// before anything was handled: to go on there all hours since 1970 would have to be read.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let is_due = self.waiting.first().is_some_and(|slot| slot.0 <= self.through);
        let is_begun = self.through > i64::MIN;
        let whole = self.refill.is_none() && !is_due && self.horizon.0 > self.through;
        (whole && is_begun).then(|| Place { seen: self.seen.clone(), through: self.through })
    }

    /// Reads on, about `most_reads` entries, and says what is to be recorded, and whether there is
    /// more to do at once.
    ///
    /// # Errors
    /// [`QueryError`]; make a new schedule then, at the place last saved.
    pub fn step(
        &mut self,
        view: &View,
        now: i64,
        most_reads: usize,
    ) -> Result<(Vec<Due>, bool), QueryError> {
        let origins = view.origins();
        let end = view.as_of();
        // A full schedule would only be filled anew with what it holds.
        let has_room = self.waiting.len() <= self.most / 2;
        let is_near = self.horizon.0 <= now.saturating_add(HOUR_NANOS / 2);
        if self.refill.is_none() && has_room && is_near {
            self.look_further(now);
        }
        if let Some(refill) = self.refill.take() {
            self.refill = self.fill(&origins, refill, most_reads)?;
            if self.refill.is_some() {
                return Ok((Vec::new(), true));
            }
        }
        let due = self.take_due(&origins, now)?;
        if due.is_none() {
            self.follow(&origins, &end, most_reads)?;
        }
        let left = self.waiting.first().is_some_and(|slot| slot.0 <= now);
        if !left && now < self.horizon.0 {
            self.through = self.through.max(now);
        }
        let more = left || !end.is_within(&self.seen) || self.horizon.0 <= now;
        Ok((due.unwrap_or_default(), more))
    }

    /// Moves the horizon to the end of the next hour; what lies between is read from the index.
    fn look_further(&mut self, now: i64) {
        let hour = terms::hour_of(now).saturating_add(2);
        let (above, end) = (self.horizon, self.seen.clone());
        self.horizon = (hour.saturating_mul(HOUR_NANOS), EntryRef::FIRST).max(above);
        // Nothing expires before 1970.
        let from = terms::hour_of(above.0.max(0));
        let is_begun = end.end().is_some();
        let refill = Refill { above, hour: from, from: EntryRef::FIRST, end };
        self.refill = is_begun.then_some(refill);
    }

    /// Reads on in the hours up to the horizon; `None` when it got there.
    fn fill(
        &mut self,
        origins: &[View],
        mut refill: Refill,
        most_reads: usize,
    ) -> Result<Option<Refill>, QueryError> {
        let mut reads = 0;
        // The horizon comes nearer when the schedule is full.
        while refill.hour.saturating_mul(HOUR_NANOS) < self.horizon.0 {
            let (room, from) = (most_reads.saturating_sub(reads), Begin::from(refill.from));
            if room == 0 {
                return Ok(Some(refill));
            }
            let found = postings(origins, &By::ExpiryHour(refill.hour), &from, &refill.end, room)?;
            reads += found.places.len() + 1;
            found.each_slot(|slot| {
                self.hold(slot.filter(|slot| *slot >= refill.above));
            })?;
            match found.next {
                Some(next) => refill.from = next,
                None => refill = Refill { hour: refill.hour + 1, from: EntryRef::FIRST, ..refill },
            }
        }
        Ok(None)
    }

    /// Reads the entries that were committed since.
    fn follow(
        &mut self,
        origins: &[View],
        end: &AsOf,
        most_reads: usize,
    ) -> Result<(), QueryError> {
        let from = Begin::behind(self.seen.clone());
        let found = postings(origins, &By::Expiring, &from, end, most_reads)?;
        found.each_slot(|slot| self.hold(slot))?;
        self.seen = self.seen.gone_on(end, found.next);
        Ok(())
    }

    /// Holds a slot that lies below the horizon. A full schedule gives up the last, and the horizon
    /// comes nearer.
    fn hold(&mut self, slot: Option<Slot>) {
        let Some(slot) = slot.filter(|slot| *slot < self.horizon) else { return };
        self.waiting.insert(slot);
        if self.waiting.len() > self.most
            && let Some(last) = self.waiting.pop_last()
        {
            self.horizon = last;
        }
    }

    /// Takes what is due and says what is to be recorded of it; `None` when nothing is due.
    fn take_due(&mut self, origins: &[View], now: i64) -> Result<Option<Vec<Due>>, QueryError> {
        let (mut due, mut taken) = (Vec::new(), 0);
        while taken < STEP_DUE
            && let Some(slot) = self.waiting.first().copied().filter(|slot| slot.0 <= now)
        {
            self.waiting.remove(&slot);
            taken += 1;
            due.extend(judge(origins, slot)?);
        }
        due.sort_unstable();
        due.dedup();
        Ok((taken > 0).then_some(due))
    }
}

/// Entries found, each with its origin, and where to go on.
struct Found<'v> {
    places: Vec<(&'v View, EntryRef)>,
    next: Option<EntryRef>,
}

/// The entries of a term, in all origins, ascending, at most `limit`.
fn postings<'v>(
    origins: &'v [View],
    by: &By<'_>,
    begin: &Begin,
    end: &AsOf,
    limit: usize,
) -> Result<Found<'v>, QueryError> {
    let mut places = Vec::new();
    for view in origins {
        let until = end.size(view.log());
        let from = begin.index(view.log()).filter(|from| *from < until);
        let Some(from) = from else { continue };
        let term: Term = by.term(view.terms(), "");
        let mut budget = ReadBudget::new(INDEX_READS);
        let room = limit - places.len();
        let page = view.page(Ask::oldest(term, from..until, room), &mut budget)?;
        let stuck = page.indexes.is_empty() && page.next == Some(from);
        if stuck {
            return Err(QueryError::Budget);
        }
        places.extend(page.indexes.into_iter().map(|index| (view, view.entry(index))));
        if page.next.is_some() || places.len() >= limit {
            let next = view.entry(page.next.unwrap_or(until));
            return Ok(Found { places, next: Some(next) });
        }
    }
    Ok(Found { places, next: None })
}

impl Found<'_> {
    /// When the tokens of the entries found expire by those entries. Neighbours are read together.
    fn each_slot(&self, mut each: impl FnMut(Option<Slot>)) -> Result<(), QueryError> {
        for part in self.places.chunk_by(|one, next| one.1.log == next.1.log) {
            let Some((view, _)) = part.first() else { continue };
            let indexes: Vec<u64> = part.iter().map(|(_, at)| at.index).collect();
            let leaves = view.leaf_store().leaves(&indexes)?;
            for ((_, entry), leaf) in part.iter().zip(leaves) {
                let at = read_event(&leaf, |_, statement| {
                    let is_token = statement.target.kind == TargetKind::Token;
                    expires(statement).filter(|at| *at >= 0 && is_token)
                });
                each(at.flatten().map(|at| (at, *entry)));
            }
        }
        Ok(())
    }
}

/// What is to be recorded of a slot whose time has come, by the token's life as it is now.
fn judge(origins: &[View], (at, entry): Slot) -> Result<Option<Due>, QueryError> {
    let holds = |view: &&View| view.log() == entry.log;
    let (Some(view), Some(newest)) = (origins.iter().find(holds), origins.last()) else {
        return Ok(None);
    };
    let leaf = view.leaf(entry.index)?;
    let named = read_event(&leaf, |_, one| (one.tenant.to_owned(), one.target.id.to_owned()));
    let Some((tenant, token)) = named else { return Ok(None) };
    let key = ChainKey { kind: TargetKind::Token, tenant: &tenant, id: token.as_bytes() };
    let leaves = newest.deciding_leaves(&key, newest.size(), Reach::STATE)?;
    let fact =
        |(place, leaf)| read_event(leaf, |entry, one| Fact::of(one, place, entry.recorded_at));
    let facts: Vec<Fact<'_>> =
        leaves.iter().filter_map(|(place, leaf)| fact((*place, leaf))).collect();
    let state = lifecycle::known(&facts);
    let said = |fact: &Fact<'_>| {
        fact.event_type == EventType::Expired
            && fact.outcome == Outcome::Allow
            && (fact.expires_at == Some(at) || fact.occurred_at.nanos >= at)
    };
    let in_force = state.expires_at == Some(at) && state.state != State::Revoked;
    let is_new = in_force && !facts.iter().any(said);
    drop(facts);
    Ok(is_new.then_some(Due { tenant, token, at }))
}
