//! The names that constraints and indexes get: those PostgreSQL would choose.

use std::collections::HashSet;

const MAX_NAME: usize = 63;

/// Names already given. Indexes (and so keys and unique constraints) share one name space with
/// the tables of a schema; other constraints need to differ only within their table.
#[derive(Debug, Default)]
pub(crate) struct ConstraintNamer {
    relations: HashSet<String>,
    table: HashSet<String>,
}

impl ConstraintNamer {
    pub fn new(tables: impl Iterator<Item = String>) -> Self {
        ConstraintNamer {
            relations: tables.collect(),
            table: HashSet::new(),
        }
    }

    pub fn begin_table(&mut self) {
        self.table.clear();
    }

    /// For what an index stands behind.
    pub fn relation(&mut self, table: &str, columns: &[&str], label: &str) -> String {
        let name = choose(table, &join(columns), label, |name| {
            self.relations.contains(name) || self.table.contains(name)
        });
        self.relations.insert(name.clone());
        self.table.insert(name.clone());
        name
    }

    pub fn constraint(&mut self, table: &str, columns: &[&str], label: &str) -> String {
        let name = choose(table, &join(columns), label, |name| {
            self.table.contains(name)
        });
        self.table.insert(name.clone());
        name
    }
}

/// Column names, joined until the name is long enough to be cut anyway.
fn join(columns: &[&str]) -> String {
    let mut joined = String::new();
    for column in columns {
        if !joined.is_empty() {
            joined.push('_');
        }
        joined.push_str(column);
        if joined.len() > MAX_NAME {
            break;
        }
    }
    joined
}

fn choose(table: &str, columns: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut pass = 0u32;
    loop {
        let label = if pass == 0 {
            label.to_owned()
        } else {
            format!("{label}{pass}")
        };
        let name = compose(table, columns, &label);
        if !taken(&name) {
            return name;
        }
        pass += 1;
    }
}

/// `table_columns_label`, with the longer of the first two cut until it fits.
fn compose(table: &str, columns: &str, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(!columns.is_empty());
    let available = MAX_NAME.saturating_sub(overhead);
    let (mut first, mut second) = (table.len(), columns.len());
    while first + second > available {
        if first > second {
            first -= 1;
        } else {
            second -= 1;
        }
    }
    let first = cut(table, first);
    let second = cut(columns, second);
    if second.is_empty() {
        format!("{first}_{label}")
    } else {
        format!("{first}_{second}_{label}")
    }
}

fn cut(text: &str, length: usize) -> &str {
    let mut length = length.min(text.len());
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    &text[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_when_they_clash() {
        let mut namer = ConstraintNamer::new(["a".to_owned(), "a_b_c_key".to_owned()].into_iter());
        namer.begin_table();
        assert_eq!(namer.relation("a", &[], "pkey"), "a_pkey");
        assert_eq!(namer.relation("a", &["b", "c"], "key"), "a_b_c_key1");
        assert_eq!(namer.constraint("a", &["b"], "check"), "a_b_check");
        assert_eq!(namer.constraint("a", &["b"], "check"), "a_b_check1");
        namer.begin_table();
        assert_eq!(namer.constraint("a", &["b"], "check"), "a_b_check");
    }

    #[test]
    fn long_names_are_cut_evenly() {
        let name = compose(&"t".repeat(60), &"c".repeat(60), "key");
        assert_eq!(name.len(), 63);
        assert!(name.starts_with("ttt") && name.ends_with("ccc_key"));
        assert_eq!(
            compose("short", &"c".repeat(60), "check"),
            format!("short_{}_check", "c".repeat(51))
        );
    }
}
