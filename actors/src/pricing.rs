//! A product's pricing: implied vols, Greeks and fair values of what changed, published as one
//! view.
//!
//! *Restart:* the last view, marked stale, then recomputed from the slots, which have missed
//! nothing.
//! *Loses:* nothing.

use crate::lines::ProductLines;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::slot::Stamped;
use crate::views::Views;
use market::corporate_action::DividendSchedule;
use market::instrument::{Catalog, Instrument};
use std::sync::{Arc, Mutex, PoisonError};
use valuation::book::{BookCounts, BookSettings, LineUpdate, PricingBook};

/// Someone who wants to know that a new view is there.
pub type ViewListener = Arc<dyn Fn() + Send + Sync>;

/// What pricing needs.
#[derive(Clone)]
pub struct PricingSpec {
    /// The product's lines.
    pub lines: Arc<ProductLines>,
    /// The book's settings.
    pub settings: BookSettings,
    /// The stock's cash dividends.
    pub dividends: DividendSchedule,
    /// Where views are published.
    pub views: Views,
    /// Woken after each publication, in this order.
    pub listeners: Arc<Mutex<Vec<ViewListener>>>,
    /// The book's counts in this process, for metrics and reports.
    pub counts: Arc<Mutex<BookCounts>>,
}

/// What pricing is told.
#[derive(Clone, Debug)]
pub enum PricingMessage {
    /// Lines have new quotes.
    Wake,
}

impl RoleMessage for PricingMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Wake => "wake",
        }
    }
}

/// The role.
pub struct PricingRole {
    spec: PricingSpec,
    book: PricingBook,
    /// The book's line of each of the product's lines.
    book_lines: Vec<Option<u32>>,
    carried: BookCounts,
    scratch: Vec<(usize, Stamped<LineUpdate>)>,
    updates: Vec<(u32, LineUpdate)>,
}

impl PricingRole {
    /// Makes the book and values what the slots hold.
    pub fn start(spec: &PricingSpec, cx: &mut Context<PricingMessage>) -> Result<Self, RoleError> {
        let mut catalog = Catalog::default();
        for instrument in spec.lines.instruments().iter() {
            catalog.insert(Instrument::clone(instrument)).map_err(RoleError::failed)?;
        }
        let mut book = PricingBook::new(spec.lines.symbol(), &catalog, spec.settings.clone())
            .with_dividends(spec.dividends.clone());
        if let Some(view) = spec.views.latest(spec.lines.symbol()) {
            book.restore_from(&view);
        }
        spec.lines.quotes().mark_all_changed();
        let carried = *spec.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut role = Self {
            spec: spec.clone(),
            book,
            book_lines: Vec::new(),
            carried,
            scratch: Vec::new(),
            updates: Vec::new(),
        };
        role.recompute(cx);
        Ok(role)
    }

    fn recompute(&mut self, cx: &mut Context<PricingMessage>) {
        self.take_up_new_lines();
        self.updates.clear();
        let (updates, book_lines) = (&mut self.updates, &self.book_lines);
        self.spec.lines.quotes().drain_with(&mut self.scratch, |line, stamped| {
            if let Some(Some(book_line)) = book_lines.get(line) {
                updates.push((*book_line, stamped.value));
            }
        });
        self.book.on_quotes(&self.updates);
        let Some(view) = self.book.recompute(cx.now().market) else { return };
        self.spec.views.publish(view);
        *self.spec.counts.lock().unwrap_or_else(PoisonError::into_inner) =
            self.carried.plus(self.book.counts());
        let listeners = self.spec.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().for_each(|wake| wake());
        cx.ready();
    }

    fn take_up_new_lines(&mut self) {
        let instruments = self.spec.lines.instruments();
        for instrument in &instruments[self.book_lines.len()..] {
            let line = self
                .book
                .line_index(instrument.con_id)
                .or_else(|| self.book.add_instrument(instrument));
            self.book_lines.push(line);
        }
    }
}

impl Role for PricingRole {
    type Message = PricingMessage;

    fn handle(
        &mut self,
        message: PricingMessage,
        cx: &mut Context<PricingMessage>,
    ) -> Result<(), RoleError> {
        match message {
            PricingMessage::Wake => self.recompute(cx),
        }
        Ok(())
    }
}
