/* Domains, regions, windows and queues. */
#include "table.h"

#include <errno.h>
#include <sys/eventfd.h>

int new_event_file(const struct request *request)
{
	struct ib_uverbs_attr *file = attribute(request, UVERBS_ATTR_ASYNC_EVENT_ALLOC_FD_HANDLE);
	if (!file)
		return EINVAL;
	/* Nothing ever happens to the adapter, so it is never readable. */
	file->data_s64 = eventfd(0, EFD_CLOEXEC);
	note("event file\n");
	return 0;
}

static int allocate_domain(const struct request *request)
{
	struct ib_uverbs_alloc_pd_resp answer = { 0 };
	struct object *domain = make(DOMAIN, &answer.pd_handle);
	domain->number = new_number(DOMAIN);
	struct mlx5_ib_alloc_pd_resp driver = { .pdn = domain->number };
	output(request, UVERBS_ATTR_CORE_OUT, &answer, sizeof(answer));
	output(request, UVERBS_ATTR_UHW_OUT, &driver, sizeof(driver));
	note("domain 0x%x\n", domain->number);
	return 0;
}

static int register_memory(const struct request *request)
{
	/* Without the address of the answer, which this interface has as an attribute. */
	const struct ib_uverbs_reg_mr *command = input(request, UVERBS_ATTR_CORE_IN, sizeof(*command));
	struct object *domain = command ? at(command->pd_handle, DOMAIN) : NULL;
	if (!domain)
		return EINVAL;
	enum { LOCAL_WRITE = 1, REMOTE_WRITE = 2, REMOTE_ATOMIC = 8 };
	bool write_alone = command->access_flags & (REMOTE_WRITE | REMOTE_ATOMIC) &&
			   !(command->access_flags & LOCAL_WRITE);
	if (write_alone || (command->start ^ command->hca_va) & 4095 ||
	    command->start + command->length < command->start)
		return EINVAL;
	/* The driver gives each registration another variant. */
	static uint8_t variant;
	struct ib_uverbs_reg_mr_resp answer = { 0 };
	uint32_t key = new_key(++variant);
	struct object *region = make(REGION, &answer.mr_handle);
	region->number = answer.lkey = answer.rkey = key;
	region->domain = command->pd_handle;
	region->start = command->start;
	region->region = (struct fake_region){ key, domain->number, command->access_flags };
	use(region->domain, 1);
	output(request, UVERBS_ATTR_CORE_OUT, &answer, sizeof(answer));
	note("region 0x%x of domain 0x%x: 0x%llx+0x%llx as 0x%llx, access 0x%x\n", key,
	     domain->number, command->start, command->length, command->hca_va,
	     command->access_flags);
	return 0;
}

static int allocate_window(const struct request *request)
{
	const struct ib_uverbs_alloc_mw *command = input(request, UVERBS_ATTR_CORE_IN, sizeof(*command));
	if (!command || !at(command->pd_handle, DOMAIN))
		return EINVAL;
	struct ib_uverbs_alloc_mw_resp answer = { 0 };
	struct object *window = make(WINDOW, &answer.mw_handle);
	window->number = answer.rkey = new_key(0);
	window->domain = command->pd_handle;
	use(window->domain, 1);
	output(request, UVERBS_ATTR_CORE_OUT, &answer, sizeof(answer));
	note("window 0x%x\n", window->number);
	return 0;
}

static int create_channel(const struct request *request)
{
	struct ib_uverbs_create_comp_channel_resp answer = { .fd = eventfd(0, EFD_CLOEXEC) };
	output(request, UVERBS_ATTR_CORE_OUT, &answer, sizeof(answer));
	note("completion channel\n");
	return 0;
}

static int modify_queue_pair(const struct request *request)
{
	const struct ib_uverbs_modify_qp *command = input(request, UVERBS_ATTR_CORE_IN, sizeof(*command));
	struct object *queue_pair = command ? at(command->qp_handle, QUEUE_PAIR) : NULL;
	if (!queue_pair)
		return EINVAL;
	enum { STATE = 1, RESET = 0, INIT, READY_TO_RECEIVE, READY_TO_SEND, ERROR = 6 };
	if (command->attr_mask & STATE) {
		uint8_t from = queue_pair->state, to = command->qp_state;
		if (to != RESET && to != ERROR && to != from + 1 && !(to == from && to == READY_TO_SEND))
			return EINVAL;
		queue_pair->state = to;
	}
	note("queue pair 0x%x: state %u\n", queue_pair->number, queue_pair->state);
	return 0;
}

int answer_write(const struct request *request)
{
	switch (request->write_command) {
	case IB_USER_VERBS_CMD_QUERY_DEVICE:
		/* Without room for the answer libibverbs wants to know whether the kernel knows requests like this. */
		return attribute(request, UVERBS_ATTR_CORE_OUT) ? query_device(request) : ENOSPC;
	case IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_EX_CMD_QUERY_DEVICE:
		return query_device(request);
	case IB_USER_VERBS_CMD_ALLOC_PD:
		return allocate_domain(request);
	case IB_USER_VERBS_CMD_REG_MR:
		return register_memory(request);
	case IB_USER_VERBS_CMD_ALLOC_MW:
		return allocate_window(request);
	case IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL:
		return create_channel(request);
	case IB_USER_VERBS_CMD_MODIFY_QP:
	case IB_USER_VERBS_CMD_FLAG_EXTENDED | IB_USER_VERBS_EX_CMD_MODIFY_QP:
		return modify_queue_pair(request);
	}
	return refuse("write command", request->write_command, 0);
}

