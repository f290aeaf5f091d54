//! The server around the handlers: listening, limits, time-outs, access logs, shutdown.
//!
//! Promises: a client that is slow, silent or greedy costs one connection for a bounded time: to
//! send headers and bodies, and to read answers. What it waits for or does not read holds no place
//! of a request, and its connections are closed before others are refused. On shutdown nothing new
//! is accepted, what is being answered is answered within the drain time, and then the caller may
//! close the ledger. Access log lines carry method, route template, status and duration: never a
//! path, id, query or header.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ledgerline_answers::problem::Problem;
use ledgerline_api::BODY_BYTES_MAX;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::connections::{Connection, Listed, party_of};
use crate::lanes::Lanes;
use crate::limits::Limits;
use crate::pace::Paced;
use crate::shares::{Full, Hold, Kind, Party, Room};
use crate::tls::Tls;
use crate::{Gate, at_work, workload};

/// How much of a body that no handler wanted is read, and for how long.
const DRAINED_BYTES_MAX: usize = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_millis(500);
/// The same of one that is too long: whoever sends it all at once sees why it was refused.
const DRAINED_LONG_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
const DRAIN_LONG_TIME: Duration = Duration::from_secs(5);
/// How long whoever has its share waits to be told so: nothing is held meanwhile.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);
/// What is read of a connection before it is asked for: bounds the memory of one.
const READ_AHEAD_BYTES_MAX: usize = 128 << 10;
/// Answers up to this are not counted: they lie in the buffers of their connection.
const SMALL_ANSWER_BYTES: u64 = 64 << 10;
/// Longest header section, in bytes. An API key and a token id fit many times over.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// Wraps every request: a place in its party's share, one count, one log line.
pub async fn around(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let method = request.method().clone();
    let room = (gate.rooms)(&method, route, request.uri());
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let (request, unread) = lend_body(request);
    let response = match place(&gate, connection.as_deref(), &request, room) {
        Ok((party, place)) => {
            let answering = next.run(request);
            let response = at_work::answer(Arc::clone(&party), room, answering).await;
            drop(place);
            until_sent(&party, response)
        }
        Err((full, closes)) => {
            drop(request);
            // Asking again at once would cost others more than the answer is worth.
            tokio::time::sleep(REFUSED_PAUSE).await;
            refused(full, closes)
        }
    };
    // Nobody waits here for a place: the request is answered.
    drain(unread, response.status()).await;
    let took = started.elapsed();
    let status = response.status();
    gate.tally.count(status, took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let status_code = status.as_u16();
    if status.is_server_error() {
        tracing::warn!(target: "ledgerline::access", %method, route, status_code, micros);
    } else {
        tracing::debug!(target: "ledgerline::access", %method, route, status_code, micros);
    }
    response
}

/// Whose request it is, and its place; or what is used up, and whether the connection must go.
fn place(
    gate: &Gate,
    connection: Option<&Connection>,
    request: &Request,
    room: Option<Room>,
) -> Result<(Arc<Party>, Option<Hold>), (Full, bool)> {
    let Some(room) = room else { return Ok((Arc::clone(gate.shares.strangers()), None)) };
    let party = match connection {
        Some(connection) => {
            connection.party(gate, request.headers()).map_err(|full| (full, true))?
        }
        None => {
            party_of(gate, request.headers()).unwrap_or_else(|| Arc::clone(gate.shares.strangers()))
        }
    };
    let place = party.take(room, 1).map_err(|full| (full, false))?;
    Ok((party, Some(place)))
}

fn refused(full: Full, closes: bool) -> Response {
    let response = Problem::from(full).into_response();
    if closes { closing(response) } else { response }
}

fn closing(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(axum::http::header::CONNECTION, close);
    response
}

/// A large answer, and the memory that is counted until the last byte of it is sent.
struct Kept {
    bytes: Bytes,
    _room: Hold,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A large answer takes room of its party until it is sent; without room there is none.
fn until_sent(party: &Arc<Party>, response: Response) -> Response {
    let is_large =
        |body: &Body| body.size_hint().exact().filter(|length| *length > SMALL_ANSWER_BYTES);
    let Some(length) = is_large(response.body()) else { return response };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let room = match party.take_or_alone(Room::Unsent, length) {
        Ok(room) => room,
        Err(full) => return refused(full, false),
    };
    let (parts, mut body) = response.into_parts();
    // What is made in one piece is there in one piece.
    let mut context = TaskContext::from_waker(std::task::Waker::noop());
    let body = match Pin::new(&mut body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(bytes) if bytes.len() == length => {
                Body::from(Bytes::from_owner(Kept { bytes, _room: room }))
            }
            _ => return Problem::internal().into_response(),
        },
        _ => return Problem::internal().into_response(),
    };
    Response::from_parts(parts, body)
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
async fn drain(unread: Option<Unread>, status: StatusCode) {
    let rest = unread.and_then(|back| back.lock().unwrap_or_else(PoisonError::into_inner).take());
    let Some(mut rest) = rest else { return };
    let (most, time) = match status {
        StatusCode::PAYLOAD_TOO_LARGE => (DRAINED_LONG_BYTES_MAX, DRAIN_LONG_TIME),
        _ => (DRAINED_BYTES_MAX, DRAIN_TIME),
    };
    let read_on = async {
        let mut length = 0;
        while length < most
            && let Ok(Some(Ok(frame))) = tokio::time::timeout(
                DRAIN_TIME,
                poll_fn(|context| Pin::new(&mut rest).poll_frame(context)),
            )
            .await
        {
            length += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Slower clients are not worth a connection.
    let _ = tokio::time::timeout(time, read_on).await;
}

/// Serves until `stop` is ready, then drains.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    lanes: Lanes,
    gate: Arc<Gate>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let connections = &gate.connections;
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepting = async {
            connections.files_are_free().await;
            listener.accept().await
        };
        let stream = tokio::select! {
            accepted = accepting => accepted,
            () = &mut stop => break,
        };
        match stream {
            Ok((stream, _)) => {
                let placed = gate.shares.taken(Room::Connections).0;
                let Some(listed) = connections.admit(placed) else { continue };
                let (tls, router) = (tls.acceptor(), router.clone());
                let unread = Arc::clone(&connections.unread);
                let (limits, gate) = (gate.limits, Arc::clone(&gate));
                let served = Served { tls, router, limits, unread, gate };
                start(stream, served, listed, &graceful, lanes.next());
            }
            Err(error) => {
                // Out of file descriptors or a connection that died early: not our end.
                tracing::warn!(code = "accept_failed", %error, "a connection was not accepted");
                connections.make_room(gate.shares.taken(Room::Connections).0);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(gate.limits.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!(code = "drain_timeout", "open requests did not end in time");
    }
    Ok(())
}

/// What a connection is served with.
struct Served {
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    unread: Arc<AtomicU64>,
    gate: Arc<Gate>,
}

/// Gives a connection to a lane: what it waits for is told to that thread from now on.
fn start(
    stream: TcpStream,
    served: Served,
    listed: Listed,
    graceful: &GracefulShutdown,
    lane: &Handle,
) {
    // Answers are small and their senders wait for them.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = stream.into_std() else { return };
    let watcher = graceful.watcher();
    let known = Arc::clone(listed.connection());
    let task = lane.spawn(async move {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let Served { tls, router, limits, unread, gate } = served;
        let stream = Paced::new(stream, limits.write_timeout, unread);
        let (builder, connection) = (http(limits), Arc::clone(listed.connection()));
        match tls {
            None => {
                let service = service_fn(front(router, connection, Known::of(gate, None)));
                let serving = builder.serve_connection(TokioIo::new(stream), service);
                drop(watcher.watch(serving).await);
            }
            Some(acceptor) => {
                let handshake =
                    tokio::time::timeout(limits.header_timeout, acceptor.accept(stream));
                if let Ok(Ok(stream)) = handshake.await {
                    let known = Known::of(gate, stream.get_ref().1.peer_certificates());
                    let service = service_fn(front(router, connection, known));
                    let serving = builder.serve_connection(TokioIo::new(stream), service);
                    drop(watcher.watch(serving).await);
                }
            }
        }
    });
    known.runs_as(task.abort_handle());
}

fn http(limits: Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(READ_AHEAD_BYTES_MAX);
    builder
}

thread_local! {
    /// Of a lane: the connection that was asked on last.
    static LAST_ASKED: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Says so while something is asked on a connection.
struct AtWork(Arc<Connection>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.set_at_work(false);
    }
}

/// Who is at the other end of a connection, as far as its certificate says.
#[derive(Clone)]
struct Known {
    gate: Arc<Gate>,
    /// The credential.
    key_id: Option<Arc<str>>,
}

impl Known {
    fn of(gate: Arc<Gate>, chain: Option<&[CertificateDer<'_>]>) -> Self {
        let names = chain.and_then(<[_]>::first).map(workload::names).unwrap_or_default();
        let workloads = gate.workloads.get();
        let found = workloads.and_then(|all| names.iter().find_map(|name| (all.by_name)(name)));
        Self { key_id: found.map(Into::into), gate }
    }

    /// Gives a request the pass of whoever its certificate names, if it brings nothing else. Says
    /// whether it brings a token that is to be looked at.
    fn lend(&self, headers: &mut HeaderMap) -> bool {
        if self.gate.workloads.get().is_none() {
            return false;
        }
        if let Some(key_id) =
            self.key_id.as_deref().filter(|_| !headers.contains_key(AUTHORIZATION))
        {
            self.gate.passes.give(key_id, headers);
        }
        workload::token(headers).is_some()
    }

    /// Gives a request the pass of whoever its token names, if it names one. Signatures cost, and
    /// nobody has proved anything yet: it counts to the share of whoever asked last on the
    /// connection, else of all strangers, and waits for its turn there.
    async fn look(self, connection: &Connection, headers: &mut HeaderMap) -> Result<(), Problem> {
        let Some(token) = workload::token(headers).map(str::to_owned) else { return Ok(()) };
        let party = connection.last_party(&self.gate);
        let place = party.take(Room::Requests, 1).map_err(Problem::from)?;
        let turn = party.turn(Kind::LookUp).await?;
        let gate = Arc::clone(&self.gate);
        let find = move || {
            let found = gate.workloads.get().and_then(|all| (all.by_token)(&token));
            // Whoever hangs up does not stop the work: the turn ends with it.
            drop((turn, place));
            found
        };
        if let Ok(Some(key_id)) = tokio::task::spawn_blocking(find).await {
            self.gate.passes.give(&key_id, headers);
        }
        Ok(())
    }
}

/// What stands before the routes: the connection's name on every request, and RFC 9112 section 3.2.
fn front(
    router: Router,
    connection: Arc<Connection>,
    known: Known,
) -> impl Fn(hyper::Request<Incoming>) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    let router = TowerToHyperService::new(router);
    move |mut request| {
        if !has_one_host(&request) {
            let detail = "a request names its Host exactly once";
            let refusal = Problem::bad_request("bad_host", detail).into_response();
            return Box::pin(async { Ok(refusal) });
        }
        if has_other_coding(&request) {
            let detail = "the only transfer coding that is taken is chunked; a packed body is said \
                          to be so by Content-Encoding";
            let status = StatusCode::NOT_IMPLEMENTED;
            let refusal = Problem::new(status, "unsupported_transfer_encoding", detail);
            return Box::pin(async { Ok(refusal.into_response()) });
        }
        let again = LAST_ASKED.replace(connection.number()) == connection.number();
        connection.set_at_work(true);
        let at_work = AtWork(Arc::clone(&connection));
        request.extensions_mut().insert(Arc::clone(&connection));
        if known.lend(request.headers_mut()) {
            let (router, known) = (router.clone(), known.clone());
            let connection = Arc::clone(&connection);
            return Box::pin(async move {
                if let Err(problem) = known.look(&connection, request.headers_mut()).await {
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    drop(at_work);
                    return Ok(closing(problem.into_response()));
                }
                let answered = router.call(request).await;
                drop(at_work);
                answered
            });
        }
        let answering = router.call(request);
        Box::pin(async move {
            if again {
                // Many requests at once on one connection: the others of the lane have their turn.
                tokio::task::yield_now().await;
            }
            let answered = answering.await;
            drop(at_work);
            answered
        })
    }
}

type Answered = Result<Response, std::convert::Infallible>;

/// Whether a body comes in a transfer coding besides chunked (RFC 9112 section 6.1): its bytes
/// would be taken for what they are not.
fn has_other_coding<B>(request: &hyper::Request<B>) -> bool {
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    !request.headers().get_all(TRANSFER_ENCODING).iter().all(is_chunked)
}

fn has_one_host<B>(request: &hyper::Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// Whether a value can be a host and a port (RFC 3986 section 3.2.2). Which host does not matter.
fn is_host(value: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    value.iter().all(fits)
}

/// What asks the process to end: SIGTERM and SIGINT. From its making on neither ends it by itself,
/// nor does SIGHUP, which a closed terminal and log rotation send too: it has settings read anew.
/// SIGUSR1 and SIGUSR2, by which other programs open their logs anew, are logged and do nothing.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: [Signal; 2],
}

impl StopSignals {
    /// Takes them over. Needs a runtime.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn take() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        let hangup = signal(SignalKind::hangup())?;
        let user = [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?];
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)?, hangup, user })
    }

    /// Ready when one has come. Each SIGHUP before it is told.
    pub async fn came(&mut self, mut hung_up: impl FnMut()) {
        let [user, other] = &mut self.user;
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => hung_up(),
                _ = user.recv() => means_nothing("SIGUSR1"),
                _ = other.recv() => means_nothing("SIGUSR2"),
            }
        }
    }
}

