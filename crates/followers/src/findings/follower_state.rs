//! The state of the findings follower: what it keeps of all entries before its position.
//!
//! Promises: a function of those entries alone. It is saved with the position; when it is lost,
//! reading everything again gives the same. Bounded: what does not fit is not judged, never judged
//! wrongly. What does not fit is always of the tenant that has the most: a flood of one tenant
//! makes nothing forgotten of another.
//!
//! ```text
//! ran        how long the ledger ran, as its leaves tell: a pause of more than MAX_PAUSE (it was
//!            stopped; otherwise a block comes once a minute) counts as MAX_PAUSE
//! instances  (tenant, source, instance) → the next source_seq, and what is missing before it
//! sources    (tenant, source) → its declared heartbeat, and when it was heard last
//! audiences  (tenant, region:issuer, name): names that tokens were issued for
//! keys       (tenant, region:issuer, key): keys that tokens were issued under, or announced
//! held       tokens that a heartbeat named and nobody had issued
//! clocks     (tenant, source) → when its clock was told to be ahead
//! aliases    whether any act ever named another id of its token
//! replays    refresh tokens and codes that came back lately: what was revoked upon it is joined
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_proof::hash::Hash;
use ledgerline_summaries::Mark;
use serde::{Deserialize, Serialize};

use super::indirect_revocations::Counted;
use super::replay::Replays;
use super::rules::{Cited, GROUP_NANOS, Rule, Windows};

/// Between two leaves of a running ledger, at most: a block comes once a minute.
const MAX_PAUSE_NANOS: i64 = 90_000_000_000;
/// Bounds, see the module doc: of all tenants, and of one.
pub(super) const MAX_INSTANCES: usize = 4096;
const MAX_SOURCES: usize = 4096;
const MAX_SOURCES_OF_TENANT: usize = 1024;
const MAX_AUDIENCES: Bounds = Bounds { all: 32_768, of_tenant: 8192 };
const MAX_KEYS: Bounds = Bounds { all: 16_384, of_tenant: 4096 };
const MAX_HELD: usize = 4096;
const MAX_HELD_OF_TENANT: usize = 1024;
/// Gaps of one instance that may still be filled.
pub(super) const MAX_GAPS: usize = 16;

/// Tenant, source, instance.
type InstanceKey = (String, String, [u8; 16]);

/// A run of missing numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    /// The finding about it.
    pub(super) finding: [u8; 32],
    /// What is missing still: first and last.
    pub(super) missing: Vec<(i64, i64)>,
}

/// Which boot of which producer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Boot<'b> {
    pub(super) tenant: &'b str,
    pub(super) source: &'b str,
    pub(super) instance: [u8; 16],
}

/// What is remembered of one boot of a producer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) next: i64,
    pub(super) gaps: Vec<Gap>,
    /// When it was heard last, in time that the ledger ran.
    pub(super) heard: i64,
}

/// A producer that declared a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) interval: i64,
    pub(super) heard: i64,
    pub(super) last_event: [u8; 16],
    pub(super) silent: bool,
}

#[derive(Clone, Copy)]
struct Bounds {
    all: usize,
    of_tenant: usize,
}

/// Names of issuers' things, each tenant's share of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    set: BTreeSet<(String, String, String)>,
    counts: BTreeMap<String, usize>,
    /// Tenants of which not all is known any more.
    crowded: BTreeSet<String>,
}

impl Names {
    fn of(set: Vec<(String, String, String)>, crowded: Vec<String>) -> Self {
        let mut names = Self { crowded: crowded.into_iter().collect(), ..Self::default() };
        for name in set {
            *names.counts.entry(name.0.clone()).or_default() += 1;
            names.set.insert(name);
        }
        names
    }

    fn insert(&mut self, name: (String, String, String), bounds: Bounds) {
        if self.crowded.contains(&name.0) || self.set.contains(&name) {
            return;
        }
        let count = self.counts.get(&name.0).copied().unwrap_or_default();
        if count >= bounds.of_tenant {
            self.crowded.insert(name.0);
            return;
        }
        if self.set.len() >= bounds.all
            && let Some((largest, _)) = largest(&self.counts)
        {
            // What is known of it in part could be judged wrongly.
            self.set.retain(|known| known.0 != largest);
            self.counts.remove(&largest);
            self.crowded.insert(largest);
            if self.crowded.contains(&name.0) {
                return;
            }
        }
        *self.counts.entry(name.0.clone()).or_default() += 1;
        self.set.insert(name);
    }

