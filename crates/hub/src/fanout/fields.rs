//! Fields as nodes write them to one another: numbers, and bytes behind their length. Pure.
//!
//! Whoever reads believes nothing: what is cut short, or no text, reads as nothing, and no length
//! makes room for more than is there.

use bytes::{Buf, BufMut, Bytes};

/// Appends fields.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

/// Takes fields off the front. Every `Option` is `None` where the bytes do not have the field.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Bytes);

impl Writer {
    pub(crate) fn byte(mut self, byte: u8) -> Self {
        self.0.put_u8(byte);
        self
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.put_u64(number);
        self
    }

    /// Behind their length, which no payload's exceeds.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.put_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Bytes whose number the reader knows, or that go to the end.
    pub(crate) fn plain(mut self, bytes: &[u8]) -> Self {
        self.0.put_slice(bytes);
        self
    }

    /// Each of a list, behind their number.
    pub(crate) fn list<T>(
        self,
        list: impl ExactSizeIterator<Item = T>,
        one: impl Fn(Self, T) -> Self,
    ) -> Self {
        let count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        list.fold(self.plain(&count.to_be_bytes()), one)
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.into()
    }
}

impl Reader {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.0.try_get_u64().ok()
    }

    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let length = self.0.try_get_u32().ok()? as usize;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.into()).ok()
    }

    /// Exactly so many bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.0.get(..N)?.try_into().ok()?;
        self.0.advance(N);
        Some(bytes)
    }

    /// A list, as long as each item can be read. Its memory follows what is there and not what the
    /// number says.
    pub(crate) fn list<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.0.try_get_u32().ok()? as usize;
        if count > self.0.len() {
            return None;
        }
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(one(self)?);
        }
        Some(list)
    }

    /// What is left.
    pub(crate) fn rest(self) -> Bytes {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_as_they_were_written() {
        let list = ["a", "", "ö\r\n\0"];
        let written = Writer::default().byte(7).number(u64::MAX).text("x").plain(&[1, 2]);
        let written = written.list(list.iter(), |to, one| to.text(one)).plain(b"rest").finish();
        let mut reader = Reader::new(written);
        assert_eq!((reader.byte(), reader.number()), (Some(7), Some(u64::MAX)));
        assert_eq!((reader.text().as_deref(), reader.array()), (Some("x"), Some([1, 2])));
        assert_eq!(reader.list(Reader::text).unwrap(), list);
        assert_eq!(reader.rest(), "rest");
    }

    #[test]
    fn what_is_cut_short_or_lies_about_its_length_reads_as_nothing() {
        for bytes in [&b"\0\0\0"[..], b"\0\0\0\x05abcd", b"\xff\xff\xff\xffabcd"] {
            let reader = || Reader::new(Bytes::copy_from_slice(bytes));
            assert_eq!(reader().bytes(), None);
            assert_eq!(reader().list(Reader::byte), None);
        }
        assert_eq!(Reader::new(Bytes::from_static(b"\0\0\0\x01\xff")).text(), None);
        let short = || Reader::new(Bytes::from_static(b"\0\0\0"));
        assert_eq!((short().number(), short().array::<4>()), (None, None));
    }
}
