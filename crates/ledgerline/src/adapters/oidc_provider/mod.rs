//! The adapter for node-oidc-provider: its event log, a resource server's log, and policies.
//!
//! ```text
//! provider.ndjson         {time, event, request_id, payload}
//! resource-server.ndjson  {time, request_id, service, decision, token, token_form, …}
//! policies.ndjson         {time, policy_id, version, digest, document, …}
//! ```
//!
//! The kinds are told apart by their members, so files may come in any order or in one stream.
//!
//! Promises: JWTs are named by jti, every opaque token by `t1` of its value; a jti that only an
//! unverified JWT claims is never used as a name. Ids of requests, grants and sessions stay clear.
//!
//! Assumes: the provider's log is read from its start and in its order, because the tokens of a
//! revoked grant are known only from the lines before. The resource server's log needs no memory.
//!
//! Refuses: what [`super::Problem`] lists.

mod drafts;
mod facts;
mod grants;
mod model;
mod policies;
mod provider_log;
mod request;
mod resource_log;

use self::drafts::Recorder;
use self::facts::ADAPTER;
use self::model::{AnyLine, PolicyLine, ResourceLine, parse};
use self::provider_log::{Fate, ProviderLog};
use super::event::JsonEvent;
use super::{Act, Adapter, AdapterError, LINE_BYTES_MAX, Naming, Problem, Report};

/// How the ids of the log are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Region and issuer alias of the token ids.
    pub naming: Naming,
    /// Tenant and source of the credential the events will be posted with. When they are known, a
    /// revocation is also linked to the event that led to it.
    pub recorded_as: Option<(String, String)>,
}

/// The adapter. One value reads all files of one recording.
pub struct OidcProvider {
    naming: Naming,
    provider: ProviderLog,
    report: Report,
}

impl OidcProvider {
    /// An adapter that has read nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let recorder = options.recorded_as.map(|(tenant, source)| Recorder { tenant, source });
        let provider = ProviderLog::new(options.naming.clone(), recorder);
        Self { naming: options.naming, provider, report: Report::default() }
    }

    fn map(&mut self, text: &str, out: &mut Vec<Act>) -> Result<Fate, Problem> {
        if text.len() > LINE_BYTES_MAX {
            return Err(Problem::TooLong);
        }
        let line: AnyLine<'_> = parse(text)?;
        let single = |event: JsonEvent| Act { events: vec![event] };
        if line.payload.is_some() && line.event.is_some() {
            return self.provider.line(&line, out, &mut self.report);
        } else if line.policy_id.is_some() && line.document.is_some() {
            out.push(single(policies::event(&parse::<PolicyLine<'_>>(text)?)?));
        } else if line.decision.is_some() {
            out.push(single(resource_log::event(&self.naming, parse::<ResourceLine>(text)?)?));
        } else {
            return Err(Problem::UnknownShape);
        }
        Ok(Fate::Mapped)
    }

    fn count(&mut self, acts: &[Act]) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.report.acts += count(acts.len());
        self.report.events += acts.iter().map(|act| count(act.events.len())).sum::<u64>();
    }
}

impl Adapter for OidcProvider {
    fn name(&self) -> &'static str {
        ADAPTER.name
    }

    fn line(&mut self, number: u64, line: &str, out: &mut Vec<Act>) -> Result<(), AdapterError> {
        let line = line.trim_matches(['\r', '\n', ' ', '\t', '\u{feff}']);
        if line.is_empty() {
            return Ok(());
        }
        self.report.lines += 1;
        let before = out.len();
        let fate = self.map(line, out);
        self.count(&out[before..]);
        match fate {
            Ok(Fate::Mapped) => self.report.mapped += 1,
            Ok(Fate::Skipped(kind)) => self.report.skip(&kind),
            Err(problem) => {
                self.report.refused += 1;
                return Err(AdapterError { line: number, problem });
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Act>) {
        let before = out.len();
        self.provider.finish(out, &mut self.report);
        self.count(&out[before..]);
    }

    fn report(&self) -> &Report {
        &self.report
    }
}
