//! What a client sees through the wire.

mod blobs;
mod branches;
mod cluster;
mod copy;
mod cursors;
mod definitions;
mod function_cases;
mod functions;
mod gq;
mod graph_table;
mod history;
mod locks;
mod merges;
mod protocol;
mod queries;
mod row_locks;
mod schema;
mod search;
mod settings;
mod social_network;
mod sqllogictest;
mod stored_queries;
mod tool;
mod transactions;
mod vectors;
mod writes;
