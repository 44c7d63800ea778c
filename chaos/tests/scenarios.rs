//! Scenes of the promises: the whole tree on small markets made by hand, in virtual time, with a
//! director who halts, kills and crashes at chosen moments. One module per promise.
//!
//! Release builds only (`cargo test --release -p chaos`): whole days take minutes without it.

#![cfg(not(debug_assertions))]
#![allow(clippy::unwrap_used, reason = "a scene that can't be set fails its test")]

#[path = "scene/built_in.rs"]
mod built_in;
#[allow(dead_code, reason = "the scenes need a part of the market")]
#[path = "scene/market.rs"]
mod hand;
#[path = "scene/journal.rs"]
mod journal;
#[path = "scene/settings.rs"]
mod settings;
#[path = "scene/wishes.rs"]
mod wishes;

#[path = "scenarios/downtime.rs"]
mod downtime;
#[path = "scenarios/halt.rs"]
mod halt;
#[path = "scenarios/hashes.rs"]
mod hashes;
#[path = "scenarios/kills.rs"]
mod kills;
#[path = "scenarios/lifecycle.rs"]
mod lifecycle;
#[path = "scenarios/limits.rs"]
mod limits;
#[path = "scenarios/quarantine.rs"]
mod quarantine;
