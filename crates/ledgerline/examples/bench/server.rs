//! The server under test: a child process in a folder of its own, and what the kernel says of it.
//!
//! Promises: the child is gone when this is dropped, and so is the folder. Assumes Linux (`/proc`).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What every figure's credential and keys are registered for.
pub const SOURCE: &str = "bench";
/// The producer's signing key.
pub const PRODUCER: &str = "producer";
/// The deployment that signatures name: the server's default.
pub const DEPLOYMENT: &str = "default";
/// How long the count of recorded events may lag behind their answers.
const COUNT_LIMIT: Duration = Duration::from_secs(2);
/// How long those who read behind the head may take: a hundred million entries are read in a
/// quarter of it.
const FOLLOWERS_LIMIT: Duration = Duration::from_secs(3600);
/// How long a server may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// What is driven, and whose CPU it takes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub address: SocketAddr,
    pub process: u32,
}

/// A folder with a ledger in it, and the process that serves it while there is one.
pub struct Server {
    folder: TempDir,
    binary: PathBuf,
    flags: Vec<String>,
    child: Option<Child>,
    address: Option<SocketAddr>,
    /// The credential that posts events.
    pub key: String,
    admin: String,
}

impl Server {
    /// Starts a new ledger under `parent`.
    ///
    /// # Errors
    /// When the binary does not start or does not answer.
    pub fn create(binary: &Path, parent: &Path, flags: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ledgerline-bench-").tempdir_in(parent)?;
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (child, address, key, admin) = Default::default();
        let binary = binary.to_owned();
        let mut server = Self { folder, binary, flags, child, address, key, admin };
        server.start()?;
        let admin = fs::read_to_string(server.path("admin.key"))?;
        server.admin = admin.trim().to_owned();
        let added = server.add_key(&json!({ "source": SOURCE, "roles": ["producer"] }))?;
        server.key = added["secret"].as_str().context("a secret")?.to_owned();
        Ok(server)
    }

