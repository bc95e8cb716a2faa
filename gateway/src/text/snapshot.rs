//! `pg_snapshot` and `txid_snapshot`: `xmin:xmax:running,…`.

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// Which transactions had ended when a snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionSnapshot {
    /// All before it had ended.
    pub xmin: i64,
    /// None from here on had begun.
    pub xmax: i64,
    /// Those between that were running, in order.
    pub running: Vec<i64>,
}

impl TransactionSnapshot {
    pub fn parse(ty: &str, written: &str) -> PgResult<Self> {
        let read = || -> Option<Self> {
            let mut parts = written.trim().split(':');
            let xmin: i64 = parts.next()?.parse().ok()?;
            let xmax: i64 = parts.next()?.parse().ok()?;
            let list = parts.next()?;
            let mut running: Vec<i64> = Vec::new();
            for number in list.split(',').filter(|_| !list.is_empty()) {
                let number: i64 = number.parse().ok()?;
                let in_order = running.last().is_none_or(|last| *last <= number);
                if number < xmin || number >= xmax || !in_order {
                    return None;
                }
                if running.last() != Some(&number) {
                    running.push(number);
                }
            }
            let whole = parts.next().is_none() && xmin > 0 && xmin <= xmax;
            whole.then_some(TransactionSnapshot {
                xmin,
                xmax,
                running,
            })
        };
        read().ok_or_else(|| {
            PgError::new(
                sqlstate::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type {ty}: \"{written}\""),
            )
        })
    }

    pub fn shown(&self) -> String {
        let running: Vec<String> = self.running.iter().map(i64::to_string).collect();
        format!("{}:{}:{}", self.xmin, self.xmax, running.join(","))
    }

    /// The binary form: how many are running, both ends, then each.
    pub fn put_binary(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.running.len() as i32).to_be_bytes());
        for number in [&self.xmin, &self.xmax].into_iter().chain(&self.running) {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// Had the transaction ended?
    pub fn sees(&self, transaction: i64) -> bool {
        transaction < self.xmin
            || transaction < self.xmax && self.running.binary_search(&transaction).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_tells_who_had_ended() {
        let snapshot = TransactionSnapshot::parse("pg_snapshot", "10:20:10,14,15").unwrap();
        assert_eq!(snapshot.shown(), "10:20:10,14,15");
        let seen: Vec<i64> = (8..22).filter(|id| snapshot.sees(*id)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 16, 17, 18, 19]);
        let mut binary = Vec::new();
        snapshot.put_binary(&mut binary);
        assert_eq!(binary.len(), 4 + 5 * 8);
        assert_eq!(binary[..4], [0, 0, 0, 3]);
        for wrong in ["", "31:12:", "0:1:", "12:16:14,13", "1:2", "1:2:3", "1:4:x"] {
            assert!(
                TransactionSnapshot::parse("pg_snapshot", wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
