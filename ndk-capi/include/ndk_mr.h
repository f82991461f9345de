/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * ndk_mr.h: opens NDK adapters by name in a program without a kernel, and makes MDLs over its memory.
 *
 * Everything else is done through the tables of ndkpi.h. The library has every backend in it; it is
 * linked as libndkmr.so (ndkmr.dll) or libndkmr.a, one of them once in a program.
 *
 * What holds for every function here, unless it says otherwise:
 * - It may be called on any thread, by several at once, also inside a completion routine of NDK.
 *   None may be called in a signal handler, or in a child after fork().
 * - A negative NTSTATUS is a failure. Then nothing has changed, nothing was written through a
 *   pointer, and ndkmr_last_error has a sentence about it. STATUS_INTERNAL_ERROR means a defect of
 *   the library or the backend, and may come from any function.
 * - No function throws or unwinds. Callbacks given to the library must not throw, longjmp or end
 *   their thread either.
 * - The library must stay loaded once it was used.
 */
#ifndef NDK_MR_H
#define NDK_MR_H

#include "ndkpi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Adapters -------------------------------------------------------------------------------- */

/* How to open an adapter. Zero the whole, then set size and what you want. */
typedef struct ndkmr_options {
    SIZE_T size;             /* sizeof(ndkmr_options). */
    UINT32 executor_threads; /* Threads that finish pending requests and call completion routines;
                                1 to 1024, 0: 2. They are the adapter's own. */
    UINT32 reserved;         /* 0. */
} ndkmr_options;

/* Opens an adapter of the backend with this name (UTF-8): scheme[:instance][?key=value&...], as in
 * "sim" or "sim?seed=7". %XX stands for a byte. options may be null. "verify+" before a name puts the
 * verifier over the backend, see below.
 *
 * The version's major number is served or not; a minor number up to the backend's highest gives that
 * highest, which the adapter's header shows (1.2 or 2.0).
 *
 * Blocks while the backend opens its device.
 *
 * STATUS_NOT_SUPPORTED: no such backend here; the last error lists those there are. Also an option
 *   that a later version of this header knows.
 * STATUS_INVALID_PARAMETER: a null pointer, a name or an option that cannot be read, options out of
 *   range.
 * NDIS_STATUS_BAD_VERSION: a version that the backend does not serve.
 * STATUS_INSUFFICIENT_RESOURCES: no memory, no thread.
 * Others: what the backend says of its device. */
NTSTATUS ndkmr_open(const char *backend, NDK_VERSION version, const ndkmr_options *options /* opt */,
                    NDK_ADAPTER **adapter /* out */);

/* Closes an adapter. Blocks until every object made from it is closed and every completion routine
 * has returned; after a success none of them runs any more, and every pointer to the adapter or to
 * what was made from it is dead. While objects stay open it goes on waiting, and the log names them;
 * the verifier can end that.
 *
 * Do not call it with a lock held that a completion routine takes.
 *
 * STATUS_INVALID_DEVICE_STATE: called inside a completion routine of this adapter's objects (it
 *   would wait for itself) or inside a log callback, or another thread closes the adapter already.
 *   The adapter is as it was.
 * STATUS_INVALID_PARAMETER: null, or no adapter that is open here; the pointer is not followed. */
NTSTATUS ndkmr_close(NDK_ADAPTER *adapter);

/* ---- The verifier ---------------------------------------------------------------------------- */

/* An adapter that was opened as "verify+NAME", say "verify+sim?seed=7", is watched: what its consumer
 * or its provider does wrong is found, and written to the log (a consumer's as a warning, a provider's
 * as an error). Options stand in parentheses, as in "verify(policy=fail,limit=5s)+sim":
 *
 *   policy      log; count: nothing is logged; fail: mistakes fail the call as well
 *   limit       for how long a request may pend, and ndkmr_close wait for what was never closed,
 *               as in 500ms, 5s or 2m; 30s. With policy=fail such a close is STATUS_DEVICE_BUSY, and
 *               can be called again.
 *   backtraces  true; false: does not keep where objects were created
 *   contexts    own; shared: requests in progress may have one context together
 *
 * docs/verifier.md says what is found, and what cannot be. */

/* How many mistakes were found on an adapter, each counted once for its object. Both pointers may be
 * null. Zero for an adapter without the verifier.
 *
 * STATUS_INVALID_PARAMETER: null, or no adapter that is open here; the pointer is not followed.
 * STATUS_INVALID_DEVICE_STATE: another thread is closing it. */
NTSTATUS ndkmr_count_findings(NDK_ADAPTER *adapter, SIZE_T *consumer /* out, opt */,
                              SIZE_T *provider /* out, opt */);

/* Writes the finding with this number, from 0 on, as ndkmr_last_error writes its sentence: whose
 * mistake it is, by which rules, on which object, what was done, what would be right, and where the
 * object was created, over several lines. Returns the length of the whole, without the zero byte; 0
 * where there is none of that number, or the adapter is none that is open here. */
SIZE_T ndkmr_get_finding(NDK_ADAPTER *adapter, SIZE_T number, char *buffer /* out, opt */, SIZE_T size);

/* ---- Memory descriptor lists ----------------------------------------------------------------- */

/* Makes an MDL (a chain of them beyond 4 GiB) over memory of the program's, at its own address. The
 * memory is neither copied nor owned: it stays where it is until no registration over it is left or
 * pending, and may then be freed before or after the MDL.
 *
 * STATUS_INVALID_PARAMETER: a null pointer, or a length that wraps around the address space.
 * STATUS_INSUFFICIENT_RESOURCES: no memory. */
