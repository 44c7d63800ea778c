//! The control plane of the running node: published snapshots in words, commands to the roles.

use crate::configuration::Configuration;
use crate::control::{
    BrokerOrder, BrokerPosition, ControlError, ControlPlane, DurableEvent, EVENTS_MAX, FaultKind,
    FaultRequest, FaultView, HaltAcknowledged, LimitView, OrderView, Pending, PositionView,
    ReconciliationView, ResultView, Resumed, SCHEMA_VERSION, SnapshotView, StatusView, SurfaceRow,
    TreeRow,
};
use actors::aftermath;
use actors::messages::{KillSwitchMessage, ReconcilerMessage};
use actors::node::{Node, NodeParts};
use actors::reconciler::LastReconciliation;
use actors::runtime::clock::Clock;
use actors::runtime::fault::{ArmedRule, CERTAIN_PPM, Fault, FaultBoard, FaultError, Rule};
use actors::runtime::role::RolePath;
use actors::runtime::role_ref::AskError;
use actors::snapshots::SnapshotsMessage;
use broker::downtime::DowntimeSchedule;
use broker::link::LinkState;
use desk::record::Record;
use market::instrument::{Catalog, ConId, Contract};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::Side;
use market::time::ProcessTime;
use risk::limits::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Disk, Seq, read_from};
use trading::id::PermId;
use trading::trading_state::TradingState;
use valuation::view::{MarketView, Markets};

/// A command that a role doesn't answer in this time may still take effect.
const PATIENCE: Duration = Duration::from_secs(5);

/// The plane.
pub struct NodeControl {
    node: Arc<Node>,
    faults: FaultBoard,
    clock: Clock,
    disk: Arc<dyn Disk>,
    environment: &'static str,
    account: String,
    broker: String,
    limits: Limits,
    downtime: DowntimeSchedule,
}

impl NodeControl {
    /// Of a running node; `broker` is where its orders go.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        faults: FaultBoard,
        clock: Clock,
        disk: Arc<dyn Disk>,
        broker: String,
        configuration: &Configuration,
    ) -> Self {
        Self {
            node,
            faults,
            clock,
            disk,
            environment: configuration.environment.name(),
            account: configuration.account.to_string(),
            broker,
            limits: configuration.limits.clone(),
            downtime: configuration.downtime.clone(),
        }
    }

    fn fills(&self) -> u64 {
        let parts = self.parts();
        let booked =
            parts.keeper.now(&parts.journal, |books| books.desk.ledger.executions_booked());
        booked.map_or(0, |count| count as u64)
    }

    fn parts(&self) -> &NodeParts {
        &self.node.parts
    }

    fn fault_view(&self, armed: &ArmedRule) -> FaultView {
        let fault = match armed.rule.fault {
            Fault::Delay(wait) => format!("delay {}ms", wait.as_millis()),
            Fault::Stall(wait) => format!("stall {}ms", wait.as_millis()),
            other => other.label().to_owned(),
        };
        let left = armed.rule.until.since(self.clock.process()).as_millis();
        FaultView {
            id: armed.id,
            role: armed.role.as_str().to_owned(),
            fault,
            left: armed.rule.budget,
            ends_in_ms: u64::try_from(left).unwrap_or(u64::MAX),
        }
    }
}

fn name_of(catalog: &Catalog, con_id: ConId) -> String {
    let found = catalog.get(con_id);
    found.map_or_else(|_| format!("con {con_id}"), |instrument| instrument.local_symbol.clone())
}

fn words(catalog: &Catalog, contract: &Contract) -> String {
    match contract {
        Contract::Single(con_id) => name_of(catalog, *con_id),
        Contract::Combo(combo) => {
            let leg = |leg: &market::instrument::Leg| {
                format!("{:+} {}", leg.ratio, name_of(catalog, leg.con_id))
            };
            combo.legs().iter().map(leg).collect::<Vec<_>>().join(" ")
        }
    }
}

