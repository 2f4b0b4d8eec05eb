/* wire.h - envelopes on ZeroMQ sockets: packing, unpacking within limits, sending, receiving.
 *
 * Every limit is checked before memory is taken: the size of a frame by ZMQ_MAXMSGSIZE and again
 * here, the counts and lengths inside by protobuf-c, whose allocations come from an arena that
 * is bounded by a multiple of the frame's size. A decoded Envelope lives in its arena and goes
 * with it: no per-field free. */
#pragma once

#include "common/err.h"
#include "common/pure/buf.h"
#include "proto/cashet.pb-c.h"

#define WIRE_PROTOCOL 1
#define WIRE_MESSAGE_MAX (16u << 20) /* bytes of one control message */
#define WIRE_CHUNK_TARGET (1u << 20) /* submit chunks are cut near this size */
#define WIRE_BLOB_PIECE                                                                  \
	(256u << 10) /* payload of one blob DATA message, at most 1 MiB accepted */
#define WIRE_BLOB_WINDOW (4u << 20)	  /* credit that is given per stream */
#define WIRE_BLOB_UNASKED_MAX (64u << 10) /* a put of at most this size needs no credit */
#define WIRE_BLOB_MESSAGE_MAX ((1u << 20) + 4096)

/* A bump allocator for protobuf-c; reused from message to message. */
struct wire_arena {
	uint8_t *data;
	size_t used, capacity, limit;
	struct wire_chunk *overflow;
	size_t total;
	ProtobufCAllocator allocator;
};
void wire_arena_init(struct wire_arena *a);
void wire_arena_reset(struct wire_arena *a); /* everything decoded so far is gone */
void wire_arena_fini(struct wire_arena *a);

/** wire_unpack() - Return: borrowed from @arena; NULL if malformed or over a limit. */
Cashet__Envelope *wire_unpack(struct wire_arena *arena, const void *data, size_t size);
Cashet__SubmitChunk *wire_unpack_chunk(struct wire_arena *arena, const void *data,
				       size_t size);
Cashet__BlobMessage *wire_unpack_blob(struct wire_arena *arena, const void *data,
				      size_t size);
/** wire_pack() - append the packed envelope to @out. */
void wire_pack(struct buf *out, const Cashet__Envelope *envelope);

/** wire_send() - pack and send on a DEALER (route NULL) or ROUTER socket, never blocking.
 * Return: 0; 1 if the peer's queue is full or it is gone (EAGAIN, EHOSTUNREACH in *errnop). */
int wire_send(void *socket, const void *route, size_t route_size,
	      const Cashet__Envelope *envelope, int *errnop);
int wire_send_blob(void *socket, const void *route, size_t route_size,
		   const Cashet__BlobMessage *message, const void *payload,
		   size_t payload_size, int *errnop);

/** wire_send_blob_msg() - the same with a payload that is a zmq_msg_t already: taken on success,
 * left to the caller otherwise. */
int wire_send_blob_msg(void *socket, const void *route, size_t route_size,
		       const Cashet__BlobMessage *message, void *zmq_payload,
		       int *errnop);

struct wire_frame { /* one received message; wire_frame_fini() it */
	uint8_t route[64];
	size_t route_size; /* 0 on a DEALER */
	char user[64]; /* User-Id property set by the authenticator, "" without CURVE */
	void *message; /* the zmq_msg_t's are inside */
	const uint8_t *data, *payload;
	size_t size, payload_size;
	uint64_t storage[32];
};
/** wire_recv() - without blocking. Return: 0; 1 nothing there; 2 a malformed multipart (already
 * dropped whole; @route is set when there was one). */
int wire_recv(void *socket, bool is_router, struct wire_frame *frame);
void wire_frame_fini(struct wire_frame *frame);
/** wire_steal_payload() - move the payload to a zmq_msg_t that is not initialised yet; the caller
 * closes it. */
void wire_steal_payload(struct wire_frame *frame, void *zmq_message);

/** wire_check_digest() - true if a protobuf bytes field has exactly @size bytes. */
static inline bool wire_is(const ProtobufCBinaryData *bytes, size_t size)
{
	return bytes->len == size;
}
