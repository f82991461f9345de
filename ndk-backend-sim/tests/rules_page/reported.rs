//! Section V: mistakes rather than rules, so no case is named after one. Cases of the rules that report a mistake try it.

/// How a mistake is seen.
pub(crate) struct Reported {
    pub(crate) id: &'static str,
    pub(crate) subject: &'static str,
    /// The rules whose cases try it.
    pub(crate) rules: &'static [&'static str],
    /// What no test tries, and why.
    pub(crate) left: &'static str,
}

const fn seen(
    id: &'static str,
    subject: &'static str,
    rules: &'static [&'static str],
    left: &'static str,
) -> Reported {
    Reported { id, subject, rules, left }
}

const NO_VERIFIER: &str =
    "it takes a verifier between consumer and provider, which is not written yet";
const FOREIGN: &str = "of a foreign table it takes a verifier, which is not written yet";

pub(crate) const REPORTED: &[Reported] = &[
    seen("V1", "a null completion routine", &["A7"], ""),
    seen("V2", "a completion routine of another shape", &[], "it cannot be told at run time"),
    seen("V3", "use after Close was called", &["H7"], "after the completion it cannot be told"),
    seen("V4", "a double Close", &["H7"], "after the completion it cannot be told"),
    seen("V5", "the adapter closed inside a callback", &["H5"], ""),
    seen(
        "V6",
        "objects left open at adapter close",
        &["H5"],
        "where they were created is not recorded",
    ),
    seen("V7", "a context used twice", &[], NO_VERIFIER),
    seen("V8", "a chain changed during its registration", &[], NO_VERIFIER),
    seen("V9", "flags that cannot be meant", &["C1", "G5"], ""),
    seen("V10", "a length in and out that was not initialised", &[], NO_VERIFIER),
    seen("V11", "tokens at the wrong time", &["E1"], "a getter that answers 0 logs nothing"),
    seen(
        "V12",
        "memory freed while registered",
        &[],
        "nothing reports it: the MDL builder keeps the memory",
    ),
    seen("V20", "a completion called twice", &["B1", "B2"], FOREIGN),
    seen("V21", "a callback after the close completion", &["H2"], FOREIGN),
    seen("V22", "the reserved block changed", &["A3"], FOREIGN),
    seen("V23", "Close completed while a request is pending", &["H2"], FOREIGN),
    seen("V24", "PENDING that never completes", &["B2"], FOREIGN),
    seen("V25", "tokens that cannot be", &["E1", "E2"], ""),
];
