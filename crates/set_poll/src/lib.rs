//! Polls a transmitter of security events (RFC 8936, SSF 1.0) and hands each token to a ledger.
//!
//! ```text
//! poll ──▶ sets {jti: token} ──▶ ledger: durable    ──▶ `ack` of the next poll
//!                                        refused    ──▶ `setErrs` of the next poll
//!                                        not now    ──▶ neither: the transmitter sends it again
//! ```
//!
//! Promises: a token is acknowledged only after the ledger said that it is on the disk. One that
//! comes again, since an acknowledgement was lost, is handed on again: the ledger knows it. What
//! was done when the process ends is acknowledged by a last poll; if that is lost, the tokens come
//! again.
//!
//! Liberal in what it takes: `sets` and `moreAvailable` may be missing or null, and a transmitter
//! that answers at once though it was asked to wait is not asked in a loop.
//!
//! Assumes: the ledger checks signatures ([`Ledger`]). Refuses: to acknowledge what the ledger
//! refused because of this client's own key: that is an error here, not of the token.

pub mod access;
pub mod ledger;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ledgerline_client::outbound::Outbound;
use serde::{Deserialize, Serialize};

use crate::access::Access;

/// Longest answer of a transmitter, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Between two polls that brought nothing, when the transmitter does not wait by itself.
const PAUSE: Duration = Duration::from_secs(5);
/// An empty answer that took less was given at once.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What the ledger said of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is on the disk, now or since before.
    Recorded,
    /// It is refused for good: `err` and `description` of RFC 8935 section 2.3.
    Refused {
        /// A code of RFC 8935 section 2.4.
        err: String,
        /// For people.
        description: String,
    },
}

/// Where tokens are recorded.
pub trait Ledger {
    /// Records a token; returns when it is durable or refused.
    ///
    /// # Errors
    /// When nobody can tell, or this client itself may not: the token is not acknowledged.
    fn record(&self, set: &str) -> Result<Verdict, NotRecorded>;
}

/// Why it is not known what became of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// The ledger cannot be reached, or takes nothing now.
    #[error("the ledger does not take it now: {0}")]
    Later(String),
    /// This client's key is not valid or may not: somebody must see to it.
    #[error("the ledger refuses this client: {0}")]
    Ours(String),
}

/// Why a poll brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The transmitter could not be asked.
    #[error("the transmitter cannot be asked: {0}")]
    Lost(String),
    /// It refused.
    #[error("the transmitter answered {0}")]
    Status(u16),
    /// It answered something else than RFC 8936 has.
    #[error("the transmitter does not answer like one: {0}")]
    Garbled(&'static str),
    /// The ledger refuses this client.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
}

/// How to poll.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The poll endpoint of the stream.
    pub url: String,
    /// Certificates (PEM) to trust instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Most tokens of one answer.
    pub max_events: u32,
    /// How long the transmitter may wait before it answers; zero asks for an answer at once.
    pub wait: Duration,
}

#[derive(Serialize)]
struct SetError<'p> {
    err: &'p str,
    description: &'p str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Poll<'p> {
    max_events: u32,
    return_immediately: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ack: &'p [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    set_errs: BTreeMap<&'p str, SetError<'p>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Polled {
    sets: Option<BTreeMap<String, String>>,
    more_available: Option<bool>,
}

/// What one step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Tokens that the ledger took.
    pub recorded: usize,
    /// Those that it refused.
    pub refused: usize,
    /// How those were refused: `err` and `description` of each.
    pub refusals: Vec<(String, String)>,
    /// Those that it did not take now.
    pub left: usize,
    /// Why not.
    pub left_because: Option<String>,
    /// How long to wait before the next step.
    pub pause: Duration,
}

/// Asks one stream, again and again.
pub struct Poller<'l> {
    outbound: Outbound,
    access: Access,
    ledger: &'l dyn Ledger,
    settings: Settings,
    acks: Vec<String>,
    errors: BTreeMap<String, (String, String)>,
    failures: u32,
}

impl<'l> Poller<'l> {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the URL may not be called or the certificates cannot be used.
    pub fn new(settings: Settings, access: Access, ledger: &'l dyn Ledger) -> anyhow::Result<Self> {
        // Beyond what it was asked to wait: for the answer itself.
        let timeout = settings.wait + Duration::from_secs(15);
        let outbound = Outbound::new(&settings.url, settings.ca_file.as_deref(), timeout)?;
        let (acks, errors) = Default::default();
        Ok(Self { outbound, access, ledger, settings, acks, errors, failures: 0 })
    }

    /// Asks once, and hands on what came. What the step before did is acknowledged with it.
    ///
    /// # Errors
    /// When the transmitter could not be asked, or the ledger refuses this client. Nothing is lost
    /// by it; wait [`Self::pause_after_failure`] before the next step.
    pub fn step(&mut self) -> Result<Step, PollError> {
        let begun = Instant::now();
        let polled = self.poll(self.settings.max_events, self.settings.wait.is_zero());
        let polled = polled.inspect_err(|_| self.failures += 1)?;
        let has_answered_at_once = begun.elapsed() < AT_ONCE;
        let sets = polled.sets.unwrap_or_default();
        let is_empty = sets.is_empty();
        let mut step = Step::default();
        let mut ours = None;
        for (jti, set) in sets {
            match self.ledger.record(&set) {
                Ok(Verdict::Recorded) => {
                    step.recorded += 1;
                    self.acks.push(jti);
                }
                Ok(Verdict::Refused { err, description }) => {
                    step.refused += 1;
                    step.refusals.push((err.clone(), description.clone()));
                    self.errors.insert(jti, (err, description));
                }
                Err(NotRecorded::Later(why)) => {
                    step.left += 1;
                    step.left_because = Some(why);
                }
                // Another token may be recorded under another key; what was done is kept apart.
                Err(error) => ours = Some(error),
            }
        }
        if let Some(error) = ours {
            self.failures += 1;
            return Err(error.into());
        }
        if step.left > 0 {
            self.failures += 1;
            step.pause = self.pause_after_failure();
            return Ok(step);
        }
        self.failures = 0;
        let waits_itself = !self.settings.wait.is_zero() && !has_answered_at_once;
        if is_empty && polled.more_available != Some(true) && !waits_itself {
            step.pause = PAUSE;
        }
        Ok(step)
    }

