//! One ledger without threads, for tests: every call of the node's threads is a call here.
//!
//! [`TestWorld`] is what a ledger stands on and what outlives it: three simulated disks, a clock
//! and a configuration. [`TestLedger`] is the ledger opened on it, or on real folders. Keys come
//! from [`credential`], [`hmac_producer`] and [`ed25519_producer`], events from [`event`].
//!
//! Promises: one seed and the same calls give the same bytes.
//! Assumes: the disks have no faults, unless the caller takes the steps that may fail itself;
//! whatever else fails panics.

use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_index::Progress;
use ledgerline_journal::erasure;
use ledgerline_journal::recovery::RecoverError;
use ledgerline_ledger::intake::{Accepted, BodyForm, EventAnswer, EventStatus, SubmitAnswer};
use ledgerline_ledger::opening::{LedgerConfig, OpenError, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_ledger::sequencer::PlanError;
use ledgerline_proof::note::{KeyKind, VerifierKey};
use ledgerline_proof::vocabulary::KeyPurpose;
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{VerifyOptions, VerifyReport, VerifyWorld, verify};
use ledgerline_view::committed::Published;
use ledgerline_view::registry::{Caller, Roles, api_key_text, secret_hash};
use ledgerline_view::view::View;
use serde_json::{Value, json};

use crate::{Random, SimClock, SimDisk, SimEntropy};

/// What a new [`TestWorld`]'s clock says, in Unix nanoseconds: 2025-11-13T02:13:20Z.
pub const START_NANOS: i64 = 1_763_000_000_000_000_000;

/// The secret of every key of [`credential`] and [`hmac_producer`]. Public, never use it.
pub const SECRET: [u8; 32] = [7; 32];

/// What a ledger stands on. A clone shares the disks and the clock; a [`TestWorld::fork`] does not
/// share the disks.
#[derive(Clone)]
pub struct TestWorld {
    /// The data directory.
    pub data: SimDisk,
    /// The head store.
    pub head: SimDisk,
    /// The key files.
    pub keys: SimDisk,
    /// The clock.
    pub clock: Arc<SimClock>,
    /// How long each commit takes on the clock.
    pub commit_nanos: u64,
    /// What randomness follows from.
    pub seed: u64,
    /// How ledgers are opened here: small segments and ranges, so that there are several of each.
    pub config: LedgerConfig,
}

impl TestWorld {
    /// Empty disks.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let [data, head, keys] = [1, 2, 3].map(|n| SimDisk::new(seed.wrapping_mul(10) + n));
        let clock = Arc::new(SimClock::new(START_NANOS));
        let mut config =
            LedgerConfig { segment_bytes: 64 << 10, vault_slots: 8, ..LedgerConfig::default() };
        config.index.range_log2 = 4;
        config.index.fan_in = 2;
        Self { data, head, keys, clock, commit_nanos: 1_000_000, seed, config }
    }

    /// The same disks in the same state, with other faults and crashes to come.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let [data, head, keys] = [&self.data, &self.head, &self.keys].map(|one| one.fork(seed));
        Self { data, head, keys, ..self.clone() }
    }

    /// The process is killed.
    pub fn kill(&self) {
        self.data.kill();
        self.head.kill();
    }

    /// The power goes, and comes back.
    pub fn crash(&self, random: &mut Random) {
        for disk in [&self.data, &self.head, &self.keys] {
            disk.crash(random);
        }
    }

    /// The world as a ledger takes it. Its entropy follows from the seed and from how often the
    /// data changed.
    ///
    /// # Panics
    /// When the keys do not open.
    #[must_use]
    pub fn parts(&self) -> World {
        let seed = (self.seed << 32).wrapping_add(self.data.change_count());
        let entropy = Arc::new(SimEntropy::new(seed));
        let ring = KeyRing::open_or_create(&self.keys, entropy.as_ref()).expect("the keys open");
        World {
            disk: Arc::new(self.data.clone()),
            head_disk: Arc::new(self.head.clone()),
            clock: self.clock.clone(),
            entropy,
            keys: Arc::new(ring),
        }
    }

    /// Opens the ledger, or creates it.
    ///
    /// # Errors
    /// As the ledger's own opening.
    pub fn open(&self) -> Result<TestLedger, OpenError> {
        let mut ledger = TestLedger::open(&self.parts(), &self.config)?;
        ledger.world = Some(self.clone());
        Ok(ledger)
    }

    /// What a verification of the disks reads.
    #[must_use]
    pub fn verify_world(&self) -> VerifyWorld {
        let World { disk, head_disk, keys, .. } = self.parts();
        VerifyWorld { disk, keys: Some(keys), head: Some(head_disk) }
    }

    /// Verifies what lies on the disks.
    #[must_use]
    pub fn verify(&self) -> VerifyReport {
        verify(&self.verify_world(), &VerifyOptions { threads: 1, ..VerifyOptions::default() })
    }
}

