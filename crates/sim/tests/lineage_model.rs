//! Every question against a brute-force model that reads all entries: on random histories with late
//! arrivals, aliases, revocations of sessions and clients, two tenants with the same names, `as_of`
//! and `at` at random points, and the index deleted and built again in between.

#[allow(dead_code, reason = "each test uses a part of it")]
mod lineage_world;

use lineage_world::World;

use ledgerline_questions::lineage::{
    Bounds, Cut, Direction, QueryContext, Reach, Scope, Spending, Summary, family, path, relatives,
};
use ledgerline_questions::{
    Holder, Of, Pivot, Point, Resource, accesses, after_revoke, after_revokes, blast_radius,
    divergence, exposure, in_force_at, pivot, policy_versions, resource_access, tokens_of, why,
};
use ledgerline_sim::{Random, Walk};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::View;
use ledgerline_world::disk::Disk as _;

/// Histories, and events of each.
const HISTORIES: u64 = 24;
const EVENTS: u32 = 56;
/// Moments of each history at which all questions are asked.
const MOMENTS: u64 = 4;

fn context<'v>(view: &'v View, scope: &Scope) -> QueryContext<'v> {
    QueryContext::new(view, scope.clone(), Spending::default()).unwrap()
}

#[test]
fn every_question_agrees_with_a_walk_through_all_entries() {
    let mut asked = 0;
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        let mut random = Random::new(seed * 7 + 1);
        world.record_some(EVENTS / 2, &mut random);
        if seed % 2 == 0 {
            world.reopen(|world| {
                for name in world.data.list("index").unwrap() {
                    world.data.remove(&format!("index/{name}")).unwrap();
                }
            });
        }
        world.record_some(EVENTS - EVENTS / 2, &mut random);
        if seed % 3 == 0 {
            world.reopen(|_| ());
        }
        let view = world.view();
        for _ in 0..MOMENTS {
            let scope = world.moment(&view, &mut random);
            let model = lineage_world::walk(&view, &scope);
            asked += ask_all(&view, &scope, &model, &world);
        }
    }
    assert!(asked > 10_000, "only {asked} questions were asked");
}

/// Asks everything at one moment; how many questions that were.
fn ask_all(view: &View, scope: &Scope, model: &Walk, world: &World) -> u64 {
    let mut asked = 0;
    let ids = lineage_world::token_ids();
    for id in &ids {
        let context = &mut context(view, scope);
        let place = format!("{id} {scope:?}");
        let token = context.token(id).unwrap();
        assert_eq!(token.is_known(), model.is_known(id), "{place}");
        if token.is_known() {
            let (known, happened) = model.states(id);
            assert_eq!(token.id, model.canonical(id), "{place}");
            assert_eq!(token.known, known, "known of {place}");
            assert_eq!(token.happened, happened, "happened of {place}");
        }
        for direction in [Direction::Ancestors, Direction::Descendants] {
            let found = relatives(context, id, direction, Bounds::default()).unwrap();
            let found = found.map(|lineage| lineage_world::depths(&lineage));
            assert_eq!(found, model.relatives(id, direction), "{direction:?} of {place}");
        }
        for reach in [Reach::Asserted, Reach::Joined] {
            let bounds = Bounds { reach, ..Bounds::default() };
            for direction in [Direction::Ancestors, Direction::Descendants] {
                let found = relatives(context, id, direction, bounds).unwrap();
                let found = found.map(|lineage| lineage_world::depths(&lineage));
                let expected = model.reached(id, direction, reach);
                assert_eq!(found, expected, "{reach:?} {direction:?} of {place}");
                asked += 1;
            }
        }
        let found = family(context, id, Bounds::default()).unwrap();
        let found = found.map(|all| lineage_world::depths(&all).into_keys().collect());
        assert_eq!(found, model.family(id), "family of {place}");
        let found = accesses(context, id, Of::Token, Point::At(0), Point::Revocation).unwrap();
        let found = found.map(|one| one.list.iter().map(|one| one.at.rank()).collect::<Vec<_>>());
        assert_eq!(found, model.accesses(id, 0), "accesses of {place}");
        let found = blast_radius(context, id, Bounds::default()).unwrap();
        let found = found.map(|one| (one.alive, one.allowed, one.denied));
        assert_eq!(found, model.blast_radius(id), "blast radius of {place}");
        let found = divergence(context, id, Of::Token).unwrap();
        let found =
            found.map(|list| list.first().map(|first| (first.what.word(), first.at.rank())));
        assert_eq!(found, model.divergence(id), "divergence of {place}");
        let found = exposure(context, id, Of::Token).unwrap();
        let found = found.map(|one| one.places.iter().map(|place| place.events).sum::<u64>());
        assert_eq!(found, model.shown(id), "exposure of {place}");
        let found = after_revoke(context, id).unwrap();
        let found = found.map(|one| (one.places.iter().map(|p| p.allowed).sum(), one.gaps));
        assert_eq!(found, model.after_revoke(id), "after revocation of {place}");
        assert_eq!(context.cuts(), [], "{place}");
        asked += 1;
        asked += 9;
    }
    for (from, to) in ids.iter().zip(ids.iter().skip(3)) {
        let steps = path(&mut context(view, scope), from, to, Bounds::default()).unwrap();
        assert_eq!(steps.map(|steps| steps.len()), model.path(from, to), "{from} to {to}");
        asked += 1;
    }
    asked + ask_names(view, scope, model) + ask_others(view, scope, model, world)
}

