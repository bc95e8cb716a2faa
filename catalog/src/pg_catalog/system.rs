//! What is the same in every graph: the functions, operators and casts that run.
//!
//! A function that PostgreSQL also has is listed with PostgreSQL's row and OID. One that it
//! does not have gets the next OID of its range, in the order of schema, name and arguments, so
//! that every gateway of one version gives the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::data::{self, AggregateRow, CastRow, OperatorRow, ProcRow};
use super::input::{ArgumentMode, FunctionInput, Registry};
use super::oid::{
    FIRST_CAST, FIRST_FUNCTION, FIRST_OPERATOR, FIRST_ROLE, FIRST_STORED_QUERY, HNSW, IVFFLAT,
    OMNIGRAPH, PG_CATALOG, VECTOR_EXTENSION,
};

#[derive(Debug)]
pub struct System {
    /// By OID.
    pub procs: BTreeMap<u32, Proc>,
    pub aggregates: Vec<&'static AggregateRow>,
    pub operators: BTreeMap<u32, Operator>,
    pub casts: Vec<Cast>,
    proc_names: HashMap<String, Vec<u32>>,
    operator_names: HashMap<String, Vec<u32>>,
    /// By object: the catalog it is in and what is said about it.
    descriptions: BTreeMap<u32, Vec<(&'static str, String)>>,
}

/// A row of pg_proc.
#[derive(Debug, Clone)]
pub struct Proc {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub language: u32,
    pub cost: f32,
    pub rows: f32,
    pub variadic: u32,
    pub support: u32,
    pub kind: char,
    pub leakproof: bool,
    pub strict: bool,
    pub returns_set: bool,
    pub volatility: char,
    pub parallel: char,
    pub returns: u32,
    /// What a caller gives.
    pub arguments: Vec<u32>,
    /// With what comes out, where anything does.
    pub all_arguments: Option<Vec<u32>>,
    pub modes: Option<Vec<String>>,
    pub names: Option<Vec<String>>,
    /// Of the last arguments.
    pub defaults: Vec<String>,
    pub source: String,
    pub description: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Operator {
    pub oid: u32,
    pub name: String,
    pub left: u32,
    pub right: u32,
    pub result: u32,
    pub row: Option<&'static OperatorRow>,
    pub description: Option<String>,
}

#[derive(Debug, Clone, Copy)]
pub struct Cast {
    pub oid: u32,
    pub source: u32,
    pub target: u32,
    pub function: u32,
    pub context: char,
    pub method: char,
}

/// `pg_language.oid` of functions that are part of the server.
pub const INTERNAL: u32 = 12;

impl System {
    pub fn new(registry: &Registry) -> Self {
        let operators = operators(registry);
        let casts = casts(registry);
        let procs = procs(registry, &operators, &casts);
        let aggregates = data::aggregates()
            .iter()
            .filter(|row| procs.contains_key(&row.function))
            .collect();
        let mut operator_names: HashMap<String, Vec<u32>> = HashMap::new();
        for operator in operators.values() {
            operator_names
                .entry(operator.name.clone())
                .or_default()
                .push(operator.oid);
        }
        let descriptions = described(&procs, &operators);
        System {
            aggregates,
            operators,
            casts,
            proc_names: names_of(&procs),
            procs,
            operator_names,
            descriptions,
        }
    }

    /// The stored queries of a graph, in the order of their names: each has the same OID on
    /// every gateway that serves the revision.
    pub fn of_stored(queries: &[FunctionInput]) -> Self {
        let procs: BTreeMap<u32, Proc> = (FIRST_STORED_QUERY..FIRST_ROLE)
            .zip(queries)
            .map(|(oid, query)| (oid, Proc::of_input(oid, query)))
            .collect();
        let said = procs.values().filter_map(|proc| {
            let text = proc.description.clone()?;
            Some((proc.oid, vec![("pg_proc", text)]))
        });
        System {
            descriptions: said.collect(),
            proc_names: names_of(&procs),
            procs,
            aggregates: Vec::new(),
            operators: BTreeMap::new(),
            casts: Vec::new(),
            operator_names: HashMap::new(),
        }
    }

