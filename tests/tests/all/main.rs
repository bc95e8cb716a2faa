//! What a client sees through the wire.

mod branches;
mod copy;
mod cursors;
mod functions;
mod graph_table;
mod history;
mod merges;
mod protocol;
mod settings;
mod tool;
mod transactions;
mod writes;
