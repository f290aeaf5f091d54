//! A service that reports to a ledger, in a process of its own, and the network between the two.

pub mod proxy;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::running::wait;

/// Stands in every token, so that it can be looked for.
pub const SECRET: &str = "5ecretT0ken";

/// The token of a client.
pub fn token(client: usize) -> String {
    format!("orders-{SECRET}-{client:04}-0123456789abcdef")
}

/// The id under which the ledger knows it.
pub fn token_id(client: usize) -> String {
    ledgerline_proof::token_id::from_presented("eu", "idp", token(client).as_bytes())
        .expect("a strong token")
}

/// A service in a process of its own.
pub struct Service {
    child: Option<Child>,
    pub url: String,
    log: PathBuf,
}

impl Service {
    /// Starts this very test program as the service, see `the_service` of its file.
    pub fn start(log: &Path, environment: &[(&str, String)]) -> Self {
        let own = std::env::current_exe().expect("this program");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut child = Command::new(own)
            .args(["the_service", "--exact", "--nocapture"])
            .env("ORDERS_LISTEN", "127.0.0.1:0")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let url = loop {
            let mut line = String::new();
            let count = lines.read_line(&mut line).expect("a line");
            assert!(count > 0, "no URL; log: {:?}", std::fs::read_to_string(log));
            if let Some((_, url)) = line.trim().split_once("orders listens on ") {
                break url.to_owned();
            }
        };
        // It may go on writing: what it says is read, so that it does not wait.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Self { child: Some(child), url, log: log.to_owned() }
    }

    /// As the kernel would.
    pub fn kill_nine(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().expect("killed");
        wait(&mut child, Duration::from_secs(10));
    }

    /// Asks it to stop; it delivers what it can.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("running");
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        let status = wait(&mut child, Duration::from_secs(30));
        assert!(status.success(), "{:?}", std::fs::read_to_string(&self.log));
    }

    /// A metric of its emitter.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.metrics();
        let name = format!("ledgerline_emitter_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&*name));
        line.unwrap_or_else(|| panic!("{name}: {text}")).parse().expect("a number")
    }

    pub fn metrics(&self) -> String {
        let answer = agent().get(format!("{}/metrics", self.url)).call().expect("metrics");
        answer.into_body().read_to_string().expect("text")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .new_agent()
}

/// One answered request: of which client, its how-manieth, and when its answer was there.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub client: usize,
    pub number: u64,
    pub at: Instant,
    pub took: Duration,
}

/// Clients that use the service, each with a token of its own and one request at a time.
pub struct Load {
    stop: AtomicBool,
    pub answered: Mutex<Vec<Answered>>,
    pause: Duration,
}

impl Load {
    pub fn new(pause: Duration) -> Self {
        Self { stop: AtomicBool::new(false), answered: Mutex::default(), pause }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Uses the service until it is told to stop, or the service is gone.
    pub fn drive(&self, url: &str, client: usize, first: u64) {
        let (agent, bearer) = (agent(), format!("Bearer {}", token(client)));
        let mut number = first;
        while !self.stop.load(Ordering::Relaxed) {
            let trace = format!("00-{:032x}-00000000000000aa-01", number + 1);
            let begun = Instant::now();
            let answer = agent
                .get(format!("{url}/orders/{number}"))
                .header("authorization", &bearer)
                .header("traceparent", trace)
                .call();
            let Ok(answer) = answer else { return };
            assert_eq!(answer.status(), 200, "the service answers without an error");
            let Ok(_) = answer.into_body().read_to_vec() else { return };
            let (at, took) = (Instant::now(), begun.elapsed());
            self.answered.lock().expect("a lock").push(Answered { client, number, at, took });
            number += 1;
            std::thread::sleep(self.pause);
        }
    }

    /// How many requests of a client were answered.
    pub fn count(&self, client: usize) -> u64 {
        let answered = self.answered.lock().expect("a lock");
        answered.iter().filter(|one| one.client == client).count() as u64
    }
}

/// Every file below folders holds no token, and not the key, in no spelling.
pub fn check_no_secret(folders: &[&Path], texts: &[&str], key: &str) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let mut needles = vec![SECRET.as_bytes().to_vec(), key.as_bytes().to_vec()];
    for secret in [SECRET, key] {
        for shift in 0..3 {
            let shifted = [&vec![b'x'; shift][..], secret.as_bytes()].concat();
            // What stands before and behind changes the outer characters alone.
            let text = STANDARD_NO_PAD.encode(shifted).into_bytes();
            needles.push(text[4..text.len() - 4].to_vec());
        }
    }
    let check = |name: &str, bytes: &[u8]| {
        for needle in &needles {
            let is_there = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!is_there, "{name} holds {}", String::from_utf8_lossy(needle));
        }
    };
    for text in texts {
        check("a text", text.as_bytes());
    }
    for folder in folders {
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("one").path();
            if path.is_file() {
                check(&path.display().to_string(), &std::fs::read(&path).expect("a file"));
                count += 1;
            }
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}
