//! The journal seen from outside: crashes, rot, full and failing disks, archiving, reading.

mod crashes;
mod reading;
mod real_disk;
mod retention;
mod rig;
mod rot;
mod trouble;
