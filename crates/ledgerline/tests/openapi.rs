//! The OpenAPI document against a running server: every operation exists and guards itself, and
//! answers are what the schemas say.

mod running;

use running::{Server, event};
use serde_json::{Value, json};

/// Whether a value is what a schema says; where it is not. Knows the keywords that we use.
fn misfit(document: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#'));
        return misfit(document, schema.expect("a schema"), value, place);
    }
    let all = schema["allOf"].as_array().into_iter().flatten();
    if let Some(found) = all.filter_map(|one| misfit(document, one, value, place)).next() {
        return Some(found);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any.iter().any(|one| misfit(document, one, value, place).is_none());
        return (!fits).then(|| format!("{place}: none of several"));
    }
    let is_a = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{place}: type {other}"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is_a(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is_a),
        _ => true,
    };
    let listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !fits || !listed {
        return Some(format!("{place}: {value}"));
    }
    if let Some(items) = value.as_array() {
        let check = |(at, item): (usize, &Value)| {
            misfit(document, schema.get("items")?, item, &format!("{place}/{at}"))
        };
        return items.iter().enumerate().find_map(check);
    }
    let members = value.as_object()?;
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(name) = required.into_iter().find(|name| !members.contains_key(*name)) {
        return Some(format!("{place}: {name} is missing in {value}"));
    }
    members.iter().find_map(|(name, value)| {
        let place = format!("{place}/{name}");
        match schema["properties"].get(name) {
            Some(schema) => misfit(document, schema, value, &place),
            None if schema["additionalProperties"] == false => Some(format!("{place} is unknown")),
            None => None,
        }
    })
}

struct Checker<'s> {
    server: &'s Server,
    document: Value,
}

impl Checker<'_> {
    /// Calls an operation and holds the answer against its schema.
    fn call(&self, method: &str, template: &str, path: &str, body: Option<&Value>) -> Value {
        let operation = &self.document["paths"][template][method];
        assert!(operation.is_object(), "{method} {template} is not described");
        let upper = method.to_uppercase();
        let text = body.map(Value::to_string);
        let sent = text.as_ref().map(|text| ("application/json", text.as_bytes()));
        if let Some(body) = body {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(misfit(&self.document, schema, body, "body"), None, "{method} {path}");
        }
        let answer = self.server.call(&upper, path, Some(&self.server.admin), sent);
        let responses = &operation["responses"];
        let (described, media) = match responses.get(answer.status.to_string()) {
            Some(described) => (described, "application/json"),
            None => (&responses["default"], "application/problem+json"),
        };
        let schema = &described["content"][media]["schema"];
        assert!(schema.is_object(), "{method} {path}: {} {}", answer.status, answer.text());
        let answer = answer.json();
        assert_eq!(misfit(&self.document, schema, &answer, ""), None, "{method} {path}");
        answer
    }
}

