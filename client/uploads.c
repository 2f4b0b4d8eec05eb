/* uploads.c - see uploads.h. On ipc the question is asked over a connection of our own first: of a
 * batch that ran before, the store has everything, and ZeroMQ need not even be loaded. */
#include "client/uploads.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Asked for in groups of these sizes; one question holds no more digests than the broker takes. */
#define COUNT_MAX 4096
#define BYTES_MAX (16u << 20)
#define FILES_OPEN 64 /* at a time */
#define ASK_NS (2 * NS_PER_S)

struct upload {
	char *path; /* or NULL: */
	void *data;
	uint64_t size;
	uint8_t digest[DIGEST_SIZE];
};

static void reset(struct uploads *u)
{
	for (size_t i = 0; i < u->count; i++) {
		free(u->items[i].path);
		free(u->items[i].data);
	}
	u->count = u->bytes = 0;
}

void uploads_fini(struct uploads *u)
{
	reset(u);
	free(u->items);
	*u = (struct uploads){0};
}

int uploads_add(struct uploads *u, struct cashet *c, const struct builder_upload *upload,
		struct err *e)
{
	if (u->count == COUNT_MAX || u->bytes > BYTES_MAX) {
		int r = uploads_flush(u, c, e);
		if (r)
			return r;
	}
	if (u->count == u->capacity) {
		size_t capacity = u->capacity ? 2 * u->capacity : 16;
		struct upload *items = realloc(u->items, capacity * sizeof *items);
		if (!items)
			return handle_no_memory(e);
		u->items = items;
		u->capacity = capacity;
	}
	struct upload *to = &u->items[u->count];
	*to = (struct upload){.size = upload->size};
	memcpy(to->digest, upload->digest, DIGEST_SIZE);
	if (upload->path) {
		to->path = strdup(upload->path);
	} else {
		to->data = malloc(upload->size + 1);
		if (to->data && upload->size)
			memcpy(to->data, upload->data, upload->size);
		u->bytes += upload->size;
	}
	if (!to->path && !to->data)
		return handle_no_memory(e);
	u->count++;
	return 0;
}

/* ---- which the store lacks ---- */

static bool say(struct transport *t, const Cashet__BlobMessage *message,
		struct buf *packed)
{
	size_t size = cashet__blob_message__get_packed_size(message);
	buf_reset(packed);
	uint8_t *to = buf_reserve(packed, size);
	return to && cashet__blob_message__pack(message, to) == size &&
	       t->kind->send(t, to, size) == 0;
}

static bool say_question(struct cashet *c, struct transport *t,
			 ProtobufCBinaryData *digests, size_t count)
{
	CLEANUP_BUF struct buf packed = {0};
	Cashet__Hello hello = CASHET__HELLO__INIT;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	hello.protocol = WIRE_PROTOCOL;
	hello.instance = (ProtobufCBinaryData){.data = c->instance, .len = KEY_SIZE};
	hello.name = c->name;
	m.stream = 1;
	m.kind = CASHET__BLOB_MESSAGE__KIND__HELLO;
	m.hello = &hello;
	if (!say(t, &m, &packed))
		return false;
	m.hello = NULL;
	m.stream = 2;
	m.kind = CASHET__BLOB_MESSAGE__KIND__HAVE;
	m.digests = digests;
	m.n_digests = count;
	return say(t, &m, &packed);
}

/* Return: the answer, in @arena; NULL if there is none. */
static const Cashet__BlobMessage *await_answer(struct transport *t,
					       struct wire_arena *arena)
{
	uint64_t now = clock_mono_ns(), until = now + ASK_NS;
	while (now < until && t->kind->state(t) == TRANSPORT_WORKING) {
		const uint8_t *data;
		size_t size;
		if (t->kind->recv(t, &data, &size)) {
			if (t->kind->wait(t, until - now) < 0)
				return NULL;
			now = clock_mono_ns();
			continue;
		}
		wire_arena_reset(arena);
		const Cashet__BlobMessage *m = wire_unpack_blob(arena, data, size);
		if (!m || m->kind == CASHET__BLOB_MESSAGE__KIND__ERROR)
			return NULL;
		if (m->kind == CASHET__BLOB_MESSAGE__KIND__HAVE_REPLY && m->stream == 2)
			return m;
	}
	return NULL;
}

