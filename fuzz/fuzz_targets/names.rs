//! Names of backends as C gives them: each is refused with a sentence, or gives an adapter that can be closed.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use ndk_core::abi::{NDK_VERSION, STATUS_SUCCESS};
use ndk_core::backend::BackendName;
use ndkmr::{ndkmr_close, ndkmr_last_error, ndkmr_open};
use std::ffi::CString;
use std::ptr::{null, null_mut};

/// The name of what the verifier is put over, which has options of its own.
fn below(name: &str) -> &str {
    let verified = || Some(name.strip_prefix("verify(")?.split_once(")+")?.1);
    name.strip_prefix("verify+").or_else(verified).unwrap_or(name)
}

fuzz_target!(|name: &[u8]| -> Corpus {
    let Ok(name) = CString::new(name) else { return Corpus::Reject };
    let parsed = name.to_str().ok().and_then(|name| below(name).parse::<BackendName>().ok());
    if let Some(parsed) = &parsed {
        assert_eq!(parsed.to_string().parse().as_ref(), Ok(parsed));
        // What is on the machine is none of the fuzzer's: devices, and files that are read as plans.
        if parsed.scheme() == "mlx" || parsed.options().any(|(key, _)| key == "plan") {
            return Corpus::Reject;
        }
    }
    let (version, mut adapter) = (NDK_VERSION { Major: 2, Minor: 0 }, null_mut());
    // SAFETY: the name ends with a zero byte, and the out pointer is live.
    let status = unsafe { ndkmr_open(name.as_ptr(), version, null(), &mut adapter) };
    assert_eq!(status == STATUS_SUCCESS, !adapter.is_null());
    if status == STATUS_SUCCESS {
        assert!(parsed.is_some());
        // SAFETY: it was opened just now, and nothing uses it.
        assert_eq!(unsafe { ndkmr_close(adapter) }, STATUS_SUCCESS);
    } else {
        // SAFETY: null may be given for a size of 0.
        assert_ne!(unsafe { ndkmr_last_error(null_mut(), 0) }, 0);
    }
    Corpus::Keep
});
