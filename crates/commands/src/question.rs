//! What the commands that ask a question have in common: moment, tenant, pages, tables, proofs.

use clap::Args;
use ledgerline_client::{Client, ClientError, segment};
use serde_json::{Value, json};

use crate::ClientSettings;
use crate::lookup::{self, Meant, Named, Narrow, Past};
use crate::proof_file::{Written, write_proof};
use crate::{Context, progress};
use ledgerline_terminal::evidence::{Proof, ProofArgs};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{self, table};

/// Which state of the ledger is asked, and who asks.
#[derive(Args, Clone)]
pub struct Moment {
    /// The server.
    #[command(flatten)]
    pub client: ClientSettings,
    /// What the ledger knew: at this size, or at this time (RFC 3339).
    #[arg(long, value_name = "SIZE|TIME")]
    pub as_of: Option<String>,
    /// What had happened by this time (RFC 3339); states are judged then.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Where its proof goes.
    #[command(flatten)]
    pub proof: ProofArgs,
}

/// Seconds that the rules have for a block that was waited for.
const RULES_WAIT: u64 = 2;

/// A question in the making: a path and its parameters.
pub struct Ask {
    path: String,
    /// Whether the answer is to say that the token is known.
    of_known: bool,
    /// The token it is about, which an answer is to say more of.
    marks: Option<Box<Named>>,
    /// What it asks about by its name: when nothing is recorded of it the name may be wrong.
    by_name: Option<&'static str>,
    parameters: Vec<(&'static str, String)>,
}

impl Ask {
    /// About a path, whose parts are escaped already.
    #[must_use]
    pub fn new(path: String) -> Self {
        Self { path, of_known: false, marks: None, by_name: None, parameters: Vec::new() }
    }

    /// With a parameter, if it is given.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.parameters.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Says by the name of what it asks: a client, say.
    #[must_use]
    pub fn by_name(mut self, what: Option<&'static str>) -> Self {
        self.by_name = what;
        self
    }

    /// Notes that nothing is recorded of what was asked for by its name.
    fn note_unnamed(&self, answer: &mut Value, list: Option<&str>) {
        let is_empty = list.is_some_and(|list| answer[list].as_array().is_some_and(Vec::is_empty));
        let is_cut = answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty());
        if let Some(what) = self.by_name.filter(|_| is_empty && !is_cut) {
            answer["unnamed"] = what.into();
        }
    }

    /// The same, that gives the proof of the whole answer.
    fn proven(&self) -> Self {
        let pages = |(name, _): &&(&str, String)| *name != "limit";
        let parameters = self.parameters.iter().filter(pages).cloned().collect();
        Self { parameters, of_known: self.of_known, ..Self::new(self.path.clone()) }
            .with("proof", Some(true))
    }

    /// The same right after a block that was waited for: the rules have a moment for it.
    fn after_a_block(self) -> Self {
        let by_rules = self.path == "/v1/findings" || self.path.ends_with("/why");
        let waits = self.parameters.iter().any(|(name, _)| *name == "wait");
        self.with("wait", (by_rules && !waits).then_some(RULES_WAIT))
    }

    /// Where the proof of the whole answer is.
    #[must_use]
    pub fn proven_url(&self) -> String {
        self.proven().url(None)
    }

    fn url(&self, page: Option<&str>) -> String {
        let page = page.map(|page| ("page", page.to_owned()));
        let list = self.parameters.iter().cloned().chain(page);
        let list = list.map(|(name, value)| format!("{name}={}", segment(&value)));
        let list: Vec<String> = list.collect();
        if list.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, list.join("&"))
        }
    }

    /// The whole answer: the first page's frame with the lists of all pages put together.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn fetch(&self, client: &Client, list: Option<&str>) -> Result<Value, ClientError> {
        let mut whole = client.get(&self.url(None))?;
        let Some(list) = list else { return Ok(whole) };
        let mut next = whole["next"].as_str().map(str::to_owned);
        while let Some(page) = next {
            let mut more = client.get(&self.url(Some(&page)))?;
            next = more["next"].as_str().map(str::to_owned);
            match (whole[list].as_array_mut(), more[list].as_array_mut()) {
                (Some(whole), Some(more)) => whole.append(more),
                _ => return Err(client.garbled("a page without its list")),
            }
            if next.is_none() {
                whole["cut_by"] = more["cut_by"].take();
            }
        }
        whole["next"] = json!(null);
        Ok(whole)
    }
}

