//! A small shop: JSON, paging, gzip, server-sent events, a WebSocket, errors and an image.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

/// Which version of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    First,
    /// Forgets the total of an order.
    Second,
}

/// A shop that is open.
pub(super) struct Shop {
    address: SocketAddr,
    serving: AbortHandle,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// One pixel.
const IMAGE: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0,
    0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0d, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63,
    0x68, 0x68, 0x68, 0xf8, 0x0f, 0, 5, 4, 2, 0x80, 0x86, 0x6f, 0x5d, 0x6b, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

impl Shop {
    pub(super) async fn start(edition: Edition) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(async move {
                    let service = service_fn(move |request| async move {
                        Ok::<_, Infallible>(answer(request, edition).await)
                    });
                    // A client that leaves ends its own connection.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        Ok(Self { address, serving: serving.abort_handle() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the shop: nothing answers there any more.
    pub(super) fn stop(self) {
        self.serving.abort();
    }
}

async fn answer(request: Request<Incoming>, edition: Edition) -> Answer {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/v1/products") => {
            let page = request.uri().query().and_then(|query| query.strip_prefix("page=")).unwrap_or("1");
            products(page, request.headers())
        }
        (&Method::GET, "/v1/products/1") => as_json(StatusCode::OK, &product(1)),
        (&Method::GET, "/v1/products/1/image") => bytes(StatusCode::OK, "image/png", IMAGE.into()),
        (&Method::POST, "/v1/orders") => order(request, edition).await,
        (&Method::GET, "/v1/orders/o_91/events") => events(),
        (&Method::GET, "/v1/stock") => stock(request),
        (&Method::GET, "/v1/account") if !request.headers().contains_key("authorization") => {
            as_json(StatusCode::UNAUTHORIZED, &json!({"error": "who are you?"}))
        }
        (&Method::GET, "/v1/account") => {
            as_json(StatusCode::OK, &json!({"name": "Ada", "since": "2024-05-01T10:00:00Z"}))
        }
        (&Method::GET, "/v1/broken") => {
            as_json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "out of order"}))
        }
        _ => as_json(StatusCode::NOT_FOUND, &json!({"error": "no such thing"})),
    }
}

fn product(number: u32) -> Value {
    json!({"id": number, "name": format!("Product {number}"), "price": 4.25 * f64::from(number), "tags": ["new", "é"]})
}

fn products(page: &str, headers: &HeaderMap) -> Answer {
    let page: u32 = page.parse().unwrap_or(1);
    let items: Vec<Value> = (1..=20).map(|number| product((page - 1) * 20 + number)).collect();
    let text =
        json!({"page": page, "items": items, "next": format!("/v1/products?page={}", page + 1)}).to_string();
    let gzip = headers
        .get("accept-encoding")
        .is_some_and(|value| value.as_bytes().windows(4).any(|part| part == b"gzip"));
    if !gzip {
        return bytes(StatusCode::OK, "application/json", text.into());
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // A vector takes every byte.
    let packed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    let mut response = bytes(StatusCode::OK, "application/json", packed.into());
    response.headers_mut().insert("content-encoding", http::HeaderValue::from_static("gzip"));
    response
}

async fn order(request: Request<Incoming>, edition: Edition) -> Answer {
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return as_json(StatusCode::BAD_REQUEST, &json!({"error": "the order is not JSON"}));
    };
    let mut order = json!({"id": "o_91", "items": asked["items"], "total": 42.50, "status": "created"});
    if edition == Edition::Second
        && let Some(fields) = order.as_object_mut()
    {
        fields.remove("total");
    }
    as_json(StatusCode::CREATED, &order)
}

fn events() -> Answer {
    let steps = ["created", "paid", "shipped"];
    let stream =
        futures_util::stream::iter(steps.into_iter().enumerate()).then(|(number, step)| async move {
            if number > 0 {
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            let text = format!(
                "id: {number}\nevent: status\ndata: {{\"order\":\"o_91\",\"status\":\"{step}\"}}\n\n"
            );
            Ok::<_, Infallible>(Frame::data(Bytes::from(text)))
        });
    let mut response = Response::new(UnsyncBoxBody::new(StreamBody::new(stream)));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
    response
}

/// A WebSocket that tells the stock of whatever it is asked about.
fn stock(mut request: Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()))
    else {
        return as_json(StatusCode::UPGRADE_REQUIRED, &json!({"error": "this is a WebSocket"}));
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(asked) = message {
                let told = json!({"product": asked.as_str(), "stock": 7}).to_string();
                if socket.send(Message::text(told)).await.is_err() {
                    return;
                }
            }
        }
    });
    let mut response = as_json(StatusCode::SWITCHING_PROTOCOLS, &Value::Null);
    *response.body_mut() = UnsyncBoxBody::new(Full::new(Bytes::new()));
    let headers = response.headers_mut();
    headers.clear();
    headers.insert("connection", http::HeaderValue::from_static("Upgrade"));
    headers.insert("upgrade", http::HeaderValue::from_static("websocket"));
    if let Ok(key) = http::HeaderValue::from_str(&key) {
        headers.insert("sec-websocket-accept", key);
    }
    response
}

fn as_json(status: StatusCode, value: &Value) -> Answer {
    bytes(status, "application/json", value.to_string().into())
}

fn bytes(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut response = Response::new(UnsyncBoxBody::new(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(content_type));
    response
}
