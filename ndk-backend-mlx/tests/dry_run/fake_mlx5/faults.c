/* What a test has go slowly or wrong: registrations that wait, and ends that are refused. */
#include "fake_mlx5.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool holds, refuses;
static unsigned waiting;

void fake_mlx5_hold_registrations(bool hold)
{
	pthread_mutex_lock(&lock);
	holds = hold;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

uint32_t fake_mlx5_waiting(void)
{
	pthread_mutex_lock(&lock);
	unsigned count = waiting;
	pthread_mutex_unlock(&lock);
	return count;
}

void hold(const struct ib_uverbs_ioctl_hdr *header)
{
	const struct request request = { .header = (struct ib_uverbs_ioctl_hdr *)header };
	if (header->object_id != UVERBS_OBJECT_DEVICE || header->method_id != UVERBS_METHOD_INVOKE_WRITE)
		return;
	const uint64_t *command = input(&request, UVERBS_ATTR_WRITE_CMD, sizeof(*command));
	if (!command || *command != IB_USER_VERBS_CMD_REG_MR)
		return;
	pthread_mutex_lock(&lock);
	waiting++;
	while (holds)
		pthread_cond_wait(&changed, &lock);
	waiting--;
	pthread_mutex_unlock(&lock);
}

void fake_mlx5_refuse_ends(bool refuse) { __atomic_store_n(&refuses, refuse, __ATOMIC_RELEASE); }
bool refuses_ends(void) { return __atomic_load_n(&refuses, __ATOMIC_ACQUIRE); }
