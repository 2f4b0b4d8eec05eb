/* submission.c - see submission.h. */
#include "client/submission.h"

#include "client/uploads.h"
#include "common/clock.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"
#include "common/rand.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW 8
#define DISCARD_WAIT_NS (200 * NS_PER_MS)

struct chunk {
	struct list node;
	uint32_t number;
	uint64_t serial;
	struct buf packed; /* an Envelope */
};

struct submission {
	uint8_t request[NONCE_SIZE], batch[DIGEST_SIZE];
	struct list chunks; /* unacknowledged, in order */
	unsigned chunk_count;
	uint32_t next_number, acknowledged; /* all before it are on the broker's disk */
	bool seal_sent, accepted;
	struct err refused; /* code 0: it was not */
	struct uploads uploads;
};

static void add_varint(struct buf *b, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		buf_add_byte(b, (uint8_t)(value | 0x80));
	buf_add_byte(b, (uint8_t)value);
}

/* An Envelope around a SubmitChunk that is packed already: fields 1 and 20 of cashet.proto. */
static void wrap(struct buf *out, uint64_t serial, const void *packed, size_t size)
{
	if (!buf_reserve(out, size + 32))
		return;
	add_varint(out, 1 << 3 | 0);
	add_varint(out, serial);
	add_varint(out, 20 << 3 | 2);
	add_varint(out, size);
	buf_add(out, packed, size);
}

static void chunk_free(struct chunk *chunk)
{
	list_del(&chunk->node);
	buf_fini(&chunk->packed);
	free(chunk);
}

void submission_free(struct submission *s)
{
	if (!s)
		return;
	while (!list_empty(&s->chunks))
		chunk_free(container_of(s->chunks.next, struct chunk, node));
	uploads_fini(&s->uploads);
	free(s);
}

/* ---- the builder's sink ---- */

static int send_chunk(struct cashet *c, const void *packed, size_t size, struct err *e)
{
	struct submission *s = c->submission;
	struct chunk *chunk = calloc(1, sizeof *chunk);
	if (!chunk)
		return handle_no_memory(e);
	list_init(&chunk->node);
	chunk->number = s->next_number++;
	chunk->serial = handle_serial(c);
	wrap(&chunk->packed, chunk->serial, packed, size);
	if (chunk->packed.failed) {
		chunk_free(chunk);
		return handle_no_memory(e);
	}
	list_add_tail(&s->chunks, &chunk->node);
	s->chunk_count++;
	handle_send(c, chunk->packed.data, chunk->packed.size);
	return 0;
}

static int take_chunk(void *arg, const void *packed, size_t size, bool last,
		      struct err *e)
{
	struct cashet *c = arg;
	struct submission *s = c->submission;
	if (last) {
		int r = uploads_flush(&s->uploads, c, e);
		if (r)
			return r;
	}
	/* The first chunk begins the session, so that a broker that is missing is told early. */
	while (!s->refused.code && (s->chunk_count >= WINDOW || !c->transport)) {
		int r = handle_pump(c, clock_mono_ns(), HANDLE_UNSEALED_NS, e);
		if (r)
			return r;
		if (s->chunk_count >= WINDOW)
			r = handle_pump(c, TIME_NEVER, HANDLE_UNSEALED_NS, e);
		if (r)
			return r;
	}
	if (s->refused.code) {
		if (e)
			*e = s->refused;
		return s->refused.code;
	}
	s->seal_sent = last;
	int r = send_chunk(c, packed, size, e);
	if (r || !last)
		return r;
	bool only = s->next_number == 1;
	return watch_expect(c, s->batch, only ? packed : NULL, size) ? handle_no_memory(e)
								     : 0;
}

static int take_upload(void *arg, const struct builder_upload *upload, struct err *e)
{
	struct cashet *c = arg;
	return uploads_add(&c->submission->uploads, c, upload, e);
}

/* ---- what the broker says ---- */

void submission_resume(struct cashet *c)
{
	struct submission *s = c->submission;
	struct list *at;
	if (!s || s->refused.code)
		return;
	list_for_each (at, &s->chunks) {
		struct chunk *chunk = container_of(at, struct chunk, node);
		handle_send(c, chunk->packed.data, chunk->packed.size);
	}
}

/* What was acknowledged is kept by nobody but the broker. It forgets an unsealed batch whose client was
 * away for long, and one that it has refused, whose Error may be lost. */
static void forgotten(struct submission *s)
{
	if (s->refused.code)
		return;
	err_set(&s->refused, ERR_FAILED,
		"the broker has forgotten the first part of the batch: the connection "
		"was lost "
		"for too long, or the batch was refused meanwhile");
	err_next(&s->refused, "submit it again");
}

