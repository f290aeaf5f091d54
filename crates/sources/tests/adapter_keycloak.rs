//! The Keycloak adapter against a recording of Keycloak 26.7.3 and its ground truth.
//!
//! The truth is what the client did and saw. From it a small model of Keycloak, written here from
//! the words of its documentation, says what became of each token; the events are replayed through
//! a small model of the lifecycle, written anew from the words of the design. The two must agree,
//! for each form in which the server gives its events.
//!
//! The recording lies in `tests/recordings/keycloak`.

mod needles;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use ledgerline_sources::keycloak::{CHOICE, Keycloak};
use ledgerline_sources::{Act, Adapter, Naming, Options, Quarantined, Report};
use ledgerline_tables::input::{Lines, Values};
use needles::{Needles, forms};
use serde_json::{Value, json};

const USER: &str = "user-events.json";
const ADMIN: &str = "admin-events.json";
const TEXT: &str = "events-text.log";
const CONSOLE: &str = "events-console-json.log";

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/keycloak");
    let file = File::open(folder.join(format!("{name}.gz"))).expect("a file of the recording");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip of a text");
    text
}

fn adapter() -> Keycloak {
    Keycloak::new(Options {
        naming: Naming::new("eu", "kc").expect("sound names"),
        recorded_as: Some((String::new(), "keycloak".to_owned())),
    })
}

/// What came of some texts.
struct Run {
    acts: Vec<Act>,
    report: Report,
    quarantined: Vec<Quarantined>,
    errors: Vec<String>,
}

/// Reads texts as `ingest` does: the values of arrays one by one, other lines whole.
fn run(texts: &[&str]) -> Run {
    let (mut adapter, mut acts, mut errors) = (adapter(), Vec::new(), Vec::new());
    for text in texts {
        let (mut lines, mut values) = (Lines::new(1 << 24), Values::default());
        let mut take = |number, value: &[u8]| {
            let text = std::str::from_utf8(value).expect("text");
            errors.extend(adapter.line(number, text, &mut acts).err().map(|e| e.to_string()));
            Ok::<(), Infallible>(())
        };
        let mut line = |number, line: Option<&[u8]>| {
            values.line(number, line.expect("not too long"), &mut take)
        };
        lines.push(text.as_bytes(), &mut line).expect("infallible");
        lines.end(&mut line).expect("infallible");
        values.end(&mut take).expect("infallible");
    }
    adapter.finish(&mut acts);
    let (report, quarantined) = (adapter.report().clone(), adapter.take_quarantined());
    Run { acts, report, quarantined, errors }
}

/// As [`run`], for what must be sound.
fn sound(texts: &[&str]) -> Vec<Value> {
    let run = run(texts);
    assert!(run.errors.is_empty() && run.quarantined.is_empty(), "{:?}", run.quarantined);
    assert_eq!((run.report.refused, run.report.forgotten), (0, 0));
    events(&run.acts)
}

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

fn detail<'a>(event: &'a Value, key: &str) -> Option<&'a str> {
    let found = list(event, "detail").iter().find(|one| text(one, "key") == key)?;
    found["value"].as_str()
}

fn values(array: &str) -> Vec<Value> {
    serde_json::from_str(array).expect("an array")
}

/// Each form of the whole recording; the last is made here from the first, for there is no
/// recording of it.
fn all_forms() -> Vec<(&'static str, Vec<Value>)> {
    let webhook = webhook(&read(USER), &read(ADMIN));
    vec![
        ("Admin REST", sound(&[&read(USER), &read(ADMIN)])),
        ("text", sound(&[&read(TEXT)])),
        ("console", sound(&[&read(CONSOLE)])),
        ("webhook", sound(&[&webhook])),
    ]
}

/// The bodies that the webhook of p2-inc's keycloak-events would have had, oldest first.
fn webhook(users: &str, admins: &str) -> String {
    let mut bodies = Vec::new();
    for mut event in values(users).into_iter().chain(values(admins)) {
        let take = |event: &mut Value, name: &str| event[name].take();
        if event["operationType"].is_null() {
            let names = ["clientId", "userId", "sessionId", "ipAddress"];
            let mut auth = json!({"realmId": "alpha", "username": "somebody"});
            for name in names {
                auth[name] = take(&mut event, name);
            }
            if text(&event, "type") == "TOKEN_EXCHANGE" {
                auth["sessionId"] = "of-the-request-alone".into();
            }
            event["authDetails"] = auth;
            event["type"] = format!("access.{}", text(&event, "type")).into();
        } else {
            let (resource, operation) =
                (text(&event, "resourceType"), text(&event, "operationType"));
            event["type"] = format!("admin.{resource}-{operation}").into();
            event["realmId"] = "alpha".into();
        }
        let id = take(&mut event, "id");
        event["uid"] = format!("send-{}", id.as_str().expect("an id")).into();
        bodies.push(event);
    }
    bodies.sort_by_key(|event| event["time"].as_i64());
    bodies.iter().map(|body| format!("{body}\n")).collect()
}

