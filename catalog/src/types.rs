//! PostgreSQL's types: what a column is to a client. A [`PgType`] is not the Arrow type:
//! text, name, varchar and jsonb share one representation, as do oid and the reg* types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

/// A type and its modifier, as in `pg_attribute.atttypid` and `atttypmod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PgType {
    pub oid: u32,
    /// -1: none. `varchar(n)`: n + 4; `numeric(p,s)`: ((p << 16) | s) + 4; `vector(n)`: n.
    pub typmod: i32,
}

/// What PostgreSQL's `pg_type` says of a built-in type.
#[derive(Debug, Clone, Copy)]
pub struct TypeInfo {
    pub oid: u32,
    /// `pg_type.typname`: `int4`.
    pub name: &'static str,
    /// As `format_type` prints it: `integer`.
    pub sql_name: &'static str,
    /// Bytes; -1: variable.
    pub len: i16,
    /// The array type over this one; 0: none.
    pub array: u32,
    /// The element type of an array (or int2vector, oidvector, name); 0: none.
    pub element: u32,
    /// `typcategory`: 'N', 'S', 'D', ...
    pub category: char,
    pub preferred: bool,
}

macro_rules! types {
    ($($konst:ident = $oid:literal, $name:literal, $sql:literal, $len:literal, $array:literal, $element:literal, $cat:literal, $pref:literal;)*) => {
        impl PgType {
            $(pub const $konst: PgType = PgType { oid: $oid, typmod: -1 };)*
        }
        pub const BUILT_IN: &[TypeInfo] = &[
            $(TypeInfo { oid: $oid, name: $name, sql_name: $sql, len: $len, array: $array, element: $element, category: $cat, preferred: $pref },)*
        ];
    };
}

