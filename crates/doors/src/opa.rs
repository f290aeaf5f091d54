//! Decision logs of Open Policy Agent as events: `POST /v1/opa/logs`.
//!
//! ```text
//! "opa " + decision_id                native_id
//! the token of the decision's input   token_id: `input.token_id`, or an object with iss and jti as
//!                                     `input.token`, `input.claims`, `input.jwt`, a `payload` in
//!                                     one
//!                                     of them, or what Envoy's jwt_authn leaves in the metadata
//! bundles.<name>.revision, revision   policies: id = the bundle, version = the revision
//! result (true, false, allow, …)      outcome ALLOW or DENY, the policies' effect; error: ERROR
//! input.method, input.path            action; the path is sealed, it may name a person's resource
//! requested_by, input.user            sealed
//! ```
//!
//! Promises: pure. A decision that carries a bearer value is refused by the name of the member, and
//! nothing of it is kept: mask it in OPA (`system.log.mask`). One that names no token is refused,
//! as no life of a token has it. The others of its body are taken.

use std::collections::BTreeMap;

use ledgerline_answers::problem::Problem;
use ledgerline_api::event::{Adapter, Detail, Event, Personal, Policy};
use ledgerline_api::values::Timestamp;
use ledgerline_ledger::intake::{EventError, check_text};
use ledgerline_proof::token_id::TokenId;
use ledgerline_proof::vocabulary::{EventType, Outcome, PersonalRole, PolicyRole, Vantage};
use ledgerline_sources::Naming;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::submitting::{Decoded, Notes, RECORDS_MAX, Record, too_many};

/// What the events carry as their adapter.
const ADAPTER: &str = "opa";
/// Which mapping it is. Raised with the mapping only: what is sent again after an upgrade must be
/// the same event.
const MAPPING: &str = "1";
/// Members whose value is a bearer value, unless it is masked.
const BEARERS: [&str; 16] = [
    "access_token",
    "api_key",
    "apikey",
    "assertion",
    "authorization",
    "bearer",
    "client_secret",
    "cookie",
    "id_token",
    "jwt",
    "password",
    "proxy-authorization",
    "refresh_token",
    "set-cookie",
    "token",
    "x-api-key",
];
/// How deep a record is looked into; serde reads no deeper.
const DEPTH_MAX: usize = 128;

/// How the tokens of an `iss` are named, and whether their `jti` is a name.
pub type OfIss<'r> = &'r dyn Fn(&str) -> Option<(Naming, bool)>;

/// The events of a body.
///
/// # Errors
/// When the body is no JSON array.
pub fn decode(body: &[u8], of_iss: OfIss<'_>) -> Result<Decoded, Problem> {
    let list: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let detail = format!("the body is no JSON array of decisions, at {place}");
        Problem::bad_request("bad_json", detail)
    })?;
    if list.len() > RECORDS_MAX {
        return Err(too_many());
    }
    let records = list.iter().map(|one| record(one.get(), of_iss)).collect();
    Ok(Decoded { records, is_lone: false, notes: Notes::default() })
}

fn bad(detail: &str) -> EventError {
    EventError::new("bad_decision", detail.to_owned())
}

/// The event of a decision.
fn record(text: &str, of_iss: OfIss<'_>) -> Record {
    let Ok(Value::Object(decision)) = serde_json::from_str(text) else {
        return Err(bad("a decision is a JSON object"));
    };
    let mut place = Vec::new();
    if bears(&decision, &mut place, DEPTH_MAX) {
        let detail = format!(
            "`{}` carries what looks like a bearer value: mask it in OPA (system.log.mask) and \
             send its token id or its claims",
            shown(&place)
        );
        return Err(EventError::new("secret_refused", detail).about("input"));
    }
    let text_of = |name: &str| decision.get(name).and_then(Value::as_str);
    let id = text_of("decision_id").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| bad("decision_id is missing"))?;
    let at = text_of("timestamp").ok_or_else(|| bad("timestamp is missing"))?;
    let input = decision.get("input").unwrap_or(&Value::Null);
    let found = token(input, of_iss)?;
    let outcome = outcome(&decision);
    let mut event = Event {
        native_id: Some(format!("opa {id}").into()),
        event_type: Some(EventType::ResourceAccessed.symbol().into()),
        occurred_at: Some(Timestamp::Text(at.to_owned().into())),
        outcome: Some(outcome.symbol().into()),
        vantage: Some(Vantage::Gateway.symbol().into()),
        token_id: Some(found.id.into()),
        issuer: Some(found.issuer.into()),
        client_id: found.client.map(Into::into),
        session_id: found.session.map(Into::into),
        policies: policies(&decision, outcome),
        trace_id: text_of("trace_id").filter(|id| is_trace(id)).map(|id| id.to_owned().into()),
        action: input["method"].as_str().or_else(|| input["action"].as_str()).map(owned),
        adapter: Some(Adapter { name: ADAPTER.into(), version: MAPPING.into() }),
        ..Event::default()
    };
    let labels = decision.get("labels").unwrap_or(&Value::Null);
    let service = ["service", "app", "name"].iter().find_map(|name| labels[*name].as_str());
    event.service = service.map(owned);
    event.detail = details(&decision);
    event.personal = personal(&decision, input, found.subject);
    serde_json::to_string(&event).map_err(|_| bad("it cannot be written as an event"))
}

