//! The server under attack from inside: every route by who may not call it, every thing of one
//! tenant asked for by another, and requests that nobody should send.
//!
//! One table of requests ([`asks`]) has every route of the OpenAPI document, or the tests fail.

mod running;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::hash::sha256;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Statement, Target};
use ledgerline_proof::token_id::{from_presented, t1_value};
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};
use running::{Answer, Server};
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const ROLES: [&str; 8] =
    ["producer", "reader", "auditor", "privacy", "responder", "resource_server", "client", "admin"];

/// What the things of one tenant are called.
#[derive(Clone)]
struct Names {
    /// In every name that somebody chose.
    word: &'static str,
    /// Who tells of them.
    source: &'static str,
    /// The bearer value, its id and its digest.
    raw: String,
    token: String,
    digest: String,
    handle: String,
    event_id: String,
    attachment: String,
    finding: String,
    key_id: String,
    signer: String,
}

impl Names {
    /// Names of nothing, until something is recorded under them.
    fn of(word: &'static str) -> Self {
        let raw = format!("{word}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6");
        let hex = sha256(word.as_bytes()).to_hex();
        Self {
            word,
            source: word,
            token: from_presented("eu", word, raw.as_bytes()).expect("long enough"),
            digest: t1_value(raw.as_bytes()).expect("long enough"),
            raw,
            handle: hex[..32].to_owned(),
            event_id: format!("01932f6e-0000-7000-8000-{}", &hex[..12]),
            attachment: format!("sha256:{}", sha256(snapshot(word).as_bytes()).to_hex()),
            finding: hex.clone(),
            key_id: format!("k{}", &hex[..12]),
            signer: format!("{word}-signer"),
        }
    }

    /// A text with all of these names taken out.
    fn taken_out_of(&self, text: &str) -> String {
        let names = [
            &self.raw,
            &self.token,
            &self.digest,
            &self.handle,
            &self.event_id,
            &self.attachment,
            &self.attachment[7..].to_owned(),
            &self.finding,
            &self.key_id,
            &self.signer,
            &self.word.to_owned(),
        ];
        names.iter().fold(text.to_owned(), |text, name| text.replace(name.as_str(), "NAME"))
    }
}

