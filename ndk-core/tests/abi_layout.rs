//! The ABI module and the C header against the figures of the interface, and against each other.
//!
//! `abi/figures.tsv` holds the figures. The Rust types, measured here, and the C header, measured
//! by a generated program, must each reproduce it line by line: a figure without a counterpart
//! fails, and so does a counterpart without a figure. Signatures have no size, so the function
//! types and the members of the dispatch tables are compared as text.

#[path = "abi/signatures.rs"]
mod signatures;

use ndk_core::abi::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const FIGURES: &str = include_str!("abi/figures.tsv");

/// The figures' name for the target that runs the test.
const TARGET: &str = if cfg!(target_pointer_width = "64") { "64" } else { "32-windows" };

/// The figures for the running target, one line each.
fn figures() -> Vec<&'static str> {
    let mut lines = Vec::new();
    for line in FIGURES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<_> = line.split('\t').collect();
        match columns[..] {
            ["type", target, _, _, _] | ["field", target, _, _, _, _] => {
                assert!(["64", "32-windows"].contains(&target), "unknown target: {line}");
                if target == TARGET {
                    lines.push(line);
                }
            }
            ["const", _, _] => lines.push(line),
            _ => panic!("not a figure: {line:?}"),
        }
    }
    lines
}

/// Asserts that both sides hold the same lines, and names those that only one has.
fn assert_same(left: &str, a: &[impl AsRef<str>], right: &str, b: &[impl AsRef<str>]) {
    let set_a: BTreeSet<_> = a.iter().map(AsRef::as_ref).collect();
    let set_b: BTreeSet<_> = b.iter().map(AsRef::as_ref).collect();
    let only_a: Vec<_> = set_a.difference(&set_b).collect();
    let only_b: Vec<_> = set_b.difference(&set_a).collect();
    assert!(
        only_a.is_empty() && only_b.is_empty(),
        "only in {left}: {only_a:#?}\nonly in {right}: {only_b:#?}"
    );
    assert_eq!((set_a.len(), set_b.len()), (a.len(), b.len()), "a line appears twice");
}

/// Size of the member that `project` points at; `project` only carries the type.
fn member_size<T, F>(_project: fn(&T) -> *const F) -> usize {
    size_of::<F>()
}

/// Measures `type { member, ... }` as lines of figures. A member that C does not nest is written
/// with its Rust path; its C name is the last part.
macro_rules! measure {
    ($($type:ident { $($($member:ident).+),+ $(,)? })+) => {{
        let mut lines = Vec::new();
        $(
            let name = stringify!($type);
            let (size, align) = (size_of::<$type>(), align_of::<$type>());
            lines.push(format!("type\t{TARGET}\t{name}\t{size}\t{align}"));
            $(
                let member = [$(stringify!($member)),+].last().unwrap();
                let offset = std::mem::offset_of!($type, $($member).+);
                #[allow(unused_unsafe, reason = "only what lies in a union needs it")]
                let size = member_size(|value: &$type| {
                    // SAFETY: never run: `member_size` looks at the type alone.
                    unsafe { &raw const value.$($member).+ }
                });
                lines.push(format!("field\t{TARGET}\t{name}\t{member}\t{offset}\t{size}"));
            )+
        )+
        lines
    }};
}

/// Writes constants as lines of figures, as their 32 bits.
macro_rules! constants {
    ($($convert:expr => { $($name:ident),+ $(,)? })+) => {
        vec![$($(format!("const\t{}\t{:#x}", stringify!($name), $convert($name))),+),+]
    };
}

