//! A question in words.

use std::fmt::Write as _;

use super::{About, LIFE, Moment, Point, Question, rfc3339};
use crate::bundle::Query;
use crate::hash::Hash;

impl Query {
    /// What was asked, in words: the kernel's own, with the ids and times of the query. `None` for
    /// what is no question of the table, whose text is nobody's.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        match self {
            Self::Token { id, .. } => Some(format!("What is the life of token {id}?")),
            Self::Event { source, event_id, .. } => {
                Some(format!("What is the event {event_id} of source {source}?"))
            }
            Self::Question { .. } => Question::read(self)?.ok().map(|one| one.sentence()),
        }
    }
}

impl Question<'_> {
    /// The question in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = self.core();
        match self.as_of {
            Some(Moment::Size(size)) => {
                let _ = write!(text, ", by what the ledger knew at size {size}");
            }
            Some(Moment::At(at)) => {
                let _ = write!(text, ", by what the ledger knew at {}", rfc3339(at));
            }
            None => {}
        }
        if let Some(at) = self.at {
            let _ = write!(text, ", by what had happened at {}", rfc3339(at));
        }
        text.push('?');
        text
    }

    fn core(&self) -> String {
        let about = self.subject();
        match self.name {
            LIFE => format!("What is the life of {about}, under all its ids"),
            "lineage" => self.lineage(&about),
            "resources" => {
                let whose = self.whose(&about);
                format!("Which resources did {whose} access{}", self.range())
            }
            "policies" => format!("Which policies were in force when {about} was issued"),
            "divergence" => {
                let whose = self.whose(&about);
                format!("Which event of {whose} was the first from elsewhere")
            }
            "exposure" => {
                format!("Which services and audiences was {} shown to", self.whose(&about))
            }
            "blast-radius" => format!(
                "What did {about} and its descendants{} touch, and which of them are alive",
                self.reach()
            ),
            "after-revoke" if self.about == About::Nothing => {
                format!("Who still accepted tokens that were revoked{}", self.range())
            }
            "after-revoke" => format!("Who still accepted {about} after it was revoked"),
            "tokens" => format!("Which tokens does {about} hold"),
            "policy-changes" => {
                let hours = self.hours.map(|hours| format!(", looking {hours} hours back"));
                let (range, hours) = (self.range(), hours.unwrap_or_default());
                format!("Which policy changes affected tokens issued to {about}{range}{hours}")
            }
            "accessed" => format!("Which tokens accessed {about}{}", self.range()),
            "policy-versions" => format!("Which versions has {about} had"),
            "pivot" => format!("Which events did {about} take part in"),
            "why" => format!("Why did {about} happen"),
            "attachment" => format!("Which document has {about}"),
            "findings" => self.findings(),
            _ => "Which of the leaked tokens does the ledger know, and which are alive".to_owned(),
        }
    }

    fn findings(&self) -> String {
        let state = self.state.map(|state| format!("{state} "));
        let rule = self.rule.map(|rule| format!(" by rule {rule}"));
        let token = self.token.map(|token| format!(" about token {token}"));
        let severity = self.severity.map(|least| format!(" of severity {least} or above"));
        let parts = [rule, token, severity].map(Option::unwrap_or_default).concat();
        format!("Which {}findings are there{parts}", state.unwrap_or_default())
    }

    fn lineage(&self, about: &str) -> String {
        let reach = self.reach();
        match (self.direction, self.to) {
            (_, Some(to)) => format!("How are {about} and token {to} related{reach}"),
            (Some("ancestors"), _) => format!("Which tokens did {about} come of{reach}"),
            (Some("family"), _) => format!("Which tokens are of the family of {about}{reach}"),
            (Some(_), _) => format!("Which tokens came of {about}{reach}"),
            (None, _) => format!("Which tokens are related to {about}{reach}"),
        }
    }

    fn subject(&self) -> String {
        let hex = |id: &[u8; 16]| format!("{:032x}", u128::from_be_bytes(*id));
        match &self.about {
            About::Token(id) => format!("token {id}"),
            About::Person(handle) => format!("the person with handle {}", hex(handle)),
            About::Handle(handle) => format!("what has handle {}", hex(handle)),
            About::Holder(kind, id) => format!("{} {id}", kind.word()),
            About::Resource(name) => format!("resource {name}"),
            About::Policy(id) => format!("policy {id}"),
            About::Event(source, id) => format!("event {id} of source {source}"),
            About::Digest(digest) => format!("digest {}", digest_text(digest)),
            About::Nothing => "something".to_owned(),
        }
    }

    fn whose(&self, about: &str) -> String {
        match self.of {
            Some("descendants") => format!("{about} or its descendants"),
            Some("grant") => format!("{about} or another token of its grant"),
            _ => about.to_owned(),
        }
    }

    fn reach(&self) -> String {
        let depth = self.depth.map(|depth| format!(" within {depth} steps"));
        let strength = match self.strength {
            Some("asserted") => ", by links in which a source named both",
            Some("joined") => ", also by a common family, grant, session or cause",
            _ => "",
        };
        format!("{}{strength}", depth.unwrap_or_default())
    }

    fn range(&self) -> String {
        let word = |point: &Point| match point {
            Point::Named("birth") => "its birth".to_owned(),
            Point::Named("last-refresh") => "its last refresh".to_owned(),
            Point::Named("first-use") => "its first use".to_owned(),
            Point::Named("last-use") => "its last use".to_owned(),
            Point::Named("expiry") => "its expiry".to_owned(),
            Point::Named("revocation") => "its revocation".to_owned(),
            Point::Named(_) => "the end".to_owned(),
            Point::At(nanos) => rfc3339(*nanos),
        };
        let from = self.from.as_ref().map(|from| format!(" from {}", word(from)));
        let until = self.until.as_ref().map(|until| format!(" until {}", word(until)));
        format!("{}{}", from.unwrap_or_default(), until.unwrap_or_default())
    }
}

