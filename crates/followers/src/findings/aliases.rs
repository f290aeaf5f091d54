//! Which ids are one token's: `also_known_as` from either side, within one issuer.
//!
//! ```text
//! claims, in ledger order ──▶ sets of ids, of at most MAX_IDS each ──▶ one life a set
//! ```
//!
//! Promises: what was joined stays joined; which sets there are follows from the claims below an
//! index alone. A claim that would make a set larger than [`MAX_IDS`] joins nothing, and is an
//! `alias_conflict` that says so. Where nobody ever named another id, nothing is looked up.
//!
//! Refuses: to look at more than [`MAX_CLAIMS`] claims that one id makes and as many about it, and
//! at ids more than [`MAX_CLOSE`] others away.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ledgerline_index::Term;
use ledgerline_index::terms::{By, OfLife, chain_term};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_questions::lineage::{MAX_IDS, joined_ids};
use ledgerline_view::chains;
use ledgerline_view::view::{QueryError, View};

use super::indirect_revocations::IndirectRevocations;
use super::record::Note;
use super::rules::{Finding, Rule};
use super::token_state::{Act, Boundary, Life, finding};
use super::{Judge, Known, KnownBirth, Placed, TokenKey, term_of, token_leaves};

/// Claims of one id, and about one, that are looked at.
const MAX_CLAIMS: usize = 4096;
/// Ids whose claims are looked at, to find one token's.
const MAX_CLOSE: usize = 64;

/// The ids of one token, ascending, each with the place of the act that made it the same token's as
/// the id that was asked for; `None` when it has one.
pub(super) type Ids = Option<Rc<[(Box<str>, u64)]>>;

/// The ids alone.
pub(super) fn each_id(ids: &Ids) -> impl Iterator<Item = &str> {
    ids.iter().flat_map(|ids| ids.iter()).map(|(id, _)| &**id)
}

/// What a token is remembered by, under all its ids.
pub(super) fn term_of_all(view: &View, (tenant, id): TokenKey<'_>, ids: &Ids) -> Term {
    term_of(view, (tenant, each_id(ids).next().unwrap_or(id)))
}

/// Sets of ids that are one token's, and whether an act of each was seen.
#[derive(Default)]
pub(super) struct Joins(Vec<(BTreeSet<Box<str>>, bool)>);

impl Joins {
    /// Takes an act's claims, in ledger order. Whether it joins tokens that both had acts.
    pub(super) fn take(&mut self, statement: &Statement<'_>) -> bool {
        let target = statement.target.id;
        let at = self.set_of(target);
        let mut acted = usize::from(self.0[at].1);
        self.0[at].1 = true;
        if statement.also_known_as.is_empty() {
            return false;
        }
        for other in joined_ids(statement, target).filter(|other| *other != target) {
            let (at, of) = (self.set_of(target), self.set_of(other));
            if at == of || self.0[at].0.len() + self.0[of].0.len() > MAX_IDS {
                continue;
            }
            let (ids, seen) = std::mem::take(&mut self.0[of]);
            acted += usize::from(seen);
            self.0[at].0.extend(ids);
        }
        acted > 1
    }

    /// The set that an id is in.
    fn set_of(&mut self, id: &str) -> usize {
        self.0.iter().position(|(ids, _)| ids.contains(id)).unwrap_or_else(|| {
            self.0.push((BTreeSet::from([id.into()]), false));
            self.0.len() - 1
        })
    }
}

/// The entries of a token under all its ids, in ledger order.
pub(super) fn leaves_of(
    view: &View,
    (tenant, id): TokenKey<'_>,
    ids: &Ids,
    below: u64,
) -> Result<Vec<Placed>, QueryError> {
    if ids.is_none() {
        return token_leaves(view, (tenant, id), below);
    }
    let mut leaves = Vec::new();
    for id in each_id(ids) {
        leaves.extend(token_leaves(view, (tenant, id), below)?);
    }
    leaves.sort_unstable_by_key(|(place, _)| *place);
    Ok(leaves)
}

/// What an act makes of its token's ids.
pub(super) struct Joined {
    /// All ids of its token from now on.
    pub(super) ids: Ids,
    /// The tokens that were several until now: the ids of each, the act's own first.
    pub(super) former: Vec<(Box<str>, Ids)>,
    /// Ids that were claimed and not joined.
    pub(super) refused: Vec<Box<str>>,
}

