//! The risk book's role: what the account's exposure amounts to at the latest views, for the gate's
//! margin, the breakers, metrics and the command line.
//!
//! *Restart:* computed anew from the desk's published picture and the views.
//! *Loses:* nothing.

use crate::breaker::{BreakerMessage, Watch};
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::role_ref::RoleRef;
use crate::views::Views;
use ::risk::breaker::BreakerEvent;
use ::risk::limits::Limits;
use ::risk::risk_book::RiskBook;
use arc_swap::ArcSwap;
use desk::view::DeskView;
use market::calendar::Calendar;
use market::instrument::Catalog;
use market::money::Money;
use market::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the risk book needs.
#[derive(Clone)]
pub struct RiskSpec {
    /// The limits that figures are compared with.
    pub limits: Limits,
    /// The views.
    pub views: Views,
    /// The instruments.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// The desk's picture.
    pub desk_view: Arc<ArcSwap<DeskView>>,
    /// Where the book is published.
    pub book: Arc<ArcSwap<RiskBook>>,
    /// Where margin in use is published, for the gate.
    pub margin_used: Arc<ArcSwap<Money>>,
    /// When the products trade.
    pub calendars: BTreeMap<String, Arc<Calendar>>,
    /// Who judges the figures.
    pub breakers: Vec<(Watch, RoleRef<BreakerMessage>)>,
}

/// What the risk book is told.
#[derive(Clone, Debug)]
pub enum RiskMessage {
    /// The desk's picture changed.
    Desk,
    /// A view changed.
    Market,
}

impl RoleMessage for RiskMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn may_drop(&self) -> bool {
        true
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Desk => "desk",
            Self::Market => "market",
        }
    }
}

/// The role.
pub struct RiskRole {
    spec: RiskSpec,
    seen: BTreeMap<String, u64>,
}

impl RiskRole {
    /// Computes the first book.
    pub fn start(spec: &RiskSpec, cx: &mut Context<RiskMessage>) -> Result<Self, RoleError> {
        let mut role = Self { spec: spec.clone(), seen: BTreeMap::new() };
        role.recompute();
        cx.ready();
        Ok(role)
    }

    fn recompute(&mut self) {
        let (view, catalog) = (self.spec.desk_view.load(), self.spec.catalog.load());
        let markets = self.spec.views.markets();
        let book = RiskBook::of(&view.exposure, &catalog, &markets, &self.spec.limits);
        self.spec.margin_used.store(Arc::new(book.margin.unwrap_or(Money::ZERO)));
        self.tell(&BreakerEvent::Day(view.day));
        for (symbol, market) in &markets {
            let seen = self.seen.entry(symbol.clone()).or_default();
            if std::mem::replace(seen, market.version) == market.version {
                continue;
            }
            let worst = book.symbols.get(symbol).and_then(|risk| risk.worst.as_ref());
            let event = BreakerEvent::View {
                symbol: symbol.clone(),
                version: market.version,
                realised_vol: market.regime.realised_vol,
                fresh_share: self.in_session(symbol, market.time, market.regime.fresh_share),
                exposure_outside: worst.is_some_and(|worst| worst.outside_limits),
            };
            self.tell(&event);
        }
        self.spec.book.store(Arc::new(book));
    }

    /// Outside its session a product's quotes rest while its underlying may move on: their age says
    /// nothing of the data. A view is of the moment before its time.
    fn in_session(&self, symbol: &str, at: Timestamp, share: Option<f64>) -> Option<f64> {
        let moment = at.minus(Duration::from_nanos(1));
        let open = self.spec.calendars.get(symbol).is_some_and(|days| days.is_open(moment));
        share.filter(|_| open)
    }

    fn tell(&self, event: &BreakerEvent) {
        for (watch, breaker) in &self.spec.breakers {
            if watch.hears(event) {
                // The next figures say it again to a breaker that is down now.
                breaker.send_or_drop(BreakerMessage::Event(event.clone()));
            }
        }
    }
}

impl Role for RiskRole {
    type Message = RiskMessage;

    fn handle(
        &mut self,
        message: RiskMessage,
        _: &mut Context<RiskMessage>,
    ) -> Result<(), RoleError> {
        match message {
            RiskMessage::Desk | RiskMessage::Market => self.recompute(),
        }
        Ok(())
    }
}