fn snapshot(word: &str) -> String {
    format!(r#"{{"scopes":["{word}"]}}"#)
}

/// A request, and the route it is for.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    route: &'static str,
    path: String,
    body: Option<(&'static str, String)>,
}

impl Ask {
    fn send(&self, server: &Server, key: Option<&str>) -> Answer {
        let body = self.body.as_ref().map(|(media, text)| (*media, text.as_bytes()));
        server.call(self.method, &self.path, key, body)
    }

    fn of_tenant(mut self, tenant: &str) -> Self {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        match &mut self.body {
            None => self.path = format!("{}{separator}tenant={tenant}", self.path),
            Some((JSON, text)) => {
                let mut body: Value = serde_json::from_str(text).expect("JSON");
                if let Some(members) = body.as_object_mut() {
                    members.insert("tenant".into(), tenant.into());
                }
                *text = body.to_string();
            }
            Some(_) => {}
        }
        self
    }
}

fn get(route: &'static str, path: impl Into<String>) -> Ask {
    Ask { method: "GET", route, path: path.into(), body: None }
}

fn post(route: &'static str, path: impl Into<String>, body: &Value) -> Ask {
    Ask { method: "POST", route, path: path.into(), body: Some((JSON, body.to_string())) }
}

fn form(route: &'static str, body: String) -> Ask {
    Ask { method: "POST", route, path: route.into(), body: Some((FORM, body)) }
}

/// Questions that only read.
fn reads(names: &Names) -> Vec<Ask> {
    let Names { word, token, handle, event_id, .. } = names;
    let mut list = Vec::new();
    for (route, ends) in [
        ("/v1/tokens/{id}", &["", "?as_of=9", "?at=2026-03-01T00:00:00Z"][..]),
        ("/v1/tokens/{id}/events", &["", "?limit=1", "?page=0"]),
        ("/v1/tokens/{id}/proof", &[""]),
        (
            "/v1/tokens/{id}/lineage",
            &[
                "",
                "?direction=family&strength=joined",
                "?direction=ancestors",
                "?proof=true",
                "?as_of=2026-01-01T00:00:00Z",
            ],
        ),
        ("/v1/tokens/{id}/resources", &["", "?of=grant&limit=1&from=birth&until=end"]),
        ("/v1/tokens/{id}/policies", &["", "?proof=true"]),
        ("/v1/tokens/{id}/divergence", &[""]),
        ("/v1/tokens/{id}/exposure", &[""]),
        ("/v1/tokens/{id}/after-revoke", &["", "?proof=true"]),
        ("/v1/tokens/{id}/blast-radius", &["", "?strength=joined", "?proof=true"]),
    ] {
        let path = route.replace("{id}", token);
        list.extend(ends.iter().map(|end| get(route, format!("{path}{end}"))));
    }
    let path = format!("/v1/tokens/{token}/lineage?direction=path&to=eu:{word}:jti:child");
    list.push(get("/v1/tokens/{id}/lineage", path));
    let event = format!("/v1/events/{}/{event_id}", names.source);
    list.push(get("/v1/events/{source}/{event_id}", event.as_str()));
    list.push(get("/v1/events/{source}/{event_id}/proof", format!("{event}/proof")));
    list.push(get("/v1/events/{source}/{event_id}/why", format!("{event}/why")));
    for (route, value) in [
        ("/v1/subjects/{handle}/tokens", handle.clone()),
        ("/v1/clients/{id}/tokens", format!("{word}-client")),
        ("/v1/sessions/{id}/tokens", format!("{word}-session")),
        ("/v1/grants/{id}/tokens", format!("{word}-grant")),
        ("/v1/issuers/{id}/tokens", format!("eu:{word}")),
        ("/v1/resources/{id}/tokens", format!("%2F{word}%2Freports")),
        ("/v1/resources/{id}/tokens", handle.clone()),
    ] {
        let path = route.replace("{handle}", &value).replace("{id}", &value);
        list.push(get(route, format!("{path}?limit=1")));
        list.push(get(route, format!("{path}?proof=true&as_of=3")));
        list.push(get(route, path));
    }
    let path = format!("/v1/subjects/{handle}/policy-changes?hours=1000000");
    list.push(get("/v1/subjects/{handle}/policy-changes", path));
    let path = format!("/v1/policies/{word}-policy/versions");
    list.push(get("/v1/policies/{id}/versions", path));
    for (kind, value) in [
        ("handle", handle.clone()),
        ("client", format!("{word}-client")),
        ("session", format!("eu:{word}:{word}-session")),
        ("grant", format!("{word}-grant")),
        ("key", format!("{word}-cnf")),
        ("key", names.key_id.clone()),
    ] {
        list.push(get("/v1/pivot", format!("/v1/pivot?kind={kind}&value={value}")));
    }
    let path = format!("/v1/attachments/{}", names.attachment);
    list.push(get("/v1/attachments/{digest}", path));
    list.push(get("/v1/findings", format!("/v1/findings?token={token}")));
    list.push(get("/v1/findings/{id}", format!("/v1/findings/{}", names.finding)));
    list
}

/// Reads that name nothing.
fn lists() -> Vec<Ask> {
    let after = "/v1/after-revoke?from=2026-01-01T00:00:00Z&until=2096-01-01T00:00:00Z";
    vec![
        get("/v1/after-revoke", after),
        get("/v1/findings", "/v1/findings"),
        get("/v1/findings", "/v1/findings?proof=true"),
        get("/v1/revocations", "/v1/revocations"),
        get("/v1/sources", "/v1/sources"),
        get("/v1/issuers", "/v1/issuers"),
        get("/v1/keys", "/v1/keys"),
        get("/v1/blocks", "/v1/blocks"),
        get("/v1/verify-reports", "/v1/verify-reports"),
        get("/v1/write-accesses", "/v1/write-accesses"),
        get("/v1/status", "/v1/status"),
        get("/metrics", "/metrics"),
        get("/openapi.json", "/openapi.json"),
        get("/v1/leaves/{index}", "/v1/leaves/9"),
        get("/tile/{path}", "/tile/entries/000"),
        get("/tile/{path}", "/tile/0/000.p/1"),
        get("/oauth2/jwks", "/oauth2/jwks"),
        get("/checkpoint", "/checkpoint"),
        get("/healthz", "/healthz"),
        get("/readyz", "/readyz"),
        get("/", "/"),
        get("/docs", "/docs"),
    ]
}

/// What may change something.
fn acts(names: &Names) -> Vec<Ask> {
    let Names { word, token, raw, .. } = names;
    let blast = "/v1/tokens/{id}/blast-radius";
    let path = blast.replace("{id}", token);
    let table = |record: bool, usable: bool| {
        json!({ "region": "eu", "issuer": word, "taken_at": "2026-01-05T00:00:00Z",
            "record": record, "tokens": [{ "token_id": token, "usable": usable },
                { "token_id": format!("eu:{word}:jti:child"), "usable": usable }] })
    };
    let compare = "/v1/reconciliations";
    let finding = |end: &str| format!("/v1/findings/{}/{end}", names.finding);
    let note = json!({ "note": "looked at" });
    let person = json!({ "kind": "PERSON", "issuer": word, "value": format!("{word}-alice") });
    let erase = json!({ "handle": names.handle, "purpose": "a request" });
    let event = json!({ "source": names.source, "event_id": names.event_id });
    let of = |mut what: Value| {
        what["purpose"] = "a request".into();
        what
    };
    let inventory = json!({ "expected": [{ "name": names.source, "phase": "reporting" }] });
    let leaked = json!({ "tokens": [{ "id": token }, { "digest": names.digest }] });
    let key = json!({ "key_id": names.signer, "source": "s", "alg": "HMAC-SHA256" });
    let mut retire = get("/v1/keys/{key_id}", format!("/v1/keys/{}", names.key_id));
    retire.method = "DELETE";
    let rotate = format!("/v1/keys/{}/rotate", names.key_id);
    let beat = json!({ "native_id": "ask", "type": "HEARTBEAT", "source_instance": "i",
        "target": { "kind": "SOURCE", "id": "ask" }, "occurred_at": "2026-01-02T03:04:05Z" });
    vec![
        post("/v1/triage", "/v1/triage", &leaked),
        post("/v1/sources", "/v1/sources", &inventory),
        post("/v1/keys/{key_id}/rotate", &*rotate, &json!({ "overlap_seconds": 60 })),
        post(blast, &*path, &json!({ "dry_run": true })),
        post(blast, &*path, &json!({ "dry_run": true, "token": raw })),
        post(blast, &*path, &json!({})),
        post(compare, compare, &table(false, true)),
        post(compare, compare, &table(false, false)),
        post(compare, compare, &table(true, false)),
        post("/v1/findings/{id}/acknowledge", finding("acknowledge"), &json!({})),
        post("/v1/findings/{id}/close", finding("close"), &note),
        post("/v1/resolve", "/v1/resolve", &person),
        post("/v1/erase", "/v1/erase", &erase),
        post("/v1/disclose", "/v1/disclose", &of(json!({ "token_id": token }))),
        post("/v1/disclose", "/v1/disclose", &of(json!({ "handle": names.handle }))),
        post("/v1/disclose", "/v1/disclose", &of(event)),
        form("/oauth2/introspect", format!("token={raw}")),
        form("/oauth2/revoke", format!("token={raw}&dry_run=true")),
        form("/oauth2/revoke", format!("token={raw}")),
        retire,
        post("/v1/keys", "/v1/keys", &key),
        post("/v1/events", "/v1/events", &beat),
        post("/v1/opa/logs", "/v1/opa/logs", &json!([])),
        post("/v1/adapters/{name}", "/v1/adapters/okta?issuer=ask", &json!([])),
        cloud_event(&json!({ "specversion": "1.0", "id": "ask", "source": "ask", "type": "x" })),
    ]
}

fn cloud_event(event: &Value) -> Ask {
    let route = "/v1/cloudevents";
    let body = Some(("application/cloudevents+json", event.to_string()));
    Ask { method: "POST", route, path: route.into(), body }
}

/// Doors whose senders prove themselves, or are refused, in the way of their own standard: each has
/// its tests, and `doors_turn_away_in_the_words_of_their_standard` is about who may not call.
const DOORS: [(&str, &str); 7] = [
    ("GET", "/v1/hooks/{name}"),
    ("OPTIONS", "/v1/cloudevents"),
    ("POST", "/v1/backchannel-logout"),
    ("POST", "/v1/hooks/{name}"),
    ("POST", "/v1/otlp/v1/logs"),
    ("POST", "/v1/otlp/v1/traces"),
    ("POST", "/v1/sets"),
];

/// Everything that can be asked.
fn asks(names: &Names) -> Vec<Ask> {
    [reads(names), lists(), acts(names)].concat()
}

fn at(second: u32) -> String {
    format!("2026-01-02T03:04:{second:02}Z")
}

/// The events of a small world with one of each thing.
fn story(names: &Names) -> Vec<Value> {
    let Names { word, token, attachment, event_id, .. } = names;
    let child = format!("eu:{word}:jti:child");
    let facts = |mut event: Value| {
        event["issuer"] = (*word).into();
        for member in ["client", "session", "grant", "family"] {
            event[format!("{member}_id")] = format!("{word}-{member}").into();
        }
        event["expires_at"] = "2096-01-01T00:00:00Z".into();
        event["token_kind"] = "ACCESS".into();
        event["policies"] = json!([{ "id": format!("{word}-policy"), "version": "v1",
            "digest": attachment, "role": "GRANT" }]);
        event["personal"] = json!([{ "role": "SUBJECT", "user_id": format!("{word}-alice"),
            "ip": "203.0.113.7" }]);
        event
    };
    let policy = json!({ "native_id": "p", "type": "POLICY_CHANGED",
        "target": { "kind": "POLICY", "id": format!("{word}-policy") },
        "occurred_at": at(0),
        "policies": [{ "id": format!("{word}-policy"), "version": "v1", "digest": attachment }],
        "policy_change": { "effective_from": at(0), "snapshot": attachment },
        "attachments": [{ "digest": attachment, "media_type": "application/json",
            "data": STANDARD.encode(snapshot(word)) }] });
    let born = facts(json!({ "event_id": event_id, "type": "ISSUED", "token_id": token,
        "occurred_at": at(1), "also_known_as": [format!("eu:{word}:jti:twin")] }));
    let second = facts(json!({ "native_id": "c", "type": "ISSUED", "token_id": child,
        "occurred_at": at(2), "links": [{ "token_id": token, "relation": "EXCHANGED_FROM",
            "strength": "ASSERTED" }, { "event": { "source": word, "event_id": event_id },
            "relation": "CAUSED_BY", "strength": "ASSERTED" }] }));
    let access = json!({ "native_id": "r", "type": "RESOURCE_ACCESSED", "token_id": token,
        "occurred_at": at(3), "resource": format!("/{word}/reports"),
        "service": format!("{word}-service"), "client_id": format!("{word}-client") });
    let revoked = json!({ "native_id": "x", "type": "REVOKED", "token_id": token,
        "occurred_at": at(4), "reason": "admin" });
    let session = json!({ "native_id": "w", "type": "REVOKED", "occurred_at": at(5),
        "target": { "kind": "SESSION", "id": format!("eu:{word}:{word}-gone") } });
    let used = json!({ "native_id": "u", "type": "USED", "token_id": token,
        "occurred_at": at(40), "service": format!("{word}-service") });
    vec![policy, born, second, access, revoked, session, used]
}

/// Waits until what was recorded has been judged and stands in a block.
fn settle(server: &Server) {
    let until = Instant::now() + Duration::from_secs(90);
    let mut quiet = 0;
    while quiet < 3 {
        assert!(Instant::now() < until, "the rules do not come to an end");
        let answer = server.get("/v1/findings?limit=1", &server.admin).json();
        quiet = if answer["lag_entries"] == 0 { quiet + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(50));
    }
    server.wait_for_block();
}

/// A tenant's key that may do all that a tenant's key may.
fn whole(server: &Server, tenant: &str, source: &str) -> (String, String) {
    let request = json!({ "tenant": tenant, "source": source, "roles": ROLES });
    let answer = server.post("/v1/keys", &server.admin, &request);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let text = |name: &str| answer.json()[name].as_str().expect(name).to_owned();
    (text("key_id"), text("secret"))
}

/// Makes the world of a tenant; its key, and what its things are called now.
fn world(server: &Server, tenant: &str, mut names: Names) -> (String, Names) {
    let (key_id, key) = whole(server, tenant, names.word);
    names.key_id = key_id;
    server.record(&key, &story(&names));
    let signer = json!({ "tenant": tenant, "source": names.word, "alg": "HMAC-SHA256",
        "key_id": format!("{}{}", names.signer, tenant), "issuers": [names.word] });
    let signer = server.post("/v1/keys", &server.admin, &signer);
    assert_eq!(signer.status, 201, "{}", signer.text());
    names.signer = signer.json()["key_id"].as_str().expect("an id").to_owned();
    settle(server);
    let person = json!({ "kind": "PERSON", "issuer": names.word,
        "value": format!("{}-alice", names.word) });
    let person = server.post("/v1/resolve", &key, &person).json();
    names.handle = person["handle"].as_str().expect("a handle").to_owned();
    let path = format!("/v1/findings?rule=use_after_revoke&token={}", names.token);
    let findings = server.get(&path, &key).json();
    names.finding = findings["findings"][0]["id"].as_str().expect("a finding").to_owned();
    (key, names)
}

/// What two answers may differ in: sizes, times, checkpoints.
const BLURRED: [&str; 26] = [
    "size",
    "published_size",
    "as_of",
    "checkpoint",
    "published",
    "judged_at",
    "root",
    "index",
    "sequence",
    "event_hash",
    "lag_entries",
    "progress",
    "issued_from",
    "issued_until",
    "queue_bytes",
    "heartbeat_age_s",
    "score",
    "finding",
    "next",
    "first_index",
    "last_index",
    "prev_event_hash",
    "recorded_at",
    "noticed_at",
    "event_id",
    "id",
];

fn blur(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !BLURRED.contains(&name.as_str()));
            members.values_mut().for_each(blur);
        }
        Value::Array(list) => list.iter_mut().for_each(blur),
        _ => {}
    }
}

