//! What an adapter is: foreign logs in, events of the public JSON form out.
//!
//! The trait, the names of tokens, and the driver of adapters that are tables ([`record`]). The
//! adapters themselves stand in `sources` and `issuer_logs`.
//!
//! An adapter is a pure, streaming transformation on the client's side. It reads one line at a
//! time, keeps a bounded memory of what it has read, and writes *acts*: one or several events that
//! must be recorded together or not at all.
//!
//! Promises
//! - The same file read from its start gives the same events, byte for byte, so that a second
//!   ingest answers `duplicate` for each. No clock and no random number is read.
//! - A bearer value becomes a token id as the line is parsed. Neither it nor a personal value
//!   reaches a `native_id`, an error text or the report; personal values stand in `personal` only.
//! - Nothing is lost silently: each line is counted as mapped, skipped (by its kind) or refused.
//!
//! Refuses: a line that is too long, no JSON, of no known shape, or with a field that cannot be an
//! id. The adapter goes on with the next line; whether that is fatal is the caller's choice.

mod instant;
pub mod memory;
pub mod pieces;
pub mod record;
pub mod token_id;

use std::collections::BTreeMap;

use ledgerline_api::event::Event;
use thiserror::Error;

pub use crate::instant::Millis;
pub use crate::record::{Evidence, Identifier, Rule};
pub use crate::token_id::Naming;

/// Longest line an adapter looks at. The longest of the recording has 4 KiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Most parts one act may have (DESIGN 12, "Acts").
pub const ACT_PARTS_MAX: usize = 64;

/// A transformation of a foreign log into events.
pub trait Adapter {
    /// The name under which the adapter is chosen and which its events carry.
    fn name(&self) -> &'static str;

    /// Reads line `number` (1-based, of its own file) and appends the acts that are complete now.
    ///
    /// An act may need several lines, so it can come out at a later line than it began.
    ///
    /// # Errors
    /// The line is refused and has had no effect; the text holds no value of the line.
    fn line(&mut self, number: u64, line: &str, out: &mut Vec<Act>) -> Result<(), AdapterError>;

    /// Counts line `number`, whose bytes are no text, as refused.
    fn refuse(&mut self, number: u64, problem: Problem) -> AdapterError;

    /// Says that the next line is of another file, counted from 1 again. Acts still wait for their
    /// lines; a line that waits to be read at all waits no longer.
    fn file_end(&mut self, _: &mut Vec<Act>) {}

    /// Ends the input: appends what was held back for lines that did not come.
    fn finish(&mut self, out: &mut Vec<Act>);

    /// What has been read and made so far.
    fn report(&self) -> &Report;

    /// The adapter that read the last file, where one is chosen for each; `None` when none was.
    fn chosen(&self) -> Option<&'static str> {
        Some(self.name())
    }

    /// Takes the records that became no event since it was asked last. They count as refused.
    fn take_quarantined(&mut self) -> Vec<Quarantined> {
        Vec::new()
    }
}

/// A record that became no event, without what may be secret or personal in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// 1-based number of its line.
    pub line: u64,
    /// Stable code of the reason.
    pub code: &'static str,
    /// For people; holds no value of the record but the name of its kind.
    pub detail: String,
    /// Its structure as JSON with the values that are safe; empty when too many wait already.
    pub record: String,
}

/// What every adapter is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Region and issuer alias of the token ids.
    pub naming: Naming,
    /// Tenant and source of the credential the events will be posted with. When they are known, a
    /// revocation is also linked to the event that led to it.
    pub recorded_as: Option<(String, String)>,
}

/// An adapter as it is chosen by its name.
pub struct Choice {
    /// The name, as in `--adapter`.
    pub name: &'static str,
    /// Which logs it reads.
    pub about: &'static str,
    /// Where its records are known from.
    pub evidence: Evidence,
    /// Whether a line looks like one of its log, so that `auto` can choose.
    pub detects: fn(&str) -> bool,
    /// What each kind of record becomes, for people.
    pub rows: fn() -> Vec<RowShown>,
    /// What may become of the identifiers of its records.
    pub identifiers: &'static [Identifier],
    /// Makes one.
    pub open: fn(Options) -> Box<dyn Adapter>,
}

/// A row of an adapter's mapping, for people.
pub struct RowShown {
    /// The kinds of records, as the log names them.
    pub kinds: String,
    /// What they become.
    pub becomes: &'static str,
}

