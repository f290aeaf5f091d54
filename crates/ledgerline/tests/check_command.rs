//! What `check` says: of honest bundles in every form, and of bundles that were exchanged, cut or
//! relabelled.

mod running;

use std::path::Path;

use running::{Server, event, run, stderr, stdout};
use serde_json::{Value, json};

const LEAKED: &str = "a-leaked-refresh-token-0123456789";

fn vectors() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proof/vectors/bundles")
}

/// A golden file, rewritten with `UPDATE_GOLDEN=1`.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check_golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, found).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name}; UPDATE_GOLDEN=1 rewrites it");
}

#[test]
fn a_report_is_the_same_as_table_json_and_page() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, exit) in [
        ("good_ed25519", 0),
        ("good_covered", 0),
        ("good_question_bound", 0),
        ("good_question_old", 0),
        ("good_disclosed", 0),
        ("bad_question_name", 2),
    ] {
        let file = vectors().join(format!("{name}.json"));
        let held = std::fs::read(vectors().join(format!("{name}.expected.json"))).expect(name);
        let held: Value = serde_json::from_slice(&held).expect("JSON");
        let key = held["log_keys"][0].as_str().expect("a key");
        let file = file.to_str().expect("text");
        let page = folder.path().join(format!("{name}.html"));
        let page_name = page.to_str().expect("text");
        let table = run(&["check", file, "--key", key, "--html", page_name], &[], b"");
        let text = stdout(&table);
        assert_eq!(table.status.code(), Some(exit), "{name}: {text}{}", stderr(&table));
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.iter().all(|line| line.trim().split(' ').count() <= 2), "{wide:?}");
        golden(&format!("{name}.txt"), &text);
        let json = run(&["check", file, "--key", key, "-o", "json"], &[], b"");
        let report: Value = serde_json::from_str(&stdout(&json)).expect("JSON");
        assert_eq!(
            (&report["format"], &report["version"]),
            (&json!("ledgerline-check"), &json!(1))
        );
        golden(&format!("{name}.json"), &format!("{report:#}\n"));
        let html = std::fs::read_to_string(&page).expect("a page");
        assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("src="));
        let made = html.split("made at <bdi>").nth(1).and_then(|rest| rest.split('<').next());
        let html = html.replace(made.expect("a time"), "TIME").replace(file, "FILE");
        golden(&format!("{name}.html"), &html);
    }
}

/// A ledger with two families of tokens, and its key.
struct World {
    server: Server,
    reader: String,
    key: String,
}

fn of(id: &str, kind: &str, token: &str, more: &Value) -> Value {
    let mut event = event(id, kind, token);
    for (name, value) in more.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    event
}

impl World {
    fn new() -> Self {
        let server = Server::start();
        let producer = server.key("", "idp", &["producer"]);
        let reader = server.key("", "reader", &["reader", "auditor"]);
        let status = server.get("/v1/status", &reader).json();
        let key = status["log_key"].as_str().expect("a key").to_owned();
        let child = json!({
            "client_id": "web",
            "links": [{ "token_id": "eu:idp:jti:a", "relation": "REFRESHED_FROM" }],
        });
        let t1 = run(&["token-id", "--region", "eu", "--issuer", "idp"], &[], LEAKED.as_bytes());
        let known = json!({ "client_id": "desk", "also_known_as": [stdout(&t1).trim()] });
        let orders = |at: &str| json!({ "resource": "/orders/{id}", "occurred_at": at });
        let verdicts = server.record(
            &producer,
            &[
                of("n1", "ISSUED", "a", &json!({ "client_id": "web" })),
                of("n2", "ISSUED", "a2", &child),
                of("n3", "ISSUED", "b", &json!({ "client_id": "batch" })),
                of("n4", "RESOURCE_ACCESSED", "a", &orders("2026-01-02T03:05:00Z")),
                of("n5", "RESOURCE_ACCESSED", "a2", &orders("2026-01-02T03:06:00Z")),
                of("n6", "RESOURCE_ACCESSED", "b", &json!({ "resource": "/payslips" })),
                of("n7", "REVOKED", "a", &json!({ "occurred_at": "2026-01-02T03:30:00Z" })),
                of("n8", "ISSUED", "l", &known),
            ],
        );
        assert!(verdicts.iter().all(|one| one["status"] == "recorded"), "{verdicts:?}");
        server.wait_for_block();
        Self { server, reader, key }
    }

