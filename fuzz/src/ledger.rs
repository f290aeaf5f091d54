//! A small whole ledger on simulated disks, built once for each process, always the same.

use std::sync::{Arc, Mutex, OnceLock};

use ledgerline_index::Progress;
use ledgerline_ledger::intake::{BodyForm, EventStatus, SubmitAnswer};
use ledgerline_ledger::opening::{LedgerConfig, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::vocabulary::KeyPurpose;
use ledgerline_sim::{SimClock, SimDisk, SimEntropy, Snapshot};
use ledgerline_vault::keys::KeyRing;
use ledgerline_view::identity::Identity;
use ledgerline_view::registry::{Caller, Roles, api_key_text, secret_hash};
use serde_json::json;

/// Id of the producer key that the seeds are signed with.
pub const PRODUCER_KEY: &str = "p1";
/// Its secret. Public, never use it.
pub const PRODUCER_SECRET: [u8; 32] = [9; 32];
/// The deployment that the seeds name.
pub const DEPLOYMENT: &str = "default";
const CREDENTIAL_SECRET: [u8; 32] = [7; 32];

/// The three disks of a ledger at rest.
pub struct Base {
    /// The data directory.
    pub disk: Snapshot,
    /// The head store.
    pub head: Snapshot,
    /// The keys.
    pub keys: Snapshot,
    /// Every leaf, in order.
    pub leaves: Vec<Vec<u8>>,
    /// Size and root after each commit.
    pub commits: Vec<(u64, Hash)>,
    /// What the ledger is.
    pub identity: Identity,
}

/// A ledger as rooms without threads.
pub struct Running {
    /// Gives places.
    pub planner: Planner,
    /// All other rooms.
    pub rest: OpenedRest,
    commits: Vec<(u64, Hash)>,
}

/// The config of every ledger here: small segments and ranges, so that there are several of each.
#[must_use]
pub fn config() -> LedgerConfig {
    let mut config = LedgerConfig {
        deployment: DEPLOYMENT.into(),
        segment_bytes: 24 << 10,
        vault_slots: 8,
        ..LedgerConfig::default()
    };
    config.index.range_log2 = 4;
    config.index.fan_in = 2;
    config
}

/// The world around three disks.
///
/// # Panics
/// When the keys do not open.
#[must_use]
pub fn world(disk: &SimDisk, head: &SimDisk, keys: &SimDisk, seed: u64) -> World {
    let entropy = Arc::new(SimEntropy::new(seed));
    let start = 1_763_000_000_000_000_000 + i64::try_from(seed).expect("small") * 1_000_000_000;
    let ring = KeyRing::open_or_create(keys, entropy.as_ref()).expect("the keys are whole");
    World {
        disk: Arc::new(disk.clone()),
        head_disk: Arc::new(head.clone()),
        clock: Arc::new(SimClock::new(start)),
        entropy,
        keys: Arc::new(ring),
    }
}

fn new_key(id: &str, purpose: KeyPurpose, secret: &[u8; 32]) -> NewKey {
    let key = match purpose {
        KeyPurpose::Credential => {
            NewKey { roles: Roles::PRODUCER, ..NewKey::credential(id, "idp") }
        }
        _ => NewKey::producer(id, "idp", 1),
    };
    NewKey { secret_hash: Some(secret_hash(secret)), ..key }
}

impl Running {
    /// A fresh ledger with a credential and a producer key.
    ///
    /// # Panics
    /// When it cannot be created: our error.
    #[must_use]
    pub fn create(disk: &SimDisk, head: &SimDisk, keys: &SimDisk) -> Self {
        let world = world(disk, head, keys, 10);
        let opened = open(&world, &config()).expect("a fresh ledger opens");
        let (planner, rest) = Planner::new(opened, &world, BlockPace::default());
        let commits = vec![(rest.rooms.published().size, rest.rooms.published().root)];
        let mut running = Self { planner, rest, commits };
        let vault = &running.rest.rooms.vault;
        vault.put_secret(PRODUCER_KEY, &PRODUCER_SECRET).expect("a fresh vault");
        let producer = new_key(PRODUCER_KEY, KeyPurpose::Producer, &PRODUCER_SECRET);
        running.admin(&AdminAct::AddKey(Box::new(producer)));
        let credential = new_key("k1", KeyPurpose::Credential, &CREDENTIAL_SECRET);
        running.admin(&AdminAct::AddKey(Box::new(credential)));
        running
    }

    fn admin(&mut self, act: &AdminAct) {
        self.planner.admin(act, Box::new(|_| {})).expect("an act of ours is planned");
        self.commit();
    }

    /// Makes durable what was planned.
    ///
    /// # Panics
    /// When the disk fails, which has no faults here.
    pub fn commit(&mut self) {
        let mut batch = self.planner.take();
        self.rest.publisher.publish(&mut batch).expect("a disk without faults");
        self.planner.published();
        let published = self.rest.rooms.published();
        if self.commits.last() != Some(&(published.size, published.root)) {
            self.commits.push((published.size, published.root));
        }
    }

    /// The producer's credential.
    ///
    /// # Panics
    /// When it is not registered.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let text = api_key_text("k1", &CREDENTIAL_SECRET);
        self.rest.rooms.registry.authenticate(&text, 0).expect("registered at creation")
    }

    /// Takes a body through all rooms; `None` when nothing of it was taken.
    ///
    /// # Panics
    /// When a room fails.
    pub fn submit(&mut self, form: BodyForm, body: &[u8]) -> Option<SubmitAnswer> {
        let accepted = self.rest.intake.accept(&self.caller(), form, body).ok()?;
        Some(self.submit_accepted(accepted))
    }

    /// As [`Running::submit`], from what the intake took.
    ///
    /// # Panics
    /// When a room fails.
    pub fn submit_accepted(
        &mut self,
        accepted: ledgerline_ledger::intake::Accepted,
    ) -> SubmitAnswer {
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let reply = Box::new(move |answer| *slot.lock().expect("no panic") = Some(answer));
        self.planner.offer(accepted, reply, &mut |_| {}).expect("it can be planned");
        self.commit();
        answer.lock().expect("no panic").take().expect("answered at the commit")
    }

    /// Seals a block.
    ///
    /// # Panics
    /// When a room fails.
    pub fn seal(&mut self) {
        self.planner.seal_if_due(true).expect("a block can be planned");
        self.commit();
    }

    /// Brings the index runs up to date.
    ///
    /// # Panics
    /// When the disk fails.
    pub fn index(&self) {
        let size = self.rest.rooms.published().size;
        while self.rest.rooms.index.step(size).expect("a disk without faults") != Progress::Idle {}
    }
}

