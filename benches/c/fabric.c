/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* libfabric, as far as the benches use it: its calls are inline functions of its headers, so Rust reaches them here. */
#define _POSIX_C_SOURCE 200809L
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct fabric {
    struct fi_info *info;
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    _Atomic uint64_t key;
    /* With `fabric_connect`: an endpoint that knows its own address. */
    struct fid_cq *cq;
    struct fid_av *av;
    struct fid_ep *ep;
    fi_addr_t self;
};

static int open_domain(struct fabric *fabric, const char *provider, int type)
{
    struct fi_info *hints = fi_allocinfo();
    if (!hints)
        return -FI_ENOMEM;
    hints->caps = FI_MSG | FI_RMA;
    hints->ep_attr->type = (enum fi_ep_type)type;
    hints->domain_attr->mr_mode = FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_VIRT_ADDR;
    hints->domain_attr->threading = FI_THREAD_SAFE;
    hints->fabric_attr->prov_name = strdup(provider);
    int failed = fi_getinfo(FI_VERSION(1, 11), NULL, NULL, 0, hints, &fabric->info);
    fi_freeinfo(hints);
    if (!failed)
        failed = fi_fabric(fabric->info->fabric_attr, &fabric->fabric, NULL);
    if (!failed)
        failed = fi_domain(fabric->fabric, fabric->info, &fabric->domain, NULL);
    return failed;
}

void fabric_close(struct fabric *fabric)
{
    if (fabric->ep)
        fi_close(&fabric->ep->fid);
    if (fabric->av)
        fi_close(&fabric->av->fid);
    if (fabric->cq)
        fi_close(&fabric->cq->fid);
    if (fabric->domain)
        fi_close(&fabric->domain->fid);
    if (fabric->fabric)
        fi_close(&fabric->fabric->fid);
    if (fabric->info)
        fi_freeinfo(fabric->info);
    free(fabric);
}

/* A domain of a provider; null, and the reason, where there is none. */
struct fabric *fabric_open(const char *provider, int connected, int *failed)
{
    struct fabric *fabric = calloc(1, sizeof *fabric);
    *failed = fabric ? open_domain(fabric, provider, connected ? FI_EP_MSG : FI_EP_RDM) : -FI_ENOMEM;
    if (*failed && fabric) {
        fabric_close(fabric);
        return NULL;
    }
    return fabric;
}

int fabric_register(struct fabric *fabric, const void *memory, size_t length, void **region)
{
    struct fid_mr *mr;
    uint64_t key = atomic_fetch_add_explicit(&fabric->key, 1, memory_order_relaxed);
    int failed = fi_mr_reg(fabric->domain, memory, length, FI_REMOTE_READ | FI_REMOTE_WRITE, 0, key, 0, &mr, NULL);
    *region = mr;
    return failed;
}

int fabric_deregister(void *region)
{
    return fi_close(&((struct fid_mr *)region)->fid);
}

int fabric_connect(struct fabric *fabric)
{
    struct fi_cq_attr cq = {.format = FI_CQ_FORMAT_CONTEXT, .size = 1024};
    struct fi_av_attr av = {.type = FI_AV_TABLE, .count = 1};
    char name[256];
    size_t length = sizeof name;
    int failed = fi_cq_open(fabric->domain, &cq, &fabric->cq, NULL);
    if (!failed)
        failed = fi_av_open(fabric->domain, &av, &fabric->av, NULL);
    if (!failed)
        failed = fi_endpoint(fabric->domain, fabric->info, &fabric->ep, NULL);
    if (!failed)
        failed = fi_ep_bind(fabric->ep, &fabric->av->fid, 0);
    if (!failed)
        failed = fi_ep_bind(fabric->ep, &fabric->cq->fid, FI_TRANSMIT | FI_RECV);
    if (!failed)
        failed = fi_enable(fabric->ep);
    if (!failed)
        failed = fi_getname(&fabric->ep->fid, name, &length);
    if (!failed && fi_av_insert(fabric->av, name, 1, &fabric->self, 0, NULL) != 1)
        failed = -FI_EADDRNOTAVAIL;
    return failed;
}

static uint64_t remote_address(struct fabric *fabric, void *target)
{
    return fabric->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR ? (uintptr_t)target : 0;
}

static int progress(struct fabric *fabric, size_t *completed)
{
    struct fi_cq_entry entries[16];
    ssize_t read = fi_cq_read(fabric->cq, entries, 16);
    if (read > 0)
        *completed += (size_t)read;
    return read > 0 || read == -FI_EAGAIN ? 0 : (int)read;
}

/* Writes with a completion each, of which `depth` are in progress at a time. */
int fabric_write(struct fabric *fabric, const void *source, size_t length, void *target, void *region, uint64_t count,
                 uint64_t depth)
{
    uint64_t key = fi_mr_key(region), to = remote_address(fabric, target), posted = 0;
    size_t completed = 0;
    while (completed < count) {
        int failed;
        while (posted < count && posted - completed < depth) {
            ssize_t write = fi_write(fabric->ep, source, length, NULL, fabric->self, to, key, NULL);
            if (write == -FI_EAGAIN)
                break;
            if (write)
                return (int)write;
            posted++;
        }
        if ((failed = progress(fabric, &completed)))
            return failed;
    }
    return 0;
}

/* Writes without a completion; the target's progress carries them out, every `depth` of them. */
int fabric_inject(struct fabric *fabric, const void *source, size_t length, void *target, void *region, uint64_t count,
                  uint64_t depth)
{
    uint64_t key = fi_mr_key(region), to = remote_address(fabric, target);
    size_t completed = 0;
    int failed = 0;
    for (uint64_t posted = 0; posted < count && !failed;) {
        ssize_t write = fi_inject_write(fabric->ep, source, length, fabric->self, to, key);
        if (write && write != -FI_EAGAIN)
            return (int)write;
        posted += write == 0;
        if (write || posted % depth == 0)
            failed = progress(fabric, &completed);
    }
    return failed ? failed : progress(fabric, &completed);
}
