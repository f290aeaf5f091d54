//! What arrives late, is told as one or under another id: a revocation of something wider recorded
//! after the uses it precedes, uses of which only the last came after the end, aliases.

mod running;

use running::Server;
use serde_json::{Value, json};

fn at(second: u32) -> String {
    format!("2026-01-02T00:{:02}:{:02}.000Z", second / 60, second % 60)
}

fn token(name: &str) -> String {
    format!("eu:idp:jti:{name}")
}

#[expect(clippy::needless_pass_by_value, reason = "stories give what they make on the spot")]
fn act(kind: &str, name: &str, second: u32, more: Value) -> Value {
    let mut event = json!({ "type": kind, "token_id": token(name), "issuer": "idp",
        "native_id": format!("{kind}-{name}-{second}"), "occurred_at": at(second) });
    for (key, value) in more.as_object().expect("an object") {
        event[key] = value.clone();
    }
    event
}

fn wide(kind: &str, id: &str, second: u32) -> Value {
    json!({ "type": "REVOKED", "target": { "kind": kind, "id": format!("eu:idp:{id}") },
        "issuer": "idp", "native_id": format!("{kind}-{id}-{second}"), "occurred_at": at(second) })
}

struct Ledger {
    server: Server,
    producer: String,
    reader: String,
}

impl Ledger {
    fn new() -> Self {
        let server = Server::start_with(&["--findings-interval-ms", "20"]);
        let producer = server.key("", "idp", &["producer"]);
        let reader = server.key("", "desk", &["reader"]);
        Self { server, producer, reader }
    }

    /// Records one by one.
    fn tell(&self, events: &[Value]) {
        for event in events {
            self.server.record(&self.producer, std::slice::from_ref(event));
        }
    }

    /// What stands open: rule, severity, gap.
    fn open(&self, query: &str) -> Vec<(String, String, Option<i64>)> {
        let path = format!("/v1/findings?limit=1000&state=open&wait=20{query}");
        let answer = self.server.get(&path, &self.reader);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["progress"]["findings"]["state"], "caught_up", "{answer}");
        let word = |one: &Value, key: &str| one[key].as_str().expect("a word").to_owned();
        let of = |one: &Value| (word(one, "rule"), word(one, "severity"), one["gap_ms"].as_i64());
        answer["findings"].as_array().expect("a list").iter().map(of).collect()
    }

    fn about(&self, name: &str) -> Vec<(String, String, Option<i64>)> {
        self.open(&format!("&token={}", token(name)))
    }
}

fn use_after_revoke(gap: i64) -> Vec<(String, String, Option<i64>)> {
    vec![("use_after_revoke".into(), "critical".into(), Some(gap))]
}

#[test]
fn a_late_revocation_of_something_wider_has_what_it_covers_judged_anew() {
    let ledger = Ledger::new();
    let person = json!([{ "role": "SUBJECT", "user_id": "u-77" }]);
    let kinds = [
        ("SESSION", json!({ "session_id": "w" })),
        ("CLIENT", json!({ "client_id": "w" })),
        ("GRANT", json!({ "grant_id": "w" })),
        ("KEY", json!({ "issuer_kid": "w" })),
        ("SUBJECT", json!({ "personal": person })),
    ];
    for (kind, belongs) in kinds {
        ledger.tell(&[
            act("ISSUED", kind, 0, belongs.clone()),
            act("ISSUED", &format!("{kind}-early"), 0, belongs),
            act("ISSUED", &format!("{kind}-other"), 0, json!({ "session_id": "x" })),
            act("USED", kind, 200, json!({})),
            act("USED", kind, 210, json!({})),
            act("USED", &format!("{kind}-early"), 90, json!({})),
            act("USED", &format!("{kind}-other"), 200, json!({})),
        ]);
        assert_eq!(ledger.about(kind), [], "{kind}: nothing is revoked yet");
        let mut revoked = wide(kind, "w", 100);
        if kind == "SUBJECT" {
            revoked["target"] = json!({ "kind": "SUBJECT" });
            revoked["personal"] = person.clone();
        }
        ledger.tell(&[revoked]);
        assert_eq!(ledger.about(kind), use_after_revoke(100_000), "{kind}");
        // Used before, and of another session.
        assert_eq!(ledger.about(&format!("{kind}-early")), [], "{kind}");
        assert_eq!(ledger.about(&format!("{kind}-other")), [], "{kind}");
        // What comes now goes on from what was judged anew, and a still earlier one replaces it.
        ledger.tell(&[act("USED", kind, 220, json!({}))]);
        assert_eq!(ledger.about(kind), use_after_revoke(100_000), "{kind}");
    }
}

