//! The layer around a service: what is reported of each request, and what never is.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Extensions, HeaderMap, Request, Response, StatusCode};
use axum::routing::get;
use axum::{Extension, Router};
use ledgerline_emitter::event::Event;
use ledgerline_emitter::layer::{DecidedBy, Decision, EmitterLayer, Endpoint};
use ledgerline_emitter::{Builder, Delivery, Emitter, SpoolSettings, Transport, Unit, Verdict};
use ledgerline_proof::token_id::from_presented;
use tower_service::Service;

const TOKEN: &str = "orders-0123456789abcdef0123";

#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<String>>>);

impl Transport for Ledger {
    fn send(&mut self, batch: &[Arc<Unit>]) -> Delivery {
        let bodies =
            batch.iter().map(|unit| String::from_utf8(unit.body().to_vec()).expect("JSON"));
        self.0.lock().expect("a lock").extend(bodies);
        Delivery::Answered(vec![Verdict::Recorded; batch.len()], None)
    }
}

impl Ledger {
    /// What was reported once the emitter has stopped.
    fn events(&self, emitter: &Emitter) -> Vec<Event<'static>> {
        assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
        let bodies = self.0.lock().expect("a lock").clone();
        let bodies = bodies.into_iter().map(|body| &*body.leak());
        bodies.map(|body| serde_json::from_str(body).expect("an event")).collect()
    }
}

fn emitter(ledger: &Ledger) -> Emitter {
    Builder::new("orders", ledger.clone()).heartbeat(None).start().expect("an emitter")
}

fn layer(emitter: &Emitter) -> EmitterLayer {
    EmitterLayer::new(emitter.clone(), "eu", "idp").expect("names")
}

fn request(method: &str, path: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header("user-agent", "curl/8");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.header("traceparent", trace).body(Body::empty()).expect("a request")
}

fn routes() -> Router {
    let decided = DecidedBy { id: "orders".into(), version: "v3".into() };
    Router::new()
        .route("/orders/{id}", get(async || (Extension(decided), "an order")))
        .route("/secret", get(async || StatusCode::FORBIDDEN))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/masked", get(async || (Extension(Decision::Deny), StatusCode::NOT_FOUND)))
}

async fn call(routes: &mut Router, request: Request<Body>) -> StatusCode {
    routes.call(request).await.expect("infallible").status()
}

