/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * ndkpi.h: the C interface of NDK (NDKPI 1.2 and 2.0), with the names and the layout that Windows
 * gives it, so that code written against Windows' own header compiles against this one.
 *
 * It stands in for Windows' ndkpi.h and ndkinfo.h; include one or the other, not both. On Windows
 * the basic types are the platform's own: a kernel driver includes ndis.h, ntddk.h or wdm.h first;
 * without one of them, windows.h is included here. Elsewhere the basic types are defined here.
 *
 * Calls may be made at any IRQL up to DISPATCH_LEVEL unless noted. In parameter lists, "opt" marks
 * a pointer that may be null, "out" one that is written through, "in/out" both. Every item has a
 * page in Microsoft's reference, under its name.
 */
#ifndef _NDKPI_H_
#define _NDKPI_H_

#include <stddef.h>

/* ---- Basic types ----------------------------------------------------------------------------- */

#if defined(_WIN32)

#if !defined(_NTDEF_) && !defined(_WINNT_)
#include <windows.h>
#endif

#else

#include <stdint.h>

#ifndef NTAPI
#define NTAPI /* The calling convention of every function here. */
#endif
#ifndef VOID
#define VOID void
#endif

/* To bring your own, define NDKPI_BASE_TYPES_DEFINED; the assertions at the end check them. */
#ifndef NDKPI_BASE_TYPES_DEFINED
#define NDKPI_BASE_TYPES_DEFINED

typedef int16_t CSHORT;
typedef int32_t LONG;
typedef uint16_t USHORT;
typedef uint32_t ULONG;
typedef uint32_t UINT32;
typedef uint64_t UINT64;
typedef size_t SIZE_T;
typedef uintptr_t ULONG_PTR;
typedef unsigned char BOOLEAN;
typedef void *PVOID;

typedef struct _GUID {
    uint32_t Data1;
    uint16_t Data2;
    uint16_t Data3;
    unsigned char Data4[8];
} GUID;

#if defined(__GNUC__)
#define NDKPI_EXTENSION __extension__
#else
#define NDKPI_EXTENSION
#endif

typedef union _LARGE_INTEGER {
    NDKPI_EXTENSION struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    int64_t QuadPart;
} LARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS;

/* The processors on which a consumer would like its notifications to run. */
typedef struct _GROUP_AFFINITY {
    ULONG_PTR Mask;
    USHORT Group;
    USHORT Reserved[3]; /* Zero. */
} GROUP_AFFINITY;

/* Complete after <sys/socket.h>; only its address is passed here. */
typedef struct sockaddr SOCKADDR, *PSOCKADDR;

#endif /* NDKPI_BASE_TYPES_DEFINED */
#endif /* _WIN32 */

#ifndef FALSE
#define FALSE 0
#endif
#ifndef TRUE
#define TRUE 1
#endif
#ifndef PAGE_SHIFT
#define PAGE_SHIFT 12
#endif
#ifndef PAGE_SIZE
#define PAGE_SIZE 0x1000
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
/* Outside the kernel windows.h leaves these out; where they exist already they are the same. */
typedef LARGE_INTEGER PHYSICAL_ADDRESS;
typedef short CSHORT;
typedef struct sockaddr SOCKADDR, *PSOCKADDR;
#endif

/* ---- Status ---------------------------------------------------------------------------------- */

/* Negative for an error. Under windows.h, define WIN32_NO_STATUS before it, as for ntstatus.h:
   otherwise a few of these keep the unsigned type that windows.h gives them. */
#if defined(_WIN32)
typedef LONG NTSTATUS;
#else
typedef int32_t NTSTATUS;
#endif

#ifndef NT_SUCCESS
#define NT_SUCCESS(Status) (((NTSTATUS)(Status)) >= 0) /* True of STATUS_PENDING, too. */
#endif

#ifndef STATUS_SUCCESS
#define STATUS_SUCCESS ((NTSTATUS)0x00000000)
#endif
#ifndef STATUS_PENDING /* The completion routine will tell the outcome. */
#define STATUS_PENDING ((NTSTATUS)0x00000103)
#endif
#ifndef STATUS_DEVICE_BUSY
#define STATUS_DEVICE_BUSY ((NTSTATUS)0x80000011)
#endif
#ifndef STATUS_ACCESS_VIOLATION
#define STATUS_ACCESS_VIOLATION ((NTSTATUS)0xC0000005)
#endif
#ifndef STATUS_INVALID_PARAMETER
#define STATUS_INVALID_PARAMETER ((NTSTATUS)0xC000000D)
#endif
#ifndef STATUS_BUFFER_TOO_SMALL
#define STATUS_BUFFER_TOO_SMALL ((NTSTATUS)0xC0000023)
#endif
#ifndef STATUS_INSUFFICIENT_RESOURCES
#define STATUS_INSUFFICIENT_RESOURCES ((NTSTATUS)0xC000009A)
#endif
#ifndef STATUS_IO_TIMEOUT
#define STATUS_IO_TIMEOUT ((NTSTATUS)0xC00000B5)
#endif
#ifndef STATUS_NOT_SUPPORTED
#define STATUS_NOT_SUPPORTED ((NTSTATUS)0xC00000BB)
#endif
#ifndef STATUS_INTERNAL_ERROR
#define STATUS_INTERNAL_ERROR ((NTSTATUS)0xC00000E5)
#endif
#ifndef STATUS_CANCELLED
#define STATUS_CANCELLED ((NTSTATUS)0xC0000120)
#endif
#ifndef STATUS_REMOTE_RESOURCES
#define STATUS_REMOTE_RESOURCES ((NTSTATUS)0xC000013D)
#endif
#ifndef STATUS_INVALID_DEVICE_STATE
#define STATUS_INVALID_DEVICE_STATE ((NTSTATUS)0xC0000184)
#endif
#ifndef STATUS_CONNECTION_REFUSED
#define STATUS_CONNECTION_REFUSED ((NTSTATUS)0xC0000236)
#endif
#ifndef STATUS_CONNECTION_INVALID
#define STATUS_CONNECTION_INVALID ((NTSTATUS)0xC000023A)
#endif
#ifndef STATUS_DEVICE_REMOVED
#define STATUS_DEVICE_REMOVED ((NTSTATUS)0xC00002B6)
#endif
#ifndef STATUS_IMPLEMENTATION_LIMIT
#define STATUS_IMPLEMENTATION_LIMIT ((NTSTATUS)0xC000042B)
#endif
#ifndef NDIS_STATUS_BAD_VERSION
#define NDIS_STATUS_BAD_VERSION ((NTSTATUS)0xC0010004)
#endif

