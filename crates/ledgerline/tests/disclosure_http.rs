//! Personal records read back from a real server: by whom, for what, and what is left behind.

mod running;

use std::os::unix::fs::PermissionsExt as _;

use std::path::Path;

use running::{Server, event, run, stderr, stdout};
use serde_json::{Value, json};

const ALICE: &str = "alice-of-the-test";
const BOB: &str = "bob-of-the-test";
const ADDRESS: &str = "203.0.113.77";
/// Every personal value that the tests send.
const PERSONAL: [&str; 8] = [
    ALICE,
    BOB,
    ADDRESS,
    "browser-of-alice",
    "device-of-alice",
    "treasury-of-alice",
    "/files/of-alice/7",
    "198.51.100.88",
];
const TOKEN: &str = "eu:idp:jti:a";

struct World {
    server: Server,
    /// Reads and proves without personal data.
    reader: String,
    office: String,
    verdicts: Vec<Value>,
    alice: String,
}

/// A ledger with a life of alice's token, in which bob acts once, and one token of bob's.
fn world() -> World {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let reader = server.key("", "desk", &["reader", "auditor"]);
    let office = server.key("", "office", &["privacy"]);
    let mut issued = event("n1", "ISSUED", "a");
    issued["personal"] = json!([{
        "role": "SUBJECT", "user_id": ALICE, "ip": ADDRESS, "user_agent": "browser-of-alice",
        "device": "device-of-alice", "attributes": { "department": "treasury-of-alice" },
    }]);
    let mut used = event("n2", "USED", "a");
    used["personal"] = json!([
        { "role": "SUBJECT", "user_id": ALICE, "resource": "/files/of-alice/7" },
        { "role": "ACTOR", "user_id": BOB, "ip": "198.51.100.88" },
    ]);
    let plain = event("n3", "USED", "a");
    let mut other = event("n4", "ISSUED", "b");
    other["personal"] = json!([{ "role": "SUBJECT", "user_id": BOB, "ip": ADDRESS }]);
    let verdicts = server.record(&idp, &[issued, used, plain, other]);
    let alice = handle_of(&server, &office, ALICE);
    World { server, reader, office, verdicts, alice }
}

fn handle_of(server: &Server, office: &str, person: &str) -> String {
    let who = json!({ "kind": "PERSON", "issuer": "idp", "value": person });
    let found = server.post("/v1/resolve", office, &who);
    found.json()["handle"].as_str().expect("a handle").to_owned()
}

impl World {
    fn disclose(&self, question: &Value) -> Value {
        let answer = self.server.post("/v1/disclose", &self.office, question);
        assert_eq!(answer.status, 200, "{question}: {}", answer.text());
        assert_eq!(answer.headers["cache-control"], "no-store");
        answer.json()
    }

    /// The entry that an answer names, as the log has it.
    fn entry(&self, answer: &Value) -> Value {
        let path = format!("/v1/leaves/{}", answer["index"]);
        let leaf = self.server.get(&path, &self.server.admin).json();
        assert_eq!(leaf["statement"]["type"], "DISCLOSED", "{leaf}");
        assert_eq!(leaf["statement"]["source"], "ledger", "{leaf}");
        leaf
    }

    fn size(&self) -> u64 {
        self.server.get("/v1/status", &self.server.admin).json()["size"].as_u64().expect("a size")
    }

    fn disclosures(&self) -> usize {
        let leaf = |at| self.server.get(&format!("/v1/leaves/{at}"), &self.server.admin).json();
        (0..self.size()).filter(|at| leaf(*at)["statement"]["type"] == "DISCLOSED").count()
    }
}

fn states(answer: &Value) -> Vec<Vec<(String, String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let record = |one: &Value| (text(&one["role"]), text(&one["state"]), text(&one["user_id"]));
    let of =
        |event: &Value| event["records"].as_array().expect("records").iter().map(record).collect();
    answer["events"].as_array().expect("events").iter().map(of).collect()
}