// ---- the truth: what became of each token, by what the client did

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    kind: &'static str,
    client: String,
    session: String,
    user: String,
    expires: Option<i64>,
    /// Its parent, and how it came of it.
    edges: BTreeSet<(&'static str, String)>,
    state: &'static str,
}

/// A Keycloak of a few lines.
#[derive(Default)]
struct Truth {
    tokens: BTreeMap<String, Token>,
    /// Milliseconds of the last call before the realm refuses all older tokens.
    until: i64,
}

impl Truth {
    fn read() -> Self {
        let mut truth = Self::default();
        for line in read("truth.jsonl").lines() {
            let call: Value = serde_json::from_str(line).expect("JSON");
            if text(&call, "action") == "admin_realm_notbefore" {
                break;
            }
            truth.call(&call);
            truth.until = call["t_ms"].as_i64().expect("a time");
        }
        truth
    }

    fn call(&mut self, call: &Value) {
        let used = text(call, "used_jti");
        let last = text(call, "path").split('/').nth(2).unwrap_or_default();
        match text(call, "action") {
            "refresh" | "refresh_of_exchanged" | "refresh_offline" => {
                self.tokens.get_mut(used).expect("it was issued").state = "superseded";
                self.issue(call, "access_token", &[("REFRESHED_FROM", used)]);
                self.issue(call, "refresh_token", &[("ROTATED_FROM", used)]);
            }
            "token_exchange_access_token" | "token_exchange_refresh_token" => {
                let subject = text(call, "subject_jti");
                self.issue(call, "access_token", &[("EXCHANGED_FROM", subject)]);
                self.issue(call, "refresh_token", &[("EXCHANGED_FROM", subject)]);
            }
            "refresh_replay" => {
                let used = self.tokens[used].clone();
                self.end(|token| token.session == used.session && token.client == used.client);
            }
            "code_replay" => {
                let code = self.tokens.iter().find(|(jti, _)| jti.starts_with("onrtac:"));
                let code = code.expect("a code was used").1.clone();
                self.end(|token| token.session == code.session && token.client == code.client);
            }
            "revoke" if text(call, "token_typ") == "Bearer" => {
                let token = self.tokens.get_mut(text(call, "token_jti")).expect("issued");
                token.state = "revoked";
            }
            // The clients of an exchange have no part of the session, so it ends with this one.
            "revoke" => {
                let session = self.tokens[text(call, "token_jti")].session.clone();
                self.end(|token| token.session == session);
            }
            "logout" => self.end(|token| token.session == text(call, "sid")),
            "admin_delete_session" => self.end(|token| token.session == last),
            "admin_logout_user" | "admin_delete_user" | "admin_disable_user" => {
                self.end(|token| token.user == last);
            }
            "introspect" => self.witness(call),
            action if action.contains("_after_") => {
                assert_eq!(self.tokens[used].state, "revoked", "the server refused it: {call}");
            }
            _ => {}
        }
        if call["access_token"].is_object() {
            self.issue(call, "access_token", &[]);
            self.issue(call, "refresh_token", &[]);
        }
    }

