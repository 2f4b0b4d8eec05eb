/* read_entries.c - the heads of entries, see read.h: what they must be like before anybody sees them. */
#include "client/archive/read_impl.h"

#include "common/names.h"

#include <string.h>

static int check_ref(void *arg, const struct content *c)
{
	const struct archive_reader *r = arg;
	return !seen_is_named(c) || seen_has(&r->seen, c) ? 0 : 1;
}

static int read_container(struct archive_reader *r, struct archive_entry *entry,
			  struct err *e)
{
	size_t max = entry->type == ARCHIVE_FUNCTION ? ARCHIVE_FUNCTION_MAX
						     : ARCHIVE_CONTAINER_MAX;
	uint8_t digest[DIGEST_SIZE];
	const uint8_t *data;
	size_t size;
	bool is_void;
	buf_reset(&r->container);
	for (;;) {
		int rc = read_blob_piece(r, &data, &size, &is_void, e);
		if (rc)
			return rc;
		if (!size)
			break;
		if (size > max - r->container.size)
			return read_bad(
				e,
				"a folder, list, function or source that is too large");
		buf_add(&r->container, data, size);
	}
	if (r->container.failed)
		return read_no_memory(e);
	if (is_void)
		return read_bad(e, "half a folder, list, function or source");
	sha256_digest(r->container.data, r->container.size, digest);
	if (memcmp(digest, entry->digest, DIGEST_SIZE) != 0)
		return read_mismatch(e, entry->digest);
	int rc = archive_refs_of_blob(entry->type, r->container.data, r->container.size,
				      check_ref, r);
	if (rc < 0)
		return read_bad(e,
				"a folder, list, function or source that is malformed");
	if (rc)
		return read_bad(
			e, "a folder, list, function or source names a blob that did "
			   "not come before it");
	entry->data = r->container.data;
	entry->size = r->container.size;
	return read_end_blob(r, false, seen_bit(entry->type), entry->digest, e);
}

int read_on_blob(struct archive_reader *r, struct cbor_reader *in,
		 struct archive_entry *entry, struct err *e)
{
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 2 ||
	    cbor_read_uint(in, &entry->type) || cbor_read_digest(in, entry->digest) ||
	    !cbor_done(in) || !seen_bit(entry->type))
		return read_bad(e, "a blob without a name");
	struct content c = {.type = CONTENT_FILE};
	memcpy(c.digest, entry->digest, DIGEST_SIZE);
	uint8_t before = seen_bits(&r->seen, entry->digest);
	if (before & (seen_bit(entry->type) | SEEN_ABSENT) || !seen_is_named(&c) ||
	    (entry->type == CONTENT_FILE && before & SEEN_BLOB))
		return read_bad(e, "a blob that comes twice, or has no bytes");
	r->blob_bytes = 0;
	entry->kind = ARCHIVE_BLOB;
	if (entry->type != CONTENT_FILE)
		return read_container(r, entry, e);
	memcpy(r->digest, entry->digest, DIGEST_SIZE);
	r->in_blob = true;
	r->verify = false;
	r->piece_left = 0;
	r->next.size = 0;
	return 0;
}

int read_on_absent(struct archive_reader *r, struct cbor_reader *in, struct err *e)
{
	uint8_t digest[DIGEST_SIZE];
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 1 || cbor_read_digest(in, digest) ||
	    !cbor_done(in))
		return read_bad(e, "an absent blob without a name");
	if (seen_bits(&r->seen, digest) & (SEEN_BLOB | SEEN_ABSENT))
		return read_bad(e, "an absent blob that is there, or comes twice");
	r->counts.absent++;
	return read_mark(r, digest, SEEN_ABSENT, e);
}

/* A text behind those in r->text; its place there. */
static int keep_text(struct archive_reader *r, struct cbor_reader *in, size_t *placep)
{
	const char *text;
	size_t size;
	if (cbor_read_text(in, &text, &size))
		return 1;
	*placep = r->text.size;
	buf_add(&r->text, text, size);
	buf_add_byte(&r->text, 0);
	return r->text.failed;
}

static int read_tags(struct archive_reader *r, struct cbor_reader *in,
		     struct archive_entry *entry)
{
	size_t places[READ_TAGS_MAX][2];
	uint64_t count, two;
	buf_reset(&r->text);
	if (cbor_read_array(in, &count) || count > READ_TAGS_MAX)
		return 1;
	for (uint64_t i = 0; i < count; i++)
		if (cbor_read_array(in, &two) || two != 2 ||
		    keep_text(r, in, &places[i][0]) || keep_text(r, in, &places[i][1]))
			return 1;
	for (uint64_t i = 0; i < count; i++) {
		r->tags[i].key = (const char *)r->text.data + places[i][0];
		r->tags[i].value = (const char *)r->text.data + places[i][1];
		if (!*r->tags[i].key)
			return 1;
	}
	entry->tags = r->tags;
	entry->tag_count = count;
	return 0;
}

