//! Which fields are personal, stand for a person, or identify something.
//!
//! A schema does not say so itself, so the rule stands here, by record, type and name. Promises: a
//! field that a new version adds is classed without anybody having listed it, and one whose name
//! sounds personal outside the sealed record is said to be that: nothing personal may stand in a
//! statement, an entry or a control record (docs/explanation/trust.md).

use super::avro::short;

/// What a field is, to who must look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Part of the sealed personal record.
    Personal,
    /// Named as something personal, and outside the sealed record.
    SoundsPersonal,
    /// A handle of a person, address or device, or a commitment to a personal record.
    Pseudonym,
    /// Names a token, event, client, key, tenant or source.
    Identifier,
    Plain,
}

impl Class {
    /// As the page says it.
    pub fn word(self) -> &'static str {
        match self {
            Class::Personal => "personal",
            Class::SoundsPersonal => "**sounds personal, outside the sealed record**",
            Class::Pseudonym => "pseudonym",
            Class::Identifier => "identifier",
            Class::Plain => "",
        }
    }
}

/// The record that is sealed as a whole.
const SEALED: &str = "Personal";
/// Types that stand for persons, or for what is personal.
const PSEUDONYMS: [&str; 4] = ["Handle", "HandleId", "PersonalCommitment", "PersonalRole"];
/// Types whose values name one thing for ever.
const IDENTIFIERS: [&str; 5] = ["EventId", "InstanceId", "LedgerId", "TopicId", "RefusalId"];
/// Names of fields that name something, beside those that end in `_id`.
const NAMES: [&str; 14] = [
    "id",
    "tenant",
    "source",
    "issuer",
    "issuers",
    "token",
    "client",
    "origin",
    "credential",
    "also_known_as",
    "issuer_kid",
    "service",
    "sources",
    "status_index",
];
/// Words of a name that speak of a person.
const PERSONAL_WORDS: [&str; 20] = [
    "user",
    "username",
    "person",
    "email",
    "mail",
    "phone",
    "address",
    "ip",
    "ipv4",
    "ipv6",
    "device",
    "agent",
    "birth",
    "birthday",
    "surname",
    "gender",
    "geo",
    "location",
    "latitude",
    "longitude",
];

/// The class of a field: of the record that stands on its own, of the type it is in, by its name
/// and the text of its type.
pub fn class(root: &str, owner: &str, field: &str, of: &str) -> Class {
    let words_of_type = || of.split(|char: char| !char.is_ascii_alphanumeric());
    let has = |list: &[&str]| words_of_type().any(|word| list.contains(&word));
    if short(root) == SEALED {
        return Class::Personal;
    }
    if PSEUDONYMS.contains(&owner) || has(&PSEUDONYMS) {
        return Class::Pseudonym;
    }
    if field.split('_').any(|word| PERSONAL_WORDS.contains(&word)) {
        return Class::SoundsPersonal;
    }
    if field.ends_with("_id") || NAMES.contains(&field) || has(&IDENTIFIERS) {
        return Class::Identifier;
    }
    Class::Plain
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::avro::{Schema, Shape};
    use super::*;
    use crate::process;

    /// Every field of today's schemas, by class: what nobody looks at twice is not listed.
    #[test]
    fn todays_fields_are_classed() {
        let mut classed: BTreeSet<(Class, String)> = BTreeSet::new();
        let folder = process::root().join("crates/proof/schemas");
        for file in std::fs::read_dir(folder).expect("the schemas") {
            let text = std::fs::read_to_string(file.expect("a file").path()).expect("a text");
            let schema = Schema::parse(&text).expect("a schema");
            for named in &schema.types {
                let Shape::Record(fields) = &named.shape else { continue };
                let owner = short(&named.name);
                for field in fields {
                    let of = field.of.to_string();
                    let class = class(&schema.root().name, owner, &field.name, &of);
                    classed.insert((class, format!("{owner}.{}", field.name)));
                }
            }
        }
        let of = |class| {
            let of_class = classed.iter().filter(|(one, _)| *one == class);
            of_class.map(|(_, field)| field.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            of(Class::Personal),
            "Detail.key Detail.value Personal.attributes Personal.device Personal.ip \
             Personal.resource Personal.salt Personal.user_agent Personal.user_id"
        );
        assert_eq!(of(Class::SoundsPersonal), "");
        assert_eq!(
            of(Class::Pseudonym),
            "Entry.handles Handle.handle Handle.kind Handle.role PersonalCommitment.commitment \
             PersonalCommitment.role Statement.personal"
        );
        assert_eq!(
            of(Class::Identifier),
            "Act.id Actor.id Actor.issuer Attestation.credential CutHead.origin \
             EventRef.event_id EventRef.source Genesis.ledger_id Genesis.origin Grant.issuers \
             KeyAdded.key_id KeyAdded.source KeyAdded.tenant KeyEnded.key_id Link.token \
             PolicyRef.id Predecessor.origin Refusal.credential Refusal.id Seen.origin \
             Selector.client Signature.key_id Statement.also_known_as Statement.client_id \
             Statement.correlation_id Statement.event_id Statement.family_id \
             Statement.grant_id Statement.issuer Statement.issuer_kid Statement.native_id \
             Statement.service Statement.session_id Statement.source \
             Statement.source_instance Statement.status_index Statement.tenant \
             Statement.trace_id StreamPosition.topic_id Target.id"
        );
    }

    #[test]
    fn what_sounds_personal_is_said() {
        let in_statement = |field| class("dev.ledgerline.Statement", "Statement", field, "string");
        assert_eq!(in_statement("user_email"), Class::SoundsPersonal);
        assert_eq!(in_statement("device_id"), Class::SoundsPersonal);
        assert_eq!(in_statement("zip"), Class::Plain);
        assert_eq!(in_statement("order_id"), Class::Identifier);
        assert_eq!(class("n.Personal", "Personal", "email", "string"), Class::Personal);
    }
}
