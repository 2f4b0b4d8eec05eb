/* commits.c - CommitsQuery: the history, newest first.
 *
 * What is walked depends on what is asked for, so that no condition costs a look at everything:
 *   a batch, a tag   its tasks (of all batches with the tag, by the index) name commits: those
 *   a name           the commits of that name, by the index
 *   otherwise        the journal from its end
 * Other conditions are checked on each. A page ends after LOOKS commits even if it is empty: nobody
 * else waits long for their answer. An export (`bodies`) goes the other way, oldest first, so that what
 * was made later gets the higher number where it is imported; it looks at all. `since` ends a walk at the first commits that are older, but for
 * imported ones, which may be of any age. */
#include "broker/history/parts.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define LOOKS 20000
#define ROWS_MAX 4096
#define OLDER_MAX                                                                        \
	16 /* commits of our own in a row that are older than what is asked for */
#define OLDER_MS (3600u * 1000) /* by at least this much: clocks are set back */
#define TOLD 16
enum { ENVELOPE_COMMITS_PAGE = 61 };

struct found_one {
	uint64_t seq;	/* of the commit */
	uint64_t batch; /* number, 0: imported, found by its own tags */
	uint32_t index;
};

struct found { /* by the tasks of batches; newest first, each commit once */
	uint8_t key[DIGEST_SIZE]; /* of the conditions */
	struct found_one *items;
	size_t count, room;
};

struct walk {
	struct history *h;
	const Cashet__CommitsQuery *query;
	struct history_tags tags;
	struct buf *out;
	uint32_t max, rows, looks, older;
	uint64_t last; /* number of the commit that was looked at last */
	bool full;
	uint8_t told[TOLD]
		    [DIGEST_SIZE]; /* functions whose descriptions are in the page */
	unsigned told_next;
	/* while looking for commits in batches: */
	struct found *found;
};

void found_free(struct found *f)
{
	if (f)
		free(f->items);
	free(f);
}

/* ---- one commit ---- */

/* Of our own, and older than what is asked for? Then what was made before is, too. */
static bool is_beyond(struct walk *w, const struct history_commit *c)
{
	struct ledger_batch_row row;
	if (c->c.ended_wall_ms + OLDER_MS >= w->query->since_wall_ms ||
	    history_batch_of(w->h, c->c.batch, &row)) {
		w->older = 0;
		return false;
	}
	return ++w->older >= OLDER_MAX;
}

static bool fits(const struct walk *w, const struct commit *c)
{
	const Cashet__CommitsQuery *q = w->query;
	if (*q->func && !ledger_name_fits(c->name, q->func))
		return false;
	if (q->status && (q->status == 2) != (c->status == COMMIT_FAILED))
		return false;
	return c->ended_wall_ms >= q->since_wall_ms;
}

/* What a row says beside what all rows say. */
static unsigned row_flags(struct walk *w, const struct commit *c)
{
	if (!w->query->bodies)
		return 0;
	for (unsigned i = 0; i < TOLD; i++)
		if (memcmp(w->told[i], c->func_hash, DIGEST_SIZE) == 0)
			return HISTORY_ROW_CURRENT | HISTORY_ROW_BODY;
	memcpy(w->told[w->told_next++ % TOLD], c->func_hash, DIGEST_SIZE);
	return HISTORY_ROW_CURRENT | HISTORY_ROW_BODY | HISTORY_ROW_FUNCTION;
}

static bool is_enough(struct walk *w)
{
	w->full = w->rows >= w->max || w->looks >= LOOKS || w->out->size >= PAGE_BYTES;
	return w->full;
}

/* Return: 0 go on; 1 enough for this page; 2 nothing more can come. */
static int take(struct walk *w, const struct history_commit *c,
		const struct history_via *via)
{
	w->looks++;
	w->last = c->row.seq;
	if (fits(w, &c->c)) {
		if (w->query->current && !history_is_current(w->h, c))
			return is_enough(w);
		history_add_row(w->h, w->out, 1, c, via, row_flags(w, &c->c));
		w->rows++;
	} else if (w->query->since_wall_ms && !w->query->bodies && is_beyond(w, c)) {
		return 2;
	}
	return is_enough(w);
}

