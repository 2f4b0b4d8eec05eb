/* wire.c - see wire.h.
 *
 * Decoding. protobuf-c copies what it finds into memory of the allocator that it is
 * given; a few bytes of input can ask for a struct of some hundred (an empty TaskResult
 * is two bytes on the wire). So each message gets a budget that grows with its frame:
 * what real messages need is below a tenth of it, and what wants more is hostile and
 * refused. Nesting is finite because no message of cashet.proto contains itself.
 *
 * Sending packs straight into the zmq_msg_t that leaves; receiving lends its bytes. */
#include "proto/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ARENA_FACTOR 64u
#define ARENA_BASE (64u << 10)
#define ARENA_MAX (256u << 20)
#define ARENA_KEEP (1u << 20) /* memory that survives a reset */
#define ARENA_FIRST (16u << 10)
#define ARENA_ALIGN 16u

struct wire_chunk {
	struct wire_chunk *next;
	size_t used, capacity;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

static struct wire_chunk *chunk_new(size_t capacity)
{
	struct wire_chunk *chunk = malloc(sizeof *chunk + capacity);
	if (chunk) {
		chunk->next = NULL;
		chunk->used = 0;
		chunk->capacity = capacity;
	}
	return chunk;
}

/* Bump @data first, then the newest chunk. Chunks double, so there are few of them. */
static void *arena_alloc(void *arg, size_t size)
{
	struct wire_arena *a = arg;
	if (size > ARENA_MAX)
		return NULL;
	size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (a->total + size > a->limit)
		return NULL;
	a->total += size;
	if (a->capacity - a->used >= size) {
		void *at = a->data + a->used;
		a->used += size;
		return at;
	}
	struct wire_chunk *chunk = a->overflow;
	if (!chunk || chunk->capacity - chunk->used < size) {
		size_t capacity = chunk ? 2 * chunk->capacity : ARENA_FIRST;
		if (capacity > 4 * ARENA_KEEP)
			capacity = 4 * ARENA_KEEP;
		chunk = chunk_new(capacity > size ? capacity : size);
		if (!chunk)
			return NULL;
		chunk->next = a->overflow;
		a->overflow = chunk;
	}
	void *at = chunk->data + chunk->used;
	chunk->used += size;
	return at;
}

/* Nothing is given back one by one: wire_arena_reset() takes all. */
static void arena_free(void *arg, void *memory)
{
	(void)arg;
	(void)memory;
}

void wire_arena_init(struct wire_arena *a)
{
	*a = (struct wire_arena){0};
}

static void drop_overflow(struct wire_arena *a)
{
	for (struct wire_chunk *chunk = a->overflow, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	a->overflow = NULL;
}

void wire_arena_reset(struct wire_arena *a)
{
	/* One block of the size that was needed serves the next message without a
	 * malloc(). */
	if (a->overflow) {
		size_t want = a->total < ARENA_KEEP ? a->total : ARENA_KEEP;
		drop_overflow(a);
		if (want > a->capacity) {
			uint8_t *data = malloc(want);
			if (data) {
				free(a->data);
				a->data = data;
				a->capacity = want;
			}
		}
	}
	a->used = a->total = a->limit = 0;
}

void wire_arena_fini(struct wire_arena *a)
{
	drop_overflow(a);
	free(a->data);
	wire_arena_init(a);
}

/* forget_unknown() - fields of later versions are ignored, and not packed again: protobuf-c would
 * write some of them (of tag 0) so that nobody can read them. Deep as the schema, which is finite. */
static void forget_unknown(ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;
	message->n_unknown_fields = 0;
	message->unknown_fields = NULL;
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		const uint8_t *value = (uint8_t *)message + field->offset;
		const uint8_t *quantifier = (uint8_t *)message + field->quantifier_offset;
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			ProtobufCMessage *const *each =
				*(ProtobufCMessage * *const *)value;
			for (size_t k = 0; k < *(const size_t *)quantifier; k++)
				forget_unknown(each[k]);
		} else if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
			   *(const uint32_t *)quantifier == field->id) {
			ProtobufCMessage *one = *(ProtobufCMessage *const *)value;
			if (one)
				forget_unknown(one);
		}
	}
}

