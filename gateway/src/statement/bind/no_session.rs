//! Statements that are bound to be checked and never run belong to nobody's session.

use omnigraph_catalog::access::Action;

use super::SessionCalls;
use crate::error::PgResult;

/// Answers what no statement will ever see.
#[derive(Debug)]
pub struct NoSession;

impl SessionCalls for NoSession {
    fn setting(&self, name: &str) -> Option<String> {
        (name == "search_path").then(|| "main".to_owned())
    }

    fn set_config(&self, _name: &str, value: Option<&str>, _local: bool) -> PgResult<String> {
        Ok(value.unwrap_or_default().to_owned())
    }

    fn backend_pid(&self) -> i32 {
        0
    }

    fn user(&self) -> String {
        String::new()
    }

    fn check_interrupt(&self) -> PgResult<()> {
        Ok(())
    }

    fn listening(&self) -> Vec<String> {
        Vec::new()
    }

    fn may(&self, _actor: &str, _action: Action, _branch: Option<&str>) -> bool {
        true
    }

    fn random(&self, count: usize) -> Vec<f64> {
        vec![0.5; count]
    }

    fn seed_random(&self, _seed: f64) {}

    fn cancel_backend(&self, _pid: i32) -> PgResult<bool> {
        Ok(false)
    }

    fn terminate_backend(&self, _pid: i32) -> PgResult<bool> {
        Ok(false)
    }

    fn notify(&self, _channel: &str, _payload: &str) -> PgResult<()> {
        Ok(())
    }

    fn try_advisory_lock(&self, _key: i64, _shared: bool, _of_transaction: bool) -> PgResult<bool> {
        Ok(true)
    }

    fn advisory_lock(&self, _key: i64, _shared: bool, _of_transaction: bool) -> PgResult<()> {
        Ok(())
    }

    fn blocking_pids(&self, _pid: i32) -> Vec<i32> {
        Vec::new()
    }

    fn transaction_id(&self, _started_at: i64) -> i64 {
        1
    }

    fn assigned_transaction_id(&self, _started_at: i64) -> Option<i64> {
        None
    }

    fn next_transaction_id(&self) -> i64 {
        1
    }

    fn advisory_unlock(&self, _key: i64, _shared: bool) -> PgResult<bool> {
        Ok(true)
    }

    fn advisory_unlock_all(&self) -> PgResult<()> {
        Ok(())
    }
}
