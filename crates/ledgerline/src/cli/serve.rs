//! `serve`: a node and its HTTP interface, until SIGTERM or SIGINT.
//!
//! Promises: one process per data folder (a lock file says so). One line on standard output, with
//! the URL, when requests are answered. While no administrator's key is valid, one is made and
//! written to the bootstrap key file (mode 0600). On a signal: no new connections, open requests
//! answered, the ledger closed cleanly, exit 0.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ledgerline_doors::hooks::Hooks;
use ledgerline_doors::settings::DoorTable;
use ledgerline_gate::descriptors;
use ledgerline_gate::lanes::Lanes;
use ledgerline_gate::limits::Limits;
use ledgerline_gate::server::{StopSignals, serve};
use ledgerline_gate::tls::{self, Tls};
use ledgerline_gate::workload::Workloads;
use ledgerline_http::feed::look_for_news;
use ledgerline_http::key_ends::end_keys;
use ledgerline_http::signed_answer::Answers;
use ledgerline_http::use_recorder::keep_recording;
use ledgerline_http::{App, With, router};
use ledgerline_issuers::Issuers;
use ledgerline_issuers::settings::IssuerTable;
use ledgerline_issuers::workload::WorkloadTable;
use ledgerline_journal::head_store::HeadStore;
use ledgerline_ledger::folders::{Folder, has_ledger};
use ledgerline_ledger::opening::World;
use ledgerline_node::{AttendancePolicy, Node, NodeConfig};
use ledgerline_proof::statement::is_source_name;
use ledgerline_proof::vocabulary::KeyPurpose;
use ledgerline_vault::keys::{KeyRing, open_or_create_answer_key};
use ledgerline_view::registry::Roles;
use ledgerline_webhook::queue::Rules;
use ledgerline_webhook::{Receiver, Webhook};
use ledgerline_world::clock::SystemClock;
use ledgerline_world::disk::RealDisk;
use ledgerline_world::entropy::SystemEntropy;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Context;
use crate::config::{ServerSettings, beside};
use crate::reload::{Origins, Reload};
use crate::{logs, privacy};
use ledgerline_commands::keys::create_private;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};

/// Where the server listens when nobody says otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:8790";

/// Arguments of `serve`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline serve --data ledger --listen 127.0.0.1:8790 --bootstrap-key-file admin.key
  ledgerline serve --config ledgerline.toml --tls-cert cert.pem --tls-key key.pem
  ledgerline serve --data restored --new-origin ledger.example.com/2 # see docs/how-to/operate.md")]
pub struct ServeArgs {
    #[command(flatten)]
    settings: ServerSettings,
}

/// Serves.
///
/// # Errors
/// When the ledger cannot be opened or the address not be listened on.
pub fn run(context: &mut Context, args: ServeArgs) -> CommandResult {
    let origins = Origins { server: args.settings.clone(), ..std::mem::take(&mut context.origins) };
    let settings = args.settings.or(context.file.server.clone());
    let issuers = std::mem::take(&mut context.file.issuers);
    let workloads = std::mem::take(&mut context.file.workloads);
    let doors = std::mem::take(&mut context.file.doors);
    use_small_pages();
    let started = Started::start(&settings, issuers, workloads, doors)?;
    let reload = Reload { origins, tls: started.tls.clone() };
    // Whoever reads the line may ask it to end at once.
    let signals = started.signals()?;
    context.commands.screen.line(&format!("ledgerline listens on {}", started.url))?;
    started.until(signals, || reload.run(&started.app));
    started.finish()?;
    Ok(Exit::Ok)
}

/// A server touches little of much memory: in pages of 2 MiB, a fifth more of it is resident. A
/// kernel that refuses takes more memory and is none the worse.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// An open ledger, locked for this process.
pub struct OpenLedger {
    /// The node.
    pub node: Arc<Node>,
    /// Whether entries were there and the head store had never seen one.
    pub head_was_missing: bool,
    _lock: File,
}

impl OpenLedger {
    /// Opens or creates the ledger that the settings name.
    ///
    /// # Errors
    /// Without a data folder; when another process has it; whatever the engine says.
    pub fn open(settings: &ServerSettings) -> Result<Self, Failure> {
        let (world, lock) = world(settings)?;
        let head_was_missing = is_head_missing(&world)?;
        let node = Node::open(world, node_config(settings)?).context("the ledger does not open")?;
        Ok(Self { node: Arc::new(node), head_was_missing, _lock: lock })
    }