    fn issue(&mut self, call: &Value, member: &str, edges: &[(&'static str, &str)]) {
        let claims = &call[member];
        let edges = edges.iter().map(|(relation, jti)| (*relation, (*jti).to_owned()));
        if !claims.is_object() || self.tokens.contains_key(text(claims, "jti")) {
            return;
        }
        let token = Token {
            kind: if member == "access_token" { "ACCESS" } else { "REFRESH" },
            client: text(claims, "azp").to_owned(),
            session: text(claims, "sid").to_owned(),
            user: text(claims, "sub").to_owned(),
            expires: claims["exp"].as_i64(),
            edges: edges.collect(),
            state: "active",
        };
        self.tokens.insert(text(claims, "jti").to_owned(), token);
    }

    fn end(&mut self, ends: impl Fn(&Token) -> bool) {
        for token in self.tokens.values_mut().filter(|token| ends(token)) {
            token.state = "revoked";
        }
    }

    /// The model against what the server itself said: `active` of a token is true, and `inactive`
    /// is an end but for a caller that is not in the audience and for a token that was tampered
    /// with.
    fn witness(&self, call: &Value) {
        let token = &self.tokens[text(call, "token_jti")];
        let is_alive = token.state == "active";
        let is_blind = token.edges.is_empty() && !token.user.is_empty() && {
            let jti = text(call, "token_jti");
            jti.starts_with("trrtcc:") || call["n"] == 179
        };
        assert!(call["active"] == is_alive || is_blind, "{call}: {token:?}");
    }
}

// ---- the ledger: what the events say

/// A ledger of a few lines.
struct Ledger {
    events: Vec<Value>,
}

impl Ledger {
    fn of_token(&self, jti: &str) -> impl Iterator<Item = &Value> {
        let id = format!("eu:kc:jti:{jti}");
        self.events.iter().filter(move |event| {
            text(&event["target"], "kind") == "TOKEN" && text(&event["target"], "id") == id
        })
    }

    fn issued(&self, jti: &str) -> &Value {
        let mut issued = self.of_token(jti).filter(|event| text(event, "type") == "ISSUED");
        let first = issued.next().unwrap_or_else(|| panic!("{jti} was never issued"));
        assert!(issued.next().is_none(), "{jti} was issued twice");
        first
    }

    fn state(&self, jti: &str, until: &str) -> &'static str {
        let mut state = "unknown";
        let changes = self.of_token(jti).filter(|event| {
            text(event, "outcome") == "ALLOW" && text(event, "occurred_at") <= until
        });
        for event in changes {
            state = match (text(event, "type"), state) {
                (_, "revoked") | ("REVOKED", _) => "revoked",
                ("ISSUED", _) => "active",
                ("ROTATED", _) => "superseded",
                (_, state) => state,
            };
        }
        let issued = self.issued(jti);
        let covers = |event: &&Value| {
            text(event, "type") == "REVOKED"
                && text(event, "outcome") == "ALLOW"
                && text(event, "occurred_at") <= until
                && covers(event, issued)
        };
        if self.events.iter().any(|event| covers(&event)) { "revoked" } else { state }
    }

    fn edges(&self, jti: &str) -> BTreeSet<(&'static str, String)> {
        let links = list(self.issued(jti), "links").iter().map(|link| {
            let relation = match text(link, "relation") {
                "REFRESHED_FROM" => "REFRESHED_FROM",
                "ROTATED_FROM" => "ROTATED_FROM",
                "EXCHANGED_FROM" => "EXCHANGED_FROM",
                other => panic!("{other} on an ISSUED"),
            };
            let inferred = relation == "EXCHANGED_FROM";
            assert_eq!(text(link, "strength"), if inferred { "INFERRED" } else { "ASSERTED" });
            assert_eq!(link["why"].is_string(), inferred, "{link}");
            let jti = text(link, "token_id").strip_prefix("eu:kc:jti:").expect("a jti");
            (relation, jti.to_owned())
        });
        links.collect()
    }
}

/// Whether a REVOKED of something wider covers a token.
fn covers(event: &Value, issued: &Value) -> bool {
    let (target, selector) = (&event["target"], &event["selector"]);
    let full = |member: &str| format!("eu:kc:{}", text(issued, member));
    let user = |event: &Value| {
        let subject = list(event, "personal").iter().find(|one| text(one, "role") == "SUBJECT");
        subject.map(|subject| subject["user_id"].clone())
    };
    let belongs = match text(target, "kind") {
        "SESSION" => text(target, "id") == full("session_id"),
        "GRANT" => text(target, "id") == full("grant_id"),
        "CLIENT" => text(target, "id") == full("client_id"),
        "SUBJECT" => user(event).is_some() && user(event) == user(issued),
        _ => false,
    };
    let client = &selector["client"];
    belongs
        && (client.is_null() || *client == issued["client_id"])
        && text(issued, "occurred_at") < text(selector, "issued_before")
}

fn millis(at: i64) -> String {
    let second = ledgerline_sources::Millis::from_seconds(at / 1000).expect("a year of ours");
    second.plus(at % 1000).rfc3339()
}

#[test]
fn every_token_has_its_life_its_edges_and_its_state_in_every_form() {
    let truth = Truth::read();
    assert_eq!(truth.tokens.len(), 79 + 55, "access and refresh tokens of the recording");
    for (form, events) in all_forms() {
        let ledger = Ledger { events };
        let mut states: BTreeMap<&str, u64> = BTreeMap::new();
        for (jti, token) in &truth.tokens {
            let issued = ledger.issued(jti);
            assert_eq!(text(issued, "token_kind"), token.kind, "{form} {jti}");
            assert_eq!(text(issued, "client_id"), token.client, "{form} {jti}");
            assert_eq!(text(issued, "session_id"), token.session, "{form} {jti}");
            let person = list(issued, "personal").iter().find(|one| text(one, "role") == "SUBJECT");
            assert_eq!(person.map(|one| text(one, "user_id")), Some(token.user.as_str()));
            assert_eq!(ledger.edges(jti), token.edges, "{form} {jti}");
            let state = ledger.state(jti, &millis(truth.until));
            assert_eq!(state, token.state, "{form} {jti} {token:?}");
            *states.entry(state).or_default() += 1;
            check_expiry(form, issued, token);
        }
        let expected = [("active", 42), ("revoked", 83), ("superseded", 9)];
        assert_eq!(states, BTreeMap::from(expected), "{form}");
    }
}

/// Only a refresh says how long its access token lives. The record is written after the token, so
/// its second may be the next one.
fn check_expiry(form: &str, issued: &Value, token: &Token) {
    let is_told = token.edges.iter().any(|(relation, _)| *relation == "REFRESHED_FROM");
    assert_eq!(issued["expires_at"].is_string(), is_told, "{form} {issued}");
    let (Some(expires), true) = (token.expires, is_told) else { return };
    let allowed = [millis(expires * 1000), millis((expires + 1) * 1000)];
    assert!(allowed.iter().any(|at| at == text(issued, "expires_at")), "{form} {issued}");
}

#[test]
fn what_no_record_tells_is_concluded_and_says_so() {
    for (form, events) in all_forms() {
        let mut whys: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for event in events.iter().filter(|event| detail(event, "strength") == Some("INFERRED")) {
            let why = detail(event, "why").expect("why it is believed");
            let caused = list(event, "links").iter().filter(|link| {
                text(link, "relation") == "CAUSED_BY" && text(link, "strength") == "INFERRED"
            });
            assert!(caused.clone().any(|link| link["event"].is_object()), "{form} {event}");
            assert!(caused.clone().all(|link| text(link, "why") == why), "{form} {event}");
            assert_eq!(text(event, "type"), "REVOKED");
            let what = why.split_whitespace().rev().nth(1).unwrap_or_default();
            *whys.entry((text(&event["target"], "kind"), what)).or_default() += 1;
        }
        // Six replays of refresh tokens and one of a code; four revoked refresh tokens.
        let total: u64 = whys.values().sum();
        let of = |kind: &str| whys.iter().filter(|((of, _), _)| *of == kind).map(|(_, n)| n).sum();
        let counts: (u64, u64, u64) = (total, of("GRANT"), of("SESSION"));
        assert_eq!(counts, (11, 7, 4), "{form} {whys:?}");
    }
}

#[test]
fn an_introspection_that_fails_ends_nothing() {
    for (form, events) in all_forms() {
        let failed = events
            .iter()
            .filter(|event| detail(event, "keycloak_type") == Some("INTROSPECT_TOKEN_ERROR"));
        assert_eq!(failed.clone().count(), 15, "{form}");
        for event in failed {
            assert_eq!((text(event, "type"), text(event, "outcome")), ("USED", "DENY"), "{event}");
        }
        // Tokens of a machine, shown by one who is not in their audience: they live.
        let ledger = Ledger { events };
        let truth = Truth::read();
        let of_machines = truth.tokens.keys().filter(|jti| jti.starts_with("trrtcc:"));
        for jti in of_machines {
            assert_eq!(ledger.state(jti, &millis(truth.until)), "active", "{form} {jti}");
        }
    }
}

#[test]
fn a_refresh_is_one_act_of_four() {
    let run = run(&[&read(USER)]);
    let refreshes = run.acts.iter().filter(|act| {
        let first = events(std::slice::from_ref(act)).swap_remove(0);
        text(&first, "type") == "REFRESHED" && text(&first, "outcome") == "ALLOW"
    });
    let mut count = 0;
    for act in refreshes {
        let events = events(std::slice::from_ref(act));
        let kinds: Vec<&str> = events.iter().map(|event| text(event, "type")).collect();
        assert_eq!(kinds, ["REFRESHED", "ROTATED", "ISSUED", "ISSUED"]);
        let kinds: Vec<&str> = events.iter().map(|event| text(event, "token_kind")).collect();
        assert_eq!(kinds, ["REFRESH", "REFRESH", "REFRESH", "ACCESS"]);
        assert_eq!(events[0]["target"], events[1]["target"]);
        let produced = list(&events[0], "links").iter().map(|link| text(link, "token_id"));
        let produced: BTreeSet<&str> = produced.collect();
        let issued = events[2..].iter().map(|event| text(&event["target"], "id"));
        assert_eq!(produced, issued.collect());
        count += 1;
    }
    assert_eq!(count, 26);
}

#[test]
fn a_time_before_which_no_token_is_valid_reaches_every_client() {
    let events = sound(&[&read(USER), &read(ADMIN)]);
    let ledger = Ledger { events };
    let truth = Truth::read();
    for jti in truth.tokens.keys() {
        assert_eq!(ledger.state(jti, "9999"), "revoked", "{jti}");
    }
    let told = ledger.events.iter().filter_map(|event| detail(event, "revoked_clients"));
    assert_eq!(told.collect::<Vec<_>>(), ["4"], "webapp, gateway, worker, cli");
    // Nobody was read before: nobody is reached, and that is told.
    let alone = r#"{"id":"a","time":1795917503439,"realmId":"r","operationType":"ACTION",
        "resourceType":"REALM","resourcePath":"logout-all","authDetails":{"userId":"u"}}"#;
    let events = sound(&[alone]);
    assert_eq!((text(&events[0], "type"), events.len()), ("ADMIN_ACT", 1));
    assert_eq!(detail(&events[0], "revoked_clients"), Some("0"));
    // The log line does not have the representation, and says so.
    let events = sound(&[&read(TEXT)]);
    let realm = events.iter().filter(|event| detail(event, "path").is_none());
    let mut realm = realm.filter(|e| detail(e, "keycloak_type") == Some("admin.REALM-UPDATE"));
    assert_eq!(realm.clone().count(), 2);
    assert!(realm.all(|event| detail(event, "representation") == Some("absent")));
}

