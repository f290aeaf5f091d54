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
//! FINDING_CLOSED   moves a finding on; same chain
//!   native_id      "finding/" ‖ hex ‖ "/acknowledged" | "/closed" | "/withdrawn"
//!   detail         by finding note state
//!   links          the FINDING_RAISED event
//!
//! followers/findings   u32 CRC-32C ‖ u64 position ‖ u16 length ‖ origin ‖ memory (JSON)
//!                      all big-endian; the CRC is of what stands behind it
//! ```
//!
//! An act that arrives late and changes what was before (an ISSUED, a REVOKED, …) has the life of
//! its token judged anew in event time. What that finds is raised; what no longer holds is
//! withdrawn.
//!
//! Assumes: the rules are run by one follower at a time.
//!
//! Refuses: to raise one rule more than [`rules::MAX_PER_TOKEN`] times about a token in one
//! severity. Not looked at: acts under other ids of the same token (`also_known_as`), parents of
//! parents, and acts recorded before the late revocation of a parent or of something wider.

pub mod book;
pub(crate) mod caches;
pub mod gap;
pub mod integrity;
mod life;
pub mod memory;
mod place;
mod presented;
mod producers;
pub mod record;
pub mod rules;

use std::collections::BTreeSet;
use std::rc::Rc;

use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::lifecycle::{Revocation, TokenFacts};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};

use self::caches::Lately;
use self::life::{Act, Boundary, Life, Parent, Wide, actor_name};
use self::memory::Memory;
pub use self::place::{Saved, load, load_of, save, save_of};
use self::presented::PolicyVersions;
use self::record::{Move, Moved, Note, raised_event_id};
use self::rules::{Finding, Windows};
use crate::event_leaf::read_event;
use crate::found_by::is_birth;
use crate::lineage::{Descent, wide_chains};
use crate::registry::LEDGER_SOURCE;
use crate::view::{QueryError, View};

/// Tokens, and wider targets, of a generation of the memory: a life is 1 to 2 KiB, and there are
/// two generations of tokens and two of their parents.
const REMEMBERED: usize = 1 << 12;
/// Entries of a usual step.
pub const STEP_ENTRIES: u64 = 4096;
/// Notes after which a step ends early.
const STEP_NOTES: usize = 256;

/// A token: tenant and id.
type TokenKey = (String, String);
/// The chain of something wider: tenant, kind, id.
type WideKey = (String, u8, Vec<u8>);
/// The place of an entry, and its leaf.
type Placed = (u64, Vec<u8>);
/// The leaf of a token's birth, and its own revocations.
type Known = (Option<Box<[u8]>>, Vec<Boundary>);
/// Places and leaves of revocations.
type Revocations = Vec<(u64, Rc<[u8]>)>;

/// Reads committed entries and judges them. Owned by one thread.
pub struct Follower {
    windows: Windows,
    position: u64,
    lives: Lately<TokenKey, Life>,
    /// Lives of parents, without findings about themselves.
    parents: Lately<TokenKey, Life>,
    wide: Lately<WideKey, Revocations>,
    /// By tenant and id.
    policies: Lately<(String, String), PolicyVersions>,
    memory: Memory,
}

