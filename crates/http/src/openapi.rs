//! The interface described: `GET /openapi.json` as an OpenAPI 3.1 document, `GET /docs` as a page,
//! `GET /` where to begin.
//!
//! Promises: what it describes are the routes of this crate and of the doors, all of them and no
//! other.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use ledgerline_answers::answer::{json, json_bytes};
use ledgerline_answers::problem::Problem;
use ledgerline_api::openapi::{document, page};
use ledgerline_api::status::Index;

use crate::{Shared, auth};

static BYTES: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// The document.
///
/// # Errors
/// 401.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn openapi(State(app): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    auth::authenticate(&app, &headers)?;
    // Made once: whoever asks for it again and again takes no time from others.
    Ok(json_bytes(BYTES.clone()))
}

/// Where to begin.
///
/// # Errors
/// 500 when it does not serialize.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn index(State(app): Shared) -> Result<Response, Problem> {
    let links = [
        ("/docs", "this interface as a page"),
        ("/openapi.json", "the same for programs (OpenAPI 3.1); needs an API key"),
        ("/healthz", "whether the process answers"),
        ("/readyz", "whether events are taken"),
        ("/checkpoint", "the published checkpoint of the log (C2SP tlog-checkpoint)"),
        ("/v1/status", "sizes, positions and the log's key; needs an API key"),
    ];
    json(&Index {
        name: "ledgerline".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        about: format!(
            "A tamper-evident lineage ledger for bearer tokens; the log is {}. Send an API key as \
             `Authorization: Bearer`.",
            app.node.view().identity().origin
        )
        .into(),
        links: links.map(|(path, what)| (path.into(), what.into())).into(),
    })
}

/// The page: no script, nothing from elsewhere.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| page::page().into());

/// The interface as a page.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn docs() -> Response {
    let mut response = PAGE.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'";
    headers.insert("content-security-policy", HeaderValue::from_static(policy));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ledgerline_api::openapi::operations;

    /// Method and path of every route that `lib.rs` makes.
    fn routes() -> BTreeSet<(String, String)> {
        let questions = include_str!("questions.rs").split("fn routes()").nth(1).expect("routes");
        let questions = questions.split("\n}\n").next().expect("an end");
        let source = [include_str!("lib.rs"), questions].concat();
        let mut found = BTreeSet::new();
        for route in source.split(".route(").skip(1) {
            let text = route.trim_start().strip_prefix('"').expect("a path in quotes");
            let (path, rest) = text.split_once('"').expect("a closed quote");
            let call = rest.split(".route(").next().unwrap_or_default();
            let call = call.split("\n        .").next().unwrap_or_default();
            let before = found.len();
            for method in ["get", "post", "delete", "put", "patch", "any", "head"] {
                let is_it = |(at, _): (usize, &str)| {
                    !call[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                };
                if call.match_indices(&format!("{method}(")).any(is_it) {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
            assert!(found.len() > before, "no method for {path} in {call}");
        }
        for (path, methods, _) in ledgerline_doors::ROUTES {
            found.extend(methods.iter().map(|one| ((*one).to_owned(), (*path).to_owned())));
        }
        found
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described = operations().map(|one| (one.method.to_owned(), one.path.to_owned()));
        let described: BTreeSet<_> = described.collect();
        assert_eq!(described, routes());
    }
}
