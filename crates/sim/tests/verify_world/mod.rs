//! Ledgers to verify: built by the engine itself, with everything a ledger can hold, and frozen as
//! images.
#![allow(dead_code, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use ledgerline_index::Progress;
use ledgerline_journal::erasure::zero_frames;
use ledgerline_journal::format::{FrameType, SegmentHeader, segment_path};
use ledgerline_journal::scan::{Scanned, ScannedBatch, SegmentScan};
use ledgerline_journal::streams::{NextPosition, StreamId, StreamMark, StreamState};
use ledgerline_ledger::intake::{BodyForm, EventStatus, SubmitAnswer};
use ledgerline_ledger::opening::{LedgerConfig, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_proof::entry::Signature;
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, Leaf, decode_object, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Seen, Statement, Target};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::vocabulary::{EventType, KeyPurpose, TargetKind};
use ledgerline_sim::{SimClock, SimDisk, SimEntropy};
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{VerifyOptions, VerifyReport, VerifyWorld, verify};
use ledgerline_view::registry::{Caller, Roles, api_key_text, secret_hash};
use ledgerline_world::disk::{Disk, File, OpenMode};

const ED25519_SEED: [u8; 32] = [5; 32];
const SECRET: [u8; 32] = [7; 32];
const START_NANOS: i64 = 1_763_000_000_000_000_000;
/// 2026-11-22T10:10:00Z.
const EVENT_NANOS: i64 = 1_795_342_200_000_000_000;
pub const ORIGIN: &str = "ledgerline.local/default";

/// Files in memory that are only read, perhaps with one bit flipped.
#[derive(Clone, Default)]
pub struct Image {
    pub files: BTreeMap<String, Arc<Vec<u8>>>,
    pub flip: Option<(String, u64, u8)>,
}

struct ImageFile {
    bytes: Arc<Vec<u8>>,
    flip: Option<(u64, u8)>,
}

impl Image {
    pub fn of(disk: &SimDisk) -> Self {
        let files = disk.image().into_iter().map(|(path, bytes)| (path, Arc::new(bytes)));
        Self { files: files.collect(), flip: None }
    }

    pub fn flipped(&self, path: &str, offset: u64, bit: u8) -> Self {
        Self { files: self.files.clone(), flip: Some((path.to_owned(), offset, bit)) }
    }

    pub fn with(&self, path: &str, bytes: Vec<u8>) -> Self {
        let mut image = self.clone();
        image.files.insert(path.to_owned(), Arc::new(bytes));
        image
    }

    pub fn segments(&self) -> impl Iterator<Item = &String> {
        self.files.keys().filter(|path| path.starts_with("journal/"))
    }
}

impl Disk for Image {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        assert_eq!(mode, OpenMode::Read, "a verification only reads");
        let bytes = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let flip = self.flip.as_ref().filter(|(flipped, ..)| flipped == path);
        let flip = flip.map(|(_, offset, bit)| (*offset, *bit));
        Ok(Box::new(ImageFile { bytes: Arc::clone(bytes), flip }))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for path in self.files.keys() {
            let rest = match dir {
                "" => Some(path.as_str()),
                _ => path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')),
            };
            if let Some(name) = rest.and_then(|rest| rest.split('/').next())
                && names.last().is_none_or(|last| last != name)
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
    fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(self.files.contains_key(path))
    }
    fn create_dir(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(0)
    }
}

