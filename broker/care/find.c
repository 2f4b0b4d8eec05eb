/* find.c - see find.h. Tags are compared byte by byte with those in the recorded chunks; the index only
 * says where to look, so no character in them means anything. */
#include "broker/care/find.h"

#include "broker/care/gc.h"
#include "broker/history/history.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>

#define CANDIDATES 8
#define CONTAINER_MAX (256u << 20)
#define STOP 1

/* ---- one commit ---- */

static int by_prefix(struct ledger_reader *r, const uint8_t *prefix, unsigned nibbles,
		     uint64_t *seqp, struct err *e)
{
	CLEANUP_BUF struct buf what = {0};
	uint64_t seqs[CANDIDATES];
	char hex[HEX_DIGEST_SIZE];
	size_t count = 0;
	int rc = ledger_find_commit(r, prefix, nibbles, seqs, CANDIDATES, &count);
	if (rc < 0)
		return care_broken(e, rc);
	*seqp = seqs[0];
	if (rc == 0)
		return 0;
	hex_encode(hex, prefix, (nibbles + 1) / 2);
	hex[nibbles] = '\0';
	if (rc == 1) {
		err_set(e, ERR_NOT_FOUND, "no commit begins with %s", hex);
		err_next(e, "cashet log lists them");
		return ERR_NOT_FOUND;
	}
	buf_printf(&what, "several commits begin with %s:", hex);
	for (size_t i = 0; i < count; i++) {
		CLEANUP_BUF struct buf body = {0};
		uint8_t hash[DIGEST_SIZE];
		if (!ledger_read_commit(r, seqs[i], &body, hash))
			buf_printf(&what, "\n  %s", hex_encode(hex, hash, DIGEST_SIZE));
	}
	err_set(e, ERR_AMBIGUOUS, "%s", buf_cstr(&what));
	err_next(e, "give more digits");
	return ERR_AMBIGUOUS;
}

struct looking {
	uint32_t index, status;
	uint64_t commit;
};

static int is_it(void *arg, const struct ledger_end *end)
{
	struct looking *l = arg;
	if (end->index != l->index)
		return 0;
	l->commit = end->commit;
	l->status = end->status;
	return 1;
}

static int by_task(struct ledger_reader *r, const Cashet__Target *t, uint64_t *seqp,
		   struct err *e)
{
	struct ledger_batch_row row;
	struct looking l = {.index = t->index};
	int rc = history_find_batch(r, t->batch, &row, e);
	if (rc)
		return rc;
	rc = ledger_each_end(r, row.batch.batch, is_it, &l);
	if (rc < 0)
		return care_broken(e, rc);
	*seqp = l.commit;
	if (l.commit)
		return 0;
	if (t->index >= row.task_count)
		return err_set(e, ERR_NOT_FOUND,
			       "the batch has no task %u: it has %u, from 0 on", t->index,
			       row.task_count);
	char hex[HEX_DIGEST_SIZE];
	hex_encode(hex, row.batch.id, DIGEST_SIZE);
	err_set(e, ERR_NOT_FOUND, "task %.8s:%u has no commit: it %s", hex, t->index,
		l.status == CORE_SKIPPED     ? "was skipped"
		: l.status == CORE_CANCELLED ? "was cancelled"
					     : "has not ended");
	err_next(e, "cashet why %.8s:%u", hex, t->index);
	return ERR_NOT_FOUND;
}

int find_target(struct ledger_reader *r, const Cashet__Target *t, uint64_t *seqp,
		struct err *e)
{
	uint8_t hash[DIGEST_SIZE] = {0};
	unsigned nibbles = (unsigned)(2 * t->prefix.len - (t->odd ? 1 : 0));
	if (t->is_task)
		return by_task(r, t, seqp, e);
	if (t->name[0]) {
		int rc = ledger_find_pin(r, t->name, hash);
		if (rc < 0)
			return care_broken(e, rc);
		if (!rc)
			return by_prefix(r, hash, 2 * DIGEST_SIZE, seqp, e);
		err_set(e, ERR_NOT_FOUND,
			"\"%s\" is neither a pin nor 4 or more digits of a hash",
			t->name);
		err_next(e, "cashet pins lists the pins, cashet log the commits");
		return ERR_NOT_FOUND;
	}
	if (t->prefix.len > DIGEST_SIZE || !t->prefix.len || nibbles < 4)
		return err_set(e, ERR_USAGE,
			       "a commit is named by 4 to 64 hexadecimal digits");
	memcpy(hash, t->prefix.data, t->prefix.len);
	return by_prefix(r, hash, nibbles, seqp, e);
}

