//! A HAR entry as an exchange.

use bytes::Bytes;
use mimeo_model::{
    AnsweredBy, Body, Exchange, ExchangeId, GraphqlKind, GraphqlOperation, Headers, Interim, Method, Request,
    Response, Timestamp, Version,
};

use crate::failure;
use crate::har::body::{self, Holder};
use crate::har::{frames, timings, url};
use crate::headers;
use crate::import::{Import, Unusable};
use crate::instant;
use crate::json::Json;
use crate::octets;
use crate::registry::AwsCall;

/// Converts an entry.
pub(super) fn read(
    import: &mut Import<'_>,
    mut entry: Json,
) -> Result<(Exchange, Option<AwsCall>), Unusable> {
    if !matches!(entry, Json::Object(_)) {
        return Err(Unusable::new("", format!("the entry is {}; an object is needed", entry.sort())));
    }
    let carried = entry.get("_id").and_then(Json::text).and_then(|id| id.parse::<ExchangeId>().ok());
    let ours = carried.is_some();
    let request_object = object(&mut entry, "request")?;
    let started_at = started(&entry, import);
    let request = request(request_object, import)?;

    let failure = entry.some("_failure").map(|failure| failure::read(failure, "_failure", import));
    let response = if entry.get("_answered") == Some(&Json::Bool(false)) {
        None
    } else {
        let events = entry.take("_eventSourceMessages");
        let object = object(&mut entry, "response")?;
        match response(object, &request, ours, import) {
            Ok(mut response) => {
                if let Some(events) = events.filter(|_| response.body.captured_length() == 0)
                    && let Some(body) = frames::body_of_events(&events, started_at)
                {
                    response.body = body;
                    import.note("the event stream's body is made from its events", "_eventSourceMessages");
                }
                Some(response)
            }
            Err(_) if failure.is_some() => None,
            Err(unusable) => return Err(unusable),
        }
    };
    if entry.some("_fromCache").is_some() {
        import.note("the response came from the browser's cache", "_fromCache");
    }
    let exchange = Exchange {
        id: import.id(carried, started_at),
        started_at,
        connection: connection(&entry),
        request,
        response,
        failure,
        timings: timings::read(&entry, ours, import),
        frames: frames::read(entry.take("_webSocketMessages"), started_at, import),
        answered_by: match entry.get("_answeredBy").and_then(Json::text) {
            Some("mock") => AnsweredBy::Mock,
            Some("proxy") => AnsweredBy::Proxy,
            _ => AnsweredBy::Upstream,
        },
        graphql: graphql(entry.get("_graphql")),
    };
    Ok((exchange, None))
}

fn object(entry: &mut Json, key: &'static str) -> Result<Json, Unusable> {
    match entry.take(key) {
        Some(object @ Json::Object(_)) => Ok(object),
        Some(other) => Err(Unusable::new(key, format!("the {key} is {}; an object is needed", other.sort()))),
        None => Err(Unusable::new(key, format!("the entry has no {key}"))),
    }
}

fn started(entry: &Json, import: &mut Import<'_>) -> Timestamp {
    const FIELD: &str = "startedDateTime";
    match entry.get(FIELD).and_then(Json::text).and_then(instant::parse) {
        Some((at, true)) => at,
        Some((at, false)) => {
            import.note("the date has no time zone: taken as UTC", FIELD);
            at
        }
        None => {
            import.note("the date cannot be read: the entry takes that of the one before", FIELD);
            import.latest()
        }
    }
}

/// Number of the client connection. Chrome's numbers and Fiddler's client ports are taken over; Firefox
/// writes the server's port instead, which says nothing, and so do entries without a number: they count as
/// one connection and keep their order.
fn connection(entry: &Json) -> u64 {
    if let Some(number) = entry.get("_connection").and_then(Json::whole) {
        return number;
    }
    let told = ["_connectionId", "connection"].into_iter().find_map(|key| {
        let value = entry.get(key)?;
        let client_port = value.text().and_then(|text| text.strip_prefix("ClientPort:"));
        match client_port {
            Some(port) => port.split(';').next()?.parse().ok(),
            None => value.whole(),
        }
    });
    told.filter(|number| !matches!(number, 80 | 443)).unwrap_or(0)
}

fn request(mut request: Json, import: &mut Import<'_>) -> Result<Request, Unusable> {
    let parts = url::read(&request, import)?;
    let Some(method) = request.get("method").and_then(Json::text).and_then(|text| {
        // Blanks around it come from hand-written files.
        Method::new(text.trim().as_bytes())
    }) else {
        return Err(Unusable::new("request.method", "the request has no valid method"));
    };
    let list = request.get("headers");
    let version = version(&request, "request.httpVersion", import).unwrap_or(if has_pseudo_fields(list) {
        Version::Http2
    } else {
        Version::Http11
    });
    let mut headers = headers::read(list, "request.headers", import);
    let trailers = headers::read(request.get("_trailers"), "request._trailers", import);
    let holder =
        Holder { field: "request.postData", body_size: request.get("bodySize").and_then(Json::whole) };
    let body = match request.take("postData") {
        Some(mut post_data @ Json::Object(_)) => {
            form_text(&mut post_data, import);
            content_type(&post_data, &mut headers, holder.field, import);
            body::read(&holder, &mut post_data, &mut headers, import)
        }
        Some(_) => {
            import.note("`postData` is not an object: left out", holder.field);
            Body::empty()
        }
        None => match holder.body_size.filter(|size| *size > 0) {
            Some(size) => {
                import.note("the body is not in the file, only its length", holder.field);
                Body { length: size, ..Body::empty() }
            }
            None => Body::empty(),
        },
    };
    Ok(Request {
        method,
        scheme: parts.scheme,
        authority: parts.authority,
        target: parts.target,
        version,
        headers,
        body,
        trailers,
    })
}

