//! Snapshots in memory, for simulations and tests.
//!
//! Clones share the content, so that it outlives a simulated crash as a disk would. Every put is
//! durable at once: what sled may lose is tested where sled is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{SNAPSHOTS_KEPT, Snapshot, SnapshotError, SnapshotHead, SnapshotStore};
use crate::seq::Seq;

/// A shared store in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySnapshots {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    snapshots: BTreeMap<Seq, (SnapshotHead, Snapshot)>,
    high_water: Seq,
}

impl MemorySnapshots {
    /// An empty store.
    pub fn new() -> MemorySnapshots {
        MemorySnapshots::default()
    }

    /// Lets a snapshot rot; without effect if there is none.
    pub fn damage(&self, seq: Seq) {
        if let Some((_, snapshot)) = self.lock().snapshots.get_mut(&seq) {
            snapshot.schema_version ^= 1;
        }
    }

    /// Forgets everything, as deleting the folder would.
    pub fn delete_all(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotStore for MemorySnapshots {
    fn put(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let mut inner = self.lock();
        inner.snapshots.insert(snapshot.seq, (snapshot.head(), snapshot.clone()));
        while inner.snapshots.len() > SNAPSHOTS_KEPT {
            inner.snapshots.pop_first();
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<SnapshotHead>, SnapshotError> {
        Ok(self.lock().snapshots.values().map(|(head, _)| head.clone()).collect())
    }

    fn load(&self, seq: Seq) -> Result<Snapshot, SnapshotError> {
        let inner = self.lock();
        let (head, snapshot) = inner.snapshots.get(&seq).ok_or(SnapshotError::NotFound { seq })?;
        if snapshot.head() != *head {
            return Err(SnapshotError::Damaged { seq, why: "hash differs".to_owned() });
        }
        Ok(snapshot.clone())
    }

    fn high_water(&self) -> Result<Seq, SnapshotError> {
        Ok(self.lock().high_water)
    }

    fn set_high_water(&mut self, seq: Seq) -> Result<(), SnapshotError> {
        let mut inner = self.lock();
        inner.high_water = inner.high_water.max(seq);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chain;

    fn snapshot(seq: u64) -> Snapshot {
        let payload = vec![seq as u8; 10];
        Snapshot { seq: Seq(seq), chain: Chain::ORIGIN, schema_version: 1, payload }
    }

    #[test]
    fn three_are_kept_and_a_damaged_one_is_reported_and_passed_over() {
        let mut store = MemorySnapshots::new();
        (1..=4).for_each(|seq| store.put(&snapshot(seq)).unwrap());
        let seqs: Vec<u64> = store.list().unwrap().iter().map(|head| head.seq.0).collect();
        assert_eq!(seqs, [2, 3, 4]);
        store.damage(Seq(4));
        let latest = store.latest_valid().unwrap();
        assert_eq!(latest.snapshot, Some(snapshot(3)));
        assert_eq!(latest.damaged[0].seq, Seq(4));
    }

    #[test]
    fn the_high_water_mark_never_falls() {
        let mut store = MemorySnapshots::new();
        store.set_high_water(Seq(9)).unwrap();
        store.set_high_water(Seq(4)).unwrap();
        assert_eq!(store.clone().high_water().unwrap(), Seq(9));
    }
}
