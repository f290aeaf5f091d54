//! A tower layer that reports each use of a bearer token by the service behind it.
//!
//! ```text
//! Authorization: Bearer …  ─► token id (t1)       status 401, 403        ─► DENY
//! matched route            ─► endpoint, resource  status 429, 5xx, none  ─► ERROR
//! method                   ─► action              any other status       ─► ALLOW
//! ```
//!
//! Promises: the token is read in one function and leaves it as its id alone. The request path does
//! no input or output; with a durable emitter the answer waits for the spool's fsync, and no thread
//! does. A request that is given up before its answer is reported, too, as ERROR `cancelled`.
//! Nothing personal is reported unless [`EmitterLayer::personal`] asks for it, and then in a
//! personal record. The path of the request is never reported: it may name a person; the route's
//! template is.
//!
//! Assumes: it stands outside whatever judges the token, so that refusals pass it.
//!
//! Refuses: to touch the answer: what cannot be reported is counted, and the service goes on.
//! Requests without a bearer token are about no token, and not reported. A token that is too weak
//! to have an id is counted ([`crate::Counts::unnamed`]).

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Extensions, HeaderMap, Method, Request, Response};
use ledgerline_api::event::{Detail, Event, Personal, Policy};
use ledgerline_api::values::Str;
use ledgerline_proof::token_id::{TokenIdError, from_presented, is_name};
use ledgerline_proof::vocabulary::PersonalRole;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::counts::add;
use crate::emitter::{Emitter, Ticket};

/// Bytes of a user agent that are kept: the ledger takes no more.
const AGENT_BYTES_MAX: usize = 1024;

/// The policy that decided a request: an extension of its answer, or of the request where a layer
/// outside decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedBy {
    /// The policy.
    pub id: String,
    /// Its version.
    pub version: String,
}

/// The endpoint as a template, such as `/orders/{id}`: an extension of the request or the answer,
/// for services that are no axum routers. Never the path itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(pub String);

/// What was decided, where the status does not say it: an extension of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The token was honoured.
    Allow,
    /// The token was refused.
    Deny,
}

type ClientAddress = Arc<dyn Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync>;

struct Settings {
    region: String,
    issuer: String,
    vantage: Str<'static>,
    personal: Option<ClientAddress>,
}

/// The layer.
#[derive(Clone)]
pub struct EmitterLayer {
    emitter: Emitter,
    settings: Arc<Settings>,
}

impl std::fmt::Debug for EmitterLayer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "EmitterLayer({}:{})", self.settings.region, self.settings.issuer)
    }
}

impl EmitterLayer {
    /// A layer for tokens of one issuer: its home region and alias in the ledger.
    ///
    /// # Errors
    /// `Name` when one of them is none.
    pub fn new(emitter: Emitter, region: &str, issuer: &str) -> Result<Self, TokenIdError> {
        if !is_name(region) || !is_name(issuer) {
            return Err(TokenIdError::Name);
        }
        let (region, issuer) = (region.to_owned(), issuer.to_owned());
        let settings = Settings { region, issuer, vantage: "RESOURCE".into(), personal: None };
        Ok(Self { emitter, settings: Arc::new(settings) })
    }

    /// Reports from a gateway in front of resources, not from the resource itself.
    #[must_use]
    pub fn at_gateway(self) -> Self {
        self.with(|settings| settings.vantage = "GATEWAY".into())
    }

    /// Also reports the address of the client and its user agent, as a personal record of the
    /// request. `address` says where the address stands: which header of which proxy can be
    /// trusted, nobody but the service knows.
    #[must_use]
    pub fn personal(
        self,
        address: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.personal = Some(Arc::new(address)))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let old = self.settings;
        let mut settings = Settings {
            region: old.region.clone(),
            issuer: old.issuer.clone(),
            vantage: old.vantage.clone(),
            personal: old.personal.clone(),
        };
        change(&mut settings);
        Self { emitter: self.emitter, settings: Arc::new(settings) }
    }
}

impl<S> Layer<S> for EmitterLayer {
    type Service = Emitting<S>;

    fn layer(&self, inner: S) -> Emitting<S> {
        Emitting { inner, layer: self.clone() }
    }
}

/// A service whose uses of tokens are reported.
#[derive(Debug, Clone)]
pub struct Emitting<S> {
    inner: S,
    layer: EmitterLayer,
}

impl<S, B, A> Service<Request<B>> for Emitting<S>
where
    S: Service<Request<B>, Response = Response<A>>,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Reporting<S::Future, Response<A>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let report = self.layer.begin(&request);
        Reporting { inner: self.inner.call(request), report, answer: None, ticket: None }
    }
}

/// The id of the token that a request presents. The token goes no further than this function.
fn token_id(headers: &HeaderMap, settings: &Settings) -> Option<Result<String, TokenIdError>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    Some(from_presented(&settings.region, &settings.issuer, rest.trim_ascii()))
}

/// The route's template.
fn endpoint(extensions: &Extensions) -> Option<String> {
    if let Some(Endpoint(template)) = extensions.get() {
        return Some(template.clone());
    }
    #[cfg(feature = "axum")]
    if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
        return Some(matched.as_str().to_owned());
    }
    None
}

