//! Sources: how much each has told, and what is missing of it.
//!
//! ```text
//! score = born × numbered × known × with policy        a half of it while the source is silent
//! born         (births - origins) / births: seen from their ISSUED on; 1 without births
//! numbered     events / (events + those missing by `source_gap`, one for each if not counted)
//! known        1 - share of events about tokens that nobody issued here (`unknown_token`)
//! with policy  1 - half the share of births, uses and accesses without a policy version
//! silent       it has sent heartbeats, and none for ten minutes; where its last one promised an
//!              interval (`interval_s`), nothing for three times as long; never where that one
//!              took the promise back (0, or `stopping`)
//! ```
//!
//! A source that told nothing, or nothing but heartbeats, has no score; nor has the ledger itself.
//!
//! Promises: a bounded number of reads: of each source its newest events (`sample`), of the tenant
//! at most [`SHORTFALLS_MAX`] entries of findings, and it is said when there are more. Counts are
//! those of the index, over all origins; the newest may be a moment ahead of the size that the
//! answer names. What findings say is as new as the rules are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledgerline_index::terms::By;
use ledgerline_index::{Ask, ReadBudget, Term};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Moved, TargetKind, Vantage};
use ledgerline_view::registry::{ALL_TENANTS, Key, LEDGER_SOURCE};
use ledgerline_view::view::{QueryError, View};

/// A source that sends heartbeats is silent after so long, in nanoseconds.
pub const SILENT_NANOS: i64 = 600_000_000_000;
/// Entries of findings that are read for a tenant.
pub const SHORTFALLS_MAX: usize = 100_000;
/// Index blocks that one look-up may read.
const INDEX_READS: u32 = 4096;
/// Index hits taken at a time.
const PAGE: usize = 1024;

/// What one source has told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Events.
    pub events: u64,
    /// Those that are heartbeats.
    pub heartbeats: u64,
    /// Tokens brought in, by ISSUED and ORIGIN.
    pub births: u64,
    /// Those by ORIGIN.
    pub origins: u64,
    /// When its first event was recorded, Unix nanoseconds.
    pub first_at: Option<i64>,
    /// When its last event was recorded.
    pub last_at: Option<i64>,
    /// When its last heartbeat was recorded.
    pub heartbeat_at: Option<i64>,
    /// The interval that it promised, in nanoseconds; 0 when it took the promise back.
    pub interval: Option<i64>,
    /// What its newest events say.
    pub sample: Sample,
    /// Gaps in its numbering that are open.
    pub gaps: u64,
    /// Events missing by them, at least.
    pub missing: u64,
}

/// What the newest events of a source say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// So many were looked at.
    pub events: u64,
    /// Those about a token.
    pub about_tokens: u64,
    /// Those about one that nobody issued here.
    pub about_unborn: u64,
    /// How many such tokens there are.
    pub unborn_tokens: u64,
    /// Births, uses and accesses, which a policy decides.
    pub decided: u64,
    /// Those that name no version of one.
    pub without_policy: u64,
    /// Regions of the tokens.
    pub regions: BTreeSet<String>,
}

/// What the findings of a tenant say is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shortfalls {
    /// Open gaps by source: how many, and the events missing.
    gaps: BTreeMap<String, (u64, u64)>,
    /// Tokens that were used, and that nobody issued here.
    unborn: BTreeSet<String>,
    /// Whether there are more findings than were read.
    pub is_cut: bool,
}

/// Why a source has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unscored {
    /// Nothing was recorded of it.
    NothingTold,
    /// Nothing but that it is alive.
    HeartbeatsOnly,
    /// It is the ledger itself.
    Ledger,
}

impl Unscored {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NothingTold => "nothing told",
            Self::HeartbeatsOnly => "nothing told but heartbeats",
            Self::Ledger => "the ledger's own",
        }
    }
}

impl Told {
    /// Whether it stopped sending heartbeats.
    #[must_use]
    pub fn is_silent(&self, now_nanos: i64) -> bool {
        let (heard, most) = match self.interval {
            Some(0) => return false,
            Some(interval) => (self.last_at, interval.saturating_mul(3)),
            None => (self.heartbeat_at, SILENT_NANOS),
        };
        heard.is_some_and(|at| now_nanos.saturating_sub(at) > most)
    }

