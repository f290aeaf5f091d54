//! The agent with a real ledger: every event once, through kills of either; nothing secret in what
//! it keeps and says; nothing started that is set up wrongly.
//!
//! `LEDGERLINE_AGENT_ROUNDS` sets the rounds of kills; the default is 10.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use ledgerline_sim::Random;
use running::{BINARY, Server, stderr};
use serde_json::{Value, json};

const KEY: &str = "loopback-key-of-the-test-0123456789abcdef";
const TOKENS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// One address in front of a server that has another one after each start.
struct Relay {
    url: String,
    to: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let to = Arc::new(Mutex::new(address(server)));
        let shared = Arc::clone(&to);
        spawn(move || {
            for client in listener.incoming().flatten() {
                let to = *shared.lock().expect("no thread panics");
                let Ok(server) = TcpStream::connect(to) else { continue };
                for (mut from, mut to) in [
                    (client.try_clone().expect("a copy"), server.try_clone().expect("a copy")),
                    (server, client),
                ] {
                    spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                        let _ = from.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Self { url, to }
    }

    fn follow(&self, server: &Server) {
        *self.to.lock().expect("no thread panics") = address(server);
    }
}

fn address(server: &Server) -> SocketAddr {
    server.url.trim_start_matches("http://").parse().expect("an address")
}

/// An agent on a folder; killed when dropped.
struct Agent {
    folder: PathBuf,
    loopback: Option<SocketAddr>,
    child: Option<Child>,
}

impl Agent {
    /// Writes the settings: those that every agent of these tests has, and more.
    fn set_up(folder: &Path, url: &str, producer: &str, more: &str) -> Self {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).expect(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect(name);
        };
        write("agent.key", producer);
        write("listen.key", KEY);
        let at = folder.display();
        let settings = format!(
            "url = \"{url}\"\nkey_file = \"{at}/agent.key\"\nsource = \"edge\"\n\
             state = \"{at}/state\"\nsocket = \"{at}/agent.sock\"\nlisten = \"127.0.0.1:0\"\n\
             listen_key_file = \"{at}/listen.key\"\nheartbeat_seconds = 1\ndurable = true\n{more}"
        );
        write("agent.toml", &settings);
        Self { folder: folder.to_owned(), loopback: None, child: None }
    }

    fn start(folder: &Path, url: &str, producer: &str, more: &str) -> Self {
        let mut agent = Self::set_up(folder, url, producer, more);
        agent.go();
        agent
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.args(["agent", "--log-level", "trace", "--settings"]);
        command.arg(self.folder.join("agent.toml"));
        command
    }

    fn go(&mut self) {
        self.go_with(&[]);
    }

    fn go_with(&mut self, environment: &[(&str, &str)]) {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("agent.log"));
        let mut command = self.command();
        command.envs(environment.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::from(log.expect("a log")));
        let mut child = command.spawn().expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let url = line.trim().split("http://").nth(1);
        let address = url.and_then(|address| address.parse().ok());
        self.loopback = Some(address.unwrap_or_else(|| panic!("{line:?}\n{}", self.log())));
        self.child = Some(child);
    }

    /// A start that fails; what it says.
    fn fails(&self, flags: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command();
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let status = running::wait(&mut child, Duration::from_secs(20));
        let said: Output = child.wait_with_output().expect("ended");
        (status.code(), stderr(&said))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("running").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    fn kill_nine(&mut self) {
        self.signal("-KILL");
        self.child.take().expect("running").wait().expect("a child");
    }

    fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        running::wait(&mut self.child.take().expect("running"), Duration::from_secs(20)).code()
    }

    /// A request on the socket, or on loopback with a key; `None` when the connection broke.
    fn call(&self, door: Door<'_>, method: &str, path: &str, body: Body<'_>) -> Option<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: agent\r\n");
        if let Door::Loopback(Some(key)) = door {
            request += &format!("Authorization: Bearer {key}\r\n");
        }
        if let Some((media_type, bytes)) = body {
            let length = bytes.len();
            request += &format!("Content-Type: {media_type}\r\nContent-Length: {length}\r\n");
        }
        request += "Connection: close\r\n\r\n";
        let bytes = [request.as_bytes(), body.map_or(&[][..], |(_, bytes)| bytes)].concat();
        match door {
            Door::Socket => {
                exchange(UnixStream::connect(self.folder.join("agent.sock")).ok()?, &bytes)
            }
            Door::Loopback(_) => exchange(TcpStream::connect(self.loopback?).ok()?, &bytes),
        }
    }

