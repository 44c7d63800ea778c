//! What every request passes first: is it meant for this machine, may it change anything, does it
//! end in time.

use super::handlers::Answer;
use super::token::TOKEN_HEADER;
use super::{Shared, TOKEN_FILE};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::time::Duration;

/// The longest an answer may take; a halt is acknowledged in far less.
const DEADLINE: Duration = Duration::from_secs(10);

/// Refuses requests that were addressed to another name.
pub(super) async fn host(request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    if named.is_some_and(is_this_machine) {
        return next.run(request).await;
    }
    Answer::new(
        StatusCode::FORBIDDEN,
        "the Host header does not name this machine",
        "address the node as 127.0.0.1, [::1] or localhost",
    )
    .into_response()
}

/// Refuses changes without the token.
pub(super) async fn token(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let given = request.headers().get(TOKEN_HEADER);
    if reads || given.is_some_and(|given| shared.token.matches(given.as_bytes())) {
        return next.run(request).await;
    }
    let what =
        if given.is_none() { "the token is missing" } else { "the token is not this node's" };
    Answer::new(
        StatusCode::UNAUTHORIZED,
        what,
        format!("send the text of state/{TOKEN_FILE} in the header {TOKEN_HEADER}"),
    )
    .into_response()
}

/// Ends a request that takes too long.
pub(super) async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Answer::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("no answer within {} s; it may still take effect", DEADLINE.as_secs()),
            "look at `optionsib status` and `optionsib tree`",
        )
        .into_response(),
    }
}

fn is_this_machine(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        // The last colon of a bare IPv6 address is not before a port.
        Some((name, port)) if !host.ends_with(']') => (name, port),
        _ => (host, "0"),
    };
    if port.parse::<u16>().is_err() {
        return false;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_this_machine;

    #[test]
    fn only_names_of_this_machine_pass() {
        for own in
            ["127.0.0.1:7400", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:7400", "[::1]"]
        {
            assert!(is_this_machine(own), "{own}");
        }
        for foreign in [
            "",
            "example.com",
            "example.com:7400",
            "localhost.example.com:7400",
            "127.0.0.1.example.com",
            "10.0.0.1:7400",
            "0.0.0.0:7400",
            "[::2]:7400",
            "localhost:port",
        ] {
            assert!(!is_this_machine(foreign), "{foreign}");
        }
    }
}
