//! AWS CloudTrail: what was done with which access key, and which keys came of it.
//!
//! ```text
//! {"Records":[…]}, an array, or one record ──▶ the call on the caller's key
//!                                          └─▶ ISSUED, REVOKED, … of the key that it names
//! ```
//!
//! An access key id names its key and opens nothing, so it is the id of the token
//! (`…:acc:ASIA…`). The session token and the secret key beside it are never read.
//!
//! Promises: each call that names a key is on that key's chain; a key that a call made is linked to
//! the key that asked for it, which the same record names (ASSERTED). A call without a key is on
//! the person or the service that it names.
//!
//! Assumes: the calls of an account come from one trail. A copy in another account's trail has
//! another event id, and is recorded beside it (`shared_event_id` joins them).

use std::borrow::Cow;

use ledgerline_api::event::{Event, Personal, Target};
use ledgerline_proof::vocabulary::{
    EventType, Outcome, PersonalRole, Relation, TargetKind, TokenKind, Vantage,
};
use serde_json_borrow::Value;

use crate::pieces::word;
use crate::record::drafts::{
    accessor, asserted, facts, of_policy, of_subject, own, policy_changed, request, wide,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Rule, Table, json, listed,
    nothing_held, shown,
};
use crate::{Choice, Millis, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "cloudtrail",
    about: "AWS CloudTrail: log files, arrays or single records",
    evidence: Evidence::Recording,
    detects: |line| {
        ["\"eventSource\"", "\"eventName\"", "\"userIdentity\""]
            .iter()
            .all(|name| line.contains(name))
    },
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "cloudtrail",
    version: "1",
    line_bytes_max: 256 << 20,
    read: json,
    unpack: records,
    kind,
    identity,
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const fn at(at: &'static str, rule: Rule) -> Identifier {
    Identifier { at, rule }
}

const IDENTIFIERS: &[Identifier] = &[
    at("/eventID", Rule::Safe),
    at("/sharedEventID", Rule::Safe),
    at("/requestID", Rule::Safe),
    at("/eventTime", Rule::Safe),
    at("/eventSource", Rule::Safe),
    at("/eventName", Rule::Safe),
    at("/awsRegion", Rule::Safe),
    at("/recipientAccountId", Rule::Safe),
    at("/errorCode", Rule::Safe),
    at("/userIdentity/accessKeyId", Rule::Safe),
    at("/userIdentity/invokedBy", Rule::Safe),
    at("/userIdentity/type", Rule::Safe),
    at("/userIdentity/sessionContext/sessionIssuer/arn", Rule::Safe),
    at("/userIdentity/sessionContext/attributes/mfaAuthenticated", Rule::Safe),
    at("/additionalEventData/MFAUsed", Rule::Safe),
    at("/responseElements/ConsoleLogin", Rule::Safe),
    at("/responseElements/credentials/accessKeyId", Rule::Safe),
    at("/responseElements/credentials/expiration", Rule::Safe),
    at("/responseElements/accessKey/accessKeyId", Rule::Safe),
    at("/responseElements/policy/arn", Rule::Safe),
    at("/responseElements/policyVersion/versionId", Rule::Safe),
    at("/responseElements/trustAnchor/trustAnchorArn", Rule::Safe),
    at("/responseElements/profile/profileArn", Rule::Safe),
    at("/requestParameters/accessKeyId", Rule::Safe),
    at("/requestParameters/status", Rule::Safe),
    at("/requestParameters/roleArn", Rule::Safe),
    at("/requestParameters/policyArn", Rule::Safe),
    at("/requestParameters/policyName", Rule::Safe),
    at("/requestParameters/roleName", Rule::Safe),
    at("/requestParameters/groupName", Rule::Safe),
    at("/requestParameters/versionId", Rule::Safe),
    at("/userIdentity/arn", Rule::Personal),
    at("/userIdentity/principalId", Rule::Personal),
    at("/userIdentity/userName", Rule::Personal),
    at("/userIdentity/sessionContext/sourceIdentity", Rule::Personal),
    at("/sourceIPAddress", Rule::Personal),
    at("/userAgent", Rule::Personal),
    at("/resources/0/ARN", Rule::Personal),
    at("/requestParameters/userName", Rule::Personal),
    at("/responseElements/assumedRoleUser/arn", Rule::Personal),
    at("/responseElements/federatedUser/arn", Rule::Personal),
    at("/responseElements/accessKey/userName", Rule::Personal),
    at("/responseElements/credentials/sessionToken", Rule::Drop),
    at("/responseElements/credentials/secretAccessKey", Rule::Drop),
    at("/responseElements/accessKey/secretAccessKey", Rule::Drop),
    at("/requestParameters/sAMLAssertionID", Rule::Drop),
];

const ROWS: &[Row<()>] = &[
    Row {
        kinds: &[
            "sts:AssumeRole*",
            "sts:AssumeRoot",
            "sts:GetFederationToken",
            "sts:GetSessionToken",
        ],
        becomes: "RESOURCE_ACCESSED of the caller's key; ISSUED of the temporary key in the \
                  answer, MINTED_BY the caller's key (ASSERTED: the record names both)",
        act: temporary_key,
    },
    Row {
        kinds: &["iam:CreateAccessKey"],
        becomes: "RESOURCE_ACCESSED of the caller's key; ISSUED of the new key, MINTED_BY the \
                  caller's (ASSERTED)",
        act: new_key,
    },
    Row {
        kinds: &["iam:DeleteAccessKey"],
        becomes: "RESOURCE_ACCESSED of the caller's key; REVOKED of the deleted key, CAUSED_BY \
                  the caller's (ASSERTED)",
        act: |record, (), out| on_key(record, out, Some(EventType::Revoked)),
    },
    Row {
        kinds: &["iam:UpdateAccessKey"],
        becomes: "RESOURCE_ACCESSED of the caller's key; SUSPENDED (Inactive) or REINSTATED \
                  (Active) of the key, CAUSED_BY the caller's (ASSERTED)",
        act: |record, (), out| on_key(record, out, None),
    },
    Row {
        kinds: &[
            "iam:Attach*",
            "iam:Detach*",
            "iam:Put*",
            "iam:CreatePolicy*",
            "iam:DeletePolicy*",
            "iam:SetDefaultPolicyVersion",
            "iam:UpdateAssumeRolePolicy",
            "iam:CreateRole",
            "iam:DeleteRole*",
            "iam:UpdateRole*",
            "iam:DeleteUserPolicy",
            "iam:DeleteGroupPolicy",
            "iam:DeleteUserPermissionsBoundary",
            "iam:AddUserToGroup",
            "iam:RemoveUserFromGroup",
            "organizations:AttachPolicy",
            "organizations:DetachPolicy",
            "organizations:UpdatePolicy",
            "rolesanywhere:CreateTrustAnchor",
            "rolesanywhere:CreateProfile",
        ],
        becomes: "RESOURCE_ACCESSED of the caller's key; POLICY_CHANGED of the policy, role or \
                  group that it names, when it was done",
        act: policy,
    },
    Row {
        kinds: &["*"],
        becomes: "RESOURCE_ACCESSED of the caller's key (service, action; DENY when not \
                  authorised, ERROR for another error); without a key of the person, else of the \
                  service; skipped when it names none of them",
        act: |record, (), out| Ok(if call(record, out)? { Fate::Mapped } else { Fate::Skipped }),
    },
];

fn records<'v>(value: &'v Value<'v>) -> Vec<&'v Value<'v>> {
    listed(value, &["/Records"])
}

