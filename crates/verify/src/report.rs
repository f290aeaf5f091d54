//! What a verification found.
//!
//! Promises: bounded size, whatever was found: per code at most [`MAX_PER_CODE`] findings, per
//! finding at most [`MAX_AFFECTED`] names; what was left out is counted. No text here holds a
//! personal value or a secret: findings name files, offsets, indexes, token ids, slot handles and
//! key ids only.

use std::collections::BTreeMap;

use ledgerline_proof::hash::Hash;
use serde::Serialize;

use super::names::Name;

/// Most findings kept of one code.
pub const MAX_PER_CODE: u64 = 100;
/// Most names kept in one finding.
pub const MAX_AFFECTED: usize = 32;

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that could be checked holds.
    Verified,
    /// Something does not hold.
    NotVerified,
    /// What was ever promised may hold, but the journal ends in something that the next start cuts
    /// off, or the head store that would tell of a truncation is empty.
    Incomplete,
}

impl Verdict {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::NotVerified => "not_verified",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Verdict {
    /// The exit code of a command that answers with it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::NotVerified => 2,
            Self::Incomplete => 3,
        }
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something that must hold does not: not verified.
    Error,
    /// A file that may be lost differs from the journal: not verified, but rebuilt without loss.
    Derived,
    /// The next start will cut, finish or write something: incomplete.
    Incomplete,
    /// Worth knowing; does not change the verdict.
    Notice,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyFinding {
    /// How much it weighs.
    pub severity: Severity,
    /// Stable code.
    pub code: &'static str,
    /// The older origin it is about; none for the newest.
    pub origin: Option<String>,
    /// The file, below the data directory; empty when it is about the ledger as a whole.
    pub file: String,
    /// Offset of the first byte concerned.
    pub offset: Option<u64>,
    /// The first entry that is not as it was recorded; none when no entry is.
    pub first_bad_index: Option<u64>,
    /// Token ids and other chains concerned, at most [`MAX_AFFECTED`].
    pub affected: Vec<String>,
    /// How many there are.
    pub affected_count: u64,
    /// The tenants of those, each with the first of its tokens, if any.
    #[serde(skip)]
    pub concerned: Vec<(String, Option<String>)>,
    /// What it is and what follows, in a sentence.
    pub what: String,
}

impl VerifyFinding {
    /// A finding that names neither an entry nor a place in its file.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, file: &str, what: String) -> Self {
        Self {
            severity,
            code,
            origin: None,
            file: file.to_owned(),
            offset: None,
            first_bad_index: None,
            affected: Vec::new(),
            affected_count: 0,
            concerned: Vec::new(),
            what,
        }
    }

    /// The same finding at an offset.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same finding about an entry.
    #[must_use]
    pub fn entry(mut self, index: u64) -> Self {
        self.first_bad_index = Some(index);
        self
    }

    /// The same finding with one more name concerned; names count once.
    #[must_use]
    pub(super) fn of(mut self, name: Option<Name>) -> Self {
        let Some(Name { tenant, text, is_token }) = name else { return self };
        if self.affected.contains(&text) {
            return self;
        }
        let token = is_token.then(|| text.clone());
        let room = self.concerned.len() < MAX_AFFECTED;
        match self.concerned.iter_mut().find(|known| known.0 == tenant) {
            Some(known) => known.1 = known.1.take().or(token),
            None if room => self.concerned.push((tenant, token)),
            None => {}
        }
        self.affected_count += 1;
        if self.affected.len() < MAX_AFFECTED {
            self.affected.push(text);
        }
        self
    }
}

/// Findings, bounded.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<VerifyFinding>,
    per_code: BTreeMap<&'static str, u64>,
    worst: Option<Severity>,
    dropped: u64,
    /// One that was dropped while its maker still holds it.
    spare: Option<VerifyFinding>,
}

impl Findings {
    pub fn push(&mut self, finding: VerifyFinding) {
        self.worst = Some(self.worst.map_or(finding.severity, |worst| worst.min(finding.severity)));
        let count = self.per_code.entry(finding.code).or_default();
        *count += 1;
        if *count <= MAX_PER_CODE {
            self.list.push(finding);
        } else {
            self.dropped += 1;
        }
    }

    /// As [`Findings::push`]; the finding may still be completed, unless it was dropped.
    pub fn push_and_get(&mut self, finding: VerifyFinding) -> &mut VerifyFinding {
        let dropped = self.dropped;
        self.push(finding.clone());
        if self.dropped > dropped {
            self.spare = Some(finding);
            return self.spare.as_mut().expect("just set");
        }
        self.list.last_mut().expect("just pushed")
    }

