//! Security event tokens pushed to a server (RFC 8935, SSF 1.0), and logout tokens, row by row: of
//! a real Keycloak, and of an issuer of the test whose every claim can be altered.

mod running;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use running::{Answer, Server};
use serde_json::{Value, json};

const SECEVENT: &str = "application/secevent+jwt";
const ISS: &str = "https://idp.example.com";
const AUD: &str = "https://ledger.example.com/v1/sets";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a real Keycloak 26.7.3 sent, and its keys.
const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/security_events");

/// The key of the test's issuer.
fn issuer_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key")
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A compact JWS of the test's issuer.
fn signed(typ: Option<&str>, claims: &Value) -> String {
    signed_by(&issuer_key(), "k1", typ, claims)
}

/// The same under another key.
fn signed_by(key: &Ed25519KeyPair, kid: &str, typ: Option<&str>, claims: &Value) -> String {
    let mut header = json!({ "alg": "EdDSA", "kid": kid });
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    let input = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// A folder with the issuers' keys, and the settings that name them.
struct World {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl World {
    /// With more lines of settings; `%` stands for the folder.
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let x = URL_SAFE_NO_PAD.encode(issuer_key().public_key().as_ref());
        let jwks = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "x": x } ] });
        fs::write(at("idp.jwks"), jwks.to_string()).expect("a file");
        fs::write(at("empty.key"), "llk_none_none").expect("a file");
        let recorded = Path::new(RECORDING).join("jwks.json");
        let stream: Value = serde_json::from_str(
            &fs::read_to_string(Path::new(RECORDING).join("sets.json")).expect("a file"),
        )
        .expect("JSON");
        let text = format!(
            "[issuers.idp]\niss = \"{ISS}\"\nregion = \"eu\"\njti_rule = \"identity\"\n\
             jwks_file = {:?}\nevent_audiences = [\"{AUD}\"]\n\
             [issuers.kc]\niss = {}\nregion = \"eu\"\njti_rule = \"identity\"\n\
             jwks_file = {recorded:?}\nevent_audiences = [{}]\n{}",
            at("idp.jwks"),
            stream["iss"],
            stream["aud"],
            more.replace('%', folder.path().to_str().expect("UTF-8")),
        );
        let config = at("ledgerline.toml");
        fs::write(&config, text).expect("a file");
        Self { folder, config }
    }

    fn start(&self) -> Server {
        Server::start_with(&["--config", self.config.to_str().expect("UTF-8")])
    }
}

/// A sound token of the test's issuer.
fn claims() -> Value {
    json!({
        "iss": ISS, "jti": "set-1", "iat": 1_767_323_045, "aud": AUD, "txn": "t",
        "sub_id": { "format": "complex",
            "user": { "format": "iss_sub", "iss": ISS, "sub": "alice-of-the-test" },
            "session": { "format": "opaque", "id": "s-1" } },
        "events": { REVOKED: { "event_timestamp": 1_767_323_045, "initiating_entity": "admin",
            "reason_admin": { "en": "A reason of somebody" } } },
    })
}

fn push(server: &Server, key: Option<&str>, token: &str) -> Answer {
    server.call("POST", "/v1/sets", key, Some((SECEVENT, token.as_bytes())))
}

