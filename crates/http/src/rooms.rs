//! Which room each route takes its place in.
//!
//! ```text
//! health                                   answered always
//! introspection, revocation, keys that end  their own room: nothing else can fill it
//! GET /v1/revocations?wait=…               a place among those who wait, no room for requests
//! everything else                          room for requests
//! ```

use axum::http::{Method, Uri};
use ledgerline_gate::shares::Room;

/// What a request needs to be answered; `None` for health, which must not depend on load.
#[must_use]
pub fn room_for(method: &Method, route: &str, uri: &Uri) -> Option<Room> {
    let is = |wanted: Method| *method == wanted;
    match route {
        "/healthz" | "/readyz" => None,
        "/v1/revocations" if waits(uri.query()) => Some(Room::Polls),
        "/v1/findings"
        | "/v1/findings/{id}"
        | "/v1/events/{source}/{event_id}/why"
        | "/v1/sources"
        | "/v1/status"
        | "/v1/verify-reports"
            if waits(uri.query()) =>
        {
            Some(Room::Waits)
        }
        "/oauth2/introspect" | "/oauth2/revoke" | "/v1/revocations" => Some(Room::Vital),
        "/v1/tokens/{id}/blast-radius" if is(Method::POST) => Some(Room::Vital),
        "/v1/keys/{key_id}" if is(Method::DELETE) => Some(Room::Vital),
        _ => Some(Room::Requests),
    }
}

/// Whether a query asks to wait. A name that is spelled with escapes may be that one.
fn waits(query: Option<&str>) -> bool {
    let waits = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        name.contains('%') || (name == "wait" && value != "0")
    };
    query.is_some_and(|query| query.split('&').any(waits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_token_has_a_room_of_its_own() {
        let check = |method: Method, route: &str, uri: &'static str, room: Option<Room>| {
            assert_eq!(room_for(&method, route, &Uri::from_static(uri)), room, "{uri}");
        };
        check(Method::GET, "/healthz", "/healthz", None);
        check(Method::GET, "/readyz", "/readyz", None);
        check(Method::POST, "/oauth2/introspect", "/oauth2/introspect", Some(Room::Vital));
        check(Method::POST, "/oauth2/revoke", "/oauth2/revoke", Some(Room::Vital));
        check(Method::GET, "/v1/revocations", "/v1/revocations", Some(Room::Vital));
        check(Method::GET, "/v1/revocations", "/v1/revocations?wait=0", Some(Room::Vital));
        let waiting = "/v1/revocations?since=3&wait=60";
        check(Method::GET, "/v1/revocations", waiting, Some(Room::Polls));
        let spelled = "/v1/revocations?since=3&%77ait=60";
        check(Method::GET, "/v1/revocations", spelled, Some(Room::Polls));
        check(Method::GET, "/v1/findings", "/v1/findings?wait=60", Some(Room::Waits));
        check(Method::GET, "/v1/findings", "/v1/findings?limit=1", Some(Room::Requests));
        check(Method::DELETE, "/v1/keys/{key_id}", "/v1/keys/k", Some(Room::Vital));
        let blast = "/v1/tokens/{id}/blast-radius";
        check(Method::POST, blast, "/v1/tokens/a/blast-radius", Some(Room::Vital));
        check(Method::GET, blast, "/v1/tokens/a/blast-radius", Some(Room::Requests));
        check(Method::POST, "/v1/events", "/v1/events", Some(Room::Requests));
    }
}
