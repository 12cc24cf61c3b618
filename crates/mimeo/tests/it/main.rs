//! The built program over real sockets, against real upstreams and clients.

mod clients;
mod context;
mod disk;
mod faults;
mod framing;
mod heads;
mod http2_abuse;
mod slow;
mod story;
mod usage;
mod versions;
