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

const VERIFIER: &str = "the kit runs without the verifier, whose own tests try it";

pub(crate) const REPORTED: &[Reported] = &[
    seen("V1", "a null completion routine", &["A7"], ""),
    seen("V2", "a completion routine of another shape", &[], "it cannot be told at run time"),
    seen("V3", "use after Close was called", &["H7"], ""),
    seen("V4", "a double Close", &["H7"], ""),
    seen("V5", "the adapter closed inside a callback", &["H5"], ""),
    seen("V6", "objects left open at adapter close", &["H5"], ""),
    seen("V7", "a context used twice", &[], VERIFIER),
    seen("V8", "a chain changed during its registration", &[], VERIFIER),
    seen("V9", "flags that cannot be meant", &["C1", "G5"], ""),
    seen("V10", "a length in and out that was not initialised", &[], VERIFIER),
    seen("V11", "tokens at the wrong time", &["E1"], ""),
    seen("V12", "memory freed while registered", &[], VERIFIER),
    seen("V20", "a completion called twice", &["B1", "B2"], ""),
    seen("V21", "a callback after the close completion", &["H2"], ""),
    seen("V22", "the reserved block changed", &["A3"], ""),
    seen("V23", "Close completed while a request is pending", &["H2"], ""),
    seen("V24", "PENDING that never completes", &["B2"], ""),
    seen("V25", "tokens that cannot be", &["E1", "E2"], ""),
];
