//! `call`: any operation of the interface by its name, as the table of operations describes it.
//!
//! ```text
//! ledgerline call get_blast_radius id=eu:idp:jti:4f0c depth=3
//! ledgerline call                      the operations
//! ```
//!
//! Promises: a new operation can be called as soon as the table has it, with no command of its own;
//! what the operation does not know is refused before anything is sent. Pages are not put together:
//! one that is not the last ends with exit code 3, like what was cut and what is behind; what is
//! unknown with 4, a refused event with 1.
//!
//! Refuses: tokens as arguments (bodies are read from a file or standard input), and streams.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use ledgerline_api::openapi::operations;
use ledgerline_api::operation::{Form, Operation};
use ledgerline_api::parameters::DESCRIBED;
use ledgerline_client::segment;
use ledgerline_proof::token_id::{TokenId, looks_like_token};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::table;
use serde_json::Value;

use crate::{ClientSettings, Context};

/// Arguments of `call`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline call
  ledgerline call get_token --key-file reader.key id=eu-west-1:idp:jti:4f0c
  ledgerline call list_client_tokens --key-file reader.key id=eu-west-1:idp:web limit=10
  ledgerline call close_finding --key-file soc.key id=5f1e… --body note.json

Exit codes: 0 done, 1 refused, 3 a page of several, cut or behind, 4 unknown, 64 no such operation
or parameter.")]
pub struct CallArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// The operation; without it they are listed.
    operation: Option<String>,
    /// Parts of the path and parameters of the query.
    #[arg(value_name = "NAME=VALUE")]
    values: Vec<String>,
    /// File with the body (JSON, or a form as NAME=VALUE&…); `-` is standard input.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

/// Calls it.
///
/// # Errors
/// What the operation does not know; a refusal of the server.
pub fn run(context: &mut Context, args: CallArgs) -> CommandResult {
    let Some(name) = &args.operation else {
        context.screen.line(&listed())?;
        return Ok(Exit::Ok);
    };
    let operation = operations().find(|one| one.id == name);
    let operation = operation.ok_or_else(|| {
        Failure::usage("there is no such operation: `ledgerline call` lists them")
    })?;
    let path = path_of(operation, &args.values)?;
    let body = args.body.as_deref().map(read).transpose()?;
    if operation.body.is_some() != body.is_some() {
        let which = if body.is_some() { "takes no body" } else { "needs a body: --body FILE" };
        return Err(Failure::usage(format!("{name} {which}")));
    }
    let client = context.client(args.client)?;
    let answer = match (operation.method, &operation.answer) {
        ("get", Form::Json(_)) => client.get(&path)?,
        ("get", _) => {
            let bytes = client.get_bytes(&path)?;
            let bytes = bytes.ok_or_else(|| Failure::error("not found"))?;
            context.screen.bytes(&bytes)?;
            return Ok(Exit::Ok);
        }
        ("delete", _) => client.delete(&path)?,
        _ => {
            let media_type = match operation.body {
                Some(Form::Urlencoded(_)) => "application/x-www-form-urlencoded",
                _ => "application/json",
            };
            client.post(&path, media_type, body.as_deref().unwrap_or_default())?
        }
    };
    context.screen.json(&answer.raw)?;
    Ok(exit_of(&answer.raw))
}