#[test]
fn nothing_is_lost_and_everything_is_counted() {
    let expected = [
        (USER, 191, "Admin REST"),
        (ADMIN, 15, "admin events"),
        (TEXT, 207, "text"),
        (CONSOLE, 207, "console"),
    ];
    for (file, lines, form) in expected {
        let run = run(&[&read(file)]);
        let report = &run.report;
        assert_eq!((report.lines, report.mapped, report.refused), (lines, lines, 0), "{form}");
        assert_eq!(report.acts, run.acts.len() as u64);
        assert_eq!(report.events, events(&run.acts).len() as u64);
    }
}

#[test]
fn both_directions_and_all_packings_give_the_same_acts() {
    let newest_first = values(&read(USER));
    let mut oldest_first = newest_first.clone();
    oldest_first.reverse();
    let lines = |events: &[Value]| events.iter().map(|e| format!("{e}\n")).collect::<String>();
    let pages = |events: &[Value]| {
        let pages = events.chunks(100).map(|page| format!("{}\n", Value::from(page.to_vec())));
        pages.collect::<String>()
    };
    let expected = run(&[&lines(&oldest_first)]).acts;
    assert!(!expected.is_empty());
    for (what, text) in [
        ("the file of the server", read(USER)),
        ("lines, newest first", lines(&newest_first)),
        ("pages, newest first", pages(&newest_first)),
        ("pages, oldest first", pages(&oldest_first)),
    ] {
        assert!(run(&[&text]).acts == expected, "{what}");
    }
    let mut adapter = adapter();
    let mut acts = Vec::new();
    let array = Value::from(newest_first).to_string();
    adapter.line(1, &array, &mut acts).expect("one line, and no `finish`");
    assert!(acts == expected, "an array in one line");
}

