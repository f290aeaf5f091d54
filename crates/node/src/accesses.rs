//! The log of write accesses: who asked to write, how often, and what came of it, as entries.
//!
//! ```text
//! ADMIN_ACT   target KEY `global:ledger:writes`: one chain a tenant; source `ledger`
//!   native_id "writes/" ‖ credential ‖ "/" ‖ from
//!   detail    act=writes credential duplicates first_index? from last_index? recorded refused
//!             refused_codes? requests source? to         credential is empty for callers unknown
//! ```
//!
//! Promises: every request to write is counted under its credential, also a refused one, and each
//! count is one entry for each credential and interval in which there was any. So nobody, the
//! operator neither, can take an access out without breaking the chain, and whoever asks much costs
//! one entry an interval. Counts add up: events are recorded, duplicates or refused.
//!
//! A clean stop keeps what was counted since (`followers/accesses`) for the next start. A crash
//! loses it: at most an interval. What was recorded stands in the ledger anyway, by the credential
//! that each entry names, and refusals are counted by each block.
//!
//! Refuses: more than [`CREDENTIALS_MAX`] credentials and [`CODES_MAX`] codes of each an interval:
//! what is beyond is counted under an empty name, or as `other`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ledgerline_followers::position::{self, Found, Position};
use ledgerline_index::terms::chain_term;
use ledgerline_index::{Ask, ReadBudget};
use ledgerline_ledger::intake::{EventStatus, SubmitAnswer};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_view::registry::{ALL_TENANTS, LEDGER_SOURCE};
use ledgerline_view::view::{EventView, QueryError, View};
use serde::{Deserialize, Serialize};

use super::Inner;
use super::following::{is_running, rest};

/// The chain of a tenant's accesses.
pub const CHAIN: &str = "global:ledger:writes";
/// The name of the file that a clean stop leaves.
const FILE: &str = "accesses";
/// Credentials of an interval.
const CREDENTIALS_MAX: usize = 16_384;
/// Codes of a credential and an interval.
const CODES_MAX: usize = 32;
/// Statements of one act.
const AT_ONCE: usize = 256;
/// Index blocks that one page may read.
const READS: u32 = 4096;

/// What a credential asked for in an interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    tenant: String,
    source: String,
    requests: u64,
    recorded: u64,
    duplicates: u64,
    refused: BTreeMap<String, u64>,
    first: Option<u64>,
    last: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    /// When the interval began, Unix nanoseconds.
    from: i64,
    counts: BTreeMap<String, Count>,
}

/// Counts accesses. Shared between callers' threads.
#[derive(Default)]
pub(super) struct Accesses(Mutex<Book>);

/// Who asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) credential: &'a str,
    pub(super) tenant: &'a str,
    pub(super) source: &'a str,
}

impl Asker<'_> {
    pub(super) const fn unknown() -> Self {
        Self { credential: "", tenant: "", source: "" }
    }
}

impl Accesses {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that was refused whole.
    pub(super) fn refused(&self, asker: Asker<'_>, code: &str) {
        let mut book = self.book();
        let count = book.of(asker);
        count.requests += 1;
        count.refuse(code, 1);
    }

    /// Counts a record of a request that is counted by itself.
    pub(super) fn refused_record(&self, asker: Asker<'_>, code: &str) {
        self.book().of(asker).refuse(code, 1);
    }

    /// Counts a request of which nothing was handed in: its records were refused, or none of them
    /// was an event.
    pub(super) fn asked(&self, asker: Asker<'_>) {
        self.book().of(asker).requests += 1;
    }

    /// Counts a request that was answered.
    pub(super) fn answered(&self, asker: Asker<'_>, answer: &SubmitAnswer) {
        let mut book = self.book();
        let count = book.of(asker);
        count.requests += 1;
        for event in &answer.events {
            match (event.status, &event.error) {
                (_, Some(error)) => count.refuse(error.code, 1),
                (EventStatus::Duplicate, None) => count.duplicates += 1,
                (_, None) => {
                    count.recorded += 1;
                    let is_first = |index: &u64| count.first.is_none_or(|first| *index < first);
                    count.first = event.index.filter(is_first).or(count.first);
                    count.last = count.last.max(event.index);
                }
            }
        }
        if answer.stopped.is_some() {
            count.refuse("stopped", 1);
        }
    }

    /// Closes the interval: what is to be stated of it.
    fn take(&self, now: i64) -> Vec<OwnStatement> {
        let next = Book { from: now, counts: BTreeMap::new() };
        let Book { from, counts } = std::mem::replace(&mut *self.book(), next);
        counts.iter().map(|(credential, count)| count.statement(credential, from, now)).collect()
    }
}

impl Book {
    fn of(&mut self, asker: Asker<'_>) -> &mut Count {
        let is_known = self.counts.contains_key(asker.credential);
        let has_room = is_known || self.counts.len() < CREDENTIALS_MAX;
        let asker = if has_room { asker } else { Asker::unknown() };
        let tenant = if asker.tenant == ALL_TENANTS { "" } else { asker.tenant };
        self.counts.entry(asker.credential.to_owned()).or_insert_with(|| Count {
            tenant: tenant.to_owned(),
            source: asker.source.to_owned(),
            ..Count::default()
        })
    }
}

