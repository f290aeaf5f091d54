//! `revoke`: ends a token and everything that goes with it.
//!
//! Promises: a token on standard input goes the way of RFC 7009, and by the id it is known under
//! where its issuer's signature does not hold; an id the way of `blast-radius --revoke`. Both end
//! the same set, and tell the token's issuer when the token itself is at hand. The exit code is 3
//! when something that should have ended did not, or when an issuer that could have been told was
//! not; 4 when nobody knows the token: then nothing was revoked, and that is said.

use clap::Args;
use ledgerline_client::{Client, ClientError, segment};
use ledgerline_pasted as pasted;
use serde_json::{Value, json};

use crate::ClientSettings;
use crate::Context;
use crate::lookup::{self, Meant, Named, Narrow, Past, Unknown};
use crate::question::list;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{table, text};

/// Arguments of `revoke`.
#[derive(Args)]
#[command(after_help = "Examples:
  pass show leaked-token | ledgerline revoke --key-file responder.key -
  pbpaste | ledgerline revoke --key-file responder.key --dry-run -
  ledgerline revoke --dry-run eu-west-1:idp:jti:4f0c

With the token goes what descends from it and, for a refresh token, its grant and its family, as
with `blast-radius --revoke`. What is pasted may be a header, JSON, a curl line, quoted. With `-`
the issuer of the token is told, where the register has a revocation_endpoint: of that token alone.
Exit codes: 0 revoked, 3 not all of it, or an issuer that could be told was not; 4 unknown token:
nothing was revoked.")]
pub struct RevokeArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    narrow: Narrow,
    /// Only say what would be revoked (role responder).
    #[arg(long)]
    dry_run: bool,
    /// Leave the other tokens of a refresh token's grant and family alone.
    #[arg(long)]
    descendants_only: bool,
    /// Do not tell the token's issuer, also where the register says how.
    #[arg(long, conflicts_with = "tell_issuer")]
    ledger_only: bool,
    /// With `-`: tell the token's issuer, which is what happens without it too.
    #[arg(long)]
    tell_issuer: bool,
    /// Why, a short word.
    #[arg(long, default_value = "admin")]
    reason: String,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

const NOTHING: &str = "nothing was revoked";

/// Revokes.
///
/// # Errors
/// Usage for a raw token; whatever the server says.
pub fn run(context: &mut Context, args: &RevokeArgs) -> CommandResult {
    if args.tell_issuer && args.token != "-" {
        return Err(Failure::usage("--tell-issuer needs the token itself: use `-`"));
    }
    let client = context.client(args.client.clone())?;
    if args.token != "-" {
        let meant = lookup::of_argument(&client, &args.token, &args.narrow, None)?;
        let Meant::Token(named) = meant else { return Err(Failure::usage("no token")) };
        return by_id(context, &client, args, &named);
    }
    let paste = pasted::read_paste()?;
    match lookup::even_unread(lookup::of_paste(&client, &paste, &args.narrow, None)) {
        Ok(Meant::Token(named)) if args.narrow.is_narrow() => by_id(context, &client, args, &named),
        Ok(Meant::Token(named)) => {
            let token = named.token.as_deref().unwrap_or_default();
            let answer = by_value(&client, args, token)?;
            if answer["status"] == "unknown" {
                let why = "its issuer's signature could not be checked: it is revoked under the id \
                           that it is known by";
                pasted::tell(&[why.to_owned()]);
                return by_id(context, &client, args, &named);
            }
            finish(context, &answer, args.how())
        }
        Ok(Meant::Unknown(unknown)) => {
            // Its issuer's signature may still name it.
            match unknown.token.as_deref().filter(|_| !args.narrow.is_narrow()) {
                Some(token) => {
                    let answer = by_value(&client, args, token)?;
                    or_unknown(context, &answer, &unknown, args)
                }
                None => lookup::unknown(context, &unknown, NOTHING),
            }
        }
        // A client ends its own tokens, and is told nothing.
        Err(failure) if lookup::may_not_look(&failure) => {
            let token = paste.only()?;
            let answer = by_value(&client, args, token)?;
            or_unknown(context, &answer, &Unknown::default(), args)
        }
        Err(failure) => Err(failure),
    }
}

