//! Listening: connections with a limit on everything.
//!
//! Promises: headers come within [`HEADER_TIME`] or the connection is closed, also one on which
//! nothing is asked. Beyond the limit of connections the one that was idle longest is closed for a
//! newcomer; when all are at work, newcomers wait. At the end open requests are answered, within
//! the time that a stop has.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::AbortHandle;

use super::routes::Face;
use crate::counts::Door;

/// To send a request's headers, and for a connection to stay idle.
const HEADER_TIME: Duration = Duration::from_secs(60);
/// Longest headers of a request, in bytes.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Longest that a connection may take to be written its answer to; answers are short.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// Between two looks for a free place.
const PAUSE: Duration = Duration::from_millis(20);

/// A door that is open.
pub enum Listener {
    /// The Unix socket.
    Socket(UnixListener),
    /// The loopback port.
    Loopback(TcpListener),
}

/// One connection.
struct Open {
    task: AbortHandle,
    at_work: Arc<AtomicBool>,
}

/// The connections of all doors, the oldest first.
#[derive(Default)]
pub struct Connections {
    most: usize,
    next: Mutex<u64>,
    open: Mutex<BTreeMap<u64, Open>>,
}

impl Connections {
    /// At most so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a newcomer: whether there is some, and whether one had to go for it.
    fn make_room(&self) -> (bool, bool) {
        let mut open = self.open();
        if open.len() < self.most {
            return (true, false);
        }
        let idle = open.iter().find(|(_, one)| !one.at_work.load(Ordering::Relaxed));
        let Some(number) = idle.map(|(number, _)| *number) else { return (false, false) };
        if let Some(gone) = open.remove(&number) {
            gone.task.abort();
        }
        (true, true)
    }

    fn number(&self) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        *next
    }
}

/// Accepts until `stop` is ready, and leaves what is open to `graceful`.
pub async fn serve(
    listener: Listener,
    face: Arc<Face>,
    connections: Arc<Connections>,
    graceful: &GracefulShutdown,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepting = async {
            loop {
                match connections.make_room() {
                    (true, evicted) => {
                        if evicted {
                            face.counts().evicted();
                        }
                        break;
                    }
                    (false, _) => tokio::time::sleep(PAUSE).await,
                }
            }
            accept(&listener, &face, &connections, graceful).await
        };
        let accepted = tokio::select! {
            accepted = accepting => accepted,
            () = &mut stop => return,
        };
        if let Err(error) = accepted {
            // Out of file descriptors or a connection that died early: not our end.
            tracing::warn!(code = "accept_failed", %error, "a connection was not accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn accept(
    listener: &Listener,
    face: &Arc<Face>,
    connections: &Arc<Connections>,
    graceful: &GracefulShutdown,
) -> io::Result<()> {
    match listener {
        Listener::Socket(listener) => {
            let (stream, _) = listener.accept().await?;
            start(stream, Door::Socket, face, connections, graceful);
        }
        Listener::Loopback(listener) => {
            let (stream, _) = listener.accept().await?;
            // Answers are small and their senders wait for them.
            let _ = stream.set_nodelay(true);
            start(stream, Door::Loopback, face, connections, graceful);
        }
    }
    Ok(())
}

/// Leaves the list when dropped.
struct Listed(Arc<Connections>, u64);

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.open().remove(&self.1);
    }
}

/// Says so while something is asked on a connection.
struct AtWork(Arc<AtomicBool>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn start(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    door: Door,
    face: &Arc<Face>,
    connections: &Arc<Connections>,
    graceful: &GracefulShutdown,
) {
    let at_work = Arc::new(AtomicBool::default());
    let (working, face) = (Arc::clone(&at_work), Arc::clone(face));
    let service = service_fn(move |request| {
        working.store(true, Ordering::Relaxed);
        let at_work = AtWork(Arc::clone(&working));
        let answering = face.answer(door, request);
        async move {
            let answer = answering.await;
            drop(at_work);
            answer
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let serving = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
    let number = connections.number();
    let listed = Listed(Arc::clone(connections), number);
    // The list first: a connection that ends at once must not leave it before it is in it.
    let mut open = connections.open();
    let task = tokio::spawn(async move {
        let _listed = listed;
        drop(serving.await);
    });
    open.insert(number, Open { task: task.abort_handle(), at_work });
}