bool submission_take_ack(struct cashet *c, const Cashet__SubmitAck *ack)
{
	struct submission *s = c->submission;
	if (!s || !wire_is(&ack->request, NONCE_SIZE) ||
	    memcmp(ack->request.data, s->request, NONCE_SIZE))
		return false;
	s->accepted = s->accepted || (ack->sealed && s->seal_sent);
	if (!s->accepted && ack->next < s->acknowledged) {
		forgotten(s);
		return true;
	}
	s->acknowledged = ack->next;
	while (!list_empty(&s->chunks)) {
		struct chunk *chunk = container_of(s->chunks.next, struct chunk, node);
		bool seals = s->seal_sent && chunk->number == s->next_number - 1;
		if (chunk->number >= ack->next && !s->accepted)
			break;
		if (seals && !s->accepted)
			break;
		chunk_free(chunk);
		s->chunk_count--;
	}
	return true;
}

bool submission_take_error(struct cashet *c, uint64_t serial, const Cashet__Error *error)
{
	struct submission *s = c->submission;
	struct list *at;
	if (!s || !serial)
		return false;
	list_for_each (at, &s->chunks) {
		if (container_of(at, struct chunk, node)->serial != serial)
			continue;
		if (!s->refused.code)
			request_error(error, &s->refused);
		return true;
	}
	return false;
}

bool submission_is_open(const struct cashet *c)
{
	const struct submission *s = c->submission;
	return s && !s->accepted && !s->refused.code;
}

int submission_check(struct cashet *c, struct err *e)
{
	struct submission *s = c->submission;
	if (!s || (!s->accepted && !s->refused.code))
		return 0;
	int code = s->refused.code;
	if (code && e)
		*e = s->refused;
	submission_free(steal(c->submission));
	return code;
}

int submission_sync(struct cashet *c, struct err *e)
{
	while (submission_is_open(c)) {
		int r = handle_pump(c, TIME_NEVER, TIME_NEVER, e);
		if (r)
			return r;
	}
	return submission_check(c, e);
}

/* ---- beginning and ending ---- */

int submission_begin(struct cashet *c, struct builder_sink *sink,
		     uint8_t request[NONCE_SIZE], struct err *e)
{
	int r = submission_sync(c, e);
	if (r)
		return r;
	/* The batch's name follows from who we are, and whether an answer to the greeting is
	 * needed for that is known already: keys are chosen before connecting. */
	struct submission *s = calloc(1, sizeof *s);
	if (!s)
		return handle_no_memory(e);
	list_init(&s->chunks);
	rand_bytes(s->request, sizeof s->request);
	memcpy(request, s->request, NONCE_SIZE);
	struct sha256 hash;
	sha256_init(&hash);
	sha256_update(&hash, handle_identity(c), KEY_SIZE);
	sha256_update(&hash, s->request, NONCE_SIZE);
	sha256_final(&hash, s->batch);
	c->submission = s;
	*sink = (struct builder_sink){
		.arg = c, .chunk = take_chunk, .upload = take_upload};
	return 0;
}

/* Tells the broker to forget what it has of an unsealed batch; a broker that does not hear it
 * forgets by itself once we are gone. */
static void discard(struct cashet *c)
{
	struct submission *s = c->submission;
	if (s->next_number && !s->refused.code && !s->accepted) {
		Cashet__SubmitChunk chunk = CASHET__SUBMIT_CHUNK__INIT;
		chunk.request =
			(ProtobufCBinaryData){.data = s->request, .len = NONCE_SIZE};
		chunk.chunk = s->next_number;
		chunk.discard = true;
		Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
		envelope.serial = handle_serial(c);
		envelope.body_case = CASHET__ENVELOPE__BODY_SUBMIT_CHUNK;
		envelope.submit_chunk = &chunk;
		CLEANUP_BUF struct buf packed = {0};
		wire_pack(&packed, &envelope);
		if (!packed.failed && c->transport && c->greeted) {
			handle_send(c, packed.data, packed.size);
			/* LINGER is 0: let it leave before the handle may be closed. */
			uint64_t until = clock_mono_ns() + DISCARD_WAIT_NS;
			while (clock_mono_ns() < until && !c->broken)
				if (handle_pump(c, until, DISCARD_WAIT_NS, NULL) ||
				    !submission_is_open(c))
					break;
		}
	}
	submission_free(steal(c->submission));
}

int submission_end(struct cashet *c, int failed, bool sync, char batch[CASHET_HEX_SIZE],
		   struct err *e)
{
	struct submission *s = c->submission;
	bool sealed = s->seal_sent && !failed;
	if (!sealed) {
		discard(c);
		return failed;
	}
	hex_encode(batch, s->batch, DIGEST_SIZE);
	return sync ? submission_sync(c, e) : 0;
}
