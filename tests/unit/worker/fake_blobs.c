/* fake_blobs.c - the store of the fake broker and its blob socket. */
#include "tests/unit/worker/fake_internal.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

const struct fake_blob *fake_find(const struct fake *f, const uint8_t *digest)
{
	for (const struct fake_blob *b = f->store; b; b = b->next)
		if (memcmp(b->digest, digest, DIGEST_SIZE) == 0)
			return b;
	return NULL;
}

void fake_store(struct fake *f, const void *data, size_t size,
		uint8_t digest[DIGEST_SIZE])
{
	sha256_digest(data, size, digest);
	if (fake_find(f, digest))
		return;
	struct fake_blob *b = mem_alloc(sizeof *b);
	memcpy(b->digest, digest, DIGEST_SIZE);
	buf_add(&b->data, data, size);
	b->next = f->store;
	f->store = b;
}

static void blob_say(struct fake *f, const struct wire_frame *to, Cashet__BlobMessage *m,
		     const void *payload, size_t size)
{
	int error;
	wire_send_blob(f->blobs, to->route, to->route_size, m, payload, size, &error);
}

static void blob_have(struct fake *f, const struct wire_frame *frame,
		      const Cashet__BlobMessage *m, Cashet__BlobMessage *reply)
{
	ProtobufCBinaryData *missing = mem_alloc(m->n_digests * sizeof *missing);
	size_t count = 0;
	for (size_t i = 0; i < m->n_digests; i++)
		if (!fake_find(f, m->digests[i].data))
			missing[count++] = m->digests[i];
	reply->kind = CASHET__BLOB_MESSAGE__KIND__HAVE_REPLY;
	reply->digests = missing;
	reply->n_digests = count;
	blob_say(f, frame, reply, NULL, 0);
	free(missing);
}

static struct fake_put *find_put(struct fake *f, uint64_t stream)
{
	struct fake_put *p = f->put;
	while (p && p->stream != stream)
		p = p->next;
	return p;
}

static void blob_end(struct fake *f, const struct wire_frame *frame,
		     const Cashet__BlobMessage *m, Cashet__BlobMessage *reply)
{
	struct fake_put **at = &f->put;
	while (*at && (*at)->stream != m->stream)
		at = &(*at)->next;
	struct fake_put *p = *at;
	if (!p)
		return;
	uint8_t digest[DIGEST_SIZE];
	fake_store(f, p->data.data, p->data.size, digest);
	*at = p->next;
	buf_fini(&p->data);
	free(p);
	f->puts++;
	reply->kind = CASHET__BLOB_MESSAGE__KIND__OK;
	reply->digest = (ProtobufCBinaryData){DIGEST_SIZE, digest};
	blob_say(f, frame, reply, NULL, 0);
}

static void blob_get(struct fake *f, const struct wire_frame *frame,
		     const Cashet__BlobMessage *m, Cashet__BlobMessage *reply)
{
	const struct fake_blob *b = fake_find(f, m->digest.data);
	Cashet__Error error = CASHET__ERROR__INIT;
	if (!b) {
		error.code = ERR_NOT_FOUND;
		reply->kind = CASHET__BLOB_MESSAGE__KIND__ERROR;
		reply->error = &error;
		blob_say(f, frame, reply, NULL, 0);
		return;
	}
	/* Test blobs are smaller than the window. */
	for (size_t at = m->offset; at < b->data.size; at += WIRE_BLOB_PIECE) {
		size_t n = b->data.size - at < WIRE_BLOB_PIECE ? b->data.size - at
							       : WIRE_BLOB_PIECE;
		reply->kind = CASHET__BLOB_MESSAGE__KIND__DATA;
		reply->offset = at;
		blob_say(f, frame, reply, b->data.data + at, n);
	}
	reply->kind = CASHET__BLOB_MESSAGE__KIND__END;
	reply->offset = 0;
	reply->size = b->data.size;
	blob_say(f, frame, reply, NULL, 0);
}

static void serve_blob(struct fake *f, const struct wire_frame *frame,
		       const Cashet__BlobMessage *m)
{
	Cashet__BlobMessage reply = CASHET__BLOB_MESSAGE__INIT;
	Cashet__Welcome w = CASHET__WELCOME__INIT;
	struct fake_put *p;
	reply.stream = m->stream;
	switch (m->kind) {
	case CASHET__BLOB_MESSAGE__KIND__HELLO:
		w.protocol = WIRE_PROTOCOL;
		reply.kind = CASHET__BLOB_MESSAGE__KIND__WELCOME;
		reply.welcome = &w;
		blob_say(f, frame, &reply, NULL, 0);
		break;
	case CASHET__BLOB_MESSAGE__KIND__HAVE:
		blob_have(f, frame, m, &reply);
		break;
	case CASHET__BLOB_MESSAGE__KIND__PUT:
		p = mem_alloc(sizeof *p);
		p->stream = m->stream;
		p->next = f->put;
		f->put = p;
		reply.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
		reply.credit = WIRE_BLOB_WINDOW;
		blob_say(f, frame, &reply, NULL, 0);
		break;
	case CASHET__BLOB_MESSAGE__KIND__DATA:
		p = find_put(f, m->stream);
		if (p) {
			buf_add(&p->data, frame->payload, frame->payload_size);
			reply.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
			reply.credit = frame->payload_size;
			blob_say(f, frame, &reply, NULL, 0);
		}
		break;
	case CASHET__BLOB_MESSAGE__KIND__END:
		blob_end(f, frame, m, &reply);
		break;
	case CASHET__BLOB_MESSAGE__KIND__GET:
		blob_get(f, frame, m, &reply);
		break;
	default:
		break;
	}
}

void fake_serve_blobs(struct fake *f)
{
	struct wire_frame frame;
	while (wire_recv(f->blobs, true, &frame) == 0) {
		wire_arena_reset(&f->blob_arena);
		Cashet__BlobMessage *m =
			wire_unpack_blob(&f->blob_arena, frame.data, frame.size);
		if (m && !f->mute)
			serve_blob(f, &frame, m);
		wire_frame_fini(&frame);
	}
}
