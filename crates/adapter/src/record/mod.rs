//! Adapters whose log is one JSON record an act, as tables.
//!
//! ```text
//! line ──read──▶ value ──unpack──▶ records ──kind──▶ row ──act──▶ events of one act
//!                                     │ no row, or the row refuses it
//!                                     ▼
//!                                 quarantine, counted by reason
//! ```
//!
//! An adapter is a [`Table`]: which identifiers of its records are safe, hashed, personal or
//! dropped ([`Identifier`]), and what each kind of record becomes ([`Row`]). The program shows the
//! same table that the code runs by (`ledgerline adapters NAME`), so the two cannot differ.
//!
//! Promises
//! - A record gives its act, is skipped by a row that says why, or is quarantined with a reason:
//!   never nothing. One bad record of a file costs itself alone.
//! - A row reads an identifier only by the way that its rule allows ([`Record`]; checked in tests
//!   and debug builds): what is hashed never comes out in clear, what is personal only in a
//!   personal record.
//! - What is quarantined keeps its structure, and of its values those alone whose rule says that
//!   they are safe and in which nothing looks like a secret.
//! - An event that the ledger would refuse for its form, or for what looks like a secret, does not
//!   leave: its record is quarantined ([`outgoing`]).
//!
//! Refuses: a record whose id or time cannot be read, and more than [`ACT_PARTS_MAX`] events of one
//! record.

pub mod drafts;
mod outgoing;
mod source_record;

use std::borrow::Cow;
use std::mem;

use ledgerline_api::event::Adapter as AdapterName;
use ledgerline_api::values::Str;
use serde_json_borrow::Value;

pub use self::drafts::Drafts;
pub use self::source_record::{Part, Record, find, scrubbed};
use crate::{
    ACT_PARTS_MAX, Act, Adapter, AdapterError, Millis, Naming, Options, Problem, Quarantined,
    Report, RowShown,
};

/// Most quarantined records that wait to be taken; the rest are counted.
const QUARANTINE_MAX: usize = 1_000;

/// What may become of the values at a place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Kept as it is: it is no bearer value and says nothing of a person.
    Safe,
    /// A bearer value, or what could be used as one: only its digest is kept.
    Hash,
    /// Goes into personal records, which are sealed and can be erased.
    Personal,
    /// Never read.
    Drop,
}

/// The rule of one identifier.
pub struct Identifier {
    /// Where it stands: a JSON pointer (RFC 6901); `*` for each element or member.
    pub at: &'static str,
    /// What may become of it.
    pub rule: Rule,
}

/// The rule that keeps what stands there.
pub const fn safe(at: &'static str) -> Identifier {
    Identifier { at, rule: Rule::Safe }
}

/// The rule that keeps the digest of what stands there.
pub const fn hashed(at: &'static str) -> Identifier {
    Identifier { at, rule: Rule::Hash }
}

/// The rule that seals what stands there.
pub const fn sealed(at: &'static str) -> Identifier {
    Identifier { at, rule: Rule::Personal }
}

/// The rule that never reads what stands there.
pub const fn dropped(at: &'static str) -> Identifier {
    Identifier { at, rule: Rule::Drop }
}

/// Where the shape of the records is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Records of the real system are in the tests.
    Recording,
    /// The words of its public documentation alone: no recording was at hand.
    Documentation,
}

/// What a kind of record becomes.
pub struct Row<S> {
    /// The kinds, as the records name them. A trailing `*` stands for any ending.
    pub kinds: &'static [&'static str],
    /// In words, with the strength of the edges.
    pub becomes: &'static str,
    /// Makes the events. What it leaves in [`Drafts`] when it fails is thrown away.
    pub act: fn(&Record<'_>, &mut S, &mut Drafts<'_>) -> Result<Fate, Problem>,
}

/// A row of a table.
pub const fn row<S>(
    kinds: &'static [&'static str],
    becomes: &'static str,
    act: fn(&Record<'_>, &mut S, &mut Drafts<'_>) -> Result<Fate, Problem>,
) -> Row<S> {
    Row { kinds, becomes, act }
}

/// What became of a record that was not refused.
pub enum Fate {
    /// Its events are in the drafts.
    Mapped,
    /// There is nothing in it for the ledger.
    Skipped,
    /// What it says stands in the event of another record.
    Joined,
}

