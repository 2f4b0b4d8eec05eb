/* export.c - commits and all that they need, to an archive. What a commit names goes first: its
 * function and code, its inputs, its outputs, what lists and folders hold, its logs; each once.
 *
 * Blobs of a store directory are read from its files, also beside a broker, and stay compressed as they
 * are; of others the broker is asked. All are verified on the way. One that is not there, or is
 * corrupt, is told to be absent: the record of a result is worth having without its bytes. */
#include "client/archive/output.h"
#include "client/archive/write.h"
#include "client/history.h"
#include "client/local.h"
#include "client/target.h"
#include "common/clock.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16 /* lists in lists */
#define PAGE_ROWS 1000
#define SMALL_MAX 16

struct exporter {
	struct cashet *c;
	const struct cashet_export *what;
	const struct cashet_care_options *options;
	struct archive_writer *writer;
	struct seen seen;
	struct err *e;
	int code; /* what a callback failed with */
	unsigned depth;
	struct buf arena;
	/* blobs that came with the commit */
	const ProtobufCBinaryData *small;
	uint8_t small_digests[SMALL_MAX][DIGEST_SIZE];
	size_t small_count;
	/* the blob that is being written */
	const uint8_t *digest;
	bool began;
	struct direct_piece piece; /* memory that comes and goes with chunks */
};

static int failed(struct exporter *x, int rc)
{
	if (rc == -ENOMEM)
		return handle_no_memory(x->e);
	return err_set(x->e, ERR_FAILED, "the archive cannot be written: %s",
		       strerror(-rc));
}

static int check(struct exporter *x)
{
	if (x->c->interrupted && x->c->interrupted(x->c->interrupted_arg))
		return err_set(x->e, ERR_DETACHED, "interrupted: no archive was made");
	return 0;
}

static int mark(struct exporter *x, const uint8_t *digest, uint8_t bits)
{
	return seen_add(&x->seen, digest, bits) ? handle_no_memory(x->e) : 0;
}

/* ---- blobs ---- */

static int absent(struct exporter *x, const uint8_t *digest)
{
	int rc = x->began ? archive_write_blob_void(x->writer)
			  : archive_write_absent(x->writer, digest);
	return rc ? failed(x, rc) : mark(x, digest, SEEN_ABSENT);
}

/* The memory of a chunk that is stored as it is goes along with it. */
static int write_chunk(struct exporter *x, const struct local_chunk *chunk)
{
	uint64_t at;
	int rc = chunk->stored == chunk->data && local_take(chunk, &x->piece)
			 ? archive_write_piece(x->writer, &x->piece)
			 : archive_write_content(x->writer, chunk->data, chunk->size,
						 chunk->stored, chunk->stored_size);
	if (!rc && archive_write_at(x->writer, &at))
		local_place(chunk, at, ARCHIVE_PIECE_HEAD);
	return rc;
}

static int take_chunk(void *arg, const struct local_chunk *chunk)
{
	struct exporter *x = arg;
	int rc = check(x);
	if (rc)
		return x->code = rc;
	rc = x->began ? 0 : archive_write_blob(x->writer, CONTENT_FILE, x->digest);
	x->began = true;
	if (!rc)
		rc = write_chunk(x, chunk);
	return rc ? x->code = failed(x, rc) : 0;
}

static int take_bytes(void *arg, const void *data, size_t size)
{
	const struct local_chunk chunk = {.data = data, .size = size};
	return take_chunk(arg, &chunk) ? -ECANCELED : 0;
}

static void take_small(struct exporter *x, const Cashet__CommitRow *row)
{
	x->small = row->small;
	x->small_count = row->n_small < SMALL_MAX ? row->n_small : SMALL_MAX;
	for (size_t i = 0; i < x->small_count; i++)
		sha256_digest(row->small[i].data, row->small[i].len, x->small_digests[i]);
}

static const ProtobufCBinaryData *find_small(const struct exporter *x,
					     const uint8_t *digest)
{
	for (size_t i = 0; i < x->small_count; i++)
		if (memcmp(x->small_digests[i], digest, DIGEST_SIZE) == 0)
			return &x->small[i];
	return NULL;
}

static int export_small(struct exporter *x, const uint8_t *digest,
			const ProtobufCBinaryData *small)
{
	int rc = archive_write_blob(x->writer, CONTENT_FILE, digest);
	if (!rc)
		rc = archive_write_content(x->writer, small->data, small->len, NULL, 0);
	if (!rc)
		rc = archive_write_blob_end(x->writer);
	return rc ? failed(x, rc) : mark(x, digest, SEEN_FILE);
}

