//! From an argument, or from what was pasted, to a token that the ledger knows.
//!
//! ```text
//! ID      the id as it is: the answer to the question says whether it is known
//! -       standard input ──pasted──▶ readings and candidates ──POST /v1/triage──▶ ids, in every
//!                                    region and issuer
//!           digest      whoever issued it
//!           jti         of a JWT, at the issuers of the server's register that its `iss` names
//! ```
//!
//! Promises: tokens are hashed here; the server gets digests and ids. --region and --issuer only
//! narrow. A token that nobody knows is UNKNOWN, with exit code 4 and with what was looked for,
//! never an empty answer: unknown is not dead. Notes go to standard error and hold no token.
//!
//! Of a paste the obvious readings are looked up, and with them whatever else in it may be a token:
//! what the ledger knows of it is what is meant, in whatever form it was pasted.
//!
//! Refuses: to choose one of several known tokens in one paste.

pub mod several;
mod unknown;
mod unread;

use std::collections::HashSet;

use clap::Args;
use ledgerline_api::status::{Issuer, IssuerRegister};
use ledgerline_api::triage::{Knowledge, Leaked, TokenRecord, Triage, Triaged, TriagedToken};
use ledgerline_client::{Client, ClientError};
use ledgerline_pasted::paste::{in_the_history, several_tokens};
use ledgerline_pasted::{Paste, Reading, claims, read_paste, tell};
use ledgerline_proof::token_id::{
    MIN_TOKEN_BYTES, TokenId, from_jti, from_presented, hashed_jti, looks_like_token, t1_value,
};

use ledgerline_terminal::exit::{Exit, Failure};

pub use unknown::{Past, Unknown, unknown, unknown_id, unknown_one, with_others};
pub use unread::even_unread;

/// Ids and digests that are looked up for one paste, and in one call.
const ASKED_MAX: usize = 1000;
const CALL_MAX: usize = 500;
/// Whose tokens are meant.
#[derive(Args, Clone, Default)]
pub struct Narrow {
    /// Only tokens of this home region; all without it.
    #[arg(long)]
    pub region: Option<String>,
    /// Only tokens of this issuer's alias; all without it.
    #[arg(long)]
    pub issuer: Option<String>,
}

impl Narrow {
    /// Whether a token is one of those.
    #[must_use]
    pub fn takes(&self, id: &str) -> bool {
        let fits = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let id = TokenId::parse(id);
        id.is_ok_and(|id| fits(&self.region, id.region()) && fits(&self.issuer, id.issuer()))
    }

    /// Whether it narrows anything.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.region.is_some() || self.issuer.is_some()
    }
}

/// A token that the ledger knows, or that an id names.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Ids of records about it that nobody joined with the first.
    pub others: Vec<String>,
    /// The token itself, when it was pasted.
    pub token: Option<String>,
    /// What the server said of it, when it was asked.
    pub found: Option<TriagedToken<'static>>,
    /// Its records with their states, where they differ in whether it may be used.
    pub differing: Vec<TokenRecord<'static>>,
}

/// What an argument means.
pub enum Meant {
    /// This token.
    Token(Box<Named>),
    /// None that is known.
    Unknown(Unknown),
}

/// The token that an argument means: an id as it is, `-` for what is on standard input.
///
/// # Errors
/// Usage for a token as an argument, or several tokens in one paste; whatever the server says.
pub fn of_argument(
    client: &Client,
    argument: &str,
    narrow: &Narrow,
    tenant: Option<&str>,
) -> Result<Meant, Failure> {
    if argument == "-" {
        return of_paste(client, &read_paste()?, narrow, tenant);
    }
    match TokenId::parse(argument) {
        Ok(id) => {
            let id = id.as_str().to_owned();
            Ok(Meant::Token(Box::new(Named { id, ..Named::default() })))
        }
        // Not repeated: some issuers' bearer values look so, too.
        Err(_) if is_bare_name(argument) => Err(Failure::usage(
            "this is no token id. A jti needs its region and issuer: <region>:<issuer>:jti:<jti> \
             (`ledgerline call list_issuers` has the names). If it is the token itself, it is in \
             your shell history now; use `-` and give the token on standard input",
        )),
        Err(_) if looks_like_token(argument) => Err(in_the_history()),
        Err(error) => Err(Failure::usage(format!(
            "{error}; for the token itself use `-` and give it on standard input. A jti alone is \
             no token id: write <region>:<issuer>:jti:<jti>"
        ))),
    }
}