/// A method that everybody knows: others are whatever a caller likes to send.
fn action(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The trace of a request (W3C Trace Context).
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let id = text.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

impl EmitterLayer {
    fn begin<B>(&self, request: &Request<B>) -> Option<Report> {
        let Ok(token) = token_id(request.headers(), &self.settings)? else {
            add(&self.emitter.shared.counters.unnamed, 1);
            return None;
        };
        let (headers, extensions) = (request.headers(), request.extensions());
        let event = Event {
            token_id: Some(token.into()),
            issuer: Some(self.settings.issuer.clone().into()),
            vantage: Some(self.settings.vantage.clone()),
            endpoint: endpoint(extensions).map(Into::into),
            action: Some(action(request.method()).into()),
            trace_id: trace_id(headers).map(Into::into),
            personal: self.personal_record(headers, extensions).into_iter().collect(),
            policies: extensions.get::<DecidedBy>().map(policy).into_iter().collect(),
            ..Event::default()
        };
        let (emitter, began) = (self.emitter.clone(), Instant::now());
        Some(Report { emitter, event: Some(Box::new(event)), began })
    }

    fn personal_record(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Option<Personal<'static>> {
        let address = self.settings.personal.as_ref()?;
        let agent = headers.get(USER_AGENT).map(|value| {
            let mut text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.truncate(text.floor_char_boundary(AGENT_BYTES_MAX));
            text
        });
        Some(Personal {
            ip: address(headers, extensions).map(|ip| ip.to_string().into()),
            user_agent: agent.map(Into::into),
            ..Personal::of(PersonalRole::Request)
        })
    }
}

fn policy(decided: &DecidedBy) -> Policy<'static> {
    Policy {
        id: decided.id.clone().into(),
        version: decided.version.clone().into(),
        digest: None,
        role: Some("ACCESS".into()),
        effect: None,
    }
}

/// A use that is under way. Reported when it ends, also when it is dropped.
struct Report {
    emitter: Emitter,
    event: Option<Box<Event<'static>>>,
    began: Instant,
}

impl Report {
    /// Reports an answer.
    fn answered<A>(mut self, answer: &Response<A>) -> Option<Ticket> {
        let mut event = self.event.take()?;
        let (status, extensions) = (answer.status().as_u16(), answer.extensions());
        if let Some(template) = endpoint(extensions) {
            event.endpoint = Some(template.into());
        }
        if let Some(decided) = extensions.get::<DecidedBy>() {
            event.policies = vec![policy(decided)];
        }
        let outcome = match (extensions.get(), status) {
            (Some(Decision::Deny), _) | (None, 401 | 403) => "DENY",
            (None, 429 | 500..) => "ERROR",
            (Some(Decision::Allow) | None, _) => "ALLOW",
        };
        event.status = Some(i32::from(status));
        self.end(event, outcome)
    }

    /// Reports that there was no answer.
    fn unanswered(mut self, reason: &'static str) -> Option<Ticket> {
        let mut event = self.event.take()?;
        event.reason = Some(reason.into());
        self.end(event, "ERROR")
    }

    fn end(&self, mut event: Box<Event<'static>>, outcome: &'static str) -> Option<Ticket> {
        event.outcome = Some(outcome.into());
        if outcome != "ERROR" {
            event.policies.iter_mut().for_each(|one| one.effect = Some(outcome.into()));
        }
        event.resource = event.endpoint.clone();
        let kind = if event.resource.is_some() { "RESOURCE_ACCESSED" } else { "USED" };
        event.event_type = Some(kind.into());
        let micros = self.began.elapsed().as_micros().to_string();
        event.detail = vec![Detail { key: "latency_us".into(), value: micros.into() }];
        // What is not taken was counted; the service goes on.
        self.emitter.begin(event).ok().and_then(|(_, ticket)| ticket)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            let (emitter, began) = (self.emitter.clone(), self.began);
            Self { emitter, event: Some(event), began }.unanswered("cancelled");
        }
    }
}

pin_project! {
    /// The answer of a service whose uses are reported.
    pub struct Reporting<F, R, E> {
        #[pin]
        inner: F,
        report: Option<Report>,
        answer: Option<Result<R, E>>,
        ticket: Option<Ticket>,
    }
}

impl<F, A, E> Future for Reporting<F, Response<A>, E>
where
    F: Future<Output = Result<Response<A>, E>>,
{
    type Output = Result<Response<A>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.answer.is_none() {
            let answer = ready!(this.inner.poll(context));
            let report = this.report.take();
            *this.ticket = report.and_then(|report| match &answer {
                Ok(answer) => report.answered(answer),
                Err(_) => report.unanswered("failed"),
            });
            *this.answer = Some(answer);
        }
        if let Some(ticket) = this.ticket {
            // That it is not on the disk was counted where it happened.
            let _ = ready!(ticket.poll_durable(context));
        }
        *this.ticket = None;
        Poll::Ready(this.answer.take().expect("polled once more after its answer"))
    }
}
