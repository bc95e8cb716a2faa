//! Every type in both formats, against what PostgreSQL 15 prints and sends.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field};
use omnigraph_catalog::types::{PgType, numeric};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Client, bind, execute, parse, row, sync};
use crate::session::protocol::Column;
use crate::text::{Input, NoNames, TextFormat};
use crate::wire::rows::{Formats, RowEncoder};
use crate::wire::{decode_binary, decode_text};

/// Type, text in, text out, binary in hexadecimal.
#[rustfmt::skip]
fn table() -> Vec<(PgType, &'static str, &'static str, &'static str)> {
    vec![
        (PgType::BOOL, "t", "t", "01"),
        (PgType::BYTEA, r#"\x00ff61"#, r#"\x00ff61"#, "00ff61"),
        (PgType::CHAR, "x", "x", "78"),
        (PgType::NAME, "a name", "a name", "61206e616d65"),
        (PgType::INT2, "-32768", "-32768", "8000"),
        (PgType::INT4, "2147483647", "2147483647", "7fffffff"),
        (PgType::INT8, "-9223372036854775808", "-9223372036854775808", "8000000000000000"),
        (PgType::OID, "4294967295", "4294967295", "ffffffff"),
        (PgType::FLOAT4, "-1.5e-10", "-1.5e-10", "af24ed3f"),
        (PgType::FLOAT8, "1.7976931348623157e308", "1.7976931348623157e+308", "7fefffffffffffff"),
        (PgType::FLOAT8, "NaN", "NaN", "7ff8000000000000"),
        (PgType::TEXT, "a 'b' ü", "a 'b' ü", "612027622720c3bc"),
        (PgType::VARCHAR, "v", "v", "76"),
        (PgType::BPCHAR, "c", "c", "63"),
        (PgType::JSON, r#"{"a": 1}"#, r#"{"a": 1}"#, "7b2261223a20317d"),
        (PgType::JSONB, r#"{"bb": 1, "a": [1, 2]}"#, r#"{"a": [1, 2], "bb": 1}"#, "017b2261223a205b312c20325d2c20226262223a20317d"),
        (PgType::DATE, "2024-02-29", "2024-02-29", "00002279"),
        (PgType::DATE, "1999-12-31", "1999-12-31", "ffffffff"),
        (PgType::DATE, "infinity", "infinity", "7fffffff"),
        (PgType::DATE, "4713-01-01 BC", "4713-01-01 BC", "ffda97cd"),
        (PgType::TIME, "23:59:59.999999", "23:59:59.999999", "000000141dd75fff"),
        (PgType::TIMESTAMP, "1900-01-01 00:00:00.000001", "1900-01-01 00:00:00.000001", "fff4c9ee7c0b8001"),
        (PgType::TIMESTAMP, "-infinity", "-infinity", "8000000000000000"),
        (PgType::TIMESTAMPTZ, "2024-07-01 12:00:00+02", "2024-07-01 10:00:00+00", "0002bf2b6dcbe800"),
        (PgType::INTERVAL, "-1 mons +2 days 03:04:05.678", "-1 mons +2 days 03:04:05.678", "00000002925fabb000000002ffffffff"),
        (PgType::UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
        (PgType::BIT, "1011", "1011", "00000004b0"),
        (PgType::REGTYPE, "23", "23", "00000017"),
        (PgType::REGCLASS, "4000000000", "4000000000", "ee6b2800"),
        (PgType::INT2VECTOR, "1 -2 3", "1 -2 3", "000000010000000000000015000000030000000000000002000100000002fffe000000020003"),
        (PgType::OIDVECTOR, "1 2", "1 2", "00000001000000000000001a000000020000000000000004000000010000000400000002"),
        (PgType::INT2VECTOR, "", "", "0000000100000000000000150000000000000000"),
        (PgType::INT4_ARRAY, "{1,NULL,3}", "{1,NULL,3}", "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003"),
        (PgType::TEXT_ARRAY, r#"{a,"b c",""}"#, r#"{a,"b c",""}"#, "000000010000000000000019000000030000000100000001610000000362206300000000"),
        (PgType::INT8_ARRAY, "{}", "{}", "000000000000000000000014"),
        (PgType::BOOL_ARRAY, "{t,f}", "{t,f}", "000000010000000000000010000000020000000100000001010000000100"),
        (PgType::UUID_ARRAY, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "000000010000000000000b86000000010000000100000010a0eebc999c0b4ef8bb6d6bb9bd380a11"),
        (PgType::TIMESTAMPTZ_ARRAY, r#"{"2024-02-29 13:14:15+00"}"#, r#"{"2024-02-29 13:14:15+00"}"#, "0000000100000000000004a00000000100000001000000080002b583ce01f7c0"),
        (PgType::JSONB_ARRAY, r#"{"{\"a\": 1}"}"#, r#"{"{\"a\": 1}"}"#, "000000010000000000000eda000000010000000100000009017b2261223a20317d"),
        (PgType::DATE_ARRAY, "{2024-02-29}", "{2024-02-29}", "00000001000000000000043a00000001000000010000000400002279"),
        (PgType::FLOAT8_ARRAY, "{0.1,-Infinity}", "{0.1,-Infinity}", "0000000100000000000002bd0000000200000001000000083fb999999999999a00000008fff0000000000000"),
        (PgType::NAME_ARRAY, "{a,b}", "{a,b}", "000000010000000000000013000000020000000100000001610000000162"),
        (PgType::BYTEA_ARRAY, r#"{"\\x00"}"#, r#"{"\\x00"}"#, "00000001000000000000001100000001000000010000000100"),
        (numeric(20, 0), "18446744073709551615", "18446744073709551615", "000500040000000007341a5802e103bb064f"),
        (numeric(10, 2), "-12345678.90", "-12345678.90", "000300014000000204d2162e2328"),
        (numeric(10, 2), "0.00", "0.00", "0000000000000002"),
        (numeric(60, 5), "1234567890123456789012345678901234567890.12345", "1234567890123456789012345678901234567890.12345", "000c00090000000504d2162e23340d801ed204d2162e23340d801ed204d21388"),
        // As pgvector sends them.
        (PgType::VECTOR, "[1, -2.5]", "[1,-2.5]", "000200003f800000c0200000"),
        (PgType::VECTOR.with_typmod(2), "[1,-2.5]", "[1,-2.5]", "000200003f800000c0200000"),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|b| char::from(b).to_digit(16).expect("hexadecimal") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// One value through the row encoder.
fn encoded(ty: PgType, array: ArrayRef, formats: &Formats) -> Option<Vec<u8>> {
    let columns = [Column::new("c", ty)];
    let encoder =
        RowEncoder::new(&columns, formats, Arc::default(), NoNames::shared()).expect("a format");
    let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).expect("a batch");
    let mut out = Vec::new();
    encoder
        .put_row(&encoder.views(&batch).expect("views"), 0, &mut out)
        .expect("a row");
    assert_eq!(out[0], b'D');
    assert_eq!(out[1..5], ((out.len() - 1) as u32).to_be_bytes());
    row(&out[5..]).remove(0)
}

#[test]
fn text_and_binary_are_postgresqls_in_both_directions() {
    let format = TextFormat::default();
    let input = Input {
        format: &format,
        names: &NoNames,
        now: 0,
    };
    for (ty, text, printed, binary) in table() {
        let from_text = decode_text::decode(ty, text.as_bytes(), &input).expect(text);
        let from_binary = decode_binary::decode(ty, &unhex(binary), &input, 1).expect(text);
        for value in [from_text, from_binary] {
            assert_eq!(value.data_type(), ty.arrow(), "{text}");
            let array = value.to_array().expect("an array");
            let as_text = encoded(ty, Arc::clone(&array), &Formats::Text).expect("not null");
            assert_eq!(String::from_utf8_lossy(&as_text), printed, "{ty:?} {text}");
            let as_binary = encoded(ty, array, &Formats::Binary).expect("not null");
            assert_eq!(hex(&as_binary), binary, "{ty:?} {text}");
        }
    }
}

#[test]
fn nulls_of_every_type_are_nulls() {
    for (ty, ..) in table() {
        let null = crate::text::read::null(ty)
            .expect("a null")
            .to_array()
            .expect("an array");
        assert_eq!(
            encoded(ty, Arc::clone(&null), &Formats::Text),
            None,
            "{ty:?}"
        );
        assert_eq!(encoded(ty, null, &Formats::Binary), None, "{ty:?}");
    }
}

/// Every cut and every changed byte of every binary value is a value or an error, no panic.
#[test]
fn damaged_binary_values_are_errors_at_worst() {
    let format = TextFormat::default();
    let input = Input {
        format: &format,
        names: &NoNames,
        now: 0,
    };
    for (ty, text, _, binary) in table() {
        let bytes = unhex(binary);
        for end in 0..bytes.len() {
            let _ = decode_binary::decode(ty, &bytes[..end], &input, 1);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                if let Ok(value) = decode_binary::decode(ty, &damaged, &input, 1) {
                    let array = value.to_array().expect("an array");
                    encoded(ty, Arc::clone(&array), &Formats::Text)
                        .unwrap_or_else(|| panic!("{text}"));
                }
            }
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        if let Err(error) = decode_binary::decode(ty, &longer, &input, 1) {
            assert!(
                ["22P03", "22021", "22P02"].contains(&error.code),
                "{ty:?}: {error:?}"
            );
        }
    }
}

#[test]
fn records_and_void_have_both_forms() {
    let record: ArrayRef = Arc::new(StructArray::from(vec![
        (
            Arc::new(Field::new("a", DataType::Int32, true)),
            Arc::new(arrow::array::Int32Array::from(vec![1])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("b", DataType::Utf8, true)),
            Arc::new(arrow::array::StringArray::from(vec![None::<&str>])) as ArrayRef,
        ),
    ]));
    assert_eq!(
        encoded(PgType::RECORD, Arc::clone(&record), &Formats::Text).expect("a row"),
        b"(1,)"
    );
    assert_eq!(
        hex(&encoded(PgType::RECORD, record, &Formats::Binary).expect("a row")),
        "0000000200000017000000040000000100000019ffffffff"
    );
    let void: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![""]));
    assert_eq!(
        encoded(PgType::VOID, Arc::clone(&void), &Formats::Text).expect("void"),
        b""
    );
    assert_eq!(
        encoded(PgType::VOID, void, &Formats::Binary).expect("void"),
        b""
    );
    let columns = [Column::new("c", PgType::ACLITEM)];
    let refused = RowEncoder::new(
        &columns,
        &Formats::Binary,
        Arc::default(),
        NoNames::shared(),
    );
    assert_eq!(refused.err().map(|error| error.code), Some("42883"));
}

#[tokio::test]
async fn large_values_pass_in_both_directions() {
    let client = Client::connect().await;
    let large = vec![b'x'; 2 * 1024 * 1024];
    let messages = [
        parse("", "echo", &[PgType::TEXT.oid]),
        bind("", "", &[(0, Some(&large))], &[1]),
        execute("", 0),
        sync(),
    ];
    // The pipe is small: writing and reading have to go on at the same time.
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    let bytes = messages.concat();
    let send = async { writer.write_all(&bytes).await.expect("sent") };
    let receive = async {
        let mut seen = Vec::new();
        while !seen.ends_with(b"SELECT 1\0Z\0\0\0\x05I") {
            assert!(reader.read_buf(&mut seen).await.expect("read") > 0);
        }
        seen
    };
    let ((), seen) = tokio::join!(send, receive);
    assert!(seen.len() > large.len());
}
