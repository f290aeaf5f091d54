//! The OpenAPI document against a running server: every operation exists and guards itself, and
//! answers are what the schemas say.

mod running;

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::hash::sha256;
use running::described::{DOCUMENT, misfit, operation};
use running::{Server, event};
use serde_json::{Value, json};

/// Calls operations, holds what is sent and answered against their schemas, and keeps the first
/// body and answer of each.
struct Checker<'s> {
    server: &'s Server,
    examples: RefCell<BTreeMap<String, Value>>,
}

impl Checker<'_> {
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let operation = operation(method, path).expect("an operation");
        let shown = &DOCUMENT["paths"][operation.public_path()][operation.method];
        let text = body.map(Value::to_string);
        let sent = text.as_ref().map(|text| ("application/json", text.as_bytes()));
        if let Some(body) = body {
            let schema = &shown["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(misfit(schema, body, "body"), None, "{method} {path}");
        }
        let answer = self.server.call(method, path, Some(&self.server.admin), sent);
        let is_done = answer.status == operation.status;
        let answer = answer.json();
        if is_done {
            self.examples.borrow_mut().entry(operation.id.to_owned()).or_insert_with(|| {
                let mut example = json!({ "answer": short(&answer) });
                if let Some(body) = body {
                    example["body"] = body.clone();
                }
                example
            });
        }
        answer
    }
}

