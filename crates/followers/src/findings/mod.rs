//! Findings: what the rules notice about the acts in the ledger, recorded as entries of their own.
//!
//! Promises: a follower reads every committed entry once, in order, and judges it by what the
//! ledger held before it. What it notices is appended as the ledger's own FINDING_RAISED, under an
//! event id that follows from the finding, so that nothing is raised twice: not after a crash, not
//! when the follower's position is deleted and everything is read again. The follower may lie
//! behind; it never holds up an answer, and no state of a token depends on it.
//!
//! ```text
//! FINDING_RAISED   target LEDGER (one chain a tenant); occurred_at = recorded_at of the act
//!   native_id      "finding/" ‖ hex of the finding's id
//!   detail         about? explained? finding gap_ms? parent? place? rule severity
//!                  token | target target_kind, version
//!   links          the token, if it is about one, and every event it is about; CAUSED_BY,
//!                  INFERRED, why = the rule
//! FINDING_CLOSED   moves a finding on, or lets it grow; same chain
//!   native_id      "finding/" ‖ hex ‖ "/acknowledged" | "/closed" ‖
//!                  ("/" ‖ times it was closed or reopened before, from the first on)
//!                  "finding/" ‖ hex ‖ "/again/" | "/caused/" | "/withdrawn/" | "/reopened/" ‖
//!                  id of the event it moved upon
//!   detail         by count? finding note state
//!   links          the FINDING_RAISED event; the event it moved upon, INFERRED
//!
//! followers/findings   the state is the memory (JSON)
//!   of before          u32 CRC-32C ‖ u64 position ‖ u16 length ‖ origin ‖ memory
//!                      all big-endian; the CRC is of what stands behind it
//! ```
//!
//! An act that arrives late and changes what was before (an ISSUED, a REVOKED, …) has the life of
//! its token judged anew in event time. What that finds is raised; what no longer holds is
//! withdrawn; what was withdrawn and holds again is reopened ([`revised`]). Each such act reads the
//! whole life: many about one token cost the square of their number.
//!
//! Assumes: the rules are run by one follower at a time.
//!
//! Refuses: to have more than [`rules::MAX_PER_TOKEN`] findings open by one rule about a token in
//! one severity; what is of one kind is one finding with a count ([`groups`]). Not looked at:
//! parents of parents, and acts recorded before the late revocation of a parent.

mod aliases;
mod follower;
pub mod follower_state;
mod groups;
mod indirect_revocations;
pub mod integrity;
mod kin;
mod late;
pub mod list;
mod reconciled;
pub mod record;
mod replay;
mod revised;
pub mod rules;
mod rules_presentation;
mod rules_source;
mod token_state;
mod turns;
pub mod uses_gap;

use std::rc::Rc;
use std::sync::Arc;

use ledgerline_index::terms::{chain_term, is_birth};
use ledgerline_index::{Term, TermCache};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::lifecycle::is_permitted_birth;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, Relation, TargetKind, TokenKind};
pub use ledgerline_summaries::Limits;
use ledgerline_summaries::{Store, Tier};
use ledgerline_view::chains::Reach;
use ledgerline_view::view::{QueryError, View};
use ledgerline_world::disk::Disk;

use self::aliases::{Ids, leaves_of, not_joined, term_of_all};
pub use self::follower::FindingsFollower;
use self::follower_state::{FollowerState, Kept};
use self::groups::{Counted, Recorded};
use self::indirect_revocations::IndirectRevocations;
use self::kin::kin_of;
use self::late::Revised;
pub use self::reconciled::finding_of;
use self::record::{Note, is_closing, raised_event_id};
use self::replay::{Replay, is_replay};
use self::revised::tell;
use self::rules::{Finding, Rule, Windows};
use self::rules_presentation::PolicyVersions;
use self::token_state::{
    Act, Birth, Boundary, Kin, Life, Parent, actor_name, asks_for_parents, until,
};

