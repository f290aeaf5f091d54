//! The oidc-provider adapter against the recording and its ground truth.
//!
//! The events are replayed through a small model of the lifecycle (DESIGN 6 and 12), written here
//! anew from the words of the design so that it shares nothing with the adapter, and compared with
//! what `truth-all.json` knows of each token. A second test looks for secrets and personal values.
//!
//! The recording lies in `tests/recording`; `LEDGERLINE_RECORDING` names another one.

mod needles;
#[path = "../../ledgerline/tests/recorded/mod.rs"]
mod recorded;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ledgerline_sources::Options;
use ledgerline_sources::oidc_provider::OidcProvider;
use ledgerline_sources::{Act, Adapter, Naming, Report};
use needles::{Needles, forms};
use recorded::recording;
use serde_json::Value;
use sha2::{Digest, Sha256};

const FILES: [&str; 3] = ["provider.ndjson", "resource-server.ndjson", "policies.ndjson"];

fn read(name: &str) -> String {
    fs::read_to_string(recording().join(name)).expect("a file of the recording is readable")
}

fn read_json(name: &str) -> Value {
    serde_json::from_str(&read(name)).expect("a file of the recording is JSON")
}

fn adapter() -> OidcProvider {
    OidcProvider::new(Options {
        naming: Naming::new("global", "idp").expect("sound names"),
        recorded_as: Some((String::new(), "idp-log".to_owned())),
    })
}

/// Reads files of the recording in the given order; no line of it may be refused.
fn run(files: &[&str]) -> (Vec<Act>, Report) {
    let mut adapter = adapter();
    let mut acts = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(read(file).lines()) {
            adapter.line(number, line, &mut acts).expect("each line of the recording is sound");
        }
    }
    adapter.finish(&mut acts);
    let report = adapter.report().clone();
    (acts, report)
}

/// One reading of all files, shared by the tests.
fn whole_run() -> &'static (Vec<Act>, Report) {
    static RUN: OnceLock<(Vec<Act>, Report)> = OnceLock::new();
    RUN.get_or_init(|| run(&FILES))
}

