//! Plays the server's side of a recorded WebSocket: what the server sent follows what the client sends, at the
//! recorded distances.

use std::time::Duration;

use base64::Engine;
use bytes::{BufMut, BytesMut};
use mimeo_model::{Direction, Frame, Opcode};
use mimeo_transport::protocol::websocket::{Compression, FrameObserver};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::Speed;

/// Most bytes of a client's frame that are looked at.
const LOOKED_AT: usize = 64 << 10;

/// The value of `Sec-WebSocket-Accept` for a client's key (RFC 6455, section 4.2.2).
pub(crate) fn accept_key(key: &[u8]) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// Plays `frames` to a client until the recording or the client ends.
pub(crate) async fn play<C: AsyncRead + AsyncWrite + Unpin>(mut client: C, frames: Vec<Frame>, speed: Speed) {
    // A client that leaves in the middle ends the play, which is all there is to it.
    let _ = perform(&mut client, frames, speed).await;
    let _ = client.shutdown().await;
}

async fn perform<C: AsyncRead + AsyncWrite + Unpin>(
    client: &mut C,
    frames: Vec<Frame>,
    speed: Speed,
) -> std::io::Result<()> {
    let mut audience = Audience {
        observer: FrameObserver::new(Direction::Send, Compression::default(), LOOKED_AT),
        messages: 0,
        closed: false,
    };
    let mut before = Duration::ZERO;
    let closes = frames.iter().any(|frame| frame.opcode == Opcode::Close);
    for frame in frames {
        let distance = frame.at.saturating_sub(before);
        before = frame.at;
        match frame.direction {
            Direction::Send if frame.fin && !frame.opcode.is_control() => {
                while audience.messages == 0 && !audience.closed {
                    audience.listen(client).await?;
                }
                audience.messages = audience.messages.saturating_sub(1);
            }
            Direction::Send => {}
            Direction::Receive => {
                let wait = tokio::time::sleep(speed.scale(distance));
                tokio::pin!(wait);
                loop {
                    tokio::select! {
                        () = &mut wait => break,
                        heard = audience.listen(client) => heard?,
                    }
                    if audience.closed {
                        return Ok(());
                    }
                }
                client.write_all(&encode(frame.opcode, frame.fin, &frame.payload)).await?;
                client.flush().await?;
            }
        }
        if audience.closed {
            return Ok(());
        }
    }
    if !closes {
        client.write_all(&encode(Opcode::Close, true, &1000_u16.to_be_bytes())).await?;
    }
    Ok(())
}

/// What the client says.
struct Audience {
    observer: FrameObserver,
    messages: u64,
    closed: bool,
}

impl Audience {
    /// Hears what comes next; answers pings and closing.
    async fn listen<C: AsyncRead + AsyncWrite + Unpin>(&mut self, client: &mut C) -> std::io::Result<()> {
        let mut buffer = BytesMut::with_capacity(4 << 10);
        if client.read_buf(&mut buffer).await? == 0 {
            self.closed = true;
            return Ok(());
        }
        let mut heard = Vec::new();
        self.observer.feed(Duration::ZERO, &buffer, |frame| heard.push(frame));
        for frame in heard {
            match frame.opcode {
                Opcode::Ping => client.write_all(&encode(Opcode::Pong, true, &frame.payload)).await?,
                Opcode::Close => {
                    client.write_all(&encode(Opcode::Close, true, &frame.payload)).await?;
                    self.closed = true;
                }
                Opcode::Text | Opcode::Binary | Opcode::Continuation if frame.fin => self.messages += 1,
                _ => {}
            }
        }
        self.closed |= self.observer.is_lost();
        Ok(())
    }
}

/// An unmasked frame, as a server sends it (RFC 6455, section 5.2).
fn encode(opcode: Opcode, fin: bool, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(payload.len() + 10);
    out.put_u8(u8::from(fin) << 7 | opcode.bits());
    match payload.len() {
        length @ 0..126 => out.put_u8(length as u8),
        length @ 126..65_536 => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        length => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
    out.put_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_s_example_is_accepted() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
