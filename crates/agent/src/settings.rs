//! How an agent is set up: one file, flags for what differs from machine to machine.
//!
//! ```toml
//! url = "https://ledger.example.com"
//! key_file = "/etc/ledgerline/agent.key"
//! source = "edge-1"
//! state = "/var/lib/ledgerline-agent"
//! socket = "/run/ledgerline-agent/agent.sock"
//!
//! [sign]
//! alg = "Ed25519"
//! key_id = "edge-1-signing"
//! key_file = "/etc/ledgerline/agent-signing.key"
//!
//! [[tail]]
//! name = "provider"
//! path = "/var/log/provider/events.ndjson"
//! adapter = "oidc-provider"
//! issuer = "idp"
//! ```
//!
//! Promises: everything is judged before anything is opened, so that `--check` says what a start
//! would say. An error names the setting. Secrets stand in files of their own, one each.
//!
//! Refuses: unknown keys, empty values, addresses that are not of this machine, two tails of one
//! name or one file.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ledgerline_client::Misconfigured;
use ledgerline_client::outbound::check_url;
use ledgerline_client::secret_file::read_secret_file;
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::signature::Alg;
use ledgerline_proof::statement::is_source_name;
use ledgerline_sources::{ADAPTERS, Choice, Naming};
use ledgerline_terminal::settings;
use serde::Deserialize;

use crate::signing;

/// The name of our own form, beside those of the adapters.
pub const OWN_FORM: &str = "ledgerline";
/// Most tails of one agent: each costs a look at its file four times a second.
const TAILS_MAX: usize = 256;
/// Shortest key of callers on loopback, in characters: 128 bits of hex or more.
const LISTEN_KEY_CHARS_MIN: usize = 32;

settings! {
    /// What the file says and a flag may say otherwise.
    pub struct AgentSettings {
        /// Source of the agent's API key, `[a-z0-9._-]{1,64}`.
        "LEDGERLINE_AGENT_SOURCE" source: String,
        /// Tenant of the agent's API key [default: the empty one].
        "LEDGERLINE_AGENT_TENANT" tenant: String,
        /// Folder of the spool, of positions in files and of what was set aside.
        "LEDGERLINE_AGENT_STATE" state: PathBuf,
        /// Unix socket to listen on.
        "LEDGERLINE_AGENT_SOCKET" socket: PathBuf,
        /// Rights of the socket: 0600, the agent's user alone, or 0660, its group too
        /// [default: 0660].
        "LEDGERLINE_AGENT_SOCKET_MODE" socket_mode: String,
        /// Loopback address to listen on, such as 127.0.0.1:8791; port 0 picks a free one.
        "LEDGERLINE_AGENT_LISTEN" listen: SocketAddr,
        /// File with the key that callers on that address show as bearer: one line, at least 32
        /// characters.
        "LEDGERLINE_AGENT_LISTEN_KEY_FILE" listen_key_file: PathBuf,
        /// Whether callers are answered, and files read on, only when their events are on the disk
        /// (fsync). Without it a power cut can lose the newest 100 milliseconds of callers'
        /// events [default: false].
        "LEDGERLINE_AGENT_DURABLE" durable: bool,
        /// Bytes that may wait on the disk for the ledger; beyond it callers are answered 503
        /// [default: 1073741824].
        "LEDGERLINE_AGENT_SPOOL_BYTES" spool_bytes: u64,
        /// Seconds between heartbeats, 1 to 3600 [default: 30].
        "LEDGERLINE_AGENT_HEARTBEAT_SECONDS" heartbeat_seconds: u64,
        /// Milliseconds that a stop may take to send what waits, up to 600000 [default: 10000].
        "LEDGERLINE_AGENT_STOP_MS" stop_ms: u64,
        /// Verifier key of the log, `origin+hash+base64`: its checkpoints are verified then, and
        /// heartbeats say which one was seen last.
        "LEDGERLINE_AGENT_LOG_KEY" log_key: String,
        /// Connections of callers at a time [default: 512].
        "LEDGERLINE_AGENT_MAX_CONNECTIONS" max_connections: usize,
    }
}

