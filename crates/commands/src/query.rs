//! `query`: the other questions about the past, one subcommand each.

use clap::{Args, Subcommand};
use ledgerline_api::answer::Answer;
use ledgerline_api::event::Event;
use ledgerline_api::question::{
    Accessed, AfterRevoke, Divergences, Exposure, IssuePolicies, NotShown, PolicyChanges,
    PolicyVersion, PolicyVersions, Resources, Tokens, Why,
};
use ledgerline_api::uuid_text;
use ledgerline_client::{Answered, ClientError, segment};

use crate::Context;
use crate::life::what;
use crate::lookup::Narrow;
use crate::progress::Wait;
use crate::question::{self, About, Ask, Moment, Said, read, word};
use crate::triage::{self, TriageArgs};
use ledgerline_terminal::exit::{CommandResult, Failure};
use ledgerline_terminal::render::{cell, cells, rows};

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

/// Arguments of `query after-revoke`.
#[derive(Args)]
struct AfterRevokeArgs {
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
    AfterRevoke(AfterRevokeArgs),
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
            of_token(context, moment, &token, "resources", more, Some("accesses"), |answer| {
                read(answer, accesses)
            })
        }
        Query::PolicyChanges { moment, subject, hours, from, until } => {
            let path = format!("/v1/subjects/{}/policy-changes", word(&subject)?);
            let hours = from.is_none().then_some(hours);
            let ask = Ask::new(path).with("hours", hours).with("from", from).with("until", until);
            moment.show(context, ask, None, |answer| read(answer, policy_changes))
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
        Query::Policies { moment, token } => of_token(
            context,
            moment,
            &token,
            "policies",
            |ask| ask,
            None,
            |one| read(one, policies),
        ),
        Query::PolicyVersions { moment, policy } => {
            let ask = Ask::new(format!("/v1/policies/{}/versions", word(&policy)?));
            moment.show(context, ask, None, |one| read(one, policy_versions))
        }
        Query::Tokens { moment, holder } => {
            let ask = Ask::new(holder.path()?).with("limit", Some(1000));
            let ask = ask.by_name(Some("holder"));
            moment.show(context, ask, Some("tokens"), tokens)
        }
        Query::Divergence { moment, token } => of_token(
            context,
            moment,
            &token,
            "divergence",
            |ask| ask,
            None,
            |one| read(one, divergences),
        ),
        Query::Exposure { moment, token } => of_token(
            context,
            moment,
            &token,
            "exposure",
            |ask| ask,
            None,
            |one| read(one, exposure),
        ),
        Query::AfterRevoke(args) => after_revocations(context, args),
        Query::Triage(args) => triage::run(context, &args),
        Query::Why { moment, wait, event } => causes_of(context, moment, wait, &event),
    }
}

fn after_revocations(context: &mut Context, args: AfterRevokeArgs) -> CommandResult {
    let AfterRevokeArgs { moment, narrow, from, until, tokens, token } = args;
    let more = |ask: Ask| {
        ask.with("from", from.as_ref()).with("until", until.as_ref()).with("tokens", tokens)
    };
    if let Some(token) = token {
        let about = About { token: &token, narrow: &narrow, what: "after-revoke" };
        return moment.about(context, about, more, None, |one| read(one, after_revoke));
    }
    let ask = more(Ask::new("/v1/after-revoke".to_owned()));
    moment.show(context, ask, None, |one| read(one, after_revoke))
}

fn causes_of(context: &mut Context, mut moment: Moment, wait: Wait, event: &str) -> CommandResult {
    let (source, id) = event
        .split_once('/')
        .filter(|(_, id)| uuid_text::parse(id).is_some())
        .ok_or_else(|| Failure::usage("an event is SOURCE/EVENT-ID"))?;
    let ask = Ask::new(format!("/v1/events/{}/{id}/why", segment(source)));
    let ask = ask.with("wait", wait.seconds());
    moment.client = wait.patient(moment.client);
    moment.show(context, ask, None, why)
}