/// Of a signal that would end a process which has not taken it over.
fn means_nothing(signal: &'static str) {
    tracing::warn!(code = "signal_ignored", signal, "it means nothing to this server");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::shares::Shares;

    #[test]
    fn tokens_of_strangers_were_verified_before_anybody_counted_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let gate = Gate::new(Limits::default(), Box::new(|_| None), |_, _, _| None);
        let looked = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&looked);
        let by_token: workload::Finds = Box::new(move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
            Some("gw-1".to_owned())
        });
        let workloads = workload::Workloads { by_name: Box::new(|_| None), by_token };
        assert!(gate.workloads.set(workloads).is_ok());
        let gate = Arc::new(gate);
        let listed = gate.connections.admit(0).expect("a place");
        let look = || {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer a.b.c"));
            let known = Known::of(Arc::clone(&gate), None);
            let looking = known.look(listed.connection(), &mut headers);
            let done = runtime.as_ref().expect("a runtime").block_on(looking);
            (done.map_err(|problem| problem.status), workload::token(&headers).is_some())
        };
        assert_eq!(look(), (Ok(()), false), "its pass is in the place of the token");
        assert_eq!(gate.shares.taken(Room::Requests).0, 0, "given back");
        let strangers = gate.shares.strangers();
        let all: Vec<Hold> =
            std::iter::from_fn(|| strangers.take(Room::Requests, 1).ok()).collect();
        assert_eq!(look(), (Err(StatusCode::TOO_MANY_REQUESTS), true));
        assert_eq!(looked.load(Ordering::Relaxed), 1, "no signature was looked at");
        drop(all);
        assert_eq!(look(), (Ok(()), false));
    }

    #[test]
    fn a_large_answer_is_counted_until_its_last_byte_is_gone() {
        let limits = Limits::default();
        let shares = Shares::new(&limits);
        let party = shares.strangers();
        let taken = || shares.taken(Room::Unsent).0;
        let large = |bytes: usize| until_sent(party, Response::new(Body::from(vec![7; bytes])));
        let small = large(1000);
        assert_eq!(taken(), 0);
        let mut first = large(10 << 20);
        assert_eq!((first.status(), taken()), (StatusCode::OK, 10 << 20));
        assert_eq!(large(10 << 20).status(), StatusCode::TOO_MANY_REQUESTS, "a sixteenth of all");
        let mut context = TaskContext::from_waker(std::task::Waker::noop());
        let frame = Pin::new(first.body_mut()).poll_frame(&mut context);
        let Poll::Ready(Some(Ok(frame))) = frame else { panic!("it is there") };
        let bytes = frame.into_data().expect("bytes");
        assert!(bytes.len() == 10 << 20 && bytes.iter().all(|byte| *byte == 7));
        drop(first);
        let rest = bytes.slice(bytes.len() - 1..);
        drop(bytes);
        assert_eq!(taken(), 10 << 20, "a byte waits to be sent");
        drop((rest, small));
        assert_eq!(taken(), 0);
    }
}
