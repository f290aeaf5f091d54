//! The transport over HTTP: `POST /v1/events`.
//!
//! Promises: one call at a time over one kept connection, bounded in time and in what is read of an
//! answer. Redirects are not followed: the key goes to the named server alone. Error texts hold no
//! header and no body.
//!
//! ```text
//! 200                                   a verdict for each event
//! 400, 409, 413, 422 with a `code`      the body as a whole: sent again in parts
//! 413 without one                       a proxy: in parts while there are several, else later
//! 400, 409, 422 without one             no ledger said it: later
//! 408, 429, 5xx                         later, after Retry-After (seconds) where it is named
//! no connection, no answer, no sense    unreachable: sent again
//! anything else                         denied: credential, address or settings are wrong
//! ```
//!
//! Refuses: plain `http` but to this machine, unless it is asked for: the key would cross a network
//! in the clear.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ledgerline_api::BODY_BYTES_MAX;
use ledgerline_api::ingest::{EventStatus, Verdicts};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::seen::{LogReader, ReadError};
use crate::transport::{Delivery, Refused, Transport, Verdict, Word};
use crate::unit::{Form, Unit};

/// Longest answer read, in bytes: a verdict takes a few hundred.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Longest pause that a server can ask for.
const AFTER_MAX: Duration = Duration::from_secs(300);

/// How a ledger is reached over HTTP.
#[derive(Clone)]
pub struct HttpSettings {
    /// `https://host[:port][/prefix]`.
    pub url: String,
    /// The API key, role `producer`.
    pub key: String,
    /// Certificates in PEM to trust instead of the usual roots.
    pub ca_pem: Option<Vec<u8>>,
    /// Longest time for a call.
    pub timeout: Duration,
    /// Whether the key may cross a network in the clear.
    pub plain_http: bool,
}

impl HttpSettings {
    /// With defaults: usual roots, 10 seconds, no plain `http` but to this machine.
    pub fn new(url: impl Into<String>, key: impl Into<String>) -> Self {
        let (url, key) = (url.into(), key.into());
        Self { url, key, ca_pem: None, timeout: Duration::from_secs(10), plain_http: false }
    }
}

impl std::fmt::Debug for HttpSettings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "HttpSettings({})", self.url)
    }
}

/// What is wrong with the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpSettingsError {
    /// Not a usable address.
    #[error("the URL is https://host[:port][/prefix], without user, query or fragment")]
    Url,
    /// The key would cross a network in the clear.
    #[error("plain http is for this machine only; use https")]
    Plain,
    /// Not a key.
    #[error("the API key is one line of printable characters")]
    Key,
    /// No certificate in it.
    #[error("the certificates hold none in PEM")]
    Certificates,
}

/// The transport.
#[derive(Clone)]
pub struct HttpTransport {
    agent: Agent,
    base: String,
    authorization: String,
}

impl HttpTransport {
    /// By the settings. Nothing is sent yet.
    ///
    /// # Errors
    /// [`HttpSettingsError`].
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpSettingsError> {
        let base = settings.url.trim_end_matches('/');
        let is_here = check_url(base)?;
        if !is_here && base.starts_with("http://") && !settings.plain_http {
            return Err(HttpSettingsError::Plain);
        }
        let key = settings.key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HttpSettingsError::Key);
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout))
            .timeout_connect(Some(settings.timeout.min(Duration::from_secs(3))))
            .user_agent(concat!("ledgerline-emitter/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(settings.ca_pem.as_deref())?);
        if is_here {
            config = config.proxy(None);
        }
        let (agent, base) = (config.build().new_agent(), base.to_owned());
        Ok(Self { agent, base, authorization: format!("Bearer {key}") })
    }

    fn call(&self, media_type: &str, body: &[u8]) -> Result<Answer, Word> {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/v1/events", self.base))
            .header("authorization", &self.authorization)
            .header("content-type", media_type);
        let request = request.body(body).map_err(|_| "bad_request")?;
        Answer::read(self.agent.run(request))
    }

    fn get(&self, path: &str) -> Result<Answer, Word> {
        let request = Request::builder().method("GET").uri(format!("{}/{path}", self.base));
        Answer::read(self.agent.run(request.body(()).map_err(|_| "bad_request")?))
    }
}

