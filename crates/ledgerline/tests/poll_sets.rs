//! `ledgerline poll-sets` against a transmitter of the test that does what RFC 8936 says: it sends
//! again what was not acknowledged, and keeps what it is told. Its tokens are those of a real
//! Keycloak.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use running::receiver::{Received, Receiver, Said};
use running::{Server, stderr, stdout};
use serde_json::{Value, json};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/security_events");

fn recording() -> Value {
    let text = fs::read_to_string(Path::new(RECORDING).join("sets.json")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// What a transmitter has.
#[derive(Default)]
struct Stream {
    /// Not acknowledged yet.
    sets: BTreeMap<String, String>,
    /// What it was told of.
    errors: BTreeMap<String, Value>,
    acked: BTreeSet<String>,
    /// How often each token was sent.
    sent: BTreeMap<String, usize>,
    /// Polls that are answered 500 first.
    broken: usize,
}

/// A transmitter that gives at most `most` tokens at a time.
fn transmitter(stream: &Arc<Mutex<Stream>>, most: usize) -> Receiver {
    let stream = Arc::clone(stream);
    Receiver::start(move |request: &Received, _| -> Said {
        let mut stream = stream.lock().expect("no panic");
        if request.path == "/token" {
            let basic = request.headers.get("authorization").map(String::as_str);
            // The id and the secret, each escaped, as RFC 6749 section 2.3.1 has it.
            let is_known = basic == Some("Basic c3NmLXJ4OmElMjBzZWNyZXQlMjBvZiUyMHRoZSUyMHRlc3Q=");
            let body = json!({ "access_token": "access-of-the-test", "expires_in": 300 });
            let status = if is_known { 200 } else { 401 };
            return (status, "application/json", body.to_string());
        }
        if request.headers.get("authorization").map(String::as_str)
            != Some("Bearer access-of-the-test")
        {
            return (401, "application/json", "{}".to_owned());
        }
        if stream.broken > 0 {
            stream.broken -= 1;
            return (500, "text/plain", String::new());
        }
        let asked: Value = serde_json::from_slice(&request.body).expect("JSON");
        for jti in asked["ack"].as_array().into_iter().flatten() {
            let jti = jti.as_str().expect("a jti").to_owned();
            stream.sets.remove(&jti);
            stream.acked.insert(jti);
        }
        // An object, as the RFC has it.
        if let Some(errors) = asked.get("setErrs") {
            for (jti, error) in errors.as_object().expect("an object") {
                stream.sets.remove(jti);
                stream.errors.insert(jti.clone(), error.clone());
            }
        }
        let max = asked["maxEvents"]
            .as_u64()
            .map_or(usize::MAX, |max| usize::try_from(max).expect("few"));
        let given: BTreeMap<String, String> =
            stream.sets.clone().into_iter().take(max.min(most)).collect();
        for jti in given.keys() {
            *stream.sent.entry(jti.clone()).or_default() += 1;
        }
        let more = max > 0 && stream.sets.len() > given.len();
        let mut answer = json!({ "sets": given, "moreAvailable": more });
        if given.is_empty() {
            // What some leave out.
            answer = json!({});
        }
        (200, "application/json", answer.to_string())
    })
}

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let recorded = recording();
    let text = format!(
        "[issuers.kc]\niss = {}\nregion = \"eu\"\njti_rule = \"identity\"\njwks_file = {:?}\n\
         event_audiences = [{}]\n",
        recorded["iss"],
        Path::new(RECORDING).join("jwks.json"),
        recorded["aud"]
    );
    let config = folder.path().join("ledgerline.toml");
    fs::write(&config, text).expect("a file");
    let server = Server::start_with(&["--config", config.to_str().expect("UTF-8")]);
    (folder, server)
}

fn stream() -> Arc<Mutex<Stream>> {
    let sets = recording()["sets"].as_object().expect("sets").clone();
    let sets = sets.into_iter().map(|(jti, set)| (jti, set.as_str().expect("a token").to_owned()));
    Arc::new(Mutex::new(Stream { sets: sets.collect(), ..Stream::default() }))
}

#[test]
fn tokens_are_acknowledged_when_they_are_recorded_and_not_before() {
    let (folder, mut server) = server();
    let key = server.key("", "keycloak", &["producer"]);
    let stream = stream();
    // One that nobody signed: the transmitter is told.
    let forged = {
        let mut stream = stream.lock().expect("no panic");
        let sound = stream.sets.values().next().expect("a token").clone();
        let forged = format!("{}c2ln", &sound[..sound.rfind('.').expect("a dot") + 1]);
        stream.sets.insert("forged".to_owned(), forged.clone());
        forged
    };
    let transmitter = transmitter(&stream, 2);
    let secret = folder.path().join("secret");
    fs::write(&secret, "a secret of the test").expect("a file");
    let poll = |server: &Server, retries: &str| {
        let token_url = format!("{}/token", transmitter.url);
        let poll_url = format!("{}/poll", transmitter.url);
        let secret = secret.to_str().expect("UTF-8");
        let args = [
            "poll-sets",
            "--from",
            &poll_url,
            "--token-url",
            &token_url,
            "--client-id",
            "ssf-rx",
            "--client-secret-file",
            secret,
            "--max-events",
            "2",
            "--once",
            "--retries",
            retries,
        ];
        server.run(&key, &args)
    };
    // The ledger is away: nothing is acknowledged.
    assert_eq!(server.stop(), Some(0));
    let output = poll(&server, "0");
    assert!(!output.status.success(), "{}", stdout(&output));
    assert!(stream.lock().expect("no panic").acked.is_empty());
    server.go();
    let output = poll(&server, "2");
    // One was refused: said, and the exit code says so.
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains('3') && said.contains('1'), "{said}");
    {
        let stream = stream.lock().expect("no panic");
        assert!(stream.sets.is_empty(), "{:?}", stream.sets.keys());
        assert_eq!(stream.acked.len(), 3);
        assert_eq!(stream.errors["forged"]["err"], "invalid_key");
        assert!(stream.errors["forged"]["description"].is_string());
        assert!(stream.sent.values().any(|count| *count > 1), "redelivered: {:?}", stream.sent);
    }
    // What comes again, since its acknowledgement was lost, is the same event.
    {
        let mut stream = stream.lock().expect("no panic");
        let sets = recording()["sets"].as_object().expect("sets").clone();
        stream.sets = sets
            .into_iter()
            .map(|(jti, set)| (jti, set.as_str().expect("a token").to_owned()))
            .collect();
        stream.acked.clear();
    }
    let output = poll(&server, "2");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stream.lock().expect("no panic").acked.len(), 3);
    let metrics = server.get("/metrics", &server.admin).text();
    for (verdict, count) in [("recorded", 3), ("duplicate", 3)] {
        let line = format!("{{door=\"sets\",verdict=\"{verdict}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    let log = server.read("server.log");
    for secret in ["a secret of the test", "access-of-the-test", &forged] {
        assert!(!log.contains(secret) && !stderr(&output).contains(secret));
    }
}

#[test]
fn a_client_that_may_not_record_acknowledges_nothing() {
    let (folder, server) = server();
    let reader = server.key("", "soc", &["reader"]);
    let stream = stream();
    let transmitter = transmitter(&stream, 10);
    let token = folder.path().join("token");
    fs::write(&token, "access-of-the-test").expect("a file");
    let token = token.to_str().expect("UTF-8");
    let url = format!("{}/poll", transmitter.url);
    let args = ["poll-sets", "--from", &url, "--token-file", token, "--once"];
    let output = server.run(&reader, &args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("refuses this client"), "{}", stderr(&output));
    {
        let stream = stream.lock().expect("no panic");
        assert!(stream.acked.is_empty() && stream.errors.is_empty());
        assert_eq!(stream.sets.len(), 3);
    }
    // A transmitter that fails, and one that does not know the client.
    stream.lock().expect("no panic").broken = 1;
    let key = server.key("", "keycloak", &["producer"]);
    let output = server.run(&key, &args);
    assert!(stderr(&output).contains("500"), "{}", stderr(&output));
    fs::write(folder.path().join("token"), "another").expect("a file");
    let output = server.run(&key, &args);
    assert!(stderr(&output).contains("401"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("another"));
    let wrong = ["poll-sets", "--from", "http://transmitter.example.com/poll", "--once"];
    assert_eq!(server.run(&key, &wrong).status.code(), Some(64), "plain http across a network");
}
