//! Message heads of HTTP/1 (RFC 9112, sections 2 to 5), read strictly from their raw bytes.
//!
//! The HTTP library repairs or hides some of what must be refused, so a head is judged here before the
//! library sees it, and what is recorded (order, case, duplicates) comes from these bytes.

use bytes::Bytes;
use mimeo_model::headers::FieldRanges;
use mimeo_model::{Headers, Method, Version};

use crate::protocol::framing::{self, BodyFraming};

/// Most bytes a head may have.
pub const MAX_HEAD: usize = 64 << 10;
/// Most bytes a request target may have.
pub const MAX_TARGET: usize = 16 << 10;
/// Most header fields a message may have.
pub const MAX_FIELDS: usize = 100;

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Status to answer a refused request with.
    pub status: u16,
    /// Stable code, such as `framing.cl_and_te`.
    pub code: &'static str,
    /// One sentence for a person.
    pub detail: String,
}

impl Rejection {
    pub(crate) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }
}

/// A request head as it was received.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The request target, byte for byte.
    pub target: Bytes,
    /// Version of HTTP.
    pub version: Version,
    /// Header fields in their order.
    pub headers: Headers,
    /// How the body is framed.
    pub framing: BodyFraming,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// A response head as it was received.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: Bytes,
    /// Version of HTTP.
    pub version: Version,
    /// Header fields in their order.
    pub headers: Headers,
}

/// Finds the end of the head at the start of `bytes`: the offset after the empty line.
///
/// `scanned` bytes were looked at before without success.
pub fn find_end(bytes: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let mut at = from;
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        let line_feed = at + found;
        match &bytes[line_feed + 1..] {
            [b'\n', ..] => return Some(line_feed + 2),
            [b'\r', b'\n', ..] => return Some(line_feed + 3),
            _ => at = line_feed + 1,
        }
    }
    None
}

/// Reads a complete request head, the empty line included.
pub fn request(head: &Bytes) -> Result<RequestHead, Rejection> {
    let mut lines = Lines { head, at: 0 };
    let line = lines.next().ok_or_else(|| bad("framing.request_line", "the request line is missing"))??;
    let (method, target, version) = request_line(&head[line.0..line.1])?;
    let (target_start, target_end) = (line.0 + target.0, line.0 + target.1);
    if target_end - target_start > MAX_TARGET {
        return Err(Rejection::new(
            414,
            "head.target_too_long",
            format!("the request target is longer than {MAX_TARGET} bytes"),
        ));
    }
    let headers = fields(head, lines.at)?;
    let framing = framing::of_request(version, &headers)?;
    check_host(version, &method, &head[target_start..target_end], &headers)?;
    let mut expects_continue = false;
    for value in headers.get_all("expect") {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Rejection::new(417, "request.expectation", "only `Expect: 100-continue` can be met"));
        }
        expects_continue = version >= Version::Http11;
    }
    Ok(RequestHead {
        method,
        target: head.slice(target_start..target_end),
        version,
        headers,
        framing,
        expects_continue,
    })
}