    fn post(&self, body: &str) -> Answer {
        let body = Some(("application/x-ndjson", body.as_bytes()));
        self.call(Door::Socket, "POST", "/v1/events", body).expect("an answer")
    }

    fn metrics(&self) -> String {
        let answer = self.call(Door::Socket, "GET", "/metrics", None).expect("an answer");
        assert_eq!(answer.status, 200);
        answer.body
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}\n{text}"))
    }

    /// Waits until the ledger has answered about everything.
    fn drain(&self) {
        let until = Instant::now() + PATIENCE;
        let waits = |agent: &Self| {
            agent.metric("ledgerline_emitter_buffered_events")
                + agent.metric("ledgerline_emitter_spooled_units")
        };
        while waits(self) > 0 {
            assert!(Instant::now() < until, "it is not sent\n{}\n{}", self.metrics(), self.log());
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[derive(Clone, Copy)]
enum Door<'k> {
    Socket,
    Loopback(Option<&'k str>),
}

type Body<'b> = Option<(&'b str, &'b [u8])>;

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Option<Answer> {
    // A server that refuses early may close before everything is written.
    let _ = stream.write_all(request);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

fn event(n: u64) -> String {
    let token = n % TOKENS;
    format!(
        "{{\"event_id\":\"01932f6e-7c1a-7b3e-9a55-{n:012x}\",\"type\":\"USED\",\
         \"token_id\":\"eu:idp:jti:t{token}\",\"occurred_at\":\"2026-11-22T10:10:00Z\",\
         \"personal\":[{{\"role\":\"SUBJECT\",\"user_id\":\"u{token}\"}}]}}"
    )
}

fn event_id(n: u64) -> String {
    format!("01932f6e-7c1a-7b3e-9a55-{n:012x}")
}

/// A signing key for an agent, and what its settings say of it.
fn signing(server: &Server, folder: &Path) -> (String, String) {
    let request = json!({ "source": "edge", "alg": "HMAC-SHA256" });
    let made = server.post("/v1/keys", &server.admin, &request).json();
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    let (key_id, file) = (text("key_id"), folder.join("sign.key"));
    fs::write(&file, text("secret")).expect("written");
    let of = format!("key_id = \"{key_id}\"\nkey_file = \"{}\"", file.display());
    (key_id, format!("[sign]\nalg = \"HMAC-SHA256\"\n{of}\n"))
}

/// How often each event id stands in the ledger.
fn recorded(server: &Server) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for token in 0..TOKENS {
        let mut page = String::new();
        loop {
            let path = format!("/v1/tokens/eu:idp:jti:t{token}/events?limit=1000{page}");
            let answer = server.get(&path, &server.admin);
            if answer.status == 404 {
                break;
            }
            let answer = answer.json();
            for event in answer["events"].as_array().unwrap_or_else(|| panic!("{answer}")) {
                let id = event["statement"]["event_id"].as_str().expect("an id").to_owned();
                *found.entry(id).or_default() += 1;
            }
            match answer["next"].as_str() {
                Some(next) => page = format!("&page={next}"),
                None => break,
            }
        }
    }
    found
}

/// Everything acknowledged is there, all of it once, and nothing was refused on the way.
fn check_once(server: &Server, agent: &Agent, acknowledged: &BTreeSet<u64>) {
    agent.drain();
    let found = recorded(server);
    let missing: Vec<&u64> =
        acknowledged.iter().filter(|n| !found.contains_key(&event_id(**n))).collect();
    assert!(missing.is_empty(), "{missing:?} of {}\n{}", acknowledged.len(), agent.log());
    let twice: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    // Counts end with a process; what was set aside stays.
    let aside = fs::read_to_string(agent.folder.join("state/aside.ndjson")).unwrap_or_default();
    assert!(aside.is_empty(), "a repeated event was no duplicate: {aside}");
}

/// Posts until told to stop, each body again and again until it is taken.
fn load(agent: &Mutex<Agent>, client: u64, stop: &AtomicBool, next: &AtomicU64) -> BTreeSet<u64> {
    let (mut random, mut acknowledged) = (Random::new(client), BTreeSet::new());
    let door = if client.is_multiple_of(2) { Door::Socket } else { Door::Loopback(Some(KEY)) };
    while !stop.load(Ordering::Relaxed) {
        let count = random.range(1..40);
        let first = next.fetch_add(count, Ordering::Relaxed);
        let body: Vec<String> = (first..first + count).map(event).collect();
        let body = body.join("\n");
        let until = Instant::now() + PATIENCE;
        loop {
            let (folder, loopback) = {
                let agent = agent.lock().expect("no thread panics");
                (agent.folder.clone(), agent.loopback)
            };
            let caller = Agent { folder, loopback, child: None };
            let body = Some(("application/x-ndjson", body.as_bytes()));
            let answer = caller.call(door, "POST", "/v1/events", body);
            match answer {
                Some(answer) if answer.status == 202 => {
                    assert_eq!(answer.json(), json!({ "accepted": count }));
                    acknowledged.extend(first..first + count);
                    break;
                }
                Some(answer) => assert!(matches!(answer.status, 429 | 503), "{answer:?}"),
                None => {}
            }
            assert!(Instant::now() < until, "nobody takes it");
            sleep(Duration::from_millis(20));
        }
    }
    acknowledged
}

#[test]
fn events_reach_the_ledger_once_while_both_are_killed_in_turns() {
    let rounds: u64 =
        std::env::var("LEDGERLINE_AGENT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let mut server = Server::start_with(&["--log-level", "warn"]);
    let relay = Relay::start(&server);
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    // Signed statements are told apart by every byte of them.
    let (_, sign) = signing(&server, folder.path());
    let agent = Mutex::new(Agent::start(folder.path(), &relay.url, &producer, &sign));
    let (stop, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut random = Random::new(11);
    let acknowledged: BTreeSet<u64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (agent, stop, next) = (&agent, &stop, &next);
                scope.spawn(move || load(agent, client, stop, next))
            })
            .collect();
        for round in 0..rounds {
            sleep(Duration::from_millis(random.range(50..400)));
            if round % 2 == 0 {
                let mut agent = agent.lock().expect("no thread panics");
                agent.kill_nine();
                agent.go();
            } else {
                server.kill_nine();
                server.reap();
                sleep(Duration::from_millis(random.range(0..300)));
                server.go();
                relay.follow(&server);
            }
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    });
    let mut agent = agent.into_inner().expect("no thread panics");
    assert!(acknowledged.len() as u64 > rounds, "{}", acknowledged.len());
    check_once(&server, &agent, &acknowledged);
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
    println!("{rounds} kills, {} events acknowledged and found once", acknowledged.len());
}

#[test]
fn a_followed_file_is_recorded_line_by_line_through_rotation_truncation_and_kills() {
    let server = Server::start_with(&["--log-level", "warn"]);
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log/events.ndjson");
    fs::create_dir(folder.path().join("log")).expect("a folder");
    let tail = format!("[[tail]]\npath = \"{}\"\nadapter = \"ledgerline\"\n", log.display());
    let mut agent = Agent::start(folder.path(), &server.url, &producer, &tail);
    let (mut next, mut random) = (0, Random::new(5));
    let mut written = BTreeSet::new();
    for round in 0..24_u32 {
        let count = random.range(5..60);
        let text: String = (next..next + count).map(|n| event(n) + "\n").collect();
        written.extend(next..next + count);
        next += count;
        let mut file = fs::File::options().create(true).append(true).open(&log).expect("a log");
        // In two pieces, so that a line is sometimes torn for a moment.
        let cut = usize::try_from(random.range(1..text.len() as u64)).expect("short");
        file.write_all(&text.as_bytes()[..cut]).expect("written");
        if random.chance(500) {
            sleep(Duration::from_millis(random.range(0..400)));
        }
        file.write_all(&text.as_bytes()[cut..]).expect("written");
        match round % 6 {
            1 => {
                let older = log.with_file_name(format!("events.ndjson.{round}"));
                fs::rename(&log, older).expect("renamed");
            }
            3 => {
                let older = log.with_file_name(format!("events.ndjson.{round}"));
                fs::copy(&log, older).expect("copied");
                file.set_len(0).expect("cut");
            }
            2 | 4 => {
                agent.kill_nine();
                agent.go();
            }
            _ => sleep(Duration::from_millis(random.range(0..600))),
        }
    }
    let until = Instant::now() + PATIENCE;
    let wanted: BTreeSet<String> = written.iter().map(|n| event_id(*n)).collect();
    while recorded(&server).len() < wanted.len() && Instant::now() < until {
        sleep(Duration::from_millis(200));
    }
    check_once(&server, &agent, &written);
    assert_eq!(recorded(&server).len(), written.len(), "nothing else is there");
    assert_eq!(agent.metric("ledgerline_agent_tail_lost_total{tail=\"events\"}"), 0);
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
}

#[test]
fn signed_statements_of_an_agent_hold_and_heartbeats_say_how_it_is() {
    let server = Server::start();
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    let (key_id, sign) = signing(&server, folder.path());
    let mut agent = Agent::start(folder.path(), &server.url, &producer, &sign);
    let answer = agent.post(&format!("{}\n{}\nnot json\n", event(0), event(1)));
    assert_eq!(answer.status, 202, "{answer:?}");
    let taken = answer.json();
    assert_eq!((&taken["accepted"], &taken["refused_count"]), (&json!(2), &json!(1)));
    let refused = &taken["refused"][0];
    assert_eq!((&refused["line"], &refused["code"]), (&json!(3), &json!("bad_json")));
    agent.drain();
    let path = format!("/v1/events/edge/{}", event_id(0));
    let found = server.get(&path, &server.admin).json();
    assert_eq!(found["signature"]["key_id"], key_id, "{found}");
    sleep(Duration::from_millis(2500));
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
    let told = server.run(&server.admin, &["tail", "--from", "0", "--once", "-o", "json"]);
    let told = running::stdout(&told);
    let told = told.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let beats: Vec<Value> =
        told.filter(|entry: &Value| entry["statement"]["type"] == "HEARTBEAT").collect();
    assert!(beats.len() >= 2, "{beats:?}");
    let last = &beats.last().expect("one")["statement"]["detail"];
    for (key, value) in [
        ("agent.accepted.socket", "2"),
        ("agent.refused.socket.bad_json", "1"),
        ("stopping", "true"),
    ] {
        let fact = json!({ "key": key, "value": value });
        let facts = last.as_array().expect("facts");
        assert!(facts.contains(&fact), "{fact} is not in {last}");
    }
}

#[test]
fn what_cannot_be_taken_is_said_at_once_and_by_name() {
    let server = Server::start();
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    let agent = Agent::start(folder.path(), &server.url, &producer, "");
    let json = |text: &'static str| Some(("application/json", text.as_bytes()));
    let huge = vec![b' '; (16 << 20) + 1];
    let secret = "{\"native_id\":\"a\",\"type\":\"USED\",\"token_id\":\"eu:idp:jti:a\",\
                  \"occurred_at\":\"2026-11-22T10:10:00Z\",\"reason\":\
                  \"eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJzZWNyZXQtand0In0.c2lnbmF0dXJlLWJ5dGVz\"}";
    let cases: [(Door<'_>, &str, &str, Body<'_>, u16, &str); 10] = [
        (Door::Socket, "POST", "/v1/events", json("{\"type\":1}"), 422, "bad_field"),
        (Door::Socket, "POST", "/v1/events", json("[]"), 400, "empty"),
        (Door::Socket, "POST", "/v1/events", json("{"), 400, "bad_json"),
        (Door::Socket, "POST", "/v1/events", json(secret), 422, "secret_refused"),
        (
            Door::Socket,
            "POST",
            "/v1/events",
            Some(("text/plain", b"{}")),
            415,
            "unsupported_media_type",
        ),
        (
            Door::Socket,
            "POST",
            "/v1/events",
            Some(("application/json", &huge)),
            413,
            "body_too_large",
        ),
        (Door::Socket, "GET", "/v1/events", None, 405, "no_method"),
        (Door::Socket, "GET", "/v1/tokens/a", None, 404, "no_route"),
        (Door::Loopback(None), "POST", "/v1/events", json("{}"), 401, "unauthenticated"),
        (
            Door::Loopback(Some("another-key-of-the-test-0123456789abcdef")),
            "GET",
            "/metrics",
            None,
            401,
            "unauthenticated",
        ),
    ];
    for (door, method, path, body, status, code) in cases {
        let answer = agent.call(door, method, path, body).expect(code);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)));
        assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
        assert!(!answer.body.contains("eyJ"), "{}", answer.body);
    }
    let lone = agent.call(Door::Socket, "POST", "/v1/events", json("{\"type\":\"USED\"}"));
    assert_eq!(lone.expect("an answer").json()["member"], "occurred_at");
    let health = agent.call(Door::Loopback(None), "GET", "/healthz", None).expect("an answer");
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")));
}

