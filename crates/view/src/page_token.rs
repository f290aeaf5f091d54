//! Page tokens: where the next page of an answer begins, in the caller's keeping.
//!
//! Promises: a token opens only under the tenant and the question it was made for, and only if no
//! byte of it was changed; it pins how much of the ledger is looked at and the time of judgement of
//! the first page, so that all pages speak of one state. Nothing secret is in it. Tokens stay good
//! across restarts, and when a new origin follows: they name logs, and count no entries through
//! several.
//!
//! ```text
//! token  = base64url( 2 ‖ cursor ‖ judged_at i64 BE ‖ sizes ‖ tag )
//! cursor = 0 ‖ u64 BE            an item of a list that is made again for each page
//!        | 1 ‖ log ‖ u64 BE      an entry
//! sizes  = ( log ‖ u64 BE )*     a size for each log of which anything is seen
//! log    = first 8 bytes of SHA-256 of its origin
//! tag    = first 16 bytes of HMAC-SHA256(page key, "ledgerline/page/v1\0" ‖ lp(tenant)
//!          ‖ u32 BE length of the question ‖ question ‖ the bytes before)
//! page key = HMAC-SHA256(index key, "ledgerline/page/v1\0")
//! ```
//!
//! Refuses: tokens of 40 bytes, of programs that counted entries through all origins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_proof::hash::{HmacKey, domain, hmac_sha256};
use subtle::ConstantTimeEq as _;

use crate::address::{AsOf, EntryRef, LogId, LogName, Logs};

/// The version of the format.
const VERSION: u8 = 2;
/// Bytes of the tag, and of a token that counted entries through all origins, before its tag.
const TAG: usize = 16;
const COUNTED: usize = 24;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// At an item of a list that is made again for each page.
    Item(u64),
    /// At an entry.
    Entry(EntryRef),
}

/// What a page token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePlace {
    /// Where the next page begins; what it means is the question's business.
    pub cursor: Cursor,
    /// How much of the ledger all pages speak of.
    pub as_of: AsOf,
    /// When states are judged, Unix nanoseconds.
    pub judged_at: i64,
}

/// Why a page token does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It was not made for this tenant and question, or was changed.
    #[error("the page token is not of this question; ask for the first page")]
    Foreign,
    /// It was made by a program that counted entries through all origins.
    #[error("the page token is of an earlier version of this program; ask for the first page")]
    Earlier,
    /// It names a log that this ledger does not have.
    #[error("the page token names a log that is not here; ask for the first page")]
    UnknownLog,
}

/// Makes and judges page tokens.
pub struct PageTokens {
    key: HmacKey,
}

impl PageTokens {
    /// Under a key derived from the index key.
    #[must_use]
    pub fn new(index_key: &[u8; 16]) -> Self {
        Self { key: HmacKey::new(&hmac_sha256(index_key, &[domain::PAGE]).0) }
    }

    /// The token for a place in the answer to a question of a tenant.
    ///
    /// # Panics
    /// When the place is in none of `logs`.
    #[must_use]
    pub fn seal(&self, tenant: &str, question: &str, logs: &Logs, place: &PagePlace) -> String {
        let mut bytes = vec![VERSION];
        match place.cursor {
            Cursor::Item(n) => {
                bytes.push(0);
                bytes.extend(n.to_be_bytes());
            }
            Cursor::Entry(at) => {
                bytes.push(1);
                bytes.extend(address(logs, at.log, at.index));
            }
        }
        bytes.extend(place.judged_at.to_be_bytes());
        for (log, size) in place.as_of.sizes().filter(|(_, size)| *size > 0) {
            bytes.extend(address(logs, log, size));
        }
        let tag = self.tag(tenant, question, &bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a token names.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn open(
        &self,
        tenant: &str,
        question: &str,
        logs: &Logs,
        token: &str,
    ) -> Result<PagePlace, PageError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageError::Foreign)?;
        let (head, tag) = bytes.split_last_chunk::<TAG>().ok_or(PageError::Foreign)?;
        if !bool::from(self.tag(tenant, question, head).ct_eq(tag)) {
            return Err(PageError::Foreign);
        }
        // No token of this version is as long.
        if head.len() == COUNTED {
            return Err(PageError::Earlier);
        }
        let sealed = read(head).ok_or(PageError::Foreign)?;
        let cursor = match sealed.cursor {
            (None, n) => Cursor::Item(n),
            (Some(name), index) => Cursor::Entry(EntryRef { log: known(logs, name)?, index }),
        };
        let mut sizes = vec![0; logs.count()];
        for (name, size) in sealed.sizes {
            sizes[known(logs, name)?.row()] = size;
        }
        Ok(PagePlace { cursor, as_of: AsOf::new(sizes), judged_at: sealed.judged_at })
    }

