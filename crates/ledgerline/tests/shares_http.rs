//! Nobody holds the server with what it has not sent, does not read, or has too much of: each test
//! is named after what one caller could once do to all others.

mod running;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use running::{Server, event};
use serde_json::Value;

fn connect(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

fn send(server: &Server, text: &str) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(text.as_bytes()).expect("bytes go out");
    stream
}

/// The status of the next answer; 0 when the connection ended without one.
fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    match stream.read_exact(&mut head) {
        Ok(()) => std::str::from_utf8(&head[9..]).expect("ASCII").parse().expect("a status"),
        Err(_) => 0,
    }
}

fn post(path: &str, key: &str, more: &str) -> String {
    let kind = if path.starts_with("/oauth2") {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: {kind}\r\n\
         {more}\r\n\r\n"
    )
}

fn get(path: &str, key: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n")
}

/// Another tenant, which goes on whatever the first one does.
struct Honest<'s> {
    server: &'s Server,
    producer: String,
    gateway: String,
    responder: String,
    calls: u32,
}

impl<'s> Honest<'s> {
    fn of(server: &'s Server) -> Self {
        let key = |source: &str, role: &str| server.key("honest", source, &[role]);
        let (producer, gateway) = (key("idp", "producer"), key("gw", "resource_server"));
        Self { server, producer, gateway, responder: key("soc", "responder"), calls: 0 }
    }