types! {
    BOOL = 16, "bool", "boolean", 1, 1000, 0, 'B', true;
    BYTEA = 17, "bytea", "bytea", -1, 1001, 0, 'U', false;
    CHAR = 18, "char", "\"char\"", 1, 1002, 0, 'Z', false;
    NAME = 19, "name", "name", 64, 1003, 18, 'S', false;
    INT8 = 20, "int8", "bigint", 8, 1016, 0, 'N', false;
    INT2 = 21, "int2", "smallint", 2, 1005, 0, 'N', false;
    INT2VECTOR = 22, "int2vector", "int2vector", -1, 1006, 21, 'A', false;
    INT4 = 23, "int4", "integer", 4, 1007, 0, 'N', false;
    REGPROC = 24, "regproc", "regproc", 4, 1008, 0, 'N', false;
    TEXT = 25, "text", "text", -1, 1009, 0, 'S', true;
    OID = 26, "oid", "oid", 4, 1028, 0, 'N', true;
    TID = 27, "tid", "tid", 6, 1010, 0, 'U', false;
    XID = 28, "xid", "xid", 4, 1011, 0, 'U', false;
    CID = 29, "cid", "cid", 4, 1012, 0, 'U', false;
    OIDVECTOR = 30, "oidvector", "oidvector", -1, 1013, 26, 'A', false;
    JSON = 114, "json", "json", -1, 199, 0, 'U', false;
    PG_NODE_TREE = 194, "pg_node_tree", "pg_node_tree", -1, 0, 0, 'Z', false;
    JSON_ARRAY = 199, "_json", "json[]", -1, 0, 114, 'A', false;
    XID8_ARRAY = 271, "_xid8", "xid8[]", -1, 0, 5069, 'A', false;
    FLOAT4 = 700, "float4", "real", 4, 1021, 0, 'N', false;
    FLOAT8 = 701, "float8", "double precision", 8, 1022, 0, 'N', true;
    UNKNOWN = 705, "unknown", "unknown", -2, 0, 0, 'X', false;
    BOOL_ARRAY = 1000, "_bool", "boolean[]", -1, 0, 16, 'A', false;
    BYTEA_ARRAY = 1001, "_bytea", "bytea[]", -1, 0, 17, 'A', false;
    CHAR_ARRAY = 1002, "_char", "\"char\"[]", -1, 0, 18, 'A', false;
    NAME_ARRAY = 1003, "_name", "name[]", -1, 0, 19, 'A', false;
    INT2_ARRAY = 1005, "_int2", "smallint[]", -1, 0, 21, 'A', false;
    INT2VECTOR_ARRAY = 1006, "_int2vector", "int2vector[]", -1, 0, 22, 'A', false;
    INT4_ARRAY = 1007, "_int4", "integer[]", -1, 0, 23, 'A', false;
    REGPROC_ARRAY = 1008, "_regproc", "regproc[]", -1, 0, 24, 'A', false;
    TEXT_ARRAY = 1009, "_text", "text[]", -1, 0, 25, 'A', false;
    BPCHAR_ARRAY = 1014, "_bpchar", "character[]", -1, 0, 1042, 'A', false;
    VARCHAR_ARRAY = 1015, "_varchar", "character varying[]", -1, 0, 1043, 'A', false;
    INT8_ARRAY = 1016, "_int8", "bigint[]", -1, 0, 20, 'A', false;
    FLOAT4_ARRAY = 1021, "_float4", "real[]", -1, 0, 700, 'A', false;
    FLOAT8_ARRAY = 1022, "_float8", "double precision[]", -1, 0, 701, 'A', false;
    OID_ARRAY = 1028, "_oid", "oid[]", -1, 0, 26, 'A', false;
    ACLITEM = 1033, "aclitem", "aclitem", 12, 1034, 0, 'U', false;
    ACLITEM_ARRAY = 1034, "_aclitem", "aclitem[]", -1, 0, 1033, 'A', false;
    BPCHAR = 1042, "bpchar", "character", -1, 1014, 0, 'S', false;
    VARCHAR = 1043, "varchar", "character varying", -1, 1015, 0, 'S', false;
    DATE = 1082, "date", "date", 4, 1182, 0, 'D', false;
    TIME = 1083, "time", "time without time zone", 8, 1183, 0, 'D', false;
    TIMESTAMP = 1114, "timestamp", "timestamp without time zone", 8, 1115, 0, 'D', false;
    TIMESTAMP_ARRAY = 1115, "_timestamp", "timestamp without time zone[]", -1, 0, 1114, 'A', false;
    DATE_ARRAY = 1182, "_date", "date[]", -1, 0, 1082, 'A', false;
    TIME_ARRAY = 1183, "_time", "time without time zone[]", -1, 0, 1083, 'A', false;
    TIMESTAMPTZ = 1184, "timestamptz", "timestamp with time zone", 8, 1185, 0, 'D', true;
    TIMESTAMPTZ_ARRAY = 1185, "_timestamptz", "timestamp with time zone[]", -1, 0, 1184, 'A', false;
    INTERVAL = 1186, "interval", "interval", 16, 1187, 0, 'T', true;
    INTERVAL_ARRAY = 1187, "_interval", "interval[]", -1, 0, 1186, 'A', false;
    NUMERIC_ARRAY = 1231, "_numeric", "numeric[]", -1, 0, 1700, 'A', false;
    BIT = 1560, "bit", "bit", -1, 1561, 0, 'V', false;
    BIT_ARRAY = 1561, "_bit", "bit[]", -1, 0, 1560, 'A', false;
    NUMERIC = 1700, "numeric", "numeric", -1, 1231, 0, 'N', false;
    REGPROCEDURE = 2202, "regprocedure", "regprocedure", 4, 2207, 0, 'N', false;
    REGOPER = 2203, "regoper", "regoper", 4, 2208, 0, 'N', false;
    REGOPERATOR = 2204, "regoperator", "regoperator", 4, 2209, 0, 'N', false;
    REGCLASS = 2205, "regclass", "regclass", 4, 2210, 0, 'N', false;
    REGTYPE = 2206, "regtype", "regtype", 4, 2211, 0, 'N', false;
    REGCLASS_ARRAY = 2210, "_regclass", "regclass[]", -1, 0, 2205, 'A', false;
    REGTYPE_ARRAY = 2211, "_regtype", "regtype[]", -1, 0, 2206, 'A', false;
    RECORD = 2249, "record", "record", -1, 2287, 0, 'P', false;
    CSTRING = 2275, "cstring", "cstring", -2, 1263, 0, 'P', false;
    ANY = 2276, "any", "\"any\"", 4, 0, 0, 'P', false;
    ANYARRAY = 2277, "anyarray", "anyarray", -1, 0, 0, 'P', false;
    VOID = 2278, "void", "void", 4, 0, 0, 'P', false;
    TRIGGER = 2279, "trigger", "trigger", 4, 0, 0, 'P', false;
    ANYELEMENT = 2283, "anyelement", "anyelement", 4, 0, 0, 'P', false;
    RECORD_ARRAY = 2287, "_record", "record[]", -1, 0, 2249, 'P', false;
    TXID_SNAPSHOT_ARRAY = 2949, "_txid_snapshot", "txid_snapshot[]", -1, 0, 2970, 'A', false;
    UUID = 2950, "uuid", "uuid", 16, 2951, 0, 'U', false;
    UUID_ARRAY = 2951, "_uuid", "uuid[]", -1, 0, 2950, 'A', false;
    TXID_SNAPSHOT = 2970, "txid_snapshot", "txid_snapshot", -1, 2949, 0, 'U', false;
    PG_LSN = 3220, "pg_lsn", "pg_lsn", 8, 3221, 0, 'U', false;
    TSVECTOR = 3614, "tsvector", "tsvector", -1, 3643, 0, 'U', false;
    TSQUERY = 3615, "tsquery", "tsquery", -1, 3645, 0, 'U', false;
    TSVECTOR_ARRAY = 3643, "_tsvector", "tsvector[]", -1, 0, 3614, 'A', false;
    TSQUERY_ARRAY = 3645, "_tsquery", "tsquery[]", -1, 0, 3615, 'A', false;
    REGCONFIG = 3734, "regconfig", "regconfig", 4, 3735, 0, 'N', false;
    REGDICTIONARY = 3769, "regdictionary", "regdictionary", 4, 3770, 0, 'N', false;
    JSONB = 3802, "jsonb", "jsonb", -1, 3807, 0, 'U', false;
    JSONB_ARRAY = 3807, "_jsonb", "jsonb[]", -1, 0, 3802, 'A', false;
    JSONPATH = 4072, "jsonpath", "jsonpath", -1, 4073, 0, 'U', false;
    JSONPATH_ARRAY = 4073, "_jsonpath", "jsonpath[]", -1, 0, 4072, 'A', false;
    REGNAMESPACE = 4089, "regnamespace", "regnamespace", 4, 4090, 0, 'N', false;
    REGNAMESPACE_ARRAY = 4090, "_regnamespace", "regnamespace[]", -1, 0, 4089, 'A', false;
    REGROLE = 4096, "regrole", "regrole", 4, 4097, 0, 'N', false;
    REGCOLLATION = 4191, "regcollation", "regcollation", 4, 4192, 0, 'N', false;
    PG_SNAPSHOT = 5038, "pg_snapshot", "pg_snapshot", -1, 5039, 0, 'U', false;
    PG_SNAPSHOT_ARRAY = 5039, "_pg_snapshot", "pg_snapshot[]", -1, 0, 5038, 'A', false;
    XID8 = 5069, "xid8", "xid8", 8, 271, 0, 'U', false;
    VECTOR = 16001, "vector", "vector", -1, 16002, 0, 'U', false;
    VECTOR_ARRAY = 16002, "_vector", "vector[]", -1, 0, 16001, 'A', false;
}

