//! Strict producers, tokens older than the ledger, reconciliation and sources, over a real server.

mod running;

use std::process::Output;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_proof::token_id::from_presented;
use running::{Server, event, stderr, stdout};
use serde_json::{Value, json};

const TAKEN: &str = "2026-01-02T04:00:00Z";

fn at(mut event: Value, time: &str) -> Value {
    event["occurred_at"] = time.into();
    event
}

fn state(server: &Server, token: &str) -> Value {
    server.get(&format!("/v1/tokens/{token}"), &server.admin).json()
}

fn answer(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{}", stderr(output)))
}

/// Statuses and codes of the verdicts of a list.
fn verdicts(server: &Server, key: &str, events: &[Value]) -> Vec<String> {
    let answer = server.post("/v1/events", key, &Value::Array(events.to_vec()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let list = answer["events"].as_array().expect("verdicts").iter();
    list.map(|one| {
        let code = one["error"]["code"].as_str();
        code.or(one["status"].as_str()).expect("a word").to_owned()
    })
    .collect()
}

#[test]
fn a_strict_source_is_refused_what_violates_the_lifecycle() {
    let server = Server::start_with(&["--strict-sources", "gateway,idp"]);
    let idp = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["producer"]);
    let loose = server.key("", "sidecar", &["producer"]);
    let used = |name: &str, token: &str| at(event(name, "USED", token), "2026-01-02T03:10:00Z");
    let (issued, revoked) = (event("i", "ISSUED", "a"), event("r", "REVOKED", "a"));
    assert_eq!(verdicts(&server, &idp, std::slice::from_ref(&issued)), ["recorded"]);
    assert_eq!(verdicts(&server, &gateway, &[used("u1", "a")]), ["recorded"]);
    server.record(&idp, &[revoked]);
    // A lone event gets its own status; a list loses the bad one only.
    let alone = server.post("/v1/events", &gateway, &used("u2", "a"));
    assert_eq!((alone.status, alone.code()), (409, "lifecycle_violation".to_owned()));
    assert!(alone.text().contains("use_after_revoke"), "{}", alone.text());
    let size = |server: &Server| server.get("/v1/status", &server.admin).json()["size"].clone();
    let list = [used("u3", "a"), event("i-b", "ISSUED", "b"), used("u4", "b"), used("u5", "c")];
    let expected = ["lifecycle_violation", "recorded", "recorded", "lifecycle_violation"];
    assert_eq!(verdicts(&server, &gateway, &list), expected);
    // Twice the same is a retry, not a second birth; another one is.
    assert_eq!(verdicts(&server, &idp, &[issued]), ["duplicate"]);
    for (name, kind, token, code) in [
        ("i2", "ISSUED", "a", "duplicate_issue"),
        ("v", "ACTIVATED", "b", "out_of_order"),
        ("s", "REINSTATED", "b", "out_of_order"),
        ("d", "ROTATED", "a", "out_of_order"),
    ] {
        let answer = server.post("/v1/events", &idp, &used_as(name, kind, token));
        assert_eq!(answer.status, 409, "{kind}: {}", answer.text());
        assert!(answer.text().contains(code), "{kind}: {}", answer.text());
    }
    // DENY changes no state, and what was refused is no violation of whoever is not strict.
    let mut denied = used("u6", "a");
    denied["outcome"] = "DENY".into();
    assert_eq!(verdicts(&server, &gateway, &[denied]), ["recorded"]);
    assert_eq!(verdicts(&server, &loose, &[used("u2", "a")]), ["recorded"]);
    // The parts of an act are refused together.
    let act = |event: Value, part: u32| {
        let mut event = event;
        event["act"] = json!({ "id": "x", "part": part, "parts": 2 });
        event
    };
    let parts = [act(event("x", "ISSUED", "d"), 0), act(used("x", "a"), 1)];
    assert_eq!(verdicts(&server, &idp, &parts), ["lifecycle_violation"; 2]);
    assert_eq!(server.get("/v1/tokens/eu:idp:jti:d", &server.admin).status, 404);
    // Neither does an introspection of a dead token break the rule, nor is anything lost.
    let before = size(&server).as_u64();
    let strict = json!({ "tenant": "", "source": "other", "roles": ["producer"], "strict": true });
    let added = server.post("/v1/keys", &server.admin, &strict).json();
    let key = added["secret"].as_str().expect("a secret");
    assert_eq!(verdicts(&server, key, &[used("o", "a")]), ["lifecycle_violation"]);
    assert!(size(&server).as_u64() > before, "the key itself is an entry");
    let metrics = server.get("/metrics", &server.admin).text();
    let line = "ledgerline_events_refused_total{code=\"lifecycle_violation\"} 10";
    assert!(metrics.contains(line), "{metrics}");
    server.wait_for_block();
    let blocks = server.get("/v1/blocks", &server.admin).json();
    let refused = blocks["blocks"].as_array().expect("blocks").iter();
    let refused: u64 = refused.filter_map(|block| block["refused_count"].as_u64()).sum();
    assert!(refused >= 9, "counted into the blocks: {refused}");
}

fn used_as(name: &str, kind: &str, token: &str) -> Value {
    at(event(name, kind, token), "2026-01-02T03:10:00Z")
}

#[test]
fn revoking_and_using_at_once_never_leaves_a_use_behind() {
    let server = Server::start_with(&["--strict-sources", "gateway"]);
    let idp = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gateway", &["producer"]);
    for round in 0..12 {
        let token = format!("t{round}");
        let mut issued = event(&format!("i{round}"), "ISSUED", &token);
        issued["session_id"] = format!("s{round}").into();
        server.record(&idp, &[issued]);
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let (server, gateway, token) = (&server, &gateway, &token);
                scope.spawn(move || {
                    for n in 0..12 {
                        let name = format!("u{round}-{worker}-{n}");
                        verdicts(server, gateway, &[used_as(&name, "USED", token)]);
                    }
                });
            }
            // By itself, or by its session.
            let mut revoked = event(&format!("r{round}"), "REVOKED", &token);
            if round % 2 == 1 {
                let target = json!({ "kind": "SESSION", "id": format!("eu:idp:s{round}") });
                revoked["target"] = target;
                revoked.as_object_mut().expect("an object").remove("token_id");
            }
            std::thread::sleep(Duration::from_millis(15));
            let index = server.record(&idp, &[revoked])[0]["index"].as_u64().expect("an index");
            scope.spawn(move || index);
        });
        let feed = server.get("/v1/revocations?limit=1000", &server.admin).json();
        let last = feed["revocations"].as_array().expect("a list").last().expect("one").clone();
        let revoked_at = last["position"].as_u64().expect("a position");
        let path = format!("/v1/tokens/eu:idp:jti:{token}/events?limit=1000");
        let life = server.get(&path, &server.admin).json();
        for one in life["events"].as_array().expect("events") {
            let late = one["index"].as_u64() > Some(revoked_at);
            let used = one["statement"]["type"] == "USED";
            assert!(!(late && used), "round {round}: recorded behind its revocation: {one}");
        }
    }
}

