/* frames.h - what a worker and a runner say to each other, as bytes; docs/runners.md is the protocol.
 *
 * A frame is a u32 (length of the rest), a u8 (type) and a body; integers are little-endian. What
 * is decoded is borrowed from the bytes; nothing is allocated and everything is checked, so a
 * frame that was taken has no field that points or counts beyond it. Encoders append to a buffer. */
#pragma once

#include "common/pure/buf.h"

#define FRAME_HEAD 5		 /* bytes before the body */
#define FRAME_MAX (64u << 20)	 /* bytes of a frame behind its length */
#define FRAME_DESCRIPTORS_MAX 64 /* sent with one frame */
#define FRAME_OFFSET_ALIGN 4096	 /* of bytes within a descriptor: they can be mapped */
#define FRAME_NAME_MAX 255	 /* bytes of a file's name */

enum frame_type {
	/* of the worker */
	FRAME_WELCOME = 'W',
	FRAME_LOAD = 'L',
	FRAME_CALL = 'C',
	FRAME_PING = 'P',
	FRAME_QUIT = 'Q',
	/* of the runner */
	FRAME_READY = 'R',
	FRAME_DONE = 'D',
	FRAME_ERROR = 'E',
	FRAME_PONG = 'O',
};

struct frame_bytes { /* not terminated */
	const uint8_t *data;
	size_t size;
};

struct frame_load {
	uint32_t number;
	struct frame_bytes json;
};

enum frame_isolation { FRAME_SHARED, FRAME_FORK };
enum frame_where { FRAME_INLINE, FRAME_DESCRIPTOR, FRAME_PATH };

struct frame_blob {
	uint8_t type;	       /* enum content_type */
	const uint8_t *digest; /* DIGEST_SIZE bytes */
	uint64_t size;
	enum frame_where where;
	struct frame_bytes bytes; /* INLINE: @size of them; PATH: the path, absolute */
	uint32_t descriptor; /* DESCRIPTOR: which of those that came with this frame */
	uint64_t offset;     /* DESCRIPTOR: where they begin in it */
};

struct frame_call {
	uint64_t id;
	uint32_t load, index, attempt;
	const uint8_t *batch; /* DIGEST_SIZE bytes */
	enum frame_isolation isolation;
	struct frame_bytes name, directory, args; /* directory: absolute, or empty */
	uint32_t blob_count;
	struct frame_bytes blobs; /* decoded: for frame_next_blob() */
};

struct frame_part {		/* a result, or what was printed */
	enum frame_where where; /* INLINE, or PATH: a file in DIR/results */
	uint64_t size;
	struct frame_bytes bytes; /* INLINE: they; PATH: the file's name */
};

struct frame_answer { /* FRAME_DONE and FRAME_ERROR */
	uint64_t id;
	uint8_t kind; /* DONE: CONTENT_FILE, CONTENT_JSON, CONTENT_PICKLE */
	uint64_t duration_ns, cpu_ns;
	struct frame_part result; /* DONE */
	struct frame_part out, err;
	struct frame_bytes json; /* ERROR */
};

struct frame {
	enum frame_type type;
	union {
		struct frame_bytes json; /* WELCOME, READY */
		struct frame_load load;
		struct frame_call call;
		struct frame_answer answer;
		uint64_t token; /* PING, PONG */
	};
};

/** frame_size() - of the frame at the beginning of @data, its length included; what is there may be
 * less. Return: bytes; 0 while that is not known yet; SIZE_MAX if it is too long or too short. */
size_t frame_size(const void *data, size_t size);
/** frame_decode() - @size bytes are one whole frame. Return: 0, 1 if it is malformed. */
int frame_decode(const void *data, size_t size, struct frame *f);
/** frame_next_blob() - the next blob of a decoded call; begin with *restp = call->blobs.
 * Return: false behind the last one. */
bool frame_next_blob(struct frame_bytes *restp, struct frame_blob *b);

/** frame_add_json() - WELCOME, READY. */
void frame_add_json(struct buf *out, enum frame_type type, const char *json, size_t size);
void frame_add_load(struct buf *out, uint32_t number, const char *json, size_t size);
/** frame_add_call() - c->blobs is not looked at: @blobs are c->blob_count of them. */
void frame_add_call(struct buf *out, const struct frame_call *c,
		    const struct frame_blob *blobs);
void frame_add_answer(struct buf *out, enum frame_type type,
		      const struct frame_answer *a);
/** frame_add_token() - PING, PONG. */
void frame_add_token(struct buf *out, enum frame_type type, uint64_t token);
void frame_add_quit(struct buf *out);