/// The events as the server will see them, in the order they are posted.
fn events(acts: &[Act]) -> Vec<Value> {
    let events = acts.iter().flat_map(|act| &act.events);
    events.map(|event| serde_json::to_value(event).expect("an event is JSON")).collect()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The id of a token of the truth, made from the design's words and not by the adapter.
fn token_id(form: &str, id: &str) -> String {
    if form == "jwt" {
        return format!("global:idp:jti:{id}");
    }
    let mut hash = Sha256::new();
    hash.update(b"ledgerline/token/v1\0");
    hash.update(id.as_bytes());
    format!("global:idp:t1:{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
}

fn seconds_to_rfc3339(seconds: i64) -> String {
    ledgerline_sources::Millis::from_seconds(seconds).expect("a year of ours").rfc3339()
}

/// All chains of the replay, by target; each in `happened` order: event time, ties by index.
struct Replay {
    events: Vec<Value>,
    chains: BTreeMap<String, Vec<usize>>,
    /// REVOKED on grants and sessions.
    selectors: Vec<usize>,
}

impl Replay {
    fn new(events: Vec<Value>) -> Self {
        let mut chains: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut selectors = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let target = &event["target"];
            assert!(event["token_id"].is_string() != target.is_object(), "one target: {event}");
            let kind = target["kind"].as_str().unwrap_or("TOKEN");
            let id = event["token_id"].as_str().unwrap_or_else(|| text(target, "id"));
            chains.entry(format!("{kind} {id}")).or_default().push(index);
            if text(event, "type") == "REVOKED" && kind != "TOKEN" {
                selectors.push(index);
            }
        }
        for chain in chains.values_mut() {
            chain.sort_by_key(|&index| (text(&events[index], "occurred_at"), index));
        }
        Self { events, chains, selectors }
    }

    fn token(&self, id: &str) -> impl Iterator<Item = &Value> + Clone {
        let chain = self.chains.get(&format!("TOKEN {id}")).map(Vec::as_slice).unwrap_or_default();
        chain.iter().map(|&index| &self.events[index])
    }

    fn of<'a>(&'a self, id: &str, kind: &'static str) -> impl Iterator<Item = &'a Value> {
        self.token(id).filter(move |event| text(event, "type") == kind)
    }

    /// The state at `until`: from the token's own entries, or from those and covering selectors.
    fn state(&self, id: &str, until: &str, covered: bool) -> &'static str {
        let mut state = "unknown";
        let mut expires = "";
        let mut issued = None;
        for event in self.token(id).filter(|e| text(e, "outcome") == "ALLOW") {
            let at = text(event, "occurred_at");
            if at > until || state == "revoked" {
                break;
            }
            state = match (text(event, "type"), state) {
                ("ISSUED", _) => {
                    expires = text(event, "expires_at");
                    issued = Some(event);
                    if event["activation"].is_object() { "pending" } else { "active" }
                }
                ("ACTIVATED", "pending") => "active",
                ("USED", "active") if text(event, "token_kind").ends_with("_CODE") => "spent",
                ("ROTATED", _) => "rotated",
                ("REVOKED", _) if expires.is_empty() || at < expires => "revoked",
                (_, state) => state,
            };
        }
        let selected = issued.is_some_and(|issued| self.is_covered(issued, until));
        if state == "revoked" || covered && selected {
            "revoked"
        } else if !expires.is_empty() && expires <= until {
            "expired"
        } else {
            state
        }
    }

    fn is_covered(&self, issued: &Value, until: &str) -> bool {
        let expires = text(issued, "expires_at");
        self.selectors.iter().map(|&index| &self.events[index]).any(|revoked| {
            let at = text(revoked, "occurred_at");
            let member = match text(&revoked["target"], "kind") {
                "GRANT" => "grant_id",
                "SESSION" => "session_id",
                other => panic!("a selector on {other}"),
            };
            let id = format!("global:idp:{}", text(issued, member));
            let client = &revoked["selector"]["client"];
            text(&revoked["target"], "id") == id
                && (client.is_null() || *client == issued["client_id"])
                && at <= until
                && at < expires
                && text(issued, "occurred_at") <= at
        })
    }
}

/// What the truth calls a relation.
fn relation(link: &Value) -> Option<&'static str> {
    match text(link, "relation") {
        "FROM_CODE" => Some("minted_by"),
        "REFRESHED_FROM" => Some("refreshed_from"),
        "ROTATED_FROM" => Some("rotated_from"),
        "EXCHANGED_FROM" => Some("exchanged_from"),
        _ => None,
    }
}