fn kind<'v>(record: &Record<'v>) -> Option<Cow<'v, str>> {
    let (source, name) = (record.safe("/eventSource")?, record.safe("/eventName")?);
    let service = source.strip_suffix(".amazonaws.com").unwrap_or(source);
    Some(format!("{service}:{name}").into())
}

fn identity(record: &Record<'_>) -> Result<Identity, Problem> {
    let native_id = record.needs("/eventID")?.to_owned();
    record.needs("/eventTime")?;
    let at = record.time("/eventTime").ok_or(Problem::Malformed("/eventTime"))?;
    Ok(Identity { native_id, at })
}

/// The key that a call was made with.
fn caller(record: &Record<'_>) -> Result<Option<String>, Problem> {
    let key = record.safe("/userIdentity/accessKeyId");
    key.map(|key| accessor(record.naming(), key, "/userIdentity/accessKeyId")).transpose()
}

fn kind_of_key(key: &str) -> TokenKind {
    if key.contains(":acc:A3T") || key.contains(":acc:AKIA") {
        TokenKind::ApiKey
    } else {
        TokenKind::Credential
    }
}

/// Whom a record calls the caller.
fn person(role: PersonalRole, user: Option<&str>) -> Option<Personal<'static>> {
    Some(Personal { user_id: own(Some(user?)), ..Personal::of(role) })
}