fn told(role: &str, state: &str, user: &str) -> (String, String, String) {
    (role.to_owned(), state.to_owned(), user.to_owned())
}

fn detail(entry: &Value, key: &str) -> Value {
    let list = &entry["statement"]["detail"];
    let in_list = list.as_array().into_iter().flatten().find(|one| one["key"] == key);
    in_list.map_or_else(|| list[key].clone(), |one| one["value"].clone())
}

#[test]
fn records_are_read_back_once_that_is_recorded() {
    let world = world();
    let (alice, event_id) = (&world.alice, &world.verdicts[1]["event_id"]);
    let (open, withheld) = ("open", "withheld");
    let (of_alice, of_bob) = (told("SUBJECT", open, ALICE), told("ACTOR", open, BOB));
    let life = [vec![of_alice.clone()], vec![of_alice.clone(), of_bob.clone()], vec![]];
    let hers = [vec![of_alice.clone()], vec![of_alice.clone(), told("ACTOR", withheld, "-")]];
    let at = json!({ "kind": "ADDR", "value": ADDRESS });
    let address = world.server.post("/v1/resolve", &world.office, &at).json()["handle"].clone();
    let there = [vec![of_alice.clone()], vec![told("SUBJECT", open, BOB)]];
    let check = |what: Value, records: u64, target: &str, expected: &[Vec<_>]| {
        let mut question = what.clone();
        question["purpose"] = "case 4711".into();
        let before = world.size();
        let answer = world.disclose(&question);
        assert_eq!(answer["records"], records, "{what}: {answer}");
        let index = answer["index"].as_u64().expect("an index");
        assert!(index >= before && answer["size"].as_u64() > Some(index), "{answer}");
        let shown = states(&answer);
        assert_eq!(shown[..expected.len()], *expected, "{what}: {answer}");
        assert!(shown[expected.len()..].iter().all(Vec::is_empty), "only entries about it follow");
        let entry = world.entry(&answer);
        assert_eq!(entry["statement"]["target"]["kind"], target, "{entry}");
        assert_eq!(detail(&entry, "purpose"), "case 4711", "{entry}");
        assert_eq!(detail(&entry, "records"), records.to_string(), "{entry}");
        let links = entry["statement"]["links"].as_array().expect("links").len();
        assert_eq!(links, expected.iter().filter(|event| !event.is_empty()).count(), "{entry}");
        assert!(entry["handles"].as_array().is_some_and(|all| !all.is_empty()), "{entry}");
        answer
    };
    let first = check(json!({ "token_id": TOKEN }), 3, "TOKEN", &life);
    let record = &first["events"][0]["records"][0];
    let expected = [
        ("handle", json!(alice)),
        ("ip", json!(ADDRESS)),
        ("user_agent", json!("browser-of-alice")),
        ("device", json!("device-of-alice")),
        ("attributes", json!({ "department": "treasury-of-alice" })),
    ];
    for (name, value) in expected {
        assert_eq!(record[name], value, "{name}");
    }
    assert_eq!(first["events"][1]["records"][0]["resource"], "/files/of-alice/7");
    let one = json!({ "source": "idp", "event_id": event_id });
    check(one, 2, "TOKEN", &life[1..2]);
    check(json!({ "handle": alice }), 2, "SUBJECT", &hers);
    check(json!({ "handle": address }), 2, "LEDGER", &there);
    // The entries stand in the lives they are about.
    let path = format!("/v1/tokens/{TOKEN}/events");
    let life = world.server.get(&path, &world.reader).text();
    assert_eq!(life.matches("\"DISCLOSED\"").count(), 2, "{life}");
    let path = format!("/v1/pivot?kind=handle&value={alice}");
    let hers = world.server.get(&path, &world.reader).text();
    assert!(hers.matches("\"DISCLOSED\"").count() >= 3, "{hers}");
}

