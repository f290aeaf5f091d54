//! A running node: the one file that wires rooms to threads.
//!
//! ```text
//! callers' threads   authenticate, take bodies apart, seal ──▶ inbox (bounded)
//! sequencer thread   inbox ──▶ plan ──▶ one batch at a time ──▶ (publishes a small one itself)
//! sync thread        write, fsync, sign, publish, answer
//! index thread       builds and merges runs, throttled
//! expiry thread      states what has expired
//! findings thread    judges what was committed, records what it notices
//! attendance thread  watches who reports, what they hold, and how old keys are
//! verifier threads   verify behind the head, and everything once an interval
//! accesses thread    states what each credential asked to write
//! helper thread      head store, vault slots and map, free space, clock
//! ```
//!
//! Promises: under load the sequencer plans batch k+1 while batch k is synced, once enough waits; a
//! quiet batch it publishes itself. No byte of k+1 is written before k is durable. After a failed
//! write or sync of the journal everybody who waits is told that nothing is known, and nothing is
//! taken any more. Every other failure of the disk is waited for
//! ([`ledgerline_world::patience`]): intake pauses, says why, and goes on by itself.

pub mod accesses;
pub mod counters;
mod disclosing;
mod following;
mod key_ages;
mod new_key;
mod presented;
mod progress;
pub mod revoking;
mod threads;
pub mod uses;
mod verifying;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_followers::findings::rules::Windows;
use ledgerline_index::TermHasher;
use ledgerline_introspection::{AnswerCache, ChangeMarks, StatusCache};
use ledgerline_journal::erasure;
use ledgerline_journal::head_store::HeadStore;
use ledgerline_journal::recovery::RecoverError;
use ledgerline_ledger::inbox::{Inbox, PutError, Work};
use ledgerline_ledger::intake::{
    Accepted, BodyForm, EventError, Intake, Reply, SubmitAnswer, SubmitError, secret_scan,
};
use ledgerline_ledger::opening::{LedgerConfig, OpenError, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, Planner};
use ledgerline_ledger::predecessors;
use ledgerline_ledger::publisher::Publisher;
use ledgerline_ledger::refusals::Refusals;
use ledgerline_ledger::sequencer::PlannedBatch;
use ledgerline_proof::statement::MAX_STRING_BYTES;
use ledgerline_proof::vocabulary::{HandleKind, KeyPurpose};
use ledgerline_questions::lineage::TokenCaches;
use ledgerline_view::committed::{CommitObserver, Rooms};
use ledgerline_view::identity::Identity;
use ledgerline_view::page_token::PageTokens;
use ledgerline_view::registry::{AuthError, Caller, Key, Roles, api_key_text, secret_hash};
use ledgerline_view::view::View;
use ledgerline_world::cache::Usage;
use ledgerline_world::entropy::random;
use ledgerline_world::patience::PatienceListener;

use crate::accesses::Asker;
use crate::counters::{CounterSnapshot, Counters};

pub use ledgerline_attendance::Policy as AttendancePolicy;

pub use following::{FollowerCount, FollowerListener, FollowerNews};
pub use presented::Found;
pub use progress::{Progress, Reader};
pub use verifying::{LastRun, Listener, Verification, VerifierNews};

/// Tokens whose whole status is cached, for triage and revocation: some 2 KiB each.
const CACHED_STATUSES: usize = 10_000;