/// A signing key, as the file names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignTable {
    alg: String,
    key_id: String,
    key_file: PathBuf,
    #[serde(default = "usual_deployment")]
    deployment: String,
}

fn usual_deployment() -> String {
    "default".to_owned()
}

/// A file to follow, as the configuration names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TailTable {
    path: PathBuf,
    adapter: String,
    name: Option<String>,
    region: Option<String>,
    issuer: Option<String>,
    replay_lines: Option<u64>,
    late_seconds: Option<u64>,
}

/// The file, as it is read.
#[derive(Debug, Clone, Default)]
pub struct AgentFile {
    settings: AgentSettings,
    reach: Reach,
    sign: Option<SignTable>,
    tails: Vec<TailTable>,
}

/// How the ledger is reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reach {
    /// URL of the ledger.
    pub url: Option<String>,
    /// File with the agent's API key.
    pub key_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds that a call may take.
    pub timeout_ms: Option<u64>,
}

impl Reach {
    const NAMES: [&'static str; 4] = ["url", "key_file", "ca_file", "timeout_ms"];

    /// These; those of the file where nothing is said.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            url: self.url.or(file.url),
            key_file: self.key_file.or(file.key_file),
            ca_file: self.ca_file.or(file.ca_file),
            timeout_ms: self.timeout_ms.or(file.timeout_ms),
        }
    }
}

/// What signs statements.
#[derive(Debug, Clone)]
pub struct Signing {
    /// How.
    pub alg: Alg,
    /// The id of the key at the ledger.
    pub key_id: String,
    /// The deployment that signatures are for.
    pub deployment: String,
    /// The file with the secret.
    pub key_file: PathBuf,
}

impl Signing {
    /// Reads the key.
    ///
    /// # Errors
    /// As [`signing::read`].
    pub fn key(&self) -> anyhow::Result<ledgerline_emitter::Signing> {
        signing::read(self.alg, &self.key_id, &self.deployment, &self.key_file)
    }
}

/// A file to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailSettings {
    /// Names it in metrics, heartbeats and the state folder.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What makes events of its lines; `None` for events in our own form.
    pub adapter: Option<&'static str>,
    /// Under which names its tokens stand.
    pub naming: Naming,
    /// Lines that are read again after a restart, so that the adapter remembers what they said.
    pub replay_lines: u64,
    /// For how long nothing may come to a renamed file before it counts as read to its end:
    /// writers keep it open until they are told.
    pub late: Duration,
}

impl TailSettings {
    /// The adapter's row in the table.
    #[must_use]
    pub fn choice(&self) -> Option<&'static Choice> {
        self.adapter.and_then(ledgerline_sources::choice)
    }
}

/// A loopback door.
#[derive(Clone)]
pub struct Loopback {
    /// Where.
    pub address: SocketAddr,
    /// What callers must show.
    pub key: String,
}

/// An agent's settings, judged.
pub struct Settings {
    /// URL of the ledger.
    pub url: String,
    /// The agent's API key.
    pub key: String,
    /// The file that it stands in.
    pub key_file: PathBuf,
    /// Certificates (PEM) to trust instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// How long a call may take.
    pub timeout: Duration,
    /// Source of the API key.
    pub source: String,
    /// Tenant of the API key.
    pub tenant: String,
    /// The state folder.
    pub state: PathBuf,
    /// The Unix socket and its rights.
    pub socket: Option<(PathBuf, u32)>,
    /// The loopback door.
    pub loopback: Option<Loopback>,
    /// Whether everything is on the disk before it is answered.
    pub durable: bool,
    /// Bytes that may wait.
    pub spool_bytes: u64,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// For a stop.
    pub stop: Duration,
    /// Connections at a time.
    pub max_connections: usize,
    /// Verifier key of the log.
    pub log_key: Option<VerifierKey>,
    /// What signs; statements go unsigned without it.
    pub signing: Option<Signing>,
    /// The files.
    pub tails: Vec<TailSettings>,
}