fn sum(amounts: &BTreeMap<Currency, Money>) -> Money {
    amounts.values().copied().sum()
}

fn mark(markets: &Markets, con_id: ConId) -> Option<Price> {
    markets.values().find_map(|view| view.line(con_id).and_then(|line| line.quote().mid()))
}

fn unanswered(what: &str, error: AskError) -> ControlError {
    ControlError::Unavailable { what: format!("{what}: {error}") }
}

fn refused(error: FaultError) -> ControlError {
    match error {
        FaultError::UnknownRole(role) => ControlError::UnknownRole { role: role.to_string() },
        FaultError::Refused => ControlError::Refused {
            what: error.to_string(),
            next: "permit faults in config/environment (chaos.permitted), never in live".to_owned(),
        },
        other => ControlError::Refused {
            what: other.to_string(),
            next: "`optionsib tree` shows the roles and their states".to_owned(),
        },
    }
}

impl ControlPlane for NodeControl {
    fn status(&self) -> StatusView {
        let parts = self.parts();
        let (view, states) = (parts.desk_view.load(), parts.states.load());
        let link = **parts.link.load();
        let markets = parts.views.markets();
        let market_time = markets.values().map(|view| view.time).max();
        let now = self.clock.now();
        StatusView {
            schema_version: SCHEMA_VERSION,
            ready: view.ready
                && link.state == LinkState::Ready
                && states.account != TradingState::Halted,
            trading_state: states.account.name().to_owned(),
            halt_reason: parts.fence.halted(),
            broker_link: link.state.name().to_owned(),
            needs_human: link.human.map(|cause| cause.sentence().to_owned()),
            entries_frozen: self.downtime.phase(now.market).entries_frozen(),
            violations: parts.audit.verdict().violations_total(),
            journal_seq: parts.journal.durable().0,
            open_orders: view.orders.iter().filter(|order| order.state.is_live()).count() as u64,
            positions: view.exposure.positions.len() as u64,
            fills: self.fills(),
            pnl: ResultView {
                cash: sum(&view.cash).to_string(),
                fees: sum(&view.fees).to_string(),
                realised: sum(&view.realised).to_string(),
                unrealised: view.day.unrealised.map(|amount| amount.to_string()),
            },
            uptime_s: now.process.since(ProcessTime::ZERO).as_secs_f64(),
            epoch: parts.journal.epoch(),
            market_time: market_time.unwrap_or(now.market).to_string(),
            environment: self.environment.to_owned(),
            account: self.account.clone(),
        }
    }

    fn tree(&self) -> Vec<TreeRow> {
        let session = self.parts().session.path().as_str().to_owned();
        let rows = self.node.tree.board().view().into_iter().map(TreeRow::from);
        let with_link = |mut row: TreeRow| {
            if row.role == session {
                let link = self.parts().link.load();
                row.detail = format!(
                    "link {}, generation {}, {}",
                    link.state.name(),
                    link.generation,
                    self.broker
                );
                for word in [
                    link.human.map(|cause| cause.sentence().to_owned()),
                    self.downtime.phase(self.clock.now().market).entries_frozen(),
                ]
                .into_iter()
                .flatten()
                {
                    row.detail.push_str("; ");
                    row.detail.push_str(&word);
                }
            }
            row
        };
        rows.map(with_link).collect()
    }

