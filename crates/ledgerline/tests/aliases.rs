//! `also_known_as` lies inside the grant: a producer of one issuer once ended, reinstated and
//! renamed the tokens of another by calling its own token the same.

mod running;

use running::{Server, run, stderr, stdout};
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

/// Another issuer once hid a live token: it called the digest its own and ended that, and a
/// responder's revocation was "0 of 1" of the other's, exit code 0, while the token lived on.
#[test]
fn a_revoked_claim_on_a_digest_hid_the_live_token_from_the_responder() {
    for by_command in [true, false] {
        let ledger = Ledger::start(&json!({ "issuers": ["evil"] }));
        let server = &ledger.server;
        let responder = server.key("", "responder", &["responder"]);
        server.record(&ledger.idp, &[issued("v", &victim(), "idp", "web")]);
        let same = victim().replace(":idp:", ":evil:");
        let end = event("r", "REVOKED", &same, "evil", &json!({}));
        server.record(&ledger.evil, &[issued("a", &same, "evil", "evilclient"), end]);
        let digest = victim().rsplit(':').next().expect("a digest").to_owned();
        let asked = json!({ "tokens": [{ "digest": digest }] });
        let triage = server.post("/v1/triage", &responder, &asked).json()["tokens"][0].clone();
        assert_eq!((&triage["differs"], &triage["alive"]), (&json!(true), &Value::Null));
        assert_eq!((&triage["claimed_by_several"], &triage["state"]), (&json!(true), &Value::Null));
        assert_eq!(triage["token_id"], victim(), "what lives is first: {triage}");
        for args in [&["trace", "-"][..], &["introspect", "-"], &["blast-radius", "-"]] {
            let out = server.run_with(&responder, args, TOKEN.as_bytes());
            let text = stdout(&out);
            assert_eq!(out.status.code(), Some(3), "{args:?} {text}");
            for part in [&victim(), &same, "DIFFERS", "ACTIVE  ", "REVOKED  ", "several issuers"] {
                assert!(text.contains(part), "{args:?} lacks {part}: {text}");
            }
            let args = [args, &["-o", "json"]].concat();
            let out = server.run_with(&responder, &args, TOKEN.as_bytes());
            let one: Value = serde_json::from_slice(&out.stdout).expect("one document");
            assert_eq!((out.status.code(), &one["differs"]), (Some(3), &json!(true)), "{one}");
            assert_eq!(one["records"].as_array().map(Vec::len), Some(2), "{one}");
        }
        let out = server.run_with(&responder, &["query", "triage", "-"], TOKEN.as_bytes());
        let text = stdout(&out);
        assert!(text.contains("0 dead") && text.contains("1 differing"), "{text}");
        assert_eq!(out.status.code(), Some(3));
        if by_command {
            let out = server.run_with(&responder, &["revoke", "-"], TOKEN.as_bytes());
            let text = stdout(&out);
            assert!(out.status.success() && text.contains("revoked 1 of 2"), "{text}");
        } else {
            let form = format!("token={TOKEN}");
            let form = Some((FORM, form.as_bytes()));
            let answer = server.call("POST", "/oauth2/revoke", Some(&responder), form).json();
            assert_eq!((&answer["revoked"], &answer["family"]), (&json!(1), &json!(2)), "{answer}");
            assert_eq!(answer["to_revoke"], json!([victim()]));
            assert_eq!(answer["claimed_by_several"], true);
        }
        assert_eq!(ledger.stands().1, "REVOKED");
        for id in [victim(), same] {
            let path = format!("/v1/findings?wait=20&token={id}");
            let found = server.get(&path, &ledger.reader).json()["findings"].clone();
            let told: Vec<_> = found.as_array().expect("a list").iter().collect();
            let [one] = &told[..] else { panic!("one finding about {id}: {found}") };
            assert_eq!(
                (&one["rule"], &one["severity"]),
                (&json!("claimed_by_several"), &json!("high"))
            );
        }
    }
}

/// Whose grant ends at one issuer is told that another's live token was not ended; and another
/// issuer's claim keeps no client from ending its own token.
#[test]
fn what_a_credential_may_not_end_was_passed_over_in_silence() {
    let ledger = Ledger::start(&json!({ "issuers": ["evil"] }));
    let server = &ledger.server;
    server.record(&ledger.idp, &[issued("v", &victim(), "idp", "web")]);
    let same = victim().replace(":idp:", ":evil:");
    server.record(&ledger.evil, &[issued("a", &same, "evil", "evilclient")]);
    let narrow =
        json!({ "tenant": "", "source": "desk2", "roles": ["responder"], "issuers": ["evil"] });
    let narrow = server.post("/v1/keys", &server.admin, &narrow).json()["secret"].clone();
    let form = format!("token={TOKEN}");
    let form = Some((FORM, form.as_bytes()));
    let call = |key: &str| server.call("POST", "/oauth2/revoke", Some(key), form);
    let answer = call(narrow.as_str().expect("a key")).json();
    assert_eq!((&answer["to_revoke"], &answer["cut_by"]), (&json!([same]), &json!(["grant"])));
    let client = server.key("", "web", &["client"]);
    let answer = call(&client);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(ledger.stands().1, "REVOKED");
}

