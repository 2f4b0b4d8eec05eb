/* answer.c - the questions, answered from the ledger. On the query thread; see query.h. */
#include "broker/query.h"

#include "broker/pb.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define CANDIDATES 8
#define BATCHES_DEFAULT 20
#define BATCHES_BYTES (4u << 20)
enum {
	ENVELOPE_ERROR = 12,
	ENVELOPE_RESULTS_PAGE = 25,
	ENVELOPE_BATCHES = 30,
	ENVELOPE_LOG_DATA = 32,
	ENVELOPE_STATUS = 34,
	ENVELOPE_COMMIT_REPLY = 40,
};

static void begin(struct job *job)
{
	buf_reset(&job->answer);
	pb_uint(&job->answer, 1, job->serial);
}

static void error(struct job *job, enum err_code code, const char *what, const char *next)
{
	begin(job);
	size_t mark = pb_open(&job->answer, ENVELOPE_ERROR);
	pb_uint(&job->answer, 1, code);
	pb_text(&job->answer, 2, what);
	pb_text(&job->answer, 3, next);
	pb_close(&job->answer, mark);
}

/* ---- results ---- */

static int keep_end(void *arg, const struct ledger_end *end)
{
	struct ends *e = arg;
	if (end->index < e->count)
		e->items[end->index] = *end;
	return 0;
}

static struct ends *load_ends(struct answerer *a, const struct ledger_batch_row *row)
{
	struct ends *e = &a->ends;
	if (e->number == row->batch.batch && e->items)
		return e;
	free(e->items);
	e->number = row->batch.batch;
	e->count = row->task_count;
	e->items = mem_alloc(((size_t)e->count + 1) * sizeof *e->items);
	for (uint32_t i = 0; i < e->count; i++)
		e->items[i].index = i;
	ledger_each_end(a->pager.reader, e->number, keep_end, e);
	return e;
}

/* Numbers of a batch's functions or options within one page. */
struct numbers {
	uint32_t *items, count, room;
	uint32_t *seen; /* number in the page + 1, by number in the batch */
	uint32_t seen_room;
};

static uint32_t number_of(struct numbers *n, uint32_t number, bool *is_new)
{
	if (number >= n->seen_room) {
		uint32_t room = 2 * (number + 1);
		n->seen = mem_resize(n->seen, room * sizeof *n->seen);
		memset(n->seen + n->seen_room, 0,
		       (room - n->seen_room) * sizeof *n->seen);
		n->seen_room = room;
	}
	*is_new = !n->seen[number];
	if (*is_new) {
		mem_grow(n->items, n->count, n->room);
		n->items[n->count++] = number;
		n->seen[number] = n->count;
	}
	return n->seen[number] - 1;
}

static void numbers_fini(struct numbers *n)
{
	free(n->items);
	free(n->seen);
}

static uint32_t add_function(struct buf *out, struct specs *s, uint32_t number,
			     struct numbers *functions, struct numbers *options)
{
	bool is_new, options_new;
	uint32_t local = number_of(functions, number, &is_new);
	size_t size, options_size;
	uint32_t option;
	const uint8_t *packed = is_new ? specs_function(s, number, &size, &option) : NULL;
	if (!packed)
		return local;
	uint32_t local_option = number_of(options, option, &options_new);
	size_t mark = pb_open(out, 7);
	buf_add(out, packed, size);
	pb_tag(out, 3, PB_VARINT); /* of two fields of one number the last counts */
	pb_varint(out, local_option);
	pb_close(out, mark);
	const uint8_t *packed_options =
		options_new ? specs_options(s, option, &options_size) : NULL;
	if (packed_options) {
		mark = pb_open(out, 10);
		buf_add(out, packed_options, options_size);
		pb_close(out, mark);
	}
	return local;
}

static void add_info(struct answerer *a, struct buf *out, unsigned field, uint64_t number)
{
	CLEANUP_BUF struct buf chunk = {0};
	if (ledger_read_chunk(a->pager.reader, number, 0, &chunk))
		return;
	size_t mark = pb_open(out, field);
	specs_info(out, &chunk);
	pb_close(out, mark);
}