/// An adapter as data.
pub struct Table<S: 'static> {
    /// Its name, as in `--adapter`.
    pub name: &'static str,
    /// Of the mapping: it changes when the same record comes to mean something else.
    pub version: &'static str,
    /// Longest line, in bytes.
    pub line_bytes_max: usize,
    /// Reads a line; JSON where nothing else is said ([`json`]).
    pub read: for<'v> fn(&'v str) -> Result<Value<'v>, Problem>,
    /// The records of a value: of an envelope its parts; else itself ([`alone`]).
    pub unpack: for<'v> fn(&'v Value<'v>) -> Vec<&'v Value<'v>>,
    /// Its kind; `None` when it is no record of this source.
    pub kind: for<'v> fn(&Record<'v>) -> Option<Cow<'v, str>>,
    /// What names it for ever at its source, and when it happened.
    pub identity: for<'v> fn(&Record<'v>) -> Result<Identity, Problem>,
    /// The rules of all identifiers that the rows read, and of those that they must not.
    pub identifiers: &'static [Identifier],
    /// What each kind becomes.
    pub rows: &'static [Row<S>],
    /// What is known only when the log ends.
    pub finish: fn(&mut S, &Naming, AdapterName<'static>) -> Vec<Act>,
}

/// Name and time of a record.
pub struct Identity {
    /// The same for the same record whenever it is read; at most 900 bytes.
    pub native_id: String,
    /// When it happened.
    pub at: Millis,
}

/// Reads a line of JSON.
pub fn json(line: &str) -> Result<Value<'_>, Problem> {
    serde_json::from_str(line).map_err(|error| Problem::NotJson(error.column()))
}

/// The records of a list under one of these names, of a list, or the value itself.
pub fn listed<'v>(value: &'v Value<'v>, under: &[&str]) -> Vec<&'v Value<'v>> {
    let list = under.iter().find_map(|at| find(value, at)?.as_array());
    list.or_else(|| value.as_array()).map_or_else(|| vec![value], |each| each.iter().collect())
}

/// A value that is a record itself.
pub fn alone<'v>(value: &'v Value<'v>) -> Vec<&'v Value<'v>> {
    vec![value]
}

/// For tables that keep nothing over the end of a log.
pub fn nothing_held<S>(_: &mut S, _: &Naming, _: AdapterName<'static>) -> Vec<Act> {
    Vec::new()
}

/// For rows of records that say nothing of a token.
pub fn skipped<S>(_: &Record<'_>, _: &mut S, _: &mut Drafts<'_>) -> Result<Fate, Problem> {
    Ok(Fate::Skipped)
}

/// A time of a log; one without a zone is UTC.
pub fn time(text: &str) -> Option<Millis> {
    Millis::parse(text).or_else(|| Millis::parse(&format!("{text}Z")))
}

/// A table at work.
pub struct Records<S: 'static> {
    table: &'static Table<S>,
    naming: Naming,
    recorded_as: Option<(String, String)>,
    state: S,
    report: Report,
    quarantine: Vec<Quarantined>,
}

impl<S: Default> Records<S> {
    /// An adapter that has read nothing.
    #[must_use]
    pub fn new(table: &'static Table<S>, options: Options) -> Self {
        let Options { naming, recorded_as } = options;
        let (state, report) = (S::default(), Report::default());
        Self { table, naming, recorded_as, state, report, quarantine: Vec::new() }
    }
}

impl<S> Records<S> {
    /// What the rows remember.
    pub const fn state(&self) -> &S {
        &self.state
    }

    /// Says how many things a bounded memory has forgotten, in all.
    pub const fn set_forgotten(&mut self, forgotten: u64) {
        self.report.forgotten = forgotten;
    }

