//! The four forms of an event, read into one: that of the Admin REST interface.
//!
//! ```text
//! user event    {id, time, type, realmId, clientId, userId, sessionId, ipAddress, error, details}
//! admin event   {id, time, realmId, operationType, resourceType, resourcePath, representation,
//!                authDetails {realmId, clientId, userId, ipAddress}}
//! webhook       {uid, time, type: access.<TYPE> | admin.<RESOURCE>-<OP>, authDetails, details, …}
//! log line      see `text_line`; alone, or as `message` of a JSON console line
//! ```
//!
//! Beside the members of a record stands `derived`, which only this module writes: what free texts
//! mean (`why`), the person and the session of a resource path, the three values of a
//! representation that matter, and for a log line its time and its name.
//!
//! Promises: an array whose times descend is turned round, since the Admin REST interface gives the
//! newest event first. The texts themselves (`reason`, `representation`, `resourcePath`) are never
//! passed on.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json_borrow::{ObjectAsVec, Value};

use crate::keycloak::text_line;
use ledgerline_adapter::Problem;
use ledgerline_adapter::record::json;

/// The kind of lines of a log that are no events.
pub(super) const OTHER_LINE: &str = "(another line of the log)";

/// Reads a line of any form.
pub(super) fn read(line: &str) -> Result<Value<'_>, Problem> {
    if !line.starts_with(['{', '[']) {
        return Ok(text_line::record(line)?.map_or_else(other_line, of_line));
    }
    let value = json(line)?;
    let Value::Array(mut each) = value else { return one(value) };
    let time = |value: Option<&Value<'_>>| match value {
        Some(Value::Object(members)) => members.get("time").and_then(Value::as_i64),
        _ => None,
    };
    if time(each.first()) > time(each.last()) {
        each.reverse();
    }
    // What is wrong with one of a page is its own: it stays as it is, and no row takes it.
    Ok(Value::Array(each.into_iter().map(rest).collect()))
}

fn other_line<'v>() -> Value<'v> {
    let members = vec![("type", Value::Str(OTHER_LINE.into()))];
    Value::Object(ObjectAsVec::from(members))
}