impl File for ImageFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let found = self.bytes.get(from..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        if let Some((at, bit)) = self.flip
            && (offset..offset + buffer.len() as u64).contains(&at)
        {
            buffer[(at - offset) as usize] ^= 1 << bit;
        }
        Ok(())
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// A ledger as files.
#[derive(Clone)]
pub struct Frozen {
    pub data: Image,
    pub head: Image,
    pub keys: Arc<KeyRing>,
}

impl Frozen {
    pub fn world(&self) -> VerifyWorld {
        VerifyWorld {
            disk: Arc::new(self.data.clone()),
            keys: Some(Arc::clone(&self.keys)),
            head: Some(Arc::new(self.head.clone())),
        }
    }

    pub fn verify(&self) -> VerifyReport {
        self.verify_since(Vec::new())
    }

    pub fn verify_since(&self, since: Vec<Vec<u8>>) -> VerifyReport {
        verify(&self.world(), &VerifyOptions { since, threads: 1, ..VerifyOptions::default() })
    }

    pub fn with_data(&self, data: Image) -> Self {
        Self { data, ..self.clone() }
    }

    /// Every batch with its segment's path.
    pub fn batches(&self) -> Vec<(String, Box<ScannedBatch>)> {
        let mut batches = Vec::new();
        for path in self.data.segments() {
            let file = self.data.open(path, OpenMode::Read).unwrap();
            let header = SegmentHeader::decode(&self.data.files[path]).unwrap();
            let mut scan = SegmentScan::new(file.as_ref(), &header).unwrap();
            while let Scanned::Batch(batch) = scan.next_batch().unwrap() {
                batches.push((path.clone(), batch));
            }
        }
        batches
    }

    /// What stands at a byte of the journal: the entry's index and its token's id, if it is an
    /// entry's frame or one beside it.
    pub fn map(&self) -> JournalMap {
        let mut ranges = BTreeMap::new();
        for (path, batch) in self.batches() {
            let mut index = batch.head.first_index;
            let mut token = None;
            for frame in batch.frames() {
                if frame.kind == FrameType::Entry {
                    token = token_of(frame.body);
                    index += 1;
                }
                let place = (frame.end(), index - 1, token.clone());
                ranges.insert((path.clone(), frame.offset), place);
            }
        }
        JournalMap { ranges }
    }
}

pub struct JournalMap {
    ranges: BTreeMap<(String, u64), (u64, u64, Option<String>)>,
}

impl JournalMap {
    pub fn at(&self, path: &str, offset: u64) -> Option<(u64, Option<String>)> {
        let before = self.ranges.range(..=(path.to_owned(), offset)).next_back();
        let ((found, _), (end, index, token)) = before?;
        (found == path && offset < *end).then(|| (*index, token.clone()))
    }
}

fn token_of(leaf: &[u8]) -> Option<String> {
    let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else { return None };
    let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).unwrap();
    let is_token = statement.target.kind == TargetKind::Token;
    is_token.then(|| statement.target.id.to_owned())
}

/// How a ledger is built.
#[derive(Clone)]
pub struct Plan {
    pub events: u32,
    pub per_commit: u32,
    pub segment_bytes: u64,
    pub range_log2: u32,
    /// This event names another client: what a forger changes.
    pub forged: Option<u32>,
    /// What the heartbeat says it saw, when it is not the ledger's own root.
    pub seen: Option<(u64, Hash)>,
    /// Whether a heartbeat says anything.
    pub heartbeat: bool,
    /// Whether the ledger is shut down cleanly.
    pub clean: bool,
}

impl Plan {
    pub fn small() -> Self {
        Self {
            events: 84,
            per_commit: 6,
            segment_bytes: 48 << 10,
            range_log2: 5,
            forged: None,
            seen: None,
            heartbeat: true,
            clean: true,
        }
    }
}

/// What came of building.
pub struct Built {
    pub frozen: Frozen,
    pub seen: (u64, Hash),
    /// A checkpoint about the middle, and the directory at that time.
    pub middle: (Vec<u8>, Frozen),
}

struct Running {
    disk: SimDisk,
    head: SimDisk,
    clock: Arc<SimClock>,
    planner: Planner,
    rest: OpenedRest,
    keys: Arc<KeyRing>,
}

/// Builds a ledger with everything in it; the same plan gives the same bytes.
pub fn build(plan: &Plan) -> Built {
    let (disk, head, keys) = (SimDisk::new(1), SimDisk::new(2), SimDisk::new(3));
    let mut run = Running::open(plan, &disk, &head, &keys, 10);
    run.add_keys();
    let half = plan.events / 2;
    run.events(plan, 0..half);
    run.extras();
    let published = run.rest.rooms.published();
    let seen = plan.seen.unwrap_or((published.size, published.root));
    let note = published.checkpoint.as_bytes().to_vec();
    if plan.heartbeat {
        run.heartbeat(seen);
    }
    run.close();
    let middle = (note, run.freeze());
    run.tear();
    drop(run);
    disk.kill();
    let mut run = Running::open(plan, &disk, &head, &keys, 11);
    run.erase_somebody();
    run.retire("h1");
    run.events(plan, half..plan.events);
    if plan.clean {
        run.close();
    } else {
        run.submit_json("kjson", &json_event(plan, plan.events + 1));
    }
    Built { frozen: run.freeze(), seen, middle }
}

