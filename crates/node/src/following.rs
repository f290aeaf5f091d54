//! Followers on threads of a node: one loop for all of them.
//!
//! What a step stated is durable before the position is saved; a crash in between has it stated
//! again and recognised. A position that is lost or beyond the ledger is told to the log.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ledgerline_attendance::AttendanceFollower;
use ledgerline_expiry::{ExpiryFollower, SCHEDULE_TOKENS, STEP_READS};
use ledgerline_followers::findings::record::raised_by;
use ledgerline_followers::findings::{FindingsFollower, Place};
use ledgerline_followers::follower::{Failed, NotRecorded, Ran, Reach, Start};
use ledgerline_followers::pace::Load;
use ledgerline_followers::{Follower, Recorder, Runner};
use ledgerline_ledger::intake::secret_scan;
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::own_statement::OwnStatement;

use super::{AdminError, Inner, Node};

/// Longest sleep without a look at whether the node stops.
const NAP: Duration = Duration::from_millis(50);
/// Between two steps of the expiry schedule of which the first was not enough, at least.
const EXPIRY_LEAST_NANOS: u64 = 10_000_000;
/// Recording what callers brought goes before expiries: with more of the queue than this taken,
/// none is added.
const QUEUE_PART: usize = 4;

/// What a node counts of its followers.
#[derive(Default)]
pub(super) struct Followers {
    counts: Mutex<BTreeMap<&'static str, FollowerCount>>,
    listener: OnceLock<FollowerListener>,
    /// Beginnings of before there was a listener.
    begun: Mutex<Vec<Start>>,
}

/// What is counted of a follower, since start but for where it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FollowerCount {
    /// How far it is.
    pub reach: Reach,
    /// Statements of it that were recorded.
    pub stated: u64,
    /// Times that it had to begin again.
    pub failures: u64,
}

/// News for the log.
#[derive(Debug, Clone, Copy)]
pub enum FollowerNews<'n> {
    /// One began.
    Started(&'n Start),
    /// One had to begin again.
    Failed {
        /// Which.
        name: &'static str,
        /// Why.
        why: &'n str,
    },
    /// A position could not be saved.
    Unsaved {
        /// Whose.
        name: &'static str,
        /// Why.
        why: &'n io::Error,
    },
    /// One has something to say.
    News {
        /// Which.
        name: &'static str,
        /// What.
        what: &'n str,
    },
}

/// Takes news of followers; called from their threads.
pub type FollowerListener = Box<dyn Fn(FollowerNews<'_>) + Send + Sync>;

impl Followers {
    pub(super) fn count(&self, name: &str) -> FollowerCount {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(name).copied().unwrap_or_default()
    }

    pub(super) fn listen(&self, listener: FollowerListener) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        // The first one stays.
        let _ = self.listener.set(listener);
        for start in begun.drain(..) {
            self.tell(FollowerNews::Started(&start));
        }
    }

    fn note(&self, name: &'static str, change: impl FnOnce(&mut FollowerCount)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        change(counts.entry(name).or_default());
    }

    fn tell(&self, news: FollowerNews<'_>) {
        if let Some(listener) = self.listener.get() {
            listener(news);
        }
    }

    fn ran(&self, name: &'static str, ran: &Ran) {
        self.note(name, |count| {
            count.reach = ran.reach;
            count.stated += ran.recorded as u64;
        });
        if let Some(start) = &ran.start {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            if self.listener.get().is_none() {
                begun.push(start.clone());
            }
            drop(begun);
            self.tell(FollowerNews::Started(start));
        }
        if let Some(why) = &ran.unsaved {
            self.tell(FollowerNews::Unsaved { name, why });
        }
        if let Some(what) = &ran.news {
            self.tell(FollowerNews::News { name, what });
        }
    }
}

/// How a follower is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Between two steps when it has caught up, and at most.
    pub(super) interval: u64,
    /// Between two steps at least.
    pub(super) least: u64,
    /// With more bytes than this in the queue it adds nothing to it.
    pub(super) queue_bytes: usize,
    /// Whether it is somebody outside, whose statements are looked through for secrets.
    pub(super) is_scanned: bool,
}

impl Manner {
    pub(super) const fn every(interval: u64) -> Self {
        Self { interval, least: 0, queue_bytes: usize::MAX, is_scanned: false }
    }
}

/// The findings thread.
pub(super) fn findings(inner: &Inner) {
    let interval = inner.config.findings_interval_nanos;
    if interval > 0 {
        let place = Place::on(Arc::clone(&inner.world.disk));
        let follower = FindingsFollower::with_store(inner.config.windows.clone(), place);
        run(inner, follower, Manner::every(interval), &|| is_running(inner));
    }
}

/// The attendance thread. It looks as often as the rules do.
pub(super) fn attendance(inner: &Inner) {
    let interval = inner.config.findings_interval_nanos;
    if interval > 0 {
        let follower = AttendanceFollower::new(inner.config.attendance.clone());
        run(inner, follower, Manner::every(interval), &|| is_running(inner));
    }
}

