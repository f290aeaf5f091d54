//! Every rule through the public interface: one story that provokes it and one near-miss that must
//! not; findings moved on; nothing raised twice after a crash; tenants.

mod running;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_followers::findings::rules::Rule;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Statement, Target};
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};
use running::{Server, run, stderr, stdout};
use serde_json::{Value, json};

/// Midnight of the stories; times of events are seconds behind it.
const DAY: &str = "2026-01-02T00:";

fn at(seconds: f64) -> String {
    let whole = seconds.floor();
    let millis = ((seconds - whole) * 1000.0).round();
    format!("{DAY}{:02.0}:{:02.0}.{millis:03.0}Z", (whole / 60.0).floor(), whole % 60.0)
}

fn token(name: &str) -> String {
    format!("eu:idp:jti:{name}")
}

/// An event of a story: kind, token, seconds, and what else it says.
#[expect(clippy::needless_pass_by_value, reason = "stories give what they make on the spot")]
fn act(kind: &str, name: &str, seconds: f64, more: Value) -> Value {
    let mut event = json!({ "type": kind, "token_id": token(name), "occurred_at": at(seconds),
        "issuer": "idp" });
    for (key, value) in more.as_object().expect("an object") {
        event[key] = value.clone();
    }
    event
}

fn link(parent: &str, relation: &str) -> Value {
    json!([{ "token_id": token(parent), "relation": relation, "strength": "ASSERTED" }])
}

