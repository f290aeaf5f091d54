//! Parameters of queries: each name with its type, its limits and its meaning, once.
//!
//! Promises: a name means the same on every route. Which route knows which names stands in the
//! table of operations; the server refuses all others.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::question::Direction;
use crate::values::Time;

/// How well an edge must be known to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Every edge that a source states.
    Stated,
    /// Only edges with both ids named by the source.
    Asserted,
    /// Also tokens of the same family, grant or session, and causes.
    Joined,
}

/// Whose events are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Those of the token alone.
    Token,
    /// Those of its descendants too.
    Descendants,
    /// Those of the tokens of its grant and family.
    Grant,
}

/// What to pivot on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PivotKind {
    /// A person, an address, a device, a user agent, a concrete resource: by its handle.
    Handle,
    /// An OAuth client.
    Client,
    /// A session.
    Session,
    /// A grant.
    Grant,
    /// A key that confirms possession.
    Key,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it some day.
    Low,
    /// Look at it this week.
    Medium,
    /// Look at it today.
    High,
    /// Look at it now.
    Critical,
}

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// Nobody has looked at it.
    Open,
    /// Somebody looks at it.
    Acknowledged,
    /// It is dealt with.
    Closed,
    /// Later entries explain it.
    Withdrawn,
}

/// Every parameter that some route knows.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Another tenant, for keys of all tenants.
    pub tenant: Option<String>,
    /// What the ledger knew: a size of the log, or a time of recording (RFC 3339, `+` as `%2B`).
    pub as_of: Option<String>,
    /// What had happened by an event time. States are judged then; without it, now.
    #[schemars(with = "Option<Time>")]
    pub at: Option<String>,
    /// Items on a page; with `proof` of the whole answer. Each route has its own most and default.
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: Option<usize>,
    /// `next` of the page before. That of a question keeps `as_of` and the time of judgement.
    pub page: Option<String>,
    /// The proof bundle of the whole answer instead of a page of it: a document of another form,
    /// which `ledgerline check` reads.
    pub proof: bool,
    /// With a proof: the part of the answer that stands in this origin.
    pub origin: Option<String>,
    /// With a proof: the size of an older checkpoint that the tree must begin with.
    pub previous_size: Option<u64>,
    /// Seconds to wait: for the rules or the verifier to catch up, for a revocation, or with a
    /// proof for a block that covers what is recorded now.
    #[schemars(range(max = 60))]
    pub wait: Option<u64>,
    /// Which way a lineage goes; without it descendants.
    #[schemars(with = "Option<Direction>")]
    pub direction: Option<String>,
    /// With `direction=path`: the token id at the other end.
    pub to: Option<String>,
    /// Most edges of a walk from the token on.
    #[schemars(range(max = 1024))]
    pub depth: Option<u32>,
    /// Most tokens of a walk.
    #[schemars(range(min = 1, max = 10_000))]
    pub tokens: Option<usize>,
    /// How well an edge must be known to be followed; without it stated.
    #[schemars(with = "Option<Reach>")]
    pub strength: Option<String>,
    /// Begin of a range: a time, or a point of a token's life (`birth`, `last-refresh`,
    /// `first-use`, `last-use`, `expiry`, `revocation`, `end`). Of findings: the index to begin at.
    pub from: Option<String>,
    /// End of a range, exclusive: a time, or a point of a token's life.
    pub until: Option<String>,
    /// Whose events are meant.
    #[schemars(with = "Option<Of>")]
    pub of: Option<String>,
    /// Hours back from the time of judgement; without it 24.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub hours: Option<u32>,
    /// What to pivot on.
    #[schemars(with = "Option<PivotKind>")]
    pub kind: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// Findings that stand so.
    #[schemars(with = "Option<FindingState>")]
    pub state: Option<String>,
    /// Findings at least so grave.
    #[schemars(with = "Option<Severity>")]
    pub severity: Option<String>,
    /// Findings of this rule.
    pub rule: Option<String>,
    /// Findings about this token id.
    pub token: Option<String>,
    /// Findings as server-sent events, those to come too.
    pub follow: bool,
    /// Position of the feed to go on from: `next` of the answer before; 0 at first.
    pub since: Option<u64>,
    /// `proof`: each verdict has its inclusion proof.
    #[schemars(extend("enum" = ["proof"]))]
    pub receipt: Option<String>,
    /// Whose records these are: an alias of the register of issuers, or `<region>:<alias>`.
    pub issuer: Option<String>,
    /// Whether the key has leaked: what it signed from now on proves nothing.
    pub compromised: bool,
    /// Why; stands in the ledger for ever.
    pub reason: Option<String>,
}

/// How the text of a parameter is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// Digits.
    Number,
    /// `true` or `false`; a name without a value is `true`.
    Flag,
    /// As it is.
    Text,
}

/// A parameter as it is described.
#[derive(Debug, Clone)]
pub struct Described {
    /// How its text is to be read.
    pub kind: ParameterType,
    /// Its meaning.
    pub description: String,
    /// Its schema, without the description.
    pub schema: Value,
}

/// Each parameter by its name.
pub static DESCRIBED: LazyLock<BTreeMap<String, Described>> = LazyLock::new(|| {
    let generator = crate::schema::generator(crate::schema::Side::Sent);
    let schema = generator.into_root_schema_for::<Parameters>();
    let definitions = schema.get("$defs").or_else(|| schema.pointer("/components/schemas"));
    let definitions = definitions.cloned().unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    let each = properties.into_iter().flatten();
    each.map(|(name, schema)| (name.clone(), described(schema, &definitions))).collect()
});

fn described(schema: &Value, definitions: &Value) -> Described {
    let mut schema = schema.clone();
    let description = schema.as_object_mut().and_then(|members| members.remove("description"));
    let description = description.as_ref().and_then(Value::as_str).unwrap_or_default();
    // A parameter that is absent is not sent: no `null`, and nothing to look up elsewhere.
    let several = schema["anyOf"].as_array().and_then(|several| several.first().cloned());
    if let Some(name) = several.as_ref().and_then(|one| one["$ref"].as_str()) {
        let name = name.rsplit('/').next().unwrap_or_default();
        schema = crate::schema::plain_enum(&definitions[name]);
    }
    if let Some(members) = schema.as_object_mut() {
        members.remove("description");
        if let Some(kind) =
            members.get("type").and_then(Value::as_array).and_then(|all| all.first())
        {
            let kind = kind.clone();
            members.insert("type".to_owned(), kind);
        }
    }
    crate::schema::tidy(&mut schema);
    let kind = match schema["type"].as_str() {
        Some("integer") => ParameterType::Number,
        Some("boolean") => ParameterType::Flag,
        _ => ParameterType::Text,
    };
    Described { kind, description: description.to_owned(), schema }
}