fn account<'v>(record: &Record<'v>) -> Option<&'v str> {
    record.personal_at(&[
        "/userIdentity/arn",
        "/userIdentity/principalId",
        "/userIdentity/userName",
    ])
}

/// The call itself; whether it names anything that it can be recorded on.
fn call(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<bool, Problem> {
    let key = caller(record)?;
    let service = record.safe("/userIdentity/invokedBy");
    let target = match (&key, account(record), service) {
        (Some(key), ..) => {
            Target { kind: TargetKind::Token.symbol().into(), id: key.clone().into() }
        }
        (None, Some(_), _) => of_subject(),
        (None, None, Some(service)) => {
            let field = "/userIdentity/invokedBy";
            wide(out.naming(), TargetKind::Client, service, field)?
        }
        (None, None, None) => return Ok(false),
    };
    out.seen_from(Vantage::Resource);
    let event = out.event(EventType::ResourceAccessed, target);
    event.token_kind = key.as_deref().and_then(|key| word(kind_of_key(key)));
    event.client_id =
        own(record.safe("/userIdentity/sessionContext/sessionIssuer/arn").or(service));
    let login = record.safe("/responseElements/ConsoleLogin");
    let error = record.safe("/errorCode").or(login.filter(|said| *said == "Failure"));
    event.outcome = word(outcome(error));
    event.reason = own(error);
    let (source, action) = (record.needs("/eventSource")?, record.needs("/eventName")?);
    event.service = own(Some(source));
    event.action = own(Some(action));
    event.endpoint = Some(format!("{source}/{action}").into());
    event.correlation_id = own(record.safe("/requestID"));
    about(record, event);
    facts(event, [("mfa_used", record.safe("/additionalEventData/MFAUsed"))]);
    event.personal.extend(person(PersonalRole::Subject, account(record)));
    let source = record.personal("/userIdentity/sessionContext/sourceIdentity");
    event.personal.extend(person(PersonalRole::Initiator, source));
    let from = (record.personal("/sourceIPAddress"), record.personal("/userAgent"));
    let resource = own(record.personal("/resources/0/ARN"));
    match (request(from.0, from.1), resource) {
        (None, None) => {}
        (None, resource) => {
            event.personal.push(Personal { resource, ..Personal::of(PersonalRole::Request) });
        }
        (Some(request), resource) => event.personal.push(Personal { resource, ..request }),
    }
    Ok(true)
}

fn outcome(error: Option<&str>) -> Outcome {
    let Some(error) = error else { return Outcome::Allow };
    let refused = [
        "AccessDenied",
        "Unauthorized",
        "NotAuthorized",
        "Forbidden",
        "Failure",
        "AuthFailure",
        "InvalidClientTokenId",
        "ExpiredToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
    ];
    if refused.iter().any(|word| error.contains(word)) { Outcome::Deny } else { Outcome::Error }
}

fn about(record: &Record<'_>, event: &mut Event<'static>) {
    facts(
        event,
        [
            ("account", record.safe("/recipientAccountId")),
            ("aws_region", record.safe("/awsRegion")),
            ("identity_type", record.safe("/userIdentity/type")),
            ("mfa", record.safe("/userIdentity/sessionContext/attributes/mfaAuthenticated")),
            ("shared_event_id", record.safe("/sharedEventID")),
        ],
    );
}

/// Whether the call was done, with the call itself in the drafts.
fn done(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<bool, Problem> {
    call(record, out)?;
    out.seen_from(Vantage::Issuer);
    Ok(!record.has("/errorCode"))
}

fn mapped(out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    Ok(if out.all().is_empty() { Fate::Skipped } else { Fate::Mapped })
}

/// A key that came of the call.
fn issued<'d>(
    record: &Record<'_>,
    out: &'d mut Drafts<'_>,
    id: String,
) -> Result<&'d mut Event<'static>, Problem> {
    let at = out.at().rfc3339();
    let kind = kind_of_key(&id);
    let event = out.token(EventType::Issued, id);
    event.token_kind = word(kind);
    event.issued_at = Some(at.into());
    event.links.extend(caller(record)?.map(|key| asserted(key, Relation::MintedBy)));
    event.correlation_id = own(record.safe("/requestID"));
    about(record, event);
    Ok(event)
}

fn temporary_key(record: &Record<'_>, (): &mut (), out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let place = "/responseElements/credentials/accessKeyId";
    let (true, Some(key)) = (done(record, out)?, record.safe(place)) else { return mapped(out) };
    let id = accessor(out.naming(), key, place)?;
    let ends = record.safe("/responseElements/credentials/expiration").map(|text| {
        expiration(text).ok_or(Problem::Malformed("/responseElements/credentials/expiration"))
    });
    let event = issued(record, out, id)?;
    event.expires_at = ends.transpose()?.map(|at| at.rfc3339().into());
    event.client_id = own(record.safe("/requestParameters/roleArn"));
    let becomes = record.personal_at(&[
        "/responseElements/assumedRoleUser/arn",
        "/responseElements/federatedUser/arn",
    ]);
    event.personal.extend(person(PersonalRole::Subject, becomes.or(account(record))));
    if becomes.is_some() {
        event.personal.extend(person(PersonalRole::Initiator, account(record)));
    }
    Ok(Fate::Mapped)
}

fn new_key(record: &Record<'_>, (): &mut (), out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let place = "/responseElements/accessKey/accessKeyId";
    if !done(record, out)? {
        return mapped(out);
    }
    let id = accessor(out.naming(), record.needs(place)?, place)?;
    let owner = record
        .personal_at(&["/responseElements/accessKey/userName", "/requestParameters/userName"]);
    let event = issued(record, out, id)?;
    event.personal.extend(person(PersonalRole::Subject, owner.or(account(record))));
    event.personal.extend(person(PersonalRole::Initiator, account(record)));
    Ok(Fate::Mapped)
}

/// A key that the call ended, held or let go.
fn on_key(
    record: &Record<'_>,
    out: &mut Drafts<'_>,
    kind: Option<EventType>,
) -> Result<Fate, Problem> {
    if !done(record, out)? {
        return mapped(out);
    }
    let kind = match (kind, record.safe("/requestParameters/status")) {
        (Some(kind), _) => kind,
        (None, Some("Inactive")) => EventType::Suspended,
        (None, Some("Active")) => EventType::Reinstated,
        (None, _) => return Err(Problem::Malformed("/requestParameters/status")),
    };
    let place = "/requestParameters/accessKeyId";
    let id = accessor(out.naming(), record.needs(place)?, place)?;
    let by = caller(record)?.filter(|by| *by != id);
    let event = out.token(kind, id);
    event.reason = own(Some("admin"));
    event.links.extend(by.map(|key| asserted(key, Relation::CausedBy)));
    about(record, event);
    event.personal.extend(person(PersonalRole::Actor, account(record)));
    Ok(Fate::Mapped)
}

fn policy(record: &Record<'_>, (): &mut (), out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    if !done(record, out)? {
        return mapped(out);
    }
    let named = [
        ("", "/requestParameters/policyArn"),
        ("", "/responseElements/policy/arn"),
        ("", "/responseElements/trustAnchor/trustAnchorArn"),
        ("", "/responseElements/profile/profileArn"),
        ("policy/", "/requestParameters/policyName"),
        ("role/", "/requestParameters/roleName"),
        ("group/", "/requestParameters/groupName"),
    ];
    let id = named.iter().find_map(|(kind, at)| Some(format!("{kind}{}", record.safe(at)?)));
    let id = id.unwrap_or_else(|| "iam".to_owned());
    let version = record
        .safe_at(&["/responseElements/policyVersion/versionId", "/requestParameters/versionId"]);
    let version = version.unwrap_or(out.native_id()).to_owned();
    let at = out.at();
    let event = out.event(EventType::PolicyChanged, of_policy(&id));
    event.outcome = word(Outcome::None);
    event.action = own(record.safe("/eventName"));
    policy_changed(event, &id, &version, at);
    about(record, event);
    let whose = record.personal("/requestParameters/userName");
    event.personal.extend(person(PersonalRole::Subject, whose));
    event.personal.extend(person(PersonalRole::Actor, account(record)));
    Ok(Fate::Mapped)
}

