//! Over-privilege: the scopes a token was issued with, judged again by the snapshots of the
//! policies that were in force at that time.
//!
//! A snapshot that can be judged is a JSON object with the scopes that the policy allows; other
//! members are left alone:
//!
//! ```text
//! {"scopes": ["read:finance", "openid"], …}
//! ```
//!
//! Refuses: to guess. A snapshot of another form, or none, is `not evaluated`, with the reason.

use std::collections::BTreeSet;

use ledgerline_proof::hash::Hash;
use ledgerline_proof::vocabulary::PolicyRole;
use ledgerline_view::view::QueryError;

use super::{Named, PolicyVersion, attachment, read_naming};
use crate::lineage::QueryContext;

/// Policies of one token that are evaluated.
const MAX_POLICIES: usize = 64;

/// What the snapshot of one policy says about the scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privilege {
    /// The policy.
    pub policy: String,
    /// Its version in force when the token was issued.
    pub version: Option<String>,
    /// The digest of the snapshot.
    pub digest: Option<Hash>,
    /// The scopes beyond those it allows, or why it was not evaluated.
    pub beyond: Result<Vec<String>, &'static str>,
}

/// The verdict over all policies: `None` when none could be evaluated.
#[must_use]
pub fn is_over_privileged(all: &[Privilege]) -> Option<bool> {
    let evaluated = all.iter().filter_map(|one| one.beyond.as_ref().ok());
    evaluated.map(|beyond| !beyond.is_empty()).reduce(|one, other| one | other)
}

/// Judges the scopes by each policy that the birth names, in the version in force then.
///
/// # Errors
/// [`QueryError`].
pub(super) fn privileges(
    context: &mut QueryContext<'_>,
    named: &[Named],
    in_force: &[PolicyVersion],
    scopes: &[String],
) -> Result<Vec<Privilege>, QueryError> {
    let digests = in_force.iter().filter(|version| named.iter().any(|one| one.id == version.id));
    read_naming(context, digests.filter_map(|version| version.digest));
    let mut seen = BTreeSet::new();
    let mut answer = Vec::new();
    for one in named.iter().filter(|one| seen.insert(one.id.as_str())).take(MAX_POLICIES) {
        let version = in_force.iter().find(|version| version.id == one.id);
        let digest = version.and_then(|version| version.digest);
        let limits =
            matches!(one.role, PolicyRole::Grant | PolicyRole::Access | PolicyRole::Boundary);
        let beyond = match (limits, version, digest) {
            (false, ..) => Err("its part is not to say which scopes are allowed"),
            (_, None, _) => Err("no version of it was in force"),
            (_, _, None) => Err("the version in force names no snapshot"),
            (_, _, Some(digest)) => match attachment(context, &digest)? {
                None => Err("the snapshot is not in the ledger"),
                Some(snapshot) => allowed(&snapshot.data).map(|allowed| {
                    let beyond = scopes.iter().filter(|scope| !allowed.contains(*scope));
                    beyond.cloned().collect()
                }),
            },
        };
        let version = version.map(|version| version.version.clone());
        answer.push(Privilege { policy: one.id.clone(), version, digest, beyond });
    }
    Ok(answer)
}

/// The scopes that a snapshot allows.
fn allowed(snapshot: &[u8]) -> Result<BTreeSet<String>, &'static str> {
    let form = "the snapshot is not of the form {\"scopes\": [\"…\"]}";
    let json: serde_json::Value = serde_json::from_slice(snapshot).map_err(|_| form)?;
    let list = json.get("scopes").and_then(serde_json::Value::as_array).ok_or(form)?;
    list.iter().map(|scope| scope.as_str().map(str::to_owned).ok_or(form)).collect()
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn only_the_documented_form_is_evaluated() {
        let check = |snapshot: &str, expected: Option<&[&str]>| {
            let found = allowed(snapshot.as_bytes()).ok();
            let expected = expected.map(|list| list.iter().map(|one| (*one).to_owned()).collect());
            assert_eq!(found, expected, "{snapshot}");
        };
        check(r#"{"scopes":["a","b"]}"#, Some(&["a", "b"]));
        check(r#"{"scopes":[],"more":1}"#, Some(&[]));
        check(r#"{"scopes":["a",1]}"#, None);
        check(r#"{"scopes":"a b"}"#, None);
        check(r#"{"rules":[]}"#, None);
        check(r#"["a"]"#, None);
        check("permit (principal, action, resource);", None);
    }
}