/// A form that is given as parameters only becomes text again.
fn form_text(post_data: &mut Json, import: &mut Import<'_>) {
    let is_form = post_data
        .get("mimeType")
        .and_then(Json::text)
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    let has_text = post_data.some("text").is_some() || post_data.some("_encoded").is_some();
    let params = post_data.get("params").and_then(Json::list).unwrap_or_default();
    if has_text || params.is_empty() {
        return;
    }
    if !is_form {
        import.note("the body is given as parameters only and cannot be made again", "request.postData");
        return;
    }
    let text = url::form(params);
    import.note("the form is made from its parameters", "request.postData.params");
    if let Json::Object(members) = post_data {
        members.push(("text".into(), Json::Text(text)));
    }
}

/// A message that is described without any header field takes its media type from the description.
fn content_type(object: &Json, headers: &mut Headers, field: &'static str, import: &mut Import<'_>) {
    let Some(mime_type) = object.get("mimeType").and_then(Json::text) else { return };
    let says_something = !mime_type.is_empty()
        && !matches!(mime_type, "x-unknown" | "application/x-unknown")
        && headers::stays_in_line(mime_type.as_bytes());
    if headers.is_empty() && says_something {
        import.note("the message has no header fields: `mimeType` is taken for `Content-Type`", field);
        *headers = headers::and(headers, "Content-Type", mime_type);
    }
}

fn response(
    mut response: Json,
    request: &Request,
    ours: bool,
    import: &mut Import<'_>,
) -> Result<Response, Unusable> {
    let status = match response.get("status").and_then(Json::whole) {
        Some(status @ 100..=999) => status as u16,
        Some(0) => {
            let error = response.get("_error").and_then(Json::text).filter(|error| !error.is_empty());
            let error: String = error.unwrap_or("the browser says no more").chars().take(200).collect();
            return Err(Unusable::new("response.status", format!("there was no answer: {error}")));
        }
        _ => return Err(Unusable::new("response.status", "it is not a status; 100 to 999 is needed")),
    };
    let version = version(&response, "response.httpVersion", import).unwrap_or(request.version);
    let mut headers = headers::read(response.get("headers"), "response.headers", import);
    let holder =
        Holder { field: "response.content", body_size: response.get("bodySize").and_then(Json::whole) };
    let mut body = match response.take("content") {
        Some(mut content @ Json::Object(_)) => {
            content_type(&content, &mut headers, holder.field, import);
            body::read(&holder, &mut content, &mut headers, import)
        }
        _ => Body::empty(),
    };
    let has_no_body = request.method == Method::HEAD || matches!(status, 100..=199 | 204 | 304);
    if has_no_body && !ours && !body.is_empty() {
        import.note("the response cannot have a body: the one in the file is left out", holder.field);
        body = Body::empty();
    }
    Ok(Response {
        status,
        reason: reason(&response, version, ours),
        version,
        headers,
        body,
        trailers: headers::read(response.get("_trailers"), "response._trailers", import),
        interim: interim(response.get("_interim"), import),
    })
}

/// The reason phrase; browsers make one up where HTTP/2 has none.
fn reason(response: &Json, version: Version, ours: bool) -> Option<Bytes> {
    let text = |key| response.get(key).and_then(Json::text);
    let exact = text("_statusTextBase64").and_then(octets::decode);
    let phrase = exact.or_else(|| {
        let text = text("statusText").filter(|text| !text.is_empty())?;
        (ours || version != Version::Http2).then(|| Bytes::copy_from_slice(text.as_bytes()))
    });
    phrase.filter(|phrase| headers::stays_in_line(phrase))
}

fn interim(list: Option<&Json>, import: &mut Import<'_>) -> Vec<Interim> {
    let list = list.and_then(Json::list).unwrap_or_default();
    list.iter()
        .filter_map(|response| {
            let status = response.get("status").and_then(Json::whole).filter(|s| (100..200).contains(s))?;
            let headers = headers::read(response.get("headers"), "response._interim", import);
            Some(Interim { status: status as u16, headers })
        })
        .collect()
}

fn has_pseudo_fields(list: Option<&Json>) -> bool {
    list.and_then(Json::list)
        .unwrap_or_default()
        .iter()
        .any(|field| field.get("name").and_then(Json::text).is_some_and(|name| name.starts_with(':')))
}

/// The version of HTTP, under all the names it has; none when the writer did not know it.
fn version(message: &Json, field: &str, import: &mut Import<'_>) -> Option<Version> {
    let text = message.get("httpVersion").and_then(Json::text)?.trim().to_ascii_lowercase();
    match text.strip_prefix("http/").unwrap_or(&text) {
        "1.0" | "1" => Some(Version::Http10),
        "1.1" => Some(Version::Http11),
        "2" | "2.0" | "h2" | "h2c" => Some(Version::Http2),
        "3" | "3.0" | "h3" | "quic" | "h3-29" => {
            import.note("the message travelled over HTTP/3: taken as HTTP/2", field);
            Some(Version::Http2)
        }
        _ => None,
    }
}

fn graphql(list: Option<&Json>) -> Vec<GraphqlOperation> {
    let read = |operation: &Json| {
        let kind = match operation.get("kind")?.text()? {
            "query" => GraphqlKind::Query,
            "mutation" => GraphqlKind::Mutation,
            "subscription" => GraphqlKind::Subscription,
            "persisted" => GraphqlKind::Persisted,
            _ => return None,
        };
        Some(GraphqlOperation { name: operation.get("name").and_then(Json::text).map(str::to_owned), kind })
    };
    list.and_then(Json::list).unwrap_or_default().iter().filter_map(read).collect()
}
