//! How findings name the chain of an entry, and whose it is.

use ledgerline_proof::entry::Handle;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{HandleKind, TargetKind};

/// A chain, or something beside the entries, as a finding names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The tenant whose chain it is; empty also for what is no chain.
    pub tenant: String,
    /// The name.
    pub text: String,
    /// Whether it is a token id.
    pub is_token: bool,
}

impl Name {
    /// Something beside the entries.
    pub fn beside(text: String) -> Self {
        Self { tenant: String::new(), text, is_token: false }
    }
}

/// The chain of a leaf; `None` for blocks, control leaves and what cannot be read.
pub(super) fn name_of_leaf(leaf: &[u8]) -> Option<Name> {
    let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else { return None };
    let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).ok()?;
    Some(name_of_statement(&statement, &entry.handles))
}

/// A token's id as it is; other targets with their kind in front; the slot handle for a subject.
pub(super) fn name_of_statement(statement: &Statement<'_>, handles: &[Handle]) -> Name {
    let is_token = statement.target.kind == TargetKind::Token;
    Name { tenant: statement.tenant.to_owned(), text: text_of(statement, handles), is_token }
}

fn text_of(statement: &Statement<'_>, handles: &[Handle]) -> String {
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