fn or_unknown(
    context: &mut Context,
    answer: &Value,
    unknown: &Unknown,
    args: &RevokeArgs,
) -> CommandResult {
    match answer["status"] == "unknown" {
        // The ledger knows nothing of it; its issuer may.
        true if answer["told"]["of"].as_u64().unwrap_or(0) > 0 => {
            context.screen.show(answer, |answer| {
                let line = issuer_line(answer, args.how());
                format!("UNKNOWN: {NOTHING} in the ledger, which knows nothing of it\n{line}")
            })?;
            Ok(Exit::Unknown)
        }
        true => lookup::unknown(context, unknown, NOTHING),
        false => finish(context, answer, args.how()),
    }
}

/// By the token itself (RFC 7009).
fn by_value(client: &Client, args: &RevokeArgs, token: &str) -> Result<Value, Failure> {
    let dry_run = if args.dry_run { "true" } else { "" };
    let tell = if args.ledger_only { "false" } else { "" };
    let with = if args.descendants_only { "descendants" } else { "" };
    let mut form = vec![("token", token), ("dry_run", dry_run), ("tell_issuer", tell)];
    form.extend([("with", with), ("reason", &args.reason)]);
    Ok(client.post_form("/oauth2/revoke", &form)?)
}

impl RevokeArgs {
    fn how(&self) -> How {
        How { dry_run: self.dry_run, ledger_only: self.ledger_only }
    }
}

/// Revokes by an id, with the token sent along where it is at hand, so that its issuer is told.
///
/// # Errors
/// Whatever the server says.
pub fn post(
    client: &Client,
    id: &str,
    mut body: Value,
    token: Option<&str>,
) -> Result<Value, ClientError> {
    let path = format!("/v1/tokens/{}/blast-radius", segment(id));
    body["token"] = token.into();
    match client.post_json(&path, &body) {
        // The ledger comes first: what it cannot match is ended by the id all the same.
        Err(ClientError::Refused { code, .. }) if code == "token_mismatch" => {
            let why = "the server cannot match the token with its id: it is revoked by the id";
            pasted::tell(&[why.to_owned()]);
            body["token"] = Value::Null;
            client.post_json(&path, &body)
        }
        other => other,
    }
}

/// By the ids under which it is known.
fn by_id(
    context: &mut Context,
    client: &Client,
    args: &RevokeArgs,
    named: &Named,
) -> CommandResult {
    let mut exit = Exit::Ok;
    named.warn(context)?;
    for id in named.all() {
        let with = if args.descendants_only { "descendants" } else { "grant" };
        let body = json!({
            "reason": args.reason,
            "dry_run": args.dry_run,
            "with": with,
            "tell_issuer": !args.ledger_only,
        });
        let answer = match post(client, id, body, named.token.as_deref()) {
            Err(error) if lookup::is_unknown(&error) => {
                return lookup::unknown_id(context, client, id, None, Past::default(), NOTHING);
            }
            other => other?,
        };
        if finish(context, &answer, args.how())? == Exit::Incomplete {
            exit = Exit::Incomplete;
        }
    }
    Ok(exit)
}

/// How it was asked for.
#[derive(Clone, Copy)]
pub struct How {
    /// Only say what would become of it.
    pub dry_run: bool,
    /// The issuer is not to be told.
    pub ledger_only: bool,
}

/// Shows what was revoked; the exit code says whether that is all of it, and whether every issuer
/// that could be told was.
///
/// # Errors
/// When standard output is closed.
pub fn finish(context: &mut Context, answer: &Value, how: How) -> CommandResult {
    context.screen.show(answer, |answer| shown(answer, how))?;
    let cut = answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty());
    let all = how.dry_run || answer.is_null() || is_all(answer);
    let untold = answer["told"]["could_be_told"].as_u64().unwrap_or(0) > 0;
    let told = how.dry_run || how.ledger_only || !untold;
    Ok(if all && !cut && told { Exit::Ok } else { Exit::Incomplete })
}

/// Whether everything that was to be revoked was.
fn is_all(answer: &Value) -> bool {
    let wanted = answer["to_revoke"].as_array().map_or(0, Vec::len) as u64;
    answer["revoked"].as_u64() == Some(wanted)
}

