//! What a token came of, and children that are told of before their parents.
//!
//! ```text
//! recorded   ISSUED child (scopes: read write)   ISSUED parent (scopes: read)      scope_widened
//! recorded   USED child                          REVOKED parent (late)             child_outlives…
//! ```
//!
//! Promises: a permitted birth or REVOKED of a token under its one id has the children judged anew
//! that were born before by what is recorded: after a birth all of them, after a REVOKED those with
//! acts behind it. [`Judge::late_by_parents`] says the same of a life that is read again.
//!
//! Refuses: to look at more than [`MAX_CHILDREN`] children. Of more those are looked at that were
//! used since, as far as that can be read ([`super::late`]); else `late_revoke_not_judged` says
//! that some were not. Not looked at: parents that have several ids, or that something wider ended;
//! their children are judged by it from their next act on.

use std::collections::BTreeSet;
use std::rc::Rc;

use ledgerline_index::terms::By;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::lifecycle::is_permitted_birth;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};
use ledgerline_questions::lineage::Descent;
use ledgerline_view::chains;
use ledgerline_view::view::{QueryError, View};

use super::aliases::Ids;
use super::late::{Concerned, used_since};
use super::record::Note;
use super::rules::Rule;
use super::token_state::{Act, Kin, Life, finding};
use super::{Judge, term_of, token_leaves};

/// Children of one token that are judged anew, the newest.
const MAX_CHILDREN: usize = 256;

/// The tokens that a birth names as what it came of.
pub(super) fn kin_of(view: &View, birth: &[u8]) -> Rc<[Kin]> {
    let kin = read_event(birth, |_, one| {
        let links = one.links.iter().filter_map(|link| Some((link.token?, link.relation)));
        let up = links.filter(|(token, relation)| {
            Descent::of(*relation) == Descent::LinkIsParent && *token != one.target.id
        });
        let up = up.map(|(id, relation)| {
            let key = term_of(view, (one.tenant, id));
            Kin { key, tenant: one.tenant.into(), id: id.into(), relation }
        });
        up.collect()
    });
    kin.unwrap_or_default()
}

impl Judge {
    /// Judges children anew whose parent is told of just now.
    pub(super) fn judge_children(
        &mut self,
        view: &View,
        index: u64,
        act: &Act<'_, '_>,
        ids: &Ids,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let statement = act.statement;
        let (tenant, own) = (statement.tenant, statement.target.id);
        let end = end_of(statement, act.entry.recorded_at.nanos);
        let first = is_permitted_birth(statement) && self.is_first_birth(view, act);
        let Some(from) = end.or(first.then_some(i64::MIN)) else { return Ok(()) };
        if ids.is_some() {
            return Ok(());
        }
        let (mut children, cut) = children_of(view, (tenant, own), index)?;
        if cut {
            if let Some(used) = used_since(view, tenant, from, index)? {
                children = used;
            } else {
                let mut one = finding(act, Rule::LateRevokeNotJudged, None);
                one.about = Some(format!(
                    "it has more than {MAX_CHILDREN} children: only the newest were judged anew"
                ));
                notes.push(Note::Raised(one));
            }
        }
        let names = |leaf: &Rc<[u8]>| kin_of(view, leaf).iter().any(|kin| &*kin.id == own);
        let is_child =
            |life: &Life| life.births.iter().filter_map(|one| one.leaf.as_ref()).any(names);
        let concerned = Concerned { tokens: &children, from, concerns: &is_child };
        self.judge_each_anew(view, index, act, &concerned, notes)
    }

    fn is_first_birth(&mut self, view: &View, act: &Act<'_, '_>) -> bool {
        let token = (act.statement.tenant, act.statement.target.id);
        let life = self.lives.get_mut(&mut self.store, &term_of(view, token));
        life.and_then(|life| life.first_recorded()).is_some_and(|one| one.place == act.place)
    }

    /// When the parents of a life's births were told of later: from when that counts, and where it
    /// was recorded; of parents that had one id by then.
    pub(super) fn late_by_parents(
        &mut self,
        view: &View,
        births: &[(u64, Rc<[u8]>)],
        below: u64,
    ) -> Result<Vec<(i64, u64)>, QueryError> {
        let mut late = Vec::new();
        for (born, leaf) in births {
            for Kin { tenant, id, .. } in kin_of(view, leaf).iter() {
                let ids = self.ids_of(view, (tenant, id), below)?;
                let joined = ids.iter().flat_map(|ids| ids.iter()).filter(|(one, _)| one != id);
                let joined = joined.map(|(_, since)| *since).min().unwrap_or(u64::MAX);
                let told = turns_of(view, (tenant, id), below)?;
                let told = told.into_iter();
                late.extend(told.filter(|(_, place)| born < place && *place < joined));
            }
        }
        Ok(late)
    }
}

/// From when a token's first birth and its revocations count for its children, and where each was
/// recorded. Read without judging its life: that may ask for its children.
fn turns_of(view: &View, token: (&str, &str), below: u64) -> Result<Vec<(i64, u64)>, QueryError> {
    let (mut turns, mut born) = (Vec::new(), false);
    for (place, leaf) in token_leaves(view, token, below)? {
        let from = read_event(&leaf, |entry, one| {
            let first = is_permitted_birth(one) && !std::mem::replace(&mut born, true);
            if first { Some(i64::MIN) } else { end_of(one, entry.recorded_at.nanos) }
        });
        turns.extend(from.flatten().map(|from| (from, place)));
    }
    Ok(turns)
}

/// When a token ended by an event of its own, if it did.
fn end_of(statement: &Statement<'_>, recorded_at: i64) -> Option<i64> {
    let ends = statement.event_type == EventType::Revoked && statement.outcome == Outcome::Allow;
    ends.then(|| statement.occurred_at.nanos.min(recorded_at))
}

/// The tokens whose births name a token as what they came of, the newest first, and whether there
/// are more.
fn children_of(
    view: &View,
    (tenant, own): (&str, &str),
    below: u64,
) -> Result<(Vec<String>, bool), QueryError> {
    let term = By::Parent(own).term(view.terms(), tenant);
    let (mut children, mut seen) = (Vec::new(), BTreeSet::new());
    for origin in view.origins().iter().rev() {
        let end = if origin.is_older() { origin.size() } else { below };
        let mut indexes = chains::newest(origin.postings(), &term, end, MAX_CHILDREN * 4)?;
        indexes.reverse();
        let mut named = Vec::new();
        origin.each_at(&indexes, &mut |_, leaf| {
            named.extend(read_event(&leaf, |_, one| {
                let came = one.links.iter().any(|link| {
                    link.token == Some(own) && Descent::of(link.relation) == Descent::LinkIsParent
                });
                let its = one.tenant == tenant && one.target.kind == TargetKind::Token;
                let is_child = came && its && one.target.id != own && is_permitted_birth(one);
                is_child.then(|| one.target.id.to_owned())
            }));
        })?;
        for child in named.into_iter().rev().flatten() {
            if children.len() >= MAX_CHILDREN {
                return Ok((children, true));
            }
            if seen.insert(child.clone()) {
                children.push(child);
            }
        }
    }
    Ok((children, false))
}