/// Whether a text is a UUID: most issuers' `jti` is one.
pub(crate) fn is_bare_name(argument: &str) -> bool {
    argument.len() == 36
        && argument.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// As [`of_argument`]; for a key that may not look tokens up, the id under the region and issuer
/// that are told.
///
/// # Errors
/// As [`of_argument`].
pub fn of_argument_by_name(
    client: &Client,
    argument: &str,
    narrow: &Narrow,
    tenant: Option<&str>,
) -> Result<Meant, Failure> {
    if argument != "-" {
        return of_argument(client, argument, narrow, tenant);
    }
    let paste = read_paste()?;
    match of_paste(client, &paste, narrow, tenant) {
        Err(failure) if may_not_look(&failure) => {
            let token = paste.only()?;
            let region = narrow.region.as_deref().unwrap_or("global");
            let issuer = narrow.issuer.as_deref().unwrap_or("idp");
            let id = from_presented(region, issuer, token.as_bytes()).map_err(Failure::error)?;
            tell(&[format!(
                "this key may not look tokens up: looking for it at {region}:{issuer}"
            )]);
            Ok(Meant::Token(Box::new(Named { id, ..Named::default() })))
        }
        other => other,
    }
}

/// Whether a key lacks the role to look tokens up: reader, auditor or responder.
#[must_use]
pub fn may_not_look(failure: &Failure) -> bool {
    let error = failure.error.downcast_ref::<ClientError>();
    error.is_some_and(|error| matches!(error, ClientError::Refused { status: 403, .. }))
}

/// What may be a token, by what it is looked for.
struct Sought<'r> {
    token: &'r str,
    question: Leaked,
    name: String,
    by_jti: bool,
}

type Hit<'s, 'r> = (&'s Sought<'r>, &'s TriagedToken<'static>);
/// What was pasted of one known token, its ids, and the hits.
type Group<'s, 'r> = (Vec<&'r str>, Vec<String>, Vec<Hit<'s, 'r>>);

/// The token that was pasted.
///
/// # Errors
/// As [`of_argument`].
pub fn of_paste(
    client: &Client,
    paste: &Paste,
    narrow: &Narrow,
    tenant: Option<&str>,
) -> Result<Meant, Failure> {
    let tokens = paste.tokens();
    let places = Places::of(client, &tokens, narrow)?;
    let (sought, beyond) = places.all_questions(&tokens);
    let left_out = paste.candidates.left_out + beyond;
    if sought.is_empty() {
        return Err(Failure::usage(format!(
            "what was read is shorter than a token may be ({MIN_TOKEN_BYTES} bytes): it cannot be \
             looked up"
        )));
    }
    let questions: Vec<&Leaked> = sought.iter().map(|one| &one.question).collect();
    let (mut answers, tenant) = triage(client, &questions, tenant)?;
    if narrow.is_narrow() {
        answers.iter_mut().for_each(|one| several::narrow_down(one, narrow));
    }
    let known = |one: &TriagedToken<'_>| {
        let is_known = matches!(one.status, Knowledge::Known | Knowledge::Unreadable);
        is_known && one.token_id.as_deref().is_none_or(|id| narrow.takes(id))
    };
    let hits: Vec<Hit<'_, '_>> =
        sought.iter().zip(&answers).filter(|(_, answer)| known(answer)).collect();
    let first = &paste.readings[0];
    if hits.is_empty() {
        tell(&first.notes);
        if answers.iter().any(|one| one.status == Knowledge::Known) {
            let other = "it is known under another region or issuer than --region and --issuer say";
            tell(&[other.to_owned()]);
        }
        let looked_for = obvious_names(&sought, first);
        return Ok(Meant::Unknown(Unknown {
            looked_for,
            // Of several none speaks for the others.
            token: Some(&first.tokens).filter(|all| all.len() == 1).map(|all| all[0].clone()),
            tenant,
            looked_up: sought.len(),
            left_out,
            hints: unknown::hints(&paste.text, &first.tokens),
        }));
    }
    let meant = one_of(&hits)?;
    if left_out > 0 {
        tell(&[format!("{left_out} more things in the paste that may be a token: not looked up")]);
    }
    let holds = |reading: &&Reading| reading.tokens.iter().any(|one| one == meant[0].0.token);
    match paste.readings.iter().find(holds) {
        Some(reading) => {
            tell(&reading.notes);
            if reading.tokens.len() > 1 && !reading.guessed {
                let all = reading.tokens.len();
                tell(&[format!("of {all} tokens in the paste, the one that is known was taken")]);
            }
        }
        None => tell(&[format!(
            "one of {} things in the paste that may be a token is known, and was taken",
            sought.len()
        )]),
    }
    named(client, &meant)
}

