//! Single events into PostgreSQL at a fixed rate, a commit each: `pgbench`, prepared statements.
//!
//! Promises: CPU between two of its lines of progress, so without that of connecting; times from
//! the moment an event was due, as `pgbench --rate` counts them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::postgres::Postgres;
use crate::theirs::Theirs;

const SCRIPT: &str = include_str!("pgbench.sql");
const LOG: &str = "pgbench-times";
/// While connections are made and what was due meanwhile is caught up with.
const SETTLING_SECONDS: u64 = 2;

/// Inserts events at a rate for so long, after two seconds that are not counted.
///
/// # Errors
/// When `pgbench` fails.
pub fn insert(
    postgres: &Postgres,
    rate: f64,
    connections: usize,
    duration: Duration,
) -> Result<Theirs> {
    let folder = postgres.folder();
    fs::write(folder.join("pgbench.sql"), SCRIPT)?;
    let seconds = duration.as_secs().max(1);
    let mut child = postgres
        .client("pgbench")
        .args(["-n", "-M", "prepared", "-f", "pgbench.sql", "-P", "1"])
        .args(["-c", &connections.to_string(), "-R", &rate.to_string()])
        // One more behind what is counted, so that nobody disconnects meanwhile.
        .args([
            "-T",
            &(seconds + SETTLING_SECONDS + 1).to_string(),
            "-l",
            "--log-prefix",
            LOG,
            "postgres",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("pgbench")?;
    let mut lines = BufReader::new(child.stderr.take().context("a pipe")?).lines();
    let mut said = String::new();
    let mut progress = || -> Result<f64> {
        for line in lines.by_ref() {
            let line = line?;
            if let Some(rest) = line.strip_prefix("progress: ") {
                let rate = rest.split(", ").nth(1).and_then(|part| part.strip_suffix(" tps"));
                return rate.and_then(|rate| rate.parse().ok()).context(line.clone());
            }
            if said.is_empty() && line.contains("error") {
                said = line;
            }
        }
        bail!("pgbench ended: {said}")
    };
    for _ in 0..SETTLING_SECONDS {
        progress()?;
    }
    let before = postgres.cpu_seconds()?;
    let mut count = 0.0;
    for _ in 0..seconds {
        count += progress()?;
    }
    let cpu_seconds = postgres.cpu_seconds()? - before;
    while progress().is_ok() {}
    anyhow::ensure!(child.wait()?.success(), "pgbench: {said}");
    Ok(Theirs { times_us: times(folder)?, cpu_seconds, count: count as u64 })
}

/// Times of its log, without those of the first seconds: client, transaction, time in microseconds,
/// script, seconds and microseconds of the clock, lag.
fn times(folder: &std::path::Path) -> Result<Vec<u32>> {
    let mut lines: Vec<(u64, u32)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LOG)) {
            continue;
        }
        for line in fs::read_to_string(&path)?.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let at = |n: usize| fields.get(n).with_context(|| line.to_owned());
            lines.push((at(4)?.parse()?, at(2)?.parse()?));
        }
        fs::remove_file(&path)?;
    }
    let first = lines.iter().map(|(second, _)| *second).min().context("an empty log")?;
    let mut times: Vec<u32> = lines
        .into_iter()
        .filter(|(second, _)| *second > first + SETTLING_SECONDS)
        .map(|(_, time)| time)
        .collect();
    times.sort_unstable();
    Ok(times)
}
