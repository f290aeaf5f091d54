//! How an issuer is told of a revocation: its RFC 7009 endpoint.
//!
//! ```text
//! POST <revocation_endpoint>       Authorization: Basic client_id:client_secret (RFC 6749 2.3.1)
//! token=…&token_type_hint=…        application/x-www-form-urlencoded
//! ```
//!
//! Promises: one try within its time-out, no redirect. Answered is status 200 and nothing else;
//! by RFC 7009 it also comes for a token that the issuer does not know.
//!
//! Refuses: to put the token or the secret anywhere but into that request.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_client::outbound::Outbound;
use ledgerline_client::secret_file::read_secret_file;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::settings::IssuerSettings;

/// What a call may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of an answer: nothing in it matters.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// What stands as it is in a form.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The issuer answered 200, also when it does not know the token.
    Answered,
    /// It did not; a short word says how.
    Failed(String),
}

/// The way to one issuer.
pub struct Connector {
    outbound: Outbound,
    authorization: String,
}

impl Connector {
    /// By the settings; `None` when they name no endpoint.
    ///
    /// # Errors
    /// When the secret or the certificates cannot be used.
    pub fn open(settings: &IssuerSettings) -> anyhow::Result<Option<Self>> {
        let (Some(url), Some(client), Some(file)) =
            (&settings.revocation_endpoint, &settings.client_id, &settings.client_secret_file)
        else {
            return Ok(None);
        };
        let outbound = Outbound::new(url, settings.ca_file.as_deref(), TIMEOUT)?;
        let part = |text: &str| percent_encode(text.as_bytes(), PLAIN).to_string();
        let pair = format!("{}:{}", part(client), part(&read_secret_file(file)?));
        let authorization = format!("Basic {}", STANDARD.encode(pair));
        Ok(Some(Self { outbound, authorization }))
    }

    /// Tells the issuer that a token is to end. Blocks.
    #[must_use]
    pub fn tell(&self, token: &[u8], hint: Option<&str>) -> Told {
        let mut form = format!("token={}", percent_encode(token, PLAIN));
        if let Some(hint) = hint {
            form.push_str("&token_type_hint=");
            form.push_str(hint);
        }
        let headers = [
            ("authorization", self.authorization.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "application/json"),
        ];
        match self.outbound.post(&headers, form.as_bytes(), ANSWER_BYTES_MAX) {
            Ok(answered) if answered.status == 200 => Told::Answered,
            Ok(answered) => Told::Failed(format!("http_{}", answered.status)),
            Err(lost) => Told::Failed(lost.to_owned()),
        }
    }
}
