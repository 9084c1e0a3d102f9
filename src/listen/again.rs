//! Polls a connection again that woke itself while it was polled, instead of handing it back to the scheduler.
//!
//! hyper's connection wakes itself for every request with a body: it passes the body to the handler, which is polled in the same
//! task. The scheduler takes such a task for one that yields, queues it behind all others, and wakes another worker to share
//! them: two system calls and two switches for a request that is all here.
//!
//! Invariants: no wake-up is lost; who wakes itself over and over lets others run in between.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls in a row, before others get their turn.
const TURNS: usize = 8;

const RESTS: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// See the module's description. One for each connection.
pub(super) struct Again {
    state: Arc<State>,
    waker: Waker,
}

#[derive(Default)]
struct State {
    /// [`RESTS`], [`POLLED`] or [`WOKEN`].
    now: AtomicU8,
    /// Wakes the task.
    task: AtomicWaker,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Who is polled looks at this before it rests, and who is woken already is about to be polled.
        if self.now.swap(WOKEN, Ordering::AcqRel) == RESTS {
            self.task.wake();
        }
    }
}

impl Again {
    /// For a connection that was not polled yet.
    pub(super) fn new() -> Self {
        let state = Arc::<State>::default();
        let waker = Waker::from(Arc::clone(&state));
        Self { state, waker }
    }

    /// Polls `connection`, always the same one.
    pub(super) fn poll<F: Future>(
        &self,
        mut connection: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.state.task.register(cx.waker());
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..TURNS {
            // Not a store: what those did who woke it until now, and wake nobody more for it, is to be seen by this poll.
            self.state.now.swap(POLLED, Ordering::AcqRel);
            if let Poll::Ready(output) = connection.as_mut().poll(&mut inner) {
                return Poll::Ready(output);
            }
            let rests =
                self.state
                    .now
                    .compare_exchange(POLLED, RESTS, Ordering::AcqRel, Ordering::Acquire);
            if rests.is_ok() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls what wakes itself `wakes` times once: its answer, how often the task was woken by then, and how often it was polled.
    fn polled(wakes: usize) -> (Poll<()>, usize, usize) {
        let (task, mut polls) = (Arc::new(Task::default()), 0);
        let woken = Waker::from(Arc::clone(&task));
        let answer = {
            let connection = pin!(poll_fn(|cx| {
                polls += 1;
                if polls > wakes {
                    return Poll::Pending;
                }
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
            Again::new().poll(connection, &mut Context::from_waker(&woken))
        };
        (answer, task.0.load(Ordering::Relaxed), polls)
    }

    #[test]
    fn who_wakes_itself_is_polled_again_at_once_and_not_for_ever() {
        assert_eq!(polled(0), (Poll::Pending, 0, 1));
        assert_eq!(polled(2), (Poll::Pending, 0, 3));
        assert_eq!(polled(TURNS - 1), (Poll::Pending, 0, TURNS));
        assert_eq!(polled(usize::MAX), (Poll::Pending, 1, TURNS));
    }

    #[test]
    fn who_is_woken_from_elsewhere_wakes_its_task_once_a_poll() {
        let (task, again, kept) = (
            Arc::new(Task::default()),
            Again::new(),
            parking_lot::Mutex::new(None),
        );
        let woken = Waker::from(Arc::clone(&task));
        let mut connection = pin!(poll_fn(|cx| {
            *kept.lock() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        for polls in 1..4 {
            let answer = again.poll(connection.as_mut(), &mut Context::from_waker(&woken));
            assert_eq!(answer, Poll::Pending);
            let waker: Waker = kept.lock().take().expect("it was polled");
            waker.wake_by_ref();
            waker.wake();
            assert_eq!(task.0.load(Ordering::Relaxed), polls);
        }
    }
}