#[tokio::test]
async fn each_use_is_reported_with_what_was_decided() {
    let ledger = Ledger::default();
    let emitter = emitter(&ledger);
    let mut routes = routes().layer(layer(&emitter));
    let cases = [
        ("GET", "/orders/4711?user=alice", 200, "ALLOW", Some("/orders/{id}")),
        ("POST", "/orders/4711", 405, "ALLOW", Some("/orders/{id}")),
        ("GET", "/secret", 403, "DENY", Some("/secret")),
        ("GET", "/broken", 500, "ERROR", Some("/broken")),
        ("GET", "/masked", 404, "DENY", Some("/masked")),
        ("BREW", "/orders/1", 405, "ALLOW", Some("/orders/{id}")),
    ];
    for (method, path, status, ..) in cases {
        assert_eq!(call(&mut routes, request(method, path, Some(TOKEN))).await, status, "{path}");
    }
    let id = from_presented("eu", "idp", TOKEN.as_bytes()).expect("an id");
    let events = ledger.events(&emitter);
    assert_eq!(events.len(), cases.len());
    for (event, (method, path, status, outcome, endpoint)) in events.iter().zip(cases) {
        assert_eq!(event.token_id.as_deref(), Some(&*id));
        assert_eq!(event.event_type.as_deref(), Some("RESOURCE_ACCESSED"), "{path}");
        assert_eq!(event.outcome.as_deref(), Some(outcome), "{path}");
        assert_eq!((event.endpoint.as_deref(), event.resource.as_deref()), (endpoint, endpoint));
        assert_eq!(event.status, Some(i32::from(status)));
        assert_eq!(event.action.as_deref(), Some(if method == "BREW" { "other" } else { method }));
        assert_eq!(event.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(event.detail[0].key, "latency_us");
        assert!(event.personal.is_empty(), "nobody asked for it");
        // What it says is a statement that the ledger takes.
        event.statement("", "orders").expect("a statement").validate().expect("within the limits");
    }
    assert_eq!((&*events[0].policies[0].id, &*events[0].policies[0].version), ("orders", "v3"));
    assert_eq!(events[0].policies[0].effect.as_deref(), Some("ALLOW"));
    let bodies = ledger.0.lock().expect("a lock").concat();
    for secret in [TOKEN, "4711", "alice", "curl/8"] {
        assert!(!bodies.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_is_no_use_of_a_token_is_not_reported_and_a_weak_one_is_counted() {
    let ledger = Ledger::default();
    let emitter = emitter(&ledger);
    let mut routes = routes().layer(layer(&emitter));
    call(&mut routes, request("GET", "/secret", None)).await;
    let mut basic = request("GET", "/secret", None);
    basic.headers_mut().insert("authorization", "Basic dXNlcjpwYXNz".parse().expect("a value"));
    call(&mut routes, basic).await;
    call(&mut routes, request("GET", "/secret", Some("weak"))).await;
    assert_eq!(emitter.counts().unnamed, 1);
    assert!(ledger.events(&emitter).is_empty());
}

#[tokio::test]
async fn addresses_are_reported_as_personal_when_they_are_asked_for() {
    let ledger = Ledger::default();
    let emitter = emitter(&ledger);
    let address = |headers: &HeaderMap, _: &Extensions| -> Option<IpAddr> {
        headers.get("x-real-ip")?.to_str().ok()?.parse().ok()
    };
    let mut routes = routes().layer(layer(&emitter).personal(address).at_gateway());
    let mut asked = request("GET", "/secret", Some(TOKEN));
    asked.headers_mut().insert("x-real-ip", "203.0.113.7".parse().expect("a value"));
    let long = "x".repeat(4000).parse().expect("a value");
    asked.headers_mut().insert("user-agent", long);
    call(&mut routes, asked).await;
    let events = ledger.events(&emitter);
    let personal = &events[0].personal[0];
    assert_eq!((&*personal.role, personal.ip.as_deref()), ("REQUEST", Some("203.0.113.7")));
    assert_eq!(personal.user_agent.as_deref().map(str::len), Some(1024));
    assert_eq!(events[0].vantage.as_deref(), Some("GATEWAY"));
}

/// A service that is no axum router, and may never answer.
#[derive(Clone)]
struct Bare {
    answers: bool,
}

impl Service<Request<()>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut answer = Response::new(());
        answer.extensions_mut().insert(Endpoint("/bare/{id}".into()));
        if self.answers { Box::pin(ready(Ok(answer))) } else { Box::pin(std::future::pending()) }
    }
}

#[test]
fn any_tower_service_will_do_and_a_cancelled_request_is_reported() {
    use tower_layer::Layer as _;
    let ledger = Ledger::default();
    let emitter = emitter(&ledger);
    for answers in [true, false] {
        let mut service = layer(&emitter).layer(Bare { answers });
        let request = Request::builder().header("authorization", format!("bearer {TOKEN}"));
        let mut answer = Box::pin(service.call(request.body(()).expect("a request")));
        let polled = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled.is_ready(), answers);
    }
    let events = ledger.events(&emitter);
    let said: Vec<_> = events
        .iter()
        .map(|event| (event.outcome.as_deref(), event.reason.as_deref(), event.endpoint.as_deref()))
        .collect();
    let expected =
        [(Some("ALLOW"), None, Some("/bare/{id}")), (Some("ERROR"), Some("cancelled"), None)];
    assert_eq!(said, expected);
    assert_eq!(events[1].event_type.as_deref(), Some("USED"));
}

#[tokio::test]
async fn with_a_durable_emitter_the_answer_waits_for_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::default();
    let emitter = Builder::new("orders", ledger.clone())
        .heartbeat(None)
        .spool(SpoolSettings::new(folder.path(), 1 << 20))
        .durable(true)
        .start()
        .expect("an emitter");
    let mut routes = routes().layer(layer(&emitter));
    for n in 1..=5 {
        call(&mut routes, request("GET", "/orders/1", Some(TOKEN))).await;
        assert_eq!(emitter.counts().spilled, n);
    }
    assert_eq!(ledger.events(&emitter).len(), 5);
}