type Edges = HashMap<String, Vec<(String, &'static str)>>;

/// Everything reachable over `edges`, with depth and relation.
fn reachable(edges: &Edges, from: &str) -> BTreeSet<(String, u64, &'static str)> {
    let mut found = BTreeSet::new();
    let mut next = vec![(from, 0)];
    while let Some((at, depth)) = next.pop() {
        for (to, relation) in edges.get(at).into_iter().flatten() {
            if found.insert((to.clone(), depth + 1, *relation)) {
                next.push((to, depth + 1));
            }
        }
    }
    found
}

struct Comparison {
    replay: Replay,
    parents: Edges,
    children: Edges,
    /// Truth id to token id, codes included.
    ids: HashMap<String, String>,
    until: String,
}

impl Comparison {
    fn new(events: Vec<Value>, tokens: &[Value], until: &str) -> Self {
        let (mut parents, mut children) = (Edges::new(), Edges::new());
        for event in events.iter().filter(|event| text(event, "type") == "ISSUED") {
            for link in list(event, "links") {
                let Some(relation) = relation(link) else { continue };
                let (child, parent) = (text(event, "token_id"), text(link, "token_id"));
                assert_ne!(text(link, "strength"), "INFERRED", "lineage is in the log");
                parents.entry(child.to_owned()).or_default().push((parent.to_owned(), relation));
                children.entry(parent.to_owned()).or_default().push((child.to_owned(), relation));
            }
        }
        let mut ids = HashMap::new();
        for token in tokens {
            ids.insert(
                text(token, "id").to_owned(),
                token_id(text(token, "form"), text(token, "id")),
            );
            for ancestor in list(token, "ancestors").iter().filter(|a| text(a, "kind") == "code") {
                let id = text(ancestor, "id");
                ids.insert(id.to_owned(), token_id("opaque", id));
            }
        }
        Self { replay: Replay::new(events), parents, children, ids, until: until.to_owned() }
    }

    /// Every difference between the events of a token and the truth about it.
    fn differences(&self, token: &Value) -> Vec<String> {
        let id = &self.ids[text(token, "id")];
        let mut found = Vec::new();
        let mut check = |what: &str, ours: Value, truth: Value| {
            if ours != truth {
                found.push(format!("{id} {what}: {ours} where the truth has {truth}"));
            }
        };
        check("identity", self.identity(id), identity_in_truth(token));
        let lineage = [("ancestors", &self.parents), ("descendants", &self.children)];
        for (member, edges) in lineage {
            let ours = reachable(edges, id).into_iter();
            let ours: Vec<Value> = ours.map(|(i, d, r)| serde_json::json!([i, d, r])).collect();
            let truth = list(token, member).iter().map(|t| {
                let edge =
                    (self.ids[text(t, "id")].clone(), t["depth"].as_u64(), text(t, "relation"));
                serde_json::json!([edge.0, edge.1, edge.2])
            });
            let mut truth: Vec<Value> = truth.collect();
            truth.sort_by_key(|edge| (text_at(edge, 0), edge[1].as_u64(), text_at(edge, 2)));
            check(member, ours.into(), truth.into());
        }
        check("accesses", self.accesses(id), accesses_in_truth(token));
        check("presentations", self.presentations(id), self.presentations_in_truth(token));
        check("rotated_at", first_time(self.replay.of(id, "ROTATED")), token["rotated_at"].clone());
        let rotated = list(token, "descendants").iter().filter(|descendant| {
            text(descendant, "relation") == "rotated_from" && descendant["depth"] == 1
        });
        let rotated: BTreeSet<&str> = rotated.map(|t| self.ids[text(t, "id")].as_str()).collect();
        check("rotated_to", self.rotated_to(id), serde_json::json!(rotated));
        check("revoked_at", first_time(self.replay.of(id, "REVOKED")), token["revoked_at"].clone());
        let reason = self.replay.of(id, "REVOKED").next().map(|event| event["reason"].clone());
        check("cause", reason.unwrap_or_default(), cause_in_truth(token));
        for member in ["revoked_at", "exp"] {
            let (uses, presented) = match member {
                "exp" => ("used_after_expiry", "presented_after_expiry"),
                _ => ("used_after_revocation", "presented_after_revocation"),
            };
            let revoked = first_time(self.replay.of(id, "REVOKED"));
            let bound = match member {
                "exp" => self.identity(id)["expires_at"].clone(),
                _ => revoked,
            };
            check(uses, self.after(id, "RESOURCE_ACCESSED", &bound), token[uses].clone());
            check(presented, self.after(id, "REFRESHED", &bound), token[presented].clone());
        }
        let truth = &token["final_state"];
        check("state", self.replay.state(id, &self.until, true).into(), truth.clone());
        check("own state", self.replay.state(id, &self.until, false).into(), truth.clone());
        found
    }

    fn identity(&self, id: &str) -> Value {
        let issued: Vec<&Value> = self.replay.of(id, "ISSUED").collect();
        assert_eq!(issued.len(), 1, "{id} is issued once");
        let event = issued[0];
        let user = list(event, "personal").iter().find(|p| text(p, "role") == "SUBJECT");
        serde_json::json!({
            "kind": event["token_kind"], "issued": event["occurred_at"], "iat": event["issued_at"],
            "expires_at": event["expires_at"], "client": event["client_id"],
            "grant": event["grant_id"], "session": event["session_id"],
            "generation": event["generation"], "scopes": event["scopes"],
            "user": user.map(|user| user["user_id"].clone()),
        })
    }

    fn accesses(&self, id: &str) -> Value {
        let accesses = self.replay.of(id, "RESOURCE_ACCESSED");
        let accesses = accesses.filter(|event| text(event, "vantage") == "RESOURCE");
        let rows = accesses.map(|event| {
            let request = list(event, "personal").iter().find(|p| text(p, "role") == "REQUEST");
            let policy = &event["policies"][0];
            serde_json::json!([
                event["correlation_id"],
                event["occurred_at"],
                event["service"],
                event["action"],
                text(event, "outcome").to_lowercase(),
                event["reason"],
                event["status"],
                format!("{}@{}", text(policy, "id"), text(policy, "version")),
                request.map(|request| request["ip"].clone()),
                request.map(|request| request["resource"].clone()),
            ])
        });
        rows.collect()
    }

    fn rotated_to(&self, id: &str) -> Value {
        let links = self.replay.of(id, "ROTATED").flat_map(|event| list(event, "links"));
        let links = links.filter(|link| text(link, "relation") == "ROTATED_TO");
        let ids: BTreeSet<&str> = links.map(|link| text(link, "token_id")).collect();
        serde_json::json!(ids)
    }

    fn presentations(&self, id: &str) -> Value {
        let rows = self.replay.of(id, "REFRESHED").map(|event| {
            let produced =
                list(event, "links").iter().filter(|l| text(l, "relation") == "PRODUCED");
            let produced: BTreeSet<&str> = produced.map(|link| text(link, "token_id")).collect();
            serde_json::json!([
                event["correlation_id"],
                text(event, "outcome") == "ALLOW",
                event["client_id"],
                event["reason"],
                produced,
            ])
        });
        rows.collect()
    }

    fn presentations_in_truth(&self, token: &Value) -> Value {
        let rows = list(token, "presentations").iter().map(|presentation| {
            let reason = match presentation["detail"].as_str() {
                None => Value::Null,
                Some("refresh token already used") => "reuse".into(),
                Some("refresh token not found") => "not_found".into(),
                Some("refresh token is expired") => "expired".into(),
                Some("client mismatch") => "client_mismatch".into(),
                Some(other) => other.into(),
            };
            let new = ["new_refresh", "new_access"].map(|member| presentation[member].as_str());
            // A refresh token that is not rotated is its own "new" one.
            let own = text(token, "id");
            let new = new.into_iter().flatten().filter(|id| *id != own);
            let new: BTreeSet<&str> = new.map(|id| self.ids[id].as_str()).collect();
            serde_json::json!([
                presentation["request_id"],
                presentation["ok"],
                presentation["client_id"],
                reason,
                new,
            ])
        });
        rows.collect()
    }

    /// Requests in which the token acted at or after `bound`, but not the one that was its cause.
    fn after(&self, id: &str, kind: &'static str, bound: &Value) -> Value {
        let Some(bound) = bound.as_str() else { return Value::Array(Vec::new()) };
        let cause = self.replay.of(id, "REVOKED").next().map(|e| e["correlation_id"].clone());
        let events = self
            .replay
            .of(id, kind)
            .filter(|event| text(event, "vantage") != "ISSUER" || kind == "REFRESHED");
        let late = events.filter(|event| text(event, "occurred_at") >= bound);
        let late = late.map(|event| event["correlation_id"].clone());
        late.filter(|request| Some(request) != cause.as_ref()).collect()
    }
}

fn text_at(value: &Value, place: usize) -> String {
    value[place].as_str().unwrap_or_default().to_owned()
}

fn first_time<'a>(mut events: impl Iterator<Item = &'a Value>) -> Value {
    events.next().map(|event| event["occurred_at"].clone()).unwrap_or_default()
}

