//! A captured entry as an exchange.

use bytes::Bytes;
use mimeo_model::{
    AnsweredBy, Body, Exchange, ExchangeId, Headers, Method, Request, Response, Scheme, Timestamp, Timings,
    Version,
};

use crate::coding;
use crate::failure;
use crate::headers;
use crate::import::{Import, Unusable};
use crate::instant;
use crate::json::Json;
use crate::octets;
use crate::registry::AwsCall;
use crate::target::{escaped, is_authority, is_target};

/// What is known while the entries of one file are read.
#[derive(Default)]
pub(super) struct Entries {
    /// When the recording began, for entries that have only an offset.
    began: Timestamp,
}

/// An entry whose fields are found under their documented names, or in camel case.
struct Fields {
    entry: Json,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&Json> {
        let found = self.entry.some(name);
        found.or_else(|| if name.contains('_') { self.entry.some(&camel(name)) } else { None })
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        let found = self.entry.take(name);
        found.or_else(|| if name.contains('_') { self.entry.take(&camel(name)) } else { None })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Json::text)
    }

    fn is_camel(&self) -> bool {
        ["statusCode", "requestHeaders", "requestBody", "responseBody", "latencyMs"]
            .iter()
            .any(|name| self.entry.get(name).is_some())
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut out, word| {
        let (start, rest) = word.split_at(word.len().min(1));
        out.push_str(&start.to_ascii_uppercase());
        out.push_str(rest);
        out
    })
}

impl Entries {
    /// Takes the start of the recording.
    pub(super) fn began_at(&mut self, text: Option<&str>) {
        if let Some((at, _)) = text.and_then(instant::parse) {
            self.began = at;
        }
    }

    /// Converts an entry.
    pub(super) fn read(
        &mut self,
        import: &mut Import<'_>,
        entry: Json,
    ) -> Result<(Exchange, Option<AwsCall>), Unusable> {
        if !matches!(entry, Json::Object(_)) {
            return Err(Unusable::new("", format!("the entry is {}; an object is needed", entry.sort())));
        }
        let mut fields = Fields { entry };
        if fields.is_camel() {
            import.note("fields are in camel case: read as their documented names in snake case", "");
        }
        let started_at = self.started(&fields, import);
        let call = call(&fields);
        let failure = fields.get("failure").map(|failure| failure::read(failure, "failure", import));
        let request = request(&mut fields, call.as_ref(), import)?;
        let response = match fields.get("status_code").map(Json::whole) {
            Some(Some(status @ 100..=999)) => Some(response(status as u16, &mut fields, &request, import)),
            Some(Some(0)) if failure.is_some() => None,
            Some(Some(0)) => {
                return Err(Unusable::new("status_code", "there was no answer: the status is 0"));
            }
            Some(_) => {
                return Err(Unusable::new("status_code", "it is not a status; 100 to 999 is needed"));
            }
            None => return Err(Unusable::new("", "the entry has no `status_code`")),
        };
        let carried = fields.text("id").and_then(|id| id.parse::<ExchangeId>().ok());
        let latency = fields.get("latency_ms").and_then(Json::number).and_then(instant::millis);
        let exchange = Exchange {
            id: import.id(carried, started_at),
            started_at,
            connection: fields.get("connection").and_then(Json::whole).unwrap_or(0),
            request,
            response,
            failure,
            timings: Timings { total: latency.unwrap_or_default(), ..Timings::default() },
            frames: Vec::new(),
            answered_by: AnsweredBy::Upstream,
            graphql: Vec::new(),
        };
        Ok((exchange, call))
    }

    fn started(&self, fields: &Fields, import: &mut Import<'_>) -> Timestamp {
        match fields.text("timestamp").and_then(instant::parse) {
            Some((at, zoned)) => {
                if !zoned {
                    import.note("the timestamp has no time zone: taken as UTC", "timestamp");
                }
                at
            }
            None => match fields.get("offset_ms").and_then(Json::number) {
                Some(offset) => instant::moved(self.began, offset),
                None => import.latest().max(self.began),
            },
        }
    }
}

fn call(fields: &Fields) -> Option<AwsCall> {
    let text = |name| fields.text(name).map(|text| text.chars().take(128).collect::<String>());
    let call =
        AwsCall { service: text("service").unwrap_or_default(), action: text("action").unwrap_or_default() };
    (call != AwsCall::default()).then_some(call)
}

fn request(
    fields: &mut Fields,
    call: Option<&AwsCall>,
    import: &mut Import<'_>,
) -> Result<Request, Unusable> {
    let Some(method) = fields.text("method").and_then(|text| Method::new(text.trim().as_bytes())) else {
        return Err(Unusable::new("method", "the entry has no valid method"));
    };
    let list = fields.take("request_headers_list");
    let map = fields.take("request_headers");
    let headers = headers::read(list.as_ref().or(map.as_ref()), "request_headers", import);
    let target = target(fields)?;
    let scheme = match fields.text("scheme") {
        Some("http") => Scheme::Http,
        _ => Scheme::Https,
    };
    let authority = authority(fields, &headers, call, import)?;
    let (headers, body) = body(fields, headers, "request_body", import);
    Ok(Request {
        method,
        scheme,
        authority,
        target,
        version: version(fields.text("request_http_version")).unwrap_or_default(),
        headers,
        body,
        trailers: Headers::new(),
    })
}

