//! What goes on after a finding was closed is told: over HTTP, by the command line, and the same
//! when everything is read anew.

mod running;

use running::{Server, stdout};
use serde_json::{Value, json};

struct World {
    server: Server,
    producer: String,
    desk: String,
}

impl World {
    fn new() -> Self {
        let server = Server::start_with(&["--findings-interval-ms", "20"]);
        let producer = server.key("", "idp", &["producer"]);
        let desk = server.key("", "desk", &["reader", "responder"]);
        Self { server, producer, desk }
    }

    fn act(&self, kind: &str, token: &str, second: u32, more: &Value) {
        let token = format!("eu:idp:jti:{token}");
        let mut event = json!({ "type": kind, "token_id": token, "issuer": "idp",
            "occurred_at": format!("2026-01-02T00:{:02}:{:02}Z", second / 60, second % 60) });
        for (key, value) in more.as_object().expect("an object") {
            event[key] = value.clone();
        }
        event["native_id"] = event.to_string().into();
        self.server.record(&self.producer, &[event]);
    }

    fn stolen(&self, token: &str) {
        self.act("ISSUED", token, 0, &json!({ "token_kind": "ACCESS" }));
        self.act("REVOKED", token, 10, &json!({}));
    }

    fn used(&self, token: &str, second: u32, address: &str) {
        let who = json!([{ "role": "REQUEST", "ip": address }]);
        self.act("USED", token, second, &json!({ "personal": who }));
    }

    fn list(&self, query: &str) -> Vec<Value> {
        let answer =
            self.server.get(&format!("/v1/findings?limit=1000&wait=20{query}"), &self.desk);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["progress"]["findings"]["state"], "caught_up", "{answer}");
        answer["findings"].as_array().expect("a list").clone()
    }

    fn move_on(&self, finding: &Value, how: &str) {
        let path = format!("/v1/findings/{}/{how}", finding["id"].as_str().expect("an id"));
        let answer = self.server.post(&path, &self.desk, &json!({ "note": "dealt with" }));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

const OPEN: &str = "&severity=critical&state=open";
const HOME: &str = "192.0.2.7";

#[test]
fn what_goes_on_after_a_closing_is_a_new_finding() {
    let world = World::new();
    world.stolen("a");
    world.used("a", 60, HOME);
    world.used("a", 61, HOME);
    let first = world.list(OPEN);
    assert_eq!((first.len(), &first[0]["count"]), (1, &json!(2)), "{first:#?}");
    // Somebody looks at it: it stays theirs.
    world.move_on(&first[0], "acknowledge");
    world.used("a", 62, HOME);
    let seen = world.list("");
    assert_eq!((seen.len(), &seen[0]["count"]), (1, &json!(3)), "{seen:#?}");
    assert_eq!(seen[0]["state"], "acknowledged");
    world.move_on(&first[0], "close");
    for second in 63..71 {
        world.used("a", second, HOME);
    }
    let anew = world.list(OPEN);
    assert_eq!((anew.len(), &anew[0]["count"]), (1, &json!(8)), "{anew:#?}");
    let closed = world.list("&state=closed");
    assert_eq!((closed.len(), &closed[0]["count"]), (1, &json!(3)), "{closed:#?}");
    let said = world.server.run(
        &world.desk,
        &["findings", "--severity", "critical", "--state", "open", "--wait", "5"],
    );
    let id = anew[0]["id"].as_str().expect("an id");
    assert!(stdout(&said).contains(&id[..12]), "{}", stdout(&said));
    // As often as it is closed, also beyond the bound of a token.
    for round in 0..20 {
        for open in world.list(OPEN) {
            world.move_on(&open, "close");
        }
        assert_eq!(world.list(OPEN), Vec::<Value>::new());
        world.used("a", 80 + round, HOME);
        assert_eq!(world.list(OPEN).len(), 1, "round {round}");
    }
}

#[test]
fn what_another_party_does_is_a_finding_of_its_own() {
    let world = World::new();
    world.stolen("a");
    world.used("a", 60, HOME);
    world.used("a", 61, "198.51.100.9");
    world.used("a", 62, HOME);
    let found = world.list(OPEN);
    let counts: Vec<&Value> = found.iter().map(|one| &one["count"]).collect();
    assert_eq!(counts, [&json!(2), &json!(1)], "{found:#?}");
}

#[test]
fn what_is_told_once_a_token_is_told_again_after_a_closing() {
    let world = World::new();
    world.used("unknown", 60, HOME);
    world.used("unknown", 61, HOME);
    let first = world.list("&state=open");
    assert_eq!((first.len(), &first[0]["rule"]), (1, &json!("unknown_token")), "{first:#?}");
    world.move_on(&first[0], "close");
    world.used("unknown", 62, HOME);
    let anew = world.list("&state=open");
    assert_eq!((anew.len(), &anew[0]["rule"]), (1, &json!("unknown_token")), "{anew:#?}");
}

#[test]
fn closings_are_found_again_when_all_is_read_anew() {
    let mut world = World::new();
    world.stolen("a");
    world.used("unknown", 50, HOME);
    for second in 60..66 {
        world.used("a", second, HOME);
        if second % 2 == 0 {
            world.list(OPEN).iter().for_each(|open| world.move_on(open, "close"));
        }
    }
    // A late one has the whole life judged anew.
    world.act("SUSPENDED", "a", 5, &json!({}));
    world.used("a", 70, HOME);
    let before = world.list("");
    assert_eq!(world.server.stop(), Some(0));
    std::fs::remove_dir_all(world.server.path("data/followers")).expect("a folder");
    world.server.go();
    let after = world.list("");
    let brief = |list: &[Value]| -> Vec<Value> {
        let members = |one: &Value| json!([one["id"], one["state"], one["count"], one["events"]]);
        list.iter().map(members).collect()
    };
    assert_eq!(brief(&after), brief(&before));
}
