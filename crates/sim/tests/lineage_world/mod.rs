//! Random histories of tokens.
#![allow(clippy::cast_possible_wrap)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ledgerline_index::Progress;
use ledgerline_ledger::intake::{BodyForm, EventAnswer, EventStatus, SubmitAnswer};
use ledgerline_ledger::opening::{LedgerConfig, World as Parts, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::vocabulary::KeyPurpose;
use ledgerline_questions::lineage::{Lineage, Scope};
use ledgerline_sim::{Random, SimClock, SimDisk, SimEntropy, Walk};
use ledgerline_vault::keys::KeyRing;
use ledgerline_view::registry::{Caller, Roles, api_key_text, secret_hash};
use ledgerline_view::view::View;
use ledgerline_world::clock::Clock as _;
use serde_json::{Value, json};

const START_NANOS: i64 = 1_763_000_000_000_000_000;
const SECRET: [u8; 32] = [7; 32];
const TOKENS: u64 = 9;

pub fn token_ids() -> Vec<String> {
    (0..TOKENS).map(|n| format!("eu:idp:jti:t{n}")).collect()
}

pub fn depths(lineage: &Lineage) -> BTreeMap<String, u32> {
    lineage.relatives.iter().map(|one| (one.token.id.clone(), one.depth)).collect()
}

/// A ledger with two tenants, over a simulated disk.
pub struct World {
    disks: [SimDisk; 3],
    clock: Arc<SimClock>,
    planner: Planner,
    rest: OpenedRest,
    seed: u64,
    made: u64,
}

fn parts(disks: &[SimDisk; 3], clock: &Arc<SimClock>, seed: u64) -> (Planner, OpenedRest) {
    let entropy = Arc::new(SimEntropy::new(seed));
    let ring = KeyRing::open_or_create(&disks[2], entropy.as_ref()).unwrap();
    let world = Parts {
        disk: Arc::new(disks[0].clone()),
        head_disk: Arc::new(disks[1].clone()),
        clock: clock.clone(),
        entropy,
        keys: Arc::new(ring),
    };
    let mut config = LedgerConfig { vault_slots: 8, ..Default::default() };
    config.index.range_log2 = 4;
    config.index.fan_in = 2;
    Planner::new(open(&world, &config).unwrap(), &world, BlockPace::default())
}

impl World {
    pub fn new(seed: u64) -> Self {
        let disks = [1, 2, 3].map(|n| SimDisk::new(seed * 10 + n));
        let clock = Arc::new(SimClock::new(START_NANOS));
        let (planner, rest) = parts(&disks, &clock, seed);
        let mut world = Self { disks, clock, planner, rest, seed, made: 0 };
        for (id, tenant, source, strict) in
            [("ka", "a", "idp", false), ("kb", "b", "idp", false), ("ks", "a", "gateway", true)]
        {
            let key = NewKey {
                key_id: id.into(),
                purpose: KeyPurpose::Credential,
                alg: 0,
                tenant: tenant.into(),
                source: source.into(),
                roles: Roles::PRODUCER,
                types: Vec::new(),
                issuers: Vec::new(),
                regions: Vec::new(),
                signed_only: false,
                strict,
                expires_at: None,
                public_key: None,
                secret_hash: Some(secret_hash(&SECRET)),
            };
            world.planner.admin(&AdminAct::AddKey(Box::new(key)), Box::new(|_| {})).unwrap();
            world.commit();
        }
        world
    }

    /// Stops without any care, changes files, and starts again.
    pub fn reopen(&mut self, change: impl FnOnce(&SimDisk)) {
        self.disks[0].kill();
        change(&self.disks[0]);
        self.seed += 1000;
        (self.planner, self.rest) = parts(&self.disks, &self.clock, self.seed);
        if !self.planner.is_empty() {
            self.commit();
        }
    }

    /// What the clock of the ledger says.
    pub fn now(&self) -> i64 {
        self.clock.wall_nanos()
    }

    /// Lets time pass.
    pub fn wait(&self, nanos: u64) {
        self.clock.advance(nanos);
    }

    /// The disk of the data.
    pub fn disk(&self) -> &SimDisk {
        &self.disks[0]
    }

    /// Does an act of the ledger's own.
    pub fn administer(&mut self, act: &AdminAct) {
        self.planner.admin(act, Box::new(|_| {})).unwrap();
        self.commit();
    }

    /// Plans an act of the ledger's own, without making it durable. Its answer comes with the next
    /// commit.
    pub fn plan(&mut self, act: &AdminAct) -> Arc<Mutex<Option<SubmitAnswer>>> {
        let answer: Arc<Mutex<Option<SubmitAnswer>>> = Arc::default();
        let slot = Arc::clone(&answer);
        let reply = Box::new(move |answer| *slot.lock().unwrap() = Some(answer));
        self.planner.admin(act, reply).unwrap();
        answer
    }

    /// Submits events of the tenant `a`, none of which may be refused.
    pub fn tell(&mut self, events: &[Value]) {
        self.submit("a", events);
    }

    /// The power goes, and comes back.
    pub fn power_cut(&mut self, random: &mut Random) {
        self.disks.iter().for_each(|disk| disk.crash(random));
        self.reopen(|_| ());
    }

    pub fn view(&self) -> View {
        let rest = &self.rest;
        View::new(Arc::clone(&rest.rooms), Arc::clone(&rest.terms), rest.identity.clone())
    }

    pub fn person(&self, tenant: &str, user: &str) -> Option<[u8; 16]> {
        self.rest.rooms.vault.find_person(tenant, "idp", user)
    }

    /// Makes durable what was offered.
    pub fn commit(&mut self) {
        let mut batch = self.planner.take();
        self.rest.publisher.publish(&mut batch).unwrap();
        self.planner.published();
        self.clock.advance(1_000_000_000);
        while self.rest.rooms.index.step(self.rest.rooms.published().size).unwrap()
            != Progress::Idle
        {}
    }

    /// Closes a block over what is recorded.
    pub fn seal(&mut self) {
        let _ = self.planner.seal_if_due(true).unwrap();
        self.commit();
    }

    /// The key that checkpoints are signed with.
    pub fn log_key(&self) -> VerifierKey {
        VerifierKey::parse(&self.rest.identity.log_key).unwrap()
    }

    fn caller(&self, name: &str) -> Caller {
        let key = api_key_text(&format!("k{name}"), &SECRET);
        self.rest.rooms.registry.authenticate(&key, 0).unwrap()
    }

    /// Offers events under one of the keys: `a`, `b`, or `s` that is strict. They are durable with
    /// the next commit. What becomes of each.
    pub fn offer(&mut self, name: &str, events: &[Value]) -> Vec<EventAnswer> {
        let body = Value::Array(events.to_vec()).to_string();
        let caller = self.caller(name);
        let accepted = self.rest.intake.accept(&caller, BodyForm::Json, body.as_bytes()).unwrap();
        let mut answers = Vec::new();
        let each = &mut |answer: &EventAnswer| answers.push(answer.clone());
        self.planner.offer(accepted, Box::new(|_| {}), each).unwrap();
        answers
    }

    fn submit(&mut self, tenant: &str, events: &[Value]) {
        let body = Value::Array(events.to_vec()).to_string();
        let caller = self.caller(tenant);
        let accepted = self.rest.intake.accept(&caller, BodyForm::Json, body.as_bytes()).unwrap();
        let answer: Arc<Mutex<Option<SubmitAnswer>>> = Arc::default();
        let slot = Arc::clone(&answer);
        let reply = Box::new(move |answer| *slot.lock().unwrap() = Some(answer));
        self.planner.offer(accepted, reply, &mut |_| {}).unwrap();
        if self.made.is_multiple_of(3) {
            let _ = self.planner.seal_if_due(true).unwrap();
        }
        self.commit();
        let answer = answer.lock().unwrap().take().expect("answered at the commit");
        for (event, sent) in answer.events.iter().zip(events) {
            assert_eq!(event.status, EventStatus::Recorded, "{event:?} {sent}");
        }
    }

    /// Records random events, some of them long after they happened.
    pub fn record(&mut self, events: u32, random: &mut Random) {
        for _ in 0..events {
            let tenant = if random.below(4) == 0 { "b" } else { "a" };
            let count = 1 + random.below(2);
            let events: Vec<Value> = (0..count).map(|_| self.event(random)).collect();
            self.submit(tenant, &events);
        }
    }

    /// One chain of rotations.
    pub fn line(&mut self, length: u32) {
        for n in 0..length {
            let links = (n > 0).then(|| link(&format!("eu:idp:jti:l{}", n - 1), "ROTATED_FROM"));
            let event = json!({
                "native_id": format!("l{n}"),
                "type": "ISSUED",
                "token_id": format!("eu:idp:jti:l{n}"),
                "occurred_at": "2026-01-02T03:04:05Z",
                "links": links.into_iter().collect::<Vec<_>>(),
            });
            self.submit("a", &[event]);
        }
    }

    /// A size and an event time, each perhaps the end.
    pub fn moment(&self, view: &View, random: &mut Random) -> Scope {
        let end = view.size();
        let size = if random.below(2) == 0 { end } else { random.below(end + 1) };
        let at = (random.below(2) == 0).then(|| seconds(random.below(120)));
        let tenant = if random.below(4) == 0 { "b" } else { "a" };
        let judged_at = at.unwrap_or_else(|| seconds(random.below(400)));
        Scope { tenant: tenant.into(), size, at, judged_at }
    }

    /// A random event, perhaps long after it happened.
    pub fn event(&mut self, random: &mut Random) -> Value {
        self.made += 1;
        let n = self.made;
        let token = |random: &mut Random| format!("eu:idp:jti:t{}", random.below(TOKENS));
        let kinds = [
            "ISSUED",
            "ISSUED",
            "ISSUED",
            "RESOURCE_ACCESSED",
            "RESOURCE_ACCESSED",
            "USED",
            "REFRESHED",
            "ROTATED",
            "REVOKED",
            "SUSPENDED",
            "REINSTATED",
            "ACTIVATED",
            "ORIGIN",
        ];
        let kind = kinds[usize::try_from(random.below(kinds.len() as u64)).unwrap()];
        let mut event = json!({
            "native_id": format!("n{n}"),
            "type": kind,
            "token_id": token(random),
            // The clock stands at about `n` seconds: half of the events are late.
            "occurred_at": time(if random.below(2) == 0 { n } else { random.below(n + 1) }),
            "outcome": if random.below(4) == 0 { "DENY" } else { "ALLOW" },
            "issuer": "idp",
        });
        let relations = [
            "REFRESHED_FROM",
            "ROTATED_FROM",
            "PRODUCED",
            "ROTATED_TO",
            "EXCHANGED_FROM",
            "MINTED_BY",
            "FROM_CODE",
            "CAUSED_BY",
            "ACTED_BY",
        ];
        let mut links = Vec::new();
        for _ in 0..random.below(3).saturating_sub(1) {
            let relation = relations[usize::try_from(random.below(9)).unwrap()];
            links.push(link(&token(random), relation));
        }
        if n > 1 && random.below(3) == 0 {
            let cause = format!("n{}", 1 + random.below(n - 1));
            let id = ledgerline_proof::event_id::derived_event_id("a", "idp", &cause, 0);
            let id = uuid(&id);
            let event = json!({ "source": "idp", "event_id": id });
            links.push(json!({ "event": event, "relation": "CAUSED_BY", "strength": "JOINED" }));
        }
        event["links"] = links.into();
        if random.below(12) == 0 {
            event["also_known_as"] = json!([token(random)]);
        }
        let named =
            [("session_id", 's'), ("grant_id", 'g'), ("client_id", 'c'), ("family_id", 'f')];
        for (member, letter) in named {
            match random.below(4) {
                0 => event[member] = format!("{letter}{}", 1 + random.below(2)).into(),
                1 => event[member] = format!("eu:idp:{letter}1").into(),
                2 => event[member] = format!("eu:other:{letter}1").into(),
                _ => {}
            }
        }
        if random.below(2) == 0 {
            event["resource"] = format!("/r/{}", 1 + random.below(3)).into();
            event["service"] = "orders".into();
        }
        if kind == "ISSUED" && random.below(2) == 0 {
            event["expires_at"] = time(n + random.below(100)).into();
        }
        if random.below(2) == 0 {
            let user = format!("u{}", 1 + random.below(2));
            event["personal"] = json!([{ "role": "SUBJECT", "user_id": user }]);
        }
        match random.below(12) {
            0 => {
                let target = [
                    ("SESSION", "s1"),
                    ("SESSION", "eu:idp:s1"),
                    ("CLIENT", "eu:idp:c1"),
                    ("GRANT", "g2"),
                ][usize::try_from(random.below(4)).unwrap()];
                about(&mut event, target.0, target.1);
                event["type"] = "REVOKED".into();
                if random.below(2) == 0 {
                    event["selector"] = json!({ "issued_before": time(random.below(n + 1)) });
                }
            }
            1 => {
                let policy = format!("p{}", 1 + random.below(2));
                about(&mut event, "POLICY", &policy);
                event["type"] = "POLICY_CHANGED".into();
                event["policies"] = json!([{ "id": policy, "version": format!("v{n}") }]);
                let from = time(random.below(n + 60));
                event["policy_change"] = json!({ "effective_from": from });
            }
            _ => {}
        }
        event
    }
}

fn about(event: &mut Value, kind: &str, id: &str) {
    let event = event.as_object_mut().unwrap();
    event.remove("token_id");
    event.remove("also_known_as");
    event.insert("target".into(), json!({ "kind": kind, "id": id }));
}

fn link(token: &str, relation: &str) -> Value {
    // By the token's number, so that both strengths are there and no more is drawn.
    let strength = if token.ends_with(['2', '5']) { "JOINED" } else { "ASSERTED" };
    json!({ "token_id": token, "relation": relation, "strength": strength })
}

fn uuid(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
        .char_indices()
        .map(|(at, c)| if [8, 12, 16, 20].contains(&at) { format!("-{c}") } else { c.into() })
        .collect()
}

/// Unix nanoseconds of the n-th second.
pub fn seconds(n: u64) -> i64 {
    START_NANOS / 86_400_000_000_000 * 86_400_000_000_000
        + i64::try_from(n).unwrap() * 1_000_000_000
}

/// RFC 3339 of the n-th second; the day begins at midnight.
fn time(n: u64) -> String {
    format!("2025-11-13T00:{:02}:{:02}Z", n / 60, n % 60)
}

/// What a walk through all entries of a view says in a scope.
pub fn walk(view: &View, scope: &Scope) -> Walk {
    let leaves: Vec<_> = (0..scope.size).map(|index| (index, view.leaf(index).unwrap())).collect();
    let leaves = leaves.iter().map(|(index, leaf)| (*index, &**leaf));
    Walk::new(leaves, scope, &token_ids())
}

/// A range of event time in the middle.
pub fn middle(scope: &Scope) -> (i64, i64) {
    (seconds(scope.size % 20), seconds(30 + scope.size % 30))
}

pub fn times() -> Vec<i64> {
    [0, 20, 60, 100, 200].map(seconds).to_vec()
}
