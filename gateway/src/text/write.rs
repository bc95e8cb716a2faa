//! Values to text.

use std::sync::Arc;

use arrow::array::ArrayRef;
use omnigraph_catalog::types::PgType;

use crate::error::PgResult;
use crate::text::bytes::put_bytea;
use crate::text::datetime_out::{put_date, put_time, put_timestamp, put_timestamptz};
use crate::text::interval_out::put_interval;
use crate::text::number::{put_f32, put_f64, put_i64, put_u64};
use crate::text::numeric::{put_decimal, put_decimal128, shown_scale};
use crate::text::view::{Cells, View, range};
use crate::text::{NoNames, ObjectNames, TextFormat};

/// Writes values as text, under the settings of a session.
#[derive(Clone)]
pub struct Formatter {
    pub format: Arc<TextFormat>,
    pub names: Arc<dyn ObjectNames>,
}

impl Default for Formatter {
    fn default() -> Self {
        Formatter {
            format: Arc::new(TextFormat::default()),
            names: Arc::new(NoNames),
        }
    }
}

impl Formatter {
    pub fn new(format: Arc<TextFormat>, names: Arc<dyn ObjectNames>) -> Self {
        Formatter { format, names }
    }

    /// One value, `None` for NULL: for casts and other places that are not hot.
    pub fn text(&self, ty: PgType, array: &ArrayRef, row: usize) -> PgResult<Option<String>> {
        let view = View::new(ty, array)?;
        if view.is_null(row) {
            return Ok(None);
        }
        let mut out = Vec::new();
        self.put(&view, row, &mut out);
        Ok(Some(String::from_utf8_lossy(&out).into_owned()))
    }

    /// Appends the text of a value that is not NULL.
    pub fn put(&self, view: &View, row: usize, out: &mut Vec<u8>) {
        let format = &*self.format;
        match &view.cells {
            Cells::Null | Cells::Void => {}
            Cells::Bool(array) => out.push(if array.value(row) { b't' } else { b'f' }),
            Cells::Int2(array) => put_i64(out, i64::from(array.value(row))),
            Cells::Int4(array) => put_i64(out, i64::from(array.value(row))),
            Cells::Int8(array) => put_i64(out, array.value(row)),
            Cells::Oid(array) => put_u64(out, u64::from(array.value(row))),
            Cells::Reg(array) => self.put_reg(view.ty, array.value(row), out),
            Cells::Float4(array) => put_f32(out, array.value(row), format.extra_float_digits),
            Cells::Float8(array) => put_f64(out, array.value(row), format.extra_float_digits),
            Cells::Decimal128(array) => {
                let (value, scale) = (array.value(row), array.scale());
                if view.ty.typmod == -1 && scale >= 16 {
                    let value = arrow::datatypes::i256::from_i128(value);
                    put_decimal(out, value, scale, shown_scale(value, scale, -1));
                } else {
                    put_decimal128(out, value, scale);
                }
            }
            Cells::Decimal256(array) => {
                let (value, scale) = (array.value(row), array.scale());
                put_decimal(out, value, scale, shown_scale(value, scale, view.ty.typmod));
            }
            Cells::Text(array)
            | Cells::Jsonb(array)
            | Cells::Uuid(array)
            | Cells::Snapshot(array)
            | Cells::Bits(array)
            | Cells::Char(array) => {
                out.extend_from_slice(array.value(row).as_bytes());
            }
            Cells::Bytea(array) => put_bytea(out, array.value(row), format.bytea_output),
            Cells::Date(array) => put_date(out, array.value(row), format),
            Cells::Time(array) => put_time(out, array.value(row)),
            Cells::Timestamp(array) => put_timestamp(out, array.value(row), format),
            Cells::TimestampTz(array) => put_timestamptz(out, array.value(row), format),
            Cells::Interval(array) => put_interval(out, array.value(row), format.interval_style),
            Cells::Array { list, elements } => self.put_array(elements, range(list, row), out),
            Cells::Words { list, elements } => {
                for (i, element) in range(list, row).enumerate() {
                    if i > 0 {
                        out.push(b' ');
                    }
                    self.put(elements, element, out);
                }
            }
            Cells::Vector { list, values } => {
                out.push(b'[');
                for (i, value) in list.range(row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    put_f32(out, values.value(value), 1);
                }
                out.push(b']');
            }
            Cells::Record(fields) => self.put_record(fields, row, out),
        }
    }

