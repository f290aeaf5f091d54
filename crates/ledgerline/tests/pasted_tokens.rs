//! A token as people paste it, through the real binary: unknown is not dead, and nothing is printed
//! that a token is made of.

mod running;

use running::{Server, event, stderr, stdout};
use serde_json::{Value, json};

const ACCESS: &str = "tGzv3JOkF0XG5Qx2TlKWIA-9f_1c.8-access";
const REFRESH: &str = "tGzv3JOkF0XG5Qx2TlKWIA-9f_1c.8-refresh";
const UNKNOWN: &str = "tGzv3JOkF0XG5Qx2TlKWIA-9f_1c.8-unknown";
/// HS512, and `jti` c04: a refresh token of a server that signs them with a key of its own.
const JWT: &str = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwian\
                   RpIjoiYzA0IiwidHlwIjoiUmVmcmVzaCJ9.bOZ9Rsavshw_wjlrhwrt8rXWfHeBdTrbkdiwZxdBifA";

struct World {
    server: Server,
    responder: String,
    gateway: String,
}

/// Tokens of region `eu`, which is no default of any command.
fn world() -> World {
    let server = Server::start();
    let id = |token: &str| {
        let args = ["token-id", "--region", "eu", "--issuer", "idp"];
        stdout(&server.run_with("", &args, token.as_bytes())).trim().to_owned()
    };
    let issued = |native: &str, id: &str, kind: &str| {
        let mut event = event(native, "ISSUED", "x");
        event["token_id"] = id.into();
        event["token_kind"] = kind.into();
        event["client_id"] = "web".into();
        event
    };
    let mut access = issued("i1", &id(ACCESS), "ACCESS");
    access["links"] = json!([{ "relation": "MINTED_BY", "token_id": id(REFRESH) }]);
    let mut read = event("u1", "RESOURCE_ACCESSED", "x");
    read["token_id"] = id(ACCESS).into();
    read["resource"] = "/orders/{id}".into();
    read["service"] = "orders".into();
    let jwt = issued("i3", "eu:idp:jti:c04", "REFRESH");
    let refresh = issued("i0", &id(REFRESH), "REFRESH");
    server.record(&server.admin, &[refresh, access, read, jwt]);
    let responder = server.key("", "desk", &["responder"]);
    let gateway = server.key("", "gw", &["resource_server"]);
    World { server, responder, gateway }
}

impl World {
    /// Runs a command with something pasted; its exit code and its answer.
    fn ask(&self, key: &str, args: &[&str], pasted: &str) -> (Option<i32>, Value) {
        let args = [args, &["-o", "json"]].concat();
        let output = self.server.run_with(key, &args, pasted.as_bytes());
        let (out, err) = (stdout(&output), stderr(&output));
        for secret in [ACCESS, REFRESH, UNKNOWN, JWT] {
            for text in [&out, &err] {
                assert!(!text.contains(secret), "{args:?} printed a token");
            }
        }
        let answer = serde_json::from_str(&out);
        (output.status.code(), answer.unwrap_or_else(|_| panic!("{args:?}: {out}{err}")))
    }
}

/// Every command that takes a token from standard input.
const COMMANDS: &[&[&str]] = &[
    &["introspect", "-"],
    &["trace", "-"],
    &["lineage", "-"],
    &["blast-radius", "-"],
    &["blast-radius", "--revoke", "--dry-run", "-"],
    &["query", "resources", "-"],
    &["query", "policies", "-"],
    &["query", "divergence", "-"],
    &["query", "exposure", "-"],
    &["query", "after-revoke", "-"],
    &["query", "triage", "-"],
    &["revoke", "--dry-run", "-"],
    &["revoke", "-"],
];

#[test]
fn a_token_pasted_with_its_wrapping_was_called_dead() {
    let world = world();
    let forms = [
        "Bearer @\n".to_owned(),
        "\"@\"".to_owned(),
        " @ \r\n".to_owned(),
        "Authorization: bearer @".to_owned(),
        "{\"access_token\":\"@\",\"expires_in\":3600}".to_owned(),
        "curl -H 'Authorization: Bearer @' https://api.test/orders".to_owned(),
        "https://app.test/#access_token=@&state=1".to_owned(),
        "export TOKEN='@'".to_owned(),
        "\u{feff}@\r\n".to_owned(),
    ];
    for form in &forms {
        for key in [&world.gateway, &world.responder] {
            let (exit, answer) = world.ask(key, &["introspect", "-"], &form.replace('@', ACCESS));
            assert_eq!((exit, &answer["active"]), (Some(0), &json!(true)), "{form}: {answer}");
            assert_eq!(answer["status"], "known", "{form}: {answer}");
        }
        let (exit, answer) =
            world.ask(&world.responder, &["revoke", "--dry-run", "-"], &form.replace('@', ACCESS));
        assert_eq!((exit, &answer["family"]), (Some(0), &json!(1)), "{form}: {answer}");
    }
    let pasted = forms[0].replace('@', ACCESS);
    for command in COMMANDS.iter().filter(|command| command[0] != "revoke") {
        let (exit, answer) = world.ask(&world.responder, command, &pasted);
        assert_eq!(exit, Some(0), "{command:?}: {answer}");
        assert!(!answer["status"].is_null() || answer["tokens"].is_array(), "{answer}");
    }
    let output = world.server.run_with(&world.responder, &["trace", "-"], pasted.as_bytes());
    assert!(stderr(&output).contains("`Bearer` in front of it was left out"), "{output:?}");
}

