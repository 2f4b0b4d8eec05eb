/* reader_commits.c - walks over commits: by number, by name, by fingerprint. Rows are copied out a page
 * at a time, verified, and given to the callback between the statements. Candidates of a list count
 * only if their row says so. */
#include "broker/ledger/impl.h"
#include "broker/ledger/pack.h"
#include "broker/ledger/reader.h"
#include "broker/ledger/reader_use.h"
#include "broker/ledger/tags.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PAGE 24 /* what is asked for most is the newest few */
#define PAGE_ROWS 256
#define PAGE_BYTES (1u << 20) /* no more rows than it takes to pass this */

struct page {
	struct ledger_commit_row *rows; /* body: offset in @bodies until all are there */
	size_t count;
	struct buf bodies;
};

/* keep_row() - columns as in ROW_COLUMNS of reader.c. */
static void keep_row(sqlite3_stmt *s, struct ledger_commit_row *row, struct buf *bodies)
{
	uint8_t digest[DIGEST_SIZE];
	const void *body = sqlite3_column_blob(s, 2);
	size_t size = (size_t)sqlite3_column_bytes(s, 2);
	*row = (struct ledger_commit_row){
		.seq = (uint64_t)sqlite3_column_int64(s, 0),
		.last_used_ms = (uint64_t)sqlite3_column_int64(s, 3),
		.hits = (uint64_t)sqlite3_column_int64(s, 4),
	};
	bool whole = sqlite3_column_bytes(s, 1) == DIGEST_SIZE && size;
	if (sqlite3_column_bytes(s, 1) == DIGEST_SIZE)
		memcpy(row->hash, sqlite3_column_blob(s, 1), DIGEST_SIZE);
	if (whole) {
		sha256_digest(body, size, digest);
		whole = memcmp(row->hash, digest, DIGEST_SIZE) == 0;
	}
	if (!whole) {
		log_error("commit found damaged", "seq=%" PRIu64, row->seq);
		return;
	}
	row->size = size; /* 0: damaged */
	buf_add(bodies, body, size);
}

