//! What the server grants its callers.

use std::time::Duration;

/// What the server grants its callers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// Requests being answered at a time.
    pub max_requests: usize,
    /// Bytes of large bodies that may wait to be taken apart.
    pub max_line_bytes: usize,
    /// To send a request's headers, and to finish a TLS handshake.
    pub header_timeout: Duration,
    /// To send a request's body.
    pub body_timeout: Duration,
    /// For which nothing of a body may come.
    pub stall_timeout: Duration,
    /// For which an answer may stay unread.
    pub write_timeout: Duration,
    /// Percent of every room that one tenant may have.
    pub tenant_share_percent: usize,
    /// Percent of every room that one credential may have.
    pub credential_share_percent: usize,
    /// For open requests on shutdown.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            max_connections: 4096,
            max_requests: 4096,
            max_line_bytes: 64 << 20,
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            stall_timeout: seconds(10),
            write_timeout: seconds(10),
            tenant_share_percent: 50,
            credential_share_percent: 25,
            drain_timeout: seconds(10),
        }
    }
}