/// What the obvious tokens were looked for as; of none, what was looked for first.
fn obvious_names(sought: &[Sought<'_>], first: &Reading) -> Vec<String> {
    let is_obvious = |one: &&Sought<'_>| first.tokens.iter().any(|token| token == one.token);
    let names: Vec<String> = sought.iter().filter(is_obvious).map(|one| one.name.clone()).collect();
    if names.is_empty() {
        sought.iter().take(1).map(|one| one.name.clone()).collect()
    } else {
        names
    }
}

/// The hits about one token. Of what is a part of another one that is known the other is meant.
fn one_of<'s, 'r>(hits: &[Hit<'s, 'r>]) -> Result<Vec<Hit<'s, 'r>>, Failure> {
    let mut groups: Vec<Group<'s, 'r>> = Vec::new();
    for (one, answer) in hits {
        // One answer may be about several ids, and so join what others kept apart.
        let ids = ids_of(answer).map(str::to_owned).collect::<Vec<_>>();
        let mut whole = (vec![one.token], ids, Vec::new());
        let is_same = |(tokens, ids, _): &mut Group<'s, 'r>| {
            tokens.contains(&one.token) || ids.iter().any(|id| whole.1.contains(id))
        };
        let same: Vec<_> = groups.extract_if(.., is_same).collect();
        for (tokens, ids, own) in same {
            whole.0.extend(tokens);
            whole.1.extend(ids);
            whole.2.extend(own);
        }
        whole.2.push((one, answer));
        groups.push(whole);
    }
    let is_part = |of: &[&str], tokens: &[&str]| {
        tokens.iter().all(|part| of.iter().any(|one| one.len() > part.len() && one.contains(part)))
    };
    let whole = |at: &usize| {
        let others = groups.iter().enumerate().filter(|(other, _)| other != at);
        !others.into_iter().any(|(_, (of, _, _))| is_part(of, &groups[*at].0))
    };
    let whole: Vec<usize> = (0..groups.len()).filter(whole).collect();
    match whole[..] {
        [at] => Ok(groups.swap_remove(at).2),
        _ => Err(several_tokens(whole.len(), " that are known")),
    }
}

/// The ids that an answer names.
pub fn ids_of<'a>(answer: &'a TriagedToken<'_>) -> impl Iterator<Item = &'a str> {
    let records = answer.records.iter().map(|one| &*one.token_id);
    answer.token_id.as_deref().into_iter().chain(records)
}

fn named(client: &Client, hits: &[Hit<'_, '_>]) -> Result<Meant, Failure> {
    let answers: Vec<&TriagedToken<'_>> = hits.iter().map(|(_, answer)| *answer).collect();
    let (sought, found) = hits[0];
    if answers.iter().any(|answer| answer.status == Knowledge::Unreadable) {
        let error = unread::Unread::new(sought.token, &answers);
        return Err(Failure { exit: Exit::Incomplete, error: error.into() });
    }
    let records = several::records(&answers);
    let no_id = || client.garbled("a token is known, and under no id");
    let mut named = Named {
        id: ids_of(found).next().ok_or_else(no_id)?.to_owned(),
        token: Some(sought.token.to_owned()),
        ..Named::default()
    };
    if sought.by_jti {
        tell(&["found by the jti that it carries; whether it is genuine was not checked".into()]);
    }
    let mut found = found.clone();
    if several::differ(&answers, &records) {
        // What may be used is not hidden by what may not.
        named.id = records.first().ok_or_else(no_id)?.token_id.to_string();
        found = TriagedToken { differs: Some(true), alive: None, state: None, ..found };
        named.differing.clone_from(&records);
    }
    named.found = Some(found);
    for TokenRecord { token_id: other, .. } in records {
        if *other != *named.id && named.others.iter().all(|one| *one != other) {
            tell(&[format!("also recorded as {other}: nobody said that the two are one token")]);
            named.others.push(other.into_owned());
        }
    }
    Ok(Meant::Token(Box::new(named)))
}

/// Issuers under which a jti is looked for.
pub struct Places(Vec<Place>);

struct Place {
    iss: Option<String>,
    region: String,
    alias: String,
}

impl Places {
    /// For the tokens of a paste.
    fn of(client: &Client, tokens: &[&str], narrow: &Narrow) -> Result<Self, Failure> {
        match tokens
            .iter()
            .any(|token| claims(token).is_some_and(|claims| claims["jti"].is_string()))
        {
            true => Self::registered(client, Some(narrow)),
            false => Ok(Self(Vec::new())),
        }
    }

    /// Those of the server's register whose jti is a name, and, if it is wanted, one that is told
    /// and that the register does not have.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn registered(client: &Client, told: Option<&Narrow>) -> Result<Self, Failure> {
        let answer = client.get("/v1/issuers")?;
        let IssuerRegister { issuers } = answer.form()?;
        let place = |one: &Issuer<'_>| {
            let (region, alias) = (one.region.as_deref()?.to_owned(), one.alias.to_string());
            Some(Place { iss: one.iss.as_deref().map(str::to_owned), region, alias })
        };
        let names = issuers.iter().filter(|one| one.jti_rule.as_deref() == Some("identity"));
        let mut places: Vec<Place> = names.filter_map(place).collect();
        if let Some(Narrow { region, issuer }) = told {
            let region = region.clone().unwrap_or_else(|| "global".to_owned());
            let alias = issuer.clone().unwrap_or_else(|| "idp".to_owned());
            let has_rule = |one: &Issuer<'_>| one.alias == alias && one.jti_rule.is_some();
            if !issuers.iter().any(has_rule) {
                places.push(Place { iss: None, region, alias });
            }
        }
        Ok(Self(places))
    }

    /// What tokens are looked for by, each once, and how many more were left out.
    fn all_questions<'r>(&self, tokens: &[&'r str]) -> (Vec<Sought<'r>>, usize) {
        let mut seen = HashSet::new();
        let all = tokens.iter().flat_map(|token| self.questions(token));
        let mut sought: Vec<_> = all.filter(|one| seen.insert(one.name.clone())).collect();
        let beyond = sought.len().saturating_sub(ASKED_MAX);
        sought.truncate(ASKED_MAX);
        (sought, beyond)
    }

    /// What a token is looked for by.
    fn questions<'r>(&self, token: &'r str) -> Vec<Sought<'r>> {
        let by_id = |id: String, by_jti: bool| {
            let question = Leaked { id: Some(id.clone()), digest: None };
            Sought { token, question, name: id, by_jti }
        };
        if let Ok(id) = TokenId::parse(token) {
            return vec![by_id(id.as_str().to_owned(), false)];
        }
        let Ok(digest) = t1_value(token.as_bytes()) else { return Vec::new() };
        let name = format!("*:*:t1:{digest}");
        let question = Leaked { digest: Some(digest.clone()), id: None };
        let mut questions = vec![Sought { token, question, name, by_jti: false }];
        for id in self.ids(token) {
            // By its digest also where it was never issued under it.
            if let Ok(own) = TokenId::parse(&id) {
                let own = format!("{}:{}:t1:{digest}", own.region(), own.issuer());
                questions.push(by_id(own, false));
            }
            questions.push(by_id(id, true));
        }
        questions
    }

    /// The ids of a JWT by its jti, at the issuers that its `iss` may mean.
    #[must_use]
    pub fn ids(&self, token: &str) -> Vec<String> {
        let Some(claims) = claims(token) else { return Vec::new() };
        let Some(jti) = claims["jti"].as_str() else { return Vec::new() };
        let named = |place: &&Place| match (&place.iss, claims["iss"].as_str()) {
            (Some(known), Some(named)) => known == named,
            _ => true,
        };
        let fits = self.0.iter().filter(named);
        let ids = fits.filter_map(|place| from_jti(&place.region, &place.alias, jti).ok());
        // A source may hash what another one writes out.
        ids.flat_map(|id| [hashed_jti(&id), Some(id)].into_iter().flatten().rev()).collect()
    }
}