/* ---- Memory descriptor list ------------------------------------------------------------------ */

#if !defined(_WDMDDK_) && !defined(_NTDDK_) && !defined(_NTIFS_)
/* A buffer at StartVa + ByteOffset; the frame numbers of its pages follow, each pointer-wide. */
typedef struct _MDL {
    struct _MDL *Next;
    CSHORT Size; /* Bytes of this structure and its frame numbers. */
    CSHORT MdlFlags;
    struct _EPROCESS *Process;
    PVOID MappedSystemVa; /* Valid under MDL_MAPPED_TO_SYSTEM_VA. */
    PVOID StartVa;        /* A multiple of PAGE_SIZE. */
    ULONG ByteCount;
    ULONG ByteOffset; /* Less than PAGE_SIZE. */
} MDL, *PMDL;
#endif

#ifndef MDL_MAPPED_TO_SYSTEM_VA
#define MDL_MAPPED_TO_SYSTEM_VA 0x0001
#endif
#ifndef MDL_PAGES_LOCKED
#define MDL_PAGES_LOCKED 0x0002
#endif
#ifndef MDL_SOURCE_IS_NONPAGED_POOL
#define MDL_SOURCE_IS_NONPAGED_POOL 0x0004
#endif
#ifndef MDL_PARTIAL
#define MDL_PARTIAL 0x0010
#endif

/* ---- Adapter information (ndkinfo.h) --------------------------------------------------------- */

#ifndef _NDKINFO_H_
#define _NDKINFO_H_

typedef struct {
    USHORT Major;
    USHORT Minor;
} NDK_VERSION;

typedef enum _NDK_RDMA_TECHNOLOGY {
    NdkUndefined = 0,
    NdkiWarp = 1,
    NdkInfiniBand = 2,
    NdkRoCE = 3,
    NdkRoCEv2 = 4,
    NdkMaxTechnology = 5
} NDK_RDMA_TECHNOLOGY;

#define NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED 0x00000001
#define NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED 0x00000002
#define NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED 0x00000004
#define NDK_ADAPTER_FLAG_MULTI_ENGINE_SUPPORTED 0x00000008
#define NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED 0x00000010
#define NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED 0x00000100
#define NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED 0x00010000

typedef struct _NDK_ADAPTER_INFO {
    NDK_VERSION Version;
    UINT32 VendorId; /* Organizationally unique identifier. */
    UINT32 DeviceId;
    SIZE_T MaxRegistrationSize; /* Bytes. */
    SIZE_T MaxWindowSize;       /* Bytes. */
    ULONG FRMRPageCount;        /* Pages; at least 16. */
    ULONG MaxInitiatorRequestSge;
    ULONG MaxReceiveRequestSge;
    ULONG MaxReadRequestSge;
    ULONG MaxTransferLength; /* Bytes. */
    ULONG MaxInlineDataSize; /* Bytes. */
    ULONG MaxInboundReadLimit;
    ULONG MaxOutboundReadLimit;
    ULONG MaxReceiveQueueDepth;
    ULONG MaxInitiatorQueueDepth;
    ULONG MaxSrqDepth;
    ULONG MaxCqDepth;
    ULONG LargeRequestThreshold; /* Bytes. */
    ULONG MaxCallerData;         /* Bytes. */
    ULONG MaxCalleeData;         /* Bytes. */
    ULONG AdapterFlags;          /* NDK_ADAPTER_FLAG_*. */
    NDK_RDMA_TECHNOLOGY RdmaTechnology;
} NDK_ADAPTER_INFO;

#endif /* _NDKINFO_H_ */

/* ---- Objects --------------------------------------------------------------------------------- */

typedef enum _NDK_OBJECT_TYPE {
    NdkObjectTypeUndefined = 0,
    NdkObjectTypeAdapter = 1,
    NdkObjectTypeQp = 2,
    NdkObjectTypeCq = 3,
    NdkObjectTypeMr = 4,
    NdkObjectTypeMw = 5,
    NdkObjectTypePd = 6,
    NdkObjectTypeSharedEndpoint = 7,
    NdkObjectTypeConnector = 8,
    NdkObjectTypeListener = 9,
    NdkObjectTypeSrq = 10,
    NdkObjectTypeMax = 11
} NDK_OBJECT_TYPE;

/* Belongs to the consumer's side; zero in a fresh object. */
typedef struct _NDK_OBJECT_HEADER_RESERVED_BLOCK {
    PVOID rf[4];
} NDK_OBJECT_HEADER_RESERVED_BLOCK;

