//! A small service that reports each use of a token to a ledger.
//!
//! ```text
//! ORDERS_LISTEN=127.0.0.1:8080 LEDGERLINE_URL=http://127.0.0.1:8790 LEDGERLINE_KEY=llk_… \
//!   ORDERS_SPOOL=/var/lib/orders/spool cargo run -p ledgerline-emitter --example service
//! curl -H 'Authorization: Bearer orders-0123456789abcdef0123' http://127.0.0.1:8080/orders/7
//! ```
//!
//! `ORDERS_ISSUER='https://idp.example.com orders <x of its Ed25519 JWK>'` has it verify access
//! tokens instead.

mod app;
mod verify;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = app::Settings::from_environment()?;
    let emitter = app::emitter(&settings)?;
    app::serve(&settings, Some(emitter)).await
}