#[test]
fn without_role_purpose_or_tenant_nothing_is_shown_nor_recorded() {
    let world = world();
    let server = &world.server;
    let sound = json!({ "token_id": TOKEN, "purpose": "case 4711" });
    let refusals: Vec<Vec<u8>> = ["producer", "reader", "auditor", "responder", "admin"]
        .iter()
        .flat_map(|role| {
            let key = server.key("", "somebody", &[role]);
            let bodies = [sound.clone(), json!({ "token_id": "eu:idp:jti:none" }), json!(7)];
            bodies.map(|body| {
                let answer = server.post("/v1/disclose", &key, &body);
                assert_eq!((answer.status, answer.code()), (403, "forbidden".into()), "{role}");
                answer.body
            })
        })
        .collect();
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "one refusal for all");
    let check = |key: &str, change: Value, status: u16, code: &str| {
        let mut question = sound.clone();
        for (name, value) in change.as_object().expect("members") {
            question[name] = value.clone();
        }
        let answer = server.post("/v1/disclose", key, &question);
        assert_eq!((answer.status, answer.code()), (status, code.to_owned()), "{question}");
        assert!(PERSONAL.iter().all(|value| !answer.text().contains(value)), "{question}");
    };
    let office = &world.office;
    for purpose in [Value::Null, json!(""), json!("  "), json!("a\nb"), json!("x".repeat(257))] {
        check(office, json!({ "purpose": purpose }), 422, "bad_disclosure");
    }
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
    for purpose in [token.to_owned(), format!("the token {token} leaked")] {
        check(office, json!({ "purpose": purpose }), 422, "secret_refused");
        let erase = json!({ "handle": world.alice, "purpose": purpose });
        let refused = server.post("/v1/erase", office, &erase);
        assert_eq!((refused.status, refused.code()), (422, "secret_refused".to_owned()));
    }
    check(office, json!({ "handle": world.alice }), 422, "bad_disclosure");
    check(office, json!({ "token_id": null }), 422, "bad_disclosure");
    check(office, json!({ "limit": 257 }), 422, "bad_disclosure");
    check(office, json!({ "colour": "red" }), 400, "bad_json");
    check(office, json!({ "page": "AAAA" }), 400, "bad_page");
    check(office, json!({ "token_id": "eu:idp:jti:none" }), 404, "not_found");
    check(office, json!({ "tenant": "other" }), 404, "not_found");
    // Another tenant's office knows every name, and all of it looks like nothing.
    let theirs = server.key("other", "office", &["privacy"]);
    let (none, handle) = (Value::Null, &world.alice);
    let id = &world.verdicts[0]["event_id"];
    check(&theirs, json!({}), 404, "not_found");
    check(&theirs, json!({ "tenant": "" }), 404, "not_found");
    check(&theirs, json!({ "token_id": none, "handle": handle }), 404, "not_found");
    let one = json!({ "token_id": none, "source": "idp", "event_id": id });
    check(&theirs, one, 404, "not_found");
    check(&theirs, json!({ "proof": true }), 404, "not_found");
    assert_eq!(world.disclosures(), 0);
}

#[test]
fn what_was_erased_says_so_and_stays_closed() {
    let world = world();
    let question = json!({ "token_id": TOKEN, "purpose": "case 4711" });
    assert_eq!(world.disclose(&question)["records"], 3);
    let erase = json!({ "handle": world.alice, "purpose": "case 4712" });
    assert_eq!(world.server.post("/v1/erase", &world.office, &erase).status, 200);
    let answer = world.disclose(&question);
    assert_eq!(answer["records"], 1, "{answer}");
    let gone = told("SUBJECT", "erased", "-");
    let expected = [vec![gone.clone()], vec![gone, told("ACTOR", "open", BOB)], vec![]];
    assert_eq!(states(&answer)[..3], expected, "{answer}");
    assert!(!answer.to_string().contains(ALICE), "{answer}");
    let answer = world.disclose(&json!({ "handle": world.alice, "purpose": "case 4713" }));
    assert_eq!(answer["records"], 0, "{answer}");
    assert_eq!(detail(&world.entry(&answer), "records"), "0");
}