    pub fn extend(&mut self, findings: impl IntoIterator<Item = VerifyFinding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// The same about an older origin, whose files lie in `folder`.
    pub fn of_origin(mut self, name: &str, folder: &str) -> Self {
        for one in &mut self.list {
            one.origin = Some(name.to_owned());
            one.file = match &*one.file {
                "" => String::new(),
                file if file.starts_with("vault/") => file.to_owned(),
                file => format!("{folder}/{file}"),
            };
        }
        self
    }

    /// The verdict so far, the lowest entry among what counts, and how many findings count.
    pub fn summary(&self) -> (Verdict, Option<u64>, u64) {
        let counting = || self.list.iter().filter(|one| one.severity < Severity::Notice);
        let first = counting().filter_map(|one| one.first_bad_index).min();
        (self.verdict(), first, counting().count() as u64)
    }

    fn verdict(&self) -> Verdict {
        match self.worst {
            Some(Severity::Error | Severity::Derived) => Verdict::NotVerified,
            Some(Severity::Incomplete) => Verdict::Incomplete,
            Some(Severity::Notice) | None => Verdict::Verified,
        }
    }

    /// Takes over all of `other`.
    pub fn absorb(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.worst = self.worst.into_iter().chain(other.worst).min();
        self.extend(other.list);
    }

    /// Sorted, worst first; with the verdict and the number left out.
    pub fn finish(mut self) -> (Verdict, Vec<VerifyFinding>, u64) {
        self.list.sort_by(|a, b| {
            let key = |one: &VerifyFinding| {
                (one.severity, one.first_bad_index.unwrap_or(u64::MAX), one.offset)
            };
            key(a).cmp(&key(b)).then_with(|| a.file.cmp(&b.file))
        });
        (self.verdict(), self.list, self.dropped)
    }
}

/// Whether something was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it was checked as far as it can be.
    pub done: bool,
    /// Why not, or how far.
    pub note: String,
}

/// How much was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Journal segments.
    pub segments: u64,
    /// Bytes of the journal, padding included.
    pub journal_bytes: u64,
    /// Commits.
    pub commits: u64,
    /// Checkpoint signatures, kept in commits, that were checked.
    pub checkpoint_signatures: u64,
    /// Checkpoint signatures that commits keep, checked or not.
    pub kept_signatures: u64,
    /// Events.
    pub events: u64,
    /// Block entries.
    pub blocks: u64,
    /// Control leaves.
    pub controls: u64,
    /// Chains.
    pub chains: u64,
    /// Chains of tokens.
    pub tokens: u64,
    /// Producer signatures that hold.
    pub signatures: u64,
    /// Sealed records whose digest holds.
    pub sealed: u64,
    /// Sealed records that opened and match their commitment.
    pub opened: u64,
    /// Sealed records erased in place.
    pub erased: u64,
    /// Attachments whose digest holds.
    pub attachments: u64,
    /// `seen` fields that agree with this tree.
    pub seen: u64,
    /// Passes over the journal: more than one when the chains do not fit into memory.
    pub passes: u64,
}

/// The answer about an older origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OlderReport {
    /// Its name.
    pub origin: String,
    /// Its folder, below the data directory.
    pub folder: String,
    /// In one word.
    pub verdict: Verdict,
    /// Entries that were restored.
    pub size: u64,
    /// Root at that size, computed from the entries.
    pub root: Hash,
    /// What the head store had seen of it: entries from `size` on are lost.
    pub published_size: Option<u64>,
    /// Lowest index of it among the findings that count.
    pub first_bad_index: Option<u64>,
    /// How many findings count; they stand in the report's list.
    pub findings: u64,
    /// How much was read.
    pub counts: Counts,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// In one word.
    pub verdict: Verdict,
    /// Entries of the newest origin up to the last whole commit.
    pub size: u64,
    /// Root at that size, computed from the entries.
    pub root: Hash,
    /// The newest origin; empty when the genesis entry cannot be read.
    pub origin: String,
    /// Lowest index among the findings that count about the newest origin; without one, about the
    /// oldest origin concerned.
    pub first_bad_index: Option<u64>,
    /// What was checked and what was not.
    pub checks: Vec<Check>,
    /// The older origins, oldest first.
    pub predecessors: Vec<OlderReport>,
    /// What was found, worst first, in all origins.
    pub findings: Vec<VerifyFinding>,
    /// Findings beyond the bound, only counted.
    pub findings_dropped: u64,
    /// How much was read.
    pub counts: Counts,
    /// Signed events that could not be judged, by key id: the secret is not at hand.
    pub unverifiable: BTreeMap<String, u64>,
    /// Lifecycle violations in ledger order, by code. A ledger records what happened, also what
    /// must not have: these are no damage.
    pub lifecycle_violations: BTreeMap<&'static str, u64>,
}