/// Whether a URL is of this machine.
fn check_url(url: &str) -> Result<bool, HttpSettingsError> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let rest = rest.ok_or(HttpSettingsError::Url)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || !is_plain || url.contains(['@', '?', '#']) {
        return Err(HttpSettingsError::Url);
    }
    if let Some(rest) = authority.strip_prefix('[') {
        return Ok(rest.split(']').next() == Some("::1"));
    }
    let host = authority.split(':').next().unwrap_or_default();
    let is_loopback = host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    Ok(host == "localhost" || is_loopback)
}

fn tls(ca_pem: Option<&[u8]>) -> Result<TlsConfig, HttpSettingsError> {
    let mut tls = TlsConfig::builder().provider(TlsProvider::Rustls);
    if let Some(pem) = ca_pem {
        let certificates: Vec<_> = parse_pem(pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(HttpSettingsError::Certificates);
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
    }
    Ok(tls.build())
}

struct Answer {
    status: u16,
    after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    fn read(answer: Result<Response<ureq::Body>, ureq::Error>) -> Result<Self, Word> {
        let response = answer.map_err(|error| word(&error))?;
        let (status, after) = (response.status().as_u16(), retry_after(response.headers()));
        let body = response.into_body().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok(Self { status, after, body: body.map_err(|error| word(&error))? })
    }

    /// Whether the body says what is wrong as a ledger does.
    fn is_problem(&self) -> bool {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().is_some_and(|code| !code.is_empty())
    }

    /// The problem in the body, if there is one.
    fn problem(&self) -> Refused {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        let code = Some(text("code")).filter(|code| !code.is_empty());
        Refused {
            code: code.unwrap_or_else(|| format!("http_{}", self.status)),
            detail: text("detail"),
        }
    }
}

/// The pause that a server asks for, in whole seconds; dates are not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(AFTER_MAX))
}

fn word(error: &ureq::Error) -> Word {
    Word::Borrowed(match error {
        ureq::Error::Timeout(_) => "timeout",
        ureq::Error::HostNotFound => "host_not_found",
        ureq::Error::ConnectionFailed => "connection_failed",
        ureq::Error::BodyExceedsLimit(_) => "answer_too_long",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "tls",
        ureq::Error::Io(_) => "connection_lost",
        _ => "failed",
    })
}

impl Transport for HttpTransport {
    fn send(&mut self, batch: &[Arc<Unit>]) -> Delivery {
        let Some(first) = batch.first() else { return Delivery::Answered(Vec::new(), None) };
        let (media_type, open, between, close) = match first.form() {
            Form::Json => ("application/json", "[", ",", "]"),
            Form::Submission => ("application/vnd.ledgerline.batch", "", "", ""),
        };
        let mut body = open.as_bytes().to_vec();
        for (at, unit) in batch.iter().enumerate() {
            body.extend_from_slice(if at > 0 { between.as_bytes() } else { b"" });
            body.extend_from_slice(unit.body());
        }
        body.extend_from_slice(close.as_bytes());
        if body.len() > BODY_BYTES_MAX {
            return Delivery::TooMuch(Refused::new("body_too_large", "beyond a body's limit"));
        }
        let count = batch.iter().map(|unit| unit.ids().len()).sum();
        match self.call(media_type, &body) {
            Err(why) => Delivery::Unreachable { why },
            Ok(answer) => judge(&answer, count, batch.len() > 1),
        }
    }
}

/// `can_halve`: whether the body had several units.
fn judge(answer: &Answer, count: usize, can_halve: bool) -> Delivery {
    match answer.status {
        200 => verdicts(&answer.body, count)
            .unwrap_or(Delivery::Unreachable { why: Word::Borrowed("garbled_answer") }),
        400 | 409 | 413 | 422 if answer.is_problem() => Delivery::TooMuch(answer.problem()),
        413 if can_halve => Delivery::TooMuch(answer.problem()),
        // Something on the way says so, which is no word of the ledger about these events.
        400 | 409 | 413 | 422 | 408 | 429 | 500..=599 => {
            let why = Word::Owned(format!("http_{}", answer.status));
            Delivery::Busy { after: answer.after, why }
        }
        _ => Delivery::Denied(answer.problem()),
    }
}

