//! A running agent: doors, files and the way to the ledger, from the start to a clean stop.
//!
//! ```text
//! stop   no new connections ─▶ open requests answered ─▶ files left where they are
//!        ─▶ what waits is sent, the `stopping` heartbeat last ─▶ the rest stays in the spool
//! ```
//!
//! Promises: everything is opened before the first event is taken, so that a start that fails takes
//! none. A stop ends within the time it was given.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper_util::server::graceful::GracefulShutdown;
use ledgerline_emitter::Stopped;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::aside::Aside;
use crate::clock;
use crate::condition::Conditions;
use crate::counts::Counts;
use crate::emitted::Emitted;
use crate::face::{Connections, Face, Health, Listener, SocketFile, serve};
use crate::judge::Judge;
use crate::notify::Notifier;
use crate::outlet::Outlet;
use crate::salts::Salts;
use crate::settings::{Settings, Signing, TailSettings};
use crate::state::State;
use crate::tail::{self, Order, With};

/// How often changes of the agent's condition are looked for.
const SECOND: Duration = Duration::from_secs(1);
/// How often old salts are looked for.
const HOUR: Duration = Duration::from_secs(3600);
/// What a stop may take beyond the time for sending: for open requests.
const DRAIN: Duration = Duration::from_secs(5);

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doors {
    /// The socket.
    pub socket: Option<PathBuf>,
    /// The loopback address.
    pub loopback: Option<SocketAddr>,
}

/// A running agent.
pub struct Running {
    doors: Doors,
    stop_time: Duration,
    emitted: Arc<Emitted>,
    judge: Arc<Judge>,
    conditions: Arc<Conditions>,
    face: Arc<Face>,
    runtime: Runtime,
    stopping: watch::Sender<bool>,
    accepting: Vec<tokio::task::JoinHandle<()>>,
    graceful: Arc<GracefulShutdown>,
    orders: Sender<Order>,
    tails: Option<JoinHandle<()>>,
    _socket: Option<SocketFile>,
    _state: Arc<State>,
}

