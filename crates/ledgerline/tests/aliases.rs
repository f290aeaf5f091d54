//! `also_known_as` lies inside the grant: a producer of one issuer once ended, reinstated and
//! renamed the tokens of another by calling its own token the same.

mod running;

use running::Server;
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
/// An opaque token of the attacked issuer.
const TOKEN: &str = "an-opaque-token-of-the-attacked-issuer-0123456789";

struct Ledger {
    server: Server,
    idp: String,
    evil: String,
    gateway: String,
    reader: String,
}

fn limited(server: &Server, source: &str, more: &Value) -> String {
    let mut request = json!({ "tenant": "", "source": source, "roles": ["producer"] });
    request.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
    let answer = server.post("/v1/keys", &server.admin, &request);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["secret"].as_str().expect("a secret").to_owned()
}

impl Ledger {
    fn start(evil: &Value) -> Self {
        let server = Server::start();
        let idp = limited(&server, "idp", &json!({ "issuers": ["idp"] }));
        let evil = limited(&server, "evil", evil);
        let gateway = server.key("", "gateway", &["resource_server"]);
        let reader = server.key("", "desk", &["reader"]);
        Self { server, idp, evil, gateway, reader }
    }

    /// What introspection says of the attacked token, and what its own page does.
    fn stands(&self) -> (Value, Value) {
        let body = format!("token={TOKEN}");
        let form = Some((FORM, body.as_bytes()));
        let answer = self.server.call("POST", "/oauth2/introspect", Some(&self.gateway), form);
        let page = self.server.get(&format!("/v1/tokens/{}", victim()), &self.reader);
        (answer.json(), page.json()["known"]["state"].clone())
    }
}

fn victim() -> String {
    ledgerline_proof::token_id::from_presented("eu", "idp", TOKEN.as_bytes()).expect("an id")
}

fn event(native: &str, kind: &str, id: &str, issuer: &str, more: &Value) -> Value {
    let mut one = json!({ "native_id": native, "type": kind, "token_id": id, "issuer": issuer,
        "occurred_at": "2026-01-02T03:04:05Z" });
    one.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
    one
}

fn issued(native: &str, id: &str, issuer: &str, client: &str) -> Value {
    let facts = json!({ "client_id": client, "token_kind": "ACCESS", "scopes": [client],
        "expires_at": "2096-01-01T00:00:00Z" });
    event(native, "ISSUED", id, issuer, &facts)
}

/// Whoever may write for one issuer says that its token is another's, before or after that one's
/// birth: refused, and nothing about the other's token changes.
#[test]
fn a_producer_of_another_issuer_ended_and_renamed_foreign_tokens() {
    for evil_first in [true, false] {
        let ledger = Ledger::start(&json!({ "issuers": ["evil"] }));
        let own = issued("v", &victim(), "idp", "web");
        if !evil_first {
            ledger.server.record(&ledger.idp, std::slice::from_ref(&own));
        }
        for (n, kind) in ["ISSUED", "ORIGIN", "SUSPENDED", "REVOKED"].iter().enumerate() {
            let alias = json!({ "also_known_as": [victim()], "client_id": "evilclient" });
            let attack = event(&format!("a{n}"), kind, "eu:evil:jti:a", "evil", &alias);
            let answer = ledger.server.post("/v1/events", &ledger.evil, &attack);
            assert_eq!((answer.status, answer.code().as_str()), (403, "out_of_grant"), "{kind}");
        }
        if evil_first {
            ledger.server.record(&ledger.idp, &[own]);
        }
        let (introspected, state) = ledger.stands();
        assert_eq!(introspected["active"], true, "evil first: {evil_first}");
        assert_eq!(introspected["client_id"], "web");
        assert_eq!(state, "ACTIVE");
    }
}

/// Who may write for both issuers can say it, and no answer follows it: a token has one issuer.
#[test]
fn an_alias_of_another_issuer_joins_nothing_whoever_states_it() {
    let ledger = Ledger::start(&json!({}));
    ledger.server.record(&ledger.idp, &[issued("v", &victim(), "idp", "web")]);
    let mut alias = issued("a", "eu:evil:jti:a", "evil", "evilclient");
    alias["also_known_as"] = json!([victim()]);
    let revoked = event("r", "REVOKED", "eu:evil:jti:a", "evil", &json!({}));
    ledger.server.record(&ledger.evil, &[alias, revoked]);
    let (introspected, state) = ledger.stands();
    assert_eq!((&introspected["active"], &state), (&json!(true), &json!("ACTIVE")));
    assert_eq!(introspected["client_id"], "web");
    let page = ledger.server.get("/v1/tokens/eu:evil:jti:a", &ledger.reader).json();
    assert_eq!(page["known"]["state"], "REVOKED", "{page}");
}

/// The digest of a token is registered by another issuer too: that one lends it neither its facts
/// nor its life, and the end of either ends both, since nobody can tell which was presented.
#[test]
fn who_claims_the_same_digest_lends_neither_facts_nor_life() {
    let ledger = Ledger::start(&json!({ "issuers": ["evil"] }));
    ledger.server.record(&ledger.idp, &[issued("v", &victim(), "idp", "web")]);
    let same = victim().replace(":idp:", ":evil:");
    ledger.server.record(&ledger.evil, &[issued("a", &same, "evil", "evilclient")]);
    let (introspected, state) = ledger.stands();
    assert_eq!((&introspected["active"], &state), (&json!(true), &json!("ACTIVE")));
    assert_eq!(introspected["client_id"], "web");
    let held = event("s", "SUSPENDED", &victim(), "idp", &json!({}));
    ledger.server.record(&ledger.idp, &[held]);
    let again = event("r", "REINSTATED", &same, "evil", &json!({}));
    ledger.server.record(&ledger.evil, &[again]);
    let (introspected, state) = ledger.stands();
    assert_eq!((&introspected["active"], &state), (&json!(false), &json!("SUSPENDED")));
}

/// A gateway that may only tell of accesses once joined two tokens, so that the end of one ended
/// the other.
#[test]
fn a_key_that_may_not_register_tokens_joins_none() {
    let gateway = json!({ "issuers": ["idp"], "types": ["RESOURCE_ACCESSED"] });
    let ledger = Ledger::start(&gateway);
    let other = issued("o", "eu:idp:jti:o", "idp", "other");
    ledger.server.record(&ledger.idp, &[issued("v", &victim(), "idp", "web"), other]);
    let alias = json!({ "also_known_as": [victim()], "outcome": "ALLOW" });
    let used = event("u", "RESOURCE_ACCESSED", "eu:idp:jti:o", "idp", &alias);
    let answer = ledger.server.post("/v1/events", &ledger.evil, &used);
    assert_eq!((answer.status, answer.code().as_str()), (403, "out_of_grant"));
    let end = event("r", "REVOKED", "eu:idp:jti:o", "idp", &json!({}));
    ledger.server.record(&ledger.idp, &[end]);
    let (introspected, state) = ledger.stands();
    assert_eq!((&introspected["active"], &state), (&json!(true), &json!("ACTIVE")));
}