fn verdicts(body: &[u8], count: usize) -> Option<Delivery> {
    let answer: Verdicts<'_> = serde_json::from_slice(body).ok()?;
    if answer.events.len() != count {
        return None;
    }
    let each = answer.events.into_iter().map(|one| match one.status {
        EventStatus::Recorded => Verdict::Recorded,
        EventStatus::Duplicate => Verdict::Duplicate,
        EventStatus::Refused => Verdict::Refused(match one.error {
            Some(error) => Refused::new(error.code, error.detail),
            None => Refused::new("unexplained", ""),
        }),
    });
    Some(Delivery::Answered(each.collect(), answer.checkpoint.map(Into::into)))
}

impl LogReader for HttpTransport {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let answer = self.get(path).map_err(ReadError::Unreachable)?;
        match answer.status {
            200 => Ok(answer.body),
            404 | 410 => Err(ReadError::Missing),
            status => Err(ReadError::Unreachable(format!("http_{status}").into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cross_no_network_in_the_clear() {
        let check = |url: &str, expected: Option<HttpSettingsError>| {
            let found = HttpTransport::new(&HttpSettings::new(url, "llk_x")).err();
            assert_eq!(found, expected, "{url}");
        };
        check("https://ledger.example.com", None);
        check("https://ledger.example.com/prefix/", None);
        check("http://127.0.0.1:8790", None);
        check("http://[::1]:8790", None);
        check("http://localhost", None);
        check("http://127.evil.example", Some(HttpSettingsError::Plain));
        check("http://ledger.example.com", Some(HttpSettingsError::Plain));
        check("https://user:pass@ledger.example.com", Some(HttpSettingsError::Url));
        check("ftp://ledger.example.com", Some(HttpSettingsError::Url));
        check("https://", Some(HttpSettingsError::Url));
    }

    #[test]
    fn every_status_means_one_thing() {
        let check = |status: u16, body: &str, expected: &str| {
            let after = Some(Duration::from_secs(7));
            let answer = Answer { status, after, body: body.as_bytes().to_vec() };
            let found = format!("{:?}", judge(&answer, 1, false));
            assert!(found.starts_with(expected), "{status}: {found}");
        };
        check(200, r#"{"events":[{"status":"recorded"}],"checkpoint":"c"}"#, "Answered([Recorded]");
        check(200, r#"{"events":[{"status":"duplicate"}]}"#, "Answered([Duplicate], None)");
        let refused =
            r#"{"events":[{"status":"refused","error":{"code":"bad_field","detail":"x"}}]}"#;
        check(200, refused, "Answered([Refused(Refused { code: \"bad_field\"");
        check(200, r#"{"events":[]}"#, "Unreachable { why: \"garbled_answer\"");
        check(200, "<html>", "Unreachable");
        check(400, r#"{"code":"bad_json"}"#, "TooMuch(Refused { code: \"bad_json\"");
        check(413, r#"{"code":"body_too_large"}"#, "TooMuch");
        for status in [400, 409, 413, 422] {
            check(status, "<html>no ledger</html>", "Busy");
            check(status, r#"{"error":"no ledger"}"#, "Busy");
        }
        let proxy = Answer { status: 413, after: None, body: Vec::new() };
        assert!(matches!(judge(&proxy, 2, true), Delivery::TooMuch(_)));
        check(429, "", "Busy { after: Some(7s), why: \"http_429\" }");
        check(500, "", "Busy");
        check(503, "", "Busy");
        check(401, r#"{"code":"unauthenticated"}"#, "Denied(Refused { code: \"unauthenticated\"");
        check(302, "", "Denied(Refused { code: \"http_302\"");
    }
}