    fn bundle(&self, path: &str) -> Value {
        let answer = self.server.get(path, &self.reader);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Exit code and text of `check`.
    fn check(&self, bundle: &Value, more: &[&str], input: &[u8]) -> (i32, String) {
        let file = self.server.write("b.json", bundle.to_string());
        let args = ["check", file.to_str().expect("text"), "--key", &self.key];
        let output = run(&[&args[..], more].concat(), &[], input);
        let text = format!("{}{}", stdout(&output), stderr(&output));
        (output.status.code().expect("a code"), text)
    }

    fn ends(&self, what: &str, bundle: &Value, expected: i32) -> String {
        let (code, text) = self.check(bundle, &[], b"");
        assert_eq!(code, expected, "{what}: {text}");
        text
    }
}

/// The value with another at a place.
fn with(bundle: &Value, place: &str, value: impl Into<Value>) -> Value {
    let mut changed = bundle.clone();
    *changed.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value.into();
    changed
}

/// The question's parameter with another value.
fn asking(bundle: &Value, name: &str, value: &str) -> Value {
    let mut changed = bundle.clone();
    let list = changed["query"]["parameters"].as_array_mut().expect("parameters");
    list.retain(|one| one["name"] != name);
    list.push(json!({ "name": name, "value": value }));
    changed
}

const A: &str = "eu:idp:jti:a";
const B: &str = "eu:idp:jti:b";

#[test]
fn a_bundle_is_told_by_its_token_question_and_people() {
    let world = World::new();
    let bundle = world.bundle(&format!("/v1/tokens/{A}/proof"));
    let text = world.ends("honest", &bundle, 0);
    for part in [
        "PROVEN",
        "What is the life of token eu:idp:jti:a?",
        "as of the last entry shown (index ",
        "known REVOKED (not active)",
        "REVOKED ALLOW  token eu:idp:jti:a",
        "2026-01-02T03:30:00Z",
        "resource: /orders/{id}",
        "who: source idp",
        "not signed: attested only by API key",
        "no later event",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (expect, code, says) in
        [(A, 0, "the token is the expected one"), (B, 2, "ANOTHER TOKEN than the expected one")]
    {
        let (found, text) = world.check(&bundle, &["--expect-token", expect], b"");
        assert_eq!(found, code, "{expect}: {text}");
        assert!(text.contains(says), "{expect}: {text}");
    }
    // It has two ids: the bundle of one of them would not tell its state.
    let leaked = world.bundle("/v1/tokens/eu:idp:jti:l/lineage?proof=true");
    for (expect, input, code, says) in [
        ("-", LEAKED, 0, "the token is the expected one"),
        ("-", &*format!("Authorization: Bearer {LEAKED}\n"), 0, "the token is the expected one"),
        ("-", "another-token-that-is-not-there-1234", 2, "ANOTHER TOKEN"),
    ] {
        let (found, text) = world.check(&leaked, &["--expect-token", expect], input.as_bytes());
        assert_eq!(found, code, "{expect}: {text}");
        assert!(text.contains(says) && !text.contains(LEAKED), "{expect}: {text}");
    }
    let question = "What is the life of token eu:idp:jti:a?";
    assert_eq!(world.check(&bundle, &["--expect-question", question], b"").0, 0);
    assert_eq!(world.check(&bundle, &["--expect-question", "blast-radius"], b"").0, 2);
    let (_, json) = world.check(&bundle, &["--expect-token", B, "-o", "json"], b"");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["verdict"], &json["expected"]["token"]),
        (&"NOT_AS_EXPECTED".into(), &false.into())
    );
}

