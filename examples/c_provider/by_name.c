/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The provider beside the library's backends, under the name "soft", for consumers that open an adapter by name: they
 * are compiled with -Dndkmr_open=soft_open_by_name -Dndkmr_close=soft_close_any.
 */
#undef ndkmr_open
#undef ndkmr_close
#include "soft.h"

#include "ndk_mr.h"

#include <string.h>

NTSTATUS soft_open_by_name(const char *backend, NDK_VERSION version, const ndkmr_options *options,
                           NDK_ADAPTER **adapter);
NTSTATUS soft_close_any(NDK_ADAPTER *adapter);

NTSTATUS soft_open_by_name(const char *backend, NDK_VERSION version, const ndkmr_options *options,
                           NDK_ADAPTER **adapter)
{
    if (backend && strcmp(backend, "soft") == 0)
        return soft_open(version, adapter);
    return ndkmr_open(backend, version, options, adapter);
}

NTSTATUS soft_close_any(NDK_ADAPTER *adapter)
{
    NTSTATUS status = soft_close(adapter);

    return status == STATUS_INVALID_PARAMETER ? ndkmr_close(adapter) : status;
}
