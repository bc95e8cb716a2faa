//! A parameter in text format.

use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::{self, Input};
use crate::wire::message::utf8;

pub fn decode(ty: PgType, bytes: &[u8], input: &Input<'_>) -> PgResult<ScalarValue> {
    let value = utf8(bytes)?;
    if value.contains('\0') {
        return Err(PgError::new(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    text::parse(ty, value, input)
}
