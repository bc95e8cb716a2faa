//! PostgreSQL 15's built-in types, functions, operators and casts, from the compiled-in tables
//! that `scripts/dump_pg_catalog.sh` writes. Being here does not mean being listed: functions,
//! operators and casts are shown only when the gateway says that they run.

use std::collections::HashMap;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::types::PgType;

/// The fields of one line. The tables are compiled in and tests read every line, so a field
/// that does not parse is a defect of the program and not of its input.
pub struct Fields {
    fields: std::str::Split<'static, char>,
    line: &'static str,
}

impl Fields {
    pub fn new(line: &'static str) -> Self {
        Fields {
            fields: line.split('\t'),
            line,
        }
    }

    pub fn text(&mut self) -> &'static str {
        match self.fields.next() {
            Some(field) => field,
            None => panic!("a compiled-in table lacks a field: {}", self.line),
        }
    }

    pub fn optional(&mut self) -> Option<&'static str> {
        Some(self.text()).filter(|field| *field != "\\N")
    }

    pub fn int<T: FromStr>(&mut self) -> T
    where
        T::Err: Debug,
    {
        let field = self.text();
        match field.parse() {
            Ok(number) => number,
            Err(error) => panic!(
                "a compiled-in table has a wrong number {field}: {error:?}: {}",
                self.line
            ),
        }
    }

    pub fn oid(&mut self) -> u32 {
        self.int()
    }

    /// Behind the number of defaults, which their text tells as well.
    fn oid_after_count(&mut self) -> u32 {
        let _: i16 = self.int();
        self.oid()
    }

    pub fn flag(&mut self) -> bool {
        self.text() == "1"
    }

    pub fn char(&mut self) -> char {
        self.text().chars().next().unwrap_or('\0')
    }

    /// An oidvector: `25 23`.
    fn oids(&mut self) -> Vec<u32> {
        self.text()
            .split_ascii_whitespace()
            .filter_map(|oid| oid.parse().ok())
            .collect()
    }

    /// A plain array: `{25,23}`. No element of these tables needs quotes.
    fn array(&mut self) -> Option<Vec<&'static str>> {
        let inner = self.optional()?.strip_prefix('{')?.strip_suffix('}')?;
        Some(
            inner
                .split(',')
                .map(|item| if item == "\"\"" { "" } else { item })
                .collect(),
        )
    }
}

#[derive(Debug)]
pub struct TypeRow {
    pub oid: u32,
    pub schema: &'static str,
    pub name: &'static str,
    pub len: i16,
    pub by_value: bool,
    pub kind: char,
    pub category: char,
    pub preferred: bool,
    pub delimiter: char,
    pub subscript: u32,
    pub element: u32,
    pub array: u32,
    /// input, output, receive, send, modin, modout, analyze
    pub functions: [u32; 7],
    pub align: char,
    pub storage: char,
    pub not_null: bool,
    pub base: u32,
    pub typmod: i32,
    pub collation: u32,
    pub default: Option<&'static str>,
    pub description: Option<&'static str>,
}

impl TypeRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        TypeRow {
            oid: f.oid(),
            schema: f.text(),
            name: f.text(),
            len: f.int(),
            by_value: f.flag(),
            kind: f.char(),
            category: f.char(),
            preferred: f.flag(),
            delimiter: f.char(),
            subscript: f.oid(),
            element: f.oid(),
            array: f.oid(),
            functions: std::array::from_fn(|_| f.oid()),
            align: f.char(),
            storage: f.char(),
            not_null: f.flag(),
            base: f.oid(),
            typmod: f.int(),
            collation: f.oid(),
            default: f.optional(),
            description: f.optional(),
        }
    }
}

#[derive(Debug)]
pub struct ProcRow {
    pub oid: u32,
    pub schema: &'static str,
    pub name: &'static str,
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
    pub arguments: Vec<u32>,
    pub all_arguments: Option<Vec<u32>>,
    pub modes: Option<Vec<&'static str>>,
    pub names: Option<Vec<&'static str>>,
    pub default_text: Option<&'static str>,
    pub source: &'static str,
    pub description: Option<&'static str>,
}

