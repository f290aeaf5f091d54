//! `introspect`: whether a token may be used now.
//!
//! ```text
//! role resource_server        asked as a resource server asks (RFC 7662); recorded as a use
//! reader, auditor, responder  where the token stands; nothing is recorded
//! ```
//!
//! Promises: an unknown token is UNKNOWN, exit code 4, for keys that may know the difference. RFC
//! 7662 has one answer for unknown and for inactive; a key that gets no other is told so, exit code
//! 3.

use clap::Args;
use ledgerline_api::oauth::{IntrospectForm, Introspection};
use ledgerline_api::token::{Birth, Status};
use ledgerline_api::triage::TriagedToken;
use ledgerline_api::values::{Time, Word};
use ledgerline_client::{Answered, Client, ClientError};
use ledgerline_pasted::paste::in_the_history;
use ledgerline_pasted::{self as pasted, Paste, Reading};
use ledgerline_proof::vocabulary::TokenKind;
use serde::Serialize;
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::ClientSettings;
use crate::Context;
use crate::document::{self, add};
use crate::lookup::several::Marks;
use crate::lookup::{self, Meant, Named, Narrow, Unknown};
use crate::own_times::OwnTimes;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::facts;

/// Arguments of `introspect`.
#[derive(Args)]
#[command(after_help = "Examples:
  pass show some-token | ledgerline introspect --key-file resource-server.key -
  pbpaste | ledgerline introspect --key-file responder.key -

What is pasted may be a header, JSON, a curl line, quoted: the token is taken out of it.
Exit codes: 0 known, 3 inactive or unknown (this key may not ask which), 4 unknown.")]
pub struct IntrospectArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    narrow: Narrow,
    /// `-`: the token is read from standard input only.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Asks, and shows what the server says.
///
/// # Errors
/// Usage for a token as an argument; whatever the server says.
pub fn run(context: &mut Context, args: IntrospectArgs) -> CommandResult {
    if args.token != "-" {
        return Err(match ledgerline_proof::token_id::TokenId::parse(&args.token) {
            Ok(_) => Failure::usage("an id says nothing here; `ledgerline trace` shows its state"),
            Err(_) => in_the_history(),
        });
    }
    let paste = pasted::read_paste()?;
    let client = context.client(args.client)?;
    match lookup::of_paste(&client, &paste, &args.narrow, None) {
        Ok(Meant::Token(named)) => known(context, &client, &named),
        Ok(Meant::Unknown(unknown)) => verified_only(context, &client, &unknown),
        Err(failure) if lookup::may_not_look(&failure) => as_server(context, &client, &paste),
        Err(failure) => Err(failure),
    }
}

/// Asks as a resource server; whether the token is active.
fn ask(client: &Client, token: &str) -> Result<(Answered, bool), ClientError> {
    let form = IntrospectForm { token: token.into(), token_type_hint: None };
    let answer = client.post_form("/oauth2/introspect", &form)?;
    let active = answer.form::<Introspection<'_>>()?.active;
    Ok((answer, active))
}

/// Whether a key is none of a resource server.
fn is_refused(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 401 | 403, .. })
}

/// Where a token stands, of which introspection was not asked.
#[skip_serializing_none]
#[derive(Serialize)]
struct Stands<'a> {
    signature: Option<&'static str>,
    active: Option<bool>,
    differs: Option<bool>,
    client_id: Option<&'a str>,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
    token_kind: Option<Word<TokenKind>>,
}

impl<'a> Stands<'a> {
    fn new(found: &'a TriagedToken<'_>, is_signed: bool) -> Self {
        Self {
            signature: is_signed.then_some("not_verified"),
            active: found.alive,
            differs: found.differs.filter(|differs| *differs),
            client_id: found.client_id.as_deref(),
            expires_at: found.expires_at,
            last_used_at: found.last_used_at,
            token_kind: found.token_kind,
        }
    }
}

