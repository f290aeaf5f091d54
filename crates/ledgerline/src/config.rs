//! Configuration: one set of names, three places.
//!
//! ```text
//! flag         --block-interval-ms 1000
//! environment  LEDGERLINE_BLOCK_INTERVAL_MS=1000
//! file         block_interval_ms = 1000          (TOML, named by --config or LEDGERLINE_CONFIG)
//! ```
//!
//! Promises: a flag wins over the environment, the environment over the file, the file over the
//! default. Refuses: keys in the file that no setting has, and empty values, so that a typing
//! mistake is not a silent default; pipes. Other `LEDGERLINE_*` variables are ignored:
//! orchestrators set some of their own.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ledgerline_commands::ClientSettings;
use ledgerline_doors::settings::{self as door_settings, DoorTable};
use ledgerline_gate::tls;
use ledgerline_issuers::settings::{self as issuer_settings, IssuerTable};
use ledgerline_issuers::workload::{self, WorkloadTable};
use ledgerline_terminal::exit::Failure;
use ledgerline_terminal::settings;
use serde::Deserialize;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

settings! {
    /// Where things lie and how the server behaves.
    pub struct ServerSettings {
        /// Folder of the ledger. Created when missing.
        "LEDGERLINE_DATA" data: PathBuf,
        /// Folder of the key files; outside the data folder [default: <data>.keys].
        "LEDGERLINE_KEYS" keys: PathBuf,
        /// Folder of the head store; best on another disk [default: <data>.head].
        "LEDGERLINE_HEAD" head: PathBuf,
        /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:8790].
        "LEDGERLINE_LISTEN" listen: String,
        /// Where the first admin key is written (mode 0600) when the ledger is created.
        "LEDGERLINE_BOOTSTRAP_KEY_FILE" bootstrap_key_file: PathBuf,
        /// Name of the deployment; bound into producers' signatures [default: default].
        "LEDGERLINE_DEPLOYMENT" deployment: String,
        /// Name of the log: a scheme-less URL prefix, at most 255 bytes
        /// [default: ledgerline.local/<deployment>].
        "LEDGERLINE_ORIGIN" origin: String,
        /// Name under which a restored copy behind the head store goes on, as a new origin. What
        /// the head store has seen beyond the copy is given up. Without effect once the ledger
        /// has that name.
        "LEDGERLINE_NEW_ORIGIN" new_origin: String,
        /// TLS certificate chain (PEM).
        "LEDGERLINE_TLS_CERT" tls_cert: PathBuf,
        /// TLS private key (PEM).
        "LEDGERLINE_TLS_KEY" tls_key: PathBuf,
        /// Certificates (PEM) of the CAs whose certificates clients may show.
        "LEDGERLINE_TLS_CLIENT_CA" tls_client_ca: PathBuf,
        /// Milliseconds between blocks, 100 to 60000 [default: 5000].
        "LEDGERLINE_BLOCK_INTERVAL_MS" block_interval_ms: u64,
        /// Bytes of a journal segment [default: 268435456].
        "LEDGERLINE_SEGMENT_BYTES" segment_bytes: u64,
        /// Bytes waiting for the disk beyond which submissions are answered 429 [default:
        /// 67108864].
        "LEDGERLINE_MAX_QUEUE_BYTES" max_queue_bytes: usize,
        /// Seconds for which write accesses of a credential are one entry of the log of write
        /// accesses, up to 86400; 0 keeps none [default: 300].
        "LEDGERLINE_WRITE_LOG_INTERVAL_S" write_log_interval_s: u64,
        /// Free bytes on the disk below which nothing more is taken [default: 536870912].
        "LEDGERLINE_FREE_SPACE_FLOOR_BYTES" free_space_floor_bytes: u64,
        /// Connections at a time, as far as the system's limit of open files has room for them;
        /// beyond it the oldest that shows no credential is closed [default: 4096].
        "LEDGERLINE_MAX_CONNECTIONS" max_connections: usize,
        /// Requests at a time; beyond it 503 [default: 4096].
        "LEDGERLINE_MAX_REQUESTS" max_requests: usize,
        /// Milliseconds to send a request's headers [default: 10000].
        "LEDGERLINE_HEADER_TIMEOUT_MS" header_timeout_ms: u64,
        /// Milliseconds to send a request's body [default: 30000].
        "LEDGERLINE_BODY_TIMEOUT_MS" body_timeout_ms: u64,
        /// Milliseconds for which nothing of a body may come [default: 10000].
        "LEDGERLINE_STALL_TIMEOUT_MS" stall_timeout_ms: u64,
        /// Milliseconds for which an answer may stay unread [default: 10000].
        "LEDGERLINE_WRITE_TIMEOUT_MS" write_timeout_ms: u64,
        /// Percent of connections, requests, waiting requests, streams and memory that one tenant
        /// may have at a time [default: 50].
        "LEDGERLINE_TENANT_SHARE_PERCENT" tenant_share_percent: usize,
        /// The same for one credential [default: 25].
        "LEDGERLINE_CREDENTIAL_SHARE_PERCENT" credential_share_percent: usize,
        /// Milliseconds that open requests get on shutdown [default: 10000].
        "LEDGERLINE_DRAIN_TIMEOUT_MS" drain_timeout_ms: u64,
        /// Milliseconds within which introspections of one token by one caller are recorded as one
        /// USED; 0 records none [default: 10000].
        "LEDGERLINE_INTROSPECTION_WINDOW_MS" introspection_window_ms: u64,
        /// MiB of answers to introspections that are kept ready, some 400 bytes for each token
        /// [default: 256].
        "LEDGERLINE_INTROSPECTION_MEMORY_MIB" introspection_memory_mib: usize,
        /// The `iss` of signed introspection answers (RFC 9701) [default: https://<origin>].
        "LEDGERLINE_INTROSPECTION_ISSUER" introspection_issuer: String,
        /// Milliseconds between two looks of the rules at what was recorded, up to 60000; 0
        /// switches findings off [default: 500].
        "LEDGERLINE_FINDINGS_INTERVAL_MS" findings_interval_ms: u64,
        /// Milliseconds that news of a revocation or an expiry may take: a use within is a finding
        /// of severity info [default: 5000].
        "LEDGERLINE_FINDINGS_PROPAGATION_MS" findings_propagation_ms: u64,
        /// Milliseconds within which a second use of a replaced refresh token is taken for two
        /// requests that crossed [default: 10000].
        "LEDGERLINE_FINDINGS_REFRESH_RACE_MS" findings_refresh_race_ms: u64,
        /// Milliseconds between two full verifications of the running ledger; 0 switches the
        /// verifier off, also the one behind the head [default: 3600000].
        "LEDGERLINE_VERIFY_INTERVAL_MS" verify_interval_ms: u64,
        /// Milliseconds between two looks of the verifier behind the head, up to 60000 [default:
        /// 500].
        "LEDGERLINE_VERIFY_BEHIND_MS" verify_behind_ms: u64,
        /// Where every finding is told, signed (Standard Webhooks).
        "LEDGERLINE_WEBHOOK_URL" webhook_url: String,
        /// File with the secret shared with that receiver: `whsec_` and base64.
        "LEDGERLINE_WEBHOOK_SECRET_FILE" webhook_secret_file: PathBuf,
        /// Certificates (PEM) to trust for that receiver instead of the usual ones.
        "LEDGERLINE_WEBHOOK_CA_FILE" webhook_ca_file: PathBuf,
        /// Milliseconds to the second try; the pause doubles up to a minute [default: 1000].
        "LEDGERLINE_WEBHOOK_RETRY_MS" webhook_retry_ms: u64,
        /// Findings of one tenant, rule, severity and source that are told one by one in a window;
        /// more of them are one message [default: 50].
        "LEDGERLINE_WEBHOOK_GROUP_AFTER" webhook_group_after: usize,
        /// Milliseconds of that window [default: 60000].
        "LEDGERLINE_WEBHOOK_GROUP_MS" webhook_group_ms: u64,
        /// Times a finding is refused, while others are taken, until it is set aside [default: 12].
        "LEDGERLINE_WEBHOOK_TRIES" webhook_tries: u32,
        /// Whether the ledger states EXPIRED for tokens whose expiry has passed [default: true].
        "LEDGERLINE_EXPIRE" expire: bool,
        /// Milliseconds between two looks for tokens that expired, up to 60000 [default: 250].
        "LEDGERLINE_EXPIRE_INTERVAL_MS" expire_interval_ms: u64,
        /// Sources whose events are refused (409) when they violate the lifecycle of their token,
        /// separated by commas. Keys made with `strict` are so anyway.
        #[arg(value_delimiter = ',')]
        "LEDGERLINE_STRICT_SOURCES" strict_sources: Vec<String>,
        /// How far off the clocks of sources are at most, `source=milliseconds`, up to 60000,
        /// separated by commas: a larger uncertainty that their events state explains no finding.
        #[arg(value_delimiter = ',')]
        "LEDGERLINE_SOURCE_SKEW_MS" source_skew_ms: Vec<String>,
        /// Sources that should report, beside those that have a key: `name`, or `tenant/name`,
        /// separated by commas.
        #[arg(value_delimiter = ',')]
        "LEDGERLINE_EXPECTED_SOURCES" expected_sources: Vec<String>,
        /// Seconds within which something must be recorded of a source since its key was made out
        /// or since it is in `expected_sources`; then it is a finding. 0 expects nobody [default:
        /// 86400].
        "LEDGERLINE_EXPECTED_WITHIN_S" expected_within_s: u64,
        /// Days after which a key that is in force is a finding; 0 for never [default: 0].
        "LEDGERLINE_MAX_KEY_AGE_DAYS" max_key_age_days: u64,
        /// Threads that serve HTTP [default: number of processors].
        "LEDGERLINE_HTTP_THREADS" http_threads: usize,
    }
}

