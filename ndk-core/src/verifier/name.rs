//! The layer in a backend's name: `verify+sim`, `verify(policy=fail,limit=5s)+sim?seed=7`.

use super::{Policy, Verifier};
use crate::backend::{BackendName, Options};
use crate::error::{Error, ErrorKind, Result};
use alloc::format;
use alloc::string::String;
use core::time::Duration;

const LAYER: &str = "verify";

fn refuse(text: &str, cause: &str) -> Error {
    let detail = format!(
        "{text:?} is no name of a backend: {cause}; the verifier stands before a name, as in verify+sim or \
         verify(policy=fail,limit=5s)+sim"
    );
    Error::new(ErrorKind::InvalidParameter, detail)
}

/// Splits the layer from a name: how it verifies, starting from `base`, and the name of what. `None` where the name
/// has no such layer.
///
/// # Errors
/// INVALID_PARAMETER for a layer that is not spelt as it must be, or an option that it does not have.
pub(crate) fn split_name<'n>(
    name: &'n str,
    base: &Verifier,
) -> Result<Option<(Verifier, &'n str)>> {
    let Some(rest) = name.strip_prefix(LAYER) else { return Ok(None) };
    if let Some(below) = rest.strip_prefix('+') {
        return checked(name, base.clone(), below).map(Some);
    }
    let Some(rest) = rest.strip_prefix('(') else { return Ok(None) };
    let Some((options, below)) = rest.split_once(")+") else {
        return Err(refuse(name, "its options do not end with \")+\""));
    };
    checked(name, read(options, base)?, below).map(Some)
}

fn checked<'n>(name: &str, verifier: Verifier, below: &'n str) -> Result<(Verifier, &'n str)> {
    if below.starts_with("verify+") || below.starts_with("verify(") {
        return Err(refuse(name, "the verifier is given twice"));
    }
    Ok((verifier, below))
}

/// Reads `policy=fail,limit=5s`.
fn read(options: &str, base: &Verifier) -> Result<Verifier> {
    // Spelt as a name's options are, so that one reader serves both.
    let mut text = String::from(LAYER);
    if !options.is_empty() {
        text.push('?');
        text.push_str(&options.replace(',', "&"));
    }
    let name: BackendName = text.parse()?;
    let mut options = Options::of(&name);
    let policy = options.take_with(
        "policy",
        "log (where nothing is said), count (nothing is logged) or fail (mistakes fail the call, too)",
        policy,
    )?;
    let limit = options.take_with(
        "limit",
        "for how long a request may pend, and a close wait for what was never closed, as in 500ms, 5s or 2m; 30s",
        duration,
    )?;
    let backtraces = options.take(
        "backtraces",
        "false: does not keep where objects were created, which costs time and memory for each; true",
    )?;
    let contexts = options.take_with(
        "contexts",
        "shared: requests in progress may have one context together, as where completions are only counted; own",
        contexts,
    )?;
    options.finish()?;
    let mut verifier = base.clone();
    verifier.policy = policy.unwrap_or(verifier.policy);
    verifier.limit = limit.unwrap_or(verifier.limit);
    verifier.backtraces = backtraces.unwrap_or(verifier.backtraces);
    verifier.shared_contexts = contexts.unwrap_or(verifier.shared_contexts);
    Ok(verifier)
}

fn policy(text: &str) -> Result<Policy, &'static str> {
    match text {
        "log" => Ok(Policy::Log),
        "count" => Ok(Policy::Count),
        "fail" => Ok(Policy::Fail),
        _ => Err("it is none of log, count and fail"),
    }
}

/// Whether contexts may be shared.
fn contexts(text: &str) -> Result<bool, &'static str> {
    match text {
        "own" => Ok(false),
        "shared" => Ok(true),
        _ => Err("it is neither own nor shared"),
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "it is no whole number and unit")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or("it is too large"),
        _ => Err("its unit is none of ms, s and m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(name: &str) -> Option<(Verifier, &str)> {
        split_name(name, &Verifier::new()).unwrap()
    }

    #[test]
    fn the_layer_has_options_of_its_own_and_leaves_the_backends() {
        let (verifier, below) = split("verify+sim?seed=7&policy=x").unwrap();
        assert_eq!((verifier.policy, below), (Policy::Log, "sim?seed=7&policy=x"));
        let name = "verify(policy=fail,limit=250ms,backtraces=false)+mlx:rxe0?address=10.0.0.1";
        let (verifier, below) = split(name).unwrap();
        assert_eq!((verifier.policy, verifier.backtraces), (Policy::Fail, false));
        assert_eq!(
            (verifier.limit, below),
            (Duration::from_millis(250), "mlx:rxe0?address=10.0.0.1")
        );
        assert_eq!(split("verify()+sim").unwrap().1, "sim");
        assert!(split("verify(contexts=shared)+sim").unwrap().0.shared_contexts);
        assert_eq!(split("verify(limit=2m)+a").unwrap().0.limit, Duration::from_secs(120));
        for other in ["sim", "verifying+sim", "verify", "verify?a=b", "sim?x=verify+sim"] {
            assert!(split(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_said_by_the_program_holds_where_the_name_says_nothing() {
        let base = Verifier::new().policy(Policy::Count).limit(Duration::from_secs(1));
        let (verifier, _) = split_name("verify(limit=9s)+sim", &base).unwrap().unwrap();
        assert_eq!((verifier.policy, verifier.limit), (Policy::Count, Duration::from_secs(9)));
    }

    #[test]
    fn a_mistake_in_the_layer_is_told() {
        for (name, said) in [
            ("verify(policy=fail+sim", "do not end with"),
            ("verify(policy=fail)sim", "do not end with"),
            ("verify(polcy=fail)+sim", "has no option \"polcy\""),
            ("verify(policy=shout)+sim", "none of log, count and fail"),
            ("verify(limit=5)+sim", "none of ms, s and m"),
            ("verify(limit=s)+sim", "no whole number"),
            ("verify(contexts=mine)+sim", "neither own nor shared"),
            ("verify+verify+sim", "given twice"),
            ("verify(policy=log)+verify(limit=1s)+sim", "given twice"),
        ] {
            let error = split_name(name, &Verifier::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidParameter);
            assert!(error.detail().contains(said), "{name}: {error}");
        }
    }
}
