//! The calendar's role: tells the desk and the breakers that a new trading day has begun.
//!
//! *Restart:* tells the present day again, which changes nothing where it is known.
//! *Loses:* nothing.

use crate::messages::{BreakerMessage, DeskMessage};
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::role_ref::RoleRef;
use ::risk::breaker::BreakerEvent;
use ::risk::breaker::watch::Watch;
use market::calendar::Calendar;
use market::time::{Date, ProcessTime, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at the day.
const EVERY: Duration = Duration::from_secs(1);

/// What the calendar needs.
#[derive(Clone)]
pub struct CalendarSpec {
    /// When the products trade; the account's day is the latest of theirs.
    pub calendars: BTreeMap<String, Arc<Calendar>>,
    /// Measures the day's result from here.
    pub desk: RoleRef<DeskMessage>,
    /// Count the day's loss from here.
    pub breakers: Vec<(Watch, RoleRef<BreakerMessage>)>,
}

/// The calendar is told nothing; it looks.
#[derive(Clone, Copy, Debug)]
pub enum CalendarMessage {
    /// Look now.
    Look,
}

impl RoleMessage for CalendarMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(*self)
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Look => "look",
        }
    }
}

/// The role.
pub struct CalendarRole {
    spec: CalendarSpec,
    told: Option<Date>,
    due: ProcessTime,
}

impl CalendarRole {
    /// Looks at once.
    pub fn start(
        spec: &CalendarSpec,
        cx: &mut Context<CalendarMessage>,
    ) -> Result<Self, RoleError> {
        cx.ready();
        Ok(Self { spec: spec.clone(), told: None, due: cx.now().process })
    }

    fn look(&mut self, now: Timestamp) {
        let days = self.spec.calendars.values().map(|calendar| calendar.trading_day(now));
        let Some(day) = days.max() else { return };
        if self.told == Some(day) {
            return;
        }
        if self.spec.desk.send(DeskMessage::Day(day)).is_err() {
            // The desk is down: told at the next look.
            return;
        }
        let first = self.told.replace(day).is_none();
        // The first look is no new day: the breakers begin with the day of their start.
        if !first {
            BreakerMessage::tell(&self.spec.breakers, &BreakerEvent::NewDay);
        }
    }
}

impl Role for CalendarRole {
    type Message = CalendarMessage;

    fn handle(
        &mut self,
        message: CalendarMessage,
        cx: &mut Context<CalendarMessage>,
    ) -> Result<(), RoleError> {
        match message {
            CalendarMessage::Look => self.look(cx.now().market),
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        Some((self.due, "look at the day"))
    }

    fn on_wake(&mut self, cx: &mut Context<CalendarMessage>) -> Result<(), RoleError> {
        let now = cx.now();
        self.due = now.process + EVERY;
        self.look(now.market);
        Ok(())
    }
}