fn wrong(text: impl Display) -> anyhow::Error {
    Misconfigured::new(text).into()
}

impl AgentFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has a key or value that no setting knows.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let is_file = fs::metadata(path).map_err(|error| wrong(format!("{name}: {error}")))?;
        if !is_file.is_file() {
            return Err(wrong(format!("{name} is no plain file")));
        }
        let text = fs::read_to_string(path).map_err(|error| wrong(format!("{name}: {error}")))?;
        Self::parse(&text).map_err(|problem| wrong(format!("{name}: {problem}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The parser quotes the line, which may hold a path but never a secret: no setting is one.
        let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        let (mut own, mut reach, mut file) =
            (toml::Table::new(), toml::Table::new(), Self::default());
        let read = |error: toml::de::Error| error.message().to_owned();
        for (key, value) in table {
            if value.as_str().is_some_and(|text| text.trim().is_empty()) && key != "tenant" {
                return Err(format!("`{key}` is empty: leave it out for its default"));
            }
            match key.as_str() {
                "sign" => {
                    let sign = value.try_into().map_err(|error| format!("[sign]: {}", read(error)));
                    file.sign = Some(sign?);
                }
                "tail" => {
                    let tails =
                        value.try_into().map_err(|error| format!("[[tail]]: {}", read(error)));
                    file.tails = tails?;
                }
                name if Reach::NAMES.contains(&name) => drop(reach.insert(key, value)),
                name if AgentSettings::NAMES.contains(&name) => drop(own.insert(key, value)),
                name => return Err(format!("unknown setting `{name}`")),
            }
        }
        file.settings = own.try_into().map_err(read)?;
        file.reach = reach.try_into().map_err(read)?;
        Ok(file)
    }

    /// Judges it, with what flags say.
    ///
    /// # Errors
    /// Names the setting, and what to do.
    pub fn judge(self, flags: AgentSettings, reach: Reach) -> anyhow::Result<Settings> {
        let (own, reach) = (flags.or(self.settings), reach.or(self.reach));
        let url = reach.url.ok_or_else(|| wrong("name the ledger: url"))?;
        let url = url.trim_end_matches('/').to_owned();
        check_url(&url).map_err(|why| wrong(format!("url: {why}")))?;
        let key_file = reach.key_file.ok_or_else(|| {
            wrong("name the file with the agent's API key (role producer): key_file")
        })?;
        let source = own.source.ok_or_else(|| wrong("name the source of the API key: source"))?;
        if !is_source_name(&source) {
            return Err(wrong("source is [a-z0-9._-]{1,64}"));
        }
        let state = own.state.ok_or_else(|| wrong("name the state folder: state"))?;
        let mode = socket_mode(own.socket_mode.as_deref().unwrap_or("0660"))?;
        let socket = own.socket.map(|path| (path, mode));
        let loopback = loopback(own.listen, own.listen_key_file.as_deref())?;
        let tails = tails(self.tails)?;
        if socket.is_none() && loopback.is_none() && tails.is_empty() {
            return Err(wrong("nothing to take events from: name a socket, listen, or a [[tail]]"));
        }
        let ms = |name: &str, given: Option<u64>, usual: u64, least: u64, most: u64| {
            let ms = given.unwrap_or(usual);
            let sound = (least..=most).contains(&ms);
            sound
                .then(|| Duration::from_millis(ms))
                .ok_or_else(|| wrong(format!("{name} is {least} to {most}")))
        };
        let log_key = own.log_key.as_deref().map(|text| {
            VerifierKey::parse(text).map_err(|_| wrong("log_key is no verifier key of a log"))
        });
        let heartbeat = own.heartbeat_seconds.unwrap_or(30);
        if !(1..=3600).contains(&heartbeat) {
            return Err(wrong("heartbeat_seconds is 1 to 3600"));
        }
        let spool_bytes = own.spool_bytes.unwrap_or(1 << 30);
        if spool_bytes < 64 << 20 {
            return Err(wrong("spool_bytes is at least 67108864: one call has up to 16 MiB"));
        }
        Ok(Settings {
            key: read_secret_file(&key_file)?,
            key_file,
            ca_file: reach.ca_file,
            timeout: ms("timeout_ms", reach.timeout_ms, 30_000, 100, 600_000)?,
            tenant: own.tenant.unwrap_or_default(),
            durable: own.durable.unwrap_or(false),
            heartbeat: Duration::from_secs(heartbeat),
            stop: ms("stop_ms", own.stop_ms, 10_000, 0, 600_000)?,
            max_connections: own.max_connections.unwrap_or(512).max(1),
            log_key: log_key.transpose()?,
            signing: self.sign.map(sign).transpose()?,
            url,
            source,
            state,
            socket,
            loopback,
            spool_bytes,
            tails,
        })
    }
}

fn socket_mode(text: &str) -> anyhow::Result<u32> {
    match text.trim_start_matches("0o").trim_start_matches('0') {
        "600" => Ok(0o600),
        "660" => Ok(0o660),
        _ => Err(wrong(
            "socket_mode is 0600 or 0660: whoever may write to the socket speaks in the agent's \
             name, so it is never everybody's",
        )),
    }
}

fn loopback(
    address: Option<SocketAddr>,
    key_file: Option<&Path>,
) -> anyhow::Result<Option<Loopback>> {
    let (address, key_file) = match (address, key_file) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(wrong("listen_key_file without listen")),
        (Some(_), None) => {
            return Err(wrong(
                "listen needs listen_key_file: every user of this machine reaches a loopback port",
            ));
        }
        (Some(address), Some(file)) => (address, file),
    };
    if !address.ip().is_loopback() {
        return Err(wrong(
            "listen is an address of this machine, 127.0.0.1 or [::1]: an agent is for the \
             services beside it",
        ));
    }
    let key = read_secret_file(key_file)?;
    if key.chars().count() < LISTEN_KEY_CHARS_MIN {
        return Err(wrong(format!(
            "{} holds fewer than {LISTEN_KEY_CHARS_MIN} characters: make a key with `openssl rand \
             -hex 32`",
            key_file.display()
        )));
    }
    Ok(Some(Loopback { address, key }))
}

