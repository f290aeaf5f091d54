//! The three routes.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use ledgerline_proof::hash::{Hash, sha256};
use subtle::ConstantTimeEq as _;

use super::answer::{Problem, response, taken};
use super::body::{self, Room, Whole};
use crate::counts::{Counts, Door};
use crate::judge::{BodyError, BodyForm, Judge, Judged};
use crate::outlet::{Keep, NotTaken, Outlet};

/// What keeps events from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The gravest, in a word.
    pub code: &'static str,
    /// All of it, for people.
    pub detail: String,
}

/// How the agent is, asked by `/healthz` and `/metrics`.
pub trait Health: Send + Sync {
    /// What keeps events from the ledger now; `None` while nothing does.
    fn trouble(&self) -> Option<Trouble>;
    /// Counters of the way to the ledger, in the Prometheus text form.
    fn metrics(&self) -> String;
}

/// What answers.
pub struct Face {
    judge: Arc<Judge>,
    outlet: Arc<dyn Outlet>,
    health: Arc<dyn Health>,
    counts: Arc<Counts>,
    /// Hash of what callers on loopback must show. Hashes are compared, so that the time says
    /// nothing of the length either.
    key: Option<Hash>,
    room: Room,
    is_stopping: AtomicBool,
}

impl Face {
    /// A face; `key` is what callers on loopback must show.
    #[must_use]
    pub fn new(
        judge: Arc<Judge>,
        outlet: Arc<dyn Outlet>,
        health: Arc<dyn Health>,
        counts: Arc<Counts>,
        key: Option<&str>,
    ) -> Self {
        let key = key.map(|key| sha256(key.as_bytes()));
        let (room, is_stopping) = (Room::new(), AtomicBool::default());
        Self { judge, outlet, health, counts, key, room, is_stopping }
    }

    /// Counts of what came in.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// From now on nothing more is taken.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Answers a request.
    pub(super) fn answer(
        self: &Arc<Self>,
        door: Door,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        let face = Arc::clone(self);
        async move {
            let (parts, body) = request.into_parts();
            let mut body = Body::new(body);
            let path = parts.uri.path();
            let answer = face.route(door, &parts.method, path, &parts.headers, &mut body).await;
            let response = answer.unwrap_or_else(|problem| problem.response());
            face.counts.answered(response.status().as_u16());
            if !response.status().is_success() {
                body::drain(body).await;
            }
            Ok(response)
        }
    }

    async fn route(
        self: &Arc<Self>,
        door: Door,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Response, Problem> {
        match (path, method.as_str()) {
            ("/healthz", "GET" | "HEAD") => Ok(self.healthz()),
            ("/metrics", "GET" | "HEAD") => {
                self.authenticate(door, headers)?;
                let text = self.counts.expose() + &self.health.metrics();
                let media_type = "text/plain; version=0.0.4; charset=utf-8";
                Ok(response(StatusCode::OK, media_type, text.into_bytes()))
            }
            ("/v1/events", "POST") => {
                self.authenticate(door, headers)?;
                let form = body::form_of(headers)?;
                let whole = body::read(headers, body, &self.room).await?;
                self.take(door, form, whole).await
            }
            ("/healthz" | "/metrics", _) => Err(wrong_method("GET, HEAD")),
            ("/v1/events", _) => Err(wrong_method("POST")),
            _ => {
                let detail = "an agent has POST /v1/events, GET /healthz and GET /metrics; \
                              questions are for the ledger";
                Err(Problem::new(StatusCode::NOT_FOUND, "no_route", detail))
            }
        }
    }

    fn healthz(&self) -> Response {
        let trouble = match self.is_stopping.load(Ordering::Relaxed) {
            true => Some(Trouble { code: "stopped", detail: "the agent stops".to_owned() }),
            false => self.health.trouble(),
        };
        match trouble {
            None => response(StatusCode::OK, "application/json", b"{\"status\":\"ok\"}\n".to_vec()),
            Some(Trouble { code, detail }) => {
                Problem::later(StatusCode::SERVICE_UNAVAILABLE, code, detail).response()
            }
        }
    }

    /// On loopback a caller shows the key; whoever may open the socket need not.
    fn authenticate(&self, door: Door, headers: &HeaderMap) -> Result<(), Problem> {
        if door != Door::Loopback {
            return Ok(());
        }
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let shown = match (all.next(), all.next()) {
            (Some(value), None) => value.to_str().ok().and_then(|text| text.split_once(' ')),
            _ => None,
        };
        let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let hash = sha256(shown.map_or("", |(_, key)| key.trim()).as_bytes());
        let is_it = self.key.is_some_and(|key| bool::from(key.0.ct_eq(&hash.0)));
        if is_it && shown.is_some() {
            return Ok(());
        }
        let detail = "show the agent's key: Authorization: Bearer with what stands in its \
                      listen_key_file";
        Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail))
    }

    async fn take(
        self: &Arc<Self>,
        door: Door,
        form: BodyForm,
        whole: Whole,
    ) -> Result<Response, Problem> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err(stopping());
        }
        let face = Arc::clone(self);
        // Judging costs time and taking may wait for the disk: neither for others' requests.
        let work = move || {
            let judged = face.judge.body(form, &whole.bytes).map_err(of_body)?;
            drop(whole);
            face.hand_over(door, judged)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| {
            let detail = "see the agent's log";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail))
        })
    }

    fn hand_over(&self, door: Door, judged: Judged) -> Result<Response, Problem> {
        // Not the callers' fault: none of it is taken, so that all of it comes again.
        if let Some(error) = judged.passing() {
            self.counts.not_taken();
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Problem::later(status, error.code, error.detail.clone()));
        }
        let accepted = judged.ready_count();
        let Judged { units, refused, lone } = judged;
        if !units.is_empty() {
            self.outlet.take(&units, Keep::AsSetUp).map_err(|not| {
                self.counts.not_taken();
                of_not_taken(not)
            })?;
            self.counts.accepted(door, accepted);
        }
        // Only now: what was not taken comes again, and would be counted twice.
        for one in &refused {
            self.counts.refused(door, one.error.code);
        }
        match accepted {
            0 => Err(Problem::of_refused(refused, lone)),
            _ => Ok(taken(accepted, &refused)),
        }
    }
}

fn wrong_method(allow: &'static str) -> Problem {
    let detail = "the path has other methods";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem { allow: Some(allow), ..Problem::new(status, "no_method", detail) }
}

fn stopping() -> Problem {
    let detail = "the agent stops; try again when it is back";
    Problem::later(StatusCode::SERVICE_UNAVAILABLE, "stopped", detail).closing()
}

fn of_body(error: BodyError) -> Problem {
    match error {
        BodyError::TooLarge(detail) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        }
        BodyError::Malformed { code, detail } => {
            Problem::new(StatusCode::BAD_REQUEST, code, detail)
        }
    }
}

fn of_not_taken(not: NotTaken) -> Problem {
    let code = if not.is_full { "spool_full" } else { "not_ready" };
    Problem::later(StatusCode::SERVICE_UNAVAILABLE, code, not.why)
}
