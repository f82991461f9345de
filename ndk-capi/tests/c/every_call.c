/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Calls every function of ndk_mr.h, as C and as C++, and prints the layout of its structures.
 */
#include "ndk_mr.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define REQUIRE(condition)                                                  \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition); \
            return 1;                                                       \
        }                                                                   \
    } while (0)

static void on_log(void *context, int level, const char *target, const char *message)
{
    (void)level;
    if (strlen(target) > 0 && strlen(message) > 0)
        ++*(int *)context;
}

int main(void)
{
    static char memory[3 * PAGE_SIZE];
    NDK_VERSION version;
    NDK_ADAPTER *adapter = NULL;
    ndkmr_options options;
    ndkmr_part part[2];
    GUID id;
    NDK_EXTENSION_INTERFACE interface;
    const NDKMR_CAPABILITIES *declared;
    MDL *mdl = NULL;
    MDL *chain = NULL;
    char why[256];
    SIZE_T consumer = 1, provider = 1;
    int lines = 0;

    REQUIRE(ndkmr_last_error(NULL, 0) == 0);
    REQUIRE(ndkmr_set_log(on_log, &lines, NDKMR_LOG_WARN) == STATUS_SUCCESS);

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.executor_threads = 1;
    version.Major = 2;
    version.Minor = 0;
    REQUIRE(ndkmr_open("nonesuch", version, &options, &adapter) == STATUS_NOT_SUPPORTED);
    REQUIRE(adapter == NULL && lines > 0);
    REQUIRE(ndkmr_last_error(why, sizeof why) > 0 && strstr(why, "nonesuch") != NULL);
    REQUIRE(ndkmr_open("sim", version, &options, &adapter) == STATUS_SUCCESS);
    REQUIRE(adapter->Header.ObjectType == NdkObjectTypeAdapter);
    id = NDKMR_CAPABILITIES_GUID;
    version.Major = 1;
    REQUIRE(adapter->Dispatch->NdkQueryExtension(&adapter->Header, &id, version, &interface) ==
            STATUS_SUCCESS);
    declared = (const NDKMR_CAPABILITIES *)interface.Dispatch;
    REQUIRE(declared->Size == sizeof *declared);
    REQUIRE(declared->FastRegistrationPages == 511 && declared->Windows == 1);
    version.Minor = 1;
    REQUIRE(adapter->Dispatch->NdkQueryExtension(&adapter->Header, &id, version, &interface) ==
            STATUS_NOT_SUPPORTED);
    REQUIRE(ndkmr_count_findings(adapter, &consumer, &provider) == STATUS_SUCCESS);
    REQUIRE(consumer == 0 && provider == 0);
    REQUIRE(ndkmr_get_finding(adapter, 0, NULL, 0) == 0);
    REQUIRE(ndkmr_close(adapter) == STATUS_SUCCESS);

    REQUIRE(ndkmr_mdl_create(memory, sizeof memory, &mdl) == STATUS_SUCCESS);
    REQUIRE((char *)mdl->StartVa + mdl->ByteOffset == memory && mdl->ByteCount == sizeof memory);
    REQUIRE(ndkmr_mdl_free(mdl) == STATUS_SUCCESS);
    part[0].memory = memory;
    part[0].length = 5;
    part[1].memory = memory + 5;
    part[1].length = 6;
    REQUIRE(ndkmr_mdl_create_chain(part, 2, NULL, &chain) == STATUS_SUCCESS);
    REQUIRE(chain->ByteCount == 5 && chain->Next->ByteCount == 6 && chain->Next->Next == NULL);
    REQUIRE(ndkmr_mdl_free(chain) == STATUS_SUCCESS);

    REQUIRE(strcmp(ndkmr_status_name(STATUS_PENDING), "STATUS_PENDING") == 0);
    REQUIRE(ndkmr_set_log(NULL, NULL, NDKMR_LOG_OFF) == STATUS_SUCCESS);

    printf("ndkmr_options %u %u %u %u\n", (unsigned)sizeof(ndkmr_options),
           (unsigned)offsetof(ndkmr_options, size),
           (unsigned)offsetof(ndkmr_options, executor_threads),
           (unsigned)offsetof(ndkmr_options, reserved));
    printf("ndkmr_part %u %u %u\n", (unsigned)sizeof(ndkmr_part),
           (unsigned)offsetof(ndkmr_part, memory), (unsigned)offsetof(ndkmr_part, length));
    printf("NDKMR_CAPABILITIES %u %u %u %u %u %u %u %u %u %u %u %u %u %u %u %u\n", (unsigned)sizeof(NDKMR_CAPABILITIES),
           (unsigned)offsetof(NDKMR_CAPABILITIES, AnyBaseAddress),
           (unsigned)offsetof(NDKMR_CAPABILITIES, ScatteredPages),
           (unsigned)offsetof(NDKMR_CAPABILITIES, ByteExact),
           (unsigned)offsetof(NDKMR_CAPABILITIES, RemoteReadEnforced),
           (unsigned)offsetof(NDKMR_CAPABILITIES, ReadSinkGrantsWrite),
           (unsigned)offsetof(NDKMR_CAPABILITIES, RefusalByCompletion),
           (unsigned)offsetof(NDKMR_CAPABILITIES, PartialWrites),
           (unsigned)offsetof(NDKMR_CAPABILITIES, TokenReuseDistance),
           (unsigned)offsetof(NDKMR_CAPABILITIES, TokensUnpredictable),
           (unsigned)offsetof(NDKMR_CAPABILITIES, SharedKey),
           (unsigned)offsetof(NDKMR_CAPABILITIES, FastRegistrationPages),
           (unsigned)offsetof(NDKMR_CAPABILITIES, FastRegistrationRotates),
           (unsigned)offsetof(NDKMR_CAPABILITIES, FastRegistrationEmulated),
           (unsigned)offsetof(NDKMR_CAPABILITIES, TokenOfOneQueuePair),
           (unsigned)offsetof(NDKMR_CAPABILITIES, Windows));
    return 0;
}
