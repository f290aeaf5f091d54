//! Introspection, revocation and the feed over HTTP and on the command line: what each kind of
//! token is answered, who may ask, what a revocation ends, and that no token is written anywhere.

mod running;

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_proof::token_id::{from_presented, t1_value};
use ring::signature::{ED25519, UnparsedPublicKey};
use running::{Answer, Server, stderr, stdout};
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
const INACTIVE: &[u8] = br#"{"active":false}"#;

/// A bearer value that stands nowhere else.
fn raw(name: &str) -> String {
    format!("{name}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6")
}

fn id(name: &str) -> String {
    from_presented("eu", "idp", raw(name).as_bytes()).expect("long enough")
}

fn with(mut event: Value, more: &Value) -> Value {
    let members = event.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    event
}

fn event(kind: &str, name: &str, more: &Value) -> Value {
    let event = json!({
        "native_id": format!("{kind}-{name}"),
        "type": kind,
        "token_id": id(name),
        "occurred_at": "2026-01-02T03:04:05.678Z",
        "issuer": "idp",
    });
    with(event, more)
}

fn issued(name: &str, more: &Value) -> Value {
    let facts = json!({ "client_id": "web", "token_kind": "ACCESS", "scopes": ["read", "write"],
        "expires_at": "2096-01-01T00:00:00Z" });
    event("ISSUED", name, &with(facts, more))
}

fn call(server: &Server, path: &str, key: &str, form: &str) -> Answer {
    server.call("POST", path, Some(key), Some((FORM, form.as_bytes())))
}

fn introspect(server: &Server, key: &str, token: &str) -> Answer {
    call(server, "/oauth2/introspect", key, &format!("token={token}"))
}

fn is_active(server: &Server, key: &str, name: &str) -> bool {
    let answer = introspect(server, key, &raw(name));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["active"].as_bool().expect("active")
}

/// No file under `folder` has any of the values.
fn nowhere(folder: &Path, values: &[String]) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            nowhere(&path, values);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for value in values {
            let found = bytes.windows(value.len()).any(|window| window == value.as_bytes());
            assert!(!found, "{} holds a token", path.display());
        }
    }
}

#[test]
fn every_inactive_cause_gives_the_same_bytes() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let other = server.key("acme", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let past = json!({ "expires_at": "2026-01-02T04:00:00Z" });
    let waits = json!({ "activation": { "requires": ["mfa"] } });
    let ahead = json!({ "not_before": "2095-01-01T00:00:00Z" });
    let session = json!({ "session_id": "s-1" });
    let events = [
        issued("good", &json!({})),
        issued("expired", &past),
        issued("pending", &waits),
        issued("later", &ahead),
        issued("code", &json!({ "token_kind": "AUTH_CODE" })),
        issued("denied", &json!({ "outcome": "DENY" })),
        issued("revoked", &json!({})),
        event("REVOKED", "revoked", &json!({})),
        issued("held", &json!({})),
        event("SUSPENDED", "held", &json!({})),
        issued("replaced", &json!({})),
        event("ROTATED", "replaced", &json!({})),
        event("USED", "unborn", &json!({})),
        issued("covered", &session),
        json!({ "native_id": "wide", "type": "REVOKED", "issuer": "idp",
            "target": { "kind": "SESSION", "id": "eu:idp:s-1" },
            "occurred_at": "2026-01-02T03:05:00Z" }),
        with(issued("late", &session), &json!({ "occurred_at": "2026-01-02T03:06:00Z" })),
        // One token under two ids: what ends one ends the other.
        issued("twofold", &json!({})),
        with(
            issued("twofold", &json!({})),
            &json!({ "native_id": "twin", "issuer": "idp2",
            "token_id": id("twofold").replace(":idp:", ":idp2:") }),
        ),
        with(
            event("REVOKED", "twofold", &json!({})),
            &json!({ "native_id": "twin-end",
            "issuer": "idp2", "token_id": id("twofold").replace(":idp:", ":idp2:") }),
        ),
    ];
    server.record(&idp, &events);
    server.record(&other, &[issued("foreign", &json!({}))]);
    assert!(is_active(&server, &gateway, "good"));
    let causes = [
        "unknown", "expired", "pending", "later", "code", "denied", "revoked", "held", "replaced",
        "unborn", "covered", "late", "twofold", "foreign",
    ];
    let tokens = causes.map(raw).to_vec();
    let malformed = ["x", "%00%ff%fe", "a.b.c", "+", &id("good"), &"y".repeat(100_000)];
    let tokens = tokens.into_iter().chain(malformed.map(str::to_owned));
    for (round, token) in tokens.clone().chain(tokens).enumerate() {
        let answer = introspect(&server, &gateway, &token);
        let cause = &token[..token.len().min(20)];
        assert_eq!((answer.status, &*answer.body), (200, INACTIVE), "{round} {cause}");
        assert_eq!(answer.media_type, "application/json", "{cause}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{cause}");
    }
    let narrow = json!({ "tenant": "", "source": "gw2", "roles": ["resource_server"],
        "issuers": ["elsewhere"] });
    let narrow = server.post("/v1/keys", &server.admin, &narrow).json();
    let answer = introspect(&server, narrow["secret"].as_str().expect("a key"), &raw("good"));
    assert_eq!(answer.body, INACTIVE, "the grant covers another issuer");
}

