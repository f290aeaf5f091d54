//! The blast radius of a leaked token: what descends from it, what all of that touched, and what is
//! still alive.

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_proof::vocabulary::{HandleKind, Outcome, PersonalRole};
use ledgerline_view::view::QueryError;

use super::accesses::access_of;
use crate::lineage::{Bounds, Direction, Lineage, QueryContext, relatives};

/// A resource that was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The service.
    pub service: Option<String>,
    /// The resource's template or declared-safe id.
    pub resource: Option<String>,
    /// The concrete resource's handle.
    pub concrete: Option<[u8; 16]>,
    /// How often somebody was let in.
    pub allowed: u64,
    /// How often not.
    pub denied: u64,
    /// First and last, in event time.
    pub first: i64,
    /// See `first`.
    pub last: i64,
}

/// A person, address, device or agent that took part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// In which role.
    pub role: PersonalRole,
    /// What it is.
    pub kind: HandleKind,
    /// Its handle.
    pub handle: [u8; 16],
    /// In how many events.
    pub events: u64,
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct BlastRadius {
    /// The token and its descendants, and the edges.
    pub lineage: Lineage,
    /// What was touched, by service and resource.
    pub resources: Vec<Touched>,
    /// Who took part: subjects, owners, addresses, devices, agents.
    pub handles: Vec<Reached>,
    /// Clients that held or presented one of them.
    pub clients: BTreeSet<String>,
    /// Sessions that they belong to.
    pub sessions: BTreeSet<String>,
    /// Ids of those that are still usable at the scope's time, the token asked about included.
    pub alive: Vec<String>,
    /// Accesses that were let in.
    pub allowed: u64,
    /// Accesses that were refused.
    pub denied: u64,
}

/// The blast radius of a token. `None` when nothing is recorded about it.
///
/// # Errors
/// [`QueryError`].
pub fn blast_radius(
    context: &mut QueryContext<'_>,
    id: &str,
    bounds: Bounds,
) -> Result<Option<BlastRadius>, QueryError> {
    let Some(lineage) = relatives(context, id, Direction::Descendants, bounds)? else {
        return Ok(None);
    };
    let judged_at = context.scope().judged_at;
    let mut answer = BlastRadius::default();
    let mut resources: BTreeMap<_, Touched> = BTreeMap::new();
    let mut handles: BTreeMap<(i32, i32, [u8; 16]), Reached> = BTreeMap::new();
    for relative in &lineage.relatives {
        let token = &relative.token;
        if token.is_alive(judged_at) {
            answer.alive.push(token.id.clone());
        }
        answer.sessions.extend(token.facts.session.clone());
        for record in &token.records {
            record.read(|entry, statement| {
                answer.clients.extend(statement.client_id.map(str::to_owned));
                for handle in entry.handles.iter().filter(|one| one.kind != HandleKind::Resource) {
                    let role = i32::from(handle.role.position());
                    let key = (role, i32::from(handle.kind.position()), handle.id);
                    let new = Reached {
                        role: handle.role,
                        kind: handle.kind,
                        handle: handle.id,
                        events: 0,
                    };
                    handles.entry(key).or_insert(new).events += 1;
                }
            });
            let Some(access) = access_of(record) else { continue };
            let key = (access.service.clone(), access.resource.clone(), access.concrete);
            let touched = resources.entry(key).or_insert_with(|| Touched {
                service: access.service.clone(),
                resource: access.resource.clone(),
                concrete: access.concrete,
                allowed: 0,
                denied: 0,
                first: access.occurred_at,
                last: access.occurred_at,
            });
            if access.outcome == Outcome::Allow {
                touched.allowed += 1;
                answer.allowed += 1;
            } else {
                touched.denied += 1;
                answer.denied += 1;
            }
            touched.first = touched.first.min(access.occurred_at);
            touched.last = touched.last.max(access.occurred_at);
        }
    }
    answer.resources = resources.into_values().collect();
    answer.handles = handles.into_values().collect();
    answer.lineage = lineage;
    Ok(Some(answer))
}
