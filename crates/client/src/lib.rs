//! The client of the HTTP interface that every client command uses.
//!
//! Promises: a call refused with 429 or 503, or lost on the way, is repeated after the time the
//! server names, else after a doubling pause. That is safe: events carry their identity, so a
//! repeated one is a `duplicate`. A server that has not answered yet is tried for 3 seconds, unless
//! --retries says otherwise; what no second try can change is not tried again ([`Lost`]). That it
//! is being waited for is said in one line. The API key is sent to the named server only; redirects
//! are not followed. A key that crosses a network in the clear, and a key file that others can
//! read, are warned of.
//!
//! An answer keeps its JSON as it came, for programs, and is read as the form that the caller knows
//! ([`Answered`]); one that does not read so is an error that names the route.
//!
//! Refuses: answers above 64 MiB. Errors never hold the key or a body.

pub mod outbound;
pub mod remote_log;
pub mod secret_file;
mod unreachable;

use std::cell::Cell;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, Response};

use crate::unreachable::Lost;

/// The address a server listens on when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8790";
/// Longest answer taken, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Times a call is repeated when nobody says how often.
const RETRIES: u32 = 8;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long a connection may take, and how long a server is tried that never answered.
const CONNECT_MAX: Duration = Duration::from_secs(3);
const JSON: &str = "application/json";
/// What need not be escaped in a path segment (RFC 3986 section 3.3, without `/`).
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server could not be reached, or the connection broke.
    #[error("cannot reach {url}: {problem}")]
    Unreachable {
        /// The server.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The server refused.
    #[error("the server refused ({status} {code}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable code.
        code: String,
        /// For people.
        detail: String,
    },
    /// The answer is not what the interface says.
    #[error("{url} does not answer like a ledger: {problem}")]
    Garbled {
        /// The server.
        url: String,
        /// What is wrong.
        problem: String,
    },
}

impl ClientError {
    /// The stable code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// What was configured and cannot be used. The text says what is wrong, and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(String);

impl Misconfigured {
    /// With a text for people.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// How a server is reached; where nothing is said, the defaults.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// URL of the server.
    pub url: Option<String>,
    /// File that holds the API key; without it `LEDGERLINE_KEY` of the environment is used.
    pub key_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds a call may take, retries aside.
    pub timeout_ms: Option<u64>,
    /// Times a refused or failed call is repeated.
    pub retries: Option<u32>,
}

/// A connection to one server.
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
    retries: Option<u32>,
    /// Whether the server has answered anything.
    answered: Cell<bool>,
    /// Whether it was said that it is waited for.
    told: Cell<bool>,
}

/// What is sent.
#[derive(Clone, Copy)]
struct Body<'a> {
    media_type: &'a str,
    bytes: &'a [u8],
}

/// An answer as the server sent it, members that this version does not know included.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its JSON; null for an answer without a body.
    pub raw: Value,
    url: String,
    route: String,
}

impl Answered {
    /// What it says. Texts are borrowed from the JSON.
    ///
    /// # Errors
    /// [`ClientError::Garbled`] when it is not of that form: the server is of another version.
    pub fn form<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ClientError> {
        T::deserialize(&self.raw).map_err(|error| {
            // What serde says of a value shows the value.
            let what = error.to_string();
            let is_shown = what.starts_with("missing field ");
            let what = if is_shown { &what } else { "a member is not of its type" };
            self.garbled(&format!("{what}; is the server of another version?"))
        })
    }

    /// An error about it that names its route.
    #[must_use]
    pub fn garbled(&self, problem: &str) -> ClientError {
        let problem = format!("{}: {problem}", self.route);
        ClientError::Garbled { url: self.url.clone(), problem }
    }

    /// Puts the items of a list of another page behind its own.
    ///
    /// # Errors
    /// [`ClientError::Garbled`] when either has no such list.
    pub fn append(&mut self, list: &str, page: &mut Self) -> Result<(), ClientError> {
        let items = |answer: &mut Self| answer.raw.get_mut(list).map(Value::take);
        let (own, more) = (items(self), items(page));
        match (own, more) {
            (Some(Value::Array(mut own)), Some(Value::Array(mut more))) => {
                own.append(&mut more);
                self.raw[list] = own.into();
                Ok(())
            }
            _ => Err(page.garbled(&format!("a page without its `{list}`"))),
        }
    }
}

struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Vec<u8>,
}

impl Answer {
    /// Why a refusal that passes is waited out.
    fn waits_for(&self) -> String {
        let problem: ProblemBody = serde_json::from_slice(&self.body).unwrap_or_default();
        match &*problem.code {
            "not_in_a_block_yet" => "waiting for the next block".to_owned(),
            _ => "it is busy; trying again".to_owned(),
        }
    }
}

/// A problem body (RFC 9457).
#[derive(Deserialize, Default)]
#[serde(default)]
struct ProblemBody {
    #[serde(alias = "error", alias = "err")]
    code: String,
    #[serde(alias = "error_description", alias = "description")]
    detail: String,
}