fn rust_lines() -> Vec<String> {
    let mut lines = measure! {
        GUID { Data1, Data2, Data3, Data4 }
        PHYSICAL_ADDRESS { u.LowPart, u.HighPart, QuadPart }
        GROUP_AFFINITY { Mask, Group, Reserved }
        MDL { Next, Size, MdlFlags, Process, MappedSystemVa, StartVa, ByteCount, ByteOffset }
        NDK_VERSION { Major, Minor }
        NDK_OBJECT_HEADER_RESERVED_BLOCK { rf }
        NDK_OBJECT_HEADER { Version, ObjectType, NdkReserved }
        NDK_EXTENSION_INTERFACE { Dispatch }
        NDK_ADAPTER_INFO {
            Version, VendorId, DeviceId, MaxRegistrationSize, MaxWindowSize, FRMRPageCount,
            MaxInitiatorRequestSge, MaxReceiveRequestSge, MaxReadRequestSge, MaxTransferLength,
            MaxInlineDataSize, MaxInboundReadLimit, MaxOutboundReadLimit, MaxReceiveQueueDepth,
            MaxInitiatorQueueDepth, MaxSrqDepth, MaxCqDepth, LargeRequestThreshold, MaxCallerData,
            MaxCalleeData, AdapterFlags, RdmaTechnology,
        }
        NDK_LOGICAL_ADDRESS { u.LowPart, u.HighPart, QuadPart }
        NDK_LOGICAL_ADDRESS_MAPPING { AdapterContext, AdapterPageCount, AdapterPageArray }
        NDK_SGE { Address.VirtualAddress, Address.LogicalAddress, Length, MemoryRegionToken }
        NDK_RESULT { Status, BytesTransferred, QPContext, RequestContext }
        NDK_RESULT_EX {
            Status, BytesTransferred, QPContext, RequestContext, Type, TypeSpecificCompletionOutput,
        }
        NDK_MR { Header, Dispatch }
        NDK_MR_DISPATCH {
            NdkCloseMr, NdkQueryExtension, NdkRegisterMr, NdkDeregisterMr,
            NdkInitializeFastRegisterMr, NdkGetRemoteTokenFromMr, NdkGetLocalTokenFromMr,
        }
        NDK_MW { Header, Dispatch }
        NDK_MW_DISPATCH { NdkCloseMw, NdkQueryExtension, NdkGetRemoteTokenFromMw }
        NDK_PD { Header, Dispatch }
        NDK_PD_DISPATCH {
            NdkClosePd, NdkQueryExtension, NdkCreateMr, NdkCreateMw, NdkCreateSrq, NdkCreateQp,
            NdkCreateQpWithSrq, NdkGetPrivilegedMemoryRegionToken,
        }
        NDK_ADAPTER { Header, Dispatch }
        NDK_ADAPTER_DISPATCH {
            NdkQueryExtension, NdkQueryAdapterInfo, NdkCreateCq, NdkCreatePd,
            NdkCreateSharedEndpoint, NdkCreateConnector, NdkCreateListener, NdkBuildLAM,
            NdkReleaseLAM,
        }
        NDK_QP { Header, Dispatch }
        NDK_QP_DISPATCH {
            NdkCloseQp, NdkQueryExtension, NdkFlush, NdkSend, NdkReceive, NdkBind, NdkFastRegister,
            NdkInvalidate, NdkRead, NdkWrite, NdkSendAndInvalidate,
        }
        NDK_CQ { Header, Dispatch }
        NDK_CQ_DISPATCH {
            NdkCloseCq, NdkQueryExtension, NdkResizeCq, NdkArmCq, NdkGetCqResults,
            NdkControlCqInterruptModeration, NdkGetCqResultsEx,
        }
        NDK_SRQ { Header, Dispatch }
        NDK_SRQ_DISPATCH { NdkCloseSrq, NdkQueryExtension, NdkModifySrq, NdkSrqReceive }
        NDK_CONNECTOR { Header, Dispatch }
        NDK_CONNECTOR_DISPATCH {
            NdkCloseConnector, NdkQueryExtension, NdkConnect, NdkConnectWithSharedEndpoint,
            NdkCompleteConnect, NdkAccept, NdkReject, NdkGetConnectionData, NdkGetLocalAddress,
            NdkGetPeerAddress, NdkDisconnect,
        }
        NDK_LISTENER { Header, Dispatch }
        NDK_LISTENER_DISPATCH {
            NdkCloseListener, NdkQueryExtension, NdkListen, NdkGetLocalAddress,
            NdkControlConnectEvents,
        }
        NDK_SHARED_ENDPOINT { Header, Dispatch }
        NDK_SHARED_ENDPOINT_DISPATCH {
            NdkCloseSharedEndpoint, NdkQueryExtension, NdkGetLocalAddress,
        }
    };
    lines.extend(constants! {
        u32::from => {
            NDK_MR_FLAG_ALLOW_LOCAL_READ, NDK_MR_FLAG_ALLOW_LOCAL_WRITE,
            NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE,
            NDK_MR_FLAG_RDMA_READ_SINK,
            NDK_OP_FLAG_SILENT_SUCCESS, NDK_OP_FLAG_READ_FENCE, NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT,
            NDK_OP_FLAG_ALLOW_REMOTE_READ, NDK_OP_FLAG_ALLOW_LOCAL_WRITE,
            NDK_OP_FLAG_ALLOW_REMOTE_WRITE, NDK_OP_FLAG_INLINE, NDK_OP_FLAG_RDMA_READ_SINK,
            NDK_OP_FLAG_RDMA_READ_LOCAL_INVALIDATE, NDK_OP_FLAG_DEFER,
            NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED, NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED,
            NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED,
            NDK_ADAPTER_FLAG_MULTI_ENGINE_SUPPORTED,
            NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED,
            NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED, NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED,
            NDK_CQ_NOTIFY_ERRORS, NDK_CQ_NOTIFY_ANY, NDK_CQ_NOTIFY_SOLICITED,
            PAGE_SHIFT, FALSE, TRUE,
        }
        |technology: NDK_RDMA_TECHNOLOGY| technology.0 => {
            NdkUndefined, NdkiWarp, NdkInfiniBand, NdkRoCE, NdkRoCEv2, NdkMaxTechnology,
        }
        |object: NDK_OBJECT_TYPE| object.0 => {
            NdkObjectTypeUndefined, NdkObjectTypeAdapter, NdkObjectTypeQp, NdkObjectTypeCq,
            NdkObjectTypeMr, NdkObjectTypeMw, NdkObjectTypePd, NdkObjectTypeSharedEndpoint,
            NdkObjectTypeConnector, NdkObjectTypeListener, NdkObjectTypeSrq, NdkObjectTypeMax,
        }
        |operation: NDK_OPERATION_TYPE| operation.0 => {
            NdkOperationTypeReceive, NdkOperationTypeReceiveAndInvalidate, NdkOperationTypeSend,
            NdkOperationTypeFastRegister, NdkOperationTypeBind, NdkOperationTypeInvalidate,
            NdkOperationTypeRead, NdkOperationTypeWrite,
        }
        |status: NTSTATUS| status.cast_unsigned() => {
            STATUS_SUCCESS, STATUS_PENDING, STATUS_DEVICE_BUSY, STATUS_ACCESS_VIOLATION,
            STATUS_INVALID_PARAMETER, STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES,
            STATUS_IO_TIMEOUT, STATUS_NOT_SUPPORTED, STATUS_INTERNAL_ERROR, STATUS_CANCELLED,
            STATUS_REMOTE_RESOURCES, STATUS_INVALID_DEVICE_STATE, STATUS_CONNECTION_REFUSED,
            STATUS_CONNECTION_INVALID, STATUS_DEVICE_REMOVED, STATUS_IMPLEMENTATION_LIMIT,
            NDIS_STATUS_BAD_VERSION,
        }
        |flag: CSHORT| flag.cast_unsigned() => {
            MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_SOURCE_IS_NONPAGED_POOL, MDL_PARTIAL,
        }
        |size: usize| size => { PAGE_SIZE }
    });
    lines
}

