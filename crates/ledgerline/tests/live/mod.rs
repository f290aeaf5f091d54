//! What the tests with real issuers share: the issuer's process, and the book of a client that is
//! held against the ledger.
//!
//! Promises: every token that the client received is looked at in every way: its life, what it came
//! from, whether it may be used, whose it is. A token that the ledger does not know, or an edge
//! that the client did not see, is named.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod hunted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ledgerline_servers::port;
use serde_json::{Value, json};

use crate::running::{Answer, Server};

/// The scripts of the issuers and their clients.
pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live");
/// Region and alias of the issuer, as the ledger knows it.
pub const REGION: &str = "eu";
pub const ALIAS: &str = "idp";

const FORM: &str = "application/x-www-form-urlencoded";
/// How long what happened at the issuer may take to be in the ledger, on a loaded machine.
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);
/// The provider's clock and ours are one, but it counts whole seconds from when it asked it.
const SECONDS_APART: i64 = 2;

/// A process that a test started. Stopped when dropped, by its id.
pub struct Process(pub Child);

impl Process {
    /// Asks it to end, and waits; panics when it did not.
    pub fn stop(&mut self) {
        port::stop(&mut self.0).expect("it ends when it is asked to");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = port::stop(&mut self.0);
    }
}

/// A folder of links to packages and copies of scripts: Node.js looks for packages beside a script,
/// and the installed ones are not to be written to.
pub fn beside(packages: &Path, scripts: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let modules = packages.join("node_modules");
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).expect("a link");
    for name in scripts {
        std::fs::copy(Path::new(SCRIPTS).join(name), folder.path().join(name)).expect(name);
    }
    folder
}

/// Node.js with a script of such a folder.
pub fn node(folder: &tempfile::TempDir, script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(folder.path().join(script));
    command
}

