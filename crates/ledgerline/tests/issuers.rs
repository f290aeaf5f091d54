//! The issuer register: JWTs by verified issuer and jti, the keys of issuers, and everything that
//! is not what it says it is.

mod running;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_proof::token_id::from_presented;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use running::receiver::Receiver;
use running::{Answer, Server, stdout};
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
const INACTIVE: &[u8] = br#"{"active":false}"#;
const ISS: &str = "https://idp.test";
/// The year 2096.
const LATE: i64 = 3_976_214_400;

/// A key of an issuer.
enum Key {
    Ec(Box<EcdsaKeyPair>),
    Ed(Ed25519KeyPair),
}

impl Key {
    fn ec() -> Self {
        let (how, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(how, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(how, made.as_ref(), &random).expect("a key");
        Self::Ec(Box::new(pair))
    }

    fn ed() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self::Ed(Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key"))
    }

    fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": kid,
                    "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Self::Ed(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid,
                "x": text(pair.public_key().as_ref()) }),
        }
    }

    fn sign(&self, kid: &str, claims: &Value) -> String {
        let alg = if matches!(self, Self::Ec(_)) { "ES256" } else { "EdDSA" };
        let header = json!({ "alg": alg, "kid": kid, "typ": "at+jwt" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(claims));
        let signature = match self {
            Self::Ec(pair) => {
                let signed = pair.sign(&SystemRandom::new(), input.as_bytes()).expect("signed");
                signed.as_ref().to_vec()
            }
            Self::Ed(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn claims(jti: &str) -> Value {
    json!({ "iss": ISS, "jti": jti, "sub": "alice", "exp": LATE })
}

fn issued(native_id: &str, token_id: &str) -> Value {
    json!({ "native_id": native_id, "type": "ISSUED", "token_id": token_id, "issuer": "idp",
        "occurred_at": "2026-01-02T03:04:05.678Z", "client_id": "web", "token_kind": "ACCESS",
        "expires_at": "2096-06-01T00:00:00Z" })
}

fn ask(server: &Server, path: &str, key: &str, token: &str) -> Answer {
    server.call("POST", path, Some(key), Some((FORM, format!("token={token}").as_bytes())))
}

fn introspect(server: &Server, key: &str, token: &str) -> Answer {
    ask(server, "/oauth2/introspect", key, token)
}

fn is_active(server: &Server, key: &str, token: &str) -> bool {
    let answer = introspect(server, key, token);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let active = answer.json()["active"] == true;
    assert!(active || answer.body == INACTIVE, "{}", answer.text());
    active
}

/// A server whose configuration file has `issuers`; the file goes with the folder.
fn server(issuers: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ledgerline.toml");
    std::fs::write(&file, issuers).expect("a file");
    (Server::start_with(&["--config", file.to_str().expect("UTF-8")]), folder)
}

fn register(more: &str) -> String {
    format!("[issuers.idp]\niss = \"{ISS}\"\nregion = \"eu\"\njti_rule = \"identity\"\n{more}\n")
}

/// A server whose register has one issuer with this key in a file.
fn server_with_key(ed: &Key) -> (Server, [tempfile::TempDir; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, json!({ "keys": [ed.jwk("b")] }).to_string()).expect("a file");
    let (server, config) = server(&register(&format!("jwks_file = {keys:?}")));
    (server, [folder, config])
}

#[test]
fn a_jwt_is_found_by_its_verified_issuer_and_jti() {
    let (ec, ed) = (Key::ec(), Key::ed());
    let set = json!({ "keys": [ec.jwk("a"), ed.jwk("b"), { "kty": "oct", "k": "c2VjcmV0" }] });
    let idp = Receiver::start(move |_, _| (200, "application/jwk-set+json", set.to_string()));
    let more = format!("jwks_url = \"{}/jwks\"\njwks_floor_seconds = 3600", idp.url);
    let (mut server, _folder) = server(&register(&more));
    let producer = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let responder = server.key("", "soc", &["responder"]);
    let client = server.key("", "web", &["client"]);
    let good: Vec<String> = vec![
        ec.sign("a", &claims("one")),
        ed.sign("b", &claims("two")),
        ec.sign("a", &claims("odd jti \u{e9}")),
    ];
    let odd = ledgerline_proof::token_id::from_jti("eu", "idp", "odd jti \u{e9}").expect("an id");
    let ids = ["eu:idp:jti:one", "eu:idp:jti:two", &odd];
    for token in &good {
        assert!(!is_active(&server, &gateway, token), "the ledger knows nothing of it yet");
    }
    for (n, id) in ids.iter().enumerate() {
        server.record(&producer, &[issued(&format!("i-{n}"), id)]);
    }
    for token in &good {
        assert!(is_active(&server, &gateway, token));
    }
    let answer = introspect(&server, &gateway, &good[0]).json();
    assert_eq!((&answer["jti"], &answer["exp"]), (&json!("one"), &json!(LATE)), "{answer}");
    assert_eq!(answer["iss"], ISS);
    let bad = forgeries(&ec, &good[0]);
    for (why, token) in &bad {
        assert!(!is_active(&server, &gateway, token), "{why}");
        // To be ended it is found by what it claims, and the answer says that nobody vouched.
        let answer = ask(&server, "/oauth2/revoke", &responder, &format!("{token}&dry_run=true"));
        assert_eq!((answer.status, &answer.json()["revoked"]), (200, &json!(0)), "{why}");
        let vouched = if why.contains("jti") { "verified" } else { "not_verified" };
        assert_eq!(answer.json()["signature"], vouched, "{why}");
        let answer = ask(&server, "/oauth2/revoke", &client, token);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{why}");
    }
    assert!(is_active(&server, &gateway, &good[0]), "no forgery revoked it");
    assert_eq!(idp.received().len(), 1, "keys are fetched once, whatever is presented");
    let shown = server.get("/v1/issuers", &gateway).json()["issuers"][0].clone();
    assert_eq!((&shown["iss"], &shown["keys"]["usable"]), (&json!(ISS), &json!(2)), "{shown}");
    let status = server.run(&responder, &["status"]);
    assert!(stdout(&status).contains("idp (eu, jti is identity, keys 2)"), "{}", stdout(&status));
    let answer = ask(&server, "/oauth2/revoke", &responder, &good[0]).json();
    assert_eq!(answer["revoked"], 1, "{answer}");
    assert!(!is_active(&server, &gateway, &good[0]));
    server.kill_nine();
    server.reap();
    server.go();
    assert!(!is_active(&server, &gateway, &good[0]));
    assert!(is_active(&server, &gateway, &good[1]));
    server.stop();
    // The signature alone, or the claims alone, must not stand there either.
    let parts = good.iter().flat_map(|token| token.split('.').skip(1));
    absent(server.folder.path(), &parts.map(str::to_owned).collect::<Vec<_>>());
}

/// Tokens that say they are the good one, or a sibling of it, and are not.
fn forgeries(ec: &Key, good: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let with =
        |header: Value, signature: &str| format!("{}.{}.{signature}", part(&header), parts[1]);
    let Key::Ec(pair) = ec else { panic!("an EC key") };
    let hmac = |secret: &[u8]| {
        let input = format!("{}.{}", part(&json!({ "alg": "HS256", "kid": "a" })), parts[1]);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let tag = ring::hmac::sign(&key, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let stranger = Key::ec();
    let mut list = vec![
        ("no signature", with(json!({ "alg": "none", "kid": "a" }), "")),
        ("alg none with a signature", with(json!({ "alg": "none" }), parts[2])),
        ("HMAC with the public key", hmac(pair.public_key().as_ref())),
        ("another alg", with(json!({ "alg": "EdDSA", "kid": "a" }), parts[2])),
        ("another header", with(json!({ "alg": "ES256", "kid": "a", "typ": "x" }), parts[2])),
        ("another's key", stranger.sign("a", &claims("one"))),
        ("an unknown kid", stranger.sign("z", &claims("one"))),
        ("another issuer", ec.sign("a", &json!({ "iss": "https://evil.test", "jti": "one" }))),
        ("no issuer", ec.sign("a", &json!({ "jti": "one" }))),
        ("an empty signature", format!("{}.{}.", parts[0], parts[1])),
        ("odd signature", format!("{}.{}.!!", parts[0], parts[1])),
        ("exp of another type", ec.sign("a", &json!({ "iss": ISS, "jti": "one", "exp": "x" }))),
    ];
    let jtis = [("another jti", "two-and-a-half"), ("jti with another's prefix", "idp:jti:one")];
    list.extend(jtis.map(|(why, jti)| (why, ec.sign("a", &claims(jti)))));
    list
}

#[test]
fn a_tokens_own_times_narrow_what_the_ledger_says() {
    let ed = Key::ed();
    let (server, _folders) = server_with_key(&ed);
    let producer = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    server.record(&producer, &[issued("i", "eu:idp:jti:one")]);
    let mut past = issued("p", "eu:idp:jti:past");
    past["expires_at"] = "2026-01-02T04:00:00Z".into();
    server.record(&producer, &[past]);
    let check = |jti: &str, more: Value, expected: bool| {
        let mut claims = json!({ "iss": ISS, "jti": jti });
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        assert_eq!(is_active(&server, &gateway, &ed.sign("b", &claims)), expected, "{claims}");
    };
    check("one", json!({}), true);
    check("one", json!({ "exp": 3_976_214_400.5, "nbf": 1.5 }), true);
    check("one", json!({ "exp": 1_767_323_045 }), false);
    check("one", json!({ "nbf": LATE }), false);
    check("past", json!({ "exp": LATE }), false);
    // The signature is looked at also where the digest alone would find it.
    let token = ed.sign("b", &claims("by-digest"));
    let id = from_presented("eu", "idp", token.as_bytes()).expect("an id");
    server.record(&producer, &[issued("t", &id)]);
    assert!(is_active(&server, &gateway, &token));
    let input = token.rsplit_once('.').expect("dots").0;
    let other = ed.sign("b", &claims("another")).rsplit_once('.').expect("dots").1.to_owned();
    assert!(!is_active(&server, &gateway, &format!("{input}.{other}")));
    // A use under a name that was never issued says nothing; see below for an end under one.
    let used =
        from_presented("eu", "idp", ed.sign("b", &json!({ "iss": ISS, "jti": "one" })).as_bytes());
    let mut used = issued("u", &used.expect("an id"));
    used["type"] = "USED".into();
    server.record(&producer, &[used]);
    check("one", json!({}), true);
    // Two names that nobody joined: the end of one is the end of the token.
    server.record(&producer, &[issued("j", "eu:idp:jti:by-digest")]);
    assert!(is_active(&server, &gateway, &token));
    let end = json!({ "native_id": "r", "type": "REVOKED", "token_id": id, "issuer": "idp",
        "occurred_at": "2026-01-02T03:05:00Z" });
    server.record(&producer, &[end]);
    assert!(!is_active(&server, &gateway, &token));
}

#[test]
fn keys_come_go_and_may_not_be_had() {
    let (old, new) = (Key::ed(), Key::ec());
    let published = Arc::new(Mutex::new((503, String::new())));
    let said = Arc::clone(&published);
    let idp = Receiver::start(move |_, _| {
        let (status, body) = said.lock().expect("no panic").clone();
        (status, "application/json", body)
    });
    let publish = |status: u16, keys: Value| {
        *published.lock().expect("no panic") = (status, json!({ "keys": keys }).to_string());
    };
    let more = format!(
        "jwks_url = \"{}/jwks\"\njwks_floor_seconds = 1\njwks_max_age_seconds = 1\n\
         tenants = [\"\"]\n[issuers.other]\niss = \"https://other.test\"\nregion = \"eu\"\n\
         jti_rule = \"bearer\"\njwks_url = \"{}/jwks\"\n",
        idp.url, idp.url
    );
    let (server, _folder) = server(&register(&more));
    let producer = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    server.record(&producer, &[issued("i", "eu:idp:jti:one"), issued("j", "eu:other:jti:one")]);
    let (first, second) = (old.sign("a", &claims("one")), new.sign("b", &claims("one")));
    let answer = introspect(&server, &gateway, &first);
    assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("temporarily_unavailable")));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!is_active(&server, &gateway, "opaque-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6"), "others go on");
    let wait = || std::thread::sleep(Duration::from_millis(1300));
    publish(200, json!([old.jwk("a")]));
    wait();
    assert!(is_active(&server, &gateway, &first));
    assert!(!is_active(&server, &gateway, &second), "not published yet");
    publish(200, json!([old.jwk("a"), new.jwk("b")]));
    wait();
    assert!(is_active(&server, &gateway, &second));
    publish(500, json!([]));
    wait();
    assert!(is_active(&server, &gateway, &first), "what is known is believed a while");
    publish(200, json!([new.jwk("b")]));
    wait();
    assert!(!is_active(&server, &gateway, &first), "its key was withdrawn");
    assert!(is_active(&server, &gateway, &second));
    // An issuer whose jti is the bearer value is not asked for by it.
    let claims = json!({ "iss": "https://other.test", "jti": "one", "exp": LATE });
    assert!(!is_active(&server, &gateway, &new.sign("b", &claims)));
    // A tenant that may not know of the issuer has no use of its keys.
    let stranger = server.key("acme", "gateway", &["resource_server"]);
    let shown = server.get("/v1/issuers", &stranger).json()["issuers"].clone();
    let aliases: Vec<_> =
        shown.as_array().expect("a list").iter().map(|one| one["alias"].clone()).collect();
    assert_eq!(aliases, ["other"]);
}

/// Callers with made-up key ids once waited for such an issuer one behind the other, and kept every
/// thread that others needed.
#[test]
fn an_issuer_whose_keys_hang_holds_up_its_own_tokens_only() {
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = hanging.local_addr().expect("an address");
    let more = format!("jwks_url = \"http://{address}/jwks\"\njwks_floor_seconds = 1");
    let (server, _folder) = server(&register(&more));
    let gateway = server.key("", "gateway", &["resource_server"]);
    let attacker = server.key("", "other-gateway", &["resource_server"]);
    let key = Key::ed();
    let longest = std::thread::scope(|scope| {
        for n in 0..40 {
            let (server, attacker, key) = (&server, &attacker, &key);
            scope.spawn(move || {
                for m in 0..4 {
                    let token = key.sign(&format!("kid-{n}-{m}"), &claims("one"));
                    assert_eq!(introspect(server, attacker, &token).status, 503);
                }
            });
        }
        let mut longest = Duration::ZERO;
        for n in 0..100 {
            let begun = std::time::Instant::now();
            assert!(!is_active(&server, &gateway, &format!("opaque-Jq8Zr2Wm5Tk9Xs4Vb7Nc-{n}")));
            assert_eq!(server.get("/v1/issuers", &server.admin).status, 200);
            longest = longest.max(begun.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        longest
    });
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    drop(hanging);
}

#[test]
fn a_wrong_register_is_said_and_nothing_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |text: &str, part: &str| {
        let file = folder.path().join("ledgerline.toml");
        std::fs::write(&file, text).expect("a file");
        let data = folder.path().join("data");
        let (file, data) = (file.to_str().expect("UTF-8"), data.to_str().expect("UTF-8"));
        let output = running::run(&["serve", "--config", file, "--data", data], &[], b"");
        assert_eq!(output.status.code(), Some(64), "{text}");
        let said = running::stderr(&output);
        assert!(said.contains(part), "{text}: {said}");
        assert!(!Path::new(data).exists(), "{text}: a ledger was made");
    };
    check(&register("client_secret = \"hush\""), "issuers.idp: unknown field `client_secret`");
    check(&register("jwks_file = \"nowhere.json\""), "issuers.idp: jwks_file: nowhere.json");
    check(&register("jwks_url = \"http://idp.test/\""), "issuers.idp: jwks_url: plain http");
    check("[issuers.idp]\niss = \"x\"", "issuers.idp: missing field `region`");
}

/// Two ledgers: the signed answers of the one are JWTs that the other verifies, over TLS.
#[test]
fn keys_are_fetched_over_tls_from_who_shows_the_certificate() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let cert = format!("{fixtures}/localhost-cert.pem");
    let idp = Server::start_with(&[
        "--tls-cert",
        &cert,
        "--tls-key",
        &format!("{fixtures}/localhost-key.pem"),
    ]);
    let jwks = format!("{}/oauth2/jwks", idp.url.replace("127.0.0.1", "localhost"));
    let trusting = format!("jwks_url = \"{jwks}\"\nca_file = \"{cert}\"");
    let doubting = register(&format!("jwks_url = \"{jwks}\"")).replace("idp]", "b]");
    let doubting = doubting.replace(ISS, "https://b.test");
    let (server, _folder) = server(&format!("{}{doubting}", register(&trusting)));
    let gateway = server.key("", "gateway", &["resource_server"]);
    let stranger = Key::ed();
    assert!(!is_active(&server, &gateway, &stranger.sign("x", &claims("one"))));
    let of_b = json!({ "iss": "https://b.test", "jti": "one" });
    assert_eq!(introspect(&server, &gateway, &stranger.sign("x", &of_b)).status, 503);
    let shown = server.get("/v1/issuers", &gateway).json()["issuers"].clone();
    let keys = |alias: &str| {
        let list = shown.as_array().expect("issuers").iter();
        list.clone().find(|one| one["alias"] == alias).expect(alias)["keys"].clone()
    };
    let (idp, b) = (keys("idp"), keys("b"));
    assert_eq!((&idp["usable"], &idp["last_failure"]), (&json!(1), &Value::Null), "{idp}");
    assert_eq!((&b["usable"], &b["failures"]), (&Value::Null, &json!(1)), "{b}");
}

/// Whatever ends a token, from the acknowledgement on nobody hears that it is active, however often
/// it was verified before.
#[test]
fn a_verified_token_is_never_older_than_what_was_acknowledged() {
    let ed = Key::ed();
    let (server, _folders) = server_with_key(&ed);
    let producer = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let responder = server.key("", "soc", &["responder"]);
    let ways = ["id", "digest", "presented", "session", "radius"];
    for round in 0..20 {
        let jti = format!("token-{round}");
        let token = ed.sign("b", &claims(&jti));
        let (id, session) = (format!("eu:idp:jti:{jti}"), format!("s-{round}"));
        let mut birth = issued(&jti, &id);
        birth["session_id"] = session.as_str().into();
        server.record(&producer, &[birth]);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = || {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    is_active(&server, &gateway, &token);
                }
            };
            scope.spawn(asking);
            assert!(is_active(&server, &gateway, &token), "{jti}");
            let end = |target: Value| {
                let event = json!({ "native_id": format!("end-{round}"), "type": "REVOKED",
                    "target": target, "issuer": "idp", "occurred_at": "2026-01-02T03:05:00Z" });
                server.record(&producer, &[event]);
            };
            match ways[round % ways.len()] {
                "id" => end(json!({ "kind": "TOKEN", "id": id })),
                "digest" => {
                    let digest = from_presented("eu", "idp", token.as_bytes()).expect("an id");
                    end(json!({ "kind": "TOKEN", "id": digest }));
                }
                "presented" => {
                    let answer = ask(&server, "/oauth2/revoke", &responder, &token);
                    assert_eq!(answer.json()["revoked"], 1, "{}", answer.text());
                }
                "session" => {
                    end(json!({ "kind": "SESSION", "id": format!("eu:idp:{session}") }));
                }
                _ => {
                    let path = format!("/v1/tokens/{id}/blast-radius");
                    assert_eq!(server.post(&path, &responder, &json!({})).status, 200);
                }
            }
            let active = is_active(&server, &gateway, &token);
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            assert!(!active, "{jti} after its end by {}", ways[round % ways.len()]);
        });
    }
}

