//! What the device's completion codes mean, by a table.

use crate::sys::work::*;
use ndk_core::ErrorKind;

/// How a request ended, and why that is its kind.
const STATUSES: &[(u32, Result<(), ErrorKind>)] = &[
    (IBV_WC_SUCCESS, Ok(())),
    // The message is longer than the receive, or the request than the device takes.
    (IBV_WC_LOC_LEN_ERR, Err(ErrorKind::BufferTooSmall)),
    // The device could not carry the request out: most often a key that leads nowhere.
    (IBV_WC_LOC_QP_OP_ERR, Err(ErrorKind::AccessViolation)),
    (IBV_WC_LOC_EEC_OP_ERR, Err(ErrorKind::Internal)),
    // An element's key, range or rights.
    (IBV_WC_LOC_PROT_ERR, Err(ErrorKind::AccessViolation)),
    (IBV_WC_WR_FLUSH_ERR, Err(ErrorKind::Cancelled)),
    (IBV_WC_MW_BIND_ERR, Err(ErrorKind::AccessViolation)),
    // The peer does not speak the protocol.
    (IBV_WC_BAD_RESP_ERR, Err(ErrorKind::Internal)),
    (IBV_WC_LOC_ACCESS_ERR, Err(ErrorKind::AccessViolation)),
    // A token that a message was to invalidate, or a message longer than the peer's receive.
    (IBV_WC_REM_INV_REQ_ERR, Err(ErrorKind::AccessViolation)),
    (IBV_WC_REM_ACCESS_ERR, Err(ErrorKind::AccessViolation)),
    // The peer's own receive was at fault.
    (IBV_WC_REM_OP_ERR, Err(ErrorKind::RemoteResources)),
    (IBV_WC_RETRY_EXC_ERR, Err(ErrorKind::Timeout)),
    (IBV_WC_RNR_RETRY_EXC_ERR, Err(ErrorKind::RemoteResources)),
    (IBV_WC_LOC_RDD_VIOL_ERR, Err(ErrorKind::Internal)),
    (IBV_WC_REM_INV_RD_REQ_ERR, Err(ErrorKind::Internal)),
    (IBV_WC_REM_ABORT_ERR, Err(ErrorKind::Cancelled)),
    (IBV_WC_INV_EECN_ERR, Err(ErrorKind::Internal)),
    (IBV_WC_INV_EEC_STATE_ERR, Err(ErrorKind::Internal)),
    (IBV_WC_FATAL_ERR, Err(ErrorKind::DeviceRemoved)),
    (IBV_WC_RESP_TIMEOUT_ERR, Err(ErrorKind::Timeout)),
    (IBV_WC_GENERAL_ERR, Err(ErrorKind::Internal)),
];

/// The result of a completion.
pub(super) fn result_of(status: u32) -> Result<(), ErrorKind> {
    let known = STATUSES.iter().find(|(code, _)| *code == status);
    known.map_or(Err(ErrorKind::Internal), |(_, result)| *result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_place_in_the_table() {
        for (at, (code, _)) in STATUSES.iter().enumerate() {
            assert_eq!(*code as usize, at, "the codes count up, none is missing or there twice");
        }
    }

    #[test]
    fn codes_become_the_statuses_of_the_contract() {
        for (code, result) in [
            (IBV_WC_SUCCESS, Ok(())),
            (IBV_WC_LOC_PROT_ERR, Err(ErrorKind::AccessViolation)),
            (IBV_WC_REM_ACCESS_ERR, Err(ErrorKind::AccessViolation)),
            (IBV_WC_WR_FLUSH_ERR, Err(ErrorKind::Cancelled)),
            (IBV_WC_RNR_RETRY_EXC_ERR, Err(ErrorKind::RemoteResources)),
            (IBV_WC_RETRY_EXC_ERR, Err(ErrorKind::Timeout)),
            (1000, Err(ErrorKind::Internal)),
        ] {
            assert_eq!(result_of(code), result, "{code}");
        }
    }
}
