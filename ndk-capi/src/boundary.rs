//! What lies between C and Rust: panics end here, and a failure becomes a status with a sentence.

use ndk_core::abi::{NTSTATUS, STATUS_SUCCESS};
use ndk_core::{Error, ErrorKind, Result};
use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the body of an exported function.
pub(crate) fn guard(function: &'static str, body: impl FnOnce() -> Result<()>) -> NTSTATUS {
    // What a panic leaves half done is behind locks that are released, in tables whose entries are whole.
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(internal(panic)));
    match result {
        Ok(()) => STATUS_SUCCESS,
        Err(error) => {
            // A thread that is being torn down keeps no sentence.
            let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = format!("{function}: {error}"));
            error.status()
        }
    }
}

fn internal(panic: Box<dyn Any + Send>) -> Error {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "no message",
    };
    let error = Error::new(ErrorKind::Internal, format!("a panic: {text}"));
    // A payload whose own drop panics must not get past this frame, nor what comes of that.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    error
}

/// A refusal because of an argument.
pub(crate) fn invalid(cause: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidParameter, cause)
}

/// An out pointer that is not null.
///
/// # Errors
/// INVALID_PARAMETER for null.
pub(crate) fn out<T>(pointer: *mut *mut T) -> Result<*mut *mut T> {
    if pointer.is_null() { Err(invalid("the out pointer is null")) } else { Ok(pointer) }
}

/// Writes the last failure of this thread.
///
/// # Safety
/// `buffer` can be written up to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_last_error(buffer: *mut c_char, size: usize) -> usize {
    // SAFETY: the caller's promise.
    let write = |last: &RefCell<String>| unsafe { write_text(&last.borrow(), buffer, size) };
    LAST_ERROR.try_with(write).unwrap_or_else(|_| write(&RefCell::default()))
}

/// Writes a text to a buffer of C's, ended by a zero byte and cut to fit, and gives the length of the whole.
///
/// # Safety
/// `buffer` is null, or can be written up to `size` bytes.
pub(crate) unsafe fn write_text(text: &str, buffer: *mut c_char, size: usize) -> usize {
    if !buffer.is_null() && size > 0 {
        let shown = &text[..text.floor_char_boundary(size - 1)];
        // SAFETY: the text and its zero byte have at most `size` bytes, which the caller lets be written.
        unsafe {
            buffer.cast::<u8>().copy_from_nonoverlapping(shown.as_ptr(), shown.len());
            buffer.add(shown.len()).write(0);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_core::abi::{STATUS_INTERNAL_ERROR, STATUS_INVALID_PARAMETER};
    use std::ffi::CStr;

    fn last_error(size: usize) -> (usize, String) {
        let mut buffer = vec![b'x' as c_char; size + 1];
        // SAFETY: the buffer has that size.
        let length = unsafe { ndkmr_last_error(buffer.as_mut_ptr(), size) };
        assert_eq!(buffer[size], b'x' as c_char, "written beyond the end");
        // SAFETY: ended by a zero byte, as size is not 0.
        let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
        (length, text.to_str().expect("cut at a character").into())
    }

    #[test]
    fn a_failure_has_a_sentence_that_is_cut_to_fit() {
        assert_eq!(last_error(9), (0, String::new()));
        assert_eq!(guard("f", || Err(invalid("ä"))), STATUS_INVALID_PARAMETER);
        let whole = "f: STATUS_INVALID_PARAMETER (0xc000000d): ä";
        assert_eq!(last_error(whole.len() + 1), (whole.len(), whole.into()));
        assert_eq!(last_error(whole.len()), (whole.len(), whole.trim_end_matches('ä').into()));
        assert_eq!(last_error(1), (whole.len(), String::new()));
        // SAFETY: nothing is written.
        assert_eq!(unsafe { ndkmr_last_error(std::ptr::null_mut(), 0) }, whole.len());
        assert_eq!(guard("g", || Ok(())), STATUS_SUCCESS);
        assert_eq!(last_error(2).0, whole.len(), "a success leaves it");
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        assert_eq!(guard("f", || panic!("{}", "formatted")), STATUS_INTERNAL_ERROR);
        assert!(last_error(200).1.ends_with("a panic: formatted"));
        assert_eq!(guard("f", || panic!("plain")), STATUS_INTERNAL_ERROR);
        assert!(last_error(200).1.ends_with("a panic: plain"));
        assert_eq!(guard("f", || std::panic::panic_any(7)), STATUS_INTERNAL_ERROR);
        assert!(last_error(200).1.ends_with("a panic: no message"));
    }
}