fn shown(answer: &Value, how: How) -> String {
    if answer.is_null() {
        return "accepted; a client is not told whether there was such a token (RFC 7009)"
            .to_owned();
    }
    let dry_run = answer["dry_run"] == true;
    let planned = answer["to_revoke"].as_array().map_or(0, Vec::len).to_string();
    let (word, count) = match dry_run {
        true => ("would revoke", planned.clone()),
        false => ("revoked", text(answer, "/revoked")),
    };
    let mut out = issuer_line(answer, how);
    let family = text(answer, "/family");
    out.push_str(&format!("{word} {count} of {family} tokens\n"));
    if answer["with"] == "descendants" {
        out.push_str("the grant and the family of the token were left alone\n");
    }
    let columns = ["/token_id", "/why", "/before", "/after", "/issuer"];
    let row = |one: &Value| columns.map(|pointer| text(one, pointer)).to_vec();
    let mut rows: Vec<Vec<String>> = list(answer, "set").map(row).collect();
    let mut head = vec!["TOKEN", "WHY", "BEFORE", "AFTER", "ISSUER"];
    if dry_run {
        let goes = |id: &str| list(answer, "to_revoke").any(|one| *one == *id);
        let after = |row: &mut Vec<String>| {
            let ends = if goes(&row[0]) { "REVOKED".to_owned() } else { row[2].clone() };
            row[3] = ends;
        };
        rows.iter_mut().for_each(after);
        head[3] = "WOULD BE";
    }
    out.push_str(&table(&head, &rows));
    for event in list(answer, "events").filter(|event| !event["error"].is_null()) {
        let (id, error) = (text(event, "/token_id"), text(event, "/error/detail"));
        out.push_str(&format!("NOT REVOKED {id}: {error}\n"));
    }
    if !dry_run && !is_all(answer) {
        out.push_str(&format!("INCOMPLETE: revoked {count} of {planned}: repeat it\n"));
    }
    if answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty()) {
        let cut = text(answer, "/cut_by");
        let what = match list(answer, "cut_by").all(|cut| *cut == "width") {
            true => {
                "it has more ids than are read: what was read ends, and nothing is said of more"
            }
            false => "more may go with it: repeat it",
        };
        out.push_str(&format!("INCOMPLETE: cut by {cut}; {what}\n"));
    }
    out
}

/// The lines that matter most: where the tokens still work, as far as anybody knows.
fn issuer_line(answer: &Value, how: How) -> String {
    let count = |name: &str| answer["told"][name].as_u64().unwrap_or(0);
    let (of, told, not_told, could) =
        (count("of"), count("told"), count("not_told"), count("could_be_told"));
    let why: Vec<String> = list(&answer["told"], "why_not").map(|one| text(one, "")).collect();
    let why = why.join("; ");
    if of == 0 {
        let dry = if how.dry_run { "DRY RUN: " } else { "" };
        return format!("{dry}nothing is left to tell an issuer of\n");
    }
    let mut out = if how.dry_run {
        let mut line = format!(
            "DRY RUN: nothing is revoked, and no issuer is told; it would be told of {told} of {of}"
        );
        if not_told > 0 {
            line.push_str(&format!("; of {not_told} it would not: {why}"));
        }
        line + "\n"
    } else if not_told == 0 {
        format!("issuer told of {told} of {of}\n")
    } else if told == 0 {
        format!(
            "ISSUER NOT TOLD: the tokens still work at their issuer and wherever this ledger is \
             not asked: revoke them there too.\nissuer told of 0 of {of}; {of} were not told: \
             {why}\n"
        )
    } else {
        format!(
            "ISSUER NOT TOLD OF ALL: issuer told of {told} of {of}; {not_told} were not told: \
             {why}.\nThey may still work there and wherever this ledger is not asked: revoke them \
             there too.\n"
        )
    };
    if told > 0 && !how.dry_run {
        out.push_str(
            "told: it answered 200, as it also does of a token that it does not know (RFC 7009): \
             look there\nwhether it is dead.\n",
        );
    }
    if could > 0 && !how.ledger_only && why.contains("an id was given") {
        out.push_str("To tell it, give the token itself on standard input: --tell-issuer -\n");
    }
    if could > 0 && how.ledger_only {
        out.push_str("--ledger-only kept it from being told; --tell-issuer - tells it.\n");
    }
    if why.contains("revocation_endpoint") {
        out.push_str("How the ledger can tell it is in docs/operating.md, \"Issuers\".\n");
    }
    out
}
