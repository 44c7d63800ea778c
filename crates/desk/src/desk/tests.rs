//! The desk against its table, against named incidents, and against a small broker that holds the
//! truth while links break, reports repeat and the process dies.

mod broker;
mod incidents;
mod kept;
mod property;
mod stirred;
mod table;
mod world;
