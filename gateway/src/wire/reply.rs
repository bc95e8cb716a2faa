//! Our messages, put together at the end of an output buffer.

use crate::error::{PgError, Severity};
use crate::session::protocol::{Column, CopyFormat, Notification, TransactionStatus};

/// Writes one message: `body` appends what comes after the length.
pub fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    patch_length(out, start);
}

/// Fills in a length that was left open, which counts itself.
pub(crate) fn patch_length(out: &mut [u8], start: usize) {
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Text and a zero byte; a zero byte inside would end it early and is left out.
fn text(out: &mut Vec<u8>, value: &str) {
    if value.contains('\0') {
        out.extend(value.bytes().filter(|&byte| byte != 0));
    } else {
        out.extend_from_slice(value.as_bytes());
    }
    out.push(0);
}

pub fn authentication_ok(out: &mut Vec<u8>) {
    message(out, b'R', |out| out.extend_from_slice(&0_i32.to_be_bytes()));
}

pub fn authentication_sasl(out: &mut Vec<u8>, mechanisms: &[&str]) {
    message(out, b'R', |out| {
        out.extend_from_slice(&10_i32.to_be_bytes());
        for mechanism in mechanisms {
            text(out, mechanism);
        }
        out.push(0);
    });
}

pub fn sasl_continue(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'R', |out| {
        out.extend_from_slice(&11_i32.to_be_bytes());
        out.extend_from_slice(data);
    });
}

pub fn sasl_final(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'R', |out| {
        out.extend_from_slice(&12_i32.to_be_bytes());
        out.extend_from_slice(data);
    });
}

pub fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, b'S', |out| {
        text(out, name);
        text(out, value);
    });
}

pub fn backend_key_data(out: &mut Vec<u8>, pid: i32, secret: &[u8]) {
    message(out, b'K', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(secret);
    });
}

/// `version` is major << 16 | minor, and the options are those we do not know.
pub fn negotiate_protocol_version(out: &mut Vec<u8>, version: u32, options: &[String]) {
    message(out, b'v', |out| {
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&(options.len() as u32).to_be_bytes());
        for option in options {
            text(out, option);
        }
    });
}

pub fn ready_for_query(out: &mut Vec<u8>, status: TransactionStatus) {
    message(out, b'Z', |out| {
        out.push(match status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::Open => b'T',
            TransactionStatus::Failed => b'E',
        });
    });
}

pub fn parse_complete(out: &mut Vec<u8>) {
    message(out, b'1', |_| {});
}

pub fn bind_complete(out: &mut Vec<u8>) {
    message(out, b'2', |_| {});
}

pub fn close_complete(out: &mut Vec<u8>) {
    message(out, b'3', |_| {});
}

pub fn no_data(out: &mut Vec<u8>) {
    message(out, b'n', |_| {});
}

pub fn portal_suspended(out: &mut Vec<u8>) {
    message(out, b's', |_| {});
}

pub fn empty_query(out: &mut Vec<u8>) {
    message(out, b'I', |_| {});
}

pub fn command_complete(out: &mut Vec<u8>, tag: &str) {
    message(out, b'C', |out| text(out, tag));
}

pub fn parameter_description(out: &mut Vec<u8>, oids: impl ExactSizeIterator<Item = u32>) {
    message(out, b't', |out| {
        // The protocol counts to 65,535; no statement may have more parameters.
        out.extend_from_slice(&(oids.len() as u16).to_be_bytes());
        for oid in oids {
            out.extend_from_slice(&oid.to_be_bytes());
        }
    });
}

/// `binary` says the format of each column.
pub fn row_description(out: &mut Vec<u8>, columns: &[Column], binary: impl Fn(usize) -> bool) {
    message(out, b'T', |out| {
        out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
        for (i, column) in columns.iter().enumerate() {
            text(out, &column.name);
            out.extend_from_slice(&column.table_oid.to_be_bytes());
            out.extend_from_slice(&column.attnum.to_be_bytes());
            out.extend_from_slice(&column.ty.oid.to_be_bytes());
            let length = column.ty.info().map_or(-1, |info| info.len);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&column.ty.typmod.to_be_bytes());
            out.extend_from_slice(&i16::from(binary(i)).to_be_bytes());
        }
    });
}

pub fn copy_in_response(out: &mut Vec<u8>, format: CopyFormat) {
    copy_response(out, b'G', format);
}

pub fn copy_out_response(out: &mut Vec<u8>, format: CopyFormat) {
    copy_response(out, b'H', format);
}

fn copy_response(out: &mut Vec<u8>, tag: u8, format: CopyFormat) {
    message(out, tag, |out| {
        out.push(u8::from(format.binary));
        out.extend_from_slice(&format.columns.to_be_bytes());
        for _ in 0..format.columns {
            out.extend_from_slice(&i16::from(format.binary).to_be_bytes());
        }
    });
}

pub fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    message(out, b'd', |out| out.extend_from_slice(data));
}

pub fn copy_done(out: &mut Vec<u8>) {
    message(out, b'c', |_| {});
}

pub fn notification(out: &mut Vec<u8>, notification: &Notification) {
    message(out, b'A', |out| {
        out.extend_from_slice(&notification.pid.to_be_bytes());
        text(out, &notification.channel);
        text(out, &notification.payload);
    });
}

/// ErrorResponse, or NoticeResponse for what is less than an error.
pub fn error(out: &mut Vec<u8>, error: &PgError) {
    let (tag, severity) = match error.severity {
        Severity::Error => (b'E', "ERROR"),
        Severity::Fatal => (b'E', "FATAL"),
        Severity::Warning => (b'N', "WARNING"),
        Severity::Notice => (b'N', "NOTICE"),
    };
    message(out, tag, |out| {
        let mut field = |code: u8, value: &str| {
            out.push(code);
            text(out, value);
        };
        field(b'S', severity);
        field(b'V', severity);
        field(b'C', error.code);
        field(b'M', &error.message);
        let position = error.position.map(|position| position.to_string());
        let optional = [
            (b'D', &error.detail),
            (b'H', &error.hint),
            (b'P', &position),
            (b'W', &error.context),
            (b's', &error.schema),
            (b't', &error.table),
            (b'c', &error.column),
            (b'n', &error.constraint),
        ];
        for (code, value) in optional {
            if let Some(value) = value {
                field(code, value);
            }
        }
        out.push(0);
    });
}