/// Status, media type and body, without names and what may differ.
fn said(answer: &Answer, names: &[&Names]) -> (u16, String, Value) {
    let text = names.iter().fold(answer.text(), |text, names| names.taken_out_of(&text));
    // Behind the first line stands what lags.
    let text = if text.starts_with("ready\n") { "ready\n".to_owned() } else { text };
    let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    blur(&mut body);
    (answer.status, answer.media_type.clone(), body)
}

/// The server stands, takes events, and nothing in it broke.
fn unharmed(server: &Server) {
    assert_eq!(server.call("GET", "/readyz", None, None).status, 200);
    let log = server.read("server.log");
    let broken = log.lines().find(|line| line.contains("panicked"));
    assert_eq!(broken, None, "something broke");
    let id = format!("after-{:?}", Instant::now());
    let id = sha256(id.as_bytes()).to_hex();
    server.record(&server.admin, &[running::event(&id, "ISSUED", &id[..12])]);
}

/// Routes and methods of the document, and who may call them.
fn described(server: &Server) -> Vec<(String, String, Option<Vec<String>>)> {
    let document = server.get("/openapi.json", &server.admin).json();
    let mut found = Vec::new();
    for (route, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let words = operation["description"].as_str().unwrap_or_default();
            // Who may stands at the end; of a key of any role nothing is listed.
            let listed = words.split_once("Needs one of the roles: ").map_or("", |(_, all)| all);
            let words = listed.trim_end_matches('.').split(", ");
            let words = words.filter(|word| !word.is_empty()).map(str::to_owned);
            let roles = match operation["security"] == json!([]) {
                true => None,
                false => Some(words.collect()),
            };
            found.push((method.to_uppercase(), route.clone(), roles));
        }
    }
    found
}

#[test]
fn every_route_turns_away_who_may_not_call_it() {
    let server = Server::start();
    let keys = ROLES.map(|role| (role, server.key("ours", "gw", &[role])));
    let described = described(&server);
    let asks = asks(&Names::of("nobody"));
    let mut tested: BTreeSet<_> = asks.iter().map(|one| (one.method, one.route)).collect();
    tested.extend(DOORS);
    let all: BTreeSet<_> =
        described.iter().map(|(method, route, _)| (&**method, &**route)).collect();
    assert_eq!(tested, all, "the table of requests has every route");
    for ask in &asks {
        let of = |one: &&(String, String, _)| one.0 == ask.method && one.1 == ask.route;
        let (_, _, roles) = described.iter().find(of).expect("described");
        // Entry bundles stand under the same route as what is public.
        let bundles = Some(Vec::new());
        let closed = ask.path.starts_with("/tile/entries") || ask.route == "/v1/leaves/{index}";
        let roles = if closed { &bundles } else { roles };
        let what = format!("{} {}", ask.method, ask.path);
        let Some(roles) = roles else {
            assert_eq!(ask.send(&server, None).status / 100, 2, "{what}");
            continue;
        };
        let oauth = ask.route.starts_with("/oauth2/");
        for key in [None, Some("llk_nobody_nothing"), Some("")] {
            turned_away(&ask.send(&server, key), 401, oauth, &what);
        }
        for (role, key) in &keys {
            let answer = ask.send(&server, Some(key));
            let any = roles.is_empty() && !closed;
            if any || roles.iter().any(|one| one == role) {
                let fits = !matches!(answer.status, 401 | 403) && answer.status < 500;
                assert!(fits, "{what} as {role}: {}", answer.text());
            } else {
                let status = if oauth { 401 } else { 403 };
                turned_away(&answer, status, oauth, &format!("{what} as {role}"));
            }
        }
    }
    unharmed(&server);
}

#[test]
fn doors_turn_away_in_the_words_of_their_standard() {
    let server = Server::start();
    let reader = server.key("ours", "gw", &["reader"]);
    let check =
        |route: &str, (media, body): (&str, &str), key: Option<&str>, status, word: &str| {
            let answer = server.call("POST", route, key, Some((media, body.as_bytes())));
            assert_eq!(answer.status, status, "{route}: {}", answer.text());
            assert!(answer.text().contains(word), "{route}: {} has no {word}", answer.text());
        };
    let spans = (JSON, "{}");
    for route in ["/v1/otlp/v1/logs", "/v1/otlp/v1/traces"] {
        check(route, spans, None, 401, "\"code\":16");
        check(route, spans, Some("llk_nobody_nothing"), 401, "\"code\":16");
        check(route, spans, Some(&reader), 403, "\"code\":7");
    }
    let token = ("application/secevent+jwt", "eyJhbGciOiJub25lIn0.e30.");
    check("/v1/sets", token, Some("llk_nobody_nothing"), 400, "authentication_failed");
    for key in [None, Some(&*reader)] {
        check("/v1/sets", token, key, 400, "\"err\"");
        let logout = (FORM, "logout_token=eyJhbGciOiJub25lIn0.e30.");
        check("/v1/backchannel-logout", logout, key, 400, "\"error\"");
        check("/v1/hooks/none", (JSON, "[]"), key, 404, "not_found");
    }
    unharmed(&server);
}