impl Running {
    /// Opens everything, and takes events from then on.
    ///
    /// # Errors
    /// Names what cannot be opened.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let state = Arc::new(State::open(&settings.state)?);
        // Before there are threads: the socket is made under a mask of its own.
        let open = Open::doors(&settings)?;
        let salts = Salts::open(state.path(), clock::unix_nanos())?;
        let signing = settings.signing.as_ref().map(Signing::key).transpose()?;
        let (tenant, source) = (settings.tenant.clone(), settings.source.clone());
        let recorded_as = (tenant.clone(), source.clone());
        let judge = Arc::new(Judge::new(tenant, source, signing, salts, clock::unix_nanos));
        let counts = Arc::new(Counts::default());
        // Whoever looks before the first line is read sees that there is a file to be read.
        settings.tails.iter().for_each(|tail| counts.tail(&tail.name, |_| ()));
        let aside = Arc::new(Aside::new(state.path()));
        let emitted = Arc::new(Emitted::start(&settings, state.path(), &counts, &aside)?);
        let outlet: Arc<dyn Outlet> = Arc::clone(&emitted) as _;
        let conditions = Arc::new(Conditions::new(Arc::clone(&emitted), Arc::clone(&counts)));
        let face = Face::new(
            Arc::clone(&judge),
            Arc::clone(&outlet),
            Arc::clone(&conditions) as Arc<dyn Health>,
            Arc::clone(&counts),
            settings.loopback.as_ref().map(|door| door.key.as_str()),
        );
        let face = Arc::new(face);
        let runtime = runtime()?;
        let (doors, listeners, socket_file) = open.listeners(&runtime)?;
        let (stopping, stop) = watch::channel(false);
        let graceful = Arc::new(GracefulShutdown::new());
        let connections = Arc::new(Connections::new(settings.max_connections));
        let accept = |listener| {
            let (face, connections) = (Arc::clone(&face), Arc::clone(&connections));
            let (graceful, mut stop) = (Arc::clone(&graceful), stop.clone());
            runtime.spawn(async move {
                let until = async move { drop(stop.wait_for(|stop| *stop).await) };
                serve(listener, face, connections, &graceful, until).await;
            })
        };
        let accepting = listeners.into_iter().map(accept).collect();
        let (state, judging) = (Arc::clone(&state), Arc::clone(&judge));
        let with = With { state, judge: judging, outlet, aside, counts, recorded_as };
        let kept = Arc::clone(&with.state);
        let (orders, tails) = start_tails(settings.tails, with)?;
        Ok(Self {
            doors,
            stop_time: settings.stop,
            emitted,
            judge,
            conditions,
            face,
            runtime,
            stopping,
            accepting,
            graceful,
            orders,
            tails: Some(tails),
            _socket: socket_file,
            _state: kept,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Takes over SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn signals(&self) -> std::io::Result<Signals> {
        let _entered = self.runtime.enter();
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. Each SIGHUP before it is told, which says what is followed
    /// from then on. The service manager hears that the agent is well.
    pub fn until(
        &self,
        mut signals: Signals,
        notifier: &Notifier,
        mut hung_up: impl FnMut() -> Option<Vec<TailSettings>>,
    ) {
        self.runtime.block_on(async {
            let mut beat = interval(notifier.beat().unwrap_or(HOUR));
            let (mut hour, mut second) = (interval(HOUR), interval(SECOND));
            loop {
                tokio::select! {
                    _ = signals.terminate.recv() => return,
                    _ = signals.interrupt.recv() => return,
                    _ = signals.hangup.recv() => {
                        if let Some(tails) = hung_up() {
                            // It ends only when it is told to.
                            let _ = self.orders.send(Order::Follow(tails));
                        }
                    }
                    _ = beat.tick() => notifier.alive(),
                    _ = second.tick() => self.conditions.look(),
                    _ = hour.tick() => {
                        if let Err(error) = self.judge.salts().forget(clock::unix_nanos()) {
                            let why = format!("{error:#}");
                            tracing::error!(code = "salts_kept", why, "old salts are still there");
                        }
                    }
                }
            }
        });
    }

    /// Takes nothing more, sends what waits, and says how that went.
    ///
    /// # Errors
    /// When a thread of the agent has panicked.
    pub fn finish(mut self) -> anyhow::Result<Stopped> {
        let begun = Instant::now();
        self.face.stop();
        let _ = self.stopping.send(true);
        let _ = self.orders.send(Order::Stop);
        let accepting = std::mem::take(&mut self.accepting);
        self.runtime.block_on(async {
            for task in accepting {
                // It ends at once, with the listener.
                let _ = task.await;
            }
        });
        if let Some(graceful) = Arc::into_inner(self.graceful) {
            let drained =
                self.runtime.block_on(async { timeout(DRAIN, graceful.shutdown()).await });
            if drained.is_err() {
                tracing::warn!(code = "drain_timeout", "open requests did not end in time");
            }
        }
        if let Some(tails) = self.tails.take() {
            tails.join().map_err(|_| anyhow::anyhow!("the thread of the files panicked"))?;
        }
        let left = self.stop_time.saturating_sub(begun.elapsed());
        let stopped = self.emitted.emitter().stop(left);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(stopped)
    }
}

/// Doors that are bound, before anything waits for callers.
struct Open {
    socket: Option<(std::os::unix::net::UnixListener, SocketFile, PathBuf)>,
    loopback: Option<std::net::TcpListener>,
}

impl Open {
    fn doors(settings: &Settings) -> anyhow::Result<Self> {
        let socket = match &settings.socket {
            Some((path, mode)) => {
                let (listener, file) = SocketFile::listen(path, *mode)?;
                Some((listener, file, path.clone()))
            }
            None => None,
        };
        let loopback = match &settings.loopback {
            Some(door) => {
                let name = || format!("cannot listen on {}", door.address);
                let listener = std::net::TcpListener::bind(door.address).with_context(name)?;
                listener.set_nonblocking(true)?;
                Some(listener)
            }
            None => None,
        };
        Ok(Self { socket, loopback })
    }

    fn listeners(
        self,
        runtime: &Runtime,
    ) -> std::io::Result<(Doors, Vec<Listener>, Option<SocketFile>)> {
        let _entered = runtime.enter();
        let (mut doors, mut listeners, mut file) = (Doors::default(), Vec::new(), None);
        if let Some((listener, socket_file, path)) = self.socket {
            (doors.socket, file) = (Some(path), Some(socket_file));
            listeners.push(Listener::Socket(UnixListener::from_std(listener)?));
        }
        if let Some(listener) = self.loopback {
            doors.loopback = Some(listener.local_addr()?);
            listeners.push(Listener::Loopback(TcpListener::from_std(listener)?));
        }
        Ok((doors, listeners, file))
    }
}

/// The longest that a stop may take.
#[must_use]
pub fn longest_stop(settings: &Settings) -> Duration {
    settings.stop + DRAIN + Duration::from_secs(2)
}

/// What asks the agent for something.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_name("agent")
        .enable_all()
        .build()
}

fn start_tails(
    tails: Vec<TailSettings>,
    with: With,
) -> std::io::Result<(Sender<Order>, JoinHandle<()>)> {
    let (orders, told) = channel();
    let thread = std::thread::Builder::new().name("tails".to_owned());
    let thread = thread.spawn(move || tail::run(tails, &with, &told))?;
    Ok((orders, thread))
}
