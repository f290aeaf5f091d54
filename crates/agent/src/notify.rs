//! What the service manager is told (`sd_notify(3)`): one datagram per message.
//!
//! ```text
//! NOTIFY_SOCKET   /path, or @name in the abstract namespace
//! WATCHDOG_USEC   beyond so long without WATCHDOG=1 the manager restarts the process
//! WATCHDOG_PID    whom that is meant for
//! ```
//!
//! Promises: without a manager nothing happens. A message that cannot be sent is lost, and logged
//! once: the manager's absence is no reason to stop taking events.
//!
//! Refuses: addresses that are neither a path nor abstract (`vsock:` is for whole machines).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The line to the service manager.
#[derive(Debug, Default)]
pub struct Notifier {
    line: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    has_failed: AtomicBool,
}

impl Notifier {
    /// The manager that the environment names, if it names one.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours).map(Duration::from_micros);
        Self::at(&address, watchdog).unwrap_or_else(|error| {
            tracing::warn!(code = "notify_failed", %error, "NOTIFY_SOCKET cannot be used");
            Self::default()
        })
    }

    /// The manager at an address.
    ///
    /// # Errors
    /// When the address is none, or the system has no socket left.
    pub fn at(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold the agent up.
        socket.set_write_timeout(Some(Duration::from_millis(200)))?;
        let has_failed = AtomicBool::default();
        Ok(Self { line: Some((socket, address)), watchdog, has_failed })
    }

    /// How often [`Self::alive`] is due: half of what the manager waits for. `None` without a
    /// watchdog.
    #[must_use]
    pub fn beat(&self) -> Option<Duration> {
        self.line.as_ref().and(self.watchdog).map(|whole| whole / 2)
    }

    /// Events are taken from now on.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// How things are, for people.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    /// Nothing more is taken; `within` the process is gone.
    pub fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        self.send(&format!("STOPPING=1\nSTATUS=sending what waits\nEXTEND_TIMEOUT_USEC={micros}"));
    }

    /// The process is well.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.line else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address)
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(code = "notify_failed", %error, "the service manager was not told");
        }
    }
}

/// A line feed would begin another variable.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\0'], " ")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    /// Binds a socket of the manager, and says what comes to it.
    fn told(manager: &UnixDatagram, address: &OsStr) -> Vec<String> {
        let notifier = Notifier::at(address, Some(Duration::from_secs(10))).expect("an address");
        assert_eq!(notifier.beat(), Some(Duration::from_secs(5)));
        notifier.ready("listens\nEVIL=1");
        notifier.alive();
        notifier.stopping(Duration::from_millis(1500));
        let mut read = Vec::new();
        let mut buffer = [0; 512];
        for _ in 0..3 {
            let length = manager.recv(&mut buffer).expect("a message");
            read.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        read
    }

    const EXPECTED: [&str; 3] = [
        "READY=1\nSTATUS=listens EVIL=1",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=sending what waits\nEXTEND_TIMEOUT_USEC=1500000",
    ];

    #[test]
    fn a_manager_at_a_path_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        assert_eq!(told(&manager, path.as_os_str()), EXPECTED);
    }

    #[test]
    fn a_manager_in_the_abstract_namespace_is_told() {
        let name = format!("ledgerline-agent-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        assert_eq!(told(&manager, &OsString::from(format!("@{name}"))), EXPECTED);
    }

    #[test]
    fn nobody_to_tell_is_no_failure() {
        Notifier::default().ready("well");
        assert_eq!(Notifier::default().beat(), None);
        for none in ["", "@", "vsock:2:1234", "relative"] {
            assert!(Notifier::at(OsStr::new(none), None).is_err(), "{none}");
        }
        let gone = Notifier::at(OsStr::new("/nowhere/notify"), None).expect("an address");
        gone.alive();
        assert!(gone.has_failed.load(Ordering::Relaxed), "said once");
    }
}