impl Moment {
    /// The parameters of the moment on a question.
    #[must_use]
    pub fn of(&self, ask: Ask) -> Ask {
        ask.with("as_of", self.as_of.as_ref())
            .with("at", self.at.as_ref())
            .with("tenant", self.tenant.as_ref())
    }

    /// Asks, and shows the answer: as JSON, or as `lines` puts it, with what cut it below.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn show(
        self,
        context: &mut Context,
        ask: Ask,
        list: Option<&str>,
        lines: impl FnOnce(&Value) -> String,
    ) -> CommandResult {
        let proof = self.proof.open()?;
        self.show_with(context, ask, list, lines, proof)
    }

    /// The answer, and the proof that was written of it.
    fn answer(
        self,
        context: &mut Context,
        ask: Ask,
        list: Option<&str>,
        proven: Option<Proof>,
    ) -> Result<(Value, Option<Written>), Failure> {
        let mut ask = self.of(ask);
        let client = context.client(self.client)?;
        let mut written = None;
        if let Some(wanted) = proven {
            let proof = write_proof(&client, &ask.proven_url(), wanted)?;
            // The answer is shown as of what is proven.
            ask = ask.with("as_of", self.as_of.is_none().then_some(proof.size)).after_a_block();
            written = Some(proof);
        }
        let mut answer = ask.fetch(&client, list)?;
        if ask.of_known {
            answer["status"] = "known".into();
        }
        if let Some(named) = &ask.marks {
            named.mark(&mut answer);
        }
        if let Some(written) = &written {
            answer["proof"] = written.value();
        }
        if self.as_of.is_none() && self.at.is_none() {
            ask.note_unnamed(&mut answer, list);
        }
        if unknown(&answer).is_some() {
            answer["status"] = "unknown".into();
        }
        Ok((answer, written))
    }

    /// The same, with the file of the proof taken already.
    fn show_with(
        self,
        context: &mut Context,
        ask: Ask,
        list: Option<&str>,
        lines: impl FnOnce(&Value) -> String,
        proven: Option<Proof>,
    ) -> CommandResult {
        let (answer, written) = self.answer(context, ask, list, proven)?;
        let proof = |answer: &Value| written.as_ref().map(|written| written.lines(answer));
        let lines = |answer: &Value| {
            format!("{}{}{}", lines(answer), foot(answer), proof(answer).unwrap_or_default())
        };
        context.screen.show(&answer, lines)?;
        let exit = exit_of(&answer);
        Ok(written.map_or(exit, |written| written.exit(exit)))
    }
}

/// A question about one token.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The argument that means the token.
    pub token: &'a str,
    /// What narrows down which token is meant.
    pub narrow: &'a Narrow,
    /// The last segment of the question's path.
    pub what: &'a str,
}

impl Moment {
    /// As [`Self::show`], of `/v1/tokens/{id}/{what}` with what `more` adds.
    ///
    /// # Errors
    /// As [`lookup::of_argument`] and [`Self::show`].
    pub fn about(
        self,
        context: &mut Context,
        About { token, narrow, what }: About<'_>,
        more: impl Fn(Ask) -> Ask,
        list: Option<&str>,
        lines: impl Fn(&Value) -> String,
    ) -> CommandResult {
        // Before anything is asked: what fails then leaves no file of an earlier answer either.
        let proof = self.proof.open()?;
        let client = context.client(self.client.clone())?;
        let (tenant, as_of, at) = (self.tenant.clone(), self.as_of.clone(), self.at.clone());
        let tenant = tenant.as_deref();
        let past = Past { as_of: as_of.as_deref(), at: at.as_deref() };
        let named = match lookup::of_argument(&client, token, narrow, tenant)? {
            Meant::Token(named) => named,
            Meant::Unknown(unknown) => return lookup::unknown(context, &unknown, ASKED),
        };
        named.warn(context)?;
        let id = named.id.clone();
        let path = format!("/v1/tokens/{}", segment(&id));
        // Only of what is known there may be no proof yet.
        let known = proof
            .as_ref()
            .map(|_| client.get(&Ask::new(path.clone()).with("tenant", tenant).url(None)));
        if known.is_some_and(|known| known.is_err_and(|error| lookup::is_unknown(&error))) {
            return lookup::unknown_id(context, &client, &id, tenant, past, ASKED);
        }
        let ask = |id: &str| {
            let path = format!("/v1/tokens/{}/{what}", segment(id));
            more(Ask { of_known: true, marks: Some(named.clone()), ..Ask::new(path) })
        };
        let (mut exits, mut documents) = (Vec::new(), Vec::new());
        // One document has all of them.
        let is_one_of_several = context.screen.is_json() && !named.others.is_empty();
        let proofs = [proof].into_iter().chain(std::iter::repeat_with(|| None));
        for (id, proof) in named.all().zip(proofs) {
            if is_one_of_several {
                let (document, exit) = match self.clone().answer(context, ask(id), list, proof) {
                    Err(failure) if lookup::is_unknown_failure(&failure) => {
                        (lookup::unknown_one(id, past), Exit::Unknown)
                    }
                    other => {
                        let (answer, written) = other?;
                        let exit = exit_of(&answer);
                        (answer, written.map_or(exit, |written| written.exit(exit)))
                    }
                };
                documents.push(document);
                exits.push(exit);
                continue;
            }
            if !exits.is_empty() {
                context.screen.line(&format!("\nrecorded as {id} too:"))?;
            }
            exits.push(match self.clone().show_with(context, ask(id), list, &lines, proof) {
                Err(failure) if lookup::is_unknown_failure(&failure) => {
                    lookup::unknown_id(context, &client, id, tenant, past, ASKED)?
                }
                other => other?,
            });
        }
        if let Some(all) = lookup::with_others(documents) {
            context.screen.json(&all)?;
        }
        Ok(named.exit_of(&exits))
    }
}