/// Questions about sessions, grants, clients and resources, on pages.
fn ask_names(view: &View, scope: &Scope, model: &Walk) -> u64 {
    let mut asked = 0;
    for name in ["s1", "eu:idp:s1", "eu:other:s1", "s2", "nobody"] {
        for holder in [
            Holder::Session(name.into()),
            Holder::Client(name.replace('s', "c")),
            Holder::Grant(name.replace('s', "g")),
            Holder::Issuer(if name == "nobody" { "eu:other" } else { "eu:idp" }.into()),
        ] {
            let mut found = Vec::new();
            let mut after = Some(EntryRef::FIRST);
            while let Some(from) = after {
                let page = tokens_of(&mut context(view, scope), &holder, from, 2).unwrap();
                assert!(page.tokens.len() <= 2 && (page.next.is_none() || page.tokens.len() == 2));
                found.extend(page.tokens.iter().map(|token| token.id.clone()));
                after = page.next;
            }
            assert_eq!(found, model.tokens_of(&holder), "{holder:?} {scope:?}");
            asked += 1;
        }
        for what in [
            Pivot::Session(name.into()),
            Pivot::Client(name.replace('s', "c")),
            Pivot::Grant(name.replace('s', "g")),
        ] {
            assert_eq!(pages(view, scope, &what), model.pivot(&what), "{what:?} {scope:?}");
            asked += 1;
        }
    }
    for resource in ["/r/1", "/r/2", "/r/3"] {
        let (range, resource) = (lineage_world::middle(scope), Resource::Named(resource.into()));
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let context = &mut context(view, scope);
            let page = resource_access(context, &resource, range, after, 3).unwrap();
            found.extend(page.list.iter().map(|one| (one.token.id.clone(), one.accesses.len())));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        found.sort();
        assert_eq!(
            found,
            model.resource_access(&resource, range),
            "{resource:?} {range:?} {scope:?}"
        );
        asked += 1;
    }
    asked
}

fn pages(view: &View, scope: &Scope, what: &Pivot) -> Vec<u64> {
    let mut found = Vec::new();
    let mut after = Some(EntryRef::FIRST);
    while let Some(from) = after {
        let (page, next) = pivot(&mut context(view, scope), what, from, 5).unwrap();
        found.extend(page.iter().map(|record| record.at.rank()));
        after = next;
    }
    found
}

/// Questions about persons, policies and causes.
fn ask_others(view: &View, scope: &Scope, model: &Walk, world: &World) -> u64 {
    let mut asked = 0;
    for user in ["u1", "u2"] {
        let Some(handle) = world.person(&scope.tenant, "idp", user) else { continue };
        let holder = Holder::Subject(handle);
        let found = tokens_of(&mut context(view, scope), &holder, EntryRef::FIRST, 1000).unwrap();
        let found: Vec<_> = found.tokens.iter().map(|token| token.id.clone()).collect();
        assert_eq!(found, model.tokens_of(&holder), "{user} {scope:?}");
        let what = Pivot::Handle(handle);
        assert_eq!(pages(view, scope, &what), model.pivot(&what), "{user} {scope:?}");
        asked += 2;
    }
    let range = lineage_world::middle(scope);
    let found = after_revokes(&mut context(view, scope), range, 1000).unwrap();
    let mut tokens: Vec<_> = found.tokens.iter().map(|(one, at)| (one.id.clone(), *at)).collect();
    tokens.sort();
    assert_eq!((tokens, found.gaps), model.after_revokes(range), "{range:?} {scope:?}");
    asked += 1;
    let versions = policy_versions(&mut context(view, scope), None).unwrap();
    for nanos in lineage_world::times() {
        let found = in_force_at(&versions, nanos);
        let mut found: Vec<_> =
            found.iter().map(|one| (one.id.clone(), one.version.clone())).collect();
        found.sort();
        assert_eq!(found, model.in_force(nanos), "{nanos} {scope:?}");
        asked += 1;
    }
    for (source, id) in model.event_ids() {
        let found = why(&mut context(view, scope), &source, &id).unwrap().expect("in scope");
        let mut found: Vec<_> = found
            .causes
            .iter()
            .filter_map(|one| one.record.as_ref().map(|one| one.at.rank()))
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, model.causes(&source, &id), "why of {id:?} {scope:?}");
        asked += 1;
    }
    asked
}