fn of_token(
    context: &mut Context,
    moment: Moment,
    token: &OfToken,
    what: &str,
    more: impl Fn(Ask) -> Ask,
    list: Option<&str>,
    read: impl Fn(&Answered) -> Result<Said, ClientError>,
) -> CommandResult {
    let of = token.of.as_ref();
    let more = |ask: Ask| more(ask).with("of", of);
    let about = About { token: &token.token, narrow: &token.narrow, what };
    moment.about(context, about, more, list, read)
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

fn versions(name: &str, versions: &[PolicyVersion<'_>]) -> String {
    rows(
        name,
        versions,
        &[
            ("POLICY", |one| cell(&one.policy)),
            ("VERSION", |one| cell(&one.version)),
            ("FROM", |one| cell(&one.effective_from)),
            ("UNTIL", |one| cell(&one.effective_until)),
            ("SERVICE", |one| cell(&one.service)),
            ("CHANGE", |one| cell(&one.change_ref)),
            ("DIGEST", |one| cell(&one.digest)),
            ("PROOF", |one| cell(&one.proof_state)),
        ],
    )
}

fn policy_versions(answer: &Answer<'_, PolicyVersions<'_>>) -> String {
    versions("versions", &answer.body.versions)
}

fn tokens(answer: &Answered) -> Result<Said, ClientError> {
    let form: Answer<'_, Tokens<'_>> = answer.form()?;
    let tokens = &form.body.tokens;
    Ok(Said::of(&form, question::tokens(tokens)).listing(tokens.len()))
}

fn accesses(answer: &Answer<'_, Resources<'_>>) -> String {
    let Resources { from, until, accesses, not_shown, .. } = &answer.body;
    let nothing = NotShown { outside: 0, descendants: 0, descendant_tokens: 0, whole: true };
    let NotShown { outside, descendants, descendant_tokens, whole } = not_shown.unwrap_or(nothing);
    let few = if whole { "" } else { "at least " };
    let mut out = format!("from {} until {}\n\n", cell(from), cell(until));
    if accesses.is_empty() && (outside, descendants) != (0, 0) {
        out.push_str("none of the token itself in this range\n");
    } else {
        out.push_str(&rows(
            "accesses",
            accesses,
            &[
                ("OCCURRED", |one| cell(&one.occurred_at)),
                ("OUTCOME", |one| cell(&one.outcome)),
                ("SERVICE", |one| cell(&one.service)),
                ("ACTION", |one| cell(&one.action)),
                ("RESOURCE", |one| cell(&one.resource)),
                ("HANDLE", |one| cell(&one.resource_handle)),
                ("TOKEN", |one| cell(&one.token_id)),
                ("PROOF", |one| cell(&one.proof_state)),
            ],
        ));
    }
    if descendants > 0 {
        let tokens = descendant_tokens;
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

fn policy_changes(answer: &Answer<'_, PolicyChanges<'_>>) -> String {
    let mut out = String::new();
    for change in &answer.body.changes {
        let (policy, version) = (cell(&change.version.policy), cell(&change.version.version));
        let from = cell(&change.version.effective_from);
        out.push_str(&format!("{policy}@{version} in force from {from}\n"));
        for one in &change.tokens {
            let (id, strength) = (cell(&one.token.token_id), cell(&one.strength));
            out.push_str(&format!("  {id} ({strength}: {})\n", cell(&one.why)));
        }
    }
    if out.is_empty() { "no policy change affected them\n".to_owned() } else { out }
}

fn visitors(answer: &Answered) -> Result<Said, ClientError> {
    let form: Answer<'_, Accessed<'_>> = answer.form()?;
    let visitors = &form.body.tokens;
    let table = rows(
        "tokens",
        visitors,
        &[
            ("TOKEN", |one| cell(&one.token.token_id)),
            ("ALLOWED", |one| cell(&one.allowed)),
            ("DENIED", |one| cell(&one.denied)),
            ("FIRST", |one| cell(&one.accesses.first().map(|access| access.occurred_at))),
            ("STATE", |one| cell(&one.token.happened.state)),
            ("CLIENT", |one| cell(&one.token.client_id)),
            ("SUBJECT", |one| cell(&one.token.subject)),
            ("PROOF", |one| cell(&one.token.proof_state)),
        ],
    );
    Ok(Said::of(&form, table).listing(visitors.len()))
}

fn policies(answer: &Answer<'_, IssuePolicies<'_>>) -> String {
    let body = &answer.body;
    let named = rows(
        "named",
        &body.named,
        &[
            ("NAMED", |one| cell(&one.policy)),
            ("VERSION", |one| cell(&one.version)),
            ("ROLE", |one| cell(&one.role)),
            ("WAS IN FORCE", |one| cell(&one.in_force)),
        ],
    );
    let privileges = rows(
        "privileges",
        &body.privileges,
        &[
            ("POLICY", |one| cell(&one.policy)),
            ("VERSION", |one| cell(&one.version)),
            ("SCOPES ARE", |one| cell(&one.evaluation)),
            ("BEYOND", |one| cells(&one.beyond)),
            ("WHY", |one| cell(&one.why)),
        ],
    );
    let in_force = versions("in_force", &body.in_force);
    format!("issued {}\n\n{named}\n{in_force}\n{privileges}", cell(&body.issued_at))
}

fn after_revoke(answer: &Answer<'_, AfterRevoke<'_>>) -> String {
    let body = &answer.body;
    let places = rows(
        "places",
        &body.places,
        &[
            ("SERVICE", |one| cell(&one.service)),
            ("SEEN FROM", |one| cell(&one.vantage)),
            ("SOURCE", |one| cell(&one.source)),
            ("TOKENS", |one| cell(&one.tokens)),
            ("ALLOWED", |one| cell(&one.allowed)),
            ("REFUSED", |one| cell(&one.refused)),
            ("LAST ALLOW", |one| cell(&one.last_allow.as_ref().map(|last| last.occurred_at))),
            ("TOKEN", |one| cell(&one.last_allow.as_ref().map(|last| &last.token_id))),
            ("GAP MS", |one| cell(&one.gap_ms)),
            ("P50 MS", |one| cell(&one.p50_ms)),
            ("P99 MS", |one| cell(&one.p99_ms)),
            ("PROOF", |one| cell(&one.last_allow.as_ref().map(|last| last.proof_state))),
        ],
    );
    format!(
        "{} revoked; propagation p50 {} ms, p99 {} ms over {} gaps\n\n{places}",
        body.revoked,
        cell(&body.p50_ms),
        cell(&body.p99_ms),
        body.gaps,
    )
}

fn divergences(answer: &Answer<'_, Divergences<'_>>) -> String {
    rows(
        "divergences",
        &answer.body.divergences,
        &[
            ("WHAT", |one| cell(&one.what)),
            ("OCCURRED", |one| cell(&one.occurred_at)),
            ("WAS", |one| cells(&one.before)),
            ("IS", |one| cells(&one.after)),
            ("INDEX", |one| cell(&one.index)),
            ("TOKEN", |one| cell(&one.token_id)),
            ("PROOF", |one| cell(&one.proof_state)),
        ],
    )
}

fn exposure(answer: &Answer<'_, Exposure<'_>>) -> String {
    let body = &answer.body;
    let places = rows(
        "places",
        &body.places,
        &[
            ("SERVICE", |one| cell(&one.service)),
            ("SEEN FROM", |one| cell(&one.vantage)),
            ("SOURCE", |one| cell(&one.source)),
            ("EVENTS", |one| cell(&one.events)),
            ("ALLOWED", |one| cell(&one.allowed)),
            ("FIRST", |one| cell(&one.first)),
            ("LAST", |one| cell(&one.last)),
        ],
    );
    let (audiences, clients) = (cell(&body.audiences), cell(&body.clients));
    format!("audiences  {audiences}\nclients    {clients}\n\n{places}")
}

fn why(answer: &Answered) -> Result<Said, ClientError> {
    let form: Answer<'_, Why<'_>> = answer.form()?;
    Ok(Said::of(&form, causes(&form.body)).by(&form.body.progress))
}

fn causes(body: &Why<'_>) -> String {
    let line = |event: &Event<'_>| {
        format!(
            "{} {} {} {}",
            cell(&event.occurred_at),
            cell(&event.event_type),
            cell(&event.target.as_ref().map(|target| &target.id)),
            what(event)
        )
    };
    let mut out = format!("{}\n", line(&body.event.statement));
    for cause in &body.causes {
        let indent = "  ".repeat(cause.depth.min(64) as usize);
        let (relation, strength) = (cell(&cause.relation), cell(&cause.strength));
        let of = match (&cause.event, &cause.token_id) {
            (Some(event), _) => line(&event.statement),
            (None, Some(id)) => cell(id),
            (None, None) => {
                let event = cell(&cause.event_ref.as_ref().map(|event| &event.event_id));
                format!("an event that is not recorded: {event}")
            }
        };
        out.push_str(&format!("{indent}{relation} ({strength}) {of}\n"));
    }
    out
}