/// One answer for each question, in order, and the tenant that was asked.
fn triage(
    client: &Client,
    questions: &[&Leaked],
    tenant: Option<&str>,
) -> Result<(Vec<TriagedToken<'static>>, Option<String>), ClientError> {
    let mut answers = Vec::with_capacity(questions.len());
    let mut asked = None;
    while answers.len() < questions.len() {
        let left = questions[answers.len()..].iter().take(CALL_MAX);
        let tokens = left.map(|one| Leaked::clone(one)).collect();
        let body = batch(tokens, tenant);
        let answer = client.post_json("/v1/triage", &body)?;
        let Triaged { tenant, tokens, .. } = answer.form()?;
        asked = Some(tenant.into_owned());
        let reached = tokens.into_iter().take_while(|one| one.status != Knowledge::NotReached);
        let before = answers.len();
        answers.extend(reached.map(TriagedToken::into_owned));
        if answers.len() == before || answers.len() > questions.len() {
            return Err(answer.garbled("not one answer for each token"));
        }
    }
    Ok((answers, asked))
}

/// Tokens to look up in one call.
#[must_use]
pub fn batch(tokens: Vec<Leaked>, tenant: Option<&str>) -> Triage {
    let tenant = tenant.map(str::to_owned);
    Triage { tenant, tokens, proof: false, previous_size: None, wait: None }
}

/// The same of what a command ended with.
#[must_use]
pub fn is_unknown_failure(failure: &Failure) -> bool {
    failure.error.downcast_ref::<ClientError>().is_some_and(is_unknown)
}

/// Whether a refusal says that there is no such token.
#[must_use]
pub fn is_unknown(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 404, code, .. } if code == "not_found")
}
