//! What a status of an entry means to its caller, in words.

use crate::abi::NTSTATUS;
use crate::error::{Error, ErrorKind, Result};
use alloc::format;

/// An entry that answers with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    QueryAdapterInfo,
    CreatePd,
    CreateMr,
    Register,
    Deregister,
    InitializeFastRegister,
    Close,
    QueryExtension,
    BuildLam,
}

impl Entry {
    /// The member of the table.
    fn name(self) -> &'static str {
        match self {
            Self::QueryAdapterInfo => "NdkQueryAdapterInfo",
            Self::CreatePd => "NdkCreatePd",
            Self::CreateMr => "NdkCreateMr",
            Self::Register => "NdkRegisterMr",
            Self::Deregister => "NdkDeregisterMr",
            Self::InitializeFastRegister => "NdkInitializeFastRegisterMr",
            Self::Close => "the close entry",
            Self::QueryExtension => "NdkQueryExtension",
            Self::BuildLam => "NdkBuildLAM",
        }
    }

    /// Turns a final status into a result. PENDING is none and counts as a broken promise.
    pub(crate) fn check(self, status: NTSTATUS) -> Result<()> {
        Error::check(status, "").map_err(|error| {
            let kind = error.kind();
            let cause = if error.detail().is_empty() { self.cause(kind) } else { error.detail() };
            Error::new(kind, format!("{}: {cause}", self.name()))
        })
    }

    /// The likely cause, and what to change.
    fn cause(self, kind: ErrorKind) -> &'static str {
        use Entry::{
            BuildLam, CreateMr, Deregister, InitializeFastRegister, QueryExtension, Register,
        };
        match (self, kind) {
            (Register, ErrorKind::InvalidParameter) => {
                "the length is 0, beyond the memory or above the adapter's MaxRegistrationSize, or the MDL chain \
                 has a hole or is not locked"
            }
            (Register, ErrorKind::InvalidDeviceState) => {
                "the region is registered already, made for fast registration, or being closed"
            }
            (Register, ErrorKind::NotSupported) => {
                "the device cannot register such memory: scattered pages, or a virtual address that is not the host's"
            }
            (Deregister, ErrorKind::DeviceBusy) => {
                "a memory window is bound to the region: invalidate or close the window first"
            }
            (Deregister, ErrorKind::InvalidDeviceState) => "the region is not registered",
            (InitializeFastRegister, ErrorKind::InvalidParameter) => "the number of pages is 0",
            (InitializeFastRegister, ErrorKind::ImplementationLimit) => {
                "more pages than the adapter's FRMRPageCount"
            }
            (InitializeFastRegister, ErrorKind::InvalidDeviceState) => {
                "the region was made for conventional registration, or its fast registration was not invalidated"
            }
            (CreateMr, ErrorKind::InsufficientResources) => {
                "the adapter's limit of regions, or memory, is used up: closing a region makes room"
            }
            (QueryExtension, ErrorKind::NotSupported) => {
                "there is no extension interface of that name and version"
            }
            (BuildLam, ErrorKind::InvalidParameter) => {
                "the length is 0 or beyond the memory, or the MDL chain has a hole or is not locked"
            }
            (_, ErrorKind::InvalidParameter) => "an argument is never right",
            (_, ErrorKind::InvalidDeviceState) => "the object's state forbids the call",
            (_, ErrorKind::InsufficientResources) => {
                "a limit of memory, pins, regions or tokens is reached; a later try may succeed"
            }
            (_, ErrorKind::NotSupported) => "the device or its provider cannot do it",
            (_, ErrorKind::Cancelled) => "the request was given up before it took effect",
            (_, ErrorKind::DeviceRemoved) => "the device is gone: closing is what is left",
            (_, ErrorKind::Internal) => "the provider failed: closing the object is what is left",
            (_, ErrorKind::DeviceBusy) => "something else still uses the object",
            (_, ErrorKind::Other(_)) => "a status that the contract does not use",
            _ => "the provider refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{STATUS_PENDING, STATUS_SUCCESS};
    use alloc::string::ToString;

    #[test]
    fn every_failure_has_a_status_a_name_and_a_sentence() {
        let entries = [
            Entry::QueryAdapterInfo,
            Entry::CreatePd,
            Entry::CreateMr,
            Entry::Register,
            Entry::Deregister,
            Entry::InitializeFastRegister,
            Entry::Close,
            Entry::QueryExtension,
            Entry::BuildLam,
        ];
        for entry in entries {
            for &kind in ErrorKind::ALL.iter().filter(|kind| kind.status() < 0) {
                let error = entry.check(kind.status()).unwrap_err();
                assert_eq!((error.kind(), error.status()), (kind, kind.status()));
                let cause = error.detail().strip_prefix(entry.name()).expect("the entry's name");
                assert!(cause.starts_with(": ") && cause.len() > ": ".len(), "{error}");
            }
        }
        let text = Entry::Deregister.check(ErrorKind::DeviceBusy.status()).unwrap_err().to_string();
        assert!(
            text.starts_with("STATUS_DEVICE_BUSY (0x80000011): NdkDeregisterMr: a memory window")
        );
        assert!(Entry::Close.check(STATUS_SUCCESS).is_ok());
        let broken = Entry::Close.check(STATUS_PENDING).unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::Internal);
    }

    #[test]
    fn an_entry_says_its_own_cause_where_it_knows_one() {
        let own = [
            (Entry::Register, ErrorKind::InvalidParameter, "MaxRegistrationSize"),
            (Entry::Register, ErrorKind::InvalidDeviceState, "registered already"),
            (Entry::Register, ErrorKind::NotSupported, "scattered pages"),
            (Entry::Deregister, ErrorKind::DeviceBusy, "a memory window is bound"),
            (Entry::Deregister, ErrorKind::InvalidDeviceState, "the region is not registered"),
            (Entry::InitializeFastRegister, ErrorKind::InvalidParameter, "pages is 0"),
            (Entry::InitializeFastRegister, ErrorKind::ImplementationLimit, "FRMRPageCount"),
            (Entry::InitializeFastRegister, ErrorKind::InvalidDeviceState, "was not invalidated"),
            (Entry::CreateMr, ErrorKind::InsufficientResources, "closing a region makes room"),
            (Entry::QueryExtension, ErrorKind::NotSupported, "extension interface"),
            (Entry::BuildLam, ErrorKind::InvalidParameter, "beyond the memory"),
        ];
        for (entry, kind, said) in own {
            let cause = entry.cause(kind);
            assert!(cause.contains(said), "{entry:?} {kind:?}: {cause}");
        }
    }

    #[test]
    fn what_any_entry_may_fail_with_has_a_sentence_of_its_own() {
        let mut said = [
            ErrorKind::InvalidParameter,
            ErrorKind::InvalidDeviceState,
            ErrorKind::InsufficientResources,
            ErrorKind::NotSupported,
            ErrorKind::Cancelled,
            ErrorKind::DeviceRemoved,
            ErrorKind::Internal,
            ErrorKind::DeviceBusy,
            ErrorKind::Other(STATUS_PENDING),
            ErrorKind::ImplementationLimit,
        ]
        .map(|kind| Entry::Close.cause(kind));
        said.sort_unstable();
        assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "{said:?}");
    }
}