fn owned(text: &str) -> std::borrow::Cow<'static, str> {
    text.to_owned().into()
}

/// Whether a record has a bearer value somewhere; `place` leads to it then.
fn bears(members: &Map<String, Value>, place: &mut Vec<String>, depth: usize) -> bool {
    members.iter().any(|(name, value)| {
        place.push(name.clone());
        let found = check_text(name).is_err() || bears_value(name, value, place, depth);
        if !found {
            place.pop();
        }
        found
    })
}

fn bears_value(name: &str, value: &Value, place: &mut Vec<String>, depth: usize) -> bool {
    let Some(deeper) = depth.checked_sub(1) else { return true };
    match value {
        Value::String(text) => {
            let is_bearer = BEARERS.iter().any(|one| one.eq_ignore_ascii_case(name));
            (is_bearer && !is_masked(text)) || check_text(text).is_err()
        }
        Value::Array(list) => list.iter().any(|one| bears_value(name, one, place, deeper)),
        Value::Object(members) => bears(members, place, deeper),
        _ => false,
    }
}

/// Whether a text stands for what was taken out.
fn is_masked(text: &str) -> bool {
    let low = text.to_ascii_lowercase();
    let is_word = ["redacted", "masked", "erased", "removed"].iter().any(|one| low.contains(one));
    (is_word && text.len() <= 32) || text.bytes().all(|byte| b"*xX-.".contains(&byte))
}

/// The way to a member, as far as its names are plain words.
fn shown(place: &[String]) -> String {
    let is_plain = |name: &&String| {
        (1..=40).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-".contains(&byte))
            && check_text(name).is_ok()
    };
    let plain: Vec<&str> = place.iter().take_while(is_plain).map(String::as_str).collect();
    if plain.len() < place.len() { format!("{}.…", plain.join(".")) } else { plain.join(".") }
}

/// The token of a decision.
struct Found {
    id: String,
    issuer: String,
    client: Option<String>,
    session: Option<String>,
    subject: Option<String>,
}

fn token(input: &Value, of_iss: OfIss<'_>) -> Result<Found, EventError> {
    let no_token = |detail: &str| EventError::new("no_token", detail.to_owned()).about("input");
    if let Some(id) = input["token_id"].as_str()
        && let Ok(parsed) = TokenId::parse(id)
    {
        let issuer = parsed.issuer().to_owned();
        let id = id.to_owned();
        return Ok(Found { id, issuer, client: None, session: None, subject: None });
    }
    let claims = claims_of(input).ok_or_else(|| {
        no_token("the decision names no token: give input.token_id, or claims with iss and jti")
    })?;
    let text = |name: &str| claims[name].as_str();
    let (iss, jti) = (text("iss").unwrap_or_default(), text("jti").unwrap_or_default());
    let (naming, is_name) = of_iss(iss)
        .ok_or_else(|| no_token("the token's iss is that of no issuer in the register"))?;
    if !is_name {
        let detail = "the jti of this issuer is no name: give input.token_id";
        return Err(no_token(detail));
    }
    let id = naming.jti(jti).ok_or_else(|| no_token("the token's jti is empty"))?;
    let client = text("client_id").or_else(|| text("azp")).map(str::to_owned);
    let (session, subject) = (text("sid").map(str::to_owned), text("sub").map(str::to_owned));
    Ok(Found { id, issuer: naming.alias().to_owned(), client, session, subject })
}

/// The claims in an input: the first object that has `iss` and `jti`.
fn claims_of(input: &Value) -> Option<&Value> {
    let is_claims = |one: &&Value| one["iss"].is_string() && one["jti"].is_string();
    let named = ["token", "claims", "jwt", "parsed_token"].map(|name| &input[name]);
    let payloads = named.map(|one| &one["payload"]);
    let metadata = &input["attributes"]["metadataContext"]["filterMetadata"];
    let filters = metadata.as_object().into_iter().flat_map(Map::values);
    let of_filters = filters.filter_map(Value::as_object).flat_map(Map::values);
    named.into_iter().chain(payloads).chain([input]).chain(of_filters).find(is_claims)
}

