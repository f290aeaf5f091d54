//! What must hold of every adapter, on every fixture: nothing is lost, nothing leaks, the ledger
//! takes what comes out.

mod reading;

use std::collections::BTreeSet;
use std::time::Instant;

use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::statement::{Detail, Link, PolicyRef, Statement, Target};
use ledgerline_proof::vocabulary::{
    EventType, Outcome, PolicyRole, Relation, Strength, TargetKind, TokenKind,
};
use ledgerline_sources::{ADAPTERS, Choice, Evidence, Rule};
use reading::{Reading, choice, fixture, lines_of, read, text};
use serde_json::Value;

/// The adapters that are tables, each with its fixtures.
fn tables() -> impl Iterator<Item = &'static Choice> {
    ADAPTERS.iter().filter(|one| fixture(one.name).is_dir())
}

#[test]
fn adapters_stand_in_the_order_of_their_names_and_have_fixtures() {
    let names: Vec<&str> = ADAPTERS.iter().map(|one| one.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    let elsewhere = ["oidc-provider"];
    for name in names.iter().filter(|name| !elsewhere.contains(name)) {
        assert!(fixture(name).is_dir(), "{name} has no fixtures");
        assert!(!(choice(name).rows)().is_empty(), "{name} shows no rows");
        assert!(!choice(name).identifiers.is_empty(), "{name} has no rules");
    }
}

/// `Recording` is said of real records alone, and where they are from stands beside them.
#[test]
fn a_recording_is_attributed() {
    for one in tables() {
        let is_recorded = fixture(one.name).join("ATTRIBUTION.md").is_file();
        assert_eq!(one.evidence == Evidence::Recording, is_recorded, "{}", one.name);
    }
}

#[test]
fn every_record_is_mapped_skipped_or_quarantined() {
    for one in tables() {
        let Reading { events, quarantined, errors, report } = read(one.name, &lines_of(one.name));
        let sum = report.mapped + report.skipped_count() + report.refused;
        assert_eq!(report.lines, sum, "{}: {report:?}", one.name);
        let told = u64::try_from(quarantined.len() + errors.len()).expect("few");
        assert_eq!(report.refused, told, "{}: {report:?}", one.name);
        assert_eq!(report.events, u64::try_from(events.len()).expect("few"), "{}", one.name);
        assert!(report.mapped > 0, "{}: {report:?}", one.name);
        assert!(errors.is_empty(), "{}: {errors:?}", one.name);
        for record in &quarantined {
            assert!(!record.code.is_empty() && !record.record.is_empty(), "{record:?}");
        }
    }
}

#[test]
fn the_same_lines_give_the_same_events() {
    for one in tables() {
        let lines = lines_of(one.name);
        assert_eq!(read(one.name, &lines), read(one.name, &lines), "{}", one.name);
    }
}

#[test]
fn a_line_that_is_mapped_is_detected_by_its_own_adapter_alone() {
    for one in tables() {
        let is_mapped =
            |line: &String| read(one.name, std::slice::from_ref(line)).report.events > 0;
        for line in lines_of(one.name).into_iter().filter(is_mapped) {
            let found: Vec<&str> =
                ADAPTERS.iter().filter(|one| (one.detects)(&line)).map(|one| one.name).collect();
            assert_eq!(found, [one.name], "{}", &line[..line.len().min(300)]);
        }
    }
}

/// A statement of what an event says, as far as the ledger judges its form.
fn judge(event: &Value) -> Result<(), String> {
    let list = |name: &str| event[name].as_array().cloned().unwrap_or_default();
    let kind = TargetKind::from_symbol(text(&event["target"], "kind")).ok_or("a target")?;
    let event_type = EventType::from_symbol(text(event, "type")).ok_or("a type")?;
    let target = Target { kind, id: text(&event["target"], "id") };
    let (links, details, policies) = (list("links"), list("detail"), list("policies"));
    let mut statement = Statement::new([1; 16], "source", target, event_type, Hlc::at(1));
    let some = |name: &str| event[name].as_str();
    statement.native_id = Some(some("native_id").ok_or("a native id")?);
    statement.outcome = some("outcome").and_then(Outcome::from_symbol).ok_or("an outcome")?;
    statement.token_kind = some("token_kind").and_then(TokenKind::from_symbol);
    statement.reason = some("reason");
    statement.client_id = some("client_id");
    statement.grant_id = some("grant_id");
    statement.session_id = some("session_id");
    statement.family_id = some("family_id");
    statement.service = some("service");
    statement.endpoint = some("endpoint");
    statement.resource = some("resource");
    statement.action = some("action");
    statement.trace_id = some("trace_id");
    statement.correlation_id = some("correlation_id");
    let words =
        |name: &str| list(name).iter().map(|one| one.as_str().unwrap_or("\0").to_owned()).collect();
    let (scopes, audience, known): (Vec<String>, Vec<String>, Vec<String>) =
        (words("scopes"), words("audience"), words("also_known_as"));
    statement.scopes = scopes.iter().map(|one| &**one).collect();
    statement.audience = audience.iter().map(|one| &**one).collect();
    statement.also_known_as = known.iter().map(|one| &**one).collect();
    for link in &links {
        statement.links.push(Link {
            token: link["token_id"].as_str(),
            event: None,
            relation: Relation::from_symbol(text(link, "relation")).ok_or("a relation")?,
            strength: Strength::from_symbol(text(link, "strength")).ok_or("a strength")?,
            why: link["why"].as_str(),
        });
        let is_inferred = link["strength"] != "ASSERTED";
        assert_eq!(is_inferred, link["why"].is_string(), "an edge without a reason: {link}");
    }
    for one in &details {
        statement.detail.push(Detail { key: text(one, "key"), value: text(one, "value") });
    }
    for one in &policies {
        let (id, version) = (text(one, "id"), text(one, "version"));
        assert!(!id.is_empty() && !version.is_empty(), "{event}");
        let role = PolicyRole::Access;
        statement.policies.push(PolicyRef { id, version, digest: None, role, effect: None });
    }
    for name in ["occurred_at", "issued_at", "expires_at"] {
        let time = some(name);
        let is_time = time.is_none_or(|time| ledgerline_api::time_text::parse(time).is_some());
        assert!(is_time && (name != "occurred_at" || time.is_some()), "{name} of {event}");
    }
    let effective = matches!(event_type, EventType::Revoked | EventType::Rotated);
    assert!(!effective || statement.outcome != Outcome::None, "no effect: {event}");
    let held = matches!(event_type, EventType::Suspended | EventType::Reinstated);
    assert!(!held || kind == TargetKind::Token, "no effect: {event}");
    assert!(
        event_type != EventType::PolicyChanged
            || policies.len() == 1 && event["policy_change"].is_object(),
        "a change of which policy? {event}"
    );
    let subjects = list("personal");
    let subjects =
        subjects.iter().filter(|one| one["role"] == "SUBJECT" && one["user_id"].is_string());
    assert!(subjects.count() <= 1, "whose is it? {event}");
    statement.validate().map_err(|error| error.to_string())
}

#[test]
fn the_ledger_takes_every_event() {
    for one in tables() {
        for event in read(one.name, &lines_of(one.name)).events {
            assert_eq!(judge(&event), Ok(()), "{}: {event}", one.name);
        }
    }
}

/// Whether a rule's place is this one, or one within the envelope of its record; without case.
fn is_at(rule: &str, place: &[String]) -> bool {
    let rule: Vec<String> =
        rule.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let alike = |one: &String, other: &String| one == "*" || one.eq_ignore_ascii_case(other);
    let ends = |rule: &[String]| {
        place.len() >= rule.len()
            && rule.iter().zip(&place[place.len() - rule.len()..]).all(|(a, b)| alike(a, b))
    };
    // A trailing `*` covers the list itself, too.
    ends(&rule) || rule.last().is_some_and(|step| step == "*") && ends(&rule[..rule.len() - 1])
}

fn rule_of(one: &Choice, place: &[String]) -> Option<Rule> {
    one.identifiers.iter().find(|rule| is_at(rule.at, place)).map(|rule| rule.rule)
}

/// Every text of a value, with its place.
fn each_text(
    value: &mut Value,
    place: &mut Vec<String>,
    look: &mut impl FnMut(&[String], &mut String),
) {
    match value {
        Value::String(text) => look(place, text),
        Value::Array(each) => {
            for (number, one) in each.iter_mut().enumerate() {
                place.push(number.to_string());
                each_text(one, place, look);
                place.pop();
            }
        }
        Value::Object(members) => {
            for (name, one) in members.iter_mut() {
                place.push(name.clone());
                each_text(one, place, look);
                place.pop();
            }
        }
        _ => {}
    }
}

/// What came out in clear, and what in personal records.
fn in_clear_and_personal(reading: &Reading) -> (String, String) {
    let (mut clear, mut sealed) = (String::new(), String::new());
    for event in &reading.events {
        let mut event = event.clone();
        let personal = event.as_object_mut().expect("an event").remove("personal");
        sealed.push_str(&personal.unwrap_or_default().to_string());
        clear.push_str(&event.to_string());
    }
    clear.push_str(&format!("{:?} {:?} {:?}", reading.quarantined, reading.errors, reading.report));
    (clear, sealed)
}

/// A mark in every member whose rule does not let it out: it comes out nowhere in clear, and in a
/// personal record only by its rule.
#[test]
fn no_identifier_comes_out_but_by_its_rule() {
    for one in tables() {
        let (mut marked, mut let_out) = (0, 0);
        for line in lines_of(one.name) {
            let mut record: Value = serde_json::from_str(&line).expect("JSON");
            let mut marks: Vec<(String, Option<Rule>, Vec<String>)> = Vec::new();
            each_text(&mut record, &mut Vec::new(), &mut |place, text| {
                let rule = rule_of(one, place);
                if rule != Some(Rule::Safe) && !text.is_empty() {
                    let mark = format!("MARK{}marks-a-member-of-a-record", marks.len());
                    *text = mark.clone();
                    marks.push((mark, rule, place.to_vec()));
                }
            });
            let reading = read(one.name, &[record.to_string()]);
            let (clear, sealed) = in_clear_and_personal(&reading);
            for (mark, rule, place) in &marks {
                assert!(!clear.contains(mark), "{}: {place:?} in clear: {clear}", one.name);
                let is_sealed = sealed.contains(mark);
                assert!(!is_sealed || *rule == Some(Rule::Personal), "{}: {place:?}", one.name);
                let_out += u32::from(is_sealed);
            }
            marked += marks.len();
        }
        assert!(marked > 0 && let_out > 0, "{}: {marked} marks, {let_out} sealed", one.name);
    }
}

/// A token in any member, also in one that is kept: no byte of it comes out anywhere.
#[test]
fn a_token_in_any_member_comes_out_nowhere() {
    let secret =
        ["eyJhbGciOiJFUzI1NiJ9", "eyJzdWIiOiJzb21lYm9keSIsImp0aSI6ImotMSJ9", "c2lnbmF0dXJl"];
    let secret = secret.join(".");
    for one in tables() {
        let mut refused = 0;
        for line in lines_of(one.name).into_iter().take(12) {
            let whole: Value = serde_json::from_str(&line).expect("JSON");
            let mut count = 0;
            each_text(&mut whole.clone(), &mut Vec::new(), &mut |_, _| count += 1);
            for chosen in 0..count {
                let (mut record, mut number, mut at) = (whole.clone(), 0, Vec::new());
                each_text(&mut record, &mut Vec::new(), &mut |place, text| {
                    if number == chosen {
                        text.clone_from(&secret);
                        at = place.to_vec();
                    }
                    number += 1;
                });
                let reading = read(one.name, &[record.to_string()]);
                let (clear, sealed) = in_clear_and_personal(&reading);
                let all = format!("{clear}{sealed}");
                assert!(!all.contains(&secret[..30]), "{}: {at:?}: {all}", one.name);
                refused +=
                    reading.quarantined.iter().filter(|one| one.code == "secret_refused").count();
            }
        }
        assert!(refused > 0, "{}: a token in a kept member is refused", one.name);
    }
}

/// Per adapter, one altered record that must be refused, with its reason.
#[test]
fn altered_records_are_quarantined() {
    /// Alters the first record that is mapped and has what is altered.
    #[track_caller]
    fn check(name: &str, alter: impl Fn(&mut Value) -> Option<()>, code: &str) {
        let alone = |line: &String| read(name, std::slice::from_ref(line)).report;
        let mapped = lines_of(name).into_iter().filter(|line| {
            let report = alone(line);
            report.events > 0 && report.lines == 1
        });
        let altered = mapped.filter_map(|line| {
            let mut record: Value = serde_json::from_str(&line).expect("JSON");
            alter(&mut record).map(|()| record)
        });
        let record = altered.take(1).next().unwrap_or_else(|| panic!("{name}: nothing to alter"));
        let reading = read(name, &[record.to_string()]);
        let codes: Vec<&str> = reading.quarantined.iter().map(|one| one.code).collect();
        assert_eq!(codes, [code], "{name}: {record}");
        assert!(reading.events.is_empty(), "{name}");
    }
    fn without(at: &'static str) -> impl Fn(&mut Value) -> Option<()> {
        move |record| {
            let (parent, name) = at.rsplit_once('/').expect("a pointer");
            record.pointer_mut(parent)?.as_object_mut()?.remove(name).map(|_| ())
        }
    }
    fn with(at: &'static str, value: &str) -> impl Fn(&mut Value) -> Option<()> {
        let value = Value::from(value);
        move |record| {
            *record.pointer_mut(at)? = value.clone();
            Some(())
        }
    }
    fn adding(
        at: &'static str,
        name: &'static str,
        value: Value,
    ) -> impl Fn(&mut Value) -> Option<()> {
        move |record| {
            record.pointer_mut(at)?.as_object_mut()?.insert(name.to_owned(), value.clone());
            Some(())
        }
    }
    check("auth0", without("/data/log_id"), "missing_member");
    check("auth0", with("/data/date", "soon"), "malformed_member");
    check("cloudtrail", with("/userIdentity/accessKeyId", "A KIA"), "malformed_member");
    check("cloudtrail", without("/eventID"), "missing_member");
    check("keycloak", without("/id"), "missing_member");
    check("keycloak", with("/time", "soon"), "malformed_member");
    check("okta", without("/uuid"), "missing_member");
    check("okta", with("/published", "redacted"), "malformed_member");
    check("entra", without("/id"), "missing_member");
    check("entra", without("/appId"), "unknown_shape");
    check(
        "envoy",
        with("/user_agent", &["Bea", "rer mF_9.B5f-4.1JqMzQ7xT2"].concat()),
        "secret_refused",
    );
    check("envoy", without("/request_id"), "missing_member");
    check("github", with("/hashed_token", "a token itself, not its digest"), "malformed_member");
    check("google-workspace", with("/id/applicationName", "login"), "unknown_kind");
    check("hydra", with("/name", "OAuth2AccessTokenRevoked"), "missing_member");
    check(
        "kubernetes",
        with("/annotations/authentication.kubernetes.io~1issued-credential-id", "x"),
        "malformed_member",
    );
    check("nginx", adding("", "authorization", "Basic".into()), "secret_refused");
    check("nginx", with("/status", "many"), "malformed_member");
    check(
        "opa",
        adding("/input", "headers", serde_json::json!({"Authorization": "x"})),
        "secret_refused",
    );
    check("opa", with("/timestamp", "noon"), "malformed_member");
    check("teleport", with("/time", ""), "malformed_member");
    check("vault", adding("/request", "client_token", "a-raw-token".into()), "secret_refused");
    check("zitadel", with("/type/type", "oidc_session.access_token.revoked"), "missing_member");
    let checked: BTreeSet<&str> = [
        "auth0",
        "cloudtrail",
        "entra",
        "envoy",
        "github",
        "google-workspace",
        "hydra",
        "keycloak",
        "kubernetes",
        "nginx",
        "okta",
        "opa",
        "teleport",
        "vault",
        "zitadel",
    ]
    .into();
    let all: BTreeSet<&str> = tables().map(|one| one.name).collect();
    assert_eq!(checked, all, "each adapter has its altered record");
}

/// What a source calls failed gives no life and ends none: whatever lifecycle event a row still
/// makes of it says DENY or ERROR, and has no edge. `None` takes the member away.
#[test]
fn a_failed_record_changes_no_life() {
    const LIFE: &[&str] = &[
        "ISSUED",
        "ACTIVATED",
        "REFRESHED",
        "ROTATED",
        "REVOKED",
        "EXPIRED",
        "SUSPENDED",
        "REINSTATED",
        "POLICY_CHANGED",
    ];
    #[track_caller]
    fn check(name: &str, at: &str, value: &Option<Value>) {
        let (parent, member) = at.rsplit_once('/').expect("a pointer");
        let (mut altered, mut before) = (0, 0);
        for line in lines_of(name) {
            let mut record: Value = serde_json::from_str(&line).expect("JSON");
            let Some(parent) = record.pointer_mut(parent).and_then(Value::as_object_mut) else {
                continue;
            };
            match value {
                Some(value) => drop(parent.insert(member.to_owned(), value.clone())),
                None => drop(parent.remove(member)),
            }
            altered += 1;
            let lives = |event: &Value| LIFE.contains(&text(event, "type"));
            before += read(name, &[line]).events.iter().filter(|event| lives(event)).count();
            for event in read(name, &[record.to_string()]).events.iter().filter(|one| lives(one)) {
                let is_failed = matches!(text(event, "outcome"), "DENY" | "ERROR");
                assert!(is_failed, "{name} {at} {value:?}: {event}");
                assert!(event["links"].as_array().is_none_or(Vec::is_empty), "{name}: {event}");
            }
        }
        assert!(altered > 0 && before > 0, "{name} {at}: {altered} altered, {before} lives");
    }
    let text = |text: &str| Some(Value::from(text));
    check("auth0", "/data/type", &text("token_exchange_failed"));
    check("auth0", "/data/type", &text("fertft"));
    check("auth0", "/data/type", &text("a_type_of_tomorrow"));
    check("cloudtrail", "/errorCode", &text("AccessDenied"));
    check("entra", "/status/errorCode", &Some(50126.into()));
    check("entra", "/status/errorCode", &None);
    check("kubernetes", "/responseStatus/code", &Some(403.into()));
    check("kubernetes", "/stage", &text("Panic"));
    for result in ["FAILURE", "DENY", "UNKNOWN", "SKIPPED", "ABANDONED", "UNANSWERED"] {
        check("okta", "/outcome/result", &text(result));
    }
    check("okta", "/outcome/result", &None);
    check("teleport", "/success", &Some(false.into()));
    check("vault", "/error", &text("permission denied"));
}

/// What fails is never told as a success, whatever life it would have had.
#[test]
fn a_failed_record_is_never_allowed() {
    #[track_caller]
    fn check(name: &str, record: &str, expected: &str) {
        let reading = read(name, &[record.to_owned()]);
        let outcomes: Vec<&str> = reading.events.iter().map(|one| text(one, "outcome")).collect();
        assert_eq!(outcomes, [expected], "{name}: {record}: {:?}", reading.quarantined);
    }
    for (kind, expected) in [
        ("jwt_bearer_grant_failed", "DENY"),
        ("gd_otp_rate_limit_exceed", "DENY"),
        ("reset_pwd_leak", "DENY"),
        ("gd_auth_rejected", "DENY"),
        ("api_limit", "DENY"),
        ("gd_auth_succeed", "ALLOW"),
        ("gd_enrollment_complete", "ALLOW"),
        ("scp", "ALLOW"),
        ("a_type_of_tomorrow", "NONE"),
    ] {
        let record = serde_json::json!({
            "log_id": "l-1", "data": {"log_id": "l-1", "date": "2026-11-22T10:00:00Z",
            "type": kind, "client_id": "web"}
        });
        check("auth0", &record.to_string(), expected);
    }
    for (event, code, expected) in
        [("session.rejected", "T1006W", "DENY"), ("subsystem", "T3001E", "ERROR")]
    {
        let record = serde_json::json!({
            "event": event, "code": code, "uid": "u-1", "ei": 0,
            "time": "2026-11-22T10:00:00Z", "user": "alice"
        });
        check("teleport", &record.to_string(), expected);
    }
}

/// Records a second of one core's time; `cargo test --release -p ledgerline-sources --test
/// adapters throughput -- --ignored --nocapture` prints them.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    /// Nanoseconds that this thread has run, whoever else the core served meanwhile.
    fn own_time() -> u64 {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
        told.split(' ').next().and_then(|ran| ran.parse().ok()).expect("a number")
    }
    for one in tables() {
        let lines = lines_of(one.name);
        let bytes: usize = lines.iter().map(String::len).sum();
        let (wall, start) = (Instant::now(), own_time());
        let (mut records, mut rounds) = (0, 0);
        while wall.elapsed().as_millis() < 1_500 {
            let naming = ledgerline_sources::Naming::new("eu", "idp").expect("sound names");
            let options = ledgerline_sources::Options { naming, recorded_as: None };
            let mut adapter = (one.open)(options);
            let mut acts = Vec::new();
            for _ in 0..20 {
                for (number, line) in (1..).zip(&lines) {
                    adapter.line(number, line, &mut acts).expect("a record");
                }
                acts.clear();
                adapter.take_quarantined();
                rounds += 1;
            }
            records += adapter.report().lines;
        }
        let seconds = (own_time() - start) as f64 / 1e9;
        println!(
            "{:16} {:>9.0} records/s {:>6.0} MB/s {:>6.0} bytes a record",
            one.name,
            records as f64 / seconds,
            (bytes * rounds) as f64 / seconds / 1e6,
            (bytes * rounds) as f64 / records as f64,
        );
    }
}