/// A path segment, escaped.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

impl Client {
    /// A client by the settings. Nothing is sent yet.
    ///
    /// # Errors
    /// When the key or the certificates cannot be read, or the URL is none.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let base = settings.url.as_deref().unwrap_or(DEFAULT_URL).trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Misconfigured::new("url begins with http:// or https://").into());
        }
        let tls = outbound::tls(settings.ca_file.as_deref())?;
        if settings.timeout_ms == Some(0) {
            return Err(Misconfigured::new("timeout_ms is at least 1").into());
        }
        let timeout = Duration::from_millis(settings.timeout_ms.unwrap_or(60_000));
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .timeout_resolve(Some(CONNECT_MAX.min(timeout)))
            .timeout_connect(Some(CONNECT_MAX.min(timeout)))
            .user_agent(concat!("ledgerline/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls);
        let is_here = outbound::is_here(&base);
        if is_here {
            config = config.proxy(None);
        }
        let agent = config.build().new_agent();
        let key = read_key(settings)?;
        if key.is_some() && !is_here && base.starts_with("http://") {
            say(&format!("warning: the API key goes to {base} in the clear: use https://"));
        }
        let (answered, told) = (Cell::new(false), Cell::new(false));
        Ok(Self { agent, base, key, retries: settings.retries, answered, told })
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Whether an API key is at hand.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get(&self, path: &str) -> Result<Answered, ClientError> {
        self.json(&Method::GET, path, None)
    }

    /// Asks for bytes; `None` for 404.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, ClientError> {
        match self.call(&Method::GET, path, None) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a body and reads JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post(&self, path: &str, media_type: &str, body: &[u8]) -> Result<Answered, ClientError> {
        self.json(&Method::POST, path, Some(Body { media_type, bytes: body }))
    }

    /// Sends JSON and reads JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post_json(&self, path: &str, body: &impl Serialize) -> Result<Answered, ClientError> {
        self.post(path, JSON, &json_of(body))
    }

    /// Sends JSON and reads bytes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post_for_bytes(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Vec<u8>, ClientError> {
        let bytes = &json_of(body);
        self.call(&Method::POST, path, Some(Body { media_type: JSON, bytes }))
    }

    /// Sends a form, one pair for each member, and reads JSON; null for an answer without a body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post_form(&self, path: &str, form: &impl Serialize) -> Result<Answered, ClientError> {
        let body = form_of(form);
        self.post(path, "application/x-www-form-urlencoded", body.as_bytes())
    }

    /// Deletes and reads JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete(&self, path: &str) -> Result<Answered, ClientError> {
        self.json(&Method::DELETE, path, None)
    }

    fn json(
        &self,
        method: &Method,
        path: &str,
        body: Option<Body<'_>>,
    ) -> Result<Answered, ClientError> {
        let bytes = self.call(method, path, body)?;
        let raw = match &bytes[..] {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).map_err(|_| self.garbled("not JSON"))?,
        };
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Ok(Answered { raw, url: self.base.clone(), route: format!("{method} {path}") })
    }

    /// An answer that breaks the interface.
    #[must_use]
    pub fn garbled(&self, problem: &str) -> ClientError {
        ClientError::Garbled { url: self.base.clone(), problem: problem.to_owned() }
    }

    fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<Body<'_>>,
    ) -> Result<Vec<u8>, ClientError> {
        let (mut tried, begun) = (0, Instant::now());
        loop {
            let answer = self.once(method, path, body);
            let (pause, why) = match &answer {
                Ok(answer) if matches!(answer.status, 429 | 503) => {
                    let named = answer.retry_after.map(Duration::from_secs);
                    (named.unwrap_or_else(|| backoff(tried)), answer.waits_for())
                }
                Err(lost) if lost.passes => {
                    (backoff(tried), format!("{}; trying again", lost.words))
                }
                Ok(_) | Err(_) => (Duration::ZERO, String::new()),
            };
            self.answered.set(self.answered.get() || answer.is_ok());
            let most = self.retries.unwrap_or(RETRIES);
            let in_time = self.retries.is_some()
                || self.answered.get()
                || begun.elapsed() + pause < CONNECT_MAX;
            if pause.is_zero() || tried >= most || !in_time {
                return match answer {
                    Ok(answer) => self.judge(answer),
                    Err(Lost { words: problem, .. }) => {
                        Err(ClientError::Unreachable { url: self.base.clone(), problem })
                    }
                };
            }
            if !self.told.replace(true) {
                say(&format!("{}: {why} (Ctrl-C ends it)", self.base));
            }
            tracing::debug!(pause_ms = pause.as_millis(), tried, "trying again");
            thread::sleep(pause.min(PAUSE_MAX));
            tried += 1;
        }
    }

    fn judge(&self, answer: Answer) -> Result<Vec<u8>, ClientError> {
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let Ok(problem) = serde_json::from_slice::<ProblemBody>(&answer.body) else {
            return Err(self.garbled(&format!("status {} without a problem", answer.status)));
        };
        let ProblemBody { code, mut detail } = problem;
        if answer.status == 401 && self.key.is_none() {
            detail = "there is no API key: give --key-file FILE, or set LEDGERLINE_KEY".to_owned();
        }
        Err(ClientError::Refused { status: answer.status, code, detail })
    }

    fn once(&self, method: &Method, path: &str, body: Option<Body<'_>>) -> Result<Answer, Lost> {
        let no_url = |_| Lost { words: "the URL is none".to_owned(), passes: false };
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let response: Response<ureq::Body> = match body {
            Some(Body { media_type, bytes }) => {
                let request = request.header("content-type", media_type).body(bytes);
                self.agent.run(request.map_err(no_url)?)
            }
            None => self.agent.run(request.body(()).map_err(no_url)?),
        }
        .map_err(|error| Lost::of(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        let body = response
            .into_body()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|error| Lost::of(&error))?;
        Ok(Answer { status, retry_after, body })
    }
}

