//! The shapes of the log lines, as far as the adapter reads them.
//!
//! These structs hold bearer values and personal values, so they have no `Debug`, and they live no
//! longer than the line: [`crate::oidc_provider::facts`] turns them into ids at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use ledgerline_adapter::Problem;

/// The members by which the three kinds of line are told apart, all taken from one parse.
#[derive(Deserialize)]
pub(super) struct AnyLine<'a> {
    #[serde(borrow)]
    pub time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub payload: Option<&'a RawValue>,
    #[serde(borrow)]
    pub policy_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub document: Option<&'a RawValue>,
    #[serde(borrow)]
    pub decision: Option<Cow<'a, str>>,
}

/// Model events and request events of the provider in one: what is absent is `None`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Payload {
    // model events
    pub kind: Option<String>,
    pub jti: Option<String>,
    pub uid: Option<String>,
    #[serde(rename = "clientId")]
    pub model_client_id: Option<String>,
    #[serde(rename = "accountId")]
    pub model_account_id: Option<String>,
    #[serde(rename = "grantId")]
    pub grant_id: Option<String>,
    #[serde(rename = "sessionUid")]
    pub session_uid: Option<String>,
    pub gty: Option<String>,
    pub format: Option<String>,
    pub scope: Option<String>,
    pub aud: Option<OneOrMany>,
    pub resource: Option<OneOrMany>,
    pub iat: Option<i64>,
    pub exp: Option<i64>,
    pub rotations: Option<u32>,
    pub acr: Option<String>,
    pub amr: Option<Vec<String>>,
    #[serde(rename = "authTime")]
    pub auth_time: Option<i64>,
    #[serde(rename = "loginTs")]
    pub login_time: Option<i64>,
    #[serde(rename = "expiresIn")]
    pub expires_in: Option<i64>,
    #[serde(rename = "expiresWithSession")]
    pub expires_with_session: Option<bool>,
    pub extra: Option<Extra>,
    #[serde(deserialize_with = "each_once")]
    pub authorizations: Option<BTreeMap<String, Authorization>>,
    pub openid: Option<ConsentedScope>,
    #[serde(deserialize_with = "each_once")]
    pub resources: Option<BTreeMap<String, String>>,
    #[serde(rename = "deviceInfo")]
    pub device_info: Option<DeviceInfo>,
    // request events
    pub route: Option<String>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub client_id: Option<String>,
    pub account_id: Option<String>,
    pub params: Option<Params>,
    pub entities: Option<Entities>,
    pub error: Option<String>,
    pub error_detail: Option<String>,
    pub active: Option<bool>,
    pub presented: Option<String>,
    pub action: Option<String>,
    pub admin: Option<String>,
}

/// An object, or null, whose names stand once each: of two values, either may be the right one.
fn each_once<'de, D, T>(source: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Pairs<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
        type Value = Option<BTreeMap<String, T>>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = BTreeMap::new();
            while let Some((name, value)) = map.next_entry()? {
                if pairs.insert(name, value).is_some() {
                    return Err(A::Error::custom("a name stands twice"));
                }
            }
            Ok(Some(pairs))
        }
    }
    source.deserialize_any(Pairs(PhantomData))
}

/// RFC 8707 `resource` and `aud` are a string or an array of them.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Extra {
    pub act: Option<ActClaim>,
}

/// RFC 8693 `act`: who acts now, and inside it who acted before.
#[derive(Deserialize)]
pub(super) struct ActClaim {
    pub sub: Option<String>,
    pub act: Option<Box<ActClaim>>,
}

#[derive(Deserialize)]
pub(super) struct Authorization {
    #[serde(rename = "grantId")]
    pub grant_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ConsentedScope {
    pub scope: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct DeviceInfo {
    pub ip: Option<String>,
    pub ua: Option<String>,
}

/// The request parameters that name a token. Each of these is a bearer value.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Params {
    pub grant_type: Option<String>,
    pub code: Option<String>,
    pub device_code: Option<String>,
    pub refresh_token: Option<String>,
    pub subject_token: Option<String>,
    pub token: Option<String>,
}

/// The provider's objects of a request. All but `Grant` may be bearer values.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Entities {
    pub grant: Option<String>,
    pub access_token: Option<String>,
    pub client_credentials: Option<String>,
    pub refresh_token: Option<String>,
    pub initial_access_token: Option<String>,
    pub registration_access_token: Option<String>,
    pub rotated_registration_access_token: Option<String>,
}

/// A line of the resource server.
#[derive(Deserialize)]
pub(super) struct ResourceLine {
    pub time: String,
    pub request_id: String,
    pub service: String,
    pub method: String,
    pub path: String,
    pub status: Option<u16>,
    pub decision: String,
    pub reason: Option<String>,
    pub token: Option<String>,
    pub token_form: String,
    pub sub: Option<String>,
    pub client_id: Option<String>,
    pub scope: Option<String>,
    pub act: Option<ActClaim>,
    pub policy_id: Option<String>,
    pub policy_version: Option<u32>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
}

/// A version of a policy, from the moment it took effect.
#[derive(Deserialize)]
pub(super) struct PolicyLine<'a> {
    pub time: String,
    pub policy_id: String,
    pub version: u32,
    pub service: Option<String>,
    pub digest: String,
    pub changed_by: Option<String>,
    #[serde(borrow)]
    pub document: &'a RawValue,
}

/// Parses JSON and keeps of an error only its place: serde's own text may quote the value.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| Problem::NotJson(error.column()))
}

/// As [`parse`], for the payload inside a line.
pub(super) fn parse_payload(raw: &RawValue) -> Result<Payload, Problem> {
    serde_json::from_str(raw.get()).map_err(|error| Problem::BadPayload(error.column()))
}