/// A bearer value that stands nowhere else.
fn opaque(name: &str) -> String {
    format!("{name}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6/+")
}

/// What the ledger says of a token's revocation: the word in REVOKED, the words in ADMIN_ACT.
fn told(server: &Server, key: &str, id: &str) -> (Vec<String>, Vec<(String, String)>) {
    let events = server.get(&format!("/v1/tokens/{id}/events"), key).json()["events"].clone();
    let (mut revoked, mut acts) = (Vec::new(), Vec::new());
    for one in events.as_array().expect("events") {
        let statement = &one["statement"];
        let detail = |key: &str| {
            let list = statement["detail"].as_array().cloned().unwrap_or_default();
            let found = list.iter().find(|one| one["key"] == key).map(|one| one["value"].clone());
            found.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match statement["type"].as_str() {
            Some("REVOKED") => revoked.push(detail("issuer")),
            Some("ADMIN_ACT") => acts.push((detail("issuer"), detail("why"))),
            _ => {}
        }
    }
    (revoked, acts)
}

#[test]
fn a_responder_can_tell_the_issuer() {
    let status = Arc::new(Mutex::new(200));
    let said = Arc::clone(&status);
    let idp = Receiver::start(move |_, _| {
        (*said.lock().expect("no panic"), "application/json", String::new())
    });
    let secrets = tempfile::tempdir().expect("a folder");
    let secret = secrets.path().join("secret");
    std::fs::write(&secret, "s3cr:t & value\n").expect("a file");
    let connector = |url: &str| {
        format!(
            "revocation_endpoint = \"{url}/revoke\"\nclient_id = \"led ger\"\n\
             client_secret_file = {secret:?}\n"
        )
    };
    let other = format!(
        "[issuers.gone]\niss = \"https://gone.test\"\nregion = \"eu\"\njti_rule = \"bearer\"\n{}\
         [issuers.mute]\niss = \"https://mute.test\"\nregion = \"eu\"\njti_rule = \"bearer\"\n",
        connector("http://127.0.0.1:1")
    );
    let (mut server, _folder) = server(&register(&format!("{}{other}", connector(&idp.url))));
    let producer = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let responder = server.key("", "soc", &["responder"]);
    let client = server.key("", "web", &["client"]);
    let id = |alias: &str, name: &str| {
        from_presented("eu", alias, opaque(name).as_bytes()).expect("an id")
    };
    let names = [
        ("idp", "one"),
        ("idp", "two"),
        ("idp", "three"),
        ("idp", "four"),
        ("idp", "five"),
        ("idp", "six"),
        ("gone", "seven"),
        ("mute", "eight"),
    ];
    for (alias, name) in names {
        let mut event = issued(name, &id(alias, name));
        event["issuer"] = alias.into();
        server.record(&producer, &[event]);
    }
    let form = |name: &str| opaque(name).replace('/', "%2F").replace('+', "%2B");
    let revoke = |server: &Server, key: &str, name: &str, more: &str| {
        let answer = ask(server, "/oauth2/revoke", key, &format!("{}{more}", form(name)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    };
    let words = |answer: &Value| (answer["issuer"].clone(), answer["issuer_why"].clone());
    let pair = |a: &str, b: &str| vec![(a.to_owned(), b.to_owned())];
    let answer = revoke(&server, &responder, "one", "");
    assert_eq!(words(&answer), (json!("answered_200"), Value::Null), "{answer}");
    assert!(answer["issuer_entry"].is_u64());
    let heard = idp.received();
    assert_eq!((heard.len(), &*heard[0].method, &*heard[0].path), (1, "POST", "/revoke"));
    // base64 of `led%20ger:s3cr%3At%20%26%20value`: RFC 6749 section 2.3.1.
    let basic = "Basic bGVkJTIwZ2VyOnMzY3IlM0F0JTIwJTI2JTIwdmFsdWU=";
    assert_eq!(heard[0].headers["authorization"], basic);
    assert_eq!(heard[0].headers["content-type"], FORM);
    let body = String::from_utf8_lossy(&heard[0].body).into_owned();
    assert_eq!(body, format!("token={}&token_type_hint=access_token", form("one")));
    let asked = vec!["asked".to_owned()];
    assert_eq!(
        told(&server, &responder, &id("idp", "one")),
        (asked.clone(), pair("answered_200", ""))
    );
    *status.lock().expect("no panic") = 503;
    assert_eq!(
        words(&revoke(&server, &responder, "two", "")),
        (json!("failed"), json!("http_503"))
    );
    assert_eq!(
        told(&server, &responder, &id("idp", "two")),
        (asked.clone(), pair("failed", "http_503"))
    );
    assert!(!is_active(&server, &gateway, &form("two")), "the ledger comes first");
    // Asking again tells again: nothing is left to revoke here, and the issuer was not told.
    *status.lock().expect("no panic") = 200;
    let again = revoke(&server, &responder, "two", "");
    assert_eq!((words(&again).0, &again["revoked"]), (json!("answered_200"), &json!(0)));
    let gone = revoke(&server, &responder, "seven", "");
    assert_eq!(words(&gone), (json!("failed"), json!("connection_lost")), "{gone}");
    assert_eq!(idp.received().len(), 3);
    // Nobody is told where the register, the role or the caller says no.
    let mute = revoke(&server, &responder, "eight", "");
    assert_eq!(words(&mute), (json!("not told"), Value::Null));
    let not_told = (vec!["not told".to_owned()], vec![]);
    assert_eq!(told(&server, &responder, &id("mute", "eight")), not_told);
    revoke(&server, &responder, "three", "&dry_run=true");
    let quiet = revoke(&server, &responder, "three", "&tell_issuer=false");
    assert_eq!(words(&quiet).0, "not told");
    revoke(&server, &client, "four", "");
    assert_eq!(told(&server, &responder, &id("idp", "four")), (vec![String::new()], vec![]));
    assert_eq!(idp.received().len(), 3);
    let odd = format!("{}&tell_issuer=true", form("four"));
    assert_eq!(ask(&server, "/oauth2/revoke", &client, &odd).status, 400);
    // By id, with the token sent along or not.
    let radius = |name: &str, token: Value| {
        let path = format!("/v1/tokens/{}/blast-radius", id("idp", name));
        server.post(&path, &responder, &json!({ "token": token }))
    };
    let wrong = radius("five", json!(opaque("six")));
    assert_eq!((wrong.status, wrong.code()), (422, "token_mismatch".to_owned()));
    assert!(is_active(&server, &gateway, &form("five")));
    let answer = radius("five", json!(opaque("five"))).json();
    assert_eq!((&answer["issuer"], &answer["revoked"]), (&json!("answered_200"), &json!(1)));
    let answer = radius("five", Value::Null).json();
    assert_eq!(answer["issuer"], "not told");
    assert_eq!(idp.received().len(), 4);
    let args =
        ["blast-radius", "--revoke", "--tell-issuer", "--region", "eu", "--issuer", "idp", "-"];
    let shown = server.run_with(&responder, &args, opaque("six").as_bytes());
    assert!(stdout(&shown).contains("issuer told of 1 of 1\n"), "{shown:?}");
    let shown = server.run_with(&responder, &["revoke", "-"], opaque("six").as_bytes());
    assert!(stdout(&shown).contains("issuer told of 1 of 1\n"), "{shown:?}");
    std::thread::sleep(Duration::from_millis(1200));
    let findings = server.get("/v1/findings", &responder).json();
    assert_eq!(findings["findings"], json!([]), "to tell is no act of the token");
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data");
    let verified = server.run("", &["verify", "--data", data.to_str().expect("UTF-8")]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
    let mut hidden: Vec<String> = names.iter().map(|(_, name)| opaque(name)).collect();
    hidden.extend(names.iter().map(|(_, name)| form(name)));
    hidden.extend(["s3cr:t".to_owned(), "bGVkJTIwZ2Vy".to_owned()]);
    absent(server.folder.path(), &hidden);
}

/// No file under `folder` has any of the texts.
fn absent(folder: &Path, texts: &[String]) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            absent(&path, texts);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let content = String::from_utf8_lossy(&bytes);
        for text in texts {
            assert!(!content.contains(text.as_str()), "{} holds {text}", path.display());
        }
    }
}

/// The forms of a token that share its `t1` or its claims with the real one, without its signature.
fn odd_forms(token: &str) -> Vec<(&'static str, String)> {
    let (input, signature) = token.rsplit_once('.').expect("a JWS");
    vec![
        ("header and claims, as logs keep them", input.to_owned()),
        ("an empty signature", format!("{input}.")),
        ("a short signature", format!("{input}.AAAA")),
        ("no base64", format!("{input}.i+am+not+a+signature")),
        ("a cut signature", format!("{input}.{}", &signature[..signature.len() - 2])),
        ("a longer signature", format!("{input}.{signature}AAAA")),
        ("70,000 more letters", format!("{input}.{}", "A".repeat(70_000))),
        ("an empty third part and a fourth", format!("{input}..")),
        ("five parts", format!("{input}.{signature}.a.b")),
        ("a blank behind it", format!("{token}%20")),
        ("padding", format!("{token}%3D%3D")),
    ]
}

/// Whose JWT it is, and what the register says of that issuer.
#[test]
fn a_jwt_that_nobody_verified_is_never_active_and_can_be_revoked_all_the_same() {
    let (known, keyless) = (Key::ed(), Key::ed());
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, json!({ "keys": [known.jwk("b")] }).to_string()).expect("a file");
    let one = |alias: &str, more: &str| {
        format!(
            "[issuers.{alias}]\niss = \"https://{alias}.test\"\nregion = \"eu\"\n\
             jti_rule = \"identity\"\n{more}\n"
        )
    };
    let text = one("keys", &format!("jwks_file = {keys:?}"))
        + &one("keyless", "")
        + &one("excepted", "accept_unverified = true");
    let (server, _folder) = server(&text);
    let log = server.read("server.log");
    assert!(log.contains("issuer_accepts_unverified"), "the exception is logged: {log}");
    let producer = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let responder = server.key("", "soc", &["responder", "reader"]);
    let shown = server.get("/v1/issuers", &responder).text();
    assert!(shown.contains("\"accepts_unverified\":true"), "{shown}");
    let record = |native: &str, id: &str, issuer: &str| {
        let mut event = issued(native, id);
        event["issuer"] = issuer.into();
        server.record(&producer, &[event]);
    };
    let check = |alias: &str, key: &Key, whole_is_active: bool, forms_are_active: bool| {
        let claims = json!({ "iss": format!("https://{alias}.test"), "sub": "alice" });
        let token = key.sign("b", &claims);
        let id = from_presented("eu", alias, token.as_bytes()).expect("an id");
        record(&format!("t-{alias}"), &id, alias);
        assert_eq!(is_active(&server, &gateway, &token), whole_is_active, "{alias}");
        for (form, text) in odd_forms(&token) {
            // Without a signature that can be read it is no JWS: the exception is not for that.
            let is_sound = form.contains("signature") && !form.contains("header");
            let expected = forms_are_active && (is_sound || form.contains("70,000"));
            assert_eq!(is_active(&server, &gateway, &text), expected, "{alias}: {form}");
        }
        let bare = token.rsplit_once('.').expect("a JWS").0;
        let answer = ask(&server, "/oauth2/revoke", &responder, bare).json();
        assert_eq!(answer["revoked"], 1, "{alias}: {answer}");
        assert_eq!(answer["signature"], "not_verified", "{alias}: {answer}");
        assert!(!is_active(&server, &gateway, &token), "{alias}");
        let path = format!("/v1/tokens/{id}");
        assert_eq!(server.get(&path, &responder).json()["known"]["state"], "REVOKED", "{alias}");
    };
    check("keys", &known, true, false);
    check("keyless", &keyless, false, false);
    check("unregistered", &keyless, false, false);
    check("excepted", &keyless, true, true);
}

#[test]
fn a_token_signed_for_another_use_is_not_active_as_an_access_token() {
    let ed = Key::ed();
    let (server, _folders) = server_with_key(&ed);
    let producer = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["resource_server"]);
    server.record(&producer, &[issued("i", "eu:idp:jti:one")]);
    let check = |more: Value, expected: bool| {
        let mut claims = claims("one");
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        assert_eq!(is_active(&server, &gateway, &ed.sign("b", &claims)), expected, "{claims}");
    };
    check(json!({ "scope": "openid" }), true);
    check(json!({ "nonce": "n" }), false);
    check(json!({ "at_hash": "h" }), false);
    check(json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }), false);
    check(json!({ "typ": "Logout" }), false);
}

