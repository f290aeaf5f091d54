//! Acts on one key that meet in one batch.

#[allow(dead_code, reason = "the model is for the questions")]
mod lineage_world;

use lineage_world::World;

use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::control::ControlKind;
use ledgerline_proof::schema::Leaf;
use ledgerline_sim::credential;

fn adds(key_id: &str) -> AdminAct {
    AdminAct::AddKey(Box::new(credential(key_id, "idp")))
}

fn ends(key_id: &str, compromised: bool) -> AdminAct {
    AdminAct::EndKey { key_id: key_id.into(), compromised, reason: None }
}

/// What is planned was judged by what is published: two callers that ended one key at once, or made
/// one of the same name, were both recorded, and `verify` called the ledger tampered with for ever.
#[test]
fn two_acts_on_one_key_in_one_batch_were_both_recorded() {
    let mut world = World::new(1);
    let acts = [
        (adds("k1"), true),
        (adds("k1"), false),
        (ends("k1", false), true),
        (ends("k1", false), false),
        (ends("k1", true), true),
        (ends("k1", true), false),
        (ends("k1", false), false),
        (ends("nobody", true), false),
    ];
    let from = world.view().size();
    let _ = world.answers();
    acts.iter().for_each(|(act, _)| world.plan(act));
    world.commit();
    let answers = world.answers();
    assert_eq!(answers.len(), acts.len(), "answered at the commit");
    for (n, ((_, taken), answer)) in acts.iter().zip(answers).enumerate() {
        assert_eq!(answer.events[0].error.is_none(), *taken, "act {n}: {answer:?}");
    }
    let view = world.view();
    let kinds: Vec<ControlKind> = (from..view.size())
        .filter_map(|index| match Leaf::decode(&view.leaf(index).unwrap()) {
            Ok(Leaf::Control(control)) => Some(control.kind),
            _ => None,
        })
        .collect();
    let once = [ControlKind::KeyAdded, ControlKind::KeyRetired, ControlKind::KeyCompromised];
    assert_eq!(kinds, once);
    // What is published is judged the same.
    let again = world.administer(&ends("k1", true));
    assert!(again.events[0].error.is_some());
}
