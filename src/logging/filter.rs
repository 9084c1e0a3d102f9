//! Which lines are logged: by level, and not the same one over and over.
//!
//! Invariant: of the lines that one place in the program writes, [`MOST`] get through in [`WINDOW`]; the others are
//! counted and summed up in one. Debug and trace lines are never held back: whoever asks for them wants them all.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use crate::config::LogLevel;

/// After this time repeated lines are summed up and counted anew.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Lines from one place that get through in a [`WINDOW`].
pub const MOST: u64 = 50;

const OURS: &str = "foghorn";

/// What one place in the program has written in the current window.
struct Repeated {
    seen: u64,
    level: Level,
    /// The first line held back.
    sample: String,
}

/// How much is logged.
pub struct Volume {
    level: AtomicU8,
    places: Mutex<HashMap<Identifier, Repeated>>,
}

impl Volume {
    /// Lines of `level` and above.
    pub fn new(level: LogLevel) -> Self {
        Self {
            level: AtomicU8::new(level as u8),
            places: Mutex::default(),
        }
    }

    /// Changes the level.
    pub fn set_level(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    fn level(&self) -> LevelFilter {
        match self.level.load(Ordering::Relaxed) {
            0 => LevelFilter::TRACE,
            1 => LevelFilter::DEBUG,
            2 => LevelFilter::INFO,
            3 => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        }
    }

    /// Ours by level, and our spans always, since they say whom a line is about; of other crates' what is serious.
    fn wants(&self, meta: &Metadata<'_>) -> bool {
        let level = self.level();
        let least = match meta.target().starts_with(OURS) {
            true if meta.is_span() => level.max(LevelFilter::INFO),
            true => level,
            false => level.min(LevelFilter::WARN),
        };
        *meta.level() <= least
    }

    /// Counts a line; whether it gets through.
    fn admit(&self, event: &Event<'_>) -> bool {
        let meta = event.metadata();
        if *meta.level() > Level::INFO || meta.target() == module_path!() {
            return true;
        }
        let fresh = || Repeated {
            seen: 0,
            level: *meta.level(),
            sample: String::new(),
        };
        let seen = {
            let mut places = self.places.lock();
            let place = places.entry(meta.callsite()).or_insert_with(fresh);
            place.seen += 1;
            place.seen
        };
        if seen == MOST + 1 {
            // Not under the lock: what formats the message may log itself.
            let mut sample = String::new();
            event.record(&mut Message(&mut sample));
            self.places
                .lock()
                .entry(meta.callsite())
                .and_modify(|place| place.sample = sample);
        }
        seen <= MOST
    }

    /// Logs how many lines were held back, one line for each place, and starts a new window.
    pub(super) fn sum_up(&self) {
        let places = std::mem::take(&mut *self.places.lock());
        for place in places.into_values().filter(|place| place.seen > MOST) {
            let (more, line, seconds) = (place.seen - MOST, place.sample, WINDOW.as_secs());
            match place.level {
                Level::ERROR => {
                    tracing::error!("… and {more} more like this in {seconds} s: {line}")
                }
                Level::WARN => tracing::warn!("… and {more} more like this in {seconds} s: {line}"),
                _ => tracing::info!("… and {more} more like this in {seconds} s: {line}"),
            }
        }
    }
}

/// A [`Volume`] as a filter of the log's layer.
pub struct Shared(pub Arc<Volume>);

impl<S: Subscriber> Filter<S> for Shared {
    fn enabled(&self, meta: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.wants(meta)
    }

    fn callsite_enabled(&self, meta: &'static Metadata<'static>) -> Interest {
        if self.0.wants(meta) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.0.admit(event)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.level().max(LevelFilter::INFO))
    }
}

/// Picks the message out of an event.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use tracing_subscriber::layer::{Layer, SubscriberExt};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, work: impl FnOnce(&Volume)) -> String {
        let (memory, volume) = (Memory::default(), Arc::new(Volume::new(level)));
        let writer = memory.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let subscriber =
            tracing_subscriber::registry().with(layer.with_filter(Shared(Arc::clone(&volume))));
        tracing::subscriber::with_default(subscriber, || work(&volume));
        let bytes = memory.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn repeated_lines_are_summed_up_and_debug_ones_are_not() {
        let text = logged(LogLevel::Debug, |volume| {
            for n in 0..MOST + 123 {
                tracing::warn!(n, "the same again");
                tracing::debug!("look");
            }
            volume.sum_up();
            tracing::warn!("another");
            volume.sum_up();
        });
        assert_eq!(
            text.matches("the same again").count() as u64,
            MOST + 1,
            "{text}"
        );
        assert_eq!(text.matches("look").count() as u64, MOST + 123);
        assert!(
            text.contains("… and 123 more like this in 10 s: the same again"),
            "{text}"
        );
        assert_eq!(text.matches("more like this").count(), 1);
    }

    #[test]
    fn spans_stay_when_the_level_rises_and_other_crates_stay_quiet() {
        let text = logged(LogLevel::Warning, |_| {
            let _span = tracing::info_span!("connection", client = "192.0.2.1").entered();
            tracing::info!("not shown");
            tracing::warn!("shown");
            tracing::info!(target: "hyper", "not shown");
        });
        assert!(
            text.contains("192.0.2.1") && text.contains("shown") && !text.contains("not shown"),
            "{text}"
        );
    }
}
