//! What is told next: a fair order over the findings that wait.
//!
//! ```text
//! tenant ──▶ critical ──┐  turn by turn over the tenants, criticals of all before the rest of any
//!            the rest ──┤
//!            refused ───┘  again after a doubling pause of its own; set aside after some tries
//!            repeats       beyond a number a window: one message for all of the same kind
//! ```
//!
//! Promises: a finding that the receiver refuses holds up nothing but what is told of the same
//! finding; a tenant's flood holds up nobody else. What waits is bounded by how many kinds of
//! findings there are, not by how many findings. Pure: it reads no clock and no ledger; times are
//! those of one monotonic clock.
//!
//! A try counts against a finding only if the receiver took another one since the try before: a
//! receiver that takes nothing is down, and nothing is set aside for that.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ledgerline_followers::findings::rules::Severity;
use ledgerline_proof::hash::Hash;

/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Refusals in a row after which a tenant's turn pauses too: the receiver may be down.
const PATIENCE: u32 = 3;
/// Findings of a group that are shown.
const EXAMPLES: usize = 5;

/// How the queue works.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Findings of a kind that are told one by one in a window.
    pub group_after: usize,
    /// The window.
    pub window: Duration,
    /// To the second try.
    pub first_pause: Duration,
    /// Counted tries after which a message is set aside.
    pub tries: u32,
}

/// What findings are repeats of each other by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    /// `raised`, `acknowledged`, `closed`, `withdrawn`, `again`, `caused`, `reopened`.
    pub became: String,
    /// The rule.
    pub rule: String,
    /// Its severity.
    pub severity: Severity,
    /// The source of the first event it names.
    pub source: String,
}

/// A message that is to be told, by the entries it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telling {
    /// An entry about a finding.
    One {
        /// The finding.
        finding: Hash,
    },
    /// Many of the same likeness.
    Many {
        /// Their likeness.
        likeness: Likeness,
        /// How many.
        count: u64,
        /// The last entry.
        last: u64,
        /// Entries to show, the first ones.
        examples: Vec<u64>,
    },
}

/// Something that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its first entry.
    pub index: u64,
    /// What it is.
    pub telling: Telling,
    likeness: Likeness,
    tries: u32,
    counted: u32,
    taken_before: u64,
    not_before: Option<Duration>,
}

#[derive(Default)]
struct Window {
    begun: Option<Duration>,
    alone: usize,
    /// Told one by one, not yet settled.
    pending: usize,
    group: Option<(Duration, Waiting)>,
}

#[derive(Default)]
struct Lane {
    critical: VecDeque<Waiting>,
    rest: VecDeque<Waiting>,
    refused: Vec<Waiting>,
    windows: BTreeMap<Likeness, Window>,
    failed: u32,
    not_before: Option<Duration>,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Taken.
    Taken,
    /// Not taken: again later.
    Later,
    /// Not taken for the last time.
    SetAside,
}

/// The queue.
pub struct Queue {
    rules: Rules,
    lanes: BTreeMap<String, Lane>,
    served: Option<String>,
    taken: u64,
}

fn is_due(at: Option<Duration>, now: Duration) -> bool {
    at.is_none_or(|at| at <= now)
}

impl Lane {
    /// Whether something about the same finding was refused and has to be told before.
    fn is_held(&self, waiting: &Waiting) -> bool {
        let Telling::One { finding } = &waiting.telling else { return false };
        self.refused.iter().any(|one| match &one.telling {
            Telling::One { finding: other } => other == finding,
            Telling::Many { .. } => false,
        })
    }

    /// Takes the next of a class out, if it is its time.
    fn next(&mut self, critical: bool, now: Duration) -> Option<Waiting> {
        if !is_due(self.not_before, now) {
            return None;
        }
        let line = if critical { &self.critical } else { &self.rest };
        let fresh = line.iter().position(|one| !self.is_held(one));
        if let Some(at) = fresh {
            return if critical { self.critical.remove(at) } else { self.rest.remove(at) };
        }
        let fits = |one: &Waiting| (one.likeness.severity == Severity::Critical) == critical;
        for window in self.windows.values_mut() {
            if let Some((due, group)) = &window.group
                && *due <= now
                && fits(group)
            {
                return window.group.take().map(|(_, group)| group);
            }
        }
        let again = |one: &Waiting| fits(one) && is_due(one.not_before, now);
        let at = self.refused.iter().position(again)?;
        Some(self.refused.remove(at))
    }

    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        let groups = self.windows.values().filter_map(|one| Some(&one.group.as_ref()?.1));
        self.critical.iter().chain(&self.rest).chain(&self.refused).chain(groups)
    }
}