    fn positions(&self) -> Vec<PositionView> {
        let parts = self.parts();
        let (catalog, markets) = (parts.catalog.load(), parts.views.markets());
        let durable = parts.keeper.now(&parts.journal, |books| {
            let ledger = &books.desk.ledger;
            let mut rows = Vec::new();
            for strategy in ledger.strategies() {
                for (con_id, holding, terms) in ledger.strategy_holdings(&strategy) {
                    let mark = mark(&markets, con_id);
                    let unrealised =
                        mark.zip(terms).map(|(mark, terms)| holding.unrealised(mark, terms));
                    let average = terms.and_then(|terms| holding.average_price(terms));
                    rows.push(PositionView {
                        strategy: Some(strategy.to_string()),
                        con_id: i64::from(con_id.0),
                        contract: name_of(&catalog, con_id),
                        quantity: holding.quantity.0,
                        average_cost: average.unwrap_or_default().to_string(),
                        mark: mark.map(|mark| mark.to_string()),
                        realised: holding.realised.to_string(),
                        unrealised: unrealised.map(|amount| amount.to_string()),
                        currency: terms.map_or(Currency::USD, |terms| terms.currency).to_string(),
                    });
                }
            }
            rows
        });
        let mut rows = durable.unwrap_or_default();
        rows.retain(|row| row.quantity != 0);
        rows
    }

    fn orders(&self) -> Vec<OrderView> {
        let (view, catalog) = (self.parts().desk_view.load(), self.parts().catalog.load());
        let row = |order: &desk::view::OrderView| OrderView {
            order_id: order.order_id.0,
            perm_id: order.perm_ids.last().map(|perm_id| perm_id.0),
            reference: order.key.to_string(),
            strategy: Some(order.key.strategy.to_string()),
            contract: words(&catalog, &order.contract),
            side: match order.side {
                Side::Buy => "buy".to_owned(),
                Side::Sell => "sell".to_owned(),
            },
            quantity: order.quantity.0,
            filled: order.filled.0,
            limit: order.limit.to_string(),
            state: serde_json::to_value(order.state)
                .ok()
                .and_then(|state| state.as_str().map(str::to_lowercase))
                .unwrap_or_default(),
        };
        view.orders.iter().map(row).collect()
    }

    fn surfaces(&self) -> Vec<SurfaceRow> {
        let (markets, now) = (self.parts().views.markets(), self.clock.now().market);
        let of_view = |view: &Arc<MarketView>| {
            let surface = view.surface.as_ref();
            surface.map_or_else(Vec::new, |own| SurfaceRow::of(&view.symbol, own, now))
        };
        markets.values().flat_map(of_view).collect()
    }

    fn limits(&self) -> Vec<LimitView> {
        let (book, limits) = (self.parts().risk_book.load(), &self.limits);
        let mut rows = Vec::new();
        let mut row = |limit: String, used_milli: i64, bound: f64| {
            let used = used_milli as f64 / 1000.0;
            let used_ratio = if bound > 0.0 { used / bound } else { 0.0 };
            rows.push(LimitView {
                limit,
                used: format!("{used:.3}"),
                bound: format!("{bound:.3}"),
                used_ratio,
            });
        };
        for (symbol, risk) in &book.symbols {
            let Some(worst) = &risk.worst else { continue };
            let delta = limits.delta_max_shares.of(symbol) as f64;
            let vega = limits.vega_max_per_point.of(symbol) as f64;
            row(format!("delta/{symbol}"), worst.delta_milli.worst(), delta);
            row(format!("vega/{symbol}"), worst.vega_milli.worst(), vega);
        }
        if let Some(margin) = book.margin {
            row("margin".to_owned(), margin.micros() / 1000, limits.margin_max.to_f64());
        }
        if let Some(loss) = self.parts().desk_view.load().day.loss_milli() {
            row("daily_loss".to_owned(), loss.max(0), limits.daily_loss_max.to_f64());
        }
        rows
    }

    fn faults(&self) -> Vec<FaultView> {
        let armed = self.faults.list(self.clock.process());
        armed.iter().map(|rule| self.fault_view(rule)).collect()
    }

    fn reconciliation(&self) -> Option<ReconciliationView> {
        let last = self.parts().reconciliation.load_full();
        last.map(|last| reconciliation_view(&self.parts().catalog.load(), &last))
    }