#[test]
fn uses_told_as_one_are_judged_by_the_last() {
    let ledger = Ledger::new();
    let many = |name: &str| act("USED", name, 10, json!({ "count": 500, "last_at": at(100) }));
    let before = |name: &str| act("USED", name, 10, json!({ "count": 500, "last_at": at(50) }));
    let access = json!({ "token_kind": "ACCESS" });
    let expiring = json!({ "token_kind": "ACCESS", "expires_at": at(60) });
    ledger.tell(&[
        act("ISSUED", "revoked", 0, access.clone()),
        act("REVOKED", "revoked", 60, json!({})),
        many("revoked"),
        act("ISSUED", "late", 0, access.clone()),
        many("late"),
        act("REVOKED", "late", 60, json!({})),
        act("ISSUED", "of-session", 0, json!({ "session_id": "s" })),
        many("of-session"),
        wide("SESSION", "s", 60),
        act("ISSUED", "expired", 0, expiring.clone()),
        many("expired"),
        act("ISSUED", "over", 0, access.clone()),
        act("REVOKED", "over", 60, json!({})),
        before("over"),
        act("ISSUED", "within", 0, expiring),
        before("within"),
        act("ISSUED", "wholly", 0, access),
        act("REVOKED", "wholly", 5, json!({})),
        many("wholly"),
    ]);
    for name in ["revoked", "late", "of-session"] {
        assert_eq!(ledger.about(name), use_after_revoke(40_000), "{name}");
    }
    let expired = ("use_after_expiry".to_owned(), "high".to_owned(), Some(40_000));
    assert_eq!(ledger.about("expired"), [expired]);
    assert_eq!(ledger.about("over"), []);
    assert_eq!(ledger.about("within"), []);
    assert_eq!(ledger.about("wholly"), use_after_revoke(5000), "one act is told once");
}

#[test]
fn a_late_revocation_of_too_much_says_what_was_not_judged() {
    let ledger = Ledger::new();
    let births: Vec<Value> = (0..1100)
        .map(|n| act("ISSUED", &format!("t{n}"), 0, json!({ "client_id": "w" })))
        .collect();
    let uses = |name: &'static str, from: u32, to: u32| {
        (from..to).map(move |n| act("USED", name, n, json!({}))).collect::<Vec<_>>()
    };
    let record = |events: &[Value]| {
        for part in events.chunks(200) {
            ledger.server.record(&ledger.producer, part);
        }
    };
    record(&births);
    record(&uses("t0", 200, 202));
    record(&uses("t1099", 200, 202));
    ledger.tell(&[wide("CLIENT", "w", 100)]);
    assert_eq!(ledger.about("t0"), use_after_revoke(100_000), "few entries: all is read");
    assert_eq!(ledger.about("t1099"), use_after_revoke(100_000));
    assert_eq!(ledger.open("&rule=late_revoke_not_judged"), []);
    record(&uses("else", 300, 3300));
    ledger.tell(&[wide("CLIENT", "w", 50)]);
    let said = ("late_revoke_not_judged".to_owned(), "medium".to_owned(), None);
    assert_eq!(ledger.open("&rule=late_revoke_not_judged"), [said]);
}

/// Rules of the findings about a token, by one of its ids.
fn rules_about(ledger: &Ledger, name: &str) -> Vec<String> {
    ledger.about(name).into_iter().map(|(rule, ..)| rule).collect()
}

