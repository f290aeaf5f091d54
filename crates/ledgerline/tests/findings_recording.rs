//! What the rules tell of the recording of a real identity provider, held against what its driver
//! knows: which presentations of spent refresh tokens and codes were a second party's, which an
//! honest client's own retry, and what was let in after a revocation.
//!
//! The recording lies in `tests/recording`; `LEDGERLINE_RECORDING` names another one.

mod recorded;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ledgerline_proof::token_id::from_presented;
use recorded::recording;
use running::{Server, run, stderr, stdout};
use serde_json::{Value, json};

const SOURCE: &str = "idp-log";

/// All that is told, as docs/reference/http.md has it.
const FIGURES: [(&str, usize, u64); 7] = [
    ("high code_reuse -", 4, 4),
    ("high refresh_reuse -", 20, 21),
    ("info child_outlives_revoked_parent within_propagation_window", 7, 7),
    ("info refresh_reuse benign_race", 6, 6),
    ("info refresh_reuse within_uncertainty", 3, 3),
    ("low scope_widened other_audience", 20, 20),
    ("low use_after_revoke within_propagation_window", 49, 68),
];

/// An act as both sides name it: the token and the request that presented it.
type Act = (String, String);

struct Ledger {
    server: Server,
    reader: String,
    findings: Vec<Value>,
}

impl Ledger {
    /// Takes the whole recording and waits until it is judged.
    fn of_the_recording() -> Self {
        let server = Server::start_with(&["--findings-interval-ms", "20"]);
        let producer = server.key("", SOURCE, &["producer"]);
        let files = ["provider.ndjson", "resource-server.ndjson", "policies.ndjson"];
        let files = files.map(|name| recording().join(name).to_str().expect("text").to_owned());
        let mut args = vec!["ingest", "-o", "json", "--adapter", "oidc-provider"];
        args.extend(files.iter().map(String::as_str));
        let output = server.run(&producer, &args);
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
        let reader = server.key("", "desk", &["reader"]);
        let mut ledger = Self { server, reader, findings: Vec::new() };
        ledger.findings = ledger.judged();
        ledger
    }

    /// The table of docs/reference/http.md: severity, rule and explanation; findings and their
    /// acts.
    fn figures(&self) -> Vec<(String, usize, u64)> {
        let mut kinds: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for one in &self.findings {
            let word = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            let kind = format!("{} {} {}", word("severity"), word("rule"), word("explained"));
            let sum = kinds.entry(kind).or_default();
            *sum = (sum.0 + 1, sum.1 + one["count"].as_u64().unwrap_or_default());
        }
        kinds.into_iter().map(|(kind, (findings, acts))| (kind, findings, acts)).collect()
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.server.get(path, &self.reader);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// All findings, once nothing is left to be judged and nothing new is noted.
    fn judged(&self) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(120);
        while self.get("/v1/findings?limit=1")["lag_entries"] != 0 {
            assert!(Instant::now() < until, "the rules did not catch up");
            std::thread::sleep(Duration::from_millis(200));
        }
        let (mut all, mut page) = (Vec::new(), String::new());
        loop {
            let answer = self.get(&format!("/v1/findings?limit=1000{page}"));
            all.extend(answer["findings"].as_array().expect("a list").iter().cloned());
            match answer["next"].as_str() {
                Some(next) => page = format!("&page={next}"),
                None => return all,
            }
        }
    }

    /// The event of a finding, or another one that answers name.
    fn event(&self, named: &Value) -> Value {
        let (source, id) = (named["source"].as_str().unwrap(), named["event_id"].as_str().unwrap());
        self.get(&format!("/v1/events/{source}/{id}"))
    }