impl Running {
    fn open(plan: &Plan, disk: &SimDisk, head: &SimDisk, keys: &SimDisk, seed: u64) -> Self {
        let entropy = Arc::new(SimEntropy::new(seed));
        let clock = Arc::new(SimClock::new(START_NANOS + seed as i64 * 1_000_000_000));
        let ring = Arc::new(KeyRing::open_or_create(keys, entropy.as_ref()).unwrap());
        let world = World {
            disk: Arc::new(disk.clone()),
            head_disk: Arc::new(head.clone()),
            clock: clock.clone(),
            entropy,
            keys: Arc::clone(&ring),
        };
        let mut config = LedgerConfig {
            segment_bytes: plan.segment_bytes,
            vault_slots: 8,
            ..Default::default()
        };
        config.index.range_log2 = plan.range_log2;
        config.index.fan_in = 2;
        let opened = open(&world, &config).unwrap();
        let (planner, rest) = Planner::new(opened, &world, BlockPace::default());
        Self { disk: disk.clone(), head: head.clone(), clock, planner, rest, keys: ring }
    }

    fn commit(&mut self) {
        let mut batch = self.planner.take();
        self.rest.publisher.publish(&mut batch).unwrap();
        self.planner.published();
        self.clock.advance(1_000_000);
        let size = || self.rest.rooms.published().size;
        while self.rest.rooms.index.step(size()).unwrap() != Progress::Idle {}
    }

    fn admin(&mut self, act: &AdminAct) {
        self.planner.admin(act, Box::new(|_| {})).unwrap();
        self.commit();
    }

    fn add_key(&mut self, id: &str, purpose: KeyPurpose, alg: i32, source: &str) {
        let ed25519 = ed25519_zebra::SigningKey::from(ED25519_SEED);
        let public: [u8; 32] = ed25519_zebra::VerificationKey::from(&ed25519).into();
        if alg == 1 {
            self.rest.rooms.vault.put_secret(id, &SECRET).unwrap();
        }
        let key = NewKey {
            key_id: id.into(),
            purpose,
            alg,
            tenant: "*".into(),
            source: source.into(),
            roles: if alg == 0 { Roles::PRODUCER } else { Roles::default() },
            types: Vec::new(),
            issuers: Vec::new(),
            regions: Vec::new(),
            signed_only: false,
            strict: false,
            expires_at: None,
            public_key: (alg == 2).then_some(public),
            secret_hash: (alg != 2).then(|| secret_hash(&SECRET)),
        };
        self.admin(&AdminAct::AddKey(Box::new(key)));
    }

    fn add_keys(&mut self) {
        self.add_key("kjson", KeyPurpose::Credential, 0, "idp");
        self.add_key("kgw", KeyPurpose::Credential, 0, "gw");
        self.add_key("h1", KeyPurpose::Producer, 1, "gw");
        self.add_key("h2", KeyPurpose::Producer, 1, "gw");
        self.add_key("e1", KeyPurpose::Producer, 2, "gw");
    }

    fn caller(&self, key: &str) -> Caller {
        self.rest.rooms.registry.authenticate(&api_key_text(key, &SECRET), 0).unwrap()
    }

    fn offer(&mut self, key: &str, form: BodyForm, body: &[u8]) -> SubmitAnswer {
        let mut accepted = self.rest.intake.accept(&self.caller(key), form, body).unwrap();
        // What the gateway sends is read from a stream.
        if key == "kgw" {
            accepted.streams.push(mark(self.rest.rooms.published().size));
        }
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let reply = Box::new(move |answer| *slot.lock().unwrap() = Some(answer));
        self.planner.offer(accepted, reply, &mut |_| {}).unwrap();
        self.commit();
        answer.lock().unwrap().take().expect("answered at the commit")
    }

