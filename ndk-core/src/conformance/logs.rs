//! What the framework writes to the log while a case runs.

use std::cell::RefCell;
use std::sync::OnceLock;

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Keeps the lines of a thread that listens, and drops the rest.
struct Listener;

impl log::Log for Listener {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        LINES.with_borrow(Option::is_some)
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.push(record.args().to_string());
            }
        });
    }

    fn flush(&self) {}
}

/// Whether the kit can see the log; not where the program has a logger of its own.
pub(super) fn is_heard() -> bool {
    static HEARD: OnceLock<bool> = OnceLock::new();
    *HEARD.get_or_init(|| {
        let mine = log::set_logger(&Listener).is_ok();
        if mine {
            log::set_max_level(log::LevelFilter::Warn);
        }
        mine
    })
}

/// The lines that this thread writes meanwhile.
pub(super) fn during(act: impl FnOnce()) -> Vec<String> {
    LINES.set(Some(Vec::new()));
    act();
    LINES.take().unwrap_or_default()
}