impl Judge {
    /// The ids of a token, as they are known below an index.
    pub(super) fn ids_of(
        &mut self,
        view: &View,
        (tenant, id): TokenKey<'_>,
        below: u64,
    ) -> Result<Ids, QueryError> {
        if !self.memory.has_aliases && !view.has_older() {
            return Ok(None);
        }
        let key = term_of(view, (tenant, id));
        if let Some(known) = self.ids.get_mut(&mut self.store, &key) {
            return Ok(known.clone());
        }
        if self.lives.get_mut(&mut self.store, &key).is_some() {
            return Ok(None);
        }
        let ids = read_ids(view, (tenant, id), below)?;
        self.ids.put(&mut self.store, key, ids.clone());
        Ok(ids)
    }

    /// Takes what an act says of other ids.
    pub(super) fn join(
        &mut self,
        view: &View,
        index: u64,
        statement: &Statement<'_>,
    ) -> Result<Joined, QueryError> {
        let (tenant, own) = (statement.tenant, statement.target.id);
        let mut ids = self.ids_of(view, (tenant, own), index)?;
        let mut former = vec![(own.into(), ids.clone())];
        let mut refused = Vec::new();
        if statement.also_known_as.is_empty() {
            return Ok(Joined { ids, former, refused });
        }
        self.memory.has_aliases = true;
        let mut all = set_of(own, &ids);
        for other in joined_ids(statement, own).filter(|other| *other != own) {
            if all.contains(other) {
                continue;
            }
            let theirs = self.ids_of(view, (tenant, other), index)?;
            let more = set_of(other, &theirs);
            if all.len() + more.len() > MAX_IDS {
                refused.push(other.into());
                continue;
            }
            all.extend(more);
            former.push((other.into(), theirs));
        }
        if former.len() > 1 {
            let place = view.place_of(index);
            for id in &all {
                let known = self.ids_of(view, (tenant, id), index)?;
                let since = |one: &str| {
                    let mut known = known.iter().flat_map(|known| known.iter());
                    let was = known.find(|(known, _)| **known == *one).map(|(_, since)| *since);
                    was.unwrap_or(if *one == **id { 0 } else { place })
                };
                let anew: Ids = Some(all.iter().map(|one| (one.clone(), since(one))).collect());
                self.ids.put(&mut self.store, term_of(view, (tenant, id)), anew.clone());
                if **id == *own {
                    ids = anew;
                }
            }
        }
        Ok(Joined { ids, former, refused })
    }

    /// The life of a token that was several until now, and whether it has to be judged anew: when
    /// more than one of them had acts.
    pub(super) fn life_of_joined(
        &mut self,
        view: &View,
        index: u64,
        tenant: &str,
        joined: &Joined,
    ) -> Result<(Box<Life>, bool), QueryError> {
        let mut lives = Vec::new();
        for (id, ids) in &joined.former {
            let key = term_of_all(view, (tenant, id), ids);
            self.parents.remove(&mut self.store, &key);
            let life = match self.take_life(ids, &key) {
                Some(life) => life,
                None => Box::new(self.remember(view, (tenant, id), ids, index, true)?),
            };
            // It is no token of its own any more.
            self.lives.remove(&mut self.store, &key);
            self.joined.remove(&mut self.store, &key);
            lives.extend((life.count > 0).then_some(life));
        }
        let several = lives.len() > 1;
        Ok((lives.pop().unwrap_or_default(), several))
    }

    /// What was found about tokens that were several, as each was judged, one after the other.
    pub(super) fn found_of_each(
        &mut self,
        view: &View,
        (index, place): (u64, u64),
        tenant: &str,
        joined: &Joined,
    ) -> Result<Vec<Vec<Finding>>, QueryError> {
        let mut found = Vec::new();
        for (id, ids) in &joined.former {
            let leaves = leaves_of(view, (tenant, id), ids, index)?;
            found.push(self.relive(view, &leaves, (index, place), true)?.1);
        }
        Ok(found)
    }

    /// The birth of a token and its revocations, under all its ids, as they are known below an
    /// index. What stands under another id is known from when the two were joined.
    pub(super) fn known(
        &mut self,
        view: &View,
        below: u64,
        key: &Term,
        (tenant, own): TokenKey<'_>,
    ) -> Result<Known, QueryError> {
        let mut known = self.known_alone(view, below, key, (tenant, own))?;
        let ids = self.ids_of(view, (tenant, own), below)?;
        let (ids, mut births) = (ids.iter().flat_map(|ids| ids.iter()), Vec::new());
        for (id, since) in ids.filter(|(id, _)| **id != *own) {
            let token = (tenant, &**id);
            let one = self.known_alone(view, below, &term_of(view, token), token)?;
            let from = |place: u64| place.max(*since);
            births.extend(one.birth.map(|one| KnownBirth { known: from(one.known), ..one }));
            let ends = one.ends.into_iter();
            known.ends.extend(ends.map(|one| Boundary { place: from(one.place), ..one }));
        }
        known.birth = known.birth.or_else(|| births.into_iter().min_by_key(|one| one.known));
        Ok(known)
    }

