/* cmd_stats.c - stats: what the store holds, and what it has saved. */
#include "client/cli/cli.h"

#include <inttypes.h>

static double ratio(uint64_t a, uint64_t b)
{
	return b ? (double)a / (double)b : 0;
}

static void line(struct buf *out, const char *name)
{
	buf_printf(out, "%-16s", name);
}

static void add_percent(struct buf *out, uint64_t part, uint64_t all)
{
	buf_printf(out, "%" PRIu64 " (%.0f %%)", part, 100 * ratio(part, all));
}

static void add_ratio(struct buf *out, const char *name, double value)
{
	line(out, name);
	if (value > 0)
		buf_printf(out, "%.2f\n", value);
	else
		buf_add_str(out, "-\n");
}

static uint64_t logical(const struct cashet_store_stats *s)
{
	return s->object_bytes + s->inline_bytes;
}

/* Uploads are not among what results refer to, and each blob is needed once at least. */
static double deduplication(const struct cashet_store_stats *s)
{
	double value = ratio(s->referenced_bytes, logical(s));
	return logical(s) && value < 1 ? 1 : value;
}

static void print(struct buf *out, const struct cashet_store_stats *s)
{
	uint64_t tasks = s->hits + s->executed + s->deduplicated;
	line(out, "Commits:");
	buf_printf(out, "%" PRIu64 ": %" PRIu64 " completed, %" PRIu64 " failed\n",
		   s->completed + s->failed, s->completed, s->failed);
	line(out, "Batches:");
	buf_printf(out, "%" PRIu64 "\n", s->batches);
	line(out, "Pins:");
	buf_printf(out, "%" PRIu64 "\n", s->pins);
	line(out, "Hits:");
	add_percent(out, s->hits, tasks);
	buf_add_str(out, "\n");
	line(out, "Misses:");
	add_percent(out, s->executed, tasks);
	buf_printf(out, ", and %" PRIu64 " joined equal ones\n", s->deduplicated);
	line(out, "Time computed:");
	show_duration(out, s->compute_ns);
	buf_add_str(out, "\n");
	line(out, "Time saved:");
	show_duration(out, s->saved_ns);
	buf_add_str(out, "\n");
	line(out, "Referenced:");
	show_size(out, s->referenced_bytes);
	buf_add_str(out, "\n");
	line(out, "Logical:");
	show_size(out, logical(s));
	buf_add_str(out, "\n");
	line(out, "Stored:");
	show_size(out, s->stored_bytes + s->inline_bytes);
	buf_add_str(out, "\n");
	add_ratio(out, "Deduplication:", deduplication(s));
	add_ratio(out, "Compression:", ratio(s->object_bytes, s->stored_bytes));
	line(out, "Blobs:");
	buf_printf(out, "%" PRIu64 " files, ", s->objects);
	show_size(out, s->stored_bytes);
	buf_add_str(out, "\n");
	line(out, "Inline:");
	buf_printf(out, "%" PRIu64 " small blobs, ", s->inline_blobs);
	show_size(out, s->inline_bytes);
	buf_add_str(out, "\n");
	line(out, "Records:");
	show_size(out, s->journal_bytes);
	buf_add_str(out, ", of which ");
	show_size(out, s->journal_free_bytes);
	buf_add_str(out, " are free\n");
}

static int print_json(struct cli *cli, const struct cashet_store_stats *s)
{
	const struct {
		const char *key;
		uint64_t value;
	} counts[] = {
		{"completed", s->completed},
		{"failed", s->failed},
		{"batches", s->batches},
		{"pins", s->pins},
		{"hits", s->hits},
		{"misses", s->executed},
		{"deduplicated", s->deduplicated},
		{"referenced_bytes", s->referenced_bytes},
		{"logical_bytes", logical(s)},
		{"stored_bytes", s->stored_bytes + s->inline_bytes},
		{"blobs", s->objects},
		{"blob_bytes", s->object_bytes},
		{"blob_stored_bytes", s->stored_bytes},
		{"inline", s->inline_blobs},
		{"inline_bytes", s->inline_bytes},
		{"journal_bytes", s->journal_bytes},
		{"journal_free_bytes", s->journal_free_bytes},
	};
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		json_key(&j, counts[i].key);
		json_uint(&j, counts[i].value);
	}
	json_key(&j, "compute_ms");
	json_uint(&j, s->compute_ns / 1000000);
	json_key(&j, "saved_ms");
	json_uint(&j, s->saved_ns / 1000000);
	json_key(&j, "deduplication");
	json_double(&j, deduplication(s));
	json_key(&j, "compression");
	json_double(&j, ratio(s->object_bytes, s->stored_bytes));
	return json_finish(cli, &j);
}

int cmd_stats(struct cli *cli)
{
	struct cashet_store_stats stats;
	struct cashet_error e;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_stats(cli->c, &stats, &e))
		return cli_fail(cli, &e);
	if (cli->settings.json)
		return print_json(cli, &stats);
	CLEANUP_BUF struct buf out = {0};
	print(&out, &stats);
	return cli_write(cli, &out);
}
