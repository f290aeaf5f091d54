//! What every question about the past has in common: tenant, moment, page, and the frame of its
//! answer.
//!
//! ```text
//! tenant   another tenant, for credentials of all
//! as_of    what the ledger knew: a size, or a time of recording (RFC 3339, UTC)
//! at       what had happened: an event time; states are judged then
//! limit    items on a page                page    the token of a later page
//! ```
//!
//! Promises: a page token pins size and time of judgement and opens only under its tenant and its
//! question; a parameter that the question does not know is refused, never ignored. Every answer
//! names the question, the size and checkpoint it speaks of, and what cut it.

use axum::response::Response;
use ledgerline_engine::clock::{Clock as _, SystemClock};
use ledgerline_engine::lineage::{Bounds, Inquiry, Scope, Spending};
use ledgerline_engine::node::Node;
use ledgerline_engine::page_token::PagePlace;
use ledgerline_engine::questions::Of;
use ledgerline_engine::view::View;
use serde::Deserialize;
use serde_json::{Value, json};

use super::events::json_value;
use super::problem::Problem;
use crate::time_text;

/// Items on one page, and the most that may be asked for.
const PAGE_ITEMS: usize = 100;
const PAGE_ITEMS_MAX: usize = 1000;
/// Bounds of a walk that may be asked for.
const DEPTH_MAX: u32 = 1024;
const TOKENS_MAX: usize = 10_000;

/// Every parameter that some question knows.
#[derive(Deserialize, Default, Debug, Clone)]
#[serde(deny_unknown_fields, default)]
pub struct Asking {
    /// See the module doc.
    pub tenant: Option<String>,
    as_of: Option<String>,
    at: Option<String>,
    limit: Option<String>,
    page: Option<String>,
    /// Which way a lineage goes.
    pub direction: Option<String>,
    /// The other end of a path.
    pub to: Option<String>,
    depth: Option<String>,
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
}

/// Refuses a parameter.
pub fn bad_query(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::bad_request("bad_query", detail)
}

/// A time of the query.
///
/// # Errors
/// 400.
pub fn time(name: &'static str, text: &str) -> Result<i64, Problem> {
    time_text::parse(text).ok_or_else(|| bad_query(format!("{name} is no RFC 3339 UTC time")))
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

impl Asking {
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
        ];
        let stray = given.iter().find(|(name, given)| *given && !known.contains(name));
        stray.map_or(Ok(()), |(name, _)| {
            Err(bad_query(format!("this question does not know the parameter {name}")))
        })
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
        Ok(Bounds { depth, tokens })
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
        let limit = number("limit", self.limit.as_deref())?.unwrap_or(PAGE_ITEMS);
        if (1..=PAGE_ITEMS_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(bad_query("limit is 1 to 1000"))
        }
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
        let own = [&self.kind, &self.value, &self.state, &self.severity, &self.rule, &self.token];
        format!("{name}\n{subject}\n{list:?}\n{own:?}")
    }
}

/// A question being answered: the inquiry, and what its frame needs.
pub struct Question<'v> {
    /// Reads for it.
    pub inquiry: Inquiry<'v>,
    /// Where the page begins, when it is not the first.
    pub cursor: Option<u64>,
    node: &'v Node,
    name: &'static str,
    full: String,
}

impl<'v> Question<'v> {
    /// Opens a question about `subject`.
    ///
    /// # Errors
    /// 400 for a page token that is not of this question, and moments that are none or lie ahead.
    pub fn open(
        node: &'v Node,
        view: &'v View,
        tenant: String,
        asking: &Asking,
        (name, subject): (&'static str, &str),
    ) -> Result<Self, Problem> {
        let full = asking.question(name, subject);
        let now = SystemClock::default().wall_nanos();
        let at = asking.at.as_deref().map(|text| time("at", text)).transpose()?;
        let (size, judged_at, cursor) = match &asking.page {
            Some(page) => {
                let place = node.page_tokens().open(&tenant, &full, page);
                let place = place.ok_or_else(|| {
                    let detail = "the page token is not of this question; ask for the first page";
                    Problem::bad_request("bad_page", detail)
                })?;
                (place.size, place.judged_at, Some(place.cursor))
            }
            None => (as_of(view, asking.as_of.as_deref(), now)?, at.unwrap_or(now), None),
        };
        let scope = Scope { tenant, size, at, judged_at };
        let inquiry = Inquiry::new(view, scope, Spending::default())?;
        Ok(Self { inquiry, cursor, node, name, full })
    }

    /// When states are judged.
    #[must_use]
    pub fn judged_at(&self) -> i64 {
        self.inquiry.scope().judged_at
    }

    /// Puts the frame around an answer. `next` is the cursor of the page behind it.
    #[must_use]
    pub fn answer(self, mut body: Value, next: Option<u64>) -> Response {
        let scope = self.inquiry.scope();
        let view = self.inquiry.view();
        let page = next.map(|cursor| {
            let place = PagePlace { cursor, size: scope.size, judged_at: scope.judged_at };
            self.node.page_tokens().seal(&scope.tenant, &self.full, place)
        });
        let cuts: Vec<_> = self.inquiry.cuts().iter().map(|cut| cut.word()).collect();
        let frame = json!({
            "question": self.name,
            "tenant": scope.tenant,
            "origin": &*view.identity().origin,
            "as_of": scope.size,
            "at": scope.at.map(time_text::rfc3339),
            "judged_at": time_text::rfc3339(scope.judged_at),
            "size": view.size(),
            "checkpoint": &*view.checkpoint(),
            "published_size": view.published_size(),
            "cut_by": cuts,
            "next": page,
        });
        if let (Some(body), Value::Object(frame)) = (body.as_object_mut(), frame) {
            body.extend(frame);
        }
        json_value(&body)
    }
}

/// The size that a question is about.
fn as_of(view: &View, asked: Option<&str>, now: i64) -> Result<u64, Problem> {
    let beyond = |what| Problem::bad_request("out_of_range", what);
    match asked {
        None => Ok(view.size()),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let size = number("as_of", Some(text))?.unwrap_or(0);
            if size > view.size() {
                return Err(beyond("as_of lies beyond the ledger's size"));
            }
            Ok(size)
        }
        Some(text) => {
            let nanos = time("as_of", text)?;
            if nanos > now {
                return Err(beyond("as_of lies in the future"));
            }
            Ok(Inquiry::size_at(view, nanos)?)
        }
    }
}
