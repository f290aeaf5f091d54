//! Calls to servers of others: one agent for each, with everything about it bounded.
//!
//! Promises: a call ends within its time-out, redirects are not followed, no more of an answer is
//! read than allowed, and no error text holds a header, a body or a path. TLS is rustls with the
//! usual roots or the certificates named.
//!
//! Refuses: plain `http` but to this machine (a token or a key must not cross a network in the
//! clear), and credentials in URLs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::Misconfigured;

/// Why a call gave no answer: a short word that may be logged and recorded.
pub type Lost = &'static str;

/// An answer: status and at most the bytes asked for.
#[derive(Debug)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// A server of others.
#[derive(Debug, Clone)]
pub struct Outbound {
    agent: Agent,
    url: String,
}

/// Whether a URL may be called: `https`, or `http` to this machine, without user or fragment.
///
/// # Errors
/// What is wrong with it.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    let plain = url.strip_prefix("http://");
    let rest = plain.or_else(|| url.strip_prefix("https://")).ok_or("it begins with https://")?;
    if url.len() > 2048 || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it is longer than 2048 bytes or has odd characters");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') || url.contains('#') {
        return Err("it must have no user, password or fragment");
    }
    if authority.is_empty() {
        return Err("it names no host");
    }
    if plain.is_some() && !is_this_machine(authority) {
        return Err("plain http is for this machine only; use https");
    }
    Ok(())
}

/// Whether a URL is of this machine: what goes there crosses no network.
#[must_use]
pub fn is_here(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    is_this_machine(rest.split(['/', '?', '#']).next().unwrap_or_default())
}

fn is_this_machine(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => return rest.split(']').next() == Some("::1"),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// TLS with the usual roots, or with the certificates of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn tls(ca_file: Option<&Path>) -> anyhow::Result<TlsConfig> {
    let mut tls = TlsConfig::builder().provider(TlsProvider::Rustls);
    if let Some(path) = ca_file {
        let pem = fs::read(path).with_context(|| format!("{}", path.display()))?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            let what = format!("{} holds no certificate", path.display());
            return Err(Misconfigured::new(what).into());
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
    }
    Ok(tls.build())
}

impl Outbound {
    /// An agent for one URL. Nothing is sent yet.
    ///
    /// # Errors
    /// When the URL may not be called or the certificates cannot be used.
    pub fn new(url: &str, ca_file: Option<&Path>, timeout: Duration) -> anyhow::Result<Self> {
        check_url(url).map_err(Misconfigured::new)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .user_agent(concat!("ledgerline/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(ca_file)?);
        if url.starts_with("http://") {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().new_agent(), url: url.to_owned() })
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks for what the URL names.
    ///
    /// # Errors
    /// A word that says how it was lost.
    pub fn get(&self, accept: &str, limit: u64) -> Result<Answered, Lost> {
        let request = Request::builder().method("GET").uri(&self.url).header("accept", accept);
        let request = request.body(()).map_err(|_| "bad_request")?;
        answered(self.agent.run(request), limit)
    }

    /// Sends a body.
    ///
    /// # Errors
    /// A word that says how it was lost.
    pub fn post(
        &self,
        headers: &[(&str, &str)],
        body: &[u8],
        limit: u64,
    ) -> Result<Answered, Lost> {
        let mut request = Request::builder().method("POST").uri(&self.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|_| "bad_request")?;
        answered(self.agent.run(request), limit)
    }
}

fn answered(
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    limit: u64,
) -> Result<Answered, Lost> {
    let response = response.map_err(|error| word(&error))?;
    let status = response.status().as_u16();
    let body = response.into_body().with_config().limit(limit).read_to_vec();
    Ok(Answered { status, body: body.map_err(|error| word(&error))? })
}

fn word(error: &ureq::Error) -> Lost {
    match error {
        ureq::Error::Timeout(_) => "timeout",
        ureq::Error::HostNotFound => "host_not_found",
        ureq::Error::ConnectionFailed => "connection_failed",
        ureq::Error::BodyExceedsLimit(_) => "answer_too_long",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "tls",
        ureq::Error::Io(_) => "connection_lost",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_urls_are_called() {
        let check = |url: &str, expected: bool| {
            assert_eq!(check_url(url).is_ok(), expected, "{url}");
        };
        check("https://idp.example.com/jwks", true);
        check("http://127.0.0.1:8080/jwks", true);
        check("http://localhost/x", true);
        check("http://[::1]:1/x", true);
        check("http://127.evil.example/x", false);
        check("http://localhost.evil.example/x", false);
        check("http://idp.example.com/jwks", false);
        check("https://user:pass@idp.example.com/", false);
        check("https://idp.example.com/#a", false);
        check("https:///x", false);
        check("ftp://idp.example.com", false);
        check("https://idp.example.com/a b", false);
    }
}
