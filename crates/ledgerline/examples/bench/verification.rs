//! `ledgerline verify` on the folder of a stopped server: how long it took, and on how many cores.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::Value;

use crate::server::cpu_seconds;

/// A verification that found everything in order.
#[derive(Debug, Clone, Copy)]
pub struct Verification {
    /// From starting the program to its end.
    pub seconds: f64,
    /// User and system, all threads.
    pub cpu_seconds: f64,
    /// Events that it read.
    pub events: u64,
    /// Commits that it read.
    pub commits: u64,
    /// Checkpoint signatures that it checked, of those that the commits keep.
    pub checkpoint_signatures: u64,
}

impl Verification {
    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// Events for each second of one core.
    pub fn rate_of_a_core(&self) -> f64 {
        self.events as f64 / self.cpu_seconds
    }

    /// Runs it.
    ///
    /// # Errors
    /// When the program does not start, or finds something.
    pub fn of(binary: &Path, data: &Path, flags: &[&str]) -> Result<Self> {
        let begun = Instant::now();
        let child = Command::new(binary)
            .args(["verify", "-o", "json", "--data"])
            .arg(data)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("verify")?;
        let id = child.id();
        // Its end is waited for, but not taken: until then the kernel says what it cost. The report
        // is smaller than a pipe.
        let pid = Pid::from_raw(i32::try_from(id)?).context("a process")?;
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds(id)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let said: String = said.chars().take(2000).collect();
            bail!("verify ended with {}: {errors}{said}", output.status);
        }
        let report: Value = serde_json::from_str(&said)?;
        let count = |name: &str| report["counts"][name].as_u64().context(name.to_owned());
        Ok(Self {
            seconds,
            cpu_seconds,
            events: count("events")?,
            commits: count("commits")?,
            checkpoint_signatures: count("checkpoint_signatures")?,
        })
    }
}