fn turned_away(answer: &Answer, status: u16, oauth: bool, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let challenged = answer.headers.get("www-authenticate").is_some();
    assert_eq!(challenged, status == 401, "{what}");
    if oauth {
        assert_eq!(answer.json()["error"], "invalid_client", "{what}");
    } else {
        let code = if status == 401 { "unauthenticated" } else { "forbidden" };
        assert_eq!(answer.code(), code, "{what}");
    }
    assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
}

/// Asks for what another tenant has and for what nobody has; says where the answers differ.
fn leaks(
    server: &Server,
    (key, tenant): (&str, &str),
    theirs: &Names,
    nobody: &Names,
) -> Vec<String> {
    let mut leaks = Vec::new();
    let mut check = |there: Vec<Ask>, nowhere: Vec<Ask>| {
        for (there, nowhere) in there.into_iter().zip(nowhere) {
            // A tenant that is there is like one that is not.
            let told = (there.clone().of_tenant(tenant), nowhere.clone().of_tenant("nowhere"));
            for (there, nowhere) in [(there, nowhere), told] {
                let say = |ask: &Ask| {
                    let answer = ask.send(server, Some(key));
                    let (status, media, body) = said(&answer, &[theirs, nobody]);
                    // A bundle of what is there holds its bytes.
                    let bundle = status == 200 && ask.path.contains("proof");
                    (status, media, if bundle { Value::Null } else { body })
                };
                let (found, expected) = (say(&there), say(&nowhere));
                if found != expected || found.0 >= 500 {
                    let what = format!("{} {} {:?}", there.method, there.path, there.body);
                    leaks.push(format!("{what}\n  {found:?}\n  {expected:?}"));
                }
            }
        }
    };
    check(reads(theirs), reads(nobody));
    // What is recorded by one act differs in time and place, and is disclosed by another.
    let discloses_first = |mut acts: Vec<Ask>| {
        acts.sort_by_key(|ask| ask.path != "/v1/disclose");
        acts
    };
    check(discloses_first(acts(theirs)), discloses_first(acts(nobody)));
    leaks
}

/// Answers to everything that only reads, for later comparison.
fn snapshot_of(server: &Server, key: &str, names: &Names) -> Vec<(String, u16, Value)> {
    let answer = |ask: Ask| {
        let (status, _, body) = said(&ask.send(server, Some(key)), &[names]);
        (ask.path, status, body)
    };
    // What speaks of the whole ledger grows.
    let whole =
        ["/v1/blocks", "/v1/verify-reports", "/v1/status", "/metrics", "/v1/leaves", "/tile"];
    let whole = |ask: &Ask| whole.iter().any(|front| ask.path.starts_with(front));
    let own = [reads(names), lists()].concat();
    let own = own.into_iter().filter(|ask| !whole(ask) && !ask.path.contains("proof"));
    own.filter(|ask| ask.path != "/checkpoint" && !ask.path.contains("as_of="))
        .map(answer)
        .collect()
}

#[test]
fn what_another_tenant_has_is_answered_like_what_is_not_there() {
    // The default tenant is one like the others.
    for (own, other) in [("ours", "theirs"), ("", "theirs"), ("ours", "")] {
        sees_nothing(own, other);
    }
}

fn sees_nothing(own: &str, other: &str) {
    let server = Server::start();
    let (_, ours) = whole(&server, own, "gw");
    let (key, theirs) = world(&server, other, Names::of("zebra"));
    let before = snapshot_of(&server, &key, &theirs);
    assert!(before.iter().filter(|(_, status, _)| *status == 200).count() > 30, "{before:#?}");
    for ask in lists() {
        let text = ask.send(&server, Some(&ours)).text();
        for name in [theirs.word, &theirs.finding, &theirs.key_id, &theirs.event_id] {
            assert!(!text.contains(name), "{}: {text}", ask.path);
        }
    }
    let nobody = Names::of("nobody");
    let mut leaks = leaks(&server, (&ours, other), &theirs, &nobody);
    // Who has one role only is told no more.
    for role in ["client", "resource_server", "responder", "admin", "privacy"] {
        let one = server.key(own, "zebra-client", &[role]);
        for (there, nowhere) in acts(&theirs).iter().zip(&acts(&nobody)) {
            let say = |ask: &Ask| said(&ask.send(&server, Some(&one)), &[&theirs, &nobody]);
            let (found, expected) = (say(there), say(nowhere));
            if found != expected {
                leaks.push(format!("{role} {}: {found:?} {expected:?}", there.path));
            }
        }
    }
    assert!(leaks.is_empty(), "{own:?} of {other:?}: {}", leaks.join("\n"));
    // What was tried changed nothing there.
    settle(&server);
    assert_eq!(before, snapshot_of(&server, &key, &theirs));
    unharmed(&server);
}

#[test]
fn two_tenants_with_the_same_names_do_not_touch_each_other() {
    let server = Server::start();
    let (key, ours) = world(&server, "ours", Names::of("same"));
    let before = snapshot_of(&server, &key, &ours);
    let (other, theirs) = world(&server, "theirs", Names::of("same"));
    assert_ne!(ours.handle, theirs.handle, "one person, two pseudonyms");
    let more = |native: &str, kind: &str, target: Value| {
        let mut event = json!({ "native_id": native, "type": kind, "occurred_at": at(50) });
        event["target"] = target;
        event
    };
    let sessions = json!({ "kind": "SESSION", "id": "eu:same:same-session" });
    let child = json!({ "kind": "TOKEN", "id": "eu:same:jti:child" });
    let events = [
        more("m1", "REVOKED", sessions),
        more("m2", "SUSPENDED", child),
        more("m3", "REVOKED", json!({ "kind": "CLIENT", "id": "eu:same:same-client" })),
    ];
    server.record(&other, &events);
    let erase = json!({ "handle": theirs.handle, "purpose": "a request" });
    assert_eq!(server.post("/v1/erase", &other, &erase).status, 200);
    settle(&server);
    assert_eq!(before, snapshot_of(&server, &key, &ours));
    // Nor may one erase the other's person, or go on with the other's page.
    let erase = json!({ "handle": ours.handle, "purpose": "a request" });
    assert_eq!(server.post("/v1/erase", &other, &erase).code(), "not_found");
    let path = "/v1/clients/same-client/tokens?limit=1";
    let page = server.get(path, &key).json()["next"].as_str().expect("a page").to_owned();
    assert_eq!(server.get(&format!("{path}&page={page}"), &key).status, 200);
    assert_eq!(server.get(&format!("{path}&page={page}"), &other).code(), "bad_page");
    let asked = format!("{path}&page={page}&tenant=ours");
    assert_eq!(server.get(&asked, &other).code(), "not_found");
    assert_eq!(server.get(&asked, &server.admin).status, 200);
    unharmed(&server);
}

/// Status and refusal of each event.
fn verdicts(server: &Server, key: &str, event: &Value, names: &Names) -> Vec<(Value, Value)> {
    let answer = server.post("/v1/events", key, &json!([event]));
    let text = names.taken_out_of(&answer.text());
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let events = answer["events"].as_array().expect("verdicts").iter();
    events.map(|one| (one["status"].clone(), one["error"].clone())).collect()
}

