/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The smallest consumer: registers a buffer, and prints by which token a peer may read it. From the root of the
 * repository:
 *
 *     cargo build --release -p ndk-capi
 *     cc -std=c11 -Indk-capi/include examples/c_consumer/hello.c \
 *         -Ltarget/release -lndkmr -pthread -o hello
 *     LD_LIBRARY_PATH=target/release ./hello
 */
#include "ndk_mr.h"
#include "waiter.h"

#define DO(request) (waiter_init(&w), check(#request, waiter_end(&w, request)))

static void check(const char *what, NTSTATUS status)
{
    if (status != STATUS_SUCCESS) {
        char cause[2000] = "";
        ndkmr_last_error(cause, sizeof cause);
        fprintf(stderr, "%s: %s\n%s\n", what, ndkmr_status_name(status), cause);
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    static char buffer[] = "Hello, peer.";
    const NDK_VERSION version = {2, 0};
    struct waiter w;
    NDK_ADAPTER *adapter;
    NDK_PD *pd = NULL;
    NDK_MR *mr = NULL;
    MDL *mdl;

    check("open", ndkmr_open(argc > 1 ? argv[1] : "sim", version, NULL, &adapter));
    check("MDL", ndkmr_mdl_create(buffer, sizeof buffer, &mdl));
    /* A creation that pended gives its object through the completion alone. */
    DO(adapter->Dispatch->NdkCreatePd(adapter, on_create, &w, &pd));
    pd = pd ? pd : (NDK_PD *)w.object;
    DO(pd->Dispatch->NdkCreateMr(pd, FALSE, on_create, &w, &mr));
    mr = mr ? mr : (NDK_MR *)w.object;
    DO(mr->Dispatch->NdkRegisterMr(mr, mdl, sizeof buffer, NDK_MR_FLAG_ALLOW_REMOTE_READ,
                                   on_request, &w));
    printf("%zu bytes at %p, token %#x\n", sizeof buffer, (void *)buffer,
           (unsigned)mr->Dispatch->NdkGetRemoteTokenFromMr(mr));
    DO(mr->Dispatch->NdkCloseMr(&mr->Header, on_close, &w));
    DO(pd->Dispatch->NdkClosePd(&pd->Header, on_close, &w));
    check("close", ndkmr_close(adapter));
    check("MDL", ndkmr_mdl_free(mdl));
    return EXIT_SUCCESS;
}
