//! What a heartbeat says: that the producer lives, how far it has counted, what it saw of the log,
//! and, if it is asked to, which tokens it holds.
//!
//! ```text
//! type HEARTBEAT, target SOURCE; `seen` is the last verified checkpoint
//! detail   buffered, dropped, gaps, interval_s, last_seq, oldest_ms, refused, seen_alarm, sent,
//!          spool_torn, spooled; stopping=true in the last one, with interval_s=0
//! held     a round of 1..n heartbeats: detail held_digest, held_part, held_parts, held_round,
//!          held_tokens; links name the tokens, at most 200 a heartbeat
//! ```
//!
//! Promises: keys ascend, values are short and never personal. A round is sent whole or not at all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_api::event::{Detail, Event, Link, Seen, Target};
use ledgerline_proof::checkpoint::Checkpoint;
use ledgerline_proof::held;
use ledgerline_proof::statement::{MAX_LIST_ITEMS, MAX_STRING_BYTES};

use crate::counts::Counts;

/// Tokens that one heartbeat names.
pub(crate) const HELD_PER_BEAT: usize = 200;

/// What the last checkpoint says, in an event.
pub(crate) fn seen(checkpoint: &Checkpoint) -> Seen<'static> {
    Seen {
        origin: checkpoint.origin().to_owned().into(),
        size: i64::try_from(checkpoint.size()).unwrap_or(i64::MAX),
        root: checkpoint.root().to_base64().into(),
    }
}

/// A heartbeat with detail, which need not be in order.
pub(crate) fn beat(source: &str, detail: Vec<(String, String)>) -> Event<'static> {
    let mut detail = detail;
    detail.sort();
    detail.dedup_by(|later, first| later.0 == first.0);
    detail.truncate(MAX_LIST_ITEMS);
    let each = detail.into_iter().map(|(key, mut value)| {
        value.truncate(value.floor_char_boundary(MAX_STRING_BYTES));
        Detail { key: key.into(), value: value.into() }
    });
    Event {
        event_type: Some("HEARTBEAT".into()),
        target: Some(Target { kind: "SOURCE".into(), id: source.to_owned().into() }),
        detail: each.collect(),
        ..Event::default()
    }
}

/// What every heartbeat says of the emitter.
pub(crate) fn detail(counts: &Counts, last_seq: i64, interval_s: u64) -> Vec<(String, String)> {
    let mut detail = vec![
        ("buffered", counts.buffered.to_string()),
        ("dropped", counts.dropped.to_string()),
        ("interval_s", interval_s.to_string()),
        ("last_seq", last_seq.to_string()),
        ("oldest_ms", counts.oldest_ms.to_string()),
        ("refused", counts.refused_count().to_string()),
        ("sent", (counts.sent + counts.duplicates).to_string()),
        ("spooled", counts.spooled.to_string()),
    ];
    if !counts.gaps.is_empty() {
        let ranges = counts.gaps.iter().map(|(first, last)| format!("{first}-{last}"));
        detail.push(("gaps", ranges.collect::<Vec<_>>().join(" ")));
    }
    if counts.torn_bytes + counts.damaged > 0 {
        detail.push(("spool_torn", (counts.torn_bytes + counts.damaged).to_string()));
    }
    if counts.seen_alarm {
        detail.push(("seen_alarm", "true".to_owned()));
    }
    detail.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// What one heartbeat of a round says beside the rest.
pub(crate) struct HeldPart {
    pub links: Vec<Link<'static>>,
    pub detail: Vec<(String, String)>,
}

/// The parts of a round, one for each heartbeat of it.
pub(crate) fn held_round(mut tokens: Vec<String>, round: u64) -> Vec<HeldPart> {
    tokens.sort();
    tokens.dedup();
    let digest = held::digest(tokens.iter().map(String::as_str));
    let digest = URL_SAFE_NO_PAD.encode(digest.as_bytes());
    let (count, parts) = (tokens.len(), tokens.len().div_ceil(HELD_PER_BEAT).max(1));
    let mut tokens = tokens.into_iter();
    let part = |part: usize| {
        let links = tokens.by_ref().take(HELD_PER_BEAT).map(|token| Link {
            token_id: Some(token.into()),
            event: None,
            relation: "CAUSED_BY".into(),
            strength: Some("ASSERTED".into()),
            why: None,
        });
        let detail = [
            ("held_digest", digest.clone()),
            ("held_part", part.to_string()),
            ("held_parts", parts.to_string()),
            ("held_round", round.to_string()),
            ("held_tokens", count.to_string()),
        ];
        let detail = detail.map(|(key, value)| (key.to_owned(), value)).to_vec();
        HeldPart { links: links.collect(), detail }
    };
    (0..parts).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_names_every_token_once() {
        let check = |count: usize, parts: usize| {
            let tokens: Vec<String> = (0..count).map(|n| format!("eu:idp:jti:{n}")).collect();
            let twice = [tokens.clone(), tokens.clone()].concat();
            let round = held_round(twice, 3);
            assert_eq!(round.len(), parts, "{count}");
            let named = round.iter().flat_map(|part| &part.links);
            let mut named: Vec<_> = named.filter_map(|link| link.token_id.clone()).collect();
            named.sort();
            let mut expected = tokens;
            expected.sort();
            assert_eq!(named, expected);
            for (at, HeldPart { links, detail }) in round.iter().enumerate() {
                assert!(links.len() <= HELD_PER_BEAT);
                assert!(detail.contains(&("held_part".into(), at.to_string())));
                assert!(detail.contains(&("held_tokens".into(), count.to_string())));
            }
        };
        check(0, 1);
        check(1, 1);
        check(200, 1);
        check(201, 2);
        check(100_000, 500);
    }

    #[test]
    fn a_heartbeat_is_a_statement_of_which_keys_ascend() {
        let counts = Counts { gaps: vec![(3, 5), (9, 9)], seen_alarm: true, ..Counts::default() };
        let mut event = beat("orders", detail(&counts, 12, 30));
        event.event_id = Some("01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11".into());
        event.occurred_at = Some(ledgerline_api::values::Timestamp::At(1));
        let said = event.statement("", "orders").expect("a statement");
        said.validate().expect("within the limits");
        assert_eq!(said.detail("gaps"), Some("3-5 9-9"));
        assert_eq!(said.detail("last_seq"), Some("12"));
        assert_eq!(said.detail("interval_s"), Some("30"));
        assert_eq!(said.detail("seen_alarm"), Some("true"));
    }
}