/// The ledger's flags for an issuer whose keys are at a URL; the file is to be kept.
pub fn register(iss: &str, jwks_url: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledgerline.toml");
    let text = format!(
        "[issuers.{ALIAS}]\niss = \"{iss}\"\nregion = \"{REGION}\"\njti_rule = \"identity\"\n\
         jwks_url = \"{jwks_url}\"\n"
    );
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

/// A ledger, and who asks it. Remembers every answer, to be searched for secrets.
pub struct Ledger {
    pub server: Server,
    reader: String,
    gateway: String,
    answers: std::cell::RefCell<Vec<u8>>,
}

impl Ledger {
    pub fn new(server: Server) -> Self {
        let reader = server.key("", "desk", &["reader", "privacy", "auditor"]);
        let gateway = server.key("", "gateway", &["resource_server"]);
        Self { server, reader, gateway, answers: std::cell::RefCell::default() }
    }

    fn heard(&self, answer: Answer) -> Answer {
        self.answers.borrow_mut().extend(format!("{:?}\n", answer.headers).bytes());
        self.answers.borrow_mut().extend(&answer.body);
        answer
    }

    pub fn get(&self, path: &str) -> Answer {
        self.heard(self.server.get(path, &self.reader))
    }

    /// What introspection says of a bearer value.
    fn introspect(&self, value: &str) -> Value {
        let value =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        let form = (FORM, format!("token={value}"));
        let body = Some((form.0, form.1.as_bytes()));
        let answer = self.server.call("POST", "/oauth2/introspect", Some(&self.gateway), body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.heard(answer).json()
    }

    /// Everything the ledger wrote or said, in files below its folder.
    pub fn write_down_answers(&self) {
        self.get("/metrics");
        self.get("/v1/status");
        self.get("/v1/findings?limit=1000");
        self.get("/v1/issuers");
        self.server.write("answers", &*self.answers.borrow());
    }

    /// Waits until a token is known.
    pub fn wait_for(&self, id: &str) {
        let until = Instant::now() + ARRIVED_WITHIN;
        while self.get(&format!("/v1/tokens/{id}")).status != 200 {
            assert!(Instant::now() < until, "{id} did not come within {ARRIVED_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until some finding of a rule is about a token.
    pub fn wait_for_finding(&self, rule: &str, id: &str) {
        let until = Instant::now() + ARRIVED_WITHIN;
        loop {
            let found = self.get(&format!("/v1/findings?rule={rule}&limit=1000")).text();
            if found.contains(id) {
                return;
            }
            assert!(Instant::now() < until, "no finding {rule} about {id}: {found}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What a client received and did.
pub struct Book {
    tokens: Vec<Value>,
    ids: BTreeMap<String, String>,
}

impl Book {
    /// `id` names a token as the adapter does.
    pub fn new(tokens: &Value, id: impl Fn(&Value) -> String) -> Self {
        let tokens = tokens.as_array().expect("tokens").clone();
        let named = |token: &Value| (text(&token["name"]).to_owned(), id(token));
        let ids: BTreeMap<_, _> = tokens.iter().map(named).collect();
        let different: BTreeSet<_> = ids.values().collect();
        assert_eq!(different.len(), tokens.len(), "each token has a name and an id of its own");
        Self { tokens, ids }
    }

    pub fn id(&self, name: &str) -> &str {
        &self.ids[name]
    }

    /// Holds the ledger against all of it; every difference in one panic. Then once more against a
    /// book that says something else in one place, for each thing that is compared.
    pub fn check(&self, ledger: &Ledger) {
        let wrong = self.differences(ledger);
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        let last = self.tokens.iter().rposition(|token| {
            token["alive"] == true && token["parents"] != json!([]) && token["exp"].is_i64()
        });
        let last = last.expect("a token that lives, with a parent and an end");
        let altered = |name: &str, value: Value| {
            let (mut tokens, ids) = (self.tokens.clone(), self.ids.clone());
            tokens[last][name] = value;
            let wrong = Self { tokens, ids }.differences(ledger);
            assert!(!wrong.is_empty(), "nobody saw that {name} was another");
        };
        let exp = self.tokens[last]["exp"].as_i64().expect("an end");
        let parent = self.tokens[last]["parents"][0][0].clone();
        altered("alive", json!(false));
        altered("exp", json!(exp + 60));
        altered("kind", json!("AUTH_CODE"));
        altered("client_id", json!("another"));
        altered("sub", json!("somebody-else"));
        altered("parents", json!([]));
        altered("parents", json!([[parent, "OTHER"]]));
    }

    fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let mut wrong = Vec::new();
        for token in &self.tokens {
            let id = self.id(text(&token["name"]));
            let mut differs = |what: &str, found: &Value, expected: &Value| {
                if found != expected {
                    wrong.push(format!("{} {what}: {found}, not {expected}", token["name"]));
                }
            };
            self.life(ledger, id, token, &mut differs);
            let found = ledger.get(&format!("/v1/tokens/{id}/lineage?direction=ancestors")).json();
            differs("parents", &shown(&found), &self.parents(token));
            if token["kind"] != "AUTH_CODE" {
                let said = ledger.introspect(text(&token["value"]));
                // A JWT whose key only its issuer has is vouched for by nobody else.
                let is_active = token["alive"] == true && token["is_secretly_signed"] != true;
                differs("introspection", &said["active"], &json!(is_active));
                if said["active"] == true {
                    differs("client of introspection", &said["client_id"], &token["client_id"]);
                }
            }
        }
        for (person, expected) in self.persons() {
            let body = json!({ "kind": "PERSON", "issuer": ALIAS, "value": person });
            let resolved = ledger.server.post("/v1/resolve", &ledger.reader, &body).json();
            let Some(handle) = resolved["handle"].as_str() else {
                wrong.push(format!("nobody is known as {person}"));
                continue;
            };
            let found = ledger.get(&format!("/v1/subjects/{handle}/tokens?limit=1000")).json();
            let list = found["tokens"].as_array().expect("tokens").iter();
            let found: BTreeSet<_> = list.map(|token| text(&token["token_id"])).collect();
            if found != expected {
                wrong.push(format!("tokens of {person}: {found:?}, not {expected:?}"));
            }
        }
        wrong
    }

    fn life(
        &self,
        ledger: &Ledger,
        id: &str,
        token: &Value,
        differs: &mut impl FnMut(&str, &Value, &Value),
    ) {
        let life = ledger.get(&format!("/v1/tokens/{id}/events?limit=500")).json();
        let (known, happened) = (&life["known"], &life["happened"]);
        differs("active as known", &known["active"], &token["alive"]);
        differs("active as it happened", &happened["active"], &token["alive"]);
        let events = life["events"].as_array().cloned().unwrap_or_default();
        let issued: Vec<_> = events
            .iter()
            .map(|event| &event["statement"])
            .filter(|statement| statement["type"] == "ISSUED")
            .collect();
        differs("times issued", &json!(issued.len()), &json!(1));
        let Some(issued) = issued.first() else { return };
        differs("kind", &issued["token_kind"], &token["kind"]);
        differs("client", &issued["client_id"], &token["client_id"]);
        let Some(expected) = token["exp"].as_i64() else { return };
        let end: jiff::Timestamp = text(&issued["expires_at"]).parse().expect("a time");
        let apart = (end.as_second() - expected).abs();
        differs("seconds to its end", &json!(apart <= SECONDS_APART), &json!(true));
    }

    /// `[id, relation]` of what the client knows the token came from.
    fn parents(&self, token: &Value) -> Value {
        let one = |parent: &Value| json!([self.id(text(&parent[0])), parent[1]]);
        let mut list: Vec<_> =
            token["parents"].as_array().expect("parents").iter().map(one).collect();
        list.sort_by_key(Value::to_string);
        list.into()
    }

    /// The tokens of each person.
    fn persons(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut persons: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for token in &self.tokens {
            // A machine's token has the client itself as its subject, or none.
            let Some(person) = token["sub"].as_str().filter(|sub| token["client_id"] != *sub)
            else {
                continue;
            };
            persons.entry(person).or_default().insert(self.id(text(&token["name"])));
        }
        persons
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text but {value}"))
}

/// `[id, relation]` of the parents in a lineage.
fn shown(lineage: &Value) -> Value {
    let Some(list) = lineage["tokens"].as_array() else { return lineage.clone() };
    let parents = list.iter().filter(|token| token["depth"] == 1);
    let mut parents: Vec<_> =
        parents.map(|token| json!([token["token_id"], token["relation"]])).collect();
    parents.sort_by_key(Value::to_string);
    parents.into()
}