fn identity_in_truth(token: &Value) -> Value {
    let at = |member: &str| token[member].as_i64().map(seconds_to_rfc3339);
    let scopes: Vec<&str> = text(token, "scope").split(' ').collect();
    // A machine's own token has no user.
    let user =
        if text(token, "gty") == "client_credentials" { &Value::Null } else { &token["sub"] };
    serde_json::json!({
        "kind": text(token, "kind").to_uppercase(), "issued": token["issued_at"], "iat": at("iat"),
        "expires_at": at("exp"), "client": token["client_id"], "grant": token["grant_id"],
        "session": token["session_uid"], "generation": token["generation"], "scopes": scopes,
        "user": user,
    })
}

fn accesses_in_truth(token: &Value) -> Value {
    let rows = list(token, "accesses").iter().map(|access| {
        serde_json::json!([
            access["request_id"],
            access["time"],
            access["service"],
            access["method"],
            access["decision"],
            access["reason"],
            access["status"],
            access["policy"],
            access["ip"],
            format!("{}{}", text(access, "service"), text(access, "path")),
        ])
    });
    rows.collect()
}

fn cause_in_truth(token: &Value) -> Value {
    match token["revoked_cause"].as_str() {
        None => Value::Null,
        Some("refresh_reuse" | "code_replay") => "reuse".into(),
        Some("client_revocation" | "client_revocation_access") => "api".into(),
        Some(cause) => cause.into(),
    }
}