#[test]
fn names_are_those_of_the_records_and_no_name_stands_twice() {
    for (form, events) in all_forms() {
        let mut names = BTreeSet::new();
        for event in &events {
            let part = event["act"]["part"].as_u64().unwrap_or(0);
            assert!(names.insert((text(event, "native_id").to_owned(), part)), "{form} {event}");
            let keys: Vec<&str> = list(event, "detail").iter().map(|d| text(d, "key")).collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?} ascend");
            let roles: Vec<&str> =
                list(event, "personal").iter().map(|p| text(p, "role")).collect();
            let distinct: BTreeSet<&&str> = roles.iter().collect();
            assert!(distinct.len() == roles.len(), "{form} {event}");
        }
        let fronts = ["user/", "admin/", "log/", "webhook/"];
        assert!(names.iter().all(|(name, _)| fronts.iter().any(|front| name.starts_with(front))));
    }
}

#[test]
fn personal_values_stand_in_personal_only() {
    let mut persons = BTreeSet::from(["127.0.0.1".to_owned()]);
    for event in values(&read(USER)).iter().chain(&values(&read(ADMIN))) {
        for value in [&event["userId"], &event["authDetails"]["userId"]] {
            persons.extend(value.as_str().map(ToOwned::to_owned));
        }
        for member in ["username", "refresh_token_sub"] {
            persons.extend(event["details"][member].as_str().map(ToOwned::to_owned));
        }
    }
    assert!(persons.len() > 20, "{persons:?}");
    for (form, events) in all_forms() {
        for mut event in events {
            let sealed = event["personal"].take().to_string();
            let clear = event.to_string();
            for person in &persons {
                assert!(!clear.contains(person.as_str()), "{form}: {person} in {clear}");
            }
            for name in ["user01", "admin", "temp01@example.test", "service-account"] {
                assert!(!sealed.contains(name), "{form}: a name that nobody needs: {sealed}");
            }
        }
    }
}