    fn submit_json(&mut self, key: &str, body: &str) {
        let answer = self.offer(key, BodyForm::Json, body.as_bytes());
        for event in &answer.events {
            assert_eq!(event.status, EventStatus::Recorded, "{answer:?}");
        }
    }

    fn submit_avro(&mut self, body: &[u8]) {
        let answer = self.offer("kgw", BodyForm::AvroBatch, body);
        for event in &answer.events {
            assert_eq!(event.status, EventStatus::Recorded, "{answer:?}");
        }
    }

    /// Half of the commits are JSON with personal data, half are signed.
    fn events(&mut self, plan: &Plan, range: std::ops::Range<u32>) {
        let numbers: Vec<u32> = range.collect();
        for (turn, chunk) in numbers.chunks(plan.per_commit as usize).enumerate() {
            if turn % 2 == 0 {
                let events: Vec<String> = chunk.iter().map(|n| json_event(plan, *n)).collect();
                self.submit_json("kjson", &format!("[{}]", events.join(",")));
            } else {
                let mut body = Vec::new();
                for n in chunk {
                    let key = match n % 3 {
                        0 if self.is_valid("h1") => "h1",
                        1 => "e1",
                        _ => "h2",
                    };
                    put_frame(&mut body, &signed_event(plan, key, *n)).unwrap();
                }
                self.submit_avro(&body);
            }
            if turn % 3 == 2 {
                self.planner.seal_if_due(true).unwrap();
                self.commit();
            }
        }
    }

    fn is_valid(&self, key: &str) -> bool {
        self.rest.rooms.registry.key(key).is_some_and(|key| key.valid_until.is_none())
    }

    fn retire(&mut self, key: &str) {
        self.admin(&AdminAct::EndKey { key_id: key.into(), compromised: false, reason: None });
    }

    /// An act of two parts, a policy with its text, a refusal.
    fn extras(&mut self) {
        let part = |n: u32| {
            format!(
                r#"{{"native_id":"grant-1","act":{{"id":"a1","part":{n},"parts":2}},
                "type":"USED","token_id":"eu:idp:jti:t{n}","occurred_at":"2026-11-22T10:11:00Z"}}"#
            )
        };
        self.submit_json("kjson", &format!("[{},{}]", part(0), part(1)));
        let text = b"permit (principal, action, resource);";
        let digest = sha256(text);
        let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        self.submit_json(
            "kjson",
            &format!(
                r#"{{"native_id":"policy-1","type":"POLICY_CHANGED","target":{{"kind":"POLICY",
                "id":"finance"}},"occurred_at":"2026-11-22T10:11:01Z",
                "policies":[{{"id":"finance","version":"v2","digest":"sha256:{digest}",
                "role":"GRANT"}}],"attachments":[{{"digest":"sha256:{digest}",
                "media_type":"text/plain","data":"{data}"}}]}}"#
            ),
        );
        let refused = self.offer("kjson", BodyForm::Json, br#"{"type":"USED"}"#);
        assert_eq!(refused.events[0].status, EventStatus::Refused);
    }

    fn heartbeat(&mut self, (size, root): (u64, Hash)) {
        let target = Target { kind: TargetKind::Source, id: "gw" };
        let at = Hlc::at(START_NANOS);
        let mut statement =
            Statement::new(event_id(900_000), "gw", target, EventType::Heartbeat, at);
        statement.seen = Some(Seen { origin: ORIGIN, size: size as i64, root });
        let mut body = Vec::new();
        put_frame(&mut body, &sign("e1", &statement)).unwrap();
        self.submit_avro(&body);
    }

    fn erase_somebody(&mut self) {
        let handle = self.rest.rooms.vault.find_person("", "", "user-1").expect("has records");
        self.admin(&AdminAct::Erase {
            handle,
            tenant: String::new(),
            by: "kjson".into(),
            purpose: "asked".into(),
        });
        let size = self.rest.rooms.published().size;
        let ledger_id = self.rest.identity.ledger_id;
        assert!(
            zero_frames(&self.disk, &ledger_id, &std::collections::BTreeSet::from([handle]), size)
                .unwrap()
                > 0
        );
    }

    fn close(&mut self) {
        self.planner.seal_if_due(true).unwrap();
        self.commit();
        let published = self.rest.rooms.published();
        self.rest.head.write(published.checkpoint.as_bytes()).unwrap();
        self.rest.rooms.vault.snapshot(published.size).unwrap();
        self.rest.rooms.store.sync(self.rest.rooms.published().size).unwrap();
    }

    /// Leaves the first bytes of a batch behind the last commit, as a power cut may.
    fn tear(&self) {
        let image = self.disk.image();
        let path = image.keys().rfind(|path| path.starts_with("journal/")).unwrap();
        let mut bytes = image[path].clone();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let junk: Vec<u8> = [0, 0, 0, 20, 1].into_iter().chain(1..200).collect();
        bytes.resize(bytes.len().max(end + junk.len()), 0);
        bytes[end..end + junk.len()].copy_from_slice(&junk);
        self.disk.write(path, &bytes).unwrap();
    }

    fn freeze(&self) -> Frozen {
        Frozen {
            data: Image::of(&self.disk),
            head: Image::of(&self.head),
            keys: Arc::clone(&self.keys),
        }
    }
}