static int check_commit(struct archive_reader *r, const struct archive_entry *entry,
			struct err *e)
{
	uint8_t hash[DIGEST_SIZE];
	buf_reset(&r->arena);
	buf_reset(&r->again);
	if (commit_decode(entry->data, entry->size, &r->commit, &r->arena))
		return read_bad(e, "a record that is no commit");
	commit_encode(&r->again, &r->commit);
	if (r->again.failed)
		return read_no_memory(e);
	if (r->again.size != entry->size ||
	    memcmp(r->again.data, entry->data, entry->size) != 0)
		return read_bad(e, "a commit that is not in its canonical form");
	sha256_digest(entry->data, entry->size, hash);
	if (memcmp(hash, entry->digest, DIGEST_SIZE) != 0)
		return read_bad(e, "a commit that is not what its hash says");
	if (seen_bits(&r->seen, hash) & SEEN_COMMIT)
		return read_bad(e, "a commit that comes twice");
	int rc = archive_refs_of_commit(&r->commit, true, check_ref, r);
	if (rc < 0)
		return read_bad(e, "a commit whose arguments are malformed");
	if (rc)
		return read_bad(e, "a commit names a blob that did not come before it");
	return 0;
}

int read_on_commit(struct archive_reader *r, struct cbor_reader *in,
		   struct archive_entry *entry, struct err *e)
{
	const uint8_t *body;
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 4 ||
	    cbor_read_bytes(in, &body, &entry->size) ||
	    cbor_read_digest(in, entry->digest) || cbor_read_bool(in, &entry->current) ||
	    read_tags(r, in, entry) || !cbor_done(in))
		return read_bad(e, "a malformed commit");
	entry->kind = ARCHIVE_COMMIT;
	entry->data = body;
	int rc = check_commit(r, entry, e);
	if (rc)
		return rc;
	if (entry->current && r->commit.status != COMMIT_COMPLETED)
		return read_bad(e, "a failure that is current");
	entry->commit = &r->commit;
	r->counts.commits++;
	return read_mark(r, entry->digest, SEEN_COMMIT, e);
}

int read_on_pin(struct archive_reader *r, struct cbor_reader *in,
		struct archive_entry *entry, struct err *e)
{
	size_t place;
	uint64_t count;
	buf_reset(&r->text);
	if (cbor_read_array(in, &count) || count != 3 || keep_text(r, in, &place) ||
	    cbor_read_digest(in, entry->digest) || cbor_read_uint(in, &entry->wall_ms) ||
	    !cbor_done(in))
		return read_bad(e, "a malformed pin");
	entry->name = (const char *)r->text.data;
	if (!names_valid(entry->name, true))
		return read_bad(e, "a pin whose name cannot be one");
	if (!(seen_bits(&r->seen, entry->digest) & SEEN_COMMIT))
		return read_bad(e, "a pin of a commit that did not come before it");
	entry->kind = ARCHIVE_PIN;
	r->counts.pins++;
	return 0;
}

int read_on_manifest(struct archive_reader *r, struct cbor_reader *in, struct err *e)
{
	struct archive_counts said;
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 5 ||
	    cbor_read_uint(in, &said.commits) || cbor_read_uint(in, &said.blobs) ||
	    cbor_read_uint(in, &said.absent) || cbor_read_uint(in, &said.pins) ||
	    cbor_read_uint(in, &said.bytes) || !cbor_done(in) || r->has_manifest)
		return read_bad(e, "a malformed manifest");
	if (memcmp(&said, &r->counts, sizeof said) != 0)
		return read_bad(e, "its manifest tells of other things than are in it");
	r->has_manifest = true;
	return 0;
}

int read_on_end(struct archive_reader *r, const uint8_t digest[DIGEST_SIZE],
		struct cbor_reader *in, struct archive_entry *entry, struct err *e)
{
	uint8_t said[DIGEST_SIZE], byte;
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 1 || cbor_read_digest(in, said) ||
	    !cbor_done(in) || !r->has_manifest)
		return read_bad(e, "a malformed end");
	if (memcmp(said, digest, DIGEST_SIZE) != 0)
		return read_bad(e, "it was changed since it was written");
	if (r->at < r->end || r->input(r->arg, &byte, 1) != 0)
		return read_bad(e, "there is more behind its end");
	entry->kind = ARCHIVE_FINISHED;
	return 0;
}

int read_on_head(struct archive_reader *r, struct cbor_reader *in, struct err *e)
{
	uint64_t count, wall_ms;
	size_t place;
	buf_reset(&r->text);
	if (cbor_read_array(in, &count) || count != 2 || cbor_read_uint(in, &wall_ms) ||
	    keep_text(r, in, &place) || !cbor_done(in))
		return read_bad(e, "a malformed beginning");
	return 0;
}