/// Issued under its digest and revoked under its jti: refused by introspection, and called active,
/// exit code 0, by whatever looked at one of the two.
#[test]
fn a_jwt_revoked_under_its_jti_was_active_under_its_digest() {
    let ed = Key::ed();
    let (server, _folders) = server_with_key(&ed);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let desk = server.key("", "desk", &["responder"]);
    for (n, (born, ended)) in [("t1", "jti"), ("jti", "t1")].into_iter().enumerate() {
        let jti = format!("both{n}");
        let token = ed.sign("b", &claims(&jti));
        let digest = from_presented("eu", "idp", token.as_bytes());
        let id = |form: &str| match form {
            "t1" => digest.clone().expect("an id"),
            _ => format!("eu:idp:jti:{jti}"),
        };
        let mut revoked = issued(&format!("r{n}"), &id(ended));
        revoked["type"] = "REVOKED".into();
        for member in ["client_id", "token_kind", "expires_at"] {
            revoked.as_object_mut().expect("one").remove(member);
        }
        server.record(&server.admin, &[issued(&format!("i{n}"), &id(born)), revoked]);
        assert!(!is_active(&server, &gateway, &token));
        for command in [&["trace"][..], &["introspect"], &["blast-radius"], &["query", "triage"]] {
            let out = server.run_with(&desk, &[command, &["-"]].concat(), token.as_bytes());
            let text = stdout(&out);
            assert_eq!(out.status.code(), Some(3), "born {born}, {command:?}: {text}");
            for part in ["DIFFERS", &id(born), &id(ended), "ACTIVE  ", "REVOKED  "] {
                assert!(text.contains(part), "born {born}, {command:?} lacks {part}: {text}");
            }
        }
        let answer = ask(&server, "/oauth2/revoke", &desk, &token).json();
        assert_eq!(answer["to_revoke"], json!([id(born)]), "{answer}");
        assert_eq!(answer["claimed_by_several"], false);
    }
}

