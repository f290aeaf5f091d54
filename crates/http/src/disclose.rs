//! `POST /v1/disclose`: personal records read back by those who may.
//!
//! ```text
//! {"purpose":"case 4711", "token_id":"eu:idp:jti:…"}       or "handle", or "source" + "event_id"
//! ──▶ {"index":812, "records":2, "events":[{…, "records":[{"role":"SUBJECT","state":"open",
//!      "user_id":"…"}]}], "next":"…"}
//! ```
//!
//! Promises: the DISCLOSED entry at `index` is on the disk before anything is opened; it names the
//! credential, the purpose, the events and how many records. No personal value stands in a URL, a
//! log line, a metric or a cache. Each page is a disclosure with an entry of its own.
//!
//! Refuses: whoever is not `privacy`, before the body is read; a call without a purpose.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::{json_bytes, json_document};
use ledgerline_answers::event_json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove::{self, LifeRequest};
use ledgerline_api::uuid_text;
use ledgerline_api::written::{self, Hex, Members};
use ledgerline_disclosure::{
    About, Content, DisclosedEvent, DisclosedRecord, MAX_EVENTS, Part, Selection, select,
};
use ledgerline_proof::personal::PersonalRecord;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_view::address::EntryRef;
use ledgerline_view::page_token::{Cursor, PageError, PagePlace};
use ledgerline_view::registry::{Caller, Roles};
use ledgerline_view::view::View;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::auth::Needs;
use crate::covered::{self, Covered};
use crate::extract::{check_text, json_body};
use crate::question_params::bad_page;
use crate::tokens::check_id;
use crate::{App, Shared, auth};

/// Events of a page when nobody says how many.
const PAGE_EVENTS: usize = 100;
/// Characters of a purpose.
const PURPOSE_CHARS: usize = 256;

/// Whose records are wanted, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscloseRequest {
    purpose: Option<String>,
    tenant: Option<String>,
    token_id: Option<String>,
    handle: Option<String>,
    source: Option<String>,
    event_id: Option<String>,
    limit: Option<usize>,
    page: Option<String>,
    #[serde(default)]
    proof: bool,
    /// With the proof: the size of an older checkpoint that the tree must begin with.
    previous_size: Option<u64>,
}

/// A request that was judged.
struct Asked {
    tenant: String,
    purpose: String,
    about: About,
    /// What page tokens are bound to.
    question: String,
    limit: usize,
    page: Option<String>,
    previous_size: Option<u64>,
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_disclosure", detail)
}

impl DiscloseRequest {
    fn judged(self, caller: &Caller) -> Result<Asked, Problem> {
        let tenant = auth::tenant(caller, self.tenant.as_deref())?;
        let purpose = self.purpose.unwrap_or_default();
        let fits = (1..=PURPOSE_CHARS).contains(&purpose.chars().count());
        if !fits || purpose.trim().is_empty() || purpose.chars().any(char::is_control) {
            return Err(bad("say the purpose in 1 to 256 characters: it stands in the ledger"));
        }
        check_text("bad_disclosure", &purpose)?;
        let (about, question) = match (self.token_id, self.handle, self.source, self.event_id) {
            (Some(id), None, None, None) => {
                check_id(&id)?;
                (About::Token(id.clone()), format!("token\n{id}"))
            }
            (None, Some(text), None, None) => {
                let handle =
                    uuid_text::parse(&text).ok_or_else(|| bad("handle is 32 hex digits"))?;
                (About::Handle(handle), format!("handle\n{}", uuid_text::hex(&handle)))
            }
            (None, None, Some(source), Some(id)) => {
                let event_id = uuid_text::parse(&id).ok_or_else(|| bad("an event id is a UUID"))?;
                let question = format!("event\n{source}\n{}", uuid_text::hex(&event_id));
                (About::Event { source, event_id }, question)
            }
            _ => return Err(bad("name a token_id, a handle, or a source with an event_id")),
        };
        let limit = self.limit.unwrap_or(PAGE_EVENTS);
        if !(1..=MAX_EVENTS).contains(&limit) {
            return Err(bad("limit is 1 to 256"));
        }
        let question = format!("disclose\n{question}");
        let Self { page, previous_size, .. } = self;
        Ok(Asked { tenant, purpose, about, question, limit, page, previous_size })
    }
}

/// Discloses.
///
/// # Errors
/// 401, 403; 404 when this tenant has nothing such; 422 without a purpose; 503 for a bundle of what
/// no block covers yet.
pub async fn disclose(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role privacy";
    let caller = auth::require(&app, &headers, Roles::PRIVACY, lacking)?;
    let request: DiscloseRequest = json_body(&app, &headers, body).await?;
    let proves = request.proof;
    let asked = request.judged(&caller)?;
    // Before anything is recorded: what the bundle cannot cover would be disclosed for nothing.
    let covered = match proves {
        true => {
            let needs = Needs { roles: Roles::PRIVACY, lacking };
            Some(covered::wait(&app, &headers, needs, None, None).await?)
        }
        false => None,
    };
    let _turn = app.gate.turn_to_prove(proves).await?;
    let of = std::sync::Arc::clone(&app);
    app.gate
        .wait(move || match covered {
            Some(covered) => bundle(&of, &caller, asked, &covered),
            None => page(&of, &caller, asked),
        })
        .await
}

