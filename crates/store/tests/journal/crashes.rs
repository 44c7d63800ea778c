//! Power cuts at every operation: what was acknowledged survives, and nothing else is corrupt.

use proptest::prelude::*;
use store::envelope::CONTROL_KIND;
use store::{JournalHandle, MemoryDisk, Seq};

use crate::rig::{append, open, read_all};

/// Steps and sizes from a seed; any generator will do.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }
}

/// What the outside world knows: payloads by seq (`None` for the journal's own), and up to where
/// they were acknowledged.
#[derive(Default)]
struct Memory {
    payloads: Vec<Option<Vec<u8>>>,
    acknowledged: Seq,
    epoch: u32,
}

impl Memory {
    /// Compares the journal with what is known, then takes what survived as known.
    fn check(&mut self, disk: &MemoryDisk) -> Result<(), String> {
        let records = read_all(disk);
        if (records.len() as u64) < self.acknowledged.0 {
            return Err(format!("{} records of {} survived", records.len(), self.acknowledged));
        }
        for (index, record) in records.iter().enumerate() {
            if record.seq.0 != index as u64 + 1 {
                return Err(format!("seq {} at place {index}", record.seq));
            }
            let known = self.payloads.get(index).cloned().flatten();
            let is_control = record.kind == CONTROL_KIND;
            let was_acknowledged = record.seq <= self.acknowledged;
            if is_control && was_acknowledged && known.is_some() {
                return Err(format!("acknowledged record {} was replaced", record.seq));
            }
            if !is_control && known.as_ref() != Some(&record.payload) {
                return Err(format!("record {} is not what was appended", record.seq));
            }
        }
        let payload =
            |record: store::Record| (record.kind != CONTROL_KIND).then_some(record.payload);
        self.payloads = records.into_iter().map(payload).collect();
        Ok(())
    }

    fn append(&mut self, journal: &JournalHandle, dice: &mut Dice) {
        let payload: Vec<u8> = (0..dice.roll(1_500)).map(|_| dice.roll(256) as u8).collect();
        let range = append(journal, &payload);
        assert_eq!(range.first.0, self.payloads.len() as u64 + 1, "seqs have no gap");
        self.payloads.push(Some(payload));
    }
}

/// Several lives of one journal, each ended by a power cut. `Err` says which promise broke.
fn live_and_die(seed: u64, ignore_syncs: bool) -> Result<u64, String> {
    let mut dice = Dice(seed);
    let disk = MemoryDisk::new();
    disk.ignore_syncs(ignore_syncs);
    let mut memory = Memory::default();
    let mut torn = 0;
    for _life in 0..6 {
        disk.cut_power(1 + dice.roll(60));
        if let Ok(mut opened) = open(&disk) {
            if opened.recovery.epoch <= memory.epoch {
                return Err(format!("epoch {} came twice", opened.recovery.epoch));
            }
            memory.epoch = opened.recovery.epoch;
            torn += u64::from(opened.recovery.torn.is_some());
            memory.check(&disk)?;
            memory.acknowledged = opened.handle.durable();
            while opened.writer.write_pending().is_ok() {
                memory.acknowledged = opened.handle.durable();
                for _ in 0..=dice.roll(4) {
                    memory.append(&opened.handle, &mut dice);
                }
            }
            memory.acknowledged = opened.handle.durable();
        }
        disk.crash(dice.roll(u64::from(u32::MAX)));
        let opened = open(&disk).map_err(|error| error.to_string())?;
        if opened.recovery.last_seq < memory.acknowledged {
            return Err(format!("{} was acknowledged and is gone", memory.acknowledged));
        }
        torn += u64::from(opened.recovery.torn.is_some());
        memory.check(&disk)?;
        memory.epoch = opened.recovery.epoch;
        memory.acknowledged = opened.handle.durable();
    }
    Ok(torn)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_acknowledged_survives_every_power_cut_and_no_cut_looks_like_rot(seed: u64) {
        if let Err(broken) = live_and_die(seed, false) {
            return Err(TestCaseError::fail(broken));
        }
    }
}

#[test]
fn the_crashes_do_tear_tails() {
    let torn: u64 = (0..40).filter_map(|seed| live_and_die(seed, false).ok()).sum();
    assert!(torn > 10, "only {torn} torn tails in 40 runs: the property above tests little");
}

#[test]
fn a_disk_that_ignores_syncs_breaks_the_promise_and_the_property_sees_it() {
    let broken = (0..40).filter(|seed| live_and_die(*seed, true).is_err()).count();
    assert!(broken > 20, "only {broken} of 40 runs noticed that nothing was synced");
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let content = |seed| {
        let disk = MemoryDisk::new();
        let mut opened = open(&disk).unwrap();
        disk.cut_power(4);
        let mut memory = Memory { payloads: vec![None], ..Memory::default() };
        let mut dice = Dice(1);
        while opened.writer.write_pending().is_ok() {
            memory.append(&opened.handle, &mut dice);
        }
        disk.crash(seed);
        open(&disk).unwrap();
        read_all(&disk)
    };
    assert_eq!(content(3), content(3));
}