#[test]
fn an_active_token_is_described_as_far_as_the_caller_may_know() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let reader = server.key("", "portal", &["resource_server", "reader"]);
    let facts = json!({ "audience": ["https://api.test"], "not_before": "2026-01-02T03:04:05Z",
        "issued_at": "2026-01-02T03:04:05Z",
        "personal": [{ "role": "SUBJECT", "user_id": "alice" }] });
    let named = with(
        issued("named", &facts),
        &json!({ "token_id": "eu:idp:jti:4f0c",
        "client_id": "eu:idp:web", "also_known_as": [id("named")] }),
    );
    server.record(&idp, &[named]);
    let expected = json!({ "active": true, "scope": "read write", "client_id": "web",
        "token_type": "Bearer", "exp": 3_976_214_400_u64, "iat": 1_767_323_045,
        "nbf": 1_767_323_045, "aud": "https://api.test", "jti": "4f0c" });
    let check = |key: &str, more: &str, expected: &Value| {
        let form = format!("token={}{more}", raw("named"));
        let answer = call(&server, "/oauth2/introspect", key, &form);
        assert_eq!((answer.status, &answer.json()), (200, expected), "{more}");
        assert_eq!(answer.headers["cache-control"], "no-store");
    };
    check(&gateway, "", &expected);
    for hint in ["access_token", "refresh_token", "anything", ""] {
        check(&gateway, &format!("&token_type_hint={hint}&unknown=1"), &expected);
    }
    let request = json!({ "kind": "PERSON", "issuer": "idp", "value": "alice" });
    let handle = server.post("/v1/resolve", &server.admin, &request).json()["handle"].clone();
    assert!(handle.is_string());
    check(&reader, "", &with(expected, &json!({ "sub": handle })));
}

#[test]
fn what_is_wrong_with_a_request_is_said_as_rfc_6749_has_it() {
    let server = Server::start();
    let gateway = server.key("", "gateway", &["resource_server"]);
    let reader = server.key("", "portal", &["reader"]);
    let client = server.key("", "web", &["client"]);
    let token = format!("token={}", raw("any"));
    let check = |(path, key, media_type, body): (&str, &str, &str, &str), expected: (u16, &str)| {
        let key = (!key.is_empty()).then_some(key);
        let answer = server.call("POST", path, key, Some((media_type, body.as_bytes())));
        let found = answer.json();
        let found = (answer.status, found["error"].as_str().expect("an error"));
        assert_eq!(found, expected, "{path} {media_type} {}", &body[..body.len().min(40)]);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!answer.text().contains(&raw("any")), "a refusal repeats the token");
        assert_eq!(answer.status == 401, answer.headers.contains_key("www-authenticate"));
    };
    let (bad, stranger) = ((400, "invalid_request"), (401, "invalid_client"));
    for (path, key) in [("/oauth2/introspect", &gateway), ("/oauth2/revoke", &client)] {
        let twice = format!("{token}&{token}");
        let hints = format!("{token}&token_type_hint=a&token_type_hint=b");
        for body in ["", "token=", "tokn=x", &twice, &hints] {
            check((path, key, FORM, body), bad);
        }
        check((path, key, "application/json", "{\"token\":\"x\"}"), bad);
        check((&format!("{path}?{token}"), key, FORM, &token), bad);
        let too_long = format!("token={}", "x".repeat(200 << 10));
        check((path, key, FORM, &too_long), (413, "invalid_request"));
        for key in ["", "llk_none_nothing", &reader] {
            check((path, key, FORM, &token), stranger);
        }
    }
    check(("/oauth2/introspect", &client, FORM, &token), stranger);
    check(("/oauth2/revoke", &gateway, FORM, &token), stranger);
    check(("/oauth2/revoke", &client, FORM, &format!("{token}&dry_run=true")), bad);
    assert_eq!(server.get("/oauth2/introspect", &gateway).status, 405);
}

