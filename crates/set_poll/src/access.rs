//! How the transmitter knows this client: a bearer token of a file, which somebody else renews, or
//! one by the client credentials grant (RFC 6749 section 4.4).
//!
//! Promises: secrets are read from files when they are needed, and never logged or said.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_client::outbound::Outbound;
use ledgerline_client::secret_file::read_secret_file;
use serde::Deserialize;

/// Longest answer of a token endpoint, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 10;
/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_secs(10);
/// Longest a token is kept, in seconds, whatever its endpoint says of it: a day.
const KEPT_SECONDS_MAX: u64 = 24 * 60 * 60;

/// How long a token is used that lives so many seconds; a minute where nothing is said.
fn kept(expires_in: Option<u64>) -> Duration {
    let seconds = expires_in.unwrap_or(60).min(KEPT_SECONDS_MAX);
    Duration::from_secs(seconds).saturating_sub(MARGIN)
}

/// How this client is known.
pub enum Access {
    /// Not at all.
    None,
    /// By the token in a file, read anew for each poll.
    File(PathBuf),
    /// By client credentials.
    Client(ClientCredentials),
}

/// A client of the transmitter's authorization server.
pub struct ClientCredentials {
    endpoint: Outbound,
    client_id: String,
    secret_file: PathBuf,
    held: Option<(String, Instant)>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

impl ClientCredentials {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(endpoint: Outbound, client_id: String, secret_file: PathBuf) -> Self {
        Self { endpoint, client_id, secret_file, held: None }
    }

    fn grant(&mut self) -> Result<String, String> {
        let secret = read_secret_file(&self.secret_file).map_err(|error| format!("{error:#}"))?;
        let escape = |text: &str| ledgerline_client::segment(text).replace(':', "%3A");
        let basic = format!("{}:{}", escape(&self.client_id), escape(&secret));
        let basic = format!("Basic {}", STANDARD.encode(basic));
        let headers = [
            ("authorization", basic.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "application/json"),
        ];
        let body = b"grant_type=client_credentials";
        let answered = self.endpoint.post(&headers, body, ANSWER_BYTES_MAX);
        let answered = answered.map_err(|word| format!("its token endpoint: {word}"))?;
        if answered.status != 200 {
            return Err(format!("its token endpoint answered {}", answered.status));
        }
        let granted: Granted = serde_json::from_slice(&answered.body)
            .map_err(|_| "its token endpoint answered no access token".to_owned())?;
        let until = Instant::now() + kept(granted.expires_in);
        let bearer = format!("Bearer {}", granted.access_token);
        self.held = Some((bearer.clone(), until));
        Ok(bearer)
    }
}

impl Access {
    /// The header Authorization, if one is sent; with `fresh` not the one before.
    ///
    /// # Errors
    /// Why there is none.
    pub fn bearer(&mut self, fresh: bool) -> Result<Option<String>, String> {
        match self {
            Self::None => Ok(None),
            Self::File(path) => {
                let token = read_secret_file(path).map_err(|error| format!("{error:#}"))?;
                Ok(Some(format!("Bearer {token}")))
            }
            Self::Client(client) => match &client.held {
                Some((bearer, until)) if !fresh && Instant::now() < *until => {
                    Ok(Some(bearer.clone()))
                }
                _ => client.grant().map(Some),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_said_to_live_for_ever_is_kept_a_day() {
        let check = |said: Option<u64>, seconds: u64| {
            assert_eq!(kept(said), Duration::from_secs(seconds), "{said:?}");
            let _ = Instant::now() + kept(said);
        };
        check(None, 50);
        check(Some(3600), 3590);
        check(Some(5), 0);
        check(Some(u64::MAX), KEPT_SECONDS_MAX - 10);
    }
}
