//! What SIGHUP reads anew: the TLS certificate and its key, the CAs of clients, the issuers, the
//! log level.
//!
//! Promises: everything is read before anything is changed, so that a mistake in one of them
//! changes nothing, and is logged (`reload_failed`). Connections that are open keep the
//! certificate they were made with. Settings of the file that changed and need a restart are named
//! (`needs_restart`).
//!
//! Assumes: flags and the environment stay what they were, and win over the file as at the start.
//!
//! Refuses: to begin or end TLS while the server runs.

use std::path::PathBuf;

use ledgerline_gate::tls::{self, Tls};
use ledgerline_http::App;
use ledgerline_issuers::Issuers;

use crate::config::{FileSettings, LogSettings, ServerSettings};
use crate::logs;
use ledgerline_terminal::exit::Failure;

/// Where settings came from, so that they can be read again.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// What flags and the environment said of the server.
    pub server: ServerSettings,
    /// What they said of the logs.
    pub logs: LogSettings,
    /// The file as it was read at the start.
    pub file: toml::Table,
}

/// What a running server reads anew.
pub struct Reload {
    /// Where settings come from.
    pub origins: Origins,
    /// The acceptor in use.
    pub tls: Tls,
}

impl Reload {
    /// Reads anew, and logs what came of it.
    pub fn run(&self, app: &App) {
        match self.read(app) {
            Ok(needs_restart) => {
                tracing::info!(code = "reloaded", "certificate, issuers and log level");
                if !needs_restart.is_empty() {
                    let settings = needs_restart.join(", ");
                    let why = "the file has other values for these; they count after a restart";
                    tracing::warn!(code = "needs_restart", settings, why);
                }
            }
            Err(failure) => {
                let why = format!("{:#}", failure.error);
                tracing::error!(code = "reload_failed", why, "everything stays as it was");
            }
        }
    }

    fn read(&self, app: &App) -> Result<Vec<String>, Failure> {
        let Origins { config, server, logs, file } = &self.origins;
        let mut read = FileSettings::read(config.as_deref())?;
        let server = server.clone().or(read.server);
        let acceptor = tls::acceptor(server.tls_files())?;
        if acceptor.is_some() != self.tls.is_on() {
            return Err(Failure::usage("TLS begins and ends with a restart only"));
        }
        let issuers = Issuers::open(std::mem::take(&mut read.issuers))?;
        let filter = logs::filter(&logs.clone().or(read.logs), logs::OF_A_SERVER)?;
        // From here on nothing fails.
        acceptor.into_iter().for_each(|acceptor| self.tls.replace(acceptor));
        app.replace_issuers(issuers);
        logs::replace(filter);
        let reloads = ["issuers", "log_level", "tls_cert", "tls_client_ca", "tls_key"];
        let names = file.keys().chain(read.given.keys());
        let changed = names.filter(|name| file.get(*name) != read.given.get(*name));
        let mut changed: Vec<String> =
            changed.filter(|name| !reloads.contains(&name.as_str())).cloned().collect();
        changed.sort();
        changed.dedup();
        Ok(changed)
    }
}
