//! The page of events is what the table and the schema say, and the table is whole.

use std::collections::BTreeSet;
use std::path::Path;

use ledgerline_api::event::Event;
use ledgerline_cookbook::{NEEDED, OWN_TYPES, RECIPES, RECORDS, RELATIONS, page};
use ledgerline_proof::vocabulary::{EventType, Relation, TargetKind};
use serde_json::Value;

fn read(json: &str) -> (Event<'_>, Value) {
    let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let event = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    (event, value)
}

/// `LEDGERLINE_WRITE=1` writes it.
#[test]
fn the_page_is_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page::PLACE);
    let now = page::page();
    if std::env::var_os("LEDGERLINE_WRITE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
        std::fs::write(&file, &now).expect("the page");
    }
    let page = std::fs::read_to_string(&file).unwrap_or_default();
    let same = page.lines().zip(now.lines()).take_while(|(one, other)| one == other).count();
    assert!(
        page == now,
        "{} differs at line {}; LEDGERLINE_WRITE=1 writes it",
        page::PLACE,
        same + 1
    );
}

#[test]
fn every_type_has_one_row() {
    let sent = RECIPES.iter().map(|recipe| recipe.event_type);
    let mut types: Vec<EventType> =
        sent.chain(OWN_TYPES.iter().map(|own| own.event_type)).collect();
    types.sort_unstable();
    let all: Vec<EventType> =
        EventType::ALL.iter().copied().filter(|one| *one != EventType::Other).collect();
    assert_eq!(types, all);
}

#[test]
fn every_relation_has_one_row() {
    let mut told: Vec<Relation> = RELATIONS.iter().map(|edge| edge.relation).collect();
    told.sort_unstable();
    let all = Relation::ALL.iter().copied().filter(|one| *one != Relation::Other);
    assert_eq!(told, all.collect::<Vec<_>>());
}

#[test]
fn an_example_is_an_event_and_shows_what_its_row_says() {
    for recipe in RECIPES {
        let name = recipe.event_type.symbol();
        let (event, value) = read(recipe.example);
        assert_eq!(event.event_type.as_deref(), Some(name));
        assert_eq!(serde_json::to_value(&event).expect("JSON"), value, "{name}: written as read");
        for either in NEEDED {
            assert!(either.iter().any(|one| value.get(one).is_some()), "{name}: {either:?}");
        }
        let kind = event.target.as_ref().map_or(TargetKind::Token.symbol(), |target| &target.kind);
        assert!(recipe.targets.iter().any(|one| one.symbol() == kind), "{name}: {kind}");
        assert_eq!(recipe.state.is_some(), kind == "TOKEN", "{name}: a token has a state");
    }
}

/// Members of an event that producers send.
fn members() -> BTreeSet<String> {
    let schema = schemars::schema_for!(Event<'static>).to_value();
    let members = schema["properties"].as_object().expect("members");
    let sent = members.iter().filter(|(_, one)| one["readOnly"] != true);
    sent.map(|(name, _)| name.clone()).collect()
}

#[test]
fn rows_name_members_and_no_member_is_forgotten() {
    let members = members();
    let mut told: BTreeSet<&str> = NEEDED.iter().copied().flatten().copied().collect();
    for recipe in RECIPES {
        let name = recipe.event_type.symbol();
        let mut own: Vec<&str> = recipe.acted.iter().map(|one| one.field).collect();
        own.extend(recipe.also);
        let distinct: BTreeSet<&str> = own.iter().copied().collect();
        assert_eq!(distinct.len(), own.len(), "{name}: a field stands twice");
        let shown = read(recipe.example).1;
        let shown = shown.as_object().expect("an object").keys();
        let needed: Vec<&str> = NEEDED.iter().copied().flatten().copied().collect();
        for one in shown {
            assert!(distinct.contains(&**one) || needed.contains(&&**one), "{name}: {one}");
        }
        told.extend(own);
    }
    told.extend(RECORDS.iter().map(|record| record.member));
    let known: BTreeSet<&str> = members.iter().map(String::as_str).collect();
    assert_eq!(told.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "no members");
    assert_eq!(known.difference(&told).collect::<Vec<_>>(), Vec::<&&str>::new(), "forgotten");
}

#[test]
fn every_record_of_an_event_has_a_row() {
    let schema = schemars::schema_for!(Event<'static>).to_value();
    let is_record = |one: &Value| {
        let text = one.to_string();
        let name = text.split("#/$defs/").nth(1).and_then(|rest| rest.split('"').next());
        name.is_some_and(|name| schema["$defs"][name]["properties"].is_object())
    };
    let members = schema["properties"].as_object().expect("members");
    let records = members.iter().filter(|(_, one)| is_record(one)).map(|(name, _)| name.as_str());
    let told: BTreeSet<&str> = RECORDS.iter().map(|record| record.member).collect();
    assert_eq!(told, records.collect::<BTreeSet<_>>());
    for record in RECORDS {
        let (_, value) = read(record.example);
        let held = &value[record.member];
        let first = if held.is_array() { &held[0] } else { held };
        for either in record.needed {
            assert!(either.iter().any(|one| first.get(one).is_some()), "{}", record.member);
        }
    }
}