fn comparison() -> (Comparison, Vec<Value>) {
    let Value::Array(tokens) = read_json("truth-all.json")["tokens"].take() else {
        panic!("the truth is a list of tokens")
    };
    let until = read_json("truth.json")["recorded_until"].as_str().map(ToOwned::to_owned);
    let (acts, _) = whole_run();
    (Comparison::new(events(acts), &tokens, &until.expect("a time")), tokens)
}

#[test]
fn every_token_of_the_truth_agrees() {
    let (comparison, tokens) = comparison();
    assert_eq!(tokens.len(), 1549);
    let differences: Vec<String> =
        tokens.iter().flat_map(|token| comparison.differences(token)).collect();
    let shown = differences.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differences:\n{shown}", differences.len());
    // Nothing beside the truth is an access or refresh token: the rest are codes and credentials.
    let known: BTreeSet<&String> = comparison.ids.values().collect();
    for event in comparison.replay.events.iter().filter(|e| text(e, "type") == "ISSUED") {
        let kind = text(event, "token_kind");
        if kind == "ACCESS" || kind == "REFRESH" {
            assert!(known.contains(&text(event, "token_id").to_owned()), "{event}");
        }
    }
}

#[test]
fn codes_are_spent_replayed_or_expire() {
    let (comparison, _) = comparison();
    let mut states: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let replay = &comparison.replay;
    for event in replay.events.iter().filter(|event| text(event, "type") == "ISSUED") {
        let kind = text(event, "token_kind");
        if kind.ends_with("_CODE") {
            // Long after: a spent code that also expired counts as expired, so look before that.
            let expires = text(event, "expires_at");
            let before = format!("{}.000Z", &expires[..expires.len() - 5]);
            let state = replay.state(text(event, "token_id"), &before, false);
            let spent = replay
                .of(text(event, "token_id"), "USED")
                .any(|used| text(used, "outcome") == "ALLOW");
            assert!(state == "expired" || state == "spent" || state == "revoked", "{state}");
            *states.entry((kind, if spent { "spent" } else { state })).or_default() += 1;
        }
    }
    let expected = [
        (("AUTH_CODE", "expired"), 3),
        (("AUTH_CODE", "spent"), 222),
        (("DEVICE_CODE", "revoked"), 2),
        (("DEVICE_CODE", "spent"), 5),
    ];
    assert_eq!(states, BTreeMap::from(expected));
    let replays = replay.events.iter().filter(|event| {
        text(event, "token_kind") == "AUTH_CODE"
            && text(event, "reason") == "reuse"
            && text(event, "type") == "USED"
    });
    assert_eq!(replays.count(), 4);
}

