//! CREATE DATABASE: a database is a graph.

use super::done;
use crate::error::PgResult;
use crate::session::Session;
use crate::session::protocol::{Execution, Place};

impl Session {
    pub(crate) async fn create_database(
        &mut self,
        name: &str,
        schema: &str,
        place: Place,
    ) -> PgResult<Execution> {
        self.refuse_read_only()?;
        self.refuse_block("CREATE DATABASE", place)?;
        let databases = &self.common.shared.databases;
        databases.create(name, schema, &self.common.actor).await?;
        Ok(done("CREATE DATABASE"))
    }
}