    /// Closes the ledger cleanly.
    ///
    /// # Errors
    /// When the last block or the head store could not be written; nothing acknowledged is lost.
    pub fn close(self) -> Result<(), Failure> {
        self.node.shutdown().map_err(Failure::error)
    }
}

/// Refuses a folder without a ledger, for what makes none.
///
/// # Errors
/// Names it.
pub fn check_ledger(data: &Path) -> Result<(), Failure> {
    if data.is_dir() && has_ledger(&RealDisk::existing(data)?)? {
        return Ok(());
    }
    Err(Failure::error(format!("there is no ledger in {}", data.display())))
}

/// Whether there is a journal and no checkpoint in the head store. Then nothing tells an older copy
/// of the folder from the ledger as it was; only a first start that was cut off leaves it so.
fn is_head_missing(world: &World) -> Result<bool, Failure> {
    let journal = world.disk.list("journal")?;
    let is_segment = |name: &String| name.ends_with(".seg");
    let note = HeadStore::new(Arc::clone(&world.head_disk)).note()?;
    Ok(note.is_none() && journal.iter().any(is_segment))
}

/// The folders that the settings name, locked for this process, and the keys.
///
/// # Errors
/// As [`OpenLedger::open`].
pub fn world(settings: &ServerSettings) -> Result<(World, File), Failure> {
    let data = settings.data.clone().ok_or_else(|| Failure::usage("name the folder: --data"))?;
    let head = settings.head.clone().unwrap_or_else(|| beside(&data, "head"));
    let keys = keys_path(settings, &data);
    privacy::check_apart(&data, &keys, "the keys' folder")?;
    privacy::check_apart(&data, &head, "the head store's folder")?;
    if let Some(file) = &settings.bootstrap_key_file {
        privacy::check_apart(&data, file, "the file of the first key")?;
    }
    let has_begun = privacy::check_whose(Folder::Data, &data)?;
    let has_keys = privacy::check_whose(Folder::Keys, &keys)?;
    privacy::check_whose(Folder::Head, &head)?;
    if has_begun && !has_keys {
        // New ones beside it would open nothing, and be taken for the true ones by a backup.
        return Err(Failure::error(format!(
            "there are no keys of the ledger {} in {}: name their folder (--keys), or restore it \
             from the backup; nothing was made",
            data.display(),
            keys.display()
        )));
    }
    let disk = RealDisk::new(&data).with_context(|| format!("{}", data.display()))?;
    let lock = disk.lock("lock").map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::WouldBlock => "is in use by another process",
            std::io::ErrorKind::PermissionDenied => "may not be written by this user",
            _ => "cannot be locked",
        };
        anyhow::Error::new(error).context(format!("{} {why}", data.display()))
    })?;
    privacy::tighten(&disk, &data, Folder::Data)?;
    let head_disk = RealDisk::new(&head).with_context(|| format!("{}", head.display()))?;
    privacy::tighten(&head_disk, &head, Folder::Head)?;
    let keys = keys_folder(settings)?;
    let keys = if has_begun {
        KeyRing::open(&keys)?
    } else {
        KeyRing::open_or_create(&keys, &SystemEntropy)?
    };
    let world = World {
        disk: Arc::new(disk),
        head_disk: Arc::new(head_disk),
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        keys: Arc::new(keys),
    };
    Ok((world, lock))
}

fn keys_folder(settings: &ServerSettings) -> Result<RealDisk, Failure> {
    let data = settings.data.as_deref().ok_or_else(|| Failure::usage("name the folder: --data"))?;
    let path = keys_path(settings, data);
    let disk = RealDisk::new(&path).with_context(|| format!("{}", path.display()))?;
    privacy::tighten(&disk, &path, Folder::Keys)?;
    privacy::check_keys(&disk, &path)?;
    Ok(disk)
}

fn keys_path(settings: &ServerSettings, data: &Path) -> PathBuf {
    settings.keys.clone().unwrap_or_else(|| beside(data, "keys"))
}

