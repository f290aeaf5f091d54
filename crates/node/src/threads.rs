//! The threads of a node. Each is a loop around one room's step.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ledgerline_index::Progress;
use ledgerline_ledger::inbox::Work;
use ledgerline_ledger::intake::{Accepted, EventStatus, Reply};
use ledgerline_ledger::planner::Planner;
use ledgerline_ledger::publisher::Publisher;
use ledgerline_ledger::sequencer::PlanError;
use ledgerline_vault::VaultError;

use super::{Charge, Inner};

/// How long submissions gather between two commits: this for each that the last commit answered,
/// within the range. A commit costs CPU whatever it carries, so who is busy makes fewer.
const GATHER_NANOS_EACH: u64 = 60_000;
const GATHER_NANOS: RangeInclusive<u64> = 500_000..=1_500_000;
/// With more than this waiting, planning begins at once.
const GATHER_BYTES: usize = 128 << 10;
/// Most leaves of one commit; a single submission may exceed it.
const BATCH_LEAVES: usize = 4096;
/// Most bytes of one commit, likewise.
const BATCH_BYTES: usize = 4 << 20;
/// A batch of so few leaves, behind which nothing waits, is published by the thread that planned
/// it: to wake another one costs more than planning ahead would gain.
const QUIET_LEAVES: usize = 8;
/// A wall clock that moves so far against the monotonic one stops intake.
const CLOCK_JUMP_NANOS: u64 = 60_000_000_000;

/// Priority of threads that read behind the head (`nice`): when cores are short, what is asked and
/// recorded goes first, and they get about a tenth. Their lag is in the metrics.
const BEHIND_NICE: i32 = 10;

/// As [`start`], for a thread whose work may wait.
pub(super) fn start_behind(
    name: &str,
    inner: &Arc<Inner>,
    body: impl FnOnce(&Inner) + Send + 'static,
) -> JoinHandle<()> {
    start(name, inner, |inner| {
        // On Linux this is of the calling thread alone; elsewhere it would be of the whole process.
        // Where it is refused, the thread only takes more than it should.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, BEHIND_NICE);
        body(inner);
    })
}

pub(super) fn start(
    name: &str,
    inner: &Arc<Inner>,
    body: impl FnOnce(&Inner) + Send + 'static,
) -> JoinHandle<()> {
    let inner = Arc::clone(inner);
    let run = move || {
        // A panicking thread must not leave callers waiting for ever.
        let close = CloseOnPanic { inner: &inner };
        body(&inner);
        std::mem::forget(close);
    };
    std::thread::Builder::new()
        .name(format!("ledger-{name}"))
        .spawn(run)
        .expect("the system gives a starting node its threads")
}

struct CloseOnPanic<'i> {
    inner: &'i Inner,
}

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        stop(self.inner, "a thread of the node panicked; see the log and restart");
    }
}

fn stop(inner: &Inner, why: &str) {
    inner.inbox.close(why);
    inner.stopping.store(true, Ordering::SeqCst);
    inner.rooms.patience.end();
    // Who looks whether it is to stop holds this, and sleeps by the time it is free.
    drop(inner.hand_over.lock().unwrap_or_else(PoisonError::into_inner));
    inner.handed.notify_all();
}

/// The sequencer thread.
pub(super) fn sequence(inner: &Inner, mut planner: Planner, publisher: Publisher) {
    let mut works = Vec::new();
    if let Err(why) = plan_all(inner, &mut planner, publisher, &mut works) {
        stop(inner, &why);
    }
    let mut place = inner.hand_over.lock().unwrap_or_else(PoisonError::into_inner);
    place.done = true;
    let never_taken = place.given.take_if(|_| inner.inbox.closed().is_some());
    drop(place);
    inner.handed.notify_all();
    let Some(why) = inner.inbox.closed() else { return };
    // What was put in is answered, also what was taken and not published.
    works.into_iter().for_each(|work| work.stopped(&why));
    let planned = [Some(planner.take()), never_taken.map(|charge| charge.batch)];
    for mut waiting in planned.into_iter().flatten().flat_map(|batch| batch.replies) {
        waiting.answer.stopped = Some(why.clone());
        waiting.answer();
    }
}

