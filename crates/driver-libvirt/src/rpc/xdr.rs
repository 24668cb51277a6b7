//! XDR (RFC 4506) as libvirt uses it: big endian, four-byte units.
//!
//! Decoding never panics and never allocates more than the message holds: what comes over a socket is not trusted,
//! not even from a daemon that runs as root.

use uuid::Uuid;

/// Longest string that libvirt sends (`REMOTE_STRING_MAX`), bytes.
pub const STRING_MAX: usize = 4_194_304;

/// A message that does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XdrError {
    /// The message ends early.
    #[error("message ends within {0}")]
    Short(&'static str),
    /// A length or discriminant is out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// A string is not UTF-8.
    #[error("string is not UTF-8")]
    Utf8,
}

type Result<T> = std::result::Result<T, XdrError>;

/// Writes XDR.
#[derive(Debug, Default, Clone)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// An empty message.
    pub fn new() -> Encoder {
        Encoder::default()
    }
    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
    /// A signed word.
    pub fn i32(&mut self, v: i32) -> &mut Self {
        self.0.extend_from_slice(&v.to_be_bytes());
        self
    }
    /// An unsigned word.
    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.0.extend_from_slice(&v.to_be_bytes());
        self
    }
    /// A signed double word (`hyper`).
    pub fn i64(&mut self, v: i64) -> &mut Self {
        self.0.extend_from_slice(&v.to_be_bytes());
        self
    }
    /// An unsigned double word.
    pub fn u64(&mut self, v: u64) -> &mut Self {
        self.0.extend_from_slice(&v.to_be_bytes());
        self
    }
    /// A double.
    pub fn f64(&mut self, v: f64) -> &mut Self {
        self.0.extend_from_slice(&v.to_be_bytes());
        self
    }
    /// Bytes of known length, padded.
    pub fn fixed(&mut self, v: &[u8]) -> &mut Self {
        self.0.extend_from_slice(v);
        self.0.resize(self.0.len() + pad(v.len()), 0);
        self
    }
    /// Bytes with their length before them.
    pub fn opaque(&mut self, v: &[u8]) -> &mut Self {
        self.u32(u32::try_from(v.len()).unwrap_or(u32::MAX)).fixed(v)
    }
    /// A string.
    pub fn string(&mut self, v: &str) -> &mut Self {
        self.opaque(v.as_bytes())
    }
    /// A string that may be absent.
    pub fn optional_string(&mut self, v: Option<&str>) -> &mut Self {
        match v {
            Some(s) => self.u32(1).string(s),
            None => self.u32(0),
        }
    }
    /// A UUID, sixteen bytes.
    pub fn uuid(&mut self, v: Uuid) -> &mut Self {
        self.fixed(v.as_bytes())
    }
    /// Typed parameters with their count.
    pub fn params(&mut self, v: &[TypedParam]) -> &mut Self {
        self.u32(u32::try_from(v.len()).unwrap_or(u32::MAX));
        for p in v {
            self.string(&p.field);
            match &p.value {
                ParamValue::Int(x) => self.i32(1).i32(*x),
                ParamValue::UInt(x) => self.i32(2).u32(*x),
                ParamValue::LLong(x) => self.i32(3).i64(*x),
                ParamValue::ULLong(x) => self.i32(4).u64(*x),
                ParamValue::Double(x) => self.i32(5).f64(*x),
                ParamValue::Boolean(x) => self.i32(6).i32(i32::from(*x)),
                ParamValue::String(x) => self.i32(7).string(x),
            };
        }
        self
    }
}

fn pad(len: usize) -> usize {
    (4 - len % 4) % 4
}

/// Reads XDR.
#[derive(Debug, Clone)]
pub struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Reads from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder(bytes)
    }
    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
    fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(XdrError::Short(what))?;
        self.0 = tail;
        Ok(head)
    }
    fn word(&mut self, what: &'static str) -> Result<[u8; 4]> {
        self.take(4, what)?.try_into().map_err(|_| XdrError::Short(what))
    }
    fn double_word(&mut self, what: &'static str) -> Result<[u8; 8]> {
        self.take(8, what)?.try_into().map_err(|_| XdrError::Short(what))
    }
    /// A signed word.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.word("a word")?))
    }
    /// An unsigned word.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.word("a word")?))
    }
    /// A signed double word.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.double_word("a double word")?))
    }
    /// An unsigned double word.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.double_word("a double word")?))
    }
    /// A double.
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.double_word("a double")?))
    }
    /// Bytes of known length, padded.
    pub fn fixed(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.take(len, "fixed bytes")?;
        self.take(pad(len), "padding")?;
        Ok(bytes)
    }
    /// Bytes with their length before them, at most `max`.
    pub fn opaque(&mut self, max: usize) -> Result<&'a [u8]> {
        let len = self.u32()? as usize;
        if len > max {
            return Err(XdrError::Range("a length"));
        }
        self.fixed(len)
    }
    /// A string.
    pub fn string(&mut self) -> Result<String> {
        let bytes = self.opaque(STRING_MAX)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| XdrError::Utf8)
    }
    /// Whether an optional value follows.
    pub fn present(&mut self) -> Result<bool> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(XdrError::Range("a pointer")),
        }
    }
    /// A string that may be absent.
    pub fn optional_string(&mut self) -> Result<Option<String>> {
        if self.present()? { self.string().map(Some) } else { Ok(None) }
    }
    /// A UUID.
    pub fn uuid(&mut self) -> Result<Uuid> {
        Uuid::from_slice(self.fixed(16)?).map_err(|_| XdrError::Range("a UUID"))
    }
    /// A counted list of at most `max` items.
    pub fn list<T>(&mut self, max: usize, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u32()? as usize;
        if count > max {
            return Err(XdrError::Range("a count"));
        }
        // No allocation by the count: a short message with a large count ends at its first missing item.
        let mut out = Vec::new();
        for _ in 0..count {
            out.push(item(self)?);
        }
        Ok(out)
    }
    /// Typed parameters.
    pub fn params(&mut self, max: usize) -> Result<Vec<TypedParam>> {
        self.list(max, |d| {
            let field = d.string()?;
            let value = match d.i32()? {
                1 => ParamValue::Int(d.i32()?),
                2 => ParamValue::UInt(d.u32()?),
                3 => ParamValue::LLong(d.i64()?),
                4 => ParamValue::ULLong(d.u64()?),
                5 => ParamValue::Double(d.f64()?),
                6 => ParamValue::Boolean(d.i32()? != 0),
                7 => ParamValue::String(d.string()?),
                _ => return Err(XdrError::Range("a parameter's type")),
            };
            Ok(TypedParam { field, value })
        })
    }
}