    /// Starts the process on the folder, and says how long until it answered.
    ///
    /// # Errors
    /// When it ends or says something else than its URL.
    pub fn start(&mut self) -> Result<Duration> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("server.log"))?;
        let begun = Instant::now();
        let mut child = Command::new(&self.binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .arg("--bootstrap-key-file")
            .arg(self.path("admin.key"))
            .args(["--log-level", "warn"])
            // One credential is all clients of the bench: it may have all connections.
            .env("LEDGERLINE_TENANT_SHARE_PERCENT", "100")
            .env("LEDGERLINE_CREDENTIAL_SHARE_PERCENT", "100")
            .args(&self.flags)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let stdout = child.stdout.take().context("a pipe")?;
        self.child = Some(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let took = begun.elapsed();
        let address = line.trim().strip_prefix("ledgerline listens on http://");
        let Some(address) = address else {
            bail!("no URL but {line:?}: {}", fs::read_to_string(self.path("server.log"))?);
        };
        self.address = Some(address.parse()?);
        Ok(took)
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// When it does not, or not cleanly.
    pub fn stop(&mut self) -> Result<Duration> {
        let mut child = self.child.take().context("not running")?;
        let begun = Instant::now();
        let id = child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().context("kill")?;
        loop {
            if let Some(status) = child.try_wait()? {
                anyhow::ensure!(status.success(), "the server ended with {status}");
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > STOP_LIMIT {
                self.child = Some(child);
                bail!("the server did not stop in {STOP_LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGKILL; the process is still to be reaped.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_nine(&self) -> Result<()> {
        let id = self.target()?.process.to_string();
        let sent = Command::new("kill").args(["-KILL", &id]).status().context("kill")?;
        anyhow::ensure!(sent.success(), "kill -KILL failed");
        Ok(())
    }

    /// Waits for a killed process to be gone.
    ///
    /// # Errors
    /// When it was not running.
    pub fn reap(&mut self) -> Result<()> {
        self.child.take().context("not running")?.wait()?;
        Ok(())
    }

    /// Address and process, for a load.
    ///
    /// # Errors
    /// When it is not running.
    pub fn target(&self) -> Result<Target> {
        let child = self.child.as_ref().context("not running")?;
        Ok(Target { address: self.address.context("not running")?, process: child.id() })
    }

    /// The ledger's folder.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// What lies in the page cache of the ledger's files is given back, so that the next reads are
    /// of the disk. The server must be stopped.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn forget_pages(&self) -> Result<()> {
        forget_pages(&self.data())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A line of `/proc/<pid>/status`, in bytes: `VmRSS` is resident now, `VmHWM` at most so far.
    ///
    /// # Errors
    /// When there is no such line.
    pub fn memory_bytes(&self, field: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.target()?.process))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kib.with_context(|| field.to_owned())? * 1024)
    }

    /// Adds a key with the administrator's credential; the answer.
    ///
    /// # Errors
    /// When it is refused.
    pub fn add_key(&self, request: &Value) -> Result<Value> {
        self.call("POST", "/v1/keys", request.to_string().as_bytes())
    }

    /// Events recorded since the process started.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn recorded(&self) -> Result<u64> {
        self.status("recorded_since_start")
    }

    /// Waits a moment until `sent` events beyond `before` are counted: the count follows the
    /// answers. What the ledger records of itself counts too; nothing may have been refused or be
    /// there already.
    ///
    /// # Errors
    /// When it does not count as many.
    pub fn await_recorded(&self, before: u64, sent: u64) -> Result<()> {
        let begun = Instant::now();
        loop {
            let other =
                self.status("refused_since_start")? + self.status("duplicates_since_start")?;
            let grown = self.recorded()?.saturating_sub(before);
            let is_hopeless = other > 0 || begun.elapsed() > COUNT_LIMIT;
            if grown >= sent && other == 0 {
                return Ok(());
            }
            anyhow::ensure!(!is_hopeless, "{sent} sent, {grown} recorded, {other} not");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A figure of `/metrics`.
    ///
    /// # Errors
    /// When it does not answer, or has none of that name.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\r\n",
            self.admin
        );
        let text = self.exchange(request.as_bytes())?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).with_context(|| name.to_owned())
    }

    /// Waits until those who read behind the head have read everything: their work is not what is
    /// measured next. How long that took.
    ///
    /// # Errors
    /// When the server does not answer, or they do not come to an end.
    pub fn await_followers(&self) -> Result<Duration> {
        let begun = Instant::now();
        let lags =
            ["findings", "expiry", "verify"].map(|who| format!("ledgerline_{who}_lag_entries"));
        loop {
            let mut behind = 0.0;
            for lag in &lags {
                behind += self.metric(lag)?;
            }
            if behind < 1000.0 {
                return Ok(begun.elapsed());
            }
            anyhow::ensure!(begun.elapsed() < FOLLOWERS_LIMIT, "{behind} entries behind");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How many entries a reader is behind the head.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn behind(&self, reader: &str) -> Result<f64> {
        self.metric(&format!("ledgerline_{reader}_lag_entries"))
    }

    /// Leaves in the ledger.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn size(&self) -> Result<u64> {
        self.status("size")
    }

    fn status(&self, field: &'static str) -> Result<u64> {
        self.call("GET", "/v1/status", b"")?[field].as_u64().context(field)
    }

    fn call(&self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        self.call_as(&self.admin, method, path, body)
    }

    /// A request with a credential; the answer.
    ///
    /// # Errors
    /// When it is refused.
    pub fn call_as(&self, key: &str, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let length = body.len();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        let answer = self.exchange(&request).with_context(|| format!("{method} {path}"))?;
        Ok(serde_json::from_str(&answer)?)
    }

    fn exchange(&self, request: &[u8]) -> Result<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = crate::http::Connection::open(self.target()?.address).await?;
            let (status, body) = connection.exchange(request).await?;
            let text = String::from_utf8_lossy(body);
            anyhow::ensure!((200..300).contains(&status), "{status} {text}");
            Ok(text.into_owned())
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Gives the pages of all files below a folder back, so that the next reads are of the disk. Nobody
/// may have them open.
///
/// # Errors
/// Whatever the disk says.
pub fn forget_pages(folder: &Path) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let file = fs::File::open(&path)?;
                file.sync_all()?;
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            }
        }
    }
    Ok(())
}

/// CPU seconds of a process, user and system, all threads, in the kernel's ticks of 10 ms.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let rest = stat.rsplit(')').next().context("a command in brackets")?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || fields.next().context("too few fields")?.context("a number");
    let ticks = next()? + next()?;
    Ok(ticks as f64 / 100.0)
}
