/* What the adapter says of itself: the figures of a ConnectX-5, as far as somebody asks for them. */
#include "fake_mlx5.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool devx;

bool has_devx(void) { return devx; }

unsigned largest_entry(void)
{
	const char *asked = getenv("FAKE_MLX5_LARGEST_ENTRY");
	return asked ? atoi(asked) : 1024;
}

int open_context(const struct request *request)
{
	const struct mlx5_ib_alloc_ucontext_req_v2 *asked =
		input(request, UVERBS_ATTR_UHW_IN, sizeof(*asked));
	if (!asked)
		return EINVAL;
	/* FAKE_MLX5_NO_DEVX: a kernel or a firmware without it refuses, and libmlx5 asks again without the flag. */
	if (asked->flags & MLX5_IB_ALLOC_UCTX_DEVX && getenv("FAKE_MLX5_NO_DEVX"))
		return EPERM;
	devx = asked->flags & MLX5_IB_ALLOC_UCTX_DEVX;
	struct mlx5_ib_alloc_ucontext_resp answer = {
		.qp_tab_size = 1 << 18,
		.bf_reg_size = 512,
		.tot_bfregs = 16,
		.cache_line_size = 64,
		.max_sq_desc_sz = largest_entry(),
		.max_rq_desc_sz = 512,
		.max_send_wqebb = 32768,
		.max_recv_wr = 32768,
		.max_srq_recv_wr = 32768,
		.num_ports = 1,
		.response_length = sizeof(answer),
		.cqe_version = 1,
		.cmds_supp_uhw = 3,
		.log_uar_size = 12,
		.num_uars_per_page = 1,
	};
	uint32_t vectors = 1;
	uint64_t support = 0;
	output(request, UVERBS_ATTR_GET_CONTEXT_NUM_COMP_VECTORS, &vectors, sizeof(vectors));
	output(request, UVERBS_ATTR_GET_CONTEXT_CORE_SUPPORT, &support, sizeof(support));
	output(request, UVERBS_ATTR_UHW_OUT, &answer, sizeof(answer));
	note("context, DEVX %s\n", devx ? "yes" : "no");
	return 0;
}

int query_device(const struct request *request)
{
	struct ib_uverbs_ex_query_device_resp answer = {
		.base = {
			.fw_ver = 16ull << 32 | 35 << 16 | 2000,
			.node_guid = htobe64(0x0002c90300000001),
			.sys_image_guid = htobe64(0x0002c90300000001),
			.max_mr_size = UINT64_MAX,
			.page_size_cap = 0xfffffffffffff000,
			.vendor_id = 0x02c9,
			.vendor_part_id = 4119,
			.max_qp = 131072,
			.max_qp_wr = 32768,
			/* Memory management extensions, memory windows of type 2B. */
			.device_cap_flags = 1 << 21 | 1 << 24,
			.max_sge = 30,
			.max_sge_rd = 30,
			.max_cq = 16777216,
			.max_cqe = 4194303,
			.max_mr = 16777216,
			.max_pd = 8388608,
			.max_qp_rd_atom = 16,
			.max_res_rd_atom = 2097152,
			.max_qp_init_rd_atom = 16,
			.max_mw = 16777216,
			.max_ah = INT32_MAX,
			.max_pkeys = 128,
			.local_ca_ack_delay = 16,
			.phys_port_cnt = 1,
		},
		.response_length = sizeof(answer),
	};
	output(request, UVERBS_ATTR_CORE_OUT, &answer, sizeof(answer));
	struct mlx5_ib_query_device_resp driver = { .response_length = sizeof(driver) };
	output(request, UVERBS_ATTR_UHW_OUT, &driver, sizeof(driver));
	note("device attributes\n");
	return 0;
}

int query_port(const struct request *request)
{
	const uint8_t *port = input(request, UVERBS_ATTR_QUERY_PORT_PORT_NUM, 1);
	if (!port || *port != 1)
		return EINVAL;
	struct ib_uverbs_query_port_resp_ex answer = {
		.legacy_resp = {
			.max_msg_sz = 1 << 30,
			.gid_tbl_len = 1,
			.pkey_tbl_len = 1,
			.state = 4, /* active */
			.max_mtu = 5,
			.active_mtu = 3, /* 1024 bytes */
			.max_vl_num = 1,
			.active_width = 2,
			.active_speed = 32,
			.phys_state = 5,
			.link_layer = 2, /* Ethernet */
		},
	};
	output(request, UVERBS_ATTR_QUERY_PORT_RESP, &answer, sizeof(answer));
	note("port attributes\n");
	return 0;
}

/* The one line of the address table: 10.0.0.1, RoCE version 2. */
static struct ib_uverbs_gid_entry address(void)
{
	struct ib_uverbs_gid_entry entry = { .port_num = 1, .gid_type = 2 };
	static const uint8_t bytes[16] = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1 };
	memcpy(entry.gid, bytes, sizeof(bytes));
	return entry;
}

int query_addresses(const struct request *request)
{
	struct ib_uverbs_gid_entry entry = address();
	note("addresses\n");
	if (request->header->method_id == UVERBS_METHOD_QUERY_GID_TABLE) {
		uint64_t count = 1;
		output(request, UVERBS_ATTR_QUERY_GID_TABLE_RESP_ENTRIES, &entry, sizeof(entry));
		output(request, UVERBS_ATTR_QUERY_GID_TABLE_RESP_NUM_ENTRIES, &count, sizeof(count));
		return 0;
	}
	const uint32_t *index = input(request, UVERBS_ATTR_QUERY_GID_ENTRY_GID_INDEX, 4);
	if (!index || *index != 0)
		return ENODATA;
	output(request, UVERBS_ATTR_QUERY_GID_ENTRY_RESP_ENTRY, &entry, sizeof(entry));
	return 0;
}

/* The firmware command QUERY_HCA_CAP: 16 bytes of answer, then the group of capabilities that was asked for. */
int query_capabilities(const uint8_t *in, uint8_t *out, size_t size)
{
	enum { GENERAL = 0 };
	unsigned group = (in[6] << 8 | in[7]) >> 1;
	memset(out, 0, size);
	note("capabilities of group 0x%x\n", group);
	if (group != GENERAL)
		return 0; /* has none of them */
	uint8_t *general = out + 16;
	if (size < 16 + 84)
		return EINVAL;
	general[35] = 16; /* log_max_klm_list_size */
	/* umr_modify_atomic_disabled, umr_indirect_mkey_disabled, umr_fence: none needed */
	general[65] = getenv("FAKE_MLX5_NO_INDIRECT_UMR") ? 0x60 : 0x20;
	unsigned largest = largest_entry(); /* max_wqe_sz_sq */
	general[82] = largest >> 8;
	general[83] = largest;
	return 0;
}