    /// How long to wait after a step that failed: doubling up to a minute.
    #[must_use]
    pub fn pause_after_failure(&self) -> Duration {
        Duration::from_secs(1 << self.failures.saturating_sub(1).min(6)).min(PAUSE_MAX)
    }

    /// Whether something was done that the transmitter was not told of.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.acks.is_empty() || !self.errors.is_empty()
    }

    /// Tells the transmitter what was done, and asks for nothing.
    ///
    /// # Errors
    /// When it could not be told: it sends those tokens again.
    pub fn finish(&mut self) -> Result<(), PollError> {
        if self.owes() {
            self.poll(0, true)?;
        }
        Ok(())
    }

    fn poll(&mut self, max_events: u32, return_immediately: bool) -> Result<Polled, PollError> {
        let errors = self.errors.iter();
        let set_errs = errors
            .map(|(jti, (err, description))| (jti.as_str(), SetError { err, description }))
            .collect();
        let poll = Poll { max_events, return_immediately, ack: &self.acks, set_errs };
        let body = serde_json::to_vec(&poll).map_err(|_| PollError::Garbled("the request"))?;
        let answered = self.ask(&body)?;
        if !(200..300).contains(&answered.status) {
            return Err(PollError::Status(answered.status));
        }
        // Said and taken: whatever else the answer is.
        self.acks.clear();
        self.errors.clear();
        if answered.body.is_empty() {
            return Ok(Polled { sets: None, more_available: None });
        }
        serde_json::from_slice(&answered.body)
            .map_err(|_| PollError::Garbled("its body is no JSON with `sets`, texts by their jti"))
    }

    fn ask(&mut self, body: &[u8]) -> Result<ledgerline_client::outbound::Answered, PollError> {
        let lost = |what: String| PollError::Lost(what);
        let mut answered = None;
        // A token may have ended meanwhile: once more with a new one.
        for fresh in [false, true] {
            let bearer = self.access.bearer(fresh).map_err(lost)?;
            let mut headers =
                vec![("content-type", "application/json"), ("accept", "application/json")];
            if let Some(bearer) = &bearer {
                headers.push(("authorization", bearer));
            }
            let answer = self.outbound.post(&headers, body, ANSWER_BYTES_MAX);
            let answer = answer.map_err(|word| lost(word.to_owned()))?;
            let is_unknown = answer.status == 401;
            answered = Some(answer);
            if !is_unknown {
                break;
            }
        }
        answered.ok_or_else(|| lost("it was not asked".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Says of each token what the token itself says.
    struct Said;

    impl Ledger for Said {
        fn record(&self, set: &str) -> Result<Verdict, NotRecorded> {
            match set {
                "ours" => Err(NotRecorded::Ours("no role".to_owned())),
                _ => Ok(Verdict::Recorded),
            }
        }
    }

    /// Answers so many polls, and gives back what was asked.
    fn transmitter(answers: Vec<&'static str>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/poll", listener.local_addr().expect("an address"));
        let asked = thread::spawn(move || {
            let answer = |body: &str| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let (mut read, mut piece) = (Vec::new(), [0; 4096]);
                // The body is one JSON object, which ends the request.
                while !read.ends_with(b"}") {
                    let count = stream.read(&mut piece).expect("a request");
                    assert_ne!(count, 0, "the request broke off");
                    read.extend_from_slice(&piece[..count]);
                }
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
                     Content-Length: {length}\r\n\r\n{body}"
                );
                stream.write_all(head.as_bytes()).expect("an answer");
                let text = String::from_utf8(read).expect("text");
                text.split_once("\r\n\r\n").expect("a body").1.to_owned()
            };
            answers.into_iter().map(answer).collect()
        });
        (url, asked)
    }

    #[test]
    fn a_refusal_of_the_key_for_one_token_does_not_stop_the_others() {
        let sets = r#"{"sets":{"a":"sound","b":"ours","c":"sound"}}"#;
        let (url, asked) = transmitter(vec![sets, "{}"]);
        let settings = Settings { url, ca_file: None, max_events: 10, wait: Duration::ZERO };
        let mut poller = Poller::new(settings, Access::None, &Said).expect("a poller");
        let error = poller.step().expect_err("the key is refused");
        assert!(matches!(error, PollError::NotRecorded(NotRecorded::Ours(_))), "{error}");
        assert!(poller.owes());
        poller.finish().expect("told");
        let asked = asked.join().expect("a transmitter");
        let last: serde_json::Value = serde_json::from_str(&asked[1]).expect("JSON");
        assert_eq!(last["ack"], serde_json::json!(["a", "c"]));
        assert!(!poller.owes());
    }
}
