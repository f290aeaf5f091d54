//! Reads and judges the lives of tokens: all ids, all events, what covers them, what links to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::{By, OfLife, chain_term, is_birth};
use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::lifecycle::{self, Fact, Revocation};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{Outcome, TargetKind};
use ledgerline_view::address::{AsOf, Begin, EntryRef};
use ledgerline_view::view::QueryError;

use super::edge::{Edge, edges_of};
use super::query_context::QueryContext;
use super::reader::{Cut, PAGE};
use super::record::Record;
use super::summary::SHORT;
use super::token::{Facts, Summary, Token, wide_chains};
use super::token_cache::{Found, Judged, Remembered};
use crate::facts::{MAX_IDS, fact_of, joined_ids};
use crate::life::{Judgement, stands_of};

/// Entries of one chain, and entries that link to one id, that are looked at.
pub(super) const MAX_ENTRIES: usize = 20_000;
/// Entries that name an id, and acts of one id, that decide where a token stands.
const MAX_DECIDING: usize = 100_000;

impl QueryContext<'_> {
    /// The token that has this id, among others perhaps.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn token(&mut self, id: &str) -> Result<Arc<Token>, QueryError> {
        if let Some(known) = self.tokens.get(id) {
            return Ok(Arc::clone(known));
        }
        self.read_tokens([id.to_owned()]);
        let token = match self.remembered(id)? {
            Some(token) => token,
            None => self.judge(id)?,
        };
        token.covered_by.iter().for_each(|at| self.cite(*at));
        for id in &token.ids {
            self.tokens.insert(id.clone(), Arc::clone(&token));
        }
        Ok(token)
    }

    /// The life that was judged before, if nothing was committed about it since and the budget
    /// holds its entries.
    fn remembered(&mut self, id: &str) -> Result<Option<Arc<Token>>, QueryError> {
        let caches = self.caches.clone();
        let lives = caches.as_deref().map(|all| &all.lives);
        let Some(token) = self.found(lives, id, |token| token.records.len())? else {
            return Ok(None);
        };
        self.records.reserve(token.records.len());
        for record in &token.records {
            if !self.records.contains_key(&record.at) {
                self.charge(&[record.at]);
                self.paid.remove(&record.at);
                self.records.insert(record.at, Some(Arc::clone(record)));
            }
        }
        Ok(Some(token))
    }

    /// What was judged before of the token with this id, if it is what would be judged now, and the
    /// budget holds the entries that it took.
    pub(super) fn found<T: Judged>(
        &mut self,
        cache: Option<&Remembered<T>>,
        id: &str,
        entries: impl Fn(&T) -> usize,
    ) -> Result<Option<Arc<T>>, QueryError> {
        let Some(cache) = cache else { return Ok(None) };
        let as_of = self.scope().as_of.clone();
        let name = self.chain_of(id);
        let Some(Found { one, judged }) = cache.find(&name, id, &as_of) else { return Ok(None) };
        // All of them may be new; with nothing left over a plain reading would have been cut.
        let most = u32::try_from(entries(&one)).unwrap_or(u32::MAX);
        let holds = most < self.entries_left && one.judged().contains(&self.scope().judged_at);
        if !holds || (judged != as_of && self.has_new(one.watched(), judged.clone())?) {
            cache.note_stale();
            return Ok(None);
        }
        if judged != as_of {
            cache.keep(&name, &one, &as_of);
        }
        Ok(Some(one))
    }

    /// Whether anything was committed under these terms behind a state. What the budget cut may
    /// hold something, too.
    fn has_new(&mut self, terms: &[Term], behind: AsOf) -> Result<bool, QueryError> {
        let begin = Begin::behind(behind);
        for term in terms {
            let (new, rest) = self.postings(term, begin.clone(), 1)?;
            if !new.is_empty() || rest.is_some() || self.is_spent() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads and judges a whole life.
    fn judge(&mut self, id: &str) -> Result<Arc<Token>, QueryError> {
        let cuts = self.cut_count();
        let (ids, lived) = self.identity(id)?;
        let (mut summary, edges, records) = self.assemble(id, ids, lived);
        let mut covering = self.cover(&mut summary, &records)?;
        if self.cut_count() != cuts {
            self.judge_whole(id, &mut summary)?;
        }
        covering.watched.extend(self.own_terms(&summary.ids));
        covering.watched.extend(self.links_terms(&summary.ids));
        let mut token = Token {
            summary: Arc::new(summary),
            records,
            edges,
            judged: covering.judged,
            watched: covering.watched,
        };
        self.links_to(&mut token)?;
        let token = Arc::new(token);
        let is_whole = self.cut_count() == cuts && !token.records.is_empty();
        if let Some(caches) = self.caches.as_ref().filter(|_| is_whole) {
            caches.lives.keep(&self.chain_of(id), &token, &self.scope().as_of);
        }
        Ok(token)
    }

    /// By what new events of a token with these ids would be found.
    pub(super) fn own_terms(&self, ids: &BTreeSet<String>) -> Vec<Term> {
        let (terms, tenant) = (self.view.terms(), &*self.scope().tenant);
        ids.iter().flat_map(|id| [By::Alias(id).term(terms, tenant), self.chain_of(id)]).collect()
    }

    /// By what new links to a token with these ids would be found.
    fn links_terms(&self, ids: &BTreeSet<String>) -> Vec<Term> {
        let (terms, tenant) = (self.view.terms(), &*self.scope().tenant);
        ids.iter().map(|id| By::Parent(id).term(terms, tenant)).collect()
    }

    /// The states of a token of which too much is recorded to be looked at: by all of it, never by
    /// its oldest part. The cut stays noted, for the rest of the answer is of that part.
    fn judge_whole(&self, id: &str, summary: &mut Summary) -> Result<(), QueryError> {
        let scope = self.scope();
        let judgement = Judgement { at: scope.judged_at, by: scope.at.unwrap_or(i64::MAX) };
        let ids = BTreeSet::from([id.to_owned()]);
        if let Some(whole) =
            stands_of(self.view, &scope.tenant, &ids, &scope.as_of, judgement, scope.at)?
        {
            (summary.known, summary.happened) = (whole.known, whole.happened);
            (summary.covered_by, summary.ids) = (whole.covered_by, whole.ids);
        }
        summary.is_part = true;
        Ok(())
    }

    /// All ids of a token, and the events of all their chains.
    fn identity(&mut self, id: &str) -> Result<(BTreeSet<String>, Vec<Lived>), QueryError> {
        let mut lived: Vec<Lived> = Vec::new();
        if self.scope().at.is_some() {
            // Which ids are one token's is no act: it is so whenever it is said.
            let ids = self.ids_ever(id)?;
            for id in &ids {
                lived.extend(self.of_one_id(id, MAX_ENTRIES)?.0);
            }
            lived.sort_unstable_by_key(|(record, _)| record.at);
            return Ok((ids, lived));
        }
        let mut ids = BTreeSet::from([id.to_owned()]);
        let mut todo = vec![id.to_owned()];
        while let Some(id) = todo.pop() {
            let (chain, others) = self.of_one_id(&id, MAX_ENTRIES)?;
            for other in others {
                if ids.len() >= MAX_IDS && !ids.contains(&other) {
                    self.cut(Cut::Width);
                } else if ids.insert(other.clone()) {
                    todo.push(other);
                }
            }
            lived.extend(chain);
        }
        lived.sort_unstable_by_key(|(record, _)| record.at);
        Ok((ids, lived))
    }

    /// The events of one id's chain, and all other ids that they or others say are the same
    /// token's.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn of_one_id(
        &mut self,
        id: &str,
        most: usize,
    ) -> Result<(Vec<Lived>, BTreeSet<String>), QueryError> {
        let tenant = self.scope().tenant.clone();
        let key = ChainKey { kind: TargetKind::Token, tenant: &tenant, id: id.as_bytes() };
        let mut facts = Vec::new();
        let term = chain_term(self.view.terms(), &key);
        let records = self.records(&term, most, |entry, one| {
            let is_its = chain_key(one, &entry.handles) == Some(key);
            facts.extend(is_its.then(|| fact_of(entry, one)));
            is_its
        })?;
        let chain: Vec<Lived> = records.into_iter().zip(facts).collect();
        let chained: Vec<_> = chain.iter().map(|(record, _)| Arc::clone(record)).collect();
        let ids = self.other_ids(id, &chained, most)?;
        Ok((chain, ids))
    }

    /// All ids of a token by all that is recorded, whenever it occurred.
    fn ids_ever(&mut self, id: &str) -> Result<BTreeSet<String>, QueryError> {
        self.whenever(|whole| whole.ids_of(id))
    }

    /// All ids of a token, without its events.
    pub fn ids_of(&mut self, id: &str) -> Result<BTreeSet<String>, QueryError> {
        let mut ids = BTreeSet::from([id.to_owned()]);
        let mut todo = vec![id.to_owned()];
        while let Some(id) = todo.pop() {
            let tenant = self.scope().tenant.clone();
            let key = ChainKey { kind: TargetKind::Token, tenant: &tenant, id: id.as_bytes() };
            let term = OfLife::Names.term(&chain_term(self.view.terms(), &key));
            let naming = self.records(&term, MAX_ENTRIES, |entry, one| {
                chain_key(one, &entry.handles) == Some(key)
            })?;
            for other in self.other_ids(&id, &naming, MAX_ENTRIES)? {
                if ids.len() >= MAX_IDS && !ids.contains(&other) {
                    self.cut(Cut::Width);
                } else if ids.insert(other.clone()) {
                    todo.push(other);
                }
            }
        }
        Ok(ids)
    }

    /// All other ids that events of a chain, or others, say are the same token's.
    pub(super) fn other_ids(
        &mut self,
        id: &str,
        chain: &[Arc<Record>],
        most: usize,
    ) -> Result<BTreeSet<String>, QueryError> {
        let term = By::Alias(id).term(self.view.terms(), &self.scope().tenant);
        let naming = self.records(&term, most, |_, statement| {
            statement.target.kind == TargetKind::Token && statement.also_known_as.contains(&id)
        })?;
        let mut ids = BTreeSet::new();
        // Of the chain only what gives others has other ids than this one.
        let chained = chain.iter().filter(|record| record.has_aliases);
        for record in chained.chain(&naming) {
            record.read(|_, statement| {
                ids.extend(joined_ids(statement, id).map(str::to_owned));
            });
        }
        Ok(ids)
    }

    /// As [`Self::of_one_id`], of a context of one origin alone: only what decides where the
    /// token stands.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn deciding(&mut self, id: &str) -> Result<Decided, QueryError> {
        let chain = self.chain_of(id);
        let (first, rest) = self.postings(&chain, EntryRef::FIRST, PAGE)?;
        let Deciding { entries, whole, .. } =
            self.deciding_entries(&chain, &first, rest.is_none())?;
        let tenant = self.scope().tenant.clone();
        let key = ChainKey { kind: TargetKind::Token, tenant: &tenant, id: id.as_bytes() };
        let chain = self
            .records_at(&entries, &mut |entry, one| chain_key(one, &entry.handles) == Some(key))?;
        let ids = self.other_ids(id, &chain, MAX_DECIDING)?;
        Ok(Decided { chain, ids, whole })
    }

    /// What decides about the target of a chain that begins with `first`, and of which that is all
    /// or not. Of each log that `first` has entries of, its first and last one is among them.
    pub(super) fn deciding_entries(
        &mut self,
        chain: &Term,
        first: &[EntryRef],
        is_all: bool,
    ) -> Result<Deciding, QueryError> {
        if is_all && first.len() <= SHORT {
            let entries = first.to_vec();
            return Ok(Deciding { entries, whole: true, left_out: false });
        }
        let mut entries = Vec::new();
        for of_log in first.chunk_by(|one, next| one.log == next.log) {
            entries.extend(of_log.first());
            entries.extend(of_log.last());
        }
        if !is_all {
            entries.extend(self.newest_entries(chain, 1)?);
        }
        let acts = OfLife::Acts.term(chain);
        let (some, is_cut) = self.entries_of(&acts, MAX_DECIDING)?;
        entries.extend(some);
        if is_cut {
            entries.extend(self.newest_entries(&acts, MAX_DECIDING)?);
        }
        let refreshes = OfLife::Refreshes.term(chain);
        let (all, rest) = self.postings(&refreshes, EntryRef::FIRST, PAGE)?;
        match rest {
            None => entries.extend(all),
            Some(_) => entries.extend(self.newest_entries(&refreshes, PAGE)?),
        }
        entries.extend(self.entries_of(&OfLife::Names.term(chain), MAX_DECIDING)?.0);
        entries.sort_unstable();
        entries.dedup();
        Ok(Deciding { entries, whole: false, left_out: rest.is_some() })
    }

    /// The entries of a term in scope, ascending, not confirmed, and whether there are more than
    /// `most`, which are cut.
    pub(super) fn entries_of(
        &mut self,
        term: &Term,
        most: usize,
    ) -> Result<(Vec<EntryRef>, bool), QueryError> {
        let (mut found, mut from) = (Vec::new(), EntryRef::FIRST);
        while found.len() < most && !self.is_spent() {
            let (some, next) = self.postings(term, from, PAGE)?;
            found.extend(some);
            match next {
                Some(next) => from = next,
                None => return Ok((found, false)),
            }
        }
        let is_spent = self.is_spent();
        self.cut(if is_spent { Cut::Reads } else { Cut::Width });
        Ok((found, true))
    }

    /// The newest events of a token of which not all is at hand, at most `most` of each id, and
    /// those that are: each once, ascending.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn newest_records(
        &mut self,
        token: &Token,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, QueryError> {
        let mut records: BTreeMap<EntryRef, Arc<Record>> =
            token.records.iter().map(|one| (one.at, Arc::clone(one))).collect();
        let tenant = self.scope().tenant.clone();
        for id in &token.ids {
            let key = ChainKey { kind: TargetKind::Token, tenant: &tenant, id: id.as_bytes() };
            let term = chain_term(self.view.terms(), &key);
            let newest = self.newest_entries(&term, most)?;
            let found = self.records_at(&newest, &mut |entry, one| {
                chain_key(one, &entry.handles) == Some(key)
            })?;
            records.extend(found.into_iter().map(|record| (record.at, record)));
        }
        Ok(records.into_values().collect())
    }

    /// A chain's events in scope, at most `most`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn chain(
        &mut self,
        kind: TargetKind,
        id: &[u8],
        most: usize,
    ) -> Result<Vec<Arc<Record>>, QueryError> {
        let tenant = self.scope().tenant.clone();
        let key = ChainKey { kind, tenant: &tenant, id };
        let term = chain_term(self.view.terms(), &key);
        self.records(&term, most, |entry, statement| {
            chain_key(statement, &entry.handles) == Some(key)
        })
    }

    /// What a token's events say of it, their edges, and the records that they are.
    pub(super) fn assemble(
        &self,
        id: &str,
        ids: BTreeSet<String>,
        lived: Vec<Lived>,
    ) -> (Summary, Vec<Edge>, Vec<Arc<Record>>) {
        let mut facts: Vec<Fact<'_>> = Vec::with_capacity(lived.len());
        let (mut births, mut edges) = (Vec::new(), Vec::new());
        let (mut told, mut own) = (None, None);
        for (record, fact) in &lived {
            // The rest of a plain event says nothing more about its token.
            if let Some(fact) = fact.as_ref().filter(|_| told.is_some() && !record.has_links) {
                facts.push(Fact { index: record.at.rank(), ..fact.clone() });
                continue;
            }
            record.read(|entry, statement| {
                facts.push(Fact::of(statement, record.at.rank(), entry.recorded_at));
                let is_born = is_birth(statement) && done(statement);
                if told.is_none() || (is_born && births.is_empty()) {
                    told = Some(Facts::of(statement, &entry.handles));
                }
                if is_born {
                    births.push(record.at);
                }
                own.get_or_insert_with(|| statement.target.id.to_owned());
                edges.extend(edges_of(statement, record.at));
            });
        }
        let (known, happened) = (lifecycle::known(&facts), lifecycle::happened(&facts));
        drop(facts);
        // Before anything occurred under any of its ids, one is as good as another.
        let own = own.or_else(|| ids.first().cloned());
        let summary = Summary {
            id: own.unwrap_or_else(|| id.to_owned()),
            ids,
            events: lived.iter().map(|(record, _)| record.at).collect(),
            known,
            happened,
            births,
            covered_by: Vec::new(),
            facts: told.unwrap_or_default(),
            is_part: false,
        };
        (summary, edges, lived.into_iter().map(|(record, _)| record).collect())
    }

    /// Applies the revocations of something wider that cover the token, by any of its births, which
    /// are among these records.
    pub(super) fn cover(
        &mut self,
        summary: &mut Summary,
        records: &[Arc<Record>],
    ) -> Result<Covering, QueryError> {
        let is_birth = |record: &&Arc<Record>| summary.births.contains(&record.at);
        let births: Vec<_> = records.iter().filter(is_birth).cloned().collect();
        let chains: BTreeSet<_> = births.iter().flat_map(|birth| birth.read(wide_chains)).collect();
        let judged_at = self.scope().judged_at;
        let mut covering = Covering { judged: i64::MIN..i64::MAX, watched: Vec::new() };
        for (kind, id) in chains {
            let tenant = &*self.scope().tenant;
            let term = chain_term(self.view.terms(), &ChainKey { kind, tenant, id: &id });
            covering.watched.push(term);
            for at in self.revocations(kind, id)?.iter() {
                let Some(record) = self.record(*at)? else { continue };
                let effective_at = record.read(|entry, statement| {
                    let revocation =
                        Revocation::of(statement, &entry.handles, at.rank(), entry.recorded_at)?;
                    let covers = |birth: &Arc<Record>| {
                        birth.read(|entry, one| lifecycle::covers(&revocation, one, &entry.handles))
                    };
                    births.iter().any(covers).then_some(revocation.effective_at)
                });
                match effective_at {
                    Some(nanos) if nanos <= judged_at => {
                        lifecycle::end_by(&mut summary.known, nanos);
                        lifecycle::end_by(&mut summary.happened, nanos);
                        summary.covered_by.push(*at);
                        covering.judged.start = covering.judged.start.max(nanos);
                    }
                    Some(nanos) => covering.judged.end = covering.judged.end.min(nanos),
                    None => {}
                }
            }
        }
        Ok(covering)
    }

    /// The REVOKED entries of something wider than a token.
    pub fn revocations(
        &mut self,
        kind: TargetKind,
        id: Vec<u8>,
    ) -> Result<Arc<Vec<EntryRef>>, QueryError> {
        let key = (kind, id);
        if let Some(known) = self.wide.get(&key) {
            return Ok(Arc::clone(known));
        }
        let id = &key.1;
        let tenant = self.scope().tenant.clone();
        let chain = ChainKey { kind, tenant: &tenant, id };
        let term = OfLife::Acts.term(&chain_term(self.view.terms(), &chain));
        // However many: the budget says when it is enough.
        let found = self.records(&term, usize::MAX, |entry, one| {
            let found = Revocation::of(one, &entry.handles, 0, entry.recorded_at);
            found.is_some_and(|found| found.target == chain)
        })?;
        let found: Vec<EntryRef> = found.iter().map(|record| record.at).collect();
        let found = Arc::new(found);
        self.wide.insert(key, Arc::clone(&found));
        Ok(found)
    }

    /// The edges that the events of others state.
    fn links_to(&mut self, token: &mut Token) -> Result<(), QueryError> {
        let summary = Arc::clone(&token.summary);
        for id in &summary.ids {
            let term = By::Parent(id).term(self.view.terms(), &self.scope().tenant);
            let naming = self.records(&term, MAX_ENTRIES, |_, statement| {
                statement.target.kind == TargetKind::Token
                    && statement.links.iter().any(|link| link.token == Some(&**id))
            })?;
            for record in naming {
                let about = |edge: &Edge| edge.parent == *id || edge.child == *id;
                let edges = record.read(|_, statement| edges_of(statement, record.at));
                token.edges.extend(edges.into_iter().filter(about));
            }
        }
        Ok(())
    }
}

/// What decides where a token stands, of the chain of one of its ids.
pub struct Decided {
    /// The events.
    pub chain: Vec<Arc<Record>>,
    /// Its other ids.
    pub ids: BTreeSet<String>,
    /// Whether that is the whole chain.
    pub whole: bool,
}

/// What decides about the target of a chain.
pub(super) struct Deciding {
    /// Ascending, not confirmed.
    pub(super) entries: Vec<EntryRef>,
    /// Whether that is the whole chain.
    pub(super) whole: bool,
    /// Whether there are more refreshes than a page, of which the oldest are left out.
    pub(super) left_out: bool,
}

/// How long a judgement of what covers a token holds.
pub(super) struct Covering {
    /// Times of judgement at which the same revocations are in force.
    pub(super) judged: Range<i64>,
    /// On which chains others would stand.
    pub(super) watched: Vec<Term>,
}

/// An event of a token, and its fact where that needs nothing more of the leaf.
pub type Lived = (Arc<Record>, Option<Fact<'static>>);

fn done(statement: &Statement<'_>) -> bool {
    statement.outcome == Outcome::Allow
}
