/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What software devices do wrong, by libibverbs and librdmacm alone: the cases that the conformance kit leaves out on
 * them as defects. docs/verbs-devices.md has what it printed.
 *
 *     cc -O2 -o defects ndk-backend-mlx/tests/defects/defects.c -libverbs -lrdmacm -pthread
 *     .ci/verbs-vm -- ./defects 10.9.0.1      Soft-RoCE; 10.9.3.1 is Soft-iWARP
 *
 * An owner's memory is reached for by a peer of the same program, over a device that talks to itself.
 */
#include <netdb.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 16
#define PAGE 4096
#define MOST (64 * 1024)
#define ROUNDS 100

static char *address;

static void check(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

struct link {
    struct rdma_cm_id *listener, *owner, *peer;
};

static struct ibv_qp_init_attr queues(void)
{
    struct ibv_qp_init_attr attributes = {
        .cap = {.max_send_wr = DEPTH, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1},
        .qp_type = IBV_QPT_RC,
        .sq_sig_all = 1,
    };
    return attributes;
}

static void *answer(void *argument)
{
    struct link *link = argument;
    struct rdma_conn_param parameters = {.responder_resources = 16, .initiator_depth = 16};

    check(!rdma_get_request(link->listener, &link->owner), "a request to connect");
    check(!rdma_accept(link->owner, &parameters), "accepting it");
    return NULL;
}

static struct link link_up(void)
{
    static unsigned short port = 20000;
    struct rdma_conn_param parameters = {
        .responder_resources = 16, .initiator_depth = 16, .retry_count = 1, .rnr_retry_count = 7};
    struct rdma_addrinfo hints = {.ai_port_space = RDMA_PS_TCP, .ai_flags = RAI_PASSIVE}, *found;
    struct ibv_qp_init_attr attributes = queues();
    struct link link = {0};
    uint8_t wait = 14;
    pthread_t thread;
    char service[8];

    snprintf(service, sizeof service, "%u", (unsigned)port++);
    check(!rdma_getaddrinfo(address, service, &hints, &found), "the address");
    check(!rdma_create_ep(&link.listener, found, NULL, &attributes), "a listener");
    check(!rdma_listen(link.listener, 1), "listening");
    rdma_freeaddrinfo(found);
    check(!pthread_create(&thread, NULL, answer, &link), "a thread");
    hints.ai_flags = 0;
    check(!rdma_getaddrinfo(address, service, &hints, &found), "the address");
    attributes = queues();
    check(!rdma_create_ep(&link.peer, found, NULL, &attributes), "a queue pair");
    rdma_freeaddrinfo(found);
    /* 67 ms, or a request that is not answered takes many seconds. */
    check(!rdma_set_option(link.peer, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &wait, sizeof wait), "a wait");
    check(!rdma_connect(link.peer, &parameters), "connecting");
    pthread_join(thread, NULL);
    return link;
}

static void link_down(struct link link)
{
    rdma_destroy_ep(link.peer);
    rdma_destroy_ep(link.owner);
    rdma_destroy_ep(link.listener);
}

/* A peer that keeps its queue full until something fails. */
struct busy {
    struct link link;
    struct ibv_mr *own, *target;
    uint64_t to;
    uint32_t key;
    size_t length;
    int writes;
    atomic_int succeeded;
    enum ibv_wc_status ended;
};

static int post(struct busy *busy, int place)
{
    char *own = (char *)busy->own->addr + place * busy->length;

    if (busy->writes)
        return rdma_post_write(busy->link.peer, NULL, own, busy->length, busy->own, 0, busy->to, busy->key);
    return rdma_post_read(busy->link.peer, NULL, own, busy->length, busy->own, 0, busy->to, busy->key);
}

static void *keep_busy(void *argument)
{
    struct busy *busy = argument;
    int posted = 0, ended = 0, lost = 0;
    struct ibv_wc done = {0};

    while (done.status == IBV_WC_SUCCESS) {
        while (!lost && posted - ended < DEPTH) {
            lost = post(busy, posted % DEPTH);
            posted += !lost;
        }
        /* Soft-iWARP does not complete what was posted after the end, and takes it all the same. */
        time_t limit = time(NULL) + 3;
        while (ibv_poll_cq(busy->link.peer->send_cq, 1, &done) != 1)
            if (posted == ended || time(NULL) > limit)
                return NULL;
        ended++;
        atomic_fetch_add(&busy->succeeded, done.status == IBV_WC_SUCCESS);
    }
    busy->ended = done.status; /* else none was told */
    return NULL;
}

/* Ends a registration while a peer is busy with it. The owner then fills the memory with something else. Gives how the peer's
 * first failure was told, and whether the peer wrote there or read from there all the same. */
static enum ibv_wc_status end_under(size_t length, int writes, int *late)
{
    enum { LATER = '!' };
    static char memory[MOST] __attribute__((aligned(PAGE)));
    static char own[DEPTH * MOST] __attribute__((aligned(PAGE)));
    struct busy busy = {.link = link_up(), .length = length, .writes = writes};
    int rights = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
    pthread_t thread;

    memset(memory, 'a', length);
    memset(own, 'b', DEPTH * length);
    busy.own = ibv_reg_mr(busy.link.peer->pd, own, DEPTH * length, IBV_ACCESS_LOCAL_WRITE);
    busy.target = ibv_reg_mr(busy.link.owner->pd, memory, length, rights);
    check(busy.own && busy.target, "registering");
    busy.to = (uintptr_t)memory;
    busy.key = busy.target->rkey;
    check(!pthread_create(&thread, NULL, keep_busy, &busy), "a thread");
    while (atomic_load(&busy.succeeded) < 2 * DEPTH)
        sched_yield();
    check(!ibv_dereg_mr(busy.target), "ending the registration");
    memset(memory, LATER, length);
    pthread_join(thread, NULL);
    link_down(busy.link);
    ibv_dereg_mr(busy.own);
    *late = writes ? memchr(memory, 'b', length) != NULL : memchr(own, LATER, DEPTH * length) != NULL;
    return busy.ended;
}

static void race(size_t length, int writes)
{
    int counts[64] = {0}, late_ones = 0;

    for (int round = 0; round < ROUNDS; round++) {
        int late;
        counts[end_under(length, writes, &late)]++;
        late_ones += late;
    }
    printf("%s of %zu bytes while the registration ends, %d times:", writes ? "writes" : "reads", length, ROUNDS);
    for (int status = 0; status < 64; status++)
        if (counts[status])
            printf(" %d %s,", counts[status], status ? ibv_wc_status_str(status) : "no failure told");
    printf(" %d after the end\n", late_ones);
}

/* Reads a short source that crosses a page, so many bytes before and behind. */
static int joint_is_right(int before, int behind)
{
    static char memory[2 * PAGE] __attribute__((aligned(PAGE)));
    static char own[PAGE] __attribute__((aligned(PAGE)));
    struct link link = link_up();
    int length = before + behind;
    char *source = memory + PAGE - before;
    struct ibv_mr *target = ibv_reg_mr(link.owner->pd, memory, sizeof memory, IBV_ACCESS_REMOTE_READ);
    struct ibv_mr *mine = ibv_reg_mr(link.peer->pd, own, sizeof own, IBV_ACCESS_LOCAL_WRITE);
    struct ibv_wc done;

    check(target && mine, "registering");
    for (size_t place = 0; place < sizeof memory; place++)
        memory[place] = (char)(place * 7 + place / 251);
    memset(own, 0, sizeof own);
    check(!rdma_post_read(link.peer, NULL, own, length, mine, 0, (uintptr_t)source, target->rkey), "a read");
    check(rdma_get_send_comp(link.peer, &done) == 1 && done.status == IBV_WC_SUCCESS, "the read");
    int right = memcmp(own, source, length) == 0;
    link_down(link);
    ibv_dereg_mr(target);
    ibv_dereg_mr(mine);
    return right;
}

int main(int count, char **arguments)
{
    static const int joints[][2] = {{8, 8}, {8, 7}, {7, 8}, {1, 20}, {20, 1}, {20, 20}, {100, 1}, {1, 100}};

    check(count == 2, "usage: defects ADDRESS");
    address = arguments[1];
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t index = 0; index < sizeof joints / sizeof *joints; index++) {
        const int *joint = joints[index];
        printf("a read of %d bytes before the end of a page and %d behind it: %s\n", joint[0], joint[1],
               joint_is_right(joint[0], joint[1]) ? "right" : "other bytes");
    }
    race(1024, 0);
    race(2048, 0);
    race(MOST, 0);
    race(1024, 1);
    race(16 * 1024, 1);
    race(MOST, 1);
    return 0;
}
