//! Parameters of queries, and the frame of answers to questions about the past.
//!
//! ```text
//! tenant   another tenant, for credentials of all
//! as_of    what the ledger knew: a size, or a time of recording (RFC 3339)
//! at       what had happened: an event time; states are judged then
//! limit    items on a page                page    the token of a later page
//! proof    `true`: the proof bundle of the answer instead of the answer, as of the published
//!          checkpoint unless `as_of` says another size; whole, so without pages
//! wait     with proof: seconds to wait for a block that covers what is recorded now (`covered`)
//! origin   with proof: the part of the answer that stands in this origin
//! previous_size  with proof: the size of an older checkpoint; the bundle proves that its tree
//!          begins with that one
//! ```
//!
//! Promises: which route knows which parameter stands in one table, `api::openapi::OPERATIONS`; one
//! that the route does not know, that stands twice, or whose value is wrong is refused by its name,
//! never ignored. A page token of a question pins size and time of judgement and opens only under
//! its tenant and its question; where a page is a plain place, it pins nothing. Every answer names
//! the question, the size and checkpoint it speaks of, and what cut it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Query, Request};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::{prove, question_json};
use ledgerline_api::answer::Answer;
use ledgerline_api::openapi::find;
use ledgerline_api::parameters::{DESCRIBED, ParameterType, Parameters};
use ledgerline_api::progress::AllProgress;
use ledgerline_api::time_text;
use ledgerline_api::values::Time;
use ledgerline_gate::credential;
use ledgerline_node::Node;
use ledgerline_proof::bundle::{INCOMPLETE, MAX_LEAVES};
use ledgerline_prover::QuestionRequest;
use ledgerline_questions::lineage::{Bounds, QueryContext, Reach, Scope, Spending};
use ledgerline_questions::{Of, knows_tenant};
use ledgerline_view::address::{AsOf, EntryRef};
use ledgerline_view::page_token::{Cursor, PageError, PagePlace};
use ledgerline_view::view::View;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::App;
use crate::covered::Covered;
use crate::extract::is_like_one;

/// Items of an answer that is proven: all of it in one bundle.
const PROVEN_ITEMS: usize = 10_000;
/// Bounds of a walk that may be asked for.
const DEPTH_MAX: u32 = 1024;
const TOKENS_MAX: usize = 10_000;
/// Longest wait, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;

/// The parameters of a query, those alone that the route knows.
#[derive(Debug, Clone, Default)]
pub struct Params {
    given: Parameters,
    /// Items on a page of this route: without `limit`, and the most.
    limits: (usize, usize),
}

impl Deref for Params {
    type Target = Parameters;

    fn deref(&self) -> &Parameters {
        &self.given
    }
}

impl DerefMut for Params {
    fn deref_mut(&mut self) -> &mut Parameters {
        &mut self.given
    }
}

impl FromRequestParts<Arc<App>> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        // What answers GET answers HEAD too.
        let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        let operation = find(method.as_str(), path);
        let known = operation.map_or(&[][..], |one| one.parameters);
        let limits = operation.and_then(|one| one.limits).unwrap_or((usize::MAX, usize::MAX));
        let pairs: Result<Query<Vec<(String, String)>>, _> = Query::try_from_uri(&parts.uri);
        let Query(pairs) =
            pairs.map_err(|_| bad_query("the query is no list of names and values"))?;
        Self::read(&pairs, known, limits)
    }
}

