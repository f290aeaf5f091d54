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
use ledgerline_answers::answer::json;
use ledgerline_answers::event_json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove::{self, LifeRequest};
use ledgerline_api::log::{self as form, RecordState, Recorded};
use ledgerline_api::privacy::{Disclose, Disclosed};
use ledgerline_api::recorded::NotALeaf;
use ledgerline_api::uuid_text;
use ledgerline_api::values::{Handle, Word};
use ledgerline_disclosure::{
    About, Content, DisclosedEvent, DisclosedRecord, MAX_EVENTS, Part, Selection, select,
};
use ledgerline_proof::personal::PersonalRecord;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_view::address::EntryRef;
use ledgerline_view::page_token::{Cursor, PageError, PagePlace};
use ledgerline_view::registry::{Caller, Roles};
use ledgerline_view::view::View;

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

impl Asked {
    fn judged(request: Disclose, caller: &Caller) -> Result<Self, Problem> {
        let tenant = auth::tenant(caller, request.tenant.as_deref())?;
        let purpose = request.purpose.unwrap_or_default();
        let fits = (1..=PURPOSE_CHARS).contains(&purpose.chars().count());
        if !fits || purpose.trim().is_empty() || purpose.chars().any(char::is_control) {
            return Err(bad("say the purpose in 1 to 256 characters: it stands in the ledger"));
        }
        check_text("bad_disclosure", &purpose)?;
        let (about, question) =
            match (request.token_id, request.handle, request.source, request.event_id) {
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
                    let event_id =
                        uuid_text::parse(&id).ok_or_else(|| bad("an event id is a UUID"))?;
                    let question = format!("event\n{source}\n{}", uuid_text::hex(&event_id));
                    (About::Event { source, event_id }, question)
                }
                _ => return Err(bad("name a token_id, a handle, or a source with an event_id")),
            };
        let limit = request.limit.unwrap_or(PAGE_EVENTS);
        if !(1..=MAX_EVENTS).contains(&limit) {
            return Err(bad("limit is 1 to 256"));
        }
        let question = format!("disclose\n{question}");
        let Disclose { page, previous_size, .. } = request;
        Ok(Self { tenant, purpose, about, question, limit, page, previous_size })
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
    let request: Disclose = json_body(&app, &headers, body).await?;
    let proves = request.proof;
    let asked = Asked::judged(request, &caller)?;
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
    let events = events.iter().map(event).collect::<Result<_, _>>()?;
    json(&Disclosed {
        index,
        origin: after.identity().origin.to_string().into(),
        size: after.size(),
        checkpoint: after.checkpoint().to_string().into(),
        tenant: tenant.into(),
        purpose: purpose.into(),
        records: records as u64,
        next: next.map(Into::into),
        events,
    })
}

fn event(disclosed: &DisclosedEvent) -> Result<Recorded<'_>, NotALeaf> {
    let records = Some(disclosed.records.iter().map(record).collect());
    Ok(Recorded { records, ..event_json::event(&disclosed.event)? })
}

fn record(record: &DisclosedRecord) -> form::DisclosedRecord<'_> {
    let plain = match &record.content {
        Content::Open(plain) => decode_object::<PersonalRecord<'_>>(Kind::Personal, plain).ok(),
        Content::Erased | Content::Withheld | Content::Closed => None,
    };
    let state = match (&record.content, &plain) {
        (Content::Open(_), Some(_)) => RecordState::Open,
        (Content::Erased, _) => RecordState::Erased,
        (Content::Withheld, _) => RecordState::Withheld,
        (Content::Open(_) | Content::Closed, _) => RecordState::Closed,
    };
    let attributes = plain.iter().flat_map(|plain| &plain.attributes);
    let text = |field: fn(&PersonalRecord<'_>) -> Option<String>| {
        plain.as_ref().and_then(field).map(Into::into)
    };
    form::DisclosedRecord {
        n: record.n,
        role: Word(record.role),
        handle: Handle(record.slot),
        state,
        user_id: text(|plain| plain.user_id.map(str::to_owned)),
        ip: text(|plain| plain.ip.map(str::to_owned)),
        user_agent: text(|plain| plain.user_agent.map(str::to_owned)),
        device: text(|plain| plain.device.map(str::to_owned)),
        resource: text(|plain| plain.resource.map(str::to_owned)),
        attributes: attributes
            .map(|one| (one.key.to_owned().into(), one.value.to_owned().into()))
            .collect(),
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
    json(&bundle)
}
