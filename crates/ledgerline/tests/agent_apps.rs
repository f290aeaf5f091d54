//! Services of other languages report to a real ledger through a real agent: Starlette, Flask,
//! Express and Fastify under the clients of `sdk/`, and the programs of
//! docs/how-to/agent-clients.md (curl, Go, Java).
//!
//! The agent is killed under the services' requests and started again: every request is in the
//! ledger once, with the right token and outcome, and no file holds a token.
//!
//! What the services need is installed as in `agent_clients`; a tool that is missing fails the test
//! with `CI=true`, and is reported otherwise.

mod installed;
mod running;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use installed::copy;
use ledgerline_proof::token_id::from_presented;
use ledgerline_servers::install::run;
use running::{BINARY, Server, wait};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const PAGE: &str = "docs/how-to/agent-clients.md";
/// What callers of the agent on loopback show.
const AGENT_KEY: &str = "agent-key-of-a-test-0123456789abcdef";
/// How often each service is asked each of [`REQUESTS`] in each of three turns.
const ROUNDS: usize = 5;

/// Method, path, status, outcome, template: what `app_starlette.py` and its like answer.
const REQUESTS: [(&str, &str, u16, &str, &str); 4] = [
    ("GET", "/orders/4711", 200, "ALLOW", "/orders/{id}"),
    ("DELETE", "/orders/4711", 403, "DENY", "/orders/{id}"),
    ("GET", "/unknown/4711", 401, "DENY", "/unknown/{id}"),
    ("GET", "/broken/4711", 500, "ERROR", "/broken/{id}"),
];

fn token(name: &str) -> String {
    format!("sEcReT-{name}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6")
}

fn id_of(token: &str) -> String {
    from_presented("eu", "idp", token.as_bytes()).expect("long enough")
}

