//! The data connection's thread: connects, and decides which lines are open and who hears them.

use super::super::errors::{self, Action};
use super::super::lines::{LineBudget, Turn};
use super::super::orders::{Gateway, open};
use super::super::pacing::Lane;
use super::super::translate;
use super::chains::{Product, Told, Untold, dividends, product};
use super::line::{Connected, Hearer, Line};
use crate::port::DataSink;
use ibapi::Client;
use ibapi::subscriptions::NoticeStream;
use market::instrument::{ConId, Contract, InstrumentKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The first and the longest wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Lines take turns this often, so many at a time, where there are more contracts than lines.
const TURN_EVERY: Duration = Duration::from_secs(10);
const TURN_SHARE: usize = 10;

/// What the port asks.
pub enum Command {
    /// Lines for exactly these, under this name.
    Subscribe {
        /// Whose.
        name: String,
        /// In this order.
        con_ids: Vec<ConId>,
        /// Who hears.
        sink: Arc<dyn DataSink>,
    },
    /// These keep their line.
    Pin(BTreeSet<ConId>),
    /// The terms of a product.
    Resolve {
        /// Its root.
        symbol: String,
        /// Who waits.
        reply: oneshot::Sender<Result<Product, Untold>>,
    },
    /// The dividends of a stock, in IB's words.
    Dividends {
        /// The stock.
        con_id: ConId,
        /// Who waits.
        reply: oneshot::Sender<Told<String>>,
    },
}

struct Lines<'a> {
    gateway: &'a Gateway,
    budget: LineBudget,
    pinned: BTreeSet<ConId>,
    subscriptions: BTreeMap<String, Vec<ConId>>,
    hearers: BTreeMap<ConId, (String, Hearer)>,
    open: BTreeMap<ConId, Line>,
    /// Lines whose end waits to be written.
    closing: Vec<JoinHandle<()>>,
    /// The broker or its farm is away: lines stand still.
    lost: Arc<AtomicBool>,
}

