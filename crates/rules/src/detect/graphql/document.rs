//! The heads of the operations in a GraphQL document (October 2021, section 2).
//!
//! Reads as much of the language as tells a document from any other text that has braces: search words, log
//! and metric queries, JSON. What stands inside parentheses is only balanced; nothing is held against a schema.

use mimeo_model::GraphqlKind;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 256;

/// The kind and name of each operation; `None` when the text is no executable document.
pub(super) fn operations(text: &str) -> Option<Vec<(GraphqlKind, Option<&str>)>> {
    let mut tokens = Tokens { text, at: 0 };
    let mut found = Vec::new();
    loop {
        let kind = match tokens.next()? {
            Token::End => break,
            Token::Mark(b'{') => {
                selection_set(&mut tokens)?;
                found.push((GraphqlKind::Query, None));
                continue;
            }
            Token::Name("query") => Some(GraphqlKind::Query),
            Token::Name("mutation") => Some(GraphqlKind::Mutation),
            Token::Name("subscription") => Some(GraphqlKind::Subscription),
            Token::Name("fragment") => None,
            Token::Name(_) | Token::Mark(_) | Token::Spread | Token::Value => return None,
        };
        let Head { name } = head(&mut tokens)?;
        selection_set(&mut tokens)?;
        if let Some(kind) = kind {
            found.push((kind, name));
        }
    }
    (!found.is_empty()).then_some(found)
}

struct Head<'a> {
    name: Option<&'a str>,
}

/// Reads from behind the keyword to the opening brace.
fn head<'a>(tokens: &mut Tokens<'a>) -> Option<Head<'a>> {
    let mut name = None;
    let mut first = true;
    loop {
        match tokens.next()? {
            Token::Name(word) if first => name = Some(word),
            // Directives, and the type condition of a fragment.
            Token::Name(_) | Token::Mark(b'@') => {}
            Token::Mark(b'(') => balanced(tokens)?,
            Token::Mark(b'{') => return Some(Head { name }),
            Token::Mark(_) | Token::Spread | Token::Value | Token::End => return None,
        }
        first = false;
    }
}

/// Reads from behind an opening brace to the one that closes it.
fn selection_set(tokens: &mut Tokens<'_>) -> Option<()> {
    let mut depth = 1;
    let mut opened = true;
    while depth > 0 {
        match tokens.next()? {
            Token::Name(_) | Token::Spread => {}
            // A set is not empty.
            _ if opened => return None,
            Token::Mark(b':' | b'@') => {}
            Token::Mark(b'(') => balanced(tokens)?,
            Token::Mark(b'{') if depth < MAX_DEPTH => {
                depth += 1;
                opened = true;
                continue;
            }
            Token::Mark(b'}') => depth -= 1,
            Token::Mark(_) | Token::Value | Token::End => return None,
        }
        opened = false;
    }
    Some(())
}

/// Reads from behind an opening parenthesis to the one that closes it.
fn balanced(tokens: &mut Tokens<'_>) -> Option<()> {
    let mut open = vec![b')'];
    while let Some(expected) = open.last() {
        let closing = match tokens.next()? {
            Token::Mark(b'(') => b')',
            Token::Mark(b'[') => b']',
            Token::Mark(b'{') => b'}',
            Token::Mark(mark @ (b')' | b']' | b'}')) => {
                if mark != *expected {
                    return None;
                }
                open.pop();
                continue;
            }
            Token::Mark(_) | Token::Name(_) | Token::Spread | Token::Value => continue,
            Token::End => return None,
        };
        if open.len() >= MAX_DEPTH {
            return None;
        }
        open.push(closing);
    }
    Some(())
}

