//! The headers that tell recordings of one request apart.
//!
//! They choose among recordings and are no part of a request's identity, but for what would make an answer
//! wrong: a part of a file answers only who asks for that part, "not modified" only who has what was not
//! modified, and the answer to one operation never answers another.

use mimeo_model::Headers;

/// Lower-case names, those that weigh more first.
pub(crate) const NAMES: [&str; COUNT] = [
    "range",
    "x-amz-target",
    "soapaction",
    "accept",
    "accept-language",
    "content-type",
    "if-none-match",
    "if-modified-since",
    "depth",
];

const COUNT: usize = 9;
const RANGE: usize = 0;
const OPERATIONS: [usize; 2] = [1, 2];
const CONDITIONS: [usize; 2] = [6, 7];

/// What the responses of recordings promise, as far as it binds them to a request's headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Promise {
    /// A part of a representation, or that there is no such part (RFC 9110, sections 15.3.7 and 15.5.17).
    pub(crate) partial: bool,
    /// That the client's copy is still good (RFC 9110, section 15.4.5).
    pub(crate) unmodified: bool,
}

impl Promise {
    pub(crate) fn of_status(status: u16) -> Self {
        Self { partial: matches!(status, 206 | 416), unmodified: status == 304 }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self { partial: self.partial || other.partial, unmodified: self.unmodified || other.unmodified }
    }
}

/// The values of the selecting headers of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Selecting<'a>([Option<&'a [u8]>; COUNT]);

impl<'a> Selecting<'a> {
    /// Takes the first value of each.
    pub(crate) fn of(headers: &'a Headers) -> Self {
        let mut values = [None; COUNT];
        for (name, value) in headers.iter() {
            let Some(at) = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes())) else {
                continue;
            };
            if values[at].is_none() {
                values[at] = Some(if NAMES[at] == "content-type" { without_boundary(value) } else { value });
            }
        }
        Self(values)
    }

    /// How well a request fits a recording: one bit for each equal value, in order of weight.
    pub(crate) fn likeness(&self, other: &Self) -> u32 {
        self.0.iter().zip(&other.0).fold(0, |sum, (one, other)| sum << 1 | u32::from(one == other))
    }

    /// The first header, by name, that forbids a recording to answer this request.
    pub(crate) fn forbidden_by(&self, recorded: &Self, promise: Promise) -> Option<usize> {
        let differs = |at: usize| recorded.0[at].is_some() && self.0[at] != recorded.0[at];
        let other_operation = |at: usize| match (self.0[at], recorded.0[at]) {
            (Some(asked), Some(kept)) => unquoted(asked) != unquoted(kept),
            (None, _) | (_, None) => false,
        };
        if promise.partial && differs(RANGE) {
            return Some(RANGE);
        }
        OPERATIONS
            .into_iter()
            .find(|at| other_operation(*at))
            .or_else(|| CONDITIONS.into_iter().find(|at| promise.unmodified && differs(*at)))
    }

    /// The value of one of [`NAMES`].
    pub(crate) fn value(&self, at: usize) -> Option<&'a [u8]> {
        self.0[at]
    }
}

/// `SOAPAction` is written with and without quotes (SOAP 1.1, section 6.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// A multipart type without its boundary, which is drawn anew for every request.
fn without_boundary(value: &[u8]) -> &[u8] {
    if !value.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/")) {
        return value;
    }
    value.split(|byte| *byte == b';').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u16 = 200;

    #[test]
    fn answers_that_would_be_wrong_are_forbidden() {
        for (asked, recorded, status, forbidden) in [
            (None, Some(("Range", "bytes=0-1")), 206, Some("range")),
            (Some(("range", "bytes=0-9")), Some(("Range", "bytes=0-1")), 206, Some("range")),
            (Some(("range", "bytes=0-1")), Some(("Range", "bytes=0-1")), 206, None),
            (Some(("range", "bytes=0-9")), Some(("Range", "bytes=0-1")), WHOLE, None),
            (Some(("range", "bytes=0-9")), None, WHOLE, None),
            (None, Some(("if-none-match", "a")), 304, Some("if-none-match")),
            (Some(("if-none-match", "b")), Some(("if-none-match", "a")), 304, Some("if-none-match")),
            (Some(("if-none-match", "b")), Some(("if-none-match", "a")), WHOLE, None),
            (None, Some(("if-modified-since", "x")), 304, Some("if-modified-since")),
            (Some(("X-Amz-Target", "A.Get")), Some(("x-amz-target", "A.Put")), WHOLE, Some("x-amz-target")),
            (Some(("SOAPAction", "\"get\"")), Some(("SOAPAction", "get")), WHOLE, None),
            (None, Some(("SOAPAction", "get")), WHOLE, None),
            (Some(("accept", "a")), Some(("accept", "b")), WHOLE, None),
        ] {
            let asked: Headers = asked.into_iter().collect();
            let recorded: Headers = recorded.into_iter().collect();
            let found =
                Selecting::of(&asked).forbidden_by(&Selecting::of(&recorded), Promise::of_status(status));
            assert_eq!(found.map(|at| NAMES[at]), forbidden, "{asked:?} {recorded:?} {status}");
        }
    }

    #[test]
    fn a_boundary_tells_nothing_apart() {
        let of = |value: &'static str| -> Headers { [("content-type", value)].into_iter().collect() };
        let (one, other) = (of("multipart/form-data; boundary=a"), of("multipart/form-data; boundary=b"));
        assert_eq!(Selecting::of(&one), Selecting::of(&other));
        assert_ne!(Selecting::of(&of("text/plain; charset=a")), Selecting::of(&of("text/plain; charset=b")));
    }
}
