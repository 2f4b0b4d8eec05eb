/* import.c - an archive into a store, all or nothing.
 *
 * One pass. Blobs are put as they come (a store that has them already is not sent them again; what
 * fails later leaves only bytes that the next gc collects); commits go along in chunks that the
 * broker stages; when the archive has ended well, and only then, the last chunk seals them all.
 * Large blobs stream from the archive to the broker as they are in it, packed or not; a broker that can
 * reads them in the file itself. It unpacks them and computes their digests; those that it has
 * already are hashed here. */
#include "client/archive/read.h"
#include "client/history.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"
#include "common/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE (256u << 10) /* from here on a blob is streamed */
#define PUTS 256	   /* at a time, of at most: */
#define PUT_BYTES (16u << 20)
#define CHUNK_ITEMS 128
#define CHUNK_BYTES (512u << 10)
#define WINDOW 16 /* chunks that are not acknowledged */
#define RATIO_FREE (1ull << 30)
#define READ_MAX (1u << 20)

struct chunk { /* the next one; what it holds is in @keep */
	struct keep keep;
	Cashet__ImportCommit *commits[CHUNK_ITEMS];
	Cashet__ImportPin *pins[CHUNK_ITEMS];
	ProtobufCBinaryData blobs[CHUNK_ITEMS];
	size_t commit_count, pin_count, blob_count, bytes;
};

struct importer {
	struct cashet *c;
	const struct cashet_care_options *options;
	struct err *e;
	struct archive_reader *reader;
	int fd;
	bool is_file; /* others can read it too, and it can be passed over */
	uint64_t base, at,
		end; /* of a file: where the archive begins, what is next, its size */
	bool dry_run;
	struct blob_client *blobs;
	size_t inline_max;
	/* blobs that wait to be put */
	struct blob_put_item puts[PUTS];
	uint8_t names[PUTS][DIGEST_SIZE];
	size_t put_count, put_bytes;
	struct buf small;
	/* one that streams: what was read of it before */
	const uint8_t *prefix;
	size_t prefix_left;
	bool is_void;
	int code; /* what reading it failed with */
	/* commits */
	uint8_t token[16];
	uint32_t chunks;
	bool began;
	struct chunk chunk;
	struct request *window[WINDOW];
	unsigned first, waiting;
	Cashet__ImportAck *ack; /* of the last one that was waited for, in @last */
	struct request *last;
};

static bool is_interrupted(const struct importer *x)
{
	return x->c->interrupted && x->c->interrupted(x->c->interrupted_arg);
}

static int64_t read_input(void *arg, void *out, size_t size)
{
	struct importer *x = arg;
	if (!out) {
		if (size > x->end || x->at > x->end - size)
			return 0;
		x->at += size;
		return (int64_t)size;
	}
	for (;;) {
		if (is_interrupted(x))
			return -EINTR;
		size = size < READ_MAX ? size : READ_MAX;
		ssize_t n = x->is_file ? pread(x->fd, out, size, (off_t)x->at)
				       : read(x->fd, out, size);
		x->at += n > 0 ? (uint64_t)n : 0;
		if (n >= 0)
			return n;
		if (errno != EINTR)
			return -errno;
	}
}

/* ---- chunks of commits ---- */

static int wait_oldest(struct importer *x)
{
	struct request *r = x->window[x->first];
	int rc = request_wait(x->c, r, CASHET__ENVELOPE__BODY_IMPORT_ACK,
			      x->c->connect_ns, x->e);
	x->window[x->first] = NULL;
	x->first = (x->first + 1) % WINDOW;
	x->waiting--;
	request_free(x->last);
	x->last = r;
	x->ack = rc ? NULL : r->reply->import_ack;
	return rc;
}

