//! What the commands that ask a question have in common: moment, tenant, pages, tables, proofs.
//!
//! Promises: an answer is read as its form before anything is shown, also as JSON. JSON is what the
//! server sent, of all pages, with what the command adds.

use clap::Args;
use ledgerline_api::answer::{Answer, Cut};
use ledgerline_api::progress::AllProgress;
use ledgerline_api::token::Token;
use ledgerline_client::{Answered, Client, ClientError, segment};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ClientSettings;
use crate::document::add;
use crate::lookup::several::Marks;
use crate::lookup::{self, Meant, Named, Narrow, Past};
use crate::proof_file::{self, Written, write_proof};
use crate::{Context, progress};
use ledgerline_terminal::evidence::{Proof, ProofArgs};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, printable, rows};

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
    pub fn fetch(&self, client: &Client, list: Option<&str>) -> Result<Answered, ClientError> {
        let ask = |page: Option<&str>| client.get(&self.url(page));
        let Some(list) = list else { return ask(None) };
        let (mut whole, cut_by) = all_pages(list, ask)?;
        // What cut the last page cuts the whole.
        let cut_by = cut_by.map(|cut_by| PagesCut { cut_by });
        add(&mut whole.raw, &cut_by);
        Ok(whole)
    }
}

/// What cut an answer of several pages.
#[derive(Serialize)]
struct PagesCut {
    cut_by: Vec<Cut>,
}

/// That nothing follows.
#[derive(Serialize)]
struct PagesEnd {
    next: Option<&'static str>,
}

/// How a page ends. One without its `next` is an error, and not the last.
#[derive(Deserialize)]
struct PageEnd {
    #[serde(deserialize_with = "Option::deserialize")]
    next: Option<String>,
    #[serde(default)]
    cut_by: Vec<Cut>,
}

/// The first page, with the items of `list` on all pages, and what cut the last of several.
///
/// # Errors
/// [`ClientError`].
pub fn all_pages(
    list: &str,
    ask: impl Fn(Option<&str>) -> Result<Answered, ClientError>,
) -> Result<(Answered, Option<Vec<Cut>>), ClientError> {
    let mut whole = ask(None)?;
    let PageEnd { mut next, .. } = whole.form()?;
    let mut cut_by = None;
    while let Some(page) = next {
        let mut more = ask(Some(&page))?;
        let end: PageEnd = more.form()?;
        (next, cut_by) = (end.next, Some(end.cut_by));
        whole.append(list, &mut more)?;
    }
    add(&mut whole.raw, &PagesEnd { next: None });
    Ok((whole, cut_by))
}

/// What an answer says to people, and what its exit code depends on.
pub struct Said {
    lines: String,
    /// Entries of the log.
    size: u64,
    is_cut: bool,
    /// Whether something that it depends on has not read everything.
    is_behind: bool,
    /// Whether it lists nothing.
    is_empty: bool,
    /// What nothing is known of.
    unknown: Option<String>,
}

impl Said {
    /// Of an answer of which `lines` are shown.
    #[must_use]
    pub fn of<T>(answer: &Answer<'_, T>, mut lines: String) -> Self {
        let (as_of, origin) = (answer.as_of, printable(&answer.origin));
        let judged_at = cell(&answer.judged_at);
        lines.push_str(&format!("\nas of size {as_of} of {origin}, judged at {judged_at}\n"));
        let is_cut = !answer.cut_by.is_empty();
        if is_cut {
            lines.push_str(&format!("INCOMPLETE: cut by {}\n", cell(&answer.cut_by)));
        }
        let unknown = unknown_tenant(&answer.tenant, answer.tenant_known);
        let (is_behind, is_empty) = (false, false);
        Self { lines, size: answer.size, is_cut, is_behind, is_empty, unknown }
    }

    /// That it depends on these.
    #[must_use]
    pub fn by(mut self, readers: &AllProgress<'_>) -> Self {
        self.lines.push_str(&progress::foot(readers));
        self.is_behind = progress::is_incomplete(readers);
        self
    }

    /// That it lists so many.
    #[must_use]
    pub fn listing(mut self, items: usize) -> Self {
        self.is_empty = items == 0;
        self
    }

    /// That it is about a token of which something is recorded, or not.
    #[must_use]
    pub fn of_token(mut self, known: Option<bool>) -> Self {
        let words = "UNKNOWN: nothing is recorded about that token: that there are no findings \
                     says nothing of it\n";
        let is_unknown = known == Some(false);
        self.unknown = self.unknown.or_else(|| is_unknown.then(|| words.to_owned()));
        self
    }

    /// What nothing is known of: an empty answer about it is not quiet. Exit code 4.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    fn exit(&self) -> Exit {
        match (&self.unknown, self.is_cut || self.is_behind) {
            (Some(_), _) => Exit::Unknown,
            (None, true) => Exit::Incomplete,
            (None, false) => Exit::Ok,
        }
    }
}

