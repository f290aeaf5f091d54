//! Page tokens: where the next page of an answer begins, in the caller's keeping.
//!
//! Promises: a token opens only under the tenant and the question it was made for, and only if no
//! byte of it was changed; it pins the ledger size and the time of judgement of the first page, so
//! that all pages speak of one state. Nothing secret is in it. Tokens stay good across restarts.
//!
//! ```text
//! token = base64url( cursor u64 BE ‖ size u64 BE ‖ judged_at i64 BE ‖ tag )
//! tag   = first 16 bytes of HMAC-SHA256(page key, "ledgerline/page/v1\0" ‖ lp(tenant)
//!         ‖ u32 BE length of the question ‖ question ‖ the 24 bytes before)
//! page key = HMAC-SHA256(index key, "ledgerline/page/v1\0")
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_proof::hash::{HmacKey, domain, hmac_sha256};
use subtle::ConstantTimeEq as _;

/// Bytes before the tag, and of the tag.
const HEAD: usize = 24;
const TAG: usize = 16;

/// What a page token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagePlace {
    /// Where the next page begins; what it means is the question's business.
    pub cursor: u64,
    /// The ledger size that all pages speak of.
    pub size: u64,
    /// When states are judged, Unix nanoseconds.
    pub judged_at: i64,
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
    #[must_use]
    pub fn seal(&self, tenant: &str, question: &str, place: PagePlace) -> String {
        let PagePlace { cursor, size, judged_at } = place;
        let parts = [cursor.to_be_bytes(), size.to_be_bytes(), judged_at.to_be_bytes()];
        let mut bytes = parts.concat();
        let tag = self.tag(tenant, question, &bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a token names; `None` when it was not made for this tenant and question.
    #[must_use]
    pub fn open(&self, tenant: &str, question: &str, token: &str) -> Option<PagePlace> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let bytes: &[u8; HEAD + TAG] = bytes.as_slice().try_into().ok()?;
        let (head, tag) = bytes.split_at(HEAD);
        if !bool::from(self.tag(tenant, question, head).as_slice().ct_eq(tag)) {
            return None;
        }
        let number = |at: usize| head[at..at + 8].try_into().expect("eight bytes");
        Some(PagePlace {
            cursor: u64::from_be_bytes(number(0)),
            size: u64::from_be_bytes(number(8)),
            judged_at: i64::from_be_bytes(number(16)),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_where_it_was_made_for() {
        let tokens = PageTokens::new(&[7; 16]);
        let place = PagePlace { cursor: 17, size: 1 << 40, judged_at: -5 };
        let token = tokens.seal("acme", "pivot?ADDR", place);
        assert_eq!(tokens.open("acme", "pivot?ADDR", &token), Some(place));
        assert_eq!(PageTokens::new(&[7; 16]).open("acme", "pivot?ADDR", &token), Some(place));
        for (tenant, question) in
            [("", "pivot?ADDR"), ("acme", "pivot?NET"), ("acmep", "ivot?ADDR")]
        {
            assert_eq!(tokens.open(tenant, question, &token), None, "{tenant} {question}");
        }
        assert_eq!(PageTokens::new(&[8; 16]).open("acme", "pivot?ADDR", &token), None);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(tokens.open("acme", "pivot?ADDR", &changed), None, "{at}");
        }
        for wrong in ["", "AAAA", &format!("{token}AAAA"), "ä"] {
            assert_eq!(tokens.open("acme", "pivot?ADDR", wrong), None, "{wrong}");
        }
    }
}
