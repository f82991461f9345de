/* A request: its attributes, where it goes, the log and the counts. */
#include "fake_mlx5.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t requests, refused;

uint64_t fake_mlx5_requests(void) { return __atomic_load_n(&requests, __ATOMIC_RELAXED); }
uint64_t fake_mlx5_refused(void) { return __atomic_load_n(&refused, __ATOMIC_RELAXED); }

void note(const char *format, ...)
{
	static FILE *log;
	static bool asked;
	if (!asked) {
		const char *path = getenv("FAKE_MLX5_LOG");
		log = path ? fopen(path, "ae") : NULL;
		asked = true;
	}
	if (!log)
		return;
	va_list arguments;
	va_start(arguments, format);
	vfprintf(log, format, arguments);
	va_end(arguments);
	fflush(log);
}

int refuse(const char *what, unsigned long first, unsigned long second)
{
	__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "fake_mlx5: REFUSED, not known here: %s 0x%lx 0x%lx\n", what, first, second);
	note("REFUSED %s 0x%lx 0x%lx\n", what, first, second);
	return EPROTONOSUPPORT;
}

struct ib_uverbs_attr *attribute(const struct request *request, unsigned id)
{
	for (unsigned i = 0; i < request->header->num_attrs; i++)
		if (request->header->attrs[i].attr_id == id)
			return &request->header->attrs[i];
	return NULL;
}

const void *input(const struct request *request, unsigned id, size_t size)
{
	struct ib_uverbs_attr *found = attribute(request, id);
	if (!found || found->len < size)
		return NULL;
	/* What fits the field is in the field. */
	return found->len <= sizeof(found->data) ? (void *)&found->data : (void *)(uintptr_t)found->data;
}

bool output(const struct request *request, unsigned id, const void *bytes, size_t size)
{
	struct ib_uverbs_attr *found = attribute(request, id);
	if (!found)
		return false;
	void *to = (void *)(uintptr_t)found->data;
	memset(to, 0, found->len);
	memcpy(to, bytes, size < found->len ? size : found->len);
	found->flags |= UVERBS_ATTR_F_VALID_OUTPUT;
	return true;
}

static int answer_device(struct request *request)
{
	switch (request->header->method_id) {
	case UVERBS_METHOD_INVOKE_WRITE: {
		const uint64_t *command = input(request, UVERBS_ATTR_WRITE_CMD, sizeof(*command));
		if (!command)
			return EINVAL;
		request->write_command = *command;
		return answer_write(request);
	}
	case UVERBS_METHOD_GET_CONTEXT:
		return open_context(request);
	case UVERBS_METHOD_QUERY_PORT:
		return query_port(request);
	case UVERBS_METHOD_QUERY_GID_TABLE:
	case UVERBS_METHOD_QUERY_GID_ENTRY:
		return query_addresses(request);
	}
	return refuse("method of the device", request->header->method_id, 0);
}

static int answer(struct request *request)
{
	const struct ib_uverbs_ioctl_hdr *header = request->header;
	switch (header->object_id) {
	case UVERBS_OBJECT_DEVICE:
		return answer_device(request);
	case UVERBS_OBJECT_ASYNC_EVENT:
		return new_event_file(request);
	case UVERBS_OBJECT_CQ:
	case UVERBS_OBJECT_QP:
		return answer_queue(request);
	case UVERBS_OBJECT_PD:
		if (header->method_id == UVERBS_METHOD_PD_DESTROY)
			return destroy(request, 0);
		break;
	case UVERBS_OBJECT_MR:
		if (header->method_id == UVERBS_METHOD_MR_DESTROY)
			return destroy(request, UVERBS_ATTR_DESTROY_MR_HANDLE);
		break;
	case UVERBS_OBJECT_MW:
		if (header->method_id == UVERBS_METHOD_MW_DESTROY)
			return destroy(request, 0);
		break;
	case MLX5_IB_OBJECT_DEVX:
	case MLX5_IB_OBJECT_DEVX_OBJ:
	case MLX5_IB_OBJECT_UAR:
		return answer_devx(request);
	}
	return refuse("object and method", header->object_id, header->method_id);
}

int fake_mlx5_ioctl(struct ib_uverbs_ioctl_hdr *header)
{
	struct request request = { .header = header };
	uint64_t number = __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
	hold(header);
	pthread_mutex_lock(&lock);
	note("%lu object 0x%x method 0x%x: ", (unsigned long)number, header->object_id,
	     header->method_id);
	int error = answer(&request);
	if (error)
		note("error %d (%s)\n", error, strerror(error));
	pthread_mutex_unlock(&lock);
	errno = error;
	return error ? -1 : 0;
}
