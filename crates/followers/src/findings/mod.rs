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
pub mod book;
mod covers;
mod follower;
pub mod gap;
mod groups;
pub mod integrity;
mod kin;
mod late;
mod life;
pub mod memory;
mod presented;
mod producers;
mod reconciled;
pub mod record;
mod replay;
mod revised;
pub mod rules;
mod turns;

use std::rc::Rc;

use ledgerline_index::terms::chain_term;
use ledgerline_index::{Term, TermCache};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::lifecycle::is_permitted_birth;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, Relation, TargetKind, TokenKind};
use ledgerline_view::view::{QueryError, View};

use self::aliases::{Ids, leaves_of, not_joined, term_of_all};
use self::covers::Covers;
pub use self::follower::FindingsFollower;
use self::groups::{Counted, Recorded};
use self::kin::kin_of;
use self::life::{Act, Boundary, Kin, Life, Parent, actor_name, asks_for_parents, until};
use self::memory::Memory;
use self::presented::PolicyVersions;
pub use self::reconciled::finding_of;
use self::record::{Note, is_closing, raised_event_id};
use self::replay::{Replay, is_replay};
use self::revised::tell;
use self::rules::{Finding, Rule, Windows};

/// Tokens, and wider targets, of a generation of the memory: a life is 1 to 2 KiB, and there are
/// two generations of tokens and two of their parents.
const REMEMBERED: usize = 1 << 12;
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
    /// The leaf of the birth that was recorded first, and where.
    birth: Option<(Rc<[u8]>, u64)>,
    /// Its revocations: its own, and those that cover it.
    ends: Vec<Boundary>,
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
    pub memory: Memory,
}

/// Reads committed entries and judges them. Owned by one thread.
pub struct Judge {
    windows: Windows,
    position: u64,
    lives: TermCache<Box<Life>>,
    /// Lives of parents, without findings about themselves.
    parents: TermCache<Box<Life>>,
    /// Lives under one id alone of tokens that have several.
    alone: TermCache<Box<Life>>,
    /// The ids of tokens.
    ids: TermCache<Ids>,
    covers: Covers,
    policies: TermCache<PolicyVersions>,
    memory: Memory,
    /// Closings of findings that were read.
    closings: u64,
}