static int export_file(struct exporter *x, const uint8_t *digest)
{
	const ProtobufCBinaryData *small = find_small(x, digest);
	if (small)
		return export_small(x, digest, small);
	struct err e = {0};
	x->digest = digest;
	x->began = false;
	x->code = 0;
	int rc = local_object(x->c, digest, take_chunk, x, &e);
	if (rc == LOCAL_SERVED && !x->began)
		rc = handle_get_blob(x->c, digest, 0, take_bytes, x, &e);
	if (x->code)
		return x->code;
	if (rc == ERR_NOT_FOUND || rc == LOCAL_CORRUPT)
		return absent(x, digest);
	if (rc) {
		*x->e = e;
		return rc;
	}
	rc = x->began ? archive_write_blob_end(x->writer) : 0;
	if (rc)
		return failed(x, rc);
	return x->began ? mark(x, digest, SEEN_FILE) : absent(x, digest);
}

static int keep_bytes(void *arg, const void *data, size_t size)
{
	struct buf *to = arg;
	if (size > ARCHIVE_CONTAINER_MAX - to->size)
		return -EFBIG;
	buf_add(to, data, size);
	return to->failed ? -ENOMEM : 0;
}

static int keep_chunk(void *arg, const struct local_chunk *chunk)
{
	return keep_bytes(arg, chunk->data, chunk->size) ? ERR_FAILED : 0;
}

/* A container, whole. Return: 0; ERR_NOT_FOUND, also if it is corrupt. */
static int fetch(struct exporter *x, const uint8_t *digest, struct buf *to, struct err *e)
{
	const ProtobufCBinaryData *small = find_small(x, digest);
	if (small)
		return keep_bytes(to, small->data, small->len) ? handle_no_memory(e) : 0;
	int rc = local_object(x->c, digest, keep_chunk, to, e);
	if (rc == LOCAL_SERVED)
		rc = handle_get_blob(x->c, digest, 0, keep_bytes, to, e);
	if (rc == LOCAL_CORRUPT)
		return ERR_NOT_FOUND;
	return rc && !e->code ? err_set(e, ERR_FAILED, "a folder or list is too large")
			      : rc;
}

static int export_ref(void *arg, const struct content *content);

/* @data: the bytes, if they are known; NULL: from the store. */
static int export_container(struct exporter *x, uint64_t type, const uint8_t *digest,
			    const void *data, size_t size)
{
	CLEANUP_BUF struct buf own = {0};
	struct err e = {0};
	int rc = 0;
	if (!data) {
		rc = fetch(x, digest, &own, &e);
		data = own.data;
		size = own.size;
	}
	x->began = false;
	if (rc == ERR_NOT_FOUND)
		return absent(x, digest);
	if (rc) {
		*x->e = e;
		return rc;
	}
	if (++x->depth > DEPTH_MAX)
		rc = -EBADMSG;
	else
		rc = archive_refs_of_blob(type, data, size, export_ref, x);
	x->depth--;
	x->began = false;
	if (rc > 0)
		return rc;
	if (rc) /* it is not what it is said to be: nobody could use it */
		return seen_bits(&x->seen, digest) & SEEN_BLOB ? 0 : absent(x, digest);
	rc = archive_write_blob(x->writer, type, digest);
	if (!rc)
		rc = archive_write_content(x->writer, data, size, NULL, 0);
	if (!rc)
		rc = archive_write_blob_end(x->writer);
	return rc ? failed(x, rc) : mark(x, digest, seen_bit(type));
}

static int export_ref(void *arg, const struct content *content)
{
	struct exporter *x = arg;
	if (!seen_is_named(content) || seen_has(&x->seen, content))
		return 0;
	if (content_is_file(content->type))
		return export_file(x, content->digest);
	return export_container(x, content->type, content->digest, NULL, 0);
}

static int leave_out(void *arg, const struct content *content)
{
	struct exporter *x = arg;
	if (!seen_is_named(content) || seen_has(&x->seen, content))
		return 0;
	x->began = false;
	return absent(x, content->digest);
}

/* ---- commits ---- */

