//! Recordings for tests, and asking a library as a client would.

use std::time::Duration;

use bytes::Bytes;
use mimeo_library::{Decision, Library, Miss, RequestView};
use mimeo_model::{
    AnsweredBy, Body, Exchange, ExchangeId, Headers, Method, Request, Response, Scheme, Timestamp, Timings,
    Version,
};

pub(crate) const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

/// A request that is recorded or asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) authority: Option<&'a str>,
    pub(crate) target: &'a str,
    pub(crate) fields: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

pub(crate) fn get(target: &str) -> Ask<'_> {
    Ask { method: "GET", authority: None, target, fields: &[], body: b"" }
}

pub(crate) fn post<'a>(target: &'a str, body: &'a str) -> Ask<'a> {
    Ask { method: "POST", authority: None, target, fields: JSON, body: body.as_bytes() }
}

impl<'a> Ask<'a> {
    pub(crate) fn at(self, authority: &'a str) -> Self {
        Self { authority: Some(authority), ..self }
    }

    pub(crate) fn with(self, fields: &'a [(&'a str, &'a str)]) -> Self {
        Self { fields, ..self }
    }

    /// The exchange in which this request was answered with 200 and `answer`.
    pub(crate) fn recorded(self, number: u64, answer: &str) -> Exchange {
        let at = Timestamp::from_unix_micros(1_795_000_000_000_000 + number as i64 * 1_000);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.to_be_bytes());
        Exchange {
            id: ExchangeId::new(at, random),
            started_at: at,
            connection: 1,
            request: Request {
                method: Method::new(self.method.as_bytes()).expect("a method"),
                scheme: Scheme::Http,
                authority: self.authority.unwrap_or("a.example").to_owned(),
                target: Bytes::copy_from_slice(self.target.as_bytes()),
                version: Version::Http11,
                headers: self.fields.iter().copied().collect(),
                body: Body::from_bytes(self.body.to_vec()),
                trailers: Headers::new(),
            },
            response: Some(Response {
                status: 200,
                body: Body::from_bytes(answer.to_owned()),
                ..Response::default()
            }),
            failure: None,
            timings: Timings { wait: Some(Duration::from_millis(1)), ..Timings::default() },
            frames: Vec::new(),
            answered_by: AnsweredBy::Upstream,
            graphql: Vec::new(),
        }
    }

    fn decided<T>(self, library: &Library, told: impl FnOnce(Decision<'_>) -> T) -> T {
        let method = Method::new(self.method.as_bytes()).expect("a method");
        let headers: Headers = self.fields.iter().copied().collect();
        told(library.answer(&RequestView {
            method: &method,
            authority: self.authority,
            target: self.target.as_bytes(),
            headers: &headers,
            body: self.body,
        }))
    }

    /// The body of the answer, when there is one.
    pub(crate) fn of(self, library: &Library) -> Option<String> {
        self.decided(library, |decision| match decision {
            Decision::Hit { mock, .. } => {
                Some(String::from_utf8_lossy(mock.response.body.inline().expect("in memory")).into_owned())
            }
            Decision::Miss(_) => None,
        })
    }

    pub(crate) fn missed(self, library: &Library) -> Miss {
        self.decided(library, |decision| match decision {
            Decision::Hit { mock, .. } => panic!("answered by {}", mock.id),
            Decision::Miss(miss) => *miss,
        })
    }
}

pub(crate) fn with_status(mut exchange: Exchange, status: u16) -> Exchange {
    if let Some(response) = &mut exchange.response {
        response.status = status;
    }
    exchange
}

pub(crate) fn library(exchanges: impl IntoIterator<Item = Exchange>) -> Library {
    Library::compile(exchanges, Vec::new())
}