fn sign(table: SignTable) -> anyhow::Result<Signing> {
    let alg =
        Alg::from_name(&table.alg).ok_or_else(|| wrong("[sign] alg is HMAC-SHA256 or Ed25519"))?;
    if table.key_id.trim().is_empty() || table.deployment.trim().is_empty() {
        return Err(wrong("[sign] key_id and deployment must not be empty"));
    }
    let SignTable { key_id, key_file, deployment, .. } = table;
    let signing = Signing { alg, key_id, deployment, key_file };
    // Read once now, so that what is wrong with it is said before anything is opened.
    signing.key()?;
    Ok(signing)
}

fn tails(tables: Vec<TailTable>) -> anyhow::Result<Vec<TailSettings>> {
    if tables.len() > TAILS_MAX {
        return Err(wrong(format!("an agent follows at most {TAILS_MAX} files")));
    }
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    let mut tails = Vec::with_capacity(tables.len());
    for table in tables {
        let tail = tail(table)?;
        let name = &tail.name;
        if !names.insert(name.clone()) {
            return Err(wrong(format!("two [[tail]] are named `{name}`: give each a name")));
        }
        if !paths.insert(tail.path.clone()) {
            return Err(wrong(format!("[[tail]] {name}: another one follows the same path")));
        }
        tails.push(tail);
    }
    Ok(tails)
}