impl PgType {
    pub const fn new(oid: u32) -> Self {
        PgType { oid, typmod: -1 }
    }

    pub const fn with_typmod(self, typmod: i32) -> Self {
        PgType {
            oid: self.oid,
            typmod,
        }
    }

    /// What is known of it; `None` for row types and other types made at run time.
    pub fn info(self) -> Option<&'static TypeInfo> {
        // The table is sorted by OID; a test holds it to that.
        BUILT_IN
            .binary_search_by_key(&self.oid, |info| info.oid)
            .ok()
            .map(|at| &BUILT_IN[at])
    }

    /// The element type of an array type.
    pub fn element(self) -> Option<PgType> {
        let info = self.info()?;
        self.is_array()
            .then(|| PgType::new(info.element).with_typmod(self.typmod))
    }

    /// The array type over this one.
    pub fn array(self) -> Option<PgType> {
        self.info()
            .filter(|info| info.array != 0)
            .map(|info| PgType::new(info.array).with_typmod(self.typmod))
    }

    pub fn is_array(self) -> bool {
        // To PostgreSQL an array of rows is a pseudo-type.
        self.info().is_some_and(|info| info.category == 'A') || self.oid == PgType::RECORD_ARRAY.oid
    }

    /// How values of this type lie in Arrow. One representation for each type, so that no
    /// plan ever needs to guess: strings are `Utf8`, times are in microseconds.
    pub fn arrow(self) -> DataType {
        if let Some(element) = self.element() {
            return DataType::List(Arc::new(Field::new("item", element.arrow(), true)));
        }
        match self {
            PgType { oid: 16, .. } => DataType::Boolean,
            PgType { oid: 17, .. } => DataType::Binary,
            PgType { oid: 21, .. } => DataType::Int16,
            PgType { oid: 23, .. } => DataType::Int32,
            PgType { oid: 20 | 5069, .. } => DataType::Int64,
            PgType { oid: 700, .. } => DataType::Float32,
            PgType { oid: 701, .. } => DataType::Float64,
            PgType { oid: 1082, .. } => DataType::Date32,
            PgType { oid: 1083, .. } => DataType::Time64(TimeUnit::Microsecond),
            PgType { oid: 1114, .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            PgType { oid: 1184, .. } => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            PgType { oid: 1186, .. } => DataType::Interval(IntervalUnit::MonthDayNano),
            PgType { oid: 1700, typmod } => match numeric_modifier(typmod) {
                Some((precision, scale)) if precision <= 38 => {
                    DataType::Decimal128(precision, scale)
                }
                Some((precision, scale)) => DataType::Decimal256(precision, scale),
                None => DataType::Decimal256(UNCONSTRAINED.0, UNCONSTRAINED.1),
            },
            PgType { oid: 16001, typmod } if typmod > 0 => DataType::FixedSizeList(
                Arc::new(Field::new("item", DataType::Float32, true)),
                typmod,
            ),
            PgType { oid: 16001, .. } => {
                DataType::List(Arc::new(Field::new("item", DataType::Float32, true)))
            }
            PgType {
                oid: 24 | 26 | 28 | 29 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191,
                ..
            } => DataType::UInt32,
            _ => DataType::Utf8,
        }
    }
}

/// The precision and scale of a column of `numeric` without a modifier. PostgreSQL gives each
/// value its own scale; results that are not exact have at most 20 digits after the point there.
pub const UNCONSTRAINED: (u8, i8) = (76, 20);

/// The precision and scale that a `numeric` modifier stands for.
pub fn numeric_modifier(typmod: i32) -> Option<(u8, i8)> {
    if typmod < 4 {
        return None;
    }
    let packed = typmod - 4;
    Some((
        ((packed >> 16) & 0xffff).min(76) as u8,
        (packed & 0x7ff) as i8,
    ))
}

pub fn numeric(precision: u8, scale: i8) -> PgType {
    PgType::NUMERIC.with_typmod(((i32::from(precision) << 16) | i32::from(scale)) + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_arrays_point_back() {
        assert!(BUILT_IN.windows(2).all(|pair| pair[0].oid < pair[1].oid));
        for info in BUILT_IN
            .iter()
            .filter(|info| info.category == 'A' && info.array == 0)
        {
            if let Some(element) = PgType::new(info.element).info() {
                assert_eq!(element.array, info.oid, "{}", info.name);
            }
        }
    }
}