    fn reconcile(&self) -> Pending<'_, ReconciliationView> {
        Box::pin(async move {
            let parts = self.parts();
            let asked_after = parts.journal.last_assigned();
            let reason = "asked for by the operator".to_owned();
            parts.reconciler.send(ReconcilerMessage::Request(reason)).map_err(|error| {
                ControlError::Unavailable { what: format!("the reconciler: {error}") }
            })?;
            let deadline = self.clock.process() + PATIENCE;
            loop {
                // Shown only when it is durable.
                let last = parts
                    .reconciliation
                    .load_full()
                    .filter(|last| last.seq > asked_after && last.seq <= parts.journal.durable());
                if let Some(last) = last {
                    return Ok(reconciliation_view(&parts.catalog.load(), &last));
                }
                if self.clock.process() >= deadline {
                    let state = parts.link.load().state.name();
                    let what = format!("no reconciliation ended in time, the link is {state}");
                    return Err(ControlError::Unavailable { what });
                }
                self.clock.sleep(Duration::from_millis(5)).await;
            }
        })
    }

    fn snapshots(&self) -> Pending<'_, Vec<SnapshotView>> {
        Box::pin(async move {
            let listed = self.parts().snapshots.ask(SnapshotsMessage::List, PATIENCE).await;
            let heads = listed
                .map_err(|error| unanswered("the snapshots' role", error))?
                .map_err(|what| ControlError::Failed { what })?;
            let view = |head: &store::SnapshotHead| SnapshotView {
                seq: head.seq.0,
                bytes: head.bytes,
                blake3: blake3::Hash::from(head.blake3).to_string(),
            };
            Ok(heads.iter().map(view).collect())
        })
    }

    fn accepted_intents_and_fills_since(&self, from: u64) -> Pending<'_, Vec<DurableEvent>> {
        Box::pin(async move {
            let (disk, durable) = (Arc::clone(&self.disk), self.parts().journal.durable());
            let read = tokio::task::spawn_blocking(move || events(disk, from, durable)).await;
            let failed = |what: String| ControlError::Failed { what };
            read.map_err(|error| failed(error.to_string()))?.map_err(failed)
        })
    }

    fn halt(&self, reason: String) -> Pending<'_, HaltAcknowledged> {
        Box::pin(async move {
            let kill_switch = &self.parts().kill_switch;
            let halted = kill_switch
                .ask(|reply| KillSwitchMessage::Halt { reason, reply: Some(reply) }, PATIENCE)
                .await
                .map_err(|error| unanswered("the kill switch", error))?
                .map_err(|what| ControlError::Failed { what })?;
            let now = self.clock.now().market;
            let epoch = halted.halt_epoch.0;
            self.parts().audit.tell(move |auditor| auditor.on_halt_acknowledged(epoch, now));
            Ok(HaltAcknowledged { halt_epoch: epoch })
        })
    }

    fn resume(&self, by: String) -> Pending<'_, Resumed> {
        Box::pin(async move {
            let now = self.clock.now().market;
            self.parts().audit.tell(move |auditor| auditor.on_resumed(now));
            self.parts()
                .kill_switch
                .ask(|reply| KillSwitchMessage::Resume { by, reply }, PATIENCE)
                .await
                .map_err(|error| unanswered("the kill switch", error))?
                .map_err(|what| ControlError::Failed { what })?;
            aftermath::revive(&self.node.tree, &self.parts().audit);
            // Durable before it is answered.
            let wanted = self.parts().journal.last_assigned();
            let deadline = self.clock.process() + PATIENCE;
            while self.parts().journal.durable() < wanted && self.clock.process() < deadline {
                self.clock.sleep(Duration::from_millis(1)).await;
            }
            Ok(Resumed { halt_epoch: self.parts().fence.halt_epoch().0 })
        })
    }

    fn kill(&self, role: String) -> Pending<'_, ()> {
        Box::pin(async move { self.faults.kill(&RolePath::new(role)).map_err(refused) })
    }

    fn arm(&self, asked: FaultRequest) -> Pending<'_, FaultView> {
        Box::pin(async move {
            let now = self.clock.process();
            let (fault, percent, budget) = match asked.fault {
                FaultKind::Panic => (Fault::Panic, 100, 1),
                FaultKind::Error => (Fault::Error, 100, 1),
                FaultKind::Delay { hold_ms } => {
                    (Fault::Delay(Duration::from_millis(hold_ms)), 100, u32::MAX)
                }
                FaultKind::Stall { hold_ms } => {
                    (Fault::Stall(Duration::from_millis(hold_ms)), 100, u32::MAX)
                }
                FaultKind::Drop { percent } => (Fault::Drop, percent, u32::MAX),
                FaultKind::Duplicate { percent } => (Fault::Duplicate, percent, u32::MAX),
            };
            let ppm = CERTAIN_PPM / 100 * u32::from(percent);
            let until = now + Duration::from_millis(asked.for_ms);
            let rule = Rule { fault, ppm, budget, until };
            let role = RolePath::new(asked.role);
            let id = self.faults.arm(&role, rule, now).map_err(refused)?;
            Ok(self.fault_view(&ArmedRule { id, role, rule }))
        })
    }

    fn clear_faults(&self) -> Pending<'_, usize> {
        Box::pin(async move { Ok(self.faults.clear_all()) })
    }

    fn create_snapshot(&self) -> Pending<'_, SnapshotView> {
        Box::pin(async move {
            let taken = self.parts().snapshots.ask(SnapshotsMessage::Create, PATIENCE).await;
            let taken = taken
                .map_err(|error| unanswered("the snapshots' role", error))?
                .map_err(|what| ControlError::Failed { what })?;
            let kept = self.snapshots().await?;
            kept.into_iter().find(|kept| kept.seq == taken.seq.0).ok_or_else(|| {
                ControlError::Failed { what: format!("snapshot {} is not kept", taken.seq) }
            })
        })
    }
}