    /// The refused or repeated presentations that findings of a rule and severity are about: the
    /// first event and those counted to it. The second is what the act stands against, which may
    /// be a presentation too: the REFRESHED that produced the successor, while ROTATED is on its
    /// way. Each once.
    fn acts(&self, rule: &str, is_it: impl Fn(&Value) -> bool) -> Vec<Act> {
        let mut acts = Vec::new();
        for one in self.findings.iter().filter(|one| one["rule"] == rule && is_it(one)) {
            let events = one["events"].as_array().expect("events");
            let about: Vec<Value> = events
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != 1)
                .map(|(_, event)| self.event(event))
                .filter(|event| {
                    let kind = event["statement"]["type"].as_str().unwrap_or_default();
                    ["REFRESHED", "USED"].contains(&kind)
                })
                .collect();
            // A spent code also names the use that spent it.
            let about = about
                .iter()
                .filter(|event| rule != "code_reuse" || event["statement"]["outcome"] == "DENY");
            acts.extend(about.map(|event| act_of(&event["statement"])));
        }
        acts
    }
}

fn act_of(statement: &Value) -> Act {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&statement["target"]["id"]), text(&statement["correlation_id"]))
}

fn id(value: &Value) -> String {
    let value = value.as_str().expect("a bearer value");
    from_presented("global", "idp", value.as_bytes()).expect("a token id")
}

struct Truth {
    /// Replays of refresh tokens by whoever did not rotate them.
    thefts: BTreeSet<Act>,
    /// Those by the party that had rotated them itself.
    retries: BTreeSet<Act>,
    code_replays: BTreeSet<Act>,
    let_in_after_revocation: usize,
}

impl Truth {
    fn read() -> Self {
        let read = |name: &str| std::fs::read_to_string(recording().join(name)).expect(name);
        let truth: Value = serde_json::from_str(&read("truth.json")).expect("JSON");
        let lines: Vec<Value> = read("provider.ndjson")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // Who rotated a refresh token first, and who had a code: by address, from the log itself.
        let mut first: BTreeMap<&str, &Value> = BTreeMap::new();
        let (mut code_replays, mut rotated) = (BTreeSet::new(), BTreeSet::new());
        for line in &lines {
            let params = &line["payload"]["params"];
            let request = line["request_id"].as_str().unwrap_or_default();
            if let Some(value) = params["refresh_token"].as_str()
                && line["event"] == "grant.success"
                && rotated.insert(value)
            {
                first.insert(value, &line["payload"]["ip"]);
            }
            if line["payload"]["error_detail"] == "authorization code already consumed" {
                code_replays.insert((id(&params["code"]), request.to_owned()));
            }
        }
        let (mut thefts, mut retries) = (BTreeSet::new(), BTreeSet::new());
        for replay in truth["all_replays"].as_array().expect("replays") {
            let token = replay["token"].as_str().expect("a token");
            let same = replay["by"] == "client" && first.get(token) == Some(&&replay["ip"]);
            let request = replay["request_id"].as_str().expect("a request").to_owned();
            let act = (id(&replay["token"]), request);
            if same {
                retries.insert(act)
            } else {
                thefts.insert(act)
            };
        }
        let after = truth["all_uses_after_revocation"].as_array().expect("uses");
        let let_in = after.iter().filter(|one| one["decision"] == "allow").count();
        Self { thefts, retries, code_replays, let_in_after_revocation: let_in }
    }
}

#[test]
fn what_is_told_at_high_is_the_thefts_and_nothing_else() {
    let truth = Truth::read();
    assert_eq!((truth.thefts.len(), truth.retries.len(), truth.code_replays.len()), (21, 9, 4));
    let ledger = Ledger::of_the_recording();
    let is_grave = |one: &Value| one["severity"] == "high" || one["severity"] == "critical";
    let refresh = ledger.acts("refresh_reuse", is_grave);
    let codes = ledger.acts("code_reuse", is_grave);
    // Precision: nothing at high or above is anything else, and each is told once.
    let grave: Vec<&Value> = ledger.findings.iter().filter(|one| is_grave(one)).collect();
    let reuse = |one: &&&Value| one["rule"] == "refresh_reuse" || one["rule"] == "code_reuse";
    let told = grave.iter().map(|one| &one["rule"]).collect::<Vec<_>>();
    assert_eq!(grave.iter().filter(reuse).count(), grave.len(), "{told:?}");
    // Recall: all of them.
    assert_eq!(refresh.iter().cloned().collect::<BTreeSet<_>>(), truth.thefts);
    assert_eq!(codes.iter().cloned().collect::<BTreeSet<_>>(), truth.code_replays);
    assert_eq!((refresh.len(), codes.len()), (21, 4), "each act once");
    let due = FIGURES.map(|(kind, findings, acts)| (kind.to_owned(), findings, acts));
    assert_eq!(ledger.figures(), due);
    retries_are_told_and_wake_nobody(&ledger, &truth);
    uses_after_revocation_are_told_once_a_token(&ledger, &truth);
    replays_and_revocations_lead_to_each_other(&ledger);
    the_join_is_proven(&ledger);
}