fn outcome(decision: &Map<String, Value>) -> Outcome {
    if decision.get("error").is_some_and(|error| !error.is_null()) {
        return Outcome::Error;
    }
    let result = decision.get("result").unwrap_or(&Value::Null);
    let said = ["allow", "allowed", "result"].iter().find_map(|name| result[*name].as_bool());
    match result.as_bool().or(said) {
        Some(true) => Outcome::Allow,
        Some(false) => Outcome::Deny,
        None => Outcome::None,
    }
}

fn policies(decision: &Map<String, Value>, outcome: Outcome) -> Vec<Policy<'static>> {
    let effect = match outcome {
        Outcome::Allow => Some("ALLOW".into()),
        Outcome::Deny => Some("DENY".into()),
        _ => None,
    };
    let policy = |id: &str, version: &str| Policy {
        id: owned(id),
        version: owned(version),
        digest: None,
        role: Some(PolicyRole::Access.symbol().into()),
        effect: effect.clone(),
    };
    let bundles = decision.get("bundles").and_then(Value::as_object);
    let of_bundles: Vec<_> = bundles
        .into_iter()
        .flatten()
        .filter_map(|(name, bundle)| Some(policy(name, bundle["revision"].as_str()?)))
        .collect();
    if !of_bundles.is_empty() {
        return of_bundles;
    }
    // Before there were several bundles.
    let revision = decision.get("revision").and_then(Value::as_str);
    revision.filter(|text| !text.is_empty()).map(|text| policy("opa", text)).into_iter().collect()
}

fn details(decision: &Map<String, Value>) -> Vec<Detail<'static>> {
    let mut found = BTreeMap::new();
    // Not the query: it is free text, and may name a person.
    if let Some(path) = decision.get("path").and_then(Value::as_str) {
        found.insert("opa_path", path.to_owned());
    }
    let is_masked = ["erased", "masked"].iter().any(|name| {
        decision.get(*name).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
    });
    if is_masked {
        found.insert("opa_masked", "true".to_owned());
    }
    found.into_iter().map(|(key, value)| Detail { key: key.into(), value: value.into() }).collect()
}

