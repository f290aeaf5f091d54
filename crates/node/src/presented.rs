//! What a node does with presented tokens: introspection by cached answers, revoking, and recording
//! that they were used.
//!
//! Promises: what is revoked or recorded here goes the way of all events.

use std::io;
use std::sync::Arc;

use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::{uses_gap, uses_gap::Waiting};
use ledgerline_index::TermKind;
use ledgerline_index::terms::{chain_term, issuer_of};
use ledgerline_introspection::{
    Answer, AnswerName, CachedAnswer, Presented, TokenStatus, claims, part,
};
use ledgerline_ledger::intake::{Reply, RevokeToken, SeenUse, SubmitError};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::token_id::hashed_jti;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_view::registry::Caller;
use ledgerline_view::view::QueryError;

use super::{AdminError, Node};

/// Events of a token that are not read again for each change of it. Others are read sooner than
/// remembered.
const LONG_LIFE: usize = 64;

/// A token under each of its ids that nobody joined.
pub struct Found {
    /// Where it stands under each.
    pub statuses: Vec<Arc<TokenStatus>>,
    /// Those of which more is recorded than one answer may read.
    pub unread: Vec<Arc<TokenStatus>>,
}

impl Node {
    /// The wall time, Unix nanoseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.inner.world.clock.wall_nanos()
    }

    /// Where a token stands now, in the newest committed state.
    ///
    /// # Errors
    /// As [`ledgerline_introspection::token_status`].
    pub fn token_status(
        &self,
        tenant: &str,
        presented: Presented<'_>,
    ) -> Result<Option<Arc<TokenStatus>>, QueryError> {
        let now = self.inner.world.clock.wall_nanos();
        self.inner.statuses.token_status(&self.view(), tenant, presented, now, 0)
    }

    /// As [`Self::token_status`], of as much as one answer may read: for whoever ends the token.
    ///
    /// # Errors
    /// As [`ledgerline_introspection::part`].
    pub fn part(
        &self,
        tenant: &str,
        presented: Presented<'_>,
    ) -> Result<Option<Arc<TokenStatus>>, QueryError> {
        match self.token_status(tenant, presented) {
            Err(QueryError::Budget) => {
                Ok(part(&self.view(), tenant, presented, self.now())?.map(Arc::new))
            }
            found => found,
        }
    }

    /// Each token that a presented digest may mean, one for each issuer that has it: where it
    /// stands, or as much of it as one answer may read. An issuer's record neither hides another's
    /// nor makes it unreadable.
    ///
    /// # Errors
    /// As [`Self::part`].
    pub fn each_status(
        &self,
        tenant: &str,
        digest: &str,
    ) -> Result<Vec<Arc<TokenStatus>>, QueryError> {
        let claims = match self.token_status(tenant, Presented::Digest(digest)) {
            Ok(Some(one)) if !one.claims.is_empty() => one.claims.clone(),
            Ok(found) => return Ok(found.into_iter().collect()),
            Err(QueryError::Budget) => claims(&self.view(), tenant, digest, self.now())?,
            Err(error) => return Err(error),
        };
        let mut each = Vec::new();
        for ids in &claims {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            each.extend(self.part(tenant, Presented::Ids(&ids))?);
        }
        Ok(each)
    }

    /// A token that somebody found, by its digest, its id, or both: under each of its ids that
    /// nobody joined, those that may be used first.
    ///
    /// # Errors
    /// As [`Self::part`].
    pub fn found(
        &self,
        tenant: &str,
        digest: Option<&str>,
        id: Option<&str>,
    ) -> Result<Found, QueryError> {
        let by_digest = digest.map(|digest| self.each_status(tenant, digest));
        let mut all = by_digest.transpose()?.unwrap_or_default();
        // By its digest also where it was never issued under it, by its jti also where that is
        // hashed.
        let front = id.and_then(issuer_of).zip(digest);
        let own = front.map(|(front, digest)| format!("{front}:t1:{digest}"));
        let hashed = id.and_then(hashed_jti);
        for id in own.as_deref().into_iter().chain(id).chain(hashed.as_deref()) {
            if !all.iter().any(|known| known.ids.contains(id)) {
                all.extend(self.part(tenant, Presented::Id(id))?);
            }
        }
        let now = self.now();
        let (mut statuses, unread): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| one.is_decided(now));
        // What was only ever used under another name says nothing against what is known.
        let says = |one: &Arc<TokenStatus>| one.state.state_at(now) != State::Unknown;
        if statuses.iter().any(says) || !unread.is_empty() {
            statuses.retain(says);
        }
        statuses.sort_by_key(|one| (!one.is_active(now), one.state.first_index));
        Ok(Found { statuses, unread })
    }

    /// The name of what was presented in a tenant: its parts in one order, none of them secret.
    #[must_use]
    pub fn answer_name(&self, tenant: &str, parts: &[&[u8]]) -> AnswerName {
        // Chains have one byte as their first part.
        let all: Vec<&[u8]> = [&b"head"[..]].into_iter().chain(parts.iter().copied()).collect();
        AnswerName::of(&self.inner.terms.term(TermKind::Chain, tenant, &all))
    }

    /// The cached answer about a token that was presented before, unless it is stale: no input or
    /// output. `None` says nothing about the token.
    #[must_use]
    pub fn cached_answer(&self, name: AnswerName) -> Option<Arc<CachedAnswer>> {
        let inner = &self.inner;
        inner.answers.get(&inner.change_marks, name, inner.world.clock.wall_nanos())
    }

    /// What is to be said of a token in the newest committed state, by `tell`; cached under `name`
    /// from then on. `None` when nobody knows the token.
    ///
    /// # Errors
    /// As [`ledgerline_introspection::token_status`].
    pub fn answer(
        &self,
        tenant: &str,
        presented: Presented<'_>,
        name: AnswerName,
        tell: impl FnOnce(&TokenStatus) -> Answer,
    ) -> Result<Option<Arc<CachedAnswer>>, QueryError> {
        let view = self.view();
        let now = self.inner.world.clock.wall_nanos();
        let statuses = &self.inner.statuses;
        let found = statuses.token_status(&view, tenant, presented, now, LONG_LIFE)?;
        let Some(status) = found else { return Ok(None) };
        let key = ChainKey { kind: TargetKind::Token, tenant, id: status.id.as_bytes() };
        let chain = chain_term(&self.inner.terms, &key);
        let answer = Arc::new(CachedAnswer::new(&status, view.size(), &chain, &tell(&status)));
        self.inner.answers.keep(name, Arc::clone(&answer));
        Ok(Some(answer))
    }

    /// Invalidates all cached answers: what made them has changed outside the ledger.
    pub fn forget_answers(&self) {
        self.inner.answers.clear();
    }

    /// Revokes tokens in the name of a responder, as [`Node::submit`] takes events: one REVOKED
    /// each.
    ///
    /// # Errors
    /// [`SubmitError`], with `reply` dropped uncalled.
    pub fn revoke(
        &self,
        caller: &Caller,
        tenant: &str,
        tokens: &[RevokeToken],
        reply: Reply,
    ) -> Result<(), SubmitError> {
        self.takes_events()?;
        let known = |id: &str| matches!(self.token_status(tenant, Presented::Id(id)), Ok(Some(_)));
        let accepted = self.inner.intake.accept_revocations(caller, tenant, tokens, &known)?;
        self.put(accepted, None, reply)
    }

    /// Says durably which uses wait in memory for being recorded; `None` for none.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn uses_wait(&self, waiting: Option<&Waiting>) -> io::Result<()> {
        let disk = self.inner.world.disk.as_ref();
        match waiting {
            Some(waiting) => uses_gap::save(disk, waiting),
            None => uses_gap::clear(disk),
        }
    }

    /// Records, once, what the process before this one had not recorded when it ended. Gives in how
    /// many tenants something may be missing. Call it before the first use.
    ///
    /// # Errors
    /// When the disk or the ledger fails; what is to be recorded is found again at the next start.
    pub fn record_gaps(&self) -> Result<usize, AdminError> {
        let disk = self.inner.world.disk.as_ref();
        let failed = |error: io::Error| AdminError::Stopped(error.to_string());
        let Some(waited) = uses_gap::load(disk).map_err(failed)? else { return Ok(0) };
        let gaps = waited.gaps(self.now());
        let count = gaps.len();
        let missing = gaps.into_iter().map(|gap| Note::Missing(gap).statement());
        self.administer(AdminAct::State(missing.collect()))?;
        uses_gap::clear(disk).map_err(failed)?;
        Ok(count)
    }

    /// Records uses that this ledger saw when it was asked about tokens, as [`Node::submit`] takes
    /// events: one USED each, in the name of whoever asked.
    ///
    /// # Errors
    /// [`SubmitError`], with `reply` dropped uncalled.
    pub fn record_uses(
        &self,
        caller: &Caller,
        tenant: &str,
        uses: &[SeenUse],
        reply: Reply,
    ) -> Result<(), SubmitError> {
        self.takes_events()?;
        let accepted = self.inner.intake.accept_uses(caller, tenant, uses)?;
        self.put(accepted, Some(&caller.key.tenant), reply)
    }
}