/// A process that is killed when it is dropped, with what it writes in a file.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let other = file.try_clone().expect("a second handle");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(other).spawn();
        Self { child: child.expect("it starts"), log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The address that it says it listens on.
    fn url(&mut self) -> String {
        let front = "http://127.0.0.1:";
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            let said = self.said();
            let digits =
                |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
            let mut port = said.split(front).skip(1).map(digits);
            if let Some(port) = port.find(|port| !port.is_empty() && port != "0") {
                return format!("{front}{port}");
            }
            assert!(self.child.try_wait().expect("a child").is_none(), "it ended:\n{said}");
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no address in:\n{}", self.said());
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    fn stop(&mut self) {
        self.signal("-TERM");
        wait(&mut self.child, Duration::from_secs(40));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent of the ledger, and how to start it again.
struct Agent {
    folder: PathBuf,
    process: Option<Child>,
    loopback: String,
}

impl Agent {
    fn start(server: &Server) -> Self {
        let folder = server.path("agent");
        fs::create_dir_all(folder.join("run")).expect("a folder");
        private(&folder.join("api.key"), &server.key("", "edge-1", &["producer"]));
        private(&folder.join("listen.key"), AGENT_KEY);
        let settings = format!(
            "url = {:?}\nkey_file = {:?}\nsource = \"edge-1\"\nstate = {:?}\nsocket = {:?}\n\
             listen = \"127.0.0.1:0\"\nlisten_key_file = {:?}\ndurable = true\n",
            server.url,
            folder.join("api.key"),
            folder.join("state"),
            folder.join("run/agent.sock"),
            folder.join("listen.key"),
        );
        private(&folder.join("agent.toml"), &settings);
        let mut agent = Self { folder, process: None, loopback: String::new() };
        agent.go();
        agent
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("run/agent.sock")
    }

    fn go(&mut self) {
        let log = self.folder.join("agent.log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut child = Command::new(BINARY)
            .args(["agent", "--log-level", "trace", "--settings"])
            .arg(self.folder.join("agent.toml"))
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let said = || fs::read_to_string(&log).unwrap_or_default();
        assert!(line.starts_with("ledgerline agent listens on "), "{line:?}; log:\n{}", said());
        self.loopback = line.split_whitespace().last().unwrap_or_default().to_owned();
        self.process = Some(child);
    }

    /// As the kernel kills.
    fn kill(&mut self) {
        let mut child = self.process.take().expect("running");
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

fn private(path: &Path, content: &str) {
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("rights");
}

/// The services, by name, where what they need can be installed.
fn services(agent: &Agent) -> Vec<(&'static str, Command)> {
    let sdk = Path::new(ROOT).join("sdk");
    let lock = sdk.join("python/tests/requirements.txt");
    let mut all = Vec::new();
    if let Some(folder) = installed::python("sdk-python", lock.to_str().expect("UTF-8")) {
        let paths = [sdk.join("python/src"), sdk.join("python/tests")];
        let python = |module: &str, args: &[&str]| {
            let mut command = Command::new(folder.join("bin/python"));
            command.args(["-m", module]).args(args).env("PYTHONDONTWRITEBYTECODE", "1");
            command.env("PYTHONPATH", std::env::join_paths(&paths).expect("no colon in a path"));
            command
        };
        let args = ["--factory", "app_starlette:served", "--host", "127.0.0.1", "--port", "0"];
        all.push(("starlette", python("uvicorn", &args)));
        let args = ["app_flask:served()", "--bind", "127.0.0.1:0", "--workers", "2", "--preload"];
        all.push(("flask", python("gunicorn", &args)));
    }
    if let Some(folder) =
        installed::node("sdk-node-apps", sdk.join("node").to_str().expect("UTF-8"))
    {
        for part in ["src", "test"] {
            copy(&sdk.join("node").join(part), &folder.join(part));
        }
        for (name, file) in [("express", "app-express.js"), ("fastify", "app-fastify.js")] {
            let mut command = Command::new("node");
            command.arg(folder.join("test").join(file));
            all.push((name, command));
        }
    }
    for (_, command) in &mut all {
        command.env("LEDGERLINE_AGENT", format!("unix:{}", agent.socket().display()));
    }
    all
}

fn ask(url: &str, method: &str, path: &str, token: &str) -> u16 {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .new_agent();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{url}{path}"))
        .header("authorization", format!("Bearer {token}"));
    let answer = agent.run(request.body(()).expect("a request")).expect("an answer");
    answer.status().as_u16()
}

/// The statements about a token, once there are so many.
fn statements(server: &Server, token_id: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/tokens/{token_id}/events?limit=1000");
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = server.get(&path, &server.admin);
        let events = match answer.status {
            200 => answer.json()["events"].as_array().expect("events").clone(),
            _ => Vec::new(),
        };
        if events.len() >= count || Instant::now() > until {
            assert_eq!(events.len(), count, "{token_id}: {}", answer.text());
            return events.iter().map(|event| event["statement"].clone()).collect();
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn nothing_holds(folder: &Path, secret: &str) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            nothing_holds(&path, secret);
        } else if path.is_file() {
            let bytes = fs::read(&path).expect("a file");
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a token", path.display());
        }
    }
}

#[test]
fn every_request_of_every_framework_is_in_the_ledger_once() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let mut apps: Vec<(&str, Process, String)> = Vec::new();
    for (name, mut command) in services(&agent) {
        let log = server.path(&format!("{name}.log"));
        let mut process = Process::start(&mut command, log);
        let url = process.url();
        apps.push((name, process, url));
    }
    for turn in 0..3 {
        match turn {
            1 => agent.kill(),
            2 => agent.go(),
            _ => {}
        }
        for (name, process, url) in &apps {
            for (method, path, status, ..) in REQUESTS.repeat(ROUNDS) {
                let token = token(name);
                assert_eq!(ask(url, method, path, &token), status, "{name}: {}", process.said());
            }
        }
    }
    for (_, process, _) in &mut apps {
        process.stop();
    }
    for (name, ..) in &apps {
        let id = id_of(&token(name));
        let mut counts = BTreeMap::new();
        for statement in statements(&server, &id, REQUESTS.len() * ROUNDS * 3) {
            assert_eq!(statement["type"], "RESOURCE_ACCESSED", "{statement}");
            assert_eq!(statement["source"], "edge-1");
            assert_eq!(statement["service"], "orders");
            let [outcome, resource, status] =
                ["outcome", "resource", "status"].map(|name| statement[name].to_string());
            *counts.entry((outcome, resource, status)).or_insert(0) += 1;
        }
        for (_, _, status, outcome, template) in REQUESTS {
            let key = (format!("{outcome:?}"), format!("{template:?}"), status.to_string());
            assert_eq!(counts.get(&key), Some(&(ROUNDS * 3)), "{name}: {counts:?}");
        }
    }
    drop(apps);
    drop(agent);
    nothing_holds(server.folder.path(), "sEcReT");
}

/// The only block of a language in the page.
fn block(language: &str) -> String {
    let page = fs::read_to_string(Path::new(ROOT).join(PAGE)).expect("the page");
    let mark = format!("\n```{language}\n");
    let mut parts = page.split(&mark).skip(1);
    let block = parts.next().and_then(|rest| rest.split_once("\n```"));
    assert!(parts.next().is_none(), "one block of {language}");
    block.expect("a block").0.to_owned()
}

#[test]
fn the_programs_of_the_page_report() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let socket = agent.socket();
    let folder = server.path("programs");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("report.go"), block("go")).expect("a file");
    fs::write(folder.join("Report.java"), block("java")).expect("a file");
    let usual = "/run/ledgerline/agent.sock";
    let shell = block("sh").replace(usual, socket.to_str().expect("UTF-8"));
    let id = |name: &str| id_of(&format!("an-opaque-token-seen-by-{name}"));
    let programs = [
        ("curl", "sh", vec!["-c", &shell], "eu:idp:jti:curl".to_owned()),
        ("go", "go", vec!["run", "report.go"], id("go")),
        ("java", "java", vec!["Report.java"], id("java")),
    ];
    for (tool, command, args, token_id) in programs {
        if let Err(why) = run(Command::new(tool).arg(version_of(tool))) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} is missing: {why}");
            eprintln!("*** SKIPPED, NOT TESTED: {tool} is missing: {why} ***");
            continue;
        }
        let mut program = Command::new(command);
        program.args(args).current_dir(&folder).env("LEDGERLINE_AGENT_SOCKET", &socket);
        program.env("LEDGERLINE_AGENT", &agent.loopback).env("LEDGERLINE_AGENT_KEY", AGENT_KEY);
        run(&mut program).unwrap_or_else(|said| panic!("{tool}: {said}"));
        let [statement] = &statements(&server, &token_id, 1)[..] else { panic!("one of {tool}") };
        assert_eq!(statement["resource"], "/orders/{id}", "{tool}: {statement}");
        assert_eq!(statement["outcome"], "ALLOW");
    }
}

/// How a tool is asked for its version.
fn version_of(tool: &str) -> &'static str {
    if tool == "go" { "version" } else { "--version" }
}
