//! A passing error of the world pauses intake, which says why and goes on by itself.

mod running;

use std::time::{Duration, Instant};

use running::{Answer, Server};

fn event(number: u32) -> String {
    format!(
        r#"{{"event_id":"01932f6e-7c1a-7b3e-9a55-{number:012x}","type":"USED",
            "token_id":"eu:idp:jti:t{number}","occurred_at":"2026-11-22T08:00:00Z"}}"#
    )
}

fn post(server: &Server, number: u32) -> Answer {
    let event = event(number);
    let body = Some(("application/json", event.as_bytes()));
    server.call("POST", "/v1/events", Some(&server.admin), body)
}

/// Posts until an answer fits; panics after 20 s.
fn until(server: &Server, what: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
    let begun = Instant::now();
    for number in 1.. {
        let answer = post(server, number);
        if fits(&answer) {
            return answer;
        }
        let last = answer.text();
        assert!(begun.elapsed() < Duration::from_secs(20), "never {what}: {last}");
        std::thread::sleep(Duration::from_millis(50));
    }
    unreachable!()
}

#[test]
fn a_head_store_that_could_not_be_written_stopped_the_node_for_good() {
    let mut server = Server::start();
    let first = post(&server, 0);
    assert_eq!(first.status, 200, "{}", first.text());
    // The file that the store writes beside the old one cannot be opened.
    let in_the_way = server.path("data.head").join("checkpoint.new");
    std::fs::create_dir(&in_the_way).expect("a folder in the way");
    let refused = until(&server, "paused", |answer| answer.status == 503);
    assert_eq!(refused.code(), "not_ready");
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.text().contains("the head store cannot be written"), "{}", refused.text());
    assert_eq!(server.call("GET", "/readyz", None, None).status, 503);
    let status = server.call("GET", "/v1/status", Some(&server.admin), None).json();
    assert_eq!(status["ready"], false, "{status}");
    let why = status["not_ready_because"].as_str().expect("a reason");
    assert!(why.contains("the head store cannot be written"), "{why}");
    assert_eq!(status["head_store"], "failing", "it was ok beside the pause that it caused");
    // What is recorded can still be asked for.
    let asked = server.call("GET", "/v1/tokens/eu:idp:jti:t0", Some(&server.admin), None);
    assert_eq!(asked.status, 200, "{}", asked.text());

    std::fs::remove_dir(&in_the_way).expect("it is out of the way");
    until(&server, "going on", |answer| answer.status == 200);
    assert_eq!(server.call("GET", "/readyz", None, None).status, 200);
    let log = server.read("server.log");
    for code in ["intake_pauses", "intake_goes_on"] {
        assert!(log.contains(code), "{code} is not in the log");
    }
    assert_eq!(server.stop(), Some(0));
}

/// A line of the log that could not be written, to a full disk or a pipe that nobody reads, was a
/// panic of whoever logs: the node's threads ended, and with them intake and revocation, for good.
#[test]
fn a_log_that_could_not_be_written_ended_the_node() {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("/dev/full", folder.path().join("server.log")).expect("a link");
    let mut server = Server::open(folder, &[]);
    let first = post(&server, 0);
    assert_eq!(first.status, 200, "{}", first.text());
    let in_the_way = server.path("data.head").join("checkpoint.new");
    std::fs::create_dir(&in_the_way).expect("a folder in the way");
    until(&server, "paused", |answer| answer.status == 503);
    std::fs::remove_dir(&in_the_way).expect("out of the way");
    until(&server, "going on", |answer| answer.status == 200);
    assert_eq!(server.stop(), Some(0));
}
