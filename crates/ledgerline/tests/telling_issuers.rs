//! Whether issuers were told of a revocation: of each token, in words, in JSON and by the exit
//! code, whichever command was used.

mod running;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_proof::token_id::from_presented;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use running::receiver::Receiver;
use running::{Server, stdout};
use serde_json::{Value, json};

const ISS: &str = "https://idp.test";

/// A ledger whose issuer `idp` answers as `status` says, and `mute` cannot be told.
struct World {
    server: Server,
    idp: Receiver,
    status: Arc<Mutex<u16>>,
    responder: String,
    key: Ed25519KeyPair,
    _folder: tempfile::TempDir,
}

fn opaque(name: &str) -> String {
    format!("{name}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6Ty3Lp8Qa6Rf1Zx5")
}

fn id(alias: &str, name: &str) -> String {
    from_presented("eu", alias, opaque(name).as_bytes()).expect("an id")
}

impl World {
    fn new() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let key = Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key");
        let status = Arc::new(Mutex::new(200));
        let said = Arc::clone(&status);
        let idp = Receiver::start(move |_, _| {
            (*said.lock().expect("no panic"), "application/json", String::new())
        });
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "a", "x": x });
        let keys = file("keys.json", &json!({ "keys": [jwk] }).to_string());
        let secret = file("secret", "s3cret\n");
        let config = file(
            "ledgerline.toml",
            &format!(
                "[issuers.idp]\niss = \"{ISS}\"\nregion = \"eu\"\njti_rule = \"identity\"\n\
                 jwks_file = {keys:?}\nrevocation_endpoint = \"{}/revoke\"\n\
                 client_id = \"l\"\nclient_secret_file = {secret:?}\n\
                 [issuers.mute]\niss = \"https://mute.test\"\nregion = \"eu\"\n\
                 jti_rule = \"bearer\"\n",
                idp.url
            ),
        );
        let server = Server::start_with(&["--config", config.to_str().expect("UTF-8")]);
        let producer = server.key("", "idp", &["producer"]);
        let responder = server.key("", "soc", &["responder", "reader"]);
        let born = |alias: &str, name: &str, kind: &str| {
            json!({ "native_id": format!("i-{name}"), "type": "ISSUED", "token_id": id(alias, name),
                "occurred_at": "2026-01-02T03:04:05Z", "issuer": alias, "client_id": "web",
                "grant_id": "g", "token_kind": kind, "expires_at": "2096-06-01T00:00:00Z" })
        };
        server.record(
            &producer,
            &[
                born("idp", "refresh", "REFRESH"),
                born("idp", "one", "ACCESS"),
                born("idp", "two", "ACCESS"),
                born("mute", "three", "ACCESS"),
            ],
        );
        Self { server, idp, status, responder, key, _folder: folder }
    }

    fn answers(&self, status: u16) {
        *self.status.lock().expect("no panic") = status;
    }

    /// A command's exit code, its table and its JSON are three runs; each begins as the one before
    /// left it.
    fn run(&self, args: &[&str], paste: &str) -> (Option<i32>, String) {
        let output = self.server.run_with(&self.responder, args, paste.as_bytes());
        (output.status.code(), stdout(&output))
    }

    fn json(&self, args: &[&str], paste: &str) -> (Option<i32>, Value) {
        let args = [args, &["-o", "json"]].concat();
        let (code, text) = self.run(&args, paste);
        (code, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")))
    }

    fn jwt(&self, jti: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({ "alg": "EdDSA", "kid": "a", "typ": "at+jwt" });
        let claims = json!({ "iss": ISS, "jti": jti, "exp": 3_976_214_400_i64 });
        let input = format!("{}.{}", part(&head), part(&claims));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(self.key.sign(input.as_bytes())))
    }
}

