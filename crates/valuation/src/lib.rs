//! What the market is worth now: the pricing book of each underlying and the immutable views that
//! strategies, the gate and the risk book read. It joins `market` (quotes, instruments) with
//! `pricing` (numbers); it knows no orders and no limits.

pub mod book;
pub mod early_exercise;
pub mod edge;
pub mod fit;
pub mod view;
