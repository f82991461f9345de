/* Completions as the adapter writes them: 64 bytes each, of which the last bit says whose they are. */
#include "table.h"

#include <endian.h>
#include <string.h>

static void put(uint8_t *entry, unsigned at, uint32_t value)
{
	value = htobe32(value);
	memcpy(entry + at, &value, sizeof(value));
}

bool fake_mlx5_complete(uint32_t number, const struct fake_completion *completion)
{
	enum { REQUEST = 0, SEND = 2, SEND_AND_INVALIDATE = 4, REQUEST_ERROR = 13, RECEIVE_ERROR = 14 };
	struct object *queue_pair = numbered(QUEUE_PAIR, number);
	if (!queue_pair)
		return false;
	struct object *queue = at(queue_pair->completion_queues[completion->receive], COMPLETION_QUEUE);
	uint32_t place = queue->produced & (queue->size - 1), turn = queue->produced / queue->size;
	unsigned kind = completion->syndrome ? (completion->receive ? RECEIVE_ERROR : REQUEST_ERROR) :
			!completion->receive ? REQUEST :
			completion->invalidated ? SEND_AND_INVALIDATE : SEND;
	/* Receives complete in their order. */
	uint16_t slot = completion->receive ? queue_pair->received++ : completion->slot;
	uint8_t entry[64] = { [55] = completion->syndrome, [60] = slot >> 8, slot };
	put(entry, 32, queue_pair->index);
	put(entry, 36, completion->invalidated);
	put(entry, 56, (uint32_t)completion->opcode << 24 | number);
	entry[63] = kind << 4 | (turn & 1);
	/* The owner's bit last, as the adapter does. */
	uint8_t *to = queue->completions + place * sizeof(entry);
	memcpy(to, entry, 63);
	__atomic_store_n(to + 63, entry[63], __ATOMIC_RELEASE);
	queue->produced++;
	return true;
}