static int send_chunk(struct importer *x, bool seal)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__ImportChunk m = CASHET__IMPORT_CHUNK__INIT;
	struct chunk *chunk = &x->chunk;
	if (chunk->keep.failed)
		return handle_no_memory(x->e);
	int rc = x->waiting == WINDOW ? wait_oldest(x) : 0;
	if (rc)
		return rc;
	m.import = (ProtobufCBinaryData){sizeof x->token, x->token};
	m.chunk = x->chunks++;
	m.n_blobs = chunk->blob_count;
	m.blobs = chunk->blobs;
	m.n_commits = chunk->commit_count;
	m.commits = chunk->commits;
	m.n_pins = chunk->pin_count;
	m.pins = chunk->pins;
	m.seal = seal;
	envelope.body_case = CASHET__ENVELOPE__BODY_IMPORT_CHUNK;
	envelope.import_chunk = &m;
	struct request *r = request_send(x->c, &envelope);
	keep_fini(&chunk->keep);
	*chunk = (struct chunk){0};
	x->began = true;
	if (!r)
		return handle_no_memory(x->e);
	x->window[(x->first + x->waiting++) % WINDOW] = r;
	return 0;
}

static int made_room(struct importer *x, size_t items, size_t bytes)
{
	x->chunk.bytes += bytes;
	return items == CHUNK_ITEMS || x->chunk.bytes >= CHUNK_BYTES
		       ? send_chunk(x, false)
		       : 0;
}

