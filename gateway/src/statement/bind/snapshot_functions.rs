//! Snapshots and transaction numbers as values: `xmin:xmax:running,…`, in the types `pg_snapshot`
//! and `txid_snapshot`, which are text here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Builder, ListBuilder, StringArray};
use arrow::datatypes::{DataType, Field};
use omnigraph_udfs::pg::rows;
use omnigraph_udfs::{Error, Result};

use super::SessionCalls;
use super::function_body::{Found, acts, bigints, int, reads, text};
use super::session_functions::began;
use super::text_io::carried;
use crate::text::snapshot::TransactionSnapshot;

fn snapshot(arrays: &[ArrayRef], at: usize, row: usize) -> Result<TransactionSnapshot> {
    TransactionSnapshot::parse("pg_snapshot", text(arrays, at, row)).map_err(carried)
}

pub(super) fn body(name: &'static str, session: Arc<dyn SessionCalls>) -> Found {
    match name {
        "pg_current_xact_id" | "txid_current" => acts(bigints(move |a, row| {
            Ok(Some(session.transaction_id(began(a, row))))
        })),
        "pg_current_xact_id_if_assigned" | "txid_current_if_assigned" => {
            acts(bigints(move |a, row| {
                Ok(session.assigned_transaction_id(began(a, row)))
            }))
        }
        "pg_xact_status" | "txid_status" => acts(Arc::new(move |a, _| {
            let known: StringArray = rows(a, |row| {
                // Only one's own transaction is known; PostgreSQL forgets old ones, too.
                let asked = int(a, 0, row);
                if asked >= session.next_transaction_id() {
                    let message = format!("transaction ID {asked} is in the future");
                    return Err(Error::value("22023", message));
                }
                let own = session.assigned_transaction_id(began(a, row));
                Ok((own == Some(asked)).then_some("in progress"))
            })?;
            Ok(Arc::new(known))
        })),
        "pg_current_snapshot" | "txid_current_snapshot" => acts(Arc::new(move |a, count| {
            let next = session.next_transaction_id();
            let shown = |row: usize| {
                let own = session.assigned_transaction_id(began(a, row));
                let snapshot = TransactionSnapshot {
                    xmin: own.unwrap_or(next),
                    xmax: next,
                    running: own.into_iter().collect(),
                };
                Some(snapshot.shown())
            };
            let values: StringArray = (0..count).map(shown).collect();
            Ok(Arc::new(values))
        })),
        "pg_snapshot_xmin" | "txid_snapshot_xmin" => {
            reads(bigints(|a, row| Ok(Some(snapshot(a, 0, row)?.xmin))))
        }
        "pg_snapshot_xmax" | "txid_snapshot_xmax" => {
            reads(bigints(|a, row| Ok(Some(snapshot(a, 0, row)?.xmax))))
        }
        "pg_visible_in_snapshot" | "txid_visible_in_snapshot" => reads(Arc::new(|a, _| {
            let seen: BooleanArray =
                rows(a, |row| Ok(Some(snapshot(a, 1, row)?.sees(int(a, 0, row)))))?;
            Ok(Arc::new(seen))
        })),
        _ => None,
    }
}

/// `pg_snapshot_xip`, as a list for each snapshot.
pub(super) fn running(arrays: &[ArrayRef], count: usize) -> Result<ArrayRef> {
    let field = Field::new("item", DataType::Int64, true);
    let mut out = ListBuilder::new(Int64Builder::new()).with_field(field);
    for row in 0..count {
        let known = arrays[0].is_valid(row);
        if known {
            for number in snapshot(arrays, 0, row)?.running {
                out.values().append_value(number);
            }
        }
        out.append(known);
    }
    Ok(Arc::new(out.finish()))
}
