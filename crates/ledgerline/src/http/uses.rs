//! Introspections, to be recorded as uses of their tokens.
//!
//! ```text
//! answer ──▶ note (in memory) ──▶ every window: one USED for each (token, caller, outcome)
//!                                 count, effective_at = first, last_at = last
//! ```
//!
//! Promises: noting takes no input or output and nobody waits for the recording. On shutdown what
//! was noted is handed to the ledger before it closes; a crash loses one window at most. What the
//! ledger is too busy for is tried again with the next window.
//!
//! Refuses: more than [`MOST`] at a time: those beyond are dropped, and the log says how many.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledgerline_engine::intake::{SeenUse, SubmitAnswer, SubmitError};
use ledgerline_engine::node::Node;
use ledgerline_engine::registry::Caller;
use ledgerline_engine::standing::Standing;
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

/// Tenant, credential, token id, whether it was active.
type Name = (String, Arc<str>, String, bool);

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

    /// Notes that a caller presented a token.
    pub fn note(&self, caller: &Caller, tenant: &str, standing: &Standing, active: bool, now: i64) {
        if self.window.is_zero() {
            return;
        }
        // To present a code is not to spend it.
        if standing.state.token_kind.is_some_and(|kind| kind.is_code()) {
            return;
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
    }

    /// Hands what was noted to the ledger. Says whether all of it was taken.
    fn record(&self, node: &Node) -> bool {
        let mut book = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let uses = std::mem::take(&mut book.uses);
        let dropped = std::mem::take(&mut book.dropped);
        drop(book);
        if dropped > 0 {
            let why = "more tokens were presented in one window than are kept";
            tracing::warn!(code = "uses_dropped", dropped, why);
        }
        let mut groups: BTreeMap<(String, Arc<str>), Vec<(Name, Noted)>> = BTreeMap::new();
        for (name, noted) in uses {
            groups.entry((name.0.clone(), Arc::clone(&name.1))).or_default().push((name, noted));
        }
        let mut all = true;
        for ((tenant, _), mut group) in groups {
            while !group.is_empty() {
                let rest = group.split_off(group.len().min(BATCH));
                all &= self.submit(node, &tenant, std::mem::replace(&mut group, rest));
            }
        }
        all
    }

    fn submit(&self, node: &Node, tenant: &str, batch: Vec<(Name, Noted)>) -> bool {
        let Some((_, first)) = batch.first() else { return true };
        let seen: Vec<SeenUse> = batch.iter().map(|(_, noted)| noted.seen.clone()).collect();
        match node.record_uses(&first.caller, tenant, &seen, Box::new(complain)) {
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

fn complain(answer: SubmitAnswer) {
    let refused = answer.events.iter().find_map(|event| event.error.as_ref());
    if let Some(error) = refused {
        let why = "the credential's grant may not cover USED";
        tracing::warn!(code = "uses_refused", because = error.code, why);
    }
}