/// A refresh token with a sibling of its grant, a child, and a token of another client.
fn family(server: &Server) -> String {
    let idp = server.key("", "idp", &["producer"]);
    let grant = json!({ "grant_id": "g-1" });
    let refresh = json!({ "grant_id": "g-1", "token_kind": "REFRESH" });
    let child = |parent: &str, relation: &str| {
        json!({ "links": [{ "token_id": id(parent), "relation": relation,
            "strength": "ASSERTED" }] })
    };
    let events = [
        issued("refresh", &refresh),
        issued("sibling", &grant),
        issued("child", &child("refresh", "REFRESHED_FROM")),
        issued("exchanged", &with(child("child", "EXCHANGED_FROM"), &json!({ "client_id": "b" }))),
        issued("bystander", &json!({})),
        issued("other", &json!({ "client_id": "desktop", "grant_id": "g-2" })),
        issued("identity", &json!({ "token_kind": "ID" })),
    ];
    server.record(&idp, &events);
    idp
}

const FAMILY: [&str; 4] = ["refresh", "sibling", "child", "exchanged"];

#[test]
fn a_revocation_ends_the_family_and_outlives_the_process() {
    let mut server = Server::start();
    family(&server);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let web = server.key("", "web", &["client"]);
    let responder = server.key("", "soc", &["responder"]);
    let all_active = |server: &Server, names: &[&str], expected: bool| {
        for name in names {
            assert_eq!(is_active(server, &gateway, name), expected, "{name}");
        }
    };
    let everybody = ["refresh", "sibling", "child", "exchanged", "bystander", "other"];
    all_active(&server, &everybody, true);
    // An ID token opens no resource.
    all_active(&server, &["identity"], false);
    let revoke = |server: &Server, key: &str, name: &str, more: &str| {
        call(server, "/oauth2/revoke", key, &format!("token={}{more}", raw(name)))
    };
    for (name, error) in [("other", "invalid_grant"), ("identity", "unsupported_token_type")] {
        let answer = revoke(&server, &web, name, "");
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some(error)));
    }
    let mut ids = FAMILY.map(id).to_vec();
    ids.sort();
    let preview = revoke(&server, &responder, "refresh", "&dry_run=true").json();
    let mut planned: Vec<_> =
        preview["to_revoke"].as_array().expect("ids").iter().map(|id| id.as_str()).collect();
    planned.sort_unstable();
    assert_eq!(planned, ids.iter().map(|id| Some(id.as_str())).collect::<Vec<_>>());
    assert_eq!(preview["revoked"], 0);
    all_active(&server, &everybody, true);
    for name in ["unknown", "refresh", "refresh"] {
        let answer = revoke(&server, &web, name, "&token_type_hint=access_token");
        assert_eq!((answer.status, &*answer.body), (200, &b""[..]), "{name}");
    }
    all_active(&server, &FAMILY, false);
    all_active(&server, &everybody[4..], true);
    server.kill_nine();
    server.reap();
    server.go();
    all_active(&server, &FAMILY, false);
    all_active(&server, &everybody[4..], true);
    let life = |name: &str| {
        let path = format!("/v1/tokens/{}/events", id(name));
        let events = server.get(&path, &responder).json()["events"].clone();
        let events = events.as_array().expect("events").iter();
        events.map(|event| event["statement"].clone()).collect::<Vec<_>>()
    };
    let end = |name: &str| life(name).into_iter().find(|event| event["type"] == "REVOKED");
    assert_eq!(end("refresh").expect("an end")["reason"], "user");
    let child = end("exchanged").expect("an end");
    assert_eq!(child["reason"], "parent_revoked");
    assert_eq!(child["links"][0]["token_id"], id("refresh").as_str(), "{child}");
    let told = revoke(&server, &responder, "other", "").json();
    assert_eq!((&told["revoked"], &told["issuer"]), (&json!(1), &json!("not told")));
    all_active(&server, &["other"], false);
    let values: Vec<String> = everybody.iter().map(|name| raw(name)).collect();
    server.stop();
    nowhere(server.folder.path(), &values);
}