#[test]
fn a_token_is_judged_under_all_its_ids() {
    let ledger = Ledger::new();
    let other = |name: &str| json!({ "also_known_as": [token(name)] });
    let refused = json!({ "client_id": "evil", "outcome": "DENY" });
    let born = |name: &str, more: Value| {
        let mut more = more;
        more["also_known_as"] = json!([token(&format!("{name}-b"))]);
        act("ISSUED", &format!("{name}-a"), 0, more)
    };
    let access = || json!({ "token_kind": "ACCESS" });
    let refresh = json!({ "token_kind": "REFRESH", "client_id": "w" });
    ledger.tell(&[
        born("used", access()),
        act("REVOKED", "used-a", 60, json!({})),
        act("USED", "used-b", 100, json!({})),
        born("ended", access()),
        act("REVOKED", "ended-b", 60, json!({})),
        act("USED", "ended-a", 100, json!({})),
        act("ISSUED", "by-use-a", 0, access()),
        act("REVOKED", "by-use-a", 60, json!({})),
        act("USED", "by-use-b", 100, other("by-use-a")),
        act("ISSUED", "by-end-a", 0, access()),
        act("REVOKED", "by-end-b", 60, other("by-end-a")),
        act("USED", "by-end-a", 100, json!({})),
        born("wide", json!({ "session_id": "aliased" })),
        wide("SESSION", "aliased", 60),
        act("USED", "wide-b", 100, json!({})),
        born("late-wide", json!({ "session_id": "late" })),
        act("USED", "late-wide-b", 100, json!({})),
        wide("SESSION", "late", 60),
        act("ISSUED", "joined-a", 0, access()),
        act("USED", "joined-b", 100, json!({})),
        act("REVOKED", "joined-a", 60, json!({})),
        act("USED", "joined-a", 10, other("joined-b")),
        born("expired", json!({ "expires_at": at(60) })),
        act("USED", "expired-b", 100, json!({})),
        born("replay", refresh),
        act("ROTATED", "replay-a", 60, json!({ "client_id": "w" })),
        act("REFRESHED", "replay-b", 100, refused),
        born("honest", access()),
        act("USED", "honest-b", 50, json!({})),
        act("REVOKED", "honest-a", 60, json!({})),
    ]);
    for name in ["used", "ended", "by-use", "by-end", "wide", "late-wide", "joined"] {
        for id in ["a", "b"] {
            let about = ledger.about(&format!("{name}-{id}"));
            assert_eq!(about, use_after_revoke(40_000), "{name}-{id}");
        }
    }
    for id in ["a", "b"] {
        assert_eq!(rules_about(&ledger, &format!("expired-{id}")), ["use_after_expiry"]);
        assert_eq!(rules_about(&ledger, &format!("replay-{id}")), ["refresh_reuse"]);
        assert_eq!(rules_about(&ledger, &format!("honest-{id}")), [""; 0]);
    }
}

#[test]
fn ids_of_another_issuer_are_no_token_of_this_one() {
    let ledger = Ledger::new();
    let mut claim = act("USED", "own", 100, json!({ "also_known_as": ["eu:evil:jti:own"] }));
    claim["outcome"] = "DENY".into();
    ledger.tell(&[act("ISSUED", "own", 0, json!({})), act("REVOKED", "own", 60, json!({})), claim]);
    assert_eq!(ledger.about("own"), []);
}

#[test]
fn more_ids_than_are_joined_are_said() {
    let ledger = Ledger::new();
    ledger.tell(&[act("ISSUED", "many", 0, json!({ "token_kind": "ACCESS" }))]);
    for n in 0..20 {
        let name = json!({ "also_known_as": [token("many")] });
        ledger.tell(&[act("USED", &format!("many-{n}"), 10, name)]);
    }
    ledger.tell(&[act("REVOKED", "many", 60, json!({})), act("USED", "many-3", 100, json!({}))]);
    assert_eq!(ledger.open("&rule=use_after_revoke"), use_after_revoke(40_000));
    assert_eq!(ledger.open("&rule=alias_conflict").len(), 5, "16 ids are joined, 5 are not");
}

