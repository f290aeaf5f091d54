//! Indirect revocations, cached: of something wider than a token. Which of them cover it.
//!
//! ```text
//! chains of births    session, grant, client, key (each under both spellings), subject
//! first asked         every chain is read: cached, or from the index
//! asked again         nothing, unless one of its chains was revoked since: then the revocations
//!                     recorded since, which are cached
//! ```
//!
//! Promises: [`IndirectRevocations::bring`] leaves what reading every chain anew would give, in the
//! same order: by chain, then by place. Assumes: every revocation of something wider is told to
//! [`IndirectRevocations::note`] when it is followed, before any later act is judged.

use std::collections::VecDeque;
use std::rc::Rc;

use ledgerline_index::terms::chain_term;
use ledgerline_index::{Term, TermCache};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::lifecycle::{self, Revocation};
use ledgerline_questions::lineage::wide_chains;
use ledgerline_summaries::{Marked, kept};
use ledgerline_view::view::{QueryError, View};
use serde::{Deserialize, Serialize};

use super::token_state::{Act, Boundary, Life, Wide};

/// Revocations cached, some 500 bytes each. A token that was not looked at for longer has
/// all its chains read again, if one of them was revoked meanwhile.
const RECENT: usize = 1024;

/// Chains of a generation of the cache, some 60 bytes each: nearly none holds a revocation. A
/// token has up to nine.
const REMEMBERED: usize = 1 << 14;

/// Places and leaves of the revocations on one chain.
type Told = Vec<(u64, Rc<[u8]>)>;

/// A revocation that was followed lately.
struct Recent {
    chain: u32,
    place: u64,
    leaf: Rc<[u8]>,
}

/// What covers one token.
#[derive(Debug, Clone)]
pub(super) struct Covering {
    /// The chains that can hold more of it: a part of their terms.
    chains: Box<[u32]>,
    /// Of how many births they are.
    births: usize,
    /// Of how many revocations it was judged whether they cover the token.
    judged: u64,
    /// With the chain of each.
    list: Vec<(usize, Wide)>,
}

kept!(Covering { chains, births, judged, list });

impl Covering {
    /// In the order of chains, then of places.
    pub(super) fn wide(&self) -> impl Iterator<Item = &Wide> {
        self.list.iter().map(|(_, wide)| wide)
    }
}

/// Chains on which nothing counted when there had been so many turns.
#[derive(Debug, Clone)]
pub(super) struct Quiet {
    chains: Box<[u32]>,
    turned: u64,
}

kept!(Quiet { chains, turned });

/// How many revocations and turns of tokens there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    noted: u64,
    turned: u64,
}

/// The cache of indirect revocations.
pub(super) struct IndirectRevocations {
    known: TermCache<Told>,
    recent: VecDeque<Recent>,
    marked: Marked,
    /// Revocations noted, of which `recent` holds the last.
    noted: u64,
    /// As `marked`, with tokens among the chains that were revoked or are told of anew.
    ended: Marked,
    turned: u64,
}

impl IndirectRevocations {
    /// One that goes on behind so many revocations and turns of tokens.
    pub(super) fn new(counted: Counted) -> Self {
        let Counted { noted, turned } = counted;
        let (marked, ended) = (Marked::behind(noted), Marked::behind(turned));
        let (known, recent) = (TermCache::new(REMEMBERED), VecDeque::new());
        Self { known, recent, marked, noted, ended, turned }
    }

    /// How many there were.
    pub(super) const fn counted(&self) -> Counted {
        Counted { noted: self.noted, turned: self.turned }
    }

    /// Takes note that a token was revoked, or is told of anew.
    pub(super) fn note_token(&mut self, token: &Term) {
        self.ended.mark(part_of(token), self.turned);
        self.turned += 1;
    }

    /// The chains by which a token could end, itself among them, of which nothing is known yet.
    pub(super) fn watch(token: &Term, life: &Life) -> impl Iterator<Item = u32> {
        let chains = life.covering.iter().flat_map(|covering| covering.chains.iter().copied());
        std::iter::once(part_of(token)).chain(chains)
    }

    /// As of now, nothing on these chains counts.
    pub(super) const fn quiet(&self, chains: Box<[u32]>) -> Quiet {
        Quiet { chains, turned: self.turned }
    }

    /// Whether that is so still, as far as is known.
    pub(super) fn is_quiet(&self, quiet: &mut Quiet) -> bool {
        let is_quiet =
            quiet.turned == self.turned || self.ended.are_quiet(&quiet.chains, quiet.turned);
        if is_quiet {
            quiet.turned = self.turned;
        }
        is_quiet
    }

    /// Takes note of an act on something wider.
    pub(super) fn note(&mut self, view: &View, act: &Act<'_, '_>) {
        let Some(one) = Revocation::of(act.statement, &act.entry.handles, 0, act.entry.recorded_at)
        else {
            return;
        };
        let term = chain_term(view.terms(), &one.target);
        let leaf: Rc<[u8]> = act.leaf.into();
        if let Some(known) = self.known.get_mut(&term) {
            known.push((act.place, Rc::clone(&leaf)));
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { chain: part_of(&term), place: act.place, leaf });
        self.marked.mark(part_of(&term), self.noted);
        self.noted += 1;
        self.ended.mark(part_of(&term), self.turned);
        self.turned += 1;
    }