    /// (object, catalog, text), for built-in objects.
    pub fn descriptions(&self) -> impl Iterator<Item = (u32, &'static str, &str)> + '_ {
        self.descriptions.iter().flat_map(|(oid, said)| {
            said.iter()
                .map(|(catalog, text)| (*oid, *catalog, text.as_str()))
        })
    }

    /// Without a catalog's name, in any of them.
    pub fn description(&self, oid: u32, catalog: Option<&str>) -> Option<&str> {
        let said = self.descriptions.get(&oid)?;
        said.iter()
            .find(|(of, _)| catalog.is_none_or(|catalog| catalog == *of))
            .map(|(_, text)| text.as_str())
    }

    pub fn procs_named<'a>(
        &'a self,
        schema: &'a str,
        name: &str,
    ) -> impl Iterator<Item = &'a Proc> + 'a {
        self.proc_names
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|oid| self.procs.get(oid))
            .filter(move |proc| proc.schema == schema)
    }

    pub fn operators_named(&self, name: &str) -> impl Iterator<Item = &Operator> + '_ {
        self.operator_names
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|oid| self.operators.get(oid))
    }
}

fn names_of(procs: &BTreeMap<u32, Proc>) -> HashMap<String, Vec<u32>> {
    let mut names: HashMap<String, Vec<u32>> = HashMap::new();
    for proc in procs.values() {
        names.entry(proc.name.clone()).or_default().push(proc.oid);
    }
    names
}

/// The namespace of built-in functions by schema.
pub fn function_namespace(schema: &str) -> u32 {
    match schema {
        "omnigraph" => OMNIGRAPH,
        "information_schema" => INFORMATION_SCHEMA,
        _ => PG_CATALOG,
    }
}

/// As PostgreSQL 15's initdb gives it.
pub const INFORMATION_SCHEMA: u32 = 13_207;

fn procs(
    registry: &Registry,
    operators: &BTreeMap<u32, Operator>,
    casts: &[Cast],
) -> BTreeMap<u32, Proc> {
    let mut known: BTreeSet<u32> = support_functions();
    known.extend(
        operators
            .values()
            .filter_map(|operator| Some(operator.row?.code)),
    );
    known.extend(casts.iter().map(|cast| cast.function));
    let mut procs: BTreeMap<u32, Proc> = known
        .into_iter()
        .filter_map(data::proc_row)
        .map(|row| (row.oid, Proc::of_row(row)))
        .collect();
    let mut own: BTreeMap<(String, String, Vec<u32>), &FunctionInput> = BTreeMap::new();
    for input in &registry.functions {
        let arguments = input_types(input);
        match data::proc_by_name(&input.schema, &input.name, &arguments) {
            Some(row) => {
                procs.insert(row.oid, Proc::of_row(row));
            }
            None => {
                own.insert((input.schema.clone(), input.name.clone(), arguments), input);
            }
        }
    }
    for (oid, input) in (FIRST_FUNCTION..FIRST_OPERATOR).zip(own.into_values()) {
        procs.insert(oid, Proc::of_input(oid, input));
    }
    procs
}

/// The functions that listed types, languages and access methods refer to: they run whenever a
/// value is read or written.
fn support_functions() -> BTreeSet<u32> {
    let mut found: BTreeSet<u32> = data::types()
        .iter()
        .flat_map(|row| row.functions.into_iter().chain([row.subscript]))
        .collect();
    // Handlers of heap, btree and gin; input and output of row types.
    found.extend([3, 330, 333, 2290, 2291, 2402, 2403]);
    found.remove(&0);
    found
}

fn input_types(input: &FunctionInput) -> Vec<u32> {
    input
        .arguments
        .iter()
        .filter(|argument| argument.mode.is_input())
        .map(|argument| argument.ty.oid)
        .collect()
}

impl Proc {
    fn of_row(row: &'static ProcRow) -> Self {
        let owned =
            |texts: &Vec<&'static str>| texts.iter().map(|text| (*text).to_owned()).collect();
        Proc {
            oid: row.oid,
            schema: row.schema.to_owned(),
            name: row.name.to_owned(),
            language: row.language,
            cost: row.cost,
            rows: row.rows,
            variadic: row.variadic,
            support: row.support,
            kind: row.kind,
            leakproof: row.leakproof,
            strict: row.strict,
            returns_set: row.returns_set,
            volatility: row.volatility,
            parallel: row.parallel,
            returns: row.returns,
            arguments: row.arguments.clone(),
            all_arguments: row.all_arguments.clone(),
            modes: row.modes.as_ref().map(owned),
            names: row.names.as_ref().map(owned),
            defaults: row.default_text.map(split_list).unwrap_or_default(),
            source: row.source.to_owned(),
            description: row.description.map(str::to_owned),
        }
    }

