//! The log callback. It is one for the process, so one test has it to itself.

use ndk_core::abi::{
    NDK_ADAPTER, NDK_VERSION, NTSTATUS, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};
use ndkmr::*;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{from_ref, null, null_mut};
use std::sync::Mutex;

/// What a callback got, and what the library answered to it.
#[derive(Default)]
struct Seen {
    lines: Mutex<Vec<(c_int, String, String)>>,
    answers: Mutex<Vec<NTSTATUS>>,
}

unsafe extern "C" fn note(
    context: *mut c_void,
    level: c_int,
    target: *const c_char,
    message: *const c_char,
) {
    // SAFETY: the context is a `Seen` that the test keeps; the texts end with a zero byte.
    let (seen, target, message) =
        unsafe { (&*context.cast::<Seen>(), CStr::from_ptr(target), CStr::from_ptr(message)) };
    let text = |text: &CStr| text.to_str().unwrap().to_owned();
    seen.lines.lock().unwrap().push((level, text(target), text(message)));
    // SAFETY: refused.
    let answers = unsafe { [ndkmr_set_log(Some(note), context, 5), ndkmr_close(null_mut())] };
    seen.answers.lock().unwrap().extend(answers);
}

/// Causes a line at level 2.
fn refused_open() {
    let mut adapter: *mut NDK_ADAPTER = null_mut();
    let version = NDK_VERSION { Major: 2, Minor: 0 };
    // SAFETY: all valid.
    let status = unsafe { ndkmr_open(c"none%00such".as_ptr(), version, null(), &mut adapter) };
    assert_eq!(status, STATUS_INVALID_PARAMETER);
}

#[test]
fn a_callback_gets_lines_up_to_its_level_until_another_takes_its_place() {
    let (first, second) = (Seen::default(), Seen::default());
    let set = |seen: Option<&Seen>, level| {
        let context = seen.map_or(null_mut(), |seen| from_ref(seen).cast_mut().cast());
        // SAFETY: the contexts live until no callback is set.
        unsafe { ndkmr_set_log(seen.map(|_| note as _), context, level) }
    };
    let count = |seen: &Seen| seen.lines.lock().unwrap().len();

    refused_open();
    assert_eq!(set(Some(&first), 6), STATUS_INVALID_PARAMETER);
    assert_eq!(set(Some(&first), -1), STATUS_INVALID_PARAMETER);
    refused_open();
    assert_eq!(count(&first), 0, "off is how it starts");

    assert_eq!(set(Some(&first), 2), STATUS_SUCCESS);
    refused_open();
    let lines = first.lines.lock().unwrap().clone();
    assert!(
        matches!(&*lines, [(2, target, message)]
        if target.starts_with("ndk_core") && message.contains("none%00such")),
        "{lines:?}"
    );
    let answers = first.answers.lock().unwrap().clone();
    assert_eq!(answers, [STATUS_INVALID_DEVICE_STATE; 2], "calls inside a callback");

    assert_eq!(set(Some(&first), 1), STATUS_SUCCESS);
    refused_open();
    assert_eq!(count(&first), 1, "a level that is too low");

    assert_eq!(set(Some(&second), 5), STATUS_SUCCESS);
    refused_open();
    assert_eq!((count(&first), count(&second)), (1, 1));

    // Lines of several threads at once, while the callback changes.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| refused_open()));
        }
        for round in 0..50 {
            let seen = if round % 2 == 0 { &first } else { &second };
            assert_eq!(set(Some(seen), 2), STATUS_SUCCESS);
        }
    });
    assert_eq!(count(&first) + count(&second), 202);

    assert_eq!(set(None, 5), STATUS_SUCCESS);
    refused_open();
    assert_eq!(count(&first) + count(&second), 202);
}
