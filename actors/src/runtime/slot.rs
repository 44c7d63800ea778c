//! Latest-value cells for fast sources: newest wins, with one coalesced wake-up.
//!
//! Quotes never go through mailboxes: an unbounded queue grows stale under load (measured 1.8 s
//! and growing), a slot does not. [`Slot`] holds one value, [`LineSlots`] a fixed array of market
//! data lines with a dirty list. A publish says whether the consumer must be woken, so that at
//! most one wake message is under way. What the values mean is left to the roles.
//!
//! A consumer that shares its slots with its successor needs an address that parks one message: a
//! wake that comes after the successor's first drain and before its installation waits there.

use super::sync::{Mutex, MutexGuard};
use market::time::Now;
use std::sync::PoisonError;

/// Whether the publisher has to send the consumer its wake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wake-up that isn't sent leaves the consumer asleep"]
pub enum Wake {
    /// First publish since the consumer last looked: send it.
    Needed,
    /// One is under way already.
    Pending,
}

impl Wake {
    /// Whether the wake message has to be sent.
    #[must_use]
    pub fn is_needed(self) -> bool {
        self == Self::Needed
    }
}

/// A value with the number and the time of its publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped<T> {
    /// The value.
    pub value: T,
    /// Counts publishes of this slot (or of all lines) from 1; a gap means values were conflated.
    pub sequence: u64,
    /// When it was received.
    pub received: Now,
}

/// The latest value of one source. Share it in an `Arc`.
#[derive(Debug)]
pub struct Slot<T>(Mutex<SlotState<T>>);

#[derive(Debug)]
struct SlotState<T> {
    latest: Option<Stamped<T>>,
    sequence: u64,
    wake_pending: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(SlotState { latest: None, sequence: 0, wake_pending: false }))
    }
}

impl<T: Clone> Slot<T> {
    /// Replaces the value.
    pub fn publish(&self, value: T, received: Now) -> Wake {
        let mut state = lock(&self.0);
        state.sequence += 1;
        state.latest = Some(Stamped { value, sequence: state.sequence, received });
        raise(&mut state.wake_pending)
    }

    /// The latest value, new or not; the pending wake-up stays pending.
    #[must_use]
    pub fn latest(&self) -> Option<Stamped<T>> {
        lock(&self.0).latest.clone()
    }

    /// The latest value, if it is newer than `seen`; the next publish asks for a wake-up again.
    /// A consumer that has just (re)started passes 0.
    #[must_use]
    pub fn newer_than(&self, seen: u64) -> Option<Stamped<T>> {
        let mut state = lock(&self.0);
        state.wake_pending = false;
        state.latest.as_ref().filter(|stamped| stamped.sequence > seen).cloned()
    }

    /// Takes back a wake-up that couldn't be delivered, so that the next publish tries again.
    pub fn wake_failed(&self) {
        lock(&self.0).wake_pending = false;
    }
}

/// The latest values of a fixed number of lines. Share it in an `Arc`; one consumer.
#[derive(Debug)]
pub struct LineSlots<T>(Mutex<Lines<T>>);

#[derive(Debug)]
struct Lines<T> {
    values: Vec<Option<Stamped<T>>>,
    is_dirty: Vec<bool>,
    dirty: Vec<usize>,
    sequence: u64,
    wake_pending: bool,
}

impl<T> Lines<T> {
    fn put(&mut self, line: usize, value: T, received: Now) {
        // A line that doesn't exist is a bug of the producer's table, not of the market.
        debug_assert!(line < self.values.len(), "line {line} is outside the slots");
        if let Some(slot) = self.values.get_mut(line) {
            self.sequence += 1;
            *slot = Some(Stamped { value, sequence: self.sequence, received });
            if !self.is_dirty[line] {
                self.is_dirty[line] = true;
                self.dirty.push(line);
            }
        }
    }
}

impl<T: Copy> LineSlots<T> {
    /// `lines` empty lines, numbered from 0.
    #[must_use]
    pub fn new(lines: usize) -> Self {
        Self(Mutex::new(Lines {
            values: vec![None; lines],
            is_dirty: vec![false; lines],
            dirty: Vec::with_capacity(lines),
            sequence: 0,
            wake_pending: false,
        }))
    }

    /// Replaces the value of `line`, in constant time.
    pub fn publish(&self, line: usize, value: T, received: Now) -> Wake {
        let mut lines = lock(&self.0);
        lines.put(line, value, received);
        raise(&mut lines.wake_pending)
    }

    /// Replaces the values of many lines under one lock. An empty batch needs no wake-up.
    pub fn publish_batch(
        &self,
        batch: impl IntoIterator<Item = (usize, T)>,
        received: Now,
    ) -> Wake {
        let mut lines = lock(&self.0);
        for (line, value) in batch {
            lines.put(line, value, received);
        }
        if lines.dirty.is_empty() { Wake::Pending } else { raise(&mut lines.wake_pending) }
    }

    /// Asks for a wake-up though no value is new: the consumer has another reason to look.
    pub fn nudge(&self) -> Wake {
        raise(&mut lock(&self.0).wake_pending)
    }

    /// The latest value of `line`.
    #[must_use]
    pub fn latest(&self, line: usize) -> Option<Stamped<T>> {
        lock(&self.0).values.get(line).copied().flatten()
    }