/// What a node is configured with beside its ledger.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The ledger.
    pub ledger: LedgerConfig,
    /// When blocks are sealed.
    pub pace: BlockPace,
    /// Bytes of submissions that may wait.
    pub queue_bytes: usize,
    /// Intake stops when the disk has less than this left.
    pub free_space_floor_bytes: u64,
    /// Between two looks of the rules at what was committed; 0 switches them off.
    pub findings_interval_nanos: u64,
    /// What the rules tolerate.
    pub windows: Windows,
    /// Who is expected, and how old keys may become.
    pub attendance: AttendancePolicy,
    /// Between two full verifications; 0 switches the verifier off.
    pub verify_interval_nanos: u64,
    /// Between two looks of the verifier behind the head.
    pub verify_behind_nanos: u64,
    /// Whether the ledger states EXPIRED for tokens whose expiry has passed.
    pub expire: bool,
    /// Between two looks for such tokens.
    pub expire_interval_nanos: u64,
    /// Bytes of cached introspection answers.
    pub answer_cache_bytes: usize,
    /// For so long accesses of a credential are counted to one entry; 0 keeps no log of them.
    pub accesses_interval_nanos: u64,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            ledger: LedgerConfig::default(),
            pace: BlockPace::default(),
            queue_bytes: 64 << 20,
            free_space_floor_bytes: 512 << 20,
            findings_interval_nanos: 500_000_000,
            windows: Windows::default(),
            attendance: AttendancePolicy::default(),
            verify_interval_nanos: 3_600_000_000_000,
            verify_behind_nanos: 500_000_000,
            expire: true,
            expire_interval_nanos: 250_000_000,
            answer_cache_bytes: 256 << 20,
            accesses_interval_nanos: 300_000_000_000,
        }
    }
}

/// Why an administrative act was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// It was refused.
    #[error("{detail}")]
    Refused {
        /// Stable code.
        code: &'static str,
        /// What to do.
        detail: String,
    },
    /// The ledger takes nothing more, or stopped before it could say.
    #[error("the ledger stopped: {0}")]
    Stopped(String),
}

impl From<EventError> for AdminError {
    fn from(EventError { code, detail, .. }: EventError) -> Self {
        Self::Refused { code, detail }
    }
}

/// A registered key, its secret shown this once.
#[derive(Debug, Clone)]
pub struct AddedKey {
    /// Its id.
    pub key_id: String,
    /// Index of its KEY_ADDED leaf.
    pub index: u64,
    /// An API key in full, or an HMAC secret in base64; none for a public key.
    pub secret: Option<String>,
}

/// What erasing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasedPerson {
    /// Index of the ERASED event.
    pub index: u64,
    /// How many sealed records were zeroed.
    pub frames_zeroed: u64,
}

struct Inner {
    world: World,
    config: NodeConfig,
    rooms: Arc<Rooms>,
    intake: Arc<Intake>,
    refusals: Arc<Refusals>,
    terms: Arc<TermHasher>,
    identity: Identity,
    page_tokens: PageTokens,
    statuses: StatusCache,
    answers: AnswerCache,
    change_marks: Arc<ChangeMarks>,
    head: HeadStore,
    inbox: Inbox,
    counters: Counters,
    hand_over: Mutex<HandOver>,
    handed: Condvar,
    stopping: AtomicBool,
    erasing: Mutex<()>,
    verifying: verifying::Verifying,
    followers: following::Followers,
    added_times: key_ages::AddedTimes,
    accesses: accesses::Accesses,
}

/// A batch, and who publishes it. There is one publisher, and it goes where the batch goes.
struct Charge {
    publisher: Box<Publisher>,
    batch: PlannedBatch,
}

/// The place between sequencer and sync thread: one batch.
#[derive(Default)]
struct HandOver {
    given: Option<Charge>,
    /// Who published the last one.
    back: Option<Box<Publisher>>,
    done: bool,
}

impl Inner {
    fn view(&self) -> View {
        View::new(Arc::clone(&self.rooms), Arc::clone(&self.terms), self.identity.clone())
    }

