//! The reconciler's role: asks the broker until two rounds agree, and hands the result to the desk.
//!
//! *Restart:* begins to ask anew; an answer to an older incarnation's question carries another
//! ticket.
//! *Loses:* a round that was under way.

use crate::messages::{DeskMessage, LinkStatus, ReconcilerMessage, SessionMessage};
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use arc_swap::ArcSwap;
use broker::link::LinkState;
use desk::reconcile::{ReconcileEffect, ReconcileEvent, ReconcilePolicy, Reconciler};
use desk::record::ReconciliationReport;
use market::time::{ProcessTime, Timestamp};
use std::sync::Arc;
use store::Seq;

/// What the reconciler needs.
#[derive(Clone)]
pub struct ReconcilerSpec {
    /// How the broker is asked.
    pub policy: ReconcilePolicy,
    /// Who asks.
    pub session: RoleRef<SessionMessage>,
    /// Who draws the conclusions.
    pub desk: RoleRef<DeskMessage>,
    /// Where the link stands.
    pub link: Arc<ArcSwap<LinkStatus>>,
    /// Tells a person.
    pub alarm: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The last reconciliation that the desk has concluded from, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReconciliation {
    /// Its record in the journal.
    pub seq: Seq,
    /// When it ended, in market time.
    pub ended: Timestamp,
    /// What was found.
    pub report: ReconciliationReport,
}

/// The role.
pub struct ReconcilerRole {
    spec: ReconcilerSpec,
    machine: Reconciler,
    /// The generation in the upper half, the question's number in the lower.
    ticket: u64,
}

impl ReconcilerRole {
    /// Takes up the link where it stands.
    pub fn start(
        spec: &ReconcilerSpec,
        cx: &mut Context<ReconcilerMessage>,
    ) -> Result<Self, RoleError> {
        let machine = Reconciler::new(spec.policy);
        let mut role = Self { spec: spec.clone(), machine, ticket: cx.generation() << 32 };
        let link = **spec.link.load();
        role.run(link_event(link), cx);
        cx.ready();
        Ok(role)
    }

    fn run(&mut self, event: ReconcileEvent, cx: &mut Context<ReconcilerMessage>) {
        for effect in self.machine.on(event, cx.now().process) {
            match effect {
                ReconcileEffect::Ask(question) => {
                    self.ticket += 1;
                    let ask = SessionMessage::Ask { ticket: self.ticket, question };
                    // Unanswered, it runs into its deadline and is asked again.
                    let _ = self.spec.session.send(ask);
                }
                ReconcileEffect::Done(result) => {
                    // A desk that is down asks for another when it starts.
                    let _ = self.spec.desk.send(DeskMessage::Reconciled(result));
                }
                ReconcileEffect::Alarm(text) => (self.spec.alarm)(&text),
            }
        }
    }
}

/// Questions are asked once the connection has settled: what was on the wire has arrived.
fn link_event(status: LinkStatus) -> ReconcileEvent {
    let up = matches!(status.state, LinkState::Reconciling | LinkState::Ready);
    ReconcileEvent::Link { up, generation: status.generation }
}

impl Role for ReconcilerRole {
    type Message = ReconcilerMessage;

    fn handle(
        &mut self,
        message: ReconcilerMessage,
        cx: &mut Context<ReconcilerMessage>,
    ) -> Result<(), RoleError> {
        match message {
            ReconcilerMessage::Link(status) => self.run(link_event(status), cx),
            ReconcilerMessage::Request(reason) => self.run(ReconcileEvent::Request { reason }, cx),
            ReconcilerMessage::DeskStarted => {
                let reason = "the desk started".to_owned();
                self.run(ReconcileEvent::Request { reason }, cx);
            }
            ReconcilerMessage::Stirred => self.run(ReconcileEvent::LiveReport, cx),
            ReconcilerMessage::Answer { ticket, answer } => {
                if ticket == self.ticket {
                    self.run(ReconcileEvent::Answer(answer), cx);
                }
            }
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        self.machine.next_wake()
    }

    fn on_wake(&mut self, cx: &mut Context<ReconcilerMessage>) -> Result<(), RoleError> {
        self.run(ReconcileEvent::Wake, cx);
        Ok(())
    }
}