#[test]
fn an_exchanged_bundle_of_a_token_or_event_is_refused() {
    let world = World::new();
    let a = world.bundle(&format!("/v1/tokens/{A}/proof"));
    let b = world.bundle(&format!("/v1/tokens/{B}/proof"));
    world.ends("another id", &with(&a, "/query/id", B), 2);
    world.ends("another tenant", &with(&a, "/query/tenant", "theirs"), 2);
    world.ends("leaves of another token", &with(&a, "/leaves", b["leaves"].clone()), 2);
    world.ends("another size", &with(&a, "/as_of/size", "3"), 2);
    world.ends("another time", &with(&a, "/as_of/recorded_at", "1"), 2);
    world.ends("another origin", &with(&a, "/origin", "ledger.example/other"), 2);
    world.ends("no bundle", &json!({ "format": "ledgerline-bundle" }), 2);
}

#[test]
fn the_cut_end_of_a_chain_is_only_a_state_as_of_the_last_entry_shown() {
    let world = World::new();
    let mut cut = world.bundle(&format!("/v1/tokens/{A}/proof"));
    let whole = world.ends("whole", &cut, 0);
    let index = |text: &str| text.split("shown (index ").nth(1).expect("an index")[..2].to_owned();
    let leaves = cut["leaves"].as_array_mut().expect("leaves");
    leaves.retain(|leaf| leaf["index"] != index(&whole));
    cut["coverage"]["sources"][0]["events"] = "2".into();
    let text = world.ends("cut", &cut, 0);
    assert!(text.contains("known ACTIVE"), "{text}");
    assert!(text.contains("STATE, as of the last entry shown (index "), "{text}");
    assert!(index(&text) < index(&whole), "{text}");
    assert!(text.contains("no later event"), "{text}");
}

#[test]
fn another_sentence_or_subject_does_not_pass() {
    let world = World::new();
    let radius = world.bundle(&format!("/v1/tokens/{A}/blast-radius?proof=true"));
    let text = world.ends("honest", &radius, 0);
    assert!(text.contains("What did token eu:idp:jti:a and its descendants"), "{text}");
    let story = "alice stole it all";
    for (what, changed) in [
        ("a sentence as name", with(&radius, "/query/name", story)),
        ("a sentence as subject", with(&radius, "/query/about", story)),
        ("a sentence as parameter", asking(&radius, "note", story)),
        ("a sentence as value", asking(&radius, "strength", story)),
        ("another token", with(&radius, "/query/about", B)),
        (
            "the child, of which the parent does not come",
            with(&radius, "/query/about", "eu:idp:jti:a2"),
        ),
        ("another tenant", with(&radius, "/query/tenant", "theirs")),
        ("nearer than what is shown", asking(&radius, "depth", "0")),
        ("before the token was known", asking(&radius, "as_of", "1")),
        ("before anything happened", asking(&radius, "at", "2020-01-01T00:00:00Z")),
        ("another question", with(&radius, "/query/name", "exposure")),
    ] {
        let text = world.ends(what, &changed, 2);
        assert!(!text.contains(story), "{what}: {text}");
    }
}