settings! {
    /// What is logged, and how. Logs go to standard error.
    pub struct LogSettings {
        /// Form of log lines [default: text].
        #[arg(global = true)]
        "LEDGERLINE_LOG_FORMAT" log_format: LogFormat,
        /// Level or filter, such as `info` or `ledgerline=debug` [default: info for serve, warn].
        #[arg(global = true)]
        "LEDGERLINE_LOG_LEVEL" log_level: String,
    }
}

impl ServerSettings {
    /// The files of TLS.
    #[must_use]
    pub fn tls_files(&self) -> tls::Files<'_> {
        tls::Files {
            cert: self.tls_cert.as_deref(),
            key: self.tls_key.as_deref(),
            client_ca: self.tls_client_ca.as_deref(),
        }
    }
}

/// All settings, as a file gives them.
#[derive(Debug, Default)]
pub struct FileSettings {
    /// The server's.
    pub server: ServerSettings,
    /// The client's.
    pub client: ClientSettings,
    /// The logs'.
    pub logs: LogSettings,
    /// The issuers; in a file only.
    pub issuers: IssuerTable,
    /// Doors whose senders are known otherwise than by an API key; in a file only.
    pub doors: DoorTable,
    /// Who proves by a certificate or a token who it is; in a file only.
    pub workloads: WorkloadTable,
    /// The file as it was given.
    pub given: toml::Table,
}