/* The first member of every object. */
typedef struct _NDK_OBJECT_HEADER {
    NDK_VERSION Version; /* The version that the adapter was opened with. */
    NDK_OBJECT_TYPE ObjectType;
    NDK_OBJECT_HEADER_RESERVED_BLOCK NdkReserved;
} NDK_OBJECT_HEADER;

typedef struct _NDK_EXTENSION_INTERFACE {
    const void *Dispatch;
} NDK_EXTENSION_INTERFACE;

typedef struct _NDK_ADAPTER NDK_ADAPTER;
typedef struct _NDK_CONNECTOR NDK_CONNECTOR;
typedef struct _NDK_CQ NDK_CQ;
typedef struct _NDK_LISTENER NDK_LISTENER;
typedef struct _NDK_MR NDK_MR;
typedef struct _NDK_MW NDK_MW;
typedef struct _NDK_PD NDK_PD;
typedef struct _NDK_QP NDK_QP;
typedef struct _NDK_SHARED_ENDPOINT NDK_SHARED_ENDPOINT;
typedef struct _NDK_SRQ NDK_SRQ;

/* ---- Callbacks: implemented by the consumer -------------------------------------------------- */

/* The last call made for the closed object. */
typedef void(NTAPI *NDK_FN_CLOSE_COMPLETION)(PVOID Context /* opt */);

/* Called exactly once after STATUS_PENDING, maybe before that was returned; never otherwise. */
typedef void(NTAPI *NDK_FN_REQUEST_COMPLETION)(PVOID Context /* opt */, NTSTATUS Status);

typedef void(NTAPI *NDK_FN_CREATE_COMPLETION)(PVOID Context /* opt */, NTSTATUS Status,
                                              NDK_OBJECT_HEADER *pNdkObject);

typedef void(NTAPI *NDK_FN_CQ_NOTIFICATION_CALLBACK)(PVOID CqNotificationContext /* opt */,
                                                     NTSTATUS CqStatus);

typedef void(NTAPI *NDK_FN_SRQ_NOTIFICATION_CALLBACK)(PVOID SrqNotificationContext /* opt */,
                                                      NTSTATUS SrqStatus);

typedef void(NTAPI *NDK_FN_CONNECT_EVENT_CALLBACK)(PVOID ConnectEventContext /* opt */,
                                                   NDK_CONNECTOR *pNdkConnector);

typedef void(NTAPI *NDK_FN_DISCONNECT_EVENT_CALLBACK)(PVOID DisconnectEventContext /* opt */);

/* ---- Entries that all objects share ---------------------------------------------------------- */

/* STATUS_SUCCESS or STATUS_PENDING; the object is not to be used again. */
typedef NTSTATUS(NTAPI *NDK_FN_CLOSE_OBJECT)(NDK_OBJECT_HEADER *pNdkObject,
                                             NDK_FN_CLOSE_COMPLETION CloseCompletion,
                                             PVOID RequestContext /* opt */);

typedef NTSTATUS(NTAPI *NDK_FN_QUERY_EXTENSION_INTERFACE)(
    NDK_OBJECT_HEADER *pNdkObject, GUID *ExtensionInterfaceID,
    NDK_VERSION ExtensionInterfaceVersion, NDK_EXTENSION_INTERFACE *pExtensionInterface /* out */);

/* ---- Memory region --------------------------------------------------------------------------- */

#define NDK_MR_FLAG_ALLOW_LOCAL_READ 0x00000000
#define NDK_MR_FLAG_ALLOW_LOCAL_WRITE 0x00000001
#define NDK_MR_FLAG_ALLOW_REMOTE_READ 0x00000002
#define NDK_MR_FLAG_ALLOW_REMOTE_WRITE 0x00000005 /* Includes local write. */
#define NDK_MR_FLAG_RDMA_READ_SINK 0x00000008

/* Registers the first Length bytes of a chain of locked MDLs; Flags: NDK_MR_FLAG_*. */
typedef NTSTATUS(NTAPI *NDK_FN_REGISTER_MR)(NDK_MR *pNdkMr, MDL *Mdl, SIZE_T Length, ULONG Flags,
                                            NDK_FN_REQUEST_COMPLETION RequestCompletion,
                                            PVOID RequestContext /* opt */);

/* Ends the registration; once it is done the memory is the consumer's alone. */
typedef NTSTATUS(NTAPI *NDK_FN_DEREGISTER_MR)(NDK_MR *pNdkMr,
                                              NDK_FN_REQUEST_COMPLETION RequestCompletion,
                                              PVOID RequestContext /* opt */);

/* Prepares a region for fast registrations of up to AdapterPageCount pages. */
typedef NTSTATUS(NTAPI *NDK_FN_INITIALIZE_FAST_REGISTER_MR)(
    NDK_MR *pNdkMr, ULONG AdapterPageCount, BOOLEAN RemoteAccess,
    NDK_FN_REQUEST_COMPLETION RequestCompletion, PVOID RequestContext /* opt */);

typedef UINT32(NTAPI *NDK_FN_GET_REMOTE_TOKEN_FROM_MR)(NDK_MR *pNdkMr);

typedef UINT32(NTAPI *NDK_FN_GET_LOCAL_TOKEN_FROM_MR)(NDK_MR *pNdkMr);

