//! The broker session: the only role that writes to the broker, and the first to hear it.
//!
//! It runs the link machine, checks each clearance immediately before the write (inside the port,
//! under the wire fence) and passes every report on at once.
//!
//! *Restart:* connects anew as the next generation; the desk, the reconciler and the risk book
//! restart with it, so that nobody acts on the old connection's words.
//! *Loses:* what the broker said while nobody listened; reconciliation asks for it.

use crate::auditor::Audit;
use crate::messages::{DeskMessage, LinkStatus, ReconcilerMessage, SendOutcome, SessionMessage};
use crate::order_steps::announce;
use crate::runtime::protocol::ProtocolStep;
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use arc_swap::ArcSwap;
use broker::downtime::DowntimeSchedule;
use broker::link::{BrokerLink, LinkEffect, LinkInput, LinkState, LinkTiming};
use broker::port::{BrokerEvent, OrderPort, WriteError};
use market::time::ProcessTime;
use risk::cleared::Cleared;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use trading::order::Order;

/// What the session needs.
#[derive(Clone)]
pub struct SessionSpec {
    /// Makes the order connection of one incarnation.
    pub port: Arc<dyn Fn() -> Box<dyn OrderPort> + Send + Sync>,
    /// How long the link waits for what.
    pub timing: LinkTiming,
    /// When the broker is expected to be away.
    pub downtime: DowntimeSchedule,
    /// The last link generation that was used in this process; it never goes back.
    pub generations: Arc<AtomicU32>,
    /// Where the link's state is published.
    pub status: Arc<ArcSwap<LinkStatus>>,
    /// Who hears reports.
    pub desk: RoleRef<DeskMessage>,
    /// Told when orders may be written and when not.
    pub audit: Audit,
    /// Who hears answers.
    pub reconciler: RoleRef<ReconcilerMessage>,
    /// Tells a person.
    pub alarm: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The role.
pub struct SessionRole {
    spec: SessionSpec,
    port: Box<dyn OrderPort>,
    link: BrokerLink,
    /// Why the last attempt or connection failed, for whoever is told.
    last_failure: String,
}

impl SessionRole {
    /// Begins to connect.
    pub fn start(spec: &SessionSpec, cx: &mut Context<SessionMessage>) -> Result<Self, RoleError> {
        let generation = spec.generations.load(Ordering::Acquire);
        let link = BrokerLink::new(spec.timing, spec.downtime.clone(), generation, cx.now());
        // The old connection went with the old incarnation.
        let down = LinkStatus { state: LinkState::Down, generation, human: None };
        spec.status.store(Arc::new(down));
        let last_failure = "nothing was heard of it".to_owned();
        Ok(Self { spec: spec.clone(), port: (spec.port)(), link, last_failure })
    }

    fn run(&mut self, input: LinkInput, cx: &mut Context<SessionMessage>) {
        let effects = self.link.on(input, cx.now());
        let human = self.link.human_cause();
        for effect in effects {
            match effect {
                LinkEffect::Connect { generation } => self.connect(generation, cx),
                LinkEffect::Disconnect => self.port.disconnect(),
                // The reconciler begins by itself when the link is published as reconciling.
                LinkEffect::Reconcile { .. } => {}
                LinkEffect::Publish { state, generation } => {
                    let status = LinkStatus { state, generation, human };
                    self.spec.status.store(Arc::new(status));
                    let _ = self.spec.desk.send(DeskMessage::Link(status));
                    let _ = self.spec.reconciler.send(ReconcilerMessage::Link(status));
                    let now = cx.now().market;
                    if state == LinkState::Ready {
                        cx.ready();
                        self.spec.audit.tell(move |auditor| auditor.on_ready(now));
                    } else {
                        cx.unready();
                        self.spec.audit.tell(move |auditor| auditor.on_not_ready(now));
                    }
                }
                LinkEffect::Alarm { cause } => {
                    let text = format!("{} ({})", cause.sentence(), self.last_failure);
                    (self.spec.alarm)(&text);
                }
            }
        }
    }

    fn connect(&mut self, generation: u32, cx: &mut Context<SessionMessage>) {
        self.spec.generations.fetch_max(generation, Ordering::AcqRel);
        let own = cx.pinned_ref();
        let sink = Box::new(move |event| {
            // A full mailbox loses a report, as a network does; reconciliation asks for it.
            let _ = own.send(SessionMessage::Event { generation, event: Box::new(event) });
        });
        self.port.connect(generation, sink);
    }