impl FileSettings {
    /// Reads the file; nothing when none is named.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has a key or value that no setting knows.
    pub fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::default()) };
        let name = path.display();
        // Whoever reads a pipe waits for its writer, perhaps for ever, and cannot read it again.
        if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            let why = "it is a pipe, and would be waited for: give a file";
            return Err(Failure::usage(format!("configuration {name}: {why}")));
        }
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("configuration {name}: {error}")))?;
        Self::parse(&text).map_err(|problem| Failure::usage(format!("{name}: {problem}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // Messages of the parser quote the line, which may hold a path but never a secret: no
        // setting is one.
        let mut table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        let given = table.clone();
        let issuers =
            table.remove("issuers").map(issuer_settings::parse).transpose()?.unwrap_or_default();
        let doors =
            table.remove("doors").map(door_settings::parse).transpose()?.unwrap_or_default();
        for (name, door) in &doors {
            if !issuers.contains_key(&door.issuer) {
                return Err(format!("doors.{name}: issuer names no [issuers.<alias>]"));
            }
        }
        let workloads = table.remove("workloads").map(|one| workload::parse(one, &issuers));
        let workloads = workloads.transpose()?.unwrap_or_default();
        let (mut server, mut client, mut logs) = Default::default();
        let groups: [(&[&str], &mut toml::Table); 3] = [
            (ServerSettings::NAMES, &mut server),
            (ClientSettings::NAMES, &mut client),
            (LogSettings::NAMES, &mut logs),
        ];
        let mut groups = groups;
        for (key, value) in table {
            if value.as_str().is_some_and(|text| text.trim().is_empty()) {
                return Err(format!("`{key}` is empty: leave it out for its default"));
            }
            let group = groups.iter_mut().find(|(names, _)| names.contains(&key.as_str()));
            let (_, group) = group.ok_or_else(|| format!("unknown setting `{key}`"))?;
            group.insert(key, value);
        }
        Ok(Self {
            server: server.try_into().map_err(|error: toml::de::Error| error.to_string())?,
            client: client.try_into().map_err(|error: toml::de::Error| error.to_string())?,
            logs: logs.try_into().map_err(|error: toml::de::Error| error.to_string())?,
            issuers,
            doors,
            workloads,
            given,
        })
    }
}

/// A folder beside the data folder: `<data>.<suffix>`.
#[must_use]
pub fn beside(data: &Path, suffix: &str) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    data.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_no_flag_says() {
        let file =
            FileSettings::parse("listen = \"0.0.0.0:1\"\nretries = 3\nlog_format = \"json\"\n")
                .expect("a sound file");
        let flags = ServerSettings { listen: Some("127.0.0.1:2".into()), ..Default::default() };
        assert_eq!(flags.or(file.server.clone()).listen.as_deref(), Some("127.0.0.1:2"));
        assert_eq!(ServerSettings::default().or(file.server).listen.as_deref(), Some("0.0.0.0:1"));
        assert_eq!(file.client.retries, Some(3));
        assert_eq!(file.logs.log_format, Some(LogFormat::Json));
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused() {
        let check = |text: &str, part: &str| {
            let problem = FileSettings::parse(text).expect_err(text);
            assert!(problem.contains(part), "{text}: {problem}");
        };
        check("lissten = \"0.0.0.0:1\"", "unknown setting `lissten`");
        check("retries = \"many\"", "invalid type");
        // It was a head store in whatever folder the server was started in.
        check("head = \"\"", "`head` is empty");
        check("listen = \" \"", "`listen` is empty");
        check("retries = ", "TOML");
        check("doors = 1", "[doors.<name>]");
        let door = "check = \"signed-events\"\nissuer = \"idp\"\nkey_file = \"k\"";
        check(&format!("[doors.kc]\n{door}"), "doors.kc: issuer names no");
        check("[server]\nlisten = \"x\"", "unknown setting `server`");
    }

    #[test]
    fn folders_stand_beside_the_data() {
        assert_eq!(beside(Path::new("a/b"), "keys"), Path::new("a/b.keys"));
    }
}