static void *keep_copy(struct keep *k, const void *data, size_t size)
{
	uint8_t *copy = keep_alloc(k, size + 1, 1);
	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

static char *keep_text(struct keep *k, const char *text)
{
	char *copy = keep_copy(k, text, strlen(text));
	return copy ? copy : (char *)"";
}

static int add_small(struct importer *x, const void *data, size_t size)
{
	struct chunk *c = &x->chunk;
	c->blobs[c->blob_count++] =
		(ProtobufCBinaryData){size, keep_copy(&c->keep, data, size)};
	return made_room(x, c->blob_count, size);
}

static int add_commit(struct importer *x, const struct archive_entry *entry)
{
	struct chunk *c = &x->chunk;
	Cashet__ImportCommit *m = keep_alloc(&c->keep, 1, sizeof *m);
	Cashet__Pair *pairs = keep_alloc(&c->keep, entry->tag_count + 1, sizeof *pairs);
	Cashet__Pair **list = keep_alloc(&c->keep, entry->tag_count + 1, sizeof *list);
	if (!m || !pairs || !list)
		return handle_no_memory(x->e);
	cashet__import_commit__init(m);
	m->body = (ProtobufCBinaryData){entry->size,
					keep_copy(&c->keep, entry->data, entry->size)};
	m->current = entry->current;
	for (size_t i = 0; i < entry->tag_count; i++) {
		cashet__pair__init(&pairs[i]);
		pairs[i].key = keep_text(&c->keep, entry->tags[i].key);
		pairs[i].value = keep_text(&c->keep, entry->tags[i].value);
		list[i] = &pairs[i];
	}
	m->n_tags = entry->tag_count;
	m->tags = list;
	c->commits[c->commit_count++] = m;
	return made_room(x, c->commit_count, entry->size);
}

static int add_pin(struct importer *x, const struct archive_entry *entry)
{
	struct chunk *c = &x->chunk;
	Cashet__ImportPin *m = keep_alloc(&c->keep, 1, sizeof *m);
	if (!m)
		return handle_no_memory(x->e);
	cashet__import_pin__init(m);
	m->name = keep_text(&c->keep, entry->name);
	m->hash = (ProtobufCBinaryData){DIGEST_SIZE,
					keep_copy(&c->keep, entry->digest, DIGEST_SIZE)};
	m->wall_ms = entry->wall_ms;
	c->pins[c->pin_count++] = m;
	return made_room(x, c->pin_count, DIGEST_SIZE);
}

/* ---- blobs ---- */

static void drop_puts(struct importer *x)
{
	for (size_t i = 0; i < x->put_count; i++)
		free((void *)x->puts[i].data);
	x->put_count = x->put_bytes = 0;
}

static int put_missing(struct importer *x)
{
	bool missing[PUTS];
	size_t count = 0;
	int rc = blob_client_missing(x->blobs, (const uint8_t(*)[DIGEST_SIZE])x->names,
				     x->put_count, missing, x->e);
	if (rc)
		return rc;
	struct blob_put_item *items = calloc(x->put_count, sizeof *items);
	if (!items)
		return handle_no_memory(x->e);
	for (size_t i = 0; i < x->put_count; i++)
		if (missing[i])
			items[count++] = x->puts[i];
	if (count)
		rc = blob_client_put_many(x->blobs, items, count, x->e);
	free(items);
	return rc;
}

static int flush_puts(struct importer *x)
{
	int rc = x->put_count ? put_missing(x) : 0;
	drop_puts(x);
	return rc;
}

static int add_put(struct importer *x, const uint8_t *digest, const void *data,
		   size_t size)
{
	void *copy = malloc(size);
	if (!copy)
		return handle_no_memory(x->e);
	memcpy(copy, data, size);
	memcpy(x->names[x->put_count], digest, DIGEST_SIZE);
	x->puts[x->put_count] = (struct blob_put_item){
		.fd = -1, .data = copy, .size = size, .want = x->names[x->put_count]};
	x->put_count++;
	x->put_bytes += size;
	return x->put_count == PUTS || x->put_bytes >= PUT_BYTES ? flush_puts(x) : 0;
}

/* Verified bytes. */
static int put(struct importer *x, const uint8_t *digest, const void *data, size_t size)
{
	if (x->dry_run)
		return 0;
	return size <= x->inline_max ? add_small(x, data, size)
				     : add_put(x, digest, data, size);
}

static int wrong_bytes(struct importer *x, const uint8_t *digest)
{
	char hex[HEX_DIGEST_SIZE];
	err_set(x->e, ERR_USAGE,
		"this archive is not whole: the bytes of blob %.16s are not those of its "
		"name",
		hex_encode(hex, digest, DIGEST_SIZE));
	err_next(x->e, "nothing of it was imported; export it again");
	return ERR_USAGE;
}

/* The next bytes of a blob that streams. Of a file that the broker reads itself only their place. */
static int next_piece(void *arg, size_t max, bool by_file, struct blob_piece *piece,
		      struct err *e)
{
	struct importer *x = arg;
	struct archive_piece p;
	if (x->prefix_left) {
		size_t size = x->prefix_left < max ? x->prefix_left : max;
		*piece = (struct blob_piece){.data = x->prefix, .size = (uint32_t)size};
		x->prefix += size;
		x->prefix_left -= size;
		return 0;
	}
	x->code = archive_read_piece(x->reader, by_file, &p, &x->is_void, x->e);
	if (x->code || x->is_void)
		return err_set(e, ERR_FAILED, "the archive has an end here");
	*piece = (struct blob_piece){p.data, x->base + p.from, p.stored, p.size};
	return 0;
}

static int stream(struct importer *x, const uint8_t *digest)
{
	struct err e = {0};
	struct blob_put_item item = {.fd = x->is_file ? x->fd : -1,
				     .source = next_piece,
				     .source_arg = x,
				     .size = BLOB_SIZE_UNKNOWN,
				     .want = digest};
	x->code = 0;
	int rc = blob_client_put_many(x->blobs, &item, 1, &e);
	if (x->code || x->is_void)
		return x->code; /* nothing was kept of it */
	if (rc == ERR_USAGE)
		return wrong_bytes(x, digest);
	*x->e = e;
	return rc;
}

/* The rest of a blob that the store has: it is verified all the same. */
static int hash_rest(struct importer *x, const uint8_t *digest)
{
	uint8_t real[DIGEST_SIZE];
	const void *data;
	size_t size;
	struct sha256 sha;
	sha256_init(&sha);
	sha256_update(&sha, x->prefix, x->prefix_left);
	for (;;) {
		int rc = archive_read_content(x->reader, READ_MAX, &data, &size,
					      &x->is_void, x->e);
		if (rc || x->is_void)
			return rc;
		if (!size)
			break;
		sha256_update(&sha, data, size);
	}
	sha256_final(&sha, real);
	return memcmp(real, digest, DIGEST_SIZE) ? wrong_bytes(x, digest) : 0;
}

static int import_large(struct importer *x, const uint8_t *digest)
{
	bool missing = false;
	x->prefix = x->small.data;
	x->prefix_left = x->small.size;
	int rc = 0;
	if (!x->dry_run)
		rc = blob_client_missing(x->blobs, (const uint8_t(*)[DIGEST_SIZE])digest,
					 1, &missing, x->e);
	if (rc)
		return rc;
	return missing ? stream(x, digest) : hash_rest(x, digest);
}

static int import_file(struct importer *x, const uint8_t *digest)
{
	uint8_t real[DIGEST_SIZE];
	const void *data;
	size_t size;
	buf_reset(&x->small);
	x->is_void = false;
	x->code = 0;
	for (;;) {
		int rc = archive_next_size(x->reader, &size, &x->is_void, x->e);
		if (rc || x->is_void)
			return rc;
		if (!size)
			break;
		if (x->small.size + size >= LARGE)
			return x->small.failed ? handle_no_memory(x->e)
					       : import_large(x, digest);
		rc = archive_read_content(x->reader, size, &data, &size, NULL, x->e);
		if (rc)
			return rc;
		buf_add(&x->small, data, size);
	}
	if (x->small.failed)
		return handle_no_memory(x->e);
	sha256_digest(x->small.data, x->small.size, real);
	if (memcmp(real, digest, DIGEST_SIZE) != 0)
		return wrong_bytes(x, digest);
	return put(x, digest, x->small.data, x->small.size);
}

static int import_blob(struct importer *x, const struct archive_entry *entry)
{
	if (entry->type != CONTENT_FILE)
		return put(x, entry->digest, entry->data, entry->size);
	uint8_t digest[DIGEST_SIZE];
	memcpy(digest, entry->digest, DIGEST_SIZE);
	return import_file(x, digest);
}

/* ---- all of it ---- */

static void tell(struct importer *x)
{
	if (!x->options || !x->options->progress)
		return;
	struct cashet_care_progress p = {.phase = "importing commits",
					 .done = archive_read_counts(x->reader)->commits};
	x->options->progress(x->options->arg, &p);
}

static int import_entry(struct importer *x, const struct archive_entry *entry)
{
	tell(x);
	switch (entry->kind) {
	case ARCHIVE_BLOB:
		return import_blob(x, entry);
	case ARCHIVE_COMMIT:
		return x->dry_run ? 0 : add_commit(x, entry);
	case ARCHIVE_PIN:
		return x->dry_run ? 0 : add_pin(x, entry);
	case ARCHIVE_FINISHED:
		break;
	}
	return 0;
}

static int seal(struct importer *x)
{
	int rc = flush_puts(x);
	/* Nothing is sealed before all that came before is on the broker's disk. */
	while (!rc && x->waiting)
		rc = wait_oldest(x);
	if (!rc)
		rc = send_chunk(x, true);
	if (rc)
		return rc;
	rc = wait_oldest(x);
	if (rc == ERR_DETACHED || rc == ERR_UNREACHABLE) {
		err_set(x->e, (enum err_code)rc,
			"%s while the archive was being taken: all of it is imported, or "
			"nothing",
			rc == ERR_DETACHED ? "interrupted" : "the broker went away");
		err_next(x->e, "import it again to be sure: what is there already stays");
	}
	return rc;
}

static int import_all(struct importer *x, struct archive_entry *entry)
{
	int rc = 0;
	while (!rc && entry->kind != ARCHIVE_FINISHED) {
		rc = import_entry(x, entry);
		if (!rc && is_interrupted(x))
			rc = err_set(x->e, ERR_DETACHED,
				     "interrupted: nothing was imported");
		if (!rc)
			rc = archive_read(x->reader, entry, x->e);
	}
	return rc || x->dry_run ? rc : seal(x);
}

/* The broker, and whether it lets us, before anything large is sent. */
static int begin(struct importer *x)
{
	if (x->dry_run)
		return 0;
	int rc = handle_greeted(x->c, x->e);
	if (!rc)
		rc = handle_blobs(x->c, &x->blobs, x->e);
	if (rc)
		return rc;
	x->inline_max = x->c->welcome.inline_max;
	rand_bytes(x->token, sizeof x->token);
	rc = send_chunk(x, false);
	return rc ? rc : wait_oldest(x);
}

static void discard(struct importer *x)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__ImportChunk m = CASHET__IMPORT_CHUNK__INIT;
	m.import = (ProtobufCBinaryData){sizeof x->token, x->token};
	m.discard = true;
	envelope.body_case = CASHET__ENVELOPE__BODY_IMPORT_CHUNK;
	envelope.import_chunk = &m;
	handle_say(x->c, &envelope);
}