fn event_id(n: u32) -> [u8; 16] {
    let mut id = *b"\x01\x93\x2f\x6e\x7c\x1a\x7b\x3e\x9a\x55\0\0\0\0\0\0";
    id[12..].copy_from_slice(&n.to_be_bytes());
    id
}

fn kind_of(n: u32) -> &'static str {
    match n % 20 {
        0..7 => "ISSUED",
        12 => "REVOKED",
        _ => "USED",
    }
}

fn json_event(plan: &Plan, n: u32) -> String {
    let token = n % 20 % 7 + n / 20 * 7;
    let client = if plan.forged == Some(n) { "mallory" } else { "web" };
    let kind = kind_of(n);
    let id = uuid(&event_id(n));
    let user = n % 3;
    format!(
        r#"{{"event_id":"{id}","type":"{kind}","token_id":"eu:idp:jti:t{token}",
        "client_id":"{client}","occurred_at":"2026-11-22T10:10:00.{n:09}Z",
        "personal":[{{"role":"SUBJECT","user_id":"user-{user}","ip":"203.0.113.7"}}]}}"#
    )
}

fn uuid(id: &[u8; 16]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn signed_event(plan: &Plan, key: &str, n: u32) -> Vec<u8> {
    let token = format!("eu:idp:jti:t{}", n % 20 % 7 + n / 20 * 7);
    let target = Target { kind: TargetKind::Token, id: &token };
    let kind = EventType::from_symbol(kind_of(n)).unwrap();
    let mut statement =
        Statement::new(event_id(n), "gw", target, kind, Hlc::at(EVENT_NANOS + i64::from(n)));
    statement.client_id = Some(if plan.forged == Some(n) { "mallory" } else { "web" });
    sign(key, &statement)
}

fn sign(key: &str, statement: &Statement<'_>) -> Vec<u8> {
    let bytes = encode_object(Kind::Statement, statement);
    let (alg, signer) = match key {
        "e1" => (2, StatementSigner::ed25519(&ED25519_SEED, "default", key)),
        _ => (1, StatementSigner::hmac(&SECRET, "default", key)),
    };
    let value = signer.sign(&bytes);
    let signature = Some(Signature { alg, key_id: key, value: &value });
    let (personal, attachments) = (Vec::new(), Vec::new());
    Submission { statement: &bytes, personal, signature, attachments }.encode()
}

fn mark(next: u64) -> StreamMark {
    StreamMark {
        stream: StreamId { id: [0xee; 16], name: "cluster".into() },
        part: Box::new([0, 0, 0, 2]),
        next: NextPosition::new(&next.to_be_bytes()),
        leader_epoch: 1,
        state: StreamState::Open,
    }
}

pub fn last_segment(image: &Image) -> String {
    let number = image.segments().count() - 1;
    segment_path(number as u32)
}