    fn put_reg(&self, ty: PgType, oid: u32, out: &mut Vec<u8>) {
        match self.names.name(ty, oid) {
            // The reg* types print no object as a hyphen.
            None if oid == 0 => out.push(b'-'),
            None => put_u64(out, u64::from(oid)),
            Some(name) => out.extend_from_slice(name.as_bytes()),
        }
    }

    fn put_array(&self, elements: &View, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
        out.push(b'{');
        let first = range.start;
        for element in range {
            if element > first {
                out.push(b',');
            }
            if elements.is_null(element) {
                out.extend_from_slice(b"NULL");
                continue;
            }
            let start = out.len();
            self.put(elements, element, out);
            // A nested array (vectors, records apart) needs no quotes.
            if !matches!(elements.cells, Cells::Array { .. }) && needs_quotes(&out[start..]) {
                quote(out, start, |byte| matches!(byte, b'"' | b'\\'), b'\\');
            }
        }
        out.push(b'}');
    }

    fn put_record(&self, fields: &[View], row: usize, out: &mut Vec<u8>) {
        out.push(b'(');
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if field.is_null(row) {
                continue;
            }
            let start = out.len();
            self.put(field, row, out);
            let special = |byte: &u8| {
                matches!(byte, b'"' | b'\\' | b'(' | b')' | b',')
                    || byte.is_ascii_whitespace()
                    || *byte == 0x0b
            };
            if out.len() == start || out[start..].iter().any(special) {
                // Records double what arrays escape with a backslash.
                quote(out, start, |byte| byte == b'"', b'"');
                let end = out.len();
                double_backslashes(out, start, end);
            }
        }
        out.push(b')');
    }
}

/// Must an array's element be quoted to read back the same?
fn needs_quotes(text: &[u8]) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case(b"null")
        || text.iter().any(|byte| {
            matches!(
                byte,
                b'{' | b'}' | b'"' | b'\\' | b',' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c
            )
        })
}

