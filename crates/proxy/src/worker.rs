//! One thread with its own runtime and upstream connections.
//!
//! The listener owns the workers and joins them. A worker owns its connections and tunnels; when told to
//! stop it takes no more, waits for what is in flight and leaves when that is done or the deadline passed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mimeo_transport::connect::{Connector, Pool};
use mimeo_transport::serve::{self, ServeConfig, Speaks};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};

use crate::body::ProxyBody;
use crate::config::ProxyConfig;
use crate::counters::Counters;
use crate::pipeline::ProxyHandler;
use crate::rescue;

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// What the connections of one worker share.
pub(crate) struct WorkerState {
    pub(crate) config: ProxyConfig,
    pub(crate) pool: Pool<ProxyBody>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) tasks: Tasks,
}

/// A socket that was accepted.
pub(crate) struct Accepted {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) client: SocketAddr,
    pub(crate) connection: u64,
}

/// Counts what a worker spawned, so that it can wait for the end of it.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<(AtomicUsize, Notify)>);

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        let running = Running(self.clone());
        tokio::spawn(async move {
            let _running = running;
            task.await;
        });
    }

    async fn finished(&self) {
        loop {
            let changed = self.0.1.notified();
            if self.0.0.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }
}

struct Running(Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.0.0.fetch_sub(1, Ordering::Release) == 1 {
            self.0.0.1.notify_waiters();
        }
    }
}

/// Serves sockets until told to stop, then drains for at most `drain`.
pub(crate) async fn run(
    config: ProxyConfig,
    counters: Arc<Counters>,
    mut accepted: mpsc::Receiver<Accepted>,
    stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let pool = Pool::new(Connector::new(config.connect.clone()));
    let tasks = Tasks::default();
    let state = Arc::new(WorkerState { config, pool, counters, stop: stop.clone(), tasks: tasks.clone() });
    let mut sweep = tokio::time::interval(SWEEP);
    let mut stopping = stop.clone();
    loop {
        tokio::select! {
            next = accepted.recv() => match next {
                Some(next) => start(&state, next),
                None => break,
            },
            _ = sweep.tick() => state.pool.sweep(),
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
    accepted.close();
    while let Some(next) = accepted.recv().await {
        state.counters.closed();
        drop(next);
    }
    // What does not end in time ends with the runtime, and is recorded as cut off by its own drop.
    let _ = tokio::time::timeout(drain, tasks.finished()).await;
}

fn start(state: &Arc<WorkerState>, accepted: Accepted) {
    let handler = ProxyHandler {
        worker: state.clone(),
        connection: accepted.connection,
        client: accepted.client,
        intercepted: None,
    };
    let config = ServeConfig {
        patience: state.config.patience,
        render: rescue::render_refusal,
        stop: state.stop.clone(),
    };
    let counters = state.counters.clone();
    let open = Open(counters);
    state.tasks.spawn(async move {
        let _open = open;
        match TcpStream::from_std(accepted.socket) {
            Ok(socket) => serve::serve(socket, Speaks::Unknown, handler, config).await,
            Err(error) => tracing::warn!(%error, "an accepted connection could not be used"),
        }
    });
}

/// Counts a connection as open while it lives.
struct Open(Arc<Counters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed();
    }
}
