//! Introspections, to be recorded as uses of their tokens.
//!
//! ```text
//! answer ──▶ note (in memory) ──▶ every window: one USED for each (token, caller, outcome)
//!                                 count, effective_at = first, last_at = last
//! ```
//!
//! Promises: nobody waits for the recording. The first use of a tenant after a pause waits until a
//! mark on the disk says that uses of the tenant are in memory; noting the others takes no input or
//! output. On shutdown what was noted is recorded before the ledger closes; a crash loses one
//! window at most, and then the mark has the next start raise a finding. What the ledger is too
//! busy for is tried again with the next window.
//!
//! Refuses: more than [`MOST`] at a time: those beyond are dropped, and the log says how many.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ledgerline_engine::findings::gap::Waiting;
use ledgerline_engine::intake::{SeenUse, SubmitAnswer, SubmitError};
use ledgerline_engine::node::Node;
use ledgerline_engine::registry::Caller;
use ledgerline_engine::standing::Standing;
use ledgerline_proof::vocabulary::TokenKind;
use tokio::sync::Notify;

use super::App;

/// Uses noted at a time, each a few hundred bytes.
pub const MOST: usize = 200_000;
/// With so many they are recorded without waiting for the end of the window.
const ENOUGH: usize = MOST / 4;
/// Events of one submission.
const BATCH: usize = 1000;
/// How long a closing server tries to hand them over.
const LAST_TRIES: u32 = 100;

/// How long a recording is waited for before the mark is left as it is.
const RECORDING_MAX: Duration = Duration::from_secs(30);

/// Tenant, credential, token id, whether it was active.
type Name = (String, Arc<str>, String, bool);

/// Uses by one credential in one tenant.
type Batch = Vec<(Name, Noted)>;

struct Noted {
    caller: Caller,
    seen: SeenUse,
}

/// The room. Shared.
#[derive(Default)]
pub struct Uses {
    window: Duration,
    noted: Mutex<Book>,
    many: Notify,
    /// Tenants whose uses the mark on the disk speaks of.
    marked: RwLock<BTreeSet<String>>,
    /// The mark. Held while the disk is written.
    mark: Mutex<Waiting>,
}

#[derive(Default)]
struct Book {
    uses: BTreeMap<Name, Noted>,
    dropped: u64,
}

