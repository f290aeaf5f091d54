//! Policy versions: one POLICY_CHANGED each, with the document attached by its digest.

use ledgerline_api::event::{Attachment, Event, Policy, PolicyChange, Target};
use ledgerline_proof::vocabulary::{EventType, Outcome, PolicyRole, TargetKind};

use crate::oidc_provider::facts::{ADAPTER, PROVIDER_UNCERTAINTY_NS, actor};
use crate::oidc_provider::model::PolicyLine;
use ledgerline_adapter::pieces::word;
use ledgerline_adapter::token_id::{attachment_data, content_digest, is_lower_name};
use ledgerline_adapter::{Millis, Problem};

/// The event of one line.
///
/// The log's digest is over the document as compact JSON in its key order, so the document is
/// attached in just that form; a document that has another digest is refused.
pub(super) fn event(line: &PolicyLine<'_>) -> Result<Event<'static>, Problem> {
    let at = Millis::parse(&line.time).ok_or(Problem::Malformed("time"))?.rfc3339();
    if !is_lower_name(&line.policy_id) || line.policy_id.len() > 64 {
        return Err(Problem::Malformed("policy_id"));
    }
    let document = compact(line.document.get());
    let digest = content_digest(document.as_bytes());
    if digest != line.digest {
        return Err(Problem::DigestMismatch);
    }
    let version = line.version.to_string();
    let policy = Policy {
        id: line.policy_id.clone().into(),
        version: version.clone().into(),
        digest: Some(digest.clone().into()),
        role: word(PolicyRole::Access),
        effect: None,
    };
    Ok(Event {
        native_id: Some(format!("policy/{at}/{}/{version}", line.policy_id).into()),
        target: Some(Target {
            kind: TargetKind::Policy.symbol().into(),
            id: line.policy_id.clone().into(),
        }),
        event_type: word(EventType::PolicyChanged),
        outcome: word(Outcome::None),
        occurred_at: Some(at.clone().into()),
        time_uncertainty_ns: Some(PROVIDER_UNCERTAINTY_NS),
        service: line.service.clone().map(Into::into),
        policies: vec![policy],
        policy_change: Some(PolicyChange {
            effective_from: Some(at.into()),
            effective_until: None,
            previous_version: (line.version > 1).then(|| (line.version - 1).to_string().into()),
            change_ref: None,
            snapshot: Some(digest.clone().into()),
        }),
        adapter: Some(ADAPTER),
        personal: actor(line.changed_by.as_deref(), None).into_iter().collect(),
        attachments: vec![Attachment {
            digest: digest.into(),
            media_type: "application/json".into(),
            data: attachment_data(document.as_bytes()).into(),
        }],
        ..Event::default()
    })
}

/// JSON text without the white space between its tokens; key order and spelling stay.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacts_only_between_tokens() {
        for (json, expected) in [
            (r#"{ "a" : [ 1 , 2 ] }"#, r#"{"a":[1,2]}"#),
            (r#"{"a b": "c \" d \\" , "e": 1}"#, r#"{"a b":"c \" d \\","e":1}"#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }
}