typedef struct _NDK_MR_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseMr;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_REGISTER_MR NdkRegisterMr;
    NDK_FN_DEREGISTER_MR NdkDeregisterMr;
    NDK_FN_INITIALIZE_FAST_REGISTER_MR NdkInitializeFastRegisterMr;
    NDK_FN_GET_REMOTE_TOKEN_FROM_MR NdkGetRemoteTokenFromMr;
    NDK_FN_GET_LOCAL_TOKEN_FROM_MR NdkGetLocalTokenFromMr;
} NDK_MR_DISPATCH;

struct _NDK_MR {
    NDK_OBJECT_HEADER Header;
    const NDK_MR_DISPATCH *Dispatch;
};

/* ---- Memory window --------------------------------------------------------------------------- */

typedef UINT32(NTAPI *NDK_FN_GET_REMOTE_TOKEN_FROM_MW)(NDK_MW *pNdkMw);

typedef struct _NDK_MW_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseMw;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_GET_REMOTE_TOKEN_FROM_MW NdkGetRemoteTokenFromMw;
} NDK_MW_DISPATCH;

struct _NDK_MW {
    NDK_OBJECT_HEADER Header;
    const NDK_MW_DISPATCH *Dispatch;
};

/* ---- Protection domain ----------------------------------------------------------------------- */

/* After STATUS_SUCCESS the object is in *ppNdkMr; after STATUS_PENDING it comes through the
   completion alone. So for all that create. */
typedef NTSTATUS(NTAPI *NDK_FN_CREATE_MR)(NDK_PD *pNdkPd, BOOLEAN FastRegister,
                                          NDK_FN_CREATE_COMPLETION CreateCompletion,
                                          PVOID RequestContext /* opt */,
                                          NDK_MR **ppNdkMr /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_MW)(NDK_PD *pNdkPd, NDK_FN_CREATE_COMPLETION CreateCompletion,
                                          PVOID RequestContext /* opt */,
                                          NDK_MW **ppNdkMw /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_SRQ)(
    NDK_PD *pNdkPd, ULONG SrqDepth, ULONG MaxReceiveRequestSge, ULONG NotifyThreshold,
    NDK_FN_SRQ_NOTIFICATION_CALLBACK SrqNotification /* opt */,
    PVOID SrqNotificationContext /* opt */, GROUP_AFFINITY *Affinity /* opt */,
    NDK_FN_CREATE_COMPLETION CreateCompletion, PVOID RequestContext /* opt */,
    NDK_SRQ **ppNdkSrq /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_QP)(
    NDK_PD *pNdkPd, NDK_CQ *pReceiveCq, NDK_CQ *pInitiatorCq, PVOID QPContext /* opt */,
    ULONG ReceiveQueueDepth, ULONG InitiatorQueueDepth, ULONG MaxReceiveRequestSge,
    ULONG MaxInitiatorRequestSge, ULONG InlineDataSize, NDK_FN_CREATE_COMPLETION CreateCompletion,
    PVOID RequestContext /* opt */, NDK_QP **ppNdkQp /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_QP_WITH_SRQ)(
    NDK_PD *pNdkPd, NDK_CQ *pReceiveCq, NDK_CQ *pInitiatorCq, NDK_SRQ *pSrq,
    PVOID QPContext /* opt */, ULONG InitiatorQueueDepth, ULONG MaxInitiatorRequestSge,
    ULONG InlineDataSize, NDK_FN_CREATE_COMPLETION CreateCompletion, PVOID RequestContext /* opt */,
    NDK_QP **ppNdkQp /* out */);

/* The token under which local requests may use logical addresses. */
typedef void(NTAPI *NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN)(NDK_PD *pNdkPd,
                                                               UINT32 *pToken /* out */);

typedef struct _NDK_PD_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkClosePd;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_CREATE_MR NdkCreateMr;
    NDK_FN_CREATE_MW NdkCreateMw;
    NDK_FN_CREATE_SRQ NdkCreateSrq;
    NDK_FN_CREATE_QP NdkCreateQp;
    NDK_FN_CREATE_QP_WITH_SRQ NdkCreateQpWithSrq;
    NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN NdkGetPrivilegedMemoryRegionToken;
} NDK_PD_DISPATCH;

struct _NDK_PD {
    NDK_OBJECT_HEADER Header;
    const NDK_PD_DISPATCH *Dispatch;
};

/* ---- Requests and results -------------------------------------------------------------------- */

#define NDK_OP_FLAG_SILENT_SUCCESS 0x00000001
#define NDK_OP_FLAG_READ_FENCE 0x00000002
#define NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT 0x00000004
#define NDK_OP_FLAG_ALLOW_REMOTE_READ 0x00000008
#define NDK_OP_FLAG_ALLOW_LOCAL_WRITE 0x00000010
#define NDK_OP_FLAG_ALLOW_REMOTE_WRITE 0x00000030 /* Includes local write. */
#define NDK_OP_FLAG_INLINE 0x00000040
#define NDK_OP_FLAG_RDMA_READ_SINK 0x00000080
#define NDK_OP_FLAG_RDMA_READ_LOCAL_INVALIDATE 0x00000100
#define NDK_OP_FLAG_DEFER 0x00000200

/* An address that an adapter gave out, of meaning to that adapter only. */
typedef PHYSICAL_ADDRESS NDK_LOGICAL_ADDRESS;

/* AdapterPageArray holds AdapterPageCount addresses, the first of them inside the structure. */
typedef struct _NDK_LOGICAL_ADDRESS_MAPPING {
    PVOID AdapterContext; /* The provider's own. */
    ULONG AdapterPageCount;
    NDK_LOGICAL_ADDRESS AdapterPageArray[1];
} NDK_LOGICAL_ADDRESS_MAPPING;