/// A table with every sort of token; the raw bearer value stands in one row only.
fn table(raw: &str) -> String {
    format!(
        "jti,token,token_kind,client,subject,scopes,issued_at,expires_at,state\n\
         live,,REFRESH,web,alice,read write,2026-01-01T00:00:00Z,2099-01-01T00:00:00Z,ACTIVE\n\
         dead,,ACCESS,web,\"bob, jr\",,2026-01-01T00:00:00Z,2099-01-01T00:00:00Z,REVOKED\n\
         over,,ACCESS,web,alice,,1767225600,1767229200,\n\
         ,{raw},ACCESS,cli,,,,,\n"
    )
}

#[test]
fn tokens_older_than_the_ledger_are_taken_over_once() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let raw = "R4wB34r3rV4lu3-0123456789abcdef";
    let file = server.write("tokens.csv", table(raw));
    let file = file.to_str().expect("a path");
    let import = |args: &[&str]| {
        let all = [&["import-tokens", "-o", "json", "--region", "eu"][..], args].concat();
        server.run(&idp, &all)
    };
    let first = import(&[file]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert_eq!(answer(&first)["recorded"], 4, "{}", stdout(&first));
    let second = import(&[file]);
    assert_eq!(answer(&second)["duplicate"], 4, "{}", stdout(&second));
    for (jti, known) in [("live", "ACTIVE"), ("dead", "REVOKED"), ("over", "EXPIRED")] {
        let token = state(&server, &format!("eu:idp:jti:{jti}"));
        assert_eq!(token["known"]["state"], known, "{token}");
        assert_eq!(token["known"]["birth"], "ORIGIN", "{token}");
    }
    // Found by its value, which is nowhere in the ledger.
    let guard = server.key("", "guard", &["resource_server"]);
    let body = format!("token={raw}");
    let form = Some(("application/x-www-form-urlencoded", body.as_bytes()));
    let active = server.call("POST", "/oauth2/introspect", Some(&guard), form).json();
    assert_eq!(active["active"], true, "{active}");
    assert_eq!(active["client_id"], "cli", "{active}");
    let mut server = server;
    assert_eq!(server.stop(), Some(0));
    for entry in std::fs::read_dir(server.path("data/journal")).expect("a journal") {
        let bytes = std::fs::read(entry.expect("a file").path()).expect("a segment");
        for secret in [raw, "alice"] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} stands in the journal");
        }
    }
    server.go();
    // Rows that cannot be read are named by line; the others are taken.
    let bad = "jti,state\nx,asleep\ny,ACTIVE\n";
    let args = ["import-tokens", "-o", "json", "--adapter", "csv", "--taken-at", TAKEN, "-"];
    let partly = server.run_with(&idp, &args, bad.as_bytes());
    assert_eq!(partly.status.code(), Some(1), "{}", stdout(&partly));
    let report = answer(&partly);
    assert_eq!((&report["recorded"], &report["refused"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(report["first_refusals"][0]["line"], 2, "{report}");
    let untimed = server.run_with(&idp, &["import-tokens", "-"], b"");
    assert_eq!(untimed.status.code(), Some(64), "{}", stderr(&untimed));
    // What the sources say of it. The ledger itself becomes one when its schedule of expiries
    // has stated that `over` expired: that is waited for, never assumed.
    let of = |sources: &Value, name: &str| {
        let mut list = sources["sources"].as_array().expect("sources").iter();
        list.find(|one| one["source"] == name).cloned().unwrap_or_default()
    };
    let until = Instant::now() + Duration::from_secs(60);
    let sources = loop {
        let sources = answer(&server.run(&server.admin, &["sources", "-o", "json"]));
        if of(&sources, "ledger")["events"].as_u64() > Some(0) {
            break sources;
        }
        assert!(Instant::now() < until, "EXPIRED was never stated: {sources}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let idp = of(&sources, "idp");
    assert_eq!((&idp["events"], &idp["births"]), (&json!(5), &json!(5)), "{sources}");
    assert_eq!((&idp["origins"], &idp["score"]), (&json!(5), &json!(0.0)), "{sources}");
    let shown = server.run(&server.admin, &["sources"]);
    assert!(stdout(&shown).contains("ORIGINS"), "{}", stdout(&shown));
}

#[test]
fn sources_are_counted_and_stay_with_their_tenant() {
    let server = Server::start();
    let idp = server.key("a", "idp", &["producer"]);
    let other = server.key("b", "hidden", &["producer"]);
    let mut origin = event("o", "ORIGIN", "o");
    origin["detail"] = json!([{ "key": "state", "value": "ACTIVE" }]);
    let mut beat = event("h", "HEARTBEAT", "h");
    beat["target"] = json!({ "kind": "SOURCE", "id": "idp" });
    beat.as_object_mut().expect("an object").remove("token_id");
    let births = ["x", "y", "z"].map(|name| event(name, "ISSUED", name));
    server.record(&idp, &[&births[..], &[origin, beat]].concat());
    server.record(&other, &[event("p", "ISSUED", "p")]);
    let reader = server.key("a", "reader", &["reader"]);
    let seen = server.get("/v1/sources", &reader);
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert!(!seen.text().contains("hidden"), "{}", seen.text());
    let answer = seen.json();
    let list = answer["sources"].as_array().expect("sources").clone();
    let one = list.iter().find(|one| one["source"] == "idp").expect("the source");
    for (name, expected) in [("events", 5), ("births", 4), ("origins", 1)] {
        assert_eq!(one[name], expected, "{name}: {one}");
    }
    // A quarter of the tokens is older than the ledger, and no birth names a policy version.
    assert_eq!((&one["score"], &one["silent"]), (&json!(0.375), &json!(false)), "{one}");
    assert_eq!(one["heartbeats"], 1, "{one}");
    assert!(one["heartbeat_age_s"].as_u64() < Some(60), "{one}");
    let first = one["first_recorded_at"].as_str().expect("a time");
    assert!(first <= one["last_recorded_at"].as_str().expect("a time"));
    assert_eq!(server.get("/v1/sources?tenant=b", &reader).status, 404);
    assert_eq!(server.get("/v1/sources", &idp).status, 403);
    let all = server.get("/v1/sources?tenant=b", &server.admin).json();
    assert_eq!(all["sources"][0]["source"], "hidden", "{all}");
}

#[test]
fn the_ledger_and_the_issuers_table_are_reconciled() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let responder = server.key("", "night", &["responder"]);
    let token = |name: &str| {
        let mut issued = event(name, "ISSUED", name);
        issued["expires_at"] = "2099-01-01T00:00:00Z".into();
        issued
    };
    // More than a page of tokens that both know.
    let both: Vec<Value> = (0..700).map(|n| token(&format!("both-{n}"))).collect();
    server.record(&idp, &both);
    server.record(&idp, &["here", "ended", "revoked-later"].map(token));
    server.record(&idp, &[event("x", "REVOKED", "ended")]);
    server.record(&idp, &[at(event("y", "REVOKED", "revoked-later"), "2026-01-02T05:00:00Z")]);
    server.record(&idp, &[at(token("younger"), "2026-01-02T05:00:00Z")]);
    let mut code = token("code");
    code["token_kind"] = "AUTH_CODE".into();
    server.record(&idp, &[code]);
    let mut elsewhere = token("elsewhere");
    elsewhere["token_id"] = "eu:other:jti:elsewhere".into();
    server.record(&idp, &[elsewhere]);
    let mut rows: Vec<String> = (0..700).map(|n| format!("both-{n},ACTIVE")).collect();
    rows.extend(["ended,ACTIVE", "revoked-later,ACTIVE", "gone,REVOKED"].map(str::to_owned));
    let equal = format!("jti,state\n{}\nhere,ACTIVE\nended,REVOKED\n", rows[..700].join("\n"));
    let equal = equal + "revoked-later,ACTIVE\n";
    let differs = format!("jti,state\n{}\nstranger,ACTIVE\n", rows.join("\n"));
    let reconcile = |table: &str, more: &[&str]| {
        let args = ["reconcile", "-o", "json", "--region", "eu", "--taken-at", TAKEN];
        let args = [&args[..], &["--adapter", "csv"], more, &["-"]].concat();
        server.run_with(&responder, &args, table.as_bytes())
    };
    let findings = || {
        let list = server.get("/v1/findings?limit=1000", &server.admin).json();
        let list = list["findings"].as_array().expect("findings").clone();
        let ours = list.into_iter().filter_map(|one| {
            let rule = one["rule"].as_str()?.strip_prefix("reconcile_")?.to_owned();
            Some(format!("{rule} {}", one["token_id"].as_str()?))
        });
        let mut ours: Vec<String> = ours.collect();
        ours.sort();
        ours
    };
    let same = reconcile(&equal, &[]);
    assert_eq!(same.status.code(), Some(0), "{} {}", stdout(&same), stderr(&same));
    // The code is usable too, and no table holds it.
    assert_eq!(answer(&same)["usable_in_ledger"], 703, "{}", stdout(&same));
    let dry = reconcile(&differs, &["--dry-run"]);
    assert_eq!(dry.status.code(), Some(2), "{} {}", stdout(&dry), stderr(&dry));
    let mut found: Vec<String> = answer(&dry)["differences"]
        .as_array()
        .expect("differences")
        .iter()
        .map(|one| {
            let word = one["difference"].as_str().expect("a word");
            let word = word.strip_prefix("reconcile_").expect("one of ours");
            format!("{word} {}", one["token_id"].as_str().expect("a token"))
        })
        .collect();
    found.sort();
    let expected = [
        "ended_here eu:idp:jti:ended",
        "missing_at_issuer eu:idp:jti:here",
        "unknown_token eu:idp:jti:stranger",
    ];
    assert_eq!(found, expected);
    assert!(findings().is_empty(), "a dry run records nothing");
    for _ in 0..2 {
        let shown = reconcile(&differs, &[]);
        assert_eq!(shown.status.code(), Some(2), "{}", stderr(&shown));
        assert_eq!(findings(), expected, "each once, however often it is asked");
    }
    // What cannot be read makes no token missing, and is an error.
    let broken = reconcile("jti,state\nboth-0,asleep\n", &[]);
    assert_eq!(broken.status.code(), Some(1), "{}", stdout(&broken));
    assert_eq!(findings(), expected);
    let foreign = reconcile("token_id\neu:other:jti:elsewhere\n", &[]);
    assert_eq!(foreign.status.code(), Some(1), "{}", stdout(&foreign));
    // Roles, tenants and bodies.
    let request = |tenant: Option<&str>, taken: &str, id: &str| {
        json!({ "tenant": tenant, "region": "eu", "issuer": "idp", "taken_at": taken,
                "tokens": [{ "token_id": id, "usable": true }] })
    };
    let check = |key: &str, request: &Value, status: u16| {
        let answer = server.post("/v1/reconciliations", key, request);
        assert_eq!(answer.status, status, "{}", answer.text());
    };
    let id = "eu:idp:jti:both-0";
    check(&responder, &request(None, TAKEN, id), 200);
    check(&idp, &request(None, TAKEN, id), 403);
    check(&responder, &request(Some("b"), TAKEN, id), 404);
    check(&responder, &request(None, "2999-01-01T00:00:00Z", id), 400);
    check(&responder, &request(None, "yesterday", id), 400);
    check(&responder, &request(None, TAKEN, "eu:other:jti:a"), 400);
    check(&responder, &request(None, TAKEN, "not an id"), 400);
    let many: Vec<Value> = (0..501).map(|_| json!({ "token_id": id, "usable": true })).collect();
    let mut many_tokens = request(None, TAKEN, id);
    many_tokens["tokens"] = many.into();
    check(&responder, &many_tokens, 400);
}

const ISS: &str = "https://idp.test";

/// A JWT of the issuer, as it stands in its table; nobody verifies it here.
fn jwt(iss: &str, jti: &str) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = part(json!({ "iss": iss, "jti": jti, "sub": "someone" }));
    format!("{}.{claims}.c2lnbmF0dXJl", part(json!({ "alg": "ES256" })))
}

fn digest_id(token: &str) -> String {
    from_presented("eu", "idp", token.as_bytes()).expect("an id")
}

/// A server whose register has the issuer, with its rule for jti.
fn registered() -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("ll.toml");
    let text =
        format!("[issuers.idp]\niss = \"{ISS}\"\nregion = \"eu\"\njti_rule = \"identity\"\n");
    std::fs::write(&config, text).expect("the config");
    let config = config.to_str().expect("text").to_owned();
    Server::open(folder, &["--config", &config])
}

fn import(server: &Server, key: &str, table: &str, more: &[&str]) -> Output {
    let args = ["import-tokens", "-o", "json", "--region", "eu", "--adapter", "csv"];
    let args = [&args[..], &["--taken-at", TAKEN], more, &["-"]].concat();
    server.run_with(key, &args, table.as_bytes())
}

/// Introspection said inactive, the issuer let it in, and the comparison said "no differences".
#[test]
fn a_token_on_hold_here_and_active_at_its_issuer_was_no_difference() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let desk = server.key("", "desk", &["responder", "reader"]);
    server.record(&idp, &["held", "free"].map(|name| event(name, "ISSUED", name)));
    server.record(&idp, &[at(event("s", "SUSPENDED", "held"), "2026-01-02T03:30:00Z")]);
    let reconcile = |state: &str| {
        let args = ["reconcile", "-o", "json", "--region", "eu", "--taken-at", TAKEN, "--dry-run"];
        let args = [&args[..], &["--adapter", "csv", "-"]].concat();
        let table = format!("jti,state\nheld,{state}\nfree,ACTIVE\n");
        let output = server.run_with(&desk, &args, table.as_bytes());
        (output.status.code(), answer(&output))
    };
    let (exit, found) = reconcile("ACTIVE");
    let held = json!([{ "token_id": "eu:idp:jti:held", "here": "SUSPENDED" }]);
    assert_eq!((exit, &found["held_here"]), (Some(2), &held), "{found}");
    let (exit, found) = reconcile("SUSPENDED");
    assert_eq!((exit, &found["held_here"]), (Some(0), &json!([])), "{found}");
}