static void give_report(struct importer *x, const struct cashet_import *how,
			struct cashet_archive_report *report)
{
	const struct archive_counts *counts = archive_read_counts(x->reader);
	*report = (struct cashet_archive_report){
		.commits = x->ack ? x->ack->added : counts->commits,
		.known = x->ack ? x->ack->known : 0,
		.blobs = counts->blobs,
		.absent = counts->absent,
		.pins = x->ack ? x->ack->pins : counts->pins,
		.bytes = counts->bytes,
		.archive_bytes = archive_read_bytes(x->reader),
	};
	for (size_t i = 0; x->ack && how && how->pin_kept && i < x->ack->n_pins_kept; i++)
		how->pin_kept(how->arg, x->ack->pins_kept[i]);
}

static int import(struct importer *x, const struct cashet_import *how,
		  struct cashet_archive_report *report)
{
	struct archive_entry entry;
	uint64_t max = how && how->max_bytes ? how->max_bytes : RATIO_FREE;
	x->reader = archive_reader_new(read_input, x, max);
	if (!x->reader)
		return handle_no_memory(x->e);
	/* What is no archive is told before a broker is started. */
	int rc = archive_read(x->reader, &entry, x->e);
	if (!rc)
		rc = begin(x);
	if (!rc)
		rc = import_all(x, &entry);
	if (rc && x->began)
		discard(x);
	if (!rc)
		give_report(x, how, report);
	return rc;
}

