/* DEVX: firmware commands that a program writes itself, as libmlx5 does for indirect keys. */
#include "table.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t big_endian(const uint8_t *bytes)
{
	uint32_t value;
	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

/* The firmware command CREATE_MKEY: the key's attributes follow 16 bytes of head. */
static int create_key(const struct request *request, const uint8_t *in)
{
	const uint8_t *key = in + 16;
	struct ib_uverbs_attr *handle = attribute(request, MLX5_IB_ATTR_DEVX_OBJ_CREATE_HANDLE);
	struct object *domain = numbered(DOMAIN, big_endian(key + 12) & 0xffffff);
	if (!handle || !domain || getenv("FAKE_MLX5_NO_INDIRECT_KEYS"))
		return EINVAL;
	uint32_t domain_handle = handle_of(domain), place;
	use(domain_handle, 1);
	struct object *made = make(INDIRECT_KEY, &place);
	made->number = new_key(key[7]);
	made->domain = domain_handle;
	made->mkey = (struct fake_mkey){
		.domain = big_endian(key + 12) & 0xffffff,
		.elements = big_endian(key + 52),
		.queue_pair = big_endian(key + 4) >> 8,
		.free = key[0] & 0x40,
		.by_umr = key[2] & 0x80,
		.local_read = key[2] & 0x04,
		.other_rights = key[2] & 0x78,
		.remote_invalidate = key[12] & 0x01,
		.indirect = (key[2] & 3) == 2 && !(key[0] & 0x1c),
	};
	handle->data = place;
	uint8_t answer[16] = { [9] = made->number >> 24, made->number >> 16, made->number >> 8 };
	output(request, MLX5_IB_ATTR_DEVX_OBJ_CREATE_CMD_OUT, answer, sizeof(answer));
	note("indirect key 0x%x of domain 0x%x, %u elements\n", made->number, made->mkey.domain,
	     made->mkey.elements);
	return 0;
}

static int allocate_doorbell_page(const struct request *request)
{
	struct ib_uverbs_attr *handle = attribute(request, MLX5_IB_ATTR_UAR_OBJ_ALLOC_HANDLE);
	if (!handle)
		return EINVAL;
	uint32_t place;
	struct object *page = make(DOORBELL_PAGE, &place);
	page->number = new_number(DOORBELL_PAGE);
	handle->data = place;
	uint64_t offset = (uint64_t)page->number << 12;
	uint32_t length = 4096;
	output(request, MLX5_IB_ATTR_UAR_OBJ_ALLOC_MMAP_OFFSET, &offset, sizeof(offset));
	output(request, MLX5_IB_ATTR_UAR_OBJ_ALLOC_MMAP_LENGTH, &length, sizeof(length));
	output(request, MLX5_IB_ATTR_UAR_OBJ_ALLOC_PAGE_ID, &page->number, sizeof(page->number));
	note("doorbell page\n");
	return 0;
}

int answer_devx(const struct request *request)
{
	enum { CREATE_MKEY = 0x200, QUERY_HCA_CAP = 0x100, KEY_COMMAND = 16 + 64 };
	const struct ib_uverbs_ioctl_hdr *header = request->header;
	if (header->object_id == MLX5_IB_OBJECT_UAR) {
		if (header->method_id == MLX5_IB_METHOD_UAR_OBJ_ALLOC)
			return allocate_doorbell_page(request);
		return destroy(request, MLX5_IB_ATTR_UAR_OBJ_DESTROY_HANDLE);
	}
	if (!has_devx())
		return EINVAL;
	if (header->object_id == MLX5_IB_OBJECT_DEVX && header->method_id == MLX5_IB_METHOD_DEVX_OTHER) {
		const uint8_t *in = input(request, MLX5_IB_ATTR_DEVX_OTHER_CMD_IN, 16);
		struct ib_uverbs_attr *out = attribute(request, MLX5_IB_ATTR_DEVX_OTHER_CMD_OUT);
		if (in && out && (in[0] << 8 | in[1]) == QUERY_HCA_CAP)
			return query_capabilities(in, (uint8_t *)(uintptr_t)out->data, out->len);
		return refuse("firmware command", in ? in[0] << 8 | in[1] : 0, 0);
	}
	if (header->object_id == MLX5_IB_OBJECT_DEVX_OBJ) {
		if (header->method_id == MLX5_IB_METHOD_DEVX_OBJ_DESTROY)
			return destroy(request, MLX5_IB_ATTR_DEVX_OBJ_DESTROY_HANDLE);
		const uint8_t *in = input(request, MLX5_IB_ATTR_DEVX_OBJ_CREATE_CMD_IN, KEY_COMMAND);
		if (header->method_id == MLX5_IB_METHOD_DEVX_OBJ_CREATE && in &&
		    (in[0] << 8 | in[1]) == CREATE_MKEY)
			return create_key(request, in);
	}
	return refuse("firmware object and method", header->object_id, header->method_id);
}