/// Exit codes and words of `face` and of `check` on the bundle that it writes.
fn proven(server: &Server, face: &[&str], id: &str) -> ((i32, String), (i32, String)) {
    let file = server.path(&format!("{}.json", face.join("-").replace(' ', "-")));
    let name = file.to_str().expect("text");
    let flag = if face[0] == "prove" { "--out" } else { "--proof" };
    let args: Vec<&str> = face.iter().copied().chain(["--force", flag, name, id]).collect();
    let answer = server.run(&server.admin, &args);
    let said = (answer.status.code().expect("a code"), stdout(&answer) + &stderr(&answer));
    let status = server.get("/v1/status", &server.admin).json();
    let key = status["log_key"].as_str().expect("a key");
    let check = run(&["check", name, "--key", key], &[], b"");
    (said, (check.status.code().expect("a code"), stdout(&check) + &stderr(&check)))
}

/// A bundle of one id showed one chain: a token that the ledger called REVOKED, by an entry on the
/// chain of its other id, was PROVEN "known ACTIVE", with exit code 0. Then it was INCOMPLETE,
/// which left a JWT without a proof of its life.
#[test]
fn a_token_revoked_by_an_alias_was_proven_active() {
    let server = Server::start();
    for names_it in [true, false] {
        let case = if names_it { "names" } else { "named" };
        let (id, alias) = (format!("eu:idp:jti:x-{case}"), format!("eu:idp:jti:y-{case}"));
        let (names, none) = (|other: &str| json!({ "also_known_as": [other] }), json!({}));
        let (own, others) =
            if names_it { (names(&alias), none.clone()) } else { (none.clone(), names(&id)) };
        let born = event(&format!("{case} 1"), "ISSUED", &id, "idp", &own);
        let used = event(&format!("{case} 2"), "USED", &alias, "idp", &others);
        let ended = event(&format!("{case} 3"), "REVOKED", &alias, "idp", &none);
        server.record(&server.admin, &[born, used, ended]);
        let page = server.get(&format!("/v1/tokens/{id}"), &server.admin).json();
        assert_eq!(page["known"]["state"], "REVOKED", "{case}: {page}");
        let disclose = ["prove", "--disclose", "--purpose", "case 1"];
        for face in [&["prove"][..], &["trace"], &disclose, &["lineage"]] {
            for asked in [&id, &alias] {
                let ((code, said), (checked, report)) = proven(&server, face, asked);
                assert_eq!((code, checked), (0, 0), "{case} {face:?}: {said}{report}");
                assert!(report.starts_with("PROVEN"), "{report}");
                assert!(report.contains("known REVOKED (not active)"), "{case}: {report}");
                assert!(report.contains("; shown are "), "{case}: {report}");
            }
        }
    }
}

/// Of a token with two ids, the bundle of the one had to show the other's chain; one whose maker
/// says that it does not was PROVEN, and its states told, all the same.
#[test]
fn a_bundle_whose_maker_says_that_it_is_not_whole_told_a_state() {
    let server = Server::start();
    let id = "eu:idp:jti:one";
    server.record(&server.admin, &[event("1", "ISSUED", id, "idp", &json!({}))]);
    let file = server.path("bundle.json");
    let name = file.to_str().expect("text");
    assert_eq!(server.run(&server.admin, &["prove", id, "--out", name]).status.code(), Some(0));
    let status = server.get("/v1/status", &server.admin).json();
    let key = status["log_key"].as_str().expect("a key");
    let check = || {
        let check = run(&["check", name, "--key", key], &[], b"");
        (check.status.code(), stdout(&check))
    };
    let (code, report) = check();
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("known ACTIVE"), "{report}");
    let text = std::fs::read_to_string(&file).expect("written");
    let mut bundle: Value = serde_json::from_str(&text).expect("JSON");
    bundle["coverage"]["notes"] = json!(["INCOMPLETE when it was made: something is missing"]);
    std::fs::write(&file, bundle.to_string()).expect("written");
    let (code, report) = check();
    assert_eq!(code, Some(3), "{report}");
    assert!(!report.contains("ACTIVE"), "{report}");
}