#[test]
fn the_question_of_the_night_has_its_answer() {
    // "Which resources did it access between its last refresh and its revocation?", per grant.
    let (comparison, _) = comparison();
    let truth = read_json("truth.json");
    let questions = &truth["questions"]["between_last_refresh_and_revocation"];
    let events = &comparison.replay.events;
    let of_grant: HashMap<&str, &str> = events
        .iter()
        .filter(|event| text(event, "type") == "ISSUED" && event["token_id"].is_string())
        .map(|event| (text(event, "token_id"), text(event, "grant_id")))
        .collect();
    let questions = questions.as_array().expect("a list");
    assert!(!questions.is_empty());
    for question in questions {
        let grant = text(question, "grant_id");
        let in_grant = |event: &&Value| of_grant.get(text(event, "token_id")) == Some(&grant);
        let revoked = events.iter().filter(in_grant).find(|e| text(e, "type") == "REVOKED");
        let revoked = text(revoked.expect("it was revoked"), "occurred_at");
        assert_eq!(revoked, text(question, "revoked_at"));
        let refreshed = events.iter().filter(in_grant).filter(|event| {
            text(event, "type") == "REFRESHED" && text(event, "outcome") == "ALLOW"
        });
        let last = refreshed.map(|event| text(event, "occurred_at")).max().expect("a refresh");
        let mut accesses: Vec<(&str, &str)> = events
            .iter()
            .filter(in_grant)
            .filter(|event| text(event, "vantage") == "RESOURCE")
            .map(|event| (text(event, "occurred_at"), text(event, "correlation_id")))
            .filter(|(at, _)| last <= *at && *at < revoked)
            .collect();
        accesses.sort_unstable();
        let truth = list(question, "accesses").iter();
        let truth: Vec<_> = truth.map(|a| (text(a, "time"), text(a, "request_id"))).collect();
        assert_eq!(accesses, truth, "{grant}");
    }
}

#[test]
fn nothing_is_lost_and_everything_is_counted() {
    let (acts, report) = whole_run();
    assert_eq!(report.lines, 7_537 + 1_147 + 8);
    assert_eq!(report.lines, report.mapped + report.skipped_count() + report.refused);
    assert_eq!((report.refused, report.forgotten), (0, 0));
    let skipped: Vec<(&str, u64)> =
        report.skipped.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(skipped, SKIPPED);
    let joined: Vec<(&str, u64)> =
        report.joined.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(joined, JOINED);
    let events = events(acts);
    assert_eq!(report.events, events.len() as u64);
    assert_eq!(report.acts, acts.len() as u64);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for event in &events {
        let target = event["target"]["kind"].as_str().unwrap_or("TOKEN");
        let what = format!("{} {target} {}", text(event, "type"), text(event, "outcome"));
        *counts.entry(what).or_default() += 1;
    }
    let counts: Vec<(&str, u64)> = counts.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    assert_eq!(counts, COUNTS);
    assert_eq!(report.unclosed, 0);
}

const SKIPPED: &[(&str, u64)] = &[
    ("authorization.accepted", 230),
    ("authorization.success", 5),
    ("device_code.saved (no change)", 5),
    ("interaction.destroyed", 460),
    ("interaction.ended", 455),
    ("interaction.saved", 920),
    ("interaction.started", 460),
    ("session.saved (no change)", 271),
];

/// Lines that say more about the event of another line of their request.
const JOINED: &[(&str, u64)] = &[
    ("authorization.success", 225),
    ("authorization_code.consumed", 222),
    ("device_authorization.success", 7),
    ("device_code.consumed", 7),
    ("end_session.success", 59),
    ("grant.success", 62),
    ("middleware.revocation", 25),
    ("refresh_token.destroyed", 31),
];