/// What an answer ends with: nothing that is refused, unknown, cut or behind ends well.
fn exit_of(answer: &Value) -> Exit {
    let is = |name: &str, value: bool| answer[name] == value;
    let list = |name: &str| answer[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let refused = |one: &Value| one["status"] == "refused";
    if list("events").iter().any(refused) {
        return Exit::Error;
    }
    let says_unknown = |one: &Value| one["status"] == "unknown";
    let is_unknown = is("tenant_known", false)
        || is("token_known", false)
        || says_unknown(answer)
        || list("tokens").iter().any(says_unknown);
    if is_unknown {
        return Exit::Unknown;
    }
    let unread = |one: &Value| one["status"] == "unreadable" || one["status"] == "not_reached";
    let mut followers = answer["progress"].as_object().into_iter().flatten();
    let is_part = !list("cut_by").is_empty()
        || answer.get("next").is_some_and(Value::is_string)
        || is("incomplete", true)
        || is("more", true)
        || is("ready", false)
        || is("is_complete", false)
        || list("tokens").iter().any(unread)
        || followers.any(|(_, one)| one["state"] != "caught_up");
    if is_part { Exit::Incomplete } else { Exit::Ok }
}

/// The operations, one a line.
fn listed() -> String {
    let row = |one: &Operation| {
        let names = one.path_names().chain(one.parameters.iter().copied());
        let names: Vec<&str> = names.collect();
        vec![one.id.to_owned(), one.summary.to_owned(), names.join(" ")]
    };
    let rows: Vec<Vec<String>> = operations().map(row).collect();
    table(&["OPERATION", "WHAT", "NAMES"], &rows)
}

/// Path and query of a call.
fn path_of(operation: &Operation, values: &[String]) -> Result<String, Failure> {
    let mut path = operation.public_path();
    let mut query = String::new();
    for value in values {
        let Some((name, value)) = value.split_once('=') else {
            return Err(Failure::usage("give each value as NAME=VALUE"));
        };
        if is_secret(name, value) {
            return Err(Failure::usage(
                "this looks like a token, and arguments stand in shell histories and access logs: \
                 compute its id with `ledgerline token-id`, or give it to `trace -`",
            ));
        }
        if name == "follow" {
            return Err(Failure::usage("a stream does not end: `findings --follow` shows it"));
        }
        let mark = format!("{{{name}}}");
        if path.contains(&mark) {
            path = path.replace(&mark, &segment(value));
        } else if operation.parameters.contains(&name) {
            let front = if query.is_empty() { '?' } else { '&' };
            let _ = write!(query, "{front}{name}={}", segment(value));
        } else {
            return Err(Failure::usage(unknown(operation)));
        }
    }
    match path.find('{') {
        Some(at) => {
            let name = path[at + 1..].split('}').next().unwrap_or_default();
            Err(Failure::usage(format!("{} needs {name}=…", operation.id)))
        }
        None => Ok(path + &query),
    }
}

/// Whether a value looks like a token where a token's id belongs, or anything else does.
fn is_secret(name: &str, value: &str) -> bool {
    let is_hex = value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_ours = name == "page" || name == "digest" || name == "path" || is_hex;
    !is_ours && TokenId::parse(value).is_err() && looks_like_token(value)
}

/// What an operation knows, with the meanings.
fn unknown(operation: &Operation) -> String {
    let mut text = format!("{} knows no such name; it knows:", operation.id);
    for name in operation.path_names() {
        let _ = write!(text, "\n  {name}=… (needed)");
    }
    for name in operation.parameters {
        let what = DESCRIBED.get(*name).map_or("", |one| &one.description);
        let _ = write!(text, "\n  {name}=…  {}", what.split(". ").next().unwrap_or(what));
    }
    text
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if path == std::path::Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(id: &str, values: &[&str]) -> Result<String, String> {
        let operation = operations().find(|one| one.id == id).expect("an operation");
        let values: Vec<String> = values.iter().map(|one| (*one).to_owned()).collect();
        path_of(operation, &values).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn a_call_is_made_of_names_that_the_operation_knows() {
        let found = path("get_token", &["id=eu:idp:jti:a/b", "at=2026-01-01T00:00:00+01:00"]);
        assert_eq!(
            found.as_deref(),
            Ok("/v1/tokens/eu:idp:jti:a%2Fb?at=2026-01-01T00:00:00%2B01:00")
        );
        assert!(path("get_token", &[]).expect_err("no id").contains("needs id"));
        let unknown = path("get_token", &["id=a", "colour=red"]).expect_err("no such name");
        assert!(unknown.contains("as_of") && !unknown.contains("red"), "{unknown}");
        assert!(path("get_token", &["id"]).is_err());
    }

    #[test]
    fn a_token_went_into_the_url() {
        let token = "id=made-up-refresh-Xq7vT2mLr9Zk4Wd8Bn1Hs6Pc";
        let refused = path("get_token", &[token]).expect_err("a token");
        assert!(refused.contains("token-id") && !refused.contains("Xq7v"), "{refused}");
        let finding = format!("id={}", "0f".repeat(32));
        assert!(path("get_finding", &[&finding]).is_ok());
        assert!(path("list_findings", &["follow=true"]).is_err());
    }

    #[test]
    fn what_was_refused_unknown_or_behind_ended_well() {
        use serde_json::json;
        let check = |answer: Value, exit| assert_eq!(exit_of(&answer), exit, "{answer}");
        check(json!({ "next": null, "cut_by": [] }), Exit::Ok);
        check(json!({ "events": [{ "status": "recorded" }] }), Exit::Ok);
        check(json!({ "events": [{ "status": "refused" }] }), Exit::Error);
        check(json!({ "next": "5", "cut_by": [] }), Exit::Incomplete);
        check(json!({ "cut_by": ["reads"] }), Exit::Incomplete);
        check(json!({ "progress": { "findings": { "state": "behind" } } }), Exit::Incomplete);
        check(json!({ "incomplete": true }), Exit::Incomplete);
        check(json!({ "tenant_known": false, "cut_by": ["reads"] }), Exit::Unknown);
        check(json!({ "tokens": [{ "status": "unknown" }] }), Exit::Unknown);
        check(json!({ "tokens": [{ "status": "not_reached" }] }), Exit::Incomplete);
    }
}