    fn of_input(oid: u32, input: &FunctionInput) -> Self {
        let arguments = &input.arguments;
        let plain = arguments
            .iter()
            .all(|argument| argument.mode == ArgumentMode::In);
        let named = arguments.iter().any(|argument| argument.name.is_some());
        Proc {
            oid,
            schema: input.schema.clone(),
            name: input.name.clone(),
            language: INTERNAL,
            cost: 1.0,
            rows: if input.returns_set { 1000.0 } else { 0.0 },
            variadic: arguments
                .iter()
                .find(|argument| argument.mode == ArgumentMode::Variadic)
                .map_or(0, |argument| {
                    argument.ty.element().unwrap_or(argument.ty).oid
                }),
            support: 0,
            kind: input.kind.letter(),
            leakproof: false,
            strict: input.strict,
            returns_set: input.returns_set,
            volatility: input.volatility.letter(),
            parallel: 's',
            returns: input.returns.oid,
            arguments: input_types(input),
            all_arguments: (!plain)
                .then(|| arguments.iter().map(|argument| argument.ty.oid).collect()),
            modes: (!plain).then(|| {
                arguments
                    .iter()
                    .map(|argument| argument.mode.letter().to_string())
                    .collect()
            }),
            names: named.then(|| {
                arguments
                    .iter()
                    .map(|argument| argument.name.clone().unwrap_or_default())
                    .collect()
            }),
            defaults: arguments
                .iter()
                .filter(|argument| argument.mode.is_input())
                .filter_map(|argument| argument.default.clone())
                .collect(),
            source: input.name.clone(),
            description: input.description.clone(),
        }
    }
}

fn described(
    procs: &BTreeMap<u32, Proc>,
    operators: &BTreeMap<u32, Operator>,
) -> BTreeMap<u32, Vec<(&'static str, String)>> {
    let others = [
        (PG_CATALOG, "pg_namespace", "system catalog schema"),
        (
            OMNIGRAPH,
            "pg_namespace",
            "graph, search and version functions",
        ),
        (data::HEAP, "pg_am", "heap table access method"),
        (data::BTREE, "pg_am", "b-tree index access method"),
        (data::GIN, "pg_am", "GIN index access method"),
        (HNSW, "pg_am", "HNSW vector index access method"),
        (IVFFLAT, "pg_am", "IVFFlat vector index access method"),
        (INTERNAL, "pg_language", "built-in functions"),
        (14, "pg_language", "SQL-language functions"),
        (
            VECTOR_EXTENSION,
            "pg_extension",
            "vector data type and similarity search",
        ),
    ];
    let others = others
        .into_iter()
        .map(|(oid, catalog, text)| (oid, catalog, text.to_owned()));
    let procs = procs
        .values()
        .filter_map(|proc| Some((proc.oid, "pg_proc", proc.description.clone()?)));
    let operators = operators
        .values()
        .filter_map(|operator| Some((operator.oid, "pg_operator", operator.description.clone()?)));
    let types = data::types()
        .iter()
        .filter_map(|ty| Some((ty.oid, "pg_type", ty.description?.to_owned())));
    let mut found: BTreeMap<u32, Vec<(&'static str, String)>> = BTreeMap::new();
    for (oid, catalog, text) in procs.chain(operators).chain(types).chain(others) {
        found.entry(oid).or_default().push((catalog, text));
    }
    found
}

/// Splits `1, 'a, b'::text, f(x, y)` at its outer commas.
fn split_list(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut depth, mut quoted) = (0usize, false);
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = items.last_mut() {
            last.push(c);
        }
    }
    items.iter().map(|item| item.trim().to_owned()).collect()
}

