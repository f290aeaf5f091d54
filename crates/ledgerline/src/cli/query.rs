//! `query`: the other questions about the past, one subcommand each.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Context;
use super::past::{Ask, Moment, TOKENS, list, rows, text, word};
use super::token_id::{Naming, of_argument};
use super::triage::{self, TriageArgs};
use crate::client::segment;
use crate::exit::{CommandResult, Failure};
use crate::render::what;
use crate::uuid_text;

/// Arguments of `query`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline query resources eu-west-1:idp:jti:4f0c
  ledgerline query accessed /v1/reports --from 2026-11-22T08:00:00Z --until 2026-11-22T09:00:00Z
  ledgerline query policy-changes 6f1e2c0d9a4b4c1e8f00112233445566 --hours 24
  ledgerline query policies eu-west-1:idp:jti:4f0c
  ledgerline query tokens --client web
  ledgerline query after-revoke eu-west-1:idp:jti:4f0c
  ledgerline query after-revoke --from 2026-11-22T00:00:00Z --until 2026-11-23T00:00:00Z
  ledgerline query triage --issuer idp leaked-tokens.txt")]
pub struct QueryArgs {
    #[command(subcommand)]
    query: Query,
}

/// A token, and whose events with it.
#[derive(Args)]
struct OfToken {
    #[command(flatten)]
    naming: Naming,
    /// Whose events: the token's own, those of its descendants too, or of its grant.
    #[arg(long, value_parser = ["token", "descendants", "grant"])]
    of: Option<String>,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

#[derive(Subcommand)]
enum Query {
    /// Which resources did a token access between two points of its life?
    Resources {
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        token: OfToken,
        /// birth, last-refresh, first-use, last-use, or a time.
        #[arg(long, default_value = "last-refresh")]
        from: String,
        /// revocation, expiry, last-use, end, or a time.
        #[arg(long, default_value = "revocation")]
        until: String,
    },
    /// Which policy changes affected tokens issued to a person lately?
    PolicyChanges {
        #[command(flatten)]
        moment: Moment,
        /// The person's handle.
        subject: String,
        /// Tokens issued in so many hours.
        #[arg(long, default_value_t = 24)]
        hours: u32,
        /// Tokens issued from this time on, instead.
        #[arg(long)]
        from: Option<String>,
        /// Tokens issued before this time, instead of now.
        #[arg(long)]
        until: Option<String>,
    },
    /// Which tokens accessed a resource between two times?
    Accessed {
        #[command(flatten)]
        moment: Moment,
        /// The resource's template, declared-safe id or handle.
        resource: String,
        /// From this time on (RFC 3339, UTC).
        #[arg(long)]
        from: Option<String>,
        /// Before this time.
        #[arg(long)]
        until: Option<String>,
    },
    /// Which policies were in force when a token was issued?
    Policies {
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        token: OfToken,
    },
    /// Which versions has a policy had?
    PolicyVersions {
        #[command(flatten)]
        moment: Moment,
        /// The policy's id.
        policy: String,
    },
    /// Which tokens does somebody hold?
    Tokens {
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        holder: Holder,
    },
    /// Which event was the first from another key, address, device or client?
    Divergence {
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        token: OfToken,
    },
    /// Which services and audiences was a token shown to?
    Exposure {
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        token: OfToken,
    },
    /// Who still let a token in after it was revoked, and for how long?
    AfterRevoke {
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        naming: Naming,
        /// Of all tokens revoked from this time on (RFC 3339, UTC).
        #[arg(long, requires = "until", conflicts_with = "token")]
        from: Option<String>,
        /// And before this time.
        #[arg(long, requires = "from")]
        until: Option<String>,
        /// Tokens to look at most.
        #[arg(long, requires = "from")]
        tokens: Option<u32>,
        /// Token id, or `-` to read the token itself from standard input.
        #[arg(value_name = "TOKEN", required_unless_present = "from")]
        token: Option<String>,
    },
    /// Which of thousands of leaked tokens are known, whose they are, and what is alive?
    Triage(TriageArgs),
    /// Why did an event happen?
    Why {
        #[command(flatten)]
        moment: Moment,
        /// SOURCE/EVENT-ID.
        event: String,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Holder {
    /// A person's handle.
    #[arg(long)]
    subject: Option<String>,
    /// A client.
    #[arg(long)]
    client: Option<String>,
    /// A session.
    #[arg(long)]
    session: Option<String>,
    /// A grant.
    #[arg(long)]
    grant: Option<String>,
}

/// Asks.
///
/// # Errors
/// Usage for a raw token; an error when the ledger knows no such thing.
pub fn run(context: &mut Context, args: QueryArgs) -> CommandResult {
    match args.query {
        Query::Resources { moment, token, from, until } => {
            let ask = of_token(&token, "resources")?
                .with("from", Some(from))
                .with("until", Some(until))
                .with("limit", Some(1000));
            moment.show(context, ask, Some("accesses"), accesses)
        }
        Query::PolicyChanges { moment, subject, hours, from, until } => {
            let path = format!("/v1/subjects/{}/policy-changes", word(&subject)?);
            let hours = from.is_none().then_some(hours);
            let ask = Ask::new(path).with("hours", hours).with("from", from).with("until", until);
            moment.show(context, ask, None, policy_changes)
        }
        Query::Accessed { moment, resource, from, until } => {
            let ask = Ask::new(format!("/v1/resources/{}/tokens", word(&resource)?))
                .with("from", from)
                .with("until", until)
                .with("limit", Some(1000));
            moment.show(context, ask, Some("tokens"), visitors)
        }
        Query::Policies { moment, token } => {
            moment.show(context, of_token(&token, "policies")?, None, policies)
        }
        Query::PolicyVersions { moment, policy } => {
            let ask = Ask::new(format!("/v1/policies/{}/versions", word(&policy)?));
            moment.show(context, ask, None, |answer| rows(answer, "versions", VERSIONS))
        }
        Query::Tokens { moment, holder } => {
            let ask = Ask::new(holder.path()?).with("limit", Some(1000));
            moment.show(context, ask, Some("tokens"), |answer| rows(answer, "tokens", TOKENS))
        }
        Query::Divergence { moment, token } => {
            moment.show(context, of_token(&token, "divergence")?, None, divergences)
        }
        Query::Exposure { moment, token } => {
            moment.show(context, of_token(&token, "exposure")?, None, exposure)
        }
        Query::AfterRevoke { moment, naming, from, until, tokens, token } => {
            let ask = match token {
                Some(token) => {
                    let id = of_argument(&token, &naming)?;
                    Ask::new(format!("/v1/tokens/{}/after-revoke", segment(&id)))
                }
                None => Ask::new("/v1/after-revoke".to_owned()),
            };
            let ask = ask.with("from", from).with("until", until).with("tokens", tokens);
            moment.show(context, ask, None, after_revoke)
        }
        Query::Triage(args) => triage::run(context, &args),
        Query::Why { moment, event } => {
            let (source, id) = event
                .split_once('/')
                .filter(|(_, id)| uuid_text::parse(id).is_some())
                .ok_or_else(|| Failure::usage("an event is SOURCE/EVENT-ID"))?;
            let ask = Ask::new(format!("/v1/events/{}/{id}/why", segment(source)));
            moment.show(context, ask, None, why)
        }
    }
}

fn of_token(token: &OfToken, end: &str) -> Result<Ask, Failure> {
    let id = of_argument(&token.token, &token.naming)?;
    let ask = Ask::new(format!("/v1/tokens/{}/{end}", segment(&id)));
    Ok(ask.with("of", token.of.as_ref()))
}

impl Holder {
    fn path(&self) -> Result<String, Failure> {
        let kinds = [
            ("subjects", &self.subject),
            ("clients", &self.client),
            ("sessions", &self.session),
            ("grants", &self.grant),
        ];
        let named = kinds.into_iter().find_map(|(kind, id)| Some((kind, id.as_ref()?)));
        let (kind, id) = named.ok_or_else(|| Failure::usage("name a holder"))?;
        Ok(format!("/v1/{kind}/{}/tokens", word(id)?))
    }
}

const VERSIONS: &[(&str, &str)] = &[
    ("POLICY", "/policy"),
    ("VERSION", "/version"),
    ("FROM", "/effective_from"),
    ("UNTIL", "/effective_until"),
    ("SERVICE", "/service"),
    ("CHANGE", "/change_ref"),
    ("DIGEST", "/digest"),
    ("PROOF", "/proof_state"),
];

fn accesses(answer: &Value) -> String {
    let columns = [
        ("OCCURRED", "/occurred_at"),
        ("OUTCOME", "/outcome"),
        ("SERVICE", "/service"),
        ("ACTION", "/action"),
        ("RESOURCE", "/resource"),
        ("HANDLE", "/resource_handle"),
        ("TOKEN", "/token_id"),
        ("PROOF", "/proof_state"),
    ];
    let (from, until) = (text(answer, "/from"), text(answer, "/until"));
    format!("from {from} until {until}\n\n{}", rows(answer, "accesses", &columns))
}

fn policy_changes(answer: &Value) -> String {
    let mut out = String::new();
    for change in list(answer, "changes") {
        let (policy, version) = (text(change, "/policy"), text(change, "/version"));
        let from = text(change, "/effective_from");
        out.push_str(&format!("{policy}@{version} in force from {from}\n"));
        for token in list(change, "tokens") {
            let (id, strength) = (text(token, "/token_id"), text(token, "/strength"));
            out.push_str(&format!("  {id} ({strength}: {})\n", text(token, "/why")));
        }
    }
    if out.is_empty() { "no policy change affected them\n".to_owned() } else { out }
}

fn visitors(answer: &Value) -> String {
    let columns = [
        ("TOKEN", "/token_id"),
        ("ALLOWED", "/allowed"),
        ("DENIED", "/denied"),
        ("FIRST", "/accesses/0/occurred_at"),
        ("STATE", "/happened/state"),
        ("CLIENT", "/client_id"),
        ("SUBJECT", "/subject"),
        ("PROOF", "/proof_state"),
    ];
    rows(answer, "tokens", &columns)
}

fn policies(answer: &Value) -> String {
    let named = [
        ("NAMED", "/policy"),
        ("VERSION", "/version"),
        ("ROLE", "/role"),
        ("WAS IN FORCE", "/in_force"),
    ];
    let privileges = [
        ("POLICY", "/policy"),
        ("VERSION", "/version"),
        ("SCOPES ARE", "/evaluation"),
        ("BEYOND", "/beyond"),
        ("WHY", "/why"),
    ];
    format!(
        "issued {}\n\n{}\n{}\n{}",
        text(answer, "/issued_at"),
        rows(answer, "named", &named),
        rows(answer, "in_force", VERSIONS),
        rows(answer, "privileges", &privileges),
    )
}

fn after_revoke(answer: &Value) -> String {
    let columns = [
        ("SERVICE", "/service"),
        ("SEEN FROM", "/vantage"),
        ("SOURCE", "/source"),
        ("TOKENS", "/tokens"),
        ("ALLOWED", "/allowed"),
        ("REFUSED", "/refused"),
        ("LAST ALLOW", "/last_allow/occurred_at"),
        ("TOKEN", "/last_allow/token_id"),
        ("GAP MS", "/gap_ms"),
        ("P50 MS", "/p50_ms"),
        ("P99 MS", "/p99_ms"),
        ("PROOF", "/last_allow/proof_state"),
    ];
    format!(
        "{} revoked; propagation p50 {} ms, p99 {} ms over {} gaps\n\n{}",
        text(answer, "/revoked"),
        text(answer, "/p50_ms"),
        text(answer, "/p99_ms"),
        text(answer, "/gaps"),
        rows(answer, "places", &columns),
    )
}

fn divergences(answer: &Value) -> String {
    let columns = [
        ("WHAT", "/what"),
        ("OCCURRED", "/occurred_at"),
        ("WAS", "/before"),
        ("IS", "/after"),
        ("INDEX", "/index"),
        ("TOKEN", "/token_id"),
        ("PROOF", "/proof_state"),
    ];
    rows(answer, "divergences", &columns)
}

fn exposure(answer: &Value) -> String {
    let columns = [
        ("SERVICE", "/service"),
        ("SEEN FROM", "/vantage"),
        ("SOURCE", "/source"),
        ("EVENTS", "/events"),
        ("ALLOWED", "/allowed"),
        ("FIRST", "/first"),
        ("LAST", "/last"),
    ];
    format!(
        "audiences  {}\nclients    {}\n\n{}",
        text(answer, "/audiences"),
        text(answer, "/clients"),
        rows(answer, "places", &columns),
    )
}

fn why(answer: &Value) -> String {
    let line = |event: &Value| {
        let statement = event.get("statement").unwrap_or(&Value::Null);
        format!(
            "{} {} {} {}",
            text(statement, "/occurred_at"),
            text(statement, "/type"),
            text(statement, "/target/id"),
            what(statement)
        )
    };
    let mut out = format!("{}\n", line(&answer["event"]));
    for cause in list(answer, "causes") {
        let depth = usize::try_from(cause["depth"].as_u64().unwrap_or(1)).unwrap_or(1).min(64);
        let (relation, strength) = (text(cause, "/relation"), text(cause, "/strength"));
        let of = match cause.get("event") {
            Some(event) => line(event),
            None if cause.get("token_id").is_some() => text(cause, "/token_id"),
            None => {
                format!("an event that is not recorded: {}", text(cause, "/event_ref/event_id"))
            }
        };
        out.push_str(&format!("{}{relation} ({strength}) {of}\n", "  ".repeat(depth)));
    }
    out
}