static int take_row(void *arg, const struct ledger_commit_row *row)
{
	struct walk *w = arg;
	CLEANUP_BUF struct buf arena = {0};
	struct history_commit c = {.row = *row};
	if (commit_decode(row->body, row->size, &c.c, &arena))
		return 0;
	return take(w, &c, NULL);
}

/* ---- commits by the tasks of batches ---- */

static void add_found(struct found *f, uint64_t seq, uint64_t batch, uint32_t index)
{
	if (!seq)
		return;
	mem_grow(f->items, f->count, f->room);
	f->items[f->count++] =
		(struct found_one){.seq = seq, .batch = batch, .index = index};
}

/* Which functions of the batch fulfil the conditions on tags. NULL: none does. */
static bool *fitting_functions(struct walk *w, struct specs *s, uint32_t *countp)
{
	uint32_t count = *countp = specs_count_functions(s), fitting = 0, options;
	bool *fit = mem_alloc(count + 1);
	size_t size, info_size;
	const uint8_t *info = specs_batch_info(s, &info_size);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *function = specs_function(s, i, &size, &options);
		fit[i] = tags_fit(&w->tags, function, size, info, info_size);
		fitting += fit[i];
	}
	if (fitting)
		return fit;
	free(fit);
	return NULL;
}

static int look_into(void *arg, const struct ledger_batch_row *row)
{
	struct walk *w = arg;
	const struct ends *ends = history_ends(w->h, row);
	struct specs *s = w->tags.count ? history_specs(w->h, row) : NULL;
	uint32_t count = 0;
	CLEANUP_FREE bool *fit = s ? fitting_functions(w, s, &count) : NULL;
	struct specs_task task;
	if (w->tags.count && !fit)
		return 0;
	for (uint32_t i = 0; i < ends->count; i++) {
		if (!ends->items[i].commit)
			continue;
		if (s && (specs_task(s, i, &task) || task.function >= count ||
			  !fit[task.function]))
			continue;
		add_found(w->found, ends->items[i].commit, row->batch.batch, i);
	}
	return 0;
}

static bool import_fits(const struct walk *w, const struct ledger_tag *tags, size_t count)
{
	for (size_t i = 0; i < w->tags.count; i++) {
		const char *value = tags_value(&w->tags, i);
		size_t k = 0;
		while (k < count && (strcmp(tags[k].key, w->tags.pairs[i]->key) ||
				     (value && strcmp(tags[k].value, value))))
			k++;
		if (k == count)
			return false;
	}
	return true;
}

static int look_at_import(void *arg, const struct ledger_commit_row *row)
{
	struct walk *w = arg;
	CLEANUP_BUF struct buf arena = {0};
	struct ledger_tag *tags;
	size_t count = 0;
	if (!ledger_read_tags(history_reader(w->h), row->seq, &arena, &tags, &count) &&
	    import_fits(w, tags, count))
		add_found(w->found, row->seq, 0, 0);
	return 0;
}

