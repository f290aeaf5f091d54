//! Query parameters common to all questions (tenant, moment, page, proof), and the frame of their
//! answers.
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
//! Promises: a page token pins size and time of judgement and opens only under its tenant and its
//! question; a parameter that the question does not know is refused, never ignored. Every answer
//! names the question, the size and checkpoint it speaks of, and what cut it.

use axum::response::Response;
use ledgerline_answers::answer::{json_bytes, json_document};
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove;
use ledgerline_api::time_text;
use ledgerline_api::written::{self, Members, Time};
use ledgerline_node::Node;
use ledgerline_proof::bundle::{INCOMPLETE, MAX_LEAVES};
use ledgerline_prover::QuestionRequest;
use ledgerline_questions::lineage::{Bounds, QueryContext, Reach, Scope, Spending};
use ledgerline_questions::{Of, knows_tenant};
use ledgerline_view::address::{AsOf, EntryRef};
use ledgerline_view::page_token::{Cursor, PageError, PagePlace};
use ledgerline_view::view::View;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::covered::Covered;

/// Items on one page, and the most that may be asked for.
const PAGE_ITEMS: usize = 100;
const PAGE_ITEMS_MAX: usize = 1000;
/// Items of an answer that is proven: all of it in one bundle.
const PROVEN_ITEMS: usize = 10_000;
/// Bounds of a walk that may be asked for.
const DEPTH_MAX: u32 = 1024;
const TOKENS_MAX: usize = 10_000;

/// Every parameter that some question knows.
#[derive(Deserialize, Serialize, Default, Debug, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct QuestionParams {
    /// See the module doc.
    pub tenant: Option<String>,
    as_of: Option<String>,
    at: Option<String>,
    limit: Option<String>,
    page: Option<String>,
    proof: Option<String>,
    origin: Option<String>,
    previous_size: Option<String>,
    /// Which way a lineage goes.
    pub direction: Option<String>,
    /// The other end of a path.
    pub to: Option<String>,
    depth: Option<String>,
    /// How well an edge must be known to be followed.
    strength: Option<String>,
    tokens: Option<String>,
    /// Begin of a range: a point of a life, or a time.
    pub from: Option<String>,
    /// Its end.
    pub until: Option<String>,
    of: Option<String>,
    hours: Option<String>,
    /// What to pivot on.
    pub kind: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// Of findings: where they stand.
    pub state: Option<String>,
    /// Of findings: how grave at least.
    pub severity: Option<String>,
    /// Of findings: by which rule.
    pub rule: Option<String>,
    /// Of findings: about which token.
    pub token: Option<String>,
    /// Of findings: those to come, too.
    pub follow: Option<String>,
    /// Of findings: seconds to wait for the rules; of a proof: for a block.
    pub wait: Option<String>,
}

/// Refuses a parameter.
pub fn bad_query(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::bad_request("bad_query", detail)
}

/// Refuses a page token.
pub fn bad_page(error: PageError) -> Problem {
    Problem::bad_request("bad_page", error.to_string())
}

/// A time of the query.
///
/// # Errors
/// 400.
pub fn time(name: &'static str, text: &str) -> Result<i64, Problem> {
    time_text::parse(text).ok_or_else(|| {
        // In a query a plus sign stands for a space.
        bad_query(format!("{name} is no RFC 3339 time (the + of an offset is sent as %2B)"))
    })
}

fn number<T: std::str::FromStr>(
    name: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    let parse = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| bad_query(format!("{name} is no number in range")))
    };
    text.map(parse).transpose()
}