/// A program, in C and in C++, that measures the header and prints what it finds as figures.
fn c_program() -> String {
    let mut text = String::from(
        "#include \"ndkpi.h\"\n#include <stddef.h>\n#include <stdio.h>\n\
         #ifdef __cplusplus\n#define ALIGN(type) alignof(type)\n\
         #else\n#define ALIGN(type) _Alignof(type)\n#endif\n\
         #define TYPE(t) printf(\"type\\t%s\\t\" #t \"\\t%zu\\t%zu\\n\", TARGET, sizeof(t), ALIGN(t))\n\
         #define FIELD(t, m) printf(\"field\\t%s\\t\" #t \"\\t\" #m \"\\t%zu\\t%zu\\n\", TARGET, \\\n    \
         offsetof(t, m), sizeof(((t *)0)->m))\n\
         #define CONST(name, value) printf(\"const\\t%s\\t0x%x\\n\", name, (unsigned)(value))\n",
    );
    writeln!(text, "#define TARGET \"{TARGET}\"\nint main(void) {{").unwrap();
    for line in figures() {
        let columns: Vec<_> = line.split('\t').collect();
        match columns[..] {
            ["type", _, name, ..] => writeln!(text, "    TYPE({name});"),
            ["field", _, name, member, ..] => writeln!(text, "    FIELD({name}, {member});"),
            // As an argument a macro of the header would be expanded before it became text.
            ["const", name, _] => writeln!(text, "    CONST(\"{name}\", {name});"),
            _ => unreachable!("checked by figures()"),
        }
        .unwrap();
    }
    text.push_str("    return 0;\n}\n");
    text
}

