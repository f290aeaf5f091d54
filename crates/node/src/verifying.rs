//! The two threads of the verifier: behind the head, and over everything once an interval.
//!
//! ```text
//! behind   what was committed since the last step, as a follower
//! whole    the full verification, half of a core at most; its report is an entry
//! ```
//!
//! Promises: nothing here stops intake, whatever the files hold: a failed read is a finding, a
//! panic is counted and told, and the thread begins again. What is not verified is looked at once
//! more, without erasures meanwhile, before anybody is told.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_followers::Recorder as _;
use ledgerline_followers::findings::record::Note;
use ledgerline_followers::reported::{self, Reported};
use ledgerline_followers::verification::{VerificationFollower, stated};
use ledgerline_verify::{
    Behind, Ground, Live, Progress, Severity, Signatures, Verdict, VerifyFinding, VerifyOptions,
    VerifyReport, VerifyWorld, verify,
};

use super::Inner;
use super::following::{Manner, Queue, is_running, rest, run};

/// Memory of the chains behind the head, and of a full verification's.
const BEHIND_BYTES: usize = 16 << 20;
const WHOLE_BYTES: usize = 64 << 20;
/// Entries of a step behind the head. Some 2 ms, in which nobody else has the core and no record is
/// erased; each step reads up to a megabyte of pages at hand.
const STEP_ENTRIES: u64 = 512;
/// Full verifications before what is found is believed.
const TRIES: u32 = 3;
/// After a failure, before it is tried again.
const PAUSE_NANOS: u64 = 5_000_000_000;
/// The verifier rests when it has worked so long.
const SLICE_NANOS: u64 = 5_000_000;

/// What the verifier says, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Whether it is switched on.
    pub on: bool,
    /// Entries verified behind the head.
    pub size: u64,
    /// When the last verified block was sealed, Unix nanoseconds.
    pub block_sealed_at: Option<i64>,
    /// Whether all chains fit into the memory of the verifier behind the head.
    pub holds_all_chains: bool,
    /// Flaws that the verifier behind the head found since start.
    pub flaws: u64,
    /// Full verifications since start, by verdict.
    pub runs: BTreeMap<&'static str, u64>,
    /// The last full one, also of an earlier start.
    pub last: Option<LastRun>,
    /// Times that a thread of the verifier had to begin again.
    pub failures: u64,
}

/// A full verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// When it was finished, Unix nanoseconds.
    pub at: i64,
    /// Entries verified.
    pub size: u64,
    /// In one word.
    pub verdict: Verdict,
    /// How long it took, in nanoseconds; `None` for one of an earlier start.
    pub took_nanos: Option<u64>,
}

