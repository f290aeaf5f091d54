//! One operation of the interface: what a method of a path takes and gives.

use schemars::{Schema, SchemaGenerator};

use crate::schema::schema_of;
use crate::values::Document;

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a body is.
pub enum Form {
    /// JSON.
    Json(SchemaOf),
    /// JSON of a media type of its own.
    JsonOf(&'static str, SchemaOf),
    /// `application/x-www-form-urlencoded`.
    Urlencoded(SchemaOf),
    /// A text of a media type.
    Text(&'static str),
    /// Bytes of a media type.
    Bytes(&'static str),
}

/// One method of one path.
pub struct Operation {
    /// The method, in small letters.
    pub method: &'static str,
    /// The path, as the router has it.
    pub path: &'static str,
    /// Its name, which generated clients call it by.
    pub id: &'static str,
    /// The group it is shown in.
    pub tag: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// More about it.
    pub description: &'static str,
    /// Roles of which one is needed; `any` is any key, none is nobody.
    pub roles: &'static str,
    /// Names of the parameters that its query knows.
    pub parameters: &'static [&'static str],
    /// Those of them that are needed.
    pub needed: &'static [&'static str],
    /// Items on a page: how many without `limit`, and the most.
    pub limits: Option<(usize, usize)>,
    /// What is sent.
    pub body: Option<Form>,
    /// Media types that are taken beside the one of `body`.
    pub media_types: &'static [&'static str],
    /// The status of success.
    pub status: u16,
    /// Other statuses of success, which have no body.
    pub bare_statuses: &'static [u16],
    /// What is answered, in a sentence.
    pub answered: &'static str,
    /// What is answered.
    pub answer: Form,
    /// Whether it may be refused as contradicting what is recorded.
    pub may_conflict: bool,
    /// Whether a part of what it answers needs a key.
    pub is_partly_open: bool,
}

/// Items that one proof may have.
pub const PROVEN_ITEMS_MAX: usize = 10_000;
/// Roles that read.
pub const READERS: &str = "reader auditor responder";
/// Items on a page of a question.
pub const QUESTION_PAGE: Option<(usize, usize)> = Some((100, 1000));
/// Blocks, or reports, on a page.
pub const LOG_PAGE: Option<(usize, usize)> = Some((20, 200));

/// An operation to begin with.
pub const NOTHING: Operation = Operation {
    method: "get",
    path: "",
    id: "",
    tag: "",
    summary: "",
    description: "",
    roles: "",
    parameters: &[],
    needed: &[],
    limits: None,
    body: None,
    media_types: &[],
    status: 200,
    bare_statuses: &[],
    answered: "Done.",
    answer: Form::Json(schema_of::<Document>),
    may_conflict: false,
    is_partly_open: false,
};

/// A question about a token or something else: `GET` with the parameters that all have, and these.
pub const fn question(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    answer: SchemaOf,
) -> Operation {
    Operation {
        path,
        id,
        tag,
        summary,
        roles: READERS,
        parameters,
        answer: Form::Json(answer),
        answered: "The answer; with `proof=true` its proof bundle.",
        ..NOTHING
    }
}

/// A question that is answered page by page.
pub const fn listing(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    answer: SchemaOf,
) -> Operation {
    Operation { limits: QUESTION_PAGE, ..question(tag, id, path, summary, parameters, answer) }
}

/// A `POST` of JSON.
pub const fn post(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    roles: &'static str,
    body: SchemaOf,
    answer: SchemaOf,
) -> Operation {
    Operation {
        method: "post",
        path,
        id,
        tag,
        summary,
        roles,
        body: Some(Form::Json(body)),
        answer: Form::Json(answer),
        ..NOTHING
    }
}

/// Anything else that is read.
pub const fn get(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    roles: &'static str,
    parameters: &'static [&'static str],
    answer: Form,
) -> Operation {
    Operation { path, id, tag, summary, roles, parameters, answer, ..NOTHING }
}

impl Operation {
    /// The path as OpenAPI writes it.
    #[must_use]
    pub fn public_path(&self) -> String {
        self.path.replace("{*", "{")
    }

    /// Names of the segments of the path that vary.
    pub fn path_names(&self) -> impl Iterator<Item = &'static str> {
        let inner = self.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        inner.map(|(name, _)| name.trim_start_matches('*'))
    }

    /// Whether refusals are those of OAuth.
    #[must_use]
    pub fn is_oauth(&self) -> bool {
        self.path.starts_with("/oauth2/") && self.body.is_some()
    }

    /// What is said of it: its description, and who may.
    #[must_use]
    pub fn described(&self) -> String {
        let who = match self.roles {
            "" => "Needs no key.".to_owned(),
            "any" => "Needs an API key of any role.".to_owned(),
            roles => format!("Needs one of the roles: {}.", roles.replace(' ', ", ")),
        };
        if self.description.is_empty() { who } else { format!("{} {who}", self.description) }
    }

    /// Statuses of its refusals, ascending.
    #[must_use]
    pub fn refusals(&self) -> Vec<u16> {
        let has_key = !self.roles.is_empty();
        let has_path = self.path.contains('{');
        let has_body = self.body.is_some();
        let mut all = vec![400, 429, 500, 503];
        all.extend((has_key || self.is_partly_open).then_some(401));
        let needs_role = has_key && self.roles != "any";
        all.extend((needs_role || self.is_partly_open).then_some(403));
        let names_tenant = self.parameters.contains(&"tenant");
        all.extend((has_path || names_tenant || has_body).then_some(404));
        all.extend(has_body.then_some([408, 413, 415, 501]).into_iter().flatten());
        all.extend((has_body || self.parameters.contains(&"proof") || has_path).then_some(422));
        all.extend(self.may_conflict.then_some(409));
        all.sort_unstable();
        all
    }
}

/// Parameters that every question knows.
pub const COMMON: &[&str] = &["tenant", "as_of", "at", "proof", "origin", "previous_size", "wait"];
/// Those of a question that is answered page by page.
pub const PAGED: &[&str] =
    &["tenant", "as_of", "at", "proof", "origin", "previous_size", "wait", "limit", "page"];
