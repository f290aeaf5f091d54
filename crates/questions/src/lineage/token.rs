//! A token as a question sees it: all its ids, its whole life in the scope, its states, its edges.

use std::collections::BTreeSet;
use std::ops::{Deref, Range};
use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_proof::entry::{Entry, Handle};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{self, State, TokenState};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{HandleKind, PersonalRole, TargetKind};
use ledgerline_view::address::EntryRef;

use super::edge::Edge;
use super::record::Record;

/// Where a token stands in the scope of a question, by the few of its events that decide it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its id: of several, the one that was recorded first.
    pub id: String,
    /// All its ids.
    pub ids: BTreeSet<String>,
    /// Where its events are, ascending. Empty for a token that others only speak of.
    pub events: Vec<EntryRef>,
    /// State in ledger order.
    pub known: TokenState,
    /// State in event time.
    pub happened: TokenState,
    /// Its ISSUED and ORIGIN entries.
    pub births: Vec<EntryRef>,
    /// Revocations of something wider that cover it.
    pub covered_by: Vec<EntryRef>,
    /// What it is, by its birth, else by its first event.
    pub facts: Facts,
    /// Whether more is recorded about it than `events` tell.
    pub is_part: bool,
}

/// A token in the scope of a question: where it stands, and its whole life.
#[derive(Debug)]
pub struct Token {
    /// Where it stands.
    pub summary: Arc<Summary>,
    /// Its events, ascending. Empty for a token that others only speak of.
    pub records: Vec<Arc<Record>>,
    /// Edges from its own events and from those that link to it; own ends as written.
    pub edges: Vec<Edge>,
    /// Times of judgement at which the same revocations are in force.
    pub(super) judged: Range<i64>,
    /// What a change of it would be found by.
    pub(super) watched: Vec<Term>,
}

impl Deref for Token {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

/// What a token is, as its birth says, or else its first event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The person it speaks for.
    pub subject: Option<[u8; 16]>,
    /// The client.
    pub client: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The grant.
    pub grant: Option<String>,
    /// The key that signed it.
    pub issuer_kid: Option<String>,
    /// Its audiences.
    pub audience: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
}

impl Facts {
    /// Of a statement and the handles of its entry.
    pub fn of(statement: &Statement<'_>, handles: &[Handle]) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let list = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self {
            subject: subject_of(handles),
            client: owned(statement.client_id),
            session: owned(statement.session_id),
            grant: owned(statement.grant_id),
            issuer_kid: owned(statement.issuer_kid),
            audience: list(&statement.audience),
            scopes: list(&statement.scopes),
        }
    }
}

/// The person an entry is about.
#[must_use]
pub fn subject_of(handles: &[Handle]) -> Option<[u8; 16]> {
    let is_subject = |handle: &&Handle| {
        handle.role == PersonalRole::Subject && handle.kind == HandleKind::Person
    };
    handles.iter().find(is_subject).map(|handle| handle.id)
}

impl Summary {
    /// Its state in event time, judged at a time.
    #[must_use]
    pub fn state_at(&self, nanos: i64) -> State {
        self.happened.state_at(nanos)
    }

    /// Whether it is usable at a time, by what is known of it.
    #[must_use]
    pub fn is_alive(&self, nanos: i64) -> bool {
        self.known.is_active(nanos, false)
    }
}

impl Token {
    /// Whether anything is recorded about it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.records.is_empty() || !self.edges.is_empty()
    }

    /// Its life in event time: from its birth, or else its first event, until it ended or may end.
    #[must_use]
    pub fn lifetime(&self) -> (i64, Option<i64>) {
        let first = || self.records.first().map(|one| one.occurred_at.nanos);
        let begun = self.happened.born_at.or_else(first).unwrap_or(i64::MIN);
        let ends = [self.happened.expires_at, self.happened.revoked_at];
        (begun, ends.into_iter().flatten().min())
    }
}

/// The chains on which a revocation that covers a token can stand, under both spellings of ids.
pub fn wide_chains(entry: &Entry<'_>, statement: &Statement<'_>) -> Vec<(TargetKind, Vec<u8>)> {
    lifecycle::chains_of(statement, &entry.handles)
}

/// The time of an event, for sorting.
#[must_use]
pub fn occurred(record: &Record) -> (Hlc, EntryRef) {
    (record.occurred_at, record.at)
}
