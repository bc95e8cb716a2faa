//! What a client sees through the wire.

mod branches;
mod cluster;
mod copy;
mod cursors;
mod functions;
mod graph_table;
mod merges;
mod protocol;
mod schema;
mod settings;
mod tool;
mod transactions;
mod writes;