/* LogicalAddress holds with the privileged token, VirtualAddress with that of a region. */
typedef struct _NDK_SGE {
    union {
        PVOID VirtualAddress;
        NDK_LOGICAL_ADDRESS LogicalAddress;
    };
    ULONG Length; /* Bytes. */
    UINT32 MemoryRegionToken;
} NDK_SGE;

typedef enum _NDK_OPERATION_TYPE {
    NdkOperationTypeReceive = 1,
    NdkOperationTypeReceiveAndInvalidate = 32769,
    NdkOperationTypeSend = 2,
    NdkOperationTypeFastRegister = 4,
    NdkOperationTypeBind = 8,
    NdkOperationTypeInvalidate = 16,
    NdkOperationTypeRead = 32,
    NdkOperationTypeWrite = 64
} NDK_OPERATION_TYPE;

typedef struct _NDK_RESULT {
    NTSTATUS Status;
    ULONG BytesTransferred; /* Of receives. */
    PVOID QPContext;
    PVOID RequestContext;
} NDK_RESULT;

/* As up to NDKPI 2.0; 2.1 adds a member after Type. */
typedef struct _NDK_RESULT_EX {
    NTSTATUS Status;
    ULONG BytesTransferred; /* Of receives. */
    PVOID QPContext;
    PVOID RequestContext;
    NDK_OPERATION_TYPE Type;
    ULONG_PTR TypeSpecificCompletionOutput; /* Receive and invalidate: the token. */
} NDK_RESULT_EX;

/* ---- Adapter --------------------------------------------------------------------------------- */

/* At PASSIVE_LEVEL. *pBufferSize: the room in bytes, then the size needed. */
typedef NTSTATUS(NTAPI *NDK_FN_QUERY_ADAPTER_INFO)(NDK_ADAPTER *pNdkAdapter,
                                                   NDK_ADAPTER_INFO *pInfo /* out, opt */,
                                                   ULONG *pBufferSize /* in/out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_CQ)(NDK_ADAPTER *pNdkAdapter, ULONG CqDepth,
                                          NDK_FN_CQ_NOTIFICATION_CALLBACK CqNotification,
                                          PVOID CqNotificationContext /* opt */,
                                          GROUP_AFFINITY *Affinity /* opt */,
                                          NDK_FN_CREATE_COMPLETION CreateCompletion,
                                          PVOID RequestContext /* opt */,
                                          NDK_CQ **ppNdkCq /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_PD)(NDK_ADAPTER *pNdkAdapter,
                                          NDK_FN_CREATE_COMPLETION CreateCompletion,
                                          PVOID RequestContext /* opt */,
                                          NDK_PD **ppNdkPd /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_SHARED_ENDPOINT)(
    NDK_ADAPTER *pNdkAdapter, const PSOCKADDR pAddress, ULONG AddressLength,
    NDK_FN_CREATE_COMPLETION CreateCompletion, PVOID RequestContext /* opt */,
    NDK_SHARED_ENDPOINT **ppNdkSharedEndpoint /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_CONNECTOR)(NDK_ADAPTER *pNdkAdapter,
                                                 NDK_FN_CREATE_COMPLETION CreateCompletion,
                                                 PVOID RequestContext /* opt */,
                                                 NDK_CONNECTOR **ppNdkConnector /* out */);

typedef NTSTATUS(NTAPI *NDK_FN_CREATE_LISTENER)(NDK_ADAPTER *pNdkAdapter,
                                                NDK_FN_CONNECT_EVENT_CALLBACK ConnectEvent,
                                                PVOID ConnectEventContext /* opt */,
                                                NDK_FN_CREATE_COMPLETION CreateCompletion,
                                                PVOID RequestContext /* opt */,
                                                NDK_LISTENER **ppNdkListener /* out */);

/* *pLAMSize: the room at pNdkLAM in bytes, then the size needed. *pFBO: the offset in the first
   page, in bytes. */
typedef NTSTATUS(NTAPI *NDK_FN_BUILD_LAM)(NDK_ADAPTER *pNdkAdapter, MDL *Mdl, SIZE_T Length,
                                          NDK_FN_REQUEST_COMPLETION RequestCompletion /* opt */,
                                          PVOID RequestContext /* opt */,
                                          NDK_LOGICAL_ADDRESS_MAPPING *pNdkLAM /* out, opt */,
                                          ULONG *pLAMSize /* in/out */, ULONG *pFBO /* out */);

typedef void(NTAPI *NDK_FN_RELEASE_LAM)(NDK_ADAPTER *pNdkAdapter,
                                        NDK_LOGICAL_ADDRESS_MAPPING *pNdkLAM);

/* No close entry: whoever opened an adapter closes it. */
typedef struct _NDK_ADAPTER_DISPATCH {
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_QUERY_ADAPTER_INFO NdkQueryAdapterInfo;
    NDK_FN_CREATE_CQ NdkCreateCq;
    NDK_FN_CREATE_PD NdkCreatePd;
    NDK_FN_CREATE_SHARED_ENDPOINT NdkCreateSharedEndpoint;
    NDK_FN_CREATE_CONNECTOR NdkCreateConnector;
    NDK_FN_CREATE_LISTENER NdkCreateListener;
    NDK_FN_BUILD_LAM NdkBuildLAM;
    NDK_FN_RELEASE_LAM NdkReleaseLAM;
} NDK_ADAPTER_DISPATCH;

