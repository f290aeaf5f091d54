//! However much is recorded of a token, or of what it belongs to, whoever is asked where it stands
//! judges by all of it: the life that is shown, the questions, introspection, findings, strict
//! producers, expiry and bundles.

#[allow(dead_code, reason = "each test uses a part of it")]
mod lineage_world;

use std::sync::Arc;

use lineage_world::{World, seconds};

use ledgerline_expiry::{Place, SCHEDULE_TOKENS, STEP_READS, Schedule};
use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::rules::{Rule, Windows};
use ledgerline_followers::findings::{Judge, Saved};
use ledgerline_index::terms::{chain_term, event_term, terms_of};
use ledgerline_index::{Index, IndexConfig, Posting, Progress, TermHasher, TermKind};
use ledgerline_introspection::{Presented, TokenStatus, token_status};
use ledgerline_proof::bundle::Decimal;
use ledgerline_proof::chain::chain_key;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{State, Violation};
use ledgerline_proof::statement::{Statement, Target};
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_prover::{BundleRequest, token_bundle};
use ledgerline_questions::life::{Judgement, Life, life_of};
use ledgerline_questions::lineage::{Bounds, QueryContext, Scope, Spending};
use ledgerline_questions::{after_revoke, blast_radius};
use ledgerline_sim::{Random, SimDisk};
use ledgerline_view::view::{PageRequest, View};
use ledgerline_world::disk::Disk;
use serde_json::{Value, json};

const LONG: &str = "eu:idp:jti:long";

fn time(n: u64) -> String {
    format!("2025-11-13T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60)
}

fn act(n: u64, kind: &str, id: &str, at: u64) -> Value {
    json!({"native_id": format!("l{n}"), "type": kind, "token_id": id, "issuer": "idp",
        "service": "api", "occurred_at": time(at)})
}

/// Uses, a thousand at a time.
fn use_it(world: &mut World, numbers: std::ops::Range<u64>, event: impl Fn(u64) -> Value) {
    let numbers: Vec<u64> = numbers.collect();
    for part in numbers.chunks(1000) {
        world.tell(&part.iter().map(|n| event(*n)).collect::<Vec<_>>());
    }
}

fn life(view: &View, id: &str, at: i64) -> Life {
    let page = PageRequest { after: None, limit: 1 };
    let judgement = Judgement { at, by: i64::MAX };
    life_of(view, "a", id, &view.as_of(), judgement, page).unwrap().expect("known")
}

fn stands(view: &View, id: &str, at: i64) -> TokenStatus {
    token_status(view, "a", Presented::Id(id), at).unwrap().expect("known")
}

fn context(view: &View, at: i64) -> QueryContext<'_> {
    let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at: at };
    QueryContext::new(view, scope, Spending::default()).unwrap()
}

/// What a follower notices that begins at a place, with nothing in mind.
fn raised_from(view: &View, position: u64) -> Vec<(Rule, String)> {
    let saved = Saved { position, ..Saved::default() };
    let mut follower = Judge::new(saved, Windows::default());
    let mut found = Vec::new();
    while follower.position() < view.size() {
        found.extend(follower.step(view, 1000).unwrap());
    }
    let raised = found.into_iter().filter_map(|note| match note {
        Note::Raised(finding) => Some((finding.rule, finding.target)),
        _ => None,
    });
    raised.collect()
}

/// The code with which a strict producer's use is refused; none when it is recorded.
fn strict_use(world: &mut World, n: u64, id: &str, at: u64) -> Option<String> {
    let answer = world.offer("ks", &[act(n, "USED", id, at)]).remove(0);
    world.commit();
    answer.error.map(|error| error.detail)
}

