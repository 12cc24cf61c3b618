//! Where one message ends and the next begins, and whether it may pass.

use bytes::{Buf, Bytes};
use mimeo_model::{Headers, Interim, Method, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::head_tap::write::Goodbye;
use crate::head_tap::{HeadTap, Refused, Role, State, TappedRequest, TappedResponse, Verdict};
use crate::protocol::framing::{self, BodyFraming};
use crate::protocol::head::{self, MAX_HEAD, Rejection};
use crate::protocol::reduced_head;

/// Most interim responses before a final one.
const MAX_INTERIM: usize = 32;

impl<S: AsyncRead + AsyncWrite + Unpin> HeadTap<S> {
    /// Looks at `pending` and releases what may pass; false when more bytes are needed.
    pub(super) fn advance(&mut self) -> bool {
        match &mut self.state {
            State::Head => self.advance_head(),
            State::Length(left) => {
                let taken = (self.pending.len() as u64).min(*left);
                *left -= taken;
                self.released = taken as usize;
                if *left == 0 {
                    self.message_ended(None);
                }
                taken > 0
            }
            State::Chunked(walker) => match walker.walk(&self.pending) {
                Ok(taken) => {
                    self.released = taken;
                    if walker.is_done() {
                        let trailers = Bytes::copy_from_slice(walker.trailers());
                        match head::trailers(&trailers) {
                            Ok(fields) => self.message_ended((!fields.is_empty()).then_some(fields)),
                            Err(rejection) => {
                                self.refuse(rejection);
                                return true;
                            }
                        }
                    }
                    self.released > 0
                }
                Err(rejection) => {
                    self.refuse(rejection);
                    true
                }
            },
            State::UntilClose | State::Opaque => {
                self.released = self.pending.len();
                self.released > 0
            }
            State::Undecided => match self.shared.lock().verdict.take() {
                Some(Verdict::Tunnel) => {
                    self.state = State::Opaque;
                    true
                }
                Some(Verdict::Http) => {
                    self.state = State::Head;
                    true
                }
                None => false,
            },
            State::Refused => false,
        }
    }

    fn advance_head(&mut self) -> bool {
        if self.scanned == 0 {
            // RFC 9112, section 2.2: an empty line before a request line is skipped.
            while self.pending.starts_with(b"\r\n") {
                self.pending.advance(2);
            }
            let Some(first) = self.pending.first() else { return false };
            if let Some(rejection) = self.judge_first(*first) {
                self.refuse(rejection);
                return true;
            }
            if self.started.is_none() {
                self.started = Some(self.progress);
            }
        }
        let end = head::find_end(&self.pending, self.scanned);
        if end.unwrap_or(self.pending.len()) > MAX_HEAD {
            self.refuse(Rejection::new(
                431,
                "head.too_large",
                format!("the head is longer than {MAX_HEAD} bytes"),
            ));
            return true;
        }
        let Some(end) = end else {
            self.scanned = self.pending.len();
            return false;
        };
        self.scanned = 0;
        let raw = Bytes::copy_from_slice(&self.pending[..end]);
        let judged = match self.role {
            Role::Server { .. } => self.take_request_head(&raw),
            Role::Client => self.take_response_head(&raw),
        };
        match judged {
            Ok(state) => {
                self.pending.advance(end);
                self.state = state;
                self.started = None;
                if !self.pending.is_empty() && matches!(self.state, State::Head) {
                    self.note_surplus();
                }
            }
            Err(rejection) => self.refuse(rejection),
        }
        true
    }

    /// A first byte that cannot begin a message says what the peer speaks instead.
    fn judge_first(&self, first: u8) -> Option<Rejection> {
        match self.role {
            Role::Server { .. } if first == 0x16 => Some(Rejection::new(
                400,
                "request.tls",
                "this port speaks plain HTTP, not HTTPS: use an http:// address",
            )),
            Role::Server { .. } if !first.is_ascii_graphic() => {
                Some(Rejection::new(400, "framing.request_line", "the bytes are not an HTTP request"))
            }
            Role::Client if first != b'H' => {
                Some(Rejection::new(502, "framing.status_line", "the bytes are not an HTTP response"))
            }
            Role::Server { .. } | Role::Client => None,
        }
    }

    fn take_request_head(&mut self, raw: &Bytes) -> Result<State, Rejection> {
        let head = head::request(raw)?;
        let state = if head.method == Method::CONNECT || head.headers.contains("upgrade") {
            match head.framing {
                BodyFraming::None | BodyFraming::Length(0) => State::Undecided,
                framing => body_state(framing),
            }
        } else {
            body_state(head.framing)
        };
        let started = self.started.take().unwrap_or(self.progress);
        reduced_head::request(&head, &mut self.shown);
        let mut shared = self.shared.lock();
        shared.in_flight += 1;
        shared.verdict = None;
        shared.requests.push_back(TappedRequest { head, started });
        Ok(state)
    }

    fn take_response_head(&mut self, raw: &Bytes) -> Result<State, Rejection> {
        let head = head::response(raw)?;
        let mut shared = self.shared.lock();
        let Some(asked) = &mut shared.asked else {
            return Err(Rejection::new(502, "framing.unasked", "a response came that nobody asked for"));
        };
        if (100..200).contains(&head.status) && head.status != 101 {
            asked.continued |= head.status == 100;
            let waiter =
                if head.status == 100 { &mut shared.continue_waiter } else { &mut shared.interim_waiter };
            if let Some(waker) = waiter.take() {
                waker.wake();
            }
            if shared.interim.len() == MAX_INTERIM {
                return Err(Rejection::new(
                    502,
                    "framing.interim",
                    format!("more than {MAX_INTERIM} interim responses came"),
                ));
            }
            shared.interim.push(Interim { status: head.status, headers: head.headers });
            return Ok(State::Head);
        }
        if head.status == 101 && !asked.upgrade {
            return Err(Rejection::new(502, "framing.upgrade", "an upgrade came that nobody asked for"));
        }
        let framing = framing::of_response(&asked.method, &head)?;
        let ended = matches!(framing, BodyFraming::None | BodyFraming::Length(0));
        if ended {
            shared.asked = None;
        }
        reduced_head::response(&head, &mut self.shown);
        // Such a server may keep the connection, but it understands no chunks.
        shared.surplus |= head.version < Version::Http11;
        let interim = std::mem::take(&mut shared.interim);
        let sent = shared.last_write;
        shared.response = Some(TappedResponse { head, interim, arrived: self.progress, sent });
        if let Some(waker) = shared.continue_waiter.take() {
            waker.wake();
        }
        Ok(body_state(framing))
    }

    pub(super) fn message_ended(&mut self, trailers: Option<Headers>) {
        self.state = State::Head;
        let mut shared = self.shared.lock();
        shared.trailers = trailers;
        shared.asked = None;
        drop(shared);
        if self.pending.len() > self.released {
            self.note_surplus();
        }
    }

    /// Bytes after the end of a response belong to nothing, unless only an interim response ended.
    fn note_surplus(&self) {
        if matches!(self.role, Role::Client) {
            let mut shared = self.shared.lock();
            shared.surplus |= shared.asked.is_none();
        }
    }

    pub(super) fn refuse(&mut self, rejection: Rejection) {
        // Within a body the request was already handed on, and whoever serves it answers.
        if let (Role::Server { render, .. }, State::Head) = (&self.role, &self.state) {
            self.goodbye = Some(Goodbye::Write(render(&rejection)));
        }
        let beginning = Bytes::copy_from_slice(&self.pending[..self.pending.len().min(4 << 10)]);
        let in_body = !matches!(self.state, State::Head);
        self.pending.clear();
        self.released = 0;
        self.state = State::Refused;
        let started = self.started.take().unwrap_or(self.progress);
        let mut shared = self.shared.lock();
        shared.rejection = Some(Refused { rejection, beginning, started, in_body });
        if let Some(waker) = shared.continue_waiter.take() {
            waker.wake();
        }
    }
}

fn body_state(framing: BodyFraming) -> State {
    match framing {
        BodyFraming::None | BodyFraming::Length(0) => State::Head,
        BodyFraming::Length(length) => State::Length(length),
        BodyFraming::Chunked => State::Chunked(Box::default()),
        BodyFraming::UntilClose => State::UntilClose,
        BodyFraming::Tunnel => State::Opaque,
    }
}
