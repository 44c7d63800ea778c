//! How a tree is written down: supervisors, their children, and what each child is.
//!
//! Plain description; `tree.rs` checks and launches it. Which roles exist and who depends on whom
//! is decided where the tree of the node is assembled.

use super::policy::{Beyond, ChildPolicy, Intensity, Strategy};
use super::role::{Context, Role, RoleError, RolePath};
use super::role_ref::RoleRef;
use super::shell;
use super::supervisor::StartRole;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A supervisor and its children, in the order in which they start.
pub struct SupervisorSpec {
    pub(super) path: RolePath,
    pub(super) strategy: Strategy,
    pub(super) intensity: Option<Intensity>,
    pub(super) beyond: Beyond,
    pub(super) children: Vec<ChildSpec>,
}

impl SupervisorSpec {
    /// A supervisor without children. `intensity` bounds the restarts of all children together
    /// (none leaves the bound to theirs), `beyond` is what happens past it.
    #[must_use]
    pub fn new(
        path: impl Into<RolePath>,
        strategy: Strategy,
        intensity: Option<Intensity>,
        beyond: Beyond,
    ) -> Self {
        Self { path: path.into(), strategy, intensity, beyond, children: Vec::new() }
    }

    /// With one more child, started after those it has.
    #[must_use]
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }
}

/// One child: what it is, how it is treated, where it runs.
pub struct ChildSpec {
    pub(super) path: RolePath,
    pub(super) policy: ChildPolicy,
    pub(super) runtime: Option<Handle>,
    pub(super) body: Body,
}

pub(super) enum Body {
    Role(StartRole),
    Supervisor(SupervisorSpec),
}

impl ChildSpec {
    /// A role behind the address `own`. `factory` makes it anew for each incarnation: it recovers
    /// the role's state, may send through the context, and must not block; its error or panic is
    /// a failure of the child.
    #[must_use]
    pub fn role<R: Role>(
        own: &RoleRef<R::Message>,
        policy: ChildPolicy,
        factory: impl Fn(&mut Context<R::Message>) -> Result<R, RoleError> + Send + Sync + 'static,
    ) -> Self {
        let path = own.path().clone();
        let (own, factory): (_, shell::Factory<R>) = (own.clone(), Arc::new(factory));
        let start: StartRole = Arc::new(move |launch| {
            Box::pin(shell::spawn(launch, own.clone(), Arc::clone(&factory)))
        });
        Self { path, policy, runtime: None, body: Body::Role(start) }
    }

    /// A supervisor as a child of another. Its policy's intensity counts its own failures, which
    /// are the escalations from below. Give it a stop time that its children can end in.
    #[must_use]
    pub fn supervisor(spec: SupervisorSpec, policy: ChildPolicy) -> Self {
        Self { path: spec.path.clone(), policy, runtime: None, body: Body::Supervisor(spec) }
    }

    /// Runs on this runtime rather than on its supervisor's. In simulation all are the same.
    #[must_use]
    pub fn on(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }
}