/* ---- tags ---- */

struct tagged {
	struct care *care;
	const Cashet__RemoveRequest *request;
	struct set64 *seqs;
	/* of the batch that is looked at */
	uint8_t *fits; /* by task */
	uint32_t task_count;
	bool *functions; /* all of its functions so far: do their tags fit */
	size_t function_count, function_capacity;
	uint64_t imported; /* imported commits: how many of the tags fit */
	struct set64 *found;
	uint64_t round;
};

static bool has_tag(Cashet__Pair *const *tags, size_t count, const char *key,
		    const char *value)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(tags[i]->key, key) == 0 &&
		    (!value || strcmp(tags[i]->value, value) == 0))
			return true;
	return false;
}

static bool any_value(const Cashet__RemoveRequest *r, size_t tag)
{
	for (size_t i = 0; i < r->n_any_value; i++)
		if (r->any_value[i] == tag)
			return true;
	return false;
}

/* A task has its own tags and those of its batch, as for `log --tag`. */
static bool fits(const struct tagged *t, const Cashet__Function *f,
		 const Cashet__BatchInfo *info)
{
	const Cashet__RemoveRequest *r = t->request;
	for (size_t i = 0; i < r->n_tags; i++) {
		const char *key = r->tags[i]->key;
		const char *value = any_value(r, i) ? NULL : r->tags[i]->value;
		if (!has_tag(f->tags, f->n_tags, key, value) &&
		    (!info || !has_tag(info->tags, info->n_tags, key, value)))
			return false;
	}
	return true;
}

static int take_end(void *arg, const struct ledger_end *end)
{
	const struct tagged *t = arg;
	if (end->commit && end->index < t->task_count && t->fits[end->index])
		set64_put(t->seqs, end->commit, 0);
	return 0;
}

static void look_at_tasks(struct tagged *t, const Cashet__SubmitChunk *c, uint32_t *at)
{
	for (size_t i = 0; i < c->n_tasks && *at < t->task_count; i++, ++*at)
		t->fits[*at] = c->tasks[i]->function < t->function_count &&
			       t->functions[c->tasks[i]->function];
}

static int take_batch(void *arg, const struct ledger_batch_row *row)
{
	struct tagged *t = arg;
	CLEANUP_BUF struct buf data = {0}, first = {0};
	struct wire_arena arena;
	Cashet__SubmitChunk *c;
	uint32_t at = 0;
	if (care_stopped(t->care))
		return STOP;
	wire_arena_init(&arena); /* chunk 0 has the tags of the whole batch */
	const Cashet__SubmitChunk *head = NULL;
	if (!ledger_read_chunk(t->care->reader, row->batch.batch, 0, &first))
		head = wire_unpack_chunk(&arena, first.data, first.size);
	t->task_count = row->task_count;
	t->fits = mem_alloc((size_t)row->task_count + 1);
	t->function_count = 0;
	for (uint32_t i = 0; i < row->chunk_count; i++) {
		if (care_chunk(t->care, row->batch.batch, i, &data, &c))
			break;
		for (size_t k = 0; k < c->n_functions; k++) {
			mem_grow(t->functions, t->function_count, t->function_capacity);
			t->functions[t->function_count++] =
				fits(t, c->functions[k], head ? head->info : NULL);
		}
		look_at_tasks(t, c, &at);
	}
	int rc = ledger_each_end(t->care->reader, row->batch.batch, take_end, t);
	free(steal(t->fits));
	wire_arena_fini(&arena);
	return rc;
}

static int take_import(void *arg, const struct ledger_commit_row *row)
{
	struct tagged *t = arg;
	uint64_t before = 0;
	if (t->round && (!set64_get(t->found, row->seq, &before) || before != t->round))
		return 0;
	set64_put(t->found, row->seq, t->round + 1);
	if (t->round + 1 == t->request->n_tags)
		set64_put(t->seqs, row->seq, 0);
	return 0;
}

