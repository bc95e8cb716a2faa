//! BEGIN, COMMIT, ROLLBACK and savepoints.

use super::done;
use super::parse::TransactionModes;
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::Execution;
use crate::session::settings::Scope;
use crate::session::transaction::{State, read_only};
use crate::sqlstate;

impl Session {
    pub(crate) fn begin_block(&mut self, modes: &TransactionModes) -> PgResult<Execution> {
        let begun = match &mut self.state {
            State::Idle => {
                let open = self.new_transaction(true);
                self.state = State::Open(Box::new(open));
                true
            }
            // BEGIN in the middle of a query string: what ran before is part of the block.
            State::Open(open) if !open.block => {
                open.block = true;
                true
            }
            State::Open(_) | State::Failed(_) => false,
        };
        if begun {
            let isolation = self.common.get("default_transaction_isolation");
            let mut settings = self.common.settings.lock();
            let read_only = settings.get("default_transaction_read_only").to_owned();
            settings.set("transaction_isolation", &isolation, Scope::Local)?;
            settings.set("transaction_read_only", &read_only, Scope::Local)?;
        } else {
            self.warn(
                sqlstate::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            );
        }
        self.apply_modes(modes)?;
        Ok(done(if modes.start {
            "START TRANSACTION"
        } else {
            "BEGIN"
        }))
    }

    /// What BEGIN and SET TRANSACTION ask of the running transaction.
    pub(crate) fn apply_modes(&mut self, modes: &TransactionModes) -> PgResult<()> {
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        if let Some(wanted) = modes.read_only {
            if !wanted && open.read_only && open.used {
                return Err(PgError::new(
                    sqlstate::ACTIVE_SQL_TRANSACTION,
                    "transaction read-write mode must be set before any query",
                ));
            }
            open.read_only = wanted;
        }
        let used = open.used;
        let mut settings = self.common.settings.lock();
        if let Some(read_only) = modes.read_only {
            settings.set(
                "transaction_read_only",
                if read_only { "on" } else { "off" },
                Scope::Local,
            )?;
        }
        if let Some(isolation) = &modes.isolation {
            if used && settings.get("transaction_isolation") != isolation {
                return Err(PgError::new(
                    sqlstate::ACTIVE_SQL_TRANSACTION,
                    "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                ));
            }
            settings.set("transaction_isolation", isolation, Scope::Local)?;
            open.serializable = isolation == "serializable";
        }
        if let Some(deferrable) = modes.deferrable {
            settings.set(
                "transaction_deferrable",
                if deferrable { "on" } else { "off" },
                Scope::Local,
            )?;
        }
        Ok(())
    }

    pub(crate) async fn commit_block(&mut self, chain: bool) -> PgResult<Execution> {
        let modes = self.modes();
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(open) if open.block => {
                self.commit(open).await?;
                self.chain(chain, &modes)?;
                Ok(done("COMMIT"))
            }
            State::Failed(failed) => {
                self.state = State::Failed(failed);
                self.roll_back();
                self.chain(chain, &modes)?;
                Ok(done("ROLLBACK"))
            }
            other => {
                self.state = other;
                self.refuse_chain(chain, "COMMIT AND CHAIN")?;
                self.warn(
                    sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                    "there is no transaction in progress",
                );
                // COMMIT in the middle of a query string commits what ran before it.
                if let State::Open(open) = std::mem::replace(&mut self.state, State::Idle) {
                    self.commit(open).await?;
                }
                Ok(done("COMMIT"))
            }
        }
    }

    pub(crate) fn roll_back_block(&mut self, chain: bool) -> PgResult<Execution> {
        let modes = self.modes();
        if self.state.in_block() {
            self.roll_back();
            self.chain(chain, &modes)?;
        } else {
            self.refuse_chain(chain, "ROLLBACK AND CHAIN")?;
            self.warn(
                sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                "there is no transaction in progress",
            );
            self.roll_back();
        }
        Ok(done("ROLLBACK"))
    }

    fn modes(&self) -> TransactionModes {
        let settings = self.common.settings.lock();
        TransactionModes {
            isolation: Some(settings.get("transaction_isolation").to_owned()),
            read_only: Some(settings.get("transaction_read_only") == "on"),
            deferrable: Some(settings.get("transaction_deferrable") == "on"),
            start: false,
        }
    }

    /// AND CHAIN: a new block with the modes of the last.
    fn chain(&mut self, chain: bool, modes: &TransactionModes) -> PgResult<()> {
        if chain {
            self.begin_block(modes)?;
        }
        Ok(())
    }

    fn refuse_chain(&self, chain: bool, what: &str) -> PgResult<()> {
        if chain {
            return Err(no_block(what));
        }
        Ok(())
    }

    pub(crate) fn savepoint(&mut self, name: &str) -> PgResult<Execution> {
        let outside = self.outside();
        match &mut self.state {
            State::Open(open) if open.block => open.set_savepoint(name, outside)?,
            _ => return Err(no_block("SAVEPOINT")),
        }
        Ok(done("SAVEPOINT"))
    }

    pub(crate) fn release(&mut self, name: &str) -> PgResult<Execution> {
        match &mut self.state {
            State::Open(open) if open.block => open.release(name)?,
            _ => return Err(no_block("RELEASE SAVEPOINT")),
        }
        Ok(done("RELEASE"))
    }

    pub(crate) fn roll_back_to(&mut self, name: &str) -> PgResult<Execution> {
        let outside = match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(mut open) if open.block => {
                let outside = open.rollback_to(name);
                self.state = State::Open(open);
                outside?
            }
            State::Failed(failed) => match failed.rollback_to(name) {
                Ok((open, outside)) => {
                    self.state = State::Open(open);
                    outside
                }
                Err((failed, error)) => {
                    self.state = State::Failed(failed);
                    return Err(error);
                }
            },
            other => {
                self.state = other;
                return Err(no_block("ROLLBACK TO SAVEPOINT"));
            }
        };
        self.undo(&outside);
        Ok(done("ROLLBACK"))
    }

    /// Refuses writes where the session or transaction may only read (25006).
    pub(crate) fn refuse_read_only(&self) -> PgResult<()> {
        let refused = match &self.state {
            State::Open(open) => open.read_only,
            State::Idle | State::Failed(_) => {
                self.common.get("default_transaction_read_only") == "on"
            }
        };
        if refused {
            return Err(read_only());
        }
        if let Some(snapshot) = self.pinned() {
            return Err(PgError::new(
                sqlstate::READ_ONLY_SQL_TRANSACTION,
                format!("cannot write while the session reads snapshot \"{snapshot}\""),
            )
            .hint("RESET snapshot leads back to the head of the branch."));
        }
        Ok(())
    }
}

fn no_block(what: &str) -> PgError {
    PgError::new(
        sqlstate::NO_ACTIVE_SQL_TRANSACTION,
        format!("{what} can only be used in transaction blocks"),
    )
}
