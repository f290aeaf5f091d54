//! Answers that looked alive, quiet or complete, and had no word of why they are not.

mod running;

use running::{Server, event, stderr, stdout};
use serde_json::{Value, json};

fn ask(server: &Server, key: &str, args: &[&str], input: &str) -> (Option<i32>, Value, String) {
    let json = [args, &["-o", "json"]].concat();
    let output = server.run_with(key, &json, input.as_bytes());
    let said = stdout(&output);
    let answer = serde_json::from_str(&said).unwrap_or(Value::Null);
    (output.status.code(), answer, said + &stderr(&output))
}

#[test]
fn before_anything_of_it_had_happened_a_token_was_known_active() {
    let server = Server::start();
    let key = server.admin.clone();
    let mut held = event("h", "SUSPENDED", "a");
    held["occurred_at"] = "2026-01-03T00:00:00Z".into();
    let mut again = event("r", "REINSTATED", "a");
    again["occurred_at"] = "2026-01-05T00:00:00Z".into();
    server.record(&key, &[event("i", "ISSUED", "a"), held, again]);
    let id = "eu:idp:jti:a";
    let at = |time: &str| {
        let shown = stdout(&server.run(&key, &["trace", "--at", time, id]));
        let (exit, life, said) = ask(&server, &key, &["trace", "--at", time, id], "");
        assert_eq!(exit, Some(0), "{said}");
        (shown, life)
    };
    let (shown, life) = at("2026-01-01T00:00:00Z");
    assert!(shown.contains("nothing of it had happened"), "{shown}");
    assert!(!shown.contains(", active") && !shown.contains("known     ACTIVE"), "{shown}");
    assert_eq!(life["nothing_had_happened"], true, "{life}");
    let note = life["note"].as_str().expect("words");
    assert!(note.starts_with("at that time nothing of it had happened"), "{note}");
    let (known, happened) = (&life["known"]["state"], &life["happened"]["state"]);
    assert_eq!((known, happened), (&json!("ACTIVE"), &json!("UNKNOWN")), "as documented");
    let (shown, life) = at("2026-01-04T00:00:00Z");
    assert!(shown.contains("at that time it was SUSPENDED"), "{shown}");
    assert!(!shown.contains("known     ACTIVE"), "{shown}");
    assert_eq!(life["nothing_had_happened"], false, "{life}");
    let (shown, life) = at("2026-01-06T00:00:00Z");
    assert!(shown.contains("known     ACTIVE, active"), "{shown}");
    assert_eq!((&life["note"], &life["nothing_had_happened"]), (&Value::Null, &json!(false)));
    let now = server.get(&format!("/v1/tokens/{id}"), &key).json();
    assert_eq!((&now["at"], &now["nothing_had_happened"]), (&Value::Null, &json!(false)), "{now}");
    for command in [&["lineage"][..], &["blast-radius"], &["query", "resources"]] {
        let args = [command, &["--at", "2026-01-01T00:00:00Z", id]].concat();
        let (exit, answer, said) = ask(&server, &key, &args, "");
        assert_eq!((exit, &answer["happened_since"]), (Some(4), &json!(true)), "{said}");
        let shown = stdout(&server.run(&key, &args));
        assert!(shown.starts_with("UNKNOWN AT 2026-01-01") && shown.contains("later"), "{shown}");
        assert!(!shown.contains("Nothing is recorded"), "{shown}");
    }
}

#[test]
fn a_triage_ended_with_3_or_4_and_no_line_said_why() {
    let server = Server::start();
    let key = server.admin.clone();
    let unknown = "never-recorded-value-0123456789abc";
    let run = |input: &[u8]| {
        let output = server.run_with(&key, &["query", "triage", "-"], input);
        (output.status.code(), stdout(&output))
    };
    let (exit, shown) = run(unknown.as_bytes());
    assert_eq!(exit, Some(4), "{shown}");
    assert!(shown.contains("\nUNKNOWN: nothing is recorded about 1 of them"), "{shown}");
    let (exit, shown) = run(&[b'x'; 70_000]);
    assert_eq!(exit, Some(3), "{shown}");
    assert!(shown.contains("\nINCOMPLETE: 1 lines or tokens were not read"), "{shown}");
}

#[test]
fn a_leaked_token_that_was_not_the_likeliest_reading_of_its_line_was_unknown() {
    let server = Server::start();
    let key = server.admin.clone();
    let alive = "tGzv3JOkF0XG5Qx2TlKWIA9f1c8alive";
    let id = ledgerline_proof::token_id::from_presented("eu", "idp", alive.as_bytes());
    let mut born = event("i", "ISSUED", "x");
    born["token_id"] = id.expect("an id").into();
    server.record(&key, &[born]);
    for form in [
        "sid=@",
        "id:@",
        "set-cookie: access_token=zzzzzzzzzzzzzzzzzzzz1; sid=@",
        "https://app.test/x?code=@&token=zzzzzzzzzzzzzzzzzzz2",
        "token=zzzzzzzzzzzzzzzzzzz3/@",
        "some words and @ among them",
        "{\"token\":\"sid=@\"}",
        "@==",
    ] {
        let args = ["query", "triage", "-"];
        let (exit, answer, said) = ask(&server, &key, &args, &form.replace('@', alive));
        assert_eq!((exit, &answer["alive"]), (Some(0), &json!(1)), "{form}: {said}");
        assert_eq!(answer["tokens"].as_array().map(Vec::len), Some(1), "{form}: {said}");
        assert!(!said.contains(alive), "{form}");
    }
}

#[test]
fn the_oauth_endpoints_did_not_say_which_role_lacks() {
    let server = Server::start();
    let key = server.key("", "desk", &["reader"]);
    let form = ("application/x-www-form-urlencoded", b"token=some-opaque-token-0123456789" as _);
    let say = |path: &str, key: &str| {
        let answer = server.call("POST", path, Some(key), Some(form));
        assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")));
        answer.json()["error_description"].as_str().expect("words").to_owned()
    };
    let introspect = say("/oauth2/introspect", &key);
    assert!(introspect.contains("resource_server"), "{introspect}");
    let revoke = say("/oauth2/revoke", &key);
    assert!(revoke.contains("client") && revoke.contains("responder"), "{revoke}");
    // Nobody without the secret learns what a key may do, or that it was there.
    let (front, secret) = key.rsplit_once('_').expect("a secret");
    let other: String = secret.chars().rev().collect();
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let said = say(path, &format!("{front}_{other}"));
        assert!(!said.contains("role") && said.contains("not valid"), "{said}");
    }
    let id = key.split('_').nth(1).expect("a key id");
    let gone = server.run(&server.admin.clone(), &["keys", "retire", id]);
    assert!(gone.status.success(), "{}", stderr(&gone));
    assert!(say("/oauth2/introspect", &key).contains("was ended"));
    assert!(!say("/oauth2/introspect", &format!("{front}_{other}")).contains("ended"));
}
