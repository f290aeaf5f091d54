//! `revoke`: ends a token and everything that goes with it.
//!
//! Promises: a token on standard input goes the way of RFC 7009, and by the id it is known under
//! where its issuer's signature does not hold; an id the way of `blast-radius --revoke`. Both end
//! the same set. The exit code is 3 when something that should have ended did not, 4 when nobody
//! knows the token: then nothing was revoked, and that is said.

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::lookup::{self, Meant, Named, Narrow, Unknown};
use super::past::list;
use crate::client::{Client, segment};
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit, Failure};
use crate::render::{table, text};

/// Arguments of `revoke`.
#[derive(Args)]
#[command(after_help = "Examples:
  pass show leaked-token | ledgerline revoke --key-file responder.key -
  pbpaste | ledgerline revoke --key-file responder.key --dry-run -
  ledgerline revoke --dry-run eu-west-1:idp:jti:4f0c

With the token goes what descends from it and, for a refresh token, its grant and its family, as
with `blast-radius --revoke`. What is pasted may be a header, JSON, a curl line, quoted.
Exit codes: 0 revoked, 3 not all of it, 4 unknown token: nothing was revoked.")]
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
    #[arg(long)]
    ledger_only: bool,
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
    let client = context.client(args.client.clone())?;
    if args.token != "-" {
        let meant = lookup::of_argument(&client, &args.token, &args.narrow, None)?;
        let Meant::Token(named) = meant else { return Err(Failure::usage("no token")) };
        return by_id(context, &client, args, &named);
    }
    let readings = lookup::read_paste()?;
    match lookup::of_paste(&client, &readings, &args.narrow, None) {
        Ok(Meant::Token(named)) if args.narrow.is_narrow() => by_id(context, &client, args, &named),
        Ok(Meant::Token(named)) => {
            let token = named.token.as_deref().unwrap_or_default();
            let answer = by_value(&client, args, token)?;
            if answer["status"] == "unknown" {
                let why = "its issuer's signature could not be checked: it is revoked under the id \
                           that it is known by";
                lookup::tell(&[why.to_owned()]);
                return by_id(context, &client, args, &named);
            }
            finish(context, &answer, args.dry_run)
        }
        Ok(Meant::Unknown(unknown)) => {
            // Its issuer's signature may still name it.
            match unknown.token.as_deref().filter(|_| !args.narrow.is_narrow()) {
                Some(token) => {
                    let answer = by_value(&client, args, token)?;
                    or_unknown(context, &answer, &unknown, args.dry_run)
                }
                None => lookup::unknown(context, &unknown, NOTHING),
            }
        }
        // A client ends its own tokens, and is told nothing.
        Err(failure) if lookup::may_not_look(&failure) => {
            let token = lookup::only(&readings[0])?;
            lookup::tell(&readings[0].notes);
            let answer = by_value(&client, args, token)?;
            or_unknown(context, &answer, &Unknown::default(), args.dry_run)
        }
        Err(failure) => Err(failure),
    }
}

fn or_unknown(
    context: &mut Context,
    answer: &Value,
    unknown: &Unknown,
    dry_run: bool,
) -> CommandResult {
    match answer["status"] == "unknown" {
        true => lookup::unknown(context, unknown, NOTHING),
        false => finish(context, answer, dry_run),
    }
}

/// By the token itself (RFC 7009).
fn by_value(client: &Client, args: &RevokeArgs, token: &str) -> Result<Value, Failure> {
    let dry_run = if args.dry_run { "true" } else { "" };
    let tell = if args.ledger_only { "false" } else { "" };
    let with = if args.descendants_only { "descendants" } else { "" };
    let form = [("token", token), ("dry_run", dry_run), ("tell_issuer", tell), ("with", with)];
    Ok(client.post_form("/oauth2/revoke", &form)?)
}

/// By the ids under which it is known.
fn by_id(
    context: &mut Context,
    client: &Client,
    args: &RevokeArgs,
    named: &Named,
) -> CommandResult {
    let mut exit = Exit::Ok;
    for id in [&named.id].into_iter().chain(&named.others) {
        let path = format!("/v1/tokens/{}/blast-radius", segment(id));
        let with = if args.descendants_only { "descendants" } else { "grant" };
        let body = json!({ "reason": "admin", "dry_run": args.dry_run, "with": with });
        let answer = match client.post_json(&path, &body) {
            Err(error) if lookup::is_unknown(&error) => {
                return lookup::unknown_id(context, id, NOTHING);
            }
            other => other?,
        };
        if finish(context, &answer, args.dry_run)? == Exit::Incomplete {
            exit = Exit::Incomplete;
        }
    }
    Ok(exit)
}

/// Shows what was revoked; the exit code says whether that is all of it.
///
/// # Errors
/// When standard output is closed.
pub fn finish(context: &mut Context, answer: &Value, dry_run: bool) -> CommandResult {
    context.screen.show(answer, shown)?;
    let cut = answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty());
    let wanted = answer["to_revoke"].as_array().map_or(0, Vec::len) as u64;
    let all = dry_run || answer.is_null() || answer["revoked"].as_u64() == Some(wanted);
    Ok(if all && !cut { Exit::Ok } else { Exit::Incomplete })
}

fn shown(answer: &Value) -> String {
    if answer.is_null() {
        return "accepted; a client is not told whether there was such a token (RFC 7009)"
            .to_owned();
    }
    let dry_run = answer["dry_run"] == true;
    let planned = answer["to_revoke"].as_array().map_or(0, Vec::len).to_string();
    let (word, count) = match dry_run {
        true => ("would revoke", planned),
        false => ("revoked", text(answer, "/revoked")),
    };
    let mut out = issuer_line(answer, dry_run);
    let (family, issuer) = (text(answer, "/family"), text(answer, "/issuer"));
    out.push_str(&format!("{word} {count} of {family} tokens; issuer: {issuer}\n"));
    if answer["with"] == "descendants" {
        out.push_str("the grant and the family of the token were left alone\n");
    }
    let columns = ["/token_id", "/why", "/before", "/after"];
    let row = |one: &Value| columns.map(|pointer| text(one, pointer)).to_vec();
    let mut rows: Vec<Vec<String>> = list(answer, "set").map(row).collect();
    let mut head = vec!["TOKEN", "WHY", "BEFORE", "AFTER"];
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
    if answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty()) {
        let cut = text(answer, "/cut_by");
        out.push_str(&format!("INCOMPLETE: cut by {cut}; more may go with it: repeat it\n"));
    }
    out
}

/// The line that matters most: where the token still works.
fn issuer_line(answer: &Value, dry_run: bool) -> String {
    let word = text(answer, "/issuer");
    match &*word {
        _ if dry_run => "DRY RUN: nothing is revoked, and the issuer is not told\n".to_owned(),
        "confirmed" => "issuer told: it confirmed that the token is revoked\n".to_owned(),
        "failed" => format!(
            "ISSUER NOT TOLD: it was asked and did not confirm ({}). The tokens still work at the \
             issuer and\nwherever this ledger is not asked: revoke them there too.\n",
            text(answer, "/issuer_why")
        ),
        _ => "ISSUER NOT TOLD: the tokens still work at their issuer and wherever this ledger is \
              not asked.\nRevoke them there too; for how the ledger can do it see \
              docs/operating.md, \"Issuers\".\n"
            .to_owned(),
    }
}