/// A token revoked by its jti came back to life under its digest, by a table of the issuer's own.
#[test]
fn a_table_of_jwts_made_second_living_tokens() {
    let server = registered();
    let idp = server.key("", "idp", &["producer"]);
    let desk = server.key("", "desk", &["responder", "reader"]);
    let (dead, live) = (jwt(ISS, "dead"), jwt(ISS, "live"));
    server.record(&idp, &["dead", "live"].map(|name| event(name, "ISSUED", name)));
    server.record(&idp, &[at(event("r", "REVOKED", "dead"), "2026-01-02T03:30:00Z")]);
    let table = format!("token,state\n{dead},ACTIVE\n{live},REVOKED\n");
    let reconcile = |table: &str| {
        let args = ["reconcile", "-o", "json", "--region", "eu", "--taken-at", TAKEN, "--dry-run"];
        let args = [&args[..], &["--adapter", "csv", "-"]].concat();
        answer(&server.run_with(&desk, &args, table.as_bytes()))
    };
    let differences = |answer: &Value| {
        let list = answer["differences"].as_array().expect("differences").clone();
        let of = |one: Value| format!("{} {}", one["difference"], one["token_id"]).replace('"', "");
        let mut list: Vec<String> = list.into_iter().map(of).collect();
        list.sort();
        list
    };
    let expected =
        ["reconcile_ended_here eu:idp:jti:dead", "reconcile_missing_at_issuer eu:idp:jti:live"];
    assert_eq!(differences(&reconcile(&table)), expected);
    let report = import(&server, &idp, &table, &[]);
    assert_eq!(answer(&report)["recorded"], 2, "{} {}", stdout(&report), stderr(&report));
    for (token, jti) in [(&dead, "dead"), (&live, "live")] {
        for id in [format!("eu:idp:jti:{jti}"), digest_id(token)] {
            let known = state(&server, &id);
            assert_eq!(known["known"]["state"], "REVOKED", "{id}: {known}");
        }
        let triage =
            server.run_with(&desk, &["query", "triage", "-o", "json", "-"], token.as_bytes());
        assert!(!stdout(&triage).contains("ACTIVE"), "{}", stdout(&triage));
    }
    // The same with the two names in columns of their own, and a token known by its digest alone.
    let old = jwt(ISS, "old");
    let mut issued = event("old", "ISSUED", "old");
    issued["token_id"] = digest_id(&old).into();
    server.record(&idp, &[issued]);
    let table = format!("jti,token,state\nold,{old},ACTIVE\n");
    assert_eq!(differences(&reconcile(&table)), Vec::<String>::new());
    let table = table.replace("ACTIVE", "REVOKED");
    let report = import(&server, &idp, &table, &[]);
    assert_eq!(answer(&report)["recorded"], 1, "{}", stdout(&report));
    let known = state(&server, &digest_id(&old));
    assert_eq!(known["known"]["state"], "REVOKED", "{known}");
}