/// What a question about an unknown token comes to.
const ASKED: &str = "the ledger has no answer about this token";

/// What every answer ends with.
fn foot(answer: &Value) -> String {
    let mut line = format!(
        "\nas of size {} of {}, judged at {}\n",
        text(answer, "/as_of"),
        text(answer, "/origin"),
        text(answer, "/judged_at"),
    );
    if answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty()) {
        line.push_str(&format!("INCOMPLETE: cut by {}\n", text(answer, "/cut_by")));
    }
    line.push_str(&progress::foot(answer));
    line.extend(unknown(answer));
    line
}

/// The exit code of an answer, its proof aside.
fn exit_of(answer: &Value) -> Exit {
    let cut = answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty());
    match unknown(answer) {
        Some(_) => Exit::Unknown,
        None if cut => Exit::Incomplete,
        None => progress::exit(answer),
    }
}

/// A line about what nothing is known of: an empty answer about it is not quiet. Exit code 4.
#[must_use]
pub fn unknown(answer: &Value) -> Option<String> {
    if answer["tenant_known"] == false {
        let tenant = text(answer, "/tenant");
        return Some(format!(
            "UNKNOWN: nothing is known of the tenant {tenant}: no key, source or entry ever named \
             it\n"
        ));
    }
    if answer["token_known"] == false {
        return Some(
            "UNKNOWN: nothing is recorded about that token: that there are no findings says \
             nothing of it\n"
                .to_owned(),
        );
    }
    let what = answer["unnamed"].as_str()?;
    Some(format!(
        "UNKNOWN: nothing is recorded of that {what}: is it written as it was recorded?\n"
    ))
}

/// A member as text.
#[must_use]
pub fn text(value: &Value, pointer: &str) -> String {
    render::text(value, pointer)
}

/// The items of a list.
pub fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A table of a list's items, one pointer for each column.
#[must_use]
pub fn rows(answer: &Value, name: &str, columns: &[(&str, &str)]) -> String {
    let rows: Vec<Vec<String>> = list(answer, name)
        .map(|item| columns.iter().map(|(_, pointer)| text(item, pointer)).collect())
        .collect();
    if rows.is_empty() {
        return format!("no {name}\n");
    }
    let head: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    table(&head, &rows)
}

/// The columns of a list of tokens.
pub const TOKENS: &[(&str, &str)] = &[
    ("TOKEN", "/token_id"),
    ("KIND", "/happened/token_kind"),
    ("STATE", "/happened/state"),
    ("ACTIVE", "/known/active"),
    ("BORN", "/born_at"),
    ("EXPIRES", "/happened/expires_at"),
    ("CLIENT", "/client_id"),
    ("PROOF", "/proof_state"),
];

/// Refuses an empty word where a name is needed.
///
/// # Errors
/// Usage.
pub fn word(text: &str) -> Result<String, Failure> {
    if text.is_empty() { Err(Failure::usage("a name is empty")) } else { Ok(segment(text)) }
}
