//! The oidc-provider adapter on recordings that nobody made: other orders, other reasons, races,
//! torn lines. Each reading keeps what must hold of any log:
//!
//! - every line is counted once, and every event;
//! - no token that the log shows outlives the revocation of its grant;
//! - nothing is booked on a token that a forged JWT claims to be;
//! - the same lines give the same events, no name is given twice, every link leads to an event.

#[path = "../../ledgerline/tests/recorded/mod.rs"]
mod recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use ledgerline_sources::Options;
use ledgerline_sources::oidc_provider::OidcProvider;
use ledgerline_sources::{Adapter, Naming, Report};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What an adapter made of some lines, act by act.
struct Reading {
    events: Vec<Value>,
    report: Report,
}

fn read(lines: &[String]) -> Reading {
    let mut adapter = OidcProvider::new(Options {
        naming: Naming::new("global", "idp").expect("sound names"),
        recorded_as: Some((String::new(), "idp-log".to_owned())),
    });
    let (mut acts, mut refused) = (Vec::new(), 0);
    for (number, line) in (1..).zip(lines) {
        refused += u64::from(adapter.line(number, line, &mut acts).is_err());
    }
    adapter.finish(&mut acts);
    let report = adapter.report().clone();
    assert_eq!(report.refused, refused, "each refusal was told");
    let events = acts.iter().flat_map(|act| &act.events);
    let events = events.map(|event| serde_json::to_value(event).expect("JSON")).collect();
    Reading { events, report }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Everything that must hold of any log.
fn check(lines: &[String], what: &str) -> Reading {
    let reading = read(lines);
    assert!(read(lines).events == reading.events, "{what}: a second reading differs");
    let report = &reading.report;
    let count = lines.iter().filter(|line| !line.trim().is_empty()).count() as u64;
    assert_eq!(report.lines, count, "{what}");
    let sum = report.mapped + report.skipped_count() + report.refused;
    assert_eq!(report.lines, sum, "{what}: {report:?}");
    assert!(report.joined_count() <= report.mapped, "{what}: {report:?}");
    assert_eq!(report.events, reading.events.len() as u64, "{what}");
    names_and_links(&reading.events, what);
    let alive = outliving(&reading.events);
    assert!(alive.is_empty(), "{what}: {} outlive their grant: {alive:?}", alive.len());
    let forged = forged(lines);
    for event in &reading.events {
        let is_booked = event["token_id"].is_string();
        let request = text(event, "correlation_id");
        assert!(!(is_booked && forged.contains(request)), "{what}: {event}");
    }
    reading
}

fn names_and_links(events: &[Value], what: &str) {
    let id_of = |event: &Value| {
        let part = u16::try_from(event["act"]["part"].as_u64().unwrap_or(0)).expect("small");
        let mut input = b"ledgerline/event-id/v1\0".to_vec();
        for part in ["", "idp-log", text(event, "native_id")] {
            input.extend_from_slice(&u16::try_from(part.len()).expect("short").to_be_bytes());
            input.extend_from_slice(part.as_bytes());
        }
        input.extend_from_slice(&part.to_be_bytes());
        let mut id = Sha256::digest(&input);
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        id[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let names: BTreeSet<&str> = events.iter().map(|event| text(event, "native_id")).collect();
    assert_eq!(names.len(), events.len(), "{what}: a name twice");
    let ids: BTreeSet<String> = events.iter().map(id_of).collect();
    for event in events {
        for link in list(event, "links").iter().filter(|link| link["event"].is_object()) {
            let id = text(&link["event"], "event_id").replace('-', "");
            assert!(ids.contains(&id), "{what}: a link leads nowhere: {event}");
        }
    }
}

/// Tokens that are neither revoked nor replaced nor spent though their grant was revoked while they
/// had not expired. What was minted after a grant was given anew is of another life.
fn outliving(events: &[Value]) -> Vec<String> {
    let mut ended: BTreeSet<&str> = BTreeSet::new();
    let (mut revoked, mut given) = (BTreeMap::new(), BTreeMap::new());
    for event in events.iter().filter(|event| text(event, "outcome") == "ALLOW") {
        let (kind, at) = (text(event, "type"), text(event, "occurred_at"));
        let is_grant = event["target"]["kind"] == "GRANT";
        let is_code = text(event, "token_kind").ends_with("_CODE");
        if is_grant && kind == "REVOKED" {
            revoked.insert(text(event, "grant_id"), at);
        } else if is_grant {
            given.insert(text(event, "grant_id"), at);
        } else if matches!(kind, "REVOKED" | "ROTATED") || kind == "USED" && is_code {
            ended.insert(text(event, "token_id"));
        }
    }
    let issued = events.iter().filter(|e| text(e, "type") == "ISSUED" && e["token_id"].is_string());
    let alive = issued.filter(|event| {
        let grant = text(event, "grant_id");
        let Some(end) = revoked.get(grant) else { return false };
        let again = given.get(grant).is_some_and(|given| given > end);
        let expires = text(event, "expires_at");
        !again && !ended.contains(text(event, "token_id")) && (expires.is_empty() || expires > *end)
    });
    alive
        .map(|event| format!("{} {}", text(event, "token_kind"), text(event, "token_id")))
        .collect()
}

/// The requests with a JWT that the resource server did not find good.
fn forged(lines: &[String]) -> BTreeSet<String> {
    let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let forged = parsed.filter(|line| {
        text(line, "token_form") == "jwt"
            && text(line, "decision") == "deny"
            && (line["sub"].is_null() || text(line, "reason").contains("signature"))
    });
    forged.map(|line| text(&line, "request_id").to_owned()).collect()
}

/// A generator of numbers: the same seed gives the same test.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn recorded_lines() -> Vec<String> {
    let file = |name: &str| fs::read_to_string(recorded::recording().join(name)).expect(name);
    let all = ["provider.ndjson", "resource-server.ndjson", "policies.ndjson"].map(file);
    all.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

/// Moves each line back by up to `reach` places, and never before one of its own request.
fn shuffled(lines: &[String], reach: u64, random: &mut Random) -> Vec<String> {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut placed: Vec<(u64, usize)> = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        let parsed: Value = serde_json::from_str(line).expect("JSON");
        let request = text(&parsed, "request_id").to_owned();
        let place = at as u64 + random.below(reach);
        let place = place.max(last.get(&request).copied().unwrap_or(0));
        last.insert(request, place);
        placed.push((place, at));
    }
    placed.sort_unstable();
    placed.into_iter().map(|(_, at)| lines[at].clone()).collect()
}

#[test]
fn other_orders_keep_what_must_hold() {
    let lines = recorded_lines();
    let plain = check(&lines, "as recorded");
    for (seed, reach) in [(1, 3), (2, 60), (3, 400)] {
        let other = shuffled(&lines, reach, &mut Random(seed));
        let reading = check(&other, &format!("seed {seed}, reach {reach}"));
        assert_eq!(reading.report.lines, plain.report.lines);
        assert_eq!(reading.report.refused, 0, "seed {seed}");
    }
    // The logs of others first.
    let mut turned = lines;
    turned.rotate_left(7_537);
    let reading = check(&turned, "other files first");
    assert_eq!(reading.report, plain.report);
}

#[test]
fn torn_lines_keep_what_must_hold() {
    let lines = recorded_lines();
    for seed in 0..3 {
        let mut random = Random(seed);
        let mut torn = Vec::with_capacity(lines.len());
        for line in shuffled(&lines, 1 + seed * 30, &mut random) {
            match random.below(60) {
                0 => torn.push(line[..line.floor_char_boundary(line.len() / 2)].to_owned()),
                1 => torn.push(line[line.ceil_char_boundary(line.len() / 3)..].to_owned()),
                2 => {}
                3 => torn.extend([String::new(), line]),
                _ => torn.push(line),
            }
        }
        let reading = check(&torn, &format!("torn, seed {seed}"));
        assert!(reading.report.refused > 100, "seed {seed}: {:?}", reading.report);
    }
}

#[test]
fn other_reasons_lose_no_call() {
    let lines = recorded_lines();
    let plain = read(&lines);
    for (word, seed) in [("something_new", 1), ("Something else: no. 7", 2), ("rate_limited", 3)] {
        let mut random = Random(seed);
        let changed = lines.iter().map(|line| {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            for pointer in ["/reason", "/payload/error_detail"] {
                if let Some(reason) = line.pointer_mut(pointer)
                    && reason.is_string()
                    && random.below(2) == 0
                {
                    *reason = word.into();
                }
            }
            line.to_string()
        });
        let changed: Vec<String> = changed.collect();
        let reading = check(&changed, word);
        // Every call is where it was, but for the two of an exchange whose reason was all that told
        // that the signature held.
        let booked = |reading: &Reading| {
            let of =
                |e: &&Value| ["USED", "REFRESHED", "RESOURCE_ACCESSED"].contains(&text(e, "type"));
            let pairs = reading.events.iter().filter(of);
            pairs.map(|e| (text(e, "native_id").to_owned(), e["token_id"].clone())).collect()
        };
        let (before, after): (Vec<_>, Vec<_>) = (booked(&plain), booked(&reading));
        assert_eq!(before.len(), after.len(), "{word}");
        let moved = before.iter().zip(&after).filter(|(one, other)| one != other);
        assert!(moved.clone().count() <= 2, "{word}: {:?}", moved.collect::<Vec<_>>());
    }
}

const OLD: &str = "old-refresh-AAAAAAAAAAAAAAAAAAAAAA";

/// The requests of a race: a first login, a refresh, and a replay that revokes the grant.
fn race(with_closing: bool) -> [Vec<(&'static str, Value)>; 3] {
    let refresh =
        |jti: &str| json!({"jti": jti, "clientId": "c", "grantId": "g", "exp": 1_795_400_000});
    let access = |jti: &str| {
        let mut payload = refresh(jti);
        payload["format"] = "jwt".into();
        payload
    };
    let params = json!({"grant_type": "refresh_token", "refresh_token": OLD});
    let mut turn = vec![
        ("refresh_token.consumed", refresh(OLD)),
        ("refresh_token.saved", refresh("new-refresh-AAAAAAAAAAAAAAAAAAAAAA")),
        ("access_token.issued", access("new-access")),
    ];
    if with_closing {
        turn.push(("grant.success", json!({"client_id": "c", "params": params})));
    }
    let first = vec![
        ("refresh_token.saved", refresh(OLD)),
        ("access_token.issued", access("old-access")),
        ("grant.success", json!({"client_id": "c", "params": {"grant_type": "password"}})),
    ];
    let replay = vec![
        (
            "grant.revoked",
            json!({"grantId": "g", "route": "token", "client_id": "c", "params": params}),
        ),
        (
            "grant.error",
            json!({
                "client_id": "c", "error": "invalid_grant",
                "error_detail": "refresh token already used", "params": params,
            }),
        ),
    ];
    [first, turn, replay]
}

#[test]
fn a_token_whose_request_closed_after_its_grant_died_lived_on() {
    for with_closing in [true, false] {
        let [first, turn, replay] = race(with_closing);
        let total = turn.len() + replay.len();
        for choice in 0_u32..1 << total {
            if choice.count_ones() as usize != replay.len() {
                continue;
            }
            let (mut turn, mut replay) = (turn.iter(), replay.iter());
            let first = first.iter().map(|line| ("r0", line));
            let rest = (0..total).filter_map(|at| match choice >> at & 1 {
                1 => replay.next().map(|line| ("r2", line)),
                _ => turn.next().map(|line| ("r1", line)),
            });
            let lines = (0..).zip(first.chain(rest)).map(|(at, (request, (event, payload)))| {
                let time = format!("2026-11-22T05:00:{at:02}.000Z");
                json!({"time": time, "event": event, "request_id": request, "payload": payload})
                    .to_string()
            });
            let lines: Vec<String> = lines.collect();
            let reading = check(&lines, &format!("closing {with_closing}, order {choice:b}"));
            let mut dead = BTreeSet::new();
            for event in &reading.events {
                if matches!(text(event, "type"), "REVOKED" | "ROTATED") {
                    dead.insert(text(event, "token_id"));
                }
                let at = text(event, "occurred_at");
                let born = reading.events.iter().find(|other| {
                    text(other, "type") == "ISSUED" && other["token_id"] == event["token_id"]
                });
                assert!(born.is_none_or(|born| text(born, "occurred_at") <= at), "{event}");
            }
            for token in ["jti:old-access", "jti:new-access"] {
                assert!(
                    dead.contains(format!("global:idp:{token}").as_str()),
                    "{token}: {lines:#?}"
                );
            }
            assert_eq!(dead.iter().filter(|id| id.contains(":t1:")).count(), 2, "{lines:#?}");
        }
    }
}

#[test]
fn a_torn_line_left_a_replaced_token_alive() {
    let [first, turn, _] = race(true);
    let lines =
        [("r0", &first[..]), ("r1", &turn[1..])].into_iter().flat_map(|(request, lines)| {
            lines.iter().map(move |(event, payload)| {
                let time = "2026-11-22T05:00:00Z";
                json!({"time": time, "event": event, "request_id": request, "payload": payload})
            })
        });
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    let reading = check(&lines, "without refresh_token.consumed");
    let rotated = reading.events.iter().filter(|event| text(event, "type") == "ROTATED");
    assert_eq!(rotated.count(), 1);
}

#[test]
fn a_userinfo_call_that_failed_was_booked_as_the_tokens_own() {
    // {"alg":"ES256"}.{"jti":"victim"}
    let jws = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJ2aWN0aW0ifQ.c2ln";
    let read = |more: Value| {
        let mut payload = json!({"client_id": "c", "path": "/me", "presented": jws});
        let members = more.as_object().expect("members").clone();
        payload.as_object_mut().expect("an object").extend(members);
        let line = json!({
            "time": "2026-11-22T05:00:00Z", "event": "middleware.userinfo", "request_id": "r",
            "payload": payload,
        });
        check(&[line.to_string()], "userinfo").events.remove(0)
    };
    assert_eq!(read(json!({}))["token_id"], "global:idp:jti:victim");
    for failed in [json!({"error": "invalid_token"}), json!({"active": false})] {
        let event = read(failed);
        assert_eq!(event["outcome"], "DENY");
        assert!(!event.to_string().contains("victim"), "{event}");
    }
}

#[test]
fn a_refusal_of_nobody_is_still_an_act() {
    for payload in [json!({"error": "invalid_client"}), json!({"client_id": "with space"})] {
        for event in
            ["grant.error", "userinfo.error", "authorization.error", "registration_read.error"]
        {
            let line = json!({
                "time": "2026-11-22T06:30:00+01:30", "event": event, "request_id": "r",
                "payload": payload,
            });
            let reading = check(&[line.to_string()], "no client");
            let event = &reading.events[0];
            assert_eq!(
                (&event["target"]["kind"], &event["outcome"]),
                (&"SOURCE".into(), &"DENY".into())
            );
            assert_eq!(event["occurred_at"], "2026-11-22T05:00:00.000Z");
        }
    }
}