NTSTATUS ndkmr_mdl_create(void *memory, SIZE_T length, MDL **mdl /* out */);

/* A part of a chain. */
typedef struct ndkmr_part {
    void *memory;
    SIZE_T length; /* Bytes. */
} ndkmr_part;

/* As ndkmr_mdl_create, with one MDL for each part, one behind the other in virtual addresses from
 * virtual_address on; null: from the address of the first part on. A virtual address is an index by
 * which peers name bytes and need not be an address of the program's.
 *
 * STATUS_INVALID_PARAMETER: also no parts, and page offsets that do not fit: virtual_address must
 *   have the page offset of the first part, and each part must begin where the one before ended in
 *   its page: at the start of a page after one that ended with a page, or else at the next byte. */
NTSTATUS ndkmr_mdl_create_chain(const ndkmr_part *parts, SIZE_T count,
                                void *virtual_address /* opt */, MDL **mdl /* out */);

/* Frees what one call of the functions above made, by the pointer that it gave; a chain as a whole.
 * No register or build request may be pending with it; a region that is registered already does not
 * need it any more.
 *
 * STATUS_INVALID_PARAMETER: null, or no such MDL; the pointer is not followed. */
NTSTATUS ndkmr_mdl_free(MDL *mdl);

/* ---- What a device can do -------------------------------------------------------------------- */

/* An adapter's NdkQueryExtension gives, for NDKMR_CAPABILITIES_GUID and version 1.0, a Dispatch that
 * points to an NDKMR_CAPABILITIES. It is valid until the adapter is closed. */
static const GUID NDKMR_CAPABILITIES_GUID = {
    0x6E646B6D, 0x7263, 0x6170, {0x80, 0, 0, 0, 0, 0, 0, 1}};

/* Fields are 0 or 1 unless they say otherwise. Later minor versions add fields at the end. */
typedef struct NDKMR_CAPABILITIES {
    UINT32 Size;                     /* The size of the structure in bytes. */
    UINT32 AnyBaseAddress;           /* A region's addresses may start anywhere; else at its host address only. */
    UINT32 ScatteredPages;           /* Its pages need not be adjacent in host memory. */
    UINT32 ByteExact;                /* Access is exact to the byte. */
    UINT32 RemoteReadEnforced;       /* A peer's read is refused without the right. */
    UINT32 ReadSinkGrantsWrite;      /* RDMA_READ_SINK gives peers remote write. */
    UINT32 RefusalByCompletion;      /* A refusal is a completion with an error; else the connection is lost. */
    UINT32 PartialWrites;            /* Bytes inside the bounds may change when an access is refused. */
    UINT32 TokenReuseDistance;       /* Deregistrations before a token may come back; 0: nothing is said. */
    UINT32 TokensUnpredictable;      /* Tokens cannot be guessed from earlier ones. */
    UINT32 SharedKey;                /* Local and remote token of a region are one key. */
    UINT32 FastRegistrationPages;    /* The most pages of a fast registration; 0: there is none. */
    UINT32 FastRegistrationRotates;  /* The low 8 bits of its token change with each round. */
    UINT32 FastRegistrationEmulated; /* A memory window emulates it. */
    UINT32 TokenOfOneQueuePair;      /* Its token works on one queue pair only. */
    UINT32 Windows;                  /* Memory windows can be bound. */
} NDKMR_CAPABILITIES;

/* ---- What happened --------------------------------------------------------------------------- */

/* The name of a status, as in "STATUS_PENDING", or "(unknown status)": a constant, never null. */
const char *ndkmr_status_name(NTSTATUS status);

/* Writes what the last failure of a function of this header on this thread was, ended by a zero byte
 * and cut to fit into size bytes: function, status and cause, in UTF-8, over several lines where it
 * lists something. Returns the length of the whole, without the zero byte; 0 if nothing failed yet.
 * buffer may be null if size is 0. Entries of NDK's tables do not set it: what they refuse is in the
 * log. */
SIZE_T ndkmr_last_error(char *buffer /* out, opt */, SIZE_T size);

/* Levels of the log: what went wrong inside; calls refused and closes that wait; what a backend
 * tells of its course; details, each with more. */
#define NDKMR_LOG_OFF 0
#define NDKMR_LOG_ERROR 1
#define NDKMR_LOG_WARN 2
#define NDKMR_LOG_INFO 3
#define NDKMR_LOG_DEBUG 4
#define NDKMR_LOG_TRACE 5

/* Gets a line of the log: its level, the part of the library that it comes from, and the text, both
 * ended by a zero byte and valid during the call.
 *
 * It is called on any thread, by several at once, from inside NDK's entries and this library's
 * functions. It must not block, nor call either; ndkmr_status_name and ndkmr_last_error excepted. */
typedef void (*ndkmr_log_callback)(void *context, int level, const char *target,
                                   const char *message);

/* Sends lines up to this level to the callback, with the context, instead of the one before; a null
 * callback or NDKMR_LOG_OFF ends it, which is how it starts. One setting holds for the process.
 *
 * When it returns, the callback before is not running and will not be called again. It waits for
 * that: do not call it with a lock held that the callback takes.
 *
 * STATUS_INVALID_PARAMETER: no such level.
 * STATUS_INVALID_DEVICE_STATE: called inside a log callback; or the library is linked into a Rust
 *   program that has a logger of its own. */
NTSTATUS ndkmr_set_log(ndkmr_log_callback callback /* opt */, void *context /* opt */, int level);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* NDK_MR_H */