impl Params {
    /// Reads names and values; refuses what is not `known`.
    fn read(
        pairs: &[(String, String)],
        known: &'static [&'static str],
        limits: (usize, usize),
    ) -> Result<Self, Problem> {
        let mut members = Map::new();
        for (name, text) in pairs {
            let Some(own) = known.iter().find(|one| *one == name).copied() else {
                return Err(unknown(name, known));
            };
            let kind = DESCRIBED.get(own).map_or(ParameterType::Text, |one| one.kind);
            let value = match (kind, &**text) {
                (ParameterType::Number, digits) => fitting(own, number(own, digits)?)?.into(),
                (ParameterType::Flag, "true") => true.into(),
                // `?follow` alone; what cannot be undone wants the word.
                (ParameterType::Flag, "") if own == "follow" => true.into(),
                (ParameterType::Flag, "false") => false.into(),
                (ParameterType::Flag, _) => {
                    return Err(bad_query(format!("{own} is true or false")).about(own));
                }
                (ParameterType::Text, text) => Value::from(text),
            };
            if members.insert(own.to_owned(), value).is_some() {
                return Err(bad_query(format!("{own} stands twice")).about(own));
            }
        }
        // Each value has the type of its member.
        let given: Parameters = serde_json::from_value(Value::Object(members))
            .map_err(|_| bad_query("a number is out of range"))?;
        if given.wait.is_some_and(|seconds| seconds > WAIT_SECONDS_MAX) {
            return Err(bad_query("wait is 0 to 60 seconds").about("wait"));
        }
        let params = Self { given, limits };
        params.limit()?;
        Ok(params)
    }

    /// Items on the page.
    ///
    /// # Errors
    /// 400.
    pub fn limit(&self) -> Result<usize, Problem> {
        let (standard, most) = match self.given.proof {
            true => (PROVEN_ITEMS, PROVEN_ITEMS),
            false => self.limits,
        };
        let limit = self.given.limit.unwrap_or(standard);
        if (1..=most).contains(&limit) {
            Ok(limit)
        } else {
            Err(bad_query(format!("limit is 1 to {most}")).about("limit"))
        }
    }

    /// Seconds to wait.
    #[must_use]
    pub fn wait_seconds(&self) -> u64 {
        self.given.wait.unwrap_or(0)
    }

    /// The size that a proof is to cover, when the question names one.
    #[must_use]
    pub fn covers(&self) -> Option<u64> {
        self.as_of.as_deref()?.parse().ok()
    }

    /// The time asked about.
    ///
    /// # Errors
    /// 400.
    pub fn time_at(&self) -> Result<Option<i64>, Problem> {
        self.at.as_deref().map(|text| time("at", text)).transpose()
    }

    /// How far a walk goes.
    ///
    /// # Errors
    /// 400 beyond the limits.
    pub fn bounds(&self) -> Result<Bounds, Problem> {
        let standard = Bounds::default();
        let depth = self.depth.unwrap_or(standard.depth);
        let tokens = self.tokens.unwrap_or(standard.tokens);
        if depth > DEPTH_MAX || !(1..=TOKENS_MAX).contains(&tokens) {
            return Err(bad_query("depth is at most 1024, tokens 1 to 10000"));
        }
        let reach = match self.strength.as_deref() {
            None | Some("stated") => Reach::Stated,
            Some("asserted") => Reach::Asserted,
            Some("joined") => Reach::Joined,
            Some(_) => {
                return Err(bad_query("strength is asserted, stated or joined").about("strength"));
            }
        };
        Ok(Bounds { depth, tokens, reach })
    }

    /// Whose events are meant.
    ///
    /// # Errors
    /// 400.
    pub fn whose(&self, standard: Of) -> Result<Of, Problem> {
        match self.of.as_deref() {
            None => Ok(standard),
            Some("token") => Ok(Of::Token),
            Some("descendants") => Ok(Of::Descendants),
            Some("grant") => Ok(Of::Grant),
            Some(_) => Err(bad_query("of is token, descendants or grant").about("of")),
        }
    }

    /// Whether the proof is asked for.
    ///
    /// # Errors
    /// 400 for a page of a proof, and for what goes with a proof alone.
    pub fn wants_proof(&self) -> Result<bool, Problem> {
        let wanted = self.proof;
        if wanted && self.page.is_some() {
            return Err(bad_query("a proof is of a whole answer, not of a page").about("page"));
        }
        if !wanted && self.origin.is_some() {
            return Err(bad_query("origin goes with proof=true").about("origin"));
        }
        if !wanted && self.previous_size.is_some() {
            return Err(bad_query("previous_size goes with proof=true").about("previous_size"));
        }
        Ok(wanted)
    }

    /// What was asked besides, for the bundle: every parameter that decides, also one that was left
    /// to its default. Times are written in one way.
    fn stated(&self, name: &str, judged_at: i64) -> Result<Vec<(String, String)>, Problem> {
        let mut stated = self.clone();
        stated.take_defaults(name, judged_at)?;
        let Ok(Value::Object(all)) = serde_json::to_value(stated.given) else {
            return Ok(Vec::new());
        };
        let stated = all.into_iter().filter_map(|(name, value)| {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                // Flags say how it is answered, not what is asked.
                _ => return None,
            };
            let value = match name.as_str() {
                "tenant" | "page" | "origin" | "previous_size" | "wait" => return None,
                "as_of" | "at" | "from" | "until" => one_way(value),
                _ => value,
            };
            Some((name, value))
        });
        Ok(stated.collect())
    }

    /// What the questions take for a parameter that was not given. The kernel's table names those
    /// that a bundle always tells (`ledgerline_proof::question`).
    fn take_defaults(&mut self, name: &str, judged_at: i64) -> Result<(), Problem> {
        let default = |parameter: &mut Option<String>, value: &str| {
            parameter.get_or_insert_with(|| value.to_owned());
        };
        match name {
            "lineage" => {
                default(&mut self.direction, "descendants");
                default(&mut self.strength, "stated");
                self.depth.get_or_insert(Bounds::default().depth);
            }
            "blast-radius" => {
                default(&mut self.strength, "stated");
                self.depth.get_or_insert(Bounds::default().depth);
            }
            "resources" => {
                default(&mut self.from, "last-refresh");
                default(&mut self.until, "revocation");
                default(&mut self.of, "token");
            }
            "divergence" => default(&mut self.of, "descendants"),
            "exposure" => default(&mut self.of, "token"),
            "policy-changes" => {
                let until = self.until.as_deref().map(|text| time("until", text)).transpose()?;
                let until = until.unwrap_or(judged_at.saturating_add(1));
                let hours = i64::from(self.hours_back()?).saturating_mul(3_600_000_000_000);
                default(&mut self.until, &time_text::rfc3339(until));
                default(&mut self.from, &time_text::rfc3339(until.saturating_sub(hours)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Hours back from the time of judgement.
    ///
    /// # Errors
    /// 400.
    pub fn hours_back(&self) -> Result<u32, Problem> {
        let hours = self.hours.unwrap_or(24);
        let fits = (1..=1_000_000).contains(&hours);
        if fits { Ok(hours) } else { Err(bad_query("hours is 1 up").about("hours")) }
    }

    /// The parameters that decide the answer, for page tokens. Its text is a part of what they are
    /// sealed with: those of before go on as long as it stays.
    fn question(&self, name: &str, subject: &str) -> String {
        fn text<T: ToString>(number: Option<T>) -> Option<String> {
            number.map(|number| number.to_string())
        }
        let Parameters { as_of, at, direction, to, from, until, of, .. } = &self.given;
        let [depth, tokens, hours] = [text(self.depth), text(self.tokens), text(self.hours)];
        let list = [as_of, at, direction, to, &depth, &tokens, from, until, of, &hours];
        let Parameters { strength, kind, value, state, severity, rule, token, .. } = &self.given;
        let own = [strength, kind, value, state, severity, rule, token];
        format!("{name}\n{subject}\n{list:?}\n{own:?}")
    }
}

/// Refuses a name that the route does not know.
fn unknown(name: &str, known: &'static [&'static str]) -> Problem {
    let what = match is_like_one(name, known) {
        true => format!("there is no parameter {name} here"),
        false => "there is no such parameter here".to_owned(),
    };
    bad_query(match known {
        [] => format!("{what}: the route takes none"),
        known => format!("{what}; there is {}", known.join(", ")),
    })
}

/// Refuses the query of a route that takes none. Routes without a key are left alone: probes add to
/// theirs what they like; so are the forms of OAuth, which have words of their own.
pub async fn none_where_none_is_known(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let operation = find(request.method().as_str(), path);
    let takes_none = operation
        .is_some_and(|one| one.parameters.is_empty() && !one.roles.is_empty() && !one.is_oauth());
    if takes_none && let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
        let refusal = credential::in_query(query);
        let none = || bad_query("the route takes no parameters");
        return refusal.unwrap_or_else(none).into_response();
    }
    next.run(request).await
}

/// Refuses a parameter.
pub fn bad_query(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::bad_request("bad_query", detail)
}

/// Refuses a page token.
pub fn bad_page(error: PageError) -> Problem {
    Problem::bad_request("bad_page", error.to_string()).about("page")
}

/// The number that stands in the place of a page token, where a page begins at an entry and nothing
/// else is to be kept.
///
/// # Errors
/// 400.
pub fn page_number(page: Option<&str>) -> Result<Option<u64>, Problem> {
    let read = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| {
            Problem::bad_request("bad_page", "page is the `next` of the answer before")
                .about("page")
        })
    };
    page.map(read).transpose()
}