/// The expiry thread. It does not run after every commit.
pub(super) fn expiry(inner: &Inner) {
    if inner.config.expire {
        let follower = ExpiryFollower::new(SCHEDULE_TOKENS, STEP_READS);
        let manner = Manner {
            interval: inner.config.expire_interval_nanos,
            least: EXPIRY_LEAST_NANOS,
            queue_bytes: inner.config.queue_bytes / QUEUE_PART,
            is_scanned: false,
        };
        run(inner, follower, manner, &|| is_running(inner));
    }
}

/// Runs a follower on this thread, as long as it is to go on.
pub(super) fn run(
    inner: &Inner,
    follower: impl Follower,
    manner: Manner,
    goes_on: &dyn Fn() -> bool,
) {
    let name = follower.name();
    let world = &inner.world;
    let mut runner = Runner::new(follower, Arc::clone(&world.disk), Arc::clone(&world.clock));
    let mut queue = Queue { inner, bytes: manner.queue_bytes, is_scanned: manner.is_scanned };
    // One that fails again and again is told once.
    let mut is_told = false;
    while goes_on() {
        let pause = match runner.step(&inner.view(), &mut queue) {
            Ok(ran) => {
                is_told = false;
                inner.followers.ran(name, &ran);
                let size = inner.rooms.published().size;
                let node = Load { size, waits: inner.inbox.bytes() > 0 };
                runner.rest(node, manner.interval).max(manner.least)
            }
            Err(Failed::NotRecorded) => manner.interval,
            Err(Failed::Interrupted(why)) => {
                inner.followers.note(name, |count| count.failures += 1);
                if !std::mem::replace(&mut is_told, true) {
                    inner.followers.tell(FollowerNews::Failed { name, why: &why.0 });
                }
                manner.interval
            }
        };
        rest(pause, goes_on);
    }
    if let Err(why) = runner.save(&inner.view()) {
        inner.followers.tell(FollowerNews::Unsaved { name, why: &why });
    }
}

/// The way of statements back into the ledger.
pub(super) struct Queue<'i> {
    inner: &'i Inner,
    bytes: usize,
    /// Whether what it states passes the same door as events do.
    is_scanned: bool,
}

impl<'i> Queue<'i> {
    pub(super) const fn new(inner: &'i Inner) -> Self {
        Self { inner, bytes: usize::MAX, is_scanned: false }
    }
}

impl Recorder for Queue<'_> {
    fn record(&mut self, statements: Vec<OwnStatement>) -> Result<(), NotRecorded> {
        let inner = self.inner;
        if self.is_scanned && secret_scan::check_act(&AdminAct::State(statements.clone())).is_err()
        {
            return Err(NotRecorded);
        }
        loop {
            if inner.inbox.bytes() <= self.bytes {
                match inner.administer(AdminAct::State(statements.clone())) {
                    Ok(_) => break,
                    Err(AdminError::Stopped(_)) => return Err(NotRecorded),
                    Err(AdminError::Refused { .. }) => {}
                }
            }
            if !is_running(inner) {
                return Err(NotRecorded);
            }
            std::thread::sleep(NAP);
        }
        for (rule, severity) in statements.iter().filter_map(raised_by) {
            inner.counters.finding(rule.code(), severity.word());
        }
        Ok(())
    }
}

impl Inner {
    /// Tells the log that something of a follower could not be saved.
    pub(super) fn complain(&self, name: &'static str, why: &io::Error) {
        self.followers.tell(FollowerNews::Unsaved { name, why });
    }
}

pub(super) fn is_running(inner: &Inner) -> bool {
    !inner.stopping.load(Ordering::SeqCst) && !inner.inbox.is_shut_down()
}

/// Sleeps, but not past the end.
pub(super) fn rest(nanos: u64, goes_on: &dyn Fn() -> bool) {
    let mut left = Duration::from_nanos(nanos);
    while !left.is_zero() && goes_on() {
        let nap = left.min(NAP);
        std::thread::sleep(nap);
        left -= nap;
    }
}

impl Node {
    /// Runs a follower of somebody outside on this thread, as long as it is to go on: a step every
    /// `interval` when it has caught up. What it states is looked through for secrets; with one in
    /// it nothing of the step is recorded, and the step is taken again.
    pub fn follow(&self, follower: impl Follower, interval: Duration, goes_on: &dyn Fn() -> bool) {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let manner = Manner { is_scanned: true, ..Manner::every(interval) };
        run(&self.inner, follower, manner, goes_on);
    }

    /// The sources of a tenant that the settings expect.
    #[must_use]
    pub fn expected_sources(&self, tenant: &str) -> Vec<String> {
        let all = self.inner.config.attendance.expected.iter();
        all.filter(|(of, _)| of == tenant).map(|(_, source)| source.clone()).collect()
    }

    /// What is counted of a follower, by its name.
    #[must_use]
    pub fn follower(&self, name: &str) -> FollowerCount {
        self.inner.followers.count(name)
    }

    /// Hands news of followers to `listener`, for the log. The first one set stays.
    pub fn listen_to_followers(&self, listener: FollowerListener) {
        self.inner.followers.listen(listener);
    }

    /// Nanoseconds of the world's clock since an arbitrary start, which never go back.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.inner.world.clock.monotonic_nanos())
    }
}