    /// See the module doc; 0 to 1.
    ///
    /// # Errors
    /// [`Unscored`] when there is nothing to score.
    pub fn score(&self, source: &str, now_nanos: i64) -> Result<f64, Unscored> {
        if source == LEDGER_SOURCE {
            return Err(Unscored::Ledger);
        }
        match self.events {
            0 => return Err(Unscored::NothingTold),
            events if events <= self.heartbeats => return Err(Unscored::HeartbeatsOnly),
            _ => {}
        }
        let Sample { about_tokens, about_unborn, decided, without_policy, .. } = self.sample;
        let born = share(self.births.saturating_sub(self.origins), self.births);
        let numbered = share(self.events, self.events.saturating_add(self.missing));
        let known = share(about_tokens.saturating_sub(about_unborn), about_tokens);
        let with_policy = share(decided.saturating_sub(without_policy), decided);
        let told = born * numbered * known * f64::midpoint(1.0, with_policy);
        Ok(if self.is_silent(now_nanos) { told / 2.0 } else { told })
    }
}

/// 1 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// What the findings of a tenant say is missing.
///
/// # Errors
/// [`QueryError`].
pub fn shortfalls(view: &View, tenant: &str) -> Result<Shortfalls, QueryError> {
    let mut raised: BTreeMap<Hash, (Missing, bool)> = BTreeMap::new();
    let (mut found, mut read) = (Shortfalls::default(), 0);
    for origin in &view.origins() {
        let term = By::Finding.term(origin.terms(), tenant);
        let (mut from, mut budget) = (0, ReadBudget::new(u32::MAX));
        loop {
            let page = origin.page(Ask::oldest(term, from..origin.size(), PAGE), &mut budget)?;
            let room = SHORTFALLS_MAX - read;
            found.is_cut |= page.indexes.len() > room;
            let indexes = &page.indexes[..page.indexes.len().min(room)];
            read += indexes.len();
            origin.each_at(indexes, &mut |_, leaf| {
                read_event(&leaf, |_, one| {
                    let is_own = one.tenant == tenant && one.source == LEDGER_SOURCE;
                    if is_own {
                        take(&mut raised, one);
                    }
                });
            })?;
            match page.next {
                Some(next) if !found.is_cut => from = next,
                _ => break,
            }
        }
    }
    let open = raised.into_values().filter(|(_, holds)| *holds);
    for (missing, _) in open {
        match missing {
            Missing::Events(source, count) => {
                let gap = found.gaps.entry(source).or_default();
                *gap = (gap.0 + 1, gap.1.saturating_add(count));
            }
            Missing::Birth(token) => {
                found.unborn.insert(token);
            }
        }
    }
    Ok(found)
}

/// What a finding says is missing.
enum Missing {
    /// So many events of a source.
    Events(String, u64),
    /// The birth of a token.
    Birth(String),
}

/// Takes note of a FINDING_RAISED, and of whether it holds still. What somebody closed is missing
/// none the less.
fn take(raised: &mut BTreeMap<Hash, (Missing, bool)>, one: &Statement<'_>) {
    let id = one.detail("finding").and_then(|hex| Hash::from_hex(hex).ok());
    let Some(id) = id else { return };
    match one.event_type {
        EventType::FindingRaised => {
            let missing = match one.detail("rule") {
                Some("source_gap") => one.detail("target").map(|source| {
                    let place = one.detail("place").unwrap_or_default();
                    Missing::Events(source.to_owned(), missing_of(place))
                }),
                Some("unknown_token") => {
                    one.detail("token").map(|token| Missing::Birth(token.to_owned()))
                }
                _ => None,
            };
            raised.extend(missing.map(|missing| (id, (missing, true))));
        }
        EventType::FindingClosed => {
            let holds = match one.detail("state") {
                Some(word) if word == Moved::Withdrawn.word() => false,
                Some(word) if word == Moved::Reopened.word() => true,
                _ => return,
            };
            if let Some(found) = raised.get_mut(&id) {
                found.1 = holds;
            }
        }
        _ => {}
    }
}

