//! A producer once could write what passes for the ledger's own: EXPIRED, the record that an issuer
//! was told of a revocation, and uses that the ledger says it saw at introspection.

mod running;

use running::Server;
use serde_json::{Value, json};

const TOKEN: &str = "eu:idp:jti:a";

fn event(kind: &str, native: &str, more: &Value) -> Value {
    let mut one = json!({ "native_id": native, "type": kind, "issuer": "idp",
        "occurred_at": "2026-01-02T03:04:05Z" });
    one.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
    one
}

fn about_token(kind: &str, native: &str, more: &Value) -> Value {
    let mut one = event(kind, native, more);
    one["token_id"] = TOKEN.into();
    one
}

#[test]
fn no_producer_writes_what_passes_for_the_ledgers_own() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let gateway = json!({ "tenant": "", "source": "gw", "roles": ["producer"], "types": ["USED"] });
    let gateway = server.post("/v1/keys", &server.admin, &gateway);
    let gateway = gateway.json()["secret"].as_str().expect("a secret").to_owned();
    server.record(&idp, &[about_token("ISSUED", "born", &json!({}))]);
    let told = json!({ "detail": [{ "key": "act", "value": "issuer_told" },
        { "key": "by", "value": "desk" }, { "key": "issuer", "value": "confirmed" }] });
    let seen = json!({ "vantage": "INTROSPECTION" });
    let ledger = json!({ "target": { "kind": "LEDGER", "id": "ledger" } });
    let expires = json!({ "expires_at": "2026-01-02T03:04:00Z" });
    for (key, event, word) in [
        (&idp, about_token("EXPIRED", "x1", &json!({})), "ORIGIN with the state EXPIRED"),
        (&idp, about_token("EXPIRED", "x2", &expires), "follows from expires_at"),
        (&idp, about_token("ADMIN_ACT", "x3", &told), "detail `act`"),
        (&idp, event("ADMIN_ACT", "x4", &ledger), "LEDGER"),
        (&idp, event("HEARTBEAT", "x5", &ledger), "LEDGER"),
        (&idp, about_token("USED", "introspection/k/1/1/ALLOW/a", &seen), "introspection/"),
        (&gateway, about_token("USED", "x6", &seen), "INTROSPECTION"),
        (&idp, about_token("FINDING_RAISED", "x7", &json!({})), "the ledger itself"),
    ] {
        let answer = server.post("/v1/events", key, &event);
        assert_eq!((answer.status, &*answer.code()), (403, "out_of_grant"), "{event}");
        assert!(answer.text().contains(word), "{event}: {}", answer.text());
    }
    // What an issuer may well state, and what is not the ledger's.
    let admin = json!({ "target": { "kind": "CLIENT", "id": "eu:idp:web" }, "action": "disable" });
    let over = json!({ "token_id": "eu:idp:jti:old", "detail": [{ "key": "state",
        "value": "EXPIRED" }] });
    server.record(&idp, &[event("ADMIN_ACT", "y1", &admin), event("ORIGIN", "y2", &over)]);
    server.record(&idp, &[about_token("USED", "y3", &seen)]);
    server.record(&gateway, &[about_token("USED", "y4", &json!({ "vantage": "GATEWAY" }))]);
    let reader = server.key("", "desk", &["reader"]);
    let known = |id: &str| server.get(&format!("/v1/tokens/{id}"), &reader).json();
    assert_eq!(known(TOKEN)["known"]["state"], "ACTIVE");
    assert_eq!(known("eu:idp:jti:old")["known"]["state"], "EXPIRED");
}