/// One source writes a jti out, another one hashes it: the revocation under the hash was nothing to
/// whoever had the token in hand.
#[test]
fn a_jwt_revoked_under_the_hash_of_its_jti_was_active() {
    let ed = Key::ed();
    let (server, _folders) = server_with_key(&ed);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let desk = server.key("", "desk", &["responder"]);
    let hashed = |jti: &str| {
        ledgerline_proof::token_id::hashed_jti(&format!("eu:idp:jti:{jti}")).expect("an id")
    };
    let revoked = |native: &str, id: &str| {
        json!({ "native_id": native, "type": "REVOKED", "token_id": id, "issuer": "idp",
            "occurred_at": "2026-01-02T03:04:06Z" })
    };
    let token = ed.sign("b", &claims("one"));
    let (id, hash) = ("eu:idp:jti:one", hashed("one"));
    server.record(&server.admin, &[issued("i", id)]);
    assert!(is_active(&server, &gateway, &token));
    server.record(&server.admin, &[revoked("r", &hash)]);
    assert!(!is_active(&server, &gateway, &token));
    for command in [&["trace"][..], &["introspect"], &["blast-radius"], &["query", "triage"]] {
        let out = server.run_with(&desk, &[command, &["-"]].concat(), token.as_bytes());
        let text = stdout(&out);
        assert_eq!(out.status.code(), Some(3), "{command:?}: {text}");
        for part in ["DIFFERS", id, &hash] {
            assert!(text.contains(part), "{command:?} lacks {part}: {text}");
        }
    }
    let body = json!({ "tokens": [{ "id": id }] });
    let triage = server.post("/v1/triage", &desk, &body).json();
    assert_eq!(triage["tokens"][0]["differs"], true, "by the id alone: {triage}");
    // Born under the hash it is active, and a forgery names it to whoever ends it.
    let token = ed.sign("b", &claims("two"));
    server.record(&server.admin, &[issued("j", &hashed("two"))]);
    assert!(is_active(&server, &gateway, &token));
    // It is no difference to the issuer's table, which writes the jti out.
    let table = "jti,state\none,ACTIVE\ntwo,ACTIVE\n";
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    let now = ledgerline_api::time_text::rfc3339(i64::try_from(now).expect("before 2262"));
    let args = ["reconcile", "--region", "eu", "--adapter", "csv", "--taken-at", &now, "-"];
    let out = server.run_with(&desk, &args, table.as_bytes());
    assert_eq!(out.status.code(), Some(0), "{}", stdout(&out));
    let forged = format!("{}.AAAA", token.rsplit_once('.').expect("a JWS").0);
    let out = server.run_with(&desk, &["revoke", "-"], forged.as_bytes());
    assert_eq!(out.status.code(), Some(0), "{}", stdout(&out));
    assert!(!is_active(&server, &gateway, &token));
}