/// Events that must be recorded in one commit or not at all: 1 to [`ACT_PARTS_MAX`].
#[derive(Clone, PartialEq, Eq)]
pub struct Act {
    /// The parts in their order. Each carries `act` when there is more than one.
    pub events: Vec<Event<'static>>,
    /// First and last line that it was made of, each of its own file; `None` where it is of the
    /// line alone at which it came out.
    pub lines: Option<[u64; 2]>,
}

/// Why a line was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct AdapterError {
    /// 1-based number of the line in its file.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a line. Names fields and places, never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// More bytes than the adapter takes, [`LINE_BYTES_MAX`] where it does not say otherwise.
    #[error("too long for a line")]
    TooLong,
    /// Bytes that are no text.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not one JSON object with the members of its shape.
    #[error("not the JSON of a log line, at column {0}")]
    NotJson(usize),
    /// The payload of a provider event has a member of another type.
    #[error("the payload does not have the shape of its event, at its column {0}")]
    BadPayload(usize),
    /// JSON, but neither a provider, resource-server nor policy line.
    #[error("a JSON object of no known shape")]
    UnknownShape,
    /// A member that this kind of line must have is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member does not have the form it must have.
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
    /// A bearer value under 128 bits: its plain digest could be searched for.
    #[error("`{0}` is a bearer value of fewer than 128 bits")]
    WeakToken(&'static str),
    /// The digest beside a policy document is not that of the document.
    #[error("the policy document does not have the digest beside it")]
    DigestMismatch,
    /// A record that should say something says nothing.
    #[error("no event could be made of it")]
    NoEvent,
    /// An event of it has a form that the ledger does not take.
    #[error("an event of it would not be taken: a text or id too long, or with control characters")]
    NotRecordable,
    /// More events of one record than an act can have.
    #[error("it stands for more than {ACT_PARTS_MAX} events")]
    TooManyParts,
    /// A bearer value where none may stand.
    #[error("`{0}` holds what may be a bearer value")]
    Secret(&'static str),
}

impl Problem {
    /// Stable code, by which refused records are counted.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson(_) => "not_json",
            Self::BadPayload(_) => "bad_payload",
            Self::UnknownShape => "unknown_shape",
            Self::Missing(_) => "missing_member",
            Self::Malformed(_) => "malformed_member",
            Self::WeakToken(_) => "weak_token",
            Self::DigestMismatch => "digest_mismatch",
            Self::NoEvent => "no_event",
            Self::NotRecordable => "not_recordable",
            Self::TooManyParts => "too_many_parts",
            Self::Secret(_) => "secret_refused",
        }
    }
}

/// What an adapter has read and made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines read, empty ones left out.
    pub lines: u64,
    /// Lines that gave an event or completed an act.
    pub mapped: u64,
    /// Of these, the lines that have no event of their own: what they say stands in that of another
    /// line of their request. By event name.
    pub joined: BTreeMap<String, u64>,
    /// Lines with nothing for the ledger, by event name.
    pub skipped: BTreeMap<String, u64>,
    /// Lines refused with an error.
    pub refused: u64,
    /// Acts made.
    pub acts: u64,
    /// Events made.
    pub events: u64,
    /// Requests whose closing line never came; their events were made from what was there.
    pub unclosed: u64,
    /// Things the bounded memory forgot. When not 0, some revocations were not expanded.
    pub forgotten: u64,
}

impl Report {
    /// Lines that have no event of their own, of all kinds.
    #[must_use]
    pub fn joined_count(&self) -> u64 {
        self.joined.values().sum()
    }

    /// Lines skipped, of all kinds.
    #[must_use]
    pub fn skipped_count(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Adds what another adapter read.
    pub fn add(&mut self, more: &Self) {
        let Self { lines, mapped, joined, skipped, refused, acts, events, unclosed, forgotten } =
            more;
        self.lines += lines;
        self.mapped += mapped;
        self.refused += refused;
        self.acts += acts;
        self.events += events;
        self.unclosed += unclosed;
        self.forgotten += forgotten;
        for (counts, more) in [(&mut self.joined, joined), (&mut self.skipped, skipped)] {
            for (kind, count) in more {
                *counts.entry(kind.clone()).or_default() += count;
            }
        }
    }

    /// Counts a line with nothing for the ledger.
    pub fn skip(&mut self, kind: &str) {
        count_one(&mut self.skipped, kind);
    }

    /// Counts a line whose event is that of another.
    pub fn join(&mut self, kind: &str) {
        count_one(&mut self.joined, kind);
    }
}

fn count_one(counts: &mut BTreeMap<String, u64>, kind: &str) {
    match counts.get_mut(kind) {
        Some(count) => *count += 1,
        None => {
            counts.insert(kind.to_owned(), 1);
        }
    }
}