/// An answer as an example: lists of at most two, no secret.
fn short(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().take(2).map(short).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let value = match (name.as_str(), value) {
                    ("secret", Value::String(_)) => "llk_…".into(),
                    (_, value) => short(value),
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

/// Where the examples of the document lie.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/src/openapi/examples.json");

/// With `LEDGERLINE_WRITE=1` writes the examples anew; otherwise holds those that are there against
/// the schemas. Every operation that answers JSON has one.
fn examples(recorded: &BTreeMap<String, Value>) {
    if std::env::var_os("LEDGERLINE_WRITE").is_some() {
        let mut text = serde_json::to_string_pretty(recorded).expect("JSON");
        text.push('\n');
        std::fs::write(EXAMPLES, text).expect("written");
        return;
    }
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(EXAMPLES).expect("the file")).expect("JSON");
    for (_, methods) in DOCUMENT["paths"].as_object().expect("paths") {
        for (_, shown) in methods.as_object().expect("methods") {
            let id = shown["operationId"].as_str().expect("an id");
            let status = if shown["responses"]["201"].is_object() { "201" } else { "200" };
            let schema = &shown["responses"][status]["content"]["application/json"]["schema"];
            if !schema.is_object() || NO_EXAMPLE.contains(&id) {
                continue;
            }
            let example = &kept[id]["answer"];
            assert!(example.is_object(), "{id} has no example: LEDGERLINE_WRITE=1");
            assert_eq!(misfit(schema, example, ""), None, "the example of {id}");
        }
    }
}

/// Operations whose answers are documents with a form of their own, and the forms of OAuth.
const NO_EXAMPLE: [&str; 15] = [
    "prove_event",
    "prove_token",
    "get_openapi",
    "introspect",
    "revoke",
    "get_jwks",
    "acknowledge_finding",
    "close_finding",
    "record_cloudevents",
    "export_traces",
    "export_logs",
    "record_decisions",
    "record_adapted",
    "record_hooked",
    "verify_hook",
];

#[test]
fn the_document_says_what_the_server_does() {
    let server = Server::start();
    assert_eq!(server.call("GET", "/openapi.json", None, None).status, 401);
    let producer = server.key("", "idp", &["producer"]);
    let document = server.get("/openapi.json", &producer).json();
    assert_eq!(document["openapi"], "3.1.0");
    // Every operation exists, and who has no key learns nothing but what is public.
    for (template, methods) in document["paths"].as_object().expect("paths") {
        let parts = [
            ("{path}", "0/000".to_owned()),
            ("{digest}", format!("sha256:{}", "0".repeat(64))),
            ("{handle}", "0".repeat(32)),
            ("{index}", "0".to_owned()),
        ];
        let path =
            parts.iter().fold(template.clone(), |path, (name, part)| path.replace(name, part));
        let path = path.replace(['{', '}'], "");
        for (method, operation) in methods.as_object().expect("methods") {
            let answer = server.call(&method.to_uppercase(), &path, None, None);
            let text = answer.text();
            let exists = !text.contains("no_route") && answer.status != 405;
            assert!(exists, "{method} {template}: {text}");
            let public = operation["security"] == json!([]);
            assert_eq!(answer.status == 401, !public, "{method} {template}: {text}");
        }
    }
    let checker = Checker { server: &server, examples: RefCell::default() };
    let post = |path: &str, body: &Value| checker.call("POST", path, Some(body));
    let get = |path: &str| checker.call("GET", path, None);
    let mut issued = event("i", "ISSUED", "a");
    issued["expires_at"] = "2020-01-01T00:00:00Z".into();
    issued["client_id"] = "web".into();
    issued["scopes"] = json!(["read:orders"]);
    issued["personal"] = json!([{ "role": "SUBJECT", "user_id": "alice", "ip": "192.0.2.7" }]);
    let text = "allow read:orders";
    let digest = format!("sha256:{}", sha256(text.as_bytes()).to_hex());
    let mut policy = event("p", "POLICY_CHANGED", "a");
    policy.as_object_mut().expect("members").remove("token_id");
    policy["target"] = json!({ "kind": "POLICY", "id": "orders" });
    policy["policy_change"] =
        json!({ "effective_from": "2026-01-01T00:00:00Z", "snapshot": digest });
    policy["policies"] = json!([{ "id": "orders", "version": "7", "digest": digest,
        "role": "ACCESS" }]);
    policy["attachments"] = json!([{ "digest": digest, "media_type": "text/plain",
        "data": STANDARD.encode(text) }]);
    let mut access = event("q", "RESOURCE_ACCESSED", "a");
    access["resource"] = "/orders/{id}".into();
    access["outcome"] = "ALLOW".into();
    access["policies"] = policy["policies"].clone();
    let mut child = event("c", "ISSUED", "c");
    child["links"] = json!([{ "token_id": "eu:idp:jti:a", "relation": "MINTED_BY" }]);
    let revoked = event("r", "REVOKED", "b");
    let events = json!([
        issued,
        policy,
        access,
        child,
        event("j", "ISSUED", "b"),
        revoked,
        event("u", "USED", "b")
    ]);
    let verdicts = post("/v1/events", &events);
    for verdict in verdicts["events"].as_array().expect("verdicts") {
        assert_eq!(verdict["status"], "recorded", "{verdict}");
    }
    let lone = post("/v1/events", &event("x", "USED", "a"));
    let id = lone["events"][0]["event_id"].as_str().expect("an id").to_owned();
    let token = "eu:idp:jti:a";
    let handle = post(
        "/v1/resolve",
        &json!({ "kind": "PERSON", "issuer": "idp",
        "value": "alice" }),
    );
    let handle = handle["handle"].as_str().expect("a handle").to_owned();
    get("/");
    get("/v1/status?wait=20");
    get(&format!("/v1/events/bootstrap/{id}"));
    get(&format!("/v1/events/bootstrap/{id}/why"));
    get(&format!("/v1/tokens/{token}"));
    get(&format!("/v1/tokens/{token}/events?limit=1"));
    for end in [
        "lineage",
        "resources?until=end",
        "policies",
        "divergence",
        "exposure",
        "blast-radius",
        "lineage?direction=path&to=eu:idp:jti:c",
    ] {
        get(&format!("/v1/tokens/{token}/{end}"));
    }
    get("/v1/tokens/eu:idp:jti:b/after-revoke");
    get("/v1/after-revoke?from=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z");
    get("/v1/tokens/eu:idp:jti:nobody");
    for path in ["issuers/eu:idp", "clients/eu:idp:web", "sessions/s", "grants/g"] {
        get(&format!("/v1/{path}/tokens"));
    }
    get(&format!("/v1/subjects/{handle}/tokens"));
    get(&format!("/v1/subjects/{handle}/policy-changes?hours=100000"));
    get("/v1/resources/%2Forders%2F%7Bid%7D/tokens");
    get("/v1/policies/orders/versions");
    get(&format!("/v1/pivot?kind=handle&value={handle}"));
    for path in
        ["sources", "keys", "blocks", "revocations", "issuers", "verify-reports", "leaves/0"]
            .into_iter()
            .chain(["write-accesses"])
    {
        get(&format!("/v1/{path}"));
    }
    let why = json!({ "token_id": token, "purpose": "a drill" });
    let shown = post("/v1/disclose", &why);
    assert_eq!(shown["records"], 1, "{shown}");
    let note = json!({ "note": "a drill" });
    post(&format!("/v1/findings/{}/close", "0".repeat(64)), &note);
    let key = json!({ "source": "s", "roles": ["reader"], "strict": true });
    let key = post("/v1/keys", &key)["key_id"].as_str().expect("an id").to_owned();
    let next = post(&format!("/v1/keys/{key}/rotate"), &json!({ "overlap_seconds": 60 }));
    let next = next["key_id"].as_str().expect("an id");
    checker.call("DELETE", &format!("/v1/keys/{next}?reason=a%20drill"), None);
    let table = json!({
        "region": "eu", "issuer": "idp", "taken_at": "2026-01-03T00:00:00Z", "record": true,
        "tokens": [{ "token_id": token, "usable": true },
                   { "token_id": "eu:idp:jti:z", "usable": true }],
    });
    let found = post("/v1/reconciliations", &table);
    assert_eq!(found["differences"].as_array().map(Vec::len), Some(2), "{found}");
    let expected = json!({ "expected": [{ "name": "idp", "phase": "reporting" }] });
    post("/v1/sources", &expected);
    post("/v1/triage", &json!({ "tokens": [{ "id": token }, { "id": "eu:idp:jti:no" }] }));
    let findings = get("/v1/findings?wait=20");
    let first = findings["findings"][0]["id"].as_str().expect("a finding").to_owned();
    get(&format!("/v1/findings/{first}"));
    post(&format!("/v1/tokens/{token}/blast-radius"), &json!({ "dry_run": true }));
    post("/v1/erase", &json!({ "handle": handle, "purpose": "a drill" }));
    examples(&checker.examples.into_inner());
}

/// Every member of the event's schema is one that the server knows.
#[test]
fn the_events_schema_has_the_members_that_are_taken() {
    let server = Server::start();
    let document = server.get("/openapi.json", &server.admin).json();
    let known = document["components"]["schemas"]["Event"]["properties"].as_object();
    let known = known.expect("properties");
    let unknown = |name: &str| {
        // A value of no type that any member has: it is known if the refusal is about the value.
        let mut sent = event("n", "USED", "a");
        sent[name] = json!([[[]]]);
        let answer = server.post("/v1/events", &server.admin, &sent);
        assert!((400..500).contains(&answer.status), "{name}: {}", answer.text());
        answer.text().contains("unknown")
    };
    for name in known.keys() {
        assert!(!unknown(name), "the server does not know {name}");
    }
    assert!(unknown("colour"), "the test can tell");
}
