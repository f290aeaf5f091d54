//! The slow-client battery: hundreds of clients of each kind that hold what they can, and an honest
//! client of another tenant that must not notice more than a busier machine.
//!
//! ```text
//! half-open     a part of a request's head, then nothing
//! unread        two thousand requests at once, no answer read
//! strangers     a body declared without a credential, not sent
//! undersent     a body declared with one, a byte sent
//! chunked       the same without a length
//! polls         GET /v1/revocations?wait=60
//! streams       GET /v1/findings?follow
//! ```
//!
//! Each comes again when it is thrown out. `LEDGERLINE_SLOW_CLIENTS` says how many of each there
//! are (500). Times are printed and compared with a generous bound only: machines differ.

#![allow(clippy::print_stdout, reason = "the figures are for whoever runs it")]

mod running;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use running::{Server, event};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// How long the honest client is looked at.
const BEFORE: Duration = Duration::from_secs(3);
const DURING: Duration = Duration::from_secs(10);
/// What no call of it may take.
const CALL_MAX: Duration = Duration::from_secs(2);
const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    HalfOpen,
    Unread,
    Strangers,
    Undersent,
    Chunked,
    Polls,
    Streams,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::HalfOpen,
        Self::Unread,
        Self::Strangers,
        Self::Undersent,
        Self::Chunked,
        Self::Polls,
        Self::Streams,
    ];

    fn sends(self, key: &str) -> String {
        let known = format!("Host: a\r\nAuthorization: Bearer {key}\r\n");
        let json = "Content-Type: application/json\r\n";
        match self {
            Self::HalfOpen => "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ".to_owned(),
            Self::Unread => "GET /tile/0/000 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000),
            Self::Strangers => {
                format!(
                    "POST /v1/events HTTP/1.1\r\nHost: a\r\n{json}Content-Length: 9999\r\n\r\n["
                )
            }
            Self::Undersent => {
                format!("POST /v1/events HTTP/1.1\r\n{known}{json}Content-Length: 9999999\r\n\r\n[")
            }
            Self::Chunked => format!(
                "POST /v1/events HTTP/1.1\r\n{known}{json}Transfer-Encoding: chunked\r\n\r\n\
                 1\r\n[\r\n"
            ),
            Self::Polls => format!("GET /v1/revocations?wait=60 HTTP/1.1\r\n{known}\r\n"),
            Self::Streams => format!("GET /v1/findings?follow=true HTTP/1.1\r\n{known}\r\n"),
        }
    }
}

/// What the slow clients are told, and what they count.
struct Battery {
    server: SocketAddr,
    key: String,
    stop: AtomicBool,
    opened: AtomicU64,
}

/// One slow client: comes again whenever it is thrown out.
async fn slow(battery: Arc<Battery>, kind: Kind, number: usize) {
    let sends = kind.sends(&battery.key);
    // From many addresses: each has only so many ports.
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number % 200 + 1).expect("small"));
    while !battery.stop.load(Ordering::Relaxed) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a buffer");
        socket.bind((from, 0).into()).expect("an address of this machine");
        let connecting =
            tokio::time::timeout(Duration::from_secs(5), socket.connect(battery.server));
        if let Ok(Ok(mut stream)) = connecting.await {
            battery.opened.fetch_add(1, Ordering::Relaxed);
            let hold = async {
                let sent = stream.write_all(sends.as_bytes()).await.is_ok();
                if sent && kind != Kind::Unread {
                    let mut answer = [0; 1024];
                    while stream.read(&mut answer).await.is_ok_and(|length| length > 0) {}
                }
                if kind == Kind::Unread {
                    tokio::time::sleep(Duration::from_secs(15)).await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(60), hold).await;
        }
        // Neither does whoever is thrown out come again in the same moment.
        tokio::time::sleep(Duration::from_millis(500 + number as u64 % 500)).await;
    }
}

/// The other tenant's client.
struct Honest<'s> {
    server: &'s Server,
    producer: String,
    gateway: String,
    responder: String,
    calls: u64,
}

/// Times of one kind of call.
#[derive(Default)]
struct Times(Vec<(&'static str, Duration)>);

impl Times {
    fn p99(&self, what: &str) -> Duration {
        let mut times: Vec<Duration> =
            self.0.iter().filter(|one| one.0 == what).map(|one| one.1).collect();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }
}

const CALLS: [&str; 5] = ["ingest", "introspection", "revocation", "health", "health, new"];

impl Honest<'_> {
    fn form(&self, path: &str, key: &str, token: &str) -> u16 {
        let form = format!("token={token}");
        self.server.call("POST", path, Some(key), Some((FORM, form.as_bytes()))).status
    }

    fn call(&mut self, what: &str) -> u16 {
        self.calls += 1;
        let calls = self.calls;
        match what {
            "ingest" => {
                let one = event(&format!("h-{calls}"), "ISSUED", &format!("h{calls}"));
                self.server.post("/v1/events", &self.producer, &one).status
            }
            "introspection" => {
                self.form("/oauth2/introspect", &self.gateway, &format!("opaque-{calls:030}"))
            }
            "revocation" => {
                self.form("/oauth2/revoke", &self.responder, &format!("opaque-{calls:030}"))
            }
            "health" => self.server.call("GET", "/healthz", None, None).status,
            _ => health_on_a_new_connection(self.server),
        }
    }

    /// Calls for a while; every call must be answered well.
    fn calls_for(&mut self, time: Duration) -> Times {
        let (until, mut times) = (Instant::now() + time, Times::default());
        while Instant::now() < until {
            for what in CALLS {
                let begun = Instant::now();
                let status = self.call(what);
                let took = begun.elapsed();
                if status != 200 {
                    let log = self.server.read("server.log");
                    let last: Vec<&str> = log.lines().rev().take(20).collect();
                    panic!("{what}: {status} after {} calls\n{}", self.calls, last.join("\n"));
                }
                assert!(took < CALL_MAX, "{what}: {took:?}");
                times.0.push((what, took));
            }
        }
        times
    }
}

fn health_on_a_new_connection(server: &Server) -> u16 {
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[9..12]).parse().expect("a status")
}