/// One token (section 2.1.6).
enum Token<'a> {
    Mark(u8),
    Spread,
    Name(&'a str),
    /// A number or a string.
    Value,
    End,
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// The next token; `None` where the text is not made of tokens.
    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            let Some(byte) = bytes.get(self.at) else { return Some(Token::End) };
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => self.at += 1,
                0xef if bytes[self.at..].starts_with("\u{feff}".as_bytes()) => self.at += 3,
                b'#' => {
                    let line = bytes[self.at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    self.at = line.map_or(bytes.len(), |length| self.at + length);
                }
                _ => break,
            }
        }
        let start = self.at;
        let while_ = |from: usize, wanted: fn(u8) -> bool| {
            bytes[from..].iter().position(|byte| !wanted(*byte)).map_or(bytes.len(), |length| from + length)
        };
        let token = match bytes[start] {
            b'.' if bytes[start..].starts_with(b"...") => {
                self.at += 3;
                Token::Spread
            }
            b'"' => {
                self.at = end_of_string(bytes, start)?;
                Token::Value
            }
            b'-' | b'0'..=b'9' => {
                self.at = while_(start + 1, |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-')
                });
                Token::Value
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                self.at = while_(start, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Token::Name(&self.text[start..self.at])
            }
            mark if b"!$&():=@[]{|}".contains(&mark) => {
                self.at += 1;
                Token::Mark(mark)
            }
            _ => return None,
        };
        Some(token)
    }
}

/// The offset behind a string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let block = bytes[start..].starts_with(b"\"\"\"");
    let mut at = start + if block { 3 } else { 1 };
    loop {
        match *bytes.get(at)? {
            b'\\' if block => at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 },
            b'\\' => at += 2,
            b'"' if !block => return Some(at + 1),
            b'"' if bytes[at..].starts_with(b"\"\"\"") => return Some(at + 3),
            b'\n' | b'\r' if !block => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUERY: GraphqlKind = GraphqlKind::Query;
    const MUTATION: GraphqlKind = GraphqlKind::Mutation;
    const SUBSCRIPTION: GraphqlKind = GraphqlKind::Subscription;

    #[test]
    fn documents_tell_their_operations() {
        for (text, expected) in [
            ("{ me { id } }", vec![(QUERY, None)]),
            ("query{a}", vec![(QUERY, None)]),
            ("query Cart($id: ID! = \"}{\") @live { cart(id: $id) { id } }", vec![(QUERY, Some("Cart"))]),
            ("mutation M($a: [In!]! = [{b: 1}]) { m(a: $a, c: -1.5e3) }", vec![(MUTATION, Some("M"))]),
            ("subscription S { s @if(x: true) { ...F ... on T { b } } }", vec![(SUBSCRIPTION, Some("S"))]),
            ("# query No { a }\nfragment F on X @d { a }\n{ ...F }", vec![(QUERY, None)]),
            ("query query { query: mutation }", vec![(QUERY, Some("query"))]),
            ("query A { a } mutation B { b }", vec![(QUERY, Some("A")), (MUTATION, Some("B"))]),
            ("{ a(s: \"\"\"x \\\"\"\" } ) \"\"\", t: \"\\\"}\") }", vec![(QUERY, None)]),
            ("\u{feff}{ a, b, c }", vec![(QUERY, None)]),
        ] {
            assert_eq!(operations(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_with_words_and_braces_are_no_documents() {
        for text in [
            "",
            "shoes",
            "query words",
            "mutation testing in rust",
            "{}",
            "{ a { } }",
            "{ a",
            "{ a } }",
            "{ a(b: [1)] }",
            "{\"match\": {\"title\": \"x\"}}",
            "{job=\"varlogs\"} |= \"error\"",
            "rate(http_requests_total{code=~\"5..\"}[5m])",
            "SELECT * FROM t WHERE a = '{b}'",
            "SELECT ?s WHERE { ?s ?p ?o }",
            "MATCH (n {name: 'x'}) RETURN n",
            "type Query { a: Int }",
            "fragment F on X { a }",
            "{ a(b: \"unfinished) }",
        ] {
            assert_eq!(operations(text), None, "{text}");
        }
        assert_eq!(operations(&"{a".repeat(10_000)), None);
        assert_eq!(operations(&format!("{{a({}", "[".repeat(10_000))), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_fault(text in "([{}()\\[\\]@:=$!\"\\\\#., ä]|query|fragment|on|\"\"\"|a){0,40}") {
            let _ = operations(&text);
        }
    }
}