/// Plans and hands over what comes, until nothing more does. `works` holds what was taken and not
/// planned yet.
fn plan_all(
    inner: &Inner,
    planner: &mut Planner,
    publisher: Publisher,
    works: &mut Vec<Work>,
) -> Result<(), String> {
    let pause = Duration::from_nanos(inner.config.pace.interval_nanos / 8)
        .clamp(Duration::from_millis(5), Duration::from_millis(250));
    let mut publisher = Some(Box::new(publisher));
    let (mut handed_at, mut answered) = (0, 0);
    inner.counters.note_caches(&planner.caches());
    loop {
        let (leaves, bytes) = planner.draft_weight();
        let hungry = leaves < BATCH_LEAVES && bytes < BATCH_BYTES;
        let wants = (hungry, !planner.is_empty());
        let mut wake = inner.inbox.wait(wants, BATCH_BYTES, pause, works);
        if !works.is_empty() && gather(inner, wake.taken_bytes, handed_at, answered) {
            wake = inner.inbox.wait((hungry, true), BATCH_BYTES, Duration::ZERO, works);
        }
        if wake.closed {
            return Ok(());
        }
        planner.published();
        plan(inner, planner, works)?;
        if !wake.sync_idle {
            continue;
        }
        let last = wake.shutdown && inner.inbox.is_empty();
        planner.seal_if_due(last).map_err(|error| error.to_string())?;
        if !planner.is_empty() {
            let here = publisher.take().or_else(|| take_back(inner));
            let here = here.expect("an idle sync thread has given the publisher back");
            let charge = Charge { publisher: here, batch: planner.take() };
            handed_at = inner.world.clock.monotonic_nanos();
            answered = charge.batch.replies.len() as u64;
            if charge.batch.leaves.len() > QUIET_LEAVES || !inner.inbox.is_empty() {
                hand_over(inner, charge);
            } else {
                let Some(back) = publish(inner, charge) else { return Ok(()) };
                publisher = Some(back);
            }
            inner.counters.note_caches(&planner.caches());
        } else if last {
            return Ok(());
        }
    }
}

/// Plans all that was taken. What an error leaves unplanned stays in `works`.
fn plan(inner: &Inner, planner: &mut Planner, works: &mut Vec<Work>) -> Result<(), String> {
    let mut taken = std::mem::take(works);
    let mut rest = taken.drain(..);
    while let Some(work) = rest.next() {
        let planned = match work {
            Work::Submission(accepted, reply) => offer(inner, planner, accepted, reply),
            Work::Admin(act, reply) => planner.admin(&act, reply),
        };
        if let Err(error) = planned {
            works.extend(rest);
            return Err(error.to_string());
        }
    }
    drop(rest);
    *works = taken;
    Ok(())
}

/// Under load, lets submissions gather since the last commit began, which answered so many: a
/// commit costs a signature, a sync and two changes of thread, however few events it carries. Who
/// comes when nothing was committed lately is not kept waiting. Gives whether it waited.
fn gather(inner: &Inner, taken_bytes: usize, handed_at: u64, answered: u64) -> bool {
    let (least, most) = GATHER_NANOS.into_inner();
    let span = (answered * GATHER_NANOS_EACH).clamp(least, most);
    let since = inner.world.clock.monotonic_nanos().saturating_sub(handed_at);
    let waits = since < span && taken_bytes < GATHER_BYTES;
    if waits {
        std::thread::sleep(Duration::from_nanos(span - since));
    }
    waits
}

/// Counts what becomes of a submission on its way out.
fn offer(
    inner: &Inner,
    planner: &mut Planner,
    accepted: Accepted,
    reply: Reply,
) -> Result<(), PlanError> {
    planner.offer(accepted, reply, &mut |answer| match answer.status {
        EventStatus::Recorded => {}
        EventStatus::Duplicate => inner.counters.duplicate(),
        EventStatus::Refused => {
            inner.counters.refused(answer.error.as_ref().map_or("other", |error| error.code));
        }
    })
}

fn take_back(inner: &Inner) -> Option<Box<Publisher>> {
    inner.hand_over.lock().unwrap_or_else(PoisonError::into_inner).back.take()
}

fn hand_over(inner: &Inner, charge: Charge) {
    inner.inbox.set_sync_idle(false);
    let mut place = inner.hand_over.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(place.given.is_none(), "the sync thread said that it was idle");
    place.given = Some(charge);
    inner.handed.notify_one();
}