/// What signs answers of introspection, with a key of its own among the ledger's.
fn answers(settings: &ServerSettings, node: &Node) -> Result<Answers, Failure> {
    let seed = open_or_create_answer_key(&keys_folder(settings)?, &SystemEntropy)?;
    let usual = || format!("https://{}", node.identity().origin);
    let issuer = settings.introspection_issuer.clone().unwrap_or_else(usual);
    let answers = Answers::new(&seed, issuer);
    answers.ok_or_else(|| Failure::error("the key that signs answers is none"))
}

fn node_config(settings: &ServerSettings) -> Result<NodeConfig, Failure> {
    let mut config = NodeConfig::default();
    if let Some(deployment) = &settings.deployment {
        config.ledger.origin = format!("ledgerline.local/{deployment}");
        config.ledger.deployment.clone_from(deployment);
    }
    if let Some(origin) = &settings.origin {
        config.ledger.origin.clone_from(origin);
    }
    config.ledger.new_origin.clone_from(&settings.new_origin);
    if let Some(ms) = settings.block_interval_ms {
        if !(100..=60_000).contains(&ms) {
            return Err(Failure::usage("block_interval_ms is 100 to 60000"));
        }
        config.pace.interval_nanos = ms * 1_000_000;
    }
    findings_config(settings, &mut config)?;
    if let Some(ms) = settings.verify_interval_ms {
        let nanos = ms.checked_mul(1_000_000);
        config.verify_interval_nanos =
            nanos.ok_or_else(|| Failure::usage("verify_interval_ms is too long"))?;
    }
    let looks = [
        ("verify_behind_ms", settings.verify_behind_ms, &mut config.verify_behind_nanos),
        ("expire_interval_ms", settings.expire_interval_ms, &mut config.expire_interval_nanos),
    ];
    for (name, given, interval) in looks {
        if given.is_some_and(|ms| !(1..=60_000).contains(&ms)) {
            return Err(Failure::usage(format!("{name} is 1 to 60000")));
        }
        *interval = given.map_or(*interval, |ms| ms * 1_000_000);
    }
    if let Some(sources) = &settings.strict_sources {
        let sound = |name: &String| is_source_name(name);
        if !sources.iter().all(sound) {
            return Err(Failure::usage("strict_sources are names of sources, [a-z0-9._-]{1,64}"));
        }
        config.ledger.strict_sources.clone_from(sources);
    }
    config.expire = settings.expire.unwrap_or(config.expire);
    let segment_bytes = &mut config.ledger.segment_bytes;
    *segment_bytes = settings.segment_bytes.unwrap_or(*segment_bytes);
    if let Some(mib) = settings.introspection_memory_mib {
        let bytes = mib.checked_mul(1 << 20);
        config.answer_cache_bytes =
            bytes.ok_or_else(|| Failure::usage("introspection_memory_mib is too much"))?;
    }
    if let Some(seconds) = settings.write_log_interval_s {
        if seconds > 86_400 {
            return Err(Failure::usage("write_log_interval_s is 0 to 86400"));
        }
        config.accesses_interval_nanos = seconds * 1_000_000_000;
    }
    config.queue_bytes = settings.max_queue_bytes.unwrap_or(config.queue_bytes);
    config.free_space_floor_bytes =
        settings.free_space_floor_bytes.unwrap_or(config.free_space_floor_bytes);
    Ok(config)
}

/// `source=milliseconds`.
fn source_skew(text: &str) -> Option<(String, i64)> {
    let (source, ms) = text.split_once('=')?;
    let ms: i64 = ms.trim().parse().ok()?;
    let sound = is_source_name(source.trim()) && (0..=60_000).contains(&ms);
    sound.then(|| (source.trim().to_owned(), ms * 1_000_000))
}