/// Tokens, and wider targets, of a generation of the memory: a life is 1 to 2 KiB, and there are
/// two generations of tokens and two of their parents.
const REMEMBERED: usize = 1 << 12;
/// As many where a [`Store`] is behind it. Few: a life that leaves memory is written the quicker
/// the more lately it was used, and with 4,096 an event cost half as much again.
const REMEMBERED_BEFORE_A_STORE: usize = 1 << 8;
/// Entries of a usual step: about a millisecond. A thread of low priority that has a core for ten
/// holds up whoever was put behind it there.
pub const STEP_ENTRIES: u64 = 256;
/// Notes after which a step ends early.
const STEP_NOTES: usize = 256;

/// A token: tenant and id.
type TokenKey<'k> = (&'k str, &'k str);
/// The place of an entry, and its leaf.
type Placed = (u64, Vec<u8>);
/// What a token is, as others ask for it.
#[derive(Default)]
struct Known {
    /// The birth that was recorded first.
    birth: Option<KnownBirth>,
    /// Its revocations: its own, and those that cover it.
    ends: Vec<Boundary>,
    /// Of a token with one id that is born and has not ended: the chains by which it could.
    watch: Option<Vec<u32>>,
}

/// A birth, as others know it.
struct KnownBirth {
    birth: Birth,
    /// From which place on it is known: where it was recorded, or where it was said whose it is.
    known: u64,
}

/// How acts are judged.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// By what the ledger held below this index.
    below: u64,
    /// With all that is said of parents, aliases and policies; else only the life itself.
    whole: bool,
}

/// What is asked about the parents of a token.
#[derive(Debug, Clone, Copy)]
struct AskedOfParents {
    below: u64,
    /// Whether the token is born just now.
    born_now: bool,
    /// What was recorded at this place and behind it is not known yet.
    known_by: u64,
}

/// What is judged of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// Of uses told as one, all but the last.
    First,
    /// The last of them.
    Last,
}

/// What a judge begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// How many entries of the ledger's own origin were read.
    pub position: u64,
    /// What is remembered of them.
    pub memory: FollowerState,
}

/// Where a judge keeps what memory has no room for.
#[derive(Clone)]
pub struct Place {
    /// The disk of the followers.
    pub disk: Arc<dyn Disk>,
    /// How much.
    pub limits: Limits,
    /// Lives of a generation of the memory before it.
    pub remembered: usize,
}

impl Place {
    /// On a disk, with room for a million tokens alive and more.
    #[must_use]
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk, limits: Limits::default(), remembered: REMEMBERED_BEFORE_A_STORE }
    }
}

/// Reads committed entries and judges them. Owned by one thread.
pub struct Judge {
    windows: Windows,
    position: u64,
    store: Store,
    /// Lives of tokens that have one id: nothing else is under its term.
    lives: Tier<Box<Life>>,
    /// Lives of tokens that have several ids.
    joined: Tier<Box<Life>>,
    /// Lives of parents, without findings about themselves.
    parents: Tier<Box<Life>>,
    /// Lives under one id alone of tokens that have several.
    alone: Tier<Box<Life>>,
    /// The ids of tokens.
    ids: Tier<Ids>,
    covers: IndirectRevocations,
    policies: TermCache<PolicyVersions>,
    memory: FollowerState,
    /// Closings of findings that were read.
    closings: u64,
}

impl Judge {
    /// Begins where one ended, in the ledger's own origin. What it has no memory for it reads
    /// again.
    #[must_use]
    pub fn new(saved: Saved, windows: Windows) -> Self {
        Self::of(saved, windows, Store::nowhere(), REMEMBERED)
    }

    /// As [`Self::new`], with a place for what memory has no room for: it goes on where the files
    /// there were written with what was saved, and begins them anew where they were not.
    #[must_use]
    pub fn with_store(saved: Saved, windows: Windows, place: Place) -> Self {
        let own = saved.memory.kept.as_ref().filter(|kept| kept.is_own(&windows));
        let store = Store::open(place.disk, place.limits, own.map(|kept| kept.mark));
        Self::of(saved, windows, store, place.remembered)
    }

