//! `optionsib panic`: cancels the node's own working orders at the broker, with nothing of the node
//! needed but its number: no journal, no snapshot, no running process.
//!
//! It connects under the order client's id, asks what works, cancels what carries a reference of
//! this installation (or of any, if `--all` asks for it), and asks again until none is left. A node
//! that runs holds that id: it is to be halted instead, which cancels as well. Orders of others and
//! of the broker's screen are never touched.

use crate::cli::{Output, PanicArgs};
use crate::configuration::{BrokerKind, Configuration, Source};
use crate::failure::{Exit, Failure};
use crate::gateway::notice;
use crate::terminal;
use broker::ib::{Environment, Gateway, IbOrderPort, IbSettings};
use broker::port::{BrokerEvent, OrderPort, WriteError};
use broker::wire_fence::WireFence;
use market::time::Timestamp;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use trading::id::{InstallId, IntentKey, OrderId};
use trading::report::{Answer, OpenOrder, Question};
use trading::trading_state::HaltEpoch;

/// A connection and each answer may take so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// All cancels have to be confirmed by then.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What was done.
#[derive(Debug, Serialize)]
struct PanicReport {
    /// References of orders that work no more: canceled, or filled before the cancel came.
    ended: Vec<String>,
    /// References of own orders that still work.
    remaining: Vec<String>,
    /// Working orders that are not ours.
    others: usize,
}

/// Runs the command.
///
/// # Errors
/// No broker, a node that holds the client id, or orders that still work.
pub fn panic(args: &PanicArgs, output: Output) -> Result<(), Failure> {
    let configuration = Configuration::load(&Source {
        folder: &args.config,
        environment: args.environment,
        strategies: None,
    })?;
    let address = address(args, &configuration)?;
    let now = Arc::new(|| Timestamp::from_nanos(notice::wall_nanos()));
    let mut settings = IbSettings::paper(&address, configuration.account.clone(), now);
    settings.order_client = configuration.broker.order_client;
    if args.environment == crate::cli::Environment::Live {
        settings.environment = Environment::Live;
    }
    let install = if args.all { None } else { Some(install(&args.state.state)?) };
    let fence = Arc::new(WireFence::new(HaltEpoch::default(), None));
    let mut port = IbOrderPort::new(Gateway::new(settings), fence);
    let report = cancel_all(&mut port, |order| is_ours(order, install));
    port.disconnect();
    let report = report?;
    if output.json {
        terminal::print_json(&report)?;
    } else {
        let (done, left) = (report.ended.len(), report.others);
        terminal::print(&format!(
            "{done} own orders work no more (look at positions: one may have filled), {left} of \
             others untouched"
        ))?;
    }
    if report.remaining.is_empty() {
        return Ok(());
    }
    Err(Failure::internal(format!("{} own orders still work", report.remaining.len()))
        .because(report.remaining.join(", "))
        .next("run it again, and cancel them on the broker's own screen"))
}

fn address(args: &PanicArgs, configuration: &Configuration) -> Result<String, Failure> {
    if let Some(address) = &args.address {
        return Ok(address.to_string());
    }
    if configuration.broker.kind == BrokerKind::Ib {
        return Ok(configuration.broker.address.to_string());
    }
    let folder = args.state.state.join("venue");
    let found = notice::running(&folder).ok().flatten();
    found.map(|found| found.listening).ok_or_else(|| {
        Failure::new(Exit::Unreachable, "no gateway is known")
            .because(format!("none runs in {}", folder.display()))
            .next("say where it listens with --address HOST:PORT")
    })
}

/// The installation's number. Without it nobody knows which orders are this node's, and another's
/// are not canceled by mistake.
fn install(state: &Path) -> Result<InstallId, Failure> {
    let file = state.join("install");
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let number = text
        .and_then(|text| u32::from_str_radix(text.trim(), 16).map_err(|error| error.to_string()));
    number.map(InstallId).map_err(|reason| {
        Failure::usage(format!("{} does not name the installation", file.display()))
            .because(reason)
            .next("name its --state, or add --all for the orders of every installation")
    })
}

fn is_ours(order: &OpenOrder, install: Option<InstallId>) -> bool {
    let key = IntentKey::parse(&order.reference);
    key.is_ok_and(|key| install.is_none_or(|install| key.install == install))
}

fn cancel_all(
    port: &mut IbOrderPort,
    is_ours: impl Fn(&OpenOrder) -> bool,
) -> Result<PanicReport, Failure> {
    let (tell, told) = channel();
    port.connect(1, Box::new(move |event| drop(tell.send(event))));
    until(&told, ANSWER_WITHIN, |event| {
        matches!(event, BrokerEvent::Connected { .. }).then_some(())
    })?;
    let deadline = Instant::now() + CONFIRMED_WITHIN;
    let mut asked: Vec<(OrderId, String)> = Vec::new();
    let mut ticket = 0;
    loop {
        ticket += 1;
        port.ask(ticket, Question::OpenOrders).map_err(|error| lost(&error.to_string()))?;
        let open = until(&told, ANSWER_WITHIN, |event| match event {
            BrokerEvent::Answer { ticket: of, answer: Answer::OpenOrders(open) }
                if of == ticket =>
            {
                Some(open)
            }
            _ => None,
        })?;
        let (ours, others): (Vec<_>, Vec<_>) = open.into_iter().partition(&is_ours);
        for order in &ours {
            match port.cancel(order.order_id) {
                // Another client id placed it: it stays among those that remain.
                Ok(()) | Err(WriteError::Unwritable(_)) => {}
                Err(error) => return Err(lost(&error.to_string())),
            }
            if !asked.iter().any(|(order_id, _)| *order_id == order.order_id) {
                asked.push((order.order_id, order.reference.clone()));
            }
        }
        if ours.is_empty() || Instant::now() >= deadline {
            let remaining: Vec<String> = ours.iter().map(|order| order.reference.clone()).collect();
            let ended = asked.into_iter().map(|(_, reference)| reference);
            let ended = ended.filter(|reference| !remaining.contains(reference)).collect();
            return Ok(PanicReport { ended, remaining, others: others.len() });
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// Hears until there is what is waited for.
fn until<T>(
    told: &Receiver<BrokerEvent>,
    within: Duration,
    mut look: impl FnMut(BrokerEvent) -> Option<T>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + within;
    loop {
        match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(BrokerEvent::Disconnected { reason } | BrokerEvent::HumanNeeded { reason }) => {
                return Err(lost(&reason));
            }
            Ok(event) => {
                if let Some(found) = look(event) {
                    return Ok(found);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(lost("the broker did not answer in time"));
            }
        }
    }
}

fn lost(reason: &str) -> Failure {
    Failure::new(Exit::Unreachable, "the orders could not be canceled").because(reason).next(
        "if the node runs it holds the client id: `optionsib halt` cancels too; otherwise use the \
         broker's own screen",
    )
}