/// An open ledger.
pub struct TestLedger {
    /// Gives places.
    pub planner: Planner,
    /// All other rooms.
    pub rest: OpenedRest,
    /// What was answered and not yet taken, in order.
    answers: Arc<Mutex<Vec<SubmitAnswer>>>,
    /// Absent on real folders.
    world: Option<TestWorld>,
}

impl TestLedger {
    /// Opens a ledger anywhere; see [`TestWorld::open`].
    ///
    /// # Errors
    /// As the ledger's own opening.
    pub fn open(world: &World, config: &LedgerConfig) -> Result<Self, OpenError> {
        let opened = open(world, config)?;
        let (planner, rest) = Planner::new(opened, world, BlockPace::default());
        Ok(Self { planner, rest, answers: Arc::default(), world: None })
    }

    /// The process is killed, and started again on what it left and `change` makes of it.
    ///
    /// # Panics
    /// When the ledger does not open, or on real folders.
    pub fn reopen(&mut self, change: impl FnOnce(&TestWorld)) {
        let world = self.world().clone();
        world.kill();
        change(&world);
        *self = world.open().expect("it opens again");
        if !self.planner.is_empty() {
            self.commit();
        }
    }

    /// What it stands on.
    ///
    /// # Panics
    /// On real folders.
    #[must_use]
    pub fn world(&self) -> &TestWorld {
        self.world.as_ref().expect("a simulated world")
    }

    /// Plans events of one of the keys; they are durable with the next commit, and answered then.
    /// What will be said of each, so far.
    ///
    /// # Errors
    /// When they cannot be planned.
    ///
    /// # Panics
    /// When intake takes nothing of the body.
    pub fn try_offer(
        &mut self,
        key: &str,
        form: BodyForm,
        body: &[u8],
    ) -> Result<Vec<EventAnswer>, PlanError> {
        let accepted = self.accept(key, form, body);
        self.try_plan(accepted)
    }

    /// Takes a body through intake.
    ///
    /// # Panics
    /// When intake takes nothing of it.
    #[must_use]
    pub fn accept(&self, key: &str, form: BodyForm, body: &[u8]) -> Accepted {
        self.rest.intake.accept(&self.caller(key), form, body).expect("a body")
    }

