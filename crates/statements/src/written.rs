//! A signed submission as JSON: `{"statement": …, "personal": […], "signature": …}`.
//!
//! Promises: what is read is what the Avro form would have held, byte for byte.
//!
//! Refuses: unknown members and members that stand twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_api::values::or_default;
use ledgerline_proof::entry::Signature;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::signature::Alg;
use ledgerline_proof::submission::{Attachment, Submission};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::EventError;
use crate::json::member_twice;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSubmission {
    statement: String,
    #[serde(default, deserialize_with = "or_default")]
    personal: Vec<String>,
    signature: Option<JsonSignature>,
    #[serde(default, deserialize_with = "or_default")]
    attachments: Vec<JsonSubmittedAttachment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSignature {
    alg: String,
    key_id: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSubmittedAttachment {
    digest: String,
    media_type: String,
    data: String,
}

/// A submission that was written as JSON, decoded.
pub struct WrittenSubmission {
    statement: Vec<u8>,
    personal: Vec<Vec<u8>>,
    signature: Option<(Alg, String, Vec<u8>)>,
    attachments: Vec<(Hash, String, Vec<u8>)>,
}

/// Whether a JSON object has the field that only signed submissions have. The word alone may be any
/// event's value.
#[must_use]
pub fn is_submission(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Form {
        statement: Option<IgnoredAny>,
    }
    text.contains("\"statement\"")
        && match serde_json::from_str::<Form>(text) {
            Ok(form) => form.statement.is_some(),
            Err(error) => member_twice(&error).is_some(),
        }
}

impl WrittenSubmission {
    /// Reads one.
    ///
    /// # Errors
    /// `bad_json` with what is off.
    pub fn read(text: &str) -> Result<Self, EventError> {
        let bad = |what: &str| EventError::new("bad_json", what.to_owned());
        let json: JsonSubmission =
            serde_json::from_str(text).map_err(|error| match member_twice(&error) {
                Some(name) => bad(&format!("`{name}` stands twice in the signed submission")),
                None => bad("the signed submission's fields are off"),
            })?;
        let decode = |text: &str| {
            STANDARD.decode(text).map_err(|_| bad("a value of the submission is not base64"))
        };
        let statement = decode(&json.statement)?;
        let personal: Vec<Vec<u8>> =
            json.personal.iter().map(|record| decode(record)).collect::<Result<_, _>>()?;
        let signature = match json.signature {
            Some(JsonSignature { alg, key_id, value }) => {
                let value = decode(&value)?;
                let alg = Alg::from_name(&alg)
                    .ok_or_else(|| bad("the signature's alg is not HMAC-SHA256 or Ed25519"))?;
                Some((alg, key_id, value))
            }
            None => None,
        };
        let mut attachments = Vec::with_capacity(json.attachments.len());
        for one in json.attachments {
            let digest =
                one.digest.strip_prefix("sha256:").and_then(|hex| Hash::from_hex(hex).ok());
            let digest = digest.ok_or_else(|| bad("an attachment's digest is not sha256:<hex>"))?;
            attachments.push((digest, one.media_type, decode(&one.data)?));
        }
        Ok(Self { statement, personal, signature, attachments })
    }

    /// What it says.
    #[must_use]
    pub fn submission(&self) -> Submission<'_> {
        let signature = self.signature.as_ref().map(|(alg, key_id, value)| Signature {
            alg: alg.number(),
            key_id,
            value,
        });
        let attachments = self.attachments.iter().map(|(digest, media_type, data)| Attachment {
            digest: *digest,
            media_type,
            data,
        });
        Submission {
            statement: &self.statement,
            personal: self.personal.iter().map(Vec::as_slice).collect(),
            signature,
            attachments: attachments.collect(),
        }
    }
}
