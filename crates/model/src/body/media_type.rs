//! What a `Content-Type` says about how a body may be read (RFC 9110, section 8.3).

/// The families of media types that Mimeo tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `application/json`, `text/json` and the `+json` suffix (RFC 6839).
    Json,
    /// One JSON document a line: `application/x-ndjson`, `application/jsonl` and their kin.
    JsonLines,
    /// `text/event-stream` (WHATWG HTML, section 9.2).
    EventStream,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `text/xml`, `application/xml` and the `+xml` suffix.
    Xml,
    /// `text/html`.
    Html,
    /// Any other text.
    Text,
    /// Everything else.
    Binary,
}

impl MediaType {
    /// Reads a `Content-Type` value; parameters are ignored, an absent or unreadable value is binary.
    pub fn of(content_type: Option<&[u8]>) -> Self {
        let Some(text) = content_type.and_then(|value| std::str::from_utf8(value).ok()) else {
            return Self::Binary;
        };
        let essence = text.split(';').next().unwrap_or_default().trim();
        let is = |names: &[&str]| names.iter().any(|name| essence.eq_ignore_ascii_case(name));
        let begins = |start: &str| {
            essence.get(..start.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
        };
        let ends = |end: &str| {
            let at = essence.len().checked_sub(end.len());
            at.and_then(|at| essence.get(at..)).is_some_and(|ending| ending.eq_ignore_ascii_case(end))
        };
        if is(&["application/json", "text/json"]) || ends("+json") && !is(&["application/stream+json"]) {
            Self::Json
        } else if is(&[
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/json-lines",
            "application/x-jsonlines",
            "application/stream+json",
        ]) {
            Self::JsonLines
        } else if is(&["text/event-stream"]) {
            Self::EventStream
        } else if is(&["application/x-www-form-urlencoded"]) {
            Self::Form
        } else if is(&["text/html"]) {
            Self::Html
        } else if is(&["text/xml", "application/xml"]) || ends("+xml") {
            Self::Xml
        } else if begins("application/x-amz-json") {
            Self::Json
        } else if begins("text/")
            || is(&[
                "application/javascript",
                "application/graphql",
                "application/yaml",
                "application/x-yaml",
            ])
        {
            Self::Text
        } else {
            Self::Binary
        }
    }

    /// Whether the body is characters rather than bytes.
    pub fn is_text(self) -> bool {
        self != Self::Binary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart() {
        for (value, family) in [
            ("application/json; charset=utf-8", MediaType::Json),
            ("application/problem+json", MediaType::Json),
            ("application/x-amz-json-1.0", MediaType::Json),
            ("TEXT/EVENT-STREAM", MediaType::EventStream),
            ("application/x-ndjson", MediaType::JsonLines),
            ("Application/Stream+JSON", MediaType::JsonLines),
            ("application/Atom+XML", MediaType::Xml),
            ("text/HTML;charset=x", MediaType::Html),
            ("application/yaml", MediaType::Text),
            ("é+json", MediaType::Json),
            ("image/svg+xml", MediaType::Xml),
            ("text/plain", MediaType::Text),
            ("image/png", MediaType::Binary),
            ("", MediaType::Binary),
        ] {
            assert_eq!(MediaType::of(Some(value.as_bytes())), family, "{value}");
        }
        assert_eq!(MediaType::of(None), MediaType::Binary);
    }
}