static int export_function(struct exporter *x, const ProtobufCBinaryData *description)
{
	uint8_t hash[DIGEST_SIZE];
	if (!description->len)
		return 0;
	sha256_digest(description->data, description->len, hash);
	struct content c = {.type = ARCHIVE_FUNCTION};
	memcpy(c.digest, hash, DIGEST_SIZE);
	if (seen_has(&x->seen, &c))
		return 0;
	return export_container(x, ARCHIVE_FUNCTION, hash, description->data,
				description->len);
}

static int write_commit(struct exporter *x, const ProtobufCBinaryData *body,
			const uint8_t *hash, const Cashet__CommitRow *row)
{
	struct archive_tag *tags = calloc(row->n_tags + 1, sizeof *tags);
	if (!tags)
		return handle_no_memory(x->e);
	for (size_t i = 0; i < row->n_tags; i++)
		tags[i] = (struct archive_tag){row->tags[i]->key, row->tags[i]->value};
	int rc = archive_write_commit(x->writer, body->data, body->len, hash,
				      row->current && !row->failed, tags, row->n_tags);
	free(tags);
	return rc ? failed(x, rc) : mark(x, hash, SEEN_COMMIT);
}

static void tell(struct exporter *x)
{
	if (!x->options || !x->options->progress)
		return;
	struct cashet_care_progress p = {.phase = "exporting commits",
					 .done = archive_written(x->writer)->commits};
	x->options->progress(x->options->arg, &p);
}

static int export_commit(struct exporter *x, const ProtobufCBinaryData *body,
			 const ProtobufCBinaryData *description,
			 const Cashet__CommitRow *row)
{
	uint8_t hash[DIGEST_SIZE];
	struct commit commit;
	int rc = check(x);
	if (rc)
		return rc;
	take_small(x, row);
	sha256_digest(body->data, body->len, hash);
	if (seen_bits(&x->seen, hash) & SEEN_COMMIT)
		return 0;
	buf_reset(&x->arena);
	if (commit_decode(body->data, body->len, &commit, &x->arena))
		return err_set(x->e, ERR_FAILED,
			       "the store holds a record that is no commit");
	rc = export_function(x, description);
	if (!rc)
		rc = archive_refs_of_commit(&commit, false, export_ref, x);
	if (!rc)
		rc = archive_refs_of_commit(&commit, true,
					    x->what->no_logs ? leave_out : export_ref, x);
	if (rc < 0)
		return err_set(x->e, ERR_FAILED,
			       "the store holds a commit whose arguments are malformed");
	if (!rc)
		rc = write_commit(x, body, hash, row);
	tell(x);
	return rc;
}

/* ---- which ones ---- */

static int export_page(struct exporter *x, const Cashet__CommitsPage *page)
{
	int rc = 0;
	for (size_t i = 0; i < page->n_rows && !rc; i++)
		rc = export_commit(x, &page->rows[i]->body, &page->rows[i]->description,
				   page->rows[i]);
	return rc;
}

static int export_found(struct exporter *x)
{
	static const struct cashet_commits_filter none;
	const struct cashet_commits_filter *f = x->what->filter ? x->what->filter : &none;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	struct conditions q;
	int rc = conditions_init(&q, f, x->e);
	envelope.body_case = CASHET__ENVELOPE__BODY_COMMITS_QUERY;
	envelope.commits_query = &q.message;
	q.message.bodies = true;
	q.message.current = !x->what->all && !f->failed;
	q.message.max = PAGE_ROWS;
	while (!rc) {
		struct request *r;
		rc = request_ask(x->c, &envelope, CASHET__ENVELOPE__BODY_COMMITS_PAGE, &r,
				 x->e);
		if (rc)
			break;
		uint64_t next = r->reply->commits_page->next;
		rc = export_page(x, r->reply->commits_page);
		request_free(r);
		if (!rc && next && next <= q.message.before)
			rc = err_set(x->e, ERR_FAILED,
				     "the broker sent a page that makes no sense");
		q.message.before = next;
		if (!next)
			break;
	}
	conditions_fini(&q);
	return rc;
}

static int by_age(const void *a, const void *b)
{
	const struct request *x = *(struct request *const *)a,
			     *y = *(struct request *const *)b;
	uint64_t i = x->reply->show_reply->row->ended_wall_ms,
		 k = y->reply->show_reply->row->ended_wall_ms;
	return i < k ? -1 : i > k;
}