/// What the ledger knows besides.
#[skip_serializing_none]
#[derive(Default, Serialize)]
struct Added<'a> {
    status: &'static str,
    token_id: Option<&'a str>,
    state: Option<Status>,
    birth: Option<Birth>,
    note: Option<&'static str>,
    #[serde(flatten)]
    own: OwnTimes,
    #[serde(flatten)]
    marks: Option<Marks>,
}

/// Of a token that the ledger knows: what introspection says if the key may introspect, and where
/// the token stands.
fn known(context: &mut Context, client: &Client, named: &Named) -> CommandResult {
    let Some(found) = &named.found else { return Err(Failure::usage("no token")) };
    let introspected = named.token.as_deref().map(|token| ask(client, token)).transpose();
    let is_signed = named.token.as_deref().is_some_and(pasted::is_signed);
    let (mut document, active) = match introspected {
        Ok(Some((answer, active))) => (answer.raw, Some(active)),
        Ok(None) => (document::of(&Stands::new(found, is_signed)), found.alive),
        Err(error) if is_refused(&error) => {
            let why = "this is what the ledger knows; the token's signature was not checked (role \
                       resource_server), and no use was recorded";
            pasted::tell(&[why.to_owned()]);
            (document::of(&Stands::new(found, is_signed)), found.alive)
        }
        Err(error) => return Err(error.into()),
    };
    // An active one was judged by its issuer's signature, or by all its records.
    let is_told = active == Some(true);
    if is_told {
        named.warn_of_times(context)?;
    } else {
        named.warn(context)?;
    }
    let birth = found.birth.filter(|birth| *birth == Birth::Unknown);
    let note = birth.map(|_| "never issued here: only other acts are recorded");
    let added = Added {
        status: KNOWN,
        token_id: Some(&named.id),
        state: found.state,
        birth,
        note,
        own: named.own_times(),
        marks: (!is_told).then(|| named.marks()),
    };
    add(&mut document, &added);
    context.screen.show(&document, shown)?;
    Ok(if is_told { Exit::Ok } else { named.exit(Exit::Ok) })
}

const KNOWN: &str = "known";

/// Shows what introspection said of a token that is active.
fn active(context: &mut Context, mut answer: Answered) -> CommandResult {
    add(&mut answer.raw, &Added { status: KNOWN, ..Added::default() });
    context.screen.show(&answer.raw, shown)?;
    Ok(Exit::Ok)
}

/// Of one that is not found by its digest: its issuer's signature may still name it.
fn verified_only(context: &mut Context, client: &Client, unknown: &Unknown) -> CommandResult {
    match unknown.token.as_deref().map(|token| ask(client, token)) {
        Some(Ok((answer, true))) => active(context, answer),
        Some(Err(error)) if !is_refused(&error) => Err(error.into()),
        _ => lookup::unknown(context, unknown, "whether this token may be used is not known here"),
    }
}

/// For a key that may only introspect.
fn as_server(context: &mut Context, client: &Client, paste: &Paste) -> CommandResult {
    for token in paste.tries()? {
        let (answer, is_active) = ask(client, token)?;
        if is_active {
            let of = |one: &&Reading| one.tokens.iter().any(|one| one == token);
            pasted::tell(paste.readings.iter().find(of).map_or(&[], |reading| &reading.notes));
            return active(context, answer);
        }
    }
    pasted::tell(&paste.readings[0].notes);
    let mut document = document::of(&Introspection { active: false, ..Introspection::default() });
    add(&mut document, &Added { status: "inactive or unknown", ..Added::default() });
    context.screen.show(&document, |answer| {
        format!(
            "{}INACTIVE OR UNKNOWN: to a resource server the two are one answer (RFC 7662). A key \
             with the role\nreader, auditor or responder is told which.\n",
            shown(answer)
        )
    })?;
    Ok(Exit::Incomplete)
}

/// All that it has, the records aside, which stand on top.
fn shown(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let members = answer.as_object().into_iter().flatten();
    let members = members.filter(|(name, value)| !value.is_null() && *name != "records");
    let members: Vec<(&str, String)> =
        members.map(|(name, value)| (name.as_str(), text(value))).collect();
    facts(&members)
}