/// Waits until `/healthz` says a word; "ok" for 200.
fn until_health(agent: &Agent, word: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = agent.call(Door::Socket, "GET", "/healthz", None).expect("an answer");
        let json = answer.json();
        let said = json["code"].as_str().unwrap_or("ok");
        assert_eq!(answer.status == 200, said == "ok", "{}", answer.body);
        if said == word {
            return json["detail"].as_str().unwrap_or_default().to_owned();
        }
        assert!(Instant::now() < until, "{word}: {}\n{}", answer.body, agent.log());
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_agent_went_on_as_ok_with_a_key_that_was_refused() {
    let server = Server::start();
    let key = |source: &str, types: &[&str]| {
        let body = json!({ "tenant": "", "source": source, "roles": ["producer"], "types": types });
        let answer = server.post("/v1/keys", &server.admin, &body);
        answer.json()["secret"].as_str().expect("a secret").to_owned()
    };
    let check = |what: &str, producer: &str, of_check: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut agent = Agent::set_up(folder.path(), &server.url, producer, "");
        let (exit, said) = agent.fails(&["--check"]);
        assert!(exit == Some(64) && said.contains(of_check), "{what}: {exit:?} {said}");
        agent.go();
        let text: String = (0..200).map(|n| event(n) + "\n").collect();
        assert_eq!(agent.post(&text).status, 202, "{what}: it is kept");
        let why = until_health(&agent, "refused");
        assert!(why.contains("key"), "{what}: {why}");
        assert_eq!(agent.metric("ledgerline_agent_state{state=\"refused\"}"), 1, "{what}");
        let until = Instant::now() + PATIENCE;
        while !agent.log().contains("the agent is not well") {
            assert!(Instant::now() < until, "{what}: {}", agent.log());
            sleep(Duration::from_millis(50));
        }
        agent.kill_nine();
        let log = agent.log();
        for line in ["the agent is not well", "refused_by_ledger"] {
            let count = log.matches(line).count();
            assert!(count <= 1, "{what}: {count} lines for 200 events\n{log}");
        }
    };
    check("no key", "llk_none_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "refuses this key");
    check("another source's", &key("other", &[]), "the key is of");
    check("too narrow", &key("edge", &["USED"]), "HEARTBEAT");
    let folder = tempfile::tempdir().expect("a folder");
    let narrow = key("edge", &["USED", "HEARTBEAT"]);
    let agent = Agent::set_up(folder.path(), &server.url, &narrow, "");
    let said = agent.command().arg("--check").output().expect("it starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.contains("USED, HEARTBEAT"), "{text}");
}

#[test]
fn an_agent_said_nothing_while_the_ledger_was_away() {
    let mut server = Server::start();
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(&server);
    let mut agent = Agent::start(folder.path(), &relay.url, &producer, "");
    until_health(&agent, "ok");
    server.kill_nine();
    server.reap();
    let text: String = (0..200).map(|n| event(n) + "\n").collect();
    assert_eq!(agent.post(&text).status, 202);
    until_health(&agent, "ledger_away");
    assert_eq!(agent.metric("ledgerline_agent_state{state=\"ledger_away\"}"), 1);
    sleep(Duration::from_secs(2));
    server.go();
    relay.follow(&server);
    until_health(&agent, "ok");
    agent.drain();
    sleep(Duration::from_secs(2));
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
    let log = agent.log();
    for (line, count) in [("the agent is not well", 1), ("is over", 1)] {
        assert_eq!(log.matches(line).count(), count, "{log}");
    }
    assert_eq!(recorded(&server).len(), 200);
}

#[test]
fn a_tail_that_gives_nothing_was_named_in_metrics_alone() {
    let server = Server::start();
    let producer = server.key("", "edge", &["producer"]);
    let check = |adapter: &str, text: Option<&str>, word: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("events.ndjson");
        if let Some(text) = text {
            fs::write(&log, text).expect("written");
        }
        let path = log.display();
        let tail = format!("[[tail]]\npath = \"{path}\"\nadapter = \"{adapter}\"\n");
        let mut agent = Agent::start(folder.path(), &server.url, &producer, &tail);
        let why = until_health(&agent, word);
        let name = format!("ledgerline_agent_tail_state{{tail=\"events\",state=\"{word}\"}}");
        if word != "ok" {
            assert!(why.contains("tail events"), "{why}");
            assert_eq!(agent.metric(&name), 1);
            sleep(Duration::from_millis(1500));
            // What it lacks comes, and all is well.
            let mut file = fs::File::options().create(true).append(true).open(&log).expect("open");
            file.write_all((event(1) + "\n").as_bytes()).expect("written");
        }
        if word == "tail_missing" {
            until_health(&agent, "ok");
        }
        sleep(Duration::from_millis(1500));
        assert_eq!(agent.stop(), Some(0), "{}", agent.log());
        let count = agent.log().matches("the agent is not well").count();
        assert_eq!(count, usize::from(word != "ok"), "{}", agent.log());
    };
    let sound = event(0) + "\n";
    check("ledgerline", Some(&sound), "ok");
    check("ledgerline", None, "tail_missing");
    check("vault", Some(&sound), "tail_unreadable");
    let array = format!("[\n{},\n{}\n]\n", event(0), event(2));
    check("ledgerline", Some(&array), "tail_unreadable");
}

#[test]
fn no_secret_stands_in_what_an_agent_keeps_and_says() {
    let server = Server::start();
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("provider.ndjson");
    let tail = format!("[[tail]]\npath = \"{}\"\nadapter = \"oidc-provider\"\n", log.display());
    let bearer = "s3cr3t-VALUE-of-a-bearer-token-AAAAAAAAAAAA";
    let line = |payload: &str| {
        format!(
            "{{\"time\":\"2026-11-22T05:00:00.000Z\",\"event\":\"refresh_token.saved\",\
             \"request_id\":\"r\",\"payload\":{payload}}}\n"
        )
    };
    let sound = line(&format!("{{\"jti\":\"{bearer}\",\"clientId\":\"c\",\"exp\":1795400000}}"));
    let close = sound.replace("refresh_token.saved", "grant.success");
    let text = format!("{sound}{close}{bearer}\n{}", line(&format!("{{\"exp\":\"{bearer}\"}}")));
    fs::write(&log, text).expect("written");
    // The ledger is away: everything has to wait in the spool.
    let mut agent = Agent::start(folder.path(), "http://127.0.0.1:9", &producer, &tail);
    let until = Instant::now() + PATIENCE;
    while agent.metric("ledgerline_agent_tail_lines_total{tail=\"provider\"}") < 4 {
        assert!(Instant::now() < until, "{}", agent.log());
        sleep(Duration::from_millis(50));
    }
    let refused = agent.post(&event(0).replace("\"USED\"", &format!("\"{bearer}\"")));
    assert_eq!(refused.status, 422);
    let metrics = agent.metrics();
    assert!(
        metrics.contains("tail_aside_total{tail=\"provider\",code=\"not_json\"} 1"),
        "{metrics}"
    );
    assert_eq!(agent.metric("ledgerline_agent_tail_events_total{tail=\"provider\"}"), 1);
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
    let secrets = [bearer, producer.as_str(), KEY];
    let check = |what: &str, bytes: &[u8]| {
        for secret in secrets {
            let stands = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!stands, "{what} holds {secret}");
        }
    };
    check("the log", agent.log().as_bytes());
    check("the metrics", metrics.as_bytes());
    let mut files = 0;
    every_file(&folder.path().join("state"), &mut |path| {
        files += 1;
        check(&path.display().to_string(), &fs::read(path).expect("readable"));
        assert_eq!(fs::metadata(path).expect("there").mode() & 0o077, 0, "{}", path.display());
    });
    assert!(files >= 3, "spool, position and what was set aside");
}

