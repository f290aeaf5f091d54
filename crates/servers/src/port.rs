//! Ports of loopback for servers that must be told one, and waiting for who comes to listen there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{self, Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take until it is ready: a loaded machine starts one ten times slower.
pub const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long a server may take to end when it is asked to.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Below 32768, where the ports begin that the system gives to anybody.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of 127.0.0.1 that nobody listens on, below 32768, and another one at each call.
///
/// Somebody else may take it before the server does: then the server says so, and is started again
/// with another one.
///
/// # Errors
/// When none is free.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that two of them seldom try the same port.
    let begin = process::id().wrapping_mul(97) % u32::from(COUNT);
    let begin = u16::try_from(begin).context("within the range")?;
    (0..COUNT)
        .find_map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = FIRST + (begin + step % COUNT) % COUNT;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
        })
        .context("no port is free")
}

/// Waits until `is_ready`, as long as the server lives.
///
/// # Errors
/// When the server has ended, or [`READY_WITHIN`] has passed.
pub fn wait_until_ready(child: &mut Child, mut is_ready: impl FnMut() -> bool) -> Result<()> {
    let until = Instant::now() + READY_WITHIN;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            bail!("the server ended before it was ready: {status}");
        }
        if is_ready() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("the server was not ready within {} s", READY_WITHIN.as_secs())
}

/// Whether somebody listens on a port of 127.0.0.1.
#[must_use]
pub fn is_open(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Asks a server to end and waits for it; after a while it is killed. By its process id alone.
///
/// # Errors
/// When it cannot be asked, or had to be killed.
pub fn stop(child: &mut Child) -> Result<ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    crate::install::run(Command::new("kill").arg(child.id().to_string()))?;
    let until = Instant::now() + ENDED_WITHIN;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    bail!("the server did not end within {} s and was killed", ENDED_WITHIN.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_low_and_different() {
        let ports: Vec<u16> = (0..20).map(|_| free().expect("a port")).collect();
        let different: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(different.len(), ports.len());
        assert!(ports.iter().all(|port| *port < 32_768 && !is_open(*port)), "{ports:?}");
    }

    #[test]
    fn a_dead_server_is_not_waited_for() {
        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().expect("sh");
        let begun = Instant::now();
        let error = wait_until_ready(&mut child, || false).expect_err("it ended").to_string();
        assert!(error.contains("ended before it was ready"), "{error}");
        assert!(begun.elapsed() < READY_WITHIN / 2);
        assert_eq!(stop(&mut child).expect("ended").code(), Some(3));
    }

    #[test]
    fn a_server_ends_when_it_is_asked_to() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("sleep");
        wait_until_ready(&mut child, || true).expect("alive");
        assert!(!stop(&mut child).expect("ended").success(), "by a signal");
    }
}