fn is_trace(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn personal(
    decision: &Map<String, Value>,
    input: &Value,
    subject: Option<String>,
) -> Vec<Personal<'static>> {
    let mut records = Vec::new();
    let user = ["user", "subject", "sub"].iter().find_map(|name| input[*name].as_str());
    if let Some(user) = subject.or_else(|| user.map(str::to_owned)) {
        let user_id = Some(user.into());
        records.push(Personal { user_id, ..Personal::of(PersonalRole::Subject) });
    }
    let by = decision.get("requested_by").and_then(Value::as_str);
    // Without the port, which says nothing.
    let ip = by.map(|by| by.rsplit_once(':').map_or(by, |(host, _)| host).trim_matches(['[', ']']));
    let path = match &input["path"] {
        Value::String(path) => Some(path.clone()),
        Value::Array(parts) => {
            let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
            parts.map(|parts| format!("/{}", parts.join("/")))
        }
        _ => None,
    };
    if ip.is_some_and(|ip| !ip.is_empty()) || path.is_some() {
        records.push(Personal {
            ip: ip.filter(|ip| !ip.is_empty()).map(owned),
            resource: path.map(Into::into),
            ..Personal::of(PersonalRole::Request)
        });
    }
    records
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_iss(iss: &str) -> Option<(Naming, bool)> {
        let naming = Naming::new("eu", if iss == "https://idp" { "idp" } else { "bearer" })?;
        match iss {
            "https://idp" => Some((naming, true)),
            "https://bearer" => Some((naming, false)),
            _ => None,
        }
    }

    fn decision() -> Value {
        json!({
            "decision_id": "4ca636c1-55e4-417a-b1d8-4aceb67960d1",
            "labels": { "id": "opa-1", "service": "orders" },
            "bundles": { "authz": { "revision": "7f3c" }, "data": { "revision": "12" } },
            "path": "http/authz/allow",
            "query": "data.people.alice",
            "input": {
                "method": "GET", "path": ["salary", "bob"], "user": "alice",
                "claims": { "iss": "https://idp", "jti": "t-1", "sid": "s-1", "azp": "web" },
                "token": "**REDACTED**",
            },
            "result": true,
            "erased": ["/input/token"],
            "requested_by": "[::1]:59943",
            "timestamp": "2026-01-01T00:00:00.000000Z",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        })
    }

    fn read(decision: &Value) -> Result<Value, EventError> {
        record(&decision.to_string(), &of_iss)
            .map(|text| serde_json::from_str(&text).expect("JSON"))
    }

    #[test]
    fn a_decision_is_an_access_under_the_bundles_revisions() {
        let event = read(&decision()).expect("an event");
        let expected = [
            ("/native_id", json!("opa 4ca636c1-55e4-417a-b1d8-4aceb67960d1")),
            ("/type", json!("RESOURCE_ACCESSED")),
            ("/token_id", json!("eu:idp:jti:t-1")),
            ("/outcome", json!("ALLOW")),
            ("/policies/0/id", json!("authz")),
            ("/policies/0/version", json!("7f3c")),
            ("/policies/0/effect", json!("ALLOW")),
            ("/policies/1/version", json!("12")),
            ("/session_id", json!("s-1")),
            ("/client_id", json!("web")),
            ("/action", json!("GET")),
            ("/service", json!("orders")),
            ("/personal/0/user_id", json!("alice")),
            ("/personal/1/ip", json!("::1")),
            ("/personal/1/resource", json!("/salary/bob")),
        ];
        for (place, value) in expected {
            assert_eq!(event.pointer(place), Some(&value), "{place} of {event}");
        }
        let mut clear = event;
        clear.as_object_mut().expect("members").remove("personal");
        for personal in ["alice", "bob", "::1"] {
            assert!(!clear.to_string().contains(personal), "{clear}");
        }
    }

    #[test]
    fn a_query_is_free_text_and_is_not_kept() {
        let event = read(&decision()).expect("an event");
        let detail = json!([
            { "key": "opa_masked", "value": "true" },
            { "key": "opa_path", "value": "http/authz/allow" },
        ]);
        assert_eq!(event["detail"], detail);
        assert!(!event.to_string().contains("data.people"), "{event}");
    }

    #[test]
    fn outcomes_follow_the_result() {
        let check = |result: Value, error: Value, expected: &str| {
            let mut sent = decision();
            (sent["result"], sent["error"]) = (result, error);
            assert_eq!(read(&sent).expect("an event")["outcome"], expected, "{sent}");
        };
        check(json!(false), Value::Null, "DENY");
        check(json!({ "allow": true }), Value::Null, "ALLOW");
        check(json!({ "allowed": false }), Value::Null, "DENY");
        check(json!(["a"]), Value::Null, "NONE");
        check(Value::Null, json!({ "code": "internal" }), "ERROR");
    }

    #[test]
    fn a_bearer_value_is_refused_by_its_name_and_never_repeated() {
        let check = |place: &[&str], value: Value, named: &str| {
            let mut sent = decision();
            let mut at = &mut sent;
            for name in place {
                at = &mut at[*name];
            }
            *at = value.clone();
            let error = read(&sent).expect_err("refused");
            assert_eq!(error.code, "secret_refused", "{place:?}");
            assert!(error.detail.contains(named), "{}", error.detail);
            let text = value.as_str().unwrap_or("s3cr3t-and-plain");
            assert!(!error.detail.contains(text), "{}", error.detail);
        };
        let jws = "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIn0.c2lnbmF0dXJl";
        check(&["input", "token"], json!(jws), "`input.token`");
        check(&["input", "token"], json!("s3cr3t-and-plain"), "`input.token`");
        check(&["input", "note"], json!(jws), "`input.note`");
        check(&["input", "Headers"], json!({ "authorization": "s3cr3t-and-plain" }), "`input.…`");
        let headers = json!({ "authorization": ["s3cr3t-and-plain"] });
        check(&["input", "headers"], headers, "`input.headers.authorization`");
        check(
            &["nd_builtin_cache"],
            json!({ "http_send": { "access_token": "s3cr3t-and-plain" } }),
            "`nd_builtin_cache.http_send.access_token`",
        );
    }

    #[test]
    fn a_decision_without_a_token_of_the_register_is_no_event() {
        let check = |change: fn(&mut Value), code: &str| {
            let mut sent = decision();
            change(&mut sent);
            assert_eq!(read(&sent).expect_err("refused").code, code, "{sent}");
        };
        check(|sent| sent["input"]["claims"] = Value::Null, "no_token");
        check(|sent| sent["input"]["claims"]["iss"] = "https://other".into(), "no_token");
        check(|sent| sent["input"]["claims"]["iss"] = "https://bearer".into(), "no_token");
        check(|sent| sent["input"]["claims"]["jti"] = "".into(), "no_token");
        check(|sent| sent["decision_id"] = Value::Null, "bad_decision");
        check(|sent| sent["timestamp"] = Value::Null, "bad_decision");
        let mut sent = decision();
        sent["input"]["claims"] = Value::Null;
        sent["input"]["token_id"] = "eu:idp:jti:t-2".into();
        assert_eq!(read(&sent).expect("an event")["token_id"], "eu:idp:jti:t-2");
    }
}
