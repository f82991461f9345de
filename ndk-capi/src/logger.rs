//! The log, for programs that have no Rust logger: one callback for the process.

use crate::boundary::{guard, invalid};
use log::{LevelFilter, Log, Metadata, Record};
use ndk_core::abi::NTSTATUS;
use ndk_core::{Error, ErrorKind, Result};
use parking_lot::RwLock;
use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::LazyLock;

/// Gets a line of the log: context, level, where it comes from, text.
pub type ndkmr_log_callback =
    Option<unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *const c_char)>;

struct Sink {
    callback: unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *const c_char),
    context: *mut c_void,
}

// SAFETY: the context is a number to this library, and the header says that the callback is called on any thread,
// by several at once.
unsafe impl Send for Sink {}
// SAFETY: as for Send.
unsafe impl Sync for Sink {}

/// Where lines go. It is locked for reading while a callback runs, so that the change of it waits for the callback.
static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Whether this library is the logger of the process.
static INSTALLED: LazyLock<bool> = LazyLock::new(|| log::set_logger(&Forward).is_ok());

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a log callback.
pub(crate) fn is_inside_callback() -> bool {
    INSIDE.try_with(Cell::get).unwrap_or(false)
}

/// Sends the log to a callback.
///
/// # Safety
/// The callback may be called with the context, on any thread, until another one is set or none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_set_log(
    callback: ndkmr_log_callback,
    context: *mut c_void,
    level: c_int,
) -> NTSTATUS {
    guard("ndkmr_set_log", || {
        let filter = read_level(level)?;
        if is_inside_callback() {
            let cause = "called inside a log callback, for whose end it would wait";
            return Err(Error::new(ErrorKind::InvalidDeviceState, cause));
        }
        if !*INSTALLED {
            let cause = "this program has a logger of its own, which gets every line";
            return Err(Error::new(ErrorKind::InvalidDeviceState, cause));
        }
        let mut sink = SINK.write();
        *sink = callback.map(|callback| Sink { callback, context });
        log::set_max_level(if sink.is_some() { filter } else { LevelFilter::Off });
        Ok(())
    })
}

fn read_level(level: c_int) -> Result<LevelFilter> {
    LevelFilter::iter()
        .find(|filter| *filter as c_int == level)
        .ok_or_else(|| invalid(format!("{level} is no level of the log")))
}

/// This thread is at a line of the log.
struct Inside;

impl Inside {
    /// `None` where it is at one already: a line that a callback causes itself would wait for the lock that the
    /// callback's own line holds. So it is for a thread that is being torn down, which cannot tell.
    fn enter() -> Option<Self> {
        let entered = INSIDE.try_with(|inside| !inside.replace(true)).unwrap_or(false);
        entered.then_some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.set(false));
    }
}

struct Forward;

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let Some(_inside) = Inside::enter() else { return };
        let (target, message) = (text(record.target()), text(&record.args().to_string()));
        if let Some(sink) = &*SINK.read() {
            let level = record.level() as c_int;
            // SAFETY: `ndkmr_set_log` was promised that the callback may be called, and waits for this lock before
            // it returns to whoever takes that back.
            unsafe { (sink.callback)(sink.context, level, target.as_ptr(), message.as_ptr()) };
        }
    }

    fn flush(&self) {}
}

/// A line for C, in which a zero byte would be the end.
fn text(line: &str) -> CString {
    CString::new(line.replace('\0', "\u{fffd}")).unwrap_or_default()
}
