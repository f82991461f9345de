/*
 * A kernel for unmodified libibverbs and libmlx5, without a kernel and without an adapter: preloaded into a program, it
 * answers the requests that the two make of /dev/infiniband/uverbs0 as the mlx5 driver would, and carries nothing out.
 * What a program puts into its queues stays there, to be read back.
 *
 *   libc.c     stands in for the calls of libc by which the libraries reach the kernel
 *   uverbs.c   takes a request apart, and counts, logs and refuses
 *   table.c    objects, with distinct handles, keys and numbers
 *   objects.c  domains, regions, windows, queues
 *   devx.c     firmware commands: indirect keys
 *   complete.c completions, which a test asks for
 *   device.c   what the adapter says of itself
 *   faults.c   what a test has go slowly or wrong
 */
#ifndef FAKE_MLX5_H
#define FAKE_MLX5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/mlx5-abi.h>
#include <rdma/mlx5_user_ioctl_cmds.h>
#include <rdma/mlx5_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>

/* A request, as the ioctl interface of the kernel's RDMA core has it. */
struct request {
	struct ib_uverbs_ioctl_hdr *header;
	unsigned write_command; /* in requests of the older interface */
};

/* An attribute, or NULL. */
struct ib_uverbs_attr *attribute(const struct request *request, unsigned id);
/* The bytes of an input attribute if it has at least this many, or NULL. */
const void *input(const struct request *request, unsigned id, size_t size);
/* Writes to an output attribute, as many bytes as it has room for; true if it is there. */
bool output(const struct request *request, unsigned id, const void *bytes, size_t size);

/* A line of the log. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Refuses a request that is not known: says so on standard error, and counts it. */
int refuse(const char *what, unsigned long first, unsigned long second);

int answer_write(const struct request *request);
int answer_devx(const struct request *request);
int answer_queue(const struct request *request);
int destroy(const struct request *request, unsigned handle_attribute);
int new_event_file(const struct request *request);
int query_device(const struct request *request);
int query_port(const struct request *request);
int query_addresses(const struct request *request);
int open_context(const struct request *request);
int query_capabilities(const uint8_t *in, uint8_t *out, size_t size);
/* Whether the context was opened for DEVX, the interface that makes indirect keys. */
bool has_devx(void);
/* The size of the largest work-queue entry. */
unsigned largest_entry(void);
/* Waits, where the request is a registration and a test holds those back. */
void hold(const struct ib_uverbs_ioctl_hdr *header);
/* Whether registrations, windows and indirect keys are not to be destroyed. */
bool refuses_ends(void);

/* What a test asks, by dlsym. */

/* How many requests the libraries have made. */
uint64_t fake_mlx5_requests(void);
/* How many of them were refused as unknown. */
uint64_t fake_mlx5_refused(void);
/* How many objects are there that were made and not destroyed. */
uint64_t fake_mlx5_objects(void);

/* A queue pair as the kernel was told of it. */
struct fake_queue_pair {
	const uint8_t *send_queue; /* in memory of the program */
	uint64_t send_queue_size;
	const uint32_t *doorbell; /* big-endian: receive counter, send counter */
};
/* True if there is a queue pair of this number. */
bool fake_mlx5_queue_pair(uint32_t number, struct fake_queue_pair *queue_pair);

/* How a request ended, as the adapter would report it. */
struct fake_completion {
	uint16_t slot; /* of a posted entry: where it begins; not of a receive */
	uint8_t opcode; /* the entry's */
	uint8_t syndrome; /* 0: success */
	bool receive;
	uint32_t invalidated; /* of a receive: the key that the message ended, or 0 */
};
/* Puts a completion into the completion queue of this queue pair; false if there is none. */
bool fake_mlx5_complete(uint32_t queue_pair, const struct fake_completion *completion);

/* An indirect memory key as libmlx5 asked for it. */
struct fake_mkey {
	uint32_t domain;
	uint32_t elements;
	uint32_t queue_pair;
	bool free, by_umr, local_read, other_rights, remote_invalidate, indirect;
};
/* True if there is an indirect key of this value. */
bool fake_mlx5_mkey(uint32_t key, struct fake_mkey *mkey);
/* A registration. */
struct fake_region {
	uint32_t key, domain, access;
};
/* True if there is a registration that begins at this host address. */
bool fake_mlx5_region_at(uint64_t address, struct fake_region *region);

/* Whether registrations wait, until this is taken back. */
void fake_mlx5_hold_registrations(bool hold);
/* How many wait. */
uint32_t fake_mlx5_waiting(void);
/* Whether the ends of registrations, windows and indirect keys are refused, as busy. */
void fake_mlx5_refuse_ends(bool refuse);

#endif