    fn of(saved: Saved, windows: Windows, store: Store, most: usize) -> Self {
        let Saved { position, mut memory } = saved;
        let kept = memory.kept.take().filter(|_| store.holds_something());
        let (counted, closings) =
            kept.map(|kept| (kept.counted, kept.closings)).unwrap_or_default();
        Self {
            windows,
            position,
            memory,
            closings,
            policies: TermCache::new(REMEMBERED),
            lives: Tier::new(0, most),
            joined: Tier::new(1, most),
            parents: Tier::new(2, most),
            alone: Tier::new(3, most),
            ids: Tier::new(4, most),
            covers: IndirectRevocations::new(counted),
            store,
        }
    }

    /// What is to be told of the store, once.
    pub const fn news(&mut self) -> Option<String> {
        self.store.news()
    }

    /// Entries read so far.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// What another one begins with. Between two steps only.
    #[must_use]
    pub fn saved(&self) -> Saved {
        Saved { position: self.position, memory: self.memory.clone() }
    }

    /// As [`Self::saved`], once the store holds all that is remembered: one that begins with this
    /// finds it there.
    #[must_use]
    pub fn keep(&mut self) -> Saved {
        let store = &mut self.store;
        for lives in [&mut self.lives, &mut self.joined, &mut self.parents, &mut self.alone] {
            lives.keep_all(store);
        }
        self.ids.keep_all(store);
        let (counted, closings) = (self.covers.counted(), self.closings);
        let kept = store.mark();
        let kept = kept.map(|mark| Kept::new(mark, counted, closings, &self.windows));
        Saved { position: self.position, memory: FollowerState { kept, ..self.memory.clone() } }
    }

    /// Reads on, at most `most` entries, and says what was noticed. The caller records all of it
    /// before it saves the position.
    ///
    /// # Errors
    /// [`QueryError`]; make a new follower then, at the position last saved.
    pub fn step(&mut self, view: &View, most: u64) -> Result<Vec<Note>, QueryError> {
        let end = view.size().min(self.position.saturating_add(most));
        let mut notes = Vec::new();
        view.each_leaf(self.position..end, |index, leaf| {
            self.entry(view, index, leaf, &mut notes)?;
            self.position += 1;
            Ok::<_, QueryError>(notes.len() < STEP_NOTES)
        })?;
        Ok(notes)
    }

    fn entry(
        &mut self,
        view: &View,
        index: u64,
        leaf: &[u8],
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let judged = read_event(leaf, |entry, statement| {
            self.pass_time(entry.recorded_at.nanos, notes);
            let (place, at) = (view.place_of(index), statement.occurred_at.nanos);
            let act = Act { entry, statement, leaf, place, at };
            match statement.target.kind {
                TargetKind::Token => self.token(view, index, &act, notes)?,
                _ => {
                    self.covers.note(view, &act);
                    self.late_revocation(view, index, &act, notes)?;
                    self.clock(&act, notes);
                }
            }
            self.closings += u64::from(is_closing(statement));
            self.memory.replays.that_led_to(&act, notes);
            self.producer(view, index, &act, notes)?;
            self.learn(view, &act);
            Ok(())
        });
        judged.unwrap_or_else(|| {
            late::stamp_of(leaf).into_iter().for_each(|at| self.pass_time(at, notes));
            Ok(())
        })
    }