#[test]
fn other_subjects_than_tokens_are_bound_too() {
    let world = World::new();
    let range = "from=2026-01-02T03:05:00Z&until=2026-01-02T03:05:30Z";
    let there = "/v1/resources/%2Forders%2F%7Bid%7D/tokens";
    let accessed = world.bundle(&format!("{there}?{range}&proof=true"));
    let text = world.ends("honest", &accessed, 0);
    let sentence = "Which tokens accessed resource /orders/{id} from 2026-01-02T03:05:00Z until";
    assert!(text.contains(sentence), "{text}");
    world.ends("another resource", &with(&accessed, "/query/about", "named /payslips"), 2);
    world.ends("another time", &asking(&accessed, "from", "2026-01-02T03:05:10Z"), 2);
    let held = world.bundle("/v1/clients/web/tokens?proof=true");
    world.ends("honest", &held, 0);
    world.ends("another client", &with(&held, "/query/about", "client batch"), 2);
    world.ends("a session", &with(&held, "/query/about", "session web"), 2);
    let range = "from=2026-01-02T03:00:00Z&until=2026-01-02T04:00:00Z";
    let revoked = world.bundle(&format!("/v1/after-revoke?{range}&proof=true"));
    world.ends("honest", &revoked, 0);
    let query = revoked["query"].clone();
    let relabelled = with(&held, "/query/name", query["name"].clone());
    let relabelled = with(&relabelled, "/query/parameters", query["parameters"].clone());
    world.ends("never revoked", &with(&relabelled, "/query/about", ""), 2);
    let events = world.bundle("/v1/pivot?kind=client&value=web&proof=true");
    world.ends("honest", &events, 0);
    world.ends("another client", &asking(&events, "value", "batch"), 2);
    let other = "idp/01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11";
    let id = world.bundle(&format!("/v1/tokens/{A}/events"))["events"][0]["statement"]["event_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let why = world.bundle(&format!("/v1/events/idp/{id}/why?proof=true"));
    world.ends("honest", &why, 0);
    world.ends("another event", &with(&why, "/query/about", other), 2);
}

/// What cut an answer is in the bundle: it is told, as the maker's word.
#[test]
fn a_cut_answer_says_so() {
    let world = World::new();
    let part = world.bundle("/v1/clients/web/tokens?proof=true&limit=1");
    let text = world.ends("a part", &part, 0);
    assert!(text.contains("MISSING, IN THE WORDS OF WHOEVER MADE THE BUNDLE"), "{text}");
    assert!(text.contains("the answer was cut by limit"), "{text}");
    // A flipped revocation must not leave a state behind for programs to read.
    let mut flipped = world.bundle(&format!("/v1/tokens/{A}/proof"));
    let leaves = flipped["leaves"].as_array_mut().expect("leaves");
    let last = leaves.len() - 2;
    leaves[last]["path"] = json!([]);
    let (code, json) = world.check(&flipped, &["-o", "json"], b"");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &json["lifecycle"], &json["lives"]), (2, &Value::Null, &json!([])), "{json}");
    assert!(json["entries"].as_array().expect("entries").iter().all(|one| one["known"].is_null()));
}

#[test]
fn what_an_older_bundle_does_not_tell_is_said() {
    let world = World::new();
    let resources = world.bundle(&format!("/v1/tokens/{A}/resources?from=birth&proof=true"));
    let text = world.ends("honest", &resources, 0);
    let sentence = "Which resources did token eu:idp:jti:a access from its birth until its";
    assert!(text.contains(sentence), "{text}");
    assert!(!text.contains("does not tell"), "{text}");
    let old = with(&resources, "/query/parameters", json!([{ "name": "from", "value": "birth" }]));
    let text = world.ends("older", &old, 0);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("does not tell until, of"), "{text}");
}

#[test]
fn a_bundle_continues_the_checkpoint_that_the_asker_keeps() {
    let world = World::new();
    let kept = world.server.call("GET", "/checkpoint", None, None).body;
    let kept = world.server.write("kept", &kept);
    let kept = kept.to_str().expect("text");
    let producer = world.server.key("", "late", &["producer"]);
    world.server.record(&producer, &[event("late", "USED", "a")]);
    world.server.wait_for_block();
    let out = world.server.path("since.json");
    let out = out.to_str().expect("text");
    for args in [
        vec!["prove", A, "--since", kept, "--out", out],
        vec!["blast-radius", A, "--proof", out, "--since", kept, "--force"],
        vec!["query", "resources", A, "--proof", out, "--since", kept, "--force"],
    ] {
        let made = world.server.run(&world.reader, &args);
        assert_eq!(made.status.code(), Some(0), "{args:?}: {}", stderr(&made));
        let bundle: Value = serde_json::from_str(&world.server.read("since.json")).expect("JSON");
        let (code, text) = world.check(&bundle, &["--since", kept], b"");
        assert_eq!(code, 0, "{args:?}: {text}");
        assert!(text.contains("same log"), "{text}");
        let root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let forked = with(&bundle, "/previous/root", root);
        assert_eq!(world.check(&forked, &["--since", kept], b"").0, 2, "a rewritten log");
        let mut none = bundle.clone();
        none.as_object_mut().expect("an object").remove("previous");
        assert_eq!(world.check(&none, &["--since", kept], b"").0, 3, "no proof from there");
    }
    let crlf = std::fs::read_to_string(kept).expect("text").replace('\n', "\r\n");
    let crlf = world.server.write("crlf", crlf);
    let bundle = world.bundle(&format!("/v1/tokens/{A}/proof"));
    let (code, text) = world.check(&bundle, &["--since", crlf.to_str().expect("text")], b"");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("could not be read"), "{text}");
}