impl Judge {
    /// Begins where one ended, in the ledger's own origin.
    #[must_use]
    pub fn new(saved: Saved, windows: Windows) -> Self {
        Self {
            windows,
            position: saved.position,
            memory: saved.memory,
            closings: 0,
            policies: TermCache::new(REMEMBERED),
            lives: TermCache::new(REMEMBERED),
            parents: TermCache::new(REMEMBERED),
            alone: TermCache::new(REMEMBERED),
            ids: TermCache::new(REMEMBERED),
            covers: Covers::new(),
        }
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
        let key = term_of_all(view, token, ids);
        self.forget_alone(view, token, ids);
        let several = joined.former.len() > 1;
        let taken = if several { None } else { self.lives.take(&key) };
        let (mut life, several) = match taken {
            _ if several => self.life_of_joined(view, index, (statement.tenant, &joined))?,
            Some(life) => (life, false),
            None if act.entry.sequence == 0 && ids.is_none() && !view.has_older() => {
                (Box::default(), false)
            }
            None => (Box::new(self.remember(view, token, ids, index, true)?), false),
        };
        let late = life.count > 0 && statement.occurred_at.nanos < life.latest;
        if several || (late && changes_the_past(statement, life.is_code)) {
            let leaves = leaves_of(view, token, ids, index + 1)?;
            let whole = (statement.tenant, &joined);
            let before = self.found_of_each(view, (index, act.place), whole)?;
            let (anew, after) = self.replay(view, &leaves, (index + 1, act.place + 1), true)?;
            self.revise(view, (before, after), act, notes)?;
            *life = anew;
        } else {
            for one in self.judge(view, index, &mut life, act, (true, Part::Whole))? {
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
                    let replay = Replay::of(named, act, life.birth().map(|leaf| &**leaf));
                    self.memory.replays.note(replay);
                }
                tell(view, one, counted, notes)?;
            }
        }
        self.lives.put(key, life);
        self.judge_children(view, index, act, ids, notes)?;
        // Others that were asked for meanwhile may have asked for this one, without its act.
        self.forget_alone(view, token, ids);
        Ok(())
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
        let (revised, anew) = self.last_revised(view, leaves, (below, end))?;
        let (mut life, mut found) = self.replay(view, &leaves[..revised], (below, anew), whole)?;
        let rest = leaves[revised..].iter().map(|one| (Part::Whole, one));
        found.extend(self.take_all(view, &mut life, rest, (below, whole))?);
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
        let found = self.take_all(view, &mut life, sorted, (below, whole))?;
        Ok((life, found))
    }

    /// Has a life take entries in the order given. All findings, also those beyond the bounds.
    fn take_all<'l>(
        &mut self,
        view: &View,
        life: &mut Life,
        leaves: impl Iterator<Item = (Part, &'l Placed)>,
        (below, whole): (u64, bool),
    ) -> Result<Vec<Finding>, QueryError> {
        let mut found: Vec<Finding> = Vec::new();
        for (part, (place, leaf)) in leaves {
            let judged = read_event(leaf, |entry, statement| {
                let at = statement.occurred_at.nanos;
                let act = Act { entry, statement, leaf, place: *place, at };
                self.judge(view, below, life, &act, (whole, part))
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

    /// Judges one act by what the ledger held below an index.
    fn judge(
        &mut self,
        view: &View,
        below: u64,
        life: &mut Life,
        act: &Act<'_, '_>,
        (whole, part): (bool, Part),
    ) -> Result<Vec<Finding>, QueryError> {
        let statement = act.statement;
        let is_lifecycle = statement.event_type.is_lifecycle();
        let born_now = is_permitted_birth(statement);
        // Lent for the look-up: nearly every act comes here.
        let mut births = std::mem::take(&mut life.births);
        births.extend(born_now.then(|| Rc::from(act.leaf)));
        let mut parents = Vec::new();
        if let Some(birth) = births.first().filter(|_| is_lifecycle) {
            self.covers.bring(view, life, &births, below)?;
            if whole && asks_for_parents(statement) {
                let known = act.place.max(life.anew);
                parents = self.parents(view, life, birth, (below, born_now, known))?;
            }
        }
        births.truncate(births.len() - usize::from(born_now));
        life.births = births;
        // Not of a life that is only looked at: what it produced may name it as produced.
        let produced = if whole { life.may_be_replaced_by(statement) } else { Vec::new() };
        for (at, new) in produced {
            let token = (statement.tenant, &*new);
            let key = term_of(view, token);
            let birth = self.known(view, below, (&key, token))?.birth;
            let birth = birth.filter(|(_, place)| *place < act.place.max(life.anew));
            let kind = birth.and_then(|(leaf, _)| read_event(&leaf, |_, one| one.token_kind));
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

    /// What the token born by `birth` came of, as far as anything can follow from it: parents that
    /// ended and, when it is born just now, scopes and actors.
    fn parents(
        &mut self,
        view: &View,
        life: &mut Life,
        birth: &[u8],
        (below, born_now, known_by): (u64, bool, u64),
    ) -> Result<Vec<Parent>, QueryError> {
        let kin = match &life.kin {
            Some(kin) => Rc::clone(kin),
            None => Rc::clone(life.kin.insert(kin_of(view, birth))),
        };
        let mut parents = Vec::new();
        for Kin { key, tenant, id, relation } in kin.iter() {
            let Known { birth, ends } = self.known(view, below, (key, (tenant, id)))?;
            // What was told later is not known yet, unless the act is judged anew.
            let birth = birth.filter(|(_, place)| *place < known_by);
            if ends.is_empty() && !born_now {
                continue;
            }
            let had = birth.filter(|_| born_now).and_then(|(leaf, _)| {
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
        Ok(parents)
    }
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
    view.deciding_leaves(&key, below)
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
