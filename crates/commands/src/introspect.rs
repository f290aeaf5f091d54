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
use ledgerline_client::{Client, ClientError};
use ledgerline_pasted::paste::in_the_history;
use ledgerline_pasted::{self as pasted, Paste, Reading};
use serde_json::{Value, json};

use crate::ClientSettings;
use crate::Context;
use crate::lookup::{self, Meant, Named, Narrow, Unknown};
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

fn ask(client: &Client, token: &str) -> Result<Value, ClientError> {
    client.post_form("/oauth2/introspect", &[("token", token)])
}

/// Whether a key is none of a resource server.
fn is_refused(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 401 | 403, .. })
}

/// Of a token that the ledger knows: what introspection says if the key may introspect, and where
/// the token stands.
fn known(context: &mut Context, client: &Client, named: &Named) -> CommandResult {
    let introspected = named.token.as_deref().map(|token| ask(client, token)).transpose();
    let mut answer = match introspected {
        Ok(answer) => answer.unwrap_or_else(|| json!({})),
        Err(error) if is_refused(&error) => {
            let why = "this is what the ledger knows; the token's signature was not checked (role \
                       resource_server), and no use was recorded";
            pasted::tell(&[why.to_owned()]);
            let found = &named.found;
            let signed = named.token.as_deref().is_some_and(pasted::is_signed);
            json!({
                "signature": signed.then_some("not_verified"),
                "active": found["alive"],
                "differs": found["differs"].as_bool().filter(|differs| *differs),
                "client_id": found["client_id"],
                "expires_at": found["expires_at"],
                "last_used_at": found["last_used_at"],
                "token_kind": found["token_kind"],
            })
        }
        Err(error) => return Err(error.into()),
    };
    answer["status"] = "known".into();
    answer["token_id"] = named.id.as_str().into();
    answer["state"] = named.found["state"].clone();
    if named.found["birth"] == "UNKNOWN" {
        answer["birth"] = "UNKNOWN".into();
        answer["note"] = "never issued here: only other acts are recorded".into();
    }
    // An active one was judged by its issuer's signature, or by all its records.
    let is_told = answer["active"] == true;
    if is_told {
        named.warn_of_times(context)?;
        named.mark_times(&mut answer);
    } else {
        named.warn(context)?;
        named.mark(&mut answer);
    }
    if let Some(members) = answer.as_object_mut() {
        members.retain(|name, value| {
            !value.is_null() && (name != "records" || context.screen.is_json())
        });
    }
    context.screen.show(&answer, shown)?;
    Ok(if is_told { Exit::Ok } else { named.exit(Exit::Ok) })
}

/// Of one that is not found by its digest: its issuer's signature may still name it.
fn verified_only(context: &mut Context, client: &Client, unknown: &Unknown) -> CommandResult {
    let answer = unknown.token.as_deref().map(|token| ask(client, token));
    match answer {
        Some(Ok(mut answer)) if answer["active"] == true => {
            answer["status"] = "known".into();
            context.screen.show(&answer, shown)?;
            Ok(Exit::Ok)
        }
        Some(Err(error)) if !is_refused(&error) => Err(error.into()),
        _ => lookup::unknown(context, unknown, "whether this token may be used is not known here"),
    }
}

/// For a key that may only introspect.
fn as_server(context: &mut Context, client: &Client, paste: &Paste) -> CommandResult {
    for token in paste.tries()? {
        let mut answer = ask(client, token)?;
        if answer["active"] == true {
            let of = |one: &&Reading| one.tokens.iter().any(|one| one == token);
            pasted::tell(paste.readings.iter().find(of).map_or(&[], |reading| &reading.notes));
            answer["status"] = "known".into();
            context.screen.show(&answer, shown)?;
            return Ok(Exit::Ok);
        }
    }
    pasted::tell(&paste.readings[0].notes);
    let answer = json!({ "active": false, "status": "inactive or unknown" });
    context.screen.show(&answer, |answer| {
        format!(
            "{}INACTIVE OR UNKNOWN: to a resource server the two are one answer (RFC 7662). A key \
             with the role\nreader, auditor or responder is told which.\n",
            shown(answer)
        )
    })?;
    Ok(Exit::Incomplete)
}

fn shown(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let members = answer.as_object().into_iter().flatten();
    let members: Vec<(&str, String)> =
        members.map(|(name, value)| (name.as_str(), text(value))).collect();
    facts(&members)
}
