/* reader_tags.c - batches and imported commits by tag. */
#include "broker/ledger/reader.h"
#include "broker/ledger/tags.h"

#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int begin(struct reader_list *list, struct ledger_reader *r, enum tag_of of,
		 const char *key, const char *value, uint64_t before)
{
	uint8_t hash[TAG_KEY_SIZE];
	tag_key(hash, of, key, strlen(key), value, value ? strlen(value) : 0);
	int err = reader_list_begin(list, r, GAP_TAG, hash, before);
	if (err)
		reader_list_end(list);
	return err;
}

int ledger_each_tagged_batch(struct ledger_reader *r, const char *key, const char *value,
			     uint64_t before,
			     int (*fn)(void *arg, const struct ledger_batch_row *row),
			     void *arg)
{
	struct reader_list list;
	struct ledger_batch_row row;
	uint64_t batch;
	int err = begin(&list, r, TAG_OF_BATCH, key, value, before), next = 0;
	if (err)
		return err;
	while (!err && !(next = reader_list_next(&list, &batch))) {
		int none = ledger_read_batch(r, batch, &row);
		if (none < 0)
			err = none;
		else if (!none && row.sealed)
			err = fn(arg, &row);
	}
	reader_list_end(&list);
	return err ? err : next < 0 ? next : 0;
}

int ledger_read_tags(struct ledger_reader *r, uint64_t seq, struct buf *arena,
		     struct ledger_tag **tagsp, size_t *countp)
{
	sqlite3_stmt *s = reader_stmt(r, R_COMMIT_TAGS);
	int rc = reader_enter(r), damaged = 0;
	*tagsp = NULL;
	*countp = 0;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)seq);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		damaged = tags_unpack(sqlite3_column_blob(s, 0),
				      (size_t)sqlite3_column_bytes(s, 0), arena, tagsp,
				      countp);
	sqlite3_reset(s);
	reader_leave(r);
	if (arena->failed)
		return -ENOMEM;
	if (damaged)
		log_error("row found damaged", "kind=tags seq=%" PRIu64, seq);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : reader_errno(r, r->meta, rc);
}

/* is_tagged() - Return: 1 yes, 0 no, negative errno. */
static int is_tagged(struct ledger_reader *r, uint64_t seq, const char *key,
		     const char *value)
{
	CLEANUP_BUF struct buf arena = {0};
	struct ledger_tag *tags;
	size_t count;
	int err = ledger_read_tags(r, seq, &arena, &tags, &count);
	for (size_t i = 0; i < count && !err; i++)
		if (strcmp(tags[i].key, key) == 0 &&
		    (!value || strcmp(tags[i].value, value) == 0))
			return 1;
	return err;
}

int ledger_each_tagged_import(struct ledger_reader *r, const char *key, const char *value,
			      uint64_t before, ledger_commit_fn *fn, void *arg)
{
	struct reader_list list;
	struct ledger_commit_row row;
	CLEANUP_BUF struct buf body = {0};
	uint64_t seq;
	int err = begin(&list, r, TAG_OF_COMMIT, key, value, before), next = 0;
	if (err)
		return err;
	while (!err && !(next = reader_list_next(&list, &seq))) {
		int found = is_tagged(r, seq, key, value);
		buf_reset(&body);
		int none = found == 1 ? ledger_read_commit_row(r, seq, &body, &row) : 1;
		if (found < 0 || none < 0)
			err = found < 0 ? found : none;
		else if (!none)
			err = fn(arg, &row);
	}
	reader_list_end(&list);
	return err ? err : next < 0 ? next : 0;
}