impl Queue {
    /// An empty one.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, lanes: BTreeMap::new(), served: None, taken: 0 }
    }

    /// Adds an entry about a finding.
    pub fn put(
        &mut self,
        tenant: &str,
        index: u64,
        finding: Hash,
        likeness: &Likeness,
        now: Duration,
    ) {
        let rules = self.rules;
        let lane = self.lanes.entry(tenant.to_owned()).or_default();
        let window = lane.windows.entry(likeness.clone()).or_default();
        let is_over = window.begun.is_none_or(|begun| now.saturating_sub(begun) >= rules.window);
        if is_over && window.group.is_none() {
            (window.begun, window.alone) = (Some(now), 0);
        }
        let telling = Telling::One { finding };
        let fresh = |telling| Waiting {
            index,
            telling,
            likeness: likeness.clone(),
            tries: 0,
            counted: 0,
            taken_before: 0,
            not_before: None,
        };
        if window.alone.max(window.pending) < rules.group_after && window.group.is_none() {
            window.alone += 1;
            window.pending += 1;
            let is_critical = likeness.severity == Severity::Critical;
            let line = if is_critical { &mut lane.critical } else { &mut lane.rest };
            return line.push_back(fresh(telling));
        }
        match &mut window.group {
            Some((_, Waiting { telling: Telling::Many { count, last, examples, .. }, .. })) => {
                *count += 1;
                *last = index;
                if examples.len() < EXAMPLES {
                    examples.push(index);
                }
            }
            _ => {
                let (count, last, examples) = (1, index, vec![index]);
                let likeness = likeness.clone();
                let group = fresh(Telling::Many { likeness, count, last, examples });
                let due = window.begun.unwrap_or(now) + rules.window;
                window.group = Some((due, group));
            }
        }
    }

    /// Takes out what is to be told now, and whose it is; it is to be settled.
    pub fn next(&mut self, now: Duration) -> Option<(String, Waiting)> {
        for critical in [true, false] {
            let after = self.served.clone();
            let is_after = |tenant: &String| after.as_ref().is_some_and(|served| tenant > served);
            let (later, sooner): (Vec<String>, Vec<String>) =
                self.lanes.keys().cloned().partition(is_after);
            for tenant in later.into_iter().chain(sooner) {
                let lane = self.lanes.get_mut(&tenant);
                if let Some(waiting) = lane.and_then(|lane| lane.next(critical, now)) {
                    self.served = Some(tenant.clone());
                    return Some((tenant, waiting));
                }
            }
        }
        None
    }

    /// Says what the receiver made of something that was taken out.
    pub fn settle(
        &mut self,
        tenant: &str,
        mut waiting: Waiting,
        is_taken: bool,
        now: Duration,
    ) -> Outcome {
        let rules = self.rules;
        let lane = self.lanes.entry(tenant.to_owned()).or_default();
        let is_one = matches!(waiting.telling, Telling::One { .. });
        let outcome = if is_taken {
            self.taken += 1;
            (lane.failed, lane.not_before) = (0, None);
            Outcome::Taken
        } else {
            let pause = |tries: u32| {
                let doublings = tries.saturating_sub(1).min(16);
                rules.first_pause.saturating_mul(1 << doublings).min(PAUSE_MAX)
            };
            waiting.tries = waiting.tries.saturating_add(1);
            if waiting.tries == 1 || self.taken > waiting.taken_before {
                waiting.counted += 1;
            }
            waiting.taken_before = self.taken;
            lane.failed = lane.failed.saturating_add(1);
            if lane.failed >= PATIENCE {
                lane.not_before = Some(now + pause(lane.failed + 1 - PATIENCE));
            }
            waiting.not_before = Some(now + pause(waiting.tries));
            if waiting.counted >= rules.tries { Outcome::SetAside } else { Outcome::Later }
        };
        if outcome == Outcome::Later {
            lane.refused.push(waiting);
            return outcome;
        }
        if is_one && let Some(window) = lane.windows.get_mut(&waiting.likeness) {
            window.pending = window.pending.saturating_sub(1);
        }
        self.forget(tenant, now);
        outcome
    }

    /// Forgets windows and tenants that say nothing any more.
    fn forget(&mut self, tenant: &str, now: Duration) {
        let window = self.rules.window;
        if let Some(lane) = self.lanes.get_mut(tenant) {
            lane.windows.retain(|_, one| {
                let is_open = one.begun.is_some_and(|begun| now.saturating_sub(begun) < window);
                is_open || one.pending > 0 || one.group.is_some()
            });
            let is_empty = lane.waiting().next().is_none() && lane.windows.is_empty();
            if is_empty {
                self.lanes.remove(tenant);
            }
        }
    }

    /// The first entry that is not settled, of those put in.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.lanes.values().flat_map(Lane::waiting).map(|one| one.index).min()
    }

    /// Whether anything was refused and waits for another try.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.lanes.values().any(|lane| !lane.refused.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        group_after: 3,
        window: Duration::from_secs(60),
        first_pause: Duration::from_secs(1),
        tries: 4,
    };

    fn like(severity: Severity) -> Likeness {
        let text = |text: &str| text.to_owned();
        Likeness { became: text("raised"), rule: text("r"), severity, source: text("s") }
    }

    fn put(queue: &mut Queue, tenant: &str, index: u64, severity: Severity, now: Duration) {
        let mut finding = [0; 32];
        finding[..8].copy_from_slice(&index.to_be_bytes());
        queue.put(tenant, index, Hash(finding), &like(severity), now);
    }

    /// Tells what is due, each taken; who and what it was.
    fn all(queue: &mut Queue, now: Duration) -> Vec<(String, u64)> {
        let mut told = Vec::new();
        while let Some((tenant, waiting)) = queue.next(now) {
            told.push((tenant.clone(), waiting.index));
            queue.settle(&tenant, waiting, true, now);
        }
        told
    }

    #[test]
    fn criticals_come_first_and_tenants_in_turn() {
        let (mut queue, now) = (Queue::new(Rules { group_after: 100, ..RULES }), Duration::ZERO);
        for index in 0..3 {
            put(&mut queue, "flood", index, Severity::Low, now);
        }
        put(&mut queue, "other", 3, Severity::Low, now);
        put(&mut queue, "third", 4, Severity::Critical, now);
        let told: Vec<u64> = all(&mut queue, now).into_iter().map(|one| one.1).collect();
        assert_eq!(told, [4, 0, 3, 1, 2]);
        assert_eq!(queue.first(), None);
    }

    #[test]
    fn what_is_refused_holds_up_only_its_own_finding() {
        let (mut queue, now) = (Queue::new(RULES), Duration::ZERO);
        put(&mut queue, "t", 0, Severity::High, now);
        let (tenant, refused) = queue.next(now).expect("one");
        assert_eq!(queue.settle(&tenant, refused, false, now), Outcome::Later);
        assert!(queue.is_failing());
        // The same finding again, and another.
        let closed = Likeness { became: "closed".into(), ..like(Severity::High) };
        queue.put("t", 1, Hash([0; 32]), &closed, now);
        put(&mut queue, "t", 2, Severity::High, now);
        assert_eq!(all(&mut queue, now), [("t".to_owned(), 2)]);
        assert_eq!(queue.first(), Some(0), "it is to be told again also after a start");
        let later = now + Duration::from_secs(2);
        let told: Vec<u64> = all(&mut queue, later).into_iter().map(|one| one.1).collect();
        assert_eq!(told, [0, 1], "in order");
    }

    #[test]
    fn a_finding_is_set_aside_only_when_the_receiver_takes_others() {
        let (mut queue, mut now) = (Queue::new(RULES), Duration::ZERO);
        put(&mut queue, "t", 0, Severity::High, now);
        for _ in 0..50 {
            now += Duration::from_secs(120);
            let (tenant, refused) = queue.next(now).expect("again");
            assert_eq!(queue.settle(&tenant, refused, false, now), Outcome::Later);
        }
        let mut tries = 1;
        for index in 1.. {
            now += Duration::from_secs(120);
            put(&mut queue, "other", index, Severity::Low, now);
            let mut outcomes = Vec::new();
            while let Some((tenant, waiting)) = queue.next(now) {
                let is_taken = tenant == "other";
                outcomes.push(queue.settle(&tenant, waiting, is_taken, now));
            }
            tries += 1;
            if outcomes.contains(&Outcome::SetAside) {
                break;
            }
        }
        assert_eq!(tries, RULES.tries, "one for each round in which another was taken");
        assert_eq!(queue.first(), None);
    }

    #[test]
    fn a_receiver_that_is_down_is_asked_ever_less() {
        let (mut queue, begun) = (Queue::new(Rules { group_after: 1000, ..RULES }), Duration::ZERO);
        let (mut now, mut tries) = (begun, 0);
        for index in 0..1000 {
            put(&mut queue, "t", index, Severity::High, now);
        }
        while now < begun + Duration::from_secs(3600) {
            while let Some((tenant, waiting)) = queue.next(now) {
                queue.settle(&tenant, waiting, false, now);
                tries += 1;
            }
            now += Duration::from_secs(1);
        }
        assert!((50..100).contains(&tries), "{tries} tries in an hour");
    }

    #[test]
    fn repeats_of_a_window_are_one_message() {
        let (mut queue, now) = (Queue::new(RULES), Duration::ZERO);
        for index in 0..6000 {
            put(&mut queue, "flood", index, Severity::Medium, now);
        }
        assert_eq!(all(&mut queue, now).len(), 3);
        assert_eq!(queue.first(), Some(3));
        let later = now + RULES.window;
        let (tenant, group) = queue.next(later).expect("the group");
        let examples = vec![3, 4, 5, 6, 7];
        let (likeness, count, last) = (like(Severity::Medium), 5997, 5999);
        assert_eq!(group.telling, Telling::Many { likeness, count, last, examples });
        queue.settle(&tenant, group, false, later);
        // What comes meanwhile is another message: this one stays what it was.
        put(&mut queue, "flood", 6000, Severity::Medium, later);
        assert_eq!(all(&mut queue, later), [("flood".to_owned(), 6000)]);
        let told = all(&mut queue, later + Duration::from_secs(2));
        assert_eq!(told, [("flood".to_owned(), 3)]);
        assert_eq!(queue.first(), None);
        put(&mut queue, "flood", 7000, Severity::Medium, later + 2 * RULES.window);
        assert!(queue.next(later + 2 * RULES.window).is_some(), "told alone again");
    }
}