static int ask_named(struct exporter *x, const char *name, struct request **rp)
{
	struct target target;
	int rc = target_parse(name, &target, x->e);
	if (rc)
		return rc;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__ShowQuery query = CASHET__SHOW_QUERY__INIT;
	query.target = &target.message;
	envelope.body_case = CASHET__ENVELOPE__BODY_SHOW_QUERY;
	envelope.show_query = &query;
	rc = request_ask(x->c, &envelope, CASHET__ENVELOPE__BODY_SHOW_REPLY, rp, x->e);
	if (rc || (*rp)->reply->show_reply->row)
		return rc;
	request_free(*rp);
	return err_set(x->e, ERR_FAILED, "the broker sent an answer that makes no sense");
}

/* Those that were named, oldest first. */
static int export_named(struct exporter *x)
{
	size_t count = 0;
	struct request **rs = calloc(x->what->commit_count, sizeof *rs);
	int rc = rs ? 0 : handle_no_memory(x->e);
	for (size_t i = 0; i < x->what->commit_count && !rc; i++) {
		rc = ask_named(x, x->what->commits[i], &rs[i]);
		count += !rc;
	}
	if (!rc)
		qsort(rs, count, sizeof *rs, by_age);
	for (size_t i = 0; i < count; i++) {
		const Cashet__ShowReply *s = rs[i]->reply->show_reply;
		if (!rc)
			rc = export_commit(x, &s->body, &s->description, s->row);
		request_free(rs[i]);
	}
	free(rs);
	return rc;
}

static int export_pins(struct exporter *x)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__PinsQuery query = CASHET__PINS_QUERY__INIT;
	struct request *r;
	envelope.body_case = CASHET__ENVELOPE__BODY_PINS_QUERY;
	envelope.pins_query = &query;
	int rc = request_ask(x->c, &envelope, CASHET__ENVELOPE__BODY_PINS, &r, x->e);
	if (rc)
		return rc;
	for (size_t i = 0; i < r->reply->pins->n_pins && !rc; i++) {
		const Cashet__Pin *pin = r->reply->pins->pins[i];
		if (!wire_is(&pin->hash, DIGEST_SIZE) ||
		    !(seen_bits(&x->seen, pin->hash.data) & SEEN_COMMIT))
			continue;
		rc = archive_write_pin(x->writer, pin->name, pin->hash.data,
				       pin->wall_ms);
		if (rc)
			rc = failed(x, rc);
	}
	request_free(r);
	return rc;
}

/* ---- all of it ---- */

static int write_archive(struct exporter *x, struct cashet_archive_report *report)
{
	struct archive_counts counts;
	uint64_t written;
	int rc = archive_write_head(x->writer, clock_wall_ms(), cashet_version());
	if (rc)
		return failed(x, rc);
	rc = x->what->commit_count ? export_named(x) : export_found(x);
	if (!rc)
		rc = export_pins(x);
	if (rc)
		return rc;
	rc = archive_write_end(x->writer, &counts, &written);
	if (rc)
		return failed(x, rc);
	*report = (struct cashet_archive_report){.commits = counts.commits,
						 .blobs = counts.blobs,
						 .absent = counts.absent,
						 .pins = counts.pins,
						 .bytes = counts.bytes,
						 .archive_bytes = written};
	return 0;
}

static int export(struct exporter *x, const char *path,
		  struct cashet_archive_report *report)
{
	struct output output = {0};
	/* A store that is not there is said before a file is made. */
	int rc = local_may(x->c) ? local_open(x->c, x->e) : LOCAL_SERVED;
	if (rc == LOCAL_SERVED)
		rc = handle_greeted(x->c, x->e);
	if (!rc)
		rc = output_open(&output, path, x->e);
	if (!rc) {
		x->writer = archive_writer_new(output.fd);
		rc = x->writer ? write_archive(x, report) : handle_no_memory(x->e);
		archive_writer_free(x->writer);
	}
	if (!rc)
		rc = output_publish(&output, x->e);
	output_close(&output);
	return rc;
}

int cashet_export(struct cashet *c, const char *path, const struct cashet_export *what,
		  const struct cashet_care_options *options,
		  struct cashet_archive_report *report, struct cashet_error *error)
{
	static const struct cashet_export everything;
	struct err e = {0};
	struct exporter x = {
		.c = c, .what = what ? what : &everything, .options = options, .e = &e};
	int rc = export(&x, path, report);
	seen_fini(&x.seen);
	buf_fini(&x.arena);
	direct_room_fini(&x.piece.room);
	return error_give(error, &e, rc);
}