    fn tag(&self, tenant: &str, question: &str, head: &[u8]) -> [u8; TAG] {
        let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
        // A tenant has at most 64 bytes.
        let tenant_length = length(tenant);
        let parts = [
            domain::PAGE,
            &tenant_length[2..],
            tenant.as_bytes(),
            &length(question),
            question.as_bytes(),
            head,
        ];
        let mac = self.key.mac(&parts);
        *mac.0.first_chunk().expect("a MAC has 32 bytes")
    }
}

/// A token's bytes, taken apart.
struct Sealed {
    cursor: (Option<LogName>, u64),
    judged_at: i64,
    sizes: Vec<(LogName, u64)>,
}

fn read(head: &[u8]) -> Option<Sealed> {
    let rest = head.strip_prefix(&[VERSION])?;
    let (sort, mut rest) = rest.split_first()?;
    let log = match sort {
        0 => None,
        1 => Some(LogName(take(&mut rest)?)),
        _ => return None,
    };
    let cursor = (log, u64::from_be_bytes(take(&mut rest)?));
    let judged_at = i64::from_be_bytes(take(&mut rest)?);
    let mut sizes = Vec::new();
    while !rest.is_empty() {
        sizes.push((LogName(take(&mut rest)?), u64::from_be_bytes(take(&mut rest)?)));
    }
    Some(Sealed { cursor, judged_at, sizes })
}

fn take(rest: &mut &[u8]) -> Option<[u8; 8]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

fn known(logs: &Logs, name: LogName) -> Result<LogId, PageError> {
    logs.named(name).ok_or(PageError::UnknownLog)
}

/// A log's name and a number of it.
fn address(logs: &Logs, log: LogId, number: u64) -> [u8; 16] {
    let LogName(name) = logs.name(log).expect("a place is in one of the view's logs");
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&name);
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(log: u16, index: u64) -> Cursor {
        Cursor::Entry(EntryRef { log: LogId(log), index })
    }

    #[test]
    fn a_token_opens_only_where_it_was_made_for() {
        let tokens = PageTokens::new(&[7; 16]);
        let logs = Logs::new(["log.example/1", "log.example/2"]);
        for cursor in [at(1, 17), at(0, u64::MAX), Cursor::Item(17)] {
            let place = PagePlace { cursor, as_of: AsOf::new([9, 1 << 40]), judged_at: -5 };
            let token = tokens.seal("acme", "pivot?ADDR", &logs, &place);
            let open = |tenant, question, token: &str| tokens.open(tenant, question, &logs, token);
            let again = PageTokens::new(&[7; 16]).open("acme", "pivot?ADDR", &logs, &token);
            assert_eq!(open("acme", "pivot?ADDR", &token), Ok(place.clone()));
            assert_eq!(again, Ok(place));
            for (tenant, question) in
                [("", "pivot?ADDR"), ("acme", "pivot?NET"), ("acmep", "ivot?ADDR")]
            {
                let opened = open(tenant, question, &token);
                assert_eq!(opened, Err(PageError::Foreign), "{tenant} {question}");
            }
            let other = PageTokens::new(&[8; 16]);
            assert_eq!(other.open("acme", "pivot?ADDR", &logs, &token), Err(PageError::Foreign));
            for at in 0..token.len() {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).expect("ASCII");
                let opened = open("acme", "pivot?ADDR", &changed);
                assert_eq!(opened, Err(PageError::Foreign), "{at}");
            }
            for wrong in ["", "AAAA", &format!("{token}AAAA"), "ä"] {
                let opened = open("acme", "pivot?ADDR", wrong);
                assert_eq!(opened, Err(PageError::Foreign), "{wrong}");
            }
        }
    }

    #[test]
    fn a_token_means_the_same_when_a_log_is_added_and_nothing_without_its_log() {
        let tokens = PageTokens::new(&[7; 16]);
        let before = Logs::new(["b", "c"]);
        let place = PagePlace { cursor: at(1, 4), as_of: AsOf::new([9, 5]), judged_at: 0 };
        let token = tokens.seal("", "q", &before, &place);
        let after = Logs::new(["a", "b", "c", "d"]);
        let moved = PagePlace { cursor: at(2, 4), as_of: AsOf::new([0, 9, 5, 0]), judged_at: 0 };
        assert_eq!(tokens.open("", "q", &after, &token), Ok(moved));
        let without = Logs::new(["b", "d"]);
        assert_eq!(tokens.open("", "q", &without, &token), Err(PageError::UnknownLog));
    }

    #[test]
    fn a_token_that_counted_entries_through_all_origins_is_told_so() {
        let tokens = PageTokens::new(&[7; 16]);
        let mut bytes = [17_u64.to_be_bytes(), 20_u64.to_be_bytes(), [0; 8]].concat();
        let tag = tokens.tag("acme", "q", &bytes);
        bytes.extend(tag);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let logs = Logs::new(["log"]);
        assert_eq!(tokens.open("acme", "q", &logs, &token), Err(PageError::Earlier));
        assert_eq!(tokens.open("other", "q", &logs, &token), Err(PageError::Foreign));
    }
}