    fn goes_on(&mut self) {
        let server = self.server;
        self.calls += 1;
        let one = event(&format!("honest-{}", self.calls), "ISSUED", &format!("t{}", self.calls));
        let begun = Instant::now();
        let answer = server.post("/v1/events", &self.producer, &one);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let form =
            Some(("application/x-www-form-urlencoded", &b"token=aaaaaaaaaaaaaaaaaaaaaaaa"[..]));
        for (path, key) in
            [("/oauth2/introspect", &self.gateway), ("/oauth2/revoke", &self.responder)]
        {
            let answer = server.call("POST", path, Some(key), form);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        assert_eq!(server.get("/v1/revocations", &self.gateway).status, 200);
        assert_eq!(server.call("GET", "/healthz", None, None).status, 200);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

fn metric(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics", &server.admin).text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
}

#[test]
fn a_request_names_its_host_exactly_once() {
    let server = Server::start();
    let check = |head: &str, expected: u16| {
        assert_eq!(status(&mut send(&server, &format!("{head}\r\n\r\n"))), expected, "{head}");
    };
    check("GET /healthz HTTP/1.1\r\nHost: a", 200);
    check("GET /healthz HTTP/1.1\r\nHost: [::1]:8790", 200);
    check("GET /healthz HTTP/1.1\r\nHost:", 200);
    check("GET /healthz HTTP/1.1\r\nAccept: */*", 400);
    check("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a", 400);
    check("GET /healthz HTTP/1.1\r\nHost: a\r\nhost: b", 400);
    check("GET /healthz HTTP/1.1\r\nHost: a, b", 400);
    check("GET /healthz HTTP/1.1\r\nHost: a/b", 400);
    check("GET /healthz HTTP/1.0", 200);
    check("GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b", 400);
}

#[test]
fn what_is_declared_and_not_sent_takes_nothing_of_others() {
    let server = Server::start();
    let mut honest = Honest::of(&server);
    let client = server.key("mallory", "app", &["client"]);
    let producer = server.key("mallory", "idp", &["producer"]);
    for (path, key, declared) in [
        ("/oauth2/revoke", &client, 64 << 20),
        ("/oauth2/revoke", &client, (128 << 10) + 1),
        ("/v1/events", &producer, (16 << 20) + 1),
    ] {
        let mut refused = send(&server, &post(path, key, &format!("Content-Length: {declared}")));
        assert_eq!(status(&mut refused), 413, "{path} {declared}");
    }
    let mut open = Vec::new();
    for n in 0..24 {
        let length =
            if n % 2 == 0 { "Content-Length: 16777216" } else { "Transfer-Encoding: chunked" };
        let mut one = send(&server, &post("/v1/events", &producer, length));
        one.write_all(if n % 2 == 0 { b"[" } else { b"1\r\n[\r\n" }).expect("one byte");
        open.push(one);
    }
    std::thread::sleep(Duration::from_millis(200));
    honest.goes_on();
    let taken = metric(&server, "ledgerline_http_room_taken{room=\"body_bytes\"}");
    assert_eq!(taken, 24, "a byte of each has come");
    drop(open);
}

#[test]
fn bodies_that_strangers_do_not_send_hold_no_place() {
    let server = Server::start_with(&["--max-requests", "16"]);
    let mut honest = Honest::of(&server);
    let stranger = post("/v1/events", "llk_nobody_nothing", "Content-Length: 5000");
    let open: Vec<TcpStream> = (0..100).map(|_| send(&server, &stranger)).collect();
    for _ in 0..5 {
        honest.goes_on();
    }
    drop(open);
}

#[test]
fn answers_that_nobody_reads_are_given_up() {
    let flags = ["--max-connections", "32", "--write-timeout-ms", "500"];
    let server = Server::start_with(&flags);
    let mut honest = Honest::of(&server);
    let events: Vec<Value> =
        (0..300).map(|n| event(&format!("e{n}"), "ISSUED", &format!("tile-{n}"))).collect();
    server.record(&honest.producer, &events);
    server.wait_for_block();
    let many = "GET /tile/0/000 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3000);
    let closed = |reason: &str| {
        metric(&server, &format!("ledgerline_http_connections_closed_total{{reason=\"{reason}\"}}"))
    };
    // On a busy machine a server needs longer to give up.
    let until = Instant::now() + Duration::from_secs(60);
    let mut open = Vec::new();
    while Instant::now() < until {
        if open.len() < 64 {
            let mut one = connect(&server);
            one.set_nonblocking(true).expect("a mode");
            // As much as goes out by itself.
            let _ = one.write(many.as_bytes());
            open.push(one);
        }
        if open.len() % 16 == 0 {
            honest.goes_on();
            if closed("unread") > 0 && closed("newcomer") > 0 {
                break;
            }
        }
    }
    assert!(closed("unread") > 0, "no connection was given up");
    assert!(closed("newcomer") > 0, "no connection was closed for another");
    drop(open);
}

#[test]
fn one_key_that_waits_for_revocations_leaves_room_for_others() {
    let server = Server::start_with(&["--max-connections", "64", "--max-requests", "16"]);
    let mut honest = Honest::of(&server);
    let gateway = server.key("mallory", "gw", &["resource_server"]);
    let wait = get("/v1/revocations?since=0&wait=20", &gateway);
    let open: Vec<TcpStream> = (0..12).map(|_| send(&server, &wait)).collect();
    std::thread::sleep(Duration::from_millis(300));
    let polls = metric(&server, "ledgerline_http_room_taken{room=\"polls\"}");
    assert_eq!(polls, 8, "a quarter of half of the connections");
    honest.goes_on();
    // Waiting works for others meanwhile.
    let since = server.get("/v1/revocations", &honest.gateway).json()["next"].clone();
    let mut waiting =
        send(&server, &get(&format!("/v1/revocations?since={since}&wait=20"), &honest.gateway));
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    server.record(&honest.producer, &[event("gone", "REVOKED", "t1")]);
    assert_eq!(status(&mut waiting), 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let refused = "ledgerline_http_share_refusals_total{room=\"polls\",share=\"credential\"}";
    assert_eq!(metric(&server, refused), 4);
    drop(open);
}

#[test]
fn one_readers_streams_leave_room_for_others() {
    let server = Server::start();
    let reader = server.key("mallory", "soc", &["reader"]);
    let other = server.key("honest", "soc", &["reader"]);
    let follow = |key: &str| send(&server, &get("/v1/findings?follow=true", key));
    let mut open: Vec<TcpStream> = (0..70).map(|_| follow(&reader)).collect();
    let statuses: Vec<u16> = open.iter_mut().map(status).collect();
    assert_eq!(statuses.iter().filter(|one| **one == 200).count(), 64, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|one| **one == 429).count(), 6, "{statuses:?}");
    assert_eq!(status(&mut follow(&other)), 200);
}

#[test]
fn a_poll_ends_with_the_credential_that_waits() {
    let server = Server::start();
    let made = |tenant: &str, source: &str, role: &str| -> (String, String) {
        let request = serde_json::json!({ "tenant": tenant, "source": source, "roles": [role] });
        let made: Value = server.post("/v1/keys", &server.admin, &request).json();
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        (text("key_id"), text("secret"))
    };
    let idp = server.key("", "idp", &["producer"]);
    let (id, gateway) = made("", "gw", "resource_server");
    let since = server.get("/v1/revocations", &gateway).json()["next"].clone();
    let mut waiting =
        send(&server, &get(&format!("/v1/revocations?since={since}&wait=60"), &gateway));
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    let path = format!("/v1/keys/{id}?compromised=true");
    assert_eq!(server.call("DELETE", &path, Some(&server.admin), None).status, 200);
    server.record(&idp, &[event("gone", "REVOKED", "t1")]);
    assert_eq!(status(&mut waiting), 401, "answered with data");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn one_tenants_connections_are_closed_or_refused_before_those_of_others() {
    let server = Server::start_with(&["--max-connections", "32"]);
    let mut honest = Honest::of(&server);
    honest.goes_on();
    let key = server.key("mallory", "gw", &["resource_server"]);
    let mut open = Vec::new();
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let mut one = send(&server, &get("/v1/revocations", &key));
        statuses.push(status(&mut one));
        open.push(one);
    }
    assert_eq!(statuses.iter().filter(|one| **one == 200).count(), 7, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|one| **one == 429).count(), 13, "{statuses:?}");
    let idle: Vec<TcpStream> = (0..100).map(|_| connect(&server)).collect();
    honest.goes_on();
    drop((open, idle));
}