    fn token(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let statement = act.statement;
        let token = (statement.tenant, statement.target.id);
        let joined = self.join(view, index, statement)?;
        not_joined(act, &joined.refused, notes);
        let ids = &joined.ids;
        let own = term_of(view, token);
        let key = if ids.is_some() { term_of_all(view, token, ids) } else { own };
        self.forget_alone(&own, ids);
        let (mut life, several) = if joined.former.len() > 1 {
            self.life_of_joined(view, index, statement.tenant, &joined)?
        } else {
            (self.life_at(view, index, act, ids, &key)?, false)
        };
        let late = life.count > 0 && statement.occurred_at.nanos < life.latest;
        if several || (late && changes_the_past(statement, life.is_code)) {
            let leaves = leaves_of(view, token, ids, index + 1)?;
            let upto = (index, act.place);
            let before = self.found_of_each(view, upto, statement.tenant, &joined)?;
            let (anew, after) = self.replay(view, &leaves, (index + 1, act.place + 1), true)?;
            self.revise(view, &before, after, act, notes)?;
            *life = anew;
        } else {
            let manner = Manner { below: index, whole: true };
            for one in self.judge(view, manner, &mut life, act, Part::Whole)? {
                let who = (statement.tenant, statement.source);
                if one.rule == Rule::ClockAhead && !self.memory.tell_clock(who, one.noticed_at) {
                    continue;
                }
                let counted = life.raised.count(&one, &self.closings(view))?;
                let named = match counted {
                    Counted::Raised => one.id(),
                    Counted::Again(finding, _) => finding,
                    Counted::Passed => continue,
                };
                if is_replay(&one) {
                    life.read_births(view)?;
                    let replay = Replay::of(named, act, life.birth().map(|leaf| &**leaf));
                    self.memory.replays.note(replay);
                }
                tell(view, one, counted, notes)?;
            }
        }
        life.next = act.entry.sequence + 1;
        if life.births.len() > 1 || is_revocation(statement) || !statement.also_known_as.is_empty()
        {
            for (id, _) in &joined.former {
                self.covers.note_token(&term_of(view, (statement.tenant, id)));
            }
        }
        self.put_life(ids, key, life);
        self.judge_children(view, index, act, ids, notes)?;
        // Others that were asked for meanwhile may have asked for this one, without its act.
        self.forget_alone(&own, ids);
        Ok(())
    }

    /// The life of an act's token before it.
    fn life_at(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        ids: &Ids,
        key: &Term,
    ) -> Result<Box<Life>, QueryError> {
        let known = self.take_life(ids, key);
        // Origins have chains of their own.
        let is_one = ids.is_none() && !view.has_older();
        if let Some(life) = known.filter(|life| !is_one || life.is_up_to(act.entry)) {
            return Ok(life);
        }
        if act.entry.sequence == 0 && ids.is_none() && !view.has_older() {
            return Ok(Box::default());
        }
        let token = (act.statement.tenant, act.statement.target.id);
        Ok(Box::new(self.remember(view, token, ids, index, true)?))
    }

    /// Takes a life out of where it is remembered.
    fn take_life(&mut self, ids: &Ids, key: &Term) -> Option<Box<Life>> {
        let lives = if ids.is_some() { &mut self.joined } else { &mut self.lives };
        lives.take(&mut self.store, key)
    }

    fn put_life(&mut self, ids: &Ids, key: Term, life: Box<Life>) {
        let lives = if ids.is_some() { &mut self.joined } else { &mut self.lives };
        lives.put(&mut self.store, key, life);
    }

    /// The life of a token as it was after the entries below an index: those up to the last that
    /// changed the past in event time, the others as they came.
    fn remember(
        &mut self,
        view: &View,
        key: TokenKey<'_>,
        ids: &Ids,
        below: u64,
        whole: bool,
    ) -> Result<Life, QueryError> {
        let leaves = leaves_of(view, key, ids, below)?;
        Ok(self.relive(view, &leaves, (below, view.place_of(below)), whole)?.0)
    }

    /// The life after a token's entries, and all that was found: in the order in which it was
    /// judged when they came, by what was recorded before the place `end`. See
    /// [`Self::remember`].
    fn relive(
        &mut self,
        view: &View,
        leaves: &[Placed],
        (below, end): (u64, u64),
        whole: bool,
    ) -> Result<(Life, Vec<Finding>), QueryError> {
        let Revised { entries, anew } = self.last_revised(view, leaves, (below, end))?;
        let (mut life, mut found) = self.replay(view, &leaves[..entries], (below, anew), whole)?;
        let rest = leaves[entries..].iter().map(|one| (Part::Whole, one));
        found.extend(self.take_all(view, &mut life, rest, Manner { below, whole })?);
        Ok((life, found))
    }

