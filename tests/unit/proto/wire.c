/* wire.c - envelopes: limits of the decoder, frames on sockets. */
#include "proto/wire.h"
#include "common/pure/mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static void make_ping(Cashet__Envelope *envelope, Cashet__Ping *ping, uint64_t sent)
{
	cashet__envelope__init(envelope);
	cashet__ping__init(ping);
	ping->sent = sent;
	envelope->serial = 7;
	envelope->body_case = CASHET__ENVELOPE__BODY_PING;
	envelope->ping = ping;
}

Test(wire, what_was_packed_is_unpacked)
{
	Cashet__Envelope envelope;
	Cashet__Ping ping;
	struct buf out = {0};
	struct wire_arena arena;
	make_ping(&envelope, &ping, 123456789);
	buf_add_str(&out, "xx"); /* it appends */
	wire_pack(&out, &envelope);
	wire_arena_init(&arena);
	Cashet__Envelope *got = wire_unpack(&arena, out.data + 2, out.size - 2);
	cr_assert_not_null(got);
	cr_assert_eq(got->serial, 7);
	cr_assert_eq(got->body_case, CASHET__ENVELOPE__BODY_PING);
	cr_assert_eq(got->ping->sent, 123456789);
	wire_arena_fini(&arena);
	buf_fini(&out);
}

Test(wire, several_messages_live_in_one_arena_until_it_is_reset)
{
	struct wire_arena arena;
	Cashet__Envelope *got[500];
	wire_arena_init(&arena);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < ARRAY_LEN(got); i++) {
			Cashet__Envelope envelope;
			Cashet__Ping ping;
			struct buf out = {0};
			make_ping(&envelope, &ping, i + 1);
			wire_pack(&out, &envelope);
			got[i] = wire_unpack(&arena, out.data, out.size);
			cr_assert_not_null(got[i]);
			buf_fini(&out);
		}
		for (uint64_t i = 0; i < ARRAY_LEN(got); i++)
			cr_assert_eq(got[i]->ping->sent, i + 1);
		wire_arena_reset(&arena);
	}
	wire_arena_fini(&arena);
}

Test(wire, garbage_is_refused)
{
	struct wire_arena arena;
	wire_arena_init(&arena);
	cr_assert_null(wire_unpack(&arena, "\xff\xff\xff\xff\xff\xff", 6));
	cr_assert_null(wire_unpack(&arena, "\x52\xff\xff\xff\xff\x0f", 6));
	cr_assert_null(wire_unpack_blob(&arena, "\x1a\x20ten bytes", 11));
	wire_arena_fini(&arena);
}

/* Two bytes of input for each struct of some hundred: an amplification attack. */
Test(wire, few_bytes_cannot_ask_for_much_memory)
{
	size_t count = 2u << 20;
	struct buf out = {0};
	buf_add(&out, "\xca\x01", 2); /* field 25, ResultsPage */
	for (uint64_t left = 2 * count;; left >>= 7) {
		buf_add_byte(&out, (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0)));
		if (left <= 0x7f)
			break;
	}
	for (size_t i = 0; i < count; i++)
		buf_add(&out, "\x42\x00", 2); /* field 8, an empty TaskResult */
	struct wire_arena arena;
	wire_arena_init(&arena);
	cr_assert_null(wire_unpack(&arena, out.data, out.size));
	cr_assert_leq(arena.total, 64 * out.size + (64u << 10));
	wire_arena_fini(&arena);
	buf_fini(&out);
}

Test(wire, a_chunk_of_real_tasks_fits_its_budget)
{
	enum { COUNT = 20000 };
	static Cashet__TaskSpec specs[COUNT], *list[COUNT];
	Cashet__Ref ref = CASHET__REF__INIT, *refs[] = {&ref};
	Cashet__SubmitChunk chunk = CASHET__SUBMIT_CHUNK__INIT;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	uint8_t args[24] = {1};
	ref.offset = 3;
	for (uint32_t i = 0; i < COUNT; i++) {
		cashet__task_spec__init(&specs[i]);
		specs[i].args = (ProtobufCBinaryData){sizeof args, args};
		specs[i].refs = refs;
		specs[i].n_refs = 1;
		list[i] = &specs[i];
	}
	chunk.tasks = list;
	chunk.n_tasks = COUNT;
	envelope.body_case = CASHET__ENVELOPE__BODY_SUBMIT_CHUNK;
	envelope.submit_chunk = &chunk;
	struct buf out = {0};
	struct wire_arena arena;
	wire_pack(&out, &envelope);
	wire_arena_init(&arena);
	Cashet__Envelope *got = wire_unpack(&arena, out.data, out.size);
	cr_assert_not_null(got);
	cr_assert_eq(got->submit_chunk->n_tasks, COUNT);
	cr_assert_leq(arena.total, 16 * out.size, "%zu of %zu", arena.total, out.size);
	wire_arena_fini(&arena);
	buf_fini(&out);
}

Test(wire, fields_of_later_versions_are_ignored_and_not_passed_on)
{
	/* Envelope with serial 7, an unknown field 200, and Ping with sent 5 and an unknown one. */
	static const uint8_t data[] = {0x08, 7,	   0xc2, 0x0c, 3, 'x', 'y', 'z', 0x6a,
				       7,    0x08, 5,	 0x85, 0, 1,   2,   3};
	uint8_t with_tail[sizeof data + 1];
	struct wire_arena arena;
	struct buf out = {0};
	memcpy(with_tail, data, sizeof data);
	with_tail[9] = 8; /* the unknown one is of tag 0, with four bytes */
	with_tail[sizeof data] = 4;
	wire_arena_init(&arena);
	Cashet__Envelope *got = wire_unpack(&arena, with_tail, sizeof with_tail);
	cr_assert_not_null(got);
	cr_assert_eq(got->serial, 7);
	cr_assert_eq(got->ping->sent, 5);
	wire_pack(&out, got);
	cr_assert_eq(out.size, 6);
	cr_assert_not_null(wire_unpack(&arena, out.data, out.size));
	buf_fini(&out);
	wire_arena_fini(&arena);
}