impl Follower {
    /// Begins where one ended, in the ledger's own origin.
    #[must_use]
    pub fn new(saved: Saved, windows: Windows) -> Self {
        Self {
            windows,
            position: saved.position,
            memory: saved.memory,
            policies: Lately::new(REMEMBERED),
            lives: Lately::new(REMEMBERED),
            parents: Lately::new(REMEMBERED),
            wide: Lately::new(REMEMBERED),
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
        while self.position < end && notes.len() < STEP_NOTES {
            let index = self.position;
            let leaf = view.leaf(index)?;
            self.entry(view, index, &leaf, &mut notes)?;
            self.position += 1;
        }
        Ok(notes)
    }

    fn entry(
        &mut self,
        view: &View,
        index: u64,
        leaf: &[u8],
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        self.pass_time(leaf, notes);
        let judged = read_event(leaf, |entry, statement| {
            let act = Act { entry, statement, leaf, place: view.place_of(index) };
            match statement.target.kind {
                TargetKind::Token => self.token(view, index, &act, notes)?,
                _ => self.remember_wide(&act),
            }
            self.producer(view, index, &act, notes)?;
            self.learn(&act);
            Ok(())
        });
        judged.unwrap_or(Ok(()))
    }

    /// A revocation of something wider that the memory must not miss.
    fn remember_wide(&mut self, act: &Act<'_, '_>) {
        let handles = &act.entry.handles;
        let Some(one) = Revocation::of(act.statement, handles, 0) else { return };
        let key = wide_key(&one.target);
        if let Some(known) = self.wide.get_mut(&key) {
            known.push((act.place, act.leaf.into()));
        }
    }

    fn token(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let statement = act.statement;
        let key = (statement.tenant.to_owned(), statement.target.id.to_owned());
        self.parents.take(&key);
        let mut life = match self.lives.take(&key) {
            Some(life) => life,
            None if act.entry.sequence == 0 && !view.has_older() => Life::default(),
            None => self.remember(view, &key, index, true)?,
        };
        let late = life.count > 0 && statement.occurred_at.nanos < life.latest;
        if late && changes_the_past(statement) {
            let leaves = token_leaves(view, &key, index + 1)?;
            let (_, before) = match leaves.split_last() {
                Some((_, earlier)) => self.relive(view, earlier, index, true)?,
                None => return Err(QueryError::Budget),
            };
            let (anew, after) = self.replay(view, &leaves, index + 1, true)?;
            let recorded_at = act.entry.recorded_at.nanos;
            self.revise(view, (before, after), recorded_at, notes)?;
            life = anew;
        } else {
            let found = self.judge(view, index, &mut life, act, true)?;
            let raised = found.into_iter().filter(|one| life.count_in(one));
            notes.extend(raised.map(Note::Raised));
        }
        self.lives.put(key, life);
        Ok(())
    }

    /// Raises what is new, and withdraws what was raised and no longer holds.
    fn revise(
        &self,
        view: &View,
        (before, after): (Vec<Finding>, Vec<Finding>),
        recorded_at: i64,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let hold: BTreeSet<Hash> = after.iter().map(Finding::id).collect();
        for one in before.iter().filter(|one| !hold.contains(&one.id())) {
            let id = one.id();
            let event_id = raised_event_id(&one.tenant, &id);
            let planned = |note: &Note| matches!(note, Note::Raised(planned) if planned.id() == id);
            let raised = notes.iter().any(planned)
                || view.locate_event(&one.tenant, LEDGER_SOURCE, &event_id)?.is_some();
            if raised {
                notes.push(Note::Moved(Move {
                    tenant: one.tenant.clone(),
                    finding: id,
                    to: Moved::Withdrawn,
                    by: LEDGER_SOURCE.to_owned(),
                    note: "an entry that arrived late explains it".to_owned(),
                    at: recorded_at,
                }));
            }
        }
        // Those that a life of its own would raise, no more. One that was too many before is not
        // any more where others no longer hold.
        let (mut earlier, mut counted) = (Life::default(), Life::default());
        let known = before.iter().filter(|one| earlier.count_in(one)).map(Finding::id);
        let known: BTreeSet<Hash> = known.collect();
        let new = after.into_iter().filter(|one| counted.count_in(one));
        let new = new.filter(|one| !known.contains(&one.id()));
        notes.extend(new.map(|one| Note::Raised(Finding { noticed_at: recorded_at, ..one })));
        Ok(())
    }

    /// The life of a token as it was after the entries below an index: those up to the last that
    /// changed the past in event time, the others as they came.
    fn remember(
        &mut self,
        view: &View,
        key: &TokenKey,
        below: u64,
        whole: bool,
    ) -> Result<Life, QueryError> {
        let leaves = token_leaves(view, key, below)?;
        Ok(self.relive(view, &leaves, below, whole)?.0)
    }

    /// The life after a token's entries, and all that was found: in the order in which it was
    /// judged when they came. See [`Self::remember`].
    fn relive(
        &mut self,
        view: &View,
        leaves: &[Placed],
        below: u64,
        whole: bool,
    ) -> Result<(Life, Vec<Finding>), QueryError> {
        let (mut latest, mut revised) = (i64::MIN, 0);
        for (at, (_, leaf)) in leaves.iter().enumerate() {
            let (nanos, changes) =
                read_event(leaf, |_, one| (one.occurred_at.nanos, changes_the_past(one)))
                    .unwrap_or((i64::MIN, false));
            if at > 0 && nanos < latest && changes {
                revised = at + 1;
            }
            latest = latest.max(nanos);
        }
        let (mut life, mut found) = self.replay(view, &leaves[..revised], below, whole)?;
        found.extend(self.take_all(view, &mut life, &leaves[revised..], (below, whole))?);
        Ok((life, found))
    }

    /// Folds a token's entries in event time.
    fn replay(
        &mut self,
        view: &View,
        leaves: &[Placed],
        below: u64,
        whole: bool,
    ) -> Result<(Life, Vec<Finding>), QueryError> {
        let mut sorted = leaves.to_vec();
        sorted.sort_by_cached_key(|(_, leaf)| read_event(leaf, |_, one| one.occurred_at));
        let mut life = Life::default();
        let found = self.take_all(view, &mut life, &sorted, (below, whole))?;
        Ok((life, found))
    }

    /// Has a life take entries in the order given. All findings, also those beyond the bounds.
    fn take_all(
        &mut self,
        view: &View,
        life: &mut Life,
        leaves: &[Placed],
        (below, whole): (u64, bool),
    ) -> Result<Vec<Finding>, QueryError> {
        let mut found = Vec::new();
        for (place, leaf) in leaves {
            let judged = read_event(leaf, |entry, statement| {
                let act = Act { entry, statement, leaf, place: *place };
                self.judge(view, below, life, &act, whole)
            });
            for one in judged.transpose()?.unwrap_or_default() {
                life.count_in(&one);
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
        whole: bool,
    ) -> Result<Vec<Finding>, QueryError> {
        let statement = act.statement;
        let born_now = is_birth(statement) && statement.outcome == Outcome::Allow;
        let birth = life.birth.as_deref().or(born_now.then_some(act.leaf)).map(<[u8]>::to_vec);
        let (mut wide, mut parents) = (Vec::new(), Vec::new());
        if let Some(birth) = birth.filter(|_| statement.event_type.is_lifecycle()) {
            wide = self.revocations(view, &birth, below)?;
            if whole {
                parents = self.parents(view, &birth, below, born_now)?;
            }
        }
        let wide: Vec<Wide> =
            wide.iter().filter_map(|(place, leaf)| wide_of(leaf, *place)).collect();
        let mut found = life.take(act, &wide, &parents, &self.windows);
        if whole {
            found.extend(self.presented(view, below, life, act)?);
        }
        Ok(found)
    }

    /// The birth of a token and its own revocations, as they are known below an index.
    fn known(&mut self, view: &View, below: u64, key: &TokenKey) -> Result<Known, QueryError> {
        let known = |life: &mut Life| (life.birth.clone(), life.ends.clone());
        let life = self.lives.get_mut(key).or_else(|| self.parents.get_mut(key)).map(known);
        if let Some(known) = life {
            return Ok(known);
        }
        let mut life = self.remember(view, key, below, false)?;
        let known = known(&mut life);
        self.parents.put(key.clone(), life);
        Ok(known)
    }

    /// The revocations of something wider that cover the token born by `birth`.
    fn wide_ends(
        &mut self,
        view: &View,
        below: u64,
        birth: &[u8],
    ) -> Result<Vec<Boundary>, QueryError> {
        let wide = self.revocations(view, birth, below)?;
        let wide = wide.iter().filter_map(|(place, leaf)| wide_of(leaf, *place));
        Ok(wide.map(|one| one.boundary).collect())
    }

    /// The leaves of wider revocations that cover the token born by `birth`.
    fn revocations(
        &mut self,
        view: &View,
        birth: &[u8],
        below: u64,
    ) -> Result<Revocations, QueryError> {
        let chains =
            read_event(birth, |entry, one| (one.tenant.to_owned(), wide_chains(entry, one)));
        let Some((tenant, chains)) = chains else { return Ok(Vec::new()) };
        let mut covering = Vec::new();
        for (kind, id) in chains {
            let key = (tenant.clone(), kind.position(), id);
            if self.wide.get_mut(&key).is_none() {
                let chain = ChainKey { kind, tenant: &tenant, id: &key.2 };
                let leaves = view.chain_leaves(&chain, below)?;
                let revokes = leaves.into_iter().filter(|(at, leaf)| wide_of(leaf, *at).is_some());
                let revokes = revokes.map(|(at, leaf)| (at, Rc::from(leaf)));
                self.wide.put(key.clone(), revokes.collect());
            }
            let known = self.wide.get_mut(&key).map(|known| known.clone()).unwrap_or_default();
            covering.extend(known.into_iter().filter(|(_, leaf)| covers(leaf, birth)));
        }
        Ok(covering)
    }

    /// What the token born by `birth` came of. Scopes and actors only when it is born just now.
    fn parents(
        &mut self,
        view: &View,
        birth: &[u8],
        below: u64,
        born_now: bool,
    ) -> Result<Vec<Parent>, QueryError> {
        let named = read_event(birth, |_, one| {
            let links = one.links.iter().filter_map(|link| Some((link.token?, link.relation)));
            let up = links.filter(|(token, relation)| {
                Descent::of(*relation) == Descent::LinkIsParent && *token != one.target.id
            });
            let up = up.map(|(token, relation)| (token.to_owned(), relation));
            (one.tenant.to_owned(), up.collect::<Vec<_>>())
        });
        let Some((tenant, named)) = named else { return Ok(Vec::new()) };
        let mut parents = Vec::with_capacity(named.len());
        for (id, relation) in named {
            let key = (tenant.clone(), id);
            let (birth, mut ends) = self.known(view, below, &key)?;
            if let Some(birth) = &birth {
                ends.extend(self.wide_ends(view, below, birth)?);
            }
            let had = birth.filter(|_| born_now).and_then(|leaf| {
                read_event(&leaf, |_, one| {
                    let scopes = one.scopes.iter().map(|scope| (*scope).to_owned()).collect();
                    (scopes, one.actors.iter().map(actor_name).collect())
                })
            });
            let (scopes, actors) = had.unwrap_or_default();
            parents.push(Parent { id: key.1, relation, ends, scopes, actors });
        }
        Ok(parents)
    }
}

fn token_leaves(
    view: &View,
    (tenant, id): &TokenKey,
    below: u64,
) -> Result<Vec<Placed>, QueryError> {
    let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
    view.chain_leaves(&key, below)
}

/// Whether an act that arrives late may change what is to be said of acts recorded before it. A
/// use that arrives late is judged by its own time, and changes nothing.
fn changes_the_past(statement: &Statement<'_>) -> bool {
    let uses = matches!(
        statement.event_type,
        EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
    );
    statement.outcome == Outcome::Allow && statement.event_type.is_lifecycle() && !uses
}

fn wide_key(target: &ChainKey<'_>) -> WideKey {
    (target.tenant.to_owned(), target.kind.position(), target.id.to_vec())
}

/// When the revocation of something wider takes effect, and its event; `None` for other leaves.
fn wide_of(leaf: &[u8], place: u64) -> Option<Wide> {
    let wide = read_event(leaf, |entry, statement| {
        let revocation = Revocation::of(statement, &entry.handles, 0)?;
        let at = revocation.effective_at;
        Some(Wide { boundary: Boundary { at, ..Boundary::of(statement, place) } })
    });
    wide.flatten()
}

fn covers(leaf: &[u8], birth: &[u8]) -> bool {
    let covers = read_event(leaf, |entry, statement| {
        let revocation = Revocation::of(statement, &entry.handles, 0)?;
        read_event(birth, |entry, statement| {
            TokenFacts::of(statement, &entry.handles).is_some_and(|one| revocation.covers(&one))
        })
    });
    covers.flatten() == Some(true)
}