/// A new history under the same keys: what the auditor kept contradicts it.
#[test]
fn a_rewritten_ledger_is_contradicted_by_the_checkpoint_that_was_kept() {
    let mut world = World::new();
    let kept = world.server.call("GET", "/checkpoint", None, None).body;
    let kept = world.server.write("kept", &kept);
    let kept = kept.to_str().expect("text").to_owned();
    assert_eq!(world.server.stop(), Some(0));
    for folder in ["data", "data.head"] {
        std::fs::remove_dir_all(world.server.path(folder)).expect("removed");
    }
    std::fs::remove_file(world.server.path("admin.key")).expect("removed");
    world.server.go();
    world.server.admin = world.server.read("admin.key");
    let producer = world.server.key("", "idp", &["producer"]);
    let events: Vec<Value> = (0..20).map(|n| event(&format!("r{n}"), "USED", "a")).collect();
    world.server.record(&producer, &events);
    world.server.wait_for_block();
    let auditor = world.server.key("*", "audit", &["auditor", "reader"]);
    let status = world.server.get("/v1/status", &auditor).json();
    assert_eq!(status["log_key"], world.key.as_str(), "the same key signs another history");
    let out = world.server.path("rewritten.json");
    let out = out.to_str().expect("text");
    let args = ["prove", A, "--tenant", "", "--since", &kept, "--out", out];
    let made = world.server.run(&auditor, &args);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let bundle: Value = serde_json::from_str(&world.server.read("rewritten.json")).expect("JSON");
    let (code, text) = world.check(&bundle, &["--since", &kept], b"");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("forked") && text.contains("NOT the checkpoint that you hold"), "{text}");
    assert!(!text.contains("STATE"), "{text}");
    let args = ["verify", "--log-key", &world.key, "--since", &kept];
    let verified = world.server.run(&auditor, &args);
    assert_eq!(verified.status.code(), Some(2), "{}", stdout(&verified));
    assert!(stdout(&verified).contains("NOT the same log"), "{}", stdout(&verified));
}

#[test]
fn a_failed_command_leaves_no_bundle_that_could_be_checked() {
    let world = World::new();
    let out = world.server.path("evidence.json");
    let out = out.to_str().expect("text");
    let go = |args: &[&str]| world.server.run(&world.reader, args).status.code();
    assert_eq!(go(&["prove", A, "--out", out]), Some(0));
    assert_eq!(go(&["prove", B, "--out", out]), Some(1), "nothing is overwritten");
    assert!(world.server.read("evidence.json").contains(A));
    assert_ne!(go(&["prove", "eu:idp:jti:nowhere", "--out", out, "--force"]), Some(0));
    assert!(!Path::new(out).exists(), "nor left over for the next check");
    assert!(world.server.read("evidence.json.old0").contains(A), "nor lost to the failure");
    assert_eq!(go(&["trace", B, "--proof", out]), Some(0));
    assert_ne!(go(&["trace", A, "--proof", out]), Some(0));
    assert!(world.server.read("evidence.json").contains(B));
    let (link, target) = (world.server.path("link"), world.server.write("target", "precious"));
    std::os::unix::fs::symlink(&target, &link).expect("a link");
    let link = link.to_str().expect("text");
    assert_ne!(go(&["prove", A, "--out", link, "--force"]), Some(0));
    assert_ne!(go(&["lineage", A, "--proof", link, "--force"]), Some(0));
    assert_eq!(world.server.read("target"), "precious");
}

#[test]
fn a_report_was_written_over_the_bundle_that_it_is_about() {
    let world = World::new();
    let out = world.server.path("evidence.json");
    let out = out.to_str().expect("text");
    assert_eq!(world.server.run(&world.reader, &["prove", A, "--out", out]).status.code(), Some(0));
    let before = world.server.read("evidence.json");
    let key = world.key.clone();
    let args = ["check", out, "--key", &key, "--html", out, "--force"];
    assert_eq!(world.server.run(&world.reader, &args).status.code(), Some(64));
    assert_eq!(world.server.read("evidence.json"), before);
}
