//! Random histories of tokens, and a model that answers questions by reading every entry.
#![allow(clippy::cast_possible_wrap)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use ledgerline_engine::clock::Clock as _;
use ledgerline_engine::index::Progress;
use ledgerline_engine::intake::{BodyForm, EventAnswer, EventStatus, SubmitAnswer};
use ledgerline_engine::keys::KeyRing;
use ledgerline_engine::lineage::{Direction, Lineage, Reach, Scope};
use ledgerline_engine::opening::{LedgerConfig, World as Parts, open};
use ledgerline_engine::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_engine::questions::{Holder, Pivot, Resource};
use ledgerline_engine::registry::{Caller, Roles, api_key_text, secret_hash};
use ledgerline_engine::simulation::{Random, SimClock, SimDisk, SimEntropy};
use ledgerline_engine::view::View;
use ledgerline_proof::entry::{Entry, Handle};
use ledgerline_proof::lifecycle::{self, Fact, Revocation, State, TokenFacts, TokenState};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{
    EventType, HandleKind, KeyPurpose, Outcome, PersonalRole, Relation, Strength, TargetKind,
    Vantage,
};
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
        let batch = self.planner.take();
        self.rest.publisher.publish(batch).unwrap();
        self.planner.published();
        self.clock.advance(1_000_000_000);
        while self.rest.rooms.index.step(self.rest.rooms.published().size).unwrap()
            != Progress::Idle
        {}
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
            let id = ledgerline_engine::intake::derived_event_id("a", "idp", &cause, 0);
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

/// All entries of a scope, read one by one.
pub struct Model {
    leaves: Vec<(u64, Vec<u8>)>,
    scope: Scope,
    /// All ids of every token that any event names.
    classes: BTreeMap<String, BTreeSet<String>>,
    /// The id that each is known by.
    canonical: BTreeMap<String, String>,
    /// `(parent, child, descent)` of all links, by canonical ids.
    edges: BTreeSet<(String, String, bool)>,
}

fn with<T>(leaf: &[u8], read: impl FnOnce(&Entry<'_>, &Statement<'_>) -> T) -> T {
    let entry: Entry<'_> = decode_object(Kind::Entry, leaf).unwrap();
    let statement: Statement<'_> = decode_object(Kind::Statement, entry.statement).unwrap();
    read(&entry, &statement)
}

fn is_done(statement: &Statement<'_>) -> bool {
    !matches!(statement.outcome, Outcome::Deny | Outcome::Error)
}

fn is_birth(statement: &Statement<'_>) -> bool {
    statement.target.kind == TargetKind::Token
        && matches!(statement.event_type, EventType::Issued | EventType::Origin)
}

fn subject(handles: &[Handle]) -> Option<[u8; 16]> {
    let mut all = handles.iter();
    let one = all.find(|one| one.role == PersonalRole::Subject && one.kind == HandleKind::Person);
    one.map(|one| one.id)
}

/// Whether a name that is asked for means one that is written in an event about `target`.
fn names(asked: &str, written: &str, target: &str) -> bool {
    let split = |id: &str| -> (Option<String>, String) {
        let parts: Vec<&str> = id.splitn(3, ':').collect();
        match parts[..] {
            [region, alias, rest] => (Some(format!("{region}:{alias}")), rest.to_owned()),
            _ => (None, id.to_owned()),
        }
    };
    let (asked_front, asked_bare) = split(asked);
    let (front, bare) = split(written);
    let front = front.or_else(|| split(target).0);
    asked == written
        || (asked_bare == bare
            && (asked_front.is_none() || front.is_none() || asked_front == front))
}