/// News for the log.
#[derive(Debug, Clone, Copy)]
pub enum VerifierNews<'n> {
    /// A full verification was finished.
    Finished(&'n VerifyReport),
    /// Behind the head something does not hold.
    Flaw(&'n VerifyFinding),
    /// A thread of the verifier had to begin again.
    Failed(&'n str),
}

/// Takes news of the verifier; called from its threads.
pub type Listener = Box<dyn Fn(VerifierNews<'_>) + Send + Sync>;

/// The verifier's part of a node.
#[derive(Default)]
pub(super) struct Verifying {
    state: Mutex<Verification>,
    listener: std::sync::OnceLock<Listener>,
}

impl Verifying {
    pub(super) fn state(&self) -> Verification {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Verification)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn listen(&self, listener: Listener) {
        // The first one stays.
        let _ = self.listener.set(listener);
    }

    fn tell(&self, news: VerifierNews<'_>) {
        if let Some(listener) = self.listener.get() {
            listener(news);
        }
    }
}

/// The thread behind the head.
pub(super) fn behind(inner: &Inner) {
    again(inner, "behind the head", || {
        let origins = inner.view().origins();
        let older: Vec<String> = origins
            .iter()
            .filter(|one| one.is_older())
            .map(|one| one.identity().origin.to_string())
            .collect();
        let older: Vec<&str> = older.iter().map(String::as_str).collect();
        let signatures = Signatures::chosen(inner.world.entropy.as_ref());
        let ground = Ground::new(&world(inner), Some(&inner.rooms.vault), &older, signatures)
            .ok_or_else(|| "the genesis entry cannot be read".to_owned())?;
        let heard = |behind: &Behind<'_>, found: &[VerifyFinding]| heard(inner, behind, found);
        let (most, erasing) = (STEP_ENTRIES, &inner.erasing);
        let follower = VerificationFollower::new(&ground, BEHIND_BYTES, most, erasing, &heard);
        let manner = Manner::every(inner.config.verify_behind_nanos);
        run(inner, follower, manner, &|| is_running(inner));
        Ok(())
    });
}

fn heard(inner: &Inner, behind: &Behind<'_>, found: &[VerifyFinding]) {
    inner.verifying.note(|state| {
        state.size = behind.size();
        state.block_sealed_at = behind.block_sealed_at();
        state.holds_all_chains = behind.holds_all_chains();
        state.flaws += found.len() as u64;
    });
    for one in found {
        inner.verifying.tell(VerifierNews::Flaw(one));
    }
}

/// The thread of full verifications.
pub(super) fn whole(inner: &Inner) {
    let interval = inner.config.verify_interval_nanos;
    again(inner, "a full verification", || {
        remember_last(inner);
        while is_running(inner) {
            rest(due_in(inner, interval), &|| is_running(inner));
            if is_running(inner) {
                run_whole(inner);
            }
        }
        Ok(())
    });
}

/// What the newest report says, from before this start.
fn remember_last(inner: &Inner) {
    let view = inner.view();
    let Ok((reports, _)) = reported::newest(&view, view.size(), 1) else { return };
    let last = reports.first().and_then(|event| {
        ledgerline_proof::decode::read_event(&event.leaf, |_, one| {
            let (size, _, verdict) = reported::outcome(one)?;
            Some(LastRun { at: one.occurred_at.nanos, size, verdict, took_nanos: None })
        })
    });
    inner.verifying.note(|state| state.last = state.last.take().or(last.flatten()));
}

/// How long until the next one, in nanoseconds.
fn due_in(inner: &Inner, interval: u64) -> u64 {
    let Some(last) = inner.verifying.state().last else {
        // The first one soon, but not before the node has settled.
        return interval.min(60_000_000_000);
    };
    let since = inner.world.clock.wall_nanos().saturating_sub(last.at);
    // A clock that was set back must not put it off for longer than the interval.
    interval.saturating_sub(u64::try_from(since).unwrap_or(0)).min(interval)
}

fn run_whole(inner: &Inner) {
    let clock = &inner.world.clock;
    let begun = clock.monotonic_nanos();
    let Some(report) = believed(inner) else { return };
    let at = clock.wall_nanos();
    let took = clock.monotonic_nanos().saturating_sub(begun);
    inner.verifying.note(|state| {
        *state.runs.entry(report.verdict.word()).or_default() += 1;
        let (size, verdict) = (report.size, report.verdict);
        state.last = Some(LastRun { at, size, verdict, took_nanos: Some(took) });
    });
    inner.verifying.tell(VerifierNews::Finished(&report));
    let mut queue = Queue::new(inner);
    let reported = Note::Reported(Reported::of(&report, at)).statement();
    // When the ledger takes nothing any more, the next start verifies again.
    let _ = queue.record(vec![reported]);
    let found = stated(&inner.view(), &report.findings, &report.origin, clock.wall_nanos());
    if !found.is_empty() {
        let _ = queue.record(found);
    }
}

/// A report that can be believed: verified, or found twice the same. `None` when the node stops.
fn believed(inner: &Inner) -> Option<VerifyReport> {
    let mut before: Option<VerifyReport> = None;
    for attempt in 0..TRIES {
        // What the first attempt found by a sample, or as the newest, the next must look at.
        let signatures = match attempt {
            0 => Signatures::chosen(inner.world.entropy.as_ref()),
            _ => Signatures::Every,
        };
        let quiet =
            (attempt > 0).then(|| inner.erasing.lock().unwrap_or_else(PoisonError::into_inner));
        let report = verify_once(inner, signatures);
        drop(quiet);
        if !is_running(inner) {
            return None;
        }
        let same = before.as_ref().is_some_and(|before| flaws(before) == flaws(&report));
        if report.verdict == Verdict::Verified || same {
            return Some(report);
        }
        before = Some(report);
    }
    before
}

fn flaws(report: &VerifyReport) -> Vec<(&str, &str, Option<u64>, Option<u64>)> {
    let counting = report.findings.iter().filter(|one| one.severity < Severity::Notice);
    counting.map(|one| (one.code, &*one.file, one.offset, one.first_bad_index)).collect()
}

fn verify_once(inner: &Inner, signatures: Signatures) -> VerifyReport {
    let clock = &inner.world.clock;
    let go_on = || is_running(inner);
    // Told on this thread, after every batch.
    let rested_at = Mutex::new(Cell::new(clock.monotonic_nanos()));
    let pause = |_: Progress| {
        let rested_at = rested_at.lock().unwrap_or_else(PoisonError::into_inner);
        let worked = clock.monotonic_nanos().saturating_sub(rested_at.get());
        if worked >= SLICE_NANOS {
            rest(worked, &go_on);
            rested_at.set(clock.monotonic_nanos());
        }
    };
    let options = VerifyOptions {
        threads: 1,
        chain_memory_bytes: WHOLE_BYTES,
        signatures,
        progress: Some(&pause),
        live: Some(live(inner, inner.rooms.published().size, &go_on)),
        ..VerifyOptions::default()
    };
    verify(&world(inner), &options)
}

fn world(inner: &Inner) -> VerifyWorld {
    VerifyWorld {
        disk: Arc::clone(&inner.world.disk),
        keys: Some(Arc::clone(&inner.world.keys)),
        head: Some(Arc::clone(&inner.world.head_disk)),
    }
}

fn live<'i>(inner: &'i Inner, until: u64, go_on: &'i (dyn Fn() -> bool + Sync)) -> Live<'i> {
    Live { until, vault: &inner.rooms.vault, go_on }
}

/// Runs a thread of the verifier until the node stops, whatever befalls it.
fn again(inner: &Inner, what: &str, body: impl Fn() -> Result<(), String>) {
    if inner.config.verify_interval_nanos == 0 {
        return;
    }
    inner.verifying.note(|state| state.on = true);
    while !inner.stopping.load(Ordering::SeqCst) && is_running(inner) {
        let ended = catch_unwind(AssertUnwindSafe(&body));
        let why = match ended {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => why,
            Err(_) => "it panicked".to_owned(),
        };
        inner.verifying.note(|state| state.failures += 1);
        inner.verifying.tell(VerifierNews::Failed(&format!("{what}: {why}")));
        rest(PAUSE_NANOS, &|| is_running(inner));
    }
}
