//! The log, fed by the listener of `connlimit-tokio`, on real sockets.
#![allow(clippy::std_instead_of_core, reason = "a test has the standard library")]

use connlimit::{Config, Limiter};
use connlimit_metrics::RejectLog;
use connlimit_tokio::{LimitedListener, Reject};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

/// Adds up what the events say.
#[derive(Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Visit for &Told {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rejects" {
            self.0.fetch_add(value, Relaxed);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut &*self);
    }
}

#[tokio::test]
async fn of_399_rejections_399_are_told_whatever_the_budget_for_answers_allows() {
    for interval in [Duration::ZERO, Duration::from_millis(5), Duration::MAX] {
        let told = Told::default();
        let _guard = tracing::dispatcher::set_default(&Dispatch::new(Registry::default().with(told.clone())));
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let log = RejectLog::new(interval);
        let mut listener = LimitedListener::new(socket, Limiter::new(Config::new(1)))
            .reject_with(Reject::Http429 { retry_after: None })
            .on_rejected(move |rejection| log.note(rejection.client, rejection.reason));
        let rejecter = listener.rejecter().clone();
        let serving = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                open.push(listener.accept().await.unwrap());
            }
        });

        let first = TcpStream::connect(addr).await.unwrap();
        for _ in 0..399 {
            drop(TcpStream::connect(addr).await.unwrap());
        }
        let end = Instant::now() + Duration::from_secs(30);
        while rejecter.counts().total() < 399 {
            assert!(Instant::now() < end, "{:?}", rejecter.counts());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(first);
        // The log goes with the listener, and tells what it has left.
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert_eq!(told.0.load(Relaxed), 399);
        let counts = rejecter.counts();
        assert!(counts.total() == 399 && counts.answered < 399, "{counts:?}");
    }
}