impl ProcRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        let mut row = ProcRow {
            oid: f.oid(),
            schema: f.text(),
            name: f.text(),
            language: f.oid(),
            cost: f.int(),
            rows: f.int(),
            variadic: f.oid(),
            support: f.oid(),
            kind: f.char(),
            leakproof: f.flag(),
            strict: f.flag(),
            returns_set: f.flag(),
            volatility: f.char(),
            parallel: f.char(),
            returns: f.oid_after_count(),
            arguments: f.oids(),
            all_arguments: f
                .array()
                .map(|items| items.iter().filter_map(|item| item.parse().ok()).collect()),
            modes: f.array(),
            names: f.array(),
            default_text: f.optional(),
            source: f.text(),
            description: f.optional(),
        };
        // The dump writes `=` for a source that is the function's own name.
        if row.source == "=" {
            row.source = row.name;
        }
        row
    }
}

#[derive(Debug)]
pub struct OperatorRow {
    pub oid: u32,
    pub name: &'static str,
    pub kind: char,
    pub can_merge: bool,
    pub can_hash: bool,
    pub left: u32,
    pub right: u32,
    pub result: u32,
    pub commutator: u32,
    pub negator: u32,
    pub code: u32,
    pub restrict: u32,
    pub join: u32,
    pub description: Option<&'static str>,
}

impl OperatorRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        OperatorRow {
            oid: f.oid(),
            name: f.text(),
            kind: f.char(),
            can_merge: f.flag(),
            can_hash: f.flag(),
            left: f.oid(),
            right: f.oid(),
            result: f.oid(),
            commutator: f.oid(),
            negator: f.oid(),
            code: f.oid(),
            restrict: f.oid(),
            join: f.oid(),
            description: f.optional(),
        }
    }
}

#[derive(Debug)]
pub struct CastRow {
    pub oid: u32,
    pub source: u32,
    pub target: u32,
    pub function: u32,
    pub context: char,
    pub method: char,
}

impl CastRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        CastRow {
            oid: f.oid(),
            source: f.oid(),
            target: f.oid(),
            function: f.oid(),
            context: f.char(),
            method: f.char(),
        }
    }
}

#[derive(Debug)]
pub struct AggregateRow {
    pub function: u32,
    pub kind: char,
    pub direct_arguments: i16,
    /// transition, final, combine, serialize, deserialize, moving transition, moving inverse,
    /// moving final
    pub functions: [u32; 8],
    pub final_extra: bool,
    pub moving_final_extra: bool,
    pub final_modify: char,
    pub moving_final_modify: char,
    pub sort_operator: u32,
    pub transition_type: u32,
    pub transition_space: i32,
    pub moving_transition_type: u32,
    pub moving_transition_space: i32,
    pub initial: Option<&'static str>,
    pub moving_initial: Option<&'static str>,
}

impl AggregateRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        AggregateRow {
            function: f.oid(),
            kind: f.char(),
            direct_arguments: f.int(),
            functions: std::array::from_fn(|_| f.oid()),
            final_extra: f.flag(),
            moving_final_extra: f.flag(),
            final_modify: f.char(),
            moving_final_modify: f.char(),
            sort_operator: f.oid(),
            transition_type: f.oid(),
            transition_space: f.int(),
            moving_transition_type: f.oid(),
            moving_transition_space: f.int(),
            initial: f.optional(),
            moving_initial: f.optional(),
        }
    }
}

#[derive(Debug)]
pub struct OpclassRow {
    pub oid: u32,
    pub method: u32,
    pub name: &'static str,
    pub family: u32,
    pub input: u32,
    pub default: bool,
    pub key: u32,
}

impl OpclassRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        OpclassRow {
            oid: f.oid(),
            method: f.oid(),
            name: f.text(),
            family: f.oid(),
            input: f.oid(),
            default: f.flag(),
            key: f.oid(),
        }
    }
}

#[derive(Debug)]
pub struct OpfamilyRow {
    pub oid: u32,
    pub method: u32,
    pub name: &'static str,
}

impl OpfamilyRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        OpfamilyRow {
            oid: f.oid(),
            method: f.oid(),
            name: f.text(),
        }
    }
}