#[test]
fn bounds_and_budgets_cut_and_say_so() {
    let mut world = World::new(1);
    world.line(30);
    let view = world.view();
    let at = |depth, tokens, entries| {
        let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at: 0 };
        let spending = Spending { entries, ..Spending::default() };
        let mut context = QueryContext::new(&view, scope, spending).unwrap();
        let bounds = Bounds { depth, tokens, ..Bounds::default() };
        let found = relatives(&mut context, "eu:idp:jti:l0", Direction::Descendants, bounds);
        (found.unwrap().unwrap().relatives.len(), context.cuts())
    };
    assert_eq!(at(256, 2000, 50_000), (30, vec![]));
    assert_eq!(at(10, 2000, 50_000), (11, vec![Cut::Depth]));
    assert_eq!(at(256, 7, 50_000), (7, vec![Cut::Tokens]));
    let (found, cuts) = at(256, 2000, 25);
    assert!(found < 30 && cuts.contains(&Cut::Reads), "{found} {cuts:?}");
}

/// Answers to questions about everything at one moment, with what they stand on and what cut them.
fn answers(
    scope: &Scope,
    handles: &[[u8; 16]],
    ask: &dyn Fn() -> QueryContext<'static>,
) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |context: &mut QueryContext<'_>, answer: String| {
        let before = context.cuts();
        let evidence = context.evidence().unwrap();
        told.push(format!("{answer} {before:?} {evidence:?} {:?}", context.cuts()));
    };
    for id in lineage_world::token_ids() {
        let mut context = ask();
        let token = context.token(&id).unwrap();
        tell(&mut context, format!("{token:?}"));
        for direction in [Direction::Ancestors, Direction::Descendants] {
            let mut context = ask();
            let found = relatives(&mut context, &id, direction, Bounds::default()).unwrap();
            tell(&mut context, format!("{found:?}"));
        }
        let mut context = ask();
        let found =
            blast_radius(&mut context, &id, Bounds { tokens: 5, ..Bounds::default() }).unwrap();
        tell(&mut context, format!("{found:?}"));
    }
    let named = ["s1", "s2"].map(|name| Holder::Session(name.into()));
    let issued = ["eu:idp", "eu:other"].map(|name| Holder::Issuer(name.into()));
    let people = handles.iter().map(|handle| Holder::Subject(*handle));
    for holder in named.into_iter().chain(issued).chain(people) {
        for limit in [2, usize::MAX] {
            let mut context = ask();
            let found = tokens_of(&mut context, &holder, EntryRef::FIRST, limit).unwrap();
            tell(&mut context, format!("{found:?}"));
        }
    }
    for resource in ["/r/1", "/r/2", "/r/3"] {
        for (limit, range) in [(2, (0, i64::MAX)), (usize::MAX, lineage_world::middle(scope))] {
            let mut context = ask();
            let resource = Resource::Named(resource.into());
            let found = resource_access(&mut context, &resource, range, None, limit).unwrap();
            tell(&mut context, format!("{found:?}"));
        }
    }
    told
}

/// Every question in three ways: from what is remembered, read ahead, and plain.
fn check_ways(world: &World, scope: &Scope, spending: Spending) -> usize {
    // The questions of a test end with it.
    let view: &'static View = Box::leak(Box::new(world.view()));
    let handles: Vec<_> =
        ["u1", "u2"].iter().filter_map(|user| world.person(&scope.tenant, "idp", user)).collect();
    let new = || QueryContext::new(view, scope.clone(), spending).unwrap();
    let plain = answers(scope, &handles, &|| new().plain());
    // What is remembered costs less than what is read, which shows where there is little to spend.
    let is_rich = spending == Spending::default();
    let usual = answers(scope, &handles, &|| if is_rich { new() } else { new().forgetful() });
    for (usual, plain) in usual.iter().zip(&plain) {
        assert_eq!(usual, plain, "{scope:?} {spending:?}");
    }
    plain.len()
}

