//! The query context: the tokens of one question. Each is read and judged once, those of a level
//! together.
//!
//! ```text
//! Reader           entries, postings, budget, cuts
//!   QueryContext   tokens: lives by all ids, revocations that cover them, what was judged before
//!     Walk         edges between tokens
//! ```
//!
//! Promises: as [`Reader`]'s. Reading the lives of many tokens takes as many calls as those of one:
//! one for the postings and one for the leaves of each, of their other ids, and of what covers
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::{By, OfLife, chain_term, is_birth};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_view::address::{Begin, EntryRef};
use ledgerline_view::view::{QueryError, View};

use super::plan::PageWanted;
use super::reader::{PAGE, Reader, Scope, Spending};
use super::summary::SHORT;
use super::token::{Summary, Token, wide_chains};
use super::token_cache::{Found, Judged, Remembered, TokenCaches};
use crate::facts::{MAX_IDS, joined_ids};

/// Something wider than a token: what it is, and its id.
pub(super) type WideKey = (TargetKind, Vec<u8>);

/// What of tokens is read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Lives, and what links to them.
    Lives,
    /// What decides where they stand.
    Summaries,
    /// That, and what has their digest.
    Status,
}

/// One question about tokens being answered.
pub struct QueryContext<'v> {
    reader: Reader<'v>,
    /// What was judged before, where it may be used.
    pub(super) caches: Option<Arc<TokenCaches>>,
    /// Tokens whose states the answer shows, by id.
    shown: BTreeMap<String, Arc<Summary>>,
    pub(super) tokens: BTreeMap<String, Arc<Token>>,
    /// Where tokens stand whose lives were not read.
    pub(super) summaries: BTreeMap<String, Arc<Summary>>,
    /// Revocations of something wider than a token, by what it is.
    pub(super) wide: BTreeMap<WideKey, Arc<Vec<EntryRef>>>,
    /// Ids of which a part was read together with others.
    planned: BTreeSet<(Part, String)>,
}

impl<'v> Deref for QueryContext<'v> {
    type Target = Reader<'v>;

    fn deref(&self) -> &Reader<'v> {
        &self.reader
    }
}

impl<'v> DerefMut for QueryContext<'v> {
    fn deref_mut(&mut self) -> &mut Reader<'v> {
        &mut self.reader
    }
}