    /// The consumer's end. Every line that has a value counts as changed again and no wake-up is
    /// pending: a restarted consumer drains once at its start and has missed nothing.
    #[must_use]
    pub fn attach(&self) -> LineReader<'_, T> {
        self.mark_all_changed();
        LineReader { slots: self, scratch: Vec::new() }
    }

    /// What [`LineSlots::attach`] does, for a consumer that keeps its own scratch buffer.
    pub fn mark_all_changed(&self) {
        let mut guard = lock(&self.0);
        let lines = &mut *guard;
        lines.wake_pending = false;
        lines.dirty.clear();
        for (line, value) in lines.values.iter().enumerate() {
            lines.is_dirty[line] = value.is_some();
            if value.is_some() {
                lines.dirty.push(line);
            }
        }
    }

    /// Hands every changed line to `each`, in the order of first change, after the lock is free
    /// again. `scratch` is reused from call to call. Returns how many lines had changed.
    pub fn drain_with(
        &self,
        scratch: &mut Vec<(usize, Stamped<T>)>,
        mut each: impl FnMut(usize, Stamped<T>),
    ) -> usize {
        scratch.clear();
        {
            let mut guard = lock(&self.0);
            let lines = &mut *guard;
            lines.wake_pending = false;
            for line in lines.dirty.drain(..) {
                lines.is_dirty[line] = false;
                if let Some(stamped) = lines.values[line] {
                    scratch.push((line, stamped));
                }
            }
        }
        for (line, stamped) in scratch.iter() {
            each(*line, *stamped);
        }
        scratch.len()
    }

    /// Takes back a wake-up that couldn't be delivered, so that the next publish tries again.
    pub fn wake_failed(&self) {
        lock(&self.0).wake_pending = false;
    }
}

/// The consumer's end of [`LineSlots`] with its scratch buffer.
#[derive(Debug)]
pub struct LineReader<'a, T> {
    slots: &'a LineSlots<T>,
    scratch: Vec<(usize, Stamped<T>)>,
}

impl<T: Copy> LineReader<'_, T> {
    /// See [`LineSlots::drain_with`].
    pub fn drain(&mut self, each: impl FnMut(usize, Stamped<T>)) -> usize {
        self.slots.drain_with(&mut self.scratch, each)
    }
}

fn raise(wake_pending: &mut bool) -> Wake {
    if std::mem::replace(wake_pending, true) { Wake::Pending } else { Wake::Needed }
}

/// A publisher that panicked between two writes leaves a whole older or newer value: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::time::{ProcessTime, Timestamp};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const NOW: Now = Now { market: Timestamp::EPOCH, process: ProcessTime::ZERO };

    #[test]
    fn a_slot_keeps_the_newest_value_and_asks_for_one_wake() {
        let slot = Slot::default();
        assert_eq!(slot.publish('a', NOW), Wake::Needed);
        assert_eq!(slot.publish('b', NOW), Wake::Pending);
        let seen = slot.newer_than(0).unwrap();
        assert_eq!((seen.value, seen.sequence), ('b', 2));
        assert_eq!(slot.newer_than(seen.sequence), None);
        assert_eq!(slot.publish('c', NOW), Wake::Needed);
        slot.wake_failed();
        assert_eq!(slot.publish('d', NOW), Wake::Needed);
        assert_eq!(slot.latest().unwrap().value, 'd');
    }

    #[test]
    fn a_restarted_consumer_gets_every_line_again_though_its_wake_was_lost() {
        let slots = LineSlots::new(4);
        let _ = slots.publish(2, 'x', NOW);
        let _ = slots.publish(0, 'y', NOW);
        assert_eq!(slots.attach().drain(|_, _| ()), 2);
        let _ = slots.publish(0, 'z', NOW);
        let mut seen = Vec::new();
        slots.attach().drain(|line, stamped| seen.push((line, stamped.value)));
        assert_eq!(seen, [(0, 'z'), (2, 'x')]);
        assert_eq!(slots.publish(1, 'w', NOW), Wake::Needed);
    }

    #[test]
    fn an_empty_batch_wakes_nobody() {
        let slots = LineSlots::<u8>::new(2);
        assert_eq!(slots.publish_batch([], NOW), Wake::Pending);
        assert_eq!(slots.publish_batch([(0, 1), (1, 2)], NOW), Wake::Needed);
    }

    proptest! {
        #[test]
        fn a_drain_delivers_exactly_the_newest_value_of_each_changed_line(
            steps in prop::collection::vec(prop::option::of((0usize..5, any::<u32>())), 1..200)
        ) {
            let slots = LineSlots::new(5);
            let mut changed = BTreeMap::new();
            let mut scratch = Vec::new();
            let mut awake = false;
            for step in steps {
                if let Some((line, value)) = step {
                    let wake = slots.publish(line, value, NOW);
                    prop_assert_eq!(wake.is_needed(), !awake);
                    awake = true;
                    changed.insert(line, value);
                } else {
                    let mut seen = BTreeMap::new();
                    slots.drain_with(&mut scratch, |line, stamped| {
                        assert_eq!(seen.insert(line, stamped.value), None);
                    });
                    prop_assert_eq!(&seen, &changed);
                    changed.clear();
                    awake = false;
                }
            }
        }
    }
}

#[cfg(all(test, loom))]
mod under_loom;
