//! What became of events that were sent, as answers have it.

use ledgerline_api::ingest::{self, Refused, Verdict};
use ledgerline_api::log as form;
use ledgerline_api::values::{HexHash, Uuid};
use ledgerline_ledger::intake::{Attested, EventAnswer, EventError, EventStatus};

/// The verdict about an event; `line` is told of a refused one.
#[must_use]
pub fn verdict(answer: &EventAnswer, line: Option<u64>) -> Verdict<'_> {
    let is_taken = answer.status != EventStatus::Refused;
    Verdict {
        line: line.filter(|_| !is_taken),
        event_id: answer.event_id.map(Uuid),
        status: status_of(answer.status),
        origin: answer.origin.as_deref().map(Into::into),
        index: answer.index,
        sequence: answer.sequence,
        event_hash: answer.event_hash.map(HexHash),
        attested_by: is_taken.then_some(match answer.attested_by {
            Attested::Signature => form::Attested::Signature,
            Attested::Credential => form::Attested::Credential,
        }),
        error: answer.error.as_ref().map(refused),
        proof: None,
    }
}

/// What became of an event, as answers have it.
#[must_use]
pub fn status_of(status: EventStatus) -> ingest::EventStatus {
    match status {
        EventStatus::Recorded => ingest::EventStatus::Recorded,
        EventStatus::Duplicate => ingest::EventStatus::Duplicate,
        EventStatus::Refused => ingest::EventStatus::Refused,
    }
}

/// Why an event was refused, as answers have it.
#[must_use]
pub fn refused(error: &EventError) -> Refused {
    Refused {
        code: error.code.into(),
        detail: error.detail.clone().into(),
        member: error.member.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::hash::leaf_hash;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn verdicts_are_json_with_every_field_that_is_known() {
        let check = |answer: &EventAnswer, expected: &Value| {
            let found = serde_json::to_value(verdict(answer, Some(7))).expect("JSON");
            assert_eq!(&found, expected);
        };
        let hash = leaf_hash(b"an entry");
        let mut answer = EventAnswer {
            event_id: Some([0xab; 16]),
            status: EventStatus::Recorded,
            origin: None,
            index: Some(u64::MAX),
            sequence: Some(0),
            event_hash: Some(hash),
            attested_by: Attested::Signature,
            error: None,
        };
        let mut expected = json!({
            "event_id": "abababab-abab-abab-abab-abababababab",
            "status": "recorded",
            "index": u64::MAX,
            "sequence": 0,
            "event_hash": hash.to_hex(),
            "attested_by": "signature",
        });
        check(&answer, &expected);
        answer.status = EventStatus::Duplicate;
        answer.attested_by = Attested::Credential;
        answer.origin = Some("ledger \"one\"".into());
        expected["status"] = "duplicate".into();
        expected["origin"] = "ledger \"one\"".into();
        expected["attested_by"] = "credential".into();
        check(&answer, &expected);
        let error = EventError::new("bad_field", "say \"why\"\n".into());
        let refused = EventAnswer::refused(None, error);
        let expected = json!({
            "line": 7,
            "status": "refused",
            "error": { "code": "bad_field", "detail": "say \"why\"\n" },
        });
        check(&refused, &expected);
    }
}