/// Holds that a token is refused as RFC 8935 section 2.3 has it.
fn is_refused(answer: &Answer, code: &str) {
    assert_eq!(
        (answer.status, &*answer.media_type),
        (400, "application/json"),
        "{}",
        answer.text()
    );
    let body = answer.json();
    assert_eq!(body["err"], code, "{body}");
    assert!(body["description"].as_str().is_some_and(|text| text.len() > 8), "{body}");
    assert_eq!(body.as_object().expect("members").len(), 2);
    assert_eq!(answer.headers["content-language"], "en");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

fn is_taken(answer: &Answer) {
    assert_eq!((answer.status, answer.body.len()), (202, 0), "{}", answer.text());
}

#[test]
fn a_set_is_on_the_disk_before_202_and_a_repeat_gets_the_same() {
    let world = World::new("");
    let mut server = world.start();
    let key = server.key("", "receiver", &["producer"]);
    server.record(
        &key,
        &[json!({ "native_id": "i", "type": "ISSUED", "issuer": "idp",
        "token_id": "eu:idp:jti:t-1", "session_id": "s-1", "occurred_at": "2026-01-02T03:00:00Z",
        "expires_at": "2096-01-01T00:00:00Z" })],
    );
    let token = signed(Some("secevent+jwt"), &claims());
    is_taken(&push(&server, Some(&key), &token));
    // The process dies; what was answered is there, and the repeat is answered as the first.
    server.kill_nine();
    server.reap();
    server.go();
    is_taken(&push(&server, Some(&key), &token));
    let status = server.get("/v1/tokens/eu:idp:jti:t-1", &server.admin).json();
    assert_eq!(status["known"]["state"], "REVOKED", "{status}");
    assert_eq!(status["known"]["active"], false, "{status}");
    let sessions = server.get("/v1/sessions/eu:idp:s-1/tokens", &server.admin);
    assert_eq!(sessions.status, 200, "{}", sessions.text());
    let metrics = server.get("/metrics", &server.admin).text();
    let line = "ledgerline_door_records_total{door=\"sets\",verdict=\"duplicate\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
    // The same identity with another content is no repeat.
    let mut other = claims();
    other["events"][REVOKED]["initiating_entity"] = "policy".into();
    is_refused(
        &push(&server, Some(&key), &signed(Some("secevent+jwt"), &other)),
        "invalid_request",
    );
    let log = server.read("server.log");
    for personal in ["alice-of-the-test", "A reason of somebody"] {
        assert!(!log.contains(personal), "{personal} stands in the log");
    }
}

#[test]
fn the_six_codes_of_rfc_8935() {
    let world = World::new("");
    let server = world.start();
    let key = server.key("", "receiver", &["producer"]);
    let check = |change: fn(&mut Value), code: &str| {
        let mut sent = claims();
        change(&mut sent);
        is_refused(&push(&server, Some(&key), &signed(Some("secevent+jwt"), &sent)), code);
    };
    check(|sent| sent["sub"] = "alice".into(), "invalid_request");
    check(|sent| sent["exp"] = 4_000_000_000_u64.into(), "invalid_request");
    check(|sent| sent["events"]["urn:two"] = json!({}), "invalid_request");
    check(|sent| sent["events"] = json!({ "urn:unheard-of": {} }), "invalid_request");
    check(|sent| sent["aud"] = "https://else.example.com".into(), "invalid_audience");
    check(|sent| sent["iss"] = "https://else.example.com".into(), "invalid_issuer");
    let token = signed(Some("secevent+jwt"), &claims());
    // Another body than the signed one; another signature; another type.
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    let mut changed = claims();
    changed["sub_id"]["session"]["id"] = "s-2".into();
    let header = input.split('.').next().expect("a header");
    let forged = format!("{header}.{}.{signature}", part(&changed));
    is_refused(&push(&server, Some(&key), &forged), "invalid_key");
    is_refused(&push(&server, Some(&key), &format!("{input}.c2ln")), "invalid_key");
    let unsigned =
        format!("{}.{}.", part(&json!({ "alg": "none", "typ": "secevent+jwt" })), part(&claims()));
    is_refused(&push(&server, Some(&key), &unsigned), "invalid_key");
    is_refused(&push(&server, Some(&key), &signed(Some("JWT"), &claims())), "invalid_request");
    is_refused(&push(&server, Some(&key), &signed(None, &claims())), "invalid_request");
    is_refused(&push(&server, Some(&key), "no token"), "invalid_request");
    is_refused(&push(&server, Some(&key), ""), "invalid_request");
    // Who sends it.
    is_refused(&push(&server, None, &token), "authentication_failed");
    is_refused(&push(&server, Some("llk_none_none"), &token), "authentication_failed");
    let reader = server.key("", "soc", &["reader"]);
    is_refused(&push(&server, Some(&reader), &token), "access_denied");
    let request = json!({ "source": "small", "roles": ["producer"], "types": ["USED"] });
    let small = server.post("/v1/keys", &server.admin, &request);
    assert_eq!(small.status, 201, "{}", small.text());
    let small = small.json()["secret"].as_str().expect("a secret").to_owned();
    is_refused(&push(&server, Some(&small), &token), "invalid_request");
    let other = server.call("POST", "/v1/sets", Some(&key), Some(("application/jwt", b"x")));
    assert_eq!((other.status, &*other.code()), (415, "unsupported_media_type"));
    // Nothing of it was recorded; the sound one still can be.
    assert_eq!(
        server
            .get("/metrics", &server.admin)
            .text()
            .matches("door=\"sets\",verdict=\"recorded\"")
            .count(),
        0
    );
    is_taken(&push(&server, Some(&key), &token));
}

#[test]
fn a_token_by_a_key_made_a_moment_ago_was_refused_for_good() {
    const ROTATING: &str = "https://rotating.example.com";
    let world = World::new(&format!(
        "[issuers.rotating]\niss = \"{ROTATING}\"\nregion = \"eu\"\njti_rule = \"identity\"\n\
         jwks_file = \"%/idp.jwks\"\nevent_audiences = [\"{AUD}\"]\njwks_floor_seconds = 6\n"
    ));
    let server = world.start();
    let key = server.key("", "receiver", &["producer"]);
    let new = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).expect("a key");
    let mut sent = claims();
    sent["iss"] = ROTATING.into();
    let token = signed_by(&new, "k2", Some("secevent+jwt"), &sent);
    let forged = signed_by(&new, "k1", Some("secevent+jwt"), &sent);
    let jwk = |kid: &str, key: &Ed25519KeyPair| {
        let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": x })
    };
    let both = json!({ "keys": [jwk("k1", &issuer_key()), jwk("k2", &new)] });
    fs::write(world.folder.path().join("idp.jwks"), both.to_string()).expect("a file");
    // The server has read the keys at its start, and it is too soon to read them again.
    let later = push(&server, Some(&key), &token);
    assert_eq!((later.status, &*later.code()), (503, "issuer_keys_lost"), "{}", later.text());
    assert!(later.headers.contains_key("retry-after"), "the transmitter keeps it");
    is_refused(&push(&server, Some(&key), &forged), "invalid_key");
    std::thread::sleep(std::time::Duration::from_secs(6));
    is_taken(&push(&server, Some(&key), &token));
}