Test(wire, a_frame_over_the_limit_is_not_looked_at)
{
	struct wire_arena arena;
	wire_arena_init(&arena);
	uint8_t *big = mem_alloc(WIRE_MESSAGE_MAX + 1);
	cr_assert_null(wire_unpack(&arena, big, WIRE_MESSAGE_MAX + 1));
	cr_assert_null(wire_unpack_blob(&arena, big, WIRE_BLOB_MESSAGE_MAX + 1));
	cr_assert_eq(arena.total, 0);
	free(big);
	wire_arena_fini(&arena);
}

/* ---- sockets ---- */

struct pair {
	void *context, *router, *dealer;
};

static struct pair connect_pair(void)
{
	struct pair p = {.context = zmq_ctx_new()};
	int one = 1, zero = 0;
	p.router = zmq_socket(p.context, ZMQ_ROUTER);
	p.dealer = zmq_socket(p.context, ZMQ_DEALER);
	zmq_setsockopt(p.router, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
	zmq_setsockopt(p.router, ZMQ_LINGER, &zero, sizeof zero);
	zmq_setsockopt(p.dealer, ZMQ_LINGER, &zero, sizeof zero);
	cr_assert_eq(zmq_bind(p.router, "inproc://pair"), 0);
	cr_assert_eq(zmq_connect(p.dealer, "inproc://pair"), 0);
	return p;
}

static void close_pair(struct pair *p)
{
	zmq_close(p->dealer);
	zmq_close(p->router);
	zmq_ctx_term(p->context);
}

Test(wire, envelopes_travel_both_ways)
{
	struct pair p = connect_pair();
	Cashet__Envelope envelope;
	Cashet__Ping ping;
	struct wire_frame frame;
	struct wire_arena arena;
	wire_arena_init(&arena);
	make_ping(&envelope, &ping, 99);
	cr_assert_eq(wire_recv(p.router, true, &frame), 1);
	cr_assert_eq(wire_send(p.dealer, NULL, 0, &envelope, NULL), 0);
	cr_assert_eq(wire_recv(p.router, true, &frame), 0);
	cr_assert_gt(frame.route_size, 0);
	cr_assert_str_eq(frame.user, "");
	cr_assert_null(frame.payload);
	cr_assert_eq(wire_unpack(&arena, frame.data, frame.size)->ping->sent, 99);
	int error = 0;
	cr_assert_eq(
		wire_send(p.router, frame.route, frame.route_size, &envelope, &error), 0);
	wire_frame_fini(&frame);
	cr_assert_eq(wire_recv(p.dealer, false, &frame), 0);
	cr_assert_eq(frame.route_size, 0);
	wire_frame_fini(&frame);
	cr_assert_eq(wire_send(p.router, "nobody", 6, &envelope, &error), 1);
	cr_assert_eq(error, EHOSTUNREACH);
	wire_arena_fini(&arena);
	close_pair(&p);
}

Test(wire, a_payload_travels_behind_its_message)
{
	struct pair p = connect_pair();
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	struct wire_frame frame;
	m.stream = 5;
	m.kind = CASHET__BLOB_MESSAGE__KIND__DATA;
	cr_assert_eq(wire_send_blob(p.dealer, NULL, 0, &m, "payload", 7, NULL), 0);
	cr_assert_eq(wire_recv(p.router, true, &frame), 0);
	cr_assert_eq(frame.payload_size, 7);
	cr_assert_eq(memcmp(frame.payload, "payload", 7), 0);
	zmq_msg_t stolen;
	wire_steal_payload(&frame, &stolen);
	wire_frame_fini(&frame);
	cr_assert_eq(memcmp(zmq_msg_data(&stolen), "payload", 7), 0);
	zmq_msg_close(&stolen);
	close_pair(&p);
}

static void send_parts(void *socket, int count, const char *part)
{
	for (int i = 0; i < count; i++)
		zmq_send(socket, part, strlen(part), i + 1 < count ? ZMQ_SNDMORE : 0);
}

Test(wire, malformed_multiparts_are_drained_whole)
{
	struct pair p = connect_pair();
	Cashet__Envelope envelope;
	Cashet__Ping ping;
	struct wire_frame frame;
	make_ping(&envelope, &ping, 1);
	for (int parts = 3; parts < 9; parts++) {
		send_parts(p.dealer, parts, "part");
		send_parts(p.dealer, 1, ""); /* no message at all */
		cr_assert_eq(wire_send(p.dealer, NULL, 0, &envelope, NULL), 0);
		cr_assert_eq(wire_recv(p.router, true, &frame), 2, "%d parts", parts);
		cr_assert_gt(frame.route_size, 0);
		cr_assert_eq(wire_recv(p.router, true, &frame), 2);
		cr_assert_eq(wire_recv(p.router, true, &frame), 0);
		wire_frame_fini(&frame);
		cr_assert_eq(wire_recv(p.router, true, &frame), 1);
	}
	close_pair(&p);
}