/// What a late entry tells of what was recorded before it: in any order of arrival the rules that
/// the order in time gives. A use that was told behind the end it came before was no finding, nor
/// a refusal that was told before what it refuses to repeat.
#[test]
fn a_theft_told_behind_its_revocation_was_no_finding() {
    let ledger = Ledger::new();
    let refresh = || json!({ "token_kind": "REFRESH" });
    let code = || json!({ "token_kind": "AUTH_CODE" });
    let none = || json!({});
    let deny = || json!({ "outcome": "DENY" });
    type Acts = Vec<(&'static str, u32, Value)>;
    let cases: [(&str, Value, Acts, &str); 8] = [
        (
            "replayed",
            refresh(),
            vec![("ROTATED", 20, none()), ("REVOKED", 900, none()), ("REFRESHED", 400, none())],
            "refresh_reuse critical",
        ),
        (
            "replaced",
            none(),
            vec![("ROTATED", 20, none()), ("SUSPENDED", 900, none()), ("USED", 400, none())],
            "use_after_rotation high",
        ),
        (
            "held",
            none(),
            vec![("SUSPENDED", 20, none()), ("REINSTATED", 900, none()), ("USED", 400, none())],
            "use_while_suspended high",
        ),
        (
            "held-revoked",
            none(),
            vec![("SUSPENDED", 20, none()), ("REVOKED", 900, none()), ("USED", 400, none())],
            "use_while_suspended high",
        ),
        (
            "held-once-more",
            none(),
            vec![("SUSPENDED", 20, none()), ("ROTATED", 900, none()), ("USED", 400, none())],
            "use_while_suspended high",
        ),
        (
            "code-refused",
            code(),
            vec![("USED", 400, deny()), ("USED", 20, none())],
            "code_reuse high",
        ),
        (
            "code-taken",
            code(),
            vec![("USED", 400, none()), ("REVOKED", 900, none()), ("USED", 20, none())],
            "code_reuse critical",
        ),
        // What came before the end of anything is in order.
        (
            "in-order",
            none(),
            vec![("REVOKED", 900, none()), ("USED", 400, none()), ("USED", 500, none())],
            "",
        ),
    ];
    for (name, born, acts, expected) in cases {
        ledger.tell(&[act("ISSUED", name, 1, born)]);
        for (kind, second, more) in acts {
            ledger.tell(&[act(kind, name, second, more)]);
        }
        let found = ledger.about(name);
        let found: Vec<String> =
            found.iter().map(|(rule, severity, _)| format!("{rule} {severity}")).collect();
        assert_eq!(found.join(", "), expected, "{name}");
    }
}

/// The name of a request is its sender's to choose: it explained a replay from another address.
#[test]
fn a_request_of_the_same_name_explained_another_party() {
    let ledger = Ledger::new();
    let by = |address: &str| {
        json!({ "client_id": "app", "correlation_id": "r-1",
            "personal": [{ "role": "REQUEST", "ip": address }] })
    };
    ledger.tell(&[
        act("ISSUED", "r", 1, json!({ "token_kind": "REFRESH" })),
        act("ROTATED", "r", 20, by("192.0.2.1")),
        act("REFRESHED", "r", 25, by("198.51.100.6")),
    ]);
    let found = ledger.about("r");
    assert_eq!((&*found[0].0, &*found[0].1), ("refresh_reuse", "critical"), "{found:?}");
}

/// What it takes two tokens to see was not seen when the other one was told of later.
#[test]
fn what_a_parent_said_later_was_not_held_against_its_child() {
    let ledger = Ledger::new();
    let parent = |name: &str| act("ISSUED", name, 1, json!({ "scopes": ["read"] }));
    let child = |name: &str, of: &str| {
        let links = json!([{ "token_id": token(of), "relation": "REFRESHED_FROM" }]);
        act("ISSUED", name, 5, json!({ "scopes": ["read", "write"], "links": links }))
    };
    let revoked = |name: &str| act("REVOKED", name, 100, json!({}));
    let used = |name: &str| act("USED", name, 400, json!({}));
    let rules = |name: &str| {
        let found = ledger.about(name);
        let mut found: Vec<String> =
            found.iter().map(|(rule, severity, _)| format!("{rule} {severity}")).collect();
        found.sort();
        found.join(", ")
    };
    let orders: [(&str, [usize; 4]); 6] = [
        ("in-order", [0, 1, 2, 3]),
        ("parent-last", [1, 2, 3, 0]),
        ("revoked-last", [0, 1, 3, 2]),
        ("used-first", [3, 0, 1, 2]),
        ("child-last", [0, 2, 3, 1]),
        ("turned", [3, 2, 1, 0]),
    ];
    for (name, order) in orders {
        let (p, c) = (format!("p-{name}"), format!("c-{name}"));
        let told = [parent(&p), child(&c, &p), revoked(&p), used(&c)];
        order.iter().for_each(|n| ledger.tell(std::slice::from_ref(&told[*n])));
        assert_eq!(rules(&c), "child_outlives_revoked_parent high, scope_widened high", "{name}");
    }
}