impl Count {
    fn refuse(&mut self, code: &str, times: u64) {
        let has_room = self.refused.len() < CODES_MAX || self.refused.contains_key(code);
        let code = if has_room { code } else { "other" };
        *self.refused.entry(code.to_owned()).or_default() += times;
    }

    fn statement(&self, credential: &str, from: i64, to: i64) -> OwnStatement {
        let name = format!("writes/{credential}/{from}");
        let own = OwnStatement::new(&self.tenant, name, EventType::AdminAct);
        let codes = self.refused.iter().map(|(code, count)| format!("{code}={count}"));
        let codes = codes.collect::<Vec<_>>().join(" ");
        let refused: u64 = self.refused.values().sum();
        let mut detail = vec![
            ("act", "writes".to_owned()),
            ("credential", credential.to_owned()),
            ("duplicates", self.duplicates.to_string()),
        ];
        detail.extend(self.first.map(|index| ("first_index", index.to_string())));
        detail.push(("from", from.to_string()));
        detail.extend(self.last.map(|index| ("last_index", index.to_string())));
        detail.push(("recorded", self.recorded.to_string()));
        detail.push(("refused", refused.to_string()));
        if !codes.is_empty() {
            detail.push(("refused_codes", codes));
        }
        detail.push(("requests", self.requests.to_string()));
        if !self.source.is_empty() {
            detail.push(("source", self.source.clone()));
        }
        detail.push(("to", to.to_string()));
        let target = Some((TargetKind::Key, CHAIN.to_owned()));
        OwnStatement { target, detail, at: Some(to), ..own }
    }
}

/// The accesses thread: closes an interval after the other.
pub(super) fn keep(inner: &Inner) {
    let interval = inner.config.accesses_interval_nanos;
    if interval == 0 {
        return;
    }
    let (disk, now) = (inner.world.disk.as_ref(), || inner.world.clock.wall_nanos());
    // What cannot be read is lost, as after a crash.
    let kept = match position::load(disk, FILE) {
        Ok(Found::Position(kept)) => serde_json::from_slice::<Book>(&kept.state).ok(),
        _ => None,
    };
    {
        let mut book = inner.accesses.book();
        book.from = now();
        if let Some(kept) = kept {
            // Requests may have come already: both are of the interval that began then.
            book.from = kept.from;
            for (credential, count) in kept.counts {
                book.counts.entry(credential).or_default().add(count);
            }
        }
    }
    if let Err(error) = position::clear(disk, FILE) {
        inner.complain("accesses", &error);
    }
    let goes_on = || is_running(inner);
    while goes_on() {
        rest(interval, &goes_on);
        if goes_on() {
            state(inner, &inner.accesses.take(now()), &goes_on);
        }
    }
    let book = serde_json::to_vec(&*inner.accesses.book()).expect("plain values");
    if let Err(error) = position::save(disk, FILE, &Position::default().with(book)) {
        inner.complain("accesses", &error);
    }
}

impl Count {
    fn add(&mut self, more: Self) {
        let Self { tenant, source, requests, recorded, duplicates, refused, first, last } = more;
        (self.tenant, self.source) = (tenant, source);
        self.requests += requests;
        self.recorded += recorded;
        self.duplicates += duplicates;
        refused.into_iter().for_each(|(code, count)| self.refuse(&code, count));
        self.first = first.or(self.first);
        self.last = self.last.max(last);
    }
}

/// Has statements recorded, each once for ever.
fn state(inner: &Inner, all: &[OwnStatement], goes_on: &dyn Fn() -> bool) {
    for part in all.chunks(AT_ONCE) {
        while inner.administer(AdminAct::State(part.to_vec())).is_err() {
            if !goes_on() {
                return;
            }
            rest(100_000_000, goes_on);
        }
    }
}

/// The newest accesses of a tenant below an index of this origin, newest first, at most `limit`,
/// and below which index the next page goes on.
///
/// # Errors
/// [`QueryError`].
pub fn newest(
    view: &View,
    tenant: &str,
    below: u64,
    limit: usize,
) -> Result<(Vec<EventView>, Option<u64>), QueryError> {
    let key = ChainKey { kind: TargetKind::Key, tenant, id: CHAIN.as_bytes() };
    let term = chain_term(view.terms(), &key);
    let range = 0..below.min(view.size());
    let page = view.page(Ask::newest(term, range, limit), &mut ReadBudget::new(READS))?;
    let mut found = Vec::with_capacity(page.indexes.len());
    for index in page.indexes {
        let event = view.event(index)?;
        found.extend(event.filter(|event| is_access(&event.leaf, tenant)));
    }
    Ok((found, page.next))
}

fn is_access(leaf: &[u8], tenant: &str) -> bool {
    let is_one = read_event(leaf, |_, one| {
        one.source == LEDGER_SOURCE
            && one.tenant == tenant
            && one.event_type == EventType::AdminAct
            && one.detail("act") == Some("writes")
    });
    is_one == Some(true)
}