    /// Plans what passed intake. What will be said of each event, so far.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub fn try_plan(&mut self, accepted: Accepted) -> Result<Vec<EventAnswer>, PlanError> {
        let answers = Arc::clone(&self.answers);
        let reply = Box::new(move |answer| lock(&answers).push(answer));
        let mut planned = Vec::new();
        let each = &mut |answer: &EventAnswer| planned.push(answer.clone());
        self.planner.offer(accepted, reply, each)?;
        Ok(planned)
    }

    /// As [`Self::try_offer`].
    ///
    /// # Panics
    /// When they cannot be planned.
    pub fn offer(&mut self, key: &str, events: &[Value]) -> Vec<EventAnswer> {
        let body = Value::Array(events.to_vec()).to_string();
        self.try_offer(key, BodyForm::Json, body.as_bytes()).expect("they can be planned")
    }

    /// Submits a body and makes it durable.
    ///
    /// # Panics
    /// When a room fails.
    pub fn submit_body(&mut self, key: &str, form: BodyForm, body: &[u8]) -> SubmitAnswer {
        self.try_offer(key, form, body).expect("it can be planned");
        self.commit();
        self.answers().pop().expect("answered at the commit")
    }

    /// Submits events and makes them durable; what became of each.
    ///
    /// # Panics
    /// When a room fails.
    pub fn submit(&mut self, key: &str, events: &[Value]) -> Vec<EventAnswer> {
        let body = Value::Array(events.to_vec()).to_string();
        self.submit_body(key, BodyForm::Json, body.as_bytes()).events
    }

    /// Submits events that must all be recorded.
    ///
    /// # Panics
    /// When one is not.
    pub fn record(&mut self, key: &str, events: &[Value]) -> Vec<EventAnswer> {
        let answers = self.submit(key, events);
        for (answer, event) in answers.iter().zip(events) {
            assert_eq!(answer.status, EventStatus::Recorded, "{answer:?} {event}");
        }
        answers
    }

    /// Plans an act of the ledger's own; it is durable with the next commit, and answered then.
    ///
    /// # Panics
    /// When it cannot be planned.
    pub fn plan(&mut self, act: &AdminAct) {
        let answers = Arc::clone(&self.answers);
        let reply = Box::new(move |answer| lock(&answers).push(answer));
        self.planner.admin(act, reply).expect("it can be planned");
    }

    /// Does an act of the ledger's own.
    ///
    /// # Panics
    /// When a room fails.
    pub fn administer(&mut self, act: &AdminAct) -> SubmitAnswer {
        self.plan(act);
        self.commit();
        self.answers().pop().expect("answered at the commit")
    }

    /// Registers a key. An HMAC key's secret is [`SECRET`].
    ///
    /// # Panics
    /// When it is refused.
    pub fn add_key(&mut self, key: NewKey) {
        if key.purpose == KeyPurpose::Producer && key.alg == 1 {
            self.rest.rooms.vault.put_secret(&key.key_id, &SECRET).expect("a slot for the secret");
        }
        let key_id = key.key_id.clone();
        self.administer(&AdminAct::AddKey(Box::new(key)));
        assert!(self.rest.rooms.registry.key(&key_id).is_some(), "{key_id} was refused");
    }

    /// Who presents one of the keys.
    ///
    /// # Panics
    /// When the key does not count.
    #[must_use]
    pub fn caller(&self, key: &str) -> Caller {
        let text = api_key_text(key, &SECRET);
        self.rest.rooms.registry.authenticate(&text, 0).expect("a key that counts")
    }

    /// Erases a person who acts under no tenant; the person's handle.
    ///
    /// # Panics
    /// When nothing is sealed for the person.
    pub fn erase(&mut self, user: &str) -> [u8; 16] {
        let handle = self.person("", "", user).expect("the person has a handle");
        let (tenant, by, purpose) = (String::new(), "k1".into(), "asked".into());
        self.administer(&AdminAct::Erase { handle, tenant, by, purpose });
        handle
    }

    /// Overwrites what is sealed for an erased person; how many frames there were.
    ///
    /// # Errors
    /// When the disk fails.
    ///
    /// # Panics
    /// On real folders.
    pub fn zero_frames(&self, handle: &[u8; 16]) -> Result<u64, RecoverError> {
        let disk = &self.world().data;
        let slots = std::collections::BTreeSet::from([*handle]);
        erasure::zero_frames(disk, &self.rest.identity.ledger_id, &slots, self.size())
    }

    /// A person's handle.
    #[must_use]
    pub fn person(&self, tenant: &str, issuer: &str, user: &str) -> Option<[u8; 16]> {
        self.rest.rooms.vault.find_person(tenant, issuer, user)
    }

    /// Makes durable what was planned, and brings the index up to it.
    ///
    /// # Panics
    /// When a room fails.
    pub fn commit(&mut self) {
        let mut batch = self.planner.take();
        self.rest.publisher.publish(&mut batch).expect("the batch is written");
        self.planner.published();
        if let Some(world) = &self.world {
            world.clock.advance(world.commit_nanos);
        }
        while self.rest.rooms.index.step(self.size()).expect("a run is built") != Progress::Idle {}
    }

    /// The answers given since the last call, in order.
    #[must_use]
    pub fn answers(&self) -> Vec<SubmitAnswer> {
        std::mem::take(&mut *lock(&self.answers))
    }

    /// Closes a block over what is recorded.
    ///
    /// # Panics
    /// When a room fails.
    pub fn seal(&mut self) {
        self.planner.seal_if_due(true).expect("a block can be planned");
        self.commit();
    }

    /// As much as can be in files is in files.
    ///
    /// # Panics
    /// When the disk fails.
    pub fn settle(&self) {
        let (rooms, size) = (&self.rest.rooms, self.size());
        rooms.vault.snapshot(rooms.position(size)).expect("the map is written");
        rooms.store.sync(size).expect("the tree is synced");
    }

    /// What a clean shutdown does, in the same order; the ledger goes on.
    ///
    /// # Panics
    /// When a room fails.
    pub fn close(&mut self) {
        self.seal();
        let published = self.published();
        self.rest.head.write(published.checkpoint.as_bytes()).expect("the head is written");
        self.settle();
    }

    /// Reads every entry with what is sealed beside it.
    ///
    /// # Panics
    /// When one cannot be read.
    pub fn read_all(&self) {
        for index in 0..self.size() {
            self.rest.rooms.reader.leaf_with_records(index).expect("it was committed");
        }
    }

    /// The newest published state.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.rest.rooms.published()
    }

    /// How many entries are committed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.published().size
    }

    /// What readers see.
    #[must_use]
    pub fn view(&self) -> View {
        let rest = &self.rest;
        View::new(Arc::clone(&rest.rooms), Arc::clone(&rest.terms), rest.identity.clone())
    }

    /// The key that checkpoints are signed with.
    ///
    /// # Panics
    /// When GENESIS names none.
    #[must_use]
    pub fn log_key(&self) -> VerifierKey {
        VerifierKey::parse(&self.rest.identity.log_key).expect("a key of the ledger's own")
    }
}