const COUNTS: &[(&str, u64)] = &[
    ("ACTIVATED TOKEN ALLOW", 5),
    ("ADMIN_ACT CLIENT ALLOW", 3),
    ("ADMIN_ACT SUBJECT ALLOW", 2),
    ("ISSUED GRANT ALLOW", 226),
    ("ISSUED SESSION ALLOW", 225),
    ("ISSUED TOKEN ALLOW", 1785),
    ("POLICY_CHANGED POLICY NONE", 8),
    ("REFRESHED GRANT ALLOW", 4),
    ("REFRESHED SESSION ALLOW", 56),
    ("REFRESHED TOKEN ALLOW", 537),
    ("REFRESHED TOKEN DENY", 81),
    ("RESOURCE_ACCESSED SOURCE DENY", 9),
    ("RESOURCE_ACCESSED TOKEN ALLOW", 1020),
    ("RESOURCE_ACCESSED TOKEN DENY", 125),
    ("REVOKED GRANT ALLOW", 102),
    ("REVOKED SESSION ALLOW", 59),
    ("REVOKED TOKEN ALLOW", 581),
    ("REVOKED TOKEN DENY", 8),
    ("ROTATED TOKEN ALLOW", 480),
    ("USED CLIENT DENY", 5),
    ("USED TOKEN ALLOW", 453),
    ("USED TOKEN DENY", 45),
];

#[test]
fn events_are_well_formed_and_the_same_each_time() {
    let (acts, _) = whole_run();
    let mut native_ids = BTreeSet::new();
    let mut act_ids = BTreeSet::new();
    for act in acts {
        let events = events(std::slice::from_ref(act));
        let parts = events.len();
        assert!((1..=64).contains(&parts));
        for (part, event) in events.iter().enumerate() {
            let native_id = text(event, "native_id").to_owned();
            assert!(native_id.len() <= 160, "{native_id}");
            assert!(native_ids.insert(native_id), "a native id twice: {event}");
            assert!(text(event, "occurred_at").ends_with('Z'));
            let number = &event["act"];
            if parts == 1 {
                assert!(number.is_null(), "a lone event is no act of several");
            } else {
                assert_eq!((&number["part"], &number["parts"]), (&part.into(), &parts.into()));
                assert_eq!(number["id"], events[0]["act"]["id"]);
            }
            let keys: Vec<&str> = list(event, "detail").iter().map(|d| text(d, "key")).collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?} ascend");
            let roles: Vec<&str> =
                list(event, "personal").iter().map(|p| text(p, "role")).collect();
            let distinct: BTreeSet<&&str> = roles.iter().collect();
            assert!(distinct.len() == roles.len(), "{roles:?}: one record each");
            let inferred =
                list(event, "links").iter().filter(|l| text(l, "strength") == "INFERRED");
            assert!(inferred.clone().all(|link| link["why"].is_string()), "{event}");
        }
        // What causes a revocation comes before it, in event time too.
        let of = |kinds: &[&str]| {
            let events = events.iter().filter(|event| kinds.contains(&text(event, "type")));
            events.map(|event| text(event, "occurred_at")).collect::<Vec<_>>()
        };
        if let Some(revoked) = of(&["REVOKED", "ROTATED"]).into_iter().min() {
            assert!(of(&["USED", "REFRESHED"]).iter().all(|at| *at <= revoked), "{events:?}");
        }
        if parts > 1 {
            assert!(act_ids.insert(text(&events[0]["act"], "id").to_owned()), "an act twice");
        }
    }
    let (again, _) = run(&FILES);
    assert!(again == *acts, "a second reading differs");
    // The other logs do not depend on what was read before.
    let (alone, _) = run(&FILES[1..]);
    assert!(acts.ends_with(&alone), "the resource log depends on the provider's");
}