impl Model {
    pub fn new(view: &View, scope: &Scope) -> Self {
        let mut leaves = Vec::new();
        for index in 0..scope.size {
            let leaf = view.leaf(index).unwrap();
            let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, &leaf) else { continue };
            let statement: Statement<'_> = decode_object(Kind::Statement, entry.statement).unwrap();
            let in_time = scope.at.is_none_or(|at| statement.occurred_at.nanos <= at);
            if statement.tenant == scope.tenant && in_time {
                leaves.push((index, leaf));
            }
        }
        let (classes, canonical, edges) = Default::default();
        let mut model = Self { leaves, scope: scope.clone(), classes, canonical, edges };
        for id in token_ids() {
            let class = model.find_class(&id);
            model.classes.insert(id, class);
        }
        for id in token_ids() {
            let canonical = model.find_canonical(&id);
            model.canonical.insert(id, canonical);
        }
        model.edges = model.find_edges();
        model
    }

    fn class(&self, id: &str) -> &BTreeSet<String> {
        &self.classes[id]
    }

    pub fn canonical(&self, id: &str) -> String {
        self.canonical[id].clone()
    }

    fn each(&self, mut each: impl FnMut(u64, &Entry<'_>, &Statement<'_>)) {
        self.leaves.iter().for_each(|(index, leaf)| with(leaf, |e, s| each(*index, e, s)));
    }

    fn find_class(&self, id: &str) -> BTreeSet<String> {
        let mut class = BTreeSet::from([id.to_owned()]);
        loop {
            let before = class.len();
            self.each(|_, _, s| {
                let ids: Vec<&str> = s.also_known_as.iter().copied().chain([s.target.id]).collect();
                let about = s.target.kind == TargetKind::Token && !s.also_known_as.is_empty();
                if about && is_done(s) && ids.iter().any(|id| class.contains(*id)) {
                    class.extend(ids.iter().map(|id| (*id).to_owned()));
                }
            });
            if class.len() == before {
                return class;
            }
        }
    }

    fn chain(&self, id: &str) -> Vec<&(u64, Vec<u8>)> {
        let class = self.class(id);
        let about =
            |s: &Statement<'_>| s.target.kind == TargetKind::Token && class.contains(s.target.id);
        self.leaves.iter().filter(|(_, leaf)| with(leaf, |_, s| about(s))).collect()
    }

    fn find_canonical(&self, id: &str) -> String {
        let chain = self.chain(id);
        chain
            .first()
            .map_or_else(|| id.to_owned(), |(_, leaf)| with(leaf, |_, s| s.target.id.to_owned()))
    }

    fn find_edges(&self) -> BTreeSet<(String, String, bool)> {
        let mut edges = BTreeSet::new();
        self.each(|_, _, s| {
            if s.target.kind != TargetKind::Token || !is_done(s) {
                return;
            }
            for link in &s.links {
                let Some(token) = link.token.filter(|token| *token != s.target.id) else {
                    continue;
                };
                let (own, other) = (self.canonical(s.target.id), self.canonical(token));
                edges.insert(match link.relation {
                    Relation::Produced | Relation::RotatedTo => (own, other, true),
                    Relation::CausedBy | Relation::ActedBy | Relation::Other => (other, own, false),
                    _ => (other, own, true),
                });
            }
        });
        edges
    }

    pub fn is_known(&self, id: &str) -> bool {
        let own = self.canonical(id);
        let linked = self.edges.iter().any(|(a, b, _)| *a == own || *b == own);
        linked || !self.chain(id).is_empty()
    }

    pub fn relatives(&self, id: &str, direction: Direction) -> Option<BTreeMap<String, u32>> {
        self.is_known(id).then(|| self.walk(&[self.canonical(id)], direction))
    }

    fn walk(&self, from: &[String], direction: Direction) -> BTreeMap<String, u32> {
        let mut depths: BTreeMap<String, u32> = from.iter().map(|id| (id.clone(), 0)).collect();
        let mut queue: VecDeque<String> = from.iter().cloned().collect();
        while let Some(id) = queue.pop_front() {
            for (parent, child, descent) in &self.edges {
                let (at, next) = match direction {
                    Direction::Ancestors => (child, parent),
                    Direction::Descendants => (parent, child),
                };
                if *descent && *at == id && !depths.contains_key(next) {
                    depths.insert(next.clone(), depths[&id] + 1);
                    queue.push_back(next.clone());
                }
            }
        }
        depths
    }

    /// As [`Self::relatives`], along other edges.
    pub fn reached(
        &self,
        id: &str,
        direction: Direction,
        reach: Reach,
    ) -> Option<BTreeMap<String, u32>> {
        if !self.is_known(id) {
            return None;
        }
        let mut edges = self.stated(reach);
        if reach == Reach::Joined {
            edges.extend(self.joins());
        }
        let root = self.canonical(id);
        let mut depths = BTreeMap::from([(root.clone(), 0)]);
        let mut queue = VecDeque::from([root]);
        while let Some(id) = queue.pop_front() {
            for (parent, child) in &edges {
                let (at, next) = match direction {
                    Direction::Ancestors => (child, parent),
                    Direction::Descendants => (parent, child),
                };
                if *at == id && !depths.contains_key(next) {
                    depths.insert(next.clone(), depths[&id] + 1);
                    queue.push_back(next.clone());
                }
            }
        }
        Some(depths)
    }

    /// `(parent, child)` of the links that are followed.
    fn stated(&self, reach: Reach) -> BTreeSet<(String, String)> {
        let mut edges = BTreeSet::new();
        self.each(|_, _, s| {
            if s.target.kind != TargetKind::Token || !is_done(s) {
                return;
            }
            for link in &s.links {
                let Some(token) = link.token.filter(|token| *token != s.target.id) else {
                    continue;
                };
                let (own, other) = (self.canonical(s.target.id), self.canonical(token));
                let descent = !matches!(
                    link.relation,
                    Relation::CausedBy | Relation::ActedBy | Relation::Other
                );
                let followed = match reach {
                    Reach::Asserted => descent && link.strength == Strength::Asserted,
                    Reach::Stated => descent,
                    Reach::Joined => descent || link.relation == Relation::CausedBy,
                };
                let forward = matches!(link.relation, Relation::Produced | Relation::RotatedTo);
                if followed {
                    edges.insert(if forward { (own, other) } else { (other, own) });
                }
            }
        });
        edges
    }

    /// `(earlier, later)` of all tokens with a family, grant or session in common.
    fn joins(&self) -> BTreeSet<(String, String)> {
        let mut born: BTreeMap<String, (i64, u64)> = BTreeMap::new();
        let mut groups: BTreeSet<(String, String)> = BTreeSet::new();
        self.each(|index, _, s| {
            if !is_birth(s) || s.outcome != Outcome::Allow {
                return;
            }
            let id = self.canonical(s.target.id);
            let at = (s.occurred_at.nanos, index);
            let first = born.entry(id.clone()).or_insert(at);
            *first = at.min(*first);
            for (kind, name) in [('s', s.session_id), ('g', s.grant_id), ('f', s.family_id)] {
                let Some(name) = name else { continue };
                let full =
                    if name.contains(':') { name.to_owned() } else { format!("eu:idp:{name}") };
                groups.insert((format!("{kind}{full}"), id.clone()));
            }
        });
        let mut joins = BTreeSet::new();
        let mut events: BTreeMap<(String, [u8; 16]), String> = BTreeMap::new();
        self.each(|_, _, s| {
            if s.target.kind == TargetKind::Token {
                let token = self.canonical(s.target.id);
                events.insert((s.source.to_owned(), s.event_id), token);
            }
        });
        self.each(|_, _, s| {
            if s.target.kind != TargetKind::Token || !is_done(s) {
                return;
            }
            for link in s.links.iter().filter(|link| link.relation == Relation::CausedBy) {
                let event = link.event.as_ref();
                let named =
                    event.and_then(|one| events.get(&(one.source.to_owned(), one.event_id)));
                if let Some(cause) = named {
                    joins.insert((cause.clone(), self.canonical(s.target.id)));
                }
            }
        });
        for (group, early) in &groups {
            for (_, late) in groups.iter().filter(|(other, _)| other == group) {
                if born[early] < born[late] {
                    joins.insert((early.clone(), late.clone()));
                }
            }
        }
        joins
    }

    pub fn family(&self, id: &str) -> Option<BTreeSet<String>> {
        let ancestors: Vec<String> =
            self.relatives(id, Direction::Ancestors)?.into_keys().collect();
        Some(self.walk(&ancestors, Direction::Descendants).into_keys().collect())
    }

    pub fn path(&self, from: &str, to: &str) -> Option<usize> {
        if !self.is_known(from) || !self.is_known(to) {
            return None;
        }
        let (from, to) = (self.canonical(from), self.canonical(to));
        let mut depths = BTreeMap::from([(from.clone(), 0)]);
        let mut queue = VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            for (a, b, _) in &self.edges {
                for (at, next) in [(a, b), (b, a)] {
                    if *at == id && !depths.contains_key(next) {
                        depths.insert(next.clone(), depths[&id] + 1);
                        queue.push_back(next.clone());
                    }
                }
            }
        }
        depths.get(&to).copied()
    }

    pub fn states(&self, id: &str) -> (TokenState, TokenState) {
        let chain = self.chain(id);
        let facts: Vec<Fact<'_>> = chain
            .iter()
            .map(|(index, leaf)| {
                let entry: Entry<'_> = decode_object(Kind::Entry, leaf).unwrap();
                let statement: Statement<'_> =
                    decode_object(Kind::Statement, entry.statement).unwrap();
                Fact::of(&statement, *index, entry.recorded_at)
            })
            .collect();
        let (mut known, mut happened) = (lifecycle::known(&facts), lifecycle::happened(&facts));
        let birth = chain
            .iter()
            .find(|(_, leaf)| with(leaf, |_, s| is_birth(s) && s.outcome == Outcome::Allow));
        let Some((_, birth)) = birth else { return (known, happened) };
        self.each(|index, entry, statement| {
            let Some(revocation) = Revocation::of(statement, &entry.handles, index) else { return };
            let covers = with(birth, |entry, statement| {
                revocation.covers(&TokenFacts::of(statement, &entry.handles).unwrap())
            });
            if covers && revocation.is_in_force(self.scope.judged_at) {
                known.cover(&revocation);
                happened.cover(&revocation);
            }
        });
        (known, happened)
    }

    /// Accesses of the token's own until its revocation, in event time.
    pub fn accesses(&self, id: &str) -> Option<Vec<u64>> {
        if !self.is_known(id) {
            return None;
        }
        let end = self.states(id).1.revoked_at.unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for (index, leaf) in self.chain(id) {
            with(leaf, |_, s| {
                if is_access(s) && s.occurred_at.nanos < end {
                    found.push((s.occurred_at, *index));
                }
            });
        }
        found.sort_unstable();
        Some(found.into_iter().map(|(_, index)| index).collect())
    }

    pub fn blast(&self, id: &str) -> Option<(Vec<String>, u64, u64)> {
        let relatives = self.relatives(id, Direction::Descendants)?;
        let (mut alive, mut allowed, mut denied) = (Vec::new(), 0, 0);
        let mut order: Vec<_> = relatives.into_iter().collect();
        let first = |id: &str| self.chain(id).first().map_or(u64::MAX, |(index, _)| *index);
        order.sort_by_key(|(id, depth)| (*depth, first(id), id.clone()));
        for (id, _) in order {
            let (known, _) = self.states(&id);
            if known.is_active(self.scope.judged_at, false) {
                assert_ne!(known.state_at(self.scope.judged_at), State::Revoked);
                alive.push(id.clone());
            }
            for (_, leaf) in self.chain(&id) {
                with(leaf, |_, s| {
                    if is_access(s) {
                        let let_in = s.outcome == Outcome::Allow;
                        *if let_in { &mut allowed } else { &mut denied } += 1;
                    }
                });
            }
        }
        Some((alive, allowed, denied))
    }

    /// Only clients differ in these histories: the first event with another client.
    pub fn divergence(&self, id: &str) -> Option<Option<(&'static str, u64)>> {
        if !self.is_known(id) {
            return None;
        }
        let mut events = Vec::new();
        for (index, leaf) in self.chain(id) {
            with(leaf, |_, s| {
                let act = matches!(
                    s.event_type,
                    EventType::Issued
                        | EventType::Activated
                        | EventType::Used
                        | EventType::ResourceAccessed
                        | EventType::Refreshed
                );
                let client = s.client_id.filter(|_| act && s.vantage != Vantage::Introspection);
                events.extend(client.map(|one| (s.occurred_at, *index, one.to_owned())));
            });
        }
        events.sort();
        let other = events.iter().find(|(.., client)| *client != events[0].2);
        Some(other.map(|(_, index, _)| ("client", *index)))
    }

    /// How often a token was let in after its revocation, and by place how long.
    pub fn after_revoke(&self, id: &str) -> Option<(u64, Vec<i64>)> {
        if !self.is_known(id) {
            return None;
        }
        let Some(revoked_at) = self.states(id).1.revoked_at else { return Some((0, Vec::new())) };
        let mut allowed = 0;
        let mut gaps: BTreeMap<String, i64> = BTreeMap::new();
        for (_, leaf) in self.chain(id) {
            with(leaf, |_, s| {
                let presented = matches!(
                    s.event_type,
                    EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
                );
                let late = s.occurred_at.nanos - revoked_at;
                if presented && late > 0 {
                    let place = format!("{:?} {:?} {}", s.service, s.vantage, s.source);
                    let gap = gaps.entry(place).or_default();
                    if s.outcome == Outcome::Allow {
                        allowed += 1;
                        *gap = late.max(*gap);
                    }
                }
            });
        }
        let mut gaps: Vec<i64> = gaps.into_values().collect();
        gaps.sort_unstable();
        Some((allowed, gaps))
    }

    /// The tokens revoked in a range of event time, each with when, and all their gaps.
    pub fn after_revokes(&self, range: (i64, i64)) -> (Vec<(String, i64)>, Vec<i64>) {
        let ids: BTreeSet<&String> = self.canonical.values().collect();
        let (mut tokens, mut gaps) = (Vec::new(), Vec::new());
        for id in ids {
            let revoked_at = self.is_known(id).then(|| self.states(id).1.revoked_at).flatten();
            let Some(at) = revoked_at.filter(|at| (range.0..range.1).contains(at)) else {
                continue;
            };
            tokens.push((id.clone(), at));
            gaps.extend(self.after_revoke(id).expect("it is known").1);
        }
        gaps.sort_unstable();
        (tokens, gaps)
    }

    pub fn shown(&self, id: &str) -> Option<u64> {
        let shown = |(_, leaf): &&&(u64, Vec<u8>)| {
            with(leaf, |_, s| {
                matches!(
                    s.event_type,
                    EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
                )
            })
        };
        self.is_known(id).then(|| self.chain(id).iter().filter(shown).count() as u64)
    }

    pub fn holdings(&self, holder: &Holder) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        self.each(|_, entry, s| {
            let named = |asked: &str, written: Option<&str>| {
                written.is_some_and(|written| names(asked, written, s.target.id))
            };
            let holds = match holder {
                Holder::Subject(handle) => subject(&entry.handles) == Some(*handle),
                Holder::Client(id) => named(id, s.client_id),
                Holder::Session(id) => named(id, s.session_id),
                Holder::Grant(id) => named(id, s.grant_id),
                Holder::Issuer(id) => s.target.id.starts_with(&format!("{id}:")),
            };
            if holds && is_birth(s) {
                let id = self.canonical(s.target.id);
                if !found.contains(&id) {
                    found.push(id);
                }
            }
        });
        found
    }

    pub fn pivot(&self, what: &Pivot) -> Vec<u64> {
        let mut found = Vec::new();
        self.each(|index, entry, s| {
            let named = |asked: &str, written: Option<&str>, kind: TargetKind| {
                let target = (s.target.kind == kind).then_some(s.target.id);
                let mut all = written.into_iter().chain(target);
                let issuer = if s.target.id.starts_with("eu:") { s.target.id } else { "" };
                all.any(|written| names(asked, written, issuer))
            };
            let is_in = match what {
                Pivot::Handle(id) => entry.handles.iter().any(|handle| handle.id == *id),
                Pivot::Client(id) => named(id, s.client_id, TargetKind::Client),
                Pivot::Session(id) => named(id, s.session_id, TargetKind::Session),
                Pivot::Grant(id) => named(id, s.grant_id, TargetKind::Grant),
                Pivot::Key(id) => named(id, s.issuer_kid, TargetKind::Key),
            };
            if is_in {
                found.push(index);
            }
        });
        found
    }

    pub fn middle(&self) -> (i64, i64) {
        (seconds(self.scope.size % 20), seconds(30 + self.scope.size % 30))
    }

    /// `(token, accesses)` of a resource in a range of event time.
    pub fn visitors(&self, resource: &Resource, range: (i64, i64)) -> Vec<(String, usize)> {
        let Resource::Named(name) = resource else { unreachable!("asked by name") };
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        self.each(|_, _, s| {
            let in_range = (range.0..range.1).contains(&s.occurred_at.nanos);
            let is_token = s.target.kind == TargetKind::Token;
            if is_access(s) && is_token && in_range && s.resource == Some(name) {
                *found.entry(self.canonical(s.target.id)).or_default() += 1;
            }
        });
        found.into_iter().collect()
    }

    pub fn times(&self) -> Vec<i64> {
        [0, 20, 60, 100, 200].map(seconds).to_vec()
    }

    pub fn in_force(&self, nanos: i64) -> Vec<(String, String)> {
        let mut newest: BTreeMap<String, ((i64, u64), String)> = BTreeMap::new();
        self.each(|index, _, s| {
            let change = s.policy_change.as_ref().and_then(|change| change.effective_from);
            let Some(from) = change.filter(|from| *from <= nanos && is_done(s)) else { return };
            let one = ((from, index), s.policies[0].version.to_owned());
            let known = newest.entry(s.target.id.to_owned()).or_insert_with(|| one.clone());
            if known.0 < one.0 {
                *known = one;
            }
        });
        newest.into_iter().map(|(id, (_, version))| (id, version)).collect()
    }

    /// The identities of the first and last few events.
    pub fn event_ids(&self) -> Vec<(String, [u8; 16])> {
        let id = |(_, leaf): &(u64, Vec<u8>)| with(leaf, |_, s| (s.source.to_owned(), s.event_id));
        self.leaves.iter().rev().filter(|one| id(one).0 == "idp").take(5).map(id).collect()
    }

    pub fn causes(&self, source: &str, event_id: &[u8; 16]) -> Vec<u64> {
        let mut found = BTreeSet::new();
        let mut queue = VecDeque::from([(source.to_owned(), *event_id)]);
        let mut seen = BTreeSet::new();
        while let Some((source, event_id)) = queue.pop_front() {
            if !seen.insert((source.clone(), event_id)) {
                continue;
            }
            self.each(|index, _, s| {
                if s.source != source || s.event_id != event_id {
                    return;
                }
                if seen.len() > 1 {
                    found.insert(index);
                }
                let events = s.links.iter().filter_map(|link| link.event.as_ref());
                queue.extend(events.map(|one| (one.source.to_owned(), one.event_id)));
            });
        }
        found.into_iter().collect()
    }
}

fn is_access(s: &Statement<'_>) -> bool {
    s.event_type == EventType::ResourceAccessed
        || (s.event_type == EventType::Used && s.resource.is_some())
}