/// A time of the query.
///
/// # Errors
/// 400.
pub fn time(name: &'static str, text: &str) -> Result<i64, Problem> {
    time_text::parse(text).ok_or_else(|| {
        // In a query a plus sign stands for a space.
        bad_query(format!("{name} is no RFC 3339 time (the + of an offset is sent as %2B)"))
            .about(name)
    })
}

/// A number within what is described of its parameter.
fn fitting(name: &'static str, number: u64) -> Result<u64, Problem> {
    let schema = DESCRIBED.get(name).map(|one| &one.schema);
    let bound = |which: &str| schema.and_then(|schema| schema[which].as_u64());
    // `limit` has bounds of its own on every route.
    let (least, most) = match name {
        "limit" => (0, u64::MAX),
        _ => (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(u64::MAX)),
    };
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(bad_query(format!("{name} is {least} to {most}")).about(name))
}

fn number(name: &'static str, text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| bad_query(format!("{name} is no number in range")).about(name))
}

/// A time in the one way in which bundles tell it; another word as it is.
fn one_way(text: String) -> String {
    time_text::parse(&text).map_or(text, time_text::rfc3339)
}

/// A question being answered: the query context, and what its frame needs.
pub struct Question<'v> {
    /// Reads for it.
    pub context: QueryContext<'v>,
    /// Where the page begins, when it is not the first.
    pub cursor: Option<Cursor>,
    node: &'v Node,
    name: &'static str,
    full: String,
    /// When the proof is asked for: what was asked, and of which origin.
    proof: Option<Proving>,
    /// Whether anything ever named its tenant.
    tenant_known: bool,
}