/* Return: true if the store is known to have everything. Anything else is for the blob client. */
static bool has_all(const struct uploads *u, struct cashet *c)
{
	char *url = endpoint_blob_url(c->url, c->welcome.blob_port, c->welcome.blob_path);
	ProtobufCBinaryData *digests = calloc(u->count, sizeof *digests);
	struct transport_options options = {.url = url,
					    .message_max = WIRE_BLOB_MESSAGE_MAX};
	struct transport *t = NULL;
	bool all = false;
	if (url && digests && !endpoint_is_tcp(url) &&
	    transport_ipc.open(&t, &options, NULL) == 0) {
		struct wire_arena arena;
		wire_arena_init(&arena);
		for (size_t i = 0; i < u->count; i++)
			digests[i] = (ProtobufCBinaryData){.data = u->items[i].digest,
							   .len = DIGEST_SIZE};
		const Cashet__BlobMessage *answer = say_question(c, t, digests, u->count)
							    ? await_answer(t, &arena)
							    : NULL;
		all = answer && answer->n_digests == 0;
		wire_arena_fini(&arena);
		t->kind->close(t);
	}
	free(digests);
	free(url);
	return all;
}

static int find_missing(const struct uploads *u, struct blob_client *blobs, bool *missing,
			struct err *e)
{
	uint8_t(*digests)[DIGEST_SIZE] = malloc(u->count * sizeof *digests);
	if (!digests)
		return handle_no_memory(e);
	for (size_t i = 0; i < u->count; i++)
		memcpy(digests[i], u->items[i].digest, DIGEST_SIZE);
	int r = blob_client_missing(blobs, (const uint8_t(*)[DIGEST_SIZE])digests,
				    u->count, missing, e);
	free(digests);
	return r;
}

/* ---- sending them, some at a time ---- */

struct group {
	struct blob_put_item puts[FILES_OPEN];
	const struct upload *uploads[FILES_OPEN];
	size_t count;
};

static int changed(const struct upload *upload, struct err *e)
{
	err_set(e, ERR_USAGE, "%s changed while it was being submitted",
		upload->path ? upload->path : "something");
	err_next(e, "submit again once nothing writes to it");
	return ERR_USAGE;
}

static int group_add(struct group *g, const struct upload *upload, struct err *e)
{
	struct blob_put_item *put = &g->puts[g->count];
	*put = (struct blob_put_item){
		.fd = -1, .data = upload->data, .size = upload->size};
	if (upload->path) {
		struct stat st;
		put->fd =
			open(upload->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (put->fd < 0)
			return err_set(e, ERR_USAGE, "%s cannot be read: %s",
				       upload->path, strerror(errno));
		if (fstat(put->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		    (uint64_t)st.st_size != upload->size) {
			close(put->fd);
			return changed(upload, e);
		}
	}
	g->uploads[g->count++] = upload;
	return 0;
}

static int group_send(struct group *g, struct blob_client *blobs, struct err *e)
{
	int r = g->count ? blob_client_put_many(blobs, g->puts, g->count, e) : 0;
	for (size_t i = 0; i < g->count; i++) {
		if (r == 0 &&
		    memcmp(g->puts[i].digest, g->uploads[i]->digest, DIGEST_SIZE))
			r = changed(g->uploads[i], e);
		if (g->puts[i].fd >= 0)
			close(g->puts[i].fd);
	}
	g->count = 0;
	return r;
}

static int send_missing(const struct uploads *u, struct blob_client *blobs,
			const bool *missing, struct err *e)
{
	struct group g = {.count = 0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < u->count; i++) {
		if (missing[i])
			r = group_add(&g, &u->items[i], e);
		if (r == 0 && g.count == FILES_OPEN)
			r = group_send(&g, blobs, e);
	}
	int rest = group_send(&g, blobs, r ? NULL : e);
	return r ? r : rest;
}

int uploads_flush(struct uploads *u, struct cashet *c, struct err *e)
{
	if (!u->count)
		return 0;
	int r = handle_greeted(c, e);
	if (r)
		return r;
	if (has_all(u, c)) {
		reset(u);
		return 0;
	}
	struct blob_client *blobs;
	r = handle_blobs(c, &blobs, e);
	if (r)
		return r;
	bool *missing = calloc(u->count, sizeof *missing);
	if (!missing)
		return handle_no_memory(e);
	r = find_missing(u, blobs, missing, e);
	if (r == 0)
		r = send_missing(u, blobs, missing, e);
	free(missing);
	if (r == 0)
		reset(u);
	return r;
}