// ---- altered records

const LOGIN: &str = r#"{"id":"e-1","time":1795917488506,"type":"LOGIN","realmId":"r",
    "clientId":"web","userId":"u","sessionId":"s-1","ipAddress":"192.0.2.1","details":{
    "token_id":"onrtro:ba01b25f-bf1c-2db5-f159-1cc6cbf91cbc",
    "refresh_token_id":"8506d3d4-d9cb-d429-00ec-d0a8f14db095"}}"#;

/// A record with one value altered; null takes it away.
fn altered(record: &str, place: &str, value: Value) -> String {
    let mut record: Value = serde_json::from_str(record).expect("JSON");
    *record.pointer_mut(place).expect("it is there") = value;
    record.to_string()
}

#[test]
fn altered_records_are_quarantined_with_a_reason_and_without_their_values() {
    let refresh = LOGIN.replace("LOGIN", "REFRESH_TOKEN");
    let admin = r#"{"id":"a-1","time":1795917488506,"realmId":"r","operationType":"DELETE",
        "resourceType":"USER_SESSION","resourcePath":"sessions/s-1","authDetails":{"userId":"u"}}"#;
    let cases = [
        (altered(LOGIN, "/id", Value::Null), "missing_member"),
        (altered(LOGIN, "/id", 7.into()), "missing_member"),
        (altered(LOGIN, "/id", "a b".into()), "malformed_member"),
        (altered(LOGIN, "/time", Value::Null), "missing_member"),
        (altered(LOGIN, "/time", "yesterday".into()), "malformed_member"),
        (altered(LOGIN, "/time", (-5).into()), "malformed_member"),
        (altered(LOGIN, "/time", i64::MAX.into()), "malformed_member"),
        (altered(LOGIN, "/type", "LOGIN_TWICE".into()), "unknown_kind"),
        (altered(LOGIN, "/type", Value::Null), "unknown_shape"),
        (altered(LOGIN, "/type", 5.into()), "unknown_shape"),
        (altered(LOGIN, "/type", "REFRESH_TOKEN_".into()), "unknown_kind"),
        // A record of one type with the type of another.
        (altered(LOGIN, "/type", "TOKEN_EXCHANGE".into()), ""),
        (altered(LOGIN, "/type", "CODE_TO_TOKEN_ERROR".into()).replace("token_id", "code_id"), ""),
        (altered(LOGIN, "/type", "LOGOUT".into()), ""),
        (altered(admin, "/resourceType", "USER".into()), ""),
        (altered(&refresh, "/details/refresh_token_id", Value::Null), "missing_member"),
        (altered(&refresh, "/details/token_id", Value::Null), "missing_member"),
        (altered(&refresh, "/details/token_id", json!(["x"])), "missing_member"),
        (altered(LOGIN, "/sessionId", "a b".into()), "malformed_member"),
        (altered(LOGIN, "/details", Value::Null).replace("s-1", ""), "missing_member"),
        (
            altered(LOGIN, "/type", "CODE_TO_TOKEN".into()).replace("token_id", "id"),
            "missing_member",
        ),
        (altered(admin, "/resourcePath", "sessions".into()), "malformed_member"),
        (altered(admin, "/resourceType", "PLANET".into()), "unknown_kind"),
        (altered(admin, "/operationType", Value::Null), "unknown_shape"),
        (r#"{"type":"system.x","id":"e","time":1}"#.to_owned(), "unknown_kind"),
    ];
    for (line, code) in cases {
        let run = run(&[&line]);
        assert!(run.errors.is_empty(), "{line}");
        if code.is_empty() {
            assert_eq!((run.report.mapped, run.quarantined.len()), (1, 0), "{line}");
            continue;
        }
        assert_eq!(run.quarantined.len(), 1, "{line}");
        let quarantined = &run.quarantined[0];
        assert_eq!((quarantined.code, quarantined.line), (code, 1), "{line}");
        assert!(!quarantined.record.contains("192.0.2.1"), "{}", quarantined.record);
        assert!(run.acts.is_empty() && run.report.refused == 1, "{line}");
    }
}

