/* fuzz_archive.c - archives of strangers. What the reader gives out is what it says: content within its
 * bounds, commits that are canonical, names that are names. A file is also read through a keyhole, a
 * few bytes at a time: that must make no difference. */
#include "client/archive/read.h"
#include "common/names.h"
#include "common/pure/sha256.h"
#include "tests/fuzz/fuzz.h"

#define UNPACKED_MAX (8u << 20)

struct input {
	const uint8_t *data;
	size_t size, at, step;
};

static int64_t give(void *arg, void *out, size_t size)
{
	struct input *in = arg;
	size_t left = in->size - in->at;
	size = size < in->step ? size : in->step;
	size = size < left ? size : left;
	memcpy(out, in->data + in->at, size);
	in->at += size;
	return (int64_t)size;
}

struct outcome {
	int code;
	uint64_t entries, bytes;
	uint8_t digest[DIGEST_SIZE]; /* of all that came out */
};

static int read_content(struct archive_reader *r, struct outcome *o, struct sha256 *sha,
			struct err *e)
{
	const void *data;
	size_t size = 1;
	bool is_void = false;
	int rc = 0;
	while (!rc && size) {
		rc = archive_read_content(r, 1000, &data, &size, &is_void, e);
		must(rc || size <= 1000);
		if (!rc && size) {
			sha256_update(sha, data, size);
			o->bytes += size;
		}
	}
	return rc;
}

static void check(const struct archive_entry *entry, struct sha256 *sha)
{
	CLEANUP_BUF struct buf again = {0};
	uint8_t hash[DIGEST_SIZE];
	if (entry->data) {
		sha256_update(sha, entry->data, entry->size);
		sha256_digest(entry->data, entry->size, hash);
		must(memcmp(hash, entry->digest, DIGEST_SIZE) == 0);
	}
	if (entry->kind == ARCHIVE_COMMIT) {
		commit_encode(&again, entry->commit);
		must_be_canonical(&again, entry->data, entry->size);
		for (size_t i = 0; i < entry->tag_count; i++)
			must(entry->tags[i].key[0] && strlen(entry->tags[i].value) + 1);
	}
	must(entry->kind != ARCHIVE_PIN || names_valid(entry->name, true));
}

static struct outcome read_all(const uint8_t *data, size_t size, size_t step, bool skip)
{
	struct input in = {.data = data, .size = size, .step = step};
	struct archive_reader *r = archive_reader_new(give, &in, UNPACKED_MAX);
	struct archive_entry entry = {0};
	struct outcome o = {0};
	struct sha256 sha;
	struct err e = {0};
	must(r != NULL);
	sha256_init(&sha);
	while (!o.code && entry.kind != ARCHIVE_FINISHED) {
		o.code = archive_read(r, &entry, &e);
		if (o.code)
			break;
		o.entries++;
		check(&entry, &sha);
		if (entry.kind != ARCHIVE_BLOB || entry.type != CONTENT_FILE || skip)
			continue;
		archive_read_verify(r);
		o.code = read_content(r, &o, &sha, &e);
	}
	must(!o.code || (e.code && e.what[0]));
	must(archive_read_counts(r)->bytes <= UNPACKED_MAX + 1000 * size + (1u << 20));
	sha256_final(&sha, o.digest);
	archive_reader_free(r);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole = read_all(data, size, size + 1, false);
	struct outcome pieces = read_all(data, size, 7, false);
	struct outcome skipped = read_all(data, size, size + 1, true);
	must(whole.code == pieces.code && whole.entries == pieces.entries &&
	     whole.bytes == pieces.bytes &&
	     memcmp(whole.digest, pieces.digest, DIGEST_SIZE) == 0);
	must(whole.code == skipped.code);
	return 0;
}