#[test]
fn long_lives_come_in_pages_each_with_its_entry() {
    let world = world();
    let idp = world.server.key("", "idp", &["producer"]);
    let events: Vec<Value> = (0..7)
        .map(|n| {
            let mut used = event(&format!("long-{n}"), "USED", "long");
            used["personal"] = json!([{ "role": "SUBJECT", "user_id": "carol" }]);
            used
        })
        .collect();
    world.server.record(&idp, &events);
    let carol = handle_of(&world.server, &world.office, "carol");
    for about in [json!({ "token_id": "eu:idp:jti:long" }), json!({ "handle": carol })] {
        let mut question = about.clone();
        question["purpose"] = "case 4711".into();
        question["limit"] = 3.into();
        let (mut seen, mut entries) = (Vec::new(), Vec::new());
        loop {
            let page = world.disclose(&question);
            entries.push(world.entry(&page)["statement"]["event_id"].clone());
            let events = page["events"].as_array().expect("events").iter();
            seen.extend(events.map(|event| event["statement"]["native_id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            question["page"] = next.into();
        }
        let of_carol = |name: &&Value| name.as_str().is_some_and(|name| name.starts_with("long-"));
        assert_eq!(seen.iter().filter(of_carol).count(), 7, "{about}: {seen:?}");
        assert!(entries.len() >= 3, "{entries:?}");
        let before = entries.len();
        entries.sort_by_key(Value::to_string);
        entries.dedup();
        assert_eq!(entries.len(), before, "each page has an entry of its own");
    }
}

/// No file below a folder has any of the values in it.
fn assert_clean(folder: &Path, looked_at: &mut usize) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_clean(&path, looked_at);
            continue;
        }
        *looked_at += 1;
        let bytes = std::fs::read(&path).expect("a file");
        for value in PERSONAL {
            let value = value.as_bytes();
            let found = bytes.windows(value.len()).any(|part| part == value);
            assert!(!found, "{} holds {}", path.display(), String::from_utf8_lossy(value));
        }
    }
}

#[test]
fn nothing_personal_is_left_behind_and_the_ledger_still_verifies() {
    let mut world = world();
    let questions = [
        json!({ "token_id": TOKEN, "purpose": "case 4711" }),
        json!({ "handle": world.alice, "purpose": "case 4711" }),
    ];
    for question in &questions {
        // Answered means durable: also when the process dies at once.
        let answer = world.disclose(question);
        world.server.kill_nine();
        world.server.reap();
        world.server.go();
        world.entry(&answer);
    }
    world.server.wait_for_block();
    let token = format!("/v1/tokens/{TOKEN}");
    let paths =
        ["", "/events", "/proof", "/lineage", "/resources"].map(|end| format!("{token}{end}"));
    let others = ["/metrics", "/v1/findings", "/v1/sources", "/v1/status"].map(str::to_owned);
    for path in paths.iter().chain(&others) {
        let text = world.server.get(path, &world.server.admin).text();
        assert!(PERSONAL.iter().all(|value| !text.contains(value)), "{path}: {text}");
    }
    let status = world.server.get("/v1/status", &world.server.admin).json();
    let vkey = status["log_key"].as_str().expect("a key");
    let args = ["verify", "--url", &world.server.url, "--log-key", vkey];
    let verified = world.server.run(&world.server.admin, &args);
    assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
    assert_eq!(world.server.stop(), Some(0));
    let data = world.server.path("data");
    let args = ["verify", "--index", "--data", data.to_str().expect("a path")];
    let verified = run(&args, &[], b"");
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
    let mut looked_at = 0;
    assert_clean(world.server.folder.path(), &mut looked_at);
    assert!(looked_at > 10, "the log and the data folder were read");
}