fn findings_config(settings: &ServerSettings, config: &mut NodeConfig) -> Result<(), Failure> {
    if let Some(ms) = settings.findings_interval_ms {
        if ms > 60_000 {
            return Err(Failure::usage("findings_interval_ms is 0 to 60000"));
        }
        config.findings_interval_nanos = ms * 1_000_000;
    }
    let nanos = |name: &str, ms: u64| {
        let nanos = i64::try_from(ms).ok().and_then(|ms| ms.checked_mul(1_000_000));
        nanos.ok_or_else(|| Failure::usage(format!("{name} is too long")))
    };
    if let Some(ms) = settings.findings_propagation_ms {
        config.windows.propagation_nanos = nanos("findings_propagation_ms", ms)?;
    }
    if let Some(ms) = settings.findings_refresh_race_ms {
        config.windows.refresh_race_nanos = nanos("findings_refresh_race_ms", ms)?;
    }
    for one in settings.source_skew_ms.iter().flatten() {
        let (source, nanos) = source_skew(one).ok_or_else(|| {
            Failure::usage("source_skew_ms is source=milliseconds, up to 60000: idp=50,gw-1=200")
        })?;
        config.windows.skew_nanos.insert(source, nanos);
    }
    attendance_config(settings, &mut config.attendance)
}

fn attendance_config(
    settings: &ServerSettings,
    policy: &mut AttendancePolicy,
) -> Result<(), Failure> {
    let nanos = |name: &str, count: u64, each: i64| {
        let nanos = i64::try_from(count).ok().and_then(|count| count.checked_mul(each));
        nanos.ok_or_else(|| Failure::usage(format!("{name} is too long")))
    };
    if let Some(seconds) = settings.expected_within_s {
        policy.expected_within = nanos("expected_within_s", seconds, 1_000_000_000)?;
    }
    if let Some(days) = settings.max_key_age_days {
        policy.max_key_age = nanos("max_key_age_days", days, 86_400_000_000_000)?;
    }
    for one in settings.expected_sources.iter().flatten() {
        let one = one.trim();
        let (tenant, source) = one.rsplit_once('/').unwrap_or(("", one));
        if !is_source_name(source) {
            let what = "expected_sources is name or tenant/name: idp,acme/gateway-1";
            return Err(Failure::usage(what));
        }
        policy.expected.push((tenant.to_owned(), source.to_owned()));
    }
    Ok(())
}

/// A server that answers.
pub struct Started {
    /// Its URL.
    pub url: String,
    tls: Tls,
    app: Arc<App>,
    ledger: OpenLedger,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    telling: Option<std::thread::JoinHandle<()>>,
}

impl Started {
    /// Opens the ledger and listens.
    ///
    /// # Errors
    /// As [`OpenLedger::open`]; when the address cannot be listened on.
    pub fn start(
        settings: &ServerSettings,
        issuers: IssuerTable,
        workloads: WorkloadTable,
        doors: DoorTable,
    ) -> Result<Self, Failure> {
        if workloads.has_certificates() && settings.tls_client_ca.is_none() {
            return Err(Failure::usage("workloads with a certificate need tls_client_ca"));
        }
        let issuers = Issuers::open(issuers)?;
        let hooks = Hooks::open(doors)?;
        let webhook = receiver(settings)?.map(|one| Webhook::open(&one)).transpose()?;
        let tls = Tls::new(tls::acceptor(settings.tls_files())?);
        let runtime = runtime()?;
        let listen = settings.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        // Before the ledger is touched: a port in use must leave no trace.
        let listener = runtime
            .block_on(listen_on(listen))
            .with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        if !tls.is_on() && !address.ip().is_loopback() {
            let why = "keys and tokens cross the network in the clear: set tls_cert and tls_key";
            tracing::warn!(code = "no_tls", %address, why, "the server listens without TLS");
        }
        let ledger = OpenLedger::open(settings)?;
        if ledger.head_was_missing {
            let why = "the journal holds entries and the head store held no checkpoint: if this is \
                       an older copy of the ledger, nothing here can tell; compare with a \
                       checkpoint that somebody kept (ledgerline verify --since)";
            tracing::error!(code = "head_store_missing", why);
        }
        let view = ledger.node.view();
        for older in view.origins().iter().rev().skip(1) {
            let (origin, size) = (&*older.identity().origin, older.size());
            tracing::info!(origin, size, "continues an older origin");
        }
        ledger.node.listen_to_verifier(Box::new(logs::verifier));
        ledger.node.listen_to_patience(Box::new(logs::patience));
        ledger.node.listen_to_followers(Box::new(logs::follower));
        bootstrap(&ledger.node, settings)?;
        let gaps = ledger.node.record_gaps()?;
        if gaps > 0 {
            let why = "the process before this one did not end cleanly; see the findings";
            tracing::warn!(code = "uses_missing", tenants = gaps, why);
        }
        let limits = limits(settings)?;
        let scheme = if tls.is_on() { "https" } else { "http" };
        let answers = answers(settings, &ledger.node)?;
        let head_was_missing = ledger.head_was_missing;
        let use_window = milliseconds(settings.introspection_window_ms, 10_000);
        let with = With { issuers, hooks, answers, webhook, head_was_missing, use_window };
        let app = App::new(Arc::clone(&ledger.node), limits, with);
        know_workloads(&app, workloads);
        // Before anything is answered: a key whose time came while nobody ran must not be taken.
        app.endings.find(&ledger.node).context("the keys that are being replaced")?;
        runtime.spawn(keep_recording(Arc::clone(&app)));
        runtime.spawn(end_keys(Arc::clone(&app)));
        runtime.spawn(look_for_news(Arc::clone(&app)));
        let telling = tell_findings(&app)?;
        let routes = router(Arc::clone(&app));
        let (stop, stopped) = oneshot::channel::<()>();
        let until = async move { drop(stopped.await) };
        let lanes = Lanes::start(http_threads(settings))?;
        let gate = Arc::clone(&app.gate);
        let serving = runtime.spawn(serve(listener, tls.clone(), routes, lanes, gate, until));
        let url = format!("{scheme}://{}", reachable(address));
        tracing::info!(url, "serving");
        Ok(Self { url, tls, app, ledger, runtime, stop, serving, telling })
    }

