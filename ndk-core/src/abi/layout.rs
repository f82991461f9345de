//! Pins size, alignment and every offset of the C structures, so that no build can change them.
//!
//! Checked on 64-bit targets and on 32-bit Windows. Other 32-bit platforms align 64-bit integers to
//! four bytes where Windows says eight, so the Windows figures do not hold there.

#![cfg(any(target_pointer_width = "64", all(target_pointer_width = "32", windows)))]

use super::*;
use core::mem::{align_of, offset_of, size_of};

/// The figure for this target, of the one for 64-bit targets and the one for 32-bit Windows.
const fn pick(wide: usize, narrow: usize) -> usize {
    if cfg!(target_pointer_width = "64") { wide } else { narrow }
}

/// Asserts `type: size/align { field: offset }`, with each figure as `64-bit | 32-bit Windows`.
///
/// A figure that is the same on both may stand alone.
macro_rules! layout {
    ($(
        $type:ident: $size:literal $(| $size32:literal)?, align $align:literal $(| $align32:literal)? {
            $($($field:ident).+: $offset:literal $(| $offset32:literal)?),+ $(,)?
        }
    )+) => {
        $(
            const _: () = assert!(size_of::<$type>() == layout!(@ $size $($size32)?));
            const _: () = assert!(align_of::<$type>() == layout!(@ $align $($align32)?));
            $(
                const _: () =
                    assert!(offset_of!($type, $($field).+) == layout!(@ $offset $($offset32)?));
            )+
        )+
    };
    (@ $both:literal) => { $both };
    (@ $wide:literal $narrow:literal) => { pick($wide, $narrow) };
}

/// Asserts that a dispatch table is one pointer after another, in this order and with no others.
macro_rules! table {
    ($($type:ident { $($member:ident),+ $(,)? })+) => {
        $(
            const _: () = {
                let mut offset = 0;
                $(
                    assert!(offset_of!($type, $member) == offset);
                    offset += size_of::<usize>();
                )+
                assert!(size_of::<$type>() == offset);
                assert!(align_of::<$type>() == align_of::<usize>());
            };
        )+
    };
}

/// Asserts that an object is the common header, then the address of its table.
macro_rules! object {
    ($($type:ident)+) => {
        layout! { $($type: 48 | 28, align 8 | 4 { Header: 0, Dispatch: 40 | 24 })+ }
    };
}

layout! {
    GUID: 16, align 4 { Data1: 0, Data2: 4, Data3: 6, Data4: 8 }
    PHYSICAL_ADDRESS: 8, align 8 { u.LowPart: 0, u.HighPart: 4, QuadPart: 0 }
    GROUP_AFFINITY: 16 | 12, align 8 | 4 { Mask: 0, Group: 8 | 4, Reserved: 10 | 6 }
    SOCKADDR: 16, align 2 { sa_family: 0, sa_data: 2 }
    MDL: 48 | 28, align 8 | 4 {
        Next: 0,
        Size: 8 | 4,
        MdlFlags: 10 | 6,
        Process: 16 | 8,
        MappedSystemVa: 24 | 12,
        StartVa: 32 | 16,
        ByteCount: 40 | 20,
        ByteOffset: 44 | 24,
    }
    NDK_VERSION: 4, align 2 { Major: 0, Minor: 2 }
    NDK_OBJECT_HEADER_RESERVED_BLOCK: 32 | 16, align 8 | 4 { rf: 0 }
    NDK_OBJECT_HEADER: 40 | 24, align 8 | 4 { Version: 0, ObjectType: 4, NdkReserved: 8 }
    NDK_EXTENSION_INTERFACE: 8 | 4, align 8 | 4 { Dispatch: 0 }
    NDK_ADAPTER_INFO: 104 | 88, align 8 | 4 {
        Version: 0,
        VendorId: 4,
        DeviceId: 8,
        MaxRegistrationSize: 16 | 12,
        MaxWindowSize: 24 | 16,
        FRMRPageCount: 32 | 20,
        MaxInitiatorRequestSge: 36 | 24,
        MaxReceiveRequestSge: 40 | 28,
        MaxReadRequestSge: 44 | 32,
        MaxTransferLength: 48 | 36,
        MaxInlineDataSize: 52 | 40,
        MaxInboundReadLimit: 56 | 44,
        MaxOutboundReadLimit: 60 | 48,
        MaxReceiveQueueDepth: 64 | 52,
        MaxInitiatorQueueDepth: 68 | 56,
        MaxSrqDepth: 72 | 60,
        MaxCqDepth: 76 | 64,
        LargeRequestThreshold: 80 | 68,
        MaxCallerData: 84 | 72,
        MaxCalleeData: 88 | 76,
        AdapterFlags: 92 | 80,
        RdmaTechnology: 96 | 84,
    }
    NDK_LOGICAL_ADDRESS: 8, align 8 { u.LowPart: 0, u.HighPart: 4, QuadPart: 0 }
    NDK_LOGICAL_ADDRESS_MAPPING: 24 | 16, align 8 {
        AdapterContext: 0,
        AdapterPageCount: 8 | 4,
        AdapterPageArray: 16 | 8,
    }
    NDK_SGE: 16, align 8 {
        Address.VirtualAddress: 0,
        Address.LogicalAddress: 0,
        Length: 8,
        MemoryRegionToken: 12,
    }
    NDK_RESULT: 24 | 16, align 8 | 4 {
        Status: 0,
        BytesTransferred: 4,
        QPContext: 8,
        RequestContext: 16 | 12,
    }
    NDK_RESULT_EX: 40 | 24, align 8 | 4 {
        Status: 0,
        BytesTransferred: 4,
        QPContext: 8,
        RequestContext: 16 | 12,
        Type: 24 | 16,
        TypeSpecificCompletionOutput: 32 | 20,
    }
}