/// What a proof needs: what was asked, of which origin, and since which size.
struct Proving {
    request: QuestionRequest,
    origin: Option<String>,
    previous_size: Option<u64>,
    covered: Option<Covered>,
}

impl<'v> Question<'v> {
    /// Opens a question about `subject`. `covered` is what its proof was waited for.
    ///
    /// # Errors
    /// 400 for a page token that is not of this question, and moments that are none or lie ahead.
    pub fn open(
        node: &'v Node,
        view: &'v View,
        tenant: String,
        params: &Params,
        name: &'static str,
        subject: &str,
        covered: Option<Covered>,
    ) -> Result<Self, Problem> {
        let full = params.question(name, subject);
        let proves = params.wants_proof()?;
        let now = node.now();
        let at = params.time_at()?;
        let (as_of, judged_at, cursor) = match &params.page {
            Some(page) => {
                let place = node.page_tokens().open(&tenant, &full, &view.logs(), page);
                let PagePlace { cursor, as_of, judged_at } = place.map_err(bad_page)?;
                (as_of, judged_at, Some(cursor))
            }
            None => {
                let newest = if proves { view.published_as_of() } else { view.as_of() };
                let as_of = as_of(view, params.as_of.as_deref(), now, newest)?;
                (as_of, at.unwrap_or(now), None)
            }
        };
        let previous_size = params.previous_size;
        let mut proof = None;
        if proves {
            let request = QuestionRequest {
                tenant: tenant.clone(),
                name: name.to_owned(),
                about: subject.to_owned(),
                parameters: params.stated(name, judged_at)?,
                most: MAX_LEAVES,
                ..QuestionRequest::default()
            };
            proof =
                Some(Proving { request, origin: params.origin.clone(), previous_size, covered });
        }
        let scope = Scope { tenant, as_of, at, judged_at };
        let tenant_known = knows_tenant(view, &node.keys(), &scope.tenant)?;
        let context = QueryContext::new(view, scope, Spending::default())?;
        Ok(Self { context, cursor, node, name, full, proof, tenant_known })
    }

    /// The entry where the page begins, when it is not the first.
    #[must_use]
    pub fn from(&self) -> Option<EntryRef> {
        match self.cursor? {
            Cursor::Entry(at) => Some(at),
            // No token of a question that goes by entries.
            Cursor::Item(_) => None,
        }
    }

    /// The item of a list, made again, where the page begins.
    #[must_use]
    pub fn item(&self) -> usize {
        match self.cursor {
            Some(Cursor::Item(n)) => usize::try_from(n).unwrap_or(usize::MAX),
            // No token of a question that goes by items.
            Some(Cursor::Entry(_)) | None => 0,
        }
    }