fn header_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ndk-capi/include")
}

/// Compiles and runs the program; its lines, or `None` if there is no such compiler.
fn measured_by(compiler: &str, standard: &str, extension: &str) -> Option<Vec<String>> {
    let stem = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ndkpi-{extension}"));
    let (source, program) = (stem.with_extension(extension), stem.with_extension("out"));
    std::fs::write(&source, c_program()).unwrap();
    let compiled = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(header_folder())
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output();
    let compiled = match compiled {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        other => other.unwrap(),
    };
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{compiler} refuses the header:\n{errors}");
    let run = Command::new(&program).output().unwrap();
    assert!(run.status.success(), "{program:?}: {}", run.status);
    Some(String::from_utf8(run.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn tool(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

#[test]
#[cfg_attr(all(target_pointer_width = "32", not(windows)), ignore = "no figures for this target")]
fn rust_types_have_the_figures() {
    let figures = figures();
    assert!(figures.len() > 200, "only {} figures were read", figures.len());
    assert_same("the figures", &figures, "Rust", &rust_lines());
}

#[test]
#[cfg_attr(not(all(unix, target_pointer_width = "64")), ignore = "needs a native C compiler")]
fn c_header_has_the_figures() {
    let lines = measured_by(&tool("CC", "cc"), "-std=c11", "c").expect("a C compiler is needed");
    assert_same("the figures", &figures(), "the C header", &lines);
    assert_same("Rust", &rust_lines(), "the C header", &lines);
}

#[test]
#[cfg_attr(not(all(unix, target_pointer_width = "64")), ignore = "needs a native C++ compiler")]
fn cxx_header_has_the_figures() {
    let compiler = tool("CXX", "c++");
    match measured_by(&compiler, "-std=c++11", "cpp") {
        Some(lines) => assert_same("the figures", &figures(), "the C++ header", &lines),
        // Past the test harness, which would swallow it: nobody should take this for a check.
        None => {
            writeln!(std::io::stderr(), "SKIPPED: no C++ compiler ({compiler}); set CXX").unwrap();
        }
    }
}

/// The order of a table is what a caller compiled against C relies on: slot i is member i.
#[test]
fn dispatch_members_are_in_order() {
    let word = size_of::<usize>();
    let mut tables = 0;
    let mut slot = 0;
    let mut in_table = false;
    for line in rust_lines() {
        let columns: Vec<_> = line.split('\t').collect();
        match columns[..] {
            ["type", _, name, size, _] => {
                in_table = name.ends_with("_DISPATCH");
                tables += usize::from(in_table);
                slot = 0;
                assert!(!in_table || size.parse::<usize>().unwrap() % word == 0, "{line}");
            }
            ["field", _, _, _, offset, size] if in_table => {
                assert_eq!((offset, size), (&*(slot * word).to_string(), &*word.to_string()));
                slot += 1;
            }
            _ => {}
        }
    }
    assert_eq!(tables, 10);
}

/// A constant that nobody pinned could change unseen.
#[test]
fn every_constant_has_a_figure() {
    let source = signatures::abi_source();
    let declared: Vec<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": "))
        .map(|(name, _)| name)
        .collect();
    let pinned: Vec<_> = figures()
        .into_iter()
        .filter_map(|line| line.strip_prefix("const\t")?.split_once('\t'))
        .map(|(name, _)| name)
        .collect();
    assert_same("the figures", &pinned, "the ABI module", &declared);
}

#[test]
fn function_types_of_header_and_module_agree() {
    let header = std::fs::read_to_string(header_folder().join("ndkpi.h")).unwrap();
    let (c, rust) = (signatures::of_c(&header), signatures::of_rust(&signatures::abi_source()));
    assert!(c.len() > 50, "only {} signatures were read", c.len());
    assert_same("the C header", &c, "the ABI module", &rust);
}

#[test]
fn dispatch_tables_of_header_and_module_agree() {
    let header = std::fs::read_to_string(header_folder().join("ndkpi.h")).unwrap();
    let (c, rust) = (signatures::tables_of_c(&header), signatures::tables_of_rust());
    assert_eq!(c.len(), 10);
    assert_same("the C header", &c, "the ABI module", &rust);
}