    /// Whether a name is known.
    pub(super) fn contains(&self, name: &(String, String, String)) -> bool {
        self.set.contains(name)
    }

    /// What is known of an issuer; `None` when that may not be all of it.
    pub(super) fn of_issuer<'n>(
        &'n self,
        tenant: &str,
        front: &str,
    ) -> Option<impl Iterator<Item = &'n str>> {
        if self.crowded.contains(tenant) {
            return None;
        }
        let first = (tenant.to_owned(), front.to_owned(), String::new());
        let (of, issuer) = (first.0.clone(), first.1.clone());
        let known = self.set.range(first..);
        let known = known.take_while(move |name| name.0 == of && name.1 == issuer);
        Some(known.map(|name| &*name.2))
    }
}

/// The tenant that has the most, by counts; the first by name of several.
fn largest(counts: &BTreeMap<String, usize>) -> Option<(String, usize)> {
    let most = counts.iter().max_by_key(|(tenant, count)| (**count, std::cmp::Reverse(*tenant)));
    most.map(|(tenant, count)| (tenant.clone(), *count))
}

/// How many keys there are of each tenant.
fn counts<'k>(tenants: impl Iterator<Item = &'k String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for tenant in tenants {
        match counts.get_mut(tenant) {
            Some(count) => *count += 1,
            None => drop(counts.insert(tenant.clone(), 1)),
        }
    }
    counts
}

/// The memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowerState {
    pub(super) ran: i64,
    pub(super) last_leaf: Option<i64>,
    pub(super) instances: BTreeMap<InstanceKey, Instance>,
    pub(super) sources: BTreeMap<(String, String), Source>,
    pub(super) audiences: Names,
    pub(super) keys: Names,
    pub(super) held: BTreeMap<(String, String), [u8; 32]>,
    pub(super) replays: Replays,
    pub(super) clocks: BTreeMap<(String, String), i64>,
    /// Whether any act ever named another id of its token.
    pub(super) has_aliases: bool,
    /// What the store holds, when this is saved.
    pub(super) kept: Option<Kept>,
}

/// What the store holds, and how what lies there counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// By what it was judged: see [`judged_by`].
    by: String,
    pub(super) mark: Mark,
    /// Revocations that were noted.
    pub(super) counted: Counted,
    /// Closings of findings that were read.
    pub(super) closings: u64,
}

impl Kept {
    /// By this program, with these windows.
    pub(super) fn new(mark: Mark, counted: Counted, closings: u64, windows: &Windows) -> Self {
        Self { by: judged_by(windows), mark, counted, closings }
    }

    /// Whether this program kept it, and would judge as it did then.
    pub(super) fn is_own(&self, windows: &Windows) -> bool {
        self.by == judged_by(windows)
    }
}

/// The program, its rules in their versions, and the windows that are set: with any other of them
/// a life might be another one, and what was kept of it hide a finding.
fn judged_by(windows: &Windows) -> String {
    let rules: Vec<_> = Rule::all().map(|rule| (rule, rule.version())).collect();
    let judged = format!("{rules:?} {windows:?}");
    format!("{} {:08x}", env!("CARGO_PKG_VERSION"), crc32c::crc32c(judged.as_bytes()))
}

const fn nobody_knows() -> bool {
    true
}

/// The memory as it is written: maps as lists.
#[derive(Serialize, Deserialize)]
struct Written {
    ran: i64,
    last_leaf: Option<i64>,
    instances: Vec<(InstanceKey, Instance)>,
    sources: Vec<((String, String), Source)>,
    audiences: Vec<(String, String, String)>,
    keys: Vec<(String, String, String)>,
    held: Vec<((String, String), [u8; 32])>,
    /// Absent in memories of before there were shares.
    #[serde(default)]
    crowded_audiences: Vec<String>,
    #[serde(default)]
    crowded_keys: Vec<String>,
    /// Absent in memories of before tokens were judged under all their ids: nobody knows then.
    #[serde(default = "nobody_knows")]
    has_aliases: bool,
    /// Absent in memories of before replays were joined to revocations.
    #[serde(default)]
    replays: Replays,
    #[serde(default)]
    clocks: Vec<((String, String), i64)>,
    /// Absent where nothing is kept beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<Kept>,
}

