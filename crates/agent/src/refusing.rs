//! What the ledger refused for the sake of the agent's key, and whether the spool had room.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::counts::lock;

/// How long a refusal for the sake of the key counts: heartbeats may pass in between.
const REFUSED_FOR: Duration = Duration::from_secs(300);

/// What the outlet knows of its way, beside the emitter's counts.
#[derive(Default)]
pub struct Refusing {
    /// When the ledger refused an event for the sake of the key, and why.
    last: Mutex<Option<(Instant, String)>>,
    is_full: AtomicBool,
}

impl Refusing {
    /// The ledger refused an event for good.
    pub fn refused(&self, code: &str) {
        let is_of_the_key = matches!(
            code,
            "out_of_grant"
                | "wrong_source"
                | "wrong_tenant"
                | "unknown_key"
                | "retired_key"
                | "signature_required"
                | "bad_signature"
                | "wrong_deployment"
                | "wrong_alg"
                | "forbidden"
        );
        if is_of_the_key {
            *lock(&self.last) = Some((Instant::now(), code.to_owned()));
        }
    }

    /// The spool took something, or had no room for it.
    pub fn was_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Whether it had none.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Why, while that counts.
    pub fn code(&self) -> Option<String> {
        let last = lock(&self.last);
        last.as_ref().filter(|(at, _)| at.elapsed() < REFUSED_FOR).map(|(_, code)| code.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_for_the_sake_of_the_key_is_one_of_the_agent() {
        let check = |code: &str, expected: bool| {
            let refusing = Refusing::default();
            refusing.refused(code);
            assert_eq!(refusing.code().is_some(), expected, "{code}");
        };
        check("out_of_grant", true);
        check("wrong_source", true);
        check("event_id_conflict", false);
        check("secret_refused", false);
    }
}