/// A statement in `ours`, signed in the name of a key.
fn signed(source: &str, key_id: &str, alg: &str) -> Value {
    let target = Target { kind: TargetKind::Token, id: "eu:zebra:jti:signed" };
    let occurred_at = Hlc::at(1_767_312_000_000_000_000);
    let mut statement = Statement::new([7; 16], source, target, EventType::Issued, occurred_at);
    (statement.tenant, statement.issuer) = ("ours", Some("zebra"));
    statement.outcome = Outcome::Allow;
    let bytes = encode_object(Kind::Statement, &statement);
    let value = StatementSigner::hmac(b"no secret of theirs", "default", key_id).sign(&bytes);
    json!({ "statement": STANDARD.encode(&bytes), "signature": { "alg": alg,
        "key_id": key_id, "value": STANDARD.encode(value) } })
}

/// Events that lean on what another tenant may have.
fn leaning(names: &Names) -> Vec<Value> {
    let Names { word, token, event_id, attachment, .. } = names;
    let event = |native: &str, kind: &str, id: &str, more: Value| {
        let mut event = json!({ "native_id": format!("{word}-{native}"), "type": kind,
            "token_id": id, "occurred_at": at(30) });
        let members = event.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        event
    };
    let own = |name: &str| format!("eu:{word}:jti:own-{name}");
    let cause = json!([{ "event": { "source": names.source, "event_id": event_id },
        "relation": "CAUSED_BY", "strength": "ASSERTED" }]);
    let parent = json!([{ "token_id": token, "relation": "EXCHANGED_FROM",
        "strength": "ASSERTED" }]);
    let policy = json!([{ "id": format!("{word}-policy"), "version": "v1", "digest": attachment,
        "role": "GRANT" }]);
    let other = format!("eu:{word}:jti:other");
    let held = json!({ "session_id": format!("{word}-gone"), "client_id": "c" });
    let act = json!({ "act": { "id": format!("{word}-act"), "part": 1, "parts": 1 } });
    vec![
        event("l1", "USED", token, json!({ "service": "s" })),
        event("l2", "ISSUED", &own("a"), json!({ "links": parent })),
        event("l3", "USED", &own("a"), json!({ "links": cause })),
        event("l4", "ISSUED", &own("b"), json!({ "also_known_as": [token] })),
        event("l5", "ISSUED", &own("c"), json!({ "policies": policy })),
        event("l6", "ISSUED", &own("d"), held),
        event("l7", "USED", &own("d"), act),
        json!({ "event_id": event_id, "type": "USED", "token_id": other, "occurred_at": at(31) }),
        json!({ "native_id": format!("{word}-l8"), "type": "POLICY_CHANGED",
            "occurred_at": at(32), "target": { "kind": "POLICY", "id": format!("{word}-policy") },
            "policies": [{ "id": format!("{word}-policy"), "version": "v1",
                "digest": attachment }],
            "policy_change": { "effective_from": at(0), "snapshot": attachment } }),
    ]
}

#[test]
fn what_one_tenant_records_never_meets_what_another_has() {
    let server = Server::start();
    let (_, ours) = whole(&server, "ours", "zebra");
    let (key, theirs) = world(&server, "theirs", Names::of("zebra"));
    let nobody = Names { source: "zebra", ..Names::of("nobody") };
    let strict = json!({ "tenant": "ours", "source": "zebra", "roles": ["producer"],
        "strict": true });
    let strict = server.post("/v1/keys", &server.admin, &strict).json();
    let strict = strict["secret"].as_str().expect("a secret");
    let before = snapshot_of(&server, &key, &theirs);
    for producer in [strict, &*ours] {
        for (there, nowhere) in leaning(&theirs).iter().zip(&leaning(&nobody)) {
            let found = verdicts(&server, producer, there, &theirs);
            assert_eq!(found, verdicts(&server, producer, nowhere, &nobody), "{there}");
        }
    }
    let path = format!("/v1/attachments/{}", theirs.attachment);
    assert_eq!(server.get(&path, &ours).code(), "not_found", "named is not had");
    settle(&server);
    assert_eq!(before, snapshot_of(&server, &key, &theirs));
    // Now that both are named here, they are still alike.
    let leaks = leaks(&server, (&ours, "theirs"), &theirs, &nobody);
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    // What is theirs is no duplicate here.
    let mut again = story(&theirs);
    again.retain(|event| event["event_id"].is_null());
    server.record(&ours, &again);
    settle(&server);
    assert_eq!(before, snapshot_of(&server, &key, &theirs));
    unharmed(&server);
}

#[test]
fn the_signing_key_of_another_tenant_is_as_unknown_as_none() {
    let server = Server::start();
    let (_, ours) = whole(&server, "ours", "zebra");
    let request = json!({ "tenant": "theirs", "source": "zebra", "alg": "HMAC-SHA256",
        "key_id": "zebra-signer" });
    assert_eq!(server.post("/v1/keys", &server.admin, &request).status, 201);
    for ended in [false, true] {
        for alg in ["HMAC-SHA256", "Ed25519"] {
            for name in ["zebra-signer", "nobody-signer"] {
                let answer = server.post("/v1/events", &ours, &signed("zebra", name, alg));
                assert_eq!(answer.code(), "unknown_key", "{name} {alg} ended: {ended}");
            }
        }
        if !ended {
            let path = "/v1/keys/zebra-signer";
            assert_eq!(server.call("DELETE", path, Some(&server.admin), None).status, 200);
        }
    }
    unharmed(&server);
}

#[test]
fn an_administrator_of_one_tenant_learns_no_key_ids_of_another() {
    let server = Server::start();
    let ours = server.key("ours", "desk", &["admin"]);
    let request = |key_id: &str| {
        let mut key = json!({ "source": "s", "alg": "HMAC-SHA256", "tenant": "ours" });
        key["key_id"] = key_id.into();
        key
    };
    assert_eq!(server.post("/v1/keys", &server.admin, &request("taken")).status, 201);
    for name in ["taken", "free"] {
        assert_eq!(server.post("/v1/keys", &ours, &request(name)).code(), "bad_key", "{name}");
    }
    let mut unnamed = request("");
    unnamed.as_object_mut().expect("members").remove("key_id");
    assert_eq!(server.post("/v1/keys", &ours, &unnamed).status, 201);
    unharmed(&server);
}

#[test]
fn a_stream_of_findings_is_of_one_tenant() {
    let server = Server::start();
    let (ours, own) = world(&server, "ours", Names::of("heron"));
    let (_, theirs) = world(&server, "theirs", Names::of("zebra"));
    let address = server.url.trim_start_matches("http://");
    for (query, status) in
        [("", "200"), ("&tenant=ours", "200"), ("&tenant=theirs", "404"), ("&tenant=no", "404")]
    {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(700))).expect("a timeout");
        let head = format!("GET /v1/findings?follow{query} HTTP/1.1\r\nhost: x\r\n");
        write!(stream, "{head}authorization: Bearer {ours}\r\nlast-event-id: 0\r\n\r\n")
            .expect("sent");
        let (mut text, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = stream.read(&mut part) {
            text.extend_from_slice(&part[..length]);
        }
        let text = String::from_utf8_lossy(&text);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{query}: {text}");
        assert_eq!(text.contains(&own.finding), status == "200", "{query}: {text}");
        assert!(!text.contains(&theirs.finding) && !text.contains(theirs.word), "{text}");
    }
    unharmed(&server);
}

const T: &str = "/v1/tokens/eu:idp:jti:a";