/// A page of opened records.
fn page(app: &App, caller: &Caller, asked: Asked) -> Result<Response, Problem> {
    let Asked { tenant, purpose, about, question, limit, page, .. } = asked;
    let node = &app.node;
    let view = node.view();
    let (from, as_of) = match &page {
        None => (EntryRef::FIRST, view.as_of()),
        Some(token) => {
            let place = node.page_tokens().open(&tenant, &question, &view.logs(), token);
            let PagePlace { cursor, as_of, .. } = place.map_err(bad_page)?;
            let Cursor::Entry(from) = cursor else { return Err(bad_page(PageError::Foreign)) };
            (from, as_of)
        }
    };
    let part = Part { from, as_of: as_of.clone(), limit };
    let selection = select(&view, &tenant, about, part)?;
    if selection.is_empty() && selection.next().is_none() && page.is_none() {
        return Err(Problem::not_found());
    }
    let (next, records) = (selection.next(), selection.records());
    let next = next.map(|at| {
        let place = PagePlace { cursor: Cursor::Entry(at), as_of, judged_at: 0 };
        node.page_tokens().seal(&tenant, &question, &view.logs(), &place)
    });
    let (index, events) = node.disclose(caller, &purpose, selection)?;
    // The newest state holds the entry: its checkpoint is the entry's receipt.
    let after = node.view();
    let (bytes, written) = written::object(|members| {
        members.say("index", index);
        members.say("origin", &*after.identity().origin);
        members.say("size", after.size());
        members.say("checkpoint", &*after.checkpoint());
        members.say("tenant", tenant);
        members.say("purpose", purpose);
        members.say("records", records);
        members.say("next", next);
        members.try_all("events", &events, event)
    });
    written.map(|()| json_bytes(bytes))
}

fn event(disclosed: &DisclosedEvent, members: &mut Members<'_>) -> Result<(), Problem> {
    event_json::event(&disclosed.event, members)?;
    members.all("records", &disclosed.records, record);
    Ok(())
}

fn record(record: &DisclosedRecord, members: &mut Members<'_>) {
    members.set("n", record.n);
    members.set("role", record.role.symbol());
    members.set("handle", Hex(record.slot));
    let plain = match &record.content {
        Content::Open(plain) => decode_object::<PersonalRecord<'_>>(Kind::Personal, plain).ok(),
        Content::Erased | Content::Withheld | Content::Closed => None,
    };
    let state = match (&record.content, &plain) {
        (Content::Open(_), Some(_)) => "open",
        (Content::Erased, _) => "erased",
        (Content::Withheld, _) => "withheld",
        (Content::Open(_) | Content::Closed, _) => "closed",
    };
    members.set("state", state);
    if let Some(plain) = plain {
        members.set("user_id", plain.user_id);
        members.set("ip", plain.ip);
        members.set("user_agent", plain.user_agent);
        members.set("device", plain.device);
        members.set("resource", plain.resource);
        let free = plain.attributes.iter().map(|one| (one.key.to_owned(), one.value.into()));
        let free: Map<String, Value> = free.collect();
        members.set("attributes", (!free.is_empty()).then_some(Value::Object(free)));
    }
}

/// A proof bundle with the opened records in it: of one event, or of a token's whole life.
fn bundle(
    app: &App,
    caller: &Caller,
    asked: Asked,
    covered: &Covered,
) -> Result<Response, Problem> {
    let Asked { tenant, purpose, about, page, previous_size, .. } = asked;
    if page.is_some() || matches!(about, About::Handle(_)) {
        return Err(bad("a proof is of one event or of a token's whole life"));
    }
    let view = app.node.view();
    let prove = |view: &View, disclose: bool| match &about {
        About::Token(id) => {
            let tenant = &*tenant;
            let asked = LifeRequest { tenant, id, origin: None, disclose, previous_size };
            prove::token(view, &asked, app.node.now())
        }
        About::Event { source, event_id } => {
            let found = view.locate_event(&tenant, source, event_id)?;
            let (origin, index) = found.ok_or_else(Problem::not_found)?;
            prove::event_with(&origin, index, disclose, previous_size)
        }
        About::Handle(_) => Err(Problem::internal()),
    };
    // What cannot be proven is not disclosed: this one opens nothing.
    prove(&view, false)?;
    let part = Part { from: EntryRef::FIRST, as_of: view.published_as_of(), limit: MAX_EVENTS };
    let selection: Selection = select(&view, &tenant, about.clone(), part)?;
    if selection.next().is_some() {
        let detail = "more than one disclosure may hold; prove single events";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bundle_too_large", detail));
    }
    app.node.record_disclosure(caller, &purpose, &selection)?;
    let mut bundle = prove(&view, true)?;
    // What came in between was not recorded as disclosed.
    bundle.personal.retain(|one| selection.holds(&bundle.origin, one.index.0));
    covered.mark(&mut bundle);
    json_document(&bundle)
}
