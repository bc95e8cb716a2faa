//! What tables and columns are called in a schema: a name of its language, and the SQL name
//! beside it where the one does not follow from the other.

use omnigraph_engine::names::sql_name;
use omnigraph_engine::schema::Schema;
use omnigraph_engine::schema::edit::quoted;

/// A name as a schema declares it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub name: String,
    /// The SQL name, where it is another.
    pub sql: Option<String>,
}

impl Declared {
    fn of(name: String, sql: &str) -> Self {
        let sql = (sql_name(&name) != sql).then(|| sql.to_owned());
        Declared { name, sql }
    }

    /// ` @sql("…")`, or nothing.
    pub fn annotation(&self) -> String {
        let said = |sql: &String| format!(" @sql({})", quoted(sql));
        self.sql.as_ref().map(said).unwrap_or_default()
    }
}

/// `order_items` → `OrderItems`, in a schema that has no such type yet.
pub(super) fn type_name(table: &str, schema: &Schema) -> Declared {
    let mut name = String::new();
    for word in table.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters);
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert(0, 'T');
    }
    let taken = |name: &str| {
        let mut types = schema.types.iter();
        types.any(|def| def.name.eq_ignore_ascii_case(name))
            || schema.interfaces.iter().any(|known| known.name == name)
    };
    let free = std::iter::once(name.clone())
        .chain((2..).map(|number| format!("{name}{number}")))
        .find(|name| !taken(name));
    Declared::of(free.unwrap_or(name), table)
}

/// The property of a column, beside those that the type has already.
pub(super) fn property_name(column: &str, taken: impl Fn(&str) -> bool) -> Declared {
    let mut name: String = column
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_uppercase()) {
        name = sql_name(&name);
    }
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if !begins || name.starts_with("_row") || matches!(name.as_str(), "id" | "src" | "dst") {
        name.insert_str(0, "c_");
    }
    let free = std::iter::once(name.clone())
        .chain((2..).map(|number| format!("{name}_{number}")))
        .find(|name| !taken(name));
    Declared::of(free.unwrap_or(name), column)
}

#[cfg(test)]
mod tests {
    use omnigraph_engine::schema::SeededIds;

    use super::*;

    #[test]
    fn names_of_tables_become_names_of_types() {
        let schema = Schema::parse("node Person { n: I32 }", &mut SeededIds(1)).expect("a schema");
        for (table, name, sql) in [
            ("order_items", "OrderItems", None),
            ("person", "Person2", Some("person")),
            ("Mixed", "Mixed", Some("Mixed")),
            ("2024 sales", "T2024Sales", Some("2024 sales")),
            ("日本", "T", Some("日本")),
        ] {
            let declared = type_name(table, &schema);
            assert_eq!(
                (declared.name.as_str(), declared.sql.as_deref()),
                (name, sql)
            );
        }
    }

    #[test]
    fn names_of_columns_become_names_of_properties() {
        for (column, name, sql) in [
            ("first_name", "first_name", None),
            ("firstName", "firstName", Some("firstName")),
            ("Name", "name", Some("Name")),
            ("two words", "two_words", Some("two words")),
            ("2nd", "c_2nd", Some("2nd")),
            ("taken", "taken_2", Some("taken")),
        ] {
            let declared = property_name(column, |name| name == "taken");
            assert_eq!(
                (declared.name.as_str(), declared.sql.as_deref()),
                (name, sql)
            );
        }
    }
}
