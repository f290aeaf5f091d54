//! How findings name the chain of an entry.

use ledgerline_proof::entry::Handle;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{HandleKind, TargetKind};

/// The chain of a leaf; `None` for blocks, control leaves and what cannot be read.
pub(super) fn name_of_leaf(leaf: &[u8]) -> Option<String> {
    let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else { return None };
    let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).ok()?;
    Some(name_of_statement(&statement, &entry.handles))
}

/// A token's id as it is; other targets with their kind in front; the slot handle for a subject.
pub(super) fn name_of_statement(statement: &Statement<'_>, handles: &[Handle]) -> String {
    let target = &statement.target;
    let id: String =
        target.id.chars().map(|one| if one.is_control() { '?' } else { one }).collect();
    match target.kind {
        TargetKind::Token => id,
        TargetKind::Subject => {
            let person = handles.iter().find(|handle| handle.kind == HandleKind::Person);
            let hex = person.map(|one| format!("{:032x}", u128::from_be_bytes(one.id)));
            format!("SUBJECT {}", hex.unwrap_or_default())
        }
        kind => format!("{kind} {id}"),
    }
}
