//! Accepts connections and hands them to the least loaded worker.
//!
//! The kernel's own spreading over several listening sockets is uneven and made the slowest requests three
//! times slower when it was measured, so one thread accepts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::config::ProxyConfig;
use crate::counters::{Counters, Counts};
use crate::worker::{self, Accepted};

/// Most client connections at once.
const MAX_CONNECTIONS: usize = 20_000;
/// Connections that may wait for one worker.
const WAITING: usize = 1024;
/// Pause after the system refused to accept, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
#[error("the proxy cannot start: {0}")]
pub struct StartError(#[from] io::Error);

/// A running proxy. Dropping it without [`Proxy::stop`] leaves its threads to end with the process.
pub struct Proxy {
    address: SocketAddr,
    counters: Vec<Arc<Counters>>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Starts serving on a bound, non-blocking listener. `drain` is how long a stop waits for what is in
    /// flight.
    pub fn start(listener: TcpListener, config: &ProxyConfig, drain: Duration) -> Result<Self, StartError> {
        let address = listener.local_addr()?;
        config.connect.own.add(address);
        let (stop, stopping) = watch::channel(false);
        let mut threads = Vec::new();
        let mut doors = Vec::new();
        let mut counters = Vec::new();
        for index in 0..config.workers.max(1) {
            let (door, accepted) = mpsc::channel(WAITING);
            let counted = Arc::new(Counters::default());
            let (config, stopping, own) = (config.clone(), stopping.clone(), counted.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            threads.push(std::thread::Builder::new().name(format!("proxy-{index}")).spawn(move || {
                runtime.block_on(worker::run(config, own, accepted, stopping, drain));
                // A blocked look-up of a name must not hold the stop up.
                runtime.shutdown_background();
            })?);
            doors.push(door);
            counters.push(counted);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counted = counters.clone();
        threads.push(std::thread::Builder::new().name("proxy-accept".to_owned()).spawn(move || {
            runtime.block_on(accept(listener, &doors, &counted, stopping));
        })?);
        Ok(Self { address, counters, stop, threads })
    }

    /// The address the proxy listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.counters.iter().for_each(|counters| counters.add_to(&mut counts));
        counts
    }

    /// Stops accepting, waits for what is in flight, and returns when every thread has ended.
    pub fn stop(self) -> Counts {
        // Fails only when every worker is gone, which is what is wanted.
        let _ = self.stop.send(true);
        let mut counts = Counts::default();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a proxy thread ended with a panic");
            }
        }
        self.counters.iter().for_each(|counters| counters.add_to(&mut counts));
        counts
    }
}

async fn accept(
    listener: TcpListener,
    doors: &[mpsc::Sender<Accepted>],
    counters: &[Arc<Counters>],
    mut stop: watch::Receiver<bool>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the listener cannot be used");
            return;
        }
    };
    let numbers = AtomicU64::new(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (socket, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Delayed small writes would show up as latency that the upstream does not have.
        let _ = socket.set_nodelay(true);
        let open: usize = counters.iter().map(|counters| counters.connections()).sum();
        if open >= MAX_CONNECTIONS {
            tracing::warn!(limit = MAX_CONNECTIONS, "a connection over the limit was closed");
            continue;
        }
        let least = (0..doors.len()).min_by_key(|index| counters[*index].connections()).unwrap_or(0);
        let Ok(socket) = socket.into_std() else { continue };
        counters[least].opened();
        let connection = numbers.fetch_add(1, Ordering::Relaxed);
        if doors[least].send(Accepted { socket, client, connection }).await.is_err() {
            return;
        }
    }
}