    /// Folds a token's entries in event time.
    fn replay(
        &mut self,
        view: &View,
        leaves: &[Placed],
        (below, anew): (u64, u64),
        whole: bool,
    ) -> Result<(Life, Vec<Finding>), QueryError> {
        let mut sorted = Vec::with_capacity(leaves.len());
        for one in leaves {
            let times = read_event(&one.1, |_, one| (one.occurred_at, until(one)));
            let Some((first, last)) = times else { continue };
            if last > first.nanos {
                sorted.push(((first.nanos, first.logical), Part::First, one));
                sorted.push(((last, 0), Part::Last, one));
            } else {
                sorted.push(((first.nanos, first.logical), Part::Whole, one));
            }
        }
        sorted.sort_by_key(|(time, ..)| *time);
        let mut life = Life::default();
        life.anew = anew;
        let sorted = sorted.into_iter().map(|(_, part, one)| (part, one));
        let found = self.take_all(view, &mut life, sorted, Manner { below, whole })?;
        Ok((life, found))
    }

    /// Has a life take entries in the order given. All findings, also those beyond the bounds.
    fn take_all<'l>(
        &mut self,
        view: &View,
        life: &mut Life,
        leaves: impl Iterator<Item = (Part, &'l Placed)>,
        manner: Manner,
    ) -> Result<Vec<Finding>, QueryError> {
        let mut found: Vec<Finding> = Vec::new();
        for (part, (place, leaf)) in leaves {
            let judged = read_event(leaf, |entry, statement| {
                let at = statement.occurred_at.nanos;
                let act = Act { entry, statement, leaf, place: *place, at };
                self.judge(view, manner, life, &act, part)
            });
            for one in judged.transpose()?.unwrap_or_default() {
                if part == Part::Last && is_said(&found, &one) {
                    continue;
                }
                life.raised.count(&one, &self.closings(view))?;
                found.push(one);
            }
        }
        Ok(found)
    }

    /// Judges one act.
    fn judge(
        &mut self,
        view: &View,
        Manner { below, whole }: Manner,
        life: &mut Life,
        act: &Act<'_, '_>,
        part: Part,
    ) -> Result<Vec<Finding>, QueryError> {
        let statement = act.statement;
        let born_now = is_permitted_birth(statement);
        if born_now || is_birth(statement) || !statement.also_known_as.is_empty() {
            life.read_births(view)?;
        }
        let mut parents = Vec::new();
        let is_lifecycle = statement.event_type.is_lifecycle();
        if is_lifecycle && (born_now || !life.births.is_empty()) {
            self.covers.bring(view, life, born_now.then_some(act.leaf), below)?;
            if whole && asks_for_parents(statement) {
                let known_by = act.place.max(life.anew);
                let asked = AskedOfParents { below, born_now, known_by };
                parents = self.parents(view, life, act, asked)?;
            }
        }
        // Not of a life that is only looked at: what it produced may name it as produced.
        let produced = if whole { life.may_be_replaced_by(statement) } else { Vec::new() };
        for (at, new) in produced {
            let token = (statement.tenant, &*new);
            let key = term_of(view, token);
            let birth = self.known(view, below, &key, token)?.birth;
            let birth = birth.filter(|birth| birth.known < act.place.max(life.anew));
            let leaf = birth.map(|mut one| one.birth.read(view)).transpose()?;
            let kind = leaf.and_then(|leaf| read_event(&leaf, |_, one| one.token_kind));
            if kind.flatten() == Some(TokenKind::Refresh) {
                life.is_replaced_at(at);
                break;
            }
        }
        let mut found = Vec::new();
        if part != Part::Last {
            found = life.take(act, is_lifecycle, &parents, &self.windows);
            if whole {
                found.extend(self.presented(view, below, life, act)?);
            }
        }
        let last = Act { at: until(statement), ..*act };
        if part != Part::First && last.at > act.at {
            let ended = life.take_last(&last, &parents, &self.windows);
            let new: Vec<_> = ended.into_iter().filter(|one| !is_said(&found, one)).collect();
            found.extend(new);
        }
        Ok(found)
    }