    fn adapter_name(&self) -> AdapterName<'static> {
        let Table { name, version, .. } = *self.table;
        AdapterName { name: Str::Borrowed(name), version: Str::Borrowed(version) }
    }

    /// One record; what is wrong with it is its own.
    fn record(&mut self, value: &Value<'_>, out: &mut Vec<Act>) -> Result<Fate, Reason> {
        let table = self.table;
        let record = Record::new(value, table.identifiers, &self.naming);
        let kind = (table.kind)(&record).ok_or(Reason::Problem(Problem::UnknownShape))?;
        let named = |row: &&Row<S>| row.kinds.iter().any(|known| is_kind(known, &kind));
        let Some(row) = table.rows.iter().find(named) else {
            return Err(Reason::UnknownKind(printable_kind(&kind)));
        };
        let identity = (table.identity)(&record)?;
        let (recorded_as, name) = (self.recorded_as.as_ref(), self.adapter_name());
        let mut drafts = Drafts::new(identity, &self.naming, recorded_as, name);
        let fate = (row.act)(&record, &mut self.state, &mut drafts);
        let released = drafts.take_released();
        count(&mut self.report, &released);
        out.extend(released);
        let fate = fate?;
        if matches!(fate, Fate::Mapped) {
            let acts = drafts.into_acts()?;
            count(&mut self.report, &acts);
            out.extend(acts);
        } else if matches!(fate, Fate::Skipped) {
            self.report.skip(&printable_kind(&kind));
        } else {
            self.report.join(&printable_kind(&kind));
            self.report.mapped += 1;
        }
        Ok(fate)
    }

    fn quarantine(&mut self, line: u64, reason: Reason, value: &Value<'_>) {
        self.report.refused += 1;
        let (code, detail) = reason.told();
        let is_kept = self.quarantine.len() < QUARANTINE_MAX;
        let record = if is_kept { scrubbed(value, self.table.identifiers) } else { String::new() };
        self.quarantine.push(Quarantined { line, code, detail, record });
    }
}

impl<S> Adapter for Records<S> {
    fn name(&self) -> &'static str {
        self.table.name
    }

    fn line(&mut self, number: u64, line: &str, out: &mut Vec<Act>) -> Result<(), AdapterError> {
        let line = line.trim_matches(['\r', '\n', ' ', '\t', '\u{feff}']);
        if line.is_empty() {
            return Ok(());
        }
        let refused = |problem| AdapterError { line: number, problem };
        if line.len() > self.table.line_bytes_max {
            return Err(self.refuse(number, Problem::TooLong));
        }
        let value = match (self.table.read)(line) {
            Ok(value) => value,
            Err(problem) => {
                self.report.lines += 1;
                self.report.refused += 1;
                return Err(refused(problem));
            }
        };
        let records = (self.table.unpack)(&value);
        if records.is_empty() {
            self.report.lines += 1;
            self.report.skip("(an envelope of nothing)");
        }
        for record in records {
            self.report.lines += 1;
            match self.record(record, out) {
                Ok(Fate::Mapped) => self.report.mapped += 1,
                Ok(Fate::Skipped | Fate::Joined) => {}
                Err(reason) => self.quarantine(number, reason, record),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, problem: Problem) -> AdapterError {
        self.report.lines += 1;
        self.report.refused += 1;
        AdapterError { line: number, problem }
    }

    fn finish(&mut self, out: &mut Vec<Act>) {
        let name = self.adapter_name();
        let acts = (self.table.finish)(&mut self.state, &self.naming, name);
        count(&mut self.report, &acts);
        out.extend(acts);
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn take_quarantined(&mut self) -> Vec<Quarantined> {
        mem::take(&mut self.quarantine)
    }
}

fn count(report: &mut Report, acts: &[Act]) {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    report.acts += count(acts.len());
    report.events += acts.iter().map(|act| count(act.events.len())).sum::<u64>();
}

/// Why a record is in quarantine.
enum Reason {
    UnknownKind(String),
    Problem(Problem),
}

impl From<Problem> for Reason {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Reason {
    fn told(self) -> (&'static str, String) {
        match self {
            Self::UnknownKind(kind) => {
                ("unknown_kind", format!("no row for records of the kind {kind}"))
            }
            Self::Problem(problem) => (problem.code(), problem.to_string()),
        }
    }
}

fn is_kind(known: &str, kind: &str) -> bool {
    known.strip_suffix('*').map_or(known == kind, |start| kind.starts_with(start))
}

/// A kind as it is shown: a word of the source, or nothing of it.
fn printable_kind(kind: &str) -> String {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/- ".contains(&byte);
    let is_word = (1..=64).contains(&kind.len()) && kind.bytes().all(sound);
    if is_word { kind.to_owned() } else { "(not a word)".to_owned() }
}

const _: () = assert!(ACT_PARTS_MAX <= 64, "the kernel takes no longer act");

/// The rows of a table, for people.
pub fn shown<S>(table: &Table<S>) -> Vec<RowShown> {
    let row = |row: &Row<S>| RowShown { kinds: row.kinds.join(", "), becomes: row.becomes };
    table.rows.iter().map(row).collect()
}