static void results(struct answerer *a, struct job *job)
{
	const struct ledger_batch_row *row = &job->row;
	struct buf *out = &job->answer;
	struct specs *s = NULL;
	if (job->specs)
		s = specs_get(&a->specs, a->pager.reader, row->batch.batch,
			      row->chunk_count);
	const struct ends *ends = job->live ? NULL : load_ends(a, row);
	struct numbers functions = {0}, options = {0};
	size_t mark = pb_open(out, ENVELOPE_RESULTS_PAGE);
	pb_bytes(out, 1, row->batch.id, DIGEST_SIZE);
	pb_uint(out, 2, job->first);
	if (!job->first)
		add_info(a, out, 6, row->batch.batch);
	uint32_t i = 0;
	for (; i < job->count && out->size < PAGE_BYTES; i++) {
		uint32_t index = job->first + i;
		struct page_task task;
		struct page_spec spec = {0};
		struct specs_task t;
		if (job->live)
			task = job->tasks[i];
		else
			page_from_end(&task, &ends->items[index]);
		if (s && !specs_task(s, a->pager.reader, index, &t)) {
			spec = (struct page_spec){.present = true,
						  .args = t.args,
						  .args_size = t.args_size,
						  .nonce = t.nonce,
						  .nonce_size = t.nonce_size};
			spec.function =
				add_function(out, s, t.function, &functions, &options);
		}
		page_add_task(out, &a->pager, &task, &spec);
	}
	pb_uint(out, 3, job->first + i);
	pb_uint(out, 4, row->task_count);
	pb_uint(out, 5, row->ended);
	page_add_counts(out, 9, &row->counts);
	pb_close(out, mark);
	numbers_fini(&functions);
	numbers_fini(&options);
}

/* ---- batches ---- */

struct rows {
	struct ledger_batch_row *items;
	size_t count, room;
};

static int keep_row(void *arg, const struct ledger_batch_row *row)
{
	struct rows *rows = arg;
	mem_grow(rows->items, rows->count, rows->room);
	rows->items[rows->count++] = *row;
	return 0;
}

static int by_number(const void *key, const void *item)
{
	uint64_t a = *(const uint64_t *)key,
		 b = ((const struct live_batch *)item)->number;
	return a < b ? -1 : a > b;
}

static void add_row(struct answerer *a, struct job *job,
		    const struct ledger_batch_row *row)
{
	struct buf *out = &job->answer;
	const struct live_batch *live =
		row->ended || !job->batch_count
			? NULL
			: bsearch(&row->batch.batch, job->batches, job->batch_count,
				  sizeof *job->batches, by_number);
	size_t mark = pb_open(out, 1);
	pb_bytes(out, 1, row->batch.id, DIGEST_SIZE);
	add_info(a, out, 2, row->batch.batch);
	page_add_counts(out, 3, live ? &live->counts : &row->counts);
	pb_uint(out, 4, row->ended);
	pb_uint(out, 5, row->ended_wall_ms);
	pb_uint(out, 6, live && live->paused);
	pb_close(out, mark);
}

static void batches(struct answerer *a, struct job *job)
{
	struct rows rows = {0};
	if (job->one)
		keep_row(&rows, &job->row);
	else
		ledger_list_batches(a->pager.reader,
				    job->all && !job->max ? 0
				    : job->max		  ? job->max
							  : BATCHES_DEFAULT,
				    keep_row, &rows);
	size_t mark = pb_open(&job->answer, ENVELOPE_BATCHES);
	size_t i = 0;
	for (; i < rows.count && job->answer.size < BATCHES_BYTES; i++)
		add_row(a, job, &rows.items[i]);
	struct ledger_stats stats = {0};
	uint64_t left = rows.count - i;
	if (!job->one && !ledger_read_stats(a->pager.reader, &stats) && stats.batches > i)
		left = stats.batches - i;
	pb_uint(&job->answer, 2, left);
	pb_close(&job->answer, mark);
	free(rows.items);
}

