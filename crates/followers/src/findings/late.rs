//! Revocations of something wider that arrive after uses they precede: which tokens are judged
//! anew.
//!
//! ```text
//! the chain's births    of at most MAX_BIRTHS the tokens, of at most MAX_TOKENS the lives
//! more than that        the tokens used in the last MAX_ENTRIES entries, where those reach back to
//!                       when the revocation took effect
//! neither               the newest tokens, and `late_revoke_not_judged` says that others were not
//! ```
//!
//! Assumes: nothing is recorded before it happens, but for clocks that are ahead (`clock_ahead`).

use std::collections::BTreeSet;
use std::rc::Rc;

use ledgerline_index::Term;
use ledgerline_index::terms::By;
use ledgerline_proof::block::Block;
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::control::Control;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::{Revocation, is_permitted_birth};
use ledgerline_proof::schema::Leaf;
use ledgerline_proof::vocabulary::{TargetKind, TokenKind};
use ledgerline_view::chains;
use ledgerline_view::view::{QueryError, View};

use super::aliases::{Ids, Joins, each_id, leaves_of, term_of_all};
use super::indirect_revocations::covers;
use super::record::Note;
use super::rules::{MAX_DRIFT_NANOS, Rule};
use super::token_state::{Act, Life, MAX_BIRTHS as MAX_BIRTHS_OF_TOKEN, finding, until};
use super::{Judge, Placed, TokenKey, changes_the_past};

/// Entries of the chain that are looked through for tokens.
const MAX_BIRTHS: usize = 4096;
/// Tokens of it that are.
const MAX_TOKENS: usize = 1024;
/// The newest entries of the ledger that are.
const MAX_ENTRIES: u64 = 4096;

impl Judge {
    /// Judges anew what a revocation of something wider covers and what was used, by what is
    /// recorded already, after it took effect. Once the revocation is noted.
    pub(super) fn late_revocation(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let statement = act.statement;
        let Some(revocation) =
            Revocation::of(statement, &act.entry.handles, 0, act.entry.recorded_at)
        else {
            return Ok(());
        };
        let from = revocation.effective_at;
        let (mut tokens, cut) = tokens_of(view, &revocation.target, index)?;
        if cut {
            if let Some(used) = used_since(view, statement.tenant, from, index)? {
                tokens = used;
            } else {
                let mut one = finding(act, Rule::LateRevokeNotJudged, None);
                if statement.target.id.is_empty() {
                    // A SUBJECT is named by a handle alone, which is no id.
                    one.kind = TargetKind::Source;
                    statement.source.clone_into(&mut one.target);
                }
                one.about = Some(format!(
                    "more than {MAX_TOKENS} tokens or {MAX_BIRTHS} entries of it, and more than \
                     {MAX_ENTRIES} entries since it took effect: only its newest tokens were \
                     judged anew"
                ));
                notes.push(Note::Raised(one));
            }
        }
        let covered = |life: &Life| {
            let births = life.births.iter().filter_map(|one| one.leaf.clone());
            covers(act.leaf, &births.collect::<Vec<_>>())
        };
        let concerned = Concerned { tokens: &tokens, from, concerns: &covered };
        self.judge_each_anew(view, index, act, &concerned, notes)
    }
}

/// The tokens born on the chain of something wider, the newest first, and whether there are more.
fn tokens_of(
    view: &View,
    target: &ChainKey<'_>,
    below: u64,
) -> Result<(Vec<String>, bool), QueryError> {
    let (mut tokens, mut seen, mut cut) = (Vec::new(), BTreeSet::new(), false);
    let terms = terms_of(view, target);
    for origin in view.origins().iter().rev() {
        let end = if origin.is_older() { origin.size() } else { below };
        for term in &terms {
            let mut indexes = chains::newest(origin.postings(), term, end, MAX_BIRTHS)?;
            cut |= indexes.len() >= MAX_BIRTHS;
            indexes.reverse();
            let mut named = Vec::new();
            origin.each_at(&indexes, &mut |_, leaf| {
                named.extend(read_event(&leaf, |_, one| {
                    let its = one.tenant == target.tenant && one.target.kind == TargetKind::Token;
                    its.then(|| one.target.id.to_owned())
                }));
            })?;
            for token in named.into_iter().rev().flatten() {
                if seen.contains(&token) {
                    continue;
                }
                if tokens.len() >= MAX_TOKENS {
                    return Ok((tokens, true));
                }
                seen.insert(token.clone());
                tokens.push(token);
            }
        }
    }
    Ok((tokens, cut))
}

/// What the births of a chain are found by.
fn terms_of(view: &View, target: &ChainKey<'_>) -> Vec<Term> {
    let (terms, tenant) = (view.terms(), target.tenant);
    if target.kind == TargetKind::Subject {
        let id: Result<&[u8; 16], _> = target.id.try_into();
        return id.iter().map(|id| By::Subject(id).births(terms, tenant)).collect();
    }
    let Ok(id) = std::str::from_utf8(target.id) else { return Vec::new() };
    match target.kind {
        TargetKind::Session => By::Session(id).spelled(terms, tenant),
        TargetKind::Grant => By::Grant(id).spelled(terms, tenant),
        TargetKind::Key => By::Key(id).spelled(terms, tenant),
        TargetKind::Client => By::Client(id).births_spelled(terms, tenant),
        _ => Vec::new(),
    }
}