#[test]
fn what_is_remembered_is_never_older_than_what_was_acknowledged() {
    let server = Server::start();
    let idp = family(&server);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let step = |kind: &str, n: usize, more: Value| {
        let more = with(json!({ "native_id": format!("{kind}-{n}") }), &more);
        server.record(&idp, &[event(kind, "bystander", &more)]);
    };
    for n in 0..20 {
        assert!(is_active(&server, &gateway, "bystander"), "{n}");
        step("SUSPENDED", n, json!({}));
        assert!(!is_active(&server, &gateway, "bystander"), "{n}");
        step("USED", n, json!({ "outcome": "DENY" }));
        step("REINSTATED", n, json!({}));
    }
    assert!(is_active(&server, &gateway, "bystander"));
    // Another name for it, and the end of that name.
    step("USED", 99, json!({ "also_known_as": ["eu:idp:jti:alias"] }));
    assert!(is_active(&server, &gateway, "bystander"));
    step("REVOKED", 99, json!({ "token_id": "eu:idp:jti:alias" }));
    assert!(!is_active(&server, &gateway, "bystander"));
    // Something wider, with a selector.
    let wide = |n: usize, client: &str| {
        json!({ "native_id": format!("wide-{n}"), "type": "REVOKED", "issuer": "idp",
            "target": { "kind": "GRANT", "id": "eu:idp:g-2" }, "selector": { "client": client },
            "occurred_at": "2026-01-02T03:05:00Z" })
    };
    assert!(is_active(&server, &gateway, "other"));
    server.record(&idp, &[wide(1, "web")]);
    assert!(is_active(&server, &gateway, "other"));
    server.record(&idp, &[wide(2, "desktop")]);
    assert!(!is_active(&server, &gateway, "other"));
}

#[test]
fn uses_are_recorded_together_also_at_the_end() {
    let mut server = Server::start_with(&["--introspection-window-ms", "3600000"]);
    family(&server);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let second = server.key("", "gateway2", &["resource_server"]);
    let reader = server.key("", "portal", &["reader"]);
    for _ in 0..5 {
        assert!(is_active(&server, &gateway, "child"));
    }
    assert!(is_active(&server, &second, "child"));
    let admin = server.admin.clone();
    assert_eq!(
        server
            .post(
                &format!("/v1/tokens/{}/blast-radius", id("child")),
                &admin,
                &json!({ "reason": "admin" })
            )
            .status,
        200
    );
    assert!(!is_active(&server, &gateway, "child"));
    assert!(!is_active(&server, &gateway, "unknown"));
    let uses = |server: &Server| -> Vec<(String, String, u64)> {
        let path = format!("/v1/tokens/{}/events", id("child"));
        let events = server.get(&path, &reader).json()["events"].clone();
        let statements = events.as_array().expect("events").iter().map(|one| &one["statement"]);
        let used = statements.filter(|statement| statement["type"] == "USED");
        let mut list: Vec<_> = used
            .map(|one| {
                assert_eq!(one["vantage"], "INTROSPECTION", "{one}");
                assert!(one["last_at"].as_str() >= one["effective_at"].as_str(), "{one}");
                let text = |name: &str| one[name].as_str().expect(name).to_owned();
                (text("source"), text("outcome"), one["count"].as_u64().expect("a count"))
            })
            .collect();
        list.sort();
        list
    };
    assert!(uses(&server).is_empty(), "before the window ends");
    assert_eq!(server.stop(), Some(0));
    server.go();
    let of = |source: &str, outcome: &str, n: u64| (source.to_owned(), outcome.to_owned(), n);
    let expected =
        [of("gateway", "ALLOW", 5), of("gateway", "DENY", 1), of("gateway2", "ALLOW", 1)];
    assert_eq!(uses(&server), expected);
}

