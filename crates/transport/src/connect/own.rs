//! The listeners of this process, which are refused as targets: a proxy that can be asked to reach itself
//! loops, or opens its own doors to whoever may use it.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// Addresses this process listens on.
#[derive(Clone, Default)]
pub struct OwnListeners(Arc<RwLock<Vec<SocketAddr>>>);

impl OwnListeners {
    /// Adds a listener.
    pub fn add(&self, address: SocketAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    /// Whether a connection from `local` to `peer` arrives at one of them.
    pub fn is_own(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let (local, peer_ip) = (local.ip().to_canonical(), peer.ip().to_canonical());
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            own.port() == peer.port()
                && (own_ip == peer_ip
                    || own_ip.is_unspecified() && (peer_ip.is_loopback() || peer_ip == local))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_recognised_by_every_address_it_answers_on() {
        let own = OwnListeners::default();
        own.add("127.0.0.1:8081".parse().expect("address"));
        own.add("[::]:8082".parse().expect("address"));
        let local = "10.0.0.5:40000".parse().expect("address");
        for (peer, is_own) in [
            ("127.0.0.1:8081", true),
            ("[::ffff:127.0.0.1]:8081", true),
            ("127.0.0.1:8083", false),
            ("10.0.0.5:8081", false),
            ("10.0.0.5:8082", true),
            ("[::1]:8082", true),
            ("10.0.0.9:8082", false),
        ] {
            assert_eq!(own.is_own(local, peer.parse().expect("address")), is_own, "{peer}");
        }
    }
}