/// An event of the base ledger, also a seed.
#[must_use]
pub fn event(n: u32, token: u32, kind: &str) -> String {
    json!({
        "event_id": format!("01932f6e-7c1a-7b3e-9a55-{n:012x}"),
        "type": kind,
        "token_id": format!("eu:idp:jti:t{token}"),
        "occurred_at": format!("2025-11-22T10:10:00.{n:09}Z"),
        "personal": [{
            "role": "SUBJECT", "user_id": format!("user-{token}"), "ip": "203.0.113.7",
        }],
    })
    .to_string()
}

/// A POLICY_CHANGED event with its snapshot attached.
#[must_use]
pub fn policy_event() -> String {
    let digest = format!("sha256:{}", ledgerline_proof::hash::sha256(b"permit").to_hex());
    json!({
        "event_id": "01932f6e-7c1a-7b3e-9a55-0000000f0000",
        "type": "POLICY_CHANGED",
        "target": {"kind": "POLICY", "id": "eu:idp:finance"},
        "occurred_at": "2025-11-22T10:11:00Z",
        "policy_change": {"effective_from": "2025-11-22T10:11:00Z", "snapshot": digest},
        // "permit" in base64.
        "attachments": [{"digest": digest, "media_type": "text/plain", "data": "cGVybWl0"}],
    })
    .to_string()
}

/// The base ledger.
pub fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(build)
}

fn build() -> Base {
    let (disk, head, keys) = (SimDisk::new(1), SimDisk::new(2), SimDisk::new(3));
    let mut running = Running::create(&disk, &head, &keys);
    for n in 0..48 {
        let kind = if n < 5 { "ISSUED" } else { "USED" };
        let answer = running.submit(BodyForm::Json, event(n, n % 5, kind).as_bytes());
        assert_eq!(answer.expect("taken").events[0].status, EventStatus::Recorded);
        if n % 16 == 9 {
            running.seal();
            running.index();
        }
    }
    let answer = running.submit(BodyForm::Json, policy_event().as_bytes()).expect("taken");
    assert_eq!(answer.events[0].status, EventStatus::Recorded, "{answer:?}");
    let published = running.rest.rooms.published();
    running.rest.rooms.vault.snapshot(published.size / 2).expect("a disk without faults");
    running.rest.head.write(published.checkpoint.as_bytes()).expect("a disk without faults");
    let reader = &running.rest.rooms.reader;
    let leaves = (0..published.size).map(|index| reader.leaf(index).expect("committed")).collect();
    let identity = running.rest.identity.clone();
    let commits = running.commits.clone();
    drop(running);
    disk.kill();
    // What a kill leaves counts as durable here: a snapshot keeps the durable bytes only.
    let image = disk.image();
    for (path, bytes) in &image {
        disk.write(path, bytes).expect("the folder is there");
    }
    let (disk, head, keys) = (disk.snapshot(), head.snapshot(), keys.snapshot());
    Base { disk, head, keys, leaves, commits, identity }
}
