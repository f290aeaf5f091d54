//! The events that one record becomes.

use ledgerline_api::event::{
    Act as ActPart, Actor, Adapter as AdapterName, Event, EventRef, Link, Personal, Policy,
    PolicyChange, Target,
};
use ledgerline_api::values::Str;
use ledgerline_proof::vocabulary::{
    EventType, Outcome, PersonalRole, PolicyRole, Relation, Strength, TargetKind, Vantage,
};

use crate::pieces::{detail, word};
use crate::record::{Identity, outgoing};
use crate::token_id::event_id;
use crate::{ACT_PARTS_MAX, Act, Millis, Naming, Problem};

/// Longest native id of a record, so that what it leads to can be named after it.
const NATIVE_ID_MAX: usize = 900;

/// Gathers the events of one record. They are one act, recorded together or not at all, unless
/// [`Drafts::next_act`] begins another.
pub struct Drafts<'n> {
    identity: Identity,
    naming: &'n Naming,
    recorded_as: Option<&'n (String, String)>,
    adapter: AdapterName<'static>,
    vantage: Vantage,
    events: Vec<Event<'static>>,
    /// Acts before the one that is being gathered.
    done: Vec<Vec<Event<'static>>>,
    /// Acts of earlier records that wait no longer.
    released: Vec<Act>,
}

impl<'n> Drafts<'n> {
    pub(super) fn new(
        identity: Identity,
        naming: &'n Naming,
        recorded_as: Option<&'n (String, String)>,
        adapter: AdapterName<'static>,
    ) -> Self {
        let (vantage, events, done) = (Vantage::Issuer, Vec::new(), Vec::new());
        let released = Vec::new();
        Self { identity, naming, recorded_as, adapter, vantage, events, done, released }
    }

    /// When the record happened.
    pub fn at(&self) -> Millis {
        self.identity.at
    }

    /// What names the record.
    pub fn native_id(&self) -> &str {
        &self.identity.native_id
    }

    /// From where the source sees the acts of this record; the issuer where nothing is said.
    pub fn seen_from(&mut self, vantage: Vantage) {
        self.vantage = vantage;
    }

    /// One more event, with the members that all events of the record have.
    pub fn event(&mut self, kind: EventType, target: Target<'static>) -> &mut Event<'static> {
        let is_act_upon = !matches!(kind, EventType::PolicyChanged | EventType::Heartbeat);
        self.events.push(Event {
            event_type: word(kind),
            outcome: if is_act_upon { word(Outcome::Allow) } else { None },
            target: Some(target),
            occurred_at: Some(self.identity.at.rfc3339().into()),
            time_uncertainty_ns: Some(1_000_000),
            vantage: word(self.vantage),
            issuer: Some(self.naming.alias().to_owned().into()),
            adapter: Some(self.adapter.clone()),
            ..Event::default()
        });
        self.events.last_mut().expect("one was pushed")
    }

    /// One more event about a token.
    pub fn token(&mut self, kind: EventType, id: impl Into<Str<'static>>) -> &mut Event<'static> {
        self.event(kind, Target { kind: TargetKind::Token.symbol().into(), id: id.into() })
    }

    /// Where its ids stand.
    pub fn naming(&self) -> &'n Naming {
        self.naming
    }

    /// Personal records that all events of the record have.
    pub fn persons(&mut self, persons: impl IntoIterator<Item = Option<Personal<'static>>>) {
        let persons: Vec<_> = persons.into_iter().flatten().collect();
        for event in self.each() {
            event.personal.extend(persons.iter().cloned());
        }
    }

    /// Ends the record before its time: its acts so far, which another record may yet make idle.
    pub fn take(&mut self) -> Result<Vec<Act>, Problem> {
        let Identity { native_id, at } = &self.identity;
        let identity = Identity { native_id: native_id.clone(), at: *at };
        let mut taken = Self::new(identity, self.naming, self.recorded_as, self.adapter.clone());
        taken.done = std::mem::take(&mut self.done);
        taken.events = std::mem::take(&mut self.events);
        taken.into_acts()
    }

    /// Lets acts go that earlier records were taken for ([`Self::take`]), whatever becomes of this
    /// record.
    pub fn release(&mut self, acts: impl IntoIterator<Item = Act>) {
        self.released.extend(acts);
    }

    pub(super) fn take_released(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.released)
    }