fn operators(registry: &Registry) -> BTreeMap<u32, Operator> {
    let mut found = BTreeMap::new();
    let mut own = BTreeMap::new();
    for input in &registry.operators {
        let left = input.left.map_or(0, |ty| ty.oid);
        let row = data::operators()
            .iter()
            .find(|row| row.name == input.name && row.left == left && row.right == input.right.oid);
        match row {
            Some(row) => {
                let operator = Operator {
                    oid: row.oid,
                    name: row.name.to_owned(),
                    left,
                    right: row.right,
                    result: row.result,
                    row: Some(row),
                    description: row.description.map(str::to_owned),
                };
                found.insert(row.oid, operator);
            }
            None => {
                own.insert((input.name.clone(), left, input.right.oid), input);
            }
        }
    }
    for (oid, ((name, left, right), input)) in (FIRST_OPERATOR..FIRST_CAST).zip(own) {
        let operator = Operator {
            oid,
            name,
            left,
            right,
            result: input.result.oid,
            row: None,
            description: input.description.clone(),
        };
        found.insert(oid, operator);
    }
    found
}

fn casts(registry: &Registry) -> Vec<Cast> {
    let known: HashMap<(u32, u32), &CastRow> = data::casts()
        .iter()
        .map(|row| ((row.source, row.target), row))
        .collect();
    let mut own = BTreeMap::new();
    let mut found = BTreeMap::new();
    for input in &registry.casts {
        let (source, target) = (input.source.oid, input.target.oid);
        match known.get(&(source, target)) {
            Some(row) => {
                let cast = Cast {
                    oid: row.oid,
                    source,
                    target,
                    function: row.function,
                    context: row.context,
                    method: row.method,
                };
                found.insert(row.oid, cast);
            }
            None => {
                own.insert((source, target), input.context.letter());
            }
        }
    }
    let own = (FIRST_CAST..FIRST_STORED_QUERY).zip(own);
    let own = own.map(|(oid, ((source, target), context))| Cast {
        oid,
        source,
        target,
        function: 0,
        context,
        // Through the text forms, which is what PostgreSQL calls an I/O conversion.
        method: 'i',
    });
    found.into_values().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg_catalog::input::{
        ArgumentInput, FunctionKind, FunctionVolatility, OperatorInput,
    };
    use crate::types::PgType;

    fn function(schema: &str, name: &str, ty: PgType) -> FunctionInput {
        FunctionInput {
            schema: schema.into(),
            name: name.into(),
            arguments: vec![ArgumentInput {
                name: None,
                ty,
                mode: ArgumentMode::In,
                default: None,
            }],
            returns: PgType::TEXT,
            returns_set: false,
            kind: FunctionKind::Function,
            volatility: FunctionVolatility::Stable,
            strict: true,
            description: None,
        }
    }

    #[test]
    fn only_what_runs_is_listed_and_postgresqls_functions_keep_their_oids() {
        let registry = Registry {
            functions: vec![
                function("pg_catalog", "lower", PgType::TEXT),
                function("omnigraph", "traverse", PgType::TEXT),
                function("omnigraph", "neighbors", PgType::TEXT),
            ],
            operators: vec![OperatorInput {
                name: "=".into(),
                left: Some(PgType::INT4),
                right: PgType::INT4,
                result: PgType::BOOL,
                description: None,
            }],
            casts: Vec::new(),
        };
        let system = System::new(&registry);
        let oids = |schema, name| {
            system
                .procs_named(schema, name)
                .map(|proc| proc.oid)
                .collect::<Vec<_>>()
        };
        assert_eq!(oids("pg_catalog", "lower"), [870]);
        assert_eq!(oids("omnigraph", "neighbors"), [FIRST_FUNCTION]);
        assert_eq!(oids("omnigraph", "traverse"), [FIRST_FUNCTION + 1]);
        assert!(oids("pg_catalog", "upper").is_empty());
        assert_eq!(oids("pg_catalog", "int4eq"), [65]);
        assert_eq!(oids("pg_catalog", "array_recv"), [2400]);
        assert_eq!(
            system
                .operators_named("=")
                .map(|operator| operator.oid)
                .collect::<Vec<_>>(),
            [96]
        );
    }

    #[test]
    fn defaults_are_split_at_outer_commas() {
        assert_eq!(
            split_list("1, 'a, b'::text, f(x, y)"),
            ["1", "'a, b'::text", "f(x, y)"]
        );
    }
}