#[test]
fn a_verification_is_a_heartbeat_with_its_state() {
    let world = World::new("");
    let server = world.start();
    let key = server.key("", "receiver", &["producer"]);
    let mut sent = claims();
    sent["sub_id"] = json!({ "format": "opaque", "id": "stream-1" });
    let verification = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    sent["events"] = json!({ verification: { "state": "state-42" } });
    is_taken(&push(&server, Some(&key), &signed(Some("secevent+jwt"), &sent)));
    let sources = server.get("/v1/sources?wait=10", &server.admin).text();
    assert!(sources.contains("receiver"), "{sources}");
}

#[test]
fn what_a_real_keycloak_sent_is_recorded() {
    let world = World::new("");
    let server = world.start();
    let key = server.key("", "keycloak", &["producer"]);
    let recorded: Value = serde_json::from_str(
        &fs::read_to_string(Path::new(RECORDING).join("sets.json")).expect("a file"),
    )
    .expect("JSON");
    let sets = recorded["sets"].as_object().expect("sets");
    assert_eq!(sets.len(), 3);
    for token in sets.values() {
        let token = token.as_str().expect("a token");
        is_taken(&push(&server, Some(&key), token));
        is_taken(&push(&server, Some(&key), token));
        // One bit of a claim, and the real key does not hold for it.
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let claims = URL_SAFE_NO_PAD.decode(&parts[1]).expect("base64url");
        let text = String::from_utf8(claims).expect("UTF-8").replace("\"iat\":17", "\"iat\":16");
        parts[1] = URL_SAFE_NO_PAD.encode(text);
        is_refused(&push(&server, Some(&key), &parts.join(".")), "invalid_key");
    }
    let metrics = server.get("/metrics", &server.admin).text();
    for (verdict, count) in [("recorded", 3), ("duplicate", 3), ("refused", 3)] {
        let line = format!("{{door=\"sets\",verdict=\"{verdict}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    // The session that Keycloak ended.
    let ended = server.get("/v1/sessions/eu:kc:RopyiV695ak3HpnT5vKsC1N9/tokens", &server.admin);
    assert_eq!(ended.status, 200, "{}", ended.text());
}

#[test]
fn an_issuer_may_be_known_by_its_signature_alone() {
    let world = World::new(
        "[doors.idp]\ncheck = \"signed-events\"\nissuer = \"idp\"\nkey_file = \"%/door.key\"\n",
    );
    let folder = world.config.parent().expect("a folder").to_owned();
    // The key comes of the ledger itself: made first, without the door.
    let data = tempfile::tempdir().expect("a folder");
    let mut server = Server::open(data, &[]);
    let key = server.key("", "receiver", &["producer"]);
    fs::write(folder.join("door.key"), &key).expect("a file");
    assert_eq!(server.stop(), Some(0));
    server.set_flags(&["--config", world.config.to_str().expect("UTF-8")]);
    server.go();
    let token = signed(Some("secevent+jwt"), &claims());
    is_taken(&push(&server, None, &token));
    let logout = |claims: &Value, typ: Option<&str>| {
        let body = format!("logout_token={}&x=1", signed(typ, claims));
        let form = "application/x-www-form-urlencoded";
        server.call("POST", "/v1/backchannel-logout", None, Some((form, body.as_bytes())))
    };
    let sound = json!({ "iss": ISS, "jti": "lo-1", "iat": 1_767_323_045, "aud": AUD,
        "exp": 4_000_000_000_u64, "sub": "alice-of-the-test", "sid": "s-9",
        "events": { LOGOUT: {} } });
    for typ in [Some("logout+jwt"), Some("JWT"), None] {
        let answer = logout(&sound, typ);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    let check = |change: fn(&mut Value), typ: &str| {
        let mut sent = sound.clone();
        change(&mut sent);
        let answer = logout(&sent, Some(typ));
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.json()["error"], "invalid_request");
    };
    check(|sent| sent["nonce"] = "n".into(), "logout+jwt");
    check(|sent| sent["aud"] = "web".into(), "logout+jwt");
    check(|sent| sent["iss"] = "https://else.example.com".into(), "logout+jwt");
    check(|sent| sent["exp"] = 1.into(), "logout+jwt");
    check(|sent| (sent["sub"], sent["sid"]) = (Value::Null, Value::Null), "logout+jwt");
    check(|sent| sent["jti"] = "lo-2".into(), "secevent+jwt");
    // An issuer for which the settings have no door.
    let recorded: Value = serde_json::from_str(
        &fs::read_to_string(Path::new(RECORDING).join("sets.json")).expect("a file"),
    )
    .expect("JSON");
    let of_another = recorded["sets"].as_object().expect("sets").values().next().expect("a set");
    let answer = push(&server, None, of_another.as_str().expect("a token"));
    is_refused(&answer, "authentication_failed");
    // A key that has ended ends the door.
    let id = key.split('_').nth(1).expect("an id");
    let ended = server.call("DELETE", &format!("/v1/keys/{id}"), Some(&server.admin), None);
    assert_eq!(ended.status, 200, "{}", ended.text());
    is_refused(&push(&server, None, &token), "authentication_failed");
}
