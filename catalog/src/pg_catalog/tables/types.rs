//! pg_type: built-in types, and the row types of relations with the arrays over them.

use omnigraph_engine::Result;

use crate::pg_catalog::data;
use crate::pg_catalog::def::definitions;
use crate::pg_catalog::objects::Objects;
use crate::pg_catalog::oid::{NAMESPACE, OWNER, PG_CATALOG};
use crate::pg_catalog::system::function_namespace;
use crate::pg_catalog::value::{Row, Rows, row};

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        rows.push(row_type(
            table.row_type,
            &table.name,
            NAMESPACE,
            table.class,
            table.array_type,
        ))?;
        rows.push(array_type(
            table.array_type,
            &table.array_name,
            NAMESPACE,
            table.row_type,
        ))?;
    }
    Ok(())
}

pub fn of_system(rows: &mut Rows) -> Result<()> {
    for ty in data::types() {
        let [input, output, receive, send, modin, modout, analyze] = ty.functions;
        rows.push(row![
            "oid" => ty.oid,
            "typname" => ty.name,
            "typnamespace" => if ty.schema == "pg_catalog" { PG_CATALOG } else { function_namespace(ty.schema) },
            "typowner" => OWNER,
            "typlen" => ty.len,
            "typbyval" => ty.by_value,
            "typtype" => ty.kind,
            "typcategory" => ty.category,
            "typispreferred" => ty.preferred,
            "typisdefined" => true,
            "typdelim" => ty.delimiter,
            "typsubscript" => ty.subscript,
            "typelem" => ty.element,
            "typarray" => ty.array,
            "typinput" => input,
            "typoutput" => output,
            "typreceive" => receive,
            "typsend" => send,
            "typmodin" => modin,
            "typmodout" => modout,
            "typanalyze" => analyze,
            "typalign" => ty.align,
            "typstorage" => ty.storage,
            "typnotnull" => ty.not_null,
            "typbasetype" => ty.base,
            "typtypmod" => ty.typmod,
            "typcollation" => ty.collation,
            "typdefaultbin" => ty.default,
            "typdefault" => ty.default,
        ])?;
    }
    for def in &definitions().relations {
        let namespace = function_namespace(def.schema);
        rows.push(row_type(
            def.row_type,
            def.name,
            namespace,
            def.oid,
            def.array_type,
        ))?;
        if def.array_type != 0 {
            let name = format!("_{}", def.name);
            rows.push(array_type(def.array_type, &name, namespace, def.row_type))?;
        }
    }
    Ok(())
}

fn row_type(oid: u32, name: &str, namespace: u32, relation: u32, array: u32) -> Row {
    let mut entry = common(oid, name, namespace);
    entry.extend(row![
        "typtype" => 'c',
        "typcategory" => 'C',
        "typrelid" => relation,
        "typarray" => array,
        // record_in, record_out, record_recv, record_send
        "typinput" => 2290u32,
        "typoutput" => 2291u32,
        "typreceive" => 2402u32,
        "typsend" => 2403u32,
    ]);
    entry
}

fn array_type(oid: u32, name: &str, namespace: u32, element: u32) -> Row {
    let mut entry = common(oid, name, namespace);
    entry.extend(row![
        "typtype" => 'b',
        "typcategory" => 'A',
        "typelem" => element,
        // array_subscript_handler, array_in, array_out, array_recv, array_send, array_typanalyze
        "typsubscript" => 6179u32,
        "typinput" => 750u32,
        "typoutput" => 751u32,
        "typreceive" => 2400u32,
        "typsend" => 2401u32,
        "typanalyze" => 3816u32,
    ]);
    entry
}

fn common(oid: u32, name: &str, namespace: u32) -> Row {
    row![
        "oid" => oid,
        "typname" => name,
        "typnamespace" => namespace,
        "typowner" => OWNER,
        "typlen" => -1,
        "typisdefined" => true,
        "typdelim" => ',',
        "typalign" => 'd',
        "typstorage" => 'x',
        "typtypmod" => -1,
    ]
}