#[test]
fn the_document_says_what_the_server_does() {
    let server = Server::start();
    assert_eq!(server.call("GET", "/openapi.json", None, None).status, 401);
    let producer = server.key("", "idp", &["producer"]);
    let document = server.get("/openapi.json", &producer).json();
    assert_eq!(document["openapi"], "3.1.0");
    // Every operation exists, and who has no key learns nothing but what is public.
    for (template, methods) in document["paths"].as_object().expect("paths") {
        let parts = [
            ("{path}", "0/000".to_owned()),
            ("{digest}", format!("sha256:{}", "0".repeat(64))),
            ("{handle}", "0".repeat(32)),
            ("{index}", "0".to_owned()),
        ];
        let path =
            parts.iter().fold(template.clone(), |path, (name, part)| path.replace(name, part));
        let path = path.replace(['{', '}'], "");
        for (method, operation) in methods.as_object().expect("methods") {
            let answer = server.call(&method.to_uppercase(), &path, None, None);
            let text = answer.text();
            let exists = !text.contains("no_route") && answer.status != 405;
            assert!(exists, "{method} {template}: {text}");
            let public = operation["security"] == json!([]);
            assert_eq!(answer.status == 401, !public, "{method} {template}: {text}");
        }
    }
    let checker = Checker { server: &server, document };
    let mut issued = event("i", "ISSUED", "a");
    issued["expires_at"] = "2020-01-01T00:00:00Z".into();
    issued["personal"] = json!([{ "role": "SUBJECT", "user_id": "alice" }]);
    let events = json!([issued, event("r", "REVOKED", "b"), event("u", "USED", "b")]);
    checker.call("post", "/v1/events", "/v1/events", Some(&events));
    let lone = checker.call("post", "/v1/events", "/v1/events", Some(&event("x", "USED", "a")));
    let (source, id) = ("bootstrap", lone["events"][0]["event_id"].as_str().expect("an id"));
    let get = |template: &str, path: &str| checker.call("get", template, path, None);
    let token = "eu:idp:jti:a";
    get("/v1/events/{source}/{event_id}", &format!("/v1/events/{source}/{id}"));
    get("/v1/events/{source}/{event_id}/why", &format!("/v1/events/{source}/{id}/why"));
    for end in ["", "/events"] {
        get(&format!("/v1/tokens/{{id}}{end}"), &format!("/v1/tokens/{token}{end}"));
    }
    for end in ["lineage", "resources", "policies", "divergence", "exposure", "blast-radius"] {
        get(&format!("/v1/tokens/{{id}}/{end}"), &format!("/v1/tokens/{token}/{end}"));
    }
    get("/v1/tokens/{id}", "/v1/tokens/eu:idp:jti:nobody");
    get("/v1/issuers/{id}/tokens", "/v1/issuers/eu:idp/tokens");
    get("/v1/clients/{id}/tokens", "/v1/clients/web/tokens");
    get("/v1/subjects/{handle}/tokens", &format!("/v1/subjects/{}/tokens", "0".repeat(32)));
    get("/v1/sources", "/v1/sources");
    get("/v1/status", "/v1/status");
    get("/v1/keys", "/v1/keys");
    get("/v1/blocks", "/v1/blocks");
    get("/v1/revocations", "/v1/revocations");
    let why = json!({ "token_id": token, "purpose": "a drill" });
    let shown = checker.call("post", "/v1/disclose", "/v1/disclose", Some(&why));
    assert_eq!(shown["records"], 1, "{shown}");
    let note = json!({ "note": "a drill" });
    let path = "/v1/findings/{id}/close";
    let nobody = format!("/v1/findings/{}/close", "0".repeat(64));
    checker.call("post", path, &nobody, Some(&note));
    let key = json!({ "source": "s", "roles": ["reader"], "strict": true });
    checker.call("post", "/v1/keys", "/v1/keys", Some(&key));
    let table = json!({
        "region": "eu", "issuer": "idp", "taken_at": "2026-01-03T00:00:00Z", "record": true,
        "tokens": [{ "token_id": token, "usable": true },
                   { "token_id": "eu:idp:jti:z", "usable": true }],
    });
    let path = "/v1/reconciliations";
    let found = checker.call("post", path, path, Some(&table));
    assert_eq!(found["differences"].as_array().map(Vec::len), Some(2), "{found}");
    let findings = get("/v1/findings", "/v1/findings");
    let first = findings["findings"][0]["id"].as_str().expect("a finding").to_owned();
    get("/v1/findings/{id}", &format!("/v1/findings/{first}"));
}

/// Every member of the event's schema is one that the server knows.
#[test]
fn the_events_schema_has_the_members_that_are_taken() {
    let server = Server::start();
    let document = server.get("/openapi.json", &server.admin).json();
    let known = document["components"]["schemas"]["Event"]["properties"].as_object();
    let known = known.expect("properties");
    let unknown = |name: &str| {
        // A value of no type that any member has: it is known if the refusal is about the value.
        let mut sent = event("n", "USED", "a");
        sent[name] = json!([[[]]]);
        let answer = server.post("/v1/events", &server.admin, &sent);
        assert!((400..500).contains(&answer.status), "{name}: {}", answer.text());
        answer.text().contains("unknown")
    };
    for name in known.keys() {
        assert!(!unknown(name), "the server does not know {name}");
    }
    assert!(unknown("colour"), "the test can tell");
}
