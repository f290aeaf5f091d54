//! Signed messages as Standard Webhooks 1.0 has them.
//!
//! ```text
//! webhook-id          names the message; the same at every try
//! webhook-timestamp   of the try, Unix seconds
//! webhook-signature   "v1," base64( HMAC-SHA256(secret, id "." timestamp "." body) )
//! secret              "whsec_" base64 of 24 to 64 random bytes, in a file of its own
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What a secret file begins with.
const PREFIX: &str = "whsec_";

/// A secret shared with the receiver.
pub struct Secret(hmac::Key);

impl Secret {
    /// From the text of the secret file.
    ///
    /// # Errors
    /// What is wrong with it; never the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let wrong = "a webhook's secret is `whsec_` and base64 of 24 to 64 random bytes";
        let encoded = text.strip_prefix(PREFIX).ok_or(wrong)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(wrong);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the reference libraries of Standard Webhooks.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let body = "{\"test\": 2432232314}";
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for text in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }
}