/// When a temporary key ends: `2024-07-30T21:46:15Z`, or as the console writes it, in UTC:
/// `Jul 30, 2024, 9:46:15 PM`.
fn expiration(text: &str) -> Option<Millis> {
    if let Some(at) = crate::record::time(text) {
        return Some(at);
    }
    let parts = || text.split(|c: char| c == ',' || c.is_whitespace()).filter(|s| !s.is_empty());
    let mut words = parts();
    let [month, day, year, clock, half] = [(); 5].map(|()| words.next().unwrap_or_default());
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = (month.len() == 3).then(|| MONTHS.find(month)).flatten()? / 3 + 1;
    let (hour, rest) = clock.split_once(':')?;
    let hour = match (hour.parse::<u8>().ok()?, half) {
        (hour @ 1..=12, "AM") => hour % 12,
        (hour @ 1..=12, "PM") => hour % 12 + 12,
        (hour, "") => hour,
        _ => return None,
    };
    let day: u8 = day.parse().ok()?;
    Millis::parse(&format!("{year}-{month:02}-{day:02}T{hour:02}:{rest}Z"))
        .filter(|_| parts().count() <= 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiration_is_read_in_both_forms() {
        for (text, expected) in [
            ("2024-07-30T21:46:15Z", Some("2024-07-30T21:46:15.000Z")),
            ("Jul 30, 2024, 9:46:15 PM", Some("2024-07-30T21:46:15.000Z")),
            ("Jul 30, 2024, 9:46:15\u{202f}PM", Some("2024-07-30T21:46:15.000Z")),
            ("Jan 2, 2024 12:00:01 AM", Some("2024-01-02T00:00:01.000Z")),
            ("Dec 2, 2024, 12:00:01 PM", Some("2024-12-02T12:00:01.000Z")),
            ("Jul 32, 2024, 9:46:15 PM", None),
            ("Jul 30, 2024, 13:46:15 PM", None),
            ("anJ 30, 2024, 9:46:15 PM", None),
            ("Jul 30, 2024, 9:46:15 PM UTC", None),
            ("soon", None),
        ] {
            assert_eq!(expiration(text).map(Millis::rfc3339).as_deref(), expected, "{text}");
        }
    }
}
