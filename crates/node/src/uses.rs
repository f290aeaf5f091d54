//! Uses noted by introspection, to be recorded as USED of their tokens.
//!
//! ```text
//! answer ──▶ note (in memory) ──▶ a window after its first use: one USED for each
//!                                 (token, caller, outcome); count, effective_at = first, last_at
//! first uses   · ·· ·  ···· ·   ·· ·            by when they are due: a queue
//! recorded        └ window ┘ · ·· ·  ···· ·      a tick's worth at a time, at most BATCH
//! ```
//!
//! Promises: nobody waits for the recording. Each token's window begins with its own first use, so
//! that uses are recorded as evenly as they came, never all at once. The first use of a tenant
//! after a pause waits until a mark on the disk says that uses of the tenant are in memory; noting
//! the others takes no input or output. On shutdown what was noted is recorded before the ledger
//! closes; a crash loses one window at most, and then the mark has the next start raise a finding.
//! What the ledger is too busy for, or takes no events for, is tried again.
//!
//! Refuses: more than [`MOST`] at a time: those beyond are dropped, and the log says how many. From
//! half of that on windows end early.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ledgerline_followers::findings::uses_gap::Waiting;
use ledgerline_introspection::CachedAnswer;
use ledgerline_ledger::intake::{SeenUse, SubmitAnswer, SubmitError};
use ledgerline_view::registry::Caller;

use super::Node;

/// Uses noted at a time, each some 250 bytes.
pub const MOST: usize = 262_144;
/// With so many windows end early.
const ENOUGH: usize = MOST / 2;
/// Uses that are handed over together: few enough that nobody is kept from an answer meanwhile.
const BATCH: usize = 256;
/// Batches of one tick. More than one are due only behind a busy ledger, or with [`ENOUGH`].
const BATCHES: usize = 4;
/// Between two looks at what is due, while something waits and while nothing does.
const TICK: Duration = Duration::from_millis(10);
const IDLE_TICK: Duration = Duration::from_millis(100);
/// How long a closing server tries to hand them over.
const LAST_TRIES: u32 = 100;
/// How long a recording is waited for before the mark is left as it is.
const RECORDING_MAX: Duration = Duration::from_secs(30);

/// Token (by its chain), credential (by its place in the book), whether it was active.
type Name = ([u64; 2], u32, bool);

/// Uses by one caller.
type Group = (Caller, Vec<(Name, Noted)>);

/// Uses of one token by one caller.
struct Noted {
    token_id: Box<str>,
    count: i64,
    first_at: i64,
    last_at: i64,
}