struct _NDK_ADAPTER {
    NDK_OBJECT_HEADER Header;
    const NDK_ADAPTER_DISPATCH *Dispatch;
};

/* ---- Queue pair: Flags are NDK_OP_FLAG_* ----------------------------------------------------- */

typedef void(NTAPI *NDK_FN_FLUSH)(NDK_QP *pNdkQp);

typedef NTSTATUS(NTAPI *NDK_FN_SEND)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */,
                                     const NDK_SGE *pSgl, ULONG nSge, ULONG Flags);

typedef NTSTATUS(NTAPI *NDK_FN_RECEIVE)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */,
                                        const NDK_SGE *pSgl, ULONG nSge);

typedef NTSTATUS(NTAPI *NDK_FN_BIND)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */, NDK_MR *pMr,
                                     NDK_MW *pMw, PVOID VirtualAddress, SIZE_T Length, ULONG Flags);

/* FBO: where the memory starts in the first page, in bytes. */
typedef NTSTATUS(NTAPI *NDK_FN_FAST_REGISTER)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */,
                                              NDK_MR *pMr, ULONG AdapterPageCount,
                                              const NDK_LOGICAL_ADDRESS *AdapterPageArray,
                                              ULONG FBO, SIZE_T Length, PVOID BaseVirtualAddress,
                                              ULONG Flags);

typedef NTSTATUS(NTAPI *NDK_FN_INVALIDATE)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */,
                                           NDK_OBJECT_HEADER *pNdkMrOrMw, ULONG Flags);

typedef NTSTATUS(NTAPI *NDK_FN_READ)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */,
                                     const NDK_SGE *pSgl, ULONG nSge, UINT64 RemoteAddress,
                                     UINT32 RemoteToken, ULONG Flags);

typedef NTSTATUS(NTAPI *NDK_FN_WRITE)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */,
                                      const NDK_SGE *pSgl, ULONG nSge, UINT64 RemoteAddress,
                                      UINT32 RemoteToken, ULONG Flags);

typedef NTSTATUS(NTAPI *NDK_FN_SEND_AND_INVALIDATE)(NDK_QP *pNdkQp, PVOID RequestContext /* opt */,
                                                    const NDK_SGE *pSgl, ULONG nSge, ULONG Flags,
                                                    UINT32 RemoteToken);

typedef struct _NDK_QP_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseQp;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_FLUSH NdkFlush;
    NDK_FN_SEND NdkSend;
    NDK_FN_RECEIVE NdkReceive;
    NDK_FN_BIND NdkBind;
    NDK_FN_FAST_REGISTER NdkFastRegister;
    NDK_FN_INVALIDATE NdkInvalidate;
    NDK_FN_READ NdkRead;
    NDK_FN_WRITE NdkWrite;
    NDK_FN_SEND_AND_INVALIDATE NdkSendAndInvalidate;
} NDK_QP_DISPATCH;

struct _NDK_QP {
    NDK_OBJECT_HEADER Header;
    const NDK_QP_DISPATCH *Dispatch;
};

/* ---- Completion queue ------------------------------------------------------------------------ */

#define NDK_CQ_NOTIFY_ERRORS 0
#define NDK_CQ_NOTIFY_ANY 1
#define NDK_CQ_NOTIFY_SOLICITED 2

typedef NTSTATUS(NTAPI *NDK_FN_RESIZE_CQ)(NDK_CQ *pNdkCq, ULONG CqDepth,
                                          NDK_FN_REQUEST_COMPLETION RequestCompletion,
                                          PVOID RequestContext /* opt */);

typedef void(NTAPI *NDK_FN_ARM_CQ)(NDK_CQ *pNdkCq, ULONG Type);

typedef ULONG(NTAPI *NDK_FN_GET_CQ_RESULTS)(NDK_CQ *pNdkCq, NDK_RESULT Results[] /* out */,
                                            ULONG nResults);

/* ModerationInterval: microseconds. */
typedef NTSTATUS(NTAPI *NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION)(NDK_CQ *pNdkCq,
                                                                ULONG ModerationInterval,
                                                                ULONG ModerationCount);

typedef ULONG(NTAPI *NDK_FN_GET_CQ_RESULTS_EX)(NDK_CQ *pNdkCq, NDK_RESULT_EX Results[] /* out */,
                                               ULONG nResults);

typedef struct _NDK_CQ_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseCq;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_RESIZE_CQ NdkResizeCq;
    NDK_FN_ARM_CQ NdkArmCq;
    NDK_FN_GET_CQ_RESULTS NdkGetCqResults;
    NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION NdkControlCqInterruptModeration;
    NDK_FN_GET_CQ_RESULTS_EX NdkGetCqResultsEx;
} NDK_CQ_DISPATCH;

struct _NDK_CQ {
    NDK_OBJECT_HEADER Header;
    const NDK_CQ_DISPATCH *Dispatch;
};

/* ---- Shared receive queue -------------------------------------------------------------------- */

typedef NTSTATUS(NTAPI *NDK_FN_MODIFY_SRQ)(NDK_SRQ *pNdkSrq, ULONG SrqDepth, ULONG NotifyThreshold,
                                           NDK_FN_REQUEST_COMPLETION RequestCompletion,
                                           PVOID RequestContext /* opt */);

typedef NTSTATUS(NTAPI *NDK_FN_SRQ_RECEIVE)(NDK_SRQ *pNdkSrq, PVOID RequestContext /* opt */,
                                            const NDK_SGE *pSgl, ULONG nSge);