static ProtobufCMessage *unpack(struct wire_arena *a,
				const ProtobufCMessageDescriptor *descriptor,
				const void *data, size_t size, size_t max)
{
	if (size > max)
		return NULL;
	size_t budget = ARENA_BASE + ARENA_FACTOR * size;
	a->limit = a->total + (budget < ARENA_MAX ? budget : ARENA_MAX);
	/* Here and not in init: a struct that holds an arena may be moved between
	 * messages. */
	a->allocator = (ProtobufCAllocator){arena_alloc, arena_free, a};
	ProtobufCMessage *message =
		protobuf_c_message_unpack(descriptor, &a->allocator, size, data);
	if (message)
		forget_unknown(message);
	return message;
}

Cashet__Envelope *wire_unpack(struct wire_arena *arena, const void *data, size_t size)
{
	return (Cashet__Envelope *)unpack(arena, &cashet__envelope__descriptor, data,
					  size, WIRE_MESSAGE_MAX);
}

/* As a ledger keeps it: the envelope is gone. */
Cashet__SubmitChunk *wire_unpack_chunk(struct wire_arena *arena, const void *data,
				       size_t size)
{
	return (Cashet__SubmitChunk *)unpack(arena, &cashet__submit_chunk__descriptor,
					     data, size, WIRE_MESSAGE_MAX + 4096);
}

Cashet__BlobMessage *wire_unpack_blob(struct wire_arena *arena, const void *data,
				      size_t size)
{
	return (Cashet__BlobMessage *)unpack(arena, &cashet__blob_message__descriptor,
					     data, size, WIRE_BLOB_MESSAGE_MAX);
}

void wire_pack(struct buf *out, const Cashet__Envelope *envelope)
{
	size_t size = cashet__envelope__get_packed_size(envelope);
	uint8_t *to = buf_reserve(out, size);
	if (to)
		out->size += cashet__envelope__pack(envelope, to);
}

/* ---- sending ---- */

/* send_part() - consumes @msg. Return: 0 or errno. */
static int send_part(void *socket, zmq_msg_t *msg, int flags)
{
	for (;;) {
		if (zmq_msg_send(msg, socket, flags | ZMQ_DONTWAIT) >= 0)
			return 0;
		int error = errno;
		if (error == EINTR)
			continue;
		zmq_msg_close(msg);
		return error;
	}
}

static int send_route(void *socket, const void *route, size_t route_size)
{
	zmq_msg_t msg;
	if (zmq_msg_init_size(&msg, route_size) < 0)
		return errno;
	memcpy(zmq_msg_data(&msg), route, route_size);
	return send_part(socket, &msg, ZMQ_SNDMORE);
}

static int pack_message(zmq_msg_t *msg, const ProtobufCMessage *message)
{
	if (zmq_msg_init_size(msg, protobuf_c_message_get_packed_size(message)) < 0)
		return errno;
	protobuf_c_message_pack(message, zmq_msg_data(msg));
	return 0;
}

/* The message is packed before the route leaves: a route frame once accepted must be followed.
 * @body may be NULL; it is taken on success only. */
static int send_packed(void *socket, const void *route, size_t route_size,
		       const ProtobufCMessage *message, zmq_msg_t *body)
{
	zmq_msg_t head;
	int error = pack_message(&head, message);
	if (error)
		return error;
	if (route)
		error = send_route(socket, route, route_size);
	if (error) {
		zmq_msg_close(&head);
		return error;
	}
	error = send_part(socket, &head, body ? ZMQ_SNDMORE : 0);
	if (error || !body)
		return error;
	/* The queue took the first part, so it takes this one, unless the peer has just gone; then it
	 * makes no difference whether the parts were sent. */
	zmq_msg_t moved;
	zmq_msg_init(&moved);
	zmq_msg_move(&moved, body);
	(void)send_part(socket, &moved, 0);
	return 0;
}

static int report(int error, int *errnop)
{
	if (errnop)
		*errnop = error;
	return error ? 1 : 0;
}

int wire_send(void *socket, const void *route, size_t route_size,
	      const Cashet__Envelope *envelope, int *errnop)
{
	return report(send_packed(socket, route, route_size, &envelope->base, NULL),
		      errnop);
}

int wire_send_blob_msg(void *socket, const void *route, size_t route_size,
		       const Cashet__BlobMessage *message, void *zmq_payload, int *errnop)
{
	return report(send_packed(socket, route, route_size, &message->base, zmq_payload),
		      errnop);
}