/// The sync thread.
pub(super) fn synchronise(inner: &Inner) {
    loop {
        let place = inner.hand_over.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = inner
            .handed
            .wait_while(place, |place| {
                place.given.is_none() && !place.done && !inner.stopping.load(Ordering::SeqCst)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let Some(charge) = place.given.take() else { break };
        drop(place);
        let Some(publisher) = publish(inner, charge) else { return };
        inner.hand_over.lock().unwrap_or_else(PoisonError::into_inner).back = Some(publisher);
        inner.inbox.set_sync_idle(true);
    }
    inner.stopping.store(true, Ordering::SeqCst);
}

/// Makes a batch durable; `None` when the node stopped over it.
fn publish(inner: &Inner, charge: Charge) -> Option<Box<Publisher>> {
    let Charge { mut publisher, mut batch } = charge;
    let (events, leaves) = (batch.event_count, batch.leaves.len());
    let begun = inner.world.clock.monotonic_nanos();
    if let Err(error) = publisher.publish(&mut batch) {
        stop(inner, &error.to_string());
        return None;
    }
    if leaves > 0 {
        let nanos = inner.world.clock.monotonic_nanos().saturating_sub(begun);
        inner.counters.commit(nanos);
        inner.counters.recorded(events);
    }
    Some(publisher)
}

/// The index thread: one step, then a pause as long as the step took, so that it never takes more
/// than half of a core for long.
pub(super) fn build_runs(inner: &Inner) {
    let clock = inner.world.clock.as_ref();
    while !inner.stopping.load(Ordering::SeqCst) {
        let begun = clock.monotonic_nanos();
        let published = inner.rooms.published().size;
        let step = || inner.rooms.index.step(published);
        match inner.rooms.patience.with("the index cannot be written", step) {
            Ok(Progress::Idle) => std::thread::sleep(Duration::from_millis(50)),
            Ok(_) => {
                let took = clock.monotonic_nanos().saturating_sub(begun);
                std::thread::sleep(Duration::from_nanos(took.min(100_000_000)));
            }
            Err(error) => return stop(inner, &format!("the index cannot be built: {error}")),
        }
    }
}

/// The helper thread. What it cannot write it tries again at the next round, and intake waits.
pub(super) fn keep_house(inner: &Inner) {
    let mut written = 0;
    let mut snapshot_at = inner.rooms.index.covered();
    let mut last = Clocks::read(inner);
    while !inner.stopping.load(Ordering::SeqCst) {
        let published = inner.rooms.published();
        if published.size > written {
            let head = inner.head.write(published.checkpoint.as_bytes());
            written = if head.is_ok() { published.size } else { written };
            tell(inner, "the head store cannot be written", head);
        }
        let covered = inner.rooms.index.covered();
        let vault = keep_vault(inner, published.size, covered > snapshot_at);
        snapshot_at = if vault.is_ok() { covered.max(snapshot_at) } else { snapshot_at };
        tell(inner, "the vault cannot be written", vault);
        last = look_at_clock_and_disk(inner, last);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Free slots for new persons, and where asked the map.
fn keep_vault(inner: &Inner, size: u64, snapshot: bool) -> Result<(), VaultError> {
    let (slots, vault) = (inner.config.ledger.vault_slots, &inner.rooms.vault);
    if vault.free_slots() < slots / 2 {
        vault.refill(slots)?;
    }
    if snapshot { vault.snapshot(inner.rooms.position(size)) } else { Ok(()) }
}

/// Has intake wait while something cannot be done, and go on once it can.
fn tell<E: Display>(inner: &Inner, what: &'static str, done: Result<(), E>) {
    let why = done.err().map(|error| format!("{what}: {error}; it is tried again until it works"));
    inner.rooms.patience.note(what, why.as_deref());
}

/// Both clocks, read together.
#[derive(Clone, Copy)]
struct Clocks {
    wall_nanos: i64,
    monotonic_nanos: u64,
}

impl Clocks {
    fn read(inner: &Inner) -> Self {
        let clock = inner.world.clock.as_ref();
        Self { wall_nanos: clock.wall_nanos(), monotonic_nanos: clock.monotonic_nanos() }
    }
}

/// Blocks intake while the disk is nearly full or does not say how full it is, and after a jump of
/// the wall clock.
fn look_at_clock_and_disk(inner: &Inner, last: Clocks) -> Clocks {
    const CLOCK: &str = "the wall clock";
    const SPACE: &str = "free space";
    let now = Clocks::read(inner);
    let wall = i128::from(now.wall_nanos) - i128::from(last.wall_nanos);
    let monotonic = i128::from(now.monotonic_nanos) - i128::from(last.monotonic_nanos);
    let patience = &inner.rooms.patience;
    if (wall - monotonic).unsigned_abs() > u128::from(CLOCK_JUMP_NANOS) {
        let why = "the wall clock jumped by more than 60 s; set it right and restart to confirm";
        patience.note(CLOCK, Some(why));
    }
    let floor = inner.config.free_space_floor_bytes;
    let why = match inner.world.disk.free_bytes() {
        Ok(free) if free >= floor => None,
        Ok(_) => {
            Some(format!("the disk has less than the floor of {floor} bytes left; free some space"))
        }
        Err(error) => Some(format!("the disk does not say how much space is left: {error}")),
    };
    patience.note(SPACE, why.as_deref());
    now
}