#[test]
fn a_jti_was_taken_for_a_token_that_nobody_knows() {
    const JTI: &str = "0b7c1c52-6f0c-4a53-9d5e-8a1f0b3c2d4e";
    let world = world();
    let output = world.server.run_with(&world.responder, &["trace", JTI], b"");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("no token id") && said.contains("<region>:<issuer>:jti:<jti>"), "{said}");
    assert!(!said.contains(JTI), "it may be a token after all: {said}");
    // Pasted it is looked up as what it may be; that it may be a jti is said.
    let output = world.server.run_with(&world.responder, &["trace", "-"], JTI.as_bytes());
    let out = stdout(&output);
    assert_eq!(output.status.code(), Some(4), "{out}");
    assert!(out.contains("it may be a jti and no token"), "{out}");
}

#[test]
fn an_unknown_token_was_called_inactive_and_revoked_0_of_0() {
    let world = world();
    for command in COMMANDS {
        for form in ["@", "Bearer @", "Authorization: Bearer @", "{\"token\":\"@\"}"] {
            let pasted = form.replace('@', UNKNOWN);
            let (exit, answer) = world.ask(&world.responder, command, &pasted);
            assert_eq!(exit, Some(4), "{command:?} {form}: {answer}");
            let status = answer["tokens"][0]["status"].as_str().or(answer["status"].as_str());
            assert_eq!(status, Some("unknown"), "{command:?} {form}: {answer}");
            if command[1] == "triage" {
                continue;
            }
            let looked_for = answer["looked_for"].to_string();
            assert!(looked_for.contains("*:*:t1:"), "{command:?}: {answer}");
            let output = world.server.run_with(&world.responder, command, pasted.as_bytes());
            assert!(stdout(&output).starts_with("UNKNOWN: "), "{}", stdout(&output));
        }
    }
    for command in COMMANDS.iter().filter(|command| !["introspect", "query"].contains(&command[0]))
    {
        let args = [&command[..command.len() - 1], &["eu:idp:jti:nobody"]].concat();
        let (exit, answer) = world.ask(&world.responder, &args, "");
        assert_eq!((exit, &answer["status"]), (Some(4), &json!("unknown")), "{args:?}");
        assert_eq!(answer["looked_for"], json!(["eu:idp:jti:nobody"]), "{args:?}");
    }
    // To a resource server unknown and inactive are one answer; it is told that they are.
    let (exit, answer) = world.ask(&world.gateway, &["introspect", "-"], UNKNOWN);
    assert_eq!((exit, &answer["status"]), (Some(3), &json!("inactive or unknown")), "{answer}");
    // Over HTTP nothing of that is told to those who may not know.
    let form = ("application/x-www-form-urlencoded", format!("token={UNKNOWN}"));
    let body = Some((form.0, form.1.as_bytes()));
    let told = world.server.call("POST", "/oauth2/introspect", Some(&world.gateway), body);
    assert_eq!(told.text(), r#"{"active":false}"#);
    let told = world.server.call("POST", "/oauth2/revoke", Some(&world.responder), body);
    assert_eq!((told.status, &told.json()["status"]), (200, &json!("unknown")));
}

#[test]
fn a_token_of_another_region_than_the_default_was_no_such_thing() {
    let world = world();
    for (flags, expected) in [
        (&[][..], 0),
        (&["--region", "eu"], 0),
        (&["--issuer", "idp"], 0),
        (&["--region", "us"], 4),
        (&["--issuer", "other"], 4),
    ] {
        for command in ["trace", "blast-radius", "introspect", "lineage"] {
            let args = [&[command][..], flags, &["-"]].concat();
            let (exit, answer) = world.ask(&world.responder, &args, ACCESS);
            assert_eq!(exit, Some(expected), "{args:?}: {answer}");
        }
    }
}

#[test]
fn a_refresh_token_that_no_key_verifies_is_found_by_its_jti_and_ended() {
    let world = world();
    let (exit, answer) = world.ask(&world.responder, &["trace", "--region", "eu", "-"], JWT);
    assert_eq!((exit, &answer["token_id"]), (Some(0), &json!("eu:idp:jti:c04")), "{answer}");
    let (exit, answer) = world.ask(&world.responder, &["revoke", "-"], JWT);
    assert_eq!((exit, &answer["status"]), (Some(4), &json!("unknown")), "no issuer is registered");
    let (exit, answer) = world.ask(&world.responder, &["revoke", "--region", "eu", "-"], JWT);
    assert_eq!((exit, &answer["revoked"]), (Some(0), &json!(1)), "{answer}");
    let life = world.server.get("/v1/tokens/eu:idp:jti:c04", &world.server.admin).json();
    assert_eq!(life["known"]["state"], "REVOKED");
}

#[test]
fn several_tokens_in_one_paste_are_not_one() {
    let world = world();
    let both = format!("{{\"access_token\":\"{ACCESS}\",\"refresh_token\":\"{REFRESH}\"}}");
    for command in COMMANDS.iter().filter(|command| command[1] != "triage") {
        let output = world.server.run_with(&world.responder, command, both.as_bytes());
        assert_eq!(output.status.code(), Some(64), "{command:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("holds 2 tokens"), "{}", stderr(&output));
    }
    let (exit, answer) = world.ask(&world.responder, &["query", "triage", "-"], &both);
    assert_eq!((exit, &answer["alive"]), (Some(0), &json!(2)), "{answer}");
    let lines = format!("Bearer {ACCESS}\r\n\n'{REFRESH}'\nTOKEN={UNKNOWN}\n");
    let (exit, answer) = world.ask(&world.responder, &["query", "triage", "-"], &lines);
    assert_eq!((exit, &answer["alive"], &answer["unknown"]), (Some(4), &json!(2), &json!(1)));
}

#[test]
fn a_refresh_token_whose_descendants_read_eight_orders_had_no_accesses() {
    let world = world();
    let args = ["query", "resources", "-"];
    let (exit, answer) = world.ask(&world.responder, &args, REFRESH);
    assert_eq!((exit, &answer["not_shown"]["descendants"]), (Some(0), &json!(1)), "{answer}");
    let output = world.server.run_with(&world.responder, &args, REFRESH.as_bytes());
    let shown = stdout(&output);
    assert!(shown.contains("NOT SHOWN: 1 accesses by 1 tokens that came of it"), "{shown}");
    assert!(shown.contains("--of descendants --from birth --until end"), "{shown}");
    assert!(!shown.contains("no accesses"), "{shown}");
    let args =
        ["query", "resources", "--of", "descendants", "--from", "birth", "--until", "end", "-"];
    let (_, answer) = world.ask(&world.responder, &args, REFRESH);
    assert_eq!(answer["accesses"].as_array().map(Vec::len), Some(1), "{answer}");
}

#[test]
fn what_is_revoked_is_one_set_whichever_command_is_used() {
    let world = world();
    let set = |answer: &Value| {
        let set = answer["set"].as_array().expect("a set").iter();
        let mut ids: Vec<_> = set.map(|one| one["token_id"].to_string()).collect();
        ids.sort();
        ids
    };
    let (_, by_revoke) = world.ask(&world.responder, &["revoke", "--dry-run", "-"], REFRESH);
    let args = ["blast-radius", "--revoke", "--dry-run", "-"];
    let (_, by_blast) = world.ask(&world.responder, &args, REFRESH);
    assert_eq!(set(&by_revoke), set(&by_blast));
    assert_eq!(by_revoke["set"][0]["before"], "ACTIVE");
    let output = world.server.run_with(&world.responder, &["revoke", "-"], REFRESH.as_bytes());
    let shown = stdout(&output);
    assert!(shown.starts_with("ISSUER NOT TOLD: "), "{shown}");
    assert!(shown.contains("issuer told of 0 of 2; 2 were not told: no revocation_endpoint"));
    assert!(shown.contains("revoked 2 of 2 tokens"), "{shown}");
    let line = shown.lines().find(|line| line.contains("descendant")).expect("a descendant");
    assert!(line.contains("ACTIVE") && line.contains("REVOKED"), "{line}");
    let (_, again) = world.ask(&world.responder, &args, REFRESH);
    assert_eq!((&again["issuer_told"], &again["to_revoke"]), (&json!(false), &json!([])));
}