#[test]
fn lines_that_cannot_be_read_are_refused_and_the_next_one_counts() {
    let log = read(TEXT);
    let line = log.lines().next().expect("a line");
    let head = line.split(" type=").next().expect("a head");
    for bad in [
        LOGIN.replace('\n', " ")[..100].to_owned(),
        format!("{head} type=\"LOGIN"),
        format!("{head} type=\"LOGIN\", type=\"LOGOUT\""),
        format!("{head} type=\"LOGIN\", a b"),
        line.replacen("2026-11-29 01", "2026-11-29 25", 1),
        r#"{"loggerName":"org.keycloak.events","message":"type=\"LOGIN\""}"#.to_owned(),
        r#"{"loggerName":"org.keycloak.events","message":"type=\"LOGIN\"","timestamp":"x"}"#
            .to_owned(),
    ] {
        let run = run(&[&format!("{bad}\n{line}\n")]);
        assert_eq!((run.errors.len(), run.report.refused), (1, 1), "{bad}");
        assert_eq!((run.report.mapped, run.acts.len()), (1, 1), "{bad}");
    }
    let other = "2026-11-29 01:58:00,000 INFO  [org.keycloak.quarkus] (main) Listening\n\
                 \tat org.keycloak.Some.method(Some.java:1)\n\
                 {\"loggerName\":\"io.quarkus\",\"message\":\"type=x\"}\n";
    let run = run(&[other]);
    assert_eq!((run.report.skipped_count(), run.report.refused), (3, 0), "{:?}", run.report);
}

#[test]
fn the_same_line_twice_is_one_and_two_lines_are_two() {
    let log = read(TEXT);
    let first = log.lines().next().expect("a line");
    let name = |text: &str| text_of_first(text, "native_id");
    assert_eq!(name(first), name(first));
    assert_ne!(name(first), name(&first.replace("08,519", "08,520")));
    assert_ne!(name(first), name(&first.replace("thread-1", "thread-2")));
    assert_eq!(name(first), name(&first.replace("user01", "user99")), "no digest of a person");
}

fn text_of_first(line: &str, member: &str) -> String {
    text(&sound(&[line])[0], member).to_owned()
}

#[test]
fn a_line_with_its_representation_says_what_a_record_says() {
    let log = read(TEXT);
    let line = log.lines().find(|line| line.contains("\"UPDATE\"") && line.contains("users/"));
    let line = line.expect("a user was changed");
    let disabled = format!("{line}, representation=\"{{\\\"enabled\\\":false}}\"");
    assert_eq!(text(&sound(&[line])[0], "type"), "ADMIN_ACT");
    let events = sound(&[&disabled]);
    assert_eq!(text(&events[0], "type"), "REVOKED", "{}", events[0]);
    assert_eq!(text(&events[0], "reason"), "account_disabled");
}

#[test]
fn the_form_is_told_by_the_line() {
    let log = read(TEXT);
    let console = read(CONSOLE);
    let webhook = webhook(&read(USER), &read(ADMIN));
    let admin = values(&read(ADMIN))[0].to_string();
    let known = [LOGIN, &admin, log.lines().next().expect("a line")];
    let console = console.lines().next().expect("a line");
    for line in known.into_iter().chain([console]).chain(webhook.lines()) {
        assert!((CHOICE.detects)(line), "{line}");
    }
    for other in ["", "{}", r#"{"time":"x","event":"grant.success","payload":{}}"#, "a log line"] {
        assert!(!(CHOICE.detects)(other), "{other}");
    }
}