/// Whether a jti is a name there nobody says: the row is refused, and named.
#[test]
fn a_jwt_of_an_issuer_that_nobody_registered_was_taken_as_another_token() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let token = jwt(ISS, "a2");
    let table = format!("token,state\n{token},ACTIVE\n");
    let refused = import(&server, &idp, &table, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    let report = answer(&refused);
    assert_eq!((&report["recorded"], &report["refused"]), (&json!(0), &json!(1)), "{report}");
    assert!(report["first_refusals"][0]["detail"].to_string().contains("jti"), "{report}");
    assert!(!stdout(&refused).contains(&token), "{}", stdout(&refused));
    let told = import(&server, &idp, &table, &["--jti-rule", "identity"]);
    assert_eq!(answer(&told)["recorded"], 1, "{}", stdout(&told));
    assert_eq!(state(&server, "eu:idp:jti:a2")["known"]["state"], "ACTIVE");
    assert_eq!(state(&server, &digest_id(&token))["known"]["state"], "ACTIVE");
    // Of another issuer than the one that is registered under this name.
    let server = registered();
    let idp = server.key("", "idp", &["producer"]);
    let table =
        format!("token\n{}\n{}\n", jwt("https://other.test", "x"), &token[..token.len() / 2]);
    let report = answer(&import(&server, &idp, &table, &["--jti-rule", "identity"]));
    assert_eq!((&report["recorded"], &report["refused"]), (&json!(0), &json!(2)), "{report}");
}