fn lock(answers: &Mutex<Vec<SubmitAnswer>>) -> std::sync::MutexGuard<'_, Vec<SubmitAnswer>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A producer's credential with [`SECRET`], good for every tenant.
#[must_use]
pub fn credential(key_id: &str, source: &str) -> NewKey {
    let secret_hash = Some(secret_hash(&SECRET));
    NewKey { roles: Roles::PRODUCER, secret_hash, ..NewKey::credential(key_id, source) }
}

/// A key that signs with HMAC-SHA256 under [`SECRET`].
#[must_use]
pub fn hmac_producer(key_id: &str, source: &str) -> NewKey {
    NewKey { secret_hash: Some(secret_hash(&SECRET)), ..NewKey::producer(key_id, source, 1) }
}

/// A key that signs with Ed25519.
///
/// # Panics
/// Never: the name is a plain one.
#[must_use]
pub fn ed25519_producer(key_id: &str, source: &str, seed: &[u8; 32]) -> NewKey {
    let key = VerifierKey::of_seed("producer", KeyKind::Ed25519, seed).expect("a plain name");
    let public_key = Some(*key.public_bytes());
    NewKey { public_key, ..NewKey::producer(key_id, source, 2) }
}

/// The id of a numbered event.
#[must_use]
pub fn event_id(n: u32) -> [u8; 16] {
    (0x0193_2f6e_7c1a_7b3e_9a55 << 48 | u128::from(n)).to_be_bytes()
}

/// A numbered event of the token `eu:idp:jti:t…`, `n` nanoseconds after [`START_NANOS`], about
/// the person of that token.
#[must_use]
pub fn event(n: u32, kind: &str, token: u32) -> Value {
    json!({
        "event_id": uuid::Uuid::from_bytes(event_id(n)).to_string(),
        "type": kind,
        "token_id": format!("eu:idp:jti:t{token}"),
        "occurred_at": format!("2025-11-13T02:13:20.{n:09}Z"),
        "personal": [{ "role": "SUBJECT", "user_id": format!("user-{token}") }],
    })
}