/// News for the log.
#[derive(Debug, Clone, Copy)]
pub enum UsesNews<'n> {
    /// The mark could not be written: a crash now would lose uses without a finding.
    Unmarked(&'n io::Error),
    /// The mark could not be taken away: a start may tell of no loss.
    MarkLeft(&'n io::Error),
    /// So many tokens were presented in one window beyond those that are kept.
    Dropped(u64),
    /// So many uses were not recorded.
    Lost(usize, &'n SubmitError),
    /// Uses were refused, with the code.
    Refused(&'static str),
    /// The ledger was too busy for the last uses of a closing server.
    TooBusy,
}

/// Takes news of uses; called from the threads that record them.
pub type UsesListener = Arc<dyn Fn(UsesNews<'_>) + Send + Sync>;

/// The room. Shared.
pub struct Uses {
    window: Duration,
    tell: UsesListener,
    noted: Mutex<Book>,
    /// Tenants whose uses the mark on the disk speaks of.
    marked: RwLock<BTreeSet<String>>,
    /// The mark. Held while the disk is written.
    mark: Mutex<Waiting>,
    /// Held by who records.
    recording: Mutex<()>,
    /// Submissions of uses of which it is not known that they are durable. While there are any the
    /// mark stays.
    unsettled: Arc<AtomicU64>,
}

#[derive(Default)]
struct Book {
    uses: BTreeMap<Name, Noted>,
    /// The same by their first use, nearly in its order. What has another one by now is behind.
    queue: VecDeque<(i64, Name)>,
    /// Who ever asked, and how many uses of theirs wait.
    callers: Vec<(Caller, usize)>,
    places: BTreeMap<Arc<str>, u32>,
    dropped: u64,
}

impl Uses {
    /// Recorded when `window` has passed since the first; never when that is zero.
    #[must_use]
    pub fn new(window: Duration, tell: UsesListener) -> Self {
        Self {
            window,
            tell,
            noted: Mutex::default(),
            marked: RwLock::default(),
            mark: Mutex::default(),
            recording: Mutex::default(),
            unsettled: Arc::default(),
        }
    }

    /// Notes that a caller presented a token. True when [`Uses::mark`] is to be called before
    /// anybody is answered.
    #[must_use]
    pub fn note(&self, caller: &Caller, answer: &CachedAnswer, active: bool, now: i64) -> bool {
        // To present a code is not to spend it.
        if self.window.is_zero() || answer.is_code() {
            return false;
        }
        self.book().note(caller, answer, active, now);
        // After noting: whoever takes the mark away looks at the book afterwards.
        let marked = self.marked.read().unwrap_or_else(PoisonError::into_inner);
        !marked.contains(caller.own_tenant())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the mark speaks of uses that are recorded by now.
    fn is_marked_in_vain(&self) -> bool {
        let marked = self.marked.read().unwrap_or_else(PoisonError::into_inner);
        !marked.is_empty() && self.book().queue.is_empty()
    }

    /// Whether uses are recorded at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.window.is_zero()
    }

    /// How long until [`Uses::is_due`] is worth asking again. While nothing waits it is not asked a
    /// hundred times a second: that was a third of what an idle server did.
    #[must_use]
    pub fn look_in(&self) -> Duration {
        let is_idle = self.book().queue.is_empty();
        if is_idle { IDLE_TICK.min(self.window).max(TICK) } else { TICK }
    }

    /// Whether something is to be recorded now: [`Uses::record_due`] is worth its thread.
    #[must_use]
    pub fn is_due(&self, node: &Node) -> bool {
        self.due(node)(&self.book()) || self.is_marked_in_vain()
    }

    /// Has what is due recorded. Blocks. Says whether the ledger took it: if not, not again at
    /// once.
    #[must_use]
    pub fn record_due(&self, node: &Node) -> bool {
        self.record(node, self.due(node), BATCHES)
    }

    /// What is due by the node's clock: those whose window has passed, or all with [`ENOUGH`].
    fn due(&self, node: &Node) -> impl Fn(&Book) -> bool + use<> {
        let before = node.now().saturating_sub(self.window_nanos());
        move |book: &Book| {
            book.queue.len() > ENOUGH || book.oldest().is_some_and(|first_at| first_at <= before)
        }
    }

    fn window_nanos(&self) -> i64 {
        i64::try_from(self.window.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Says durably that uses of a tenant noted at `now` wait. Blocks.
    pub fn mark(&self, node: &Node, tenant: &str, now: i64) {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let mut marked = self.marked.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !marked.insert(tenant.to_owned()) {
            return;
        }
        mark.from = if marked.len() == 1 { now } else { mark.from.min(now) };
        self.write(node, &mut mark, marked);
    }

    fn write(&self, node: &Node, mark: &mut Waiting, tenants: BTreeSet<String>) {
        mark.window = u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX);
        mark.tenants.clone_from(&tenants);
        if let Err(error) = node.uses_wait(Some(mark)) {
            (self.tell)(UsesNews::Unmarked(&error));
        }
        *self.marked.write().unwrap_or_else(PoisonError::into_inner) = tenants;
    }

    /// Moves the mark on to the oldest use that waits, once it is half a window behind; takes it
    /// away when none does. Blocks. Called by who records. While it is not known of all it took
    /// that it is durable, the mark stays: those uses may be lost.
    fn move_mark(&self, node: &Node) {
        if self.unsettled.load(Ordering::SeqCst) > 0 {
            return;
        }
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let book = self.book();
        let oldest = book.oldest();
        let is_near = |from: i64| from.saturating_sub(mark.from) < self.window_nanos() / 2;
        if oldest.is_some_and(is_near) {
            return;
        }
        drop(book);
        // Whoever notes from here on marks anew, and waits for the lock above.
        let marked =
            std::mem::take(&mut *self.marked.write().unwrap_or_else(PoisonError::into_inner));
        if marked.is_empty() {
            return;
        }
        let book = self.book();
        let (oldest, tenants) = (book.oldest(), book.tenants());
        drop(book);
        let Some(oldest) = oldest else {
            if let Err(error) = node.uses_wait(None) {
                (self.tell)(UsesNews::MarkLeft(&error));
            }
            return;
        };
        mark.from = oldest;
        self.write(node, &mut mark, tenants);
    }

    /// Has what is due recorded, the oldest first, and moves the mark on. Blocks. Says whether the
    /// ledger took it.
    fn record(&self, node: &Node, due: impl Fn(&Book) -> bool, most: usize) -> bool {
        let _alone = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..most {
            let (groups, dropped) = {
                let mut book = self.book();
                (book.take(&due), std::mem::take(&mut book.dropped))
            };
            if dropped > 0 {
                (self.tell)(UsesNews::Dropped(dropped));
            }
            if groups.is_empty() {
                break;
            }
            match self.hand_over(node, groups) {
                Recorded::Durable => {}
                Recorded::Unknown => return true,
                Recorded::Busy => return false,
            }
        }
        self.move_mark(node);
        true
    }

    /// Hands uses over, those of each caller together, and waits until they are durable.
    fn hand_over(&self, node: &Node, groups: Vec<Group>) -> Recorded {
        let (done, answers) = channel();
        let mut recorded = Recorded::Durable;
        for (caller, batch) in groups {
            let done = done.clone();
            let tell = Arc::clone(&self.tell);
            let unsettled = Arc::clone(&self.unsettled);
            unsettled.fetch_add(1, Ordering::SeqCst);
            let reply = move |answer: SubmitAnswer| {
                let refused = answer.events.iter().find_map(|event| event.error.as_ref());
                if let Some(error) = refused {
                    tell(UsesNews::Refused(error.code));
                }
                let is_known = answer.stopped.is_none();
                if is_known {
                    unsettled.fetch_sub(1, Ordering::SeqCst);
                }
                // Perhaps nobody waits any more.
                let _ = done.send(is_known);
            };
            let seen: Vec<SeenUse> = batch.iter().map(|(name, noted)| noted.seen(name.2)).collect();
            match node.record_uses(&caller, caller.own_tenant(), &seen, Box::new(reply)) {
                Ok(()) => {}
                Err(SubmitError::Busy { .. } | SubmitError::Paused { .. }) => {
                    self.unsettled.fetch_sub(1, Ordering::SeqCst);
                    self.book().put_back(batch);
                    recorded = Recorded::Busy;
                }
                Err(error) => {
                    // Of a ledger that stopped the next start tells what was lost.
                    if !matches!(error, SubmitError::Stopped { .. }) {
                        self.unsettled.fetch_sub(1, Ordering::SeqCst);
                    }
                    (self.tell)(UsesNews::Lost(seen.len(), &error));
                }
            }
        }
        drop(done);
        let until = node.monotonic() + RECORDING_MAX;
        // The channel ends when every submission was answered or dropped.
        loop {
            match answers.recv_timeout(until.saturating_sub(node.monotonic())) {
                Ok(true) => {}
                Ok(false) | Err(RecvTimeoutError::Timeout) => return Recorded::Unknown,
                Err(RecvTimeoutError::Disconnected) => return recorded,
            }
        }
    }

    /// Hands everything over while the ledger still takes it. Blocks.
    pub fn finish(&self, node: &Node) {
        for _ in 0..LAST_TRIES {
            if self.record(node, |_| true, usize::MAX) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        (self.tell)(UsesNews::TooBusy);
    }
}

/// What came of handing a batch over.
enum Recorded {
    Durable,
    /// Perhaps; the ledger stopped or takes long.
    Unknown,
    Busy,
}

impl Noted {
    fn seen(&self, allowed: bool) -> SeenUse {
        let Self { token_id, count, first_at, last_at } = self;
        let (count, first_at, last_at) = (*count, *first_at, *last_at);
        SeenUse { token_id: token_id.to_string(), count, first_at, last_at, allowed }
    }
}

impl Book {
    fn note(&mut self, caller: &Caller, answer: &CachedAnswer, active: bool, now: i64) {
        let place = match self.places.get(caller.key_id()) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(self.callers.len()).unwrap_or(u32::MAX);
                self.callers.push((caller.clone(), 0));
                self.places.insert(Arc::clone(caller.key_id()), place);
                place
            }
        };
        let chain = answer.chain().to_le_bytes();
        let (halves, _) = chain.as_chunks::<8>();
        let name = ([0, 1].map(|half| u64::from_le_bytes(halves[half])), place, active);
        let is_full = self.uses.len() >= MOST;
        match self.uses.entry(name) {
            Entry::Occupied(mut known) => known.get_mut().add(1, now, now),
            Entry::Vacant(_) if is_full => self.dropped += 1,
            Entry::Vacant(free) => {
                let token_id = answer.id().into();
                free.insert(Noted { token_id, count: 1, first_at: now, last_at: now });
                self.callers[place as usize].1 += 1;
                self.queue.push_back((now, name));
            }
        }
    }

    /// None waits since before.
    fn oldest(&self) -> Option<i64> {
        self.queue.front().map(|(first_at, _)| *first_at)
    }

    /// Tenants of which any wait.
    fn tenants(&self) -> BTreeSet<String> {
        let waiting = self.callers.iter().filter(|(_, count)| *count > 0);
        waiting.map(|(caller, _)| caller.own_tenant().to_owned()).collect()
    }

    /// Takes what is due, the oldest first, at most [`BATCH`], by caller.
    fn take(&mut self, due: &impl Fn(&Self) -> bool) -> Vec<Group> {
        let mut groups: BTreeMap<u32, Vec<(Name, Noted)>> = BTreeMap::new();
        let mut taken = 0;
        while taken < BATCH
            && due(self)
            && let Some((first_at, name)) = self.queue.pop_front()
        {
            // Those with an older first use came to the front again.
            let Entry::Occupied(known) = self.uses.entry(name) else { continue };
            if known.get().first_at != first_at {
                continue;
            }
            groups.entry(name.1).or_default().push((name, known.remove()));
            self.callers[name.1 as usize].1 -= 1;
            taken += 1;
        }
        let caller = |place: u32| self.callers[place as usize].0.clone();
        groups.into_iter().map(|(place, batch)| (caller(place), batch)).collect()
    }

    /// Takes back what the ledger did not take.
    fn put_back(&mut self, batch: Vec<(Name, Noted)>) {
        for (name, noted) in batch.into_iter().rev() {
            let first_at = match self.uses.entry(name) {
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.add(noted.count, noted.first_at, noted.last_at);
                    known.first_at
                }
                Entry::Vacant(free) => {
                    self.callers[name.1 as usize].1 += 1;
                    free.insert(noted).first_at
                }
            };
            self.queue.push_front((first_at, name));
        }
    }
}

impl Noted {
    fn add(&mut self, count: i64, first_at: i64, last_at: i64) {
        self.count += count;
        self.first_at = self.first_at.min(first_at);
        self.last_at = self.last_at.max(last_at);
    }
}
