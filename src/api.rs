//! The control API: HTTP on the loopback interface, for the command line, Prometheus and scripts.
//!
//! Reading needs no token; whatever changes the node needs the one that the node wrote to its state
//! folder, so that only who may read that folder can command it. Requests whose `Host` isn't this
//! machine are refused (a web page must not reach it by DNS rebinding). It runs on the control
//! runtime and may die with it: `halt` has two other ways in. What an answer says is decided behind
//! [`ControlPlane`].

mod guard;
mod handlers;
mod token;

pub(crate) use handlers::{Cleared, HaltRequest, KillRequest, Killed, ResumeRequest};
pub use token::{TOKEN_FILE, TOKEN_HEADER, Token, TokenError};

use crate::control::ControlPlane;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Every path of the API begins so.
pub const API_PREFIX: &str = "/api/v1";

/// The largest request body; every request is a line of JSON.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Renders the metrics as Prometheus reads them.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Why the API isn't there.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It would be open to the network.
    #[error(
        "the API would listen on {address}, which other machines can reach; use 127.0.0.1 or [::1] \
         and a tunnel"
    )]
    NotLoopback {
        /// As asked for.
        address: SocketAddr,
    },
    /// The address can't be had.
    #[error("the API can't listen on {address}: {source}; is another node running there?")]
    Bind {
        /// As asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    control: Arc<dyn ControlPlane>,
    metrics: RenderMetrics,
    token: Token,
}

/// Binds a loopback address.
///
/// # Errors
/// [`ApiError`]: the address is not loopback, or taken.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ApiError> {
    if !address.ip().is_loopback() {
        return Err(ApiError::NotLoopback { address });
    }
    TcpListener::bind(address).await.map_err(|source| ApiError::Bind { address, source })
}

/// All routes.
pub fn router(control: Arc<dyn ControlPlane>, metrics: RenderMetrics, token: Token) -> Router {
    let shared = Shared { control, metrics, token };
    let api = Router::new()
        .route("/status", get(handlers::status))
        .route("/tree", get(handlers::tree))
        .route("/positions", get(handlers::positions))
        .route("/orders", get(handlers::orders))
        .route("/limits", get(handlers::limits))
        .route("/reconciliation", get(handlers::reconciliation).post(handlers::reconcile))
        .route("/surfaces", get(handlers::surfaces))
        .route("/faults", get(handlers::faults))
        .route("/events", get(handlers::events))
        .route("/halt", post(handlers::halt))
        .route("/resume", post(handlers::resume))
        .route("/chaos/kill", post(handlers::kill))
        .route("/chaos/arm", post(handlers::arm))
        .route("/chaos/clear", post(handlers::clear))
        .route("/snapshots", get(handlers::snapshots).post(handlers::create_snapshot));
    Router::new()
        .nest(API_PREFIX, api)
        .route("/metrics", get(handlers::metrics))
        .route("/healthz", get(handlers::health))
        .fallback(handlers::no_such_path)
        .method_not_allowed_fallback(handlers::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard::deadline))
        .layer(middleware::from_fn_with_state(shared.clone(), guard::token))
        .layer(middleware::from_fn(guard::host))
        .with_state(shared)
}

/// Serves until `stop` resolves and the requests under way are answered.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

#[cfg(test)]
mod tests;