/// USED events of a token: count, first and last use.
fn uses_of(server: &Server, reader: &str, name: &str) -> Vec<(u64, String, String)> {
    let path = format!("/v1/tokens/{}/events?limit=500", id(name));
    let events = server.get(&path, reader).json()["events"].clone();
    let statements = events.as_array().expect("events").iter().map(|one| &one["statement"]);
    let used = statements.filter(|statement| statement["type"] == "USED");
    let text = |one: &Value, name: &str| one[name].as_str().expect(name).to_owned();
    used.map(|one| {
        let count = one["count"].as_u64().expect("a count");
        (count, text(one, "effective_at"), text(one, "last_at"))
    })
    .collect()
}

#[test]
fn each_window_begins_with_its_first_use_and_none_is_lost() {
    let server = Server::start_with(&["--introspection-window-ms", "400"]);
    family(&server);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let reader = server.key("", "portal", &["reader"]);
    let begun = Instant::now();
    let mut asked = [("child", 0), ("sibling", 0)];
    while begun.elapsed() < Duration::from_secs(2) {
        for (n, (name, count)) in asked.iter_mut().enumerate() {
            // The second begins in the middle of the first one's window.
            if n == 0 || begun.elapsed() > Duration::from_millis(200) {
                assert!(is_active(&server, &gateway, name));
                *count += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for (name, count) in asked {
        let until = Instant::now() + Duration::from_secs(20);
        let found = loop {
            let found = uses_of(&server, &reader, name);
            if found.iter().map(|(count, ..)| count).sum::<u64>() >= count {
                break found;
            }
            assert!(Instant::now() < until, "{name}: {count} uses, recorded {found:?}");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(found.iter().map(|(count, ..)| count).sum::<u64>(), count, "{found:?}");
        assert!(found.len() >= 2 && (found.len() as u64) < count, "{found:?}");
        // Windows follow each other: none begins before the one before it ended.
        for pair in found.windows(2) {
            assert!(pair[0].1 <= pair[0].2 && pair[0].2 < pair[1].1, "{pair:?}");
        }
    }
}

#[test]
fn answers_at_hand_are_those_that_are_worked_out() {
    let server = Server::start_with(&["--introspection-window-ms", "50"]);
    let idp = family(&server);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let responder = server.key("", "soc", &["responder"]);
    let names = ["refresh", "sibling", "child", "exchanged", "bystander", "other"];
    let tokens: Vec<Value> = names
        .iter()
        .map(|name| json!({ "digest": t1_value(raw(name).as_bytes()).expect("long enough") }))
        .collect();
    let wide = |n: usize, kind: &str, target: &str, selector: Value| {
        json!({ "native_id": format!("wide-{n}"), "type": "REVOKED", "issuer": "idp",
            "target": { "kind": kind, "id": target }, "selector": selector,
            "occurred_at": "2026-01-02T03:05:00Z" })
    };
    // Numbers without order, the same in every run.
    let mut random = 0x9e37_79b9_u64;
    let mut pick = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        usize::try_from(random >> 33).expect("31 bits") % below
    };
    for n in 0..120 {
        let name = names[pick(names.len())];
        let more = json!({ "native_id": format!("step-{n}") });
        let event = match pick(12) {
            0..3 => event("SUSPENDED", name, &more),
            3..7 => event("REINSTATED", name, &more),
            7 => event("USED", name, &more),
            8 => {
                with(event("USED", name, &more), &json!({ "also_known_as": [id(names[pick(6)])] }))
            }
            9 if n > 60 => event("REVOKED", name, &more),
            10 if n > 90 => wide(n, "GRANT", "eu:idp:g-2", json!({})),
            _ => with(event("RESOURCE_ACCESSED", name, &more), &json!({ "resource": "/a/b" })),
        };
        server.record(&idp, &[event]);
        let expected = server.post("/v1/triage", &responder, &json!({ "tokens": tokens })).json();
        let expected = expected["tokens"].as_array().expect("tokens").clone();
        for (name, expected) in names.iter().zip(&expected) {
            assert_eq!(expected["status"], "known", "{expected}");
            let found = is_active(&server, &gateway, name);
            assert_eq!(Some(found), expected["alive"].as_bool(), "step {n}, {name}: {expected}");
        }
    }
}

#[test]
fn gateways_follow_the_revocations_of_their_tenant() {
    let server = Server::start();
    let idp = family(&server);
    let other = server.key("acme", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let foreign = server.key("acme", "gateway", &["resource_server"]);
    let page = |key: &str, query: &str| {
        let answer = server.get(&format!("/v1/revocations?{query}"), key);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let names = |page: &Value| -> Vec<String> {
        let list = page["revocations"].as_array().expect("a list").iter();
        list.map(|one| one["target"]["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert!(names(&page(&gateway, "since=0")).is_empty());
    let wide = json!({ "native_id": "wide", "type": "REVOKED", "issuer": "idp",
        "target": { "kind": "SESSION", "id": "eu:idp:s-1" }, "selector": { "client": "web" },
        "occurred_at": "2026-01-02T03:05:00Z" });
    let refused = event("REVOKED", "bystander", &json!({ "outcome": "DENY" }));
    server.record(&idp, &[event("REVOKED", "child", &json!({})), refused, wide]);
    server.record(&other, &[event("REVOKED", "foreign", &json!({}))]);
    let whole = page(&gateway, "");
    assert_eq!(names(&whole), [id("child"), "eu:idp:s-1".to_owned()]);
    assert_eq!(whole["revocations"][1]["selector"]["client"], "web");
    assert_eq!(names(&page(&foreign, "")), [id("foreign")]);
    let (mut since, mut found) = (0, Vec::new());
    loop {
        let part = page(&gateway, &format!("since={since}&limit=1"));
        found.extend(names(&part));
        since = part["next"].as_u64().expect("a position");
        if part["more"] == false {
            break;
        }
    }
    assert_eq!(found, names(&whole));
    let begun = Instant::now();
    let waited = std::thread::scope(|scope| {
        let wait = scope.spawn(|| page(&gateway, &format!("since={since}&wait=20")));
        std::thread::sleep(Duration::from_millis(300));
        server.record(&other, &[event("REVOKED", "foreign2", &json!({}))]);
        std::thread::sleep(Duration::from_millis(200));
        server.record(&idp, &[event("REVOKED", "sibling", &json!({}))]);
        wait.join().expect("an answer")
    });
    assert_eq!(names(&waited), [id("sibling")]);
    assert!(begun.elapsed() < Duration::from_secs(15), "it waited to the end");
    for query in ["since=x", "since=99999999", "limit=0", "limit=1001", "wait=61", "stray=1"] {
        let answer = server.get(&format!("/v1/revocations?{query}"), &gateway);
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(server.get("/v1/revocations?tenant=acme", &gateway).status, 404);
    assert_eq!(server.get("/v1/revocations", &idp).status, 403);
}

#[test]
fn the_commands_take_tokens_from_standard_input_only() {
    let server = Server::start();
    family(&server);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let responder = server.key("", "soc", &["responder"]);
    let child = raw("child");
    for command in ["introspect", "revoke"] {
        let refused = server.run(&gateway, &[command, &child]);
        assert_eq!(refused.status.code(), Some(64));
        assert!(stderr(&refused).contains("it is in your shell history now; use `-`"));
        assert!(!stderr(&refused).contains(&child));
    }
    let ask = || {
        let output =
            server.run_with(&gateway, &["introspect", "-o", "json", "-"], child.as_bytes());
        // A resource server is not told whether an inactive token is known.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
        let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        answer["active"].clone()
    };
    assert_eq!(ask(), true);
    let revoke = |args: &[&str], input: &str| {
        let output = server.run_with(&responder, args, input.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let (exchanged, of) = (id("exchanged"), id("child"));
    for text in
        [revoke(&["revoke", "--dry-run", "-"], &child), revoke(&["revoke", "--dry-run", &of], "")]
    {
        assert!(text.contains("would revoke 2 of 2") && text.contains(&exchanged), "{text}");
    }
    assert_eq!(ask(), true);
    assert!(revoke(&["revoke", "-"], &child).contains("revoked 2 of 2"));
    assert_eq!(ask(), false);
    assert!(revoke(&["revoke", &id("bystander")], "").contains("revoked 1 of 1"));
    assert!(!is_active(&server, &gateway, "bystander"));
    let strange = server.run_with(&responder, &["introspect", "-"], child.as_bytes());
    assert_eq!(strange.status.code(), Some(0), "{}", stderr(&strange));
    let told = stdout(&strange);
    assert!(told.contains("REVOKED") && told.contains("known"), "{told}");
    assert_eq!(t1_value(child.as_bytes()).expect("long enough"), of["eu:idp:t1:".len()..]);
}

const JWT: &str = "application/token-introspection+jwt";

/// Header and claims of a JWT that one of the published keys signed.
fn opened(token: &str, jwks: &Value) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts: {token}") };
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).expect("JSON");
    let head = json(header);
    let keys = jwks["keys"].as_array().expect("keys");
    let key = keys.iter().find(|key| key["kid"] == head["kid"]).expect("a published key");
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert_eq!(key.get("d"), None, "the secret half");
    let public = bytes(key["x"].as_str().expect("x"));
    let key = UnparsedPublicKey::new(&ED25519, public);
    let input = &token[..header.len() + 1 + claims.len()];
    key.verify(input.as_bytes(), &bytes(signature)).expect("a sound signature");
    (head, json(claims))
}

#[test]
fn answers_are_signed_for_who_asks_for_it() {
    let mut server = Server::start_with(&["--introspection-issuer", "https://ledger.test"]);
    family(&server);
    let request = json!({ "source": "gateway", "roles": ["resource_server"] });
    let key = server.post("/v1/keys", &server.admin, &request).json();
    let gateway = key["secret"].as_str().expect("a secret").to_owned();
    let ask = |server: &Server, accept: &str, body: &str| {
        let body = Some((FORM, body.as_bytes()));
        let headers = [("accept", accept)];
        server.call_with("POST", "/oauth2/introspect", Some(&gateway), body, &headers)
    };
    let jwks = |server: &Server| {
        let answer = server.call("GET", "/oauth2/jwks", None, None);
        assert_eq!((answer.status, &*answer.media_type), (200, "application/jwk-set+json"));
        answer.json()
    };
    let check = |server: &Server, name: &str| {
        let form = format!("token={}", raw(name));
        let plain = ask(server, "application/json", &form);
        assert_eq!(plain.media_type, "application/json");
        let signed = ask(server, JWT, &form);
        assert_eq!((signed.status, &*signed.media_type), (200, JWT));
        assert_eq!(signed.headers["cache-control"], "no-store");
        let (header, claims) = opened(&signed.text(), &jwks(server));
        assert_eq!(header["typ"], "token-introspection+jwt");
        assert_eq!(claims["token_introspection"], plain.json());
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&json!("https://ledger.test"), &key["key_id"])
        );
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        assert!(claims["iat"].as_u64().expect("iat").abs_diff(now) < 60);
        assert_eq!(claims.as_object().expect("claims").len(), 4, "no sub, no exp: {claims}");
        claims["token_introspection"].clone()
    };
    assert_eq!(check(&server, "child")["active"], true);
    assert_eq!(check(&server, "unknown"), json!({ "active": false }));
    // Refusals stay JSON.
    let refused = ask(&server, JWT, "tokn=x");
    assert_eq!((refused.status, &*refused.media_type), (400, "application/json"));
    let before = jwks(&server);
    server.kill_nine();
    server.reap();
    server.go();
    assert_eq!(jwks(&server), before, "the key stays");
    std::fs::remove_file(server.path("data.keys/answers.key")).expect("a file of its own");
    assert_eq!(server.stop(), Some(0));
    server.go();
    assert_ne!(jwks(&server), before, "a lost one is made anew");
    assert_eq!(check(&server, "child")["active"], true);
}

/// They were dropped with a line in the log, and the mark that tells of a loss went with them.
#[test]
fn uses_that_came_due_while_intake_was_paused_were_thrown_away() {
    let mut server = Server::start_with(&["--introspection-window-ms", "300"]);
    family(&server);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let reader = server.key("", "portal", &["reader"]);
    // The file that the head store writes beside the old one cannot be opened.
    let in_the_way = server.path("data.head").join("checkpoint.new");
    std::fs::create_dir(&in_the_way).expect("a folder in the way");
    let admin = server.admin.clone();
    let until = |what: &str, fits: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(20);
        while !fits() {
            assert!(Instant::now() < end, "never {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let is_paused = |n: usize| {
        let event = event("USED", "sibling", &json!({ "native_id": format!("p{n}") }));
        server.post("/v1/events", &admin, &json!([event])).status == 503
    };
    let tried = std::cell::Cell::new(0);
    until("paused", &|| is_paused(tried.replace(tried.get() + 1)));
    for _ in 0..3 {
        assert!(is_active(&server, &gateway, "child"), "who asks is answered");
    }
    // Several windows pass.
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(uses_of(&server, &reader, "child").is_empty(), "nothing is recorded now");
    assert!(server.path("data/followers/uses").exists(), "a crash now loses them");
    std::fs::remove_dir(&in_the_way).expect("it is out of the way");
    let count = || uses_of(&server, &reader, "child").iter().map(|one| one.0).sum::<u64>();
    until("recorded", &|| count() == 3);
    until("settled", &|| !server.path("data/followers/uses").exists());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn uses_that_a_crash_may_have_swallowed_are_a_finding() {
    let mut server = Server::start_with(&["--introspection-window-ms", "3600000"]);
    let other = server.key("acme", "idp", &["producer"]);
    family(&server);
    server.record(&other, &[issued("child", &json!({}))]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let foreign = server.key("acme", "gateway", &["resource_server"]);
    let reader = server.key("", "portal", &["reader"]);
    let stranger = server.key("acme", "portal", &["reader"]);
    let gaps = |server: &Server, key: &str| -> Vec<Value> {
        let answer = server.get("/v1/findings?rule=source_gap", key);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["findings"].as_array().expect("findings").clone()
    };
    let crash = |server: &mut Server| {
        server.kill_nine();
        server.reap();
        server.go();
    };
    crash(&mut server);
    assert!(gaps(&server, &reader).is_empty(), "nobody had introspected");
    assert!(!is_active(&server, &gateway, "unknown"));
    crash(&mut server);
    assert!(gaps(&server, &reader).is_empty(), "of unknown tokens no use is recorded");
    let before = now_text();
    assert!(is_active(&server, &gateway, "child"));
    let after = now_text();
    crash(&mut server);
    let found = gaps(&server, &reader);
    assert_eq!(found.len(), 1, "{found:?}");
    let missing = &found[0]["missing"];
    let part = |name: &str| missing[name].as_str().expect(name).to_owned();
    assert!(before <= part("from") && part("from") <= after && after <= part("to"), "{missing}");
    assert_eq!((&missing["window_ms"], &found[0]["state"]), (&json!(3_600_000), &json!("open")));
    assert_eq!((&found[0]["severity"], &found[0]["token_id"]), (&json!("medium"), &Value::Null));
    assert!(gaps(&server, &stranger).is_empty(), "another tenant had no introspection");
    let listed = server.run(&reader, &["findings"]);
    assert!(stdout(&listed).contains("source_gap"), "{}", stdout(&listed));
    crash(&mut server);
    assert_eq!(gaps(&server, &reader).len(), 1, "told once");
    assert!(is_active(&server, &gateway, "child") && is_active(&server, &foreign, "child"));
    assert_eq!(server.stop(), Some(0));
    server.go();
    assert_eq!(gaps(&server, &reader).len(), 1, "a clean stop loses nothing");
    assert!(is_active(&server, &foreign, "child"));
    crash(&mut server);
    assert_eq!((gaps(&server, &reader).len(), gaps(&server, &stranger).len()), (1, 1));
    // What was recorded before the crash is not missing.
    server.stop();
    server.set_flags(&["--introspection-window-ms", "100"]);
    server.go();
    assert!(is_active(&server, &gateway, "sibling"));
    let until = Instant::now() + Duration::from_secs(10);
    while server.path("data/followers/uses").exists() {
        assert!(Instant::now() < until, "the mark stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    crash(&mut server);
    assert_eq!(gaps(&server, &reader).len(), 1);
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data");
    let verified = server.run("", &["verify", "--data", data.to_str().expect("UTF-8")]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
}

/// The time, as answers write it.
fn now_text() -> String {
    use ledgerline_world::clock::{Clock as _, SystemClock};
    ledgerline_api::time_text::rfc3339(SystemClock::default().wall_nanos())
}