/// A story: events in the order recorded, and the findings about its tokens: rule, severity, what
/// explains it, gap in ms.
struct Story {
    name: &'static str,
    events: Vec<Value>,
    raised: Vec<(&'static str, &'static str, Option<&'static str>, Option<i64>)>,
}

fn story(
    name: &'static str,
    events: Vec<Value>,
    raised: &[(&'static str, &'static str, Option<&'static str>, Option<i64>)],
) -> Story {
    Story { name, events, raised: raised.to_vec() }
}

/// The stories of uses that come too late or too early. A token's name is its story's.
fn stories_of_use() -> Vec<Story> {
    let issued = |name: &str| act("ISSUED", name, 0.0, json!({ "token_kind": "ACCESS" }));
    let used = |name: &str, seconds| act("USED", name, seconds, json!({}));
    let revoked = |name: &str, seconds| act("REVOKED", name, seconds, json!({}));
    let unsure = json!({ "time_uncertainty_ns": 3_000_000_000_i64 });
    let endlessly = json!({ "time_uncertainty_ns": i64::MAX });
    let expiring = json!({ "expires_at": at(60.0) });
    let from = |name: &str| act("ISSUED", name, 0.0, json!({ "not_before": at(30.0) }));
    vec![
        story(
            "use-after-revoke",
            vec![
                issued("use-after-revoke"),
                revoked("use-after-revoke", 10.0),
                used("use-after-revoke", 40.5),
            ],
            &[("use_after_revoke", "critical", None, Some(30_500))],
        ),
        story(
            "use-before-revoke",
            vec![
                issued("use-before-revoke"),
                revoked("use-before-revoke", 10.0),
                used("use-before-revoke", 9.999),
            ],
            &[],
        ),
        story(
            "use-in-propagation",
            vec![
                issued("use-in-propagation"),
                revoked("use-in-propagation", 10.0),
                used("use-in-propagation", 14.0),
            ],
            &[("use_after_revoke", "low", Some("within_propagation_window"), Some(4000))],
        ),
        story(
            "use-unsure",
            vec![
                issued("use-unsure"),
                revoked("use-unsure", 10.0),
                act("USED", "use-unsure", 12.0, unsure),
            ],
            &[("use_after_revoke", "info", Some("within_uncertainty"), Some(2000))],
        ),
        story(
            "use-endlessly-unsure",
            vec![
                issued("use-endlessly-unsure"),
                revoked("use-endlessly-unsure", 10.0),
                act("USED", "use-endlessly-unsure", 150.0, endlessly),
            ],
            &[("use_after_revoke", "critical", None, Some(140_000))],
        ),
        story(
            "revoke-arrives-late",
            vec![
                issued("revoke-arrives-late"),
                used("revoke-arrives-late", 40.0),
                revoked("revoke-arrives-late", 10.0),
            ],
            &[("use_after_revoke", "critical", None, Some(30_000))],
        ),
        story(
            "session-revoked",
            vec![
                act("ISSUED", "session-revoked", 0.0, json!({ "session_id": "s-9" })),
                json!({ "type": "REVOKED", "target": { "kind": "SESSION", "id": "eu:idp:s-9" },
                    "occurred_at": at(10.0), "issuer": "idp" }),
                used("session-revoked", 40.0),
            ],
            &[("use_after_revoke", "critical", None, Some(30_000))],
        ),
        story(
            "other-session",
            vec![
                act("ISSUED", "other-session", 0.0, json!({ "session_id": "s-8" })),
                used("other-session", 40.0),
            ],
            &[],
        ),
        story(
            "use-after-expiry",
            vec![
                act("ISSUED", "use-after-expiry", 0.0, expiring.clone()),
                used("use-after-expiry", 90.0),
            ],
            &[("use_after_expiry", "high", None, Some(30_000))],
        ),
        story(
            "use-at-expiry",
            vec![act("ISSUED", "use-at-expiry", 0.0, expiring), used("use-at-expiry", 59.999)],
            &[],
        ),
        story(
            "use-too-early",
            vec![from("use-too-early"), used("use-too-early", 10.0)],
            &[("use_before_activation", "medium", None, Some(20_000))],
        ),
        story("use-when-begun", vec![from("use-when-begun"), used("use-when-begun", 30.0)], &[]),
        story(
            "stranger",
            vec![used("stranger", 1.0), used("stranger", 2.0)],
            &[("unknown_token", "medium", None, None)],
        ),
        story(
            "refused-stranger",
            vec![act("USED", "refused-stranger", 1.0, json!({ "outcome": "DENY" }))],
            &[],
        ),
        story(
            "suspended",
            vec![
                issued("suspended"),
                act("SUSPENDED", "suspended", 5.0, json!({})),
                used("suspended", 10.0),
            ],
            &[("use_while_suspended", "high", None, None)],
        ),
        story(
            "reinstated",
            vec![
                issued("reinstated"),
                act("SUSPENDED", "reinstated", 5.0, json!({})),
                act("REINSTATED", "reinstated", 8.0, json!({})),
                used("reinstated", 10.0),
            ],
            &[],
        ),
    ]
}

/// The stories of codes, refresh tokens, births and orders.
fn stories_of_birth() -> Vec<Story> {
    let code = |name: &str| act("ISSUED", name, 0.0, json!({ "token_kind": "AUTH_CODE" }));
    let issued = |name: &str, seconds| act("ISSUED", name, seconds, json!({}));
    let used = |name: &str, seconds| act("USED", name, seconds, json!({}));
    let refresh = |name: &str| act("ISSUED", name, 0.0, json!({ "token_kind": "REFRESH" }));
    let again = |name: &str, seconds| {
        vec![
            refresh(name),
            act("REFRESHED", name, 10.0, json!({})),
            act("ROTATED", name, 10.0, json!({})),
            act("REFRESHED", name, seconds, json!({})),
        ]
    };
    let waiting = |name: &str| {
        act(
            "ISSUED",
            name,
            0.0,
            json!({ "activation": { "requires": ["mfa"],
            "deadline": at(60.0) } }),
        )
    };
    let activated = |name: &str, seconds: f64| {
        let more = json!({ "mfa": { "methods": ["otp"], "completed_at": at(seconds) } });
        act("ACTIVATED", name, seconds, more)
    };
    vec![
        story(
            "code-twice",
            vec![code("code-twice"), used("code-twice", 1.0), used("code-twice", 1.2)],
            &[("code_reuse", "critical", None, Some(200))],
        ),
        story("code-once", vec![code("code-once"), used("code-once", 1.0)], &[]),
        story(
            "refresh-stolen",
            again("refresh-stolen", 70.0),
            &[("refresh_reuse", "critical", None, Some(60_000))],
        ),
        story(
            "refresh-two-clicks",
            again("refresh-two-clicks", 10.3),
            &[("refresh_reuse", "medium", Some("race_of_unknown_parties"), Some(300))],
        ),
        story(
            "refresh-twice-unrotated",
            vec![
                refresh("refresh-twice-unrotated"),
                act("REFRESHED", "refresh-twice-unrotated", 10.0, json!({})),
                act("REFRESHED", "refresh-twice-unrotated", 20.0, json!({})),
            ],
            &[],
        ),
        story(
            "rotated-access",
            vec![
                act("ISSUED", "rotated-access", 0.0, json!({ "token_kind": "ACCESS" })),
                act("ROTATED", "rotated-access", 10.0, json!({})),
                used("rotated-access", 30.0),
            ],
            &[("use_after_rotation", "high", None, Some(20_000))],
        ),
        story(
            "rotated-in-grace",
            vec![
                act("ISSUED", "rotated-in-grace", 0.0, json!({ "token_kind": "ACCESS" })),
                act("ROTATED", "rotated-in-grace", 10.0, json!({ "grace_until": at(40.0) })),
                used("rotated-in-grace", 30.0),
            ],
            &[],
        ),
        story(
            "born-twice",
            vec![issued("born-twice", 0.0), issued("born-twice", 1.0)],
            &[("duplicate_issue", "high", None, None)],
        ),
        // Two logs of one act.
        story(
            "born-twice-alike",
            vec![
                act("ISSUED", "born-twice-alike", 0.0, json!({ "expires_at": at(900.0) })),
                act("ISSUED", "born-twice-alike", 0.2, json!({ "expires_at": at(900.0) })),
            ],
            &[("duplicate_issue", "low", Some("same_facts"), None)],
        ),
        story(
            "born-twice-apart",
            vec![
                act("ISSUED", "born-twice-apart", 0.0, json!({ "expires_at": at(900.0) })),
                act(
                    "ISSUED",
                    "born-twice-apart",
                    0.2,
                    json!({ "expires_at": at(900.0), "scopes": ["admin"] }),
                ),
            ],
            &[("duplicate_issue", "high", None, None)],
        ),
        story("born-once", vec![issued("born-once", 0.0)], &[]),
        story(
            "born-dead",
            vec![act("REVOKED", "born-dead", 0.0, json!({})), issued("born-dead", 30.0)],
            &[
                ("unknown_token", "medium", None, None),
                ("issued_after_revoke", "high", None, Some(30_000)),
            ],
        ),
        story(
            "born-then-dead",
            vec![issued("born-then-dead", 0.0), act("REVOKED", "born-then-dead", 30.0, json!({}))],
            &[],
        ),
        story(
            "mfa-late",
            vec![waiting("mfa-late"), activated("mfa-late", 61.0)],
            &[("activation_late", "medium", None, Some(1000))],
        ),
        story("mfa-in-time", vec![waiting("mfa-in-time"), activated("mfa-in-time", 60.0)], &[]),
        story(
            "mfa-missing",
            vec![waiting("mfa-missing"), act("ACTIVATED", "mfa-missing", 5.0, json!({}))],
            &[("activation_unproven", "high", None, None)],
        ),
        story(
            "reinstated-for-nothing",
            vec![
                issued("reinstated-for-nothing", 0.0),
                act("REINSTATED", "reinstated-for-nothing", 5.0, json!({})),
            ],
            &[("out_of_order", "low", None, None)],
        ),
        story(
            "key-changed",
            vec![
                act("ISSUED", "key-changed", 0.0, json!({ "issuer_kid": "k1" })),
                act("USED", "key-changed", 5.0, json!({ "issuer_kid": "k2" })),
            ],
            &[("key_mismatch", "high", None, None)],
        ),
        story(
            "key-same",
            vec![
                act("ISSUED", "key-same", 0.0, json!({ "issuer_kid": "k1" })),
                act("USED", "key-same", 5.0, json!({ "issuer_kid": "eu:idp:k1" })),
            ],
            &[],
        ),
        story(
            "clock-ahead",
            vec![act(
                "ISSUED",
                "clock-ahead",
                0.0,
                json!({ "occurred_at": "2096-01-01T00:00:00Z" }),
            )],
            &[("clock_ahead", "low", None, None)],
        ),
    ]
}

/// The stories of spent tokens that come back, by the one who spent them or by another.
fn stories_of_replay() -> Vec<Story> {
    let born = |name: &str, kind: &str| act("ISSUED", name, 0.0, json!({ "token_kind": kind }));
    let by = |ip: &str, more: Value| {
        let mut more = more;
        more["client_id"] = "mobile".into();
        more["personal"] = json!([{ "role": "REQUEST", "ip": ip }]);
        more
    };
    let (own, other) = ("192.0.2.7", "203.0.113.9");
    let denied = || json!({ "outcome": "DENY", "reason": "reuse" });
    let invalid = || json!({ "outcome": "DENY", "reason": "invalid_grant" });
    let produced = |new: &str| json!({ "links": link(new, "PRODUCED") });
    let refreshed = |name: &str, second: f64, ip: &str, more: Value| {
        vec![
            born(name, "REFRESH"),
            act("REFRESHED", name, 10.0, by(own, json!({}))),
            act("ROTATED", name, 10.0, json!({})),
            act("REFRESHED", name, second, by(ip, more)),
        ]
    };
    let coded = |name: &str, second: f64, ip: &str| {
        vec![
            born(name, "AUTH_CODE"),
            act("USED", name, 1.0, by(own, json!({}))),
            act("USED", name, second, by(ip, denied())),
        ]
    };
    let mut twice = refreshed("refused-twice", 11.0, other, denied());
    twice.push(act("REFRESHED", "refused-twice", 12.0, by(other, denied())));
    let mut raced = refreshed("raced", 10.1, own, json!({ "correlation_id": "second" }));
    raced.push(act("ROTATED", "raced", 10.1, json!({ "correlation_id": "second" })));
    let graced = vec![
        born("refused-in-grace", "REFRESH"),
        act("REFRESHED", "refused-in-grace", 10.0, by(own, json!({}))),
        act("ROTATED", "refused-in-grace", 10.0, json!({ "grace_until": at(40.0) })),
        act("REFRESHED", "refused-in-grace", 11.0, by(other, denied())),
    ];
    let race = Some("benign_race");
    let high = [("refresh_reuse", "high", None, Some(1000))];
    vec![
        story("refused-other", refreshed("refused-other", 11.0, other, denied()), &high),
        // One finding, however often the thief tries.
        story("refused-twice", twice, &high),
        story(
            "refused-own",
            refreshed("refused-own", 11.0, own, denied()),
            &[("refresh_reuse", "info", race, Some(1000))],
        ),
        story(
            "refused-own-late",
            refreshed("refused-own-late", 70.0, own, denied()),
            &[("refresh_reuse", "high", None, Some(60_000))],
        ),
        story(
            "refused-by-nobody-known",
            vec![
                born("refused-by-nobody-known", "REFRESH"),
                act("REFRESHED", "refused-by-nobody-known", 10.0, json!({})),
                act("ROTATED", "refused-by-nobody-known", 10.0, json!({})),
                act("REFRESHED", "refused-by-nobody-known", 11.0, denied()),
            ],
            &high,
        ),
        story("refused-in-grace", graced, &[]),
        // Nobody says ROTATED: the issuer calls it a reuse, or a refresh token came of it.
        story(
            "refused-as-reuse",
            vec![
                born("refused-as-reuse", "REFRESH"),
                act("REFRESHED", "refused-as-reuse", 10.0, by(own, json!({}))),
                act("REFRESHED", "refused-as-reuse", 11.0, by(other, denied())),
            ],
            &high,
        ),
        story(
            "refused-after-successor",
            vec![
                born("refused-after-successor", "REFRESH"),
                act("REFRESHED", "refused-after-successor", 10.0, by(own, produced("successor"))),
                born("successor", "REFRESH"),
                act("REFRESHED", "refused-after-successor", 11.0, by(other, invalid())),
            ],
            &high,
        ),
        // An issuer that does not rotate: only access tokens come of it, however often.
        story(
            "refused-unrotated",
            vec![
                born("refused-unrotated", "REFRESH"),
                act("REFRESHED", "refused-unrotated", 9.0, by(own, produced("access-1"))),
                born("access-1", "ACCESS"),
                act("REFRESHED", "refused-unrotated", 10.0, by(other, json!({}))),
                act("REFRESHED", "refused-unrotated", 11.0, by(other, invalid())),
            ],
            &[],
        ),
        // Refused, but never replaced: an expired one, a wrong client.
        story(
            "refused-unspent",
            vec![
                born("refused-unspent", "REFRESH"),
                act("REFRESHED", "refused-unspent", 11.0, by(other, json!({ "outcome": "DENY" }))),
            ],
            &[],
        ),
        story(
            "let-in-other",
            refreshed("let-in-other", 10.3, other, json!({})),
            &[("refresh_reuse", "critical", None, Some(300))],
        ),
        // A race is told once: not also as a second ROTATED.
        story("raced", raced, &[("refresh_reuse", "info", race, Some(100))]),
        story(
            "code-refused-other",
            coded("code-refused-other", 1.2, other),
            &[("code_reuse", "high", None, Some(200))],
        ),
        story(
            "code-refused-own",
            coded("code-refused-own", 1.2, own),
            &[("code_reuse", "info", race, Some(200))],
        ),
    ]
}

/// The stories of tokens that came of others.
fn stories_of_descent() -> Vec<Story> {
    let meant_for = |name: &str, audience: &str, more: Value| {
        let mut event = act("ISSUED", name, 0.0, more);
        event["audience"] = json!([audience]);
        event
    };
    let parent = |name: &str| {
        act(
            "ISSUED",
            name,
            0.0,
            json!({ "token_kind": "REFRESH", "scopes": ["read", "write"],
            "actors": [{ "kind": "SERVICE", "id": "billing" }] }),
        )
    };
    let child = |name: &str, of: &str, relation: &str, scopes: &[&str], actors: &[&str]| {
        let actors = actors.iter().map(|id| json!({ "kind": "SERVICE", "id": id }));
        act(
            "ISSUED",
            name,
            5.0,
            json!({ "scopes": scopes, "links": link(of, relation),
            "actors": actors.collect::<Vec<_>>() }),
        )
    };
    vec![
        story(
            "scope-more",
            vec![
                parent("scope-more-p"),
                child("scope-more", "scope-more-p", "REFRESHED_FROM", &["read", "admin"], &[]),
            ],
            &[("scope_widened", "high", None, None)],
        ),
        story(
            "scope-less",
            vec![
                parent("scope-less-p"),
                child("scope-less", "scope-less-p", "REFRESHED_FROM", &["read"], &[]),
            ],
            &[],
        ),
        story(
            "scope-elsewhere",
            vec![
                meant_for("scope-elsewhere-p", "orders", json!({ "scopes": ["read"] })),
                meant_for(
                    "scope-elsewhere",
                    "billing",
                    json!({ "scopes": ["bill"],
                        "links": link("scope-elsewhere-p", "EXCHANGED_FROM") }),
                ),
            ],
            &[("scope_widened", "low", Some("other_audience"), None)],
        ),
        story(
            "scope-same-place",
            vec![
                meant_for("scope-same-place-p", "orders", json!({ "scopes": ["read"] })),
                meant_for(
                    "scope-same-place",
                    "orders",
                    json!({ "scopes": ["admin"],
                        "links": link("scope-same-place-p", "EXCHANGED_FROM") }),
                ),
            ],
            &[("scope_widened", "high", None, None)],
        ),
        story(
            "actor-lost",
            vec![
                parent("actor-lost-p"),
                child("actor-lost", "actor-lost-p", "EXCHANGED_FROM", &["read"], &["mail"]),
            ],
            &[("actor_lost_in_exchange", "medium", None, None)],
        ),
        story(
            "actor-kept",
            vec![
                parent("actor-kept-p"),
                child(
                    "actor-kept",
                    "actor-kept-p",
                    "EXCHANGED_FROM",
                    &["read"],
                    &["mail", "billing"],
                ),
            ],
            &[],
        ),
        story(
            "orphan",
            vec![
                parent("orphan-p"),
                child("orphan", "orphan-p", "REFRESHED_FROM", &["read"], &[]),
                act("REVOKED", "orphan-p", 10.0, json!({})),
                act("USED", "orphan", 70.0, json!({})),
                act("USED", "orphan", 71.0, json!({})),
            ],
            &[("child_outlives_revoked_parent", "high", None, Some(60_000))],
        ),
        story(
            "orphan-revoked-too",
            vec![
                parent("orphan-revoked-too-p"),
                child(
                    "orphan-revoked-too",
                    "orphan-revoked-too-p",
                    "REFRESHED_FROM",
                    &["read"],
                    &[],
                ),
                act("REVOKED", "orphan-revoked-too-p", 10.0, json!({})),
                act("REVOKED", "orphan-revoked-too", 10.0, json!({})),
                act("USED", "orphan-revoked-too", 9.0, json!({})),
            ],
            &[],
        ),
    ]
}

/// The stories of what a token is presented as, and what it was issued by.
fn stories_of_presentation() -> Vec<Story> {
    let kid = |name: &str, kid: &str| act("ISSUED", name, 0.0, json!({ "issuer_kid": kid }));
    let shown = |name: &str, kid: &str| act("USED", name, 5.0, json!({ "issuer_kid": kid }));
    let aimed = |name: &str, at: &str| act("ISSUED", name, 0.0, json!({ "audience": [at] }));
    let used = |name: &str, at: &str| act("RESOURCE_ACCESSED", name, 5.0, json!({ "service": at }));
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let policy = |name: &str, from: f64, of: &str| {
        json!({ "type": "POLICY_CHANGED", "target": { "kind": "POLICY", "id": name },
            "occurred_at": at(0.0), "policies": [{ "id": name, "version": "v1" }],
            "policy_change": { "effective_from": at(from), "snapshot": digest(of) } })
    };
    let next = |name: &str, from: f64| {
        let mut event = policy(name, from, "c");
        event["policies"][0]["version"] = "v2".into();
        event
    };
    let granted = |name: &str, of: &str| {
        let list = json!([{ "id": name, "version": "v1", "digest": digest(of), "role": "GRANT" }]);
        act("ISSUED", name, 60.0, json!({ "policies": list }))
    };
    let by = |name: &str, client: &str, more: Value| {
        let mut event = act("ISSUED", name, 0.0, json!({ "client_id": client }));
        event["also_known_as"] = more;
        event
    };
    vec![
        story(
            "audience-other",
            vec![
                aimed("audience-other-p", "mail-api"),
                aimed("audience-other", "billing-api"),
                used("audience-other", "mail-api"),
            ],
            &[("audience_mismatch", "high", None, None)],
        ),
        story(
            "audience-own",
            vec![
                aimed("audience-own", "billing-api"),
                used("audience-own", "billing-api"),
                // No audience is ever spelled like this one: it says nothing.
                used("audience-own", "gateway-7"),
            ],
            &[],
        ),
        story(
            "forged",
            vec![kid("forged-p", "f1"), shown("forged", "f9")],
            &[("unknown_token", "medium", None, None), ("forged_suspect", "high", None, None)],
        ),
        story(
            "known-key",
            vec![shown("known-key", "f1")],
            &[("unknown_token", "medium", None, None)],
        ),
        story(
            "announced-key",
            vec![
                json!({ "type": "KEY_CHANGED", "target": { "kind": "KEY", "id": "eu:idp:f2" },
                    "occurred_at": at(0.0), "issuer": "idp" }),
                shown("announced-key", "f2"),
            ],
            &[("unknown_token", "medium", None, None)],
        ),
        story(
            "policy-other",
            vec![policy("policy-other", 30.0, "a"), granted("policy-other", "b")],
            &[("policy_mismatch", "high", None, None)],
        ),
        story(
            "policy-same",
            vec![policy("policy-same", 30.0, "a"), granted("policy-same", "a")],
            &[],
        ),
        story(
            "policy-not-yet",
            vec![policy("policy-not-yet", 90.0, "a"), granted("policy-not-yet", "a")],
            &[("policy_mismatch", "medium", None, None)],
        ),
        story(
            "policy-replaced",
            vec![
                policy("policy-replaced", 10.0, "a"),
                next("policy-replaced", 30.0),
                granted("policy-replaced", "a"),
            ],
            &[("policy_mismatch", "medium", None, Some(30_000))],
        ),
        story(
            "policy-just-replaced",
            vec![
                policy("policy-just-replaced", 10.0, "a"),
                next("policy-just-replaced", 58.0),
                granted("policy-just-replaced", "a"),
            ],
            &[("policy_mismatch", "info", Some("within_propagation_window"), Some(2000))],
        ),
        story("policy-of-nobody", vec![granted("policy-of-nobody", "a")], &[]),
        // Told about the token whose id was claimed.
        story(
            "alias-of-two",
            vec![
                by("alias-of-two", "web", json!([])),
                by("alias-of-two-c", "mobile", json!([token("alias-of-two")])),
                act("USED", "alias-of-two-c", 5.0, json!({})),
            ],
            &[("alias_conflict", "high", None, None)],
        ),
        // Whoever claims before the token is there is told when it comes, and once.
        story(
            "alias-claimed-first",
            vec![
                by("alias-claimed-first-c", "mobile", json!([token("alias-claimed-first")])),
                by("alias-claimed-first", "web", json!([])),
                act(
                    "USED",
                    "alias-claimed-first-c",
                    5.0,
                    json!({ "also_known_as": [token("alias-claimed-first")] }),
                ),
            ],
            &[("alias_conflict", "high", None, None)],
        ),
        // Ids of two issuers are never joined.
        story(
            "alias-elsewhere",
            vec![
                by("alias-elsewhere", "web", json!([])),
                json!({ "type": "ISSUED", "token_id": "eu:other:jti:c", "occurred_at": at(0.0),
                    "issuer": "other", "client_id": "mobile",
                    "also_known_as": [token("alias-elsewhere")] }),
            ],
            &[],
        ),
        story(
            "alias-of-one",
            vec![
                by("alias-of-one-p", "web", json!([])),
                by("alias-of-one", "eu:idp:web", json!([token("alias-of-one-p")])),
            ],
            &[],
        ),
    ]
}

/// A heartbeat that names a token it holds.
fn holding(name: &str, seconds: f64) -> Value {
    let links = json!([{ "token_id": token(name), "relation": "CAUSED_BY",
        "strength": "ASSERTED" }]);
    json!({ "type": "HEARTBEAT", "target": { "kind": "SOURCE", "id": "idp" },
        "occurred_at": at(seconds), "links": links })
}

/// The stories of tokens that a producer says it holds.
fn stories_of_holding() -> Vec<Story> {
    let issued = |name: &str| act("ISSUED", name, 0.0, json!({ "session_id": name }));
    vec![
        story(
            "held-unknown",
            vec![holding("held-unknown", 5.0), holding("held-unknown", 10.0)],
            &[("unknown_token", "medium", None, None)],
        ),
        story("held-known", vec![issued("held-known"), holding("held-known", 5.0)], &[]),
        story(
            "held-revoked",
            vec![
                issued("held-revoked"),
                act("REVOKED", "held-revoked", 10.0, json!({})),
                holding("held-revoked", 60.0),
                holding("held-revoked", 70.0),
            ],
            &[("revoke_not_propagated", "high", None, Some(50_000))],
        ),
        story(
            "held-out-of-session",
            vec![
                issued("held-out-of-session"),
                json!({ "type": "REVOKED", "issuer": "idp", "occurred_at": at(10.0),
                    "target": { "kind": "SESSION", "id": "eu:idp:held-out-of-session" } }),
                holding("held-out-of-session", 30.0),
            ],
            &[("revoke_not_propagated", "high", None, Some(20_000))],
        ),
        story(
            "held-lately",
            vec![
                issued("held-lately"),
                act("REVOKED", "held-lately", 10.0, json!({})),
                holding("held-lately", 13.0),
            ],
            &[],
        ),
    ]
}

fn server() -> Server {
    Server::start_with(&["--findings-interval-ms", "20"])
}

/// Sends a story's events, one call each, so that their order is theirs.
fn tell(server: &Server, key: &str, story: &Story) {
    for (at, event) in story.events.iter().enumerate() {
        let mut event = event.clone();
        event["native_id"] = format!("{}-{at}", story.name).into();
        server.record(key, &[event]);
    }
}

/// The list of findings once all that is recorded now was judged.
fn settled(server: &Server, key: &str, query: &str) -> Vec<Value> {
    let size = server.get("/v1/status", &server.admin).json()["size"].as_u64().expect("a size");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = server.get(&format!("/v1/findings?limit=1000{query}"), key);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        // The ledger may have grown since the answer was begun.
        let lag = answer["lag_entries"].as_u64().expect("a lag");
        let judged = answer["size"].as_u64().expect("a size").saturating_sub(lag);
        if judged >= size {
            // What was judged is recorded: once more, for an answer from before.
            let answer = server.get(&format!("/v1/findings?limit=1000{query}"), key).json();
            assert_eq!(answer["next"], Value::Null, "{answer}");
            return answer["findings"].as_array().expect("a list").clone();
        }
        assert!(Instant::now() < until, "the rules did not catch up: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_rule_raises_what_it_should_and_nothing_next_to_it() {
    let server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let mut stories = stories_of_use();
    stories.extend(stories_of_birth());
    stories.extend(stories_of_replay());
    stories.extend(stories_of_descent());
    stories.extend(stories_of_presentation());
    stories.extend(stories_of_holding());
    every_rule_has_a_story(&stories);
    stories.iter().for_each(|story| tell(&server, &key, story));
    let findings = settled(&server, &reader, "");
    let mut told = 0;
    for story in &stories {
        let about = |one: &&Value| one["token_id"] == token(story.name);
        let raised: Vec<_> = findings.iter().filter(about).collect();
        let seen: Vec<_> = raised
            .iter()
            .map(|one| {
                let gap = one["gap_ms"].as_i64().filter(|_| !story.name.starts_with("clock-"));
                (
                    one["rule"].as_str().unwrap(),
                    one["severity"].as_str().unwrap(),
                    one["explained"].as_str(),
                    gap,
                )
            })
            .collect();
        assert_eq!(seen, story.raised, "{}: {raised:#?}", story.name);
        let of_token = format!("&token={}", token(story.name));
        let filtered = settled(&server, &reader, &of_token);
        let same = filtered.iter().map(|one| &one["id"]).eq(raised.iter().map(|one| &one["id"]));
        assert!(same, "{}: {filtered:#?}", story.name);
        told += raised.len();
    }
    assert_eq!(told, findings.len(), "findings about tokens of no story: {findings:#?}");
}

/// Rules whose stories are elsewhere: about producers and refusals below, of the verifier in
/// `verifier.rs`, of reconciliations in `backfill_http.rs`, of too much that came late in
/// `findings_late.rs`, of two issuers in `aliases.rs`, of what is missing and of old keys in the
/// `attendance.rs` of the simulator.
const ELSEWHERE: [&str; 17] = [
    "held_token_missing",
    "held_unwatched",
    "source_never_seen",
    "key_overdue",
    "late_revoke_not_judged",
    "source_gap",
    "source_silent",
    "event_id_conflict",
    "secret_refused",
    "bad_signature",
    "unauthorised_source",
    "chain_break",
    "derived_file_damaged",
    "claimed_by_several",
    "reconcile_unknown_token",
    "reconcile_ended_here",
    "reconcile_missing_at_issuer",
];

fn every_rule_has_a_story(stories: &[Story]) {
    let raised = || stories.iter().flat_map(|story| &story.raised);
    let told = |code: &str| raised().any(|one| one.0 == code);
    let untold =
        Rule::all().map(Rule::code).filter(|code| !told(code) && !ELSEWHERE.contains(code));
    assert_eq!(untold.collect::<Vec<_>>(), [""; 0], "rules without a story");
}

/// Rule, target and place of all findings about producers, once `count` of them stand in a state.
fn about_producers(server: &Server, reader: &str, query: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let found: Vec<Value> = settled(server, reader, query)
            .into_iter()
            .filter(|one| one["token_id"].is_null())
            .collect();
        if found.len() >= count || Instant::now() > until {
            assert_eq!(found.len(), count, "{found:#?}");
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_missing_of_a_producer_is_noticed() {
    let mut server = server();
    let gateway = server.key("ours", "gw-1", &["producer"]);
    let steady = server.key("ours", "gw-2", &["producer"]);
    let slow = server.key("ours", "gw-3", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let instance = "0192f6e7-c1a7-4b3e-9a55-3f1c0c6f2b11";
    let numbered = |source: &str, seq: i64| {
        let mut event =
            running::event(&format!("{source}-{seq}"), "ISSUED", &format!("{source}{seq}"));
        event["source_instance"] = instance.into();
        event["source_seq"] = seq.into();
        event
    };
    for seq in [3, 4, 7, 5] {
        server.record(&gateway, &[numbered("gw-1", seq)]);
    }
    for seq in 0..4 {
        server.record(&steady, &[numbered("gw-2", seq)]);
    }
    let open = about_producers(&server, &reader, "&rule=source_gap&state=open", 1);
    assert_eq!(open[0]["target"], json!({ "kind": "SOURCE", "id": "gw-1" }), "{open:#?}");
    assert_eq!(open[0]["place"], format!("instance {instance} source_seq 5 to 6"));
    assert_eq!(open[0]["severity"], "medium");
    // What is known of producers survives a crash.
    server.kill_nine();
    server.reap();
    server.go();
    server.record(&gateway, &[numbered("gw-1", 6)]);
    let gone = about_producers(&server, &reader, "&rule=source_gap&state=withdrawn", 1);
    assert_eq!(gone[0]["id"], open[0]["id"]);
    assert_eq!(
        about_producers(&server, &reader, "&rule=source_gap&state=open", 0),
        [Value::Null; 0]
    );
    // Heartbeats.
    let beat = |native: &str, source: &str, seconds: &str| {
        json!({ "native_id": native, "type": "HEARTBEAT", "occurred_at": at(0.0),
            "target": { "kind": "SOURCE", "id": source },
            "detail": [{ "key": "interval_s", "value": seconds }] })
    };
    server.record(&gateway, &[beat("b1", "gw-1", "1")]);
    server.record(&slow, &[beat("b2", "gw-3", "60")]);
    let until = Instant::now() + Duration::from_millis(3500);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(500));
        // The others keep the ledger awake; a quiet one has a block a minute.
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        server
            .record(&steady, &[running::event(&format!("s{left}"), "ISSUED", &format!("s{left}"))]);
    }
    let silent = about_producers(&server, &reader, "&rule=source_silent", 1);
    assert_eq!(silent[0]["target"]["id"], "gw-1", "{silent:#?}");
    assert!(silent[0]["gap_ms"].as_i64() > Some(3000), "{silent:#?}");
}

#[test]
fn a_clock_that_is_ahead_is_told_once_a_source() {
    let server = server();
    let reader = server.key("ours", "desk", &["reader"]);
    let ahead = json!({ "occurred_at": "2096-01-01T00:00:00Z" });
    let mut unsure = ahead.clone();
    unsure["time_uncertainty_ns"] = i64::MAX.into();
    for (source, more) in [("idp", ahead), ("gw", unsure)] {
        let key = server.key("ours", source, &["producer"]);
        for n in 0..3 {
            let mut event = act("ISSUED", &format!("{source}-{n}"), 0.0, more.clone());
            event["native_id"] = n.to_string().into();
            server.record(&key, &[event]);
        }
    }
    let found = settled(&server, &reader, "&rule=clock_ahead");
    let tokens: Vec<_> = found.iter().map(|one| one["token_id"].clone()).collect();
    assert_eq!(tokens, [token("idp-0"), token("gw-0")], "{found:#?}");
}

#[test]
fn a_clock_that_is_ahead_is_told_also_of_what_is_wider_than_a_token() {
    let server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    server.record(
        &key,
        &[json!({ "type": "REVOKED", "target": { "kind": "CLIENT", "id": "eu:idp:web" },
            "native_id": "w1", "issuer": "idp", "occurred_at": "2096-01-01T00:00:00Z" })],
    );
    let found = settled(&server, &reader, "&rule=clock_ahead");
    let targets: Vec<_> = found.iter().map(|one| one["target"].clone()).collect();
    assert_eq!(targets, [json!({ "kind": "SOURCE", "id": "idp" })], "{found:#?}");
}

#[test]
fn an_uncertainty_beyond_its_sources_skew_explains_nothing() {
    let settings = ["--findings-interval-ms", "20", "--source-skew-ms", "idp=50,gw-1=2000"];
    let server = Server::start_with(&settings);
    let idp = server.key("ours", "idp", &["producer"]);
    let known = server.key("ours", "gw-1", &["producer"]);
    let other = server.key("ours", "gw-2", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let unsure = json!({ "time_uncertainty_ns": 40_000_000_000_i64 });
    for name in ["known", "unknown"] {
        let mut born = act("ISSUED", name, 0.0, json!({}));
        born["native_id"] = format!("{name}-born").into();
        let mut ended = act("REVOKED", name, 10.0, unsure.clone());
        ended["native_id"] = format!("{name}-ended").into();
        server.record(&idp, &[born, ended]);
    }
    // 20 s behind: more than 50 ms, 2 s and the propagation window together.
    for (key, name) in [(&known, "known"), (&other, "unknown")] {
        let mut used = act("USED", name, 30.0, unsure.clone());
        used["native_id"] = format!("{name}-used").into();
        server.record(key, &[used]);
    }
    let severity = |name: &str| {
        let found = settled(&server, &reader, &format!("&token={}", token(name)));
        assert_eq!(found.len(), 1, "{found:#?}");
        (found[0]["severity"].clone(), found[0]["explained"].clone())
    };
    assert_eq!(severity("known"), (json!("critical"), Value::Null));
    assert_eq!(severity("unknown"), (json!("info"), json!("within_uncertainty")));
    for bad in ["idp", "idp=x", "idp=60001", "=5", "idp=-1"] {
        let data = server.path("elsewhere").display().to_string();
        let args = ["serve", "--listen", "127.0.0.1:0", "--data", &data, "--source-skew-ms", bad];
        let refused = run(&args, &[], b"");
        assert_eq!(refused.status.code(), Some(64), "{bad}: {}", stderr(&refused));
    }
}

#[test]
fn a_held_token_that_is_born_late_is_unknown_no_more() {
    let server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let mut beat = holding("later", 5.0);
    beat["native_id"] = "beat".into();
    server.record(&key, &[beat]);
    let open = settled(&server, &reader, "&state=open");
    assert_eq!(open.len(), 1, "{open:#?}");
    server.record(&key, &[act("ISSUED", "later", 0.0, json!({ "native_id": "birth" }))]);
    let until = Instant::now() + Duration::from_secs(10);
    while !settled(&server, &reader, "&state=open").is_empty() {
        assert!(Instant::now() < until, "still open");
    }
    assert_eq!(settled(&server, &reader, "&state=withdrawn")[0]["id"], open[0]["id"]);
}

/// A statement of a producer, signed or with a value that is none.
fn signed(name: &str, id: u8, key_id: &str, secret: &[u8], good: bool) -> Value {
    let target = token(name);
    let target = Target { kind: TargetKind::Token, id: &target };
    let occurred_at = Hlc::at(1_767_312_000_000_000_000);
    let mut statement = Statement::new([id; 16], "idp", target, EventType::Issued, occurred_at);
    (statement.tenant, statement.issuer) = ("ours", Some("idp"));
    statement.outcome = Outcome::Allow;
    let bytes = encode_object(Kind::Statement, &statement);
    let mut value = StatementSigner::hmac(secret, "default", key_id).sign(&bytes);
    value[0] ^= u8::from(!good);
    json!({ "statement": STANDARD.encode(&bytes), "signature": { "alg": "HMAC-SHA256",
        "key_id": key_id, "value": STANDARD.encode(value) } })
}

#[test]
fn refusals_that_mean_something_are_findings() {
    let server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let theirs = server.key("theirs", "desk", &["reader"]);
    let limited = json!({ "tenant": "ours", "source": "gw", "roles": ["producer"],
        "types": ["USED"] });
    let limited = server.post("/v1/keys", &server.admin, &limited).json();
    let limited = limited["secret"].as_str().expect("a secret").to_owned();
    let signing = json!({ "tenant": "ours", "source": "idp", "alg": "HMAC-SHA256",
        "key_id": "signer" });
    let signing = server.post("/v1/keys", &server.admin, &signing);
    assert_eq!(signing.status, 201, "{}", signing.text());
    let secret = signing.json()["secret"].as_str().expect("a secret").to_owned();
    let secret = STANDARD.decode(secret).expect("base64");
    // Near misses: sound, repeated, or malformed only.
    let sound = act("ISSUED", "sound", 0.0, json!({ "native_id": "r1" }));
    server.record(&key, std::slice::from_ref(&sound));
    let used = act("USED", "sound", 5.0, json!({ "native_id": "r2", "issuer": "idp" }));
    server.record(&limited, &[used]);
    let again = server.post("/v1/events", &key, &sound);
    assert_eq!(again.json()["events"][0]["status"], "duplicate", "{}", again.text());
    let no_target = json!({ "native_id": "r3", "type": "USED", "occurred_at": at(0.0) });
    assert_eq!(server.post("/v1/events", &key, &no_target).status, 422);
    let holds = server.post("/v1/events", &key, &signed("signed", 1, "signer", &secret, true));
    assert_eq!(holds.status, 200, "{}", holds.text());
    // One of each.
    let other = act("ISSUED", "other", 0.0, json!({ "native_id": "r1" }));
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
    let leaky = act("USED", "sound", 6.0, json!({ "native_id": "r4", "reason": jwt }));
    let beyond = act("ISSUED", "beyond", 0.0, json!({ "native_id": "r5" }));
    let forged = signed("forged-statement", 2, "signer", &secret, false);
    for (credential, event, code) in [
        (&key, &other, "event_id_conflict"),
        (&key, &leaky, "secret_refused"),
        (&limited, &beyond, "out_of_grant"),
        (&key, &forged, "bad_signature"),
    ] {
        let answer = server.post("/v1/events", credential, event);
        assert!(answer.status >= 400, "{code} {}", answer.text());
        assert_eq!(answer.code(), code);
    }
    let found = about_producers(&server, &reader, "", 4);
    let mut seen: Vec<_> = found
        .iter()
        .map(|one| {
            let text = |pointer: &str| one.pointer(pointer).and_then(Value::as_str).unwrap_or("");
            (text("/rule"), text("/severity"), text("/target/id"))
        })
        .collect();
    seen.sort_unstable();
    let expected = [
        ("bad_signature", "high", "idp"),
        ("event_id_conflict", "medium", "idp"),
        ("secret_refused", "high", "idp"),
        ("unauthorised_source", "medium", "gw"),
    ];
    assert_eq!(seen, expected, "{found:#?}");
    assert!(found.iter().all(|one| !one.to_string().contains("eyJ")), "{found:#?}");
    assert_eq!(server.get("/v1/findings", &theirs).json()["findings"], json!([]));
}

/// A stolen refresh token and an honest use of it.
fn theft(name: &str) -> Vec<Value> {
    vec![
        act("ISSUED", name, 0.0, json!({ "token_kind": "REFRESH" })),
        act("ROTATED", name, 10.0, json!({})),
        act("REFRESHED", name, 70.0, json!({})),
    ]
}

#[test]
fn nothing_is_raised_twice_after_crashes_and_a_lost_position() {
    let mut server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let names: Vec<String> = (0..4).map(|round| format!("stolen-{round}")).collect();
    for name in &names {
        let copies: Vec<Value> = (0..25)
            .flat_map(|copy| {
                let mut events = theft(&format!("{name}-{copy}"));
                for (at, event) in events.iter_mut().enumerate() {
                    event["native_id"] = format!("{name}-{copy}-{at}").into();
                }
                events
            })
            .collect();
        server.record(&key, &copies);
        // The rules are somewhere on the way.
        server.kill_nine();
        server.reap();
        server.go();
    }
    let before = settled(&server, &reader, "&rule=refresh_reuse");
    assert_eq!(before.len(), 100, "each theft is one finding");
    server.kill_nine();
    server.reap();
    std::fs::remove_dir_all(server.path("data/followers")).unwrap_or_default();
    server.go();
    let again = settled(&server, &reader, "&rule=refresh_reuse");
    let ids = |list: &[Value]| list.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&before));
    let mut unique = ids(&again).iter().map(ToString::to_string).collect::<Vec<_>>();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 100);
    assert_eq!(server.stop(), Some(0));
    assert!(server.path("data/followers/findings").exists(), "a clean stop saves the position");
    let data = server.path("data").display().to_string();
    let verified = run(&["verify", "--data", &data], &[], b"");
    assert_eq!(verified.status.code(), Some(0), "{}{}", stdout(&verified), stderr(&verified));
}

#[test]
fn what_a_late_entry_explains_is_withdrawn() {
    let server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let early = act("USED", "late-birth", 5.0, json!({ "native_id": "l1" }));
    server.record(&key, &[early]);
    let open = settled(&server, &reader, "&state=open");
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0]["rule"], "unknown_token");
    server.record(&key, &[act("ISSUED", "late-birth", 0.0, json!({ "native_id": "l2" }))]);
    let until = Instant::now() + Duration::from_secs(10);
    while !settled(&server, &reader, "&state=open").is_empty() {
        assert!(Instant::now() < until, "still open");
    }
    let withdrawn = settled(&server, &reader, "&state=withdrawn");
    assert_eq!(withdrawn[0]["id"], open[0]["id"]);
    assert_eq!(withdrawn[0]["moves"][0]["by"], "ledger", "{withdrawn:#?}");
}

#[test]
fn a_finding_is_acknowledged_and_closed_by_those_who_may() {
    let server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let responder = server.key("ours", "night", &["responder"]);
    let theirs = server.key("theirs", "night", &["responder", "reader", "producer"]);
    let stories: Vec<Story> = ["one", "two", "three"]
        .map(|name| Story { name, events: theft(name), raised: Vec::new() })
        .into();
    stories.iter().for_each(|story| tell(&server, &key, story));
    let found = settled(&server, &reader, "");
    assert_eq!(found.len(), 3);
    let id = found[0]["id"].as_str().expect("an id");
    let path = |what: &str| format!("/v1/findings/{id}{what}");
    let note = json!({ "note": "a drill, case 4711" });
    let check = |key: &str, path: &str, body: &Value, status: u16, code: &str| {
        let answer = server.post(path, key, body);
        assert_eq!(answer.status, status, "{path} {}", answer.text());
        if !code.is_empty() {
            assert_eq!(answer.code(), code);
        }
    };
    // Another tenant sees and moves nothing, and cannot tell a finding from none.
    assert_eq!(settled_of_none(&server, &theirs), 0);
    assert_eq!(server.get(&path(""), &theirs).text(), server.get(&other(id), &theirs).text());
    check(&theirs, &path("/close"), &note, 404, "not_found");
    let foreign = json!({ "note": "x", "tenant": "ours" });
    check(&theirs, &path("/close"), &foreign, 404, "not_found");
    assert_eq!(server.get("/v1/findings?tenant=ours", &theirs).status, 404);
    // Who may not, and what cannot be recorded.
    check(&reader, &path("/close"), &note, 403, "forbidden");
    check(&responder, &path("/close"), &json!({}), 422, "bad_note");
    check(&responder, &path("/close"), &json!({ "note": "a\nb" }), 422, "bad_note");
    check(&responder, &path("/close"), &json!({ "note": "n".repeat(1025) }), 422, "bad_note");
    let token = json!({ "note": "it was eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl" });
    check(&responder, &path("/close"), &token, 422, "secret_refused");
    check(&responder, "/v1/findings/nonsense/close", &note, 400, "bad_finding_id");
    check(&responder, &other(id), &note, 405, "");
    for query in ["state=lost", "severity=huge", "rule=none", "token=x", "from=-1", "hours=2"] {
        let answer = server.get(&format!("/v1/findings?{query}"), &reader);
        assert_eq!(answer.status, 400, "{query} {}", answer.text());
    }
    // On its way.
    check(&responder, &path("/acknowledge"), &json!({}), 200, "");
    assert_eq!(server.get(&path(""), &reader).json()["state"], "acknowledged");
    check(&responder, &path("/acknowledge"), &json!({}), 409, "finding_moved");
    check(&responder, &path("/close"), &note, 200, "");
    check(&responder, &path("/close"), &note, 409, "finding_moved");
    let closed = server.get(&path(""), &reader).json();
    assert_eq!(closed["state"], "closed");
    assert_eq!(closed["moves"][1]["note"], note["note"], "{closed}");
    assert_eq!(settled(&server, &reader, "&state=open").len(), 2);
    assert_eq!(settled(&server, &reader, "&state=closed").len(), 1);
    assert_eq!(settled(&server, &reader, "&severity=critical").len(), 3);
    // Pages, and that they are of one tenant and question.
    let first = server.get("/v1/findings?limit=2", &reader).json();
    let page = first["next"].as_str().expect("another page");
    let second = server.get(&format!("/v1/findings?limit=2&page={page}"), &reader).json();
    assert_eq!(second["findings"][0]["id"], found[2]["id"]);
    let stray = server.get(&format!("/v1/findings?limit=2&state=open&page={page}"), &reader);
    assert_eq!(stray.code(), "bad_page");
    assert_eq!(server.get(&format!("/v1/findings?page={page}"), &theirs).code(), "bad_page");
    // The command line, and metrics.
    let id = found[1]["id"].as_str().expect("an id");
    let done = server.run(&responder, &["findings", "close", id, "--note", "known"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let table = stdout(&server.run(&reader, &["findings", "--state", "open"]));
    assert!(table.contains("refresh_reuse") && table.contains("eu:idp:jti:three"), "{table}");
    assert!(!table.contains("eu:idp:jti:two"), "{table}");
    let metrics = server.get("/metrics", &server.admin).text();
    let line = "ledgerline_findings_raised_total{rule=\"refresh_reuse\",severity=\"critical\"} 3";
    assert!(metrics.contains(line), "{metrics}");
}

/// How many findings a tenant sees.
fn settled_of_none(server: &Server, key: &str) -> usize {
    server.get("/v1/findings", key).json()["findings"].as_array().expect("a list").len()
}

/// The path of a finding that is not there.
fn other(id: &str) -> String {
    let turned: String = id.chars().rev().collect();
    format!("/v1/findings/{turned}")
}

#[test]
fn a_stream_tells_what_is_there_and_what_comes() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let server = server();
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let theirs = server.key("theirs", "idp", &["producer"]);
    let tell = |key: &str, name: &'static str| {
        tell(&server, key, &Story { name, events: theft(name), raised: Vec::new() });
    };
    tell(&key, "there");
    settled(&server, &reader, "");
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let open = |last: &str| {
        let mut line = std::net::TcpStream::connect(address).expect("a connection");
        line.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let request = format!(
            "GET /v1/findings?follow&severity=high HTTP/1.1\r\nHost: {address}\r\n\
             Authorization: Bearer {reader}\r\n{last}\r\n"
        );
        line.write_all(request.as_bytes()).expect("sent");
        BufReader::new(line).lines().map(|line| line.expect("a line within the time"))
    };
    let next = |mut lines: &mut dyn Iterator<Item = String>| {
        let id =
            Iterator::find_map(&mut lines, |line| line.strip_prefix("id: ").map(str::to_owned));
        let data =
            Iterator::find_map(&mut lines, |line| line.strip_prefix("data: ").map(str::to_owned));
        let data: Value = serde_json::from_str(&data.expect("data")).expect("JSON");
        (id.expect("an id"), data["token_id"].as_str().expect("a token").to_owned())
    };
    let mut lines = open("");
    let (first, about) = next(&mut lines);
    assert_eq!(about, token("there"));
    tell(&theirs, "of-others");
    tell(&key, "comes");
    assert_eq!(next(&mut lines).1, token("comes"));
    // Going on behind what was seen.
    let mut again = open(&format!("Last-Event-ID: {first}\r\n"));
    assert_eq!(next(&mut again).1, token("comes"));
}