fn every_file(folder: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { every_file(&path, look) } else { look(&path) }
    }
}

#[test]
fn what_is_set_up_wrongly_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = "http://127.0.0.1:9";
    let check = |more: &str, flags: &[&str], code: i32, part: &str| {
        let agent = Agent::set_up(folder.path(), url, "some-api-key", more);
        for flags in [flags.to_vec(), [flags, &["--check"]].concat()] {
            let (exit, said) = agent.fails(&flags);
            assert!(said.contains(part) && exit == Some(code), "{part}: {exit:?} {said}");
            assert!(!said.contains(KEY) && !said.contains("some-api-key"), "{said}");
        }
    };
    check("socket_mode = \"0666\"", &[], 64, "never everybody's");
    check("colour = 1", &[], 64, "unknown setting `colour`");
    check("", &["--listen", "0.0.0.0:0"], 64, "of this machine");
    check("", &["--source", "Edge One"], 64, "source is");
    check("", &["--url", "http://ledger.example.com"], 64, "https");
    check("log_key = \"nonsense\"", &[], 64, "log_key");
    let tail = "[[tail]]\npath = \"/var/log/a\"\nadapter = \"unheard-of\"\n";
    check(tail, &[], 64, "adapter is ledgerline or one of");
    let none = folder.path().join("none.toml");
    check("", &["--key-file", none.to_str().expect("UTF-8")], 1, "none.toml");
    fs::write(folder.path().join("short.key"), "short").expect("written");
    let short = folder.path().join("short.key");
    check("", &["--listen-key-file", short.to_str().expect("UTF-8")], 64, "fewer than 32");
    fs::create_dir_all(folder.path().join("state")).expect("a folder");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path().join("state"), open).expect("ours");
    check("", &[], 64, "chmod 700");
    fs::remove_dir(folder.path().join("state")).expect("empty");
    let listener = UnixListener::bind(folder.path().join("agent.sock")).expect("a socket");
    check("", &[], 64, "somebody listens");
    drop(listener);
    let agent = Agent::set_up(folder.path(), url, "some-api-key", "");
    let mut command = agent.command();
    let sound = command.arg("--check").output().expect("the binary starts");
    assert_eq!(sound.status.code(), Some(0), "{}", stderr(&sound));
    assert!(!folder.path().join("state").exists(), "a check makes nothing");
}