impl FollowerState {
    /// As bytes.
    ///
    /// # Panics
    /// Never: all of it can be written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let one = self.clone();
        let written = Written {
            ran: one.ran,
            last_leaf: one.last_leaf,
            instances: one.instances.into_iter().collect(),
            sources: one.sources.into_iter().collect(),
            audiences: one.audiences.set.into_iter().collect(),
            keys: one.keys.set.into_iter().collect(),
            held: one.held.into_iter().collect(),
            crowded_audiences: one.audiences.crowded.into_iter().collect(),
            crowded_keys: one.keys.crowded.into_iter().collect(),
            replays: one.replays,
            clocks: one.clocks.into_iter().collect(),
            has_aliases: one.has_aliases,
            kept: one.kept,
        };
        serde_json::to_vec(&written).expect("lists of plain values")
    }

    /// Back from bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            ran: written.ran,
            last_leaf: written.last_leaf,
            instances: written.instances.into_iter().collect(),
            sources: written.sources.into_iter().collect(),
            audiences: Names::of(written.audiences, written.crowded_audiences),
            keys: Names::of(written.keys, written.crowded_keys),
            held: written.held.into_iter().collect(),
            replays: written.replays,
            clocks: written.clocks.into_iter().collect(),
            has_aliases: written.has_aliases,
            kept: written.kept,
        })
    }

    /// Lets the clock of the leaves go on to that of a leaf.
    pub(super) fn tick(&mut self, at: i64) {
        let pause = self.last_leaf.map_or(0, |last| at.saturating_sub(last));
        self.ran = self.ran.saturating_add(pause.clamp(0, MAX_PAUSE_NANOS));
        self.last_leaf = Some(at);
    }

    /// Takes the number of an event. Says which numbers it shows to be missing, or the finding
    /// about a gap that it fills whole.
    pub(super) fn number(
        &mut self,
        Boot { tenant, source, instance }: Boot<'_>,
        seq: i64,
    ) -> Numbered {
        let ran = self.ran;
        let key = (tenant.to_owned(), source.to_owned(), instance);
        if self.instances.len() >= MAX_INSTANCES && !self.instances.contains_key(&key) {
            self.forget_an_instance(tenant);
        }
        // What was lost before the first that arrives cannot be told from a start there.
        let begun = Instance { next: seq, ..Instance::default() };
        let one = self.instances.entry(key).or_insert(begun);
        one.heard = ran;
        if seq < one.next {
            return one.fill(seq).map_or(Numbered::Nothing, Numbered::Filled);
        }
        let missing = (one.next, seq.saturating_sub(1));
        one.next = seq.saturating_add(1);
        if missing.0 <= missing.1 { Numbered::Missing(missing) } else { Numbered::Nothing }
    }

    /// Forgets the instance that was quiet for longest, of the tenant with the most of them; of the
    /// newcomer's own tenant when no other has more.
    fn forget_an_instance(&mut self, newcomer: &str) {
        let counts = counts(self.instances.keys().map(|key| &key.0));
        let own = counts.get(newcomer).copied().unwrap_or_default();
        let of = largest(&counts).filter(|(_, count)| *count > own);
        let of = of.map_or(newcomer.to_owned(), |(tenant, _)| tenant);
        let all = self.instances.iter().filter(|(key, _)| key.0 == of);
        let quiet = all.min_by_key(|(_, one)| one.heard).map(|(key, _)| key.clone());
        if let Some(quiet) = quiet {
            self.instances.remove(&quiet);
        }
    }

    /// Remembers a key that tokens of an issuer are issued under.
    pub(super) fn learn_key(&mut self, tenant: &str, front: &str, kid: &str) {
        self.keys.insert((tenant.to_owned(), front.to_owned(), kid.to_owned()), MAX_KEYS);
    }

    /// Remembers a name that tokens of an issuer are issued for.
    pub(super) fn learn_audience(&mut self, tenant: &str, front: &str, name: &str) {
        self.audiences
            .insert((tenant.to_owned(), front.to_owned(), name.to_owned()), MAX_AUDIENCES);
    }

    /// Remembers a token that a heartbeat named before its birth was known. Whether there is room.
    pub(super) fn hold(&mut self, key: (String, String), finding: [u8; 32]) -> bool {
        let counts = counts(self.held.keys().map(|key| &key.0));
        if counts.get(&key.0).copied().unwrap_or_default() >= MAX_HELD_OF_TENANT {
            return false;
        }
        if self.held.len() >= MAX_HELD {
            let of = largest(&counts).map(|(tenant, _)| (tenant, String::new()));
            let first = of.and_then(|of| self.held.range(of..).next().map(|(key, _)| key.clone()));
            first.map(|first| self.held.remove(&first));
        }
        self.held.insert(key, finding);
        true
    }

    /// Whether there is room for a new source of a tenant; others may have to go for it.
    fn room_for_source(&mut self, key: &(String, String)) -> bool {
        if self.sources.contains_key(key) {
            return true;
        }
        let counts = counts(self.sources.keys().map(|key| &key.0));
        if counts.get(&key.0).copied().unwrap_or_default() >= MAX_SOURCES_OF_TENANT {
            return false;
        }
        if self.sources.len() >= MAX_SOURCES
            && let Some((of, _)) = largest(&counts)
        {
            let all = self.sources.iter().filter(|(key, _)| key.0 == of);
            let quiet = all.min_by_key(|(_, one)| one.heard).map(|(key, _)| key.clone());
            quiet.map(|quiet| self.sources.remove(&quiet));
        }
        true
    }

    /// Whether a source's clock is to be told to be ahead: once in [`GROUP_NANOS`], not for each of
    /// its tokens. Where there is no room, it is.
    pub(super) fn tell_clock(&mut self, (tenant, source): (&str, &str), at: i64) -> bool {
        let key = (tenant.to_owned(), source.to_owned());
        let is_told = |told: i64| at.saturating_sub(told).saturating_abs() < GROUP_NANOS;
        if self.clocks.get(&key).is_some_and(|told| is_told(*told)) {
            return false;
        }
        self.clocks.retain(|_, told| is_told(*told));
        let of_tenant = self.clocks.keys().filter(|one| one.0 == tenant).count();
        if of_tenant < MAX_SOURCES_OF_TENANT && self.clocks.len() < MAX_SOURCES {
            self.clocks.insert(key, at);
        }
        true
    }

    /// Remembers a gap that was raised.
    pub(super) fn gap(
        &mut self,
        Boot { tenant, source, instance }: Boot<'_>,
        missing: (i64, i64),
        finding: &Hash,
    ) {
        let key = (tenant.to_owned(), source.to_owned(), instance);
        if let Some(one) = self.instances.get_mut(&key) {
            if one.gaps.len() >= MAX_GAPS {
                one.gaps.remove(0);
            }
            one.gaps.push(Gap { finding: finding.0, missing: vec![missing] });
        }
    }

    /// Remembers when a producer was heard, and the heartbeat it declares.
    pub(super) fn heard(
        &mut self,
        (tenant, source): (&str, &str),
        event_id: [u8; 16],
        declared: Option<i64>,
    ) {
        if declared.is_none() && self.sources.is_empty() {
            return;
        }
        let key = (tenant.to_owned(), source.to_owned());
        match declared {
            Some(0) => {
                self.sources.remove(&key);
            }
            Some(interval) if self.room_for_source(&key) => {
                let (heard, last_event) = (self.ran, event_id);
                let new = Source { interval, heard, last_event, silent: false };
                self.sources.insert(key, new);
            }
            _ => {
                if let Some(one) = self.sources.get_mut(&key) {
                    (one.heard, one.last_event, one.silent) = (self.ran, event_id, false);
                }
            }
        }
    }

    /// The producers that have just become silent: tenant, source, their last event, and for how
    /// long in nanoseconds.
    pub(super) fn silent(&mut self) -> Vec<(String, Cited, i64)> {
        let ran = self.ran;
        let mut silent = Vec::new();
        for ((tenant, source), one) in &mut self.sources {
            let quiet = ran.saturating_sub(one.heard);
            if !one.silent && quiet > one.interval.saturating_mul(3) {
                one.silent = true;
                let last = Cited { source: source.clone(), event_id: one.last_event };
                silent.push((tenant.clone(), last, quiet));
            }
        }
        silent
    }
}