object! {
    NDK_ADAPTER NDK_CONNECTOR NDK_CQ NDK_LISTENER NDK_MR NDK_MW NDK_PD NDK_QP NDK_SHARED_ENDPOINT
    NDK_SRQ
}

table! {
    NDK_MR_DISPATCH {
        NdkCloseMr,
        NdkQueryExtension,
        NdkRegisterMr,
        NdkDeregisterMr,
        NdkInitializeFastRegisterMr,
        NdkGetRemoteTokenFromMr,
        NdkGetLocalTokenFromMr,
    }
    NDK_MW_DISPATCH { NdkCloseMw, NdkQueryExtension, NdkGetRemoteTokenFromMw }
    NDK_PD_DISPATCH {
        NdkClosePd,
        NdkQueryExtension,
        NdkCreateMr,
        NdkCreateMw,
        NdkCreateSrq,
        NdkCreateQp,
        NdkCreateQpWithSrq,
        NdkGetPrivilegedMemoryRegionToken,
    }
    NDK_ADAPTER_DISPATCH {
        NdkQueryExtension,
        NdkQueryAdapterInfo,
        NdkCreateCq,
        NdkCreatePd,
        NdkCreateSharedEndpoint,
        NdkCreateConnector,
        NdkCreateListener,
        NdkBuildLAM,
        NdkReleaseLAM,
    }
    NDK_QP_DISPATCH {
        NdkCloseQp,
        NdkQueryExtension,
        NdkFlush,
        NdkSend,
        NdkReceive,
        NdkBind,
        NdkFastRegister,
        NdkInvalidate,
        NdkRead,
        NdkWrite,
        NdkSendAndInvalidate,
    }
    NDK_CQ_DISPATCH {
        NdkCloseCq,
        NdkQueryExtension,
        NdkResizeCq,
        NdkArmCq,
        NdkGetCqResults,
        NdkControlCqInterruptModeration,
        NdkGetCqResultsEx,
    }
    NDK_SRQ_DISPATCH { NdkCloseSrq, NdkQueryExtension, NdkModifySrq, NdkSrqReceive }
    NDK_CONNECTOR_DISPATCH {
        NdkCloseConnector,
        NdkQueryExtension,
        NdkConnect,
        NdkConnectWithSharedEndpoint,
        NdkCompleteConnect,
        NdkAccept,
        NdkReject,
        NdkGetConnectionData,
        NdkGetLocalAddress,
        NdkGetPeerAddress,
        NdkDisconnect,
    }
    NDK_LISTENER_DISPATCH {
        NdkCloseListener,
        NdkQueryExtension,
        NdkListen,
        NdkGetLocalAddress,
        NdkControlConnectEvents,
    }
    NDK_SHARED_ENDPOINT_DISPATCH { NdkCloseSharedEndpoint, NdkQueryExtension, NdkGetLocalAddress }
}