fn one(value: Value<'_>) -> Result<Value<'_>, Problem> {
    let Value::Object(members) = &value else { return Err(Problem::UnknownShape) };
    let text = |name: &str| match members.get(name) {
        Some(Value::Str(text)) => Some(text.as_ref()),
        _ => None,
    };
    let logger = text("loggerName").or_else(|| text("log.logger"));
    let (Some(logger), Some(message)) = (logger, text("message")) else { return Ok(rest(value)) };
    if logger != "org.keycloak.events" {
        return Ok(other_line());
    }
    let at = text("timestamp").or_else(|| text("@timestamp"));
    let at = at.ok_or(Problem::Missing("timestamp"))?;
    let sequence = members.get("sequence").and_then(Value::as_i64).unwrap_or_default().to_string();
    Ok(text_line::message(message, at, [at, &sequence])?.map_or_else(other_line, of_line))
}

/// The record of a log line, which may be of an admin event.
fn of_line(value: Value<'_>) -> Value<'_> {
    let Value::Object(mut members) = value else { return value };
    if !members.contains_key("type")
        && let Some(kind) = admin_kind(&members)
    {
        members.insert("type", Value::Str(kind.into()));
        let mut more = Vec::new();
        admin(&mut members, &mut more);
        if let Some(Value::Object(derived)) = members.get_mut("derived") {
            more.into_iter().for_each(|(name, value)| {
                derived.insert(name, value);
            });
        }
    }
    Value::Object(members)
}

/// A record of the Admin REST interface, a listener or the webhook, as one of the first.
fn rest(value: Value<'_>) -> Value<'_> {
    let Value::Object(mut members) = value else { return value };
    let mut derived = Vec::new();
    let kind = match members.get("type") {
        Some(Value::Str(kind)) => Some(kind.clone()),
        _ => None,
    };
    let kind = match kind {
        Some(kind) if kind.starts_with("access.") => {
            let kind = &kind["access.".len()..];
            lift(&mut members, kind != "TOKEN_EXCHANGE");
            Some(Cow::Owned(kind.to_owned()))
        }
        None if !members.contains_key("type") => admin_kind(&members).map(Cow::Owned),
        kind => kind,
    };
    if let Some(kind) = &kind {
        members.insert("type", Value::Str(kind.clone()));
    }
    if let Some(Value::Object(details)) = members.get_mut("details")
        && let Some(reason) = details.get_mut("reason")
    {
        let known = reason.as_str().and_then(why);
        derived.extend(known.map(|why| ("why", Value::Str(why.into()))));
        *reason = Value::Null;
    }
    if kind.is_some_and(|kind| kind.starts_with("admin.")) {
        admin(&mut members, &mut derived);
    }
    members.insert("derived", Value::Object(ObjectAsVec::from(derived)));
    Value::Object(members)
}

/// The webhook has the members of a user event in `authDetails`, with the realm by its name. Its
/// session is that of the authentication, which is the person's but for an exchange: there it is
/// one that ends with the request.
fn lift(members: &mut ObjectAsVec<'_>, has_session: bool) {
    let details = members.get_mut("authDetails").map(std::mem::take);
    let Some(Value::Object(details)) = details else { return };
    for (name, value) in details.into_vec() {
        let name = match name.as_ref() {
            "clientId" => "clientId",
            "userId" => "userId",
            "sessionId" if has_session => "sessionId",
            "ipAddress" => "ipAddress",
            "realmId" => "realmName",
            _ => continue,
        };
        members.insert(name, value);
    }
}

fn admin_kind(members: &ObjectAsVec<'_>) -> Option<String> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    Some(format!("admin.{}-{}", text("resourceType")?, text("operationType")?))
}

/// What the path and the representation of an admin event say.
fn admin<'v>(members: &mut ObjectAsVec<'v>, derived: &mut Vec<(&'static str, Value<'v>)>) {
    if let Some(path) = members.get_mut("resourcePath").map(std::mem::take)
        && let Some(path) = path.as_str()
    {
        let path = Path::of(path);
        derived.push(("path", Value::Str(path.template.into())));
        derived.extend(path.user.map(|user| ("user", Value::Str(user.into()))));
        derived.extend(path.session.map(|session| ("session", Value::Str(session.into()))));
    }
    let Some(text) = members.get_mut("representation").map(std::mem::take) else { return };
    derived.push(("represented", Value::Bool(text.as_str().is_some())));
    let shown = text.as_str().and_then(|text| serde_json::from_str::<Represented>(text).ok());
    let Some(shown) = shown else { return };
    derived.extend(shown.enabled.map(|enabled| ("enabled", Value::Bool(enabled))));
    derived.extend(shown.not_before.map(|at| ("not_before", Value::from(at))));
    derived.extend(shown.client_id.map(|client| ("client", Value::Str(client.into()))));
}

/// What a representation says that the ledger takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Represented {
    enabled: Option<bool>,
    not_before: Option<i64>,
    client_id: Option<String>,
}

/// How the paths of the Admin REST interface begin. What begins otherwise is not a path.
const ROOTS: [&str; 27] = [
    "attack-detection",
    "authentication",
    "client-policies",
    "client-registration-policy",
    "client-scopes",
    "client-templates",
    "clients",
    "clients-initial-access",
    "components",
    "default-default-client-scopes",
    "default-groups",
    "default-optional-client-scopes",
    "events",
    "groups",
    "identity-provider",
    "keys",
    "localization",
    "logout-all",
    "organizations",
    "partialImport",
    "push-revocation",
    "roles",
    "roles-by-id",
    "sessions",
    "user-storage",
    "users",
    "workflows",
];

/// A resource path without the person in it.
struct Path {
    template: String,
    user: Option<String>,
    session: Option<String>,
}

impl Path {
    fn of(path: &str) -> Self {
        let (mut template, mut user, mut session) = (Vec::new(), None, None);
        let root = path.split('/').next().unwrap_or_default();
        if !ROOTS.contains(&root) {
            return Self { template: "(another path)".to_owned(), user, session };
        }
        for part in path.split('/') {
            match template.last() {
                Some(&("users" | "members")) => {
                    user.get_or_insert_with(|| part.to_owned());
                    template.push("{id}");
                }
                Some(&"sessions") if template.len() == 1 => {
                    session = Some(part.to_owned());
                    template.push("{id}");
                }
                _ => template.push(part),
            }
        }
        Self { template: template.join("/"), user, session }
    }
}

/// The word for a `reason` of the server, as far as something follows from it. Other reasons may
/// hold what a client sent, and are not kept.
pub(super) fn why(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "Maximum allowed refresh token reuse exceeded" | "Stale token" => "reuse",
        "Session not active"
        | "User session not found"
        | "Offline session not active"
        | "Offline user session not found" => "session_not_active",
        "Session doesn't have required client" => "client_not_in_session",
        "User disabled" => "account_disabled",
        "subject_token validation failure" => "subject_token_invalid",
        "Access token JWT check failed" => "token_check_failed",
        _ if reason.ends_with("is not in the token audience") => "not_in_audience",
        _ if reason.ends_with(": JWT check failed") => "token_check_failed",
        _ if reason.starts_with("JWT check failed for check ") => "token_check_failed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ledgerline_adapter::record::listed;

    use super::*;

    fn member(line: &str, place: &[&str]) -> Option<String> {
        let value = read(line).expect("sound");
        let found = place.iter().fold(&value, |value, name| value.get(*name));
        (!found.is_null()).then(|| found.to_string())
    }

    #[test]
    fn the_person_leaves_the_path() {
        for (path, template, user, session) in [
            ("users/u-1/logout", "users/{id}/logout", Some("u-1"), None),
            ("sessions/s-1", "sessions/{id}", None, Some("s-1")),
            ("organizations/o/members/u-2", "organizations/o/members/{id}", Some("u-2"), None),
            ("clients/c/scope-mappings/realm", "clients/c/scope-mappings/realm", None, None),
            ("somebody@example.test", "(another path)", None, None),
        ] {
            let found = Path::of(path);
            assert_eq!(found.template, template);
            assert_eq!((found.user.as_deref(), found.session.as_deref()), (user, session));
        }
    }

    #[test]
    fn what_a_record_claims_to_be_derived_is_not_believed() {
        let line = r#"{"type":"LOGIN","derived":{"why":"reuse","line":"x"}}"#;
        assert_eq!(member(line, &["derived", "why"]), None);
        assert_eq!(member(line, &["derived", "line"]), None);
    }

    #[test]
    fn free_texts_are_not_passed_on() {
        let line = r#"{"type":"LOGIN_ERROR","details":{"reason":"redirectUri parameter: s3cret"}}"#;
        assert!(!read(line).expect("sound").to_string().contains("s3cret"));
        let line = r#"{"resourceType":"USER","operationType":"UPDATE","resourcePath":"users/u",
            "representation":"{\"enabled\":false,\"credentials\":[\"s3cret\"]}"}"#;
        let value = read(line).expect("sound").to_string();
        assert!(!value.contains("s3cret") && value.contains("\"enabled\":false"), "{value}");
    }

    #[test]
    fn a_page_that_begins_with_the_newest_is_turned_round() {
        let line = r#"[{"type":"B","time":2},{"type":"A","time":1}]"#;
        let value = read(line).expect("sound");
        assert_eq!(value.get(0).get("type"), &Value::Str("A".into()));
        let line = r#"[{"type":"A","time":1},{"type":"B","time":2},7]"#;
        assert_eq!(listed(&read(line).expect("sound"), &[]).len(), 3);
    }
}