    /// Hands an act to the sequencer and blocks until it is durable.
    fn administer(&self, act: AdminAct) -> Result<u64, AdminError> {
        let (sender, receiver) = mpsc::sync_channel::<SubmitAnswer>(1);
        let reply: Reply = Box::new(move |answer| {
            let _ = sender.send(answer);
        });
        self.inbox.put(Work::Admin(act, reply), None).map_err(|error| match error {
            PutError::Busy => refused("busy", "the ledger is busy; try again"),
            PutError::Closed(why) => AdminError::Stopped(why),
        })?;
        let gone = || AdminError::Stopped("the node went away before it could say".into());
        let answer = loop {
            // Once the threads have ended nobody takes what was put in last.
            let ended = self.stopping.load(Ordering::SeqCst);
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(answer) => break answer,
                Err(RecvTimeoutError::Timeout) if !ended => {}
                Err(_) => return Err(gone()),
            }
        };
        if let Some(why) = answer.stopped {
            return Err(AdminError::Stopped(why));
        }
        let event = answer.events.into_iter().next();
        match event {
            Some(event) => match (event.index, event.error) {
                (Some(index), None) => Ok(index),
                (_, Some(error)) => {
                    Err(AdminError::Refused { code: error.code, detail: error.detail })
                }
                (None, None) => Err(AdminError::Stopped("an answer without an index".into())),
            },
            None => Err(AdminError::Stopped("an answer without an event".into())),
        }
    }
}

/// A running node. Shared between callers; dropping it without [`Node::shutdown`] is a crash.
pub struct Node {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    created: bool,
}