/// Of `… source_seq 7 to 9`: 3; of a gap without numbers at least one.
fn missing_of(place: &str) -> u64 {
    let numbers = place.rsplit_once("source_seq ").and_then(|(_, range)| {
        let (first, last) = range.split_once(" to ")?;
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    numbers.unwrap_or(1)
}

/// What a source has told in a tenant; `sample` of its newest events are looked at.
///
/// # Errors
/// [`QueryError`].
pub fn told(
    view: &View,
    tenant: &str,
    source: &str,
    shortfalls: &Shortfalls,
    sample: usize,
) -> Result<Told, QueryError> {
    let mut told = Told::default();
    for origin in &view.origins() {
        let hasher = origin.terms();
        let all = By::Source(source).term(hasher, tenant);
        let beats = By::HeartbeatsOf(source).term(hasher, tenant);
        let births = By::Source(source).births(hasher, tenant);
        let origins = By::OriginsOf(source).term(hasher, tenant);
        let counts = counts(origin, [all, beats, births, origins])?;
        told.events += counts[0];
        told.heartbeats += counts[1];
        told.births += counts[2];
        told.origins += counts[3];
        let size = origin.size();
        let ends = [
            Ask::oldest(all, 0..size, 1),
            Ask::newest(all, 0..size, 1),
            Ask::newest(beats, 0..size, 1),
        ];
        let [first_at, last_at, heartbeat_at] = recorded_at(origin, &ends)?;
        told.first_at = told.first_at.or(first_at.map(|one| one.0));
        told.last_at = last_at.map(|one| one.0).or(told.last_at);
        if let Some((at, interval)) = heartbeat_at {
            (told.heartbeat_at, told.interval) = (Some(at), interval);
        }
    }
    (told.gaps, told.missing) = shortfalls.gaps.get(source).copied().unwrap_or_default();
    told.sample = newest(view, (tenant, source), shortfalls, sample)?;
    Ok(told)
}

/// Whether a key or an entry ever named a tenant; the default one is always known. What is written
/// for a tenant is written by its own keys, by those of all tenants, or by the ledger itself.
///
/// # Errors
/// [`QueryError`].
pub fn knows_tenant(view: &View, keys: &[Arc<Key>], tenant: &str) -> Result<bool, QueryError> {
    if tenant.is_empty() || keys.iter().any(|key| *key.tenant == *tenant) {
        return Ok(true);
    }
    let of_all = keys.iter().filter(|key| *key.tenant == *ALL_TENANTS);
    let sources: BTreeSet<&str> = of_all.map(|key| &*key.source).chain([LEDGER_SOURCE]).collect();
    for origin in &view.origins() {
        for source in &sources {
            let term = By::Source(source).term(origin.terms(), tenant);
            let mut budget = ReadBudget::new(INDEX_READS);
            let page = origin.page(Ask::oldest(term, 0..origin.size(), 1), &mut budget)?;
            if !page.indexes.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Looks at the newest events of a source.
fn newest(
    view: &View,
    (tenant, source): (&str, &str),
    shortfalls: &Shortfalls,
    most: usize,
) -> Result<Sample, QueryError> {
    let (mut sample, mut unborn) = (Sample::default(), BTreeSet::new());
    let mut left = most;
    for origin in view.origins().iter().rev() {
        let term = By::Source(source).term(origin.terms(), tenant);
        let (mut until, mut budget) = (origin.size(), ReadBudget::new(INDEX_READS));
        while left > 0 && until > 0 {
            let page = origin.page(Ask::newest(term, 0..until, PAGE.min(left)), &mut budget)?;
            let Some(oldest) = page.indexes.iter().min().copied() else { break };
            let mut indexes = page.indexes.clone();
            indexes.reverse();
            for leaf in origin.leaf_store().leaves(&indexes)?.iter().rev() {
                read_event(leaf, |_, one| {
                    if one.tenant == tenant && one.source == source {
                        look(&mut sample, &mut unborn, shortfalls, one);
                    }
                });
            }
            left -= page.indexes.len().min(left);
            until = oldest;
        }
    }
    sample.unborn_tokens = unborn.len() as u64;
    Ok(sample)
}

fn look(
    sample: &mut Sample,
    unborn: &mut BTreeSet<String>,
    shortfalls: &Shortfalls,
    one: &Statement<'_>,
) {
    sample.events += 1;
    if one.target.kind == TargetKind::Token {
        sample.about_tokens += 1;
        if let Some((region, _)) = one.target.id.split_once(':') {
            sample.regions.insert(region.to_owned());
        }
        if shortfalls.unborn.contains(one.target.id) {
            sample.about_unborn += 1;
            unborn.insert(one.target.id.to_owned());
        }
    }
    let is_decided = matches!(
        one.event_type,
        EventType::Issued | EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
    );
    // What introspection records for a caller is the ledger's word: it knows of no policy.
    if is_decided && one.vantage != Vantage::Introspection {
        sample.decided += 1;
        sample.without_policy +=
            u64::from(one.policies.iter().all(|policy| policy.version.is_empty()));
    }
}

/// How many entries some terms have.
fn counts<const N: usize>(view: &View, terms: [Term; N]) -> Result<[u64; N], QueryError> {
    let heads = view.postings().heads(&terms)?;
    let mut counts = [0; N];
    for (count, head) in counts.iter_mut().zip(heads) {
        *count = head.map_or(0, |head| head.count);
    }
    Ok(counts)
}

/// The interval that a heartbeat promises, in nanoseconds; 0 when it takes the promise back.
fn promised(one: &Statement<'_>) -> Option<i64> {
    if one.detail("stopping") == Some("true") {
        return Some(0);
    }
    one.detail("interval_s")?.parse::<i64>().ok()?.max(0).checked_mul(1_000_000_000)
}

/// When an entry was recorded, and the interval that it promises.
type Recorded = (i64, Option<i64>);

/// When the first entry of each page was recorded, and what it promises.
fn recorded_at<const N: usize>(
    view: &View,
    asks: &[Ask; N],
) -> Result<[Option<Recorded>; N], QueryError> {
    let pages = view.postings().postings(asks, &mut ReadBudget::new(INDEX_READS))?;
    let first: Vec<Option<u64>> = pages.iter().map(|page| page.indexes.first().copied()).collect();
    let at: BTreeSet<u64> = first.iter().flatten().copied().collect();
    let at: Vec<u64> = at.into_iter().collect();
    let leaves = if at.is_empty() { Vec::new() } else { view.leaf_store().leaves(&at)? };
    let recorded = |leaf: &Vec<u8>| {
        let entry = decode_object::<Entry<'_>>(Kind::Entry, leaf).ok()?;
        let one = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).ok()?;
        Some((entry.recorded_at.nanos, promised(&one)))
    };
    let mut times = [None; N];
    for (time, index) in times.iter_mut().zip(first) {
        let place = index.and_then(|index| at.binary_search(&index).ok());
        *time = place.and_then(|place| leaves.get(place)).and_then(recorded);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(events: u64) -> Told {
        Told { events, ..Told::default() }
    }

    #[test]
    fn a_source_that_told_nothing_had_a_full_score() {
        assert_eq!(of(0).score("soc", 0), Err(Unscored::NothingTold));
        let alive = Told { heartbeats: 9, ..of(9) };
        assert_eq!(alive.score("gw", 0), Err(Unscored::HeartbeatsOnly));
        assert_eq!(of(9).score(LEDGER_SOURCE, 0), Err(Unscored::Ledger));
    }

    #[test]
    fn gaps_unborn_tokens_and_missing_policies_left_the_score_at_one() {
        let score = |told: &Told| told.score("gw", 0).expect("a score");
        assert!((score(&of(10)) - 1.0).abs() < 1e-9);
        let gaps = Told { gaps: 1, missing: 10, ..of(10) };
        assert!((score(&gaps) - 0.5).abs() < 1e-9);
        let sample = Sample { about_tokens: 4, about_unborn: 3, ..Sample::default() };
        assert!((score(&Told { sample, ..of(10) }) - 0.25).abs() < 1e-9);
        let sample = Sample { decided: 4, without_policy: 4, ..Sample::default() };
        assert!((score(&Told { sample, ..of(10) }) - 0.5).abs() < 1e-9);
        let late = Told { heartbeat_at: Some(0), ..of(10) };
        let score = late.score("gw", SILENT_NANOS + 1).expect("a score");
        assert!((score - 0.5).abs() < 1e-9);
    }

    #[test]
    fn silence_is_three_times_what_was_promised() {
        const SECOND: i64 = 1_000_000_000;
        let beat = Told { heartbeat_at: Some(0), last_at: Some(10 * SECOND), ..of(9) };
        let silent = |interval, at| Told { interval, ..beat.clone() }.is_silent(at * SECOND);
        assert!(!silent(None, 600) && silent(None, 601));
        assert!(!silent(Some(SECOND), 13) && silent(Some(SECOND), 14));
        assert!(!silent(Some(0), 100_000), "it took the promise back");
    }

    #[test]
    fn the_missing_events_of_a_gap_are_counted() {
        assert_eq!(missing_of("instance 0-0 source_seq 7 to 9"), 3);
        for odd in ["", "window", "source_seq 9 to 7", "source_seq x to 2"] {
            assert_eq!(missing_of(odd), 1, "{odd}");
        }
    }
}
