//! What an unsigned event is not lost for: a text that is too long, an end that is never.
//!
//! ```text
//! endpoint, resource, action, reason      longer than 1024 bytes, or with control characters
//! personal: ip, user_agent, device,       longer than 1024 bytes
//!   resource, values of attributes
//! detail values, links.why                longer than 1024 bytes, once the statement is too large
//! expires_at, rotate_by, activation.deadline, policy_change.effective_until      after 2262
//! not_before                                                                     before 1677
//! ```
//!
//! Promises: whoever presents a token chooses these texts, so none of them may hide its use. A text
//! is cut at a character and ends in `…[cut from N bytes]`; control characters become U+FFFD; the
//! event's `detail` says under [`CUT`] which fields that was. A bound that no clock of the ledger
//! reaches is left out, which means the same, and stands under `ledgerline.<field>` as it was
//! written. The same input gives the same bytes. What looks like a secret is looked for before
//! anything is cut.
//!
//! Refuses: to touch ids, names and lists, and whatever is signed or committed to: such an event is
//! refused whole, counted and kept aside.

use std::borrow::Cow;

use ledgerline_api::event::Detail;
use ledgerline_api::moment::{Moment, moment};
use ledgerline_api::statement::{shorten, without_controls};
use ledgerline_api::values::Timestamp;
use ledgerline_proof::statement::MAX_STRING_BYTES;

use ledgerline_secret_scan::check_text;

use super::JsonEvent;
use crate::EventError;

/// The key of the `detail` entry that names the fields that were cut.
pub const CUT: &str = "ledgerline.cut";

impl JsonEvent<'_> {
    /// Cuts what is too long and leaves out what is never.
    ///
    /// # Errors
    /// `secret_refused` when a text that would be cut carries what looks like a bearer value.
    pub fn amend(&mut self) -> Result<(), EventError> {
        self.amend_times();
        let mut cut = Vec::new();
        let event = &mut self.0;
        let plain = [
            ("endpoint", &mut event.endpoint),
            ("resource", &mut event.resource),
            ("action", &mut event.action),
            ("reason", &mut event.reason),
        ];
        for (field, text) in plain {
            if let Some(text) = text
                && (cut_checked(text)? | without_controls(text))
            {
                cut.push(field);
            }
        }
        for personal in &mut event.personal {
            let named = [
                ("personal.ip", &mut personal.ip),
                ("personal.user_agent", &mut personal.user_agent),
                ("personal.device", &mut personal.device),
                ("personal.resource", &mut personal.resource),
            ];
            for (field, text) in named {
                if let Some(text) = text
                    && cut_checked(text)?
                {
                    cut.push(field);
                }
            }
            for value in personal.attributes.values_mut() {
                if cut_checked(value)? {
                    cut.push("personal.attributes");
                }
            }
        }
        self.note_cut(cut);
        Ok(())
    }

    /// Cuts the texts that have no limit of their own; whether that was any.
    ///
    /// # Errors
    /// As [`Self::amend`].
    pub fn amend_free_text(&mut self) -> Result<bool, EventError> {
        let mut cut = Vec::new();
        for one in &mut self.detail {
            if cut_checked(&mut one.value)? {
                cut.push("detail");
            }
        }
        for link in &mut self.links {
            if let Some(why) = &mut link.why
                && cut_checked(why)?
            {
                cut.push("links.why");
            }
        }
        let is_cut = !cut.is_empty();
        self.note_cut(cut);
        Ok(is_cut)
    }

    fn amend_times(&mut self) {
        let mut never: Vec<(&'static str, String)> = Vec::new();
        let mut leave_out = |key, time: &mut Option<Timestamp<'_>>, bound| {
            if let Some(Timestamp::Text(text)) = time
                && moment(text) == Some(bound)
            {
                never.push((key, text.to_string()));
                *time = None;
            }
        };
        let event = &mut self.0;
        leave_out("ledgerline.expires_at", &mut event.expires_at, Moment::Beyond);
        leave_out("ledgerline.rotate_by", &mut event.rotate_by, Moment::Beyond);
        leave_out("ledgerline.not_before", &mut event.not_before, Moment::Before);
        if let Some(activation) = &mut event.activation {
            leave_out("ledgerline.deadline", &mut activation.deadline, Moment::Beyond);
        }
        if let Some(change) = &mut event.policy_change {
            leave_out("ledgerline.effective_until", &mut change.effective_until, Moment::Beyond);
        }
        for (key, text) in never {
            self.put_detail(key, text);
        }
    }

    fn note_cut(&mut self, mut fields: Vec<&'static str>) {
        if let Some(at) = self.detail.iter().position(|one| one.key == CUT && !fields.is_empty()) {
            // Of the first pass over this event, or of a producer that imitates it.
            let before = self.detail.remove(at).value;
            let known = |name: &&&str| before.split(", ").any(|one| one == **name);
            let of_before: Vec<&'static str> = FIELDS.iter().filter(known).copied().collect();
            fields.extend(of_before);
        }
        fields.sort_unstable();
        fields.dedup();
        if !fields.is_empty() {
            self.put_detail(CUT, fields.join(", "));
        }
    }

    fn put_detail(&mut self, key: &'static str, value: String) {
        self.detail.retain(|one| one.key != key);
        let at = self.detail.partition_point(|one| one.key.as_bytes() < key.as_bytes());
        self.detail.insert(at, Detail { key: key.into(), value: value.into() });
    }
}

