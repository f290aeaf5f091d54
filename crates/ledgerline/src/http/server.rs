//! The server around the handlers: listening, limits, time-outs, access logs, shutdown.
//!
//! Promises: a client that is slow, silent or greedy costs one connection for a bounded time. On
//! shutdown nothing new is accepted, what is being answered is answered within the drain time, and
//! then the caller may close the ledger. Access log lines carry method, route template, status and
//! duration: never a path, id, query or header.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::App;
use super::lanes::Lanes;
use super::problem::Problem;
use crate::config::ServerSettings;

/// Longest body, in bytes (DESIGN 8).
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// How much of a body that no handler wanted is read, and for how long.
const DRAINED_BYTES_MAX: usize = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_millis(500);
/// Longest header section, in bytes. An API key and a token id fit many times over.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// What the server grants its callers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// Requests being answered at a time.
    pub max_requests: usize,
    /// Bytes of large bodies that may wait to be taken apart.
    pub max_line_bytes: usize,
    /// To send a request's headers, and to finish a TLS handshake.
    pub header_timeout: Duration,
    /// To send a request's body.
    pub body_timeout: Duration,
    /// For open requests on shutdown.
    pub drain_timeout: Duration,
    /// Introspections of one token by one caller within it are one USED; zero records none.
    pub use_window: Duration,
}

impl Limits {
    /// The limits that settings name.
    #[must_use]
    pub fn of(settings: &ServerSettings) -> Self {
        let ms = |value: Option<u64>, default| Duration::from_millis(value.unwrap_or(default));
        Self {
            max_connections: settings.max_connections.unwrap_or(4096).max(1),
            max_requests: settings.max_requests.unwrap_or(2048).max(1),
            max_line_bytes: settings.max_queue_bytes.unwrap_or(64 << 20).max(1024),
            header_timeout: ms(settings.header_timeout_ms, 10_000),
            body_timeout: ms(settings.body_timeout_ms, 30_000),
            drain_timeout: ms(settings.drain_timeout_ms, 10_000),
            use_window: ms(settings.introspection_window_ms, 10_000),
        }
    }
}

/// Wraps every request: one permit, one count, one log line.
pub async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    // Health answers must not depend on load.
    let is_health = route.as_ref().is_some_and(|r| matches!(r.as_str(), "/healthz" | "/readyz"));
    let permit = app.permits.try_acquire().ok();
    let (request, unread) = lend_body(request);
    let response = if permit.is_some() || is_health {
        next.run(request).await
    } else {
        drop(request);
        Problem::unavailable("too_many_requests_open", "try again shortly").into_response()
    };
    drain(unread).await;
    drop(permit);
    let took = started.elapsed();
    let status = response.status();
    app.tally.count(status, took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let status_code = status.as_u16();
    if status.is_server_error() {
        tracing::warn!(target: "ledgerline::access", %method, route, status_code, micros);
    } else {
        tracing::debug!(target: "ledgerline::access", %method, route, status_code, micros);
    }
    response
}

/// What a handler left of a body.
type Unread = Arc<Mutex<Option<Body>>>;

/// A body that comes back when its handler does not read it to the end.
struct Lent {
    body: Option<Body>,
    back: Unread,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}

fn lend_body(request: Request) -> (Request, Option<Unread>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let back = Unread::default();
    let lend = |body| Body::new(Lent { body: Some(body), back: Arc::clone(&back) });
    (request.map(lend), Some(back))
}

/// Reads on what the handler did not want, within bounds. A connection that is closed over unread
/// bytes is reset, and a client that still sends would see that instead of its answer.
async fn drain(unread: Option<Unread>) {
    let rest = unread.and_then(|back| back.lock().unwrap_or_else(PoisonError::into_inner).take());
    let Some(mut rest) = rest else { return };
    let read_on = async {
        let mut length = 0;
        while length < DRAINED_BYTES_MAX
            && let Some(Ok(frame)) =
                poll_fn(|context| Pin::new(&mut rest).poll_frame(context)).await
        {
            length += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Slower clients are not worth a connection.
    let _ = tokio::time::timeout(DRAIN_TIME, read_on).await;
}

/// Serves until `stop` is ready, then drains.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    (router, lanes): (Router, Lanes),
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        // A permit first: beyond the limit new connections wait in the kernel's backlog.
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            () = &mut stop => break,
        };
        let Ok(permit) = permit else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match stream {
            Ok((stream, _)) => {
                let served = Served { tls: tls.clone(), router: router.clone(), limits };
                start(stream, served, permit, &graceful, lanes.next());
            }
            Err(error) => {
                // Out of file descriptors or a connection that died early: not our end.
                tracing::warn!(code = "accept_failed", %error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!(code = "drain_timeout", "open requests did not end in time");
    }
    Ok(())
}

/// What a connection is served with.
struct Served {
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
}

/// Gives a connection to a lane: what it waits for is told to that thread from now on.
fn start(
    stream: TcpStream,
    served: Served,
    permit: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
    lane: &Handle,
) {
    // Answers are small and their senders wait for them.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = stream.into_std() else { return };
    let watcher = graceful.watcher();
    lane.spawn(async move {
        let _permit = permit;
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let Served { tls, router, limits } = served;
        match tls {
            None => drop(watcher.watch(connection(stream, router, limits)).await),
            Some(acceptor) => {
                let handshake =
                    tokio::time::timeout(limits.header_timeout, acceptor.accept(stream));
                if let Ok(Ok(stream)) = handshake.await {
                    drop(watcher.watch(connection(stream, router, limits)).await);
                }
            }
        }
    });
}

fn connection<S>(
    stream: S,
    router: Router,
    limits: Limits,
) -> http1::Connection<TokioIo<S>, TowerToHyperService<Router>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

/// What asks the process to end: SIGTERM and SIGINT. From its making on neither ends it by itself.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes them over. Needs a runtime.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn take() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Ready when one has come.
    pub async fn came(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