    /// Brings what covers a life up to all that was recorded below an index; `born_now` is the leaf
    /// of a birth that it has not taken yet. What covers one birth covers the token. Whether all
    /// was read anew.
    pub(super) fn bring(
        &mut self,
        view: &View,
        life: &mut Life,
        born_now: Option<&[u8]>,
        below: u64,
    ) -> Result<bool, QueryError> {
        let count = life.births.len() + usize::from(born_now.is_some());
        let known = life.covering.as_mut().filter(|known| known.births == count);
        let is_quiet = known.is_some_and(|covering| {
            let is_quiet = covering.judged == self.noted
                || self.marked.are_quiet(&covering.chains, covering.judged);
            if is_quiet {
                covering.judged = self.noted;
            }
            is_quiet
        });
        if is_quiet {
            return Ok(false);
        }
        let mut births = life.read_births(view)?;
        births.extend(born_now.map(Rc::from));
        let known = life.covering.as_mut().filter(|known| known.births == count);
        let Some((covering, skipped)) = known.and_then(|covering| {
            let since = usize::try_from(self.noted - covering.judged).ok()?;
            Some((covering, self.recent.len().checked_sub(since)?))
        }) else {
            life.covering = Some(self.read(view, &births, below)?);
            return Ok(true);
        };
        for one in self.recent.range(skipped..) {
            for n in 0..covering.chains.len() {
                if covering.chains[n] == one.chain {
                    let at = covering.list.partition_point(|(chain, _)| *chain <= n);
                    let wide = wide_of(&one.leaf, one.place, &births).map(|wide| (n, wide));
                    wide.into_iter().for_each(|wide| covering.list.insert(at, wide));
                }
            }
        }
        covering.judged = self.noted;
        Ok(true)
    }

    /// When each wider revocation that covers a token of these births takes effect, and where it
    /// was recorded, below an index.
    pub(super) fn of_births(
        &mut self,
        view: &View,
        births: &[Rc<[u8]>],
        below: u64,
    ) -> Result<Vec<(i64, u64)>, QueryError> {
        let covering = self.read(view, births, below)?;
        Ok(covering.wide().map(|one| (one.boundary.at, one.boundary.place)).collect())
    }

    /// Reads the chains of a token.
    fn read(
        &mut self,
        view: &View,
        births: &[Rc<[u8]>],
        below: u64,
    ) -> Result<Covering, QueryError> {
        let (mut tenant, mut named) = (String::new(), Vec::new());
        for birth in births {
            read_event(birth, |entry, one| {
                one.tenant.clone_into(&mut tenant);
                for chain in wide_chains(entry, one) {
                    if !named.contains(&chain) {
                        named.push(chain);
                    }
                }
            });
        }
        let (births_of, judged) = (births.len(), self.noted);
        let mut covering =
            Covering { chains: Box::default(), births: births_of, judged, list: Vec::new() };
        let mut chains = Vec::with_capacity(named.len());
        for (n, (kind, id)) in named.into_iter().enumerate() {
            let key = ChainKey { kind, tenant: &tenant, id: &id };
            let term = chain_term(view.terms(), &key);
            if !self.known.has(&term) {
                let leaves = view.revocation_leaves(&key, below)?;
                let revokes = leaves.into_iter().filter(|(_, leaf)| revokes(leaf));
                self.known.put(term, revokes.map(|(at, leaf)| (at, Rc::from(leaf))).collect());
            }
            let known = self.known.get_mut(&term).map(|told| &**told).unwrap_or_default();
            let wide = known.iter().filter_map(|(place, leaf)| wide_of(leaf, *place, births));
            covering.list.extend(wide.map(|wide| (n, wide)));
            chains.push(part_of(&term));
        }
        covering.chains = chains.into();
        Ok(covering)
    }
}

/// Enough of a term to pass over what is of another chain; what is not is looked at.
fn part_of(term: &Term) -> u32 {
    let bytes = term.hash.to_le_bytes();
    let (low, _) = bytes.split_first_chunk().expect("sixteen bytes");
    u32::from_le_bytes(*low)
}

/// Whether a leaf is a revocation.
fn revokes(leaf: &[u8]) -> bool {
    let revokes = read_event(leaf, |entry, statement| {
        Revocation::of(statement, &entry.handles, 0, entry.recorded_at).is_some()
    });
    revokes == Some(true)
}

/// The revocation of something wider, if it covers a token of these births.
fn wide_of(leaf: &[u8], place: u64, births: &[Rc<[u8]>]) -> Option<Wide> {
    let covered = covered_by(leaf, births);
    let wide = read_event(leaf, |entry, statement| {
        let revocation = Revocation::of(statement, &entry.handles, 0, entry.recorded_at)?;
        let at = revocation.effective_at;
        Some(Wide { boundary: Boundary { at, ..Boundary::of(entry, statement, place) }, covered })
    });
    wide.flatten().filter(|_| covered != 0)
}

/// Which of the births a leaf covers as a revocation, a bit each.
fn covered_by(leaf: &[u8], births: &[Rc<[u8]>]) -> u32 {
    let covered = read_event(leaf, |entry, statement| {
        let revocation = Revocation::of(statement, &entry.handles, 0, entry.recorded_at)?;
        let covers = |birth: &Rc<[u8]>| {
            read_event(birth, |entry, one| lifecycle::covers(&revocation, one, &entry.handles))
        };
        let each = births.iter().zip(0..u32::BITS);
        let bits = each.filter(|(birth, _)| covers(birth) == Some(true)).map(|(_, n)| 1 << n);
        Some(bits.fold(0, |all, bit: u32| all | bit))
    });
    covered.flatten().unwrap_or(0)
}

/// Whether a leaf is a revocation that covers a token of these births.
pub(super) fn covers(leaf: &[u8], births: &[Rc<[u8]>]) -> bool {
    covered_by(leaf, births) != 0
}
