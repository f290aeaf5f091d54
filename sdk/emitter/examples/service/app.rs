//! The service: routes, who may use them, and the layer around both.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_emitter::layer::{DecidedBy, EmitterLayer};
use ledgerline_emitter::{
    Builder, Emitter, HttpSettings, HttpTransport, Signing, SpoolSettings, WhenFull,
};
use ledgerline_proof::note::VerifierKey;

use super::verify::Verifier;

/// What the environment says.
pub struct Settings {
    /// `ORDERS_LISTEN`: where the service listens.
    pub listen: String,
    /// `LEDGERLINE_URL`: the ledger.
    pub ledger: String,
    /// `LEDGERLINE_KEY`: an API key with the role producer, of the source `orders`.
    pub key: String,
    /// `ORDERS_SPOOL`: the folder for what the ledger did not take yet.
    pub spool: PathBuf,
    /// `ORDERS_DURABLE`: whether an answer waits until its event is on the disk.
    pub durable: bool,
    /// `ORDERS_SIGNING`: `deployment key_id base64-secret`, to sign by HMAC-SHA256.
    pub signing: Option<String>,
    /// `ORDERS_ISSUER`: `issuer audience base64url-public-key` of who issues the tokens. Without it
    /// whatever begins with `orders-` is good: for trying things out, no more.
    pub issuer: Option<Verifier>,
    /// `ORDERS_VKEY`: the ledger's verifier key, to watch its checkpoints.
    pub vkey: Option<String>,
}

impl Settings {
    /// Reads the environment.
    pub fn from_environment() -> Result<Self, Box<dyn Error>> {
        let needed = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        Ok(Self {
            listen: needed("ORDERS_LISTEN")?,
            ledger: needed("LEDGERLINE_URL")?,
            key: needed("LEDGERLINE_KEY")?,
            spool: needed("ORDERS_SPOOL")?.into(),
            durable: std::env::var("ORDERS_DURABLE").is_ok(),
            signing: std::env::var("ORDERS_SIGNING").ok(),
            issuer: match std::env::var("ORDERS_ISSUER") {
                Ok(text) => {
                    Some(Verifier::parse(&text).ok_or(
                        "ORDERS_ISSUER is `issuer audience base64url-public-key` (Ed25519)",
                    )?)
                }
                Err(_) => None,
            },
            vkey: std::env::var("ORDERS_VKEY").ok(),
        })
    }
}

/// The emitter of the service.
pub fn emitter(settings: &Settings) -> Result<Emitter, Box<dyn Error>> {
    let http = HttpSettings {
        timeout: Duration::from_secs(5),
        ..HttpSettings::new(&settings.ledger, &settings.key)
    };
    let transport = HttpTransport::new(&http)?;
    let mut builder = Builder::new("orders", transport.clone())
        .service("orders-api")
        .spool(SpoolSettings::new(&settings.spool, 256 << 20))
        .durable(settings.durable)
        .when_full(WhenFull::FailOpen)
        .heartbeat(Some(Duration::from_secs(2)));
    if let Some(signing) = &settings.signing {
        let parts: Vec<&str> = signing.split(' ').collect();
        let [deployment, key_id, secret] = parts[..] else {
            return Err("ORDERS_SIGNING is `deployment key_id base64-secret`".into());
        };
        builder = builder.signing(Signing::hmac(&STANDARD.decode(secret)?, deployment, key_id));
    }
    if let Some(vkey) = &settings.vkey {
        builder = builder.watch(VerifierKey::parse(vkey)?, transport);
    }
    Ok(builder.start()?)
}

/// The routes, without and with the layer.
pub fn routes(
    issuer: Option<Verifier>,
    emitter: Option<&Emitter>,
) -> Result<Router, Box<dyn Error>> {
    let orders = Router::new().route("/orders/{id}", get(order).delete(delete_order));
    let orders = orders.layer(from_fn_with_state(issuer.map(Arc::new), judge));
    let Some(emitter) = emitter else { return Ok(orders) };
    // Outside of the judge, so that what it refuses is reported, too.
    let orders = orders.layer(EmitterLayer::new(emitter.clone(), "eu", "idp")?);
    let metrics = Router::new().route("/metrics", get(metrics)).with_state(emitter.clone());
    Ok(orders.merge(metrics))
}

/// Serves until it is asked to stop; then delivers what is left.
pub async fn serve(settings: &Settings, emitter: Option<Emitter>) -> Result<(), Box<dyn Error>> {
    let routes = routes(settings.issuer.clone(), emitter.as_ref())?;
    let listener = tokio::net::TcpListener::bind(&settings.listen).await?;
    // Whoever started it may have gone.
    let _ = writeln!(std::io::stdout(), "orders listens on http://{}", listener.local_addr()?);
    axum::serve(listener, routes).with_graceful_shutdown(asked_to_stop()).await?;
    if let Some(emitter) = emitter {
        tokio::task::spawn_blocking(move || emitter.stop(Duration::from_secs(10))).await?;
    }
    Ok(())
}

async fn asked_to_stop() {
    let terminate = tokio::signal::unix::SignalKind::terminate();
    if let Ok(mut signal) = tokio::signal::unix::signal(terminate) {
        signal.recv().await;
    }
}

/// Verifies the token of each request.
async fn judge(
    State(issuer): State<Option<Arc<Verifier>>>,
    request: Request,
    next: Next,
) -> Response {
    let value = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let token = value.and_then(|value| value.strip_prefix(b"Bearer "));
    let is_good = token.is_some_and(|token| match &issuer {
        Some(issuer) => issuer.is_good(token),
        None => token.starts_with(b"orders-"),
    });
    if !is_good {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut answer = next.run(request).await;
    let policy = DecidedBy { id: "orders".to_owned(), version: "v3".to_owned() };
    answer.extensions_mut().insert(policy);
    answer
}

async fn order(Path(id): Path<u64>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "id": id, "state": "paid" }))
}

async fn delete_order(Path(_): Path<u64>) -> StatusCode {
    StatusCode::FORBIDDEN
}

async fn metrics(State(emitter): State<Emitter>) -> String {
    emitter.counts().to_prometheus()
}