    /// Takes over SIGTERM and SIGINT.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn signals(&self) -> std::io::Result<StopSignals> {
        let _entered = self.runtime.enter();
        StopSignals::take()
    }

    /// Waits for SIGTERM or SIGINT; each SIGHUP before it is told.
    pub fn until(&self, mut signals: StopSignals, hung_up: impl FnMut()) {
        self.runtime.block_on(signals.came(hung_up));
    }

    /// Stops accepting, drains, closes the ledger.
    ///
    /// # Errors
    /// As [`OpenLedger::close`].
    pub fn finish(self) -> Result<(), Failure> {
        tracing::info!("stopping");
        // The receiver is gone when serving failed by itself.
        let _ = self.stop.send(());
        self.app.stop();
        let served = self.runtime.block_on(self.serving);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        self.app.uses.finish(&self.ledger.node);
        if let Some(telling) = self.telling {
            // It ends within one try; what was on its way is told again after the next start.
            let _ = telling.join();
        }
        self.ledger.close()?;
        served.context("the server failed")??;
        Ok(())
    }
}

/// Lets workloads in that prove by a certificate or a token who they are.
fn know_workloads(app: &Arc<App>, table: WorkloadTable) {
    if table.is_empty() {
        return;
    }
    for key_id in table.key_ids() {
        if app.node.proven(key_id).is_err() {
            let why = "no credential in force has this id: the workload is refused until one has";
            tracing::warn!(code = "workload_without_key", key_id, why);
        }
    }
    let table = Arc::new(table);
    let (by_name, by_token) = (Arc::clone(&table), table);
    let known = Arc::downgrade(app);
    let workloads = Workloads {
        by_name: Box::new(move |name| by_name.by_name(name).map(str::to_owned)),
        by_token: Box::new(move |token| {
            let app = known.upgrade()?;
            let issuers = app.issuers();
            by_token.by_token(&issuers, token, app.node.now()).map(str::to_owned)
        }),
    };
    // The first one set stays, and there is none before.
    let _ = app.gate.workloads.set(workloads);
}

/// Starts the thread that tells findings, if the settings name a receiver.
fn tell_findings(app: &Arc<App>) -> std::io::Result<Option<std::thread::JoinHandle<()>>> {
    if app.webhook.is_none() {
        return Ok(None);
    }
    let app = Arc::clone(app);
    let work = move || {
        if let Some(webhook) = &app.webhook {
            webhook.follow(&app.node, &|| app.is_stopping());
        }
    };
    let thread = std::thread::Builder::new().name("ledgerline-webhook".to_owned());
    thread.spawn(work).map(Some)
}

/// Newcomers that may wait to be accepted: what the kernel usually allows. Beyond it a newcomer
/// tries again after a second.
const BACKLOG: u32 = 4096;