    const fn closings<'v>(&self, view: &'v View) -> Recorded<'v> {
        Recorded { view, read: self.closings }
    }

    /// What an act's token came of, as far as anything can follow from it: parents that ended and,
    /// when it is born just now, scopes and actors.
    fn parents(
        &mut self,
        view: &View,
        life: &mut Life,
        act: &Act<'_, '_>,
        AskedOfParents { below, born_now, known_by }: AskedOfParents,
    ) -> Result<Vec<Parent>, QueryError> {
        let kin = match &life.kin {
            Some(kin) => Rc::clone(kin),
            None => {
                let first = life.births.first_mut().map(|birth| birth.read(view)).transpose()?;
                let birth = first.as_deref().unwrap_or(act.leaf);
                Rc::clone(life.kin.insert(kin_of(view, birth)))
            }
        };
        if let Some(quiet) = life.quiet.as_mut().filter(|_| !born_now)
            && self.covers.is_quiet(quiet)
        {
            return Ok(Vec::new());
        }
        let (mut parents, mut watched) = (Vec::new(), Some(Vec::new()));
        for Kin { key, tenant, id, relation } in kin.iter() {
            let Known { birth, ends, watch } = self.known(view, below, key, (tenant, id))?;
            watched = watched.zip(watch).map(|(all, more)| [all, more].concat());
            // What was told later is not known yet, unless the act is judged anew.
            let birth = birth.filter(|birth| birth.known < known_by);
            if ends.is_empty() && !born_now {
                continue;
            }
            let birth = birth.filter(|_| born_now).map(|mut one| one.birth.read(view));
            let had = birth.transpose()?.and_then(|leaf| {
                read_event(&leaf, |_, one| {
                    let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
                    let actors = one.actors.iter().map(actor_name).collect();
                    (owned(&one.scopes), owned(&one.audience), actors)
                })
            });
            let (scopes, audience, actors) = had.unwrap_or_default();
            let (id, relation) = (String::from(&**id), *relation);
            parents.push(Parent { id, relation, ends, scopes, audience, actors });
        }
        life.quiet = watched.map(|chains| self.covers.quiet(chains.into()));
        Ok(parents)
    }
}

/// Whether an act ends its token.
fn is_revocation(statement: &Statement<'_>) -> bool {
    statement.event_type == EventType::Revoked && statement.outcome == Outcome::Allow
}

/// Whether something of this kind was found about an act already.
fn is_said(found: &[Finding], one: &Finding) -> bool {
    found.iter().any(|said| said.rule == one.rule && said.events.first() == one.events.first())
}

/// What a token is remembered by.
fn term_of(view: &View, (tenant, id): TokenKey<'_>) -> Term {
    chain_term(view.terms(), &ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() })
}

fn token_leaves(
    view: &View,
    (tenant, id): TokenKey<'_>,
    below: u64,
) -> Result<Vec<Placed>, QueryError> {
    let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
    view.deciding_leaves(&key, below, Reach::EVENTS)
}

/// Whether an act that arrives late may change what is to be said of acts recorded before it. A
/// mere use that does is judged by its own time, and changes nothing; one that spends a code, or
/// has a refresh token replaced, makes replays of those behind it, one that moves the expiry what
/// was judged by it.
fn changes_the_past(statement: &Statement<'_>, of_code: bool) -> bool {
    let changes = match statement.event_type {
        EventType::Used | EventType::ResourceAccessed => {
            of_code || statement.token_kind.is_some_and(TokenKind::is_code)
        }
        EventType::Refreshed => {
            let replaces = statement.links.iter().any(|link| {
                let new = matches!(link.relation, Relation::Produced | Relation::RotatedTo);
                new && link.token.is_some()
            });
            replaces || statement.expires_at.is_some()
        }
        other => other.is_lifecycle(),
    };
    statement.outcome == Outcome::Allow && changes
}