    /// What was known of a token under one id alone is no longer.
    pub(super) fn forget_alone(&mut self, key: &Term, ids: &Ids) {
        self.parents.remove(&mut self.store, key);
        if ids.is_some() {
            self.alone.remove(&mut self.store, key);
        }
    }

    /// As [`Self::known`], by what was told under one id alone.
    pub(super) fn known_alone(
        &mut self,
        view: &View,
        below: u64,
        key: &Term,
        token: TokenKey<'_>,
    ) -> Result<Known, QueryError> {
        let several = self.ids_of(view, token, below)?.is_some();
        let own = if several { &mut self.alone } else { &mut self.lives };
        let is_own = own.get_mut(&mut self.store, key).is_some();
        if !is_own && (several || self.parents.get_mut(&mut self.store, key).is_none()) {
            let life = Box::new(self.remember(view, token, &None, below, false)?);
            let lives = if several { &mut self.alone } else { &mut self.parents };
            lives.put(&mut self.store, *key, life);
        }
        let lives = match (several, is_own) {
            (true, _) => &mut self.alone,
            (false, true) => &mut self.lives,
            (false, false) => &mut self.parents,
        };
        let Some(life) = lives.get_mut(&mut self.store, key) else { return Ok(Known::default()) };
        let is_anew = !life.births.is_empty() && self.covers.bring(view, life, None, below)?;
        let birth = life.first_recorded();
        let birth = birth.map(|birth| KnownBirth { known: birth.place, birth: birth.clone() });
        let ends: Vec<_> = life.ends.iter().cloned().chain(life.covered_by()).collect();
        let is_watched = !several && birth.is_some() && ends.is_empty();
        let watch = is_watched.then(|| IndirectRevocations::watch(key, life).collect());
        if is_anew {
            lives.changed(key);
        }
        Ok(Known { birth, ends, watch })
    }
}

/// Says which ids were claimed and not joined.
pub(super) fn not_joined(act: &Act<'_, '_>, refused: &[Box<str>], notes: &mut Vec<Note>) {
    if let Some(other) = refused.first() {
        let mut one = finding(act, Rule::AliasConflict, None);
        one.parent = Some(act.statement.target.id.to_owned());
        one.target = String::from(&**other);
        one.about = Some(format!("more than {MAX_IDS} ids are said to be one token: not joined"));
        notes.push(Note::Raised(one));
    }
}

fn set_of(id: &str, ids: &Ids) -> BTreeSet<Box<str>> {
    each_id(ids).chain([id]).map(Box::from).collect()
}

/// A token's ids by all claims below an index.
fn read_ids(view: &View, (tenant, id): TokenKey<'_>, below: u64) -> Result<Ids, QueryError> {
    let mut claims: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let (mut close, mut todo) = (BTreeSet::from([id.to_owned()]), vec![id.to_owned()]);
    while let Some(id) = todo.pop() {
        let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
        let own = OfLife::Names.term(&chain_term(view.terms(), &key));
        for term in [own, By::Alias(&id).term(view.terms(), tenant)] {
            for origin in &view.origins() {
                let end = if origin.is_older() { origin.size() } else { below };
                let index = origin.postings();
                let (found, _) = chains::postings(index, &term, 0..end, MAX_CLAIMS)?;
                origin.each_at(&found, &mut |index, leaf| {
                    let named = read_event(&leaf, |_, one| {
                        let its = one.tenant == tenant
                            && one.target.kind == TargetKind::Token
                            && (one.target.id == id || one.also_known_as.contains(&&*id));
                        let named = joined_ids(one, &id).map(str::to_owned).collect::<Vec<_>>();
                        if its { named } else { Vec::new() }
                    });
                    let named = named.unwrap_or_default();
                    if named.is_empty() {
                        return;
                    }
                    for other in named {
                        if close.len() < MAX_CLOSE && close.insert(other.clone()) {
                            todo.push(other);
                        }
                    }
                    claims.insert(origin.place_of(index), leaf);
                })?;
            }
        }
    }
    let (mut joins, mut since) = (Joins::default(), BTreeMap::from([(Box::from(id), 0)]));
    for (place, leaf) in &claims {
        read_event(leaf, |_, one| joins.take(one));
        let at = joins.set_of(id);
        for one in &joins.0[at].0 {
            since.entry(one.clone()).or_insert(*place);
        }
    }
    Ok((since.len() > 1).then(|| since.into_iter().collect()))
}