/* ---- commits, logs, status ---- */

static void ambiguous(struct answerer *a, struct job *job, const uint64_t *seqs,
		      size_t count)
{
	CLEANUP_BUF struct buf what = {0};
	char hex[HEX_DIGEST_SIZE];
	uint8_t hash[DIGEST_SIZE];
	buf_add_str(&what, "several commits begin like this:");
	for (size_t i = 0; i < count; i++) {
		buf_reset(&a->pager.body);
		if (!ledger_read_commit(a->pager.reader, seqs[i], &a->pager.body, hash))
			buf_printf(&what, "\n  %s", hex_encode(hex, hash, DIGEST_SIZE));
	}
	error(job, ERR_AMBIGUOUS, buf_cstr(&what), "give more digits");
}

static void commit(struct answerer *a, struct job *job)
{
	uint64_t seqs[CANDIDATES];
	uint8_t hash[DIGEST_SIZE];
	size_t count = 0;
	int rc = ledger_find_commit(a->pager.reader, job->prefix, job->nibbles, seqs,
				    CANDIDATES, &count);
	buf_reset(&a->pager.body);
	if (rc == 2) {
		ambiguous(a, job, seqs, count);
	} else if (rc ||
		   ledger_read_commit(a->pager.reader, seqs[0], &a->pager.body, hash)) {
		error(job, ERR_NOT_FOUND, "no commit begins like this",
		      "cashet results lists those of a batch");
	} else {
		size_t mark = pb_open(&job->answer, ENVELOPE_COMMIT_REPLY);
		pb_bytes(&job->answer, 1, hash, DIGEST_SIZE);
		pb_bytes(&job->answer, 2, a->pager.body.data, a->pager.body.size);
		pb_close(&job->answer, mark);
	}
}

static void log_data(struct answerer *a, struct job *job)
{
	struct commit c;
	if (job->in_row && job->first < job->row.task_count)
		job->commit = load_ends(a, &job->row)->items[job->first].commit;
	bool there = job->commit && !pager_commit(&a->pager, job->commit, &c, NULL) &&
		     (job->is_stderr ? c.has_stderr : c.has_stdout);
	size_t mark = pb_open(&job->answer, ENVELOPE_LOG_DATA);
	pb_uint(&job->answer, 2, job->offset);
	if (there) {
		pb_uint(&job->answer, 4, true);
		pb_bytes(&job->answer, 5,
			 job->is_stderr ? c.stderr_digest : c.stdout_digest, DIGEST_SIZE);
		pb_uint(&job->answer, 6, job->is_stderr ? c.stderr_size : c.stdout_size);
	} else {
		pb_text(&job->answer, 7, "the task ended without having run");
	}
	pb_close(&job->answer, mark);
}

static void status(struct answerer *a, struct job *job)
{
	struct ledger_stats stats = {0};
	ledger_read_stats(a->pager.reader, &stats);
	pb_uint(&job->packed, 15, stats.commits);
	size_t mark = pb_open(&job->answer, ENVELOPE_STATUS);
	buf_add(&job->answer, job->packed.data, job->packed.size);
	pb_close(&job->answer, mark);
}

void answer(struct answerer *a, struct job *job)
{
	begin(job);
	switch (job->what) {
	case ASK_RESULTS:
		results(a, job);
		break;
	case ASK_BATCHES:
		batches(a, job);
		break;
	case ASK_COMMIT:
		commit(a, job);
		break;
	case ASK_LOG:
		log_data(a, job);
		break;
	case ASK_STATUS:
		status(a, job);
		break;
	}
	if (job->answer.failed || job->answer.size > WIRE_MESSAGE_MAX)
		error(job, ERR_FAILED, "the answer is larger than a message may be",
		      NULL);
}

void answerer_fini(struct answerer *a)
{
	pager_fini(&a->pager);
	ledger_reader_close(a->pager.reader);
	specs_free(a->specs);
	free(a->ends.items);
	a->ends = (struct ends){0};
}