#[derive(Debug)]
pub struct AmopRow {
    pub oid: u32,
    pub family: u32,
    pub left: u32,
    pub right: u32,
    pub strategy: i16,
    pub purpose: char,
    pub operator: u32,
    pub method: u32,
    pub sort_family: u32,
}

impl AmopRow {
    fn parse(line: &'static str) -> Self {
        let mut f = Fields::new(line);
        AmopRow {
            oid: f.oid(),
            family: f.oid(),
            left: f.oid(),
            right: f.oid(),
            strategy: f.int(),
            purpose: f.char(),
            operator: f.oid(),
            method: f.oid(),
            sort_family: f.oid(),
        }
    }
}

/// The types of the `vector` extension, its functions, operators and casts, in the
/// same form as PostgreSQL's. The extension lives in `pg_catalog`, on everybody's path.
const VECTOR_TYPES: &str = "\
16001\tpg_catalog\tvector\t-1\t0\tb\tU\t0\t,\t0\t0\t16002\t16010\t16011\t16014\t16015\t16012\t16013\t0\ti\te\t0\t0\t-1\t0\t\\N\tvector of float4 with a fixed dimension
16002\tpg_catalog\t_vector\t-1\t0\tb\tA\t0\t,\t6179\t16001\t0\t750\t751\t2400\t2401\t16012\t16013\t3816\ti\tx\t0\t0\t-1\t0\t\\N\t\\N";
const VECTOR_PROCS: &str = include_str!("data/vector_procs.tsv");
const VECTOR_OPERATORS: &str = include_str!("data/vector_operators.tsv");
const VECTOR_CASTS: &str = include_str!("data/vector_casts.tsv");
/// The ways in which a vector index can measure distance.
const VECTOR_OPFAMILIES: &str = "\
16020\t16003\tvector_l2_ops
16021\t16003\tvector_ip_ops
16022\t16003\tvector_cosine_ops
16023\t16003\tvector_l1_ops
16024\t16004\tvector_l2_ops
16025\t16004\tvector_ip_ops
16026\t16004\tvector_cosine_ops";
const VECTOR_OPCLASSES: &str = "\
16030\t16003\tvector_l2_ops\t16020\t16001\t0\t0
16031\t16003\tvector_ip_ops\t16021\t16001\t0\t0
16032\t16003\tvector_cosine_ops\t16022\t16001\t0\t0
16033\t16003\tvector_l1_ops\t16023\t16001\t0\t0
16034\t16004\tvector_l2_ops\t16024\t16001\t1\t0
16035\t16004\tvector_ip_ops\t16025\t16001\t0\t0
16036\t16004\tvector_cosine_ops\t16026\t16001\t0\t0";
const NO_MORE: &str = "";

macro_rules! tables {
    ($($name:ident, $row:ident, $file:literal, $more:ident;)*) => { $(
        pub fn $name() -> &'static [$row] {
            static ROWS: OnceLock<Vec<$row>> = OnceLock::new();
            ROWS.get_or_init(|| include_str!($file).lines().chain($more.lines()).map($row::parse).collect())
        }
    )* };
}

// Each is sorted by its first column, which tests hold them to.
tables! {
    types, TypeRow, "data/types.tsv", VECTOR_TYPES;
    procs, ProcRow, "data/procs.tsv", VECTOR_PROCS;
    operators, OperatorRow, "data/operators.tsv", VECTOR_OPERATORS;
    casts, CastRow, "data/casts.tsv", VECTOR_CASTS;
    aggregates, AggregateRow, "data/aggregates.tsv", NO_MORE;
    opclasses, OpclassRow, "data/opclasses.tsv", VECTOR_OPCLASSES;
    opfamilies, OpfamilyRow, "data/opfamilies.tsv", VECTOR_OPFAMILIES;
    amops, AmopRow, "data/amops.tsv", NO_MORE;
}

pub fn type_row(oid: u32) -> Option<&'static TypeRow> {
    let rows = types();
    rows.binary_search_by_key(&oid, |row| row.oid)
        .ok()
        .map(|at| &rows[at])
}