/// The tokens of a tenant that were used since a time, by what is recorded below an index; `None`
/// when that is too much to read.
pub(super) fn used_since(
    view: &View,
    tenant: &str,
    from: i64,
    below: u64,
) -> Result<Option<Vec<String>>, QueryError> {
    let first = below.saturating_sub(MAX_ENTRIES);
    let reaches = |at: i64| at < from.saturating_sub(MAX_DRIFT_NANOS);
    let whole = first == 0 && !view.has_older();
    if !whole && !stamp_of(&view.leaf(first)?).is_some_and(reaches) {
        return Ok(None);
    }
    let mut used = BTreeSet::new();
    view.each_leaf(first..below, |_, leaf| {
        let token = read_event(leaf, |_, one| {
            let its = one.tenant == tenant && one.target.kind == TargetKind::Token;
            (its && until(one) > from).then(|| one.target.id.to_owned())
        });
        used.extend(token.flatten());
        Ok(true)
    })?;
    Ok(Some(used.into_iter().collect()))
}

/// What an act on something else may concern.
pub(super) struct Concerned<'c> {
    /// The tokens.
    pub(super) tokens: &'c [String],
    /// From when it concerns them.
    pub(super) from: i64,
    /// Whether it concerns a life whose births were read.
    pub(super) concerns: &'c dyn Fn(&Life) -> bool,
}

/// How much of a token's entries was judged anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Revised {
    /// Of so many entries.
    pub(super) entries: usize,
    /// By what was recorded below this place.
    pub(super) anew: u64,
}

/// A token under all its ids.
struct Whose<'c> {
    token: TokenKey<'c>,
    ids: Ids,
}

impl Judge {
    /// Judges tokens anew that an act on something else concerns, each once under all its ids.
    pub(super) fn judge_each_anew(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        concerned: &Concerned<'_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let mut judged = BTreeSet::new();
        for token in concerned.tokens {
            if judged.insert(token.clone()) {
                let ids = self.ids_of(view, (act.statement.tenant, token), index)?;
                judged.extend(each_id(&ids).map(str::to_owned));
                let whose = Whose { token: (act.statement.tenant, token), ids };
                self.judge_anew(view, index, act, &whose, concerned, notes)?;
            }
        }
        Ok(())
    }

    /// Judges one anew, if it had acts after the time from which that counts.
    fn judge_anew(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        Whose { token, ids }: &Whose<'_>,
        concerned: &Concerned<'_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let key = term_of_all(view, *token, ids);
        let mut life = match self.take_life(ids, &key) {
            Some(life) => life,
            None => Box::new(self.remember(view, *token, ids, index + 1, true)?),
        };
        let is_late = life.latest > concerned.from;
        if is_late {
            life.read_births(view)?;
        }
        if is_late && (concerned.concerns)(&life) {
            let leaves = leaves_of(view, *token, ids, index)?;
            let (_, before) = self.relive(view, &leaves, (index + 1, act.place), true)?;
            let (anew, after) = self.replay(view, &leaves, (index + 1, act.place + 1), true)?;
            self.revise(view, &[before], after, act, notes)?;
            let next = life.next.max(anew.next);
            *life = anew;
            life.next = next;
        }
        self.put_life(ids, key, life);
        Ok(())
    }

    /// Of a token's entries, so many were judged anew in event time, and by what was recorded
    /// below which place: those up to the last that changed the past, of its own or wider. What was
    /// recorded at the place `end` or behind it is none of it.
    pub(super) fn last_revised(
        &mut self,
        view: &View,
        leaves: &[Placed],
        (below, end): (u64, u64),
    ) -> Result<Revised, QueryError> {
        let (mut latest, mut revised, mut births) = (i64::MIN, Revised::default(), Vec::new());
        let mut of_code = false;
        let (mut reached, mut joins) = (Vec::with_capacity(leaves.len()), Joins::default());
        for (at, (place, leaf)) in leaves.iter().enumerate() {
            let read = read_event(leaf, |_, one| {
                let (own, born) = (one.occurred_at.nanos, is_permitted_birth(one));
                let late = own < latest && at > 0 && changes_the_past(one, of_code);
                of_code |= born && one.token_kind.is_some_and(TokenKind::is_code);
                (joins.take(one) || late, until(one), born)
            });
            let (changes, last, born) = read.unwrap_or((false, i64::MIN, false));
            if changes {
                revised = Revised { entries: at + 1, anew: place + 1 };
            }
            latest = latest.max(last);
            reached.push(latest);
            if born && births.len() < MAX_BIRTHS_OF_TOKEN {
                births.push((*place, Rc::from(&**leaf)));
            }
        }
        for known in 1..=births.len() {
            let next = births.get(known).map_or(end, |(place, _)| *place);
            let leaves_of: Vec<Rc<[u8]>> =
                births[..known].iter().map(|(_, leaf)| Rc::clone(leaf)).collect();
            for (from, place) in self.covers.of_births(view, &leaves_of, below)? {
                let before = leaves.partition_point(|(at, _)| *at < place);
                let is_late = before > 0 && from < reached[before - 1];
                if (births[known - 1].0..next).contains(&place) && is_late {
                    revised = revised.max(Revised { entries: before, anew: place + 1 });
                }
            }
        }
        for (from, place) in self.late_by_parents(view, &births, below)? {
            let before = leaves.partition_point(|(at, _)| *at < place);
            let is_late = place < end && before > 0 && from < reached[before - 1];
            if is_late {
                revised = revised.max(Revised { entries: before, anew: place + 1 });
            }
        }
        Ok(revised)
    }
}

/// The time of a leaf; `None` when it is none.
pub(super) fn stamp_of(leaf: &[u8]) -> Option<i64> {
    let stamp = match Leaf::decode(leaf).ok()? {
        Leaf::Entry(Entry { recorded_at, .. }) | Leaf::Control(Control { recorded_at, .. }) => {
            recorded_at
        }
        Leaf::Block(Block { sealed_at, .. }) => sealed_at,
    };
    Some(stamp.nanos)
}