#[test]
fn a_revocation_behind_a_hundred_thousand_uses_is_seen_by_everybody() {
    let mut world = World::new(2);
    world.tell(&[act(0, "ISSUED", LONG, 1)]);
    use_it(&mut world, 1..102_001, |n| act(n, "USED", LONG, 2));
    let at = seconds(9);
    assert!(stands(&world.view(), LONG, at).is_active(at));
    assert_eq!(strict_use(&mut world, 200_000, LONG, 3), None);
    world.tell(&[act(200_001, "REVOKED", LONG, 4)]);
    let before = world.view().size();
    world.tell(&[act(200_002, "USED", LONG, 5)]);
    let view = world.view();
    let shown = life(&view, LONG, at);
    assert_eq!((shown.known.state, shown.cut, shown.total), (State::Revoked, false, 102_004));
    let stood = stands(&view, LONG, at);
    assert_eq!((stood.state.state, stood.is_active(at)), (State::Revoked, false));
    assert_eq!(stood.state.last_index, shown.known.last_index);
    assert_eq!(stood.state.first_index, shown.known.first_index);
    let mut asked = context(&view, at);
    let token = asked.token(LONG).unwrap();
    assert_eq!((token.known.state, token.happened.state), (State::Revoked, State::Revoked));
    assert_ne!(asked.cuts(), [], "what was not looked at is said");
    let mut asked = context(&view, at);
    let after = after_revoke(&mut asked, LONG).unwrap().expect("known");
    assert_eq!(after.tokens.len(), 1);
    assert_eq!((after.places[0].allowed, after.gaps.clone()), (1, vec![1_000_000_000]));
    assert_ne!(asked.cuts(), []);
    let blast =
        blast_radius(&mut context(&view, at), LONG, Bounds::default()).unwrap().expect("known");
    assert!(blast.alive.is_empty());
    let reuse = (Rule::Lifecycle(Violation::UseAfterRevoke), LONG.to_owned());
    assert_eq!(raised_from(&view, before), [reuse]);
    let refused = strict_use(&mut world, 200_003, LONG, 6).expect("refused");
    assert!(refused.ends_with("use_after_revoke"), "{refused}");
}

#[test]
fn a_revocation_behind_five_thousand_of_others_on_the_same_client_is_seen() {
    let mut world = World::new(5);
    let born = |n: u64, id: &str| {
        let mut born = act(n, "ISSUED", id, 100);
        born["client_id"] = "web".into();
        born["token_kind"] = "ACCESS".into();
        born
    };
    let ended = |n: u64, selector: Value| {
        json!({"native_id": format!("l{n}"), "type": "REVOKED", "issuer": "idp",
            "target": {"kind": "CLIENT", "id": "web"}, "occurred_at": time(200),
            "selector": selector})
    };
    world.tell(&[born(0, "eu:idp:jti:w")]);
    use_it(&mut world, 1..5001, |n| ended(n, json!({ "issued_before": time(n % 100) })));
    let at = seconds(1000);
    assert!(stands(&world.view(), "eu:idp:jti:w", at).is_active(at));
    assert_eq!(strict_use(&mut world, 6000, "eu:idp:jti:w", 201), None);
    // It comes late for the use before it, which is judged anew: the one behind it is counted to
    // the same finding.
    let before = world.view().size();
    world.tell(&[ended(6001, json!({ "issued_before": time(101) }))]);
    world.tell(&[act(6002, "USED", "eu:idp:jti:w", 202)]);
    world.seal();
    let view = world.view();
    let covering = life(&view, "eu:idp:jti:w", at).covered_by;
    assert_eq!(covering.len(), 1);
    assert_eq!(stands(&view, "eu:idp:jti:w", at).state.state, State::Revoked);
    let mut asked = context(&view, at);
    let token = asked.token("eu:idp:jti:w").unwrap();
    assert_eq!((token.known.state, &token.covered_by), (State::Revoked, &covering));
    assert_eq!(asked.cuts(), []);
    let (tenant, token_id) = ("a".to_owned(), token.id.clone());
    let request = BundleRequest {
        tenant,
        token_id,
        others: Vec::new(),
        disclose: false,
        previous_size: None,
    };
    let bundle = token_bundle(view.rooms(), view.terms(), &request).unwrap();
    assert!(bundle.leaves.iter().any(|leaf| leaf.index == Decimal(covering[0].index)));
    let reuse = (Rule::Lifecycle(Violation::UseAfterRevoke), token.id.clone());
    assert_eq!(raised_from(&view, before), [reuse]);
    let refused = strict_use(&mut world, 6003, "eu:idp:jti:w", 203).expect("refused");
    assert!(refused.ends_with("use_after_revoke"), "{refused}");
}

/// Each use gives the other name of the token, so that the index has as many names as uses.
#[test]
fn a_name_among_thousands_leads_to_the_revocation_under_it() {
    let mut world = World::new(6);
    let named = |n: u64, id: &str, name: &str| {
        let mut event = act(n, "USED", id, 2);
        event["also_known_as"] = json!([name]);
        event
    };
    world.tell(&[act(0, "ISSUED", LONG, 1)]);
    use_it(&mut world, 1..1500, |n| named(n, LONG, "eu:idp:jti:second"));
    world.tell(&[named(2000, LONG, "eu:idp:jti:third")]);
    use_it(&mut world, 2001..3500, |n| named(n, LONG, "eu:idp:jti:second"));
    world.tell(&[act(4000, "REVOKED", "eu:idp:jti:third", 3)]);
    let (view, at) = (world.view(), seconds(9));
    for id in [LONG, "eu:idp:jti:second", "eu:idp:jti:third"] {
        let (stood, shown) = (stands(&view, id, at), life(&view, id, at));
        assert_eq!((stood.state.state, stood.ids.len()), (State::Revoked, 3), "{id}");
        assert_eq!((shown.known.state, shown.ids.len()), (State::Revoked, 3), "{id}");
    }
}