/// The thread's whole life; it ends with the port.
pub fn live(gateway: &Gateway, mut commands: mpsc::Receiver<Command>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        tracing::error!("the data connection's runtime can't be made");
        return;
    };
    runtime.block_on(async {
        let mut lines = Lines {
            gateway,
            budget: LineBudget::new(gateway.settings.lines_max),
            pinned: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            hearers: BTreeMap::new(),
            open: BTreeMap::new(),
            closing: Vec::new(),
            lost: Arc::default(),
        };
        let mut wait = BACKOFF.0;
        loop {
            gateway.pace.wait(Lane::Data).await;
            match open(&gateway.settings, gateway.settings.data_client).await {
                Ok((client, notices)) => {
                    let client = Arc::new(client);
                    let opened = tokio::time::Instant::now();
                    let ended = lines.serve(&client, notices, &mut commands).await;
                    lines.lose();
                    // One that takes connections and drops them is not stormed.
                    if opened.elapsed() >= BACKOFF.1 {
                        wait = BACKOFF.0;
                    }
                    let Some(reason) = ended else { return };
                    tracing::warn!(reason, "the data connection is lost");
                }
                Err(reason) => tracing::warn!(reason, "no data connection"),
            }
            if !lines.idle(wait, &mut commands).await {
                return;
            }
            wait = (wait * 2).min(BACKOFF.1);
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
}

impl Lines<'_> {
    /// Serves one connection; `None` when the port is gone.
    async fn serve(
        &mut self,
        client: &Arc<Client>,
        mut notices: NoticeStream,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<String> {
        let mut turns = tokio::time::interval(TURN_EVERY);
        let mut beats = tokio::time::interval(self.gateway.settings.heartbeat);
        turns.reset();
        beats.reset();
        let connected = &Arc::new(Connected {
            client: Arc::clone(client),
            gateway: self.gateway.clone(),
            places: Arc::new(Semaphore::new(self.gateway.settings.lines_max)),
            queue: tokio::sync::Mutex::new(()),
            lost: Arc::clone(&self.lost),
        });
        // What was wanted before this connection stood.
        self.reconsider(connected);
        loop {
            tokio::select! {
                biased;
                notice = notices.next() => {
                    let Some(notice) = notice else { return Some("it was closed".to_owned()) };
                    match errors::about_the_session(notice.code) {
                        Action::DataLost if mutation::active("ignore_farm_break") => {}
                        Action::BrokerLost | Action::DataLost => {
                            self.lost.store(true, Ordering::Release);
                            self.freeze();
                        }
                        Action::BrokerBackWithoutLines => self.reopen(connected),
                        // Said at every start, too.
                        Action::BrokerBack | Action::DataBack => {
                            if self.lost.load(Ordering::Acquire) {
                                self.reopen(connected);
                            }
                        }
                        Action::ConnectionRefused => return Some(notice.to_string()),
                        _ => tracing::debug!("{notice}"),
                    }
                }
                command = commands.recv() => self.obey(connected, command?),
                _ = turns.tick() => {
                    let turn = self.budget.rotate(TURN_SHARE);
                    self.take(connected, turn);
                }
                _ = beats.tick() => {
                    self.gateway.pace.wait(Lane::Data).await;
                    let within = self.gateway.settings.heartbeat_deadline;
                    match timeout(within, client.server_time()).await {
                        Ok(Ok(_)) => self.ask_again(connected),
                        Ok(Err(error)) => return Some(format!("a heartbeat failed: {error}")),
                        Err(_) => return Some("a heartbeat was not answered".to_owned()),
                    }
                }
            }
        }
    }

    /// Waits without a connection; false when the port is gone.
    async fn idle(&mut self, wait: Duration, commands: &mut mpsc::Receiver<Command>) -> bool {
        let until = tokio::time::Instant::now() + wait;
        while let Ok(command) = tokio::time::timeout_at(until, commands.recv()).await {
            match command {
                None => return false,
                Some(Command::Subscribe { name, con_ids, sink }) => {
                    self.note(name, con_ids, &sink);
                }
                Some(Command::Pin(con_ids)) => self.pinned = con_ids,
                // Whoever waited may have given up.
                Some(Command::Resolve { reply, .. }) => drop(reply.send(Err(unconnected().into()))),
                Some(Command::Dividends { reply, .. }) => drop(reply.send(Err(unconnected()))),
            }
        }
        true
    }

    fn obey(&mut self, connected: &Arc<Connected>, command: Command) {
        let client = &connected.client;
        match command {
            Command::Subscribe { name, con_ids, sink } => {
                self.note(name, con_ids, &sink);
                for (con_id, line) in &self.open {
                    let hearer = self.hearers.get(con_id).map(|(_, hearer)| hearer);
                    if let Some(hearer) = hearer.filter(|one| Arc::ptr_eq(&one.sink, &sink)) {
                        line.hear(hearer.clone());
                    }
                }
                self.reconsider(connected);
            }
            Command::Pin(con_ids) => {
                self.pinned = con_ids;
                self.reconsider(connected);
            }
            Command::Resolve { symbol, reply } => {
                let (client, gateway) = (Arc::clone(client), self.gateway.clone());
                tokio::spawn(async move {
                    let _ = reply.send(product(&client, &gateway, &symbol).await);
                });
            }
            Command::Dividends { con_id, reply } => {
                let (client, gateway) = (Arc::clone(client), self.gateway.clone());
                tokio::spawn(async move {
                    let within = gateway.settings.answer_deadline;
                    let told = timeout(within, dividends(&client, &gateway, con_id)).await;
                    let late = || Err("no dividends were told in time".to_owned());
                    let _ = reply.send(told.unwrap_or_else(|_| late()));
                });
            }
        }
    }

    /// Remembers a subscription, in place of the one of the same name.
    fn note(&mut self, name: String, con_ids: Vec<ConId>, sink: &Arc<dyn DataSink>) {
        self.hearers.retain(|_, (owner, _)| *owner != name);
        for (line, con_id) in (0_u32..).zip(&con_ids) {
            let hearer = Hearer { line, sink: Arc::clone(sink) };
            self.hearers.insert(*con_id, (name.clone(), hearer));
        }
        self.subscriptions.insert(name, con_ids);
    }

    fn reconsider(&mut self, connected: &Arc<Connected>) {
        // What isn't an option has one line for a whole chain: it always gets it.
        let is_root = |con_id: &ConId| {
            self.gateway.contracts.get(*con_id).is_some_and(|one| {
                !matches!(one.kind, InstrumentKind::Option(_) | InstrumentKind::FutureOption(_))
            })
        };
        let wanted: Vec<ConId> = self.subscriptions.values().flatten().copied().collect();
        let pinned: BTreeSet<ConId> = wanted
            .iter()
            .copied()
            .filter(|con_id| self.pinned.contains(con_id) || is_root(con_id))
            .collect();
        let turn = self.budget.want(&pinned, &wanted);
        self.take(connected, turn);
    }

    fn take(&mut self, connected: &Arc<Connected>, turn: Turn) {
        self.close(&turn.close.into_iter().collect());
        for con_id in turn.open {
            self.open(connected, con_id, 0);
        }
    }

    fn open(&mut self, connected: &Arc<Connected>, con_id: ConId, tries: u32) {
        let Some((_, hearer)) = self.hearers.get(&con_id).cloned() else { return };
        match translate::wire_contract(&Contract::Single(con_id), &self.gateway.contracts) {
            Ok(contract) => {
                let line = Line::open(connected, contract, hearer, tries);
                self.open.insert(con_id, line);
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }

    fn close(&mut self, con_ids: &BTreeSet<ConId>) {
        self.closing.retain(|task| !task.is_finished());
        let lines = con_ids.iter().filter_map(|con_id| self.open.remove(con_id));
        self.closing.extend(lines.map(Line::close));
    }

    /// Opens anew, a few at a time, the lines whose request or answer was lost and those that the
    /// broker has ended.
    fn ask_again(&mut self, connected: &Arc<Connected>) {
        if mutation::active("wait_for_silent_lines") {
            return;
        }
        let within = self.gateway.settings.answer_deadline;
        let overdue = self.open.iter().filter_map(|(con_id, line)| {
            let tries = line.overdue(within)?;
            Some((*con_id, tries))
        });
        let overdue: Vec<(ConId, u32)> = overdue.take(TURN_SHARE).collect();
        for (con_id, tries) in overdue {
            tracing::info!("the line of {con_id} gives no sign and is opened anew");
            self.close(&BTreeSet::from([con_id]));
            self.open(connected, con_id, tries);
        }
    }

    /// No line is live any more.
    fn freeze(&self) {
        self.open.values().for_each(Line::freeze);
    }

    /// Every line is closed and opened anew, and so confirmed anew.
    fn reopen(&mut self, connected: &Arc<Connected>) {
        self.lost.store(false, Ordering::Release);
        let open = self.budget.open().clone();
        self.close(&open);
        self.budget.forget(&open);
        self.reconsider(connected);
    }

    /// The connection is gone, and with it every line.
    fn lose(&mut self) {
        std::mem::take(&mut self.open).into_values().for_each(Line::abort);
        self.closing.drain(..).for_each(|task| task.abort());
        let open = self.budget.open().clone();
        self.budget.forget(&open);
        self.lost.store(false, Ordering::Release);
    }
}

fn unconnected() -> String {
    "there is no data connection".to_owned()
}