fn retries_are_told_and_wake_nobody(ledger: &Ledger, truth: &Truth) {
    // So close that the clocks may not tell which came first, or a race of one party.
    let retries = ledger.acts("refresh_reuse", |one| one["severity"] == "info");
    assert_eq!(retries.iter().cloned().collect::<BTreeSet<_>>(), truth.retries);
    assert_eq!(retries.len(), 9, "each once");
}

fn uses_after_revocation_are_told_once_a_token(ledger: &Ledger, truth: &Truth) {
    let is_it = |one: &&Value| one["rule"] == "use_after_revoke";
    let told: Vec<&Value> = ledger.findings.iter().filter(is_it).collect();
    let tokens: BTreeSet<_> = told.iter().map(|one| one["token_id"].as_str()).collect();
    assert_eq!(tokens.len(), told.len(), "one finding a token");
    assert!(told.iter().all(|one| one["severity"] == "low"), "{told:#?}");
    let acts: u64 = told.iter().map(|one| one["count"].as_u64().expect("a count")).sum();
    let due = truth.let_in_after_revocation as u64;
    assert!(acts >= due, "{acts} of {due} uses");
}

/// Both ways: the finding names the revocation, and its `why` names the replay and the finding.
fn replays_and_revocations_lead_to_each_other(ledger: &Ledger) {
    let mut joined = 0;
    let is_it = |one: &&Value| one["rule"] == "refresh_reuse" || one["rule"] == "code_reuse";
    for one in ledger.findings.iter().filter(is_it) {
        for caused in one["caused"].as_array().expect("a list") {
            let revoked = ledger.event(caused);
            assert_eq!(revoked["statement"]["type"], "REVOKED", "{one}");
            assert_eq!(revoked["statement"]["reason"], "reuse", "{one}");
            let (source, id) = (caused["source"].as_str(), caused["event_id"].as_str());
            let path = format!("/v1/events/{}/{}/why", source.unwrap(), id.unwrap());
            let why = ledger.get(&path);
            let causes = why["causes"].as_array().expect("causes");
            let leads_to = |event: &Value| causes.iter().any(|one| one["event_ref"] == *event);
            assert!(leads_to(&one["events"][0]), "{path}: {why:#}");
            let own = json!({ "source": "ledger", "event_id": one["event_id"] });
            assert!(leads_to(&own), "{path}: {why:#}");
            joined += 1;
        }
    }
    // 21 families and 4 codes' grants were revoked upon a replay.
    assert_eq!(joined, 25);
}

/// The join is evidence too: the bundle of the answer holds offline.
fn the_join_is_proven(ledger: &Ledger) {
    ledger.server.wait_for_block();
    let is_theft = |one: &&Value| one["rule"] == "code_reuse";
    let theft = ledger.findings.iter().find(is_theft).expect("a finding");
    let caused = &theft["caused"][0];
    let (source, id) = (caused["source"].as_str().unwrap(), caused["event_id"].as_str().unwrap());
    let event = format!("{source}/{id}");
    let file = ledger.server.path("why.json");
    let file = file.to_str().expect("text");
    let ask = ["query", "why", event.as_str(), "--proof", file];
    let output = ledger.server.run(&ledger.reader, &ask);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let status = ledger.server.get("/v1/status", &ledger.server.admin).json();
    let log_key = status["log_key"].as_str().expect("a key");
    let checked = run(&["check", file, "--key", log_key], &[], b"");
    assert_eq!(checked.status.code(), Some(0), "{}{}", stdout(&checked), stderr(&checked));
}