/// Raises this process's own limit of open files to what the battery needs.
fn raise_files(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most >= needed, "the battery needs {needed} open files: raise ulimit -Hn ({most})");
    let raised = Rlimit { current: Some(needed.max(limit.current.unwrap_or(0))), ..limit };
    setrlimit(Resource::Nofile, raised).expect("within the hard limit");
}

fn metrics(server: &Server) -> String {
    let text = server.get("/metrics", &server.admin).text();
    let wanted = ["_http_connections", "_http_share_refusals", "_http_room_taken"];
    let lines = text.lines().filter(|line| {
        wanted.iter().any(|name| line.contains(name))
            && !line.starts_with('#')
            && !line.ends_with(" 0")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One battery at a time: they would look at each other.
static ALONE: Mutex<()> = Mutex::new(());

fn battery(files: Option<u32>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let each = std::env::var("LEDGERLINE_SLOW_CLIENTS").ok().and_then(|text| text.parse().ok());
    let each: usize = each.unwrap_or(500);
    raise_files((each * Kind::ALL.len()) as u64 + 500);
    let server = Server::start_within(files, &["--log-level", "info"]);
    let key = |tenant: &str, roles: &[&str]| server.key(tenant, &roles.join("-"), roles);
    let mallory = key("mallory", &["producer", "reader", "resource_server"]);
    let mut honest = Honest {
        server: &server,
        producer: key("honest", &["producer"]),
        gateway: key("honest", &["resource_server"]),
        responder: key("honest", &["responder"]),
        calls: 0,
    };
    let tile: Vec<Value> =
        (0..300).map(|n| event(&format!("t{n}"), "ISSUED", &format!("t{n}"))).collect();
    server.record(&honest.producer, &tile);
    server.wait_for_block();
    let before = honest.calls_for(BEFORE);
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let battery = Arc::new(Battery {
        server: address.parse().expect("an address"),
        key: mallory,
        stop: AtomicBool::new(false),
        opened: AtomicU64::new(0),
    });
    let during = std::thread::scope(|scope| {
        let slow_ones = Arc::clone(&battery);
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(async {
                for number in 0..each * Kind::ALL.len() {
                    let kind = Kind::ALL[number % Kind::ALL.len()];
                    tokio::spawn(slow(Arc::clone(&slow_ones), kind, number));
                    if number % 50 == 0 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                while !slow_ones.stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
            runtime.shutdown_background();
        });
        let stop = StopAtEnd(&battery.stop);
        let opening = honest.calls_for(Duration::from_secs(5));
        let during = honest.calls_for(DURING);
        println!("while they came: {:?} calls", opening.0.len());
        println!("{}", metrics(&server));
        drop(stop);
        during
    });
    let opened = battery.opened.load(Ordering::Relaxed);
    println!("{each} of each kind, {opened} connections opened, limit of files {files:?}");
    for what in CALLS {
        let (before, during) = (before.p99(what), during.p99(what));
        let ratio = during.as_secs_f64() / before.as_secs_f64();
        println!("{what}: p99 {before:?} before, {during:?} during: {ratio:.1} times");
    }
    assert!(opened >= (each * Kind::ALL.len()) as u64 / 2, "{opened} connections: no battery");
    let after = honest.calls_for(Duration::from_millis(200));
    assert!(!after.0.is_empty());
}

/// Ends the slow clients, also when the honest one panics.
struct StopAtEnd<'b>(&'b AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn slow_clients_of_one_tenant_are_not_noticed_by_another() {
    battery(None);
}

/// Half-open connections alone once took the last descriptors, and the node stopped for good.
#[test]
fn few_descriptors_are_enough_for_the_ledger_and_the_honest() {
    battery(Some(1024));
}

#[test]
fn a_server_with_few_descriptors_says_how_many_connections_it_takes() {
    let server = Server::start_within(Some(1024), &[]);
    let log = server.read("server.log");
    assert!(log.contains("few_descriptors"), "{log}");
    let answer = server.get("/metrics", &server.admin).text();
    let limit = "ledgerline_http_room_limit{room=\"connections\"} ";
    let limit = answer.lines().find_map(|line| line.strip_prefix(limit)).expect("a limit");
    assert_eq!(limit, "641", "a third is held back, and a sixteenth left to newcomers");
}