fn tail(table: TailTable) -> anyhow::Result<TailSettings> {
    let stem = table.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = table.name.unwrap_or_else(|| stem.to_ascii_lowercase());
    if !is_source_name(&name) {
        return Err(wrong(format!(
            "[[tail]] {}: give it a name, [a-z0-9._-]{{1,64}}",
            table.path.display()
        )));
    }
    if !table.path.is_absolute() {
        return Err(wrong(format!("[[tail]] {name}: path must be absolute")));
    }
    let adapter = match table.adapter.as_str() {
        OWN_FORM => None,
        given => Some(ledgerline_sources::choice(given).ok_or_else(|| {
            let known: Vec<&str> = ADAPTERS.iter().map(|one| one.name).collect();
            let known = known.join(", ");
            wrong(format!("[[tail]] {name}: adapter is {OWN_FORM} or one of: {known}"))
        })?),
    };
    let region = table.region.as_deref().unwrap_or("global");
    let issuer = table.issuer.as_deref().unwrap_or("idp");
    let naming = Naming::new(region, issuer).ok_or_else(|| {
        wrong(format!("[[tail]] {name}: region and issuer are [a-z0-9._-]{{1,32}}"))
    })?;
    let replay_lines = table.replay_lines.unwrap_or(10_000);
    if !(1000..=1_000_000).contains(&replay_lines) {
        return Err(wrong(format!("[[tail]] {name}: replay_lines is 1000 to 1000000")));
    }
    let late = table.late_seconds.unwrap_or(60);
    if !(1..=86_400).contains(&late) {
        return Err(wrong(format!("[[tail]] {name}: late_seconds is 1 to 86400")));
    }
    let (path, adapter, late) =
        (table.path, adapter.map(|one| one.name), Duration::from_secs(late));
    Ok(TailSettings { name, path, adapter, naming, replay_lines, late })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
        path
    }

    /// A sound configuration with some lines of its own.
    fn judged(more: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        file(path, "api.key", "api-key-of-the-agent\n");
        file(path, "long.key", &"k".repeat(32));
        file(path, "short.key", "short");
        let text = format!(
            "url = \"http://127.0.0.1:1\"\nkey_file = \"{0}/api.key\"\nsource = \"edge\"\n\
             state = \"{0}/state\"\n{1}",
            path.display(),
            more.replace("$", &path.display().to_string())
        );
        let file = AgentFile::parse(&text)?;
        let flags = AgentSettings::default();
        file.judge(flags, Reach::default()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let tail = "[[tail]]\npath = \"/var/log/a.ndjson\"\nadapter = \"ledgerline\"\n";
        assert!(judged(tail).is_ok());
        assert!(judged("socket = \"/run/a.sock\"").is_ok());
        assert!(judged("listen = \"[::1]:0\"\nlisten_key_file = \"$/long.key\"").is_ok());
        let check = |more: &str, part: &str| {
            let Err(problem) = judged(more) else { panic!("{more}: was taken") };
            assert!(problem.contains(part), "{more}: {problem}");
        };
        check("", "nothing to take events from");
        check("sockett = \"/run/a.sock\"", "unknown setting `sockett`");
        check("socket = \"\"", "`socket` is empty");
        check("socket = \"/a\"\nsocket_mode = \"0666\"", "never everybody's");
        check("socket = \"/a\"\nheartbeat_seconds = 0", "heartbeat_seconds is 1");
        check("socket = \"/a\"\nspool_bytes = 10", "spool_bytes");
        check("listen = \"127.0.0.1:0\"", "needs listen_key_file");
        check("listen = \"0.0.0.0:1\"\nlisten_key_file = \"$/long.key\"", "of this machine");
        check("listen = \"10.0.0.1:1\"\nlisten_key_file = \"$/long.key\"", "of this machine");
        check("listen = \"127.0.0.1:0\"\nlisten_key_file = \"$/short.key\"", "fewer than 32");
        check("listen = \"127.0.0.1:0\"\nlisten_key_file = \"$/none.key\"", "none.key");
        check(&format!("{tail}{tail}"), "two [[tail]] are named `a`");
        check(&tail.replace("/var/log/", "log/"), "must be absolute");
        check(&tail.replace("ledgerline", "unheard-of"), "adapter is ledgerline or one of");
        check(&format!("{tail}replay_lines = 5"), "replay_lines is 1000");
        check(&format!("{tail}late_seconds = 0"), "late_seconds is 1");
        check(&format!("{tail}colour = \"red\""), "unknown field `colour`");
        check("socket = \"/a\"\n[sign]\nalg = \"RS256\"\nkey_id = \"k\"\nkey_file = \"/k\"", "alg");
    }
}