impl Node {
    /// Opens the ledger and starts the threads.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(world: World, config: NodeConfig) -> Result<Self, OpenError> {
        let opened = open(&world, &config.ledger)?;
        let (planner, rest) = Planner::new(opened, &world, config.pace);
        let created = rest.created;
        let page_tokens = PageTokens::new(&world.keys.index);
        let inner = Arc::new(Inner {
            page_tokens,
            statuses: StatusCache::new(CACHED_STATUSES),
            answers: AnswerCache::new(config.answer_cache_bytes),
            change_marks: Arc::default(),
            inbox: Inbox::new(config.queue_bytes),
            world,
            config,
            rooms: rest.rooms,
            intake: rest.intake,
            refusals: rest.refusals,
            terms: rest.terms,
            identity: rest.identity,
            head: rest.head,
            counters: Counters::default(),
            hand_over: Mutex::default(),
            handed: Condvar::new(),
            stopping: AtomicBool::new(false),
            erasing: Mutex::new(()),
            verifying: verifying::Verifying::default(),
            followers: following::Followers::default(),
            added_times: key_ages::AddedTimes::default(),
            accesses: accesses::Accesses::default(),
        });
        inner.rooms.observe(Arc::clone(&inner.change_marks) as Arc<dyn CommitObserver>);
        let publisher = rest.publisher;
        inner.rooms.patience.wait_as_long_as_it_takes(std::thread::sleep);
        let sequence = move |inner: &Inner| threads::sequence(inner, planner, publisher);
        let running = vec![
            threads::start("sequencer", &inner, sequence),
            threads::start("sync", &inner, threads::synchronise),
            threads::start("index", &inner, threads::build_runs),
            threads::start("helper", &inner, threads::keep_house),
            threads::start("accesses", &inner, accesses::keep),
            threads::start_behind("findings", &inner, following::findings),
            threads::start_behind("attendance", &inner, following::attendance),
            threads::start_behind("behind", &inner, verifying::behind),
            threads::start_behind("verifier", &inner, verifying::whole),
            threads::start_behind("expiry", &inner, following::expiry),
        ];
        Ok(Self { inner, threads: Mutex::new(running), created })
    }

    /// Whether the ledger was created by this start.
    #[must_use]
    pub fn was_created(&self) -> bool {
        self.created
    }

    /// What the ledger is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// What every cache of the node is good for, by name.
    #[must_use]
    pub fn caches(&self) -> BTreeMap<&'static str, Usage> {
        let inner = &self.inner;
        let tokens = inner.rooms.shared::<TokenCaches>();
        let mut caches = inner.counters.caches();
        caches.extend([
            ("introspection_answers", inner.answers.usage()),
            ("token_standings", inner.statuses.usage()),
            ("token_lives", tokens.lives.usage()),
            ("token_summaries", tokens.summaries.usage()),
            ("personal_keys", inner.rooms.vault.cached_keys()),
        ]);
        caches
    }

    /// Judges an API key.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn authenticate(&self, api_key: &str) -> Result<Caller, AuthError> {
        let now = self.inner.world.clock.wall_nanos();
        self.inner.rooms.registry.authenticate(api_key, now)
    }

    /// The caller of a credential whose holder proved otherwise who it is: by a certificate, say.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn proven(&self, key_id: &str) -> Result<Caller, AuthError> {
        let now = self.inner.world.clock.wall_nanos();
        self.inner.rooms.registry.proven(key_id, now)
    }

    /// Counts a refusal that happened before intake, such as a missing credential.
    pub fn count_refusal(&self, credential: &str, code: &'static str) {
        let inner = &self.inner;
        inner.refusals.count(credential, code);
        inner.counters.refused(code);
        let key = inner.rooms.registry.key(credential);
        let asker = key.as_deref().map_or_else(Asker::unknown, asker_of);
        inner.accesses.refused(asker, code);
    }

    /// Counts a request to write whose body was not looked at: an access, no refusal of a block.
    pub fn count_unread(&self, caller: &Caller, code: &'static str) {
        self.inner.accesses.refused(asker_of(&caller.key), code);
    }

    /// Counts a record that was refused before it became an event: of the block, and of the access
    /// log. Its request counts once, by [`Self::submit`] or [`Self::count_asked`].
    pub fn count_refused_record(&self, caller: &Caller, code: &'static str) {
        let inner = &self.inner;
        inner.refusals.count(caller.key_id(), code);
        inner.counters.refused(code);
        inner.accesses.refused_record(asker_of(&caller.key), code);
    }

    /// Counts a request to write of which nothing was left to hand in.
    pub fn count_asked(&self, caller: &Caller) {
        self.inner.accesses.asked(asker_of(&caller.key));
    }

    /// Takes a body apart on the caller's thread and leaves its events for the sequencer. `reply`
    /// is called once, from a thread of the node, when all of them are durable or refused.
    ///
    /// # Errors
    /// [`SubmitError`], with `reply` dropped uncalled.
    pub fn submit(
        &self,
        caller: &Caller,
        form: BodyForm,
        body: &[u8],
        reply: Reply,
    ) -> Result<(), SubmitError> {
        let inner = &self.inner;
        self.takes_events().inspect_err(|error| self.count_unread(caller, error.code()))?;
        if inner.inbox.is_full(caller.tenant()) {
            self.count_unread(caller, "busy");
            return Err(self.busy());
        }
        let accepted = inner.intake.accept(caller, form, body).inspect_err(|error| {
            let code = error.code();
            if code != "busy" && code != "stopped" {
                self.count_refusal(caller.key_id(), code);
            }
        })?;
        let (counting, key) = (Arc::clone(&self.inner), Arc::clone(&caller.key));
        let reply: Reply = Box::new(move |answer| {
            counting.accesses.answered(asker_of(&key), &answer);
            reply(answer);
        });
        let put = self.put(accepted, Some(&caller.key.tenant), reply);
        put.inspect_err(|error| self.count_unread(caller, error.code()))
    }

    /// Makes and judges the page tokens of this ledger.
    #[must_use]
    pub fn page_tokens(&self) -> &PageTokens {
        &self.inner.page_tokens
    }

    fn put(
        &self,
        accepted: Accepted,
        tenant: Option<&Arc<str>>,
        reply: Reply,
    ) -> Result<(), SubmitError> {
        match self.inner.inbox.put(Work::Submission(accepted, reply), tenant) {
            Ok(()) => Ok(()),
            Err(PutError::Busy) => Err(self.busy()),
            Err(PutError::Closed(why)) => Err(SubmitError::Stopped { why }),
        }
    }

    fn busy(&self) -> SubmitError {
        self.inner.counters.busy();
        SubmitError::Busy { retry_after_ms: 1000 }
    }

    /// The newest committed state.
    #[must_use]
    pub fn view(&self) -> View {
        self.inner.view()
    }

    /// Registers a key and blocks until it is durable. The caller fills everything but the secret:
    /// a credential and an HMAC key get theirs here.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn add_key(&self, mut key: NewKey) -> Result<AddedKey, AdminError> {
        let entropy = self.inner.world.entropy.as_ref();
        if key.key_id.is_empty() {
            let id: [u8; 6] = random(entropy);
            key.key_id =
                id.iter().fold(String::from("k"), |text, byte| format!("{text}{byte:02x}"));
        }
        new_key::check(&key)?;
        let secret: [u8; 32] = random(entropy);
        let shown = match (key.purpose, key.alg) {
            (KeyPurpose::Credential, _) => Some(api_key_text(&key.key_id, &secret)),
            (KeyPurpose::Producer, 1) => Some(STANDARD.encode(secret)),
            _ => None,
        };
        if shown.is_some() {
            key.secret_hash = Some(secret_hash(&secret));
        }
        if key.purpose == KeyPurpose::Producer && key.alg == 1 {
            if self.inner.rooms.registry.key(&key.key_id).is_some() {
                return Err(refused("key_exists", "a key with this id exists; ids are not reused"));
            }
            let kept = self.inner.rooms.vault.put_secret(&key.key_id, &secret);
            kept.map_err(|error| AdminError::Stopped(error.to_string()))?;
        }
        let key_id = key.key_id.clone();
        let index = self.administer(AdminAct::AddKey(Box::new(key)))?;
        Ok(AddedKey { key_id, index, secret: shown })
    }

    /// Registers the first administrator's key, which may do everything.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn bootstrap_key(&self) -> Result<AddedKey, AdminError> {
        self.add_key(NewKey { roles: Roles::ALL, ..NewKey::credential("", "bootstrap") })
    }

    /// Ends a key and blocks until that is durable. Gives the index of the leaf.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn retire_key(
        &self,
        key_id: &str,
        compromised: bool,
        reason: Option<&str>,
    ) -> Result<u64, AdminError> {
        let reason = reason.map(str::to_owned);
        self.administer(AdminAct::EndKey { key_id: key_id.to_owned(), compromised, reason })
    }

    /// All keys, by id.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<Key>> {
        self.inner.rooms.registry.keys()
    }

    /// Commits ERASED, destroys the person's key and zeroes the sealed records; blocks until done.
    ///
    /// # Errors
    /// [`AdminError`]; `unknown_handle` when no event of `tenant` carries the handle. When zeroing
    /// fails the key is destroyed all the same, and the rest is done at the next start.
    pub fn erase(
        &self,
        by: &Caller,
        tenant: &str,
        handle: [u8; 16],
        purpose: &str,
    ) -> Result<ErasedPerson, AdminError> {
        disclosing::check_purpose(purpose)?;
        let act = AdminAct::Erase {
            handle,
            tenant: tenant.to_owned(),
            by: by.key_id().to_string(),
            purpose: purpose.to_owned(),
        };
        let inner = &self.inner;
        let (disk, older) = (inner.world.disk.as_ref(), &inner.rooms.predecessors);
        let stopped = |error: RecoverError| AdminError::Stopped(error.to_string());
        let size = inner.rooms.published().size;
        let found = predecessors::tenant_of(disk, older, &handle, size).map_err(stopped)?;
        if found.as_deref() != Some(tenant) {
            let detail = "no event of this tenant carries this handle of a person";
            return Err(refused("unknown_handle", detail));
        }
        // One erasure at a time: the note speaks for every ERASED up to its index.
        let _one = inner.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self.administer(act)?;
        let size = inner.rooms.published().size;
        let slots = BTreeSet::from([handle]);
        let id = &inner.identity.ledger_id;
        let frames_zeroed =
            predecessors::zero_frames(disk, id, older, &slots, size).map_err(stopped)?;
        erasure::note_zeroed(disk, index)
            .map_err(|error| AdminError::Stopped(error.to_string()))?;
        Ok(ErasedPerson { index, frames_zeroed })
    }

    /// Records that personal data was disclosed or that data left the ledger; blocks until durable.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn record_act(&self, act: AdminAct) -> Result<u64, AdminError> {
        self.administer(act)
    }

    /// The handle of a person, address, device, agent or resource; `None` for a person never seen
    /// and for names longer than any record's.
    #[must_use]
    pub fn resolve(
        &self,
        tenant: &str,
        kind: HandleKind,
        issuer: &str,
        value: &str,
    ) -> Option<[u8; 16]> {
        let vault = &self.inner.rooms.vault;
        if [tenant, issuer, value].iter().any(|name| name.len() > MAX_STRING_BYTES) {
            return None;
        }
        match kind {
            HandleKind::Person => vault.find_person(tenant, issuer, value),
            HandleKind::Other => None,
            _ => Some(vault.handle(kind, tenant, value)),
        }
    }

    /// An act that somebody outside asks for: it passes the same door as events do.
    fn administer(&self, act: AdminAct) -> Result<u64, AdminError> {
        secret_scan::check_act(&act)?;
        self.inner.administer(act)
    }

    /// Why intake takes nothing, if it does not.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(why) = self.inner.inbox.closed() {
            return Err(why);
        }
        self.inner.rooms.patience.trouble().map_or(Ok(()), Err)
    }

    /// As [`Node::ready`], for those who bring something.
    fn takes_events(&self) -> Result<(), SubmitError> {
        if let Some(why) = self.inner.inbox.closed() {
            return Err(SubmitError::Stopped { why });
        }
        self.ready().map_err(|why| SubmitError::Paused { why })
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> CounterSnapshot {
        self.inner.counters.snapshot()
    }

    /// What the verifier says now.
    #[must_use]
    pub fn verification(&self) -> Verification {
        self.inner.verifying.state()
    }

    /// Hands news of pauses of intake to `listener`, for the log. The first one set stays.
    pub fn listen_to_patience(&self, listener: PatienceListener) {
        self.inner.rooms.patience.listen(listener);
    }

    /// Hands news of the verifier to `listener`, for the log. The first one set stays.
    pub fn listen_to_verifier(&self, listener: Listener) {
        self.inner.verifying.listen(listener);
    }

    /// Bytes of submissions that wait.
    #[must_use]
    pub fn queue_bytes(&self) -> usize {
        self.inner.inbox.bytes()
    }

    /// Stops intake, commits what waits, seals a last block, writes the head and ends the threads.
    ///
    /// # Errors
    /// Why the stop was not clean; the next start recovers.
    pub fn shutdown(&self) -> Result<(), String> {
        self.inner.inbox.shut_down();
        self.inner.rooms.patience.end();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| ()));
        joined.map_err(|()| "a thread of the node panicked".to_owned())?;
        if let Some(why) = self.inner.inbox.closed() {
            return Err(why);
        }
        let published = self.inner.rooms.published();
        let position = self.inner.rooms.position(published.size);
        let end = || -> Result<(), String> {
            self.inner.head.write(published.checkpoint.as_bytes()).map_err(|e| e.to_string())?;
            self.inner.rooms.vault.snapshot(position).map_err(|e| e.to_string())?;
            self.inner.rooms.store.sync(published.size).map_err(|e| e.to_string())
        };
        end()
    }
}

fn asker_of(key: &Key) -> Asker<'_> {
    Asker { credential: &key.key_id, tenant: &key.tenant, source: &key.source }
}

fn refused(code: &'static str, detail: &str) -> AdminError {
    AdminError::Refused { code, detail: detail.to_owned() }
}
