//! Header fields as they travelled: order, case and duplicates kept.
//!
//! All names and values lie in one buffer (usually a slice of the raw message head) with an index of
//! spans beside it, so that keeping the headers of a message costs one reference and one small vector.

use std::fmt;

use bytes::{Bytes, BytesMut};

#[derive(Debug, Clone, Copy)]
struct Span {
    name: u32,
    name_length: u32,
    value: u32,
    value_length: u32,
}

/// An ordered list of header fields; names compare without regard to ASCII case.
#[derive(Clone, Default)]
pub struct Headers {
    text: Bytes,
    spans: Vec<Span>,
}

impl Headers {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Indexes fields that already lie in `text`.
    ///
    /// # Panics
    /// When a range lies outside `text`.
    pub fn from_ranges(text: Bytes, fields: FieldRanges) -> Self {
        assert!(fields.end <= text.len(), "a field lies in its head");
        Self { text, spans: fields.spans }
    }

    /// Bytes of all names and values, and of what lies between them.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Number of fields, duplicates counted.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The fields in the order in which they travelled.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.spans.iter().map(|span| {
            (
                &self.text[span.name as usize..(span.name + span.name_length) as usize],
                &self.text[span.value as usize..(span.value + span.value_length) as usize],
            )
        })
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first value of `name` when it is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Whether a field of that name is present.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A copy in which `decide` keeps, replaces or leaves out each field.
    #[must_use]
    pub fn map_values(&self, mut decide: impl FnMut(&[u8], &[u8]) -> FieldChange) -> Self {
        let mut out = HeadersBuilder::with_capacity(self.len(), self.text.len());
        for (name, value) in self.iter() {
            match decide(name, value) {
                FieldChange::Keep => out.push(name, value),
                FieldChange::Replace(value) => out.push(name, &value),
                FieldChange::Drop => {}
            }
        }
        out.finish()
    }
}

/// Where the fields of a head lie in its text.
#[derive(Debug, Default)]
pub struct FieldRanges {
    spans: Vec<Span>,
    end: usize,
}

impl FieldRanges {
    /// Room for `fields` fields.
    pub fn with_capacity(fields: usize) -> Self {
        Self { spans: Vec::with_capacity(fields), end: 0 }
    }

    /// Appends a field.
    ///
    /// # Panics
    /// When a range ends at 4 GiB or later.
    pub fn push(&mut self, name: std::ops::Range<usize>, value: std::ops::Range<usize>) {
        self.end = self.end.max(name.end).max(value.end);
        assert!(u32::try_from(self.end).is_ok(), "a message head is shorter than 4 GiB");
        self.spans.push(Span {
            name: name.start as u32,
            name_length: name.len() as u32,
            value: value.start as u32,
            value_length: value.len() as u32,
        });
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// What [`Headers::map_values`] does with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldChange {
    /// The field stays as it is.
    Keep,
    /// The field keeps its name and place and takes this value.
    Replace(Vec<u8>),
    /// The field is left out.
    Drop,
}

/// Collects fields into one buffer.
#[derive(Default)]
pub struct HeadersBuilder {
    text: BytesMut,
    spans: Vec<Span>,
}

impl HeadersBuilder {
    /// A builder with room for `fields` fields of `bytes` bytes in all.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { text: BytesMut::with_capacity(bytes), spans: Vec::with_capacity(fields) }
    }

    /// Appends a field.
    ///
    /// # Panics
    /// When the fields together reach 4 GiB.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let at = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        assert!(u32::try_from(self.text.len()).is_ok(), "a message head is shorter than 4 GiB");
        self.spans.push(Span {
            name: at as u32,
            name_length: name.len() as u32,
            value: (at + name.len()) as u32,
            value_length: value.len() as u32,
        });
    }

    /// The finished list.
    pub fn finish(self) -> Headers {
        Headers { text: self.text.freeze(), spans: self.spans }
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut out = HeadersBuilder::default();
        for (name, value) in fields {
            out.push(name.as_ref(), value.as_ref());
        }
        out.finish()
    }
}

/// Equal when the same fields stand in the same order, byte for byte.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

/// Shows the names only: a value may be a secret.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        [("Host", "a"), ("X-One", "1"), ("x-one", "2")].into_iter().collect()
    }

    #[test]
    fn order_case_and_duplicates_survive() {
        let names: Vec<_> = sample().iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [b"Host".to_vec(), b"X-One".to_vec(), b"x-one".to_vec()]);
        assert_eq!(sample().get_all("X-ONE").collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn ranges_of_a_raw_head_give_the_same_list() {
        let text = Bytes::from_static(b"Host: a\r\nX-One: 1\r\nx-one: 2\r\n");
        let mut fields = FieldRanges::default();
        for (name, value) in [(0..4, 6..7), (9..14, 16..17), (19..24, 26..27)] {
            fields.push(name, value);
        }
        let indexed = Headers::from_ranges(text, fields);
        assert_eq!(indexed, sample());
    }

    #[test]
    fn values_never_show_in_debug_output() {
        let headers: Headers = [("Authorization", "Bearer s3cret")].into_iter().collect();
        assert!(!format!("{headers:?}").contains("s3cret"));
    }
}
