//! What a refusal of the framework says of the consumer: which of the verifier's rules it breaks, and what would be right.

use crate::error::{Error, ErrorKind};
use alloc::vec;
use alloc::vec::Vec;

/// What would be right, by the rule that comes first.
const RIGHT: &[(&str, &str)] = &[
    (
        "V1",
        "give a completion routine with every call that takes one, also where it will complete inline",
    ),
    ("V3", "do not use an object once its Close was called, from any thread"),
    ("V4", "call Close once; where it returned PENDING, the close completion tells of the end"),
    (
        "V5",
        "close the adapter on a thread that is in none of its callbacks; a callback may wake one",
    ),
    (
        "V6",
        "close every object, and wait for the close completions of those that pend, before the adapter's close",
    ),
    ("V7", "give each request in progress a context of its own, until its completion was called"),
    (
        "V8",
        "leave the MDL chain as it is, locked, until the registration's completion was called or it returned inline",
    ),
    (
        "V9",
        "give a union of 0x1, 0x2, 0x5 and 0x8, with remote rights only where the region was made for them",
    ),
    ("V10", "set the length to the buffer's size in bytes before the call"),
    (
        "V11",
        "read a token after its registration has completed, and use it until the deregistration is called",
    ),
    ("V12", "free the memory after its deregistration, or its region's close, has completed"),
    ("A1", "give a pointer to where the new object is to be stored"),
    ("C3", "let two MDLs that meet inside a page name the same frame"),
    (
        "C4",
        "chain MDLs that follow each other in virtual addresses, with StartVa page-aligned and Size as it must be",
    ),
    ("C5", "give a length that the MDL chain covers"),
    ("C6", "give a length above 0"),
    ("C7", "give an address and a length whose sum stays below 2^64"),
    ("C8", "give at most the adapter's MaxRegistrationSize"),
    (
        "C11",
        "initialise a region that was created for fast registration, and fast-register it on a queue pair",
    ),
    ("C12", "register a region that is not registered, one request at a time"),
    ("C15", "lock the pages of every MDL of the chain before the call"),
    ("D1", "deregister what is registered, once"),
    ("D2", "invalidate or close the windows that are bound to the region first"),
    ("F5", "use objects of the queue pair's protection domain"),
    ("G1", "create the region for fast registration"),
    ("G2", "ask for 1 page to the adapter's FRMRPageCount"),
    (
        "G3",
        "invalidate the fast registration, and take its completion, before another initialisation",
    ),
    (
        "G4",
        "give page addresses, offset, base and length that agree with each other, of no more pages than initialised",
    ),
    ("G7", "invalidate before the next fast registration"),
    ("G8", "invalidate what is fast-registered or bound, once; a peer may have done it"),
    ("G10", "initialise the region again, or close it, after its queue pair was flushed"),
    ("L2", "give pages that lie inside one live mapping"),
    (
        "L4",
        "give pointers for mapping, size and offset, and release a mapping once, when nothing uses it any more",
    ),
];

/// What would be right where a rule is broken.
pub(super) fn right(rule: &str) -> &'static str {
    let known = RIGHT.iter().find(|(known, _)| *known == rule);
    known.map_or("what the contract says under this rule", |(_, right)| right)
}

/// The rules that a refused call has broken; none where the refusal is an answer that a correct consumer gets too.
pub(super) fn of_refusal(is_adapter: bool, call: &str, error: &Error) -> Vec<&'static str> {
    use ErrorKind::{
        AccessViolation, DeviceBusy, ImplementationLimit, InvalidDeviceState, InvalidParameter,
    };
    let rule = error.rule_id();
    let is_mistake = matches!(
        error.kind(),
        InvalidParameter | InvalidDeviceState | DeviceBusy | ImplementationLimit | AccessViolation
    );
    if !is_mistake || rule.is_empty() {
        return Vec::new();
    }
    match rule {
        "A7" => vec!["V1", rule],
        "H7" if call == "close" => vec!["V4", rule],
        "H5" if call == "close" && is_adapter => vec!["V5", rule],
        "H7" | "H5" => vec!["V3", rule],
        "C1" | "G5" => vec!["V9", rule],
        // Refused by this layer, which has told already.
        _ if rule.starts_with('V') => Vec::new(),
        _ => vec![rule],
    }
}

/// What a provider is to do instead.
pub(super) fn providers_right(rule: &str) -> &'static str {
    match rule {
        "V20" => {
            "call a completion once where the entry returned PENDING, and never where it did not"
        }
        "V21" => "let the close completion be the last call for an object",
        "V22" => "leave the reserved block of an object's header to the consumer",
        "V23" => "complete every request of an object before its close",
        "V24" => "complete every request that returned PENDING, be it with an error",
        "V25" => "give each live region tokens of its own, none of them 0 where it has the right",
        "D4" => "keep a retired token away for as many deregistrations as was declared",
        "E3" => "give no remote token to a region without remote rights",
        _ => "what the contract says under this rule",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_about_consumers_says_what_would_be_right() {
        for rule in (1..=12).filter(|&rule| rule != 2) {
            let name = alloc::format!("V{rule}");
            assert!(RIGHT.iter().any(|(known, _)| *known == name), "{name}");
        }
        for rule in 20..=25 {
            let name = alloc::format!("V{rule}");
            assert_ne!(providers_right(&name), providers_right(""), "{name}");
        }
    }

    #[test]
    fn what_a_correct_consumer_can_get_is_no_mistake() {
        for (kind, rule) in [
            (ErrorKind::InsufficientResources, "C14"),
            (ErrorKind::DeviceRemoved, "H8"),
            (ErrorKind::NotSupported, "K2"),
            (ErrorKind::BufferTooSmall, "L4"),
            (ErrorKind::ConnectionInvalid, "G6"),
            (ErrorKind::Cancelled, "B9"),
            (ErrorKind::Internal, "B8"),
            (ErrorKind::InvalidParameter, ""),
        ] {
            let error = Error::new(kind, "x").rule(rule);
            assert!(of_refusal(false, "register", &error).is_empty(), "{rule}");
        }
        let twice = Error::new(ErrorKind::InvalidDeviceState, "x").rule("H7");
        assert_eq!(of_refusal(false, "close", &twice), ["V4", "H7"]);
        assert_eq!(of_refusal(false, "register", &twice), ["V3", "H7"]);
    }
}