/// The JSON of a form of ours, which has no keys but texts.
fn json_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a form is JSON")
}

/// The same as `application/x-www-form-urlencoded`.
fn form_of(form: &impl Serialize) -> String {
    let form = serde_json::to_value(form).expect("a form is JSON");
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={}", segment(text)),
        other => format!("{name}={other}"),
    };
    form.as_object().into_iter().flatten().map(pair).collect::<Vec<_>>().join("&")
}

fn backoff(tried: u32) -> Duration {
    Duration::from_millis(100 << tried.min(7))
}

/// A line of progress or a warning. Nothing is left to do when standard error is closed.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "ledgerline: {text}");
}

/// Whether others than its owner may read or change a file.
fn is_open_to_others(path: &std::path::Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o077 != 0)
}

/// Says of a key file that is not there how one is made.
fn key_file_lost(path: &std::path::Path, error: io::Error) -> anyhow::Error {
    let name = path.display();
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    let how = format!(
        "key file {name} is not there: an administrator makes one with `ledgerline keys add \
         --key-file admin.key --source NAME --role ROLE --out {name}`, the first one comes from \
         `ledgerline serve --bootstrap-key-file`"
    );
    let what = if is_missing { how } else { format!("key file {name}") };
    anyhow::Error::new(error).context(what)
}

fn read_key(settings: &Settings) -> anyhow::Result<Option<String>> {
    let text = match &settings.key_file {
        Some(path) => {
            let name = path.display();
            let text = fs::read_to_string(path).map_err(|error| key_file_lost(path, error))?;
            if is_open_to_others(path) {
                say(&format!("warning: others may read the key file {name}: chmod 600 {name}"));
            }
            Some(text)
        }
        None => std::env::var("LEDGERLINE_KEY").ok(),
    };
    let Some(text) = text else { return Ok(None) };
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            Misconfigured::new("the API key is not one line of printable characters").into()
        );
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn segments_keep_token_ids_whole() {
        assert_eq!(segment("eu:idp:jti:a/b?c#d%"), "eu:idp:jti:a%2Fb%3Fc%23d%25");
    }

    #[test]
    fn an_answer_of_another_form_names_its_route_and_shows_no_value() {
        #[derive(Debug, Deserialize)]
        struct Form<'a> {
            name: &'a str,
            size: u64,
        }
        let check = |raw: Value, expected: &str| {
            let (url, route) = ("http://l.test".to_owned(), "GET /v1/x".to_owned());
            let answer = Answered { raw, url, route };
            match answer.form::<Form<'_>>() {
                Ok(Form { name, size }) => assert_eq!(format!("{name}{size}"), expected),
                Err(error) => {
                    let said = error.to_string();
                    assert!(said.contains("GET /v1/x: ") && said.contains(expected), "{said}");
                    assert!(!said.contains("secret"), "{said}");
                }
            }
        };
        check(json!({ "name": "a", "size": 1, "newer": [] }), "a1");
        check(json!({ "name": "a" }), "missing field `size`");
        check(json!({ "name": "a", "size": "secret" }), "a member is not of its type");
        check(Value::Null, "another version");
    }

    #[test]
    fn forms_are_escaped_and_leave_out_what_is_absent() {
        #[derive(Serialize)]
        struct Form {
            token: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<&'static str>,
            dry_run: Option<bool>,
        }
        let form = Form { token: "a b+c", hint: None, dry_run: Some(true) };
        assert_eq!(form_of(&form), "dry_run=true&token=a%20b%2Bc");
    }

    #[test]
    fn pauses_double_and_are_bounded() {
        assert_eq!(backoff(0), Duration::from_millis(100));
        assert_eq!(backoff(3), Duration::from_millis(800));
        assert_eq!(backoff(40), backoff(7));
    }
}