typedef struct _NDK_SRQ_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseSrq;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_MODIFY_SRQ NdkModifySrq;
    NDK_FN_SRQ_RECEIVE NdkSrqReceive;
} NDK_SRQ_DISPATCH;

struct _NDK_SRQ {
    NDK_OBJECT_HEADER Header;
    const NDK_SRQ_DISPATCH *Dispatch;
};

/* ---- Connector ------------------------------------------------------------------------------- */

typedef NTSTATUS(NTAPI *NDK_FN_CONNECT)(
    NDK_CONNECTOR *pNdkConnector, NDK_QP *pNdkQp, const PSOCKADDR pSrcAddress,
    ULONG SrcAddressLength, const PSOCKADDR pDestAddress, ULONG DestAddressLength,
    ULONG InboundReadLimit, ULONG OutboundReadLimit, const PVOID pPrivateData /* opt */,
    ULONG PrivateDataLength, NDK_FN_REQUEST_COMPLETION RequestCompletion,
    PVOID RequestContext /* opt */);

typedef NTSTATUS(NTAPI *NDK_FN_CONNECT_WITH_SHARED_ENDPOINT)(
    NDK_CONNECTOR *pNdkConnector, NDK_QP *pNdkQp, NDK_SHARED_ENDPOINT *pNdkSharedEndpoint,
    const PSOCKADDR pDestAddress, ULONG DestAddressLength, ULONG InboundReadLimit,
    ULONG OutboundReadLimit, const PVOID pPrivateData /* opt */, ULONG PrivateDataLength,
    NDK_FN_REQUEST_COMPLETION RequestCompletion, PVOID RequestContext /* opt */);

typedef NTSTATUS(NTAPI *NDK_FN_COMPLETE_CONNECT)(
    NDK_CONNECTOR *pNdkConnector, NDK_FN_DISCONNECT_EVENT_CALLBACK DisconnectEvent /* opt */,
    PVOID DisconnectEventContext /* opt */, NDK_FN_REQUEST_COMPLETION RequestCompletion,
    PVOID RequestContext /* opt */);

typedef NTSTATUS(NTAPI *NDK_FN_ACCEPT)(NDK_CONNECTOR *pNdkConnector, NDK_QP *pNdkQp,
                                       ULONG InboundReadLimit, ULONG OutboundReadLimit,
                                       const PVOID pPrivateData /* opt */, ULONG PrivateDataLength,
                                       NDK_FN_DISCONNECT_EVENT_CALLBACK DisconnectEvent /* opt */,
                                       PVOID DisconnectEventContext /* opt */,
                                       NDK_FN_REQUEST_COMPLETION RequestCompletion,
                                       PVOID RequestContext /* opt */);

typedef NTSTATUS(NTAPI *NDK_FN_REJECT)(NDK_CONNECTOR *pNdkConnector,
                                       const PVOID pPrivateData /* opt */, ULONG PrivateDataLength);

typedef NTSTATUS(NTAPI *NDK_FN_GET_CONNECTION_DATA)(NDK_CONNECTOR *pNdkConnector,
                                                    ULONG *pInboundReadLimit /* out, opt */,
                                                    ULONG *pOutboundReadLimit /* out, opt */,
                                                    PVOID pPrivateData /* out, opt */,
                                                    ULONG *pPrivateDataLength /* in/out */);

typedef NTSTATUS(NTAPI *NDK_FN_GET_LOCAL_ADDRESS)(NDK_CONNECTOR *pNdkConnector,
                                                  PSOCKADDR pAddress /* out, opt */,
                                                  ULONG *pAddressLength /* in/out */);

typedef NTSTATUS(NTAPI *NDK_FN_GET_PEER_ADDRESS)(NDK_CONNECTOR *pNdkConnector,
                                                 PSOCKADDR pAddress /* out, opt */,
                                                 ULONG *pAddressLength /* in/out */);

typedef NTSTATUS(NTAPI *NDK_FN_DISCONNECT)(NDK_CONNECTOR *pNdkConnector,
                                           NDK_FN_REQUEST_COMPLETION RequestCompletion,
                                           PVOID RequestContext /* opt */);

/* As up to NDKPI 2.0; 2.1 adds two entries at the end. */
typedef struct _NDK_CONNECTOR_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseConnector;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_CONNECT NdkConnect;
    NDK_FN_CONNECT_WITH_SHARED_ENDPOINT NdkConnectWithSharedEndpoint;
    NDK_FN_COMPLETE_CONNECT NdkCompleteConnect;
    NDK_FN_ACCEPT NdkAccept;
    NDK_FN_REJECT NdkReject;
    NDK_FN_GET_CONNECTION_DATA NdkGetConnectionData;
    NDK_FN_GET_LOCAL_ADDRESS NdkGetLocalAddress;
    NDK_FN_GET_PEER_ADDRESS NdkGetPeerAddress;
    NDK_FN_DISCONNECT NdkDisconnect;
} NDK_CONNECTOR_DISPATCH;

struct _NDK_CONNECTOR {
    NDK_OBJECT_HEADER Header;
    const NDK_CONNECTOR_DISPATCH *Dispatch;
};

/* ---- Listener -------------------------------------------------------------------------------- */

typedef NTSTATUS(NTAPI *NDK_FN_LISTEN)(NDK_LISTENER *pNdkListener, const PSOCKADDR pAddress,
                                       ULONG AddressLength,
                                       NDK_FN_REQUEST_COMPLETION RequestCompletion,
                                       PVOID RequestContext /* opt */);