/// What a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    /// It is the next one, or nothing is known of it.
    Nothing,
    /// These, first and last, are missing before it.
    Missing((i64, i64)),
    /// It was the last that a gap missed.
    Filled(Hash),
}

impl Instance {
    /// Fills in a number; gives the finding of a gap that is whole now.
    fn fill(&mut self, seq: i64) -> Option<Hash> {
        let within = |run: &(i64, i64)| (run.0..=run.1).contains(&seq);
        let at = self.gaps.iter().position(|gap| gap.missing.iter().any(within))?;
        let missing = std::mem::take(&mut self.gaps[at].missing);
        self.gaps[at].missing = missing
            .into_iter()
            .flat_map(|run| {
                let (first, last) = run;
                if within(&run) { [(first, seq - 1), (seq + 1, last)] } else { [run, (1, 0)] }
            })
            .filter(|(first, last)| first <= last)
            .collect();
        let whole = self.gaps[at].missing.is_empty();
        whole.then(|| Hash(self.gaps.remove(at).finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was kept of a life by other windows was believed for as long as the program had the
    /// same version.
    #[test]
    fn what_was_judged_by_other_windows_is_not_believed() {
        let usual = Windows::default();
        let mut others = [Windows::default(), Windows::default(), Windows::default()];
        others[0].propagation_nanos += 1;
        others[1].refresh_race_nanos += 1;
        others[2].skew_nanos.insert("gw".to_owned(), 1);
        assert_eq!(judged_by(&usual), judged_by(&Windows::default()));
        for other in others {
            assert_ne!(judged_by(&usual), judged_by(&other), "{other:?}");
        }
    }

    const fn boot(tenant: &str, instance: [u8; 16]) -> Boot<'_> {
        Boot { tenant, source: "gw", instance }
    }

    #[test]
    fn numbers_are_missed_and_filled_in() {
        let mut memory = FollowerState::default();
        let who = boot("t", [1; 16]);
        let mut raised = 0u8;
        let mut check = |memory: &mut FollowerState, seq: i64, expected: Numbered| {
            let numbered = memory.number(who, seq);
            assert_eq!(numbered, expected, "{seq}");
            if let Numbered::Missing(missing) = numbered {
                raised += 1;
                memory.gap(who, missing, &Hash([raised; 32]));
            }
        };
        check(&mut memory, 5, Numbered::Nothing);
        check(&mut memory, 6, Numbered::Nothing);
        check(&mut memory, 3, Numbered::Nothing);
        check(&mut memory, 10, Numbered::Missing((7, 9)));
        check(&mut memory, 12, Numbered::Missing((11, 11)));
        check(&mut memory, 8, Numbered::Nothing);
        check(&mut memory, 8, Numbered::Nothing);
        check(&mut memory, 11, Numbered::Filled(Hash([2; 32])));
        let mut again = FollowerState::from_bytes(&memory.to_bytes()).expect("as written");
        assert_eq!(again, memory);
        check(&mut again, 7, Numbered::Nothing);
        check(&mut again, 9, Numbered::Filled(Hash([1; 32])));
        check(&mut again, 13, Numbered::Nothing);
    }

    #[test]
    fn instances_and_gaps_are_bounded() {
        let mut memory = FollowerState::default();
        for n in 0..MAX_INSTANCES as u128 + 10 {
            memory.ran += 1;
            memory.number(boot("", n.to_be_bytes()), 0);
        }
        assert_eq!(memory.instances.len(), MAX_INSTANCES);
        let who = boot("", (MAX_INSTANCES as u128).to_be_bytes());
        for n in 1..40 {
            let Numbered::Missing(missing) = memory.number(who, n * 2) else { panic!("{n}") };
            memory.gap(who, missing, &Hash::ZERO);
        }
        let key = (String::new(), "gw".to_owned(), who.instance);
        assert_eq!(memory.instances[&key].gaps.len(), MAX_GAPS);
    }

    #[test]
    fn a_flood_of_one_tenants_instances_forgets_none_of_others() {
        let mut memory = FollowerState::default();
        let honest = boot("honest", [7; 16]);
        memory.number(honest, 1);
        for n in 0..2 * MAX_INSTANCES as u128 {
            memory.ran += 1;
            memory.number(boot("mallory", n.to_be_bytes()), 0);
        }
        assert_eq!(memory.instances.len(), MAX_INSTANCES);
        assert_eq!(memory.number(honest, 5), Numbered::Missing((2, 4)), "it was remembered");
        // Nor by two tenants, of which each has less than the whole.
        for n in 0..MAX_INSTANCES as u128 {
            memory.ran += 1;
            memory.number(boot("mallory's other", n.to_be_bytes()), 0);
        }
        assert_eq!(memory.number(honest, 7), Numbered::Missing((6, 6)));
    }

    #[test]
    fn a_flood_of_one_tenants_names_blinds_only_itself() {
        let mut memory = FollowerState::default();
        memory.learn_key("honest", "eu:idp", "k1");
        let known = |memory: &FollowerState, tenant: &str| {
            memory.keys.of_issuer(tenant, "eu:idp").map(Iterator::count)
        };
        for n in 0..=MAX_KEYS.of_tenant {
            memory.learn_key("mallory", "eu:idp", &format!("k{n}"));
        }
        assert_eq!(known(&memory, "mallory"), None, "not all is known: nothing is judged");
        assert_eq!(known(&memory, "honest"), Some(1));
        for tenant in 0..=MAX_KEYS.all / MAX_KEYS.of_tenant {
            for n in 0..MAX_KEYS.of_tenant {
                memory.learn_key(&format!("mallory {tenant}"), "eu:idp", &format!("k{n}"));
            }
        }
        memory.learn_key("honest", "eu:idp", "k2");
        memory.learn_key("newcomer", "eu:idp", "k1");
        assert_eq!(known(&memory, "honest"), Some(2));
        assert_eq!(known(&memory, "newcomer"), Some(1));
        let again = FollowerState::from_bytes(&memory.to_bytes()).expect("as written");
        assert_eq!(again, memory);
        assert_eq!(known(&again, "mallory"), None, "also after a start");
        for n in 0..=MAX_HELD_OF_TENANT {
            let has_room = memory.hold(("mallory".into(), format!("{n}")), [0; 32]);
            assert_eq!(has_room, n < MAX_HELD_OF_TENANT);
        }
        assert!(memory.hold(("honest".into(), "one".into()), [0; 32]));
        for n in 0..=MAX_SOURCES_OF_TENANT {
            memory.heard(("mallory", &format!("s{n}")), [0; 16], Some(10));
        }
        memory.heard(("honest", "gw"), [0; 16], Some(10));
        memory.ran = 100;
        assert!(memory.silent().iter().any(|(tenant, ..)| tenant == "honest"));
    }

    #[test]
    fn a_clock_is_told_once_an_hour_a_source_and_always_without_room() {
        let mut memory = FollowerState::default();
        assert!(memory.tell_clock(("t", "gw"), 5));
        assert!(!memory.tell_clock(("t", "gw"), 6));
        assert!(memory.tell_clock(("t", "idp"), 6));
        let mut again = FollowerState::from_bytes(&memory.to_bytes()).expect("as written");
        assert!(!again.tell_clock(("t", "gw"), 7));
        assert!(memory.tell_clock(("t", "gw"), 5 + GROUP_NANOS));
        for n in 0..=MAX_SOURCES_OF_TENANT {
            memory.tell_clock(("flood", &format!("s{n}")), 9 + GROUP_NANOS);
        }
        let last = format!("s{MAX_SOURCES_OF_TENANT}");
        assert!(memory.tell_clock(("flood", &last), 9 + GROUP_NANOS), "beyond the bound: told");
        assert!(!memory.tell_clock(("t", "gw"), 9 + GROUP_NANOS), "and nobody else's is forgotten");
    }

    #[test]
    fn a_memory_of_before_there_were_shares_is_read() {
        let text = br#"{"ran":5,"last_leaf":null,"instances":[],"sources":[],
            "audiences":[["t","eu:idp","a"]],"keys":[["t","eu:idp","k"]],"held":[]}"#;
        let memory = FollowerState::from_bytes(text).expect("as it was written");
        let keys = memory.keys.of_issuer("t", "eu:idp").expect("all is known");
        assert_eq!(keys.collect::<Vec<_>>(), ["k"]);
        assert!(memory.audiences.contains(&("t".into(), "eu:idp".into(), "a".into())));
    }

    #[test]
    fn silence_is_told_once_and_does_not_count_while_the_ledger_stood() {
        let mut memory = FollowerState::default();
        let who = ("", "gw");
        memory.heard(who, [1; 16], Some(10));
        memory.ran = 30;
        assert_eq!(memory.silent(), []);
        memory.ran = 31;
        assert_eq!(memory.silent().len(), 1);
        assert_eq!(memory.silent(), []);
        memory.heard(who, [2; 16], None);
        memory.ran = 62;
        let last = Cited { source: "gw".into(), event_id: [2; 16] };
        assert_eq!(memory.silent(), [(String::new(), last, 31)]);
        memory.heard(who, [3; 16], Some(0));
        memory.ran = 1000;
        assert_eq!(memory.silent(), []);
    }
}
