//! The risk book's role: what the account's exposure amounts to at the latest views, for the gate's
//! margin, the breakers, metrics and the command line.
//!
//! *Restart:* computed anew from the desk's published picture and the views.
//! *Loses:* nothing.

use crate::messages::{BreakerMessage, RiskMessage};
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use crate::views::Views;
use ::risk::breaker::watch::Watch;
use ::risk::limits::Limits;
use ::risk::readings::Readings;
use ::risk::risk_book::RiskBook;
use arc_swap::ArcSwap;
use desk::view::DeskView;
use market::calendar::Calendar;
use market::instrument::Catalog;
use market::money::Money;
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// The role.
pub struct RiskRole {
    spec: RiskSpec,
    readings: Readings,
}

impl RiskRole {
    /// Computes the first book.
    pub fn start(spec: &RiskSpec, cx: &mut Context<RiskMessage>) -> Result<Self, RoleError> {
        let mut role = Self { spec: spec.clone(), readings: Readings::default() };
        role.recompute();
        cx.ready();
        Ok(role)
    }

    fn recompute(&mut self) {
        let (view, catalog) = (self.spec.desk_view.load(), self.spec.catalog.load());
        let markets = self.spec.views.markets();
        let book = RiskBook::of(&view.exposure, &catalog, &markets, &self.spec.limits);
        self.spec.margin_used.store(Arc::new(book.margin.unwrap_or(Money::ZERO)));
        let events = self.readings.read(view.day, &book, &markets, &self.spec.calendars);
        for event in events {
            BreakerMessage::tell(&self.spec.breakers, &event);
        }
        self.spec.book.store(Arc::new(book));
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
