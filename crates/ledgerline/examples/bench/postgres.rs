//! PostgreSQL beside the ledger: Debian's programs in a folder of their own, and what they cost.
//!
//! Promises: the server is a child of the bench, listens on the loopback address alone, is stopped
//! by its process number and gone with its folder when this is dropped. Durable as it comes (fsync
//! and synchronous_commit on); a quarter of the machine's memory is its buffer, as its manual
//! advises. Assumes Linux. Refuses nothing: where it cannot be had, [`Postgres::find`] says why.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::psql::Session;
use crate::server::forget_pages;

/// How long it may take to start or to stop.
const LIMIT: Duration = Duration::from_secs(120);
/// Below the ports that a system hands out.
const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// Where the programs are, and as whom they run.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    /// They refuse root: user and group of `postgres`, when we are root.
    identity: Option<Identity>,
}

#[derive(Debug, Clone, Copy)]
struct Identity {
    user: u32,
    group: u32,
}

impl Programs {
    /// Asks `pg_config`, then looks where Debian's packages put them.
    ///
    /// # Errors
    /// When there are none, or there is nobody to run them.
    pub fn find() -> Result<Self> {
        let asked = Command::new("pg_config").arg("--bindir").output().ok();
        let asked = asked.and_then(|output| String::from_utf8(output.stdout).ok());
        let mut folders: Vec<PathBuf> = asked.iter().map(|line| line.trim().into()).collect();
        let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut installed: Vec<PathBuf> = installed.map(|one| one.path().join("bin")).collect();
        installed.sort();
        folders.extend(installed.into_iter().rev());
        let has_all = |folder: &PathBuf| {
            ["initdb", "postgres", "psql", "pgbench"].iter().all(|one| folder.join(one).is_file())
        };
        let folder = folders.into_iter().find(has_all);
        let folder = folder.context("no PostgreSQL on this machine (Debian: postgresql-15)")?;
        Ok(Self { folder, identity: identity()? })
    }

    /// A program, run by its user.
    fn as_owner(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        if let Some(Identity { user, group }) = self.identity {
            command.uid(user).gid(group);
        }
        command
    }

    /// A program that talks to a server.
    pub fn client(&self, name: &str) -> Command {
        Command::new(self.folder.join(name))
    }

    /// Its version, as it says it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn version(&self) -> Result<String> {
        let output = self.as_owner("postgres").arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn identity() -> Result<Option<Identity>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.context("no user postgres, and it refuses root")?.split(':').skip(2);
    let mut next = || fields.next().context("a number")?.parse().context("a number");
    Ok(Some(Identity { user: next()?, group: next()? }))
}

/// A server with an empty database.
pub struct Postgres {
    programs: Programs,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a database below `parent` and starts the server.
    ///
    /// # Errors
    /// When it does not start; with what it logged.
    pub fn create(programs: &Programs, parent: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ledgerline-bench-pg-").tempdir_in(parent)?;
        if let Some(Identity { user, group }) = programs.identity {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
        }
        let made = programs
            .as_owner("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()
            .context("initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = Self { programs: programs.clone(), folder, port: 0, child: None };
        postgres.start()?;
        Ok(postgres)
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// When it does not; with what it logged.
    pub fn start(&mut self) -> Result<()> {
        self.port = free_port()?;
        let log = fs::File::create(self.folder.path().join("log"))?;
        let buffers = format!("shared_buffers={}MB", memory_mib()? / 4);
        let child = self
            .programs
            .as_owner("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-k", ""])
            .args(["-c", &buffers, "-c", "max_wal_size=4GB"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .current_dir(self.folder.path())
            .spawn()
            .context("postgres")?;
        self.child = Some(child);
        let begun = Instant::now();
        while self.session().and_then(|mut session| session.run("SELECT 1;")).is_err() {
            let ended = self.child.as_mut().context("a child")?.try_wait()?;
            if ended.is_some() || begun.elapsed() > LIMIT {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("PostgreSQL did not start: {log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Stops it; what is open is cut off.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("not running")?;
        // The "fast shutdown" of its manual.
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().context("kill")?;
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > LIMIT {
                self.child = Some(child);
                bail!("PostgreSQL did not stop in {LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Puts its files out of the page cache. It must be stopped.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn forget_pages(&self) -> Result<()> {
        forget_pages(self.folder.path())
    }

    /// A program that talks to this server.
    pub fn client(&self, name: &str) -> Command {
        let mut command = self.programs.client(name);
        let port = self.port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres"]);
        command.current_dir(self.folder.path());
        command
    }

    /// Connects.
    ///
    /// # Errors
    /// When `psql` does not start.
    pub fn session(&self) -> Result<Session> {
        Session::open(self.client("psql"), &self.folder.path().join("psql.log"))
    }

    /// A folder for what is to be gone with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes of the database's files, without its log of changes to come.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn database_bytes(&self) -> Result<u64> {
        let said = self.session()?.run("SELECT pg_total_relation_size('events');")?;
        said.first().and_then(|line| line.parse().ok()).context("a size")
    }

    /// CPU seconds of all its processes, those that ended included.
    ///
    /// # Errors
    /// When it is not running.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let postmaster = self.child.as_ref().context("not running")?.id();
        // Those that ended are counted with their parent, in ticks of 10 ms.
        let stat = fs::read_to_string(format!("/proc/{postmaster}/stat"))?;
        let ended = fields(&stat).nth(13).zip(fields(&stat).nth(14)).context("a line of stat")?;
        let mut seconds = (ended.0.parse::<f64>()? + ended.1.parse::<f64>()?) / 100.0;
        seconds += running_seconds(postmaster).context("schedstat")?;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // One that ended meanwhile is counted the next time.
            let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
            if fields(&stat).nth(1).is_some_and(|parent| parent == postmaster.to_string()) {
                seconds += running_seconds(process).unwrap_or(0.0);
            }
        }
        Ok(seconds)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() && self.stop().is_err() {
            // SIGQUIT ends its children too, which SIGKILL would not.
            if let Some(mut child) = self.child.take() {
                let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
                let _ = child.wait();
            }
        }
    }
}

/// The fields of `/proc/<pid>/stat` from the state on.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit(')').next().unwrap_or("").split_whitespace()
}

/// Each of its processes has one thread.
fn running_seconds(process: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
    text.split(' ').next()?.parse::<f64>().ok().map(|nanos| nanos / 1e9)
}

fn free_port() -> Result<u16> {
    let ports = usize::from(PORTS.end - PORTS.start);
    let from = usize::try_from(std::process::id())? % ports;
    let ports = PORTS.cycle().skip(from).take(ports);
    ports
        .into_iter()
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no port is free")
}

fn memory_mib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.context("MemTotal")? / 1024)
}