typedef NTSTATUS(NTAPI *NDK_FN_GET_LISTENER_LOCAL_ADDRESS)(NDK_LISTENER *pNdkListener,
                                                           PSOCKADDR pAddress /* out, opt */,
                                                           ULONG *pAddressLength /* in/out */);

typedef void(NTAPI *NDK_FN_CONTROL_CONNECT_EVENTS)(NDK_LISTENER *pNdkListener, BOOLEAN Pause);

typedef struct _NDK_LISTENER_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseListener;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_LISTEN NdkListen;
    NDK_FN_GET_LISTENER_LOCAL_ADDRESS NdkGetLocalAddress;
    NDK_FN_CONTROL_CONNECT_EVENTS NdkControlConnectEvents;
} NDK_LISTENER_DISPATCH;

struct _NDK_LISTENER {
    NDK_OBJECT_HEADER Header;
    const NDK_LISTENER_DISPATCH *Dispatch;
};

/* ---- Shared endpoint ------------------------------------------------------------------------- */

typedef NTSTATUS(NTAPI *NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS)(
    NDK_SHARED_ENDPOINT *pNdkSharedEndpoint, PSOCKADDR pAddress /* out, opt */,
    ULONG *pAddressLength /* in/out */);

typedef struct _NDK_SHARED_ENDPOINT_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseSharedEndpoint;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS NdkGetLocalAddress;
} NDK_SHARED_ENDPOINT_DISPATCH;

struct _NDK_SHARED_ENDPOINT {
    NDK_OBJECT_HEADER Header;
    const NDK_SHARED_ENDPOINT_DISPATCH *Dispatch;
};

#ifdef __cplusplus
} /* extern "C" */
#endif

/* ---- Sizes: as on Windows, whatever the compiler's options ----------------------------------- */

#if defined(__cplusplus) && __cplusplus >= 201103L
#define NDKPI_ASSERT(what, condition) static_assert(condition, "ndkpi.h: " #what)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define NDKPI_ASSERT(what, condition) _Static_assert(condition, "ndkpi.h: " #what)
#else
#define NDKPI_ASSERT(what, condition) typedef char ndkpi_assert_##what[(condition) ? 1 : -1]
#endif
#define NDKPI_SIZE(type, wide, narrow) \
    NDKPI_ASSERT(type, sizeof(type) == (sizeof(void *) == 8 ? (wide) : (narrow)))

NDKPI_SIZE(ULONG, 4, 4);
NDKPI_SIZE(UINT32, 4, 4);
NDKPI_SIZE(UINT64, 8, 8);
NDKPI_SIZE(SIZE_T, 8, 4);
NDKPI_SIZE(BOOLEAN, 1, 1);
NDKPI_SIZE(NTSTATUS, 4, 4);
NDKPI_SIZE(GUID, 16, 16);
NDKPI_SIZE(GROUP_AFFINITY, 16, 12);
NDKPI_SIZE(MDL, 48, 28);
NDKPI_SIZE(NDK_VERSION, 4, 4);
NDKPI_SIZE(NDK_ADAPTER_INFO, 104, 88);
NDKPI_SIZE(NDK_OBJECT_TYPE, 4, 4);
NDKPI_SIZE(NDK_OBJECT_HEADER_RESERVED_BLOCK, 32, 16);
NDKPI_SIZE(NDK_OBJECT_HEADER, 40, 24);
NDKPI_SIZE(NDK_EXTENSION_INTERFACE, 8, 4);
NDKPI_SIZE(NDK_LOGICAL_ADDRESS, 8, 8);
NDKPI_SIZE(NDK_LOGICAL_ADDRESS_MAPPING, 24, 16);
NDKPI_SIZE(NDK_SGE, 16, 16);
NDKPI_SIZE(NDK_RESULT, 24, 16);
NDKPI_SIZE(NDK_RESULT_EX, 40, 24);
NDKPI_SIZE(NDK_MR, 48, 28);
NDKPI_SIZE(NDK_MR_DISPATCH, 56, 28);
NDKPI_SIZE(NDK_MW, 48, 28);
NDKPI_SIZE(NDK_MW_DISPATCH, 24, 12);
NDKPI_SIZE(NDK_PD, 48, 28);
NDKPI_SIZE(NDK_PD_DISPATCH, 64, 32);
NDKPI_SIZE(NDK_ADAPTER, 48, 28);
NDKPI_SIZE(NDK_ADAPTER_DISPATCH, 72, 36);
NDKPI_SIZE(NDK_QP, 48, 28);
NDKPI_SIZE(NDK_QP_DISPATCH, 88, 44);
NDKPI_SIZE(NDK_CQ, 48, 28);
NDKPI_SIZE(NDK_CQ_DISPATCH, 56, 28);
NDKPI_SIZE(NDK_SRQ, 48, 28);
NDKPI_SIZE(NDK_SRQ_DISPATCH, 32, 16);
NDKPI_SIZE(NDK_CONNECTOR, 48, 28);
NDKPI_SIZE(NDK_CONNECTOR_DISPATCH, 88, 44);
NDKPI_SIZE(NDK_LISTENER, 48, 28);
NDKPI_SIZE(NDK_LISTENER_DISPATCH, 40, 20);
NDKPI_SIZE(NDK_SHARED_ENDPOINT, 48, 28);
NDKPI_SIZE(NDK_SHARED_ENDPOINT_DISPATCH, 24, 12);

#undef NDKPI_SIZE
#undef NDKPI_ASSERT
#undef NDKPI_EXTENSION

#endif /* _NDKPI_H_ */
