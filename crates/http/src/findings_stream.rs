//! `GET /v1/findings?follow`: findings as server-sent events (WHATWG HTML section 9.2), those that
//! are there and those to come.
//!
//! ```text
//! id: 1234                       the ledger index; sent back as Last-Event-ID to go on behind it
//! event: finding
//! data: {"id":…}                 as in the list; with `open_again_at` one that was told before
//!
//! event: progress                how far the rules have judged: at first, when that becomes or is
//! data: {"findings":{…}}         no longer behind, and every fifteen seconds
//!
//! : waiting                      every fifteen seconds, so that the line is known to stand
//! ```
//!
//! Promises: each finding once in a stream, in ledger order, and again, with its state, when it was
//! closed or withdrawn and stands open again; a credential that ends, ends its
//! streams at the next look. A stream that tells nothing has said whether rules are behind: what
//! `progress` says was judged stands before it in the stream. Refuses: more streams than the
//! caller's share of them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use hyper::body::Frame;
use ledgerline_answers::counted;
use ledgerline_answers::finding_json::told;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json;
use ledgerline_followers::findings::list::{self, Wanted};
use ledgerline_gate::at_work;
use ledgerline_gate::shares::{Hold, Room};
use ledgerline_node::{Progress, Reader};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_view::address::{Begin, EntryRef};
use ledgerline_view::view::View;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::App;
use crate::auth::{self, READERS_LACKING};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks without anything to tell before a sign of life.
const QUIET_LOOKS: u32 = 60;
/// Looks between two words of how far the rules are, when that changes all the time.
const PROGRESS_LOOKS: u32 = 4;
/// Findings that wait for a reader, a stream.
const UNREAD_MAX: usize = 16;
/// Findings of one look.
const AT_A_TIME: usize = 100;

/// The body: what the task sends.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A form on one line.
fn text<T: Serialize>(form: &T) -> String {
    // Nothing here has what JSON cannot say.
    serde_json::to_string(form).unwrap_or_default()
}

/// What one look found, and where the next one begins.
fn look(view: &View, tenant: &str, wanted: &Wanted, from: Place) -> Result<Look, Problem> {
    let (tenant, as_of) = (tenant.to_owned(), view.as_of());
    let scope = Scope { tenant, as_of: as_of.clone(), at: None, judged_at: i64::MAX };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    let (found, next) = list::told(&mut context, wanted, from.begin.clone(), AT_A_TIME)?;
    let events = found.iter().map(|one| {
        let (number, data) = (counted::number(view, one.at), text(&told(view, one)));
        Bytes::from(format!("id: {number}\nevent: finding\ndata: {data}\n\n"))
    });
    let (events, is_whole) = (events.collect(), next.is_none());
    let begin = match next {
        Some(next) => from.begin.not_before(next),
        None => Begin::behind(as_of).not_before(from.first),
    };
    Ok(Look { events, from: Place { begin, ..from }, is_whole })
}

/// Where a stream is.
#[derive(Clone)]
struct Place {
    /// Nothing before is told.
    first: EntryRef,
    /// Where the next look begins.
    begin: Begin,
}

struct Look {
    events: VecDeque<Bytes>,
    from: Place,
    /// Whether it came to the end of what was recorded.
    is_whole: bool,
}

/// What a stream has said of how far the rules are.
#[derive(Default)]
struct Told {
    /// Looks since, and whether they were where the ledger was; nothing was said yet.
    last: Option<(u32, bool)>,
}

impl Told {
    /// The event that says it, when there is something to say.
    fn news(&mut self, judged: Progress, is_time: bool) -> Option<Bytes> {
        let now = judged.is_caught_up();
        let is_news = match &mut self.last {
            None => true,
            Some((looks, before)) => {
                *looks += 1;
                is_time || (*before != now && *looks >= PROGRESS_LOOKS)
            }
        };
        is_news.then(|| {
            self.last = Some((0, now));
            let shown = text(&progress_json::shown(&vec![(Reader::Findings, judged)]));
            Bytes::from(format!("event: progress\ndata: {shown}\n\n"))
        })
    }
}

/// Answers with a stream that begins at an entry, which is told by its number.
///
/// # Errors
/// 429 when the caller has its share of them.
pub fn answer(
    app: Arc<App>,
    headers: HeaderMap,
    tenant: String,
    wanted: Wanted,
    from: u64,
) -> Result<Response, Problem> {
    let party = at_work::party(&app.gate);
    let place = party.take(Room::Streams, 1)?;
    let (send, receive) = mpsc::channel(UNREAD_MAX);
    let first = counted::entry(&app.node.view(), from);
    let from = Place { first, begin: first.into() };
    let streaming = stream(app, headers, tenant, wanted, from, send, place);
    // Its looks take turns with the other questions of its tenant.
    tokio::spawn(at_work::answer(party, Some(Room::Streams), streaming));
    let mut response = Response::new(Body::new(Events(receive)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn stream(
    app: Arc<App>,
    headers: HeaderMap,
    tenant: String,
    wanted: Wanted,
    mut from: Place,
    send: mpsc::Sender<Bytes>,
    _place: Hold,
) {
    let mut quiet = 0;
    let mut told = Told::default();
    while auth::require(&app, &headers, auth::READERS, READERS_LACKING).is_ok() {
        // Before the look: what was judged by now is in it.
        let judged = app.node.progress(Reader::Findings);
        let (of, what, at) = (tenant.clone(), wanted.clone(), from);
        let Ok(found) = app.read(move |view| look(view, &of, &what, at)).await else { return };
        let idle = found.events.is_empty();
        from = found.from;
        quiet = if idle { quiet + 1 } else { 0 };
        let sign = (quiet == QUIET_LOOKS).then(|| Bytes::from_static(b": waiting\n\n"));
        // A look that was full has not come to the end of what was judged.
        let words = if found.is_whole { told.news(judged, quiet == QUIET_LOOKS) } else { None };
        for event in found.events.into_iter().chain(words).chain(sign) {
            if send.send(event).await.is_err() {
                return;
            }
        }
        if quiet == QUIET_LOOKS {
            quiet = 0;
        }
        if idle {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = send.closed() => return,
            }
        }
    }
}