static int create_completion_queue(const struct request *request)
{
	struct ib_uverbs_attr *handle = attribute(request, UVERBS_ATTR_CREATE_CQ_HANDLE);
	const uint32_t *entries = input(request, UVERBS_ATTR_CREATE_CQ_CQE, sizeof(*entries));
	const struct mlx5_ib_create_cq *driver = input(request, UVERBS_ATTR_UHW_IN, 16);
	if (!handle || !entries || !driver || !driver->buf_addr)
		return EINVAL;
	uint32_t place;
	struct object *queue = make(COMPLETION_QUEUE, &place);
	queue->number = new_number(COMPLETION_QUEUE);
	queue->completions = (uint8_t *)(uintptr_t)driver->buf_addr;
	queue->size = *entries + 1;
	handle->data = place;
	struct mlx5_ib_create_cq_resp answer = { .cqn = queue->number };
	output(request, UVERBS_ATTR_CREATE_CQ_RESP_CQE, entries, sizeof(*entries));
	output(request, UVERBS_ATTR_UHW_OUT, &answer, sizeof(answer));
	note("completion queue 0x%x\n", queue->number);
	return 0;
}

static int create_queue_pair(const struct request *request)
{
	struct ib_uverbs_attr *handle = attribute(request, UVERBS_ATTR_CREATE_QP_HANDLE);
	struct ib_uverbs_attr *domain = attribute(request, UVERBS_ATTR_CREATE_QP_PD_HANDLE);
	struct ib_uverbs_attr *send = attribute(request, UVERBS_ATTR_CREATE_QP_SEND_CQ_HANDLE);
	struct ib_uverbs_attr *receive = attribute(request, UVERBS_ATTR_CREATE_QP_RECV_CQ_HANDLE);
	const struct ib_uverbs_qp_cap *limits = input(request, UVERBS_ATTR_CREATE_QP_CAP, sizeof(*limits));
	const struct mlx5_ib_create_qp *driver = input(request, UVERBS_ATTR_UHW_IN, 40);
	if (!handle || !domain || !send || !receive || !limits || !driver ||
	    !at(domain->data, DOMAIN) || !at(send->data, COMPLETION_QUEUE) ||
	    !at(receive->data, COMPLETION_QUEUE))
		return EINVAL;
	uint32_t place;
	struct object *made = make(QUEUE_PAIR, &place);
	*made = (struct object){
		.kind = QUEUE_PAIR,
		.number = new_number(QUEUE_PAIR),
		.domain = domain->data,
		.completion_queues = { send->data, receive->data },
		.index = driver->uidx,
		.queue_pair = {
			/* The send queue follows the receive queue. */
			.send_queue = (uint8_t *)(uintptr_t)driver->buf_addr +
				      ((size_t)driver->rq_wqe_count << driver->rq_wqe_shift),
			.send_queue_size = driver->sq_wqe_count * 64ull,
			.doorbell = (uint32_t *)(uintptr_t)driver->db_addr,
		},
	};
	use(made->domain, 1);
	use(made->completion_queues[0], 1);
	use(made->completion_queues[1], 1);
	handle->data = place;
	struct mlx5_ib_create_qp_resp answer = { .bfreg_index = 1 };
	output(request, UVERBS_ATTR_CREATE_QP_RESP_CAP, limits, sizeof(*limits));
	output(request, UVERBS_ATTR_CREATE_QP_RESP_QP_NUM, &made->number, sizeof(made->number));
	output(request, UVERBS_ATTR_UHW_OUT, &answer, sizeof(answer));
	note("queue pair 0x%x of domain 0x%x, send queue of %lu bytes\n", made->number,
	     at(made->domain, DOMAIN)->number, (unsigned long)made->queue_pair.send_queue_size);
	return 0;
}

int answer_queue(const struct request *request)
{
	const struct ib_uverbs_ioctl_hdr *header = request->header;
	bool is_pair = header->object_id == UVERBS_OBJECT_QP;
	if (header->method_id == UVERBS_METHOD_QP_CREATE)
		return is_pair ? create_queue_pair(request) : create_completion_queue(request);
	if (header->method_id != UVERBS_METHOD_QP_DESTROY)
		return refuse("method of a queue", header->object_id, header->method_id);
	/* The answer counts events that were reported: none. The handle's attribute is 0 for both. */
	struct ib_uverbs_destroy_cq_resp none = { 0 };
	int error = destroy(request, UVERBS_ATTR_DESTROY_CQ_HANDLE);
	if (!error)
		output(request, UVERBS_ATTR_DESTROY_CQ_RESP, &none, sizeof(none));
	return error;
}
