//! All orders that are kept, and apart from the rest those that still matter: an event costs what
//! is live, however many have ended.
//!
//! Only the orders are stored: which of them are unsettled is made again when they are read back,
//! and a state's encoding (and its hash) knows nothing of it.

use super::entry::OrderEntry;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use trading::id::OrderId;

/// Orders by our number; reads like the map that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "BTreeMap<OrderId, OrderEntry>")]
pub struct Orders {
    entries: BTreeMap<OrderId, OrderEntry>,
    unsettled: BTreeSet<OrderId>,
}

impl Orders {
    /// Orders that may still fill, reserve something or have legs filled unevenly.
    pub fn unsettled(&self) -> impl DoubleEndedIterator<Item = (&OrderId, &OrderEntry)> {
        self.unsettled.iter().filter_map(|order_id| self.entries.get_key_value(order_id))
    }

    /// The orders that may still fill.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = (&OrderId, &OrderEntry)> {
        self.unsettled().filter(|(_, entry)| entry.is_live())
    }

    /// All live orders and the `ended_max` with the highest numbers of the others, by number.
    #[must_use]
    pub fn newest(&self, ended_max: usize) -> Vec<(&OrderId, &OrderEntry)> {
        let mut newest: Vec<(&OrderId, &OrderEntry)> = Vec::new();
        let mut ended = 0;
        let mut oldest = None;
        for (order_id, entry) in self.entries.iter().rev() {
            let is_live = entry.is_live();
            if !is_live && ended == ended_max {
                break;
            }
            ended += usize::from(!is_live);
            oldest = Some(order_id);
            newest.push((order_id, entry));
        }
        // Those that are live for longer than all of these.
        let older = oldest.into_iter().flat_map(|oldest| self.unsettled.range(..oldest).rev());
        let older = older.filter_map(|order_id| self.entries.get_key_value(order_id));
        newest.extend(older.filter(|(_, entry)| entry.is_live()));
        newest.reverse();
        newest
    }

    pub(super) fn insert(&mut self, order_id: OrderId, entry: OrderEntry) {
        self.entries.insert(order_id, entry);
        self.settle(order_id);
    }

    pub(super) fn change(&mut self, order_id: OrderId, change: impl FnOnce(&mut OrderEntry)) {
        if let Some(entry) = self.entries.get_mut(&order_id) {
            change(entry);
            self.settle(order_id);
        }
    }

    pub(super) fn remove(&mut self, order_id: OrderId) -> Option<OrderEntry> {
        self.unsettled.remove(&order_id);
        self.entries.remove(&order_id)
    }

    fn settle(&mut self, order_id: OrderId) {
        if self.entries.get(&order_id).is_some_and(|entry| !entry.is_settled()) {
            self.unsettled.insert(order_id);
        } else {
            self.unsettled.remove(&order_id);
        }
    }
}

impl Deref for Orders {
    type Target = BTreeMap<OrderId, OrderEntry>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl From<BTreeMap<OrderId, OrderEntry>> for Orders {
    fn from(entries: BTreeMap<OrderId, OrderEntry>) -> Self {
        let unsettled = entries.iter().filter(|(_, entry)| !entry.is_settled());
        let unsettled = unsettled.map(|(order_id, _)| *order_id).collect();
        Self { entries, unsettled }
    }
}

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}