/// Listens on the first address of the name that can be listened on.
async fn listen_on(name: &str) -> std::io::Result<TcpListener> {
    let mut last = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no address");
    for address in tokio::net::lookup_host(name).await? {
        let listening = || {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            // Also while connections of a server before linger.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        match listening() {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What callers are granted, as far as the system's limit of open files has room for it.
fn limits(settings: &ServerSettings) -> Result<Limits, Failure> {
    for percent in [settings.tenant_share_percent, settings.credential_share_percent] {
        if percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            let names = "tenant_share_percent and credential_share_percent are 1 to 100";
            return Err(Failure::usage(names));
        }
    }
    let usual = Limits::default();
    let time = |value: Option<u64>, usual: Duration| value.map_or(usual, Duration::from_millis);
    let max_connections = settings.max_connections.unwrap_or(usual.max_connections).max(1);
    Ok(Limits {
        max_connections: descriptors::connections(max_connections),
        max_requests: settings.max_requests.unwrap_or(usual.max_requests).max(1),
        max_line_bytes: settings.max_queue_bytes.unwrap_or(usual.max_line_bytes).max(1024),
        header_timeout: time(settings.header_timeout_ms, usual.header_timeout),
        body_timeout: time(settings.body_timeout_ms, usual.body_timeout),
        stall_timeout: time(settings.stall_timeout_ms, usual.stall_timeout),
        write_timeout: time(settings.write_timeout_ms, usual.write_timeout),
        tenant_share_percent: settings.tenant_share_percent.unwrap_or(usual.tenant_share_percent),
        credential_share_percent: settings
            .credential_share_percent
            .unwrap_or(usual.credential_share_percent),
        drain_timeout: time(settings.drain_timeout_ms, usual.drain_timeout),
    })
}

fn milliseconds(value: Option<u64>, usual: u64) -> Duration {
    Duration::from_millis(value.unwrap_or(usual))
}

/// Who is told of findings; `None` when the settings name nobody.
fn receiver(settings: &ServerSettings) -> Result<Option<Receiver>, Failure> {
    let (url, file) = match (&settings.webhook_url, &settings.webhook_secret_file) {
        (None, None) => return Ok(None),
        (Some(url), Some(file)) => (url, file),
        _ => return Err(Failure::usage("webhook_url and webhook_secret_file go together")),
    };
    let ms = |value: Option<u64>, usual| Duration::from_millis(value.unwrap_or(usual).max(1));
    Ok(Some(Receiver {
        url: url.clone(),
        secret_file: file.clone(),
        ca_file: settings.webhook_ca_file.clone(),
        rules: Rules {
            group_after: settings.webhook_group_after.unwrap_or(50).max(1),
            window: ms(settings.webhook_group_ms, 60_000),
            first_pause: ms(settings.webhook_retry_ms, 1000),
            tries: settings.webhook_tries.unwrap_or(12).max(1),
        },
    }))
}

/// For what is not the answer of a request: listening, recording uses, signals.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("ledgerline-main")
        .enable_all()
        .build()
}

/// One for each core, unless the settings say otherwise.
fn http_threads(settings: &ServerSettings) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    settings.http_threads.unwrap_or(cores)
}

/// The address as a client on this machine reaches it.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

/// Makes the first administrator's key while there is none.
fn bootstrap(node: &Node, settings: &ServerSettings) -> Result<(), Failure> {
    let has_admin = node.keys().iter().any(|key| {
        key.purpose == KeyPurpose::Credential
            && key.roles.has(Roles::ADMIN)
            && key.valid_until.is_none()
    });
    let Some(path) = &settings.bootstrap_key_file else {
        if !has_admin {
            let hint = "no administrator's key: start once with --bootstrap-key-file FILE";
            tracing::warn!(code = "no_admin", hint);
        }
        return Ok(());
    };
    if has_admin {
        return Ok(());
    }
    // The file first: a key that cannot be kept must not be made.
    let mut file = create_private(path)?;
    let added = node.bootstrap_key()?;
    let secret = added.secret.ok_or_else(|| Failure::error("the engine made no secret"))?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    tracing::info!(key_id = added.key_id, file = %path.display(), "wrote the first admin key");
    Ok(())
}