fn digest_text(digest: &Hash) -> String {
    format!("sha256:{digest}")
}

#[cfg(test)]
mod tests {
    use super::super::QuestionError;
    use super::*;
    use crate::bundle::Parameter;

    fn asked(name: &str, about: &str, parameters: &[(&str, &str)]) -> Query {
        let parameter = |(name, value): &(&str, &str)| Parameter {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        Query::Question {
            tenant: String::new(),
            name: name.to_owned(),
            about: about.to_owned(),
            parameters: parameters.iter().map(parameter).collect(),
            tokens: Vec::new(),
        }
    }

    #[test]
    fn each_question_is_a_sentence_of_ours() {
        let x = "eu:idp:jti:x";
        let event = "idp/01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11";
        for (query, expected) in [
            (
                asked("resources", x, &[("from", "birth"), ("until", "revocation")]),
                "Which resources did token eu:idp:jti:x access from its birth until its \
                 revocation?",
            ),
            (
                asked("lineage", x, &[("direction", "family"), ("as_of", "17")]),
                "Which tokens are of the family of token eu:idp:jti:x, by what the ledger knew at \
                 size 17?",
            ),
            (
                asked("tokens", "client urn:a:b", &[("limit", "1000")]),
                "Which tokens does client urn:a:b hold?",
            ),
            (
                asked("why", event, &[]),
                "Why did event 01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11 of source idp happen?",
            ),
        ] {
            assert_eq!(query.sentence().as_deref(), Some(expected));
        }
    }

    #[test]
    fn another_sentence_is_no_question() {
        let x = "eu:idp:jti:x";
        let read = |query: &Query| Question::read(query).unwrap().map(|_| ());
        for (query, expected) in [
            (asked("alice stole it", x, &[]), QuestionError::Name),
            (asked("resources", "alice stole it", &[]), QuestionError::About("resources")),
            (asked("policies", x, &[("note", "stolen")]), QuestionError::Parameter("policies")),
            (asked("exposure", x, &[("of", "everybody")]), QuestionError::Value("of")),
            (asked("lineage", x, &[("direction", "path")]), QuestionError::Value("direction")),
            (asked("resources", x, &[("from", "the theft")]), QuestionError::Value("from")),
        ] {
            assert_eq!(read(&query), Err(expected));
            assert_eq!(query.sentence(), None);
        }
    }

    #[test]
    fn what_an_older_bundle_does_not_tell_is_known() {
        let old = asked("resources", "eu:idp:jti:x", &[("from", "birth")]);
        let read = Question::read(&old).unwrap().unwrap();
        assert_eq!(read.untold, ["until", "of"]);
    }
}