/* Newest commit first; of one commit the task that made or hit it first comes first. */
static int cmp_found(const void *a, const void *b)
{
	const struct found_one *x = a, *y = b;
	if (x->seq != y->seq)
		return x->seq > y->seq ? -1 : 1;
	if (x->batch != y->batch)
		return x->batch < y->batch ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void settle(struct found *f)
{
	size_t count = 0;
	if (f->count)
		qsort(f->items, f->count, sizeof *f->items, cmp_found);
	for (size_t i = 0; i < f->count; i++)
		if (!count || f->items[count - 1].seq != f->items[i].seq)
			f->items[count++] = f->items[i];
	f->count = count;
}

static int search(struct walk *w, struct err *e)
{
	const Cashet__CommitsQuery *q = w->query;
	struct ledger_reader *r = history_reader(w->h);
	struct ledger_batch_row row;
	int rc = 0;
	if (q->has_batch) {
		rc = history_find_batch(r, q->batch, &row, e);
		return rc ? rc : look_into(w, &row);
	}
	const char *key = w->tags.pairs[0]->key, *value = tags_value(&w->tags, 0);
	rc = ledger_each_tagged_batch(r, key, value, 0, look_into, w);
	if (rc == 0)
		rc = ledger_each_tagged_import(r, key, value, 0, look_at_import, w);
	return rc ? err_set(e, ERR_FAILED, "the store cannot be read: %s", strerror(-rc))
		  : 0;
}

/* The same question for its next page? What is found is kept until another one is asked. */
static void make_key(const Cashet__CommitsQuery *query, uint8_t key[DIGEST_SIZE])
{
	Cashet__CommitsQuery bare = *query;
	bare.before = bare.max = 0;
	size_t size = cashet__commits_query__get_packed_size(&bare);
	CLEANUP_FREE uint8_t *packed = mem_alloc(size + 1);
	cashet__commits_query__pack(&bare, packed);
	sha256_digest(packed, size, key);
}

static int get_found(struct walk *w, struct err *e)
{
	struct history *h = w->h;
	uint8_t key[DIGEST_SIZE];
	make_key(w->query, key);
	if (w->query->before && h->found && !memcmp(h->found->key, key, DIGEST_SIZE)) {
		w->found = h->found;
		return 0;
	}
	found_free(steal(h->found));
	struct found *f = w->found = mem_alloc(sizeof *f);
	memcpy(f->key, key, DIGEST_SIZE);
	int rc = search(w, e);
	settle(f);
	h->found = f;
	return rc;
}

static int take_found(struct walk *w, const struct found_one *one)
{
	struct history_commit c;
	struct history_via via = {.index = one->index};
	w->last = one->seq;
	if (history_read(w->h, one->seq, &c))
		return 0;
	if (one->batch && ledger_read_batch(history_reader(w->h), one->batch, &via.batch))
		via.batch.batch.batch = 0;
	int rc = take(w, &c, &via);
	history_commit_fini(&c);
	return rc;
}

static void walk_found_back(struct walk *w)
{
	for (size_t i = w->found->count; i-- > 0;)
		if (w->found->items[i].seq > w->query->before &&
		    take_found(w, &w->found->items[i]))
			break;
}

static int walk_found(struct walk *w, struct err *e)
{
	int rc = get_found(w, e);
	if (rc)
		return rc;
	if (w->query->bodies) {
		walk_found_back(w);
		return 0;
	}
	for (size_t i = 0; i < w->found->count; i++) {
		if (w->query->before && w->found->items[i].seq >= w->query->before)
			continue;
		if (take_found(w, &w->found->items[i]))
			break;
	}
	return 0;
}

/* ---- the question ---- */

static int walk_journal(struct walk *w, struct err *e)
{
	const Cashet__CommitsQuery *q = w->query;
	struct ledger_reader *r = history_reader(w->h);
	int rc = q->bodies  ? ledger_each_commit(r, LEDGER_OLDEST_FIRST, q->before,
						 take_row, w)
		 : *q->func ? ledger_each_called(r, q->func, q->before, take_row, w)
			    : ledger_each_commit(r, LEDGER_NEWEST_FIRST, q->before,
						 take_row, w);
	return rc < 0 ? err_set(e, ERR_FAILED, "the store cannot be read: %s",
				strerror(-rc))
		      : 0;
}

int history_commits(struct history *h, const Cashet__Envelope *question,
		    const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__CommitsQuery *q = question->commits_query;
	struct walk w = {.h = h, .query = q, .out = out};
	w.max = q->max && q->max < ROWS_MAX ? q->max : ROWS_MAX;
	w.tags = (struct history_tags){.count = q->n_tags,
				       .pairs = q->tags,
				       .any_value = q->any_value,
				       .any_value_count = q->n_any_value};
	size_t mark = pb_open(out, ENVELOPE_COMMITS_PAGE);
	int rc = q->has_batch || q->n_tags ? walk_found(&w, e) : walk_journal(&w, e);
	if (rc)
		return rc;
	pb_uint(out, 2, w.full ? w.last : 0);
	pb_close(out, mark);
	return 0;
}
