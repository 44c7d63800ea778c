//! The control API as a role of `ops`: droppable, and restarted like any other.
//!
//! *Restart:* binds the address again.
//! *Loses:* requests under way; their effects stand or don't, and a client asks again.

use super::ApiSeat;
use crate::api::{self, RenderMetrics, Token};
use crate::control::ControlPlane;
use crate::failure::Failure;
use actors::runtime::policy::{Backoff, ChildPolicy};
use actors::runtime::role::{Context, Role, RoleError, RoleMessage};
use actors::runtime::role_ref::RoleRef;
use actors::runtime::specification::ChildSpec;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks whether the node is there to be served.
const SEAT_POLL: Duration = Duration::from_millis(10);

/// The role is told only that its server has ended.
#[derive(Debug)]
pub enum ApiMessage {
    /// The server ended.
    Ended(String),
}

impl RoleMessage for ApiMessage {
    fn label(&self) -> &'static str {
        match self {
            Self::Ended(_) => "ended",
        }
    }
}

/// The role.
pub struct ApiRole;

impl ApiRole {
    /// The API as a child of `ops`. The address is tried at once, so that a taken port is an error
    /// of the start and not a restart storm.
    pub fn child(
        address: SocketAddr,
        token: Token,
        metrics: RenderMetrics,
        seat: ApiSeat,
    ) -> Result<ChildSpec, Failure> {
        if !address.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "{address} is not an address of this machine alone"
            ))
            .because("the API can halt and resume trading")
            .next("listen on 127.0.0.1 and reach it through a tunnel"));
        }
        TcpListener::bind(address).map_err(|error| {
            Failure::internal(format!("{address} can't be listened on"))
                .because(error)
                .next("another program has it; choose another with --api")
        })?;
        let own: RoleRef<ApiMessage> = RoleRef::new("api", 16);
        let policy = ChildPolicy { backoff: Backoff::PATIENT, ..ChildPolicy::PERMANENT };
        Ok(ChildSpec::role::<Self>(&own, policy, move |cx| {
            Self::start(address, &token, &metrics, &seat, cx)
        }))
    }

    fn start(
        address: SocketAddr,
        token: &Token,
        metrics: &RenderMetrics,
        seat: &ApiSeat,
        cx: &mut Context<ApiMessage>,
    ) -> Result<Self, RoleError> {
        let (token, metrics, seat) = (token.clone(), Arc::clone(metrics), seat.clone());
        let own = cx.pinned_ref();
        let clock = cx.clock().clone();
        cx.spawn(async move {
            let plane = loop {
                if let Some(plane) = seat.plane() {
                    break plane;
                }
                clock.sleep(SEAT_POLL).await;
            };
            let plane: Arc<dyn ControlPlane> = plane;
            let served = match api::bind(address).await {
                Ok(listener) => {
                    let router = api::router(plane, metrics, token);
                    {
                        let served = api::serve(listener, router, std::future::pending()).await;
                        served.map_err(|error| error.to_string())
                    }
                }
                Err(error) => Err(error.to_string()),
            };
            let how = served.map_or_else(|error| error, |()| "it ended".to_owned());
            // The role has ended itself if it can't be told.
            let _ = own.send(ApiMessage::Ended(how));
        });
        cx.ready();
        Ok(Self)
    }
}

impl Role for ApiRole {
    type Message = ApiMessage;

    fn handle(
        &mut self,
        message: ApiMessage,
        _: &mut Context<ApiMessage>,
    ) -> Result<(), RoleError> {
        match message {
            ApiMessage::Ended(how) => Err(RoleError::failed(how)),
        }
    }
}