/// Reads a complete response head, the empty line included.
pub fn response(head: &Bytes) -> Result<ResponseHead, Rejection> {
    let mut lines = Lines { head, at: 0 };
    let line = lines.next().ok_or_else(|| bad("framing.status_line", "the status line is missing"))??;
    let text = &head[line.0..line.1];
    let version = match text.get(..9) {
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        _ => {
            return Err(bad(
                "framing.status_line",
                "the response does not begin with `HTTP/1.1 ` or `HTTP/1.0 `",
            ));
        }
    };
    let digits = text.get(9..12).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let status =
        digits.map_or(0, |digits| digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')));
    if status < 100 || !matches!(text.get(12), None | Some(b' ')) {
        return Err(bad("framing.status", "the status code is not three digits from 100 to 999"));
    }
    let reason = line.0 + 13.min(text.len());
    if !is_text(&head[reason..line.1]) {
        return Err(bad("framing.status_line", "the reason phrase has a control character"));
    }
    let headers = fields(head, lines.at)?;
    Ok(ResponseHead { status, reason: head.slice(reason..line.1), version, headers })
}

/// Reads trailer fields: lines up to and including the empty line.
pub fn trailers(section: &Bytes) -> Result<Headers, Rejection> {
    fields(section, 0)
}

type Range = (usize, usize);

fn request_line(line: &[u8]) -> Result<(Method, Range, Version), Rejection> {
    let malformed = || bad("framing.request_line", "the request line is not `METHOD target HTTP/1.1`");
    let first = memchr::memchr(b' ', line).ok_or_else(malformed)?;
    let last = memchr::memrchr(b' ', line).filter(|last| *last > first + 1).ok_or_else(malformed)?;
    let version = match &line[last + 1..] {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        b"HTTP/3.0" => {
            return Err(Rejection::new(
                505,
                "request.version",
                "HTTP/3 does not travel over this connection",
            ));
        }
        _ => return Err(bad("framing.version", "the version is not `HTTP/1.1` or `HTTP/1.0`")),
    };
    let target = (first + 1, last);
    if !is_target(&line[target.0..target.1]) {
        return Err(bad("framing.target", "the request target has a space or control character"));
    }
    if memchr::memchr(b'#', &line[target.0..target.1]).is_some() {
        return Err(bad("framing.target", "a fragment does not belong into a request target"));
    }
    let method =
        Method::new(&line[..first]).ok_or_else(|| bad("framing.method", "the method is not a token"))?;
    if first > 64 {
        return Err(bad("framing.method", "the method is longer than 64 bytes"));
    }
    Ok((method, target, version))
}

/// Reads header fields from `at` to the empty line.
fn fields(head: &Bytes, mut at: usize) -> Result<Headers, Rejection> {
    let mut found = FieldRanges::with_capacity(16);
    while !head[at..].starts_with(b"\r\n") && at < head.len() {
        if found.len() == MAX_FIELDS {
            return Err(Rejection::new(
                431,
                "head.too_many_fields",
                format!("the message has more than {MAX_FIELDS} header fields"),
            ));
        }
        let field = match plain_field(head, at) {
            Some(field) => field,
            None => odd_field(head, at)?,
        };
        found.push(field.name, field.value);
        at = field.end;
    }
    Ok(Headers::from_ranges(head.clone(), found))
}

/// Where one field lies, and the next begins.
struct Field {
    name: std::ops::Range<usize>,
    value: std::ops::Range<usize>,
    end: usize,
}

/// Reads a field in one pass; `None` when there is anything about it to look at more closely.
fn plain_field(head: &[u8], start: usize) -> Option<Field> {
    let colon = start + head[start..].iter().position(|byte| !TOKEN[*byte as usize])?;
    if colon == start || head[colon] != b':' {
        return None;
    }
    let line_end = colon + 1 + find_control(&head[colon + 1..]);
    if head.get(line_end..line_end + 2) != Some(b"\r\n") {
        return None;
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut value = colon + 1..line_end;
    while head[value.clone()].first().is_some_and(is_space) {
        value.start += 1;
    }
    while head[value.clone()].last().is_some_and(is_space) {
        value.end -= 1;
    }
    Some(Field { name: start..colon, value, end: line_end + 2 })
}

/// Reads a field slowly and says what is wrong with it.
fn odd_field(head: &[u8], start: usize) -> Result<Field, Rejection> {
    let line = Lines { head, at: start }.next();
    let (start, end) = line.ok_or_else(|| bad("framing.bare_lf", "a line does not end"))??;
    let text = &head[start..end];
    if matches!(text.first(), Some(b' ' | b'\t')) {
        return Err(bad("framing.obs_fold", "a header line begins with white space"));
    }
    let colon =
        memchr::memchr(b':', text).ok_or_else(|| bad("framing.field", "a header line has no colon"))?;
    let name = &text[..colon];
    if !is_token(name) {
        return Err(bad(
            "framing.field_name",
            if name.last().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
                "there is white space between a header name and its colon"
            } else {
                "a header name is empty or not a token"
            },
        ));
    }
    Err(bad("framing.field_value", "a header value has a control character"))
}

/// Offset of the first control character but the tab, or the length.
fn find_control(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    while at < bytes.len() {
        if let Some(eight) = bytes[at..].first_chunk::<8>() {
            let word = u64::from_ne_bytes(*eight);
            let low = word.wrapping_sub(ONES * 0x20) & !word;
            let delete = word ^ (ONES * 0x7f);
            let delete = delete.wrapping_sub(ONES) & !delete;
            if (low | delete) & HIGH == 0 {
                at += 8;
                continue;
            }
        }
        let few = bytes[at..].len().min(8);
        match bytes[at..at + few].iter().position(|byte| is_forbidden(*byte)) {
            Some(found) => return at + found,
            None => at += few,
        }
    }
    bytes.len()
}

/// RFC 9112, section 3.2: one valid `Host`, equal to the authority of an absolute target.
fn check_host(version: Version, method: &Method, target: &[u8], headers: &Headers) -> Result<(), Rejection> {
    let mut hosts = headers.get_all("host");
    let Some(host) = hosts.next() else {
        return if version >= Version::Http11 {
            Err(bad("framing.host_missing", "an HTTP/1.1 request needs a `Host`"))
        } else {
            Ok(())
        };
    };
    if hosts.next().is_some() {
        return Err(bad("framing.host_repeated", "the request has more than one `Host`"));
    }
    if host.iter().any(|byte| *byte <= b' ' || NOT_IN_HOST[*byte as usize]) {
        return Err(bad("framing.host", "the `Host` is not a host with an optional port"));
    }
    // Only an absolute target begins with a scheme; `://` inside a path or query says nothing.
    let authority = if *method == Method::CONNECT {
        Some(target)
    } else if target.starts_with(b"/") {
        None
    } else {
        target.windows(3).position(|window| window == b"://").map(|at| {
            let rest = &target[at + 3..];
            let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
            let authority = &rest[..end];
            memchr::memrchr(b'@', authority).map_or(authority, |at| &authority[at + 1..])
        })
    };
    match authority {
        Some(authority) if !same_authority(authority, host) => {
            Err(bad("framing.host_mismatch", "the `Host` differs from the authority of the request target"))
        }
        _ => Ok(()),
    }
}

/// Clients leave a default port out of `Host` or put it in; both name the same place.
fn same_authority(left: &[u8], right: &[u8]) -> bool {
    let bare = |text: &[u8]| -> Vec<u8> {
        let text = text.strip_suffix(b":80").or_else(|| text.strip_suffix(b":443")).unwrap_or(text);
        text.to_ascii_lowercase()
    };
    bare(left) == bare(right)
}

fn bad(code: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection::new(400, code, detail)
}

/// Lines ended by CRLF, as byte ranges without their ends; anything else is refused.
struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Result<Range, Rejection>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.head[self.at..];
        let end = memchr::memchr(b'\n', rest)?;
        let start = self.at;
        self.at += end + 1;
        if end == 0 || rest[end - 1] != b'\r' {
            return Some(Err(bad("framing.bare_lf", "a line ends with a bare line feed")));
        }
        if memchr::memchr(b'\r', &rest[..end - 1]).is_some() {
            return Some(Err(bad("framing.bare_cr", "a line has a bare carriage return")));
        }
        Some(Ok((start, start + end - 1)))
    }
}