static int open_input(struct importer *x, const char *path)
{
	if (strcmp(path, "-") == 0)
		x->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		x->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (x->fd < 0)
		return err_set(x->e, ERR_USAGE, "%s cannot be read: %s", path,
			       strerror(errno));
	struct stat st;
	off_t base = lseek(x->fd, 0, SEEK_CUR);
	x->is_file = fstat(x->fd, &st) == 0 && S_ISREG(st.st_mode) && base >= 0;
	if (x->is_file) {
		x->base = x->at = (uint64_t)base;
		x->end = (uint64_t)st.st_size;
	}
	(void)posix_fadvise(x->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

int cashet_import(struct cashet *c, const char *path, const struct cashet_import *how,
		  const struct cashet_care_options *options,
		  struct cashet_archive_report *report, struct cashet_error *error)
{
	struct err e = {0};
	struct importer *x = calloc(1, sizeof *x);
	if (!x)
		return error_give(error, &e, handle_no_memory(&e));
	x->c = c;
	x->options = options;
	x->e = &e;
	x->dry_run = options && options->dry_run;
	int rc = open_input(x, path);
	if (!rc) {
		rc = import(x, how, report);
		close(x->fd);
	}
	while (x->waiting) {
		request_free(x->window[x->first]);
		x->first = (x->first + 1) % WINDOW;
		x->waiting--;
	}
	request_free(x->last);
	drop_puts(x);
	keep_fini(&x->chunk.keep);
	buf_fini(&x->small);
	archive_reader_free(x->reader);
	free(x);
	return error_give(error, &e, rc);
}
