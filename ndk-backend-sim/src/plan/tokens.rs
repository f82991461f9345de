//! How tokens are made, where that differs from the profile.

use std::str::FromStr;

use ndk_core::{Capabilities, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::PlanError;

/// What a device's tokens are like. Without it, as the profile says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tokens {
    /// Whether a region's local token works for peers too (E3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// Whether the low 8 bits of a fast-register region's remote token change with each round (E4).
    ///
    /// They do so when FastRegister is posted, before it returns; the token is readable from then on, and works once the
    /// request is carried out, until the Invalidate. With one key, the local token is the same key and changes with it. A
    /// region that was initialised without remote access has no token that changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate: Option<bool>,
}

/// How many keys a region with remote rights has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// `one`: its local and remote token are the same number, and each works on both sides, as on most hardware.
    One,
    /// `two`: each token works on its own side only.
    Two,
}

impl Tokens {
    pub(super) fn is_as_the_profile(&self) -> bool {
        *self == Self::default()
    }

    /// Makes it what the device declares.
    ///
    /// # Errors
    /// INVALID_PARAMETER for tokens that are to rotate on a device without fast registration.
    pub(crate) fn apply(&self, shape: &mut Capabilities) -> Result<()> {
        if let Some(keys) = self.keys {
            shape.shared_key = keys == Keys::One;
        }
        match (self.rotate, &mut shape.fast_registration) {
            (Some(rotate), Some(fast)) => fast.rotating = rotate,
            (Some(true), None) => {
                let cause = "no token can rotate: the device has no fast registration";
                return Err(Error::new(ErrorKind::InvalidParameter, cause).rule("E4"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl FromStr for Keys {
    type Err = PlanError;

    fn from_str(text: &str) -> std::result::Result<Self, PlanError> {
        match text {
            "one" => Ok(Self::One),
            "two" => Ok(Self::Two),
            _ => Err(PlanError(format!("{text:?} is no number of keys; there are one and two"))),
        }
    }
}
