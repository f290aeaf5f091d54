//! What every command that asks a server has: the screen, and how a server is reached.

use ledgerline_client::Client;

use crate::exit::Failure;
use crate::render::Screen;
use crate::settings;

use std::path::PathBuf;

settings! {
    /// How client commands reach a server.
    pub struct ClientSettings {
        /// URL of the server [default: http://127.0.0.1:8790].
        #[arg(global = true)]
        "LEDGERLINE_URL" url: String,
        /// File that holds the API key. Without it LEDGERLINE_KEY is used.
        #[arg(global = true)]
        "LEDGERLINE_KEY_FILE" key_file: PathBuf,
        /// Certificates (PEM) to trust instead of the usual ones.
        #[arg(global = true)]
        "LEDGERLINE_CA_FILE" ca_file: PathBuf,
        /// Milliseconds a call may take, retries aside [default: 60000].
        #[arg(global = true)]
        "LEDGERLINE_TIMEOUT_MS" timeout_ms: u64,
        /// Times a refused (429, 503) or failed call is repeated [default: 8; a server that has not
        /// answered yet is tried for 3 seconds].
        #[arg(global = true)]
        "LEDGERLINE_RETRIES" retries: u32,
    }
}

impl From<ClientSettings> for ledgerline_client::Settings {
    fn from(settings: ClientSettings) -> Self {
        let ClientSettings { url, key_file, ca_file, timeout_ms, retries } = settings;
        Self { url, key_file, ca_file, timeout_ms, retries }
    }
}

/// What every command has.
pub struct Context {
    /// Standard output.
    pub screen: Screen,
    /// How a server is reached, as the file says it.
    pub reach: ClientSettings,
}

impl Context {
    /// A client by the command's settings and the file's.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn client(&self, settings: ClientSettings) -> Result<Client, Failure> {
        Ok(Client::open(&settings.or(self.reach.clone()).into())?)
    }
}