    /// The events of the present act so far, for what all of them share.
    pub fn all(&mut self) -> &mut [Event<'static>] {
        &mut self.events
    }

    /// The events of every act of the record so far.
    pub fn each(&mut self) -> impl Iterator<Item = &mut Event<'static>> {
        self.done.iter_mut().flatten().chain(&mut self.events)
    }

    /// Begins another act of the same record, for what need not be recorded with the rest or does
    /// not fit beside it. The native id of the n-th further act ends in `/n`.
    pub fn next_act(&mut self) {
        if !self.events.is_empty() {
            self.done.push(std::mem::take(&mut self.events));
        }
    }

    /// An edge to the first event of the record, by which it is the cause of another; `None` when
    /// nobody said as whom the events are recorded.
    pub fn caused_by_first(&self, strength: Strength, why: &'static str) -> Option<Link<'static>> {
        let (tenant, source) = self.recorded_as?;
        let event_id = event_id(tenant, source, &self.identity.native_id, 0)?;
        Some(Link {
            token_id: None,
            event: Some(EventRef { source: source.clone().into(), event_id: event_id.into() }),
            relation: Relation::CausedBy.symbol().into(),
            strength: word(strength),
            why: Some(Str::Borrowed(why)),
        })
    }

    /// Gives the events their names.
    pub(super) fn into_acts(mut self) -> Result<Vec<Act>, Problem> {
        let record = &self.identity.native_id;
        if record.is_empty() || record.len() > NATIVE_ID_MAX {
            return Err(Problem::Malformed("id"));
        }
        if !self.events.is_empty() {
            self.done.push(self.events);
        }
        if self.done.is_empty() {
            return Err(Problem::NoEvent);
        }
        if self.done.iter().any(|events| events.len() > ACT_PARTS_MAX) {
            return Err(Problem::TooManyParts);
        }
        for (number, events) in self.done.iter_mut().enumerate() {
            let id = if number == 0 { record.clone() } else { format!("{record}/{number}") };
            let parts = i32::try_from(events.len()).unwrap_or(i32::MAX);
            for (part, event) in (0..).zip(events) {
                event
                    .detail
                    .sort_unstable_by(|one, other| one.key.as_bytes().cmp(other.key.as_bytes()));
                event.native_id = Some(id.clone().into());
                if parts > 1 {
                    event.act = Some(ActPart { id: id.clone().into(), part, parts });
                }
            }
        }
        for events in &self.done {
            outgoing::check(events)?;
        }
        Ok(self.done.into_iter().map(|events| Act { events, lines: None }).collect())
    }
}

/// A wide target: a session, grant or client of the issuer.
///
/// # Errors
/// [`Problem::Malformed`] with `field` when the id cannot be one.
pub fn wide(
    naming: &Naming,
    kind: TargetKind,
    id: &str,
    field: &'static str,
) -> Result<Target<'static>, Problem> {
    let id = naming.wide(id).ok_or(Problem::Malformed(field))?;
    Ok(Target { kind: kind.symbol().into(), id: id.into() })
}

/// Who presented something, as far as a record says.
#[derive(Default)]
pub struct Presenter<'p> {
    /// Id of the token that was presented.
    pub token: Option<String>,
    /// The session.
    pub session: Option<&'p str>,
    /// The person.
    pub person: Option<&'p str>,
    /// The client.
    pub client: Option<&'p str>,
}

impl Presenter<'_> {
    /// What an act of theirs is recorded on: the narrowest that is known.
    pub fn target(&self, naming: &Naming) -> Result<Option<Target<'static>>, Problem> {
        let kind = TargetKind::Token.symbol();
        Ok(Some(match (&self.token, self.session, self.person, self.client) {
            (Some(id), ..) => Target { kind: kind.into(), id: id.clone().into() },
            (_, Some(id), ..) => wide(naming, TargetKind::Session, id, "a session id")?,
            (_, _, Some(_), _) => of_subject(),
            (.., Some(id)) => wide(naming, TargetKind::Client, id, "a client id")?,
            _ => return Ok(None),
        }))
    }
}

