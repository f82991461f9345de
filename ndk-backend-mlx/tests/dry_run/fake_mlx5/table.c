/* Objects: each has a handle in the interface, and a number or key of the adapter that no other object of this process
 * ever had. */
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[KINDS] = {
	"nothing", "domain", "region", "window", "completion queue", "queue pair", "indirect key", "doorbell page",
};

/* Handles are places in this table, from 1. */
enum { PLACES = 1 << 16 };
static struct object objects[PLACES];
static uint32_t places = 1; /* that were ever taken */
static uint32_t alive, last_number[KINDS];

struct object *at(uint32_t handle, enum kind kind)
{
	return handle && handle < places && objects[handle].kind == kind ? &objects[handle] : NULL;
}

struct object *numbered(enum kind kind, uint32_t number)
{
	for (uint32_t handle = 1; handle < places; handle++)
		if (objects[handle].kind == kind && objects[handle].number == number)
			return &objects[handle];
	return NULL;
}

uint32_t handle_of(const struct object *object) { return object - objects; }

struct object *make(enum kind kind, uint32_t *handle)
{
	uint32_t place = 1;
	while (place < places && objects[place].kind)
		place++;
	if (place == PLACES) {
		fprintf(stderr, "fake_mlx5: more than %d objects\n", PLACES - 1);
		abort();
	}
	places += place == places;
	alive++;
	*handle = place;
	objects[place] = (struct object){ .kind = kind };
	return &objects[place];
}

/* Numbers begin at different places, so that one kind's is not mistaken for another's. */
uint32_t new_number(enum kind kind)
{
	return kind * 0x1000 + ++last_number[kind];
}

/* The index of a key is 24 bits, the variant 8; regions, windows and indirect keys share the indices. */
uint32_t new_key(uint8_t variant)
{
	static uint32_t index = 0x1234;
	return ++index << 8 | variant;
}

void use(uint32_t handle, int by)
{
	if (handle)
		objects[handle].users += by;
}

uint64_t fake_mlx5_objects(void) { return alive; }

bool fake_mlx5_queue_pair(uint32_t number, struct fake_queue_pair *queue_pair)
{
	struct object *found = numbered(QUEUE_PAIR, number);
	if (found)
		*queue_pair = found->queue_pair;
	return found;
}

bool fake_mlx5_mkey(uint32_t key, struct fake_mkey *mkey)
{
	struct object *found = numbered(INDIRECT_KEY, key);
	if (found)
		*mkey = found->mkey;
	return found;
}

bool fake_mlx5_region_at(uint64_t address, struct fake_region *region)
{
	for (uint32_t handle = 1; handle < places; handle++)
		if (objects[handle].kind == REGION && objects[handle].start == address) {
			*region = objects[handle].region;
			return true;
		}
	return false;
}

int destroy(const struct request *request, unsigned handle_attribute)
{
	struct ib_uverbs_attr *found = attribute(request, handle_attribute);
	uint32_t handle = found ? found->data : 0;
	if (!handle || handle >= places || !objects[handle].kind)
		return ENOENT;
	struct object *object = &objects[handle];
	bool is_memory = object->kind == REGION || object->kind == WINDOW || object->kind == INDIRECT_KEY;
	if (object->users || (is_memory && refuses_ends()))
		return EBUSY;
	note("destroy %s 0x%x\n", names[object->kind], object->number);
	use(object->domain, -1);
	use(object->completion_queues[0], -1);
	use(object->completion_queues[1], -1);
	object->kind = NOTHING;
	alive--;
	return 0;
}