// ---- speed

/// `cargo test --release -p ledgerline-sources --test adapter_keycloak -- --ignored --nocapture`
#[test]
#[ignore = "it measures, and needs a machine of its own"]
fn records_a_second() {
    let mut users = values(&read(USER));
    users.reverse();
    let rest: Vec<String> = users.iter().map(Value::to_string).collect();
    let lines = |name: &str| read(name).lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    for (form, lines) in [("REST", rest), ("text", lines(TEXT)), ("console", lines(CONSOLE))] {
        let (mut best, mut events) = (0_f64, 0);
        for _ in 0..5 {
            let (begun, mut count) = (busy_seconds(), 0_u32);
            for _ in 0..100 {
                let (mut adapter, mut acts) = (adapter(), Vec::new());
                for (number, line) in (1..).zip(&lines) {
                    adapter.line(number, line, &mut acts).expect("sound");
                    count += 1;
                }
                adapter.finish(&mut acts);
                events = adapter.report().events;
            }
            best = best.max(f64::from(count) / (busy_seconds() - begun));
        }
        println!(
            "{form}: {best:.0} records/s of CPU time, {} records make {events} events",
            lines.len()
        );
    }
}

/// Seconds that this thread has been running, and not waiting for a core.
fn busy_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanos.expect("nanoseconds") / 1e9
}

// ---- secrets

fn secrets() -> Vec<(String, String)> {
    let text = read("secrets.txt");
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    pairs.map(|(kind, value)| (kind.to_owned(), value.to_owned())).collect()
}

/// Everything that leaves the adapter.
fn all_bytes(run: &Run) -> String {
    let events = serde_json::to_string(&events(&run.acts)).expect("JSON");
    format!("{events}{:?}{:?}{:?}", run.report, run.quarantined, run.errors)
}

#[test]
fn no_secret_stands_anywhere() {
    let secrets = secrets();
    assert_eq!(secrets.len(), 206);
    let needles = Needles::new(secrets.iter().flat_map(|(_, value)| forms(value)));
    let check = |run: &Run, what: &str| {
        let bytes = all_bytes(run);
        assert!(!bytes.is_empty());
        if let Some(at) = needles.found_in(bytes.as_bytes()) {
            panic!("a secret came through {what}: {}", &bytes[at.saturating_sub(80)..at]);
        }
    };
    for file in [USER, ADMIN, TEXT, CONSOLE] {
        check(&run(&[&read(file)]), file);
    }
    // Where an altered record, or what a client sent, may have one.
    let places = [
        "/id",
        "/type",
        "/sessionId",
        "/details/token_id",
        "/details/refresh_token_id",
        "/details/username",
        "/details/reason",
        "/details/code_id",
        "/details/other",
        "/error",
    ];
    let full = r#"{"id":"e-1","time":1795917488506,"type":"REFRESH_TOKEN_ERROR","realmId":"r",
        "clientId":"web","userId":"u","sessionId":"s-1","ipAddress":"::1","error":"e","details":{
        "token_id":"t","refresh_token_id":"t","username":"n","reason":"r","code_id":"c",
        "other":"o"}}"#;
    let login = full.replace("REFRESH_TOKEN_ERROR", "CODE_TO_TOKEN");
    let tokens = secrets.iter().filter(|(kind, _)| kind.ends_with("_token")).step_by(17);
    for (_, secret) in tokens {
        for (place, full) in places.iter().flat_map(|place| [(place, full), (place, &login)]) {
            let line = altered(full, place, secret.as_str().into());
            check(&run(&[&line]), place);
            check(&run(&[&altered(&line, "/time", Value::Null)]), place);
            let kind = text(&serde_json::from_str(full).expect("JSON"), "type").to_owned();
            let name = place.rsplit('/').next().unwrap_or_default();
            let line = format!(
                "2026-11-29 01:58:08,519 WARN  [org.keycloak.events] (t) type=\"{kind}\", \
                 userId=\"u\", {name}2=\"{secret}\", reason=\"{secret}\", error=\"e\", \
                 cookies=[{secret}]"
            );
            check(&run(&[&line]), place);
        }
    }
}