#[test]
fn what_is_remembered_or_read_ahead_changes_no_answer() {
    let mut asked = 0;
    for seed in 200..203 {
        let mut world = World::new(seed);
        let mut random = Random::new(seed);
        for step in 0..8 {
            world.record_some(8, &mut random);
            let (view, end) = (world.view(), world.view().size());
            for judged in [50, 400, random.below(200)] {
                for tenant in ["a", "b"] {
                    let judged_at = lineage_world::seconds(judged);
                    let size = if judged == 50 { end } else { end - random.below(end / 4 + 1) };
                    let (tenant, as_of) = (tenant.into(), view.up_to(size));
                    let scope = Scope { tenant, as_of, at: None, judged_at };
                    asked += check_ways(&world, &scope, Spending::default());
                }
            }
            if step == 4 {
                world.reopen(|_| ());
            }
        }
    }
    assert!(asked > 5_000, "only {asked} questions were asked");
}

#[test]
fn what_is_read_ahead_is_charged_like_everything_else() {
    let mut world = World::new(300);
    world.record_some(60, &mut Random::new(300));
    let as_of = world.view().as_of();
    let at = lineage_world::seconds(300);
    // Of a time lives are read, of now what decides of them.
    for at_that_time in [Some(at), None] {
        let (tenant, as_of) = ("a".into(), as_of.clone());
        let scope = Scope { tenant, as_of, at: at_that_time, judged_at: at };
        for entries in (1..60).step_by(2).chain([80, 120, 200]) {
            check_ways(&world, &scope, Spending { entries, ..Spending::default() });
        }
        for index_reads in (0..60).step_by(3) {
            check_ways(&world, &scope, Spending { index_reads, ..Spending::default() });
        }
    }
}

/// A page of a hundred tokens read two thousand events to say where each stood.
#[test]
fn where_a_token_stands_follows_from_what_decides_of_its_life() {
    let histories = std::env::var("LEDGERLINE_HISTORIES").ok().and_then(|n| n.parse().ok());
    let (mut long, mut ended) = (0, 0);
    for seed in 0..histories.unwrap_or(1_000) {
        let mut world = World::new(500_000 + seed);
        let mut random = Random::new(seed);
        world.record_some(EVENTS, &mut random);
        let view = world.view();
        let scope = Scope { at: None, ..world.moment(&view, &mut random) };
        for id in lineage_world::token_ids() {
            let new = || context(&view, &scope).forgetful();
            let (mut whole, mut quick) = (new(), new());
            let token = whole.token(&id).unwrap();
            let summary = quick.summary(&id).unwrap();
            // Whether a use came before the birth is asked of codes, whose lives are read whole.
            let plain = |one: &Summary| {
                let mut one = one.clone();
                (one.known.presented, one.happened.presented) = (false, false);
                format!("{one:?}")
            };
            let (found, expected) = (plain(&summary), plain(&token.summary));
            assert_eq!(found, expected, "{id} of history {seed}, {scope:?}");
            assert_eq!((quick.cuts(), whole.cuts()), (vec![], vec![]), "{id} of history {seed}");
            assert_eq!(quick.cited(), whole.cited(), "{id} of history {seed}");
            long += u32::from(summary.events.len() > 4);
            ended += u32::from(!summary.covered_by.is_empty());
        }
    }
    assert!(long > 1_000 && ended > 100, "{long} long lives, {ended} ended by something wider");
}

#[test]
fn what_is_remembered_is_not_looked_for_again() {
    let mut world = World::new(400);
    world.record_some(60, &mut Random::new(400));
    let view = world.view();
    let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at: 0 };
    let spending = Spending { index_reads: 1, ..Spending::default() };
    let poor = || QueryContext::new(&view, scope.clone(), spending).unwrap();
    let mut needed = 0;
    for id in lineage_world::token_ids() {
        let token = context(&view, &scope).token(&id).unwrap();
        let mut plain = poor().plain();
        plain.token(&id).unwrap();
        if !token.records.is_empty() && !plain.cuts().is_empty() {
            let mut usual = poor();
            assert_eq!(usual.token(&id).unwrap().records.len(), token.records.len(), "{id}");
            assert_eq!(usual.cuts(), [], "{id}");
            needed += 1;
        }
    }
    assert!(needed > 2, "only {needed} tokens need the index");
}
