//! SET, RESET, DISCARD.

use super::done;
use super::parse::{Set, SetValue, TransactionModes};
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{Execution, Place};
use crate::session::settings::Scope;
use crate::session::transaction::State;
use crate::sqlstate;

impl Session {
    pub(crate) async fn set(&mut self, set: &Set, _place: Place) -> PgResult<Execution> {
        if set.local && !self.state.in_block() && matches!(self.state, State::Idle) {
            self.warn(
                sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
        }
        // An error later in the same transaction takes the setting back.
        self.open();
        let scope = if set.local {
            Scope::Local
        } else {
            Scope::Session
        };
        match (set.name.as_str(), &set.value) {
            ("branch", SetValue::List(values)) => {
                let name = one(&set.name, values)?;
                self.check_branch(name).await?;
                self.common.set("branch", Some(name), scope)?;
            }
            ("search_path", SetValue::List(values)) => self.common.set_path(values, scope)?,
            ("snapshot", SetValue::List(values)) => {
                let reference = one(&set.name, values)?.to_owned();
                self.set_snapshot(&reference, scope).await?;
            }
            (
                "transaction_isolation" | "transaction_read_only" | "transaction_deferrable",
                value,
            ) => {
                self.set_mode(&set.name, value)?;
            }
            (name, SetValue::Default) => self.common.set(name, None, scope)?,
            (name, SetValue::List(values)) => {
                self.common.set(name, Some(&values.join(", ")), scope)?
            }
        }
        Ok(done("SET"))
    }

    /// 3F000 for a branch that is not there.
    async fn check_branch(&mut self, name: &str) -> PgResult<()> {
        let branch = Session::branch_name(name)?;
        if branch == self.common.start_branch {
            return Ok(());
        }
        let attached = self.attached()?.clone();
        if attached.shared.knows(&branch) {
            // It may be gone meanwhile: only the store knows.
            attached.shared.forget(&branch);
        }
        attached.shared.branch(&attached.access, &branch).await?;
        Ok(())
    }

    /// A reference is resolved now, so that it means the same commit from here on.
    async fn set_snapshot(&mut self, reference: &str, scope: Scope) -> PgResult<()> {
        if reference.is_empty() {
            return self.common.set("snapshot", None, scope);
        }
        if let State::Open(open) = &self.state
            && open.block
            && open.used
        {
            return Err(PgError::new(
                sqlstate::ACTIVE_SQL_TRANSACTION,
                "SET snapshot must be called before any query of the transaction",
            ));
        }
        let attached = self.attached()?.clone();
        let branch = self.branch().await?;
        let snapshot = attached.access.snapshot_on(reference, &branch).await?;
        self.common
            .set("snapshot", Some(&snapshot.commit().to_string()), scope)
    }

    /// `SET transaction_read_only = on` is another spelling of SET TRANSACTION.
    fn set_mode(&mut self, name: &str, value: &SetValue) -> PgResult<()> {
        let text = match value {
            SetValue::Default => self.common.get(&format!("default_{name}")),
            SetValue::List(values) => values.join(", "),
        };
        // Checks the value before it is looked at.
        let mark = self.common.settings.lock().mark();
        self.common.set(name, Some(&text), Scope::Local)?;
        let checked = self.common.get(name);
        self.common.settings.lock().restore(&mark);
        let mut modes = TransactionModes::default();
        match name {
            "transaction_isolation" => modes.isolation = Some(checked),
            "transaction_read_only" => modes.read_only = Some(checked == "on"),
            _ => modes.deferrable = Some(checked == "on"),
        }
        self.apply_modes(&modes)
    }

    pub(crate) fn set_transaction(
        &mut self,
        session: bool,
        modes: &TransactionModes,
    ) -> PgResult<Execution> {
        if session {
            self.open();
            let mut settings = self.common.settings.lock();
            if let Some(isolation) = &modes.isolation {
                settings.set("default_transaction_isolation", isolation, Scope::Session)?;
                if !self.state.in_block() {
                    settings.set("transaction_isolation", isolation, Scope::Session)?;
                }
            }
            let on = |value: bool| if value { "on" } else { "off" };
            if let Some(read_only) = modes.read_only {
                settings.set(
                    "default_transaction_read_only",
                    on(read_only),
                    Scope::Session,
                )?;
            }
            if let Some(deferrable) = modes.deferrable {
                settings.set(
                    "default_transaction_deferrable",
                    on(deferrable),
                    Scope::Session,
                )?;
            }
            return Ok(done("SET"));
        }
        if !self.state.in_block() {
            self.warn(
                sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
            return Ok(done("SET"));
        }
        self.apply_modes(modes)?;
        Ok(done("SET"))
    }

    pub(crate) fn reset(&mut self, name: Option<&str>) -> PgResult<Execution> {
        self.open();
        match name {
            None => self.common.settings.lock().reset_all(),
            Some(name) => self.common.set(name, None, Scope::Session)?,
        }
        Ok(done("RESET"))
    }

    pub(crate) fn discard(&mut self, what: &str, place: Place) -> PgResult<Execution> {
        match what.to_ascii_uppercase().as_str() {
            "ALL" => {
                self.refuse_block("DISCARD ALL", place)?;
                self.roll_back();
                self.cursors.close_all();
                self.statements.clear();
                self.listener.unlisten_all();
                self.common
                    .shared
                    .locks
                    .unlock_all(self.common.handle.pid());
                let mut settings = self.common.settings.lock();
                settings.reset_all();
                settings.reset("role", Scope::Session)?;
                settings.reset("session_authorization", Scope::Session)?;
                Ok(done("DISCARD ALL"))
            }
            other @ ("PLANS" | "SEQUENCES" | "TEMP" | "TEMPORARY") => Ok(done(format!(
                "DISCARD {}",
                if other == "TEMPORARY" { "TEMP" } else { other }
            ))),
            other => Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            )),
        }
    }
}

/// The value of a setting that takes one.
fn one<'a>(name: &str, values: &'a [String]) -> PgResult<&'a str> {
    match values {
        [value] => Ok(value),
        _ => Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("SET {name} takes only one argument"),
        )),
    }
}
