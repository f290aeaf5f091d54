//! The face toward the services of this machine: HTTP/1.1 on a Unix socket and on loopback.
//!
//! ```text
//! POST /v1/events   202 {"accepted":N}   once the events are in the spool
//! GET  /healthz     200 while events are taken, else 503
//! GET  /metrics     counters, Prometheus text form
//! ```
//!
//! Promises: a body is answered 202 when its events are kept as the agent is set up, or durably;
//! what is refused for good is said so at once, event by event; what cannot be taken now is
//! answered 429 or 503 with Retry-After, and then nothing of it was taken. A caller that is slow,
//! silent or greedy costs one connection for a bounded time.
//!
//! Assumes: whoever may open the Unix socket may speak in the agent's name. On loopback, where
//! every user of the machine comes, the bearer key decides.

mod answer;
mod body;
mod routes;
mod server;
mod socket;

pub use self::routes::{Face, Health, Trouble};
pub use self::server::{Connections, Listener, serve};
pub use self::socket::{SocketFile, check_place};