impl QuestionParams {
    /// Refuses parameters that are neither common nor among `known`.
    ///
    /// # Errors
    /// 400.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let given = [
            ("page", self.page.is_some()),
            ("limit", self.limit.is_some()),
            ("direction", self.direction.is_some()),
            ("to", self.to.is_some()),
            ("depth", self.depth.is_some()),
            ("strength", self.strength.is_some()),
            ("tokens", self.tokens.is_some()),
            ("from", self.from.is_some()),
            ("until", self.until.is_some()),
            ("of", self.of.is_some()),
            ("hours", self.hours.is_some()),
            ("kind", self.kind.is_some()),
            ("value", self.value.is_some()),
            ("state", self.state.is_some()),
            ("severity", self.severity.is_some()),
            ("rule", self.rule.is_some()),
            ("token", self.token.is_some()),
            ("follow", self.follow.is_some()),
            ("wait", self.wait.is_some() && self.proof.as_deref() != Some("true")),
        ];
        let stray = given.iter().find(|(name, given)| *given && !known.contains(name));
        stray.map_or(Ok(()), |(name, _)| {
            Err(bad_query(format!("this question does not know the parameter {name}")))
        })
    }

    /// The size that a proof is to cover, when the question names one.
    #[must_use]
    pub fn covers(&self) -> Option<u64> {
        self.as_of.as_deref()?.parse().ok()
    }

    /// How far a walk goes.
    ///
    /// # Errors
    /// 400 beyond the limits.
    pub fn bounds(&self) -> Result<Bounds, Problem> {
        let standard = Bounds::default();
        let depth = number("depth", self.depth.as_deref())?.unwrap_or(standard.depth);
        let tokens = number("tokens", self.tokens.as_deref())?.unwrap_or(standard.tokens);
        if depth > DEPTH_MAX || !(1..=TOKENS_MAX).contains(&tokens) {
            return Err(bad_query("depth is at most 1024, tokens 1 to 10000"));
        }
        let reach = match self.strength.as_deref() {
            None | Some("stated") => Reach::Stated,
            Some("asserted") => Reach::Asserted,
            Some("joined") => Reach::Joined,
            Some(_) => return Err(bad_query("strength is asserted, stated or joined")),
        };
        Ok(Bounds { depth, tokens, reach })
    }

    /// Whose events are meant.
    ///
    /// # Errors
    /// 400.
    pub fn of(&self, standard: Of) -> Result<Of, Problem> {
        match self.of.as_deref() {
            None => Ok(standard),
            Some("token") => Ok(Of::Token),
            Some("descendants") => Ok(Of::Descendants),
            Some("grant") => Ok(Of::Grant),
            Some(_) => Err(bad_query("of is token, descendants or grant")),
        }
    }

    /// Items on the page.
    ///
    /// # Errors
    /// 400.
    pub fn limit(&self) -> Result<usize, Problem> {
        let standard = if self.wants_proof()? { PROVEN_ITEMS } else { PAGE_ITEMS };
        let most = if self.wants_proof()? { PROVEN_ITEMS } else { PAGE_ITEMS_MAX };
        let limit = number("limit", self.limit.as_deref())?.unwrap_or(standard);
        if (1..=most).contains(&limit) {
            Ok(limit)
        } else {
            Err(bad_query(format!("limit is 1 to {most}")))
        }
    }

    /// Whether the proof is asked for.
    ///
    /// # Errors
    /// 400 for another word, for a page of a proof, and for an origin without a proof.
    pub fn wants_proof(&self) -> Result<bool, Problem> {
        let wanted = match self.proof.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(bad_query("proof is true or false")),
        };
        if wanted && self.page.is_some() {
            return Err(bad_query("a proof is of a whole answer, not of a page"));
        }
        if !wanted && self.origin.is_some() {
            return Err(bad_query("origin goes with proof=true"));
        }
        if !wanted && self.previous_size.is_some() {
            return Err(bad_query("previous_size goes with proof=true"));
        }
        Ok(wanted)
    }

    /// What was asked besides, for the bundle: every parameter that decides, also one that was left
    /// to its default. Times are written in one way.
    fn told(&self, name: &str, judged_at: i64) -> Result<Vec<(String, String)>, Problem> {
        let mut told = self.clone();
        told.take_defaults(name, judged_at)?;
        let Ok(Value::Object(all)) = serde_json::to_value(told) else { return Ok(Vec::new()) };
        let told = all.into_iter().filter_map(|(name, value)| {
            let value = value.as_str()?.to_owned();
            let value = match name.as_str() {
                "tenant" | "page" | "proof" | "origin" | "previous_size" | "wait" => return None,
                "as_of" | "at" | "from" | "until" => one_way(value),
                _ => value,
            };
            Some((name, value))
        });
        Ok(told.collect())
    }

    /// What the questions take for a parameter that was not given. The kernel's table names those
    /// that a bundle always tells (`ledgerline_proof::question`).
    fn take_defaults(&mut self, name: &str, judged_at: i64) -> Result<(), Problem> {
        let default = |parameter: &mut Option<String>, value: &str| {
            parameter.get_or_insert_with(|| value.to_owned());
        };
        let depth = Bounds::default().depth.to_string();
        match name {
            "lineage" => {
                default(&mut self.direction, "descendants");
                default(&mut self.depth, &depth);
                default(&mut self.strength, "stated");
            }
            "blast-radius" => {
                default(&mut self.depth, &depth);
                default(&mut self.strength, "stated");
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
                let hours = i64::from(self.hours()?).saturating_mul(3_600_000_000_000);
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
    pub fn hours(&self) -> Result<u32, Problem> {
        let hours = number("hours", self.hours.as_deref())?.unwrap_or(24);
        if (1..=1_000_000).contains(&hours) { Ok(hours) } else { Err(bad_query("hours is 1 up")) }
    }

    /// The parameters that decide the answer, for page tokens.
    fn question(&self, name: &str, subject: &str) -> String {
        let Self { as_of, at, direction, to, depth, tokens, from, until, of, hours, .. } = self;
        let list = [as_of, at, direction, to, depth, tokens, from, until, of, hours];
        let own = [
            &self.strength,
            &self.kind,
            &self.value,
            &self.state,
            &self.severity,
            &self.rule,
            &self.token,
        ];
        format!("{name}\n{subject}\n{list:?}\n{own:?}")
    }
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
        params: &QuestionParams,
        name: &'static str,
        subject: &str,
        covered: Option<Covered>,
    ) -> Result<Self, Problem> {
        let full = params.question(name, subject);
        let proves = params.wants_proof()?;
        let now = node.now();
        let at = params.at.as_deref().map(|text| time("at", text)).transpose()?;
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
        let previous_size = number("previous_size", params.previous_size.as_deref())?;
        let mut proof = None;
        if proves {
            let request = QuestionRequest {
                tenant: tenant.clone(),
                name: name.to_owned(),
                about: subject.to_owned(),
                parameters: params.told(name, judged_at)?,
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
    pub fn note_lag(&mut self, progress: &Value) {
        let findings = &progress["findings"];
        if findings["state"] != "caught_up" {
            let words = findings["words"].as_str().unwrap_or_default();
            self.note(format!("{INCOMPLETE}{words}"));
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
        Ok(Some(json_document(&bundle)?))
    }

    /// Puts the frame around an answer, which `write` writes, or gives its proof. `next` is the
    /// cursor of the page behind it.
    ///
    /// # Errors
    /// As [`Question::try_answer`].
    pub fn answer(
        self,
        next: Option<Cursor>,
        write: impl FnOnce(&mut Members<'_>),
    ) -> Result<Response, Problem> {
        self.try_answer(next, |members| {
            write(members);
            Ok(())
        })
    }

    /// As [`Question::answer`], of what may fail.
    ///
    /// # Errors
    /// Of `write`; of a proof, as [`prove::question`].
    pub fn try_answer(
        mut self,
        next: Option<Cursor>,
        write: impl FnOnce(&mut Members<'_>) -> Result<(), Problem>,
    ) -> Result<Response, Problem> {
        if let Some(bundle) = self.proof(next.is_some())? {
            return Ok(bundle);
        }
        let (bytes, written) = written::object(|members| {
            self.frame(next, members);
            write(members)
        });
        written.map(|()| json_bytes(bytes))
    }

    fn frame(&self, next: Option<Cursor>, members: &mut Members<'_>) {
        let scope = self.context.scope();
        let view = self.context.view();
        let page = next.map(|cursor| {
            let (as_of, judged_at) = (scope.as_of.clone(), scope.judged_at);
            let place = PagePlace { cursor, as_of, judged_at };
            self.node.page_tokens().seal(&scope.tenant, &self.full, &view.logs(), &place)
        });
        // An `as_of` in an older origin is a size of that one.
        let end = scope.as_of.end().unwrap_or(EntryRef::FIRST);
        let cuts: Vec<_> = self.context.cuts().iter().map(|cut| cut.word()).collect();
        members.say("question", self.name);
        members.say("tenant", &scope.tenant);
        members.say("tenant_known", self.tenant_known);
        members.say("origin", &*view.of_log(end.log).identity().origin);
        members.say("as_of", end.index);
        members.say("at", scope.at.map(Time));
        members.say("judged_at", Time(scope.judged_at));
        members.say("size", view.size());
        members.say("checkpoint", &*view.checkpoint());
        members.say("published_size", view.published_size());
        // What nothing but receipts proves yet.
        members.say("newer_entries", view.size().saturating_sub(view.published_size()));
        members.say("cut_by", cuts);
        members.say("next", page);
    }
}

/// How far a question looks. A number is a size of the newest origin.
fn as_of(view: &View, asked: Option<&str>, now: i64, newest: AsOf) -> Result<AsOf, Problem> {
    let beyond = |what| Problem::bad_request("out_of_range", what);
    match asked {
        None => Ok(newest),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let size = number("as_of", Some(text))?.unwrap_or(0);
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
