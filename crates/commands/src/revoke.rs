//! `revoke`: ends a token and everything that goes with it.
//!
//! Promises: a token on standard input goes the way of RFC 7009, and by the id it is known under
//! where its issuer's signature does not hold; an id the way of `blast-radius --revoke`. Both end
//! the same set, and tell the token's issuer when the token itself is at hand. The exit code is 3
//! when something that should have ended did not, or when an issuer that could have been told was
//! not; 4 when nobody knows the token: then nothing was revoked, and that is said.

use clap::Args;
use ledgerline_api::answer::Cut;
use ledgerline_api::oauth::RevokeForm;
use ledgerline_api::revoke::{IssuersTold, RevokeFamily, Revoked, SetMember, With};
use ledgerline_api::triage::Knowledge;
use ledgerline_client::{Answered, Client, ClientError, segment};
use ledgerline_pasted as pasted;

use crate::ClientSettings;
use crate::Context;
use crate::lookup::{self, Meant, Named, Narrow, Past, Unknown};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, printable, table};

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
            if is_unknown(&answer)? {
                let why = "its issuer's signature could not be checked: it is revoked under the id \
                           that it is known by";
                pasted::tell(&[why.to_owned()]);
                return by_id(context, &client, args, &named);
            }
            Ok(finish(context, &answer, args.how())?.exit)
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

/// What was revoked; null for a client, which is told nothing.
fn form(answer: &Answered) -> Result<Option<Revoked>, ClientError> {
    answer.form()
}

/// Whether the ledger does not know the token.
fn is_unknown(answer: &Answered) -> Result<bool, ClientError> {
    Ok(form(answer)?.is_some_and(|revoked| revoked.status == Knowledge::Unknown))
}

fn or_unknown(
    context: &mut Context,
    answer: &Answered,
    unknown: &Unknown,
    args: &RevokeArgs,
) -> CommandResult {
    match form(answer)?.filter(|revoked| revoked.status == Knowledge::Unknown) {
        // The ledger knows nothing of it; its issuer may.
        Some(revoked) if revoked.told.of > 0 => {
            context.screen.show(&answer.raw, |_| {
                let line = issuer_line(&revoked, args.how());
                format!("UNKNOWN: {NOTHING} in the ledger, which knows nothing of it\n{line}")
            })?;
            Ok(Exit::Unknown)
        }
        Some(_) => lookup::unknown(context, unknown, NOTHING),
        None => Ok(finish(context, answer, args.how())?.exit),
    }
}

/// By the token itself (RFC 7009).
fn by_value(client: &Client, args: &RevokeArgs, token: &str) -> Result<Answered, Failure> {
    let form = RevokeForm {
        token: token.into(),
        token_type_hint: None,
        dry_run: args.dry_run.then_some(true),
        tell_issuer: args.ledger_only.then_some(false),
        with: args.descendants_only.then(|| "descendants".into()),
        reason: Some((&*args.reason).into()),
    };
    Ok(client.post_form("/oauth2/revoke", &form)?)
}