/// A named value (`virTypedParameter`).
#[derive(Debug, Clone, PartialEq)]
pub struct TypedParam {
    /// Name.
    pub field: String,
    /// Value.
    pub value: ParamValue,
}

/// Value of a typed parameter; the numbers on the wire are 1 to 7 in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue {
    /// 1.
    Int(i32),
    /// 2.
    UInt(u32),
    /// 3.
    LLong(i64),
    /// 4.
    ULLong(u64),
    /// 5.
    Double(f64),
    /// 6.
    Boolean(bool),
    /// 7.
    String(String),
}

impl ParamValue {
    /// The value as an unsigned number; negative ones and other kinds are none.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            ParamValue::Int(v) => u64::try_from(*v).ok(),
            ParamValue::UInt(v) => Some(u64::from(*v)),
            ParamValue::LLong(v) => u64::try_from(*v).ok(),
            ParamValue::ULLong(v) => Some(*v),
            ParamValue::Boolean(v) => Some(u64::from(*v)),
            ParamValue::Double(_) | ParamValue::String(_) => None,
        }
    }
    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            ParamValue::String(s) => Some(s),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = ParamValue> {
        prop_oneof![
            any::<i32>().prop_map(ParamValue::Int),
            any::<u32>().prop_map(ParamValue::UInt),
            any::<i64>().prop_map(ParamValue::LLong),
            any::<u64>().prop_map(ParamValue::ULLong),
            (-1e9f64..1e9).prop_map(ParamValue::Double),
            any::<bool>().prop_map(ParamValue::Boolean),
            ".{0,40}".prop_map(ParamValue::String),
        ]
    }

    proptest! {
        #[test]
        fn scalars_and_texts_come_back(a in any::<i32>(), b in any::<u64>(), s in ".{0,60}", o in proptest::option::of(".{0,9}"),
                                       bytes in proptest::collection::vec(any::<u8>(), 0..70), id in any::<u128>()) {
            let mut e = Encoder::new();
            e.i32(a).u64(b).string(&s).optional_string(o.as_deref()).opaque(&bytes).uuid(Uuid::from_u128(id));
            let raw = e.into_bytes();
            prop_assert_eq!(raw.len() % 4, 0);
            let mut d = Decoder::new(&raw);
            prop_assert_eq!(d.i32().unwrap(), a);
            prop_assert_eq!(d.u64().unwrap(), b);
            prop_assert_eq!(d.string().unwrap(), s);
            prop_assert_eq!(d.optional_string().unwrap(), o);
            prop_assert_eq!(d.opaque(100).unwrap(), &bytes[..]);
            prop_assert_eq!(d.uuid().unwrap(), Uuid::from_u128(id));
            prop_assert!(d.rest().is_empty());
        }

        #[test]
        fn parameters_come_back(list in proptest::collection::vec(("[a-z.0-9]{0,20}", value()), 0..12)) {
            let list: Vec<TypedParam> = list.into_iter().map(|(field, value)| TypedParam { field, value }).collect();
            let mut e = Encoder::new();
            e.params(&list);
            let raw = e.into_bytes();
            prop_assert_eq!(Decoder::new(&raw).params(16).unwrap(), list);
        }

        #[test]
        fn cut_messages_are_errors(list in proptest::collection::vec(("[a-z]{1,9}", value()), 1..6), cut in any::<prop::sample::Index>()) {
            let list: Vec<TypedParam> = list.into_iter().map(|(field, value)| TypedParam { field, value }).collect();
            let mut e = Encoder::new();
            e.params(&list);
            let raw = e.into_bytes();
            let at = cut.index(raw.len());
            prop_assert!(Decoder::new(&raw[..at]).params(16).is_err());
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Decoder::new(&bytes).params(4096);
            let _ = Decoder::new(&bytes).optional_string();
            let _ = Decoder::new(&bytes).opaque(STRING_MAX);
            let _ = Decoder::new(&bytes).uuid();
            let _ = Decoder::new(&bytes).list(16384, |d| d.string());
        }
    }
}
