//! Which statements take something away, for those who ask before they run one.

use sqlparser::ast;

use super::Statement;

impl Statement {
    /// Does it delete rows, tables, branches or graphs?
    pub fn destroys(&self) -> bool {
        match self {
            Statement::Delete(_)
            | Statement::Truncate { .. }
            | Statement::DropSchema { .. }
            | Statement::DropDatabase { .. } => true,
            Statement::Define(definition) => matches!(
                **definition,
                ast::Statement::Drop { .. } | ast::Statement::AlterTable(_)
            ),
            Statement::Merge(merge) => {
                let mut clauses = merge.clauses.iter();
                clauses.any(|clause| matches!(clause.action, ast::MergeAction::Delete { .. }))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn what_takes_something_away_is_known() {
        for (sql, destroys) in [
            ("SELECT 1", false),
            ("INSERT INTO t VALUES (1)", false),
            ("UPDATE t SET a = 1", false),
            ("DELETE FROM t", true),
            ("TRUNCATE t", true),
            ("DROP SCHEMA s", true),
            ("DROP TABLE t", true),
            ("DROP DATABASE g", true),
            ("ALTER TABLE t DROP COLUMN a", true),
            ("CREATE TABLE t (a int)", false),
            (
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE",
                true,
            ),
        ] {
            let parsed = parse(sql).expect(sql);
            assert_eq!(parsed[0].statement.destroys(), destroys, "{sql}");
        }
    }
}