int wire_send_blob(void *socket, const void *route, size_t route_size,
		   const Cashet__BlobMessage *message, const void *payload,
		   size_t payload_size, int *errnop)
{
	if (!payload)
		return wire_send_blob_msg(socket, route, route_size, message, NULL,
					  errnop);
	zmq_msg_t body;
	if (zmq_msg_init_size(&body, payload_size) < 0)
		return report(errno, errnop);
	if (payload_size)
		memcpy(zmq_msg_data(&body), payload, payload_size);
	int rc = wire_send_blob_msg(socket, route, route_size, message, &body, errnop);
	zmq_msg_close(&body); /* empty by now if it was taken */
	return rc;
}

/* ---- receiving ---- */

static zmq_msg_t *frame_msg(struct wire_frame *frame, int which)
{
	_Static_assert(sizeof frame->storage >= 2 * sizeof(zmq_msg_t),
		       "room for two messages");
	return (zmq_msg_t *)frame->storage + which;
}

static int recv_part(void *socket, zmq_msg_t *msg)
{
	zmq_msg_init(msg);
	for (;;) {
		if (zmq_msg_recv(msg, socket, ZMQ_DONTWAIT) >= 0)
			return 0;
		int error = errno;
		if (error != EINTR) {
			zmq_msg_close(msg);
			return error;
		}
	}
}

/* drain() - the rest of a multipart message; its parts arrive together or not at all. */
static void drain(void *socket)
{
	zmq_msg_t part;
	int more = 1;
	while (more && recv_part(socket, &part) == 0) {
		more = zmq_msg_more(&part);
		zmq_msg_close(&part);
	}
}

/* take_route() - Return: 0; 1 nothing there; 2 malformed; *morep: whether parts follow.
 */
static int take_route(void *socket, struct wire_frame *frame, int *morep)
{
	zmq_msg_t part;
	if (recv_part(socket, &part))
		return 1;
	*morep = zmq_msg_more(&part);
	size_t size = zmq_msg_size(&part);
	if (size && size <= sizeof frame->route) {
		memcpy(frame->route, zmq_msg_data(&part), size);
		frame->route_size = size;
	}
	zmq_msg_close(&part);
	return frame->route_size && *morep ? 0 : 2;
}

static void note_user(struct wire_frame *frame, zmq_msg_t *msg)
{
	const char *user = zmq_msg_gets(msg, "User-Id");
	if (!user || strlen(user) >= sizeof frame->user)
		return;
	memcpy(frame->user, user, strlen(user) + 1);
}

int wire_recv(void *socket, bool is_router, struct wire_frame *frame)
{
	*frame = (struct wire_frame){0};
	int more = 0;
	if (is_router) {
		int rc = take_route(socket, frame, &more);
		if (rc == 2 && more)
			drain(socket);
		if (rc)
			return rc;
	}
	zmq_msg_t *head = frame_msg(frame, 0), *body = frame_msg(frame, 1);
	if (recv_part(socket, head))
		return is_router ? 2 : 1;
	note_user(frame, head);
	more = zmq_msg_more(head);
	zmq_msg_init(body);
	frame->message = head;
	if (more) {
		zmq_msg_close(body);
		if (recv_part(socket, body)) {
			zmq_msg_init(body);
			wire_frame_fini(frame);
			return 2;
		}
		frame->payload = zmq_msg_data(body);
		frame->payload_size = zmq_msg_size(body);
		more = zmq_msg_more(body);
	}
	frame->data = zmq_msg_data(head);
	frame->size = zmq_msg_size(head);
	if (more)
		drain(socket);
	if (more || !frame->size) {
		wire_frame_fini(frame);
		return 2;
	}
	return 0;
}

void wire_frame_fini(struct wire_frame *frame)
{
	if (!frame->message)
		return;
	zmq_msg_close(frame_msg(frame, 0));
	zmq_msg_close(frame_msg(frame, 1));
	frame->message = NULL;
	frame->data = frame->payload = NULL;
	frame->size = frame->payload_size = 0;
}

void wire_steal_payload(struct wire_frame *frame, void *zmq_message)
{
	zmq_msg_t *out = zmq_message;
	zmq_msg_init(out);
	zmq_msg_move(out, frame_msg(frame, 1));
	frame->payload = NULL;
	frame->payload_size = 0;
}
