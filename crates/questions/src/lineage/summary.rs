//! Token summaries: where tokens stand, without reading their lives.
//!
//! ```text
//! id ──▶ chain: where its events are                      (index alone, however many)
//!        acts · refreshes · names · first · newest ──▶ leaves ──▶ states, births, facts, other ids
//!        births ──▶ revocations of something wider
//! ```
//!
//! The index keeps the acts of a token in lists of their own ([`OfLife`]): they are its stored
//! summary. They follow from the entries, are built again like any posting, are compared with them
//! by `verify --index`, and are as of every size, which nothing that is overwritten could be.
//!
//! Promises: what the whole life gives, but for records and edges. Of a life of twenty events two
//! or three leaves are read.
//!
//! Assumes: mere uses change no state ([`changes_state`]), but for codes.
//!
//! Refuses: codes, more refreshes than a page, what is asked about a time of the past, and what a
//! bound cuts. Of these the whole life is read.
//!
//! [`OfLife`]: ledgerline_index::terms::OfLife
//! [`changes_state`]: ledgerline_proof::lifecycle::changes_state

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::vocabulary::{TargetKind, TokenKind};
use ledgerline_view::address::EntryRef;
use ledgerline_view::chains::Reach;
use ledgerline_view::view::QueryError;

use super::judge::{Covering, Deciding, Lived, MAX_ENTRIES};
use super::query_context::{Part, QueryContext};
use super::reader::Cut;
use super::token::Summary;
use super::token_cache::Brief;
use crate::facts::{MAX_IDS, fact_of};

/// A chain of no more events is read whole: what decides is most of it.
pub(super) const SHORT: usize = Reach::STATE.long;

impl QueryContext<'_> {
    /// Where the token stands that has this id, among others perhaps.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn summary(&mut self, id: &str) -> Result<Arc<Summary>, QueryError> {
        if let Some(token) = self.tokens.get(id) {
            return Ok(Arc::clone(&token.summary));
        }
        if let Some(known) = self.summaries.get(id) {
            return Ok(Arc::clone(known));
        }
        self.read_summaries([id.to_owned()]);
        let summary = match self.remembered_brief(id)? {
            Some(known) => Arc::clone(&known.summary),
            None => match self.by_what_decides(id)? {
                Some(brief) => self.remember(id, brief),
                None => return Ok(Arc::clone(&self.token(id)?.summary)),
            },
        };
        summary.covered_by.iter().for_each(|at| self.cite(*at));
        for id in &summary.ids {
            self.summaries.insert(id.clone(), Arc::clone(&summary));
        }
        Ok(summary)
    }

    /// Reads what the summaries of tokens with these ids take, all together.
    pub(crate) fn read_summaries(&mut self, ids: impl IntoIterator<Item = String>) {
        if self.scope().at.is_some() {
            return self.read_tokens(ids);
        }
        if self.hand.is_off {
            return;
        }
        let is_new =
            |id: &String| !self.tokens.contains_key(id) && !self.summaries.contains_key(id);
        let level: BTreeSet<String> = ids.into_iter().filter(is_new).collect();
        let caches = self.caches.clone();
        let level = self.without_remembered(caches.as_deref().map(|all| &all.summaries), level);
        self.read_parts(level, Part::Summaries);
    }

    /// What was judged before, if nothing was committed about the token since.
    fn remembered_brief(&mut self, id: &str) -> Result<Option<Arc<Brief>>, QueryError> {
        let caches = self.caches.clone();
        let summaries = caches.as_deref().map(|all| &all.summaries);
        let found = self.found(summaries, id, |brief| brief.read.len())?;
        if let Some(brief) = &found {
            self.charge(&brief.read);
        }
        Ok(found)
    }

    fn remember(&self, id: &str, brief: Brief) -> Arc<Summary> {
        let (brief, as_of) = (Arc::new(brief), &self.scope().as_of);
        let caches = self.caches.as_ref().filter(|_| !brief.summary.events.is_empty());
        if let Some(caches) = caches {
            caches.summaries.keep(&self.chain_of(id), &brief, as_of);
        }
        Arc::clone(&brief.summary)
    }

    /// Judges a token by what decides. `None` where that takes its whole life.
    fn by_what_decides(&mut self, id: &str) -> Result<Option<Brief>, QueryError> {
        if self.scope().at.is_some() {
            return Ok(None);
        }
        let cuts = self.cut_count();
        let (mut ids, mut todo) = (BTreeSet::from([id.to_owned()]), vec![id.to_owned()]);
        let (mut lived, mut events): (Vec<Lived>, _) = (Vec::new(), Vec::new());
        let (mut whole, mut left_out) = (true, false);
        while let Some(id) = todo.pop() {
            let found = self.deciding_of_one_id(&id)?;
            for other in found.ids {
                if ids.len() >= MAX_IDS && !ids.contains(&other) {
                    self.cut(Cut::Width);
                } else if ids.insert(other.clone()) {
                    todo.push(other);
                }
            }
            lived.extend(found.lived);
            events.extend(found.events);
            whole &= found.whole;
            left_out |= found.left_out;
        }
        lived.sort_unstable_by_key(|(record, _)| record.at);
        events.sort_unstable();
        let (mut summary, _, records) = self.assemble(id, ids, lived);
        // Of a code every use counts.
        let is_code = |kind: Option<TokenKind>| kind.is_some_and(TokenKind::is_code);
        let is_code = is_code(summary.known.token_kind) || is_code(summary.happened.token_kind);
        let read = summary.events.clone();
        let Covering { judged, mut watched } = self.cover(&mut summary, &records)?;
        if self.cut_count() != cuts || left_out || (is_code && !whole) {
            return Ok(None);
        }
        summary.events = events;
        watched.extend(self.own_terms(&summary.ids));
        Ok(Some(Brief { summary: Arc::new(summary), read, judged, watched }))
    }

    /// What decides of the chain of one id, and where all of it is.
    fn deciding_of_one_id(&mut self, id: &str) -> Result<OneId, QueryError> {
        let chain = self.chain_of(id);
        let (mut events, _) = self.entries_of(&chain, MAX_ENTRIES)?;
        let Deciding { entries, whole, left_out } = self.deciding_entries(&chain, &events, true)?;
        let tenant = self.scope().tenant.clone();
        let key = ChainKey { kind: TargetKind::Token, tenant: &tenant, id: id.as_bytes() };
        let mut facts = Vec::with_capacity(entries.len());
        let records = self.records_at(&entries, &mut |entry, one| {
            let is_its = chain_key(one, &entry.handles) == Some(key);
            facts.extend(is_its.then(|| fact_of(entry, one)));
            is_its
        })?;
        let ids = self.other_ids(id, &records, MAX_ENTRIES)?;
        if records.len() < entries.len() {
            let its = |at: &EntryRef| records.iter().any(|record| record.at == *at);
            events.retain(|at| its(at) || entries.binary_search(at).is_err());
        }
        let lived = records.into_iter().zip(facts).collect();
        Ok(OneId { ids, lived, events, whole, left_out })
    }
}

/// What decides of the chain of one id.
struct OneId {
    /// The token's other ids.
    ids: BTreeSet<String>,
    lived: Vec<Lived>,
    /// Where all events of the chain are.
    events: Vec<EntryRef>,
    /// Whether all of them decide.
    whole: bool,
    /// Whether some that may decide were left out.
    left_out: bool,
}