impl<'v> QueryContext<'v> {
    /// Begins, over all origins of a view.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn new(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        // What happened by a time is judged from a part of each life.
        let caches = scope.at.is_none().then(|| view.rooms().shared::<TokenCaches>());
        Ok(Self { caches, ..Self::of(Reader::new(view, scope, spending)?) })
    }

    /// Begins, over one origin alone.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn alone(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        Ok(Self::of(Reader::alone(view, scope, spending)?))
    }

    fn of(reader: Reader<'v>) -> Self {
        Self {
            reader,
            caches: None,
            shown: BTreeMap::new(),
            tokens: BTreeMap::new(),
            summaries: BTreeMap::new(),
            wide: BTreeMap::new(),
            planned: BTreeSet::new(),
        }
    }

    /// Remembers nothing of what was judged before: slower, and never another answer.
    #[must_use]
    pub fn forgetful(self) -> Self {
        Self { caches: None, ..self }
    }

    /// Reads everything where it comes to it, and remembers nothing: slower, and never another
    /// answer.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.hand.is_off = true;
        self.forgetful()
    }

    /// Asks another one, that also sees what occurred after the time at which this one looks.
    pub(super) fn whenever<T>(
        &mut self,
        ask: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let mut whole = Self::of(self.reader.lend_whenever());
        let answer = ask(&mut whole);
        self.reader.take_back(whole.reader);
        answer
    }

    /// The entries that the answer stands on: those that it names, and the lives of the tokens that
    /// it shows, which are read now where their summaries were enough: few answers are proven. What
    /// that cuts is noted.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn evidence(&mut self) -> Result<BTreeSet<EntryRef>, QueryError> {
        let ids: Vec<String> = self.shown.keys().cloned().collect();
        self.read_tokens(ids.iter().cloned());
        let mut evidence = BTreeSet::new();
        for id in &ids {
            let token = self.token(id)?;
            evidence.extend(token.records.iter().map(|record| record.at));
            evidence.extend(token.covered_by.iter().copied());
        }
        evidence.extend(self.cited());
        Ok(evidence)
    }

    /// Notes that the answer shows the states of a token, and so stands on its life.
    pub fn show_token(&mut self, token: &Arc<Summary>) {
        self.shown.insert(token.id.clone(), Arc::clone(token));
    }

    /// The tokens whose states the answer shows.
    pub fn shown(&self) -> impl Iterator<Item = &Arc<Summary>> {
        self.shown.values()
    }

    /// The name under which the life of an id is remembered: the term of its chain.
    pub(super) fn chain_of(&self, id: &str) -> Term {
        let tenant = &*self.scope().tenant;
        let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
        chain_term(self.view.terms(), &key)
    }

    /// Reads the tokens with these ids, all together.
    pub(crate) fn read_tokens(&mut self, ids: impl IntoIterator<Item = String>) {
        if self.hand.is_off {
            return;
        }
        let new: BTreeSet<String> =
            ids.into_iter().filter(|id| !self.tokens.contains_key(id)).collect();
        let caches = self.caches.clone();
        let level = self.without_remembered(caches.as_deref().map(|all| &all.lives), new);
        self.read_parts(level, Part::Lives);
    }

    /// Looks for what is new of those that were judged before. Gives the others, and those of which
    /// something is.
    pub(super) fn without_remembered<T: Judged>(
        &mut self,
        cache: Option<&Remembered<T>>,
        ids: BTreeSet<String>,
    ) -> BTreeSet<String> {
        let Some(cache) = cache else { return ids };
        let as_of = self.scope().as_of.clone();
        let (mut fresh, mut known, mut wanted) = (BTreeSet::new(), Vec::new(), Vec::new());
        for id in ids {
            match cache.peek(&self.chain_of(&id), &id, &as_of) {
                Some(Found { one, judged }) => {
                    if judged != as_of {
                        let from = Begin::behind(judged);
                        let look =
                            |term: &Term| PageWanted { term: *term, from: from.clone(), limit: 1 };
                        wanted.extend(one.watched().iter().map(look));
                        known.push((id, one));
                    }
                }
                None => {
                    fresh.insert(id);
                }
            }
        }
        self.read_pages(&wanted);
        let has_new =
            |one: &T| one.watched().iter().any(|term| self.hits_at_hand(*term).next().is_some());
        fresh.extend(known.into_iter().filter(|(_, one)| has_new(one)).map(|(id, _)| id));
        fresh
    }

    /// Reads what decides where tokens with these ids stand, and what has their digests, all
    /// together.
    pub fn read_presented(&mut self, ids: BTreeSet<String>) {
        self.read_parts(ids, Part::Status);
    }

    /// Reads a part of the lives of these ids and of their other ids, and what covers them.
    pub(super) fn read_parts(&mut self, mut level: BTreeSet<String>, part: Part) {
        let mut wide = BTreeSet::new();
        for _ in 0..MAX_IDS {
            level.retain(|id| self.planned.insert((part, id.clone())));
            if level.is_empty() {
                break;
            }
            let wanted: Vec<Wanted> = level.iter().map(|id| self.wanted(id, part)).collect();
            let terms = wanted.iter().flat_map(Wanted::terms).map(page);
            match part {
                Part::Lives => self.read_hits(&terms.collect::<Vec<_>>()),
                Part::Summaries | Part::Status => {
                    self.read_pages(&terms.collect::<Vec<_>>());
                    self.read_deciding(&wanted);
                }
            }
            let mut next = BTreeSet::new();
            for (id, wanted) in level.iter().zip(&wanted) {
                self.peek_at(id, wanted, part, &mut next, &mut wide);
            }
            level = next;
        }
        wide.retain(|key| !self.wide.contains_key(key));
        let tenant = self.scope().tenant.clone();
        let wanted = wide.iter().map(|(kind, id)| {
            let chain = ChainKey { kind: *kind, tenant: &tenant, id };
            page(OfLife::Acts.term(&chain_term(self.view.terms(), &chain)))
        });
        let wanted: Vec<PageWanted> = wanted.collect();
        self.read_hits(&wanted);
    }

    /// Reads what decides of chains whose first pages are at hand, and who names their ids.
    fn read_deciding(&mut self, wanted: &[Wanted]) {
        let (mut lists, mut leaves) = (Vec::new(), Vec::new());
        for one in wanted {
            let chain: Vec<EntryRef> = self.hits_at_hand(one.chain).collect();
            if chain.len() <= SHORT {
                leaves.extend(chain);
            } else {
                lists.extend(OfLife::ALL.map(|list| page(list.term(&one.chain))));
                for of_log in chain.chunk_by(|one, next| one.log == next.log) {
                    leaves.extend(of_log.first());
                    leaves.extend(of_log.last());
                }
            }
            for term in [Some(one.alias), one.rest].into_iter().flatten() {
                leaves.extend(self.hits_at_hand(term));
            }
        }
        self.read_pages(&lists);
        for list in &lists {
            leaves.extend(self.hits_at_hand(list.term));
        }
        self.read_leaves(&leaves);
    }

    /// What leads to the entries of one id: its chain, those that call it so, and the rest.
    fn wanted(&self, id: &str, part: Part) -> Wanted {
        let (terms, tenant) = (self.view.terms(), &*self.scope().tenant);
        let chain = self.chain_of(id);
        let names = self.scope().at.is_some().then(|| OfLife::Names.term(&chain));
        let rest = match part {
            Part::Lives => Some(By::Parent(id).term(terms, tenant)),
            Part::Summaries => None,
            Part::Status => {
                let digest = ledgerline_index::terms::presented_digest(id);
                digest.map(|digest| By::Presented(digest).term(terms, tenant))
            }
        };
        Wanted { chain, alias: By::Alias(id).term(terms, tenant), rest, names }
    }

    /// What will be needed besides, as far as it shows at a glance: other ids, and the wider things
    /// that the token was born to. A chain begins with its birth.
    fn peek_at(
        &self,
        id: &str,
        wanted: &Wanted,
        part: Part,
        ids: &mut BTreeSet<String>,
        wide: &mut BTreeSet<WideKey>,
    ) {
        let first = self.hits_at_hand(wanted.chain).next();
        let rest = wanted.rest.filter(|_| part == Part::Status);
        // Not at hand where nobody asked for it.
        let names = Some(OfLife::Names.term(&wanted.chain));
        let naming = [Some(wanted.alias), names, rest].into_iter().flatten();
        let naming = naming.flat_map(|term| self.hits_at_hand(term));
        for at in first.into_iter().chain(naming) {
            self.peek(at, |entry, one| {
                ids.extend(joined_ids(one, id).map(str::to_owned));
                if is_birth(one) {
                    wide.extend(wide_chains(entry, one));
                }
            });
        }
    }
}

/// What leads to the entries of one id.
struct Wanted {
    /// Its chain.
    chain: Term,
    /// Those that call it so.
    alias: Term,
    /// Its children, or those who presented it.
    rest: Option<Term>,
    /// Those that give it other names, where a time is asked for.
    names: Option<Term>,
}

impl Wanted {
    fn terms(&self) -> impl Iterator<Item = Term> {
        let Self { chain, alias, rest, names } = *self;
        [Some(chain), Some(alias), rest, names].into_iter().flatten()
    }
}

fn page(term: Term) -> PageWanted {
    PageWanted { term, from: EntryRef::FIRST.into(), limit: PAGE }
}
