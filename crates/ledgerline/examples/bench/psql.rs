//! A session of `psql`, which stays open: what it is told is done when it says so.
//!
//! The client is PostgreSQL's own, not a crate: it brings no dependency, times each statement in
//! microseconds with the whole answer read (`\timing`), reads COPY as it comes, and its CPU is not
//! the server's.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

const DONE: &str = "ledgerline-bench-done";
/// Statements whose times fit into the pipe while they are still being told.
const IN_A_ROW: usize = 500;

/// One connection.
pub struct Session {
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Session {
    /// Connects: `client` names the server; what `psql` complains of goes into `log`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn open(mut client: Command, log: &Path) -> Result<Self> {
        let mut child = client
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "postgres"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(OpenOptions::new().create(true).append(true).open(log)?)
            .spawn()
            .context("psql")?;
        let told = child.stdin.take().context("a pipe")?;
        let said = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Self { child, told, said, log: log.to_owned() })
    }

    /// Runs statements; the lines that they gave.
    ///
    /// # Errors
    /// When one fails: `psql` ends then.
    pub fn run(&mut self, script: &str) -> Result<Vec<String>> {
        self.tell(script.as_bytes())?;
        self.until_done()
    }

    /// Tells statements, to be waited for with [`Self::until_done`].
    ///
    /// # Errors
    /// When `psql` has ended.
    pub fn tell(&mut self, script: &[u8]) -> Result<()> {
        self.told.write_all(script)?;
        write!(self.told, "\n\\echo {DONE}\n")?;
        Ok(self.told.flush()?)
    }

    /// Waits until what was told is done.
    ///
    /// # Errors
    /// When a statement failed.
    pub fn until_done(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.said.read_line(&mut line)? == 0 {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let why = log.lines().rev().find(|line| line.contains("ERROR"));
                bail!("psql ended: {}", why.unwrap_or("without a word"));
            }
            match line.trim_end() {
                DONE => return Ok(lines),
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// Runs each statement by itself, answers thrown away: how long each took, in microseconds.
    ///
    /// # Errors
    /// When one fails.
    pub fn timed(&mut self, statements: &[String]) -> Result<Vec<u32>> {
        let mut times = Vec::with_capacity(statements.len());
        for some in statements.chunks(IN_A_ROW) {
            let script =
                format!("\\o /dev/null\n\\timing on\n{}\n\\timing off\n\\o\n", some.join("\n"));
            for line in self.run(&script)? {
                let ms = line.strip_prefix("Time: ").and_then(|rest| rest.split(' ').next());
                let ms: f64 = ms.and_then(|ms| ms.parse().ok()).with_context(|| line.clone())?;
                times.push((ms * 1e3) as u32);
            }
        }
        anyhow::ensure!(times.len() == statements.len(), "{} times", times.len());
        times.sort_unstable();
        Ok(times)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.told.write_all(b"\\q\n");
        let _ = self.told.flush();
        let _ = self.child.wait();
    }
}