#[test]
fn the_service_manager_is_told_and_a_stop_flushes() {
    let server = Server::start();
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    let notify = folder.path().join("notify");
    let manager = UnixDatagram::bind(&notify).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let heard = || {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut agent = Agent::set_up(folder.path(), &server.url, &producer, "");
    let environment =
        [("NOTIFY_SOCKET", notify.to_str().expect("UTF-8")), ("WATCHDOG_USEC", "400000")];
    agent.go_with(&environment);
    assert!(heard().starts_with("READY=1\nSTATUS=ledgerline agent listens on "));
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    let text: String = (0..500).map(|n| event(n) + "\n").collect();
    assert_eq!(agent.post(&text).json(), json!({ "accepted": 500 }));
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
    let until = Instant::now() + PATIENCE;
    loop {
        let message = heard();
        if message.starts_with("STOPPING=1") {
            break;
        }
        assert!(message == "WATCHDOG=1" && Instant::now() < until, "{message}");
    }
    assert_eq!(recorded(&server).len(), 500, "what waited was sent");
    assert!(!folder.path().join("agent.sock").exists());
}

#[test]
fn a_hangup_reads_the_tails_anew() {
    let server = Server::start();
    let producer = server.key("", "edge", &["producer"]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut agent = Agent::start(folder.path(), &server.url, &producer, "");
    let log = folder.path().join("late.ndjson");
    fs::write(&log, event(0) + "\n").expect("written");
    let tail = format!("[[tail]]\npath = \"{}\"\nadapter = \"ledgerline\"\n", log.display());
    let settings = folder.path().join("agent.toml");
    let before = fs::read_to_string(&settings).expect("readable");
    let until = Instant::now() + PATIENCE;
    let log_holds = |agent: &Agent, word: &str| {
        while !agent.log().contains(word) {
            assert!(Instant::now() < until, "{word}\n{}", agent.log());
            sleep(Duration::from_millis(50));
        }
    };
    fs::write(&settings, format!("{before}nonsense")).expect("written");
    agent.signal("-HUP");
    log_holds(&agent, "reload_failed");
    fs::write(&settings, before + &tail).expect("written");
    agent.signal("-HUP");
    log_holds(&agent, "reloaded");
    while recorded(&server).is_empty() {
        assert!(Instant::now() < until, "{}", agent.log());
        sleep(Duration::from_millis(50));
    }
    assert_eq!(agent.stop(), Some(0), "{}", agent.log());
}

#[test]
fn the_unit_of_systemd_starts_what_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let unit = fs::read_to_string(root.join("packaging/systemd/ledgerline-agent.service"));
    let unit = unit.expect("a unit file").replace("/usr/bin/ledgerline", BINARY);
    let value = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    assert_eq!((value("Type"), value("Restart")), ("notify".into(), "always".into()));
    assert_eq!(value("RuntimeDirectory"), "ledgerline", "where the clients look for the socket");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledgerline-agent.service");
    fs::write(&path, unit).expect("written");
    match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(said) => assert!(said.status.success() && said.stderr.is_empty(), "{}", stderr(&said)),
        Err(error) => {
            let skipped = format!("\n*** NOT VERIFIED: systemd-analyze: {error} ***\n\n");
            let _ = std::io::stderr().write_all(skipped.as_bytes());
        }
    }
}