/// Refused as a problem, or as OAuth does it; never by a fault, and soon.
fn refused(answer: &Answer, took: Duration, what: &str) {
    let what = &what[..what.len().min(200)];
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    assert!(took < Duration::from_secs(15), "{what} took {took:?}");
    if what.contains("/oauth2/") {
        assert!(answer.json()["error"].is_string(), "{what}: {}", answer.text());
    } else {
        answer.code();
    }
    assert!(answer.body.len() < 1000, "{what}: it repeats what was sent");
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// The last number that fits, and a text longer than any parameter.
const HUGE: &str = "18446744073709551615";

fn long() -> String {
    "x".repeat(20_000)
}

/// A range that ends before it begins.
const WRONG: &str = "from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z";

fn absurd_token_questions() -> Vec<String> {
    let mut paths = Vec::new();
    let queries =
        "depth=1025 depth=-1 depth=99999999999999999999 tokens=0 tokens=10001 to=eu:i:jti:a
        direction=up direction=path strength=9 direction=path&to=x depth=1&depth=2 limit=1 page=A
        origin=x as_of=2096-01-01T00:00:00Z";
    paths.extend(words(queries).map(|query| format!("{T}/lineage?{query}")));
    paths.push(format!("{T}/lineage?page={}", long()));
    let queries = "limit=0 limit=1001 limit= limit=-1 limit=a page= of=x page=AAAA from=never
        page=%00 proof=1 proof=true&page=AAAA of= proof=true&limit=10001";
    let queries = words(queries).chain([WRONG]);
    paths.extend(queries.map(|query| format!("{T}/resources?{query}")));
    let queries = "limit=0 limit=1001 limit=99999999999999999999 page=-1 page=x after=0";
    paths.extend(words(queries).map(|query| format!("{T}/events?{query}")));
    let mut moments: Vec<String> = words(
        "as_of=18446744073709551615 as_of=18446744073709551616 as_of=-1 as_of= at= at=yesterday
        colour=red at=99999-01-01T00:00:00Z tenant=a&tenant=b",
    )
    .map(str::to_owned)
    .collect();
    moments.push(format!("at={}", long()));
    let ends = "events lineage resources policies divergence exposure after-revoke blast-radius";
    for end in words(ends).map(|end| format!("/{end}")).chain([String::new()]) {
        paths.extend(moments.iter().map(|query| format!("{T}{end}?{query}")));
    }
    paths
}

fn absurd_ids() -> Vec<String> {
    let mut paths = Vec::new();
    let (long, hidden) = (long(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln");
    let ids = "abc %00 %FF a%2Fb ::: eu:idp:jti: eu:idp:t1:short eu:idp:jti:%00 ..%2F..%2Fetc";
    for id in words(ids).chain([&*long, hidden]) {
        let ends = "/events /proof /lineage /blast-radius /after-revoke";
        let ends = words(ends).chain([""]);
        paths.extend(ends.map(|end| format!("/v1/tokens/{id}{end}")));
    }
    let routes = "events/s/{} events/s/{}/proof events/s/{}/why subjects/{}/tokens attachments/{}
        findings/{} leaves/{} pivot?kind=handle&value={} findings?token={} findings?rule={}
        findings?state={} findings?severity={} findings?from={} findings?page={}
        findings?follow&from={} blocks?page={} blocks?limit={} verify-reports?page={}
        revocations?since={} revocations?wait={} revocations?limit={} nothing/{}";
    for id in words("abc %00 %FF").chain([&*long]) {
        paths.extend(words(routes).map(|route| format!("/v1/{}", route.replace("{}", id))));
        paths.push(format!("/tile/{id}"));
    }
    for route in words("clients sessions grants issuers resources") {
        let ids = words("%00 %FF %0A").chain([&*long]);
        paths.extend(ids.map(|id| format!("/v1/{route}/{id}/tokens")));
    }
    paths
}

fn absurd_lists() -> Vec<String> {
    let mut paths = Vec::new();
    let nobody = "0".repeat(32);
    let wide = "from=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z&tokens=10001";
    let queries = [WRONG, "from=x&until=y", "tokens=0", "", wide];
    paths.extend(queries.map(|query| format!("/v1/after-revoke?{query}")));
    let queries = "hours=0 hours=1000001 hours=-1 hours=99999999999 from=x";
    let queries = words(queries).chain([WRONG]);
    paths.extend(queries.map(|query| format!("/v1/subjects/{nobody}/policy-changes?{query}")));
    paths.push(format!("/v1/resources/x/tokens?{WRONG}"));
    let others = "/v1/pivot /v1/pivot?kind=x&value=y /v1/pivot?kind=client&value=
        /v1/pivot?kind=client /v1/policies/%00/versions /v1/blocks?limit=0 /v1/blocks?limit=201
        /v1/verify-reports?limit=0 /v1/revocations?wait=61 /v1/revocations?limit=0
        /v1/revocations?limit=1001 /v1/sources?before=x /tile/0/0 /tile/64/000 /tile/0/x999/000
        /tile/0/000.p/0 /tile/0/000.p/257 /tile/entries/0 /tile/%65ntries/000
        /v1/leaves/18446744073709551615 /v1/nothing";
    paths.extend(words(others).map(str::to_owned));
    paths
}

#[test]
fn absurd_questions_are_refused() {
    let server = Server::start();
    server.record(&server.admin, &[running::event("n", "ISSUED", "a")]);
    for path in [absurd_token_questions(), absurd_ids(), absurd_lists()].concat() {
        let begun = Instant::now();
        refused(&server.get(&path, &server.admin), begun.elapsed(), &path);
    }
    let last = [("last-event-id", HUGE)];
    let key = Some(&*server.admin);
    let follow = server.call_with("GET", "/v1/findings?follow", key, None, &last);
    refused(&follow, Duration::ZERO, "last-event-id");
    // At the edge of what is allowed nothing breaks.
    let (first, end) = ("1677-09-22T00:00:00Z", "2262-04-11T00:00:00Z");
    let all = format!("from={first}&until={end}");
    let (nobody, long) = ("0".repeat(32), long());
    for path in [
        format!("{T}/lineage?depth=0&tokens=1"),
        format!("{T}/lineage?depth=1024"),
        format!("{T}/events?page={HUGE}"),
        format!("{T}?as_of=0"),
        format!("{T}/lineage?as_of=0"),
        format!("{T}/resources?as_of=0&proof=true"),
        format!("{T}/lineage?as_of={first}"),
        format!("{T}?at={first}"),
        format!("{T}?at={end}"),
        format!("{T}/policies?at={first}"),
        format!("{T}/blast-radius?at={end}"),
        format!("{T}/after-revoke?at={first}"),
        format!("{T}/resources?{all}"),
        format!("/v1/blocks?page={HUGE}"),
        "/v1/blocks?page=0".into(),
        format!("/v1/revocations?since={HUGE}"),
        format!("/v1/verify-reports?page={HUGE}"),
        format!("/v1/findings?from={HUGE}"),
        format!("/v1/findings?from={HUGE}&proof=true"),
        format!("/v1/subjects/{nobody}/policy-changes?hours=1000000&until={first}"),
        format!("/v1/after-revoke?{all}"),
        format!("/v1/resources/x/tokens?{all}"),
        format!("/v1/sources?page={long}"),
        format!("/v1/sources?tenant={long}"),
        format!("{T}?tenant={long}"),
        "/v1/clients/x/tokens?tenant=*".into(),
    ] {
        let answer = server.get(&path, &server.admin);
        let what = &path[..path.len().min(200)];
        assert!(answer.status < 500 || answer.status == 503, "{what}: {}", answer.text());
    }
    unharmed(&server);
}

#[test]
fn absurd_bodies_are_refused() {
    let server = Server::start();
    let hex = "0".repeat(64);
    let blast = format!("{T}/blast-radius");
    let (acknowledge, close) =
        (format!("/v1/findings/{hex}/acknowledge"), format!("/v1/findings/{hex}/close"));
    let paths = [
        "/v1/events",
        "/v1/triage",
        &blast,
        &acknowledge,
        &close,
        "/v1/reconciliations",
        "/v1/resolve",
        "/v1/erase",
        "/v1/disclose",
        "/v1/keys",
    ];
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    let big = "x".repeat(17 << 20);
    let bodies = [
        (JSON, String::new()),
        (JSON, "{".into()),
        (JSON, "null".into()),
        (JSON, "7".into()),
        (JSON, r#""text""#.into()),
        (JSON, r#"{"colour":"red"}"#.into()),
        (JSON, r#"{"tenant":7}"#.into()),
        (JSON, deep("[", "]")),
        (JSON, deep(r#"{"tenant":"#, "}")),
        (JSON, deep(r#"{"a":["#, "]}")),
        (JSON, big),
        ("text/plain", "{}".into()),
        ("application/xml", "<a/>".into()),
        (FORM, "a=b".into()),
        ("", "{}".into()),
    ];
    for path in paths {
        for (media, body) in &bodies {
            let begun = Instant::now();
            let sent = Some((*media, body.as_bytes()));
            let answer = server.call("POST", path, Some(&server.admin), sent);
            let what = format!("{path} {media} {:.40}", body.as_str());
            if path == "/v1/events" && body.starts_with('[') {
                let events = answer.json()["events"].clone();
                let events = events.as_array().expect("verdicts");
                assert!(events.iter().all(|one| one["status"] == "refused"), "{what}");
                continue;
            }
            refused(&answer, begun.elapsed(), &what);
            if media != &JSON {
                assert_eq!(answer.status, 415, "{what}");
            }
        }
        let answer =
            server.call("POST", path, Some(&server.admin), Some((JSON, b"{\"tenant\":\"\xff\"}")));
        refused(&answer, Duration::ZERO, path);
        assert_eq!(
            server.get(path, &server.admin).status == 405,
            path != "/v1/keys" && path != blast
        );
    }
    unharmed(&server);
}

/// Bodies that are read, and say what cannot be.
#[allow(clippy::too_many_lines, reason = "a list")]
fn senseless(handle: &str) -> Vec<(String, Value)> {
    let token = "eu:idp:jti:a";
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
    let long = "x".repeat(100_000);
    let table = |more: Value| {
        let mut table = json!({ "region": "eu", "issuer": "idp", "record": true,
            "taken_at": "2026-01-05T00:00:00Z",
            "tokens": [{ "token_id": token, "usable": true }] });
        table.as_object_mut().expect("members").extend(more.as_object().expect("more").clone());
        table
    };
    let blast = format!("{T}/blast-radius");
    let close = format!("/v1/findings/{}/close", "0".repeat(64));
    let key = |more: Value| {
        let mut key = json!({ "source": "s", "roles": ["reader"] });
        key.as_object_mut().expect("members").extend(more.as_object().expect("more").clone());
        key
    };
    let ask = |path: &str, body: Value| (path.to_owned(), body);
    let rows = vec![json!({ "token_id": token, "usable": true }); 501];
    vec![
        ask("/v1/reconciliations", table(json!({ "taken_at": "2096-01-01T00:00:00Z" }))),
        ask("/v1/reconciliations", table(json!({ "taken_at": "then" }))),
        ask("/v1/reconciliations", table(json!({ "region": "us" }))),
        ask("/v1/reconciliations", table(json!({ "tokens": rows }))),
        ask(
            "/v1/reconciliations",
            table(json!({ "tokens": [{ "token_id": jwt, "usable": true }] })),
        ),
        ask("/v1/reconciliations", table(json!({ "tenant": long }))),
        ask("/v1/reconciliations", table(json!({ "tenant": "a\u{0}b" }))),
        ask("/v1/reconciliations", table(json!({ "tenant": "*" }))),
        ask("/v1/triage", json!({ "tokens": [{ "id": jwt }] })),
        ask("/v1/triage", json!({ "tokens": [{ "digest": long }] })),
        ask("/v1/triage", json!({ "tokens": [{}] })),
        ask("/v1/triage", json!({ "tokens": vec![json!({ "id": token }); 501] })),
        ask(&blast, json!({ "tenant": "*" })),
        ask(&blast, json!({ "token": "short" })),
        ask(&blast, json!({ "token": long })),
        ask(&blast, json!({ "reason": jwt })),
        ask(&blast, json!({ "reason": long })),
        ask(&close, json!({ "note": long })),
        ask(&close, json!({ "note": jwt })),
        ask(&close, json!({ "note": "a", "tenant": long })),
        ask("/v1/resolve", json!({ "kind": "OTHER", "value": "a" })),
        ask("/v1/resolve", json!({ "kind": "PERSON", "value": long })),
        ask("/v1/resolve", json!({ "kind": "PERSON", "value": "a", "tenant": long })),
        ask("/v1/erase", json!({ "handle": "x", "purpose": "p" })),
        ask("/v1/erase", json!({ "handle": "0".repeat(32), "purpose": " " })),
        ask("/v1/erase", json!({ "handle": handle, "purpose": long })),
        ask("/v1/erase", json!({ "handle": handle, "purpose": jwt })),
        ask("/v1/keys", key(json!({ "tenant": long }))),
        ask("/v1/keys", key(json!({ "tenant": "a\u{0}b" }))),
        ask("/v1/keys", key(json!({ "source": "" }))),
        ask("/v1/keys", key(json!({ "source": "ledger" }))),
        ask("/v1/keys", key(json!({ "source": long }))),
        ask("/v1/keys", key(json!({ "key_id": long }))),
        ask("/v1/keys", key(json!({ "key_id": "a_b/../c" }))),
        ask("/v1/keys", key(json!({ "key_id": "\u{0}" }))),
        ask("/v1/keys", key(json!({ "roles": [] }))),
        ask("/v1/keys", key(json!({ "roles": ["god"] }))),
        ask("/v1/keys", key(json!({ "types": ["GONE"] }))),
        ask("/v1/keys", key(json!({ "issuers": vec!["x"; 10_000] }))),
        ask("/v1/keys", key(json!({ "issuers": [long] }))),
        ask("/v1/keys", key(json!({ "regions": vec!["x".repeat(200); 200] }))),
        ask("/v1/keys", key(json!({ "types": vec!["USED"; 10_000] }))),
        ask("/v1/keys", key(json!({ "expires_at": "then" }))),
        ask("/v1/keys", key(json!({ "alg": "none" }))),
        ask("/v1/keys", key(json!({ "alg": "Ed25519", "public_key": "AAAA" }))),
    ]
}

#[test]
fn senseless_acts_are_refused() {
    let server = Server::start();
    let mut born = running::event("n", "ISSUED", "a");
    born["personal"] = json!([{ "role": "SUBJECT", "user_id": "alice" }]);
    server.record(&server.admin, &[born]);
    settle(&server);
    let person = json!({ "kind": "PERSON", "issuer": "idp", "value": "alice" });
    let person = server.post("/v1/resolve", &server.admin, &person).json();
    let handle = person["handle"].as_str().expect("a handle");
    let size = || server.get("/v1/status", &server.admin).json()["size"].clone();
    let mut wrong = Vec::new();
    for (path, body) in senseless(handle) {
        let text = body.to_string();
        let before = size();
        let begun = Instant::now();
        let answer = server.post(&path, &server.admin, &body);
        let fine = (400..500).contains(&answer.status) && begun.elapsed().as_secs() < 15;
        if !fine || answer.body.len() > 1000 || size() != before {
            wrong.push(format!("{path} {text:.120} -> {} {:.300}", answer.status, answer.text()));
        }
    }
    let reason = "x".repeat(2000);
    for reason in [&*reason, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "a%00b"] {
        let path = format!("/v1/keys/nobody?reason={reason}");
        let answer = server.call("DELETE", &path, Some(&server.admin), None);
        refused(&answer, Duration::ZERO, "a reason");
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    unharmed(&server);
}

#[test]
fn absurd_forms_are_refused() {
    let server = Server::start();
    let many = (0..100).map(|n| format!("p{n}=1&")).collect::<String>();
    let long = format!("token={}", "x".repeat(200_000));
    let huge = format!("token={}", "x".repeat(17 << 20));
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        for (media, form) in [
            (FORM, ""),
            (FORM, "token="),
            (FORM, "token=a&token=b"),
            (FORM, &format!("{many}token=a")),
            (FORM, &long),
            (FORM, &huge),
            (JSON, r#"{"token":"a"}"#),
            ("text/plain", "token=a"),
            ("", "token=a"),
        ] {
            let begun = Instant::now();
            let sent = Some((media, form.as_bytes()));
            let answer = server.call("POST", path, Some(&server.admin), sent);
            refused(&answer, begun.elapsed(), &format!("{path} {media} {form:.40}"));
        }
        let sent = Some((FORM, &b"token=a"[..]));
        let query = format!("{path}?token=a");
        let answer = server.call("POST", &query, Some(&server.admin), sent);
        refused(&answer, Duration::ZERO, &query);
        assert_eq!(server.get(path, &server.admin).status, 405, "{path}");
    }
    unharmed(&server);
}

/// Sends bytes as they are; what comes back until the server closes or nothing comes any more.
fn raw_call(server: &Server, parts: &[&[u8]]) -> (String, Duration) {
    let begun = Instant::now();
    let mut stream =
        TcpStream::connect(server.url.trim_start_matches("http://")).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    for part in parts {
        // The server may have had enough before all is sent.
        if stream.write_all(part).is_err() {
            break;
        }
    }
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..length]);
    }
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[test]
fn absurd_requests_end_soon() {
    let server = Server::start();
    let key = server.admin.clone();
    let line = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let more = vec![b'x'; 10 << 20];
    let many = (0..5000).map(|n| format!("h{n}: 1\r\n")).collect::<String>();
    let authorized = format!("authorization: Bearer {key}\r\n");
    let post = |length: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorized}\
            content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let end = b"\r\n\r\n";
    let over = vec![b'x'; 40 << 10];
    for (what, parts, may_reset) in [
        ("a long query", vec![&b"GET /healthz?"[..], &over, b" HTTP/1.1\r\n\r\n"], false),
        ("a huge query", vec![b"GET /healthz?", &more, b" HTTP/1.1\r\n\r\n"], true),
        ("a long header", vec![line("/v1/status").as_bytes(), b"a: ", &over, end], false),
        ("a huge header", vec![line("/v1/status").as_bytes(), b"a: ", &more, end], true),
        ("many headers", vec![line("/v1/status").as_bytes(), many.as_bytes(), end], true),
        (
            "a huge key",
            vec![line("/v1/status").as_bytes(), b"authorization: Bearer ", &over[..20_000], end],
            false,
        ),
        (
            "bytes in a key",
            vec![line("/v1/status").as_bytes(), b"authorization: Bearer \xff\xfe", end],
            false,
        ),
        ("no target", vec![b"GET\r\n\r\n"], false),
        ("no HTTP", vec![b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], true),
        ("an endless body", vec![post("999999999999999999").as_bytes()], false),
        ("a length that is none", vec![post("-1").as_bytes()], false),
        ("two lengths", vec![post("1\r\ncontent-length: 2").as_bytes()], false),
    ] {
        let (answer, took) = raw_call(&server, &parts);
        let fits = answer.starts_with("HTTP/1.1 4") || (may_reset && answer.is_empty());
        assert!(fits, "{what}: {answer:.300}");
        assert!(took < Duration::from_secs(15), "{what} took {took:?}");
        assert_eq!(server.call("GET", "/readyz", None, None).status, 200, "{what}");
    }
    unharmed(&server);
}

/// Sound events with one member at the edge of its type, or beyond.
#[allow(clippy::too_many_lines, reason = "a list")]
fn extreme() -> Vec<Value> {
    let times = [
        "1677-09-22T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "2262-04-11T23:47:16Z",
        "9999-12-31T23:59:59Z",
    ];
    let numbers = [json!(i64::MIN), json!(-1), json!(0), json!(i64::MAX), json!(u64::MAX)];
    let text = |text: &&str| Value::from(*text);
    let times: Vec<Value> = times.iter().map(text).collect();
    let mut list = Vec::new();
    let mut put = |kind: &str, member: &str, value: Value| {
        let mut event = running::event(&format!("x{}", list.len()), kind, "edge");
        for at in ["effective_at", "last_at"] {
            event[at] = event["occurred_at"].clone();
        }
        event[member] = value;
        event["source_instance"] = "01932f6e-0000-7000-8000-000000000001".into();
        list.push(event);
    };
    for kind in ["ISSUED", "USED", "REVOKED"] {
        for member in [
            "occurred_at",
            "effective_at",
            "last_at",
            "issued_at",
            "not_before",
            "expires_at",
            "grace_until",
            "rotate_by",
        ] {
            times.iter().for_each(|time| put(kind, member, time.clone()));
        }
        for member in [
            "time_uncertainty_ns",
            "count",
            "generation",
            "source_seq",
            "status_index",
            "bytes_out",
            "status",
        ] {
            numbers.iter().for_each(|number| put(kind, member, number.clone()));
        }
    }
    for time in &times {
        put("ISSUED", "activation", json!({ "requires": ["mfa"], "deadline": time }));
        put("ACTIVATED", "mfa", json!({ "methods": ["otp"], "completed_at": time }));
        put("REVOKED", "selector", json!({ "issued_before": time }));
        put("POLICY_CHANGED", "policy_change", json!({ "effective_from": time }));
    }
    for seconds in words("-1 0 86400 86401 9223372036854775807 x") {
        put("HEARTBEAT", "detail", json!([{ "key": "interval_s", "value": seconds }]));
    }
    put("USED", "act", json!({ "id": "a", "part": i32::MAX, "parts": i32::MAX }));
    put("USED", "act", json!({ "id": "a", "part": 0, "parts": 1 }));
    put("USED", "seen", json!({ "origin": "x", "size": i64::MAX, "root": "0".repeat(64) }));
    put("USED", "reason", "x".repeat(1 << 20).into());
    put("USED", "scopes", vec!["x"; 100_000].into());
    put("USED", "personal", json!(vec![json!({ "role": "SUBJECT", "user_id": "a" }); 1000]));
    put(
        "ISSUED",
        "links",
        json!([{ "token_id": "eu:idp:jti:edge", "relation": "ROTATED_FROM",
        "strength": "ASSERTED" }]),
    );
    put("ISSUED", "also_known_as", json!(["eu:idp:jti:edge", "eu:idp:jti:edge"]));
    put(
        "USED",
        "also_known_as",
        json!((0..300).map(|n| format!("eu:idp:jti:e{n}")).collect::<Vec<_>>()),
    );
    list
}

#[test]
fn events_at_the_edges_harm_nobody() {
    let server = Server::start();
    let key = server.key("ours", "idp", &["producer", "reader", "responder"]);
    let (other, theirs) = world(&server, "theirs", Names::of("zebra"));
    let before = snapshot_of(&server, &other, &theirs);
    let mut recorded = 0;
    for event in extreme() {
        let answer = server.post("/v1/events", &key, &event);
        let text = event.to_string();
        assert!(answer.status < 500, "{text:.300}: {}", answer.text());
        recorded += u32::from(answer.status == 200);
    }
    assert!(recorded > 100, "most are sound: {recorded}");
    settle(&server);
    let mut names = Names::of("edge");
    (names.token, names.source) = ("eu:idp:jti:edge".into(), "idp");
    for ask in [reads(&names), lists()].concat() {
        let answer = ask.send(&server, Some(&key));
        assert!(answer.status < 500, "{}: {}", ask.path, answer.text());
    }
    let blast = format!("/v1/tokens/{}/blast-radius", names.token);
    assert_eq!(server.post(&blast, &key, &json!({})).status, 200);
    settle(&server);
    assert_eq!(before, snapshot_of(&server, &other, &theirs));
    unharmed(&server);
}