impl Uses {
    /// Recorded every `window`; never when that is zero.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { window, ..Self::default() }
    }

    /// Notes that a caller presented a token. True when [`Uses::mark`] is to be called before
    /// anybody is answered.
    #[must_use]
    pub fn note(
        &self,
        caller: &Caller,
        tenant: &str,
        standing: &Standing,
        active: bool,
        now: i64,
    ) -> bool {
        // To present a code is not to spend it.
        let is_code = standing.state.token_kind.is_some_and(TokenKind::is_code);
        if self.window.is_zero() || is_code {
            return false;
        }
        let seen = SeenUse {
            token_id: standing.id.clone(),
            count: 1,
            first_at: now,
            last_at: now,
            allowed: active,
        };
        let name = (tenant.to_owned(), Arc::clone(caller.key_id()), seen.token_id.clone(), active);
        let mut book = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        book.add(name, Noted { caller: caller.clone(), seen });
        let enough = book.uses.len() >= ENOUGH;
        drop(book);
        if enough {
            self.many.notify_one();
        }
        // After noting: whoever takes the mark away looks at the book afterwards.
        !self.marked.read().unwrap_or_else(PoisonError::into_inner).contains(tenant)
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
            let why = "a crash now would lose uses without a finding";
            tracing::warn!(code = "uses_unmarked", %error, why);
        }
        *self.marked.write().unwrap_or_else(PoisonError::into_inner) = tenants;
    }

    /// Moves the mark on to `from`, before which everything is recorded; takes it away when nothing
    /// was noted since. Blocks.
    fn move_mark(&self, node: &Node, from: i64) {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever notes from here on marks anew, and waits for the lock above.
        let marked =
            std::mem::take(&mut *self.marked.write().unwrap_or_else(PoisonError::into_inner));
        if marked.is_empty() {
            return;
        }
        let book = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let tenants: BTreeSet<String> = book.uses.keys().map(|name| name.0.clone()).collect();
        drop(book);
        if tenants.is_empty() {
            if let Err(error) = node.uses_wait(None) {
                tracing::warn!(code = "uses_mark_left", %error, "a start may tell of no loss");
            }
            return;
        }
        mark.from = from;
        self.write(node, &mut mark, tenants);
    }

    /// Has what was noted recorded, and moves the mark on when all of it is durable. Blocks. Says
    /// whether the ledger took all of it.
    fn record(&self, node: &Node) -> bool {
        let begun = node.now();
        let (done, answers) = channel();
        let all = self.hand_over(node, &done);
        drop(done);
        let until = Instant::now() + RECORDING_MAX;
        // The channel ends when every submission was answered or dropped.
        while Instant::now() < until {
            match answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(true) => {}
                Ok(false) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => return all,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    if all {
                        self.move_mark(node, begun);
                    }
                    return all;
                }
            }
        }
        all
    }

    /// Hands what was noted to the ledger. Says whether all of it was taken.
    fn hand_over(&self, node: &Node, done: &Sender<bool>) -> bool {
        let mut book = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let uses = std::mem::take(&mut book.uses);
        let dropped = std::mem::take(&mut book.dropped);
        drop(book);
        if dropped > 0 {
            let why = "more tokens were presented in one window than are kept";
            tracing::warn!(code = "uses_dropped", dropped, why);
        }
        let mut groups: BTreeMap<(String, Arc<str>), Batch> = BTreeMap::new();
        for (name, noted) in uses {
            groups.entry((name.0.clone(), Arc::clone(&name.1))).or_default().push((name, noted));
        }
        let mut all = true;
        for ((tenant, _), mut group) in groups {
            while !group.is_empty() {
                let rest = group.split_off(group.len().min(BATCH));
                let batch = std::mem::replace(&mut group, rest);
                all &= self.submit(node, &tenant, batch, done.clone());
            }
        }
        all
    }

    fn submit(&self, node: &Node, tenant: &str, batch: Batch, done: Sender<bool>) -> bool {
        let Some((_, first)) = batch.first() else { return true };
        let seen: Vec<SeenUse> = batch.iter().map(|(_, noted)| noted.seen.clone()).collect();
        let reply = move |answer: SubmitAnswer| {
            complain(&answer);
            // Nobody waits any more: the mark stays.
            let _ = done.send(answer.stopped.is_none());
        };
        match node.record_uses(&first.caller, tenant, &seen, Box::new(reply)) {
            Ok(()) => true,
            Err(SubmitError::Busy { .. }) => {
                let mut book = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
                batch.into_iter().for_each(|(name, noted)| book.add(name, noted));
                false
            }
            Err(error) => {
                let lost = seen.len();
                tracing::warn!(code = "uses_lost", lost, %error, "uses were not recorded");
                true
            }
        }
    }

    /// Hands everything over while the ledger still takes it. Blocks.
    pub fn finish(&self, node: &Node) {
        for _ in 0..LAST_TRIES {
            if self.record(node) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        tracing::warn!(code = "uses_lost", "the ledger was too busy for the last uses");
    }
}

impl Book {
    fn add(&mut self, name: Name, noted: Noted) {
        let full = self.uses.len() >= MOST;
        match self.uses.entry(name) {
            Entry::Occupied(mut known) => {
                let seen = &mut known.get_mut().seen;
                seen.count += noted.seen.count;
                seen.first_at = seen.first_at.min(noted.seen.first_at);
                seen.last_at = seen.last_at.max(noted.seen.last_at);
            }
            Entry::Vacant(_) if full => self.dropped += 1,
            Entry::Vacant(place) => {
                place.insert(noted);
            }
        }
    }
}

/// Records what was noted, window by window, for as long as the runtime lives.
pub async fn keep_recording(app: Arc<App>) {
    if app.uses.window.is_zero() {
        return;
    }
    loop {
        // Either is the time.
        let _ = tokio::time::timeout(app.uses.window, app.uses.many.notified()).await;
        let of = Arc::clone(&app);
        let record = move || of.uses.record(&of.node);
        // Busy: not again at once.
        if !tokio::task::spawn_blocking(record).await.unwrap_or(true) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn complain(answer: &SubmitAnswer) {
    let refused = answer.events.iter().find_map(|event| event.error.as_ref());
    if let Some(error) = refused {
        let why = "the credential's grant may not cover USED";
        tracing::warn!(code = "uses_refused", because = error.code, why);
    }
}