#[test]
fn an_issuer_that_was_not_told_was_exit_code_0() {
    let world = World::new();
    let (one, two) = (opaque("one"), opaque("two"));
    let cases: [(&[&str], &str); 3] = [
        (&["revoke", "-"], &one),
        (&["blast-radius", "--revoke", "-"], &one),
        (&["revoke", "--region", "eu", "--issuer", "idp", "-"], &two),
    ];
    world.answers(503);
    for (args, paste) in cases {
        let (code, shown) = world.run(args, paste);
        assert!(shown.contains("ISSUER NOT TOLD") && shown.contains("http_503"), "{shown}");
        assert_eq!(code, Some(3), "{args:?}\n{shown}");
        let (code, answer) = world.json(args, paste);
        assert_eq!((code, &answer["issuer_told"]), (Some(3), &json!(false)), "{answer}");
        assert_eq!(answer["told"]["could_be_told"], 1, "{answer}");
        assert_eq!(answer["set"][0]["issuer_why"], "http_503", "{answer}");
    }
    assert_eq!(world.idp.received().len(), 6, "each of them asked");
    // By its id alone nobody can tell.
    let (code, shown) = world.run(&["revoke", &id("idp", "one")], "");
    assert!(shown.contains("http") || shown.contains("an id was given"), "{shown}");
    assert!(shown.contains("--tell-issuer -"), "{shown}");
    assert_eq!(code, Some(3), "{shown}");
    // Who asked for that was not surprised by it.
    let (code, shown) = world.run(&["revoke", "--ledger-only", "-"], &two);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("ISSUER NOT TOLD") && shown.contains("--ledger-only"), "{shown}");
    // Nor can be told whose register has no way: the words say so.
    let (code, shown) = world.run(&["revoke", "-"], &opaque("three"));
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("no revocation_endpoint in the register"), "{shown}");
    // When it answers again, asking again tells it.
    world.answers(200);
    let (code, answer) = world.json(&["blast-radius", "--revoke", "--tell-issuer", "-"], &one);
    assert_eq!((code, &answer["issuer_told"]), (Some(0), &json!(true)), "{answer}");
    // And what it was told stays so, also where only the id is at hand.
    let (code, answer) = world.json(&["revoke", &id("idp", "one")], "");
    assert_eq!((code, &answer["told"]["told"]), (Some(0), &json!(1)), "{answer}");
}

#[test]
fn one_told_token_read_as_five() {
    let world = World::new();
    let paste = opaque("refresh");
    let (code, shown) = world.run(&["revoke", "--dry-run", "-"], &paste);
    assert!(shown.contains("it would be told of 1 of 3; of 2 it would not: "), "{shown}");
    assert_eq!((code, world.idp.received().len()), (Some(0), 0));
    let (_, by_blast) = world.json(&["blast-radius", "--revoke", "--dry-run", "-"], &paste);
    let (_, by_revoke) = world.json(&["revoke", "--dry-run", "-"], &paste);
    assert_eq!((&by_blast["told"], &by_blast["set"]), (&by_revoke["told"], &by_revoke["set"]));
    assert_eq!(by_revoke["issuer_told"], false);
    let (code, shown) = world.run(&["revoke", "--reason", "stolen laptop", "-"], &paste);
    assert!(shown.contains("issuer told of 1 of 3; 2 were not told: "), "{shown}");
    assert!(shown.contains("only the presented token is sent"), "{shown}");
    assert!(shown.contains("as it also does of a token that it does not know"), "{shown}");
    assert!(!shown.contains("confirmed"), "{shown}");
    assert_eq!((code, world.idp.received().len()), (Some(3), 1), "{shown}");
    let life =
        world.server.get(&format!("/v1/tokens/{}/events", id("idp", "refresh")), &world.responder);
    assert!(life.text().contains("\"reason\":\"stolen laptop\""), "{}", life.text());
    // Revoked again: the others are no more told than they were.
    let (code, answer) = world.json(&["revoke", "-"], &paste);
    assert_eq!(code, Some(3), "{answer}");
    let told = json!({ "of": 3, "told": 1, "not_told": 2, "could_be_told": 2,
        "why_not": ["only the presented token is sent"] });
    assert_eq!((&answer["told"], &answer["issuer_told"]), (&told, &json!(false)), "{answer}");
    let of_each = |answer: &Value| -> Vec<Value> {
        let set = answer["set"].as_array().expect("a set").iter();
        set.map(|one| one["issuer"].clone()).collect()
    };
    assert_eq!(of_each(&answer)[0], "answered_200", "{answer}");
    assert_eq!(of_each(&answer).iter().filter(|one| **one == "not told").count(), 2, "{answer}");
    // A secret is no reason.
    let (code, shown) = world.run(&["revoke", "--reason", &opaque("why"), "-"], &paste);
    assert!(code != Some(0) && code != Some(3), "{shown}");
}

#[test]
fn a_token_that_the_ledger_does_not_know_lived_on_at_its_registered_issuer() {
    let world = World::new();
    let token = world.jwt("stranger");
    let (code, shown) = world.run(&["revoke", "--dry-run", "-"], &token);
    assert!(shown.contains("it would be told of 1 of 1"), "{shown}");
    assert_eq!((code, world.idp.received().len()), (Some(4), 0), "{shown}");
    let (code, shown) = world.run(&["revoke", "-"], &token);
    assert!(shown.starts_with("UNKNOWN: nothing was revoked in the ledger"), "{shown}");
    assert!(shown.contains("issuer told of 1 of 1"), "{shown}");
    assert_eq!((code, world.idp.received().len()), (Some(4), 1), "{shown}");
    // A forgery is sent nowhere: nobody but its issuer could have made the token.
    let good = world.jwt("fresh");
    let (front, signature) = good.rsplit_once('.').expect("three parts");
    let forged = format!("{front}.{}", signature.chars().rev().collect::<String>());
    let (code, shown) = world.run(&["revoke", "-"], &forged);
    assert_eq!((code, world.idp.received().len()), (Some(4), 1), "{shown}");
}