/// Every field that may be cut.
const FIELDS: [&str; 11] = [
    "action",
    "detail",
    "endpoint",
    "links.why",
    "personal.attributes",
    "personal.device",
    "personal.ip",
    "personal.resource",
    "personal.user_agent",
    "reason",
    "resource",
];

/// Cuts a text that is too long; whether it was. What would be cut is looked at before.
fn cut_checked(text: &mut Cow<'_, str>) -> Result<bool, EventError> {
    if text.len() > MAX_STRING_BYTES {
        check_text(text)?;
    }
    Ok(shorten(text))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn amended(members: &str) -> (Vec<(String, String)>, Result<(), EventError>) {
        let text = format!(
            "{{\"native_id\":\"n\",\"type\":\"USED\",\"token_id\":\"eu:idp:jti:a\",\
             \"occurred_at\":\"2026-01-02T03:04:05Z\",{members}}}"
        );
        let mut event = parse(&text).expect("an event");
        let done = event.amend();
        let statement = event.statement("", "idp").expect("a statement");
        if done.is_ok() {
            statement.validate().expect("within every limit");
        }
        let pairs = statement.detail.iter().map(|one| (one.key.into(), one.value.into()));
        (pairs.collect(), done)
    }

    #[test]
    fn a_text_of_the_thief_hid_the_use() {
        let long = |unit: &str| unit.repeat(3000 / unit.len());
        for (members, fields) in [
            (format!("\"endpoint\":\"/{}\"", long("a")), "endpoint"),
            (format!("\"resource\":\"/{}\"", long("ä")), "resource"),
            (
                format!("\"reason\":\"{}\",\"action\":\"{}\"", long("€"), long("𝕏")),
                "action, reason",
            ),
            ("\"endpoint\":\"/a\\u0000b\\n\"".into(), "endpoint"),
            (format!("\"endpoint\":\"{}\"", "\\u0001".repeat(1024)), "endpoint"),
            (
                format!(
                    "\"personal\":[{{\"role\":\"SUBJECT\",\"user_agent\":\"{0}\",\"ip\":\"{0}\",\
                     \"device\":\"{0}\",\"resource\":\"{0}\",\"attributes\":{{\"k\":\"{0}\"}}}}]",
                    long("1.2.3.4, ")
                ),
                "personal.attributes, personal.device, personal.ip, personal.resource, \
                 personal.user_agent",
            ),
        ] {
            let (detail, done) = amended(&members);
            assert_eq!(done, Ok(()), "{fields}");
            assert_eq!(detail, [(CUT.to_owned(), fields.to_owned())]);
            assert_eq!(amended(&members).0, detail, "the same input says the same");
        }
        assert_eq!(amended("\"endpoint\":\"/orders\"").0, [], "nothing to cut, nothing said");
    }

    #[test]
    fn a_secret_behind_the_cut_is_still_found() {
        let jwt = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJzZWNyZXQtand0In0.c2lnbmF0dXJlLWJ5dGVz";
        let (_, done) = amended(&format!("\"endpoint\":\"/{} {jwt}\"", "a".repeat(2000)));
        assert_eq!(done.expect_err("refused").code, "secret_refused");
    }

    #[test]
    fn what_is_cut_ends_in_words_at_a_character() {
        let mut text: Cow<'_, str> = "€".repeat(700).into();
        assert_eq!(cut_checked(&mut text), Ok(true));
        assert!(text.ends_with("€…[cut from 2100 bytes]"), "{text}");
        assert_eq!(cut_checked(&mut text), Ok(false), "what was cut is not cut again");
    }

    #[test]
    fn never_is_kept_in_words() {
        let (detail, _) = amended(
            "\"expires_at\":\"9999-12-31T23:59:59Z\",\"not_before\":\"0001-01-01T00:00:00Z\",\
             \"detail\":[{\"key\":\"a\",\"value\":\"1\"},{\"key\":\"z\",\"value\":\"2\"}]",
        );
        let pairs: Vec<_> = detail.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("ledgerline.expires_at", "9999-12-31T23:59:59Z"),
                ("ledgerline.not_before", "0001-01-01T00:00:00Z"),
                ("z", "2"),
            ]
        );
    }
}