    fn on_event(
        &mut self,
        generation: u32,
        event: BrokerEvent,
        cx: &mut Context<SessionMessage>,
    ) -> Result<(), RoleError> {
        if generation != self.link.generation() {
            return Ok(());
        }
        match event {
            BrokerEvent::Connected { next_order_id } => {
                self.tell_desk(DeskMessage::NextOrderId(next_order_id))?;
                self.run(LinkInput::Connected, cx);
                Ok(())
            }
            BrokerEvent::Disconnected { reason } => {
                self.log_failure(reason, "the broker link is down", cx);
                self.run(LinkInput::Disconnected, cx);
                Ok(())
            }
            BrokerEvent::BrokerLost { reason } => {
                self.log_failure(reason, "the broker can't be reached", cx);
                self.run(LinkInput::BrokerLost, cx);
                Ok(())
            }
            BrokerEvent::BrokerBack { reason } => {
                tracing::info!(reason, "the broker is back");
                if self.link.state() != LinkState::Degraded {
                    // It was away, and nobody said so: what happened meanwhile is missing.
                    let _ = self.spec.reconciler.send(ReconcilerMessage::Stirred);
                    let _ = self.spec.reconciler.send(ReconcilerMessage::Request(reason));
                }
                self.run(LinkInput::BrokerBack, cx);
                Ok(())
            }
            BrokerEvent::Gap { reason } => {
                tracing::warn!(reason, "reports may be missing");
                let _ = self.spec.reconciler.send(ReconcilerMessage::Stirred);
                let _ = self.spec.reconciler.send(ReconcilerMessage::Request(reason));
                Ok(())
            }
            BrokerEvent::HumanNeeded { reason } => {
                self.log_failure(reason, "the broker link needs a person", cx);
                self.run(LinkInput::HumanNeeded, cx);
                Ok(())
            }
            BrokerEvent::Report(report) => {
                let _ = self.spec.reconciler.send(ReconcilerMessage::Stirred);
                self.tell_desk(DeskMessage::Report(Box::new(report)))
            }
            BrokerEvent::Answer { ticket, answer } => {
                let answered = ReconcilerMessage::Answer { ticket, answer: Box::new(answer) };
                let _ = self.spec.reconciler.send(answered);
                Ok(())
            }
        }
    }

    /// What comes every night, or was told to a person already, is no warning.
    fn log_failure(&mut self, reason: String, what: &str, cx: &Context<SessionMessage>) {
        let expected = self.spec.downtime.on(cx.now().market).is_some();
        if expected || self.link.state() == LinkState::NeedsHuman {
            tracing::info!(reason, expected, "{what}");
        } else {
            tracing::warn!(reason, "{what}");
        }
        self.last_failure = reason;
    }

    /// What the broker said about orders must not be lost silently: if the desk can't take it, this
    /// role ends, and with it the whole trade branch, which reconciles from the start.
    fn tell_desk(&self, message: DeskMessage) -> Result<(), RoleError> {
        self.spec
            .desk
            .send(message)
            .map_err(|refused| RoleError::failed(format!("the desk took no report: {refused}")))
    }

    fn write(
        &mut self,
        cleared: Cleared<Order>,
        modify: bool,
        cx: &mut Context<SessionMessage>,
    ) -> Result<(), RoleError> {
        let (order_id, key) = (cleared.order().order_id, cleared.order().key.clone());
        let now = cx.now().process;
        let early = mutation::active("ready_without_reconcile");
        let state = match self.link.state() {
            LinkState::Settling | LinkState::Reconciling if early => LinkState::Ready,
            state => state,
        };
        let result = match (state, modify) {
            (LinkState::Ready, false) => self.port.place(cleared, now),
            (LinkState::Ready, true) => self.port.modify(cleared, now),
            _ => Err(WriteError::NotConnected),
        };
        if result.is_ok() {
            let step = if modify { ProtocolStep::Modifying } else { ProtocolStep::Sent };
            announce(cx, step, &key)?;
        }
        self.tell_desk(DeskMessage::SendOutcome(SendOutcome { order_id, result, modify }))
    }
}

impl Role for SessionRole {
    type Message = SessionMessage;

    fn handle(
        &mut self,
        message: SessionMessage,
        cx: &mut Context<SessionMessage>,
    ) -> Result<(), RoleError> {
        match message {
            SessionMessage::Place(cleared) => self.write(cleared, false, cx),
            SessionMessage::Modify(cleared) => self.write(cleared, true, cx),
            SessionMessage::Cancel(order_id) => {
                // Without a connection the desk asks again after the next reconciliation.
                if self.port.cancel(order_id).is_ok() && cx.faults().is_watched() {
                    // The session knows no key of it; who watches needs none.
                    cx.faults().step(ProtocolStep::Canceling, order_id.0.unsigned_abs())?;
                }
                Ok(())
            }
            SessionMessage::Ask { ticket, question } => {
                // An unanswered question runs into its deadline at the reconciler.
                let _ = self.port.ask(ticket, question);
                Ok(())
            }
            SessionMessage::Event { generation, event } => self.on_event(generation, *event, cx),
            SessionMessage::Reconciled { generation } => {
                self.run(LinkInput::Reconciled { generation }, cx);
                Ok(())
            }
        }
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        self.link.next_wake()
    }

    fn on_wake(&mut self, cx: &mut Context<SessionMessage>) -> Result<(), RoleError> {
        self.run(LinkInput::Wake, cx);
        Ok(())
    }
}

impl Drop for SessionRole {
    fn drop(&mut self) {
        self.port.disconnect();
    }
}
