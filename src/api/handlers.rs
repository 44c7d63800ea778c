//! One function per path: read the request, ask the control plane, answer in JSON.

use super::Shared;
use crate::control::{
    ControlError, DurableEvent, FaultRequest, HaltAcknowledged, Resumed, SnapshotView,
};
use crate::control::{
    FaultView, LimitView, OrderView, PositionView, ReconciliationView, StatusView, SurfaceRow,
    TreeRow,
};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// An error as the wire has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong, and why.
    pub error: String,
    /// What to do.
    pub next: String,
}

/// An error with its status.
pub(super) struct Answer {
    status: StatusCode,
    body: ErrorBody,
}

impl Answer {
    pub(super) fn new(
        status: StatusCode,
        error: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { status, body: ErrorBody { error: error.into(), next: next.into() } }
    }

    fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, "see `optionsib help` for what can be asked")
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<ControlError> for Answer {
    fn from(error: ControlError) -> Self {
        let what = error.to_string();
        match error {
            ControlError::UnknownRole { .. } => {
                Self::new(StatusCode::NOT_FOUND, what, "`optionsib tree` lists the roles")
            }
            ControlError::Refused { next, .. } => Self::new(StatusCode::CONFLICT, what, next),
            ControlError::Unavailable { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                what,
                "ask again; `optionsib tree` shows what restarts",
            ),
            ControlError::Failed { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                what,
                "the node's log and `optionsib status` say more",
            ),
        }
    }
}

impl From<JsonRejection> for Answer {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), ..Self::bad(rejection.body_text()) }
    }
}

impl From<QueryRejection> for Answer {
    fn from(rejection: QueryRejection) -> Self {
        Self { status: rejection.status(), ..Self::bad(rejection.body_text()) }
    }
}

type Answered<T> = Result<Json<T>, Answer>;
type Asked<T> = Result<Json<T>, JsonRejection>;

pub(super) async fn status(State(shared): State<Shared>) -> Json<StatusView> {
    Json(shared.control.status())
}

pub(super) async fn tree(State(shared): State<Shared>) -> Json<Vec<TreeRow>> {
    Json(shared.control.tree())
}

pub(super) async fn positions(State(shared): State<Shared>) -> Json<Vec<PositionView>> {
    Json(shared.control.positions())
}

pub(super) async fn orders(State(shared): State<Shared>) -> Json<Vec<OrderView>> {
    Json(shared.control.orders())
}

pub(super) async fn limits(State(shared): State<Shared>) -> Json<Vec<LimitView>> {
    Json(shared.control.limits())
}

pub(super) async fn surfaces(State(shared): State<Shared>) -> Json<Vec<SurfaceRow>> {
    Json(shared.control.surfaces())
}

pub(super) async fn reconciliation(
    State(shared): State<Shared>,
) -> Json<Option<ReconciliationView>> {
    Json(shared.control.reconciliation())
}

pub(super) async fn reconcile(State(shared): State<Shared>) -> Answered<ReconciliationView> {
    Ok(Json(shared.control.reconcile().await?))
}

pub(super) async fn faults(State(shared): State<Shared>) -> Json<Vec<FaultView>> {
    Json(shared.control.faults())
}

/// The query of `/events`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsFrom {
    #[serde(default)]
    from: u64,
}

pub(super) async fn events(
    State(shared): State<Shared>,
    query: Result<Query<EventsFrom>, QueryRejection>,
) -> Answered<Vec<DurableEvent>> {
    let Query(EventsFrom { from }) = query?;
    Ok(Json(shared.control.accepted_intents_and_fills_since(from).await?))
}

/// The body of `/halt`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HaltRequest {
    pub(crate) reason: String,
}

pub(super) async fn halt(
    State(shared): State<Shared>,
    asked: Asked<HaltRequest>,
) -> Answered<HaltAcknowledged> {
    let Json(HaltRequest { reason }) = asked?;
    Ok(Json(shared.control.halt(reason).await?))
}

/// The body of `/resume`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeRequest {
    pub(crate) by: String,
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    asked: Asked<ResumeRequest>,
) -> Answered<Resumed> {
    let Json(ResumeRequest { by }) = asked?;
    Ok(Json(shared.control.resume(by).await?))
}

/// The body of `/chaos/kill`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KillRequest {
    pub(crate) role: String,
}

/// The answer of `/chaos/kill`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Killed {
    pub(crate) killed: String,
}

pub(super) async fn kill(
    State(shared): State<Shared>,
    asked: Asked<KillRequest>,
) -> Answered<Killed> {
    let Json(KillRequest { role }) = asked?;
    shared.control.kill(role.clone()).await?;
    Ok(Json(Killed { killed: role }))
}

pub(super) async fn arm(
    State(shared): State<Shared>,
    asked: Asked<FaultRequest>,
) -> Answered<FaultView> {
    let Json(asked) = asked?;
    Ok(Json(shared.control.arm(asked).await?))
}

/// The answer of `/chaos/clear`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cleared {
    pub(crate) cleared: usize,
}

pub(super) async fn clear(State(shared): State<Shared>) -> Answered<Cleared> {
    Ok(Json(Cleared { cleared: shared.control.clear_faults().await? }))
}

pub(super) async fn snapshots(State(shared): State<Shared>) -> Answered<Vec<SnapshotView>> {
    Ok(Json(shared.control.snapshots().await?))
}

pub(super) async fn create_snapshot(State(shared): State<Shared>) -> Answered<SnapshotView> {
    Ok(Json(shared.control.create_snapshot().await?))
}

pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, (shared.metrics)()).into_response()
}

/// Alive: this runtime answers. Whether the node is ready is in `/api/v1/status`.
pub(super) async fn health() -> &'static str {
    "alive\n"
}

pub(super) async fn no_such_path() -> Answer {
    Answer::new(StatusCode::NOT_FOUND, "there is no such path", "paths begin with /api/v1/")
}

pub(super) async fn wrong_method() -> Answer {
    Answer::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not take this method",
        "GET reads, POST changes",
    )
}