#[test]
fn the_commands_disclose_export_and_prove() {
    let world = world();
    let server = &world.server;
    let purpose = ["--purpose", "case 4711"];
    let go = |args: &[&str], input: &[u8], code: i32| {
        let args = [args, &purpose[..]].concat();
        let output = server.run_with(&world.office, &args, input);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    let shown = go(&["disclose", "--token", TOKEN], b"", 0);
    assert!(shown.contains(ALICE) && shown.contains("records opened"), "{shown}");
    let id = world.verdicts[0]["event_id"].as_str().expect("an id");
    let one: Value = serde_json::from_str(&go(
        &["disclose", "--event", &format!("idp/{id}"), "-o", "json"],
        b"",
        0,
    ))
    .expect("JSON");
    assert_eq!(one["events"][0]["records"][0]["user_id"], ALICE, "{one}");
    go(&["disclose"], b"", 64);
    go(&["disclose", "--token", TOKEN, "--handle", &world.alice], b"", 64);
    let bare = server.run(&world.office, &["disclose", "--token", TOKEN]);
    assert_eq!(bare.status.code(), Some(64), "a purpose is needed");

    let export = ["export-user", "--issuer", "idp"];
    let lines = go(&[&export[..], &["-"]].concat(), ALICE.as_bytes(), 0);
    let events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let natives: Vec<_> =
        events.iter().filter_map(|one| one["statement"]["native_id"].as_str()).collect();
    assert!(natives.contains(&"n1") && natives.contains(&"n2"), "{natives:?}");
    assert!(lines.contains("treasury-of-alice") && !lines.contains(BOB), "{lines}");
    let whole = go(&[&export[..], &["-o", "json", "-"]].concat(), ALICE.as_bytes(), 0);
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(whole["handle"], world.alice.as_str());
    assert_eq!(whole["records"], 2, "{whole}");
    go(&[&export[..], &[ALICE]].concat(), b"", 64);
    go(&[&export[..], &["-"]].concat(), b"nobody", 1);

    server.wait_for_block();
    let file = server.path("bundle.json");
    let out = file.to_str().expect("text");
    go(&["prove", "--disclose", TOKEN, "--out", out], b"", 0);
    let bundle: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
    assert_eq!(bundle["personal"].as_array().map(Vec::len), Some(3), "{bundle}");
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "personal records in clear are their owner's");
    // A file that is there already: refused before it is recorded that anything was shown.
    server.wait_for_block();
    let size = || server.get("/v1/status", &server.admin).json()["size"].clone();
    let before = size();
    go(&["prove", "--disclose", TOKEN, "--out", out], b"", 1);
    assert_eq!(size(), before);
    let other = server.path("other.json");
    go(
        &["prove", "--disclose", "eu:idp:jti:nowhere", "--out", other.to_str().expect("text")],
        b"",
        4,
    );
    assert!(!other.exists(), "nothing is left of what failed");
    let vkey = server.get("/v1/status", &server.admin).json()["log_key"].clone();
    let vkey = vkey.as_str().expect("a key");
    let checked = run(&["check", "--key", vkey, out], &[], b"");
    assert_eq!(checked.status.code(), Some(0), "{}", stdout(&checked));
    let text = stdout(&checked);
    let told = format!("user_id={ALICE}");
    assert!(text.contains(&told), "what was disclosed is told with its values: {text}");
    // Whoever may only prove gets a bundle without them, and cannot ask for more.
    let asked = ["prove", "--disclose", TOKEN, purpose[0], purpose[1]];
    let refused = server.run(&world.reader, &asked);
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    let plain = server.get(&format!("/v1/tokens/{TOKEN}/proof"), &world.reader).json();
    assert!(plain["personal"].as_array().is_none_or(Vec::is_empty), "{plain}");
    let plain = server.write("plain.json", plain.to_string());
    let checked = run(&["check", "--key", vkey, plain.to_str().expect("text")], &[], b"");
    let text = stdout(&checked);
    assert!(text.contains("from: not disclosed") && !text.contains(ALICE), "{text}");
    let one = ["prove", "--disclose", &format!("idp/{id}"), purpose[0], purpose[1]];
    let one = server.run(&world.office, &one);
    let one: Value = serde_json::from_slice(&one.stdout).expect("a bundle");
    assert_eq!(one["personal"].as_array().map(Vec::len), Some(1), "{one}");
}