/// Reads an answer as its form, of which `lines` are shown.
///
/// # Errors
/// [`ClientError`] for one of another form.
pub fn read<'a, T: Deserialize<'a>>(
    answer: &'a Answered,
    lines: impl FnOnce(&Answer<'a, T>) -> String,
) -> Result<Said, ClientError> {
    let form = answer.form()?;
    Ok(Said::of(&form, lines(&form)))
}

/// A line about a tenant of which nothing is known.
#[must_use]
pub fn unknown_tenant(tenant: &str, is_known: bool) -> Option<String> {
    let tenant = printable(tenant);
    let line = || {
        format!(
            "UNKNOWN: nothing is known of the tenant {tenant}: no key, source or entry ever named \
             it\n"
        )
    };
    (!is_known).then(line)
}

/// An answer that came, and the proof that was written of it.
struct Came {
    answer: Answered,
    said: Said,
    written: Option<Written>,
    marks: Option<Marks>,
    status: Option<&'static str>,
    unnamed: Option<&'static str>,
}

/// What a document has beside what the server sent.
#[derive(Serialize)]
struct Added {
    #[serde(flatten)]
    marks: Option<Marks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<proof_file::About>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unnamed: Option<&'static str>,
}

impl Came {
    fn exit(&self) -> Exit {
        let exit = self.said.exit();
        self.written.as_ref().map_or(exit, |written| written.exit(exit))
    }

    fn document(self) -> Value {
        let Self { answer, written, marks, status, unnamed, .. } = self;
        let proof = written.as_ref().map(Written::about);
        let mut document = answer.raw;
        add(&mut document, &Added { marks, proof, status, unnamed });
        document
    }

    fn lines(&self) -> String {
        let Said { lines, size, unknown, .. } = &self.said;
        let proof = self.written.as_ref().map(|written| written.lines(Some(*size)));
        format!("{lines}{}{}", unknown.as_deref().unwrap_or(""), proof.unwrap_or_default())
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

    /// Asks, and shows the answer: as JSON, or as `read` puts it, with what cut it below.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn show(
        self,
        context: &mut Context,
        ask: Ask,
        list: Option<&str>,
        read: impl FnOnce(&Answered) -> Result<Said, ClientError>,
    ) -> CommandResult {
        let proof = self.proof.open()?;
        self.show_with(context, ask, list, read, proof)
    }

    /// The answer, and the proof that was written of it.
    fn answer(
        self,
        context: &Context,
        ask: Ask,
        list: Option<&str>,
        read: impl FnOnce(&Answered) -> Result<Said, ClientError>,
        proven: Option<Proof>,
    ) -> Result<Came, Failure> {
        let mut ask = self.of(ask);
        let client = context.client(self.client)?;
        let mut written = None;
        if let Some(wanted) = proven {
            let proof = write_proof(&client, &ask.proven_url(), wanted)?;
            // The answer is shown as of what is proven.
            ask = ask.with("as_of", self.as_of.is_none().then_some(proof.size)).after_a_block();
            written = Some(proof);
        }
        let answer = ask.fetch(&client, list)?;
        let mut said = read(&answer)?;
        let marks = ask.marks.as_ref().map(|named| named.marks());
        let is_now = self.as_of.is_none() && self.at.is_none();
        // When nothing is recorded of what was asked for by its name, the name may be wrong.
        let unnamed = ask.by_name.filter(|_| is_now && said.is_empty && !said.is_cut);
        said.unknown = said.unknown.or_else(|| unnamed.map(unknown_name));
        let status = match said.unknown() {
            Some(_) => Some("unknown"),
            None => ask.of_known.then_some("known"),
        };
        Ok(Came { answer, said, written, marks, status, unnamed })
    }

    /// The same, with the file of the proof taken already.
    fn show_with(
        self,
        context: &mut Context,
        ask: Ask,
        list: Option<&str>,
        read: impl FnOnce(&Answered) -> Result<Said, ClientError>,
        proven: Option<Proof>,
    ) -> CommandResult {
        let came = self.answer(context, ask, list, read, proven)?;
        let exit = came.exit();
        if context.screen.is_json() {
            context.screen.json(&came.document())?;
        } else {
            context.screen.lines(&came.lines())?;
        }
        Ok(exit)
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
        read: impl Fn(&Answered) -> Result<Said, ClientError>,
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
                let (document, exit) =
                    match self.clone().answer(context, ask(id), list, &read, proof) {
                        Err(failure) if lookup::is_unknown_failure(&failure) => {
                            (lookup::unknown_one(id, past), Exit::Unknown)
                        }
                        other => {
                            let came = other?;
                            let exit = came.exit();
                            (came.document(), exit)
                        }
                    };
                documents.push(document);
                exits.push(exit);
                continue;
            }
            if !exits.is_empty() {
                context.screen.line(&format!("\nrecorded as {id} too:"))?;
            }
            exits.push(match self.clone().show_with(context, ask(id), list, &read, proof) {
                Err(failure) if lookup::is_unknown_failure(&failure) => {
                    lookup::unknown_id(context, &client, id, tenant, past, ASKED)?
                }
                other => other?,
            });
        }
        if let Some(all) = lookup::with_others(&documents) {
            context.screen.json(&all)?;
        }
        Ok(named.exit_of(&exits))
    }
}

/// What a question about an unknown token comes to.
const ASKED: &str = "the ledger has no answer about this token";

/// A line about a name of which nothing is recorded.
fn unknown_name(what: &str) -> String {
    format!("UNKNOWN: nothing is recorded of that {what}: is it written as it was recorded?\n")
}

/// A table of tokens.
#[must_use]
pub fn tokens(tokens: &[Token<'_>]) -> String {
    rows(
        "tokens",
        tokens,
        &[
            ("TOKEN", |one| cell(&one.token_id)),
            ("KIND", |one| cell(&one.happened.token_kind)),
            ("STATE", |one| cell(&one.happened.state)),
            ("ACTIVE", |one| cell(&one.known.active)),
            ("BORN", |one| cell(&one.born_at)),
            ("EXPIRES", |one| cell(&one.happened.expires_at)),
            ("CLIENT", |one| cell(&one.client_id)),
            ("PROOF", |one| cell(&one.proof_state)),
        ],
    )
}

/// Refuses an empty word where a name is needed.
///
/// # Errors
/// Usage.
pub fn word(text: &str) -> Result<String, Failure> {
    if text.is_empty() { Err(Failure::usage("a name is empty")) } else { Ok(segment(text)) }
}
