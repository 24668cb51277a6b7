//! [`Value`] in PostgreSQL's binary form. The server says which type it inferred for a parameter; a value
//! that is not of that type is refused, never converted.

use crate::Value;
use bytes::{BufMut, BytesMut};
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use std::error::Error;

type Boxed = Box<dyn Error + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        match (self, ty) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Int(v), &Type::INT8) => out.put_i64(*v),
            (Value::Int(v), &Type::INT4) => out.put_i32(i32::try_from(*v)?),
            (Value::Int(v), &Type::INT2) => out.put_i16(i16::try_from(*v)?),
            (Value::Int(v @ (0 | 1)), &Type::BOOL) => out.put_u8(u8::from(*v == 1)),
            (Value::Int(v), &Type::NUMERIC) => put_numeric(*v, out),
            (Value::Real(v), &Type::FLOAT8) => out.put_f64(*v),
            (Value::Text(v), &Type::TEXT | &Type::VARCHAR | &Type::NAME | &Type::BPCHAR | &Type::UNKNOWN) => {
                out.put_slice(v.as_bytes());
            }
            (Value::Blob(v), &Type::BYTEA) => out.put_slice(v),
            (other, ty) => return Err(format!("{} given where {ty} is expected", other.kind()).into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Value, Boxed> {
        Ok(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Value::Int(bool::from_sql(ty, raw)?.into()),
            Type::NUMERIC => Value::Int(get_numeric(raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(ty, raw)?),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::BPCHAR | Type::UNKNOWN => {
                Value::Text(std::str::from_utf8(raw)?.to_owned())
            }
            Type::BYTEA => Value::Blob(raw.to_vec()),
            _ => return Err(format!("an answer of type {ty} is not in the portable subset").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Value, Boxed> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// `SUM` over BIGINT is NUMERIC here and an integer in SQLite: whole numbers are read as such.
fn get_numeric(raw: &[u8]) -> Result<i64, Boxed> {
    let short = |at: usize| -> Result<i16, Boxed> {
        let bytes = raw.get(2 * at..2 * at + 2).ok_or("a truncated NUMERIC")?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let (count, weight, sign) = (short(0)?, short(1)?, short(2)?);
    if sign != 0 && sign != 0x4000 {
        return Err("a NUMERIC that is no number".into());
    }
    let negative = sign == 0x4000;
    let mut whole: i128 = 0;
    for at in 0..i32::from(count).max(i32::from(weight) + 1) {
        let digit = if at < i32::from(count) { short(4 + usize::try_from(at)?)? } else { 0 };
        if at > i32::from(weight) {
            if digit != 0 {
                return Err("a NUMERIC with a fraction".into());
            }
        } else {
            whole = whole.checked_mul(10_000).and_then(|w| w.checked_add(digit.into())).ok_or("a NUMERIC beyond 64 bits")?;
        }
    }
    Ok(i64::try_from(if negative { -whole } else { whole })?)
}

fn put_numeric(value: i64, out: &mut BytesMut) {
    let mut digits = Vec::new();
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        // Below 10,000, so it fits.
        digits.push(u16::try_from(rest % 10_000).unwrap_or(0));
        rest /= 10_000;
    }
    digits.reverse();
    let count = u16::try_from(digits.len()).unwrap_or(0);
    out.put_u16(count);
    out.put_i16(i16::try_from(count).unwrap_or(0) - i16::from(count > 0));
    out.put_u16(if value < 0 { 0x4000 } else { 0 });
    out.put_u16(0);
    for digit in digits {
        out.put_u16(digit);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    proptest::proptest! {
        #[test]
        fn whole_numbers_survive_numeric(value: i64) {
            let mut out = BytesMut::new();
            put_numeric(value, &mut out);
            proptest::prop_assert_eq!(get_numeric(&out).unwrap(), value);
        }
    }
}
