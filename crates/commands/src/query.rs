//! `query`: the other questions about the past, one subcommand each.

use clap::{Args, Subcommand};
use ledgerline_api::uuid_text;
use ledgerline_client::segment;
use serde_json::Value;

use crate::Context;
use crate::lookup::Narrow;
use crate::progress::Wait;
use crate::question::{About, Ask, Moment, TOKENS, list, rows, text, word};
use crate::triage::{self, TriageArgs};
use ledgerline_terminal::exit::{CommandResult, Failure};
use ledgerline_terminal::render::what;

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
  pass show leaked-token | ledgerline query resources --of descendants --from birth --until end -
  ledgerline query triage leaked-tokens.txt")]
pub struct QueryArgs {
    #[command(subcommand)]
    query: Query,
}

/// A token, and whose events with it.
#[derive(Args)]
struct OfToken {
    #[command(flatten)]
    narrow: Narrow,
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
        /// From this time on (RFC 3339).
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
        narrow: Narrow,
        /// Of all tokens revoked from this time on (RFC 3339).
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
        #[command(flatten)]
        wait: Wait,
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
            let more = |ask: Ask| {
                ask.with("from", Some(&from)).with("until", Some(&until)).with("limit", Some(1000))
            };
            of_token(context, moment, &token, "resources", more, Some("accesses"), accesses)
        }
        Query::PolicyChanges { moment, subject, hours, from, until } => {
            let path = format!("/v1/subjects/{}/policy-changes", word(&subject)?);
            let hours = from.is_none().then_some(hours);
            let ask = Ask::new(path).with("hours", hours).with("from", from).with("until", until);
            moment.show(context, ask, None, policy_changes)
        }
        Query::Accessed { moment, resource, from, until } => {
            let is_ranged = from.is_some() || until.is_some();
            let ask = Ask::new(format!("/v1/resources/{}/tokens", word(&resource)?))
                .by_name((!is_ranged).then_some("resource"))
                .with("from", from)
                .with("until", until)
                .with("limit", Some(1000));
            moment.show(context, ask, Some("tokens"), visitors)
        }
        Query::Policies { moment, token } => {
            of_token(context, moment, &token, "policies", |ask| ask, None, policies)
        }
        Query::PolicyVersions { moment, policy } => {
            let ask = Ask::new(format!("/v1/policies/{}/versions", word(&policy)?));
            moment.show(context, ask, None, |answer| rows(answer, "versions", VERSIONS))
        }
        Query::Tokens { moment, holder } => {
            let ask = Ask::new(holder.path()?).with("limit", Some(1000));
            let ask = ask.by_name(Some("holder"));
            moment.show(context, ask, Some("tokens"), |answer| rows(answer, "tokens", TOKENS))
        }
        Query::Divergence { moment, token } => {
            of_token(context, moment, &token, "divergence", |ask| ask, None, divergences)
        }
        Query::Exposure { moment, token } => {
            of_token(context, moment, &token, "exposure", |ask| ask, None, exposure)
        }
        Query::AfterRevoke { moment, narrow, from, until, tokens, token } => {
            let more = |ask: Ask| {
                ask.with("from", from.as_ref()).with("until", until.as_ref()).with("tokens", tokens)
            };
            if let Some(token) = token {
                let about = About { token: &token, narrow: &narrow, what: "after-revoke" };
                return moment.about(context, about, more, None, after_revoke);
            }
            let ask = more(Ask::new("/v1/after-revoke".to_owned()));
            moment.show(context, ask, None, after_revoke)
        }
        Query::Triage(args) => triage::run(context, &args),
        Query::Why { mut moment, wait, event } => {
            let (source, id) = event
                .split_once('/')
                .filter(|(_, id)| uuid_text::parse(id).is_some())
                .ok_or_else(|| Failure::usage("an event is SOURCE/EVENT-ID"))?;
            let ask = Ask::new(format!("/v1/events/{}/{id}/why", segment(source)));
            let ask = ask.with("wait", wait.seconds());
            moment.client = wait.patient(moment.client);
            moment.show(context, ask, None, why)
        }
    }
}

fn of_token(
    context: &mut Context,
    moment: Moment,
    token: &OfToken,
    what: &str,
    more: impl Fn(Ask) -> Ask,
    list: Option<&str>,
    lines: impl Fn(&Value) -> String,
) -> CommandResult {
    let of = token.of.as_ref();
    let more = |ask: Ask| more(ask).with("of", of);
    let about = About { token: &token.token, narrow: &token.narrow, what };
    moment.about(context, about, more, list, lines)
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
    let number = |name: &str| answer["not_shown"][name].as_u64().unwrap_or(0);
    let (outside, descendants) = (number("outside"), number("descendants"));
    let few = if answer["not_shown"]["whole"] == false { "at least " } else { "" };
    let mut out = format!("from {from} until {until}\n\n");
    if list(answer, "accesses").next().is_none() && (outside, descendants) != (0, 0) {
        out.push_str("none of the token itself in this range\n");
    } else {
        out.push_str(&rows(answer, "accesses", &columns));
    }
    if descendants > 0 {
        let tokens = number("descendant_tokens");
        out.push_str(&format!(
            "NOT SHOWN: {few}{descendants} accesses by {tokens} tokens that came of it; ask with \
             --of descendants --from birth --until end\n"
        ));
    } else if !few.is_empty() {
        out.push_str("NOT SHOWN: what came of it, which was too much to be counted\n");
    }
    if outside > 0 {
        out.push_str(&format!(
            "NOT SHOWN: {outside} of its own outside this range; ask with --from birth --until \
             end\n"
        ));
    }
    out
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