/// Introspection narrows by it, and whatever a person was shown said nothing of it.
#[test]
fn a_jwt_past_its_own_exp_was_shown_alive_without_a_word() {
    let ed = Key::ed();
    let (server, _folders) = server_with_key(&ed);
    let gateway = server.key("", "gateway", &["resource_server"]);
    let desk = server.key("", "desk", &["responder"]);
    let words = [("exp", 1_000_000_000_i64, "EXP PASSED"), ("nbf", LATE, "NBF AHEAD")];
    for (n, (claim, at, word)) in words.into_iter().enumerate() {
        let jti = format!("own{n}");
        let mut claims = claims(&jti);
        claims[claim] = at.into();
        let token = ed.sign("b", &claims);
        server.record(&server.admin, &[issued(&format!("i{n}"), &format!("eu:idp:jti:{jti}"))]);
        assert!(!is_active(&server, &gateway, &token), "{claim}");
        let member = format!("own_{}", word.to_lowercase().replace(' ', "_"));
        for command in [&["trace"][..], &["introspect"], &["blast-radius"], &["query", "triage"]] {
            let run = |more: &[&str]| {
                let args = [command, more, &["-"]].concat();
                stdout(&server.run_with(&desk, &args, token.as_bytes()))
            };
            let text = run(&[]);
            assert!(text.contains(&format!("OWN {word}")), "{command:?}: {text}");
            let json = run(&["-o", "json"]);
            assert!(json.contains(&member), "{command:?}: {json}");
        }
    }
}