pub fn proc_row(oid: u32) -> Option<&'static ProcRow> {
    let rows = procs();
    rows.binary_search_by_key(&oid, |row| row.oid)
        .ok()
        .map(|at| &rows[at])
}

/// PostgreSQL's function of this name over these types.
pub fn proc_by_name(schema: &str, name: &str, arguments: &[u32]) -> Option<&'static ProcRow> {
    static BY_NAME: OnceLock<HashMap<&'static str, Vec<usize>>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for (at, row) in procs().iter().enumerate() {
            by_name.entry(row.name).or_default().push(at);
        }
        by_name
    });
    by_name
        .get(name)?
        .iter()
        .map(|at| &procs()[*at])
        .find(|row| row.schema == schema && row.arguments == arguments)
}

/// What a domain is over; every other type is itself.
pub fn base_type(ty: PgType) -> PgType {
    match type_row(ty.oid) {
        Some(row) if row.base != 0 => PgType::new(row.base).with_typmod(row.typmod),
        _ => ty,
    }
}

/// The default operator class of btree for a type's columns; 0: it has no order.
pub fn btree_opclass(ty: PgType) -> u32 {
    let input = if ty.is_array() {
        PgType::ANYARRAY.oid
    } else {
        ty.oid
    };
    opclasses()
        .iter()
        .find(|row| row.method == BTREE && row.input == input && row.default)
        .map_or(0, |row| row.oid)
}

/// The operator class of a vector index.
pub fn vector_opclass(method: u32, metric: &str) -> u32 {
    let metric = match metric {
        "l2" => "vector_l2_ops",
        "ip" => "vector_ip_ops",
        "l1" => "vector_l1_ops",
        _ => "vector_cosine_ops",
    };
    opclasses()
        .iter()
        .find(|row| row.method == method && row.name == metric)
        .map_or(0, |row| row.oid)
}

pub fn opclass_row(oid: u32) -> Option<&'static OpclassRow> {
    let rows = opclasses();
    rows.binary_search_by_key(&oid, |row| row.oid)
        .ok()
        .map(|at| &rows[at])
}

pub const HEAP: u32 = 2;
pub const BTREE: u32 = 403;
pub const GIN: u32 = 2742;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BUILT_IN;

    #[test]
    fn every_table_is_sorted_and_whole() {
        fn sorted<T>(rows: &[T], key: impl Fn(&T) -> u32) {
            assert!(!rows.is_empty());
            assert!(rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
        }
        sorted(types(), |row| row.oid);
        sorted(procs(), |row| row.oid);
        sorted(operators(), |row| row.oid);
        sorted(casts(), |row| row.oid);
        sorted(aggregates(), |row| row.function);
        sorted(opclasses(), |row| row.oid);
        sorted(opfamilies(), |row| row.oid);
        sorted(amops(), |row| row.oid);
    }

    #[test]
    fn the_types_of_the_mapping_agree_with_postgresql() {
        for info in BUILT_IN {
            let Some(row) = type_row(info.oid) else {
                panic!("{} is unknown", info.name);
            };
            assert_eq!(
                (row.name, row.len, row.element, row.category, row.preferred),
                (
                    info.name,
                    info.len,
                    info.element,
                    info.category,
                    info.preferred
                )
            );
            assert_eq!(row.array, info.array, "{}", info.name);
        }
    }

    #[test]
    fn functions_are_found_by_name_and_types() {
        assert_eq!(
            proc_by_name("pg_catalog", "lower", &[25]).map(|row| row.oid),
            Some(870)
        );
        assert!(proc_by_name("pg_catalog", "lower", &[23]).is_none());
        let now = proc_by_name("pg_catalog", "now", &[]).expect("is there");
        assert_eq!((now.oid, now.returns, now.source), (1299, 1184, "now"));
    }

    #[test]
    fn operator_classes_follow_the_type() {
        assert_eq!(btree_opclass(PgType::TEXT), 3126);
        assert_eq!(btree_opclass(PgType::INT4), 1978);
        assert_ne!(btree_opclass(PgType::TEXT_ARRAY), 0);
        assert_eq!(btree_opclass(PgType::VECTOR), 0);
    }
}