/// Printable bytes that a `Host` cannot have.
const NOT_IN_HOST: [bool; 256] = marked(b"/?#@\\,\"<>^`{|}");
/// Bytes of a token (RFC 9110, section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = marked(b"!#$%&'*+-.^_`|~");
    let mut byte = 0;
    while byte < 256 {
        table[byte] |= (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

const fn marked(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| TOKEN[*byte as usize])
}

/// Whether a field can be written into a head without ending it or beginning another.
pub(crate) fn is_field(name: &[u8], value: &[u8]) -> bool {
    is_token(name) && is_text(value)
}

/// Whether a field value or reason phrase has no control character but the tab.
pub(crate) fn is_text(value: &[u8]) -> bool {
    find_control(value) == value.len()
}

/// Whether a request target has no white space and no control character.
pub fn is_target(target: &[u8]) -> bool {
    is_text(target) && memchr::memchr2(b' ', b'\t', target).is_none()
}

/// Control characters but the tab (RFC 9110, section 5.5).
fn is_forbidden(byte: u8) -> bool {
    byte < b' ' && byte != b'\t' || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RequestHead, Rejection> {
        request(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn order_case_and_duplicates_come_from_the_raw_bytes() {
        let head =
            read("GET /a?b HTTP/1.1\r\nHOST: x\r\nx-a: 1\r\nX-B:2 \r\nX-A:\t3\r\n\r\n").expect("valid");
        let fields: Vec<_> = head.headers.iter().collect();
        assert_eq!(fields, [(&b"HOST"[..], &b"x"[..]), (b"x-a", b"1"), (b"X-B", b"2"), (b"X-A", b"3")]);
        assert_eq!(&head.target[..], b"/a?b");
        assert_eq!(head.framing, BodyFraming::None);
    }

    #[test]
    fn malformed_heads_are_refused_by_name() {
        for (text, code) in [
            ("GET / HTTP/1.1\nHost: x\n\n", "framing.bare_lf"),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", "framing.bare_cr"),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "framing.obs_fold"),
            ("GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", "framing.field_name"),
            ("GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", "framing.field_name"),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n", "framing.field_value"),
            ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "framing.field"),
            ("GET / HTTP/1.1\r\n\r\n", "framing.host_missing"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "framing.host_repeated"),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "framing.host"),
            ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "framing.host_mismatch"),
            ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "framing.target"),
            ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "framing.target"),
            ("GET /\r\n\r\n", "framing.request_line"),
            ("GET / HTTP/1.32\r\nHost: x\r\n\r\n", "framing.version"),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", "framing.version"),
            ("GET / http/1.1\r\nHost: x\r\n\r\n", "framing.version"),
            ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", "request.version"),
            ("G@T / HTTP/1.1\r\nHost: x\r\n\r\n", "framing.method"),
            ("GET / HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\n\r\n", "request.expectation"),
        ] {
            assert_eq!(read(text).map(|_| ()).map_err(|rejection| rejection.code), Err(code), "{text:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(MAX_TARGET));
        assert_eq!(read(&long).map(|_| ()).map_err(|rejection| rejection.status), Err(414));
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS));
        assert_eq!(read(&many).map(|_| ()).map_err(|rejection| rejection.status), Err(431));
    }

    #[test]
    fn what_clients_really_send_is_taken() {
        for text in [
            "get /\u{e9}%zz//../ HTTP/1.1\r\nHost: x:8080\r\n\r\n",
            "GET http://A.example/ HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
            "GET /?u=http://other/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "OPTIONS * HTTP/1.0\r\n\r\n",
            "BREW / HTTP/1.1\r\nHost:\r\nX: \u{e9}\r\n\r\n",
        ] {
            assert!(read(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_split() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
        for split in 0..text.len() {
            let first = find_end(&text[..split], 0);
            let end = first.or_else(|| find_end(text, split));
            assert_eq!(end, Some(text.len() - 4), "split at {split}");
        }
    }

    #[test]
    fn response_heads_are_read() {
        let read = |text: &str| response(&Bytes::copy_from_slice(text.as_bytes()));
        let head = read("HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\n").expect("valid");
        assert_eq!((head.status, &head.reason[..]), (404, &b"Not Found"[..]));
        assert_eq!(read("HTTP/1.0 200\r\n\r\n").map(|head| head.status), Ok(200));
        for text in
            ["HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 1000 x\r\n\r\n", "ICY 200 OK\r\n\r\n", "junk\r\n\r\n"]
        {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    /// Reads fields line by line, as RFC 9112 words it.
    fn field_by_field(head: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = Vec::new();
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r\n")?;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let is_bad = |byte: &u8| *byte != b'\t' && (*byte < 0x20 || *byte == 0x7f);
            if name.is_empty()
                || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
                || value.iter().any(is_bad)
            {
                return None;
            }
            let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
            let from = value.iter().take_while(|byte| is_space(byte)).count();
            let to = value.len() - value[from..].iter().rev().take_while(|byte| is_space(byte)).count();
            found.push((name.to_vec(), value[from..to].to_vec()));
        }
        Some(found)
    }

    /// What heads are made of, and what they must not be made of.
    const PIECES: &[&[u8]] = &[
        b"\r\n",
        b"\r",
        b"\n",
        b":",
        b" ",
        b"\t",
        b"A",
        b"x-long-name",
        b"value of some length",
        b"\0",
        b"\x7f",
        b"\x1f",
        b"\xff\xfe",
        b"(",
        b"a: b\r\n",
        b"B:\tc \r\n",
        b",;=/",
    ];

    proptest::proptest! {
        #[test]
        fn the_fast_reader_takes_what_the_slow_one_takes(
            pieces in proptest::collection::vec(
                proptest::sample::select(PIECES),
                0..24,
            ),
        ) {
            let head = Bytes::from([pieces.concat().as_slice(), b"\r\n\r\n"].concat());
            let read = fields(&head, 0).ok().map(|fields| {
                fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Vec<_>>()
            });
            proptest::prop_assert_eq!(read, field_by_field(&head), "{:?}", head);
        }
    }
}