/// Of the ids of a token 16 are read: what stands on the others was nowhere said to be missing.
#[test]
fn a_token_of_more_ids_than_are_read_was_proven_active() {
    let server = Server::start();
    let id = "eu:idp:jti:many";
    let mut events = vec![event("0", "ISSUED", id, "idp", &json!({ "token_kind": "ACCESS" }))];
    for n in 0..20 {
        let names = json!({ "also_known_as": [id] });
        events.push(event(&format!("u{n}"), "USED", &format!("eu:idp:jti:m{n:02}"), "idp", &names));
    }
    events.push(event("e", "REVOKED", "eu:idp:jti:m19", "idp", &json!({})));
    server.record(&server.admin, &events);
    for face in [&["prove"][..], &["trace"], &["lineage"]] {
        let ((code, said), (checked, report)) = proven(&server, face, id);
        assert_eq!((code, checked), (3, 3), "{face:?}: {said}{report}");
        assert!(report.starts_with("INCOMPLETE: "), "{face:?}: {report}");
    }
}

/// More ids than are read, joined one behind the other: whoever presented the token got 503 for
/// ever, nothing was revoked, and that it was revoked changed nothing.
#[test]
fn a_token_of_more_ids_than_are_read_could_not_be_ended_by_presenting_it() {
    let ledger = Ledger::start(&json!({}));
    let server = &ledger.server;
    let desk = server.key("", "soc", &["responder"]);
    let client = server.key("", "web", &["client"]);
    let opaque = |name: &str| format!("an-opaque-token-0123456789-of-{name}");
    let many = |name: &str| {
        let token = opaque(name);
        let id = ledgerline_proof::token_id::from_presented("eu", "idp", token.as_bytes());
        let id = id.expect("an id");
        let mut events = vec![issued(&format!("i{name}"), &id, "idp", "web")];
        let mut before = id.clone();
        for n in 0..19 {
            let names = json!({ "also_known_as": [before] });
            before = format!("eu:idp:jti:{name}{n:02}");
            events.push(event(&format!("u{name}{n}"), "USED", &before, "idp", &names));
        }
        server.record(&server.admin, &events);
        (token, id)
    };
    let form = |path: &str, key: &str, token: &str| {
        let body = format!("token={token}");
        server.call("POST", path, Some(key), Some((FORM, body.as_bytes())))
    };
    let introspect = |token: &str| form("/oauth2/introspect", &ledger.gateway, token);
    let commands: [(&str, &[&str]); 3] = [
        ("a", &["revoke", "-"]),
        ("b", &["revoke", "--region", "eu", "-"]),
        ("c", &["blast-radius", "--revoke", "-"]),
    ];
    for (name, command) in commands {
        let (token, id) = many(name);
        let answer = introspect(&token);
        assert_eq!(answer.status, 503, "neither active nor not: {}", answer.text());
        assert!(answer.text().contains("ledgerline revoke -"), "{}", answer.text());
        for reading in [&["trace", "-"][..], &["introspect", "-"], &["blast-radius", "-"]] {
            let out = server.run_with(&desk, reading, token.as_bytes());
            let said = stderr(&out);
            assert_eq!(out.status.code(), Some(3), "{reading:?}: {said}");
            assert!(said.contains(&format!("ledgerline revoke {id}")), "{reading:?}: {said}");
        }
        let out = server.run_with(&desk, &["query", "triage", "-"], token.as_bytes());
        assert_eq!(out.status.code(), Some(3), "{}", stdout(&out));
        assert!(stdout(&out).contains("unreadable") && stdout(&out).contains(&id));
        let out = server.run_with(&desk, command, token.as_bytes());
        assert_eq!(out.status.code(), Some(3), "{command:?}: {}{}", stdout(&out), stderr(&out));
        assert!(stdout(&out).contains("revoked 1 of 1"), "{}", stdout(&out));
        assert!(stdout(&out).contains("INCOMPLETE: cut by width"), "{}", stdout(&out));
        assert_eq!(introspect(&token).text(), r#"{"active":false}"#);
        let out = server.run_with(&desk, &["query", "triage", "-"], token.as_bytes());
        assert_eq!(out.status.code(), Some(0), "it is revoked: {}", stdout(&out));
        assert!(stdout(&out).contains("REVOKED"), "{}", stdout(&out));
    }
    // A client's 200 has no room for what was not ended.
    let (token, _) = many("d");
    let answer = form("/oauth2/revoke", &client, &token);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(introspect(&token).text(), r#"{"active":false}"#);
    // Who revoked it does not matter.
    let (token, id) = many("e");
    server.record(&server.admin, &[event("re", "REVOKED", &id, "idp", &json!({}))]);
    assert_eq!(introspect(&token).text(), r#"{"active":false}"#);
    let answer = form("/oauth2/revoke", &desk, &token);
    assert_eq!((answer.status, &answer.json()["cut_by"]), (200, &json!(["width"])));
}
