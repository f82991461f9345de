/* The table of objects. */
#ifndef TABLE_H
#define TABLE_H

#include "fake_mlx5.h"

enum kind { NOTHING, DOMAIN, REGION, WINDOW, COMPLETION_QUEUE, QUEUE_PAIR, INDIRECT_KEY, DOORBELL_PAGE, KINDS };

struct object {
	enum kind kind;
	uint32_t number; /* the adapter's: of a domain or queue, or a key */
	uint32_t domain; /* the handle of its domain, or 0 */
	uint32_t users; /* of a domain or completion queue: objects that need it */
	uint32_t completion_queues[2];
	uint8_t state; /* of a queue pair */
	struct fake_queue_pair queue_pair;
	uint32_t index; /* of a queue pair: what libmlx5 finds it by */
	uint16_t received; /* of a queue pair: receives that have completed */
	uint8_t *completions; /* of a completion queue: in memory of the program */
	uint32_t size, produced;
	struct fake_mkey mkey;
	uint64_t start; /* of a region */
	struct fake_region region;
};

/* The object of this handle if it is of this kind, or NULL. */
struct object *at(uint32_t handle, enum kind kind);
/* The first object of this kind and number, or NULL. */
struct object *numbered(enum kind kind, uint32_t number);
uint32_t handle_of(const struct object *object);
struct object *make(enum kind kind, uint32_t *handle);
/* A number that no other object of this process ever had. */
uint32_t new_number(enum kind kind);
/* The same for keys, of which the lowest 8 bits are given. */
uint32_t new_key(uint8_t variant);
/* The object is needed by one more; `use(handle, -1)` takes it back. Of handle 0 nothing is asked. */
void use(uint32_t handle, int by);

#endif