/// A long life of random acts, some late, some refused, among many uses.
fn random_life(world: &mut World, random: &mut Random, id: &str) {
    let acts = ["ACTIVATED", "SUSPENDED", "REINSTATED", "ROTATED", "REFRESHED", "ORIGIN"];
    let code = random.below(3) == 0;
    let mut events = vec![act(0, "ISSUED", id, 10)];
    for n in 1..1400 {
        let kind = match random.below(200) {
            few @ 0..6 => acts[usize::try_from(few).unwrap()],
            6 if n > 1000 => "REVOKED",
            _ => "USED",
        };
        let late = if random.below(20) == 0 { random.below(n) } else { n };
        let mut event = act(n, kind, id, 10 + late);
        if random.below(4) == 0 {
            event["outcome"] = "DENY".into();
        }
        if matches!(kind, "REFRESHED" | "ORIGIN") {
            event["expires_at"] = time(10 + n + random.below(2000)).into();
        }
        events.push(event);
    }
    for (n, event) in events.iter_mut().enumerate() {
        event["native_id"] = format!("{id}-{n}").into();
        if code && random.below(2) == 0 {
            event["token_kind"] = "AUTH_CODE".into();
        }
    }
    for part in events.chunks(500) {
        world.tell(part);
    }
}

#[test]
fn a_long_life_is_judged_as_if_all_of_it_were_read() {
    for seed in 0..6 {
        let mut world = World::new(seed + 40);
        let mut random = Random::new(seed * 3 + 1);
        let ids = [format!("eu:idp:jti:r{seed}-0"), format!("eu:idp:jti:r{seed}-1")];
        ids.iter().for_each(|id| random_life(&mut world, &mut random, id));
        let view = world.view();
        for (id, at) in ids.iter().flat_map(|id| [800, 1500, 4000].map(|at| (id, seconds(at)))) {
            let (shown, stood) = (life(&view, id, at), stands(&view, id, at));
            assert!(!shown.cut);
            assert_eq!(shown.known, stood.state, "{id} at {at}");
        }
    }
}

/// The index of a program that posted fewer terms: without the runs built anew nothing would lead
/// to the revocation.
#[test]
fn runs_of_an_older_choice_of_terms_are_built_anew() {
    let mut world = World::new(10);
    world.tell(&[act(0, "ISSUED", LONG, 1)]);
    use_it(&mut world, 1..1200, |n| act(n, "USED", LONG, 2));
    world.tell(&[act(1200, "REVOKED", LONG, 3)]);
    use_it(&mut world, 1201..2400, |n| act(n, "USED", LONG, 4));
    let (before, size) = (world.view().rooms().index.run_files(), world.view().size());
    world.reopen(|world| {
        let disk: Arc<dyn Disk> = Arc::new(world.data.clone());
        let config =
            IndexConfig { range_log2: 4, fan_in: 2, identity: [1; 16], ..IndexConfig::default() };
        let (older, covered) = Index::open(disk, "index", config).unwrap();
        assert_eq!(covered, 0);
        older.note_times(0, size, &[]);
        older.append(0, size, &[]);
        while older.step(size).unwrap() != Progress::Idle {}
        assert!(older.covered() > 1000);
    });
    world.tell(&[act(3000, "USED", LONG, 5)]);
    let view = world.view();
    assert_eq!(stands(&view, LONG, seconds(9)).state.state, State::Revoked);
    assert!(view.rooms().index.run_files().iter().any(|run| before.contains(run)));
}

/// Only the newest refreshes are read of many, and the newest is among them.
#[test]
fn a_token_refreshed_thousands_of_times_expires_by_the_newest() {
    let mut world = World::new(8);
    let mut born = act(0, "ISSUED", LONG, 1);
    born["expires_at"] = time(60).into();
    world.tell(&[born]);
    use_it(&mut world, 1..3000, |n| refreshed(n, 2 + n % 50, 60 + n));
    let (view, end) = (world.view(), 60 + 2999);
    for (at, state) in [(end - 1, State::Active), (end, State::Expired)] {
        let (stood, shown) = (stands(&view, LONG, seconds(at)), life(&view, LONG, seconds(at)));
        assert_eq!(stood.state.state_at(seconds(at)), state);
        assert_eq!(shown.known.state_at(seconds(at)), state);
        assert_eq!(stood.state.expires_at, shown.known.expires_at);
    }
}