/// Puts double quotes around what follows `start`, and `escape` before each special byte.
fn quote(out: &mut Vec<u8>, start: usize, special: impl Fn(u8) -> bool, escape: u8) {
    let text = out.split_off(start);
    out.push(b'"');
    for byte in text {
        if special(byte) {
            out.push(escape);
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn double_backslashes(out: &mut Vec<u8>, start: usize, end: usize) {
    if out[start..end].contains(&b'\\') {
        let text = out.split_off(start);
        for byte in text {
            if byte == b'\\' {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Decimal128Array, FixedSizeListArray, Float32Array, Int16Array, Int32Array,
        Int64Array, ListArray, StringArray, StructArray, UInt32Array,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field, Float32Type, Int32Type};

    use super::*;
    use crate::error::PgError;

    fn text(ty: PgType, array: ArrayRef) -> String {
        Formatter::default()
            .text(ty, &array, 0)
            .expect("a view")
            .expect("not null")
    }

    fn list(values: ArrayRef) -> ArrayRef {
        let field = Arc::new(Field::new("item", values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(field, offsets, values, None))
    }

    #[test]
    fn plain_values() {
        assert_eq!(
            text(PgType::BOOL, Arc::new(BooleanArray::from(vec![true]))),
            "t"
        );
        assert_eq!(
            text(PgType::INT8, Arc::new(Int64Array::from(vec![i64::MIN]))),
            "-9223372036854775808"
        );
        let u64_view = Decimal128Array::from(vec![18_446_744_073_709_551_615]);
        let u64_view = u64_view.with_precision_and_scale(20, 0).expect("fits");
        let ty = omnigraph_catalog::types::numeric(20, 0);
        assert_eq!(text(ty, Arc::new(u64_view)), "18446744073709551615");
        let money = Decimal128Array::from(vec![-5])
            .with_precision_and_scale(10, 2)
            .expect("fits");
        assert_eq!(
            text(omnigraph_catalog::types::numeric(10, 2), Arc::new(money)),
            "-0.05"
        );
    }

    #[test]
    fn arrays_quote_what_would_read_back_differently() {
        let values = StringArray::from(vec![
            Some("plain"),
            Some("a b"),
            Some(""),
            Some("NULL"),
            None,
            Some("q\"\\"),
            Some("x,y"),
            Some("{"),
        ]);
        assert_eq!(
            text(PgType::TEXT_ARRAY, list(Arc::new(values))),
            r#"{plain,"a b","","NULL",NULL,"q\"\\","x,y","{"}"#
        );
        assert_eq!(
            text(
                PgType::INT4_ARRAY,
                list(Arc::new(Int32Array::from(vec![1, -2])))
            ),
            "{1,-2}"
        );
        assert_eq!(
            text(
                PgType::INT2VECTOR,
                list(Arc::new(Int16Array::from(vec![1, 2, 3])))
            ),
            "1 2 3"
        );
        let empty: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(
            Vec::<Option<i32>>::new(),
        )]));
        assert_eq!(text(PgType::INT4_ARRAY, empty), "{}");
    }

    #[test]
    fn vectors_are_written_as_pgvector_writes_them() {
        let vector: ArrayRef = Arc::new(
            FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
                [Some([Some(1.0), Some(-0.5), Some(1e6)])],
                3,
            ),
        );
        assert_eq!(
            text(PgType::VECTOR.with_typmod(3), vector),
            "[1,-0.5,1e+06]"
        );
        assert_eq!(
            text(
                PgType::VECTOR,
                list(Arc::new(Float32Array::from(vec![0.1])))
            ),
            "[0.1]"
        );
    }

    #[test]
    fn records_quote_their_fields() {
        let record: ArrayRef = Arc::new(StructArray::from(vec![
            (
                Arc::new(Field::new("a", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec!["x y\"\\"])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("b", DataType::Int32, true)),
                Arc::new(Int32Array::from(vec![None])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("c", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec![""])) as ArrayRef,
            ),
        ]));
        assert_eq!(text(PgType::RECORD, record), r#"("x y""\\",,"")"#);
    }

    #[test]
    fn object_identifiers_print_as_names_where_there_is_one() {
        struct One;
        impl ObjectNames for One {
            fn name(&self, ty: PgType, oid: u32) -> Option<String> {
                (ty == PgType::REGCLASS && oid == 7).then(|| "person".to_owned())
            }
            fn oid(&self, _: PgType, _: &str) -> Result<u32, PgError> {
                Ok(7)
            }
        }
        let formatter = Formatter::new(Arc::default(), Arc::new(One));
        let array: ArrayRef = Arc::new(UInt32Array::from(vec![7, 8, 0]));
        let shown = |ty, row| {
            formatter
                .text(ty, &array, row)
                .expect("a view")
                .expect("not null")
        };
        assert_eq!(shown(PgType::REGCLASS, 0), "person");
        assert_eq!(shown(PgType::REGCLASS, 1), "8");
        assert_eq!(shown(PgType::REGCLASS, 2), "-");
        assert_eq!(shown(PgType::OID, 0), "7");
    }

    #[test]
    fn another_representation_is_converted_and_nonsense_is_an_internal_error() {
        let wide: ArrayRef = Arc::new(arrow::array::LargeStringArray::from(vec!["a"]));
        assert_eq!(text(PgType::TEXT, wide), "a");
        let record: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        assert_eq!(
            Formatter::default()
                .text(PgType::DATE, &record, 0)
                .unwrap_err()
                .code,
            "XX000"
        );
    }
}
