//! Ledgers to verify: built by the engine itself, with everything a ledger can hold, and frozen as
//! images.
#![allow(dead_code, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_journal::format::{FrameType, SegmentHeader, segment_path};
use ledgerline_journal::scan::{Scanned, ScannedBatch, SegmentScan};
use ledgerline_journal::streams::{NextPosition, StreamId, StreamMark, StreamState};
use ledgerline_ledger::intake::{BodyForm, EventStatus};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::entry::Signature;
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, Leaf, decode_object, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Seen, Statement, Target};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_sim::{
    SECRET, START_NANOS, SimDisk, TestLedger, TestWorld, credential, ed25519_producer, event_id,
    hmac_producer,
};
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{VerifyOptions, VerifyReport, VerifyWorld, verify};
use ledgerline_world::disk::{Disk, File, OpenMode};
use serde_json::{Value, json};

const ED25519_SEED: [u8; 32] = [5; 32];
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

/// Builds a ledger with everything in it; the same plan gives the same bytes.
pub fn build(plan: &Plan) -> Built {
    let mut world = TestWorld::new(1);
    world.config.segment_bytes = plan.segment_bytes;
    world.config.index.range_log2 = plan.range_log2;
    let mut ledger = world.open().unwrap();
    for key in [
        credential("kjson", "idp"),
        credential("kgw", "gw"),
        hmac_producer("h1", "gw"),
        hmac_producer("h2", "gw"),
        ed25519_producer("e1", "gw", &ED25519_SEED),
    ] {
        ledger.add_key(key);
    }
    let half = plan.events / 2;
    events(&mut ledger, plan, 0..half);
    extras(&mut ledger);
    let published = ledger.published();
    let seen = plan.seen.unwrap_or((published.size, published.root));
    let note = published.checkpoint.as_bytes().to_vec();
    if plan.heartbeat {
        heartbeat(&mut ledger, seen);
    }
    ledger.close();
    let middle = (note, freeze(&world));
    tear(&world.data);
    ledger.reopen(|_| ());
    let handle = ledger.erase("user-1");
    assert!(ledger.zero_frames(&handle).unwrap() > 0);
    ledger.administer(&AdminAct::EndKey { key_id: "h1".into(), compromised: false, reason: None });
    events(&mut ledger, plan, half..plan.events);
    if plan.clean {
        ledger.close();
    } else {
        ledger.record("kjson", &[json_event(plan, plan.events + 1)]);
    }
    Built { frozen: freeze(&world), seen, middle }
}

fn freeze(world: &TestWorld) -> Frozen {
    let (data, head) = (Image::of(&world.data), Image::of(&world.head));
    Frozen { data, head, keys: world.parts().keys }
}

fn record_signed(ledger: &mut TestLedger, body: &[u8]) {
    let mut accepted = ledger.accept("kgw", BodyForm::AvroBatch, body);
    // What the gateway sends is read from a stream.
    accepted.streams.push(mark(ledger.size()));
    ledger.try_plan(accepted).unwrap();
    ledger.commit();
    for event in ledger.answers().pop().expect("answered at the commit").events {
        assert_eq!(event.status, EventStatus::Recorded, "{event:?}");
    }
}

/// Half of the commits are JSON with personal data, half are signed.
fn events(ledger: &mut TestLedger, plan: &Plan, range: std::ops::Range<u32>) {
    let numbers: Vec<u32> = range.collect();
    for (turn, chunk) in numbers.chunks(plan.per_commit as usize).enumerate() {
        if turn % 2 == 0 {
            let events: Vec<Value> = chunk.iter().map(|n| json_event(plan, *n)).collect();
            ledger.record("kjson", &events);
        } else {
            let h1 = ledger.rest.rooms.registry.key("h1").unwrap().valid_until.is_none();
            let mut body = Vec::new();
            for n in chunk {
                let key = match n % 3 {
                    0 if h1 => "h1",
                    1 => "e1",
                    _ => "h2",
                };
                put_frame(&mut body, &signed_event(plan, key, *n)).unwrap();
            }
            record_signed(ledger, &body);
        }
        if turn % 3 == 2 {
            ledger.seal();
        }
    }
}

/// An act of two parts, a policy with its text, a refusal.
fn extras(ledger: &mut TestLedger) {
    let part = |n: u32| {
        json!({
            "native_id": "grant-1", "act": { "id": "a1", "part": n, "parts": 2 }, "type": "USED",
            "token_id": format!("eu:idp:jti:t{n}"), "occurred_at": "2026-11-22T10:11:00Z",
        })
    };
    ledger.record("kjson", &[part(0), part(1)]);
    let text = b"permit (principal, action, resource);";
    let digest = format!("sha256:{}", sha256(text));
    let attachment =
        json!({ "digest": digest, "media_type": "text/plain", "data": STANDARD.encode(text) });
    let policy = json!({
        "native_id": "policy-1", "type": "POLICY_CHANGED",
        "target": { "kind": "POLICY", "id": "finance" }, "occurred_at": "2026-11-22T10:11:01Z",
        "policies": [{ "id": "finance", "version": "v2", "digest": digest, "role": "GRANT" }],
        "attachments": [attachment],
    });
    ledger.record("kjson", &[policy]);
    let refused = ledger.submit("kjson", &[json!({ "type": "USED" })]);
    assert_eq!(refused[0].status, EventStatus::Refused);
}

fn heartbeat(ledger: &mut TestLedger, (size, root): (u64, Hash)) {
    let target = Target { kind: TargetKind::Source, id: "gw" };
    let at = Hlc::at(START_NANOS);
    let mut statement = Statement::new(event_id(900_000), "gw", target, EventType::Heartbeat, at);
    statement.seen = Some(Seen { origin: ORIGIN, size: size as i64, root });
    let mut body = Vec::new();
    put_frame(&mut body, &sign("e1", &statement)).unwrap();
    record_signed(ledger, &body);
}

/// Leaves the first bytes of a batch behind the last commit, as a power cut may.
fn tear(disk: &SimDisk) {
    let image = disk.image();
    let path = image.keys().rfind(|path| path.starts_with("journal/")).unwrap();
    let mut bytes = image[path].clone();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let junk: Vec<u8> = [0, 0, 0, 20, 1].into_iter().chain(1..200).collect();
    bytes.resize(bytes.len().max(end + junk.len()), 0);
    bytes[end..end + junk.len()].copy_from_slice(&junk);
    disk.write(path, &bytes).unwrap();
}

fn kind_of(n: u32) -> &'static str {
    match n % 20 {
        0..7 => "ISSUED",
        12 => "REVOKED",
        _ => "USED",
    }
}

fn json_event(plan: &Plan, n: u32) -> Value {
    let token = n % 20 % 7 + n / 20 * 7;
    let user = format!("user-{}", n % 3);
    json!({
        "event_id": uuid::Uuid::from_bytes(event_id(n)).to_string(), "type": kind_of(n),
        "token_id": format!("eu:idp:jti:t{token}"),
        "client_id": if plan.forged == Some(n) { "mallory" } else { "web" },
        "occurred_at": format!("2026-11-22T10:10:00.{n:09}Z"),
        "personal": [{ "role": "SUBJECT", "user_id": user, "ip": "203.0.113.7" }],
    })
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