fn target(fields: &Fields) -> Result<Bytes, Unusable> {
    if let Some(exact) = fields.text("target_base64") {
        return octets::decode(exact)
            .filter(|target| is_target(target))
            .ok_or_else(|| Unusable::new("target_base64", "it is no valid request target"));
    }
    let Some(path) = fields.text("path") else {
        return Err(Unusable::new("path", "the entry has no path"));
    };
    let mut target = path.to_owned();
    if let Some(query) = fields.text("query") {
        target.push('?');
        target.push_str(query);
    }
    if !target.starts_with(['/', '*']) && fields.text("host").is_none() {
        target.insert(0, '/');
    }
    let target = if is_target(target.as_bytes()) {
        target.into_bytes()
    } else {
        escaped(target.as_bytes()).into_owned().into_bytes()
    };
    if target.is_empty() { Err(Unusable::new("path", "the path is empty")) } else { Ok(target.into()) }
}

/// The host of the call: said outright, in `Host`, or the service's public endpoint.
fn authority(
    fields: &Fields,
    headers: &Headers,
    call: Option<&AwsCall>,
    import: &mut Import<'_>,
) -> Result<String, Unusable> {
    if let Some(host) = fields.text("host") {
        return if host.is_empty() || is_authority(host) {
            Ok(host.to_owned())
        } else {
            Err(Unusable::new("host", "it is no valid host"))
        };
    }
    if let Some(host) = headers.get_str("host").filter(|host| is_authority(host)) {
        return Ok(host.to_owned());
    }
    let service = call.map(|call| call.service.to_ascii_lowercase()).unwrap_or_default();
    let is_label = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    import.note("the entry names no host: the public endpoint of its service is taken", "host");
    Ok(match (is_label(&service), region(headers)) {
        (true, Some(region)) => format!("{service}.{region}.amazonaws.com"),
        (true, None) => format!("{service}.amazonaws.com"),
        (false, _) => "amazonaws.com".into(),
    })
}

/// The region in the credential scope of a SigV4 signature (`Credential=key/date/region/service/…`).
fn region(headers: &Headers) -> Option<&str> {
    let (_, scope) = headers.get_str("authorization")?.split_once("Credential=")?;
    let region = scope.split([',', ' ']).next()?.split('/').nth(2)?;
    let is_region = !region.is_empty()
        && region.len() < 32
        && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_region.then_some(region)
}

fn response(status: u16, fields: &mut Fields, request: &Request, import: &mut Import<'_>) -> Response {
    let list = fields.take("response_headers");
    if list.is_none() {
        import.note("the entry has no response headers", "response_headers");
    }
    let headers = headers::read(list.as_ref(), "response_headers", import);
    let (headers, body) = body(fields, headers, "response_body", import);
    let reason = fields.text("status_text").map(|text| Bytes::copy_from_slice(text.as_bytes()));
    Response {
        status,
        reason: reason.filter(|reason| headers::stays_in_line(reason)),
        version: version(fields.text("http_version")).unwrap_or(request.version),
        headers,
        body,
        trailers: Headers::new(),
        interim: Vec::new(),
    }
}

fn version(text: Option<&str>) -> Option<Version> {
    [Version::Http10, Version::Http11, Version::Http2]
        .into_iter()
        .find(|version| text.is_some_and(|text| text.eq_ignore_ascii_case(version.as_str())))
}

/// The body, and the headers as they are right for it.
fn body(
    fields: &mut Fields,
    headers: Headers,
    name: &'static str,
    import: &mut Import<'_>,
) -> (Headers, Body) {
    let length = fields.get(&format!("{name}_length")).and_then(Json::whole);
    let body = |bytes: Bytes| {
        let mut body = Body::from_bytes(bytes);
        body.length = body.length.max(length.unwrap_or(0));
        body
    };
    if let Some(Json::Text(text)) = fields.take(&format!("{name}_base64")) {
        match octets::decode(&text) {
            Some(bytes) => return (headers, body(bytes)),
            None => import.note("a body's bytes are not base64: its text is taken", name),
        }
    }
    let bytes = match fields.take(name) {
        Some(Json::Text(text)) => Bytes::from(text),
        Some(_) => {
            import.note("a body is not a string: left out", name);
            Bytes::new()
        }
        None => Bytes::new(),
    };
    match coding::applied(&headers) {
        Some(coding) if !bytes.is_empty() && !coding::is_still_applied(&bytes, &coding, None, None) => {
            import
                .note("a body is decoded but its headers announce a coding: the headers are corrected", name);
            (coding::undone(&headers, bytes.len()), body(bytes))
        }
        _ => (headers, body(bytes)),
    }
}