/// Of more refreshes than are looked at the one that moved the expiry furthest was left out.
#[test]
fn a_refresh_that_moved_the_expiry_furthest_was_left_out_for_a_thousand_later_ones() {
    let mut world = World::new(81);
    let mut born = act(0, "ISSUED", LONG, 1);
    born["expires_at"] = time(60).into();
    world.tell(&[born, refreshed(1, 2, 500)]);
    use_it(&mut world, 2..1_200, |n| act(n, "REFRESHED", LONG, 3));
    let (view, judged_at) = (world.view(), seconds(300));
    let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at };
    let new = || QueryContext::new(&view, scope.clone(), Spending::default()).unwrap().forgetful();
    let (summary, token) = (new().summary(LONG).unwrap(), new().token(LONG).unwrap());
    assert_eq!(summary.known.state_at(judged_at), State::Active);
    assert_eq!((&summary.known, &summary.happened), (&token.known, &token.happened));
    let mut schedule = Schedule::new(Place::begin(), SCHEDULE_TOKENS);
    let (due, _) = schedule.step(&view, judged_at, STEP_READS).unwrap();
    assert!(due.is_empty(), "it is not over");
}

fn refreshed(n: u64, at: u64, until: u64) -> Value {
    let mut event = act(n, "REFRESHED", LONG, at);
    event["expires_at"] = time(until).into();
    event
}

#[test]
fn the_expiry_of_a_long_life_is_stated_once_and_never_of_a_revoked_token() {
    for is_revoked in [false, true] {
        let mut world = World::new(9);
        world.tell(&[act(0, "ISSUED", LONG, 1), refreshed(1, 2, 100)]);
        use_it(&mut world, 2..20_100, |n| act(n, "USED", LONG, 3));
        world.tell(&[refreshed(30_000, 4, 200)]);
        if is_revoked {
            world.tell(&[act(30_001, "REVOKED", LONG, 5)]);
        }
        let mut schedule = Schedule::new(Place::begin(), SCHEDULE_TOKENS);
        let mut due = Vec::new();
        loop {
            let (some, more) = schedule.step(&world.view(), seconds(300), STEP_READS).unwrap();
            due.extend(some.into_iter().map(|one| one.at));
            if !more {
                break;
            }
        }
        let expected = if is_revoked { vec![] } else { vec![seconds(200)] };
        assert_eq!(due, expected);
    }
}

/// Bytes of an index over a population: one birth, then uses, of each token.
fn index_bytes(per_token: u64, with_life: bool) -> u64 {
    let hasher = TermHasher::new([7; 16]);
    let config = IndexConfig { identity: hasher.identity(), ..IndexConfig::default() };
    let (index, _) = Index::open(Arc::new(SimDisk::new(1)), "index", config).unwrap();
    let end = 1 << config.range_log2;
    for n in 0..end {
        let token = n / per_token;
        let (id, session) = (format!("eu:idp:jti:{token:020}"), format!("s-{token}"));
        let target = Target { kind: TargetKind::Token, id: &id };
        let birth = n % per_token == 0;
        let kind = if birth { EventType::Issued } else { EventType::ResourceAccessed };
        let event_id = u128::from(n).to_be_bytes();
        let mut one = Statement::new(event_id, "idp", target, kind, Hlc::at(1));
        (one.session_id, one.client_id) = (Some(&*session), Some("web"));
        one.resource = (!birth).then_some("/orders");
        let chain = chain_key(&one, &[]).unwrap();
        let mut terms = terms_of(&hasher, &one, &[]);
        terms.retain(|term| with_life || term.kind != TermKind::Life as u8);
        terms.push(chain_term(&hasher, &chain));
        terms.push(event_term(&hasher, "", "idp", &event_id));
        let postings = terms.into_iter().map(|term| Posting { term, index: n, uuid_millis: None });
        index.note_times(n, n + 1, &[]);
        index.append(n, n + 1, &postings.collect::<Vec<_>>());
    }
    while index.step(end).unwrap() != Progress::Idle {}
    index.stats().run_bytes
}

#[test]
fn what_decides_costs_ten_bytes_of_index_a_token() {
    for per_token in [1, 5, 20] {
        let (without, with) = (index_bytes(per_token, false), index_bytes(per_token, true));
        let tokens = (1 << 16) / per_token;
        let bytes = (with - without) as f64 / tokens as f64;
        println!("{per_token} events a token: {without} bytes and {bytes:.1} more a token");
        assert!(bytes < 11.0, "{bytes} bytes a token of {per_token} events");
    }
}