/// `'tok`, `="tok"`, `Bearer tok`, `tok ` were recorded as other tokens, and `#REF!` as a jti.
#[test]
fn what_a_spreadsheet_wraps_was_another_token() {
    let server = registered();
    let idp = server.key("", "idp", &["producer"]);
    let raw = |n: usize| format!("R4wB34r3rV4lu3-{n}-0123456789abcdef");
    let cells = [
        format!("'{}", raw(0)),
        format!("\"=\"\"{}\"\"\"", raw(1)),
        format!("Bearer {}", raw(2)),
        format!("\"{} \"", raw(3)),
        format!("=\"{}\"", raw(4)),
        format!("\u{a0}{}\u{200b}", raw(5)),
    ];
    let report = import(&server, &idp, &format!("token\n{}\n", cells.join("\n")), &[]);
    assert_eq!(answer(&report)["recorded"], cells.len(), "{}", stdout(&report));
    for (n, cell) in cells.iter().enumerate() {
        let known = state(&server, &digest_id(&raw(n)));
        assert_eq!(known["known"]["state"], "ACTIVE", "{cell}: {known}");
    }
    let words = [
        "#REF!",
        "#N/A",
        "NULL",
        "nan",
        "1.23457E+17",
        "R4wB34r3rV4lu3-9-0123456789..",
        "R4wB34r3rV4lu3-9-0123456789\u{2026}",
    ];
    for column in ["jti", "token"] {
        let refused = import(&server, &idp, &format!("{column}\n{}\n", words.join("\n")), &[]);
        assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
        let report = answer(&refused);
        assert_eq!((&report["recorded"], &report["refused"]), (&json!(0), &json!(7)), "{report}");
        for (at, one) in report["first_refusals"].as_array().expect("a list").iter().enumerate() {
            assert_eq!(one["line"], at + 2, "{report}");
            assert!(one["detail"].as_str().is_some_and(|why| why.contains(column)), "{report}");
        }
    }
}

#[test]
fn a_table_of_a_head_alone_was_a_success() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    for table in ["jti,state\n", "", "\n\n"] {
        let empty = import(&server, &idp, table, &[]);
        assert_eq!(empty.status.code(), Some(1), "{table:?} {}", stdout(&empty));
        assert!(stderr(&empty).contains("no row"), "{}", stderr(&empty));
    }
}