    /// When states are judged.
    #[must_use]
    pub fn judged_at(&self) -> i64 {
        self.context.scope().judged_at
    }

    /// Says something besides in the bundle, when the proof is asked for.
    fn note(&mut self, text: String) {
        if let Some(proving) = &mut self.proof {
            proving.request.notes.push(text);
        }
    }

    /// Says in the bundle when the rules had not judged all that the answer covers.
    pub fn note_lag(&mut self, progress: &AllProgress<'_>) {
        if let Some(findings) = progress.get("findings").filter(|one| !one.is_caught_up()) {
            self.note(format!("{INCOMPLETE}{}", findings.words));
        }
    }

    /// The bundle of what was found, when the proof is asked for. `more` says that there is
    /// more of the answer.
    ///
    /// # Errors
    /// As [`prove::question`].
    pub fn proof(&mut self, more: bool) -> Result<Option<Response>, Problem> {
        let Some(proving) = self.proof.take() else { return Ok(None) };
        let Proving { mut request, origin, previous_size, covered } = proving;
        if more {
            request.notes.push("there is more of the answer: ask for more items".to_owned());
        }
        let origin = origin.as_deref();
        let mut bundle = prove::question(&mut self.context, request, origin, previous_size)?;
        if let Some(covered) = covered {
            covered.mark(&mut bundle);
        }
        Ok(Some(json(&bundle)?))
    }

    /// Puts the frame around an answer, or gives its proof. `next` is the cursor of the page behind
    /// it.
    ///
    /// # Errors
    /// As [`Question::try_answer`].
    pub fn answer<T: Serialize>(
        self,
        next: Option<Cursor>,
        body: impl FnOnce() -> T,
    ) -> Result<Response, Problem> {
        self.try_answer(next, || Ok(body()))
    }

    /// As [`Question::answer`], of what may fail.
    ///
    /// # Errors
    /// Of `body`; of a proof, as [`prove::question`].
    pub fn try_answer<T: Serialize>(
        mut self,
        next: Option<Cursor>,
        body: impl FnOnce() -> Result<T, Problem>,
    ) -> Result<Response, Problem> {
        if let Some(bundle) = self.proof(next.is_some())? {
            return Ok(bundle);
        }
        json(&self.framed(next, body()?))
    }

    fn framed<T>(&self, next: Option<Cursor>, body: T) -> Answer<'_, T> {
        let scope = self.context.scope();
        let view = self.context.view();
        let page = next.map(|cursor| {
            let (as_of, judged_at) = (scope.as_of.clone(), scope.judged_at);
            let place = PagePlace { cursor, as_of, judged_at };
            self.node.page_tokens().seal(&scope.tenant, &self.full, &view.logs(), &place)
        });
        // An `as_of` in an older origin is a size of that one.
        let end = scope.as_of.end().unwrap_or(EntryRef::FIRST);
        Answer {
            question: self.name.into(),
            tenant: (&*scope.tenant).into(),
            tenant_known: self.tenant_known,
            origin: view.of_log(end.log).identity().origin.to_string().into(),
            as_of: end.index,
            at: scope.at.map(Time),
            judged_at: Time(scope.judged_at),
            size: view.size(),
            checkpoint: view.checkpoint().to_string().into(),
            published_size: view.published_size(),
            // What nothing but receipts proves yet.
            newer_entries: view.size().saturating_sub(view.published_size()),
            cut_by: question_json::cuts(&self.context.cuts()),
            next: page.map(Into::into),
            body,
        }
    }
}

/// How far a question looks. A number is a size of the newest origin.
fn as_of(view: &View, asked: Option<&str>, now: i64, newest: AsOf) -> Result<AsOf, Problem> {
    let beyond = |what| Problem::bad_request("out_of_range", what);
    match asked {
        None => Ok(newest),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let size = number("as_of", text)?;
            if size > view.size() {
                return Err(beyond("as_of lies beyond the ledger's size"));
            }
            Ok(view.up_to(size))
        }
        Some(text) => {
            let nanos = time("as_of", text)?;
            if nanos > now {
                return Err(beyond("as_of lies in the future"));
            }
            Ok(view.recorded_by(nanos)?)
        }
    }
}