/// The source itself, for acts that name nothing else.
pub fn of_source(naming: &Naming) -> Target<'static> {
    Target { kind: TargetKind::Source.symbol().into(), id: naming.alias().to_owned().into() }
}

/// A person as target: the id is empty, the personal record names it.
pub fn of_subject() -> Target<'static> {
    Target { kind: TargetKind::Subject.symbol().into(), id: Str::Borrowed("") }
}

/// An edge to a token that the source named.
pub fn asserted(token_id: String, relation: Relation) -> Link<'static> {
    link(token_id, relation, Strength::Asserted, None)
}

/// An edge to a token, with what it stands on when the source did not name it.
pub fn link(
    token_id: String,
    relation: Relation,
    strength: Strength,
    why: Option<&'static str>,
) -> Link<'static> {
    Link {
        token_id: Some(token_id.into()),
        event: None,
        relation: relation.symbol().into(),
        strength: word(strength),
        why: why.map(Str::Borrowed),
    }
}

/// The id of a token that its issuer names by an accessor or a key id.
///
/// # Errors
/// [`Problem::Malformed`] with `field` when the id cannot be one.
pub fn accessor(naming: &Naming, id: &str, field: &'static str) -> Result<String, Problem> {
    if id.is_empty() {
        return Err(Problem::Malformed(field));
    }
    naming.wide(&format!("acc:{id}")).ok_or(Problem::Malformed(field))
}

/// The id of a token that its issuer names by its `jti`.
///
/// # Errors
/// [`Problem::Missing`] with `field` when there is none.
pub fn jti(naming: &Naming, id: &str, field: &'static str) -> Result<String, Problem> {
    naming.jti(id).ok_or(Problem::Missing(field))
}

/// A new version of a policy, which holds from `at` on. Its digest is not known.
pub fn policy_changed(event: &mut Event<'static>, id: &str, version: &str, at: Millis) {
    event.policies = vec![policy(id, version, PolicyRole::Access)];
    event.policy_change = Some(PolicyChange {
        effective_from: Some(at.rfc3339().into()),
        effective_until: None,
        previous_version: None,
        change_ref: None,
        snapshot: None,
    });
}

/// A policy as something names it.
pub fn policy(id: &str, version: &str, role: PolicyRole) -> Policy<'static> {
    let (id, version) = (id.to_owned().into(), version.to_owned().into());
    Policy { id, version, digest: None, role: word(role), effect: None }
}

/// A policy as target.
pub fn of_policy(id: &str) -> Target<'static> {
    Target { kind: TargetKind::Policy.symbol().into(), id: id.to_owned().into() }
}

/// Facts that are there, each a detail of the event.
pub fn facts<const N: usize>(event: &mut Event<'static>, known: [(&'static str, Option<&str>); N]) {
    let known = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
    event.detail.extend(known.map(|(key, value)| detail(key, value.to_owned())));
}

/// An owned text.
pub fn own(text: Option<&str>) -> Option<Str<'static>> {
    text.map(|text| Str::Owned(text.to_owned()))
}

/// The person whose token it is.
pub fn subject(user: Option<&str>) -> Option<Personal<'static>> {
    let user_id = Some(user?.to_owned().into());
    Some(Personal { user_id, ..Personal::of(PersonalRole::Subject) })
}

/// A person who acts on somebody else's things.
pub fn acting(user: Option<&str>) -> Option<Personal<'static>> {
    let user_id = Some(user?.to_owned().into());
    Some(Personal { user_id, ..Personal::of(PersonalRole::Actor) })
}

/// Where a request came from; `None` when nothing is known.
pub fn request(ip: Option<&str>, user_agent: Option<&str>) -> Option<Personal<'static>> {
    if ip.is_none() && user_agent.is_none() {
        return None;
    }
    Some(Personal {
        ip: own(ip),
        user_agent: own(user_agent),
        ..Personal::of(PersonalRole::Request)
    })
}

/// A client or service that acts.
pub fn actor(
    kind: ledgerline_proof::vocabulary::ActorKind,
    naming: &Naming,
    id: &str,
) -> Actor<'static> {
    Actor {
        kind: word(kind),
        issuer: Some(naming.alias().to_owned().into()),
        id: id.to_owned().into(),
    }
}