/* read_page() - up to @max rows behind @from. Return: 0 or negative errno. */
static int read_page(struct ledger_reader *r, enum reader_stmt which, uint64_t from,
		     size_t max, struct page *page)
{
	sqlite3_stmt *s = reader_stmt(r, which);
	int rc = reader_enter(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	page->count = 0;
	buf_reset(&page->bodies);
	sqlite3_bind_int64(s, 1, (int64_t)from);
	if (which != R_ROW)
		sqlite3_bind_int64(s, 2, (int64_t)max);
	while (page->count < max && page->bodies.size < PAGE_BYTES &&
	       (rc = sqlite3_step(s)) == SQLITE_ROW)
		keep_row(s, &page->rows[page->count++], &page->bodies);
	sqlite3_reset(s);
	reader_leave(r);
	if (page->bodies.failed)
		return -ENOMEM;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return reader_errno(r, r->meta, rc);
	size_t at = 0;
	for (size_t i = 0; i < page->count; i++) {
		struct ledger_commit_row *row = &page->rows[i];
		row->body = row->size ? page->bodies.data + at : NULL;
		at += row->size;
	}
	return 0;
}

int ledger_read_commit_row(struct ledger_reader *r, uint64_t seq, struct buf *body,
			   struct ledger_commit_row *row)
{
	struct ledger_commit_row found;
	struct page page = {.rows = &found};
	int err = read_page(r, R_ROW, seq, 1, &page);
	if (!err && (!page.count || !found.body))
		err = 1;
	size_t at = body->size;
	if (!err)
		buf_add(body, found.body, found.size);
	if (!err && body->failed)
		err = -ENOMEM;
	if (!err) {
		*row = found;
		row->body = body->data + at;
	}
	buf_fini(&page.bodies);
	return err;
}

static int give_page(const struct page *page, unsigned walk, const struct use_rest *rest,
		     ledger_commit_fn *fn, void *arg)
{
	for (size_t i = 0; i < page->count; i++) {
		struct ledger_commit_row *row = &page->rows[i];
		use_rest_add(rest, row);
		if (!row->body && !(walk & LEDGER_DAMAGED_TOO))
			continue;
		int stop = fn(arg, row);
		if (stop)
			return stop;
	}
	return 0;
}

int ledger_each_commit(struct ledger_reader *r, unsigned walk, uint64_t from,
		       ledger_commit_fn *fn, void *arg)
{
	bool up = walk & LEDGER_OLDEST_FIRST;
	struct use_rest rest = {0};
	struct page page = {.rows = mem_alloc(PAGE_ROWS * sizeof *page.rows)};
	size_t max = FIRST_PAGE;
	int err = walk & LEDGER_WITH_USE ? use_rest_read(&rest, r) : 0;
	if (!up && !from)
		from = INT64_MAX;
	while (!err) {
		err = read_page(r, up ? R_NEWER : R_OLDER, from, max, &page);
		if (err || !page.count)
			break;
		from = page.rows[page.count - 1].seq;
		err = give_page(&page, walk, &rest, fn, arg);
		max = PAGE_ROWS;
	}
	use_rest_fini(&rest);
	buf_fini(&page.bodies);
	free(page.rows);
	return err;
}

/* ---- by name, by fingerprint ---- */

struct filter {
	const char *name;   /* or: */
	const char *called; /* as ledger_name_fits() says; or: */
	const uint8_t *key; /* fingerprint */
	struct buf arena;
};

static bool passes(struct filter *f, const struct ledger_commit_row *row)
{
	struct commit c;
	uint8_t key[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	buf_reset(&f->arena);
	if (commit_decode(row->body, row->size, &c, &f->arena))
		return false;
	if (f->name)
		return strcmp(c.name, f->name) == 0;
	if (f->called)
		return ledger_name_fits(c.name, f->called);
	sha256_digest(c.args, c.args_size, args_hash);
	pack_fingerprint(key, c.func_hash, args_hash);
	return memcmp(key, f->key, DIGEST_SIZE) == 0;
}

bool ledger_name_fits(const char *name, const char *wanted)
{
	const char *called = name_called(name);
	return !strcmp(name, wanted) || (called && !strcmp(called + 1, wanted));
}

struct lists { /* candidates of one or two lists, newest first */
	struct reader_list list[2];
	uint64_t seq[2]; /* the next one of each; 0: it has ended, or is none */
};

static int lists_next(struct lists *l, size_t number)
{
	int err = reader_list_next(&l->list[number], &l->seq[number]);
	if (err)
		l->seq[number] = 0;
	return err < 0 ? err : 0;
}

/* each_of_lists() - rows of the candidates that pass. Ends the lists. */
static int each_of_lists(struct lists *l, size_t count, struct filter *f,
			 ledger_commit_fn *fn, void *arg)
{
	CLEANUP_BUF struct buf body = {0};
	struct ledger_commit_row row;
	int err = 0;
	for (size_t i = 0; i < count && !err; i++)
		err = lists_next(l, i);
	while (!err && (l->seq[0] || l->seq[1])) {
		size_t newer = l->seq[1] > l->seq[0];
		uint64_t seq = l->seq[newer];
		buf_reset(&body);
		int none = ledger_read_commit_row(l->list[newer].r, seq, &body, &row);
		if (none < 0)
			err = none;
		else if (!none && passes(f, &row)) /* not removed, not a namesake's */
			err = fn(arg, &row);
		for (size_t i = 0; i < count && !err; i++)
			if (l->seq[i] == seq)
				err = lists_next(l, i);
	}
	buf_fini(&f->arena);
	for (size_t i = 0; i < count; i++)
		reader_list_end(&l->list[i]);
	return err;
}

static int each_of_list(struct reader_list *list, struct filter *f, ledger_commit_fn *fn,
			void *arg)
{
	struct lists l = {.list = {*list}};
	return each_of_lists(&l, 1, f, fn, arg);
}

int ledger_each_called(struct ledger_reader *r, const char *wanted, uint64_t before,
		       ledger_commit_fn *fn, void *arg)
{
	struct filter f = {.called = wanted};
	struct lists l = {0};
	CLEANUP_BUF struct buf called = {0};
	uint8_t key[TAG_KEY_SIZE];
	name_key(key, wanted);
	int err = reader_list_begin(&l.list[0], r, GAP_NAME, key, before);
	buf_printf(&called, ":%s", wanted);
	name_key(key, buf_cstr(&called));
	if (!err)
		err = reader_list_begin(&l.list[1], r, GAP_NAME, key, before);
	if (!err)
		return each_of_lists(&l, 2, &f, fn, arg);
	reader_list_end(&l.list[0]);
	reader_list_end(&l.list[1]);
	return err;
}

int ledger_each_named(struct ledger_reader *r, const char *name, uint64_t before,
		      ledger_commit_fn *fn, void *arg)
{
	struct filter f = {.name = name};
	struct reader_list list;
	uint8_t key[TAG_KEY_SIZE];
	name_key(key, name);
	int err = reader_list_begin(&list, r, GAP_NAME, key, before);
	if (!err)
		return each_of_list(&list, &f, fn, arg);
	reader_list_end(&list);
	return err;
}

/* add_current() - those that are, or are hidden by a newer one that is not in index.db yet. */
static int add_current(struct reader_list *list, const uint8_t key[DIGEST_SIZE])
{
	struct ledger_reader *r = list->r;
	struct gap_entry entry;
	if (r->ledger) {
		gap_fingerprints(&r->ledger->gap, key, &list->gap);
	} else {
		const struct gap_entry *found =
			gap_layer_find(r->layer, GAP_FINGERPRINT, key);
		if (found && !found->gone)
			reader_list_add(list, found->seq);
	}
	if (!r->index)
		return 0;
	int err = reader_lookup_index(r, GAP_FINGERPRINT, key, &entry);
	if (!err)
		reader_list_add(list, entry.seq);
	return err < 0 ? err : 0;
}

int ledger_each_run(struct ledger_reader *r, const uint8_t func_hash[DIGEST_SIZE],
		    const uint8_t args_hash[DIGEST_SIZE], ledger_commit_fn *fn, void *arg)
{
	uint8_t key[DIGEST_SIZE];
	struct filter f = {.key = key};
	struct reader_list list;
	pack_fingerprint(key, func_hash, args_hash);
	int err = reader_list_begin(&list, r, GAP_RUN, key, 0);
	if (!err)
		err = add_current(&list, key);
	if (err) {
		reader_list_end(&list);
		return err;
	}
	return each_of_list(&list, &f, fn, arg);
}
