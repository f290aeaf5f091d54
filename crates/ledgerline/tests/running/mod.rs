//! A real server in a fresh folder, and the little that tests need to talk to it.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod described;
pub mod receiver;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Request, Response};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ledgerline");

/// A running server. Killed when dropped, unless it was stopped.
pub struct Server {
    pub folder: tempfile::TempDir,
    pub url: String,
    pub admin: String,
    child: Option<Child>,
    flags: Vec<String>,
    /// Its limit of open files, soft and hard, if not the test's own.
    files: Option<u32>,
    agent: Agent,
}

/// An answer: status, media type, body.
pub struct Answer {
    pub status: u16,
    pub media_type: String,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {text}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a problem; panics when it is none.
    pub fn code(&self) -> String {
        assert_eq!(self.media_type, "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        problem["code"].as_str().expect("a code").to_owned()
    }
}

impl Server {
    /// Starts with quick blocks.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(flags: &[&str]) -> Self {
        Self::start_within(None, flags)
    }

    /// Starts with a limit of open files.
    pub fn start_within(files: Option<u32>, flags: &[&str]) -> Self {
        Self::begin(tempfile::tempdir().expect("a folder"), files, flags)
    }

    /// Starts on a folder that may hold a ledger already.
    pub fn open(folder: tempfile::TempDir, flags: &[&str]) -> Self {
        Self::begin(folder, None, flags)
    }

    fn begin(folder: tempfile::TempDir, files: Option<u32>, flags: &[&str]) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (url, admin) = Default::default();
        let mut server = Self { folder, url, admin, child: None, flags, files, agent };
        server.go();
        server.admin = server.read("admin.key");
        server
    }

    /// Adds a flag to the next start.
    pub fn add_flags(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Replaces the flags of the next start.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Starts the process on the folder, also again.
    pub fn go(&mut self) {
        let folder = self.folder.path();
        // Everything that can be logged is, so that tests may look for what must not be.
        let quiet = self.flags.iter().any(|flag| flag == "--log-level");
        let slow = self.flags.iter().any(|flag| flag == "--block-interval-ms");
        let mut command = match self.files {
            None => Command::new(BINARY),
            Some(files) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), BINARY]);
                shell
            }
        };
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(if slow { &[][..] } else { &["--block-interval-ms", "100"] })
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--bootstrap-key-file")
            .arg(folder.join("admin.key"))
            .args(&self.flags)
            .args(["--free-space-floor-bytes", "1"])
            .args(if quiet { &[][..] } else { &["--log-level", "trace"] })
            .stdout(Stdio::piped())
            .stderr(log_file(&folder.join("server.log")))
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("ledgerline listens on ");
        let log = || std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
        self.url = url.unwrap_or_else(|| panic!("no URL but {line:?}; log:\n{}", log())).to_owned();
        self.child = Some(child);
    }

    /// Asks it to stop and waits; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("running");
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(sent.success());
        wait(&mut child, Duration::from_secs(20)).code()
    }

    /// The process id.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// Kills the process as the kernel would; it is still to be reaped.
    pub fn kill_nine(&self) {
        let id = self.child.as_ref().expect("running").id().to_string();
        let sent = Command::new("kill").args(["-KILL", &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for a killed process to be gone.
    pub fn reap(&mut self) {
        let mut child = self.child.take().expect("was running");
        wait(&mut child, Duration::from_secs(20));
    }

    /// Posts events; `None` when the connection broke.
    pub fn try_post(&self, key: &str, media_type: &str, body: &[u8]) -> Option<Answer> {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/v1/events", self.url))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", media_type);
        let response = self.agent.run(request.body(body).expect("a request")).ok()?;
        answer_of(response)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name).trim().to_owned()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect(name);
        path
    }

    /// Any request.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<(&str, &[u8])>,
    ) -> Answer {
        self.call_with(method, path, key, body, &[])
    }

    /// Any request with more headers.
    pub fn call_with(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<(&str, &[u8])>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response: Response<ureq::Body> = match body {
            Some((media_type, bytes)) => {
                let request = request.header("content-type", media_type);
                self.agent.run(request.body(bytes).expect("a request"))
            }
            None => self.agent.run(request.body(()).expect("a request")),
        }
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let answer = answer_of(response).expect("a body");
        described::check(method, path, &answer);
        answer
    }

    pub fn get(&self, path: &str, key: &str) -> Answer {
        self.call("GET", path, Some(key), None)
    }

    pub fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.call("POST", path, Some(key), Some(("application/json", body.as_bytes())))
    }

    /// Posts events that must all be recorded; their verdicts.
    pub fn record(&self, key: &str, events: &[Value]) -> Vec<Value> {
        let answer = self.post("/v1/events", key, &Value::Array(events.to_vec()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let verdicts = answer.json()["events"].as_array().expect("verdicts").clone();
        for verdict in &verdicts {
            assert_eq!(verdict["status"], "recorded", "{verdict}");
        }
        verdicts
    }

    /// A new credential's secret.
    pub fn key(&self, tenant: &str, source: &str, roles: &[&str]) -> String {
        let request = json!({ "tenant": tenant, "source": source, "roles": roles });
        let answer = self.post("/v1/keys", &self.admin, &request);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["secret"].as_str().expect("a secret").to_owned()
    }

    /// Runs a client command against this server.
    pub fn run(&self, key: &str, args: &[&str]) -> Output {
        self.run_with(key, args, b"")
    }

    pub fn run_with(&self, key: &str, args: &[&str], input: &[u8]) -> Output {
        let environment = [("LEDGERLINE_URL", self.url.as_str()), ("LEDGERLINE_KEY", key)];
        run(args, &environment, input)
    }

    /// Waits until the published checkpoint covers everything there is now.
    pub fn wait_for_block(&self) {
        let size = self.get("/v1/status", &self.admin).json()["size"].as_u64();
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let status = self.get("/v1/status", &self.admin).json();
            if status["published_size"].as_u64() >= size {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no block covers size {size:?}");
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

/// Reads a response to its end; `None` when the connection broke.
fn answer_of(response: Response<ureq::Body>) -> Option<Answer> {
    let (parts, body) = response.into_parts();
    let media_type = parts.headers.get("content-type").and_then(|v| v.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    let mut bytes = Vec::new();
    body.into_reader().read_to_end(&mut bytes).ok()?;
    let status = parts.status.as_u16();
    Some(Answer { status, media_type, headers: parts.headers, body: bytes })
}

fn log_file(path: &Path) -> Stdio {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    Stdio::from(file.expect("a log file"))
}

pub fn wait(child: &mut Child, limit: Duration) -> std::process::ExitStatus {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            panic!("the process did not end in {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the binary.
pub fn run(args: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Output {
    let mut command = Command::new(BINARY);
    for name in ["LEDGERLINE_URL", "LEDGERLINE_KEY", "LEDGERLINE_CONFIG"] {
        command.env_remove(name);
    }
    let mut child = command
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that does not read its input closes it, which is no failure.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("an end")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A sound event of the test issuer.
pub fn event(native_id: &str, kind: &str, token: &str) -> Value {
    json!({
        "native_id": native_id,
        "type": kind,
        "token_id": format!("eu:idp:jti:{token}"),
        "occurred_at": "2026-01-02T03:04:05.678Z",
        "issuer": "idp",
    })
}