/// What is asked for of a token by its id.
#[must_use]
pub fn family(
    how: How,
    descendants_only: bool,
    reason: &str,
    tenant: Option<&str>,
) -> RevokeFamily {
    let with = if descendants_only { With::Descendants } else { With::Grant };
    RevokeFamily {
        tenant: tenant.map(str::to_owned),
        reason: Some(reason.to_owned()),
        dry_run: how.dry_run,
        token: None,
        with: Some(cell(&with)),
        tell_issuer: Some(!how.ledger_only),
    }
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
    mut body: RevokeFamily,
    token: Option<&str>,
) -> Result<Answered, ClientError> {
    let path = format!("/v1/tokens/{}/blast-radius", segment(id));
    body.token = token.map(str::to_owned);
    match client.post_json(&path, &body) {
        // The ledger comes first: what it cannot match is ended by the id all the same.
        Err(ClientError::Refused { code, .. }) if code == "token_mismatch" => {
            let why = "the server cannot match the token with its id: it is revoked by the id";
            pasted::tell(&[why.to_owned()]);
            body.token = None;
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
        let body = family(args.how(), args.descendants_only, &args.reason, None);
        let answer = match post(client, id, body, named.token.as_deref()) {
            Err(error) if lookup::is_unknown(&error) => {
                return lookup::unknown_id(context, client, id, None, Past::default(), NOTHING);
            }
            other => other?,
        };
        if finish(context, &answer, args.how())?.exit == Exit::Incomplete {
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

/// What a revocation came to.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Whether that is all of it, and whether every issuer that could be told was.
    pub exit: Exit,
    /// The entry behind the last that says it, where anything was recorded.
    pub end: Option<u64>,
}

/// Shows what was revoked.
///
/// # Errors
/// When the answer is of another form, or standard output is closed.
pub fn finish(context: &mut Context, answer: &Answered, how: How) -> Result<Done, Failure> {
    let Some(revoked) = form(answer)? else {
        context.screen.show(&answer.raw, |_| {
            "accepted; a client is not told whether there was such a token (RFC 7009)".to_owned()
        })?;
        return Ok(Done { exit: Exit::Ok, end: None });
    };
    context.screen.show(&answer.raw, |_| shown(&revoked, how))?;
    let all = how.dry_run || is_all(&revoked);
    let told = how.dry_run || how.ledger_only || revoked.told.could_be_told == 0;
    let is_whole = all && revoked.cut_by.is_empty() && told;
    let exit = if is_whole { Exit::Ok } else { Exit::Incomplete };
    let last = revoked.events.iter().flatten().filter_map(|event| event.index).max();
    Ok(Done { exit, end: last.map(|last| last + 1) })
}

/// Whether everything that was to be revoked was.
fn is_all(answer: &Revoked) -> bool {
    answer.revoked == answer.to_revoke.len() as u64
}

fn shown(answer: &Revoked, how: How) -> String {
    let dry_run = answer.dry_run;
    let (planned, revoked) = (answer.to_revoke.len() as u64, answer.revoked);
    let (word, count) = match dry_run {
        true => ("would revoke", planned),
        false => ("revoked", revoked),
    };
    let mut out = issuer_line(answer, how);
    out.push_str(&format!("{word} {count} of {} tokens\n", answer.family));
    if answer.with == Some(With::Descendants) {
        out.push_str("the grant and the family of the token were left alone\n");
    }
    let after = |one: &SetMember| match dry_run {
        true if answer.to_revoke.contains(&one.token_id) => "REVOKED".to_owned(),
        true => cell(&one.before),
        false => cell(&one.after),
    };
    let row = |one: &SetMember| {
        vec![cell(&one.token_id), cell(&one.why), cell(&one.before), after(one), cell(&one.issuer)]
    };
    let rows: Vec<Vec<String>> = answer.set.iter().map(row).collect();
    let ends = if dry_run { "WOULD BE" } else { "AFTER" };
    out.push_str(&table(&["TOKEN", "WHY", "BEFORE", ends, "ISSUER"], &rows));
    for event in answer.events.iter().flatten() {
        if let Some(error) = &event.error {
            let (id, detail) = (cell(&event.token_id), cell(&error.detail));
            out.push_str(&format!("NOT REVOKED {id}: {detail}\n"));
        }
    }
    if !dry_run && !is_all(answer) {
        out.push_str(&format!("INCOMPLETE: revoked {count} of {planned}: repeat it\n"));
    }
    if !answer.cut_by.is_empty() {
        let cut = cell(&answer.cut_by);
        let what = match answer.cut_by.iter().all(|cut| *cut == Cut::Width) {
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
fn issuer_line(answer: &Revoked, how: How) -> String {
    let IssuersTold { of, told, not_told, could_be_told: could, ref why_not } = answer.told;
    let why: Vec<String> = why_not.iter().map(|one| printable(one)).collect();
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
        out.push_str("How the ledger can tell it is in docs/how-to/operate.md, \"Issuers\".\n");
    }
    out
}
