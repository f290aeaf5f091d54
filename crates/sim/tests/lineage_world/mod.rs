//! Random histories of tokens.
#![allow(clippy::cast_possible_wrap)]

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use ledgerline_ledger::intake::EventStatus;
use ledgerline_ledger::planner::NewKey;
use ledgerline_questions::lineage::{Lineage, Scope};
use ledgerline_sim::{
    Random, START_NANOS, SimClock, SimDisk, TestLedger, TestWorld, Walk, credential,
};
use ledgerline_vault::Vault;
use ledgerline_view::view::View;
use ledgerline_world::clock::Clock as _;
use serde_json::{Value, json};

const TOKENS: u64 = 9;

pub fn token_ids() -> Vec<String> {
    (0..TOKENS).map(|n| format!("eu:idp:jti:t{n}")).collect()
}

pub fn depths(lineage: &Lineage) -> BTreeMap<String, u32> {
    lineage.relatives.iter().map(|one| (one.token.id.clone(), one.depth)).collect()
}

/// A ledger with two tenants, and histories in the making. Keys: `ka` and `kb` of the tenants `a`
/// and `b`, `ks` of a strict gateway of `a`.
pub struct World {
    ledger: TestLedger,
    made: u64,
}

impl Deref for World {
    type Target = TestLedger;
    fn deref(&self) -> &TestLedger {
        &self.ledger
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut TestLedger {
        &mut self.ledger
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let world = TestWorld { commit_nanos: 1_000_000_000, ..TestWorld::new(seed) };
        let mut ledger = world.open().unwrap();
        for (id, tenant, source, strict) in
            [("ka", "a", "idp", false), ("kb", "b", "idp", false), ("ks", "a", "gateway", true)]
        {
            ledger.add_key(NewKey { tenant: tenant.into(), strict, ..credential(id, source) });
        }
        Self { ledger, made: 0 }
    }

    /// What the clock of the ledger says.
    pub fn now(&self) -> i64 {
        self.ledger.world().clock.wall_nanos()
    }

    /// The clock of the ledger.
    pub fn clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.ledger.world().clock)
    }

    /// The vault of the ledger.
    pub fn vault(&self) -> Arc<Vault> {
        Arc::clone(&self.ledger.rest.rooms.vault)
    }

    /// Lets time pass.
    pub fn wait(&self, nanos: u64) {
        self.ledger.world().clock.advance(nanos);
    }

    /// The disk of the data.
    pub fn disk(&self) -> &SimDisk {
        &self.ledger.world().data
    }

    /// Submits events of the tenant `a`, none of which may be refused.
    pub fn tell(&mut self, events: &[Value]) {
        self.submit("ka", events);
    }

    fn submit(&mut self, key: &str, events: &[Value]) {
        self.ledger.offer(key, events);
        if self.made.is_multiple_of(3) {
            self.ledger.planner.seal_if_due(true).unwrap();
        }
        self.ledger.commit();
        let answer = self.ledger.answers().pop().expect("answered at the commit");
        for (answer, event) in answer.events.iter().zip(events) {
            assert_eq!(answer.status, EventStatus::Recorded, "{answer:?} {event}");
        }
    }

    /// Records random events, some of them long after they happened.
    pub fn record_some(&mut self, events: u32, random: &mut Random) {
        for _ in 0..events {
            let key = if random.below(4) == 0 { "kb" } else { "ka" };
            let count = 1 + random.below(2);
            let events: Vec<Value> = (0..count).map(|_| self.event(random)).collect();
            self.submit(key, &events);
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
            self.submit("ka", &[event]);
        }
    }

    /// A size and an event time, each perhaps the end.
    pub fn moment(&self, view: &View, random: &mut Random) -> Scope {
        let end = view.size();
        let size = if random.below(2) == 0 { end } else { random.below(end + 1) };
        let at = (random.below(2) == 0).then(|| seconds(random.below(120)));
        let tenant = if random.below(4) == 0 { "b" } else { "a" };
        let judged_at = at.unwrap_or_else(|| seconds(random.below(400)));
        Scope { tenant: tenant.into(), as_of: view.up_to(size), at, judged_at }
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
            let id = uuid::Uuid::from_bytes(id).to_string();
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
    let leaves: Vec<_> = (0..view.size()).map(|index| (index, view.leaf(index).unwrap())).collect();
    let leaves = leaves.iter().map(|(index, leaf)| (*index, &**leaf));
    Walk::new(leaves, scope, &token_ids())
}

/// A range of event time in the middle.
pub fn middle(scope: &Scope) -> (i64, i64) {
    let size = scope.as_of.sizes().map(|(_, size)| size).sum::<u64>();
    (seconds(size % 20), seconds(30 + size % 30))
}

pub fn times() -> Vec<i64> {
    [0, 20, 60, 100, 200].map(seconds).to_vec()
}
