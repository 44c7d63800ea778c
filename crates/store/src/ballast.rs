//! A file that is only there to be given up.
//!
//! sled writes when it opens, so a full disk would keep the node from coming back. The ballast
//! holds space for that moment: it is released on `StorageFull` and restored when there is room.

use std::io;
use std::sync::Arc;

use crate::disk::Disk;

const FILE: &str = "ballast";

/// The ballast file of one state folder.
#[derive(Clone)]
pub struct Ballast {
    disk: Arc<dyn Disk>,
    bytes: u64,
}

impl Ballast {
    /// The usual size: 64 MiB.
    pub const DEFAULT_BYTES: u64 = 64 << 20;

    /// The ballast of this disk. Touches no file: see [`Ballast::restore`].
    pub fn new(disk: Arc<dyn Disk>, bytes: u64) -> Ballast {
        Ballast { disk, bytes }
    }

    /// Whether the space is held.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn is_held(&self) -> io::Result<bool> {
        Ok(self.disk.exists(FILE)? && self.disk.length(FILE)? == self.bytes)
    }

    /// Holds the space again, if the disk has twice as much free; answers whether it is held.
    ///
    /// # Errors
    /// Whatever the disk says, but not for want of space.
    pub fn restore(&self) -> io::Result<bool> {
        if self.is_held()? {
            return Ok(true);
        }
        if self.disk.free_bytes()? < self.bytes.saturating_mul(2) {
            return Ok(false);
        }
        match self.disk.create(FILE, self.bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the space up; answers whether there was any to give.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn release(&self) -> io::Result<bool> {
        if !self.disk.exists(FILE)? {
            return Ok(false);
        }
        self.disk.remove(FILE)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;

    #[test]
    fn ballast_is_held_released_once_and_held_again_only_with_room_to_spare() {
        let disk = MemoryDisk::new();
        disk.set_free_bytes(Some(10_000));
        let ballast = Ballast::new(Arc::new(disk.clone()), 4_096);
        assert!(ballast.restore().unwrap());
        assert_eq!(disk.free_bytes().unwrap(), 10_000 - 4_096);
        assert!(ballast.release().unwrap());
        assert!(!ballast.release().unwrap());
        disk.set_free_bytes(Some(5_000));
        assert!(!ballast.restore().unwrap());
        assert!(!ballast.is_held().unwrap());
    }
}
