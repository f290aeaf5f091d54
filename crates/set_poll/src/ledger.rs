//! A ledger's server as the place where tokens are recorded: `POST /v1/sets`, which checks the
//! signature, answers 202 when the event is on the disk, and by a code of RFC 8935 otherwise.

use ledgerline_client::{Client, ClientError};

use crate::{Ledger, NotRecorded, Verdict};

/// Codes that are about this client, not about the token.
const OURS: [&str; 2] = ["authentication_failed", "access_denied"];

impl Ledger for Client {
    fn record(&self, set: &str) -> Result<Verdict, NotRecorded> {
        match self.post("/v1/sets", "application/secevent+jwt", set.as_bytes()) {
            Ok(_) => Ok(Verdict::Recorded),
            Err(ClientError::Refused { status: 400, code, detail }) if !code.is_empty() => {
                match OURS.contains(&code.as_str()) {
                    true => Err(NotRecorded::Ours(detail)),
                    false => Ok(Verdict::Refused { err: code, description: detail }),
                }
            }
            Err(ClientError::Refused { status: 413 | 415, code, detail }) => {
                let description = format!("{code}: {detail}");
                Ok(Verdict::Refused { err: "invalid_request".to_owned(), description })
            }
            Err(error) => Err(NotRecorded::Later(error.to_string())),
        }
    }
}