int find_tagged(struct care *care, const Cashet__RemoveRequest *request,
		struct set64 *seqs)
{
	struct set64 found = {0};
	struct tagged t = {
		.care = care, .request = request, .seqs = seqs, .found = &found};
	const char *value = any_value(request, 0) ? NULL : request->tags[0]->value;
	int rc = ledger_each_tagged_batch(care->reader, request->tags[0]->key, value, 0,
					  take_batch, &t);
	for (; !rc && t.round < request->n_tags; t.round++)
		rc = ledger_each_tagged_import(care->reader, request->tags[t.round]->key,
					       any_value(request, t.round)
						       ? NULL
						       : request->tags[t.round]->value,
					       0, take_import, &t);
	free(t.functions);
	set64_fini(&found);
	return rc;
}

/* ---- downstream ---- */

struct stream {
	struct care *care;
	struct set64 *seqs;
	struct set64 tainted; /* digests */
	struct set64 lists;   /* that were looked into: 1 if something in it is tainted */
	uint64_t root, lists_at;
	bool more, is_hit, is_member;
	struct buf arena, data;
};

static bool is_tainted(struct stream *s, const uint8_t *digest)
{
	return set64_has(&s->tainted, care_word(digest));
}

/* Does a list, folder or manifest have something of it? */
static bool is_in(struct stream *s, const struct content *c)
{
	uint64_t known = 0, key = care_word(c->digest);
	struct content_entries entries = {0};
	if (c->type != CONTENT_LIST && c->type != CONTENT_RESULT)
		return false;
	if (set64_get(&s->lists, key, &known) && (known & 1 || known >> 1 == s->lists_at))
		return known & 1;
	buf_reset(&s->data);
	bool hit = false;
	if (ledger_find_blob(s->care->reader, c->digest, &s->data) &&
	    cas_read(s->care->b->cas, c->digest, CONTAINER_MAX, &s->data))
		return false;
	for (size_t at = 0;
	     c->type == CONTENT_LIST && !hit && at + CONTENT_SIZE <= s->data.size;
	     at += CONTENT_SIZE)
		hit = is_tainted(s, s->data.data + at + 1);
	if (c->type == CONTENT_RESULT &&
	    !content_decode_result(s->data.data, s->data.size, &entries)) {
		for (size_t i = 0; i < entries.count; i++)
			hit |= is_tainted(s, entries.items[i].content.digest);
		content_entries_fini(&entries);
	}
	set64_put(&s->lists, key, s->lists_at << 1 | hit);
	return hit;
}

static void look_at_input(void *arg, char kind, const struct content *content)
{
	struct stream *s = arg;
	if (kind == 'i')
		s->is_hit |= is_tainted(s, content->digest) || is_in(s, content);
}

static void taint(void *arg, char kind, const struct content *content)
{
	static const uint8_t none[DIGEST_SIZE];
	struct stream *s = arg;
	if (kind != 'i' && memcmp(content->digest, sha256_empty, DIGEST_SIZE) != 0 &&
	    memcmp(content->digest, none, DIGEST_SIZE) != 0)
		s->more |= set64_put(&s->tainted, care_word(content->digest), 0);
}

static int take_stream(void *arg, const struct ledger_commit_row *row)
{
	struct stream *s = arg;
	struct commit c;
	if (care_stopped(s->care))
		return STOP;
	buf_reset(&s->arena);
	if (!row->body || commit_decode(row->body, row->size, &c, &s->arena))
		return 0;
	s->is_hit = row->seq == s->root || set64_has(s->seqs, row->seq);
	if (!s->is_hit)
		gc_commit_refs(&c, look_at_input, s);
	if (!s->is_hit)
		return 0;
	set64_put(s->seqs, row->seq, 0);
	/* What failed made nothing. */
	if (c.status == COMMIT_COMPLETED)
		gc_commit_refs(&c, taint, s);
	care_progress(s->care, "commits", row->seq, 0);
	return 0;
}

int find_downstream(struct care *care, uint64_t root, struct set64 *seqs)
{
	struct stream s = {.care = care, .seqs = seqs, .root = root};
	int rc;
	do { /* once, unless something was made again after it had been read */
		s.more = false;
		s.lists_at++;
		rc = ledger_each_commit(care->reader, LEDGER_OLDEST_FIRST, 0, take_stream,
					&s);
	} while (!rc && s.more);
	set64_fini(&s.tainted);
	set64_fini(&s.lists);
	buf_fini(&s.arena);
	buf_fini(&s.data);
	return rc;
}