fn reconciliation_view(catalog: &Catalog, last: &LastReconciliation) -> ReconciliationView {
    let report = &last.report;
    let position = |&(con_id, quantity): &(ConId, Quantity)| BrokerPosition {
        con_id: i64::from(con_id.0),
        contract: name_of(catalog, con_id),
        quantity: quantity.0,
    };
    let order = |(reference, perm_id): &(String, PermId)| BrokerOrder {
        reference: reference.clone(),
        perm_id: perm_id.0,
    };
    let cash = report.cash.iter().map(|(currency, cash)| (currency.to_string(), cash.to_string()));
    ReconciliationView {
        schema_version: SCHEMA_VERSION,
        seq: last.seq.0,
        ended: last.ended.to_string(),
        link_generation: report.link_generation,
        rounds: report.rounds,
        complete: report.complete,
        stirred: report.stirred,
        positions: report.positions.iter().map(position).collect(),
        cash: cash.collect(),
        open_orders: report.open_orders.iter().map(order).collect(),
        unresolved: report.unresolved.clone(),
    }
}

fn events(disk: Arc<dyn Disk>, from: u64, durable: Seq) -> Result<Vec<DurableEvent>, String> {
    let mut events = Vec::new();
    if Seq(from) > durable {
        return Ok(events);
    }
    for record in read_from(disk, Seq(from), Some(durable)) {
        let record = record.map_err(|error| error.to_string())?;
        let seq = record.seq.0;
        if record.kind == store::envelope::CONTROL_KIND {
            continue;
        }
        let decoded = Record::decode(record.kind, record.schema_version, &record.payload);
        match decoded.map_err(|error| error.to_string())? {
            Record::IntentApproved { intent, .. } => {
                events.push(DurableEvent::Intent { seq, key: intent.key.to_string() });
            }
            Record::Filled { fill, .. } => {
                let key = (!fill.reference.is_empty()).then(|| fill.reference.clone());
                events.push(DurableEvent::Fill { seq, exec_id: fill.exec_id.0, key });
            }
            _ => {}
        }
        if events.len() >= EVENTS_MAX {
            break;
        }
    }
    Ok(events)
}
