//! Questions over one connection, one at a time, and their times.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::load::{Load, Outcome, Source, drive};
use crate::server::Server;

/// Longest that one row of questions may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks with the credential of one who may read everything.
pub struct Asking<'s> {
    server: &'s Server,
    key: String,
}

impl<'s> Asking<'s> {
    /// Registers the credential.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn new(server: &'s Server) -> Result<Self> {
        let roles = ["auditor", "privacy", "reader", "responder"];
        let added = server.add_key(&json!({ "source": "reader", "roles": roles }))?;
        let key = added["secret"].as_str().context("a secret")?.to_owned();
        Ok(Self { server, key })
    }

    /// With a credential that was registered before.
    pub fn with(server: &'s Server, key: &str) -> Self {
        Self { server, key: key.to_owned() }
    }

    /// The credential.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The handle of a user of the population.
    ///
    /// # Errors
    /// When nobody of that name is known.
    pub fn handle(&self, user: &str) -> Result<String> {
        let body = json!({ "kind": "PERSON", "issuer": "idp", "value": user }).to_string();
        let answer = self.server.call_as(&self.key, "POST", "/v1/resolve", body.as_bytes())?;
        Ok(answer["handle"].as_str().context("a handle")?.to_owned())
    }

    /// Asks `count` questions in a row, the `n`th of them at `path(n)`.
    ///
    /// # Errors
    /// When an answer is not 200.
    pub fn ask(&self, count: u64, path: impl Fn(u64) -> String) -> Result<Outcome> {
        let requests: Vec<Vec<u8>> = (0..count).map(|n| self.get(&path(n))).collect();
        let source: Source = Arc::new(move |n, out: &mut Vec<u8>| {
            let request = usize::try_from(n).ok().and_then(|n| requests.get(n));
            out.extend_from_slice(request.map_or(&[][..], Vec::as_slice));
            request.is_some()
        });
        let load = Load { connections: 1, duration: LIMIT, rate: None, in_a_row: 1 };
        drive(self.server.target()?, load, 0, &source)
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let key = &self.key;
        format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n")
            .into_bytes()
    }
}

/// Text as one segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