#[test]
fn links_to_events_lead_to_events() {
    let (acts, _) = run(&FILES[..1]);
    let mut known = BTreeSet::new();
    for event in events(&acts) {
        let part = u16::try_from(event["act"]["part"].as_u64().unwrap_or(0)).expect("small");
        let mut input = b"ledgerline/event-id/v1\0".to_vec();
        for part in ["", "idp-log", text(&event, "native_id")] {
            input.extend_from_slice(&u16::try_from(part.len()).expect("short").to_be_bytes());
            input.extend_from_slice(part.as_bytes());
        }
        input.extend_from_slice(&part.to_be_bytes());
        let hex: String = Sha256::digest(&input).iter().map(|b| format!("{b:02x}")).collect();
        known.insert((hex[..12].to_owned(), hex[13..16].to_owned(), hex[17..32].to_owned()));
    }
    let mut count = 0;
    for event in events(&acts) {
        for link in list(&event, "links").iter().filter(|link| link["event"].is_object()) {
            let id = text(&link["event"], "event_id").replace('-', "");
            let id = (id[..12].to_owned(), id[13..16].to_owned(), id[17..32].to_owned());
            assert!(known.contains(&id), "{link}");
            count += 1;
        }
    }
    assert!(count > 500, "revocations are linked to their cause: {count}");
}

fn all_json(acts: &[Act], with_personal: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut event in events(acts) {
        for attachment in event["attachments"].as_array_mut().into_iter().flatten() {
            let data = STANDARD.decode(text(attachment, "data")).expect("base64");
            attachment["decoded"] = String::from_utf8(data).expect("text").into();
        }
        if !with_personal {
            event.as_object_mut().expect("an object").remove("personal");
        }
        bytes.extend(serde_json::to_vec(&event).expect("JSON"));
    }
    bytes
}

#[test]
fn no_secret_stands_anywhere() {
    let secrets = read("secrets.txt");
    let needles = Needles::new(secrets.lines().flat_map(forms));
    assert!(needles.found_in(read("provider.ndjson").as_bytes()).is_some(), "the search works");
    let (acts, _) = whole_run();
    let json = all_json(acts, true);
    if let Some(at) = needles.found_in(&json) {
        // What surrounds it may be shown: the values of the recording are expired.
        let from = at.saturating_sub(200);
        panic!("a secret: {}", String::from_utf8_lossy(&json[from..json.len().min(at + 60)]));
    }
}

#[test]
fn personal_values_stand_in_personal_only() {
    let mut values = BTreeSet::new();
    for file in FILES {
        for line in read(file).lines() {
            collect_personal(&serde_json::from_str(line).expect("JSON"), &mut values);
        }
    }
    values.remove("batch-worker"); // the `sub` of a machine is its client id
    assert!(values.len() > 60, "{values:?}");
    let (acts, _) = whole_run();
    let clear = String::from_utf8(all_json(acts, false)).expect("JSON is text");
    let sealed = String::from_utf8(all_json(acts, true)).expect("JSON is text");
    for value in &values {
        // Ids of users are short: look for the whole word.
        let quoted = serde_json::to_string(value).expect("JSON");
        assert!(!clear.contains(&quoted), "{value} stands in clear");
        if value.len() > 7 || value.starts_with("user-") {
            assert!(!clear.contains(value.as_str()), "{value} stands in clear");
        }
        if value.starts_with("user-") {
            assert!(sealed.contains(&quoted), "{value} is lost");
        }
    }
}

fn collect_personal(value: &Value, found: &mut BTreeSet<String>) {
    const MEMBERS: [&str; 9] = [
        "ip",
        "user_agent",
        "ua",
        "accountId",
        "account_id",
        "sub",
        "changed_by",
        "admin",
        "Account",
    ];
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                match inner.as_str() {
                    Some(text) if MEMBERS.contains(&name.as_str()) => {
                        found.insert(text.to_owned());
                    }
                    _ => collect_personal(inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_personal(item, found)),
        _ => {}
    }
}
